//! One track of a broadcast: its newest packets, its numbers, what is known of its format. It outlives the streamer's connections.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::buffer::cache::{Insert, Meta, PacketCache};
use crate::forward::keyframe::Requester;
use crate::id::TrackId;
use crate::limit;
use crate::message::{Codec, CodecConfig, Now, TrackStats};
use crate::rtp::codec::{Inspected, h264, inspect, vp8, vp9};
use crate::rtp::seq::{SequenceUnwrapper, TimestampUnwrapper};
use crate::stats::DropReason;

use super::clock::SourceClock;

/// A packet from the streamer, decrypted, out of its RTP or retransmission envelope.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub codec: Codec,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// Empty for padding.
    pub payload: &'a [u8],
}

/// What a viewer's mapping depends on. `version` grows with each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub version: u32,
    pub codec: Codec,
    /// As payload types name it, see [`crate::session::negotiate::PayloadMap::profile`]. `None` before the first keyframe and for codecs without.
    pub profile: Option<u8>,
    pub width: u16,
    pub height: u16,
}

/// See the head of this module.
pub struct Track {
    id: TrackId,
    video: bool,
    pub format: Option<Format>,
    pub cache: PacketCache,
    pub requester: Requester,
    pub clock: SourceClock,
    /// Packets that came since the last fan-out.
    pub pending: Vec<u64>,
    /// Packets of the fan-out under way.
    pub sending: Vec<u64>,
    /// Counts the sources of this track, see [`Meta::source`].
    source: u32,
    /// See [`Track::source_start`].
    source_start: u64,
    restart: bool,
    sequences: SequenceUnwrapper,
    timestamps: TimestampUnwrapper,
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    packets: u64,
    bytes: u64,
    frames: u64,
    keyframes: u64,
    key_timestamp: Option<u64>,
    window: Option<(Instant, u64)>,
    bitrate: u64,
}

impl Track {
    pub fn new(id: TrackId, video: bool) -> Self {
        Self {
            id,
            video,
            format: None,
            cache: PacketCache::default(),
            requester: Requester::default(),
            clock: SourceClock::default(),
            pending: Vec::new(),
            sending: Vec::new(),
            source: 0,
            source_start: 0,
            restart: true,
            sequences: SequenceUnwrapper::default(),
            timestamps: TimestampUnwrapper::default(),
            figures: Figures::default(),
        }
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

    /// See [`Meta::source`].
    pub fn source(&self) -> u32 {
        self.source
    }

    /// Lowest index of the source so far: a packet may have been overtaken at the start.
    pub fn source_start(&self) -> u64 {
        self.source_start
    }

    /// Extended timestamp nearest to one on the wire; `None` before the first packet of the source.
    pub fn extend_timestamp(&self, timestamp: u32) -> Option<u64> {
        self.newest_timestamp().map(|highest| crate::rtp::seq::nearest::<32>(highest, u64::from(timestamp)))
    }

    /// Highest extended timestamp of the source; `None` before its first packet.
    pub fn newest_timestamp(&self) -> Option<u64> {
        self.timestamps.highest().filter(|_| !self.restart)
    }

    /// The next packet is of another sender: its numbers have nothing to do with those so far.
    pub fn begin_source(&mut self) {
        self.restart = true;
    }

    /// Takes one packet and answers its index; duplicates and what the ring no longer reaches are refused.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn accept(&mut self, now: Now, packet: Incoming<'_>) -> Result<u64, DropReason> {
        let inspected = match packet.payload {
            [] => Inspected::default(),
            payload => inspect(packet.codec, payload).ok_or(DropReason::BadRtp)?,
        };
        if self.format.is_some_and(|format| format.codec != packet.codec) {
            self.restart = true;
        }
        let index = self.index_of(packet.sequence);
        if self.restart {
            self.start_source(now.mono, index);
        }
        let timestamp = self.timestamps.unwrap(u64::from(packet.timestamp));
        let meta = Meta { index, timestamp, source: self.source, marker: packet.marker, inspected, arrival: now.mono };
        match self.cache.insert(meta, packet.payload) {
            Insert::New => {}
            Insert::Duplicate => return Err(DropReason::Duplicate),
            Insert::TooOld => return Err(DropReason::TooOld),
        }
        self.source_start = self.source_start.min(index);
        self.requester.on_packet(now.mono);
        self.clock.on_packet(timestamp, now.utc_us, self.clock_rate());
        if !packet.payload.is_empty() {
            self.learn_format(packet);
        }
        self.count(now.mono, packet, inspected, timestamp);
        self.pending.push(index);
        Ok(index)
    }

