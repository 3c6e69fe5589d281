//! One publisher, many viewers: what a forwarded packet costs the server.
//!
//! CPU is utime + stime of the server's process from /proc, divided by the datagrams that the viewers received. Most viewers only count
//! datagrams; a few decrypt everything and check the numbers in it. Joins are measured before media flows, and include their HTTP request.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Line, Scene, one_channel};
use crate::audience::{Audience, Plan, profiles};
use crate::figures::round;
use crate::floor;
use crate::process::{Cpu, load, rss_kb};
use crate::stream::{self, Keyframes};
use crate::target;
use crate::viewer::Traits;

/// Viewers that decrypt everything.
const CHECKERS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(2);
const FLOOR_SPAN: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Viewers.
    #[arg(long, default_value_t = 200)]
    pub viewers: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Every viewer returns a receiver report and transport-wide feedback every 100 ms.
    #[arg(long)]
    pub feedback: bool,
    #[command(flatten)]
    pub stream: stream::Options,
    #[command(flatten)]
    pub target: target::Options,
}

/// The line that is printed.
#[derive(Debug, Serialize)]
pub struct Figures {
    case: &'static str,
    viewers: usize,
    feedback: bool,
    trace: Option<String>,
    srtp_profile: String,
    cpu_us_per_packet: f64,
    user_us: f64,
    sys_us: f64,
    floor_us: f64,
    floor_ratio: f64,
    loss: f64,
    rss_kb_per_viewer: f64,
    cpu_ms_per_join: f64,
    packets_per_second: f64,
    checked_packets: u64,
    checked_missing: u64,
    checked_broken: u64,
    machine_load: f64,
}

/// # Errors
/// When the server does not start or accept the peers, or a peer does not connect.
pub async fn run(options: Options) -> Result<Line> {
    Ok(serde_json::to_value(measure(options, async |_, _| Ok(())).await?)?)
}

/// As [`run`]; `meanwhile` is called with the server's process id when the measured span begins, and may last as long as that.
///
/// # Errors
/// As [`run`].
pub async fn measure(options: Options, meanwhile: impl AsyncFnOnce(u32, Duration) -> Result<()>) -> Result<Figures> {
    let scene = Scene::open(&options.target).await?;
    let (target, pid) = (&scene.target, scene.target.pid());
    let shape = options.stream.shape(options.viewers);
    let floor_us = tokio::task::spawn_blocking(move || floor::measure(&shape, FLOOR_SPAN)).await??;

    let publishers = scene.publish(&options.stream, Keyframes::when_asked(&options.stream)).await?;

    let (cpu_idle, rss_idle) = (Cpu::of(pid)?, rss_kb(pid)?);
    let traits = |number| Traits { probe: number < CHECKERS, feedback: options.feedback, loss: 0.0 };
    let plan = Plan { target, identity: &scene.identity, channel: &one_channel, traits: &traits };
    let audience = Audience::open();
    audience.join(&plan, 0..options.viewers).await?;
    let joins = Cpu::of(pid)?.since(cpu_idle);

    // A viewer may have been started from the ring.
    let received_before = audience.received();
    publishers.air.start();
    tokio::time::sleep(WARM_UP).await;
    let (start, cpu_start, received_start) = (Instant::now(), Cpu::of(pid)?, audience.received());
    let seconds = Duration::from_secs(options.seconds);
    let (_, done) = tokio::join!(tokio::time::sleep(seconds), meanwhile(pid, seconds));
    let (cpu, received) = (Cpu::of(pid)?.since(cpu_start), audience.received() - received_start);
    let (span, rss, machine_load) = (start.elapsed(), rss_kb(pid)?, load()?);
    done?;

    publishers.air.stop();
    audience.drain().await;
    let all_received = audience.received() - received_before;
    let sent = publishers.end()?;
    let viewers = audience.end()?;
    if received == 0 {
        bail!("no viewer received anything");
    }
    let per_packet = |time: Duration| time.as_secs_f64() * 1e6 / received as f64;
    let checked = |count: fn(&crate::track::Continuity) -> u64| {
        viewers.iter().map(|viewer| count(&viewer.sight.continuity)).sum::<u64>()
    };
    Ok(Figures {
        case: "fanout",
        viewers: options.viewers,
        feedback: options.feedback,
        trace: options.stream.trace.map(|trace| trace.to_string()),
        srtp_profile: profiles(&viewers),
        cpu_us_per_packet: round(per_packet(cpu.total()), 3),
        user_us: round(per_packet(cpu.user), 3),
        sys_us: round(per_packet(cpu.system), 3),
        floor_us: round(floor_us, 3),
        floor_ratio: round(per_packet(cpu.total()) / floor_us, 2),
        loss: round(1.0 - all_received as f64 / (sent * options.viewers as u64) as f64, 6),
        rss_kb_per_viewer: round(rss.saturating_sub(rss_idle) as f64 / options.viewers as f64, 1),
        cpu_ms_per_join: round(joins.total().as_secs_f64() * 1e3 / options.viewers as f64, 3),
        packets_per_second: round(received as f64 / span.as_secs_f64(), 0),
        checked_packets: checked(|continuity| continuity.packets),
        checked_missing: checked(|continuity| continuity.missing),
        checked_broken: checked(|continuity| continuity.broken),
        machine_load,
    })
}
