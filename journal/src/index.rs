//! What lies where in one part, in memory: enough to choose the units of a clip without reading their data twice.
//!
//! A range follows the picture: it begins with the first keyframe at or after the wanted start and ends before the
//! first keyframe at or after the wanted end; sound is taken by its own time within the same interval. Ranges that
//! share a border therefore share no unit and leave none out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use media::id::TrackId;
use media::message::{CodecConfig, GapReason, Orientation};

use crate::format::{Cause, Header, Record};
use crate::mend::{self, Item};
use crate::numbers::Numbers;
use crate::read::{Damage, OpenError, Reader, Tail};

/// One access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset of its record in the file, for [`Reader::read_at`].
    pub offset: u64,
    /// Bytes of the unit.
    pub size: u32,
    pub track: TrackId,
    pub key: bool,
    pub pts_ns: u64,
    pub dts_ns: u64,
    pub utc_us: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// Counted from 0 since the broadcast began; none in the journals of writers that did not count.
    pub number: Option<u64>,
    /// The units that are missing before this one were given up: the disk did not take them, or did not give them back.
    pub after_given_up: bool,
}

/// A configuration and the first entry that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub track: TrackId,
    pub config: CodecConfig,
    /// Index into [`Index::entries`]; equals their number when no unit followed.
    pub first_entry: usize,
}

/// Media that the part lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub track: Option<TrackId>,
    pub from_ns: u64,
    pub to_ns: u64,
    pub reason: GapReason,
}

/// An orientation and from where on it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub track: TrackId,
    pub from_ns: u64,
    pub orientation: Orientation,
}

/// What is read while an index is built.
#[derive(Debug)]
pub enum Seen<'a> {
    /// In force for the units after it.
    Config { track: TrackId, config: &'a CodecConfig },
    /// Its record begins at `offset`.
    Unit { offset: u64, track: TrackId, key: bool, pts_ns: u64, data: &'a [u8] },
}

/// A half-open interval of the broadcast's timeline, in nanoseconds, with borders that a decoder can start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub from_ns: u64,
    /// `u64::MAX`: to the end.
    pub to_ns: u64,
}

impl Range {
    #[must_use]
    pub fn holds(&self, pts_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&pts_ns)
    }
}

/// The units of one part in the order in which they were written, without those that its cut gave to the next part, and
/// behind damage without those that nobody can show: a track goes on where no packet of it is missing, or at a keyframe.
#[derive(Clone, Debug)]
pub struct Index {
    pub header: Header,
    pub entries: Vec<Entry>,
    pub epochs: Vec<Epoch>,
    pub gaps: Vec<Gap>,
    /// In the order in which they hold.
    pub turns: Vec<Turn>,
    /// Where the next part begins, when this one was cut.
    pub cut_ns: Option<u64>,
    /// Why the part ended; `None` after a crash.
    pub cause: Option<Cause>,
    /// The end record is there.
    pub closed: bool,
    /// Passed over on the way. What it held is in [`Index::gaps`].
    pub damage: Vec<Damage>,
    pub tail: Tail,
}

impl Index {
    /// Reads the whole file once.
    ///
    /// # Errors
    /// [`OpenError`] as [`Reader::open`], or when the medium fails on the way.
    pub fn build(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::build_while(path, |_| ())
    }

