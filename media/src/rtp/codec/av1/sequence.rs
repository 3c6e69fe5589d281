//! The sequence header (AV1 §5.5): what a decoder and a file must know of a stream.

use crate::rtp::codec::bits::Bits;

/// What we read from a sequence header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// 0 (main), 1 (high) or 2 (professional).
    pub profile: u8,
    /// `seq_level_idx` and `seq_tier` of the first operating point.
    pub level: u8,
    pub tier: bool,
    pub reduced_still_picture: bool,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    pub monochrome: bool,
    /// Chroma has half the columns, half the rows.
    pub subsampling: (bool, bool),
    /// `chroma_sample_position`, 0 when unknown.
    pub chroma_position: u8,
    /// Pixels; frames may be smaller.
    pub width: u16,
    pub height: u16,
}

impl SequenceHeader {
    /// `payload` is what is behind the OBU's header and size. `None` when it is cut or has impossible values.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        let profile = bits.take(3)? as u8;
        if profile > 2 {
            return None;
        }
        bits.flag()?; // still_picture
        let reduced_still_picture = bits.flag()?;
        let (level, tier) =
            if reduced_still_picture { (bits.take(5)? as u8, false) } else { operating_points(&mut bits)? };
        let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
        let width = u16::try_from(bits.take(width_bits)? + 1).ok()?;
        let height = u16::try_from(bits.take(height_bits)? + 1).ok()?;
        tools(&mut bits, reduced_still_picture)?;
        let colour = Colour::read(&mut bits, profile)?;
        Some(Self {
            profile,
            level,
            tier,
            reduced_still_picture,
            bit_depth: colour.bit_depth,
            monochrome: colour.monochrome,
            subsampling: colour.subsampling,
            chroma_position: colour.position,
            width,
            height,
        })
    }
}

/// Level and tier of the first; the others are stepped over.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u8, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.take(32)?; // num_units_in_display_tick
        bits.take(32)?; // time_scale
        if bits.flag()? {
            bits.exp_golomb()?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? + 1);
            bits.take(32)?; // num_units_in_decoding_tick
            bits.take(10)?; // buffer_removal_time_length_minus_1, frame_presentation_time_length_minus_1
        }
    }
    let with_display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?; // operating_point_idc
        let level = bits.take(5)? as u8;
        let tier = level > 7 && bits.flag()?;
        first.get_or_insert((level, tier));
        if let Some(count) = delay_bits
            && bits.flag()?
        {
            bits.take(count)?; // decoder_buffer_delay
            bits.take(count)?; // encoder_buffer_delay
            bits.flag()?; // low_delay_mode_flag
        }
        if with_display_delay && bits.flag()? {
            bits.take(4)?; // initial_display_delay_minus_1
        }
    }
    first
}

fn tools(bits: &mut Bits<'_>, reduced: bool) -> Option<()> {
    if !reduced && bits.flag()? {
        bits.take(7)?; // lengths of frame ids
    }
    bits.take(3)?; // superblocks of 128, filter-intra, intra edge filter
    if !reduced {
        bits.take(4)?; // compound and motion tools
        let order_hint = bits.flag()?;
        if order_hint {
            bits.take(2)?; // jnt_comp, ref_frame_mvs
        }
        let screen_tools = bits.flag()? || bits.flag()?; // chosen per frame, or forced on
        if screen_tools && !bits.flag()? {
            bits.flag()?; // seq_force_integer_mv
        }
        if order_hint {
            bits.take(3)?; // order_hint_bits_minus_1
        }
    }
    bits.take(3)?; // superres, cdef, restoration
    Some(())
}

struct Colour {
    bit_depth: u8,
    monochrome: bool,
    subsampling: (bool, bool),
    position: u8,
}

