//! Inbound RTCP (RFC 3550 §6, RFC 4585, RFC 5104) as values that borrow from the packet: nothing is allocated, nothing panics.

use super::extended::{self, ReferenceDelays};

/// One fact of a compound packet.
#[derive(Clone, Debug)]
pub enum Feedback<'a> {
    /// Sequence numbers that a receiver of `ssrc` misses (RFC 4585 §6.2.1).
    Nack {
        ssrc: u32,
        lost: Lost<'a>,
    },
    Pli {
        ssrc: u32,
    },
    /// Full intra requests (RFC 5104 §4.3.1).
    Fir(FirEntries<'a>),
    SenderReport(SenderReport<'a>),
    ReceiverReport {
        ssrc: u32,
        blocks: ReportBlocks<'a>,
    },
    /// Receiver's estimate of the bandwidth in bits per second (draft-alvestrand-rmcat-remb).
    Remb {
        bitrate: u64,
    },
    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01), header included.
    TransportCc {
        packet: &'a [u8],
    },
    /// What a sender heard of our reference times (RFC 3611 §4.5); empty where an extended report speaks of other things.
    ReferenceDelays(ReferenceDelays<'a>),
    /// A source left (RFC 3550 §6.6).
    Bye {
        ssrc: u32,
    },
    /// A packet of another type: SDES, APP and the like.
    Other {
        packet_type: u8,
    },
    /// The rest of the compound does not parse. Always the last item.
    Malformed,
}

/// RFC 3550 §6.4.1.
#[derive(Clone, Debug)]
pub struct SenderReport<'a> {
    pub ssrc: u32,
    /// Wall clock, 32.32 fixed point seconds since 1900.
    pub ntp: u64,
    /// The same moment on the RTP clock of the stream.
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
    pub blocks: ReportBlocks<'a>,
}

/// What a receiver says about one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Since the beginning, 24 bits with sign.
    pub lost: i32,
    /// Cycles << 16 | highest sequence number.
    pub highest: u32,
    /// In units of the RTP clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 if none came.
    pub last_sr: u32,
    /// Since that report, in 1/65536 s.
    pub delay: u32,
}

/// Reads a decrypted compound packet. Each packet of it yields one item; a malformed one ends the iteration with [`Feedback::Malformed`].
pub fn parse(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// See [`parse`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Feedback<'a>;

    fn next(&mut self) -> Option<Feedback<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = self.split();
        let item = packet.and_then(read).unwrap_or(Feedback::Malformed);
        if matches!(item, Feedback::Malformed) {
            self.rest = &[];
        }
        Some(item)
    }
}

impl<'a> Packets<'a> {
    /// The next packet by its length field, without its padding (RFC 3550 §6.4.1).
    fn split(&mut self) -> Option<&'a [u8]> {
        let (first, length) = (*self.rest.first()?, u16_at(self.rest, 2)?);
        let len = (usize::from(length) + 1) * 4;
        let packet = self.rest.get(..len)?;
        self.rest = &self.rest[len..];
        if first >> 6 != 2 {
            return None;
        }
        let padding = if first & 0x20 == 0 { 0 } else { usize::from(*packet.last()?) };
        if first & 0x20 != 0 && padding == 0 {
            return None;
        }
        packet.get(..len.checked_sub(padding)?).filter(|p| p.len() >= 4)
    }
}

fn read(packet: &[u8]) -> Option<Feedback<'_>> {
    let count = usize::from(packet[0] & 0x1f);
    match (packet[1], packet[0] & 0x1f) {
        (200, _) => Some(Feedback::SenderReport(SenderReport {
            ssrc: u32_at(packet, 4)?,
            ntp: u64::from(u32_at(packet, 8)?) << 32 | u64::from(u32_at(packet, 12)?),
            rtp: u32_at(packet, 16)?,
            packets: u32_at(packet, 20)?,
            octets: u32_at(packet, 24)?,
            blocks: ReportBlocks { rest: packet.get(28..28 + count * 24)? },
        })),
        (201, _) => Some(Feedback::ReceiverReport {
            ssrc: u32_at(packet, 4)?,
            blocks: ReportBlocks { rest: packet.get(8..8 + count * 24)? },
        }),
        // A BYE without a source is legal and says nothing.
        (203, 0) => Some(Feedback::Other { packet_type: 203 }),
        (203, _) => Some(Feedback::Bye { ssrc: u32_at(packet, 4)? }),
        (205, 1) => {
            Some(Feedback::Nack { ssrc: u32_at(packet, 8)?, lost: Lost { rest: packet.get(12..)?, held: None } })
        }
        (205, 15) => packet.get(12..).map(|_| Feedback::TransportCc { packet }),
        (206, 1) => Some(Feedback::Pli { ssrc: u32_at(packet, 8)? }),
        (206, 4) => Some(Feedback::Fir(FirEntries { rest: packet.get(12..)? })),
        (206, 15) if packet.get(12..16)? == b"REMB" => {
            let word = u32_at(packet, 16)?;
            let (exponent, mantissa) = (word >> 18 & 0x3f, u64::from(word & 0x3_ffff));
            let bitrate = mantissa.checked_shl(exponent).filter(|b| b >> exponent == mantissa).unwrap_or(u64::MAX);
            Some(Feedback::Remb { bitrate })
        }
        (extended::PACKET_TYPE, _) => {
            packet.get(8..).map(|blocks| Feedback::ReferenceDelays(ReferenceDelays::new(blocks)))
        }
        (packet_type, _) => Some(Feedback::Other { packet_type }),
    }
}

