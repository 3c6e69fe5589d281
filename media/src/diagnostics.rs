//! What can be told of one session: how far it came and when, what was dropped and why, and its flight record: the last packet headers with
//! what was decided about them. Bounded, and kept for a while after the session's end. Rendering it does not belong here.

mod trace;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::id::{ChannelName, SessionId};
use crate::limit;
use crate::message::{CloseReason, Now, Quality, Role, SrtpProfile};
use crate::rtp::packet::Header;
use crate::stats::{Counters, DropReason};

pub use trace::{Carries, Standing, Stream};
use trace::{Detail, Trace};

/// How far a session came, each since it was opened; `None`: not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Milestones {
    /// An authenticated check nominated an address.
    pub path: Option<Duration>,
    /// The DTLS handshake was complete.
    pub connected: Option<Duration>,
    /// First RTP packet from a streamer or to a viewer.
    pub first_packet: Option<Duration>,
    /// First packet of the first keyframe from a streamer or to a viewer.
    pub first_keyframe: Option<Duration>,
}

/// One line of a flight record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Since the session was opened.
    pub at: Duration,
    /// Counts what the session's shard worked on, modulo 2^32: it orders the notes of several sessions of one shard.
    pub work: u32,
    pub what: What,
}

/// What happened, or was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Connected,
    /// A streamer's packet and what became of it.
    Packet {
        head: Head,
        dropped: Option<DropReason>,
    },
    /// Lost packets that the streamer was asked for.
    AskedForPackets(u32),
    /// Keyframes that the streamer was asked for.
    AskedForKeyframes(u32),
    /// Packets that the viewer asked for.
    WantedPackets(u32),
    /// Of these, repairs that were sent.
    Repaired(u32),
    /// Keyframes that the viewer asked for.
    WantedKeyframes(u32),
    /// Of a traced viewer, when the trace begins: the numbers that its feedback uses.
    Stream(Stream),
    /// Of a traced viewer: a compound of RTCP as it came, decrypted (RFC 3550 §6.1).
    Feedback(Box<[u8]>),
    /// Of a traced viewer: its checks moved what it is sent to this address.
    Moved(SocketAddr),
    /// Of a traced viewer: which picture it asked for.
    Preferred(Quality),
    /// Of a traced viewer: what it is given of a stream, after a change.
    Stands(Standing),
    /// Of a traced viewer: what its network is thought to carry, after a change.
    Carries(Carries),
    Closed(CloseReason),
}

/// Ids of the header extensions that name a simulcast layer (RFC 8852 §3), where they were negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameIds {
    pub rid: Option<u8>,
    pub repaired_rid: Option<u8>,
}

/// The layer that a packet names in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerName {
    /// The packet is a repair of that layer.
    pub repair: bool,
    text: [u8; LayerName::BYTES],
    len: u8,
}

impl LayerName {
    /// A longer name is not kept. Browsers' names have one to eight.
    pub const BYTES: usize = 16;

    fn of(header: &Header, packet: &[u8], ids: NameIds) -> Option<Self> {
        let named = |id: Option<u8>| header.extension(packet, id?);
        let (repair, name) = match (named(ids.repaired_rid), named(ids.rid)) {
            (Some(name), _) => (true, name),
            (None, name) => (false, name?),
        };
        let mut text = [0; Self::BYTES];
        text.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { repair, text, len: name.len() as u8 })
    }

    pub fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

/// The parts of an RTP packet that decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub ssrc: u32,
    pub timestamp: u32,
    pub sequence: u16,
    pub payload_type: u8,
    pub marker: bool,
    /// Browsers name a layer until the first report about it came.
    pub name: Option<LayerName>,
    /// Bytes of payload.
    pub payload: u16,
    /// Its first bytes, which hold a payload descriptor and the begin of a frame's header; zero where it is shorter.
    pub begin: [u8; Head::BEGIN],
}

impl Head {
    /// Bytes of [`Head::begin`]: the parameter sets of an H.264 stream in one packet fit.
    pub const BEGIN: usize = 40;

