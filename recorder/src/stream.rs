//! One broadcast on the journal thread: its parts on disk, and what happens when the disk refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use journal::{AppendError, ClipId, Header, Record};
use media::id::{BroadcastId, ChannelName, TrackId};
use media::message::{AccessUnit, EndReason, GapReason, TapFact};
use storage::Id;

use crate::clock;
use crate::horizon::Written;
use crate::part_file::PartFile;
use crate::rollover::{Action, Limits, Rollover};
use crate::writer::{Desk, Fact};

/// Refused for this long, or this many bytes waiting: the units are given up to the next keyframe.
const PATIENCE: Duration = Duration::from_secs(4);
const PATIENCE_BYTES: usize = 64 << 20;
/// A broadcast that has ended waits this long for the disk before what is written must do.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Stream {
    broadcast: BroadcastId,
    channel: ChannelName,
    media_zero_utc_us: u64,
    rollover: Rollover,
    parts: BTreeMap<u32, PartFile>,
    video: Option<TrackId>,
    /// Time of the newest unit of each track that was given to a file.
    given: BTreeMap<TrackId, u64>,
    /// Asked for since the last cut.
    requests: Vec<Id>,
    failing_since: Option<Instant>,
    /// Since when (media time) units are given up.
    dropping_from_ns: Option<u64>,
    /// Tracks whose newest units were given up.
    given_up: BTreeSet<TrackId>,
    /// The number of each track's first unit after the last hole.
    resumed: BTreeMap<TrackId, u64>,
    ended: Option<Ended>,
}

#[derive(Clone, Copy)]
struct Ended {
    at: Instant,
    utc_us: u64,
    reason: EndReason,
}

