//! Stories of one session and an independent peer, in virtual time: STUN, DTLS, SRTP both ways, and what goes wrong on the way.

mod goodbye;
mod restart;

use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile as Offered;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLED, AttrType};

use super::testing::peer::{BROWSER_PROFILES, Heard, Identity, Peer};
use super::testing::start;
use super::{Certificate, OpenPacket, RTP_OVERHEAD, Received, Session, SessionConfig};
use crate::arena::SendArena;
use crate::id::{SessionId, ShardId};
use crate::limit;
use crate::message::{CloseReason, Now, Role, SrtpProfile};
use crate::stats::DropReason;
use crate::token::RtpToken;

const MS: Duration = Duration::from_millis(1);

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

/// One session, one peer, a network between them that loses what `lose` says, and a log of what happened.
struct Story {
    now: Now,
    session: Session,
    peer: Peer,
    at: SocketAddr,
    arena: SendArena,
    /// Datagrams from the session to the peer.
    lose: fn(&[u8]) -> bool,
    heard: Vec<Heard>,
    told: Vec<String>,
}

impl Story {
    fn new(role: Role, profiles: &[Offered]) -> Self {
        Self::with_offer(role, profiles, |offer| offer)
    }

    fn with_offer(role: Role, profiles: &[Offered], edit: impl Fn(String) -> String) -> Self {
        let mut peer = Peer::new(Identity::new(profiles));
        let direction = if role == Role::Publisher { "sendonly" } else { "recvonly" };
        let certificate = Certificate::generate().unwrap();
        let now = start();
        let config = SessionConfig {
            id: SessionId::new(ShardId(0), 1),
            role,
            announce: &[address(8189)],
            certificate: &certificate,
            prefer_video: None,
            rng: &mut StdRng::seed_from_u64(7),
        };
        let (session, answer) = Session::accept(now, &edit(peer.offer(direction)), config).unwrap();
        peer.answered(&answer);
        assert!(answer.contains(certificate.fingerprint()));
        assert_eq!(session.local_ufrag(), peer.remote_ufrag);
        Self {
            now,
            session,
            peer,
            at: address(1),
            arena: SendArena::new(),
            lose: |_| false,
            heard: Vec::new(),
            told: Vec::new(),
        }
    }

    /// One datagram to the session; its answers reach the peer.
    fn send_from(&mut self, from: SocketAddr, mut data: Vec<u8>) -> String {
        let told = format!("{:?}", self.session.receive(self.now, from, &mut data, &mut self.arena));
        self.told.push(told.clone());
        self.deliver();
        told
    }

    fn send(&mut self, data: Vec<u8>) -> String {
        self.send_from(self.at, data)
    }

    fn deliver(&mut self) {
        let datagrams: Vec<Vec<u8>> = self.arena.datagrams().map(|(_, data)| data.to_vec()).collect();
        self.arena.clear();
        for data in datagrams.into_iter().filter(|data| !(self.lose)(data)) {
            let heard = self.peer.receive(self.now.mono, &data);
            self.heard.push(heard);
        }
    }

    fn check(&mut self, nominate: bool) -> String {
        let check = self.peer.check(nominate);
        self.send(check)
    }

    /// Sends what the peer has queued, until both are silent.
    fn exchange(&mut self) {
        while let Some(data) = self.peer.poll() {
            self.send(data);
        }
    }

    fn connect(&mut self) {
        self.check(true);
        self.peer.start_dtls(self.now.mono);
        self.exchange();
    }

    /// Time passes for both sides.
    fn wait(&mut self, by: Duration) -> Option<CloseReason> {
        self.now = self.now.after(by);
        let reason = self.session.tick(self.now, &mut self.arena);
        self.deliver();
        self.peer.tick(self.now.mono);
        self.exchange();
        reason
    }

    fn told_connected(&self) -> Option<&String> {
        self.told.iter().find(|t| t.starts_with("Connected"))
    }

    /// Seals a packet like a forwarder does, and what the peer made of it.
    fn forward(&mut self, ssrc: u32, index: u64, payload: &[u8]) -> Result<Heard, DropReason> {
        let to = self.session.address().unwrap();
        let len = 12 + payload.len();
        let slot = self.arena.open(to, len + RTP_OVERHEAD).unwrap();
        slot[..12].copy_from_slice(&rtp(0, 0, &[])[..12]);
        slot[12..len].copy_from_slice(payload);
        let sealed = self.session.seal_rtp(RtpToken::new(ssrc, index), OpenPacket { slot, header_len: 12, len })?;
        self.arena.commit(sealed);
        self.deliver();
        Ok(self.heard.pop().unwrap())
    }
}

