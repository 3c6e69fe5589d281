//! The journal thread: the only one that writes journals. It takes what the taps deliver, asks [`Rollover`] where it belongs, writes
//! every 100 ms and says what happened. Nothing slow is done here: others wait for the medium ([`Medium`], and a thread for the syncs that nothing
//! depends on), rows and files are others' work.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use journal::Cause;
use media::id::BroadcastId;
use media::message::{EndReason, TapFact, TapItem};
use shard::{TapError, Taps};
use storage::Id;
use tokio::sync::mpsc;

use crate::clock;
use crate::horizon::{Horizon, Written};
use crate::medium::Medium;
use crate::rollover::Limits;
use crate::stream::Stream;

/// One `writev` per recording and this long.
const TICK: Duration = Duration::from_millis(100);
/// One `fdatasync` per recording and this long.
const SYNC: Duration = Duration::from_secs(2);
/// Items taken before the clock is looked at again.
const BATCH: usize = 256;
/// Items taken at a stop; more than any tap queue holds.
const LAST_ITEMS: usize = 1 << 20;
/// Commands that may wait. More: the sender is told.
pub(crate) const COMMANDS: usize = 256;
/// Facts that may wait for the supervisor; far more than a second's worth. Then this thread waits, and the tap's own bound holds.
pub(crate) const FACTS: usize = 1024;
/// Files that may wait for the sync of every [`SYNC`]. More: they are synced with the next round.
const SYNCS: usize = 1024;

/// Where media comes from: the taps of the media plane, or a test.
pub trait Items: Send + 'static {
    /// The next item, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TapError::Timeout`], or [`TapError::Closed`] after the last item.
    fn recv_timeout(&mut self, timeout: Duration) -> Result<TapItem, TapError>;
}

impl Items for Taps {
    fn recv_timeout(&mut self, timeout: Duration) -> Result<TapItem, TapError> {
        Taps::recv_timeout(self, timeout)
    }
}

#[derive(Debug)]
pub(crate) enum Command {
    /// Cut at the next keyframe.
    Cut { broadcast: BroadcastId, requests: Vec<Id> },
    /// Whether nothing is to be written: running parts end, no other begins. Broadcasts stay open.
    Hold(bool),
    /// End everything in order and stop.
    Stop,
}

/// What happened, in order.
#[derive(Debug)]
pub(crate) enum Fact {
    Opened {
        broadcast: BroadcastId,
        channel: String,
        media_zero_utc_us: u64,
    },
    /// The file is there, its name and header are durable.
    PartOpened {
        header: journal::Header,
        path: PathBuf,
    },
    /// Nothing will be written to it any more.
    PartClosed {
        header: journal::Header,
        path: PathBuf,
        cause: Cause,
        requests: Vec<Id>,
    },
    /// Never made it to the disk.
    PartLost {
        header: journal::Header,
        requests: Vec<Id>,
    },
    /// After all its parts.
    Closed {
        broadcast: BroadcastId,
        utc_us: u64,
        reason: EndReason,
        unanswered: Vec<Id>,
    },
    Alarm {
        channel: String,
        text: String,
    },
}

/// Counters and signs of life, readable while the thread is stuck.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// UTC milliseconds of the latest turn.
    pub(crate) alive_ms: AtomicU64,
    pub(crate) units: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) dropped_units: AtomicU64,
    /// Recordings that the disk refuses at the moment.
    pub(crate) failing: AtomicU64,
    pub(crate) open: AtomicU64,
}

pub(crate) struct WriterConfig {
    /// `DATA_DIR/journal`.
    pub(crate) root: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) horizon: Arc<Horizon>,
}

/// The running thread.
pub(crate) struct Writer {
    pub(crate) commands: SyncSender<Command>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) thread: JoinHandle<()>,
}

/// What a stream may use of its thread.
pub(crate) struct Desk {
    pub(crate) root: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) figures: Arc<Figures>,
    horizon: Arc<Horizon>,
    facts: mpsc::Sender<Fact>,
    keyframes: mpsc::Sender<BroadcastId>,
    syncs: SyncSender<(String, Arc<File>)>,
    pub(crate) medium: Medium,
}

