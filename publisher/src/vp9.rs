//! VP9 frames as RTP payloads (RFC 9628): flexible mode, one layer, each picture needs the one before it.
//!
//! The library's payloader never sets P, which says that no picture needs another: a receiver then starts anywhere and shows nothing.

use bytes::{BufMut, Bytes, BytesMut};
use media::rtp::codec::vp9::KeyHeader;
use rtc::rtp::packetizer::Payloader;
use rtc::shared::error::{Error, Result};

/// I, L and F: picture id, layer, references.
const ALWAYS: u8 = 0x80 | 0x20 | 0x10;
const PREDICTED: u8 = 0x40;
const BEGINS_FRAME: u8 = 0x08;
const ENDS_FRAME: u8 = 0x04;
const HAS_STRUCTURE: u8 = 0x02;
/// The reference is the picture before, and the only one.
const PICTURE_BEFORE: u8 = 1 << 1;
/// One spatial layer whose size follows (Y).
const ONE_SIZE: u8 = 0x10;
/// Longest descriptor: head, picture id, layer, and a structure with one size.
const DESCRIPTOR_BYTES: usize = 1 + 2 + 1 + 5;

#[derive(Clone, Debug)]
pub(crate) struct Vp9Payloader {
    picture_id: u16,
}

impl Vp9Payloader {
    /// `first` is the first picture id.
    pub(crate) fn new(first: u16) -> Self {
        Self { picture_id: first & 0x7fff }
    }
}

impl Payloader for Vp9Payloader {
    fn payload(&mut self, mtu: usize, frame: &Bytes) -> Result<Vec<Bytes>> {
        if mtu <= DESCRIPTOR_BYTES {
            return Err(Error::ErrShortPacket);
        }
        let key = KeyHeader::parse(frame);
        let chunk = mtu - DESCRIPTOR_BYTES;
        let count = frame.len().div_ceil(chunk);
        let payloads = frame.chunks(chunk).enumerate().map(|(at, part)| {
            let (first, last) = (at == 0, at + 1 == count);
            let structure = key.filter(|_| first);
            let flag = |set: bool, bit: u8| if set { bit } else { 0 };
            let mut payload = BytesMut::with_capacity(DESCRIPTOR_BYTES + part.len());
            payload.put_u8(
                ALWAYS
                    | flag(key.is_none(), PREDICTED)
                    | flag(first, BEGINS_FRAME)
                    | flag(last, ENDS_FRAME)
                    | flag(structure.is_some(), HAS_STRUCTURE),
            );
            payload.put_u16(0x8000 | self.picture_id);
            payload.put_u8(0);
            if key.is_none() {
                payload.put_u8(PICTURE_BEFORE);
            }
            if let Some(KeyHeader { width, height, .. }) = structure {
                payload.put_u8(ONE_SIZE);
                payload.put_u16(width);
                payload.put_u16(height);
            }
            payload.put_slice(part);
            payload.freeze()
        });
        let payloads = payloads.collect();
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        Ok(payloads)
    }

    fn clone_to(&self) -> Box<dyn Payloader> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use media::rtp::codec::Assemble as _;
    use media::rtp::codec::vp9::{Assembler, Descriptor};

    use super::*;

    /// 640 × 360, then anything.
    const KEY: [u8; 12] = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70, 1, 2, 3];
    const INTER: [u8; 4] = [0x86, 4, 5, 6];

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut payloader = Vp9Payloader::new(0xffff);
        for (frame, key, id) in [(&KEY[..], true, 0x7fff), (&INTER, false, 0), (&INTER, false, 1)] {
            let payloads = payloader.payload(12, &Bytes::copy_from_slice(frame)).unwrap();
            assert_eq!(payloads.len(), frame.len().div_ceil(3));
            let mut assembler = Assembler::default();
            for (at, payload) in payloads.iter().enumerate() {
                assert!(payload.len() <= 12);
                let read = Descriptor::parse(payload).unwrap();
                assert_eq!((read.picture_id, read.predicted), (Some(id), !key));
                assert_eq!((read.begins_frame, read.ends_frame), (at == 0, at + 1 == payloads.len()));
                assert_eq!(read.sizes.map(|sizes| sizes.largest()), (key && at == 0).then_some((640, 360)));
                assembler.append(payload).unwrap();
            }
            let picture = assembler.finish().unwrap().unwrap();
            assert_eq!((picture.key.is_some(), &picture.data[..]), (key, frame));
        }
    }

    #[test]
    fn packets_without_room_are_refused() {
        assert!(Vp9Payloader::new(0).payload(9, &Bytes::from_static(&KEY)).is_err());
    }
}
