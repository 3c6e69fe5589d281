//! Offers as browsers and encoders make them, and what becomes of them. Chromium's and aiortc's were dumped, the others written after their makers'.

use std::net::SocketAddr;

use proptest::prelude::*;
use rtc_sdp::SessionDescription;

use super::*;
use crate::limit;
use crate::message::Role;

const CHROMIUM_PUBLISH: &str = include_str!("../../../tests/offers/chromium-publish.sdp");
const CHROMIUM_WATCH: &str = include_str!("../../../tests/offers/chromium-watch.sdp");
const CHROMIUM_SIMULCAST: &str = include_str!("../../../tests/offers/chromium-simulcast.sdp");
const FIREFOX_PUBLISH: &str = include_str!("../../../tests/offers/firefox-publish.sdp");
const FIREFOX_WATCH: &str = include_str!("../../../tests/offers/firefox-watch.sdp");
const OBS_PUBLISH: &str = include_str!("../../../tests/offers/obs-publish.sdp");
const GSTREAMER_PUBLISH: &str = include_str!("../../../tests/offers/gstreamer-publish.sdp");
const AIORTC_PUBLISH: &str = include_str!("../../../tests/offers/aiortc-publish.sdp");
const AIORTC_WATCH: &str = include_str!("../../../tests/offers/aiortc-watch.sdp");

fn answer_with(offer: &str, role: Role, prefer_video: Option<Codec>) -> Result<(Negotiated, String), Refusal> {
    let announce =
        [SocketAddr::from(([192, 0, 2, 1], 8189)), SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 8189))];
    let mut next = 100;
    let mut ssrc = || {
        next += 1;
        next
    };
    let terms = Terms {
        role,
        prefer_video,
        announce: &announce,
        ufrag: "ourfragment1",
        password: "ourpasswordourpasswordourpasswor",
        fingerprint: "sha-256 AA:BB",
        origin: 42,
        ssrc: &mut ssrc,
    };
    let (media, _, text) = negotiate(offer, terms)?;
    well_formed(offer, &text);
    Ok((media, text))
}

fn publish(offer: &str) -> (Negotiated, String) {
    answer_with(offer, Role::Publisher, None).unwrap()
}

fn watch(offer: &str) -> (Negotiated, String) {
    answer_with(offer, Role::Viewer, None).unwrap()
}

/// What holds for every answer: it parses, has the offer's sections, and each served one has a whole transport.
fn well_formed(offer: &str, answer: &str) {
    let parse = |text: &str| SessionDescription::unmarshal(&mut std::io::Cursor::new(text)).unwrap();
    let (offered, answered) = (parse(offer), parse(answer));
    assert!(answered.has_attribute("ice-lite"));
    assert_eq!(offered.media_descriptions.len(), answered.media_descriptions.len());
    for (theirs, ours) in offered.media_descriptions.iter().zip(&answered.media_descriptions) {
        assert_eq!(theirs.media_name.media, ours.media_name.media);
        assert_eq!(theirs.media_name.protos, ours.media_name.protos);
        let mid =
            |section: &rtc_sdp::MediaDescription| section.attribute("mid").flatten().map(|mid| mid.trim().to_owned());
        assert_eq!(mid(theirs), mid(ours));
        assert!(ours.media_name.formats.iter().all(|f| theirs.media_name.formats.contains(f)));
        if ours.media_name.port.value == 0 {
            continue;
        }
        for name in ["ice-ufrag", "ice-pwd", "fingerprint", "end-of-candidates", "rtcp-mux"] {
            assert!(ours.has_attribute(name), "{name}");
        }
        assert_eq!(ours.attribute("setup"), Some(Some("passive")));
        assert_eq!(ours.attributes.iter().filter(|a| a.key == "candidate").count(), 4, "two addresses, UDP and TCP");
        assert!(!ours.has_attribute("rtcp"));
        assert_eq!(ours.has_attribute("simulcast"), ours.has_attribute("rid"));
        assert!(theirs.has_attribute("simulcast") || !ours.has_attribute("simulcast"));
    }
}

fn refusal(offer: &str, role: Role) -> String {
    answer_with(offer, role, None).map(|_| ()).unwrap_err().to_string()
}

