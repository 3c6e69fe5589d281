//! What a viewer's downlink carries, learnt from transport-wide feedback: how much arrives, how long packets stand in queues, how many are lost.
//!
//! Nothing is known until the path is congested: then it carries a little less than what arrives. From there on it is known to carry what was seen to
//! arrive, and more is found out by probing. Of a receiver that has no such feedback but its own estimate (REMB) that is believed instead. What is sent at all, and which layer fits, does not belong here.

use std::time::{Duration, Instant};

use super::feedback::Arrivals;

/// Packets remembered until feedback tells of them: a round trip of half a second at 260 packets a second, and at 2000 once feedback comes later than
/// that. Powers of two.
const SENT: usize = 128;
const SENT_MOST: usize = 1024;
/// Arrivals are judged together over this much of the receiver's time, in microseconds: several pictures.
const WINDOW_US: u32 = 300_000;
/// Even the packet with the least delay of a window stood this much longer in queues than the path needs: more is sent than passes.
const QUEUE_US: i32 = 60_000;
/// A probe ends sooner, before it costs a picture: by this much queue of this much of the receiver's time.
const PROBE_QUEUE_US: i32 = 40_000;
const PROBE_WINDOW_US: u32 = 100_000;
/// Lost packets that show the same, in percent of those of the last second or so: a window alone holds too few to say.
const LOSS_PERCENT: u32 = 10;
/// What is known to pass of what arrived when it was too much, in percent: the queue has to drain as well.
const KEEP_PERCENT: u64 = 85;
/// A cut needs so long to show.
const SETTLE: Duration = Duration::from_millis(600);
/// The least delay of the path is the least of 15 to 30 s: clocks drift and routes change.
const BASE: Duration = Duration::from_secs(15);
/// A probe lasts so long, and is judged until so long after it.
const PROBE: Duration = Duration::from_millis(700);
const VERDICT: Duration = Duration::from_millis(500);
/// From a congestion to the next probe; doubled with each that failed.
const PROBE_WAIT: Duration = Duration::from_secs(3);
const PROBE_WAIT_MOST: Duration = Duration::from_secs(48);
/// A congestion so soon after a probe shows that the probe was wrong.
const PROOF: Duration = Duration::from_secs(15);

/// What was sent is measured over this long before a receiver's own estimate is compared with it.
const TOLD_WINDOW: Duration = Duration::from_millis(500);
/// So much more is sent than the receiver's estimate, in percent, that it is not only a large picture.
const TOLD_SLACK: u64 = 10;
/// A receiver's estimate grows by no more than 8 % a second, and by half of what it gets at most: a probe goes on while it grows, each time for so long.
const TOLD_PROBE: Duration = Duration::from_secs(2);
/// The least growth that counts, and the fall that ends a probe, in percent.
const TOLD_GROWTH: u64 = 2;
const TOLD_FALL: u64 = 10;

/// A packet on its way. Small, as every viewer has many of them.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// In steps of [`STEP_US`] since the epoch, modulo 2^16: 16.8 s.
    at: u16,
    /// 0: nothing to be told. The top bit: told as lost.
    bytes: u16,
}

/// About the grain of the feedback itself.
const STEP_US: u64 = 256;
const LOST: u16 = 1 << 15;

/// What arrived within [`WINDOW_US`].
#[derive(Clone, Copy, Debug)]
struct Window {
    first_us: u32,
    last_us: u32,
    bytes: u64,
    arrived: u32,
    lost: u32,
    /// Least way of a packet, in microseconds between two clocks that have nothing to do with each other.
    least_us: i32,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    /// Bits per second that are to be shown.
    needed: u64,
    /// Bits per second of padding.
    padding: u64,
    until: Instant,
    /// The highest estimate that a receiver has told since; 0 before, and where it tells arrivals.
    told: u64,
    /// When the part of it that is looked at began, on the receiver's clock, and the least way since.
    least: Option<(u32, i32)>,
}

