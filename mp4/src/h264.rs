//! H.264 as it is received (Annex B) and as MP4 wants it (ISO/IEC 14496-15): length prefixes, parameter sets in front.
//!
//! Done here and not by a parser that knows more, so that one received unit is exactly one sample.

use memchr::memmem;
use mp4_atom::{Avcc, AvccExt, Encode};

use crate::format::Unsuitable;

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const START_CODE: &[u8] = &[0, 0, 1];
/// Before each NAL unit of a sample: its length.
const LENGTH_BYTES: usize = 4;
/// Size and name of a box.
const BOX_HEAD: usize = 8;
/// Most sets of a kind that a decoder configuration takes.
const MOST_SPS: usize = 31;
const MOST_PPS: usize = 255;

/// The NAL units of an Annex B byte stream, without start codes and the zeros behind a unit.
pub fn nals(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = memmem::find_iter(data, START_CODE).map(|at| at + START_CODE.len());
    let mut next = starts.next();
    std::iter::from_fn(move || {
        let start = next?;
        next = starts.next();
        let end = next.map_or(data.len(), |after| after - START_CODE.len());
        Some(&data[start..end])
    })
    .filter_map(|nal| nal.iter().rposition(|byte| *byte != 0).map(|last| &nal[..=last]))
}

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |head| head & 0x1f)
}

/// Whether a unit's parameter sets stay in its sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sets {
    /// They are in front of the file, and nowhere else (`avc1`).
    InFront,
    /// They are in the samples as well (`avc3`).
    InBand,
}

impl Sets {
    fn keep(self, nal: &[u8]) -> bool {
        match kind(nal) {
            SPS | PPS => self == Sets::InBand,
            DELIMITER => false,
            _ => true,
        }
    }
}

/// Sizes of the sample that [`write_sample`] makes of a unit: with its sets in front, and in band.
#[must_use]
pub fn sample_bytes(data: &[u8]) -> (usize, usize) {
    let (mut all, mut in_front, mut in_band) = (0, 0, 0);
    for nal in nals(data) {
        let bytes = LENGTH_BYTES + nal.len();
        all += bytes;
        in_front += if Sets::InFront.keep(nal) { bytes } else { 0 };
        in_band += if Sets::InBand.keep(nal) { bytes } else { 0 };
    }
    let usable = |bytes: usize| if bytes == 0 { all } else { bytes };
    (usable(in_front), usable(in_band))
}

/// Appends one sample: each NAL unit behind its length. Delimiters, and parameter sets that are in front, are left out unless there is nothing
/// else: a unit must never become an empty sample.
pub fn write_sample(data: &[u8], sets: Sets, out: &mut Vec<u8>) {
    let before = out.len();
    nals(data).filter(|nal| sets.keep(nal)).for_each(|nal| put(nal, out));
    if out.len() == before {
        nals(data).for_each(|nal| put(nal, out));
    }
}

fn put(nal: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(nal.len() as u32).to_be_bytes());
    out.extend_from_slice(nal);
}

