//! Files are made of journals: how much faster than they play, and how long an exact trim of a long recording takes.
//!
//! The journal is a minute of the test pattern over and over, written before anything is measured. Every file is made by a worker process, from its request to
//! its answer: planned, muxed, read back, hashed and synced.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use journal::{Appender, Cause, ClipId, Header, Record};
use media::id::{BroadcastId, TrackId};
use media::message::{AccessUnit, Codec, CodecConfig};
use pipeline::source::{Encoded, Kind, TestPattern};
use pipeline::{Border, ExportJob, Exported, Format, Lane, Piece, Precision, Workers, WorkersConfig};
use serde::Serialize;

use super::Options;
use crate::figures::round;

const SECOND_NS: u64 = 1_000_000_000;
/// Between two keyframes of the journal; that of the live asks for one about as often when viewers come and go.
const KEYFRAMES_S: u64 = 2;
/// What is encoded once and then repeated.
const PATTERN_S: u64 = 60;
/// Of the short clip.
const SHORT_S: u64 = 30;
/// Units are written to the journal in batches.
const BATCH_BYTES: usize = 4 << 20;

#[derive(Debug, Serialize)]
pub(super) struct Files {
    codec: String,
    minutes: u64,
    journal_mb: u64,
    /// The whole recording as one file.
    export_ms: u64,
    /// Of thirty seconds in the middle, begun at a keyframe.
    short_export_ms: u64,
    /// The recording without its first and last seconds, from a picture between two keyframes.
    trim_ms: u64,
}

impl Files {
    /// How many times as fast as it plays the whole recording became a file.
    pub(super) fn x_realtime(&self) -> f64 {
        round(self.minutes as f64 * 60_000.0 / self.export_ms.max(1) as f64, 0)
    }
}

