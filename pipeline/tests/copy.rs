//! What is copied into an MP4 comes out of it again: every unit of seeded pieces, bit by bit and at its time, as a reader says that is not ours.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use journal::{Cause, Record};
use media::id::TrackId;
use media::message::{AccessUnit, Codec, Orientation};
use pipeline::source::TestPattern;
use pipeline::{Border, ExportJob, Exported, Format, Lane, Piece, Workers};
use sha2::{Digest, Sha256};
use support::{SECOND, SOUND, VIDEO, job, later, media, only, pattern, workers, write_part};

/// What a clock of 90 kHz rounds, of picture and edit list together, and a microsecond of ffprobe's.
const ROUNDED_NS: u64 = 13_000;
const SEEDS: u64 = 6;

/// Numbers without end that look random (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)] {
            mixed = (mixed ^ (mixed >> shift)).wrapping_mul(factor);
        }
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A packet of a file.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    at_ns: u64,
    key: bool,
    sha256: String,
}

/// Pictures and sounds, in the order of the file.
fn packets(file: &Path) -> [Vec<Packet>; 2] {
    let entries = "packet=codec_type,pts_time,flags,data_hash";
    let command =
        ["-v", "error", "-show_packets", "-show_data_hash", "sha256", "-of", "json", "-show_entries", entries];
    let output = Command::new("ffprobe").args(command).arg(file).output().expect("ffprobe runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = [Vec::new(), Vec::new()];
    for packet in read["packets"].as_array().unwrap() {
        let text = |name: &str| packet[name].as_str().unwrap_or_default();
        let at = text("pts_time").parse::<f64>().unwrap();
        found[usize::from(text("codec_type") == "audio")].push(Packet {
            at_ns: (at * 1e9).round() as u64,
            key: text("flags").starts_with('K'),
            sha256: text("data_hash").trim_start_matches("SHA256:").to_lowercase(),
        });
    }
    found
}

/// A file and what was asked for.
struct Copy {
    exported: Exported,
    asked: Vec<Piece>,
}

async fn copy(workers: &Workers, job: ExportJob) -> Copy {
    let asked = job.pieces.clone();
    Copy { exported: workers.export(job, Lane::Rest).await.unwrap(), asked }
}

/// A unit as an MP4 holds it. The test pattern's H.264 has one configuration and start codes of four bytes.
fn stored(codec: Codec, data: &[u8], in_band: bool) -> Vec<u8> {
    if codec != Codec::H264 {
        return data.to_vec();
    }
    let begins: Vec<usize> = (0..data.len()).filter(|at| data[*at..].starts_with(&[0, 0, 1])).collect();
    let mut sample = Vec::new();
    for (number, begin) in begins.iter().enumerate() {
        let mut end = begins.get(number + 1).copied().unwrap_or(data.len());
        while data[end - 1] == 0 {
            end -= 1;
        }
        let nal = &data[begin + 3..end];
        match nal[0] & 0x1f {
            9 => {}
            7 | 8 if !in_band => {}
            _ => {
                sample.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                sample.extend_from_slice(nal);
            }
        }
    }
    sample
}

fn units(records: &[Record], track: TrackId) -> Vec<&AccessUnit> {
    let units = records.iter().filter_map(|record| match record {
        Record::Unit(unit) if unit.track == track => Some(unit),
        _ => None,
    });
    units.collect()
}

/// What the file must hold of a track, from the pieces that were asked for.
fn expected(records: &[Record], codec: Codec, track: TrackId, copy: &Copy, in_band: bool) -> Vec<Packet> {
    let mut packets = Vec::new();
    for (piece, asked) in copy.exported.pieces.iter().zip(&copy.asked) {
        let to_ns = asked.to_ns.unwrap_or(u64::MAX);
        let held = units(records, track).into_iter().filter(|unit| (piece.from_ns..to_ns).contains(&unit.pts_ns));
        packets.extend(held.map(|unit| Packet {
            at_ns: unit.pts_ns - piece.from_ns + piece.offset_ns,
            key: unit.key || track == SOUND,
            sha256: hex::encode(Sha256::digest(stored(
                if track == VIDEO { codec } else { Codec::Opus },
                &unit.data,
                in_band,
            ))),
        }));
    }
    packets
}

fn compare(records: &[Record], codec: Codec, copy: &Copy, in_band: bool) {
    let found = packets(&copy.exported.file);
    for (found, track) in found.iter().zip([VIDEO, SOUND]) {
        let expected = expected(records, codec, track, copy, in_band);
        assert_eq!(found.len(), expected.len(), "{codec:?} {track:?}");
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let off = found.at_ns.abs_diff(expected.at_ns);
            assert!(off <= ROUNDED_NS, "{codec:?} {track:?} {number}: {off} ns off");
            assert_eq!((found.key, &found.sha256), (expected.key, &expected.sha256), "{codec:?} {track:?} {number}");
        }
    }
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(&copy.exported.file)
        // As they are: pictures at the border of two pieces may be closer than usual.
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(decoded.status.success() && decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
}

#[tokio::test]
async fn every_unit_of_seeded_pieces_comes_out_again() {
    let workers = workers();
    for codec in [Codec::H264, Codec::Vp9, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let all = media(&pattern(codec), 5);
        for seed in 0..SEEDS {
            let mut numbers = Numbers(seed);
            // Holes in the sound, and a begin and an end of its own.
            let muted = numbers.below(5 * SECOND)..numbers.below(7 * SECOND);
            let late = numbers.below(2) * numbers.below(SECOND);
            let kept =
                |unit: &AccessUnit| unit.track == VIDEO || (unit.pts_ns >= late && !muted.contains(&unit.pts_ns));
            // Times that are no multiple of anything.
            let records = later(only(all.clone(), kept), 1 + numbers.below(SECOND));
            let part = write_part(folder.path(), seed as u32, &records, Cause::End);
            let pieces = (0..1 + numbers.below(3)).map(|_| piece(&part, &mut numbers)).collect();
            let stem = format!("clip-{seed}");
            let job = ExportJob { pieces, border: Border::Asked, stem, ..job(folder.path(), Vec::new()) };
            let copy = copy(&workers, job).await;
            compare(&records, codec, &copy, false);
        }
    }
    workers.shutdown().await;
}

/// A quarter of a second at least, and never nothing but sound.
fn piece(part: &Path, numbers: &mut Numbers) -> Piece {
    let from_ns = SECOND + numbers.below(4 * SECOND);
    let to_ns = from_ns + SECOND / 4 + numbers.below(2 * SECOND);
    Piece { journals: vec![part.to_owned()], from_ns: Some(from_ns), to_ns: Some(to_ns) }
}

#[tokio::test]
async fn units_of_several_parts_and_sizes_keep_their_order() {
    let workers = workers();
    for codec in [Codec::H264, Codec::Vp9, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let small = pattern(codec);
        let large = TestPattern { width: 640, height: 360, ..small.clone() };
        let mut parts: Vec<PathBuf> = Vec::new();
        let mut all = Vec::new();
        for (number, pattern) in (0..).zip([&small, &large]) {
            let mut records = later(media(pattern, 2), u64::from(number) * 2 * SECOND);
            let orientation = Orientation::from_byte(1);
            records.insert(1, Record::Orientation { track: VIDEO, from_ns: 0, orientation });
            // Sound is written later than its picture, as it may be.
            records.sort_by_key(|record| match record {
                Record::Unit(unit) => unit.pts_ns + if unit.track == SOUND { SECOND / 3 } else { 0 },
                _ => 0,
            });
            parts.push(write_part(folder.path(), number, &records, Cause::Length));
            all.extend(records);
        }
        let pieces = vec![Piece::whole(parts.clone())];
        let job = ExportJob { pieces, border: Border::Asked, ..job(folder.path(), Vec::new()) };
        let copy = copy(&workers, job).await;
        compare(&all, codec, &copy, codec == Codec::H264);
        assert_eq!((copy.exported.width, copy.exported.height), (360, 640), "{codec:?}");
    }
    workers.shutdown().await;
}

#[tokio::test]
async fn sound_alone_comes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let records = media(&pattern(Codec::H264), 3);
    let part = write_part(folder.path(), 0, &records, Cause::End);
    let workers = workers();
    let job = ExportJob { format: Format::Audio, ..job(folder.path(), vec![part]) };
    let copy = copy(&workers, job).await;
    workers.shutdown().await;
    let sounds = only(records, |unit| unit.track == SOUND);
    compare(&sounds, Codec::H264, &copy, false);
}
