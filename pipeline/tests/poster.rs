//! The poster shows something: not the black that many cameras begin with, not more pixels than a card needs.

mod support;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use journal::{Cause, Record};
use media::message::{AccessUnit, Codec};
use pipeline::ExportJob;
use pipeline::source::TestPattern;
use support::{SECOND, VIDEO, config, job, run, write_part};

/// Encoded or decoded buffers that come out of a pipeline whose last element is called `out`.
fn buffers(description: &str) -> Vec<gst::Sample> {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(description).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let samples = std::iter::from_fn(|| out.pull_sample().ok()).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// One keyframe of each pattern of GStreamer's test source.
fn keyframes(patterns: &[&str]) -> Vec<Bytes> {
    let encode = |pattern: &&str| {
        let samples = buffers(&format!(
            "videotestsrc num-buffers=1 pattern={pattern} ! video/x-raw,format=I420,width=1280,height=720 ! vp8enc ! \
             appsink name=out sync=false"
        ));
        let buffer = samples[0].buffer().unwrap();
        Bytes::copy_from_slice(&buffer.map_readable().unwrap())
    };
    patterns.iter().map(encode).collect()
}

fn records(units: Vec<Bytes>) -> Vec<Record> {
    let pattern = TestPattern { codec: Codec::Vp8, width: 1280, height: 720, ..TestPattern::default() };
    let unit = |(at, data): (usize, Bytes)| {
        let pts_ns = at as u64 * SECOND;
        let at = at as u64;
        let (first_seq, last_seq) = (at, at);
        Record::Unit(AccessUnit {
            track: VIDEO,
            key: true,
            pts_ns,
            dts_ns: pts_ns,
            utc_us: 0,
            first_seq,
            last_seq,
            data,
        })
    };
    std::iter::once(config(&pattern)).chain(units.into_iter().enumerate().map(unit)).collect()
}

/// Width, height and mean luma of the poster, if there is one.
async fn poster(units: Vec<Bytes>) -> Option<(i32, i32, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let part = write_part(folder.path(), 0, &records(units), Cause::End);
    let exported = run(ExportJob { poster: true, ..job(folder.path(), vec![part]) }).await.unwrap();
    assert!(exported.size > 0, "the clip is there, whatever the poster does");
    let file = exported.poster?;
    let samples = buffers(&format!(
        "filesrc location={} ! jpegdec ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=out sync=false",
        file.display()
    ));
    let caps = samples[0].caps().unwrap().structure(0).unwrap();
    let map = samples[0].buffer().unwrap().map_readable().unwrap();
    let mean = map.iter().map(|luma| u64::from(*luma)).sum::<u64>() / map.len() as u64;
    Some((caps.get("width").unwrap(), caps.get("height").unwrap(), mean))
}

#[tokio::test]
async fn black_keyframes_are_passed_over() {
    let (width, height, luma) = poster(keyframes(&["black", "black", "white", "black"])).await.expect("a poster");
    assert_eq!((width, height), (640, 360));
    assert!(luma > 200, "luma {luma}");
}

#[tokio::test]
async fn a_black_clip_has_a_black_poster() {
    let (_, _, luma) = poster(keyframes(&["black", "black"])).await.expect("a poster");
    assert!(luma < 30, "luma {luma}");
}

#[tokio::test]
async fn a_damaged_keyframe_costs_at_most_the_poster() {
    let good = keyframes(&["white"]);
    let damaged = vec![Bytes::from_static(&[0x10, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0]), good[0].slice(..4)];
    assert!(poster([damaged.clone(), good].concat()).await.is_some_and(|(_, _, luma)| luma > 200));
    assert_eq!(poster(damaged).await, None);
}
