//! A small picture in I420: made smaller, turned, measured, and written as JPEG.

use gstreamer as gst;
use gstreamer_video::prelude::*;
use gstreamer_video::{VideoFrameRef, VideoInfo};
use media::message::Orientation;

use crate::gst::push_one;

/// Both sides are even. Luma, then both chromas at half the size.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub width: usize,
    pub height: usize,
    pub planes: [Vec<u8>; 3],
    /// In GStreamer's words; empty when it is not known.
    pub colorimetry: String,
}

impl Image {
    /// A decoded I420 frame, made smaller to fit into `box_` (the same shape, even sides). One that fits stays as it is.
    pub(super) fn of(frame: &VideoFrameRef<&gst::BufferRef>, box_: (usize, usize)) -> Option<Self> {
        let source = (frame.width() as usize, frame.height() as usize);
        let (width, height) = fit(source, box_);
        let plane = |number: u32, source: (usize, usize), size: (usize, usize)| -> Option<Vec<u8>> {
            let stride = usize::try_from(*frame.plane_stride().get(number as usize)?).ok()?;
            shrink(frame.plane_data(number).ok()?, stride, source, size)
        };
        let half = (source.0.div_ceil(2), source.1.div_ceil(2));
        let small = (width / 2, height / 2);
        let planes = [plane(0, source, (width, height))?, plane(1, half, small)?, plane(2, half, small)?];
        Some(Self { width, height, planes, colorimetry: frame.info().colorimetry().to_string() })
    }

    /// One colour; luma 16 is black.
    pub(super) fn plain(width: usize, height: usize, luma: u8, colorimetry: String) -> Self {
        let chroma = vec![128; width / 2 * (height / 2)];
        Self { width, height, planes: [vec![luma; width * height], chroma.clone(), chroma], colorimetry }
    }

    pub(super) fn smaller(&self, box_: (usize, usize)) -> Option<Self> {
        let (width, height) = fit((self.width, self.height), box_);
        let half = (self.width / 2, self.height / 2);
        let plane = |number: usize, source: (usize, usize), size| shrink(&self.planes[number], source.0, source, size);
        let small = (width / 2, height / 2);
        let planes =
            [plane(0, (self.width, self.height), (width, height))?, plane(1, half, small)?, plane(2, half, small)?];
        Some(Self { width, height, planes, colorimetry: self.colorimetry.clone() })
    }

    /// As players show it.
    pub(super) fn turned(self, orientation: Orientation) -> Self {
        let quarters = orientation.quarters();
        if quarters == 0 {
            return self;
        }
        let (width, height) = if quarters == 2 { (self.width, self.height) } else { (self.height, self.width) };
        let turn = |plane: &[u8], from: (usize, usize)| -> Vec<u8> {
            let to = if quarters == 2 { from } else { (from.1, from.0) };
            let source = |x: usize, y: usize| match quarters {
                1 => (y, from.1 - 1 - x),
                2 => (from.0 - 1 - x, from.1 - 1 - y),
                _ => (from.0 - 1 - y, x),
            };
            (0..to.0 * to.1)
                .map(|at| {
                    let (x, y) = source(at % to.0, at / to.0);
                    plane[y * from.0 + x]
                })
                .collect()
        };
        let (whole, half) = ((self.width, self.height), (self.width / 2, self.height / 2));
        let [luma, blue, red] = &self.planes;
        let planes = [turn(luma, whole), turn(blue, half), turn(red, half)];
        Self { width, height, planes, colorimetry: self.colorimetry }
    }

    /// Writes `other` into this one with its upper left corner at an even place.
    pub(super) fn paste(&mut self, other: &Self, x: usize, y: usize) {
        let layers = [(self.width, other.width, x, y), (self.width / 2, other.width / 2, x / 2, y / 2)];
        for (number, (own, from)) in self.planes.iter_mut().zip(&other.planes).enumerate() {
            let (width, other_width, x, y) = layers[number.min(1)];
            for (line, bytes) in from.chunks_exact(other_width).enumerate() {
                let at = (y + line) * width + x;
                own[at..at + other_width].copy_from_slice(bytes);
            }
        }
    }

    pub(super) fn luma(&self) -> &[u8] {
        &self.planes[0]
    }

    pub(super) fn mean_luma(&self) -> f32 {
        self.luma().iter().map(|luma| u64::from(*luma)).sum::<u64>() as f32 / self.luma().len().max(1) as f32
    }

    /// Standard deviation of the luma: 0 is one grey.
    pub(super) fn contrast(&self) -> f32 {
        let squares: u64 = self.luma().iter().map(|luma| u64::from(u16::from(*luma) * u16::from(*luma))).sum();
        let mean = f64::from(self.mean_luma());
        (squares as f64 / self.luma().len().max(1) as f64 - mean * mean).max(0.0).sqrt() as f32
    }

    /// Mean step from one pixel to the next on the right: blurred pictures have small ones.
    pub(super) fn sharpness(&self) -> f32 {
        let steps = self.luma().chunks_exact(self.width).flat_map(|line| line.windows(2));
        let sum: u64 = steps.map(|pair| u64::from(pair[0].abs_diff(pair[1]))).sum();
        sum as f32 / self.luma().len().max(1) as f32
    }