fn rtp(seq: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// A PLI about SSRC 2001.
const PLI: [u8; 12] = [0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0x07, 0xd1];

fn is_dtls(data: &[u8]) -> bool {
    matches!(data.first(), Some(20..=63))
}

#[test]
fn a_publisher_connects_and_its_packets_are_read() {
    let mut story = Story::new(Role::Publisher, &BROWSER_PROFILES);
    assert_eq!(story.session.next_deadline(), Some(story.now.mono + limit::HANDSHAKE));
    story.connect();
    assert_eq!(story.told_connected().unwrap(), "Connected { profile: AeadAes128Gcm }");
    assert!(story.session.is_connected() && story.heard.contains(&Heard::Connected(Offered::Srtp_Aead_Aes_128_Gcm)));
    assert_eq!(story.session.address(), Some(story.at));

    let clear = rtp(65_535, 2001, b"picture");
    let mut sealed = story.peer.seal_rtp(&clear);
    assert_eq!(story.session.receive(story.now, story.at, &mut sealed, &mut story.arena), Received::Rtp(&clear));
    let clear = rtp(0, 2001, b"after the wrap");
    let mut sealed = story.peer.seal_rtp(&clear);
    let mut again = sealed.clone();
    assert_eq!(story.session.receive(story.now, story.at, &mut sealed, &mut story.arena), Received::Rtp(&clear));
    assert_eq!(
        story.session.receive(story.now, story.at, &mut again, &mut story.arena),
        Received::Dropped(DropReason::Replayed)
    );

    let mut report = story.peer.seal_rtcp(&PLI);
    let mut again = report.clone();
    assert_eq!(story.session.receive(story.now, story.at, &mut report, &mut story.arena), Received::Rtcp(&PLI));
    assert_eq!(
        story.session.receive(story.now, story.at, &mut again, &mut story.arena),
        Received::Dropped(DropReason::Replayed)
    );

    story.session.seal_rtcp(&PLI, &mut story.arena).unwrap();
    story.deliver();
    assert_eq!(story.heard.pop(), Some(Heard::Rtcp(PLI.to_vec())));
}

#[test]
fn a_viewer_gets_packets_and_no_number_twice() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    for index in [7, 8, 6, 32_000, 60_000, 65_535, 65_536, 65_534, 65_537, 90_000] {
        let expected = Heard::Rtp(rtp(index as u16, 5, b"picture"));
        assert_eq!(story.forward(5, index, b"picture"), Ok(expected), "{index}");
    }
    assert_eq!(story.forward(5, 65_536, b"other"), Err(DropReason::SealFailed), "a nonce twice");
    assert!(story.forward(6, 65_536, b"other").is_ok(), "another SSRC is another nonce");
    let from_viewer = story.peer.seal_rtp(&rtp(1, 9, b"x"));
    assert_eq!(story.send(from_viewer), "Dropped(UnexpectedRtp)");
}

#[test]
fn a_client_without_gcm_gets_aes_cm_and_sees_no_alert() {
    for role in [Role::Publisher, Role::Viewer] {
        let mut story = Story::new(role, &[Offered::Srtp_Aes128_Cm_Hmac_Sha1_80]);
        story.lose = |data| {
            assert_ne!(data.first(), Some(&21), "an alert went out");
            false
        };
        story.connect();
        assert_eq!(story.told_connected().unwrap(), "Connected { profile: Aes128CmSha1_80 }");
        story.session.seal_rtcp(&PLI, &mut story.arena).unwrap();
        story.deliver();
        assert_eq!(story.heard.pop(), Some(Heard::Rtcp(PLI.to_vec())));
        let report = story.peer.seal_rtcp(&PLI);
        assert!(story.send(report).starts_with("Rtcp"));
        if role == Role::Viewer {
            assert_eq!(
                story.forward(5, 65_540, b"picture"),
                Ok(Heard::Undecryptable),
                "the peer's context starts at rollover 0"
            );
            assert_eq!(story.forward(6, 9, b"picture"), Ok(Heard::Rtp(rtp(9, 6, b"picture"))));
        } else {
            let packet = rtp(3, 2001, b"picture");
            let sealed = story.peer.seal_rtp(&packet);
            assert_eq!(story.send(sealed.clone()), format!("{:?}", Received::Rtp(&packet)));
            assert_eq!(story.send(sealed), "Dropped(Replayed)");
        }
    }
}

