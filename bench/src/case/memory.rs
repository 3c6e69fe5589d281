//! Viewers come and go: memory, descriptors, threads and sessions of the server stay where they were.
//!
//! Half of the viewers end by DELETE and by DTLS close_notify, the other half by close_notify alone. The first tenth of the cycles is warm-up: allocators and pools
//! grow to their size.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use super::{Line, Scene, one_channel};
use crate::audience::{Audience, Plan};
use crate::figures::round;
use crate::process::{Cpu, descriptors, load, rss_kb, threads};
use crate::stream::{self, Keyframes};
use crate::target;
use crate::viewer::Traits;

/// Viewers of one round.
const AT_ONCE: usize = 50;
/// Of one address: 100 a second is what the server lets it.
const ROUND: Duration = Duration::from_millis(200);
/// For sessions that wait for their last words, and for figures that are fetched every two seconds.
const SETTLE: Duration = Duration::from_secs(6);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections that are opened and closed.
    #[arg(long, default_value_t = 10_000)]
    cycles: usize,
    #[command(flatten)]
    stream: stream::Options,
    #[command(flatten)]
    target: target::Options,
}

#[derive(Debug, Serialize)]
struct Figures {
    case: &'static str,
    cycles: usize,
    cycles_per_second: f64,
    rss_kb_start: u64,
    rss_kb_warm: u64,
    rss_kb_end: u64,
    rss_bytes_per_cycle: f64,
    descriptors_start: usize,
    descriptors_end: usize,
    threads_start: usize,
    threads_end: usize,
    sessions_start: Option<f64>,
    sessions_end: Option<f64>,
    cpu_ms_per_cycle: f64,
    machine_load: f64,
}

/// # Errors
/// When the server does not start or accept the peers, or a peer does not connect.
pub async fn run(options: Options) -> Result<Line> {
    let scene = Scene::open(&options.target).await?;
    let (target, pid) = (&scene.target, scene.target.pid());
    let publishers = scene.publish(&options.stream, Keyframes::when_asked(&options.stream)).await?;
    publishers.air.start();

    tokio::time::sleep(SETTLE).await;
    let sessions_start = target.metric("oxbow_sessions").await?;
    let (rss_start, fds_start, threads_start) = (rss_kb(pid)?, descriptors(pid)?, threads(pid)?);
    let (start, cpu_start) = (Instant::now(), Cpu::of(pid)?);
    let (mut rss_warm, warm) = (rss_start, options.cycles / 10);
    for at in (0..options.cycles).step_by(AT_ONCE) {
        let round_start = Instant::now();
        come_and_go(&scene, at..options.cycles.min(at + AT_ONCE)).await?;
        if at <= warm {
            rss_warm = rss_kb(pid)?;
        }
        tokio::time::sleep(ROUND.saturating_sub(round_start.elapsed())).await;
    }
    let (time, cpu) = (start.elapsed(), Cpu::of(pid)?.since(cpu_start));
    tokio::time::sleep(SETTLE).await;
    let rss_end = rss_kb(pid)?;
    let figures = Figures {
        case: "memory",
        cycles: options.cycles,
        cycles_per_second: round(options.cycles as f64 / time.as_secs_f64(), 1),
        rss_kb_start: rss_start,
        rss_kb_warm: rss_warm,
        rss_kb_end: rss_end,
        rss_bytes_per_cycle: round(
            (rss_end as f64 - rss_warm as f64) * 1024.0 / (options.cycles - warm).max(1) as f64,
            1,
        ),
        descriptors_start: fds_start,
        descriptors_end: descriptors(pid)?,
        threads_start,
        threads_end: threads(pid)?,
        sessions_start,
        sessions_end: target.metric("oxbow_sessions").await?,
        cpu_ms_per_cycle: round(cpu.total().as_secs_f64() * 1e3 / options.cycles.max(1) as f64, 3),
        machine_load: load()?,
    };
    publishers.end()?;
    Ok(serde_json::to_value(figures)?)
}

async fn come_and_go(scene: &Scene, numbers: std::ops::Range<usize>) -> Result<()> {
    let traits = |_| Traits::default();
    let plan = Plan { target: &scene.target, identity: &scene.identity, channel: &one_channel, traits: &traits };
    let audience = Audience::open();
    let resources = audience.join(&plan, numbers.clone()).await?;
    for (number, resource) in numbers.zip(resources).filter(|(number, _)| number.is_multiple_of(2)) {
        if let Some(resource) = resource {
            scene.target.leave(number, &resource).await?;
        }
    }
    audience.end().map(drop)
}