    /// Likewise, and shows what it reads, in the order of the file. What comes after damage may be shown though it gets no entry.
    ///
    /// # Errors
    /// As [`Index::build`].
    pub fn build_while(path: impl AsRef<Path>, mut see: impl FnMut(Seen<'_>)) -> Result<Self, OpenError> {
        let mut reader = Reader::open(path)?;
        let mut building = Building::new(reader.header().clone());
        let mut runs: Vec<Vec<Item>> = Vec::new();
        loop {
            let passed = reader.damage().len();
            let item = match reader.next_raw() {
                Ok(Some((offset, raw))) => Item::new(offset, &raw, &mut see),
                Ok(None) => break,
                Err(source) => return Err(OpenError::Io { path: reader.path().to_owned(), source }),
            };
            if reader.damage().len() > passed {
                runs.push(Vec::new());
            }
            match (runs.last_mut(), item) {
                (_, None) => {}
                (Some(run), Some(item)) => run.push(item),
                (None, Some(item)) => building.add(item),
            }
        }
        for run in mend::in_order(runs) {
            building.damaged();
            run.into_iter().for_each(|item| building.add(item));
        }
        let mut index = building.finish();
        index.damage = reader.damage().to_vec();
        index.tail = reader.tail().unwrap_or(Tail::Clean);
        index.drop_surplus();
        Ok(index)
    }

    /// The track whose keyframes a range follows: the first with pictures.
    #[must_use]
    pub fn video(&self) -> Option<TrackId> {
        let mut tracks = self.epochs.iter().filter(|e| e.config.codec.is_video()).map(|e| e.track);
        tracks.find(|track| self.entries.iter().any(|e| e.track == *track))
    }

    /// Configurations of one track, oldest first. More than one: the format changed within the part.
    pub fn epochs_of(&self, track: TrackId) -> impl Iterator<Item = &Epoch> {
        self.epochs.iter().filter(move |e| e.track == track)
    }

    fn is_in_force(&self, track: TrackId, config: &CodecConfig) -> bool {
        self.epochs.iter().rfind(|epoch| epoch.track == track).is_some_and(|epoch| epoch.config == *config)
    }

    /// Tracks with at least one unit, lowest number first.
    #[must_use]
    pub fn tracks(&self) -> Vec<TrackId> {
        let mut tracks: Vec<_> = self.entries.iter().map(|e| e.track).collect();
        tracks.sort_unstable();
        tracks.dedup();
        tracks
    }

    /// How the picture of a track at `at_ns` is to be turned.
    #[must_use]
    pub fn orientation(&self, track: TrackId, at_ns: u64) -> Orientation {
        let in_force = self.turns.iter().rfind(|turn| turn.track == track && turn.from_ns <= at_ns);
        in_force.map_or(Orientation::UPRIGHT, |turn| turn.orientation)
    }

    /// Time of the first keyframe at or after `at_ns`.
    #[must_use]
    pub fn key_from(&self, at_ns: u64) -> Option<u64> {
        let video = self.video()?;
        self.entries.iter().find(|e| e.track == video && e.key && e.pts_ns >= at_ns).map(|e| e.pts_ns)
    }

    /// Time of the last keyframe at or before `at_ns`.
    #[must_use]
    pub fn key_before(&self, at_ns: u64) -> Option<u64> {
        let video = self.video()?;
        self.entries.iter().rfind(|e| e.track == video && e.key && e.pts_ns <= at_ns).map(|e| e.pts_ns)
    }

    /// Moves the wanted borders to keyframes. Without a border the part is taken from its first or to its last unit,
    /// keyframe or not; where no keyframe follows a border, the border stands as it is.
    #[must_use]
    pub fn range(&self, from_ns: Option<u64>, to_ns: Option<u64>) -> Range {
        let border = |at: u64| self.key_from(at).unwrap_or(at);
        Range { from_ns: from_ns.map_or(0, border), to_ns: to_ns.map_or(u64::MAX, border) }
    }

    /// The units of a range, in file order.
    pub fn select(&self, range: Range) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |e| range.holds(e.pts_ns))
    }

    /// Milliseconds that gap records name, overlaps between tracks counted once.
    #[must_use]
    pub fn lost_ms(&self) -> u64 {
        let mut gaps: Vec<_> = self.gaps.iter().map(|g| (g.from_ns, g.to_ns)).collect();
        gaps.sort_unstable();
        let mut lost = 0;
        let mut covered = 0;
        for (from, to) in gaps {
            lost += to.saturating_sub(from.max(covered));
            covered = covered.max(to);
        }
        lost / 1_000_000
    }

    /// Leaves out what the cut gave to the next part, and keeps the epochs pointing at the same units.
    fn drop_surplus(&mut self) {
        if let Some(cut) = self.cut_ns {
            self.retain(|entry| entry.pts_ns < cut);
        }
    }

    fn retain(&mut self, wanted: impl Fn(&Entry) -> bool) {
        let mut kept_before = Vec::with_capacity(self.entries.len() + 1);
        let mut kept = 0;
        for entry in &self.entries {
            kept_before.push(kept);
            kept += usize::from(wanted(entry));
        }
        kept_before.push(kept);
        for epoch in &mut self.epochs {
            epoch.first_entry = kept_before[epoch.first_entry];
        }
        self.entries.retain(wanted);
    }
}

/// An index while its file is read.
struct Building {
    index: Index,
    tracks: BTreeMap<TrackId, Track>,
    damaged: bool,
    /// Before the first unit that is left.
    damaged_first: bool,
    /// The newest time of a unit, whether or not it is an entry.
    end_ns: u64,
}

/// What is known of a track so far.
struct Track {
    numbers: Numbers,
    /// Place in the entries of its newest unit, and the nanoseconds to it from the one before.
    newest: Option<(usize, u64)>,
    /// Damage was passed over since, so that units may be missing.
    unsure: bool,
}

impl Track {
    fn new(damaged: bool) -> Self {
        let numbers = if damaged { Numbers::behind_damage() } else { Numbers::default() };
        Self { numbers, newest: None, unsure: damaged }
    }
}

impl Building {
    fn new(header: Header) -> Self {
        let index = Index {
            header,
            entries: Vec::new(),
            epochs: Vec::new(),
            gaps: Vec::new(),
            turns: Vec::new(),
            cut_ns: None,
            cause: None,
            closed: false,
            damage: Vec::new(),
            tail: Tail::Clean,
        };
        Self { index, tracks: BTreeMap::new(), damaged: false, damaged_first: false, end_ns: 0 }
    }

    /// Bytes were passed over.
    fn damaged(&mut self) {
        self.damaged = true;
        self.damaged_first |= self.index.entries.is_empty();
        for track in self.tracks.values_mut() {
            track.unsure = true;
            track.numbers.lose(&mut self.index.entries);
        }
    }

