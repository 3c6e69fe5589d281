//! What was recorded, for those who rewind: an index for each broadcast that somebody watches, and the newest segments that were made.
//!
//! Everything comes from the journals of this node, so nothing here outlives a restart or needs to: a segment that is made again is the same. The work is
//! done on blocking threads, a few at a time, and what is remembered is bounded.

mod config;
mod part;
mod recording;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use storage::Id;
use tokio::sync::Semaphore;

use self::recording::{Recording, Written};
use crate::app::App;
use crate::error::{Code, Error};

/// Broadcasts whose index is remembered, and for how long without a question.
const RECORDINGS: u64 = 64;
const REMEMBERED: Duration = Duration::from_secs(600);
/// Segments that are remembered, in bytes.
const SEGMENT_BYTES: u64 = 64 << 20;
/// How many read journals at a time.
const WORKERS: usize = 4;

/// A name within the replay of a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Playlist,
    Init(String),
    Segment { part: u32, number: u32 },
}

impl Name {
    /// `index.m3u8`, `init-<hash>.mp4`, `<part>-<number>.m4s`; numbers without leading zeros, since a thing has one name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "index.m3u8" {
            return Some(Name::Playlist);
        }
        if text.starts_with("init-") && text.ends_with(".mp4") && text.len() == 25 {
            return Some(Name::Init(text.to_owned()));
        }
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|number| number.to_string() == digits);
        let (part, number_in_part) = text.strip_suffix(".m4s")?.split_once('-')?;
        Some(Name::Segment { part: number(part)?, number: number(number_in_part)? })
    }
}

pub struct Replays {
    recordings: Cache<Id, Arc<Mutex<Recording>>>,
    segments: Cache<(Id, u32, u32), Bytes>,
    workers: Arc<Semaphore>,
}

impl Default for Replays {
    fn default() -> Self {
        let weight = |_: &(Id, u32, u32), bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self {
            recordings: Cache::builder().max_capacity(RECORDINGS).time_to_idle(REMEMBERED).build(),
            segments: Cache::builder().max_capacity(SEGMENT_BYTES).weigher(weight).build(),
            workers: Arc::new(Semaphore::new(WORKERS)),
        }
    }
}

async fn is_live(app: &App, broadcast: &Id) -> bool {
    app.lives().rooms().await.iter().any(|room| room.broadcast.to_string() == broadcast.as_str())
}

/// One file of the replay of a broadcast.
///
/// # Errors
/// `not_found` when there was never such a thing, or not yet; `gone` when it is not kept any more; `unsupported_media_type` when the codec cannot be
/// replayed in this way.
pub async fn file(app: &App, broadcast: &Id, name: &Name) -> Result<Bytes, Error> {
    let recording = recording(app, broadcast).await?;
    match name {
        Name::Playlist => playlist(app, broadcast, &recording).await,
        Name::Init(name) => locked(&recording).init(name).ok_or_else(Error::not_found),
        Name::Segment { part, number } => segment(app, broadcast, &recording, *part, *number).await,
    }
}

type Shared = Arc<Mutex<Recording>>;

fn locked(recording: &Shared) -> std::sync::MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The index of a broadcast as of now.
async fn recording(app: &App, broadcast: &Id) -> Result<Shared, Error> {
    let replays = app.replays();
    let known = replays.recordings.get(broadcast);
    if let Some(recording) = known.as_ref().filter(|recording| recording.try_lock().is_ok_and(|r| r.is_fresh())) {
        return Ok(Arc::clone(recording));
    }
    let live = is_live(app, broadcast).await;
    let kept = app.local().kept_parts(broadcast.clone()).await?;
    if kept.is_empty() && known.is_none() {
        return Err(nothing_kept(app, broadcast, live).await);
    }
    let recording = replays.recordings.get_with(broadcast.clone(), Shared::default);
    let looked = Arc::clone(&recording);
    work(app, move || {
        let mut recording = locked(&looked);
        if recording.is_fresh() { Ok(()) } else { recording.look(&kept, live) }
    })
    .await?
    .map_err(|error| Error::internal("a recording cannot be read", error))?;
    Ok(recording)
}

async fn nothing_kept(app: &App, broadcast: &Id, live: bool) -> Error {
    if live {
        let detail = "nothing of this broadcast is recorded yet";
        return Error::new(Code::NotFound, detail).retry_after(Duration::from_secs(2));
    }
    match app.database().broadcast(broadcast).await {
        Ok(Some(_)) => gone(),
        Ok(None) => Error::not_found(),
        Err(error) => error.into(),
    }
}

fn gone() -> Error {
    Error::new(Code::Gone, "the recording of this broadcast is not kept any more; its clips may be")
}

async fn playlist(app: &App, broadcast: &Id, recording: &Shared) -> Result<Bytes, Error> {
    let recording = Arc::clone(recording);
    match work(app, move || locked(&recording).playlist()).await? {
        Written::Text(text) => Ok(text.into()),
        Written::NotYet => {
            let detail = "the first seconds of this broadcast are not recorded yet";
            Err(Error::new(Code::NotFound, detail).retry_after(Duration::from_secs(1)))
        }
        Written::Unsuitable(codec) => {
            let detail = format!("its picture is {codec}, which cannot be rewound; the clips of it can be watched");
            Err(Error::new(Code::UnsupportedMediaType, detail))
        }
        Written::Gone => {
            app.replays().recordings.invalidate(broadcast);
            Err(gone())
        }
    }
}

async fn segment(app: &App, broadcast: &Id, recording: &Shared, part: u32, number: u32) -> Result<Bytes, Error> {
    let plan = locked(recording).plan(part, number).ok_or_else(Error::not_found)?;
    let key = (broadcast.clone(), part, number);
    let segments = app.replays().segments.clone();
    if let Some(made) = segments.get(&key) {
        return Ok(made);
    }
    let made = work(app, move || {
        segments
            .try_get_with(key, || part::build(&plan.journal, &plan.segment, plan.number, &plan.format).map(Bytes::from))
    })
    .await?;
    made.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => gone(),
        _ => Error::internal("a segment cannot be made", error),
    })
}

/// On a blocking thread, when one of the few is free.
async fn work<T: Send + 'static>(app: &App, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let stopping = || Error::new(Code::ShuttingDown, "the server is stopping");
    let turn = Arc::clone(&app.replays().workers).acquire_owned().await.map_err(|_| stopping())?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(|error| Error::internal("a replay failed", error))
}

#[cfg(test)]
mod tests;
