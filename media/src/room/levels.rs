//! What the temporal and spatial layers of one stream take, as its packets say. What a viewer gets of them does not belong here.

use crate::rtp::layer::LayerId;

/// Layers in each direction that are told apart. More: they count with the highest.
const SPATIAL: usize = 4;
const TEMPORAL: usize = 4;

/// A part of a stream that a viewer may be given instead of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub top: LayerId,
    /// Pixels of its picture; `None`: as high as all of it.
    pub height: Option<u16>,
    /// Bits per second over the last window.
    pub bitrate: u64,
}

/// See the head of this module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Levels {
    bytes: [[u64; TEMPORAL]; SPATIAL],
    bitrates: [[u64; TEMPORAL]; SPATIAL],
    heights: [u16; SPATIAL],
}

impl Levels {
    /// A packet with so many bytes came.
    pub fn count(&mut self, layer: LayerId, bytes: usize) {
        let (spatial, temporal) = (usize::from(layer.spatial), usize::from(layer.temporal));
        self.bytes[spatial.min(SPATIAL - 1)][temporal.min(TEMPORAL - 1)] += bytes as u64;
    }

    /// A window of so many microseconds ends.
    pub fn judge(&mut self, elapsed_us: u128) {
        for (bytes, bitrates) in self.bytes.iter_mut().flatten().zip(self.bitrates.iter_mut().flatten()) {
            *bitrates = (u128::from(std::mem::take(bytes)) * 8_000_000 / elapsed_us.max(1)) as u64;
        }
    }

    /// The sender told how high the pictures of a spatial layer are.
    pub fn learn_height(&mut self, spatial: usize, height: u16) {
        if let Some(known) = self.heights.get_mut(spatial) {
            *known = height;
        }
    }

    /// Another sender.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Parts of the stream from the smallest on, without the whole. Slower ones only of the smallest picture there is, where `is_smallest` says that this
    /// stream has it: whoever gets less sees a smaller picture move as before, until there is none smaller.
    pub fn parts(&self, is_smallest: bool) -> impl Iterator<Item = Part> {
        let flows = |rate: &u64| *rate > 0;
        let highest = self.bitrates.iter().rposition(|rates| rates.iter().any(flows)).unwrap_or(0);
        let at_rate = |temporal: &usize| self.bitrates.iter().any(|rates| rates[*temporal] > 0);
        let fastest = (0..TEMPORAL).rfind(at_rate).unwrap_or(0);
        let known = move |spatial: &usize| *spatial == highest || self.heights[*spatial] > 0;
        let smallest = (0..=highest).find(known);
        (0..=highest).filter(known).flat_map(move |spatial| {
            let slowest = if is_smallest && Some(spatial) == smallest { 0 } else { fastest };
            let rates = (slowest..=fastest).filter(at_rate).filter(move |rate| (spatial, *rate) != (highest, fastest));
            rates.map(move |temporal| Part {
                top: LayerId {
                    spatial: if spatial == highest { u8::MAX } else { spatial as u8 },
                    temporal: if temporal == fastest { u8::MAX } else { temporal as u8 },
                },
                height: (spatial < highest).then(|| self.heights[spatial]),
                bitrate: self.bitrates[..=spatial].iter().flat_map(|rates| &rates[..=temporal]).sum(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(layers: &[(u8, u8, usize)], heights: &[u16]) -> Levels {
        let mut levels = Levels::default();
        for (spatial, temporal, bytes) in layers {
            levels.count(LayerId { spatial: *spatial, temporal: *temporal }, *bytes);
        }
        heights.iter().enumerate().for_each(|(at, height)| levels.learn_height(at, *height));
        levels.judge(1_000_000);
        levels
    }

    fn parts(levels: &Levels, is_smallest: bool) -> Vec<(u8, u8, Option<u16>, u64)> {
        let parts = levels.parts(is_smallest);
        parts.map(|part| (part.top.spatial, part.top.temporal, part.height, part.bitrate / 8)).collect()
    }

    #[test]
    fn a_stream_without_layers_has_no_parts() {
        assert_eq!(parts(&Levels::default(), true), []);
        assert_eq!(parts(&levels(&[(0, 0, 100)], &[720]), true), []);
    }

    #[test]
    fn rates_are_parts() {
        let levels = levels(&[(0, 0, 100), (0, 1, 50), (0, 2, 40)], &[]);
        assert_eq!(parts(&levels, true), [(255, 0, None, 100), (255, 1, None, 150)]);
        assert_eq!(parts(&levels, false), [], "a smaller stream moves better");
    }

    #[test]
    fn pictures_of_known_height_are_parts() {
        let layers = [(0, 0, 100), (0, 1, 50), (1, 0, 200), (1, 1, 100), (2, 0, 800), (2, 1, 400)];
        let known = levels(&layers, &[180, 360, 720]);
        let expected = [(0, 0, Some(180), 100), (0, 255, Some(180), 150), (1, 255, Some(360), 450)];
        assert_eq!(parts(&known, true), expected);
        assert_eq!(parts(&known, false), expected[1..]);
        assert_eq!(parts(&levels(&layers, &[]), true), [(255, 0, None, 1100)]);
    }

    #[test]
    fn more_layers_than_are_told_apart_count_with_the_highest() {
        assert_eq!(parts(&levels(&[(0, 0, 100), (0, 7, 50), (7, 0, 10)], &[180]), true).len(), 2);
    }
}
