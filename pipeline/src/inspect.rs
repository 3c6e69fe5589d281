//! Reads a finished clip back, for tests: decodes everything and tells which numbered pictures it shows, when, and how far the
//! sound is from them. For clips of the test pattern ([`crate::source`]); numbers and beeps are found in nothing else.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::prelude::*;
use gstreamer_video::{VideoFrameRef, VideoInfo};

use crate::gst::{Running, running_time};
use crate::number;

const DECODE: Duration = Duration::from_secs(300);
/// Of full scale: louder is a beep.
const LOUD: i16 = 3_000;
/// Silence before a beep; what begins louder was cut off and has no onset.
const SILENCE_NS: u64 = 200_000_000;
/// Between two packets; more is a pause that could pass for silence, after which silence is waited for anew. Where two pieces meet it is less.
const PAUSE_NS: u64 = SILENCE_NS / 2;

/// A decoded clip. Times are nanoseconds since the start of its playback.
#[derive(Clone, Debug, Default)]
pub struct Clip {
    /// What players show as the length.
    pub duration_ns: u64,
    pub pictures: Vec<Picture>,
    pub sounds: Vec<Sound>,
    /// Where beeps begin.
    pub beeps_ns: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    pub pts_ns: u64,
    /// `None`: it cannot be read.
    pub number: Option<u32>,
    /// Pixels.
    pub width: u32,
    pub height: u32,
}

/// One decoded packet of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    pub pts_ns: u64,
    pub duration_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InspectError(String);

impl Clip {
    /// The numbers in order of display; fails on the first picture without one.
    ///
    /// # Errors
    /// Names the picture.
    pub fn numbers(&self) -> Result<Vec<u32>, InspectError> {
        let unreadable = |at: usize, picture: &Picture| {
            InspectError(format!("picture {at} at {} ms has no readable number", picture.pts_ns / 1_000_000))
        };
        self.pictures.iter().enumerate().map(|(at, p)| p.number.ok_or_else(|| unreadable(at, p))).collect()
    }

    /// How much later the sound is than the picture, in nanoseconds: the median over all beeps whose picture is in the
    /// clip. `None` when there is no such pair. A beep belongs to the picture whose number is a multiple of `fps`.
    #[must_use]
    pub fn sound_offset_ns(&self, fps: u32) -> Option<i64> {
        let moments: Vec<i64> = self
            .pictures
            .iter()
            .filter(|picture| picture.number.is_some_and(|number| number % fps == 0))
            .map(|picture| picture.pts_ns as i64)
            .collect();
        let mut offsets: Vec<i64> = self
            .beeps_ns
            .iter()
            .filter_map(|beep| moments.iter().map(|at| *beep as i64 - at).min_by_key(|offset| offset.abs()))
            .filter(|offset| offset.abs() < 400_000_000)
            .collect();
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).copied()
    }
}

/// Decodes a whole file. Blocking; about twenty times faster than it plays.
///
/// # Errors
/// When it is missing, damaged, or cannot be decoded to its end.
pub fn clip(file: &Path) -> Result<Clip, InspectError> {
    decode(file).map_err(|error| InspectError(format!("{}: {error}", file.display())))
}

fn decode(file: &Path) -> Result<Clip, String> {
    crate::gst::init()?;
    let running = Running::parse("filesrc name=file ! decodebin name=decode")?;
    running.element("file")?.set_property("location", file);
    let found = Arc::new(Mutex::new(Clip::default()));
    let (pipeline, clip) = (running.pipeline.downgrade(), Arc::clone(&found));
    running.element("decode")?.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        if let Err(error) = attach(&pipeline, pad, &clip) {
            gst::element_error!(pipeline, gst::CoreError::Failed, ["{error}"]);
        }
    });
    running.play()?;
    running.finish(DECODE)?;
    let duration = running.pipeline.query_duration::<gst::ClockTime>().ok_or("it has no duration")?;
    let mut clip = std::mem::take(&mut *found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    clip.duration_ns = duration.nseconds();
    Ok(clip)
}

fn attach(pipeline: &gst::Pipeline, pad: &gst::Pad, clip: &Arc<Mutex<Clip>>) -> Result<(), String> {
    let caps = pad.current_caps().ok_or("a track without format")?;
    let is_video = caps.structure(0).is_some_and(|format| format.name().starts_with("video/"));
    let (convert, caps) = if is_video {
        ("videoconvert", gst::Caps::builder("video/x-raw").field("format", "I420").build())
    } else {
        let caps = gst::Caps::builder("audio/x-raw").field("format", "S16LE").field("channels", 1).build();
        ("audioconvert", caps)
    };
    let clip = Arc::clone(clip);
    let mut beeps = Beeps::default();
    let sink = AppSink::builder()
        .caps(&caps)
        .sync(false)
        .async_(false)
        .callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let mut clip = clip.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    let seen =
                        if is_video { picture(&sample, &mut clip) } else { sound(&sample, &mut clip, &mut beeps) };
                    seen.ok_or(gst::FlowError::Error).map(|()| gst::FlowSuccess::Ok)
                })
                .build(),
        )
        .build();
    let convert = gst::ElementFactory::make(convert).build().map_err(|error| error.to_string())?;
    let link = || -> Option<()> {
        pipeline.add_many([&convert, sink.upcast_ref()]).ok()?;
        convert.link(&sink).ok()?;
        sink.sync_state_with_parent().ok()?;
        convert.sync_state_with_parent().ok()?;
        pad.link(&convert.static_pad("sink")?).ok()?;
        Some(())
    };
    link().ok_or_else(|| "a track cannot be decoded".into())
}

fn picture(sample: &gst::Sample, clip: &mut Clip) -> Option<()> {
    let pts_ns = running_time(sample)?;
    let info = VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let stride = usize::try_from(frame.plane_stride()[0]).ok()?;
    let (width, height) = (frame.width(), frame.height());
    let number = number::read(frame.plane_data(0).ok()?, stride, width as usize, height as usize);
    clip.pictures.push(Picture { pts_ns, number, width, height });
    Some(())
}

#[derive(Default)]
struct Beeps {
    /// Time of the last loud sample; 0 before the first, so that a clip must begin with silence as well.
    loud_until_ns: u64,
    /// Where the sound so far ends.
    end_ns: u64,
}

fn sound(sample: &gst::Sample, clip: &mut Clip, beeps: &mut Beeps) -> Option<()> {
    let pts_ns = running_time(sample)?;
    let rate = u64::try_from(sample.caps()?.structure(0)?.get::<i32>("rate").ok()?).ok()?;
    let map = sample.buffer()?.map_readable().ok()?;
    if pts_ns > beeps.end_ns + PAUSE_NS {
        // it may go on in the middle of a beep, and a decoder begins with what it heard before
        beeps.loud_until_ns = beeps.loud_until_ns.max(pts_ns);
    }
    let mut count = 0;
    for bytes in map.chunks_exact(2) {
        let at = pts_ns + count * 1_000_000_000 / rate;
        if i16::from_le_bytes([bytes[0], bytes[1]]).saturating_abs() > LOUD {
            if at > beeps.loud_until_ns + SILENCE_NS {
                clip.beeps_ns.push(at);
            }
            beeps.loud_until_ns = at;
        }
        count += 1;
    }
    let duration_ns = count * 1_000_000_000 / rate;
    beeps.end_ns = pts_ns + duration_ns;
    clip.sounds.push(Sound { pts_ns, duration_ns });
    Some(())
}
