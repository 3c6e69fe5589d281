//! Which pictures are worth decoding, told by the sizes of the encoded ones alone.

use std::collections::BTreeSet;
use std::ops::Range;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Pictures of one storyboard at most.
pub(super) const BOARD: u64 = 400;
/// Between two pictures that are looked at where everything is decoded.
const LOOK_NS: u64 = SECOND / 5;
/// Pictures between keyframes that are decoded in one pass at most: a minute or so. Beyond that keyframes have to do.
const DECODED: usize = 1500;
/// Pictures that are looked at in one pass at most, besides the storyboard.
const LOOKED: usize = 2000;
/// Groups at either end of a suspicious stretch that are decoded whole, one of them outside.
const EDGE: usize = 3;

/// An encoded picture in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// On the file's timeline.
    pub pts_ns: u64,
    pub bytes: u32,
    pub key: bool,
    /// A decoder gives a picture for it.
    pub shown: bool,
}

/// The groups of pictures of a file, each from its keyframe to before the next.
pub(super) struct Groups<'a> {
    samples: &'a [Sample],
    ranges: Vec<Range<usize>>,
    end_ns: u64,
}

/// What is decoded, as positions among the file's pictures.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Goes into the decoder.
    pub decode: BTreeSet<usize>,
    /// Is looked at when it comes out.
    pub look: BTreeSet<usize>,
    /// Groups that are known well enough to say what stands in them.
    pub groups: BTreeSet<usize>,
}

impl Plan {
    /// Only what is not in these groups.
    pub(super) fn without(mut self, done: &BTreeSet<usize>, groups: &Groups<'_>) -> Self {
        let fresh = |sample: &usize| groups.holding(*sample).is_some_and(|group| !done.contains(&group));
        self.decode.retain(fresh);
        self.look.retain(fresh);
        self.groups.retain(|group| !done.contains(group));
        self
    }
}

/// Chooses keyframes for the storyboard as they come.
pub(super) struct Choice {
    apart_ns: u64,
    due_ns: u64,
    taken: u64,
}

impl Choice {
    pub(super) fn new(duration_ns: u64) -> Self {
        Self { apart_ns: apart_ns(duration_ns), due_ns: 0, taken: 0 }
    }

    pub(super) fn takes(&mut self, at_ns: u64) -> bool {
        let wanted = at_ns >= self.due_ns && self.taken < BOARD;
        if wanted {
            self.taken += 1;
            // not from one to the next, lest distances add up to more than is wanted
            let early_ns = self.apart_ns / 10;
            self.due_ns = ((at_ns + early_ns) / self.apart_ns + 1) * self.apart_ns - early_ns;
        }
        wanted
    }
}

