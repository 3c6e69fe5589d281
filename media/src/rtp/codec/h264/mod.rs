//! H.264 over RTP (RFC 6184): single NAL units, STAP-A and FU-A, the packets of packetization-modes 0 and 1 (non-interleaved).

mod assemble;
mod sets;
mod sps;

pub use assemble::{Assembled, Assembler};
pub use sets::ParameterSets;
pub use sps::Sps;

use super::Inspected;

pub const NAL_SLICE: u8 = 1;
pub const NAL_IDR: u8 = 5;
pub const NAL_SEI: u8 = 6;
pub const NAL_SPS: u8 = 7;
pub const NAL_PPS: u8 = 8;
pub const NAL_DELIMITER: u8 = 9;
pub const NAL_FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// NAL unit type, `nal_unit_type` of ITU-T H.264 §7.3.1.
pub fn nal_type(header: u8) -> u8 {
    header & 0x1f
}

/// `first_mb_in_slice` is 0, coded as a single 1 bit: the slice begins a picture.
fn begins_picture(slice_data: &[u8]) -> bool {
    slice_data.first().is_some_and(|byte| byte & 0x80 != 0)
}

fn inspect_nal(kind: u8, data: &[u8]) -> Inspected {
    let (key, start) = match kind {
        NAL_IDR => (begins_picture(data), begins_picture(data)),
        NAL_SPS => (true, true),
        NAL_SLICE => (false, begins_picture(data)),
        NAL_SEI | NAL_PPS | NAL_DELIMITER => (false, true),
        _ => (false, false),
    };
    Inspected { key, start, ..Inspected::default() }
}

/// A keyframe starts at its SPS, or at the first slice of an IDR picture where the sender does not repeat the SPS.
pub fn inspect(payload: &[u8]) -> Option<Inspected> {
    let (&header, rest) = payload.split_first()?;
    match nal_type(header) {
        kind @ 1..=23 => Some(inspect_nal(kind, rest)),
        STAP_A => {
            let mut seen = Inspected::default();
            for (index, nal) in aggregated(rest).enumerate() {
                let (&header, data) = nal?.split_first()?;
                let one = inspect_nal(nal_type(header), data);
                seen.key |= one.key;
                seen.start |= one.start && index == 0;
            }
            Some(seen)
        }
        FU_A => {
            let (&fragment, data) = rest.split_first()?;
            Some(if fragment & 0x80 != 0 { inspect_nal(nal_type(fragment), data) } else { Inspected::default() })
        }
        _ => None,
    }
}

/// The sequence parameter set that a payload carries whole.
pub fn find_sps(payload: &[u8]) -> Option<Sps> {
    let (&header, rest) = payload.split_first()?;
    match nal_type(header) {
        NAL_SPS => Sps::parse(payload),
        STAP_A => aggregated(rest).flatten().find(|nal| nal_type(nal[0]) == NAL_SPS).and_then(Sps::parse),
        _ => None,
    }
}

/// NAL units of a STAP-A behind its header (RFC 6184 §5.7.1). `None` once where the packet is cut, then no more.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let nal = rest.split_first_chunk::<2>().and_then(|(len, tail)| {
            let len = usize::from(u16::from_be_bytes(*len));
            (len > 0 && tail.len() >= len).then(|| tail.split_at(len))
        });
        rest = nal.map_or(&[][..], |(_, tail)| tail);
        Some(nal.map(|(nal, _)| nal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static str, &'static [u8], Option<(bool, bool)>);

    #[test]
    fn keyframes_are_seen_in_every_packet_type() {
        let table: &[Case] = &[
            ("sps", &[0x67, 1], Some((true, true))),
            ("first idr slice", &[0x65, 0x88], Some((true, true))),
            ("second idr slice", &[0x65, 0x08], Some((false, false))),
            ("first slice", &[0x41, 0x9a], Some((false, true))),
            ("sei", &[0x06, 5], Some((false, true))),
            ("stap-a of sps and pps", &[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1], Some((true, true))),
            ("stap-a of sei and idr", &[0x78, 0, 2, 0x06, 1, 0, 2, 0x65, 0x80], Some((true, true))),
            ("stap-a cut", &[0x78, 0, 9, 0x67, 1], None),
            ("stap-a with one byte left", &[0x78, 0, 1, 0x67, 0], None),
            ("stap-a of an empty unit", &[0x78, 0, 0], None),
            ("fu-a start of idr", &[0x7c, 0x85, 0x80], Some((true, true))),
            ("fu-a middle of idr", &[0x7c, 0x05, 0x80], Some((false, false))),
            ("fu-a cut", &[0x7c], None),
            ("stap-b", &[0x79, 0, 0], None),
            ("empty", &[], None),
        ];
        for (name, payload, expected) in table {
            assert_eq!(inspect(payload).map(|seen| (seen.key, seen.start)), *expected, "{name}");
        }
    }
}
