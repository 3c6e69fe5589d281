//! ICE-lite (RFC 8445 §2.5): answers connectivity checks and remembers which addresses passed one.

use std::net::SocketAddr;
use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;
use rtc_stun::attributes::{
    ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY,
    ATTR_UNKNOWN_ATTRIBUTES, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType,
};
use rtc_stun::crypto::RTCCrypto;
use rtc_stun::error_code::{CODE_ROLE_CONFLICT, CODE_UNKNOWN_ATTRIBUTE, ErrorCode};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, MESSAGE_HEADER_SIZE, Message, Setter};
use rtc_stun::xoraddr::XorMappedAddress;

use crate::arena::SendArena;
use crate::limit;
use crate::stats::DropReason;

/// Our credentials and the addresses that proved to know them.
pub(super) struct Ice {
    current: Credentials,
    /// Those before the latest restart. Good until the peer uses the current ones, so that media goes on meanwhile (RFC 8445 §9).
    before: Option<Credentials>,
    paths: Vec<Path>,
    selected: Option<SocketAddr>,
    /// Where the handshake came to its end: good to send to until an address is nominated.
    proven: Option<SocketAddr>,
    last_check: Option<Instant>,
}

struct Credentials {
    ufrag: Box<str>,
    password: Box<str>,
    /// A check with later ones came.
    retired: bool,
}

impl Credentials {
    fn draw(rng: &mut StdRng) -> Self {
        Self { ufrag: random_text(rng, UFRAG_CHARS), password: random_text(rng, PASSWORD_CHARS), retired: false }
    }
}

struct Path {
    address: SocketAddr,
    last_check: Instant,
}

/// What became of a STUN datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Authenticated and answered with success.
    Validated {
        forgotten: Option<SocketAddr>,
    },
    /// Authenticated and answered with an error.
    Answered,
    Dropped(DropReason),
}

/// Characters of our user fragment: 72 bits, so that no two sessions of a shard share one (RFC 8445 §5.3 asks for 24 bits).
const UFRAG_CHARS: usize = 12;
/// Characters of our password: 192 bits (RFC 8445 §5.3 asks for 128).
const PASSWORD_CHARS: usize = 32;

impl Ice {
    pub fn new(rng: &mut StdRng) -> Self {
        Self {
            current: Credentials::draw(rng),
            before: None,
            paths: Vec::new(),
            selected: None,
            proven: None,
            last_check: None,
        }
    }

    pub fn ufrag(&self) -> &str {
        &self.current.ufrag
    }

    pub fn password(&self) -> &str {
        &self.current.password
    }

