//! One viewer's view of one track: a cursor of numbers into the track's ring, never a queue of packets.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::buffer::cache::{Meta, Packet};
use crate::forward::keyframe::Gate;
use crate::forward::rewrite::{Repairs, Rewriter, Stamps};
use crate::forward::{self, Verdict};
use crate::stats::DropReason;
use crate::token::RtpToken;

use super::clock::Anchor;
use super::start::{self, Replay};
use super::track::Track;

/// Repairs remembered so that one packet is not resent for every NACK that names it.
const RECENT_REPAIRS: usize = 64;
/// One packet is repaired at most once in this long: about a round trip of a distant viewer's repeated NACK.
const REPAIR_SPACING: Duration = Duration::from_millis(40);
/// Repairs may take one byte of these media bytes, and this many on top.
const REPAIR_SHARE: u64 = 2;
const REPAIR_BURST: u64 = 256 * 1024;

/// Payload types under which a track reaches a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
}

/// A packet to be resent.
#[derive(Debug)]
pub struct Repair {
    pub token: RtpToken,
    pub payload_type: u8,
    /// The source's index.
    pub index: u64,
    pub original: u16,
    pub timestamp: u32,
}

/// What a sender report says about this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// See the head of this module.
pub struct Subscription {
    /// The track's place in its room, once there is such a track.
    pub track: Option<usize>,
    pub video: bool,
    /// The how-manieth section of its kind this is.
    pub ordinal: usize,
    /// Extension id and media section id, where negotiated.
    pub mid: Option<(u8, Box<[u8]>)>,
    gate: Gate,
    rewriter: Rewriter,
    /// Where the replay of the ring stands; `None` once the viewer is live.
    cursor: Option<u64>,
    repairs: Option<Repairs>,
    route: Option<Route>,
    route_version: u32,
    budget: u64,
    recent: Vec<(u16, Instant)>,
    packets: u32,
    octets: u32,
}

impl Subscription {
    pub fn new(video: bool, ordinal: usize, ssrc: u32, rtx_ssrc: Option<u32>, rng: &mut impl Rng) -> Self {
        Self {
            track: None,
            video,
            ordinal,
            mid: None,
            gate: Gate::default(),
            rewriter: Rewriter::new(ssrc, rng),
            cursor: None,
            repairs: rtx_ssrc.map(|ssrc| Repairs::new(ssrc, rng)),
            route: None,
            route_version: 0,
            budget: REPAIR_BURST,
            recent: Vec::new(),
            packets: 0,
            octets: 0,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.rewriter.ssrc()
    }

    /// The route was found for this version of the track's format.
    pub fn has_route_for(&self, version: u32) -> bool {
        self.route_version == version
    }

    /// `None`: the viewer lacks the codec.
    pub fn set_route(&mut self, version: u32, route: Option<Route>) {
        self.route_version = version;
        self.route = route;
    }

    pub fn route(&self) -> Option<Route> {
        self.route
    }

    /// Waits for a keyframe of this source.
    pub fn needs_keyframe(&self, source: u32) -> bool {
        self.video && self.route.is_some() && !self.gate.is_open(source)
    }

    /// Begins at the newest keyframe in the ring, if this is the beginning and the ring has one that is good to begin with. See
    /// [`Subscription::next_replayed`].
    pub fn start(&mut self, now: Instant, track: &Track) {
        if !self.video || self.route.is_none() || !self.rewriter.is_fresh() {
            return;
        }
        let Some(Replay { first, newest }) = start::replay(track, now) else { return };
        self.rewriter.replay(now, &first, newest, track.clock_rate());
        self.gate.open_at(&first);
        self.cursor = Some(first.index);
    }

    /// The next packet to be replayed. `None`: the viewer has all that there is, and gets what comes.
    pub fn next_replayed<'t>(&mut self, track: &'t Track) -> Option<Packet<'t>> {
        let cursor = self.cursor?;
        let newest = track.cache.newest()?;
        let packet = (cursor.max(track.cache.floor())..=newest).find_map(|index| track.cache.get(index));
        self.cursor = packet.map(|packet| packet.meta.index + 1);
        packet
    }

    pub fn is_replaying(&self) -> bool {
        self.cursor.is_some()
    }

    /// The replay will come to this packet.
    pub fn will_replay(&self, index: u64) -> bool {
        self.cursor.is_some_and(|cursor| index >= cursor)
    }

    pub fn forward(&mut self, now: Instant, packet: &Meta, clock_rate: u32) -> Verdict {
        if self.route.is_none() {
            return Verdict::Drop(DropReason::CodecNotNegotiated);
        }
        forward::forward(&mut self.gate, &mut self.rewriter, now, packet, clock_rate)
    }

    /// A packet with this many payload bytes was sent.
    pub fn on_sent(&mut self, payload: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
        self.budget = (self.budget + payload as u64 / REPAIR_SHARE).min(REPAIR_BURST);
    }

    /// The viewer misses `sequence`.
    ///
    /// # Errors
    /// [`DropReason::RepairNotFound`] if it was never sent, was just repaired or is no longer in the ring;
    /// [`DropReason::RepairRefused`] without a repair stream or beyond the budget.
    pub fn repair<'t>(
        &mut self,
        now: Instant,
        sequence: u16,
        track: &'t Track,
    ) -> Result<(Repair, Packet<'t>), DropReason> {
        let payload_type = self.route.and_then(|route| route.rtx_payload_type).ok_or(DropReason::RepairRefused)?;
        let repairs = self.repairs.as_mut().ok_or(DropReason::RepairRefused)?;
        let (index, stamps): (u64, Stamps) = self.rewriter.source_of(sequence).ok_or(DropReason::RepairNotFound)?;
        let packet = track.cache.get(index).ok_or(DropReason::RepairNotFound)?;
        let just_repaired = |(known, at): &(u16, Instant)| *known == sequence && now < *at + REPAIR_SPACING;
        if self.recent.iter().any(just_repaired) {
            return Err(DropReason::RepairNotFound);
        }
        self.budget = self.budget.checked_sub(packet.payload.len() as u64).ok_or(DropReason::RepairRefused)?;
        if self.recent.len() == RECENT_REPAIRS {
            self.recent.retain(|(_, at)| now < *at + REPAIR_SPACING);
            if self.recent.len() == RECENT_REPAIRS {
                self.recent.remove(0);
            }
        }
        self.recent.push((sequence, now));
        let (token, timestamp) = (repairs.issue(), stamps.map(packet.meta.timestamp));
        Ok((Repair { token, payload_type, index, original: sequence, timestamp }, packet))
    }

    /// The report at `utc_us` on the live mapping; `None` before the first packet of this source was sent.
    pub fn sent(&self, anchor: Anchor, utc_us: u64, track: &Track) -> Option<Sent> {
        let now = anchor.timestamp(utc_us, track.clock_rate());
        let rtp = self.rewriter.live_timestamp(track.source(), now)?;
        (self.packets > 0).then_some(Sent { rtp, packets: self.packets, octets: self.octets })
    }
}
