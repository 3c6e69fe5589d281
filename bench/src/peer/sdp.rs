//! Offers in a browser's shape, and the few things that a client needs from an answer.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// What a peer offers.
#[derive(Clone, Debug)]
pub enum Wants {
    /// Send one video and one audio track with these SSRCs (RTX follows the video's).
    Publish { codecs: Codecs, video_ssrc: u32, rtx_ssrc: u32, audio_ssrc: u32 },
    /// Receive what there is.
    Watch,
}

/// Which tracks are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codecs {
    Vp8AndOpus,
    H264AndOpus,
    Vp8,
    Opus,
}

impl Codecs {
    fn video(self) -> bool {
        self != Codecs::Opus
    }

    fn audio(self) -> bool {
        matches!(self, Codecs::Vp8AndOpus | Codecs::H264AndOpus | Codecs::Opus)
    }
}

/// Payload types of the offers here; a server keeps them in its answer (RFC 3264 §6.1).
pub const OPUS_PT: u8 = 111;
pub const VP8_PT: u8 = 96;
pub const VP8_RTX_PT: u8 = 97;
pub const H264_PT: u8 = 102;
pub const H264_RTX_PT: u8 = 103;

pub(super) fn offer(wants: &Wants, ufrag: &str, password: &str, fingerprint: &str) -> String {
    let sections: Vec<String> = match wants {
        Wants::Publish { codecs, video_ssrc, rtx_ssrc, audio_ssrc } => {
            let audio = codecs.audio().then(|| {
                let ssrc = format!("a=ssrc:{audio_ssrc} cname:bench\r\na=ssrc:{audio_ssrc} msid:bench sound\r\n");
                audio("sendonly", &format!("a=msid:bench sound\r\n{ssrc}"))
            });
            let video = codecs.video().then(|| {
                let tail = format!(
                    "a=msid:bench picture\r\na=ssrc-group:FID {video_ssrc} {rtx_ssrc}\r\n\
                     a=ssrc:{video_ssrc} cname:bench\r\na=ssrc:{video_ssrc} msid:bench picture\r\n\
                     a=ssrc:{rtx_ssrc} cname:bench\r\na=ssrc:{rtx_ssrc} msid:bench picture\r\n"
                );
                let payloads = if *codecs == Codecs::H264AndOpus { h264() } else { vp8() };
                video("sendonly", &[payloads], &tail)
            });
            audio.into_iter().chain(video).collect()
        }
        Wants::Watch => vec![audio("recvonly", ""), video("recvonly", &[vp8(), h264()], "")],
    };
    let mids: Vec<String> = (0..sections.len()).map(|mid| mid.to_string()).collect();
    let mut sdp = format!(
        "v=0\r\no=- {} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=extmap-allow-mixed\r\n\
         a=msid-semantic: WMS bench\r\n",
        rand::random::<u64>() >> 1,
        mids.join(" "),
    );
    for (mid, section) in sections.iter().enumerate() {
        let (media, rest) = section.split_once("\r\n").expect("a section has lines");
        let _ = write!(
            sdp,
            "{media}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
             a=ice-options:trickle\r\na=fingerprint:{fingerprint}\r\na=setup:actpass\r\na=mid:{mid}\r\n{rest}"
        );
    }
    sdp
}

fn audio(direction: &str, tail: &str) -> String {
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF {OPUS_PT}\r\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
         a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
         a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
         a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:{OPUS_PT} opus/48000/2\r\n\
         a=rtcp-fb:{OPUS_PT} transport-cc\r\na=fmtp:{OPUS_PT} minptime=10;useinbandfec=1\r\n{tail}"
    )
}

/// One codec with its RTX: payload types and attribute lines.
struct Payloads {
    types: String,
    lines: String,
}

fn vp8() -> Payloads {
    payloads(VP8_PT, VP8_RTX_PT, "VP8", "")
}

fn h264() -> Payloads {
    let fmtp = format!("a=fmtp:{H264_PT} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n");
    payloads(H264_PT, H264_RTX_PT, "H264", &fmtp)
}

fn payloads(pt: u8, rtx: u8, codec: &str, fmtp: &str) -> Payloads {
    let lines = format!(
        "a=rtpmap:{pt} {codec}/90000\r\na=rtcp-fb:{pt} goog-remb\r\na=rtcp-fb:{pt} transport-cc\r\n\
         a=rtcp-fb:{pt} ccm fir\r\na=rtcp-fb:{pt} nack\r\na=rtcp-fb:{pt} nack pli\r\n{fmtp}\
         a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={pt}\r\n"
    );
    Payloads { types: format!("{pt} {rtx}"), lines }
}

fn video(direction: &str, codecs: &[Payloads], tail: &str) -> String {
    let types: Vec<&str> = codecs.iter().map(|codec| codec.types.as_str()).collect();
    let lines: String = codecs.iter().map(|codec| codec.lines.as_str()).collect();
    format!(
        "m=video 9 UDP/TLS/RTP/SAVPF {}\r\n\
         a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
         a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
         a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n\
         a={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n{lines}{tail}",
        types.join(" ")
    )
}

/// What an answer says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub ufrag: String,
    pub password: String,
    /// `sha-256 AB:CD:…`.
    pub fingerprint: String,
    /// The first UDP host candidate.
    pub candidate: SocketAddr,
    pub sections: Vec<Section>,
    /// Extension of the transport-wide sequence number, where the server accepts it.
    pub transport_cc: Option<u8>,
}

