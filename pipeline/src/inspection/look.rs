//! The other passes over the file: chosen pictures are decoded and looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use gstreamer_video::{VideoFrameRef, VideoInfo};
use media::message::{Codec, Orientation};

use super::InspectJob;
use super::flashes::Grid;
use super::groups::Plan;
use super::image::Image;
use super::posters::{Candidates, POSTER};
use super::storyboard::{TILE, Tile};
use super::survey::{Survey, reader, running_time, tolerate};
use crate::job::ExportError;

/// Luma up to which a pixel is black; black is 16, or 0 in full range.
const BLACK: u8 = 32;
/// One part of so many pixels may be brighter in a black picture.
const BRIGHT: usize = 50;
/// Luma by which pictures that are alike may differ in the mean: they were encoded twice.
const DIFFERENCE: u64 = 2;
/// Luma by which a pixel has changed, and one part of so many that may have.
const CHANGED: u8 = 14;
const CHANGES: usize = 1000;
/// Encoded pictures that may wait for the decoder, bytes.
const WAITING: u64 = 8 << 20;
/// Pixels of a picture that is looked at.
const LARGEST: u64 = 4096 * 4096;
/// Rounding between the demuxer's times and the decoder's.
const ROUNDING_NS: u64 = 1_000_000;

/// A small picture, luma alone.
#[derive(Clone, Debug)]
pub(super) struct Look {
    luma: Vec<u8>,
    pub dark: bool,
}

impl Look {
    pub(super) fn of(luma: Vec<u8>) -> Self {
        let bright = luma.iter().filter(|luma| **luma > BLACK).count();
        Self { dark: bright * BRIGHT <= luma.len(), luma }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        alike(&self.luma, &other.luma)
    }
}

/// Whether nothing has changed but the coding.
pub(super) fn alike(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() || one.is_empty() {
        return false;
    }
    let (mut sum, mut changed) = (0, 0);
    for difference in one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)) {
        sum += u64::from(difference);
        changed += usize::from(difference > CHANGED);
    }
    sum <= DIFFERENCE * one.len() as u64 && changed * CHANGES <= one.len()
}

/// Everything that was seen so far.
#[derive(Default)]
pub(super) struct Looked {
    /// By position among the file's pictures.
    pub looks: BTreeMap<usize, Look>,
    pub tiles: Vec<Tile>,
    pub posters: Candidates,
    /// Of each picture that was decoded, looked at or not.
    pub grids: BTreeMap<usize, Grid>,
    /// Pictures that the decoder did not give, or complained about.
    pub spoilt: BTreeSet<usize>,
}

/// What the decoder's thread fills.
struct Eye {
    seen: Looked,
    /// By time: position, and whether it belongs to the storyboard.
    wanted: BTreeMap<u64, (usize, bool)>,
    /// By time: positions of pictures that the decoder has not given yet.
    expected: BTreeMap<u64, usize>,
    orientation: Orientation,
    duration_ns: u64,
}

/// Decodes what the plan wants and adds what is seen. Pictures that cannot be decoded are passed over.
///
/// # Errors
/// When none can.
pub(super) fn look(
    job: &InspectJob,
    survey: &Survey,
    plan: &Plan,
    board: &BTreeSet<usize>,
    timeout: Duration,
    seen: &mut Looked,
) -> Result<(), ExportError> {
    let Some(last) = plan.decode.last().copied() else { return Ok(()) };
    let until = Instant::now() + timeout;
    let before = seen.looks.len();
    let wanted = plan.look.iter().filter_map(|at| Some((survey.samples.get(*at)?.pts_ns, (*at, board.contains(at)))));
    let eye = Arc::new(Mutex::new(Eye {
        seen: std::mem::take(seen),
        wanted: wanted.collect(),
        expected: plan.decode.iter().filter_map(|at| Some((survey.samples.get(*at)?.pts_ns, *at))).collect(),
        orientation: survey.orientation,
        duration_ns: survey.duration_ns,
    }));
    let decoder = Decoder::start(survey, &eye).map_err(ExportError::Io)?;
    let is_kept = plan.decode.iter().all(|at| survey.kept.contains_key(at));
    let fed =
        if is_kept { feed_kept(survey, plan, &decoder, until) } else { feed(job, survey, plan, last, &decoder, until) };
    let ended = fed.and_then(|()| decoder.finish(until).map_err(ExportError::Unfaithful));
    let complained = decoder.complained();
    drop(decoder);
    let mut eye = eye.lock().unwrap_or_else(PoisonError::into_inner);
    *seen = std::mem::take(&mut eye.seen);
    ended?;
    // what was not even read was not given to it
    seen.spoilt.extend(eye.expected.values().filter(|at| survey.samples.get(**at).is_some_and(|sample| sample.shown)));
    let position = |pts_ns: &u64| survey.samples.binary_search_by_key(pts_ns, |sample| sample.pts_ns).ok();
    seen.spoilt.extend(complained.iter().filter_map(position));
    if seen.looks.len() == before {
        return Err(ExportError::Unfaithful("none of its pictures can be decoded".into()));
    }
    seen.tiles.sort_by_key(|tile| tile.pts_ns);
    Ok(())
}

