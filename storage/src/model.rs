//! The things that are stored, as plain values. No back end, no I/O.
//!
//! Times are UTC milliseconds since 1970 (`_ms`); places on a broadcast's timeline are nanoseconds since its media zero
//! (`_ns`). Numbers stay below 2^63, since neither database has unsigned integers.

mod about;
mod facts;
mod recipe;

use std::fmt;
use std::str::FromStr;

pub use about::{
    ClipEdit, ClipKind, DESCRIPTION_CHARS, LINKS, TAG_CHARS, TAGS, URL_BYTES, Visibility, WebLink, tidy_tags,
};
pub(crate) use about::{check_description, check_links, check_tag, check_tags};
pub use facts::{
    ClipFacts, ClipHealth, FINDINGS, Finding, FindingKind, POSTERS, Pictures, PosterChoice, SHEETS, Storyboard, Trouble,
};
pub use recipe::{Format, PIECES, Piece, Precision, Recipe};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Continuity, StorageError, key};

/// Longest title, in characters.
pub const TITLE_CHARS: usize = 200;
/// Most rows of one page.
pub const PAGE_ROWS: u32 = 100;

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The name of a clip or broadcast: a ULID as 26 lower-case characters of Crockford base 32 (48 bits of UTC
/// milliseconds, 80 random bits), so ids sort by time.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

/// Why a text is no [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 26 characters of 0-9 and a-z without i, l, o, u")]
pub struct IdError;

impl Id {
    /// `random` is any 80 unpredictable bits; the upper 48 are ignored.
    pub fn new(utc_ms: u64, random: u128) -> Self {
        let value = (u128::from(utc_ms & 0xffff_ffff_ffff) << 80) | (random & ((1 << 80) - 1));
        Self((0..26).rev().map(|i| char::from(CROCKFORD[(value >> (i * 5)) as usize & 31])).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The next id there can be.
    pub(crate) fn successor(&self) -> Self {
        let digit = |byte| CROCKFORD.iter().position(|c| *c == byte).unwrap_or_default() as u128;
        let value = self.0.bytes().fold(0_u128, |value, byte| (value << 5) | digit(byte)).saturating_add(1);
        Self::new((value >> 80) as u64, value)
    }

    /// UTC milliseconds at which it was made.
    pub fn utc_ms(&self) -> u64 {
        self.0
            .bytes()
            .take(10)
            .fold(0, |value, byte| (value << 5) | CROCKFORD.iter().position(|c| *c == byte).unwrap_or_default() as u64)
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // 26 * 5 = 130 bits; the top two must be clear.
        let fits = text.len() == 26 && text.bytes().all(|b| CROCKFORD.contains(&b)) && text.as_bytes()[0] <= b'7';
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a clip ended where it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClipCause {
    /// The size limit was reached.
    Size,
    /// The length limit was reached.
    Length,
    /// Somebody asked for the cut.
    Request,
    /// The broadcast ended.
    End,
    /// The source changed so that one file could not go on (for instance its codec).
    Interrupted,
    /// The process had died; the clip was made from the journal afterwards.
    Recovered,
}

impl ClipCause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Length => "length",
            Self::Request => "request",
            Self::End => "end",
            Self::Interrupted => "interrupted",
            Self::Recovered => "recovered",
        }
    }
}

impl fmt::Display for ClipCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ClipCause {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        [Self::Size, Self::Length, Self::Request, Self::End, Self::Interrupted, Self::Recovered]
            .into_iter()
            .find(|cause| cause.as_str() == text)
            .ok_or_else(|| StorageError::Invalid(format!("'{text}' is no cause of a clip")))
    }
}

/// One file of a recording, and everything people see of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    pub id: Id,
    pub broadcast: Id,
    pub channel: String,
    /// Position among the clips of its broadcast, from 0.
    pub part: u32,
    pub title: String,
    pub cause: ClipCause,
    /// UTC of the first frame.
    pub started_at_ms: i64,
    pub duration_ms: u64,
    /// On the broadcast's timeline, inclusive.
    pub from_ns: u64,
    /// On the broadcast's timeline, exclusive.
    pub to_ns: u64,
    /// Of the file, for instance `video/mp4`.
    pub mime: String,
    /// `"vp8"`, `"vp9"`, `"h264"` or `"av1"`; none in a clip of sound alone.
    pub video: Option<String>,
    pub audio: Option<String>,
    /// Pixels; 0 without video.
    pub width: u16,
    pub height: u16,
    /// Access units of video.
    pub frames: u64,
    /// Access units of audio.
    pub packets: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Of the file, 64 lower-case hex characters.
    pub sha256: String,
    /// Key of the file in the object store.
    pub object: String,
    /// Key of the poster picture in the object store.
    pub poster: Option<String>,
    /// Media known to be missing inside: gaps and what a crash cut off.
    pub lost_ms: u64,
    /// None in clips of writers that did not count.
    #[serde(default)]
    pub continuity: Option<Continuity>,
    pub created_at_ms: i64,
    /// Counts edits of what people can edit; starts at 0.
    pub revision: u32,
    #[serde(default)]
    pub kind: ClipKind,
    /// Lines; may be empty.
    #[serde(default)]
    pub description: String,
    /// As [`tidy_tags`] leaves them.
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub links: Vec<WebLink>,
    #[serde(default)]
    pub visibility: Visibility,
    /// None while it is not published.
    #[serde(default)]
    pub published_at_ms: Option<i64>,
    /// Kept for good.
    #[serde(default)]
    pub pinned: bool,
    /// What a made clip was made from.
    #[serde(default)]
    pub recipe: Option<Recipe>,
    /// None until it was measured.
    #[serde(default)]
    pub health: Option<ClipHealth>,
    #[serde(default)]
    pub pictures: Option<Pictures>,
    /// Key of the object that tells where each access unit lies in the file.
    #[serde(default)]
    pub units: Option<String>,
}

