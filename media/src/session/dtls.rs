//! The DTLS 1.2 server of one session: a handshake that ends in SRTP keys, then only a way to say goodbye.
//!
//! The endpoint offers AEAD_AES_128_GCM alone, since a browser's list begins with AES-CM and the endpoint follows the client's order. A client
//! without GCM is found by the endpoint's error; its first datagrams were kept and go to a second endpoint that offers AES-CM.
//!
//! Lost flights are repeated here and not by the endpoint: its timer is switched off for good by any repeated flight of the client (RFC 6347 §4.2.4
//! wants that flight answered), and it gives up after a fixed count.
//!
//! After the handshake the endpoint goes: its transcript and buffers are most of what a session would take. A goodbye resumes it from what it archived.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_dtls::crypto_provider::SecretVec;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use super::certificate::Certificate;
use super::negotiate::Fingerprint;
use crate::arena::SendArena;
use crate::limit;
use crate::message::SrtpProfile;

/// The only association of the endpoint, whatever address the peer has.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// First repetition of a flight; doubled each time until the handshake times out.
const REPEAT: Duration = Duration::from_millis(400);

/// RFC 5764 §4.2.
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

const CONTENT_ALERT: u8 = 21;
const CONTENT_HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 13;

pub(super) struct Dtls {
    certificate: Certificate,
    fingerprints: Vec<Fingerprint>,
    stage: Stage,
    /// Records that may still be worked on. The endpoint's reassembly recurses once per fragment and keeps what it was given.
    records_left: u16,
    /// Where the client's last datagram came from.
    peer: Option<SocketAddr>,
    /// Our last flight, until the client's next one shows that it arrived; the very last one stays.
    flight: Vec<BytesMut>,
    repeat_at: Option<Instant>,
    repeat_after: Duration,
}

enum Stage {
    /// No answer went out yet: datagrams of the first ClientHello.
    Hello(Box<Endpoint>, Vec<BytesMut>),
    Handshake(Box<Endpoint>),
    /// The endpoint is gone, with ten times the memory.
    Established(Rest),
    Closed,
}

/// What became of a DTLS datagram.
pub(super) enum Outcome {
    Taken,
    Established(Keys),
    /// close_notify or a fatal alert, after the handshake.
    PeerClosed,
    HandshakeFailed,
    FingerprintMismatch,
    /// Refused: malformed, or more handshake records than any handshake needs.
    Refused,
}

/// Keying material of DTLS-SRTP for a server (RFC 5764 §4.2).
pub(super) struct Keys {
    pub profile: SrtpProfile,
    material: SecretVec,
}

impl Keys {
    /// Master key and salt of what the client sends.
    pub fn inbound(&self) -> (&[u8], &[u8]) {
        let salt = salt_len(self.profile);
        (&self.material.as_ref()[..16], &self.material.as_ref()[32..32 + salt])
    }

    /// Master key and salt of what we send.
    pub fn outbound(&self) -> (&[u8], &[u8]) {
        let salt = salt_len(self.profile);
        (&self.material.as_ref()[16..32], &self.material.as_ref()[32 + salt..32 + 2 * salt])
    }
}

/// RFC 3711 §8.2, RFC 7714 §12.
fn salt_len(profile: SrtpProfile) -> usize {
    match profile {
        SrtpProfile::AeadAes128Gcm => 12,
        SrtpProfile::Aes128CmSha1_80 => 14,
    }
}

impl Dtls {
    pub fn new(certificate: Certificate) -> Self {
        Self {
            stage: Stage::Hello(server(&certificate, SrtpProfile::AeadAes128Gcm), Vec::new()),
            certificate,
            fingerprints: Vec::new(),
            records_left: limit::DTLS_RECORDS,
            peer: None,
            flight: Vec::new(),
            repeat_at: None,
            repeat_after: REPEAT,
        }
    }

    /// The client's certificate must have one of these hashes.
    pub fn expect(&mut self, fingerprints: Vec<Fingerprint>) {
        self.fingerprints = fingerprints;
    }

