//! Synthetic RTP tracks: well-formed VP8 and Opus packets of a chosen size, each with a number that a viewer can check.

use media::rtp::packet::Header;

use crate::trace::Group;

/// Bytes of the RTP header without extensions.
const HEADER: usize = 12;
/// The end of each packet: when it was sent, then its number.
const TAIL: usize = 16;

/// Smallest packet: header, the longest beginning of a frame, tail.
const SHORTEST: usize = HEADER + 14 + TAIL;
/// Between two recorded frames, in ticks of 90 kHz.
const RECORDED_STEP: u32 = 3000;

/// One outgoing RTP stream.
pub struct Track {
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    /// Packets so far; the number in the packet.
    number: u64,
    frames: u64,
    /// See [`Seen::sent_ns`].
    sent_ns: u64,
    /// The next packet begins a frame.
    begins: bool,
    key: bool,
}

impl Track {
    pub fn new(ssrc: u32, payload_type: u8) -> Self {
        // A sequence number near the wrap shows at once whether everybody follows it.
        Track {
            ssrc,
            payload_type,
            sequence: 65_500,
            timestamp: rand::random(),
            number: 0,
            frames: 0,
            sent_ns: 0,
            begins: true,
            key: false,
        }
    }

    /// Packets from now on say that they were sent at this moment, in nanoseconds UTC.
    pub fn stamp(&mut self, utc_ns: u64) {
        self.sent_ns = utc_ns;
    }

    /// Packets made so far.
    pub fn packets(&self) -> u64 {
        self.number
    }

    /// One VP8 frame of `packets` packets of `bytes` bytes each, header included, then `step` ticks of 90 kHz pass.
    pub fn vp8_frame(&mut self, key: bool, packets: usize, bytes: usize, step: u32) -> Vec<Vec<u8>> {
        (0..packets).map(|at| self.vp8_packet(key, bytes, (at + 1 == packets).then_some(step))).collect()
    }

    /// The packets of a group as they were recorded. The first frame that begins takes the wish for a keyframe.
    pub fn vp8_group(&mut self, wants_key: &mut bool, group: &Group<'_>) -> Vec<Vec<u8>> {
        let packets = group.packets.iter().map(|packet| {
            let key = self.begins && std::mem::take(wants_key);
            self.vp8_packet(key, usize::from(packet.bytes), packet.marker.then_some(RECORDED_STEP))
        });
        packets.collect()
    }

    /// `ends`: the last of its frame, then so many ticks pass. `key` counts on the first packet of a frame.
    fn vp8_packet(&mut self, key: bool, bytes: usize, ends: Option<u32>) -> Vec<u8> {
        let first = std::mem::replace(&mut self.begins, ends.is_some());
        if first {
            self.key = key;
        }
        let picture = 0x8000 | (self.frames as u16 & 0x7fff);
        let mut packet = self.header(bytes, ends.is_some());
        // Payload descriptor (RFC 7741 §4.2): X, S on the first packet; I with a 15-bit picture id.
        packet.extend([if first { 0x90 } else { 0x80 }, 0x80, (picture >> 8) as u8, picture as u8]);
        if first {
            // Frame tag (RFC 6386 §9.1): not a keyframe in bit 0, show_frame in bit 4.
            packet.extend([if self.key { 0x10 } else { 0x11 }, 0, 0]);
            if self.key {
                packet.extend([0x9d, 0x01, 0x2a]);
                packet.extend(640u16.to_le_bytes());
                packet.extend(360u16.to_le_bytes());
            }
        }
        let packet = self.finish(packet, bytes);
        if let Some(step) = ends {
            self.frames += 1;
            self.timestamp = self.timestamp.wrapping_add(step);
        }
        packet
    }

    /// One Opus packet of `bytes` bytes, header included, 20 ms of CELT in stereo.
    pub fn opus_packet(&mut self, bytes: usize) -> Vec<u8> {
        let mut packet = self.header(bytes, self.frames == 0);
        packet.push(0xfc);
        self.frames += 1;
        self.timestamp = self.timestamp.wrapping_add(960);
        self.finish(packet, bytes)
    }

