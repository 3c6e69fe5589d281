//! Viewers behind lines that lose packets: how much is repaired, and what the repairs cost.
//!
//! Datagrams are swallowed at random on the way to the viewer, repairs too; viewers ask for what they miss as a browser does.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Line, Scene, one_channel};
use crate::audience::{Audience, Plan};
use crate::figures::round;
use crate::process::{Cpu, load};
use crate::stream::{self, Keyframes};
use crate::target;
use crate::viewer::{Losses, Traits};

const WARM_UP: Duration = Duration::from_secs(1);
/// For the last repairs, which are given up after half a second.
const AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Viewers.
    #[arg(long, default_value_t = 50)]
    viewers: usize,
    /// Of 100 datagrams, so many are swallowed.
    #[arg(long, default_value_t = 5.0)]
    loss_percent: f64,
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
    viewers: usize,
    loss_percent: f64,
    packets: u64,
    swallowed: u64,
    repaired: u64,
    /// Of all packets, those that never came.
    unrepaired: f64,
    cpu_us_per_packet: f64,
    machine_load: f64,
}

/// # Errors
/// When the server does not start or accept the peers, or a peer does not connect.
pub async fn run(options: Options) -> Result<Line> {
    if !(0.0..100.0).contains(&options.loss_percent) || options.loss_percent == 0.0 {
        bail!("--loss-percent lies between 0 and 100");
    }
    let scene = Scene::open(&options.target).await?;
    let (target, pid) = (&scene.target, scene.target.pid());
    let publishers = scene.publish(&options.stream, Keyframes::when_asked(&options.stream)).await?;
    let traits = |_| Traits { probe: true, feedback: true, loss: options.loss_percent / 100.0 };
    let plan = Plan { target, identity: &scene.identity, channel: &one_channel, traits: &traits };
    let audience = Audience::open();
    audience.join(&plan, 0..options.viewers).await?;

    publishers.air.start();
    tokio::time::sleep(WARM_UP).await;
    let (cpu_start, received_start) = (Cpu::of(pid)?, audience.received());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (cpu, received) = (Cpu::of(pid)?.since(cpu_start), audience.received() - received_start);
    let machine_load = load()?;
    publishers.air.stop();
    tokio::time::sleep(AFTER).await;
    publishers.end()?;
    let viewers = audience.end()?;
    if received == 0 {
        bail!("no viewer received anything");
    }
    let all = viewers.iter().filter_map(|viewer| viewer.losses()).fold(Losses::default(), |sum, one| Losses {
        expected: sum.expected + one.expected,
        swallowed: sum.swallowed + one.swallowed,
        repaired: sum.repaired + one.repaired,
        missing: sum.missing + one.missing,
    });
    let figures = Figures {
        case: "loss",
        viewers: options.viewers,
        loss_percent: options.loss_percent,
        packets: all.expected,
        swallowed: all.swallowed,
        repaired: all.repaired,
        unrepaired: round(all.missing as f64 / all.expected.max(1) as f64, 6),
        cpu_us_per_packet: round(cpu.total().as_secs_f64() * 1e6 / received as f64, 3),
        machine_load,
    };
    Ok(serde_json::to_value(figures)?)
}
