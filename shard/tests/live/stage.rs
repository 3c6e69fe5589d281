//! A media plane with a streamer and viewers around it, all driven from the test's own thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::peer::{Codecs, Heard, Identity, Offered, Peer, Wants};
use bench::track::{Continuity, Seen, Track, asks_for_keyframe};
use bench::wire::{Wire, Wired};
use media::id::{BroadcastId, ChannelName, SessionId};
use media::message::{Event, Refusal};
use tokio::sync::broadcast;

// The crate itself has a story, too.
use crate::{MediaConfig, MediaPlane, PublishRequest, Published, Taps, WatchRequest};

/// Packets of one video frame.
pub const FRAME_PACKETS: u64 = 5;
const FRAME: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);
const VIDEO_SSRC: u32 = 0x1000_0001;
const AUDIO_SSRC: u32 = 0x1000_0003;

pub fn channel() -> ChannelName {
    "main".parse().expect("a channel name")
}

pub fn config(bind: SocketAddr) -> MediaConfig {
    let announce = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    MediaConfig { bind, announce, shards: 1, tap_items: 4096 }
}

/// For a peer that moves.
pub fn another_socket() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub struct Stage {
    pub plane: MediaPlane,
    pub taps: Taps,
    pub viewers: Vec<Viewer>,
    events: broadcast::Receiver<Event>,
    seen_events: Vec<Event>,
    wire: Wire,
    pub streamer: Option<Streamer>,
    by: By,
}

/// By which path peers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Udp,
    /// From an address that knows no IPv4.
    UdpV6,
    Tcp,
    TcpV6,
}

pub struct Streamer {
    pub wired: Wired,
    video: Option<Track>,
    audio: Option<Track>,
    connected: bool,
    wants_key: bool,
    keyframes_asked: u32,
}

pub struct Viewer {
    pub session: SessionId,
    pub wired: Wired,
    connected: bool,
    pub closed: bool,
    pub video: Continuity,
    pub audio: Continuity,
    pub first_video_is_key: Option<bool>,
    pub refused: Vec<&'static str>,
}

impl Viewer {
    pub fn is_connected(&self) -> bool {
        self.connected
    }
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "video {:?}, audio {:?}, refused {:?}", self.video, self.audio, self.refused)
    }
}

impl Stage {
    pub fn new() -> Stage {
        Stage::on(config(SocketAddr::from(([127, 0, 0, 1], 0))))
    }

    pub fn on(config: MediaConfig) -> Stage {
        let (plane, taps) = MediaPlane::start(config).expect("a media plane");
        let events = plane.events();
        Stage {
            plane,
            taps,
            viewers: Vec::new(),
            events,
            seen_events: Vec::new(),
            wire: Wire::default(),
            streamer: None,
            by: By::Udp,
        }
    }

    /// Peers of whom `publish` or `watch` is asked from now on come by this path.
    pub fn by(&mut self, by: By) {
        self.by = by;
    }

    /// Publishes and waits until the streamer is connected.
    pub async fn publish(&mut self, codecs: Codecs) -> Published {
        let published = self.try_publish(codecs).await.expect("the offer is accepted");
        self.run_until(|stage| stage.streamer.as_ref().is_some_and(|streamer| streamer.connected)).await;
        published
    }

    /// On success the new connection replaces the earlier streamer of the stage.
    pub async fn try_publish(&mut self, codecs: Codecs) -> Result<Published, Refusal> {
        let wants = Wants::Publish { codecs, video_ssrc: VIDEO_SSRC, rtx_ssrc: VIDEO_SSRC + 1, audio_ssrc: AUDIO_SSRC };
        let mut wired = Wired::new(Peer::new(identity(Offered::LikeChromium), wants)).expect("a socket");
        let offer = wired.peer.offer();
        let published =
            self.plane.publish(PublishRequest { channel: channel(), offer, record: true, prefer_video: None }).await?;
        let answer = wired.peer.accept(Instant::now(), &self.reachable(&published.answer)).expect("a usable answer");
        self.connect(&mut wired, &published.answer);
        let track = |kind: &str, ssrc| {
            let section = answer.sections.iter().find(|section| section.kind == kind && section.accepted)?;
            Some(Track::new(ssrc, *section.payload_types.first()?))
        };
        let (video, audio) = (track("video", VIDEO_SSRC), track("audio", AUDIO_SSRC));
        self.streamer = Some(Streamer { wired, video, audio, connected: false, wants_key: true, keyframes_asked: 0 });
        Ok(published)
    }

    /// Joins a viewer and waits until it is connected.
    pub async fn watch(&mut self, offered: Offered) -> BroadcastId {
        let broadcast = self.join(offered).await.expect("the offer is accepted");
        self.all_connected().await;
        broadcast
    }

    /// Joins a viewer and waits until that one is connected.
    pub async fn watch_one(&mut self, offered: Offered) {
        self.join(offered).await.expect("the offer is accepted");
        self.run_until(|stage| stage.viewers.last().is_some_and(Viewer::is_connected)).await;
    }

    pub async fn all_connected(&mut self) {
        self.run_until(|stage| stage.viewers.iter().all(|viewer| viewer.connected)).await;
    }

    pub async fn try_watch(&mut self) -> Result<BroadcastId, Refusal> {
        self.join(Offered::LikeChromium).await
    }