/// Nothing but what the first pass kept.
fn feed_kept(survey: &Survey, plan: &Plan, decoder: &Decoder, until: Instant) -> Result<(), ExportError> {
    for at in &plan.decode {
        let (Some(buffer), Some(sample)) = (survey.kept.get(at), survey.samples.get(*at)) else { continue };
        let map = buffer.map_readable().map_err(|error| ExportError::Io(error.to_string()))?;
        decoder.push(survey.unit(&map, sample.key), sample.pts_ns, until)?;
    }
    Ok(())
}

/// Reads the file once more and gives the decoder what the plan wants.
fn feed(
    job: &InspectJob,
    survey: &Survey,
    plan: &Plan,
    last: usize,
    decoder: &Decoder,
    until: Instant,
) -> Result<(), ExportError> {
    let running = reader(job)?;
    let sink = AppSink::builder().sync(false).async_(false).max_buffers(16).build();
    running.pipeline.add(&sink).map_err(|error| ExportError::Io(error.to_string()))?;
    let (pipeline, pictures) = (running.pipeline.downgrade(), sink.clone());
    running.element("demux").map_err(ExportError::Io)?.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        let format = pad.current_caps();
        let is_video = format.and_then(|caps| Some(caps.structure(0)?.name().starts_with("video/")));
        let join = || -> Option<()> {
            let mut input = pictures.static_pad("sink")?;
            if is_video != Some(true) || input.is_linked() {
                let drain = gst::ElementFactory::make("fakesink").property("async", false).build().ok()?;
                pipeline.add(&drain).ok()?;
                drain.sync_state_with_parent().ok()?;
                input = drain.static_pad("sink")?;
            }
            pad.link(&input).ok().map(drop)
        };
        if join().is_none() {
            gst::element_error!(pipeline, gst::CoreError::Failed, ["a track cannot be read"]);
        }
    });
    running.play().map_err(ExportError::Unfaithful)?;
    let mut at = 0;
    while at <= last {
        if let Some(error) = running.error() {
            return Err(ExportError::Unfaithful(error));
        }
        if Instant::now() > until {
            return Err(ExportError::TimedOut);
        }
        let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) else {
            if sink.is_eos() {
                break;
            }
            continue;
        };
        if plan.decode.contains(&at) {
            let pts_ns =
                running_time(&sample).ok_or_else(|| ExportError::Unfaithful("a picture without a time".into()))?;
            let buffer = sample.buffer().ok_or_else(|| ExportError::Unfaithful("an empty picture".into()))?;
            let map = buffer.map_readable().map_err(|error| ExportError::Io(error.to_string()))?;
            let key = survey.samples.get(at).is_some_and(|sample| sample.key);
            decoder.push(survey.unit(&map, key), pts_ns, until)?;
        }
        at += 1;
    }
    Ok(())
}

struct Decoder {
    running: crate::gst::Running,
    input: AppSrc,
    heard: Arc<Mutex<Heard>>,
}

/// What the decoder complained of, by what it was given before.
struct Heard {
    complaints: u64,
    given_ns: Option<u64>,
    about_ns: Vec<u64>,
}

