//! Decodes the beginning and the end of a finished file, as a player would, before it is called ready: that the container says what a decoder needs.
//!
//! Not every picture: that costs as much as watching it. What the streamer sent broken is in the file as it came; clips are looked at
//! afterwards, and it is a finding there (`crate::inspection`).

use std::path::Path;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use media::message::Codec;

use crate::gst::Running;
use crate::job::Container;

/// Pictures that are decoded at either end: a second.
const PICTURES: usize = 30;

/// # Errors
/// When no picture of one of the ends can be decoded: which, and why.
pub(super) fn check(file: &Path, container: Container, codec: Codec, timeout: Duration) -> Result<(), String> {
    let Some(decoder) = decoder(codec) else {
        eprintln!("no decoder of {codec:?} is installed: the file is not decoded");
        return Ok(());
    };
    for (from_the_end, name) in [(false, "beginning"), (true, "end")] {
        let decoded = decode(file, container, decoder, from_the_end, Instant::now() + timeout);
        let decoded = decoded.map_err(|error| format!("its {name} does not decode: {error}"))?;
        if decoded == 0 {
            return Err(format!("no picture of its {name} decodes"));
        }
    }
    Ok(())
}

fn decoder(codec: Codec) -> Option<&'static str> {
    let chains: &[&'static str] = match codec {
        Codec::Vp8 => &["vp8dec"],
        Codec::Vp9 => &["vp9dec"],
        Codec::H264 => &["h264parse ! avdec_h264", "h264parse ! openh264dec"],
        Codec::Av1 => &["av1dec"],
        Codec::Opus => &[],
    };
    let is_there =
        |chain: &&&'static str| chain.split(" ! ").all(|element| gst::ElementFactory::find(element).is_some());
    chains.iter().find(is_there).copied()
}

/// Pictures that came out, [`PICTURES`] at most.
fn decode(
    file: &Path,
    container: Container,
    decoder: &str,
    from_the_end: bool,
    until: Instant,
) -> Result<usize, String> {
    let demuxer = match container {
        Container::Mp4 => "qtdemux",
        Container::Webm => "matroskademux",
    };
    let running = Running::parse(&format!(
        "filesrc name=file ! {demuxer} name=demux demux.video_0 ! {decoder} ! appsink name=out sync=false max-buffers=4"
    ))?;
    running.element("file")?.set_property("location", file);
    let output = running.element("out")?.downcast::<AppSink>().map_err(|_| "no sink")?;
    let left = |until: Instant| {
        gst::ClockTime::from_mseconds(until.saturating_duration_since(Instant::now()).as_millis() as u64)
    };
    running.pipeline.set_state(gst::State::Paused).map_err(|error| error.to_string())?;
    if running.pipeline.state(left(until)).0.is_err() {
        return Err(running.error().unwrap_or_else(|| "nothing comes out".into()));
    }
    if from_the_end && let Some(duration) = running.pipeline.query_duration::<gst::ClockTime>() {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        // one that has a single keyframe begins anew
        running.pipeline.seek_simple(flags, duration).map_err(|error| error.to_string())?;
    }
    running.play()?;
    let mut decoded = 0;
    while decoded < PICTURES {
        match output.try_pull_sample(left(until).min(gst::ClockTime::from_mseconds(100))) {
            Some(_) => decoded += 1,
            None if output.is_eos() => break,
            None => {
                if let Some(error) = running.error() {
                    return Err(error);
                }
                if Instant::now() > until {
                    return Err("it came to no end".into());
                }
            }
        }
    }
    Ok(decoded)
}
