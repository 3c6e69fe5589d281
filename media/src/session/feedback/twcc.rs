//! Arrival times for the sender's bandwidth estimation (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::VecDeque;
use std::time::Instant;

use super::compound::Compound;
use crate::limit;

/// Arrivals are told in units of 250 µs, reference times in units of 64 ms.
const TICK_US: u64 = 250;
const REFERENCE_TICKS: u64 = 64_000 / TICK_US;
/// Packets told per feedback packet; with two-byte deltas it stays under 1,100 bytes.
const STATUSES: usize = 400;
/// Arrivals that stay known after they were told, so that a feedback about a late packet does not call those around it lost.
const KEPT: usize = 500;
/// A number this far from the others belongs to another run of the sender.
const JUMP: u64 = 4096;

/// Arrivals of one transport, numbered across its streams.
#[derive(Clone, Debug, Default)]
pub struct TwccRecorder {
    epoch: Option<Instant>,
    /// Extended number of the first entry of `arrivals`.
    start: u64,
    /// Ticks since the epoch; `None`: not come.
    arrivals: VecDeque<Option<u64>>,
    /// Lowest number not told yet.
    untold: Option<u64>,
    due: Option<Instant>,
    count: u8,
}

impl TwccRecorder {
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet with this transport-wide sequence number came.
    pub fn received(&mut self, now: Instant, seq: u16) {
        let epoch = *self.epoch.get_or_insert(now);
        let tick = now.saturating_duration_since(epoch).as_micros() as u64 / TICK_US;
        let seq = self.extend(seq);
        let end = self.start + self.arrivals.len() as u64;
        if self.arrivals.is_empty() || seq + JUMP < end || seq >= end + JUMP {
            self.arrivals.clear();
            self.start = seq;
            self.untold = None;
        }
        while seq < self.start {
            self.arrivals.push_front(None);
            self.start -= 1;
        }
        let at = (seq - self.start) as usize;
        if at >= self.arrivals.len() {
            self.arrivals.resize(at + 1, None);
        }
        if self.arrivals[at].is_some() {
            return;
        }
        self.arrivals[at] = Some(tick);
        self.untold = Some(self.untold.map_or(seq, |lowest| lowest.min(seq)));
        self.due.get_or_insert(now + limit::TWCC_INTERVAL);
    }

    /// The extended number nearest to the latest. Numbering starts at a cycle of its own, so that earlier ones stay positive.
    fn extend(&self, seq: u16) -> u64 {
        let Some(last) = (self.start + self.arrivals.len() as u64).checked_sub(1).filter(|_| !self.arrivals.is_empty())
        else {
            return (1 << 32) | u64::from(seq);
        };
        last.wrapping_add_signed(i64::from(seq.wrapping_sub(last as u16) as i16))
    }

    /// When [`TwccRecorder::poll`] has something to say.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Appends a feedback packet if one is due. Call until false: much news takes several, each for a datagram of its own.
    pub fn poll(&mut self, now: Instant, sender: u32, media: u32, compound: &mut Compound) -> bool {
        if self.due.is_none_or(|due| now < due) {
            return false;
        }
        let Some(base) = self.untold else {
            self.due = None;
            return false;
        };
        let from = (base - self.start) as usize;
        let batch = Batch::take(self.arrivals.range(from..));
        batch.write(base as u16, self.count, sender, media, compound);
        self.count = self.count.wrapping_add(1);
        let end = from + batch.statuses.len();
        let next = self.arrivals.range(end..).position(Option::is_some).map(|at| self.start + (end + at) as u64);
        self.untold = next;
        if next.is_none() {
            self.due = None;
            let surplus = self.arrivals.len().saturating_sub(KEPT);
            self.arrivals.drain(..surplus);
            self.start += surplus as u64;
        }
        true
    }
}

/// How a packet is told (§3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Lost = 0,
    Small = 1,
    Large = 2,
}

/// What fits one feedback packet. The first packet of it came.
struct Batch {
    reference: u64,
    statuses: Vec<Status>,
    deltas: Vec<u8>,
}

