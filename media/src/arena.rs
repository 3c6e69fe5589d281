//! The send arena: where outgoing datagrams are written, header and ciphertext in place.
//!
//! One byte buffer per shard, filled during a turn and emptied by the caller after the datagrams were sent. Datagrams to one
//! destination that follow each other form a run, which a socket can hand to the kernel in one call (UDP GSO): all segments
//! of a run have the same length, but the last may be shorter. Sockets do not belong here.

use std::net::SocketAddr;

/// Bytes of one arena: what is written is still near when it is sent, and the first viewers of a fan-out need not wait for the last.
pub const ARENA_BYTES: usize = 512 * 1024;
/// Runs of one arena.
pub const ARENA_RUNS: usize = 1024;
/// Datagrams of one run: long enough to divide the cost of a system call, short enough for a receiver's queue.
pub const RUN_SEGMENTS: u16 = 16;
/// Bytes of one run. UDP GSO takes at most 65,507.
pub const RUN_BYTES: usize = 60 * 1024;

/// Datagrams to one destination, back to back in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub to: SocketAddr,
    /// Offset of the first byte in [`SendArena::bytes`].
    pub start: usize,
    /// Bytes of the whole run.
    pub len: usize,
    /// Bytes of each datagram; the last one of the run may be shorter.
    pub segment: usize,
    /// Number of datagrams, at most [`RUN_SEGMENTS`].
    pub count: u16,
}

impl Run {
    fn takes(&self, to: SocketAddr, len: usize) -> bool {
        let last_is_whole = self.len == self.segment * usize::from(self.count);
        self.to == to
            && last_is_whole
            && len <= self.segment
            && self.count < RUN_SEGMENTS
            && self.len + len <= RUN_BYTES
    }
}

/// See the head of this module.
pub struct SendArena {
    bytes: Box<[u8]>,
    used: usize,
    runs: Vec<Run>,
    slot: Option<(SocketAddr, usize)>,
}

impl Default for SendArena {
    fn default() -> Self {
        Self::new()
    }
}

