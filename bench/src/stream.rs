//! Publishers: what they send and when, driven from one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use media::limit::CACHE_PACKETS;

use crate::floor::Shape;
use crate::peer::{Codecs, Heard, Identity, Peer, Wants};
use crate::process::utc_ns;
use crate::target::Target;
use crate::trace::{Trace, TraceName};
use crate::track::{Track, asks_for_keyframe};
use crate::wire::{Wire, Wired};

const CONNECT: Duration = Duration::from_secs(30);
/// Between two looks at a publisher's socket.
const LISTEN: Duration = Duration::from_millis(5);
const FILL_PAUSE: Duration = Duration::from_millis(1);
const FIRST_SSRC: u32 = 0x0b0e_0001;
/// A publisher that is this late sends what it owes at once.
const SHORTEST_PAUSE: Duration = Duration::from_micros(100);

/// The shape of the traffic, as every case takes it.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Packets per frame, sent together.
    #[arg(long, default_value_t = 9)]
    pub burst: usize,
    /// Bytes of one RTP packet in clear, header included.
    #[arg(long, default_value_t = 1200)]
    pub packet_bytes: usize,
    /// Packets per second of the stream.
    #[arg(long, default_value_t = 260)]
    pub rate: u32,
    /// Replay packet sizes and spacing of a recorded publisher instead.
    #[arg(long)]
    pub trace: Option<TraceName>,
}

impl Options {
    /// The same traffic for `viewers`, as [`crate::floor::measure`] takes it.
    pub fn shape(&self, viewers: usize) -> Shape {
        Shape {
            viewers,
            burst: self.burst,
            packet_bytes: self.packet_bytes,
            packets_per_second: self.rate,
            trace: self.trace.map(Trace::load),
        }
    }
}

/// Keyframes of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Keyframes {
    /// One of itself this often.
    pub every: Option<Duration>,
    /// Packets of one.
    pub packets: usize,
    /// Also when asked, as an encoder does.
    pub obeys: bool,
}

impl Keyframes {
    /// As many packets as any other frame, so that a keyframe is no special load.
    pub fn when_asked(stream: &Options) -> Keyframes {
        Keyframes { every: None, packets: stream.burst, obeys: true }
    }
}

/// What the publishers and their case tell each other.
#[derive(Default)]
pub struct Air {
    on: AtomicBool,
    over: AtomicBool,
    ready: AtomicUsize,
    /// Packets per second of each publisher, 0 for what the options say.
    rate: AtomicU32,
}

impl Air {
    pub fn start(&self) {
        self.on.store(true, Ordering::Release);
    }

    pub fn stop(&self) {
        self.on.store(false, Ordering::Release);
    }

    /// From now on this many packets per second.
    pub fn set_rate(&self, packets_per_second: u32) {
        self.rate.store(packets_per_second, Ordering::Relaxed);
    }
}

/// Publishers on their thread. Dropped early, they end too.
pub struct Publishers {
    pub air: Arc<Air>,
    thread: Option<std::thread::JoinHandle<Result<u64>>>,
}

impl Publishers {
    /// Publishes to `channels` and waits until all are connected and the server's rings are full, so that their memory is not counted as
    /// the viewers'. Nothing is on air yet.
    ///
    /// # Errors
    /// When the server refuses or a publisher does not connect within 30 s.
    pub async fn start(
        target: &Target,
        identity: &Arc<Identity>,
        channels: &[String],
        options: &Options,
        keyframes: Keyframes,
    ) -> Result<Publishers> {
        Self::connect(target, identity, channels, options, keyframes, true).await
    }

    /// As [`Publishers::start`] with empty rings: nothing was sent before the live, as nobody who goes live sends seconds of it at once.
    ///
    /// # Errors
    /// As [`Publishers::start`].
    pub async fn start_empty(
        target: &Target,
        identity: &Arc<Identity>,
        channels: &[String],
        options: &Options,
        keyframes: Keyframes,
    ) -> Result<Publishers> {
        Self::connect(target, identity, channels, options, keyframes, false).await
    }

    async fn connect(
        target: &Target,
        identity: &Arc<Identity>,
        channels: &[String],
        options: &Options,
        keyframes: Keyframes,
        fills: bool,
    ) -> Result<Publishers> {
        let mut all = Vec::new();
        for (number, channel) in channels.iter().enumerate() {
            let ssrc = FIRST_SSRC + 4 * number as u32;
            let wants =
                Wants::Publish { codecs: Codecs::Vp8, video_ssrc: ssrc, rtx_ssrc: ssrc + 1, audio_ssrc: ssrc + 2 };
            let mut wired = Wired::new(Peer::new(identity.clone(), wants))?;
            let accepted = target.publish(channel, wired.peer.offer()).await?;
            let answer = wired.peer.accept(Instant::now(), &accepted.answer)?;
            let payload_type = answer.sections.first().and_then(|section| section.payload_types.first().copied());
            let track = Track::new(ssrc, payload_type.context("the answer has no video")?);
            all.push(Publisher::new(wired, track, options, keyframes, fills));
        }
        let air = Arc::new(Air::default());
        let state = air.clone();
        let thread = Some(std::thread::spawn(move || drive(all, &state)));
        let publishers = Publishers { air, thread };
        let deadline = Instant::now() + CONNECT;
        while publishers.air.ready.load(Ordering::Acquire) < channels.len() {
            if Instant::now() > deadline || publishers.thread.as_ref().is_none_or(|thread| thread.is_finished()) {
                bail!("{} of {} publishers connected", publishers.air.ready.load(Ordering::Acquire), channels.len());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(publishers)
    }

    /// Says goodbye; the number of packets that all sent on air.
    ///
    /// # Errors
    /// When a socket failed meanwhile.
    pub fn end(mut self) -> Result<u64> {
        self.air.over.store(true, Ordering::Release);
        let thread = self.thread.take().context("a run ends once")?;
        thread.join().map_err(|_| anyhow::anyhow!("the publishers failed"))?
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.air.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it early has a cause of its own to tell.
            let _ = thread.join();
        }
    }
}

fn drive(mut all: Vec<Publisher>, air: &Air) -> Result<u64> {
    let mut wire = Wire::default();
    while !air.over.load(Ordering::Acquire) {
        let mut next = Instant::now() + Duration::from_millis(5);
        for publisher in &mut all {
            next = next.min(publisher.step(&mut wire, air)?);
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()).max(SHORTEST_PAUSE));
    }
    let mut sent = 0;
    for publisher in &mut all {
        wire.send(&mut publisher.wired, |peer, out| peer.close(Instant::now(), out));
        sent += publisher.track.packets() - publisher.filled;
    }
    Ok(sent)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Filling,
    Ready,
}

