use std::collections::BTreeMap;
use std::path::Path;

use journal::{Appender, Cause, ClipId, Header, Record};
use media::id::{BroadcastId, TrackId};
use media::message::{AccessUnit, Codec, CodecConfig, Orientation};

use super::part::build;
use storage::local::KeptPart;

use super::*;

const MS: u64 = 1_000_000;
const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01];
const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80];

fn config(track: u8, codec: Codec, width: u16) -> Record {
    let parameter_sets = if codec == Codec::H264 { [SPS, PPS].concat().into() } else { Bytes::new() };
    let channels = if codec == Codec::Opus { 2 } else { 0 };
    let config = CodecConfig { codec, width, height: width / 2, channels, parameter_sets };
    Record::Config { track: TrackId(track), config }
}

/// What no other unit of a kind has; without zeros, which would be start codes.
fn mark(ms: u64) -> Vec<u8> {
    format!("{ms:08}").into_bytes()
}

fn data(track: u8, key: bool, ms: u64) -> Vec<u8> {
    let number = mark(ms);
    match (track, key) {
        (0, true) => [SPS, PPS, &[0, 0, 0, 1, 0x65, 0x88, 1], &number, &[0x80]].concat(),
        (0, false) => [&[0, 0, 0, 1, 0x41, 0x9a, 1][..], &number, &[0x80]].concat(),
        _ => [&[0xfc, 1][..], &number].concat(),
    }
}

fn unit(track: u8, key: bool, ms: u64) -> Record {
    Record::Unit(AccessUnit {
        track: TrackId(track),
        key,
        pts_ns: ms * MS,
        dts_ns: ms * MS,
        utc_us: 0,
        first_seq: 0,
        last_seq: 0,
        data: data(track, key, ms).into(),
    })
}

/// Picture and sound from `from` to `to`, a keyframe every two seconds, sound 60 ms late in the file.
fn live(from: u64, to: u64) -> Vec<Record> {
    let pictures = (from..to).step_by(40).map(|ms| (ms, unit(0, (ms - from).is_multiple_of(2000), ms)));
    let sounds = (from..to).step_by(20).map(|ms| (ms + 60, unit(1, true, ms)));
    let mut all: Vec<_> = pictures.chain(sounds).collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, record)| record).collect()
}

fn part(folder: &Path, part: u32) -> (Appender, KeptPart) {
    let clip = ClipId(u128::from(part) + 1);
    let header = Header {
        broadcast: BroadcastId(7),
        part,
        clip,
        channel: "main".parse().unwrap(),
        media_zero_utc_us: 1_700_000_000_000_000,
        opened_utc_us: 1_700_000_000_000_000,
    };
    let path = journal::part_path(folder, header.broadcast, part, clip);
    (Appender::create(&path, &header).unwrap(), KeptPart { part, journal: path, open: true })
}

fn append(appender: &mut Appender, records: &[Record]) {
    for record in records {
        appender.append(record).unwrap();
    }
    appender.flush().unwrap();
}

fn text(recording: &Recording) -> String {
    match recording.playlist() {
        Written::Text(text) => text,
        other => panic!("no playlist: {other:?}"),
    }
}

/// Every segment that a playlist names, by its name.
fn segments(recording: &Recording) -> BTreeMap<String, Vec<u8>> {
    let text = text(recording);
    let mut found = BTreeMap::new();
    for name in text.lines().filter(|line| line.ends_with(".m4s")) {
        let Some(Name::Segment { part, number }) = Name::parse(name) else { panic!("{name}") };
        let plan = recording.plan(part, number).unwrap();
        found.insert(name.to_owned(), build(&plan.journal, &plan.segment, plan.number, &plan.format).unwrap());
    }
    found
}

fn look(kept: &[KeptPart], live: bool) -> Recording {
    let mut recording = Recording::default();
    recording.look(kept, live).unwrap();
    recording
}

