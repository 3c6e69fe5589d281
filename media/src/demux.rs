//! Which session a datagram belongs to: by the address that a check validated, or by the user name of a first check. What a datagram says
//! does not belong here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::limit;
use crate::slab::Key;
use crate::stats::DropReason;

const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const STUN_USERNAME: u16 = 0x0006;

/// The index of one shard. Its size is bounded by [`crate::limit::SESSIONS`] and [`crate::limit::VALIDATED_ADDRESSES`].
#[derive(Default)]
pub struct Demux {
    by_address: HashMap<SocketAddr, Owner>,
    by_ufrag: HashMap<Box<str>, Key>,
}

struct Owner {
    session: Key,
    last_check: Instant,
}

impl Demux {
    /// # Errors
    /// Why the datagram is nobody's.
    pub fn session_of(&self, from: SocketAddr, data: &[u8]) -> Result<Key, DropReason> {
        let owner = || self.by_address.get(&from).map(|owner| owner.session).ok_or(DropReason::UnknownAddress);
        match data.first() {
            Some(0..=3) => {
                // A check names its session, even from an address that another session used before.
                let named = stun_user(data).and_then(|ufrag| self.by_ufrag.get(ufrag));
                named.copied().map_or_else(owner, Ok)
            }
            // DTLS, SRTP and SRTCP (RFC 7983 §7).
            Some(20..=63 | 128..=191) => owner(),
            _ => Err(DropReason::NotOurs),
        }
    }

    /// Whether a session has this name.
    pub fn expects(&self, ufrag: &str) -> bool {
        self.by_ufrag.contains_key(ufrag)
    }

    pub fn named(&self, ufrag: &str) -> Option<Key> {
        self.by_ufrag.get(ufrag).copied()
    }

    /// Checks that name `ufrag` belong to `session`. False when another session has that name.
    #[must_use]
    pub fn expect(&mut self, ufrag: &str, session: Key) -> bool {
        if self.by_ufrag.contains_key(ufrag) {
            return false;
        }
        self.by_ufrag.insert(ufrag.into(), session);
        true
    }

    /// An authenticated check of `session` came from `address`. A lite agent cannot tell a forged source, so an address that another session still checks from
    /// stays with that one for [`limit::ADDRESS_HOLD`].
    pub fn validated(&mut self, now: Instant, session: Key, address: SocketAddr, forgotten: Option<SocketAddr>) {
        if let Some(forgotten) = forgotten {
            self.release(session, forgotten);
        }
        let owner = self.by_address.entry(address).or_insert(Owner { session, last_check: now });
        if owner.session == session || now >= owner.last_check + limit::ADDRESS_HOLD {
            *owner = Owner { session, last_check: now };
        }
    }

    /// Whether datagrams from `address` belong to a session.
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    pub fn forget<'u>(
        &mut self,
        session: Key,
        ufrags: impl IntoIterator<Item = &'u str>,
        addresses: impl Iterator<Item = SocketAddr>,
    ) {
        for ufrag in ufrags {
            self.forget_name(session, ufrag);
        }
        for address in addresses {
            self.release(session, address);
        }
    }

    /// Checks that name `ufrag` belong to `session` no longer.
    pub fn forget_name(&mut self, session: Key, ufrag: &str) {
        if self.by_ufrag.get(ufrag) == Some(&session) {
            self.by_ufrag.remove(ufrag);
        }
    }

    /// The address may have passed to another session meanwhile.
    fn release(&mut self, session: Key, address: SocketAddr) {
        if self.by_address.get(&address).is_some_and(|owner| owner.session == session) {
            self.by_address.remove(&address);
        }
    }
}

