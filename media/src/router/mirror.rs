//! Rooms on several shards: what goes from a home to its mirrors and back. See [`crate::room::mirror`].

use std::sync::Arc;

use crate::across::Across;
use crate::arena::SendArena;
use crate::id::{BroadcastId, ChannelName, ShardId};
use crate::limit;
use crate::message::{EndReason, Now, Output};
use crate::room::Room;
use crate::room::mirror::{Audience, Batch, Mirror};
use crate::slab::Key;

use super::Router;

impl Router {
    /// What another shard told.
    pub(super) fn across(&mut self, now: Now, from: ShardId, message: Across, arena: &mut SendArena) {
        match message {
            Across::Session(moving) => self.take_over(now, from, *moving),
            Across::Watching { broadcast, room, viewers, wants } => {
                self.mirror_told(
                    now,
                    broadcast,
                    Audience { shard: from, room, watching: viewers, heard: now.mono },
                    wants,
                );
            }
            Across::Left { broadcast } => {
                if let Some(key) = self.room_of(broadcast)
                    && let Some(room) = self.rooms.get_mut(key)
                {
                    room.audiences.retain(|audience| audience.shard != from);
                    self.mark(now, key);
                }
            }
            Across::Media { room, batch } => self.mirror_media(now, room, &batch),
            Across::Over { broadcast, reason } => {
                if let Some(key) = self.mirror_of(broadcast) {
                    self.end(now, key, reason, arena);
                }
            }
        }
    }

    /// The shard had no room for this: viewers there go on at the next keyframe.
    pub fn undelivered(&mut self, message: &Across) {
        let Across::Media { batch, .. } = message else { return };
        let Some(key) = self.room_of(batch.broadcast()) else { return };
        if let Some(room) = self.rooms.get_mut(key) {
            room.want(u16::MAX);
        }
        self.ask_streamer(key);
    }

    /// The mirror of a broadcast, made if it is new.
    pub(super) fn mirror(&mut self, now: Now, home: ShardId, broadcast: BroadcastId, channel: &ChannelName) -> Key {
        if let Some(key) = self.mirror_of(broadcast) {
            return key;
        }
        let mut room = Room::new(channel.clone(), broadcast, false);
        room.started_utc_us = Some(now.utc_us);
        room.mirror = Some(Mirror { home, beat_at: now.mono, wants_told: 0 });
        let key = self.rooms.insert(room);
        self.by_broadcast.insert(broadcast, key);
        self.tell_home(now, key);
        key
    }

    fn mirror_of(&self, broadcast: BroadcastId) -> Option<Key> {
        let key = *self.by_broadcast.get(&broadcast)?;
        self.rooms.get(key).filter(|room| room.mirror.is_some()).map(|_| key)
    }

    fn mirror_told(&mut self, now: Now, broadcast: BroadcastId, told: Audience, wants: u16) {
        let Some(key) = self.room_of(broadcast) else {
            let message = Across::Over { broadcast, reason: EndReason::Dropped };
            return self.outputs.push_back(Output::Across { to: told.shard, message });
        };
        let Some(room) = self.rooms.get_mut(key) else { return };
        let known = room.audiences.iter_mut().find(|audience| audience.shard == told.shard);
        let is_new = known.as_ref().is_none_or(|known| known.room != told.room);
        match known {
            Some(known) => *known = told,
            None => room.audiences.push(told),
        }
        room.forget_silent_mirrors(now.mono);
        room.want(wants);
        if is_new {
            let batch = Batch::beginning(now.mono, room);
            self.outputs
                .push_back(Output::Across { to: told.shard, message: Across::Media { room: told.room, batch } });
        }
        // The number of viewers may have changed.
        self.mark(now, key);
        self.ask_streamer(key);
    }

    fn mirror_media(&mut self, now: Now, key: Key, batch: &Arc<Batch>) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        // Keys of a shard that was started anew may be those of other rooms before.
        if room.mirror.is_none() || room.broadcast != batch.broadcast() {
            return;
        }
        room.follow(now, batch);
        self.mark(now, key);
    }

    /// Says what the viewers of a mirror need, and that it is there.
    pub(super) fn tell_home(&mut self, now: Now, key: Key) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let (viewers, wants, broadcast) = (room.watching, room.wants(), room.broadcast);
        let Some(mirror) = &mut room.mirror else { return };
        (mirror.wants_told, mirror.beat_at) = (wants, now.mono + limit::MIRROR_BEAT);
        room.told_watching = viewers;
        let message = Across::Watching { broadcast, room: key, viewers, wants };
        self.outputs.push_back(Output::Across { to: mirror.home, message });
        self.schedule_room(key);
    }

    /// It is time for a mirror to be heard of; one without viewers goes.
    pub(super) fn beat(&mut self, now: Now, key: Key) {
        let Some(room) = self.rooms.get(key) else { return };
        let Some(mirror) = room.mirror else { return };
        if mirror.beat_at > now.mono {
            return self.schedule_room(key);
        }
        if !room.viewers.is_empty() {
            return self.tell_home(now, key);
        }
        let broadcast = room.broadcast;
        self.rooms.remove(key);
        self.by_broadcast.remove(&broadcast);
        self.outputs.push_back(Output::Across { to: mirror.home, message: Across::Left { broadcast } });
    }

    /// Somebody in this room may wait for a keyframe: the streamer is asked when it is time for that, or the home.
    pub(super) fn ask_streamer(&mut self, key: Key) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if let Some(publisher) = room.publisher {
            return self.schedule_session(publisher.session);
        }
        let wants = room.wants();
        let (broadcast, viewers) = (room.broadcast, room.watching);
        let Some(mirror) = &mut room.mirror else { return };
        let told = std::mem::replace(&mut mirror.wants_told, wants);
        if wants & !told != 0 {
            let message = Across::Watching { broadcast, room: key, viewers, wants };
            self.outputs.push_back(Output::Across { to: mirror.home, message });
        }
    }

    /// Tells all mirrors of a room that it has ended.
    pub(super) fn end_mirrors(&mut self, room: &Room, reason: EndReason) {
        for audience in &room.audiences {
            let message = Across::Over { broadcast: room.broadcast, reason };
            self.outputs.push_back(Output::Across { to: audience.shard, message });
        }
    }
}
