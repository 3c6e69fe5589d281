//! VP8 over RTP (RFC 7741): payload descriptor, keyframes and their size, frames from packets.

use super::{Inspected, Malformed};
use crate::limit;

/// The payload descriptor (RFC 7741 §4.2), as far as we use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor.
    pub len: usize,
    /// The packet begins a partition (S).
    pub partition_start: bool,
    /// Partition index (PID).
    pub partition: u8,
}

impl Descriptor {
    /// `None` when it is cut.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut len = 1;
        if first & 0x80 != 0 {
            let extended = *payload.get(1)?;
            len = 2;
            if extended & 0x80 != 0 {
                len += if payload.get(len)? & 0x80 != 0 { 2 } else { 1 };
            }
            if extended & 0x40 != 0 {
                len += 1;
            }
            if extended & 0x30 != 0 {
                len += 1;
            }
        }
        (payload.len() >= len).then_some(Self { len, partition_start: first & 0x10 != 0, partition: first & 0x07 })
    }

    fn frame_start(&self) -> bool {
        self.partition_start && self.partition == 0
    }
}

pub fn inspect(payload: &[u8]) -> Option<Inspected> {
    let descriptor = Descriptor::parse(payload)?;
    let first = *payload.get(descriptor.len)?;
    let start = descriptor.frame_start();
    Some(Inspected { start, key: start && first & 1 == 0 })
}

/// Joins the packets of one frame, in order, behind `frame`'s content. The caller answers for completeness.
pub fn append(frame: &mut Vec<u8>, payload: &[u8]) -> Result<(), Malformed> {
    let descriptor = Descriptor::parse(payload).ok_or(Malformed::Truncated)?;
    let data = &payload[descriptor.len..];
    if data.is_empty() {
        return Err(Malformed::Truncated);
    }
    if frame.is_empty() && !descriptor.frame_start() {
        return Err(Malformed::MissingStart);
    }
    if frame.len() + data.len() > limit::ACCESS_UNIT_BYTES {
        return Err(Malformed::TooLarge);
    }
    frame.extend_from_slice(data);
    Ok(())
}

/// Width and height of a keyframe in pixels (RFC 6386 §9.1). `None` for other frames and malformed ones.
pub fn key_size(frame: &[u8]) -> Option<(u16, u16)> {
    let head: &[u8; 10] = frame.first_chunk()?;
    if head[0] & 1 != 0 || head[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let size = |low: u8, high: u8| u16::from_le_bytes([low, high]) & 0x3fff;
    Some((size(head[6], head[7]), size(head[8], head[9])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors() {
        let table: &[(&str, &[u8], Option<usize>)] = &[
            ("plain", &[0x10], Some(1)),
            ("picture id of 7 bits", &[0x90, 0x80, 0x11], Some(3)),
            ("picture id of 15 bits", &[0x90, 0x80, 0x91, 0x22], Some(4)),
            ("picture id, level, layer", &[0x90, 0xe0, 0x91, 0x22, 1, 0x20], Some(6)),
            ("layer and key index share a byte", &[0x90, 0x30, 0x20], Some(3)),
            ("empty", &[], None),
            ("extension cut", &[0x90], None),
            ("long picture id cut", &[0x90, 0x80, 0x91], None),
            ("layer cut", &[0x90, 0x20], None),
        ];
        for (name, payload, len) in table {
            assert_eq!(Descriptor::parse(payload).map(|descriptor| descriptor.len), *len, "{name}");
        }
    }

    type Case = (&'static [u8], Option<(bool, bool)>);

    #[test]
    fn keyframes_begin_at_partition_zero() {
        let table: &[Case] = &[
            (&[0x10, 0x00], Some((true, true))),
            (&[0x10, 0x01], Some((true, false))),
            (&[0x00, 0x00], Some((false, false))),
            (&[0x11, 0x00], Some((false, false))),
            (&[0x10], None),
        ];
        for (payload, expected) in table {
            assert_eq!(inspect(payload).map(|seen| (seen.start, seen.key)), *expected, "{payload:x?}");
        }
    }

    #[test]
    fn frames_are_joined_without_descriptors() {
        let mut frame = Vec::new();
        append(&mut frame, &[0x90, 0x80, 0x05, 0x50, 0x01]).unwrap();
        append(&mut frame, &[0x80, 0x80, 0x05, 0x02]).unwrap();
        assert_eq!(frame, [0x50, 0x01, 0x02]);
        assert_eq!(append(&mut Vec::new(), &[0x00, 1]), Err(Malformed::MissingStart));
        assert_eq!(append(&mut frame, &[0x10]), Err(Malformed::Truncated));
    }

    #[test]
    fn keyframes_tell_their_size() {
        let key = [0x50, 0x42, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41];
        assert_eq!(key_size(&key), Some((640, 360)));
        assert_eq!(key_size(&key[..9]), None);
        let mut inter = key;
        inter[0] |= 1;
        assert_eq!(key_size(&inter), None);
        let mut wrong = key;
        wrong[3] = 0;
        assert_eq!(key_size(&wrong), None);
    }
}
