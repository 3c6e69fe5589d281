//! Where segments begin and end. Pure: what a part of a recording holds goes in, in the order in which it was written; segments come out.
//!
//! A segment begins with a keyframe of the picture, or every two seconds where there is only sound. Sound goes by its own time into the same interval.
//! Picture and sound are not written in the order of their times, so a segment stays open until every track has passed its end, or one by a second;
//! what comes even later goes to the next segment, with its true time. No unit is left out, none is in two segments.

use std::collections::BTreeMap;

use mp4::Kind;

/// Keyframes closer than this do not begin a segment each: somebody who joins may ask for one at any time.
const SHORTEST_NS: u64 = 1_000_000_000;
/// Without pictures.
const SOUND_NS: u64 = 2_000_000_000;
/// A segment ends here even without a keyframe; its successor then cannot be decoded by itself.
pub(crate) const LONGEST_NS: u64 = 10_000_000_000;
/// Likewise in bytes: a segment is made in memory.
const LARGEST_BYTES: u64 = 32 << 20;
/// How much later than others a track's units may be written.
const LATE_NS: u64 = 1_000_000_000;
/// Where nothing came for longer than this, the timeline breaks off and goes on; shorter, the last picture stays.
const HOLE_NS: u64 = 1_000_000_000;
/// No absence is longer: a unit that claims to come later has a damaged head.
const ABSENCE_NS: u64 = 3_600_000_000_000;
/// How long a unit lasts about which nothing is known.
const PICTURE_NS: u64 = 33_333_333;
const PACKET_NS: u64 = 20_000_000;
/// The longest packet of sound.
const LONGEST_PACKET_NS: u64 = 120_000_000;
/// Most tracks of a part that are looked at.
const TRACKS: usize = 16;

/// An access unit, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where it was written; increasing.
    pub offset: u64,
    pub track: u8,
    pub key: bool,
    /// On the broadcast's timeline; increasing per track.
    pub pts_ns: u64,
    pub bytes: u32,
}

/// A piece of a part: the units of it that [`Segment::holds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// On the broadcast's timeline.
    pub start_ns: u64,
    pub end_ns: u64,
    /// Track and configuration of the picture, as [`Segmenter::config`] was told.
    pub video: Option<(u8, u32)>,
    pub sound: Option<(u8, u32)>,
    /// Begins with a keyframe, or has no picture.
    pub independent: bool,
    /// Nothing that was recorded leads up to it: it begins the part, comes after a hole, or after a change of the format.
    pub opens: bool,
    /// Its units are written from here…
    pub from: u64,
    /// …to before here.
    pub to: u64,
    /// Until here the segment before it was open.
    open_from: u64,
}

impl Segment {
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// Whether this is one of its units.
    #[must_use]
    pub fn holds(&self, unit: &Unit) -> bool {
        let chosen = |slot: Option<(u8, u32)>| slot.is_some_and(|(track, _)| track == unit.track);
        let in_time = unit.pts_ns >= self.start_ns || unit.offset >= self.open_from;
        (chosen(self.video) || chosen(self.sound)) && unit.pts_ns < self.end_ns && unit.offset < self.to && in_time
    }

    /// When the first picture is shown. Where nothing leads up to the segment, it stands in for what is missing before it.
    pub(crate) fn first_picture_ns(&self, at_ns: u64) -> u64 {
        let near = at_ns.checked_sub(self.start_ns).is_some_and(|ns| ns <= HOLE_NS);
        if self.opens && near { self.start_ns } else { at_ns }
    }
}

/// Cuts one part. What does not belong to the first track with pictures or the first with sound is left out: a file has one of each.
#[derive(Debug, Default)]
pub struct Segmenter {
    tracks: BTreeMap<u8, Track>,
    video: Option<u8>,
    sound: Option<u8>,
    /// Waits for late units; [`Open::end_ns`] is known.
    closing: Option<Open>,
    current: Option<Open>,
    /// Where the newest closed segment was closed.
    closed_at: u64,
    cut_ns: Option<u64>,
    ready: Vec<Segment>,
}

#[derive(Debug)]
struct Track {
    kind: Kind,
    config: u32,
    /// Told, and not in force before its next unit.
    next: Option<u32>,
    newest_ns: Option<u64>,
    /// How long the newest unit lasts, as far as one can tell.
    lasts_ns: u64,
}

