//! What of an offer is accepted, and the SDP that says so (RFC 8829 §5.3).

use std::fmt::Write;
use std::net::SocketAddr;

use super::offer::{Direction, Offer, OfferedCodec, OfferedSection};
use super::{ExtensionIds, FeedbackTypes, Kind, Negotiated, PayloadMap, Red, Section, Stream};
use crate::limit;
use crate::message::{Codec, Refusal, Role};
use crate::rtp::dependency;

/// Our side of the connection.
pub(in crate::session) struct Terms<'a> {
    pub role: Role,
    pub prefer_video: Option<Codec>,
    pub announce: &'a [SocketAddr],
    pub ufrag: &'a str,
    pub password: &'a str,
    /// Value of `a=fingerprint`.
    pub fingerprint: &'a str,
    /// `o=` session id.
    pub origin: u64,
    /// Draws the SSRCs of a viewer's streams.
    pub ssrc: &'a mut dyn FnMut() -> u32,
}

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const ORIENTATION: &str = "urn:3gpp:video-orientation";
const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// What we call our streams in a viewer's answer.
pub const CNAME: &str = "oxbow";

pub(super) fn decide(offer: &Offer, terms: &mut Terms<'_>) -> Result<(Negotiated, String), Refusal> {
    let wanted = wanted(offer, terms.role)?;
    let mut served: Vec<Option<Section>> = Vec::with_capacity(offer.sections.len());
    for (at, section) in offer.sections.iter().enumerate() {
        let room = served.iter().flatten().count() < limit::TRACKS;
        served.push(if wanted[at] && room { accept(section, terms, offer.allow_mixed) } else { None });
    }
    refuse_unserved(offer, &wanted, &served, terms.role)?;
    let text = write(offer, &served, terms);
    Ok((Negotiated { sections: served.into_iter().flatten().collect(), ..Negotiated::default() }, text))
}

/// Which sections carry media in the direction that the role is about, over the one transport that there is.
fn wanted(offer: &Offer, role: Role) -> Result<Vec<bool>, Refusal> {
    let flows = |s: &OfferedSection| {
        let direction = match role {
            Role::Publisher => s.direction.sends(),
            Role::Viewer => s.direction.receives(),
        };
        s.kind.is_some() && !s.disabled && direction
    };
    let wanted: Vec<bool> = offer.sections.iter().map(flows).collect();
    let chosen: Vec<&OfferedSection> = offer.sections.iter().filter(|s| flows(s)).collect();
    let malformed = |text: &str| Err(Refusal::MalformedOffer(text.into()));
    if chosen.is_empty() {
        return malformed(match role {
            Role::Publisher => "no audio or video section that sends",
            Role::Viewer => "no audio or video section that receives",
        });
    }
    if chosen.iter().any(|s| !s.rtcp_mux) {
        return malformed("RTP and RTCP on two ports; a=rtcp-mux is needed");
    }
    if chosen.len() > 1 {
        let bundled = |s: &&OfferedSection| match (&offer.bundle, &s.mid) {
            (Some(mids), Some(mid)) => mids.contains(mid),
            _ => false,
        };
        if !chosen.iter().all(bundled) {
            return malformed("the sections are not bundled on one transport (a=group:BUNDLE with every a=mid)");
        }
    }
    let mut mids: Vec<&str> = offer.sections.iter().filter_map(|s| s.mid.as_deref()).collect();
    mids.sort_unstable();
    if mids.windows(2).any(|pair| pair[0] == pair[1]) {
        return malformed("two sections have the same a=mid");
    }
    Ok(wanted)
}

/// A streamer whose picture or sound cannot be taken must learn it now; a viewer gets what there is.
fn refuse_unserved(offer: &Offer, wanted: &[bool], served: &[Option<Section>], role: Role) -> Result<(), Refusal> {
    let unserved = || offer.sections.iter().enumerate().filter(|(at, _)| wanted[*at] && served[*at].is_none());
    let without_codec = unserved().any(|(_, s)| payloads(s).is_empty());
    let nothing = served.iter().all(Option::is_none);
    if !(nothing || role == Role::Publisher && without_codec) {
        return Ok(());
    }
    let names: Vec<String> =
        unserved().filter(|(_, s)| payloads(s).is_empty()).map(|(_, s)| offered_names(s)).collect();
    Err(Refusal::NoCommonCodec(format!("offered {}; accepted are VP8, VP9, H264, AV1 and opus", names.join("; "))))
}

