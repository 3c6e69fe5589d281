//! The volume under a node's data folder, as plain values: how much of it must stay free, and what is known of it. Who measures and
//! acts is the recorder (`recorder/src/guard.rs`); no file is touched here.

use std::fmt;
use std::str::FromStr;

/// A megabyte of the settings.
const MEGABYTE: u64 = 1_000_000;

/// A part of a volume: a share of it, an amount, or the smaller of both. Written `5%`, `2000` (megabytes) or `5%,2000`; `0` is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    percent: Option<u8>,
    bytes: Option<u64>,
}

/// Why a text is no [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mark is whole percent (5%), megabytes (2000), or the smaller of both (5%,2000)")]
pub struct MarkError;

impl Mark {
    pub const NOTHING: Self = Self { percent: None, bytes: None };

    /// Bytes of a volume with this size.
    #[must_use]
    pub fn of(self, total_bytes: u64) -> u64 {
        let share = self.percent.map(|percent| total_bytes / 100 * u64::from(percent));
        share.into_iter().chain(self.bytes).min().unwrap_or(0)
    }
}

impl FromStr for Mark {
    type Err = MarkError;

    fn from_str(text: &str) -> Result<Self, MarkError> {
        let mut mark = Self { percent: None, bytes: None };
        for part in text.split(',').map(str::trim) {
            if let Some(percent) = part.strip_suffix('%') {
                let percent = percent.trim_end().parse().ok().filter(|percent| *percent < 100).ok_or(MarkError)?;
                mark.percent.replace(percent).map_or(Ok(()), |_| Err(MarkError))?;
            } else {
                let bytes = part.parse::<u64>().ok().and_then(|n| n.checked_mul(MEGABYTE)).ok_or(MarkError)?;
                mark.bytes.replace(bytes).map_or(Ok(()), |_| Err(MarkError))?;
            }
        }
        Ok(mark)
    }
}

/// What must stay free. A volume smaller than its marks make sense for is watched all the same: see [`Mark::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Below it space is made.
    pub soft: Mark,
    /// Below it nothing is recorded.
    pub hard: Mark,
}

impl Watermarks {
    /// Nothing must stay free.
    pub const NONE: Self = Self { soft: Mark::NOTHING, hard: Mark::NOTHING };

    /// Of a volume with this size: bytes of the soft mark, bytes of the hard one, which is never the larger.
    #[must_use]
    pub fn of(self, total_bytes: u64) -> (u64, u64) {
        let (soft, hard) = (self.soft.of(total_bytes), self.hard.of(total_bytes));
        (soft.max(hard), hard)
    }
}

/// How a volume stands to its [`Watermarks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskState {
    #[default]
    Ok,
    /// Space is made.
    Low,
    /// Nothing is recorded; what is on its way to the store goes on.
    Full,
}

impl DiskState {
    pub const ALL: [Self; 3] = [Self::Ok, Self::Low, Self::Full];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for DiskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of the volume, at most a few seconds old. All zero before it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    pub total_bytes: u64,
    /// For this process.
    pub free_bytes: u64,
    pub soft_bytes: u64,
    pub hard_bytes: u64,
    pub state: DiskState,
    /// UTC milliseconds at which recording would stop if it filled as it does now; none when it does not fill.
    pub full_at_ms: Option<i64>,
    /// Of all journals.
    pub journal_bytes: u64,
    /// Of finished clips on their way to the store.
    pub spool_bytes: u64,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    pub disk: Disk,
    /// What needed somebody's attention lately, oldest first; a bounded number.
    pub alarms: Vec<Alarm>,
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub utc_ms: i64,
    /// Empty when it concerns the node.
    pub channel: String,
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, total: u64) -> Option<u64> {
        text.parse::<Mark>().ok().map(|mark| mark.of(total))
    }

    #[test]
    fn marks_are_shares_or_amounts_or_the_smaller() {
        let gb = 1000 * MEGABYTE;
        for (text, total, bytes) in [
            ("0", gb, 0),
            ("5%", 100 * gb, 5 * gb),
            ("2000", 100 * gb, 2 * gb),
            ("2000", 64 * MEGABYTE, 2 * gb),
            ("5%,2000", 100 * gb, 2 * gb),
            ("5%, 2000", 20 * gb, gb),
            ("2000,5%", 20 * gb, gb),
        ] {
            assert_eq!(of(text, total), Some(bytes), "{text}");
        }
        for text in ["", "%", "5", "-1", "100%", "5%,5%", "1,2", "1.5%", "99999999999999999999", "5%,"] {
            assert!(text == "5" || of(text, gb).is_none(), "{text}");
        }
    }

    #[test]
    fn the_hard_mark_is_never_the_larger() {
        let marks = Watermarks { soft: "1%".parse().unwrap(), hard: "10%".parse().unwrap() };
        assert_eq!(marks.of(1000), (100, 100));
    }
}