impl Track {
    fn end_ns(&self) -> u64 {
        self.newest_ns.map_or(0, |at| at.saturating_add(self.lasts_ns))
    }
}

#[derive(Clone, Debug)]
struct Open {
    start_ns: u64,
    end_ns: u64,
    from: u64,
    bytes: u64,
    opens: bool,
    key: bool,
    video: Option<(u8, u32)>,
    sound: Option<(u8, u32)>,
    /// Kinds that it has units of.
    has_video: bool,
    has_sound: bool,
}

impl Segmenter {
    /// A track's configuration, from its next unit on. `config` is the caller's number for it: another number is another format.
    pub fn config(&mut self, track: u8, kind: Kind, config: u32) {
        if let Some(known) = self.tracks.get_mut(&track) {
            if known.config != config {
                known.next = Some(config);
            } else {
                known.next = None;
            }
        } else if self.tracks.len() < TRACKS {
            let lasts_ns = if kind == Kind::Video { PICTURE_NS } else { PACKET_NS };
            self.tracks.insert(track, Track { kind, config, next: None, newest_ns: None, lasts_ns });
        }
    }

    /// The next unit.
    pub fn unit(&mut self, unit: Unit) {
        if self.cut_ns.is_some_and(|cut| unit.pts_ns >= cut) || !self.choose(unit.track) {
            return;
        }
        let newest = self.newest_end_ns();
        if newest > 0 && unit.pts_ns > newest.saturating_add(ABSENCE_NS) {
            return;
        }
        let border = self.border(&unit);
        if let Some(opens) = border {
            self.split(&unit, opens);
        }
        self.take(&unit);
        self.close_passed(unit.offset);
    }

    /// Units at or after this belong to the next part.
    pub fn cut(&mut self, at_ns: u64) {
        self.cut_ns = Some(at_ns);
        if self.current.as_ref().is_some_and(|open| open.start_ns >= at_ns) {
            self.current = self.closing.take();
        }
    }

    /// The part has no more units; `end` is its length in bytes.
    pub fn end(&mut self, end: u64) {
        let newest = self.newest_end_ns();
        if let Some(open) = self.closing.take() {
            self.close(open, end);
        }
        if let Some(mut open) = self.current.take() {
            // A streamer who went long before the cut left a hole: it lasts to the first unit of the next part.
            let cut = self.cut_ns.filter(|cut| *cut <= newest.saturating_add(HOLE_NS));
            open.end_ns = cut.unwrap_or(newest).max(open.start_ns.saturating_add(1));
            self.close(open, end);
        }
    }