fn offered_names(section: &OfferedSection) -> String {
    let mut names: Vec<&str> = Vec::new();
    for codec in &section.codecs {
        let helper = ["rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "CN"]
            .iter()
            .any(|h| codec.name.eq_ignore_ascii_case(h));
        if !helper && !codec.name.is_empty() && !names.contains(&codec.name.as_str()) {
            names.push(&codec.name);
        }
    }
    format!("{} {}", section.media, if names.is_empty() { "without a codec".to_owned() } else { names.join(", ") })
}

fn accept(section: &OfferedSection, terms: &mut Terms<'_>, allow_mixed: bool) -> Option<Section> {
    let kind = section.kind?;
    let mut codecs = payloads(section);
    if codecs.is_empty() {
        return None;
    }
    if terms.role == Role::Publisher
        && let Some(preferred) = terms.prefer_video
    {
        codecs.sort_by_key(|map| map.codec != preferred);
    }
    let repairs = codecs.iter().any(|map| map.rtx_pt.is_some());
    let extensions = extensions(section, terms.role, allow_mixed);
    let layers = layers(section, terms.role, extensions);
    let stream = match terms.role {
        Role::Publisher if !layers.is_empty() => None,
        Role::Publisher => declared_stream(section),
        Role::Viewer => Some(Stream { ssrc: (terms.ssrc)(), rtx_ssrc: repairs.then(|| (terms.ssrc)()) }),
    };
    Some(Section {
        mid: section.mid.as_deref().unwrap_or("").into(),
        kind,
        feedback: feedback(section, codecs[0].pt, terms.role),
        extensions: if layers.is_empty() { extensions.without_layers() } else { extensions },
        codecs,
        stream,
        layers,
    })
}

/// Payload types in common, in the order of the offer.
fn payloads(section: &OfferedSection) -> Vec<PayloadMap> {
    let parameter = |fmtp: &str, name: &str| {
        PayloadMap { codec: Codec::Vp8, pt: 0, rtx_pt: None, red: None, fmtp: fmtp.into() }
            .parameter(name)
            .map(str::to_owned)
    };
    let codec_of = |c: &OfferedCodec| match (section.kind?, c.name.to_ascii_lowercase().as_str(), c.clock) {
        (Kind::Audio, "opus", 48_000) if c.channels == 2 => Some(Codec::Opus),
        (Kind::Video, "vp8", 90_000) => Some(Codec::Vp8),
        (Kind::Video, "vp9", 90_000) => Some(Codec::Vp9),
        (Kind::Video, "h264", 90_000) => Some(Codec::H264),
        (Kind::Video, "av1", 90_000) => Some(Codec::Av1),
        _ => None,
    };
    let rtx_of = |pt: u8| {
        let is_rtx = |c: &&OfferedCodec| c.name.eq_ignore_ascii_case("rtx");
        let apt = pt.to_string();
        section.codecs.iter().filter(is_rtx).find(|c| parameter(&c.fmtp, "apt").as_deref() == Some(&apt)).map(|c| c.pt)
    };
    let mut found: Vec<PayloadMap> = section
        .codecs
        .iter()
        .filter_map(|c| {
            let codec = codec_of(c)?;
            let red = if codec == Codec::Opus { redundancy(section, c.pt) } else { None };
            Some(PayloadMap { codec, pt: c.pt, rtx_pt: rtx_of(c.pt), red, fmtp: c.fmtp.as_str().into() })
        })
        .collect();
    // 4:2:0 of 8 or of 10 and 12 bits; browsers send no other.
    found.retain(|map| match map.codec {
        Codec::Vp9 => matches!(map.profile(), Some(0 | 2)),
        Codec::Av1 => map.profile() == Some(0),
        _ => true,
    });
    // Mode 1 can carry what mode 0 can, and more (RFC 6184 §6): mode 0 only where nothing else is offered.
    let interleaves = |map: &PayloadMap| map.codec == Codec::H264 && map.parameter("packetization-mode") == Some("1");
    let has_mode_1 = found.iter().any(interleaves);
    found.retain(|map| match map.parameter("packetization-mode") {
        _ if map.codec != Codec::H264 => true,
        Some("1") => true,
        Some("0") | None => !has_mode_1,
        Some(_) => false,
    });
    found
}

/// The payload type under which packets of this Opus come with earlier ones: one that announces blocks of it and of nothing else (RFC 2198 §5).
fn redundancy(section: &OfferedSection, opus_pt: u8) -> Option<Red> {
    let is_it = |c: &&OfferedCodec| c.pt == opus_pt;
    let announces = |c: &&OfferedCodec| {
        let is_red = c.name.eq_ignore_ascii_case("red") && c.clock == Codec::Opus.clock_rate() && c.channels == 2;
        is_red && c.fmtp.split('/').all(|pt| pt.trim().parse() == Ok(opus_pt))
    };
    let red = section.codecs.iter().find(announces)?;
    let first = section.codecs.iter().find(|c| is_it(c) || c.pt == red.pt)?.pt == red.pt;
    Some(Red { pt: red.pt, first, fmtp: red.fmtp.as_str().into() })
}

/// The payload types of a codec, in the order in which they are answered.
fn types_of(map: &PayloadMap) -> impl Iterator<Item = u8> {
    let red = |first: bool| map.red.as_ref().filter(|red| red.first == first).map(|red| red.pt);
    [red(true), Some(map.pt), map.rtx_pt, red(false)].into_iter().flatten()
}

/// One stream of a section: the last of a `SIM` group (the largest layer), else the first; with its repair stream.
fn declared_stream(section: &OfferedSection) -> Option<Stream> {
    let group = |name: &'static str| {
        section.groups.iter().filter(move |(semantics, _)| semantics == name).map(|(_, ssrcs)| ssrcs)
    };
    let largest = group("SIM").next().and_then(|layers| layers.last());
    let ssrc =
        *largest.or_else(|| group("FID").next().and_then(|pair| pair.first())).or_else(|| section.sources.first())?;
    let rtx_ssrc = group("FID").find(|pair| pair.first() == Some(&ssrc)).and_then(|pair| pair.get(1)).copied();
    Some(Stream { ssrc, rtx_ssrc })
}

