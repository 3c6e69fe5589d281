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
pub mod skim;
pub mod units;
mod window;

pub use append::{AppendError, Appender, establish};
pub use format::{Cause, ClipId, Header, Record};
pub use index::{Entry, Index, Range, Seen};
pub use read::{Damage, OpenError, Reader, Tail};
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

/// What the part is called until [`establish`] gave it its name.
#[must_use]
pub fn begun_path(part: &Path) -> PathBuf {
    part.with_extension(format!("{EXTENSION}.{BEGUN}"))
}
