//! One peer connection, as a state machine without sockets and clocks: ICE-lite, DTLS, SRTP and what was negotiated.
//!
//! A session knows no tracks and no rooms. It turns datagrams into decrypted packets and packets into sealed datagrams in the send
//! arena. The seam to its caller:
//!
//! - `Session::accept(now, offer, SessionConfig) -> Result<(Session, answer), Refusal>`
//! - `receive(now, from, data, arena) -> Received`: hand over every datagram that the demux gives to this session. STUN and DTLS are answered
//!   into the arena. [`Received::Validated`] tells the demux which addresses belong to the session; it
//!   comes with every check, so that the demux knows which of two claims to an address is alive.
//! - `seal_rtp(RtpToken, OpenPacket) -> Result<usize, DropReason>`: encrypts in place; SSRC and sequence number of the token are written into the header.
//! - `seal_rtcp(compound, arena) -> Result<(), DropReason>`; `compound` is clear text as [`feedback`] builds it.
//! - `tick(now, arena) -> Option<CloseReason>` no later than `next_deadline()`; `close(now, arena)` sends close_notify.
//! - `address()` is where media goes: `None` until a check was nominated or the handshake done. `is_connected()`: handshake done.
//! - `media()` is what was negotiated; `local_ufrag()` is what the first STUN request names: USERNAME `<local_ufrag>:<remote>`.
//! - `last_heard()` is the latest authenticated STUN request or SRTP packet.

use std::net::SocketAddr;
use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;

use crate::arena::SendArena;
use crate::id::SessionId;
use crate::message::{CloseReason, Codec, Now, Refusal, Role, SrtpProfile};
use crate::stats::DropReason;
use crate::token::RtpToken;

mod certificate;
mod cipher;
mod dtls;
pub mod estimate;
pub mod feedback;
mod ice;
pub mod negotiate;
mod replay;
mod srtp;
#[cfg(test)]
mod stories;
#[cfg(test)]
pub(crate) mod testing;
mod transport;

pub use certificate::{Certificate, CertificateError};

use negotiate::{Negotiated, Terms};
use transport::Transport;

/// Bytes that sealing adds to an RTP packet at most: the tag of AES-GCM.
pub const RTP_OVERHEAD: usize = 16;

/// What a session is made with.
pub struct SessionConfig<'a> {
    pub id: SessionId,
    pub role: Role,
    /// Addresses of the media port, each a host candidate of the answer, the preferred first.
    pub announce: &'a [SocketAddr],
    pub certificate: &'a Certificate,
    /// Put first in a publisher's answer when the offer has it.
    pub prefer_video: Option<Codec>,
    /// Source of credentials and SSRCs; must be seeded unpredictably.
    pub rng: &'a mut StdRng,
}

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'d> {
    /// A decrypted RTP packet, header included.
    Rtp(&'d [u8]),
    /// A decrypted RTCP compound packet.
    Rtcp(&'d [u8]),
    /// An authenticated check came from `address`, new or not: its datagrams belong to this session, those of `forgotten` no longer do.
    Validated {
        address: SocketAddr,
        forgotten: Option<SocketAddr>,
    },
    /// The handshake is complete and the certificate is the one of the SDP.
    Connected {
        profile: SrtpProfile,
    },
    /// The session is over. Forget it.
    Closed(CloseReason),
    /// STUN or DTLS, dealt with.
    Handled,
    Dropped(DropReason),
}

/// ICE was restarted.
#[derive(Debug, PartialEq, Eq)]
pub struct Restarted {
    /// Our new credentials and candidates.
    pub fragment: String,
    /// A user fragment by which no check comes any more.
    pub forgotten: Option<Box<str>>,
}

/// An RTP packet in clear in a slot of the send arena.
#[derive(Debug)]
pub struct OpenPacket<'a> {
    /// At least `len` + [`RTP_OVERHEAD`] bytes.
    pub slot: &'a mut [u8],
    /// Bytes of the RTP header with CSRCs and extensions: authenticated, not encrypted.
    pub header_len: usize,
    /// Bytes of header and payload.
    pub len: usize,
}

/// See the head of this module. New → Connected → Closing → Closed; never back.
pub struct Session {
    id: SessionId,
    role: Role,
    media: Negotiated,
    transport: Transport,
}

impl Session {
    /// Answers an offer. The session is then waiting for its peer.
    ///
    /// # Errors
    /// [`Refusal::MalformedOffer`] names the problem, [`Refusal::NoCommonCodec`] what was offered.
    pub fn accept(now: Now, offer: &str, config: SessionConfig<'_>) -> Result<(Self, String), Refusal> {
        let SessionConfig { id, role, announce, certificate, prefer_video, rng } = config;
        let mut transport = Transport::new(now.mono, role, certificate.clone(), rng);
        let origin = rng.next_u64() >> 2; // fits a signed number, as browsers read it
        let mut drawn = vec![0];
        let mut ssrc = || {
            loop {
                let ssrc = rng.next_u32();
                if !drawn.contains(&ssrc) {
                    drawn.push(ssrc);
                    return ssrc;
                }
            }
        };
        let terms = Terms {
            role,
            prefer_video,
            announce,
            ufrag: transport.ice().ufrag(),
            password: transport.ice().password(),
            fingerprint: certificate.fingerprint(),
            origin,
            ssrc: &mut ssrc,
        };
        let (media, fingerprints, answer) = negotiate::negotiate(offer, terms)?;
        transport.expect(fingerprints);
        Ok((Self { id, role, media, transport }, answer))
    }