    /// `None` for what is no RTP packet.
    pub fn of(packet: &[u8], ids: NameIds) -> Option<Self> {
        let header = Header::parse(packet)?;
        let payload = header.payload(packet);
        let mut begin = [0; Self::BEGIN];
        let len = payload.len().min(Self::BEGIN);
        begin[..len].copy_from_slice(&payload[..len]);
        Some(Self {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            sequence: header.sequence,
            payload_type: header.payload_type,
            marker: header.marker,
            name: LayerName::of(&header, packet, ids),
            payload: payload.len() as u16,
            begin,
        })
    }

    /// A packet about which the same would be decided: of the extensions the name of its layer alone, and the payload with zeros behind its
    /// first bytes.
    pub fn packet(&self, ids: NameIds) -> Vec<u8> {
        let named = self.name.and_then(|name| Some((if name.repair { ids.repaired_rid } else { ids.rid }?, name)));
        let mut packet =
            vec![if named.is_some() { 0x90 } else { 0x80 }, self.payload_type | (u8::from(self.marker) << 7)];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        if let Some((id, name)) = named {
            // Two-byte elements, which take any id (RFC 8285 §4.3).
            let words = (2 + name.text().len()).div_ceil(4);
            packet.extend([0x10, 0, 0, words as u8, id, name.len]);
            packet.extend(name.text());
            packet.resize(crate::rtp::packet::FIXED_LEN + 4 + 4 * words, 0);
        }
        let (head, payload) = (packet.len(), usize::from(self.payload));
        packet.extend(&self.begin[..payload.min(Self::BEGIN)]);
        packet.resize(head + payload, 0);
        packet
    }
}

/// What comes from a streamer on one of its sources: a track, or one simulcast layer of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDiagnosis {
    /// `a=mid` of its section.
    pub mid: Box<str>,
    /// Name of the layer; `None` without simulcast.
    pub rid: Option<Box<str>>,
    /// `None` before the first packet, unless the offer told.
    pub ssrc: Option<u32>,
    /// Pixels; 0 for sound, and while unknown.
    pub height: u16,
    pub packets: u64,
    /// Bits per second of payload over the last second.
    pub bitrate: u64,
    /// Packets that never came by themselves.
    pub lost: u64,
    /// Of these, those that came as repairs (RFC 4588).
    pub recovered: u64,
}

/// Everything that is told.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    pub session: SessionId,
    pub channel: ChannelName,
    pub role: Role,
    /// Microseconds since the Unix epoch.
    pub opened_utc_us: u64,
    pub milestones: Milestones,
    pub srtp_profile: Option<SrtpProfile>,
    /// Where its media comes from or goes to.
    pub address: Option<SocketAddr>,
    /// All that passed a check and were not forgotten.
    pub addresses: Vec<SocketAddr>,
    /// What the viewer's network carries, in bits per second; `None` for streamers and while no limit was met.
    pub estimate: Option<u64>,
    /// Of a streamer, in the order of its answer.
    pub sources: Vec<SourceDiagnosis>,
    /// RTP packets, and for viewers their repairs.
    pub packets_in: u64,
    pub packets_out: u64,
    pub drops: Vec<(&'static str, u64)>,
    pub flight: Vec<Note>,
    /// Notes that the flight record had no room for any more; the oldest go first.
    pub notes_lost: u64,
    /// When, and why it ended.
    pub closed: Option<(Duration, CloseReason)>,
}

/// What a session's own work changed in the counters of the shard.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    packets_in: u64,
    packets_out: u64,
    nacks_in: u64,
    nacks_out: u64,
    retransmitted: u64,
    plis_in: u64,
    plis_out: u64,
}

impl Figures {
    pub fn of(counters: &Counters) -> Self {
        Self {
            packets_in: counters.packets_in,
            packets_out: counters.packets_out,
            nacks_in: counters.nacks_in,
            nacks_out: counters.nacks_out,
            retransmitted: counters.retransmitted,
            plis_in: counters.plis_in,
            plis_out: counters.plis_out,
        }
    }
}

