//! Reception reports (RFC 3550 §6.4, appendix A) and the wall clock of sender reports.

use std::time::{Duration, Instant};

use super::parse::ReportBlock;

/// Seconds from 1900 (NTP) to 1970 (Unix).
const UNIX_IN_NTP: u64 = 2_208_988_800;

/// Reception of one stream. Feed it packets that came by themselves, not repairs: the report is about the network.
#[derive(Clone, Debug)]
pub struct ReceiveStats {
    ssrc: u32,
    /// Hz.
    clock_rate: u32,
    first: Option<First>,
    highest: u64,
    received: u64,
    /// At the last report.
    reported: (u64, u64),
    /// In 1/16 units of the RTP clock.
    jitter: u32,
    /// Latest arrival and RTP timestamp.
    latest: Option<(Instant, u32)>,
    /// Middle 32 bits of the latest sender report and its arrival.
    sender_report: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct First {
    seq: u64,
}

impl ReceiveStats {
    /// `clock_rate` in Hz.
    pub fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            first: None,
            highest: 0,
            received: 0,
            reported: (0, 0),
            jitter: 0,
            latest: None,
            sender_report: None,
        }
    }

    /// A packet came. `seq` is extended, `timestamp` as on the wire.
    pub fn received(&mut self, now: Instant, seq: u64, timestamp: u32) {
        let first = self.first.get_or_insert(First { seq });
        first.seq = first.seq.min(seq);
        self.highest = self.highest.max(seq);
        self.received += 1;
        if let Some((before, at)) = self.latest
            && at != timestamp
        {
            self.update_jitter(now.saturating_duration_since(before), timestamp.wrapping_sub(at) as i32);
        }
        if self.latest.is_none_or(|(_, at)| at != timestamp) {
            self.latest = Some((now, timestamp));
        }
    }

    /// Appendix A.8, with differences instead of transit times. Packets of one picture share a timestamp and say nothing about jitter.
    fn update_jitter(&mut self, elapsed: Duration, stamps: i32) {
        let arrival = (elapsed.as_micros() as i64) * i64::from(self.clock_rate) / 1_000_000;
        let difference = (arrival - i64::from(stamps)).unsigned_abs().min(u64::from(u32::MAX >> 5)) as u32;
        self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
    }

    /// A sender report came; `ntp` as it says.
    pub fn sender_report(&mut self, now: Instant, ntp: u64) {
        self.sender_report = Some(((ntp >> 16) as u32, now));
    }

    /// Microseconds of jitter.
    pub fn jitter_us(&self) -> u32 {
        (u64::from(self.jitter >> 4) * 1_000_000 / u64::from(self.clock_rate.max(1))) as u32
    }

    /// Packets that never came by themselves so far.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// The block of a report sent now (appendix A.3); `None` before the first packet. The next one's fraction counts from here.
    pub fn block(&mut self, now: Instant) -> Option<ReportBlock> {
        self.first?;
        let (expected, received) = (self.expected(), self.received);
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, received));
        let expected_since = expected.saturating_sub(expected_before);
        let lost_since = expected_since.saturating_sub(received.saturating_sub(received_before));
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or(0).min(255);
        let lost = expected as i64 - received as i64;
        let (last_sr, delay) = self.sender_report.map_or((0, 0), |(ntp, at)| {
            let since = now.saturating_duration_since(at);
            (ntp, (since.as_micros() * 65_536 / 1_000_000).min(u128::from(u32::MAX)) as u32)
        });
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction as u8,
            lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: self.highest as u32,
            jitter: self.jitter >> 4,
            last_sr,
            delay,
        })
    }

    fn expected(&self) -> u64 {
        self.first.map_or(0, |first| self.highest - first.seq + 1)
    }
}

/// 32.32 fixed point seconds since 1900 of microseconds since 1970.
pub fn ntp_of_utc(utc_us: u64) -> u64 {
    let (seconds, us) = (utc_us / 1_000_000 + UNIX_IN_NTP, utc_us % 1_000_000);
    (seconds << 32) | ((us << 32) / 1_000_000)
}

