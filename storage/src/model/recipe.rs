//! What is to be made of recordings: which pieces, cut how, as what. Whatever is made is a range of the journal, or several.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Id, StorageError};

/// Most pieces of one file.
pub const PIECES: usize = 64;

/// How one file is made of pieces of recordings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// In the order in which they are shown; 1 to [`PIECES`].
    pub pieces: Vec<Piece>,
    #[serde(default)]
    pub precision: Precision,
    #[serde(default)]
    pub format: Format,
}

/// A range of one broadcast's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub broadcast: Id,
    /// Nanoseconds since media zero, inclusive.
    pub from_ns: u64,
    /// Exclusive. [`Piece::END`]: as far as it was recorded.
    pub to_ns: u64,
    /// Nanoseconds of the file's own time at which it begins. None before there is a file, and in those of older writers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ns: Option<u64>,
    /// A made clip that shows it as well: its file is taken where the recording is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Id>,
}

impl Piece {
    /// The largest number that both databases hold.
    pub const END: u64 = i64::MAX as u64;

    pub fn new(broadcast: Id, from_ns: u64, to_ns: u64) -> Self {
        Self { broadcast, from_ns, to_ns, at_ns: None, clip: None }
    }

    pub fn whole(broadcast: Id) -> Self {
        Self::new(broadcast, 0, Self::END)
    }
}

/// Where a cut falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Nothing is encoded again: a piece begins at the keyframe at or before its start.
    #[default]
    Fast,
    /// The first picture that is shown is the first at or after the start; the group of pictures at a border is encoded again.
    Exact,
}

/// What kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As it was received, in the container that its codec goes in.
    #[default]
    Original,
    /// H.264 and AAC in MP4, which every player and editing tool takes.
    Compatible,
    /// The sound alone.
    Audio,
}

impl Recipe {
    /// Longest piece of a recipe that is about its first picture.
    pub const MOMENT_NS: u64 = 500_000_000;

    /// Whether somebody wants the picture that it begins with, rather than a file: an exact piece that is over in no time.
    pub fn is_moment(&self) -> bool {
        matches!(&self.pieces[..], [piece] if piece.to_ns.saturating_sub(piece.from_ns) <= Self::MOMENT_NS)
            && (self.precision, self.format) == (Precision::Exact, Format::Original)
    }

    /// One piece, nothing encoded again.
    pub fn of(piece: Piece) -> Self {
        Self { pieces: vec![piece], precision: Precision::Fast, format: Format::Original }
    }

    /// Whether it can be made of anything at all.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] naming the rule and, counted from 1, the piece that breaks it.
    pub fn check(&self) -> Result<(), StorageError> {
        if self.pieces.is_empty() || self.pieces.len() > PIECES {
            return Err(StorageError::Invalid(format!("a file is made of 1 to {PIECES} pieces")));
        }
        for (at, piece) in self.pieces.iter().enumerate() {
            let number = at + 1;
            if piece.from_ns >= piece.to_ns {
                return Err(StorageError::Invalid(format!("piece {number} ends where it begins, or before")));
            }
            if piece.to_ns > Piece::END {
                return Err(StorageError::Invalid(format!("piece {number} ends later than any recording can")));
            }
        }
        Ok(())
    }
}

impl Precision {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Exact => "exact",
        }
    }
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Compatible => "compatible",
            Self::Audio => "audio",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(from_ns: u64, to_ns: u64) -> Piece {
        Piece::new(Id::new(1, 1), from_ns, to_ns)
    }

    #[test]
    fn a_recipe_survives_text_and_says_only_what_it_must() {
        let recipe = Recipe { pieces: vec![piece(5, 9)], precision: Precision::Exact, format: Format::Compatible };
        let text = serde_json::to_string(&recipe).unwrap();
        assert!(text.contains(r#""precision":"exact","format":"compatible""#), "{text}");
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
        let short = format!(r#"{{"pieces":[{{"broadcast":"{}","from_ns":5,"to_ns":9}}]}}"#, Id::new(1, 1));
        assert_eq!(serde_json::from_str::<Recipe>(&short).unwrap(), Recipe::of(piece(5, 9)));
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for precision in [Precision::Fast, Precision::Exact] {
            assert_eq!(serde_json::to_value(precision).unwrap(), precision.as_str());
        }
        for format in [Format::Original, Format::Compatible, Format::Audio] {
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
    }

    #[test]
    fn what_nothing_can_be_made_of_is_refused_by_name() {
        let of = |pieces| Recipe { pieces, precision: Precision::Fast, format: Format::Original }.check();
        assert_eq!(of(vec![piece(0, 1), Piece::whole(Id::new(1, 1))]), Ok(()));
        assert_eq!(of(vec![piece(0, 1); PIECES]), Ok(()));
        for pieces in [vec![], vec![piece(0, 1); PIECES + 1], vec![piece(0, 1), piece(4, 4)], vec![piece(5, 4)]] {
            assert!(matches!(of(pieces), Err(StorageError::Invalid(_))));
        }
        let late = of(vec![piece(0, 1), piece(0, Piece::END + 1)]);
        assert_eq!(late, Err(StorageError::Invalid("piece 2 ends later than any recording can".into())));
    }
}
