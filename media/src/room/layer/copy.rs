//! A layer of a mirror room: what it takes over from the layer of the room's home, where each packet was inspected.

use std::time::Instant;

use crate::buffer::cache::{Insert, Meta};
use crate::message::{Codec, Now};
use crate::room::clock::SourceClock;
use crate::room::levels::Levels;
use crate::rtp::codec::h264::ParameterSets;
use crate::rtp::seq::TimestampUnwrapper;
use crate::stats::DropReason;

use super::{Format, Layer};

/// What a mirror has to know of a layer besides its packets.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    source: u32,
    source_start: u64,
    format: Option<Format>,
    clock: SourceClock,
    began: Option<Instant>,
    heard: Option<Instant>,
    flows_since: Option<Instant>,
    restart: bool,
    bitrate: u64,
    levels: Levels,
    /// The streamer does not obey requests for keyframes.
    ignored: bool,
    /// It was asked, and nobody need wait any longer.
    late: bool,
}

impl Layer {
    /// What mirrors are told.
    pub fn vitals(&self, now: Instant) -> Vitals {
        Vitals {
            source: self.source,
            source_start: self.source_start,
            format: self.format,
            clock: self.clock,
            began: self.began,
            heard: self.heard,
            flows_since: self.flows_since,
            restart: self.restart,
            bitrate: self.bitrate(now),
            levels: self.figures.levels,
            ignored: self.requester.is_ignored(now),
            late: self.requester.is_late(now),
        }
    }

    /// Takes over what the home tells. Its packets come by [`Layer::copy`].
    pub fn follow(&mut self, now: Instant, vitals: &Vitals) {
        if self.source != vitals.source {
            self.source = vitals.source;
            self.sets = ParameterSets::default();
            self.timestamps = TimestampUnwrapper::default();
            self.figures.key_timestamp = None;
            self.requester.restart();
        }
        self.source_start = vitals.source_start;
        self.format = vitals.format;
        self.clock = vitals.clock;
        (self.began, self.heard, self.flows_since) = (vitals.began, vitals.heard, vitals.flows_since);
        self.restart = vitals.restart;
        (self.figures.bitrate, self.figures.levels) = (vitals.bitrate, vitals.levels);
        self.figures.window = Some((now, 0));
        self.requester.learn(vitals.ignored, vitals.late);
    }

    /// Takes a packet that the home's layer has accepted.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn copy(&mut self, now: Now, meta: Meta, payload: &[u8], descriptor: &[u8]) -> Result<(), DropReason> {
        match self.cache.insert_described(meta, payload, descriptor) {
            Insert::New => {}
            Insert::Duplicate => return Err(DropReason::Duplicate),
            Insert::TooOld => return Err(DropReason::TooOld),
        }
        if self.format.is_some_and(|format| format.codec == Codec::H264) && !payload.is_empty() {
            self.sets.learn(payload);
        }
        if meta.source == self.source {
            self.timestamps.reach(meta.timestamp);
        }
        self.requester.on_packet(now.mono);
        if self.video && meta.inspected.key && self.figures.key_timestamp != Some(meta.timestamp) {
            self.figures.key_timestamp = Some(meta.timestamp);
            self.requester.on_keyframe(now.mono);
        }
        // The home has waited for the rest of the frame, as long as it pays.
        self.open = false;
        self.pending.push(meta.index);
        Ok(())
    }
}