#[test]
fn the_certificate_must_be_the_one_of_the_sdp() {
    let mut story = Story::with_offer(Role::Publisher, &BROWSER_PROFILES, |offer| {
        let lines = offer.split("\r\n").map(|line| match line.strip_prefix("a=fingerprint:sha-256 ") {
            Some(hex) => format!("a=fingerprint:sha-256 {}", hex.chars().rev().collect::<String>()),
            None => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\r\n")
    });
    story.connect();
    assert!(story.told.contains(&"Closed(FingerprintMismatch)".to_owned()), "{:?}", story.told);
    assert!(story.heard.contains(&Heard::Closed), "the peer learns it");
    assert!(!story.session.is_connected());
    assert_eq!(story.session.next_deadline(), None);
}

#[test]
fn only_authenticated_checks_count() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    let good = story.peer.remote_password.clone();
    story.peer.remote_password = "wrong".into();
    assert_eq!(story.check(true), "Dropped(BadStun)");
    story.peer.remote_password = good;
    let user = std::mem::replace(&mut story.peer.remote_ufrag, "somebody".into());
    assert_eq!(story.check(true), "Dropped(BadStun)");
    story.peer.remote_ufrag = user;
    let mut garbled = story.peer.check(true);
    garbled[30] ^= 1;
    assert_eq!(story.send(garbled), "Dropped(BadStun)");
    assert!(story.heard.is_empty() && story.session.address().is_none());

    assert_eq!(story.check(false), format!("Validated {{ address: {}, forgotten: None }}", story.at));
    assert_eq!((story.heard.pop(), story.session.address()), (Some(Heard::StunSuccess), None));
    assert!(story.check(true).starts_with("Validated"));
    assert_eq!(story.session.address(), Some(story.at));
}

#[test]
fn a_role_conflict_and_an_unknown_attribute_are_answered_and_validate_nothing() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    let conflict = story.peer.check_with(&[(ATTR_ICE_CONTROLLED, vec![0; 8])]);
    assert_eq!(story.send(conflict), "Handled");
    assert_eq!(story.heard.pop(), Some(Heard::StunError(487)));
    let unknown = story.peer.check_with(&[(AttrType(0x7123), vec![1, 2, 3, 4])]);
    assert_eq!(story.send(unknown), "Handled");
    assert_eq!(story.heard.pop(), Some(Heard::StunError(420)));
    assert_eq!(story.session.addresses().count(), 0);
}

#[test]
fn what_follows_the_integrity_attribute_is_ignored() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    let mut check = rtc_stun::message::Message::new();
    check.unmarshal_binary(&story.peer.check(false)).unwrap();
    check.raw.truncate(check.raw.len() - 8);
    check.length -= 8;
    check.attributes.0.pop();
    check.write_length();
    check.add(rtc_stun::attributes::ATTR_USE_CANDIDATE, &[]);
    rtc_stun::message::Setter::add_to(&rtc_stun::fingerprint::FINGERPRINT, &mut check).unwrap();
    assert!(story.send(check.raw).starts_with("Validated"));
    assert_eq!(story.session.address(), None, "somebody on the way added USE-CANDIDATE");
}

#[test]
fn media_follows_the_latest_nomination() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.connect();
    let check = story.peer.check(false);
    story.send_from(address(2), check);
    assert_eq!(story.session.address(), Some(address(1)));
    let check = story.peer.check(true);
    story.send_from(address(2), check);
    assert_eq!(story.session.address(), Some(address(2)));
    for port in 3..3 + limit::VALIDATED_ADDRESSES as u16 {
        story.now = story.now.after(MS);
        let check = story.peer.check(false);
        story.send_from(address(port), check);
    }
    assert!(story.told.last().unwrap().ends_with("forgotten: Some(192.0.2.1:3) }"), "{:?}", story.told.last());
    assert_eq!(story.session.addresses().count(), limit::VALIDATED_ADDRESSES);
    assert_eq!(story.session.address(), Some(address(2)), "the selected one is never forgotten");
}

#[test]
fn before_a_nomination_media_goes_where_the_handshake_ended() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.check(false);
    let check = story.peer.check(false);
    story.send_from(address(2), check);
    story.peer.start_dtls(story.now.mono);
    assert_eq!(story.session.address(), None);
    story.exchange();
    assert!(story.told_connected().is_some());
    assert_eq!(story.session.address(), Some(address(1)));
    assert!(matches!(story.forward(7, 1, b"picture"), Ok(Heard::Rtp(_))));
    let check = story.peer.check(true);
    story.send_from(address(2), check);
    assert_eq!(story.session.address(), Some(address(2)));
}

