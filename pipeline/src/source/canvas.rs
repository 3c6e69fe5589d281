//! A small painter for I420 pictures: rectangles, discs, figures. Everything outside the picture is cut off.

/// A colour as video carries it (BT.601, 16–235).
#[derive(Clone, Copy)]
pub(super) struct Colour {
    y: u8,
    u: u8,
    v: u8,
}

impl Colour {
    /// From 0xRRGGBB.
    pub(super) const fn rgb(rgb: u32) -> Self {
        let (r, g, b) = (((rgb >> 16) & 255) as i32, ((rgb >> 8) & 255) as i32, (rgb & 255) as i32);
        Self {
            y: (16 + (66 * r + 129 * g + 25 * b + 128) / 256) as u8,
            u: (128 + (-38 * r - 74 * g + 112 * b) / 256) as u8,
            v: (128 + (112 * r - 94 * g - 18 * b) / 256) as u8,
        }
    }

    /// `part` of 256 of the way to `other`.
    pub(super) fn mix(self, other: Self, part: u32) -> Self {
        let between = |from: u8, to: u8| ((u32::from(from) * (256 - part) + u32::from(to) * part) / 256) as u8;
        Self { y: between(self.y, other.y), u: between(self.u, other.u), v: between(self.v, other.v) }
    }
}

/// An I420 picture: planes one behind the other, strides equal to the widths. Both sides are even.
#[derive(Clone)]
pub(super) struct Canvas {
    pub width: usize,
    pub height: usize,
    pub data: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![128; width * height * 3 / 2] }
    }

    pub(super) fn luma(&mut self) -> &mut [u8] {
        &mut self.data[..self.width * self.height]
    }

    /// A horizontal line from `x0` up to and without `x1`. Chroma follows on even lines.
    pub(super) fn line(&mut self, y: i32, x0: i32, x1: i32, colour: Colour) {
        let (x0, x1) = (x0.clamp(0, self.width as i32) as usize, x1.clamp(0, self.width as i32) as usize);
        if y < 0 || y >= self.height as i32 || x0 >= x1 {
            return;
        }
        let (y, width, picture) = (y as usize, self.width, self.width * self.height);
        self.data[y * width + x0..y * width + x1].fill(colour.y);
        if y.is_multiple_of(2) {
            let (from, to) = (x0 / 2, x1.div_ceil(2));
            let row = y / 2 * (width / 2);
            self.data[picture + row + from..picture + row + to].fill(colour.u);
            self.data[picture + picture / 4 + row + from..picture + picture / 4 + row + to].fill(colour.v);
        }
    }

    pub(super) fn rectangle(&mut self, x: i32, y: i32, width: i32, height: i32, colour: Colour) {
        for line in y..y + height {
            self.line(line, x, x + width, colour);
        }
    }

    pub(super) fn disc(&mut self, x: i32, y: i32, radius: i32, colour: Colour) {
        for dy in -radius..=radius {
            let half = f64::from(radius * radius - dy * dy).sqrt() as i32;
            self.line(y + dy, x - half, x + half, colour);
        }
    }

    /// Seven-segment figures with slanted ends; `height` pixels high. Returns the width that was used.
    pub(super) fn figures(&mut self, text: &str, x: i32, y: i32, height: i32, colour: Colour) -> i32 {
        let thick = (height / 8).max(2);
        let (wide, gap) = (height * 9 / 16, thick);
        let mut at = x;
        for sign in text.chars() {
            let dot = |canvas: &mut Self, at: i32, up: i32| canvas.rectangle(at, y + up, thick, thick, colour);
            match sign {
                ':' => {
                    dot(self, at, height / 4);
                    dot(self, at, height * 5 / 8);
                    at += thick + gap;
                }
                '.' => {
                    dot(self, at, height - thick);
                    at += thick + gap;
                }
                _ => {
                    self.segments(sign, at, y, wide, height, thick, colour);
                    at += wide + gap;
                }
            }
        }
        at - gap - x
    }

    #[expect(clippy::too_many_arguments, reason = "a box and what to paint into it")]
    fn segments(&mut self, digit: char, x: i32, y: i32, wide: i32, height: i32, thick: i32, colour: Colour) {
        // Bits: top, upper right, lower right, bottom, lower left, upper left, middle.
        const SEGMENTS: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];
        let Some(lit) = digit.to_digit(10).map(|digit| SEGMENTS[digit as usize]) else { return };
        let half = thick / 2;
        let (left, right) = (x + half, x + wide - half);
        let (top, middle, bottom) = (y + half, y + height / 2, y + height - half);
        let mut bar = |bit: u8, across: bool, from: (i32, i32), length: i32| {
            if lit & (1 << bit) == 0 {
                return;
            }
            for off in -half..=half {
                let cut = off.abs() + 1;
                if across {
                    self.line(from.1 + off, from.0 + cut, from.0 + length - cut, colour);
                } else {
                    self.rectangle(from.0 + off, from.1 + cut, 1, length - 2 * cut, colour);
                }
            }
        };
        bar(0, true, (left, top), right - left);
        bar(1, false, (right, top), middle - top);
        bar(2, false, (right, middle), bottom - middle);
        bar(3, true, (left, bottom), right - left);
        bar(4, false, (left, middle), bottom - middle);
        bar(5, false, (left, top), middle - top);
        bar(6, true, (left, middle), right - left);
    }
}
