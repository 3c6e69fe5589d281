//! One media segment (`moof` and `mdat`): the units of each track, with no moment of it left without picture or sound.
//!
//! A picture is shown until the next one, and the last until the segment ends. Where sound is missing, silence is put in its place: a
//! browser plays what it has one after the other, so that a hole in the sound would put it before its picture for good.

use bytes::Bytes;
use mp4::h264::{self, Sets};
use mp4::{Codec, Format, Kind, SOUND_CLOCK, SOUND_TRACK, Unsuitable, VIDEO_CLOCK, VIDEO_TRACK, opus, ticks};
use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use crate::cut::Segment;

/// Sample flags (ISO/IEC 14496-12 §8.8.3.1): depends on nothing; depends on others and is no sync sample.
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;
/// Most packets of silence in one place: more than any segment lasts.
const MOST_SILENCE: u64 = 1_000;
/// Before the data of `mdat`.
const MDAT_HEAD: usize = 8;

/// One access unit of a segment.
#[derive(Clone, Debug)]
pub struct Sample {
    pub kind: Kind,
    pub key: bool,
    /// Nanoseconds on the broadcast's timeline; increasing per kind.
    pub pts_ns: u64,
    pub dts_ns: u64,
    /// As it was received: H.264 as Annex B, everything else as it stands in a file.
    pub data: Bytes,
}

/// Writes a segment. `number` is its place within the recording's part, from 0. Equal arguments give equal bytes.
///
/// # Errors
/// [`Unsuitable`] when there is no sample of any track of the format, or the segment is too large for its boxes.
pub fn media(format: &Format, segment: &Segment, number: u32, samples: &[Sample]) -> Result<Vec<u8>, Unsuitable> {
    let of = |kind: Kind| samples.iter().filter(move |sample| sample.kind == kind);
    let mut runs = Vec::new();
    if let Some(video) = &format.video {
        runs.extend(pictures(segment, &video.codec, of(Kind::Video)));
    }
    if let Some(sound) = format.sound {
        runs.extend(sounds(segment, sound.channels, of(Kind::Sound)));
    }
    if runs.is_empty() {
        return Err(Unsuitable::Empty);
    }
    let data_bytes: usize = runs.iter().map(|run| run.data.len()).sum();
    let mut out = Vec::with_capacity(data_bytes + 4096);
    // The offsets of the data need the size of the boxes, which does not depend on them.
    moof(&runs, number, 0)?.encode(&mut out)?;
    let boxes = out.len();
    out.clear();
    moof(&runs, number, boxes + MDAT_HEAD)?.encode(&mut out)?;
    let size = u32::try_from(data_bytes + MDAT_HEAD).map_err(|_| too_large())?;
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for run in &runs {
        out.extend_from_slice(&run.data);
    }
    Ok(out)
}

fn too_large() -> Unsuitable {
    Unsuitable::Boxes("the segment is too large".into())
}

/// The samples of one track, one behind the other.
struct Run {
    track: u32,
    /// In ticks of the track's clock.
    begin: u64,
    entries: Vec<TrunEntry>,
    data: Vec<u8>,
}

fn moof(runs: &[Run], number: u32, first_data: usize) -> Result<Moof, Unsuitable> {
    let mut at = first_data;
    let mut fragments = Vec::with_capacity(runs.len());
    for run in runs {
        let offset = i32::try_from(at).map_err(|_| too_large())?;
        at += run.data.len();
        fragments.push(Traf {
            tfhd: Tfhd { track_id: run.track, default_base_is_moof: true, ..Tfhd::default() },
            tfdt: Some(Tfdt { base_media_decode_time: run.begin }),
            trun: vec![Trun { data_offset: Some(offset), samples: run.entries.clone().into() }],
            ..Traf::default()
        });
    }
    Ok(Moof { mfhd: Mfhd { sequence_number: number.saturating_add(1) }, traf: fragments })
}