/// All different parameter sets of a range, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// Those of a byte stream.
    #[must_use]
    pub fn of(annex_b: &[u8]) -> Self {
        let mut sets = Self::default();
        sets.collect(annex_b);
        sets
    }

    /// Takes what is in a unit or in a codec configuration.
    pub fn collect(&mut self, annex_b: &[u8]) {
        for nal in nals(annex_b) {
            let list = match kind(nal) {
                SPS if nal.len() >= 4 => &mut self.sps,
                PPS if nal.len() >= 2 => &mut self.pps,
                _ => continue,
            };
            if !list.iter().any(|known| known == nal) {
                list.push(nal.to_vec());
            }
        }
    }

    /// Takes what another has.
    pub fn merge(&mut self, other: Self) {
        for (list, others) in [(&mut self.sps, other.sps), (&mut self.pps, other.pps)] {
            for nal in others {
                if !list.contains(&nal) {
                    list.push(nal);
                }
            }
        }
    }

    /// There is at least one of each.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }

    /// One configuration serves the whole range: a single SPS, and no PPS replaced by another of the same id.
    #[must_use]
    pub fn is_single(&self) -> bool {
        let mut ids: Vec<_> = self.pps.iter().map(|pps| Bits::new(&pps[1..]).exp_golomb()).collect();
        ids.sort_unstable();
        ids.dedup();
        self.sps.len() == 1 && ids.len() == self.pps.len()
    }

    /// What the range begins with, where the rest is in band.
    #[must_use]
    pub fn first(&self) -> Self {
        let first = |list: &[Vec<u8>]| list.first().cloned().into_iter().collect();
        Self { sps: first(&self.sps), pps: first(&self.pps) }
    }

    /// All of them as a byte stream, sequence sets first.
    #[must_use]
    pub fn annex_b(&self) -> Vec<u8> {
        self.sps.iter().chain(&self.pps).flat_map(|nal| [0].iter().chain(START_CODE).chain(nal)).copied().collect()
    }

    /// `AVCDecoderConfigurationRecord` (§5.3.3.1).
    ///
    /// # Errors
    /// [`Unsuitable::NoParameterSets`].
    pub fn record(&self) -> Result<Vec<u8>, Unsuitable> {
        let mut boxed = Vec::new();
        self.clone().configuration()?.encode(&mut boxed)?;
        Ok(boxed.split_off(BOX_HEAD))
    }

    /// The same as a box.
    pub(crate) fn configuration(mut self) -> Result<Avcc, Unsuitable> {
        self.sps.truncate(MOST_SPS);
        self.pps.truncate(MOST_PPS);
        let (Some(first), false) = (self.sps.first(), self.pps.is_empty()) else {
            return Err(Unsuitable::NoParameterSets);
        };
        let (profile, compatibility, level) = (first[1], first[2], first[3]);
        let ext = matches!(profile, 100 | 110 | 122 | 144).then(|| sample_format(first));
        Ok(Avcc {
            configuration_version: 1,
            avc_profile_indication: profile,
            profile_compatibility: compatibility,
            avc_level_indication: level,
            length_size: LENGTH_BYTES as u8,
            sequence_parameter_sets: self.sps,
            picture_parameter_sets: self.pps,
            ext,
        })
    }
}

/// `chroma_format_idc` and bit depths of a high-profile SPS (H.264 §7.3.2.1.1).
fn sample_format(sps: &[u8]) -> AvccExt {
    let mut bits = Bits::new(&sps[4..]);
    bits.exp_golomb(); // seq_parameter_set_id
    let chroma = bits.exp_golomb();
    if chroma == 3 {
        bits.bit(); // separate_colour_plane_flag
    }
    let depth = |value: u32| 8 + (value & 7) as u8;
    AvccExt {
        chroma_format: (chroma & 3) as u8,
        bit_depth_luma: depth(bits.exp_golomb()),
        bit_depth_chroma: depth(bits.exp_golomb()),
        sequence_parameter_sets_ext: Vec::new(),
    }
}

/// Reads bits behind emulation prevention (H.264 §7.4.1.1). Past the end all bits are 0.
struct Bits {
    payload: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(nal: &[u8]) -> Self {
        let mut payload = Vec::with_capacity(nal.len().min(64));
        let mut zeros = 0;
        for byte in nal.iter().take(64) {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            payload.push(*byte);
        }
        Self { payload, at: 0 }
    }

    fn bit(&mut self) -> u32 {
        let bit = self.payload.get(self.at / 8).map_or(0, |byte| (byte >> (7 - self.at % 8)) & 1);
        self.at += 1;
        u32::from(bit)
    }