/// A note as it is kept: without a packet's head, which is larger than all else and which viewers have none of.
#[derive(Clone, Copy)]
enum Brief {
    Connected,
    Packet,
    Counted(fn(u32) -> What, u32),
    /// The oldest detail of the trace that no older note stands for.
    Traced,
    Closed(CloseReason),
}

/// When, and what.
struct Entry {
    /// Nanoseconds since the session was opened.
    at: u64,
    work: u32,
    brief: Brief,
}

/// The growing part of a [`Diagnosis`], kept beside its session.
pub struct Diary {
    opened: Instant,
    opened_utc_us: u64,
    notes: VecDeque<Entry>,
    /// See [`Note::work`].
    pub work: u32,
    /// Of each [`Brief::Packet`], in order.
    packets: VecDeque<(Head, Option<DropReason>)>,
    trace: Option<Box<Trace>>,
    room: usize,
    lost: u64,
    pub milestones: Milestones,
    pub srtp_profile: Option<SrtpProfile>,
    packets_in: u64,
    packets_out: u64,
    drops: Vec<(DropReason, u64)>,
    closed: Option<(Duration, CloseReason)>,
}

impl Diary {
    pub fn new(now: Now, role: Role) -> Self {
        Self {
            opened: now.mono,
            opened_utc_us: now.utc_us,
            notes: VecDeque::new(),
            work: 0,
            packets: VecDeque::new(),
            trace: None,
            room: match role {
                Role::Publisher => limit::STREAMER_NOTES,
                Role::Viewer => limit::VIEWER_NOTES,
            },
            lost: 0,
            milestones: Milestones::default(),
            srtp_profile: None,
            packets_in: 0,
            packets_out: 0,
            drops: Vec::new(),
            closed: None,
        }
    }

    /// Time since the session was opened.
    pub fn age(&self, now: Now) -> Duration {
        now.mono.saturating_duration_since(self.opened)
    }

    /// A streamer's packet and what became of it.
    pub fn packet(&mut self, now: Now, head: Head, dropped: Option<DropReason>) {
        self.note(now, Brief::Packet);
        self.packets.push_back((head, dropped));
    }

    fn note(&mut self, now: Now, brief: Brief) {
        if self.notes.len() >= self.room {
            self.forget_oldest();
        }
        self.notes.push_back(Entry { at: self.age(now).as_nanos() as u64, work: self.work, brief });
    }

    fn forget_oldest(&mut self) {
        let Some(entry) = self.notes.pop_front() else { return };
        match entry.brief {
            Brief::Packet => drop(self.packets.pop_front()),
            Brief::Traced => self.trace.iter_mut().for_each(|trace| trace.forget_oldest()),
            Brief::Connected | Brief::Counted(..) | Brief::Closed(_) => {}
        }
        self.lost += 1;
    }

    /// From now on what comes from the viewer and what is decided about it is kept.
    pub fn begin_trace(&mut self) {
        if self.trace.is_none() {
            self.trace = Some(Box::default());
            self.room = limit::TRACE_NOTES;
            self.notes.reserve_exact(self.room - self.notes.len());
        }
    }

    /// Forgets what was kept since [`Diary::begin_trace`].
    pub fn end_trace(&mut self) {
        if self.trace.take().is_none() {
            return;
        }
        let before = self.notes.len();
        self.notes.retain(|entry| !matches!(entry.brief, Brief::Traced));
        self.room = limit::VIEWER_NOTES;
        self.notes.drain(..self.notes.len().saturating_sub(self.room));
        self.notes.shrink_to_fit();
        self.lost += (before - self.notes.len()) as u64;
    }

    pub fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// A traced viewer's RTCP.
    pub fn feedback(&mut self, now: Now, compound: &[u8]) {
        while self.trace.as_ref().is_some_and(|trace| !trace.has_room(compound.len())) {
            self.forget_oldest();
        }
        if self.trace.is_some() {
            self.note(now, Brief::Traced);
            self.trace.iter_mut().for_each(|trace| trace.feedback(compound));
        }
    }

