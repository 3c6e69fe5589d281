//! A streamer: pictures and sound with numbers in them, sender reports, repairs from a history, keyframes when asked.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::message::{Codec, Now};
use media::session::feedback::{Compound, Feedback, SenderInfo, ntp_of_utc, parse};

use crate::peer::Peer;
use crate::rungs::Rungs;
use crate::scalable::Scalable;

pub const AUDIO_SSRC: u32 = 1001;
pub const VIDEO_SSRC: u32 = 2001;
const RTX_SSRC: u32 = 2002;
const OPUS_20_MS: u8 = 0x78;
const HISTORY: usize = 1000;
const FPS: u64 = 30;
const SPS: [u8; 14] = [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0x90, 0x0f, 0x08, 0x84, 0x6a];
/// A sequence header OBU without a size field: main profile, 8 bits, 640 × 360.
pub const AV1_SEQUENCE: [u8; 13] = [0x08, 0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0xe0, 0x6d, 0x7c, 0x80, 0x20];
pub const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

/// The clocks of a streamer. By default they go like ours, and reports tell them exactly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// Parts per million by which the camera, the sound card and the wall clock run fast.
    pub video_ppm: i64,
    pub audio_ppm: i64,
    pub wall_ppm: i64,
    /// So long after the start the wall clock is set, by so many microseconds.
    pub set: Option<(Duration, i64)>,
    /// Reports carry the timestamp of a moment up to so much before that of their wall clock.
    pub reports_late_us: u64,
    /// The wall clock of the very first report of pictures is wrong by this.
    pub first_report_us: i64,
    /// Nothing is reported.
    pub silent: bool,
    /// Each sound packet says when it was taken, as `says_capture` has it for pictures.
    pub sound_says_capture: bool,
}

impl Clocks {
    /// What the wall clock shows so long after a start at `started_us`.
    fn wall_us(&self, started_us: u64, us: u64) -> u64 {
        let set = self.set.map_or(0, |(at, by)| if u128::from(us) >= at.as_micros() { by } else { 0 });
        (started_us + fast(us, self.wall_ppm)).wrapping_add_signed(set)
    }
}

/// What a clock that runs fast shows after so long.
pub fn fast(us: u64, ppm: i64) -> u64 {
    us.wrapping_add_signed((i128::from(us) * i128::from(ppm) / 1_000_000) as i64)
}

/// When a clock that runs fast shows this.
pub fn slow(us: u64, ppm: i64) -> u64 {
    (u128::from(us) * 1_000_000 / (1_000_000 + i128::from(ppm)) as u128) as u64
}