/// The part of USERNAME before the colon in a STUN binding request (RFC 8445 §7.2.2), unauthenticated.
pub fn stun_user(data: &[u8]) -> Option<&str> {
    if data.len() < 20 || data[..2] != [0, 1] || data[4..8] != STUN_COOKIE {
        return None;
    }
    let mut rest = &data[20..];
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = tail.get(..len)?;
        if kind == STUN_USERNAME {
            return std::str::from_utf8(value).ok()?.split_once(':').map(|(local, _)| local);
        }
        rest = tail.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    #[allow(clippy::disallowed_methods)]
    fn start() -> Instant {
        Instant::now()
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn check(user: &str) -> Vec<u8> {
        let mut data = vec![0, 1, 0, 0];
        data.extend(STUN_COOKIE);
        data.extend([7; 12]);
        data.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]); // SOFTWARE first
        data.extend([0, 6, 0, user.len() as u8]);
        data.extend(user.as_bytes());
        data.resize(data.len().next_multiple_of(4), 0);
        data
    }

    #[test]
    fn sessions_are_found_by_name_then_by_address() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert(()), slab.insert(()));
        let mut demux = Demux::default();
        assert!(demux.expect("alpha", a) && demux.expect("beta", b));
        assert!(!demux.expect("beta", a), "names are taken once");
        assert_eq!(demux.session_of(at(1), &check("alpha:x")), Ok(a));
        assert_eq!(demux.session_of(at(1), &[22, 0]), Err(DropReason::UnknownAddress));
        let now = start();
        demux.validated(now, a, at(1), None);
        assert_eq!(demux.session_of(at(1), &[22, 0]), Ok(a));
        assert_eq!(demux.session_of(at(1), &[0x80, 0]), Ok(a));
        assert_eq!(demux.session_of(at(1), &check("gone:x")), Ok(a), "a known address with an unknown name");
        assert_eq!(demux.session_of(at(1), &check("beta:x")), Ok(b), "a name goes before an address");
        demux.validated(now + limit::ADDRESS_HOLD, b, at(1), None);
        demux.forget(a, ["alpha"], [at(1)].into_iter());
        assert_eq!(demux.session_of(at(1), &[0x80]), Ok(b), "the address had passed on");
        assert_eq!(demux.session_of(at(2), &check("alpha:x")), Err(DropReason::UnknownAddress));
        demux.validated(now, b, at(2), Some(at(1)));
        assert_eq!(demux.session_of(at(1), &[0x80]), Err(DropReason::UnknownAddress));
    }

    #[test]
    fn a_forged_source_takes_no_address_from_a_session_that_checks() {
        let mut slab = Slab::default();
        let (victim, thief) = (slab.insert(()), slab.insert(()));
        let (mut demux, now) = (Demux::default(), start());
        let second = std::time::Duration::from_secs(1);
        for n in 0..20 {
            demux.validated(now + n * 5 * second, victim, at(1), None);
            demux.validated(now + n * 5 * second + second, thief, at(1), None);
            assert_eq!(demux.session_of(at(1), &[0x80]), Ok(victim));
        }
        demux.forget(thief, ["thief"], [at(1)].into_iter());
        assert_eq!(demux.session_of(at(1), &[0x80]), Ok(victim));
        demux.forget(victim, ["victim"], [at(1)].into_iter());
        demux.validated(now + 96 * second, thief, at(1), None);
        assert_eq!(demux.session_of(at(1), &[0x80]), Ok(thief), "free at once when its session ends");
    }

    #[test]
    fn garbage_is_nobodys() {
        let demux = Demux::default();
        for first in [4, 19, 64, 127, 192, 255] {
            assert_eq!(demux.session_of(at(1), &[first; 30]), Err(DropReason::NotOurs), "{first}");
        }
        assert_eq!(demux.session_of(at(1), &[]), Err(DropReason::NotOurs));
        let whole = check("alpha:x");
        for len in 0..whole.len() {
            assert_ne!(stun_user(&whole[..len]), Some("x"), "no panic at {len} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut data in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            stun_user(&data);
            if data.len() >= 8 {
                data[..2].copy_from_slice(&[0, 1]);
                data[4..8].copy_from_slice(&STUN_COOKIE);
            }
            stun_user(&data);
        }
    }
}