/// The lesser of two ways, which are modulo 2^32.
fn less(one: i32, other: i32) -> i32 {
    if one.wrapping_sub(other) < 0 { one } else { other }
}

/// See the head of this module.
#[derive(Debug)]
pub struct Estimator {
    epoch: Instant,
    /// Each at its number modulo the length.
    sent: Box<[Sent]>,
    next: u16,
    window: Option<Window>,
    /// Least way so far of this and of the last period of [`BASE`], and since when.
    base: (Option<i32>, Option<i32>, Instant),
    /// Packets that arrived and were lost, those of a window before counting three quarters of those after it; times 16.
    fates: (u32, u32),
    /// Bits per second that arrived in the last window.
    arriving: u64,
    /// Bytes of packets without a number, and since when they are counted.
    unnumbered: (u64, Option<Instant>),
    bitrate: Option<u64>,
    congested: bool,
    cut: Option<Instant>,
    probe: Option<Probe>,
    probe_after: Instant,
    probe_wait: Duration,
    proved: Option<Instant>,
}

impl Estimator {
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            sent: vec![Sent::default(); SENT].into_boxed_slice(),
            next: 1,
            window: None,
            base: (None, None, now),
            fates: (0, 0),
            arriving: 0,
            unnumbered: (0, None),
            bitrate: None,
            congested: false,
            cut: None,
            probe: None,
            probe_after: now,
            probe_wait: PROBE_WAIT,
            proved: None,
        }
    }

    /// The transport-wide number of the next packet.
    pub fn next_sequence(&self) -> u16 {
        self.next
    }

    /// A packet with the next number was sent; `bytes` on the wire.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        let (sequence, at) = (self.next, self.steps(now) as u16);
        self.sent[usize::from(sequence) % self.sent.len()] =
            Sent { at, bytes: bytes.min(usize::from(LOST - 1)) as u16 };
        self.next = sequence.wrapping_add(1);
    }

    /// Twice as many packets.
    fn remember_more(&mut self) {
        let (known, more) = (self.sent.len(), self.sent.len() * 2);
        let mut sent = vec![Sent::default(); more].into_boxed_slice();
        for ago in 1..=known {
            let sequence = usize::from(self.next.wrapping_sub(ago as u16));
            sent[sequence % more] = self.sent[sequence % known];
        }
        self.sent = sent;
    }

    /// A packet without a number was sent; `bytes` on the wire.
    pub fn sent_unnumbered(&mut self, bytes: usize) {
        self.unnumbered.0 += bytes as u64;
    }

    fn steps(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_micros() as u64 / STEP_US
    }

    /// Bits per second that the path is known to carry; `None` while no limit was met.
    pub fn bitrate(&self) -> Option<u64> {
        self.bitrate
    }

    /// More is sent than passes.
    pub fn is_congested(&self) -> bool {
        self.congested
    }

    /// Takes a transport-wide feedback packet, header included. False when it is malformed.
    pub fn feedback(&mut self, now: Instant, packet: &[u8]) -> bool {
        let Some(arrivals) = Arrivals::parse(packet) else { return false };
        let steps = self.steps(now);
        for (sequence, arrival) in arrivals {
            let ago = usize::from(self.next.wrapping_sub(sequence));
            if (self.sent.len() + 1..=SENT_MOST).contains(&ago) {
                self.remember_more();
            }
            let kept = self.sent.len();
            let slot = &mut self.sent[usize::from(sequence) % kept];
            // Its place may belong to a newer packet, or to none that was sent.
            if !(1..=kept).contains(&ago) || slot.bytes == 0 {
                continue;
            }
            let Some(at_us) = arrival else {
                if slot.bytes & LOST == 0 {
                    slot.bytes |= LOST;
                    self.window.iter_mut().for_each(|window| window.lost += 1);
                }
                continue;
            };
            let was_late = slot.bytes & LOST != 0;
            let bytes = u64::from(std::mem::take(&mut slot.bytes) & !LOST);
            if let Some(window) = self.window.as_mut().filter(|_| was_late) {
                window.lost = window.lost.saturating_sub(1);
            }
            let ago = u64::from((steps as u16).wrapping_sub(slot.at));
            let sent_us = steps.wrapping_sub(ago).wrapping_mul(STEP_US) as u32;
            let way_us = at_us.wrapping_sub(sent_us) as i32;
            self.arrived(now, at_us, bytes, way_us);
        }
        true
    }

    fn arrived(&mut self, now: Instant, at_us: u32, bytes: u64, way_us: i32) {
        self.watch_probe(now, at_us, way_us);
        let Some(window) = &mut self.window else {
            let first = Window { first_us: at_us, last_us: at_us, bytes: 0, arrived: 1, lost: 0, least_us: way_us };
            self.window = Some(first);
            return;
        };
        window.least_us = less(window.least_us, way_us);
        if at_us.wrapping_sub(window.last_us) as i32 > 0 {
            window.last_us = at_us;
        }
        window.bytes += bytes;
        window.arrived += 1;
        if window.last_us.wrapping_sub(window.first_us) >= WINDOW_US {
            let whole = *window;
            // The next one counts from here; its bytes come after this packet.
            let last_us = whole.last_us;
            self.window = Some(Window { first_us: last_us, last_us, bytes: 0, arrived: 0, lost: 0, least_us: way_us });
            self.judge(now, whole);
        }
    }

    fn watch_probe(&mut self, now: Instant, at_us: u32, way_us: i32) {
        let Some(probe) = &mut self.probe else { return };
        let (since_us, least_us) = probe.least.unwrap_or((at_us, way_us));
        let least_us = less(least_us, way_us);
        probe.least = Some((since_us, least_us));
        if (at_us.wrapping_sub(since_us) as i32) < PROBE_WINDOW_US as i32 {
            return;
        }
        probe.least = None;
        let base = self.base.0.map_or(least_us, |newest| self.base.1.map_or(newest, |before| less(newest, before)));
        if least_us.wrapping_sub(base) > PROBE_QUEUE_US {
            self.probe_failed(now);
        }
    }

    fn judge(&mut self, now: Instant, window: Window) {
        let span_us = u64::from(window.last_us.wrapping_sub(window.first_us).max(1));
        self.arriving = window.bytes * 8_000_000 / span_us;
        let queue_us = window.least_us.wrapping_sub(self.base(now, window.least_us));
        let decayed = |before: u32, now: u32| before / 4 * 3 + 16 * now;
        self.fates = (decayed(self.fates.0, window.arrived), decayed(self.fates.1, window.lost));
        let loss = self.fates.1 * 100 / (self.fates.0 + self.fates.1).max(1);
        self.congested = queue_us > QUEUE_US || loss > LOSS_PERCENT;
        if self.congested {
            return self.too_much(now);
        }
        if self.bitrate.is_some_and(|known| known < self.arriving) {
            self.bitrate = Some(self.arriving);
        }
        self.forgive(now);
        let Some(probe) = self.probe else { return };
        if self.arriving >= probe.needed {
            self.proved = Some(now);
            self.probe = None;
        } else if now >= probe.until + VERDICT {
            self.probe_failed(now);
        }
    }

    fn base(&mut self, now: Instant, least_us: i32) -> i32 {
        let (newest, before, since) = &mut self.base;
        if now >= *since + BASE {
            (*before, *newest, *since) = (*newest, None, now);
        }
        let least = newest.map_or(least_us, |known| less(known, least_us));
        *newest = Some(least);
        before.map_or(least, |before| less(before, least))
    }

    /// Takes a receiver's own estimate in bits per second (REMB), where there is no other feedback. It says little as long as less is sent: it is no
    /// limit before more was sent than it, and then it is the limit.
    pub fn told(&mut self, now: Instant, bitrate: u64) {
        let (bytes, since) = (self.unnumbered.0, *self.unnumbered.1.get_or_insert(now));
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= TOLD_WINDOW {
            self.arriving = (u128::from(bytes) * 8_000_000 / elapsed.as_micros()) as u64;
            self.unnumbered = (0, Some(now));
        }
        if self.probe.is_some() {
            return self.told_in_probe(now, bitrate);
        }
        self.congested = self.arriving > bitrate.saturating_add(bitrate / 100 * TOLD_SLACK);
        if self.congested {
            self.bitrate = Some(bitrate);
            return self.limit_met(now);
        }
        self.bitrate = self.bitrate.map(|_| bitrate);
        self.forgive(now);
    }

    fn told_in_probe(&mut self, now: Instant, bitrate: u64) {
        let Some(probe) = &mut self.probe else { return };
        if bitrate >= probe.needed {
            (self.bitrate, self.proved, self.probe) = (Some(bitrate), Some(now), None);
        } else if now >= probe.until || bitrate < probe.told / 100 * (100 - TOLD_FALL) {
            self.bitrate = Some(bitrate);
            self.probe_failed(now);
        } else if bitrate > probe.told + probe.told / 100 * TOLD_GROWTH {
            (probe.told, probe.until) = (bitrate, now + TOLD_PROBE);
        }
    }

    /// What was shown by a probe held: those before it say nothing any more.
    fn forgive(&mut self, now: Instant) {
        if self.proved.is_some_and(|proved| now >= proved + PROOF) {
            (self.proved, self.probe_wait) = (None, PROBE_WAIT);
        }
    }

    fn too_much(&mut self, now: Instant) {
        // What was lost before a change says nothing of what comes after it.
        self.fates = (0, 0);
        if self.probe.is_some() {
            // What is too much is the padding, which ends here; the layer in use has not been shown to be.
            self.probe_failed(now);
            self.cut = Some(now);
            self.congested = false;
            return;
        }
        if self.cut.is_some_and(|cut| now < cut + SETTLE) {
            return;
        }
        let passes = self.arriving * KEEP_PERCENT / 100;
        self.bitrate = Some(self.bitrate.map_or(passes, |known| known.min(passes)));
        self.cut = Some(now);
        self.limit_met(now);
    }

    fn limit_met(&mut self, now: Instant) {
        let disproved = self.proved.take().is_some_and(|proved| now < proved + PROOF);
        self.probe_wait = if disproved { (self.probe_wait * 2).min(PROBE_WAIT_MOST) } else { self.probe_wait };
        self.probe_after = now + self.probe_wait;
    }

    fn probe_failed(&mut self, now: Instant) {
        self.probe = None;
        self.probe_wait = (self.probe_wait * 2).min(PROBE_WAIT_MOST);
        self.probe_after = now + self.probe_wait;
    }

    /// Bits per second are needed that the path is not known to carry: begins a probe if it is time for one.
    pub fn probe(&mut self, now: Instant, needed: u64) -> bool {
        let known = self.bitrate.is_none_or(|known| known >= needed);
        if known || self.congested || self.probe.is_some() || now < self.probe_after {
            return false;
        }
        let padding = needed.saturating_sub(self.arriving) + needed / 10;
        let time = if self.unnumbered.1.is_some() { TOLD_PROBE } else { PROBE };
        self.probe = Some(Probe { needed, padding, until: now + time, told: 0, least: None });
        true
    }

    /// Bytes of padding that are to be sent for each millisecond; `None` when no probe is under way.
    pub fn padding(&self, now: Instant) -> Option<u64> {
        self.probe.filter(|probe| now < probe.until).map(|probe| probe.padding / 8000)
    }
}

