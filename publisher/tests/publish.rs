//! What the publisher sends, seen by a peer behind a WHIP server: everything, in order, at its time, again when it was lost, and
//! again when the server was gone.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use media::message::Codec;
use pipeline::source::TestPattern;
use publisher::{PublishError, PublisherConfig, Report, StreamKey, run};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use support::{A_WHILE, Arrived, KEY, Received, Server};
use tokio_util::sync::CancellationToken;

fn config(server: &Server, codec: Codec, seconds: Option<u64>) -> PublisherConfig {
    PublisherConfig {
        whip_url: server.url(),
        key: StreamKey::new(KEY),
        pattern: TestPattern { codec, width: 384, height: 216, bitrate: 600_000, ..TestPattern::default() },
        duration: seconds.map(Duration::from_secs),
        wrap_after: None,
        resize_every: None,
    }
}

async fn publish(config: PublisherConfig) -> Result<Report, PublishError> {
    tokio::time::timeout(A_WHILE, run(config, CancellationToken::new())).await.expect("it ends")
}

/// Packets of one kind by sequence number (retransmitted ones are in their place); fails on a hole.
fn in_order(packets: &[Arrived], video: bool) -> Vec<&Arrived> {
    let mine: Vec<&Arrived> = packets.iter().filter(|arrived| arrived.video == video).collect();
    let first = mine.first().expect("packets").packet.header.sequence_number;
    let by_sequence: BTreeMap<u16, &Arrived> =
        mine.into_iter().map(|arrived| (arrived.packet.header.sequence_number.wrapping_sub(first), arrived)).collect();
    let expected = by_sequence.len() as u16;
    assert_eq!(by_sequence.keys().next_back(), Some(&(expected - 1)), "no packet is missing");
    by_sequence.into_values().collect()
}

/// RTP timestamps of the pictures or sounds, each once.
fn timestamps(packets: &[&Arrived]) -> Vec<u32> {
    let mut timestamps: Vec<u32> = packets.iter().map(|arrived| arrived.packet.header.timestamp).collect();
    timestamps.dedup();
    timestamps
}

fn is_key(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        // Behind the descriptor with a picture id of 7 or 15 bits; the frame's first bit is 0 for keyframes (RFC 7741 §4.3).
        Codec::Vp8 => {
            let descriptor = if payload[2] & 0x80 != 0 { 4 } else { 3 };
            payload[0] & 0x10 != 0 && payload[descriptor] & 1 == 0
        }
        // The picture needs no other, and begins here (RFC 9628 §4.2).
        Codec::Vp9 => payload[0] & 0x48 == 0x08,
        Codec::Av1 => payload[0] & 0x08 != 0, // N: a coded video sequence begins
        _ => payload[0] & 0x1f == 24,         // SPS and PPS in a STAP-A
    }
}

#[tokio::test]
async fn every_picture_and_sound_is_sent_once_with_its_time() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let server = Server::start(Received::default()).await;
        let report = publish(config(&server, codec, Some(2))).await.unwrap();
        assert_eq!(report, Report { pictures: 60, sounds: 100, connections: 1 });

        let packets = server.received.packets.lock().unwrap();
        let video = in_order(&packets, true);
        let times = timestamps(&video);
        assert_eq!(times.len(), 60, "{codec:?}");
        assert!(times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 3_000), "a thirtieth of a second apart");
        assert_eq!(video.iter().filter(|arrived| arrived.packet.header.marker).count(), 60, "one marker per picture");
        assert!(is_key(codec, &video[0].packet.payload), "it starts with a keyframe");
        let sound = timestamps(&in_order(&packets, false));
        assert_eq!(sound.len(), 100);
        assert!(sound.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 960));

        let requests = server.requests.lock().unwrap();
        assert_eq!(*requests, ["POST /whip/main HTTP/1.1", "DELETE /whip/main/session-1 HTTP/1.1"]);
        let offer = server.offers.lock().unwrap()[0].clone();
        assert!(offer.contains("a=sendonly") && offer.contains("a=ssrc-group:FID"), "{offer}");
        assert_eq!(offer.contains("H264"), codec == Codec::H264);
    }
}