    /// Every user fragment by which checks may still come, at most two.
    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        self.before.iter().chain([&self.current]).map(|credentials| &*credentials.ufrag)
    }

    /// New credentials (RFC 8445 §9). Paths stay, and so does the selected one, until a check with the new ones nominates another. Returns the user
    /// fragment by which no check may come any more.
    pub fn restart(&mut self, rng: &mut StdRng) -> Option<Box<str>> {
        let current = std::mem::replace(&mut self.current, Credentials::draw(rng));
        self.before.replace(current).map(|oldest| oldest.ufrag)
    }

    /// The address of the latest authenticated check that carried USE-CANDIDATE (RFC 8445 §7.3.1.5). Before any did, the one where the handshake
    /// ended: Chromium nominates about 50 ms after that, and whoever completes a handshake at a checked address receives there.
    pub fn selected(&self) -> Option<SocketAddr> {
        self.selected.or(self.proven)
    }

    /// The handshake came to its end at this validated address.
    pub fn prove(&mut self, address: SocketAddr) {
        self.proven = Some(address);
    }

    pub fn is_validated(&self, address: SocketAddr) -> bool {
        self.paths.iter().any(|path| path.address == address)
    }

    pub fn validated(&self) -> impl Iterator<Item = SocketAddr> {
        self.paths.iter().map(|path| path.address)
    }

    /// When the latest authenticated request came.
    pub fn last_check(&self) -> Option<Instant> {
        self.last_check
    }

    /// Takes one STUN datagram and answers it into the arena.
    ///
    /// Only authenticated binding requests are answered: an unauthenticated answer would serve floods and nobody else.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        data: &[u8],
        crypto: &dyn RTCCrypto,
        arena: &mut SendArena,
    ) -> Check {
        let Some(request) = self.authenticate(data, crypto) else { return Check::Dropped(DropReason::BadStun) };
        if !request.before
            && let Some(before) = &mut self.before
        {
            before.retired = true;
        }
        let password = if request.before { self.before.as_ref() } else { Some(&self.current) };
        let password = password.map_or("", |credentials| &credentials.password).to_owned();
        let response = if !request.unknown.is_empty() {
            error(&request.message, CODE_UNKNOWN_ATTRIBUTE, &request.unknown, &password, crypto)
        } else if request.controlled {
            // A lite agent is always the controlled one (RFC 8445 §6.1.1); the peer must change its role.
            error(&request.message, CODE_ROLE_CONFLICT, &[], &password, crypto)
        } else {
            success(&request.message, from, &password, crypto)
        };
        let Some(response) = response else { return Check::Dropped(DropReason::BadStun) };
        if !arena.push(from, &response.raw) {
            return Check::Dropped(DropReason::ArenaFull);
        }
        if response.typ == BINDING_ERROR {
            return Check::Answered;
        }
        self.last_check = Some(now);
        let check = self.validate(now, from);
        self.withdraw(now, from);
        if request.nominates {
            self.selected = Some(from);
        }
        check
    }

    /// Whether this is a binding request of somebody who knows our credentials.
    pub fn is_authentic(&self, data: &[u8], crypto: &dyn RTCCrypto) -> bool {
        self.authenticate(data, crypto).is_some()
    }

    /// Consent is given per path (RFC 7675 §5.1): an address that does not check any more is sent nothing, however alive the peer is elsewhere.
    fn withdraw(&mut self, now: Instant, alive: SocketAddr) {
        let selected = self.selected();
        let stale = |path: &Path| Some(path.address) == selected && now >= path.last_check + limit::CONSENT;
        if self.paths.iter().any(stale) {
            (self.selected, self.proven) = (None, Some(alive));
        }
    }

    fn validate(&mut self, now: Instant, from: SocketAddr) -> Check {
        if let Some(path) = self.paths.iter_mut().find(|path| path.address == from) {
            path.last_check = now;
            return Check::Validated { forgotten: None };
        }
        let mut forgotten = None;
        if self.paths.len() >= limit::VALIDATED_ADDRESSES {
            let idle = self.paths.iter().enumerate().filter(|(_, path)| Some(path.address) != self.selected());
            if let Some((at, _)) = idle.min_by_key(|(_, path)| path.last_check) {
                forgotten = Some(self.paths.swap_remove(at).address);
            }
        }
        self.paths.push(Path { address: from, last_check: now });
        Check::Validated { forgotten }
    }

    /// A binding request to us with valid MESSAGE-INTEGRITY and FINGERPRINT (RFC 8445 §7.3, RFC 8489 §9.1.3).
    fn authenticate(&self, data: &[u8], crypto: &dyn RTCCrypto) -> Option<Request> {
        let mut message = Message::new();
        message.unmarshal_binary(data).ok()?;
        if message.typ != BINDING_REQUEST || data.len() != MESSAGE_HEADER_SIZE + message.length as usize {
            return None;
        }
        FINGERPRINT.check(&message).ok()?;
        // What follows the integrity attribute is not protected by it and must be ignored (RFC 8489 §14.5).
        let end = message.attributes.0.iter().position(|a| a.typ == ATTR_MESSAGE_INTEGRITY)?;
        let mut request = Request { message, nominates: false, controlled: false, before: false, unknown: Vec::new() };
        let mut user = None;
        for attribute in &request.message.attributes.0[..end] {
            match attribute.typ {
                ATTR_USERNAME => user = std::str::from_utf8(&attribute.value).ok(),
                ATTR_USE_CANDIDATE => request.nominates = true,
                ATTR_ICE_CONTROLLED => request.controlled = true,
                ATTR_PRIORITY => {}
                // Types below 0x8000 must be understood (RFC 8489 §14).
                AttrType(other) if other < 0x8000 => request.unknown.push(other),
                _ => {}
            }
        }
        let (local, _) = user?.split_once(':')?;
        request.before = local != &*self.current.ufrag;
        let credentials = match &self.before {
            Some(before) if request.before && local == &*before.ufrag && !before.retired => before,
            _ if !request.before => &self.current,
            _ => return None,
        };
        MessageIntegrity::check(&mut request.message, credentials.password.as_bytes(), crypto).ok()?;
        Some(request)
    }
}

fn success(request: &Message, from: SocketAddr, password: &str, crypto: &dyn RTCCrypto) -> Option<Message> {
    let mut response = answer_to(request, Kind::Success);
    XorMappedAddress { ip: from.ip().to_canonical(), port: from.port() }.add_to(&mut response).ok()?;
    seal(response, password, crypto)
}

fn error(
    request: &Message,
    code: ErrorCode,
    unknown: &[u16],
    password: &str,
    crypto: &dyn RTCCrypto,
) -> Option<Message> {
    let mut response = answer_to(request, Kind::Error);
    response.add(ATTR_ERROR_CODE, &[0, 0, (code.0 / 100) as u8, (code.0 % 100) as u8]);
    if !unknown.is_empty() {
        let types: Vec<u8> = unknown.iter().flat_map(|t| t.to_be_bytes()).collect();
        response.add(ATTR_UNKNOWN_ATTRIBUTES, &types);
    }
    seal(response, password, crypto)
}

fn seal(mut response: Message, password: &str, crypto: &dyn RTCCrypto) -> Option<Message> {
    MessageIntegrity::new_raw_integrity_with_provider(password.as_bytes(), crypto).add_to(&mut response).ok()?;
    FINGERPRINT.add_to(&mut response).ok()?;
    debug_assert!(response.contains(ATTR_FINGERPRINT));
    Some(response)
}

struct Request {
    message: Message,
    nominates: bool,
    controlled: bool,
    /// With the credentials before the latest restart.
    before: bool,
    unknown: Vec<u16>,
}

enum Kind {
    Success,
    Error,
}

fn answer_to(request: &Message, kind: Kind) -> Message {
    let mut response = Message::new();
    response.typ = match kind {
        Kind::Success => BINDING_SUCCESS,
        Kind::Error => BINDING_ERROR,
    };
    response.transaction_id = request.transaction_id;
    response.write_header();
    response
}

/// `chars` characters of ice-char (RFC 8839 §5.4), six random bits each.
fn random_text(rng: &mut StdRng, chars: usize) -> Box<str> {
    const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; chars];
    rng.fill_bytes(&mut bytes);
    bytes.into_iter().map(|b| char::from(ICE_CHARS[usize::from(b & 63)])).collect::<String>().into()
}
