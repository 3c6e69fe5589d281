//! From a range of a broadcast to the journals that hold it: waits until it is on disk, then chooses among the parts of the broadcast.
//! How a range is cut out of journals is the pipeline's to decide.

use std::path::PathBuf;
use std::time::Duration;

use journal::Reader;
use storage::local::LocalClip;
use storage::{Broadcast, Clip, Piece};

use super::{Trouble, stored};
use crate::desk::Desk;
use crate::rebuild::Rebuilt;
use crate::{clip, clock};

/// What was asked for is waited for this long after its own time, and after it was asked for. Later the recording is taken as it is:
/// the streamer may have dropped.
const PATIENCE_MS: i64 = 3_000;
/// Between two looks while nothing is told.
const LOOK: Duration = Duration::from_millis(250);
/// The last picture of a part may end this long before the next part begins.
const BORDER_NS: u64 = 100_000_000;

/// Where a piece is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) journals: Vec<PathBuf>,
    /// Journals whose gaps nobody has counted in this range.
    pub(super) with_gaps: Vec<PathBuf>,
    /// UTC microseconds of the broadcast's media zero.
    pub(super) media_zero_utc_us: u64,
    /// Those of the journals that were brought back. They go with this.
    pub(super) rebuilt: Vec<Rebuilt>,
}

/// What was received is taken as long as it is here: the start of a clip that somebody had made may have been encoded anew.
pub(super) async fn resolve(desk: &Desk, piece: &Piece, asked_ms: i64) -> Result<Found, Trouble> {
    match (in_parts(desk, piece, asked_ms).await, &piece.clip) {
        (Err(gone), Some(clip)) if gone.lasting => {
            let rebuilt = stored::bring_back_made(desk, clip, piece, gone).await?;
            Found::of(vec![rebuilt.path().to_owned()], vec![rebuilt.path().to_owned()], vec![rebuilt]).await
        }
        (found, _) => found,
    }
}

async fn in_parts(desk: &Desk, piece: &Piece, asked_ms: i64) -> Result<Found, Trouble> {
    let rows = written_rows(desk, piece, asked_ms).await?;
    let mut parts: Vec<Part> = rows.iter().filter(|row| row.journal.exists()).map(Part::of).collect();
    if let Some(first) = parts.first_mut().filter(|part| part.number > 0 && part.from_ns.is_none()) {
        let index = clip::read_index(first.journal.clone()).await?;
        first.from_ns = index.and_then(|index| index.entries.iter().map(|entry| entry.pts_ns).min());
    }
    if choose(&parts, piece.from_ns, piece.to_ns).is_err() {
        add_stored(&mut parts, stored::parts(desk, &piece.broadcast).await?);
    }
    let chosen = choose(&parts, piece.from_ns, piece.to_ns).map_err(|missing| Trouble::lasting(missing.to_string()))?;
    let (mut chosen, mut rebuilt) = (chosen.to_vec(), Vec::new());
    for part in &mut chosen {
        if let Some(clip) = &part.stored {
            let journal = stored::bring_back(desk, clip, piece).await?;
            part.journal = journal.path().to_owned();
            rebuilt.push(journal);
        }
    }
    let journals = chosen.iter().map(|part| part.journal.clone()).collect();
    let with_gaps = chosen.iter().filter(|part| part.may_have_gaps).map(|part| part.journal.clone()).collect();
    Found::of(journals, with_gaps, rebuilt).await
}

impl Found {
    async fn of(journals: Vec<PathBuf>, with_gaps: Vec<PathBuf>, rebuilt: Vec<Rebuilt>) -> Result<Self, Trouble> {
        let first = journals.first().cloned().unwrap_or_default();
        let header = tokio::task::spawn_blocking(move || Reader::open(first).map(|reader| reader.header().clone()));
        let header = header.await.map_err(Trouble::passing)?.map_err(Trouble::passing)?;
        Ok(Self { journals, with_gaps, media_zero_utc_us: header.media_zero_utc_us, rebuilt })
    }
}

/// Parts that no journal is here of.
fn add_stored(parts: &mut Vec<Part>, clips: Vec<Clip>) {
    let gone = clips.into_iter().filter(|clip| parts.iter().all(|part| part.number != clip.part)).map(Part::stored);
    let gone: Vec<Part> = gone.collect();
    parts.extend(gone);
    parts.sort_by_key(|part| part.number);
}