    fn index_of(&mut self, sequence: u16) -> u64 {
        if !self.restart {
            return self.sequences.unwrap(u64::from(sequence));
        }
        // Above everything the ring holds, and with room below for packets that were overtaken at the start.
        let floor = self.cache.newest().map_or(1 << 16, |newest| newest + 2 * limit::CACHE_PACKETS as u64);
        self.sequences.restart(floor, u64::from(sequence))
    }

    fn start_source(&mut self, now: Instant, index: u64) {
        self.restart = false;
        self.source += 1;
        self.source_start = index;
        self.timestamps = TimestampUnwrapper::default();
        self.clock = SourceClock::default();
        self.requester.restart();
        self.requester.on_packet(now);
        self.figures.key_timestamp = None;
    }

    fn learn_format(&mut self, packet: Incoming<'_>) {
        let known = self.format.filter(|format| format.codec == packet.codec);
        let mut format = known.unwrap_or(Format {
            version: self.format.map_or(0, |format| format.version),
            codec: packet.codec,
            profile: None,
            width: 0,
            height: 0,
        });
        match packet.codec {
            Codec::Vp8 => {
                let frame = vp8::Descriptor::parse(packet.payload)
                    .filter(|descriptor| descriptor.partition_start && descriptor.partition == 0)
                    .map(|descriptor| &packet.payload[descriptor.len..]);
                if let Some((width, height)) = frame.and_then(vp8::key_size) {
                    (format.width, format.height) = (width, height);
                }
            }
            Codec::H264 => {
                if let Some(sps) = h264::find_sps(packet.payload) {
                    (format.width, format.height) = (sps.width, sps.height);
                    format.profile = Some(sps.profile);
                }
            }
            Codec::Vp9 => {
                if let Some(header) = vp9::key_header(packet.payload) {
                    (format.width, format.height) = (header.width, header.height);
                    format.profile = Some(header.profile);
                }
            }
            Codec::Opus => {}
        }
        if self.format != Some(format) {
            format.version += 1;
            self.format = Some(format);
        }
    }

    fn count(&mut self, now: Instant, packet: Incoming<'_>, inspected: Inspected, timestamp: u64) {
        let figures = &mut self.figures;
        figures.packets += 1;
        figures.bytes += packet.payload.len() as u64;
        if packet.marker || (!self.video && !packet.payload.is_empty()) {
            figures.frames += 1;
        }
        // An H.264 keyframe shows itself in several packets.
        if self.video && inspected.key && figures.key_timestamp != Some(timestamp) {
            figures.key_timestamp = Some(timestamp);
            figures.keyframes += 1;
            self.requester.on_keyframe(now);
        }
        let (since, bytes) = *figures.window.get_or_insert((now, figures.bytes));
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= Duration::from_secs(1) {
            figures.bitrate = ((figures.bytes - bytes) as u128 * 8_000_000 / elapsed.as_micros().max(1)) as u64;
            figures.window = Some((now, figures.bytes));
        }
    }

    /// `lost` and `jitter_us` come from the receiver's reports.
    pub fn stats(&self, now: Instant, lost: u64, jitter_us: u32) -> Option<TrackStats> {
        let format = self.format?;
        let figures = &self.figures;
        let flowing = figures.window.is_some_and(|(since, _)| now.saturating_duration_since(since).as_secs() < 2);
        Some(TrackStats {
            track: self.id,
            config: CodecConfig {
                codec: format.codec,
                width: format.width,
                height: format.height,
                channels: if self.video { 0 } else { 2 },
                parameter_sets: Bytes::new(),
            },
            packets: figures.packets,
            bytes: figures.bytes,
            lost,
            frames: figures.frames,
            keyframes: figures.keyframes,
            bitrate: if flowing { figures.bitrate } else { 0 },
            jitter_us,
        })
    }
}
