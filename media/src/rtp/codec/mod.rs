//! Payload formats: what one packet says about its picture or sound, and how packets become an access unit.
//!
//! Our own instead of `rtc-rtp`'s depacketisers: those refuse NAL units of two bytes, read beyond a cut aggregation packet, and accept
//! a fragment whose start never came.

pub mod av1;
pub(crate) mod bits;
pub mod h264;
pub mod opus;
pub mod red;
pub mod vp8;
pub mod vp8_numbers;
pub mod vp9;

use crate::message::Codec;
use crate::rtp::layer::{LayerId, SwitchUp};

/// What one packet's payload says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// A decoder can begin here: the packet that starts a keyframe. Sound: always.
    pub key: bool,
    /// Begins an access unit for certain. (H.264 cannot tell from one packet: there it means "may begin".)
    pub start: bool,
    /// Ends the frame of its spatial layer, where packets tell.
    pub end: bool,
    pub layer: LayerId,
    pub switch_up: SwitchUp,
    /// Where in a packet with redundant sound its own begins (RFC 2198, see [`red`]). 0: all of the payload is its own.
    pub primary: u16,
}

/// `None` when the payload is malformed for its codec.
pub fn inspect(codec: Codec, payload: &[u8]) -> Option<Inspected> {
    match codec {
        Codec::Vp8 => vp8::inspect(payload),
        Codec::Vp9 => vp9::inspect(payload),
        Codec::H264 => h264::inspect(payload),
        Codec::Av1 => av1::inspect(payload),
        Codec::Opus => opus::inspect(payload),
    }
}

/// Joins the payloads of one picture. What a decoder needs once, it remembers across pictures.
pub trait Assemble {
    /// A finished picture.
    type Unit;

    /// One payload, in order and complete from the first of its picture on.
    ///
    /// # Errors
    /// When the payload is malformed or does not go on where the one before ended. The picture is then to be discarded.
    fn append(&mut self, payload: &[u8]) -> Result<(), Malformed>;

    /// The picture of the payloads since the last call. `None` when there is none in them.
    ///
    /// # Errors
    /// When its end is missing or it contradicts itself. The next one may begin.
    fn finish(&mut self) -> Result<Option<Self::Unit>, Malformed>;

    /// Forgets the picture in work, and nothing else.
    fn discard(&mut self);
}

/// A picture of these payloads, for tests.
#[cfg(test)]
fn assemble<A: Assemble>(assembler: &mut A, payloads: &[&[u8]]) -> Result<Option<A::Unit>, Malformed> {
    for payload in payloads {
        assembler.append(payload).inspect_err(|_| assembler.discard())?;
    }
    assembler.finish()
}

/// Why packets do not make an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a payload ends too early")]
    Truncated,
    #[error("the start of a fragment is missing")]
    MissingStart,
    #[error("the end of a fragment is missing")]
    MissingEnd,
    #[error("a packet type that was not negotiated")]
    Unsupported,
    #[error("larger than the bound of an access unit")]
    TooLarge,
}
