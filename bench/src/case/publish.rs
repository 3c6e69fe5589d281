//! Many small broadcasts, each with few viewers: what reception costs, and a room.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Line, Scene};
use crate::audience::{Audience, Plan};
use crate::figures::round;
use crate::process::{Cpu, load, rss_kb};
use crate::stream::{self, Keyframes, Publishers};
use crate::target;
use crate::viewer::Traits;

const WARM_UP: Duration = Duration::from_secs(2);
const CHECKERS: usize = 10;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Broadcasts.
    #[arg(long, default_value_t = 100)]
    broadcasts: usize,
    /// Viewers of each.
    #[arg(long, default_value_t = 1)]
    viewers_each: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    stream: stream::Options,
    #[command(flatten)]
    target: target::Options,
}

#[derive(Debug, Serialize)]
struct Figures {
    case: &'static str,
    broadcasts: usize,
    viewers: usize,
    /// Per packet that came in or went out.
    cpu_us_per_packet: f64,
    user_us: f64,
    sys_us: f64,
    packets_in_per_second: f64,
    packets_per_second: f64,
    /// With its full ring.
    rss_kb_per_broadcast: f64,
    loss: f64,
    checked_missing: u64,
    checked_broken: u64,
    machine_load: f64,
}

/// # Errors
/// When the server does not start or accept the peers, or a peer does not connect.
pub async fn run(options: Options) -> Result<Line> {
    let scene = Scene::open(&options.target).await?;
    let (target, pid) = (&scene.target, scene.target.pid());
    if options.broadcasts > 1 && !target.has_channels() {
        bail!("several broadcasts need {{channel}} in --whip-url and --whep-url");
    }
    let channel = |number: usize| format!("bench-{number}");
    let channels: Vec<String> = (0..options.broadcasts).map(channel).collect();
    let keyframes = Keyframes::when_asked(&options.stream);
    let rss_start = rss_kb(pid)?;
    let publishers = Publishers::start(target, &scene.identity, &channels, &options.stream, keyframes).await?;
    let rss = rss_kb(pid)?.saturating_sub(rss_start);

    let viewers = options.broadcasts * options.viewers_each;
    let of_viewer = |number: usize| channel(number % options.broadcasts);
    let traits = |number| Traits { probe: number < CHECKERS, ..Traits::default() };
    let plan = Plan { target, identity: &scene.identity, channel: &of_viewer, traits: &traits };
    let audience = Audience::open();
    audience.join(&plan, 0..viewers).await?;

    // A viewer may have been started from the ring.
    let received_before = audience.received();
    publishers.air.start();
    tokio::time::sleep(WARM_UP).await;
    let (start, cpu_start, received_start) = (Instant::now(), Cpu::of(pid)?, audience.received());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (cpu, received, span) = (Cpu::of(pid)?.since(cpu_start), audience.received() - received_start, start.elapsed());
    let machine_load = load()?;

    publishers.air.stop();
    audience.drain().await;
    let all_received = audience.received() - received_before;
    let sent = publishers.end()?;
    let seen = audience.end()?;
    if received == 0 {
        bail!("no viewer received anything");
    }
    let incoming = received as f64 / options.viewers_each.max(1) as f64;
    let per_packet = |time: Duration| round(time.as_secs_f64() * 1e6 / (received as f64 + incoming), 3);
    let figures = Figures {
        case: "publish",
        broadcasts: options.broadcasts,
        viewers,
        cpu_us_per_packet: per_packet(cpu.total()),
        user_us: per_packet(cpu.user),
        sys_us: per_packet(cpu.system),
        packets_in_per_second: round(incoming / span.as_secs_f64(), 0),
        packets_per_second: round(received as f64 / span.as_secs_f64(), 0),
        rss_kb_per_broadcast: round(rss as f64 / options.broadcasts.max(1) as f64, 1),
        loss: round(1.0 - all_received as f64 / (sent * options.viewers_each as u64) as f64, 6),
        checked_missing: seen.iter().map(|viewer| viewer.sight.continuity.missing).sum(),
        checked_broken: seen.iter().map(|viewer| viewer.sight.continuity.broken).sum(),
        machine_load,
    };
    Ok(serde_json::to_value(figures)?)
}
