//! Reads the finished file back and compares it with the plan: every sample, its time, and the duration that players show.
//!
//! What a muxer wrote is demuxed whole ([`verify`]). What was copied is hashed while it is written; of that the index is read back, every place, time
//! and size in it compared, samples here and there compared byte for byte with their journals, and a demuxer has to open it ([`verify_copy`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};

use super::copy::{self, Units};
use super::moov::{self, Found, FoundTrack};
use super::mux::{Muxed, Stamp};
use super::places::Place;
use super::plan::{Plan, Track};
use crate::gst::{Running, running_time};
use crate::job::{Container, ExportError};

/// WebM counts milliseconds. MP4 rounds to 1/90000 s and the offset between the tracks to 0.1 ms.
const TOLERANCE_NS: u64 = 1_000_000;
/// Of the whole duration: rounding of the last sample, and WebM's milliseconds.
const DURATION_TOLERANCE_NS: u64 = 5_000_000;

/// Of a track, their bytes compared with those of the journal.
const COMPARED: usize = 64;
/// A file has a picture and a sound.
const TRACKS: usize = 2;
/// Between two looks whether the demuxer failed.
const LOOK: Duration = Duration::from_millis(50);

/// Times of the samples that a demuxer finds, by kind of track (`video/…`, `audio/…`).
type Times = Arc<Mutex<BTreeMap<&'static str, Vec<u64>>>>;

pub(super) fn verify(file: &Path, plan: &Plan, muxed: &Muxed, timeout: Duration) -> Result<(), ExportError> {
    let (begun, _) = sync_channel(0);
    let (running, found) = demuxer(file, plan.container, begun)?;
    running.play().and_then(|()| running.finish(timeout)).map_err(ExportError::Unfaithful)?;
    let duration = duration_ns(&running);

    let found = std::mem::take(&mut *found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    let seen = |track: &&Track| !is_passed_over(track, plan) || found.contains_key(kind_of(track));
    let tracks = plan.tracks().filter(seen).count();
    if found.len() != tracks {
        return Err(ExportError::Unfaithful(format!("{} tracks instead of {tracks}", found.len())));
    }
    for track in plan.tracks().filter(seen) {
        let kind = kind_of(track);
        let expected = if track.codec.is_video() { &muxed.video } else { &muxed.sound };
        compare(kind, found.get(kind).map_or(&[], Vec::as_slice), expected)?;
    }
    lasts(duration, muxed)
}

pub(super) fn verify_copy(file: &Path, plan: &Plan, muxed: &Muxed, timeout: Duration) -> Result<(), ExportError> {
    let open = File::open(file)?;
    let found = moov::read(&open).map_err(|error| ExportError::Unfaithful(error.to_string()))?;
    if found.tracks.len() != plan.tracks().count() {
        let (found, expected) = (found.tracks.len(), plan.tracks().count());
        return Err(ExportError::Unfaithful(format!("{found} tracks instead of {expected}")));
    }
    are_side_by_side(&found)?;
    let mut units = Units::of(plan);
    for (track, found) in plan.tracks().zip(&found.tracks) {
        if track.codec.is_video() != found.is_picture {
            return Err(ExportError::Unfaithful("picture and sound are mixed up".into()));
        }
        let times: Vec<u64> = found.samples.iter().map(|sample| sample.at_ns).collect();
        compare(kind_of(track), &times, if found.is_picture { &muxed.video } else { &muxed.sound })?;
        compare_content(&open, track, found, &mut units)?;
    }
    lasts(found.lasts_ns, muxed)?;
    opens(file, plan, muxed, timeout)
}

/// Each byte of the media belongs to one sample.
fn are_side_by_side(found: &Found) -> Result<(), ExportError> {
    let mut places: Vec<Place> = found.tracks.iter().flat_map(|t| &t.samples).map(|sample| sample.place).collect();
    places.sort_unstable_by_key(|place| (place.offset, place.size));
    let mut at = found.media.start;
    for place in places {
        if place.offset != at {
            return Err(ExportError::Unfaithful(format!("a sample lies at {} instead of {at}", place.offset)));
        }
        at += u64::from(place.size);
    }
    if at != found.media.end {
        return Err(ExportError::Unfaithful(format!("its samples end at {at} instead of {}", found.media.end)));
    }
    Ok(())
}

/// Sizes and keyframes of all, the bytes of some.
fn compare_content(file: &File, track: &Track, found: &FoundTrack, units: &mut Units<'_>) -> Result<(), ExportError> {
    let kind = kind_of(track);
    let wrong = |number: usize, what: &str| Err(ExportError::Unfaithful(format!("{kind} sample {number} {what}")));
    let step = track.samples.len().div_ceil(COMPARED).max(1);
    let (mut expected, mut there) = (Vec::new(), Vec::new());
    for (number, (sample, found)) in track.samples.iter().zip(&found.samples).enumerate() {
        if sample.key != found.key {
            return wrong(number, "is a keyframe here and none there");
        }
        if found.place.size != copy::written(track, sample) {
            return wrong(number, "has another size");
        }
        if number % step == 0 || number + 1 == track.samples.len() {
            expected.clear();
            units.append(track, sample, &mut expected)?;
            there.resize(expected.len(), 0);
            file.read_exact_at(&mut there, found.place.offset)?;
            if there != expected {
                return wrong(number, "has other bytes than its unit");
            }
        }
    }
    Ok(())
}

/// A demuxer that is not ours finds all tracks, their begin and the duration.
fn opens(file: &Path, plan: &Plan, muxed: &Muxed, timeout: Duration) -> Result<(), ExportError> {
    let expected = plan.tracks().filter(|track| !is_passed_over(track, plan)).count();
    let (begun, begins) = sync_channel(TRACKS);
    let (running, found) = demuxer(file, plan.container, begun)?;
    running.play().map_err(ExportError::Unfaithful)?;
    let deadline = Instant::now() + timeout;
    let mut seen = 0;
    while seen < expected {
        match begins.recv_timeout(LOOK) {
            Ok(()) => seen += 1,
            Err(_) => match running.error() {
                Some(error) => return Err(ExportError::Unfaithful(error)),
                None if Instant::now() > deadline => {
                    return Err(ExportError::Unfaithful(format!("a demuxer finds {seen} tracks of {expected}")));
                }
                None => {}
            },
        }
    }
    let duration = duration_ns(&running);
    let found = found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (kind, stamps) in [("video", &muxed.video), ("audio", &muxed.sound)] {
        if let (Some(first), Some(at)) = (stamps.first(), found.get(kind).and_then(|times| times.first())) {
            compare(kind, &[*at], &[*first])?;
        }
    }
    lasts(duration, muxed)
}

fn duration_ns(running: &Running) -> u64 {
    running.pipeline.query_duration::<gst::ClockTime>().map_or(0, gst::ClockTime::nseconds)
}

fn lasts(duration: u64, muxed: &Muxed) -> Result<(), ExportError> {
    let expected = muxed.length_ns();
    if duration.abs_diff(expected) > DURATION_TOLERANCE_NS {
        return Err(ExportError::Unfaithful(format!("it lasts {duration} ns instead of {expected} ns")));
    }
    Ok(())
}

/// A pipeline that notes the times of all samples, and says `begun` for each track once.
fn demuxer(file: &Path, container: Container, begun: SyncSender<()>) -> Result<(Running, Times), ExportError> {
    let running = Running::parse(match container {
        Container::Mp4 => "filesrc name=file ! qtdemux name=demux",
        Container::Webm => "filesrc name=file ! matroskademux name=demux",
    })
    .map_err(ExportError::Io)?;
    running.element("file").map_err(ExportError::Io)?.set_property("location", file);
    let demux = running.element("demux").map_err(ExportError::Io)?;
    let found = Times::default();
    let pipeline = running.pipeline.downgrade();
    let samples = Arc::clone(&found);
    demux.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        if let Err(error) = attach(&pipeline, pad, &samples, begun.clone()) {
            gst::element_error!(pipeline, gst::CoreError::Failed, ["{error}"]);
        }
    });
    Ok((running, found))
}

