//! Much of everything: from strangers, and from peers who passed every check and mean harm. What it costs is bounded, it is counted, and it disturbs nobody.

use std::net::SocketAddr;
use std::time::Duration;

use media::limit;
use media::message::{Command, Publish, Refusal, Role};
use media::session::feedback::Compound;

use crate::peer::{BROWSER_PROFILES, Identity, Peer};
use crate::publisher::{Publisher, VIDEO_SSRC};
use crate::viewer::Viewer;
use crate::world::{GOOD, World, channel};

const SECOND: Duration = Duration::from_secs(1);

/// A streamer, somebody who watches, and somebody who will misbehave.
struct Stage {
    world: World,
    streamer: usize,
    viewer: usize,
    villain: usize,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let streamer = world.publish(Publisher::default(), GOOD).unwrap();
        world.run_until(2 * SECOND, |world| world.count("started") == 1);
        let viewer = world.watch(Viewer::new(), GOOD).unwrap();
        let villain = world.watch(Viewer::new(), GOOD).unwrap();
        world.run(2 * SECOND);
        Self { world, streamer, viewer, villain }
    }

    /// Sends as the client: its packets are sealed with its own keys.
    fn rtp(&mut self, client: usize, packet: &[u8]) {
        let mut data = self.world.clients[client].peer.seal_rtp(packet);
        let from = self.world.clients[client].address;
        self.world.datagram(from, &mut data);
    }

    fn rtcp(&mut self, client: usize, compound: &[u8]) {
        let mut data = self.world.clients[client].peer.seal_rtcp(compound);
        let from = self.world.clients[client].address;
        self.world.datagram(from, &mut data);
    }

    /// The others see every picture, before and after; nobody was closed and nothing broke.
    fn disturbed_nobody(mut self) {
        self.world.run(2 * SECOND);
        let video = &self.world.clients[self.viewer].viewer().video;
        let pictures = video.pictures();
        assert!(pictures.len() > 110 && video.holes() == 0, "{} pictures", pictures.len());
        assert!(pictures.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
        assert_eq!(self.world.dropped("fault"), 0);
        assert!(!self.world.told().iter().any(|told| told.contains("closed")), "{:?}", self.world.told());
    }
}

fn stranger(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([198, 18 + a, b, c], 40_000))
}

fn header(pt: u8, sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, pt];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 1]);
    packet.extend(ssrc.to_be_bytes());
    packet
}

#[test]
fn strangers_leave_nothing_behind_and_get_no_answer() {
    const MANY: u32 = 20_000;
    let mut stage = Stage::new(1);
    let mut unknown = Peer::new(Identity::new(&BROWSER_PROFILES));
    unknown.answered("a=ice-ufrag:nobody\r\na=ice-pwd:nobodys-password-of-22\r\n");
    let mut hello = Peer::new(Identity::new(&BROWSER_PROFILES));
    hello.start_dtls(stage.world.now.mono);
    let hello = hello.poll().expect("a ClientHello");
    let check = unknown.check(true);
    let (sessions, before) = (stage.world.stats().sessions, stage.world.dropped("unknown_address"));
    let sent = stage.world.datagrams_out;
    for number in 0..MANY {
        for datagram in [&check, &hello, &header(96, 1, 2001)] {
            stage.world.datagram(stranger(number), &mut datagram.clone());
        }
        assert!(!stage.world.routers[0].knows_path(stranger(number)));
    }
    assert_eq!(stage.world.datagrams_out, sent, "nobody is answered, so nobody can be flooded by way of us");
    assert_eq!(stage.world.dropped("unknown_address") - before, u64::from(3 * MANY));
    assert_eq!(stage.world.stats().sessions, sessions);
    stage.disturbed_nobody();
}

#[test]
fn a_known_name_without_its_password_is_nobody() {
    let mut stage = Stage::new(2);
    let whole = stage.world.clients[stage.streamer].peer.check(true);
    let (before, sent) = (stage.world.dropped("bad_stun"), stage.world.datagrams_out);
    for number in 0..5_000u32 {
        let mut forged = whole.clone();
        let last = forged.len() - 9;
        forged[last] ^= 1 + (number % 255) as u8;
        stage.world.datagram(stranger(number), &mut forged);
        assert!(!stage.world.routers[0].knows_path(stranger(number)));
    }
    assert_eq!(stage.world.dropped("bad_stun") - before, 5_000);
    assert_eq!(stage.world.datagrams_out, sent);
    stage.disturbed_nobody();
}

