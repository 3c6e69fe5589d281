//! Commands from above.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::arena::SendArena;
use crate::diagnostics::Diary;
use crate::id::{BroadcastId, SessionId};
use crate::limit;
use crate::message::{
    CloseReason, Codec, Command, EndReason, Now, Output, Publish, Refusal, Reply, Role, RoomStats, ShardStats, Watch,
};
use crate::room::{Publisher, Room};
use crate::session::{Session, SessionConfig};
use crate::slab::Key;
use crate::stats::DropReason;
use crate::timers::Appointment;

use super::ingest::Ingest;
use super::peer::{Peer, PeerRole};
use super::{Router, viewer};

impl Router {
    pub(super) fn command(&mut self, now: Now, command: Command, arena: &mut SendArena) -> Result<Reply, Refusal> {
        match command {
            Command::Publish(publish) => self.publish(now, publish, arena),
            Command::Watch(watch) => self.watch(now, watch),
            Command::Prefer { session, quality } => {
                let key = *self.by_id.get(&session).ok_or(Refusal::Unknown)?;
                let peer = self.sessions.get_mut(key).ok_or(Refusal::Unknown)?;
                let PeerRole::Viewer(viewer) = &mut peer.role else { return Err(Refusal::Unknown) };
                viewer.subscriptions.iter_mut().for_each(|subscription| subscription.quality = quality);
                peer.diary.preferred(now, quality);
                Ok(Reply::Done)
            }
            Command::Close { session } => {
                let key = *self.by_id.get(&session).ok_or(Refusal::Unknown)?;
                self.close(now, key, CloseReason::Requested, arena);
                Ok(Reply::Done)
            }
            Command::Ice { session, fragment, expects } => self.ice(session, &fragment, expects.as_deref()),
            Command::End { broadcast, reason } => {
                let key = self.room_of(broadcast).ok_or(Refusal::Unknown)?;
                self.end(now, key, reason, arena);
                Ok(Reply::Done)
            }
            Command::Keyframe { broadcast } => {
                let key = self.room_of(broadcast).ok_or(Refusal::Unknown)?;
                self.want_keyframes(now, key);
                Ok(Reply::Done)
            }
            Command::Stats => Ok(Reply::Stats(Box::new(self.stats(now)))),
            Command::Diagnose { session } => Ok(Reply::Diagnosis(Box::new(self.diagnose(now, session)?))),
            Command::Trace { session, on } => self.trace(now, session, on),
            Command::DiagnoseAll => Ok(Reply::Diagnoses(self.diagnose_all(now, limit::LISTED_SESSIONS))),
        }
    }

    fn ice(&mut self, session: SessionId, fragment: &str, expects: Option<&[String]>) -> Result<Reply, Refusal> {
        let key = *self.by_id.get(&session).ok_or(Refusal::Unknown)?;
        let peer = self.sessions.get_mut(key).filter(|peer| !peer.closing).ok_or(Refusal::Unknown)?;
        let restarted = peer.session.ice(fragment, expects, &self.config.announce, &mut self.rng)?;
        let Some(restarted) = restarted else { return Ok(Reply::Ice { fragment: None }) };
        if let Some(forgotten) = restarted.forgotten {
            self.demux.forget_name(key, &forgotten);
            self.outputs.push_back(Output::Named { session, ufrag: forgotten, held: false });
        }
        let ufrag: Box<str> = peer.session.local_ufrag().into();
        assert!(self.demux.expect(&ufrag, key), "a user name was drawn twice");
        self.outputs.push_back(Output::Named { session, ufrag, held: true });
        Ok(Reply::Ice { fragment: Some(restarted.fragment) })
    }

    /// The room of a broadcast whose home is here.
    pub(super) fn room_of(&self, broadcast: BroadcastId) -> Option<Key> {
        let key = *self.by_broadcast.get(&broadcast)?;
        self.rooms.get(key).filter(|room| room.mirror.is_none()).map(|_| key)
    }

    fn publish(&mut self, now: Now, publish: Publish, arena: &mut SendArena) -> Result<Reply, Refusal> {
        let found = self.by_channel.get(&publish.channel).copied();
        let rival = found.and_then(|key| self.rooms.get(key)).and_then(|room| room.publisher);
        let silent = |key| {
            let heard = self.sessions.get(key).map(|peer| peer.session.last_heard());
            heard.is_none_or(|heard| now.mono.saturating_duration_since(heard) >= limit::STREAMER_SILENCE)
        };
        if rival.is_some_and(|rival| !silent(rival.session)) {
            return Err(Refusal::ChannelBusy(publish.channel));
        }
        let (session, answer) =
            self.accept(now, &publish.offer, publish.session, Role::Publisher, publish.prefer_video)?;
        if let Some(rival) = rival {
            self.close(now, rival.session, CloseReason::TakenOver, arena);
        }
        // The rival's end may have been the end of a room that never started.
        let found = found.filter(|key| self.rooms.get(*key).is_some());
        let room_key = found.unwrap_or_else(|| {
            let room = Room::new(publish.channel.clone(), publish.broadcast, publish.record);
            let key = self.rooms.insert(room);
            self.by_channel.insert(publish.channel.clone(), key);
            self.by_broadcast.insert(publish.broadcast, key);
            key
        });
        let Some(room) = self.rooms.get_mut(room_key) else { return Err(Refusal::Unknown) };
        let ingest = Ingest::new(session.media(), room, &mut self.rng);
        let (broadcast, resumed) = (room.broadcast, room.started_utc_us.is_some());
        let key = self.admit(now, session, publish.session, room_key, PeerRole::Publisher(ingest))?;
        if let Some(room) = self.rooms.get_mut(room_key) {
            room.publisher = Some(Publisher { session: key, connected: false });
        }
        Ok(Reply::Published { broadcast, answer, resumed })
    }

