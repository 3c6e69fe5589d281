//! One peer connection, as a state machine without sockets and clocks: ICE-lite, DTLS, SRTP and what was negotiated.
//!
//! A session knows no tracks and no rooms. It turns datagrams into decrypted packets and packets into sealed datagrams in the send
//! arena. The seam to its caller:
//!
//! - `Session::accept(now, offer, SessionConfig) -> Result<(Session, answer), Refusal>`
//! - `receive(now, from, data, arena) -> Received`: hand over every datagram that the demux gives to this session. STUN and DTLS are answered
//!   into the arena. [`Received::Validated`] tells the demux which addresses belong to the session from now on.
//! - `seal_rtp(RtpToken, OpenPacket) -> Result<usize, DropReason>`: encrypts in place; SSRC and sequence number of the token are written into the header.
//! - `seal_rtcp(compound, arena) -> Result<(), DropReason>`; `compound` is clear text as [`feedback`] builds it.
//! - `tick(now, arena) -> Option<CloseReason>` no later than `next_deadline()`; `close(now, arena)` sends close_notify.
//! - `address()` is where media goes: `None` until a check was nominated. `is_connected()`: handshake done.
//! - `media()` is what was negotiated; `local_ufrag()` is what the first STUN request names: USERNAME `<local_ufrag>:<remote>`.
//! - `last_heard()` is the latest authenticated STUN request or SRTP packet.

use std::net::SocketAddr;

use rand::rngs::StdRng;

use crate::id::SessionId;
use crate::message::{CloseReason, Codec, Role, SrtpProfile};
use crate::stats::DropReason;

pub mod feedback;
pub mod negotiate;

/// Bytes that sealing adds to an RTP packet at most: the tag of AES-GCM.
pub const RTP_OVERHEAD: usize = 16;

/// What a session is made with.
pub struct SessionConfig<'a> {
    pub id: SessionId,
    pub role: Role,
    /// Addresses of the media port, each a host candidate of the answer, the preferred first.
    pub announce: &'a [SocketAddr],
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
    /// An authenticated check came from a new address: datagrams from `address` belong to this session, those from `forgotten` no longer do.
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