fn pictures<'a>(segment: &Segment, codec: &Codec, samples: impl Iterator<Item = &'a Sample>) -> Option<Run> {
    let samples: Vec<&Sample> = samples.collect();
    let begin_ns = segment.first_picture_ns(samples.first()?.dts_ns);
    let starts: Vec<u64> = std::iter::once(begin_ns)
        .chain(samples.iter().skip(1).map(|sample| sample.dts_ns))
        .map(|ns| ticks(ns, VIDEO_CLOCK))
        .collect();
    let end = ticks(segment.end_ns, VIDEO_CLOCK);
    let mut run = Run { track: VIDEO_TRACK, begin: starts[0], entries: Vec::new(), data: Vec::new() };
    let reorders = samples.iter().any(|sample| sample.pts_ns != sample.dts_ns);
    for (at, sample) in samples.iter().enumerate() {
        let next = starts.get(at + 1).copied().unwrap_or(end);
        let before = run.data.len();
        match codec {
            Codec::H264 { .. } => h264::write_sample(&sample.data, Sets::InFront, &mut run.data),
            Codec::H264InBand { .. } => h264::write_sample(&sample.data, Sets::InBand, &mut run.data),
            Codec::Vp9(_) | Codec::Av1(_) => run.data.extend_from_slice(&sample.data),
        }
        let cts = ticks(sample.pts_ns, VIDEO_CLOCK) as i64 - ticks(sample.dts_ns, VIDEO_CLOCK) as i64;
        run.entries.push(TrunEntry {
            duration: Some(next.saturating_sub(starts[at]).max(1) as u32),
            size: Some((run.data.len() - before) as u32),
            flags: Some(if sample.key { SYNC } else { NOT_SYNC }),
            cts: reorders.then_some(cts),
        });
    }
    Some(run)
}

/// `None` where a segment without sound has no length either.
fn sounds<'a>(segment: &Segment, channels: u8, samples: impl Iterator<Item = &'a Sample>) -> Option<Run> {
    let (start, end) = (ticks(segment.start_ns, SOUND_CLOCK), ticks(segment.end_ns, SOUND_CLOCK));
    let samples: Vec<(u64, &Sample)> = samples.map(|sample| (ticks(sample.pts_ns, SOUND_CLOCK), sample)).collect();
    let first = samples.first().map_or(end, |(at, _)| *at);
    let silent_before = (first.saturating_sub(start) / opus::SILENCE_SAMPLES).min(MOST_SILENCE);
    let begin = first - silent_before * opus::SILENCE_SAMPLES;
    let mut run = Run { track: SOUND_TRACK, begin, entries: Vec::new(), data: Vec::new() };
    run.silence(channels, silent_before);
    for (index, (at, sample)) in samples.iter().enumerate() {
        let next = samples.get(index + 1).map_or(end, |(next, _)| *next);
        let sounds = opus::samples(&sample.data);
        let silent = (next.saturating_sub(at + sounds) / opus::SILENCE_SAMPLES).min(MOST_SILENCE);
        let is_last = index + 1 == samples.len();
        // The border is where a picture begins; the sound before it goes on as long as it is.
        let lasts = next.saturating_sub(*at).saturating_sub(silent * opus::SILENCE_SAMPLES);
        run.push(&sample.data, if is_last { lasts.max(sounds) } else { lasts.max(1) });
        run.silence(channels, silent);
    }
    (!run.entries.is_empty()).then_some(run)
}

impl Run {
    fn push(&mut self, data: &[u8], duration: u64) {
        self.data.extend_from_slice(data);
        let (size, flags) = (Some(data.len() as u32), Some(SYNC));
        self.entries.push(TrunEntry { duration: Some(duration as u32), size, flags, cts: None });
    }

    fn silence(&mut self, channels: u8, packets: u64) {
        for _ in 0..packets {
            self.push(opus::silence(channels), opus::SILENCE_SAMPLES);
        }
    }
}
