//! What proves that nothing of a broadcast is missing between its clips: which units each clip holds, and which clip came
//! before it. Plain values; the recorder writes them, `oxbow check` walks them.

use serde::{Deserialize, Serialize};

use crate::{Clip, ClipKind, Id, StorageError, key};

/// Most tracks of one clip.
const TRACKS: usize = 64;
/// Hashes of earlier files of one clip that are remembered. More: the oldest are forgotten.
const REPLACED: usize = 8;

/// The continuity record of a clip.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Continuity {
    /// Lowest number first.
    pub tracks: Vec<TrackContinuity>,
    /// The clip before this one in the broadcast; none for the first.
    pub before: Option<Link>,
    /// Parts between the two (or before this one) that had no file when the link was made, because they failed or were deleted.
    pub passed: u32,
    /// SHA-256 of files that this clip had before its present one. A damaged file is made again, and the clip after it may name
    /// the old one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
}

/// One track of a clip. Units are counted from 0 since the broadcast began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackContinuity {
    /// Its number in the broadcast.
    pub track: u8,
    /// `"vp8"`, `"h264"`, `"vp9"`, `"av1"` or `"opus"`.
    pub codec: String,
    pub first_unit: u64,
    /// Inclusive.
    pub last_unit: u64,
    /// In the file.
    pub units: u64,
    /// Received and not in the file: pictures before the first keyframe, and a second picture or sound.
    pub unshown: u64,
    /// Neither: the disk did not take them in time. A gap says so in `lost_ms`.
    pub given_up: u64,
    /// The units between the clip before and this one were given up in the same way.
    pub given_up_before: bool,
    /// Extended RTP sequence numbers of the first and the last packet.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Wall clock of the first and the last unit, UTC microseconds.
    pub first_utc_us: u64,
    pub last_utc_us: u64,
    /// The broadcast's timeline: start of the first unit, start of the last one, and its end.
    pub from_ns: u64,
    pub last_ns: u64,
    pub to_ns: u64,
    /// Time that is filled: the duration of all units in the file, a picture counted for a second at most.
    pub media_ms: u64,
    /// Longest time between two pictures, or between the end of a sound and the next.
    pub longest_gap_ms: u64,
}

/// A clip, named so that it cannot be exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub clip: Id,
    pub part: u32,
    /// Of its file.
    pub sha256: String,
}

/// What is kept of a clip that somebody deleted, so that its neighbours can still be told to be whole. Nothing that people wrote
/// or see is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    pub id: Id,
    pub broadcast: Id,
    pub channel: String,
    pub part: u32,
    /// Empty when it never had a file.
    pub sha256: String,
    pub continuity: Option<Continuity>,
    /// Always true: tells the sidecar of a deleted clip from that of a clip.
    pub deleted: bool,
    #[serde(default)]
    pub kind: ClipKind,
}

impl Tombstone {
    /// The key of the clip's sidecar.
    pub fn sidecar(&self) -> String {
        match self.kind {
            ClipKind::Part => key::sidecar(&self.channel, &self.broadcast, self.part, &self.id),
            ClipKind::Made => key::made(&self.channel, &self.broadcast, &self.id, "json"),
        }
    }
}

impl Continuity {
    /// Remembers that a file with this hash was the clip's before.
    pub fn replaces(&mut self, before: Vec<String>, sha256: &str) {
        self.replaced = before;
        if !self.replaced.iter().any(|known| known == sha256) {
            self.replaced.push(sha256.to_owned());
        }
        let surplus = self.replaced.len().saturating_sub(REPLACED);
        self.replaced.drain(..surplus);
    }
}

impl From<&Clip> for Tombstone {
    fn from(clip: &Clip) -> Self {
        Self {
            id: clip.id.clone(),
            broadcast: clip.broadcast.clone(),
            channel: clip.channel.clone(),
            part: clip.part,
            sha256: clip.sha256.clone(),
            continuity: clip.continuity.clone(),
            deleted: true,
            kind: clip.kind,
        }
    }
}

/// # Errors
/// [`StorageError::Invalid`] for more than a clip can have, or numbers that a database cannot keep.
pub(crate) fn check(continuity: &Continuity) -> Result<(), StorageError> {
    let wrong = |what: &str| Err(StorageError::Invalid(format!("the continuity record has {what}")));
    if continuity.tracks.len() > TRACKS || continuity.replaced.len() > REPLACED {
        return wrong("too many rows");
    }
    let hashes = continuity.before.iter().map(|link| &link.sha256).chain(&continuity.replaced);
    let texts = continuity.tracks.iter().map(|track| &track.codec).chain(hashes);
    if texts.into_iter().any(|text| text.len() > 64 || text.chars().any(char::is_control)) {
        return wrong("a text that is no codec and no hash");
    }
    let too_large = continuity.tracks.iter().flat_map(TrackContinuity::numbers).any(|n| i64::try_from(n).is_err());
    if too_large { wrong("a number that is too large") } else { Ok(()) }
}

impl TrackContinuity {
    fn numbers(&self) -> [u64; 14] {
        [
            self.first_unit,
            self.last_unit,
            self.units,
            self.unshown,
            self.given_up,
            self.first_seq,
            self.last_seq,
            self.first_utc_us,
            self.last_utc_us,
            self.from_ns,
            self.last_ns,
            self.to_ns,
            self.media_ms,
            self.longest_gap_ms,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_hashes_are_remembered_once_and_not_for_ever() {
        let mut record = Continuity::default();
        for round in 0..20 {
            let before = std::mem::take(&mut record.replaced);
            record.replaces(before, &format!("{}", round / 2));
        }
        assert_eq!(record.replaced, ["2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(check(&record), Ok(()));
        record.before = Some(Link { clip: Id::new(1, 1), part: 0, sha256: "x".repeat(65) });
        assert!(check(&record).is_err());
    }
}
