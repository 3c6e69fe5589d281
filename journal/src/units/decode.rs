//! Bytes as a table. They may come from a store that others write to, so nothing in them is believed before it is checked.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes};
use media::id::TrackId;

use super::{
    AFTER_GIVEN_UP, Expected, IS_RECORD, KEY, MADE, MAGIC, NUMBER_FOLLOWS, NUMBERED, SEQ_FOLLOWS, Unit, Units,
    UnitsPiece, VERSION,
};
use crate::format::{self, DATA_BYTES, HeaderError, RECORD_HEAD, RECORD_TAIL, Record};

const CRC_BYTES: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitsError {
    #[error("not a table of units")]
    NotATable,
    #[error("table of units: version {0} is newer than this program")]
    Version(u16),
    #[error("table of units: {0}")]
    Header(HeaderError),
    /// What makes no sense.
    #[error("the table of units is damaged: {0}")]
    Damaged(&'static str),
}

const SHORT: UnitsError = UnitsError::Damaged("it ends too early");

impl Units {
    /// Reads a table.
    ///
    /// # Errors
    /// [`UnitsError`]; never panics, whatever the bytes are. What it gives holds: every unit lies within the file, has a
    /// configuration, and comes after the one before it on its track.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnitsError> {
        let mut at = bytes.strip_prefix(&MAGIC).ok_or(UnitsError::NotATable)?;
        if at.len() < 2 + CRC_BYTES {
            return Err(SHORT);
        }
        let version = at.get_u16_le();
        if version > VERSION {
            return Err(UnitsError::Version(version));
        }
        let (checked, crc) = bytes.split_at(bytes.len() - CRC_BYTES);
        if crc32fast::hash(checked).to_le_bytes() != *crc {
            return Err(UnitsError::Damaged("its checksum is wrong"));
        }
        at = &at[..at.len() - CRC_BYTES];
        let file_bytes = number(&mut at)?;
        let count = number(&mut at)?;
        let mut pieces = Vec::new();
        let mut end = 0;
        for _ in 0..count {
            pieces.push(decode_piece(&mut at, &mut end, file_bytes)?);
        }
        if !at.is_empty() {
            return Err(UnitsError::Damaged("something follows"));
        }
        Ok(Self { file_bytes, pieces })
    }
}

fn decode_piece(at: &mut &[u8], end: &mut u64, file_bytes: u64) -> Result<UnitsPiece, UnitsError> {
    let (header, length) = format::decode_header(at).map_err(UnitsError::Header)?;
    at.advance(length);
    let (from_ns, to_ns, offset_ns) = (number(at)?, number(at)?, number(at)?);
    if from_ns > to_ns {
        return Err(UnitsError::Damaged("a piece ends before it begins"));
    }
    let items = number(at)?;
    let mut piece = UnitsPiece { header, from_ns, to_ns, offset_ns, records: Vec::new(), units: Vec::new() };
    let mut expected: BTreeMap<TrackId, Expected> = BTreeMap::new();
    let mut configured = BTreeSet::new();
    for _ in 0..items {
        let flags = byte(at)?;
        if flags & IS_RECORD != 0 {
            let record = decode_record(at)?;
            if let Record::Config { track, .. } = &record {
                configured.insert(*track);
            }
            piece.records.push((piece.units.len(), record));
            continue;
        }
        let track = TrackId(byte(at)?);
        if !configured.contains(&track) {
            return Err(UnitsError::Damaged("a unit without a configuration"));
        }
        let is_first = !expected.contains_key(&track);
        let before = expected.entry(track).or_default();
        let unit = decode_unit(at, flags, track, before, *end)?;
        if !is_first && unit.pts_ns <= before.pts_ns {
            return Err(UnitsError::Damaged("a track goes back"));
        }
        *before = before.after(&unit);
        *end = unit.offset.checked_add(u64::from(unit.size)).filter(|end| *end <= file_bytes).ok_or(OUTSIDE)?;
        piece.units.push(unit);
    }
    Ok(piece)
}

const OUTSIDE: UnitsError = UnitsError::Damaged("a unit outside of the file");

fn decode_unit(at: &mut &[u8], flags: u8, track: TrackId, expected: &Expected, end: u64) -> Result<Unit, UnitsError> {
    let is = |flag: u8| flags & flag != 0;
    let pts_ns = difference(at, expected.pts())?;
    let duration_ns = difference(at, expected.duration_ns)?;
    let utc_us = difference(at, expected.utc())?;
    let first_seq = if is(SEQ_FOLLOWS) { number(at)? } else { expected.seq };
    let last_seq = first_seq.wrapping_add(number(at)?);
    let counted = if is(NUMBER_FOLLOWS) { number(at)? } else { expected.number };
    let offset = difference(at, end)?;
    let size = u32::try_from(number(at)?).map_err(|_| OUTSIDE)?;
    if size as usize > DATA_BYTES {
        return Err(UnitsError::Damaged("a unit is larger than any"));
    }
    Ok(Unit {
        track,
        key: is(KEY),
        made: is(MADE),
        pts_ns,
        duration_ns,
        utc_us,
        first_seq,
        last_seq,
        number: is(NUMBERED).then_some(counted),
        after_given_up: is(AFTER_GIVEN_UP),
        offset,
        size,
    })
}

/// Only what says something about the units that follow.
fn decode_record(at: &mut &[u8]) -> Result<Record, UnitsError> {
    const WRONG: UnitsError = UnitsError::Damaged("a record makes no sense");
    let length = usize::try_from(number(at)?).ok().filter(|length| *length <= at.len()).ok_or(SHORT)?;
    let (record, rest) = at.split_at(length);
    *at = rest;
    let (head, rest) = record.split_first_chunk::<RECORD_HEAD>().ok_or(WRONG)?;
    let (data, tail) = rest.split_last_chunk::<RECORD_TAIL>().ok_or(WRONG)?;
    if format::data_length(head) != Some(data.len()) {
        return Err(WRONG);
    }
    match format::decode(head, Bytes::copy_from_slice(data), *tail, format::Salt::default()) {
        Some(record @ (Record::Config { .. } | Record::Gap { .. } | Record::Orientation { .. })) => Ok(record),
        _ => Err(WRONG),
    }
}

fn byte(at: &mut &[u8]) -> Result<u8, UnitsError> {
    let (first, rest) = at.split_first().ok_or(SHORT)?;
    *at = rest;
    Ok(*first)
}

/// LEB128 of at most ten bytes; what does not fit 64 bits is cut off.
fn number(at: &mut &[u8]) -> Result<u64, UnitsError> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let next = byte(at)?;
        value |= u64::from(next & 0x7f).checked_shl(shift).unwrap_or(0);
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(UnitsError::Damaged("a number is too long"))
}

fn difference(at: &mut &[u8], expected: u64) -> Result<u64, UnitsError> {
    let by = number(at)?;
    Ok(expected.wrapping_add((by >> 1) ^ (by & 1).wrapping_neg()))
}
