//! H.264 as it is received (Annex B) and as MP4 wants it (ISO/IEC 14496-15): length prefixes and a decoder configuration.
//!
//! Done here and not by `h264parse`, so that one received unit is exactly one sample, and so that the track's format does not
//! change under the muxer when the picture's size does.

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

/// The NAL units of an Annex B byte stream, without start codes and padding.
pub(super) fn nals(data: &[u8]) -> Vec<&[u8]> {
    let mut nals = Vec::new();
    let mut begin = None;
    let mut at = 0;
    while at + 3 <= data.len() {
        if data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1 {
            if let Some(begin) = begin {
                push_trimmed(&mut nals, &data[begin..at]);
            }
            begin = Some(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    if let Some(begin) = begin {
        push_trimmed(&mut nals, &data[begin..]);
    }
    nals
}

/// A NAL unit ends in a non-zero byte; zeros behind it belong to the next start code.
fn push_trimmed<'a>(nals: &mut Vec<&'a [u8]>, nal: &'a [u8]) {
    if let Some(last) = nal.iter().rposition(|byte| *byte != 0) {
        nals.push(&nal[..=last]);
    }
}

/// One sample: each NAL unit behind its length in four bytes. Parameter sets stay only if `in_band` (avc3) or if there is
/// nothing else, since a unit must never become an empty sample.
pub(super) fn sample(data: &[u8], in_band: bool) -> Vec<u8> {
    let nals = nals(data);
    let stays = |nal: &[u8]| match kind(nal) {
        SPS | PPS => in_band,
        DELIMITER => false,
        _ => true,
    };
    let all = !nals.iter().any(|nal| stays(nal));
    let mut sample = Vec::with_capacity(data.len() + 16);
    for nal in nals.into_iter().filter(|nal| all || stays(nal)) {
        sample.extend_from_slice(&(nal.len() as u32).to_be_bytes());
        sample.extend_from_slice(nal);
    }
    sample
}

/// All different parameter sets of a range, oldest first.
#[derive(Default)]
pub(super) struct ParameterSets {
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// Takes what is in a unit or in a codec configuration.
    pub(super) fn collect(&mut self, annex_b: &[u8]) {
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
    pub(super) fn merge(&mut self, other: Self) {
        for (list, others) in [(&mut self.sps, other.sps), (&mut self.pps, other.pps)] {
            for nal in others {
                if !list.contains(&nal) {
                    list.push(nal);
                }
            }
        }
    }

    /// There is at least one of each.
    pub(super) fn is_usable(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }

    /// One configuration serves the whole range: a single SPS, and no PPS replaced by another of the same id.
    pub(super) fn is_single(&self) -> bool {
        let mut ids: Vec<_> = self.pps.iter().map(|pps| Bits::new(&pps[1..]).ue()).collect();
        ids.sort_unstable();
        ids.dedup();
        self.sps.len() == 1 && ids.len() == self.pps.len()
    }

    /// All of them as a byte stream, sequence sets first.
    pub(super) fn annex_b(&self) -> Vec<u8> {
        self.sps.iter().chain(&self.pps).flat_map(|nal| [0, 0, 0, 1].iter().chain(nal)).copied().collect()
    }

    /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1) with the first SPS; the others are in band.
    pub(super) fn decoder_configuration(&self) -> Vec<u8> {
        let (Some(sps), true) = (self.sps.first(), self.is_usable()) else { return Vec::new() };
        let pps: Vec<_> = if self.is_single() { self.pps.iter().take(255).collect() } else { vec![&self.pps[0]] };
        let mut record = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1]; // lengths of four bytes, one SPS
        let put = |record: &mut Vec<u8>, nal: &[u8]| {
            record.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            record.extend_from_slice(nal);
        };
        put(&mut record, sps);
        record.push(pps.len() as u8);
        for pps in pps {
            put(&mut record, pps);
        }
        if matches!(sps[1], 100 | 110 | 122 | 144) {
            let (chroma, luma_bits, chroma_bits) = sample_format(sps);
            record.extend_from_slice(&[0xfc | chroma, 0xf8 | luma_bits, 0xf8 | chroma_bits, 0]);
        }
        record
    }
}

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |head| head & 0x1f)
}

