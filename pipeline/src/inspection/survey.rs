//! The first pass over the file: when each picture is shown and how large it is, and all of the sound. No picture is decoded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use media::message::{Codec, Orientation};

use super::groups::{Choice, Sample};
use super::sound::Levels;
use super::{ENDS, InspectJob};
use crate::gst::Running;
use crate::job::{Container, ExportError};

/// Pictures of one file that are counted: eighteen hours at 30 a second.
const SAMPLES: usize = 2_000_000;

/// Keyframes that are kept for the storyboard, bytes; beyond that the file is read once more.
const KEPT: usize = 32 << 20;

/// What the first pass found.
pub(super) struct Survey {
    pub duration_ns: u64,
    /// Of the first track with pictures, in order; those behind [`SAMPLES`] are not looked at.
    pub samples: Vec<Sample>,
    pub codec: Option<Codec>,
    /// H.264: the `avcC` record (ISO/IEC 14496-15 §5.3.3).
    pub codec_data: Vec<u8>,
    /// Pixels, as encoded.
    pub width: u64,
    pub height: u64,
    pub orientation: Orientation,
    pub sound: Option<Levels>,
    /// Encoded pictures that will be wanted, by position: keyframes for the storyboard, and those at either end.
    pub kept: BTreeMap<usize, gst::Buffer>,
    kept_bytes: usize,
    /// The beginning of the newest group.
    newest: Vec<(usize, gst::Buffer)>,
    /// Of the pictures' track; none before its first picture.
    choice: Option<Choice>,
    /// When the last picture has been shown as long as its duration says.
    last_ns: u64,
}

impl Survey {
    pub(super) fn pixels(&self) -> u64 {
        self.width * self.height
    }

    /// How much later sound is than picture at both ends; where the ends do not agree, one of the two merely lasts longer.
    pub(super) fn av_offset_ms(&self) -> Option<i32> {
        let (from_ns, to_ns) = self.sound.as_ref()?.span()?;
        let later = |sound_ns: u64, picture_ns: u64| (sound_ns as i64 - picture_ns as i64) / 1_000_000;
        let (begin, end) = (later(from_ns, self.samples.first()?.pts_ns), later(to_ns, self.last_ns));
        let offset = if begin.signum() != end.signum() { 0 } else { std::cmp::min_by_key(begin, end, |ms| ms.abs()) };
        i32::try_from(offset).ok()
    }
}

/// What the callbacks fill.
struct Found {
    survey: Survey,
    broken: Option<String>,
}

type Shared = Arc<Mutex<Found>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Found> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pipeline that reads the file into a demuxer called `demux`.
pub(super) fn reader(job: &InspectJob) -> Result<Running, ExportError> {
    let running = Running::parse(match job.container {
        Container::Mp4 => "filesrc name=file ! qtdemux name=demux",
        Container::Webm => "filesrc name=file ! matroskademux name=demux",
    })
    .map_err(ExportError::Io)?;
    running.element("file").map_err(ExportError::Io)?.set_property("location", &job.file);
    Ok(running)
}

pub(super) fn survey(job: &InspectJob, timeout: Duration) -> Result<Survey, ExportError> {
    std::fs::metadata(&job.file)?;
    let running = reader(job)?;
    let survey = Survey {
        duration_ns: 0,
        samples: Vec::new(),
        codec: None,
        codec_data: Vec::new(),
        width: 0,
        height: 0,
        orientation: Orientation::UPRIGHT,
        sound: None,
        kept: BTreeMap::new(),
        kept_bytes: 0,
        newest: Vec::new(),
        choice: None,
        last_ns: 0,
    };
    let shared: Shared = Arc::new(Mutex::new(Found { survey, broken: None }));
    let (pipeline, found) = (running.pipeline.downgrade(), Arc::clone(&shared));
    running.element("demux").map_err(ExportError::Io)?.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        if let Err(error) = attach(&pipeline, pad, &found) {
            lock(&found).broken.get_or_insert(error);
        }
    });
    running.play().and_then(|()| running.finish(timeout)).map_err(ExportError::Unfaithful)?;
    let duration = running.pipeline.query_duration::<gst::ClockTime>().map_or(0, gst::ClockTime::nseconds);
    drop(running);
    let Some(found) = Arc::into_inner(shared) else { return Err(ExportError::Io("a pipeline goes on".into())) };
    let Found { mut survey, broken } = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(broken) = broken {
        return Err(ExportError::Unfaithful(broken));
    }
    if survey.samples.is_empty() && survey.sound.is_none() {
        return Err(ExportError::Unfaithful("there is neither picture nor sound in it".into()));
    }
    survey.duration_ns = duration.max(survey.last_ns);
    let newest = std::mem::take(&mut survey.newest);
    survey.kept.extend(newest);
    if job.container == Container::Webm {
        // which GStreamer's demuxer does not tell
        survey.orientation = crate::export::webm_turned(&job.file)?;
    }
    Ok(survey)
}

