//! What is in the journal is in the file: every picture once, at its time, in all shapes a live can take.

mod support;
mod webm;

use journal::{Cause, Record};
use media::message::{Codec, Orientation};
use pipeline::source::TestPattern;
use pipeline::{Container, ExportError, ExportJob, Format, Piece, inspect};
use support::{
    SECOND, SOUND, VIDEO, config, consecutive, count, export, job, later, leftovers, media, only, pattern, run,
};

const MS: u64 = 1_000_000;

#[tokio::test]
async fn a_whole_part_becomes_a_clip_with_every_picture_once() {
    for (codec, container, mime, name) in [
        (Codec::Vp8, Container::Webm, "video/webm", "clip.webm"),
        (Codec::Vp9, Container::Mp4, "video/mp4", "clip.mp4"),
        (Codec::H264, Container::Mp4, "video/mp4", "clip.mp4"),
        (Codec::Av1, Container::Mp4, "video/mp4", "clip.mp4"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let records = media(&pattern(codec), 4);
        let part = support::write_part(folder.path(), 0, &records, Cause::End);
        let exported = run(ExportJob { poster: true, ..job(folder.path(), vec![part]) }).await.unwrap();

        assert_eq!((exported.container, exported.mime.as_str()), (container, mime));
        assert_eq!(exported.file, folder.path().join(name));
        assert_eq!((exported.width, exported.height), (384, 216));
        assert_eq!((exported.from_ns, exported.duration_ms.abs_diff(4_000) < 25), (0, true), "{exported:?}");
        assert_eq!(exported.tracks.len(), 2);
        assert_eq!(exported.tracks[0].units, 120);
        assert_eq!(exported.tracks[1].units, count(&records, SOUND));
        assert_eq!((exported.tracks[0].first_seq, exported.tracks[0].last_seq), (0, 119 * 3 + 2));

        let bytes = std::fs::read(&exported.file).unwrap();
        assert_eq!(exported.size, bytes.len() as u64);
        assert_eq!(exported.sha256, hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes)));
        let poster = std::fs::read(exported.poster.expect("a poster")).unwrap();
        assert!(poster.starts_with(&[0xff, 0xd8]) && poster.ends_with(&[0xff, 0xd9]), "a JPEG");
        assert_eq!(leftovers(folder.path()), [""; 0]);

        let clip = inspect::clip(&exported.file).unwrap();
        consecutive(&clip.numbers().unwrap(), 0, 120);
        assert!(clip.sounds.len() as u64 >= count(&records, SOUND));
        assert!(clip.duration_ns.abs_diff(4 * SECOND) < 25 * MS);
        let offset = clip.sound_offset_ns(30).expect("beeps");
        assert!(offset.abs() < 5 * MS as i64, "{codec:?}: sound is {offset} ns late");
    }
}