/// Microseconds since 1970 of an NTP time, rounded to the nearest; `None` before 1970 (senders without a wall clock count from 0).
pub fn utc_of_ntp(ntp: u64) -> Option<u64> {
    let us = ((ntp & 0xffff_ffff) * 1_000_000 + (1 << 31)) >> 32;
    Some((ntp >> 32).checked_sub(UNIX_IN_NTP)? * 1_000_000 + us)
}

/// Round trip by a receiver's block about our stream (RFC 3550 §6.4.1), read at `ntp` of the clock that our reports carry.
pub fn round_trip(block: &ReportBlock, ntp: u64) -> Option<Duration> {
    if block.last_sr == 0 {
        return None;
    }
    let units = ((ntp >> 16) as u32).wrapping_sub(block.last_sr).wrapping_sub(block.delay);
    // A clock that was set back makes it negative.
    (units < 1 << 31).then(|| Duration::from_micros(u64::from(units) * 1_000_000 / 65_536))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::start;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn counts_loss_over_wraps_and_since_the_last_report() {
        let (mut stats, t) = (ReceiveStats::new(9, 90_000), start().mono);
        assert_eq!(stats.block(t), None);
        for seq in (65_530..65_546).filter(|seq| seq % 4 != 0) {
            stats.received(t, seq, 0);
        }
        let block = stats.block(t).unwrap();
        assert_eq!((block.ssrc, block.highest, block.lost, block.fraction_lost), (9, 65_545, 4, 64));
        stats.received(t, 65_546, 0);
        let block = stats.block(t).unwrap();
        assert_eq!((block.lost, block.fraction_lost, stats.lost()), (4, 0, 4));
        // A late packet from before the first one moves the beginning.
        stats.received(t, 65_529, 0);
        assert_eq!(stats.block(t).unwrap().lost, 4);
    }

    #[test]
    fn jitter_is_zero_for_a_steady_stream_and_follows_an_unsteady_one() {
        let (mut steady, mut unsteady, t) = (ReceiveStats::new(1, 90_000), ReceiveStats::new(1, 90_000), start().mono);
        for n in 0..200u32 {
            steady.received(t + n * 20 * MS, u64::from(n), n * 1800);
            unsteady.received(t + (n * 20 + n % 2 * 10) * MS, u64::from(n), n * 1800);
        }
        assert_eq!(steady.jitter_us(), 0);
        assert!((9_000..=10_000).contains(&unsteady.jitter_us()), "{}", unsteady.jitter_us());
    }

    #[test]
    fn names_the_last_sender_report() {
        let (mut stats, t) = (ReceiveStats::new(1, 48_000), start().mono);
        stats.received(t, 1, 0);
        stats.sender_report(t, 0x1111_2222_3333_4444);
        let block = stats.block(t + 500 * MS).unwrap();
        assert_eq!((block.last_sr, block.delay), (0x2222_3333, 32_768));
    }

    #[test]
    fn wall_clocks_survive_the_turn() {
        for utc_us in [0, 1, 999_999, 1_700_000_000_123_456] {
            assert_eq!(utc_of_ntp(ntp_of_utc(utc_us)), Some(utc_us));
        }
        assert_eq!(ntp_of_utc(0), UNIX_IN_NTP << 32);
        assert_eq!(utc_of_ntp(5 << 32), None);
    }

    #[test]
    fn round_trips_come_from_blocks() {
        let sent = ntp_of_utc(1_700_000_000_000_000);
        let block = ReportBlock { last_sr: (sent >> 16) as u32, delay: 65_536 / 4, ..ReportBlock::default() };
        let rtt = round_trip(&block, ntp_of_utc(1_700_000_000_300_000)).unwrap();
        assert!(rtt.abs_diff(50 * MS) < MS, "{rtt:?}");
        assert_eq!(round_trip(&block, sent), None);
        assert_eq!(round_trip(&ReportBlock::default(), sent), None);
    }
}