fn attach(pipeline: &gst::Pipeline, pad: &gst::Pad, shared: &Shared) -> Result<(), String> {
    let caps = pad.current_caps().ok_or("a track without format")?;
    let format = caps.structure(0).ok_or("a track without format")?;
    let name = format.name().as_str();
    if name.starts_with("video/") && lock(shared).survey.codec.is_none() {
        let mut found = lock(shared);
        let survey = &mut found.survey;
        survey.codec = Some(match name {
            "video/x-vp8" => Codec::Vp8,
            "video/x-vp9" => Codec::Vp9,
            "video/x-h264" => Codec::H264,
            "video/x-av1" => Codec::Av1,
            other => return Err(format!("a track of {other}")),
        });
        let side = |name: &str| format.get::<i32>(name).ok().and_then(|side| u64::try_from(side).ok()).unwrap_or(0);
        (survey.width, survey.height) = (side("width"), side("height"));
        if let Ok(data) = format.get::<gst::Buffer>("codec_data") {
            survey.codec_data = data.map_readable().map_err(|error| error.to_string())?.to_vec();
        }
        drop(found);
        orientation(pad, shared);
        let (shared, track) = (Arc::clone(shared), pad.clone());
        return link(pipeline, pad, &[], move |sample| picture(sample, &track, &shared));
    }
    let decoders: &[&str] = match name {
        "audio/x-opus" => &["avdec_opus", "opusdec"],
        "audio/mpeg" => &["avdec_aac"],
        _ => &[],
    };
    let decoder = decoders.iter().find(|name| gst::ElementFactory::find(name).is_some());
    let is_first = lock(shared).survey.sound.is_none();
    match decoder {
        Some(decoder) if is_first => {
            lock(shared).survey.sound = Some(Levels::new());
            let shared = Arc::clone(shared);
            link(pipeline, pad, &[decoder, "audioconvert"], move |sample| sound(sample, &shared))
        }
        _ => link(pipeline, pad, &[], |_| Some(())),
    }
}

/// MP4 says by its matrix how the picture is turned; the demuxer makes a tag of it.
fn orientation(pad: &gst::Pad, shared: &Shared) {
    let shared = Arc::clone(shared);
    let read = move |tags: &gst::TagListRef| {
        let quarters = match tags.get::<gst::tags::ImageOrientation>().map(|value| value.get().to_owned()).as_deref() {
            Some("rotate-90") => 1,
            Some("rotate-180") => 2,
            Some("rotate-270") => 3,
            _ => return,
        };
        lock(&shared).survey.orientation = Orientation::from_byte(quarters);
    };
    pad.sticky_events_foreach(|event| {
        if let gst::EventView::Tag(event) = event.view() {
            read(event.tag());
        }
        std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && let gst::EventView::Tag(event) = event.view()
        {
            read(event.tag());
        }
        gst::PadProbeReturn::Ok
    });
}