/// One media section of an answer.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// `audio` or `video`.
    pub kind: String,
    /// False where the server refused it (port 0).
    pub accepted: bool,
    pub payload_types: Vec<u8>,
    /// SSRCs that the server announces, in order of appearance.
    pub ssrcs: Vec<u32>,
}

/// What an answer lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has no {0}")]
pub struct AnswerError(&'static str);

pub(super) fn parse(sdp: &str) -> Result<Answer, AnswerError> {
    let attribute = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name)).map(str::to_owned);
    let mut sections: Vec<Section> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            let words: Vec<&str> = media.split(' ').collect();
            sections.push(Section {
                kind: words[0].to_owned(),
                accepted: words.get(1).is_some_and(|port| *port != "0"),
                payload_types: words.iter().skip(3).filter_map(|pt| pt.parse().ok()).collect(),
                ssrcs: Vec::new(),
            });
        } else if let (Some(rest), Some(section)) = (line.strip_prefix("a=ssrc:"), sections.last_mut()) {
            let ssrc = rest.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
            section.ssrcs.extend(ssrc.filter(|ssrc| !section.ssrcs.contains(ssrc)));
        }
    }
    let (ufrag, password) = credentials(sdp)?;
    Ok(Answer {
        ufrag,
        password,
        fingerprint: attribute("a=fingerprint:").ok_or(AnswerError("fingerprint"))?,
        candidate: sdp.lines().find_map(candidate).ok_or(AnswerError("UDP host candidate"))?,
        sections,
        transport_cc: sdp.lines().find_map(transport_cc),
    })
}

/// `a=extmap:<id> http://…transport-wide-cc…` (RFC 8285 §5).
fn transport_cc(line: &str) -> Option<u8> {
    let (id, uri) = line.strip_prefix("a=extmap:")?.split_once(' ')?;
    uri.contains("transport-wide-cc").then(|| id.split('/').next()?.parse().ok())?
}

/// Of an answer or of a fragment.
pub(super) fn credentials(sdp: &str) -> Result<(String, String), AnswerError> {
    let attribute = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name)).map(str::to_owned);
    let ufrag = attribute("a=ice-ufrag:").ok_or(AnswerError("ice-ufrag"))?;
    Ok((ufrag, attribute("a=ice-pwd:").ok_or(AnswerError("ice-pwd"))?))
}

/// `a=candidate:<foundation> 1 udp <priority> <address> <port> typ host …` (RFC 8839 §5.1).
fn candidate(line: &str) -> Option<SocketAddr> {
    let words: Vec<&str> = line.trim_end().strip_prefix("a=candidate:")?.split(' ').collect();
    match words.as_slice() {
        [_, "1", protocol, _, address, port, "typ", "host", ..] if protocol.eq_ignore_ascii_case("udp") => {
            Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:uf\r\na=ice-pwd:pw\r\na=fingerprint:sha-256 AA:BB\r\n\
                   a=candidate:1 1 udp 2130706431 10.0.0.1 8189 typ host\r\n\
                   a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\na=ssrc:5 cname:x\r\na=ssrc:5 msid:a b\r\n\
                   m=video 0 UDP/TLS/RTP/SAVPF 96 97\r\n";
        let answer = parse(sdp).unwrap();
        assert_eq!((answer.ufrag.as_str(), answer.password.as_str()), ("uf", "pw"));
        assert_eq!(answer.candidate, SocketAddr::from(([10, 0, 0, 1], 8189)));
        assert_eq!(answer.transport_cc, Some(3));
        assert_eq!(answer.sections[0].ssrcs, [5]);
        assert!(answer.sections[0].accepted && !answer.sections[1].accepted);
        assert_eq!(answer.sections[1].payload_types, [96, 97]);
        assert_eq!(parse("v=0\r\n").unwrap_err().to_string(), "the answer has no ice-ufrag");
    }

    #[test]
    fn offers_have_one_section_per_track() {
        let publish = |codecs| Wants::Publish { codecs, video_ssrc: 1, rtx_ssrc: 2, audio_ssrc: 3 };
        for (wants, sections) in
            [(publish(Codecs::Vp8AndOpus), 2), (publish(Codecs::Vp8), 1), (publish(Codecs::Opus), 1), (Wants::Watch, 2)]
        {
            let sdp = offer(&wants, "uf", "pw", "sha-256 AA");
            assert_eq!(sdp.matches("\r\nm=").count(), sections, "{wants:?}");
            assert_eq!(sdp.matches("a=ice-ufrag:uf\r\n").count(), sections, "{wants:?}");
            assert!(sdp.lines().all(|line| line.as_bytes().get(1) == Some(&b'=')), "{wants:?}");
        }
    }
}
