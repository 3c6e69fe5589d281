//! What crosses the walls of the media plane. Commands flow down, facts flow up; both are values.

mod drive;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::across::Across;
use crate::diagnostics::Diagnosis;
use crate::id::{BroadcastId, ChannelName, SessionId, ShardId, TrackId};
use crate::stats::Spans;

pub use drive::{DriveStats, TcpStats};

/// The time of a batch. The caller reads the clocks, once per turn.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic; every deadline and interval.
    pub mono: Instant,
    /// Microseconds since the Unix epoch, UTC; sender reports and records only.
    pub utc_us: u64,
}

impl Now {
    /// The same pair of clocks `by` later. Stories advance time with it.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self { mono: self.mono + by, utc_us: self.utc_us + by.as_micros() as u64 }
    }
}

/// Pairs a [`Command`] with its [`Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// All that can happen to a shard. Time passing is `Input::Tick`.
pub enum Input<'a> {
    /// A datagram as it came from the socket. It is decrypted in place.
    Datagram {
        from: SocketAddr,
        data: &'a mut [u8],
    },
    Command {
        request: RequestId,
        command: Command,
    },
    /// Another shard told something.
    Across {
        from: ShardId,
        message: Across,
    },
    /// A deadline passed.
    Tick,
}

/// All that a shard answers, besides the datagrams it leaves in the send arena.
#[derive(Debug)]
pub enum Output {
    Reply {
        request: RequestId,
        reply: Result<Reply, Refusal>,
    },
    Event(Event),
    Tap(TapItem),
    /// For another shard; what cannot be delivered goes to [`crate::router::Router::undelivered`].
    Across {
        to: ShardId,
        message: Across,
    },
    /// Checks that name this user fragment are for this session, and it is here; or no longer.
    Named {
        session: SessionId,
        ufrag: Box<str>,
        held: bool,
    },
}

#[derive(Clone, Debug)]
pub enum Command {
    Publish(Publish),
    Watch(Watch),
    /// What a viewer wants to see, from now on.
    Prefer {
        session: SessionId,
        quality: Quality,
    },
    /// Close one session. A publisher's broadcast is then held for [`crate::limit::RESUME_WINDOW`].
    Close {
        session: SessionId,
    },
    /// What a peer says of its ICE after the offer: candidates, or credentials of a restart.
    Ice {
        session: SessionId,
        /// RFC 8840 §9, at most [`crate::limit::FRAGMENT_BYTES`].
        fragment: String,
        /// User fragments of ours of which one must be the current; `None` for any.
        expects: Option<Vec<String>>,
    },
    /// End a broadcast at once (`stop-stream`, DELETE), whatever its connection does.
    End {
        broadcast: BroadcastId,
        reason: EndReason,
    },
    /// Ask the streamer for a keyframe soon (coalesced): a cut is wanted.
    Keyframe {
        broadcast: BroadcastId,
    },
    /// One [`RoomStats`] per live room and the counters of the shard.
    Stats,
    /// All that is known of one session, open or closed a while ago.
    Diagnose {
        session: SessionId,
    },
    /// Keep what comes from a viewer and what is decided about it, or no longer. Of a streamer: of the viewers who join its room from now on, as long as
    /// fewer than [`crate::limit::TRACES`] are traced.
    Trace {
        session: SessionId,
        on: bool,
    },
    /// The newest [`crate::limit::LISTED_SESSIONS`] sessions, without flight records.
    DiagnoseAll,
}

/// A streamer's offer.
#[derive(Clone, Debug)]
pub struct Publish {
    pub session: SessionId,
    pub channel: ChannelName,
    /// The id if this starts a new broadcast; a held broadcast of the channel keeps its own.
    pub broadcast: BroadcastId,
    /// SDP, at most [`crate::limit::OFFER_BYTES`].
    pub offer: String,
    pub record: bool,
    /// Put first in the answer when the offer has it.
    pub prefer_video: Option<Codec>,
}

/// A viewer's offer.
#[derive(Clone, Debug)]
pub struct Watch {
    pub session: SessionId,
    pub channel: ChannelName,
    /// SDP, at most [`crate::limit::OFFER_BYTES`].
    pub offer: String,
}

/// Which layer of a picture a viewer is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// The best that the viewer's network carries.
    #[default]
    Auto,
    /// None higher than this many pixels; the smallest where all are.
    AtMost(u16),
}

#[derive(Debug)]
pub enum Reply {
    Published {
        broadcast: BroadcastId,
        answer: String,
        resumed: bool,
    },
    Watching {
        broadcast: BroadcastId,
        answer: String,
    },
    /// Our new credentials and candidates as a fragment after a restart, `None` when there was none.
    Ice {
        fragment: Option<String>,
    },
    Done,
    Stats(Box<ShardStats>),
    Diagnosis(Box<Diagnosis>),
    Diagnoses(Vec<Diagnosis>),
}

