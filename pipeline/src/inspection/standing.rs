//! Where the picture is black or stands still, told by the pictures that were looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::groups::{Groups, Sample};
use super::look::Look;

const SECOND: u64 = 1_000_000_000;
/// Shorter ones are cuts, blinks and pauses.
const SHORTEST_NS: u64 = 2 * SECOND;

/// From, inclusive, to, exclusive, on the file's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from_ns: u64,
    pub to_ns: u64,
}

impl Span {
    fn is_long(&self) -> bool {
        self.to_ns.saturating_sub(self.from_ns) >= SHORTEST_NS
    }
}

/// Stretches without a picture, from the last one before to the first one after or to the end of the clip.
pub(super) fn held(samples: &[Sample], duration_ns: u64) -> Vec<Span> {
    let times = samples.iter().map(|sample| sample.pts_ns);
    let nexts = samples.iter().skip(1).map(|sample| sample.pts_ns).chain([duration_ns]);
    times.zip(nexts).map(|(from_ns, to_ns)| Span { from_ns, to_ns }).filter(Span::is_long).collect()
}

/// Black stretches, then frozen ones that are not black. `groups` are those that were looked into; nothing is said of the
/// others. What was held is in neither.
pub(super) fn evaluate(
    all: &Groups<'_>,
    groups: &BTreeSet<usize>,
    looks: &BTreeMap<usize, Look>,
    held: &[Span],
) -> (Vec<Span>, Vec<Span>) {
    let (mut black, mut frozen) = (Vec::new(), Vec::new());
    for run in runs(all, groups, looks) {
        black.extend(stretches(all, &run, |first, look| first.dark && look.dark));
        frozen.extend(stretches(all, &run, |first, look| !first.dark && !look.dark && first.is_like(look)));
    }
    let cut = |spans: Vec<Span>| -> Vec<Span> {
        spans.into_iter().flat_map(|span| without(span, held)).filter(Span::is_long).collect()
    };
    (cut(black), cut(frozen))
}

/// Groups that were not looked into, beside one at whose border a stretch of either kind was still going on.
pub(super) fn open_ends(all: &Groups<'_>, groups: &BTreeSet<usize>, looks: &BTreeMap<usize, Look>) -> BTreeSet<usize> {
    let mut open = BTreeSet::new();
    for run in runs(all, groups, looks) {
        let ((Some(first), second), Some(last)) = ((run.first(), run.get(1)), run.last()) else { continue };
        let goes_on = |one: &Look, other: &Look| one.dark && other.dark || one.is_like(other);
        let before = run.len().checked_sub(2).and_then(|at| run.get(at));
        if first.1 > 0 && second.is_none_or(|second| goes_on(first.2, second.2)) {
            open.insert(first.1 - 1);
        }
        if last.1 + 1 < all.len() && before.is_none_or(|before| goes_on(before.2, last.2)) {
            open.insert(last.1 + 1);
        }
    }
    open.retain(|group| !groups.contains(group));
    open
}

/// Pictures that were looked at, in runs of groups without one between that was not.
fn runs<'l>(
    all: &Groups<'_>,
    groups: &BTreeSet<usize>,
    looks: &'l BTreeMap<usize, Look>,
) -> Vec<Vec<(usize, usize, &'l Look)>> {
    let mut runs: Vec<Vec<(usize, usize, &Look)>> = Vec::new();
    for (at, look) in looks {
        let Some(group) = all.holding(*at).filter(|group| groups.contains(group)) else { continue };
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| (last.1..=group).all(|between| groups.contains(&between))) => {
                run.push((*at, group, look));
            }
            _ => runs.push(vec![(*at, group, look)]),
        }
    }
    runs
}

/// Longest stretches of pictures that go with the first of the stretch. A picture stands until the next one that was looked at.
fn stretches(all: &Groups<'_>, run: &[(usize, usize, &Look)], goes_with: impl Fn(&Look, &Look) -> bool) -> Vec<Span> {
    let mut found = Vec::new();
    let mut begin = 0;
    while begin < run.len() {
        let first = run[begin].2;
        let same = run[begin..].iter().take_while(|(_, _, look)| goes_with(first, look)).count();
        let next = begin + same.max(1);
        if same > 1 {
            let to_ns = match run.get(next) {
                Some((at, _, _)) => all.pts_ns(*at),
                None => all.end_ns(run[next - 1].1),
            };
            found.push(Span { from_ns: all.pts_ns(run[begin].0), to_ns });
        }
        begin = next;
    }
    found
}

