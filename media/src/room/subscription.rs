//! One viewer's view of one track: a cursor of numbers into the track's ring, never a queue of packets.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::buffer::cache::{Meta, Packet};
use crate::diagnostics::Standing;
use crate::forward::keyframe::Gate;
use crate::forward::layer::LayerSelector;
use crate::forward::level::Level;
use crate::forward::rewrite::{Mapped, Origin, Repairs, Rewriter, Seam};
use crate::forward::{self, Verdict};
use crate::limit;
use crate::message::{Codec, Quality};
use crate::rtp::codec::vp8_numbers::{Numbers, Shift};
use crate::rtp::dependency;
use crate::stats::DropReason;
use crate::token::RtpToken;

use super::layer::Layer;
use super::start::{self, Replay};
use super::track::{Rung, Track};

/// Repairs remembered so that one packet is not resent for every NACK that names it.
const RECENT_REPAIRS: usize = 64;
/// One packet is repaired at most once in a round trip: a NACK that was under way meanwhile says nothing new. This long before the round trip is known, and
/// its bounds after.
const REPAIR_SPACING: Duration = Duration::from_millis(40);
const SPACING: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(250);
/// Repairs may take one byte of these media bytes, and this many on top; where it is known what passes, what passes in this time.
const REPAIR_SHARE: u64 = 2;
const REPAIR_BURST: u64 = 256 * 1024;
const REPAIR_BURST_MS: u64 = 300;

/// Payload types under which a track reaches a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub codec: Codec,
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    /// Of sound that repeats earlier packets (RFC 2198).
    pub red_payload_type: Option<u8>,
}

impl Route {
    /// Payload type and payload under which a packet goes: as it came, or without what it repeats where the viewer takes no redundant sound.
    pub fn form<'p>(&self, packet: Packet<'p>) -> (u8, &'p [u8]) {
        match self.red_payload_type.filter(|_| packet.meta.inspected.primary > 0) {
            Some(redundant) => (redundant, packet.payload),
            None => (self.payload_type, packet.primary()),
        }
    }
}

/// A packet to be resent.
#[derive(Debug)]
pub struct Repair {
    pub token: RtpToken,
    pub payload_type: u8,
    /// The source's index.
    pub index: u64,
    pub original: u16,
    pub marker: bool,
    pub timestamp: u32,
    /// To be applied to a VP8 payload.
    pub shift: Shift,
}

/// What a sender report says about this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// Ids of the header extensions that a viewer negotiated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ids {
    /// Of transport-wide numbers.
    pub transport: Option<u8>,
    pub capture: Option<u8>,
    pub orientation: Option<u8>,
    pub playout_delay: Option<u8>,
    /// Of dependency descriptors.
    pub dependency: Option<u8>,
}

/// What a viewer's network carries of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// Bits per second.
    pub bitrate: u64,
    /// More is sent than passes.
    pub congested: bool,
}

