//! The table of units beside a file: from the bytes that it names a journal comes back that gives the same file.

mod support;

use std::path::Path;

use bytes::Bytes;
use journal::units::spans;
use journal::{Cause, Index, Range, Record, Unit, Units};
use media::message::{Codec, Orientation};
use pipeline::source::TestPattern;
use pipeline::{Border, ExportJob, Exported, ExportedTrack, Format, Piece, inspect};
use support::{SECOND, VIDEO, consecutive, job, later, leftovers, media, only, pattern, run, write_part};

const CODECS: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

fn asked(folder: &Path, stem: &str, pieces: Vec<Piece>) -> ExportJob {
    ExportJob { pieces, border: Border::Asked, units: true, stem: stem.into(), ..job(folder, Vec::new()) }
}

fn table(exported: &Exported) -> Units {
    Units::decode(&std::fs::read(exported.units.as_ref().expect("a table")).unwrap()).unwrap()
}

fn bytes_of(file: &[u8], unit: &Unit) -> Bytes {
    Bytes::copy_from_slice(&file[unit.offset as usize..][..unit.size as usize])
}

/// What a decoder is given of each unit, by track and time.
fn contents(exported: &Exported) -> Vec<(u8, u64, u64, bool, Bytes)> {
    let file = std::fs::read(&exported.file).unwrap();
    let table = table(exported);
    assert_eq!(table.file_bytes, file.len() as u64);
    let mut contents: Vec<_> = table.pieces[0]
        .units
        .iter()
        .map(|unit| (unit.track.0, unit.pts_ns, unit.duration_ns, unit.key, bytes_of(&file, unit)))
        .collect();
    contents.sort_by_key(|(track, pts_ns, ..)| (*track, *pts_ns));
    contents
}

#[tokio::test]
async fn a_file_is_cut_like_its_journal() {
    for codec in CODECS {
        let folder = tempfile::tempdir().unwrap();
        let records = media(&pattern(codec), 5);
        let part = write_part(folder.path(), 2, &records, Cause::End);
        let whole = run(asked(folder.path(), "whole", vec![Piece::whole(vec![part.clone()])])).await.unwrap();
        let range =
            Piece { journals: vec![part.clone()], from_ns: Some(SECOND + SECOND / 2), to_ns: Some(4 * SECOND - 9) };
        let expected = run(asked(folder.path(), "expected", vec![range.clone()])).await.unwrap();

        let units = table(&whole);
        let piece = &units.pieces[0];
        let cut = Range { from_ns: range.from_ns.unwrap(), to_ns: range.to_ns.unwrap() };
        let file = std::fs::read(&whole.file).unwrap();
        // Only what these ranges hold is there.
        let spans = spans(piece.select(cut), 4096);
        let mut fetched = vec![0; file.len()];
        let mut bytes = 0;
        for span in spans {
            let span = span.start as usize..span.end as usize;
            bytes += span.len();
            fetched[span.clone()].copy_from_slice(&file[span]);
        }
        assert!(bytes < file.len() * 4 / 5, "{codec:?}: {bytes} of {}", file.len());
        let rebuilt = folder.path().join("rebuilt.oxj");
        piece.rebuild(cut, &rebuilt, |unit| Ok(bytes_of(&fetched, unit))).unwrap();
        let header = Index::build(&part).unwrap().header;
        assert_eq!(Index::build(&rebuilt).unwrap().header, header);

        let again = Piece { journals: vec![rebuilt], ..range };
        let exported = run(asked(folder.path(), "again", vec![again])).await.unwrap();
        assert!(contents(&exported) == contents(&expected), "{codec:?}: other units");
        // H.264 is counted as received, and start codes may have been shorter then.
        let described = |exported: &Exported| {
            let tracks = exported.tracks.iter().map(|track| ExportedTrack { bytes: 0, ..track.clone() });
            (tracks.collect::<Vec<_>>(), exported.pieces.clone())
        };
        assert_eq!(described(&exported), described(&expected));
        consecutive(&inspect::clip(&exported.file).unwrap().numbers().unwrap(), 30, 90);
        assert_eq!(leftovers(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn the_bytes_are_those_that_were_received() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let records = media(&pattern(codec), 2);
        let part = write_part(folder.path(), 0, &records, Cause::End);
        let exported = run(asked(folder.path(), "clip", vec![Piece::whole(vec![part])])).await.unwrap();
        let mut received: Vec<_> = records
            .iter()
            .filter_map(|record| match record {
                Record::Unit(unit) => Some((unit.track.0, unit.pts_ns, unit.data.clone())),
                _ => None,
            })
            .collect();
        received.sort_by_key(|(track, pts_ns, _)| (*track, *pts_ns));
        let stored: Vec<_> = contents(&exported).into_iter().map(|(track, pts, .., data)| (track, pts, data)).collect();
        assert!(stored == received, "{codec:?}");
    }
}

#[tokio::test]
async fn sizes_turns_and_pieces_survive() {
    for codec in CODECS {
        let folder = tempfile::tempdir().unwrap();
        let small = TestPattern { sound: false, ..pattern(codec) };
        let large = TestPattern { width: 640, height: 360, ..small.clone() };
        let mut records = [media(&small, 1), later(media(&large, 1), SECOND)].concat();
        records.insert(1, Record::Orientation { track: VIDEO, from_ns: 0, orientation: Orientation::from_byte(1) });
        let part = write_part(folder.path(), 0, &records, Cause::End);
        let pieces = vec![
            Piece { journals: vec![part.clone()], from_ns: Some(SECOND), to_ns: None },
            Piece { journals: vec![part.clone()], from_ns: None, to_ns: Some(SECOND) },
        ];
        let exported = run(asked(folder.path(), "reel", pieces)).await.unwrap();
        let units = table(&exported);
        assert_eq!(units.pieces.len(), 2);
        let file = std::fs::read(&exported.file).unwrap();
        // From the file's own time to the broadcast's.
        let asked_for = units.within(SECOND / 2, SECOND + SECOND / 2 - 1000);
        let mut journals = Vec::new();
        for (place, range) in &asked_for {
            let path = folder.path().join(format!("{place}.oxj"));
            units.pieces[*place].rebuild(*range, &path, |unit| Ok(bytes_of(&file, unit))).unwrap();
            let index = Index::build(&path).unwrap();
            assert_eq!(index.orientation(VIDEO, range.to_ns).quarters(), 1);
            journals.push(Piece { journals: vec![path], from_ns: Some(range.from_ns), to_ns: Some(range.to_ns) });
        }
        let again = run(asked(folder.path(), "again", journals)).await.unwrap();
        let clip = inspect::clip(&again.file).unwrap();
        let numbers: Vec<u32> = (0..30).chain(0..15).collect();
        assert_eq!(clip.numbers().unwrap(), numbers, "{codec:?}: the second piece ends half a second after it begins");
        assert_eq!((clip.pictures[0].width.max(clip.pictures[0].height), again.width), (640, 360), "{codec:?}");
    }
}

#[tokio::test]
async fn sound_alone_has_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let records = only(media(&pattern(Codec::H264), 2), |_| true);
    let part = write_part(folder.path(), 0, &records, Cause::End);
    let job = asked(folder.path(), "sound", vec![Piece::whole(vec![part])]);
    let exported = run(ExportJob { format: Format::Audio, ..job }).await.unwrap();
    assert_eq!(contents(&exported).len() as u64, exported.tracks[0].units);
}
