//! An SDP offer as facts. What of it is accepted is decided in `answer`.

use std::io::Cursor;

use ring::digest;
use rtc_sdp::description::common::Attribute;
use rtc_sdp::description::media::MediaName;
use rtc_sdp::{MediaDescription, SessionDescription};

use super::Kind;
use crate::limit;
use crate::message::Refusal;

pub(super) struct Offer {
    pub sections: Vec<OfferedSection>,
    /// Mids of `a=group:BUNDLE`, `None` without the attribute.
    pub bundle: Option<Vec<String>>,
    pub allow_mixed: bool,
    /// `a=ice-ufrag`, never empty.
    pub ufrag: Box<str>,
    pub fingerprints: Vec<Fingerprint>,
}

#[derive(Default)]
pub(super) struct OfferedSection {
    /// `None`: neither audio nor video.
    pub kind: Option<Kind>,
    /// First, third and further words of the m-line, to be repeated when it is refused.
    pub media: String,
    pub protocol: String,
    pub formats: Vec<String>,
    /// Port 0 without `a=bundle-only`.
    pub disabled: bool,
    pub mid: Option<String>,
    pub direction: Direction,
    pub rtcp_mux: bool,
    pub rtcp_rsize: bool,
    pub codecs: Vec<OfferedCodec>,
    pub extensions: Vec<OfferedExtension>,
    pub sources: Vec<u32>,
    /// `a=ssrc-group`: semantics and members.
    pub groups: Vec<(String, Vec<u32>)>,
    /// Names of the simulcast layers that it sends, in order.
    pub layers: Vec<String>,
}

pub(super) struct OfferedCodec {
    pub pt: u8,
    /// Encoding name as written, `""` for a static payload type without `a=rtpmap`.
    pub name: String,
    pub clock: u32,
    pub channels: u8,
    pub fmtp: String,
    /// `a=rtcp-fb` values without the payload type.
    pub feedback: Vec<String>,
}

pub(super) struct OfferedExtension {
    pub id: u8,
    pub direction: Direction,
    pub uri: String,
}

/// From the view of the offerer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "sendrecv" => Self::SendRecv,
            "sendonly" => Self::SendOnly,
            "recvonly" => Self::RecvOnly,
            "inactive" => Self::Inactive,
            _ => return None,
        })
    }

    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Hash of the peer's certificate (RFC 8122 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::session) struct Fingerprint {
    hash: Hash,
    value: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Fingerprint {
    /// `None` for a hash that is not accepted or a malformed value.
    fn parse(text: &str) -> Option<Self> {
        let (name, hex) = text.trim().split_once(' ')?;
        let (hash, len) = match name.to_ascii_lowercase().as_str() {
            "sha-256" => (Hash::Sha256, 32),
            "sha-384" => (Hash::Sha384, 48),
            "sha-512" => (Hash::Sha512, 64),
            _ => return None,
        };
        let byte = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
            digits.then(|| u8::from_str_radix(text, 16).ok()).flatten()
        };
        let value: Option<Box<[u8]>> = hex.trim().split(':').map(byte).collect();
        value.filter(|v| v.len() == len).map(|value| Self { hash, value })
    }

    pub fn matches(&self, certificate_der: &[u8]) -> bool {
        let algorithm = match self.hash {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, certificate_der).as_ref() == &*self.value
    }
}

fn malformed(problem: impl Into<String>) -> Refusal {
    Refusal::MalformedOffer(problem.into())
}

pub(super) fn parse(text: &str) -> Result<Offer, Refusal> {
    if text.len() > limit::OFFER_BYTES {
        return Err(malformed(format!("{} bytes, at most {} are accepted", text.len(), limit::OFFER_BYTES)));
    }
    let sdp = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
        .map_err(|e| malformed(printable(&format!("it does not parse as SDP ({e})"))))?;
    if sdp.media_descriptions.is_empty() {
        return Err(malformed("no media section"));
    }
    if sdp.media_descriptions.len() > limit::MEDIA_SECTIONS {
        let count = sdp.media_descriptions.len();
        return Err(malformed(format!("{count} media sections, at most {} are accepted", limit::MEDIA_SECTIONS)));
    }
    check_transport(&sdp)?;
    let direction = direction_of(&sdp.attributes);
    Ok(Offer {
        sections: sdp.media_descriptions.iter().map(|m| section(m, direction)).collect::<Result<_, _>>()?,
        bundle: value(&sdp.attributes, "group")
            .and_then(|v| v.strip_prefix("BUNDLE"))
            .map(|mids| mids.split_whitespace().map(str::to_owned).collect()),
        allow_mixed: has(&sdp.attributes, "extmap-allow-mixed"),
        ufrag: all_values(&sdp, "ice-ufrag").next().unwrap_or_default().into(),
        fingerprints: fingerprints(&sdp)?,
    })
}

