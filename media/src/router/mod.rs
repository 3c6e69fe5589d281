//! The state of one shard: sessions, rooms and what they owe each other.
//!
//! `handle` takes one input, `flush` ends a turn with the fan-out, `poll` drains what is to be told, `next_deadline` says when to come
//! back. Decisions live in the rooms and sessions; here is only who is asked when.

mod command;
mod diagnose;
mod fanout;
mod ingest;
mod mirror;
mod moving;
mod peer;
mod probe;
mod publisher;
mod recording;
mod room_life;
mod start;
mod viewer;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::arena::SendArena;
use crate::demux::Demux;
use crate::diagnostics::Diagnosis;
use crate::id::{BroadcastId, ChannelName, SessionId, ShardId};
use crate::limit;
use crate::message::{CloseReason, Event, Input, Now, Output};
use crate::room::Room;
use crate::room::mirror::Batches;
use crate::session::feedback::Compound;
use crate::session::{Certificate, Received};
use crate::slab::{Key, Slab};
use crate::stats::{Counters, DropReason};
use crate::tap::Tap;
use crate::timers::{Timer, Timers};

pub use moving::Moving;

use fanout::Fanout;
use peer::{Peer, PeerRole};

/// What a shard is made with.
pub struct RouterConfig {
    pub shard: ShardId,
    /// Addresses of the media port as peers reach it, the preferred first.
    pub announce: Vec<SocketAddr>,
    /// All randomness derives from it. Unpredictable, except in stories.
    pub seed: [u8; 32],
}

/// Whether [`Router::flush`] wrote everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after More, send the arena, clear it and flush again"]
pub enum Flushed {
    Done,
    /// The arena is full: send it, clear it, flush again, before the next input.
    More,
}

/// See the head of this module.
pub struct Router {
    config: RouterConfig,
    certificate: Certificate,
    rng: StdRng,
    sessions: Slab<Peer>,
    by_id: HashMap<SessionId, Key>,
    pending_sessions: usize,
    demux: Demux,
    rooms: Slab<Room>,
    taps: HashMap<Key, Tap>,
    by_channel: HashMap<ChannelName, Key>,
    /// Rooms that live here, and mirrors.
    by_broadcast: HashMap<BroadcastId, Key>,
    batches: Batches,
    timers: Timers,
    fanout: Fanout,
    outputs: VecDeque<Output>,
    counters: Counters,
    compound: Compound,
    /// See [`crate::diagnostics::Note::work`].
    work: u32,
    /// Sessions that closed, oldest first.
    remembered: VecDeque<Diagnosis>,
}

