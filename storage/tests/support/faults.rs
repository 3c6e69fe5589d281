//! An HTTP proxy before an S3 server that spoils exchanges in all the ways that real stores and the lines to them do, by seed: the
//! same request (method, path, how often it came) meets the same fault in every run, whatever the order of the others.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is done to one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    InternalError,
    SlowDown,
    /// Refused because the clocks differ, as when a machine wakes up.
    TimeTooSkewed,
    /// Passed on, and the answer replaced by a 500: the store did it.
    DoneButSays500,
    /// Hung up before the body was read.
    Reset,
    /// Passed on, then hung up without an answer.
    DoneButReset,
    Slow,
    /// Half of the request reaches the store.
    TruncatedUp,
    /// Half of the answer reaches the client.
    TruncatedDown,
    WrongETag,
    /// Not passed on; `200 OK` with an error in its body.
    OkWithError,
    /// An answer whose clock is an hour ahead.
    SkewedDate,
}

pub const FAULTS: [Fault; 12] = [
    Fault::InternalError,
    Fault::SlowDown,
    Fault::TimeTooSkewed,
    Fault::DoneButSays500,
    Fault::Reset,
    Fault::DoneButReset,
    Fault::Slow,
    Fault::TruncatedUp,
    Fault::TruncatedDown,
    Fault::WrongETag,
    Fault::OkWithError,
    Fault::SkewedDate,
];

/// From this repetition on a request is left alone, so that every one comes through in the end.
const PATIENCE: u32 = 4;

struct Plan {
    seed: u64,
    /// Of 100 requests.
    percent: u64,
    calm: bool,
    /// Status and code of the answer to everything.
    refusal: Option<(&'static str, &'static str)>,
    seen: HashMap<String, u32>,
    done: BTreeMap<Fault, u32>,
}

/// See the module. Its threads end with the test process.
pub struct FaultProxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

impl FaultProxy {
    /// In front of `server`; of 100 requests about `percent` are spoiled.
    pub fn start(server: SocketAddr, seed: u64, percent: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Plan { seed, percent, calm: false, refusal: None, seen: HashMap::new(), done: BTreeMap::new() };
        let plan = Arc::new(Mutex::new(plan));
        let inside = Arc::clone(&plan);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let plan = Arc::clone(&inside);
                // Either side hanging up is what this is for.
                thread::spawn(move || drop(exchange(client, server, &plan)));
            }
        });
        Self { address, plan }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Spoils nothing from now on.
    pub fn calm(&self) {
        self.plan.lock().unwrap().calm = true;
    }

    /// Answers everything with this status and S3 error code, such as `404 Not Found` and `NoSuchBucket`; none: no more.
    pub fn refuse(&self, refusal: Option<(&'static str, &'static str)>) {
        self.plan.lock().unwrap().refusal = refusal;
    }

    /// How often each fault happened.
    pub fn done(&self) -> BTreeMap<Fault, u32> {
        self.plan.lock().unwrap().done.clone()
    }
}

impl Plan {
    fn fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let request = format!("{method} {path}");
        let count = self.seen.entry(request.clone()).or_default();
        *count += 1;
        if self.calm || *count > PATIENCE {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (self.seed, *count, digest(&request)).hash(&mut hasher);
        let chance = hasher.finish();
        let fault = (chance % 100 < self.percent).then(|| FAULTS[(chance / 100) as usize % FAULTS.len()])?;
        *self.done.entry(fault).or_default() += 1;
        Some(fault)
    }
}

/// Without ids (26 characters), which are others in every run.
fn digest(request: &str) -> u64 {
    let words = request.split(['/', '-', '.']).filter(|word| word.len() != 26);
    words
        .flat_map(str::bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// First line, headers, and the length of the body; none for one that ends with the connection.
struct Head {
    lines: Vec<String>,
    length: Option<u64>,
}

fn read_head(from: &mut impl BufRead) -> Result<Head> {
    let mut head = Head { lines: Vec::new(), length: None };
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(Error::other("hung up"));
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            return Ok(head);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            head.length = value.trim().parse().ok();
        }
        head.lines.push(line);
    }
}

