//! One direction of one flow, without sockets and clocks: when does a datagram arrive, and does it?

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// What a link does to datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// Share of datagrams that never arrive, of 1.
    pub loss: f64,
    /// Every datagram is late by this much.
    pub delay: Duration,
    /// At most so much is added at random. Order is kept: in a network it is a queue that makes times vary.
    pub jitter: Duration,
    /// Share of datagrams that lag behind the others by up to twice the jitter, at least [`OVERTAKEN`].
    pub reorder: f64,
    /// Share of datagrams that arrive twice.
    pub duplicate: f64,
    /// Bits per second, datagrams without headers of IP and UDP. `None`: no limit.
    pub rate: Option<u64>,
}

/// So far at least a datagram that is to be overtaken lags behind.
pub const OVERTAKEN: Duration = Duration::from_millis(5);
/// What waits longer than this for its turn at the rate limit is dropped, as a full router does.
pub const LONGEST_QUEUE: Duration = Duration::from_millis(250);

/// What became of the datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub datagrams: u64,
    pub bytes: u64,
    pub lost: u64,
    pub overflowed: u64,
    pub reordered: u64,
    pub duplicated: u64,
}

impl Figures {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            datagrams: self.datagrams + other.datagrams,
            bytes: self.bytes + other.bytes,
            lost: self.lost + other.lost,
            overflowed: self.overflowed + other.overflowed,
            reordered: self.reordered + other.reordered,
            duplicated: self.duplicated + other.duplicated,
        }
    }
}

/// See the head of this file.
pub struct Link {
    conditions: Conditions,
    rng: StdRng,
    /// The rate limit has sent everything before it by then.
    free_at: Option<Instant>,
    /// The latest arrival of a datagram that kept its place.
    latest: Option<Instant>,
    pub figures: Figures,
}

impl Link {
    /// `number` tells the links of one seed apart.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64, number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[8..16].copy_from_slice(&number.to_be_bytes());
        let rng = StdRng::from_seed(bytes);
        Self { conditions, rng, free_at: None, latest: None, figures: Figures::default() }
    }

    /// From now on so many bits per second; `None`: no limit. What waits already leaves as it would have.
    pub fn set_rate(&mut self, rate: Option<u64>) {
        self.conditions.rate = rate;
    }

    /// Bits per second.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.conditions.rate
    }

    /// When a datagram of `len` bytes that is sent now arrives: never, once or twice.
    pub fn carry(&mut self, now: Instant, len: usize) -> [Option<Instant>; 2] {
        let fate = Fate::draw(&self.conditions, &mut self.rng);
        self.figures.datagrams += 1;
        self.figures.bytes += len as u64;
        if fate.lost {
            self.figures.lost += 1;
            return [None, None];
        }
        let Some(sent) = self.through_the_rate_limit(now, len) else {
            self.figures.overflowed += 1;
            return [None, None];
        };
        let due = sent + self.conditions.delay + fate.late;
        let due = if fate.overtaken {
            self.figures.reordered += 1;
            due + fate.late + OVERTAKEN
        } else {
            let due = self.latest.map_or(due, |latest| latest.max(due));
            self.latest = Some(due);
            due
        };
        self.figures.duplicated += u64::from(fate.twice);
        [Some(due), fate.twice.then_some(due)]
    }

    fn through_the_rate_limit(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.conditions.rate else { return Some(now) };
        let begin = self.free_at.map_or(now, |free| free.max(now));
        if begin.saturating_duration_since(now) > LONGEST_QUEUE {
            return None;
        }
        let end = begin + Duration::from_secs_f64(len as f64 * 8.0 / rate.max(1) as f64);
        self.free_at = Some(end);
        Some(end)
    }
}

/// All of a datagram's dice, thrown whatever the conditions are, so that a change of one leaves the others as they were.
struct Fate {
    lost: bool,
    twice: bool,
    overtaken: bool,
    late: Duration,
}

