//! Inbound transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1) as an iterator that borrows from the packet: nothing
//! is allocated, nothing panics.

/// Packets that one feedback is believed about. More: the rest is not read, since a few bytes may claim 65,535 lost ones.
const STATUSES: u16 = 2048;

/// See the head of this module.
#[derive(Clone, Debug)]
pub struct Arrivals<'a> {
    next: u16,
    left: u16,
    /// Of the packet before, in microseconds of the receiver's clock modulo 2^32: the 24 bits of 64 ms wrap where these do.
    clock_us: u32,
    chunks: &'a [u8],
    /// Statuses of the chunk at hand that are left, as bits from the top, and how many bits one has; 0: a run of `status`.
    bits: u16,
    width: u8,
    of_chunk: u16,
    status: u8,
    deltas: &'a [u8],
}

/// One packet's fate: its transport-wide number and when it came, in microseconds of the receiver's clock modulo 2^32. `None`: it did not.
pub type Arrival = (u16, Option<u32>);

impl<'a> Arrivals<'a> {
    /// `packet` is the whole RTCP packet, header included. `None` when it is cut.
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let (head, body) = packet.split_first_chunk::<20>()?;
        let count = u16::from_be_bytes([head[14], head[15]]);
        let reference = u32::from_be_bytes([0, head[16], head[17], head[18]]);
        let mut covered = 0u32;
        let mut chunks = 0;
        while covered < u32::from(count) {
            let chunk: &[u8; 2] = body.get(chunks..)?.first_chunk()?;
            covered += u32::from(length(u16::from_be_bytes(*chunk)));
            chunks += 2;
        }
        Some(Self {
            next: u16::from_be_bytes([head[12], head[13]]),
            left: count.min(STATUSES),
            clock_us: reference.wrapping_mul(64_000),
            chunks: &body[..chunks],
            bits: 0,
            width: 0,
            of_chunk: 0,
            status: 0,
            deltas: &body[chunks..],
        })
    }

    fn next_status(&mut self) -> Option<u8> {
        while self.of_chunk == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            let chunk = u16::from_be_bytes(*chunk);
            self.chunks = rest;
            self.of_chunk = length(chunk);
            (self.width, self.bits) = match chunk >> 14 {
                0b10 => (1, chunk << 2),
                0b11 => (2, chunk << 2),
                _ => (0, 0),
            };
            self.status = (chunk >> 13 & 3) as u8;
        }
        self.of_chunk -= 1;
        if self.width == 0 {
            return Some(self.status);
        }
        let status = self.bits >> (16 - self.width);
        self.bits <<= self.width;
        Some(status as u8)
    }
}

/// Statuses in a chunk: 14 or 7 of a vector, or those of a run. A run of none would never end.
fn length(chunk: u16) -> u16 {
    match chunk >> 14 {
        0b10 => 14,
        0b11 => 7,
        _ => (chunk & 0x1fff).max(1),
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        self.left = self.left.checked_sub(1)?;
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        // Deltas in units of 250 µs (§3.1.5); the reserved status has none and says nothing.
        let ticks = match self.next_status()? {
            0 => return Some((sequence, None)),
            1 => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                i32::from(*delta)
            }
            2 => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                i32::from(i16::from_be_bytes(*delta))
            }
            _ => return None,
        };
        self.clock_us = self.clock_us.wrapping_add_signed(ticks * 250);
        Some((sequence, Some(self.clock_us)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::{Compound, TwccRecorder};
    use super::*;
    use crate::session::testing::start;

    proptest! {
        #[test]
        fn what_the_recorder_writes_is_read(first: u16, steps in prop::collection::vec((1u16..5, 0u32..90_000), 1..300)) {
            let (mut recorder, began) = (TwccRecorder::new(), start().mono);
            let (mut sequence, mut us, mut came) = (first, 0, Vec::new());
            for (step, pause) in steps {
                sequence = sequence.wrapping_add(step);
                // The recorder counts from the first one.
                us += if came.is_empty() { 0 } else { pause };
                recorder.received(began + Duration::from_micros(us.into()), sequence);
                came.push((sequence, us / 250 * 250));
            }
            let (mut read, mut lost, mut compound) = (Vec::new(), 0, Compound::new());
            while recorder.poll(began + Duration::from_secs(60), 1, 2, &mut compound) {
                for (sequence, arrival) in Arrivals::parse(compound.as_bytes()).expect("a feedback") {
                    match arrival {
                        Some(at) => read.push((sequence, at)),
                        None => lost += 1,
                    }
                }
                compound.clear();
            }
            prop_assert_eq!(&read, &came);
            let span = usize::from(sequence.wrapping_sub(came[0].0)) + 1;
            // Between two feedbacks lost ones may be told by neither.
            prop_assert!(lost + came.len() <= span);
        }

        #[test]
        fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let read = Arrivals::parse(&bytes).map_or(0, Iterator::count);
            prop_assert!(read <= usize::from(STATUSES));
        }
    }
}
