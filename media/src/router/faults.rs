//! A panic in the work of one session: it alone is closed, it is counted, and what is known of it can still be read.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Flushed, Router, RouterConfig, failpoint};
use crate::arena::SendArena;
use crate::diagnostics::{Diagnosis, What};
use crate::id::{BroadcastId, SessionId, ShardId};
use crate::message::{CloseReason, Command, Event, Input, Now, Output, Publish, Reply, RequestId, Watch};
use crate::session::Certificate;
use crate::session::testing::peer::{BROWSER_PROFILES, Heard, Identity, Peer};
use crate::session::testing::start;
use crate::stats::DropReason;

const STREAMER: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;

/// A streamer and two viewers, all connected.
struct Stage {
    now: Now,
    router: Router,
    arena: SendArena,
    peers: Vec<Peer>,
    closed: Vec<(SessionId, CloseReason)>,
    heard: Vec<u32>,
    connected: usize,
    sequence: u16,
}

fn address(peer: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + peer as u8], 5000))
}

fn id(peer: usize) -> SessionId {
    SessionId::new(ShardId(0), 1 + peer as u64)
}

impl Stage {
    fn new() -> Self {
        let announce = vec![SocketAddr::from(([127, 0, 0, 1], 8189))];
        let config = RouterConfig { shard: ShardId(0), announce, seed: [7; 32] };
        let mut stage = Self {
            now: start(),
            router: Router::new(config, Certificate::generate().unwrap()),
            arena: SendArena::new(),
            peers: Vec::new(),
            closed: Vec::new(),
            heard: vec![0; 3],
            connected: 0,
            sequence: 0,
        };
        let identity = Identity::new(&BROWSER_PROFILES);
        for at in [STREAMER, FIRST, SECOND] {
            stage.join(at, Peer::new(identity.clone()));
        }
        stage
    }

    fn join(&mut self, at: usize, mut peer: Peer) {
        let (session, channel) = (id(at), "main".parse().unwrap());
        let command = if at == STREAMER {
            let (broadcast, offer) = (BroadcastId(1), peer.offer("sendonly"));
            Command::Publish(Publish { session, channel, broadcast, offer, record: false, prefer_video: None })
        } else {
            Command::Watch(Watch { session, channel, offer: peer.offer("recvonly") })
        };
        match self.command(command) {
            Ok(Reply::Published { answer, .. } | Reply::Watching { answer, .. }) => peer.answered(&answer),
            other => panic!("accepted: {other:?}"),
        }
        let check = peer.check(true);
        peer.start_dtls(self.now.mono);
        self.peers.push(peer);
        self.arrive(at, check);
        while self.connected <= at {
            let datagram = self.peers[at].poll().expect("the handshake goes on");
            self.arrive(at, datagram);
        }
        self.turn();
    }

    fn command(&mut self, command: Command) -> Result<Reply, crate::message::Refusal> {
        self.router.handle(self.now, Input::Command { request: RequestId(1), command }, &mut self.arena);
        let mut answer = None;
        while let Some(output) = self.router.poll() {
            if let Output::Reply { reply, .. } = output {
                answer = Some(reply);
            }
        }
        answer.expect("each command is answered")
    }

    fn arrive(&mut self, from: usize, mut data: Vec<u8>) {
        self.router.handle(self.now, Input::Datagram { from: address(from), data: &mut data }, &mut self.arena);
        self.send();
    }

    /// One VP8 keyframe of one packet, on its way to the viewers 20 ms later.
    fn picture(&mut self) {
        self.sequence += 1;
        let mut packet = vec![0x80, 0x80 | 96, 0, self.sequence as u8];
        packet.extend((u32::from(self.sequence) * 3000).to_be_bytes());
        packet.extend(2001_u32.to_be_bytes());
        packet.extend([0x10, 0x10, 2, 0, 0x9d, 0x01, 0x2a, 0x80, 2, 0x68, 1]);
        let sealed = self.peers[STREAMER].seal_rtp(&packet);
        self.arrive(STREAMER, sealed);
        self.now = self.now.after(Duration::from_millis(20));
        self.turn();
    }

    fn turn(&mut self) {
        self.router.handle(self.now, Input::Tick, &mut self.arena);
        while self.router.flush(self.now, &mut self.arena) == Flushed::More {
            self.send();
        }
        self.send();
        while let Some(output) = self.router.poll() {
            if let Output::Event(Event::SessionClosed { session, reason, .. }) = output {
                self.closed.push((session, reason));
            }
        }
    }

    fn send(&mut self) {
        let datagrams: Vec<_> = self.arena.datagrams().map(|(to, data)| (to, data.to_vec())).collect();
        self.arena.clear();
        for (to, data) in datagrams {
            let at = (0..3).find(|peer| address(*peer) == to).expect("a peer's address");
            match self.peers[at].receive(self.now.mono, &data) {
                Heard::Connected(_) => self.connected += 1,
                Heard::Rtp(_) => self.heard[at] += 1,
                _ => {}
            }
        }
    }

    fn diagnosis(&mut self, of: usize) -> Diagnosis {
        match self.command(Command::Diagnose { session: id(of) }) {
            Ok(Reply::Diagnosis(diagnosis)) => *diagnosis,
            other => panic!("known: {other:?}"),
        }
    }
}

#[test]
fn a_panic_while_a_viewer_is_served_closes_that_viewer_alone() {
    let mut stage = Stage::new();
    stage.picture();
    stage.picture();
    let before = stage.heard.clone();
    assert!(before[FIRST] >= 2 && before[SECOND] >= 2, "{before:?}");
    failpoint::arm(id(FIRST));
    for _ in 0..5 {
        stage.picture();
    }
    assert_eq!(stage.closed, [(id(FIRST), CloseReason::Fault)]);
    assert_eq!(stage.heard[SECOND], before[SECOND] + 5, "the other one misses nothing");
    assert_eq!(stage.heard[FIRST], before[FIRST]);
    assert_eq!(stage.router.counters().dropped(DropReason::Fault), 1);
    let told = stage.diagnosis(FIRST);
    assert_eq!(told.closed.map(|(_, reason)| reason), Some(CloseReason::Fault));
    assert!(told.milestones.first_keyframe.is_some() && told.drops.contains(&("fault", 1)), "{told:?}");
}

#[test]
fn a_panic_over_a_streamers_packet_closes_the_streamer_alone() {
    let mut stage = Stage::new();
    stage.picture();
    failpoint::arm(id(STREAMER));
    stage.picture();
    assert_eq!(stage.closed, [(id(STREAMER), CloseReason::Fault)]);
    assert!(stage.diagnosis(SECOND).closed.is_none(), "viewers wait for the streamer to come back");
    let flight = stage.diagnosis(STREAMER).flight;
    assert!(matches!(flight.last().unwrap().what, What::Closed(CloseReason::Fault)), "{flight:?}");
    assert!(flight.iter().any(|note| matches!(note.what, What::Packet { dropped: None, .. })));
}