    /// Takes one datagram from a validated address and answers it into the arena.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, data: &[u8], arena: &mut SendArena) -> Outcome {
        let established = matches!(self.stage, Stage::Established(_));
        let costly = |record: &u8| !established || matches!(*record, CONTENT_HANDSHAKE | CONTENT_ALERT);
        let costs = records(data).filter(costly).count();
        let Some(left) = usize::from(self.records_left).checked_sub(costs) else { return Outcome::Refused };
        self.records_left = left as u16;
        self.peer = Some(from);
        match &self.stage {
            Stage::Hello(..) | Stage::Handshake(_) => self.shake(now, from, data, arena),
            Stage::Established(rest) => self.rest(rest, now, from, data, arena),
            Stage::Closed => Outcome::Refused,
        }
    }

    /// A datagram after the handshake.
    fn rest(&self, rest: &Rest, now: Instant, from: SocketAddr, data: &[u8], arena: &mut SendArena) -> Outcome {
        // A flight that comes again shows that ours was lost (RFC 6347 §4.2.4).
        if records(data).any(|record| record == CONTENT_HANDSHAKE) {
            push(&self.flight, from, arena);
        }
        if !records(data).any(|record| record == CONTENT_ALERT) {
            return Outcome::Taken;
        }
        let Some(mut endpoint) = rest.resume(&self.certificate, now) else { return Outcome::Refused };
        let result = endpoint.read(now, PEER, None, data.into());
        push(&drain(&mut endpoint), from, arena);
        match result {
            Ok(events) if events.iter().any(|event| matches!(event, EndpointEvent::PeerClosed)) => Outcome::PeerClosed,
            Ok(_) => Outcome::Taken,
            Err(Error::ErrAlertFatalOrClose) => Outcome::PeerClosed,
            Err(_) => Outcome::Refused,
        }
    }

    /// A datagram of the handshake.
    fn shake(&mut self, now: Instant, from: SocketAddr, data: &[u8], arena: &mut SendArena) -> Outcome {
        self.keep(data);
        let result = match &mut self.stage {
            Stage::Hello(..) => self.first(now, data),
            Stage::Handshake(endpoint) => endpoint.read(now, PEER, None, data.into()),
            Stage::Established(_) | Stage::Closed => return Outcome::Refused,
        };
        let answer = self.drain();
        let alert = answer.iter().any(|datagram| is_fatal_alert(datagram));
        push(&answer, from, arena);
        if !answer.is_empty() {
            self.answered();
            self.flight = answer;
            self.repeat_after = REPEAT;
            self.repeat_at = Some(now + REPEAT);
        }
        let events = match result {
            Ok(events) => events,
            Err(Error::ErrAlertFatalOrClose) => return Outcome::HandshakeFailed,
            Err(_) if alert => return Outcome::HandshakeFailed,
            Err(_) => return Outcome::Refused,
        };
        let mut outcome = Outcome::Taken;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => outcome = self.complete(now, arena),
                EndpointEvent::PeerClosed => outcome = Outcome::HandshakeFailed,
                // No data channel was negotiated.
                _ => {}
            }
        }
        outcome
    }

    /// The handshake is done: is it the peer of the SDP, and what are the keys?
    fn complete(&mut self, now: Instant, arena: &mut SendArena) -> Outcome {
        self.repeat_at = None;
        let Some(state) = self.endpoint().and_then(|endpoint| endpoint.get_connection_state(PEER)) else {
            return Outcome::HandshakeFailed;
        };
        let known = state.peer_certificates.first().is_some_and(|der| self.fingerprints.iter().any(|f| f.matches(der)));
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Some(SrtpProfile::AeadAes128Gcm),
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Some(SrtpProfile::Aes128CmSha1_80),
            // A client without use_srtp.
            _ => None,
        };
        let (Some(profile), true) = (profile, known) else {
            self.close(now, None, arena);
            return if known { Outcome::HandshakeFailed } else { Outcome::FingerprintMismatch };
        };
        let material = state.export_keying_material(EXPORTER, &[], 2 * (16 + salt_len(profile)));
        let (Ok(material), Some(rest)) = (material, Rest::of(state, profile)) else { return Outcome::HandshakeFailed };
        self.fingerprints = Vec::new();
        self.stage = Stage::Established(rest);
        Outcome::Established(Keys { profile, material })
    }

    /// Feeds a datagram of the first ClientHello; a client without GCM gets the second endpoint.
    fn first(&mut self, now: Instant, data: &[u8]) -> Result<Vec<EndpointEvent>, Error> {
        let Stage::Hello(endpoint, kept) = &mut self.stage else { return Ok(Vec::new()) };
        let result = endpoint.read(now, PEER, None, data.into());
        if !matches!(result, Err(Error::ErrServerNoMatchingSrtpProfile)) {
            return result;
        }
        let kept = std::mem::take(kept);
        // The first endpoint goes, and its alert with it.
        let mut endpoint = server(&self.certificate, SrtpProfile::Aes128CmSha1_80);
        let events = kept.into_iter().try_fold(Vec::new(), |mut events, datagram| {
            events.extend(endpoint.read(now, PEER, None, datagram)?);
            Ok(events)
        });
        self.stage = Stage::Handshake(endpoint);
        events
    }

    /// Keeps a datagram while a second endpoint may need it.
    fn keep(&mut self, data: &[u8]) {
        let Stage::Hello(_, kept) = &mut self.stage else { return };
        let bytes: usize = kept.iter().map(|d| d.len()).sum();
        if bytes + data.len() > limit::DTLS_REPLAY_BYTES {
            return self.answered();
        }
        kept.push(data.into());
    }

    /// No second endpoint will be needed.
    fn answered(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Hello(endpoint, _) => Stage::Handshake(endpoint),
            later => later,
        };
    }

    /// Repeats our last flight when the client stays silent.
    pub fn tick(&mut self, now: Instant, arena: &mut SendArena) {
        let (Some(at), Some(peer)) = (self.repeat_at, self.peer) else { return };
        if now < at {
            return;
        }
        push(&self.flight, peer, arena);
        self.repeat_after *= 2;
        self.repeat_at = Some(now + self.repeat_after);
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.repeat_at
    }

    /// Says goodbye (RFC 5246 §7.2.1) to where the peer is now, or was when the handshake ended. Returns the datagrams, which may be repeated as
    /// they are.
    pub fn close(&mut self, now: Instant, to: Option<SocketAddr>, arena: &mut SendArena) -> Vec<BytesMut> {
        self.repeat_at = None;
        self.flight = Vec::new();
        let endpoint = match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Hello(endpoint, _) | Stage::Handshake(endpoint) => Some(endpoint),
            Stage::Established(rest) => rest.resume(&self.certificate, now),
            Stage::Closed => None,
        };
        let Some(mut endpoint) = endpoint else { return Vec::new() };
        endpoint.stop(now, PEER);
        let goodbye = drain(&mut endpoint);
        if let Some(to) = to.or(self.peer) {
            push(&goodbye, to, arena);
        }
        goodbye
    }

    /// Until the handshake is done.
    fn endpoint(&self) -> Option<&Endpoint> {
        match &self.stage {
            Stage::Hello(endpoint, _) | Stage::Handshake(endpoint) => Some(endpoint),
            Stage::Established(_) | Stage::Closed => None,
        }
    }

    fn drain(&mut self) -> Vec<BytesMut> {
        match &mut self.stage {
            Stage::Hello(endpoint, _) | Stage::Handshake(endpoint) => drain(endpoint),
            Stage::Established(_) | Stage::Closed => Vec::new(),
        }
    }
}

