//! RTP headers and what codecs make of payloads.

use media::limit;
use media::message::{Codec, Orientation};
use media::rtp::codec::vp8_numbers::{Numbers, Shift};
use media::rtp::codec::{self, Assemble, av1, h264, opus, red, vp8, vp9};
use media::rtp::dependency::Dependencies;
use media::rtp::extension::{CaptureTime, Extensions, PlayoutDelay};
use media::rtp::packet::{Header, MAX_HEADER_LEN, Outgoing, split_retransmission};

use crate::bytes::Bytes;

/// All of them; the compiler is asked below whether one is missing.
pub const CODECS: [Codec; 5] = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264, Codec::Opus];

const _: () = match Codec::Opus {
    Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::H264 | Codec::Opus => {}
};

/// A packet as it comes out of decryption.
pub fn packet(data: &[u8]) {
    let Some(header) = Header::parse(data) else { return };
    let payload = header.payload(data);
    for id in 0..=16 {
        if let Some(element) = header.extension(data, id) {
            assert!(element.len() < data.len());
        }
        header.transport_sequence(data, id);
    }
    if let Some((_, original)) = split_retransmission(payload) {
        assert!(original.len() < payload.len());
        inspect(original);
    }
    inspect(payload);
    let mid = header.extension(data, 4).filter(|mid| (1..=32).contains(&mid.len()));
    let capture = header.extension(data, 7).and_then(CaptureTime::parse).map(|taken| taken.on_our_clock(1));
    let orientation = header.extension(data, 8).and_then(<[u8]>::first).map(|byte| Orientation::from_byte(*byte));
    let delay = header.extension(data, 9).and_then(PlayoutDelay::parse);
    assert!(delay.is_none_or(|delay| delay.least_ms() <= delay.most_ms() && delay.most_ms() < 41_000));
    written_as_read(&header, mid, header.transport_sequence(data, 3), capture, orientation, delay);
}

fn inspect(payload: &[u8]) {
    for codec in CODECS {
        codec::inspect(codec, payload);
    }
    opus::samples(payload);
}

/// What we write is what we would read.
fn written_as_read(
    header: &Header,
    mid: Option<&[u8]>,
    transport: Option<u16>,
    capture: Option<CaptureTime>,
    orientation: Option<Orientation>,
    playout_delay: Option<PlayoutDelay>,
) {
    let outgoing = Outgoing {
        payload_type: header.payload_type,
        marker: header.marker,
        sequence: header.sequence,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
        extensions: Extensions {
            transport: transport.map(|sequence| (3, sequence)),
            mid: mid.map(|mid| (4, mid)),
            capture: capture.map(|taken| (7, taken)),
            orientation: orientation.map(|orientation| (8, orientation)),
            playout_delay: playout_delay.map(|delay| (9, delay)),
            descriptor: None,
        },
    };
    let mut out = [0; MAX_HEADER_LEN];
    let Some(len) = outgoing.write(&mut out) else { return };
    assert_eq!(len, outgoing.written_len());
    let read = Header::parse(&out[..len]).expect("we write RTP");
    assert_eq!((read.ssrc, read.sequence, read.timestamp), (header.ssrc, header.sequence, header.timestamp));
    assert_eq!((read.marker, read.payload_type), (header.marker, header.payload_type));
    assert_eq!((read.extension(&out[..len], 4), read.transport_sequence(&out[..len], 3)), (mid, transport));
    assert_eq!(read.extension(&out[..len], 7).and_then(CaptureTime::parse), capture);
    let turned = read.extension(&out[..len], 8).map(|element| Orientation::from_byte(element[0]));
    assert_eq!(turned, orientation);
    assert_eq!(read.extension(&out[..len], 9).and_then(PlayoutDelay::parse), playout_delay);
    assert!(read.payload(&out[..len]).is_empty());
}

/// The packets of one VP8 frame.
pub fn vp8(data: &[u8]) {
    let (mut bytes, mut frame) = (Bytes(data), Vec::new());
    while !bytes.is_empty() {
        let payload = bytes.short();
        codec::inspect(Codec::Vp8, payload);
        renumbered(payload);
        let before = frame.len();
        match vp8::append(&mut frame, payload) {
            Ok(()) => assert!(frame.len() > before && frame.len() < before + payload.len()),
            Err(_) => assert_eq!(frame.len(), before, "a refused packet leaves nothing behind"),
        }
    }
    vp8::key_size(&frame);
}

/// New picture numbers change nothing else.
fn renumbered(payload: &[u8]) {
    let sent = Numbers::read(&[0x90, 0xe0, 0x92, 0x34, 0x56, 0x20]).expect("a descriptor with all numbers");
    let by = Shift::after(sent, Numbers::read(payload).unwrap_or_default());
    let mut sent = payload.to_vec();
    by.apply(&mut sent);
    assert_eq!(Numbers::read(&sent), Numbers::read(payload).map(|numbers| numbers.shifted(by)));
    let (old, new) = (vp8::Descriptor::parse(payload), vp8::Descriptor::parse(&sent));
    assert_eq!(old.map(|descriptor| descriptor.len), new.map(|descriptor| descriptor.len));
    let body = old.map_or(0, |descriptor| descriptor.len);
    assert_eq!(payload[body..], sent[body..]);
}

