//! One node: a recorder on a data folder with folder store, SQLite and real workers, fed by the story.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::id::{BroadcastId, TrackId};
use media::message::{AccessUnit, Codec, CodecConfig, EndReason, TapFact, TapItem};
use pipeline::source::{Kind, Source, TestPattern};
use pipeline::{Workers, WorkersConfig, inspect};
use recorder::check::Report;
use recorder::{Items, Recorder, RecorderConfig, RecorderEvent, Stores};
use shard::TapError;
use storage::{Broadcast, BroadcastQuery, Clip, ClipQuery, ClipState, Database, Id, Local, ObjectStore, Watermarks};
use tokio::sync::mpsc;

pub const VIDEO: TrackId = TrackId(0);
pub const SOUND: TrackId = TrackId(1);
pub const FPS: u32 = 30;
pub const SECOND: u64 = 1_000_000_000;

struct Feed(Receiver<TapItem>);

impl Items for Feed {
    fn recv_timeout(&mut self, timeout: Duration) -> Result<TapItem, TapError> {
        self.0.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => TapError::Timeout,
            RecvTimeoutError::Disconnected => TapError::Closed,
        })
    }
}

/// When clips roll over. Nothing does within a test unless it is said.
#[derive(Clone, Copy)]
pub struct Limits {
    pub bytes: u64,
    pub length: Duration,
    /// How long journals are kept.
    pub keep: Duration,
}

pub const NEVER: Limits = Limits { bytes: 1 << 40, length: Duration::from_secs(3600), keep: Duration::from_secs(3600) };

pub fn every_seconds(seconds: u64) -> Limits {
    Limits { length: Duration::from_secs(seconds), ..NEVER }
}

pub struct Node {
    pub data: PathBuf,
    pub local: Local,
    pub database: Database,
    pub objects: ObjectStore,
    pub events: mpsc::Receiver<RecorderEvent>,
    pub asked: mpsc::Receiver<BroadcastId>,
    workers: Workers,
    recorder: Recorder,
    feed: SyncSender<TapItem>,
}

impl Node {
    pub async fn start(data: &Path, limits: Limits) -> Self {
        Self::start_with(data, limits, ObjectStore::folder(data.join("objects"))).await
    }

    pub async fn start_with(data: &Path, limits: Limits, objects: ObjectStore) -> Self {
        let database = Database::sqlite(data.join("db/oxbow.sqlite"));
        Self::start_on(data, limits, objects, database).await
    }

    /// Another node, with the store and the database of this one.
    pub async fn start_beside(data: &Path, node: &Node) -> Self {
        Self::start_on(data, NEVER, node.objects.clone(), node.database.clone()).await
    }

    async fn start_on(data: &Path, limits: Limits, objects: ObjectStore, database: Database) -> Self {
        let local = Local::open(data.join("local.sqlite")).expect("the job table");
        let program = std::env::current_exe().expect("this program");
        let workers = Workers::start(WorkersConfig::new(program));
        let (feed, items) = sync_channel(4096);
        let (ask, asked) = mpsc::channel(64);
        let config = RecorderConfig {
            data_dir: data.to_owned(),
            clip_size_bytes: limits.bytes,
            clip_length: limits.length,
            journal_keep: limits.keep,
            visibility: storage::Visibility::Hidden,
            watermarks: Watermarks::NONE,
            retention: storage::Retention::default(),
        };
        let stores = Stores {
            workers: workers.clone(),
            objects: objects.clone(),
            database: database.clone(),
            local: local.clone(),
        };
        let started = Recorder::start_with(config, Box::new(Feed(items)), ask, stores).await;
        let (recorder, events) = started.expect("the recorder starts");
        Self { data: data.to_owned(), local, database, objects, events, asked, workers, recorder, feed }
    }

    /// Gives the recorder one fact, as the tap would; blocks while its queue is full.
    pub fn give(&self, broadcast: BroadcastId, fact: TapFact) {
        self.feed.send(TapItem { broadcast, fact }).expect("the recorder listens");
    }

    pub fn begin(&self) -> BroadcastId {
        let now_us = now_us();
        let broadcast = BroadcastId::new(now_us / 1000, rand::random());
        let channel = "main".parse().expect("a channel");
        self.give(broadcast, TapFact::Opened { channel, media_zero_utc_us: now_us });
        broadcast
    }

