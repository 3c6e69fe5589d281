//! The RTP header (RFC 3550 §5.1, extensions RFC 8285): a view over received bytes, a writer for outgoing ones, and the
//! retransmission payload (RFC 4588 §4). Encryption does not belong here.

use super::extension::{self, Extensions, ONE_BYTE, TWO_BYTE};

/// Fixed part of the header in bytes.
pub const FIXED_LEN: usize = 12;
/// Largest header that [`Outgoing::write`] makes without a descriptor.
pub const MAX_HEADER_LEN: usize = FIXED_LEN + extension::MAX_LEN;

/// Where the parts of a received packet are. Ranges are checked once, in [`Header::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    extension_profile: u16,
    extension: (u16, u16),
    payload: (u16, u16),
}

impl Header {
    /// `None` when it is no RTP packet of version 2, or when its lengths do not fit.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; FIXED_LEN] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 || packet.len() > usize::from(u16::MAX) {
            return None;
        }
        let mut at = FIXED_LEN + 4 * usize::from(fixed[0] & 0x0f);
        let (mut extension_profile, mut extension) = (0, (0, 0));
        if fixed[0] & 0x10 != 0 {
            let head: &[u8; 4] = packet.get(at..)?.first_chunk()?;
            extension_profile = u16::from_be_bytes([head[0], head[1]]);
            let len = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
            extension = ((at + 4) as u16, (at + 4 + len).min(usize::from(u16::MAX)) as u16);
            at += 4 + len;
        }
        let mut end = packet.len();
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(*packet.last()?);
            if padding == 0 {
                return None;
            }
            end = end.checked_sub(padding)?;
        }
        if at > end {
            return None;
        }
        Some(Self {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            extension_profile,
            extension,
            payload: (at as u16, end as u16),
        })
    }

    /// Without header, extensions and padding. `packet` is the one that was parsed.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        &packet[usize::from(self.payload.0)..usize::from(self.payload.1)]
    }

    /// The element with this id, in one-byte or two-byte form (RFC 8285 §4.2, §4.3).
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let mut rest = &packet[usize::from(self.extension.0)..usize::from(self.extension.1)];
        let one_byte = self.extension_profile == ONE_BYTE;
        if !one_byte && self.extension_profile & 0xfff0 != TWO_BYTE {
            return None;
        }
        while let Some((&head, tail)) = rest.split_first() {
            if head == 0 {
                rest = tail;
                continue;
            }
            let (found, len, tail) = if one_byte {
                if head >> 4 == 15 {
                    return None;
                }
                (head >> 4, usize::from(head & 0x0f) + 1, tail)
            } else {
                let (&len, tail) = tail.split_first()?;
                (head, usize::from(len), tail)
            };
            let element = tail.get(..len)?;
            if found == id {
                return Some(element);
            }
            rest = &tail[len..];
        }
        None
    }

    /// The transport-wide sequence number under extension `id`.
    pub fn transport_sequence(&self, packet: &[u8], id: u8) -> Option<u16> {
        self.extension(packet, id)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }
}

/// A header to be written: no CSRC, no padding.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub extensions: Extensions<'a>,
}

impl Outgoing<'_> {
    /// Bytes that [`Outgoing::write`] takes.
    pub fn written_len(&self) -> usize {
        FIXED_LEN + self.extensions.written_len()
    }

    /// Writes the header and answers its length. `None` when `out` is too small or the extension cannot be expressed.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.written_len();
        let out = out.get_mut(..len)?;
        out[0] = 0x80 | (u8::from(len > FIXED_LEN) << 4);
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.extensions.write(&mut out[FIXED_LEN..])?;
        Some(len)
    }
}