#[cfg(test)]
mod tests {
    use super::super::feedback::{Compound, TwccRecorder};
    use super::*;
    use crate::session::testing::start;

    /// What feedback about these numbers, all of which arrived now, changes.
    fn arrived(estimator: &mut Estimator, now: Instant, numbers: std::ops::Range<u16>) -> u32 {
        let (mut recorder, mut compound) = (TwccRecorder::new(), Compound::new());
        numbers.for_each(|number| recorder.received(now, number));
        assert!(recorder.poll(now + Duration::from_secs(1), 1, 2, &mut compound));
        let before = estimator.window.map_or(0, |window| window.arrived);
        assert!(estimator.feedback(now, compound.as_bytes()));
        estimator.window.map_or(0, |window| window.arrived) - before
    }

    #[test]
    fn only_packets_on_their_way_are_told_of() {
        let now = start().mono;
        let mut estimator = Estimator::new(now);
        // Longer than what a packet remembers of its time.
        let later = now + Duration::from_secs(40);
        (0..10).for_each(|_| estimator.sent(later, 1000));
        assert_eq!(arrived(&mut estimator, later, 1..6), 5);
        assert!(estimator.window.is_some_and(|window| window.arrived == 5));
        assert_eq!(arrived(&mut estimator, later, 1..6), 0, "told before");
        assert_eq!(arrived(&mut estimator, later, 11..20), 0, "not sent yet");
        (0..SENT).for_each(|_| estimator.sent(later, 1000));
        assert_eq!(arrived(&mut estimator, later, 6..11), 0, "their places belong to newer ones");
        assert_eq!(arrived(&mut estimator, later, 11..21), 10);
    }