impl Clip {
    /// Where it belongs; nothing else is known, and nothing was said of it.
    #[must_use]
    pub fn at(id: Id, broadcast: Id, channel: &str, part: u32) -> Self {
        Self {
            id,
            broadcast,
            channel: channel.to_owned(),
            part,
            title: String::new(),
            cause: ClipCause::Recovered,
            started_at_ms: 0,
            duration_ms: 0,
            from_ns: 0,
            to_ns: 0,
            mime: String::new(),
            video: None,
            audio: None,
            width: 0,
            height: 0,
            frames: 0,
            packets: 0,
            size: 0,
            sha256: String::new(),
            object: String::new(),
            poster: None,
            lost_ms: 0,
            continuity: None,
            created_at_ms: 0,
            revision: 0,
            kind: ClipKind::Part,
            description: String::new(),
            tags: Vec::new(),
            links: Vec::new(),
            visibility: Visibility::Hidden,
            published_at_ms: None,
            pinned: false,
            recipe: None,
            health: None,
            pictures: None,
            units: None,
        }
    }
}

impl Clip {
    /// The key of its object with this extension: they all lie side by side.
    pub fn key(&self, extension: &str) -> String {
        match self.kind {
            ClipKind::Part => key::clip(&self.channel, &self.broadcast, self.part, &self.id, extension),
            ClipKind::Made => key::made(&self.channel, &self.broadcast, &self.id, extension),
        }
    }

    /// Every object of it but the sidecar.
    pub fn objects(&self) -> impl Iterator<Item = &String> {
        let pictures = self.pictures.iter().flat_map(Pictures::objects);
        [&self.object].into_iter().chain(&self.poster).chain(&self.units).chain(pictures)
    }