pub struct Publisher {
    pub codec: Codec,
    /// Sends simulcast layers instead of one picture.
    pub rungs: Option<Rungs>,
    /// Sends temporal and spatial layers.
    pub scalable: Option<Scalable>,
    /// In the offer, and sent.
    pub with_video: bool,
    pub with_audio: bool,
    /// Neither is sent while muted.
    pub video_muted: bool,
    pub audio_muted: bool,
    /// Obeys requests for keyframes.
    pub obeys_pli: bool,
    pub obeys_fir: bool,
    /// H.264: sends the parameter sets with the first keyframe alone.
    pub sets_once: bool,
    /// Says with the first packet of each picture when it was taken.
    pub says_capture: bool,
    /// Says with the last packet of each keyframe, and where it changes, how the picture lies (TS 26.114 §7.4.5).
    pub orientation: Option<u8>,
    /// Says so with the next picture, once: how long receivers shall hold pictures back.
    pub playout_delay: Option<[u8; 3]>,
    /// Sends each sound packet with so many before it (RFC 2198), and offers that before plain Opus.
    pub red: usize,
    /// Answers NACKs.
    pub repairs: bool,
    /// Of the very first packets.
    pub first_sequence: u16,
    pub first_timestamp: u32,
    /// Packets of an ordinary picture and of a keyframe.
    pub packets: (usize, usize),
    /// The sender's own wall clock, against ours.
    pub clock_ahead_us: u64,
    /// Pictures are sent so much after their moment.
    pub picture_delay_us: u64,
    /// The first sender reports come so much after the start.
    pub report_after: Duration,
    /// How its clocks go.
    pub clocks: Clocks,
    pub plis: Vec<Instant>,
    pub firs: Vec<Instant>,
    pub nacked: u64,
    pub twcc: u64,
    pub receiver_reports: u64,
    /// Numbers of pictures and sound packets sent, and which pictures were keys.
    pub frame: u32,
    pub sound: u32,
    pub keys: Vec<u32>,
    pub started: Option<Now>,
    pub video_sequence: u16,
    pub audio_sequence: u16,
    pub rtx_sequence: u16,
    pub history: VecDeque<Vec<u8>>,
    pub owed: Vec<u16>,
    pub key_wanted: bool,
    pub next_report: Option<Instant>,
    /// Whose reference time came, its middle, and when.
    pub reference: Option<([u8; 4], [u8; 4], Instant)>,
    pub sent: [(u32, u32); 2],
    /// Sender reports so far.
    pub reported: u64,
    /// Frames are counted by time; those that were muted have no number.
    pub video_slot: u64,
    pub audio_slot: u64,
    pub said_orientation: Option<u8>,
    /// Timestamps and payloads of the newest sound packets.
    pub sounds: VecDeque<(u32, Vec<u8>)>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            codec: Codec::Vp8,
            rungs: None,
            scalable: None,
            with_video: true,
            with_audio: true,
            video_muted: false,
            audio_muted: false,
            obeys_pli: true,
            obeys_fir: true,
            sets_once: false,
            says_capture: false,
            orientation: None,
            playout_delay: None,
            red: 0,
            repairs: true,
            first_sequence: 1000,
            first_timestamp: 12_345,
            packets: (3, 8),
            clock_ahead_us: 0,
            picture_delay_us: 0,
            report_after: Duration::from_millis(500),
            clocks: Clocks::default(),
            plis: Vec::new(),
            firs: Vec::new(),
            nacked: 0,
            twcc: 0,
            receiver_reports: 0,
            frame: 0,
            sound: 0,
            keys: Vec::new(),
            started: None,
            video_sequence: 0,
            audio_sequence: 0,
            rtx_sequence: 77,
            history: VecDeque::new(),
            owed: Vec::new(),
            key_wanted: true,
            next_report: None,
            reference: None,
            sent: [(0, 0); 2],
            reported: 0,
            video_slot: 0,
            audio_slot: 0,
            said_orientation: None,
            sounds: VecDeque::new(),
        }
    }
}

impl Publisher {
    pub fn offer(&self, peer: &Peer) -> String {
        let mut offer = peer.offer("sendonly");
        if self.clocks.sound_says_capture {
            let element = "a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time\r\n";
            offer = offer.replacen("a=rtpmap:111", &format!("{element}a=rtpmap:111"), 1);
        }
        if self.red > 0 {
            offer = with_red(&offer, 111, 63);
        }
        if let Some(rungs) = &self.rungs {
            return rungs.offer(&offer);
        }
        if self.scalable.is_some_and(|scalable| scalable.codec == Codec::Av1) {
            return offer + &format!("a=extmap:9 {}\r\n", media::rtp::dependency::URI);
        }
        if self.with_video {
            return offer;
        }
        let end = offer.find("m=video").unwrap();
        offer[..end].replace("BUNDLE 0 1", "BUNDLE 0")
    }

