//! Publishers of real media: the test pattern, encoded once, which all send over and over at its own pace. What a server records of them
//! can be decoded, so that files, pictures and looks cost what they cost.
//!
//! They send no reports and repeat nothing: they are for the loopback, where nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use media::message::Codec;
use pipeline::source::{Encoded, Kind, TestPattern};
use rtc_rtp::codec::{h264::H264Payloader, opus::OpusPayloader, vp8::Vp8Payloader};
use rtc_rtp::packetizer::Payloader;

use crate::peer::{Codecs, Heard, Identity, Peer, Wants};
use crate::target::Target;
use crate::wire::{Wire, Wired};

/// Until all have sent their first packet.
const CONNECT: Duration = Duration::from_secs(30);
/// Between two looks at a publisher's socket.
const LISTEN: Duration = Duration::from_millis(5);
/// Of one packet: with all headers it fits into 1280 bytes.
const PAYLOAD_BYTES: usize = 1180;
const FIRST_SSRC: u32 = 0x0c0e_0001;
const PICTURE_HZ: u64 = 90_000;
const SOUND_HZ: u64 = 48_000;
const SECOND_NS: u64 = 1_000_000_000;

/// What all send, in packets.
pub struct Show {
    codecs: Codecs,
    units: Vec<Unit>,
    lasts: Duration,
}

struct Unit {
    at: Duration,
    kind: Kind,
    payloads: Vec<Bytes>,
}

impl Show {
    /// `units`: of whole groups of pictures from a keyframe on, `lasts` long.
    ///
    /// # Errors
    /// When the pattern's codec is neither VP8 nor H.264.
    pub fn new(pattern: &TestPattern, units: &[Encoded], lasts: Duration) -> Result<Show> {
        let (codecs, mut pictures): (_, Box<dyn Payloader>) = match pattern.codec {
            Codec::Vp8 => (Codecs::Vp8AndOpus, Box::new(Vp8Payloader::default())),
            Codec::H264 => (Codecs::H264AndOpus, Box::new(H264Payloader::default())),
            other => bail!("a live of {other:?} is not sent: vp8 or h264"),
        };
        let mut packets = |unit: &Encoded| match unit.kind {
            Kind::Picture => pictures.payload(PAYLOAD_BYTES, &unit.data),
            Kind::Sound => OpusPayloader.payload(PAYLOAD_BYTES, &unit.data),
        };
        let units = units.iter().map(|unit| {
            let payloads = packets(unit).context("a unit cannot be put into packets")?;
            Ok(Unit { at: Duration::from_nanos(unit.pts_ns), kind: unit.kind, payloads })
        });
        Ok(Show { codecs, units: units.collect::<Result<_>>()?, lasts })
    }
}

