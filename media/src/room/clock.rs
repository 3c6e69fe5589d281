//! The wall clock of a source's RTP timestamps: from capture times that its packets carry (abs-capture-time), else from its sender
//! reports (RFC 3550 §6.4.1), else from the arrival of its packets.
//!
//! A sender's own clock may stand anywhere and drift; what counts is that all its tracks use the same one. So one difference lays it on our clock: the
//! least that its reports have shown lately, followed slowly. A clock that somebody sets is laid anew, and a single report that is wrong is outvoted.

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Extended RTP timestamp.
    pub timestamp: u64,
    /// Microseconds since the Unix epoch, on our clock.
    pub utc_us: u64,
}

impl Anchor {
    /// Our wall clock at `timestamp`; `rate` in Hz.
    pub fn utc_us(&self, timestamp: u64, rate: u32) -> u64 {
        let ticks = timestamp.wrapping_sub(self.timestamp) as i64;
        let us = i128::from(ticks) * 1_000_000 / i128::from(rate);
        (i128::from(self.utc_us) + us).clamp(0, i128::from(u64::MAX)) as u64
    }

    /// The timestamp at `utc_us`.
    pub fn timestamp(&self, utc_us: u64, rate: u32) -> u64 {
        let us = utc_us.wrapping_sub(self.utc_us) as i64;
        self.timestamp.wrapping_add((i128::from(us) * i128::from(rate) / 1_000_000) as i64 as u64)
    }
}

/// Of one track and source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceClock {
    /// The packets that came with the least delay in this window and the one before, and when this one began.
    arrivals: [Option<Anchor>; 2],
    window_us: u64,
    arrival: Option<Anchor>,
    /// The newest reports, the newest last.
    reports: [Option<Anchor>; REPORTS],
    report: Option<Anchor>,
    capture: Option<Anchor>,
    first_us: Option<u64>,
}

/// Reports to choose from. Many senders take the moment of sending for the moment of a timestamp, and a busy sender is late: the
/// least late of the newest reports is believed.
const REPORTS: usize = 3;
/// A sender that reported nothing for so long is taken by the arrival of its packets. Browsers report within a second or two.
const REPORT_PATIENCE_US: u64 = 5_000_000;
/// A capture time counts for so long after its packet. Senders may leave out those that follow from the ones before.
const CAPTURE_COUNTS_US: u64 = 5_000_000;
/// A packet later than this against its timestamp shows that the sender set its timestamps back.
const RESET_US: u64 = 5_000_000;
/// Among the packets of two such windows some came with little delay; a clock that drifts by 300 ppm goes 6 ms astray in that time.
const ARRIVALS_US: u64 = 10_000_000;

impl SourceClock {
    /// A packet arrived at `utc_us`.
    pub fn on_packet(&mut self, timestamp: u64, utc_us: u64, rate: u32) {
        self.first_us.get_or_insert(utc_us);
        let here = Anchor { timestamp, utc_us };
        if self.arrival.is_some_and(|least| utc_us > least.utc_us(timestamp, rate) + RESET_US) {
            self.arrivals = [None; 2];
        }
        if utc_us >= self.window_us.saturating_add(ARRIVALS_US) {
            self.arrivals = [self.arrivals[1], None];
            self.window_us = utc_us;
        }
        if self.arrivals[1].is_none_or(|least| utc_us < least.utc_us(timestamp, rate)) {
            self.arrivals[1] = Some(here);
        }
        self.arrival = self.arrivals.iter().flatten().copied().min_by_key(|one| one.utc_us(timestamp, rate));
    }

    /// A sender report, its wall clock already laid on ours; `rate` in Hz.
    pub fn on_report(&mut self, anchor: Anchor, rate: u32) {
        self.reports.rotate_left(1);
        self.reports[REPORTS - 1] = Some(anchor);
        self.report = self.reports.iter().flatten().copied().min_by_key(|one| one.utc_us(anchor.timestamp, rate));
    }

    /// A packet said when it was taken, laid on our clock.
    pub fn on_capture(&mut self, anchor: Anchor) {
        self.capture = Some(anchor);
    }