    fn add(&mut self, item: Item) {
        let index = &mut self.index;
        let record = match item {
            Item::Unit(unit) => return self.unit(unit),
            Item::Other(record) => record,
        };
        match record {
            Record::Count { track, number, given_up } => {
                let damaged = self.damaged;
                let track = self.tracks.entry(track).or_insert_with(|| Track::new(damaged));
                track.numbers.count(number, given_up, &mut index.entries);
            }
            // said once more, in case the one before is lost
            Record::Config { track, config } if index.is_in_force(track, &config) => {}
            Record::Config { track, config } => {
                index.epochs.push(Epoch { track, config, first_entry: index.entries.len() });
            }
            Record::Gap { track, from_ns, to_ns, reason } => index.gaps.push(Gap { track, from_ns, to_ns, reason }),
            Record::Cut { at_ns, cause } => {
                index.cut_ns = Some(at_ns);
                index.cause = Some(cause);
            }
            Record::End { cause, .. } => {
                index.cause = Some(cause);
                index.closed = true;
            }
            Record::Orientation { track, from_ns, orientation } => {
                index.turns.push(Turn { track, from_ns, orientation });
            }
            Record::Unit(_) | Record::Clock { .. } | Record::Unknown { .. } => {}
        }
    }

    fn unit(&mut self, unit: Entry) {
        self.end_ns = self.end_ns.max(unit.pts_ns);
        let (index, damaged) = (&mut self.index, self.damaged);
        let track = self.tracks.entry(unit.track).or_insert_with(|| Track::new(damaged));
        let newest = track.newest.and_then(|(at, lasts)| Some((*index.entries.get(at)?, lasts)));
        // a block that stands in the file twice
        if damaged && newest.is_some_and(|(newest, _)| unit.pts_ns <= newest.pts_ns) {
            return;
        }
        if track.unsure {
            let follows = newest.is_some_and(|(newest, _)| unit.first_seq == newest.last_seq.wrapping_add(1));
            if !follows && !unit.key {
                track.numbers.pass();
                return;
            }
            // of a track that had not begun, nothing but the beginning of the part says from when on it is missing
            let begin = match self.damaged_first && index.header.part == 0 {
                true => Some(0),
                false => index.entries.first().map(|entry| entry.pts_ns),
            };
            let from_ns = newest.map(|(newest, lasts)| newest.pts_ns.saturating_add(lasts)).or(begin);
            if let Some(from_ns) = from_ns.filter(|from_ns| !follows && *from_ns < unit.pts_ns) {
                let (track, to_ns) = (Some(unit.track), unit.pts_ns);
                index.gaps.push(Gap { track, from_ns, to_ns, reason: GapReason::Damage });
            }
            track.unsure = false;
        }
        // what is missing in between is no part of how long a unit lasts
        let lasts = newest.map_or(0, |(newest, before)| {
            let lasts = unit.pts_ns.saturating_sub(newest.pts_ns);
            match (unit.first_seq == newest.last_seq.wrapping_add(1), before) {
                (false, before) => before,
                (true, 0) => lasts,
                (true, before) => lasts.min(before),
            }
        });
        track.newest = Some((index.entries.len(), lasts));
        index.entries.push(unit);
        track.numbers.number(&mut index.entries);
    }

    fn finish(mut self) -> Index {
        for track in self.tracks.values_mut() {
            track.numbers.lose(&mut self.index.entries);
        }
        if self.damaged {
            self.name_what_did_not_come_back();
        }
        self.index
    }

    /// Tracks that did not go on after damage, and those whose configuration was in it.
    fn name_what_did_not_come_back(&mut self) {
        let end = self.end_ns;
        for (id, track) in self.tracks.iter().filter(|(_, track)| track.unsure) {
            let newest =
                track.newest.and_then(|(at, lasts)| Some(self.index.entries.get(at)?.pts_ns.saturating_add(lasts)));
            if let Some(from_ns) = newest.filter(|from_ns| *from_ns < end) {
                let reason = GapReason::Damage;
                self.index.gaps.push(Gap { track: Some(*id), from_ns, to_ns: end, reason });
            }
        }
        let known: BTreeSet<TrackId> = self.index.epochs.iter().map(|epoch| epoch.track).collect();
        for id in self.tracks.keys().filter(|id| !known.contains(id)) {
            let times = || self.index.entries.iter().filter(|entry| entry.track == *id).map(|entry| entry.pts_ns);
            if let (Some(from_ns), Some(to_ns)) = (times().min(), times().max()) {
                self.index.gaps.push(Gap { track: Some(*id), from_ns, to_ns, reason: GapReason::Damage });
            }
        }
        self.index.retain(|entry| known.contains(&entry.track));
        let mut first = BTreeSet::new();
        for epoch in self.index.epochs.iter_mut().filter(|epoch| first.insert(epoch.track)) {
            epoch.first_entry = 0;
        }
    }
}
