//! The wall clock of a source's RTP timestamps, from its sender reports (RFC 3550 §6.4.1).
//!
//! A sender's own clock may stand anywhere; what counts is that all its tracks use the same one. So its first report is laid on our clock at
//! its arrival, and that one difference is used for all of its tracks from then on.

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
    /// The packet that came with the least delay so far.
    arrival: Option<Anchor>,
    /// The newest reports, the newest last.
    reports: [Option<Anchor>; REPORTS],
    report: Option<Anchor>,
    first_us: Option<u64>,
}

/// Reports to choose from. Many senders take the moment of sending for the moment of a timestamp, and a busy sender is late: the
/// least late of the newest reports is believed.
const REPORTS: usize = 3;
/// A sender that reported nothing for so long is taken by the arrival of its packets. Browsers report within a second or two.
const REPORT_PATIENCE_US: u64 = 5_000_000;
/// A packet later than this against its timestamp shows that the sender set its timestamps back.
const RESET_US: u64 = 5_000_000;

impl SourceClock {
    /// A packet arrived at `utc_us`.
    pub fn on_packet(&mut self, timestamp: u64, utc_us: u64, rate: u32) {
        self.first_us.get_or_insert(utc_us);
        let better = |anchor: Anchor| {
            let expected = anchor.utc_us(timestamp, rate);
            utc_us < expected || utc_us - expected > RESET_US
        };
        if self.arrival.is_none_or(better) {
            self.arrival = Some(Anchor { timestamp, utc_us });
        }
    }

    /// A sender report, its wall clock already laid on ours; `rate` in Hz.
    pub fn on_report(&mut self, anchor: Anchor, rate: u32) {
        self.reports.rotate_left(1);
        self.reports[REPORTS - 1] = Some(anchor);
        self.report = self.reports.iter().flatten().copied().min_by_key(|one| one.utc_us(anchor.timestamp, rate));
    }

    pub fn report(&self) -> Option<Anchor> {
        self.report
    }

    /// For others to rely on at `utc_us`: by reports, or by arrival when the sender does not report.
    pub fn trusted(&self, utc_us: u64) -> Option<Anchor> {
        let silent = self.first_us.is_some_and(|first| utc_us >= first + REPORT_PATIENCE_US);
        self.report.or(self.arrival.filter(|_| silent))
    }

    pub fn by_arrival(&self) -> Option<Anchor> {
        self.arrival
    }
}

/// Lays a sender's wall clock on ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct SenderOffset {
    us: Option<i64>,
}

impl SenderOffset {
    /// `sender_us` is what the report says, in microseconds of any epoch; answers our clock.
    pub fn lay(&mut self, sender_us: u64, arrival_utc_us: u64) -> u64 {
        let offset = *self.us.get_or_insert(arrival_utc_us.wrapping_sub(sender_us) as i64);
        sender_us.wrapping_add(offset as u64)
    }

    /// Microseconds by which our clock is ahead of the sender's; `None` before its first report.
    pub fn ahead_us(&self) -> Option<i64> {
        self.us
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
    fn one_difference_for_all_tracks_of_a_sender() {
        let mut offset = SenderOffset::default();
        assert_eq!(offset.lay(500, 10_000), 10_000);
        assert_eq!(offset.lay(700, 99_999), 10_200, "a late report moves nothing");
        assert_eq!(offset.lay(400, 10_100), 9_900);
    }
}
