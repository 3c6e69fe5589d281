//! The supervisor: keeps worker processes warm, hands them jobs by lane, and makes sure that a death costs one job.

mod child;
mod queue;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::child::{Death, Worker};
use self::queue::{Queue, Waiting};
use crate::inspection::{InspectJob, Inspected};
use crate::job::{ExportError, ExportJob, Exported, Lane};
use crate::protocol::{Done, Request, Setup};

/// Pause after a worker could not be started.
const RESPAWN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct WorkersConfig {
    /// This executable; it is run with the argument `worker` and must then call [`crate::worker_main`].
    pub program: PathBuf,
    /// Processes, each doing one job at a time. At least one runs.
    pub count: usize,
    /// From the moment a worker gets the job, and more for long journals: a second for each 10 MB that are copied or 100 KB that are encoded. Later it
    /// is killed.
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
        match self.ask(Request::Export(job), lane).await? {
            Done::Exported(exported) => Ok(*exported),
            Done::Inspected(_) => Err(misunderstood()),
        }
    }

    /// As [`Workers::export`]; a busy lane or a death costs this job alone.
    pub async fn inspect(&self, job: InspectJob, lane: Lane) -> Result<Inspected, ExportError> {
        match self.ask(Request::Inspect(job), lane).await? {
            Done::Inspected(inspected) => Ok(*inspected),
            Done::Exported(_) => Err(misunderstood()),
        }
    }

    async fn ask(&self, job: Request, lane: Lane) -> Result<Done, ExportError> {
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

fn misunderstood() -> ExportError {
    ExportError::Io("the worker did another job than it was given".into())
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
        let answer = tokio::select! {
            biased;
            answer = work(&config, &mut idle, &waiting.job) => answer,
            () = stop.cancelled() => Err(ExportError::Stopped),
        };
        if let Err(error) = &answer {
            tracing::warn!(stem = waiting.job.stem(), %error, "a job has no result");
        }
        let _ = waiting.reply.send(answer); // whoever asked may have left
        if let Some(worker) = idle.take_if(|worker| worker.jobs >= config.recycle_after) {
            worker.retire().await;
        }
        if idle.is_none() && !stop.is_cancelled() {
            idle = spawn(&config).await.ok();
            if idle.is_none() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(RESPAWN) => {}
                }
            }
        }
    }
    if let Some(worker) = idle {
        worker.retire().await;
    }
}

/// Does a job. One that crashes is done once more without the poster, if it has one.
async fn work(config: &WorkersConfig, idle: &mut Option<Worker>, job: &Request) -> Result<Done, ExportError> {
    let answer = attempt(config, idle, job).await;
    let Err(ExportError::Crashed(why)) = &answer else { return answer };
    let Some(less) = job.with_less_risk() else { return answer };
    tracing::warn!(stem = job.stem(), why, "a worker died; once more without the poster");
    attempt(config, idle, &less).await
}

/// Leaves a worker in `idle` only if it can go on. When this future is dropped, so is the worker, which kills it.
async fn attempt(config: &WorkersConfig, idle: &mut Option<Worker>, job: &Request) -> Result<Done, ExportError> {
    let _remains = Remains(job);
    if let Some(mut worker) = idle.take() {
        match worker.run(job, job.time_limit(config.job_timeout)).await {
            // It had died while it was idle, which must not cost the job.
            Err(Death::BeforeStart(_)) => worker.kill().await,
            Err(Death::During(error)) => {
                worker.kill().await;
                return Err(error);
            }
            Ok(answer) => {
                *idle = Some(worker);
                return answer;
            }
        }
    }
    let mut worker = spawn(config)
        .await
        .map_err(|error| ExportError::Io(format!("no worker: {}: {error}", config.program.display())))?;
    match worker.run(job, job.time_limit(config.job_timeout)).await {
        Err(Death::BeforeStart(error) | Death::During(error)) => {
            worker.kill().await;
            Err(error)
        }
        Ok(answer) => {
            *idle = Some(worker);
            answer
        }
    }
}

/// Temporary files of a job are removed when it ends, however it ends; after a success there are none.
struct Remains<'a>(&'a Request);

impl Drop for Remains<'_> {
    fn drop(&mut self) {
        self.0.remove_temporaries();
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
