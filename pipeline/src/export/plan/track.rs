//! One track of a file and its samples.

use std::path::{Path, PathBuf};

use journal::index::Epoch;
use journal::{Index, Range, Reader};
use media::id::TrackId;
use media::message::{Codec, CodecConfig, Orientation};
use media::rtp::codec::vp9;
use mp4::h264::ParameterSets;

use super::notes::{Note, Notes, Written};
use super::open_error;
use crate::job::{ExportError, ExportedPiece, Format};

/// Length of a picture nothing is known about.
const LONE_PICTURE_NS: u64 = 33_333_333;
/// The last picture of a range is shown as long as the one before it, but no longer than this.
const LAST_PICTURE_NS: u64 = 1_000_000_000;
/// Nor shorter: what lasts for no unit of time is in no file.
const SHORTEST_PICTURE_NS: u64 = 1_000_000;

pub(in super::super) struct Track {
    pub id: TrackId,
    pub codec: Codec,
    /// Pixels, the largest of the range; 0 for sound.
    pub width: u16,
    pub height: u16,
    /// 0 for pictures.
    pub channels: u8,
    /// H.264 only.
    pub parameter_sets: ParameterSets,
    /// VP9 only: of the first keyframe.
    pub vp9: Option<vp9::KeyHeader>,
    /// AV1 only: the sequence header of the first epoch, an OBU with its size field.
    pub av1_sequence: bytes::Bytes,
    /// A file has one, so the recorder begins another where it changes.
    pub orientation: Orientation,
    /// In order of time; not empty in a plan.
    pub samples: Vec<Sample>,
    pub undecodable: u64,
    /// The same codec and orientation throughout each; one where nothing is decoded.
    pub stretches: Vec<Stretch>,
    /// Pixels of the largest picture as players show it, where pieces differ.
    largest: Option<(u16, u16)>,
    /// Pictures that were encoded for this file.
    pub made: Vec<bytes::Bytes>,
    /// The first sample that each holds for, in order; one at least where there is a sample.
    configs: Vec<(usize, CodecConfig)>,
}

/// Samples that one decoder takes.
pub(in super::super) struct Stretch {
    /// Its first sample.
    pub from: usize,
    pub codec: Codec,
    pub orientation: Orientation,
}

/// Where the bytes of a sample are.
#[derive(Clone, Copy)]
pub(in super::super) enum Origin {
    /// Index into the plan's journals, and where the record begins.
    Journal { journal: usize, offset: u64 },
    /// Index into [`Track::made`].
    Made(usize),
}

/// A unit that becomes a sample.
#[derive(Clone)]
pub(in super::super) struct Sample {
    /// Its track in that broadcast, since those of other pieces may be numbered otherwise.
    pub track: TrackId,
    /// Index into the plan's pieces.
    pub piece: usize,
    pub origin: Origin,
    /// Bytes as received, or as made.
    pub size: u32,
    pub written: Written,
    pub key: bool,
    /// The broadcast's timeline.
    pub pts_ns: u64,
    /// In the file.
    pub at_ns: u64,
    pub duration_ns: u64,
    pub utc_us: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// As the journal counts it.
    pub number: Option<u64>,
    pub after_given_up: bool,
}

impl Track {
    /// Width and height as players show them.
    pub(in super::super) fn shown(&self) -> (u16, u16) {
        if self.orientation.quarters().is_multiple_of(2) {
            (self.width, self.height)
        } else {
            (self.height, self.width)
        }
    }

    pub(in super::super) fn first_pts_ns(&self) -> Option<u64> {
        self.samples.first().map(|sample| sample.pts_ns)
    }

    /// Even sides of a picture that holds all of them as players show them.
    pub(in super::super) fn canvas(&self) -> (u16, u16) {
        let (width, height) = self.largest.unwrap_or_else(|| self.shown());
        (width.next_multiple_of(2), height.next_multiple_of(2))
    }

    /// The configuration of a sample, and the first sample that has it.
    pub(in super::super) fn config_at(&self, sample: usize) -> Option<&(usize, CodecConfig)> {
        self.configs.iter().rfind(|(from, _)| *from <= sample)
    }

    /// Of its last sample, on the broadcast's timeline.
    pub(in super::super) fn end_pts_ns(&self) -> u64 {
        self.samples.last().map_or(0, |sample| sample.pts_ns + sample.duration_ns)
    }

    /// Of its last sample, in the file.
    pub(in super::super) fn end_ns(&self) -> u64 {
        self.samples.last().map_or(0, |sample| sample.at_ns + sample.duration_ns)
    }

    /// Time that is filled.
    pub(in super::super) fn media_ns(&self) -> u64 {
        self.samples.iter().map(|sample| sample.duration_ns.min(LAST_PICTURE_NS)).sum()
    }

    pub(in super::super) fn longest_gap_ns(&self) -> u64 {
        let ends = self.samples.iter().map(|s| if self.codec.is_video() { s.at_ns } else { s.at_ns + s.duration_ns });
        let gaps = ends.zip(self.samples.iter().skip(1)).map(|(end, next)| next.at_ns.saturating_sub(end));
        gaps.max().unwrap_or(0)
    }
}

