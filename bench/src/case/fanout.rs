//! One publisher, many viewers: what a forwarded packet costs the server.
//!
//! CPU is utime + stime of the server's process from /proc, divided by the datagrams that the viewers received. Most viewers only count
//! datagrams; a few decrypt everything and check the numbers in it. Joins are measured before media flows, and include their HTTP request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use media::limit::CACHE_PACKETS;
use reqwest::{Client, Url};
use serde::Serialize;

use crate::floor::{self, Shape};
use crate::peer::{Codecs, Heard, Identity, Offered, Peer, Wants};
use crate::process::{Cpu, rss_kb};
use crate::server::{KEY, Server};
use crate::track::{Continuity, Seen, Track, asks_for_keyframe};
use crate::whip;
use crate::wire::{Wire, Wired};

/// Viewers that decrypt everything.
const CHECKERS: usize = 3;
/// Joins on their way at a time.
const JOINS_AT_ONCE: usize = 8;
const CONNECT: Duration = Duration::from_secs(30);
const WARM_UP: Duration = Duration::from_secs(2);
const FILL_PAUSE: Duration = Duration::from_millis(1);
/// Without a packet for so long, nothing is on its way any more.
const QUIET: Duration = Duration::from_millis(700);
const DRAIN: Duration = Duration::from_secs(10);
const FLOOR_SPAN: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Viewers.
    #[arg(long, default_value_t = 200)]
    viewers: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Packets per frame, sent together.
    #[arg(long, default_value_t = 9)]
    burst: usize,
    /// Bytes of one RTP packet in clear, header included.
    #[arg(long, default_value_t = 1200)]
    packet_bytes: usize,
    /// Packets per second of the stream.
    #[arg(long, default_value_t = 260)]
    rate: u32,
    /// Measure a running server instead of starting one: its WHIP address (needs --whep-url and --pid).
    #[arg(long, requires_all = ["whep_url", "pid"])]
    whip_url: Option<Url>,
    #[arg(long)]
    whep_url: Option<Url>,
    /// Bearer token of the WHIP request.
    #[arg(long)]
    key: Option<String>,
    /// Process id of the running server.
    #[arg(long)]
    pid: Option<u32>,
}

/// The line that is printed.
#[derive(Debug, Serialize)]
pub struct Figures {
    case: &'static str,
    viewers: usize,
    srtp_profile: String,
    cpu_us_per_packet: f64,
    user_us: f64,
    sys_us: f64,
    loss: f64,
    rss_kb_per_viewer: f64,
    cpu_ms_per_join: f64,
    floor_us: f64,
    packets_per_second: f64,
    checked_packets: u64,
    checked_missing: u64,
    checked_broken: u64,
}

struct Target {
    whip: Url,
    whep: Url,
    key: Option<String>,
    pid: u32,
    /// Kept for its end.
    _server: Option<Server>,
}

/// # Errors
/// When the server does not start or accept the peers, or a peer does not connect.
pub async fn run(options: Options) -> Result<Figures> {
    let client = Client::new();
    let target = target(&options, &client).await?;
    let shape = Shape {
        viewers: options.viewers,
        burst: options.burst,
        packet_bytes: options.packet_bytes,
        packets_per_second: options.rate,
    };
    let floor_us = tokio::task::spawn_blocking(move || floor::measure(shape, FLOOR_SPAN)).await??;

    let identity = Identity::generate(Offered::LikeChromium);
    let shared = Arc::new(Shared::default());
    let publisher = publish(&target, &client, &identity, &options, &shared).await?;

    let (cpu_idle, rss_idle) = (Cpu::of(target.pid)?, rss_kb(target.pid)?);
    let viewers = join(&target, &client, &identity, options.viewers, &shared).await?;
    let joins = Cpu::of(target.pid)?.since(cpu_idle);

    shared.on_air.store(true, Ordering::Release);
    tokio::time::sleep(WARM_UP).await;
    let (start, cpu_start, received_start) = (Instant::now(), Cpu::of(target.pid)?, shared.received());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (cpu, received) = (Cpu::of(target.pid)?.since(cpu_start), shared.received() - received_start);
    let span = start.elapsed();
    let rss = rss_kb(target.pid)?;

    shared.on_air.store(false, Ordering::Release);
    drain(&shared).await;
    shared.over.store(true, Ordering::Release);
    let sent = publisher.join().map_err(|_| anyhow::anyhow!("the publisher failed"))??;
    let checked = viewers.join().map_err(|_| anyhow::anyhow!("the viewers failed"))??;
    if received == 0 {
        bail!("no viewer received anything");
    }

    let per_packet = |time: Duration| time.as_secs_f64() * 1e6 / received as f64;
    let expected = sent * options.viewers as u64;
    Ok(Figures {
        case: "fanout",
        viewers: options.viewers,
        srtp_profile: checked.profile,
        cpu_us_per_packet: round(per_packet(cpu.total()), 3),
        user_us: round(per_packet(cpu.user), 3),
        sys_us: round(per_packet(cpu.system), 3),
        loss: round(1.0 - shared.received() as f64 / expected as f64, 6),
        rss_kb_per_viewer: round(rss.saturating_sub(rss_idle) as f64 / options.viewers as f64, 1),
        cpu_ms_per_join: round(joins.total().as_secs_f64() * 1e3 / options.viewers as f64, 3),
        floor_us: round(floor_us, 3),
        packets_per_second: round(received as f64 / span.as_secs_f64(), 0),
        checked_packets: checked.continuity.packets,
        checked_missing: checked.continuity.missing,
        checked_broken: checked.continuity.broken,
    })
}

