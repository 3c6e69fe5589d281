//! Numbers that wrap: 16-bit sequence numbers and 32-bit timestamps, unwrapped to 64 bits.

/// Unwraps a counter of `BITS` bits: each value is taken as the one nearest to the highest so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper<const BITS: u32> {
    highest: Option<u64>,
}

/// Sequence numbers (RFC 3550 §5.1).
pub type SequenceUnwrapper = Unwrapper<16>;
/// RTP timestamps.
pub type TimestampUnwrapper = Unwrapper<32>;

impl<const BITS: u32> Unwrapper<BITS> {
    const SPAN: u64 = 1 << BITS;

    /// The first value is answered one lap up, so that values before it (reordered at the start) do not fall below zero.
    pub fn unwrap(&mut self, value: u64) -> u64 {
        let extended = match self.highest {
            None => Self::SPAN + value,
            Some(highest) => nearest::<BITS>(highest, value),
        };
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
        extended
    }

    /// A number that was unwrapped elsewhere.
    pub fn reach(&mut self, extended: u64) {
        self.highest = self.highest.max(Some(extended));
    }

    /// Highest so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Takes `value` as the first of a new source: the smallest extended number with these low bits that is at least `floor`.
    pub fn restart(&mut self, floor: u64, value: u64) -> u64 {
        let lap = floor & !(Self::SPAN - 1);
        let extended = if lap + value >= floor { lap + value } else { lap + Self::SPAN + value };
        self.highest = Some(extended);
        extended
    }
}

/// The number with the low `BITS` bits of `value` that is nearest to `reference`, never below zero.
pub fn nearest<const BITS: u32>(reference: u64, value: u64) -> u64 {
    let span = 1u64 << BITS;
    let forward = value.wrapping_sub(reference) & (span - 1);
    if forward < span / 2 {
        reference + forward
    } else {
        let backward = span - forward;
        reference.checked_sub(backward).unwrap_or(reference + forward)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_unwrap_across_laps_and_reordering() {
        let mut unwrapper = SequenceUnwrapper::default();
        let seen: Vec<u64> = [65534, 65533, 65535, 1, 0, 65530, 2].map(|value| unwrapper.unwrap(value)).to_vec();
        let lap = 65536;
        assert_eq!(seen, [lap + 65534, lap + 65533, lap + 65535, 2 * lap + 1, 2 * lap, lap + 65530, 2 * lap + 2]);
    }

    #[test]
    fn a_packet_before_the_first_does_not_underflow() {
        let mut unwrapper = SequenceUnwrapper::default();
        assert_eq!(unwrapper.unwrap(0), 65536);
        assert_eq!(unwrapper.unwrap(65535), 65535);
    }

    #[test]
    fn timestamps_unwrap() {
        let mut unwrapper = TimestampUnwrapper::default();
        assert_eq!(unwrapper.unwrap(u64::from(u32::MAX)), (1 << 33) - 1);
        assert_eq!(unwrapper.unwrap(2999), (1 << 33) + 2999);
        assert_eq!(unwrapper.unwrap(u64::from(u32::MAX) - 10), (1 << 33) - 11);
    }

    #[test]
    fn a_new_source_continues_above_the_floor() {
        for (floor, value, expected) in [(100, 200, 200), (100, 50, 65586), (65536, 0, 65536), (65537, 0, 131072)] {
            let mut unwrapper = SequenceUnwrapper::default();
            assert_eq!(unwrapper.restart(floor, value), expected, "{floor} {value}");
            assert_eq!(unwrapper.unwrap((value + 1) & 0xffff), expected + 1);
        }
    }

    #[test]
    fn nearest_stays_above_zero() {
        assert_eq!(nearest::<16>(5, 65535), 65535);
        assert_eq!(nearest::<16>(65541, 65535), 65535);
        assert_eq!(nearest::<16>(65535, 5), 65541);
    }
}