impl Router {
    pub fn new(config: RouterConfig, certificate: Certificate) -> Self {
        let rng = StdRng::from_seed(config.seed);
        Self {
            config,
            certificate,
            rng,
            sessions: Slab::default(),
            by_id: HashMap::new(),
            pending_sessions: 0,
            demux: Demux::default(),
            rooms: Slab::default(),
            taps: HashMap::new(),
            by_channel: HashMap::new(),
            by_broadcast: HashMap::new(),
            batches: Batches::default(),
            timers: Timers::default(),
            fanout: Fanout::default(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            compound: Compound::new(),
            work: 0,
            remembered: VecDeque::new(),
        }
    }

    /// Takes one input. Answers to it that are datagrams lie in the arena, all others come from [`Router::poll`].
    pub fn handle(&mut self, now: Now, input: Input<'_>, arena: &mut SendArena) {
        match input {
            Input::Datagram { from, data } => {
                if let Err(reason) = self.offer(now, from, data, arena) {
                    self.refuse(reason);
                }
            }
            Input::Across { from, message } => self.across(now, from, message, arena),
            Input::Command { request, command } => {
                let reply = self.command(now, command, arena);
                self.outputs.push_back(Output::Reply { request, reply });
            }
            Input::Tick => self.tick(now, arena),
        }
    }

    /// What to tell, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back at the latest, with [`Input::Tick`] and then [`Router::flush`].
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.fanout.deadline()).min()
    }

    /// Whether a session has this path: an authenticated check came by it, and the session goes on.
    pub fn knows_path(&self, path: SocketAddr) -> bool {
        self.demux.knows(path)
    }

    /// Counters since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Takes a datagram if it is of a session of this shard: [`Input::Datagram`] for a caller who may know whose it is otherwise.
    ///
    /// # Errors
    /// Why it is nobody's here. It was neither changed nor counted.
    pub fn offer(
        &mut self,
        now: Now,
        from: SocketAddr,
        data: &mut [u8],
        arena: &mut SendArena,
    ) -> Result<(), DropReason> {
        if data.len() > limit::DATAGRAM_BYTES {
            return Err(DropReason::Oversized);
        }
        let key = self.demux.session_of(from, data)?;
        self.guarded(now, key, arena, |router, arena| router.session_datagram(now, key, from, data, arena));
        Ok(())
    }

    /// Counts what [`Router::offer`] did not take and nobody else either.
    pub fn refuse(&mut self, reason: DropReason) {
        self.counters.drop(reason);
    }

    fn session_datagram(&mut self, now: Now, key: Key, from: SocketAddr, data: &mut [u8], arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        match peer.session.receive(now, from, data, arena) {
            Received::Rtp(packet) => {
                self.counters.packets_in += 1;
                self.counters.bytes_in += packet.len() as u64;
                let outcome = self.publisher_rtp(now, key, packet);
                if let Err(reason) = outcome {
                    self.counters.drop(reason);
                }
                self.note_packet(now, key, packet, outcome);
            }
            Received::Rtcp(compound) => match peer.role {
                _ if peer.closing => {}
                PeerRole::Publisher(_) => self.publisher_rtcp(now, key, compound),
                PeerRole::Viewer(_) => self.viewer_rtcp(now, key, compound, arena),
            },
            Received::Validated { address, forgotten } => self.demux.validated(now.mono, key, address, forgotten),
            Received::Connected { profile } => self.connected(now, key, profile, arena),
            Received::Closed(reason) => self.closed(now, key, reason, arena),
            Received::Handled => {}
            Received::Dropped(reason) => self.counters.drop(reason),
        }
        self.schedule_session(key);
    }

    fn tick(&mut self, now: Now, arena: &mut SendArena) {
        while let Some((at, timer)) = self.timers.due(now.mono) {
            match timer {
                Timer::Session(key) if self.sessions.get_mut(key).is_some_and(|peer| peer.appointment.is_kept(at)) => {
                    self.guarded(now, key, arena, |router, arena| router.session_tick(now, key, arena));
                }
                Timer::Room(key) if self.rooms.get_mut(key).is_some_and(|room| room.appointment.is_kept(at)) => {
                    self.room_tick(now, key, arena);
                }
                Timer::Session(_) | Timer::Room(_) => {}
            }
        }
    }

    fn session_tick(&mut self, now: Now, key: Key, arena: &mut SendArena) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        if let Some(reason) = peer.session.tick(now, arena) {
            return self.closed(now, key, reason, arena);
        }
        if !peer.closing && peer.session.is_connected() {
            match peer.role {
                PeerRole::Publisher(_) => self.publisher_feedback(now, key, arena),
                PeerRole::Viewer(_) => {
                    self.replay(now, key, arena);
                    self.probe(now, key, arena);
                    self.viewer_reports(now, key, arena);
                }
            }
        }
        self.schedule_session(key);
    }

    /// Comes back to this session no later than it asks for.
    fn schedule_session(&mut self, key: Key) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let Some(due) = peer.next_deadline(&self.rooms) else { return };
        self.timers.ask(due, &mut peer.appointment, Timer::Session(key));
    }

    /// A panic in one session's work closes that session; the others go on.
    fn guarded(&mut self, now: Now, key: Key, arena: &mut SendArena, work: impl FnOnce(&mut Self, &mut SendArena)) {
        let before = self.begin_account(key);
        let done = catch_unwind(AssertUnwindSafe(|| {
            failpoint::pass(self.sessions.get(key).map(|peer| peer.id));
            work(self, arena);
        }));
        if done.is_err() {
            self.counters.drop(DropReason::Fault);
        }
        self.account(now, key, before);
        if done.is_err() {
            self.closed(now, key, CloseReason::Fault, arena);
        }
    }
}

/// Where a test makes the work of one session panic. Production code has none of it.
mod failpoint {
    #[cfg(test)]
    thread_local!(static FAILING: std::cell::Cell<Option<crate::id::SessionId>> = const { std::cell::Cell::new(None) });

    /// The next work of this session on this thread panics.
    #[cfg(test)]
    pub fn arm(session: crate::id::SessionId) {
        FAILING.set(Some(session));
    }

    #[cfg(test)]
    pub fn pass(session: Option<crate::id::SessionId>) {
        if session.is_some() && FAILING.get() == session {
            FAILING.set(None);
            panic!("a broken invariant, as a test wants it");
        }
    }

    #[cfg(not(test))]
    #[inline(always)]
    pub fn pass(_: Option<crate::id::SessionId>) {}
}

#[cfg(test)]
mod faults;
