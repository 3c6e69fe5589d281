//! The right to encrypt one RTP packet.
//!
//! AES-GCM and AES-CM die of one repeated nonce, and the nonce of an SRTP packet is made of its SSRC, rollover counter and
//! sequence number (RFC 3711 §4.1.1, RFC 7714 §8.1). So whoever numbers a stream issues each (SSRC, ROC, SEQ) once, as a token that cannot
//! be copied, and sealing consumes it.

/// One (SSRC, ROC, SEQ) of an outgoing stream.
#[derive(Debug, PartialEq, Eq)]
pub struct RtpToken {
    ssrc: u32,
    index: u64,
}

impl RtpToken {
    /// `index` is the extended sequence number ROC << 16 | SEQ (RFC 3711 §3.3.1), at most 48 bits. A stream starts with ROC 0 and a SEQ below 2^15, so
    /// that a receiver that misses its first packets still guesses the rollover counter right. The caller answers for issuing each pair once.
    pub(crate) fn new(ssrc: u32, index: u64) -> Self {
        debug_assert!(index < 1 << 48, "the SRTP index has 48 bits");
        Self { ssrc, index }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// ROC << 16 | SEQ.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The sequence number on the wire.
    pub fn sequence(&self) -> u16 {
        self.index as u16
    }

    /// The rollover counter.
    pub fn rollover(&self) -> u32 {
        (self.index >> 16) as u32
    }
}
