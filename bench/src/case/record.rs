//! What recording costs: the same broadcasts on a server that records and on one that does not.
//!
//! CPU and memory are those of the server's process and taken before any part rolls over, so no export is in them (a worker is another process anyway).
//! Then every stream rolls over while probes look at how long packets stay in the server. Exports begin with that, and take what they take
//! from a machine that has few processors: the added delay is an upper bound.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::Line;
use crate::audience::{Audience, Plan};
use crate::figures::{percentile, round};
use crate::peer::{Identity, Offered};
use crate::process::{Cpu, load, rss_kb};
use crate::stream::{self, Keyframes, Publishers};
use crate::target::Target;
use crate::viewer::Traits;

/// The servers' rings are full by then.
const WARM_UP: Duration = Duration::from_secs(12);
/// Streams that are watched, with one probe each.
const PROBES: usize = 10;
/// A part is this much longer than the measured span, and the next span as much longer again: all streams roll over in it.
const MARGIN: Duration = Duration::from_secs(25);
/// Windows of the probes.
const CALM: usize = 1;
const ROLLING: usize = 2;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Broadcasts.
    #[arg(long, default_value_t = 50)]
    streams: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[command(flatten)]
    stream: stream::Options,
}

#[derive(Debug, Serialize)]
struct Figures {
    case: &'static str,
    streams: usize,
    /// Recording less not recording.
    cpu_s_per_stream_hour: f64,
    rss_mb_per_recording: f64,
    /// 99 % of the packets while every stream rolls over, against the same span without recording.
    added_forward_delay_us: f64,
    /// The same before any does.
    added_forward_delay_calm_us: f64,
    forward_delay_us_p50: f64,
    forward_delay_us_p99: f64,
    /// Of the server that does not record, for the whole process.
    base_cpu_s_per_stream_hour: f64,
    base_rss_mb_per_stream: f64,
    /// Parts that had become clips by the end.
    clips: f64,
    machine_load: f64,
}

struct Pass {
    cpu_s_per_stream_hour: f64,
    rss_mb_per_stream: f64,
    calm_us: Vec<f64>,
    rolling_us: Vec<f64>,
    clips: f64,
}

/// # Errors
/// When a server does not start or accept the peers, a peer does not connect, or nothing is recorded.
pub async fn run(options: Options) -> Result<Line> {
    let mut base = pass(&options, false).await?;
    let mut recording = pass(&options, true).await?;
    if recording.clips == 0.0 {
        bail!("no part rolled over");
    }
    let added = |with: &mut Vec<f64>, without: &mut Vec<f64>| percentile(with, 0.99) - percentile(without, 0.99);
    let figures = Figures {
        case: "record",
        streams: options.streams,
        cpu_s_per_stream_hour: round(recording.cpu_s_per_stream_hour - base.cpu_s_per_stream_hour, 2),
        rss_mb_per_recording: round(recording.rss_mb_per_stream - base.rss_mb_per_stream, 2),
        added_forward_delay_us: round(added(&mut recording.rolling_us, &mut base.rolling_us), 0),
        added_forward_delay_calm_us: round(added(&mut recording.calm_us, &mut base.calm_us), 0),
        forward_delay_us_p50: percentile(&mut recording.calm_us, 0.5),
        forward_delay_us_p99: percentile(&mut recording.calm_us, 0.99),
        base_cpu_s_per_stream_hour: round(base.cpu_s_per_stream_hour, 2),
        base_rss_mb_per_stream: round(base.rss_mb_per_stream, 2),
        clips: recording.clips,
        machine_load: load()?,
    };
    Ok(serde_json::to_value(figures)?)
}

async fn pass(options: &Options, record: bool) -> Result<Pass> {
    let span = Duration::from_secs(options.seconds);
    let length = (WARM_UP + span + MARGIN).as_secs().to_string();
    let settings = [("RECORD_STREAMS", if record { "true" } else { "false" }), ("CLIP_LENGTH", length.as_str())];
    let target = Target::open_with(&settings).await?;
    let (pid, identity) = (target.pid(), Identity::generate(Offered::LikeChromium));
    let channels: Vec<String> = (0..options.streams).map(channel).collect();
    let keyframes = Keyframes::when_asked(&options.stream);
    let rss_start = rss_kb(pid)?;
    let publishers = Publishers::start_empty(&target, &identity, &channels, &options.stream, keyframes).await?;
    let probes = options.streams.min(PROBES);
    let watched = |number: usize| channel(number * options.streams / probes.max(1));
    let traits = |_| Traits { probe: true, ..Traits::default() };
    let plan = Plan { target: &target, identity: &identity, channel: &watched, traits: &traits };
    let audience = Audience::open();
    audience.join(&plan, 0..probes).await?;

    publishers.air.start();
    tokio::time::sleep(WARM_UP).await;
    audience.window(CALM);
    let (start, cpu) = (Instant::now(), Cpu::of(pid)?);
    tokio::time::sleep(span).await;
    let (cpu, seconds) = (Cpu::of(pid)?.since(cpu).total().as_secs_f64(), start.elapsed().as_secs_f64());
    let rss = rss_kb(pid)?.saturating_sub(rss_start);
    audience.window(ROLLING);
    tokio::time::sleep(2 * MARGIN).await;
    audience.window(0);
    let clips = target.metric("oxbow_clip_export_seconds_count").await?.unwrap_or(0.0);
    publishers.air.stop();
    audience.drain().await;
    publishers.end()?;
    let viewers = audience.end()?;
    let delays = |window: usize| {
        viewers.iter().flat_map(|viewer| &viewer.sight.delays_us[window]).map(|us| f64::from(*us)).collect()
    };
    let streams = options.streams.max(1) as f64;
    Ok(Pass {
        cpu_s_per_stream_hour: cpu / seconds * 3600.0 / streams,
        rss_mb_per_stream: rss as f64 / 1024.0 / streams,
        calm_us: delays(CALM),
        rolling_us: delays(ROLLING),
        clips,
    })
}

fn channel(number: usize) -> String {
    format!("bench-{number}")
}