#[test]
fn an_index_that_followed_and_one_made_later_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, mut kept) = part(folder.path(), 0);
    let mut following = Recording::default();
    let mut seen = BTreeMap::new();
    append(&mut first, &[config(0, Codec::H264, 640), config(1, Codec::Opus, 0)]);
    let records = live(0, 11_000);
    for some in records.chunks(37) {
        append(&mut first, some);
        following.look(&[kept.clone()], true).unwrap();
        if following.playlist() != Written::NotYet {
            seen.extend(segments(&following));
            assert!(!text(&following).contains("ENDLIST"));
        }
    }
    // The keyframe at 11 s cut; sound that belongs to the next part is in both files.
    append(&mut first, &[unit(1, true, 11_000), Record::Cut { at_ns: 11_000 * MS, cause: Cause::Length }]);
    let (mut second, kept_second) = part(folder.path(), 1);
    append(&mut second, &[config(0, Codec::H264, 640), config(1, Codec::Opus, 0)]);
    append(&mut second, &live(11_000, 16_000));
    let both = [kept.clone(), kept_second.clone()];
    following.look(&both, true).unwrap();
    assert!(!text(&following).contains("1-0.m4s"), "the first part still gets its last sound");
    first.close(0, Cause::Length).unwrap();
    kept.open = false;
    following.look(&both, true).unwrap();
    seen.extend(segments(&following));
    second.close(0, Cause::End).unwrap();
    let closed = [kept, KeptPart { open: false, ..kept_second }];
    following.look(&closed, false).unwrap();
    seen.extend(segments(&following));

    let later = look(&closed, false);
    assert_eq!(segments(&later), seen);
    let playlist = text(&later);
    assert_eq!(playlist, text(&following));
    let names: Vec<_> = playlist.lines().filter(|line| line.ends_with(".m4s")).collect();
    assert_eq!(
        names,
        ["0-0.m4s", "0-1.m4s", "0-2.m4s", "0-3.m4s", "0-4.m4s", "0-5.m4s", "1-0.m4s", "1-1.m4s", "1-2.m4s"]
    );
    // Two parts of one format follow each other without a seam.
    assert_eq!(playlist.matches("#EXT-X-MAP").count(), 1);
    assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"), "{playlist}");
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"), "{playlist}");
    let lengths =
        playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse::<f64>().ok());
    assert!((lengths.sum::<f64>() - 16.0).abs() < 1e-6, "{playlist}");

    // Every unit once, whichever segment it is in.
    let all: Vec<u8> = seen.into_values().flatten().collect();
    for record in live(0, 11_000).into_iter().chain(live(11_000, 16_000)) {
        let Record::Unit(unit) = record else { continue };
        // Pictures stand behind their length, without start code and parameter sets.
        let at = unit.data.len() - if unit.track == TrackId(0) { 12 } else { 10 };
        let marks = memmem(&all, &unit.data[at..]);
        assert_eq!(marks, 1, "unit of track {} at {} ms", unit.track.0, unit.pts_ns / MS);
    }
}

fn memmem(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

#[test]
fn another_resolution_and_an_absence_are_discontinuities() {
    let folder = tempfile::tempdir().unwrap();
    let (mut only, mut kept) = part(folder.path(), 0);
    append(&mut only, &[config(0, Codec::H264, 640), config(1, Codec::Opus, 0)]);
    append(&mut only, &live(0, 4000));
    append(&mut only, &[config(0, Codec::H264, 320)]);
    append(&mut only, &live(4000, 6000));
    append(&mut only, &live(26_000, 28_000));
    only.close(0, Cause::End).unwrap();
    kept.open = false;
    let playlist = text(&look(&[kept], false));
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{playlist}");
    assert_eq!(playlist.matches("#EXT-X-MAP").count(), 2, "{playlist}");
    for date in ["22:13:20.000", "22:13:24.000", "22:13:46.000"] {
        assert!(playlist.contains(&format!("#EXT-X-PROGRAM-DATE-TIME:2023-11-14T{date}Z")), "{date}: {playlist}");
    }
}

#[test]
fn parts_that_are_gone_leave_the_beginning_and_are_gaps_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Vec::new();
    for number in 0..4 {
        let (mut appender, mut row) = part(folder.path(), number);
        append(&mut appender, &[config(0, Codec::H264, 640), config(1, Codec::Opus, 0)]);
        append(&mut appender, &live(u64::from(number) * 4000, u64::from(number + 1) * 4000));
        append(&mut appender, &[Record::Cut { at_ns: u64::from(number + 1) * 4000 * MS, cause: Cause::Length }]);
        appender.close(0, Cause::Length).unwrap();
        row.open = false;
        kept.push(row);
    }
    let mut recording = look(&kept, true);
    assert!(text(&recording).contains("MEDIA-SEQUENCE:0\n"));
    let without = |gone: &[u32]| kept.iter().filter(|row| !gone.contains(&row.part)).cloned().collect::<Vec<_>>();
    recording.look(&without(&[2]), true).unwrap();
    let playlist = text(&recording);
    assert_eq!(playlist.matches("#EXT-X-GAP\n#EXTINF:2.000000,\n2-").count(), 2, "{playlist}");
    assert!(recording.plan(2, 0).is_none() && recording.plan(1, 0).is_some());
    recording.look(&without(&[0, 2]), true).unwrap();
    let playlist = text(&recording);
    assert!(playlist.contains("MEDIA-SEQUENCE:2\n") && !playlist.contains("\n0-"), "{playlist}");
    // An index made now cannot know how many there were, and tells no smaller number.
    let playlist = text(&look(&without(&[0]), true));
    assert!(playlist.contains("MEDIA-SEQUENCE:4\n"), "{playlist}");
    recording.look(&[], true).unwrap();
    assert_eq!(recording.playlist(), Written::Gone);
}

