//! H.264 as it is received (Annex B) and as MP4 wants it (ISO/IEC 14496-15): length prefixes, parameter sets in front.

use mp4_atom::{Avcc, AvccExt};

use crate::format::Unsuitable;

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
/// Most sets of one kind that the configuration takes.
const MOST_SETS: usize = 31;

/// The NAL units of an Annex B byte stream, without start codes and the zeros behind a unit.
pub(crate) fn nals(data: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 2;
    while at < data.len() {
        match data[at] {
            // A start code ends in 1, so where the third byte is more none begins in these three.
            2.. => at += 3,
            1 if data[at - 1] == 0 && data[at - 2] == 0 => {
                starts.push(at + 1);
                at += 3;
            }
            _ => at += 1,
        }
    }
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([data.len()]);
    let units = starts.iter().zip(ends).map(|(start, end)| &data[*start..end.max(*start)]);
    units.filter_map(|unit| unit.iter().rposition(|byte| *byte != 0).map(|last| &unit[..=last])).collect()
}

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |head| head & 0x1f)
}

/// One sample. Parameter sets and delimiters are left out unless there is nothing else: a unit must never become an empty sample.
pub(crate) fn sample(data: &[u8]) -> Vec<u8> {
    let nals = nals(data);
    let stays = |nal: &[u8]| !matches!(kind(nal), SPS | PPS | DELIMITER);
    let all = !nals.iter().any(|nal| stays(nal));
    let mut sample = Vec::with_capacity(data.len() + 16);
    for nal in nals.into_iter().filter(|nal| all || stays(nal)) {
        sample.extend_from_slice(&(nal.len() as u32).to_be_bytes());
        sample.extend_from_slice(nal);
    }
    sample
}

/// The decoder configuration (§5.3.3.1) of one epoch.
pub(crate) fn configuration(annex_b: &[u8]) -> Result<Avcc, Unsuitable> {
    let sets = |wanted: u8, least: usize| -> Vec<Vec<u8>> {
        let found = nals(annex_b).into_iter().filter(|nal| kind(nal) == wanted && nal.len() >= least);
        found.take(MOST_SETS).map(<[u8]>::to_vec).collect()
    };
    let (sps, pps) = (sets(SPS, 4), sets(PPS, 2));
    let (Some(first), false) = (sps.first(), pps.is_empty()) else { return Err(Unsuitable::NoParameterSets) };
    let (profile, compatibility, level) = (first[1], first[2], first[3]);
    let ext = matches!(profile, 100 | 110 | 122 | 144).then(|| sample_format(first));
    Ok(Avcc {
        configuration_version: 1,
        avc_profile_indication: profile,
        profile_compatibility: compatibility,
        avc_level_indication: level,
        length_size: 4,
        sequence_parameter_sets: sps,
        picture_parameter_sets: pps,
        ext,
    })
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

    const SPS_BASE: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01];
    const PPS_0: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
    const IDR: &[u8] = &[0x65, 0x88, 0x00, 0x00, 0x03, 0x01, 0x7f];

    fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
    }

    #[test]
    fn start_codes_of_both_lengths_split_and_zeros_behind_go() {
        let mut data = annex_b(&[SPS_BASE, PPS_0]);
        data.extend_from_slice(&[0, 0, 1]);
        data.extend_from_slice(IDR);
        data.extend_from_slice(&[0, 0, 0]);
        assert_eq!(nals(&data), [SPS_BASE, PPS_0, IDR]);
        for garbage in [&[][..], &[0], &[0, 0, 1], &[1, 2, 3], &[0, 0, 0, 1, 0, 0, 0, 1], &[0, 0, 1, 0, 0, 1]] {
            assert!(nals(garbage).is_empty(), "{garbage:?}");
        }
    }

    #[test]
    fn samples_are_without_parameter_sets_and_never_empty() {
        assert_eq!(sample(&annex_b(&[&[0x09, 0x10], SPS_BASE, PPS_0, IDR])), [&[0, 0, 0, 7], IDR].concat());
        assert_eq!(sample(&annex_b(&[SPS_BASE])), [&[0, 0, 0, 6], SPS_BASE].concat());
    }

    #[test]
    fn high_profiles_state_their_sample_format() {
        // 4:2:0, eight bits: ue 0, 1, 0, 0 = 1 010 1 1 …
        let avcc = configuration(&annex_b(&[&[0x67, 100, 0, 31, 0b1010_1110], PPS_0])).unwrap();
        assert_eq!(avcc.ext, Some(AvccExt::default()));
        assert_eq!(configuration(&annex_b(&[SPS_BASE, PPS_0])).unwrap().ext, None);
    }

    #[test]
    fn damaged_parameter_sets_do_no_harm() {
        assert_eq!(configuration(b""), Err(Unsuitable::NoParameterSets));
        assert_eq!(configuration(&annex_b(&[SPS_BASE])), Err(Unsuitable::NoParameterSets));
        for nal in [&[0x67, 100, 0, 31][..], &[0x67, 100, 0, 31, 0, 0, 0, 0, 1], &[0x67]] {
            assert!(configuration(&annex_b(&[nal, SPS_BASE, PPS_0, nal])).is_ok());
        }
    }
}
