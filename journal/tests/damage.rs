//! Whatever happens to the bytes of a journal, reading it gives the records that are whole, in order, nothing else, and never panics.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use journal::format::RECORD_HEAD;
use journal::{
    Appender, Cause, ClipId, Entry, Header, Hints, Index, Range, Reader, Record, Skimmed, Skimmer, Tail, UnitHead,
};
use media::id::{BroadcastId, TrackId};
use media::message::{AccessUnit, Codec, CodecConfig, GapReason};
use proptest::prelude::*;

fn header() -> Header {
    Header {
        broadcast: BroadcastId::new(1_700_000_000_000, 7),
        part: 0,
        clip: ClipId(42),
        channel: "main".parse().expect("a channel"),
        media_zero_utc_us: 1_700_000_000_000_000,
        opened_utc_us: 1_700_000_000_000_000,
    }
}

fn config(track: u8, codec: Codec) -> Record {
    let config = CodecConfig { codec, width: 64, height: 64, channels: 0, parameter_sets: Bytes::new() };
    Record::Config { track: TrackId(track), config }
}

fn unit(track: u8, key: bool, pts_ns: u64, size: usize) -> Record {
    Record::Unit(AccessUnit {
        track: TrackId(track),
        key,
        pts_ns,
        dts_ns: pts_ns,
        utc_us: 1_700_000_000_000_000 + pts_ns / 1000,
        first_seq: pts_ns,
        last_seq: pts_ns + 1,
        data: vec![(pts_ns % 251) as u8; size].into(),
    })
}

fn write(path: &Path, records: &[Record]) -> Vec<u64> {
    let mut appender = Appender::create(path, &header()).expect("create");
    let mut ends = vec![appender.written()];
    for record in records {
        appender.append(record).expect("append");
        appender.flush().expect("flush");
        ends.push(appender.written());
    }
    ends
}

fn read(path: &Path) -> (Vec<Record>, Tail) {
    let mut reader = Reader::open(path).expect("open");
    let records = reader.by_ref().map(|r| r.expect("the medium is good")).collect();
    (records, reader.tail().expect("read to the end"))
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let one = prop_oneof![
        (0..3u8, any::<bool>(), 0..10_000_000u64, 0..4000usize).prop_map(|(t, key, pts, n)| unit(t, key, pts, n)),
        Just(config(0, Codec::Vp8)),
        (0..100u64).prop_map(|at| Record::Gap { track: None, from_ns: at, to_ns: at + 9, reason: GapReason::Loss }),
        (0..100u64).prop_map(|rtp| Record::Clock { track: TrackId(1), rtp, utc_us: 5 }),
    ];
    proptest::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_file_gives_every_whole_record(records in records(), cut in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.oxj");
        let ends = write(&path, &records);
        let length = *ends.last().expect("an end");
        let cut = ends[0] + cut.index((length - ends[0] + 1) as usize) as u64;
        fs::OpenOptions::new().write(true).open(&path).and_then(|f| f.set_len(cut)).expect("cut");

        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let (found, tail) = read(&path);
        prop_assert_eq!(&found[..], &records[..whole]);
        let at = ends[whole];
        prop_assert_eq!(tail, if at == cut { Tail::Clean } else { Tail::Torn { at, bytes: cut - at } });
    }

    #[test]
    fn flipped_bits_cost_the_records_that_they_are_in(
        records in records(), at in any::<prop::sample::Index>(), bit in 0..8u8, also in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.oxj");
        let ends = write(&path, &records);
        let mut bytes = fs::read(&path).expect("read");
        let first = ends[0] as usize;
        let (a, b) = (first + at.index(bytes.len() - first), first + also.index(bytes.len() - first));
        bytes[a] ^= 1 << bit;
        if a != b { bytes[b] ^= 0xff; }
        fs::write(&path, &bytes).expect("write");

        let hit = |n: usize| (ends[n]..ends[n + 1]).contains(&(a as u64)) || (ends[n]..ends[n + 1]).contains(&(b as u64));
        let good: Vec<_> = (0..records.len()).filter(|n| !hit(*n)).collect();
        let mut reader = Reader::open(&path).expect("open");
        let found: Vec<_> = reader.by_ref().map(|record| record.expect("the medium is good")).collect();
        let wanted: Vec<_> = good.iter().map(|n| records[*n].clone()).collect();
        prop_assert_eq!(found, wanted);
        let last = good.last().map_or(ends[0], |n| ends[n + 1]);
        let torn = Tail::Torn { at: last, bytes: bytes.len() as u64 - last };
        prop_assert_eq!(reader.tail(), Some(if last == bytes.len() as u64 { Tail::Clean } else { torn }));
        let passed: u64 = reader.damage().iter().map(|damage| damage.bytes).sum();
        let lost: u64 = (0..records.len()).filter(|n| hit(*n)).map(|n| ends[n + 1] - ends[n]).sum();
        prop_assert_eq!(passed + bytes.len() as u64 - last, lost, "every byte is accounted for");
    }

    /// A picture that holds a whole journal is no way to slip records into another.
    #[test]
    fn records_of_another_file_are_none_of_this(inner in records(), outer in records(), flip in 0..RECORD_HEAD) {
        let folder = tempfile::tempdir().expect("folder");
        let (path, other) = (folder.path().join("a.oxj"), folder.path().join("b.oxj"));
        let mut appender = Appender::create(&other, &Header { opened_utc_us: 7, ..header() }).expect("create");
        inner.iter().for_each(|record| appender.append(record).expect("append"));
        appender.flush().expect("flush");
        let Record::Unit(mut picture) = unit(0, true, 1, 0) else { unreachable!() };
        picture.data = fs::read(&other).expect("read").into();
        let mut records = vec![Record::Unit(picture)];
        records.extend(outer);
        let ends = write(&path, &records);
        let mut bytes = fs::read(&path).expect("read");
        bytes[ends[0] as usize + flip] ^= 0x40;
        fs::write(&path, &bytes).expect("write");
        prop_assert_eq!(read(&path).0, &records[1..]);
    }

    #[test]
    fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4000), with_header in any::<bool>()) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.oxj");
        let mut all = if with_header { journal::format::encode_header(&header()) } else { Vec::new() };
        all.extend_from_slice(&bytes);
        fs::write(&path, &all).expect("write");
        match Index::build(&path) {
            Ok(index) => prop_assert!(with_header && index.entries.is_empty()),
            Err(_) => {
                prop_assert!(!with_header);
                let Header { broadcast, part, clip, channel, .. } = header();
                let (channels, all_day) = (vec![channel], vec![0..=86_400_000_000]);
                let (media_zero_utc_us, opened_utc_us) = (all_day.clone(), all_day);
                let hints = Hints { broadcast, part, clip, channels, media_zero_utc_us, opened_utc_us };
                prop_assert!(journal::restore(&path, &hints).is_err());
                prop_assert_eq!(fs::read(&path).expect("read"), bytes);
            }
        }
    }
}

