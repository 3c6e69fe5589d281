//! ICE-lite, DTLS and SRTP composed into one transport over one UDP port.
//!
//! DTLS and SRTP are taken only from addresses that passed an authenticated check, so nobody else can make the handshake work or keep state.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::rngs::StdRng;

use super::certificate::Certificate;
use super::dtls::{Dtls, Outcome};
use super::ice::{Check, Ice};
use super::negotiate::Fingerprint;
use super::srtp::{RTCP_OVERHEAD, Srtp};
use super::{OpenPacket, Received};
use crate::arena::SendArena;
use crate::limit;
use crate::message::{CloseReason, Role};
use crate::stats::DropReason;
use crate::token::RtpToken;

/// close_notify is not acknowledged: it is repeated when the peer shows that it missed it, for this long and this often.
const CLOSING: Duration = Duration::from_secs(2);
const GOODBYES: u8 = 3;

pub(super) struct Transport {
    role: Role,
    certificate: Certificate,
    ice: Ice,
    dtls: Dtls,
    state: State,
    /// Latest authenticated check or SRTP packet.
    last_heard: Instant,
}

enum State {
    /// Waiting for the handshake, until then.
    New(Instant),
    Connected(Box<Srtp>),
    Closing {
        goodbye: Vec<BytesMut>,
        left: u8,
        until: Instant,
    },
    Closed,
}

/// What a datagram is, by its first byte (RFC 7983 §7, RFC 5761 §4).
enum Protocol {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

impl Protocol {
    fn of(data: &[u8]) -> Option<Self> {
        match (*data.first()?, data.get(1)) {
            (0..=3, _) => Some(Self::Stun),
            (20..=63, _) => Some(Self::Dtls),
            (128..=191, Some(192..=223)) => Some(Self::Rtcp),
            (128..=191, _) => Some(Self::Rtp),
            _ => None,
        }
    }
}

impl Transport {
    pub fn new(now: Instant, role: Role, certificate: Certificate, rng: &mut StdRng) -> Self {
        Self {
            role,
            ice: Ice::new(rng),
            dtls: Dtls::new(certificate.clone()),
            certificate,
            state: State::New(now + limit::HANDSHAKE),
            last_heard: now,
        }
    }

    /// The peer's certificate must have one of these hashes.
    pub fn expect(&mut self, fingerprints: Vec<Fingerprint>) {
        self.dtls.expect(fingerprints);
    }

    pub fn ice(&self) -> &Ice {
        &self.ice
    }

    /// See [`Ice::restart`].
    pub fn restart(&mut self, rng: &mut StdRng) -> Option<Box<str>> {
        self.ice.restart(rng)
    }

    pub fn is_authentic(&self, check: &[u8]) -> bool {
        self.ice.is_authentic(check, self.certificate.provider().crypto())
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    pub fn last_heard(&self) -> Instant {
        self.last_heard
    }

    pub fn receive<'d>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        data: &'d mut [u8],
        arena: &mut SendArena,
    ) -> Received<'d> {
        let Some(protocol) = Protocol::of(data) else { return Received::Dropped(DropReason::NotOurs) };
        match (&mut self.state, protocol) {
            (State::Closed, _) => Received::Dropped(DropReason::NotConnected),
            (State::Closing { .. }, Protocol::Stun) => Received::Dropped(DropReason::NotConnected),
            (_, Protocol::Stun) => self.check(now, from, data, arena),
            _ if !self.ice.is_validated(from) => Received::Dropped(DropReason::UnvalidatedAddress),
            (State::Closing { goodbye, left, .. }, _) => {
                if *left > 0 {
                    *left -= 1;
                    for datagram in goodbye {
                        let _ = arena.push(from, datagram);
                    }
                }
                Received::Handled
            }
            (_, Protocol::Dtls) => self.handshake(now, from, data, arena),
            (State::New(_), _) => Received::Dropped(DropReason::NoKeys),
            (State::Connected(srtp), Protocol::Rtp) => match srtp.open_rtp(data) {
                Ok(len) => {
                    self.last_heard = now;
                    Received::Rtp(&data[..len])
                }
                Err(reason) => Received::Dropped(reason),
            },
            (State::Connected(srtp), Protocol::Rtcp) => match srtp.open_rtcp(data) {
                Ok(len) => {
                    self.last_heard = now;
                    Received::Rtcp(&data[..len])
                }
                Err(reason) => Received::Dropped(reason),
            },
        }
    }

