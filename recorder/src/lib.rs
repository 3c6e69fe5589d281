//! Recording: what the taps deliver becomes journals, journals become clips, clips are stored and indexed.
//!
//! [`Recorder::start`] first brings the node's files and rows into order ([`recovery`]), then runs, each on its own:
//!
//! - the journal thread ([`writer`]), which alone writes journals and never waits for anything but the disk,
//! - the ledger ([`ledger`]), which turns what the thread says into rows, and rows of requests into cuts,
//! - the exporter ([`clip`]), which has a worker make a file of each closed part,
//! - the orders ([`orders`]), which make what people ask for of what is recorded: clips of the last half minute, trims, extracts,
//! - the pictures ([`pictures`]), which have a worker look at each finished file: posters, storyboard, waveform, what is wrong with it,
//! - the outbox ([`upload`]), which brings files and rows to the store and the database, for ever if need be,
//! - the way back ([`rebuild`]) from a stored clip to a journal, when that is gone,
//! - the sidecars ([`sidecars`]), which follow the rows that change in the database,
//! - the housekeeper ([`house`]), which drops journals that were kept long enough, watches the thread and the disk ([`guard`]) and
//!   counts,
//! - the sweep ([`orphans`]), which aborts uploads that nobody will complete.
//!
//! A broken store, database or worker never reaches the live. The order of all steps and what they keep: `docs/journal.md`.
//! Not here: who may record (that came with the publish command), codecs and files (pipeline), HTTP (signaling).

mod chain;
pub mod check;
mod clip;
mod clock;
mod continuity;
mod desk;
mod forecast;
mod guard;
mod health;
mod horizon;
mod house;
mod ledger;
mod medium;
mod orders;
mod orphans;
mod part_file;
mod pictures;
pub mod rebuild;
mod recovery;
mod restore;
mod rollover;
mod sidecars;
mod stream;
mod upload;
mod writer;

pub use desk::{RecorderEvent, RecorderStatus};
pub use writer::Items;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use media::id::BroadcastId;
use pipeline::Workers;
use shard::{MediaPlane, Taps};
use storage::{Database, Local, NodeStatus, ObjectStore, Retention, StorageError, Visibility, Watermarks};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::desk::Desk;
use crate::rollover::Limits;

/// Events that may wait for the receiver. More: dropped and counted; every state can be read from [`Local`].
const EVENTS: usize = 1024;
/// Keyframe requests that may wait. More: dropped; they are repeated.
const KEYFRAMES: usize = 64;

#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Journals lie in `journal/` below it, finished files in `spool/`.
    pub data_dir: PathBuf,
    /// Size at which a clip rolls over.
    pub clip_size_bytes: u64,
    /// Length at which a clip rolls over.
    pub clip_length: Duration,
    /// How long a journal is kept after its clip was stored.
    pub journal_keep: Duration,
    /// Who may see the parts of a recording.
    pub visibility: Visibility,
    /// What must stay free on the volume of the data folder.
    pub watermarks: Watermarks,
    /// Which stored clips go by themselves.
    pub retention: Retention,
}

impl RecorderConfig {
    pub(crate) fn journals(&self) -> PathBuf {
        self.data_dir.join("journal")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.data_dir.join("spool")
    }
}

/// What a recording needs besides its media.
#[derive(Clone)]
pub struct Stores {
    pub workers: Workers,
    pub objects: ObjectStore,
    pub database: Database,
    pub local: Local,
}

#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    #[error("cannot use the data folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("cannot start the journal thread: {0}")]
    Thread(std::io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The running recorder. Dropped without [`Recorder::shutdown`], its tasks stop where they are, as in a crash.
pub struct Recorder {
    desk: Arc<Desk>,
    thread: Option<std::thread::JoinHandle<()>>,
    ledger: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.desk.stop_writer();
        self.desk.stop();
        self.tasks.iter().chain([&self.ledger]).for_each(JoinHandle::abort);
    }
}

