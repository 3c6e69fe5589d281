//! Keeps every session's diary: what its own work changed in the counters, how far it came, and its last words once it is gone.

use crate::diagnostics::{Carries, Diagnosis, Figures, Head, NameIds, Stream};
use crate::id::SessionId;
use crate::limit;
use crate::message::{Now, Refusal, Reply};
use crate::rtp::codec;
use crate::session::Session;
use crate::session::estimate::Estimator;
use crate::slab::Key;
use crate::stats::DropReason;

use super::Router;
use super::peer::{Peer, PeerRole};

impl Router {
    /// Before a session's work: what was counted so far is not its own.
    pub(super) fn begin_account(&mut self, key: Key) -> Figures {
        self.work = self.work.wrapping_add(1);
        if let Some(peer) = self.sessions.get_mut(key) {
            peer.diary.work = self.work;
        }
        self.counters.forget_news();
        Figures::of(&self.counters)
    }

    /// After a session's work.
    pub(super) fn account(&mut self, now: Now, key: Key, before: Figures) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let diary = &mut peer.diary;
        diary.account(now, before, Figures::of(&self.counters));
        self.counters.take_news(|reason, count| diary.dropped(reason, count));
        if let PeerRole::Viewer(viewer) = &peer.role
            && diary.is_traced()
        {
            peer.session.address().into_iter().for_each(|to| diary.moved(now, to));
            let room = self.rooms.get(peer.room);
            for (section, subscription) in viewer.subscriptions.iter().enumerate() {
                let track = room.zip(subscription.track).and_then(|(room, at)| room.tracks.get(at));
                diary.stands(now, subscription.standing(section, track));
            }
            let estimator = viewer.estimator.as_deref();
            let (bitrate, congested) = (estimator.and_then(Estimator::bitrate), estimator.map(Estimator::is_congested));
            diary.carries(now, Carries { bitrate, congested: congested.unwrap_or_default() });
        }
        let age = diary.age(now);
        let milestones = &mut diary.milestones;
        if milestones.path.is_none() && peer.session.address().is_some() {
            milestones.path = Some(age);
        }
        if milestones.first_packet.is_none() && diary.has_packets() {
            diary.milestones.first_packet = Some(age);
        }
        if diary.milestones.first_packet.is_none() || diary.milestones.first_keyframe.is_some() {
            return;
        }
        if let PeerRole::Viewer(viewer) = &peer.role
            && viewer.subscriptions.iter().any(|subscription| subscription.video && subscription.has_sent())
        {
            diary.milestones.first_keyframe = Some(age);
            self.counters.first_picture.note(age);
        }
    }

    /// A streamer's packet and what became of it.
    pub(super) fn note_packet(&mut self, now: Now, key: Key, packet: &[u8], outcome: Result<(), DropReason>) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let Some(head) = Head::of(packet, name_ids(&peer.session)) else { return };
        if outcome.is_ok() && peer.diary.milestones.first_keyframe.is_none() && is_keyframe(&peer.session, head) {
            peer.diary.milestones.first_keyframe = Some(peer.diary.age(now));
        }
        peer.diary.packet(now, head, outcome.err());
    }

    pub(super) fn trace(&mut self, now: Now, session: SessionId, on: bool) -> Result<Reply, Refusal> {
        let key = *self.by_id.get(&session).ok_or(Refusal::Unknown)?;
        let may_trace = self.may_trace();
        let peer = self.sessions.get_mut(key).filter(|peer| !peer.closing).ok_or(Refusal::Unknown)?;
        match &peer.role {
            PeerRole::Publisher(_) => {
                let room = self.rooms.get_mut(peer.room).ok_or(Refusal::Unknown)?;
                room.traces = on;
            }
            PeerRole::Viewer(_) if !on => peer.diary.end_trace(),
            PeerRole::Viewer(_) if peer.diary.is_traced() => {}
            PeerRole::Viewer(_) if !may_trace => return Err(Refusal::Full("viewers that are traced")),
            PeerRole::Viewer(_) => self.begin_trace(now, key),
        }
        Ok(Reply::Done)
    }

    /// Whether one more viewer may be traced.
    pub(super) fn may_trace(&self) -> bool {
        self.sessions.iter().filter(|(_, peer)| peer.diary.is_traced()).count() < limit::TRACES
    }

    pub(super) fn begin_trace(&mut self, now: Now, key: Key) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Viewer(viewer) = &peer.role else { return };
        let diary = &mut peer.diary;
        diary.begin_trace();
        for (section, subscription) in viewer.subscriptions.iter().enumerate() {
            let (ssrc, first) = (subscription.ssrc(), subscription.first());
            diary.stream(now, Stream { section: section as u8, ssrc, first });
        }
        if let Some(subscription) = viewer.subscriptions.first() {
            diary.preferred(now, subscription.quality);
        }
    }

    /// The last that will be known of a session.
    pub(super) fn remember(&mut self, now: Now, peer: &Peer) {
        if self.remembered.len() == limit::REMEMBERED_SESSIONS {
            self.remembered.pop_front();
        }
        self.remembered.push_back(self.read(now, peer));
    }

    pub(super) fn diagnose(&self, now: Now, session: SessionId) -> Result<Diagnosis, Refusal> {
        let open = self.by_id.get(&session).and_then(|key| self.sessions.get(*key)).map(|peer| self.read(now, peer));
        let closed = || self.remembered.iter().rev().find(|diagnosis| diagnosis.session == session).cloned();
        open.or_else(closed).ok_or(Refusal::Unknown)
    }

    /// Newest first, without flight records: open sessions, then closed ones that are remembered.
    pub(super) fn diagnose_all(&self, now: Now, most: usize) -> Vec<Diagnosis> {
        let mut open: Vec<&Peer> = self.sessions.iter().map(|(_, peer)| peer).collect();
        open.sort_unstable_by_key(|peer| std::cmp::Reverse(peer.id));
        let open = open.into_iter().map(|peer| Diagnosis { flight: Vec::new(), ..self.read(now, peer) });
        let closed = self.remembered.iter().rev().filter(|closed| !self.by_id.contains_key(&closed.session));
        let closed = closed.map(|closed| Diagnosis { flight: Vec::new(), ..closed.clone() });
        open.chain(closed).take(most).collect()
    }

    fn read(&self, now: Now, peer: &Peer) -> Diagnosis {
        let (estimate, sources) = match &peer.role {
            PeerRole::Publisher(ingest) => {
                let room = self.rooms.get(peer.room);
                (None, room.map_or_else(Vec::new, |room| ingest.sources(now, peer.session.media(), room)))
            }
            PeerRole::Viewer(viewer) => (viewer.estimator.as_deref().and_then(Estimator::bitrate), Vec::new()),
        };
        Diagnosis {
            estimate,
            sources,
            address: peer.session.address(),
            addresses: peer.session.addresses().collect(),
            ..peer.diary.read(peer.id, peer.channel.clone(), peer.role())
        }
    }
}

fn name_ids(session: &Session) -> NameIds {
    let mut ids =
        session.media().sections.iter().map(|section| (section.extensions.rid, section.extensions.repaired_rid));
    let (rid, repaired_rid) = ids.find(|(rid, _)| rid.is_some()).unwrap_or_default();
    NameIds { rid, repaired_rid }
}

fn is_keyframe(session: &Session, head: Head) -> bool {
    let map = session.media().sections.iter().find_map(|section| section.payload(head.payload_type));
    let video = map.map(|(map, _)| map.codec).filter(|codec| codec.is_video());
    let begin = &head.begin[..usize::from(head.payload).min(Head::BEGIN)];
    video.and_then(|codec| codec::inspect(codec, begin)).is_some_and(|inspected| inspected.key)
}