    pub async fn join(&mut self, offered: Offered) -> Result<BroadcastId, Refusal> {
        let mut wired = Wired::new(Peer::new(identity(offered), Wants::Watch)).expect("a socket");
        let offer = wired.peer.offer();
        let watching = self.plane.watch(WatchRequest { channel: channel(), offer }).await?;
        wired.peer.accept(Instant::now(), &self.reachable(&watching.answer)).expect("a usable answer");
        self.connect(&mut wired, &watching.answer);
        self.viewers.push(Viewer {
            session: watching.session,
            wired,
            connected: false,
            closed: false,
            video: Continuity::default(),
            audio: Continuity::default(),
            first_video_is_key: None,
            refused: Vec::new(),
        });
        Ok(watching.broadcast)
    }

    /// An answer with the candidates that a peer of this kind can reach.
    fn reachable(&self, answer: &str) -> String {
        let v6 = matches!(self.by, By::UdpV6 | By::TcpV6);
        let fits = |line: &&str| !line.starts_with("a=candidate:") || line.contains(" ::1 ") == v6;
        answer.lines().filter(fits).flat_map(|line| [line, "\r\n"]).collect()
    }

    fn connect(&self, wired: &mut Wired, answer: &str) {
        match self.by {
            By::Udp => {}
            By::UdpV6 => wired.move_to("[::1]:0".parse().expect("an address")).expect("a socket"),
            By::Tcp | By::TcpV6 => {
                let candidate = tcp_candidate(&self.reachable(answer));
                wired.move_to_tcp(candidate).expect("the server listens at its TCP candidate");
            }
        }
    }

    /// The streamer sends `frames` frames and as many sound packets; then everything on its way arrives.
    pub async fn play(&mut self, frames: u32) {
        for _ in 0..frames {
            self.send_frame();
            self.run_for(FRAME).await;
        }
        self.run_for(Duration::from_millis(100)).await;
    }

    fn send_frame(&mut self) {
        let Some(streamer) = &mut self.streamer else { return };
        let mut packets = Vec::new();
        if let Some(video) = &mut streamer.video {
            packets.extend(video.vp8_frame(streamer.wants_key, FRAME_PACKETS as usize, 1100, 1800));
            streamer.wants_key = false;
        }
        packets.extend(streamer.audio.as_mut().map(|audio| audio.opus_packet(90)));
        self.wire.send(&mut streamer.wired, |peer, out| packets.iter().for_each(|packet| peer.send_rtp(packet, out)));
    }

    /// From now on the streamer neither sends nor answers, as if its cable were pulled.
    pub fn silence_streamer(&mut self) {
        self.streamer = None;
    }

    pub fn keyframes_asked(&self) -> u32 {
        self.streamer.as_ref().map_or(0, |streamer| streamer.keyframes_asked)
    }

    pub fn profiles(&self) -> Vec<&'static str> {
        self.viewers.iter().filter_map(|viewer| viewer.wired.peer.profile()).collect()
    }

    /// All events so far.
    pub fn events(&mut self) -> Vec<Event> {
        while let Ok(event) = self.events.try_recv() {
            self.seen_events.push(event);
        }
        self.seen_events.clone()
    }

    pub async fn run_for(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.step().await;
        }
    }

    pub async fn run_until(&mut self, mut done: impl FnMut(&Stage) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "it never happened; viewers: {:?}", self.viewers);
            self.step().await;
        }
    }

    async fn step(&mut self) {
        if let Some(Streamer { wired, connected, wants_key, keyframes_asked, .. }) = &mut self.streamer {
            let hear = |heard| match heard {
                Heard::Connected => *connected = true,
                Heard::Rtcp(packet) if asks_for_keyframe(&packet) => {
                    *wants_key = true;
                    *keyframes_asked += 1;
                }
                _ => {}
            };
            self.wire.pump(Instant::now(), wired, hear).expect("the streamer's socket works");
        }
        for viewer in &mut self.viewers {
            let Viewer { session: _, wired, connected, closed, video, audio, first_video_is_key, refused } = viewer;
            let hear = |heard| match heard {
                Heard::Connected => *connected = true,
                Heard::Closed => *closed = true,
                Heard::Rtp(packet) => {
                    let Some(seen) = Seen::of(&packet) else { return };
                    if packet.len() > 500 {
                        first_video_is_key.get_or_insert_with(|| is_key(&packet));
                        video.note(seen);
                    } else {
                        audio.note(seen);
                    }
                }
                Heard::Refused(cause) => refused.push(cause),
                _ => {}
            };
            self.wire.pump(Instant::now(), wired, hear).expect("a viewer's socket works");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn identity(offered: Offered) -> Arc<Identity> {
    Identity::generate(offered)
}

/// The frame tag behind header, extensions and the payload descriptor that [`Track`] writes.
fn is_key(packet: &[u8]) -> bool {
    let extension =
        if packet[0] & 0x10 == 0 { 0 } else { 4 + 4 * usize::from(u16::from_be_bytes([packet[14], packet[15]])) };
    let descriptor = &packet[12 + extension..];
    descriptor[0] & 0x10 != 0 && descriptor[4] & 1 == 0
}

/// The first passive TCP candidate of an answer (RFC 6544 §4.5).
pub fn tcp_candidate(answer: &str) -> SocketAddr {
    let line = answer.lines().find(|line| line.contains(" tcp ") && line.contains(" tcptype passive"));
    let words: Vec<&str> = line.expect("a TCP candidate").split(' ').collect();
    SocketAddr::new(words[4].parse().expect("an address"), words[5].parse().expect("a port"))
}
