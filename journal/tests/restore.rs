//! Journals whose front is damaged in random ways: what is left of them is readable again and the same as before, or the file is as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use journal::{Appender, ClipId, Header, Hints, Reader, Record, RestoreError, header_of, part_path, restore};
use media::id::{BroadcastId, TrackId};
use media::message::AccessUnit;
use proptest::prelude::*;

fn header() -> Header {
    Header {
        broadcast: BroadcastId::new(1_700_000_000_000, 7),
        part: 2,
        clip: ClipId(BroadcastId::new(1_700_000_100_000, 42).0),
        channel: "main".parse().expect("a channel"),
        media_zero_utc_us: 1_700_000_000_031_415,
        opened_utc_us: 1_700_000_100_000_926,
    }
}

/// What a node knows of its parts.
fn hints() -> Hints {
    let Header { broadcast, part, clip, channel, .. } = header();
    let media_zero_utc_us = vec![1_700_000_000_031_000..=1_700_000_000_031_999];
    Hints { broadcast, part, clip, channels: vec![channel], media_zero_utc_us, opened_utc_us: Vec::new() }
}

fn unit(number: u64, size: usize) -> Record {
    let (pts_ns, track, data) = (number * 20_000_000, TrackId(0), vec![number as u8; size].into());
    let (key, utc_us) = (number.is_multiple_of(10), 1_700_000_000_031_415 + pts_ns / 1000);
    Record::Unit(AccessUnit { track, key, pts_ns, dts_ns: pts_ns, utc_us, first_seq: number, last_seq: number, data })
}

fn write(root: &Path, header: &Header, sizes: &[usize]) -> (PathBuf, Vec<Record>) {
    let path = part_path(root, header.broadcast, header.part, header.clip);
    let mut appender = Appender::create(&path, header).expect("create");
    let records: Vec<_> = sizes.iter().zip(0..).map(|(size, number)| unit(number, *size)).collect();
    records.iter().for_each(|record| appender.append(record).expect("append"));
    appender.flush().expect("flush");
    (path, records)
}

fn read(path: &Path) -> Vec<Record> {
    Reader::open(path).expect("open").map(|record| record.expect("the medium is good")).collect()
}

/// Where each record begins, and the end of the last.
fn places(path: &Path) -> Vec<u64> {
    let mut reader = Reader::open(path).expect("open");
    let mut places = Vec::new();
    while let Some((at, _)) = reader.next_record().expect("the medium is good") {
        places.push(at);
    }
    places.push(reader.offset());
    places
}

#[derive(Clone, Debug)]
enum Spoilt {
    Flipped(Vec<(usize, u8)>),
    Overwritten { bytes: Vec<u8> },
    Zeroed(usize),
    Gone(usize),
    Before(Vec<u8>),
}

fn spoilt() -> impl Strategy<Value = Spoilt> {
    prop_oneof![
        proptest::collection::vec((0..73usize, 1..=255u8), 1..20).prop_map(Spoilt::Flipped),
        proptest::collection::vec(any::<u8>(), 1..3000).prop_map(|bytes| Spoilt::Overwritten { bytes }),
        Just(Spoilt::Zeroed(4096)),
        (1..5000usize).prop_map(Spoilt::Zeroed),
        (1..5000usize).prop_map(Spoilt::Gone),
        proptest::collection::vec(any::<u8>(), 1..3000).prop_map(Spoilt::Before),
    ]
}

