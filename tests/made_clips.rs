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

/// The numbers of the pictures of a file, and when each is shown in it, milliseconds.
async fn pictures_of(server: &Server, clip: &Value) -> Vec<(u32, f64)> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = server.download(clip, folder.path()).await;
    let seen = tokio::task::spawn_blocking(move || pipeline::inspect::clip(&file)).await.expect("no panic");
    let pictures = seen.expect("it decodes").pictures;
    pictures.iter().map(|p| (p.number.expect("a number"), p.pts_ns as f64 / 1e6)).collect()
}

/// Hashes of the packets of a file's pictures, and which of them are keyframes.
async fn packets_of(server: &Server, clip: &Value) -> Vec<(bool, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = server.download(clip, folder.path()).await;
    let path = file.to_str().expect("a path");
    let show = ["-v", "error", "-select_streams", "v", "-show_data_hash", "sha256", "-show_entries"];
    let told = tool("ffprobe", &[&show[..], &["packet=flags,data_hash", "-of", "json", path]].concat());
    let told: Value = serde_json::from_str(&told).expect("JSON of ffprobe");
    let packets = told["packets"].as_array().expect("packets").iter();
    packets.map(|p| (p["flags"].as_str().expect("flags").starts_with('K'), p["data_hash"].to_string())).collect()
}

