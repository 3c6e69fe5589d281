//! One track of a tap: a cursor into the ring of its best layer that waits for repairs, gives up in time, and goes on at a keyframe; sound goes on with
//! what the packet behind the hole repeats of it.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::buffer::cache::{Meta, Packet};
use crate::buffer::reorder::{Reorder, Step};
use crate::limit;
use crate::message::{Codec, CodecConfig, Orientation};
use crate::room::layer::Layer;
use crate::room::track::Track;
use crate::rtp::codec::red::{self, Redundant};
use crate::rtp::codec::{Inspected, Malformed, opus};
use crate::stats::{Counters, DropReason};

use super::assemble::{Unit, Units};

/// A source is read so long after its first packet: by then some packet came with little delay, which is what the timeline goes by. First
/// keyframes are late by their encoding and their size.
const SETTLE: Duration = Duration::from_millis(500);

/// Layers begin one after the other while the streamer's encoder learns what the network carries: the first picture is waited for so long,
/// from the first packet of any of them, lest every recording begin small.
const LAYERS_PATIENCE: Duration = Duration::from_millis(1500);
/// The last picture of a layer that is left is waited for so long, from the keyframe that replaces it.
const LEAVE: Duration = Duration::from_millis(100);

/// What the ring had.
pub enum Found {
    Unit(Unit),
    /// Come back when something arrived, or at `again`.
    Nothing {
        again: Option<Instant>,
    },
}

/// What goes before a delivered unit.
pub struct Before {
    /// From where on units are missing, in ns of the timeline.
    pub gap_from_ns: Option<u64>,
    pub config: Option<CodecConfig>,
    pub orientation: Option<Orientation>,
}

/// A keyframe of a better layer.
#[derive(Clone, Copy)]
struct Change {
    layer: usize,
    index: u64,
    arrival: Instant,
}

/// See the head of this module.
pub struct TapTrack {
    video: bool,
    /// The layer that is read.
    layer: usize,
    /// A layer to go over to, and the index from which on its keyframes count.
    better: Option<(usize, u64)>,
    /// The cursor stands at a keyframe within a source, not at its beginning.
    entered: bool,
    reorder: Reorder,
    source: u32,
    /// Timestamp of the newest packet that was taken of it.
    reached: Option<u64>,
    units: Option<Units>,
    /// Pictures cannot go on before one.
    needs_key: bool,
    /// Units are missing since the newest one.
    lost: bool,
    ready: VecDeque<Unit>,
    told: Option<CodecConfig>,
    told_orientation: Orientation,
    /// The newest delivered unit and how long it lasts, in ns of the timeline.
    newest: Option<(u64, u64)>,
}

impl TapTrack {
    pub fn new(video: bool) -> Self {
        Self {
            video,
            layer: 0,
            better: None,
            entered: false,
            reorder: Reorder::new(limit::TAP_REORDER),
            source: 0,
            reached: None,
            units: None,
            needs_key: video,
            lost: false,
            ready: VecDeque::new(),
            told: None,
            told_orientation: Orientation::UPRIGHT,
            newest: None,
        }
    }

    pub fn is_video(&self) -> bool {
        self.video
    }

    pub fn has_delivered(&self) -> bool {
        self.newest.is_some()
    }

    /// Where the newest unit ends, in ns of the timeline.
    pub fn end_ns(&self) -> Option<u64> {
        self.newest.map(|(pts, lasts)| pts + lasts)
    }

    /// From where on units are missing, if they still are.
    pub fn open_gap_ns(&self) -> Option<u64> {
        self.end_ns().filter(|_| self.lost)
    }