/// How many bytes at the front are not what they were, and how far the others moved.
fn spoil(bytes: &mut Vec<u8>, how: &Spoilt) -> (usize, i64) {
    match how {
        Spoilt::Flipped(places) => {
            places.iter().for_each(|(at, bits)| bytes[*at] ^= bits);
            (places.iter().map(|(at, _)| at + 1).max().unwrap_or(0), 0)
        }
        Spoilt::Overwritten { bytes: rubbish } => {
            let end = rubbish.len().min(bytes.len());
            bytes[..end].copy_from_slice(&rubbish[..end]);
            (end, 0)
        }
        Spoilt::Zeroed(end) => {
            let end = (*end).min(bytes.len());
            bytes[..end].fill(0);
            (end, 0)
        }
        Spoilt::Gone(end) => {
            let end = (*end).min(bytes.len());
            bytes.drain(..end);
            (end, -(end as i64))
        }
        Spoilt::Before(rubbish) => {
            bytes.splice(..0, rubbish.iter().copied());
            // the header lies where none is looked for
            (73, rubbish.len() as i64)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_front_costs_what_it_hit(sizes in proptest::collection::vec(0..900usize, 3..40), how in spoilt()) {
        let folder = tempfile::tempdir().expect("folder");
        let (path, records) = write(folder.path(), &header(), &sizes);
        let places = places(&path);
        let mut bytes = fs::read(&path).expect("read");
        let whole = bytes.clone();
        let (hit, _) = spoil(&mut bytes, &how);
        fs::write(&path, &bytes).expect("write");
        let written = SystemTime::now() - Duration::from_secs(1000);
        fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(written)).expect("a time");
        prop_assume!(bytes != whole);
        prop_assume!(header_of(&path).is_err());

        let left: Vec<_> =
            records.iter().zip(&places).filter(|(_, at)| **at >= hit as u64).map(|(record, _)| record.clone()).collect();
        match restore(&path, &hints()) {
            Ok(found) => {
                prop_assert_eq!(found, header());
                prop_assert_eq!(read(&path), left.clone());
                prop_assert_eq!(fs::metadata(&path).and_then(|m| m.modified()).expect("a time"), written);
                if left.len() == records.len() && matches!(how, Spoilt::Flipped(_)) {
                    prop_assert_eq!(fs::read(&path).expect("read"), whole, "as if nothing had been");
                } else if left.len() < records.len() {
                    let mut reader = Reader::open(&path).expect("open");
                    while reader.next_record().expect("the medium is good").is_some() {}
                    prop_assert!(!reader.damage().is_empty(), "what is missing is seen");
                }
            }
            Err(error) => {
                prop_assert!(matches!(error, RestoreError::NoRecords { .. }) && left.len() < 2, "{}", error);
                prop_assert_eq!(fs::read(&path).expect("read"), bytes);
            }
        }
        let files = fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
        prop_assert_eq!(files, 1, "nothing is left beside it");
    }
}

#[test]
fn records_of_another_part_do_not_make_one_of_this() {
    let folder = tempfile::tempdir().expect("folder");
    let (path, _) = write(folder.path(), &header(), &[300; 20]);
    let (other, _) =
        write(folder.path(), &Header { part: 3, opened_utc_us: 1_700_000_100_000_927, ..header() }, &[300; 20]);
    fs::copy(&other, &path).expect("copied");
    let mut bytes = fs::read(&path).expect("read");
    bytes[..60].fill(0);
    fs::write(&path, &bytes).expect("written");
    let error = restore(&path, &hints()).expect_err("it is another part's");
    assert!(matches!(error, RestoreError::Unknown { .. }), "{error}");
    assert_eq!(fs::read(&path).expect("read"), bytes);
}

#[test]
fn a_folder_that_takes_nothing_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().expect("folder");
    let (path, _) = write(folder.path(), &header(), &[300; 20]);
    let mut bytes = fs::read(&path).expect("read");
    bytes[..60].fill(0);
    fs::write(&path, &bytes).expect("written");
    let beside = path.with_extension("oxj.restored");
    fs::create_dir(&beside).expect("in the way");
    let error = restore(&path, &hints()).expect_err("no room beside it");
    assert!(error.to_string().contains("cannot restore"), "{error}");
    assert_eq!(fs::read(&path).expect("read"), bytes);
    fs::remove_dir(&beside).expect("out of the way");
    fs::write(&beside, vec![9; 100_000]).expect("what a killed one left");
    assert_eq!(restore(&path, &hints()).expect("restored"), header());
    assert_eq!(read(&path).len(), 20);
}
