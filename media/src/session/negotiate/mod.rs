//! Offer and answer (RFC 3264, RFC 8829, RFC 8843): what one peer connection carries and under which numbers.
//!
//! `offer` reads an SDP offer, `answer` decides and writes. Rooms and tracks do not belong here: a viewer's answer lists every codec in
//! common, whatever is on air, and the payload type is chosen per packet.

mod answer;
pub(super) mod fragment;
mod offer;
#[cfg(test)]
mod tests;

pub use answer::CNAME;
pub(super) use answer::Terms;
pub(super) use offer::Fingerprint;

use crate::message::{Codec, Refusal};

/// Reads `offer` and answers it. Also returns the hashes of which the peer's certificate must have one.
///
/// # Errors
/// [`Refusal::MalformedOffer`] names the problem, [`Refusal::NoCommonCodec`] what was offered.
pub(super) fn negotiate(offer: &str, mut terms: Terms<'_>) -> Result<(Negotiated, Vec<Fingerprint>, String), Refusal> {
    let offer = offer::parse(offer)?;
    let (mut negotiated, answer) = answer::decide(&offer, &mut terms)?;
    negotiated.remote_ufrag = offer.ufrag;
    Ok((negotiated, offer.fingerprints, answer))
}

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Audio,
    Video,
}

/// What offer and answer agreed on: the sections that carry media, in the order of the offer. Refused sections are not here.
#[derive(Clone, Debug, Default)]
pub struct Negotiated {
    pub sections: Vec<Section>,
    /// The peer's; another one in a later fragment restarts ICE.
    pub remote_ufrag: Box<str>,
}

/// One m-line that carries media. A publisher's flows to us, a viewer's from us.
#[derive(Clone, Debug)]
pub struct Section {
    /// `a=mid`; empty if the offer had a single section without one.
    pub mid: Box<str>,
    pub kind: Kind,
    /// In order of preference; never empty.
    pub codecs: Vec<PayloadMap>,
    /// Publisher: as declared by the offer, `None` if it declares none (then [`Negotiated::section_of`] finds the section by mid or payload type).
    /// Viewer: ours, always there.
    pub stream: Option<Stream>,
    /// Publisher: names (`a=rid`, RFC 8851) of the simulcast layers (RFC 8853) in the order of the offer; empty without simulcast. Their
    /// packets name them in a header extension, so `stream` is `None`.
    pub layers: Vec<Box<str>>,
    pub feedback: FeedbackTypes,
    pub extensions: ExtensionIds,
}

/// The SSRCs of one section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub ssrc: u32,
    /// Repair stream (RFC 4588) of `ssrc`.
    pub rtx_ssrc: Option<u32>,
}

/// One payload type of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadMap {
    pub codec: Codec,
    pub pt: u8,
    /// Payload type of repair packets for `pt` (`apt`).
    pub rtx_pt: Option<u8>,
    /// Opus: packets that repeat earlier ones may come and go under another payload type.
    pub red: Option<Red>,
    /// `a=fmtp` as offered; empty without one.
    pub fmtp: Box<str>,
}

/// Redundant audio (RFC 2198) around a codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Red {
    pub pt: u8,
    /// It was offered before the codec itself: what comes first in an answer is what a browser sends.
    pub first: bool,
    /// `a=fmtp` as offered: the payload type of the codec, once for each block that the offerer wants to send.
    pub fmtp: Box<str>,
}

/// RTCP feedback in common (RFC 4585, RFC 5104).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedbackTypes {
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    pub transport_cc: bool,
    /// A viewer without transport-wide feedback may send its estimate instead.
    pub remb: bool,
}