    /// The sender's wall clock was set: what it said before counts no more.
    pub fn forget_reports(&mut self) {
        (self.reports, self.report, self.capture) = ([None; REPORTS], None, None);
    }

    pub fn report(&self) -> Option<Anchor> {
        self.report
    }

    /// What the sender says itself: capture times, which are exact, before reports.
    pub fn told(&self) -> Option<Anchor> {
        let newer = |report: Anchor| self.capture.filter(|capture| capture.utc_us + CAPTURE_COUNTS_US >= report.utc_us);
        self.report.map_or(self.capture, |report| newer(report).or(Some(report)))
    }

    /// For others to rely on at `utc_us`: by reports, by capture times, or by arrival when the sender says nothing.
    pub fn trusted(&self, utc_us: u64) -> Option<Anchor> {
        self.report.or(self.capture).or(self.arrival.filter(|_| self.is_silent(utc_us)))
    }

    /// The sender said nothing of time although it had long enough.
    pub fn is_silent(&self, utc_us: u64) -> bool {
        self.told().is_none() && self.first_us.is_some_and(|first| utc_us >= first + REPORT_PATIENCE_US)
    }

    pub fn by_arrival(&self) -> Option<Anchor> {
        self.arrival
    }
}

/// Lays a sender's wall clock on ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct SenderOffset {
    us: Option<i64>,
    /// The two least differences that the window before and this one have shown, and when this one began.
    least: [[Option<i64>; 2]; 2],
    window_us: u64,
    /// How many there were so far.
    seen: u32,
    /// When the newest one came.
    newest_us: u64,
    /// A difference that contradicts what was seen so far, and since when.
    odd: Option<(i64, u64)>,
}

/// What [`SenderOffset::lay`] made of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laid {
    /// On our clock, in microseconds since the Unix epoch.
    pub utc_us: u64,
    /// The sender's clock was set since the moment before.
    pub anew: bool,
}

/// A difference that departs from what was seen so far by more than this comes from a late report or a clock that was set. One that stays
/// for so long was set.
const SET_US: i64 = 250_000;
const SET_STAYS_US: u64 = 1_500_000;
/// Differences that agree to this are one.
const AGREE_US: i64 = 100_000;
/// A least difference from which all others are so far was wrong: no other way through the network is as much quicker.
const LONE_US: i64 = 40_000;
/// So long after the first nothing relies on it yet, and the least difference is taken at once.
const SETTLE_US: u64 = 2_500_000;
/// A drift is seen in the least differences of two such windows.
const DRIFT_US: u64 = 30_000_000;
/// And followed by one part of this at most: half of what a recording can follow.
const DRIFT_SLEW: u64 = 2000;

impl SenderOffset {
    /// `sender_us` is what the sender says, in microseconds of any epoch. `None`: it contradicts what was seen so far, and it is too early to
    /// say why.
    pub fn lay(&mut self, sender_us: u64, arrival_utc_us: u64) -> Option<Laid> {
        let sample = arrival_utc_us.wrapping_sub(sender_us) as i64;
        let offset = self.us.unwrap_or(sample);
        if sample.wrapping_sub(offset).checked_abs().is_none_or(|by| by > SET_US) {
            let same = |(odd, _): &(i64, u64)| odd.abs_diff(sample) <= AGREE_US as u64;
            let (odd, since_us) = self.odd.filter(same).unwrap_or((sample, arrival_utc_us));
            let odd = odd.min(sample);
            self.odd = Some((odd, since_us));
            if arrival_utc_us < since_us.saturating_add(SET_STAYS_US) {
                return None;
            }
            *self = Self { us: Some(odd), newest_us: arrival_utc_us, ..Self::default() };
            self.observe(odd, arrival_utc_us);
            return Some(Laid { utc_us: sender_us.wrapping_add_signed(odd), anew: true });
        }
        self.odd = None;
        let least = self.observe(sample, arrival_utc_us);
        let most =
            (arrival_utc_us.saturating_sub(std::mem::replace(&mut self.newest_us, arrival_utc_us)) / DRIFT_SLEW) as i64;
        let young = self.least[0][0].is_none() && arrival_utc_us < self.window_us.saturating_add(SETTLE_US);
        let offset = if young { least } else { offset + (least - offset).clamp(-most, most) };
        self.us = Some(offset);
        Some(Laid { utc_us: sender_us.wrapping_add_signed(offset), anew: false })
    }

