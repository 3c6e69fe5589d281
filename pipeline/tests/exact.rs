//! An exact piece begins with the picture that was asked for; what was received is copied from the next keyframe on.

mod support;

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use journal::{Cause, Record, Units};
use media::message::Codec;
use pipeline::{Border, ExportJob, Exported, Piece, Precision, inspect};
use support::{SECOND, VIDEO, consecutive, job, leftovers, media, pattern, run, write_part};

const MS: u64 = 1_000_000;
const CODECS: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

fn exact(folder: &Path, pieces: Vec<Piece>) -> ExportJob {
    ExportJob { pieces, border: Border::Asked, precision: Precision::Exact, units: true, ..job(folder, Vec::new()) }
}

/// Of picture `number` at 30 a second, as the source counts it.
fn at(number: u64) -> u64 {
    number * SECOND / 30
}

/// Time, whether it was made for the file, and bytes of each picture.
fn pictures(exported: &Exported) -> Vec<(u64, bool, Bytes)> {
    let file = std::fs::read(&exported.file).unwrap();
    let table = Units::decode(&std::fs::read(exported.units.as_ref().expect("a table")).unwrap()).unwrap();
    let units = table.pieces.iter().flat_map(|piece| &piece.units).filter(|unit| unit.track == VIDEO);
    let bytes = |offset: u64, size: u32| Bytes::copy_from_slice(&file[offset as usize..][..size as usize]);
    units.map(|unit| (unit.pts_ns, unit.made, bytes(unit.offset, unit.size))).collect()
}

/// Pictures that ffmpeg decodes, and what it complains of.
fn ffmpeg(file: &Path) -> (String, String) {
    let frames = ["-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames"];
    let output =
        Command::new("ffprobe").args(frames).args(["-of", "csv=p=0"]).arg(file).output().expect("ffprobe runs");
    (String::from_utf8(output.stdout).unwrap().trim().into(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_first_picture_is_the_one_asked_for_and_the_rest_is_copied() {
    for codec in CODECS {
        let folder = tempfile::tempdir().unwrap();
        let records = media(&pattern(codec), 5);
        let part = write_part(folder.path(), 0, &records, Cause::End);
        let whole = run(exact(folder.path(), vec![Piece::whole(vec![part.clone()])])).await.unwrap();
        let received = pictures(&whole);
        assert!(received.iter().all(|(_, made, _)| !made), "{codec:?}: a whole part needs no encoder");
        for (first, last, made) in [(31, 131, 29), (59, 75, 1), (60, 75, 0), (95, 105, 10), (149, 150, 1)] {
            let piece = Piece { journals: vec![part.clone()], from_ns: Some(at(first)), to_ns: Some(at(last)) };
            let exported = run(ExportJob { poster: true, ..exact(folder.path(), vec![piece]) }).await.unwrap();
            let clip = inspect::clip(&exported.file).unwrap();
            consecutive(&clip.numbers().unwrap(), first as u32, (last - first) as u32);
            assert_eq!((exported.from_ns, exported.pieces[0].offset_ns), (at(first), 0), "{codec:?}");
            assert!(clip.pictures[0].pts_ns < 2 * MS, "{codec:?} {first}: {}", clip.pictures[0].pts_ns);
            assert!(exported.duration_ms.abs_diff((last - first) * 1000 / 30) <= 21, "{codec:?}: {exported:?}");
            let offset = clip.sound_offset_ns(30);
            assert!(offset.is_none_or(|offset| offset.abs() <= 20 * MS as i64), "{codec:?} {first}: {offset:?}");

            let shown = pictures(&exported);
            assert_eq!(shown.iter().filter(|(_, made, _)| *made).count(), made, "{codec:?} from {first}");
            let copied: Vec<_> = shown.into_iter().skip(made).map(|(pts_ns, _, bytes)| (pts_ns, bytes)).collect();
            let range = at(first)..at(last);
            let expected = received.iter().filter(|(pts_ns, ..)| range.contains(pts_ns)).skip(made);
            // Parameter sets move into the pictures when there are two configurations.
            let same = |(pts, bytes): &(u64, Bytes), (expected, _, old): &(u64, bool, Bytes)| {
                pts == expected && (bytes == old || (codec == Codec::H264 && bytes.ends_with(old)))
            };
            let expected: Vec<_> = expected.collect();
            assert_eq!(copied.len(), expected.len());
            assert!(copied.iter().zip(expected).all(|(new, old)| same(new, old)), "{codec:?} from {first}");
            let decoded = ffmpeg(&exported.file);
            assert_eq!(decoded, ((last - first).to_string(), String::new()), "{codec:?} from {first}");
            assert!(exported.poster.is_some());
        }
        assert_eq!(leftovers(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_reel_of_exact_pieces_shows_each_of_them() {
    for codec in CODECS {
        let folder = tempfile::tempdir().unwrap();
        let part = write_part(folder.path(), 0, &media(&pattern(codec), 4), Cause::End);
        let piece = |from, to| Piece { journals: vec![part.clone()], from_ns: Some(at(from)), to_ns: Some(at(to)) };
        let pieces = vec![piece(100, 110), piece(5, 40), piece(60, 75), piece(50, 55)];
        let exported = run(exact(folder.path(), pieces)).await.unwrap();
        let expected: Vec<u32> = (100..110).chain(5..40).chain(60..75).chain(50..55).collect();
        assert_eq!(inspect::clip(&exported.file).unwrap().numbers().unwrap(), expected, "{codec:?}");
        assert_eq!(ffmpeg(&exported.file), ("65".into(), String::new()), "{codec:?}");
        let begins: Vec<u64> = exported.pieces.iter().map(|piece| piece.from_ns).collect();
        assert_eq!(begins, [at(100), at(5), at(60), at(50)]);
    }
}

#[tokio::test]
async fn without_another_keyframe_all_that_is_shown_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = media(&pattern(Codec::Vp8), 4);
    records
        .retain(|record| !matches!(record, Record::Unit(unit) if unit.track == VIDEO && unit.key && unit.pts_ns > 0));
    let part = write_part(folder.path(), 0, &records, Cause::End);
    let piece = Piece { journals: vec![part], from_ns: Some(at(100)), to_ns: None };
    let exported = run(exact(folder.path(), vec![piece])).await.unwrap();
    assert_eq!((exported.from_ns, exported.tracks[0].units), (at(100), 20));
    assert!(pictures(&exported).iter().all(|(_, made, _)| *made));
    assert_eq!(ffmpeg(&exported.file), ("20".into(), String::new()));
}