impl Stream {
    pub(crate) fn new(broadcast: BroadcastId, channel: ChannelName, media_zero_utc_us: u64, limits: Limits) -> Self {
        Self {
            broadcast,
            channel,
            media_zero_utc_us,
            rollover: Rollover::new(limits),
            parts: BTreeMap::new(),
            video: None,
            given: BTreeMap::new(),
            requests: Vec::new(),
            failing_since: None,
            dropping_from_ns: None,
            given_up: BTreeSet::new(),
            resumed: BTreeMap::new(),
            ended: None,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing_since.is_some()
    }

    /// Ended, and nothing is left to write.
    pub(crate) fn is_done(&self) -> bool {
        self.ended.is_some() && self.parts.is_empty()
    }

    pub(crate) fn fact(&mut self, now: Instant, fact: TapFact, desk: &Desk) {
        match &fact {
            TapFact::Config { track, config } if config.codec.is_video() => self.video = self.video.or(Some(*track)),
            TapFact::Unit(_) => drop(desk.figures.units.fetch_add(1, Relaxed)),
            TapFact::Closed { utc_us, reason } => {
                self.ended = Some(Ended { at: now, utc_us: *utc_us, reason: *reason });
            }
            _ => {}
        }
        let mut actions = Vec::new();
        self.rollover.fact(now, fact, &mut actions);
        self.carry_out(now, actions, desk);
    }

    pub(crate) fn request(&mut self, now: Instant, requests: Vec<Id>, desk: &Desk) {
        self.requests.extend(requests);
        let mut actions = Vec::new();
        self.rollover.request(now, &mut actions);
        self.carry_out(now, actions, desk);
    }

    /// Ends the running part where it is, which answers what was asked for, and writes no other until [`Stream::resume`].
    pub(crate) fn hold(&mut self, now: Instant, desk: &Desk) {
        if let Some(mut running) = self.parts.last_entry() {
            running.get_mut().requests.append(&mut self.requests);
        }
        let mut actions = Vec::new();
        self.rollover.hold(&mut actions);
        self.carry_out(now, actions, desk);
    }

    /// Goes on after [`Stream::hold`], from the next keyframe.
    pub(crate) fn resume(&mut self, now: Instant, desk: &Desk) {
        let mut actions = Vec::new();
        self.rollover.resume(now, &mut actions);
        self.carry_out(now, actions, desk);
    }

    /// The disk is asked for something whose answer changes what can be done.
    pub(crate) fn waits_for_medium(&self) -> bool {
        self.parts.values().any(PartFile::waits_for_medium)
    }

    /// Writes what waits; with `sync`, hands the files over to be synced.
    pub(crate) fn tick(&mut self, now: Instant, sync: bool, desk: &Desk) {
        let mut actions = Vec::new();
        self.rollover.tick(now, &mut actions);
        self.carry_out(now, actions, desk);
        self.flush(now, desk);
        if sync {
            for part in self.parts.values_mut() {
                if let Some(file) = part.dirty_file()
                    && !desk.sync_later(self.channel.as_str(), file)
                {
                    tracing::warn!(channel = %self.channel, "the disk is slow: a sync is put off");
                }
            }
        }
        self.finish_parts(now, desk);
        let written = self.parts.values().all(PartFile::is_written);
        if let Some(ended) = self.ended.filter(|_| self.parts.is_empty()) {
            let Ended { utc_us, reason, .. } = ended;
            let unanswered = std::mem::take(&mut self.requests);
            desk.tell(Fact::Closed { broadcast: self.broadcast, utc_us, reason, unanswered });
            desk.wrote(self.broadcast, None);
        } else if self.failing_since.is_none() && written {
            let part = self.parts.iter().rev().find(|(_, part)| part.exists()).map(|(number, _)| *number);
            desk.wrote(self.broadcast, Some(Written { tracks: self.given.clone(), video: self.video, part }));
        }
    }

    fn carry_out(&mut self, now: Instant, actions: Vec<Action>, desk: &Desk) {
        for action in actions {
            match action {
                Action::Open { part } => self.open(part, desk),
                Action::Write { part, record } => {
                    if let Some(file) = self.parts.get_mut(&part) {
                        file.push(record);
                    }
                }
                Action::Unit { part, number, unit } => self.unit(part, number, unit, desk),
                Action::Cut { part, at_ns, cause, .. } => {
                    let requests = std::mem::take(&mut self.requests);
                    if let Some(file) = self.parts.get_mut(&part) {
                        file.push(Record::Cut { at_ns, cause });
                        file.requests.extend(requests);
                    }
                    self.flush(now, desk);
                }
                Action::Close { part, cause } => {
                    let requests = if self.ended.is_some() { std::mem::take(&mut self.requests) } else { Vec::new() };
                    if let Some(file) = self.parts.get_mut(&part) {
                        file.close(clock::utc_us(), cause);
                        file.requests.extend(requests);
                    }
                }
                Action::AskKeyframe => desk.ask_keyframe(self.broadcast),
                Action::Skip { track, at_ns } => {
                    desk.figures.dropped_units.fetch_add(1, Relaxed);
                    self.given_up.insert(track);
                    self.dropping_from_ns.get_or_insert(at_ns);
                }
            }
        }
    }

    fn open(&mut self, part: u32, desk: &Desk) {
        let opened_utc_us = clock::utc_us();
        let clip = ClipId(BroadcastId::new(opened_utc_us / 1000, rand::random()).0);
        let header = Header {
            broadcast: self.broadcast,
            part,
            clip,
            channel: self.channel.clone(),
            media_zero_utc_us: self.media_zero_utc_us,
            opened_utc_us,
        };
        let path = journal::part_path(&desk.root, self.broadcast, part, clip);
        self.parts.insert(part, PartFile::new(header, path));
    }

    fn unit(&mut self, part: u32, number: u64, unit: AccessUnit, desk: &Desk) {
        if self.dropping_from_ns.is_some() && !self.may_resume(&unit) {
            desk.figures.dropped_units.fetch_add(1, Relaxed);
            self.given_up.insert(unit.track);
            return;
        }
        let Some(file) = self.parts.get_mut(&part) else { return };
        if let Some(from_ns) = self.dropping_from_ns.take() {
            file.push(Record::Gap { track: None, from_ns, to_ns: unit.pts_ns, reason: GapReason::Overrun });
        }
        if self.given_up.remove(&unit.track) {
            self.resumed.insert(unit.track, number);
        }
        // a cut takes it over into the next part, which says the same of it
        let after_given_up = self.resumed.get(&unit.track) == Some(&number);
        let newest = self.given.entry(unit.track).or_default();
        *newest = unit.pts_ns.max(*newest);
        file.push_unit(number, unit, after_given_up);
    }

    /// The disk takes records again and this unit can be shown without the ones before it.
    fn may_resume(&self, unit: &AccessUnit) -> bool {
        self.failing_since.is_none() && self.video.is_none_or(|video| video == unit.track && unit.key)
    }

    /// Oldest part first: what it refuses is not tried with the next. No part gets its name before the cut of the one before it is durable
    /// (docs/journal.md, steps 6 and 7).
    fn flush(&mut self, now: Instant, desk: &Desk) {
        let (mut failed, mut may_be_named) = (None, true);
        for part in self.parts.values_mut() {
            match part.flush(now, &desk.medium, may_be_named) {
                Ok(flushed) => {
                    desk.figures.bytes.fetch_add(flushed.bytes, Relaxed);
                    if flushed.created {
                        desk.tell(Fact::PartOpened { header: part.header.clone(), path: part.path.clone() });
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            may_be_named &= part.is_settled();
        }
        match failed {
            Some(error) => self.refused(now, &error, desk),
            // a medium that is asked once more has not answered yet
            None if self.parts.values().all(PartFile::is_settled) && self.failing_since.take().is_some() => {
                tracing::info!(channel = %self.channel, "the disk takes the recording again");
                if self.dropping_from_ns.is_some() {
                    desk.ask_keyframe(self.broadcast);
                }
            }
            None => {}
        }
    }

    fn refused(&mut self, now: Instant, error: &AppendError, desk: &Desk) {
        let since = *self.failing_since.get_or_insert(now);
        if since == now {
            tracing::error!(channel = %self.channel, %error, "the disk refuses the recording");
            self.alarm(desk, format!("the recording cannot be written: {error}"));
        }
        let waiting: usize = self.parts.values().map(PartFile::waiting_bytes).sum();
        if now.saturating_duration_since(since) < PATIENCE && waiting < PATIENCE_BYTES {
            return;
        }
        let (mut units, mut from_ns) = (0, None);
        for part in self.parts.values_mut() {
            let given_up = part.give_up();
            units += given_up.units;
            self.given_up.extend(given_up.tracks);
            from_ns = from_ns.into_iter().chain(given_up.from_ns).min();
        }
        desk.figures.dropped_units.fetch_add(units, Relaxed);
        if self.dropping_from_ns.is_none() && from_ns.is_some() {
            self.dropping_from_ns = from_ns;
            self.alarm(desk, "the recording has a gap: the disk did not take it in time".into());
        }
    }

    /// Parts that are closed and durable leave. The last patience of a broadcast that has ended is bounded.
    fn finish_parts(&mut self, now: Instant, desk: &Desk) {
        let over = self.ended.is_some_and(|e| now.saturating_duration_since(e.at) >= LAST_PATIENCE);
        self.parts.retain(|_, part| {
            let Some(cause) = part.end.filter(|_| part.is_settled() || over) else { return true };
            let (header, path) = (part.header.clone(), part.path.clone());
            let requests = std::mem::take(&mut part.requests);
            desk.tell(if part.exists() {
                Fact::PartClosed { header, path, cause, requests }
            } else {
                Fact::PartLost { header, requests }
            });
            false
        });
    }

    fn alarm(&self, desk: &Desk, text: String) {
        desk.tell(Fact::Alarm { channel: self.channel.to_string(), text });
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
