//! How long the server keeps a packet, at shares of its saturation.
//!
//! From just before the publisher's send to the kernel's time of arrival at a viewer's socket, over probes that are spread evenly over the
//! audience. Saturation is one processor used up by the server: the case first measures what a packet costs, then chooses the rates.
//! One line per share.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Line, Scene, one_channel};
use crate::audience::{Audience, Plan};
use crate::figures::{percentile, round};
use crate::process::{Cpu, load};
use crate::stream::{self, Keyframes};
use crate::target;
use crate::viewer::{Traits, WINDOWS};

const PROBES: usize = 16;
const WARM_UP: Duration = Duration::from_secs(2);
const CALIBRATION: Duration = Duration::from_secs(4);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Viewers.
    #[arg(long, default_value_t = 200)]
    viewers: usize,
    /// Seconds of each share.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Shares of saturation in per cent, at most three.
    #[arg(long, value_delimiter = ',', default_value = "30,60,90")]
    loads: Vec<u32>,
    #[command(flatten)]
    stream: stream::Options,
    #[command(flatten)]
    target: target::Options,
}

#[derive(Debug, Serialize)]
struct Figures {
    case: &'static str,
    viewers: usize,
    load_percent: u32,
    /// Of one processor, measured.
    cpu_percent: f64,
    packets_per_second: f64,
    bursts_per_second: f64,
    forward_delay_us_p50: f64,
    forward_delay_us_p99: f64,
    forward_delay_us_p999: f64,
    forward_delay_us_max: f64,
    checked_missing: u64,
    machine_load: f64,
}

/// # Errors
/// When the server does not start or accept the peers, or a peer does not connect.
pub async fn run(options: Options) -> Result<Vec<Line>> {
    if options.loads.is_empty() || options.loads.len() >= WINDOWS || options.viewers == 0 {
        bail!("one to {} loads and at least one viewer", WINDOWS - 1);
    }
    let scene = Scene::open(&options.target).await?;
    let (target, pid) = (&scene.target, scene.target.pid());
    let publishers = scene.publish(&options.stream, Keyframes::when_asked(&options.stream)).await?;
    let spread = (options.viewers / PROBES).max(1);
    let traits = |number: usize| Traits { probe: number.is_multiple_of(spread), ..Traits::default() };
    let plan = Plan { target, identity: &scene.identity, channel: &one_channel, traits: &traits };
    let audience = Audience::open();
    audience.join(&plan, 0..options.viewers).await?;

    publishers.air.start();
    tokio::time::sleep(WARM_UP).await;
    let mut spans = vec![span(pid, &audience, CALIBRATION).await?];
    for (at, load) in options.loads.iter().enumerate() {
        // What a packet costs changes with the rate: each share starts from the one before.
        let (cpu, packets) = spans[at];
        let per_second = f64::from(*load) / 100.0 * packets / cpu;
        publishers.air.set_rate((per_second / options.viewers as f64) as u32);
        tokio::time::sleep(WARM_UP).await;
        audience.window(at + 1);
        spans.push(span(pid, &audience, Duration::from_secs(options.seconds)).await?);
        audience.window(0);
    }
    let machine_load = load()?;
    publishers.air.stop();
    audience.drain().await;
    publishers.end()?;
    let viewers = audience.end()?;
    let missing = viewers.iter().map(|viewer| viewer.sight.continuity.missing).sum();

    let lines = options.loads.iter().enumerate().map(|(at, load)| {
        let delays = viewers.iter().flat_map(|viewer| &viewer.sight.delays_us[at + 1]);
        let mut delays: Vec<f64> = delays.map(|us| f64::from(*us)).collect();
        let (cpu, packets) = spans[at + 1];
        serde_json::to_value(Figures {
            case: "latency",
            viewers: options.viewers,
            load_percent: *load,
            cpu_percent: round(cpu * 100.0, 1),
            packets_per_second: round(packets, 0),
            bursts_per_second: round(packets / options.viewers as f64 / options.stream.burst as f64, 1),
            forward_delay_us_p50: percentile(&mut delays, 0.5),
            forward_delay_us_p99: percentile(&mut delays, 0.99),
            forward_delay_us_p999: percentile(&mut delays, 0.999),
            forward_delay_us_max: percentile(&mut delays, 1.0),
            checked_missing: missing,
            machine_load,
        })
    });
    Ok(lines.collect::<Result<_, _>>()?)
}

/// The server's share of a processor and the packets per second that arrived.
async fn span(pid: u32, audience: &Audience, time: Duration) -> Result<(f64, f64)> {
    let (cpu, received, start) = (Cpu::of(pid)?, audience.received(), std::time::Instant::now());
    tokio::time::sleep(time).await;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), Cpu::of(pid)?.since(cpu).total().as_secs_f64());
    let received = (audience.received() - received) as f64;
    if received == 0.0 || cpu == 0.0 {
        bail!("no viewer received anything");
    }
    Ok((cpu / seconds, received / seconds))
}