    /// Takes what was measured.
    pub fn note(&mut self, facts: ClipFacts) {
        let ClipFacts { health, pictures, units } = facts;
        let had_a_choice = self.pictures.is_some();
        self.health = health.or(self.health.take());
        self.pictures = pictures.or(self.pictures.take());
        self.units = units.or(self.units.take());
        // the export takes the first picture that will do; nobody can have chosen another before there was a choice
        let own = self.key("jpg");
        let is_own = self.poster.as_ref().is_none_or(|poster| *poster == own);
        let best = self.pictures.as_ref().and_then(|pictures| pictures.posters.first());
        if let Some(best) = best.filter(|_| is_own && !had_a_choice) {
            self.poster = Some(best.object.clone());
        }
    }

    /// What was measured of it.
    pub fn facts(&self) -> ClipFacts {
        ClipFacts { health: self.health.clone(), pictures: self.pictures.clone(), units: self.units.clone() }
    }

    /// Itself, with what was measured of `other` where it knows nothing.
    pub(crate) fn with_facts_of(mut self, other: &Self) -> Self {
        let own = self.facts();
        self.note(other.facts());
        self.note(own);
        self
    }

    /// Whether an editor may want to look at it for this.
    pub fn has(&self, trouble: Trouble) -> bool {
        let health = self.health.clone().unwrap_or_default();
        match trouble {
            Trouble::Silent => health.silent_ms > 0,
            Trouble::Black => health.black_ms > 0,
            Trouble::Frozen => health.frozen_ms > 0,
            Trouble::Gaps => self.lost_ms > 0,
            Trouble::Recovered => self.cause == ClipCause::Recovered,
        }
    }

    /// What is searched for text, upper and lower case alike in all scripts.
    pub(crate) fn searchable(&self) -> String {
        format!("{}\n{}\n{}", self.title, self.description, self.tags.join("\n")).to_lowercase()
    }
}

/// One live from start to end, across reconnects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    pub id: Id,
    pub channel: String,
    pub title: String,
    pub started_at_ms: i64,
    /// None while it is live.
    pub ended_at_ms: Option<i64>,
    /// Clips made so far.
    pub clips: u32,
    pub duration_ms: u64,
    pub recorded: bool,
    pub end_reason: Option<String>,
}

/// Which clips, newest first (by start, then id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipQuery {
    pub channel: Option<String>,
    pub broadcast: Option<Id>,
    /// Part of title, description or a tag, upper and lower case alike, taken literally.
    pub text: Option<String>,
    pub kind: Option<ClipKind>,
    pub visibility: Option<Visibility>,
    pub tag: Option<String>,
    pub pinned: Option<bool>,
    /// Its first frame is at or after this.
    pub from_ms: Option<i64>,
    /// Its first frame is before this.
    pub to_ms: Option<i64>,
    pub trouble: Option<Trouble>,
    /// Its measured score is at most this.
    pub max_score: Option<u8>,
    /// From [`Page::next`]; none for the first page.
    pub cursor: Option<String>,
    /// 1 to [`PAGE_ROWS`].
    pub limit: u32,
}

impl Default for ClipQuery {
    fn default() -> Self {
        Self {
            channel: None,
            broadcast: None,
            text: None,
            kind: None,
            visibility: None,
            tag: None,
            pinned: None,
            from_ms: None,
            to_ms: None,
            trouble: None,
            max_score: None,
            cursor: None,
            limit: PAGE_ROWS,
        }
    }
}

impl ClipQuery {
    /// Whether a clip is one of those, as both databases decide it.
    pub fn matches(&self, clip: &Clip) -> bool {
        self.channel.as_ref().is_none_or(|channel| *channel == clip.channel)
            && self.broadcast.as_ref().is_none_or(|broadcast| *broadcast == clip.broadcast)
            && self.text.as_ref().is_none_or(|text| clip.searchable().contains(&text.to_lowercase()))
            && self.kind.is_none_or(|kind| kind == clip.kind)
            && self.visibility.is_none_or(|visibility| visibility == clip.visibility)
            && self.tag.as_ref().is_none_or(|tag| clip.tags.contains(tag))
            && self.pinned.is_none_or(|pinned| pinned == clip.pinned)
            && self.from_ms.is_none_or(|from| clip.started_at_ms >= from)
            && self.to_ms.is_none_or(|to| clip.started_at_ms < to)
            && self.trouble.is_none_or(|trouble| clip.has(trouble))
            && self.max_score.is_none_or(|most| clip.health.as_ref().is_some_and(|health| health.score <= most))
    }
}

