//! Taps of recorded broadcasts: when they are opened, read and closed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::arena::SendArena;
use crate::message::{EndReason, Now, Output, TapFact, TapItem};
use crate::room::track::Track;
use crate::slab::Key;
use crate::stats::{Counters, DropReason};
use crate::tap::Tap;

use super::Router;

impl Router {
    /// The streamer of a recorded broadcast is there.
    pub(super) fn open_tap(&mut self, room: Key) {
        let Some(found) = self.rooms.get(room).filter(|room| room.record) else { return };
        let (channel, broadcast) = (found.channel.clone(), found.broadcast);
        self.taps.entry(room).or_insert_with(|| Tap::new(channel, broadcast));
    }

    pub(super) fn advance_tap(&mut self, now: Now, room: Key, arena: &mut SendArena) {
        self.with_tap(now, room, arena, |tap, tracks, counters, out| tap.advance(now, tracks, counters, out));
    }

    pub(super) fn disconnect_tap(&mut self, now: Now, room: Key, arena: &mut SendArena) {
        self.with_tap(now, room, arena, |tap, tracks, counters, out| tap.on_disconnect(now, tracks, counters, out));
    }

    pub(super) fn close_tap(&mut self, now: Now, room: Key, reason: EndReason) {
        let Some(tap) = self.taps.remove(&room) else { return };
        let Some(found) = self.rooms.get_mut(room) else { return };
        let (tracks, counters, broadcast) = (&mut found.tracks[..], &mut self.counters, found.broadcast);
        let mut items = VecDeque::new();
        let closed = catch_unwind(AssertUnwindSafe(|| tap.close(now, reason, tracks, counters, &mut items)));
        self.outputs.extend(items.into_iter().map(Output::Tap));
        if closed.is_err() {
            self.fault(now, broadcast, reason);
        }
    }

    /// A panic in a tap's work ends that broadcast: one that goes on unrecorded would lie to its streamer.
    fn with_tap(
        &mut self,
        now: Now,
        room: Key,
        arena: &mut SendArena,
        work: impl FnOnce(&mut Tap, &mut [Track], &mut Counters, &mut VecDeque<TapItem>),
    ) {
        let Some(tap) = self.taps.get_mut(&room) else { return };
        let Some(found) = self.rooms.get_mut(room) else { return };
        let (tracks, counters, broadcast) = (&mut found.tracks[..], &mut self.counters, found.broadcast);
        let mut items = VecDeque::new();
        let done = catch_unwind(AssertUnwindSafe(|| work(tap, tracks, counters, &mut items)));
        self.outputs.extend(items.into_iter().map(Output::Tap));
        if done.is_err() {
            self.taps.remove(&room);
            self.fault(now, broadcast, EndReason::Dropped);
            self.end(now, room, EndReason::Dropped, arena);
        }
    }

    fn fault(&mut self, now: Now, broadcast: crate::id::BroadcastId, reason: EndReason) {
        self.counters.drop(DropReason::Fault);
        let fact = TapFact::Closed { utc_us: now.utc_us, reason };
        self.outputs.push_back(Output::Tap(TapItem { broadcast, fact }));
    }
}
