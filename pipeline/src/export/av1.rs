//! AV1 as MP4 wants it ("AV1 Codec ISO Media File Format Binding"): the configuration record in front, samples as they are.

use media::rtp::codec::av1::SequenceHeader;

/// `AV1CodecConfigurationRecord` (§2.3.3). `obu` is the sequence header with its size field. `None` when it is damaged.
pub(super) fn configuration(obu: &[u8]) -> Option<Vec<u8>> {
    let header = sequence(obu)?;
    let bit = |set: bool, at: u8| u8::from(set) << at;
    let (columns, rows) = header.subsampling;
    let mut record = vec![
        0x81, // marker, version 1
        header.profile << 5 | header.level,
        bit(header.tier, 7)
            | bit(header.bit_depth > 8, 6)
            | bit(header.bit_depth == 12, 5)
            | bit(header.monochrome, 4)
            | bit(columns, 3)
            | bit(rows, 2)
            | header.chroma_position,
        0, // no initial presentation delay
    ];
    record.extend_from_slice(obu);
    Some(record)
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
    fn the_record_repeats_the_sequence_header() {
        let record = configuration(&SEQUENCE).unwrap();
        assert_eq!(record, [&[0x81, 1, 0x0c, 0][..], &SEQUENCE].concat());
        assert_eq!(sequence(&SEQUENCE).map(|header| (header.width, header.height)), Some((640, 360)));
    }

    #[test]
    fn damaged_headers_are_refused() {
        for len in 0..SEQUENCE.len() {
            assert_eq!(configuration(&SEQUENCE[..len]), None, "{len} bytes");
        }
    }
}
