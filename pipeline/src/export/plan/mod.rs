//! Which units of the journals become samples, and when. Decided completely before the muxer starts, so that the finished
//! file can be compared with it.

mod notes;
mod track;

use std::path::PathBuf;
use std::time::Duration;

use journal::index::Gap;
use journal::{Header, Index, Range, Record, Tail};
use media::id::TrackId;
use media::message::Codec;

use self::notes::Notes;
pub(super) use self::notes::Written;
pub(super) use self::track::{Origin, Sample, Stretch, Track, codec_name};
use super::{anew, exact};
use crate::job::{Border, Container, ExportError, ExportJob, ExportedPiece, Format, Piece, Precision};

pub(super) struct Plan {
    pub container: Container,
    /// All journals of all pieces.
    pub journals: Vec<PathBuf>,
    /// What is shown of each, never empty. All tracks of a piece share its place.
    pub pieces: Vec<ExportedPiece>,
    /// Where each comes from.
    pub sources: Vec<Source>,
    pub video: Option<Track>,
    pub sound: Option<Track>,
    /// Tracks of the pieces that are not in the file: it has one picture and one sound.
    pub omitted: Vec<u8>,
    pub torn_bytes: u64,
    anew: Anew,
}

/// What is decoded and encoded anew.
#[derive(Default)]
struct Anew {
    video: bool,
    sound: bool,
}

impl Plan {
    pub(super) fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.video.iter().chain(self.sound.iter())
    }

    /// Whether a track is decoded and encoded anew.
    pub(super) fn is_anew(&self, track: &Track) -> bool {
        if track.codec.is_video() { self.anew.video } else { self.anew.sound }
    }

    /// Of the file.
    pub(super) fn length_ns(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.offset_ns + (piece.to_ns - piece.from_ns))
    }
}

/// Of one piece.
pub(super) struct Source {
    /// Of its first journal.
    pub header: Header,
    /// Gap records of the range.
    pub gaps: Vec<Record>,
}

/// One piece.
struct Part {
    source: Source,
    video: Option<Track>,
    sound: Option<Track>,
    omitted: Vec<u8>,
    torn_bytes: u64,
}

/// `timeout` bounds each pipeline that makes pictures anew.
pub(super) fn plan(job: &ExportJob, timeout: Duration) -> Result<Plan, ExportError> {
    let mut plan = Plan {
        container: Container::Mp4,
        journals: Vec::new(),
        pieces: Vec::new(),
        sources: Vec::new(),
        video: None,
        sound: None,
        omitted: Vec::new(),
        torn_bytes: 0,
        anew: Anew::default(),
    };
    if job.pieces.is_empty() {
        return Err(ExportError::Refused("there is no piece".into()));
    }
    for (number, piece) in job.pieces.iter().enumerate() {
        let part = part(piece, job, timeout).map_err(|error| within(error, number, job))?;
        plan.append(part, piece, job.format).map_err(|error| within(error, number, job))?;
    }
    plan.omitted.sort_unstable();
    plan.omitted.dedup();
    if job.format == Format::Compatible {
        plan.anew = Anew { video: !plan.video.as_ref().is_some_and(anew::is_copied), sound: true };
    } else if plan.video.as_ref().is_some_and(|track| track.codec == Codec::Vp8) {
        plan.container = Container::Webm;
    }
    Ok(plan)
}

/// Says which of several pieces is refused.
fn within(error: ExportError, number: usize, job: &ExportJob) -> ExportError {
    match error {
        ExportError::Refused(why) if job.pieces.len() > 1 => {
            ExportError::Refused(format!("piece {} of {}: {why}", number + 1, job.pieces.len()))
        }
        error => error,
    }
}

impl Plan {
    /// Behind what is there already. A piece begins where the longest track of the one before it ends.
    fn append(&mut self, part: Part, piece: &Piece, format: Format) -> Result<(), ExportError> {
        let tracks = || part.video.iter().chain(part.sound.iter());
        let from_ns = tracks().filter_map(Track::first_pts_ns).min().unwrap_or(0);
        let to_ns = tracks().map(Track::end_pts_ns).max().unwrap_or(from_ns);
        let shown = ExportedPiece { from_ns, to_ns, offset_ns: self.length_ns() };
        for (mine, new) in [(&mut self.video, part.video), (&mut self.sound, part.sound)] {
            let Some(mut new) = new else { continue };
            new.place(&shown, self.pieces.len(), self.journals.len());
            match mine {
                Some(mine) => mine.extend(new, format)?,
                none => *none = Some(new),
            }
        }
        self.journals.extend(piece.journals.iter().cloned());
        self.pieces.push(shown);
        self.sources.push(part.source);
        self.omitted.extend(part.omitted);
        self.torn_bytes += part.torn_bytes;
        Ok(())
    }
}

