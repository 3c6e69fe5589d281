//! Which packets a receiver asks for again (RFC 4585 §6.2.1), how often, and when it gives up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limit;

/// Packets overtake each other: a gap is asked for after this long.
const REORDER: Duration = Duration::from_millis(10);
/// Spacing of repeated requests before the round trip is known, and its bounds after.
const FIRST_SPACING: Duration = Duration::from_millis(80);
const SPACING: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(160);

/// So many packets in a row were asked for twice and more, and none of any came: the sender does not repair.
const IN_VAIN: u32 = 8;
/// A sender that does not repair is waited for only this long before a keyframe is asked for.
const HOPELESS_DEADLINE: Duration = Duration::from_millis(120);

/// Missing packets of one stream. Numbers are extended sequence numbers, so that they only grow.
#[derive(Clone, Debug, Default)]
pub struct NackGenerator {
    highest: Option<u64>,
    /// Ascending.
    missing: VecDeque<Missing>,
    /// From request to repair, smoothed.
    round_trip: Option<Duration>,
    given_up: u64,
    newest_given_up: Option<u64>,
    /// Given up in spite of several requests, since the last repair.
    in_vain: u32,
}

#[derive(Clone, Debug)]
struct Missing {
    seq: u64,
    since: Instant,
    asked_at: Option<Instant>,
    tries: u32,
}

impl NackGenerator {
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet came, by itself or as a repair. Those between it and the highest so far are missing from now on.
    pub fn received(&mut self, now: Instant, seq: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            return;
        };
        if seq <= highest {
            self.repaired(now, seq);
            return;
        }
        self.highest = Some(seq);
        let bound = limit::NACK_MISSING as u64;
        let first = (highest + 1).max(seq.saturating_sub(bound));
        if first > highest + 1 {
            self.given_up += first - (highest + 1);
            self.newest_given_up = Some(first - 1);
        }
        for seq in first..seq {
            if self.missing.len() == limit::NACK_MISSING {
                let oldest = self.missing.pop_front();
                oldest.into_iter().for_each(|missing| self.give_up(missing.seq));
            }
            self.missing.push_back(Missing { seq, since: now, asked_at: None, tries: 0 });
        }
    }

    fn repaired(&mut self, now: Instant, seq: u64) {
        let Ok(at) = self.missing.binary_search_by_key(&seq, |m| m.seq) else { return };
        let repaired = self.missing.remove(at);
        if repaired.as_ref().is_some_and(|missing| missing.tries > 0) {
            self.in_vain = 0;
        }
        // After a second request nobody knows which of them was answered.
        if let Some(Missing { asked_at: Some(asked), tries: 1, .. }) = repaired {
            let sample = now.saturating_duration_since(asked);
            self.round_trip = Some(self.round_trip.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
    }

    /// Appends the sequence numbers to ask for now, ascending, and returns how many were given up since the last call. If there are any, the picture is broken: ask
    /// for a keyframe.
    pub fn poll(&mut self, now: Instant, ask: &mut Vec<u16>) -> u64 {
        let spacing = self.spacing();
        let patience = self.patience();
        while let Some(missing) = self.missing.pop_front_if(|missing| now >= missing.since + patience) {
            self.in_vain += u32::from(missing.tries > 1);
            self.give_up(missing.seq);
        }
        for missing in &mut self.missing {
            if now >= missing.due(spacing) {
                missing.asked_at = Some(now);
                missing.tries += 1;
                ask.push(missing.seq as u16);
            }
        }
        std::mem::take(&mut self.given_up)
    }

    /// When [`NackGenerator::poll`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        let (spacing, patience) = (self.spacing(), self.patience());
        self.missing.iter().map(|m| m.due(spacing).min(m.since + patience)).min()
    }

    /// The newest packet that was given up. A keyframe after it heals the picture.
    pub fn newest_given_up(&self) -> Option<u64> {
        self.newest_given_up
    }

    /// The sender was asked often enough to know that it does not repair.
    pub fn is_in_vain(&self) -> bool {
        self.in_vain >= IN_VAIN
    }

    fn patience(&self) -> Duration {
        if self.is_in_vain() { HOPELESS_DEADLINE } else { limit::NACK_DEADLINE }
    }

    fn give_up(&mut self, seq: u64) {
        self.given_up += 1;
        self.newest_given_up = Some(seq);
    }

    /// Forgets what is missing: a keyframe came, older pictures are of no use.
    pub fn forget_before(&mut self, seq: u64) {
        while self.missing.front().is_some_and(|m| m.seq < seq) {
            self.missing.pop_front();
        }
    }

    /// From request to repair, once one was measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn spacing(&self) -> Duration {
        self.round_trip.map_or(FIRST_SPACING, |rtt| (rtt + rtt / 4).clamp(*SPACING.start(), *SPACING.end()))
    }
}

