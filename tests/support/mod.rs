//! The real binary for stories that need the whole house: starts it on free ports with a data folder of its own, reads what it
//! prints, kills or stops it by its own pid.

#![allow(dead_code, reason = "each story uses its part")]

pub mod follower;
pub mod orders;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const KEY: &str = "a-stream-key-of-the-stories";

/// How much of a long story `make test` runs; `make soak` runs all of it.
pub fn soak() -> bool {
    std::env::var_os("OXBOW_SOAK").is_some()
}

/// A folder of one house: it survives restarts of the server in it, and is removed at the end.
pub struct House {
    pub folder: tempfile::TempDir,
    pub settings: Vec<(String, String)>,
    /// A program and its arguments that run the binary, when it is not run directly. It must become the binary, not start it.
    pub through: Vec<String>,
    starts: std::cell::Cell<u32>,
}

impl House {
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("oxbow-story-").tempdir().expect("a temporary folder");
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { folder, settings, through: Vec::new(), starts: std::cell::Cell::new(0) }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(n, _)| n != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self) -> Command {
        let mut words = self.through.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_oxbow")]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).env_clear().current_dir(self.folder.path());
        for name in ["PATH", "HOME", "LANG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let ours = [("PORT", "0"), ("PEER_PORT", "0"), ("PEER_HOST", "127.0.0.1"), ("STREAM_KEY", KEY)];
        // so that stories can look at clips as anybody
        command.envs(ours).env("CLIP_VISIBILITY", "published").env("DATA_DIR", self.data());
        command.envs(self.settings.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Starts the server and waits until it has printed its address.
    pub fn start(&self) -> Server {
        let start = self.starts.get() + 1;
        self.starts.set(start);
        let log = self.folder.path().join(format!("server-{start}.log"));
        let errors = File::create(&log).expect("a log file");
        let output = errors.try_clone().expect("the same file");
        let child = self
            .command()
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("the server's binary starts");
        // A story waits for other programs without a turn for its client, which then would not see the server close what was idle.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
        let mut server = Server { child: Some(child), log, base: String::new(), http };
        let deadline = Instant::now() + Duration::from_secs(60);
        server.base = loop {
            if let Some(base) = studio_link(&server.printed()) {
                break base;
            }
            if let Some(status) = server.child.as_mut().and_then(|child| child.try_wait().expect("a child to ask")) {
                panic!("the server ended with {status}:\n{}", server.printed());
            }
            assert!(Instant::now() < deadline, "no studio link within 60 s:\n{}", server.printed());
            std::thread::sleep(Duration::from_millis(20));
        };
        server
    }

    /// Runs `oxbow check` on the folder: its exit status and what it printed.
    pub fn check(&self) -> (ExitStatus, String) {
        self.run("check")
    }

    /// As [`House::check`], another of its commands.
    pub fn run(&self, name: &str) -> (ExitStatus, String) {
        let output = self.command().arg(name).stdin(Stdio::null()).output().expect("the binary runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&text).into_owned())
    }
}

/// `http://host:port` of the link that the server prints.
fn studio_link(printed: &str) -> Option<String> {
    let at = printed.find("/studio#key=")?;
    let start = printed[..at].rfind("http")?;
    Some(printed[start..at].to_owned())
}

pub struct Server {
    child: Option<Child>,
    log: PathBuf,
    pub base: String,
    pub http: reqwest::Client,
}

impl Server {
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.answer(path, self.http.get(self.url(path))).await
    }

    /// As who holds the key.
    pub async fn get_with_key(&self, path: &str) -> Value {
        self.answer(path, self.http.get(self.url(path)).bearer_auth(KEY)).await
    }

    async fn answer(&self, path: &str, request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await;
        let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error:?}\n{}", self.printed()));
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("GET {path}: {error}: {text}"))
    }

    /// All clips, oldest part first.
    pub async fn clips(&self) -> Vec<Value> {
        let mut clips = Vec::new();
        let mut path = "/api/clips?limit=100".to_owned();
        loop {
            let page = self.get(&path).await;
            clips.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => path = format!("/api/clips?limit=100&cursor={next}"),
                None => break,
            }
        }
        clips.sort_by_key(|clip| (clip["startedAt"].as_i64(), clip["part"].as_u64()));
        clips
    }

    /// How many clips this server can play now, stored or not. While the index is away the list answers from this disk, and with
    /// `away` when nothing waits there.
    pub async fn clips_on_disk(&self) -> usize {
        let answer = self.http.get(self.url("/api/clips?limit=1")).send().await.expect("the server answers");
        if answer.status() == 503 {
            return 0;
        }
        self.clips().await.iter().filter(|clip| clip["state"] != "exporting" && clip["state"] != "failed").count()
    }

    /// Waits for a condition that other processes bring about, asking ten times a second.
    pub async fn until<T>(&self, within: Duration, what: &str, mut ask: impl AsyncFnMut(&Server) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = ask(self).await {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {within:?}: {what}\n{}", tail(&self.printed()));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until no clip is on its way: all of at least `count` are stored.
    pub async fn all_stored(&self, count: usize, within: Duration) -> Vec<Value> {
        self.until(within, &format!("{count} clips stored"), async |server| {
            let clips = server.clips().await;
            (clips.len() >= count && clips.iter().all(|clip| clip["state"] == "stored")).then_some(clips)
        })
        .await
    }

    /// All clips once none is on its way, the newest hundred at most. Asked with the key: others do not see a clip that has no file yet.
    pub async fn nothing_on_its_way(&self, within: Duration) -> Vec<Value> {
        self.until(within, "every clip stored", async |server| {
            let page = server.get_with_key("/api/clips?limit=100").await;
            let mut clips = page["items"].as_array().expect("a list").clone();
            clips.sort_by_key(|clip| clip["part"].as_u64());
            clips.iter().all(|clip| clip["state"] == "stored").then_some(clips)
        })
        .await
    }

    /// The clips of a broadcast that was ended: waits for the last one, and until all are stored.
    pub async fn ended(&self, within: Duration) -> Vec<Value> {
        self.until(within, "the last clip of the broadcast stored", async |server| {
            let clips = server.clips().await;
            let ended = clips.last().is_some_and(|clip| clip["cause"] == "end");
            (ended && clips.iter().all(|clip| clip["state"] == "stored")).then_some(clips)
        })
        .await
    }

    /// Downloads a clip into `folder`, checks size and checksum against its row, and returns the file.
    pub async fn download(&self, clip: &Value, folder: &Path) -> PathBuf {
        let media = clip["media"].as_str().expect("an address");
        let answer = self.http.get(self.url(media)).bearer_auth(KEY).send().await.expect("the server answers");
        assert_eq!(answer.status(), 200, "{media}");
        let body = answer.bytes().await.expect("the whole file");
        assert_eq!(Some(body.len() as u64), clip["size"].as_u64(), "size of {media}");
        let sum: String =
            <sha2::Sha256 as sha2::Digest>::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(sum.as_str()), clip["sha256"].as_str(), "checksum of {media}");
        let extension = if clip["mime"].as_str().is_some_and(|mime| mime.contains("webm")) { "webm" } else { "mp4" };
        let file = folder.join(format!("{}.{extension}", clip["id"].as_str().expect("an id")));
        File::create(&file).and_then(|mut f| f.write_all(&body)).expect("the clip is written");
        file
    }

    /// The Prometheus text of /metrics.
    pub async fn metrics(&self) -> String {
        let answer = self.http.get(self.url("/metrics")).send().await.expect("the server answers");
        assert_eq!(answer.status(), 200);
        answer.text().await.expect("a body")
    }

    /// SIGTERM, then waits for the ordered end.
    pub fn stop(mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        signal(child.id(), "TERM");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = child.try_wait().expect("a child to ask") {
                return status;
            }
            assert!(Instant::now() < deadline, "no end within 60 s of SIGTERM:\n{}", tail(&self.printed()));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL: nothing in it runs any more.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("what the server printed:\n{}", tail(&self.printed()));
            }
        }
    }
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(8_000);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// `oxbow publish` against a server.
pub struct Publisher {
    child: Child,
}

