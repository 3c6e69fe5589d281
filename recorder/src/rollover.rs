//! Which part each access unit of a broadcast belongs to. Pure: facts and time go in, actions come out.
//!
//! A part is due shortly before its limit of size or length; from then on a keyframe is asked for and the next one cuts. Where
//! none comes, the hard limit cuts anyway ([`Limits::hard_bytes`], [`Limits::hard_length_ns`]). How sound is cut at a picture:
//! `docs/journal.md`. No file is touched here, and nobody is told.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use journal::{Cause, Record};
use media::id::TrackId;
use media::message::{AccessUnit, CodecConfig, EndReason, Orientation, TapFact};

/// Sound that comes late for a part that was cut is waited for this long: the tap's own patience and a little more.
const LINGER: Duration = Duration::from_millis(600);
/// A keyframe is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Without a picture for this long, measured on the other tracks, nobody waits for a keyframe at the hard limit.
const STALLED_NS: u64 = 2_000_000_000;
/// Recent units kept for the next part. More: the oldest stay in the running part.
const AHEAD_UNITS: usize = 512;
const AHEAD_BYTES: usize = 4 << 20;

/// When a part is full.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: u64,
    pub length_ns: u64,
}

impl Limits {
    pub fn new(bytes: u64, length: Duration) -> Self {
        Self { bytes: bytes.max(1), length_ns: (length.as_nanos() as u64).max(1) }
    }

    /// Half as much again.
    fn hard_bytes(self) -> u64 {
        self.bytes.saturating_add(self.bytes / 2)
    }

    /// Ten seconds more.
    fn hard_length_ns(self) -> u64 {
        self.length_ns.saturating_add(10_000_000_000)
    }

    /// A tenth of the length, at most a second: the time that a keyframe needs to come.
    fn soft_length_ns(self) -> u64 {
        self.length_ns - (self.length_ns / 10).min(1_000_000_000)
    }

    fn soft_bytes(self) -> u64 {
        self.bytes - self.bytes / 20
    }
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Open {
        part: u32,
    },
    /// Anything but a unit.
    Write {
        part: u32,
        record: Record,
    },
    /// `number` counts the units of the track from 0 since the broadcast began.
    Unit {
        part: u32,
        number: u64,
        unit: AccessUnit,
    },
    /// Units at or after `at_ns` belong to the next part. Must be on disk before that is opened.
    Cut {
        part: u32,
        at_ns: u64,
        cause: Cause,
        /// The cut that was asked for; more than one request may have waited for it.
        requested: bool,
    },
    Close {
        part: u32,
        cause: Cause,
    },
    AskKeyframe,
    /// The unit belongs to no part, since nothing is to be written at the moment.
    Skip {
        track: TrackId,
        at_ns: u64,
    },
}

/// Whether parts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Open,
    /// Units are counted and skipped.
    Held,
    /// Units are skipped until one that can be shown without those before it.
    Resuming,
}

/// The state of one broadcast.
#[derive(Debug)]
pub struct Rollover {
    limits: Limits,
    tracks: BTreeMap<TrackId, Track>,
    current: Option<Part>,
    lingering: Option<Lingering>,
    next_part: u32,
    /// Units that may turn out to belong to the next part: all but those of the track that leads.
    ahead: VecDeque<(u64, AccessUnit)>,
    ahead_bytes: usize,
    /// Newest time among the units that no longer fit `ahead`; they stay where they were written.
    evicted_ns: Option<u64>,
    requested: bool,
    /// The codec of a track changed; its next unit cuts.
    format: Option<TrackId>,
    /// The pictures of the running part lie differently since some of them: a file has one orientation, so the next keyframe cuts.
    turned: bool,
    asked: Option<Instant>,
    hold: Hold,
}

#[derive(Debug)]
struct Track {
    config: CodecConfig,
    last_ns: Option<u64>,
    /// And the first picture that it holds for.
    orientation: (Orientation, u64),
    /// Units so far.
    units: u64,
}