impl Fate {
    fn draw(conditions: &Conditions, rng: &mut StdRng) -> Self {
        let mut happens = |share: f64| rng.random::<f64>() < share;
        let (lost, twice, overtaken) =
            (happens(conditions.loss), happens(conditions.duplicate), happens(conditions.reorder));
        let late = conditions.jitter.mul_f64(rng.random::<f64>());
        Self { lost, twice, overtaken, late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn carry(conditions: Conditions, seed: u64, count: u32, spacing: Duration) -> (Vec<Option<Duration>>, Figures) {
        let (mut link, start) = (Link::new(conditions, seed, 0), Instant::now());
        let arrivals = (0..count).map(|n| {
            link.carry(start + spacing * n, 1000)[0].map(|at| at.saturating_duration_since(start + spacing * n))
        });
        (arrivals.collect(), link.figures)
    }

    #[test]
    fn a_good_link_changes_nothing() {
        let (late, figures) = carry(Conditions::default(), 1, 100, MS);
        assert!(late.iter().all(|late| *late == Some(Duration::ZERO)));
        assert_eq!(figures, Figures { datagrams: 100, bytes: 100_000, ..Figures::default() });
    }

    #[test]
    fn the_seed_decides_everything() {
        let bad = Conditions {
            loss: 0.05,
            delay: 10 * MS,
            jitter: 30 * MS,
            reorder: 0.02,
            duplicate: 0.01,
            rate: Some(20_000_000),
        };
        let (once, again, other) = (carry(bad, 7, 5000, MS), carry(bad, 7, 5000, MS), carry(bad, 8, 5000, MS));
        assert_eq!(once, again);
        assert_ne!(once.0, other.0);
        let figures = once.1;
        for (name, count, expected) in
            [("lost", figures.lost, 250), ("reordered", figures.reordered, 95), ("duplicated", figures.duplicated, 48)]
        {
            assert!((expected / 2..expected * 2).contains(&count), "{count} {name}");
        }
        assert!(once.0.iter().flatten().all(|late| (10 * MS..=76 * MS).contains(late)), "delay, jitter and lag");
    }

    #[test]
    fn jitter_alone_keeps_the_order() {
        let conditions = Conditions { jitter: 30 * MS, ..Conditions::default() };
        let (mut link, start) = (Link::new(conditions, 3, 1), Instant::now());
        let due: Vec<Instant> = (0..1000).filter_map(|n| link.carry(start + MS * n, 100)[0]).collect();
        assert!(due.is_sorted() && due.len() == 1000);
        let worse = Conditions { reorder: 0.1, ..conditions };
        let mut link = Link::new(worse, 3, 1);
        let due: Vec<Instant> = (0..1000).filter_map(|n| link.carry(start + MS * n, 100)[0]).collect();
        assert!(!due.is_sorted());
    }

    #[test]
    fn a_rate_steps_up_and_down() {
        let mut link = Link::new(Conditions { rate: Some(8_000_000), ..Conditions::default() }, 1, 0);
        let start = Instant::now();
        assert_eq!(link.carry(start, 1000)[0], Some(start + MS));
        link.set_rate(Some(800_000));
        assert_eq!(link.carry(start, 1000)[0], Some(start + 11 * MS), "behind what waits");
        link.set_rate(None);
        assert_eq!(link.carry(start + 11 * MS, 1000)[0], Some(start + 11 * MS));
    }

    #[test]
    fn a_rate_limit_queues_and_then_drops() {
        // 1000 bytes a millisecond are 8 Mbit/s: twice what the link takes.
        let conditions = Conditions { rate: Some(4_000_000), ..Conditions::default() };
        let (late, figures) = carry(conditions, 1, 1000, MS);
        assert_eq!(late[0], Some(2 * MS));
        let longest = late.iter().flatten().max().unwrap();
        assert!((LONGEST_QUEUE..=LONGEST_QUEUE + 3 * MS).contains(longest), "{longest:?}");
        assert!((350..500).contains(&figures.overflowed), "{figures:?}");
    }
}