    fn check<'d>(&mut self, now: Instant, from: SocketAddr, data: &[u8], arena: &mut SendArena) -> Received<'d> {
        let check = self.ice.receive(now, from, data, self.certificate.provider().crypto(), arena);
        self.last_heard = self.last_heard.max(self.ice.last_check().unwrap_or(self.last_heard));
        match check {
            Check::Validated { forgotten } => Received::Validated { address: from, forgotten },
            Check::Answered => Received::Handled,
            Check::Dropped(reason) => Received::Dropped(reason),
        }
    }

    fn handshake<'d>(&mut self, now: Instant, from: SocketAddr, data: &[u8], arena: &mut SendArena) -> Received<'d> {
        match self.dtls.receive(now, from, data, arena) {
            Outcome::Taken => Received::Handled,
            Outcome::Refused => Received::Dropped(DropReason::BadDtls),
            Outcome::PeerClosed => self.closed(CloseReason::PeerClosed),
            Outcome::HandshakeFailed => self.closed(CloseReason::HandshakeFailed),
            Outcome::FingerprintMismatch => self.closed(CloseReason::FingerprintMismatch),
            Outcome::Established(keys) => match Srtp::new(self.role, &keys, self.certificate.provider().crypto()) {
                Ok(srtp) => {
                    self.state = State::Connected(Box::new(srtp));
                    self.ice.prove(from);
                    Received::Connected { profile: keys.profile }
                }
                Err(_) => self.closed(CloseReason::HandshakeFailed),
            },
        }
    }

    fn closed<'d>(&mut self, reason: CloseReason) -> Received<'d> {
        self.state = State::Closed;
        Received::Closed(reason)
    }

    pub fn seal_rtp(&mut self, token: RtpToken, packet: OpenPacket<'_>) -> Result<usize, DropReason> {
        match &mut self.state {
            State::Connected(srtp) => srtp.seal_rtp(token, packet),
            _ => Err(DropReason::NotConnected),
        }
    }

    pub fn seal_rtcp(&mut self, compound: &[u8], arena: &mut SendArena) -> Result<(), DropReason> {
        let (State::Connected(srtp), Some(to)) = (&mut self.state, self.ice.selected()) else {
            return Err(DropReason::NotConnected);
        };
        let slot = arena.open(to, compound.len() + RTCP_OVERHEAD).ok_or(DropReason::ArenaFull)?;
        slot[..compound.len()].copy_from_slice(compound);
        let sealed = srtp.seal_rtcp(slot, compound.len());
        arena.commit(*sealed.as_ref().unwrap_or(&0));
        sealed.map(|_| ())
    }

    pub fn tick(&mut self, now: Instant, arena: &mut SendArena) -> Option<CloseReason> {
        let reason = match &self.state {
            State::New(until) if now >= *until => Some(CloseReason::HandshakeTimeout),
            State::Connected(_) if self.consent_until().is_some_and(|until| now >= until) => {
                Some(CloseReason::ConsentLost)
            }
            State::Closing { until, .. } if now >= *until => Some(CloseReason::Requested),
            _ => None,
        };
        match reason {
            Some(_) => {
                if !matches!(self.state, State::Closing { .. }) {
                    self.dtls.close(now, self.ice.selected(), arena);
                }
                self.state = State::Closed;
            }
            None => self.dtls.tick(now, arena),
        }
        reason
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::New(until) => Some(self.dtls.next_deadline().map_or(*until, |at| at.min(*until))),
            State::Connected(_) => self.consent_until(),
            State::Closing { until, .. } => Some(*until),
            State::Closed => None,
        }
    }

    /// RFC 7675 §5.1, turned around: a lite agent sends no checks, so the peer's checks are its consent.
    fn consent_until(&self) -> Option<Instant> {
        self.ice.last_check().map(|at| at + limit::CONSENT)
    }

    pub fn close(&mut self, now: Instant, arena: &mut SendArena) {
        if matches!(self.state, State::Closing { .. } | State::Closed) {
            return;
        }
        let goodbye = self.dtls.close(now, self.ice.selected(), arena);
        self.state = match goodbye.is_empty() {
            true => State::Closed,
            false => State::Closing { goodbye, left: GOODBYES, until: now + CLOSING },
        };
    }
}
