//! The first moments of a viewer: what the ring has since the newest keyframe goes out at once, step by step, until the viewer is live. Who falls
//! behind later catches up in the same steps.

use crate::arena::SendArena;
use crate::limit;
use crate::message::Now;
use crate::room::Room;
use crate::room::layer::Layer;
use crate::room::subscription::Subscription;
use crate::room::track::Track;
use crate::session::estimate::Estimator;
use crate::session::negotiate::Section;
use crate::slab::Key;

use super::Router;
use super::fanout::Out;
use super::peer::{PeerRole, route};

/// What one step may take of the arena.
const STEP_ROOM: usize = limit::PACE_BURST_BYTES as usize + 8 * limit::DATAGRAM_BYTES;

/// The track of a subscription, once there is one.
pub(super) fn track_of<'r>(subscription: &mut Subscription, room: &'r mut Room) -> Option<&'r mut Track> {
    if subscription.track.is_none() {
        subscription.track = room.find_track(subscription.video, subscription.ordinal);
    }
    room.tracks.get_mut(subscription.track?)
}

/// Under which payload types a layer reaches the viewer. False while nothing is known of it; a viewer who lacks its codec has an empty route.
pub(super) fn find_route(subscription: &mut Subscription, section: Option<&Section>, layer: &Layer) -> bool {
    let Some(format) = layer.format else { return false };
    if !subscription.has_route_for(format.version) {
        subscription.set_route(format.version, section.and_then(|section| route(section, format)));
    }
    true
}

impl Router {
    /// The handshake is complete: chooses where each stream begins.
    pub(super) fn start_viewer(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Viewer(viewer) = &mut peer.role else { return };
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        let tells_estimate = peer.session.media().sections.iter().any(|section| section.feedback.remb);
        if tells_estimate || viewer.subscriptions.iter().any(|subscription| subscription.ids.transport.is_some()) {
            viewer.estimator.get_or_insert_with(|| Box::new(Estimator::new(now.mono)));
        }
        for (at, subscription) in viewer.subscriptions.iter_mut().enumerate() {
            let Some(track) = track_of(subscription, room) else { continue };
            track.survey(now.mono);
            // Without a limit some layer fits.
            let _ = subscription.choose_layer(now.mono, track, None);
            let Some(target) = subscription.selector.target() else { continue };
            if !find_route(subscription, peer.session.media().sections.get(at), &track.layers[target]) {
                continue;
            }
            subscription.start(now.mono, track, None);
            let layer = &mut track.layers[target];
            if subscription.needs_keyframe(layer.source()) {
                layer.requester.want();
            }
        }
        viewer.next_replay = Some(now.mono);
        let room = peer.room;
        self.ask_streamer(room);
        self.replay(now, key, arena);
    }

    /// One step for each stream that is behind; one more look for those that still wait.
    pub(super) fn replay(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Viewer(viewer) = &mut peer.role else { return };
        if viewer.next_replay.is_none_or(|due| due > now.mono) {
            return;
        }
        // Many step at the same moment: who finds no room comes again once the arena was sent, and not a whole step later.
        if arena.room() < STEP_ROOM {
            viewer.next_replay = Some(now.mono);
            return;
        }
        let (Some(room), to) = (self.rooms.get(peer.room), peer.session.address()) else { return };
        let bitrate = viewer.estimator.as_deref().and_then(Estimator::bitrate);
        viewer.pacer.fill(now.mono);
        for subscription in &mut viewer.subscriptions {
            let (Some(to), Some(track)) = (to, subscription.track.and_then(|at| room.tracks.get(at))) else { continue };
            let (session, counters, estimator) =
                (&mut peer.session, &mut self.counters, viewer.estimator.as_deref_mut());
            let mut out =
                Out { now, to, session, arena, counters, estimator, pacer: &mut viewer.pacer, downlink: None };
            if subscription.is_waiting() {
                subscription.start(now.mono, track, bitrate);
            }
            out.catch_up(subscription, track);
        }
        let more = viewer.subscriptions.iter().any(Subscription::is_behind);
        let waiting = viewer.subscriptions.iter().any(Subscription::is_waiting);
        viewer.next_replay = match (more, waiting) {
            (true, _) => Some(self.timers.step(now.mono)),
            (false, true) => Some(now.mono + limit::LOOK_AGAIN),
            (false, false) => None,
        };
    }
}