/// Simulcast layers that are taken: without the extension that names them packets could not be told apart.
fn layers(section: &OfferedSection, role: Role, extensions: ExtensionIds) -> Vec<Box<str>> {
    let takes = role == Role::Publisher && section.kind == Some(Kind::Video) && extensions.rid.is_some();
    let offered = section.layers.iter().filter(|_| takes && section.layers.len() > 1);
    offered.take(limit::LAYERS).map(|rid| rid.as_str().into()).collect()
}

/// Feedback of the first codec in common speaks for the section: browsers offer the same for all.
fn feedback(section: &OfferedSection, pt: u8, role: Role) -> FeedbackTypes {
    let Some(codec) = section.codecs.iter().find(|c| c.pt == pt) else { return FeedbackTypes::default() };
    let has = |name: &str| codec.feedback.iter().any(|f| f == name);
    let transport_cc = has("transport-cc");
    FeedbackTypes {
        nack: has("nack"),
        pli: has("nack pli"),
        fir: has("ccm fir"),
        transport_cc,
        remb: role == Role::Viewer && !transport_cc && has("goog-remb"),
    }
}

fn extensions(section: &OfferedSection, role: Role, allow_mixed: bool) -> ExtensionIds {
    let id = |uri: &str| {
        let flows = |d: Direction| if role == Role::Publisher { d.sends() } else { d.receives() };
        section.extensions.iter().find(|e| e.uri == uri && flows(e.direction)).map(|e| e.id)
    };
    ExtensionIds {
        mid: id(MID),
        transport_cc: id(TRANSPORT_CC),
        abs_send_time: id(ABS_SEND_TIME),
        abs_capture_time: id(ABS_CAPTURE_TIME),
        audio_level: id(AUDIO_LEVEL).filter(|_| section.kind == Some(Kind::Audio)),
        rid: id(RID),
        repaired_rid: id(REPAIRED_RID),
        orientation: id(ORIENTATION).filter(|_| section.kind == Some(Kind::Video)),
        playout_delay: id(PLAYOUT_DELAY).filter(|_| section.kind == Some(Kind::Video)),
        // Templates are longer than a one-byte element.
        dependency: id(dependency::URI)
            .filter(|_| (role == Role::Publisher || allow_mixed) && section.kind == Some(Kind::Video)),
    }
}

