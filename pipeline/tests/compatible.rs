//! H.264 and AAC in MP4: what Safari and editors take, from whatever was received.

mod support;

use std::path::Path;
use std::process::Command;

use journal::{Cause, Record};
use media::message::{Codec, Orientation};
use pipeline::source::TestPattern;
use pipeline::{Border, ExportJob, Format, Piece, Precision, inspect};
use support::{SECOND, SOUND, VIDEO, consecutive, job, leftovers, media, only, pattern, run, write_part};

const MS: u64 = 1_000_000;

fn compatible(folder: &Path, pieces: Vec<Piece>) -> ExportJob {
    ExportJob {
        pieces,
        border: Border::Asked,
        precision: Precision::Exact,
        format: Format::Compatible,
        ..job(folder, Vec::new())
    }
}

/// Codec, tag and size of each stream, and what ffmpeg complains of while it decodes all of them.
fn streams(file: &Path) -> (Vec<String>, String) {
    let entries = ["-v", "error", "-show_entries", "stream=codec_name,codec_tag_string,width,height", "-of", "csv=p=0"];
    let probed = Command::new("ffprobe").args(entries).arg(file).output().expect("ffprobe runs");
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    let lines = String::from_utf8(probed.stdout).unwrap().lines().map(Into::into).collect();
    (lines, String::from_utf8(decoded.stderr).unwrap())
}

#[tokio::test]
async fn every_codec_becomes_h264_and_aac() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let part = write_part(folder.path(), 0, &media(&pattern(codec), 4), Cause::End);
        for (from, first) in [(None, 0), (Some(SECOND + SECOND / 2), 45)] {
            let piece = Piece { journals: vec![part.clone()], from_ns: from, to_ns: None };
            let exported = run(ExportJob { poster: true, ..compatible(folder.path(), vec![piece]) }).await.unwrap();
            assert_eq!((exported.mime.as_str(), exported.width, exported.height), ("video/mp4", 384, 216));
            let names: Vec<&str> = exported.tracks.iter().map(|track| track.codec.as_str()).collect();
            assert_eq!(names, ["h264", "aac"]);
            assert!(exported.poster.is_some() && exported.units.is_none());
            let (streams, complaints) = streams(&exported.file);
            assert_eq!(
                (streams, complaints.as_str()),
                (vec!["h264,avc1,384,216".into(), "aac,mp4a".into()], ""),
                "{codec:?}"
            );
            let clip = inspect::clip(&exported.file).unwrap();
            consecutive(&clip.numbers().unwrap(), first, 120 - first);
            let offset = clip.sound_offset_ns(30).expect("beeps");
            println!("{codec:?} from {first}: sound is {offset} ns late");
            assert!(offset.abs() <= 20 * MS as i64, "{codec:?}: {offset}");
            let length_ms = u64::from(120 - first) * 1000 / 30;
            assert!(exported.duration_ms.abs_diff(length_ms) <= 25, "{codec:?}: {}", exported.duration_ms);
        }
        assert_eq!(leftovers(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_cut_within_a_picture_shortens_it() {
    let folder = tempfile::tempdir().unwrap();
    let part = write_part(folder.path(), 0, &media(&pattern(Codec::Vp8), 3), Cause::End);
    for end_ms in [2_002, 2_010, 2_020, 2_031] {
        let piece = Piece { journals: vec![part.clone()], from_ns: None, to_ns: Some(end_ms * MS) };
        let exported = run(compatible(folder.path(), vec![piece])).await.unwrap();
        consecutive(&inspect::clip(&exported.file).unwrap().numbers().unwrap(), 0, 61);
        // Sound is cut at a packet of 20 ms.
        assert!(exported.duration_ms.abs_diff(end_ms) <= 20, "{} of {end_ms}", exported.duration_ms);
    }
}

#[tokio::test]
async fn pieces_of_any_codec_size_and_orientation_become_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut turned = media(&pattern(Codec::H264), 2);
    turned.insert(1, Record::Orientation { track: VIDEO, from_ns: 0, orientation: Orientation::from_byte(2) });
    let large = TestPattern { width: 640, height: 360, ..pattern(Codec::Vp9) };
    let parts = [media(&pattern(Codec::Vp8), 2), turned, media(&large, 2), media(&pattern(Codec::Av1), 2)];
    let pieces: Vec<Piece> = parts
        .iter()
        .zip(0..)
        .map(|(records, number)| Piece::whole(vec![write_part(folder.path(), number, records, Cause::End)]))
        .collect();
    let exported = run(compatible(folder.path(), pieces)).await.unwrap();
    assert_eq!((exported.width, exported.height, exported.pieces.len()), (640, 360, 4));
    let (streams, complaints) = streams(&exported.file);
    assert_eq!((streams, complaints.as_str()), (vec!["h264,avc1,640,360".into(), "aac,mp4a".into()], ""));
    let clip = inspect::clip(&exported.file).unwrap();
    assert_eq!(clip.pictures.len(), 240);
    // The second was said to lie upside down, so that its pictures are turned and their numbers cannot be read.
    let shown: Vec<Option<u32>> = clip.pictures.iter().map(|picture| picture.number).collect();
    let expected: Vec<Option<u32>> = (0..60).map(Some).collect();
    assert_eq!((&shown[..60], &shown[120..180], &shown[180..]), (&expected[..], &expected[..], &expected[..]));
    assert!(shown[60..120].iter().zip(&expected).all(|(shown, upright)| shown != upright), "{:?}", &shown[60..120]);
    let offset = clip.sound_offset_ns(30).expect("beeps");
    assert!(offset.abs() <= 20 * MS as i64, "{offset}");
}

#[tokio::test]
async fn silence_is_sound_where_there_was_none() {
    let folder = tempfile::tempdir().unwrap();
    let records = media(&pattern(Codec::H264), 4);
    let muted = only(records.clone(), |unit| unit.track == VIDEO || !(SECOND..3 * SECOND).contains(&unit.pts_ns));
    let part = write_part(folder.path(), 0, &muted, Cause::End);
    let exported = run(compatible(folder.path(), vec![Piece::whole(vec![part])])).await.unwrap();
    let sounds = inspect::clip(&exported.file).unwrap().sounds;
    let filled: u64 = sounds.iter().map(|sound| sound.duration_ns).sum();
    assert!(filled.abs_diff(4 * SECOND) < 50 * MS, "{filled}");
    assert!(exported.tracks[1].longest_gap_ns >= 2 * SECOND, "what was missing is still told");

    let part = write_part(folder.path(), 1, &only(records, |unit| unit.track == SOUND), Cause::End);
    let exported = run(compatible(folder.path(), vec![Piece::whole(vec![part])])).await.unwrap();
    assert_eq!((exported.mime.as_str(), exported.tracks.len()), ("audio/mp4", 1));
    assert_eq!(streams(&exported.file), (vec!["aac,mp4a".into()], String::new()));
}
