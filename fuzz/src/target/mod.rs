//! The targets. Each takes any bytes and panics only when a promise of a parser is broken.

pub mod framing;
pub mod journal;
pub mod live;
pub mod rtcp;
pub mod rtp;
pub mod session;
pub mod units;

use std::sync::LazyLock;
use std::time::Instant;

use media::message::Now;

/// The beginning of virtual time.
pub fn start() -> Now {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Now { mono: *START, utc_us: 1_700_000_000_000_000 }
}