impl Batch {
    fn take<'a>(arrivals: impl Iterator<Item = &'a Option<u64>>) -> Self {
        let mut batch = Self { reference: 0, statuses: Vec::new(), deltas: Vec::new() };
        let mut before = None;
        for arrival in arrivals.take(STATUSES) {
            let Some(tick) = *arrival else {
                batch.statuses.push(Status::Lost);
                continue;
            };
            let last = *before.get_or_insert_with(|| {
                batch.reference = tick / REFERENCE_TICKS;
                batch.reference * REFERENCE_TICKS
            });
            let delta = tick as i64 - last as i64;
            match (u8::try_from(delta), i16::try_from(delta)) {
                (Ok(small), _) => {
                    batch.statuses.push(Status::Small);
                    batch.deltas.push(small);
                }
                (_, Ok(large)) => {
                    batch.statuses.push(Status::Large);
                    batch.deltas.extend_from_slice(&large.to_be_bytes());
                }
                // More than 8 s apart: the next packet starts with a reference of its own.
                _ => break,
            }
            before = Some(tick);
        }
        while batch.statuses.last() == Some(&Status::Lost) {
            batch.statuses.pop();
        }
        batch
    }

    fn write(&self, base: u16, count: u8, sender: u32, media: u32, compound: &mut Compound) {
        let at = compound.begin(15, 205);
        compound.u32(sender);
        compound.u32(media);
        compound.u32(u32::from(base) << 16 | self.statuses.len() as u32);
        compound.u32((self.reference as u32 & 0xff_ffff) << 8 | u32::from(count));
        let mut rest = &self.statuses[..];
        while !rest.is_empty() {
            let (chunk, taken) = chunk(rest);
            compound.put(&chunk.to_be_bytes());
            rest = &rest[taken..];
        }
        compound.put(&self.deltas);
        compound.end(at);
    }
}