    /// A path with a queue, in steps of a millisecond.
    struct Path {
        now: Instant,
        estimator: Estimator,
        recorder: TwccRecorder,
        flying: std::collections::VecDeque<(Instant, u16)>,
        drained: Instant,
    }

    impl Path {
        fn new() -> Self {
            let now = start().mono;
            let (estimator, recorder) = (Estimator::new(now), TwccRecorder::new());
            Self { now, estimator, recorder, flying: Default::default(), drained: now }
        }

        /// Sends so many packets of 1000 bytes a second, with the padding of probes, over a path of so many bits per second.
        fn run(&mut self, packets: u64, rate: u64, ms: u64) {
            for step in 0..ms {
                self.now += Duration::from_millis(1);
                let due = (step + 1) * packets / 1000 - step * packets / 1000;
                let padding =
                    self.estimator.padding(self.now).map_or(0, |bytes| (step + 1) * bytes / 1000 - step * bytes / 1000);
                for _ in 0..due + padding {
                    let sequence = self.estimator.next_sequence();
                    self.estimator.sent(self.now, 1000);
                    self.drained = self.drained.max(self.now) + Duration::from_micros(8_000_000_000 / rate);
                    self.flying.push_back((self.drained + Duration::from_millis(20), sequence));
                }
                while self.flying.front().is_some_and(|(at, _)| *at <= self.now) {
                    let (at, sequence) = self.flying.pop_front().unwrap();
                    self.recorder.received(at, sequence);
                }
                let mut compound = Compound::new();
                while self.recorder.poll(self.now, 1, 2, &mut compound) {
                    assert!(self.estimator.feedback(self.now, compound.as_bytes()));
                    compound.clear();
                }
            }
        }
    }

