//! One layer of a track: its newest packets, its numbers, what is known of its format. A track without simulcast is one layer. It outlives
//! the streamer's connections. How layers stand to each other is in `track`.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::buffer::cache::{Insert, Meta, PacketCache};
use crate::forward::keyframe::Requester;
use crate::limit;
use crate::message::{Codec, CodecConfig, LayerStats, Now, Orientation};
use crate::rtp::codec::h264::{self, ParameterSets};
use crate::rtp::codec::{Inspected, av1, inspect, red, vp8, vp9};
use crate::rtp::dependency::{Dependencies, Frame};
use crate::rtp::extension::{CaptureTime, PlayoutDelay};
use crate::rtp::seq::{SequenceUnwrapper, TimestampUnwrapper};
use crate::stats::DropReason;

use super::clock::SourceClock;
use super::levels::{Levels, Part};

mod copy;

pub use copy::Vitals;

/// A packet from the streamer, decrypted, out of its RTP or retransmission envelope.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub codec: Codec,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// Empty for padding.
    pub payload: &'a [u8],
    /// With redundant sound (RFC 2198), whose blocks have this payload type.
    pub redundant: Option<u8>,
    /// The dependency descriptor, where the sender sends one.
    pub dependency: Option<&'a [u8]>,
    /// See [`Meta::capture`].
    pub capture: Option<CaptureTime>,
    /// What this packet says of it.
    pub orientation: Option<Orientation>,
    pub playout_delay: Option<PlayoutDelay>,
}

/// What a viewer's mapping depends on. `version` grows with each change; no two layers of a track have the same one.
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
pub struct Layer {
    /// Its place among the track's layers.
    at: u8,
    video: bool,
    pub format: Option<Format>,
    /// Of H.264.
    pub sets: ParameterSets,
    pub cache: PacketCache,
    pub requester: Requester,
    pub clock: SourceClock,
    /// Packets that came since the last fan-out.
    pub pending: Vec<u64>,
    /// Packets of the fan-out under way.
    pub sending: Vec<u64>,
    /// See [`Layer::is_open`].
    open: bool,
    /// A tap reads this layer, so it needs keyframes from time to time.
    pub recorded: bool,
    /// See [`Meta::source`].
    source: u32,
    /// See [`Track::source_start`].
    source_start: u64,
    /// When the first packet of the source came, and the newest.
    began: Option<Instant>,
    heard: Option<Instant>,
    /// Since when packets come without a pause of [`limit::LAYER_SILENCE`].
    flows_since: Option<Instant>,
    restart: bool,
    sequences: SequenceUnwrapper,
    timestamps: TimestampUnwrapper,
    dependencies: Dependencies,
    /// What the newest packet that said so said, and its index.
    orientation: (Orientation, u64),
    /// What the newest packet that said so said, and its index.
    playout_delay: Option<(PlayoutDelay, u64)>,
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
    levels: Levels,
}