impl Desk {
    /// Waits when the supervisor is far behind; a fact is never lost while it lives.
    pub(crate) fn tell(&self, fact: Fact) {
        if self.facts.blocking_send(fact).is_err() {
            tracing::error!("the recorder's supervisor is gone; recovery will take up what was written");
        }
    }

    /// Best effort: it is asked again.
    pub(crate) fn ask_keyframe(&self, broadcast: BroadcastId) {
        let _ = self.keyframes.try_send(broadcast);
    }

    /// Everything that was given to the files of a broadcast is written; none when nothing more will come.
    pub(crate) fn wrote(&self, broadcast: BroadcastId, written: Option<Written>) {
        self.horizon.tell(broadcast, written);
    }

    /// False when the sync thread is behind; try again with the next round.
    pub(crate) fn sync_later(&self, channel: &str, file: Arc<File>) -> bool {
        !matches!(self.syncs.try_send((channel.to_owned(), file)), Err(TrySendError::Full(_)))
    }
}

/// Starts the thread.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(
    config: WriterConfig,
    items: Box<dyn Items>,
    facts: mpsc::Sender<Fact>,
    keyframes: mpsc::Sender<BroadcastId>,
) -> std::io::Result<Writer> {
    let figures = Arc::new(Figures::default());
    let (commands, inbox) = sync_channel(COMMANDS);
    let (syncs, files) = sync_channel(SYNCS);
    let alarms = facts.clone();
    let syncer = thread::Builder::new().name("journal-sync".into()).spawn(move || sync_files(&files, &alarms))?;
    let WriterConfig { root, limits, horizon } = config;
    let (medium, mut waiters) = Medium::start()?;
    waiters.push(syncer);
    let desk = Desk { root, limits, figures: Arc::clone(&figures), horizon, facts, keyframes, syncs, medium };
    let thread = thread::Builder::new().name("journal".into()).spawn(move || {
        Turn { desk, items, inbox, streams: BTreeMap::new(), held: false, answered: 0 }.run();
        for waiter in waiters {
            let _ = waiter.join(); // their queues closed with the desk
        }
    })?;
    Ok(Writer { commands, figures, thread })
}

fn sync_files(files: &Receiver<(String, Arc<File>)>, alarms: &mpsc::Sender<Fact>) {
    for (channel, file) in files {
        if let Err(error) = file.sync_data() {
            tracing::error!(channel, %error, "a journal could not be synced");
            let text = format!("the disk does not confirm what is recorded: {error}");
            let _ = alarms.blocking_send(Fact::Alarm { channel, text });
        }
    }
}

struct Turn {
    desk: Desk,
    items: Box<dyn Items>,
    inbox: Receiver<Command>,
    streams: BTreeMap<BroadcastId, Stream>,
    held: bool,
    /// Answers of the medium that were looked at.
    answered: u64,
}

impl Turn {
    fn run(mut self) {
        let mut next_tick = Instant::now() + TICK;
        let mut next_sync = Instant::now() + SYNC;
        let mut stopping = false;
        loop {
            let mut timeout = next_tick.saturating_duration_since(Instant::now());
            if stopping {
                thread::sleep(timeout); // only files that the disk refuses are left; they are tried once a tick
            }
            for _ in 0..if stopping { 0 } else { BATCH } {
                match self.items.recv_timeout(timeout) {
                    Ok(item) => self.item(Instant::now(), item),
                    Err(TapError::Timeout) => break,
                    Err(TapError::Closed) => {
                        self.end_all(Instant::now());
                        stopping = true;
                        break;
                    }
                }
                timeout = Duration::ZERO;
            }
            let now = Instant::now();
            self.desk.figures.alive_ms.store(clock::utc_ms() as u64, Relaxed);
            while let Ok(command) = self.inbox.try_recv() {
                match command {
                    Command::Cut { broadcast, requests } => self.cut(now, broadcast, requests),
                    Command::Hold(held) => self.hold(now, held),
                    Command::Stop if stopping => {}
                    Command::Stop => {
                        self.drain();
                        self.end_all(now);
                        stopping = true;
                    }
                }
            }
            self.hear_medium(now);
            if now >= next_tick {
                let sync = now >= next_sync;
                self.tick(now, sync);
                next_tick = now + TICK;
                if sync {
                    next_sync = now + SYNC;
                }
            }
            if stopping && self.streams.is_empty() {
                return;
            }
        }
    }