    #[test]
    fn nothing_is_known_of_a_path_that_carries_all() {
        let mut path = Path::new();
        path.run(100, 2_000_000, 5000);
        assert_eq!((path.estimator.bitrate(), path.estimator.is_congested()), (None, false));
    }

    #[test]
    fn a_queue_shows_what_passes_and_a_probe_shows_more() {
        let mut path = Path::new();
        path.run(100, 2_000_000, 2000);
        path.run(100, 600_000, 1500);
        let known = path.estimator.bitrate().expect("a limit was met");
        assert!((450_000..560_000).contains(&known), "{known}");
        assert!(!path.estimator.probe(path.now, 800_000), "too soon");
        // It is sent less, the queue drains.
        path.run(40, 600_000, 5000);
        assert!(!path.estimator.is_congested());
        assert!(!path.estimator.probe(path.now, known / 2), "that much is known to pass");
        assert!(path.estimator.probe(path.now, 800_000));
        path.run(40, 600_000, 2000);
        assert_eq!(path.estimator.bitrate(), Some(known), "it did not pass");
        assert!(!path.estimator.probe(path.now, 800_000), "not again at once");
        path.run(40, 2_000_000, 8000);
        assert!(path.estimator.probe(path.now, 800_000));
        path.run(40, 2_000_000, 2000);
        assert!(path.estimator.bitrate().unwrap() >= 800_000, "it passed");
    }

