//! A live through the real WHIP path, rewound while it goes on and after it: what HLS gives is what was sent, once, also after a restart.

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::{House, Publisher, Server, soak};

const FPS: u32 = 30;

fn seconds() -> u32 {
    if soak() { 90 } else { 17 }
}

/// A playlist as a player reads it.
#[derive(Clone, Debug, Default)]
struct Playlist {
    text: String,
    /// Initialisation segment, segment and length in seconds, in order.
    segments: Vec<(String, String, f64)>,
    discontinuities: usize,
    ended: bool,
}

impl Playlist {
    fn parse(text: String) -> Self {
        let mut playlist = Self { ended: text.ends_with("#EXT-X-ENDLIST\n"), ..Self::default() };
        let (mut map, mut lasts) = (String::new(), 0.0);
        for line in text.lines() {
            if let Some(uri) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
                map = uri.trim_end_matches('"').to_owned();
            } else if let Some(length) = line.strip_prefix("#EXTINF:") {
                lasts = length.trim_end_matches(',').parse().expect("a length");
            } else if line == "#EXT-X-DISCONTINUITY" {
                playlist.discontinuities += 1;
            } else if !line.starts_with('#') {
                playlist.segments.push((map.clone(), line.to_owned(), lasts));
            }
        }
        playlist.text = text;
        playlist
    }

    fn seconds(&self) -> f64 {
        self.segments.iter().map(|(_, _, lasts)| lasts).sum()
    }
}

async fn ask(server: &Server, broadcast: &str, name: &str) -> reqwest::Response {
    let url = server.url(&format!("/api/broadcasts/{broadcast}/hls/{name}"));
    server.http.get(url).send().await.expect("the server answers")
}

async fn playlist(server: &Server, broadcast: &str) -> Option<Playlist> {
    let answer = ask(server, broadcast, "index.m3u8").await;
    match answer.status().as_u16() {
        200 => {
            assert_eq!(answer.headers()["content-type"], "application/vnd.apple.mpegurl");
            Some(Playlist::parse(answer.text().await.expect("a body")))
        }
        404 => {
            assert!(answer.headers().contains_key("retry-after"), "{:?}", answer.text().await);
            None
        }
        other => panic!("the playlist: {other} {}", answer.text().await.unwrap_or_default()),
    }
}

async fn bytes(server: &Server, broadcast: &str, name: &str) -> Vec<u8> {
    let answer = ask(server, broadcast, name).await;
    assert_eq!(answer.status(), 200, "{name}");
    assert!(answer.headers()["cache-control"].to_str().is_ok_and(|value| value.contains("immutable")));
    answer.bytes().await.expect("a body").to_vec()
}

/// Every file that a playlist names.
async fn fetch(server: &Server, broadcast: &str, playlist: &Playlist) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (init, segment, _) in &playlist.segments {
        for name in [init, segment] {
            if !files.contains_key(name) {
                files.insert(name.clone(), bytes(server, broadcast, name).await);
            }
        }
    }
    files
}

async fn broadcast(server: &Server) -> String {
    server
        .until(Duration::from_secs(20), "a live", async |server| {
            let page: Value = server.get("/api/broadcasts").await;
            page["items"].as_array().and_then(|items| Some(items.first()?["id"].as_str()?.to_owned()))
        })
        .await
}

/// As one file: what a player appends, one after the other.
fn joined(folder: &Path, playlist: &Playlist, files: &BTreeMap<String, Vec<u8>>) -> std::path::PathBuf {
    let path = folder.join("joined.mp4");
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(&files[&playlist.segments[0].0]).expect("written");
    for (_, segment, _) in &playlist.segments {
        file.write_all(&files[segment]).expect("written");
    }
    path
}

fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{name} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Times of one kind of packets, as ffprobe reads them: (begin, length) in seconds.
fn packets(path: &Path, kind: &str) -> Vec<(f64, f64)> {
    let show =
        ["-v", "error", "-select_streams", kind, "-show_entries", "packet=dts_time,duration_time", "-of", "csv=p=0"];
    let listed = tool("ffprobe", &[&show[..], &[path.to_str().expect("a path")]].concat());
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or_else(|error| panic!("{error}: {listed}"));
    listed
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(',').filter(|field| !field.is_empty());
            let (begin, lasts) = (number(fields.next()?), fields.next()?);
            // ffprobe tells how long packets of H.264 last and not those of others: the test publisher's are as long as each other.
            let usual = if kind == "a:0" { 0.02 } else { 1.0 / f64::from(FPS) };
            Some((begin, if lasts == "N/A" { usual } else { number(lasts) }))
        })
        .collect()
}