/// The packets of VP9 pictures; an empty piece ends a picture.
pub fn vp9(data: &[u8]) {
    let (mut bytes, mut assembler) = (Bytes(data), vp9::Assembler::default());
    while !bytes.is_empty() {
        let payload = bytes.short();
        codec::inspect(Codec::Vp9, payload);
        if let Some(descriptor) = vp9::Descriptor::parse(payload) {
            assert!(descriptor.len <= payload.len());
        }
        if payload.is_empty() {
            let picture = assembler.finish();
            assert!(!matches!(picture, Ok(Some(picture)) if picture.data.is_empty()));
        } else if assembler.append(payload).is_err() {
            assembler.discard();
        }
    }
    let _ = assembler.finish();
    assert_eq!(assembler.finish(), Ok(None), "a picture comes once");
}

/// The packets of AV1 temporal units; an empty piece ends a unit.
pub fn av1(data: &[u8]) {
    let (mut bytes, mut assembler) = (Bytes(data), av1::Assembler::default());
    av1::SequenceHeader::parse(data);
    while !bytes.is_empty() {
        let payload = bytes.short();
        codec::inspect(Codec::Av1, payload);
        if let Some(sequence) = av1::find_sequence(payload) {
            assert!(sequence.width > 0 && sequence.height > 0 && sequence.profile <= 2);
        }
        if payload.is_empty() {
            let unit = assembler.finish();
            assert!(
                !matches!(unit, Ok(Some(unit)) if unit.data.is_empty() || (unit.key && assembler.sequence().is_none()))
            );
        } else if assembler.append(payload).is_err() {
            assembler.discard();
        }
    }
    let _ = assembler.finish();
    assert_eq!(assembler.finish(), Ok(None), "a unit comes once");
}

/// A packet of redundant sound, the payload type of its blocks before it.
pub fn red(data: &[u8]) {
    let mut bytes = Bytes(data);
    let opus = bytes.u8() & 0x7f;
    let payload = bytes.0;
    let lengths = |payload: &[u8]| red::redundant(payload).map(|block| block.data.len()).collect::<Vec<_>>();
    let found = lengths(payload);
    let Some(inspected) = red::inspect(payload, opus) else { return };
    assert!(found.len() <= limit::REDUNDANT_BLOCKS);
    assert_eq!(usize::from(inspected.primary), 1 + found.iter().map(|len| 4 + len).sum::<usize>());
    assert!(usize::from(inspected.primary) < payload.len());
    let mut renamed = payload.to_vec();
    red::relabel(&mut renamed, opus ^ 1);
    assert_eq!((red::inspect(&renamed, opus), red::inspect(&renamed, opus ^ 1)), (None, Some(inspected)));
    assert_eq!(lengths(&renamed), found);
    red::relabel(&mut renamed, opus);
    assert_eq!(renamed, payload);
}

/// The dependency descriptors of one stream.
pub fn dependency(data: &[u8]) {
    let (mut bytes, mut dependencies) = (Bytes(data), Dependencies::default());
    while !bytes.is_empty() {
        let Ok(frame) = dependencies.read(bytes.short()) else { continue };
        assert!(frame.layer.spatial < 4 && frame.layer.temporal < 8);
        assert!(frame.indication(0).is_some() && frame.indication(32).is_none());
        assert!(frame.size.is_none_or(|(width, height)| width > 0 && height > 0));
    }
}

/// The packets of H.264 access units; an empty piece ends a unit.
pub fn h264(data: &[u8]) {
    let (mut bytes, mut assembler) = (Bytes(data), h264::Assembler::default());
    while !bytes.is_empty() {
        let payload = bytes.short();
        codec::inspect(Codec::H264, payload);
        h264::find_sps(payload);
        if payload.is_empty() {
            finish(&mut assembler);
        } else if assembler.append(payload).is_err() {
            assembler.discard();
        }
    }
    finish(&mut assembler);
    assert_eq!(assembler.finish(), Ok(None), "a unit comes once");
}

fn finish(assembler: &mut h264::Assembler) {
    let Ok(Some(unit)) = assembler.finish() else { return };
    assert_eq!(unit.data[..4], [0, 0, 0, 1], "Annex B");
    assert!(unit.data.len() <= limit::ACCESS_UNIT_BYTES);
    assembler.parameter_sets();
    assembler.size();
}

/// One NAL unit that says it is a sequence parameter set.
pub fn sps(data: &[u8]) {
    if let Some(sps) = h264::Sps::parse(data) {
        assert!(sps.width > 0 && sps.height > 0);
    }
    h264::find_sps(data);
}
