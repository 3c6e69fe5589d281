//! What the routers of several shards tell each other. A shard is only ever reached by these values; who carries them, and what becomes of them when
//! the way is full, is the caller's business. Each of them may be lost: what is told regularly heals that.

use std::sync::Arc;

use crate::id::BroadcastId;
use crate::message::EndReason;
use crate::room::mirror::Batch;
use crate::router::Moving;
use crate::slab::Key;

/// See the head of this module.
#[derive(Debug)]
pub enum Across {
    /// A viewer's session goes over to the shard that its peer's datagrams come to.
    Session(Box<Moving>),
    /// A mirror tells its room's home that it is there, on every change and at least each [`crate::limit::MIRROR_BEAT`].
    Watching {
        broadcast: BroadcastId,
        /// Its place on its shard.
        room: Key,
        /// Connected viewers there.
        viewers: u32,
        /// Layers that a keyframe is wanted of, see [`crate::room::Room::wants`].
        wants: u16,
    },
    /// A mirror without viewers is gone.
    Left { broadcast: BroadcastId },
    /// What came for the viewers of a mirror.
    Media { room: Key, batch: Arc<Batch> },
    /// The broadcast of a mirror has ended, or the home does not know it.
    Over { broadcast: BroadcastId, reason: EndReason },
}

impl Across {
    /// Media is lost rather than anything else.
    pub fn is_media(&self) -> bool {
        matches!(self, Self::Media { .. })
    }
}
