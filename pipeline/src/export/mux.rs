//! The muxing pipeline, for what is no copy and for WebM: one thread per track reads its units and pushes them, the muxer takes what it needs next.
//!
//! A thread per track, because a muxer waits for all its tracks: one thread that pushed in journal order would fill the
//! queue of one track while the muxer waits for the other.

use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use journal::Reader;
use media::message::Codec;
use mp4::h264::{self, Sets};

use super::anew;
use super::plan::{Plan, Track};
use crate::gst::Running;
use crate::job::{Container, ExportError, ExportJob};

/// Units of one track that wait for the muxer.
const WAITING_BYTES: u64 = 8 * 1024 * 1024;
/// Pictures count like RTP does. A guess from the frame rate would round times.
const VIDEO_TIMESCALE: u32 = 90_000;
const SOUND_TIMESCALE: u32 = 48_000;
/// Of edit lists, which hold the offset between the tracks: 0.1 ms.
const MOVIE_TIMESCALE: u32 = 10_000;
/// mp4mux takes no smaller picture.
const SMALLEST_PICTURE: u16 = 16;

/// When a sample is shown in the file, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub at_ns: u64,
    pub duration_ns: u64,
}

/// What was put into the file.
#[derive(Debug, Default)]
pub(super) struct Muxed {
    pub video: Vec<Stamp>,
    pub sound: Vec<Stamp>,
}

impl Muxed {
    /// Of a file whose units are all copied.
    pub(super) fn copied(plan: &Plan) -> Self {
        let of = |track: &Option<Track>| track.as_ref().map(stamps).unwrap_or_default();
        Self { video: of(&plan.video), sound: of(&plan.sound) }
    }

    /// Of the file.
    pub(super) fn length_ns(&self) -> u64 {
        let ends = [self.video.last(), self.sound.last()].into_iter().flatten();
        ends.map(|stamp| stamp.at_ns + stamp.duration_ns).max().unwrap_or(0)
    }
}