    /// The segments that are complete since the last call, in order.
    pub fn ready(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.ready)
    }

    /// The first track of each kind that has a unit.
    fn choose(&mut self, id: u8) -> bool {
        let Some(track) = self.tracks.get(&id) else { return false };
        let slot = match track.kind {
            Kind::Video => &mut self.video,
            Kind::Sound => &mut self.sound,
        };
        *slot.get_or_insert(id) == id
    }

    fn lead(&self) -> Option<u8> {
        self.video.or(self.sound)
    }

    fn chosen(&self) -> impl Iterator<Item = &Track> {
        self.video.iter().chain(&self.sound).filter_map(|id| self.tracks.get(id))
    }

    fn newest_end_ns(&self) -> u64 {
        let ends = self.chosen().map(Track::end_ns).max().unwrap_or(0);
        self.cut_ns.map_or(ends, |cut| ends.min(cut))
    }

    /// Whether a segment begins with this unit, and whether what was before does not lead up to it.
    fn border(&self, unit: &Unit) -> Option<bool> {
        let open = self.current.as_ref()?;
        let track = self.tracks.get(&unit.track)?;
        if unit.pts_ns <= open.start_ns {
            return (open.bytes >= LARGEST_BYTES).then_some(false);
        }
        let lasted = unit.pts_ns - open.start_ns;
        let has_some = if track.kind == Kind::Video { open.has_video } else { open.has_sound };
        let other = track.next.is_some() && has_some;
        let late_track = !has_some && track.newest_ns.is_none() && lasted >= SHORTEST_NS;
        if other || late_track || unit.pts_ns > self.newest_end_ns().saturating_add(HOLE_NS) {
            return Some(true);
        }
        let leads = self.lead() == Some(unit.track);
        let due = match track.kind {
            Kind::Video => unit.key && lasted >= SHORTEST_NS,
            Kind::Sound => lasted >= SOUND_NS,
        };
        ((leads && due) || lasted >= LONGEST_NS || open.bytes >= LARGEST_BYTES).then_some(false)
    }

    fn split(&mut self, unit: &Unit, opens: bool) {
        // Both are settled by now unless the segments are forced: a border is a second after the one before it.
        if let Some(open) = self.closing.take() {
            self.close(open, unit.offset);
        }
        let newest = self.newest_end_ns();
        let Some(mut open) = self.current.take() else { return };
        let hole = unit.pts_ns > newest.saturating_add(HOLE_NS);
        open.end_ns = if hole { newest } else { unit.pts_ns }.max(open.start_ns.saturating_add(1));
        let video = self.video.and_then(|id| self.force(id, unit.track == id));
        let sound = self.sound.and_then(|id| self.force(id, unit.track == id));
        let next = Open {
            start_ns: unit.pts_ns,
            end_ns: u64::MAX,
            from: unit.offset,
            bytes: 0,
            opens,
            key: false,
            video,
            sound,
            has_video: false,
            has_sound: false,
        };
        if hole {
            // What comes late now has no place before the hole.
            self.close(open, unit.offset);
        } else {
            self.closing = Some(open);
        }
        self.current = Some(next);
    }

    /// The configuration in force of a track, the next one if it begins here.
    fn force(&mut self, id: u8, begins: bool) -> Option<(u8, u32)> {
        let track = self.tracks.get_mut(&id)?;
        if begins && let Some(next) = track.next.take() {
            track.config = next;
        }
        Some((id, track.config))
    }

    fn take(&mut self, unit: &Unit) {
        let slot = self.force(unit.track, true);
        let Some(track) = self.tracks.get_mut(&unit.track) else { return };
        let kind = track.kind;
        if let Some(before) = track.newest_ns {
            let spacing = unit.pts_ns.saturating_sub(before);
            let usual = if kind == Kind::Video { HOLE_NS } else { LONGEST_PACKET_NS };
            if (1..=usual).contains(&spacing) {
                track.lasts_ns = spacing;
            }
        }
        track.newest_ns = Some(track.newest_ns.map_or(unit.pts_ns, |newest| newest.max(unit.pts_ns)));
        // What stands first in a part need not be what is played first.
        let first = self.closed_at == 0 && self.closing.is_none();
        let late = self.closing.as_mut().filter(|open| unit.pts_ns < open.end_ns);
        let open = match late {
            Some(open) => open,
            None => self.current.get_or_insert(Open {
                start_ns: unit.pts_ns,
                end_ns: u64::MAX,
                from: unit.offset,
                bytes: 0,
                opens: true,
                key: false,
                video: None,
                sound: None,
                has_video: false,
                has_sound: false,
            }),
        };
        open.bytes += u64::from(unit.bytes);
        match kind {
            Kind::Video => {
                open.key |= !open.has_video && unit.key;
                open.has_video = true;
                open.video = open.video.or(slot);
            }
            Kind::Sound => {
                open.has_sound = true;
                open.sound = open.sound.or(slot);
            }
        }
        if first {
            open.start_ns = open.start_ns.min(unit.pts_ns);
        }
    }

    /// Closes what nothing more is expected of.
    fn close_passed(&mut self, offset: u64) {
        let Some(open) = &self.closing else { return };
        let passed = |track: &Track, by: u64| track.newest_ns.is_some_and(|at| at >= open.end_ns.saturating_add(by));
        if (self.chosen().all(|track| passed(track, 0)) || self.chosen().any(|track| passed(track, LATE_NS)))
            && let Some(open) = self.closing.take()
        {
            self.close(open, offset);
        }
    }

    fn close(&mut self, open: Open, at: u64) {
        self.ready.push(Segment {
            start_ns: open.start_ns,
            end_ns: open.end_ns,
            video: open.video,
            sound: open.sound,
            independent: open.key || !open.has_video,
            opens: open.opens,
            from: open.from,
            to: at,
            open_from: self.closed_at,
        });
        self.closed_at = at;
    }
}