    /// Where a traced viewer is sent its media; noted if it changed.
    pub fn moved(&mut self, now: Now, to: SocketAddr) {
        if self.trace.as_mut().is_some_and(|trace| trace.moves(to)) {
            self.detail(now, Detail::Moved(to));
        }
    }

    /// Numbers of one stream of a traced viewer.
    pub fn stream(&mut self, now: Now, stream: Stream) {
        self.detail(now, Detail::Stream(stream));
    }

    /// What a traced viewer wants to see.
    pub fn preferred(&mut self, now: Now, quality: Quality) {
        self.detail(now, Detail::Preferred(quality));
    }

    /// What a traced viewer is given of a stream; noted if it changed.
    pub fn stands(&mut self, now: Now, standing: Standing) {
        if self.trace.as_mut().is_some_and(|trace| trace.stands_anew(standing)) {
            self.detail(now, Detail::Stands(standing));
        }
    }

    /// What a traced viewer's network is thought to carry; noted if it changed.
    pub fn carries(&mut self, now: Now, carries: Carries) {
        if self.trace.as_mut().is_some_and(|trace| trace.carries_anew(carries)) {
            self.detail(now, Detail::Carries(carries));
        }
    }

    fn detail(&mut self, now: Now, detail: Detail) {
        if self.trace.is_none() {
            return;
        }
        // First the note, which may cost the oldest detail.
        self.note(now, Brief::Traced);
        self.trace.iter_mut().for_each(|trace| trace.add(detail));
    }

    pub fn connected(&mut self, now: Now, profile: SrtpProfile) {
        self.milestones.connected.get_or_insert(now.mono.saturating_duration_since(self.opened));
        self.srtp_profile = Some(profile);
        self.note(now, Brief::Connected);
    }