pub(super) async fn measure(options: &Options) -> Result<Files> {
    let folder = std::env::temp_dir().join(format!("oxbow-bench-clip-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure_in(options, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure_in(options: &Options, folder: &Path) -> Result<Files> {
    let journal = write_journal(options.codec, options.minutes, options.bitrate, folder)?;
    let journal_mb = journal.metadata()?.len() / 1_000_000;
    let length_ns = options.minutes * 60 * SECOND_NS;
    let workers = Workers::start(WorkersConfig { count: 1, ..WorkersConfig::new(std::env::current_exe()?) });
    let piece = |from_ns, to_ns| Piece { journals: vec![journal.clone()], from_ns, to_ns };
    // The first job waits for its worker to start.
    make(&workers, folder, piece(None, Some(SECOND_NS)), Precision::Fast).await?;
    let (whole, export_ms) = make(&workers, folder, piece(None, None), Precision::Fast).await?;
    ensure!(whole.duration_ms.abs_diff(length_ns / 1_000_000) < 100, "{} ms of {length_ns} ns", whole.duration_ms);
    let middle = length_ns / 2;
    let (_, short_export_ms) =
        make(&workers, folder, piece(Some(middle), Some(middle + SHORT_S * SECOND_NS)), Precision::Fast).await?;
    let from_ns = SECOND_NS + 7 * SECOND_NS / 30;
    let (trimmed, trim_ms) =
        make(&workers, folder, piece(Some(from_ns), Some(length_ns - SECOND_NS / 2)), Precision::Exact).await?;
    ensure!(
        trimmed.from_ns.abs_diff(from_ns) < SECOND_NS / 30,
        "it begins at {} instead of {from_ns}",
        trimmed.from_ns
    );
    workers.shutdown().await;
    Ok(Files {
        codec: whole.tracks.first().map_or_else(String::new, |track| track.codec.clone()),
        minutes: options.minutes,
        journal_mb,
        export_ms,
        short_export_ms,
        trim_ms,
    })
}

/// The file, removed again, and how long it took in milliseconds.
async fn make(workers: &Workers, folder: &Path, piece: Piece, precision: Precision) -> Result<(Exported, u64)> {
    let job = ExportJob {
        pieces: vec![piece],
        border: Border::Asked,
        precision,
        format: Format::Original,
        directory: folder.to_owned(),
        stem: "clip".into(),
        poster: false,
        units: true,
    };
    let began = Instant::now();
    let exported = workers.export(job, Lane::ClipNow).await.context("the file cannot be made")?;
    let took: Duration = began.elapsed();
    for file in [Some(&exported.file), exported.units.as_ref()].into_iter().flatten() {
        std::fs::remove_file(file)?;
    }
    Ok((exported, u64::try_from(took.as_millis())?))
}

/// Of [`pattern`], repeated.
pub(in super::super) fn write_journal(codec: Codec, minutes: u64, bitrate: u32, folder: &Path) -> Result<PathBuf> {
    let pattern = pattern(codec, bitrate);
    let units = encode(&pattern, PATTERN_S)?;
    let (broadcast, clip) = (BroadcastId::new(1_700_000_000_000, 7), ClipId(1));
    let path = journal::part_path(folder, broadcast, 0, clip);
    let header = Header {
        broadcast,
        part: 0,
        clip,
        channel: "main".parse()?,
        media_zero_utc_us: 1_700_000_000_000_000,
        opened_utc_us: 1_700_000_000_000_000,
    };
    let mut appender = Appender::create(&path, &header)?;
    configure(&mut appender, &pattern, &units)?;
    for minute in 0..minutes {
        for unit in &units {
            appender.append(&record(unit, minute))?;
            if appender.pending_bytes() > BATCH_BYTES {
                appender.flush()?;
            }
        }
    }
    appender.close(0, Cause::End)?;
    Ok(path)
}

/// 720p at 30 pictures a second, with sound.
pub(super) fn pattern(codec: Codec, bitrate: u32) -> TestPattern {
    TestPattern { codec, width: 1280, height: 720, bitrate, ..TestPattern::default() }
}

/// So many seconds of it, an even number, in whole groups of pictures.
pub(super) fn encode(pattern: &TestPattern, seconds: u64) -> Result<Vec<Encoded>> {
    let mut source = pattern.start()?;
    let keyframes = source.keyframes();
    let mut units = Vec::new();
    loop {
        let unit = source.next_unit()?;
        if unit.pts_ns >= seconds * SECOND_NS {
            return Ok(units);
        }
        if unit.kind == Kind::Picture && (unit.number + 1).is_multiple_of(KEYFRAMES_S * 30) {
            keyframes.request();
        }
        units.push(unit);
    }
}

fn configure(appender: &mut Appender, pattern: &TestPattern, units: &[Encoded]) -> Result<()> {
    let first = units.iter().find(|unit| unit.kind == Kind::Picture).context("no picture")?;
    // A sequence header is shorter than 128 bytes, so that its size takes one.
    let sets = match pattern.codec {
        Codec::Av1 => first.data.slice(..2 + usize::from(first.data[1])),
        _ => bytes::Bytes::new(),
    };
    let configs =
        [(pattern.codec, pattern.width, pattern.height, 0, sets), (Codec::Opus, 0, 0, 2, bytes::Bytes::new())];
    for (track, (codec, width, height, channels, parameter_sets)) in (0..).zip(configs) {
        let config = CodecConfig { codec, width, height, channels, parameter_sets };
        appender.append(&Record::Config { track: TrackId(track), config })?;
        appender.append(&Record::Count { track: TrackId(track), number: 0, given_up: false })?;
    }
    Ok(())
}

fn record(unit: &Encoded, minute: u64) -> Record {
    let (track, in_a_minute) = match unit.kind {
        Kind::Picture => (0, PATTERN_S * 30),
        Kind::Sound => (1, PATTERN_S * 50),
    };
    let pts_ns = unit.pts_ns + minute * PATTERN_S * SECOND_NS;
    let number = unit.number + minute * in_a_minute;
    Record::Unit(AccessUnit {
        track: TrackId(track),
        key: unit.key,
        pts_ns,
        dts_ns: pts_ns,
        utc_us: 1_700_000_000_000_000 + pts_ns / 1000,
        first_seq: number * 4,
        last_seq: number * 4 + 3,
        data: unit.data.clone(),
    })
}
