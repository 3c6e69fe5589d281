//! What a browser is shown: the bodies of the REST answers, as docs/protocol.md lists them.
//!
//! Names are camelCase on the wire, times UTC milliseconds (`…At`), durations milliseconds (`…Ms`), sizes bytes. TypeScript
//! is generated from here (`typescript.rs`). Bodies that only the socket carries are in `socket/event.rs`; what a request
//! may do is in `auth.rs`.

use serde::Serialize;
use ts_rs::TS;

/// A list, newest first. `next` is the cursor of the page that follows, absent on the last one.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
    /// True while the database is away: these are only the clips of the server's own disk. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub partial: bool,
}

/// A list that is always whole.
#[derive(Clone, Debug, Serialize, TS)]
pub struct List<T> {
    pub items: Vec<T>,
}

/// A channel that is on air, or whose streamer has dropped and may still come back.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    pub channel: String,
    pub broadcast: String,
    pub state: LiveState,
    pub started_at: i64,
    pub viewers: u32,
    pub recording: bool,
    /// "vp8", "vp9", "h264" or "av1"; null while no picture has come.
    pub video: Option<String>,
    /// "opus"; null while no sound has come.
    pub audio: Option<String>,
    /// Pixels, 0 while unknown.
    pub width: u16,
    pub height: u16,
    /// Heights in pixels of the pictures that a viewer may choose from, the largest first; empty where there is no choice.
    pub heights: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum LiveState {
    Live,
    /// The streamer's connection dropped; viewers stay, and the broadcast goes on when it is back within 30 s.
    Reconnecting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum AirState {
    Live,
    Reconnecting,
    Offline,
}

impl From<LiveState> for AirState {
    fn from(state: LiveState) -> Self {
        match state {
            LiveState::Live => AirState::Live,
            LiveState::Reconnecting => AirState::Reconnecting,
        }
    }
}

#[derive(Clone, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ChannelState {
    pub channel: String,
    pub state: AirState,
    pub live: Option<Live>,
    pub last_broadcast: Option<Broadcast>,
}

/// One live from start to end, across reconnects.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Broadcast {
    pub id: String,
    pub channel: String,
    pub title: String,
    pub started_at: i64,
    /// Null while it goes on.
    pub ended_at: Option<i64>,
    pub duration_ms: u64,
    /// "stopped", "dropped", "shutdown"; null while it goes on.
    pub end_reason: Option<String>,
    pub live: bool,
}

/// A kept piece of a broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Clip {
    pub id: String,
    pub broadcast: String,
    pub channel: String,
    /// Counts from 0 within the broadcast.
    pub part: u32,
    pub title: String,
    /// Why it was cut: "size", "length", "request", "end", "interrupted", "recovered".
    pub cause: String,
    /// Wall clock of its first frame.
    pub started_at: i64,
    pub duration_ms: u64,
    /// For example "video/mp4".
    pub mime: String,
    pub video: Option<String>,
    pub audio: Option<String>,
    pub width: u16,
    pub height: u16,
    pub size: u64,
    /// Of the media file, 64 hexadecimal digits.
    pub sha256: String,
    pub state: ClipState,
    /// Why the last step failed, for people; null when nothing is wrong.
    pub error: Option<String>,
    /// Media missing inside: lost packets, gaps, the tail of a crash.
    pub lost_ms: u64,
    /// What proves that nothing is missing between this clip and the one before it; null until its file is there, and for clips of
    /// an older Oxbow.
    pub continuity: Option<Continuity>,
    pub created_at: i64,
    /// Counts the edits; also the ETag of the clip.
    pub revision: u32,
    /// Address of the file.
    pub media: String,
    /// Address of the poster (JPEG), null for a clip of sound only.
    pub poster: Option<String>,
    /// Address of the page that plays it.
    pub watch: String,
}

/// The units of a clip, and the clip before it.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Continuity {
    pub tracks: Vec<TrackContinuity>,
    /// Null for the first clip of a broadcast, and until it is known.
    pub before: Option<ClipBefore>,
}

#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ClipBefore {
    pub clip: String,
    pub part: u32,
    /// Of its file, 64 hexadecimal digits.
    pub sha256: String,
}

