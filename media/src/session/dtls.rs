//! The DTLS 1.2 server of one session: a handshake that ends in SRTP keys, then only a way to say goodbye.
//!
//! The endpoint offers AEAD_AES_128_GCM alone, since a browser's list begins with AES-CM and the endpoint follows the client's order. A client
//! without GCM is found by the endpoint's error; its first datagrams were kept and go to a second endpoint that offers AES-CM.
//!
//! Lost flights are repeated here and not by the endpoint: its timer is switched off for good by any repeated flight of the client (RFC 6347 §4.2.4
//! wants that flight answered), and it gives up after a fixed count.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_dtls::crypto_provider::SecretVec;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
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
    endpoint: Endpoint,
    certificate: Certificate,
    fingerprints: Vec<Fingerprint>,
    stage: Stage,
    /// Handshake records that the endpoint may still be fed. Its reassembly recurses once per fragment and keeps what it was given.
    records_left: u16,
    /// Where the client's last datagram came from.
    peer: Option<SocketAddr>,
    /// Our last flight, until the client's next one shows that it arrived.
    flight: Vec<BytesMut>,
    repeat_at: Option<Instant>,
    repeat_after: Duration,
}

enum Stage {
    /// No answer went out yet: datagrams of the first ClientHello.
    Hello(Vec<BytesMut>),
    Handshake,
    Established,
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
            endpoint: server(&certificate, SrtpProfile::AeadAes128Gcm),
            certificate,
            fingerprints: Vec::new(),
            stage: Stage::Hello(Vec::new()),
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
        let established = matches!(self.stage, Stage::Established);
        let records = counted_records(data, established);
        if records > self.records_left {
            return Outcome::Refused;
        }
        self.records_left -= records;
        self.peer = Some(from);
        let result = match self.keep(data) {
            Kept::Yes => self.first(now, data),
            Kept::No => self.endpoint.read(now, PEER, None, data.into()),
        };
        let answer = self.drain();
        let alert = answer.iter().any(|datagram| is_fatal_alert(datagram));
        push(&answer, from, arena);
        if !established && !answer.is_empty() {
            self.stage = Stage::Handshake;
            self.flight = answer;
            self.repeat_after = REPEAT;
            self.repeat_at = Some(now + REPEAT);
        }
        self.conclude(now, result, alert, arena)
    }

    fn conclude(
        &mut self,
        now: Instant,
        result: Result<Vec<EndpointEvent>, Error>,
        alert: bool,
        arena: &mut SendArena,
    ) -> Outcome {
        let established = matches!(self.stage, Stage::Established);
        let events = match result {
            Ok(events) => events,
            Err(Error::ErrAlertFatalOrClose) if established => return Outcome::PeerClosed,
            Err(Error::ErrAlertFatalOrClose) => return Outcome::HandshakeFailed,
            Err(_) if alert && !established => return Outcome::HandshakeFailed,
            Err(_) => return Outcome::Refused,
        };
        let mut outcome = Outcome::Taken;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => outcome = self.complete(now, arena),
                EndpointEvent::PeerClosed if established => outcome = Outcome::PeerClosed,
                EndpointEvent::PeerClosed => outcome = Outcome::HandshakeFailed,
                // No data channel was negotiated.
                _ => {}
            }
        }
        outcome
    }

    /// The handshake is done: is it the peer of the SDP, and what are the keys?
    fn complete(&mut self, now: Instant, arena: &mut SendArena) -> Outcome {
        self.stage = Stage::Established;
        self.flight = Vec::new();
        self.repeat_at = None;
        let Some(state) = self.endpoint.get_connection_state(PEER) else { return Outcome::HandshakeFailed };
        let known = state.peer_certificates.first().is_some_and(|der| self.fingerprints.iter().any(|f| f.matches(der)));
        if !known {
            self.close(now, arena);
            return Outcome::FingerprintMismatch;
        }
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => SrtpProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpProfile::Aes128CmSha1_80,
            // A client without use_srtp.
            _ => {
                self.close(now, arena);
                return Outcome::HandshakeFailed;
            }
        };
        self.fingerprints = Vec::new();
        match state.export_keying_material(EXPORTER, &[], 2 * (16 + salt_len(profile))) {
            Ok(material) => Outcome::Established(Keys { profile, material }),
            Err(_) => Outcome::HandshakeFailed,
        }
    }

    /// Feeds a datagram of the first ClientHello; a client without GCM gets the second endpoint.
    fn first(&mut self, now: Instant, data: &[u8]) -> Result<Vec<EndpointEvent>, Error> {
        let result = self.endpoint.read(now, PEER, None, data.into());
        if !matches!(result, Err(Error::ErrServerNoMatchingSrtpProfile)) {
            return result;
        }
        let Stage::Hello(kept) = std::mem::replace(&mut self.stage, Stage::Handshake) else { return result };
        // The first endpoint goes, and its alert with it.
        self.endpoint = server(&self.certificate, SrtpProfile::Aes128CmSha1_80);
        let mut events = Vec::new();
        for datagram in kept {
            events.extend(self.endpoint.read(now, PEER, None, datagram)?);
        }
        Ok(events)
    }

    /// Keeps a datagram while a second endpoint may need it.
    fn keep(&mut self, data: &[u8]) -> Kept {
        let Stage::Hello(kept) = &mut self.stage else { return Kept::No };
        let bytes: usize = kept.iter().map(|d| d.len()).sum();
        if bytes + data.len() > limit::DTLS_REPLAY_BYTES {
            self.stage = Stage::Handshake;
            return Kept::No;
        }
        kept.push(data.into());
        Kept::Yes
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

    /// Says goodbye (RFC 5246 §7.2.1). Returns the datagrams, which may be repeated as they are.
    pub fn close(&mut self, now: Instant, arena: &mut SendArena) -> Vec<BytesMut> {
        self.repeat_at = None;
        self.flight = Vec::new();
        self.endpoint.stop(now, PEER);
        let goodbye = self.drain();
        if let Some(peer) = self.peer {
            push(&goodbye, peer, arena);
        }
        goodbye
    }

    fn drain(&mut self) -> Vec<BytesMut> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|transmit| transmit.message).collect()
    }
}

enum Kept {
    Yes,
    No,
}

fn server(certificate: &Certificate, profile: SrtpProfile) -> Endpoint {
    Endpoint::new(PEER, TransportProtocol::UDP, Some(certificate.server(profile)))
}

/// A full arena loses datagrams like any network; the flight is repeated.
fn push(datagrams: &[BytesMut], to: SocketAddr, arena: &mut SendArena) {
    for datagram in datagrams {
        let _ = arena.push(to, datagram);
    }
}

/// Records of a datagram that cost memory: all of them during the handshake, later those of another one (RFC 6347 §4.1).
fn counted_records(mut data: &[u8], established: bool) -> u16 {
    let mut records = 0;
    while let Some(header) = data.get(..RECORD_HEADER) {
        let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        records += u16::from(!established || header[0] == CONTENT_HANDSHAKE);
        data = data.get(RECORD_HEADER + len..).unwrap_or(&[]);
    }
    records
}

fn is_fatal_alert(datagram: &[u8]) -> bool {
    datagram.first() == Some(&CONTENT_ALERT) && datagram.get(RECORD_HEADER) == Some(&2)
}