    fn header(&self, bytes: usize, marker: bool) -> Vec<u8> {
        let mut packet = Vec::with_capacity(bytes);
        packet.extend([0x80, u8::from(marker) << 7 | self.payload_type]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet
    }

    fn finish(&mut self, mut packet: Vec<u8>, bytes: usize) -> Vec<u8> {
        let filler = bytes.max(SHORTEST).saturating_sub(packet.len() + TAIL);
        packet.resize(packet.len() + filler, 0x5a);
        packet.extend(self.sent_ns.to_be_bytes());
        packet.extend(self.number.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.number += 1;
        packet
    }
}

/// The fields of a received packet that viewers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// What [`Track`] wrote at the end.
    pub number: u64,
    /// When the packet was sent, in nanoseconds UTC; 0 where nobody stamps.
    pub sent_ns: u64,
    /// The last packet of its frame.
    pub marker: bool,
    /// The first packet of a VP8 keyframe.
    pub starts_key: bool,
}

impl Seen {
    /// `None` when it is too short to be one of ours. RTP padding (RFC 3550 §5.1) is left out.
    pub fn of(packet: &[u8]) -> Option<Seen> {
        let header = Header::parse(packet)?;
        let payload = header.payload(packet);
        let tail: &[u8; TAIL] = payload.last_chunk()?;
        let (sent, number) = tail.split_at(8);
        Some(Seen {
            payload_type: header.payload_type,
            sequence: header.sequence,
            timestamp: header.timestamp,
            ssrc: header.ssrc,
            number: u64::from_be_bytes(number.try_into().ok()?),
            sent_ns: u64::from_be_bytes(sent.try_into().ok()?),
            marker: header.marker,
            starts_key: payload[0] == 0x90 && payload.get(4).is_some_and(|tag| tag & 1 == 0),
        })
    }
}

/// PLI or FIR anywhere in a compound packet (RFC 4585 §6.3.1, RFC 5104 §4.3.1).
pub fn asks_for_keyframe(mut compound: &[u8]) -> bool {
    while let [first, 192..=223, high, low, ..] = compound {
        let length = (usize::from(u16::from_be_bytes([*high, *low])) + 1) * 4;
        if compound[1] == 206 && matches!(first & 0x1f, 1 | 4) {
            return true;
        }
        compound = compound.get(length..).unwrap_or_default();
    }
    false
}

/// Follows the numbers and sequence numbers of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Continuity {
    pub packets: u64,
    /// Packets that never came, by the numbers in them.
    pub missing: u64,
    /// Steps of the RTP sequence number that are not the steps of the numbers.
    pub broken: u64,
    last: Option<(u16, u64)>,
}

impl Continuity {
    pub fn note(&mut self, seen: Seen) {
        self.packets += 1;
        if let Some((sequence, number)) = self.last {
            let step = seen.number.wrapping_sub(number);
            if step == 0 || step > 1 << 15 || seen.sequence.wrapping_sub(sequence) != step as u16 {
                self.broken += 1;
            } else {
                self.missing += step - 1;
            }
        }
        self.last = Some((seen.sequence, seen.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_carry_their_numbers_across_the_wrap() {
        let mut track = Track::new(7, 96);
        let mut continuity = Continuity::default();
        for at in 0..20 {
            for packet in track.vp8_frame(at == 0, 9, 1200, 3000) {
                assert_eq!(packet.len(), 1200);
                continuity.note(Seen::of(&packet).unwrap());
            }
        }
        assert_eq!((continuity.packets, continuity.missing, continuity.broken), (180, 0, 0));
    }

    #[test]
    fn holes_and_breaks_are_told_apart() {
        let seen = |sequence, number| Seen {
            payload_type: 96,
            sequence,
            timestamp: 0,
            ssrc: 1,
            number,
            sent_ns: 0,
            marker: false,
            starts_key: false,
        };
        let mut continuity = Continuity::default();
        for s in [seen(10, 1), seen(11, 2), seen(14, 5), seen(15, 9)] {
            continuity.note(s);
        }
        assert_eq!((continuity.packets, continuity.missing, continuity.broken), (4, 2, 1));
    }

    #[test]
    fn keyframe_requests_are_found_in_compounds() {
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0];
        assert!(asks_for_keyframe(&pli));
        assert!(asks_for_keyframe(&[&report[..], &pli].concat()));
        assert!(!asks_for_keyframe(&[&report[..], &nack].concat()));
        assert!(!asks_for_keyframe(&[0x81, 205, 0xff, 0xff]));
        assert!(!asks_for_keyframe(&[]));
    }
}
