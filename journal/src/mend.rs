//! The records behind damage, brought back into the order in which they were written: a disk may leave a block in the wrong place, or twice.

use std::collections::BTreeMap;

use media::id::TrackId;
use media::message::AccessUnit;

use crate::format::Record;
use crate::index::{Entry, Seen};
use crate::read::Raw;

/// A record without its data.
#[derive(Debug)]
pub(crate) enum Item {
    /// Not numbered yet.
    Unit(Entry),
    /// Anything but a unit.
    Other(Record),
}

impl Item {
    /// Shows it before its data is gone.
    pub(crate) fn new(offset: u64, raw: &Raw<'_>, see: &mut impl FnMut(Seen<'_>)) -> Option<Self> {
        let record = raw.without_data()?;
        match &record {
            Record::Unit(AccessUnit { track, key, pts_ns, .. }) => {
                see(Seen::Unit { offset, track: *track, key: *key, pts_ns: *pts_ns, data: raw.data });
            }
            Record::Config { track, config } => see(Seen::Config { track: *track, config }),
            _ => {}
        }
        Some(match record {
            Record::Unit(unit) => Self::Unit(Entry {
                offset,
                size: raw.data.len() as u32,
                track: unit.track,
                key: unit.key,
                pts_ns: unit.pts_ns,
                dts_ns: unit.dts_ns,
                utc_us: unit.utc_us,
                first_seq: unit.first_seq,
                last_seq: unit.last_seq,
                number: None,
                after_given_up: false,
            }),
            record => Self::Other(record),
        })
    }
}

/// Where each track of a run begins.
type Begins = BTreeMap<TrackId, u64>;

/// Orders the runs of records between damaged places by the times of their units, as far as they have tracks in common; otherwise they
/// stay as they are in the file. What stands there twice is for the reader to see.
pub(crate) fn in_order(runs: Vec<Vec<Item>>) -> Vec<Vec<Item>> {
    let mut ordered: Vec<(Begins, Vec<Item>)> = Vec::with_capacity(runs.len());
    for run in runs {
        let begins = begins(&run);
        let at = ordered.iter().position(|(later, _)| precedes(&begins, later)).unwrap_or(ordered.len());
        ordered.insert(at, (begins, run));
    }
    ordered.into_iter().map(|(_, run)| run).collect()
}

fn begins(run: &[Item]) -> Begins {
    let mut begins = Begins::new();
    for item in run {
        if let Item::Unit(unit) = item {
            begins.entry(unit.track).or_insert(unit.pts_ns);
        }
    }
    begins
}

fn precedes(one: &Begins, other: &Begins) -> bool {
    let common = one.iter().find_map(|(track, at)| Some((at, other.get(track)?)));
    common.is_some_and(|(one, other)| one < other)
}