/// Why a command was not carried out. The text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the SDP offer is malformed: {0}")]
    MalformedOffer(String),
    #[error("the fragment is malformed: {0}")]
    MalformedFragment(String),
    #[error("the ICE of this connection has been restarted since")]
    Outdated,
    #[error("no codec in common: {0}")]
    NoCommonCodec(String),
    #[error("channel {0} is on air from another connection")]
    ChannelBusy(ChannelName),
    #[error("channel {0} is not on air")]
    NotLive(ChannelName),
    #[error("no such session or broadcast")]
    Unknown,
    #[error("the server is full: {0}")]
    Full(&'static str),
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Facts. Each channel's events come in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// The streamer's handshake is complete.
    BroadcastStarted {
        channel: ChannelName,
        broadcast: BroadcastId,
        session: SessionId,
        utc_us: u64,
        record: bool,
    },
    /// The streamer dropped; the broadcast is held for [`crate::limit::RESUME_WINDOW`].
    BroadcastInterrupted {
        channel: ChannelName,
        broadcast: BroadcastId,
        utc_us: u64,
    },
    BroadcastResumed {
        channel: ChannelName,
        broadcast: BroadcastId,
        session: SessionId,
        utc_us: u64,
    },
    BroadcastEnded {
        channel: ChannelName,
        broadcast: BroadcastId,
        utc_us: u64,
        reason: EndReason,
    },
    /// Connected viewers of a room, after a change.
    Viewers {
        channel: ChannelName,
        broadcast: BroadcastId,
        count: u32,
    },
    /// Heights in pixels of the layers that a viewer may choose from, the largest first, after a change; empty where there is no choice.
    Layers {
        channel: ChannelName,
        broadcast: BroadcastId,
        heights: Vec<u16>,
    },
    /// A viewer's pictures pause, since its network carries only the sound; or they come back.
    Pictures {
        session: SessionId,
        channel: ChannelName,
        paused: bool,
    },
    SessionConnected {
        session: SessionId,
        channel: ChannelName,
        role: Role,
        srtp_profile: SrtpProfile,
    },
    SessionClosed {
        session: SessionId,
        channel: ChannelName,
        role: Role,
        reason: CloseReason,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Publisher,
    Viewer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpProfile {
    AeadAes128Gcm,
    Aes128CmSha1_80,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// `stop-stream`, WHIP DELETE or an operator.
    Stopped,
    /// The streamer dropped and did not come back within the window.
    Dropped,
    /// The server is going down.
    Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Asked for by `Close` or `End`, or the room ended.
    Requested,
    /// DTLS close_notify or alert from the peer.
    PeerClosed,
    HandshakeTimeout,
    HandshakeFailed,
    /// The certificate is not the one of the SDP.
    FingerprintMismatch,
    /// No authenticated STUN request within [`crate::limit::CONSENT`].
    ConsentLost,
    /// Another connection with the key took the broadcast over.
    TakenOver,
    /// A broken invariant was caught in this session; the others go on.
    Fault,
    Shutdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    Vp8,
    Vp9,
    H264,
    Av1,
    Opus,
}

impl Codec {
    pub fn is_video(self) -> bool {
        self != Codec::Opus
    }

    /// RTP clock in Hz.
    pub fn clock_rate(self) -> u32 {
        if self.is_video() { 90_000 } else { 48_000 }
    }
}

/// How a picture lies on the way (coordination of video orientation, 3GPP TS 26.114 §7.4.5): `0000CFRR`, as the sender said it.
///
/// R: to be seen upright it is turned clockwise by so many quarters. Camera (C) and flip (F) are carried to viewers; neither browsers nor clips take notice of
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Orientation(u8);

impl Orientation {
    pub const UPRIGHT: Self = Self(0);

    /// Of the finer kind of six bits (`video-orientation:6`) the two that are in both are kept.
    pub fn from_byte(byte: u8) -> Self {
        Self(byte & 0x0f)
    }

    pub fn to_byte(self) -> u8 {
        self.0
    }

    /// Quarter turns clockwise to be made, 0 to 3.
    pub fn quarters(self) -> u8 {
        self.0 & 3
    }
}

/// What a decoder needs to know before the access units that follow: the start of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecConfig {
    pub codec: Codec,
    /// Pixels; 0 for sound.
    pub width: u16,
    pub height: u16,
    /// 0 for pictures.
    pub channels: u8,
    /// H.264: SPS and PPS as Annex B (RFC 6184, ITU-T H.264 Annex B). AV1: the sequence header OBU with its size field (AV1 §5.5). Others:
    /// empty.
    pub parameter_sets: Bytes,
}

/// One picture or one sound packet, complete and in order.
///
/// VP8: one frame without its RTP payload descriptor. VP9: one frame, or those of all spatial layers as a superframe. H.264: Annex B with four-byte start codes, keyframes preceded by
/// SPS and PPS. AV1: one temporal unit as OBUs with size fields, without temporal delimiter. Opus: one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    pub track: TrackId,
    pub key: bool,
    /// Nanoseconds since media zero of the broadcast (one zero for all tracks, kept across reconnects).
    /// Strictly increasing per track; derived from the RTP timestamp, so it keeps the sender's spacing.
    pub pts_ns: u64,
    /// Decoding order; equal to `pts_ns` where the codec does not reorder.
    pub dts_ns: u64,
    /// Wall clock of the picture or sound, microseconds since the Unix epoch.
    pub utc_us: u64,
    /// Extended RTP sequence numbers of the first and last packet.
    pub first_seq: u64,
    pub last_seq: u64,
    pub data: Bytes,
}