impl Colour {
    /// `color_config` (§5.5.2).
    fn read(bits: &mut Bits<'_>, profile: u8) -> Option<Self> {
        let high = bits.flag()?;
        let bit_depth = if !high {
            8
        } else if profile == 2 && bits.flag()? {
            12
        } else {
            10
        };
        let monochrome = profile != 1 && bits.flag()?;
        let described = if bits.flag()? { bits.take(24)? } else { 0x02_02_02 };
        let mut colour = Self { bit_depth, monochrome, subsampling: (true, true), position: 0 };
        if monochrome {
            bits.flag()?; // color_range
            return Some(colour);
        }
        // BT.709 primaries, sRGB transfer, identity matrix
        if described == 0x01_0d_00 {
            colour.subsampling = (false, false);
            return Some(colour);
        }
        bits.flag()?; // color_range
        colour.subsampling = match (profile, bit_depth) {
            (0, _) => (true, true),
            (1, _) => (false, false),
            (_, 12) => {
                let columns = bits.flag()?;
                (columns, columns && bits.flag()?)
            }
            _ => (true, false),
        };
        if colour.subsampling == (true, true) {
            colour.position = bits.take(2)? as u8;
        }
        Some(colour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from a text of bits; blanks are for reading.
    fn bits(text: &str) -> Vec<u8> {
        let all: Vec<u8> = text.bytes().filter(|c| *c != b' ').map(|c| c - b'0').collect();
        all.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |value, (at, bit)| value | bit << (7 - at))).collect()
    }

    /// 640 × 360, in ten and nine bits.
    const SIZE: &str = "1001 1000 1001111111 101100111";
    /// No frame ids, tools, order hint, screen content chosen per frame, filters.
    const TOOLS: &str = "0 111 1111 1 11 1 1 110 011";

    /// Profile, level, tier, bit depth, monochrome, subsampling.
    type Format = (u8, u8, bool, u8, bool, (bool, bool));

    #[test]
    fn formats_are_read() {
        let table: &[(&str, String, Format)] = &[
            (
                "main, 8 bits",
                format!("000 0 0 0 0 00000 000000000000 00101 {SIZE} {TOOLS} 0 0 0 0 01 0 0"),
                (0, 5, false, 8, false, (true, true)),
            ),
            (
                "main, 10 bits, high tier, timing and decoder model, two points",
                format!(
                    "000 0 0 1 {0} {0} 1 010 1 00011 {0} 00000 00000 1 00001 \
                     000000000000 01000 1 1 0000 0000 1 1 0011 000000000001 00001 0 0 {SIZE} {TOOLS} 1 0 0 0 00 0 0",
                    "0".repeat(32)
                ),
                (0, 8, true, 10, false, (true, true)),
            ),
            (
                "main, monochrome",
                format!("000 0 0 0 0 00000 000000000000 00101 {SIZE} {TOOLS} 0 1 0 0 0"),
                (0, 5, false, 8, true, (true, true)),
            ),
            (
                "high, sRGB",
                format!("001 0 0 0 0 00000 000000000000 00101 {SIZE} {TOOLS} 0 1 00000001 00001101 00000000 0 0"),
                (1, 5, false, 8, false, (false, false)),
            ),
            (
                "professional, 12 bits, 4:2:2",
                format!("010 0 0 0 0 00000 000000000000 00101 {SIZE} {TOOLS} 1 1 0 0 0 1 0 0 0"),
                (2, 5, false, 12, false, (true, false)),
            ),
            (
                "reduced still picture",
                format!("000 1 1 00101 {SIZE} 111 011 0 0 0 0 00 0 0"),
                (0, 5, false, 8, false, (true, true)),
            ),
        ];
        for (name, text, expected) in table {
            let raw = bits(text);
            let read = SequenceHeader::parse(&raw).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((read.width, read.height), (640, 360), "{name}");
            let got = (read.profile, read.level, read.tier, read.bit_depth, read.monochrome, read.subsampling);
            assert_eq!(got, *expected, "{name}");
            for len in 0..raw.len() - 1 {
                assert_eq!(SequenceHeader::parse(&raw[..len]), None, "{name}: {len} bytes");
            }
        }
    }

    #[test]
    fn impossible_values_are_refused() {
        assert_eq!(SequenceHeader::parse(&[0xff; 40]), None, "profile 7");
    }
}
