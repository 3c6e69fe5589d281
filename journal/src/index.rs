//! What lies where in one part, in memory: enough to choose the units of a clip without reading their data twice.
//!
//! A range follows the picture: it begins with the first keyframe at or after the wanted start and ends before the
//! first keyframe at or after the wanted end; sound is taken by its own time within the same interval. Ranges that
//! share a border therefore share no unit and leave none out.

use std::collections::BTreeMap;
use std::path::Path;

use media::id::TrackId;
use media::message::{CodecConfig, GapReason, Orientation};

use crate::format::{Cause, Header, Record};
use crate::read::{OpenError, Reader, Tail};

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
    /// The units that are missing before this one were given up, since the disk did not take them.
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

/// The units of one part in the order in which they were written, without those that its cut gave to the next part.
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
    pub tail: Tail,
}

impl Index {
    /// Reads the whole file once.
    ///
    /// # Errors
    /// [`OpenError`] as [`Reader::open`], or when the medium fails on the way.
    pub fn build(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let mut reader = Reader::open(path)?;
        let mut index = Self {
            header: reader.header().clone(),
            entries: Vec::new(),
            epochs: Vec::new(),
            gaps: Vec::new(),
            turns: Vec::new(),
            cut_ns: None,
            cause: None,
            closed: false,
            tail: Tail::Clean,
        };
        let mut counts = BTreeMap::new();
        loop {
            match reader.next_record() {
                Ok(Some((offset, record))) => index.add(offset, record, &mut counts),
                Ok(None) => break,
                Err(source) => return Err(OpenError::Io { path: reader.path().to_owned(), source }),
            }
        }
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

    fn add(&mut self, offset: u64, record: Record, counts: &mut BTreeMap<TrackId, Count>) {
        match record {
            Record::Unit(unit) => {
                let count = counts.get_mut(&unit.track).map(Count::take);
                self.entries.push(Entry {
                    offset,
                    size: unit.data.len() as u32,
                    track: unit.track,
                    key: unit.key,
                    pts_ns: unit.pts_ns,
                    dts_ns: unit.dts_ns,
                    utc_us: unit.utc_us,
                    first_seq: unit.first_seq,
                    last_seq: unit.last_seq,
                    number: count.map(|count| count.number),
                    after_given_up: count.is_some_and(|count| count.given_up),
                });
            }
            Record::Count { track, number, given_up } => drop(counts.insert(track, Count { number, given_up })),
            Record::Config { track, config } => {
                self.epochs.push(Epoch { track, config, first_entry: self.entries.len() });
            }
            Record::Gap { track, from_ns, to_ns, reason } => self.gaps.push(Gap { track, from_ns, to_ns, reason }),
            Record::Cut { at_ns, cause } => {
                self.cut_ns = Some(at_ns);
                self.cause = Some(cause);
            }
            Record::End { cause, .. } => {
                self.cause = Some(cause);
                self.closed = true;
            }
            Record::Orientation { track, from_ns, orientation } => {
                self.turns.push(Turn { track, from_ns, orientation });
            }
            Record::Clock { .. } | Record::Unknown { .. } => {}
        }
    }

    /// Leaves out what the cut gave to the next part, and keeps the epochs pointing at the same units.
    fn drop_surplus(&mut self) {
        let Some(cut) = self.cut_ns else { return };
        let mut kept_before = Vec::with_capacity(self.entries.len() + 1);
        let mut kept = 0;
        for entry in &self.entries {
            kept_before.push(kept);
            kept += usize::from(entry.pts_ns < cut);
        }
        kept_before.push(kept);
        for epoch in &mut self.epochs {
            epoch.first_entry = kept_before[epoch.first_entry];
        }
        self.entries.retain(|e| e.pts_ns < cut);
    }
}

/// Of the next unit of a track.
#[derive(Clone, Copy)]
struct Count {
    number: u64,
    given_up: bool,
}

impl Count {
    /// For this unit; the next one counts on.
    fn take(&mut self) -> Self {
        let this = *self;
        *self = Self { number: this.number.saturating_add(1), given_up: false };
        this
    }
}