struct Publisher {
    wired: Wired,
    track: Track,
    options: Options,
    keyframes: Keyframes,
    trace: Option<(Trace, usize)>,
    stage: Stage,
    fills: bool,
    filled: u64,
    wants_key: bool,
    next: Instant,
    next_key: Option<Instant>,
    listen: Instant,
}

impl Publisher {
    fn new(wired: Wired, track: Track, options: &Options, keyframes: Keyframes, fills: bool) -> Self {
        let trace = options.trace.map(|name| (Trace::load(name), 0));
        let options = options.clone();
        let stage = Stage::Connecting;
        Self {
            wired,
            track,
            options,
            keyframes,
            trace,
            stage,
            fills,
            filled: 0,
            wants_key: true,
            next: Instant::now(),
            next_key: None,
            listen: Instant::now(),
        }
    }

    /// Does what is due; answers when it wants to be called again.
    fn step(&mut self, wire: &mut Wire, air: &Air) -> Result<Instant> {
        let now = Instant::now();
        if self.listen <= now {
            self.listen(now, wire)?;
        }
        match self.stage {
            Stage::Connecting => return Ok(self.listen),
            Stage::Filling => {
                if self.fills {
                    self.frame(wire, true, self.options.burst);
                }
                self.filled = self.track.packets();
                if !self.fills || self.filled >= 2 * CACHE_PACKETS as u64 {
                    self.stage = Stage::Ready;
                    // The viewers' first frame is a keyframe, asked for or not.
                    self.wants_key = true;
                    air.ready.fetch_add(1, Ordering::Release);
                }
                return Ok(now + FILL_PAUSE);
            }
            Stage::Ready => {}
        }
        if !air.on.load(Ordering::Acquire) {
            self.next = now;
            self.next_key = None;
            return Ok(self.listen);
        }
        if self.next <= now {
            let pause = self.send(wire, now, air);
            self.next += pause;
        }
        Ok(self.next.min(self.listen))
    }

    fn listen(&mut self, now: Instant, wire: &mut Wire) -> Result<()> {
        self.listen = now + LISTEN;
        let (mut connected, mut asked) = (false, false);
        wire.pump(now, &mut self.wired, |heard| match heard {
            Heard::Connected => connected = true,
            Heard::Rtcp(packet) => asked |= asks_for_keyframe(&packet),
            _ => {}
        })?;
        self.wants_key |= asked && self.keyframes.obeys;
        if connected {
            self.stage = Stage::Filling;
        }
        Ok(())
    }

    /// One frame, or one group of the trace; the pause until the next.
    fn send(&mut self, wire: &mut Wire, now: Instant, air: &Air) -> Duration {
        if let Some((trace, at)) = &mut self.trace {
            let group = trace.group(*at);
            *at += 1;
            self.track.stamp(utc_ns());
            let packets = self.track.vp8_group(&mut self.wants_key, &group);
            wire.send(&mut self.wired, |peer, out| packets.iter().for_each(|packet| peer.send_rtp(packet, out)));
            return group.pause;
        }
        if let Some(every) = self.keyframes.every {
            self.wants_key |= *self.next_key.get_or_insert(now + every) <= now;
        }
        let key = std::mem::take(&mut self.wants_key);
        if key {
            self.next_key = self.keyframes.every.map(|every| now + every);
        }
        self.frame(wire, key, if key { self.keyframes.packets } else { self.options.burst });
        interval(&self.options, air)
    }

    fn frame(&mut self, wire: &mut Wire, key: bool, packets: usize) {
        self.track.stamp(utc_ns());
        let step = (90_000.0 * self.options.burst as f64 / f64::from(self.options.rate.max(1))) as u32;
        let frame = self.track.vp8_frame(key, packets, self.options.packet_bytes, step);
        wire.send(&mut self.wired, |peer, out| frame.iter().for_each(|packet| peer.send_rtp(packet, out)));
    }
}

fn interval(options: &Options, air: &Air) -> Duration {
    let rate = match air.rate.load(Ordering::Relaxed) {
        0 => options.rate,
        rate => rate,
    };
    Duration::from_secs(1) * options.burst as u32 / rate.max(1)
}
