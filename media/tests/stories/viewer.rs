//! A viewer: checks numbers, asks for lost packets and for a keyframe when it cannot go on, puts pictures together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use media::message::{Codec, Now};
use media::rtp::codec::vp8::Descriptor;
use media::rtp::extension::{CaptureTime, PlayoutDelay};
use media::rtp::packet::{Header, split_retransmission};
use media::rtp::seq::SequenceUnwrapper;
use media::session::feedback::{Compound, Feedback, ReportBlock, TwccRecorder, parse, utc_of_ntp};

use crate::peer::Peer;
use crate::publisher::{payload_type, with_red};

/// A packet as it came by itself or as a repair.
#[derive(Clone)]
pub struct Got {
    pub at: Instant,
    pub timestamp: u32,
    pub marker: bool,
    pub payload_type: u8,
    pub repaired: bool,
    pub capture: Option<CaptureTime>,
    pub descriptor: Option<Vec<u8>>,
    /// The byte of video-orientation.
    pub orientation: Option<u8>,
    pub playout_delay: Option<PlayoutDelay>,
    pub payload: Vec<u8>,
}

/// A picture that came whole.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    pub number: u32,
    pub key: bool,
    pub timestamp: u32,
    pub id: Option<u16>,
    /// Of a simulcast streamer: which layer it is of.
    pub rung: usize,
    /// When its last packet came.
    pub at: Instant,
}

#[derive(Default)]
pub struct Stream {
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    pub packets: BTreeMap<u64, Got>,
    sequences: SequenceUnwrapper,
    asked: BTreeMap<u64, (Instant, u32)>,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Middle of the newest sender report's time, and when it came.
    last_report: Option<(u32, Instant)>,
    /// Wall clock and RTP clock of sender reports.
    pub reports: Vec<(u64, u32)>,
}

#[derive(Default)]
pub struct Viewer {
    /// Takes only VP8.
    pub vp8_only: bool,
    /// Does not offer video-orientation.
    pub knows_no_orientation: bool,
    /// Has no transport-wide feedback, but an estimate of its own.
    pub estimates: bool,
    pub estimate: Estimate,
    /// Wants dependency descriptors.
    pub descriptors: bool,
    /// Takes redundant sound: under 45, of Opus under 109.
    pub takes_red: bool,
    /// Takes repairs of sound, too: under 47.
    pub repairs_sound: bool,
    /// Sends NACKs.
    pub nacks: bool,
    pub audio: Stream,
    pub video: Stream,
    pub plis: u32,
    pub next_nack: Option<Instant>,
    pub next_report: Option<Instant>,
    /// Tells when packets came by their transport-wide numbers.
    pub arrivals: TwccRecorder,
    /// Packets of a probe that carry nothing.
    pub padding: u64,
    /// Packets with such a number.
    pub numbered: u64,
    /// Asks for every packet again, as if it had none.
    pub deaf: bool,
    /// Sends a PLI as soon as it can.
    pub asks_at_once: bool,
}

impl Viewer {
    pub fn new() -> Self {
        Self { nacks: true, ..Self::default() }
    }

    pub fn offer(&self, peer: &Peer) -> String {
        let mut offer = peer.offer("recvonly");
        if self.knows_no_orientation {
            offer = offer.replace("a=extmap:10 urn:3gpp:video-orientation\r\n", "");
        }
        if self.estimates {
            offer = offer.replace(" transport-cc", " goog-remb");
        }
        if self.descriptors {
            offer = offer.replacen("m=audio", "a=extmap-allow-mixed\r\nm=audio", 1);
            offer += &format!("a=extmap:9 {}\r\n", media::rtp::dependency::URI);
        }
        if self.takes_red {
            offer = with_red(&offer, 109, 45);
        }
        if self.repairs_sound {
            let opus = if self.takes_red { 109 } else { 111 };
            let rtx =
                format!(" {opus} 47\r\na=rtpmap:47 rtx/48000\r\na=fmtp:47 apt={opus}\r\na=rtcp-fb:{opus} nack\r\n");
            offer = offer.replacen(&format!(" {opus}\r\n"), &rtx, 1);
        }
        if !self.vp8_only {
            return offer;
        }
        let others = [":102 ", ":103 ", ":98 ", ":99 ", ":104 ", ":105 "];
        let is_other = |line: &&str| others.iter().any(|pt| line.contains(pt));
        let lines: Vec<&str> = offer.lines().filter(|line| !is_other(line)).collect();
        lines.join("\r\n").replace("96 97 102 103 98 99 104 105", "96 97") + "\r\n"
    }