/// `chroma_format_idc` and the two `bit_depth_…_minus8` of a high-profile SPS (H.264 §7.3.2.1.1).
fn sample_format(sps: &[u8]) -> (u8, u8, u8) {
    let mut bits = Bits::new(&sps[4..]);
    bits.ue(); // seq_parameter_set_id
    let chroma = bits.ue();
    if chroma == 3 {
        bits.bit(); // separate_colour_plane_flag
    }
    let luma_bits = bits.ue();
    let chroma_bits = bits.ue();
    ((chroma & 3) as u8, (luma_bits & 7) as u8, (chroma_bits & 7) as u8)
}

/// Reads bits behind emulation prevention (H.264 §7.4.1.1). Past the end all bits are 0.
struct Bits {
    payload: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(nal: &[u8]) -> Self {
        let mut payload = Vec::with_capacity(nal.len());
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
    fn ue(&mut self) -> u32 {
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

    #[test]
    fn start_codes_of_both_lengths_split_and_padding_goes() {
        let mut data = annex_b(&[SPS_A, PPS_0]);
        data.extend_from_slice(&[0, 0, 1]);
        data.extend_from_slice(IDR);
        data.extend_from_slice(&[0, 0, 0]);
        assert_eq!(nals(&data), [SPS_A, PPS_0, IDR]);
        for garbage in [&[][..], &[0], &[0, 0, 1], &[1, 2, 3], &[0, 0, 0, 1, 0, 0, 0, 1]] {
            assert!(nals(garbage).is_empty(), "{garbage:?}");
        }
    }

    #[test]
    fn samples_carry_parameter_sets_only_in_band() {
        let data = annex_b(&[&[0x09, 0x10], SPS_A, PPS_0, IDR]);
        assert_eq!(sample(&data, false), [&[0, 0, 0, 7], IDR].concat());
        let with = [&[0, 0, 0, 6], SPS_A, &[0, 0, 0, 4], PPS_0, &[0, 0, 0, 7], IDR].concat();
        assert_eq!(sample(&data, true), with);
    }

    #[test]
    fn a_unit_is_never_empty() {
        assert_eq!(sample(&annex_b(&[SPS_A]), false), [&[0, 0, 0, 6], SPS_A].concat());
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
            let mut sets = ParameterSets::default();
            sets.collect(&annex_b(nals));
            assert!(sets.is_usable());
            assert_eq!(sets.is_single(), single, "{nals:x?}");
        }
    }

    #[test]
    fn the_decoder_configuration_is_as_the_standard_says() {
        let mut sets = ParameterSets::default();
        assert!(sets.decoder_configuration().is_empty());
        sets.collect(&annex_b(&[SPS_A, PPS_0]));
        let expected = [&[1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 6], SPS_A, &[1, 0, 4], PPS_0].concat();
        assert_eq!(sets.decoder_configuration(), expected);
    }

    #[test]
    fn high_profiles_state_their_sample_format() {
        // 4:2:0, eight bits: ue 0, 1, 0, 0 = 1 010 1 1 …
        let mut sets = ParameterSets::default();
        sets.collect(&annex_b(&[&[0x67, 100, 0, 31, 0b1010_1110], PPS_0]));
        assert!(sets.decoder_configuration().ends_with(&[0xfd, 0xf8, 0xf8, 0]));
    }

    #[test]
    fn damaged_parameter_sets_do_no_harm() {
        for nal in [&[0x67, 100, 0, 31][..], &[0x67, 100, 0, 31, 0, 0, 0, 0, 1], &[0x68, 0, 0, 0, 0, 0, 0, 0, 1]] {
            let mut sets = ParameterSets::default();
            sets.collect(&annex_b(&[nal, SPS_A, PPS_0, nal]));
            assert!(sets.is_usable());
            sets.is_single();
            assert!(!sets.decoder_configuration().is_empty());
        }
    }
}
