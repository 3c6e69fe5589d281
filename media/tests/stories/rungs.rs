//! A streamer's simulcast layers, as browsers send them: each has its own SSRCs, which no SDP names, its own timestamps and numbers; the first
//! packets name their layer in a header extension.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::message::{Codec, Now};
use media::session::feedback::{Compound, Feedback, SenderInfo};

use crate::publisher::{PPS, payload_type, transport_wide, with_element};

const HISTORY: usize = 1000;

pub struct Rung {
    pub rid: &'static str,
    pub ssrc: u32,
    pub size: (u16, u16),
    /// Packets of an ordinary picture and of a keyframe.
    pub packets: (usize, usize),
    /// It is sent.
    pub alive: bool,
    /// Obeys requests for keyframes.
    pub obeys: bool,
    pub keys: Vec<u32>,
    pub plis: Vec<Instant>,
    pub nacked: u64,
    pub repaired: u64,
    pub key_wanted: bool,
    /// Said with the last packet of each keyframe (video-orientation).
    pub orientation: Option<u8>,
    first_timestamp: u32,
    sequence: u16,
    rtx_sequence: u16,
    picture_id: u16,
    history: VecDeque<Vec<u8>>,
    owed: Vec<u16>,
    sent: (u32, u32),
    /// A report came, so that the layer need not be named any longer.
    acknowledged: bool,
}

pub struct Rungs(pub Vec<Rung>, Codec);

impl Rungs {
    /// 320x180, 640x360 and 1280x720 in VP8, about 220, 440 and 870 kbit/s.
    pub fn three() -> Self {
        Self::three_of(Codec::Vp8)
    }

    /// The same in VP8 or H.264.
    pub fn three_of(codec: Codec) -> Self {
        let sizes = [("q", (320, 180), (1, 3)), ("h", (640, 360), (2, 6)), ("f", (1280, 720), (4, 14))];
        let rungs = sizes.into_iter().enumerate().map(|(at, (rid, size, packets))| Rung {
            rid,
            ssrc: 3001 + 10 * at as u32,
            size,
            packets,
            alive: true,
            obeys: true,
            keys: Vec::new(),
            plis: Vec::new(),
            nacked: 0,
            repaired: 0,
            key_wanted: true,
            orientation: None,
            first_timestamp: 0x8000_0000u32.wrapping_mul(at as u32).wrapping_add(77_777 * at as u32),
            sequence: 65_000 + 200 * at as u16,
            rtx_sequence: 9,
            picture_id: 0x7ff0u16.wrapping_sub(900 * at as u16),
            history: VecDeque::new(),
            owed: Vec::new(),
            sent: (0, 0),
            acknowledged: false,
        });
        Self(rungs.collect(), codec)
    }

    pub fn offer(&self, plain: &str) -> String {
        let mut video = false;
        let mut offer = String::new();
        for line in plain.lines() {
            video = if line.starts_with("m=") { line.starts_with("m=video") } else { video };
            if !(video && line.starts_with("a=ssrc")) {
                offer += &format!("{line}\r\n");
            }
        }
        offer += "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
        offer += "a=extmap:6 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n";
        self.0.iter().for_each(|rung| offer += &format!("a=rid:{} send\r\n", rung.rid));
        let rids: Vec<&str> = self.0.iter().map(|rung| rung.rid).collect();
        offer + &format!("a=simulcast:send {}\r\n", rids.join(";"))
    }

