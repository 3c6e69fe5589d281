//! Redundant audio (RFC 2198) around Opus: a packet carries its own sound, the primary block, and before it that of packets sent earlier. What was lost is
//! found here; which of it is missing does not belong here.

use super::{Inspected, opus};
use crate::limit;

/// Head of a redundant block: its payload type behind a bit that says that another head follows, time before the packet's, length.
const HEAD: usize = 4;
const FOLLOWS: u8 = 0x80;

/// Sound of an earlier packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redundant<'a> {
    /// So much before the packet's timestamp, in ticks of its clock; at most 2^14 - 1.
    pub before: u16,
    pub data: &'a [u8],
}

/// `None` when the payload is malformed, or holds something else than Opus of this payload type.
pub fn inspect(payload: &[u8], opus_payload_type: u8) -> Option<Inspected> {
    let (mut at, mut redundant) = (0, 0);
    while *payload.get(at)? == FOLLOWS | opus_payload_type {
        redundant += block(payload, at)?.1;
        at += HEAD;
        if at > limit::REDUNDANT_BLOCKS * HEAD {
            return None;
        }
    }
    let primary = at + 1 + redundant;
    let is_opus = payload[at] == opus_payload_type;
    let inspected = opus::inspect(payload.get(primary..)?).filter(|_| is_opus)?;
    Some(Inspected { primary: u16::try_from(primary).ok()?, ..inspected })
}

/// The redundant blocks of a payload that [`inspect`] took, in the order in which they are sent: as a rule the oldest first.
pub fn redundant(payload: &[u8]) -> impl Iterator<Item = Redundant<'_>> {
    let heads = payload.chunks_exact(HEAD).take_while(|head| head[0] & FOLLOWS != 0).count();
    let (mut at, mut start) = (0, heads * HEAD + 1);
    std::iter::from_fn(move || {
        let (before, len) = block(payload, at)?;
        let data = payload.get(start..start + len)?;
        (at, start) = (at + HEAD, start + len);
        Some(Redundant { before, data })
    })
    .take(heads)
}

/// Names the blocks of a payload that [`inspect`] took by another payload type.
pub fn relabel(payload: &mut [u8], opus_payload_type: u8) {
    for head in payload.chunks_mut(HEAD) {
        let follows = head[0] & FOLLOWS;
        head[0] = follows | opus_payload_type;
        if follows == 0 {
            break;
        }
    }
}

/// Time and length of the block whose head is there.
fn block(payload: &[u8], at: usize) -> Option<(u16, usize)> {
    let head: &[u8; HEAD] = payload.get(at..)?.first_chunk()?;
    let len = usize::from(head[2] & 3) << 8 | usize::from(head[3]);
    Some((u16::from_be_bytes([head[1], head[2]]) >> 2, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: u8 = 111;

    /// Head of a block of this length, so much before.
    fn head(before: u16, len: u16) -> [u8; HEAD] {
        let [high, low] = (before << 2 | len >> 8).to_be_bytes();
        [FOLLOWS | OPUS, high, low, len as u8]
    }

    fn blocks(payload: &[u8]) -> Vec<(u16, &[u8])> {
        redundant(payload).map(|one| (one.before, one.data)).collect()
    }

    #[test]
    fn blocks_are_found() {
        let long = [7; 300];
        let two = [&head(1920, 3)[..], &head(960, 300), &[OPUS], b"old", &long, b"new"].concat();
        let inspected = inspect(&two, OPUS).unwrap();
        assert_eq!(&two[usize::from(inspected.primary)..], b"new");
        assert!(inspected.key && inspected.start);
        assert_eq!(blocks(&two), [(1920, &b"old"[..]), (960, &long[..])]);
        let alone = [&[OPUS][..], b"new"].concat();
        assert_eq!(inspect(&alone, OPUS).unwrap().primary, 1);
        assert_eq!(blocks(&alone), []);
        let empty = [&head(16_383, 0)[..], &[OPUS], b"new"].concat();
        assert_eq!(inspect(&empty, OPUS).unwrap().primary, 5);
        assert_eq!(blocks(&empty), [(16_383, &b""[..])]);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let many = |count: usize| [head(960, 0).repeat(count), vec![OPUS, 0x78]].concat();
        assert!(inspect(&many(limit::REDUNDANT_BLOCKS), OPUS).is_some());
        let table: &[(&str, Vec<u8>)] = &[
            ("empty", vec![]),
            ("no primary head", head(960, 0).to_vec()),
            ("a head that is cut", vec![FOLLOWS | OPUS, 0]),
            ("a primary block without a byte", vec![OPUS]),
            ("a block beyond the end", [&head(960, 9)[..], &[OPUS, 1, 2, 3]].concat()),
            ("another primary codec", vec![0, 1]),
            ("another redundant codec", [&[FOLLOWS, 0, 0, 0][..], &[OPUS, 1]].concat()),
            ("too many blocks", many(limit::REDUNDANT_BLOCKS + 1)),
        ];
        for (name, payload) in table {
            assert_eq!(inspect(payload, OPUS), None, "{name}");
        }
    }

    #[test]
    fn another_payload_type_changes_nothing_else() {
        let mut payload = [&head(1920, 2)[..], &head(960, 3), &[OPUS], &[0xef, 1], &[0xef, 2, 3], &[0xef]].concat();
        let before = payload.clone();
        relabel(&mut payload, 96);
        assert_eq!([payload[0], payload[4], payload[8]], [FOLLOWS | 96, FOLLOWS | 96, 96]);
        assert_eq!(inspect(&payload, OPUS), None);
        assert_eq!(inspect(&payload, 96), inspect(&before, OPUS));
        assert_eq!(blocks(&payload), blocks(&before));
        relabel(&mut payload, OPUS);
        assert_eq!(payload, before);
    }
}
