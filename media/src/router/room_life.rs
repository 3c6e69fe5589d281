//! Connections come and go, broadcasts start, pause and end.

use std::time::Duration;

use crate::arena::SendArena;
use crate::limit;
use crate::message::{CloseReason, EndReason, Event, Now, SrtpProfile};
use crate::slab::Key;
use crate::tap::Tap;
use crate::timers::Timer;

use super::Router;
use super::command::close_reason;
use super::peer::{PeerRole, SENDER_REPORT_INTERVAL};

/// How soon a silent streamer that speaks again is noticed.
const LISTEN_AGAIN: Duration = Duration::from_millis(100);

impl Router {
    pub(super) fn connected(&mut self, now: Now, key: Key, profile: SrtpProfile, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        if peer.connected || peer.closing {
            return;
        }
        peer.connected = true;
        peer.diary.connected(now, profile);
        self.counters.join.note(peer.diary.age(now));
        self.pending_sessions -= 1;
        let (session, channel, role, room) = (peer.id, peer.channel.clone(), peer.role(), peer.room);
        let publishes = match &mut peer.role {
            PeerRole::Publisher(_) => true,
            PeerRole::Viewer(viewer) => {
                viewer.next_report = Some(now.mono + SENDER_REPORT_INTERVAL / 10);
                false
            }
        };
        self.event(Event::SessionConnected { session, channel, role, srtp_profile: profile });
        if publishes {
            self.on_air(now, key, room);
        } else {
            if let Some(room) = self.rooms.get_mut(room) {
                room.watching += 1;
            }
            self.mark(now, room);
            self.start_viewer(now, key, arena);
        }
    }

    /// The streamer's handshake is complete.
    fn on_air(&mut self, now: Now, session: Key, room_key: Key) {
        let Some(id) = self.sessions.get(session).map(|peer| peer.id) else { return };
        let Some(room) = self.rooms.get_mut(room_key) else { return };
        if let Some(publisher) = &mut room.publisher
            && publisher.session == session
        {
            publisher.connected = true;
        }
        for track in &mut room.tracks {
            track.begin_source();
        }
        room.held_since = None;
        room.silent = false;
        room.listen_at = Some(now.mono + limit::STREAMER_SILENCE);
        let event = if room.started_utc_us.is_some() {
            room.resumed(now, id)
        } else {
            let (channel, broadcast, record, utc_us) = (room.channel.clone(), room.broadcast, room.record, now.utc_us);
            room.started_utc_us = Some(utc_us);
            Event::BroadcastStarted { channel, broadcast, session: id, utc_us, record }
        };
        self.event(event);
        self.open_tap(room_key);
        self.schedule_room(room_key);
    }

    /// Ends a session from our side.
    pub(super) fn close(&mut self, now: Now, key: Key, reason: CloseReason, arena: &mut SendArena) {
        if let Some(peer) = self.sessions.get_mut(key)
            && !peer.closing
        {
            peer.session.close(now, arena);
            let over = peer.session.next_deadline().is_none();
            self.leave(now, key, reason, arena);
            if over {
                return self.closed(now, key, reason, arena);
            }
        }
        self.schedule_session(key);
    }

    /// The session ended by itself, or its last words are out: it is forgotten.
    pub(super) fn closed(&mut self, now: Now, key: Key, reason: CloseReason, arena: &mut SendArena) {
        self.leave(now, key, reason, arena);
        self.unname(key);
        let Some(peer) = self.sessions.remove(key) else { return };
        self.remember(now, &peer);
        self.demux.forget(key, peer.session.local_ufrags(), peer.session.addresses());
        if self.by_id.get(&peer.id) == Some(&key) {
            self.by_id.remove(&peer.id);
        }
    }