async fn story(codec: &str) {
    let house = House::new(&[("CLIP_LENGTH", "5"), ("CLIP_VISIBILITY", "published")]);
    let server = house.start();
    let seconds = seconds();
    let publisher = Publisher::start(&server, "main", &["--codec", codec, "--seconds", &seconds.to_string()]);
    let id = broadcast(&server).await;
    // Rewound while it goes on, across a rollover.
    let within = Duration::from_secs(60);
    let early = server
        .until(within, "segments of two parts", async |server| {
            let playlist = playlist(server, &id).await?;
            assert!(!playlist.ended, "{}", playlist.text);
            playlist.segments.iter().any(|(_, name, _)| name.starts_with("1-")).then_some(playlist)
        })
        .await;
    let while_live = fetch(&server, &id, &early).await;
    publisher.finish();
    server.ended(Duration::from_secs(60)).await;
    let after = server
        .until(within, "the end of the playlist", async |server| playlist(server, &id).await.filter(|p| p.ended))
        .await;
    assert!(after.text.starts_with(early.text.trim_end()), "{}\nis not continued by\n{}", early.text, after.text);
    assert_eq!(after.discontinuities, 0, "{}", after.text);
    assert!(server.stop().success());

    let server = house.start();
    let again = playlist(&server, &id).await.expect("a playlist");
    assert_eq!(again.text, after.text);
    let files = fetch(&server, &id, &again).await;
    for (name, bytes) in &while_live {
        assert_eq!(files[name], *bytes, "{name} of {codec} was other bytes before the restart");
    }
    let tag = ask(&server, &id, "index.m3u8").await.headers()["etag"].clone();
    let url = server.url(&format!("/api/broadcasts/{id}/hls/index.m3u8"));
    let same = server.http.get(url).header("if-none-match", tag).send().await.expect("an answer");
    assert_eq!(same.status(), 304);
    for (name, status) in
        [("0-9999.m4s", 404), ("9-0.m4s", 404), ("init-0123456789abcdef.mp4", 404), ("..%2f0-0.m4s", 404)]
    {
        assert_eq!(ask(&server, &id, name).await.status(), status, "{name}");
    }
    let pictures = check_media(codec, seconds, &again, &files).await;
    check_by_playlist(codec, &server.url(&format!("/api/broadcasts/{id}/hls/index.m3u8")), pictures).await;
    assert!(server.stop().success());
}

/// A player of another make (ffmpeg) that is given the address of the playlist and nothing else: it finds every picture, and complains of nothing.
async fn check_by_playlist(codec: &str, url: &str, pictures: usize) {
    let (codec, url) = (codec.to_owned(), url.to_owned());
    let judged = tokio::task::spawn_blocking(move || {
        tool("ffmpeg", &["-v", "error", "-i", &url, "-f", "null", "-"]);
        let show = ["-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0"];
        let told = tool("ffprobe", &[&["-v", "error", "-count_frames"][..], &show, &[&url]].concat());
        let mut streams: Vec<&str> =
            told.lines().map(|line| line.trim_end_matches(',')).filter(|l| !l.is_empty()).collect();
        streams.sort_unstable();
        streams.dedup();
        assert_eq!(streams.len(), 2, "{told}");
        assert!(streams.contains(&format!("{codec},{pictures}").as_str()), "{pictures} pictures of {codec}: {told}");
        assert!(streams.iter().any(|stream| stream.starts_with("opus,")), "{told}");
    });
    judged.await.expect("no panic");
}

/// How many pictures there are.
async fn check_media(codec: &str, seconds: u32, playlist: &Playlist, files: &BTreeMap<String, Vec<u8>>) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let path = joined(folder.path(), playlist, files);
    let file = path.to_str().expect("a path");
    // Nothing that a decoder complains of, and every picture once. What reads the numbers is given one piece: of some files in fragments
    // its demuxer and parser lose the last picture before a keyframe, which other players show.
    tool("ffmpeg", &["-v", "error", "-i", file, "-f", "null", "-"]);
    let one_piece = folder.path().join("one-piece.mp4");
    tool("ffmpeg", &["-v", "error", "-i", file, "-c", "copy", one_piece.to_str().expect("a path")]);
    let decoded = {
        tokio::task::spawn_blocking(move || pipeline::inspect::clip(&one_piece))
            .await
            .expect("no panic")
            .expect("it decodes")
    };
    let numbers = decoded.numbers().expect("every picture has its number");
    let expected: Vec<u32> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "{codec}");
    assert!(numbers.len() as u32 >= (seconds - 2) * FPS, "{} pictures of {seconds} s", numbers.len());

    // No moment is left out or told twice, of neither track, and together they last as long as the playlist says.
    for kind in ["v:0", "a:0"] {
        let packets = packets(&path, kind);
        assert!(!packets.is_empty(), "{codec}: no {kind}");
        for pair in packets.windows(2) {
            let gap = pair[1].0 - (pair[0].0 + pair[0].1);
            assert!(gap.abs() <= 0.002, "{codec} {kind}: {gap} s between {pair:?}");
        }
        let (first, last) = (packets[0], packets[packets.len() - 1]);
        let lasts = last.0 + last.1 - first.0;
        assert!((lasts - playlist.seconds()).abs() < 0.7, "{codec} {kind}: {lasts} s of {}", playlist.seconds());
    }
    numbers.len()
}

#[tokio::test]
async fn replays_of_h264_are_what_was_sent() {
    story("h264").await;
}

#[tokio::test]
async fn replays_of_vp9_are_what_was_sent() {
    story("vp9").await;
}

#[tokio::test]
async fn replays_of_av1_are_what_was_sent() {
    story("av1").await;
}

#[tokio::test]
async fn replays_of_vp8_are_refused_by_name() {
    let house = House::new(&[]);
    let server = house.start();
    let publisher = Publisher::start(&server, "main", &["--codec", "vp8", "--seconds", "6"]);
    let id = broadcast(&server).await;
    let problem = server
        .until(Duration::from_secs(30), "a refusal", async |server| {
            let answer = ask(server, &id, "index.m3u8").await;
            let status = answer.status().as_u16();
            let problem: Value = answer.json().await.expect("a problem");
            (status == 415).then_some(problem)
        })
        .await;
    assert_eq!(problem["code"], "unsupported_media_type");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("VP8")), "{problem}");
    publisher.finish();
    let nothing = ask(&server, "0000000000000000000000000a", "index.m3u8").await;
    assert_eq!(nothing.status(), 404);
    assert!(server.stop().success());
}