impl Track {
    /// The units of one track in the range, as samples that have no place in the file yet.
    pub(super) fn collect(
        id: TrackId,
        indexes: &[Index],
        notes: &[Notes],
        range: Range,
        journals: &[PathBuf],
    ) -> Result<Self, ExportError> {
        let mut track = Self::new(id);
        for (journal, (index, notes)) in indexes.iter().zip(notes).enumerate() {
            let epochs: Vec<&Epoch> = index.epochs_of(id).collect();
            let mut reader = None;
            for (at, entry) in index.entries.iter().enumerate().filter(|(_, e)| e.track == id && range.holds(e.pts_ns))
            {
                let Some(epoch) = epochs.iter().rev().find(|epoch| epoch.first_entry <= at) else {
                    return Err(ExportError::Refused(format!("track {} has no configuration", id.0)));
                };
                track.apply(&epoch.config)?;
                if track.codec.is_video() && track.samples.is_empty() && !entry.key {
                    track.undecodable += 1;
                    continue;
                }
                let note = match notes.get(entry.offset) {
                    Some(note) => note,
                    None => Note::of(track.codec, entry.key, &read(&mut reader, &journals[journal], entry.offset)?),
                };
                if track.codec == Codec::Vp9 && entry.key && track.vp9.is_none() {
                    track.vp9 = vp9::KeyHeader::parse(&read(&mut reader, &journals[journal], entry.offset)?);
                }
                track.parameter_sets.merge(note.sets);
                if track.samples.is_empty() {
                    track.orientation = index.orientation(id, entry.pts_ns);
                }
                track.push(Sample {
                    track: id,
                    piece: 0,
                    at_ns: 0,
                    origin: Origin::Journal { journal, offset: entry.offset },
                    size: entry.size,
                    written: note.written,
                    key: entry.key || !track.codec.is_video(),
                    pts_ns: entry.pts_ns,
                    duration_ns: note.sounds_ns,
                    utc_us: entry.utc_us,
                    first_seq: entry.first_seq,
                    last_seq: entry.last_seq,
                    number: entry.number,
                    after_given_up: entry.after_given_up,
                })?;
            }
            if track.codec == Codec::H264 && !track.parameter_sets.is_usable() {
                epochs.iter().for_each(|epoch| track.parameter_sets.collect(&epoch.config.parameter_sets));
            }
        }
        if track.codec == Codec::H264 && !track.samples.is_empty() && !track.parameter_sets.is_usable() {
            return Err(ExportError::Refused("H.264 without parameter sets".into()));
        }
        if track.codec == Codec::Vp9 && !track.samples.is_empty() && track.vp9.is_none() {
            return Err(ExportError::Refused("VP9 whose keyframes are damaged".into()));
        }
        if track.codec.is_video() {
            let border = indexes.last().and_then(|index| index.cut_ns).unwrap_or(u64::MAX).min(range.to_ns);
            end_last_picture(&mut track.samples, border);
        }
        Ok(track)
    }

    fn new(id: TrackId) -> Self {
        Self {
            id,
            codec: Codec::Opus,
            width: 0,
            height: 0,
            channels: 0,
            parameter_sets: ParameterSets::default(),
            vp9: None,
            av1_sequence: bytes::Bytes::new(),
            orientation: Orientation::UPRIGHT,
            samples: Vec::new(),
            undecodable: 0,
            made: Vec::new(),
            stretches: Vec::new(),
            largest: None,
            configs: Vec::new(),
        }
    }

    /// The same codec throughout, the largest picture of all.
    fn apply(&mut self, config: &CodecConfig) -> Result<(), ExportError> {
        if self.configs.last().is_some_and(|(_, known)| known == config) {
            return Ok(());
        }
        if !self.configs.is_empty() && self.codec != config.codec {
            return Err(ExportError::Refused(format!("track {} changes its codec within the range", self.id.0)));
        }
        // One that no sample has used yet is nobody's.
        self.configs.retain(|(from, _)| *from < self.samples.len());
        self.configs.push((self.samples.len(), config.clone()));
        self.codec = config.codec;
        if config.codec == Codec::Av1 && self.av1_sequence.is_empty() {
            self.av1_sequence = config.parameter_sets.clone();
        }
        self.width = self.width.max(config.width);
        self.height = self.height.max(config.height);
        self.channels = self.channels.max(config.channels);
        Ok(())
    }

    /// The unit of a sample. `open` keeps the journal that was read last.
    pub(in super::super) fn unit(
        &self,
        sample: &Sample,
        journals: &[PathBuf],
        open: &mut Option<(usize, Reader)>,
    ) -> Result<bytes::Bytes, ExportError> {
        let (journal, offset) = match sample.origin {
            Origin::Made(at) => return Ok(self.made[at].clone()),
            Origin::Journal { journal, offset } => (journal, offset),
        };
        let reader = match open {
            Some((known, reader)) if *known == journal => reader,
            other => &mut other.insert((journal, Reader::open(&journals[journal]).map_err(open_error)?)).1,
        };
        match reader.read_at(offset)? {
            journal::Record::Unit(unit) => Ok(unit.data),
            _ => Err(ExportError::Io(format!("{}: no unit at {offset}", reader.path().display()))),
        }
    }

