//! Which packets of a source were left out of a viewer's stream, so that its numbers close behind them. Why they were left out does not
//! belong here.
//!
//! A packet is left out before anything behind it was placed, or not at all: every number is computed from the source's index alone, the same at
//! any time.

/// How far behind the newest placed index the holes are known, in packets of the source.
const WINDOW: u64 = 1024;
const WORDS: u64 = WINDOW / 64;

/// What was left out before an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    pub packets: u64,
    pub pictures: u64,
}

/// See the head of this module.
#[derive(Debug)]
pub struct Holes {
    /// Highest index that was placed: it has a number, or was left out.
    newest: u64,
    packets: Marks,
    /// The first packet of each picture that was left out.
    pictures: Marks,
    /// Timestamp of the picture that `newest` was left out with.
    leaving: Option<u64>,
}

impl Holes {
    /// Nothing was left out up to `newest`.
    pub fn new(newest: u64) -> Self {
        Self { newest, packets: Marks::default(), pictures: Marks::default(), leaving: None }
    }

    /// The packet has its number, and so has each one before it that was not left out.
    pub fn keep(&mut self, index: u64) {
        if index > self.newest {
            self.reach(index);
            self.leaving = None;
        }
    }

    /// Leaves a packet out if nothing behind it was placed. What is missing between two packets of one picture belongs to it.
    pub fn leave_out(&mut self, index: u64, timestamp: u64) -> bool {
        if index <= self.newest {
            return self.is_left_out(index);
        }
        let of_the_picture = self.leaving == Some(timestamp);
        let first = if of_the_picture { (self.newest + 1).max(index.saturating_sub(WINDOW / 2)) } else { index };
        for left_out in first..=index {
            self.reach(left_out);
            self.packets.mark(left_out);
        }
        if !of_the_picture {
            self.pictures.mark(index);
        }
        self.leaving = Some(timestamp);
        true
    }

    pub fn is_left_out(&self, index: u64) -> bool {
        self.is_known(index) && index <= self.newest && self.packets.has(index)
    }

    /// `None`: too far back.
    pub fn before(&self, index: u64) -> Option<Before> {
        if index > self.newest {
            return Some(Before { packets: self.packets.count, pictures: self.pictures.count });
        }
        self.is_known(index)
            .then(|| Before { packets: self.packets.before(index), pictures: self.pictures.before(index) })
    }

    /// The index of the packet that has `kept` others of the same stretch before it, which began at `start`. `None`: too far back.
    pub fn index_of(&self, start: u64, kept: u64) -> Option<u64> {
        let newest_word = self.newest / 64;
        let lowest = newest_word.saturating_sub(WORDS - 1);
        let place = |index: u64| (index - start).checked_sub(self.packets.before(index));
        // The number of a word's first index is no higher than the one that is looked for.
        let word = (lowest..=newest_word).rev().find(|word| {
            let first = (word * 64).max(start);
            first / 64 == *word && place(first).is_some_and(|number| number <= kept)
        })?;
        let mut number = place((word * 64).max(start))?;
        for index in (word * 64).max(start)..(word + 1) * 64 {
            if !self.is_left_out(index) {
                if number == kept {
                    return Some(index);
                }
                number += 1;
            }
        }
        // Behind the newest.
        (word == newest_word).then_some(start + kept + self.packets.count)
    }

    fn is_known(&self, index: u64) -> bool {
        index / 64 + WORDS > self.newest / 64
    }

    fn reach(&mut self, index: u64) {
        let (from, to) = (self.newest / 64 + 1, index / 64);
        for word in from.max((to + 1).saturating_sub(WORDS))..=to {
            self.packets.begin(word);
            self.pictures.begin(word);
        }
        self.newest = self.newest.max(index);
    }
}

/// A set of indices: the newest are known, the others are counted.
#[derive(Debug, Default)]
struct Marks {
    bits: [u64; WORDS as usize],
    /// Low bits of how many lie before each word.
    before: [u16; WORDS as usize],
    count: u64,
}

impl Marks {
    fn mark(&mut self, index: u64) {
        self.bits[Self::place(index / 64)] |= 1 << (index % 64);
        self.count += 1;
    }

    fn has(&self, index: u64) -> bool {
        self.bits[Self::place(index / 64)] & (1 << (index % 64)) != 0
    }

    fn before(&self, index: u64) -> u64 {
        let place = Self::place(index / 64);
        let from_here_on = u64::from((self.count as u16).wrapping_sub(self.before[place]));
        let lower = self.bits[place] & ((1 << (index % 64)) - 1);
        self.count - from_here_on + u64::from(lower.count_ones())
    }

    fn begin(&mut self, word: u64) {
        let place = Self::place(word);
        (self.bits[place], self.before[place]) = (0, self.count as u16);
    }

    fn place(word: u64) -> usize {
        (word % WORDS) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_close_behind_what_is_left_out() {
        let mut holes = Holes::new(1000);
        holes.keep(1001);
        assert!(holes.leave_out(1002, 7));
        assert!(holes.leave_out(1004, 7), "1003 is of the same picture");
        holes.keep(1005);
        assert!(!holes.leave_out(1005, 8), "it has its number");
        assert!(holes.leave_out(1003, 7));
        assert_eq!(holes.before(1002), Some(Before::default()));
        assert_eq!(holes.before(1005), Some(Before { packets: 3, pictures: 1 }));
        assert_eq!(holes.before(9999), Some(Before { packets: 3, pictures: 1 }));
        assert_eq!(
            (0..=3).map(|kept| holes.index_of(1000, kept)).collect::<Vec<_>>(),
            [1000, 1001, 1005, 1006].map(Some)
        );
        holes.keep(1005 + 2 * WINDOW);
        assert_eq!(holes.before(1005), None, "forgotten");
        assert_eq!(holes.index_of(1000, 1), None);
        assert_eq!(holes.before(1005 + 2 * WINDOW), Some(Before { packets: 3, pictures: 1 }));
    }

    #[test]
    fn what_is_missing_before_another_picture_keeps_its_number() {
        let mut holes = Holes::new(70_000);
        assert!(holes.leave_out(70_001, 7));
        assert!(holes.leave_out(70_003, 8));
        assert_eq!((holes.is_left_out(70_002), holes.is_left_out(70_003)), (false, true));
        assert_eq!(holes.before(70_004), Some(Before { packets: 2, pictures: 2 }));
    }
}
