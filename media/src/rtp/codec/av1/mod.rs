//! AV1 over RTP (AOMedia "RTP Payload Format For AV1"): aggregation header and OBU elements, keyframes and their format, temporal units from
//! packets. Layers are not in the payload but in a header extension, see [`crate::rtp::dependency`].

mod assemble;
mod sequence;

pub use assemble::{Assembled, Assembler};
pub use sequence::SequenceHeader;

use super::Inspected;
use super::bits::Bits;

// `obu_type` of AV1 §6.2.2.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// The aggregation header (§4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregation {
    /// The first element continues one of the packet before (Z).
    pub continues: bool,
    /// The last element goes on in the next packet (Y).
    pub goes_on: bool,
    /// Number of elements, of which the last has no length; 0: not told, all have one (W).
    pub count: u8,
    /// First packet of a coded video sequence (N).
    pub new_sequence: bool,
}

impl Aggregation {
    /// The header and what is behind it. `None` when nothing is there, or a sequence begins with a continuation, which it cannot.
    pub fn parse(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (&head, rest) = payload.split_first()?;
        let header = Self {
            continues: head & 0x80 != 0,
            goes_on: head & 0x40 != 0,
            count: head >> 4 & 3,
            new_sequence: head & 0x08 != 0,
        };
        let begins_twice = header.continues && header.new_sequence;
        (!rest.is_empty() && !begins_twice).then_some((header, rest))
    }
}

/// The OBU elements behind the aggregation header. `None` once where the packet is cut, then no more.
fn elements(count: u8, mut rest: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            // Fewer than it says.
            let cut = number < count;
            number = count;
            return cut.then_some(None);
        }
        number = number.saturating_add(1);
        if number == count {
            return Some(Some(std::mem::take(&mut rest)));
        }
        let element = leb128(rest).and_then(|(length, tail)| tail.split_at_checked(length));
        rest = element.map_or(&[][..], |(_, tail)| tail);
        if element.is_none() {
            number = count;
        }
        Some(element.map(|(element, _)| element))
    })
}

/// An unsigned number (AV1 §4.10.5) and what is behind it. `None` when it is cut or above 32 bits.
fn leb128(data: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in data.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()? as usize, &data[at + 1..]));
        }
    }
    None
}

/// One open bitstream unit, its size field taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Obu<'a> {
    kind: u8,
    /// Header with extension, as received.
    head: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// `None` when it is cut, or when its size field and its length differ.
    fn parse(element: &'a [u8]) -> Option<Self> {
        let first = *element.first()?;
        let (head, rest) = element.split_at_checked(if first & 0x04 == 0 { 1 } else { 2 })?;
        let payload = if first & 0x02 == 0 {
            rest
        } else {
            let (length, payload) = leb128(rest)?;
            (length == payload.len()).then_some(payload)?
        };
        Some(Self { kind: first >> 3 & 15, head, payload })
    }

    /// Whether it begins a keyframe that is shown (AV1 §5.9.2), of a sequence without still pictures. `None`: it is no frame.
    fn begins_key(&self) -> Option<bool> {
        matches!(self.kind, FRAME_HEADER | FRAME).then_some(())?;
        // show_existing_frame, frame_type, show_frame
        Some(Bits::new(self.payload).take(4) == Some(0b0001))
    }
}

/// A keyframe comes with its sequence header, which is the first of its OBUs.
pub fn inspect(payload: &[u8]) -> Option<Inspected> {
    let (aggregation, rest) = Aggregation::parse(payload)?;
    let mut seen = Inspected { start: !aggregation.continues, ..Inspected::default() };
    if aggregation.continues {
        return Some(seen);
    }
    let mut with_sequence = false;
    let mut found = elements(aggregation.count, rest).peekable();
    while let Some(element) = found.next() {
        let element = element?;
        // One that goes on in the next packet has no end here, so that only its first bytes are looked at.
        let cut = aggregation.goes_on && found.peek().is_none();
        let Some(&first) = element.first() else { continue };
        with_sequence |= first >> 3 & 15 == SEQUENCE_HEADER;
        if cut {
            break;
        }
        let key = Obu::parse(element)?.begins_key();
        if let Some(key) = key {
            seen.key = with_sequence && key;
            return Some(seen);
        }
    }
    // The frame begins in another packet, or is cut: then the sender's word is taken.
    seen.key = with_sequence && aggregation.new_sequence;
    Some(seen)
}