    /// Takes the first samples away.
    pub(in super::super) fn forget(&mut self, count: usize) {
        self.samples.drain(..count);
        self.shift_configs(count, 0);
    }

    /// What held from sample `was` on holds from `is` on; of those before it the last is still in force.
    pub(in super::super) fn shift_configs(&mut self, was: usize, is: usize) {
        for (from, _) in &mut self.configs {
            *from = if *from >= was { *from - was + is } else { (*from).min(is) };
        }
        let mut kept: Vec<(usize, CodecConfig)> = Vec::with_capacity(self.configs.len());
        for (from, config) in self.configs.drain(..) {
            kept.retain(|(known, _)| *known < from);
            kept.push((from, config));
        }
        self.configs = kept;
    }

    /// Gives the samples of a piece their place in the file; the journals of the pieces before it come first.
    pub(super) fn place(&mut self, piece: &ExportedPiece, number: usize, journals: usize) {
        self.stretches = vec![Stretch { from: 0, codec: self.codec, orientation: self.orientation }];
        for sample in &mut self.samples {
            sample.piece = number;
            sample.at_ns = sample.pts_ns - piece.from_ns + piece.offset_ns;
            if let Origin::Journal { journal, .. } = &mut sample.origin {
                *journal += journals;
            }
        }
    }

    /// What comes after, of another piece.
    pub(super) fn extend(&mut self, mut next: Track, format: Format) -> Result<(), ExportError> {
        if format != Format::Compatible {
            self.goes_on_with(&next)?;
        }
        let ((width, height), (next_width, next_height)) = (self.canvas(), next.canvas());
        self.largest = Some((width.max(next_width), height.max(next_height)));
        let before = self.samples.len();
        self.stretches.extend(next.stretches.drain(..).map(|s| Stretch { from: before + s.from, ..s }));
        self.width = self.width.max(next.width);
        self.height = self.height.max(next.height);
        self.channels = self.channels.max(next.channels);
        self.parameter_sets.merge(next.parameter_sets);
        self.undecodable += next.undecodable;
        let made = self.made.len();
        self.made.extend(next.made);
        for sample in &mut next.samples {
            if let Origin::Made(at) = &mut sample.origin {
                *at += made;
            }
        }
        self.configs.extend(next.configs.into_iter().map(|(from, config)| (before + from, config)));
        self.samples.extend(next.samples);
        Ok(())
    }

    /// A decoder goes on with it, so what is said once for the whole file must be the same.
    fn goes_on_with(&self, next: &Track) -> Result<(), ExportError> {
        let refuse = |why: String| Err(ExportError::Refused(why));
        if self.codec != next.codec {
            let (was, is) = (codec_name(self.codec), codec_name(next.codec));
            return refuse(format!("a file has one codec of a kind: this is {is}, what comes before it is {was}"));
        }
        if self.orientation.quarters() != next.orientation.quarters() {
            return refuse("the picture lies differently than before it, and a file has one orientation".into());
        }
        let sample_format = |track: &Track| track.vp9.map(|key| (key.profile, key.bit_depth, key.subsampling));
        if sample_format(self) != sample_format(next) {
            return refuse("its VP9 has another profile than what comes before it".into());
        }
        Ok(())
    }

    fn push(&mut self, sample: Sample) -> Result<(), ExportError> {
        if let Some(previous) = self.samples.last_mut() {
            if sample.pts_ns <= previous.pts_ns {
                let at = sample.pts_ns;
                return Err(ExportError::Refused(format!("track {} does not move forward at {at} ns", self.id.0)));
            }
            if self.codec.is_video() {
                previous.duration_ns = sample.pts_ns - previous.pts_ns;
            }
        }
        self.samples.push(sample);
        Ok(())
    }
}

/// Up to the border if that is near (the next clip goes on there), else as long as the picture before.
fn end_last_picture(samples: &mut [Sample], border_ns: u64) {
    let before = samples.len().checked_sub(2).map_or(LONE_PICTURE_NS, |at| samples[at].duration_ns);
    let Some(last) = samples.last_mut() else { return };
    let to_border = border_ns.saturating_sub(last.pts_ns);
    let lasts = if (1..=LAST_PICTURE_NS).contains(&to_border) { to_border } else { before.min(LAST_PICTURE_NS) };
    last.duration_ns = lasts.max(SHORTEST_PICTURE_NS);
}

fn read(reader: &mut Option<Reader>, path: &Path, offset: u64) -> Result<bytes::Bytes, ExportError> {
    let reader = match reader {
        Some(reader) => reader,
        none => none.insert(Reader::open(path).map_err(open_error)?),
    };
    match reader.read_at(offset)? {
        journal::Record::Unit(unit) => Ok(unit.data),
        _ => Err(ExportError::Io(format!("{}: no unit at {offset}", path.display()))),
    }
}

/// As the index of clips names it.
pub(in super::super) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
        Codec::Opus => "opus",
    }
}
