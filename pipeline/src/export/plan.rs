//! Which units of the journals become samples, and when. Decided completely before the muxer starts, so that the finished
//! file can be compared with it.

use journal::index::Epoch;
use journal::{Index, Range, Reader, Tail};
use media::id::TrackId;
use media::message::{Codec, CodecConfig, Orientation};
use media::rtp::codec::vp9;

use super::h264::ParameterSets;
use super::opus;
use crate::job::{Container, ExportError, ExportJob};

/// Length of a picture nothing is known about.
const LONE_PICTURE_NS: u64 = 33_333_333;
/// The last picture of a range is shown as long as the one before it, but no longer than this.
const LAST_PICTURE_NS: u64 = 1_000_000_000;

pub(super) struct Plan {
    pub container: Container,
    pub video: Option<Track>,
    pub sound: Option<Track>,
    /// Tracks of the range that are not in the file: it has one picture and one sound.
    pub omitted: Vec<u8>,
    /// The moment of the broadcast that is 0 in the file, for all tracks.
    pub zero_ns: u64,
    /// End of the last sample on the broadcast's timeline.
    pub end_ns: u64,
    pub torn_bytes: u64,
}

pub(super) struct Track {
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
    /// Of its first picture: a file has one, so the recorder begins another where it changes.
    pub orientation: Orientation,
    /// In order of time; never empty.
    pub samples: Vec<Sample>,
    pub undecodable: u64,
    configured: bool,
}

/// A unit that becomes a sample.
pub(super) struct Sample {
    /// Index into the job's journals.
    pub journal: usize,
    /// Of its record.
    pub offset: u64,
    /// Bytes as received.
    pub size: u32,
    pub key: bool,
    /// The broadcast's timeline.
    pub pts_ns: u64,
    pub duration_ns: u64,
    pub first_seq: u64,
    pub last_seq: u64,
}

impl Plan {
    pub(super) fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.video.iter().chain(self.sound.iter())
    }
}

impl Track {
    /// Width and height as players show them.
    pub(super) fn shown(&self) -> (u16, u16) {
        if self.orientation.quarters().is_multiple_of(2) {
            (self.width, self.height)
        } else {
            (self.height, self.width)
        }
    }

    /// Of its last sample.
    pub(super) fn end_ns(&self) -> u64 {
        self.samples.last().map_or(0, |sample| sample.pts_ns + sample.duration_ns)
    }

    /// Time that is filled.
    pub(super) fn media_ns(&self) -> u64 {
        self.samples.iter().map(|sample| sample.duration_ns.min(LAST_PICTURE_NS)).sum()
    }

    pub(super) fn longest_gap_ns(&self) -> u64 {
        let ends = self.samples.iter().map(|s| if self.codec.is_video() { s.pts_ns } else { s.pts_ns + s.duration_ns });
        let gaps = ends.zip(self.samples.iter().skip(1)).map(|(end, next)| next.pts_ns.saturating_sub(end));
        gaps.max().unwrap_or(0)
    }
}

pub(super) fn plan(job: &ExportJob) -> Result<Plan, ExportError> {
    let mut indexes = Vec::with_capacity(job.journals.len());
    for path in &job.journals {
        indexes.push(Index::build(path).map_err(open_error)?);
    }
    let range = range(&indexes, job);
    let torn_bytes = indexes
        .iter()
        .map(|index| match index.tail {
            Tail::Clean => 0,
            Tail::Torn { bytes, .. } => bytes,
        })
        .sum();

    let mut ids: Vec<TrackId> = indexes.iter().flat_map(|index| index.select(range)).map(|entry| entry.track).collect();
    ids.sort_unstable();
    ids.dedup();
    let (mut video, mut sound, mut omitted) = (None, None, Vec::new());
    let mut undecodable = 0;
    for id in ids {
        let track = self::track(id, &indexes, range, job)?;
        let slot = if track.codec.is_video() { &mut video } else { &mut sound };
        if track.samples.is_empty() {
            undecodable += track.undecodable;
            omitted.push(id.0);
        } else if slot.is_some() {
            omitted.push(id.0);
        } else {
            *slot = Some(track);
        }
    }
    let tracks = || video.iter().chain(sound.iter());
    let first = |track: &Track| track.samples.first().map(|sample| sample.pts_ns);
    let Some(zero_ns) = tracks().filter_map(first).min() else {
        return Err(ExportError::Refused(match undecodable {
            0 => "the range is empty".into(),
            pictures => format!("none of the {pictures} pictures of the range can be decoded without a keyframe"),
        }));
    };
    let end_ns = tracks().map(Track::end_ns).max().unwrap_or(zero_ns);
    let container = match &video {
        Some(track) if track.codec == Codec::Vp8 => Container::Webm,
        _ => Container::Mp4,
    };
    Ok(Plan { container, video, sound, omitted, zero_ns, end_ns, torn_bytes })
}