impl SendArena {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; ARENA_BYTES].into_boxed_slice(),
            used: 0,
            runs: Vec::with_capacity(ARENA_RUNS),
            slot: None,
        }
    }

    /// A slot of `max_len` bytes for one datagram to `to`, to be finished by [`SendArena::commit`]. An unfinished earlier slot is
    /// abandoned. `None` when the arena is full: the caller drops the datagram and counts it.
    ///
    /// The slot's bytes are whatever was there before.
    pub fn open(&mut self, to: SocketAddr, max_len: usize) -> Option<&mut [u8]> {
        self.slot = None;
        if self.runs.len() == ARENA_RUNS || self.bytes.len() - self.used < max_len {
            return None;
        }
        self.slot = Some((to, max_len));
        Some(&mut self.bytes[self.used..self.used + max_len])
    }

    /// Finishes the open slot: its first `len` bytes are the datagram. 0 abandons it.
    ///
    /// # Panics
    /// Without an open slot, or if `len` is larger than the slot: both are bugs of the caller.
    pub fn commit(&mut self, len: usize) {
        let (to, max_len) = self.slot.take().expect("commit follows open");
        assert!(len <= max_len, "a datagram of {len} bytes in a slot of {max_len}");
        if len == 0 {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if run.takes(to, len) => {
                run.len += len;
                run.count += 1;
            }
            _ => self.runs.push(Run { to, start: self.used, len, segment: len, count: 1 }),
        }
        self.used += len;
    }

    /// Copies one finished datagram. False when the arena is full.
    #[must_use]
    pub fn push(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        let Some(slot) = self.open(to, datagram.len()) else { return false };
        slot.copy_from_slice(datagram);
        self.commit(datagram.len());
        true
    }

    /// In the order of writing.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The bytes that [`Run::start`] and [`Run::len`] speak of.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Each datagram with its destination, in the order of writing.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.runs
            .iter()
            .flat_map(|run| self.bytes[run.start..run.start + run.len].chunks(run.segment).map(|data| (run.to, data)))
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes that are left.
    pub fn room(&self) -> usize {
        if self.runs.len() == ARENA_RUNS { 0 } else { self.bytes.len() - self.used }
    }

    /// No room for one more datagram of any size: send what is here, then [`SendArena::clear`].
    pub fn is_full(&self) -> bool {
        self.runs.len() == ARENA_RUNS || self.bytes.len() - self.used < crate::limit::DATAGRAM_BYTES
    }

    /// Forgets all datagrams; they were sent.
    pub fn clear(&mut self) {
        self.used = 0;
        self.runs.clear();
        self.slot = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Port, bytes, segment, count.
    type Shape = (u16, usize, usize, u16);
    type Case = (&'static str, &'static [(u16, usize)], &'static [Shape]);

    fn lengths(datagrams: &[(u16, usize)]) -> Vec<Shape> {
        let mut arena = SendArena::new();
        for &(port, len) in datagrams {
            assert!(arena.push(at(port), &vec![port as u8; len]));
        }
        arena.runs().iter().map(|run| (run.to.port(), run.len, run.segment, run.count)).collect()
    }

    #[test]
    fn runs_follow_the_rule_of_gso() {
        let table: &[Case] = &[
            ("one", &[(1, 100)], &[(1, 100, 100, 1)]),
            ("equal segments extend", &[(1, 100), (1, 100), (1, 100)], &[(1, 300, 100, 3)]),
            ("a shorter one ends the run", &[(1, 100), (1, 60), (1, 60)], &[(1, 160, 100, 2), (1, 60, 60, 1)]),
            ("a longer one opens a run", &[(1, 100), (1, 101)], &[(1, 100, 100, 1), (1, 101, 101, 1)]),
            ("another destination", &[(1, 9), (2, 9), (1, 9)], &[(1, 9, 9, 1), (2, 9, 9, 1), (1, 9, 9, 1)]),
        ];
        for (name, datagrams, runs) in table {
            assert_eq!(lengths(datagrams), *runs, "{name}");
        }
    }

    #[test]
    fn runs_are_bounded_in_segments_and_bytes() {
        assert_eq!(lengths(&[(1, 10); 17]), [(1, 160, 10, 16), (1, 10, 10, 1)]);
        assert_eq!(lengths(&[(1, 20_000); 4]), [(1, 60_000, 20_000, 3), (1, 20_000, 20_000, 1)]);
    }

    #[test]
    fn slots_are_written_in_place_and_trimmed() {
        let mut arena = SendArena::new();
        arena.open(at(1), 1200).unwrap()[..3].copy_from_slice(b"abc");
        arena.commit(3);
        arena.open(at(1), 1200).unwrap()[..2].copy_from_slice(b"de");
        arena.commit(2);
        arena.open(at(1), 1200).unwrap();
        arena.commit(0);
        let sent: Vec<_> = arena.datagrams().collect();
        assert_eq!(sent, [(at(1), &b"abc"[..]), (at(1), &b"de"[..])]);
        assert_eq!(arena.bytes(), b"abcde");
        arena.clear();
        assert!(arena.is_empty() && arena.bytes().is_empty());
    }

    #[test]
    fn a_full_arena_refuses() {
        let mut by_bytes = SendArena::new();
        while by_bytes.push(at(1), &[0; 1500]) {}
        assert!(by_bytes.is_full() && by_bytes.bytes().len() > ARENA_BYTES - 1500);
        let mut by_runs = SendArena::new();
        for port in 0..ARENA_RUNS as u16 {
            assert!(by_runs.push(at(port), &[0]));
        }
        assert!(by_runs.is_full() && !by_runs.push(at(9), &[0]));
        by_runs.clear();
        assert!(!by_runs.is_full() && by_runs.push(at(9), &[0]));
    }
}
