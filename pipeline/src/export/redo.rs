//! Pictures that are decoded and encoded anew, because a file begins between two keyframes.

use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use journal::Reader;
use media::message::Codec;

use super::plan::{Sample, Track};
use crate::gst::Running;
use crate::job::ExportError;

/// Units and pictures that wait for the decoder.
const WAITING_BYTES: u64 = 4 * 1024 * 1024;
/// Two times are one picture's.
const SAME_NS: u64 = 1_000_000;
/// What av1enc puts before each temporal unit.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0x00];
/// Of the new pictures, bits per second.
const LEAST_BITRATE: u64 = 1_000_000;
const MOST_BITRATE: u64 = 40_000_000;

/// A picture as the encoder made it.
pub(super) struct Redone {
    pub pts_ns: u64,
    pub key: bool,
    pub data: bytes::Bytes,
}

/// Decodes `samples`, which begin with a keyframe, and encodes those from `from_ns` on. The first of them becomes a keyframe.
pub(super) fn redo(
    track: &Track,
    samples: &[Sample],
    from_ns: u64,
    journals: &[std::path::PathBuf],
    timeout: Duration,
) -> Result<Vec<Redone>, ExportError> {
    let Some(zero_ns) = samples.first().map(|sample| sample.pts_ns) else { return Ok(Vec::new()) };
    let (caps, decoder) = decoder(track.codec, frame_rate(samples)).map_err(ExportError::Io)?;
    let encoder = encoder(track.codec, bitrate(samples)).map_err(ExportError::Io)?;
    let running = Running::parse(&format!(
        "appsrc name=in format=time block=true max-bytes={WAITING_BYTES} ! {decoder} ! videoconvert ! video/x-raw,format=I420 ! \
         identity name=gate ! {encoder} ! appsink name=out sync=false max-buffers=8"
    ))
    .map_err(ExportError::Io)?;
    let input = running.element("in").map_err(ExportError::Io)?.downcast::<AppSrc>();
    let output = running.element("out").map_err(ExportError::Io)?.downcast::<AppSink>();
    let (Ok(input), Ok(output)) = (input, output) else { return Err(ExportError::Io("no ends".into())) };
    input.set_caps(Some(&caps));
    close_gate_before(&running, from_ns - zero_ns)?;
    running.play().map_err(ExportError::Io)?;
    thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(track, samples, journals, &input));
        let pulled = pull(&running, &output, timeout);
        let _ = running.pipeline.set_state(gst::State::Null); // lets a blocked feeder go
        match feeder.join() {
            Ok(fed) => fed?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        pulled.map_err(|error| ExportError::Refused(format!("its first pictures cannot be made anew: {error}")))
    })
    .map(|mut redone| {
        redone.iter_mut().for_each(|picture| picture.pts_ns += zero_ns);
        redone
    })
}

/// Drops decoded pictures that come before.
fn close_gate_before(running: &Running, from_ns: u64) -> Result<(), ExportError> {
    let gate = running.element("gate").map_err(ExportError::Io)?;
    let pad = gate.static_pad("sink").ok_or_else(|| ExportError::Io("no gate".into()))?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts()).map_or(0, gst::ClockTime::nseconds);
        if pts + SAME_NS <= from_ns { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
    });
    Ok(())
}

fn feed(track: &Track, samples: &[Sample], journals: &[std::path::PathBuf], input: &AppSrc) -> Result<(), ExportError> {
    let zero_ns = samples.first().map_or(0, |sample| sample.pts_ns);
    let mut open: Option<(usize, Reader)> = None;
    for sample in samples {
        let mut buffer = gst::Buffer::from_slice(track.unit(sample, journals, &mut open)?);
        let fresh = buffer.make_mut();
        let at = gst::ClockTime::from_nseconds(sample.pts_ns - zero_ns);
        fresh.set_pts(at);
        fresh.set_dts(at);
        fresh.set_duration(gst::ClockTime::from_nseconds(sample.duration_ns));
        if !sample.key {
            fresh.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        if input.push_buffer(buffer).is_err() {
            return Ok(()); // the pipeline is down; its error is the reason
        }
    }
    let _ = input.end_of_stream();
    Ok(())
}

fn pull(running: &Running, output: &AppSink, timeout: Duration) -> Result<Vec<Redone>, String> {
    let timeout = gst::ClockTime::from_nseconds(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX - 1));
    let mut redone = Vec::new();
    loop {
        let Some(sample) = output.try_pull_sample(timeout) else {
            return match running.error() {
                Some(error) => Err(error),
                None if output.is_eos() => Ok(redone),
                None => Err("the encoder is stuck".into()),
            };
        };
        let pts_ns = crate::gst::running_time(&sample).ok_or("a picture without time")?;
        let buffer = sample.buffer_owned().ok_or("a picture without data")?;
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let map = buffer.into_mapped_buffer_readable().map_err(|_| "a picture without data")?;
        let data = bytes::Bytes::copy_from_slice(map.strip_prefix(&TEMPORAL_DELIMITER).unwrap_or(&map));
        redone.push(Redone { pts_ns, key, data });
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

/// One picture in, one out, nothing reordered and no picture hidden; a profile that whoever decodes the rest decodes as well.
fn encoder(codec: Codec, bitrate: u64) -> Result<String, String> {
    Ok(match codec {
        Codec::Vp8 => format!(
            "vp8enc deadline=1 cpu-used=4 threads=2 lag-in-frames=0 auto-alt-ref=false dropframe-threshold=0 resize-allowed=false \
             end-usage=cq cq-level=14 min-quantizer=4 max-quantizer=40 target-bitrate={bitrate}"
        ),
        Codec::Vp9 => format!(
            "vp9enc deadline=1 cpu-used=7 threads=2 lag-in-frames=0 auto-alt-ref=false dropframe-threshold=0 resize-allowed=false \
             end-usage=cq cq-level=18 min-quantizer=4 max-quantizer=40 target-bitrate={bitrate}"
        ),
        Codec::H264 => format!(
            "{} ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
            crate::gst::h264_encoder(bitrate)?
        ),
        Codec::Av1 => format!(
            "av1enc usage-profile=realtime cpu-used=9 threads=2 lag-in-frames=0 drop-frame=0 end-usage=cbr target-bitrate={} \
             min-quantizer=4 max-quantizer=40",
            bitrate / 1000
        ),
        Codec::Opus => return Err("sound has no picture".into()),
    })
}

fn frame_rate(samples: &[Sample]) -> i32 {
    let length_ns: u64 = samples.iter().map(|sample| sample.duration_ns).sum();
    let fps = (samples.len() as u64 * 1_000_000_000).checked_div(length_ns).unwrap_or(30);
    i32::try_from(fps.clamp(1, 120)).unwrap_or(30)
}

/// Twice that of the original, since a second encoding needs more to look the same.
fn bitrate(samples: &[Sample]) -> u64 {
    let length_ms: u64 = samples.iter().map(|sample| sample.duration_ns).sum::<u64>() / 1_000_000;
    let bits: u64 = samples.iter().map(|sample| u64::from(sample.size) * 8).sum();
    (bits * 2000 / length_ms.max(1)).clamp(LEAST_BITRATE, MOST_BITRATE)
}
