//! A receiver of webhooks that behaves as it is told, down to the bytes: libraries answer too well.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How it answers.
#[derive(Clone)]
pub enum Reply {
    Status(u16),
    Redirect(String),
    /// Closes without a word, with a reset where the system makes one.
    Reset,
    /// Takes the request and never answers.
    Silence,
    /// This status, and a body that does not end.
    Endless(u16),
    /// What is no HTTP.
    Garbage,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

type Answer = dyn Fn(&Request, usize) -> Reply + Send + Sync;

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    /// Attempts of each event.
    attempts: HashMap<String, usize>,
    /// Requests that are under way, by line.
    open: HashMap<String, usize>,
    most_at_once: usize,
    most_of_one_line: usize,
}

pub struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// `answer` is told the request and how often its event was told before.
    pub async fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer).await
    }

    pub async fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let answer: Arc<Answer> = Arc::new(answer);
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&noted), Arc::clone(&answer)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, seen, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub fn most_at_once(&self) -> usize {
        self.seen.lock().unwrap().most_at_once
    }

    pub fn most_of_one_line(&self) -> usize {
        self.seen.lock().unwrap().most_of_one_line
    }

    /// Nobody listens any more; the address can be had again.
    pub async fn stop(mut self) -> SocketAddr {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.address
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>, answer: Arc<Answer>) {
    let Some(request) = read(&mut stream).await else { return };
    let line = request.json()["broadcast"].to_string();
    let attempt = {
        let mut seen = seen.lock().unwrap();
        seen.requests.push(request.clone());
        let attempts = seen.attempts.entry(request.header("webhook-id").to_owned()).or_default();
        let attempt = *attempts;
        *attempts += 1;
        let of_line = seen.open.entry(line.clone()).or_default();
        *of_line += 1;
        let of_line = *of_line;
        seen.most_of_one_line = seen.most_of_one_line.max(of_line);
        let all = seen.open.values().sum();
        seen.most_at_once = seen.most_at_once.max(all);
        attempt
    };
    let reply = answer(&request, attempt);
    // Before the answer: whoever has it may come again at once.
    let close = || *seen.lock().unwrap().open.get_mut(&line).unwrap() -= 1;
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n{more}\r\n");
    match reply {
        Reply::Status(status) => {
            close();
            let _ = stream.write_all(head(status, "content-length: 0\r\n").as_bytes()).await;
        }
        Reply::Redirect(to) => {
            close();
            let more = format!("content-length: 0\r\nlocation: {to}\r\n");
            let _ = stream.write_all(head(307, &more).as_bytes()).await;
        }
        Reply::Reset => {
            close();
            let _ = stream.set_zero_linger();
        }
        Reply::Silence => {
            // until the other side goes
            let _ = stream.read(&mut [0; 1]).await;
            close();
        }
        Reply::Endless(status) => {
            close();
            if stream.write_all(head(status, "").as_bytes()).await.is_ok() {
                while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
            }
        }
        Reply::Garbage => {
            close();
            let _ = stream.write_all(b"\0\0\0 no HTTP \r\n\r\n").await;
        }
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.shutdown()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.lines();
        let line = lines.next()?.to_owned();
        let headers: HeaderMap = lines
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            })
            .collect();
        let length: usize = headers.get("content-length")?.to_str().ok()?.parse().ok()?;
        if body.len() >= length {
            return Some(Request { line, headers, body: body.to_owned() });
        }
    }
}
