//! A storm of joins at a live broadcast: what one costs, how long it takes to the first packet and the first whole keyframe, and whether those
//! who watch already notice.
//!
//! Moments are the kernel's: from just before the POST to the arrival of the datagram. The storm's CPU time is that of the server beyond what
//! it takes to forward a packet, which is measured with the whole audience after the storm. The clients' side of the handshakes runs on the
//! same machine.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Line, Scene, one_channel};
use crate::audience::{Audience, Plan, profiles};
use crate::figures::{percentile, round};
use crate::process::{Cpu, load, rss_kb};
use crate::stream::{self, Keyframes};
use crate::target;
use crate::viewer::{Traits, Viewer};

const WARM_UP: Duration = Duration::from_secs(2);
/// Gaps alone are measured for so long before the storm, forwarding alone after it.
const CALM: Duration = Duration::from_secs(4);
/// Between the storm and the calm after it.
const SETTLE: Duration = Duration::from_secs(1);
/// Of those who watch already, so many are probes.
const WATCHING_PROBES: usize = 20;
const BEFORE: usize = 1;
const DURING: usize = 2;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Viewers before the storm.
    #[arg(long, default_value_t = 200)]
    viewers: usize,
    /// Joins of the storm.
    #[arg(long, default_value_t = 200)]
    joins: usize,
    /// Joins per second.
    #[arg(long, default_value_t = 100.0)]
    per_second: f64,
    /// Between two keyframes of the publisher, in milliseconds.
    #[arg(long, default_value_t = 4000)]
    gop_ms: u64,
    /// Packets of a keyframe.
    #[arg(long, default_value_t = 30)]
    keyframe_packets: usize,
    /// The publisher does not send a keyframe when asked, as a file or a hardware encoder may not.
    #[arg(long)]
    deaf: bool,
    #[command(flatten)]
    stream: stream::Options,
    #[command(flatten)]
    target: target::Options,
}

#[derive(Debug, Serialize)]
struct Figures {
    case: &'static str,
    viewers: usize,
    joins: usize,
    joins_per_second: f64,
    deaf: bool,
    srtp_profile: String,
    cpu_ms_per_join: f64,
    rss_kb_per_viewer: f64,
    first_packet_ms_p50: f64,
    first_packet_ms_p95: f64,
    first_packet_ms_p99: f64,
    first_keyframe_ms_p50: f64,
    first_keyframe_ms_p95: f64,
    first_keyframe_ms_p99: f64,
    without_keyframe: usize,
    /// The longest pause of anybody who watched before; between two frames there is always one.
    max_gap_ms: f64,
    max_gap_ms_before: f64,
    machine_load: f64,
}

/// # Errors
/// When the server does not start or accept the peers, or a peer does not connect.
pub async fn run(options: Options) -> Result<Line> {
    let scene = Scene::open(&options.target).await?;
    let (target, pid) = (&scene.target, scene.target.pid());
    let every = Some(Duration::from_millis(options.gop_ms));
    let keyframes = Keyframes { every, packets: options.keyframe_packets, obeys: !options.deaf };
    let publishers = scene.publish(&options.stream, keyframes).await?;
    publishers.air.start();

    let spread = (options.viewers / WATCHING_PROBES).max(1);
    let traits = |number: usize| Traits { probe: number.is_multiple_of(spread), ..Traits::default() };
    let plan = Plan { target, identity: &scene.identity, channel: &one_channel, traits: &traits };
    let (watching, joining) = (Audience::open(), Audience::open());
    watching.join(&plan, 0..options.viewers).await?;
    tokio::time::sleep(WARM_UP).await;

    watching.window(BEFORE);
    tokio::time::sleep(CALM).await;
    watching.window(DURING);
    let received = || watching.received() + joining.received();
    let (start, cpu_start, rss_start, received_start) = (Instant::now(), Cpu::of(pid)?, rss_kb(pid)?, received());
    let traits = |_| Traits { probe: true, ..Traits::default() };
    let plan = Plan { traits: &traits, ..plan };
    let numbers = options.viewers..options.viewers + options.joins;
    joining.storm(&plan, numbers, options.per_second).await?;
    let (stormed, storm, in_storm) = (start.elapsed(), Cpu::of(pid)?.since(cpu_start), received() - received_start);
    let rss = rss_kb(pid)?;
    watching.window(0);

    tokio::time::sleep(SETTLE).await;
    let (cpu_start, received_start) = (Cpu::of(pid)?, received());
    tokio::time::sleep(CALM).await;
    let (calm, in_calm) = (Cpu::of(pid)?.since(cpu_start), received() - received_start);
    let machine_load = load()?;
    if in_calm == 0 {
        bail!("no viewer received anything");
    }
    let forwarding = calm.total().as_secs_f64() * in_storm as f64 / in_calm as f64;
    let storm = (storm.total().as_secs_f64() - forwarding) * 1e3;

    publishers.air.stop();
    publishers.end()?;
    let (watched, joined) = (watching.end()?, joining.end()?);
    let mut first_packets = since_asked(&joined, |viewer| viewer.sight.first_packet_ns);
    let mut first_keyframes = since_asked(&joined, |viewer| viewer.sight.first_keyframe_ns);
    let gap = |window: usize| {
        let longest = watched.iter().map(|viewer| viewer.sight.max_gap_ns[window]).max().unwrap_or(0);
        round(longest as f64 / 1e6, 1)
    };
    let mut ms = |share, keyframe: bool| {
        round(percentile(if keyframe { &mut first_keyframes } else { &mut first_packets }, share), 1)
    };
    let figures = Figures {
        case: "join",
        viewers: options.viewers,
        joins: options.joins,
        joins_per_second: round(options.joins as f64 / stormed.as_secs_f64(), 1),
        deaf: options.deaf,
        srtp_profile: profiles(&joined),
        cpu_ms_per_join: round(storm / options.joins.max(1) as f64, 3),
        rss_kb_per_viewer: round(rss.saturating_sub(rss_start) as f64 / options.joins.max(1) as f64, 1),
        first_packet_ms_p50: ms(0.5, false),
        first_packet_ms_p95: ms(0.95, false),
        first_packet_ms_p99: ms(0.99, false),
        first_keyframe_ms_p50: ms(0.5, true),
        first_keyframe_ms_p95: ms(0.95, true),
        first_keyframe_ms_p99: ms(0.99, true),
        without_keyframe: joined.iter().filter(|viewer| viewer.sight.first_keyframe_ns.is_none()).count(),
        max_gap_ms: gap(DURING),
        max_gap_ms_before: gap(BEFORE),
        machine_load,
    };
    Ok(serde_json::to_value(figures)?)
}

/// Milliseconds from the POST to a moment that not everybody may have seen.
fn since_asked(viewers: &[Viewer], moment: impl Fn(&Viewer) -> Option<u64>) -> Vec<f64> {
    let waits = viewers.iter().filter_map(|viewer| Some(moment(viewer)?.saturating_sub(viewer.sight.asked_ns)));
    waits.map(|ns| ns as f64 / 1e6).collect()
}
