//! The end of a turn: what came in for a room goes to its viewers, one viewer after the other, so that a viewer's datagrams lie
//! back to back in the arena.

use std::time::Instant;

use crate::across::Across;
use crate::arena::SendArena;
use crate::buffer::cache::{Meta, Packet};
use crate::forward::Verdict;
use crate::forward::pacer::Pacer;
use crate::forward::rewrite::Mapped;
use crate::limit;
use crate::message::{Event, Now, Output};
use crate::room::layer::Layer;
use crate::room::subscription::{Downlink, Repair, Subscription};
use crate::room::track::Track;
use crate::rtp::codec::Inspected;
use crate::rtp::codec::vp8_numbers::Shift;
use crate::rtp::extension::Extensions;
use crate::rtp::packet::MAX_HEADER_LEN;
use crate::session::estimate::Estimator;
use crate::session::{RTP_OVERHEAD, Session};
use crate::slab::Key;
use crate::stats::{Counters, DropReason};

use super::peer::PeerRole;
use super::start::{find_route, track_of};
use super::viewer::{Writing, write};
use super::{Flushed, Router};

/// Rooms with something to send, and how far a full arena let us come.
#[derive(Default)]
pub struct Fanout {
    marked: Vec<Marked>,
    active: Vec<Key>,
    position: usize,
    /// When the first of what was fanned out since [`Router::fanned_out`] came.
    oldest: Option<Instant>,
}

/// Something changed in this room at this moment.
struct Marked {
    room: Key,
    since: Instant,
}

impl Fanout {
    /// A viewer left its room's list in the middle of a fan-out: the one who moved into its place is still to be served.
    pub fn viewer_left(&mut self, room: Key, at: usize) {
        if self.active.last() == Some(&room) && at < self.position {
            self.position -= 1;
        }
    }

    /// When a room is served at the latest, whole or not.
    pub fn deadline(&self) -> Option<Instant> {
        self.marked.iter().map(|marked| marked.since + limit::COALESCE).min()
    }
}

impl Router {
    /// Something changed in this room: it is served in the turn in which its frame is whole.
    pub(super) fn mark(&mut self, now: Now, key: Key) {
        if let Some(room) = self.rooms.get_mut(key)
            && !room.marked
        {
            room.marked = true;
            self.fanout.marked.push(Marked { room: key, since: now.mono });
        }
    }

    /// Ends a turn: rooms whose newest frame is whole, or that waited for the rest of it for [`limit::COALESCE`], are served. After
    /// [`Flushed::More`] send the arena, clear it and call again.
    pub fn flush(&mut self, now: Now, arena: &mut SendArena) -> Flushed {
        self.gather(now);
        while let Some(&room) = self.fanout.active.last() {
            if self.serve_room(now, room, arena) == Flushed::More {
                return Flushed::More;
            }
            self.fanout.active.pop();
            self.fanout.position = 0;
            self.finish_room(now, room, arena);
        }
        Flushed::Done
    }

    /// A frame began and is not whole.
    pub fn awaits_rest(&self) -> bool {
        !self.fanout.marked.is_empty()
    }

    /// When the first packet of the latest fan-outs came, once: the caller knows when the last of them was sent.
    pub fn fanned_out(&mut self) -> Option<Instant> {
        self.fanout.oldest.take()
    }

    /// The first part of [`Router::flush`]: chooses what is served, after which [`Router::poll`] has what other shards get of it.
    pub fn gather(&mut self, now: Now) {
        if !self.fanout.active.is_empty() {
            return;
        }
        let Self { fanout, rooms, batches, outputs, .. } = self;
        fanout.marked.retain(|marked| {
            let Some(room) = rooms.get_mut(marked.room) else { return false };
            if !room.is_whole() && now.mono < marked.since + limit::COALESCE {
                return true;
            }
            room.marked = false;
            for track in &mut room.tracks {
                track.survey(now.mono);
                track.layers.iter_mut().for_each(Layer::begin_sending);
            }
            if room.tracks.iter().any(Track::is_sending) && !room.viewers.is_empty() {
                fanout.oldest = Some(fanout.oldest.map_or(marked.since, |oldest| oldest.min(marked.since)));
            }
            if !room.audiences.is_empty() && room.tracks.iter().any(Track::is_sending) {
                room.forget_silent_mirrors(now.mono);
                let batch = batches.sending(now.mono, room);
                outputs.extend(room.audiences.iter().map(|audience| Output::Across {
                    to: audience.shard,
                    message: Across::Media { room: audience.room, batch: batch.clone() },
                }));
            }
            fanout.active.push(marked.room);
            false
        });
    }