    pub fn picture(&mut self, slot: u64, mut send: impl FnMut(&[u8])) {
        for (at, rung) in self.0.iter_mut().enumerate().filter(|(_, rung)| rung.alive) {
            let timestamp = rung.first_timestamp.wrapping_add((slot * 3000) as u32);
            let key = std::mem::take(&mut rung.key_wanted);
            if key {
                rung.keys.push(slot as u32);
            }
            let payloads = match self.1 {
                Codec::H264 => rung.h264(slot as u32, at as u8, key),
                _ => rung.vp8(slot as u32, at as u8, key),
            };
            let last = payloads.len() - 1;
            for (part, payload) in payloads.into_iter().enumerate() {
                rung.sent.0 += 1;
                rung.sent.1 += payload.len() as u32;
                let pt = payload_type(self.1);
                let packet = rung.packet(pt, part == last, rung.sequence, timestamp, 5, &payload);
                let said = rung.orientation.filter(|_| key && part == last);
                let packet = said.map_or_else(|| packet.clone(), |byte| with_element(&packet, 9, &[byte]));
                rung.sequence = rung.sequence.wrapping_add(1);
                if rung.history.len() == HISTORY {
                    rung.history.pop_front();
                }
                rung.history.push_back(packet.clone());
                send(&packet);
            }
        }
    }

    pub fn reports(&mut self, us: u64, ntp: u64, mut send: impl FnMut(&[u8])) {
        for rung in self.0.iter_mut().filter(|rung| rung.sent.0 > 0) {
            let mut compound = Compound::new();
            let rtp = rung.first_timestamp.wrapping_add((us * 90 / 1000) as u32);
            let (packets, octets) = rung.sent;
            compound.sender_report(&SenderInfo { ssrc: rung.ssrc, ntp, rtp, packets, octets });
            send(compound.as_bytes());
        }
    }

    pub fn repairs(&mut self, mut send: impl FnMut(&[u8])) {
        for rung in &mut self.0 {
            for sequence in std::mem::take(&mut rung.owed) {
                let Some(packet) = rung.history.iter().find(|packet| packet[2..4] == sequence.to_be_bytes()).cloned()
                else {
                    continue;
                };
                let header = media::rtp::packet::Header::parse(&packet).unwrap();
                let payload = [&packet[2..4], header.payload(&packet)].concat();
                rung.repaired += 1;
                rung.rtx_sequence = rung.rtx_sequence.wrapping_add(1);
                send(&rung.packet(
                    payload_type(self.1) + 1,
                    header.marker,
                    rung.rtx_sequence,
                    header.timestamp,
                    6,
                    &payload,
                ));
            }
        }
    }

    /// True when it was about one of these layers.
    pub fn feedback(&mut self, now: Now, feedback: &Feedback<'_>) -> bool {
        let rung = |ssrc: u32, rungs: &mut Vec<Rung>| rungs.iter_mut().position(|rung| rung.ssrc == ssrc);
        match feedback.clone() {
            Feedback::Nack { ssrc, lost } => {
                let Some(at) = rung(ssrc, &mut self.0) else { return false };
                let lost: Vec<u16> = lost.collect();
                self.0[at].nacked += lost.len() as u64;
                self.0[at].owed.extend(lost);
            }
            Feedback::Pli { ssrc } => {
                let Some(at) = rung(ssrc, &mut self.0) else { return false };
                self.0[at].plis.push(now.mono);
                self.0[at].key_wanted |= self.0[at].obeys && self.0[at].alive;
            }
            // when requests stay without answer
            Feedback::Fir(entries) => {
                for (ssrc, _) in entries {
                    let Some(at) = rung(ssrc, &mut self.0) else { return false };
                    self.0[at].key_wanted |= self.0[at].obeys && self.0[at].alive;
                }
            }
            Feedback::ReceiverReport { blocks, .. } => {
                for block in blocks {
                    if let Some(at) = rung(block.ssrc, &mut self.0) {
                        self.0[at].acknowledged = true;
                    }
                }
                return false;
            }
            _ => return false,
        }
        true
    }
}

impl Rung {
    fn vp8(&mut self, number: u32, at: u8, key: bool) -> Vec<Vec<u8>> {
        let (width, height) = self.size;
        let mut frame = if key { vec![0x10, 0, 0, 0x9d, 0x01, 0x2a] } else { vec![0x11, 0, 0] };
        if key {
            frame.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
        }
        frame.extend(number.to_be_bytes());
        frame.push(at);
        frame.resize(900 * if key { self.packets.1 } else { self.packets.0 }, number as u8);
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        let id = (self.picture_id | 0x8000).to_be_bytes();
        let begin = |part| if part == 0 { 0x90 } else { 0x80 };
        frame.chunks(900).enumerate().map(|(part, chunk)| [&[begin(part), 0x80], &id[..], chunk].concat()).collect()
    }