/// Where a viewer stands in the ring who is behind the newest packet.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// Index of the next packet.
    next: u64,
    since: Instant,
    /// It began at a keyframe of before, see [`Subscription::start`].
    replays: bool,
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
    pub ids: Ids,
    /// Which layer goes to the viewer.
    pub selector: LayerSelector,
    /// How much of it.
    level: Level,
    pub quality: Quality,
    /// Since when not even the smallest layer fits what the network carries.
    short_since: Option<Instant>,
    paused: bool,
    gate: Gate,
    rewriter: Rewriter,
    /// `None` once the viewer is live.
    cursor: Option<Cursor>,
    /// The source that has begun, as to parameter sets; see [`Subscription::lead`].
    begun: Option<u32>,
    /// Stands for the parameter sets that were sent before its first packet.
    lead: Option<Meta>,
    /// Timestamp of the picture whose end was not sent yet.
    unfinished: Option<u64>,
    repairs: Option<Repairs>,
    route: Option<Route>,
    route_version: u32,
    budget: u64,
    budget_most: u64,
    recent: Vec<(u16, Instant)>,
    round_trip: Option<Duration>,
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
            ids: Ids::default(),
            selector: LayerSelector::default(),
            level: Level::default(),
            quality: Quality::default(),
            short_since: None,
            paused: false,
            gate: Gate::default(),
            rewriter: Rewriter::new(ssrc, rng),
            cursor: None,
            begun: None,
            lead: None,
            unfinished: None,
            repairs: rtx_ssrc.map(|ssrc| Repairs::new(ssrc, rng)),
            route: None,
            route_version: 0,
            budget: REPAIR_BURST,
            budget_most: REPAIR_BURST,
            recent: Vec::new(),
            round_trip: None,
            packets: 0,
            octets: 0,
        }
    }

    /// Something of it was sent.
    pub fn has_sent(&self) -> bool {
        self.packets > 0
    }

    pub fn ssrc(&self) -> u32 {
        self.rewriter.ssrc()
    }

    /// The route was found for this version of the track's format.
    pub fn has_route_for(&self, version: u32) -> bool {
        self.route_version == version
    }

    /// The first sequence number.
    pub fn first(&self) -> u16 {
        self.rewriter.first()
    }

    /// What the viewer is given of its track; `section` is the place in its answer.
    pub fn standing(&self, section: usize, track: Option<&Track>) -> Standing {
        let current = track.and_then(|track| self.current(track));
        let place = |at: Option<usize>| at.map(|at| at as u8);
        Standing {
            section: section as u8,
            layer: place(self.selector.current()),
            target: place(self.selector.target()),
            top: self.level.target(),
            awaits_keyframe: current.map_or(self.is_waiting(), |layer| self.needs_keyframe(layer.source())),
            behind: self.is_behind(),
            paused: self.paused,
        }
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

    /// Gets less of its layer than it shall, until a keyframe comes.
    pub fn wants_key(&self) -> bool {
        self.route.is_some() && self.level.wants_key()
    }

    /// Aims at the layer that the viewer shall get by what there is, what it wants to see and what its network carries; `None`: no limit was met.
    ///
    /// A smaller one is gone over to only when more is sent than passes, not when a layer takes more for a moment; a larger one only when what it
    /// takes was seen to pass. A rung is a layer or a part of one (its lower temporal and spatial layers); only its place in the ladder and its bit
    /// rate count here.
    ///
    /// False: even the smallest is too much, and was for [`limit::PAUSE_AFTER`]. Nothing is aimed at then.
    #[must_use]
    pub fn choose_layer(&mut self, now: Instant, track: &Track, downlink: Option<Downlink>) -> bool {
        let allowed = self.allowed(track);
        let (Some(largest), Some(smallest)) = (allowed.last(), allowed.first()) else { return !self.paused };
        if self.falls_short(now, smallest.bitrate, downlink) {
            return false;
        }
        self.paused = false;
        let Some(Downlink { bitrate, congested }) = downlink else {
            self.aim(*largest);
            return true;
        };
        let now = allowed.iter().position(|rung| self.aims_at(rung));
        let fits = |rung: &&Rung| rung.bitrate + rung.bitrate / 10 <= bitrate;
        let chosen = match now {
            Some(at) if congested => allowed[..=at].iter().rfind(|rung| rung.bitrate <= bitrate),
            Some(at) => allowed[at + 1..].iter().rfind(fits).or(Some(&allowed[at])),
            None => allowed.iter().rfind(fits),
        };
        let chosen = *chosen.unwrap_or(smallest);
        self.aim(chosen);
        true
    }

    fn aim(&mut self, rung: Rung) {
        self.selector.aim(rung.layer);
        self.level.aim(rung.top);
    }

    fn aims_at(&self, rung: &Rung) -> bool {
        self.selector.target() == Some(rung.layer) && self.level.target() == rung.top
    }

    /// What pauses has to fit with room to spare before it goes on. What goes on is not paused for a little: a limit is known as less than what passed.
    fn falls_short(&mut self, now: Instant, smallest: u64, downlink: Option<Downlink>) -> bool {
        let enough = if self.paused { smallest + smallest / 10 } else { smallest / 4 * 3 };
        if !self.video || downlink.is_none_or(|downlink| downlink.bitrate >= enough) {
            self.short_since = None;
            return false;
        }
        let since = *self.short_since.get_or_insert(now);
        self.paused || now >= since + limit::PAUSE_AFTER
    }

    /// The viewer gets nothing until [`Subscription::choose_layer`] aims at a layer again. Answers how many packets are passed over.
    pub fn pause(&mut self, track: &Track) -> u64 {
        let passed = self.break_off(track);
        self.selector.pause();
        self.paused = true;
        passed
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The next larger layer than the chosen one that the viewer wants to see; the smallest in a pause.
    pub fn next_rung(&self, track: &Track) -> Option<Rung> {
        let allowed = self.allowed(track);
        if self.paused {
            return allowed.first().copied();
        }
        let at = allowed.iter().position(|rung| self.aims_at(rung))?;
        allowed.get(at + 1).copied()
    }

    /// The part of the ladder that the viewer wants to see.
    fn allowed<'t>(&self, track: &'t Track) -> &'t [Rung] {
        let ladder = track.ladder();
        let fits = |rung: &Rung| match self.quality {
            Quality::Auto => true,
            Quality::AtMost(height) => rung.height <= height,
        };
        // Where all are higher, the least high in full.
        let least = || ladder.iter().take_while(|rung| rung.height == ladder[0].height).count();
        let count = ladder.iter().rposition(fits).map_or_else(least, |at| at + 1);
        &ladder[..count]
    }

    /// Begins at the newest keyframe in the ring of the chosen layer, if this is the beginning and the ring has one that is good to begin with; `bitrate` is known to
    /// reach the viewer. See [`Subscription::next_behind`].
    pub fn start(&mut self, now: Instant, track: &Track, bitrate: Option<u64>) {
        let Some(layer) = self.selector.target().and_then(|at| track.layers.get(at)) else { return };
        if !self.video || self.route.is_none() || !self.rewriter.is_fresh() {
            return;
        }
        let Some(Replay { first, newest }) = start::replay(layer, now, bitrate) else { return };
        self.rewriter.replay(now, &first, newest, track.clock_rate());
        self.gate.open_at(&first);
        self.selector.switch();
        self.cursor = Some(Cursor { next: first.index, since: now, replays: true });
    }

    /// This packet of the layer that the viewer has may not go yet: from here on it is behind.
    pub fn wait(&mut self, now: Instant, index: u64) {
        let cursor = self.cursor.get_or_insert(Cursor { next: index, since: now, replays: false });
        cursor.next = cursor.next.min(index);
    }

    /// The next packet for a viewer who is behind. `None`: the viewer has all that there is, and gets what comes.
    pub fn next_behind<'t>(&mut self, track: &'t Track) -> Option<Packet<'t>> {
        let Cursor { next, .. } = self.cursor?;
        let cache = self.current(track).map(|layer| &layer.cache);
        let rest = cache.and_then(|cache| Some((cache, next.max(cache.floor())..=cache.newest()?)));
        let packet = rest.and_then(|(cache, mut rest)| rest.find_map(|index| cache.get(index)));
        self.cursor = self.cursor.zip(packet).map(|(cursor, packet)| Cursor { next: packet.meta.index + 1, ..cursor });
        packet
    }

    /// The ring no longer has what comes next for the viewer, or it is behind for too long. A streamer that sends no keyframe when it is asked leaves
    /// nothing better than to catch up.
    pub fn is_lost(&self, now: Instant, track: &Track) -> bool {
        let (Some(cursor), Some(layer)) = (self.cursor, self.current(track)) else { return false };
        cursor.next < layer.cache.floor() || now > cursor.since + limit::BEHIND && !layer.requester.is_ignored(now)
    }

    /// Gives up catching up: goes on at the newest keyframe in the ring, or else at the next one. Answers how many packets are passed over.
    pub fn skip(&mut self, now: Instant, track: &Track) -> u64 {
        let next = self.cursor.map_or(0, |cursor| cursor.next);
        let passed = self.break_off(track);
        let key = self.current(track).and_then(Layer::newest_key).filter(|key| key.index > next);
        let Some(key) = key else { return passed };
        self.gate.open_at(key);
        self.cursor = Some(Cursor { next: key.index, since: now, replays: false });
        key.index - next
    }

    /// What the viewer is behind with, and what is missing of a picture under way, is never sent: the next packet is one of a keyframe. Answers how many
    /// packets are passed over.
    pub fn break_off(&mut self, track: &Track) -> u64 {
        let newest = self.current(track).and_then(|layer| layer.cache.newest());
        let cursor = self.cursor.take();
        self.rewriter.cut();
        self.gate.close();
        self.unfinished = None;
        cursor.zip(newest).map_or(0, |(cursor, newest)| (newest + 1).saturating_sub(cursor.next))
    }

    fn current<'t>(&self, track: &'t Track) -> Option<&'t Layer> {
        track.layers.get(self.selector.current()?)
    }

    /// Nothing was sent yet, for want of a keyframe.
    pub fn is_waiting(&self) -> bool {
        self.video && self.route.is_some() && self.rewriter.is_fresh()
    }

    pub fn is_behind(&self) -> bool {
        self.cursor.is_some()
    }

    /// It is behind since it began at a keyframe of before.
    pub fn is_replaying(&self) -> bool {
        self.cursor.is_some_and(|cursor| cursor.replays)
    }

    /// The viewer is behind, and will come to this packet.
    pub fn will_come_to(&self, index: u64) -> bool {
        self.cursor.is_some_and(|cursor| index >= cursor.next)
    }

    /// The picture that was sent last lacks its end: its timestamp.
    pub fn unfinished(&self) -> Option<u64> {
        self.unfinished
    }

    /// Parameter sets that have to go before `packet`, since it begins the stream or another layer of it, and its picture lacks them or they were
    /// overtaken: their numbers and payload.
    pub fn lead<'t>(&mut self, now: Instant, packet: &Meta, track: &'t Track) -> Option<(Mapped, &'t [u8])> {
        let begins = self.begun != Some(packet.source);
        if !begins || self.route.is_none() || !(packet.inspected.key || self.gate.is_open(packet.source)) {
            return None;
        }
        self.begun = Some(packet.source);
        let payload = track.layers.get(usize::from(packet.layer))?.missing_sets(packet)?;
        let lead = Meta { index: packet.index.checked_sub(1)?, marker: false, orientation: None, ..*packet };
        let join =
            |rewriter: &Rewriter| seam(rewriter, Packet { meta: &lead, payload, descriptor: &[], padding: 0 }, track);
        let mapped = self.rewriter.map(now, &lead, track.clock_rate(), join).ok()?;
        self.lead = Some(lead);
        Some((mapped, payload))
    }

    /// What happens to a packet of the layer that the viewer has.
    pub fn forward(&mut self, now: Instant, packet: Packet<'_>, track: &Track) -> Verdict {
        let Packet { meta, .. } = packet;
        if self.route.is_none() {
            return Verdict::Drop(DropReason::CodecNotNegotiated);
        }
        let join = |rewriter: &Rewriter| seam(rewriter, packet, track);
        let verdict =
            forward::forward(&mut self.gate, &mut self.level, &mut self.rewriter, now, meta, track.clock_rate(), join);
        match verdict {
            Verdict::Send(mapped) => {
                self.unfinished = (!self.ends(meta)).then_some(meta.timestamp);
                Verdict::Send(Mapped { shift: self.shift(mapped.shift), ..mapped })
            }
            other => other,
        }
    }

    /// Only VP8 has numbers in its payload that have to go on without a hole.
    fn shift(&self, shift: Shift) -> Shift {
        match self.route.map(|route| route.codec) {
            Some(Codec::Vp8) => shift.of_payload(),
            _ => shift.of_descriptor(),
        }
    }

    /// Extension id, descriptor and frame number of a packet, for a viewer who wants it.
    pub fn describe<'p>(&self, packet: Packet<'p>, shift: Shift) -> Option<(u8, &'p [u8], u16)> {
        let number = dependency::number(packet.descriptor)?;
        Some((self.ids.dependency?, packet.descriptor, shift.frame(number)))
    }

    /// The last packet of a picture, as the viewer gets it.
    pub fn ends(&self, packet: &Meta) -> bool {
        self.level.ends(packet)
    }

    /// A packet with this many payload bytes was sent.
    pub fn on_sent(&mut self, payload: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
        self.budget = (self.budget + payload as u64 / REPAIR_SHARE).min(self.budget_most);
    }

    /// So many bits per second are known to reach the viewer; `None` while no limit was met. A path that is full loses what is sent to repair it, too.
    pub fn limit_repairs(&mut self, bitrate: Option<u64>) {
        let in_time = |bitrate: u64| (bitrate / 8000).saturating_mul(REPAIR_BURST_MS).min(REPAIR_BURST);
        self.budget_most = bitrate.map_or(REPAIR_BURST, in_time);
        self.budget = self.budget.min(self.budget_most);
    }

    /// A report of the viewer told the round trip.
    pub fn on_round_trip(&mut self, sample: Duration) {
        self.round_trip = Some(self.round_trip.map_or(sample, |before| (before * 7 + sample) / 8));
    }

    /// To the viewer and back, once a report told.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
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
        let origin = self.rewriter.source_of(sequence).ok_or(DropReason::RepairNotFound)?;
        let layer = track.layers.get(usize::from(origin.layer)).ok_or(DropReason::RepairNotFound)?;
        let packet = self.original(&origin, layer).ok_or(DropReason::RepairNotFound)?;
        let spacing = self.round_trip.map_or(REPAIR_SPACING, |rtt| rtt.clamp(*SPACING.start(), *SPACING.end()));
        let just_repaired = |(known, at): &(u16, Instant)| *known == sequence && now < *at + spacing;
        if self.recent.iter().any(just_repaired) {
            return Err(DropReason::RepairNotFound);
        }
        self.budget = self.budget.checked_sub(packet.primary().len() as u64).ok_or(DropReason::RepairRefused)?;
        if self.recent.len() == RECENT_REPAIRS {
            self.recent.retain(|(_, at)| now < *at + spacing);
            if self.recent.len() == RECENT_REPAIRS {
                self.recent.remove(0);
            }
        }
        self.recent.push((sequence, now));
        let repair = self.again(payload_type, sequence, &origin, packet.meta).ok_or(DropReason::RepairRefused)?;
        Ok((repair, packet))
    }

    /// The largest of the packets sent last, to be sent again though nobody misses it: a probe of the network.
    pub fn redundant<'t>(&mut self, track: &'t Track) -> Option<(Repair, Packet<'t>)> {
        let payload_type = self.route?.rtx_payload_type?;
        let sent = self.rewriter.latest().filter_map(|(sequence, origin)| {
            let layer = track.layers.get(usize::from(origin.layer))?;
            Some((sequence, origin, self.original(&origin, layer)?))
        });
        let (sequence, origin, packet) = sent.max_by_key(|(.., packet)| packet.payload.len())?;
        Some((self.again(payload_type, sequence, &origin, packet.meta)?, packet))
    }

    /// An empty packet of the repair stream with its payload type: a probe where there is nothing to be sent again. Its timestamp means nothing. `None` without
    /// a repair stream.
    pub fn padding(&mut self) -> Option<(RtpToken, u8)> {
        let payload_type = self.route?.rtx_payload_type?;
        Some((self.repairs.as_mut()?.issue(), payload_type))
    }

    /// `None` without a repair stream.
    fn again(&mut self, payload_type: u8, original: u16, origin: &Origin, meta: &Meta) -> Option<Repair> {
        let marker = self.ends(meta) && !self.is_lead(origin) && self.level.admits(meta);
        let (token, timestamp) = (self.repairs.as_mut()?.issue(), origin.stamps.map(meta.timestamp));
        let shift = self.shift(origin.shift);
        Some(Repair { token, payload_type, index: origin.index, original, marker, timestamp, shift })
    }

    fn is_lead(&self, origin: &Origin) -> bool {
        self.lead.is_some_and(|lead| (lead.source, lead.index) == (origin.source, origin.index))
    }

    /// What was sent under a number: a packet of the ring, or the parameter sets before the first one.
    fn original<'t>(&self, origin: &Origin, layer: &'t Layer) -> Option<Packet<'t>> {
        if !self.is_lead(origin) {
            let packet = layer.cache.get(origin.index)?;
            // What was not for this viewer left its number to an empty packet.
            let empty = Packet { payload: &[], descriptor: &[], ..packet };
            return Some(if self.level.admits(packet.meta) { packet } else { empty });
        }
        let first = layer.cache.get(origin.index + 1)?;
        Some(Packet { payload: layer.sets.payload()?, ..first })
    }

    /// What is at the camera at `utc_us`, on the live mapping, by the clock of arrivals; `None` before the first packet of this source was sent.
    pub fn sent(&self, utc_us: u64, track: &Track) -> Option<Sent> {
        let layer = self.current(track)?;
        let now = layer.clock.trusted(utc_us)?.timestamp(utc_us, layer.clock_rate());
        let rtp = self.rewriter.live_timestamp(layer.source(), now)?;
        (self.packets > 0).then_some(Sent { rtp, packets: self.packets, octets: self.octets })
    }
}

