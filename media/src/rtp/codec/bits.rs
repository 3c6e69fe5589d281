//! Bits of a header, most significant first.

/// A cursor. Past the end everything is `None`.
pub struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Bits read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn flag(&mut self) -> Option<bool> {
        let byte = *self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// At most 32 bits.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// `ue(v)` of ITU-T H.264 §9.1, which is also `uvlc()` of AV1 §4.10.3. A signed value takes the same bits, so it is skipped with this
    /// too. `None` beyond 31 leading zeros.
    pub fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_and_end() {
        let mut bits = Bits::new(&[0b1010_0110, 0b1111_0000]);
        assert_eq!((bits.flag(), bits.take(3), bits.take(8)), (Some(true), Some(0b010), Some(0b0110_1111)));
        assert_eq!((bits.take(5), bits.flag()), (None, None));
        assert_eq!(Bits::new(&[0b0010_1000]).exp_golomb(), Some(4));
        assert_eq!(Bits::new(&[0; 4]).exp_golomb(), None);
    }
}