#[test]
fn dtls_and_srtp_are_taken_from_checked_addresses_only() {
    let mut story = Story::new(Role::Publisher, &BROWSER_PROFILES);
    story.peer.start_dtls(story.now.mono);
    let hello = story.peer.poll().unwrap();
    assert_eq!(story.send(hello.clone()), "Dropped(UnvalidatedAddress)");
    assert!(story.heard.is_empty());
    story.check(true);
    assert_eq!(story.send(rtp(1, 2001, &[0; 40])), "Dropped(NoKeys)");
    assert_eq!(story.send(hello), "Handled");
    story.exchange();
    assert!(story.session.is_connected());
    let sealed = story.peer.seal_rtp(&rtp(1, 2001, b"picture"));
    assert_eq!(story.send_from(address(66), sealed.clone()), "Dropped(UnvalidatedAddress)");
    let mut forged = sealed.clone();
    forged[14] ^= 1;
    assert_eq!(story.send(forged), "Dropped(BadTag)");
    assert!(story.send(sealed).starts_with("Rtp"), "a forgery takes no number away");
}

#[test]
fn lost_flights_are_repeated() {
    for lost in 0..4 {
        let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
        story.check(true);
        story.peer.start_dtls(story.now.mono);
        // The session's answers are lost for a while, at each stage of the handshake.
        for _ in 0..lost {
            if let Some(data) = story.peer.poll() {
                story.send(data);
            }
        }
        story.lose = is_dtls;
        story.exchange();
        for _ in 0..8 {
            assert_eq!(story.wait(200 * MS), None);
        }
        story.lose = |_| false;
        for _ in 0..40 {
            assert_eq!(story.wait(100 * MS), None);
        }
        assert!(story.session.is_connected() && story.peer.is_connected(), "{lost}");
        assert_eq!(story.forward(5, 1, b"picture"), Ok(Heard::Rtp(rtp(1, 5, b"picture"))));
    }
}

/// Splits each handshake message of the client's first flights into two datagrams, as a post-quantum ClientHello is (RFC 6347 §4.2.3), with record numbers of
/// its own.
struct Splitter {
    records: u64,
}

impl Splitter {
    fn split(&mut self, datagram: &[u8]) -> [Vec<u8>; 2] {
        assert_eq!((datagram[0], &datagram[3..5]), (22, &[0, 0][..]), "one handshake record in clear");
        let (header, body) = datagram[13..].split_at(12);
        assert_eq!(&header[1..4], &header[9..12], "a whole message");
        let middle = body.len() * 2 / 3;
        [(0, &body[..middle]), (middle, &body[middle..])].map(|(offset, part)| {
            let mut message = header.to_vec();
            message[6..9].copy_from_slice(&(offset as u32).to_be_bytes()[1..]);
            message[9..12].copy_from_slice(&(part.len() as u32).to_be_bytes()[1..]);
            message.extend_from_slice(part);
            self.record(&datagram[..3], &message)
        })
    }

    fn record(&mut self, type_and_version: &[u8], message: &[u8]) -> Vec<u8> {
        let mut record = type_and_version.to_vec();
        record.extend_from_slice(&self.records.to_be_bytes()); // epoch 0 in the upper 16 bits
        self.records += 1;
        record.extend_from_slice(&(message.len() as u16).to_be_bytes());
        record.extend_from_slice(message);
        record
    }

    /// Later flights go as they are, but for the numbers of their records in clear.
    fn renumber(&mut self, mut datagram: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(header) = datagram.get(..13) {
            let end = 13 + usize::from(u16::from_be_bytes([header[11], header[12]]));
            if header[3..5] == [0, 0] {
                out.extend(self.record(&header[..3], &datagram[13..end]));
            } else {
                out.extend_from_slice(&datagram[..end]);
            }
            datagram = &datagram[end..];
        }
        out
    }
}

/// What the network does to the two halves of each ClientHello.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Halves {
    InOrder,
    Reordered,
    SecondLost,
    FirstLost,
    Doubled,
}

