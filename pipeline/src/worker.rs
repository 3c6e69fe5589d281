//! The worker process: limits itself, then does one job after the other until its stdin ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use crate::job::ExportError;
use crate::protocol::{Done, LINE_BYTES, Reply, Request, Setup, line};

/// Exports give way to the live: added to the niceness of the parent.
const NICENESS: i32 = 5;

/// Runs a worker to its end. The program calls it when its argument is `worker`; nobody else does.
pub fn worker_main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut stdin = BufReader::new(std::io::stdin());
    let Some(setup) = read_line(&mut stdin)? else { return Ok(()) };
    let setup: Setup = serde_json::from_slice(&setup).map_err(|error| format!("the first line: {error}"))?;
    limit(&setup)?;
    crate::gst::init()?;
    let timeout = Duration::from_millis(setup.pipeline_timeout_ms);

    let (requests, incoming) = sync_channel(1);
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || listen(stdin, &requests))
        .map_err(|error| format!("no thread: {error}"))?;
    while let Ok(request) = incoming.recv() {
        if !say(&Reply::Started) || !say(&serve(&request, timeout)) {
            break; // nobody listens any more
        }
    }
    Ok(())
}

fn say(reply: &Reply) -> bool {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line(reply)).and_then(|()| stdout.flush()).is_ok()
}

fn serve(request: &[u8], timeout: Duration) -> Reply {
    let request: Request = match serde_json::from_slice(request) {
        Ok(request) => request,
        Err(error) => return Reply::Failed(ExportError::Refused(format!("the request: {error}"))),
    };
    let done = match &request {
        Request::Export(job) => crate::export::export(job, timeout).map(|exported| Done::Exported(Box::new(exported))),
        Request::Inspect(job) => {
            crate::inspection::inspect(job, timeout).map(|inspected| Done::Inspected(Box::new(inspected)))
        }
    };
    match done {
        Ok(done) => Reply::Done(done),
        Err(error) => {
            request.remove_temporaries();
            Reply::Failed(error)
        }
    }
}

/// Passes requests on. The end of stdin is the end of the parent or its wish: the process ends at once, whatever it does.
fn listen(mut stdin: BufReader<std::io::Stdin>, requests: &SyncSender<Vec<u8>>) {
    loop {
        match read_line(&mut stdin) {
            Ok(Some(request)) => {
                if requests.send(request).is_err() {
                    return;
                }
            }
            Ok(None) => std::process::exit(0),
            Err(error) => {
                eprintln!("worker: {error}");
                std::process::exit(1);
            }
        }
    }
}

fn read_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    let mut limited = input.take(LINE_BYTES as u64);
    let read = limited.read_until(b'\n', &mut line).map_err(|error| format!("stdin: {error}"))?;
    match line.last() {
        _ if read == 0 => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        _ => Err("stdin: a line is too long or cut off".into()),
    }
}

fn limit(setup: &Setup) -> Result<(), String> {
    let memory = Rlimit { current: Some(setup.memory_bytes), maximum: Some(setup.memory_bytes) };
    rustix::process::setrlimit(Resource::Data, memory).map_err(|error| format!("memory limit: {error}"))?;
    // A core file of a crash in a library would hold the streamer's media.
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, no_core).map_err(|error| format!("core limit: {error}"))?;
    rustix::process::nice(NICENESS).map_err(|error| format!("niceness: {error}"))?;
    Ok(())
}