/// Codec, payload type and repair payload type of each accepted one.
fn types(section: &Section) -> Vec<(Codec, u8, Option<u8>)> {
    section.codecs.iter().map(|map| (map.codec, map.pt, map.rtx_pt)).collect()
}

const ALL: FeedbackTypes = FeedbackTypes { nack: true, pli: true, fir: true, transport_cc: true, remb: false };

#[test]
fn chromium_publishes() {
    let (media, text) = publish(CHROMIUM_PUBLISH);
    let [audio, video] = &media.sections[..] else { panic!("{media:?}") };
    assert_eq!((audio.kind, &*audio.mid, types(audio)), (Kind::Audio, "0", vec![(Codec::Opus, 111, None)]));
    assert_eq!(audio.stream, Some(Stream { ssrc: 264_281_409, rtx_ssrc: None }));
    assert_eq!(audio.extensions.audio_level, Some(1));
    let h264 = [(102, 103), (108, 109), (116, 117)].map(|(pt, rtx)| (Codec::H264, pt, Some(rtx)));
    let vp9 = [(98, 99), (100, 101)].map(|(pt, rtx)| (Codec::Vp9, pt, Some(rtx)));
    assert_eq!(
        types(video),
        [&[(Codec::Vp8, 96, Some(97))][..], &h264, &[(Codec::Av1, 45, Some(46))], &vp9].concat(),
        "mode 0 is left out where mode 1 is offered"
    );
    assert_eq!(video.stream, Some(Stream { ssrc: 516_133_919, rtx_ssrc: Some(4_145_645_369) }));
    assert_eq!(video.feedback, ALL);
    let ids = ExtensionIds {
        mid: Some(4),
        transport_cc: Some(3),
        abs_send_time: Some(2),
        orientation: Some(13),
        playout_delay: Some(5),
        ..ExtensionIds::default()
    };
    assert_eq!(video.extensions, ids);
    assert!(text.contains("a=extmap:13 urn:3gpp:video-orientation\r\n"));
    assert!(text.contains("a=group:BUNDLE 0 1\r\n"));
    assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 108 109 116 117 45 46 98 99 100 101\r\n"));
    assert!(text.contains("a=recvonly\r\n") && !text.contains("a=ssrc"));
    assert!(text.contains("a=fmtp:111 minptime=10;stereo=1;sprop-stereo=1;useinbandfec=1\r\n"));
    assert!(text.contains("a=fmtp:116 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f\r\n"));
    assert!(text.contains("a=fmtp:45 level-idx=5;profile=0;tier=0\r\n"));
    assert!(text.contains("a=fmtp:98 profile-id=0\r\n") && text.contains("a=fmtp:100 profile-id=2\r\n"));
    assert!(text.contains("a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host\r\na=candidate:2 1 udp 2130706175 2001:db8::1 8189 typ host\r\n"));
    assert!(text.contains("a=candidate:3 1 tcp 1520435199 192.0.2.1 8189 typ host tcptype passive\r\n"), "{text}");
}

#[test]
fn the_preferred_codec_comes_first() {
    let (media, text) = answer_with(CHROMIUM_PUBLISH, Role::Publisher, Some(Codec::H264)).unwrap();
    assert_eq!(media.sections[1].codecs[0].codec, Codec::H264);
    assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 102 103 108 109 116 117 96 97 45 46 98 99 100 101\r\n"));
    let (media, _) = answer_with(OBS_PUBLISH, Role::Publisher, Some(Codec::Vp8)).unwrap();
    assert_eq!(types(&media.sections[1]), [(Codec::H264, 96, Some(97))], "preferred but not offered");
}

