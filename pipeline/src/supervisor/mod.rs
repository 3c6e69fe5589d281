//! The supervisor: keeps worker processes warm, hands them jobs by lane, and makes sure that a death costs one job.

mod child;
mod queue;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::child::Worker;
use self::queue::{Queue, Waiting};
use crate::job::{ExportError, ExportJob, Exported, Lane};
use crate::protocol::Setup;

/// Pause after a worker could not be started.
const RESPAWN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// This executable; it is run with the argument `worker` and must then call [`crate::worker_main`].
    pub program: PathBuf,
    /// Processes, each doing one job at a time. At least one runs.
    pub count: usize,
    /// From the moment a worker gets the job. Later it is killed.
    pub job_timeout: Duration,
    /// Private memory of one worker (`RLIMIT_DATA`). GStreamer, its threads and one 1080p decoder need about 200 MB.
    pub memory_bytes: u64,
    /// Jobs after which a worker is replaced, against leaks in libraries.
    pub recycle_after: u32,
}

impl WorkersConfig {
    /// Two workers, two minutes, 1 GB, 50 jobs.
    pub fn new(program: PathBuf) -> Self {
        Self { program, count: 2, job_timeout: Duration::from_secs(120), memory_bytes: 1 << 30, recycle_after: 50 }
    }
}

/// Handle to the worker processes.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue>,
    stop: CancellationToken,
    slots: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel(); // the slots then kill their processes
    }
}

impl Workers {
    /// Starts the processes behind it. Must be called within a tokio runtime.
    pub fn start(config: WorkersConfig) -> Workers {
        let queue = Arc::new(Queue::new());
        let stop = CancellationToken::new();
        let slots = (0..config.count.max(1))
            .map(|_| tokio::spawn(slot(config.clone(), Arc::clone(&queue), stop.clone())))
            .collect();
        Workers { shared: Arc::new(Shared { queue, stop, slots: Mutex::new(slots) }) }
    }

    /// Waits for its turn and for the result. Dropping the future while the job still waits takes it back.
    pub async fn export(&self, job: ExportJob, lane: Lane) -> Result<Exported, ExportError> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(lane, Waiting { job, reply })?;
        answer.await.unwrap_or(Err(ExportError::Stopped))
    }

    /// Refuses new jobs, fails waiting and running ones with [`ExportError::Stopped`], and returns when all processes are gone.
    pub async fn shutdown(&self) {
        self.shared.queue.close();
        self.shared.stop.cancel();
        let slots = std::mem::take(&mut *self.shared.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        for slot in slots {
            let _ = slot.await;
        }
    }
}

/// One place for a worker: starts it before it is needed, gives it jobs, replaces it.
async fn slot(config: WorkersConfig, queue: Arc<Queue>, stop: CancellationToken) {
    let mut idle = spawn(&config).await.ok();
    loop {
        let waiting = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            waiting = queue.pop() => match waiting {
                Some(waiting) => waiting,
                None => break,
            },
        };
        // It may have died while it was idle; that must not cost the job.
        let ready = match idle.take().and_then(Worker::if_alive) {
            Some(worker) => Ok(worker),
            None => spawn(&config).await,
        };
        let mut worker = match ready {
            Ok(worker) => worker,
            Err(error) => {
                let _ = waiting.reply.send(Err(ExportError::Io(format!("no worker: {error}"))));
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(RESPAWN) => continue,
                }
            }
        };
        let answer = tokio::select! {
            biased;
            answer = worker.run(&waiting.job, config.job_timeout) => answer,
            () = stop.cancelled() => Err(ExportError::Stopped),
        };
        if matches!(answer, Err(ExportError::Crashed(_) | ExportError::TimedOut | ExportError::Stopped)) {
            tracing::warn!(stem = waiting.job.stem, ?answer, "an export was cut off");
            worker.kill().await;
            waiting.job.remove_temporaries();
            let _ = waiting.reply.send(answer);
        } else {
            let _ = waiting.reply.send(answer);
            if worker.jobs >= config.recycle_after {
                worker.retire().await;
            } else {
                idle = Some(worker);
            }
        }
        if idle.is_none() && !stop.is_cancelled() {
            idle = spawn(&config).await.ok();
        }
    }
    if let Some(worker) = idle {
        worker.retire().await;
    }
}

async fn spawn(config: &WorkersConfig) -> std::io::Result<Worker> {
    let setup = Setup {
        memory_bytes: config.memory_bytes,
        pipeline_timeout_ms: u64::try_from(config.job_timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let spawned = Worker::spawn(&config.program, &setup).await;
    if let Err(error) = &spawned {
        tracing::error!(program = %config.program.display(), %error, "a worker could not be started");
    }
    spawned
}