    /// Microseconds by which our clock is ahead of the sender's; `None` before it said anything.
    pub fn ahead_us(&self) -> Option<i64> {
        self.us
    }

    /// The least of what was seen lately; the next one if nothing comes near to the least. Of two the least: one that comes late is likelier than one
    /// that is wrong.
    fn observe(&mut self, sample: i64, utc_us: u64) -> i64 {
        if utc_us >= self.window_us.saturating_add(DRIFT_US) {
            self.least = [self.least[1], [None; 2]];
            self.window_us = utc_us;
        }
        let [least, next] = &mut self.least[1];
        if least.is_none_or(|least| sample < least) {
            *next = least.replace(sample);
        } else if next.is_none_or(|next| sample < next) {
            *next = Some(sample);
        }
        self.seen = self.seen.saturating_add(1);
        let [[first, second], [third, fourth]] = self.least.map(|two| two.map(|least| least.unwrap_or(i64::MAX)));
        let lately = [first.min(third), first.max(third).min(second).min(fourth)];
        lately[usize::from(self.seen > 2 && lately[1].saturating_sub(lately[0]) > LONE_US)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_map_both_ways() {
        let anchor = Anchor { timestamp: 1 << 32, utc_us: 1_000_000_000 };
        for (ticks, us) in [(0i64, 0i64), (90_000, 1_000_000), (-45_000, -500_000), (3000, 33_333)] {
            let timestamp = anchor.timestamp.wrapping_add(ticks as u64);
            assert_eq!(anchor.utc_us(timestamp, 90_000), (1_000_000_000 + us) as u64);
        }
        assert_eq!(anchor.timestamp(1_002_000_000, 48_000), (1 << 32) + 96_000);
        assert_eq!(anchor.timestamp(999_000_000, 48_000), (1 << 32) - 48_000);
    }

    #[test]
    fn the_packet_with_the_least_delay_counts() {
        let mut clock = SourceClock::default();
        clock.on_packet(90_000, 10_050_000, 90_000);
        clock.on_packet(180_000, 11_000_000, 90_000);
        clock.on_packet(270_000, 12_080_000, 90_000);
        assert_eq!(clock.by_arrival().unwrap().utc_us(270_000, 90_000), 12_000_000);
        assert_eq!(clock.trusted(12_080_000), None, "a report may still come");
        assert!(clock.trusted(15_050_000).is_some(), "none came");
        let report = Anchor { timestamp: 270_000, utc_us: 11_990_000 };
        clock.on_report(report, 90_000);
        assert_eq!(clock.trusted(12_080_000), Some(report));
    }

    #[test]
    fn the_least_late_of_three_reports_is_believed() {
        let mut clock = SourceClock::default();
        let mut told = |second: u64, late_us: u64| {
            clock.on_report(Anchor { timestamp: second * 48_000, utc_us: second * 1_000_000 + late_us }, 48_000);
            clock.report().unwrap().utc_us(0, 48_000)
        };
        assert_eq!([told(1, 30_000), told(2, 1000), told(3, 25_000), told(4, 9000)], [30_000, 1000, 1000, 1000]);
        assert_eq!([told(5, 9000), told(6, 9500)], [9000, 9000], "what stays late is a clock that drifts");
    }

    #[test]
    fn capture_times_count_before_reports_while_they_come() {
        let mut clock = SourceClock::default();
        clock.on_packet(0, 1_000_000, 90_000);
        assert!(clock.is_silent(7_000_000));
        let anchor = |utc_us| Anchor { timestamp: 0, utc_us };
        clock.on_report(anchor(1_020_000), 90_000);
        assert_eq!(clock.told(), Some(anchor(1_020_000)));
        clock.on_capture(anchor(990_000));
        assert_eq!((clock.told(), clock.report()), (Some(anchor(990_000)), Some(anchor(1_020_000))));
        for _ in 0..REPORTS {
            clock.on_report(anchor(9_000_000), 90_000);
        }
        assert_eq!(clock.told(), Some(anchor(9_000_000)), "the sender says them no more");
        clock.forget_reports();
        assert_eq!(clock.told(), None);
    }

    #[test]
    fn arrival_is_that_of_the_last_seconds() {
        let mut clock = SourceClock::default();
        // the sender's clock is slow: each second it says 300 µs less
        for second in 0..600u64 {
            clock.on_packet(second * 90_000 - second * 27, 1_000_000 * (second + 1), 90_000);
        }
        let at = clock.by_arrival().unwrap().utc_us(599 * 90_000 - 599 * 27, 90_000);
        assert!(600_000_000 - at <= 6_300, "{} µs astray", 600_000_000 - at);
    }

    #[test]
    fn one_difference_for_all_tracks_of_a_sender() {
        let mut offset = SenderOffset::default();
        let mut lay = |sender_us, arrival_us| offset.lay(sender_us, arrival_us).map(|laid| laid.utc_us);
        assert_eq!(lay(500, 10_000), Some(10_000));
        assert_eq!(lay(700, 99_999), Some(10_200), "a late report moves nothing");
        assert_eq!(lay(400, 10_100), Some(9_900));
    }

    #[test]
    fn one_report_that_is_wrong_moves_nothing() {
        for wrong in [1, 3, 40] {
            let mut offset = SenderOffset::default();
            for report in 1..120 {
                let now = (5000 + report) * SECOND;
                let sender_us = now + if report == wrong { 90_000 } else { 0 };
                let laid = offset.lay(sender_us, now + 5_000 + report % 7 * 1000).expect("it agrees");
                let astray_us = laid.utc_us as i64 - (sender_us + 5_000) as i64;
                assert!(report < 3 || (0..=3_000).contains(&astray_us), "{wrong}: {astray_us} us at {report}");
            }
        }
    }

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_clock_that_drifts_is_followed_slowly() {
        let mut offset = SenderOffset::default();
        let mut worst = 0;
        for second in 0..7200u64 {
            let (now, sender) = (second * SECOND, second * SECOND + second * 300);
            let laid = offset.lay(sender, now + second % 7 * 1000).expect("it agrees");
            assert!(!laid.anew);
            worst = worst.max(laid.utc_us.abs_diff(now));
        }
        assert!(worst <= 20_000, "{worst} µs astray in two hours of 300 ppm");
    }

    #[test]
    fn a_clock_that_was_set_is_laid_anew_once_that_is_certain() {
        for by in [3_600 * SECOND as i64, -400_000] {
            let mut offset = SenderOffset::default();
            let sender = |second: u64, by: i64| (second * SECOND).wrapping_add_signed(by);
            for second in 5000..5010 {
                assert!(offset.lay(sender(second, 0), second * SECOND).is_some());
            }
            assert_eq!(offset.lay(sender(5010, 0), 5010 * SECOND + 700_000), None, "late, and nothing else");
            assert!(offset.lay(sender(5011, 0), 5011 * SECOND).is_some());
            assert_eq!(offset.lay(sender(5012, by), 5012 * SECOND), None);
            assert_eq!(offset.lay(sender(5012, by), 5012 * SECOND), None, "the same moment of another track");
            assert_eq!(offset.lay(sender(5013, by), 5013 * SECOND), None);
            let laid = offset.lay(sender(5014, by), 5014 * SECOND);
            assert_eq!(laid, Some(Laid { utc_us: 5014 * SECOND, anew: true }));
            let laid = offset.lay(sender(5015, by), 5015 * SECOND);
            assert_eq!(laid, Some(Laid { utc_us: 5015 * SECOND, anew: false }));
        }
    }
}
