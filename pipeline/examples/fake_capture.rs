//! Writes a camera and a microphone for Chromium: `fake_capture FOLDER [SECONDS [WIDTHxHEIGHT]]` leaves `camera.mjpeg` (30 pictures
//! per second, each with its number burnt in) and `microphone.wav` (a beep on every second) in the folder, for
//! `--use-file-for-fake-video-capture` and `--use-file-for-fake-audio-capture`. Files that are there already stay.

use std::error::Error;
use std::fs;
use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use pipeline::source::{TestPattern, sound};

/// Chromium plays MJPEG at this rate, whatever the file says.
const FPS: u32 = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "fake_capture FOLDER [SECONDS [WIDTHxHEIGHT]]";
    let folder = arguments.next().ok_or(usage)?;
    let seconds: u32 = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let size = arguments.next().unwrap_or_else(|| "640x360".into());
    let (width, height) = size.split_once('x').ok_or(usage)?;
    let pattern = TestPattern { width: width.parse()?, height: height.parse()?, fps: FPS, ..TestPattern::default() };

    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    whole(&folder.join("camera.mjpeg"), |path| camera(path, &pattern, seconds))?;
    whole(&folder.join("microphone.wav"), |path| microphone(path, seconds))?;
    Ok(())
}

/// Writes under another name first, so that an interrupted run leaves no half file.
fn whole(path: &Path, write: impl Fn(&Path) -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    if path.exists() {
        return Ok(());
    }
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    write(&unfinished)?;
    fs::rename(&unfinished, path)?;
    println!("{}", path.display());
    Ok(())
}

fn camera(path: &Path, pattern: &TestPattern, seconds: u32) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    let mut painter = pattern.painter()?;
    let pipeline =
        gst::parse::launch("appsrc name=in format=time block=true ! jpegenc quality=80 ! filesink name=out")?
            .downcast::<gst::Pipeline>()
            .map_err(|_| "no pipeline")?;
    pipeline.by_name("out").ok_or("no sink")?.set_property("location", path);
    let input = pipeline.by_name("in").and_then(|input| input.downcast::<AppSrc>().ok()).ok_or("no source")?;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", i32::from(pattern.width))
        .field("height", i32::from(pattern.height))
        .field("framerate", gst::Fraction::new(FPS as i32, 1))
        .build();
    input.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing)?;
    let written = (0..seconds * FPS)
        .try_for_each(|number| input.push_buffer(gst::Buffer::from_slice(painter.draw(number).to_vec())).map(|_| ()))
        .and_then(|()| input.end_of_stream());
    let bus = pipeline.bus().ok_or("no bus")?;
    let end =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    written?;
    match end {
        Some(end) if end.type_() == gst::MessageType::Eos => Ok(()),
        _ => Err("the camera file could not be written".into()),
    }
}

/// 16-bit PCM, stereo, 48 kHz.
fn microphone(path: &Path, seconds: u32) -> Result<(), Box<dyn Error>> {
    let samples = sound::samples(0, (seconds * sound::RATE) as usize);
    let frame = sound::CHANNELS as u32 * 2;
    let data = samples.len() as u32 * 2;
    let mut wav = Vec::with_capacity(data as usize + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + data).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16_u32.to_le_bytes());
    wav.extend_from_slice(&[1, 0, sound::CHANNELS as u8, 0]);
    wav.extend_from_slice(&sound::RATE.to_le_bytes());
    wav.extend_from_slice(&(sound::RATE * frame).to_le_bytes());
    wav.extend_from_slice(&[frame as u8, 0, 16, 0]);
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&data.to_le_bytes());
    wav.extend(samples.into_iter().flat_map(i16::to_le_bytes));
    fs::write(path, wav)?;
    Ok(())
}