#[tokio::test]
async fn sender_reports_put_both_tracks_on_one_clock() {
    let server = Server::start(Received::default()).await;
    publish(config(&server, Codec::Vp8, Some(3))).await.unwrap();
    let packets = server.received.packets.lock().unwrap();
    let reports = server.received.reports.lock().unwrap();
    // Wall clock of pts 0, by each report: 32.32 fixed point seconds.
    let mut zeros = Vec::new();
    for (video, rate) in [(true, 90_000.0), (false, 48_000.0)] {
        let first = in_order(&packets, video)[0].packet.header.clone();
        let mine: Vec<_> = reports.iter().filter(|report| report.ssrc == first.ssrc).collect();
        assert!(mine.len() >= 3, "one ahead of the media and one each second");
        for report in mine {
            let since = f64::from(report.rtp_time.wrapping_sub(first.timestamp)) / rate;
            zeros.push(report.ntp_time as f64 / f64::from(u32::MAX) - since);
        }
    }
    let (low, high) = zeros.iter().fold((f64::MAX, f64::MIN), |(low, high), zero| (low.min(*zero), high.max(*zero)));
    assert!(high - low < 0.000_1, "they differ by {} s", high - low);
}

#[tokio::test]
async fn a_keyframe_is_sent_when_it_is_asked_for() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let server = Server::start(Received::default()).await;
        let stop = CancellationToken::new();
        let publishing = tokio::spawn(run(config(&server, codec, None), stop.clone()));
        let keys = move |packets: &[Arrived]| {
            let keys = packets.iter().filter(|arrived| arrived.video && is_key(codec, &arrived.packet.payload));
            keys.map(|arrived| arrived.packet.header.timestamp).collect::<BTreeSet<u32>>().len()
        };
        server.until("media", |packets| packets.len() > 60).await;
        let before = keys(&server.received.packets.lock().unwrap());
        let mut video = None;
        for track in server.tracks() {
            if track.kind().await == rtc::rtp_transceiver::rtp_sender::RtpCodecKind::Video {
                video = Some(track);
            }
        }
        let video = video.expect("a video track");
        let media_ssrc = video.ssrcs().await[0];
        video.write_rtcp(vec![Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc })]).await.unwrap();
        server.until("a keyframe", |packets| keys(packets) > before).await;
        stop.cancel();
        publishing.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn lost_packets_are_sent_again() {
    let server = Server::start(Received { lose_every: 25, ..Received::default() }).await;
    let report = publish(config(&server, Codec::Vp8, Some(3))).await.unwrap();
    assert_eq!(report.pictures, 90);
    let packets = server.received.packets.lock().unwrap();
    assert_eq!(timestamps(&in_order(&packets, true)).len(), 90);
}

#[tokio::test]
async fn it_comes_back_when_the_server_does() {
    let server = Server::start(Received::default()).await;
    let stop = CancellationToken::new();
    let publishing = tokio::spawn(run(config(&server, Codec::Vp8, None), stop.clone()));
    server.until("media", |packets| packets.len() > 60).await;
    let gone = Instant::now();
    let address = server.vanish().await;
    let server = Server::start_at(address, Received::default()).await;
    server.until("media again", |packets| !packets.is_empty()).await;
    assert!(gone.elapsed() < Duration::from_secs(4), "its goodbye was heard, not only its silence");
    server.until("more media", |packets| packets.len() > 60).await;
    let first = in_order(&server.received.packets.lock().unwrap(), true)[0].packet.payload.clone();
    assert!(!first.is_empty());
    stop.cancel();
    let report = publishing.await.unwrap().unwrap();
    assert!(report.connections >= 2);
    assert!(server.requests.lock().unwrap().last().unwrap().starts_with("DELETE"));
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let server = Server::start(Received::default()).await;
    server.status.send_replace(503);
    let publishing = tokio::spawn(publish(config(&server, Codec::Vp8, Some(1))));
    while server.requests.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.status.send_replace(201);
    assert_eq!(publishing.await.unwrap().unwrap().pictures, 30);
}

#[tokio::test]
async fn refusals_are_clear_and_final() {
    let server = Server::start(Received::default()).await;
    for (status, expected) in [
        (401, "the server does not accept this stream key"),
        (409, "the channel is on air from another connection"),
        (406, "the server refused with status 406: not today"),
    ] {
        server.status.send_replace(status);
        let error = publish(config(&server, Codec::Vp8, None)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains(KEY));
    }
    assert!(!format!("{:?}", config(&server, Codec::Vp8, None)).contains(KEY), "keys are not printed");
    let impossible = PublisherConfig {
        pattern: TestPattern { width: 100, ..TestPattern::default() },
        ..config(&server, Codec::Vp8, None)
    };
    assert!(matches!(publish(impossible).await, Err(PublishError::Source(_))));
}
