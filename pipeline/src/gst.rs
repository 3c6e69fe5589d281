//! What every pipeline here needs: initialisation, and a guard that sets it to Null on every path.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

/// Longest time that [`push_one`] waits.
const ONE: Duration = Duration::from_secs(10);

pub(crate) fn init() -> Result<(), String> {
    gst::init().map_err(|error| format!("GStreamer: {error}"))
}

/// Category under which libav's elements log.
const LIBAV: &str = "libav";

/// How often libav's decoders complained since the first call. They conceal what is damaged in a picture and say so nowhere but in their log; one
/// with a single thread does so while it is given the picture.
pub(crate) fn complaints() -> u64 {
    static HEARD: AtomicU64 = AtomicU64::new(0);
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        if gst::log::get_default_threshold() == gst::DebugLevel::None {
            // which would write them to standard error
            gst::log::remove_default_log_function();
        }
        gst::log::set_threshold_for_name(LIBAV, gst::DebugLevel::Error);
        gst::log::add_log_function(|category, level, _, _, _, _, _| {
            if level == gst::DebugLevel::Error && category.name() == LIBAV {
                HEARD.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    HEARD.load(Ordering::Relaxed)
}

/// libav's, else openh264's.
pub(crate) fn h264_decoder() -> Result<&'static str, String> {
    let there = |name: &&str| gst::ElementFactory::find(name).is_some();
    ["avdec_h264", "openh264dec"].into_iter().find(there).ok_or_else(|| "no H.264 decoder is installed".into())
}

/// x264, else openh264: one slice per picture in order, at most `bitrate` bits per second.
pub(crate) fn h264_encoder(bitrate: u64) -> Result<String, String> {
    if gst::ElementFactory::find("x264enc").is_some() {
        let kbit = bitrate.div_ceil(1000);
        return Ok(format!(
            "x264enc tune=zerolatency speed-preset=veryfast threads=2 sliced-threads=false bframes=0 aud=false byte-stream=true pass=qual \
             quantizer=19 bitrate={kbit} vbv-buf-capacity=1000 key-int-max=120"
        ));
    }
    if gst::ElementFactory::find("openh264enc").is_some() {
        return Ok(format!(
            "openh264enc rate-control=bitrate bitrate={bitrate} complexity=medium multi-thread=1 slice-mode=n-slices num-slices=1 \
             enable-frame-skip=false"
        ));
    }
    Err("no H.264 encoder is installed: x264enc or openh264enc".into())
}

/// libav's: the others here have other delays.
pub(crate) fn aac_encoder(bitrate: u32) -> Result<String, String> {
    match gst::ElementFactory::find("avenc_aac") {
        Some(_) => Ok(format!("avenc_aac bitrate={bitrate}")),
        None => Err("no AAC encoder is installed: avenc_aac".into()),
    }
}

/// What turns pictures so that they stand upright. (Its older property `method` is not heard.)
pub(crate) fn upright(orientation: media::message::Orientation) -> &'static str {
    match orientation.quarters() {
        0 => "identity",
        1 => "videoflip video-direction=90r",
        2 => "videoflip video-direction=180",
        _ => "videoflip video-direction=90l",
    }
}

/// Where a sample lies in the playback of its stream, edit lists applied.
pub(crate) fn running_time(sample: &gst::Sample) -> Option<u64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(sample.buffer()?.pts()?).map(gst::ClockTime::nseconds)
}

/// A pipeline that is set to Null when it goes: one that is dropped in any other state takes the process down later.
pub(crate) struct Running {
    pub pipeline: gst::Pipeline,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Running {
    /// Builds from a description in `gst-launch` syntax. Paths and other foreign text are set as properties afterwards, never
    /// written into it.
    pub(crate) fn parse(description: &str) -> Result<Self, String> {
        let element = gst::parse::launch(description).map_err(|error| format!("no pipeline: {error}"))?;
        match element.downcast::<gst::Pipeline>() {
            Ok(pipeline) => Ok(Self { pipeline }),
            Err(_) => Err("no pipeline: a single element".into()),
        }
    }

    pub(crate) fn element(&self, name: &str) -> Result<gst::Element, String> {
        self.pipeline.by_name(name).ok_or_else(|| format!("no pipeline: {name} is missing"))
    }

    pub(crate) fn play(&self) -> Result<(), String> {
        match self.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.error().unwrap_or_else(|| "the pipeline does not start".into())),
        }
    }

    /// Waits for the end of the stream, an error, or the timeout.
    pub(crate) fn finish(&self, timeout: Duration) -> Result<(), String> {
        let Some(bus) = self.pipeline.bus() else { return Err("the pipeline has no bus".into()) };
        let timeout = gst::ClockTime::from_nseconds(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX - 1));
        match bus.timed_pop_filtered(timeout, &[gst::MessageType::Eos, gst::MessageType::Error]) {
            None => Err("the pipeline came to no end".into()),
            Some(message) => match describe(&message) {
                Some(error) => Err(error),
                None => Ok(()),
            },
        }
    }

    /// The oldest error that the pipeline reported.
    pub(crate) fn error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        describe(&message)
    }
}

fn describe(message: &gst::Message) -> Option<String> {
    let gst::MessageView::Error(error) = message.view() else { return None };
    let from = error.src().map(|source| source.name().to_string()).unwrap_or_default();
    Some(format!("{from}: {} ({})", error.error(), error.debug().unwrap_or_default()))
}

/// One buffer in, one sample out. The description has an appsrc `in` and an appsink `out`.
pub(crate) fn push_one(description: &str, caps: &gst::Caps, mut buffer: gst::Buffer) -> Result<gst::Sample, String> {
    let running = Running::parse(description)?;
    let input = running.element("in")?.downcast::<AppSrc>().map_err(|_| "no source")?;
    let output = running.element("out")?.downcast::<AppSink>().map_err(|_| "no sink")?;
    input.set_format(gst::Format::Time);
    input.set_caps(Some(caps));
    let fresh = buffer.make_mut();
    fresh.set_pts(gst::ClockTime::ZERO);
    fresh.set_dts(gst::ClockTime::NONE);
    running.play()?;
    input.push_buffer(buffer).map_err(|error| error.to_string())?;
    input.end_of_stream().map_err(|error| error.to_string())?;
    let timeout = gst::ClockTime::from_seconds(ONE.as_secs());
    output.try_pull_sample(timeout).ok_or_else(|| running.error().unwrap_or_else(|| "no picture came out".into()))
}