/// One packet chunk (§3.1.3, §3.1.4) and how many statuses it tells.
fn chunk(statuses: &[Status]) -> (u16, usize) {
    let run = statuses.iter().take(0x1fff).take_while(|s| **s == statuses[0]).count();
    let without_large = statuses.iter().take(14).take_while(|s| **s != Status::Large).count();
    if run >= 14 || run >= 7 && without_large < 14 || run == statuses.len() {
        return ((statuses[0] as u16) << 13 | run as u16, run);
    }
    if without_large == statuses.len().min(14) {
        let bits = statuses.iter().take(14).enumerate().fold(0, |bits, (at, s)| bits | (*s as u16) << (13 - at));
        return (0x8000 | bits, without_large);
    }
    let taken = statuses.len().min(7);
    let bits = statuses.iter().take(7).enumerate().fold(0, |bits, (at, s)| bits | (*s as u16) << (12 - 2 * at));
    (0xc000 | bits, taken)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rtc_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
    use rtc_shared::marshal::Unmarshal;

    use super::*;
    use crate::session::testing::start;

    /// What an independent parser reads: number and arrival in ticks since the recorder's first packet, `None` for a lost one.
    fn read(mut bytes: &[u8]) -> Vec<(u16, Option<i64>)> {
        let packet = TransportLayerCc::unmarshal(&mut bytes).expect("a feedback packet");
        let mut symbols = Vec::new();
        for chunk in &packet.packet_chunks {
            match chunk {
                PacketStatusChunk::RunLengthChunk(run) => {
                    symbols.extend(std::iter::repeat_n(run.packet_status_symbol, run.run_length.into()))
                }
                PacketStatusChunk::StatusVectorChunk(vector) => symbols.extend(&vector.symbol_list),
            }
        }
        assert!(symbols.len() >= usize::from(packet.packet_status_count));
        let mut at = i64::from(packet.reference_time) * 256;
        let mut deltas = packet.recv_deltas.iter();
        (0..packet.packet_status_count)
            .map(|n| {
                let arrival = (symbols[usize::from(n)] != SymbolTypeTcc::PacketNotReceived).then(|| {
                    at += deltas.next().expect("a delta").delta / 250;
                    at
                });
                (packet.base_sequence_number.wrapping_add(n), arrival)
            })
            .collect()
    }

    fn poll(recorder: &mut TwccRecorder, now: Instant) -> Vec<Vec<(u16, Option<i64>)>> {
        let (mut all, mut compound) = (Vec::new(), Compound::new());
        while recorder.poll(now, 1, 2, &mut compound) {
            assert!(compound.as_bytes().len() <= 1_100, "{}", compound.as_bytes().len());
            all.push(read(compound.as_bytes()));
            compound.clear();
        }
        all
    }

    #[test]
    fn tells_arrivals_losses_and_latecomers() {
        let (mut recorder, t) = (TwccRecorder::new(), start().mono);
        let at = |us| t + Duration::from_micros(us);
        assert_eq!(recorder.next_deadline(), None);
        for (us, seq) in [(0, 65_534), (250, 65_535), (100_000, 1)] {
            recorder.received(at(us), seq);
        }
        assert_eq!(recorder.next_deadline(), Some(t + limit::TWCC_INTERVAL));
        assert!(poll(&mut recorder, at(1_000)).is_empty());
        let told = poll(&mut recorder, at(100_000));
        assert_eq!(told, [vec![(65_534, Some(0)), (65_535, Some(1)), (0, None), (1, Some(400))]]);
        assert_eq!(recorder.next_deadline(), None);
        recorder.received(at(150_000), 0);
        recorder.received(at(151_000), 2);
        let told = poll(&mut recorder, at(250_000));
        assert_eq!(told, [vec![(0, Some(600)), (1, Some(400)), (2, Some(604))]], "the one in between is told again");
    }

    #[test]
    fn a_long_silence_starts_a_new_reference() {
        let (mut recorder, t) = (TwccRecorder::new(), start().mono);
        recorder.received(t, 1);
        recorder.received(t + Duration::from_secs(20), 2);
        let told = poll(&mut recorder, t + Duration::from_secs(30));
        assert_eq!(told, [vec![(1, Some(0))], vec![(2, Some(80_000))]]);
    }

    #[test]
    fn a_sender_that_starts_over_is_followed() {
        let (mut recorder, t) = (TwccRecorder::new(), start().mono);
        recorder.received(t, 1);
        recorder.received(t, 30_000);
        recorder.received(t, 30_001);
        assert_eq!(poll(&mut recorder, t + limit::TWCC_INTERVAL), [vec![(30_000, Some(0)), (30_001, Some(0))]]);
    }

    proptest! {
        #[test]
        fn an_independent_parser_reads_every_arrival_once_as_it_was(
            first: u16,
            steps in prop::collection::vec((prop_oneof![4 => 1i32..2, 1 => -3i32..6], prop_oneof![4 => 0u64..5_000, 1 => 0u64..400_000]), 1..900),
        ) {
            let (mut recorder, t) = (TwccRecorder::new(), start().mono);
            let mut came = std::collections::BTreeMap::new();
            let mut told = std::collections::BTreeMap::new();
            let (mut us, mut seq) = (0, 1i64 << 32 | i64::from(first));
            let mut note = |packets: Vec<Vec<(u16, Option<i64>)>>| {
                for (seq, arrival) in packets.into_iter().flatten() {
                    if let Some(tick) = arrival
                        && let Some(before) = told.insert(seq, tick)
                    {
                        assert_eq!(before, tick);
                    }
                }
            };
            for (n, (step, pause)) in steps.into_iter().enumerate() {
                us += if n == 0 { 0 } else { pause };
                seq += i64::from(step);
                recorder.received(t + Duration::from_micros(us), seq as u16);
                came.entry(seq as u16).or_insert((us / TICK_US) as i64);
                note(poll(&mut recorder, t + Duration::from_micros(us)));
            }
            note(poll(&mut recorder, t + Duration::from_micros(us) + limit::TWCC_INTERVAL));
            prop_assert_eq!(told, came);
        }
    }
}