#[test]
fn an_empty_or_foreign_file_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.oxj");
    for bytes in
        [&b""[..], b"OXBOW", b"not a journal at all, but long enough to be one, if it were; which it is not, sorry."]
    {
        fs::write(&path, bytes).expect("write");
        let error = Reader::open(&path).expect_err("refused").to_string();
        assert!(error.contains("x.oxj"), "{error}");
    }
}

#[test]
fn a_part_is_never_written_over() {
    let folder = tempfile::tempdir().expect("folder");
    let path = journal::part_path(folder.path(), header().broadcast, 0, header().clip);
    write(&path, &[unit(0, true, 1, 10)]);
    let before = fs::read(&path).expect("read");
    assert!(Appender::create(&path, &header()).is_err());
    assert_eq!(fs::read(&path).expect("read"), before);
}

#[test]
fn a_header_that_an_earlier_try_left_behind_is_begun_anew() {
    let folder = tempfile::tempdir().expect("folder");
    let path = journal::part_path(folder.path(), header().broadcast, 0, header().clip);
    let header_bytes = write(&path, &[])[0] as usize;
    let whole = fs::read(&path).expect("read");
    for left in [0, 5, header_bytes] {
        fs::write(&path, &whole[..left]).expect("write");
        write(&path, &[unit(0, true, 1, 10)]);
        let (records, tail) = read(&path);
        assert_eq!((records.len(), matches!(tail, Tail::Clean)), (1, true), "{left} bytes were left");
        fs::remove_file(&path).expect("remove");
    }
}

#[test]
fn a_refused_record_leaves_the_others_in_order() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.oxj");
    let mut appender = Appender::create(&path, &header()).expect("create");
    appender.append(&unit(0, true, 1, 100)).expect("append");
    assert!(appender.append(&unit(0, false, 2, journal::format::DATA_BYTES + 1)).is_err());
    appender.append(&unit(0, false, 3, 100)).expect("append");
    let length = appender.close(9, Cause::End).expect("close");
    assert_eq!(fs::metadata(&path).expect("stat").len(), length);
    let index = Index::build(&path).expect("index");
    assert_eq!(index.entries.iter().map(|e| e.pts_ns).collect::<Vec<_>>(), [1, 3]);
    assert!(index.closed);
}

