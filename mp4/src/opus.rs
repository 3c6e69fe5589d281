//! What an Opus packet says about itself, and packets of silence.

/// 20 ms of silence, mono and stereo: CELT, full band (RFC 6716 §3.1), a frame that decodes to nothing.
#[must_use]
pub fn silence(channels: u8) -> &'static [u8] {
    if channels == 2 { &[0xfc, 0xff, 0xfe] } else { &[0xf8, 0xff, 0xfe] }
}

/// Samples at 48 kHz in [`silence`].
pub const SILENCE_SAMPLES: u64 = 960;

/// Samples at 48 kHz in a packet (RFC 6716 §3.1 and §3.2); 960 when it is empty or malformed.
#[must_use]
pub fn samples(packet: &[u8]) -> u64 {
    const USUAL: u64 = 960;
    let Some(toc) = packet.first() else { return USUAL };
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config % 4)],
        config @ 12..=15 => [480, 960][usize::from(config % 2)],
        config => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1).map_or(0, |count| count & 0x3f)),
    };
    match frame * frames {
        count @ 1..=5760 => count,
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_duration() {
        let cases: [(&[u8], u64); 9] = [
            (&[31 << 3], 960),           // CELT full band 20 ms, one frame
            (&[28 << 3], 120),           // CELT 2.5 ms
            (&[(31 << 3) | 1], 1920),    // two equal frames
            (&[(31 << 3) | 3, 3], 2880), // three frames by count
            (&[3 << 3], 2880),           // SILK 60 ms
            (&[12 << 3], 480),           // hybrid 10 ms
            (&[], 960),
            (&[(31 << 3) | 3, 63], 960), // more than 120 ms is malformed
            (&[(31 << 3) | 3], 960),
        ];
        for (packet, expected) in cases {
            assert_eq!(samples(packet), expected, "{packet:?}");
        }
        for channels in [1, 2] {
            assert_eq!(samples(silence(channels)), SILENCE_SAMPLES);
        }
    }
}
