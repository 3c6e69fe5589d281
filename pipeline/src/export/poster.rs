//! A still of the clip: its first keyframe that is not black, as JPEG.
//!
//! A clip without a poster is a clip all the same, so nothing here fails an export.

use std::path::{Path, PathBuf};

use gstreamer as gst;
use gstreamer_video::prelude::*;
use gstreamer_video::{VideoFrameRef, VideoInfo};
use media::message::{Codec, Orientation};
use media::rtp::codec::{vp8, vp9};

use super::plan::Track;
use crate::gst::push_one;

/// Keyframes looked at before the brightest one is taken.
const CANDIDATES: usize = 5;
/// Mean luma above which a picture is not black; black is 16, white 235 (BT.601).
const NOT_BLACK: u64 = 28;
/// Pixels; smaller pictures stay as they are.
const WIDEST: i32 = 640;
/// Pixels of a keyframe; more would take the worker's memory.
const LARGEST: u32 = 4096 * 4096;

const UNUSABLE: &str = "the keyframe is damaged or too large";

struct Still {
    sample: gst::Sample,
    info: VideoInfo,
    luma: u64,
}

/// Writes the JPEG to `to` and syncs it.
pub(super) fn poster(track: &Track, journals: &[PathBuf], to: &Path) -> Result<(), String> {
    let mut best: Option<Still> = None;
    let mut last_error = None;
    let mut open = None;
    for key in track.samples.iter().filter(|sample| sample.key).take(CANDIDATES) {
        let unit = track.unit(key, journals, &mut open).map_err(|error| error.to_string());
        match unit.and_then(|unit| decode(track.codec, &unit)) {
            Ok(still) => {
                let found = still.luma > NOT_BLACK;
                if best.as_ref().is_none_or(|best| still.luma > best.luma) {
                    best = Some(still);
                }
                if found {
                    break;
                }
            }
            Err(error) => last_error = Some(error),
        }
    }
    let best = best.ok_or_else(|| last_error.unwrap_or_else(|| "there is no keyframe".into()))?;
    let jpeg = encode(&best, track.orientation)?;
    std::fs::write(to, jpeg).and_then(|()| std::fs::File::open(to)?.sync_all()).map_err(|error| error.to_string())
}

fn decode(codec: Codec, unit: &[u8]) -> Result<Still, String> {
    let (caps, decoder) = match codec {
        Codec::Vp8 if too_large(vp8::key_size(unit)) => return Err(UNUSABLE.into()),
        Codec::Vp9 if too_large(vp9::KeyHeader::parse(unit).map(|key| (key.width, key.height))) => {
            return Err(UNUSABLE.into());
        }
        Codec::Vp8 => (gst::Caps::builder("video/x-vp8").build(), "vp8dec"),
        Codec::Vp9 => (gst::Caps::builder("video/x-vp9").build(), "vp9dec"),
        Codec::H264 => (
            gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au").build(),
            crate::gst::h264_decoder()?,
        ),
        Codec::Av1 => (
            gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream").field("alignment", "tu").build(),
            "av1dec",
        ),
        Codec::Opus => return Err("sound has no picture".into()),
    };
    let sample = push_one(
        &format!("appsrc name=in ! {decoder} ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false"),
        &caps,
        gst::Buffer::from_slice(unit.to_vec()),
    )?;
    let info = sample.caps().and_then(|caps| VideoInfo::from_caps(caps).ok()).ok_or("the picture has no format")?;
    let luma = {
        let buffer = sample.buffer().ok_or("there is no picture")?;
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|error| error.to_string())?;
        mean_luma(&frame)?
    };
    Ok(Still { sample, info, luma })
}

/// Every eighth pixel of every eighth line.
fn mean_luma(frame: &VideoFrameRef<&gst::BufferRef>) -> Result<u64, String> {
    let plane = frame.plane_data(0).map_err(|error| error.to_string())?;
    let stride = usize::try_from(frame.plane_stride()[0]).unwrap_or(0);
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let lines = (0..height).step_by(8).filter_map(|y| plane.get(y * stride..y * stride + width));
    let (sum, count) = lines
        .flat_map(|line| line.iter().step_by(8))
        .fold((0_u64, 0_u64), |(sum, count), luma| (sum + u64::from(*luma), count + 1));
    Ok(sum / count.max(1))
}

fn encode(still: &Still, orientation: Orientation) -> Result<Vec<u8>, String> {
    let (width, height) = (still.info.width() as i32, still.info.height() as i32);
    let (width, height) =
        if orientation.quarters().is_multiple_of(2) { fit(width, height) } else { fit(height, width) };
    let turn = crate::gst::upright(orientation);
    let buffer = still.sample.buffer_owned().ok_or("there is no picture")?;
    let caps = still.sample.caps_owned().ok_or("the picture has no format")?;
    let jpeg = push_one(
        &format!(
            "appsrc name=in ! {turn} ! videoscale ! video/x-raw,width={width},height={height},pixel-aspect-ratio=1/1 ! \
             videoconvert ! jpegenc quality=82 ! appsink name=out sync=false"
        ),
        &caps,
        buffer,
    )?;
    let buffer = jpeg.buffer().ok_or("there is no JPEG")?;
    Ok(buffer.map_readable().map_err(|error| error.to_string())?.to_vec())
}

/// At most [`WIDEST`] wide, the same shape, even sides.
fn fit(width: i32, height: i32) -> (i32, i32) {
    let scaled = |side: i32| (side * WIDEST / width.max(1)).max(2);
    let (width, height) = if width > WIDEST { (WIDEST, scaled(height)) } else { (width, height) };
    (width & !1, height & !1)
}

/// Also when there is no size: then it is damaged.
fn too_large(size: Option<(u16, u16)>) -> bool {
    size.is_none_or(|(width, height)| u32::from(width) * u32::from(height) > LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posters_are_at_most_640_wide_and_keep_their_shape() {
        assert_eq!(fit(1280, 720), (640, 360));
        assert_eq!(fit(720, 1280), (640, 1136));
        assert_eq!(fit(320, 180), (320, 180));
        assert_eq!(fit(641, 3), (640, 2));
    }

    #[test]
    fn keyframes_without_a_size_or_beyond_memory_are_not_decoded() {
        for (size, refused) in
            [(Some((640, 360)), false), (Some((4096, 4096)), false), (Some((8192, 4096)), true), (None, true)]
        {
            assert_eq!(too_large(size), refused, "{size:?}");
        }
        assert!(decode(Codec::Vp9, &[0x82, 0x49, 0x83, 0x42]).is_err());
    }
}
