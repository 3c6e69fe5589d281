//! Who wants to be called when. An owner remembers the earliest moment it asked for; a later one of its entries is called too, in vain.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::limit;
use crate::slab::Key;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Session(Key),
    Room(Key),
}

/// Nobody is called again sooner than this, so that an owner who cannot do what it is called for does not stop the shard.
const GRAIN: Duration = Duration::from_millis(1);

/// Steps of all viewers who are behind fall on a grid so fine: one turn for many of them instead of one for each.
const GRID: Duration = Duration::from_micros(limit::PACE_STEP.as_micros() as u64 / 2);

#[derive(Default)]
pub struct Timers {
    /// Where the grid begins.
    origin: Option<Instant>,
    floor: Option<Instant>,
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    pub fn set(&mut self, at: Instant, timer: Timer) {
        let at = self.floor.map_or(at, |floor| at.max(floor));
        self.heap.push(Reverse((at, timer)));
    }

    /// The next step of a viewer who is behind: [`limit::PACE_STEP`] from now, give or take half a [`GRID`].
    pub fn step(&mut self, now: Instant) -> Instant {
        let origin = *self.origin.get_or_insert(now);
        let at = (now + limit::PACE_STEP + GRID / 2).saturating_duration_since(origin);
        origin + Duration::from_nanos((at.as_nanos() / GRID.as_nanos() * GRID.as_nanos()) as u64)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::start;

    #[test]
    fn steps_of_many_viewers_are_few_turns() {
        let (mut timers, now) = (Timers::default(), start().mono);
        let mut steps: Vec<Instant> = Vec::new();
        for us in 0..5000 {
            let at = now + Duration::from_micros(us);
            let step = timers.step(at);
            assert!(step + GRID / 2 > at + limit::PACE_STEP && step <= at + limit::PACE_STEP + GRID / 2);
            assert_eq!(timers.step(step), step + limit::PACE_STEP, "once on the grid, the pace is exact");
            steps.push(step);
        }
        steps.dedup();
        assert_eq!(steps.len(), 3);
    }
}
