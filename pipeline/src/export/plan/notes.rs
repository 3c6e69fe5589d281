//! What the plan must know of units that only their data tells: how many bytes they take in an MP4, how long they sound, which parameter sets they bring.
//!
//! Noted while the journal is read for its index, so that it need not be read for this once more.

use std::collections::HashMap;
use std::path::Path;

use journal::{Index, OpenError, Seen};
use media::id::TrackId;
use media::message::Codec;
use mp4::h264::{self, ParameterSets};
use mp4::{SOUND_CLOCK, opus};

use super::Piece;

/// Around a range: it begins and ends with keyframes that are hardly farther from it. What is, is read again.
const AROUND_NS: u64 = 10_000_000_000;

/// Of a unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Note {
    pub written: Written,
    /// Of a packet of sound.
    pub sounds_ns: u64,
    /// Those of an H.264 keyframe.
    pub sets: ParameterSets,
}

/// Bytes of a sample in an MP4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Written {
    /// With parameter sets in front of the file.
    pub in_front: u32,
    /// With parameter sets in the samples as well.
    pub in_band: u32,
}

impl Written {
    pub(in super::super) fn of(codec: Codec, data: &[u8]) -> Self {
        let (in_front, in_band) = match codec {
            Codec::H264 => h264::sample_bytes(data),
            Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opus => (data.len(), data.len()),
        };
        // a unit has at most a few megabytes
        Self { in_front: in_front as u32, in_band: in_band as u32 }
    }
}

impl Note {
    pub(super) fn of(codec: Codec, key: bool, data: &[u8]) -> Self {
        Self {
            written: Written::of(codec, data),
            sounds_ns: if codec == Codec::Opus { opus::samples(data) * 1_000_000_000 / SOUND_CLOCK } else { 0 },
            sets: if codec == Codec::H264 && key { ParameterSets::of(data) } else { ParameterSets::default() },
        }
    }
}

/// Notes of the units of one journal.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Of the units' records, increasing.
    offsets: Vec<u64>,
    notes: Vec<Short>,
    /// Different ones.
    sets: Vec<ParameterSets>,
}

#[derive(Debug)]
struct Short {
    written: Written,
    sounds_ns: u32,
    /// Index into [`Notes::sets`].
    sets: u32,
}

impl Notes {
    /// Reads a journal for its index.
    pub(super) fn with_index(path: &Path, piece: &Piece) -> Result<(Index, Self), OpenError> {
        let near = piece.from_ns.unwrap_or(0).saturating_sub(AROUND_NS)
            ..=piece.to_ns.map_or(u64::MAX, |to| to.saturating_add(AROUND_NS));
        let mut notes = Self::default();
        let mut codecs: HashMap<TrackId, Codec> = HashMap::new();
        let index = Index::build_while(path, |seen| match seen {
            Seen::Config { track, config } => {
                codecs.insert(track, config.codec);
            }
            Seen::Unit { offset, track, key, pts_ns, data } if near.contains(&pts_ns) => {
                if let Some(codec) = codecs.get(&track) {
                    notes.push(offset, Note::of(*codec, key, data));
                }
            }
            Seen::Unit { .. } => {}
        })?;
        Ok((index, notes))
    }

    fn push(&mut self, offset: u64, note: Note) {
        let known = self.sets.iter().position(|sets| *sets == note.sets);
        let sets = known.unwrap_or_else(|| {
            self.sets.push(note.sets);
            self.sets.len() - 1
        });
        self.offsets.push(offset);
        self.notes.push(Short { written: note.written, sounds_ns: note.sounds_ns as u32, sets: sets as u32 });
    }

    /// Of the unit whose record begins there.
    pub(super) fn get(&self, offset: u64) -> Option<Note> {
        let short = &self.notes[self.offsets.binary_search(&offset).ok()?];
        let sets = self.sets[short.sets as usize].clone();
        Some(Note { written: short.written, sounds_ns: u64::from(short.sounds_ns), sets })
    }
}
