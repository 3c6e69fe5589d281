//! The ordered, repaired copy of a broadcast, as access units on one timeline. It reads the tracks' rings like any viewer does;
//! what becomes of its items does not belong here.

mod assemble;
mod timeline;
mod track;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::id::{BroadcastId, ChannelName, TrackId};
use crate::limit;
use crate::message::{AccessUnit, EndReason, GapReason, Now, TapFact, TapItem};
use crate::room::clock::{Anchor, SourceClock};
use crate::room::track::Track;
use crate::stats::{Counters, DropReason};

use assemble::Unit;
use timeline::{Moment, Timeline};
use track::{Before, Found, TapTrack};

/// A broadcast whose offer has pictures waits so long for the first keyframe, from its first packet; then it begins with sound.
const PICTURE_PATIENCE: Duration = Duration::from_secs(2);

/// See the head of this module.
pub struct Tap {
    channel: ChannelName,
    broadcast: BroadcastId,
    tracks: Vec<TapTrack>,
    timeline: Option<Timeline>,
    first_packet: Option<Instant>,
    /// The streamer was away since the newest unit.
    disconnected: bool,
    deadline: Option<Instant>,
}

impl Tap {
    pub fn new(channel: ChannelName, broadcast: BroadcastId) -> Self {
        Self {
            channel,
            broadcast,
            tracks: Vec::new(),
            timeline: None,
            first_packet: None,
            disconnected: false,
            deadline: None,
        }
    }

    /// The streamer's connection is gone: what is missing of it will not come.
    pub fn on_disconnect(
        &mut self,
        now: Now,
        tracks: &mut [Track],
        counters: &mut Counters,
        out: &mut VecDeque<TapItem>,
    ) {
        self.read(now, tracks, counters, out, true);
        self.disconnected = true;
        if let Some(timeline) = &mut self.timeline {
            timeline.begin_sender();
        }
    }

    /// A sender report of a track's layer, laid on our clock. Worth telling once media zero is known, of the layer that is read.
    pub fn on_report(&self, track: &Track, layer: usize, anchor: Anchor) -> Option<TapItem> {
        self.timeline.as_ref()?;
        self.tracks.get(usize::from(track.id().0)).filter(|read| read.layer() == layer)?;
        let fact = TapFact::Clock { track: track.id(), rtp: anchor.timestamp, utc_us: anchor.utc_us };
        Some(TapItem { broadcast: self.broadcast, fact })
    }

    /// When to come back though nothing arrived.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Reads what the rings have.
    pub fn advance(&mut self, now: Now, tracks: &mut [Track], counters: &mut Counters, out: &mut VecDeque<TapItem>) {
        self.read(now, tracks, counters, out, false);
    }

    /// The broadcast ends: what is there is delivered, nothing is waited for.
    pub fn close(
        mut self,
        now: Now,
        reason: EndReason,
        tracks: &mut [Track],
        counters: &mut Counters,
        out: &mut VecDeque<TapItem>,
    ) {
        self.read(now, tracks, counters, out, true);
        if self.timeline.is_none() {
            return;
        }
        let end = self.tracks.iter().filter_map(TapTrack::end_ns).max().unwrap_or(0);
        for (at, track) in self.tracks.iter().enumerate() {
            if let Some(from_ns) = track.open_gap_ns().filter(|from| *from < end) {
                let track = Some(tracks[at].id());
                self.tell(out, TapFact::Gap { track, from_ns, to_ns: end, reason: GapReason::Loss });
            }
        }
        self.tell(out, TapFact::Closed { utc_us: now.utc_us, reason });
    }

