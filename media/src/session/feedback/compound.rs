//! Outbound RTCP: one compound packet, written part by part (RFC 3550 §6.1, RFC 4585, RFC 5104).

use super::parse::ReportBlock;

/// Blocks that one report can carry (RFC 3550 §6.4.1).
const BLOCKS: usize = 31;

/// A compound packet in the making. Begin with a report; peers that did not negotiate `a=rtcp-rsize` need one.
#[derive(Clone, Debug, Default)]
pub struct Compound {
    bytes: Vec<u8>,
}

/// What a sender says about its stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    pub ssrc: u32,
    /// Wall clock, 32.32 fixed point seconds since 1900.
    pub ntp: u64,
    /// The same moment on the RTP clock of the stream as sent.
    pub rtp: u32,
    /// Since the beginning, wrapping.
    pub packets: u32,
    /// Payload bytes since the beginning, wrapping.
    pub octets: u32,
}

impl Compound {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Keeps the memory for the next one.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// RFC 3550 §6.4.1.
    pub fn sender_report(&mut self, info: &SenderInfo) {
        let at = self.begin(0, 200);
        self.u32(info.ssrc);
        self.u32((info.ntp >> 32) as u32);
        self.u32(info.ntp as u32);
        self.u32(info.rtp);
        self.u32(info.packets);
        self.u32(info.octets);
        self.end(at);
    }

    /// RFC 3550 §6.4.2. At most 31 blocks are written.
    pub fn receiver_report(&mut self, sender: u32, blocks: &[ReportBlock]) {
        let blocks = &blocks[..blocks.len().min(BLOCKS)];
        let at = self.begin(blocks.len() as u8, 201);
        self.u32(sender);
        for block in blocks {
            self.u32(block.ssrc);
            let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            self.u32(u32::from(block.fraction_lost) << 24 | lost);
            self.u32(block.highest);
            self.u32(block.jitter);
            self.u32(block.last_sr);
            self.u32(block.delay);
        }
        self.end(at);
    }

    /// Canonical name of a source (RFC 3550 §6.5.1), at most 255 bytes of it.
    pub fn source_description(&mut self, ssrc: u32, cname: &str) {
        let name = &cname.as_bytes()[..cname.len().min(255)];
        let at = self.begin(1, 202);
        self.u32(ssrc);
        self.bytes.extend_from_slice(&[1, name.len() as u8]);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        while !(self.bytes.len() - at).is_multiple_of(4) {
            self.bytes.push(0);
        }
        self.end(at);
    }

    /// RFC 3550 §6.6.
    pub fn bye(&mut self, ssrc: u32) {
        let at = self.begin(1, 203);
        self.u32(ssrc);
        self.end(at);
    }

    /// Generic NACK (RFC 4585 §6.2.1) for sequence numbers in ascending order (with wrap). Writes nothing if there are none.
    pub fn nack(&mut self, sender: u32, media: u32, lost: &[u16]) {
        let Some((&first, rest)) = lost.split_first() else { return };
        let at = self.begin(1, 205);
        self.u32(sender);
        self.u32(media);
        let (mut base, mut mask) = (first, 0u16);
        for &seq in rest {
            match seq.wrapping_sub(base) {
                0 => {}
                distance @ 1..=16 => mask |= 1 << (distance - 1),
                _ => {
                    self.u32(u32::from(base) << 16 | u32::from(mask));
                    (base, mask) = (seq, 0);
                }
            }
        }
        self.u32(u32::from(base) << 16 | u32::from(mask));
        self.end(at);
    }

    /// Picture loss indication (RFC 4585 §6.3.1).
    pub fn pli(&mut self, sender: u32, media: u32) {
        let at = self.begin(1, 206);
        self.u32(sender);
        self.u32(media);
        self.end(at);
    }

    /// Full intra request (RFC 5104 §4.3.1). `command` is one more than in the previous new request to `media`, the same in a repetition.
    pub fn fir(&mut self, sender: u32, media: u32, command: u8) {
        let at = self.begin(4, 206);
        self.u32(sender);
        self.u32(0);
        self.u32(media);
        self.u32(u32::from(command) << 24);
        self.end(at);
    }

    /// Opens a packet of `kind` whose first byte carries `count`; see [`Compound::end`].
    pub(super) fn begin(&mut self, count: u8, kind: u8) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0x80 | count, kind, 0, 0]);
        at
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Closes the packet opened at `at`: pads it to 32-bit words (RFC 3550 §6.4.1) and writes its length.
    pub(super) fn end(&mut self, at: usize) {
        let short = (self.bytes.len() - at).next_multiple_of(4) - (self.bytes.len() - at);
        if short > 0 {
            self.bytes.extend(std::iter::repeat_n(0, short - 1));
            self.bytes.push(short as u8);
            self.bytes[at] |= 0x20;
        }
        let words = ((self.bytes.len() - at) / 4 - 1) as u16;
        self.bytes[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse::{Feedback, parse};
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let block =
            ReportBlock { ssrc: 7, fraction_lost: 3, lost: -2, highest: 70_000, jitter: 12, last_sr: 9, delay: 8 };
        let info = SenderInfo { ssrc: 1, ntp: 0x0123_4567_89ab_cdef, rtp: 5, packets: 6, octets: 7 };
        let mut compound = Compound::new();
        compound.sender_report(&info);
        compound.receiver_report(2, &[block, block]);
        compound.source_description(2, "oxbow");
        compound.pli(2, 7);
        compound.fir(2, 7, 255);
        compound.bye(2);
        let mut packets = parse(compound.as_bytes());
        assert!(
            matches!(packets.next(), Some(Feedback::SenderReport(r)) if r.ntp == info.ntp && r.rtp == 5 && r.packets == 6 && r.octets == 7)
        );
        assert!(
            matches!(packets.next(), Some(Feedback::ReceiverReport { ssrc: 2, blocks }) if blocks.clone().eq([block, block]))
        );
        assert!(matches!(packets.next(), Some(Feedback::Other { packet_type: 202 })));
        assert!(matches!(packets.next(), Some(Feedback::Pli { ssrc: 7 })));
        assert!(matches!(packets.next(), Some(Feedback::Fir(entries)) if entries.clone().eq([(7, 255)])));
        assert!(matches!(packets.next(), Some(Feedback::Bye { ssrc: 2 })));
        assert!(packets.next().is_none());
    }

    #[test]
    fn an_empty_nack_writes_nothing() {
        let mut compound = Compound::new();
        compound.nack(1, 2, &[]);
        assert!(compound.is_empty());
    }

    proptest! {
        #[test]
        fn nacks_name_each_number_once(start: u16, steps in prop::collection::vec(1u16..40, 0..60)) {
            let lost: Vec<u16> = std::iter::once(start)
                .chain(steps.iter().scan(start, |at, step| { *at = at.wrapping_add(*step); Some(*at) }))
                .collect();
            let mut compound = Compound::new();
            compound.nack(1, 2, &lost);
            let mut packets = parse(compound.as_bytes());
            let Some(Feedback::Nack { ssrc: 2, lost: read }) = packets.next() else { panic!("no NACK") };
            prop_assert_eq!(read.collect::<Vec<_>>(), lost);
            prop_assert!(packets.next().is_none());
        }
    }
}