#[test]
fn many_records_go_out_in_one_flush() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.oxj");
    let records: Vec<_> = (0..2000).map(|at| unit(0, at % 30 == 0, at, (at % 7) as usize)).collect();
    let mut appender = Appender::create(&path, &header()).expect("create");
    for record in &records {
        appender.append(record).expect("append");
    }
    appender.flush().expect("flush");
    assert_eq!(appender.pending_bytes(), 0);
    assert_eq!(read(&path), (records, Tail::Clean));
}

#[test]
fn neighbouring_ranges_share_nothing_and_miss_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.oxj");
    let mut records = vec![config(0, Codec::Vp8), config(1, Codec::Opus)];
    for at in 0..300u64 {
        records.push(unit(0, at % 30 == 0, at * 33_000_000, 20));
        records.push(unit(1, true, at * 33_000_000 + 7_000_000, 5));
    }
    write(&path, &records);
    let index = Index::build(&path).expect("index");
    assert_eq!(index.video(), Some(TrackId(0)));
    let wanted = [None, Some(1_500_000_000), Some(4_000_000_001), Some(9_000_000_000), None];
    let total: usize = wanted.windows(2).map(|w| index.select(index.range(w[0], w[1])).count()).sum();
    assert_eq!(total, 600);
    let middle = index.range(wanted[1], wanted[2]);
    assert_eq!(middle, Range { from_ns: 60 * 33_000_000, to_ns: 150 * 33_000_000 });
    let first = index.select(middle).next().expect("a unit");
    assert!(first.key && first.track == TrackId(0));
    let mut reader = Reader::open(&path).expect("open");
    for entry in index.select(middle) {
        let Record::Unit(unit) = reader.read_at(entry.offset).expect("read") else { panic!("no unit") };
        assert_eq!((unit.pts_ns, unit.track, unit.data.len()), (entry.pts_ns, entry.track, entry.size as usize));
    }
}

/// Pictures at 30 and sound at 50 a second, keyframes on the second, numbers told every 2 s and at the end.
fn live(seconds: u64) -> Vec<Record> {
    let mut records = vec![config(0, Codec::Vp8), config(1, Codec::Opus)];
    let mut sound = 0;
    for picture in 0..30 * seconds {
        if picture % 60 == 0 {
            records.push(Record::Count { track: TrackId(0), number: picture, given_up: false });
            records.push(Record::Count { track: TrackId(1), number: sound, given_up: false });
        }
        let pts_ns = picture * 1_000_000_000 / 30;
        let of = |track: u8, number: u64, pts_ns: u64, key: bool| {
            let Record::Unit(unit) = unit(track, key, pts_ns, 700) else { unreachable!() };
            Record::Unit(AccessUnit { first_seq: 3 * number, last_seq: 3 * number + 2, ..unit })
        };
        records.push(of(0, picture, pts_ns, picture % 30 == 0));
        while sound * 20_000_000 <= pts_ns {
            records.push(of(1, sound, sound * 20_000_000, true));
            sound += 1;
        }
    }
    for (track, number) in [(0, 30 * seconds), (1, sound)] {
        records.push(Record::Count { track: TrackId(track), number, given_up: false });
    }
    records
}

