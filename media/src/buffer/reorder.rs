//! Bounded reordering for taps: a cursor into the ring that waits for missing packets, but not for ever.

use std::time::{Duration, Instant};

use super::cache::{Packet, PacketCache};

/// What a cursor finds next.
#[derive(Debug)]
pub enum Step<'a> {
    /// The next packet in order.
    Packet(Packet<'a>),
    /// These indices never came, `from` to `to` inclusive; the cursor stands behind them.
    Lost { from: u64, to: u64 },
    /// Packet `until` is missing: come back when it arrived, or at `deadline`.
    Wait { deadline: Instant },
    /// Nothing newer.
    Empty,
}

/// See the head of this module. It starts at the first packet it sees.
#[derive(Debug)]
pub struct Reorder {
    patience: Duration,
    next: Option<u64>,
    waiting_since: Option<Instant>,
}

impl Reorder {
    /// `patience` is how long a missing packet is waited for, from the moment a later one is there.
    pub fn new(patience: Duration) -> Self {
        Self { patience, next: None, waiting_since: None }
    }

    /// Where the cursor stands, once it has started.
    pub fn next_index(&self) -> Option<u64> {
        self.next
    }

    /// Continues at `index`, whatever lies before: a new source begins there, which is no loss.
    pub fn jump(&mut self, index: u64) {
        self.next = Some(index);
        self.waiting_since = None;
    }

    /// `last_chance`: what is missing will not come, so it is not waited for.
    pub fn step<'a>(&mut self, cache: &'a PacketCache, now: Instant, last_chance: bool) -> Step<'a> {
        let Some(newest) = cache.newest() else { return Step::Empty };
        let next = *self.next.get_or_insert(newest);
        if next > newest {
            return Step::Empty;
        }
        if let Some(packet) = cache.get(next) {
            self.jump(next + 1);
            return Step::Packet(packet);
        }
        let deadline = *self.waiting_since.get_or_insert(now) + self.patience;
        if now < deadline && next >= cache.floor() && !last_chance {
            return Step::Wait { deadline };
        }
        // `newest` is in the ring, so there is a packet to stop at.
        let after = (next.max(cache.floor())..=newest).find(|index| cache.get(*index).is_some()).unwrap_or(newest);
        self.jump(after);
        Step::Lost { from: next, to: after - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::cache::tests::meta;
    use crate::limit;

    const PATIENCE: Duration = Duration::from_millis(500);

    fn next(reorder: &mut Reorder, cache: &PacketCache, ms: u64) -> String {
        let start = meta(0).arrival;
        match reorder.step(cache, start + Duration::from_millis(ms), false) {
            Step::Packet(packet) => packet.meta.index.to_string(),
            Step::Lost { from, to } => format!("lost {from}-{to}"),
            Step::Wait { deadline } => format!("wait {}", (deadline - start).as_millis()),
            Step::Empty => "empty".into(),
        }
    }

    #[test]
    fn order_is_restored_and_loss_is_named_once() {
        let (mut cache, mut reorder) = (PacketCache::default(), Reorder::new(PATIENCE));
        assert_eq!(next(&mut reorder, &cache, 0), "empty");
        cache.insert(meta(10), b"");
        assert_eq!(next(&mut reorder, &cache, 0), "10");
        cache.insert(meta(13), b"");
        assert_eq!(next(&mut reorder, &cache, 100), "wait 600");
        cache.insert(meta(11), b"");
        assert_eq!(next(&mut reorder, &cache, 300), "11");
        assert_eq!(next(&mut reorder, &cache, 300), "wait 800");
        assert_eq!(next(&mut reorder, &cache, 799), "wait 800");
        assert_eq!(next(&mut reorder, &cache, 800), "lost 12-12");
        assert_eq!(next(&mut reorder, &cache, 800), "13");
        assert_eq!(next(&mut reorder, &cache, 800), "empty");
    }

    #[test]
    fn what_the_ring_overwrote_is_lost_at_once() {
        let (mut cache, mut reorder) = (PacketCache::default(), Reorder::new(PATIENCE));
        cache.insert(meta(10), b"");
        assert_eq!(next(&mut reorder, &cache, 0), "10");
        let far = 20 + limit::CACHE_PACKETS as u64;
        cache.insert(meta(far), b"");
        assert_eq!(next(&mut reorder, &cache, 0), format!("lost 11-{}", far - 1));
        assert_eq!(next(&mut reorder, &cache, 0), far.to_string());
    }

    #[test]
    fn at_the_end_nothing_is_waited_for() {
        let (mut cache, mut reorder) = (PacketCache::default(), Reorder::new(PATIENCE));
        cache.insert(meta(10), b"");
        assert_eq!(next(&mut reorder, &cache, 0), "10");
        cache.insert(meta(12), b"");
        let step = reorder.step(&cache, meta(0).arrival, true);
        assert!(matches!(step, Step::Lost { from: 11, to: 11 }), "{step:?}");
    }

    #[test]
    fn a_jump_is_no_loss() {
        let (mut cache, mut reorder) = (PacketCache::default(), Reorder::new(PATIENCE));
        cache.insert(meta(10), b"");
        assert_eq!(next(&mut reorder, &cache, 0), "10");
        cache.insert(meta(5000), b"");
        reorder.jump(5000);
        assert_eq!(next(&mut reorder, &cache, 0), "5000");
    }
}
