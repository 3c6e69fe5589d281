//! Encoders that answer every buffer with exactly one, at once: no reordering, no look-ahead, no dropped frame.

use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::UpstreamForceKeyUnitEvent;
use media::message::Codec;

use super::{SourceError, TestPattern, sound};
use crate::gst::Running;

/// Longest time one frame may take. An encoder that needs more is stuck.
const ENCODE: Duration = Duration::from_secs(10);
/// Seconds between keyframes that nobody asked for. Long, because a WebRTC source sends them on demand.
const KEYFRAME_SECONDS: u32 = 10;
const SOUND_BITRATE: u32 = 96_000;

/// The OBU that begins each unit of an AV1 encoder (AV1 §5.6); neither packets nor files have it.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];

pub(super) struct Encoder {
    av1: bool,
    description: String,
    caps: gst::Caps,
    running: Running,
    input: AppSrc,
    output: AppSink,
}

pub(super) struct Unit {
    pub data: Bytes,
    pub key: bool,
}

impl Encoder {
    pub(super) fn picture(pattern: &TestPattern) -> Result<Self, SourceError> {
        let TestPattern { width, height, fps, bitrate, .. } = *pattern;
        let keyframes = fps * KEYFRAME_SECONDS;
        let encoder = match pattern.codec {
            Codec::Vp8 => format!(
                "vp8enc deadline=1 cpu-used=8 threads=1 lag-in-frames=0 auto-alt-ref=false dropframe-threshold=0 \
                 resize-allowed=false end-usage=cbr target-bitrate={bitrate} min-quantizer=4 max-quantizer=56 \
                 keyframe-max-dist={keyframes}"
            ),
            Codec::Vp9 => format!(
                "vp9enc deadline=1 cpu-used=8 threads=1 row-mt=false lag-in-frames=0 auto-alt-ref=false dropframe-threshold=0 \
                 resize-allowed=false end-usage=cbr target-bitrate={bitrate} min-quantizer=4 max-quantizer=56 \
                 keyframe-max-dist={keyframes}"
            ),
            Codec::H264 => format!(
                "{} ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
                h264(bitrate, keyframes)?
            ),
            Codec::Av1 => format!(
                "av1enc usage-profile=realtime cpu-used=10 threads=1 row-mt=false lag-in-frames=0 drop-frame=0 end-usage=cbr \
                 target-bitrate={} min-quantizer=10 max-quantizer=56 keyframe-max-dist={keyframes}",
                bitrate.div_ceil(1000)
            ),
            Codec::Opus => return Err(SourceError::Pattern("a picture needs a picture codec".into())),
        };
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", i32::from(width))
            .field("height", i32::from(height))
            .field("framerate", gst::Fraction::new(fps as i32, 1))
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("colorimetry", "bt601")
            .build();
        Self::start(pattern.codec == Codec::Av1, encoder, caps)
    }

    pub(super) fn sound() -> Result<Self, SourceError> {
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "S16LE")
            .field("layout", "interleaved")
            .field("rate", sound::RATE as i32)
            .field("channels", sound::CHANNELS as i32)
            .build();
        Self::start(false, format!("opusenc bitrate={SOUND_BITRATE} frame-size=20"), caps)
    }

    fn start(av1: bool, description: String, caps: gst::Caps) -> Result<Self, SourceError> {
        let whole = format!("appsrc name=in format=time ! {description} ! appsink name=out sync=false");
        let running = Running::parse(&whole).map_err(SourceError::Encoder)?;
        let missing = |_| SourceError::Encoder("the pipeline has no ends".into());
        let input = running.element("in").map_err(SourceError::Encoder)?.downcast::<AppSrc>().map_err(missing)?;
        let output = running.element("out").map_err(SourceError::Encoder)?.downcast::<AppSink>().map_err(missing)?;
        input.set_caps(Some(&caps));
        running.play().map_err(SourceError::Encoder)?;
        Ok(Self { av1, description, caps, running, input, output })
    }

    /// The next picture becomes a keyframe.
    pub(super) fn force_key(&mut self) -> Result<(), SourceError> {
        if self.av1 {
            // av1enc of GStreamer 1.22 does not hear the event; a new one begins with a keyframe.
            *self = Self::start(true, std::mem::take(&mut self.description), self.caps.clone())?;
        } else {
            self.output.send_event(UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
        Ok(())
    }

    /// One raw buffer in, one encoded unit out.
    pub(super) fn encode(&self, raw: Vec<u8>, pts_ns: u64, duration_ns: u64) -> Result<Unit, SourceError> {
        let mut buffer = gst::Buffer::from_slice(raw);
        let fresh = buffer.make_mut();
        fresh.set_pts(gst::ClockTime::from_nseconds(pts_ns));
        fresh.set_duration(gst::ClockTime::from_nseconds(duration_ns));
        let failed = || SourceError::Encoder(self.running.error().unwrap_or_else(|| "the encoder is stuck".into()));
        self.input.push_buffer(buffer).map_err(|_| failed())?;
        let timeout = gst::ClockTime::from_seconds(ENCODE.as_secs());
        let sample = self.output.try_pull_sample(timeout).ok_or_else(failed)?;
        let encoded = sample.buffer_owned().ok_or_else(failed)?;
        let key = !encoded.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let map = encoded.into_mapped_buffer_readable().map_err(|_| failed())?;
        let data = map.strip_prefix(&TEMPORAL_DELIMITER).filter(|_| self.av1).unwrap_or(&map);
        Ok(Unit { data: Bytes::copy_from_slice(data), key })
    }
}

/// Whether this machine has an encoder for H.264.
pub(super) fn has_h264() -> bool {
    crate::gst::init().is_ok() && h264(100_000, 1).is_ok()
}

/// x264, else openh264: one slice per picture, which every packetiser and decoder copes with.
fn h264(bitrate: u32, keyframes: u32) -> Result<String, SourceError> {
    if gst::ElementFactory::find("x264enc").is_some() {
        let kbit = bitrate.div_ceil(1000);
        return Ok(format!(
            "x264enc tune=zerolatency speed-preset=superfast threads=1 sliced-threads=false bframes=0 rc-lookahead=0 \
             aud=false byte-stream=true bitrate={kbit} key-int-max={keyframes} option-string=scenecut=0"
        ));
    }
    if gst::ElementFactory::find("openh264enc").is_some() {
        return Ok(format!(
            "openh264enc rate-control=bitrate bitrate={bitrate} gop-size={keyframes} complexity=low multi-thread=1 \
             slice-mode=n-slices num-slices=1 enable-frame-skip=false scene-change-detection=false"
        ));
    }
    Err(SourceError::Encoder("no H.264 encoder is installed: x264enc or openh264enc".into()))
}