/// Every part of the recording is deleted, journals and all, and the database is built anew from the store. What was made of it is cut as if it were the
/// recording.
async fn what_was_made_outlives_the_recording(codec: &str) {
    let mut house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    Publisher::start(&server, "main", &["--codec", codec, "--seconds", "13"]).finish();
    let parts = server.ended(Duration::from_secs(40)).await;
    let pictures = shown_when(&server, &parts).await;
    let border_ms = parts[1]["fromMs"].as_f64().expect("its start");
    let border = pictures.iter().position(|(_, at)| *at >= border_ms - 2.0).expect("a border");
    let of = |from: usize, to: usize| json!({ "broadcast": parts[0]["broadcast"], "fromMs": pictures[from].1 as u64, "toMs": pictures[to].1 as u64 });
    let story = Story { server, folder: tempfile::tempdir().expect("a folder") };
    let (across, late) = (of(border - 77, border + 53), of(border + 71, border + 133));
    let (trim, ..) = story.make(json!({ "pieces": [across], "precision": "exact" })).await;
    let (merge, ..) = story.make(json!({ "pieces": [late, across], "precision": "exact" })).await;
    story.server.nothing_on_its_way(Duration::from_secs(60)).await;
    let is_a_start = |timeline: &Value, at: f64| {
        let keys = timeline["keyframesMs"].as_array().expect("keyframes");
        keys.iter().any(|key| (key.as_f64().expect("a time") - at).abs() < 2.0)
    };
    for part in &parts {
        let path = format!("/api/clips/{}", part["id"].as_str().expect("an id"));
        let answer =
            story.server.http.delete(story.server.url(&path)).bearer_auth(KEY).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    }
    let gone = || walk(&house.data()).iter().all(|path| path.extension().is_none_or(|e| e != journal::EXTENSION));
    story.server.until(Duration::from_secs(60), "no journal", async |_| gone().then_some(())).await;
    story.server.nothing_on_its_way(Duration::from_secs(60)).await;
    assert!(story.server.stop().success());

    for name in ["oxbow.db", "oxbow.db-wal", "oxbow.db-shm"] {
        let _ = std::fs::remove_file(house.data().join(name));
    }
    let (status, told) = house.run("reindex");
    assert!(status.success(), "{told}");
    house.set("JOURNAL_KEEP", "0");
    let story = Story { server: house.start(), ..story };
    let left = story.server.get_with_key("/api/clips").await;
    let kinds: Vec<&Value> = left["items"].as_array().expect("clips").iter().map(|clip| &clip["kind"]).collect();
    assert_eq!(kinds, ["made", "made"], "nothing is left of the recording");

    // Of the trim: from the middle of a group of pictures to the middle of another.
    let id = |clip: &Value| clip["id"].as_str().expect("an id").to_owned();
    let shown = pictures_of(&story.server, &trim).await;
    let piece = |clip: &Value, from: (u32, f64), to: (u32, f64)| json!({ "clip": clip["id"], "fromMs": (from.1 - 1.0).max(0.0) as u64, "toMs": (to.1 - 1.0) as u64 });
    let middle = piece(&trim, shown[9], shown[117]);
    let expected: Vec<u32> = shown[9..117].iter().map(|(number, _)| *number).collect();
    let (again, judged, numbers) = story.make(json!({ "pieces": [middle], "precision": "exact" })).await;
    assert_eq!(numbers, expected, "the picture that was asked for is the first, and none is missing");
    assert_eq!((judged.codecs(), judged.streams[0].2), (vec![codec, "opus"], numbers.len() as u64));
    let (of_trim, of_again) = (packets_of(&story.server, &trim).await, packets_of(&story.server, &again).await);
    let second = of_again.iter().skip(1).position(|(key, _)| *key).expect("a keyframe behind the first") + 1;
    let copied = &of_again[second..];
    assert!(copied.len() > 30, "{} of {}", copied.len(), of_again.len());
    assert!(of_trim.windows(copied.len()).any(|same| same == copied), "copied bit by bit from the second keyframe on");
    assert!(story.server.printed().contains("a journal was brought back from the store"), "by range reads");
    // A generation later, when even what it was made of is gone.
    let path = format!("/api/clips/{}", id(&trim));
    let timeline = story.server.get_with_key(&format!("{path}/timeline")).await;
    assert!(is_a_start(&timeline, timeline["fromMs"].as_f64().expect("its start")), "{timeline}");
    for (format, codecs) in [("compatible", vec!["h264", "aac"]), ("audio", vec!["opus"])] {
        let (_, judged, numbers) =
            story.make(json!({ "pieces": [middle], "precision": "exact", "format": format })).await;
        assert_eq!(judged.codecs(), codecs);
        assert!(format == "audio" || numbers == expected, "{format}: {numbers:?}");
    }
    let key =
        timeline["keyframesMs"].as_array().and_then(|keys| keys.get(1)).and_then(Value::as_f64).expect("a keyframe");
    let key_ms = key - timeline["fromMs"].as_f64().expect("its start");
    let at_key = shown.iter().find(|(_, at)| *at >= key_ms - 2.0).expect("its picture");
    let fast = json!({ "clip": trim["id"], "fromMs": key_ms.ceil() as u64, "toMs": key_ms as u64 + 500 });
    let (_, _, numbers) = story.make(json!({ "pieces": [fast] })).await;
    assert_eq!(numbers.first(), Some(&at_key.0), "a fast cut begins at the keyframe that the timeline shows");
    cover_of_a_moment(&story.server, &id(&trim)).await;

    // Of the merge, in its own time: within its second piece, and across the border of the two.
    let shown = pictures_of(&story.server, &merge).await;
    let second = shown.windows(2).position(|pair| pair[1].0 < pair[0].0).expect("where the second piece begins") + 1;
    let timeline = story.server.get_with_key(&format!("/api/clips/{}/timeline", id(&merge))).await;
    assert_eq!((&timeline["broadcast"], &timeline["fromMs"]), (&Value::Null, &json!(0.0)), "{timeline}");
    assert!(is_a_start(&timeline, shown[0].1) && is_a_start(&timeline, shown[second].1), "{timeline}");
    for (from, to) in [(second + 11, second + 101), (second - 17, second + 13), (0, shown.len() - 1)] {
        let (clip, judged, numbers) =
            story.make(json!({ "pieces": [piece(&merge, shown[from], shown[to])], "precision": "exact" })).await;
        let expected: Vec<u32> = shown[from..to].iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, expected, "pictures {from} to {to} of the merge, {clip}");
        assert_eq!(judged.codecs(), [codec, "opus"]);
    }
    story.server.nothing_on_its_way(Duration::from_secs(60)).await;
    let deleted = story.server.http.delete(story.server.url(&path)).bearer_auth(KEY).send().await.expect("an answer");
    assert!(deleted.status().is_success());
    let own = json!({ "clip": again["id"], "fromMs": 300, "toMs": 1300 });
    let (_, _, numbers) = story.make(json!({ "pieces": [own], "precision": "exact" })).await;
    assert_eq!(numbers, expected[9..39], "of what was made of what was made");
    story.server.nothing_on_its_way(Duration::from_secs(60)).await;
    assert!(story.server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn what_was_made_of_h264_outlives_the_recording() {
    what_was_made_outlives_the_recording("h264").await;
}

#[tokio::test]
async fn what_was_made_of_vp8_outlives_the_recording() {
    what_was_made_outlives_the_recording("vp8").await;
}

/// A picture from the middle of a stored clip becomes its cover, and stays one of its pictures; what is no moment of it is refused.
async fn cover_of_a_moment(server: &Server, clip: &str) {
    let path = format!("/api/clips/{clip}/posters");
    let choose =
        async |path: &str, at_ms: u64| answer(ask(server, path, &json!({ "atMs": at_ms })).bearer_auth(KEY)).await;
    let before = server.get_with_key(&path).await.as_array().expect("pictures").len();
    for _ in 0..2 {
        let (status, clip) = choose(&path, 1234).await;
        assert_eq!(status, StatusCode::OK, "{clip}");
        let posters = clip["posters"].as_array().expect("pictures");
        assert_eq!(posters.len(), before + 1, "the same moment is one picture: {clip}");
        let made = posters.last().expect("a picture");
        assert!(made["chosen"] == true && (1234..1300).contains(&made["atMs"].as_u64().expect("a time")), "{made}");
        let asked = server.http.get(server.url(made["url"].as_str().expect("an address"))).bearer_auth(KEY);
        let picture = asked.send().await.expect("an answer");
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
