//! What people ask for of what is recorded: clips of the last half minute, trims, merges, whole broadcasts, and extracts that are
//! only played. All of them are a [`Recipe`]: ranges of journals, of which a worker makes one file.
//!
//! An order is a row, taken up as often as it takes and done by one transaction, so that a crash anywhere makes neither two clips nor
//! none. What an order needs is not removed while it waits ([`storage::Local::needed_broadcasts`]).
//! Not here: the parts of a recording themselves (`clip.rs`), what is a good cut and how to make it (pipeline).

mod extract;
mod make;
mod resolve;
mod stored;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pipeline::Exported;
use storage::local::LocalClip;
use storage::{Clip, ClipState, Id, Reason, Recipe, StorageError};
use tokio::task::JoinSet;

pub(crate) use self::extract::run as extracts;
use self::make::Beside;
use crate::desk::Desk;
use crate::{clip, clock, upload};

/// Orders that are looked after at a time. Most of that time they wait for the recording to be written or for a worker.
const AT_ONCE: usize = 64;
/// A worker that crashes on an order is not fed with it for ever.
const ATTEMPTS: u32 = 5;
/// Looked at this often at least.
const LOOK: Duration = Duration::from_secs(5);
/// How far ahead of its own request a range may end: clocks of those who ask differ.
const AHEAD_MS: i64 = 2_000;

/// Why there is no file, and whether another try may help.
#[derive(Debug)]
struct Trouble {
    text: String,
    lasting: bool,
}

impl Trouble {
    fn lasting(text: impl ToString) -> Self {
        Self { text: text.to_string(), lasting: true }
    }

    fn passing(text: impl ToString) -> Self {
        Self { text: text.to_string(), lasting: false }
    }
}

impl From<clip::Trouble> for Trouble {
    fn from(trouble: clip::Trouble) -> Self {
        Self { text: trouble.text, lasting: trouble.final_ }
    }
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        Self::passing(error)
    }
}

/// Makes the clips that are due, for ever.
pub(crate) async fn run(desk: Arc<Desk>) {
    let local = &desk.stores.local;
    let mut changed = local.changed();
    let mut running: JoinSet<Id> = JoinSet::new();
    let mut busy: BTreeSet<Id> = BTreeSet::new();
    loop {
        changed.borrow_and_update();
        match local.due_orders(clock::utc_ms(), AT_ONCE as u32 * 2).await {
            Ok(due) => {
                for row in due {
                    if running.len() < AT_ONCE && busy.insert(row.id.clone()) {
                        let desk = Arc::clone(&desk);
                        running.spawn(async move {
                            let id = row.id.clone();
                            order(&desk, row).await;
                            id
                        });
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the job table cannot be read"),
        }
        let next = local.next_order_due().await.ok().flatten().filter(|_| running.is_empty());
        let wait = next.map_or(LOOK, |at| Duration::from_millis((at - clock::utc_ms()).max(50) as u64).min(LOOK));
        tokio::select! {
            _ = changed.changed() => {}
            Some(done) = running.join_next() => match done {
                Ok(id) => drop(busy.remove(&id)),
                // which one is not said: all that are still running are simply tried again by the next supervised start
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn order(desk: &Desk, row: LocalClip) {
    let Some(recipe) = row.recipe.clone() else { return };
    let started = std::time::Instant::now();
    match make(desk, &row, &recipe).await {
        Ok(Some(clip)) => {
            metrics::histogram!("oxbow_order_seconds").record(started.elapsed().as_secs_f64());
            tracing::info!(clip = %clip.id, channel = clip.channel, ms = clip.duration_ms, "an ordered clip can be played");
            desk.emit_clip(&clip, ClipState::Queued);
        }
        Ok(None) => {}
        Err(trouble) => note_trouble(desk, &row, trouble).await,
    }
}

/// The clip, or none when it was deleted meanwhile.
async fn make(desk: &Desk, row: &LocalClip, recipe: &Recipe) -> Result<Option<Clip>, Trouble> {
    let made = make::make(desk, recipe, &row.id, row.created_ms, Beside::ClipFiles).await?;
    crate::clip::note_undecoded(desk, row, &made.exported);
    let clip = make::describe(row, recipe, &made);
    let Exported { file, poster, units, .. } = made.exported;
    if desk.stores.local.exported(clip.clone(), file.clone(), poster.clone()).await? {
        return Ok(Some(clip));
    }
    for path in [Some(file), poster, units].into_iter().flatten() {
        upload::remove(&path).await?;
    }
    Ok(None)
}

async fn note_trouble(desk: &Desk, row: &LocalClip, trouble: Trouble) {
    let Trouble { text, lasting } = trouble;
    let local = &desk.stores.local;
    let noted = if lasting || row.attempts + 1 >= ATTEMPTS {
        tracing::warn!(clip = %row.id, channel = row.channel, error = text, "an order cannot be made");
        let failed = local.fail(row.id.clone(), text).await.map(drop);
        if let Ok(Some(now)) = local.local_clip(row.id.clone()).await {
            desk.emit_clip(&now.pending().clip, ClipState::Failed);
        }
        failed
    } else {
        tracing::warn!(clip = %row.id, attempts = row.attempts, error = text, "an order is put off");
        local.retry_clip(row.id.clone(), Reason::Export, text, clock::next_try_ms(row.attempts)).await
    };
    if let Err(error) = noted {
        desk.alarm(&row.channel, format!("the job table cannot be written: {error}"));
        tokio::time::sleep(Duration::from_secs(1)).await; // the row still says that it is due
    }
}