#[test]
fn a_peer_that_begins_its_handshake_over_and_over_is_answered_so_often_and_no_more() {
    let mut stage = Stage::new(3);
    let mut hello = Peer::new(Identity::new(&BROWSER_PROFILES));
    hello.start_dtls(stage.world.now.mono);
    let hello = hello.poll().expect("a ClientHello");
    let from = stage.world.clients[stage.villain].address;
    let (before, sent) = (stage.world.dropped("bad_dtls"), stage.world.datagrams_out);
    for _ in 0..5_000 {
        stage.world.datagram(from, &mut hello.clone());
    }
    let refused = stage.world.dropped("bad_dtls") - before;
    assert!(refused >= 5_000 - u64::from(limit::DTLS_RECORDS), "{refused}");
    let answered = stage.world.datagrams_out - sent;
    assert!(answered <= 2 * u64::from(limit::DTLS_RECORDS), "{answered} datagrams");
    stage.disturbed_nobody();
}

#[test]
fn a_viewer_that_sends_media_is_heard_by_nobody() {
    let mut stage = Stage::new(4);
    for sequence in 0..3_000 {
        stage.rtp(stage.villain, &[header(96, sequence, VIDEO_SSRC), vec![0x10; 500]].concat());
    }
    assert_eq!(stage.world.dropped("unexpected_rtp"), 3_000);
    stage.disturbed_nobody();
}

#[test]
fn thousands_of_unknown_sources_take_nothing_from_the_known_ones() {
    let mut stage = Stage::new(5);
    let before = stage.world.dropped("unknown_stream");
    for number in 0..5_000u32 {
        for (sequence, pt) in (0..).zip([96, 97, 111, 50]) {
            let packet = [header(pt, sequence, 0x7000_0000 + number), vec![0x90; 300]].concat();
            stage.rtp(stage.streamer, &packet);
        }
    }
    assert_eq!(stage.world.dropped("unknown_stream") - before, 4 * 5_000);
    let tracks = stage.world.stats().rooms[0].tracks.len();
    assert_eq!(tracks, 2, "nothing was opened for them");
    stage.disturbed_nobody();
}

#[test]
fn a_header_that_promises_more_than_there_is_is_dropped() {
    let mut stage = Stage::new(6);
    let from = stage.world.clients[stage.streamer].address;
    // A number that was not used, so that none of it is taken for a repetition.
    let unused = stage.world.clients[stage.streamer].publisher().video_sequence + 400;
    let plain = [header(96, unused, VIDEO_SSRC), vec![0xbe, 0xde, 0, 1, 0x31, 0, 1, 0], vec![0x10; 40]].concat();
    let plain = [&[0x90][..], &plain[1..]].concat();
    let mut told = 0;
    for (at, values) in [(14, 0..=255u8), (15, 2..=255), (0, 0x91..=0x9f), (0, 0xb0..=0xbf)] {
        for value in values {
            // Whatever the length says, what follows no longer has the tag of it.
            let mut data = stage.world.clients[stage.streamer].peer.seal_rtp(&plain);
            if data[at] == value {
                continue;
            }
            data[at] = value;
            stage.world.datagram(from, &mut data);
            told += 1;
        }
    }
    // And cut anywhere.
    let whole = stage.world.clients[stage.streamer].peer.seal_rtp(&plain);
    for len in 1..whole.len() {
        stage.world.datagram(from, &mut whole[..len].to_vec());
        told += 1;
    }
    let dropped = stage.world.stats().dropped;
    let of = |name: &str| dropped.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count);
    assert!(of("bad_rtp") > 200 && of("bad_tag") > 20, "{dropped:?}");
    assert_eq!(dropped.iter().map(|(_, count)| count).sum::<u64>(), told, "{dropped:?}");
    stage.disturbed_nobody();
}