fn kind_of(track: &Track) -> &'static str {
    if track.codec.is_video() { "video" } else { "audio" }
}

/// qtdemux takes a track of less than a fifth of an MP4 for a preview and leaves it out: sound that was muted but for a moment. Players
/// play it.
fn is_passed_over(track: &Track, plan: &Plan) -> bool {
    let lasts_ns = track.end_ns() - track.samples.first().map_or(0, |sample| sample.at_ns);
    plan.container == Container::Mp4 && lasts_ns < plan.length_ns() / 5
}

fn attach(pipeline: &gst::Pipeline, pad: &gst::Pad, found: &Times, begun: SyncSender<()>) -> Result<(), &'static str> {
    let caps = pad.current_caps().ok_or("a track without format")?;
    let kind = match caps.structure(0).map(gst::StructureRef::name) {
        Some(name) if name.starts_with("video/") => "video",
        Some(name) if name.starts_with("audio/") => "audio",
        _ => return Err("a track that is neither picture nor sound"),
    };
    let found = Arc::clone(found);
    let sink = AppSink::builder()
        .sync(false)
        .async_(false)
        .callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let at = running_time(&sample).ok_or(gst::FlowError::Error)?;
                    let mut found = found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    let times = found.entry(kind).or_default();
                    times.push(at);
                    if times.len() == 1 {
                        let _ = begun.try_send(()); // nobody waits for it
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        )
        .build();
    pipeline.add(&sink).map_err(|_| "no sink")?;
    sink.sync_state_with_parent().map_err(|_| "no sink")?;
    let input = sink.static_pad("sink").ok_or("no sink")?;
    pad.link(&input).map_err(|_| "no link")?;
    Ok(())
}

fn compare(kind: &str, found: &[u64], expected: &[Stamp]) -> Result<(), ExportError> {
    if found.len() != expected.len() {
        let (found, expected) = (found.len(), expected.len());
        return Err(ExportError::Unfaithful(format!("{found} {kind} samples instead of {expected}")));
    }
    for (number, (found, Stamp { at_ns, .. })) in found.iter().zip(expected).enumerate() {
        if found.abs_diff(*at_ns) > TOLERANCE_NS {
            return Err(ExportError::Unfaithful(format!(
                "{kind} sample {number} lies at {found} ns instead of {at_ns} ns"
            )));
        }
    }
    Ok(())
}