    /// Sends what is due.
    pub fn act(&mut self, now: Now, mut send: impl FnMut(&[u8], bool)) {
        let started = *self.started.get_or_insert_with(|| {
            self.video_sequence = self.first_sequence;
            self.audio_sequence = self.first_sequence;
            now
        });
        if let Some(rungs) = &mut self.rungs {
            rungs.repairs(|packet| send(packet, false));
        }
        for sequence in std::mem::take(&mut self.owed) {
            let original = self.history.iter().find(|packet| packet[2..4] == sequence.to_be_bytes()).cloned();
            if let Some(packet) = original {
                send(&self.repair(&packet), false);
            }
        }
        let us = now.utc_us - started.utc_us;
        let clocks = self.clocks;
        let ahead_us = self.clock_ahead_us;
        let wall_us = |at_us| clocks.wall_us(started.utc_us, at_us) + ahead_us;
        let (video_us, audio_us) = (fast(us, clocks.video_ppm), fast(us, clocks.audio_ppm));
        while self.video_slot * 1_000_000 / FPS + self.picture_delay_us <= video_us {
            let timestamp = self.first_timestamp.wrapping_add((self.video_slot * 90_000 / FPS) as u32);
            self.video_slot += 1;
            if let Some(rungs) = &mut self.rungs {
                rungs.picture(self.video_slot - 1, |packet| send(packet, false));
            } else if self.with_video && !self.video_muted {
                let taken = wall_us(slow((self.video_slot - 1) * 1_000_000 / FPS, clocks.video_ppm));
                for (at, packet) in self.picture(timestamp).into_iter().enumerate() {
                    let says = self.says_capture && at == 0;
                    let taken = ntp_of_utc(taken).to_be_bytes();
                    send(&if says { with_element(&packet, 7, &taken) } else { packet }, false);
                }
            }
        }
        while self.audio_slot * 20_000 <= audio_us {
            let taken = wall_us(slow(self.audio_slot * 20_000, clocks.audio_ppm));
            let timestamp = self.first_timestamp.wrapping_add((self.audio_slot * 960) as u32);
            self.audio_slot += 1;
            if self.with_audio && !self.audio_muted {
                let mut payload = vec![OPUS_20_MS];
                payload.extend(self.sound.to_be_bytes());
                payload.resize(60, 0x55);
                self.sound += 1;
                let (payload_type, payload) = self.with_redundancy(timestamp, payload);
                let packet = rtp(payload_type, true, self.audio_sequence, timestamp, AUDIO_SSRC, &payload);
                self.audio_sequence = self.audio_sequence.wrapping_add(1);
                self.sent[1].0 += 1;
                self.sent[1].1 += payload.len() as u32;
                let says = clocks.sound_says_capture;
                send(&if says { with_element(&packet, 7, &ntp_of_utc(taken).to_be_bytes()) } else { packet }, false);
            }
        }
        let due = *self.next_report.get_or_insert(now.mono + self.report_after);
        if now.mono >= due && !clocks.silent {
            let first =
                self.next_report.replace(now.mono + Duration::from_secs(1)) == Some(started.mono + self.report_after);
            if let Some(rungs) = &mut self.rungs {
                rungs.reports(us, ntp_of_utc(now.utc_us + self.clock_ahead_us), |report| send(report, true));
            }
            for (ssrc, rate, media_us, (packets, octets)) in
                [(VIDEO_SSRC, 90_000, video_us, self.sent[0]), (AUDIO_SSRC, 48_000, audio_us, self.sent[1])]
            {
                if packets > 0 {
                    self.reported += 1;
                    let seed = self.reported.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
                    let late_us = seed % (clocks.reports_late_us + 1);
                    let ticks = media_us.saturating_sub(late_us) * rate / 1_000_000;
                    let rtp = self.first_timestamp.wrapping_add(ticks as u32);
                    let wrong = if first && ssrc == VIDEO_SSRC { clocks.first_report_us } else { 0 };
                    let ntp = ntp_of_utc(wall_us(us).wrapping_add_signed(wrong));
                    let mut compound = Compound::new();
                    compound.sender_report(&SenderInfo { ssrc, ntp, rtp, packets, octets });
                    send(compound.as_bytes(), true);
                }
            }
            if let Some((who, middle, at)) = self.reference {
                let delay = ((now.mono - at).as_micros() * 65_536 / 1_000_000) as u32;
                let head = [0x80, 207, 0, 5, 0, 0, 0, 1, 5, 0, 0, 3];
                send(&[&head[..], &who, &middle, &delay.to_be_bytes()].concat(), true);
            }
        }
    }

