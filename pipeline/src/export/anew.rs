//! Pictures and sound in the codecs that everything plays: H.264 and AAC.

use std::time::Duration;

use gstreamer as gst;
use gstreamer_app::AppSrc;
use media::message::Codec;

use super::machine::{Machine, bitrate, decoder, frame_rate};
use super::mux::{Stamp, opus_caps};
use super::plan::{Plan, Stretch, Track};
use crate::job::ExportError;

/// Of sound, bits per second.
const SOUND_BITRATE: u32 = 160_000;
/// What the encoder puts before the first sample it was given: one frame of 1024 samples at 48 kHz.
const PRIMING_NS: u64 = 1024 * 1_000_000_000 / 48_000;

/// Said by who feeds a muxer that failed; the muxer says why.
pub(super) const MUXER_IS_DOWN: &str = "the muxer takes no more";

/// Decodes all pictures and pushes them as H.264 of one size, one for each that could be decoded.
pub(super) fn pictures(plan: &Plan, track: &Track, to: &AppSrc, timeout: Duration) -> Result<Vec<Stamp>, ExportError> {
    let mut stamps = Vec::with_capacity(track.samples.len());
    // How long a picture is shown is known when the next one is there. The decoder guesses, and the muxer believes it of the last.
    let mut held: Option<(u64, gst::Sample)> = None;
    for (at, stretch) in track.stretches.iter().enumerate() {
        let end = track.stretches.get(at + 1).map_or(track.samples.len(), |next| next.from);
        let samples = &track.samples[stretch.from..end];
        let Some(zero_ns) = samples.first().map(|sample| sample.at_ns) else { continue };
        let (caps, decoder) = decoder(stretch.codec, frame_rate(samples)).map_err(ExportError::Io)?;
        let machine = Machine::new(&format!("{decoder} ! {}", to_h264(track, stretch)?), &caps)?;
        let units = samples.iter().map(|sample| (sample, sample.at_ns - zero_ns));
        machine.run(track, units, &plan.journals, timeout, |at_ns, sample| {
            let at_ns = zero_ns + at_ns;
            match held.replace((at_ns, sample.clone())) {
                Some((from_ns, before)) => push(to, from_ns, Some(at_ns - from_ns), &before, &mut stamps),
                None => Ok(()),
            }
        })?;
    }
    if let (Some((from_ns, last)), Some(sample)) = (held, track.samples.last()) {
        let lasts_ns = (sample.at_ns + sample.duration_ns).saturating_sub(from_ns).max(1);
        push(to, from_ns, Some(lasts_ns), &last, &mut stamps).map_err(ExportError::Unfaithful)?;
    }
    Ok(stamps)
}

/// One size, shape and colour for all stretches, so that they share one configuration.
fn to_h264(track: &Track, stretch: &Stretch) -> Result<String, ExportError> {
    let turn = crate::gst::upright(stretch.orientation);
    let (width, height) = track.canvas();
    let encoder = crate::gst::h264_encoder(bitrate(&track.samples)).map_err(ExportError::Io)?;
    Ok(format!(
        "videoconvert ! {turn} ! videoscale add-borders=true ! videoconvert ! \
         video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1,colorimetry=bt709 ! {encoder} ! \
         video/x-h264,profile=main ! h264parse ! video/x-h264,stream-format=avc,alignment=au"
    ))
}

/// Decodes all sound and pushes it as AAC; where there is none, silence.
pub(super) fn sound(plan: &Plan, track: &Track, to: &AppSrc, timeout: Duration) -> Result<Vec<Stamp>, ExportError> {
    let Some(zero_ns) = track.samples.first().map(|sample| sample.at_ns) else { return Ok(Vec::new()) };
    let encoder = crate::gst::aac_encoder(SOUND_BITRATE).map_err(ExportError::Io)?;
    let description = format!(
        "opusdec ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2 ! audiorate ! audioconvert ! {encoder}"
    );
    let machine = Machine::new(&description, &opus_caps(track.channels))?;
    let mut stamps = Vec::new();
    let units = track.samples.iter().map(|sample| (sample, sample.at_ns - zero_ns));
    machine.run(track, units, &plan.journals, timeout, |at_ns, sample| {
        // The decoder gives back what came a frame before, so each frame is put where its sound belongs.
        match at_ns.checked_sub(PRIMING_NS) {
            Some(at_ns) => push(to, zero_ns + at_ns, None, sample, &mut stamps),
            None => Ok(()),
        }
    })?;
    Ok(stamps)
}

/// Without `lasts_ns` a sample lasts as long as its encoder says.
fn push(
    to: &AppSrc,
    at_ns: u64,
    lasts_ns: Option<u64>,
    sample: &gst::Sample,
    stamps: &mut Vec<Stamp>,
) -> Result<(), String> {
    if stamps.is_empty() {
        to.set_caps(sample.caps_owned().as_ref());
    }
    let mut buffer = sample.buffer_owned().ok_or("a unit without data")?;
    let fresh = buffer.make_mut();
    let at = gst::ClockTime::from_nseconds(at_ns);
    fresh.set_pts(at);
    fresh.set_dts(at);
    let duration_ns = lasts_ns.unwrap_or_else(|| fresh.duration().map_or(0, gst::ClockTime::nseconds));
    fresh.set_duration(gst::ClockTime::from_nseconds(duration_ns));
    stamps.push(Stamp { at_ns, duration_ns });
    to.push_buffer(buffer).map(drop).map_err(|_| MUXER_IS_DOWN.into())
}

/// Whether the picture is copied: when it is H.264 under one configuration.
pub(super) fn is_copied(track: &Track) -> bool {
    let orientation = track.orientation.quarters();
    track.parameter_sets.is_single()
        && track.stretches.iter().all(|s| s.codec == Codec::H264 && s.orientation.quarters() == orientation)
}
