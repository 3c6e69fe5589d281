//! What the tests of sessions share. The peer lives under `tests/`, where other crates' tests find it.

use std::time::Instant;

use crate::message::Now;

#[path = "../../tests/support/peer.rs"]
pub(crate) mod peer;

/// The beginning of a story's virtual time.
#[cfg(test)]
#[allow(clippy::disallowed_methods)]
pub(crate) fn start() -> Now {
    Now { mono: Instant::now(), utc_us: 1_700_000_000_000_000 }
}