    /// Unsigned Exp-Golomb (§9.1).
    fn exp_golomb(&mut self) -> u32 {
        let zeros = (0..32).take_while(|_| self.bit() == 0).count() as u32;
        if zeros >= 32 {
            return u32::MAX; // past the end or damaged
        }
        (0..zeros).fold(1_u32, |value, _| (value << 1) | self.bit()) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS_A: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01];
    const SPS_B: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02];
    const PPS_0: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
    const PPS_0_OTHER: &[u8] = &[0x68, 0xce, 0x38, 0x80];
    const PPS_1: &[u8] = &[0x68, 0x4e, 0x3c, 0x80];
    const IDR: &[u8] = &[0x65, 0x88, 0x00, 0x00, 0x03, 0x01, 0x7f];

    fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
    }

    fn sample(data: &[u8], sets: Sets) -> Vec<u8> {
        let mut out = vec![0xaa];
        write_sample(data, sets, &mut out);
        let (in_front, in_band) = sample_bytes(data);
        assert_eq!(out.len() - 1, if sets == Sets::InBand { in_band } else { in_front });
        out.split_off(1)
    }

    #[test]
    fn start_codes_of_both_lengths_split_and_zeros_behind_go() {
        let mut data = annex_b(&[SPS_A, PPS_0]);
        data.extend_from_slice(&[0, 0, 1]);
        data.extend_from_slice(IDR);
        data.extend_from_slice(&[0, 0, 0]);
        assert!(nals(&data).eq([SPS_A, PPS_0, IDR]));
        for garbage in [&[][..], &[0], &[0, 0, 1], &[1, 2, 3], &[0, 0, 0, 1, 0, 0, 0, 1], &[0, 0, 1, 0, 0, 1]] {
            assert_eq!(nals(garbage).count(), 0, "{garbage:?}");
            assert_eq!(sample(garbage, Sets::InFront), b"");
        }
    }

    #[test]
    fn samples_carry_parameter_sets_only_in_band() {
        let data = annex_b(&[&[0x09, 0x10], SPS_A, PPS_0, IDR]);
        assert_eq!(sample(&data, Sets::InFront), [&[0, 0, 0, 7], IDR].concat());
        let with = [&[0, 0, 0, 6], SPS_A, &[0, 0, 0, 4], PPS_0, &[0, 0, 0, 7], IDR].concat();
        assert_eq!(sample(&data, Sets::InBand), with);
    }

    #[test]
    fn a_unit_is_never_empty() {
        assert_eq!(sample(&annex_b(&[SPS_A]), Sets::InFront), [&[0, 0, 0, 6], SPS_A].concat());
        assert_eq!(sample(&annex_b(&[&[0x09, 0x10]]), Sets::InBand), [0, 0, 0, 2, 0x09, 0x10]);
    }

    #[test]
    fn a_second_configuration_is_noticed() {
        let cases: [(&[&[u8]], bool); 5] = [
            (&[SPS_A, PPS_0, IDR, SPS_A, PPS_0], true),
            (&[SPS_A, PPS_0, PPS_1], true),
            (&[SPS_A, PPS_0, SPS_B, PPS_0], false),
            (&[SPS_A, PPS_0, PPS_0_OTHER], false),
            (&[SPS_B, PPS_1], true),
        ];
        for (nals, single) in cases {
            let sets = ParameterSets::of(&annex_b(nals));
            assert!(sets.is_usable());
            assert_eq!(sets.is_single(), single, "{nals:x?}");
            assert!(sets.first().is_single());
        }
    }

    #[test]
    fn the_decoder_configuration_holds_the_sets() {
        let expected = [&[1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 6], SPS_A, &[1, 0, 4], PPS_0].concat();
        assert_eq!(ParameterSets::of(&annex_b(&[SPS_A, PPS_0])).record(), Ok(expected));
    }

    #[test]
    fn high_profiles_state_their_sample_format() {
        // 4:2:0, eight bits: ue 0, 1, 0, 0 = 1 010 1 1 …
        let sets = ParameterSets::of(&annex_b(&[&[0x67, 100, 0, 31, 0b1010_1110], PPS_0]));
        assert!(sets.record().unwrap().ends_with(&[0xfd, 0xf8, 0xf8, 0]));
    }

    #[test]
    fn damaged_parameter_sets_do_no_harm() {
        assert_eq!(ParameterSets::of(b"").configuration(), Err(Unsuitable::NoParameterSets));
        assert_eq!(ParameterSets::of(&annex_b(&[SPS_A])).configuration(), Err(Unsuitable::NoParameterSets));
        let damaged: [&[u8]; 4] =
            [&[0x67, 100, 0, 31], &[0x67, 100, 0, 31, 0, 0, 0, 0, 1], &[0x67], &[0x68, 0, 0, 0, 0, 0, 0, 0, 1]];
        for nal in damaged {
            let sets = ParameterSets::of(&annex_b(&[nal, SPS_A, PPS_0, nal]));
            assert!(sets.is_usable());
            assert!(!sets.first().annex_b().is_empty());
            assert!(sets.configuration().is_ok());
        }
    }
}
