//! Wall clock and back-off, in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Microseconds since the Unix epoch, UTC.
pub(crate) fn utc_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Milliseconds since the Unix epoch, UTC.
pub(crate) fn utc_ms() -> i64 {
    (utc_us() / 1000) as i64
}

/// When to try again after `attempts` failures: 1 s, doubled up to 60 s, the second half of it by chance, so that many
/// clips do not come back at one moment.
pub(crate) fn next_try_ms(attempts: u32) -> i64 {
    let whole = FIRST.saturating_mul(1 << attempts.min(10)).min(LONGEST).as_millis() as i64;
    utc_ms() + whole / 2 + (rand::random::<u64>() % (whole as u64 / 2 + 1)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_a_minute_and_stays() {
        for (attempts, longest) in [(0, 1_000), (3, 8_000), (6, 60_000), (4_000_000_000, 60_000)] {
            let wait = next_try_ms(attempts) - utc_ms();
            assert!((longest / 2 - 5..=longest + 5).contains(&wait), "{attempts}: {wait}");
        }
    }
}
