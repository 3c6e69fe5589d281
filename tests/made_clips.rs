//! What `POST /api/clips` makes of pieces, in each precision and format: judged by ffprobe, and by the numbers in the decoded pictures.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::orders::{answer, ask, made, shown_when};
use support::{House, KEY, Publisher, Server};

const FPS: u32 = 30;

fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.trim().is_empty(), "{name} {arguments:?}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file as somebody else's tools see it.
struct Judged {
    container: String,
    /// (kind, codec, decoded frames) of each stream.
    streams: Vec<(String, String, u64)>,
    seconds: f64,
}

impl Judged {
    fn of(file: &Path) -> Self {
        let path = file.to_str().expect("a path");
        // Nothing that a decoder complains of.
        tool("ffmpeg", &["-v", "error", "-i", path, "-f", "null", "-"]);
        let show = "format=format_name,duration:stream=codec_type,codec_name,nb_read_frames";
        let told = tool("ffprobe", &["-v", "error", "-count_frames", "-show_entries", show, "-of", "json", path]);
        let told: Value = serde_json::from_str(&told).expect("JSON of ffprobe");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut streams: Vec<_> = told["streams"]
            .as_array()
            .expect("streams")
            .iter()
            .map(|s| {
                (text(&s["codec_type"]), text(&s["codec_name"]), text(&s["nb_read_frames"]).parse().expect("frames"))
            })
            .collect();
        streams.sort_by(|one, other| other.cmp(one));
        let seconds = text(&told["format"]["duration"]).parse().expect("a duration");
        Self { container: text(&told["format"]["format_name"]), streams, seconds }
    }

    fn codecs(&self) -> Vec<&str> {
        self.streams.iter().map(|(_, codec, _)| codec.as_str()).collect()
    }
}

struct Story {
    server: Server,
    folder: tempfile::TempDir,
}