fn write(offer: &Offer, served: &[Option<Section>], terms: &Terms<'_>) -> String {
    let mut out = String::with_capacity(4096);
    let mids: Vec<&str> = served.iter().flatten().map(|s| &*s.mid).filter(|mid| !mid.is_empty()).collect();
    line(&mut out, format_args!("v=0"));
    line(&mut out, format_args!("o=- {} 1 IN IP4 0.0.0.0", terms.origin));
    line(&mut out, format_args!("s=-"));
    line(&mut out, format_args!("t=0 0"));
    line(&mut out, format_args!("a=ice-lite"));
    if offer.bundle.is_some() && !mids.is_empty() {
        line(&mut out, format_args!("a=group:BUNDLE {}", mids.join(" ")));
    }
    if offer.allow_mixed {
        line(&mut out, format_args!("a=extmap-allow-mixed"));
    }
    line(&mut out, format_args!("a=msid-semantic: WMS *"));
    for (offered, section) in offer.sections.iter().zip(served) {
        match section {
            Some(section) => write_section(&mut out, offered, section, terms),
            None => write_refused(&mut out, offered),
        }
    }
    out
}

fn write_refused(out: &mut String, offered: &OfferedSection) {
    line(out, format_args!("m={} 0 {} {}", offered.media, offered.protocol, offered.formats.join(" ")));
    line(out, format_args!("c=IN IP4 0.0.0.0"));
    line(out, format_args!("a=inactive"));
    if let Some(mid) = &offered.mid {
        line(out, format_args!("a=mid:{mid}"));
    }
}

fn write_section(out: &mut String, offered: &OfferedSection, section: &Section, terms: &Terms<'_>) {
    let types: Vec<String> = section.codecs.iter().flat_map(types_of).map(|pt| pt.to_string()).collect();
    line(out, format_args!("m={} 9 {} {}", offered.media, offered.protocol, types.join(" ")));
    line(out, format_args!("c=IN IP4 0.0.0.0"));
    write_transport(out, terms);
    if !section.mid.is_empty() {
        line(out, format_args!("a=mid:{}", section.mid));
    }
    let direction = if terms.role == Role::Publisher { "recvonly" } else { "sendonly" };
    line(out, format_args!("a={direction}"));
    line(out, format_args!("a=rtcp-mux"));
    if offered.rtcp_rsize {
        line(out, format_args!("a=rtcp-rsize"));
    }
    write_extensions(out, offered, &section.extensions);
    for map in &section.codecs {
        write_codec(out, map, section.feedback);
    }
    if !section.layers.is_empty() {
        section.layers.iter().for_each(|rid| line(out, format_args!("a=rid:{rid} recv")));
        line(out, format_args!("a=simulcast:recv {}", section.layers.join(";")));
    }
    if let (Role::Viewer, Some(stream)) = (terms.role, section.stream) {
        write_stream(out, offered, stream);
    }
}

fn write_transport(out: &mut String, terms: &Terms<'_>) {
    write_candidates(out, terms.announce);
    line(out, format_args!("a=ice-ufrag:{}", terms.ufrag));
    line(out, format_args!("a=ice-pwd:{}", terms.password));
    line(out, format_args!("a=fingerprint:{}", terms.fingerprint));
    line(out, format_args!("a=setup:passive"));
}

pub(super) fn write_candidates(out: &mut String, announce: &[SocketAddr]) {
    for (at, address) in announce.iter().enumerate() {
        // RFC 8445 §5.1.2.1: host candidates, the first preferred.
        let priority = (126u32 << 24) | (65_535u32.saturating_sub(at as u32) << 8) | 255;
        let (ip, port) = (address.ip().to_canonical(), address.port());
        line(out, format_args!("a=candidate:{} 1 udp {priority} {ip} {port} typ host", at + 1));
    }
    for (at, address) in announce.iter().enumerate() {
        // RFC 6544 §4.2: below every UDP candidate; direction preference 4 for a passive host candidate.
        let priority = (90u32 << 24) | (((4 << 13) + 8_191u32.saturating_sub(at as u32)) << 8) | 255;
        let (ip, port, foundation) = (address.ip().to_canonical(), address.port(), announce.len() + at + 1);
        line(out, format_args!("a=candidate:{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive"));
    }
    line(out, format_args!("a=end-of-candidates"));
}

