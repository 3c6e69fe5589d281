//! Payload formats: what one packet says about its picture or sound, and how packets become an access unit.
//!
//! Our own instead of `rtc-rtp`'s depacketisers: those refuse NAL units of two bytes, read beyond a cut aggregation packet, and accept
//! a fragment whose start never came.

pub mod av1;
pub(crate) mod bits;
pub mod h264;
pub mod opus;
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
    pub layer: LayerId,
    pub switch_up: SwitchUp,
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