    /// As [`Viewer::new`], but with REMB alone.
    pub fn estimating() -> Self {
        Self { estimates: true, ..Self::new() }
    }

    pub fn answered(mut self, answer: &str) -> Self {
        let mut video = false;
        for line in answer.lines() {
            video = if line.starts_with("m=") { line.starts_with("m=video") } else { video };
            let stream = if video { &mut self.video } else { &mut self.audio };
            if let Some(pair) = line.strip_prefix("a=ssrc-group:FID ") {
                let mut ssrcs = pair.split_whitespace().map(|ssrc| ssrc.parse::<u32>().unwrap());
                (stream.ssrc, stream.rtx_ssrc) = (ssrcs.next().unwrap(), ssrcs.next());
            } else if let Some(rest) = line.strip_prefix("a=ssrc:")
                && stream.ssrc == 0
            {
                stream.ssrc = rest.split_whitespace().next().unwrap().parse().unwrap();
            }
        }
        assert!(self.audio.ssrc != 0 && self.video.ssrc != 0);
        self
    }

    pub fn rtp(&mut self, now: Now, packet: &[u8]) {
        let header = Header::parse(packet).expect("RTP");
        self.estimate.received(now.mono, packet.len());
        if let Some(sequence) = header.transport_sequence(packet, 3) {
            self.arrivals.received(now.mono, sequence);
            self.numbered += 1;
        }
        let payload = header.payload(packet);
        if payload.is_empty() {
            self.padding += 1;
            return;
        }
        let mid = header.extension(packet, 4).expect("the negotiated mid");
        for (stream, name) in [(&mut self.audio, b"0"), (&mut self.video, b"1")] {
            let repaired = stream.rtx_ssrc == Some(header.ssrc);
            if stream.ssrc != header.ssrc && !repaired {
                continue;
            }
            assert_eq!(mid, name);
            let (sequence, payload) =
                if repaired { split_retransmission(payload).expect("RTX") } else { (header.sequence, payload) };
            let number = stream.sequences.unwrap(u64::from(sequence));
            if !repaired && name == b"0" {
                self.estimate.sound(now, header.timestamp);
            }
            stream.duplicates += u64::from(stream.packets.contains_key(&number));
            stream.packets.entry(number).or_insert(Got {
                at: now.mono,
                timestamp: header.timestamp,
                marker: header.marker,
                payload_type: header.payload_type,
                repaired,
                descriptor: header.extension(packet, 9).map(<[u8]>::to_vec),
                capture: header.extension(packet, 8).map(|element| CaptureTime::parse(element).expect("a time")),
                playout_delay: header.extension(packet, 11).and_then(PlayoutDelay::parse),
                orientation: header.extension(packet, 10).map(|element| element[0]),
                payload: payload.to_vec(),
            });
            return;
        }
        panic!("an SSRC that the answer does not name");
    }

    pub fn rtcp(&mut self, now: Now, compound: &[u8]) {
        for feedback in parse(compound) {
            let Feedback::SenderReport(report) = feedback else { continue };
            for stream in [&mut self.audio, &mut self.video] {
                if stream.ssrc == report.ssrc {
                    stream.last_report = Some(((report.ntp >> 16) as u32, now.mono));
                    stream.reports.push((utc_of_ntp(report.ntp).expect("a wall clock"), report.rtp));
                }
            }
        }
    }

