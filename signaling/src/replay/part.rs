//! One journal of a broadcast: followed as it grows, cut into segments, and read again when one is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hls::{Format, Kind, Sample, Segment, Segmenter, Unit};
use journal::{OpenError, Reader, Record, Skimmed, Skimmer, UnitHead};
use media::id::TrackId;
use media::message::{Codec, CodecConfig};

use super::config::{Config, Configs};

/// What is known of a part.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    reading: Option<Reading>,
    /// Wall clock of the broadcast's time 0, microseconds since the Unix epoch.
    pub(super) media_zero_utc_us: u64,
    pub(super) segments: Vec<Segment>,
    /// No more segments will come of it.
    pub(super) done: bool,
    /// Its journal is not there any more.
    pub(super) gone: bool,
}

/// While it may grow.
#[derive(Debug)]
struct Reading {
    skimmer: Skimmer,
    segmenter: Segmenter,
    tracks: BTreeMap<TrackId, CodecConfig>,
    quarters: BTreeMap<TrackId, u8>,
    /// Tracks whose pictures have begun: how they lie is settled for this part.
    begun: BTreeSet<TrackId>,
    /// VP9 whose format the next keyframe tells.
    unknown: BTreeSet<TrackId>,
}

impl Part {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, reading: None, media_zero_utc_us: 0, segments: Vec::new(), done: false, gone: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was written since the last call. `closed`: nothing more will be written.
    ///
    /// # Errors
    /// The medium's. What was read before stays.
    pub(super) fn follow(&mut self, configs: &mut Configs, closed: bool) -> io::Result<()> {
        if self.done {
            return Ok(());
        }
        if self.reading.is_none() {
            match Skimmer::open(&self.path) {
                Ok(skimmer) => {
                    self.media_zero_utc_us = skimmer.header().media_zero_utc_us;
                    self.reading = Some(Reading::new(skimmer));
                }
                Err(OpenError::Io { source, .. }) if source.kind() != io::ErrorKind::NotFound => return Err(source),
                Err(_) => {
                    self.done = true;
                    self.gone = true;
                    return Ok(());
                }
            }
        }
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let ended = reading.go_on(configs)?;
        if ended || closed {
            reading.segmenter.end(reading.skimmer.offset());
            self.done = true;
        }
        self.segments.extend(reading.segmenter.ready());
        if self.done {
            self.segments.shrink_to_fit();
            self.reading = None;
        }
        Ok(())
    }
}

impl Reading {
    fn new(skimmer: Skimmer) -> Self {
        Self {
            skimmer,
            segmenter: Segmenter::default(),
            tracks: BTreeMap::new(),
            quarters: BTreeMap::new(),
            begun: BTreeSet::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// To where the file ends now. True when the part was closed in order.
    fn go_on(&mut self, configs: &mut Configs) -> io::Result<bool> {
        while let Some((offset, next)) = self.skimmer.next_record()? {
            match next {
                Skimmed::Unit(head) => self.unit(offset, head, configs)?,
                Skimmed::Record(Record::Config { track, config }) if self.tracks.get(&track) == Some(&config) => {}
                Skimmed::Record(Record::Config { track, config }) => {
                    self.tracks.insert(track, config);
                    self.tell(track, configs);
                }
                Skimmed::Record(Record::Orientation { track, orientation, .. }) => {
                    // Pictures that lie differently from some of them on are shown as those before, as in the clip.
                    if !self.begun.contains(&track) {
                        self.quarters.insert(track, orientation.quarters());
                        self.tell(track, configs);
                    }
                }
                Skimmed::Record(Record::Cut { at_ns, .. }) => self.segmenter.cut(at_ns),
                Skimmed::Record(Record::End { .. }) => return Ok(true),
                Skimmed::Record(_) => {}
            }
        }
        Ok(false)
    }

    fn tell(&mut self, track: TrackId, configs: &mut Configs) {
        let Some(known) = self.tracks.get(&track) else { return };
        let quarters = self.quarters.get(&track).copied().unwrap_or(0);
        match Config::of(known, quarters) {
            Some(config) => {
                let kind = config.kind();
                self.segmenter.config(track.0, kind, configs.number(config));
            }
            None => drop(self.unknown.insert(track)),
        }
    }

    fn unit(&mut self, offset: u64, head: UnitHead, configs: &mut Configs) -> io::Result<()> {
        let Some(known) = self.tracks.get(&head.track) else { return Ok(()) };
        self.begun.insert(head.track);
        if head.key && known.codec == Codec::Vp9 && self.unknown.remove(&head.track) {
            let quarters = self.quarters.get(&head.track).copied().unwrap_or(0);
            let data = read(&mut reader(self.skimmer.path())?, offset);
            let config = Config::of_vp9(known, quarters, &data.unwrap_or_default());
            self.segmenter.config(head.track.0, Kind::Video, configs.number(config));
        }
        self.segmenter.unit(unit(offset, &head));
        Ok(())
    }
}

fn unit(offset: u64, head: &UnitHead) -> Unit {
    Unit { offset, track: head.track.0, key: head.key, pts_ns: head.pts_ns, bytes: head.size }
}

fn reader(path: &Path) -> io::Result<Reader> {
    Reader::open(path).map_err(|error| match error {
        OpenError::Io { source, .. } => source,
        OpenError::Header { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// `None` where the unit is damaged.
fn read(reader: &mut Reader, offset: u64) -> Option<Bytes> {
    match reader.read_at(offset) {
        Ok(Record::Unit(unit)) => Some(unit.data),
        _ => None,
    }
}

/// Makes the segment with this number of a part. A unit that is damaged is left out.
///
/// # Errors
/// The medium's; [`io::ErrorKind::InvalidData`] when nothing of the segment can be read.
pub(super) fn build(path: &Path, segment: &Segment, number: u32, format: &Format) -> io::Result<Vec<u8>> {
    let mut skimmer = Skimmer::open(path).map_err(|error| match error {
        OpenError::Io { source, .. } => source,
        OpenError::Header { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    let mut reader = reader(path)?;
    skimmer.go_to(segment.from);
    let mut samples: Vec<Sample> = Vec::new();
    let mut newest: [Option<u64>; 2] = [None; 2];
    while let Some((offset, next)) = skimmer.next_record()? {
        if offset >= segment.to {
            break;
        }
        let Skimmed::Unit(head) = next else { continue };
        if !segment.holds(&unit(offset, &head)) {
            continue;
        }
        let kind =
            if segment.video.is_some_and(|(track, _)| track == head.track.0) { Kind::Video } else { Kind::Sound };
        let before = &mut newest[usize::from(kind == Kind::Sound)];
        if before.is_some_and(|before| head.pts_ns <= before) {
            continue;
        }
        let Some(data) = read(&mut reader, offset) else { continue };
        *before = Some(head.pts_ns);
        samples.push(Sample { kind, key: head.key, pts_ns: head.pts_ns, dts_ns: head.dts_ns, data });
    }
    hls::media(format, segment, number, &samples).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
