//! Extended reports (RFC 3611), as far as they tell a receiver of media its round trip: it names its time, the sender says when it heard of it.

use super::compound::Compound;
use super::parse::ReportBlock;

/// Packet type of extended reports.
pub(super) const PACKET_TYPE: u8 = 207;
const REFERENCE_TIME: u8 = 4;
const DELAYS: u8 = 5;

impl Compound {
    /// Receiver reference time report (RFC 3611 §4.4). `ntp` is the wall clock, 32.32 fixed point seconds since 1900.
    pub fn reference_time(&mut self, sender: u32, ntp: u64) {
        let at = self.begin(0, PACKET_TYPE);
        self.u32(sender);
        self.put(&[REFERENCE_TIME, 0, 0, 2]);
        self.u32((ntp >> 32) as u32);
        self.u32(ntp as u32);
        self.end(at);
    }
}

/// What a sender says of our reference times (RFC 3611 §4.5), as blocks of a report: whose time, its middle 32 bits, and how long ago it came.
#[derive(Clone, Debug)]
pub struct ReferenceDelays<'a> {
    /// Report blocks, each with its head.
    blocks: &'a [u8],
    /// Entries of the block under way.
    entries: &'a [u8],
}

impl<'a> ReferenceDelays<'a> {
    /// Behind the SSRC of the packet.
    pub(super) fn new(blocks: &'a [u8]) -> Self {
        Self { blocks, entries: &[] }
    }
}

impl Iterator for ReferenceDelays<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        loop {
            if let Some((entry, rest)) = self.entries.split_first_chunk::<12>() {
                self.entries = rest;
                let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
                return Some(ReportBlock {
                    ssrc: u32::from_be_bytes([a, b, c, d]),
                    last_sr: u32::from_be_bytes([e, f, g, h]),
                    delay: u32::from_be_bytes([i, j, k, l]),
                    ..ReportBlock::default()
                });
            }
            let (&[kind, _, high, low], rest) = self.blocks.split_first_chunk::<4>()?;
            let (content, rest) = rest.split_at_checked(4 * usize::from(u16::from_be_bytes([high, low])))?;
            self.blocks = rest;
            self.entries = if kind == DELAYS { content } else { &[] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::{Feedback, parse};
    use super::super::report::{ntp_of_utc, round_trip};
    use super::*;

    #[test]
    fn a_round_trip_comes_back() {
        let asked = ntp_of_utc(1_700_000_000_000_000);
        let mut compound = Compound::new();
        compound.reference_time(7, asked);
        let expected = [&[0x80, 207, 0, 4, 0, 0, 0, 7, 4, 0, 0, 2][..], &asked.to_be_bytes()].concat();
        assert_eq!(compound.as_bytes(), expected);
        // The answer, between blocks of other kinds: heard, and 250 ms later reported.
        let middle = ((asked >> 16) as u32).to_be_bytes();
        let entries = [&[0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7][..], &middle, &[0, 0, 0x40, 0]].concat();
        let answer = [&[0x80, 207, 0, 10, 0, 0, 0, 1, 42, 0, 0, 1, 1, 2, 3, 4, 5, 0, 0, 6][..], &entries].concat();
        let Some(Feedback::ReferenceDelays(delays)) = parse(&answer).next() else { panic!("no extended report") };
        let ours = delays.clone().find(|entry| entry.ssrc == 7).unwrap();
        assert_eq!(delays.count(), 2);
        let rtt = round_trip(&ours, ntp_of_utc(1_700_000_000_290_000)).unwrap();
        assert!((39..=41).contains(&rtt.as_millis()), "{rtt:?}");
    }

    #[test]
    fn what_is_cut_ends_it() {
        for blocks in [&[5, 0, 0][..], &[5, 0, 0, 3, 1, 2], &[5, 0, 0, 0], &[5, 0, 0, 1, 1, 2, 3, 4]] {
            assert_eq!(ReferenceDelays::new(blocks).count(), 0, "{blocks:?}");
        }
    }
}
