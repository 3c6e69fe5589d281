//! Which packet indices were seen (RFC 3711 §3.3.2): inbound against replays, outbound against a second use of a nonce.

/// Remembers the last `64 * WORDS` indices below the highest.
#[derive(Clone, Debug)]
pub(super) struct Window<const WORDS: usize> {
    /// Highest index taken, plus one; 0 before the first.
    next: u64,
    bits: [u64; WORDS],
}

impl<const WORDS: usize> Default for Window<WORDS> {
    fn default() -> Self {
        Self { next: 0, bits: [0; WORDS] }
    }
}

impl<const WORDS: usize> Window<WORDS> {
    const BITS: u64 = WORDS as u64 * 64;

    /// Highest index taken.
    pub fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Neither taken before nor too old to tell.
    pub fn is_fresh(&self, index: u64) -> bool {
        if index >= self.next {
            return true;
        }
        self.next - index <= Self::BITS && self.bits[Self::word(index)] & Self::bit(index) == 0
    }

    /// Marks a fresh index as taken.
    pub fn take(&mut self, index: u64) {
        if index >= self.next {
            if index - self.next >= Self::BITS {
                self.bits = [0; WORDS];
            } else {
                for skipped in self.next..=index {
                    self.bits[Self::word(skipped)] &= !Self::bit(skipped);
                }
            }
            self.next = index + 1;
        }
        self.bits[Self::word(index)] |= Self::bit(index);
    }

    fn word(index: u64) -> usize {
        (index % Self::BITS / 64) as usize
    }

    fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_each_index_once() {
        let mut window = Window::<2>::default();
        assert_eq!(window.highest(), None);
        for (index, fresh) in
            [(0, true), (0, false), (5, true), (3, true), (3, false), (200, true), (72, false), (73, true)]
        {
            assert_eq!(window.is_fresh(index), fresh, "{index}");
            if fresh {
                window.take(index);
            }
        }
        assert_eq!(window.highest(), Some(200));
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec(0u64..600, 1..400), base in prop::sample::select(vec![0u64, 65_000, 1 << 47])) {
            let mut window = Window::<4>::default();
            let mut seen = BTreeSet::new();
            for index in steps.into_iter().map(|s| base + s) {
                let highest = seen.last().copied();
                let recent = highest.is_none_or(|h| index + 256 > h);
                prop_assert_eq!(window.is_fresh(index), recent && !seen.contains(&index));
                if window.is_fresh(index) {
                    window.take(index);
                    seen.insert(index);
                }
                prop_assert_eq!(window.highest(), seen.last().copied());
            }
        }
    }
}