    fn read(
        &mut self,
        now: Now,
        tracks: &mut [Track],
        counters: &mut Counters,
        out: &mut VecDeque<TapItem>,
        last_chance: bool,
    ) {
        while self.tracks.len() < tracks.len() {
            self.tracks.push(TapTrack::new(tracks[self.tracks.len()].is_video()));
        }
        self.deadline = None;
        let has_packets = |track: &Track| track.layers.iter().any(|layer| layer.cache.newest().is_some());
        if self.timeline.is_none() && tracks.iter().any(has_packets) {
            self.first_packet.get_or_insert(now.mono);
        }
        // Pictures first: a keyframe of theirs is media zero.
        for video in [true, false] {
            if !video && !last_chance && !self.sound_may_begin(now) {
                break;
            }
            for at in 0..tracks.len() {
                while tracks[at].is_video() == video {
                    match self.tracks[at].next(now.mono, &mut tracks[at], counters, last_chance) {
                        Found::Unit(unit) => {
                            let clocks = self.clocks(tracks);
                            let clocks = &clocks[..tracks.len()];
                            let place = Place { at, id: tracks[at].id(), rate: tracks[at].clock_rate(), clocks };
                            if !self.deliver(now, place, unit, out) {
                                counters.drop(DropReason::TapBeforeZero);
                            }
                        }
                        Found::Nothing { again } => {
                            self.deadline = self.deadline.into_iter().chain(again).min();
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Of the layers that are read, one per track.
    fn clocks(&self, tracks: &[Track]) -> [SourceClock; limit::TRACKS] {
        std::array::from_fn(|at| {
            let layer = tracks.get(at).and_then(|track| track.layers.get(self.tracks[at].layer()));
            layer.map_or_else(SourceClock::default, |layer| layer.clock)
        })
    }

    /// Sound waits in its ring until media zero is known.
    fn sound_may_begin(&mut self, now: Now) -> bool {
        if self.timeline.is_some() || !self.tracks.iter().any(TapTrack::is_video) {
            return true;
        }
        let Some(until) = self.first_packet.map(|first| first + PICTURE_PATIENCE) else { return false };
        if now.mono < until {
            self.deadline = self.deadline.into_iter().chain([until]).min();
        }
        now.mono >= until
    }

    /// False when the unit lies before media zero.
    fn deliver(&mut self, now: Now, place: Place<'_>, found: Unit, out: &mut VecDeque<TapItem>) -> bool {
        let Place { at, id, rate, clocks } = place;
        let arrival_utc_us = clocks[at].by_arrival().map_or(now.utc_us, |anchor| anchor.utc_us(found.timestamp, rate));
        if self.timeline.is_none() {
            self.timeline = Some(Timeline::new(arrival_utc_us));
            let channel = self.channel.clone();
            self.tell(out, TapFact::Opened { channel, media_zero_utc_us: arrival_utc_us });
        }
        let with_pictures = self.tracks.iter().any(|track| track.is_video() && track.has_delivered());
        let may_step = found.key && (self.tracks[at].is_video() || !with_pictures);
        let moment = Moment { source: found.source, timestamp: found.timestamp, arrival_utc_us, may_step };
        let placed = self.timeline.as_mut().and_then(|timeline| {
            let pts_ns = timeline.place(at, rate, moment, clocks)?;
            Some((pts_ns, timeline.utc_us(pts_ns)))
        });
        let Some((pts_ns, utc_us)) = placed else { return false };
        if std::mem::take(&mut self.disconnected)
            && let Some(from_ns) = self.tracks.iter().filter_map(TapTrack::end_ns).max()
        {
            let to_ns = pts_ns.max(from_ns);
            self.tell(out, TapFact::Gap { track: None, from_ns, to_ns, reason: GapReason::Disconnected });
        }
        let Before { gap_from_ns, config, orientation } = self.tracks[at].on_delivered(&found, pts_ns);
        if let Some(from_ns) = gap_from_ns.filter(|from| *from < pts_ns) {
            self.tell(out, TapFact::Gap { track: Some(id), from_ns, to_ns: pts_ns, reason: GapReason::Loss });
        }
        if let Some(config) = config {
            self.tell(out, TapFact::Config { track: id, config });
        }
        if let Some(orientation) = orientation {
            self.tell(out, TapFact::Orientation { track: id, from_ns: pts_ns, orientation });
        }
        self.tell(
            out,
            TapFact::Unit(AccessUnit {
                track: id,
                key: found.key,
                pts_ns,
                dts_ns: pts_ns,
                utc_us,
                first_seq: found.first_index,
                last_seq: found.last_index,
                data: found.data,
            }),
        );
        true
    }

    fn tell(&self, out: &mut VecDeque<TapItem>, fact: TapFact) {
        out.push_back(TapItem { broadcast: self.broadcast, fact });
    }
}

/// Whose unit it is.
struct Place<'a> {
    at: usize,
    id: TrackId,
    rate: u32,
    clocks: &'a [SourceClock],
}
