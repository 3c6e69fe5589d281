//! The append-only file of access units: what was received, in order, before it becomes a clip.
//!
//! One file per part of a broadcast. Each file stands alone: the configuration of every track is repeated at its head.
//! `docs/journal.md` states the invariants and the ordered steps that keep them.
//!
//! Not here: when to start a new part (recorder), how a part becomes a playable file (pipeline), and any clock or
//! thread: the caller says when to flush.

pub mod append;
pub mod format;
pub mod index;
mod mend;
mod numbers;
pub mod read;
pub mod restore;
pub mod skim;
pub mod units;
mod window;

pub use append::{AppendError, Appender, establish};
pub use format::{Cause, ClipId, Header, Record};
pub use index::{Entry, Index, Range, Seen};
pub use read::{Damage, OpenError, Reader, Tail, header_of};
pub use restore::{Hints, RestoreError, restore};
pub use skim::{Skimmed, Skimmer, UnitHead};
pub use units::{RebuildError, Unit, Units, UnitsError, UnitsPiece};

use std::path::{Path, PathBuf};

use media::id::BroadcastId;

/// File name extension of a journal.
pub const EXTENSION: &str = "oxj";

/// Added to the name of a file that is not part of the recording yet ([`Appender::begin`]).
pub const BEGUN: &str = "new";

/// `<root>/<broadcast>/<part:06>-<clip>.oxj`: made of ids only, sorts by part.
#[must_use]
pub fn part_path(root: &Path, broadcast: BroadcastId, part: u32, clip: ClipId) -> PathBuf {
    root.join(broadcast.to_string()).join(format!("{part:06}-{clip}.{EXTENSION}"))
}

/// What the name of a part says of it, whether or not it has become one.
#[must_use]
pub fn part_of(path: &Path) -> Option<(BroadcastId, u32, ClipId)> {
    let broadcast = path.parent()?.file_name()?.to_str()?.parse().ok()?;
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(BEGUN).map_or(name, |name| name.trim_end_matches('.'));
    let (part, clip) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
    Some((broadcast, part.parse().ok()?, clip.parse().ok()?))
}

/// What the part is called until [`establish`] gave it its name.
#[must_use]
pub fn begun_path(part: &Path) -> PathBuf {
    part.with_extension(format!("{EXTENSION}.{BEGUN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_part_it_is() {
        let (broadcast, clip) = (BroadcastId::new(5, 6), ClipId(7));
        let path = part_path(Path::new("journal"), broadcast, 12, clip);
        assert_eq!(part_of(&path), Some((broadcast, 12, clip)));
        assert_eq!(part_of(&begun_path(&path)), Some((broadcast, 12, clip)));
        for other in [path.with_extension("mp4"), path.with_file_name("a.oxj"), "b.oxj".into(), path.join("c.oxj")] {
            assert_eq!(part_of(&other), None, "{}", other.display());
        }
    }
}