/// Which broadcasts, newest first (by start, then id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastQuery {
    pub channel: Option<String>,
    /// From [`Page::next`]; none for the first page.
    pub cursor: Option<String>,
    /// 1 to [`PAGE_ROWS`].
    pub limit: u32,
}

impl Default for BroadcastQuery {
    fn default() -> Self {
        Self { channel: None, cursor: None, limit: PAGE_ROWS }
    }
}

/// Some rows, and where to go on. Rows inserted meanwhile neither repeat nor hide others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// None on the last page.
    pub next: Option<String>,
}

/// A text that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `text` made fit for a title: control characters become spaces, ends are trimmed, at most [`TITLE_CHARS`] characters.
/// May be empty.
pub fn tidy_title(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let cut: String = spaced.trim().chars().take(TITLE_CHARS).collect();
    cut.trim_end().to_owned()
}

/// A title as people may set it: [`tidy_title`] changes nothing about it and it is not empty.
///
/// # Errors
/// [`StorageError::Invalid`] naming the rule.
pub fn check_title(title: &str) -> Result<(), StorageError> {
    if title.trim().is_empty() {
        return Err(StorageError::Invalid("a title cannot be empty".into()));
    }
    if title.chars().any(char::is_control) {
        return Err(StorageError::Invalid("a title has no control characters".into()));
    }
    if title.chars().count() > TITLE_CHARS {
        return Err(StorageError::Invalid(format!("a title has at most {TITLE_CHARS} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_sort_by_time() {
        let early = Id::new(1_700_000_000_000, u128::MAX);
        let late = Id::new(1_700_000_000_001, 0);
        assert_eq!(early.as_str().parse(), Ok(early.clone()));
        assert_eq!((early.utc_ms(), late.utc_ms()), (1_700_000_000_000, 1_700_000_000_001));
        assert!(early < late);
        assert_eq!(early.successor(), late, "the one after the last of a millisecond");
        assert_eq!(late.successor(), Id::new(1_700_000_000_001, 1));
        assert_eq!(serde_json::to_string(&late).unwrap().len(), 28);
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "x",
            "zzzzzzzzzzzzzzzzzzzzzzzzzz",
            "0000000000000000000000000u",
            "0000000000000000000000000A",
            "../../../../../../etc/pass",
            "é000000000000000000000000",
        ] {
            assert_eq!(text.parse::<Id>(), Err(IdError), "{text}");
            assert!(serde_json::from_value::<Id>(text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn causes_have_one_spelling() {
        for cause in ["size", "length", "request", "end", "interrupted", "recovered"] {
            let parsed: ClipCause = cause.parse().unwrap();
            assert_eq!(serde_json::to_value(parsed).unwrap(), cause);
        }
        assert!("Size".parse::<ClipCause>().is_err());
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn titles_are_tidied_or_refused() {
        assert_eq!(tidy_title("  a\0b\nc  "), "a b c");
        assert_eq!(tidy_title(&"ü".repeat(500)).chars().count(), TITLE_CHARS);
        assert_eq!(tidy_title("\u{7f}\r\n"), "");
        for title in ["", "  ", "a\0b", "line\nline", &"x".repeat(TITLE_CHARS + 1)] {
            assert!(matches!(check_title(title), Err(StorageError::Invalid(_))), "{title:?}");
        }
        for title in ["x", "日本語 🎥", &"ü".repeat(TITLE_CHARS)] {
            assert_eq!(check_title(title), Ok(()));
        }
    }
}
