//! A publisher that drops nothing goes live through the real WHIP and WebRTC path, with numbers of packets that wrap and pictures that change their
//! size in the middle of clips, which end by size, by time and because somebody asked. The clips together show every picture once, and have
//! every sample of the sound.

mod support;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use support::{House, KEY, Publisher, Shown, show, soak};

const FPS: u32 = 30;
/// Timestamps wrap then; sequence numbers of sound as well, those of pictures before.
const WRAP_AFTER: &str = "8";
/// Seconds, like the other.
const RESIZE_EVERY: &str = "3";
/// Of a packet of 20 ms.
const SAMPLES: u64 = 960;

/// Two hundred rollovers of all four codecs, or a dozen.
fn seconds() -> u32 {
    if soak() { 240 } else { 20 }
}

/// When clips end.
struct Ends {
    /// `CLIP_SIZE` and `CLIP_LENGTH`.
    megabytes: &'static str,
    seconds: &'static str,
    /// Milliseconds between requests.
    requests: Option<Range<u64>>,
    /// Every clip but the last has one of these causes.
    causes: &'static [&'static str],
}

async fn story(codec: &str, bitrate: &str, ends: Ends) {
    let house = House::new(&[("CLIP_SIZE", ends.megabytes), ("CLIP_LENGTH", ends.seconds)]);
    let server = house.start();
    let length = seconds().to_string();
    let pictures = ["--codec", codec, "--size", "640x360", "--bitrate", bitrate, "--seconds", &length];
    let hardships = ["--resize-every", RESIZE_EVERY, "--wrap-after", WRAP_AFTER];
    let publisher = Publisher::start(&server, "main", &[&pictures[..], &hardships].concat());
    let asking = ends.requests.map(|pauses| {
        let address = server.url("/api/channels/main/clip");
        tokio::spawn(ask_for_clips(server.http.clone(), address, pauses))
    });
    tokio::task::spawn_blocking(|| publisher.finish()).await.expect("it was sent");
    if let Some(asking) = asking {
        assert!(!asking.is_finished(), "{:?}", asking.await);
        asking.abort();
    }

    let clips = server.ended(Duration::from_secs(60)).await;
    let causes: BTreeSet<_> = clips[..clips.len() - 1].iter().filter_map(|clip| clip["cause"].as_str()).collect();
    println!("{} clips of {codec}, cut by {causes:?}", clips.len());
    assert!(clips.len() as u32 >= seconds() / 6, "{clips:#?}");
    assert!(causes.iter().all(|cause| ends.causes.contains(cause)), "{causes:?}");
    for clip in &clips {
        assert!(clip["video"] == codec && clip["poster"].is_string() && clip["lostMs"] == 0, "{clip:#}");
        let size = clip["size"].as_u64().expect("a size");
        assert!(clip["cause"] != "size" || (500_000..=1_500_000).contains(&size), "cut near 1 MB, not at {size}");
    }
    assert_exact(&show(&server, &clips, FPS).await, &clips);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for clip in &clips {
        assert_complete(&server.download(clip, folder.path()).await, clip);
    }
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

/// The holder of the key asks now and then, for ever.
async fn ask_for_clips(http: reqwest::Client, address: String, pauses: Range<u64>) {
    let mut rng = StdRng::seed_from_u64(pauses.start);
    loop {
        tokio::time::sleep(Duration::from_millis(rng.random_range(pauses.clone()))).await;
        let answer = http.post(&address).bearer_auth(KEY).json(&json!({})).send().await.expect("an answer");
        // not live yet, or not any more
        assert!([202, 404].contains(&answer.status().as_u16()), "{answer:?}");
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name}: {value}"))
}

fn milliseconds(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name}: {value}"))
}

fn track(clip: &Value, sound: bool) -> &Value {
    let tracks = clip["continuity"]["tracks"].as_array().expect("tracks");
    tracks.iter().find(|track| (track["codec"] == "opus") == sound).unwrap_or_else(|| panic!("{clip:#}"))
}