#[tokio::test]
async fn the_index_of_an_mp4_comes_before_the_media_and_names_the_format() {
    for (codec, entry, configuration) in [
        (Codec::H264, b"avc1", &b"avcC\x01\x42"[..]),
        // Version 1, profile 0.
        (Codec::Vp9, b"vp09", b"vpcC\x01\0\0\0\0"),
        // Version 1, main profile; the sequence header follows.
        (Codec::Av1, b"av01", b"av1C\x81"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let exported = export(folder.path(), &media(&pattern(codec), 1)).await.unwrap();
        let bytes = std::fs::read(&exported.file).unwrap();
        let at = |name: &[u8]| bytes.windows(name.len()).position(|window| window == name);
        assert!(at(b"moov").expect("an index") < at(b"mdat").expect("media"), "{codec:?}");
        assert!(at(entry).is_some(), "{codec:?}");
        let begins = at(&configuration[..4]).expect("a decoder configuration");
        assert_eq!(bytes[begins..begins + configuration.len()], *configuration, "{codec:?}");
        if codec == Codec::Av1 {
            let record = at(b"av1C").unwrap() + 4;
            assert_eq!(bytes[record + 4], 0x0a, "the sequence header, with its size");
        }
    }
}

/// Width, height and the turn in degrees against the clock, as ffprobe reads them.
fn probed(file: &std::path::Path) -> (u32, u32, i32) {
    let entries = "stream=width,height:stream_side_data=rotation";
    let command = ["-v", "error", "-select_streams", "v", "-of", "default=nk=1:nw=1", "-show_entries", entries];
    let output = std::process::Command::new("ffprobe").args(command).arg(file).output().expect("ffprobe runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.lines().filter_map(|line| line.trim().parse::<f64>().ok());
    let mut number = || numbers.next().unwrap_or(0.0);
    (number() as u32, number() as u32, number() as i32)
}

/// The number in a picture of 384 × 216 that was turned by so many quarters with the clock.
fn number_in(jpeg: &std::path::Path, quarters: u8) -> Option<u32> {
    let gray = ["-f", "rawvideo", "-pix_fmt", "gray", "-"];
    let output = std::process::Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(jpeg).args(gray).output();
    let luma = output.expect("ffmpeg runs").stdout;
    let (width, height) = (384, 216);
    assert_eq!(luma.len(), width * height);
    let at = |x: usize, y: usize| match quarters {
        0 => luma[y * width + x],
        1 => luma[x * height + (height - 1 - y)],
        2 => luma[(height - 1 - y) * width + (width - 1 - x)],
        _ => luma[(width - 1 - x) * height + y],
    };
    let upright: Vec<u8> = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| at(x, y)).collect();
    pipeline::number::read(&upright, width, width, height)
}

#[tokio::test]
async fn a_picture_that_lies_is_turned_by_the_player() {
    for codec in [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1] {
        for (quarters, degrees) in [(0, 0), (1, -90), (2, 180), (3, 90)] {
            let folder = tempfile::tempdir().unwrap();
            let mut records = media(&pattern(codec), 1);
            let turn = |from_ns, quarters| Record::Orientation {
                track: VIDEO,
                from_ns,
                orientation: Orientation::from_byte(quarters),
            };
            // Camera and flip are no business of a clip; what holds later is that of the next one.
            records.splice(1..1, [turn(0, quarters | 0x0c)]);
            records.push(turn(SECOND, 0));
            let part = support::write_part(folder.path(), 0, &records, Cause::End);
            let exported = run(ExportJob { poster: true, ..job(folder.path(), vec![part]) }).await.unwrap();
            let (width, height, turned) = probed(&exported.file);
            assert_eq!((width, height, turned.rem_euclid(360)), (384, 216, (degrees + 360) % 360), "{codec:?}");
            let shown = if quarters % 2 == 1 { (216, 384) } else { (384, 216) };
            assert_eq!((exported.width, exported.height), shown, "{codec:?} {quarters}");
            let poster = exported.poster.expect("a poster");
            assert_eq!(number_in(&poster, quarters), Some(0), "the poster of {codec:?} {quarters}");
            let (width, height, _) = probed(&poster);
            assert_eq!((width, height), (u32::from(shown.0), u32::from(shown.1)), "the poster of {codec:?} {quarters}");
            consecutive(&inspect::clip(&exported.file).unwrap().numbers().unwrap(), 0, 30);
        }
    }
}

/// Chromium decodes from whatever is called a keyframe, and GStreamer's and ffmpeg's demuxers do not mind: so the bytes are looked at.
#[tokio::test]
async fn a_webm_calls_keyframes_what_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let records = media(&pattern(Codec::Vp8), 3);
    let exported = export(folder.path(), &records).await.unwrap();
    let bytes = std::fs::read(&exported.file).unwrap();
    let blocks = webm::blocks(&bytes);
    let keys = |track: u8| blocks.iter().filter(|(of, flags)| *of == track && flags & 0x80 != 0).count();
    let all = |track: u8| blocks.iter().filter(|(of, _)| *of == track).count();
    assert_eq!((all(1), keys(1)), (90, 3), "pictures, and one keyframe a second");
    let sounds = count(&records, SOUND) as usize;
    assert_eq!((all(2), keys(2)), (sounds, sounds), "every packet of sound stands alone");
}