/// The rule of [`Index::range`], over several parts.
fn range(indexes: &[Index], job: &ExportJob) -> Range {
    let border = |at: u64| indexes.iter().filter_map(|index| index.key_from(at)).min().unwrap_or(at);
    Range { from_ns: job.from_ns.map_or(0, border), to_ns: job.to_ns.map_or(u64::MAX, border) }
}

fn track(id: TrackId, indexes: &[Index], range: Range, job: &ExportJob) -> Result<Track, ExportError> {
    let mut track = Track::new(id);
    for (journal, index) in indexes.iter().enumerate() {
        let epochs: Vec<&Epoch> = index.epochs_of(id).collect();
        let mut reader = None;
        for (at, entry) in index.entries.iter().enumerate().filter(|(_, e)| e.track == id && range.holds(e.pts_ns)) {
            let Some(epoch) = epochs.iter().rev().find(|epoch| epoch.first_entry <= at) else {
                return Err(ExportError::Refused(format!("track {} has no configuration", id.0)));
            };
            track.apply(&epoch.config)?;
            if track.codec.is_video() && track.samples.is_empty() && !entry.key {
                track.undecodable += 1;
                continue;
            }
            let mut duration_ns = 0;
            // Read what cannot be known without the data: parameter sets, sample formats, and how long a packet sounds.
            let speaks = match track.codec {
                Codec::Opus => true,
                Codec::H264 => entry.key,
                Codec::Vp9 => entry.key && track.vp9.is_none(),
                Codec::Vp8 | Codec::Av1 => false,
            };
            if speaks {
                let unit = read(&mut reader, &job.journals[journal], entry.offset)?;
                match track.codec {
                    Codec::H264 => track.parameter_sets.collect(&unit),
                    Codec::Vp9 => track.vp9 = vp9::KeyHeader::parse(&unit),
                    _ => duration_ns = opus::duration_ns(&unit),
                }
            }
            if track.samples.is_empty() {
                track.orientation = index.orientation(id, entry.pts_ns);
            }
            track.push(Sample {
                journal,
                offset: entry.offset,
                size: entry.size,
                key: entry.key || !track.codec.is_video(),
                pts_ns: entry.pts_ns,
                duration_ns,
                first_seq: entry.first_seq,
                last_seq: entry.last_seq,
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

impl Track {
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
            configured: false,
        }
    }

    /// The same codec throughout, the largest picture of all.
    fn apply(&mut self, config: &CodecConfig) -> Result<(), ExportError> {
        if self.configured && self.codec != config.codec {
            return Err(ExportError::Refused(format!("track {} changes its codec within the range", self.id.0)));
        }
        self.configured = true;
        self.codec = config.codec;
        if config.codec == Codec::Av1 && self.av1_sequence.is_empty() {
            self.av1_sequence = config.parameter_sets.clone();
        }
        self.width = self.width.max(config.width);
        self.height = self.height.max(config.height);
        self.channels = self.channels.max(config.channels);
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
    last.duration_ns = if (1..=LAST_PICTURE_NS).contains(&to_border) { to_border } else { before.min(LAST_PICTURE_NS) };
}

fn read(reader: &mut Option<Reader>, path: &std::path::Path, offset: u64) -> Result<bytes::Bytes, ExportError> {
    let reader = match reader {
        Some(reader) => reader,
        none => none.insert(Reader::open(path).map_err(open_error)?),
    };
    match reader.read_at(offset)? {
        journal::Record::Unit(unit) => Ok(unit.data),
        _ => Err(ExportError::Io(format!("{}: no unit at {offset}", path.display()))),
    }
}

pub(super) fn open_error(error: journal::OpenError) -> ExportError {
    match error {
        journal::OpenError::Io { .. } => ExportError::Io(error.to_string()),
        journal::OpenError::Header { .. } => ExportError::Refused(error.to_string()),
    }
}
