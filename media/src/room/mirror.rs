//! A room on several shards: it lives whole on its home, where its streamer is, and as a mirror on each other shard that has viewers of it.
//!
//! The home gives each packet to each mirror once, in [`Batch`]es that all mirrors share; a mirror tells the home what its viewers need. Mirrors say
//! regularly that they are there, so that both sides recover from whatever was lost on the way. How batches travel does not belong here.

use std::sync::Arc;
use std::time::Instant;

use crate::buffer::cache::Meta;
use crate::id::{BroadcastId, ShardId, TrackId};
use crate::limit;
use crate::rtp::codec::h264::ParameterSets;
use crate::slab::Key;

use super::Room;
use super::layer::{Layer, Vitals};
use super::track::Track;

/// What a mirror remembers of its home.
#[derive(Clone, Copy, Debug)]
pub struct Mirror {
    pub home: ShardId,
    /// When the home is told next, whatever happens.
    pub beat_at: Instant,
    /// Layers whose keyframe was asked for, one bit each.
    pub wants_told: u16,
}

/// A mirror as its home knows it.
#[derive(Clone, Copy, Debug)]
pub struct Audience {
    pub shard: ShardId,
    /// The mirror's place on its shard.
    pub room: Key,
    /// Connected viewers there.
    pub watching: u32,
    pub heard: Instant,
}

/// What came for the viewers of a room since the batch before.
#[derive(Debug)]
pub struct Batch {
    broadcast: BroadcastId,
    uplink_us: u64,
    layers: Vec<LayerTold>,
    /// Of a new mirror's first batch: by track and layer.
    sets: Vec<(usize, usize, ParameterSets)>,
    packets: Vec<Copied>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct LayerTold {
    track: usize,
    video: bool,
    layer: usize,
    vitals: Vitals,
}

#[derive(Clone, Copy, Debug)]
struct Copied {
    track: usize,
    meta: Meta,
    start: usize,
    /// Bytes of the payload, and of the descriptor behind it.
    len: usize,
    described: usize,
}

impl Batch {
    fn begin(&mut self, now: Instant, room: &Room) {
        self.broadcast = room.broadcast;
        self.uplink_us = room.uplink_us;
        self.layers.clear();
        self.sets.clear();
        self.packets.clear();
        self.bytes.clear();
        for (track, of) in room.tracks.iter().enumerate() {
            let layers = of.layers.iter().enumerate();
            let told = |(layer, one): (usize, &Layer)| LayerTold {
                track,
                video: of.is_video(),
                layer,
                vitals: one.vitals(now),
            };
            self.layers.extend(layers.map(told));
        }
    }

    fn add_all(&mut self, room: &Room, indices: impl Fn(&Layer, &mut dyn FnMut(u64))) {
        for (at, track) in room.tracks.iter().enumerate() {
            for layer in &track.layers {
                indices(layer, &mut |index| self.add(at, layer, index));
            }
        }
    }

    fn add(&mut self, track: usize, layer: &Layer, index: u64) {
        let Some(packet) = layer.cache.get(index) else { return };
        let (start, len) = (self.bytes.len(), packet.payload.len());
        self.bytes.extend_from_slice(packet.payload);
        self.bytes.extend_from_slice(packet.descriptor);
        self.packets.push(Copied { track, meta: *packet.meta, start, len, described: packet.descriptor.len() });
    }

