//! What an Opus packet says about itself.

/// Nanoseconds of sound in a packet (RFC 6716 §3.1 and §3.2); 20 ms when it is empty or malformed.
pub(super) fn duration_ns(packet: &[u8]) -> u64 {
    const USUAL: u64 = 20_000_000;
    let Some(toc) = packet.first() else { return USUAL };
    let frame_us: u64 = match toc >> 3 {
        config @ 0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        config @ 12..=15 => [10_000, 20_000][usize::from(config % 2)],
        config => [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1).map_or(0, |count| count & 0x3f)),
    };
    match frame_us * frames {
        us @ 1..=120_000 => us * 1000,
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_duration() {
        let cases: [(&[u8], u64); 8] = [
            (&[31 << 3], 20_000),          // CELT fullband 20 ms, one frame
            (&[28 << 3], 2_500),           // CELT 2.5 ms
            (&[(31 << 3) | 1], 40_000),    // two equal frames
            (&[(31 << 3) | 3, 3], 60_000), // three frames by count
            (&[3 << 3], 60_000),           // SILK 60 ms
            (&[12 << 3], 10_000),          // hybrid 10 ms
            (&[], 20_000),
            (&[(31 << 3) | 3, 63], 20_000), // more than 120 ms is malformed
        ];
        for (packet, us) in cases {
            assert_eq!(duration_ns(packet), us * 1000, "{packet:?}");
        }
    }
}