    pub fn act(&mut self, now: Now, mut send: impl FnMut(&[u8])) {
        if std::mem::take(&mut self.asks_at_once) {
            self.plis += 1;
            let mut compound = Compound::new();
            compound.receiver_report(1, &[]);
            compound.pli(1, self.video.ssrc);
            send(compound.as_bytes());
        }
        if self.next_report.is_none_or(|at| now.mono >= at) {
            self.next_report = Some(now.mono + Duration::from_millis(500));
            let mut compound = Compound::new();
            compound.receiver_report(1, self.video.block(now.mono).as_slice());
            send(compound.as_bytes());
        }
        if self.estimates
            && let Some(bitrate) = self.estimate.poll(now)
        {
            send(&remb(bitrate));
        }
        let mut compound = Compound::new();
        while self.arrivals.poll(now.mono, 1, self.video.ssrc, &mut compound) {
            send(compound.as_bytes());
            compound.clear();
        }
        if !self.nacks || self.next_nack.is_some_and(|at| now.mono < at) {
            return;
        }
        self.next_nack = Some(now.mono + Duration::from_millis(20));
        for stream in [Some(&mut self.video), self.repairs_sound.then_some(&mut self.audio)].into_iter().flatten() {
            let lost = if self.deaf { stream.newest(100) } else { stream.missing(now.mono) };
            if !lost.is_empty() {
                let mut compound = Compound::new();
                compound.receiver_report(1, &[]);
                compound.nack(1, stream.ssrc, &lost);
                send(compound.as_bytes());
            }
        }
    }
}

/// An estimate as browsers make it: it grows by 8 % a second, to half more than what comes at most, and falls below that when packets wait.
#[derive(Default)]
pub struct Estimate {
    bitrate: u64,
    /// Packets have waited once; before, it is what comes that it goes by.
    overused: bool,
    bytes: u64,
    /// Of a packet of sound: least time from its timestamp to its arrival in milliseconds, and that of the newest.
    least: Option<i64>,
    newest: i64,
    next: Option<Instant>,
}

impl Estimate {
    const EVERY: Duration = Duration::from_millis(250);

    fn received(&mut self, now: Instant, bytes: usize) {
        self.bytes += bytes as u64;
        self.next.get_or_insert(now + Self::EVERY);
    }

    fn sound(&mut self, now: Now, timestamp: u32) {
        self.newest = (now.utc_us / 1000) as i64 - i64::from(timestamp) / 48;
        self.least = Some(self.least.map_or(self.newest, |least| least.min(self.newest)));
    }

    fn poll(&mut self, now: Now) -> Option<u64> {
        self.next.filter(|due| now.mono >= *due)?;
        self.next = Some(now.mono + Self::EVERY);
        let received = std::mem::take(&mut self.bytes) * 8 * 4;
        if self.newest - self.least? > 60 {
            (self.bitrate, self.overused) = (self.bitrate.min(received * 85 / 100), true);
        } else if !self.overused {
            self.bitrate = self.bitrate.max(received * 3 / 2);
        } else {
            let grown = self.bitrate * 102 / 100;
            self.bitrate = grown.min(received * 3 / 2 + 10_000).max(self.bitrate);
        }
        Some(self.bitrate)
    }
}

