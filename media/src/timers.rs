//! Who wants to be called when. An owner keeps the one moment it waits for, its [`Appointment`]; one that an earlier moment replaced stays in the
//! heap until its time has come, and is then forgotten: were its owner called, it would ask anew each time, and its entries were never fewer.

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
    /// Calls the owner at `due`, unless it is called before then.
    pub fn ask(&mut self, due: Instant, owner: &mut Appointment, timer: Timer) {
        let at = self.floor.map_or(due, |floor| due.max(floor));
        if owner.0.is_none_or(|before| at < before) {
            owner.0 = Some(at);
            self.heap.push(Reverse((at, timer)));
        }
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

    /// Whose time has come, if it still waits for this moment ([`Appointment::is_kept`]).
    pub fn due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        self.floor = Some(now + GRAIN);
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

/// When an owner is called.
#[derive(Debug, Default)]
pub struct Appointment(Option<Instant>);

impl Appointment {
    /// The moment has come; false when the owner was called before, or is called otherwise.
    pub fn is_kept(&mut self, at: Instant) -> bool {
        self.0.take_if(|waiting| *waiting == at).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::start;
    use crate::slab::Slab;

    fn some_room() -> Timer {
        Timer::Room(Slab::default().insert(()))
    }

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

    #[test]
    fn moments_that_were_replaced_are_forgotten() {
        let (mut timers, mut owner, mut now) = (Timers::default(), Appointment::default(), start().mono);
        let timer = some_room();
        let mut calls = 0;
        for round in 0..10_000 {
            // it wants to report in a second, and sooner as soon as something comes
            timers.ask(now + Duration::from_secs(1), &mut owner, timer);
            if round % 3 == 0 {
                timers.ask(now + Duration::from_millis(2), &mut owner, timer);
                timers.ask(now, &mut owner, timer);
            }
            now += Duration::from_millis(1);
            while let Some((at, _)) = timers.due(now) {
                calls += usize::from(owner.is_kept(at));
            }
            assert!(timers.heap.len() < 2_000, "{} entries after {round} rounds", timers.heap.len());
        }
        assert!((3_000..=7_000).contains(&calls), "{calls} calls");
    }

    #[test]
    fn what_is_long_due_is_asked_for_once_a_turn() {
        let (mut timers, mut owner, now) = (Timers::default(), Appointment::default(), start().mono);
        assert_eq!(timers.due(now), None);
        (0..10).for_each(|_| timers.ask(now, &mut owner, some_room()));
        assert_eq!((timers.heap.len(), timers.next()), (1, Some(now + GRAIN)));
    }
}