fn part(piece: &Piece, job: &ExportJob, timeout: Duration) -> Result<Part, ExportError> {
    let (mut indexes, mut notes) = (Vec::new(), Vec::new());
    for path in &piece.journals {
        let (index, noted) = Notes::with_index(path, piece).map_err(open_error)?;
        indexes.push(index);
        notes.push(noted);
    }
    // Where there is sound alone, no keyframe holds it back.
    let range = match job.format {
        Format::Audio => Range { from_ns: piece.from_ns.unwrap_or(0), to_ns: piece.to_ns.unwrap_or(u64::MAX) },
        Format::Original | Format::Compatible => range(&indexes, piece, job.border),
    };
    let mut ids: Vec<TrackId> = indexes.iter().flat_map(|index| index.select(range)).map(|entry| entry.track).collect();
    ids.sort_unstable();
    ids.dedup();
    let Some(source) = source(&indexes, range) else {
        return Err(ExportError::Refused("there is no journal".into()));
    };
    let torn_bytes = indexes.iter().map(torn).sum();
    let mut part = Part { source, video: None, sound: None, omitted: Vec::new(), torn_bytes };
    let is_exact = job.border == Border::Asked && job.precision == Precision::Exact;
    let mut undecodable = 0;
    for id in ids {
        let mut track = Track::collect(id, &indexes, &notes, range, &piece.journals)?;
        if let Some(from_ns) = piece.from_ns.filter(|_| is_exact) {
            if track.codec.is_video() {
                exact::begin(&mut track, from_ns, &piece.journals, timeout)?;
            } else {
                track.forget(track.samples.partition_point(|sample| sample.pts_ns < from_ns));
            }
        }
        let is_wanted = job.format != Format::Audio || !track.codec.is_video();
        let slot = if track.codec.is_video() { &mut part.video } else { &mut part.sound };
        if track.samples.is_empty() {
            undecodable += track.undecodable;
            part.omitted.push(id.0);
        } else if slot.is_some() || !is_wanted {
            part.omitted.push(id.0);
        } else {
            *slot = Some(track);
        }
    }
    if part.video.is_none() && part.sound.is_none() {
        return Err(ExportError::Refused(match undecodable {
            _ if job.format == Format::Audio => "the range has no sound".into(),
            0 => "the range is empty".into(),
            pictures => format!("none of the {pictures} pictures of the range can be decoded without a keyframe"),
        }));
    }
    Ok(part)
}

fn source(indexes: &[Index], range: Range) -> Option<Source> {
    let gaps = indexes.iter().flat_map(|index| &index.gaps);
    let gaps = gaps.filter(|gap| gap.from_ns < range.to_ns && gap.to_ns > range.from_ns);
    let record =
        |gap: &Gap| Record::Gap { track: gap.track, from_ns: gap.from_ns, to_ns: gap.to_ns, reason: gap.reason };
    Some(Source { header: indexes.first()?.header.clone(), gaps: gaps.map(record).collect() })
}

fn torn(index: &Index) -> u64 {
    match index.tail {
        Tail::Clean => 0,
        Tail::Torn { bytes, .. } => bytes,
    }
}

/// Where the piece really begins and ends, over all of its parts.
fn range(indexes: &[Index], piece: &Piece, border: Border) -> Range {
    let next = |at: u64| indexes.iter().filter_map(|index| index.key_from(at)).min().unwrap_or(at);
    let before = |at: u64| indexes.iter().filter_map(|index| index.key_before(at)).max().unwrap_or(at);
    let (from, to) = (piece.from_ns, piece.to_ns);
    match border {
        Border::Rollover => Range { from_ns: from.map_or(0, next), to_ns: to.map_or(u64::MAX, next) },
        Border::Asked => {
            let exact = Range { from_ns: from.unwrap_or(0), to_ns: to.unwrap_or(u64::MAX) };
            let is_empty = indexes.iter().all(|index| index.select(exact).next().is_none());
            // What is not there begins with no keyframe before it.
            if is_empty { exact } else { Range { from_ns: from.map_or(0, before), ..exact } }
        }
    }
}

pub(super) fn open_error(error: journal::OpenError) -> ExportError {
    match error {
        journal::OpenError::Io { .. } => ExportError::Io(error.to_string()),
        journal::OpenError::Header { .. } => ExportError::Refused(error.to_string()),
    }
}
