//! The sequence parameter set (ITU-T H.264 §7.3.2.1.1), as far as the picture's size needs it.

use crate::rtp::codec::bits::Bits;

/// What we read from a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    pub id: u32,
    pub profile: u8,
    pub level: u8,
    /// Pixels after cropping.
    pub width: u16,
    pub height: u16,
}

impl Sps {
    /// `nal` is the whole unit with its one-byte header. `None` when it is cut or has impossible values.
    pub fn parse(nal: &[u8]) -> Option<Self> {
        let raw = unescape(nal.get(1..)?);
        let mut bits = Bits::new(&raw);
        let profile = bits.take(8)? as u8;
        bits.take(8)?;
        let level = bits.take(8)? as u8;
        let id = bits.exp_golomb()?;
        let mut chroma_format = 1;
        let mut separate_planes = false;
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma_format = bits.exp_golomb()?;
            if chroma_format == 3 {
                separate_planes = bits.flag()?;
            }
            bits.exp_golomb()?; // bit_depth_luma_minus8
            bits.exp_golomb()?; // bit_depth_chroma_minus8
            bits.flag()?; // qpprime_y_zero_transform_bypass_flag
            if bits.flag()? {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if bits.flag()? {
                        skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        bits.exp_golomb()?; // log2_max_frame_num_minus4
        match bits.exp_golomb()? {
            0 => drop(bits.exp_golomb()?), // log2_max_pic_order_cnt_lsb_minus4
            1 => {
                bits.flag()?; // delta_pic_order_always_zero_flag
                bits.exp_golomb()?; // offset_for_non_ref_pic
                bits.exp_golomb()?; // offset_for_top_to_bottom_field
                let cycle = bits.exp_golomb()?;
                if cycle > 255 {
                    return None;
                }
                for _ in 0..cycle {
                    bits.exp_golomb()?; // offset_for_ref_frame
                }
            }
            2 => {}
            _ => return None,
        }
        bits.exp_golomb()?; // max_num_ref_frames
        bits.flag()?; // gaps_in_frame_num_value_allowed_flag
        let width_mbs = bits.exp_golomb()?.checked_add(1)?;
        let height_units = bits.exp_golomb()?.checked_add(1)?;
        let frame_mbs_only = bits.flag()?;
        if !frame_mbs_only {
            bits.flag()?; // mb_adaptive_frame_field_flag
        }
        bits.flag()?; // direct_8x8_inference_flag
        let fields = if frame_mbs_only { 1 } else { 2 };
        let mut width = width_mbs.checked_mul(16)?;
        let mut height = height_units.checked_mul(16)?.checked_mul(fields)?;
        if bits.flag()? {
            let (unit_x, unit_y) = match chroma_format {
                _ if separate_planes => (1, fields),
                0 => (1, fields),
                1 => (2, 2 * fields),
                2 => (2, fields),
                _ => (1, fields),
            };
            let crop = |a: u32, b: u32, unit: u32| a.checked_add(b)?.checked_mul(unit);
            width = width.checked_sub(crop(bits.exp_golomb()?, bits.exp_golomb()?, unit_x)?)?;
            height = height.checked_sub(crop(bits.exp_golomb()?, bits.exp_golomb()?, unit_y)?)?;
        }
        let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
        (width > 0 && height > 0).then_some(Self { id, profile, level, width, height })
    }
}

/// `pic_parameter_set_id` of a picture parameter set (§7.3.2.2). `None` when it is cut.
pub fn pps_id(nal: &[u8]) -> Option<u32> {
    let raw = unescape(nal.get(1..nal.len().min(16))?);
    Bits::new(&raw).exp_golomb().filter(|id| *id < 256)
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            let coded = i64::from(bits.exp_golomb()?);
            let delta = if coded % 2 == 0 { -(coded / 2) } else { (coded + 1) / 2 };
            next = (last + delta).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// Removes the emulation prevention bytes (§7.4.1).
fn unescape(data: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(data.len());
    let mut zeros = 0;
    for &byte in data {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        raw.push(byte);
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from a text of bits; blanks are for reading.
    fn bits(text: &str) -> Vec<u8> {
        let all: Vec<u8> = text.bytes().filter(|c| *c != b' ').map(|c| c - b'0').collect();
        all.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |value, (at, bit)| value | bit << (7 - at))).collect()
    }

    fn baseline(size_and_crop: &str) -> Vec<u8> {
        // id 0, log2_max_frame_num 4, order type 2, one reference, no gaps
        let mut nal = vec![0x67, 66, 0xc0, 31];
        nal.extend(bits(&format!("1 1 011 010 0 {size_and_crop} 0 1000")));
        nal
    }

    #[test]
    fn sizes_and_cropping() {
        let table: &[(&str, &str, (u16, u16))] = &[
            // 40 × 23 macroblocks, frames only, direct 8×8, crop bottom 4 × 2
            ("640 × 360", "00000101000 000010111 1 1 1 1 1 1 00101", (640, 360)),
            ("640 × 368 uncropped", "00000101000 000010111 1 1 0", (640, 368)),
            ("interlaced 32 × 64", "010 010 0 0 1 0", (32, 64)),
            ("crop left and right", "00000101000 000010111 1 1 1 011 010 1 1", (634, 368)),
        ];
        for (name, tail, size) in table {
            let sps = Sps::parse(&baseline(tail)).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((sps.width, sps.height), *size, "{name}");
        }
    }

    #[test]
    fn real_parameter_sets() {
        // x264 of Debian 12, `videotestsrc ! x264enc`, high profile 1280 × 720 with scaling flags off
        let high = [
            0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
            0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
        ];
        let sps = Sps::parse(&high).unwrap();
        assert_eq!((sps.width, sps.height, sps.profile, sps.level), (1280, 720, 100, 31));
        // OpenH264 as browsers use it, constrained baseline
        let baseline = [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0x90, 0x0f, 0x08, 0x84, 0x6a];
        let sps = Sps::parse(&baseline).unwrap();
        assert_eq!((sps.width, sps.height, sps.profile), (640, 480, 66));
    }

    #[test]
    fn cut_and_impossible_sets_are_refused() {
        let whole = baseline("00000101000 000010111 1 1 0");
        for len in 0..whole.len() - 1 {
            assert_eq!(Sps::parse(&whole[..len]), None, "{len} bytes");
        }
        // cropped to nothing
        assert_eq!(Sps::parse(&baseline("010 010 1 1 1 1 000010001 1 1")), None);
    }

    #[test]
    fn picture_sets_have_an_id() {
        assert_eq!(pps_id(&[0x68, 0xce]), Some(0));
        assert_eq!(pps_id(&[0x68, 0b0100_0000]), Some(1));
        assert_eq!(pps_id(&[0x68]), None);
    }
}