#[tokio::test]
async fn ranges_that_share_a_border_share_no_picture_and_lose_none() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let records = media(&pattern(codec), 6);
        let part = support::write_part(folder.path(), 0, &records, Cause::End);
        let borders = [None, Some(SECOND + 1), Some(4 * SECOND), None];
        let (mut numbers, mut packets) = (Vec::new(), 0);
        for (at, border) in borders.windows(2).enumerate() {
            let job = ExportJob {
                pieces: vec![Piece { journals: vec![part.clone()], from_ns: border[0], to_ns: border[1] }],
                stem: format!("{at}"),
                ..job(folder.path(), Vec::new())
            };
            let exported = run(job).await.unwrap();
            let clip = inspect::clip(&exported.file).unwrap();
            numbers.extend(clip.numbers().unwrap());
            packets += exported.tracks[1].units;
            let offset = clip.sound_offset_ns(30).expect("beeps");
            assert!(offset.abs() < 5 * MS as i64, "{codec:?} clip {at}: {offset}");
        }
        consecutive(&numbers, 0, 180);
        assert_eq!(packets, count(&records, SOUND));
    }
}

#[tokio::test]
async fn parts_continue_each_other_and_what_a_cut_gave_away_is_not_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let records = media(&pattern(Codec::Vp8), 4);
    let border = 2 * SECOND;
    // The part that was cut holds a little more than belongs to it.
    let mut first = only(records.clone(), |unit| unit.pts_ns < border + SECOND / 5);
    first.push(Record::Cut { at_ns: border, cause: Cause::Length });
    let second = only(records, |unit| unit.pts_ns >= border);
    let parts = vec![
        support::write_part(folder.path(), 0, &first, Cause::Length),
        support::write_part(folder.path(), 1, &second, Cause::End),
    ];
    let one = run(job(folder.path(), vec![parts[0].clone()])).await.unwrap();
    consecutive(&inspect::clip(&one.file).unwrap().numbers().unwrap(), 0, 60);
    assert_eq!(one.to_ns, border, "it ends where the next one begins");
    let both = run(ExportJob { stem: "both".into(), ..job(folder.path(), parts) }).await.unwrap();
    consecutive(&inspect::clip(&both.file).unwrap().numbers().unwrap(), 0, 120);
}

#[tokio::test]
async fn a_part_may_have_only_pictures_or_only_sound() {
    let folder = tempfile::tempdir().unwrap();
    let silent = export(folder.path(), &media(&TestPattern { sound: false, ..pattern(Codec::H264) }, 2)).await.unwrap();
    assert_eq!(silent.tracks.len(), 1);
    consecutive(&inspect::clip(&silent.file).unwrap().numbers().unwrap(), 0, 60);

    let folder = tempfile::tempdir().unwrap();
    let blind = export(folder.path(), &only(media(&pattern(Codec::Vp8), 2), |unit| unit.track == SOUND)).await.unwrap();
    assert_eq!((blind.mime.as_str(), blind.width, blind.tracks.len()), ("audio/mp4", 0, 1));
    let clip = inspect::clip(&blind.file).unwrap();
    assert!(clip.pictures.is_empty());
    assert_eq!(clip.beeps_ns.len(), 1);
    assert!(clip.beeps_ns[0].abs_diff(SECOND) < 5 * MS);
}

#[tokio::test]
async fn a_single_picture_is_a_clip_that_lasts() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let records = only(media(&pattern(codec), 1), |unit| unit.track == VIDEO && unit.first_seq == 0);
        let exported = export(folder.path(), &records).await.unwrap();
        assert!(exported.duration_ms > 0, "{exported:?}");
        let clip = inspect::clip(&exported.file).unwrap();
        consecutive(&clip.numbers().unwrap(), 0, 1);
    }
}