    pub fn closed(&mut self, now: Now, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some((self.age(now), reason));
            self.note(now, Brief::Closed(reason));
        }
    }

    /// Adds up what the session's work changed.
    pub fn account(&mut self, now: Now, before: Figures, after: Figures) {
        self.packets_in += after.packets_in - before.packets_in;
        self.packets_out += after.packets_out - before.packets_out;
        for (count, what) in [
            (after.nacks_out - before.nacks_out, What::AskedForPackets as fn(u32) -> What),
            (after.plis_out - before.plis_out, What::AskedForKeyframes),
            (after.nacks_in - before.nacks_in, What::WantedPackets),
            (after.retransmitted - before.retransmitted, What::Repaired),
            (after.plis_in - before.plis_in, What::WantedKeyframes),
        ] {
            if count > 0 {
                self.note(now, Brief::Counted(what, count as u32));
            }
        }
    }

    pub fn dropped(&mut self, reason: DropReason, count: u64) {
        match self.drops.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, counted)) => *counted += count,
            None => self.drops.push((reason, count)),
        }
    }

    pub fn has_packets(&self) -> bool {
        self.packets_in + self.packets_out > 0
    }

    fn flight(&self) -> Vec<Note> {
        let mut packets = self.packets.iter().copied();
        let mut details = self.trace.iter().flat_map(|trace| trace.read());
        let told = |entry: &Entry| {
            let what = match entry.brief {
                Brief::Connected => What::Connected,
                Brief::Packet => packets.next().map(|(head, dropped)| What::Packet { head, dropped })?,
                Brief::Counted(what, count) => what(count),
                Brief::Traced => details.next()?,
                Brief::Closed(reason) => What::Closed(reason),
            };
            Some(Note { at: Duration::from_nanos(entry.at), work: entry.work, what })
        };
        self.notes.iter().filter_map(told).collect()
    }

    /// The diary as a diagnosis; what lies beside it is the caller's to add.
    pub fn read(&self, session: SessionId, channel: ChannelName, role: Role) -> Diagnosis {
        Diagnosis {
            session,
            channel,
            role,
            opened_utc_us: self.opened_utc_us,
            milestones: self.milestones,
            srtp_profile: self.srtp_profile,
            address: None,
            addresses: Vec::new(),
            estimate: None,
            sources: Vec::new(),
            packets_in: self.packets_in,
            packets_out: self.packets_out,
            drops: self.drops.iter().map(|(reason, count)| (reason.name(), *count)).collect(),
            flight: self.flight(),
            notes_lost: self.lost,
            closed: self.closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn the_oldest_notes_go_first_and_are_counted() {
        let now = Now { mono: Instant::now(), utc_us: 1 };
        let mut diary = Diary::new(now, Role::Viewer);
        for n in 0..limit::VIEWER_NOTES as u32 + 3 {
            diary.note(now.after(Duration::from_millis(u64::from(n))), Brief::Counted(What::WantedPackets, n));
        }
        let told = diary.read(SessionId::new(crate::id::ShardId(0), 1), "main".parse().unwrap(), Role::Viewer);
        assert_eq!((told.flight.len(), told.notes_lost), (limit::VIEWER_NOTES, 3));
        assert_eq!(told.flight[0], Note { at: Duration::from_millis(3), work: 0, what: What::WantedPackets(3) });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn packets_and_other_notes_keep_their_order() {
        let now = Now { mono: Instant::now(), utc_us: 1 };
        let mut diary = Diary::new(now, Role::Publisher);
        let head = |sequence: u16| {
            let packet = [0x80, 96, (sequence >> 8) as u8, sequence as u8, 0, 0, 0, 0, 0, 0, 0, 1, 5];
            Head::of(&packet, NameIds::default()).unwrap()
        };
        let notes = limit::STREAMER_NOTES as u16 + 100;
        for n in 0..notes {
            match n % 3 {
                0 => diary.note(now, Brief::Counted(What::AskedForPackets, n.into())),
                _ => diary.packet(now, head(n), (n % 3 == 2).then_some(DropReason::TooOld)),
            }
        }
        let expected = |n: u16| match n % 3 {
            0 => What::AskedForPackets(n.into()),
            rest => What::Packet { head: head(n), dropped: (rest == 2).then_some(DropReason::TooOld) },
        };
        let flight = diary.flight();
        assert_eq!(flight.len(), limit::STREAMER_NOTES);
        assert!(flight.iter().zip(100..notes).all(|(note, n)| note.what == expected(n)));
        assert_eq!(diary.packets.len(), flight.iter().filter(|note| matches!(note.what, What::Packet { .. })).count());
    }

    #[test]
    fn a_head_makes_a_packet_of_the_same_head() {
        let ids = NameIds { rid: Some(5), repaired_rid: Some(200) };
        for payload in [0, 5, Head::BEGIN, 1000] {
            let mut packet = vec![0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
            packet.extend((0..payload).map(|n| n as u8));
            let head = Head::of(&packet, ids).unwrap();
            assert_eq!((Head::of(&head.packet(ids), ids), usize::from(head.payload)), (Some(head), payload));
            assert_eq!(head.packet(ids).len(), packet.len());
        }
        assert_eq!(Head::of(&[1, 2, 3], ids), None);
    }

    #[test]
    fn the_name_of_a_layer_is_kept() {
        let plain = [0x80, 96, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        let (media, repair) =
            (NameIds { rid: Some(5), ..NameIds::default() }, NameIds { rid: Some(5), repaired_rid: Some(6) });
        for (element, ids, expected) in [
            (&[0x50, b'q', 0, 0][..], media, Some((false, &b"q"[..]))),
            (&[0x52, b'm', b'i', b'd'], repair, Some((false, b"mid"))),
            (&[0x63, b'h', b'i', b'g', b'h', 0, 0, 0], repair, Some((true, b"high"))),
            (&[0x60, b'q', 0, 0], media, None),
            (&[0x70, b'q', 0, 0], repair, None),
        ] {
            let head = [&[0x90][..], &plain[1..], &[0xbe, 0xde, 0, element.len() as u8 / 4]].concat();
            let packet = [&head[..], element, &[9; 20]].concat();
            let head = Head::of(&packet, ids).unwrap();
            assert_eq!(head.name.as_ref().map(|name| (name.repair, name.text())), expected);
            assert_eq!(Head::of(&head.packet(ids), ids), Some(head));
        }
    }
}
