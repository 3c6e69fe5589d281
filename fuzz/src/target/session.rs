//! One session from its offer to its handshake: SDP, STUN, DTLS.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use media::arena::SendArena;
use media::id::{SessionId, ShardId};
use media::message::{Codec, Now, Refusal, Role};
use media::session::{Certificate, Received, Session, SessionConfig};
use rand::SeedableRng;
use rand::rngs::StdRng;
use ring::hmac;

use super::start;
use crate::bytes::Bytes;

/// Words that SDP offers are made of.
pub const SDP: &[&str] = &[
    "\r\n",
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    "a=mid:0\r\n",
    "a=mid:\r\n",
    "a=group:BUNDLE 0 1\r\n",
    "a=group:BUNDLE\r\n",
    "a=rtcp-mux\r\n",
    "a=sendonly\r\n",
    "a=inactive\r\n",
    "a=setup:passive\r\n",
    "a=ice-lite\r\n",
    "a=ice-ufrag:\r\n",
    "a=rid:hi send\r\n",
    "a=rid:lo recv pt=96\r\n",
    "a=simulcast:send hi;lo\r\n",
    "a=simulcast:send ~hi,lo;;\r\n",
    "a=ssrc-group:SIM 1 2 3\r\n",
    "a=ssrc-group:FID 1\r\n",
    "a=ssrc:4294967296 cname:x\r\n",
    "a=ssrc:0 msid:- x\r\n",
    "a=extmap:15 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
    "a=extmap:1/sendrecv urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
    "a=extmap:0 urn:x\r\n",
    "a=extmap-allow-mixed\r\n",
    "a=rtpmap:96 VP8/90000\r\n",
    "a=rtpmap:97 rtx/90000\r\n",
    "a=fmtp:97 apt=97\r\n",
    "a=rtpmap:63 red/48000/2\r\n",
    "a=fmtp:63 111/111\r\n",
    "a=fmtp:97 apt=96\r\n",
    "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1\r\n",
    "a=rtcp-fb:* nack pli\r\n",
    "a=fingerprint:sha-256 00:11\r\n",
    "a=candidate:1 1 udp 2113937151 192.0.2.1 9 typ host\r\n",
    "c=IN IP6 ::\r\n",
    "b=AS:\r\n",
    "s=\u{0}\r\n",
    "a=mid:\u{e9}\r\n",
    " ",
    "/",
    ";",
    "=",
    ":",
    "65536",
    "-1",
    "4294967295",
];

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| Certificate::generate().expect("a certificate"));

const OFFER: &str = include_str!("../../../media/tests/offers/chromium-publish.sdp");

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn accept(offer: &str, role: Role) -> Result<(Session, String), Refusal> {
    let announce = [at(8189), SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 8189))];
    let config = SessionConfig {
        id: SessionId::new(ShardId(0), 1),
        role,
        announce: &announce,
        certificate: &CERTIFICATE,
        prefer_video: Some(Codec::H264),
        rng: &mut StdRng::seed_from_u64(7),
    };
    Session::accept(start(), offer, config)
}

/// An offer from a streamer and from a viewer. An answer that is given is one a browser can read.
pub fn offer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for role in [Role::Publisher, Role::Viewer] {
        match accept(&text, role) {
            Ok((session, answer)) => check_answer(&text, &session, &answer),
            Err(Refusal::MalformedOffer(problem) | Refusal::NoCommonCodec(problem)) => {
                assert!(
                    !problem.is_empty() && problem.len() < 4096 && !problem.contains(char::is_control),
                    "{problem:?}"
                );
            }
            Err(other) => panic!("an offer is refused with {other}"),
        }
    }
}

fn check_answer(offer: &str, session: &Session, answer: &str) {
    let offered = offer.lines().filter(|line| line.starts_with("m=")).count();
    let mut answered = 0;
    for line in answer.split_terminator("\r\n") {
        assert!(line.len() > 2 && line.as_bytes()[1] == b'=' && !line.contains(char::is_control), "{line:?}");
        answered += usize::from(line.starts_with("m="));
    }
    assert_eq!(offered, answered, "one m-line answers one (RFC 3264 §6)");
    assert!(answer.len() < 4 * offer.len() + 4096, "{} bytes answer {}", answer.len(), offer.len());
    let media = session.media();
    assert!(media.sections.len() <= offered);
    for section in &media.sections {
        assert!(!section.codecs.is_empty());
        for map in &section.codecs {
            assert!(section.payload(map.pt).is_some() && map.pt < 128);
            map.profile();
        }
        for codec in super::rtp::CODECS {
            section.payload_for(codec, Some(0x42));
        }
        media.section_of(1, Some(section.mid.as_bytes()), section.codecs[0].pt);
    }
}

