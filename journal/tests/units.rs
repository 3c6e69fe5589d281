//! Tables of units: what was written is read, damage is seen, and a journal comes back from the bytes of a file.

use bytes::Bytes;
use journal::units::spans;
use journal::{Cause, ClipId, Header, Index, Range, Reader, Record, Unit, Units, UnitsError, UnitsPiece};
use media::id::{BroadcastId, TrackId};
use media::message::{AccessUnit, Codec, CodecConfig, GapReason, Orientation};
use proptest::prelude::*;

const VIDEO: TrackId = TrackId(0);
const SOUND: TrackId = TrackId(1);
const SETS: &[u8] = b"\0\0\0\x01\x67sps\0\0\0\x01\x68pps";

fn header(part: u32) -> Header {
    Header {
        broadcast: BroadcastId::new(1_700_000_000_000, 7),
        part,
        clip: ClipId(9),
        channel: "main".parse().expect("a name"),
        media_zero_utc_us: 1_700_000_000_000_000,
        opened_utc_us: 1_700_000_000_000_000,
    }
}

fn config(track: TrackId, codec: Codec, sets: &'static [u8]) -> Record {
    let config = CodecConfig { codec, width: 64, height: 64, channels: 2, parameter_sets: Bytes::from_static(sets) };
    Record::Config { track, config }
}

fn unit(track: TrackId, number: u64, pts_ns: u64, offset: u64, size: u32) -> Unit {
    Unit {
        track,
        key: track == SOUND || number.is_multiple_of(10),
        made: false,
        pts_ns,
        duration_ns: 20_000_000,
        utc_us: 1_700_000_000_000_000 + pts_ns / 1000,
        first_seq: 65_000 + number * 3,
        last_seq: 65_002 + number * 3,
        number: Some(40 + number),
        after_given_up: number == 7,
        offset,
        size,
    }
}

/// A file in which H.264 and sound take turns, and its table.
fn file() -> (Vec<u8>, Units) {
    let mut file = vec![0xee; 100];
    let mut units = Vec::new();
    for number in 0..40 {
        let picture = [&[0, 0, 0, 3, if number % 10 == 0 { 0x65 } else { 0x41 }][..], &[number as u8, 1]].concat();
        units.push(unit(VIDEO, number, number * 33_333_333, file.len() as u64, picture.len() as u32));
        file.extend(picture);
        let packet = vec![number as u8; 5 + number as usize];
        units.push(unit(SOUND, number, number * 33_333_333 + 1, file.len() as u64, packet.len() as u32));
        file.extend(packet);
    }
    let records = vec![
        (0, config(VIDEO, Codec::H264, SETS)),
        (0, config(SOUND, Codec::Opus, b"")),
        (0, Record::Orientation { track: VIDEO, from_ns: 0, orientation: Orientation::from_byte(1) }),
        (30, Record::Gap { track: Some(SOUND), from_ns: 5, to_ns: 6, reason: GapReason::Loss }),
    ];
    let piece = UnitsPiece { header: header(3), from_ns: 0, to_ns: 40 * 33_333_333, offset_ns: 0, records, units };
    let length = file.len() as u64;
    (file, Units { file_bytes: length, pieces: vec![piece] })
}

#[test]
fn a_journal_comes_back_from_the_bytes_of_a_file() {
    let (file, table) = file();
    let table = Units::decode(&table.encode()).expect("a table");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("back.oxj");
    let piece = &table.pieces[0];
    let range = Range { from_ns: 15 * 33_333_333, to_ns: 25 * 33_333_333 };
    let cut = |unit: &Unit| Ok(Bytes::copy_from_slice(&file[unit.offset as usize..][..unit.size as usize]));
    piece.rebuild(range, &path, cut).expect("a journal");

    let index = Index::build(&path).expect("a journal");
    let begin = 10 * 33_333_333;
    assert_eq!((index.header.clone(), index.closed, index.cause), (header(3), true, Some(Cause::End)));
    assert!(index.entries.iter().all(|entry| (begin..range.to_ns).contains(&entry.pts_ns)));
    assert_eq!(index.entries.len(), 30, "from the keyframe before on");
    assert_eq!(index.orientation(VIDEO, begin).quarters(), 1);
    for (entry, unit) in index.entries.iter().zip(piece.select(range)) {
        assert_eq!((entry.track, entry.pts_ns, entry.number), (unit.track, unit.pts_ns, unit.number));
        assert_eq!((entry.first_seq, entry.last_seq, entry.utc_us), (unit.first_seq, unit.last_seq, unit.utc_us));
    }
    let read: Vec<AccessUnit> = Reader::open(&path)
        .expect("a journal")
        .filter_map(|record| match record.expect("a good medium") {
            Record::Unit(unit) => Some(unit),
            _ => None,
        })
        .collect();
    assert_eq!(read[0].data, [SETS, &[0, 0, 0, 1, 0x65, 10, 1]].concat(), "a keyframe has its parameter sets again");
    assert_eq!(read[2].data[..], [0, 0, 0, 1, 0x41, 11, 1]);
    assert_eq!(read[1].data, vec![10; 15]);
}

