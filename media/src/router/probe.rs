//! Whether a viewer's network carries more than it is sent: packets that it has are sent again on the repair stream, or padding while its pictures
//! pause, as long as its estimator wants to see them arrive.

use std::time::Duration;

use crate::arena::SendArena;
use crate::limit;
use crate::message::Now;
use crate::room::Room;
use crate::slab::Key;

use super::Router;
use super::fanout::Out;
use super::peer::{PeerRole, Viewer};

/// Between two bursts of a probe.
const STEP: Duration = Duration::from_millis(10);

/// Bits per second of sound, which is sent before any picture.
pub(super) fn sound(now: Now, room: &Room) -> u64 {
    let layers = room.tracks.iter().filter(|track| !track.is_video()).flat_map(|track| &track.layers);
    layers.map(|layer| layer.bitrate(now.mono)).sum()
}

/// After feedback: begins a probe when a larger picture is wanted than the network is known to carry.
pub(super) fn consider(now: Now, viewer: &mut Viewer, room: &Room) {
    let Some(estimator) = viewer.estimator.as_deref_mut().filter(|estimator| estimator.bitrate().is_some()) else {
        return;
    };
    let better = viewer.subscriptions.iter().find_map(|subscription| {
        let track = room.tracks.get(subscription.track?)?;
        subscription.next_rung(track)
    });
    let Some(better) = better else { return };
    // A fifth more than it takes now, since it varies with what is in the picture.
    if estimator.probe(now.mono, better.bitrate * 6 / 5 + sound(now, room)) {
        viewer.next_probe = Some(now.mono);
    }
}

impl Router {
    /// One burst of a viewer's probe.
    pub(super) fn probe(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let PeerRole::Viewer(viewer) = &mut peer.role else { return };
        if viewer.next_probe.is_none_or(|due| due > now.mono) {
            return;
        }
        let per_ms = viewer.estimator.as_deref().and_then(|estimator| estimator.padding(now.mono));
        viewer.next_probe = per_ms.map(|_| now.mono + STEP);
        let (Some(per_ms), Some(room), Some(to)) = (per_ms, self.rooms.get(peer.room), peer.session.address()) else {
            return;
        };
        let mut bytes = per_ms * STEP.as_millis() as u64;
        for subscription in viewer.subscriptions.iter_mut().filter(|subscription| subscription.video) {
            let Some(track) = subscription.track.and_then(|at| room.tracks.get(at)) else { continue };
            let (session, counters, estimator) =
                (&mut peer.session, &mut self.counters, viewer.estimator.as_deref_mut());
            let pacer = &mut viewer.pacer;
            let mut out = Out { now, to, session, arena, counters, estimator, pacer, downlink: None };
            while bytes > 0 && out.arena.room() >= limit::DATAGRAM_BYTES {
                let again = if subscription.is_paused() { None } else { subscription.redundant(track) };
                let sent = match again {
                    Some((repair, packet)) => out.resend(subscription, repair, packet),
                    None => out.pad(subscription),
                };
                bytes = bytes.saturating_sub(sent.unwrap_or(u64::MAX));
            }
        }
    }
}