#[tokio::test]
async fn a_track_may_come_late_or_go_early() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        for (track, after) in [(VIDEO, true), (SOUND, true), (VIDEO, false), (SOUND, false)] {
            let folder = tempfile::tempdir().unwrap();
            let border = 3 * SECOND;
            let records =
                only(media(&pattern(codec), 6), |unit| unit.track != track || (unit.pts_ns >= border) == after);
            let exported = export(folder.path(), &records).await.unwrap();
            assert_eq!((exported.from_ns, exported.tracks.len()), (0, 2));
            let clip = inspect::clip(&exported.file).unwrap();
            assert_eq!(clip.pictures.len() as u64, count(&records, VIDEO));
            assert!(
                clip.duration_ns.abs_diff(6 * SECOND) < 40 * MS,
                "{codec:?} {track:?} {after}: {}",
                clip.duration_ns
            );
            let offset = clip.sound_offset_ns(30);
            assert!(
                offset.is_none_or(|offset| offset.abs() < 5 * MS as i64),
                "{codec:?} {track:?} {after}: {offset:?}"
            );
            if track == VIDEO && after {
                assert!(clip.pictures[0].pts_ns.abs_diff(border) < 2 * MS);
            }
        }
    }
}

#[tokio::test]
async fn a_gap_keeps_its_length() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let records = media(&pattern(codec), 4);
        let before = only(records.clone(), |unit| unit.pts_ns < 2 * SECOND);
        let after = later(only(records, |unit| unit.pts_ns >= 2 * SECOND), 20 * SECOND);
        let exported = export(folder.path(), &[before, after].concat()).await.unwrap();
        assert!(exported.duration_ms.abs_diff(24_000) < 40);
        let clip = inspect::clip(&exported.file).unwrap();
        consecutive(&clip.numbers().unwrap(), 0, 120);
        assert!(clip.pictures[60].pts_ns.abs_diff(22 * SECOND) < 2 * MS);
        let offset = clip.sound_offset_ns(30).expect("beeps");
        assert!(offset.abs() < 5 * MS as i64, "{offset}");
    }
}

#[tokio::test]
async fn the_picture_may_change_its_size() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let small = TestPattern { sound: false, ..pattern(codec) };
        let large = TestPattern { width: 640, height: 360, ..small.clone() };
        let records = [media(&small, 1), later(media(&large, 1), SECOND), later(media(&small, 1), 2 * SECOND)].concat();
        let exported = export(folder.path(), &records).await.unwrap();
        assert_eq!((exported.width, exported.height), (640, 360));
        let clip = inspect::clip(&exported.file).unwrap();
        let expected: Vec<u32> = (0..30).chain(0..30).chain(0..30).collect();
        assert_eq!(clip.numbers().unwrap(), expected, "{codec:?}");
        assert_eq!((clip.pictures[29].width, clip.pictures[30].width, clip.pictures[60].width), (384, 640, 384));
    }
}

#[tokio::test]
async fn pictures_before_the_first_keyframe_are_counted_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let records = only(media(&pattern(Codec::H264), 3), |unit| !(unit.key && unit.track == VIDEO && unit.pts_ns == 0));
    let exported = export(folder.path(), &records).await.unwrap();
    assert_eq!((exported.tracks[0].units, exported.tracks[0].undecodable), (60, 29));
    consecutive(&inspect::clip(&exported.file).unwrap().numbers().unwrap(), 30, 60);
}

