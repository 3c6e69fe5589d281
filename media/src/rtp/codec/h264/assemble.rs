//! Access units in Annex B (ITU-T H.264 Annex B) from the payloads of one picture.

use super::{FU_A, NAL_DELIMITER, NAL_FILLER, NAL_IDR, NAL_PPS, NAL_SPS, STAP_A, Sps, aggregated, nal_type, sps};
use crate::limit;
use crate::rtp::codec::{Assemble, Malformed};

/// Parameter sets remembered of each kind. More: the oldest is forgotten.
const PARAMETER_SETS: usize = 16;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// A finished access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Holds an IDR picture.
    pub key: bool,
    /// Annex B with four-byte start codes; a keyframe is preceded by all parameter sets in force. Access unit delimiters and filler
    /// are left out.
    pub data: Vec<u8>,
}

/// Joins payloads; remembers parameter sets across access units, since senders may send them once.
#[derive(Debug, Default)]
pub struct Assembler {
    sps: Vec<(u32, Vec<u8>)>,
    pps: Vec<(u32, Vec<u8>)>,
    /// NAL units of the unit in work, but parameter sets.
    body: Vec<u8>,
    /// Where in `body` the fragmented NAL unit began, when one is open.
    fragment: Option<usize>,
    key: bool,
    size: Option<(u16, u16)>,
}

impl Assemble for Assembler {
    type Unit = Assembled;

    fn append(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let (&header, rest) = payload.split_first().ok_or(Malformed::Truncated)?;
        if self.body.len() + payload.len() > limit::ACCESS_UNIT_BYTES {
            return Err(Malformed::TooLarge);
        }
        let kind = nal_type(header);
        if self.fragment.is_some() && kind != FU_A {
            return Err(Malformed::MissingEnd);
        }
        match kind {
            1..=23 => self.nal(payload),
            STAP_A => {
                for nal in aggregated(rest) {
                    self.nal(nal.ok_or(Malformed::Truncated)?);
                }
            }
            FU_A => self.fragment(header, rest)?,
            _ => return Err(Malformed::Unsupported),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<Assembled>, Malformed> {
        let unfinished = self.fragment.is_some();
        let body = std::mem::take(&mut self.body);
        let key = std::mem::take(&mut self.key);
        self.fragment = None;
        if unfinished {
            return Err(Malformed::MissingEnd);
        }
        if body.is_empty() {
            return Ok(None);
        }
        let data = if key { [self.parameter_sets(), body].concat() } else { body };
        Ok(Some(Assembled { key, data }))
    }

    fn discard(&mut self) {
        self.body.clear();
        self.fragment = None;
        self.key = false;
    }
}

impl Assembler {
    /// All sets in force, as Annex B, sequence sets first. Empty before the first.
    pub fn parameter_sets(&self) -> Vec<u8> {
        self.sps.iter().chain(&self.pps).flat_map(|(_, nal)| START_CODE.iter().chain(nal)).copied().collect()
    }

    /// A keyframe can be decoded: a sequence and a picture parameter set are known.
    pub fn has_parameter_sets(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }

    /// Pixels of the newest sequence parameter set.
    pub fn size(&self) -> Option<(u16, u16)> {
        self.size
    }

    fn nal(&mut self, nal: &[u8]) {
        let Some(&header) = nal.first() else { return };
        match nal_type(header) {
            NAL_DELIMITER | NAL_FILLER => {}
            NAL_SPS => {
                if let Some(parsed) = Sps::parse(nal) {
                    self.size = Some((parsed.width, parsed.height));
                    remember(&mut self.sps, parsed.id, nal);
                }
            }
            NAL_PPS => {
                if let Some(id) = sps::pps_id(nal) {
                    remember(&mut self.pps, id, nal);
                }
            }
            kind => {
                self.key |= kind == NAL_IDR;
                self.body.extend_from_slice(&START_CODE);
                self.body.extend_from_slice(nal);
            }
        }
    }

    fn fragment(&mut self, indicator: u8, rest: &[u8]) -> Result<(), Malformed> {
        let (&head, data) = rest.split_first().ok_or(Malformed::Truncated)?;
        let (start, end) = (head & 0x80 != 0, head & 0x40 != 0);
        match (self.fragment, start) {
            (None, false) => return Err(Malformed::MissingStart),
            (Some(_), true) => return Err(Malformed::MissingEnd),
            (None, true) => {
                self.fragment = Some(self.body.len());
                self.body.extend_from_slice(&START_CODE);
                self.body.push(indicator & 0xe0 | nal_type(head));
            }
            (Some(_), false) => {}
        }
        self.body.extend_from_slice(data);
        if end && let Some(began) = self.fragment.take() {
            self.key |= nal_type(head) == NAL_IDR;
            if matches!(nal_type(head), NAL_SPS | NAL_PPS | NAL_DELIMITER | NAL_FILLER) {
                let nal = self.body.split_off(began);
                self.nal(&nal[START_CODE.len()..]);
            }
        }
        Ok(())
    }
}

fn remember(sets: &mut Vec<(u32, Vec<u8>)>, id: u32, nal: &[u8]) {
    if let Some((_, known)) = sets.iter_mut().find(|(known, _)| *known == id) {
        if known != nal {
            *known = nal.to_vec();
        }
        return;
    }
    if sets.len() == PARAMETER_SETS {
        sets.remove(0);
    }
    sets.push((id, nal.to_vec()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::codec::assemble;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0x90, 0x0f, 0x08, 0x84, 0x6a];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

    fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&START_CODE[..], nal].concat()).collect()
    }

