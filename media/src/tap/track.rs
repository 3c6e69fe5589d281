//! One track of a tap: a cursor into its ring that waits for repairs, gives up in time, and goes on at a keyframe.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::buffer::cache::Packet;
use crate::buffer::reorder::{Reorder, Step};
use crate::limit;
use crate::message::{Codec, CodecConfig};
use crate::room::track::Track;
use crate::rtp::codec::{Malformed, opus};
use crate::stats::{Counters, DropReason};

use super::assemble::{Unit, Units};

/// A source is read so long after its first packet: by then some packet came with little delay, which is what the timeline goes by. First
/// keyframes are late by their encoding and their size.
const SETTLE: Duration = Duration::from_millis(500);

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
}

/// See the head of this module.
pub struct TapTrack {
    video: bool,
    reorder: Reorder,
    source: u32,
    units: Option<Units>,
    /// Pictures cannot go on before one.
    needs_key: bool,
    /// Units are missing since the newest one.
    lost: bool,
    ready: VecDeque<Unit>,
    told: Option<CodecConfig>,
    /// The newest delivered unit and how long it lasts, in ns of the timeline.
    newest: Option<(u64, u64)>,
}

impl TapTrack {
    pub fn new(video: bool) -> Self {
        Self {
            video,
            reorder: Reorder::new(limit::TAP_REORDER),
            source: 0,
            units: None,
            needs_key: video,
            lost: false,
            ready: VecDeque::new(),
            told: None,
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

    /// The next unit. `last_chance`: what is missing will not come.
    pub fn next(&mut self, now: Instant, track: &mut Track, counters: &mut Counters, last_chance: bool) -> Found {
        loop {
            if let Some(unit) = self.ready.pop_front() {
                return Found::Unit(unit);
            }
            let another_began = self.source != track.source();
            if self.reorder.next_index().is_none() && another_began {
                self.reorder.jump(track.source_start());
            }
            match self.reorder.step(&track.cache, now, last_chance) {
                Step::Packet(Packet { meta, .. })
                    if meta.source != self.source && now < meta.arrival + SETTLE && !last_chance =>
                {
                    self.reorder.jump(track.source_start().min(meta.index));
                    return Found::Nothing { again: Some(meta.arrival + SETTLE) };
                }
                Step::Packet(packet) => {
                    let codec = track.format.map(|format| format.codec);
                    if self.take(packet, codec, counters).is_err() {
                        counters.drop(DropReason::TapMalformed);
                        self.lose(track);
                    }
                }
                // What is missing of the source before will not come; the new one begins elsewhere.
                Step::Wait { .. } | Step::Lost { .. }
                    if another_began && self.reorder.next_index() < Some(track.source_start()) =>
                {
                    self.reorder.jump(track.source_start());
                }
                Step::Lost { .. } => {
                    counters.drop(DropReason::TapLoss);
                    self.lose(track);
                }
                Step::Wait { deadline } => return Found::Nothing { again: Some(deadline) },
                Step::Empty => return Found::Nothing { again: None },
            }
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
        Before { gap_from_ns, config }
    }

    fn take(&mut self, packet: Packet<'_>, codec: Option<Codec>, counters: &mut Counters) -> Result<(), Malformed> {
        if packet.meta.source != self.source {
            self.source = packet.meta.source;
            self.units = None;
            self.needs_key = self.video;
        }
        if packet.payload.is_empty() {
            return Ok(());
        }
        let Some(codec) = codec else { return Ok(()) };
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

    fn lose(&mut self, track: &mut Track) {
        if let Some(units) = &mut self.units {
            units.discard();
        }
        self.lost = true;
        if self.video {
            self.needs_key = true;
            track.requester.want();
        }
    }
}
