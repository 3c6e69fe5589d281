//! Rewrites the sidecars of rows that changed in the database, for ever if need be. A sidecar is what the database says when it is
//! written; then it is looked at again, so that whoever writes last, on whatever node, writes the newest.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use storage::local::DueSidecar;
use storage::{BroadcastQuery, ClipQuery, Described, Sidecar, StorageError, sidecar};

use crate::clock;
use crate::desk::Desk;

/// Sidecars written at a time.
const AT_ONCE: usize = 4;
/// Taken from the job table at a time.
const ROUND: u32 = 64;
/// Looked at this often at least.
const LOOK: Duration = Duration::from_secs(5);
/// A row that changes under every look is left to the next round.
const LOOKS: usize = 8;
/// Name of the catching-up among the things that are done once.
const CAUGHT_UP: &str = "sidecars";

/// Writes whatever is due, for ever.
pub(crate) async fn run(desk: Arc<Desk>) {
    let local = &desk.stores.local;
    let mut changed = local.changed();
    let mut caught_up = false;
    loop {
        changed.borrow_and_update();
        if !caught_up {
            caught_up = catch_up(&desk).await.is_ok();
        }
        match local.due_sidecars(clock::utc_ms(), ROUND).await {
            Ok(due) => futures::stream::iter(due).for_each_concurrent(AT_ONCE, |due| bring_out(&desk, due)).await,
            Err(error) => tracing::warn!(%error, "the job table cannot be read"),
        }
        let next = local.next_sidecar_due().await.ok().flatten();
        let wait = next.map_or(LOOK, |at| Duration::from_millis((at - clock::utc_ms()).max(50) as u64).min(LOOK));
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn bring_out(desk: &Desk, due: DueSidecar) {
    let (local, id) = (&desk.stores.local, due.of.id().clone());
    let attempts = due.attempts;
    let noted = match write(desk, &due.of).await {
        Ok(()) => local.sidecar_written(due).await,
        Err(error) => {
            metrics::counter!("oxbow_sidecar_failures_total", "reason" => error.reason().as_str()).increment(1);
            if attempts == 0 {
                tracing::warn!(%id, %error, "a sidecar cannot be written now; it is tried until it is");
            }
            local.retry_sidecar(id, error.to_string(), clock::next_try_ms(attempts)).await
        }
    };
    if let Err(error) = noted {
        desk.alarm("", format!("the job table cannot be written: {error}"));
        tokio::time::sleep(Duration::from_secs(1)).await; // the row still says that it is due
    }
}

async fn write(desk: &Desk, of: &Described) -> Result<(), StorageError> {
    let mut written = None;
    for _ in 0..LOOKS {
        let now = as_it_is(desk, of).await?;
        let Some(fresh) = now.filter(|now| written.as_ref() != Some(now)) else { return Ok(()) };
        desk.stores.objects.put_bytes(&fresh.key(), fresh.json()?, sidecar::MIME).await?;
        written = Some(fresh);
    }
    Err(StorageError::Conflict)
}

/// None when the database knows nothing of it: it was never there, or has yet to be rebuilt.
async fn as_it_is(desk: &Desk, of: &Described) -> Result<Option<Sidecar>, StorageError> {
    let database = &desk.stores.database;
    match of {
        Described::Broadcast(id) => {
            Ok(database.broadcast(id).await?.map(|broadcast| Sidecar::Broadcast(Box::new(broadcast))))
        }
        Described::Clip(id) => match database.clip(id).await? {
            Some(clip) => Ok(Some(Sidecar::Clip(Box::new(clip)))),
            None => Ok(database.tombstone(id).await?.map(|left| Sidecar::Tombstone(Box::new(left)))),
        },
    }
}

/// Once in the life of a data folder: an older Oxbow did not write all sidecars, so each is written anew.
async fn catch_up(desk: &Desk) -> Result<(), StorageError> {
    let (local, database) = (&desk.stores.local, &desk.stores.database);
    if local.is_done(CAUGHT_UP).await? {
        return Ok(());
    }
    let mut query = BroadcastQuery::default();
    loop {
        let page = database.broadcasts(&query).await?;
        local
            .note_sidecars(page.items.into_iter().map(|broadcast| Described::Broadcast(broadcast.id)).collect())
            .await?;
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let mut query = ClipQuery::default();
    loop {
        let page = database.clips(&query).await?;
        local.note_sidecars(page.items.into_iter().map(|clip| Described::Clip(clip.id)).collect()).await?;
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    local.done(CAUGHT_UP).await
}
