//! What the recorder's tasks share: the stores, the way to the journal thread, the events and the alarms.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use storage::{Alarm, Broadcast, Clip, ClipState, Id, NodeStatus, Reason};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::horizon::Horizon;
use crate::writer::{Command, Figures};
use crate::{RecorderConfig, Stores, clock};

/// Alarms that are remembered. Older ones are forgotten.
const ALARMS: usize = 32;
/// A disk that refuses refuses every second; people hear of it once a minute.
const ALARM_AGAIN_MS: i64 = 60_000;
/// Journals that are brought back from the store at a time.
const REBUILDING: usize = 2;
/// A task that died is started again after this long.
const RESTART: Duration = Duration::from_secs(1);

/// What happened to a recording, for people.
#[derive(Clone, Debug)]
pub enum RecorderEvent {
    /// First when the clip can be played, then whenever its state changes.
    Clip { clip: Box<Clip>, state: ClipState },
    /// Something that somebody should look at. `channel` is empty when it concerns the node.
    Alarm { channel: String, text: String },
    /// The database knows this state of the broadcast.
    BroadcastSaved(Broadcast),
}

/// Figures of this node's recorder.
#[derive(Clone, Debug, Default)]
pub struct RecorderStatus {
    pub clips: BTreeMap<ClipState, u64>,
    /// Finished clips that are not stored and indexed yet, and the age of the oldest in milliseconds.
    pub outbox: u64,
    pub outbox_age_ms: u64,
    /// Clips that wait after a failure, by its reason.
    pub waiting: BTreeMap<Reason, u64>,
    /// Disk and alarms.
    pub node: NodeStatus,
    /// Since start.
    pub units: u64,
    pub written_bytes: u64,
    pub dropped_units: u64,
    pub dropped_events: u64,
    /// Recordings that run, and those of them that the disk refuses at the moment.
    pub open: u64,
    pub failing: u64,
}

pub(crate) struct Desk {
    pub(crate) config: RecorderConfig,
    pub(crate) stores: Stores,
    /// What is on disk of the recordings that go on.
    pub(crate) horizon: Arc<Horizon>,
    pub(crate) stopping: CancellationToken,
    /// Turns of those who bring journals back.
    pub(crate) rebuilding: Semaphore,
    events: mpsc::Sender<RecorderEvent>,
    writer: OnceLock<(SyncSender<Command>, Arc<Figures>)>,
    alarms: Mutex<VecDeque<Alarm>>,
    /// The clip whose pictures are put into the store just now.
    brought: Mutex<Option<Id>>,
    dropped_events: std::sync::atomic::AtomicU64,
    status: watch::Sender<RecorderStatus>,
    node: watch::Sender<NodeStatus>,
}

impl Desk {
    pub(crate) fn new(
        config: RecorderConfig,
        stores: Stores,
        horizon: Arc<Horizon>,
        events: mpsc::Sender<RecorderEvent>,
    ) -> Self {
        Self {
            config,
            stores,
            horizon,
            stopping: CancellationToken::new(),
            rebuilding: Semaphore::new(REBUILDING),
            events,
            writer: OnceLock::new(),
            alarms: Mutex::new(VecDeque::new()),
            brought: Mutex::new(None),
            dropped_events: 0.into(),
            status: watch::Sender::default(),
            node: watch::Sender::default(),
        }
    }

    pub(crate) fn attach(&self, commands: SyncSender<Command>, figures: Arc<Figures>) {
        if self.writer.set((commands, figures)).is_err() {
            tracing::error!("a recorder has one journal thread");
        }
    }

    pub(crate) fn bring(&self, clip: Option<Id>) {
        *self.brought.lock().unwrap_or_else(PoisonError::into_inner) = clip;
    }

    pub(crate) fn brings(&self, clip: &Id) -> bool {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(clip)
    }

    /// False when the thread is behind; try again.
    pub(crate) fn command(&self, command: Command) -> bool {
        self.writer.get().is_some_and(|(commands, _)| commands.try_send(command).is_ok())
    }

    pub(crate) fn stop_writer(&self) {
        self.command(Command::Stop);
    }

    pub(crate) fn figures(&self) -> Option<&Figures> {
        self.writer.get().map(|(_, figures)| &**figures)
    }

