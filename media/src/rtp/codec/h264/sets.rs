//! The newest parameter sets of a stream, for decoders that begin at a picture which does not carry them: some senders send them once.

use super::{NAL_PPS, NAL_SPS, STAP_A, aggregated, nal_type};

/// Sets of browsers and cameras take 20 to 60 bytes. A larger pair is not kept.
const MOST: usize = 1000;

/// See the head of this module.
#[derive(Clone, Debug, Default)]
pub struct ParameterSets {
    sps: Vec<u8>,
    pps: Vec<u8>,
    packet: Vec<u8>,
}

impl ParameterSets {
    /// Remembers the sets that a payload carries whole.
    pub fn learn(&mut self, payload: &[u8]) {
        match payload.split_first() {
            Some((&header, _)) if [NAL_SPS, NAL_PPS].contains(&nal_type(header)) => self.keep(payload),
            Some((&header, rest)) if nal_type(header) == STAP_A => {
                aggregated(rest).flatten().for_each(|nal| self.keep(nal))
            }
            _ => {}
        }
    }

    fn keep(&mut self, nal: &[u8]) {
        let kept = match nal_type(nal[0]) {
            NAL_SPS => &mut self.sps,
            NAL_PPS => &mut self.pps,
            _ => return,
        };
        if kept == nal || nal.len() > MOST {
            return;
        }
        kept.clear();
        kept.extend_from_slice(nal);
        self.packet.clear();
        if !self.sps.is_empty() && !self.pps.is_empty() {
            self.packet.push(0x60 | STAP_A);
            for nal in [&self.sps, &self.pps] {
                self.packet.extend((nal.len() as u16).to_be_bytes());
                self.packet.extend(nal);
            }
        }
    }

    /// Both as one payload (STAP-A, RFC 6184 §5.7.1). `None` until both are known, or when they are too large for one.
    pub fn payload(&self) -> Option<&[u8]> {
        (1..=MOST).contains(&self.packet.len()).then_some(&self.packet)
    }

    /// The payload carries a sequence parameter set.
    pub fn begin(payload: &[u8]) -> bool {
        match payload.split_first() {
            Some((&header, rest)) if nal_type(header) == STAP_A => {
                aggregated(rest).flatten().any(|nal| nal_type(nal[0]) == NAL_SPS)
            }
            Some((&header, _)) => nal_type(header) == NAL_SPS,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sets_make_one_payload() {
        let mut sets = ParameterSets::default();
        sets.learn(&[0x67, 1, 2]);
        sets.learn(&[0x65, 0x88]);
        assert_eq!(sets.payload(), None);
        sets.learn(&[0x68, 3]);
        assert_eq!(sets.payload(), Some(&[0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3][..]));
        sets.learn(&[0x78, 0, 2, 0x67, 9, 0, 2, 0x68, 8, 0, 9]);
        assert_eq!(sets.payload(), Some(&[0x78, 0, 2, 0x67, 9, 0, 2, 0x68, 8][..]));
        sets.learn(&[&[0x67][..], &[7; 999]].concat());
        assert_eq!(sets.payload(), None, "too large for a packet with the other");
        sets.learn(&[]);
    }

    #[test]
    fn what_begins_with_its_own_sets_is_known() {
        for (payload, begins) in [
            (&[0x67, 1][..], true),
            (&[0x78, 0, 2, 0x06, 1, 0, 2, 0x67, 1], true),
            (&[0x78, 0, 2, 0x06, 1, 0, 2, 0x65, 0x80], false),
            (&[0x7c, 0x85, 0x80], false),
            (&[], false),
        ] {
            assert_eq!(ParameterSets::begin(payload), begins, "{payload:x?}");
        }
    }
}
