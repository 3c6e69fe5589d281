//! Reads the finished file back and compares it with the plan: every sample, its time, and the duration that players show.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};

use super::mux::{Muxed, Stamp};
use super::plan::{Plan, Track};
use crate::gst::{Running, running_time};
use crate::job::{Container, ExportError};

/// WebM counts milliseconds. MP4 rounds to 1/90000 s and the offset between the tracks to 0.1 ms.
const TOLERANCE_NS: u64 = 1_000_000;
/// Of the whole duration: rounding of the last sample, and WebM's milliseconds.
const DURATION_TOLERANCE_NS: u64 = 5_000_000;

/// Times of the samples that a demuxer finds, by kind of track (`video/…`, `audio/…`).
type Found = Arc<Mutex<BTreeMap<&'static str, Vec<u64>>>>;

pub(super) fn verify(file: &Path, plan: &Plan, muxed: &Muxed, timeout: Duration) -> Result<(), ExportError> {
    let running = Running::parse(match plan.container {
        Container::Mp4 => "filesrc name=file ! qtdemux name=demux",
        Container::Webm => "filesrc name=file ! matroskademux name=demux",
    })
    .map_err(ExportError::Io)?;
    running.element("file").map_err(ExportError::Io)?.set_property("location", file);
    let demux = running.element("demux").map_err(ExportError::Io)?;
    let found = Found::default();
    let pipeline = running.pipeline.downgrade();
    let samples = Arc::clone(&found);
    demux.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        if let Err(error) = attach(&pipeline, pad, &samples) {
            gst::element_error!(pipeline, gst::CoreError::Failed, ["{error}"]);
        }
    });
    running.play().and_then(|()| running.finish(timeout)).map_err(ExportError::Unfaithful)?;
    let duration = running.pipeline.query_duration::<gst::ClockTime>().map_or(0, gst::ClockTime::nseconds);

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
    let expected = muxed.length_ns();
    if duration.abs_diff(expected) > DURATION_TOLERANCE_NS {
        return Err(ExportError::Unfaithful(format!("it lasts {duration} ns instead of {expected} ns")));
    }
    Ok(())
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

fn attach(pipeline: &gst::Pipeline, pad: &gst::Pad, found: &Found) -> Result<(), &'static str> {
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
                    found.entry(kind).or_default().push(at);
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
