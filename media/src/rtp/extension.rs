//! Elements of header extensions (RFC 8285): what they say, and those of one outgoing packet. Which are negotiated is decided in `session`.

use super::dependency;
use crate::message::Orientation;

/// Bytes that [`Extensions::write`] makes at most without a descriptor: head, two-byte elements of 2, 32, 16, 1 and 3 bytes, padded.
pub const MAX_LEN: usize = 4 + 64;
/// Largest element that is written.
const MAX_ELEMENT: usize = u8::MAX as usize;

/// `defined by profile` of the two forms.
pub(super) const ONE_BYTE: u16 = 0xbede;
pub(super) const TWO_BYTE: u16 = 0x1000;

/// The elements of one outgoing packet, each with its id: those that were negotiated and that this packet has something to say of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extensions<'a> {
    /// Transport-wide sequence number.
    pub transport: Option<(u8, u16)>,
    /// Media section id (RFC 9143 §15).
    pub mid: Option<(u8, &'a [u8])>,
    pub capture: Option<(u8, CaptureTime)>,
    pub orientation: Option<(u8, Orientation)>,
    pub playout_delay: Option<(u8, PlayoutDelay)>,
    /// Dependency descriptor, and the frame number that is written into it.
    pub descriptor: Option<(u8, &'a [u8], u16)>,
}

impl Extensions<'_> {
    /// In the order in which they are written: what the receiver looks for first comes first.
    fn each(&self, mut take: impl FnMut(u8, &[u8])) {
        if let Some((id, sequence)) = self.transport {
            take(id, &sequence.to_be_bytes());
        }
        if let Some((id, mid)) = self.mid {
            take(id, mid);
        }
        if let Some((id, capture)) = self.capture {
            take(id, &capture.to_bytes());
        }
        if let Some((id, orientation)) = self.orientation {
            take(id, &[orientation.to_byte()]);
        }
        if let Some((id, delay)) = self.playout_delay {
            take(id, &delay.0);
        }
        if let Some((id, descriptor, _)) = self.descriptor {
            take(id, descriptor);
        }
    }

    /// How they are written; `None` without any.
    fn form(&self) -> Option<Form> {
        let (mut count, mut bytes, mut one_byte) = (0, 0, true);
        self.each(|id, element| {
            count += 1;
            bytes += element.len();
            one_byte &= id < 15 && (1..=16).contains(&element.len());
        });
        let head = if one_byte { 1 } else { 2 };
        (count > 0).then_some(Form { one_byte, len: bytes + head * count })
    }

    /// Bytes that [`Extensions::write`] takes, a multiple of 4; 0 without any element.
    pub fn written_len(&self) -> usize {
        self.form().map_or(0, |form| 4 + form.len.next_multiple_of(4))
    }

    /// Writes the extension into all of `out`, which has [`Extensions::written_len`] bytes. `None` when an element cannot be expressed.
    pub fn write(&self, out: &mut [u8]) -> Option<()> {
        let Some(Form { one_byte, .. }) = self.form() else { return Some(()) };
        let words = (out.len() / 4).checked_sub(1)? as u16;
        out[..2].copy_from_slice(&(if one_byte { ONE_BYTE } else { TWO_BYTE }).to_be_bytes());
        out[2..4].copy_from_slice(&words.to_be_bytes());
        let (mut at, mut expressed) = (4, true);
        self.each(|id, element| {
            if id == 0 || element.is_empty() || element.len() > MAX_ELEMENT {
                expressed = false;
                return;
            }
            if one_byte {
                out[at] = (id << 4) | (element.len() as u8 - 1);
                at += 1;
            } else {
                out[at..at + 2].copy_from_slice(&[id, element.len() as u8]);
                at += 2;
            }
            out[at..at + element.len()].copy_from_slice(element);
            at += element.len();
        });
        expressed.then_some(())?;
        // It was written last.
        if let Some((_, descriptor, number)) = self.descriptor {
            dependency::renumber(&mut out[at - descriptor.len()..at], number);
        }
        out[at..].fill(0);
        Some(())
    }
}

struct Form {
    one_byte: bool,
    /// With the heads of the elements, without that of the extension.
    len: usize,
}