/// What is needed to read and to say a goodbye: keys and record numbers.
struct Rest {
    profile: SrtpProfile,
    state: Box<[u8]>,
}

impl Rest {
    /// The archived state is read in place, as these bytes lie.
    const ALIGNMENT: usize = 16;

    fn of(state: &State, profile: SrtpProfile) -> Option<Self> {
        Some(Self { profile, state: state.marshal_binary().ok()?.into() })
    }

    /// `None` if the library does not take its own bytes back.
    fn resume(&self, certificate: &Certificate, now: Instant) -> Option<Box<Endpoint>> {
        let mut bytes = vec![0; self.state.len() + Self::ALIGNMENT];
        let start = bytes.as_ptr().align_offset(Self::ALIGNMENT);
        let bytes = bytes.get_mut(start..start + self.state.len())?;
        bytes.copy_from_slice(&self.state);
        let mut state = State::new(certificate.shared_provider(), false);
        state.unmarshal_binary(bytes).ok()?;
        let mut endpoint = server(certificate, self.profile);
        // The only way in for a state. It also says which side we are.
        endpoint.connect(now, PEER, certificate.server(self.profile), Some(state)).ok()?;
        Some(endpoint)
    }
}

fn server(certificate: &Certificate, profile: SrtpProfile) -> Box<Endpoint> {
    Box::new(Endpoint::new(PEER, TransportProtocol::UDP, Some(certificate.server(profile))))
}

fn drain(endpoint: &mut Endpoint) -> Vec<BytesMut> {
    std::iter::from_fn(|| endpoint.poll_transmit()).map(|transmit| transmit.message).collect()
}

/// A full arena loses datagrams like any network; the flight is repeated.
fn push(datagrams: &[BytesMut], to: SocketAddr, arena: &mut SendArena) {
    for datagram in datagrams {
        let _ = arena.push(to, datagram);
    }
}

/// Content types of the records of a datagram (RFC 6347 §4.1).
fn records(mut data: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let header = data.get(..RECORD_HEADER)?;
        let (content, len) = (header[0], usize::from(u16::from_be_bytes([header[11], header[12]])));
        data = data.get(RECORD_HEADER + len..).unwrap_or(&[]);
        Some(content)
    })
}

fn is_fatal_alert(datagram: &[u8]) -> bool {
    datagram.first() == Some(&CONTENT_ALERT) && datagram.get(RECORD_HEADER) == Some(&2)
}
