//! Chooses pictures that could stand for a clip: sharp, with contrast, neither black nor white, from all over it.

use super::image::Image;

/// Posters of one clip at most.
pub(super) const CANDIDATES: usize = 6;
/// Largest size, pixels; smaller pictures stay as they are.
pub(super) const POSTER: (usize, usize) = (640, 640);
const QUALITY: u8 = 82;
/// Mean luma of pictures that are too dark or too bright to say anything; black is 16, white 235.
const LIGHT: std::ops::Range<f32> = 32.0..220.0;
/// Contrast beyond which more is no better.
const CONTRAST: f32 = 50.0;
/// Mean luma step beyond which more is no better: noise.
const SHARP: f32 = 12.0;

/// The best pictures so far, one for each part of the clip.
#[derive(Default)]
pub(super) struct Candidates {
    best: [Option<(f32, u64, Image)>; CANDIDATES],
}

impl Candidates {
    /// A picture of this time of a clip that lasts so long.
    pub(super) fn offer(&mut self, at_ns: u64, duration_ns: u64, image: &Image) {
        let part = (at_ns / (duration_ns / CANDIDATES as u64).max(1)).min(CANDIDATES as u64 - 1) as usize;
        let score = score(image);
        if self.best[part].as_ref().is_none_or(|(best, ..)| score > *best) {
            self.best[part] = Some((score, at_ns, image.clone()));
        }
    }

    /// Times and JPEG, the best first; pictures that are alike once.
    pub(super) fn finish(self) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let mut found: Vec<(f32, u64, Image)> = self.best.into_iter().flatten().collect();
        found.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut chosen: Vec<(u64, Image)> = Vec::new();
        for (_, at_ns, image) in found {
            let same = |(_, other): &(u64, Image)| super::look::alike(other.luma(), image.luma());
            if !chosen.iter().any(same) {
                chosen.push((at_ns, image));
            }
        }
        chosen.iter().map(|(at_ns, image)| Ok((*at_ns, image.jpeg(QUALITY)?))).collect()
    }
}

/// 0 to 1.
fn score(image: &Image) -> f32 {
    let contrast = (image.contrast() / CONTRAST).min(1.0);
    let sharp = (image.sharpness() / SHARP).min(1.0);
    let light = if LIGHT.contains(&image.mean_luma()) { 1.0 } else { 0.1 };
    (contrast * 0.5 + sharp * 0.5) * light
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stripes of this width between two greys.
    fn stripes(width: usize, dark: u8, bright: u8) -> Image {
        let mut image = Image::plain(64, 32, 16, String::new());
        for (at, luma) in image.planes[0].iter_mut().enumerate() {
            *luma = if (at % 64 / width).is_multiple_of(2) { dark } else { bright };
        }
        image
    }

    #[test]
    fn sharp_pictures_with_contrast_are_better() {
        let order = [stripes(2, 40, 200), stripes(16, 40, 200), stripes(16, 100, 130), stripes(2, 16, 20)];
        let scores: Vec<f32> = order.iter().map(score).collect();
        assert!(scores.is_sorted_by(|one, other| one > other), "{scores:?}");
        assert!(score(&stripes(4, 230, 235)) < 0.1);
    }

    #[test]
    fn there_is_one_for_each_part_and_none_twice() {
        let mut candidates = Candidates::default();
        for at in 0..60 {
            let image = if at < 30 { stripes(16, 40, 140) } else { stripes(4, 40, 100 + at * 2) };
            candidates.offer(u64::from(at), 60, &image);
        }
        assert!(candidates.best.iter().all(Option::is_some));
        crate::gst::init().expect("GStreamer");
        let posters = candidates.finish().expect("JPEG");
        assert_eq!(posters.len(), 4, "three parts look the same");
        assert!(posters[0].0 >= 30, "the sharper ones come first");
        assert!(posters.iter().all(|(_, jpeg)| jpeg.starts_with(&[0xff, 0xd8])));
    }
}
