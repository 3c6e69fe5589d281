//! Journals full of the test pattern, and workers to export them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use journal::{Appender, Cause, ClipId, Header, Record};
use media::id::{BroadcastId, TrackId};
use media::message::{AccessUnit, Codec, CodecConfig};
use pipeline::source::{Kind, TestPattern};
use pipeline::{Border, ExportError, ExportJob, Exported, Format, Lane, Piece, Precision, Workers, WorkersConfig};

pub const VIDEO: TrackId = TrackId(0);
pub const SOUND: TrackId = TrackId(1);
pub const SECOND: u64 = 1_000_000_000;

/// Media of the pattern in order of time, with a keyframe on every second, as a tap would deliver it.
pub fn media(pattern: &TestPattern, seconds: u64) -> Vec<Record> {
    let mut source = pattern.start().expect("the encoders start");
    let keyframes = source.keyframes();
    let mut records = vec![config(pattern)];
    if pattern.sound {
        records.push(sound_config());
    }
    let fps = u64::from(pattern.fps);
    let mut pictures = 0;
    while pictures < seconds * fps {
        let unit = source.next_unit().expect("a unit");
        let track = match unit.kind {
            Kind::Picture => VIDEO,
            Kind::Sound => SOUND,
        };
        if unit.kind == Kind::Picture {
            assert_eq!(
                unit.key,
                unit.number.is_multiple_of(fps),
                "keyframes come when they are asked for, and only then"
            );
            pictures += 1;
            if pictures.is_multiple_of(fps) {
                keyframes.request();
            }
        }
        if pattern.codec == Codec::Av1 && unit.number == 0 && track == VIDEO {
            records[0] = config_with(pattern, unit.data.slice(..2 + usize::from(unit.data[1])));
        }
        records.push(Record::Unit(AccessUnit {
            track,
            key: unit.key,
            pts_ns: unit.pts_ns,
            dts_ns: unit.pts_ns,
            utc_us: unit.pts_ns / 1000,
            first_seq: unit.number * 3,
            last_seq: unit.number * 3 + 2,
            data: unit.data,
        }));
    }
    records
}

pub fn config(pattern: &TestPattern) -> Record {
    config_with(pattern, Bytes::new())
}

fn config_with(pattern: &TestPattern, parameter_sets: Bytes) -> Record {
    let (codec, width, height) = (pattern.codec, pattern.width, pattern.height);
    Record::Config { track: VIDEO, config: CodecConfig { codec, width, height, channels: 0, parameter_sets } }
}

pub fn sound_config() -> Record {
    let config = CodecConfig { codec: Codec::Opus, width: 0, height: 0, channels: 2, parameter_sets: Bytes::new() };
    Record::Config { track: SOUND, config }
}

pub fn pattern(codec: Codec) -> TestPattern {
    TestPattern { codec, width: 384, height: 216, bitrate: 400_000, ..TestPattern::default() }
}

/// Only the units that `keep` wants; everything else stays.
pub fn only(records: Vec<Record>, keep: impl Fn(&AccessUnit) -> bool) -> Vec<Record> {
    records.into_iter().filter(|record| !matches!(record, Record::Unit(unit) if !keep(unit))).collect()
}

/// All units later by this much.
pub fn later(records: Vec<Record>, by_ns: u64) -> Vec<Record> {
    records
        .into_iter()
        .map(|record| match record {
            Record::Unit(unit) => {
                Record::Unit(AccessUnit { pts_ns: unit.pts_ns + by_ns, dts_ns: unit.dts_ns + by_ns, ..unit })
            }
            other => other,
        })
        .collect()
}

pub fn count(records: &[Record], track: TrackId) -> u64 {
    records.iter().filter(|record| matches!(record, Record::Unit(unit) if unit.track == track)).count() as u64
}

pub fn write_part(folder: &Path, part: u32, records: &[Record], cause: Cause) -> PathBuf {
    let broadcast = BroadcastId::new(1_700_000_000_000, 7);
    let path = journal::part_path(folder, broadcast, part, ClipId(u128::from(part)));
    let header = Header {
        broadcast,
        part,
        clip: ClipId(u128::from(part)),
        channel: "main".parse().expect("a name"),
        media_zero_utc_us: 0,
        opened_utc_us: 0,
    };
    let mut appender = Appender::create(&path, &header).expect("a journal");
    for record in records {
        appender.append(record).expect("room");
        appender.flush().expect("disk");
    }
    appender.close(0, cause).expect("disk");
    path
}

pub fn worker() -> PathBuf {
    env!("CARGO_BIN_EXE_pipeline-worker").into()
}

pub fn workers() -> Workers {
    Workers::start(WorkersConfig { count: 1, ..WorkersConfig::new(worker()) })
}

pub fn job(folder: &Path, journals: Vec<PathBuf>) -> ExportJob {
    ExportJob {
        pieces: vec![Piece::whole(journals)],
        border: Border::Rollover,
        precision: Precision::Fast,
        format: Format::Original,
        directory: folder.to_owned(),
        stem: "clip".into(),
        poster: false,
        units: false,
    }
}

/// Writes one part and exports all of it.
pub async fn export(folder: &Path, records: &[Record]) -> Result<Exported, ExportError> {
    let part = write_part(folder, 0, records, Cause::End);
    run(job(folder, vec![part])).await
}

pub async fn run(job: ExportJob) -> Result<Exported, ExportError> {
    let workers = workers();
    let exported = workers.export(job, Lane::Rest).await;
    workers.shutdown().await;
    exported
}

/// Names in a folder that look unfinished.
pub fn leftovers(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("the folder").flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.contains(".tmp")).collect()
}

pub fn consecutive(numbers: &[u32], from: u32, count: u32) {
    let expected: Vec<u32> = (from..from + count).collect();
    assert_eq!(numbers, expected, "every number once, in order");
}

pub const A_WHILE: Duration = Duration::from_secs(60);