impl Story {
    /// Has a clip made, fetches it, and has it judged: the clip, what it is, and the numbers that it shows.
    async fn make(&self, wanted: Value) -> (Value, Judged, Vec<u32>) {
        let (status, announced) = answer(ask(&self.server, "/api/clips", &wanted).bearer_auth(KEY)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{wanted}: {announced}");
        let clip = made(&self.server, &announced).await;
        let file = self.server.download(&clip, self.folder.path()).await;
        let judged = tokio::task::spawn_blocking(move || {
            let judged = Judged::of(&file);
            let has_picture = judged.streams.iter().any(|(kind, ..)| kind == "video");
            let numbers = has_picture.then(|| pipeline::inspect::clip(&file).expect("it decodes").numbers());
            (judged, numbers.transpose().expect("every number can be read").unwrap_or_default())
        });
        let (judged, numbers) = judged.await.expect("no panic");
        (clip, judged, numbers)
    }
}

async fn story(codec: &str) {
    let house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    Publisher::start(&server, "main", &["--codec", codec, "--seconds", "13"]).finish();
    let parts = server.ended(Duration::from_secs(40)).await;
    let pictures = shown_when(&server, &parts).await;
    let story = Story { server, folder: tempfile::tempdir().expect("a folder") };

    // From the middle of a group of pictures of one part to the middle of one of the next.
    let border_ms = parts[1]["fromMs"].as_f64().expect("its start");
    let border = pictures.iter().position(|(_, at)| *at >= border_ms - 2.0).expect("a border");
    let (first, end) = (pictures[border - 37], pictures[border + 23]);
    let expected: Vec<u32> = (first.0..end.0).collect();
    let seconds = expected.len() as f64 / f64::from(FPS);
    let piece = json!({ "broadcast": parts[0]["broadcast"], "fromMs": first.1 as u64, "toMs": end.1 as u64 });
    let order = |precision: &str, format: &str| json!({ "pieces": [piece], "precision": precision, "format": format });

    let container = if codec == "vp8" { "matroska,webm" } else { "mov,mp4,m4a,3gp,3g2,mj2" };
    let (clip, judged, numbers) = story.make(order("exact", "original")).await;
    assert_eq!(numbers, expected, "exact: the picture that was asked for is the first, and none is missing");
    assert_eq!((judged.container.as_str(), judged.codecs()), (container, vec![codec, "opus"]));
    assert_eq!(judged.streams[0].2, numbers.len() as u64, "decoded by others as well");
    assert!((judged.seconds - seconds).abs() < 0.1, "{} s of {seconds}", judged.seconds);
    assert_eq!(clip["recipe"]["precision"], "exact", "{clip}");

    let (_, judged, numbers) = story.make(order("fast", "original")).await;
    assert!(numbers[0] <= first.0, "fast: from the keyframe before {}: {numbers:?}", first.0);
    assert_eq!(numbers, (numbers[0]..end.0).collect::<Vec<u32>>(), "fast: up to where it was asked for");
    assert_eq!(judged.codecs(), [codec, "opus"]);

    let (clip, judged, numbers) = story.make(order("exact", "compatible")).await;
    assert_eq!(numbers, expected, "compatible");
    assert_eq!((judged.container.as_str(), judged.codecs()), ("mov,mp4,m4a,3gp,3g2,mj2", vec!["h264", "aac"]));
    assert_eq!((&clip["video"], &clip["audio"], &clip["mime"]), (&json!("h264"), &json!("aac"), &json!("video/mp4")));
    assert!((judged.seconds - seconds).abs() < 0.15, "{} s of {seconds}", judged.seconds);

    let (clip, judged, _) = story.make(order("exact", "audio")).await;
    assert_eq!(judged.codecs(), ["opus"], "sound alone");
    assert_eq!((&clip["video"], &clip["poster"], &clip["mime"]), (&Value::Null, &Value::Null, &json!("audio/mp4")));
    assert!((judged.seconds - seconds).abs() < 0.1, "{} s of {seconds}", judged.seconds);

    // A piece of a clip's own time, and one of the broadcast, joined at a picture that neither border is at.
    let of_clip = json!({ "clip": parts[1]["id"], "fromMs": 1000, "toMs": 2000 });
    let (_, _, numbers) = story.make(json!({ "pieces": [of_clip, piece], "precision": "exact" })).await;
    let (of_first, of_second) = numbers.split_at(numbers.len() - expected.len());
    assert_eq!(of_second, expected, "the second piece");
    assert!(of_first.windows(2).all(|pair| pair[1] == pair[0] + 1), "{of_first:?}");
    assert!(of_first.len().abs_diff(FPS as usize) <= 1, "a second of pictures: {of_first:?}");
    let begins = pictures.iter().find(|(number, _)| *number == of_first[0]).expect("a picture").1;
    assert!(
        (begins - border_ms - 1000.0).abs() <= 1000.0 / f64::from(FPS) + 2.0,
        "{begins} ms, the part at {border_ms}"
    );

    assert!(story.server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn pieces_of_h264_become_what_was_asked_for() {
    story("h264").await;
}

#[tokio::test]
async fn pieces_of_vp8_become_what_was_asked_for() {
    story("vp8").await;
}

/// Journals go some time after their clips were stored. What an editor is shown of the recording stays, and so does what it can have made of it.
#[tokio::test]
async fn the_timeline_outlives_the_journals() {
    let mut house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    Publisher::start(&server, "main", &["--codec", "h264", "--seconds", "17"]).finish();
    let parts = server.ended(Duration::from_secs(40)).await;
    let pictures = shown_when(&server, &parts).await;
    let of = |server: &Server, at: usize| {
        let path = format!("/api/clips/{}/timeline", parts[at]["id"].as_str().expect("an id"));
        let ask = server.http.get(server.url(&path)).bearer_auth(KEY);
        async move { answer(ask).await.1 }
    };
    let before = [of(&server, 0).await, of(&server, 1).await, of(&server, 2).await];
    for timeline in &before {
        assert!(timeline["keyframesMs"].as_array().is_some_and(|keys| keys.len() >= 3), "{timeline}");
    }
    assert!(server.stop().success());

    house.set("JOURNAL_KEEP", "0");
    let server = house.start();
    let journals = || {
        let all = walk(&house.data());
        all.iter().filter(|path| path.extension().is_some_and(|ending| ending == journal::EXTENSION)).count()
    };
    server.until(Duration::from_secs(60), "no journal", async |_| (journals() == 0).then_some(())).await;
    let number = |value: &Value| value.as_f64().expect("a number");
    for (at, before) in before.iter().enumerate() {
        let after = of(&server, at).await;
        assert_eq!(after["keyframesMs"], before["keyframesMs"], "part {at}");
        assert_eq!((&after["fromMs"], &after["toMs"]), (&before["fromMs"], &before["toMs"]));
        for edge in ["keptFromMs", "keptToMs"] {
            assert!(
                (number(&after[edge]) - number(&before[edge])).abs() < 100.0,
                "{edge} of part {at}: {after}, {before}"
            );
        }
    }

    let key = number(&before[1]["keyframesMs"][1]);
    let story = Story { server, folder: tempfile::tempdir().expect("a folder") };
    let piece = json!({ "broadcast": parts[0]["broadcast"], "fromMs": key.ceil() as u64, "toMs": key as u64 + 1000 });
    let (_, _, numbers) = story.make(json!({ "pieces": [piece] })).await;
    let shown = pictures.iter().find(|(_, at)| *at >= key - 2.0).expect("a picture").0;
    assert_eq!(numbers.first(), Some(&shown), "a fast cut begins at the keyframe that the timeline shows");
    cover_of_a_moment(&story.server, parts[1]["id"].as_str().expect("an id")).await;
    story.server.ended(Duration::from_secs(30)).await;
    assert!(story.server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

/// A picture from the middle of a stored clip becomes its cover, and stays one of its pictures; what is no moment of it is refused.
async fn cover_of_a_moment(server: &Server, clip: &str) {
    let path = format!("/api/clips/{clip}/posters");
    let choose =
        async |path: &str, at_ms: u64| answer(ask(server, path, &json!({ "atMs": at_ms })).bearer_auth(KEY)).await;
    let before = server.get(&path).await.as_array().expect("pictures").len();
    for _ in 0..2 {
        let (status, clip) = choose(&path, 1234).await;
        assert_eq!(status, StatusCode::OK, "{clip}");
        let posters = clip["posters"].as_array().expect("pictures");
        assert_eq!(posters.len(), before + 1, "the same moment is one picture: {clip}");
        let made = posters.last().expect("a picture");
        assert!(made["chosen"] == true && (1234..1300).contains(&made["atMs"].as_u64().expect("a time")), "{made}");
        let picture =
            server.http.get(server.url(made["url"].as_str().expect("an address"))).send().await.expect("an answer");
        assert_eq!(
            (picture.status(), &picture.headers()["content-type"]),
            (StatusCode::OK, &"image/jpeg".parse().unwrap())
        );
        assert!(picture.bytes().await.expect("a picture").starts_with(&[0xff, 0xd8, 0xff]));
    }
    let (status, refusal) = choose(&path, 60_000).await;
    assert_eq!((status, &refusal["code"]), (StatusCode::BAD_REQUEST, &json!("invalid")), "{refusal}");
    let (status, _) = choose("/api/clips/00000000000000000000000000/posters", 0).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}
