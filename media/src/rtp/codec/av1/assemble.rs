//! Temporal units in the low-overhead bitstream format (AV1 §5.2) from the payloads of one picture.

use super::{Aggregation, Obu, PADDING, SEQUENCE_HEADER, SequenceHeader, TEMPORAL_DELIMITER, TILE_LIST, elements};
use crate::limit;
use crate::rtp::codec::{Assemble, Malformed};

/// A finished temporal unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Holds a sequence header and begins with a keyframe.
    pub key: bool,
    /// OBUs with size fields. Temporal delimiters, tile lists and padding are left out, as a file wants it.
    pub data: Vec<u8>,
}

/// Joins payloads; remembers the sequence header across units.
#[derive(Debug, Default)]
pub struct Assembler {
    data: Vec<u8>,
    /// The OBU that goes on in the next packet.
    fragment: Option<Vec<u8>>,
    with_sequence: bool,
    /// Whether the first frame of the unit is a keyframe.
    key: Option<bool>,
    sequence: Option<(SequenceHeader, Vec<u8>)>,
}

impl Assemble for Assembler {
    type Unit = Assembled;

    fn append(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let (aggregation, rest) = Aggregation::parse(payload).ok_or(Malformed::Truncated)?;
        let waiting = self.fragment.as_ref().map_or(0, Vec::len);
        // A size field takes up to four bytes at this bound.
        if self.data.len() + waiting + payload.len() + 4 > limit::ACCESS_UNIT_BYTES {
            return Err(Malformed::TooLarge);
        }
        match (aggregation.continues, self.fragment.is_some()) {
            (true, false) => return Err(Malformed::MissingStart),
            (false, true) => return Err(Malformed::MissingEnd),
            _ => {}
        }
        let mut found = elements(aggregation.count, rest).peekable();
        while let Some(element) = found.next() {
            let element = element.ok_or(Malformed::Truncated)?;
            let goes_on = aggregation.goes_on && found.peek().is_none();
            match self.fragment.take() {
                Some(mut fragment) => {
                    fragment.extend_from_slice(element);
                    if goes_on {
                        self.fragment = Some(fragment);
                    } else {
                        self.obu(&fragment)?;
                    }
                }
                None if goes_on => self.fragment = Some(element.to_vec()),
                None => self.obu(element)?,
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<Assembled>, Malformed> {
        let open = self.fragment.is_some();
        let data = std::mem::take(&mut self.data);
        let (with_sequence, key) = (self.with_sequence, self.key);
        self.discard();
        if open {
            return Err(Malformed::MissingEnd);
        }
        Ok(key.map(|key| Assembled { key: key && with_sequence, data }))
    }

    fn discard(&mut self) {
        self.data.clear();
        self.fragment = None;
        self.with_sequence = false;
        self.key = None;
    }
}

impl Assembler {
    /// The newest sequence header and its OBU with a size field.
    pub fn sequence(&self) -> Option<(SequenceHeader, &[u8])> {
        self.sequence.as_ref().map(|(header, obu)| (*header, &obu[..]))
    }

    fn obu(&mut self, element: &[u8]) -> Result<(), Malformed> {
        if element.is_empty() {
            return Ok(());
        }
        let obu = Obu::parse(element).ok_or(Malformed::Truncated)?;
        if matches!(obu.kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
            return Ok(());
        }
        let begins = self.data.len();
        self.data.push(obu.head[0] | 0x02);
        self.data.extend_from_slice(&obu.head[1..]);
        push_leb128(&mut self.data, obu.payload.len());
        self.data.extend_from_slice(obu.payload);
        if obu.kind == SEQUENCE_HEADER {
            let header = SequenceHeader::parse(obu.payload).ok_or(Malformed::Truncated)?;
            self.with_sequence = true;
            self.sequence = Some((header, self.data[begins..].to_vec()));
        } else if self.key.is_none() {
            self.key = obu.begins_key();
        }
        Ok(())
    }
}

fn push_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::codec::assemble;

    /// Main profile, 8 bits, 640 × 360, level 2.1: as libaom 3.6 writes it in real time.
    const SEQUENCE: [u8; 13] = [0x08, 0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0xe0, 0x6d, 0x7c, 0x80, 0x20];

    #[test]
    fn units_get_size_fields() {
        let mut assembler = Assembler::default();
        let payload = [&[0x28, 13][..], &SEQUENCE, &[0x30, 0x10, 9]].concat();
        let key = assemble(&mut assembler, &[&payload]).unwrap().unwrap();
        let expected = [&[0x0a, 12][..], &SEQUENCE[1..], &[0x32, 2, 0x10, 9]].concat();
        assert_eq!(key, Assembled { key: true, data: expected.clone() });
        let (header, obu) = assembler.sequence().unwrap();
        assert_eq!((header.width, header.height, obu), (640, 360, &expected[..14]));
        let inter = assemble(&mut assembler, &[&[0x10, 0x30, 0x30, 1]]).unwrap().unwrap();
        assert_eq!(inter, Assembled { key: false, data: vec![0x32, 2, 0x30, 1] });
        assert!(assembler.sequence().is_some(), "kept");
    }

    #[test]
    fn fragments_are_joined_wherever_they_are_cut() {
        // Two OBUs: a frame header with an extension, then a frame of 300 bytes.
        let obus = [vec![0x1c, 0x20, 0x30], [&[0x30][..], &[0x55; 300]].concat()];
        let whole = assemble(&mut Assembler::default(), &[&[&[0x20, 3][..], &obus[0], &obus[1]].concat()]);
        for cut in 1..obus[1].len() - 1 {
            let first = [&[0x60, 3][..], &obus[0], &obus[1][..cut]].concat();
            let middle = [&[0xd0][..], &obus[1][cut..cut + 1]].concat();
            let last = [&[0x90][..], &obus[1][cut + 1..]].concat();
            let joined = assemble(&mut Assembler::default(), &[&first, &middle, &last]);
            assert_eq!(joined, whole, "cut at {cut}");
        }
        assert_eq!(whole.unwrap().unwrap().data[..8], [0x1e, 0x20, 1, 0x30, 0x32, 0xac, 0x02, 0x55]);
    }

    #[test]
    fn what_a_file_does_not_want_is_left_out() {
        let payload = [0x00, 2, 0x12, 0, 2, 0x30, 0x30, 0, 3, 0x7a, 1, 0x80];
        let unit = assemble(&mut Assembler::default(), &[&payload]).unwrap().unwrap();
        assert_eq!(unit.data, [0x32, 1, 0x30]);
    }

    #[test]
    fn broken_units_are_refused_and_forgotten() {
        let mut assembler = Assembler::default();
        let table: &[(&[&[u8]], Malformed)] = &[
            (&[&[0x90, 1]], Malformed::MissingStart),
            (&[&[0x50, 0x30]], Malformed::MissingEnd),
            (&[&[0x50, 0x30], &[0x10, 0x30]], Malformed::MissingEnd),
            (&[&[0x20, 9, 1]], Malformed::Truncated),
            (&[&[0x10]], Malformed::Truncated),
            (&[&[]], Malformed::Truncated),
            (&[&[0x10, 0x34]], Malformed::Truncated),
            (&[&[0x10, 0x36, 0x00]], Malformed::Truncated),
            (&[&[0x18, 0x08, 0xff]], Malformed::Truncated),
        ];
        for (payloads, expected) in table {
            assert_eq!(assemble(&mut assembler, payloads), Err(*expected), "{payloads:x?}");
            assert_eq!(assembler.finish(), Ok(None), "nothing is left of {payloads:x?}");
        }
    }

    #[test]
    fn units_are_bounded() {
        let mut assembler = Assembler::default();
        let (first, more) = ([&[0x50][..], &[0x30; 60_000]].concat(), [&[0xd0][..], &[0; 60_000]].concat());
        assembler.append(&first).unwrap();
        let grown = (1..).find(|_| assembler.append(&more).is_err()).unwrap();
        assert_eq!(grown, (limit::ACCESS_UNIT_BYTES - 5) / 60_000);
    }
}