/// Everything on its way arrives before the sums are compared: on a busy machine that takes as long as it takes.
async fn drain(shared: &Shared) {
    let deadline = Instant::now() + DRAIN;
    let mut before = None;
    while before != Some(shared.received()) && Instant::now() < deadline {
        before = Some(shared.received());
        tokio::time::sleep(QUIET).await;
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

async fn target(options: &Options, client: &Client) -> Result<Target> {
    if let (Some(whip), Some(whep), Some(pid)) = (&options.whip_url, &options.whep_url, options.pid) {
        return Ok(Target { whip: whip.clone(), whep: whep.clone(), key: options.key.clone(), pid, _server: None });
    }
    let server = Server::start(client).await.context("starting an Oxbow server")?;
    Ok(Target {
        whip: server.url("whip/main"),
        whep: server.url("whep/main"),
        key: Some(KEY.to_owned()),
        pid: server.pid(),
        _server: Some(server),
    })
}

/// What the threads tell each other.
#[derive(Default)]
struct Shared {
    on_air: AtomicBool,
    over: AtomicBool,
    published: AtomicBool,
    connected: AtomicUsize,
    received: AtomicU64,
}

impl Shared {
    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Sets `over` when its thread's owner gives up early, so that no thread outlives the run.
type Worker<T> = std::thread::JoinHandle<Result<T>>;

async fn publish(
    target: &Target,
    client: &Client,
    identity: &Arc<Identity>,
    options: &Options,
    shared: &Arc<Shared>,
) -> Result<Worker<u64>> {
    let ssrc = 0x0b0e_0001;
    let wants = Wants::Publish { codecs: Codecs::Vp8, video_ssrc: ssrc, rtx_ssrc: ssrc + 1, audio_ssrc: ssrc + 2 };
    let mut wired = Wired::new(Peer::new(identity.clone(), wants))?;
    let accepted = whip::post(client, &target.whip, target.key.as_deref(), wired.peer.offer()).await?;
    let answer = wired.peer.accept(Instant::now(), &accepted.answer)?;
    let payload_type = answer.sections.first().and_then(|section| section.payload_types.first().copied());
    let track = Track::new(ssrc, payload_type.context("the answer has no video")?);

    let (options, state) = (options.clone(), shared.clone());
    let thread = std::thread::spawn(move || publisher(wired, track, &options, &state));
    let deadline = Instant::now() + CONNECT;
    while !shared.published.load(Ordering::Acquire) {
        if Instant::now() > deadline || thread.is_finished() {
            bail!("the publisher does not connect");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(thread)
}

/// Fills the server's ring of the track once connected, so that its memory is not counted as the viewers'; then sends frames
/// while on air. Returns the packets sent on air.
fn publisher(mut wired: Wired, mut track: Track, options: &Options, shared: &Shared) -> Result<u64> {
    let mut wire = Wire::default();
    let interval = Duration::from_secs(1) * options.burst as u32 / options.rate.max(1);
    let step = (90_000.0 * interval.as_secs_f64()) as u32;
    let (mut wants_key, mut next) = (true, Instant::now());
    let (mut filling, mut filled) = (false, 0);
    while !shared.over() {
        let mut connected = false;
        wire.pump(Instant::now(), &mut wired, |heard| match heard {
            Heard::Connected => connected = true,
            Heard::Rtcp(packet) => wants_key |= asks_for_keyframe(&packet),
            _ => {}
        })?;
        filling |= connected;
        if filling {
            let frame = track.vp8_frame(wants_key, options.burst, options.packet_bytes, step);
            wire.send(&mut wired, |peer, out| frame.iter().for_each(|packet| peer.send_rtp(packet, out)));
            // The viewers' first frame is a keyframe, asked for or not.
            wants_key = true;
            filled = track.packets();
            filling = filled < 2 * CACHE_PACKETS as u64;
            shared.published.store(!filling, Ordering::Release);
            std::thread::sleep(FILL_PAUSE);
            continue;
        }
        let now = Instant::now();
        if !shared.on_air.load(Ordering::Acquire) {
            next = now;
        } else if next <= now {
            next += interval;
            let frame = track.vp8_frame(wants_key, options.burst, options.packet_bytes, step);
            wants_key = false;
            wire.send(&mut wired, |peer, out| frame.iter().for_each(|packet| peer.send_rtp(packet, out)));
            continue;
        }
        let pause = next.saturating_duration_since(now).min(Duration::from_millis(5)).max(Duration::from_micros(100));
        std::thread::sleep(pause);
    }
    wire.send(&mut wired, |peer, out| peer.close(Instant::now(), out));
    Ok(track.packets() - filled)
}

/// What the decrypting viewers saw.
struct Checked {
    profile: String,
    continuity: Continuity,
}

async fn join(
    target: &Target,
    client: &Client,
    identity: &Arc<Identity>,
    count: usize,
    shared: &Arc<Shared>,
) -> Result<Worker<Checked>> {
    let (hand_over, arriving) = sync_channel(count.max(1));
    let state = shared.clone();
    let thread = std::thread::spawn(move || viewers(arriving, &state));
    let mut at = 0;
    while at < count {
        let group = (at..count.min(at + JOINS_AT_ONCE))
            .map(|index| join_one(target, client, identity, index < CHECKERS, &hand_over));
        futures::future::try_join_all(group).await?;
        at += JOINS_AT_ONCE;
    }
    drop(hand_over);
    let deadline = Instant::now() + CONNECT;
    while shared.connected.load(Ordering::Acquire) < count {
        if Instant::now() > deadline || thread.is_finished() {
            shared.over.store(true, Ordering::Release);
            bail!("only {} of {count} viewers connected", shared.connected.load(Ordering::Acquire));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(thread)
}

async fn join_one(
    target: &Target,
    client: &Client,
    identity: &Arc<Identity>,
    checks: bool,
    hand_over: &SyncSender<(Wired, bool)>,
) -> Result<()> {
    let mut wired = Wired::new(Peer::new(identity.clone(), Wants::Watch))?;
    if !checks {
        wired.peer.only_count();
    }
    let accepted = whip::post(client, &target.whep, None, wired.peer.offer()).await?;
    wired.peer.accept(Instant::now(), &accepted.answer)?;
    hand_over.send((wired, checks)).map_err(|_| anyhow::anyhow!("the viewers' thread ended"))?;
    Ok(())
}

/// Drives all viewers until the run is over.
fn viewers(arriving: Receiver<(Wired, bool)>, shared: &Shared) -> Result<Checked> {
    let mut wire = Wire::default();
    let mut all: Vec<(Wired, Option<Continuity>)> = Vec::new();
    let mut all_here = false;
    while !shared.over() {
        while !all_here {
            match arriving.try_recv() {
                Ok((wired, checks)) => all.push((wired, checks.then(Continuity::default))),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => all_here = true,
            }
        }
        let (mut received, mut connected) = (0, 0);
        for (wired, continuity) in &mut all {
            wire.pump(Instant::now(), wired, |heard| match heard {
                Heard::Connected => connected += 1,
                Heard::Counted => received += 1,
                Heard::Rtp(packet) => {
                    received += 1;
                    if let (Some(continuity), Some(seen)) = (continuity.as_mut(), Seen::of(&packet)) {
                        continuity.note(seen);
                    }
                }
                _ => {}
            })?;
        }
        shared.received.fetch_add(received, Ordering::Relaxed);
        shared.connected.fetch_add(connected, Ordering::Release);
        std::thread::sleep(Duration::from_millis(4));
    }
    let mut continuity = Continuity::default();
    for seen in all.iter().filter_map(|(_, continuity)| *continuity) {
        continuity.packets += seen.packets;
        continuity.missing += seen.missing;
        continuity.broken += seen.broken;
    }
    let mut profiles: Vec<&str> = all.iter().filter_map(|(wired, _)| wired.peer.profile()).collect();
    profiles.sort_unstable();
    profiles.dedup();
    for (wired, _) in &mut all {
        wire.send(wired, |peer, out| peer.close(Instant::now(), out));
    }
    Ok(Checked { profile: profiles.join("+"), continuity })
}