impl Missing {
    fn due(&self, spacing: Duration) -> Instant {
        match self.asked_at {
            None => self.since + REORDER,
            Some(asked) => asked + spacing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::start;

    const MS: Duration = Duration::from_millis(1);

    fn asked(nack: &mut NackGenerator, now: Instant) -> (Vec<u16>, u64) {
        let mut ask = Vec::new();
        let given_up = nack.poll(now, &mut ask);
        (ask, given_up)
    }

    #[test]
    fn a_gap_is_asked_for_after_a_moment_and_again_each_round_trip() {
        let (mut nack, t) = (NackGenerator::new(), start().mono);
        nack.received(t, 65_534);
        nack.received(t, 65_538);
        assert_eq!(asked(&mut nack, t + 9 * MS), (vec![], 0));
        assert_eq!(nack.next_deadline(), Some(t + 10 * MS));
        assert_eq!(asked(&mut nack, t + 10 * MS), (vec![65_535, 0, 1], 0));
        assert_eq!(asked(&mut nack, t + 11 * MS), (vec![], 0));
        nack.received(t + 50 * MS, 65_536);
        assert_eq!(nack.round_trip(), Some(40 * MS));
        assert_eq!(nack.next_deadline(), Some(t + 60 * MS));
        assert_eq!(asked(&mut nack, t + 60 * MS), (vec![65_535, 1], 0));
        nack.received(t + 61 * MS, 65_535);
        nack.received(t + 61 * MS, 65_537);
        assert_eq!((asked(&mut nack, t + 400 * MS), nack.next_deadline()), ((vec![], 0), None));
    }

    #[test]
    fn what_was_only_reordered_is_not_asked_for() {
        let (mut nack, t) = (NackGenerator::new(), start().mono);
        nack.received(t, 10);
        nack.received(t, 12);
        nack.received(t + 5 * MS, 11);
        assert_eq!(asked(&mut nack, t + 20 * MS), (vec![], 0));
    }

    #[test]
    fn gives_up_at_the_deadline() {
        let (mut nack, t) = (NackGenerator::new(), start().mono);
        nack.received(t, 1);
        nack.received(t, 3);
        let mut tries = 0;
        for ms in 0..500 {
            let (ask, given_up) = asked(&mut nack, t + ms * MS);
            tries += ask.len();
            assert_eq!(given_up, 0);
        }
        assert!((4..=8).contains(&tries), "{tries}");
        assert_eq!(asked(&mut nack, t + 500 * MS), (vec![], 1));
        assert_eq!(asked(&mut nack, t + 501 * MS), (vec![], 0));
    }

    #[test]
    fn a_sender_that_never_repairs_is_not_waited_for_long() {
        let (mut nack, t) = (NackGenerator::new(), start().mono);
        nack.received(t, 0);
        nack.received(t, 9);
        for ms in 0..500 {
            assert_eq!(asked(&mut nack, t + ms * MS).1, 0);
        }
        assert_eq!((asked(&mut nack, t + 500 * MS).1, nack.newest_given_up()), (8, Some(8)));
        assert!(nack.is_in_vain());
        let late = t + 1000 * MS;
        nack.received(late, 11);
        assert_eq!(asked(&mut nack, late + 10 * MS), (vec![10], 0), "it is asked all the same");
        assert_eq!(asked(&mut nack, late + 90 * MS), (vec![10], 0));
        assert_eq!(asked(&mut nack, late + 120 * MS), (vec![], 1));
        nack.received(late, 13);
        assert_eq!(asked(&mut nack, late + 10 * MS).0, [12]);
        nack.received(late + 50 * MS, 12);
        assert!(!nack.is_in_vain(), "it does repair");
    }

    #[test]
    fn is_bounded() {
        let (mut nack, t) = (NackGenerator::new(), start().mono);
        nack.received(t, 0);
        nack.received(t, 10_000);
        let (ask, given_up) = asked(&mut nack, t + 10 * MS);
        assert_eq!((ask.len(), given_up), (limit::NACK_MISSING, 9_999 - limit::NACK_MISSING as u64));
        nack.received(t, 10_002);
        assert_eq!(asked(&mut nack, t + 10 * MS).1, 1);
        nack.forget_before(10_003);
        assert_eq!(nack.next_deadline(), None);
    }
}
