//! A table as bytes.

use std::collections::BTreeMap;

use bytes::BufMut;
use media::id::TrackId;

use super::{
    AFTER_GIVEN_UP, Expected, IS_RECORD, KEY, MADE, MAGIC, NUMBER_FOLLOWS, NUMBERED, SEQ_FOLLOWS, Unit, Units,
    UnitsPiece, VERSION,
};
use crate::format::{self, Record};

impl Units {
    /// The table as it is stored. About 15 bytes a unit.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let units: usize = self.pieces.iter().map(|piece| piece.units.len()).sum();
        let mut out = Vec::with_capacity(256 + units * 16);
        out.put_slice(&MAGIC);
        out.put_u16_le(VERSION);
        number(&mut out, self.file_bytes);
        number(&mut out, self.pieces.len() as u64);
        let mut end = 0;
        for piece in &self.pieces {
            encode_piece(&mut out, piece, &mut end);
        }
        let crc = crc32fast::hash(&out);
        out.put_u32_le(crc);
        out
    }
}

fn encode_piece(out: &mut Vec<u8>, piece: &UnitsPiece, end: &mut u64) {
    out.put_slice(&format::encode_header(&piece.header));
    for value in [piece.from_ns, piece.to_ns, piece.offset_ns, (piece.records.len() + piece.units.len()) as u64] {
        number(out, value);
    }
    let mut records = piece.records.iter().peekable();
    let mut expected: BTreeMap<TrackId, Expected> = BTreeMap::new();
    for (place, unit) in piece.units.iter().enumerate() {
        while let Some((_, record)) = records.next_if(|(before, _)| *before <= place) {
            encode_record(out, record);
        }
        let expected = expected.entry(unit.track).or_default();
        encode_unit(out, unit, expected, *end);
        *expected = expected.after(unit);
        *end = unit.offset.wrapping_add(u64::from(unit.size));
    }
    records.for_each(|(_, record)| encode_record(out, record));
}

fn encode_record(out: &mut Vec<u8>, record: &Record) {
    let encoded = format::encode(record, format::Salt::default()); // the table has a checksum of its own
    out.put_u8(IS_RECORD);
    number(out, encoded.size() as u64);
    out.put_slice(&encoded.head);
    out.put_slice(&encoded.data);
    out.put_slice(&encoded.tail);
}

fn encode_unit(out: &mut Vec<u8>, unit: &Unit, expected: &Expected, end: u64) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let seq_follows = unit.first_seq != expected.seq;
    let number_follows = unit.number.is_some_and(|number| number != expected.number);
    out.put_u8(
        flag(unit.key, KEY)
            | flag(unit.number.is_some(), NUMBERED)
            | flag(number_follows, NUMBER_FOLLOWS)
            | flag(unit.after_given_up, AFTER_GIVEN_UP)
            | flag(seq_follows, SEQ_FOLLOWS)
            | flag(unit.made, MADE),
    );
    out.put_u8(unit.track.0);
    difference(out, unit.pts_ns, expected.pts());
    difference(out, unit.duration_ns, expected.duration_ns);
    difference(out, unit.utc_us, expected.utc());
    if seq_follows {
        number(out, unit.first_seq);
    }
    number(out, unit.last_seq.wrapping_sub(unit.first_seq));
    if let Some(value) = unit.number.filter(|_| number_follows) {
        number(out, value);
    }
    difference(out, unit.offset, end);
    number(out, u64::from(unit.size));
}

/// LEB128.
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.put_u8(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The sign goes to the lowest bit.
fn difference(out: &mut Vec<u8>, value: u64, expected: u64) {
    let by = value.wrapping_sub(expected) as i64;
    number(out, ((by << 1) ^ (by >> 63)) as u64);
}