/// Ids of header extensions in common (RFC 8285), 1 to 14, as the offer numbered them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    pub mid: Option<u8>,
    pub transport_cc: Option<u8>,
    pub abs_send_time: Option<u8>,
    pub abs_capture_time: Option<u8>,
    pub audio_level: Option<u8>,
    /// With simulcast only: the layer of a packet, and the layer that a repair packet is for (RFC 8852).
    pub rid: Option<u8>,
    pub repaired_rid: Option<u8>,
    /// Pictures only.
    pub orientation: Option<u8>,
    /// Pictures only.
    pub playout_delay: Option<u8>,
    /// Pictures only, viewers only where headers of both forms may be mixed (RFC 8285 §6): see [`crate::rtp::dependency`].
    pub dependency: Option<u8>,
}

impl ExtensionIds {
    fn without_layers(self) -> Self {
        Self { rid: None, repaired_rid: None, ..self }
    }
}

impl Negotiated {
    /// Where a packet from a publisher belongs: by declared SSRC, else by the mid extension, else by a payload type that only one section has.
    /// A section that declared its SSRCs takes no others, but for a repair stream that it did not declare.
    pub fn section_of(&self, ssrc: u32, mid: Option<&[u8]>, pt: u8) -> Option<usize> {
        let declared = |s: &Section| s.stream.is_some_and(|st| st.ssrc == ssrc || st.rtx_ssrc == Some(ssrc));
        if let Some(at) = self.sections.iter().position(declared) {
            return Some(at);
        }
        let open = |s: &Section| match (s.stream, s.payload(pt)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(stream), Some((_, payload))) => payload == Payload::Repair && stream.rtx_ssrc.is_none(),
        };
        let mut candidates = self.sections.iter().enumerate().filter(|(_, s)| open(s));
        if let Some(mid) = mid {
            return candidates.find(|(_, s)| s.mid.as_bytes() == mid).map(|(at, _)| at);
        }
        let (first, _) = candidates.next()?;
        candidates.next().is_none().then_some(first)
    }
}

impl Section {
    /// The codec of a payload type, and whether it is the type of repair packets.
    pub fn payload(&self, pt: u8) -> Option<(&PayloadMap, Payload)> {
        self.codecs.iter().find_map(|map| match pt {
            _ if map.pt == pt => Some((map, Payload::Media)),
            _ if map.rtx_pt == Some(pt) => Some((map, Payload::Repair)),
            _ if map.red.as_ref().is_some_and(|red| red.pt == pt) => Some((map, Payload::Redundant)),
            _ => None,
        })
    }

    /// The payload type under which a stream goes out: the one that was offered with the stream's profile. H.264 of another profile goes out under the
    /// first of the codec, since decoders of browsers follow the stream and not the label; VP9 and AV1 do not, since another profile has another
    /// sample format.
    pub fn payload_for(&self, codec: Codec, profile: Option<u8>) -> Option<&PayloadMap> {
        let of_codec = self.codecs.iter().filter(|map| map.codec == codec);
        let same_profile = |map: &&PayloadMap| profile.is_none() || map.profile() == profile;
        let other = || of_codec.clone().next().filter(|_| codec == Codec::H264);
        of_codec.clone().find(same_profile).or_else(other)
    }
}

/// What a payload type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    Media,
    /// RFC 4588: the original sequence number, then the original payload.
    Repair,
    /// RFC 2198: the payload of its own and those of earlier packets.
    Redundant,
}

impl PayloadMap {
    /// Value of one parameter of the `a=fmtp`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// H.264: profile_idc, the first byte of profile-level-id (RFC 6184 §8.1). VP9: profile-id, 0 where none is named (RFC 9628 §6.1). AV1: profile, 0 where none
    /// is named (AV1 RTP §7.2.1). `None` for codecs
    /// without, and where it is malformed.
    pub fn profile(&self) -> Option<u8> {
        match self.codec {
            Codec::H264 => u8::from_str_radix(self.parameter("profile-level-id")?.get(..2)?, 16).ok(),
            Codec::Vp9 => self.parameter("profile-id").map_or(Some(0), |id| id.parse().ok()),
            Codec::Av1 => self.parameter("profile").map_or(Some(0), |id| id.parse().ok()),
            Codec::Vp8 | Codec::Opus => None,
        }
    }
}