/// When a picture or sound was taken (abs-capture-time, webrtc.org/experiments/rtp-hdrext/abs-capture-time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureTime {
    /// The capturer's wall clock, 32.32 fixed point seconds since 1900.
    pub ntp: u64,
    /// Added to `ntp` it is the clock of the sender's own reports: 32.32 fixed point seconds, with sign.
    pub offset: i64,
}

impl CaptureTime {
    /// Bytes of the form with an offset.
    pub const LEN: usize = 16;

    /// Without an offset the sender is the capturer. `None` when it is cut.
    pub fn parse(element: &[u8]) -> Option<Self> {
        let (ntp, rest) = element.split_first_chunk::<8>()?;
        let offset = rest.first_chunk::<8>().map_or(0, |offset| i64::from_be_bytes(*offset));
        Some(Self { ntp: u64::from_be_bytes(*ntp), offset })
    }

    /// The same moment for those who hear our reports, when our clock is so many microseconds ahead of the sender's.
    pub fn on_our_clock(self, ahead_us: i64) -> Self {
        let ahead = (i128::from(ahead_us) << 32) / 1_000_000;
        Self { offset: self.offset.wrapping_add(ahead as i64), ..self }
    }

    fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.ntp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }
}

/// How long a receiver shall hold pictures back at least and at most (playout-delay, webrtc.org/experiments/rtp-hdrext/playout-delay): two numbers of 12 bits, in
/// 10 ms. It is the streamer's word and carried as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay([u8; 3]);

impl PlayoutDelay {
    /// `None` when it is cut, or asks for more at least than at most.
    pub fn parse(element: &[u8]) -> Option<Self> {
        let delay = Self(*element.first_chunk()?);
        (delay.least_ms() <= delay.most_ms()).then_some(delay)
    }

    pub fn least_ms(self) -> u32 {
        10 * (u32::from(self.0[0]) << 4 | u32::from(self.0[1]) >> 4)
    }

    pub fn most_ms(self) -> u32 {
        10 * (u32::from(self.0[1] & 0x0f) << 8 | u32::from(self.0[2]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::packet::Header;

    #[test]
    fn descriptors_are_renumbered_and_as_long_as_they_have_to_be() {
        for len in [3, 16, 17, 200] {
            let mut descriptor = vec![7; len];
            let all = Extensions {
                mid: Some((4, b"1")),
                transport: Some((3, 5)),
                descriptor: Some((9, &descriptor, 0xabcd)),
                ..Extensions::default()
            };
            let mut bytes = vec![0xff; 12 + all.written_len()];
            bytes[..12].copy_from_slice(&[0x90, 104, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7]);
            all.write(&mut bytes[12..]).unwrap();
            let header = Header::parse(&bytes).unwrap();
            descriptor[1..3].copy_from_slice(&[0xab, 0xcd]);
            assert_eq!(header.extension(&bytes, 9), Some(&descriptor[..]));
            assert_eq!(header.extension(&bytes, 4), Some(&b"1"[..]));
        }
    }

    #[test]
    fn playout_delays_are_two_numbers_of_twelve_bits() {
        let delay = PlayoutDelay::parse(&[0x01, 0x20, 0x34]).unwrap();
        assert_eq!((delay.least_ms(), delay.most_ms()), (180, 520));
        let widest = PlayoutDelay::parse(&[0xff, 0xff, 0xff, 7]).unwrap();
        assert_eq!((widest.least_ms(), widest.most_ms()), (40_950, 40_950));
        assert_eq!(PlayoutDelay::parse(&[0, 0]), None);
        assert_eq!(PlayoutDelay::parse(&[0x02, 0x00, 0x1f]), None, "320 ms at least and 310 at most");
    }

    #[test]
    fn capture_times_come_with_and_without_an_offset() {
        let bytes = [0, 0, 0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        let long = CaptureTime::parse(&bytes).unwrap();
        assert_eq!(long, CaptureTime { ntp: 3 << 31, offset: -(1 << 32) });
        assert_eq!(CaptureTime::parse(&bytes[..8]), Some(CaptureTime { offset: 0, ..long }));
        assert_eq!(CaptureTime::parse(&bytes[..7]), None);
        assert_eq!(long.on_our_clock(2_500_000).offset, 3 << 31);
    }
}