#[test]
fn what_does_not_fit_the_table_is_no_unit() {
    let (_, table) = file();
    let folder = tempfile::tempdir().expect("a folder");
    let whole = Range { from_ns: 0, to_ns: u64::MAX };
    for (at, bytes) in [&b""[..], b"\0\0\0\x09abc", b"\0\0\0\0\0\0\0", b"\0\0"].into_iter().enumerate() {
        let path = folder.path().join(format!("{at}.oxj"));
        let rebuilt = table.pieces[0].rebuild(whole, &path, |_| Ok(Bytes::copy_from_slice(bytes)));
        assert!(matches!(rebuilt, Err(journal::RebuildError::Foreign { offset: 100 })), "{rebuilt:?}");
    }
}

#[test]
fn byte_ranges_are_read_together_when_they_are_near() {
    let units =
        [unit(VIDEO, 0, 0, 100, 50), unit(SOUND, 0, 0, 90, 10), unit(VIDEO, 1, 5, 160, 5), unit(SOUND, 1, 5, 900, 1)];
    assert_eq!(spans(&units, 0), [90..150, 160..165, 900..901]);
    assert_eq!(spans(&units, 10), [90..165, 900..901]);
    assert_eq!(spans(&units[..0], 10), [0..0; 0]);
}

#[test]
fn a_range_of_the_file_is_one_of_its_pieces() {
    let (_, table) = file();
    let piece = |from_ns, offset_ns| UnitsPiece { from_ns, to_ns: from_ns + 10, offset_ns, ..table.pieces[0].clone() };
    let units = Units { pieces: vec![piece(100, 0), piece(500, 10), piece(50, 20)], ..table };
    let range = |from_ns, to_ns| Range { from_ns, to_ns };
    assert_eq!(units.within(3, 24), [(0, range(103, 110)), (1, range(500, 510)), (2, range(50, 54))]);
    assert_eq!(units.within(10, 20), [(1, range(500, 510))]);
    assert_eq!(units.within(30, u64::MAX), []);
}

#[test]
fn damage_is_seen() {
    let bytes = file().1.encode();
    assert!(bytes.len() < 40 * 2 * 16 + 400, "{} bytes", bytes.len());
    assert_eq!(Units::decode(b"OXBOWJ1\n----"), Err(UnitsError::NotATable));
    for length in 0..bytes.len() {
        assert!(Units::decode(&bytes[..length]).is_err(), "cut at {length}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(Units::decode(&flipped).is_err(), "bit flip at {at}");
    }
    let mut newer = bytes;
    newer[8] = 2;
    assert_eq!(Units::decode(&newer), Err(UnitsError::Version(2)));
}

#[test]
fn a_table_that_contradicts_itself_is_damaged() {
    let change = |how: fn(&mut UnitsPiece)| {
        let (_, mut table) = file();
        how(&mut table.pieces[0]);
        Units::decode(&table.encode())
    };
    let cases: [fn(&mut UnitsPiece); 5] = [
        |piece| piece.units[3].offset = 1 << 40,
        |piece| piece.units[4].pts_ns = piece.units[2].pts_ns,
        |piece| piece.records.clear(),
        |piece| piece.from_ns = piece.to_ns + 1,
        |piece| piece.records.push((3, Record::End { utc_us: 0, cause: Cause::End })),
    ];
    for (at, how) in cases.into_iter().enumerate() {
        assert!(matches!(change(how), Err(UnitsError::Damaged(_))), "case {at}");
    }
}

prop_compose! {
    fn any_unit()(
        sound in any::<bool>(), key in any::<bool>(), made in any::<bool>(), given_up in any::<bool>(),
        step in 1..u64::MAX / 256, duration_ns in any::<u64>(), utc_us in any::<u64>(), first_seq in any::<u64>(),
        last_seq in any::<u64>(), number in any::<Option<u64>>(), offset in 0..1_u64 << 40, size in 0..1_u32 << 22,
    ) -> (u64, Unit) {
        let track = if sound { SOUND } else { VIDEO };
        (step, Unit { track, key, made, pts_ns: 0, duration_ns, utc_us, first_seq, last_seq, number, after_given_up: given_up, offset, size })
    }
}

proptest! {
    #[test]
    fn every_table_survives(pieces in prop::collection::vec(prop::collection::vec(any_unit(), 0..40), 0..4)) {
        let piece = |(number, units): (usize, Vec<(u64, Unit)>)| {
            let mut pts_ns = 0;
            let units = units.into_iter().map(|(step, unit)| {
                pts_ns += step;
                Unit { pts_ns, ..unit }
            });
            UnitsPiece {
                header: header(number as u32),
                from_ns: number as u64,
                to_ns: u64::MAX,
                offset_ns: 1 << (number * 20),
                records: vec![(0, config(VIDEO, Codec::Vp8, b"")), (0, config(SOUND, Codec::Opus, b""))],
                units: units.collect(),
            }
        };
        let table = Units { file_bytes: 1 << 41, pieces: pieces.into_iter().enumerate().map(piece).collect() };
        prop_assert_eq!(Units::decode(&table.encode()), Ok(table));
    }
}