impl<'a> Groups<'a> {
    pub(super) fn of(samples: &'a [Sample], end_ns: u64) -> Self {
        let mut starts: Vec<usize> = (0..samples.len()).filter(|at| samples[*at].key).collect();
        starts.push(samples.len());
        let ranges = starts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        Self { samples, ranges, end_ns }
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The group that a picture is in.
    pub(super) fn holding(&self, sample: usize) -> Option<usize> {
        self.ranges
            .partition_point(|range| range.end <= sample)
            .lt(&self.ranges.len())
            .then(|| self.ranges.partition_point(|range| range.end <= sample))
    }

    pub(super) fn pts_ns(&self, sample: usize) -> u64 {
        self.samples.get(sample).map_or(self.end_ns, |sample| sample.pts_ns)
    }

    /// When the group ends.
    pub(super) fn end_ns(&self, group: usize) -> u64 {
        self.ranges.get(group).map_or(self.end_ns, |range| self.pts_ns(range.end))
    }

    /// Keyframes for the storyboard, at regular distances where there are some.
    pub(super) fn board(&self, duration_ns: u64) -> BTreeSet<usize> {
        let mut choice = Choice::new(duration_ns);
        let starts = self.ranges.iter().map(|range| range.start);
        starts.filter(|start| choice.takes(self.pts_ns(*start))).collect()
    }

    /// Groups a quarter of which takes so little that nothing may move in it.
    pub(super) fn quiet(&self, pixels: u64) -> BTreeSet<usize> {
        let is_quiet = |range: &Range<usize>| {
            let deltas = &self.samples[range.start + 1..range.end];
            let tiny = deltas.iter().filter(|sample| u64::from(sample.bytes) <= tiny_bytes(pixels)).count();
            tiny > 0 && tiny * 4 >= deltas.len()
        };
        (0..self.len()).filter(|group| is_quiet(&self.ranges[*group])).collect()
    }

    /// Groups in which some pictures take much more than the others, more than six within a second, the most of them first: it may flash there.
    pub(super) fn pulsing(&self) -> Vec<usize> {
        let mut found: Vec<(usize, usize)> = (0..self.len())
            .map(|group| (self.pulses(&self.ranges[group]), group))
            .filter(|(most, _)| *most > 6)
            .collect();
        found.sort_unstable_by_key(|(most, group)| (std::cmp::Reverse(*most), *group));
        found.into_iter().map(|(_, group)| group).collect()
    }

    /// The most within a second.
    fn pulses(&self, range: &Range<usize>) -> usize {
        let deltas = &self.samples[range.start + 1..range.end];
        let mut sizes: Vec<u32> = deltas.iter().map(|sample| sample.bytes).collect();
        sizes.sort_unstable();
        let Some(median) = sizes.get(sizes.len() / 2) else { return 0 };
        let large = (median * 2).min(self.samples[range.start].bytes / 3 * 2).max(1);
        let times: Vec<u64> = deltas.iter().filter(|s| s.bytes > large).map(|s| s.pts_ns).collect();
        let within = |from: usize| times[from..].iter().take_while(|at_ns| **at_ns < times[from] + SECOND).count();
        (0..times.len()).map(within).max().unwrap_or(0)
    }

    /// All pictures of these groups.
    pub(super) fn pictures(&self, group: usize) -> Range<usize> {
        self.ranges.get(group).cloned().unwrap_or_default()
    }

    /// How to look at these groups: their keyframes, and everything at the ends of each stretch of neighbours.
    pub(super) fn around(&self, wanted: &BTreeSet<usize>) -> Plan {
        let mut plan = Plan::default();
        let (mut decoded, mut looked) = (0, 0);
        for stretch in self.stretches(wanted) {
            let every = stretch.len().div_ceil(LOOKED / 2).max(1);
            for group in stretch.clone() {
                let range = &self.ranges[group];
                let at_edge = group < stretch.start + EDGE || group + EDGE >= stretch.end;
                plan.groups.insert(group);
                if at_edge && decoded + range.len() <= DECODED && looked < LOOKED {
                    decoded += range.len();
                    plan.decode.extend(range.clone());
                    let looks = self.spread(range);
                    looked += looks.len();
                    plan.look.extend(looks);
                } else if (group - stretch.start).is_multiple_of(every) && looked < LOOKED {
                    looked += 1;
                    plan.decode.insert(range.start);
                    plan.look.insert(range.start);
                }
            }
        }
        plan
    }

    /// Runs of neighbours, each with one more group at either end.
    fn stretches(&self, wanted: &BTreeSet<usize>) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for group in wanted {
            let (from, to) = (group.saturating_sub(1), (group + 2).min(self.len()));
            match found.last_mut() {
                Some(last) if last.end >= from => last.end = to,
                _ => found.push(from..to),
            }
        }
        found
    }

    /// The first picture, then one every [`LOOK_NS`], and the last.
    fn spread(&self, range: &Range<usize>) -> Vec<usize> {
        let mut looks = vec![range.start];
        let mut last_ns = self.pts_ns(range.start);
        for at in range.clone() {
            if self.pts_ns(at) >= last_ns + LOOK_NS || at + 1 == range.end && at > range.start {
                looks.push(at);
                last_ns = self.pts_ns(at);
            }
        }
        looks
    }
}