    pub fn rtcp(&mut self, now: Now, compound: &[u8]) {
        let mut rest = compound;
        while rest.len() >= 4 {
            let (packet, next) = rest.split_at(4 * (usize::from(u16::from_be_bytes([rest[2], rest[3]])) + 1));
            if packet[1] == 207 {
                self.reference = Some((packet[4..8].try_into().unwrap(), packet[14..18].try_into().unwrap(), now.mono));
            }
            rest = next;
        }
        for feedback in parse(compound) {
            if let Some(rungs) = &mut self.rungs
                && rungs.feedback(now, &feedback)
            {
                continue;
            }
            match feedback {
                Feedback::Nack { ssrc, lost } if ssrc == VIDEO_SSRC => {
                    let lost: Vec<u16> = lost.collect();
                    self.nacked += lost.len() as u64;
                    if self.repairs {
                        self.owed.extend(lost);
                    }
                }
                Feedback::Pli { ssrc } => {
                    assert_eq!(ssrc, VIDEO_SSRC);
                    self.plis.push(now.mono);
                    self.key_wanted |= self.obeys_pli;
                }
                Feedback::Fir(entries) => {
                    for (ssrc, _) in entries {
                        assert_eq!(ssrc, VIDEO_SSRC);
                        self.firs.push(now.mono);
                        self.key_wanted |= self.obeys_fir;
                    }
                }
                Feedback::TransportCc { .. } => self.twcc += 1,
                Feedback::ReceiverReport { blocks, .. } => self.receiver_reports += blocks.count() as u64,
                Feedback::Malformed => panic!("feedback does not parse"),
                _ => {}
            }
        }
    }

    fn picture(&mut self, timestamp: u32) -> Vec<Vec<u8>> {
        let key = std::mem::take(&mut self.key_wanted);
        let number = self.frame;
        self.frame += 1;
        if key {
            self.keys.push(number);
        }
        let payloads = match self.codec {
            _ if let Some(scalable) = &mut self.scalable => scalable.picture(number, key),
            Codec::H264 => self.h264(number, key),
            Codec::Vp9 => self.vp9(number, key),
            Codec::Av1 => self.av1(number, key),
            _ => self.vp8(number, key),
        };
        let last = payloads.len() - 1;
        let mut packets = Vec::new();
        for (at, payload) in payloads.iter().enumerate() {
            let (pt, sequence) = (payload_type(self.codec), self.video_sequence);
            let packet = rtp(pt, at == last, sequence, timestamp, VIDEO_SSRC, payload);
            self.video_sequence = self.video_sequence.wrapping_add(1);
            self.sent[0].0 += 1;
            self.sent[0].1 += payload.len() as u32;
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(packet.clone());
            let described = self.scalable.filter(|scalable| scalable.codec == Codec::Av1);
            let descriptor = described.map(|scalable| scalable.descriptor(number, key, at));
            packets.push(descriptor.map_or(packet.clone(), |descriptor| with_descriptor(&packet, &descriptor)));
        }
        let says = key || self.orientation != self.said_orientation;
        if let Some((byte, packet)) = self.orientation.filter(|_| says).zip(packets.last_mut()) {
            *packet = with_element(packet, 9, &[byte]);
        }
        self.said_orientation = self.orientation;
        if let Some(packet) = packets.first_mut()
            && let Some(delay) = self.playout_delay.take()
        {
            *packet = with_element(packet, 11, &delay);
        }
        packets
    }

    fn vp8(&self, number: u32, key: bool) -> Vec<Vec<u8>> {
        let frame = vp8_frame(number, key, self.packets);
        let count = if key { self.packets.1 } else { self.packets.0 };
        let chunk = frame.len().div_ceil(count);
        let chunks = frame.chunks(chunk).enumerate();
        chunks.map(|(at, part)| [&[if at == 0 { 0x10 } else { 0x00 }], part].concat()).collect()
    }

    fn vp9(&self, number: u32, key: bool) -> Vec<Vec<u8>> {
        let frame = vp9_frame(number, key, self.packets);
        let count = if key { self.packets.1 } else { self.packets.0 };
        let chunks: Vec<&[u8]> = frame.chunks(frame.len().div_ceil(count)).collect();
        let last = chunks.len() - 1;
        let head =
            |at| 0x80 | if key { 0 } else { 0x40 } | if at == 0 { 0x08 } else { 0 } | if at == last { 0x04 } else { 0 };
        chunks.iter().enumerate().map(|(at, part)| [&[head(at), number as u8 & 0x7f][..], part].concat()).collect()
    }

