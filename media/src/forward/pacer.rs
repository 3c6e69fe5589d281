//! When one viewer's pictures may go: a token bucket, filled by the clock. Ordinary pictures find it full and go at once; a large keyframe empties it,
//! and the rest follows step by step. Sound and repairs never wait, but what they take is missing for pictures.
//!
//! Which packets wait, and where, does not belong here.

use std::time::Instant;

use crate::limit;

/// A rate known to pass is paced at this multiple of it, in percent: what is late catches up, and a keyframe leaves about half of itself in the queue
/// before the slow link.
const HEADROOM_PERCENT: u64 = 200;
/// The bucket of a limited viewer holds what its rate brings in so many milliseconds: the ordinary picture of a layer that fits takes half of one
/// picture's time.
const BURST_MS: u64 = 40;
/// Two packets: less would hold up single pictures.
const BURST_LEAST: u64 = 3000;

/// See the head of this module.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    /// Bytes on the wire that may go now. Below zero after something that did not wait.
    level: i64,
    /// Most that it holds.
    burst: i64,
    /// Bytes per second.
    rate: u64,
    filled: Option<Instant>,
}

impl Default for Pacer {
    fn default() -> Self {
        let mut pacer = Self { level: 0, burst: 0, rate: 0, filled: None };
        pacer.aim(None);
        pacer.level = pacer.burst;
        pacer
    }
}

impl Pacer {
    /// Goes by what is known to pass, in bits per second; `None` while no limit was met.
    pub fn aim(&mut self, bitrate: Option<u64>) {
        let paced = |bitrate: u64| (bitrate.saturating_mul(HEADROOM_PERCENT) / 100).max(limit::PACE_LEAST);
        let bits = bitrate.map_or(limit::PACE_MOST, paced).min(limit::PACE_MOST);
        self.rate = bits / 8;
        self.burst = (self.rate * BURST_MS / 1000).clamp(BURST_LEAST, limit::PACE_BURST_BYTES) as i64;
        self.level = self.level.min(self.burst);
    }

    /// Once before something is sent.
    pub fn fill(&mut self, now: Instant) {
        let since = self.filled.unwrap_or(now);
        // A full bucket is reached in less than a second.
        let us = now.saturating_duration_since(since).as_micros().min(1_000_000) as u64;
        let bytes = (us * self.rate / 1_000_000) as i64;
        if bytes > 0 || self.filled.is_none() {
            self.filled = Some(now);
            self.level = (self.level + bytes).min(self.burst);
        }
    }

    /// The next packet of a picture may go.
    pub fn is_open(&self) -> bool {
        self.level > 0
    }

    /// So many bytes went, whether it was open or not.
    pub fn spend(&mut self, bytes: usize) {
        self.level = (self.level - bytes as i64).max(-self.burst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::testing::start;

    const MS: Duration = Duration::from_millis(1);

    /// Packets of 1000 bytes that go in each millisecond, if there are always more.
    fn sent(pacer: &mut Pacer, from: Instant, ms: u32) -> Vec<usize> {
        let mut each = Vec::new();
        for step in 0..ms {
            pacer.fill(from + MS * step);
            let mut packets = 0;
            while pacer.is_open() {
                pacer.spend(1000);
                packets += 1;
            }
            each.push(packets);
        }
        each
    }

    #[test]
    fn without_a_limit_only_large_keyframes_are_smoothed() {
        let now = start().mono;
        let each = sent(&mut Pacer::default(), now, 11);
        assert_eq!(each[0], 40, "the pictures of browsers are smaller");
        assert_eq!(each[1..].iter().sum::<usize>(), 80, "64 Mbit/s");
    }

    #[test]
    fn a_known_limit_is_twice_what_passes() {
        let now = start().mono;
        let mut pacer = Pacer::default();
        pacer.aim(Some(1_000_000));
        let each = sent(&mut pacer, now, 1001);
        assert_eq!(each[0], 10, "40 ms");
        assert_eq!(each[1..].iter().sum::<usize>(), 250, "2 Mbit/s");
        assert!(each[1..].iter().all(|packets| *packets <= 1));
        pacer.aim(Some(1000));
        let each = sent(&mut pacer, now + MS * 2000, 1001);
        assert_eq!((each[0], each[1..].iter().sum()), (3, 31), "no slower than this");
    }

    #[test]
    fn what_does_not_wait_delays_what_does_for_a_moment_only() {
        let now = start().mono;
        let mut pacer = Pacer::default();
        pacer.aim(Some(1_000_000));
        pacer.fill(now);
        (0..100).for_each(|_| pacer.spend(1000));
        let each = sent(&mut pacer, now, 50);
        assert_eq!(each.iter().position(|packets| *packets > 0), Some(41));
    }
}