fn connect_in_halves(story: &mut Story, halves: Halves) {
    let mut splitter = Splitter { records: 0 };
    let mut lost = 0;
    story.check(true);
    story.peer.start_dtls(story.now.mono);
    for _ in 0..100 {
        while let Some(datagram) = story.peer.poll() {
            if datagram[0] != 22 || datagram[13] != 1 {
                let datagram = splitter.renumber(&datagram);
                story.send(datagram);
                continue;
            }
            let [first, second] = splitter.split(&datagram);
            // Each hello loses its half once; the client repeats the flight.
            let lose = lost < 2;
            match halves {
                Halves::SecondLost if lose => story.send(first),
                Halves::FirstLost if lose => story.send(second),
                Halves::Reordered => [story.send(second), story.send(first)].concat(),
                Halves::Doubled => {
                    [story.send(first.clone()), story.send(first), story.send(second.clone()), story.send(second)]
                        .concat()
                }
                _ => [story.send(first), story.send(second)].concat(),
            };
            lost += 1;
        }
        story.now = story.now.after(100 * MS);
        assert_eq!(story.session.tick(story.now, &mut story.arena), None);
        story.deliver();
        story.peer.tick(story.now.mono);
    }
}

#[test]
fn a_hello_in_two_datagrams_survives_loss_and_reordering() {
    for profiles in [&BROWSER_PROFILES[..], &BROWSER_PROFILES[..1]] {
        for halves in [Halves::InOrder, Halves::Reordered, Halves::SecondLost, Halves::FirstLost, Halves::Doubled] {
            let mut story = Story::new(Role::Viewer, profiles);
            connect_in_halves(&mut story, halves);
            assert!(
                story.session.is_connected() && story.peer.is_connected(),
                "{halves:?} with {profiles:?}: {:?}",
                story.told
            );
            assert_eq!(story.forward(5, 1, b"picture"), Ok(Heard::Rtp(rtp(1, 5, b"picture"))));
        }
    }
}

#[test]
fn a_handshake_that_never_ends_is_not_fed_for_ever() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.check(true);
    let mut splitter = Splitter { records: 0 };
    // One byte each of a message of 64 KB: the endpoint would keep and recurse over all of them.
    let mut told = Vec::new();
    for offset in 0..u32::from(limit::DTLS_RECORDS) + 9 {
        let mut message = vec![1, 1, 0, 0, 0, 0];
        message.extend_from_slice(&offset.to_be_bytes()[1..]);
        message.extend_from_slice(&[0, 0, 1, 0xaa]);
        let record = splitter.record(&[22, 254, 253], &message);
        told.push(story.send(record));
    }
    let refused = told.iter().filter(|t| *t == "Dropped(BadDtls)").count();
    assert_eq!((refused, told.iter().filter(|t| *t == "Handled").count()), (9, limit::DTLS_RECORDS.into()));
    assert_eq!(story.wait(limit::HANDSHAKE), Some(CloseReason::HandshakeTimeout));
}

#[test]
fn a_handshake_that_does_not_come_is_closed() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.check(true);
    assert_eq!(story.wait(limit::HANDSHAKE - MS), None);
    assert_eq!(story.wait(MS), Some(CloseReason::HandshakeTimeout));
    assert_eq!(story.session.next_deadline(), None);
    assert_eq!(story.check(true), "Dropped(NotConnected)");
}

#[test]
fn consent_is_lost_without_checks_whatever_else_comes() {
    let mut story = Story::new(Role::Publisher, &BROWSER_PROFILES);
    story.connect();
    assert_eq!(story.wait(limit::CONSENT - MS), None);
    story.check(false);
    let last_check = story.now.mono;
    assert_eq!(story.session.next_deadline(), Some(last_check + limit::CONSENT));
    assert_eq!(story.wait(limit::CONSENT - MS), None);
    let packet = story.peer.seal_rtp(&rtp(1, 2001, b"picture"));
    assert!(story.send(packet).starts_with("Rtp"));
    assert_eq!(story.session.last_heard(), story.now.mono);
    assert_eq!(story.wait(MS), Some(CloseReason::ConsentLost));
}

#[test]
fn a_client_without_srtp_is_refused() {
    let mut story = Story::new(Role::Viewer, &[]);
    story.connect();
    assert!(story.told.contains(&"Closed(HandshakeFailed)".to_owned()), "{:?}", story.told);
}

#[test]
fn profiles_are_named() {
    let mut story = Story::new(Role::Viewer, &BROWSER_PROFILES);
    story.check(true);
    story.peer.start_dtls(story.now.mono);
    let mut profile = None;
    while let Some(mut data) = story.peer.poll() {
        if let Received::Connected { profile: named } =
            story.session.receive(story.now, story.at, &mut data, &mut story.arena)
        {
            profile = Some(named);
        }
        story.deliver();
    }
    assert_eq!(profile, Some(SrtpProfile::AeadAes128Gcm));
}
