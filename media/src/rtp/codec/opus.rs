//! Opus over RTP (RFC 7587): one packet is one access unit.

use super::Inspected;

/// An empty payload is no Opus packet (RFC 6716 §3.1 wants a table-of-contents byte).
pub fn inspect(payload: &[u8]) -> Option<Inspected> {
    (!payload.is_empty()).then_some(Inspected { key: true, start: true, ..Inspected::default() })
}

/// Duration of a packet in samples at 48 kHz (RFC 6716 §3.1, §3.2). `None` when it is malformed or longer than 120 ms.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=5760).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table: &[(&[u8], Option<u32>)] = &[
            (&[0x78, 1], Some(960)),        // CELT 20 ms, one frame
            (&[0x08, 1], Some(960)),        // SILK 20 ms
            (&[0x18, 1], Some(2880)),       // SILK 60 ms
            (&[0x79, 1], Some(1920)),       // two frames
            (&[0x7b, 0x03, 1], Some(2880)), // three frames
            (&[0x80, 1], Some(120)),        // CELT 2.5 ms
            (&[0x1b, 0x3f], None),          // 63 × 60 ms
            (&[0x7b], None),                // code 3 without its count
            (&[], None),
        ];
        for (packet, expected) in table {
            assert_eq!(samples(packet), *expected, "{packet:x?}");
        }
    }

    #[test]
    fn every_packet_with_a_byte_is_a_unit() {
        assert_eq!(inspect(&[0xf8]), Some(Inspected { key: true, start: true, ..Inspected::default() }));
        assert_eq!(inspect(&[]), None);
    }
}
