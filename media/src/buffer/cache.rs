//! The ring of a layer's newest packets. It serves retransmissions, viewers who start inside a frame, and taps; there is no other copy of a packet.

use std::time::Instant;

use crate::limit;
use crate::message::Orientation;
use crate::rtp::codec::Inspected;
use crate::rtp::extension::{CaptureTime, PlayoutDelay};

/// One packet of a layer, without header and padding.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Extended sequence number of the sender, growing for the life of the layer: a new source continues above the old one.
    pub index: u64,
    /// Extended RTP timestamp; comparable within one `source` only.
    pub timestamp: u64,
    /// Another number for each layer of the track and each sender of it: a reconnect or a change of codec begins a new one.
    pub source: u32,
    /// Place of its layer in the track.
    pub layer: u8,
    pub marker: bool,
    pub inspected: Inspected,
    /// When it was taken, by the clock of our reports; few packets say so.
    pub capture: Option<CaptureTime>,
    /// How its picture is to be turned: where the sender says so, and at the end of each picture, and of each spatial layer of it, that is not upright. Receivers take a picture whose
    /// last packet says nothing as upright.
    pub orientation: Option<Orientation>,
    /// How long receivers shall hold pictures back from here on: where the sender says so, and with each keyframe.
    pub playout_delay: Option<PlayoutDelay>,
    pub arrival: Instant,
}

/// A packet in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub meta: &'a Meta,
    /// Empty for padding, which only carries a sequence number.
    pub payload: &'a [u8],
    /// What the sender said of its layers, for viewers who want to know; empty where it said nothing. See [`crate::rtp::dependency`].
    pub descriptor: &'a [u8],
    /// Bytes of RTP padding (RFC 3550 §5.1) that go behind the payload, see [`PacketCache::equalise`].
    pub padding: u8,
}

impl<'a> Packet<'a> {
    /// The payload without what it repeats of earlier packets (RFC 2198).
    pub fn primary(&self) -> &'a [u8] {
        self.payload.get(usize::from(self.meta.inspected.primary)..).unwrap_or_default()
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    New,
    Duplicate,
    /// Older than the ring reaches.
    TooOld,
}

struct Slot {
    meta: Meta,
    /// The payload, and behind it the descriptor.
    bytes: Vec<u8>,
    payload: usize,
    padding: u8,
}

impl Slot {
    fn packet(&self) -> Packet<'_> {
        let (payload, descriptor) = self.bytes.split_at(self.payload);
        Packet { meta: &self.meta, payload, descriptor, padding: self.padding }
    }
}

/// [`limit::CACHE_PACKETS`] packets; the oldest is overwritten. Buffers are reused, so a steady stream allocates nothing.
#[derive(Default)]
pub struct PacketCache {
    slots: Vec<Option<Slot>>,
    newest: Option<u64>,
    newest_key: Option<Key>,
}

/// The newest picture that a decoder can begin with.
#[derive(Clone, Copy, Debug)]
struct Key {
    source: u32,
    timestamp: u64,
    /// Of the earliest packet that says so. Of H.264 several do.
    index: u64,
}

impl PacketCache {
    pub fn insert(&mut self, meta: Meta, payload: &[u8]) -> Insert {
        self.insert_described(meta, payload, &[])
    }

    pub fn insert_described(&mut self, meta: Meta, payload: &[u8], descriptor: &[u8]) -> Insert {
        if self.slots.is_empty() {
            self.slots.resize_with(limit::CACHE_PACKETS, || None);
        }
        if self.newest.is_some_and(|newest| meta.index + limit::CACHE_PACKETS as u64 <= newest) {
            return Insert::TooOld;
        }
        match &mut self.slots[Self::place(meta.index)] {
            Some(slot) if slot.meta.index == meta.index => return Insert::Duplicate,
            Some(slot) if slot.meta.index > meta.index => return Insert::TooOld,
            Some(slot) => {
                (slot.meta, slot.payload, slot.padding) = (meta, payload.len(), 0);
                slot.bytes.clear();
                slot.bytes.extend_from_slice(payload);
                slot.bytes.extend_from_slice(descriptor);
            }
            empty => {
                let bytes = [payload, descriptor].concat();
                *empty = Some(Slot { meta, bytes, payload: payload.len(), padding: 0 });
            }
        }
        self.newest = Some(self.newest.map_or(meta.index, |newest| newest.max(meta.index)));
        if meta.inspected.key {
            self.learn_key(&meta);
        }
        Insert::New
    }

