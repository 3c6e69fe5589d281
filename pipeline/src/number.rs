//! The frame number that a test picture carries in itself, so that a decoded picture tells which one it is.
//!
//! # The strip
//!
//! The top twelfth of the picture is a row of 24 blocks of equal width, black or white. Block 0 is the leftmost. White is 1.
//! Blocks 0 to 19 are the number, most significant bit first; blocks 20 to 23 are its checksum, most significant bit first:
//! with the number's five nibbles n0 (most significant) to n4,
//!
//! ```text
//! checksum = (3·n0 + 5·n1 + 7·n2 + 11·n3 + 13·n4 + 9) mod 16
//! ```
//!
//! The odd factors catch any change within one nibble; the 9 makes an all-black strip unreadable, and an all-white one is
//! unreadable too. The layout depends on proportions only, so a scaled picture reads the same.
//!
//! A reader takes the mean luma of the middle half of each block (a quarter of it left out on each side, both ways). On the
//! 16–235 scale of video, above [`WHITE_ABOVE`] is white, below [`BLACK_BELOW`] is black, anything else makes the picture
//! unreadable: it is a blend of two, or damaged. On a canvas (0–255) the same bounds serve.
//!
//! In a browser:
//!
//! ```js
//! function frameNumber(video) {
//!   const w = video.videoWidth, h = video.videoHeight, strip = h / 12;
//!   const canvas = Object.assign(document.createElement("canvas"), { width: w, height: Math.ceil(strip) });
//!   const context = canvas.getContext("2d", { willReadFrequently: true });
//!   context.drawImage(video, 0, 0, w, h, 0, 0, w, h);
//!   let bits = 0;
//!   for (let block = 0; block < 24; block++) {
//!     const x = Math.floor(((block + 0.25) * w) / 24), y = Math.floor(strip / 4);
//!     const { data } = context.getImageData(x, y, Math.max(1, Math.floor(w / 48)), Math.max(1, Math.floor(strip / 2)));
//!     let sum = 0;
//!     for (let i = 0; i < data.length; i += 4) sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
//!     const luma = sum / (data.length / 4);
//!     if (luma >= 100 && luma <= 150) return null;
//!     bits = bits * 2 + (luma > 150 ? 1 : 0);
//!   }
//!   const number = bits >>> 4, n = [16, 12, 8, 4, 0].map((s) => (number >>> s) & 15);
//!   const sum = (3 * n[0] + 5 * n[1] + 7 * n[2] + 11 * n[3] + 13 * n[4] + 9) % 16;
//!   return sum === (bits & 15) ? number : null;
//! }
//! ```

/// Blocks in a strip.
pub const BLOCKS: usize = 24;
/// Numbers wrap around here.
pub const NUMBERS: u32 = 1 << 20;
/// Smallest picture that can carry a strip that survives coding: blocks of 16 by 16 pixels.
pub const SMALLEST: (u16, u16) = (384, 192);

pub const WHITE_ABOVE: u32 = 150;
pub const BLACK_BELOW: u32 = 100;
const BLACK: u8 = 16;
const WHITE: u8 = 235;

/// Lines of the strip in a picture of this height.
#[must_use]
pub fn strip_height(height: usize) -> usize {
    height / 12
}

/// The 24 bits of a strip, block 0 in bit 23.
#[must_use]
pub fn bits(number: u32) -> u32 {
    let number = number % NUMBERS;
    (number << 4) | checksum(number)
}

/// The number in 24 bits, if the checksum is right.
#[must_use]
pub fn from_bits(bits: u32) -> Option<u32> {
    let number = bits >> 4;
    (number < NUMBERS && checksum(number) == bits & 15).then_some(number)
}

fn checksum(number: u32) -> u32 {
    let nibbles = [16, 12, 8, 4, 0].map(|shift| (number >> shift) & 15);
    let sum: u32 = nibbles.iter().zip([3, 5, 7, 11, 13]).map(|(nibble, factor)| nibble * factor).sum();
    (sum + 9) % 16
}

/// Paints the strip over the top of a luma plane.
///
/// `luma` holds at least `height` lines of `stride` bytes, of which `width` are picture.
pub fn burn(number: u32, luma: &mut [u8], stride: usize, width: usize, height: usize) {
    let bits = bits(number);
    for line in luma.chunks_mut(stride).take(strip_height(height)) {
        for block in 0..BLOCKS {
            let value = if (bits >> (BLOCKS - 1 - block)) & 1 == 1 { WHITE } else { BLACK };
            line[block * width / BLOCKS..(block + 1) * width / BLOCKS].fill(value);
        }
    }
}

/// Reads the strip from a luma plane (16–235 or 0–255); `None` when there is none or it is damaged.
#[must_use]
pub fn read(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u32> {
    let strip = strip_height(height);
    if width < BLOCKS * 2 || strip < 2 || stride < width || luma.len() < strip * stride {
        return None;
    }
    let mut bits = 0;
    for block in 0..BLOCKS {
        let from = (4 * block + 1) * width / (4 * BLOCKS);
        let to = ((4 * block + 3) * width / (4 * BLOCKS)).max(from + 1);
        let (mut sum, mut count) = (0_u32, 0_u32);
        for line in luma.chunks(stride).take(strip - strip / 4).skip(strip / 4) {
            sum += line[from..to].iter().map(|luma| u32::from(*luma)).sum::<u32>();
            count += (to - from) as u32;
        }
        let bit = match sum / count {
            luma if luma > WHITE_ABOVE => 1,
            luma if luma < BLACK_BELOW => 0,
            _ => return None,
        };
        bits = (bits << 1) | bit;
    }
    from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_burning_and_wrap() {
        for (width, height, stride) in [(384, 192, 384), (640, 360, 704), (1280, 720, 1280), (854, 480, 856)] {
            for number in [0, 1, 29, 30, 4_095, 0xa5a5a, NUMBERS - 1] {
                let mut luma = vec![90; stride * height];
                burn(number, &mut luma, stride, width, height);
                assert_eq!(read(&luma, stride, width, height), Some(number), "{width}x{height}");
            }
        }
        assert_eq!(bits(NUMBERS + 7), bits(7));
    }

    #[test]
    fn plain_and_blended_pictures_have_no_number() {
        for luma in [0, 16, 125, 235, 255] {
            assert_eq!(read(&vec![luma; 640 * 360], 640, 640, 360), None, "{luma}");
        }
        let (mut one, mut two) = (vec![16; 640 * 360], vec![16; 640 * 360]);
        burn(1000, &mut one, 640, 640, 360);
        burn(1001, &mut two, 640, 640, 360);
        let blend: Vec<u8> = one.iter().zip(&two).map(|(a, b)| ((u32::from(*a) + u32::from(*b)) / 2) as u8).collect();
        assert_eq!(read(&blend, 640, 640, 360), None);
    }

    #[test]
    fn every_change_within_one_nibble_is_noticed() {
        for number in [0, 1, 0x12345, 0xfffff, 0x80000] {
            let good = bits(number);
            for nibble in 0..6 {
                for change in 1..16 {
                    assert_eq!(from_bits(good ^ (change << (4 * nibble))), None, "{number:x}");
                }
            }
        }
    }

    #[test]
    fn tiny_or_short_planes_are_no_panic() {
        assert_eq!(read(&[], 0, 0, 0), None);
        assert_eq!(read(&[0; 100], 640, 640, 360), None);
        assert_eq!(read(&[255; 47 * 48], 47, 47, 48), None);
    }
}
