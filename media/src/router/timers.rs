//! Who wants to be called when. An owner remembers the earliest moment it asked for; a later one of its entries is called too, in vain.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::slab::Key;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Session(Key),
    Room(Key),
}

/// Nobody is called again sooner than this, so that an owner who cannot do what it is called for does not stop the shard.
const GRAIN: Duration = Duration::from_millis(1);

#[derive(Default)]
pub struct Timers {
    floor: Option<Instant>,
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    pub fn set(&mut self, at: Instant, timer: Timer) {
        let at = self.floor.map_or(at, |floor| at.max(floor));
        self.heap.push(Reverse((at, timer)));
    }

    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub fn due(&mut self, now: Instant) -> Option<Timer> {
        self.floor = Some(now + GRAIN);
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}
