//! Where the units of a finished file lie: enough to rebuild a journal from byte ranges of the file, long after its own is gone.
//!
//! ```text
//! table    magic 8 "OXBOWU1\n" · version u16 · length of the file v · number of pieces v · pieces · crc32 u32
//! piece    the header of a journal · from ns v · to ns v · offset ns v · number of items v · items
//! item     flags u8, then
//!   bit 0  a record of a journal that holds from the next unit on: length v · the record
//!   else   a unit, in the order of the file: track u8 · pts z · duration z · UTC z · [first seq v] · packets v · [number v]
//!          · offset z · size v
//!          bit 1: keyframe · 2: numbered · 3: the number follows · 4: units before it were given up · 5: the first sequence number
//!          follows · 6: made for this file, not received
//! ```
//!
//! Numbers are little endian; v is LEB128, z the same of a signed number with its sign in the lowest bit. A unit says how it differs from what is
//! expected after the one before it on its track: the same step in time and duration, the next number and packet; and its bytes behind
//! those of the unit before it in the file. The checksum (CRC-32, IEEE) covers everything before it.
//!
//! Not here: how a file is read (whoever has it gives the bytes), and how the table is made (pipeline).

mod decode;
mod encode;
mod rebuild;

pub use self::decode::UnitsError;
pub use self::rebuild::RebuildError;

use media::id::TrackId;
use media::message::CodecConfig;

use crate::format::{Header, Record};
use crate::index::Range;

pub const MAGIC: [u8; 8] = *b"OXBOWU1\n";
pub const VERSION: u16 = 1;
/// Name of a table behind the name of its file's stem.
pub const EXTENSION: &str = "units";

const IS_RECORD: u8 = 1;
const KEY: u8 = 1 << 1;
const NUMBERED: u8 = 1 << 2;
const NUMBER_FOLLOWS: u8 = 1 << 3;
const AFTER_GIVEN_UP: u8 = 1 << 4;
const SEQ_FOLLOWS: u8 = 1 << 5;
const MADE: u8 = 1 << 6;

/// The table of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// In the order in which they are shown.
    pub pieces: Vec<UnitsPiece>,
}

/// What the file holds of one broadcast in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitsPiece {
    /// Of the journal, or the first of them.
    pub header: Header,
    /// What is shown, on the broadcast's timeline.
    pub from_ns: u64,
    pub to_ns: u64,
    /// Where `from_ns` lies in the file.
    pub offset_ns: u64,
    /// Configurations, orientations and gaps, each with the number of units in `units` that come before it.
    pub records: Vec<(usize, Record)>,
    /// In the order of the file; those of one track in order of time.
    pub units: Vec<Unit>,
}

/// One access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub track: TrackId,
    pub key: bool,
    /// Encoded for this file, since it begins between two keyframes. It has no packets and no number.
    pub made: bool,
    /// The broadcast's timeline.
    pub pts_ns: u64,
    pub duration_ns: u64,
    pub utc_us: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub number: Option<u64>,
    pub after_given_up: bool,
    /// Bytes in the file.
    pub offset: u64,
    pub size: u32,
}

/// Of a track, what is expected of its next unit.
#[derive(Clone, Copy, Default)]
struct Expected {
    pts_ns: u64,
    step_ns: u64,
    duration_ns: u64,
    utc_us: u64,
    seq: u64,
    number: u64,
}

impl Expected {
    fn pts(&self) -> u64 {
        self.pts_ns.wrapping_add(self.step_ns)
    }

    fn utc(&self) -> u64 {
        self.utc_us.wrapping_add(self.step_ns / 1000)
    }

    /// After this unit.
    fn after(&self, unit: &Unit) -> Self {
        Self {
            pts_ns: unit.pts_ns,
            step_ns: unit.pts_ns.wrapping_sub(self.pts_ns),
            duration_ns: unit.duration_ns,
            utc_us: unit.utc_us,
            seq: unit.last_seq.wrapping_add(1),
            number: unit.number.map_or(self.number, |number| number.wrapping_add(1)),
        }
    }
}

impl Units {
    /// Which ranges of which pieces, by their place in `pieces`, a range of the file's own time shows.
    #[must_use]
    pub fn within(&self, from_ns: u64, to_ns: u64) -> Vec<(usize, Range)> {
        let part = |(place, piece): (usize, &UnitsPiece)| {
            let begins = from_ns.max(piece.offset_ns);
            let ends = to_ns.min(piece.offset_ns.saturating_add(piece.to_ns - piece.from_ns));
            let moment = |at: u64| piece.from_ns.saturating_add(at - piece.offset_ns);
            (begins < ends).then(|| (place, Range { from_ns: moment(begins), to_ns: moment(ends) }))
        };
        self.pieces.iter().enumerate().filter_map(part).collect()
    }
}

impl UnitsPiece {
    /// The units that a range needs: pictures from the last keyframe at or before its start, and sound from there.
    pub fn select(&self, range: Range) -> impl Iterator<Item = &Unit> {
        let from_ns = self.key_before(range.from_ns).unwrap_or(range.from_ns);
        let range = Range { from_ns, ..range };
        self.units.iter().filter(move |unit| range.holds(unit.pts_ns))
    }

    /// The configuration in force for the unit at this place in `units`.
    #[must_use]
    pub fn config(&self, place: usize) -> Option<&CodecConfig> {
        let of = self.units.get(place)?.track;
        let before = self.records.iter().take_while(|(at, _)| *at <= place);
        let configs = before.filter_map(|(_, record)| match record {
            Record::Config { track, config } if *track == of => Some(config),
            _ => None,
        });
        configs.last()
    }

    fn key_before(&self, at_ns: u64) -> Option<u64> {
        let is_picture = |of: TrackId| {
            self.records.iter().any(
                |(_, record)| matches!(record, Record::Config { track, config } if *track == of && config.codec.is_video()),
            )
        };
        let video = self.units.iter().map(|unit| unit.track).find(|track| is_picture(*track))?;
        let keys = self.units.iter().filter(|unit| unit.track == video && unit.key && unit.pts_ns <= at_ns);
        keys.map(|unit| unit.pts_ns).max()
    }
}

/// The byte ranges that hold these units, in the order of the file. Holes of up to `hole_bytes` are read along, since a request costs more than
/// they do.
#[must_use]
pub fn spans<'a>(units: impl IntoIterator<Item = &'a Unit>, hole_bytes: u64) -> Vec<std::ops::Range<u64>> {
    let mut ranges: Vec<_> = units.into_iter().map(|unit| unit.offset..unit.offset + u64::from(unit.size)).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut spans: Vec<std::ops::Range<u64>> = Vec::new();
    for range in ranges {
        match spans.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(hole_bytes) => last.end = last.end.max(range.end),
            _ => spans.push(range),
        }
    }
    spans
}