impl Heard {
    /// It is given another one, so it is done with the one before.
    fn given(&mut self, pts_ns: Option<u64>) {
        let complaints = crate::gst::complaints();
        if complaints > self.complaints {
            self.about_ns.extend(self.given_ns);
        }
        (self.complaints, self.given_ns) = (complaints, pts_ns);
    }
}

fn listen(decoder: &gst::Element) -> Arc<Mutex<Heard>> {
    let complaints = crate::gst::complaints();
    let heard = Arc::new(Mutex::new(Heard { complaints, given_ns: None, about_ns: Vec::new() }));
    let told = Arc::clone(&heard);
    if let Some(pad) = decoder.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let pts_ns = info.buffer().and_then(|buffer| buffer.pts()).map(gst::ClockTime::nseconds);
            told.lock().unwrap_or_else(PoisonError::into_inner).given(pts_ns);
            gst::PadProbeReturn::Ok
        });
    }
    heard
}

impl Decoder {
    fn start(survey: &Survey, eye: &Arc<Mutex<Eye>>) -> Result<Self, String> {
        let byte_stream =
            |name| gst::Caps::builder(name).field("stream-format", "byte-stream").field("alignment", "au");
        let (caps, decoder) = match survey.codec.ok_or("there is no picture")? {
            Codec::Vp8 => (gst::Caps::builder("video/x-vp8").build(), "vp8dec"),
            Codec::Vp9 => (gst::Caps::builder("video/x-vp9").build(), "vp9dec"),
            Codec::H264 => (byte_stream("video/x-h264").build(), crate::gst::h264_decoder()?),
            Codec::Av1 => {
                let caps =
                    gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream").field("alignment", "tu");
                (caps.build(), "av1dec")
            }
            Codec::Opus => return Err("sound has no picture".into()),
        };
        let running = crate::gst::Running::parse(&format!(
            "appsrc name=in format=time ! {decoder} name=decoder ! videoconvert ! video/x-raw,format=I420 ! \
             appsink name=out sync=false async=false"
        ))?;
        let decoder = running.element("decoder")?;
        tolerate(&decoder);
        for threads in ["max-threads", "threads"] {
            if decoder.has_property(threads) {
                decoder.set_property_from_str(threads, "1"); // keyframes far apart; one core is enough
            }
        }
        let heard = listen(&decoder);
        let input = running.element("in")?.downcast::<AppSrc>().map_err(|_| "no source")?;
        let output = running.element("out")?.downcast::<AppSink>().map_err(|_| "no sink")?;
        input.set_caps(Some(&caps));
        input.set_max_bytes(0); // [`Decoder::push`] waits, so that it can end when the decoder has
        let eye = Arc::clone(eye);
        output.set_callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    // one that cannot be looked at is passed over
                    let _ = eye.lock().unwrap_or_else(PoisonError::into_inner).see(&sample);
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        running.play()?;
        Ok(Self { running, input, heard })
    }

    fn push(&self, unit: Vec<u8>, pts_ns: u64, until: Instant) -> Result<(), ExportError> {
        while self.input.current_level_bytes() > WAITING {
            if let Some(error) = self.running.error() {
                return Err(ExportError::Unfaithful(error));
            }
            if Instant::now() > until {
                return Err(ExportError::TimedOut);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut buffer = gst::Buffer::from_slice(unit);
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(pts_ns));
        self.input
            .push_buffer(buffer)
            .map(drop)
            .map_err(|error| ExportError::Unfaithful(self.running.error().unwrap_or_else(|| error.to_string())))
    }

    /// Times of pictures that it complained about, once it has finished.
    fn complained(&self) -> Vec<u64> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.given(None);
        std::mem::take(&mut heard.about_ns)
    }

    fn finish(&self, until: Instant) -> Result<(), String> {
        self.input.end_of_stream().map_err(|error| error.to_string())?;
        self.running.finish(until.saturating_duration_since(Instant::now()))
    }
}

