//! Every bound of the wire, with the policy when it is hit, and the counters behind those that are rates.
//!
//! Bounds of the media plane itself are in `media::limit`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::address::counted;
use crate::error::{Code, Error};

/// Largest message of a socket, in bytes. Larger: the connection is closed.
pub const SOCKET_MESSAGE_BYTES: usize = 128 * 1024;
/// Messages waiting for one socket. More: the oldest connection that cannot keep up is closed by engine.io.
pub const SOCKET_QUEUE: usize = 256;
/// Largest JSON body of a request, in bytes. Larger: `too_large`.
pub const BODY_BYTES: usize = 64 * 1024;
/// For a request's body to arrive. Longer: `invalid`.
pub const BODY_TIME: Duration = Duration::from_secs(30);
/// A viewer whose socket went without a word gets its media session back for this long. Later: closed.
pub const KEPT_SESSION: Duration = Duration::from_secs(30);
/// Media sessions that wait for their viewers' sockets. More: the one that waited longest is closed.
pub const KEPT_SESSIONS: usize = 10_000;
/// Clients that follow the events at a time. More: `full`.
pub const EVENT_STREAMS: usize = 64;
/// A client that follows the events and takes nothing for this long is cut; it may come back and go on where it was.
pub const EVENT_STALL: Duration = Duration::from_secs(30);
/// Addresses whose rates are remembered. More: those at rest are forgotten; if none is, newcomers are refused.
const ADDRESSES: usize = 20_000;

/// A rate per client address.
pub struct PerAddress {
    what: &'static str,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
}

impl PerAddress {
    /// `burst` at once, then one per `period`.
    pub fn new(what: &'static str, burst: u32, period: Duration) -> Self {
        Self { what, limiter: RateLimiter::keyed(quota(burst, period)) }
    }

    /// Counts one, or says when to come again.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn check(&self, address: IpAddr) -> Result<(), Error> {
        if self.limiter.len() >= ADDRESSES {
            self.limiter.retain_recent();
            if self.limiter.len() >= ADDRESSES {
                return Err(refused(self.what, Duration::from_secs(10)));
            }
        }
        self.limiter.check_key(&counted(address)).map_err(|until| {
            metrics::counter!("oxbow_rate_limited_total", "what" => self.what).increment(1);
            refused(self.what, until.wait_time_from(DefaultClock::default().now()))
        })
    }
}

/// A rate of one socket.
pub fn per_socket() -> DefaultDirectRateLimiter {
    RateLimiter::direct(quota(60, Duration::from_millis(50)))
}

pub fn refused(what: &str, wait: Duration) -> Error {
    let seconds = wait.as_secs() + 1;
    Error::new(Code::RateLimited, format!("too many {what}; try again in {seconds} s"))
        .retry_after(Duration::from_secs(seconds))
}

fn quota(burst: u32, period: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(period).unwrap_or(Quota::per_second(burst)).allow_burst(burst)
}

/// Wrong keys per address: so many in a minute, then every attempt from there is refused until the minute is over, right
/// or wrong. A browser that already has its cookie is not asked for the key and goes on.
pub struct WrongKeys {
    seen: moka::sync::Cache<IpAddr, std::sync::Arc<std::sync::atomic::AtomicU32>>,
}

const WRONG_KEYS: u32 = 20;
const WRONG_KEYS_WINDOW: Duration = Duration::from_secs(60);

impl Default for WrongKeys {
    fn default() -> Self {
        let seen = moka::sync::Cache::builder().max_capacity(ADDRESSES as u64).time_to_live(WRONG_KEYS_WINDOW).build();
        Self { seen }
    }
}

impl WrongKeys {
    /// # Errors
    /// `rate_limited` when this address has given too many wrong keys.
    pub fn may_try(&self, address: IpAddr) -> Result<(), Error> {
        let wrong = self.seen.get(&counted(address)).map_or(0, |n| n.load(std::sync::atomic::Ordering::Relaxed));
        if wrong >= WRONG_KEYS { Err(refused("wrong stream keys", WRONG_KEYS_WINDOW)) } else { Ok(()) }
    }

    pub fn count(&self, address: IpAddr) {
        metrics::counter!("oxbow_wrong_keys_total").increment(1);
        let counter = self.seen.get_with(counted(address), Default::default);
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_waits() {
        let limit = PerAddress::new("clips", 3, Duration::from_secs(10));
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..3 {
            assert!(limit.check(one).is_ok());
        }
        let refusal = limit.check(one).unwrap_err();
        assert_eq!(refusal.code, Code::RateLimited);
        assert!(refusal.retry_after.unwrap() <= Duration::from_secs(11));
        assert!(limit.check(other).is_ok(), "another address is not disturbed");
    }

    #[test]
    fn wrong_keys_shut_the_door_for_their_address_only() {
        let wrong = WrongKeys::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..WRONG_KEYS {
            assert!(wrong.may_try(one).is_ok());
            wrong.count(one);
        }
        assert_eq!(wrong.may_try(one).unwrap_err().code, Code::RateLimited);
        assert!(wrong.may_try(other).is_ok());
    }
}
