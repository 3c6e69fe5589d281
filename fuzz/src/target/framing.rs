//! The framing of ICE-TCP: a stream that anybody wrote, and that came in any pieces.

use media::framing::{Frames, HEADER, LONGEST, taken, write};
use media::limit::DATAGRAM_BYTES;

use crate::bytes::Bytes;

/// What a reader made of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    packets: Vec<Vec<u8>>,
    /// Nothing that follows can be understood.
    broken: bool,
    /// Beginning of a frame that has not come whole.
    rest: Vec<u8>,
}

impl Read {
    fn piece(&mut self, piece: &[u8]) {
        let mut buffer = [&self.rest, piece].concat();
        let mut frames = Frames::of(&mut buffer);
        while let Some(packet) = frames.next_packet() {
            assert!(!packet.is_empty() && packet.len() <= DATAGRAM_BYTES, "{} bytes", packet.len());
            self.packets.push(packet.to_vec());
        }
        match frames.rest() {
            Some(rest) => {
                assert!(rest.len() < LONGEST, "{} bytes are a frame or none", rest.len());
                self.rest = rest.to_vec();
            }
            None => self.broken = true,
        }
    }
}

/// `data`: how many bytes each of 16 pieces has, in turn, then the stream. It reads the same however it was cut, and what was read
/// reads the same once it is written again.
pub fn stream(data: &[u8]) {
    let mut bytes = Bytes(data);
    let pieces = bytes.take(16);
    let stream = bytes.0;
    let mut whole = Read::default();
    whole.piece(stream);

    let (mut cut, mut left) = (Read::default(), stream);
    for piece in pieces.iter().cycle() {
        if left.is_empty() || cut.broken {
            break;
        }
        let (now, later) = left.split_at((usize::from(*piece) * 8 + 1).min(left.len()));
        cut.piece(now);
        left = later;
    }
    assert_eq!((&whole.packets, whole.broken), (&cut.packets, cut.broken));
    assert!(whole.broken || whole.rest == cut.rest);

    let mut frames = Vec::new();
    whole.packets.iter().for_each(|packet| write(packet, &mut frames));
    let mut again = Read::default();
    again.piece(&frames);
    assert_eq!(again, Read { packets: whole.packets, ..Read::default() });
    check_taken(&frames, &again.packets, pieces);
}

/// The kernel takes any part of a row of frames: the frame that it began is known, and ends where the frame ends.
fn check_taken(frames: &[u8], packets: &[Vec<u8>], parts: &[u8]) {
    let ends: Vec<usize> = packets
        .iter()
        .scan(0, |end, packet| {
            *end += HEADER + packet.len();
            Some(*end)
        })
        .collect();
    for part in parts {
        let sent = frames.len() * usize::from(*part) / 255;
        let begun = ends.iter().take_while(|end| **end < sent).count() + usize::from(sent > 0);
        let told = taken(frames, sent);
        assert_eq!((told.frames, told.end), (begun, if begun == 0 { 0 } else { ends[begun - 1] }), "{sent} bytes");
    }
}
