//! What was asked for is what the file shows: ranges with any border, several of them in a row, sound alone.

mod support;

use journal::Cause;
use media::message::Codec;
use pipeline::source::TestPattern;
use pipeline::{Border, ExportError, ExportJob, ExportedPiece, Format, Piece, inspect};
use support::{SECOND, SOUND, VIDEO, consecutive, count, job, leftovers, media, only, pattern, run, write_part};

const MS: u64 = 1_000_000;
const CODECS: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

fn asked(folder: &std::path::Path, pieces: Vec<Piece>) -> ExportJob {
    ExportJob { pieces, border: Border::Asked, ..job(folder, Vec::new()) }
}

/// Of picture `number` at 30 a second, as the source counts it.
fn at(number: u64) -> u64 {
    number * SECOND / 30
}

#[tokio::test]
async fn a_range_begins_with_the_keyframe_before_it_and_ends_where_it_was_asked_to() {
    for codec in CODECS {
        let folder = tempfile::tempdir().unwrap();
        let part = write_part(folder.path(), 0, &media(&pattern(codec), 5), Cause::End);
        for (from, to, first, last) in [
            (Some(SECOND + 500 * MS), Some(at(100)), 30, 100),
            (Some(2 * SECOND), Some(at(100) + 1), 60, 101),
            (Some(2 * SECOND - 1), None, 30, 150),
            (None, Some(at(7)), 0, 7),
        ] {
            let piece = Piece { journals: vec![part.clone()], from_ns: from, to_ns: to };
            let exported = run(asked(folder.path(), vec![piece])).await.unwrap();
            let clip = inspect::clip(&exported.file).unwrap();
            consecutive(&clip.numbers().unwrap(), first as u32, (last - first) as u32);
            assert_eq!(exported.from_ns, at(first), "{codec:?}");
            assert_eq!(exported.pieces.len(), 1);
            assert_eq!((exported.pieces[0].from_ns, exported.pieces[0].offset_ns), (exported.from_ns, 0));
            let end = to.unwrap_or(5 * SECOND);
            assert!((end..end + 20 * MS).contains(&(exported.to_ns + 1000)), "{codec:?} to {end}: {}", exported.to_ns);
            assert!(clip.sound_offset_ns(30).is_none_or(|offset| offset.abs() < 5 * MS as i64));
        }
    }
}

#[tokio::test]
async fn pieces_follow_each_other_in_one_file() {
    for codec in CODECS {
        let folder = tempfile::tempdir().unwrap();
        let first = write_part(folder.path(), 0, &media(&pattern(codec), 4), Cause::End);
        let other =
            write_part(folder.path(), 1, &media(&TestPattern { bitrate: 700_000, ..pattern(codec) }, 4), Cause::End);
        let piece = |part: &std::path::PathBuf, from, to| Piece {
            journals: vec![part.clone()],
            from_ns: Some(from),
            to_ns: Some(to),
        };
        let pieces = vec![
            piece(&other, 2 * SECOND, 3 * SECOND),
            piece(&first, SECOND, at(45)),
            piece(&first, 3 * SECOND + 5 * MS, at(120)),
            piece(&other, 0, SECOND),
        ];
        let exported = run(asked(folder.path(), pieces)).await.unwrap();
        let clip = inspect::clip(&exported.file).unwrap();
        let expected: Vec<u32> = (60..90).chain(30..45).chain(90..120).chain(0..30).collect();
        assert_eq!(clip.numbers().unwrap(), expected, "{codec:?}");
        let begins = [60, 30, 90, 0].map(at);
        let mut offset_ns = 0;
        for (shown, from_ns) in exported.pieces.iter().zip(begins) {
            assert_eq!(*shown, ExportedPiece { from_ns, to_ns: shown.to_ns, offset_ns });
            offset_ns += shown.to_ns - shown.from_ns;
        }
        assert!(offset_ns.abs_diff(3500 * MS) < 4 * 20 * MS, "{codec:?}: {offset_ns}");
        // Where a piece is said to begin, its first picture is.
        let mut picture = 0;
        for (shown, count) in exported.pieces.iter().zip([30, 15, 30, 30]) {
            assert!(clip.pictures[picture].pts_ns.abs_diff(shown.offset_ns) < 2 * MS, "{codec:?} {shown:?}");
            picture += count;
        }
        let offset = clip.sound_offset_ns(30).expect("beeps");
        assert!(offset.abs() < 20 * MS as i64, "{codec:?}: {offset}");
        assert!(exported.duration_ms.abs_diff(offset_ns / MS) <= 1);
        let (video, sound) = (&exported.tracks[0], &exported.tracks[1]);
        assert!(video.longest_gap_ns < 60 * MS && sound.longest_gap_ns < 40 * MS, "{codec:?}: {exported:?}");
    }
}

#[tokio::test]
async fn pieces_that_no_decoder_takes_together_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let vp8 = write_part(folder.path(), 0, &media(&pattern(Codec::Vp8), 1), Cause::End);
    let h264 = write_part(folder.path(), 1, &media(&pattern(Codec::H264), 1), Cause::End);
    let pieces = vec![Piece::whole(vec![vp8.clone()]), Piece::whole(vec![h264])];
    let refused = run(asked(folder.path(), pieces)).await;
    let why = "piece 2 of 2: a file has one codec of a kind: this is h264, what comes before it is vp8";
    assert_eq!(refused, Err(ExportError::Refused(why.into())));
    assert!(matches!(run(asked(folder.path(), Vec::new())).await, Err(ExportError::Refused(_))));
    let nothing = Piece { journals: vec![vp8], from_ns: Some(9 * SECOND), to_ns: None };
    assert_eq!(run(asked(folder.path(), vec![nothing])).await, Err(ExportError::Refused("the range is empty".into())));
    assert_eq!(leftovers(folder.path()), [""; 0]);
}

#[tokio::test]
async fn sound_alone_is_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let records = media(&pattern(Codec::Vp8), 4);
    let part = write_part(folder.path(), 0, &records, Cause::End);
    let whole = ExportJob { format: Format::Audio, ..asked(folder.path(), vec![Piece::whole(vec![part.clone()])]) };
    let exported = run(whole).await.unwrap();
    assert_eq!((exported.mime.as_str(), exported.tracks.len(), exported.width), ("audio/mp4", 1, 0));
    assert_eq!((exported.tracks[0].units, exported.omitted), (count(&records, SOUND), vec![VIDEO.0]));
    assert_eq!(inspect::clip(&exported.file).unwrap().beeps_ns.len(), 3);

    let piece = Piece { journals: vec![part], from_ns: Some(1500 * MS), to_ns: Some(2500 * MS) };
    let exported = run(ExportJob { format: Format::Audio, ..asked(folder.path(), vec![piece]) }).await.unwrap();
    assert!(exported.from_ns.abs_diff(1500 * MS) < 20 * MS, "no keyframe holds sound back: {}", exported.from_ns);
    let beeps = inspect::clip(&exported.file).unwrap().beeps_ns;
    assert!(beeps.len() == 1 && beeps[0].abs_diff(2 * SECOND - exported.from_ns) < 5 * MS, "{beeps:?}");

    let silent = write_part(folder.path(), 1, &only(records, |unit| unit.track == VIDEO), Cause::End);
    let job = ExportJob { format: Format::Audio, ..asked(folder.path(), vec![Piece::whole(vec![silent])]) };
    assert_eq!(run(job).await, Err(ExportError::Refused("the range has no sound".into())));
}