    /// Takes what was delivered before the stop, its own ends of broadcasts included.
    fn drain(&mut self) {
        for _ in 0..LAST_ITEMS {
            match self.items.recv_timeout(Duration::ZERO) {
                Ok(item) => self.item(Instant::now(), item),
                Err(TapError::Timeout | TapError::Closed) => return,
            }
        }
    }

    fn item(&mut self, now: Instant, item: TapItem) {
        let TapItem { broadcast, fact } = item;
        if let TapFact::Opened { channel, media_zero_utc_us } = &fact {
            if self.streams.contains_key(&broadcast) {
                return;
            }
            let opened =
                Fact::Opened { broadcast, channel: channel.to_string(), media_zero_utc_us: *media_zero_utc_us };
            self.desk.tell(opened);
            let mut stream = Stream::new(broadcast, channel.clone(), *media_zero_utc_us, self.desk.limits);
            if self.held {
                stream.hold(Instant::now(), &self.desk);
            }
            self.streams.insert(broadcast, stream);
            return;
        }
        match self.streams.get_mut(&broadcast) {
            Some(stream) => stream.fact(now, fact, &self.desk),
            None => tracing::debug!(%broadcast, "a fact of a broadcast that is not open"),
        }
    }

    fn cut(&mut self, now: Instant, broadcast: BroadcastId, requests: Vec<Id>) {
        match self.streams.get_mut(&broadcast) {
            Some(stream) => stream.request(now, requests, &self.desk),
            None => {
                let (utc_us, reason) = (clock::utc_us(), EndReason::Stopped);
                self.desk.tell(Fact::Closed { broadcast, utc_us, reason, unanswered: requests });
            }
        }
    }

    fn hold(&mut self, now: Instant, held: bool) {
        self.held = held;
        for stream in self.streams.values_mut().filter(|stream| !stream.has_ended()) {
            if held {
                stream.hold(now, &self.desk);
            } else {
                stream.resume(now, &self.desk);
            }
        }
    }

    fn end_all(&mut self, now: Instant) {
        let closed = TapFact::Closed { utc_us: clock::utc_us(), reason: EndReason::Shutdown };
        for stream in self.streams.values_mut().filter(|s| !s.has_ended()) {
            stream.fact(now, closed.clone(), &self.desk);
        }
        self.tick(now, true);
    }

    /// What waited for the medium goes on as soon as it has answered.
    fn hear_medium(&mut self, now: Instant) {
        let answered = self.desk.medium.done();
        if std::mem::replace(&mut self.answered, answered) != answered {
            for stream in self.streams.values_mut().filter(|stream| stream.waits_for_medium()) {
                stream.tick(now, false, &self.desk);
            }
        }
    }

    fn tick(&mut self, now: Instant, sync: bool) {
        let mut failing = 0;
        self.streams.retain(|_, stream| {
            stream.tick(now, sync, &self.desk);
            failing += u64::from(stream.is_failing());
            !stream.is_done()
        });
        self.desk.figures.failing.store(failing, Relaxed);
        self.desk.figures.open.store(self.streams.len() as u64, Relaxed);
        self.desk.horizon.turned();
    }
}

#[cfg(test)]
impl Desk {
    /// For a stream without its thread. What it tells, asks for and wants of the medium comes out of the receivers.
    pub(crate) fn detached(root: PathBuf, limits: Limits) -> (Self, Told) {
        let (facts, told) = mpsc::channel(FACTS);
        let (keyframes, asked) = mpsc::channel(COMMANDS);
        let (syncs, _) = sync_channel(SYNCS);
        let (medium, jobs) = Medium::idle();
        let (figures, horizon) = (Arc::default(), Arc::default());
        (Self { root, limits, figures, horizon, facts, keyframes, syncs, medium }, Told { told, asked, jobs })
    }
}

#[cfg(test)]
pub(crate) struct Told {
    pub(crate) told: mpsc::Receiver<Fact>,
    pub(crate) asked: mpsc::Receiver<BroadcastId>,
    pub(crate) jobs: Receiver<crate::medium::Job>,
}