    pub(crate) fn emit(&self, event: RecorderEvent) {
        if self.events.try_send(event).is_err() {
            self.dropped_events.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn emit_clip(&self, clip: &Clip, state: ClipState) {
        self.emit(RecorderEvent::Clip { clip: Box::new(clip.clone()), state });
    }

    /// Remembers, logs and tells; counts only, when the same was said within [`ALARM_AGAIN_MS`].
    pub(crate) fn alarm(&self, channel: &str, text: impl Into<String>) {
        let text = text.into();
        metrics::counter!("oxbow_recorder_alarms_total").increment(1);
        let utc_ms = clock::utc_ms();
        {
            let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
            let said = |alarm: &Alarm| alarm.channel == channel && alarm.text == text;
            if alarms.iter().any(|alarm| said(alarm) && utc_ms - alarm.utc_ms < ALARM_AGAIN_MS) {
                return;
            }
            alarms.push_back(Alarm { utc_ms, channel: channel.to_owned(), text: text.clone() });
            if alarms.len() > ALARMS {
                alarms.pop_front();
            }
        }
        tracing::error!(channel, "{text}");
        self.emit(RecorderEvent::Alarm { channel: channel.to_owned(), text });
    }

    pub(crate) fn status(&self) -> RecorderStatus {
        let mut status = self.status.borrow().clone();
        self.fill(&mut status);
        status
    }

    pub(crate) fn watch(&self) -> watch::Receiver<RecorderStatus> {
        self.status.subscribe()
    }

    /// Publishes what the housekeeper counted.
    pub(crate) fn publish(&self, mut status: RecorderStatus) {
        self.fill(&mut status);
        self.node.send_replace(status.node.clone());
        self.status.send_replace(status);
    }

    pub(crate) fn node(&self) -> watch::Receiver<NodeStatus> {
        self.node.subscribe()
    }

    /// The part that costs nothing to read.
    fn fill(&self, status: &mut RecorderStatus) {
        if let Some(figures) = self.figures() {
            status.units = figures.units.load(Relaxed);
            status.written_bytes = figures.bytes.load(Relaxed);
            status.dropped_units = figures.dropped_units.load(Relaxed);
            status.open = figures.open.load(Relaxed);
            status.failing = figures.failing.load(Relaxed);
        }
        status.dropped_events = self.dropped_events.load(Relaxed);
        let alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        status.node.alarms = alarms.iter().cloned().collect();
    }

    /// Returns when no clip, broadcast or sidecar is on its way any more. Failed ones are not.
    pub(crate) async fn until_idle(&self) {
        const BUSY: [ClipState; 5] =
            [ClipState::Recording, ClipState::Exporting, ClipState::Queued, ClipState::Uploading, ClipState::Verified];
        let mut changed = self.stores.local.changed();
        loop {
            changed.borrow_and_update();
            let clips = self.stores.local.next_clip_due(&BUSY).await;
            let orders = self.stores.local.next_order_due().await;
            let broadcasts = self.stores.local.next_broadcast_due().await;
            let sidecars = self.stores.local.next_sidecar_due().await;
            if matches!((clips, orders, broadcasts, sidecars), (Ok(None), Ok(None), Ok(None), Ok(None)))
                || changed.changed().await.is_err()
            {
                return;
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }
}

/// Runs a task until the recorder stops. One that panics is an alarm and is started again: its state is in the job table.
pub(crate) fn supervise<F, T>(desk: &Arc<Desk>, name: &'static str, task: F) -> JoinHandle<()>
where
    F: Fn(Arc<Desk>) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let desk = Arc::clone(desk);
    tokio::spawn(async move {
        loop {
            let mut running = tokio::task::JoinSet::new();
            running.spawn(task(Arc::clone(&desk)));
            let ended = tokio::select! {
                ended = running.join_next() => ended,
                () = desk.stopping.cancelled() => return,
            };
            if let Some(Err(error)) = ended {
                desk.alarm("", format!("the recorder's {name} died: {error}"));
            }
            tokio::select! {
                () = tokio::time::sleep(RESTART) => {}
                () = desk.stopping.cancelled() => return,
            }
        }
    })
}