#[tokio::test]
async fn a_torn_tail_is_left_out_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let part = support::write_part(folder.path(), 0, &media(&pattern(Codec::Vp8), 2), Cause::End);
    let length = std::fs::metadata(&part).unwrap().len();
    std::fs::File::options().write(true).open(&part).unwrap().set_len(length - 500).unwrap();
    let exported = run(job(folder.path(), vec![part])).await.unwrap();
    assert!(exported.torn_bytes > 0);
    let numbers = inspect::clip(&exported.file).unwrap().numbers().unwrap();
    assert!(numbers.len() >= 58);
    consecutive(&numbers, 0, numbers.len() as u32);
}

#[tokio::test]
async fn what_cannot_be_a_clip_is_refused_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let records = media(&pattern(Codec::Vp8), 1);
    let no_keys = only(records.clone(), |unit| !unit.key);
    let only_config = only(records.clone(), |_| false);
    let tiny =
        [&[config(&TestPattern { width: 8, height: 8, ..pattern(Codec::Vp8) })], &no_config(&records)[..]].concat();
    let other_codec =
        [&records[..], &[config(&pattern(Codec::H264))], &later(no_config(&records), 5 * SECOND)].concat();
    let cases = [no_keys, only_config, no_config(&records), tiny, other_codec];
    for (at, records) in cases.into_iter().enumerate() {
        let part = support::write_part(folder.path(), at as u32, &records, Cause::End);
        let answer = run(job(folder.path(), vec![part])).await;
        assert!(matches!(answer, Err(ExportError::Refused(_))), "case {at}: {answer:?}");
    }
    let answer = run(job(folder.path(), vec![folder.path().join("absent.oxj")])).await;
    assert!(matches!(answer, Err(ExportError::Io(_))), "{answer:?}");
    assert_eq!(leftovers(folder.path()), [""; 0]);
    assert!(!folder.path().join("clip.webm").exists());
}

#[tokio::test]
async fn pictures_that_nobody_can_decode_are_kept_as_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = media(&pattern(Codec::Vp8), 2);
    for record in &mut records {
        if let Record::Unit(unit) = record
            && unit.track == VIDEO
        {
            // the frame's header and size stay, its first partition is longer than the frame
            let mut data = unit.data.to_vec();
            data[0] |= 0xe0;
            data[1] = 0xff;
            data[2] = 0xff;
            unit.data = data.into();
        }
    }
    let exported = export(folder.path(), &records).await.unwrap();
    assert_eq!(exported.tracks[0].units, 60);
    assert!(exported.undecoded.is_some_and(|why| why.contains("beginning")));
    assert!(exported.file.exists());

    let part = support::write_part(folder.path(), 1, &records, Cause::End);
    let answer = run(ExportJob { format: Format::Compatible, ..job(folder.path(), vec![part]) }).await;
    assert!(answer.is_err(), "nothing can be encoded anew of it");
}

fn no_config(records: &[Record]) -> Vec<Record> {
    records.iter().filter(|record| matches!(record, Record::Unit(unit) if unit.track == VIDEO)).cloned().collect()
}

/// Sound that was muted but for a moment of the part.
#[tokio::test]
async fn sound_of_a_moment_is_in_the_file() {
    for codec in [Codec::Vp8, Codec::H264] {
        let records = media(&pattern(codec), 3);
        for moment in [0..15 * MS, 0..500 * MS, 1500 * MS..1535 * MS, 2000 * MS..2500 * MS, SECOND..3 * SECOND] {
            let folder = tempfile::tempdir().unwrap();
            let kept = only(records.clone(), |unit| unit.track == VIDEO || moment.contains(&unit.pts_ns));
            let exported = export(folder.path(), &kept).await.unwrap();
            assert_eq!((exported.tracks.len(), exported.tracks[1].units), (2, count(&kept, SOUND)), "{moment:?}");
            let bytes = std::fs::read(&exported.file).unwrap();
            let sound: &[u8] = if codec == Codec::Vp8 { b"A_OPUS" } else { b"dOps" };
            assert!(bytes.windows(sound.len()).any(|window| window == sound), "{codec:?} {moment:?}");
        }
    }
}