/// Splits the payload of a retransmission into the original sequence number and the original payload (RFC 4588 §4). `None` for
/// the empty packets that senders use as padding.
pub fn split_retransmission(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (sequence, original) = payload.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*sequence), original))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Orientation;
    use crate::rtp::extension::{CaptureTime, PlayoutDelay};

    const HEAD: [u8; 12] = [0x80, 0xe0, 0x12, 0x34, 0, 0, 1, 0, 0xde, 0xad, 0xbe, 0xef];

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        bytes[0] = first;
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn plain_header() {
        let bytes = packet(0x80, b"payload");
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.payload_type, header.marker, header.sequence), (96, true, 0x1234));
        assert_eq!((header.timestamp, header.ssrc), (256, 0xdead_beef));
        assert_eq!(header.payload(&bytes), b"payload");
        assert_eq!(header.extension(&bytes, 1), None);
    }

    #[test]
    fn csrc_padding_and_extensions_are_stepped_over() {
        let csrc = packet(0x82, &[0, 0, 0, 1, 0, 0, 0, 2, 7]);
        assert_eq!(Header::parse(&csrc).unwrap().payload(&csrc), [7]);
        let padded = packet(0xa0, &[7, 0, 0, 3]);
        assert_eq!(Header::parse(&padded).unwrap().payload(&padded), [7]);
        let only_padding = packet(0xa0, &[0, 0, 3]);
        assert_eq!(Header::parse(&only_padding).unwrap().payload(&only_padding), b"");
        let one = packet(0x90, &[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0, 0x31, 1, 2, 0, 0, 9]);
        let header = Header::parse(&one).unwrap();
        assert_eq!(header.extension(&one, 1), Some(&[0xaa][..]));
        assert_eq!(header.transport_sequence(&one, 3), Some(0x0102));
        assert_eq!(header.extension(&one, 2), None);
        assert_eq!(header.payload(&one), [9]);
        let two = packet(0x90, &[0x10, 0x00, 0, 2, 0x10, 0x01, 0xaa, 0, 0x31, 2, 1, 2, 9]);
        let header = Header::parse(&two).unwrap();
        assert_eq!(header.extension(&two, 0x10), Some(&[0xaa][..]));
        assert_eq!(header.extension(&two, 0x31), Some(&[1, 2][..]));
        assert_eq!(header.payload(&two), [9]);
    }

    #[test]
    fn malformed_packets_are_refused() {
        let table: &[(&str, Vec<u8>)] = &[
            ("empty", vec![]),
            ("short", HEAD[..11].to_vec()),
            ("version 1", packet(0x40, &[1])),
            ("csrc beyond the end", packet(0x8f, &[1, 2, 3])),
            ("extension head cut", packet(0x90, &[0xbe, 0xde, 0])),
            ("extension beyond the end", packet(0x90, &[0xbe, 0xde, 0, 9, 1])),
            ("padding longer than the payload", packet(0xa0, &[1, 2, 200])),
            ("padding of nothing", packet(0xa0, &[1, 0])),
        ];
        for (name, bytes) in table {
            assert_eq!(Header::parse(bytes), None, "{name}");
        }
    }

    #[test]
    fn written_headers_read_back() {
        let long = [b'm'; 20];
        let mids: [Option<(u8, &[u8])>; 4] =
            [None, Some((3, b"0")), Some((14, b"video-section-16")), Some((20, &long))];
        let taken = CaptureTime { ntp: 0x0123_4567_89ab_cdef, offset: -7 };
        let turned = Orientation::from_byte(3);
        for case in 0..mids.len() * 16 {
            let extensions = Extensions {
                mid: mids[case / 16],
                transport: (case & 1 != 0).then_some((5, 0xabcd)),
                capture: (case & 2 != 0).then_some((6, taken)),
                orientation: (case & 4 != 0).then_some((7, turned)),
                playout_delay: PlayoutDelay::parse(&[1, 2, 3]).filter(|_| case & 8 != 0).map(|delay| (8, delay)),
                descriptor: None,
            };
            let out = Outgoing { payload_type: 111, marker: true, sequence: 9, timestamp: 8, ssrc: 7, extensions };
            let mut bytes = [0xff; MAX_HEADER_LEN + 1];
            let len = out.write(&mut bytes).unwrap();
            assert_eq!(len, out.written_len());
            let header = Header::parse(&bytes[..len + 1]).unwrap();
            assert_eq!((header.payload_type, header.marker, header.sequence), (111, true, 9));
            assert_eq!((header.timestamp, header.ssrc), (8, 7));
            assert_eq!(header.payload(&bytes[..len + 1]), [0xff]);
            let element = |id: u8| header.extension(&bytes[..len + 1], id);
            if let Some((id, mid)) = extensions.mid {
                assert_eq!(element(id), Some(mid));
            }
            let read = header.transport_sequence(&bytes[..len + 1], 5);
            assert_eq!(read, extensions.transport.map(|(_, sequence)| sequence));
            assert_eq!(element(6).and_then(CaptureTime::parse), extensions.capture.map(|(_, taken)| taken));
            assert_eq!(element(7), extensions.orientation.map(|_| &[3][..]));
            assert_eq!(element(8), extensions.playout_delay.map(|_| &[1, 2, 3][..]));
            assert_eq!(out.write(&mut bytes[..len - 1]), None);
        }
    }
}
