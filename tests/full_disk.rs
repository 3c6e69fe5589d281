//! The disk of a house fills up in the middle of a live: the live goes on, the recording says what it lost and goes on when there is room.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::follower::Follower;
use support::{House, KEY, Publisher, Server, show};

const FPS: u32 = 30;

/// A small file system of its own: in a mount namespace that one process holds, so that nothing of it is left behind.
struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(folder: PathBuf, megabytes: u32) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder to mount on");
        let mount = format!(
            "mount -t tmpfs -o size={megabytes}m oxbow-story {} && echo ready && exec sleep infinity",
            folder.display()
        );
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &mount])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (of util-linux) starts");
        let mut said = String::new();
        let output = holder.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut said).expect("a line");
        assert_eq!(said, "ready\n", "a small file system can be mounted in a namespace");
        Self { holder, folder }
    }

    fn through(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        ["nsenter", "--target", &target, "--user", "--preserve-credentials", "--mount", "--"].map(str::to_owned).into()
    }

    fn filler(&self) -> PathBuf {
        let inside = self.folder.join("filler");
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), inside.display()))
    }

    /// Free bytes, as those who write there see them.
    fn free_bytes(&self) -> u64 {
        let inside = PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), self.folder.display()));
        let found = rustix::fs::statvfs(inside).expect("a file system");
        found.f_bavail * found.f_frsize
    }

    /// So many bytes are left.
    fn leave(&self, bytes: u64) {
        let size = self.free_bytes().saturating_sub(bytes);
        let mut file = File::options().append(true).create(true).open(self.filler()).expect("a file on the small disk");
        for _ in 0..size / 65_536 {
            file.write_all(&[0; 65_536]).expect("there is space");
        }
    }

    /// Not a byte is left.
    fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file on the small disk");
        let refusal = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(refusal.kind(), std::io::ErrorKind::StorageFull, "{refusal}");
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler can go");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

