//! What is measured of a finished clip: its health, its pictures, where its access units lie. Noted after the clip is there; no
//! revision counts them, since nobody edits them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::about::names;
use crate::{StorageError, key};

/// Most posters to choose from.
pub const POSTERS: usize = 16;
/// Most places of one clip where something was found.
pub const FINDINGS: usize = 64;
/// Most sheets of a storyboard.
pub const SHEETS: usize = 64;

/// How good a clip is, measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipHealth {
    /// 0 to 100; 100: nothing was found. docs/health.md has the formula.
    pub score: u8,
    /// Time without a picture that shows anything, with one that stands still, without any sound.
    pub black_ms: u64,
    pub frozen_ms: u64,
    pub silent_ms: u64,
    /// With flashes that may harm people, and with pictures that do not decode. Clips that an older Oxbow looked at have none.
    #[serde(default)]
    pub flashing_ms: u64,
    #[serde(default)]
    pub spoilt_ms: u64,
    /// Integrated loudness (EBU R 128) in tenths of LUFS; none without sound.
    pub loudness: Option<i32>,
    /// How much later sound is than picture at both ends of the file; negative: earlier. None where one is missing.
    pub av_offset_ms: Option<i32>,
    /// Where it is, in order of time; the longest ones where there are many.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// One place in a clip, on its own timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    pub from_ms: u64,
    pub to_ms: u64,
}

/// What was found there; docs/health.md says what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    Black,
    Frozen,
    /// No picture came, the last one stands.
    Held,
    Silent,
    Flashing,
    Spoilt,
}

/// Pictures of a clip, as keys in the object store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pictures {
    /// Candidates, the best first; the clip's `poster` is one of them or one of its own.
    pub posters: Vec<PosterChoice>,
    pub storyboard: Option<Storyboard>,
    /// Peaks of the sound; none without sound.
    pub waveform: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosterChoice {
    pub object: String,
    /// Place in the clip.
    pub at_ms: u64,
}

/// Small pictures of a clip in order of time, side by side on sheets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storyboard {
    /// JPEG, each but the last full.
    pub sheets: Vec<String>,
    pub columns: u16,
    pub rows: u16,
    /// Pixels of one picture.
    pub width: u16,
    pub height: u16,
    /// The WebVTT file that says which picture stands for which time.
    pub index: String,
}

/// Facts about a clip. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipFacts {
    pub health: Option<ClipHealth>,
    pub pictures: Option<Pictures>,
    /// Key of the object that tells where each access unit lies in the file.
    pub units: Option<String>,
}

/// Something that an editor may want to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    Silent,
    Black,
    Frozen,
    /// Media is missing inside.
    Gaps,
    /// The process had died; the end may be missing.
    Recovered,
}

names!(
    Trouble,
    "trouble of a clip",
    Silent = "silent",
    Black = "black",
    Frozen = "frozen",
    Gaps = "gaps",
    Recovered = "recovered"
);

impl Pictures {
    /// Every object of them.
    pub fn objects(&self) -> impl Iterator<Item = &String> {
        let storyboard = self.storyboard.iter().flat_map(|board| board.sheets.iter().chain([&board.index]));
        self.posters.iter().map(|choice| &choice.object).chain(storyboard).chain(&self.waveform)
    }
}

impl ClipFacts {
    /// # Errors
    /// [`StorageError::Invalid`] for more than a clip can have, or numbers that a database cannot keep.
    pub fn check(&self) -> Result<(), StorageError> {
        if let Some(health) = &self.health {
            let times = [health.black_ms, health.frozen_ms, health.silent_ms, health.flashing_ms, health.spoilt_ms];
            if health.score > 100 || times.iter().any(|ms| i64::try_from(*ms).is_err()) {
                return Err(StorageError::Invalid("the health of a clip has a number that is too large".into()));
            }
            let late = |found: &Finding| found.from_ms > found.to_ms || i64::try_from(found.to_ms).is_err();
            if health.findings.len() > FINDINGS || health.findings.iter().any(late) {
                return Err(StorageError::Invalid(
                    "the health of a clip has too many places, or one that cannot be".into(),
                ));
            }
        }
        if let Some(pictures) = &self.pictures {
            let sheets = pictures.storyboard.as_ref().map_or(0, |board| board.sheets.len());
            let late = pictures.posters.iter().any(|choice| i64::try_from(choice.at_ms).is_err());
            if pictures.posters.len() > POSTERS || sheets > SHEETS || late {
                return Err(StorageError::Invalid("a clip has more pictures than it can".into()));
            }
            pictures.objects().try_for_each(|object| key::check(object))?;
        }
        self.units.as_deref().map_or(Ok(()), key::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_clip_has_is_refused() {
        let choice = |object: &str| PosterChoice { object: object.into(), at_ms: 1 };
        let pictures =
            |posters| ClipFacts { pictures: Some(Pictures { posters, ..Pictures::default() }), ..ClipFacts::default() };
        assert_eq!(pictures(vec![choice("main/a.jpg")]).check(), Ok(()));
        assert!(pictures(vec![choice("../a.jpg")]).check().is_err());
        assert!(pictures(vec![choice("main/a.jpg"); POSTERS + 1]).check().is_err());
        let score = ClipHealth { score: 101, ..ClipHealth::default() };
        assert!(ClipFacts { health: Some(score), ..ClipFacts::default() }.check().is_err());
        let found = |from_ms, to_ms| Finding { kind: FindingKind::Black, from_ms, to_ms };
        for (findings, is_good) in [
            (vec![found(0, 5); FINDINGS], true),
            (vec![found(0, 5); FINDINGS + 1], false),
            (vec![found(5, 4)], false),
            (vec![found(0, u64::MAX)], false),
        ] {
            let health = Some(ClipHealth { findings, ..ClipHealth::default() });
            assert_eq!(ClipFacts { health, ..ClipFacts::default() }.check().is_ok(), is_good);
        }
        let older = r#"{"score":80,"black_ms":1,"frozen_ms":2,"silent_ms":3,"loudness":null,"av_offset_ms":null}"#;
        let older: ClipHealth = serde_json::from_str(older).unwrap();
        assert_eq!((older.silent_ms, older.flashing_ms, older.findings.len()), (3, 0, 0));
        assert!(ClipFacts { units: Some("/x".into()), ..ClipFacts::default() }.check().is_err());
    }
}