    pub fn end(&self, broadcast: BroadcastId, reason: EndReason) {
        self.give(broadcast, TapFact::Closed { utc_us: now_us(), reason });
    }

    /// All clips that the database has, oldest first.
    pub async fn clips(&self) -> Vec<Clip> {
        let (mut clips, mut query) = (Vec::new(), ClipQuery::default());
        loop {
            let page = self.database.clips(&query).await.expect("the database");
            clips.extend(page.items);
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        clips.sort_by_key(|clip| (clip.broadcast.clone(), clip.part));
        clips
    }

    /// All broadcasts that the database has.
    pub async fn broadcasts(&self) -> Vec<Broadcast> {
        self.database.broadcasts(&BroadcastQuery::default()).await.expect("the database").items
    }

    /// Waits until nothing is to be removed and no sidecar to be written.
    pub async fn settle_removals(&self) {
        let told = until(60, || async {
            let removals = self.local.removals().await.expect("the job table");
            let sidecars = self.local.waiting_sidecars().await.expect("the job table");
            let left = format!("{removals:?}, {sidecars} sidecars");
            if removals.is_empty() && sidecars == 0 { Ok(()) } else { Err(left) }
        });
        told.await;
    }

    pub async fn count(&self, state: ClipState) -> u64 {
        self.local.counts_by_state().await.expect("the job table").get(&state).copied().unwrap_or_default()
    }

    /// Waits until this many clips are stored and nothing else is on its way.
    pub async fn settle(&self, clips: u64) {
        self.settle_within(60, clips).await;
    }

    /// As [`Self::settle`], which may take this many seconds.
    pub async fn settle_within(&self, seconds: u64, clips: u64) {
        let told = until(seconds, || async {
            let counts = self.local.counts_by_state().await.expect("the job table");
            let stored = counts.get(&ClipState::Stored).copied().unwrap_or_default();
            let ended = self.local.open_broadcasts().await.expect("the job table").is_empty();
            let sent = self.local.next_broadcast_due().await.expect("the job table").is_none()
                && self.local.waiting_sidecars().await.expect("the job table") == 0;
            let spool = files(&self.data.join("spool"));
            (stored == clips && counts.values().sum::<u64>() == clips && ended && sent && spool.is_empty())
                .then_some(())
                .ok_or_else(|| {
                    let alarms = self.recorder.status().node.alarms;
                    format!("wanted {clips} stored, have {counts:?}, ended {ended}, sent {sent}, {spool:?}, {alarms:?}")
                })
        });
        told.await;
    }

    /// Waits until nothing is on its way, however many clips that makes.
    pub async fn settle_all(&self) {
        let told = until(60, || async {
            let counts = self.local.counts_by_state().await.expect("the job table");
            let stored = counts.get(&ClipState::Stored).copied().unwrap_or_default();
            let sent = self.local.next_broadcast_due().await.expect("the job table").is_none()
                && self.local.waiting_sidecars().await.expect("the job table") == 0;
            let spool = files(&self.data.join("spool"));
            (counts.values().sum::<u64>() == stored && sent && spool.is_empty())
                .then_some(())
                .ok_or_else(|| format!("{counts:?} {spool:?} {:?}", self.recorder.status().node.alarms))
        });
        told.await;
    }

    pub async fn check(&self) -> Report {
        recorder::check::check(&self.data, &self.objects, &self.database, &self.local).await.expect("check runs")
    }

    pub async fn check_is_silent(&self) {
        let report = self.check().await;
        assert!(report.is_silent(), "{report}");
    }

    pub fn object(&self, key: &str) -> PathBuf {
        self.data.join("objects").join(key)
    }

    pub async fn stop(self) {
        drop(self.feed);
        self.recorder.shutdown(Duration::from_secs(20)).await;
        self.workers.shutdown().await;
    }
}

/// Facts of a live: two configurations, then units in order of time, a keyframe on each second.
pub struct Live {
    source: Source,
    codec: Codec,
    pub facts: Vec<TapFact>,
    pub pictures: u64,
    pub packets: u64,
    first_utc_us: u64,
}

impl Live {
    pub fn new(codec: Codec) -> Self {
        let pattern = TestPattern { codec, width: 384, height: 216, fps: FPS, bitrate: 400_000, sound: true };
        let sound = CodecConfig { codec: Codec::Opus, width: 0, height: 0, channels: 2, parameter_sets: Bytes::new() };
        let facts = vec![picture_config(codec, 384, 216), TapFact::Config { track: SOUND, config: sound }];
        let source = pattern.start().expect("the encoders start");
        Self { source, codec, facts, pictures: 0, packets: 0, first_utc_us: now_us() }
    }