impl Recorder {
    /// Brings the data folder into order, then records everything that the taps deliver.
    ///
    /// # Errors
    /// [`RecorderError`] when the node's own disk cannot be used. A store, database or worker that is away is no error.
    pub async fn start(
        config: RecorderConfig,
        taps: Taps,
        plane: MediaPlane,
        workers: Workers,
        objects: ObjectStore,
        database: Database,
        local: Local,
    ) -> Result<(Recorder, mpsc::Receiver<RecorderEvent>), RecorderError> {
        let (ask, mut wanted) = mpsc::channel::<BroadcastId>(KEYFRAMES);
        let events = plane.events();
        let stores = Stores { workers, objects, database, local };
        let followed = plane.clone();
        let (mut recorder, clips) = Self::start_with(config, Box::new(taps), ask, stores).await?;
        recorder.tasks.push(tokio::spawn(async move {
            while let Some(broadcast) = wanted.recv().await {
                // a broadcast that is gone needs none
                let _ = plane.keyframe(broadcast).await;
            }
        }));
        recorder.tasks.push(tokio::spawn(ledger::follow(Arc::clone(&recorder.desk), followed, events)));
        Ok((recorder, clips))
    }

    /// As [`Recorder::start`], with media from anywhere. Whoever receives from `keyframes` asks the streamer.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub async fn start_with(
        config: RecorderConfig,
        items: Box<dyn Items>,
        keyframes: mpsc::Sender<BroadcastId>,
        stores: Stores,
    ) -> Result<(Recorder, mpsc::Receiver<RecorderEvent>), RecorderError> {
        for path in [config.journals(), config.spool()] {
            std::fs::create_dir_all(&path).map_err(|source| RecorderError::Folder { path, source })?;
        }
        let (events, receiver) = mpsc::channel(EVENTS);
        let (facts, inbox) = mpsc::channel(writer::FACTS);
        let limits = Limits::new(config.clip_size_bytes, config.clip_length);
        let horizon = Arc::default();
        let writer_config = writer::WriterConfig { root: config.journals(), limits, horizon: Arc::clone(&horizon) };

        let desk = Arc::new(Desk::new(config, stores, horizon, events));
        recovery::reconcile(&desk).await?;
        let writer = writer::start(writer_config, items, facts, keyframes).map_err(RecorderError::Thread)?;
        desk.attach(writer.commands, writer.figures);

        let ledger = tokio::spawn(ledger::keep(Arc::clone(&desk), inbox));
        let tasks = vec![
            desk::supervise(&desk, "exporter", clip::run),
            desk::supervise(&desk, "orders", orders::run),
            desk::supervise(&desk, "extracts", orders::extracts),
            desk::supervise(&desk, "pictures", pictures::run),
            desk::supervise(&desk, "outbox", upload::run),
            desk::supervise(&desk, "sidecars", sidecars::run),
            desk::supervise(&desk, "requests", ledger::requests),
            desk::supervise(&desk, "housekeeper", house::run),
            desk::supervise(&desk, "orphans", orphans::run),
        ];
        Ok((Recorder { desk, thread: Some(writer.thread), ledger, tasks }, receiver))
    }

    /// Figures for metrics and readiness, at most a few seconds old.
    pub fn status(&self) -> RecorderStatus {
        self.desk.status()
    }

    /// A handle that outlives a borrow of the recorder, for metrics.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::watch::Receiver<RecorderStatus> {
        self.desk.watch()
    }

    /// What the node says of itself, for those who know no recorder.
    #[must_use]
    pub fn node(&self) -> tokio::sync::watch::Receiver<NodeStatus> {
        self.desk.node()
    }

    /// Closes the journals, then makes and stores clips until `deadline` has passed; what is left then is continued by the
    /// next start. End the broadcasts first, so that they end for their own reason.
    pub async fn shutdown(mut self, deadline: Duration) {
        let until = tokio::time::Instant::now() + deadline;
        self.desk.stop_writer();
        let thread = self.thread.take();
        let joined = tokio::task::spawn_blocking(move || thread.map(std::thread::JoinHandle::join));
        if tokio::time::timeout_at(until, joined).await.is_err() {
            tracing::error!("the journals could not be closed in time; the next start recovers them");
        } else if tokio::time::timeout_at(until, &mut self.ledger).await.is_ok() {
            let _ = tokio::time::timeout_at(until, self.desk.until_idle()).await;
        }
        self.desk.stop();
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
    }
}
