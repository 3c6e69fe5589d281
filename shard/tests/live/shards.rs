//! A broadcast on several shards: the kernel spreads its people over sockets as it likes, and nobody can tell.

use std::net::SocketAddr;
use std::time::Duration;

use bench::peer::{Codecs, Offered};
use media::limit;
use media::message::{CloseReason, EndReason, Event, Quality, Refusal, ShardStats, TapFact};
use shard::{MediaPlane, PlaneState, SHARDS, StartError};

use crate::stage::{By, FRAME_PACKETS, Stage, another_socket, channel, config};

/// Enough that the kernel leaves no socket of four out: once in twenty thousand times it would leave one.
const VIEWERS: usize = 40;

/// Where a check was repeated before its answer came: the peer knows its newest one only.
const LATE_ANSWER: &str = "no authentic answer to our check";

fn stage(shards: usize) -> Stage {
    let mut config = config(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.shards = shards;
    Stage::on(config)
}

async fn crowd(shards: usize) -> Stage {
    let mut stage = stage(shards);
    stage.publish(Codecs::Vp8AndOpus).await;
    for _ in 0..VIEWERS {
        stage.join(Offered::LikeChromium).await.expect("the channel is live");
    }
    stage.all_connected().await;
    stage
}

async fn relayed(stage: &Stage) -> u64 {
    stage.plane.stats().await.iter().map(|shard| shard.drive.relayed).sum()
}

/// Everybody gets the next frames, without joining again.
async fn assert_all_go_on(stage: &mut Stage) {
    let broken = assert_all_get_more(stage).await;
    assert_eq!(broken, 0);
}

/// How often a viewer's packets did not follow each other, at most.
async fn assert_all_get_more(stage: &mut Stage) -> u64 {
    let before: Vec<u64> = stage.viewers.iter().map(|viewer| viewer.video.packets).collect();
    stage.play(30).await;
    for (viewer, before) in stage.viewers.iter().zip(before) {
        assert!(viewer.video.packets >= before + 25 * FRAME_PACKETS, "{before} {viewer:?}");
        assert!(viewer.refused.iter().all(|cause| *cause == LATE_ANSWER) && viewer.video.missing == 0, "{viewer:?}");
    }
    stage.viewers.iter().map(|viewer| viewer.video.broken).max().unwrap_or(0)
}

fn dropped(stats: &[ShardStats], reason: &str) -> u64 {
    let all = stats.iter().flat_map(|shard| &shard.dropped);
    all.filter(|(name, _)| *name == reason).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn viewers_on_all_shards_get_every_packet_in_order() {
    for shards in [2, 4] {
        let mut stage = crowd(shards).await;
        stage.play(60).await;
        for viewer in &stage.viewers {
            assert_eq!(viewer.video.packets, 60 * FRAME_PACKETS, "{shards} shards: {viewer:?}");
            assert_eq!((viewer.video.missing, viewer.video.broken), (0, 0), "{viewer:?}");
            assert_eq!((viewer.audio.packets, viewer.audio.missing), (60, 0), "{viewer:?}");
        }
        let stats = stage.plane.stats().await;
        let sessions: Vec<u32> = stats.iter().map(|shard| shard.sessions).collect();
        assert!(sessions.len() == shards && sessions.iter().all(|count| *count > 0), "{sessions:?}");
        assert_eq!(sessions.iter().sum::<u32>() as usize, VIEWERS + 1);
        let rooms: Vec<_> = stats.iter().flat_map(|shard| &shard.rooms).map(|room| room.viewers).collect();
        assert_eq!(rooms, [VIEWERS as u32], "one room, whose mirrors are not told of");
        assert_eq!(dropped(&stats, "mesh_full"), 0);
        let counts = stage.events().into_iter().filter_map(|event| match event {
            Event::Viewers { count, .. } => Some(count),
            _ => None,
        });
        assert_eq!(counts.last(), Some(VIEWERS as u32));
    }
}

#[tokio::test]
async fn late_viewers_on_any_shard_start_at_a_keyframe() {
    let mut stage = stage(4);
    stage.publish(Codecs::Vp8).await;
    // More than a viewer is given from the ring, so that all depend on the streamer.
    stage.play(120).await;
    let asked_before = stage.keyframes_asked();
    for _ in 0..VIEWERS {
        stage.join(Offered::LikeChromium).await.expect("the channel is live");
    }
    stage.all_connected().await;
    stage.play(60).await;
    assert!(stage.keyframes_asked() > asked_before, "the streamer was asked for a keyframe");
    let seconds = 120 * 20 / 1000 + 2;
    assert!(stage.keyframes_asked() <= asked_before + seconds, "{} times", stage.keyframes_asked() - asked_before);
    for viewer in &stage.viewers {
        assert_eq!(viewer.first_video_is_key, Some(true), "{viewer:?}");
        assert_eq!((viewer.video.missing, viewer.video.broken), (0, 0), "{viewer:?}");
    }
}

#[tokio::test]
async fn who_moves_is_followed_although_another_socket_hears_it() {
    let mut stage = crowd(4).await;
    stage.play(10).await;
    // The streamer's datagrams may have had to be relayed from the start.
    let before = relayed(&stage).await;
    for viewer in &mut stage.viewers {
        viewer.wired.move_to(another_socket()).unwrap();
    }
    stage.streamer.as_mut().unwrap().wired.move_to(another_socket()).unwrap();
    stage.run_for(Duration::from_secs(3)).await;
    assert_all_go_on(&mut stage).await;
    assert!(relayed(&stage).await > before, "three of four changed their socket");
    let closed = stage.events().iter().filter(|event| matches!(event, Event::SessionClosed { .. })).count();
    assert_eq!(closed, 0);
}

#[tokio::test]
async fn a_silent_streamer_is_taken_over_while_its_viewers_are_on_other_shards() {
    let mut stage = stage(3);
    let first = stage.publish(Codecs::Vp8AndOpus).await;
    for _ in 0..VIEWERS {
        stage.join(Offered::LikeChromium).await.expect("the channel is live");
    }
    stage.all_connected().await;
    stage.play(10).await;
    assert_eq!(stage.try_publish(Codecs::Vp8AndOpus).await.err(), Some(Refusal::ChannelBusy(channel())));
    stage.silence_streamer();
    stage.run_for(limit::STREAMER_SILENCE + Duration::from_millis(300)).await;
    let second = stage.publish(Codecs::Vp8AndOpus).await;
    assert_eq!((second.broadcast, second.resumed), (first.broadcast, true));
    assert_eq!(assert_all_get_more(&mut stage).await, 1, "another streamer counts anew");
    assert!(stage.events().iter().any(|event| {
        matches!(event, Event::SessionClosed { session, reason: CloseReason::TakenOver, .. } if *session == first.session)
    }));
}

#[tokio::test]
async fn the_end_of_a_broadcast_reaches_all_shards_and_the_recorder_once() {
    let mut stage = crowd(4).await;
    stage.play(50).await;
    let broadcast = stage.plane.stats().await.iter().flat_map(|shard| &shard.rooms).next().unwrap().broadcast;
    stage.plane.keyframe(broadcast).await.unwrap();
    stage.plane.end(broadcast, EndReason::Stopped).await.unwrap();
    stage.run_until(|stage| stage.viewers.iter().all(|viewer| viewer.closed)).await;
    let events = stage.events();
    let of = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(of(|event| matches!(event, Event::BroadcastStarted { .. })), 1);
    assert_eq!(of(|event| matches!(event, Event::BroadcastEnded { reason: EndReason::Stopped, .. })), 1);
    assert_eq!(of(|event| matches!(event, Event::SessionClosed { .. })), VIEWERS + 1);
    assert_eq!(stage.plane.end(broadcast, EndReason::Stopped).await, Err(Refusal::Unknown));
    assert_eq!(stage.try_watch().await.err(), Some(Refusal::NotLive(channel())));
    let (mut opened, mut pictures) = (0, 0);
    loop {
        match stage.taps.recv_timeout(Duration::from_secs(2)).expect("the recording ends").fact {
            TapFact::Opened { .. } => opened += 1,
            TapFact::Unit(unit) if unit.data.len() > 500 => pictures += 1,
            TapFact::Gap { reason, .. } => panic!("nothing was lost, but a gap was recorded: {reason:?}"),
            TapFact::Closed { .. } => break,
            _ => {}
        }
    }
    assert_eq!((opened, pictures), (1, 50));
}

#[tokio::test]
async fn commands_find_their_session_on_whatever_shard_it_is() {
    let mut stage = crowd(4).await;
    stage.play(5).await;
    let plane = stage.plane.clone();
    for viewer in &mut stage.viewers {
        plane.prefer(viewer.session, Quality::AtMost(360)).await.unwrap();
        let diagnosis = plane.diagnose(viewer.session).await.unwrap();
        assert!(diagnosis.session == viewer.session && diagnosis.packets_out > 0, "{diagnosis:?}");
        let fragment = plane.ice(viewer.session, viewer.wired.peer.restart(), None).await.unwrap();
        viewer.wired.peer.restarted(std::time::Instant::now(), &fragment.expect("a restart")).unwrap();
        viewer.wired.move_to(another_socket()).unwrap();
    }
    stage.run_for(Duration::from_millis(300)).await;
    assert_all_go_on(&mut stage).await;
    let listed = plane.diagnose_all().await;
    assert_eq!(listed.len(), VIEWERS + 1);
    for viewer in &stage.viewers {
        assert!(listed.iter().any(|diagnosis| diagnosis.session == viewer.session));
        plane.close(viewer.session).await.unwrap();
    }
    // Until the last goodbye was repeated.
    stage.run_for(Duration::from_secs(3)).await;
    for viewer in &stage.viewers {
        assert_eq!(plane.close(viewer.session).await, Err(Refusal::Unknown));
        assert!(plane.diagnose(viewer.session).await.unwrap().closed.is_some(), "remembered");
    }
    let counts = stage.events().into_iter().filter_map(|event| match event {
        Event::Viewers { count, .. } => Some(count),
        _ => None,
    });
    assert_eq!(counts.last(), Some(0));
}

#[tokio::test]
async fn a_connection_goes_to_the_shard_of_its_session() {
    let mut stage = stage(4);
    stage.by(By::Tcp);
    stage.publish(Codecs::Vp8AndOpus).await;
    for by in [By::Tcp, By::Udp, By::Tcp, By::Udp] {
        stage.by(by);
        stage.watch(Offered::LikeChromium).await;
    }
    stage.play(20).await;
    // From UDP to TCP, whichever shard the session is on.
    for viewer in &mut stage.viewers {
        viewer.wired.move_to_tcp(stage.plane.local_addr()).unwrap();
    }
    stage.run_for(Duration::from_secs(3)).await;
    assert_all_go_on(&mut stage).await;
    let strangers: u64 = stage.plane.stats().await.iter().map(|shard| shard.drive.tcp.strangers).sum();
    assert_eq!(strangers, 0);
}

#[tokio::test]
async fn all_shards_end_before_the_plane_does() {
    let mut stage = crowd(4).await;
    stage.play(5).await;
    stage.plane.shutdown().await;
    assert_eq!(*stage.plane.state().borrow(), PlaneState::Stopped);
    stage.run_until(|stage| stage.viewers.iter().all(|viewer| viewer.closed)).await;
    let ended = stage.events().into_iter().filter_map(|event| match event {
        Event::BroadcastEnded { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [EndReason::Shutdown]);
    assert_eq!(stage.try_watch().await.err(), Some(Refusal::ShuttingDown));
}

#[tokio::test]
async fn the_last_handle_ends_all_shards() {
    let Stage { plane, mut taps, .. } = stage(3);
    let mut state = plane.state();
    drop(plane);
    tokio::time::timeout(Duration::from_secs(5), state.wait_for(|state| *state == PlaneState::Stopped))
        .await
        .expect("the threads are woken")
        .expect("the last state is told");
    assert!(taps.try_recv().is_err());
}

#[tokio::test]
async fn a_port_that_a_plane_shares_among_its_shards_is_taken_for_others() {
    for (first, second) in [(3, 3), (3, 1), (1, 3)] {
        let stage = stage(first);
        let mut config = config(stage.plane.local_addr());
        config.shards = second;
        let error = MediaPlane::start(config).err().expect("the port is taken");
        assert!(matches!(error, StartError::PortTaken { transport: "UDP", .. }), "{error}");
    }
    for wrong in [0, SHARDS + 1] {
        let mut config = config(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.shards = wrong;
        assert!(matches!(MediaPlane::start(config).err(), Some(StartError::Shards(count)) if count == wrong));
    }
}