/// Puts elements and a sink behind the pad; each sample that arrives is given to `take`.
fn link(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    elements: &[&str],
    take: impl Fn(&gst::Sample) -> Option<()> + Send + Sync + 'static,
) -> Result<(), String> {
    let sink = AppSink::builder()
        .sync(false)
        .async_(false)
        .callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    take(&sample).ok_or(gst::FlowError::Error).map(|()| gst::FlowSuccess::Ok)
                })
                .build(),
        )
        .build();
    if !elements.is_empty() {
        let caps = gst::Caps::builder("audio/x-raw").field("format", "F32LE").field("layout", "interleaved");
        sink.set_caps(Some(&caps.field("channels", gst::IntRange::new(1, 2)).build()));
    }
    let mut chain = Vec::new();
    for name in elements {
        let element = gst::ElementFactory::make(name).build().map_err(|error| error.to_string())?;
        tolerate(&element);
        chain.push(element);
    }
    chain.push(sink.upcast());
    let join = || -> Option<()> {
        pipeline.add_many(&chain).ok()?;
        gst::Element::link_many(&chain).ok()?;
        chain.iter().rev().try_for_each(|element| element.sync_state_with_parent()).ok()?;
        pad.link(&chain.first()?.static_pad("sink")?).ok()?;
        Some(())
    };
    join().ok_or_else(|| "a track cannot be read".into())
}

/// What is damaged costs itself and nothing else.
pub(super) fn tolerate(decoder: &gst::Element) {
    if decoder.has_property("max-errors") {
        decoder.set_property("max-errors", -1);
    }
}

/// Where the sample lies in the file's playback, edit lists applied.
pub(super) fn running_time(sample: &gst::Sample) -> Option<u64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(sample.buffer()?.pts()?).map(gst::ClockTime::nseconds)
}

fn picture(sample: &gst::Sample, track: &gst::Pad, shared: &Shared) -> Option<()> {
    let mut found = lock(shared);
    let survey = &mut found.survey;
    let buffer = sample.buffer()?;
    let pts_ns = running_time(sample)?;
    let lasts_ns = match (buffer.duration(), survey.samples.last()) {
        (Some(duration), _) => duration.nseconds(),
        (None, Some(last)) => pts_ns.saturating_sub(last.pts_ns),
        (None, None) => 0,
    };
    survey.last_ns = survey.last_ns.max(pts_ns + lasts_ns);
    if survey.samples.len() < SAMPLES {
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let bytes = u32::try_from(buffer.size()).unwrap_or(u32::MAX);
        let at = survey.samples.len();
        if key {
            survey.newest.clear();
        }
        if survey.newest.len() < ENDS {
            survey.newest.push((at, sample.buffer_owned()?));
        }
        let duration = || track.query_duration::<gst::ClockTime>().map_or(0, gst::ClockTime::nseconds);
        let for_board = key && survey.choice.get_or_insert_with(|| Choice::new(duration())).takes(pts_ns);
        if (for_board || at < ENDS) && survey.kept_bytes + buffer.size() <= KEPT {
            survey.kept_bytes += buffer.size();
            // the demuxer's own memory may be larger
            survey.kept.insert(at, buffer.copy_deep().ok()?);
        }
        let shown = survey.codec != Some(Codec::Vp8) || is_shown(buffer);
        survey.samples.push(Sample { pts_ns, bytes, key, shown });
    }
    Some(())
}

/// A picture of VP8 may be there to be referred to alone (RFC 6386 §9.1).
fn is_shown(buffer: &gst::BufferRef) -> bool {
    let mut first = [0];
    buffer.copy_to_slice(0, &mut first).is_ok() && first[0] & 0x10 != 0
}

fn sound(sample: &gst::Sample, shared: &Shared) -> Option<()> {
    let format = sample.caps()?.structure(0)?;
    let rate = u32::try_from(format.get::<i32>("rate").ok()?).ok()?;
    let channels = usize::try_from(format.get::<i32>("channels").ok()?).ok()?;
    // what lies before the file's beginning is not played
    let Some(pts_ns) = running_time(sample) else { return Some(()) };
    let map = sample.buffer()?.map_readable().ok()?;
    let samples: Vec<f32> =
        map.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
    lock(shared).survey.sound.as_mut()?.add(pts_ns, rate, channels, &samples);
    Some(())
}
