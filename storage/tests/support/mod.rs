//! Real servers for tests: an S3 server (s3s-fs) and one that speaks MongoDB's wire protocol (mongod, else FerretDB), each a
//! process on a free port of this machine that the test starts, kills and starts again; and a TCP proxy that makes either of
//! them slow, mute or absent.
//!
//! Another crate's tests include this file by its path; it needs nothing but the standard library and, for `place`, this crate:
//!
//! ```ignore
//! #[path = "../../storage/tests/support/mod.rs"]
//! mod support;
//!
//! let directory = tempfile::tempdir().unwrap();
//! let mut s3 = support::S3Server::start(&directory.path().join("s3"));
//! // FILE_HOST=s3.endpoint(), REGION=S3Server::REGION, S3_BUCKET=S3Server::BUCKET and the two keys
//! s3.stop();  // kill -9; what was stored stays
//! s3.resume(); // the same port and data
//! let Some(mut mongo) = support::MongoServer::start(&directory.path().join("mongo")) else { return };
//! // MONGO_HOST=mongo.host()
//! ```
//!
//! `scripts/install-test-tools.sh` puts the programs into `$OXBOW_TOOLS` (default `~/.cache/oxbow/bin`). Without Go there is
//! no FerretDB: then `MongoServer::start` says so loudly and returns none, but never when `CI=true`.

#![allow(dead_code)] // Each test uses its part.

pub mod faults;
pub mod http;
pub mod place;
pub mod proxy;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to begin to listen, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(60);

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An S3 server with one empty bucket.
pub struct S3Server {
    process: Process,
    folder: PathBuf,
}

impl S3Server {
    pub const REGION: &str = "us-east-1";
    pub const BUCKET: &str = "oxbow-test";
    pub const ACCESS_KEY: &str = "OXBOWTESTKEY";
    pub const SECRET_KEY: &str = "oxbow-test-secret-41b7";

    /// Keeps its objects below `folder`, which is created.
    pub fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder.join(Self::BUCKET)).unwrap();
        let program = tool("s3s-fs").unwrap_or_else(|| panic!("s3s-fs is missing: run scripts/install-test-tools.sh"));
        let folder = folder.to_owned();
        let data = folder.clone();
        let process = Process::start(program, folder.with_extension("log"), move |command, port| {
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--access-key", Self::ACCESS_KEY, "--secret-key", Self::SECRET_KEY]).arg(&data);
        });
        Self { process, folder }
    }

    /// `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.process.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Where the file of an object lies.
    pub fn file_of(&self, key: &str) -> PathBuf {
        self.folder.join(Self::BUCKET).join(key)
    }

    /// Files of multipart uploads that were neither completed nor aborted.
    pub fn unfinished_parts(&self) -> usize {
        let lines = fs::read_dir(&self.folder).unwrap();
        lines.filter(|line| line.as_ref().unwrap().file_name().to_string_lossy().starts_with(".upload_id-")).count()
    }

    /// kill -9.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Starts again after [`Self::stop`], on the same port with the same data.
    pub fn resume(&mut self) {
        self.process.resume();
    }
}

/// A server that speaks MongoDB's wire protocol, empty unless it is somebody else's (`MONGO_TEST_URL`).
pub struct MongoServer {
    process: Option<Process>,
    url: String,
}

impl MongoServer {
    /// The one that `MONGO_TEST_URL` names, else one of our own.
    pub fn start(folder: &Path) -> Option<Self> {
        match std::env::var("MONGO_TEST_URL") {
            Ok(url) if !url.is_empty() => Some(Self { process: None, url }),
            _ => Self::start_own(folder),
        }
    }

    /// One that can be stopped. Keeps its data below `folder`, which is created.
    pub fn start_own(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let (data, log) = (folder.to_owned(), folder.with_extension("log"));
        let process = if let Some(mongod) = tool("mongod") {
            Process::start(mongod, log, move |command, port| {
                command.args(["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--nounixsocket", "--dbpath"]);
                command.arg(&data);
            })
        } else if let Some(ferretdb) = tool("ferretdb") {
            Process::start(ferretdb, log, move |command, port| {
                command.args(["--handler=sqlite", "--telemetry=disable", "--debug-addr=-", "--log-level=ERROR"]);
                command.arg(format!("--listen-addr=127.0.0.1:{port}"));
                command.arg(format!("--sqlite-url=file:{}/", data.display()));
                command.arg(format!("--state-dir={}", data.display()));
            })
        } else {
            let missing = "neither mongod nor ferretdb is there: install Go and run scripts/install-test-tools.sh";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            eprintln!("\n!!! LEFT OUT: everything that needs MongoDB, since {missing} !!!\n");
            return None;
        };
        let url = format!("mongodb://{}", process.address());
        Some(Self { process: Some(process), url })
    }

    /// For `MONGO_HOST`.
    pub fn host(&self) -> &str {
        &self.url
    }

    fn own(&mut self) -> &mut Process {
        self.process.as_mut().expect("a server of our own")
    }

    /// kill -9. Panics for somebody else's server.
    pub fn stop(&mut self) {
        self.own().stop();
    }

    /// Starts again after [`Self::stop`], on the same port with the same data.
    pub fn resume(&mut self) {
        self.own().resume();
    }
}

/// Sets the arguments for a port.
type Arguments = Box<dyn Fn(&mut Command, u16) + Send + Sync>;

/// A child process that listens on one port; killed when dropped.
struct Process {
    program: PathBuf,
    arguments: Arguments,
    log: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Process {
    fn start(program: PathBuf, log: PathBuf, arguments: impl Fn(&mut Command, u16) + Send + Sync + 'static) -> Self {
        // Somebody else may take the port in between: then this one ends at once, and another port is tried.
        let mut process = Self { program, arguments: Box::new(arguments), log, port: 0, child: None };
        for _ in 0..5 {
            process.port = free_port();
            if process.spawn() {
                return process;
            }
        }
        panic!("{} does not start: {}", process.program.display(), process.last_words());
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn resume(&mut self) {
        assert!(self.child.is_none(), "it is running");
        assert!(self.spawn(), "{} does not start again: {}", self.program.display(), self.last_words());
    }

    /// False when it ended before it listened.
    fn spawn(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        (self.arguments)(&mut command, self.port);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        while started.elapsed() < START {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect_timeout(&self.address(), Duration::from_secs(1)).is_ok() {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().rev().take(5).collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program among the test tools or on the path.
fn tool(name: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("OXBOW_TOOLS").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/oxbow/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = tools.into_iter().chain(home).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}