    fn av1(&self, number: u32, key: bool) -> Vec<Vec<u8>> {
        let obu = [&[0x30][..], &av1_frame(number, key, self.packets)].concat();
        let count = if key { self.packets.1 } else { self.packets.0 };
        let chunks: Vec<&[u8]> = obu.chunks(obu.len().div_ceil(count)).collect();
        let last = chunks.len() - 1;
        let payload = |(at, part): (usize, &&[u8])| {
            let (z, y) = (if at > 0 { 0x80 } else { 0 }, if at < last { 0x40 } else { 0 });
            if key && at == 0 {
                [&[0x28 | y, AV1_SEQUENCE.len() as u8][..], &AV1_SEQUENCE, part].concat()
            } else {
                [&[0x10 | z | y][..], part].concat()
            }
        };
        chunks.iter().enumerate().map(payload).collect()
    }

    fn h264(&self, number: u32, key: bool) -> Vec<Vec<u8>> {
        let nal = h264_slice(number, key, self.packets);
        let count = if key { self.packets.1 } else { self.packets.0 };
        let chunks: Vec<&[u8]> = nal[1..].chunks((nal.len() - 1).div_ceil(count)).collect();
        let last = chunks.len() - 1;
        let mut payloads = Vec::new();
        if key && !(self.sets_once && self.keys.len() > 1) {
            let mut sets = vec![0x78];
            for nal in [&SPS[..], &PPS] {
                sets.extend((nal.len() as u16).to_be_bytes());
                sets.extend(nal);
            }
            payloads.push(sets);
        }
        for (at, part) in chunks.into_iter().enumerate() {
            let head = nal[0] & 0x1f | if at == 0 { 0x80 } else { 0 } | if at == last { 0x40 } else { 0 };
            payloads.push([&[nal[0] & 0xe0 | 28, head], part].concat());
        }
        payloads
    }

    /// Payload type and payload of a sound packet with those before it.
    fn with_redundancy(&mut self, timestamp: u32, sound: Vec<u8>) -> (u8, Vec<u8>) {
        let newest = self.sounds.len() - self.red.min(self.sounds.len());
        let earlier: Vec<_> = self.sounds.iter().skip(newest).map(|(at, one)| (timestamp - at, one.clone())).collect();
        self.sounds.push_back((timestamp, sound.clone()));
        if self.sounds.len() > 9 {
            self.sounds.pop_front();
        }
        if self.red == 0 { (111, sound) } else { (63, red_payload(111, &earlier, &sound)) }
    }

    fn repair(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut payload = packet[2..4].to_vec();
        payload.extend(&packet[20..]);
        let timestamp = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        let repair = rtp(packet[1] & 0x7f | 1, packet[1] & 0x80 != 0, self.rtx_sequence, timestamp, RTX_SSRC, &payload);
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        repair
    }
}

/// The payload of a packet with redundant sound: blocks with the time that they lie before it.
pub fn red_payload(opus: u8, earlier: &[(u32, Vec<u8>)], sound: &[u8]) -> Vec<u8> {
    let head = |(before, data): &(u32, Vec<u8>)| {
        let word = 1 << 31 | u32::from(opus) << 24 | before << 10 | data.len() as u32;
        word.to_be_bytes()
    };
    let heads: Vec<u8> = earlier.iter().flat_map(head).collect();
    let blocks: Vec<u8> = earlier.iter().flat_map(|(_, data)| data.clone()).collect();
    [&heads[..], &[opus], &blocks, sound].concat()
}

/// An offer of [`Peer::offer`] that names redundant sound before plain Opus, with these payload types.
pub fn with_red(offer: &str, opus: u8, red: u8) -> String {
    let lines = format!("a=rtpmap:{red} red/48000/2\r\na=fmtp:{red} {opus}/{opus}\r\na=rtpmap:{opus} opus");
    let offer = offer.replace("a=rtpmap:111 opus", &lines).replace("SAVPF 111\r\n", &format!("SAVPF {red} {opus}\r\n"));
    offer.replace(":111 ", &format!(":{opus} "))
}

