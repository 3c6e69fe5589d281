//! The test picture: a river that winds past a clock, a ball that bounces once a second, colour bars that travel, and the
//! frame number on top. Every frame differs from the one before, everywhere a little.

use super::canvas::{Canvas, Colour};
use crate::number;

const NIGHT: Colour = Colour::rgb(0x0b_18_24);
const SHORE: Colour = Colour::rgb(0x14_4a_52);
const BANK: Colour = Colour::rgb(0x1f_6f_78);
const WATER: Colour = Colour::rgb(0x3a_a6_c4);
const FOAM: Colour = Colour::rgb(0xb8_e6_f0);
const BALL: Colour = Colour::rgb(0xf4_a2_3c);
const FLASH: Colour = Colour::rgb(0xff_ff_ff);
const FIGURES: Colour = Colour::rgb(0xf3_f6_f4);
const QUIET: Colour = Colour::rgb(0x8f_b4_b8);
const BARS: [Colour; 8] = [
    Colour::rgb(0xe8_e8_e4),
    Colour::rgb(0xe2_c0_44),
    Colour::rgb(0x4c_b9_c9),
    Colour::rgb(0x57_b8_5f),
    Colour::rgb(0xb4_5a_a8),
    Colour::rgb(0xd1_4b_3d),
    Colour::rgb(0x3b_5f_c0),
    Colour::rgb(0x1a_2a_33),
];

/// Frames during which the ball is white: the moment of the beep.
const FLASH_FRAMES: u32 = 3;

/// Draws numbered pictures of one size.
pub struct Picture {
    fps: u32,
    background: Canvas,
    canvas: Canvas,
}

impl Picture {
    /// Both sides must be even and at least [`number::SMALLEST`]; `fps` at least 1. [`super::TestPattern::check`] says so.
    pub(super) fn new(width: u16, height: u16, fps: u32) -> Self {
        let mut background = Canvas::new(usize::from(width), usize::from(height));
        let (width, height) = (i32::from(width), i32::from(height));
        for y in 0..height {
            background.line(y, 0, width, NIGHT.mix(SHORE, (y * 256 / height) as u32));
        }
        Self { fps, canvas: background.clone(), background }
    }

    /// The I420 picture of this number: planes Y, U, V one behind the other without padding.
    pub fn draw(&mut self, number: u32) -> &[u8] {
        self.canvas.data.copy_from_slice(&self.background.data);
        let seconds = f64::from(number) / f64::from(self.fps);
        self.river(seconds);
        self.clock(number);
        self.ball(number, seconds);
        self.bars(number);
        let (width, height) = (self.canvas.width, self.canvas.height);
        number::burn(number, self.canvas.luma(), width, width, height);
        self.neutral_strip();
        &self.canvas.data
    }

    /// Two sines wind it, light runs along it.
    fn river(&mut self, seconds: f64) {
        let (width, height) = (self.canvas.width as i32, self.canvas.height as i32);
        let breadth = height / 9;
        // Blocks of two by two pixels, because chroma knows no finer ones.
        for x in (0..width).step_by(2) {
            let along = f64::from(x) / f64::from(width);
            let wind = (along * 7.0 - seconds * 0.5).sin() * 0.10 + (along * 17.0 - seconds * 0.9).sin() * 0.03;
            let middle = (f64::from(height) * (0.66 + wind)) as i32 & !1;
            let light = (along * 60.0 - seconds * 6.0).sin();
            let water = if light > 0.86 { WATER.mix(FOAM, 150) } else { WATER.mix(BANK, (90.0 - light * 60.0) as u32) };
            self.canvas.rectangle(x, middle - breadth / 2 - 4, 2, breadth + 8, BANK);
            self.canvas.rectangle(x, middle - breadth / 2, 2, breadth, water);
        }
    }

    /// Minutes, seconds and hundredths since frame 0, large; the number, small.
    fn clock(&mut self, number: u32) {
        let (width, height) = (self.canvas.width as i32, self.canvas.height as i32);
        let (second, frame) = (number / self.fps, number % self.fps);
        let text = format!("{:02}:{:02}.{:02}", second / 60 % 100, second % 60, frame * 100 / self.fps);
        let large = height / 5;
        self.canvas.figures(&text, width / 16, height * 3 / 20, large, FIGURES);
        let small = height / 16;
        self.canvas.figures(&format!("{number:07}"), width / 16, height * 8 / 20, small, QUIET);
    }

    /// It touches the ground on every full second, together with the beep.
    fn ball(&mut self, number: u32, seconds: f64) {
        let (width, height) = (self.canvas.width as i32, self.canvas.height as i32);
        let radius = height / 15;
        let phase = seconds.fract();
        let up = 4.0 * phase * (1.0 - phase);
        let ground = height * 17 / 20 - radius;
        let y = ground - (f64::from(height) * 0.42 * up) as i32;
        let sway = (seconds * 0.35).sin();
        let x = (f64::from(width) * (0.74 + 0.16 * sway)) as i32;
        let colour = if number % self.fps < FLASH_FRAMES { FLASH } else { BALL };
        self.canvas.disc(x, y, radius, colour);
        if number % self.fps >= FLASH_FRAMES {
            self.canvas.disc(x - radius / 3, y - radius / 3, radius / 4, BALL.mix(FLASH, 160));
        }
    }

    fn bars(&mut self, number: u32) {
        let (width, height) = (self.canvas.width as i32, self.canvas.height as i32);
        let each = (width / BARS.len() as i32) & !1;
        let travel = (number as i32 * 2) % (each * BARS.len() as i32);
        let top = (height * 9 / 10) & !1;
        for bar in 0..BARS.len() as i32 * 2 + 1 {
            let colour = BARS[bar as usize % BARS.len()];
            self.canvas.rectangle(bar * each - travel, top, each, height - top, colour);
        }
    }

    /// No colour behind the number.
    fn neutral_strip(&mut self) {
        let (width, height) = (self.canvas.width, self.canvas.height);
        let lines = number::strip_height(height).div_ceil(2);
        let (luma, chroma) = (width * height, width * height / 4);
        for plane in [luma, luma + chroma] {
            self.canvas.data[plane..plane + lines * (width / 2)].fill(128);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_tells_its_number_and_moves() {
        let mut picture = Picture::new(640, 360, 30);
        let mut before = Vec::new();
        for number in [0, 1, 2, 29, 30, 100_000, number::NUMBERS - 1] {
            let now = picture.draw(number).to_vec();
            assert_eq!(now.len(), 640 * 360 * 3 / 2);
            assert_eq!(number::read(&now, 640, 640, 360), Some(number));
            let changed = now.iter().zip(&before).filter(|(a, b)| a != b).count();
            assert!(before.is_empty() || changed > 2_000, "{number}: {changed}");
            before = now;
        }
    }

    #[test]
    fn the_smallest_and_odd_shapes_are_drawn() {
        for (width, height) in [(384, 192), (384, 1080), (1920, 192), (1280, 720)] {
            let mut picture = Picture::new(width, height, 25);
            let pixels = picture.draw(12_345);
            let (width, height) = (usize::from(width), usize::from(height));
            assert_eq!(number::read(pixels, width, width, height), Some(12_345));
        }
    }
}