/// The rows of the broadcast's parts, as soon as everything that was asked for is in their journals.
async fn written_rows(desk: &Desk, piece: &Piece, asked_ms: i64) -> Result<Vec<LocalClip>, Trouble> {
    let local = &desk.stores.local;
    let id = piece.broadcast.as_str().parse().map_err(Trouble::passing)?;
    let (mut turns, mut changed) = (desk.horizon.turns(), local.changed());
    loop {
        turns.mark_unchanged();
        changed.mark_unchanged();
        let written = desk.horizon.of(id);
        let broadcast = local.local_broadcast(piece.broadcast.clone()).await?;
        let rows = local.parts_of(piece.broadcast.clone()).await?;
        let is_here = match (&written, &broadcast) {
            (None, None) => true,
            // its last words are still on their way to the job table
            (None, Some(broadcast)) => broadcast.ended_at_ms.is_some(),
            (Some(written), _) => {
                let listed = written.part.is_none_or(|part| rows.last().is_some_and(|row| row.part >= part));
                listed && (piece.to_ns == Piece::END || written.holds(piece.to_ns))
            }
        };
        if is_here || clock::utc_ms() >= patience_ends_ms(piece, broadcast.as_ref(), asked_ms) {
            return Ok(rows);
        }
        tokio::select! {
            _ = turns.changed() => {}
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn patience_ends_ms(piece: &Piece, broadcast: Option<&Broadcast>, asked_ms: i64) -> i64 {
    let wanted_ms = match broadcast {
        Some(broadcast) if piece.to_ns != Piece::END => broadcast.started_at_ms + (piece.to_ns / 1_000_000) as i64,
        _ => asked_ms,
    };
    wanted_ms.min(asked_ms + super::AHEAD_MS).max(asked_ms) + PATIENCE_MS
}

/// What is known of a part without reading it.
#[derive(Clone, Debug)]
struct Part {
    number: u32,
    journal: PathBuf,
    /// The broadcast's timeline; none while it has no file.
    from_ns: Option<u64>,
    to_ns: Option<u64>,
    /// Its first pictures need others, which are in the part before it.
    leans: bool,
    may_have_gaps: bool,
    /// Its clip, when the journal is gone.
    stored: Option<Box<Clip>>,
}

impl Part {
    fn of(row: &LocalClip) -> Self {
        Self::new(row.part, row.journal.clone(), row.clip.as_ref())
    }

    fn stored(clip: Clip) -> Self {
        Self { stored: Some(Box::new(clip.clone())), ..Self::new(clip.part, PathBuf::new(), Some(&clip)) }
    }

    fn new(number: u32, journal: PathBuf, clip: Option<&Clip>) -> Self {
        let tracks = clip.and_then(|clip| clip.continuity.as_ref()).map(|record| record.tracks.as_slice());
        // a part that was cut without a keyframe shows its sound from the border on, and its pictures later
        let leans = tracks.unwrap_or_default().iter().any(|track| track.unshown > 0 && track.codec != "opus");
        let first = tracks.unwrap_or_default().iter().map(|track| track.from_ns).min();
        Self {
            number,
            journal,
            from_ns: clip.map(|clip| first.map_or(clip.from_ns, |first| first.min(clip.from_ns))),
            to_ns: clip.map(|clip| clip.to_ns),
            leans,
            may_have_gaps: clip.is_none_or(|clip| clip.lost_ms > 0),
            stored: None,
        }
    }
}

/// Why a range cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Missing {
    #[error("nothing of this broadcast is here any more")]
    Everything,
    #[error("this part of the recording is no longer here: {} to {} s of the broadcast", seconds(.0), seconds(.1))]
    Between(u64, u64),
    #[error("the recording ends at {} s of the broadcast", seconds(.0))]
    Behind(u64),
}

fn seconds(ns: &u64) -> String {
    format!("{:.3}", *ns as f64 / 1e9)
}

/// The parts that hold the range, one after the other without a hole. `parts` are in order; of the first one `from_ns` is known
/// unless it is part 0.
fn choose(parts: &[Part], from_ns: u64, to_ns: u64) -> Result<&[Part], Missing> {
    let first = parts.first().ok_or(Missing::Everything)?;
    let begins = |part: &Part| part.from_ns.unwrap_or(if part.number == 0 { 0 } else { u64::MAX });
    if first.number > 0 && begins(first) > from_ns {
        return Err(Missing::Between(from_ns, begins(first).min(to_ns)));
    }
    let mut from = parts.iter().rposition(|part| begins(part) <= from_ns).unwrap_or(0);
    let behind = |part: &Part| part.from_ns.is_some_and(|begin| begin >= to_ns);
    let to = from + parts[from..].iter().skip(1).take_while(|part| !behind(part)).count() + 1;
    let (last, next) = (&parts[to - 1], parts.get(to));
    if let Some(end) = last.to_ns {
        match next {
            None if end <= from_ns => return Err(Missing::Behind(end)),
            // the parts in between are gone
            Some(next) if next.number != last.number + 1 && end + BORDER_NS < to_ns => {
                return Err(Missing::Between(end.max(from_ns), to_ns));
            }
            _ => {}
        }
    }
    if from > 0 && parts[from].leans && parts[from - 1].number + 1 == parts[from].number {
        from -= 1;
    }
    let chosen = &parts[from..to];
    for (one, next) in chosen.iter().zip(&chosen[1..]) {
        if one.number + 1 != next.number {
            let gone = one.to_ns.unwrap_or(from_ns).max(from_ns);
            return Err(Missing::Between(gone, next.from_ns.unwrap_or(to_ns).min(to_ns)));
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// Parts of ten seconds each; those from `open` on have no file yet.
    fn parts(numbers: &[u32], open: u32) -> Vec<Part> {
        let part = |number: u32| Part {
            number,
            journal: number.to_string().into(),
            from_ns: (number < open).then_some(u64::from(number) * 10 * S),
            to_ns: (number < open).then_some((u64::from(number) + 1) * 10 * S),
            leans: false,
            may_have_gaps: number >= open,
            stored: None,
        };
        numbers.iter().copied().map(part).collect()
    }

    fn chosen(parts: &[Part], from: u64, to: u64) -> Result<Vec<u32>, Missing> {
        choose(parts, from, to).map(|parts| parts.iter().map(|part| part.number).collect())
    }

    #[test]
    fn a_range_takes_the_parts_that_hold_it() {
        let all = parts(&[0, 1, 2, 3], 4);
        for (from, to, wanted) in [
            (0, 1, vec![0]),
            (0, 10 * S, vec![0]),
            (0, 10 * S + 1, vec![0, 1]),
            (10 * S - 1, 10 * S, vec![0]),
            (10 * S, 20 * S, vec![1]),
            (5 * S, 25 * S, vec![0, 1, 2]),
            (0, Piece::END, vec![0, 1, 2, 3]),
            (39 * S, Piece::END, vec![3]),
        ] {
            assert_eq!(chosen(&all, from, to), Ok(wanted), "{from} to {to}");
        }
    }

    #[test]
    fn parts_without_a_file_may_hold_anything_after_the_last_that_has_one() {
        let live = parts(&[0, 1, 2, 3], 2);
        assert_eq!(chosen(&live, 5 * S, 9 * S), Ok(vec![0]));
        assert_eq!(chosen(&live, 15 * S, 18 * S), Ok(vec![1, 2, 3]));
        assert_eq!(chosen(&live, 35 * S, 36 * S), Ok(vec![1, 2, 3]));
        assert_eq!(chosen(&parts(&[0], 0), 3 * S, 4 * S), Ok(vec![0]), "the first part, still open");
    }

    #[test]
    fn a_part_that_leans_brings_the_one_before_it() {
        let mut all = parts(&[0, 1, 2], 3);
        all[1].leans = true;
        assert_eq!(chosen(&all, 12 * S, 13 * S), Ok(vec![0, 1]));
        assert_eq!(chosen(&all, 2 * S, 3 * S), Ok(vec![0]));
    }

    #[test]
    fn what_is_gone_is_named() {
        assert_eq!(chosen(&[], 0, S), Err(Missing::Everything));
        let late = parts(&[3, 4], 5);
        assert_eq!(chosen(&late, 5 * S, 6 * S), Err(Missing::Between(5 * S, 6 * S)));
        assert_eq!(chosen(&late, 5 * S, 35 * S), Err(Missing::Between(5 * S, 30 * S)));
        assert_eq!(chosen(&late, 30 * S, 35 * S), Ok(vec![3]));
        let holed = parts(&[0, 2], 3);
        assert_eq!(chosen(&holed, 0, 25 * S), Err(Missing::Between(10 * S, 20 * S)));
        assert_eq!(chosen(&holed, 21 * S, 25 * S), Ok(vec![2]));
        assert_eq!(chosen(&holed, 31 * S, 35 * S), Err(Missing::Behind(30 * S)));
        let text = Missing::Between(10 * S, 20 * S + S / 2).to_string();
        assert_eq!(text, "this part of the recording is no longer here: 10.000 to 20.500 s of the broadcast");
    }

    #[test]
    fn a_range_in_a_hole_is_refused() {
        let holed = parts(&[0, 2], 3);
        assert_eq!(chosen(&holed, 12 * S, 15 * S), Err(Missing::Between(12 * S, 15 * S)));
        assert_eq!(chosen(&holed, 5 * S, 15 * S), Err(Missing::Between(10 * S, 15 * S)));
        assert_eq!(chosen(&holed, 5 * S, 10 * S), Ok(vec![0]));
    }
}