/// As [`Peer::offer`] numbers them.
pub fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Vp8 => 96,
        Codec::H264 => 102,
        Codec::Vp9 => 98,
        Codec::Av1 => 104,
        Codec::Opus => 111,
    }
}

/// The bytes of a picture, its number behind the header.
pub fn vp8_frame(number: u32, key: bool, packets: (usize, usize)) -> Vec<u8> {
    let mut frame = if key { vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01] } else { vec![0x11, 0, 0] };
    frame.extend(number.to_be_bytes());
    frame.resize(900 * if key { packets.1 } else { packets.0 }, number as u8);
    frame
}

/// A VP9 frame of 640 × 360, its number behind the header.
pub fn vp9_frame(number: u32, key: bool, packets: (usize, usize)) -> Vec<u8> {
    let head: &[u8] = if key { &[0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70] } else { &[0x86, 0, 0] };
    filled(head, number, key, packets)
}

/// The payload of an AV1 frame OBU.
pub fn av1_frame(number: u32, key: bool, packets: (usize, usize)) -> Vec<u8> {
    filled(&[if key { 0x10 } else { 0x30 }], number, key, packets)
}

fn filled(head: &[u8], number: u32, key: bool, packets: (usize, usize)) -> Vec<u8> {
    let mut frame = [head, &number.to_be_bytes()].concat();
    frame.resize(900 * if key { packets.1 } else { packets.0 }, number as u8);
    frame
}

/// One slice with its NAL header; the number behind the first byte of its header. No start code can appear in it.
pub fn h264_slice(number: u32, key: bool, packets: (usize, usize)) -> Vec<u8> {
    let mut nal = vec![if key { 0x65 } else { 0x41 }, 0x88];
    nal.extend(number.to_be_bytes().iter().flat_map(|byte| [byte >> 4 | 0x40, byte & 0x0f | 0x40]));
    nal.resize(900 * if key { packets.1 } else { packets.0 }, 0x77);
    nal
}

/// A whole H.264 keyframe as a tap must give it.
pub fn h264_key_unit(number: u32, packets: (usize, usize)) -> Vec<u8> {
    let code = [0, 0, 0, 1];
    [&code[..], &SPS, &code, &PPS, &code, &h264_slice(number, true, packets)].concat()
}

/// All packets share one counter, as in browsers.
pub fn transport_wide() -> u16 {
    thread_local!(static WIDE: std::cell::Cell<u16> = const { std::cell::Cell::new(0) });
    WIDE.with(|cell| {
        cell.set(cell.get().wrapping_add(1));
        cell.get()
    })
}

/// The packet with one more element in its extension.
pub fn with_element(packet: &[u8], id: u8, element: &[u8]) -> Vec<u8> {
    let (words, head) = (usize::from(packet[15]), id << 4 | (element.len() as u8 - 1));
    let (extension, payload) = packet[16..].split_at(4 * words);
    let mut extension = [extension, &[head], element].concat();
    extension.resize(extension.len().next_multiple_of(4), 0);
    [&packet[..12], &[0xbe, 0xde, 0, (extension.len() / 4) as u8], &extension, payload].concat()
}

/// The packet with a dependency descriptor beside its transport-wide number, both as two-byte elements.
fn with_descriptor(packet: &[u8], descriptor: &[u8]) -> Vec<u8> {
    let mut elements = [&[3, 2][..], &packet[17..19], &[9, descriptor.len() as u8], descriptor].concat();
    elements.resize(elements.len().next_multiple_of(4), 0);
    [&packet[..12], &[0x10, 0, 0, (elements.len() / 4) as u8], &elements, &packet[20..]].concat()
}

pub fn rtp(pt: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let wide = transport_wide();
    let mut packet = vec![0x90, pt | u8::from(marker) << 7];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x31]);
    packet.extend(wide.to_be_bytes());
    packet.push(0);
    packet.extend(payload);
    packet
}
