//! Whatever bytes come, parsers answer and do not panic.

use media::message::Codec;
use media::rtp::codec::{self, Assemble, av1, h264, opus, red, vp8, vp9};
use media::rtp::packet::{Header, split_retransmission};
use proptest::collection::vec;
use proptest::prelude::*;

fn read_rtp(packet: &[u8]) {
    let Some(header) = Header::parse(packet) else { return };
    let payload = header.payload(packet);
    for id in [0, 1, 3, 14, 15, 255] {
        if let Some(element) = header.extension(packet, id) {
            assert!(element.len() < packet.len());
        }
        header.transport_sequence(packet, id);
    }
    split_retransmission(payload);
    read_payload(payload);
}

fn read_payload(payload: &[u8]) {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1, Codec::Opus] {
        codec::inspect(codec, payload);
    }
    h264::find_sps(payload);
    opus::samples(payload);
    red::redundant(payload).for_each(|block| assert!(block.data.len() < payload.len()));
    red::relabel(&mut payload.to_vec(), 111);
    vp8::key_size(payload);
    vp9::key_header(payload);
    av1::find_sequence(payload);
    let mut frame = Vec::new();
    if vp8::append(&mut frame, payload).is_ok() {
        assert!(frame.len() < payload.len());
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        read_rtp(&bytes);
        read_payload(&bytes);
        h264::Sps::parse(&bytes);
        vp9::KeyHeader::parse(&bytes);
        av1::SequenceHeader::parse(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_plausible_head(first in 0x80u8..0xc0, profile in prop_oneof![Just(0xbede_u16), Just(0x1000), any::<u16>()], words in 0u16..8, rest in vec(any::<u8>(), 0..120)) {
        let mut packet = vec![first, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend(std::iter::repeat_n(7, 4 * usize::from(first & 0x0f)));
        packet.extend(profile.to_be_bytes());
        packet.extend(words.to_be_bytes());
        packet.extend(rest);
        read_rtp(&packet);
    }

    #[test]
    fn any_parameter_set(profile in prop_oneof![Just(66u8), Just(100), Just(244), any::<u8>()], rest in vec(any::<u8>(), 0..60)) {
        let nal = [&[0x67, profile, 0, 31], &rest[..]].concat();
        if let Some(sps) = h264::Sps::parse(&nal) {
            prop_assert!(sps.width > 0 && sps.height > 0);
        }
    }

    #[test]
    fn any_vp9_keyframe(profile in 0u8..4, rest in vec(any::<u8>(), 0..12)) {
        let first = 0x80 | (profile & 1) << 5 | (profile & 2) << 3;
        let frame = [&[first | if profile == 3 { 1 } else { 2 }, 0x49, 0x83, 0x42], &rest[..]].concat();
        if let Some(header) = vp9::KeyHeader::parse(&frame) {
            prop_assert_eq!(header.profile, profile);
            prop_assert!(header.width > 0 && header.height > 0);
        }
    }

    /// A picture holds exactly the bytes behind the descriptors, and an index behind several frames.
    #[test]
    fn any_payloads_of_a_vp9_picture(payloads in vec((any::<u8>(), vec(any::<u8>(), 0..40)), 0..12)) {
        let mut assembler = vp9::Assembler::default();
        let (mut bytes, mut frames) = (0, 0);
        for (head, rest) in payloads {
            let payload = [&[head], &rest[..]].concat();
            match (assembler.append(&payload), vp9::Descriptor::parse(&payload)) {
                (Ok(()), Some(descriptor)) => {
                    bytes += payload.len() - descriptor.len;
                    frames += usize::from(descriptor.begins_frame);
                }
                _ => {
                    assembler.discard();
                    (bytes, frames) = (0, 0);
                }
            }
        }
        if let Ok(Some(picture)) = assembler.finish() {
            prop_assert_eq!(picture.data.len(), bytes + if frames > 1 { 2 + 4 * frames } else { 0 });
        }
        prop_assert_eq!(assembler.finish(), Ok(None));
    }

    /// Units come out as OBUs with sizes that add up, or not at all, however elements are laid out and cut.
    #[test]
    fn any_payloads_of_an_av1_unit(payloads in vec((any::<u8>(), vec(prop_oneof![Just(0x08u8), Just(0x30), Just(0x32), Just(2), Just(0x10), any::<u8>()], 0..24)), 0..12)) {
        let mut assembler = av1::Assembler::default();
        for (head, rest) in payloads {
            if assembler.append(&[&[head], &rest[..]].concat()).is_err() {
                assembler.discard();
            }
        }
        if let Ok(Some(unit)) = assembler.finish() {
            let mut at = 0;
            while at < unit.data.len() {
                prop_assert!(unit.data[at] & 2 != 0);
                // Payloads of fewer than 300 bytes: sizes of one or two bytes.
                let size = at + 1 + usize::from(unit.data[at] >> 2 & 1);
                let low = usize::from(unit.data[size]);
                at = if low < 128 { size + 1 + low } else { size + 2 + (low & 127) + (usize::from(unit.data[size + 1]) << 7) };
            }
            prop_assert_eq!(at, unit.data.len());
        }
        prop_assert_eq!(assembler.finish(), Ok(None));
    }

    /// Units come out in Annex B or not at all, whatever the payloads.
    #[test]
    fn any_payloads_of_a_unit(payloads in vec((prop_oneof![Just(28u8), Just(24), Just(0x65), Just(0x67), Just(0x68), any::<u8>()], vec(any::<u8>(), 0..40)), 0..12)) {
        let mut assembler = h264::Assembler::default();
        for (head, rest) in payloads {
            if assembler.append(&[&[head], &rest[..]].concat()).is_err() {
                assembler.discard();
            }
        }
        if let Ok(Some(unit)) = assembler.finish() {
            prop_assert_eq!(&unit.data[..4], &[0, 0, 0, 1]);
            prop_assert!(!unit.key || unit.data.len() > 4);
        }
        prop_assert_eq!(assembler.finish(), Ok(None));
    }
}