#[test]
fn sound_alone_can_be_replayed_and_vp8_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sound, mut kept) = part(folder.path(), 0);
    append(&mut sound, &[config(1, Codec::Opus, 0)]);
    let sounds: Vec<_> = live(0, 6000).into_iter().filter(|r| matches!(r, Record::Unit(u) if u.track.0 == 1)).collect();
    append(&mut sound, &sounds);
    sound.close(0, Cause::End).unwrap();
    kept.open = false;
    let recording = look(&[kept], false);
    assert_eq!(segments(&recording).len(), 3);

    let (mut vp8, mut kept) = part(folder.path(), 1);
    append(&mut vp8, &[config(0, Codec::Vp8, 640), config(1, Codec::Opus, 0)]);
    append(&mut vp8, &live(0, 6000));
    vp8.close(0, Cause::End).unwrap();
    kept.open = false;
    assert_eq!(look(&[kept], false).playlist(), Written::Unsuitable("VP8"));
}

#[test]
fn the_orientation_at_the_head_of_a_part_is_in_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let (mut only, mut kept) = part(folder.path(), 0);
    let turned = |by| Record::Orientation { track: TrackId(0), from_ns: 0, orientation: Orientation::from_byte(by) };
    append(&mut only, &[config(0, Codec::H264, 640), turned(1)]);
    append(&mut only, &live(0, 4000));
    append(&mut only, &[turned(2)]);
    append(&mut only, &live(4000, 6000));
    only.close(0, Cause::End).unwrap();
    kept.open = false;
    let recording = look(&[kept], false);
    for number in 0..3 {
        assert_eq!(recording.plan(0, number).unwrap().format.video.unwrap().quarters, 1);
    }
    assert_eq!(text(&recording).matches("#EXT-X-MAP").count(), 1);
}

#[test]
fn a_damaged_unit_is_left_out_of_its_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (mut only, mut kept) = part(folder.path(), 0);
    append(&mut only, &[config(0, Codec::H264, 640)]);
    append(&mut only, &live(0, 2000));
    only.close(0, Cause::End).unwrap();
    kept.open = false;
    let recording = look(&[kept.clone()], false);
    let whole = segments(&recording);
    let mut bytes = std::fs::read(&kept.journal).unwrap();
    let needle = [&[0x41, 0x9a, 1][..], &mark(1000)].concat();
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at + 2] ^= 1;
    std::fs::write(&kept.journal, bytes).unwrap();
    let damaged = segments(&recording);
    assert_eq!(damaged.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    assert_eq!(memmem(&damaged["0-0.m4s"], &needle), 0);
    assert_eq!(memmem(&damaged["0-0.m4s"], &mark(1040)), 1);
}

#[test]
fn a_thing_has_one_name() {
    assert_eq!(Name::parse("index.m3u8"), Some(Name::Playlist));
    assert_eq!(Name::parse("12-7.m4s"), Some(Name::Segment { part: 12, number: 7 }));
    assert_eq!(Name::parse("init-0123456789abcdef.mp4"), Some(Name::Init("init-0123456789abcdef.mp4".into())));
    for wrong in
        ["", "-", "1.m4s", "01-2.m4s", "+1-2.m4s", "1-2-3.m4s", "4294967296-0.m4s", "init-.mp4", "../index.m3u8"]
    {
        assert_eq!(Name::parse(wrong), None, "{wrong}");
    }
}