#[test]
fn compounds_full_of_wishes_are_granted_as_far_as_a_viewer_may_wish() {
    let mut stage = Stage::new(7);
    let ssrc = stage.world.clients[stage.villain].viewer().video.ssrc;
    let newest = *stage.world.clients[stage.villain].viewer().video.packets.keys().next_back().unwrap() as u16;
    let everything: Vec<u16> = (0..300).map(|back| newest.wrapping_sub(back)).rev().collect();
    let asked = stage.world.clients[stage.streamer].publisher().plis.len();
    let (repaired, began) = (stage.world.stats().retransmitted, stage.world.now.mono);
    for _ in 0..100 {
        let mut wishes = Compound::new();
        wishes.receiver_report(1, &[]);
        wishes.nack(1, ssrc, &everything);
        (0..80).for_each(|_| wishes.pli(1, ssrc));
        stage.rtcp(stage.villain, wishes.as_bytes());
        // As many goodbyes, source descriptions and reports of nothing as fit.
        for kind in [202, 203, 201, 207] {
            let one = [0x80, kind, 0, 0];
            stage.rtcp(stage.villain, &one.repeat(350));
        }
        // A first packet that is well, and a length that points behind the end.
        stage.rtcp(stage.villain, &[&[0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 205, 0xff, 0xff][..], &[7; 60]].concat());
        stage.world.run(Duration::from_millis(20));
    }
    let span = (stage.world.now.mono - began).as_secs() + 2;
    let plis = stage.world.clients[stage.streamer].publisher().plis.len() - asked;
    assert!(plis as u64 <= span, "{plis} in {span} s reach the streamer");
    // The budget: what fits at first, and half of what was sent since.
    let stats = stage.world.stats();
    let (repaired, sent) = (stats.retransmitted - repaired, stats.packets_out / 2);
    assert!(repaired <= 300 + sent / 2, "{repaired} repairs");
    for name in ["bad_rtcp", "repair_not_found"] {
        assert!(stage.world.dropped(name) > 0, "{name} of {:?}", stats.dropped);
    }
    stage.disturbed_nobody();
}

#[test]
fn offers_that_are_too_much_are_refused_by_name() {
    let mut stage = Stage::new(8);
    let plain = Peer::new(Identity::new(&BROWSER_PROFILES)).offer("sendonly");
    let sections = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:x\r\n".repeat(1000);
    let long = plain.replace("sha-256 ", &format!("sha-256 {}", "AB:".repeat(10_000)));
    let hash = |n: u16| format!("{}{:02X}:{:02X}", "AB:".repeat(30), n >> 8, n & 0xff);
    let certificates: String = (0..600).map(|n| format!("a=fingerprint:sha-256 {}\r\n", hash(n))).collect();
    let many = plain.replacen("a=fingerprint:", &(certificates + "a=fingerprint:"), 1);
    let name = format!("a=ice-ufrag:{}\r\n", "u".repeat(30_000));
    let named =
        plain.lines().map(|line| if line.starts_with("a=ice-ufrag") { name.clone() } else { format!("{line}\r\n") });
    for offer in [plain.clone() + &sections, long, many, named.collect()] {
        for role in [Role::Publisher, Role::Viewer] {
            let session = media::id::SessionId::new(media::id::ShardId(0), 77);
            let command = match role {
                Role::Publisher => Command::Publish(Publish {
                    session,
                    channel: "other".parse().unwrap(),
                    broadcast: media::id::BroadcastId(9),
                    offer: offer.clone(),
                    record: false,
                    prefer_video: None,
                }),
                Role::Viewer => {
                    Command::Watch(media::message::Watch { session, channel: channel(), offer: offer.clone() })
                }
            };
            match stage.world.command(command) {
                Err(Refusal::MalformedOffer(problem)) => assert!(problem.len() < 500, "{} bytes", problem.len()),
                other => {
                    panic!("{:?} {role:?} {} of {}", other.as_ref().err(), offer.len(), &offer[offer.len() - 200..])
                }
            }
        }
    }
    assert_eq!(stage.world.stats().sessions, 3);
    stage.disturbed_nobody();
}