#[test]
fn chromium_watches() {
    let (media, text) = watch(CHROMIUM_WATCH);
    let [audio, video] = &media.sections[..] else { panic!("{media:?}") };
    assert_eq!(audio.stream, Some(Stream { ssrc: 101, rtx_ssrc: None }));
    assert_eq!(video.stream, Some(Stream { ssrc: 102, rtx_ssrc: Some(103) }));
    assert!(video.codecs.iter().any(|m| m.codec == Codec::Vp8) && video.codecs.iter().any(|m| m.codec == Codec::H264));
    assert!(video.extensions.playout_delay.is_some() && video.extensions.orientation.is_some());
    assert!(text.contains("stereo=1;sprop-stereo=1;useinbandfec=1\r\n"), "viewers too are told of in-band FEC");
    assert!(text.contains("a=sendonly\r\n") && text.contains("a=ssrc-group:FID 102 103\r\n"));
    assert!(text.contains("a=msid:oxbow video\r\n") && text.contains("a=ssrc:103 cname:oxbow\r\n"));
    // A stream of any profile has a payload type; its own if there is one.
    for profile in [0x42, 0x4d, 0x64] {
        let map = video.payload_for(Codec::H264, Some(profile)).unwrap();
        assert_eq!(map.parameter("packetization-mode"), Some("1"));
        assert!(map.profile() == Some(profile) || video.codecs.iter().all(|m| m.profile() != Some(profile)));
    }
    assert_eq!(video.payload(97).map(|(map, payload)| (map.codec, payload)), Some((Codec::Vp8, Payload::Repair)));
    assert_eq!(video.payload(5), None);
    // VP9 of another profile cannot be decoded: 4:4:4 is not taken, so that its types are not there.
    let vp9 = |profile| video.payload_for(Codec::Vp9, profile).map(|map| map.pt);
    assert_eq!((vp9(None), vp9(Some(0)), vp9(Some(2)), vp9(Some(1))), (Some(98), Some(98), Some(100), None));
    let av1 = |profile| video.payload_for(Codec::Av1, profile).map(|map| map.pt);
    assert_eq!((av1(Some(0)), av1(Some(1))), (Some(45), None));
}