/// What is left of a span.
fn without(span: Span, others: &[Span]) -> Vec<Span> {
    let mut left = vec![span];
    for other in others.iter().filter(|other| other.from_ns < span.to_ns && other.to_ns > span.from_ns) {
        let Some(last) = left.pop() else { break };
        left.push(Span { from_ns: last.from_ns, to_ns: other.from_ns.max(last.from_ns) });
        left.push(Span { from_ns: other.to_ns.min(last.to_ns), to_ns: last.to_ns });
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(seconds: std::ops::Range<u64>) -> Vec<Sample> {
        let picture = |at: u64| Sample { pts_ns: at * SECOND / 10, bytes: 50, key: at.is_multiple_of(10), shown: true };
        (seconds.start * 10..seconds.end * 10).map(picture).collect()
    }

    /// Every second picture, of this grey.
    fn looks(count: usize, grey: impl Fn(usize) -> u8) -> BTreeMap<usize, Look> {
        (0..count).step_by(2).map(|at| (at, Look::of(vec![grey(at); 64]))).collect()
    }

    fn tenths(spans: &[Span]) -> Vec<(u64, u64)> {
        spans.iter().map(|span| (span.from_ns * 10 / SECOND, span.to_ns * 10 / SECOND)).collect()
    }

    #[test]
    fn black_and_frozen_stretches_are_told_apart() {
        let samples = samples(0..20);
        let groups = Groups::of(&samples, 20 * SECOND);
        let grey = |at: usize| match at {
            30..60 => 16,
            80..120 => 99,
            180..200 => 77,
            _ => (at * 7 % 150) as u8 + 40,
        };
        let (black, frozen) = evaluate(&groups, &(0..20).collect(), &looks(200, grey), &[]);
        assert_eq!(tenths(&black), [(30, 60)]);
        assert_eq!(tenths(&frozen), [(80, 120), (180, 200)]);
        let (black, frozen) = evaluate(&groups, &(9..20).collect(), &looks(200, grey), &[]);
        assert_eq!((tenths(&black), tenths(&frozen)), (vec![], vec![(90, 120), (180, 200)]));
    }

    #[test]
    fn what_was_not_looked_into_joins_nothing() {
        let samples = samples(0..20);
        let groups = Groups::of(&samples, 20 * SECOND);
        let (_, frozen) = evaluate(&groups, &[0, 10].into(), &looks(200, |_| 99), &[]);
        assert!(frozen.is_empty(), "{frozen:?}");
        let (_, frozen) = evaluate(&groups, &(0..20).collect(), &looks(200, |_| 99), &[]);
        assert_eq!(tenths(&frozen), [(0, 200)]);
    }

    #[test]
    fn what_goes_on_at_the_border_is_to_be_followed() {
        let samples = samples(0..20);
        let groups = Groups::of(&samples, 20 * SECOND);
        let looks = |from: usize, to: usize, grey: fn(usize) -> u8| -> BTreeMap<usize, Look> {
            (from..to).step_by(2).map(|at| (at, Look::of(vec![grey(at); 64]))).collect()
        };
        let covered = (5..10).collect();
        let ends = |looks| open_ends(&groups, &covered, &looks);
        assert_eq!(ends(looks(50, 100, |_| 99)), [4, 10].into());
        assert_eq!(ends(looks(50, 100, |at| if at < 70 { (at * 7) as u8 } else { 99 })), [10].into());
        assert_eq!(ends(looks(50, 100, |at| (at * 7) as u8)), BTreeSet::new());
        let whole = (0..20).collect();
        assert!(open_ends(&groups, &whole, &looks(0, 200, |_| 16)).is_empty());
    }

    #[test]
    fn time_without_a_picture_is_held_and_not_frozen() {
        let mut all = samples(0..5);
        all.extend(samples(9..13));
        assert_eq!(tenths(&held(&all, 16 * SECOND)), [(49, 90), (129, 160)]);
        assert!(held(&samples(0..5), 5 * SECOND).is_empty() && held(&[], SECOND).is_empty());
        let groups = Groups::of(&all, 13 * SECOND);
        let stands = held(&all, 13 * SECOND);
        let (_, frozen) = evaluate(&groups, &(0..9).collect(), &looks(90, |_| 99), &stands);
        assert_eq!(tenths(&frozen), [(0, 49), (90, 130)]);
    }
}