/// Joins a packet of another source on to what was sent of the one before, by what is known of both.
fn seam(rewriter: &Rewriter, packet: Packet<'_>, track: &Track) -> Seam {
    let layer = |at: u8| track.layers.get(usize::from(at));
    let Some(((_, before), after)) = rewriter.latest().next().zip(layer(packet.meta.layer)) else {
        return Seam::default();
    };
    let left = layer(before.layer).filter(|left| left.source() == before.source);
    let timestamp = left.and_then(|left| {
        let reports = left.clock.report().zip(after.clock.report());
        let (from, to) = reports.or_else(|| left.clock.by_arrival().zip(after.clock.by_arrival()))?;
        let utc_us = to.utc_us(packet.meta.timestamp, track.clock_rate());
        Some(before.stamps.live(from.timestamp(utc_us, track.clock_rate())))
    });
    if let Some(next) = dependency::number(packet.descriptor) {
        let sent = rewriter.latest().find_map(|(_, origin)| {
            let packet = layer(origin.layer)?.cache.get(origin.index)?;
            Some(origin.shift.frame(dependency::number(packet.descriptor)?))
        });
        return Seam { timestamp, shift: sent.map_or_else(Shift::default, |sent| Shift::after_frame(sent, next)) };
    }
    let is_vp8 = after.format.is_some_and(|format| format.codec == Codec::Vp8);
    let sent = rewriter.latest().find_map(|(_, origin)| {
        let packet = layer(origin.layer)?.cache.get(origin.index)?;
        Some(Numbers::read(packet.payload)?.shifted(origin.shift))
    });
    let numbers = sent.zip(Numbers::read(packet.payload)).filter(|_| is_vp8);
    Seam { timestamp, shift: numbers.map_or_else(Shift::default, |(sent, next)| Shift::after(sent, next)) }
}