/// A session that waits for its peer, and its password.
fn waiting() -> (Session, String) {
    let (session, answer) = accept(OFFER, Role::Publisher).expect("a browser's offer is accepted");
    let password = answer.lines().find_map(|line| line.strip_prefix("a=ice-pwd:")).expect("a password");
    (session, password.to_owned())
}

/// What a peer says of its ICE after its offer. Its restart is answered with credentials of ours that are new.
pub fn fragment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mut session, _) = waiting();
    let before = session.local_ufrag().to_owned();
    match session.ice(&text, None, &[at(8189)], &mut StdRng::seed_from_u64(8)) {
        Ok(Some(restarted)) => {
            assert!(session.local_ufrag() != before && restarted.fragment.contains(session.local_ufrag()));
            assert!(restarted.fragment.split_terminator("\r\n").all(|line| !line.contains(char::is_control)));
        }
        Ok(None) | Err(Refusal::MalformedFragment(_)) => assert_eq!(session.local_ufrag(), before),
        Err(other) => panic!("a fragment is refused with {other}"),
    }
}

/// Checks of somebody who knows the password and writes any attributes, and the same bytes from somebody who does not.
pub fn stun(data: &[u8]) {
    let (mut session, password) = waiting();
    let (mut arena, now) = (SendArena::new(), start());
    let mut raw = data.to_vec();
    let raw = session.receive(now, at(1), &mut raw, &mut arena);
    assert!(!matches!(raw, Received::Rtp(_) | Received::Rtcp(_) | Received::Connected { .. }));
    let mut check = signed(data, session.local_ufrag(), &password);
    let answered = session.receive(now, at(2), &mut check, &mut arena);
    assert!(matches!(answered, Received::Validated { .. } | Received::Handled | Received::Dropped(_)), "{answered:?}");
    for (to, answer) in arena.datagrams() {
        assert!(to == at(2) && answer.len() <= check.len() + 100, "no answer to strangers and none that amplifies");
    }
}

/// `data`: which attributes of our own to add, then attributes as they stand.
fn signed(data: &[u8], ufrag: &str, password: &str) -> Vec<u8> {
    let mut bytes = Bytes(data);
    let flags = bytes.u8();
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([flags; 12]);
    if flags & 1 == 0 {
        attribute(&mut message, 0x0006, format!("{ufrag}:peer").as_bytes());
    }
    if flags & 2 == 0 {
        attribute(&mut message, 0x0025, &[]); // USE-CANDIDATE
    }
    message.extend_from_slice(bytes.0);
    message.resize(message.len().next_multiple_of(4), 0);
    set_length(&mut message, 24);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let tag = hmac::sign(&key, &message);
    attribute(&mut message, 0x0008, tag.as_ref());
    set_length(&mut message, 8);
    let crc = crc32fast::hash(&message) ^ 0x5354_554e;
    attribute(&mut message, 0x8028, &crc.to_be_bytes());
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// The length that the message has once `more` bytes are behind it.
fn set_length(message: &mut [u8], more: usize) {
    let len = (message.len() - 20 + more) as u16;
    message[2..4].copy_from_slice(&len.to_be_bytes());
}

/// Handshake datagrams of somebody whose address is validated, with time passing between them.
pub fn dtls(data: &[u8]) {
    let (mut session, password) = waiting();
    let mut arena = SendArena::new();
    let mut check = signed(&[0], session.local_ufrag(), &password);
    let validated = session.receive(start(), at(1), &mut check, &mut arena);
    assert!(matches!(validated, Received::Validated { .. }), "{validated:?}");
    arena.clear();
    let (mut bytes, mut now) = (Bytes(data), start());
    while !bytes.is_empty() {
        let mut datagram = bytes.long().to_vec();
        let received = session.receive(now, at(1), &mut datagram, &mut arena);
        assert!(!matches!(received, Received::Rtp(_) | Received::Rtcp(_) | Received::Connected { .. }), "{received:?}");
        if matches!(received, Received::Closed(_)) {
            return;
        }
        now = later(now, &mut session, &mut arena);
    }
    session.close(now, &mut arena);
}

fn later(now: Now, session: &mut Session, arena: &mut SendArena) -> Now {
    let now = now.after(Duration::from_millis(100));
    if session.next_deadline().is_some_and(|due| due <= now.mono) {
        session.tick(now, arena);
    }
    arena.clear();
    now
}