    /// # Errors
    /// What GStreamer says.
    pub(super) fn jpeg(&self, quality: u8) -> Result<Vec<u8>, String> {
        let info = VideoInfo::builder(gstreamer_video::VideoFormat::I420, self.width as u32, self.height as u32);
        let info = info.build().map_err(|error| error.to_string())?;
        let mut bytes = vec![0; info.size()];
        for (number, plane) in self.planes.iter().enumerate() {
            let (offset, stride) = (info.offset()[number], info.stride()[number] as usize);
            let width = if number == 0 { self.width } else { self.width / 2 };
            for (line, from) in plane.chunks_exact(width).enumerate() {
                bytes[offset + line * stride..][..width].copy_from_slice(from);
            }
        }
        let mut caps = info.to_caps().map_err(|error| error.to_string())?;
        if !self.colorimetry.is_empty() {
            caps.make_mut().set("colorimetry", &self.colorimetry);
        }
        // JFIF is full range, with the matrix of BT.601
        let description = format!(
            "appsrc name=in ! videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:0 ! jpegenc quality={quality} ! \
             appsink name=out sync=false"
        );
        let jpeg = push_one(&description, &caps, gst::Buffer::from_slice(bytes))?;
        let buffer = jpeg.buffer().ok_or("there is no JPEG")?;
        Ok(buffer.map_readable().map_err(|error| error.to_string())?.to_vec())
    }
}

/// The largest size of the same shape within the box, even sides; never larger than the source.
pub(super) fn fit((width, height): (usize, usize), (widest, highest): (usize, usize)) -> (usize, usize) {
    let even = |side: usize| (side & !1).max(2);
    let (width, height) = (width.max(1), height.max(1));
    if width <= widest && height <= highest {
        return (even(width), even(height));
    }
    if width * highest >= height * widest {
        (even(widest), even(height * widest / width))
    } else {
        (even(width * highest / height), even(highest))
    }
}

/// Each pixel is the mean of those it covers, of at most sixteen of them.
fn shrink(plane: &[u8], stride: usize, source: (usize, usize), to: (usize, usize)) -> Option<Vec<u8>> {
    let spans = |from: usize, to: usize| -> Vec<(usize, usize, usize)> {
        (0..to)
            .map(|at| {
                let begin = (at * from / to).min(from - 1);
                let end = ((at + 1) * from / to).clamp(begin + 1, from);
                (begin, end, ((end - begin) / 4).max(1))
            })
            .collect()
    };
    if source.0 == 0 || source.1 == 0 || plane.len() < stride * (source.1 - 1) + source.0 {
        return None;
    }
    let (columns, lines) = (spans(source.0, to.0), spans(source.1, to.1));
    let mut out = Vec::with_capacity(to.0 * to.1);
    // of at most seven lines
    let mut sums = vec![0_u16; source.0];
    for (top, bottom, step_y) in &lines {
        // down first: neighbours in memory are added at a time
        sums.fill(0);
        for y in (*top..*bottom).step_by(*step_y) {
            let line = &plane[y * stride..y * stride + source.0];
            sums.iter_mut().zip(line).for_each(|(sum, luma)| *sum += u16::from(*luma));
        }
        let high = (bottom - top).div_ceil(*step_y);
        if high == 2 && source.0 == to.0 * 2 {
            let (pairs, _) = sums.as_chunks::<2>();
            out.extend(pairs.iter().map(|[left, right]| ((left + right) / 4) as u8));
            continue;
        }
        for (left, right, step_x) in &columns {
            let sum: u32 = sums[*left..*right].iter().step_by(*step_x).map(|sum| u32::from(*sum)).sum();
            out.push((sum / (high * (right - left).div_ceil(*step_x)) as u32) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_shape_and_never_grow() {
        for (source, wanted) in [
            ((1280, 720), (160, 90)),
            ((720, 1280), (90, 160)),
            ((1000, 1000), (160, 160)),
            ((64, 48), (64, 48)),
            ((4096, 16), (160, 2)),
            ((1, 1), (2, 2)),
        ] {
            assert_eq!(fit(source, (160, 160)), wanted, "{source:?}");
        }
    }

    #[test]
    fn a_smaller_picture_is_the_mean() {
        let plane: Vec<u8> = (0..16).map(|at| if at % 4 < 2 { 10 } else { 30 }).collect();
        assert_eq!(shrink(&plane, 4, (4, 4), (2, 2)), Some(vec![10, 30, 10, 30]));
        assert_eq!(shrink(&plane, 4, (4, 4), (1, 1)), Some(vec![20]));
        assert_eq!(shrink(&[7], 1, (1, 1), (2, 2)), Some(vec![7; 4]));
        assert_eq!(shrink(&plane, 4, (4, 5), (2, 2)), None, "there are fewer lines than it says");
    }

    #[test]
    fn turns_are_clockwise() {
        let mut image = Image::plain(4, 2, 0, String::new());
        image.planes[0] = vec![1, 2, 3, 4, 5, 6, 7, 8];
        let quarter = image.clone().turned(Orientation::from_byte(1));
        assert_eq!((quarter.width, quarter.height, quarter.luma()), (2, 4, &[5, 1, 6, 2, 7, 3, 8, 4][..]));
        assert_eq!(image.clone().turned(Orientation::from_byte(2)).luma(), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(image.turned(Orientation::from_byte(3)).luma(), [4, 8, 3, 7, 2, 6, 1, 5]);
    }
}
