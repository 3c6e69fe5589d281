//! Units go in, what is made of them comes out: a decoder and an encoder, fed by one thread and emptied by another.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use media::message::Codec;

use super::plan::{Sample, Track};
use crate::gst::Running;
use crate::job::ExportError;

/// Units that wait for the decoder.
const WAITING_BYTES: u64 = 4 * 1024 * 1024;
/// Of new pictures, bits per second.
const LEAST_BITRATE: u64 = 1_000_000;
const MOST_BITRATE: u64 = 40_000_000;

pub(super) struct Machine {
    pub running: Running,
    input: AppSrc,
    output: AppSink,
}

impl Machine {
    /// What lies between its ends, and the format of the units.
    pub(super) fn new(description: &str, caps: &gst::Caps) -> Result<Self, ExportError> {
        let whole = format!(
            "appsrc name=in format=time block=true max-bytes={WAITING_BYTES} ! {description} ! appsink name=out sync=false max-buffers=8"
        );
        let running = Running::parse(&whole).map_err(ExportError::Io)?;
        let input = running.element("in").map_err(ExportError::Io)?.downcast::<AppSrc>();
        let output = running.element("out").map_err(ExportError::Io)?.downcast::<AppSink>();
        let (Ok(input), Ok(output)) = (input, output) else { return Err(ExportError::Io("no ends".into())) };
        input.set_caps(Some(caps));
        Ok(Self { running, input, output })
    }

    /// Takes these units, each at its time, and gives what was made and when. `timeout` bounds the wait for each.
    ///
    /// What cannot be decoded or encoded is [`ExportError::Unfaithful`].
    pub(super) fn run<'a>(
        &self,
        track: &Track,
        units: impl Iterator<Item = (&'a Sample, u64)> + Send,
        journals: &[PathBuf],
        timeout: Duration,
        each: impl FnMut(u64, &gst::Sample) -> Result<(), String>,
    ) -> Result<(), ExportError> {
        self.running.play().map_err(ExportError::Io)?;
        thread::scope(|scope| {
            let feeder = scope.spawn(|| self.feed(track, units, journals));
            let pulled = self.pull(timeout, each);
            let _ = self.running.pipeline.set_state(gst::State::Null); // lets a blocked feeder go
            match feeder.join() {
                Ok(fed) => fed?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
            pulled.map_err(ExportError::Unfaithful)
        })
    }

    fn feed<'a>(
        &self,
        track: &Track,
        units: impl Iterator<Item = (&'a Sample, u64)>,
        journals: &[PathBuf],
    ) -> Result<(), ExportError> {
        let mut open = None;
        let fed = units.into_iter().try_for_each(|(sample, at_ns)| {
            let mut buffer = gst::Buffer::from_slice(track.unit(sample, journals, &mut open)?);
            let fresh = buffer.make_mut();
            let at = gst::ClockTime::from_nseconds(at_ns);
            fresh.set_pts(at);
            fresh.set_dts(at);
            fresh.set_duration(gst::ClockTime::from_nseconds(sample.duration_ns));
            if !sample.key {
                fresh.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            // refused when the pipeline is down; its error is the reason
            self.input.push_buffer(buffer).map(drop).map_err(|_| ExportError::Stopped)
        });
        let _ = self.input.end_of_stream();
        match fed {
            Err(ExportError::Stopped) | Ok(()) => Ok(()),
            failed => failed,
        }
    }

    fn pull(
        &self,
        timeout: Duration,
        mut each: impl FnMut(u64, &gst::Sample) -> Result<(), String>,
    ) -> Result<(), String> {
        let timeout = gst::ClockTime::from_nseconds(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX - 1));
        loop {
            let Some(sample) = self.output.try_pull_sample(timeout) else {
                return match self.running.error() {
                    Some(error) => Err(error),
                    None if self.output.is_eos() => Ok(()),
                    None => Err("the encoder is stuck".into()),
                };
            };
            each(crate::gst::running_time(&sample).ok_or("a unit without time")?, &sample)?;
        }
    }
}

/// Of a picture codec, as it lies in a journal: its format and who decodes it.
pub(super) fn decoder(codec: Codec, fps: i32) -> Result<(gst::Caps, &'static str), String> {
    let caps = |name: &str| gst::Caps::builder(name).field("framerate", gst::Fraction::new(fps, 1));
    Ok(match codec {
        Codec::Vp8 => (caps("video/x-vp8").build(), "vp8dec"),
        Codec::Vp9 => (caps("video/x-vp9").build(), "vp9dec"),
        Codec::H264 => (
            caps("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au").build(),
            crate::gst::h264_decoder()?,
        ),
        Codec::Av1 => {
            (caps("video/x-av1").field("stream-format", "obu-stream").field("alignment", "tu").build(), "av1dec")
        }
        Codec::Opus => return Err("sound has no picture".into()),
    })
}

/// Pictures a second, about.
pub(super) fn frame_rate(samples: &[Sample]) -> i32 {
    let length_ns: u64 = samples.iter().map(|sample| sample.duration_ns).sum();
    let fps = (samples.len() as u64 * 1_000_000_000).checked_div(length_ns).unwrap_or(30);
    i32::try_from(fps.clamp(1, 120)).unwrap_or(30)
}

/// Twice that of the original, since a second encoding needs more to look the same.
pub(super) fn bitrate(samples: &[Sample]) -> u64 {
    let length_ms: u64 = samples.iter().map(|sample| sample.duration_ns).sum::<u64>() / 1_000_000;
    let bits: u64 = samples.iter().map(|sample| u64::from(sample.size) * 8).sum();
    (bits * 2000 / length_ms.max(1)).clamp(LEAST_BITRATE, MOST_BITRATE)
}