/// Sends a head, one exchange per connection.
fn write_head(to: &mut TcpStream, lines: &[String]) -> Result<()> {
    let mut text = String::new();
    for line in lines.iter().filter(|line| !is(line, "connection") && !is(line, "expect")) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    to.write_all(text.as_bytes())
}

fn is(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
}

/// Passes a body on, of which `length` bytes or all until the end.
fn copy(from: &mut impl Read, to: &mut TcpStream, length: Option<u64>, slow: bool) -> Result<()> {
    let mut left = length.unwrap_or(u64::MAX);
    let mut buffer = vec![0; 64 * 1024];
    if slow {
        thread::sleep(Duration::from_millis(200));
    }
    while left > 0 {
        let read = from.read(&mut buffer[..left.min(64 * 1024) as usize])?;
        if read == 0 {
            return if length.is_none() { Ok(()) } else { Err(Error::other("hung up")) };
        }
        if slow {
            thread::sleep(Duration::from_millis(5));
        }
        to.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(())
}

fn exchange(mut client: TcpStream, server: SocketAddr, plan: &Mutex<Plan>) -> Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    let request = read_head(&mut from_client)?;
    let mut words = request.lines[0].split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let part = query.split('&').find(|pair| pair.starts_with("partNumber=")).unwrap_or_default();
    let fault = plan.lock().unwrap().fault(method, &format!("{path}?{part}"));
    if fault == Some(Fault::Reset) {
        return Ok(());
    }
    if request.lines.iter().any(|line| is(line, "expect")) {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = request.length.unwrap_or(0);
    let refusal = plan.lock().unwrap().refusal;
    let instead = refusal.or(match fault {
        Some(Fault::InternalError) => Some(("500 Internal Server Error", "InternalError")),
        Some(Fault::SlowDown) => Some(("503 Slow Down", "SlowDown")),
        Some(Fault::TimeTooSkewed) => Some(("403 Forbidden", "RequestTimeTooSkewed")),
        Some(Fault::OkWithError) => Some(("200 OK", "InternalError")),
        _ => None,
    });
    if let Some((status, code)) = instead {
        std::io::copy(&mut from_client.take(length), &mut std::io::sink())?;
        return answer(&mut client, method, status, code);
    }
    let mut upstream = TcpStream::connect(server)?;
    write_head(&mut upstream, &request.lines)?;
    if fault == Some(Fault::TruncatedUp) && length > 1 {
        return copy(&mut from_client, &mut upstream, Some(length / 2), false);
    }
    copy(&mut from_client, &mut upstream, Some(length), fault == Some(Fault::Slow))?;
    let mut from_server = BufReader::new(upstream);
    let mut response = read_head(&mut from_server)?;
    match fault {
        Some(Fault::DoneButReset) => return Ok(()),
        Some(Fault::DoneButSays500) => {
            return answer(&mut client, method, "500 Internal Server Error", "InternalError");
        }
        Some(Fault::WrongETag) => replace(&mut response.lines, "etag", "\"00000000000000000000000000000000\""),
        Some(Fault::SkewedDate) => replace(&mut response.lines, "date", "Fri, 31 Dec 2100 23:59:59 GMT"),
        _ => {}
    }
    write_head(&mut client, &response.lines)?;
    if method == "HEAD" {
        return Ok(());
    }
    let half = (fault == Some(Fault::TruncatedDown)).then(|| response.length.unwrap_or(0) / 2);
    copy(&mut from_server, &mut client, half.or(response.length), fault == Some(Fault::Slow))
}

fn answer(client: &mut TcpStream, method: &str, status: &str, code: &str) -> Result<()> {
    let body = format!("<Error><Code>{code}</Code><Message>by the fault proxy</Message></Error>");
    let body = if method == "HEAD" { String::new() } else { body };
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Also when the header was not there.
fn replace(lines: &mut Vec<String>, name: &str, value: &str) {
    lines.retain(|line| !is(line, name));
    lines.push(format!("{name}: {value}"));
}
