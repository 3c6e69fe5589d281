//! A crowd of viewers: how it joins, and the thread that drives it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::Url;

use crate::peer::Identity;
use crate::process::utc_ns;
use crate::target::Target;
use crate::viewer::{Hands, Traits, Viewer};

/// Joins on their way at a time, where nothing else is asked for.
const JOINS_AT_ONCE: usize = 8;
const CONNECT: Duration = Duration::from_secs(30);
/// Between two looks at all sockets. Nobody sleeps on them, as wake-ups of this program would be charged to the server.
const LOOK: Duration = Duration::from_millis(4);
/// Without a packet for so long, nothing is on its way any more.
const QUIET: Duration = Duration::from_millis(700);
const DRAIN: Duration = Duration::from_secs(10);
/// Of the thread's sockets at most.
const CAPACITY: usize = 16_384;

/// What the crowd's thread tells, and is told.
#[derive(Default)]
struct Crowd {
    over: AtomicBool,
    connected: AtomicUsize,
    received: AtomicU64,
    window: AtomicUsize,
}

/// Viewers on their thread. Dropped early, they end too.
pub struct Audience {
    crowd: Arc<Crowd>,
    hand_over: SyncSender<Viewer>,
    thread: Option<JoinHandle<Result<Vec<Viewer>>>>,
    joined: AtomicUsize,
}

/// Who comes: the channel and the traits of the `number`-th viewer.
pub struct Plan<'a> {
    pub target: &'a Target,
    pub identity: &'a Arc<Identity>,
    pub channel: &'a (dyn Fn(usize) -> String + Sync),
    pub traits: &'a (dyn Fn(usize) -> Traits + Sync),
}

impl Audience {
    pub fn open() -> Audience {
        let (hand_over, arriving) = sync_channel(CAPACITY);
        let crowd = Arc::new(Crowd::default());
        let state = crowd.clone();
        let thread = Some(std::thread::spawn(move || drive(&arriving, &state)));
        Audience { crowd, hand_over, thread, joined: AtomicUsize::new(0) }
    }

    /// Joins the viewers with these numbers, a few at a time, and waits until they are connected. Their resources at the server.
    ///
    /// # Errors
    /// When the server refuses one, or one does not connect within 30 s.
    pub async fn join(&self, plan: &Plan<'_>, numbers: Range<usize>) -> Result<Vec<Option<Url>>> {
        let mut resources = Vec::new();
        for at in numbers.clone().step_by(JOINS_AT_ONCE) {
            let group = (at..numbers.end.min(at + JOINS_AT_ONCE)).map(|number| self.join_one(plan, number));
            resources.extend(futures::future::try_join_all(group).await?);
        }
        self.connected().await?;
        Ok(resources)
    }

    /// Joins them at this rate, however long the server takes, and waits until they are connected.
    ///
    /// # Errors
    /// As [`Audience::join`].
    pub async fn storm(&self, plan: &Plan<'_>, numbers: Range<usize>, per_second: f64) -> Result<()> {
        let start = tokio::time::Instant::now();
        let joins = numbers.enumerate().map(|(at, number)| async move {
            tokio::time::sleep_until(start + Duration::from_secs_f64(at as f64 / per_second)).await;
            self.join_one(plan, number).await
        });
        futures::future::try_join_all(joins).await?;
        self.connected().await
    }

    async fn join_one(&self, plan: &Plan<'_>, number: usize) -> Result<Option<Url>> {
        let mut viewer = Viewer::new(plan.identity, (plan.traits)(number))?;
        let offer = viewer.asks(utc_ns());
        let accepted = plan.target.watch(&(plan.channel)(number), number, offer).await?;
        viewer.accept(&accepted.answer)?;
        self.hand_over.try_send(viewer).map_err(|_| anyhow::anyhow!("the viewers' thread ended"))?;
        self.joined.fetch_add(1, Ordering::Relaxed);
        Ok(accepted.resource)
    }

    async fn connected(&self) -> Result<()> {
        let (wanted, deadline) = (self.joined.load(Ordering::Relaxed), Instant::now() + CONNECT);
        while self.crowd.connected.load(Ordering::Acquire) < wanted {
            if Instant::now() > deadline || self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("{} of {wanted} viewers connected", self.crowd.connected.load(Ordering::Acquire));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Datagrams with media that all viewers received so far.
    pub fn received(&self) -> u64 {
        self.crowd.received.load(Ordering::Relaxed)
    }

    /// From now on probes note under this window, see [`crate::viewer::Sight`].
    pub fn window(&self, window: usize) {
        self.crowd.window.store(window, Ordering::Relaxed);
    }

    /// Everything on its way arrives before sums are compared: on a busy machine that takes as long as it takes.
    pub async fn drain(&self) {
        let deadline = Instant::now() + DRAIN;
        let mut before = None;
        while before != Some(self.received()) && Instant::now() < deadline {
            before = Some(self.received());
            tokio::time::sleep(QUIET).await;
        }
    }

    /// All say goodbye; what they saw, in the order in which they came.
    ///
    /// # Errors
    /// When a socket failed meanwhile.
    pub fn end(mut self) -> Result<Vec<Viewer>> {
        self.crowd.over.store(true, Ordering::Release);
        let thread = self.thread.take().context("a run ends once")?;
        thread.join().map_err(|_| anyhow::anyhow!("the viewers failed"))?
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.crowd.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it early has a cause of its own to tell.
            let _ = thread.join();
        }
    }
}

fn drive(arriving: &Receiver<Viewer>, crowd: &Crowd) -> Result<Vec<Viewer>> {
    let mut hands = Hands::default();
    let mut all: Vec<Viewer> = Vec::new();
    while !crowd.over.load(Ordering::Acquire) {
        all.extend(arriving.try_iter());
        let window = crowd.window.load(Ordering::Relaxed);
        let (mut received, mut connected) = (0, 0);
        for viewer in &mut all {
            let tally = viewer.pump(Instant::now(), window, &mut hands)?;
            received += tally.received;
            connected += tally.connected;
        }
        crowd.received.fetch_add(received, Ordering::Relaxed);
        crowd.connected.fetch_add(connected, Ordering::Release);
        std::thread::sleep(LOOK);
    }
    let now = Instant::now();
    for viewer in &mut all {
        viewer.close(now, &mut hands)?;
    }
    Ok(all)
}

/// The SRTP profiles of a crowd.
pub fn profiles(viewers: &[Viewer]) -> String {
    let mut profiles: Vec<&str> = viewers.iter().filter_map(|viewer| viewer.peer().profile()).collect();
    profiles.sort_unstable();
    profiles.dedup();
    profiles.join("+")
}