    fn learn_key(&mut self, meta: &Meta) {
        let Meta { source, timestamp, index, .. } = *meta;
        match &mut self.newest_key {
            Some(key) if key.source == source && key.timestamp == timestamp => key.index = key.index.min(index),
            Some(key) if key.index > index => {}
            key => *key = Some(Key { source, timestamp, index }),
        }
    }

    /// First packet of the newest keyframe, with what lies before it of the same picture (delimiters, parameter sets in an order of the sender's own).
    /// `None` when the ring no longer has it.
    pub fn newest_key(&self) -> Option<&Meta> {
        let key = self.newest_key?;
        let of_the_picture = |index: u64| {
            let meta = self.get(index)?.meta;
            (meta.source == key.source && meta.timestamp == key.timestamp).then_some(meta)
        };
        let mut first = of_the_picture(key.index)?;
        while let Some(before) = first.index.checked_sub(1).and_then(of_the_picture) {
            first = before;
        }
        Some(first)
    }

    pub fn get(&self, index: u64) -> Option<Packet<'_>> {
        let slot = self.slots.get(Self::place(index))?.as_ref()?;
        (slot.meta.index == index).then(|| slot.packet())
    }

    /// Pads packets that leave together to equal sizes where a few bytes do it: encoders split a frame into nearly equal parts, but the kernel sends only
    /// equal datagrams as one (GSO), of which the last may be shorter.
    pub fn equalise(&mut self, together: &[u64]) {
        let mut rest = together;
        while let Some((run, target)) = self.nearly_equal(rest) {
            let (equal, behind) = rest.split_at(run);
            for index in equal {
                if let Some(slot) = self.slots[Self::place(*index)].as_mut().filter(|slot| slot.meta.index == *index) {
                    slot.padding = target.saturating_sub(slot.payload) as u8;
                }
            }
            rest = behind;
        }
    }

    /// How many packets from the first on differ by no more than [`limit::EQUALISE_BYTES`], and the length of the longest. `None` of none.
    fn nearly_equal(&self, together: &[u64]) -> Option<(usize, usize)> {
        // What is not there, or is padding only, ends a run.
        let len_of = |index: &u64| self.get(*index).map(|packet| packet.payload.len()).filter(|len| *len > 0);
        let first = len_of(together.first()?).unwrap_or(0);
        let (mut count, mut shortest, mut longest) = (1, first, first);
        for len in together[1..].iter().map_while(len_of).take_while(|_| first > 0) {
            let (low, high) = (shortest.min(len), longest.max(len));
            if high - low > limit::EQUALISE_BYTES {
                break;
            }
            (count, shortest, longest) = (count + 1, low, high);
        }
        Some((count, longest))
    }

    /// Highest index so far.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Lowest index that the ring can still hold.
    pub fn floor(&self) -> u64 {
        self.newest.map_or(0, |newest| (newest + 1).saturating_sub(limit::CACHE_PACKETS as u64))
    }

    fn place(index: u64) -> usize {
        index as usize % limit::CACHE_PACKETS
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A packet of source 1 at 30 frames a second, one packet a frame.
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    pub(crate) fn meta(index: u64) -> Meta {
        thread_local!(static START: Instant = Instant::now());
        Meta {
            index,
            timestamp: (1 << 32) + index * 3000,
            source: 1,
            layer: 0,
            marker: true,
            inspected: Inspected::default(),
            capture: None,
            orientation: None,
            playout_delay: None,
            arrival: START.with(|start| *start),
        }
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let size = limit::CACHE_PACKETS as u64;
        let mut cache = PacketCache::default();
        assert!(cache.get(5).is_none());
        assert_eq!(cache.insert(meta(70_000), b"a"), Insert::New);
        assert_eq!(cache.insert(meta(70_000), b"b"), Insert::Duplicate);
        assert_eq!(cache.insert(meta(69_999), b"c"), Insert::New);
        assert_eq!(cache.get(70_000).unwrap().payload, b"a");
        assert_eq!(cache.insert(meta(70_000 + size), b"d"), Insert::New);
        assert_eq!(cache.insert(meta(70_000), b"a"), Insert::TooOld);
        assert!(cache.get(70_000).is_none());
        assert_eq!(cache.get(70_000 + size).unwrap().payload, b"d");
        assert_eq!(cache.newest(), Some(70_000 + size));
        assert_eq!(cache.floor(), 70_001);
    }

    #[test]
    fn the_newest_keyframe_is_found_from_its_first_packet() {
        let key = Inspected { key: true, ..Inspected::default() };
        let mut cache = PacketCache::default();
        assert!(cache.newest_key().is_none());
        let first = |cache: &PacketCache| cache.newest_key().map(|meta| meta.index);
        cache.insert(Meta { inspected: key, ..meta(100) }, b"old");
        let of_picture = |index: u64| Meta { timestamp: meta(202).timestamp, ..meta(index) };
        // A delimiter, the parameter sets and the picture itself; the sets come last, as a repair.
        cache.insert(Meta { inspected: key, ..of_picture(203) }, b"idr");
        cache.insert(of_picture(201), b"delimiter");
        assert_eq!(first(&cache), Some(203), "what lies between is missing");
        cache.insert(Meta { inspected: key, ..of_picture(202) }, b"sets");
        assert_eq!(first(&cache), Some(201));
        cache.insert(Meta { inspected: key, ..meta(150) }, b"a late older one");
        assert_eq!(first(&cache), Some(201));
        cache.insert(meta(202 + limit::CACHE_PACKETS as u64), b"");
        assert!(cache.newest_key().is_none(), "overwritten");
    }

    #[test]
    fn nearly_equal_packets_are_padded_to_equal_ones() {
        let table: &[(&[usize], &[u8])] = &[
            (&[1120, 1120, 1121, 1121], &[1, 1, 0, 0]),
            (&[1106, 1105, 1105], &[0, 1, 1]),
            (&[1200, 1200, 400], &[0, 0, 0]),
            (&[400, 1200, 1190, 1216], &[0, 0, 10, 0]),
            (&[500, 0, 501, 500], &[0, 0, 0, 1]),
            (&[700], &[0]),
            (&[], &[]),
        ];
        for (lengths, expected) in table {
            let mut cache = PacketCache::default();
            for (at, len) in lengths.iter().enumerate() {
                cache.insert(meta(70_000 + at as u64), &vec![7; *len]);
            }
            let together: Vec<u64> = (0..lengths.len() as u64).map(|at| 70_000 + at).collect();
            cache.equalise(&together);
            let padding: Vec<u8> = together.iter().map(|index| cache.get(*index).unwrap().padding).collect();
            assert_eq!(padding, *expected, "{lengths:?}");
        }
        let mut cache = PacketCache::default();
        cache.insert(meta(70_000), &[7; 500]);
        cache.equalise(&[69_999, 70_000, 70_001]);
        assert_eq!(cache.get(70_000).unwrap().padding, 0, "its neighbours were overwritten");
    }

    #[test]
    fn a_hole_stays_a_hole() {
        let mut cache = PacketCache::default();
        cache.insert(meta(100), b"a");
        cache.insert(meta(102), b"c");
        assert!(cache.get(101).is_none());
        assert_eq!(cache.insert(meta(101), b"b"), Insert::New);
        assert_eq!(cache.get(101).unwrap().payload, b"b");
    }
}
