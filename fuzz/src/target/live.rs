//! A whole router with a streamer and a viewer whose handshakes are complete: what they send decrypts, and is anything.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use media::arena::SendArena;
use media::id::{BroadcastId, SessionId, ShardId};
use media::message::{Command, Event, Input, Now, Output, Publish, Reply, RequestId, TapFact, Watch};
use media::router::{Flushed, Router, RouterConfig};
use media::session::Certificate;
use media::stats::DropReason;

use super::start;
use crate::bytes::Bytes;
use crate::peer::{BROWSER_PROFILES, Heard, Identity, Peer};

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| Certificate::generate().expect("a certificate"));
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new(&BROWSER_PROFILES));

const STREAMER: usize = 0;
const VIEWER: usize = 1;

struct Live {
    now: Now,
    router: Router,
    arena: SendArena,
    peers: Vec<Peer>,
    connected: usize,
    started: bool,
    replies: Vec<Reply>,
    /// Per SSRC, sequence number and timestamp of what the viewer got: sealed once each.
    sealed: HashSet<(u32, u16)>,
    sequence: u16,
    timestamp: u32,
}

fn address(peer: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1 + peer as u8], 5000))
}

/// Steps: what is sent, how much later, and the bytes of it.
pub fn run(data: &[u8]) {
    let mut live = Live::on_air();
    let mut bytes = Bytes(data);
    while !bytes.is_empty() {
        let step = bytes.u8();
        live.now = live.now.after(Duration::from_millis(1 << (step >> 5)));
        match step & 7 {
            0..=3 => {
                let packet = live.packet(&mut bytes);
                live.rtp(STREAMER, &packet);
            }
            4 => live.rtp(if step & 8 == 0 { STREAMER } else { VIEWER }, bytes.short()),
            5 => live.rtcp(STREAMER, bytes.short()),
            6 => live.rtcp(VIEWER, bytes.short()),
            _ => live.arrive(STREAMER, bytes.short().to_vec()),
        }
        live.turn();
    }
    live.now = live.now.after(Duration::from_secs(2));
    live.turn();
    assert_eq!(live.router.counters().dropped(DropReason::Fault), 0, "a session failed");
}

impl Live {
    fn on_air() -> Self {
        let announce = vec![SocketAddr::from(([127, 0, 0, 1], 8189))];
        let mut live = Self {
            now: start(),
            router: Router::new(RouterConfig { shard: ShardId(0), announce, seed: [7; 32] }, CERTIFICATE.clone()),
            arena: SendArena::new(),
            peers: Vec::new(),
            connected: 0,
            started: false,
            replies: Vec::new(),
            sealed: HashSet::new(),
            sequence: 100,
            timestamp: 90_000,
        };
        let channel: media::id::ChannelName = "main".parse().expect("a channel");
        let broadcast = BroadcastId::new(1_700_000_000_000, 7);
        let (session, offer) = (SessionId::new(ShardId(0), 1), Peer::new(IDENTITY.clone()).offer("sendonly"));
        let publish = Publish { session, channel: channel.clone(), broadcast, offer, record: true, prefer_video: None };
        live.join(Command::Publish(publish));
        let (session, offer) = (SessionId::new(ShardId(0), 2), Peer::new(IDENTITY.clone()).offer("recvonly"));
        live.join(Command::Watch(Watch { session, channel, offer }));
        live
    }

    fn join(&mut self, command: Command) {
        let at = self.peers.len();
        self.router.handle(self.now, Input::Command { request: RequestId(at as u64), command }, &mut self.arena);
        let mut peer = Peer::new(IDENTITY.clone());
        self.poll();
        match self.replies.pop() {
            Some(Reply::Published { answer, .. } | Reply::Watching { answer, .. }) => peer.answered(&answer),
            other => panic!("an ordinary offer is accepted: {other:?}"),
        }
        let check = peer.check(true);
        peer.start_dtls(self.now.mono);
        self.peers.push(peer);
        self.arrive(at, check);
        while self.connected <= at {
            let Some(datagram) = self.peers[at].poll() else { panic!("the handshake stopped") };
            self.arrive(at, datagram);
        }
        self.turn();
        assert!(self.started, "on air once the streamer is connected");
    }

    /// A packet with a header of ours and any payload.
    fn packet(&mut self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let (stream, step) = (bytes.u8(), bytes.u8());
        let (payload_type, ssrc) =
            [(96, 2001), (97, 2002), (102, 2001), (103, 2002), (111, 1001)][usize::from(stream & 0x7f) % 5];
        self.sequence = self.sequence.wrapping_add_signed(i16::from(step as i8).max(-20) % 100);
        self.timestamp = self.timestamp.wrapping_add(u32::from(step >> 4) * 300);
        let mut packet = vec![0x80, payload_type | (stream & 0x80)];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(u32::to_be_bytes(ssrc));
        packet.extend_from_slice(bytes.short());
        packet
    }

    /// Only what the client's SRTP takes for a packet can be sealed.
    fn rtp(&mut self, from: usize, packet: &[u8]) {
        if let Some(sealed) = self.peers[from].try_seal_rtp(packet) {
            self.arrive(from, sealed);
        }
    }

    fn rtcp(&mut self, from: usize, compound: &[u8]) {
        if let Some(sealed) = self.peers[from].try_seal_rtcp(compound) {
            self.arrive(from, sealed);
        }
    }

    fn arrive(&mut self, from: usize, mut data: Vec<u8>) {
        self.router.handle(self.now, Input::Datagram { from: address(from), data: &mut data }, &mut self.arena);
        self.send();
    }

    fn turn(&mut self) {
        let mut calls = 0;
        self.flush();
        while self.router.next_deadline().is_some_and(|due| due <= self.now.mono) {
            self.router.handle(self.now, Input::Tick, &mut self.arena);
            self.flush();
            calls += 1;
            assert!(calls < 10_000, "a deadline that stays in the past");
        }
        self.poll();
    }

    /// A turn ends with it: some deadlines are those of what waits to be sent.
    fn flush(&mut self) {
        while self.router.flush(self.now, &mut self.arena) == Flushed::More {
            self.send();
        }
        self.send();
    }

    fn poll(&mut self) {
        while let Some(output) = self.router.poll() {
            match output {
                Output::Reply { reply, .. } => self.replies.push(reply.expect("no refusal")),
                Output::Event(Event::BroadcastStarted { .. }) => self.started = true,
                Output::Event(_) | Output::Named { .. } | Output::Across { .. } => {}
                Output::Tap(item) => {
                    if let TapFact::Unit(unit) = item.fact {
                        assert!(!unit.data.is_empty() && unit.last_seq >= unit.first_seq);
                    }
                }
            }
        }
    }

    fn send(&mut self) {
        let datagrams: Vec<_> = self.arena.datagrams().map(|(to, data)| (to, data.to_vec())).collect();
        self.arena.clear();
        for (to, data) in datagrams {
            let at = usize::from(to == address(VIEWER));
            match self.peers[at].receive(self.now.mono, &data) {
                Heard::Connected(_) => self.connected += 1,
                Heard::Undecryptable => panic!("sealed with other keys, or twice with the same number"),
                Heard::Rtp(packet) => {
                    let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
                    let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                    assert!(self.sealed.insert((ssrc, sequence)), "{sequence} of {ssrc} was sealed twice");
                }
                _ => {}
            }
        }
    }
}
