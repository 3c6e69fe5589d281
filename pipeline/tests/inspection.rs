//! What is wrong with a clip is found, as long as it is, and nothing is found in one that is whole.

mod support;

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use journal::Record;
use media::id::TrackId;
use media::message::{AccessUnit, Codec};
use pipeline::source::sound;
use pipeline::{ExportError, Finding, InspectJob, Inspected, Lane, Trouble};
use support::{SECOND, SOUND, VIDEO, config, export, pattern, sound_config, workers};

const FPS: u64 = 30;

/// What is wrong with a clip, in seconds of it.
#[derive(Clone, Default)]
struct Defects {
    black: Range<u64>,
    frozen: Range<u64>,
    silent: Range<u64>,
    /// Neither sent nor known to be lost.
    without_pictures: Range<u64>,
    without_sound: Range<u64>,
    /// White and black by turns, five times a second.
    flashing: Range<u64>,
    /// Position of a picture in whose data bits are flipped.
    spoilt: Option<usize>,
    sound_later_ns: u64,
}

/// Encodes raw buffers of this length, all of them, with a keyframe each two seconds.
fn encode(
    description: &str,
    caps: &str,
    lasts_ns: u64,
    raw: impl Iterator<Item = Vec<u8>> + Send + 'static,
) -> Vec<(bool, Bytes)> {
    gst::init().unwrap();
    let whole =
        format!("appsrc name=in format=time block=true caps={caps} ! {description} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&whole).unwrap().downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap().downcast::<AppSrc>().unwrap();
    let output = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let feeder = std::thread::spawn(move || {
        for (number, bytes) in raw.enumerate() {
            let mut buffer = gst::Buffer::from_slice(bytes);
            let fresh = buffer.make_mut();
            fresh.set_pts(gst::ClockTime::from_nseconds(number as u64 * lasts_ns));
            fresh.set_duration(gst::ClockTime::from_nseconds(lasts_ns));
            input.push_buffer(buffer).unwrap();
        }
        input.end_of_stream().unwrap();
    });
    let units = std::iter::from_fn(|| output.pull_sample().ok()).map(|sample| {
        let buffer = sample.buffer().unwrap();
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        (key, Bytes::copy_from_slice(&buffer.map_readable().unwrap()))
    });
    let units = units.collect();
    feeder.join().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    units
}

/// A clip of the moving pattern with beeps and a soft tone.
fn records(codec: Codec, seconds: u64, defects: &Defects) -> Vec<Record> {
    let pattern = pattern(codec);
    let encoder = match codec {
        Codec::Vp8 => {
            "vp8enc deadline=1 cpu-used=8 threads=1 end-usage=cbr target-bitrate=400000 min-quantizer=4 max-quantizer=56 \
             keyframe-max-dist=60"
        }
        Codec::H264 => {
            "x264enc tune=zerolatency speed-preset=superfast threads=1 bitrate=400 key-int-max=60 option-string=scenecut=0 ! \
             video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au"
        }
        other => panic!("{other:?} is not made here"),
    };
    let mut painter = pattern.painter().unwrap();
    let Defects { black, frozen, flashing, .. } = defects.clone();
    let pictures = (0..seconds * FPS).map(move |number| {
        let flashes = flashing.contains(&(number / FPS));
        if black.contains(&(number / FPS)) || flashes {
            let bright = flashes && (number / 3).is_multiple_of(2);
            let mut raw = vec![if bright { 235 } else { 16 }; 384 * 216];
            raw.resize(384 * 216 * 3 / 2, 128);
            return raw;
        }
        let number = if frozen.contains(&(number / FPS)) { frozen.start * FPS } else { number };
        painter.draw(number as u32).to_vec()
    });
    let caps = "video/x-raw,format=I420,width=384,height=216,framerate=30/1,colorimetry=bt601";
    let mut pictures = encode(encoder, caps, SECOND / FPS, pictures);
    if let Some((_, data)) = defects.spoilt.and_then(|at| pictures.get_mut(at)) {
        let mut bytes = data.to_vec();
        let third = bytes.len() / 3;
        bytes[third..].iter_mut().step_by(5).for_each(|byte| *byte ^= 0x28);
        *data = bytes.into();
    }
    let silent = defects.silent.clone();
    let sounds = (0..seconds * 50).map(move |number| {
        let mute = silent.contains(&(number / 50));
        let tone =
            |at: usize| (2000.0 * ((number as usize * 960 + at) as f32 * std::f32::consts::TAU / 100.0).sin()) as i16;
        let samples = sound::samples(number * 960, 960).into_iter().enumerate();
        samples.flat_map(|(at, beep)| if mute { 0 } else { beep.saturating_add(tone(at / 2)) }.to_le_bytes()).collect()
    });
    let caps = "audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2";
    let sounds = encode("opusenc bitrate=64000 frame-size=20", caps, SECOND / 50, sounds);

    let unit = |track: TrackId, key, pts_ns, number: usize, data| {
        let (first_seq, last_seq) = (number as u64, number as u64);
        AccessUnit { track, key, pts_ns, dts_ns: pts_ns, utc_us: pts_ns / 1000, first_seq, last_seq, data }
    };
    let pictures = pictures
        .into_iter()
        .enumerate()
        .map(|(number, (key, data))| unit(VIDEO, key, number as u64 * SECOND / FPS, number, data));
    let pictures = pictures.filter(|unit| !defects.without_pictures.contains(&(unit.pts_ns / SECOND)));
    let sounds = sounds
        .into_iter()
        .enumerate()
        .map(|(number, (_, data))| unit(SOUND, true, number as u64 * SECOND / 50, number, data));
    let sounds =
        sounds.filter(|unit| !defects.without_sound.contains(&(unit.pts_ns / SECOND))).map(|unit| AccessUnit {
            pts_ns: unit.pts_ns + defects.sound_later_ns,
            dts_ns: unit.dts_ns + defects.sound_later_ns,
            ..unit
        });
    let mut units: Vec<AccessUnit> = pictures.chain(sounds).collect();
    units.sort_by_key(|unit| unit.pts_ns);
    [config(&pattern), sound_config()].into_iter().chain(units.into_iter().map(Record::Unit)).collect()
}

async fn inspect(job: InspectJob) -> Result<Inspected, ExportError> {
    let workers = workers();
    let inspected = workers.inspect(job, Lane::Rest).await;
    workers.shutdown().await;
    inspected
}

async fn look_at(folder: &Path, records: &[Record]) -> Inspected {
    let exported = export(folder, records).await.unwrap();
    let job = InspectJob {
        file: exported.file,
        container: exported.container,
        directory: folder.to_owned(),
        stem: "clip".into(),
    };
    inspect(job).await.unwrap()
}

async fn found(codec: Codec, seconds: u64, defects: Defects) -> Inspected {
    let folder = tempfile::tempdir().unwrap();
    look_at(folder.path(), &records(codec, seconds, &defects)).await
}

/// The one finding lies where the defect does, to half a second at either end.
fn assert_found(inspected: &Inspected, trouble: Trouble, defect: Range<u64>) {
    let [Finding { trouble: told, from_ms, to_ms }] = inspected.findings[..] else {
        panic!("{:?}", inspected.findings)
    };
    assert_eq!(told, trouble);
    let near = |ms: u64, seconds: u64| ms.abs_diff(seconds * 1000) <= 500;
    assert!(near(from_ms, defect.start) && near(to_ms, defect.end), "{from_ms} to {to_ms} ms instead of {defect:?} s");
    let Inspected { black_ms, frozen_ms, held_ms, silent_ms, flashing_ms, spoilt_ms, .. } = *inspected;
    let figures = [black_ms, frozen_ms, held_ms, silent_ms, flashing_ms, spoilt_ms];
    assert_eq!(figures.iter().sum::<u64>(), to_ms - from_ms, "{figures:?}");
    assert_eq!(figures[trouble as usize], to_ms - from_ms);
}

async fn in_both(trouble: Trouble, defect: Range<u64>, defects: Defects) {
    for codec in [Codec::Vp8, Codec::H264] {
        assert_found(&found(codec, 20, defects.clone()).await, trouble, defect.clone());
    }
}

#[tokio::test]
async fn nothing_is_wrong_with_a_clip_that_is_whole() {
    for codec in [Codec::Vp8, Codec::H264] {
        let folder = tempfile::tempdir().unwrap();
        let inspected = look_at(folder.path(), &records(codec, 20, &Defects::default())).await;
        assert_eq!(inspected.findings, [], "{codec:?}");
        assert!((-350..-150).contains(&inspected.loudness_lufs_x10.unwrap()), "{inspected:?}");
        assert!(inspected.av_offset_ms.unwrap().abs() <= 20, "{inspected:?}");
        let board = inspected.storyboard.unwrap();
        assert_eq!((inspected.posters.len(), board.sheets.len()), (6, 1), "{codec:?}");
        assert_eq!((board.columns, board.rows, board.width, board.height), (10, 10, 160, 90));
        assert_eq!(size_of(&inspected.posters[0].file), (384, 216));
        assert_eq!(size_of(&board.sheets[0]), (1600, 90), "ten pictures beside each other");
        let vtt = std::fs::read_to_string(board.index).unwrap();
        assert_eq!(vtt.matches(" --> ").count(), 10);
        assert!(vtt.contains("\n00:00:18.000 --> 00:00:20.0"), "{vtt}");
        assert!(vtt.ends_with("\nstoryboard/0.jpg#xywh=1440,0,160,90\n"), "{vtt}");
        let waveform: serde_json::Value =
            serde_json::from_slice(&std::fs::read(inspected.waveform.unwrap()).unwrap()).unwrap();
        let length = waveform["length"].as_u64().unwrap();
        assert!((200..=201).contains(&length) && waveform["channels"] == 2, "{length}");
        assert_eq!(waveform["data"].as_array().unwrap().len() as u64, length * 4);
    }
}

/// Width and height of a JPEG.
fn size_of(file: &Path) -> (i32, i32) {
    let description = format!("filesrc location={} ! jpegdec ! appsink name=out sync=false", file.display());
    let pipeline = gst::parse::launch(&description).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let sample = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap().pull_sample().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let caps = sample.caps().unwrap().structure(0).unwrap();
    (caps.get("width").unwrap(), caps.get("height").unwrap())
}

#[tokio::test]
async fn black_is_found() {
    in_both(Trouble::Black, 7..12, Defects { black: 7..12, ..Defects::default() }).await;
}

#[tokio::test]
async fn a_frozen_picture_is_found() {
    in_both(Trouble::Frozen, 5..9, Defects { frozen: 5..9, ..Defects::default() }).await;
    in_both(Trouble::Frozen, 3..18, Defects { frozen: 3..18, ..Defects::default() }).await;
}

#[tokio::test]
async fn flashes_are_found_in_clips_of_any_length() {
    let flashing = || Defects { flashing: 6..10, ..Defects::default() };
    in_both(Trouble::Flashing, 6..10, flashing()).await;
    assert_found(&found(Codec::H264, 70, flashing()).await, Trouble::Flashing, 6..10);
}

#[tokio::test]
async fn a_spoilt_picture_is_found_and_named() {
    // at the end of a long clip as well, between two keyframes
    for (seconds, spoilt, at_s) in [(20, 7 * FPS as usize + 40, 8..10), (70, 68 * FPS as usize + 15, 68..70)] {
        let defects = Defects { spoilt: Some(spoilt), ..Defects::default() };
        let inspected = found(Codec::H264, seconds, defects).await;
        let [Finding { trouble: Trouble::Spoilt, from_ms, to_ms }] = inspected.findings[..] else {
            panic!("{:?}", inspected.findings)
        };
        assert!(from_ms.abs_diff(spoilt as u64 * 1000 / FPS) <= 34, "{from_ms} ms");
        assert_eq!((to_ms + 20) / 1000, at_s.end, "to the next keyframe");
        assert_eq!(inspected.spoilt_ms, to_ms - from_ms);
        assert!(at_s.contains(&(from_ms / 1000)));
    }
}

#[tokio::test]
async fn silence_is_found_whether_it_is_sent_or_not() {
    in_both(Trouble::Silent, 4..11, Defects { silent: 4..11, ..Defects::default() }).await;
    in_both(Trouble::Silent, 4..11, Defects { without_sound: 4..11, ..Defects::default() }).await;
}

#[tokio::test]
async fn a_gap_without_pictures_is_found() {
    in_both(Trouble::Held, 8..12, Defects { without_pictures: 8..12, ..Defects::default() }).await;
}

#[tokio::test]
async fn sound_that_is_late_is_measured() {
    for codec in [Codec::Vp8, Codec::H264] {
        let inspected = found(codec, 6, Defects { sound_later_ns: 300_000_000, ..Defects::default() }).await;
        let offset = inspected.av_offset_ms.unwrap();
        assert!((offset - 300).abs() <= 40, "{offset} ms");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.mp4");
    let job = InspectJob {
        file: file.clone(),
        container: pipeline::Container::Mp4,
        directory: folder.path().to_owned(),
        stem: "clip".into(),
    };
    assert!(matches!(inspect(job.clone()).await, Err(ExportError::Io(_))));
    std::fs::write(&file, [0; 4096]).unwrap();
    assert!(matches!(inspect(job).await, Err(ExportError::Unfaithful(_))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