/// What a picture takes in which nothing changes: some bytes for saying so of each block.
fn tiny_bytes(pixels: u64) -> u64 {
    (pixels / 1000).max(96)
}

/// Between two pictures of the storyboard.
fn apart_ns(duration_ns: u64) -> u64 {
    match duration_ns / SECOND {
        0..=120 => 2 * SECOND,
        121..=600 => 5 * SECOND,
        _ => (10 * SECOND).max(duration_ns / BOARD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture each 100 ms, a keyframe each second, of these sizes per second.
    fn clip(seconds: &[u32]) -> Vec<Sample> {
        let picture = |at: usize| {
            let key = at.is_multiple_of(10);
            let bytes = if key { 20_000 } else { seconds[at / 10] };
            Sample { pts_ns: at as u64 * SECOND / 10, bytes, key, shown: true }
        };
        (0..seconds.len() * 10).map(picture).collect()
    }

    #[test]
    fn a_moving_clip_is_decoded_at_the_storyboard_alone() {
        let samples = clip(&[3000; 600]);
        let groups = Groups::of(&samples, 600 * SECOND);
        assert_eq!(groups.len(), 600);
        assert!(groups.quiet(921_600).is_empty());
        let board = groups.board(600 * SECOND);
        assert_eq!(board.len(), 120);
        assert!(board.iter().all(|at| samples[*at].key));
        let times: Vec<u64> = board.iter().map(|at| samples[*at].pts_ns / SECOND).collect();
        assert!(times.is_sorted_by(|one, next| next - one == 5), "{times:?}");
        assert_eq!((groups.holding(0), groups.holding(5999), groups.holding(6000)), (Some(0), Some(599), None));
    }

    #[test]
    fn storyboards_are_bounded_however_long_the_clip_is() {
        for hours in [1, 6, 24] {
            let samples = clip(&vec![3000; hours * 3600]);
            let duration_ns = hours as u64 * 3600 * SECOND;
            let board = Groups::of(&samples, duration_ns).board(duration_ns);
            assert!((200..=BOARD as usize).contains(&board.len()), "{hours} h: {}", board.len());
        }
    }

    #[test]
    fn quiet_groups_are_looked_at_with_a_neighbour_at_either_end() {
        let mut seconds = [3000; 60];
        seconds[20..40].fill(80);
        let samples = clip(&seconds);
        let groups = Groups::of(&samples, 60 * SECOND);
        let quiet = groups.quiet(921_600);
        assert_eq!(quiet, (20..40).collect());
        let plan = groups.around(&quiet);
        assert_eq!(plan.groups, (19..41).collect());
        assert!(plan.decode.contains(&195) && plan.decode.contains(&405) && !plan.decode.contains(&305));
        assert!(plan.look.contains(&300) && plan.look.is_subset(&plan.decode));
        assert_eq!(plan.decode.len(), 6 * 10 + 16);
    }

    #[test]
    fn hours_that_stand_are_not_decoded_as_a_whole() {
        let samples = clip(&[80; 6 * 3600]);
        let groups = Groups::of(&samples, 6 * 3600 * SECOND);
        let plan = groups.around(&groups.quiet(921_600));
        assert_eq!(plan.groups.len(), 6 * 3600);
        assert!(plan.decode.len() <= DECODED + LOOKED && plan.look.len() <= LOOKED + 10, "{}", plan.look.len());
    }

    #[test]
    fn pictures_before_the_first_keyframe_are_in_no_group() {
        let mut samples = clip(&[3000; 2]);
        samples[0].key = false;
        let groups = Groups::of(&samples, 2 * SECOND);
        assert_eq!((groups.len(), groups.board(2 * SECOND)), (1, [10].into()));
        assert!(Groups::of(&[], 0).board(0).is_empty());
    }
}
