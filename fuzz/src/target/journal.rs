//! Files of access units: whatever is in them, reading ends, and what an index says of a part holds.

use std::cell::RefCell;
use std::io::{Seek, SeekFrom, Write};

use hls::{Format, Kind, Sample, Segmenter, Sound, Unit};
use journal::format::{MARKER, RECORD_HEAD, encode_header};
use journal::{ClipId, Header, Index, Reader, Record, Skimmed, Skimmer};
use media::id::BroadcastId;
use tempfile::NamedTempFile;

use crate::bytes::Bytes;

/// The first byte says whether header and records get their checksums right, so that what lies behind them is reached.
pub fn part(data: &[u8]) {
    let mut bytes = Bytes(data);
    let file = if bytes.u8() & 1 == 0 { bytes.0.to_vec() } else { sound(bytes) };
    thread_local!(static PART: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("a file")));
    PART.with_borrow_mut(|part| {
        let handle = part.as_file_mut();
        handle.set_len(0).and_then(|()| handle.seek(SeekFrom::Start(0))).expect("an empty file");
        handle.write_all(&file).expect("room on the disk");
        read(part.path());
        cut(part.path());
    });
}

/// Whatever the heads of its units claim, a part is cut into segments that can be written.
fn cut(path: &std::path::Path) {
    let Ok(mut skimmer) = Skimmer::open(path) else { return };
    let mut segmenter = Segmenter::default();
    let mut units = Vec::new();
    while let Some((offset, next)) = skimmer.next_record().expect("the medium is good") {
        match next {
            Skimmed::Unit(head) => {
                let (track, key, pts_ns, bytes) = (head.track.0, head.key, head.pts_ns, head.size);
                units.push(Unit { offset, track, key, pts_ns, bytes });
                segmenter.unit(Unit { offset, track, key, pts_ns, bytes });
            }
            Skimmed::Record(Record::Config { track, config }) => {
                let kind = if config.codec.is_video() { Kind::Video } else { Kind::Sound };
                segmenter.config(track.0, kind, u32::from(config.width));
            }
            Skimmed::Record(Record::Cut { at_ns, .. }) => segmenter.cut(at_ns),
            Skimmed::Record(_) => {}
        }
    }
    segmenter.end(skimmer.offset());
    let format = Format { video: None, sound: Some(Sound { channels: 2 }) };
    for (number, segment) in segmenter.ready().iter().enumerate() {
        assert!(segment.start_ns <= segment.end_ns && segment.from <= segment.to);
        let held = units.iter().filter(|unit| segment.holds(unit));
        let samples: Vec<_> = held
            .map(|unit| Sample {
                kind: Kind::Sound,
                key: true,
                pts_ns: unit.pts_ns,
                dts_ns: unit.pts_ns,
                data: Vec::new().into(),
            })
            .collect();
        let _ = hls::media(&format, segment, number as u32, &samples);
    }
}

fn read(path: &std::path::Path) {
    let Ok(mut reader) = Reader::open(path) else {
        assert!(Index::build(path).is_err(), "what cannot be opened has no index");
        return;
    };
    let mut units = 0;
    while let Some((at, record)) = reader.next_record().expect("the medium is good") {
        assert!(at < reader.offset());
        units += usize::from(matches!(record, Record::Unit(_)));
    }
    let index = Index::build(path).expect("what can be read has an index");
    assert!(index.entries.len() <= units);
    for entry in &index.entries {
        assert!(
            matches!(reader.read_at(entry.offset), Ok(Record::Unit(unit)) if unit.data.len() == entry.size as usize)
        );
    }
    assert!(index.epochs.iter().all(|epoch| epoch.first_entry <= index.entries.len()));
    let (from, to) = (index.entries.first().map(|e| e.pts_ns), index.entries.last().map(|e| e.pts_ns));
    let range = index.range(from, to);
    assert!(index.select(range).all(|entry| range.holds(entry.pts_ns)));
    assert!(index.lost_ms() <= u64::MAX / 1_000_000);
    for track in index.tracks() {
        assert!(index.epochs_of(track).count() <= index.epochs.len());
    }
}

/// A whole header, then records: type, track, flags, five numbers, a piece of data.
fn sound(mut bytes: Bytes<'_>) -> Vec<u8> {
    let mut file = encode_header(&Header {
        broadcast: BroadcastId::new(1_700_000_000_000, 7),
        part: 0,
        clip: ClipId(42),
        channel: "main".parse().expect("a channel"),
        media_zero_utc_us: 1_700_000_000_000_000,
        opened_utc_us: 1_700_000_000_000_000,
    });
    let salt = file.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
    while !bytes.is_empty() {
        let (kind, track, flags) = (bytes.u8(), bytes.u8(), bytes.u16());
        let numbers: Vec<u64> = (0..5).map(|_| number(&mut bytes)).collect();
        let data = bytes.short();
        let start = file.len();
        file.extend(MARKER.to_le_bytes());
        file.extend((data.len() as u32).to_le_bytes());
        file.extend([kind, track]);
        file.extend(flags.to_le_bytes());
        file.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        assert_eq!(file.len() - start, RECORD_HEAD);
        file.extend_from_slice(data);
        let mut crc = crc32fast::Hasher::new_with_initial(salt);
        crc.update(&file[start..]);
        file.extend(crc.finalize().to_le_bytes());
    }
    file
}

/// Small, or anything at all.
fn number(bytes: &mut Bytes<'_>) -> u64 {
    match bytes.u8() {
        0xff => u64::from_be_bytes(bytes.take(8).try_into().unwrap_or([0xff; 8])),
        small => u64::from(small) * 1_000_000,
    }
}
