//! Framing of packets on a stream (RFC 4571 §2): two bytes of length in network order, then the packet. Here and not beside the connections that
//! carry it since it is pure, and read from strangers. What a packet means does not belong here.

use crate::limit::DATAGRAM_BYTES;

/// Bytes before each packet.
pub const HEADER: usize = 2;
/// Longest frame that is taken.
pub const LONGEST: usize = HEADER + DATAGRAM_BYTES;

/// The frames in what was read from a stream.
pub struct Frames<'a> {
    bytes: &'a mut [u8],
    at: usize,
    malformed: bool,
}

impl<'a> Frames<'a> {
    /// `bytes` begin with a frame.
    #[must_use]
    pub fn of(bytes: &'a mut [u8]) -> Self {
        Frames { bytes, at: 0, malformed: false }
    }

    /// The next whole packet. Empty ones, which only keep a connection open, are skipped.
    pub fn next_packet(&mut self) -> Option<&mut [u8]> {
        loop {
            let (len, start) = (length(&self.bytes[self.at..])?, self.at + HEADER);
            if len > DATAGRAM_BYTES {
                self.malformed = true;
                return None;
            }
            let end = start + len;
            if end > self.bytes.len() {
                return None;
            }
            self.at = end;
            if len > 0 {
                return Some(&mut self.bytes[start..end]);
            }
        }
    }

    /// The beginning of a frame whose rest has not come, shorter than [`LONGEST`]. `None` when what came is no frame: the stream can never be
    /// understood again.
    #[must_use]
    pub fn rest(&self) -> Option<&[u8]> {
        (!self.malformed).then(|| &self.bytes[self.at..])
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk::<HEADER>().map(|header| usize::from(u16::from_be_bytes(*header)))
}

/// Appends one packet as a frame.
pub fn write(packet: &[u8], out: &mut Vec<u8>) {
    // A datagram of the arena never exceeds DATAGRAM_BYTES.
    out.extend_from_slice(&(packet.len() as u16).to_be_bytes());
    out.extend_from_slice(packet);
}

/// How far a stream took a row of frames of which it took `taken` bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Frames that went out whole or were begun.
    pub frames: usize,
    /// Where the frame that was begun ends; equal to the bytes taken when none was.
    pub end: usize,
}

/// See [`Taken`]; `taken` is at most the length of `frames`.
#[must_use]
pub fn taken(frames: &[u8], taken: usize) -> Taken {
    let (mut count, mut end) = (0, 0);
    while end < taken {
        let Some(len) = length(&frames[end..]) else { break };
        end += HEADER + len;
        count += 1;
    }
    Taken { frames: count, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(packets: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        packets.iter().for_each(|packet| write(packet, &mut out));
        out
    }

    fn read(bytes: &mut [u8]) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut frames = Frames::of(bytes);
        let mut packets = Vec::new();
        while let Some(packet) = frames.next_packet() {
            packets.push(packet.to_vec());
        }
        (packets, frames.rest().map(<[u8]>::to_vec))
    }

    #[test]
    fn packets_come_whole_however_the_stream_was_cut() {
        let whole = framed(&[b"abc", b"", b"d", &[7; DATAGRAM_BYTES]]);
        for cut in 0..=whole.len() {
            let (mut packets, rest) = read(&mut whole[..cut].to_vec());
            let rest = rest.expect("nothing is wrong with the beginning of a frame");
            assert!(rest.len() < LONGEST);
            let (more, rest) = read(&mut [&rest[..], &whole[cut..]].concat());
            packets.extend(more);
            assert_eq!(packets, [b"abc".to_vec(), b"d".to_vec(), vec![7; DATAGRAM_BYTES]], "cut at {cut}");
            assert_eq!(rest, Some(Vec::new()));
        }
    }

    #[test]
    fn what_is_no_frame_is_told() {
        let mut bytes = [framed(&[b"ok"]), b"GET / HTTP/1.1\r\n".to_vec()].concat();
        assert_eq!(read(&mut bytes), (vec![b"ok".to_vec()], None));
    }

    #[test]
    fn a_frame_that_was_begun_is_finished_and_the_others_are_not() {
        let frames = framed(&[b"abc", b"defg", b"h"]);
        for (sent, count, end) in [(0, 0, 0), (1, 1, 5), (5, 1, 5), (6, 2, 11), (11, 2, 11), (14, 3, 14)] {
            assert_eq!(taken(&frames, sent), Taken { frames: count, end }, "{sent}");
        }
    }
}