/// What ICE-lite and a DTLS server need of the other side (RFC 8445 §5.2, RFC 8842 §5.3).
fn check_transport(sdp: &SessionDescription) -> Result<(), Refusal> {
    if has(&sdp.attributes, "ice-lite") {
        return Err(malformed("it says a=ice-lite, but one side must run full ICE"));
    }
    for name in ["ice-ufrag", "ice-pwd"] {
        let Some(text) = all_values(sdp, name).next().filter(|text| !text.is_empty()) else {
            return Err(malformed(format!("no a={name}")));
        };
        if text.len() > limit::ICE_TEXT_BYTES {
            let len = text.len();
            return Err(malformed(format!("a={name} of {len} bytes, at most {} are accepted", limit::ICE_TEXT_BYTES)));
        }
    }
    if all_values(sdp, "setup").any(|role| role == "passive") {
        return Err(malformed("a=setup:passive, but the server is the passive side; offer actpass or active"));
    }
    Ok(())
}

fn fingerprints(sdp: &SessionDescription) -> Result<Vec<Fingerprint>, Refusal> {
    let offered: Vec<&str> = all_values(sdp, "fingerprint").collect();
    if offered.is_empty() {
        return Err(malformed("no a=fingerprint"));
    }
    let mut known: Vec<Fingerprint> = Vec::new();
    for fingerprint in offered.iter().filter_map(|text| Fingerprint::parse(text)) {
        if !known.contains(&fingerprint) {
            known.push(fingerprint);
        }
        if known.len() > limit::FINGERPRINTS {
            return Err(malformed(format!("more than {} fingerprints", limit::FINGERPRINTS)));
        }
    }
    if known.is_empty() {
        return Err(malformed("no a=fingerprint with sha-256, sha-384 or sha-512"));
    }
    Ok(known)
}

fn section(media: &MediaDescription, session_direction: Option<Direction>) -> Result<OfferedSection, Refusal> {
    let attributes = &media.attributes;
    words(&media.media_name)?;
    let kind = match media.media_name.media.as_str() {
        "audio" => Some(Kind::Audio),
        "video" => Some(Kind::Video),
        _ => None,
    };
    Ok(OfferedSection {
        kind,
        media: media.media_name.media.clone(),
        protocol: media.media_name.protos.join("/"),
        formats: media.media_name.formats.clone(),
        disabled: media.media_name.port.value == 0 && !has(attributes, "bundle-only"),
        mid: value(attributes, "mid").map(token).transpose()?,
        direction: direction_of(attributes).or(session_direction).unwrap_or_default(),
        rtcp_mux: has(attributes, "rtcp-mux"),
        rtcp_rsize: has(attributes, "rtcp-rsize"),
        codecs: if kind.is_some() { codecs(media) } else { Vec::new() },
        extensions: values(attributes, "extmap").filter_map(extension).collect(),
        sources: sources(attributes),
        groups: values(attributes, "ssrc-group").filter_map(group).collect(),
        layers: layers(attributes),
    })
}

/// The words of an m-line are repeated in our answer when it is refused, so they must be tokens (RFC 8866 §9).
fn words(line: &MediaName) -> Result<(), Refusal> {
    let words = std::iter::once(&line.media).chain(&line.protos).chain(&line.formats);
    match words.into_iter().find(|word| !word.bytes().all(|b| b.is_ascii_graphic())) {
        None => Ok(()),
        Some(word) => Err(malformed(format!("{} in an m-line is no token", printable(word)))),
    }
}

/// A mid is repeated in our answer, so it must be a token (RFC 5888 §4).
fn token(text: &str) -> Result<String, Refusal> {
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err(malformed(format!("a=mid:{} is no token", printable(text)))) }
}

