//! Live stories over loopback: real sockets, real handshakes, a client that shares no code with the media plane's sessions.

mod network;
mod shards;
#[allow(dead_code, reason = "shared with the stories of failures")]
mod stage;
mod tcp;

use std::time::Duration;

use bench::peer::{Codecs, Offered};
use media::message::{CloseReason, EndReason, Event, Refusal, Role, SrtpProfile, TapFact};
use shard::{MediaConfig, MediaPlane, PlaneState, PublishRequest, Published, StartError, TapError, Taps, WatchRequest};
use stage::{FRAME_PACKETS, Stage, channel};

#[tokio::test]
async fn viewers_get_every_packet_in_order() {
    let mut stage = Stage::new();
    let broadcast = stage.publish(Codecs::Vp8AndOpus).await.broadcast;
    for offered in [Offered::LikeChromium, Offered::LikeChromium, Offered::OnlyAesCm] {
        assert_eq!(stage.watch(offered).await, broadcast);
    }
    stage.play(60).await;
    let frames = 60;
    for viewer in &stage.viewers {
        assert_eq!(viewer.video.packets, frames * FRAME_PACKETS, "{viewer:?}");
        assert_eq!((viewer.video.missing, viewer.video.broken), (0, 0), "{viewer:?}");
        assert_eq!((viewer.audio.packets, viewer.audio.missing, viewer.audio.broken), (frames, 0, 0), "{viewer:?}");
    }
    assert_eq!(stage.profiles(), ["AEAD_AES_128_GCM", "AEAD_AES_128_GCM", "AES128_CM_SHA1_80"]);
    let profiles: Vec<SrtpProfile> = stage
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::SessionConnected { role: Role::Viewer, srtp_profile, .. } => Some(srtp_profile),
            _ => None,
        })
        .collect();
    assert_eq!(profiles.iter().filter(|profile| **profile == SrtpProfile::Aes128CmSha1_80).count(), 1);

    let stats = stage.plane.stats().await.remove(0);
    assert_eq!(stats.rooms.len(), 1);
    assert_eq!((stats.rooms[0].viewers, stats.rooms[0].connected), (3, true));
    let media = 3 * frames * (FRAME_PACKETS + 1);
    assert!(stats.drive.datagrams_out >= media, "{:?}", stats.drive);
    assert!(stats.drive.gso && stats.drive.messages_out < stats.drive.datagrams_out / 2, "{:?}", stats.drive);
    let fan_outs: u64 = stats.drive.forward.classes.iter().sum();
    assert!((1..=stats.drive.turns).contains(&fan_outs), "{:?}", stats.drive);
    assert_eq!((stats.drive.send_failed, stats.drive.send_would_block, stats.drive.restarts), (0, 0, 0));
}

#[tokio::test]
async fn a_late_viewer_starts_at_a_keyframe_that_it_asked_for() {
    let mut stage = Stage::new();
    stage.publish(Codecs::Vp8).await;
    stage.play(30).await;
    let asked_before = stage.keyframes_asked();
    stage.watch(Offered::LikeChromium).await;
    stage.play(60).await;
    assert!(stage.keyframes_asked() > asked_before, "the streamer was asked for a keyframe");
    let viewer = &stage.viewers[0];
    assert_eq!(viewer.first_video_is_key, Some(true));
    assert_eq!((viewer.video.missing, viewer.video.broken), (0, 0));
    assert!(viewer.video.packets >= FRAME_PACKETS, "{viewer:?}");
}

#[tokio::test]
async fn a_busy_channel_is_refused_and_a_silent_streamer_is_taken_over() {
    let mut stage = Stage::new();
    let first = stage.publish(Codecs::Vp8AndOpus).await;
    stage.watch(Offered::LikeChromium).await;
    stage.play(10).await;
    assert_eq!(stage.try_publish(Codecs::Vp8AndOpus).await.err(), Some(Refusal::ChannelBusy(channel())));

    stage.silence_streamer();
    stage.run_for(media::limit::STREAMER_SILENCE + Duration::from_millis(300)).await;
    let second = stage.publish(Codecs::Vp8AndOpus).await;
    assert_eq!((second.broadcast, second.resumed), (first.broadcast, true));
    assert_ne!(second.session, first.session);
    let before = stage.viewers[0].video.packets;
    stage.play(30).await;
    assert!(stage.viewers[0].video.packets > before, "the viewer sees the new connection without joining again");
    let taken_over = |event: &Event| matches!(event, Event::SessionClosed { session, reason: CloseReason::TakenOver, .. } if *session == first.session);
    assert!(stage.events().iter().any(taken_over));
}