    pub fn broadcast(&self) -> BroadcastId {
        self.broadcast
    }
}

/// Batches that all mirrors have read are written anew, so that a steady stream allocates nothing.
#[derive(Default)]
pub struct Batches {
    pool: Vec<Arc<Batch>>,
}

impl Batches {
    /// What the fan-out under way sends.
    pub fn sending(&mut self, now: Instant, room: &Room) -> Arc<Batch> {
        let free = self.pool.iter().position(|batch| Arc::strong_count(batch) == 1);
        let mut shared = free.map_or_else(|| Arc::new(Batch::empty(room.broadcast)), |at| self.pool.swap_remove(at));
        // Nobody else has it: nothing can be lost by the detour over a new one.
        if Arc::get_mut(&mut shared).is_none() {
            shared = Arc::new(Batch::empty(room.broadcast));
        }
        if let Some(batch) = Arc::get_mut(&mut shared) {
            batch.begin(now, room);
            batch.add_all(room, |layer, add| layer.sending.iter().for_each(|index| add(*index)));
        }
        if self.pool.len() < limit::BATCHES_KEPT {
            self.pool.push(shared.clone());
        }
        shared
    }
}

impl Batch {
    /// What a new mirror begins with: the ring of each layer since its newest keyframe, and what came before it that the pictures need.
    pub fn beginning(now: Instant, room: &Room) -> Arc<Batch> {
        let mut batch = Batch::empty(room.broadcast);
        batch.begin(now, room);
        batch.add_all(room, |layer, add| {
            let first = layer.newest_key().map(|key| key.index);
            let since = first.zip(layer.cache.newest()).map(|(first, newest)| first..=newest);
            since.into_iter().flatten().for_each(add);
        });
        for (at, track) in room.tracks.iter().enumerate() {
            let sets = track.layers.iter().enumerate().map(|(layer, one)| (at, layer, one.sets.clone()));
            batch.sets.extend(sets);
        }
        Arc::new(batch)
    }

    fn empty(broadcast: BroadcastId) -> Self {
        let (layers, sets, packets, bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { broadcast, uplink_us: 0, layers, sets, packets, bytes }
    }
}

impl Room {
    /// Takes a batch of the home: packets that a mirror has already are passed over.
    pub fn follow(&mut self, now: crate::message::Now, batch: &Batch) {
        self.uplink_us = batch.uplink_us;
        for told in &batch.layers {
            while self.tracks.len() <= told.track.min(limit::TRACKS - 1) {
                self.tracks.push(Track::new(TrackId(self.tracks.len() as u8), told.video));
            }
            let Some(track) = self.tracks.get_mut(told.track) else { continue };
            track.expect_layers(told.layer + 1);
            if let Some(layer) = track.layers.get_mut(told.layer) {
                layer.follow(now.mono, &told.vitals);
            }
        }
        for (track, layer, sets) in &batch.sets {
            let layer = self.tracks.get_mut(*track).and_then(|track| track.layers.get_mut(*layer));
            if let Some(layer) = layer {
                layer.sets = sets.clone();
            }
        }
        for packet in &batch.packets {
            let track = self.tracks.get_mut(packet.track);
            let layer = track.and_then(|track| track.layers.get_mut(usize::from(packet.meta.layer)));
            if let Some(layer) = layer {
                // What a mirror has, it had from a batch before this one.
                let bytes = &batch.bytes[packet.start..packet.start + packet.len + packet.described];
                let (payload, descriptor) = bytes.split_at(packet.len);
                let _ = layer.copy(now, packet.meta, payload, descriptor);
            }
        }
    }

    /// Connected viewers on all shards.
    pub fn all_watching(&self) -> u32 {
        self.watching + self.audiences.iter().map(|audience| audience.watching).sum::<u32>()
    }

    /// Forgets mirrors of which nothing is heard any more. True if there were any.
    pub fn forget_silent_mirrors(&mut self, now: Instant) -> bool {
        let before = self.audiences.len();
        self.audiences.retain(|audience| now < audience.heard + limit::MIRROR_SILENCE);
        self.audiences.len() < before
    }

    /// Layers of which somebody here waits for a keyframe, one bit each.
    pub fn wants(&self) -> u16 {
        let layers = self.tracks.iter().enumerate().flat_map(|(at, track)| {
            let layers = track.layers.iter().enumerate();
            layers.filter(|(_, layer)| layer.is_video() && layer.requester.is_wanted()).map(move |(one, _)| (at, one))
        });
        layers.map(|(track, layer)| 1 << (track * limit::LAYERS + layer)).fold(0, |all, one: u16| all | one)
    }

    /// Wants keyframes of these layers, see [`Room::wants`].
    pub fn want(&mut self, wants: u16) {
        for (at, track) in self.tracks.iter_mut().enumerate() {
            let layers = track.layers.iter_mut().enumerate();
            let wanted = layers.filter(|(one, layer)| layer.is_video() && wants >> (at * limit::LAYERS + one) & 1 != 0);
            wanted.for_each(|(_, layer)| layer.requester.want());
        }
    }
}

// One bit for each layer of each track.
const _: () = assert!(limit::TRACKS * limit::LAYERS <= u16::BITS as usize);
