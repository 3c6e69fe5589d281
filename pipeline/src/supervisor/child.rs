//! One worker process, seen from its parent.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::codec::{FramedRead, LinesCodec};

use crate::job::ExportError;
use crate::protocol::{Done, LINE_BYTES, Reply, Request, Setup, line};

/// How long an idle worker may take to end after its stdin was closed.
const FAREWELL: Duration = Duration::from_secs(5);
/// Longer lines of a worker's stderr are cut.
const LOG_LINE_BYTES: usize = 2048;

/// When a worker died, seen from the job.
pub(super) enum Death {
    /// The job was not begun: another worker may do it.
    BeforeStart(ExportError),
    During(ExportError),
}

pub(super) struct Worker {
    process: Child,
    stdin: ChildStdin,
    stdout: FramedRead<ChildStdout, LinesCodec>,
    /// Last line on stderr: usually the reason of a death.
    last_words: Arc<Mutex<String>>,
    /// Jobs given to it so far.
    pub jobs: u32,
}

impl Worker {
    pub(super) async fn spawn(program: &Path, setup: &Setup) -> std::io::Result<Worker> {
        let mut process = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C in a terminal goes to a whole group; the parent decides when its workers end.
            .process_group(0)
            .spawn()?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err(std::io::Error::other("the worker's pipes are missing"));
        };
        let last_words = Arc::default();
        tokio::spawn(log(stderr, process.id(), Arc::clone(&last_words)));
        stdin.write_all(&line(setup)).await?;
        let stdout = FramedRead::new(stdout, LinesCodec::new_with_max_length(LINE_BYTES));
        Ok(Worker { process, stdin, stdout, last_words, jobs: 0 })
    }

    /// Does one job. After a death the worker must be killed; after any answer, also a refusal, it can go on.
    pub(super) async fn run(&mut self, job: &Request, timeout: Duration) -> Result<Result<Done, ExportError>, Death> {
        self.jobs += 1;
        match tokio::time::timeout(timeout, self.ask(job)).await {
            Ok(answer) => answer,
            Err(_) => Err(Death::During(ExportError::TimedOut)),
        }
    }

    async fn ask(&mut self, job: &Request) -> Result<Result<Done, ExportError>, Death> {
        if self.stdin.write_all(&line(job)).await.is_err() {
            return Err(Death::BeforeStart(self.died().await));
        }
        let mut started = false;
        while let Some(Ok(text)) = self.stdout.next().await {
            match serde_json::from_str(&text) {
                Ok(Reply::Started) => started = true,
                Ok(Reply::Done(done)) => return Ok(Ok(done)),
                Ok(Reply::Failed(error)) => return Ok(Err(error)),
                // Libraries may print; only our lines are JSON of this shape.
                Err(_) => tracing::debug!(text, "a worker printed"),
            }
        }
        let error = self.died().await;
        Err(if started { Death::During(error) } else { Death::BeforeStart(error) })
    }

    async fn died(&mut self) -> ExportError {
        let status = match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let words = self.last_words.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        ExportError::Crashed(if words.is_empty() { status } else { format!("{status}: {words}") })
    }

    pub(super) async fn kill(mut self) {
        if let Err(error) = self.process.kill().await {
            tracing::warn!(%error, "a worker could not be killed");
        }
    }

    /// Ends an idle worker.
    pub(super) async fn retire(mut self) {
        drop(self.stdin);
        if tokio::time::timeout(FAREWELL, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }
}

async fn log(stderr: ChildStderr, pid: Option<u32>, last_words: Arc<Mutex<String>>) {
    let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(LOG_LINE_BYTES));
    // After an overlong line the codec reports it once and continues behind it.
    while let Some(text) = lines.next().await {
        let Ok(text) = text else { continue };
        tracing::warn!(pid, text, "worker");
        *last_words.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = text;
    }
}