    fn serve_room(&mut self, now: Now, key: Key, arena: &mut SendArena) -> Flushed {
        let Some(room) = self.rooms.get(key) else { return Flushed::Done };
        if !room.tracks.iter().any(Track::is_sending) {
            return Flushed::Done;
        }
        let layers = room.tracks.iter().flat_map(|track| &track.layers);
        let sizes = layers.flat_map(|layer| layer.sending.iter().filter_map(|at| layer.cache.get(*at)));
        let around = limit::EQUALISE_BYTES + MAX_HEADER_LEN + RTP_OVERHEAD;
        let most: usize = sizes.map(|packet| packet.payload.len() + packet.descriptor.len() + around).sum();
        while let Some(viewer) = self.rooms.get(key).and_then(|room| room.viewers.get(self.fanout.position)).copied() {
            if !arena.is_empty() && arena.room() < most {
                return Flushed::More;
            }
            self.fanout.position += 1;
            self.guarded(now, viewer, arena, |router, arena| router.serve_viewer(now, key, viewer, arena));
        }
        Flushed::Done
    }

    fn serve_viewer(&mut self, now: Now, room: Key, key: Key, arena: &mut SendArena) {
        let Some(room) = self.rooms.get_mut(room) else { return };
        let Some(peer) = self.sessions.get_mut(key).filter(|peer| peer.connected && !peer.closing) else { return };
        let PeerRole::Viewer(viewer) = &mut peer.role else { return };
        let Some(to) = peer.session.address() else { return self.counters.drop(DropReason::NotConnected) };
        let downlink = viewer.downlink(now, room);
        viewer.pacer.fill(now.mono);
        for (at, subscription) in viewer.subscriptions.iter_mut().enumerate() {
            let Some(track) = track_of(subscription, room).filter(|track| track.is_sending()) else { continue };
            let (session, counters, estimator) =
                (&mut peer.session, &mut self.counters, viewer.estimator.as_deref_mut());
            let mut out = Out { now, to, session, arena, counters, estimator, pacer: &mut viewer.pacer, downlink };
            out.serve(at, subscription, track);
        }
        if viewer.subscriptions.iter().any(Subscription::is_behind) {
            let step = self.timers.step(now.mono);
            viewer.next_replay = Some(viewer.next_replay.map_or(step, |due| due.min(step)));
            self.schedule_session(key);
        }
        self.tell_pause(key);
    }

    /// Says that a viewer's pictures pause or come back.
    fn tell_pause(&mut self, key: Key) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Viewer(viewer) = &mut peer.role else { return };
        let paused = viewer.subscriptions.iter().any(Subscription::is_paused);
        if paused != std::mem::replace(&mut viewer.told_paused, paused) {
            self.counters.picture_pauses += u64::from(paused);
            let (session, channel) = (peer.id, peer.channel.clone());
            self.event(Event::Pictures { session, channel, paused });
        }
    }

    fn finish_room(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        for layer in room.tracks.iter_mut().flat_map(|track| &mut track.layers) {
            layer.sending.clear();
        }
        let count = room.all_watching();
        if count != std::mem::replace(&mut room.told_watching, count) {
            let (channel, broadcast) = (room.channel.clone(), room.broadcast);
            match room.mirror {
                None => self.event(Event::Viewers { channel, broadcast, count }),
                Some(_) => self.tell_home(now, key),
            }
        }
        self.tell_heights(key);
        self.advance_tap(now, key, arena);
        // Viewers and taps that wait for a keyframe may have made the streamer's next feedback due.
        self.ask_streamer(key);
        self.schedule_room(key);
    }
}

impl Router {
    fn tell_heights(&mut self, key: Key) {
        let Some(room) = self.rooms.get_mut(key).filter(|room| room.mirror.is_none()) else { return };
        let Some(track) = room.find_track(true, 0).and_then(|at| room.tracks.get(at)) else { return };
        if track.ladder().is_empty() || track.heights().eq(room.told_heights.iter().copied()) {
            return;
        }
        let heights: Vec<u16> = track.heights().collect();
        room.told_heights.clone_from(&heights);
        let (channel, broadcast) = (room.channel.clone(), room.broadcast);
        self.event(Event::Layers { channel, broadcast, heights });
    }
}

