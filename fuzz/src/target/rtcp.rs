//! RTCP in and out.

use std::time::Duration;

use media::limit;
use media::session::feedback::{Arrivals, Compound, Feedback, NackGenerator, TwccRecorder, parse};

use super::start;
use crate::bytes::Bytes;

/// A compound packet as it comes out of decryption.
pub fn compound(data: &[u8]) {
    let mut ended = false;
    let mut facts = 0;
    for item in parse(data) {
        assert!(!ended, "nothing follows a malformed packet");
        facts += match item {
            Feedback::Nack { lost, .. } => lost.count(),
            Feedback::Fir(entries) => entries.count(),
            Feedback::ReceiverReport { blocks, .. } => blocks.count(),
            Feedback::SenderReport(report) => report.blocks.count(),
            Feedback::TransportCc { packet } => {
                // A run of lost packets takes two bytes, so that these are bounded by themselves.
                let arrivals = Arrivals::parse(packet).map_or(0, Iterator::count);
                assert!(arrivals <= 2048, "{arrivals} arrivals");
                packet.len()
            }
            Feedback::ReferenceDelays(delays) => delays.count(),
            Feedback::Malformed => {
                ended = true;
                1
            }
            Feedback::Pli { .. } | Feedback::Remb { .. } | Feedback::Bye { .. } | Feedback::Other { .. } => 1,
        };
    }
    // A NACK names 17 numbers in 4 bytes; nothing says more.
    assert!(facts <= 17 * data.len(), "{facts} facts out of {} bytes", data.len());
}

/// Arrivals in any order and at any pace: what is told fits a datagram and reads as RTCP.
pub fn arrivals(data: &[u8]) {
    let (mut bytes, mut now) = (Bytes(data), start().mono);
    let (mut recorder, mut compound) = (TwccRecorder::new(), Compound::new());
    let mut seq = bytes.u16();
    while !bytes.is_empty() {
        let step = bytes.u8();
        // Mostly the next number, at times any.
        seq = if step < 0xf0 { seq.wrapping_add(u16::from(step & 3)) } else { bytes.u16() };
        now += Duration::from_micros(u64::from(step >> 2) << (bytes.u8() & 15));
        recorder.received(now, seq);
        while recorder.poll(now, 1, 2, &mut compound) {
            check_feedback(&compound);
            compound.clear();
        }
    }
    while recorder.poll(now + limit::TWCC_INTERVAL, 1, 2, &mut compound) {
        check_feedback(&compound);
        compound.clear();
    }
    assert_eq!(recorder.next_deadline(), None, "all is told");
}

fn check_feedback(compound: &Compound) {
    let bytes = compound.as_bytes();
    assert!(bytes.len() <= 1_100, "{} bytes", bytes.len());
    let mut packets = parse(bytes);
    assert!(matches!(packets.next(), Some(Feedback::TransportCc { .. })) && packets.next().is_none());
}

/// Extended sequence numbers in any order: requests are bounded and written as they were meant.
pub fn missing(data: &[u8]) {
    let (mut bytes, mut now) = (Bytes(data), start().mono);
    let (mut nack, mut seq) = (NackGenerator::new(), 1_u64 << 32);
    let mut lost = Vec::new();
    while !bytes.is_empty() {
        let step = i64::from(bytes.u16() as i16);
        seq = seq.saturating_add_signed(if step.unsigned_abs() < 30_000 { step / 1000 } else { step << 16 });
        now += Duration::from_millis(u64::from(bytes.u8()));
        nack.received(now, seq);
        lost.clear();
        nack.poll(now, &mut lost);
        assert!(lost.len() <= limit::NACK_MISSING);
        let mut compound = Compound::new();
        compound.nack(1, 2, &lost);
        let told: Vec<u16> = parse(compound.as_bytes())
            .flat_map(|item| match item {
                Feedback::Nack { lost, .. } => lost.collect::<Vec<_>>(),
                other => panic!("a NACK reads as {other:?}"),
            })
            .collect();
        assert!(lost.iter().all(|seq| told.contains(seq)) && told.iter().all(|seq| lost.contains(seq)));
    }
}