/// Sequence numbers of a NACK.
#[derive(Clone, Debug)]
pub struct Lost<'a> {
    rest: &'a [u8],
    /// Base sequence number and what is left of its bit mask.
    held: Option<(u16, u16)>,
}

impl Iterator for Lost<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some((base, mask)) = self.held {
            let bit = mask.trailing_zeros();
            let left = mask & mask.wrapping_sub(1);
            self.held = (left != 0).then_some((base, left));
            return Some(base.wrapping_add(1 + bit as u16));
        }
        let (base, mask) = (u16_at(self.rest, 0)?, u16_at(self.rest, 2)?);
        self.rest = &self.rest[4..];
        self.held = (mask != 0).then_some((base, mask));
        Some(base)
    }
}

/// Entries of a FIR: the SSRC asked for and the sequence number of the command, which repeats when the command is a repetition.
#[derive(Clone, Debug)]
pub struct FirEntries<'a> {
    rest: &'a [u8],
}

impl Iterator for FirEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let entry = self.rest.get(..8)?;
        self.rest = &self.rest[8..];
        Some((u32_at(entry, 0)?, entry[4]))
    }
}

/// Blocks of a sender or receiver report.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let block = self.rest.get(..24)?;
        self.rest = &self.rest[24..];
        let lost = u32_at(block, 4)?;
        Some(ReportBlock {
            ssrc: u32_at(block, 0)?,
            fraction_lost: block[4],
            lost: ((lost << 8) as i32) >> 8,
            highest: u32_at(block, 8)?,
            jitter: u32_at(block, 12)?,
            last_sr: u32_at(block, 16)?,
            delay: u32_at(block, 20)?,
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(bytes: &[u8]) -> usize {
        let items = parse(bytes).map(|item| match item {
            Feedback::Nack { lost, .. } => lost.count(),
            Feedback::Fir(entries) => entries.count(),
            Feedback::ReceiverReport { blocks, .. } => blocks.count(),
            Feedback::SenderReport(report) => report.blocks.count(),
            Feedback::ReferenceDelays(delays) => delays.count(),
            _ => 1,
        });
        items.sum()
    }

    #[test]
    fn reads_what_browsers_send() {
        // Sender report with SDES, as Chrome sends it, then REMB.
        let compound = [
            &[0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6][..],
            &[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, b'a', b'b'],
            &[0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x0b, 0xff, 0xff, 0, 0, 0, 7],
        ]
        .concat();
        let mut packets = parse(&compound);
        assert!(matches!(packets.next(), Some(Feedback::SenderReport(r)) if r.ntp == 2 << 32 | 3 && r.rtp == 4));
        assert!(matches!(packets.next(), Some(Feedback::Other { packet_type: 202 })));
        assert!(matches!(packets.next(), Some(Feedback::Remb { bitrate }) if bitrate == 0x3_ffff << 2));
        assert!(packets.next().is_none());
    }

    #[test]
    fn masks_of_nacks_are_spread_out() {
        let packet = [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0x80, 0x01, 0, 9, 0, 0];
        let Some(Feedback::Nack { ssrc: 2, lost }) = parse(&packet).next() else { panic!("no NACK") };
        assert_eq!(lost.collect::<Vec<_>>(), [65_535, 0, 15, 9]);
    }

    #[test]
    fn padding_is_taken_off() {
        let packet = [0xa1, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 0, 0, 0, 0, 4];
        let Some(Feedback::Nack { lost, .. }) = parse(&packet).next() else { panic!("no NACK") };
        assert_eq!(lost.collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn malformed_packets_end_the_compound() {
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 7];
        for (name, packet) in [
            ("a wrong version", &[0x41, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 7][..]),
            ("a length beyond the end", &[0x81, 206, 0, 99, 0, 0, 0, 9, 0, 0, 0, 7]),
            ("too short for its type", &[0x81, 206, 0, 1, 0, 0, 0, 9]),
            ("more blocks than bytes", &[0x82, 201, 0, 1, 0, 0, 0, 9]),
            ("padding longer than the packet", &[0xa1, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 99]),
            ("padding of nothing", &[0xa1, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0]),
            ("half a header", &[0x81, 206]),
        ] {
            let compound = [&pli[..], packet, &pli].concat();
            let items: Vec<_> = parse(&compound).collect();
            assert!(matches!(items[..], [Feedback::Pli { ssrc: 7 }, Feedback::Malformed]), "{name}: {items:?}");
        }
        assert!(parse(&[]).next().is_none());
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(drain(&bytes) <= 17 * bytes.len());
        }

        #[test]
        fn garbage_behind_a_header_does_no_harm(kind in 200u8..208, format in 0u8..32, words in prop::collection::vec(any::<u32>(), 0..40)) {
            let mut packet = vec![0x80 | format, kind, 0, words.len() as u8];
            packet.extend(words.iter().flat_map(|w| w.to_be_bytes()));
            prop_assert!(drain(&packet) <= 17 * packet.len());
        }
    }
}
