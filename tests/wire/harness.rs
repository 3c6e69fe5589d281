//! One server process per test, with a folder of its own, and everything it prints.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response};
use tempfile::TempDir;

pub const KEY: &str = "test-stream-key";
/// A start on a busy machine.
const START: Duration = Duration::from_secs(60);

pub struct Server {
    child: Child,
    pub base: String,
    pub printed: Printed,
    pub folder: Arc<TempDir>,
}

/// stdout and stderr so far.
#[derive(Clone, Default)]
pub struct Printed(Arc<Mutex<String>>);

impl Printed {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn follow(&self, stream: impl Read + Send + 'static) {
        let printed = self.0.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = printed.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
    }

    /// Waits for a line that begins like this and returns what follows.
    pub fn after(&self, start: &str) -> Option<String> {
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Some(rest) = self.text().lines().find_map(|line| line.trim().strip_prefix(start)) {
                return Some(rest.trim().to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

pub fn command(folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxbow"));
    command.env_clear().current_dir(folder);
    for name in ["PATH", "HOME", "CARGO_TARGET_DIR", "XDG_CACHE_HOME"] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    let common = [
        ("CLIP_VISIBILITY", "published"),
        ("PORT", "0"),
        ("PEER_PORT", "0"),
        ("PEER_HOST", "127.0.0.1"),
        ("STREAM_KEY", KEY),
        ("DATA_DIR", "data"),
    ];
    command
        .envs(common)
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null());
    command
}

impl Server {
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), settings)
    }

    /// In a folder that may hold the data of an earlier one.
    pub fn start_in(folder: Arc<TempDir>, settings: &[(&str, &str)]) -> Self {
        let mut child = command(folder.path(), settings).spawn().expect("the program starts");
        let printed = Printed::default();
        printed.follow(child.stdout.take().unwrap());
        printed.follow(child.stderr.take().unwrap());
        let Some(whip) = printed.after("WHIP ") else {
            let _ = child.kill();
            panic!("the server did not start:\n{}", printed.text());
        };
        // Both names lead here, but only one of them is fast everywhere.
        let base = whip.trim_end_matches("/whip/main").replace("localhost", "127.0.0.1");
        Self { child, base, printed, folder }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        client().request(method, format!("{}{path}", self.base))
    }

    pub fn with_key(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(KEY)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer")
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        self.ended()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it did not stop:\n{}", self.printed.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Follows no redirects and keeps no cookies: tests look at both.
pub fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The code of a problem, after checking its form.
pub async fn problem(response: Response) -> String {
    let status = response.status().as_u16();
    assert_eq!(header(&response, "content-type"), "application/problem+json", "{status}");
    let body: serde_json::Value = response.json().await.expect("a problem is JSON");
    assert_eq!(body["status"], status, "{body}");
    let code = body["code"].as_str().expect("a code").to_owned();
    assert_eq!(body["type"], format!("/problems/{code}"));
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    code
}

/// An offer of a real browser or encoder.
pub fn offer(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("media/tests/offers").join(format!("{name}.sdp"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| format!("{line}\r\n")).collect()
}
