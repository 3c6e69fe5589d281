//! AV1 as MP4 wants it ("AV1 Codec ISO Media File Format Binding"): what its sequence header says stands in front, samples are as they are.

use bytes::Bytes;
use media::rtp::codec::av1::SequenceHeader;

/// What a file says of a sequence header OBU with its size field. `None` when it is damaged.
pub(super) fn configuration(obu: &Bytes) -> Option<mp4::Av1> {
    let header = sequence(obu)?;
    Some(mp4::Av1 {
        profile: header.profile,
        level: header.level,
        tier: header.tier,
        bit_depth: header.bit_depth,
        monochrome: header.monochrome,
        subsampling: header.subsampling,
        chroma_position: header.chroma_position,
        sequence_header: obu.clone(),
    })
}

/// Reads a sequence header OBU with its size field.
pub(super) fn sequence(obu: &[u8]) -> Option<SequenceHeader> {
    let with_extension = obu.first()? & 0x04 != 0;
    let size = if with_extension { 2 } else { 1 };
    // A sequence header is shorter than 128 bytes, so that its size takes one.
    let length = usize::from(*obu.get(size)?);
    SequenceHeader::parse(obu.get(size + 1..).filter(|payload| payload.len() == length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Main profile, 8 bits, 640 × 360, level 2.1: as libaom 3.6 writes it in real time.
    const SEQUENCE: [u8; 14] = [0x0a, 12, 0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0xe0, 0x6d, 0x7c, 0x80, 0x20];

    #[test]
    fn the_configuration_repeats_the_sequence_header() {
        let sequence_header = Bytes::from_static(&SEQUENCE);
        let expected = mp4::Av1 {
            profile: 0,
            level: 1,
            tier: false,
            bit_depth: 8,
            monochrome: false,
            subsampling: (true, true),
            chroma_position: 0,
            sequence_header: sequence_header.clone(),
        };
        assert_eq!(configuration(&sequence_header), Some(expected));
        assert_eq!(sequence(&SEQUENCE).map(|header| (header.width, header.height)), Some((640, 360)));
    }

    #[test]
    fn damaged_headers_are_refused() {
        for len in 0..SEQUENCE.len() {
            assert_eq!(configuration(&Bytes::copy_from_slice(&SEQUENCE[..len])), None, "{len} bytes");
        }
    }
}
