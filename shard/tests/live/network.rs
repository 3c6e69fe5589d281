//! A peer's network changes under a session that goes on: no new handshake, no number twice.

use std::time::{Duration, Instant};

use bench::peer::{Codecs, Offered, Peer};
use bench::wire::Wired;
use media::id::SessionId;
use media::message::{Event, Refusal};
use shard::MediaPlane;

use crate::stage::{By, FRAME_PACKETS, Stage, another_socket, config, tcp_candidate};

/// Until the next check of a peer that keeps its consent, and a little.
const NEXT_CHECK: Duration = Duration::from_secs(3);

/// Restarts ICE as a browser does after it moved.
async fn restart(plane: &MediaPlane, session: SessionId, peer: &mut Peer) -> String {
    let fragment = plane.ice(session, peer.restart(), None).await.expect("the session goes on");
    let fragment = fragment.expect("new credentials restart ICE");
    peer.restarted(Instant::now(), &fragment).expect("credentials");
    fragment
}

/// Nobody joined or left meanwhile, and what was received decrypts and is in order.
fn assert_same_sessions(stage: &mut Stage) {
    let closed = stage.events().iter().filter(|event| matches!(event, Event::SessionClosed { .. })).count();
    assert_eq!(closed, 0);
    for viewer in &stage.viewers {
        assert!(viewer.refused.is_empty() && viewer.video.broken == 0, "{viewer:?}");
    }
}

#[tokio::test]
async fn a_viewer_that_moves_is_followed_by_its_next_check() {
    let mut stage = Stage::new();
    stage.publish(Codecs::Vp8AndOpus).await;
    stage.watch(Offered::LikeChromium).await;
    stage.play(10).await;
    stage.viewers[0].wired.move_to(another_socket()).unwrap();
    let before = stage.viewers[0].video.packets;
    stage.run_for(NEXT_CHECK).await;
    stage.play(30).await;
    assert!(stage.viewers[0].video.packets > before, "{:?}", stage.viewers[0]);
    assert_same_sessions(&mut stage);
}

#[tokio::test]
async fn a_restart_moves_both_sides_at_once_and_from_udp_to_tcp() {
    let mut stage = Stage::new();
    let published = stage.publish(Codecs::Vp8AndOpus).await;
    stage.watch(Offered::LikeChromium).await;
    stage.watch(Offered::OnlyAesCm).await;
    stage.play(10).await;

    let tcp = tcp_candidate(&published.answer);
    let plane = stage.plane.clone();
    let streamer = &mut stage.streamer.as_mut().unwrap().wired;
    streamer.move_to(another_socket()).unwrap();
    restart(&plane, published.session, &mut streamer.peer).await;
    let session = stage.viewers[0].session;
    stage.viewers[0].wired.move_to_tcp(tcp).unwrap();
    restart(&plane, session, &mut stage.viewers[0].wired.peer).await;
    let moved = |wired: &Wired| wired.peer.is_connected();
    assert!(stage.viewers.iter().all(|viewer| moved(&viewer.wired)), "nobody shook hands again");

    // The first checks are on their way; nothing is sent that could be lost.
    stage.run_for(Duration::from_millis(200)).await;
    let before: Vec<u64> = stage.viewers.iter().map(|viewer| viewer.video.packets).collect();
    stage.play(30).await;
    for (viewer, before) in stage.viewers.iter().zip(before) {
        assert!(viewer.video.packets >= before + 30 * FRAME_PACKETS - 1, "{before} {viewer:?}");
        assert_eq!((viewer.video.missing, viewer.audio.missing), (0, 0), "{viewer:?}");
    }
    assert_eq!(stage.plane.stats().await[0].drive.tcp.open, 1);
    assert_same_sessions(&mut stage);
}

#[tokio::test]
async fn changes_of_ice_are_refused_for_what_is_wrong_with_them() {
    let mut stage = Stage::new();
    stage.by(By::Udp);
    let published = stage.publish(Codecs::Vp8).await;
    let ice = |fragment: &str, expects: Option<&str>| {
        let (plane, fragment) = (stage.plane.clone(), fragment.to_owned());
        let expects = expects.map(|ufrag| vec![ufrag.to_owned()]);
        async move { plane.ice(published.session, fragment, expects).await }
    };
    let ufrag = published.answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap();
    assert_eq!(ice("a=end-of-candidates\r\n", Some(ufrag)).await, Ok(None));
    assert_eq!(ice("a=end-of-candidates\r\n", Some("other")).await, Err(Refusal::Outdated));
    assert!(matches!(ice("rubbish", None).await, Err(Refusal::MalformedFragment(_))));
    stage.plane.close(published.session).await.unwrap();
    assert_eq!(ice("a=end-of-candidates\r\n", None).await, Err(Refusal::Unknown));
}

#[tokio::test]
async fn one_port_serves_both_families_by_both_transports() {
    let mut config = config("[::]:0".parse().unwrap());
    config.announce = vec!["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    let mut stage = Stage::on(config);
    stage.by(By::UdpV6);
    let answer = stage.publish(Codecs::Vp8AndOpus).await.answer;
    let port = stage.plane.local_addr().port();
    for candidate in [" udp ", " tcp "].iter().flat_map(|kind| ["::1", "127.0.0.1"].map(|ip| (kind, ip))) {
        let (kind, ip) = candidate;
        assert!(answer.lines().any(|line| line.contains(kind) && line.contains(&format!(" {ip} {port} typ host"))));
    }
    for by in [By::Udp, By::UdpV6, By::Tcp, By::TcpV6] {
        stage.by(by);
        stage.watch(Offered::LikeChromium).await;
    }
    stage.play(40).await;
    for viewer in &stage.viewers {
        assert_eq!((viewer.video.missing, viewer.video.broken), (0, 0), "{viewer:?}");
        assert!(viewer.video.packets >= 30 * FRAME_PACKETS, "{viewer:?}");
    }
    assert_eq!(stage.plane.stats().await[0].drive.send_failed, 0);
}