fn write_extensions(out: &mut String, offered: &OfferedSection, accepted: &ExtensionIds) {
    let ids = [
        (accepted.mid, MID),
        (accepted.transport_cc, TRANSPORT_CC),
        (accepted.abs_send_time, ABS_SEND_TIME),
        (accepted.abs_capture_time, ABS_CAPTURE_TIME),
        (accepted.audio_level, AUDIO_LEVEL),
        (accepted.rid, RID),
        (accepted.repaired_rid, REPAIRED_RID),
        (accepted.orientation, ORIENTATION),
        (accepted.playout_delay, PLAYOUT_DELAY),
        (accepted.dependency, dependency::URI),
    ];
    for (id, uri) in ids.into_iter().filter_map(|(id, uri)| Some((id?, uri))) {
        let direction = offered.extensions.iter().find(|e| e.id == id).map_or(Direction::SendRecv, |e| e.direction);
        let ours = match direction {
            Direction::SendOnly => "/recvonly",
            Direction::RecvOnly => "/sendonly",
            _ => "",
        };
        line(out, format_args!("a=extmap:{id}{ours} {uri}"));
    }
}

fn write_codec(out: &mut String, map: &PayloadMap, feedback: FeedbackTypes) {
    let pt = map.pt;
    let name = match map.codec {
        Codec::Vp8 => "VP8/90000",
        Codec::Vp9 => "VP9/90000",
        Codec::H264 => "H264/90000",
        Codec::Av1 => "AV1/90000",
        Codec::Opus => "opus/48000/2",
    };
    line(out, format_args!("a=rtpmap:{pt} {name}"));
    let types = [
        (feedback.transport_cc, "transport-cc"),
        (feedback.remb, "goog-remb"),
        (feedback.fir, "ccm fir"),
        (feedback.nack, "nack"),
        (feedback.pli, "nack pli"),
    ];
    for (_, name) in types.iter().filter(|(accepted, _)| *accepted) {
        line(out, format_args!("a=rtcp-fb:{pt} {name}"));
    }
    match map.codec {
        Codec::Opus => line(out, format_args!("a=fmtp:{pt} {}", opus_parameters(map))),
        Codec::H264 | Codec::Av1 if !map.fmtp.is_empty() => line(out, format_args!("a=fmtp:{pt} {}", map.fmtp)),
        Codec::Vp9 => {
            if let Some(id) = map.parameter("profile-id") {
                line(out, format_args!("a=fmtp:{pt} profile-id={id}"));
            }
        }
        _ => {}
    }
    if let Some(rtx) = map.rtx_pt {
        line(out, format_args!("a=rtpmap:{rtx} rtx/{}", map.codec.clock_rate()));
        line(out, format_args!("a=fmtp:{rtx} apt={pt}"));
    }
    if let Some(Red { pt, fmtp, .. }) = &map.red {
        line(out, format_args!("a=rtpmap:{pt} red/48000/2"));
        line(out, format_args!("a=fmtp:{pt} {fmtp}"));
    }
}

/// The offered parameters, with stereo and in-band FEC on: both say what the receiver can take (RFC 7587 §6.1).
fn opus_parameters(map: &PayloadMap) -> String {
    let ours = ["stereo", "sprop-stereo", "useinbandfec"];
    let theirs = map.fmtp.split(';').map(str::trim).filter(|pair| {
        let name = pair.split('=').next().unwrap_or("");
        !pair.is_empty() && !ours.iter().any(|o| o.eq_ignore_ascii_case(name))
    });
    let mut all: Vec<String> = theirs.map(str::to_owned).collect();
    all.extend(ours.iter().map(|name| format!("{name}=1")));
    all.join(";")
}

fn write_stream(out: &mut String, offered: &OfferedSection, stream: Stream) {
    let track = &offered.media;
    line(out, format_args!("a=msid:{CNAME} {track}"));
    if let Some(rtx) = stream.rtx_ssrc {
        line(out, format_args!("a=ssrc-group:FID {} {rtx}", stream.ssrc));
    }
    for ssrc in [Some(stream.ssrc), stream.rtx_ssrc].into_iter().flatten() {
        line(out, format_args!("a=ssrc:{ssrc} cname:{CNAME}"));
        line(out, format_args!("a=ssrc:{ssrc} msid:{CNAME} {track}"));
    }
}

pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{text}\r\n");
}
