//! What is kept of one broadcast, as a playlist: its parts in order, which of their segments there are, and what each is called.
//!
//! A segment is called by its part and its number within it, an initialisation segment by its content, so that the names stay the same however often
//! this index is made anew.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hls::{Entry, Format, Playlist, Segment};
use sha2::{Digest, Sha256};
use storage::local::KeptPart;

use super::config::Configs;
use super::part::Part;

/// Most segments that are remembered of a broadcast, some days of it; of older parts nothing is shown.
const SEGMENTS: usize = 200_000;
/// Times that are closer than this join: what a clock rounds.
const JOINED_NS: u64 = 50_000_000;
/// No segment is shorter, but the last of a part.
const SHORTEST_NS: u64 = 1_000_000_000;
/// How old the index may be.
const FRESH: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Recording {
    parts: BTreeMap<u32, Part>,
    configs: Configs,
    inits: HashMap<Tracks, Option<Init>>,
    /// Segments that came before the first of `parts`, and discontinuities before it.
    removed: u64,
    removed_discontinuities: u64,
    ended: bool,
    looked: Option<Instant>,
}

/// The numbers of a segment's formats.
type Tracks = (Option<u32>, Option<u32>);

#[derive(Clone, Debug)]
struct Init {
    name: String,
    bytes: Bytes,
}

/// Everything that a segment is made of.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) journal: PathBuf,
    pub(super) segment: Segment,
    pub(super) number: u32,
    pub(super) format: Format,
}

/// A playlist, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Text(String),
    /// Recording has begun; the first segment is not complete.
    NotYet,
    /// Its codec cannot be put into segments.
    Unsuitable(&'static str),
    /// No journal is kept any more.
    Gone,
}

impl Recording {
    pub(super) fn is_fresh(&self) -> bool {
        self.looked.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Reads what was recorded since the last time. `kept`: as this node's rows say; `live`: the broadcast goes on.
    ///
    /// # Errors
    /// The medium's.
    pub(super) fn look(&mut self, kept: &[KeptPart], live: bool) -> io::Result<()> {
        let known = |number: &u32| kept.iter().any(|row| row.part == *number);
        for (number, part) in &mut self.parts {
            part.gone |= !known(number);
        }
        let first_time = self.looked.is_none();
        for (index, row) in kept.iter().enumerate() {
            let part = self.parts.entry(row.part).or_insert_with(|| Part::new(row.journal.clone()));
            // The next part is opened before this one has got its last sound; it is closed some tenths of a second later.
            part.follow(&mut self.configs, !row.open)?;
            if !part.done && index + 1 < kept.len() {
                break;
            }
        }
        if first_time && let Some((number, part)) = self.parts.first_key_value() {
            // How many segments there were in parts that are gone nobody knows; more than this there were not.
            let before = part.segments.first().map_or(0, |segment| segment.start_ns / SHORTEST_NS);
            if *number > 0 {
                (self.removed, self.removed_discontinuities) = (before, before);
            }
        }
        self.ended = !live && kept.iter().all(|row| !row.open) && self.parts.values().all(|part| part.done);
        self.make_inits();
        self.drop_oldest();
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// The playlist as of the last look.
    pub(super) fn playlist(&self) -> Written {
        let entries = self.entries();
        if entries.iter().all(|entry| entry.gone) {
            let unsuitable = self.segments().find_map(|(_, _, segment)| self.configs.format(segment).err());
            return match unsuitable {
                Some(codec) => Written::Unsuitable(codec),
                None if self.parts.values().all(|part| part.gone) => Written::Gone,
                None => Written::NotYet,
            };
        }
        let head = Playlist {
            sequence: self.removed,
            discontinuity_sequence: self.removed_discontinuities,
            ended: self.ended,
        };
        Written::Text(hls::playlist(&head, entries.iter()))
    }

    pub(super) fn init(&self, name: &str) -> Option<Bytes> {
        self.inits.values().flatten().find(|init| init.name == name).map(|init| init.bytes.clone())
    }

    pub(super) fn plan(&self, part: u32, number: u32) -> Option<Plan> {
        let part = self.parts.get(&part).filter(|part| !part.gone)?;
        let segment = part.segments.get(number as usize)?;
        let format = self.configs.format(segment).ok()?;
        Some(Plan { journal: part.path().to_owned(), segment: segment.clone(), number, format })
    }

    /// With the part and its number, and the number within the part.
    fn segments(&self) -> impl Iterator<Item = ((u32, &Part), usize, &Segment)> {
        self.parts.iter().flat_map(|(number, part)| {
            part.segments.iter().enumerate().map(move |(index, segment)| ((*number, part), index, segment))
        })
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut before: Option<(u64, Tracks)> = None;
        for ((number, part), index, segment) in self.segments() {
            let tracks = tracks(segment);
            let joins = before.is_some_and(|(end, same)| end.abs_diff(segment.start_ns) <= JOINED_NS && same == tracks);
            before = Some((segment.end_ns, tracks));
            let init = self.inits.get(&tracks).and_then(Option::as_ref);
            entries.push(Entry {
                name: format!("{number}-{index}.m4s"),
                init: init.map_or_else(String::new, |init| init.name.clone()),
                duration_ns: segment.duration_ns(),
                utc_us: part.media_zero_utc_us.saturating_add(segment.start_ns / 1000),
                discontinuity: !joins,
                gone: part.gone || init.is_none(),
            });
        }
        entries
    }

    fn make_inits(&mut self) {
        let mut new: Vec<(Tracks, Option<Init>)> = Vec::new();
        for (_, _, segment) in self.segments() {
            let tracks = tracks(segment);
            if self.inits.contains_key(&tracks) || new.iter().any(|(known, _)| *known == tracks) {
                continue;
            }
            let bytes = self.configs.format(segment).ok().and_then(|format| hls::init(&format).ok());
            let init = bytes.map(|bytes| Init {
                name: format!("init-{}.mp4", hex::encode(&Sha256::digest(&bytes)[..8])),
                bytes: bytes.into(),
            });
            new.push((tracks, init));
        }
        self.inits.extend(new);
    }

    /// What is gone at the beginning leaves the playlist; in the middle it stays as a gap.
    fn drop_oldest(&mut self) {
        let mut many = self.parts.values().map(|part| part.segments.len()).sum::<usize>();
        let mut dropped = 0;
        let mut leaving = Vec::new();
        for (number, part) in &self.parts {
            let only = leaving.len() + 1 == self.parts.len();
            if !(part.gone || many > SEGMENTS) || only {
                break;
            }
            many -= part.segments.len();
            dropped += part.segments.len();
            leaving.push(*number);
        }
        if leaving.is_empty() {
            return;
        }
        let entries = self.entries();
        let passed = entries.iter().take(dropped + 1).skip(1).filter(|entry| entry.discontinuity).count();
        self.removed += dropped as u64;
        self.removed_discontinuities += passed as u64;
        self.parts.retain(|number, _| !leaving.contains(number));
    }
}

fn tracks(segment: &Segment) -> Tracks {
    (segment.video.map(|(_, config)| config), segment.sound.map(|(_, config)| config))
}