/// What a tap delivers about one broadcast, in the order in which a recorder must write it.
#[derive(Clone, Debug)]
pub struct TapItem {
    pub broadcast: BroadcastId,
    pub fact: TapFact,
}

#[derive(Clone, Debug)]
pub enum TapFact {
    /// First item of a recorded broadcast. `media_zero_utc_us` is the wall clock of pts 0.
    Opened {
        channel: ChannelName,
        media_zero_utc_us: u64,
    },
    /// Before the first unit of a track and wherever its format changes.
    Config {
        track: TrackId,
        config: CodecConfig,
    },
    /// Before the first picture of a track that is not upright, and wherever that changes.
    Orientation {
        track: TrackId,
        /// Of that picture, on the broadcast's timeline.
        from_ns: u64,
        orientation: Orientation,
    },
    Unit(AccessUnit),
    /// Media that never came or could not be kept, on the broadcast's timeline.
    Gap {
        track: Option<TrackId>,
        from_ns: u64,
        to_ns: u64,
        reason: GapReason,
    },
    /// RTP and wall clock of a sender report, for later proof of synchronisation.
    Clock {
        track: TrackId,
        rtp: u64,
        utc_us: u64,
    },
    /// Last item of a broadcast.
    Closed {
        utc_us: u64,
        reason: EndReason,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The streamer's connection dropped.
    Disconnected,
    /// Packets lost and not repaired; the track continues at the next keyframe.
    Loss,
    /// The recorder could not keep up (disk).
    Overrun,
    /// It was recorded, and the disk gave it back damaged.
    Damage,
}

/// Figures of a shard at one moment; counters since start.
#[derive(Clone, Debug, Default)]
pub struct ShardStats {
    pub shard: ShardId,
    pub sessions: u32,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Name of the reason and how many.
    pub dropped: Vec<(&'static str, u64)>,
    pub nacks_in: u64,
    pub nacks_out: u64,
    pub retransmitted: u64,
    pub plis_in: u64,
    pub plis_out: u64,
    /// Viewers that went from one layer to another.
    pub layer_switches: u64,
    /// Times that a viewer's network carried only the sound.
    pub picture_pauses: u64,
    /// From the request of a session to its finished handshake.
    pub join: Spans,
    /// From a viewer's request to the first packet of its first picture.
    pub first_picture: Spans,
    pub rooms: Vec<RoomStats>,
    /// Filled in by the loop that drives the shard.
    pub drive: DriveStats,
}

/// One live room, for the streamer's health column and the list of lives.
#[derive(Clone, Debug)]
pub struct RoomStats {
    pub channel: ChannelName,
    pub broadcast: BroadcastId,
    pub started_utc_us: u64,
    /// False while the streamer is away.
    pub connected: bool,
    pub record: bool,
    pub viewers: u32,
    pub tracks: Vec<TrackStats>,
}

#[derive(Clone, Debug)]
pub struct TrackStats {
    pub track: TrackId,
    /// Of the best layer that flows; `frames` and `keyframes` too.
    pub config: CodecConfig,
    /// Of all layers; so are `bytes`, `lost` and `bitrate`.
    pub packets: u64,
    pub bytes: u64,
    pub lost: u64,
    pub frames: u64,
    pub keyframes: u64,
    /// Bits per second over the last second.
    pub bitrate: u64,
    /// Microseconds of RTP jitter (RFC 3550 §6.4.1), of the layer that has most.
    pub jitter_us: u32,
    /// Layers that flow, in the order of the offer; empty without simulcast.
    pub layers: Vec<LayerStats>,
    /// Heights in pixels that a viewer may choose from, the largest first; empty where there is no choice.
    pub heights: Vec<u16>,
}

/// One simulcast layer.
#[derive(Clone, Debug)]
pub struct LayerStats {
    pub config: CodecConfig,
    pub packets: u64,
    pub bytes: u64,
    pub frames: u64,
    pub keyframes: u64,
    /// Bits per second over the last second.
    pub bitrate: u64,
}