fn codecs(media: &MediaDescription) -> Vec<OfferedCodec> {
    let formats = media.media_name.formats.iter();
    formats
        .filter_map(|format| {
            let pt: u8 = format.parse().ok().filter(|pt| *pt < 128)?;
            let mut map = of_payload(&media.attributes, "rtpmap", format).unwrap_or("").split('/');
            let feedback = values(&media.attributes, "rtcp-fb").filter_map(|v| v.split_once(' '));
            Some(OfferedCodec {
                pt,
                name: printable(map.next().unwrap_or("")),
                clock: map.next().and_then(|c| c.trim().parse().ok()).unwrap_or(0),
                channels: map.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1),
                fmtp: printable(of_payload(&media.attributes, "fmtp", format).unwrap_or("")),
                feedback: feedback
                    .filter(|(p, _)| *p == "*" || p == format)
                    .map(|(_, f)| f.trim().to_owned())
                    .collect(),
            })
        })
        .collect()
}

/// Value of an attribute that begins with a payload type.
fn of_payload<'a>(attributes: &'a [Attribute], name: &'static str, pt: &str) -> Option<&'a str> {
    values(attributes, name).find_map(|v| v.split_once(' ').filter(|(p, _)| *p == pt).map(|(_, rest)| rest.trim()))
}

/// `1/recvonly urn:…` (RFC 8285 §8). Ids above 14 need two-byte headers, which we do not write.
fn extension(text: &str) -> Option<OfferedExtension> {
    let mut words = text.split_whitespace();
    let (id, direction) = match words.next()?.split_once('/') {
        Some((id, direction)) => (id.to_owned(), Direction::parse(direction)?),
        None => (text.split_whitespace().next()?.to_owned(), Direction::SendRecv),
    };
    let id = id.parse().ok().filter(|id| (1..=14).contains(id))?;
    Some(OfferedExtension { id, direction, uri: words.next()?.to_owned() })
}

fn sources(attributes: &[Attribute]) -> Vec<u32> {
    let mut sources = Vec::new();
    for ssrc in values(attributes, "ssrc").filter_map(|v| v.split_whitespace().next()?.parse().ok()) {
        if !sources.contains(&ssrc) {
            sources.push(ssrc);
        }
    }
    sources
}

fn group(text: &str) -> Option<(String, Vec<u32>)> {
    let mut words = text.split_whitespace();
    let semantics = words.next()?.to_owned();
    Some((semantics, words.map_while(|w| w.parse().ok()).collect()))
}

/// Layers of `a=simulcast:send q;h,x;~f` (RFC 8853 §5.1) that an `a=rid` declares: of alternatives the first, whether paused or not.
fn layers(attributes: &[Attribute]) -> Vec<String> {
    let Some(simulcast) = value(attributes, "simulcast") else { return Vec::new() };
    let mut words = simulcast.split_whitespace().skip_while(|word| *word != "send").skip(1);
    let sends = |rid: &str| {
        values(attributes, "rid").any(|v| {
            let mut words = v.split_whitespace();
            words.next() == Some(rid) && words.next() == Some("send")
        })
    };
    // RFC 8851 §10; the length fits the header extension (RFC 8852 §3.1).
    let is_name = |rid: &str| {
        (1..=16).contains(&rid.len()) && rid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let mut found: Vec<String> = Vec::new();
    for alternatives in words.next().unwrap_or("").split(';') {
        let rid = alternatives.split(',').next().unwrap_or("").trim_start_matches('~');
        if is_name(rid) && sends(rid) && !found.iter().any(|known| known == rid) {
            found.push(rid.to_owned());
        }
    }
    found
}

fn direction_of(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|a| Direction::parse(&a.key))
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|a| a.key == name)
}

fn values<'a>(attributes: &'a [Attribute], name: &'static str) -> impl Iterator<Item = &'a str> {
    attributes.iter().filter(move |a| a.key == name).filter_map(|a| a.value.as_deref()).map(str::trim)
}

fn value<'a>(attributes: &'a [Attribute], name: &'static str) -> Option<&'a str> {
    values(attributes, name).next()
}

/// At session level and in all sections that are not disabled.
fn all_values<'a>(sdp: &'a SessionDescription, name: &'static str) -> impl Iterator<Item = &'a str> {
    let sections = sdp.media_descriptions.iter().flat_map(|m| m.attributes.iter());
    sdp.attributes
        .iter()
        .chain(sections)
        .filter(move |a| a.key == name)
        .filter_map(|a| a.value.as_deref())
        .map(str::trim)
}

/// Offered text goes back into answers, error texts and logs: no control characters, not without end.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(512).collect()
}