    /// Takes a session out of its room, once, and says so.
    fn leave(&mut self, now: Now, key: Key, reason: CloseReason, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        if std::mem::replace(&mut peer.closing, true) {
            return;
        }
        if !peer.connected {
            self.pending_sessions -= 1;
        }
        peer.diary.closed(now, reason);
        let (was_connected, room_key) = (peer.connected, peer.room);
        let event = Event::SessionClosed { session: peer.id, channel: peer.channel.clone(), role: peer.role(), reason };
        let publishes = matches!(peer.role, PeerRole::Publisher(_));
        self.event(event);
        let Some(room) = self.rooms.get_mut(room_key) else { return };
        if !publishes {
            if let Some(at) = room.viewers.iter().position(|viewer| *viewer == key) {
                room.viewers.remove(at);
                self.fanout.viewer_left(room_key, at);
            }
            room.watching -= u32::from(was_connected);
            self.mark(now, room_key);
        } else if room.publisher.is_some_and(|publisher| publisher.session == key) {
            room.publisher = None;
            self.off_air(now, room_key, was_connected, arena);
        }
    }

    /// The streamer is gone; a started broadcast is held.
    fn off_air(&mut self, now: Now, room_key: Key, was_connected: bool, arena: &mut SendArena) {
        let Some(room) = self.rooms.get_mut(room_key) else { return };
        if room.started_utc_us.is_none() {
            // Nobody saw it: no event, no viewers.
            let (channel, broadcast) = (room.channel.clone(), room.broadcast);
            self.by_channel.remove(&channel);
            self.by_broadcast.remove(&broadcast);
            self.rooms.remove(room_key);
            return;
        }
        if was_connected {
            room.held_since = Some(now.mono);
            if !std::mem::replace(&mut room.silent, false) {
                let event = room.interrupted(now);
                self.event(event);
            }
            self.disconnect_tap(now, room_key, arena);
        }
        self.schedule_room(room_key);
    }

    /// Ends a broadcast at once, or the mirror of one.
    pub(super) fn end(&mut self, now: Now, room_key: Key, reason: EndReason, arena: &mut SendArena) {
        self.close_tap(now, room_key, reason);
        let Some(room) = self.rooms.remove(room_key) else { return };
        self.by_broadcast.remove(&room.broadcast);
        if room.mirror.is_none() {
            self.by_channel.remove(&room.channel);
        }
        self.end_mirrors(&room, reason);
        let sessions = room.publisher.map(|publisher| publisher.session).into_iter().chain(room.viewers);
        for session in sessions {
            self.close(now, session, close_reason(reason), arena);
        }
        if room.started_utc_us.is_some() && room.mirror.is_none() {
            self.event(Event::BroadcastEnded {
                channel: room.channel,
                broadcast: room.broadcast,
                utc_us: now.utc_us,
                reason,
            });
        }
    }

    pub(super) fn room_tick(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if room.mirror.is_some() {
            return self.beat(now, key);
        }
        if room.hold_deadline().is_some_and(|deadline| deadline <= now.mono) {
            return self.end(now, key, EndReason::Dropped, arena);
        }
        self.listen(now, key);
        self.advance_tap(now, key, arena);
        self.schedule_room(key);
    }

    /// Says that the streamer fell silent, long before its connection is given up, and that it is heard again.
    fn listen(&mut self, now: Now, key: Key) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if room.listen_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let streamer = room.publisher.filter(|publisher| publisher.connected);
        let Some(streamer) = streamer.and_then(|publisher| self.sessions.get(publisher.session)) else {
            room.listen_at = None;
            return;
        };
        let gone_at = streamer.session.last_heard() + limit::STREAMER_SILENCE;
        let silent = gone_at <= now.mono;
        room.listen_at = Some(if silent { now.mono + LISTEN_AGAIN } else { gone_at });
        if silent != std::mem::replace(&mut room.silent, silent) {
            let event = if silent { room.interrupted(now) } else { room.resumed(now, streamer.id) };
            self.event(event);
        }
    }

    pub(super) fn schedule_room(&mut self, key: Key) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let tap = self.taps.get(&key).and_then(Tap::next_deadline);
        let beat = room.mirror.map(|mirror| mirror.beat_at);
        let Some(due) = [room.hold_deadline(), room.listen_at, tap, beat].into_iter().flatten().min() else { return };
        self.timers.ask(due, &mut room.appointment, Timer::Room(key));
    }
}
