//! One track of a broadcast and how its layers stand to each other: which ones flow, which is the best. What a viewer gets of them is
//! decided in `subscription`.

use std::time::Instant;

use crate::id::TrackId;
use crate::limit;
use crate::message::{Codec, TrackStats};
use crate::rtp::layer::LayerId;

use super::layer::Layer;
use super::levels::Part;

/// A layer, or a part of one, that a viewer may be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rung {
    /// Its place in the track.
    pub layer: usize,
    /// Up to which temporal and spatial layer of it; [`LayerId::ALL`]: the whole.
    pub top: LayerId,
    /// Pixels; 0 while unknown.
    pub height: u16,
    /// Bits per second over the last second.
    pub bitrate: u64,
}

/// See the head of this module.
pub struct Track {
    id: TrackId,
    video: bool,
    /// At least one; in the order of the streamer's offer, which says nothing of their size.
    pub layers: Vec<Layer>,
    ladder: Vec<Rung>,
}

impl Track {
    pub fn new(id: TrackId, video: bool) -> Self {
        Self { id, video, layers: vec![Layer::new(0, video)], ladder: Vec::with_capacity(limit::RUNGS) }
    }

    pub fn id(&self) -> TrackId {
        self.id
    }

    pub fn is_video(&self) -> bool {
        self.video
    }

    /// RTP clock in Hz.
    pub fn clock_rate(&self) -> u32 {
        if self.video { Codec::Vp8.clock_rate() } else { Codec::Opus.clock_rate() }
    }

    /// Another streamer's connection promises so many layers. Those that it does not use stay, and do not flow.
    pub fn expect_layers(&mut self, count: usize) {
        while self.layers.len() < count.min(limit::LAYERS) {
            self.layers.push(Layer::new(self.layers.len() as u8, self.video));
        }
    }

    /// The next packets are of another sender.
    pub fn begin_source(&mut self) {
        self.layers.iter_mut().for_each(Layer::begin_source);
    }

    /// Packets came that the viewers have not been given yet.
    pub fn is_sending(&self) -> bool {
        self.layers.iter().any(|layer| !layer.sending.is_empty())
    }

    /// Whether packets of this layer come: a track that is muted as a whole keeps the layers that it had.
    pub fn flows(&self, at: usize) -> bool {
        let newest = self.layers.iter().filter_map(Layer::heard).max();
        let heard = self.layers.get(at).and_then(Layer::heard);
        heard.zip(newest).is_some_and(|(heard, newest)| newest <= heard + limit::LAYER_SILENCE)
    }

    /// The layer with the largest picture of those that flow, one that flows steadily if there is one. Layers of one size count as offered
    /// from low to high. `None` while nothing comes.
    pub fn best(&self, now: Instant) -> Option<usize> {
        let flowing = (0..self.layers.len()).filter(|at| self.flows(*at));
        flowing.max_by_key(|at| (self.layers[*at].is_steady(now), self.layers[*at].area(), *at))
    }

    /// Layers that flow steadily, or all that flow where none does, the smallest picture first; as of the last [`Track::survey`]. Empty while
    /// nothing comes.
    pub fn ladder(&self) -> &[Rung] {
        &self.ladder
    }

    /// Heights of the ladder's pictures, the largest first, each once; empty where there is no choice.
    pub fn heights(&self) -> impl Iterator<Item = u16> {
        let is_last_of_its_height = |at: &usize| {
            let next = self.ladder.get(at + 1).map(|rung| rung.height);
            self.ladder[*at].height > 0 && next != Some(self.ladder[*at].height)
        };
        let several = self.ladder.iter().any(|rung| rung.height != self.ladder[0].height);
        let rungs = (0..self.ladder.len()).rev().filter(move |_| several);
        rungs.filter(is_last_of_its_height).map(|at| self.ladder[at].height)
    }

    /// Sees which layers there are now.
    pub fn survey(&mut self, now: Instant) {
        self.ladder.clear();
        let any_steady = (0..self.layers.len()).any(|at| self.flows(at) && self.layers[at].is_steady(now));
        for at in 0..self.layers.len() {
            let layer = &self.layers[at];
            if self.flows(at) && layer.is_steady(now) == any_steady {
                let height = layer.format.map_or(0, |format| format.height);
                self.ladder.push(Rung { layer: at, top: LayerId::ALL, height, bitrate: layer.bitrate(now) });
            }
        }
        let layers = &self.layers;
        self.ladder.sort_unstable_by_key(|rung| (layers[rung.layer].area(), rung.layer));
        for whole in 0..self.ladder.len() {
            let Rung { layer, height, .. } = self.ladder[whole];
            let parts = layers[layer].parts(whole == 0).take(limit::RUNGS / limit::LAYERS - 1);
            let rungs = parts.map(|Part { top, height: lower, bitrate }| {
                let height = lower.unwrap_or(height);
                Rung { layer, top, height, bitrate }
            });
            self.ladder.extend(rungs);
        }
        self.ladder.sort_unstable_by_key(|rung| (rung.height, rung.layer, rung.top.spatial, rung.top.temporal));
    }

    /// `lost` and `jitter_us` come from the receiver's reports. `None` before the first packet.
    pub fn stats(&self, now: Instant, lost: u64, jitter_us: u32) -> Option<TrackStats> {
        let known = (0..self.layers.len()).filter(|at| self.layers[*at].format.is_some());
        let best = self.best(now).or(known.max_by_key(|at| self.layers[*at].area()))?;
        let best = self.layers[best].stats(now)?;
        let layers: Vec<_> = (0..self.layers.len())
            .filter(|at| self.layers.len() > 1 && self.flows(*at))
            .filter_map(|at| self.layers[at].stats(now))
            .collect();
        let all = || self.layers.iter().filter_map(|layer| layer.stats(now));
        Some(TrackStats {
            track: self.id,
            packets: all().map(|layer| layer.packets).sum(),
            bytes: all().map(|layer| layer.bytes).sum(),
            bitrate: all().map(|layer| layer.bitrate).sum(),
            frames: best.frames,
            keyframes: best.keyframes,
            config: best.config,
            lost,
            jitter_us,
            layers,
            heights: self.heights().collect(),
        })
    }
}