impl Eye {
    fn see(&mut self, sample: &gst::Sample) -> Option<()> {
        let buffer = sample.buffer()?;
        let pts_ns = buffer.pts()?.nseconds();
        let near = pts_ns.saturating_sub(ROUNDING_NS)..=pts_ns + ROUNDING_NS;
        let (at_ns, position) = self.expected.range(near.clone()).next().map(|(at_ns, at)| (*at_ns, *at))?;
        self.expected.remove(&at_ns);
        let info = VideoInfo::from_caps(sample.caps()?).ok()?;
        if u64::from(info.width()) * u64::from(info.height()) > LARGEST {
            return None;
        }
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
        self.seen.grids.extend(Grid::of(&frame).map(|grid| (position, grid)));
        let (found, (at, on_board)) = self.wanted.range(near).next().map(|(found, wanted)| (*found, *wanted))?;
        self.wanted.remove(&found);
        let small = if on_board {
            let image = Image::of(&frame, POSTER)?.turned(self.orientation);
            self.seen.posters.offer(found, self.duration_ns, &image);
            let small = image.smaller(TILE)?;
            self.seen.tiles.push(Tile { pts_ns: found, image: small.clone() });
            small
        } else {
            Image::of(&frame, TILE)?.turned(self.orientation)
        };
        let [luma, ..] = small.planes;
        self.seen.looks.insert(at, Look::of(luma));
        Some(())
    }
}

impl Survey {
    /// As the decoder takes it: H.264 goes from the lengths of a file to start codes, with the parameter sets before each keyframe.
    fn unit(&self, data: &[u8], key: bool) -> Vec<u8> {
        if self.codec != Some(Codec::H264) {
            return data.to_vec();
        }
        let length_bytes = self.codec_data.get(4).map_or(4, |byte| usize::from(byte & 3) + 1);
        let mut unit = Vec::with_capacity(data.len() + 128);
        if key {
            parameter_sets(&self.codec_data).for_each(|set| start_code(&mut unit, set));
        }
        let mut rest = data;
        while let Some((length, behind)) = rest.split_at_checked(length_bytes) {
            let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            let Some((nal, behind)) = behind.split_at_checked(length) else { break };
            start_code(&mut unit, nal);
            rest = behind;
        }
        unit
    }
}

fn start_code(unit: &mut Vec<u8>, nal: &[u8]) {
    unit.extend_from_slice(&[0, 0, 0, 1]);
    unit.extend_from_slice(nal);
}

/// Of an `avcC` record: a count in five bits with its SPS, then a count with its PPS, each with its length in two bytes.
fn parameter_sets(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = record.get(5..).unwrap_or_default();
    let mut left = 0_u8;
    let mut lists = 0;
    std::iter::from_fn(move || {
        while left == 0 {
            let (count, behind) = rest.split_first().filter(|_| lists < 2)?;
            left = if lists == 0 { count & 0x1f } else { *count };
            (rest, lists) = (behind, lists + 1);
        }
        left -= 1;
        let (length, behind) = rest.split_at_checked(2)?;
        let (set, behind) = behind.split_at_checked(usize::from(length[0]) << 8 | usize::from(length[1]))?;
        rest = behind;
        Some(set)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_read_from_the_record() {
        let record = [1, 66, 0, 30, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 2, 0, 1, 0x68, 0, 2, 0x68, 9, 77];
        let sets: Vec<&[u8]> = parameter_sets(&record).collect();
        assert_eq!(sets, [&[0x67, 1, 2][..], &[0x68], &[0x68, 9]]);
        assert_eq!(parameter_sets(&record[..8]).count() + parameter_sets(&[]).count(), 0);
    }

    #[test]
    fn coding_alone_is_no_change_and_something_small_that_moves_is() {
        let picture: Vec<u8> = (0..14_400).map(|at| (at % 200) as u8).collect();
        let coded: Vec<u8> = picture.iter().enumerate().map(|(at, luma)| luma + (at % 3) as u8).collect();
        assert!(alike(&picture, &coded));
        let mut moved = picture.clone();
        moved[5000..5020].iter_mut().for_each(|luma| *luma = luma.wrapping_add(60));
        assert!(!alike(&picture, &moved) && !alike(&picture, &picture[1..]) && !alike(&[], &[]));
    }

    #[test]
    fn a_black_picture_may_have_a_spot() {
        let mut luma = vec![17; 1000];
        luma[..20].fill(200);
        assert!(Look::of(luma.clone()).dark);
        luma[20] = 200;
        assert!(!Look::of(luma).dark);
    }
}
