//! A publisher that drops nothing goes live through the real WHIP and WebRTC path; the clips together show every number once.

mod support;

use std::time::Duration;

use support::{House, Publisher, Shown, show, soak};

const FPS: u32 = 30;

fn seconds() -> u32 {
    if soak() { 120 } else { 22 }
}

fn assert_exact(shown: &Shown, seconds: u32) {
    let (first, last) = (shown.numbers.first(), shown.numbers.last());
    println!("{} pictures, {first:?} to {last:?}, offsets {:?} ms", shown.numbers.len(), shown.sound_offsets_ms);
    assert_eq!((shown.missing, shown.duplicate), (0, 0), "missing, duplicate: {:?}", shown.numbers);
    // Connecting and the first keyframe may cost the first second, nothing else.
    assert!(shown.numbers.len() as u32 >= (seconds - 2) * FPS, "{} pictures of {seconds} s", shown.numbers.len());
    assert!(!shown.sound_offsets_ms.is_empty(), "no beep was found beside its picture");
    for offset in &shown.sound_offsets_ms {
        assert!(offset.abs() <= 20.0, "sound is {offset} ms from its picture: {:?}", shown.sound_offsets_ms);
    }
}

async fn story(codec: &str) {
    let house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    let seconds = seconds();
    Publisher::start(&server, "main", &["--codec", codec, "--seconds", &seconds.to_string()]).finish();
    let clips = server.ended(Duration::from_secs(30)).await;
    assert!(clips.len() >= 4, "{clips:#?}");
    assert!(
        clips.iter().all(|clip| clip["video"] == codec && clip["poster"].is_string() && clip["lostMs"] == 0),
        "{clips:#?}"
    );
    assert_exact(&show(&server, &clips, FPS).await, seconds);
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn vp8_clips_show_every_number_once() {
    story("vp8").await;
}

#[tokio::test]
async fn vp9_clips_show_every_number_once() {
    story("vp9").await;
}

#[tokio::test]
async fn av1_clips_show_every_number_once() {
    story("av1").await;
}

#[tokio::test]
async fn h264_clips_show_every_number_once() {
    story("h264").await;
}

#[tokio::test]
async fn clips_roll_by_size() {
    let house = House::new(&[("CLIP_SIZE", "1")]);
    let server = house.start();
    Publisher::start(&server, "main", &["--codec", "vp8", "--seconds", "16", "--bitrate", "2000"]).finish();
    let clips = server.ended(Duration::from_secs(30)).await;
    assert!(clips.len() >= 3, "{clips:#?}");
    for clip in &clips[..clips.len() - 1] {
        let size = clip["size"].as_u64().expect("a size");
        assert_eq!(clip["cause"], "size", "{clip}");
        assert!((500_000..=1_500_000).contains(&size), "cut near 1 MB, not at {size}");
    }
    let shown = show(&server, &clips, FPS).await;
    assert_eq!((shown.missing, shown.duplicate), (0, 0), "{:?}", shown.numbers);
}