pub(super) fn mux(plan: &Plan, job: &ExportJob, timeout: Duration) -> Result<Muxed, ExportError> {
    let running = Running::parse(match plan.container {
        Container::Mp4 => "mp4mux name=mux faststart=true ! filesink name=file",
        Container::Webm => "webmmux name=mux ! filesink name=file",
    })
    .map_err(ExportError::Io)?;
    let mux = running.element("mux").map_err(ExportError::Io)?;
    running.element("file").map_err(ExportError::Io)?.set_property("location", path(&job.temporary(plan.container))?);
    match plan.container {
        Container::Mp4 => {
            mux.set_property("faststart-file", path(&job.faststart())?);
            mux.set_property("movie-timescale", MOVIE_TIMESCALE);
        }
        Container::Webm => mux.set_property("writing-app", "Oxbow"),
    }
    let mut inputs = Vec::new();
    for track in plan.tracks() {
        let caps = if plan.is_anew(track) { None } else { Some(caps(track)?) };
        inputs.push((track, input(&running, &mux, plan.container, track, caps.as_ref())?));
    }
    thread::scope(|scope| {
        let feeders: Vec<_> = inputs
            .iter()
            .map(|(track, source)| {
                scope.spawn(move || {
                    let fed = match plan.is_anew(track) {
                        false => feed(plan, track, source),
                        true if track.codec.is_video() => anew::pictures(plan, track, source, timeout),
                        true => anew::sound(plan, track, source, timeout),
                    };
                    let _ = source.end_of_stream(); // refused only when the pipeline is already down
                    fed
                })
            })
            .collect();
        let finished = running.play().and_then(|()| running.finish(timeout));
        let _ = running.pipeline.set_state(gst::State::Null); // lets blocked feeders go
        let mut muxed = Muxed::default();
        let mut failed = None;
        for ((track, _), feeder) in inputs.iter().zip(feeders) {
            match feeder.join() {
                Ok(Ok(stamps)) if track.codec.is_video() => muxed.video = stamps,
                Ok(Ok(stamps)) => muxed.sound = stamps,
                Ok(Err(error)) => failed = Some(error),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        match failed {
            Some(error) if error != ExportError::Unfaithful(anew::MUXER_IS_DOWN.into()) => Err(error),
            _ => finished.map(|()| muxed).map_err(ExportError::Io),
        }
    })
}

fn path(path: &std::path::Path) -> Result<&str, ExportError> {
    path.to_str().ok_or_else(|| ExportError::Refused("the folder's name is not UTF-8".into()))
}

/// Without `caps` the format is told before the first sample.
fn input(
    running: &Running,
    mux: &gst::Element,
    container: Container,
    track: &Track,
    caps: Option<&gst::Caps>,
) -> Result<AppSrc, ExportError> {
    let source = AppSrc::builder().format(gst::Format::Time).block(true).max_bytes(WAITING_BYTES).build();
    source.set_caps(caps);
    let (pad, timescale) =
        if track.codec.is_video() { ("video_%u", VIDEO_TIMESCALE) } else { ("audio_%u", SOUND_TIMESCALE) };
    let link = || -> Option<()> {
        running.pipeline.add(&source).ok()?;
        let sink = mux.request_pad_simple(pad)?;
        if container == Container::Mp4 {
            sink.set_property("trak-timescale", timescale);
        }
        source.static_pad("src")?.link(&sink).ok()?;
        Some(())
    };
    link().ok_or_else(|| ExportError::Refused(format!("the muxer takes no {:?}", track.codec)))?;
    Ok(source)
}

fn caps(track: &Track) -> Result<gst::Caps, ExportError> {
    if track.codec.is_video() && track.width.min(track.height) < SMALLEST_PICTURE {
        return Err(ExportError::Refused(format!("a picture of {}x{}", track.width, track.height)));
    }
    let (width, height) = (i32::from(track.width), i32::from(track.height));
    Ok(match track.codec {
        // webmmux wants a frame rate; 0/1 says that it varies.
        Codec::Vp8 => gst::Caps::builder("video/x-vp8")
            .field("width", width)
            .field("height", height)
            .field("framerate", gst::Fraction::new(0, 1))
            .build(),
        // Copied where there is one configuration.
        Codec::H264 => gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("alignment", "au")
            .field("width", width)
            .field("height", height)
            .field("codec_data", gst::Buffer::from_slice(decoder_configuration(track)?))
            .build(),
        Codec::Vp9 | Codec::Av1 => {
            return Err(ExportError::Refused(format!("the muxer is given no {:?}", track.codec)));
        }
        Codec::Opus => opus_caps(track.channels),
    })
}

fn decoder_configuration(track: &Track) -> Result<Vec<u8>, ExportError> {
    track.parameter_sets.record().map_err(|error| ExportError::Refused(error.to_string()))
}

pub(super) fn opus_caps(channels: u8) -> gst::Caps {
    let channels = channels.clamp(1, 2);
    let head = gst::Buffer::from_slice(opus_head(channels));
    gst::Caps::builder("audio/x-opus")
        .field("rate", 48_000)
        .field("channels", i32::from(channels))
        .field("channel-mapping-family", 0)
        .field("stream-count", 1)
        .field("coupled-count", i32::from(channels) - 1)
        .field("streamheader", gst::Array::new([head, gst::Buffer::from_slice(opus_tags())]))
        .build()
}

/// RFC 7845 §5.1. The pre-skip is 0: nothing is skipped in the middle of a live, and Chromium does not play WebM with one.
fn opus_head(channels: u8) -> Vec<u8> {
    let mut head = b"OpusHead".to_vec();
    head.extend_from_slice(&[1, channels, 0, 0]);
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    head
}

/// RFC 7845 §5.2.
fn opus_tags() -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&5_u32.to_le_bytes());
    tags.extend_from_slice(b"Oxbow");
    tags.extend_from_slice(&0_u32.to_le_bytes());
    tags
}

fn feed(plan: &Plan, track: &Track, source: &AppSrc) -> Result<Vec<Stamp>, ExportError> {
    let mut open: Option<(usize, Reader)> = None;
    for sample in &track.samples {
        let unit = track.unit(sample, &plan.journals, &mut open)?;
        let mut buffer = match track.codec {
            Codec::H264 => {
                let mut data = Vec::with_capacity(sample.written.in_front as usize);
                h264::write_sample(&unit, Sets::InFront, &mut data);
                gst::Buffer::from_slice(data)
            }
            _ => gst::Buffer::from_slice(unit),
        };
        if let Some(buffer) = buffer.get_mut() {
            let at = gst::ClockTime::from_nseconds(sample.at_ns);
            buffer.set_pts(at);
            buffer.set_dts(at); // nothing here reorders
            // With a duration webmmux writes a picture as a BlockGroup without ReferenceBlock, which calls it a keyframe, and
            // players then start decoding there. Without one it writes a SimpleBlock, which says what it is.
            if track.codec != Codec::Vp8 {
                buffer.set_duration(gst::ClockTime::from_nseconds(sample.duration_ns));
            }
            if !sample.key {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        if source.push_buffer(buffer).is_err() {
            break; // the pipeline is down; its error is the reason
        }
    }
    Ok(stamps(track))
}

/// As the plan has them.
fn stamps(track: &Track) -> Vec<Stamp> {
    track.samples.iter().map(|sample| Stamp { at_ns: sample.at_ns, duration_ns: sample.duration_ns }).collect()
}