async fn metric(server: &Server, name: &str) -> f64 {
    let text = server.metrics().await;
    let values = text.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn a_live_goes_on_while_its_disk_is_full() {
    // without watermarks: until the disk itself refuses
    let mut house = House::new(&[("CLIP_LENGTH", "3"), ("DISK_SOFT", "0"), ("DISK_HARD", "0")]);
    let disk = SmallDisk::mount(house.data(), 32);
    house.through = disk.through();
    let server = house.start();
    Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360", "--seconds", "6"]).finish();
    let before = server.ended(Duration::from_secs(30)).await.len();

    let publisher = Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360", "--seconds", "30"]);
    server.all_stored(before + 1, Duration::from_secs(30)).await;
    disk.fill();
    server
        .until(Duration::from_secs(20), "the recording says that the disk is full", async |server| {
            server.printed().contains("the recording has a gap: the disk did not take it in time").then_some(())
        })
        .await;
    let live = server.get("/api/channels/main").await;
    assert_eq!(live["live"]["state"], "live", "{live}");
    let received = metric(&server, "oxbow_packets_in_total").await;
    server
        .until(Duration::from_secs(10), "the live goes on", async |server| {
            (metric(server, "oxbow_packets_in_total").await > received + 100.0).then_some(())
        })
        .await;
    disk.free();
    publisher.finish();
    let clips = server
        .until(Duration::from_secs(60), "both broadcasts are stored", async |server| {
            let clips = server.clips().await;
            let ends = clips.iter().filter(|clip| clip["cause"] == "end").count();
            (ends == 2 && clips.iter().all(|clip| clip["state"] == "stored")).then_some(clips)
        })
        .await;

    let clips = &clips[before..];
    // What still fitted on the disk when it filled up may be a sound of 20 ms, without its picture.
    let with_pictures: Vec<_> = clips.iter().filter(|clip| clip["video"].is_string()).cloned().collect();
    let shown = show(&server, &with_pictures, FPS).await;
    let holes = shown.numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!((shown.duplicate, holes), (0, 1), "one hole, where the disk was full: {:?}", shown.numbers);
    let said: u64 = clips.iter().filter_map(|clip| clip["lostMs"].as_u64()).sum();
    let lost = u64::from(shown.missing) * 1_000 / u64::from(FPS);
    assert!(said.abs_diff(lost) <= 500, "{said} ms are said to be lost, {lost} ms are");
    let printed = server.printed();
    for alarm in ["the recording cannot be written", "the recording has a gap", "the job table cannot be written"] {
        let times = printed.lines().filter(|line| line.contains(alarm)).count();
        assert!(times <= 3, "said {times} times: {alarm}\n{printed}");
    }
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

/// The journals in the data folder.
fn journals(disk: &SmallDisk) -> Vec<String> {
    let root = PathBuf::from(format!("/proc/{}/root{}", disk.holder.id(), disk.folder.join("journal").display()));
    let folders = std::fs::read_dir(root).expect("journals").flatten();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let mut names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn with_key(server: &Server, path: &str) -> serde_json::Value {
    let asked = server.http.get(server.url(path)).bearer_auth(KEY);
    asked.send().await.expect("the server answers").json().await.expect("an answer")
}

async fn storage(server: &Server) -> serde_json::Value {
    with_key(server, "/api/storage").await
}

/// All clips, oldest part first; the hidden ones too.
async fn all(server: &Server) -> Vec<serde_json::Value> {
    let mut clips = with_key(server, "/api/clips?limit=100").await["items"].as_array().expect("items").clone();
    clips.sort_by_key(|clip| clip["part"].as_u64());
    clips
}

async fn is_in(server: &Server, state: &str) {
    server
        .until(Duration::from_secs(20), &format!("the disk is {state}"), async |server| {
            (storage(server).await["disk"]["state"] == state).then_some(())
        })
        .await;
}

const MB: u64 = 1_000_000;

#[tokio::test]
async fn below_its_watermarks_journals_go_then_recording_stops_and_comes_back() {
    let settings = [("CLIP_LENGTH", "3"), ("DISK_SOFT", "24"), ("DISK_HARD", "12")];
    let mut house = House::new(&settings);
    let disk = SmallDisk::mount(house.data(), 64);
    house.through = disk.through();
    let server = house.start();
    let mut told = Follower::after(&server, "start", "?types=storage.low,storage.full,storage.ok").await;
    assert_eq!(server.http.get(server.url("/api/storage")).send().await.expect("an answer").status(), 401);
    Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360", "--seconds", "7"]).finish();
    let before = server.ended(Duration::from_secs(30)).await;
    is_in(&server, "ok").await;
    assert_eq!(journals(&disk).len(), before.len(), "a journal is kept after its clip is stored");

    // Soft: what the journals hold is stored, so they go; recording goes on.
    let publisher = Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360", "--seconds", "45"]);
    server.all_stored(before.len() + 1, Duration::from_secs(30)).await;
    disk.leave(20 * MB);
    server
        .until(Duration::from_secs(20), "journals of stored clips go", async |_| {
            let left = journals(&disk).concat();
            before.iter().all(|clip| !left.contains(clip["id"].as_str().expect("an id"))).then_some(())
        })
        .await;
    let clips = server.clips().await.len();
    server.all_stored(clips + 1, Duration::from_secs(30)).await;
    assert!(!server.printed().contains("recording has stopped"), "{}", server.printed());

    // Hard: recording stops, the live does not, what was recorded is stored.
    disk.leave(9 * MB);
    is_in(&server, "full").await;
    let alarms = storage(&server).await["alarms"].to_string();
    assert!(alarms.contains("recording has stopped: the disk has") && alarms.contains("DISK_HARD"), "{alarms}");
    let stopped = server
        .until(Duration::from_secs(20), "the part that was recorded is stored", async |server| {
            let clips = server.clips().await;
            let whole = clips.last().is_some_and(|clip| clip["cause"] == "interrupted");
            (whole && clips.iter().all(|clip| clip["state"] == "stored")).then_some(clips.len())
        })
        .await;
    let received = metric(&server, "oxbow_packets_in_total").await;
    server
        .until(Duration::from_secs(10), "the live goes on", async |server| {
            (metric(server, "oxbow_packets_in_total").await > received + 200.0).then_some(())
        })
        .await;
    assert_eq!(server.get("/api/channels/main").await["live"]["state"], "live");
    assert_eq!(server.clips().await.len(), stopped, "nothing is recorded");

    // Space again: it goes on by itself, in the same broadcast.
    disk.free();
    is_in(&server, "ok").await;
    let full = |heard: &[serde_json::Value]| heard.iter().position(|event| event["type"] == "storage.full");
    let ends = |heard: &[serde_json::Value]| heard.last().is_some_and(|event| event["type"] == "storage.ok");
    assert!(told.until(|heard| full(heard).is_some() && ends(heard)).await);
    assert_eq!(told.heard[0]["type"], "storage.low", "{:#?}", told.heard);
    assert!(told.heard.windows(2).all(|pair| pair[0]["type"] != pair[1]["type"]), "{:#?}", told.heard);
    let disk = |at: usize| &told.heard[at]["data"]["disk"];
    let free = |at: usize| disk(at)["freeBytes"].as_u64().expect("bytes");
    let stopped_at = full(&told.heard).expect("it was full");
    assert!(
        free(0) < 24 * MB && free(stopped_at) < 12 * MB && free(told.heard.len() - 1) >= 24 * MB,
        "{:#?}",
        told.heard
    );
    assert_eq!((&disk(0)["softBytes"], &disk(0)["hardBytes"]), (&(24 * MB).into(), &(12 * MB).into()));
    publisher.finish();
    let clips = server.ended(Duration::from_secs(60)).await;
    let clips = &clips[before.len()..];
    assert!(clips.len() > stopped - before.len(), "it went on");
    assert!(clips.iter().all(|clip| clip["broadcast"] == clips[0]["broadcast"]), "{clips:#?}");
    let shown = show(&server, clips, FPS).await;
    let holes = shown.numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!((shown.duplicate, holes), (0, 1), "one hole, while it was stopped: {:?}", shown.numbers);
    let said: u64 = clips.iter().filter_map(|clip| clip["lostMs"].as_u64()).sum();
    let lost = u64::from(shown.missing) * 1_000 / u64::from(FPS);
    assert!(said.abs_diff(lost) <= 500, "{said} ms are said to be lost, {lost} ms are");
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn old_clips_go_as_previewed_and_those_kept_for_good_stay() {
    let mut house = House::new(&[("CLIP_LENGTH", "2"), ("CLIP_VISIBILITY", "hidden")]);
    let disk = SmallDisk::mount(house.data(), 64);
    house.through = disk.through();
    let server = house.start();
    Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360", "--seconds", "24"]).finish();
    let clips = server
        .until(Duration::from_secs(60), "the broadcast is stored", async |server| {
            let clips = all(server).await;
            let ended = clips.last().is_some_and(|clip| clip["cause"] == "end");
            (ended && clips.iter().all(|clip| clip["state"] == "stored")).then_some(clips)
        })
        .await;
    let id = |clip: &serde_json::Value| clip["id"].as_str().expect("an id").to_owned();
    let edit = async |clip: &serde_json::Value, body: serde_json::Value| {
        let patch = server.http.patch(server.url(&format!("/api/clips/{}", id(clip)))).bearer_auth(KEY).json(&body);
        assert_eq!(patch.send().await.expect("an answer").status(), 200, "{body}");
    };
    edit(&clips[0], serde_json::json!({ "pinned": true })).await;
    edit(&clips[1], serde_json::json!({ "visibility": "published" })).await;
    assert!(server.stop().success());

    // The newest that fit stay, and what somebody keeps, which does not count.
    house.set("KEEP_CHANNELS", "main:1MB,side:all");
    let server = house.start();
    let size = |clip: &serde_json::Value| clip["size"].as_u64().expect("a size");
    let mut room = MB;
    let mut expected: Vec<String> = clips[..2].iter().map(id).collect();
    for clip in clips[2..].iter().rev() {
        let Some(left) = room.checked_sub(size(clip)) else { break };
        room = left;
        expected.push(id(clip));
    }
    expected.sort();
    assert!(expected.len() > 2 && expected.len() < clips.len(), "{} of {} clips stay", expected.len(), clips.len());
    let left = server
        .until(Duration::from_secs(90), "what is too much goes", async |server| {
            let mut left: Vec<String> = all(server).await.iter().map(id).collect();
            left.sort();
            (left.len() <= expected.len()).then_some(left)
        })
        .await;
    assert_eq!(left, expected);
    let mut told = Follower::after(&server, "start", "?types=clip.deleted").await;
    assert!(told.until(|heard| heard.len() >= clips.len() - expected.len()).await);
    let mut gone: Vec<&str> = told.heard.iter().filter_map(|event| event["data"]["clip"]["id"].as_str()).collect();
    gone.extend(expected.iter().map(String::as_str));
    gone.sort_unstable();
    let mut known: Vec<String> = clips.iter().map(id).collect();
    known.sort();
    assert_eq!(gone, known, "each clip stayed or was said to be deleted, once");
    let report = with_key(&server, "/api/retention").await;
    assert_eq!((report["clips"].as_u64(), report["items"].as_array().map(Vec::len)), (Some(0), Some(0)), "{report}");
    let usage = storage(&server).await["channels"][0].clone();
    assert_eq!(
        (usage["keptClips"].as_u64(), usage["clips"].as_u64()),
        (Some(2), Some(expected.len() as u64)),
        "{usage}"
    );
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}
