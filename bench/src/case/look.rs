//! What it costs to look at finished clips: CPU of the worker process for an hour of them, its start included.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use media::message::Codec;
use pipeline::{Border, ExportJob, Format, InspectJob, Inspected, Lane, Piece, Precision, Workers, WorkersConfig};
use serde::Serialize;

use super::Line;
use super::clip::{codec, write_journal};
use crate::figures::round;
use crate::process::{Cpu, load};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// vp8, vp9, h264 or av1.
    #[arg(long, default_value = "h264", value_parser = codec)]
    codec: Codec,
    /// Length of a clip in minutes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
    /// How often it is looked at.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1000))]
    clips: u64,
    /// Of the picture, bits per second.
    #[arg(long, default_value_t = 2_500_000)]
    bitrate: u32,
}

#[derive(Debug, Serialize)]
struct Figures {
    case: &'static str,
    codec: String,
    minutes: u64,
    clips: u64,
    /// Of the worker, per hour of clips.
    cpu_s_per_stream_hour: f64,
    posters: usize,
    findings: usize,
    machine_load: f64,
}

/// # Errors
/// When there is no room, no encoder, or the clip cannot be made or looked at.
pub async fn run(options: Options) -> Result<Line> {
    let folder = std::env::temp_dir().join(format!("oxbow-bench-look-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&options, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(options: &Options, folder: &Path) -> Result<Line> {
    let journal = write_journal(options.codec, options.minutes, options.bitrate, folder)?;
    let job = ExportJob {
        pieces: vec![Piece::whole(vec![journal])],
        border: Border::Rollover,
        precision: Precision::Fast,
        format: Format::Original,
        directory: folder.to_owned(),
        stem: "clip".into(),
        poster: false,
        units: false,
    };
    let workers = start()?;
    let exported = workers.export(job, Lane::Rest).await.context("the clip cannot be made")?;
    workers.shutdown().await;

    let before = Cpu::of_ended_children()?;
    let workers = start()?;
    let mut seen = Inspected::default();
    for _ in 0..options.clips {
        let job = InspectJob {
            file: exported.file.clone(),
            container: exported.container,
            directory: folder.to_owned(),
            stem: "looked-at".into(),
        };
        seen = workers.inspect(job, Lane::Rest).await.context("the clip cannot be looked at")?;
    }
    workers.shutdown().await;
    let used = Cpu::of_ended_children()?.since(before).total();
    ensure!(!seen.posters.is_empty(), "nothing was seen");
    let hours = (options.minutes * options.clips) as f64 / 60.0;
    Ok(serde_json::to_value(Figures {
        case: "look",
        codec: exported.tracks.first().map_or_else(String::new, |track| track.codec.clone()),
        minutes: options.minutes,
        clips: options.clips,
        cpu_s_per_stream_hour: round(used.as_secs_f64() / hours, 2),
        posters: seen.posters.len(),
        findings: seen.findings.len(),
        machine_load: load()?,
    })?)
}

fn start() -> Result<Workers> {
    Ok(Workers::start(WorkersConfig { count: 1, ..WorkersConfig::new(std::env::current_exe()?) }))
}