/// Publishers on their thread. Dropped early, they end too.
pub struct Streamers {
    state: Arc<State>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct State {
    over: AtomicBool,
    on_air: AtomicUsize,
}

impl Streamers {
    /// Goes live on all `channels` and waits until all are.
    ///
    /// # Errors
    /// When the server refuses or somebody is not live within 30 s.
    pub async fn start(
        target: &Target,
        identity: &Arc<Identity>,
        channels: &[String],
        show: Show,
    ) -> Result<Streamers> {
        let mut all = Vec::new();
        for (number, channel) in channels.iter().enumerate() {
            let ssrc = FIRST_SSRC + 4 * number as u32;
            let wants =
                Wants::Publish { codecs: show.codecs, video_ssrc: ssrc, rtx_ssrc: ssrc + 1, audio_ssrc: ssrc + 2 };
            let mut wired = Wired::new(Peer::new(identity.clone(), wants))?;
            let accepted = target.publish(channel, wired.peer.offer()).await?;
            let answer = wired.peer.accept(Instant::now(), &accepted.answer)?;
            let track = |kind: &str, ssrc| {
                let section = answer.sections.iter().find(|section| section.accepted && section.kind == kind);
                let payload_type = section.and_then(|section| section.payload_types.first().copied());
                Ok::<_, anyhow::Error>(Track::new(
                    ssrc,
                    payload_type.with_context(|| format!("the answer has no {kind}"))?,
                ))
            };
            // Not all send their keyframes at the same moment.
            let late = show.lasts * number as u32 / channels.len() as u32;
            all.push(Streamer {
                picture: track("video", ssrc)?,
                sound: track("audio", ssrc + 2)?,
                wired,
                late,
                began: None,
                next: 0,
                listen: Instant::now(),
            });
        }
        let state = Arc::new(State::default());
        let thread = std::thread::spawn({
            let state = state.clone();
            move || drive(all, &show, &state)
        });
        let streamers = Streamers { state, thread: Some(thread) };
        let deadline = Instant::now() + CONNECT;
        while streamers.state.on_air.load(Ordering::Acquire) < channels.len() {
            if Instant::now() > deadline || streamers.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("{} of {} are live", streamers.state.on_air.load(Ordering::Acquire), channels.len());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(streamers)
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// When a socket failed meanwhile.
    pub fn end(mut self) -> Result<()> {
        self.state.over.store(true, Ordering::Release);
        let thread = self.thread.take().context("a run ends once")?;
        thread.join().map_err(|_| anyhow::anyhow!("the publishers failed"))?
    }
}

impl Drop for Streamers {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it early has a cause of its own to tell.
            let _ = thread.join();
        }
    }
}

fn drive(mut all: Vec<Streamer>, show: &Show, state: &State) -> Result<()> {
    let mut wire = Wire::default();
    while !state.over.load(Ordering::Acquire) {
        let mut next = Instant::now() + LISTEN;
        for streamer in &mut all {
            next = next.min(streamer.step(&mut wire, show, state)?);
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    for streamer in &mut all {
        wire.send(&mut streamer.wired, |peer, out| peer.close(Instant::now(), out));
    }
    Ok(())
}

struct Streamer {
    wired: Wired,
    picture: Track,
    sound: Track,
    /// Begins so long after it is connected.
    late: Duration,
    /// When its first unit is due, from when it is connected.
    began: Option<Instant>,
    /// Units so far, over all repetitions.
    next: u64,
    listen: Instant,
}

impl Streamer {
    /// Does what is due; answers when it wants to be called again.
    fn step(&mut self, wire: &mut Wire, show: &Show, state: &State) -> Result<Instant> {
        let now = Instant::now();
        if self.listen <= now {
            self.listen = now + LISTEN;
            let mut connected = false;
            wire.pump(now, &mut self.wired, |heard| connected |= matches!(heard, Heard::Connected))?;
            if connected {
                self.began = Some(now + self.late);
            }
        }
        let Some(began) = self.began else { return Ok(self.listen) };
        loop {
            let (round, unit) =
                (self.next / show.units.len() as u64, &show.units[(self.next % show.units.len() as u64) as usize]);
            let at = show.lasts * u32::try_from(round)? + unit.at;
            if began + at > now {
                return Ok(self.listen.min(began + at));
            }
            if self.next == 0 {
                state.on_air.fetch_add(1, Ordering::Release);
            }
            let (track, hertz) = match unit.kind {
                Kind::Picture => (&mut self.picture, PICTURE_HZ),
                Kind::Sound => (&mut self.sound, SOUND_HZ),
            };
            let ticks = u64::try_from(at.as_nanos())? as u128 * u128::from(hertz) / u128::from(SECOND_NS);
            let packets = track.packets(unit, ticks as u32);
            wire.send(&mut self.wired, |peer, out| packets.iter().for_each(|packet| peer.send_rtp(packet, out)));
            self.next += 1;
        }
    }
}

/// One outgoing RTP stream.
struct Track {
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
    first_timestamp: u32,
}

impl Track {
    fn new(ssrc: u32, payload_type: u8) -> Track {
        Track { ssrc, payload_type, sequence: rand::random(), first_timestamp: rand::random() }
    }

    fn packets(&mut self, unit: &Unit, ticks: u32) -> Vec<Vec<u8>> {
        let timestamp = self.first_timestamp.wrapping_add(ticks).to_be_bytes();
        let last = unit.payloads.len().saturating_sub(1);
        let packets = unit.payloads.iter().enumerate().map(|(at, payload)| {
            // Every packet of sound stands for itself; only the one after a silence would be marked (RFC 7587 §4.1).
            let marker = unit.kind == Kind::Picture && at == last;
            let mut packet = vec![0x80, u8::from(marker) << 7 | self.payload_type];
            packet.extend(self.sequence.to_be_bytes());
            packet.extend(timestamp);
            packet.extend(self.ssrc.to_be_bytes());
            packet.extend_from_slice(payload);
            self.sequence = self.sequence.wrapping_add(1);
            packet
        });
        packets.collect()
    }
}