/// One track of a clip. Access units are counted from 0 since the broadcast began.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrackContinuity {
    pub track: u8,
    pub codec: String,
    pub first_unit: u64,
    /// Inclusive.
    pub last_unit: u64,
    /// In the file.
    pub units: u64,
    /// Received, not in the file: nobody could show them.
    pub unshown: u64,
    /// Not kept: the server's disk did not take them.
    pub given_up: u64,
    /// Extended RTP sequence numbers.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Wall clock of the first and the last unit, milliseconds.
    pub first_at: i64,
    pub last_at: i64,
    /// Milliseconds since the broadcast's media began: start of the first unit, end of the last.
    pub from_ms: f64,
    pub to_ms: f64,
    /// Time that is filled.
    pub media_ms: u64,
    pub longest_gap_ms: u64,
}

impl From<storage::Continuity> for Continuity {
    fn from(record: storage::Continuity) -> Self {
        let before =
            |link: storage::Link| ClipBefore { clip: link.clip.to_string(), part: link.part, sha256: link.sha256 };
        Self {
            tracks: record.tracks.into_iter().map(TrackContinuity::from).collect(),
            before: record.before.map(before),
        }
    }
}

impl From<storage::TrackContinuity> for TrackContinuity {
    fn from(track: storage::TrackContinuity) -> Self {
        Self {
            track: track.track,
            codec: track.codec,
            first_unit: track.first_unit,
            last_unit: track.last_unit,
            units: track.units,
            unshown: track.unshown,
            given_up: track.given_up,
            first_seq: track.first_seq,
            last_seq: track.last_seq,
            first_at: (track.first_utc_us / 1000) as i64,
            last_at: (track.last_utc_us / 1000) as i64,
            from_ms: track.from_ns as f64 / 1e6,
            to_ms: track.to_ns as f64 / 1e6,
            media_ms: track.media_ms,
            longest_gap_ms: track.longest_gap_ms,
        }
    }
}

/// Where a clip is on its way from the spool to the store. It is playable from `Queued` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum ClipState {
    Exporting,
    Queued,
    Uploading,
    Verified,
    Stored,
    Failed,
}

/// The server as a visitor may know it.
#[derive(Clone, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    pub version: String,
    pub record_streams: bool,
    pub clip_length_ms: u64,
    pub clip_size_bytes: u64,
    pub storage: StorageKind,
    pub database: DatabaseKind,
    /// Parts that do not answer at the moment: "database", "storage".
    pub away: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    Folder,
    S3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    Sqlite,
    Mongo,
}

/// Who the browser is, as `GET /api/session` says.
#[derive(Clone, Copy, Debug, Serialize, TS)]
pub struct Session {
    pub streamer: bool,
}

/// What the server receives from the streamer, for the health column.
#[derive(Clone, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStats {
    pub channel: String,
    pub broadcast: String,
    pub state: LiveState,
    pub started_at: i64,
    pub viewers: u32,
    pub recording: bool,
    pub tracks: Vec<TrackFigures>,
    /// Clips of this broadcast that are complete (playable).
    pub clips_saved: u32,
    /// How long the clip that is being recorded is by now; null when nothing is recorded.
    pub current_clip_ms: Option<u64>,
}

#[derive(Clone, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrackFigures {
    pub track: u8,
    pub kind: TrackKind,
    /// "vp8", "vp9", "h264", "av1" or "opus".
    pub codec: String,
    pub width: u16,
    pub height: u16,
    /// 0 for pictures.
    pub channels: u8,
    /// Bits per second over the last second.
    pub bitrate: u64,
    pub packets: u64,
    pub lost: u64,
    pub frames: u64,
    pub keyframes: u64,
    pub jitter_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    Video,
    Audio,
}

/// `GET /readyz`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Readiness {
    pub ready: bool,
    pub away: Vec<AwayPart>,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct AwayPart {
    /// "database" or "storage".
    pub part: String,
    pub since: i64,
    pub error: String,
}

/// RFC 9457. `code` is for programs, `detail` for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub code: crate::error::Code,
}

/// A clip was asked for; it is cut at the next keyframe and announced by the event `clip`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Requested {
    /// The id the clip will have.
    pub requested: String,
}
