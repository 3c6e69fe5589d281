//! ICE-TCP: media by a framed stream, and what strangers make of the port.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bench::peer::{Codecs, Offered};
use media::limit;
use media::message::TcpStats;

use crate::stage::{By, FRAME_PACKETS, Stage};

async fn figures(stage: &Stage) -> TcpStats {
    stage.plane.stats().await[0].drive.tcp
}

#[tokio::test]
async fn a_broadcast_by_tcp_reaches_viewers_by_tcp_and_by_udp_whole() {
    let mut stage = Stage::new();
    stage.by(By::Tcp);
    stage.publish(Codecs::Vp8AndOpus).await;
    stage.watch(Offered::LikeChromium).await;
    stage.watch(Offered::OnlyAesCm).await;
    stage.by(By::Udp);
    stage.watch(Offered::LikeChromium).await;
    stage.play(60).await;
    for viewer in &stage.viewers {
        assert_eq!((viewer.video.missing, viewer.video.broken), (0, 0), "{viewer:?}");
        assert_eq!((viewer.audio.missing, viewer.audio.broken), (0, 0), "{viewer:?}");
        assert!(viewer.video.packets >= 50 * FRAME_PACKETS && viewer.refused.is_empty(), "{viewer:?}");
    }
    let tcp = figures(&stage).await;
    assert_eq!((tcp.open, tcp.accepted, tcp.congested, tcp.malformed, tcp.strangers), (3, 3, 0, 0, 0));
    assert!(tcp.frames_out >= 2 * 50 * (FRAME_PACKETS + 1), "{tcp:?}");
}

#[tokio::test]
async fn connections_end_with_their_sessions() {
    let mut stage = Stage::new();
    stage.by(By::Tcp);
    let broadcast = stage.publish(Codecs::Vp8).await.broadcast;
    stage.watch(Offered::LikeChromium).await;
    assert_eq!(figures(&stage).await.open, 2);
    stage.plane.end(broadcast, media::message::EndReason::Stopped).await.unwrap();
    stage.run_until(|stage| stage.viewers.iter().all(|viewer| viewer.closed)).await;
    let sessions_gone = Duration::from_secs(2);
    stage.run_for(sessions_gone + limit::TCP_SWEEP + Duration::from_millis(500)).await;
    assert_eq!(figures(&stage).await.open, 0);
}

/// A stranger's connection.
struct Stranger(TcpStream);

impl Stranger {
    fn of(stage: &Stage) -> Self {
        let stream = TcpStream::connect(stage.plane.local_addr()).expect("the port is open");
        stream.set_nonblocking(true).expect("non-blocking");
        Stranger(stream)
    }

    fn says(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("room for a few bytes");
    }

    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes(), packet].concat()
}

/// A binding request with this user name and nothing that proves it.
fn check(user: &str) -> Vec<u8> {
    let mut attributes = vec![0, 6, 0, user.len() as u8];
    attributes.extend(user.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    let mut packet = vec![0, 1, 0, attributes.len() as u8, 0x21, 0x12, 0xa4, 0x42];
    packet.extend([7; 12]);
    packet.extend(attributes);
    packet
}

#[tokio::test]
async fn strangers_are_closed_and_counted_and_disturb_nobody() {
    let mut stage = Stage::new();
    stage.by(By::Tcp);
    stage.publish(Codecs::Vp8).await;
    stage.watch(Offered::LikeChromium).await;

    let mut browser = Stranger::of(&stage);
    browser.says(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut too_long = Stranger::of(&stage);
    too_long.says(&[0xff, 0xff, 0, 1]);
    let mut media_first = Stranger::of(&stage);
    media_first.says(&framed(&[0x80; 50]));
    let mut unknown = Stranger::of(&stage);
    unknown.says(&framed(&check("nobody:here")));
    let mut strangers = [browser, too_long, media_first, unknown];
    let mut closed = [false; 4];
    while closed != [true; 4] {
        stage.run_for(Duration::from_millis(5)).await;
        closed.iter_mut().zip(&mut strangers).for_each(|(closed, stranger)| *closed = *closed || stranger.is_closed());
    }
    let tcp = figures(&stage).await;
    assert_eq!((tcp.malformed, tcp.strangers, tcp.open), (3, 1, 2), "{tcp:?}");

    stage.play(10).await;
    let viewer = &stage.viewers[0];
    assert_eq!((viewer.video.missing, viewer.video.broken), (0, 0), "{viewer:?}");
}

#[tokio::test]
async fn who_is_slow_with_the_first_check_makes_room_for_others() {
    let mut stage = Stage::new();
    stage.publish(Codecs::Vp8).await;
    // A byte now and then, of a check that never comes whole.
    let mut slow: Vec<Stranger> = (0..limit::TCP_WAITING + 8).map(|_| Stranger::of(&stage)).collect();
    let beginning = framed(&check("nobody:here"));
    for at in 0..4 {
        for stranger in &mut slow {
            if !stranger.is_closed() {
                stranger.says(&beginning[at..=at]);
            }
        }
        stage.run_for(Duration::from_millis(50)).await;
    }
    assert!(figures(&stage).await.late >= 8, "the oldest were pushed out");
    stage.by(By::Tcp);
    stage.watch(Offered::LikeChromium).await;
    stage.play(10).await;
    assert_eq!((stage.viewers[0].video.missing, stage.viewers[0].video.broken), (0, 0));
    stage.run_for(limit::TCP_FIRST_CHECK).await;
    let tcp = figures(&stage).await;
    assert_eq!((tcp.late, tcp.open), (limit::TCP_WAITING as u64 + 8, 1), "{tcp:?}");
    assert!(slow.iter_mut().all(Stranger::is_closed));
}

#[tokio::test]
async fn the_port_is_held_for_both_transports() {
    let stage = Stage::new();
    let SocketAddr::V4(taken) = stage.plane.local_addr() else { panic!("bound to IPv4") };
    assert!(TcpStream::connect(taken).is_ok());
    let port = std::net::TcpListener::bind(taken).expect_err("the TCP port is taken").kind();
    assert_eq!(port, ErrorKind::AddrInUse);
}