/// The sequence header that this payload carries whole.
pub fn find_sequence(payload: &[u8]) -> Option<SequenceHeader> {
    let (aggregation, rest) = Aggregation::parse(payload)?;
    let whole = elements(aggregation.count, rest).skip(usize::from(aggregation.continues));
    let obus = whole.map_while(|element| element).filter_map(Obu::parse);
    obus.into_iter().find(|obu| obu.kind == SEQUENCE_HEADER).and_then(|obu| SequenceHeader::parse(obu.payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_lengths_but_the_last() {
        let read = |count, bytes| elements(count, bytes).map(|e| e.map(<[u8]>::to_vec)).collect::<Vec<_>>();
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(read(1, &[1, 2, 3]), [some(&[1, 2, 3])]);
        assert_eq!(read(2, &[2, 1, 2, 3]), [some(&[1, 2]), some(&[3])]);
        assert_eq!(read(0, &[2, 1, 2, 1, 3]), [some(&[1, 2]), some(&[3])]);
        assert_eq!(read(0, &[0, 1, 3]), [some(&[]), some(&[3])]);
        assert_eq!(read(0, &[2, 1]), [None], "cut");
        assert_eq!(read(2, &[9, 1]), [None], "cut");
        assert_eq!(read(3, &[1, 1, 1, 2]), [some(&[1]), some(&[2]), None], "fewer than it says");
        assert_eq!(read(0, &[0x80, 0x80]), [None], "a length without end");
        assert_eq!(read(0, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]), [None], "a length beyond memory");
    }

    type Case = (&'static str, &'static [u8], Option<(bool, bool)>);

    #[test]
    fn keyframes_are_seen() {
        // Sequence header (kind 1), frame (kind 6) with frame_type 0 and show_frame 1: 0x10.
        let table: &[Case] = &[
            ("key", &[0x28, 2, 0x08, 0, 0x30, 0x10], Some((true, true))),
            ("key without N", &[0x20, 2, 0x08, 0, 0x30, 0x10], Some((true, true))),
            ("key with lengths", &[0x08, 2, 0x08, 0, 2, 0x30, 0x10], Some((true, true))),
            ("key whose frame goes on", &[0x68, 2, 0x08, 0, 0x30, 0x10], Some((true, true))),
            ("key whose sequence header goes on", &[0x58, 0x08, 0], Some((true, true))),
            ("sequence header alone, no N", &[0x10, 0x08, 0], Some((false, true))),
            ("sequence header before an inter frame", &[0x20, 2, 0x08, 0, 0x30, 0x30], Some((false, true))),
            ("inter", &[0x10, 0x30, 0x30], Some((false, true))),
            ("key picture without a sequence header", &[0x18, 0x30, 0x10], Some((false, true))),
            ("fragment", &[0x90, 0x08, 0], Some((false, false))),
            ("an extension cut off", &[0x10, 0x34], None),
            ("an element cut off", &[0x28, 9, 0x08], None),
            ("a continuation that is a start", &[0x98, 0x08, 0], None),
            ("aggregation header alone", &[0x10], None),
            ("empty", &[], None),
        ];
        for (name, payload, expected) in table {
            assert_eq!(inspect(payload).map(|seen| (seen.key, seen.start)), *expected, "{name}");
        }
    }

    #[test]
    fn size_fields_must_agree() {
        assert_eq!(Obu::parse(&[0x32, 1, 7]).map(|obu| obu.payload), Some(&[7][..]));
        assert_eq!(
            Obu::parse(&[0x36, 0x20, 1, 7]).map(|obu| (obu.head, obu.payload)),
            Some((&[0x36, 0x20][..], &[7][..]))
        );
        for broken in [&[][..], &[0x32], &[0x32, 2, 7], &[0x32, 0, 7], &[0x36]] {
            assert_eq!(Obu::parse(broken), None, "{broken:x?}");
        }
    }
}
