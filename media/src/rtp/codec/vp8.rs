//! VP8 over RTP (RFC 7741): payload descriptor, keyframes and their size, frames from packets.

use super::{Inspected, Malformed};
use crate::limit;
use crate::rtp::layer::{LayerId, SwitchUp};

/// The payload descriptor (RFC 7741 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor.
    pub len: usize,
    /// The packet begins a partition (S).
    pub partition_start: bool,
    /// Partition index (PID).
    pub partition: u8,
    pub picture_id: Option<u16>,
    /// Index of the base layer's picture that this one belongs to (TL0PICIDX).
    pub base_index: Option<u8>,
    /// Temporal layer (TID) and whether the picture needs the base layer alone (Y).
    pub temporal: Option<(u8, bool)>,
}

impl Descriptor {
    /// `None` when it is cut.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (&first, mut rest) = payload.split_first()?;
        let mut next = || {
            let (&byte, tail) = rest.split_first()?;
            rest = tail;
            Some(byte)
        };
        let (mut picture_id, mut base_index, mut temporal) = (None, None, None);
        if first & 0x80 != 0 {
            let extended = next()?;
            if extended & 0x80 != 0 {
                let id = next()?;
                let long = id & 0x80 != 0;
                picture_id = Some(if long { u16::from_be_bytes([id & 0x7f, next()?]) } else { u16::from(id) });
            }
            if extended & 0x40 != 0 {
                base_index = Some(next()?);
            }
            if extended & 0x30 != 0 {
                let layer = next()?;
                temporal = (extended & 0x20 != 0).then_some((layer >> 6, layer & 0x20 != 0));
            }
        }
        Some(Self {
            len: payload.len() - rest.len(),
            partition_start: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id,
            base_index,
            temporal,
        })
    }

    fn frame_start(&self) -> bool {
        self.partition_start && self.partition == 0
    }
}

pub fn inspect(payload: &[u8]) -> Option<Inspected> {
    let descriptor = Descriptor::parse(payload)?;
    let first = *payload.get(descriptor.len)?;
    let start = descriptor.frame_start();
    let (temporal, sync) = descriptor.temporal.unwrap_or((0, false));
    Some(Inspected {
        start,
        key: start && first & 1 == 0,
        layer: LayerId { spatial: 0, temporal },
        switch_up: if sync { SwitchUp::Here } else { SwitchUp::No },
        ..Inspected::default()
    })
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

    #[test]
    fn numbers_and_layers_are_read() {
        let read = |payload: &[u8]| {
            let descriptor = Descriptor::parse(payload).unwrap();
            (descriptor.picture_id, descriptor.base_index, descriptor.temporal)
        };
        assert_eq!(read(&[0x10]), (None, None, None));
        assert_eq!(read(&[0x90, 0x80, 0x11]), (Some(0x11), None, None));
        assert_eq!(read(&[0x90, 0xe0, 0x91, 0x22, 7, 0xa0]), (Some(0x1122), Some(7), Some((2, true))));
        assert_eq!(read(&[0x90, 0x60, 7, 0x40]), (None, Some(7), Some((1, false))));
        assert_eq!(read(&[0x90, 0x10, 0xff]), (None, None, None), "a key index is no layer");
        let seen = inspect(&[0x90, 0x20, 0xa0, 1]).unwrap();
        assert_eq!((seen.layer, seen.switch_up), (LayerId { spatial: 0, temporal: 2 }, SwitchUp::Here));
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