#[derive(Debug)]
struct Part {
    number: u32,
    first_ns: u64,
    bytes: u64,
    /// Bytes when the newest keyframe came, and of the group of pictures before it.
    key_at: u64,
    group: u64,
}

#[derive(Debug)]
struct Lingering {
    number: u32,
    cut_ns: u64,
    cause: Cause,
    until: Instant,
}

impl Rollover {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            tracks: BTreeMap::new(),
            current: None,
            lingering: None,
            next_part: 0,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            evicted_ns: None,
            requested: false,
            format: None,
            turned: false,
            asked: None,
            hold: Hold::Open,
        }
    }

    /// The next fact of the broadcast.
    pub fn fact(&mut self, now: Instant, fact: TapFact, out: &mut Vec<Action>) {
        match fact {
            TapFact::Opened { .. } => {}
            TapFact::Config { track, config } => self.config(track, config, out),
            TapFact::Orientation { track, from_ns, orientation } => self.turn(track, from_ns, orientation, out),
            TapFact::Unit(unit) => self.unit(now, unit, out),
            TapFact::Gap { track, from_ns, to_ns, reason } => {
                self.write(Record::Gap { track, from_ns, to_ns, reason }, out);
            }
            TapFact::Clock { track, rtp, utc_us } => self.write(Record::Clock { track, rtp, utc_us }, out),
            TapFact::Closed { reason, .. } => self.end(reason, out),
        }
        self.tick(now, out);
    }

    /// Somebody wants a clip of what was recorded up to now.
    pub fn request(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.requested = true;
        self.ask(now, out);
    }

    /// Ends the running part where it is. Units that come from now on are counted and belong to no part.
    pub fn hold(&mut self, out: &mut Vec<Action>) {
        self.hold = Hold::Held;
        self.close(Cause::Interrupted, out);
        self.ahead.clear();
        (self.ahead_bytes, self.evicted_ns) = (0, None);
    }

    /// Parts are written again from the next picture that can be shown without those before it.
    pub fn resume(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.hold == Hold::Held {
            self.hold = Hold::Resuming;
            self.asked = None;
            self.ask(now, out);
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        if let Some(l) = self.lingering.take_if(|l| now >= l.until) {
            out.push(Action::Close { part: l.number, cause: l.cause });
        }
        if self.hold == Hold::Resuming || (self.requested && self.current.is_some()) {
            self.ask(now, out);
        }
    }

    /// The track whose keyframes cut: the first with pictures, else the first that has sound.
    fn lead(&self) -> Option<TrackId> {
        let with_units = || self.tracks.iter().filter(|(_, t)| t.last_ns.is_some());
        let pictures = with_units().find(|(_, t)| t.config.codec.is_video());
        pictures.or_else(|| with_units().next()).map(|(id, _)| *id)
    }

    fn is_video(&self, track: TrackId) -> bool {
        self.tracks.get(&track).is_some_and(|t| t.config.codec.is_video())
    }

    fn config(&mut self, id: TrackId, config: CodecConfig, out: &mut Vec<Action>) {
        let changed = match self.tracks.get_mut(&id) {
            None => {
                let track = Track { config: config.clone(), last_ns: None, orientation: Default::default(), units: 0 };
                self.tracks.insert(id, track);
                false
            }
            Some(track) if track.config == config => return,
            Some(track) => {
                let changed = track.config.codec != config.codec && track.last_ns.is_some();
                track.config = config.clone();
                changed
            }
        };
        if changed {
            self.format = Some(id); // the running part must not see the new configuration
        } else if self.format != Some(id) {
            self.write(Record::Config { track: id, config }, out);
        }
    }

    fn turn(&mut self, id: TrackId, from_ns: u64, orientation: Orientation, out: &mut Vec<Action>) {
        let lead = self.lead();
        let Some(track) = self.tracks.get_mut(&id) else { return };
        track.orientation = (orientation, from_ns);
        self.turned |= self.current.is_some() && lead == Some(id) && track.last_ns.is_some();
        self.write(Record::Orientation { track: id, from_ns, orientation }, out);
    }

    fn unit(&mut self, now: Instant, unit: AccessUnit, out: &mut Vec<Action>) {
        let (track, at_ns) = (unit.track, unit.pts_ns);
        // the tap announces every track; a unit without a codec cannot be shown by anybody
        let Some(state) = self.tracks.get_mut(&track) else { return };
        state.last_ns = Some(at_ns);
        let number = state.units;
        state.units += 1;
        let lead = self.lead();
        if self.is_skipped(&unit, lead) {
            out.push(Action::Skip { track, at_ns });
            return;
        }
        if let Some(late) = self.lingering.as_ref().filter(|l| Some(track) != lead && at_ns < l.cut_ns) {
            out.push(Action::Unit { part: late.number, number, unit });
            return;
        }
        if let Some(cause) = self.due(&unit, lead) {
            self.cut(now, at_ns, cause, out);
        }
        if self.current.is_none() {
            self.open(at_ns, out);
        }
        let leads = Some(track) == lead && self.is_video(track);
        if let Some(part) = &mut self.current {
            if leads && unit.key {
                part.group = part.bytes - part.key_at;
                part.key_at = part.bytes;
            }
            part.bytes += unit.data.len() as u64;
            out.push(Action::Unit { part: part.number, number, unit: unit.clone() });
        }
        if !leads {
            self.remember(number, unit);
        }
        self.settle_lingering(out);
        if (self.turned || self.is_soft(at_ns).is_some()) && lead.is_some_and(|lead| self.is_video(lead)) {
            self.ask(now, out);
        }
    }

    /// Whether the unit belongs to no part.
    fn is_skipped(&mut self, unit: &AccessUnit, lead: Option<TrackId>) -> bool {
        let begins = lead == Some(unit.track) && (unit.key || !self.is_video(unit.track));
        if self.hold == Hold::Resuming && begins {
            self.hold = Hold::Open;
        }
        self.hold != Hold::Open
    }

    /// Whether this unit begins a new part, and why.
    fn due(&self, unit: &AccessUnit, lead: Option<TrackId>) -> Option<Cause> {
        let part = self.current.as_ref()?;
        if self.format == Some(unit.track) {
            return Some(Cause::Format);
        }
        let lead = lead?;
        let wanted = match self.is_soft(unit.pts_ns) {
            _ if self.requested => Some(Cause::Request),
            None if self.turned => Some(Cause::Format),
            soft => soft,
        };
        if lead == unit.track && (unit.key || !self.is_video(lead)) && unit.pts_ns > part.first_ns {
            return wanted;
        }
        let stalled = self.tracks.get(&lead).and_then(|t| t.last_ns).is_some_and(|at| at + STALLED_NS < unit.pts_ns);
        if lead != unit.track && !stalled {
            return None;
        }
        if stalled && self.requested {
            return Some(Cause::Request);
        }
        if part.bytes >= self.limits.hard_bytes() {
            return Some(Cause::Size);
        }
        (unit.pts_ns.saturating_sub(part.first_ns) >= self.limits.hard_length_ns()).then_some(Cause::Length)
    }

    /// Whether a keyframe at this time would cut.
    fn is_soft(&self, at_ns: u64) -> Option<Cause> {
        let part = self.current.as_ref()?;
        let another_group = part.bytes > self.limits.bytes / 2 && part.bytes + part.group > self.limits.bytes;
        if part.bytes >= self.limits.soft_bytes() || another_group {
            return Some(Cause::Size);
        }
        (at_ns.saturating_sub(part.first_ns) >= self.limits.soft_length_ns()).then_some(Cause::Length)
    }

    fn open(&mut self, first_ns: u64, out: &mut Vec<Action>) {
        let number = self.next_part;
        self.next_part += 1;
        self.current = Some(Part { number, first_ns, bytes: 0, key_at: 0, group: 0 });
        (self.format, self.turned) = (None, false);
        out.push(Action::Open { part: number });
        for (id, track) in &self.tracks {
            let record = Record::Config { track: *id, config: track.config.clone() };
            out.push(Action::Write { part: number, record });
            let (orientation, from_ns) = track.orientation;
            if orientation.quarters() != 0 {
                let record = Record::Orientation { track: *id, from_ns, orientation };
                out.push(Action::Write { part: number, record });
            }
        }
    }

    fn cut(&mut self, now: Instant, at_ns: u64, cause: Cause, out: &mut Vec<Action>) {
        let Some(part) = self.current.take() else { return };
        if let Some(l) = self.lingering.take() {
            out.push(Action::Close { part: l.number, cause: l.cause });
        }
        let cut_ns = self.evicted_ns.map_or(at_ns, |evicted| at_ns.max(evicted + 1));
        let requested = std::mem::take(&mut self.requested);
        self.asked = None;
        out.push(Action::Cut { part: part.number, at_ns: cut_ns, cause, requested });
        self.lingering = Some(Lingering { number: part.number, cut_ns, cause, until: now + LINGER });
        self.open(at_ns, out);
        self.ahead.retain(|(_, unit)| unit.pts_ns >= cut_ns);
        self.ahead_bytes = self.ahead.iter().map(|(_, unit)| unit.data.len()).sum();
        if let Some(part) = &mut self.current {
            part.bytes += self.ahead_bytes as u64;
            let part = part.number;
            out.extend(self.ahead.iter().map(|(number, u)| Action::Unit { part, number: *number, unit: u.clone() }));
        }
    }

    /// The part that was cut is complete when every track that was sounding has passed the cut.
    fn settle_lingering(&mut self, out: &mut Vec<Action>) {
        let lead = self.lead();
        let behind = |cut_ns: u64| {
            self.tracks
                .iter()
                .any(|(id, t)| Some(*id) != lead && t.last_ns.is_some_and(|at| at < cut_ns && at + STALLED_NS > cut_ns))
        };
        if self.lingering.as_ref().is_some_and(|l| !behind(l.cut_ns))
            && let Some(l) = self.lingering.take()
        {
            out.push(Action::Close { part: l.number, cause: l.cause });
        }
    }

    fn remember(&mut self, number: u64, unit: AccessUnit) {
        self.ahead_bytes += unit.data.len();
        self.ahead.push_back((number, unit));
        while self.ahead.len() > AHEAD_UNITS || self.ahead_bytes > AHEAD_BYTES {
            let Some((_, oldest)) = self.ahead.pop_front() else { break };
            self.ahead_bytes -= oldest.data.len();
            self.evicted_ns = self.evicted_ns.max(Some(oldest.pts_ns));
        }
    }

    fn end(&mut self, reason: EndReason, out: &mut Vec<Action>) {
        let cause = match reason {
            EndReason::Dropped => Cause::Interrupted,
            EndReason::Stopped | EndReason::Shutdown => Cause::End,
        };
        self.close(cause, out);
    }

    fn close(&mut self, cause: Cause, out: &mut Vec<Action>) {
        if let Some(l) = self.lingering.take() {
            out.push(Action::Close { part: l.number, cause: l.cause });
        }
        if let Some(part) = self.current.take() {
            out.push(Action::Close { part: part.number, cause });
        }
        self.requested = false;
    }

    fn write(&mut self, record: Record, out: &mut Vec<Action>) {
        if let Some(part) = &self.current {
            out.push(Action::Write { part: part.number, record });
        }
    }

    fn ask(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN) {
            self.asked = Some(now);
            out.push(Action::AskKeyframe);
        }
    }
}

#[cfg(test)]
#[path = "rollover_tests.rs"]
mod tests;