impl Layer {
    /// `at` is its place among the track's layers.
    pub fn new(at: u8, video: bool) -> Self {
        Self {
            at,
            video,
            format: None,
            sets: ParameterSets::default(),
            cache: PacketCache::default(),
            requester: Requester::default(),
            clock: SourceClock::default(),
            pending: Vec::new(),
            sending: Vec::new(),
            open: false,
            recorded: false,
            source: u32::from(at),
            source_start: 0,
            began: None,
            heard: None,
            flows_since: None,
            restart: true,
            sequences: SequenceUnwrapper::default(),
            timestamps: TimestampUnwrapper::default(),
            dependencies: Dependencies::default(),
            orientation: Default::default(),
            playout_delay: None,
            figures: Figures::default(),
        }
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

    /// When the first packet of the source came; `None` before.
    pub fn began(&self) -> Option<Instant> {
        self.began.filter(|_| !self.restart)
    }

    /// When the newest packet of the source came; `None` before the first.
    pub fn heard(&self) -> Option<Instant> {
        self.heard.filter(|_| !self.restart)
    }

    /// It has come for [`limit::LAYER_STEADY`] without a pause.
    pub fn is_steady(&self, now: Instant) -> bool {
        !self.restart && self.flows_since.is_some_and(|since| now >= since + limit::LAYER_STEADY)
    }

    /// The newest packet does not end its frame: more of it is on its way.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Pixels of the picture; 0 while unknown.
    pub fn area(&self) -> u32 {
        self.format.map_or(0, |format| u32::from(format.width) * u32::from(format.height))
    }

    /// First packet of the newest keyframe of the source, if the ring still has it.
    pub fn newest_key(&self) -> Option<&Meta> {
        self.cache.newest_key().filter(|key| key.source == self.source && !self.restart)
    }

    /// The parameter sets that the picture beginning with this packet needs and does not carry, as a payload of its own.
    pub fn missing_sets(&self, first: &Meta) -> Option<&[u8]> {
        self.format.filter(|format| format.codec == Codec::H264)?;
        let picture = (first.index..).map_while(|index| self.cache.get(index));
        let mut picture = picture.take_while(|packet| packet.meta.timestamp == first.timestamp);
        if picture.any(|packet| ParameterSets::begin(packet.payload)) {
            return None;
        }
        self.sets.payload()
    }

    /// Where in the fan-out under way a keyframe begins: a place in `sending`.
    pub fn sending_key(&self) -> Option<usize> {
        let is_key = |index: &u64| self.cache.get(*index).is_some_and(|packet| packet.meta.inspected.key);
        self.sending.iter().position(is_key)
    }

    /// Bits per second of payload over the last second; 0 when it does not flow.
    pub fn bitrate(&self, now: Instant) -> u64 {
        let flows = self.figures.window.is_some_and(|(since, _)| now.saturating_duration_since(since).as_secs() < 2);
        if flows { self.figures.bitrate } else { 0 }
    }

    /// Parts of it that a viewer may be given instead, see [`Levels::parts`].
    pub fn parts(&self, is_smallest: bool) -> impl Iterator<Item = Part> {
        self.figures.levels.parts(is_smallest)
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
        let mut inspected = match packet.payload {
            [] => Inspected::default(),
            payload => match packet.redundant {
                Some(of) => red::inspect(payload, of),
                None => inspect(packet.codec, payload),
            }
            .ok_or(DropReason::BadRtp)?,
        };
        if self.format.is_some_and(|format| format.codec != packet.codec) {
            self.restart = true;
        }
        let index = self.index_of(packet.sequence);
        if self.restart {
            self.start_source(now.mono, index);
        }
        // Browsers read from payloads what the other codecs need; AV1 in spatial layers they cannot play without.
        let mut descriptor: &[u8] = &[];
        if let Some(Ok(frame)) = packet.dependency.map(|descriptor| self.dependencies.read(descriptor)) {
            self.learn_frame(packet, &frame, &mut inspected);
            descriptor = packet.dependency.filter(|_| packet.codec == Codec::Av1).unwrap_or_default();
        }
        let timestamp = self.timestamps.unwrap(u64::from(packet.timestamp));
        let (source, layer, marker) = (self.source, self.at, packet.marker);
        let (capture, orientation) = (packet.capture, self.orientation_of(index, packet, inspected.end));
        let playout_delay = self.playout_delay_of(index, packet, inspected.key);
        let arrival = now.mono;
        let meta =
            Meta { index, timestamp, source, layer, marker, inspected, capture, orientation, playout_delay, arrival };
        match self.cache.insert_described(meta, packet.payload, descriptor) {
            Insert::New => {}
            Insert::Duplicate => return Err(DropReason::Duplicate),
            Insert::TooOld => return Err(DropReason::TooOld),
        }
        self.source_start = self.source_start.min(index);
        if self.cache.newest() == Some(index) {
            self.open = self.video && !packet.marker;
        }
        if self.heard.is_none_or(|heard| now.mono > heard + limit::LAYER_SILENCE) {
            self.flows_since = Some(now.mono);
        }
        self.heard = Some(now.mono);
        self.requester.on_packet(now.mono);
        self.clock.on_packet(timestamp, now.utc_us, self.clock_rate());
        if !packet.payload.is_empty() {
            self.learn_format(packet);
        }
        self.count(now.mono, packet, meta);
        self.pending.push(index);
        Ok(index)
    }

    /// What came goes to the viewers now.
    pub fn begin_sending(&mut self) {
        std::mem::swap(&mut self.pending, &mut self.sending);
        if self.video {
            self.cache.equalise(&self.sending);
        }
    }

    fn index_of(&mut self, sequence: u16) -> u64 {
        if !self.restart {
            return self.sequences.unwrap(u64::from(sequence));
        }
        // Above everything the ring holds, and with room below for packets that were overtaken at the start.
        let floor = self.cache.newest().map_or(1 << 16, |newest| newest + 2 * limit::CACHE_PACKETS as u64);
        self.sequences.restart(floor, u64::from(sequence))
    }

    /// See [`Meta::orientation`].
    fn orientation_of(&mut self, index: u64, packet: Incoming<'_>, end: bool) -> Option<Orientation> {
        if let Some(said) = packet.orientation {
            if index >= self.orientation.1 {
                self.orientation = (said, index);
            }
            return Some(said);
        }
        let (in_force, since) = self.orientation;
        ((packet.marker || end) && index > since && in_force.quarters() != 0).then_some(in_force)
    }

    /// See [`Meta::playout_delay`].
    fn playout_delay_of(&mut self, index: u64, packet: Incoming<'_>, key: bool) -> Option<PlayoutDelay> {
        let Some(said) = packet.playout_delay else {
            return self.playout_delay.filter(|(_, since)| key && self.video && index > *since).map(|(delay, _)| delay);
        };
        if self.playout_delay.is_none_or(|(_, since)| index >= since) {
            self.playout_delay = Some((said, index));
        }
        Some(said)
    }

    fn start_source(&mut self, now: Instant, index: u64) {
        self.restart = false;
        self.source += limit::LAYERS as u32;
        self.began = Some(now);
        self.heard = None;
        self.source_start = index;
        self.timestamps = TimestampUnwrapper::default();
        self.sets = ParameterSets::default();
        self.dependencies = Dependencies::default();
        (self.orientation, self.playout_delay) = (Default::default(), None);
        self.clock = SourceClock::default();
        self.requester.restart();
        self.requester.on_packet(now);
        self.figures.key_timestamp = None;
        self.figures.levels.restart();
    }

    /// What payloads of VP8 and VP9 say of their layers is more exact than the descriptors that browsers send with them. Chromium's VP8 says nothing where
    /// there is a descriptor.
    fn learn_frame(&mut self, packet: Incoming<'_>, frame: &Frame, inspected: &mut Inspected) {
        let payload_tells = match packet.codec {
            Codec::Vp9 => true,
            Codec::Vp8 => vp8::Descriptor::parse(packet.payload).is_some_and(|read| read.temporal.is_some()),
            Codec::Av1 | Codec::H264 | Codec::Opus => false,
        };
        if !payload_tells {
            (inspected.layer, inspected.switch_up, inspected.end) = (frame.layer, frame.switch_up, frame.last_packet);
            if let Some((_, height)) = frame.size {
                self.figures.levels.learn_height(usize::from(frame.layer.spatial), height);
            }
        }
    }

    fn learn_format(&mut self, packet: Incoming<'_>) {
        let known = self.format.filter(|format| format.codec == packet.codec);
        let mut format = known.unwrap_or(Format {
            version: self.format.map_or(u32::from(self.at), |format| format.version),
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
                self.sets.learn(packet.payload);
                if let Some(sps) = h264::find_sps(packet.payload) {
                    (format.width, format.height) = (sps.width, sps.height);
                    format.profile = Some(sps.profile);
                }
            }
            Codec::Vp9 => {
                if let Some(header) = vp9::key_header(packet.payload) {
                    (format.width, format.height) = (header.width, header.height);
                    format.profile = Some(header.profile);
                    let sizes = vp9::Descriptor::parse(packet.payload).and_then(|descriptor| descriptor.sizes);
                    for (spatial, (_, height)) in sizes.iter().flat_map(vp9::Sizes::iter).enumerate() {
                        self.figures.levels.learn_height(spatial, height);
                    }
                }
            }
            Codec::Av1 => {
                if let Some(sequence) = av1::find_sequence(packet.payload) {
                    (format.width, format.height) = (sequence.width, sequence.height);
                    format.profile = Some(sequence.profile);
                }
            }
            Codec::Opus => {}
        }
        if self.format != Some(format) {
            format.version += limit::LAYERS as u32;
            self.format = Some(format);
        }
    }

    fn count(&mut self, now: Instant, packet: Incoming<'_>, meta: Meta) {
        let figures = &mut self.figures;
        figures.packets += 1;
        figures.bytes += packet.payload.len() as u64;
        figures.levels.count(meta.inspected.layer, packet.payload.len());
        if packet.marker || (!self.video && !packet.payload.is_empty()) {
            figures.frames += 1;
        }
        // An H.264 keyframe shows itself in several packets.
        if self.video && meta.inspected.key && figures.key_timestamp != Some(meta.timestamp) {
            figures.key_timestamp = Some(meta.timestamp);
            figures.keyframes += 1;
            self.requester.on_keyframe(now);
        }
        let (since, bytes) = *figures.window.get_or_insert((now, figures.bytes));
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= Duration::from_secs(1) {
            figures.bitrate = ((figures.bytes - bytes) as u128 * 8_000_000 / elapsed.as_micros().max(1)) as u64;
            figures.levels.judge(elapsed.as_micros());
            figures.window = Some((now, figures.bytes));
        }
    }

    /// `None` before the first packet.
    pub fn stats(&self, now: Instant) -> Option<LayerStats> {
        let format = self.format?;
        let figures = &self.figures;
        Some(LayerStats {
            config: CodecConfig {
                codec: format.codec,
                width: format.width,
                height: format.height,
                channels: if self.video { 0 } else { 2 },
                parameter_sets: Bytes::new(),
            },
            packets: figures.packets,
            bytes: figures.bytes,
            frames: figures.frames,
            keyframes: figures.keyframes,
            bitrate: self.bitrate(now),
        })
    }
}