#[tokio::test]
async fn an_ended_broadcast_says_goodbye_to_everybody() {
    let mut stage = Stage::new();
    let broadcast = stage.publish(Codecs::Vp8AndOpus).await.broadcast;
    stage.watch(Offered::LikeChromium).await;
    stage.play(5).await;
    stage.plane.end(broadcast, EndReason::Stopped).await.unwrap();
    stage.run_until(|stage| stage.viewers.iter().all(|viewer| viewer.closed)).await;
    let ended = |event: &Event| matches!(event, Event::BroadcastEnded { broadcast: b, reason: EndReason::Stopped, .. } if *b == broadcast);
    assert!(stage.events().iter().any(ended));
    assert_eq!(stage.plane.end(broadcast, EndReason::Stopped).await, Err(Refusal::Unknown));
    assert_eq!(stage.try_watch().await.err(), Some(Refusal::NotLive(channel())));
}

#[tokio::test]
async fn a_recorded_broadcast_reaches_the_taps_whole() {
    let mut stage = Stage::new();
    let broadcast = stage.publish(Codecs::Vp8AndOpus).await.broadcast;
    stage.play(50).await;
    stage.plane.end(broadcast, EndReason::Stopped).await.unwrap();
    let (mut opened, mut configs, mut video, mut audio) = (0, 0, Vec::new(), 0);
    let mut closed = false;
    while !closed {
        let item = stage.taps.recv_timeout(Duration::from_secs(2)).expect("the recording ends");
        assert_eq!(item.broadcast, broadcast);
        match item.fact {
            TapFact::Opened { .. } => opened += 1,
            TapFact::Config { .. } => configs += 1,
            TapFact::Unit(unit) if unit.data.len() > 500 => video.push(unit),
            TapFact::Unit(_) => audio += 1,
            TapFact::Gap { reason, .. } => panic!("nothing was lost, but a gap was recorded: {reason:?}"),
            TapFact::Orientation { orientation, .. } => panic!("nobody said so: {orientation:?}"),
            TapFact::Clock { .. } => {}
            TapFact::Closed { reason, .. } => {
                assert_eq!(reason, EndReason::Stopped);
                closed = true;
            }
        }
    }
    assert_eq!((opened, configs, video.len(), audio), (1, 2, 50, 50));
    assert!(video[0].key && video.windows(2).all(|pair| pair[0].pts_ns < pair[1].pts_ns));
}

#[tokio::test]
async fn shutdown_ends_everything_in_order() {
    let mut stage = Stage::new();
    let broadcast = stage.publish(Codecs::Vp8AndOpus).await.broadcast;
    stage.watch(Offered::LikeChromium).await;
    stage.play(5).await;
    stage.plane.shutdown().await;
    stage.plane.shutdown().await;
    assert_eq!(*stage.plane.state().borrow(), PlaneState::Stopped);
    stage.run_until(|stage| stage.viewers.iter().all(|viewer| viewer.closed)).await;
    assert!(stage.events().iter().any(|event| {
        matches!(event, Event::BroadcastEnded { broadcast: b, reason: EndReason::Shutdown, .. } if *b == broadcast)
    }));
    let mut last = None;
    let end = loop {
        match stage.taps.recv_timeout(Duration::from_secs(1)) {
            Ok(item) => last = Some(item.fact),
            Err(error) => break error,
        }
    };
    assert_eq!(end, TapError::Closed);
    assert!(matches!(last, Some(TapFact::Closed { reason: EndReason::Shutdown, .. })), "{last:?}");
    assert_eq!(stage.try_watch().await.err(), Some(Refusal::ShuttingDown));
}

#[tokio::test]
async fn a_malformed_offer_disturbs_nobody() {
    let mut stage = Stage::new();
    stage.publish(Codecs::Vp8).await;
    for offer in ["", "v=0", "m=video", &"a".repeat(media::limit::OFFER_BYTES + 1)] {
        let request = shard::WatchRequest { channel: channel(), offer: offer.to_owned() };
        assert!(matches!(stage.plane.watch(request).await, Err(Refusal::MalformedOffer(_))), "{offer:.20}");
    }
    stage.watch(Offered::LikeChromium).await;
    stage.play(5).await;
    assert_eq!(stage.viewers[0].video.packets, 5 * FRAME_PACKETS);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let stage = Stage::new();
    let taken = stage.plane.local_addr();
    let error = MediaPlane::start(stage::config(taken)).err().expect("the port is taken");
    assert!(matches!(error, StartError::PortTaken { transport: "UDP", address } if address == taken));
    assert!(error.to_string().contains(&taken.port().to_string()), "{error}");
}