impl Publisher {
    pub fn start(server: &Server, channel: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxbow"));
        command.args(["publish", "--url", &server.url(&format!("/whip/{channel}")), "--key", KEY]).args(arguments);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("oxbow publish starts");
        Self { child }
    }

    /// Waits for its own end (`--seconds`).
    pub fn finish(mut self) {
        let status = self.child.wait().expect("it ends");
        let mut text = String::new();
        for pipe in [
            self.child.stdout.take().map(|p| Box::new(p) as Box<dyn Read>),
            self.child.stderr.take().map(|p| Box::new(p) as _),
        ] {
            pipe.expect("a pipe").read_to_string(&mut text).expect("text");
        }
        assert!(status.success(), "oxbow publish: {status}\n{text}");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the clips of one broadcast show together: every number once, in order.
#[derive(Debug, Default)]
pub struct Shown {
    pub numbers: Vec<u32>,
    pub missing: u32,
    pub duplicate: u32,
    /// Per clip, in milliseconds; positive when the sound is late.
    pub sound_offsets_ms: Vec<f64>,
    /// Per clip, pixels.
    pub sizes: Vec<BTreeSet<(u32, u32)>>,
}

/// Downloads and decodes clips in order.
pub async fn show(server: &Server, clips: &[Value], fps: u32) -> Shown {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut shown = Shown::default();
    for clip in clips {
        let file = server.download(clip, folder.path()).await;
        let decoded = tokio::task::spawn_blocking(move || pipeline::inspect::clip(&file))
            .await
            .expect("no panic")
            .expect("it decodes");
        let numbers = decoded.numbers().unwrap_or_else(|error| panic!("{}: {error}", clip["id"]));
        assert!(!numbers.is_empty(), "a clip without pictures: {clip}");
        shown.sound_offsets_ms.extend(decoded.sound_offset_ns(fps).map(|ns| ns as f64 / 1e6));
        shown.numbers.extend(numbers);
        shown.sizes.push(decoded.pictures.iter().map(|picture| (picture.width, picture.height)).collect());
    }
    for pair in shown.numbers.windows(2) {
        match pair[1].cmp(&(pair[0] + 1)) {
            std::cmp::Ordering::Greater => shown.missing += pair[1] - pair[0] - 1,
            std::cmp::Ordering::Less => shown.duplicate += 1,
            std::cmp::Ordering::Equal => {}
        }
    }
    shown
}
