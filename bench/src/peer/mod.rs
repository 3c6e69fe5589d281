//! One WebRTC peer as a small client: ICE (controlling), DTLS client, SRTP, over a socket of its own.
//!
//! Enough of a browser to publish to or watch a WHIP/WHEP server, cheap enough to run hundreds of them beside the server that
//! is measured. It reads no clock and does no I/O: [`crate::wire::Wire`] moves the datagrams.

mod keys;
mod sdp;
mod stun;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use media::arena::SendArena;
use media::rtp::packet::Header;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_shared::TransportProtocol;

pub use keys::{Identity, Keys, Offered};
pub use sdp::{Answer, AnswerError, Codecs, Section, VP8_RTX_PT, Wants};
use stun::Checks;

/// Until the first answer a check goes out this often, later as a browser keeps its consent fresh.
const FIRST_CHECKS: Duration = Duration::from_millis(50);
const CONSENT_CHECKS: Duration = Duration::from_millis(2500);

/// More than any header in clear.
const HEADER_BYTES: usize = 128;

/// What a datagram meant.
#[derive(Debug)]
pub enum Heard {
    /// The DTLS handshake is complete and the certificate is the one of the answer.
    Connected,
    /// A decrypted RTP packet, header included.
    Rtp(BytesMut),
    /// A decrypted RTCP compound packet.
    Rtcp(BytesMut),
    /// An RTP packet that was only counted, as asked for by [`Peer::only_count`].
    Counted(Counted),
    /// The other side closed the connection.
    Closed,
    Handled,
    /// Not understood, not authentic or not expected now; the text says which.
    Refused(&'static str),
}

/// What an RTP packet shows without decryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub ssrc: u32,
    pub sequence: u16,
    /// The transport-wide sequence number, where the server sends one.
    pub transport: Option<u16>,
}

impl Counted {
    /// `None` when it is no RTP packet. `transport_cc`: as [`Peer::transport_cc`].
    pub fn of(packet: &[u8], transport_cc: Option<u8>) -> Option<Counted> {
        let mut clear = [0; HEADER_BYTES];
        let len = packet.len().min(HEADER_BYTES);
        clear[..len].copy_from_slice(&packet[..len]);
        // The size of the padding is encrypted.
        clear[0] &= !0x20;
        let header = Header::parse(&clear[..len])?;
        let transport = transport_cc.and_then(|id| header.transport_sequence(&clear[..len], id));
        Some(Counted { ssrc: header.ssrc, sequence: header.sequence, transport })
    }
}

/// One peer. `offer()`, then `accept(answer)`, then datagrams.
pub struct Peer {
    identity: Arc<Identity>,
    wants: Wants,
    checks: Checks,
    remote: Option<Remote>,
    dtls: Endpoint,
    keys: Option<Keys>,
    /// Extension of the transport-wide sequence number.
    transport_cc: Option<u8>,
    only_count: bool,
    closed: bool,
    next_check: Option<Instant>,
}

struct Remote {
    address: SocketAddr,
    fingerprint: String,
    answered: bool,
}