#[test]
fn redundant_sound_is_taken_and_opus_stays_first() {
    let sound = |offer: &str, role| {
        let (media, text) = answer_with(offer, role, None).unwrap();
        let line = text.lines().find(|line| line.starts_with("m=audio")).unwrap().to_owned();
        (media.sections[0].clone(), line, text)
    };
    for (offer, role) in [(CHROMIUM_PUBLISH, Role::Publisher), (CHROMIUM_WATCH, Role::Viewer)] {
        let (audio, line, text) = sound(offer, role);
        let red = Red { pt: 63, first: false, fmtp: "111/111".into() };
        assert_eq!(audio.codecs[0].red, Some(red));
        assert_eq!(audio.payload(63).map(|(map, payload)| (map.pt, payload)), Some((111, Payload::Redundant)));
        assert_eq!(line, "m=audio 9 UDP/TLS/RTP/SAVPF 111 63");
        assert!(text.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"));
        assert!(!text.contains("a=rtcp-fb:63"));
    }
    // As Chromium offers it after setCodecPreferences.
    let first = CHROMIUM_PUBLISH.replace("SAVPF 111 63 ", "SAVPF 63 111 ");
    assert_ne!(first, CHROMIUM_PUBLISH);
    let (audio, line, _) = sound(&first, Role::Publisher);
    assert_eq!(types(&audio), [(Codec::Opus, 111, None)]);
    assert_eq!((audio.feedback.transport_cc, &*line), (true, "m=audio 9 UDP/TLS/RTP/SAVPF 63 111"));
    // Of something else, or of nothing that is named.
    for fmtp in ["111/0", "0/0", "", "111/", "red"] {
        let other = CHROMIUM_PUBLISH.replace("a=fmtp:63 111/111", &format!("a=fmtp:63 {fmtp}"));
        let (audio, line, _) = sound(&other, Role::Publisher);
        assert_eq!((audio.codecs[0].red.as_ref(), audio.payload(63)), (None, None), "{fmtp}");
        assert_eq!(line, "m=audio 9 UDP/TLS/RTP/SAVPF 111");
    }
    let (audio, ..) = sound(FIREFOX_PUBLISH, Role::Publisher);
    assert_eq!(audio.codecs[0].red, None, "not offered");
    let alone = CHROMIUM_PUBLISH.replace("SAVPF 111 63 ", "SAVPF 63 ");
    assert!(refusal(&alone, Role::Publisher).contains("accepted are"));
}

#[test]
fn simulcast_is_taken_whole_and_data_channels_are_refused() {
    let (media, text) = publish(CHROMIUM_SIMULCAST);
    let [video] = &media.sections[..] else { panic!("{media:?}") };
    assert_eq!(video.stream, None, "such an offer declares no SSRCs");
    assert_eq!(video.layers, ["q".into(), "h".into(), "f".into()]);
    assert_eq!((video.extensions.rid, video.extensions.repaired_rid), (Some(10), Some(11)));
    assert!(text.contains("a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"));
    assert!(text.ends_with(
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:1\r\n"
    ));
    assert!(text.contains("a=rid:q recv\r\na=rid:h recv\r\na=rid:f recv\r\na=simulcast:recv q;h;f\r\n"));
    assert!(text.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    assert!(text.contains("a=group:BUNDLE 0\r\n"));
    assert_eq!(media.section_of(77, Some(b"0"), 96), Some(0));
    assert_eq!(media.section_of(77, None, 97), Some(0));
    assert_eq!(media.section_of(77, Some(b"1"), 96), None);
    assert_eq!(media.section_of(77, None, 111), None);
}

#[test]
fn simulcast_is_read_with_care() {
    let layers = |rids: &str, simulcast: &str| {
        let lines = format!("{rids}a=simulcast:{simulcast}\r\n");
        let offer = CHROMIUM_SIMULCAST
            .replace('\r', "")
            .replace('\n', "\r\n")
            .replace("a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n", &lines);
        publish(&offer).0.sections[0].layers.join(" ")
    };
    let three = "a=rid:1 send\r\na=rid:2 send pt=96;max-width=640\r\na=rid:3 send\r\n";
    for (rids, simulcast, expected) in [
        (three, "send 1;2;3", "1 2 3"),
        (three, "recv 9 send 3;~2,1", "3 2"),
        (three, "send 1;1;2;", "1 2"),
        (three, "recv 1;2;3", ""),
        (three, "send 1", ""),
        (three, "", ""),
        ("a=rid:1 send\r\na=rid:2 recv\r\n", "send 1;2", ""),
        ("a=rid:a!b send\r\na=rid:2 send\r\na=rid:3 send\r\n", "send a!b;2;3", "2 3"),
        ("", "send 1;2;3", ""),
    ] {
        assert_eq!(layers(rids, simulcast), expected, "{simulcast}");
    }
    let many: String = (0..9).map(|rid| format!("a=rid:{rid} send\r\n")).collect();
    assert_eq!(layers(&many, "send 0;1;2;3;4;5;6;7;8"), "0 1 2 3", "bounded");
    let nameless = CHROMIUM_SIMULCAST.replace("sdes:rtp-stream-id", "sdes:rtp-stream-ix");
    assert!(publish(&nameless).0.sections[0].layers.is_empty(), "packets could not be told apart");
}

#[test]
fn streams_are_found_by_what_the_offer_declared() {
    let (media, _) = publish(CHROMIUM_PUBLISH);
    assert_eq!(media.section_of(4_145_645_369, None, 97), Some(1));
    assert_eq!(media.section_of(264_281_409, None, 111), Some(0));
    assert_eq!(media.section_of(5, Some(b"1"), 96), None, "not the declared stream");
    // OBS names no repair stream.
    let (media, _) = publish(OBS_PUBLISH);
    assert_eq!(media.sections[1].stream, Some(Stream { ssrc: 2_098_317_424, rtx_ssrc: None }));
    assert_eq!(media.section_of(9, None, 97), Some(1));
    assert_eq!(media.section_of(9, None, 96), None);
}

#[test]
fn firefox_publishes_and_watches() {
    let (media, text) = publish(FIREFOX_PUBLISH);
    let video = &media.sections[1];
    assert_eq!(
        types(video),
        [(Codec::Vp8, 120, Some(124)), (Codec::Vp9, 121, Some(125)), (Codec::H264, 126, Some(127))]
    );
    assert_eq!(video.stream, Some(Stream { ssrc: 1_234_567_890, rtx_ssrc: Some(1_987_654_321) }));
    assert_eq!((video.feedback, video.extensions.playout_delay), (ALL, None));
    assert!(!text.contains("max-fs"), "limits of its decoder are not ours");
    assert_eq!(text.matches("a=rtcp-rsize").count(), 1, "as offered per section");
    let (media, text) = watch(FIREFOX_WATCH);
    assert_eq!(media.sections.len(), 2);
    assert!(text.contains("a=extmap:6/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n"));
}

#[test]
fn encoders_and_servers_publish() {
    let (media, text) = publish(OBS_PUBLISH);
    assert_eq!(types(&media.sections[1]), [(Codec::H264, 96, Some(97))]);
    assert!(!media.sections[1].feedback.transport_cc && media.sections[1].feedback.nack);
    assert!(text.contains("a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1\r\n"));
    let (media, _) = publish(GSTREAMER_PUBLISH);
    assert_eq!(
        media.sections.iter().map(|s| (s.kind, &*s.mid)).collect::<Vec<_>>(),
        [(Kind::Video, "video0"), (Kind::Audio, "audio1")]
    );
    let (media, _) = publish(AIORTC_PUBLISH);
    assert_eq!(media.sections[1].stream, Some(Stream { ssrc: 674_058_607, rtx_ssrc: Some(3_427_596_787) }));
    let (media, _) = watch(AIORTC_PUBLISH);
    assert_eq!(media.sections.len(), 2, "sendrecv serves either role");
    assert!(watch(AIORTC_WATCH).0.sections[1].feedback.remb);
}

#[test]
fn a_viewer_without_a_codec_gets_the_rest_a_publisher_is_refused() {
    let only = |offer: &str| {
        offer
            .replace("VP8/90000", "H265/90000")
            .replace("VP9/90000", "H266/90000")
            .replace("H264/90000", "MP4V-ES/90000")
            .replace("AV1/90000", "theora/90000")
    };
    let (media, text) = watch(&only(CHROMIUM_WATCH));
    assert_eq!(media.sections.iter().map(|s| s.kind).collect::<Vec<_>>(), [Kind::Audio]);
    assert!(text.contains("m=video 0 ") && text.contains("a=group:BUNDLE 0\r\n"));
    let error = refusal(&only(OBS_PUBLISH), Role::Publisher);
    assert_eq!(error, "no codec in common: offered video MP4V-ES; accepted are VP8, VP9, H264, AV1 and opus");
    let error = refusal(&only(CHROMIUM_WATCH).replace("opus/48000/2", "opus/48000"), Role::Viewer);
    assert!(error.contains("offered audio opus, G722, PCMU, PCMA; video H265, H266, MP4V-ES, theora"), "{error}");
}

#[test]
fn packetization_mode_0_is_taken_where_nothing_else_is_offered() {
    let (media, _) = publish(&OBS_PUBLISH.replace("packetization-mode=1;", ""));
    assert_eq!(types(&media.sections[1]), [(Codec::H264, 96, Some(97))]);
    let error = refusal(&OBS_PUBLISH.replace("packetization-mode=1", "packetization-mode=2"), Role::Publisher);
    assert!(error.contains("video H264"), "{error}");
}

#[test]
fn directions_decide_which_sections_are_served() {
    assert_eq!(
        refusal(CHROMIUM_WATCH, Role::Publisher),
        "the SDP offer is malformed: no audio or video section that sends"
    );
    assert_eq!(
        refusal(CHROMIUM_PUBLISH, Role::Viewer),
        "the SDP offer is malformed: no audio or video section that receives"
    );
    let (media, text) = publish(&CHROMIUM_PUBLISH.replacen("a=sendonly", "a=inactive", 1));
    assert_eq!((media.sections.len(), media.sections[0].kind), (1, Kind::Video));
    assert!(text.contains("m=audio 0 "));
}

#[test]
fn problems_are_named() {
    let without =
        |name: &str| OBS_PUBLISH.split("\r\n").filter(|l| !l.starts_with(name)).collect::<Vec<_>>().join("\r\n");
    let replaced = |from: &str, to: &str| OBS_PUBLISH.replace(from, to);
    let many = |n: usize| format!("{OBS_PUBLISH}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(n));
    for (offer, problem) in [
        (String::new(), "does not parse as SDP"),
        ("hello".to_owned(), "does not parse as SDP"),
        (OBS_PUBLISH[..120].to_owned(), "no media section"),
        ("x".repeat(limit::OFFER_BYTES + 1), "65537 bytes, at most 65536"),
        (many(7), "9 media sections, at most 8"),
        (without("a=ice-ufrag"), "no a=ice-ufrag"),
        (without("a=ice-pwd"), "no a=ice-pwd"),
        (without("a=fingerprint"), "no a=fingerprint"),
        (replaced("sha-256", "sha-1"), "sha-256, sha-384 or sha-512"),
        (replaced("C4:11", "C4:1"), "sha-256, sha-384 or sha-512"),
        (replaced("a=setup:actpass", "a=setup:passive"), "a=setup:passive"),
        (replaced("a=group:BUNDLE", "a=ice-lite\r\na=group:BUNDLE"), "ice-lite"),
        (without("a=rtcp-mux"), "a=rtcp-mux is needed"),
        (without("a=group:BUNDLE"), "not bundled"),
        (replaced("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), "not bundled"),
        (replaced("a=mid:1", "a=mid:0"), "the same a=mid"),
        (replaced("a=mid:1", "a=mid:\u{e9}"), "no token"),
    ] {
        let error = refusal(&offer, Role::Publisher);
        assert!(error.starts_with("the SDP offer is malformed: ") && error.contains(problem), "{problem}: {error}");
    }
}

#[test]
fn nothing_of_an_offer_starts_a_line_of_its_own_in_the_answer() {
    let offer = OBS_PUBLISH.replace("minptime=10", "minptime=10\u{b}a=evil:1\u{2028}");
    let (_, text) = publish(&offer);
    assert!(text.split("\r\n").all(|line| !line.contains(['\r', '\n', '\u{b}'])));
}

#[test]
fn a_single_section_needs_neither_bundle_nor_mid() {
    let cut = OBS_PUBLISH.find("m=video").unwrap();
    let offer = OBS_PUBLISH[..cut].replace("a=group:BUNDLE 0 1\r\n", "").replace("a=mid:0\r\n", "");
    let (media, text) = publish(&offer);
    assert_eq!(&*media.sections[0].mid, "");
    assert!(!text.contains("BUNDLE") && !text.contains("a=mid"));
    assert_eq!(media.section_of(2_098_317_423, None, 111), Some(0));
}

#[test]
fn stronger_hashes_are_accepted_and_any_may_match() {
    let fingerprints = offer::parse(AIORTC_PUBLISH).unwrap().fingerprints;
    assert_eq!(fingerprints.len(), 3);
    let der = b"a certificate";
    let hex =
        |a| ring::digest::digest(a, der).as_ref().iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
    for (name, algorithm) in
        [("sha-256", &ring::digest::SHA256), ("SHA-384", &ring::digest::SHA384), ("sha-512", &ring::digest::SHA512)]
    {
        let line = format!("a=fingerprint:{name} {}\r\n", hex(algorithm));
        let offer = OBS_PUBLISH
            .split_inclusive("\r\n")
            .map(|l| if l.starts_with("a=fingerprint") { &line } else { l })
            .collect::<String>();
        let fingerprints = offer::parse(&offer).unwrap().fingerprints;
        assert!(fingerprints[0].matches(der) && !fingerprints[0].matches(b"another"), "{name}");
    }
}

proptest! {
    #[test]
    fn mangled_offers_are_answered_or_refused(
        which in 0usize..9,
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\r\n]{0,6}"), 1..12),
        viewer: bool,
    ) {
        let offers = [CHROMIUM_PUBLISH, CHROMIUM_WATCH, CHROMIUM_SIMULCAST, FIREFOX_PUBLISH, FIREFOX_WATCH, OBS_PUBLISH, GSTREAMER_PUBLISH, AIORTC_PUBLISH, AIORTC_WATCH];
        let mut offer = offers[which].to_owned();
        for (at, text) in edits {
            let at = at.index(offer.len());
            let end = (at + text.len()).min(offer.len());
            offer.replace_range(at..end, &text);
        }
        // Whatever it says, it must not panic, and an answer must be whole.
        let _ = answer_with(&offer, if viewer { Role::Viewer } else { Role::Publisher }, Some(Codec::H264));
    }
}