    pub fn id(&self) -> SessionId {
        self.id
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// What was negotiated.
    pub fn media(&self) -> &Negotiated {
        &self.media
    }

    /// The part before the colon in the USERNAME of the peer's checks.
    pub fn local_ufrag(&self) -> &str {
        self.transport.ice().ufrag()
    }

    /// Whether this is a check of the peer's: it knows our password.
    pub fn is_authentic(&self, check: &[u8]) -> bool {
        self.transport.is_authentic(check)
    }

    /// Every user fragment by which checks of this session may come, at most two: a restart leaves the one before good for a while.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.transport.ice().ufrags()
    }

    /// Takes what the peer says of its ICE. Candidates change nothing: a lite agent only answers checks. Other credentials than the peer had restart ICE:
    /// we get new ones too; keys, counters and paths stay (RFC 8445 §9).
    ///
    /// # Errors
    /// [`Refusal::MalformedFragment`]; [`Refusal::Outdated`] when `expects` does not name our current user fragment; [`Refusal::Unknown`] after the end.
    pub fn ice(
        &mut self,
        fragment: &str,
        expects: Option<&[String]>,
        announce: &[SocketAddr],
        rng: &mut StdRng,
    ) -> Result<Option<Restarted>, Refusal> {
        let fragment = negotiate::fragment::parse(fragment)?;
        if expects.is_some_and(|expects| expects.iter().all(|ufrag| ufrag != self.local_ufrag())) {
            return Err(Refusal::Outdated);
        }
        let Some(ufrag) = fragment.ufrag.filter(|ufrag| *ufrag != self.media.remote_ufrag) else { return Ok(None) };
        self.media.remote_ufrag = ufrag;
        let forgotten = self.transport.restart(rng);
        let ice = self.transport.ice();
        let fragment = negotiate::fragment::write(&self.media, announce, ice.ufrag(), ice.password());
        Ok(Some(Restarted { fragment, forgotten }))
    }

    /// Where media goes: the address of the latest authenticated check that carried USE-CANDIDATE, before that the one where the handshake ended.
    pub fn address(&self) -> Option<SocketAddr> {
        self.transport.ice().selected()
    }

    /// Addresses whose datagrams belong to this session, at most [`crate::limit::VALIDATED_ADDRESSES`].
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.transport.ice().validated()
    }

    /// Handshake done and not yet closed.
    pub fn is_connected(&self) -> bool {
        self.transport.is_connected()
    }

    /// The latest authenticated STUN request or SRTP packet; the moment of the answer before any came.
    pub fn last_heard(&self) -> Instant {
        self.transport.last_heard()
    }

    /// Takes a datagram of this session; answers of STUN and DTLS go into the arena.
    pub fn receive<'d>(
        &mut self,
        now: Now,
        from: SocketAddr,
        data: &'d mut [u8],
        arena: &mut SendArena,
    ) -> Received<'d> {
        self.transport.receive(now.mono, from, data, arena)
    }

    /// Encrypts a viewer's packet in place and returns the length of the datagram. SSRC and sequence number of the token are written into the header.
    ///
    /// # Errors
    /// [`DropReason::NotConnected`] before and after the connection; [`DropReason::SealFailed`] if the slot is too small, the lengths make no packet or the
    /// token's numbers were sealed before.
    pub fn seal_rtp(&mut self, token: RtpToken, packet: OpenPacket<'_>) -> Result<usize, DropReason> {
        self.transport.seal_rtp(token, packet)
    }

    /// Encrypts a compound packet into a datagram to [`Session::address`].
    ///
    /// # Errors
    /// [`DropReason::NotConnected`] without keys or address, [`DropReason::ArenaFull`], [`DropReason::SealFailed`] if it is no RTCP packet.
    pub fn seal_rtcp(&mut self, compound: &[u8], arena: &mut SendArena) -> Result<(), DropReason> {
        self.transport.seal_rtcp(compound, arena)
    }

    /// Time passed: repeats lost DTLS flights and watches handshake and consent. A reason ends the session; forget it then.
    pub fn tick(&mut self, now: Now, arena: &mut SendArena) -> Option<CloseReason> {
        self.transport.tick(now.mono, arena)
    }

    /// When [`Session::tick`] has something to do; `None` after the end.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.transport.next_deadline()
    }

    /// Sends close_notify. Whoever keeps the session until [`Session::tick`] says [`CloseReason::Requested`] lets it repeat a lost one.
    pub fn close(&mut self, now: Now, arena: &mut SendArena) {
        self.transport.close(now.mono, arena);
    }
}