    /// The layer that is read.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// The next unit. `last_chance`: what is missing will not come.
    pub fn next(&mut self, now: Instant, track: &mut Track, counters: &mut Counters, last_chance: bool) -> Found {
        loop {
            if let Some(unit) = self.ready.pop_front() {
                return Found::Unit(unit);
            }
            if let Some(again) = self.layers_may_come(now, track).filter(|_| !last_chance) {
                return Found::Nothing { again: Some(again) };
            }
            let change = self.change(now, track);
            if let Some(change) = change.filter(|_| self.newest.is_none()) {
                self.enter(change, track);
            }
            let change = change.filter(|change| change.layer != self.layer);
            let layer = &mut track.layers[self.layer];
            layer.recorded = true;
            let another_began = self.source != layer.source();
            if self.reorder.next_index().is_none() && another_began {
                self.reorder.jump(layer.source_start());
            }
            let building = self.units.as_ref().and_then(Units::building_timestamp);
            match (self.reorder.step(&layer.cache, now, last_chance), change) {
                (Step::Packet(Packet { meta, .. }), Some(change))
                    if meta.arrival >= change.arrival && building != Some(meta.timestamp) =>
                {
                    self.enter(change, track);
                }
                (Step::Packet(Packet { meta, .. }), _)
                    if meta.source != self.source
                        && now < layer.began().unwrap_or(meta.arrival) + SETTLE
                        && !last_chance =>
                {
                    let again = layer.began().unwrap_or(meta.arrival) + SETTLE;
                    let start = if self.entered { meta.index } else { layer.source_start().min(meta.index) };
                    self.reorder.jump(start);
                    return Found::Nothing { again: Some(again) };
                }
                (Step::Packet(packet), _) => {
                    let codec = layer.format.map(|format| format.codec);
                    if self.take(packet, codec, counters).is_err() {
                        counters.drop(DropReason::TapMalformed);
                        self.lose(layer);
                    }
                }
                // What is missing of the source before will not come; the new one begins elsewhere.
                (Step::Wait { .. } | Step::Lost { .. }, _)
                    if another_began && self.reorder.next_index() < Some(layer.source_start()) =>
                {
                    self.reorder.jump(layer.source_start());
                }
                (Step::Lost { .. }, Some(change)) => self.enter(change, track),
                (Step::Lost { from, to }, None) => {
                    if !self.fill(from..=to, layer, counters) {
                        counters.drop(DropReason::TapLoss);
                        self.lose(layer);
                    }
                }
                (Step::Wait { deadline }, _) => return Found::Nothing { again: Some(deadline) },
                (Step::Empty, Some(change)) => {
                    let until = change.arrival + LEAVE;
                    if building.is_some() && now < until && !last_chance {
                        return Found::Nothing { again: Some(until) };
                    }
                    self.enter(change, track);
                }
                (Step::Empty, None) => return Found::Nothing { again: None },
            }
        }
    }

    /// Until when to wait for better layers before the first picture.
    fn layers_may_come(&self, now: Instant, track: &Track) -> Option<Instant> {
        if self.newest.is_some() || track.layers.len() < 2 || track.layers.iter().all(|layer| layer.is_steady(now)) {
            return None;
        }
        let until = track.layers.iter().filter_map(Layer::began).min()? + LAYERS_PATIENCE;
        (now < until).then_some(until)
    }

    /// A keyframe at which to go over to a better layer; asks for one where there is none.
    fn change(&mut self, now: Instant, track: &mut Track) -> Option<Change> {
        let best = track.best(now).filter(|best| *best != self.layer);
        let Some(best) = best else {
            self.better = None;
            return None;
        };
        let layer = &mut track.layers[best];
        let from = if self.newest.is_none() { 0 } else { layer.cache.newest().map_or(0, |newest| newest + 1) };
        let (_, from) = *self.better.get_or_insert((best, from));
        if self.better != Some((best, from)) {
            self.better = None;
            return None;
        }
        let key = layer.newest_key().filter(|key| key.index >= from);
        let change = key.map(|key| Change { layer: best, index: key.index, arrival: key.arrival });
        if change.is_none() {
            layer.requester.want();
        }
        change
    }

    fn enter(&mut self, change: Change, track: &mut Track) {
        track.layers[self.layer].recorded = false;
        self.layer = change.layer;
        self.better = None;
        self.entered = true;
        self.reorder.jump(change.index);
        if let Some(units) = &mut self.units {
            units.discard();
        }
    }

    /// A unit was placed on the timeline.
    pub fn on_delivered(&mut self, unit: &Unit, pts_ns: u64) -> Before {
        let gap_from_ns = self.end_ns().filter(|_| unit.after_loss);
        let lasts = match self.newest {
            _ if !self.video => opus::samples(&unit.data).map_or(20_000_000, |n| u64::from(n) * 1_000_000 / 48),
            Some((newest, _)) if !unit.after_loss => pts_ns - newest,
            Some((_, lasts)) => lasts,
            None => 0,
        };
        self.newest = Some((pts_ns, lasts));
        let config = unit.config.clone().filter(|config| self.told.as_ref() != Some(config));
        if config.is_some() {
            self.told.clone_from(&config);
        }
        let orientation = Some(unit.orientation).filter(|now| now.quarters() != self.told_orientation.quarters());
        self.told_orientation = unit.orientation;
        Before { gap_from_ns, config, orientation }
    }