    /// Parameter sets go with each keyframe, as browsers send them.
    fn h264(&self, number: u32, at: u8, key: bool) -> Vec<Vec<u8>> {
        let count = if key { self.packets.1 } else { self.packets.0 };
        let mut slice = vec![0x88];
        slice.extend(number.to_be_bytes().iter().flat_map(|byte| [byte >> 4 | 0x40, byte & 0x0f | 0x40]));
        slice.push(at | 0x40);
        slice.resize(900 * count, 0x77);
        let (indicator, kind) = if key { (0x7c, 5) } else { (0x5c, 1) };
        let mut payloads = Vec::new();
        if key {
            let mut sets = vec![0x78];
            for nal in [&sps(self.size)[..], &PPS] {
                sets.extend((nal.len() as u16).to_be_bytes());
                sets.extend(nal);
            }
            payloads.push(sets);
        }
        for (part, chunk) in slice.chunks(900).enumerate() {
            let begin = if part == 0 { 0x80 } else { 0 };
            let end = if part + 1 == count { 0x40 } else { 0 };
            payloads.push([&[indicator, begin | end | kind], chunk].concat());
        }
        payloads
    }

    /// `name` is the id of the extension that names the layer: 5 for media, 6 for repairs.
    fn packet(&self, pt: u8, marker: bool, sequence: u16, timestamp: u32, name: u8, payload: &[u8]) -> Vec<u8> {
        let ssrc = if name == 6 { self.ssrc + 1 } else { self.ssrc };
        let mut packet = vec![0x90, pt | u8::from(marker) << 7];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        let mut extensions = vec![0x31];
        extensions.extend(transport_wide().to_be_bytes());
        if !self.acknowledged || name == 6 {
            extensions.extend([0x40, b'1', name << 4]);
            extensions.extend(self.rid.as_bytes());
        }
        extensions.resize(extensions.len().next_multiple_of(4), 0);
        packet.extend([0xbe, 0xde, 0, (extensions.len() / 4) as u8]);
        packet.extend(extensions);
        packet.extend(payload);
        packet
    }
}

/// A sequence parameter set of the baseline profile for this size (H.264 §7.3.2.1.1).
fn sps((width, height): (u16, u16)) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let ue = |bits: &mut Vec<bool>, value: u32| {
        let len = (value + 1).ilog2();
        bits.extend((0..len).map(|_| false));
        bits.extend((0..=len).rev().map(|bit| (value + 1) >> bit & 1 == 1));
    };
    let (columns, rows) = (u32::from(width).div_ceil(16), u32::from(height).div_ceil(16));
    // Set 0, frame numbers of 4 bits, pictures in their order, one reference, no gaps.
    [0, 0, 2, 1].into_iter().for_each(|value| ue(&mut bits, value));
    bits.push(false);
    [columns - 1, rows - 1].into_iter().for_each(|value| ue(&mut bits, value));
    // Whole frames, direct inference, and what the last row of macroblocks has too much, two lines a unit.
    bits.extend([true, true, true]);
    [0, 0, 0, (rows * 16 - u32::from(height)) / 2].into_iter().for_each(|value| ue(&mut bits, value));
    bits.extend([false, true]);
    bits.resize(bits.len().next_multiple_of(8), false);
    let bytes = bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)));
    let set: Vec<u8> = [0x67, 0x42, 0xc0, 0x1f].into_iter().chain(bytes).collect();
    assert!(!set.windows(3).any(|three| three[..2] == [0, 0] && three[2] <= 3), "no emulation of a start code");
    set
}

/// Between keyframes that a recorded layer is asked for.
pub const GOP: Duration = Duration::from_secs(2);
