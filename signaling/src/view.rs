//! What a browser is shown: the bodies of the REST answers, as docs/protocol.md lists them.
//!
//! Names are camelCase on the wire, times UTC milliseconds (`…At`), durations milliseconds (`…Ms`), sizes bytes. TypeScript
//! is generated from here (`typescript.rs`). Bodies that only the socket carries are in `socket/event.rs`; what a request
//! may do is in `auth.rs`.

mod clip;

pub use clip::*;

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// A list, newest first. `next` is the cursor of the page that follows, absent on the last one.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
    /// True while the database is away: these are only the clips of the server's own disk. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub partial: bool,
}

/// A list that is always whole.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
}

/// A channel that is on air, or whose streamer has dropped and may still come back.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LiveState {
    Live,
    /// The streamer's connection dropped; viewers stay, and the broadcast goes on when it is back within 30 s.
    Reconnecting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
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

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelState {
    pub channel: String,
    pub state: AirState,
    pub live: Option<Live>,
    pub last_broadcast: Option<Broadcast>,
}

/// One live from start to end, across reconnects.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
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

/// The server as a visitor may know it.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    Folder,
    S3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    Sqlite,
    Mongo,
}

/// Who the browser is, as `GET /api/session` says.
#[derive(Clone, Copy, Debug, Serialize, TS, ToSchema)]
pub struct Session {
    pub streamer: bool,
}

/// What the server receives from the streamer, for the health column.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
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

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    Video,
    Audio,
}

/// `GET /readyz`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    pub away: Vec<AwayPart>,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct AwayPart {
    /// "database" or "storage".
    pub part: String,
    pub since: i64,
    pub error: String,
}

/// RFC 9457. `code` is for programs, `detail` for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub code: crate::error::Code,
}

/// A clip was asked for; the event `clip` announces it when it can be played.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct Requested {
    /// Of the request.
    pub requested: String,
    /// The clip that is being made of a range; absent when the running part is cut at the next keyframe.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub clip: Option<Clip>,
    /// Opens it to a viewer who asked for it; absent for the holder of the key, to whom everything is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub address: Option<ClipAddress>,
}
