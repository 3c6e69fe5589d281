//! A viewer's session goes from the shard that answered its offer to the one that its peer's datagrams come to.
//!
//! It moves at most once, with the first authentic check and before it has any path, so there is nothing else to move. It has one owner at any moment.

use std::fmt;

use crate::id::{BroadcastId, SessionId, ShardId};
use crate::limit;
use crate::message::{CloseReason, Event, Now, Output};
use crate::slab::Key;
use crate::stun_user;
use crate::timers::Appointment;

use super::Router;
use super::peer::{Peer, PeerRole};

/// A session between two shards.
pub struct Moving {
    peer: Peer,
    broadcast: BroadcastId,
}

impl Moving {
    pub fn session(&self) -> SessionId {
        self.peer.id
    }

    /// By which its peer's checks name it.
    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.peer.session.local_ufrags()
    }
}

impl fmt::Debug for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Moving({})", self.peer.id)
    }
}

impl Router {
    /// Whether checks that name this user fragment are for a session of this shard.
    pub fn expects(&self, ufrag: &str) -> bool {
        self.demux.expects(ufrag)
    }

    /// Whether this shard has this session.
    pub fn has(&self, session: SessionId) -> bool {
        self.by_id.contains_key(&session)
    }

    /// Gives up the viewer that this check names, if the check is authentic and the first one. It goes on where [`crate::across::Across::Session`] is
    /// delivered to: on another shard, or here again.
    pub fn give_away(&mut self, check: &[u8]) -> Option<Box<Moving>> {
        let key = self.demux.named(stun_user(check)?)?;
        let peer = self.sessions.get(key)?;
        let is_new = !peer.connected && !peer.closing && peer.session.addresses().next().is_none();
        if !is_new || !matches!(peer.role, PeerRole::Viewer(_)) || !peer.session.is_authentic(check) {
            return None;
        }
        let room = self.rooms.get_mut(peer.room)?;
        let broadcast = room.broadcast;
        if let Some(at) = room.viewers.iter().position(|viewer| *viewer == key) {
            room.viewers.remove(at);
            self.fanout.viewer_left(peer.room, at);
        }
        let mut peer = self.sessions.remove(key)?;
        peer.appointment = Appointment::default();
        self.pending_sessions -= 1;
        self.by_id.remove(&peer.id);
        self.demux.forget(key, peer.session.local_ufrags(), peer.session.addresses());
        Some(Box::new(Moving { peer, broadcast }))
    }

    /// The session goes on here; its room's home is there.
    pub(super) fn take_over(&mut self, now: Now, home: ShardId, moving: Moving) {
        let Moving { mut peer, broadcast } = moving;
        if self.sessions.len() >= limit::SESSIONS {
            let (session, channel, role) = (peer.id, peer.channel.clone(), peer.role());
            for (ufrag, held) in peer.session.local_ufrags().flat_map(|ufrag| [(ufrag, true), (ufrag, false)]) {
                self.outputs.push_back(Output::Named { session, ufrag: ufrag.into(), held });
            }
            return self.event(Event::SessionClosed { session, channel, role, reason: CloseReason::HandshakeFailed });
        }
        if peer.diary.is_traced() && !self.may_trace() {
            peer.diary.end_trace();
        }
        peer.room = match self.room_of(broadcast) {
            Some(own) => own,
            None => self.mirror(now, home, broadcast, &peer.channel),
        };
        self.pending_sessions += 1;
        let (id, room) = (peer.id, peer.room);
        let ufrags: Vec<Box<str>> = peer.session.local_ufrags().map(Box::from).collect();
        let key = self.sessions.insert(peer);
        self.by_id.insert(id, key);
        for ufrag in ufrags {
            assert!(self.demux.expect(&ufrag, key), "a user name was drawn twice");
            self.outputs.push_back(Output::Named { session: id, ufrag, held: true });
        }
        if let Some(room) = self.rooms.get_mut(room) {
            room.viewers.push(key);
        }
        self.schedule_session(key);
    }

    /// Tells who looks for the session that its user fragments are known no longer.
    pub(super) fn unname(&mut self, key: Key) {
        let Some(peer) = self.sessions.get(key) else { return };
        let names = peer.session.local_ufrags().map(|ufrag| (peer.id, Box::from(ufrag)));
        self.outputs.extend(names.map(|(session, ufrag)| Output::Named { session, ufrag, held: false }));
    }
}
