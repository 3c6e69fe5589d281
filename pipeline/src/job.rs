//! What is asked of a worker and what it answers. Plain values; they cross the process border as JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Ranges of broadcasts that become one file, one after the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportJob {
    /// In the order in which they are shown; at least one.
    pub pieces: Vec<Piece>,
    pub border: Border,
    pub precision: Precision,
    pub format: Format,
    /// Where the file goes. It must exist, and temporary files lie beside the result.
    pub directory: PathBuf,
    /// File name without extension. While it is written the file is called `<stem>.tmp.<extension>`.
    pub stem: String,
    /// Also write `<stem>.jpg` when there is a picture.
    pub poster: bool,
    /// Also write `<stem>.units` ([`journal::Units`]) unless the format is [`Format::Compatible`], by which a journal can be rebuilt from byte ranges of the file.
    pub units: bool,
}

/// A range of one broadcast. It holds what lies at or after `from_ns` and before `to_ns`, so that pieces that share a moment share no
/// picture. Who counts in milliseconds rounds both down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Journal parts in order, at least one. Each is self-contained; a torn tail, and that of one that is still written, is left out.
    pub journals: Vec<PathBuf>,
    /// Start on the broadcast's timeline; sound starts with the picture. `None`: with the first unit there is.
    pub from_ns: Option<u64>,
    /// End on the broadcast's timeline. `None`: with the last unit there is.
    pub to_ns: Option<u64>,
}

impl Piece {
    /// Everything that the journals hold.
    #[must_use]
    pub fn whole(journals: Vec<PathBuf>) -> Self {
        Self { journals, from_ns: None, to_ns: None }
    }
}

/// What becomes of a border that lies between two keyframes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Both ends move to the next keyframe, so that neighbours share no unit and leave none out: the parts of a broadcast.
    Rollover,
    /// Nothing that was asked for is missing: [`Precision`] says what is shown before the start. The end is exact.
    Asked,
}

/// Where a piece begins that was asked for ([`Border::Asked`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// With the keyframe at or before the start. Every unit is copied bit by bit.
    Fast,
    /// With the first picture of the range.
    Exact,
}

/// What the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The codecs as they were received.
    Original,
    /// H.264 and AAC in MP4, for Safari and for editing. The picture is copied where it is H.264 under one configuration. Has no table of units.
    Compatible,
    /// Sound alone, as it was received.
    Audio,
}

/// What a slow disk still reads, and what a busy processor still encodes, of the journals in a second.
const COPIED_BYTES_PER_S: u64 = 10_000_000;
const ENCODED_BYTES_PER_S: u64 = 100_000;

impl ExportJob {
    /// What it may take: more than `least` where the journals are long.
    pub(crate) fn time_limit(&self, least: Duration) -> Duration {
        let journals = self.pieces.iter().flat_map(|piece| &piece.journals);
        let bytes: u64 = journals.filter_map(|path| path.metadata().ok()).map(|of| of.len()).sum();
        let per_second = match self.format {
            Format::Original | Format::Audio => COPIED_BYTES_PER_S,
            Format::Compatible => ENCODED_BYTES_PER_S,
        };
        least + Duration::from_secs(bytes / per_second)
    }

    /// The name under which the file is written.
    pub(crate) fn temporary(&self, container: Container) -> PathBuf {
        self.directory.join(format!("{}.tmp.{}", self.stem, container.extension()))
    }

    /// Where the muxer keeps the media until it knows the index that goes before it.
    pub(crate) fn faststart(&self) -> PathBuf {
        self.directory.join(format!("{}.tmp.faststart", self.stem))
    }

    pub(crate) fn temporary_poster(&self) -> PathBuf {
        self.directory.join(format!("{}.tmp.jpg", self.stem))
    }

    pub(crate) fn temporary_units(&self) -> PathBuf {
        self.directory.join(format!("{}.tmp.{}", self.stem, journal::units::EXTENSION))
    }

    /// What a job that did not finish may have left behind.
    pub(crate) fn remove_temporaries(&self) {
        let names = [
            self.temporary(Container::Mp4),
            self.temporary(Container::Webm),
            self.faststart(),
            self.temporary_poster(),
            self.temporary_units(),
        ];
        for name in names {
            match std::fs::remove_file(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(file = %name.display(), %error, "a temporary file stays behind");
                }
                _ => {}
            }
        }
    }
}

