//! Pictures that are decoded and encoded anew, because a file begins between two keyframes.

use std::path::PathBuf;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use media::message::Codec;

use super::machine::{Machine, bitrate, decoder, frame_rate};
use super::plan::{Sample, Track};
use crate::job::ExportError;

/// Two times are one picture's.
const SAME_NS: u64 = 1_000_000;
/// What av1enc puts before each temporal unit.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0x00];

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
    journals: &[PathBuf],
    timeout: Duration,
) -> Result<Vec<Redone>, ExportError> {
    let Some(zero_ns) = samples.first().map(|sample| sample.pts_ns) else { return Ok(Vec::new()) };
    let (caps, decoder) = decoder(track.codec, frame_rate(samples)).map_err(ExportError::Io)?;
    let encoder = encoder(track.codec, bitrate(samples)).map_err(ExportError::Io)?;
    let description = format!("{decoder} ! videoconvert ! video/x-raw,format=I420 ! identity name=gate ! {encoder}");
    let machine = Machine::new(&description, &caps)?;
    close_gate_before(&machine, from_ns - zero_ns)?;
    let mut redone = Vec::new();
    let units = samples.iter().map(|sample| (sample, sample.pts_ns - zero_ns));
    let made = machine.run(track, units, journals, timeout, |at_ns, sample| {
        let buffer = sample.buffer_owned().ok_or("a picture without data")?;
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let map = buffer.into_mapped_buffer_readable().map_err(|_| "a picture without data")?;
        let data = bytes::Bytes::copy_from_slice(map.strip_prefix(&TEMPORAL_DELIMITER).unwrap_or(&map));
        redone.push(Redone { pts_ns: zero_ns + at_ns, key, data });
        Ok(())
    });
    match made {
        Err(ExportError::Unfaithful(error)) => {
            Err(ExportError::Refused(format!("its first pictures cannot be made anew: {error}")))
        }
        made => made.map(|()| redone),
    }
}

/// Drops decoded pictures that come before.
fn close_gate_before(machine: &Machine, from_ns: u64) -> Result<(), ExportError> {
    let gate = machine.running.element("gate").map_err(ExportError::Io)?;
    let pad = gate.static_pad("sink").ok_or_else(|| ExportError::Io("no gate".into()))?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts()).map_or(0, gst::ClockTime::nseconds);
        if pts + SAME_NS <= from_ns { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
    });
    Ok(())
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
