//! A clip as people see it, and as they change it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// A kept piece of a broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
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
    pub kind: ClipKind,
    /// Lines; may be empty.
    pub description: String,
    pub tags: Vec<String>,
    pub links: Vec<WebLink>,
    pub visibility: Visibility,
    /// Null while it is not published.
    pub published_at: Option<i64>,
    /// Kept for good.
    pub pinned: bool,
    /// Place on the broadcast's timeline, milliseconds since its media began.
    pub from_ms: f64,
    pub to_ms: f64,
    /// What a made clip was made from; null for a part of the recording.
    pub recipe: Option<Recipe>,
    /// Null until it was measured.
    pub health: Option<Health>,
    /// Posters to choose from, the best first.
    pub posters: Vec<PosterChoice>,
    /// Address of the storyboard (WebVTT), null while there is none.
    pub storyboard: Option<String>,
    /// Address of the peaks of the sound, null while there are none.
    pub waveform: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClipKind {
    /// Cut off by the recording as it went on.
    Part,
    /// Made because somebody asked for it.
    Made,
}

/// Who may see a clip besides those who hold the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    Hidden,
    /// Who was given a link to it.
    Link,
    Published,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct WebLink {
    pub title: String,
    /// Begins with http:// or https://.
    pub url: String,
}

/// How a clip was made.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recipe {
    pub pieces: Vec<Piece>,
    /// "fast" or "exact".
    pub precision: String,
    /// "original", "compatible" or "audio".
    pub format: String,
}

/// A range of a broadcast, milliseconds since its media began.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Piece {
    pub broadcast: String,
    pub from_ms: f64,
    /// Null: as far as it was recorded.
    pub to_ms: Option<f64>,
}

/// How good a clip is, measured.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// 0 to 100; 100: nothing was found.
    pub score: u8,
    pub black_ms: u64,
    pub frozen_ms: u64,
    pub silent_ms: u64,
    /// Flashes that may harm people (WCAG 2.3.1).
    pub flashing_ms: u64,
    /// Pictures that do not decode, each to the next keyframe.
    pub spoilt_ms: u64,
    /// LUFS (EBU R 128); null without sound.
    pub loudness: Option<f64>,
    /// Positive: the sound is late. Null where picture or sound is missing.
    pub av_offset_ms: Option<i32>,
    /// Where it is, in order of time; the longest ones where there are many.
    pub findings: Vec<Finding>,
}

/// One place in a clip, milliseconds of its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub kind: FindingKind,
    pub from_ms: u64,
    pub to_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    Black,
    Frozen,
    /// No picture came; the last one stands.
    Held,
    Silent,
    /// More than three flashes a second.
    Flashing,
    /// Does not decode.
    Spoilt,
}

#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PosterChoice {
    /// Address of the picture (JPEG).
    pub url: String,
    /// Place in the clip.
    pub at_ms: u64,
    /// It is the clip's poster.
    pub chosen: bool,
}

/// The units of a clip, and the clip before it.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Continuity {
    pub tracks: Vec<TrackContinuity>,
    /// Null for the first clip of a broadcast, and until it is known.
    pub before: Option<ClipBefore>,
}

#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClipBefore {
    pub clip: String,
    pub part: u32,
    /// Of its file, 64 hexadecimal digits.
    pub sha256: String,
}

/// One track of a clip. Access units are counted from 0 since the broadcast began.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClipState {
    Exporting,
    Queued,
    Uploading,
    Verified,
    Stored,
    Failed,
}

/// Opens one clip to whoever holds it, until it ends.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClipAddress {
    /// Address of the page that plays it.
    pub page: String,
    /// Address of the file.
    pub media: String,
    /// For the query of any other address of the clip (`?link=`).
    pub link: String,
    pub expires_at: i64,
}

/// What somebody changes about a clip; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ClipEdit {
    pub title: Option<String>,
    pub description: Option<String>,
    /// All of them; they are trimmed and put into lower case.
    pub tags: Option<Vec<String>>,
    /// All of them.
    pub links: Option<Vec<WebLink>>,
    pub visibility: Option<Visibility>,
    pub pinned: Option<bool>,
    /// Index into `posters`.
    pub poster: Option<u32>,
}

impl From<ClipEdit> for storage::ClipEdit {
    fn from(edit: ClipEdit) -> Self {
        let link = |link: WebLink| storage::WebLink { title: link.title.trim().into(), url: link.url.trim().into() };
        Self {
            title: edit.title.map(|title| title.trim().to_owned()),
            description: edit.description.map(|text| text.replace("\r\n", "\n").trim().to_owned()),
            tags: edit.tags.map(|tags| storage::model::tidy_tags(&tags)),
            links: edit.links.map(|links| links.into_iter().map(link).collect()),
            visibility: edit.visibility.map(Into::into),
            pinned: edit.pinned,
            poster: edit.poster,
        }
    }
}