/// The finished file. It is complete, verified, synced and under its final name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    pub file: PathBuf,
    pub container: Container,
    /// Without the codecs parameter: `video/mp4`, `video/webm` or `audio/mp4`.
    pub mime: String,
    /// Bytes.
    pub size: u64,
    /// Of the whole file, lower-case hex.
    pub sha256: String,
    /// Of the file as players show it.
    pub duration_ms: u64,
    /// The broadcast's timeline: pts of the first unit and end of the last one. Of several pieces: start of the first and end of the last.
    pub from_ns: u64,
    pub to_ns: u64,
    /// What the file shows of each piece, in order.
    pub pieces: Vec<ExportedPiece>,
    /// Pixels as players show it, of the largest picture in the range; 0 without picture.
    pub width: u16,
    pub height: u16,
    pub tracks: Vec<ExportedTrack>,
    /// Tracks of the pieces that are not in the file: a second picture or sound, pictures without any keyframe, pictures where sound alone is wanted.
    pub omitted: Vec<u8>,
    /// The poster, when one was asked for and a keyframe could be decoded.
    pub poster: Option<PathBuf>,
    /// The table of units, when one was asked for.
    pub units: Option<PathBuf>,
    /// Parts of the journals that could not be read (a crash, or units that are just written), in bytes.
    pub torn_bytes: u64,
    /// Why an end of the file does not decode, though its pictures are bit for bit what was received.
    pub undecoded: Option<String>,
}

/// What the file shows of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedPiece {
    /// The broadcast's timeline: pts of the first unit and end of the last one.
    pub from_ns: u64,
    pub to_ns: u64,
    /// Where `from_ns` lies in the file.
    pub offset_ns: u64,
}

/// What the file holds of one track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedTrack {
    /// Its number in the broadcast of the first piece that has it.
    pub track: u8,
    /// `vp8`, `vp9`, `h264`, `av1`, `opus` or `aac`.
    pub codec: String,
    /// Access units in the file.
    pub units: u64,
    /// Their bytes as received.
    pub bytes: u64,
    /// The timeline of the first piece's broadcast.
    pub first_pts_ns: u64,
    /// The timeline of the last piece's broadcast.
    pub last_pts_ns: u64,
    /// Of the last unit.
    pub end_ns: u64,
    /// Of all units together; a picture counts for a second at most.
    pub media_ns: u64,
    /// Longest time between two pictures, or between the end of a sound and the next.
    pub longest_gap_ns: u64,
    /// Extended RTP sequence numbers of the first and last packet.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Pictures within the range that come before its first keyframe. No decoder could show them; they are not in the file.
    pub undecodable: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// Progressive, index first. H.264, VP9 and AV1 with or without Opus, and Opus alone.
    Mp4,
    /// VP8 with or without Opus: MP4 with VP8 does not play in Firefox.
    Webm,
}

impl Container {
    /// Without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Webm => "webm",
        }
    }
}

/// Whose turn it is. A job of an earlier lane starts before any waiting job of a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody waits for this clip.
    ClipNow,
    Rollover,
    Poster,
    Rest,
}

impl Lane {
    pub const ALL: [Lane; 4] = [Lane::ClipNow, Lane::Rollover, Lane::Poster, Lane::Rest];
}

/// Why there is no file. Only this job failed; the workers go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
pub enum ExportError {
    /// The worker died while it did the job: a crash in a library, or its memory limit.
    #[error("the worker died: {0}")]
    Crashed(String),
    /// The worker was killed: see [`crate::WorkersConfig::job_timeout`].
    #[error("the export took too long")]
    TimedOut,
    /// The range cannot become a file. Trying again does not help.
    #[error("cannot export: {0}")]
    Refused(String),
    /// A file could not be read or written, or a worker not started. Trying again may help.
    #[error("input or output: {0}")]
    Io(String),
    /// The finished file does not hold what was put into it. It was deleted.
    #[error("the file is not what it should be: {0}")]
    Unfaithful(String),
    /// As many jobs wait in this lane as may. Trying again later helps.
    #[error("too many jobs are waiting")]
    Busy,
    #[error("the workers are stopped")]
    Stopped,
}

impl From<std::io::Error> for ExportError {
    fn from(error: std::io::Error) -> Self {
        ExportError::Io(error.to_string())
    }
}