impl Peer {
    pub fn new(identity: Arc<Identity>, wants: Wants) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Peer {
            identity,
            wants,
            checks: Checks::new(),
            remote: None,
            dtls: Endpoint::new(nowhere, TransportProtocol::UDP, None),
            keys: None,
            transport_cc: None,
            only_count: false,
            closed: false,
            next_check: None,
        }
    }

    /// RTP is counted, not decrypted, from now on.
    pub fn only_count(&mut self) {
        self.only_count = true;
    }

    pub fn offer(&self) -> String {
        sdp::offer(&self.wants, self.checks.local_ufrag(), self.checks.local_password(), self.identity.fingerprint())
    }

    /// Takes the server's answer and starts connectivity checks.
    ///
    /// # Errors
    /// When the answer lacks credentials, a fingerprint or a UDP host candidate.
    pub fn accept(&mut self, now: Instant, answer: &str) -> Result<Answer, AnswerError> {
        let answer = sdp::parse(answer)?;
        self.checks.set_remote(&answer.ufrag, &answer.password);
        self.remote =
            Some(Remote { address: answer.candidate, fingerprint: answer.fingerprint.clone(), answered: false });
        self.transport_cc = answer.transport_cc;
        self.next_check = Some(now);
        Ok(answer)
    }

    /// Draws new credentials (RFC 8445 §9) and gives them as the fragment that a server is told (RFC 8840 §9).
    pub fn restart(&mut self) -> String {
        self.checks.renew();
        format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", self.checks.local_ufrag(), self.checks.local_password())
    }

    /// Takes the server's fragment; checks go on at once, with the new credentials of both.
    ///
    /// # Errors
    /// When it lacks credentials.
    pub fn restarted(&mut self, now: Instant, fragment: &str) -> Result<(), AnswerError> {
        let (ufrag, password) = sdp::credentials(fragment)?;
        self.checks.set_remote(&ufrag, &password);
        self.next_check = Some(now);
        Ok(())
    }

    pub fn is_connected(&self) -> bool {
        self.keys.is_some() && !self.closed
    }

    /// Extension of the transport-wide sequence number, as the server accepted it.
    pub fn transport_cc(&self) -> Option<u8> {
        self.transport_cc
    }

    /// The SRTP profile that the server chose, once connected.
    pub fn profile(&self) -> Option<&'static str> {
        self.keys.as_ref().map(Keys::profile)
    }

    /// Takes one datagram; answers go into `out`.
    pub fn receive(&mut self, now: Instant, from: SocketAddr, data: &[u8], out: &mut SendArena) -> Heard {
        match data.first() {
            Some(0..=3) => self.receive_stun(now, data, out),
            Some(20..=63) => self.receive_dtls(now, from, data, out),
            Some(128..=191) => self.receive_media(data),
            _ => Heard::Refused("neither STUN, DTLS nor RTP"),
        }
    }

    /// Sends due checks and retransmits the handshake.
    pub fn tick(&mut self, now: Instant, out: &mut SendArena) {
        let Some(remote) = &self.remote else { return };
        let (address, answered) = (remote.address, remote.answered);
        if self.closed {
            return;
        }
        if self.next_check.is_some_and(|at| at <= now) {
            self.next_check = Some(now + if answered { CONSENT_CHECKS } else { FIRST_CHECKS });
            put(out, address, &self.checks.request(self.identity.crypto()));
        }
        if self.keys.is_none() {
            // An error is a handshake that gave up; the peer then never connects, which its owner sees.
            let _ = self.dtls.handle_timeout(address, now);
            self.flush_dtls(out);
        }
    }

    /// Encrypts and sends one RTP packet. Nothing happens before the handshake is complete.
    pub fn send_rtp(&mut self, packet: &[u8], out: &mut SendArena) {
        if let (Some(keys), Some(remote)) = (&mut self.keys, &self.remote) {
            put(out, remote.address, &keys.seal_rtp(packet));
        }
    }

    /// Encrypts and sends one RTCP compound packet. Nothing happens before the handshake is complete.
    pub fn send_rtcp(&mut self, packet: &[u8], out: &mut SendArena) {
        if let (Some(keys), Some(remote)) = (&mut self.keys, &self.remote) {
            put(out, remote.address, &keys.seal_rtcp(packet));
        }
    }

    /// Says goodbye by DTLS close_notify.
    pub fn close(&mut self, now: Instant, out: &mut SendArena) {
        self.closed = true;
        // An error means that there is no association to close.
        let _ = self.dtls.close(now);
        self.flush_dtls(out);
    }

    fn receive_stun(&mut self, now: Instant, data: &[u8], out: &mut SendArena) -> Heard {
        let Some(remote) = &mut self.remote else { return Heard::Refused("STUN before the answer") };
        if !self.checks.is_answer(data, self.identity.crypto()) {
            return Heard::Refused("no authentic answer to our check");
        }
        if !remote.answered {
            remote.answered = true;
            self.next_check = Some(now + CONSENT_CHECKS);
            if self.dtls.connect(now, remote.address, self.identity.client(), None).is_err() {
                return Heard::Refused("the DTLS client does not start");
            }
            self.flush_dtls(out);
        }
        Heard::Handled
    }

    fn receive_dtls(&mut self, now: Instant, from: SocketAddr, data: &[u8], out: &mut SendArena) -> Heard {
        let events = self.dtls.read(now, from, None, BytesMut::from(data));
        let heard = match events {
            Err(_) => Heard::Refused("a DTLS record"),
            Ok(events) => events.into_iter().fold(Heard::Handled, |heard, event| match event {
                EndpointEvent::HandshakeComplete => self.connected(from),
                EndpointEvent::PeerClosed => {
                    self.closed = true;
                    Heard::Closed
                }
                _ => heard,
            }),
        };
        self.flush_dtls(out);
        heard
    }

    fn connected(&mut self, from: SocketAddr) -> Heard {
        let (Some(state), Some(remote)) = (self.dtls.get_connection_state(from), &self.remote) else {
            return Heard::Refused("a handshake with nobody");
        };
        match self.identity.keys(state, &remote.fingerprint) {
            Ok(keys) => {
                self.keys = Some(keys);
                Heard::Connected
            }
            Err(cause) => Heard::Refused(cause),
        }
    }

    fn receive_media(&mut self, data: &[u8]) -> Heard {
        let Some(keys) = &mut self.keys else { return Heard::Refused("media before the handshake") };
        // RTP and RTCP share the port: RFC 5761 §4.
        if matches!(data.get(1), Some(192..=223)) {
            return keys.open_rtcp(data).map_or(Heard::Refused("an SRTCP packet"), Heard::Rtcp);
        }
        if self.only_count {
            return Counted::of(data, self.transport_cc).map_or(Heard::Refused("an RTP header"), Heard::Counted);
        }
        keys.open_rtp(data).map_or(Heard::Refused("an SRTP packet"), Heard::Rtp)
    }

    fn flush_dtls(&mut self, out: &mut SendArena) {
        while let Some(transmit) = self.dtls.poll_transmit() {
            put(out, transmit.transport.peer_addr, &transmit.message);
        }
    }
}

/// The wire empties the arena after every peer, so that it is never full; a datagram that did not fit would be a lost one.
fn put(out: &mut SendArena, to: SocketAddr, datagram: &[u8]) {
    let _ = out.push(to, datagram);
}
