//! AV1 as MP4 wants it ("AV1 Codec ISO Media File Format Binding"): the configuration record in front, samples as they are.
//!
//! mp4mux of GStreamer 1.22 puts five bytes of an early draft before the record. It is given a record with room behind it, so that the box can
//! be put right in the finished file and nothing moves.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use media::rtp::codec::av1::SequenceHeader;

use super::mp4;

/// What the draft had before the record: version, flags, presentation delay.
const DRAFT: [u8; 5] = [0; 5];
/// With the bytes of the draft the room of an empty box.
const ROOM: usize = 3;
const EMPTY_BOX: [u8; 8] = *b"\0\0\0\x08free";
const NAME: [u8; 4] = *b"av1C";

/// The record as the muxer is given it.
pub(super) fn codec_data(obu: &[u8]) -> Option<Vec<u8>> {
    let mut data = configuration(obu)?;
    data.resize(data.len() + ROOM, 0);
    Some(data)
}

/// Puts the record's box right in a finished file whose index comes first. A later muxer's is left as it is.
pub(super) fn correct(path: &Path, obu: &[u8]) -> io::Result<()> {
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "the muxer wrote no AV1 configuration");
    let record = configuration(obu).ok_or_else(missing)?;
    let file = File::options().read(true).write(true).open(path)?;
    let (at, mut index) = mp4::index(&file)?.ok_or_else(missing)?;
    let find = |what: &[u8]| index.windows(what.len()).position(|window| window == what);
    let Some(name) = find(&[&NAME[..], &DRAFT, &record].concat()) else {
        return find(&[&NAME[..], &record].concat()).map(|_| ()).ok_or_else(missing);
    };
    // The box begins with its size, before its name.
    let begin = name.checked_sub(4).ok_or_else(missing)?;
    let size = (4 + NAME.len() + record.len()) as u32;
    let corrected = [&size.to_be_bytes()[..], &NAME, &record, &EMPTY_BOX].concat();
    let place = index.get_mut(begin..begin + corrected.len()).ok_or_else(missing)?;
    if place[..4] != (corrected.len() as u32).to_be_bytes() {
        return Err(missing());
    }
    file.write_all_at(&corrected, at + begin as u64)
}

/// `AV1CodecConfigurationRecord` (§2.3.3). `obu` is the sequence header with its size field. `None` when it is damaged.
fn configuration(obu: &[u8]) -> Option<Vec<u8>> {
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
    fn the_box_is_put_right_in_place() {
        let record = configuration(&SEQUENCE).unwrap();
        let boxed =
            |name: &[u8], content: &[u8]| [&(8 + content.len() as u32).to_be_bytes()[..], name, content].concat();
        let drafted = boxed(b"av1C", &[&DRAFT[..], &codec_data(&SEQUENCE).unwrap()].concat());
        let right = [boxed(b"av1C", &record), boxed(b"free", b"")].concat();
        let file = |inner: &[u8]| [boxed(b"ftyp", b"isom"), boxed(b"moov", inner), boxed(b"mdat", b"media")].concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        for before in [&drafted, &right] {
            std::fs::write(&path, file(before)).unwrap();
            correct(&path, &SEQUENCE).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), file(&right));
        }
        for broken in [boxed(b"av1C", &record[..4]), drafted[..drafted.len() - 8].to_vec()] {
            std::fs::write(&path, file(&broken)).unwrap();
            assert!(correct(&path, &SEQUENCE).is_err());
        }
        std::fs::write(&path, b"\0\0\0\x01moov").unwrap();
        assert!(correct(&path, &SEQUENCE).is_err());
    }

    #[test]
    fn damaged_headers_are_refused() {
        for len in 0..SEQUENCE.len() {
            assert_eq!(configuration(&SEQUENCE[..len]), None, "{len} bytes");
        }
    }
}