    fn stap_a(nals: &[&[u8]]) -> Vec<u8> {
        let mut payload = vec![0x78];
        for nal in nals {
            payload.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            payload.extend_from_slice(nal);
        }
        payload
    }

    #[test]
    fn a_browsers_keyframe() {
        let mut assembler = Assembler::default();
        let sets = stap_a(&[SPS, PPS]);
        let unit = assemble(&mut assembler, &[&sets, &[0x7c, 0x85, 0x88, 1], &[0x7c, 0x05, 2], &[0x7c, 0x45, 3]]);
        let unit = unit.unwrap().unwrap();
        assert!(unit.key);
        assert_eq!(unit.data, annex_b(&[SPS, PPS, &[0x65, 0x88, 1, 2, 3]]));
        assert_eq!(assembler.size(), Some((640, 480)));
        assert_eq!(assembler.parameter_sets(), annex_b(&[SPS, PPS]));
    }

    #[test]
    fn parameter_sets_are_repeated_where_missing() {
        let mut assembler = Assembler::default();
        assemble(&mut assembler, &[SPS, PPS, &[0x65, 0x88]]).unwrap();
        let delta = assemble(&mut assembler, &[&[0x41, 0x9a, 7]]).unwrap().unwrap();
        assert_eq!((delta.key, delta.data), (false, annex_b(&[&[0x41, 0x9a, 7]])));
        let key = assemble(&mut assembler, &[&[0x09, 0xf0], &[0x65, 0x88, 9]]).unwrap().unwrap();
        assert_eq!(key.data, annex_b(&[SPS, PPS, &[0x65, 0x88, 9]]));
    }

    #[test]
    fn two_byte_units_survive() {
        let mut assembler = Assembler::default();
        let unit = assemble(&mut assembler, &[&[0x41, 0x9a], &[0x01, 0x22]]).unwrap().unwrap();
        assert_eq!(unit.data, annex_b(&[&[0x41, 0x9a], &[0x01, 0x22]]));
    }

    #[test]
    fn a_fragmented_parameter_set_is_remembered() {
        let mut assembler = Assembler::default();
        let first = [&[0x7c, 0x87][..], &SPS[1..6]].concat();
        let last = [&[0x7c, 0x47][..], &SPS[6..]].concat();
        let unit = assemble(&mut assembler, &[&first, &last, PPS, &[0x65, 0x88]]).unwrap().unwrap();
        assert_eq!(unit.data, annex_b(&[SPS, PPS, &[0x65, 0x88]]));
    }

    #[test]
    fn broken_units_are_refused_and_forgotten() {
        let mut assembler = Assembler::default();
        let table: &[(&[&[u8]], Malformed)] = &[
            (&[&[0x7c, 0x05, 1]], Malformed::MissingStart),
            (&[&[0x7c, 0x85, 0x88]], Malformed::MissingEnd),
            (&[&[0x7c, 0x85, 0x88], &[0x41, 0x9a]], Malformed::MissingEnd),
            (&[&[0x7c, 0x85, 1], &[0x7c, 0x85, 1]], Malformed::MissingEnd),
            (&[&[0x78, 0, 9, 1]], Malformed::Truncated),
            (&[&[]], Malformed::Truncated),
            (&[&[0x79, 1, 2, 3]], Malformed::Unsupported),
        ];
        for (payloads, expected) in table {
            assert_eq!(assemble(&mut assembler, payloads), Err(*expected), "{payloads:x?}");
            assert_eq!(assembler.finish(), Ok(None), "nothing is left of {payloads:x?}");
        }
        assert_eq!(assemble(&mut assembler, &[SPS, PPS]), Ok(None), "parameter sets alone are no picture");
    }

    #[test]
    fn units_are_bounded() {
        let mut assembler = Assembler::default();
        let slice = vec![0x41; 60_000];
        let grown = (0..).find(|_| assembler.append(&slice).is_err()).unwrap();
        assert_eq!(grown, limit::ACCESS_UNIT_BYTES / 60_004);
    }
}