fn assert_exact(shown: &Shown, clips: &[Value]) {
    let (first, last) = (shown.numbers.first(), shown.numbers.last());
    println!("{} pictures, {first:?} to {last:?}, offsets {:?} ms", shown.numbers.len(), shown.sound_offsets_ms);
    assert_eq!((shown.missing, shown.duplicate), (0, 0), "missing, duplicate: {:?}", shown.numbers);
    // Connecting and the first keyframe may cost the first second, nothing else.
    assert!(shown.numbers.len() as u32 >= (seconds() - 2) * FPS, "{} pictures", shown.numbers.len());
    assert!(!shown.sound_offsets_ms.is_empty(), "no beep was found beside its picture");
    for offset in &shown.sound_offsets_ms {
        assert!(offset.abs() <= 20.0, "sound is {offset} ms from its picture: {:?}", shown.sound_offsets_ms);
    }
    assert!(shown.sizes.iter().any(|sizes| sizes.len() == 2), "sizes change within clips: {:?}", shown.sizes);
    let all: BTreeSet<_> = shown.sizes.iter().flatten().copied().collect();
    assert_eq!(all, [(480, 270), (640, 360)].into());
    for sound in [false, true] {
        let tracks: Vec<_> = clips.iter().map(|clip| track(clip, sound)).collect();
        for pair in tracks.windows(2) {
            assert_eq!(number(pair[0], "lastUnit") + 1, number(pair[1], "firstUnit"), "{pair:?}");
            assert_eq!(number(pair[0], "lastSeq") + 1, number(pair[1], "firstSeq"), "{pair:?}");
            // the timeline follows the sender's clock by at most a millisecond a second, 20 us a packet
            let (ends, begins) = (milliseconds(pair[0], "toMs"), milliseconds(pair[1], "fromMs"));
            assert!((ends - begins).abs() < 0.05, "{pair:?}");
        }
        let wrapped = |at: u64| at / (1 << 16) > number(tracks[0], "firstSeq") / (1 << 16);
        assert!(wrapped(number(tracks[tracks.len() - 1], "lastSeq")), "its sequence numbers did not wrap");
    }
    let pictures = clips.iter().map(|clip| track(clip, false));
    let lasting: f64 = pictures.map(|track| milliseconds(track, "toMs") - milliseconds(track, "fromMs")).sum();
    let frame = 1000.0 / f64::from(FPS);
    let wall = shown.numbers.len() as f64 * frame;
    assert!((lasting - wall).abs() <= frame, "{lasting} ms of {wall} ms");
}

/// The same file as others see it: ffmpeg decodes all of it, and counts what its record says.
fn assert_complete(file: &Path, clip: &Value) {
    let entries = "stream=codec_type,nb_read_frames:format=duration";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries", entries, "-of", "json"])
        .arg(file)
        .output()
        .expect("ffprobe runs");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.stderr.is_empty(), "{}: {clip:#}", String::from_utf8_lossy(&output.stderr));
    let frames = |kind: &str| {
        let stream = said["streams"].as_array().expect("streams").iter().find(|stream| stream["codec_type"] == kind);
        stream.and_then(|stream| stream["nb_read_frames"].as_str()?.parse::<u64>().ok())
    };
    assert_eq!(frames("video"), Some(number(track(clip, false), "units")), "{clip:#}");
    assert_eq!(frames("audio"), Some(number(track(clip, true), "units")), "{clip:#}");
    let lasts: f64 = said["format"]["duration"].as_str().and_then(|text| text.parse().ok()).expect("a duration");
    assert!((lasts * 1000.0 - number(clip, "durationMs") as f64).abs() <= 2.0, "{lasts} s: {clip:#}");

    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-map", "0:a", "-f", "s16le", "-ac", "1", "-ar", "48000", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.len() as u64 / 2, number(track(clip, true), "units") * SAMPLES, "samples: {clip:#}");
}

#[tokio::test]
async fn vp8_clips_show_every_number_once() {
    story("vp8", "3200", Ends { megabytes: "1", seconds: "3600", requests: None, causes: &["size"] }).await;
}

#[tokio::test]
async fn vp9_clips_show_every_number_once() {
    let requests = Some(500..4000);
    story("vp9", "800", Ends { megabytes: "100", seconds: "3600", requests, causes: &["request"] }).await;
}

#[tokio::test]
async fn av1_clips_show_every_number_once() {
    let requests = Some(3000..9000);
    let causes = &["length", "request", "size"];
    story("av1", "1600", Ends { megabytes: "1", seconds: "4", requests, causes }).await;
}

#[tokio::test]
async fn h264_clips_show_every_number_once() {
    story("h264", "800", Ends { megabytes: "100", seconds: "4", requests: None, causes: &["length"] }).await;
}