    /// From the next picture on, which is a keyframe, they have another size.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.source.resize(width, height).expect("another encoder starts");
        self.facts.insert(0, picture_config(self.codec, width, height));
    }

    /// One more unit.
    pub fn unit(&mut self) -> TapFact {
        if self.pictures.is_multiple_of(u64::from(FPS)) {
            self.source.keyframes().request();
        }
        let unit = self.source.next_unit().expect("a unit");
        let (track, packets) = match unit.kind {
            Kind::Picture => (VIDEO, 3),
            Kind::Sound => (SOUND, 1),
        };
        match unit.kind {
            Kind::Picture => self.pictures += 1,
            Kind::Sound => self.packets += 1,
        }
        TapFact::Unit(AccessUnit {
            track,
            key: unit.key,
            pts_ns: unit.pts_ns,
            dts_ns: unit.pts_ns,
            utc_us: self.first_utc_us + unit.pts_ns / 1000,
            first_seq: unit.number * packets,
            last_seq: unit.number * packets + packets - 1,
            data: unit.data,
        })
    }

    /// Everything up to a time, configurations first.
    pub fn up_to(&mut self, end_ns: u64) -> Vec<TapFact> {
        let mut facts = std::mem::take(&mut self.facts);
        loop {
            let fact = self.unit();
            if let (TapFact::Unit(unit), Some(TapFact::Config { config, .. })) = (&fact, facts.first_mut())
                && unit.track == VIDEO
                && unit.key
                && config.codec == Codec::Av1
            {
                // the sequence header, an OBU with its size, stands first in a keyframe
                config.parameter_sets = unit.data.slice(..2 + usize::from(unit.data[1]));
            }
            let done =
                matches!(&fact, TapFact::Unit(unit) if unit.track == VIDEO && unit.pts_ns + SECOND / 30 + 1 >= end_ns);
            facts.push(fact);
            if done {
                return facts;
            }
        }
    }
}

fn picture_config(codec: Codec, width: u16, height: u16) -> TapFact {
    let config = CodecConfig { codec, width, height, channels: 0, parameter_sets: Bytes::new() };
    TapFact::Config { track: VIDEO, config }
}

/// Gives everything, as fast as it is taken.
pub fn play(node: &Node, broadcast: BroadcastId, facts: Vec<TapFact>) {
    for fact in facts {
        node.give(broadcast, fact);
    }
}

/// The numbers of all pictures of these clips, in order, decoded from the stored objects; each clip is looked at on its own as well.
pub fn numbers(node: &Node, clips: &[Clip]) -> Vec<u32> {
    let mut numbers = Vec::new();
    for clip in clips {
        let seen = inspect::clip(&node.object(&clip.object)).expect("the clip decodes");
        assert_eq!(seen.pictures.len() as u64, clip.frames, "clip {}", clip.part);
        assert!(seen.duration_ns.abs_diff(clip.duration_ms * 1_000_000) < 50_000_000, "clip {}: {clip:?}", clip.part);
        if let Some(offset) = seen.sound_offset_ns(FPS) {
            assert!(offset.abs() <= 20_000_000, "clip {}: sound is {offset} ns late", clip.part);
        }
        numbers.extend(seen.numbers().expect("every number can be read"));
    }
    numbers
}

/// 0 missing, 0 double.
pub fn assert_consecutive(numbers: &[u32], count: u64) {
    let wrong = numbers.iter().enumerate().find(|(at, number)| *at as u32 != **number);
    assert_eq!(wrong, None, "of {} pictures", numbers.len());
    assert_eq!(numbers.len() as u64, count);
}

/// Names of the files in a folder.
pub fn files(folder: &Path) -> Vec<String> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    found.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Asks every 20 ms until there is an answer; after `seconds` the story fails with the last reason.
pub async fn until<T, F>(seconds: u64, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) => assert!(Instant::now() < end, "not within {seconds} s: {reason}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn id(broadcast: BroadcastId) -> Id {
    broadcast.to_string().parse().expect("the same layout")
}

pub fn now_us() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros() as u64
}