#[test]
fn behind_damage_every_unit_has_its_number_and_every_loss_its_gap() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.oxj");
    let records = live(9);
    let ends = write(&path, &records);
    let whole = fs::read(&path).expect("read");
    let written = Index::build(&path).expect("index");
    for hit in 2..records.len() {
        let mut bytes = whole.clone();
        bytes[(ends[hit] as usize + ends[hit + 1] as usize) / 2] ^= 4;
        fs::write(&path, &bytes).expect("write");
        let index = Index::build(&path).expect("index");
        for entry in &index.entries {
            let original = written.entries.iter().find(|one| one.offset == entry.offset).expect("nothing is invented");
            assert_eq!(Entry { after_given_up: false, ..*entry }, Entry { after_given_up: false, ..*original });
        }
        let Record::Unit(unit) = &records[hit] else {
            assert_eq!((index.entries.len(), index.gaps.len()), (written.entries.len(), 0));
            continue;
        };
        let lost: Vec<_> =
            written.entries.iter().filter(|one| index.entries.iter().all(|entry| entry.offset != one.offset)).collect();
        assert!(lost.iter().all(|entry| entry.track == unit.track));
        let resumed = index.entries.iter().find(|e| e.track == unit.track && e.pts_ns > unit.pts_ns);
        match (lost.len(), resumed) {
            (1, _) if unit.track == TrackId(1) => {}
            (1..=30, Some(resumed)) => assert!(resumed.key && resumed.after_given_up),
            (1..=30, None) => assert!(unit.pts_ns >= 8_000_000_000),
            _ => panic!("{} units lost by damage to one", lost.len()),
        }
        let last = resumed.is_none() && lost.len() == 1;
        assert!(index.gaps.len() == 1 || last && index.gaps.is_empty(), "record {hit}: {:?}", index.gaps);
        if let Some(gap) = index.gaps.first() {
            assert!(gap.reason == GapReason::Damage && gap.track == Some(unit.track));
            // where the damaged one was the track's first, nothing says how long a unit of it lasts
            assert!(gap.from_ns <= lost[0].pts_ns && gap.to_ns >= lost[lost.len() - 1].pts_ns, "{gap:?}");
        }
    }
}

#[test]
fn what_a_cut_gave_away_does_not_count() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.oxj");
    let records = [
        config(1, Codec::Opus),
        unit(1, true, 10, 5),
        unit(1, true, 30, 5), // sound ahead of the picture
        config(0, Codec::Vp8),
        unit(0, true, 5, 9),
        Record::Cut { at_ns: 20, cause: Cause::Length },
        unit(1, true, 19, 5), // sound that came late
    ];
    write(&path, &records);
    let index = Index::build(&path).expect("index");
    assert_eq!(index.entries.iter().map(|e| e.pts_ns).collect::<Vec<_>>(), [10, 5, 19]);
    assert_eq!(index.epochs.iter().map(|e| e.first_entry).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((index.cut_ns, index.cause, index.closed), (Some(20), Some(Cause::Length), false));
}

fn skim(path: &Path) -> (Vec<(u64, Skimmed)>, u64) {
    let mut skimmer = Skimmer::open(path).expect("open");
    let mut found = Vec::new();
    while let Some(next) = skimmer.next_record().expect("the medium is good") {
        found.push(next);
    }
    (found, skimmer.offset())
}

fn skimmed(record: &Record) -> Skimmed {
    match record {
        Record::Unit(unit) => Skimmed::Unit(UnitHead {
            track: unit.track,
            key: unit.key,
            pts_ns: unit.pts_ns,
            dts_ns: unit.dts_ns,
            size: unit.data.len() as u32,
        }),
        other => Skimmed::Record(other.clone()),
    }
}

proptest! {
    #[test]
    fn skimming_tells_the_same_and_never_panics(records in records(), flip in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.oxj");
        let ends = write(&path, &records);
        let (found, end) = skim(&path);
        prop_assert_eq!(found.iter().map(|(_, s)| s.clone()).collect::<Vec<_>>(), records.iter().map(skimmed).collect::<Vec<_>>());
        prop_assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), ends[..records.len()].to_vec());
        prop_assert_eq!(end, ends[records.len()]);

        // Cut off anywhere it gives a prefix, and the rest when that has come.
        let bytes = fs::read(&path).expect("read");
        let at = cut.index(bytes.len() - ends[0] as usize + 1) + ends[0] as usize;
        let growing = folder.path().join("b.oxj");
        fs::write(&growing, &bytes[..at]).expect("write");
        let mut skimmer = Skimmer::open(&growing).expect("open");
        let mut seen = Vec::new();
        while let Some((_, next)) = skimmer.next_record().expect("the medium is good") {
            seen.push(next);
        }
        prop_assert!(seen.len() == ends.iter().filter(|end| **end <= at as u64).count() - 1);
        fs::write(&growing, &bytes).expect("write");
        while let Some((_, next)) = skimmer.next_record().expect("the medium is good") {
            seen.push(next);
        }
        prop_assert_eq!(seen, records.iter().map(skimmed).collect::<Vec<_>>());

        let mut damaged = bytes;
        let bit = flip.index(damaged.len() - ends[0] as usize) + ends[0] as usize;
        damaged[bit] ^= 0x04;
        fs::write(&path, &damaged).expect("write");
        let before = ends.iter().filter(|end| **end <= bit as u64).count() - 1;
        prop_assert!(skim(&path).0.len() >= before);
    }
}