impl Clip {
    /// `error` says why the last step failed.
    pub fn of(clip: storage::Clip, state: ClipState, error: Option<String>) -> Self {
        let id = clip.id.to_string();
        let pictures = clip.pictures.unwrap_or_default();
        let chosen = clip.poster.clone();
        let poster = |(number, choice): (usize, storage::PosterChoice)| PosterChoice {
            url: format!("/api/clips/{id}/posters/{number}.jpg"),
            at_ms: choice.at_ms,
            chosen: chosen.as_ref() == Some(&choice.object),
        };
        Self {
            media: format!("/api/clips/{id}/media"),
            poster: clip.poster.map(|_| format!("/api/clips/{id}/poster")),
            watch: format!("/c/{id}"),
            posters: pictures.posters.into_iter().enumerate().map(poster).collect(),
            storyboard: pictures.storyboard.map(|_| format!("/api/clips/{id}/storyboard.vtt")),
            waveform: pictures.waveform.map(|_| format!("/api/clips/{id}/waveform")),
            id,
            broadcast: clip.broadcast.to_string(),
            channel: clip.channel,
            part: clip.part,
            title: clip.title,
            cause: clip.cause.to_string(),
            started_at: clip.started_at_ms,
            duration_ms: clip.duration_ms,
            mime: clip.mime,
            video: clip.video,
            audio: clip.audio,
            width: clip.width,
            height: clip.height,
            size: clip.size,
            sha256: clip.sha256,
            state,
            error,
            lost_ms: clip.lost_ms,
            continuity: clip.continuity.map(Continuity::from),
            created_at: clip.created_at_ms,
            revision: clip.revision,
            kind: clip.kind.into(),
            description: clip.description,
            tags: clip.tags,
            links: clip.links.into_iter().map(|link| WebLink { title: link.title, url: link.url }).collect(),
            visibility: clip.visibility.into(),
            published_at: clip.published_at_ms,
            pinned: clip.pinned,
            from_ms: clip.from_ns as f64 / 1e6,
            to_ms: clip.to_ns as f64 / 1e6,
            recipe: clip.recipe.map(Recipe::from),
            health: clip.health.map(Health::from),
        }
    }
}

impl Clip {
    /// With a link in all its addresses, for those who see it by that.
    pub fn with_link(mut self, link: &str) -> Self {
        let chosen = self.posters.iter_mut().map(|choice| &mut choice.url);
        let pictures = [&mut self.poster, &mut self.storyboard, &mut self.waveform].into_iter().flatten();
        for address in chosen.chain(pictures).chain([&mut self.media, &mut self.watch]) {
            address.push_str("?link=");
            address.push_str(link);
        }
        self
    }
}

impl From<storage::ClipKind> for ClipKind {
    fn from(kind: storage::ClipKind) -> Self {
        match kind {
            storage::ClipKind::Part => Self::Part,
            storage::ClipKind::Made => Self::Made,
        }
    }
}

impl From<storage::Visibility> for Visibility {
    fn from(visibility: storage::Visibility) -> Self {
        match visibility {
            storage::Visibility::Hidden => Self::Hidden,
            storage::Visibility::Link => Self::Link,
            storage::Visibility::Published => Self::Published,
        }
    }
}

impl From<Visibility> for storage::Visibility {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Hidden => Self::Hidden,
            Visibility::Link => Self::Link,
            Visibility::Published => Self::Published,
        }
    }
}

impl From<storage::Recipe> for Recipe {
    fn from(recipe: storage::Recipe) -> Self {
        let piece = |piece: storage::Piece| Piece {
            broadcast: piece.broadcast.to_string(),
            from_ms: piece.from_ns as f64 / 1e6,
            to_ms: (piece.to_ns < storage::Piece::END).then_some(piece.to_ns as f64 / 1e6),
        };
        Self {
            pieces: recipe.pieces.into_iter().map(piece).collect(),
            precision: recipe.precision.to_string(),
            format: recipe.format.to_string(),
        }
    }
}

impl From<storage::ClipHealth> for Health {
    fn from(health: storage::ClipHealth) -> Self {
        Self {
            score: health.score,
            black_ms: health.black_ms,
            frozen_ms: health.frozen_ms,
            silent_ms: health.silent_ms,
            flashing_ms: health.flashing_ms,
            spoilt_ms: health.spoilt_ms,
            loudness: health.loudness.map(|tenths| f64::from(tenths) / 10.0),
            av_offset_ms: health.av_offset_ms,
            findings: health.findings.into_iter().map(Finding::from).collect(),
        }
    }
}

impl From<storage::Finding> for Finding {
    fn from(found: storage::Finding) -> Self {
        let kind = match found.kind {
            storage::FindingKind::Black => FindingKind::Black,
            storage::FindingKind::Frozen => FindingKind::Frozen,
            storage::FindingKind::Held => FindingKind::Held,
            storage::FindingKind::Silent => FindingKind::Silent,
            storage::FindingKind::Flashing => FindingKind::Flashing,
            storage::FindingKind::Spoilt => FindingKind::Spoilt,
        };
        Self { kind, from_ms: found.from_ms, to_ms: found.to_ms }
    }
}