/// Where one viewer's packets go.
pub(super) struct Out<'a> {
    pub now: Now,
    pub to: std::net::SocketAddr,
    pub session: &'a mut Session,
    pub arena: &'a mut SendArena,
    pub counters: &'a mut Counters,
    /// `None` without feedback about what arrives.
    pub estimator: Option<&'a mut Estimator>,
    pub pacer: &'a mut Pacer,
    /// What the network carries of pictures; `None` while no limit was met.
    pub downlink: Option<Downlink>,
}

impl Out<'_> {
    /// What came of a track, from the layer that the viewer has; where another one is wanted, from that one's keyframe on. `section` is the
    /// place of the subscription's section in the answer.
    fn serve(&mut self, section: usize, subscription: &mut Subscription, track: &mut Track) {
        if !subscription.choose_layer(self.now.mono, track, self.downlink) {
            if !subscription.is_paused() {
                self.counters.drop_many(DropReason::FellBehind, subscription.pause(track));
            }
            return;
        }
        let mut from = 0;
        if let Some(wanted) = subscription.selector.wanted() {
            if !find_route(subscription, self.session.media().sections.get(section), &track.layers[wanted]) {
                return;
            }
            match track.layers[wanted].sending_key() {
                Some(at) => {
                    self.leave_layer(subscription, track);
                    self.counters.layer_switches += u64::from(subscription.selector.current().is_some());
                    subscription.selector.switch();
                    from = at;
                }
                None => track.layers[wanted].requester.want(),
            }
        }
        let Some(current) = subscription.selector.current() else { return };
        if !find_route(subscription, self.session.media().sections.get(section), &track.layers[current]) {
            return;
        }
        self.forward_layer(subscription, track, current, from);
        if subscription.needs_keyframe(track.layers[current].source()) || subscription.wants_key() {
            track.layers[current].requester.want();
        }
    }

    /// The layer that is left goes on to the end of the picture under way, as far as it came. A viewer who is behind in it goes over at once: what is
    /// left out is older than what follows.
    fn leave_layer(&mut self, subscription: &mut Subscription, track: &Track) {
        if subscription.is_behind() {
            return self.counters.drop_many(DropReason::FellBehind, subscription.break_off(track));
        }
        let left = subscription.selector.current().and_then(|at| track.layers.get(at));
        let Some((left, timestamp)) = left.zip(subscription.unfinished()) else { return };
        let packets = left.sending.iter().filter_map(|index| left.cache.get(*index));
        for packet in packets.filter(|packet| packet.meta.timestamp == timestamp) {
            self.forward(subscription, packet, track);
        }
    }

    /// What came of a layer, from this place of its `sending` on.
    fn forward_layer(&mut self, subscription: &mut Subscription, track: &Track, at: usize, from: usize) {
        let layer = &track.layers[at];
        let source = layer.source();
        for &index in &layer.sending[from..] {
            if subscription.will_come_to(index) {
                continue;
            }
            if subscription.video && !self.pacer.is_open() {
                subscription.wait(self.now.mono, index);
                continue;
            }
            let Some(packet) = layer.cache.get(index) else {
                self.counters.drop(DropReason::FellBehind);
                continue;
            };
            let waited = subscription.needs_keyframe(source);
            self.forward(subscription, packet, track);
            if waited && !subscription.needs_keyframe(source) {
                // The keyframe's first packet came late, as a repair: what follows it is in the ring already.
                subscription.wait(self.now.mono, index + 1);
                self.catch_up(subscription, track);
            }
        }
    }

    /// What a viewer who is behind may be sent now.
    pub fn catch_up(&mut self, subscription: &mut Subscription, track: &Track) {
        if subscription.is_lost(self.now.mono, track) {
            let passed = subscription.skip(self.now.mono, track);
            self.counters.drop_many(DropReason::FellBehind, passed);
        }
        // How much a new viewer's network takes is not known yet.
        let mut bytes = if subscription.is_replaying() { limit::REPLAY_STEP_BYTES } else { usize::MAX };
        while bytes > 0 && self.pacer.is_open() && self.arena.room() >= limit::DATAGRAM_BYTES {
            let Some(packet) = subscription.next_behind(track) else { break };
            bytes = bytes.saturating_sub(packet.payload.len());
            self.forward(subscription, packet, track);
        }
    }

    pub fn forward(&mut self, subscription: &mut Subscription, packet: Packet<'_>, track: &Track) {
        if let Some((mapped, payload)) = subscription.lead(self.now.mono, packet.meta, track) {
            let lead = Meta { marker: false, orientation: None, ..*packet.meta };
            self.send(subscription, mapped, Packet { meta: &lead, payload, descriptor: &[], padding: 0 });
        }
        let mapped = match subscription.forward(self.now.mono, packet, track) {
            Verdict::Send(mapped) => mapped,
            Verdict::Fill(mapped) => {
                let empty = Meta { marker: false, inspected: Inspected::default(), ..*packet.meta };
                return self.send(
                    subscription,
                    mapped,
                    Packet { meta: &empty, payload: &[], descriptor: &[], padding: 0 },
                );
            }
            // Sent before this turn, when the gate opened.
            Verdict::Drop(DropReason::Duplicate) => return,
            Verdict::Drop(reason) => return self.counters.drop(reason),
        };
        self.send(subscription, mapped, packet);
    }

    fn send(&mut self, subscription: &mut Subscription, mapped: Mapped, packet: Packet<'_>) {
        let Some(route) = subscription.route() else { return };
        let (payload_type, payload) = route.form(packet);
        let writing = Writing {
            token: mapped.token,
            payload_type,
            marker: subscription.ends(packet.meta),
            timestamp: mapped.timestamp,
            extensions: Extensions {
                descriptor: subscription.describe(packet, mapped.shift),
                ..self.extensions(subscription, Some(packet.meta))
            },
            shift: mapped.shift,
            blocks: (payload_type != route.payload_type).then_some(route.payload_type),
            prefix: &[],
            payload,
            padding: packet.padding,
        };
        match self.write(writing) {
            Ok(len) => {
                self.pacer.spend(len as usize);
                subscription.on_sent(payload.len());
            }
            Err(reason) => self.counters.drop(reason),
        }
    }

    /// Sends an empty packet with as much padding as there may be. Answers its bytes on the wire.
    pub fn pad(&mut self, subscription: &mut Subscription) -> Option<u64> {
        let (token, payload_type) = subscription.padding()?;
        let writing = Writing {
            token,
            payload_type,
            marker: false,
            timestamp: 0,
            extensions: self.extensions(subscription, None),
            shift: Shift::default(),
            blocks: None,
            prefix: &[],
            payload: &[],
            padding: u8::MAX,
        };
        self.write(writing).map_err(|reason| self.counters.drop(reason)).ok()
    }

    /// Sends a packet once more, on the repair stream, without what it repeats itself. Answers its bytes on the wire.
    pub fn resend(&mut self, subscription: &Subscription, repair: Repair, packet: Packet<'_>) -> Option<u64> {
        let writing = Writing {
            token: repair.token,
            payload_type: repair.payload_type,
            marker: repair.marker,
            timestamp: repair.timestamp,
            extensions: Extensions {
                descriptor: subscription.describe(packet, repair.shift),
                ..self.extensions(subscription, Some(packet.meta))
            },
            shift: repair.shift,
            blocks: None,
            prefix: &repair.original.to_be_bytes(),
            payload: packet.primary(),
            padding: 0,
        };
        self.write(writing).map_err(|reason| self.counters.drop(reason)).ok()
    }

    /// What is said beside a packet; `None`: padding, of which there is nothing to say.
    fn extensions<'s>(&self, subscription: &'s Subscription, of: Option<&Meta>) -> Extensions<'s> {
        let ids = subscription.ids;
        let number = self.estimator.as_deref().map(|estimator| estimator.next_sequence());
        Extensions {
            transport: ids.transport.zip(number),
            mid: subscription.mid.as_ref().map(|(id, mid)| (*id, &mid[..])),
            capture: ids.capture.zip(of.and_then(|meta| meta.capture)),
            orientation: ids.orientation.zip(of.and_then(|meta| meta.orientation)),
            playout_delay: ids.playout_delay.zip(of.and_then(|meta| meta.playout_delay)),
            descriptor: None,
        }
    }

    fn write(&mut self, writing: Writing<'_>) -> Result<u64, DropReason> {
        let numbered = writing.extensions.transport.is_some();
        let len = write(self.session, self.to, writing, self.arena)?;
        match &mut self.estimator {
            Some(estimator) if numbered => estimator.sent(self.now.mono, len),
            Some(estimator) => estimator.sent_unnumbered(len),
            None => {}
        }
        self.counters.packets_out += 1;
        self.counters.bytes_out += len as u64;
        Ok(len as u64)
    }
}
