//! Which shard has what: a room by the name of its channel, a session by what was told of it.
//!
//! The table is shared by all shards and by the handle. It is asked when a session begins or ends and for checks that name a session of another
//! shard, never for media. It is bounded by the sessions of all shards.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use media::id::{ChannelName, SessionId, ShardId};

/// Where the room of a channel lives, as long as the process: a streamer that comes again comes to the same one.
pub fn home(channel: &ChannelName, shards: usize) -> ShardId {
    let mut hasher = DefaultHasher::new();
    channel.hash(&mut hasher);
    ShardId((hasher.finish() % shards.max(1) as u64) as u16)
}

/// See the head of this module.
#[derive(Default)]
pub struct Directory {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    names: HashMap<Box<str>, ShardId>,
    /// With the number of its names: with the last one a session is forgotten.
    sessions: HashMap<SessionId, (ShardId, u8)>,
}

impl Directory {
    /// The shard whose session checks with this user fragment are for.
    pub fn of_name(&self, ufrag: &str) -> Option<ShardId> {
        self.held().names.get(ufrag).copied()
    }

    pub fn of_session(&self, session: SessionId) -> Option<ShardId> {
        self.held().sessions.get(&session).map(|(shard, _)| *shard)
    }

    pub fn hold(&self, shard: ShardId, session: SessionId, ufrag: Box<str>) {
        let mut held = self.held();
        let is_new = held.names.insert(ufrag, shard).is_none();
        let entry = held.sessions.entry(session).or_insert((shard, 0));
        *entry = (shard, entry.1 + u8::from(is_new));
    }

    /// Nothing comes by this name any more, unless the session has gone on to another shard.
    pub fn release(&self, shard: ShardId, session: SessionId, ufrag: &str) {
        let mut held = self.held();
        if held.names.get(ufrag) != Some(&shard) {
            return;
        }
        held.names.remove(ufrag);
        if let Some((_, names)) = held.sessions.get_mut(&session) {
            *names -= 1;
            if *names == 0 {
                held.sessions.remove(&session);
            }
        }
    }

    /// The session is on its way to another shard, unless it is known to be elsewhere already.
    pub fn pass<'u>(&self, from: ShardId, to: ShardId, session: SessionId, ufrags: impl Iterator<Item = &'u str>) {
        let mut held = self.held();
        for ufrag in ufrags {
            if let Some(shard) = held.names.get_mut(ufrag).filter(|shard| **shard == from) {
                *shard = to;
            }
        }
        if let Some((shard, _)) = held.sessions.get_mut(&session).filter(|(shard, _)| *shard == from) {
            *shard = to;
        }
    }

    /// The shard has lost all that it had.
    pub fn forget(&self, shard: ShardId) {
        let mut held = self.held();
        held.names.retain(|_, of| *of != shard);
        held.sessions.retain(|_, (of, _)| *of != shard);
    }

    /// A shard that panicked while it wrote leaves whole entries behind.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    #[test]
    fn a_channel_has_one_home_and_channels_spread() {
        let homes: Vec<ShardId> = (0..64).map(|n| home(&format!("channel-{n}").parse().unwrap(), 4)).collect();
        for shard in 0..4 {
            assert!(homes.iter().filter(|home| home.0 == shard).count() > 4, "{homes:?}");
        }
        assert_eq!(home(&"main".parse().unwrap(), 4), home(&"main".parse().unwrap(), 4));
        assert_eq!(home(&"main".parse().unwrap(), 1), A);
    }

    #[test]
    fn a_session_is_found_where_it_went() {
        let directory = Directory::default();
        let session = SessionId::new(A, 7);
        directory.hold(A, session, "alpha".into());
        assert_eq!((directory.of_name("alpha"), directory.of_session(session)), (Some(A), Some(A)));
        directory.pass(A, B, session, ["alpha"].into_iter());
        assert_eq!((directory.of_name("alpha"), directory.of_session(session)), (Some(B), Some(B)));
        directory.release(A, session, "alpha");
        assert_eq!(directory.of_name("alpha"), Some(B), "the shard that it left has nothing to say any more");
        directory.hold(B, session, "alpha".into());
        directory.hold(B, session, "beta".into());
        directory.release(B, session, "alpha");
        assert_eq!((directory.of_name("alpha"), directory.of_session(session)), (None, Some(B)), "ICE was restarted");
        directory.release(B, session, "beta");
        assert_eq!((directory.of_name("beta"), directory.of_session(session)), (None, None));
        directory.pass(A, B, session, ["beta"].into_iter());
        assert_eq!(directory.of_name("beta"), None, "it had ended before it was known to have moved");
    }

    #[test]
    fn a_shard_that_failed_has_nothing() {
        let directory = Directory::default();
        directory.hold(A, SessionId::new(A, 1), "alpha".into());
        directory.hold(B, SessionId::new(A, 2), "beta".into());
        directory.forget(A);
        assert_eq!((directory.of_name("alpha"), directory.of_name("beta")), (None, Some(B)));
        assert_eq!(directory.of_session(SessionId::new(A, 1)), None);
    }
}