    #[test]
    fn more_is_remembered_where_feedback_comes_late() {
        let mut path = Path::new();
        path.run(2000, 50_000_000, 300);
        assert_eq!(path.estimator.sent.len(), SENT * 2, "what 20 ms of way and 50 ms of gathering need");
        assert!(path.estimator.arriving > 0 || path.estimator.window.is_some_and(|window| window.arrived > 100));
        path.run(2000, 6_000_000, 4000);
        assert!(path.estimator.sent.len() <= SENT_MOST);
        let known = path.estimator.bitrate().expect("a limit was met");
        assert!((4_000_000..6_000_000).contains(&known), "{known}");
    }

    #[test]
    fn a_receivers_own_estimate_is_a_limit_once_more_is_sent() {
        let mut now = start().mono;
        let mut estimator = Estimator::new(now);
        // For a second, in which so much is sent.
        let mut told = |estimator: &mut Estimator, sent: u64, bitrate: u64| {
            for _ in 0..4 {
                now += Duration::from_millis(250);
                estimator.sent_unnumbered((sent / 32) as usize);
                estimator.told(now, bitrate);
            }
            (estimator.bitrate(), estimator.is_congested(), now)
        };
        told(&mut estimator, 200_000, 300_000);
        assert_eq!(told(&mut estimator, 200_000, 300_000).0, None, "nothing was met");
        told(&mut estimator, 500_000, 300_000);
        let (known, congested, at) = told(&mut estimator, 500_000, 300_000);
        assert_eq!((known, congested), (Some(300_000), true));
        assert!(!estimator.probe(at, 500_000), "too soon");
        for _ in 0..4 {
            told(&mut estimator, 200_000, 310_000);
        }
        let (known, congested, at) = told(&mut estimator, 200_000, 310_000);
        assert_eq!((known, congested), (Some(310_000), false));
        // It grows as it is wont to, and the probe goes on for as long.
        assert!(estimator.probe(at, 500_000));
        for step in 1..=5 {
            let (_, _, at) = told(&mut estimator, 550_000, 310_000 + 30_000 * step);
            assert!(estimator.padding(at).is_some());
        }
        let (known, _, at) = told(&mut estimator, 550_000, 500_000);
        assert_eq!((known, estimator.padding(at)), (Some(500_000), None));
        // Once more, and it does not grow.
        assert!(estimator.probe(at, 900_000));
        for _ in 0..3 {
            told(&mut estimator, 990_000, 505_000);
        }
        let (_, _, at) = told(&mut estimator, 400_000, 505_000);
        assert_eq!(estimator.padding(at), None);
        assert!(!estimator.probe(at, 900_000), "not again at once");
        estimator.told(at, u64::MAX);
        assert_eq!(estimator.bitrate(), Some(u64::MAX), "whatever it says");
    }

    #[test]
    fn feedback_about_nothing_is_harmless() {
        let mut estimator = Estimator::new(start().mono);
        assert!(!estimator.feedback(start().mono, &[0x8f, 205, 0, 4]));
        let strange = [0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0x20, 0, 0, 0, 1, 0, 0x20, 0, 0x3f, 0xff];
        assert!(estimator.feedback(start().mono, &strange));
        assert_eq!(estimator.bitrate(), None);
    }
}