/// draft-alvestrand-rmcat-remb §2.2.
fn remb(bitrate: u64) -> Vec<u8> {
    let exponent = (64 - bitrate.leading_zeros()).saturating_sub(18);
    let word = exponent << 18 | (bitrate >> exponent) as u32;
    let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 1, 0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
    packet.extend(b"REMB");
    packet.extend((1 << 24 | word).to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    packet
}

impl Stream {
    /// What a report says that matters to a sender: when its own came.
    fn block(&self, now: Instant) -> Option<ReportBlock> {
        let (last_sr, at) = self.last_report?;
        let delay = ((now - at).as_micros() * 65_536 / 1_000_000) as u32;
        Some(ReportBlock { ssrc: self.ssrc, last_sr, delay, ..ReportBlock::default() })
    }

    fn newest(&self, count: usize) -> Vec<u16> {
        let mut newest: Vec<u16> = self.packets.keys().rev().take(count).map(|number| *number as u16).collect();
        newest.reverse();
        newest
    }

    /// Missing for 10 ms and asked for less than ten times.
    fn missing(&mut self, now: Instant) -> Vec<u16> {
        let Some(first) = self.packets.keys().next().copied() else { return Vec::new() };
        let newest = *self.packets.keys().next_back().unwrap();
        let mut lost = Vec::new();
        for number in newest.saturating_sub(300).max(first)..newest {
            if self.packets.contains_key(&number) {
                continue;
            }
            let asked = self.asked.entry(number).or_insert((now, 0));
            if asked.1 < 10 && now >= asked.0 + Duration::from_millis(10 + 60 * u64::from(asked.1.min(1))) {
                *asked = (now, asked.1 + 1);
                lost.push(number as u16);
            }
        }
        lost
    }

    /// Sequence numbers without a packet between the first and the newest.
    pub fn holes(&self) -> u64 {
        let (Some(first), Some(last)) = (self.packets.keys().next(), self.packets.keys().next_back()) else { return 0 };
        last - first + 1 - self.packets.len() as u64
    }

    /// Whole VP8 pictures: number, key, timestamp.
    pub fn pictures(&self) -> Vec<(u32, bool, u32)> {
        self.whole().into_iter().map(|picture| (picture.number, picture.key, picture.timestamp)).collect()
    }

    /// Whole VP8 and H.264 pictures with all that is known of them.
    pub fn whole(&self) -> Vec<Picture> {
        let mut pictures = Vec::new();
        let mut frame: Vec<u8> = Vec::new();
        let mut previous = None;
        for (number, got) in &self.packets {
            if previous.is_some_and(|previous| previous + 1 != *number) {
                frame.clear();
            }
            previous = Some(*number);
            let Some(part) = part_of(got) else { continue };
            if part.begins {
                frame.clear();
            } else if frame.is_empty() {
                continue;
            }
            frame.extend(part.bytes);
            if !got.marker {
                continue;
            }
            if let Some((number, key, rung)) = label(&frame) {
                let id = part.id;
                pictures.push(Picture { number, key, timestamp: got.timestamp, id, rung, at: got.at });
            }
            frame.clear();
        }
        pictures
    }

    /// Pictures from the first on that came live: those before it were replayed, about a millisecond apart.
    pub fn live_pictures(&self) -> Vec<(u32, bool, u32)> {
        let pictures = self.pictures();
        let replayed = pictures.windows(2).take_while(|pair| (1..=100).contains(&pair[1].2.wrapping_sub(pair[0].2)));
        pictures[replayed.count()..].to_vec()
    }

    /// When the first packet came.
    pub fn first(&self) -> Option<Instant> {
        self.packets.values().map(|got| got.at).min()
    }
}

/// What a packet adds to its picture.
struct Part<'a> {
    begins: bool,
    id: Option<u16>,
    bytes: &'a [u8],
}

fn part_of(got: &Got) -> Option<Part<'_>> {
    // Repairs have a payload type of their own, the next one.
    if got.payload_type & !1 != payload_type(Codec::H264) {
        let descriptor = Descriptor::parse(&got.payload)?;
        let (begins, id) = (descriptor.partition_start, descriptor.picture_id);
        return Some(Part { begins, id, bytes: &got.payload[descriptor.len..] });
    }
    // A picture is its slice in fragments, and a keyframe has its parameter sets before it in one packet of several units.
    let begins = match got.payload.first()? & 0x1f {
        24 => true,
        28 => got.payload.get(1)? & 0x9f == 0x81,
        _ => return None,
    };
    Some(Part { begins, id: None, bytes: &got.payload })
}

/// Number, key and layer of a whole picture; `None` for a keyframe of H.264 without parameter sets, and for what is no picture.
fn label(frame: &[u8]) -> Option<(u32, bool, usize)> {
    let (bytes, key) = match frame[0] {
        0x78 => (&frame[frame.windows(2).position(|pair| pair == [0x7c, 0x85])?..], true),
        0x5c => (frame, false),
        0x7c => return None,
        first => {
            let at = if first & 1 == 0 { 10 } else { 3 };
            let number = u32::from_be_bytes(frame[at..at + 4].try_into().ok()?);
            return Some((number, first & 1 == 0, usize::from(frame[at + 4])));
        }
    };
    let nibbles = bytes[3..11].iter().fold(0, |sum, nibble| sum << 4 | u32::from(nibble & 0x0f));
    Some((nibbles, key, usize::from(bytes[11] & 0x0f)))
}
