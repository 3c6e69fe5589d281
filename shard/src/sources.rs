//! Which of this machine's addresses a peer talks to, so that it is answered from there.
//!
//! A socket bound to the wildcard address lets the kernel choose the source by its routes. ICE drops an answer that
//! comes from another address than the check went to (RFC 8445 §7.2.5.2.1), so on a machine with several addresses the choice must be
//! the peer's. Bounded by two generations: who keeps checking is learnt anew, who is gone is forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use media::limit::SESSIONS;

#[derive(Default)]
pub struct Sources {
    young: HashMap<SocketAddr, IpAddr>,
    old: HashMap<SocketAddr, IpAddr>,
}

impl Sources {
    /// `peer` sent a check to `local`.
    pub fn learn(&mut self, peer: SocketAddr, local: IpAddr) {
        if self.young.len() >= SESSIONS && !self.young.contains_key(&peer) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(peer, local);
    }

    /// The address to answer from; `None` leaves it to the kernel.
    pub fn of(&self, peer: SocketAddr) -> Option<IpAddr> {
        self.young.get(&peer).or_else(|| self.old.get(&peer)).copied()
    }
}

/// Whether a datagram is a STUN message (RFC 7983 §7): what carries the checks.
pub fn is_check(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| *first < 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u32) -> SocketAddr {
        SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], 4000))
    }

    #[test]
    fn the_latest_check_decides() {
        let mut sources = Sources::default();
        assert_eq!(sources.of(peer(1)), None);
        sources.learn(peer(1), [127, 0, 0, 1].into());
        sources.learn(peer(1), [127, 0, 0, 2].into());
        assert_eq!(sources.of(peer(1)), Some([127, 0, 0, 2].into()));
    }

    #[test]
    fn a_flood_forgets_the_silent_and_keeps_who_checks() {
        let mut sources = Sources::default();
        let local = IpAddr::from([127, 0, 0, 1]);
        for n in 0..5 * SESSIONS as u32 {
            sources.learn(peer(n + 10), local);
            if n % 1_000 == 0 {
                sources.learn(peer(1), local);
            }
        }
        assert_eq!(sources.of(peer(1)), Some(local));
        assert_eq!(sources.of(peer(10)), None);
        assert!(sources.young.len() + sources.old.len() <= 2 * SESSIONS);
    }
}
