//! The one reading of the wall clock in this crate.

use std::time::{SystemTime, UNIX_EPOCH};

/// UTC milliseconds since 1970; 0 on a clock that stands before it.
pub(crate) fn utc_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