    fn watch(&mut self, now: Now, watch: Watch) -> Result<Reply, Refusal> {
        let live = |key: &Key| self.rooms.get(*key).is_some_and(|room| room.started_utc_us.is_some());
        let room_key =
            self.by_channel.get(&watch.channel).copied().filter(live).ok_or(Refusal::NotLive(watch.channel))?;
        let (session, answer) = self.accept(now, &watch.offer, watch.session, Role::Viewer, None)?;
        let viewer = viewer::subscribe(session.media(), &mut self.rng);
        let key = self.admit(now, session, watch.session, room_key, PeerRole::Viewer(viewer))?;
        let room = self.rooms.get_mut(room_key).ok_or(Refusal::Unknown)?;
        room.viewers.push(key);
        let (broadcast, traces) = (room.broadcast, room.traces);
        if traces && self.may_trace() {
            self.begin_trace(now, key);
        }
        Ok(Reply::Watching { broadcast, answer })
    }

    fn accept(
        &mut self,
        now: Now,
        offer: &str,
        id: SessionId,
        role: Role,
        prefer_video: Option<Codec>,
    ) -> Result<(Session, String), Refusal> {
        if self.sessions.len() >= limit::SESSIONS {
            return Err(Refusal::Full("sessions"));
        }
        if self.pending_sessions >= limit::PENDING_SESSIONS {
            return Err(Refusal::Full("sessions that are shaking hands"));
        }
        let config = SessionConfig {
            id,
            role,
            announce: &self.config.announce,
            certificate: &self.certificate,
            prefer_video,
            rng: &mut self.rng,
        };
        // Nothing of the session is in our books yet, so a panic leaves nothing behind.
        catch_unwind(AssertUnwindSafe(|| Session::accept(now, offer, config))).unwrap_or_else(|_| {
            self.counters.drop(DropReason::Fault);
            Err(Refusal::MalformedOffer("the server fails on it".into()))
        })
    }

    fn admit(&mut self, now: Now, session: Session, id: SessionId, room: Key, role: PeerRole) -> Result<Key, Refusal> {
        let channel = self.rooms.get(room).map(|room| room.channel.clone()).ok_or(Refusal::Unknown)?;
        let ufrag: Box<str> = session.local_ufrag().into();
        let diary = Diary::new(now, session.role());
        let peer = Peer {
            id,
            session,
            channel,
            room,
            role,
            connected: false,
            closing: false,
            appointment: Appointment::default(),
            diary,
        };
        let key = self.sessions.insert(peer);
        // 64 random bits and more: a second session of the same name is no accident of this process.
        assert!(self.demux.expect(&ufrag, key), "a user name was drawn twice");
        self.by_id.insert(id, key);
        self.outputs.push_back(Output::Named { session: id, ufrag, held: true });
        self.pending_sessions += 1;
        self.schedule_session(key);
        Ok(key)
    }

    /// Asks the streamer of a room for keyframes of all pictures.
    pub(super) fn want_keyframes(&mut self, now: Now, room: Key) {
        let key = room;
        let Some(room) = self.rooms.get_mut(key) else { return };
        for track in room.tracks.iter_mut().filter(|track| track.is_video()) {
            let best = track.best(now.mono);
            let layers = track.layers.iter_mut().enumerate();
            layers
                .filter(|(at, layer)| layer.recorded || best == Some(*at))
                .for_each(|(_, layer)| layer.requester.want());
        }
        self.ask_streamer(key);
    }

    fn stats(&self, now: Now) -> ShardStats {
        let counters = &self.counters;
        ShardStats {
            shard: self.config.shard,
            sessions: self.sessions.len() as u32,
            drive: Default::default(),
            packets_in: counters.packets_in,
            packets_out: counters.packets_out,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
            dropped: counters.drops(),
            nacks_in: counters.nacks_in,
            nacks_out: counters.nacks_out,
            retransmitted: counters.retransmitted,
            plis_in: counters.plis_in,
            plis_out: counters.plis_out,
            layer_switches: counters.layer_switches,
            picture_pauses: counters.picture_pauses,
            join: counters.join,
            first_picture: counters.first_picture,
            rooms: self.rooms.iter().filter_map(|(_, room)| self.room_stats(now, room)).collect(),
        }
    }

    /// `None` while its first handshake is not complete, and for mirrors.
    fn room_stats(&self, now: Now, room: &Room) -> Option<RoomStats> {
        let started_utc_us = room.started_utc_us.filter(|_| room.mirror.is_none())?;
        let ingest = room.publisher.and_then(|publisher| match &self.sessions.get(publisher.session)?.role {
            PeerRole::Publisher(ingest) => Some(ingest),
            PeerRole::Viewer(_) => None,
        });
        let tracks = room.tracks.iter().enumerate().filter_map(|(at, track)| {
            let (lost, jitter_us) = ingest.map_or((0, 0), |ingest| ingest.network(at));
            track.stats(now.mono, lost, jitter_us)
        });
        Some(RoomStats {
            channel: room.channel.clone(),
            broadcast: room.broadcast,
            started_utc_us,
            connected: room.is_connected(),
            record: room.record,
            viewers: room.all_watching(),
            tracks: tracks.collect(),
        })
    }
}

/// Why the sessions of a broadcast close when it ends.
pub(super) const fn close_reason(reason: EndReason) -> CloseReason {
    match reason {
        EndReason::Stopped | EndReason::Dropped => CloseReason::Requested,
        EndReason::Shutdown => CloseReason::Shutdown,
    }
}