    fn take(&mut self, packet: Packet<'_>, codec: Option<Codec>, counters: &mut Counters) -> Result<(), Malformed> {
        if packet.meta.source != self.source {
            self.source = packet.meta.source;
            self.entered = false;
            self.reached = None;
            self.units = None;
            self.needs_key = self.video;
        }
        if packet.payload.is_empty() {
            return Ok(());
        }
        let Some(codec) = codec else { return Ok(()) };
        self.reached = Some(packet.meta.timestamp);
        let units = self.units.get_or_insert_with(|| Units::new(codec));
        if units.building_timestamp().is_some_and(|timestamp| timestamp != packet.meta.timestamp) {
            // No packet is missing, so the picture is complete though its sender set no marker.
            self.finish(counters)?;
        }
        let Some(units) = &mut self.units else { return Ok(()) };
        if units.building_timestamp().is_none() && self.needs_key && !packet.meta.inspected.key {
            counters.drop(DropReason::TapAwaitKeyframe);
            return Ok(());
        }
        units.append(packet)?;
        if packet.meta.marker || !self.video { self.finish(counters) } else { Ok(()) }
    }

    /// Takes what the packet behind a hole repeats of it. False: the last of the hole is missing.
    fn fill(&mut self, hole: RangeInclusive<u64>, layer: &Layer, counters: &mut Counters) -> bool {
        let (mut next, end) = hole.into_inner();
        let behind = layer.cache.get(end + 1);
        let behind = behind.filter(|packet| packet.meta.source == self.source && packet.meta.inspected.primary > 0);
        let codec = layer.format.map(|format| format.codec);
        for block in behind.iter().flat_map(|packet| red::redundant(packet.payload)) {
            let repeated = behind.zip(self.reached).and_then(|(behind, reached)| {
                let meta = repeated(block, behind.meta, next..=end)?;
                (meta.timestamp > reached).then_some(meta)
            });
            let Some(meta) = repeated else { continue };
            if meta.index > next {
                counters.drop(DropReason::TapLoss);
                self.lost = true;
            }
            if self
                .take(Packet { meta: &meta, payload: block.data, descriptor: &[], padding: 0 }, codec, counters)
                .is_err()
            {
                return false;
            }
            next = meta.index + 1;
        }
        next > end
    }

    fn finish(&mut self, counters: &mut Counters) -> Result<(), Malformed> {
        let Some(mut unit) = self.units.as_mut().map_or(Ok(None), Units::finish)? else { return Ok(()) };
        if self.needs_key && !unit.key {
            counters.drop(DropReason::TapAwaitKeyframe);
            return Ok(());
        }
        self.needs_key = false;
        unit.source = self.source;
        unit.after_loss = std::mem::take(&mut self.lost);
        self.ready.push_back(unit);
        Ok(())
    }

    fn lose(&mut self, layer: &mut Layer) {
        if let Some(units) = &mut self.units {
            units.discard();
        }
        self.lost = true;
        if self.video {
            self.needs_key = true;
            layer.requester.want();
        }
    }
}

/// The packet of a hole that the one behind it repeats. Its place follows from its time, as far as the hole goes: sound that was not sent takes time and no
/// place. `None`: it lies behind the hole, or is no sound.
fn repeated(block: Redundant<'_>, behind: &Meta, hole: RangeInclusive<u64>) -> Option<Meta> {
    let before = u64::from(block.before);
    let timestamp = behind.timestamp.checked_sub(before).filter(|timestamp| *timestamp < behind.timestamp)?;
    let steps = (before / u64::from(opus::samples(block.data)?)).max(1);
    let index = behind.index.saturating_sub(steps).max(*hole.start());
    let inspected = Inspected { primary: 0, ..behind.inspected };
    hole.contains(&index).then_some(Meta { index, timestamp, inspected, capture: None, ..*behind })
}
