//! SRTP of one session: rollover, replay and nonces on top of the ciphers (RFC 3711 §3.3, RFC 7714).

use rtc_dtls::crypto_provider::RTCCrypto;

use super::cipher::{Cipher, CipherError, Usage};
use super::dtls::Keys;
use super::replay::Window;
use super::{OpenPacket, RTP_OVERHEAD};
use crate::limit;
use crate::message::Role;
use crate::stats::DropReason;
use crate::token::RtpToken;

/// Bytes that sealing adds to an RTCP packet at most: tag and index.
pub(super) const RTCP_OVERHEAD: usize = RTP_OVERHEAD + 4;

/// Largest SRTCP index (RFC 3711 §3.2.1).
const LAST_RTCP_INDEX: u32 = (1 << 31) - 1;

/// Keys and counters. A publisher only sends us RTP and a viewer only gets it, so each has three ciphers.
pub(super) struct Srtp {
    rtp: Direction,
    rtcp_in: Cipher,
    rtcp_out: Cipher,
    rtcp_seen: Vec<(u32, Window<2>)>,
    rtcp_sent: u32,
}

enum Direction {
    In { cipher: Cipher, seen: Vec<Stream> },
    Out { cipher: Cipher, sent: Vec<Stream> },
}

struct Stream {
    ssrc: u32,
    window: Window<16>,
}

impl Srtp {
    pub fn new(role: Role, keys: &Keys, crypto: &dyn RTCCrypto) -> Result<Self, CipherError> {
        let cipher = |usage, master| Cipher::derive(keys.profile, usage, master, crypto);
        let rtp = match role {
            Role::Publisher => Direction::In { cipher: cipher(Usage::Rtp, keys.inbound())?, seen: Vec::new() },
            Role::Viewer => Direction::Out { cipher: cipher(Usage::Rtp, keys.outbound())?, sent: Vec::new() },
        };
        Ok(Self {
            rtp,
            rtcp_in: cipher(Usage::Rtcp, keys.inbound())?,
            rtcp_out: cipher(Usage::Rtcp, keys.outbound())?,
            rtcp_seen: Vec::new(),
            rtcp_sent: 0,
        })
    }

    /// Decrypts in place and returns the length of the clear packet.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let Direction::In { cipher, seen } = &mut self.rtp else { return Err(DropReason::UnexpectedRtp) };
        let header_len = rtp_header_len(packet).ok_or(DropReason::BadRtp)?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        let at = seen.iter().position(|stream| stream.ssrc == ssrc);
        let highest = at.and_then(|at| seen[at].window.highest());
        let index = guess_index(highest, sequence).ok_or(DropReason::TooOld)?;
        if at.is_some_and(|at| !seen[at].window.is_fresh(index)) {
            return Err(DropReason::Replayed);
        }
        if at.is_none() && seen.len() >= limit::INBOUND_SSRCS {
            return Err(DropReason::UnknownStream);
        }
        let len = cipher.open_rtp(ssrc, index, packet, header_len).map_err(|_| DropReason::BadTag)?;
        // Only what was authenticated may be remembered.
        let at = at.unwrap_or_else(|| {
            seen.push(Stream { ssrc, window: Window::default() });
            seen.len() - 1
        });
        seen[at].window.take(index);
        Ok(len)
    }

    /// Decrypts in place and returns the length of the clear compound packet.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, DropReason> {
        let ssrc = packet.get(4..8).ok_or(DropReason::BadRtcp)?;
        let ssrc = u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]);
        let index = self.rtcp_in.rtcp_index(packet).ok_or(DropReason::BadTag)?;
        let at = self.rtcp_seen.iter().position(|(of, _)| *of == ssrc);
        if at.is_some_and(|at| !self.rtcp_seen[at].1.is_fresh(u64::from(index))) {
            return Err(DropReason::Replayed);
        }
        if at.is_none() && self.rtcp_seen.len() >= limit::INBOUND_SSRCS {
            return Err(DropReason::UnknownStream);
        }
        let len = self.rtcp_in.open_rtcp(index, packet).map_err(|_| DropReason::BadTag)?;
        let at = at.unwrap_or_else(|| {
            self.rtcp_seen.reserve_exact(1);
            self.rtcp_seen.push((ssrc, Window::default()));
            self.rtcp_seen.len() - 1
        });
        self.rtcp_seen[at].1.take(u64::from(index));
        Ok(len)
    }

    /// Writes the token's numbers into the header, encrypts in place and returns the length of the sealed packet.
    ///
    /// A token is good for one packet by its type. Should two equal ones ever be issued, the window refuses the second: a lost packet is cheaper than a
    /// repeated nonce.
    pub fn seal_rtp(&mut self, token: RtpToken, packet: OpenPacket<'_>) -> Result<usize, DropReason> {
        let OpenPacket { slot, header_len, len } = packet;
        let Direction::Out { cipher, sent } = &mut self.rtp else { return Err(DropReason::SealFailed) };
        if header_len < 12 || header_len > len || len > slot.len() {
            return Err(DropReason::SealFailed);
        }
        let at = match sent.iter().position(|stream| stream.ssrc == token.ssrc()) {
            Some(at) => at,
            None if sent.len() < limit::OUTBOUND_SSRCS => {
                sent.reserve_exact(1);
                sent.push(Stream { ssrc: token.ssrc(), window: Window::default() });
                sent.len() - 1
            }
            None => return Err(DropReason::SealFailed),
        };
        if !sent[at].window.is_fresh(token.index()) {
            return Err(DropReason::SealFailed);
        }
        sent[at].window.take(token.index());
        slot[2..4].copy_from_slice(&token.sequence().to_be_bytes());
        slot[8..12].copy_from_slice(&token.ssrc().to_be_bytes());
        cipher.seal_rtp(token.ssrc(), token.index(), slot, header_len, len).map_err(|_| DropReason::SealFailed)
    }

    /// Encrypts the compound packet in `slot[..len]` and returns the length of the sealed one. Each index is used once; after the last, nothing is sent.
    pub fn seal_rtcp(&mut self, slot: &mut [u8], len: usize) -> Result<usize, DropReason> {
        if self.rtcp_sent == LAST_RTCP_INDEX {
            return Err(DropReason::SealFailed);
        }
        self.rtcp_sent += 1;
        self.rtcp_out.seal_rtcp(self.rtcp_sent, slot, len).map_err(|_| DropReason::SealFailed)
    }
}

/// RFC 3711 §3.3.1: the index nearest to the highest one. `None` before the beginning of the stream.
fn guess_index(highest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(highest) = highest else { return Some(u64::from(sequence)) };
    let distance = sequence.wrapping_sub(highest as u16) as i16;
    highest.checked_add_signed(i64::from(distance))
}

/// Fixed header, CSRCs and extension (RFC 3550 §5.1, §5.3.1).
fn rtp_header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let fixed = 12 + usize::from(first & 0x0f) * 4;
    let len = if first & 0x10 == 0 {
        fixed
    } else {
        let words = packet.get(fixed + 2..fixed + 4)?;
        fixed + 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4
    };
    (first >> 6 == 2 && len <= packet.len()).then_some(len)
}
