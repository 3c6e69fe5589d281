//! What Oxbow keeps: objects (media files), the database people look things up in, and this node's own jobs.
//!
//! Two doors, each with an embedded back end and a networked one behind it: [`ObjectStore`] (a folder, or S3) and
//! [`Database`] (SQLite, or MongoDB). One conformance suite runs over all four. Both doors open at once and connect
//! behind: a store that is away answers [`StorageError::Away`] within seconds, it never hangs and never stops a start.
//!
//! What does not belong here: any knowledge of WebRTC, journals or HTTP; and reading settings.

mod blocking;
mod clock;
pub mod continuity;
pub mod database;
pub mod disk;
pub mod error;
pub mod event;
pub mod health;
pub mod key;
pub mod local;
pub mod model;
pub mod object;
pub mod reindex;
pub mod retention;
pub mod sidecar;
pub mod usage;

pub use continuity::{Continuity, Link, Tombstone, TrackContinuity};
pub use database::{Database, MongoConfig, Restored};
pub use disk::{Alarm, Disk, DiskState, Mark, NodeStatus, Watermarks};
pub use error::{Reason, StorageError};
pub use event::{Event, EventType};
pub use health::{Health, StoreStatus};
pub use local::{ClipRequest, ClipState, Described, Local, PendingClip, Requester};
pub use model::{
    Broadcast, BroadcastQuery, Clip, ClipCause, ClipEdit, ClipFacts, ClipHealth, ClipKind, ClipQuery, FINDINGS,
    Finding, FindingKind, Format, Id, IdError, Page, Pictures, Piece, PosterChoice, Precision, Recipe, Secret,
    Storyboard, Trouble, Visibility, WebLink,
};
pub use object::{
    ChecksumMode, ObjectBody, ObjectEntry, ObjectInfo, ObjectStore, S3Config, Stored, content_disposition,
};
pub use retention::{Keep, Retention};
pub use sidecar::Sidecar;
pub use usage::ChannelUsage;
