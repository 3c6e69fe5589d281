//! Extracts: made for whoever plays them now, kept in the spool while that is likely to go on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use storage::local::{Extract, ExtractState, MadeFile};
use storage::{Id, StorageError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::make::{self, Beside};
use crate::desk::Desk;
use crate::{clock, upload};

/// Looked at this often at least.
const LOOK: Duration = Duration::from_secs(5);
/// One that nobody asked for within this time goes.
const KEPT_MS: i64 = 10 * 60_000;
/// All of them together. More: the one that was used longest ago goes, but none that was used a moment ago.
const KEPT_BYTES: u64 = 4 << 30;
const JUST_USED_MS: i64 = 60_000;

/// Makes what is wanted and drops what is not wanted any more, for ever.
pub(crate) async fn run(desk: Arc<Desk>) {
    let local = &desk.stores.local;
    let mut changed = local.changed();
    let mut running: JoinSet<Id> = JoinSet::new();
    let mut busy: BTreeSet<Id> = BTreeSet::new();
    let mut tidy_at = Instant::now();
    loop {
        changed.borrow_and_update();
        match local.due_extracts().await {
            Ok(due) => {
                for wanted in due.into_iter().filter(|extract| !busy.contains(&extract.id)).collect::<Vec<_>>() {
                    busy.insert(wanted.id.clone());
                    let desk = Arc::clone(&desk);
                    running.spawn(async move {
                        let id = wanted.id.clone();
                        if let Err(error) = extract(&desk, wanted).await {
                            tracing::warn!(%error, "an extract cannot be noted");
                        }
                        id
                    });
                }
            }
            Err(error) => tracing::warn!(%error, "the job table cannot be read"),
        }
        if Instant::now() >= tidy_at {
            tidy_at = Instant::now() + LOOK;
            if let Err(error) = tidy(&desk, clock::utc_ms()).await {
                tracing::warn!(%error, "old extracts stay for now");
            }
        }
        tokio::select! {
            _ = changed.changed() => {}
            Some(done) = running.join_next() => match done {
                Ok(id) => drop(busy.remove(&id)),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn extract(desk: &Desk, wanted: Extract) -> Result<(), StorageError> {
    let Extract { id, recipe, used_ms, .. } = wanted;
    let beside = if recipe.is_moment() { Beside::Still } else { Beside::Nothing };
    let made = make::make(desk, &recipe, &id, used_ms, beside).await.map(|made| made.exported);
    let files: Vec<PathBuf> =
        made.iter().flat_map(|exported| [&exported.file].into_iter().chain(&exported.poster)).cloned().collect();
    let told = made.map_err(|trouble| trouble.text).map(|exported| MadeFile {
        file: exported.file,
        mime: exported.mime,
        size: exported.size,
        sha256: exported.sha256,
        duration_ms: exported.duration_ms,
        from_ns: exported.from_ns,
        to_ns: exported.to_ns,
        still: exported.poster,
    });
    if desk.stores.local.extract_done(id, told, clock::utc_ms()).await? {
        return Ok(());
    }
    for file in files {
        upload::remove(&file).await?;
    }
    Ok(())
}

/// Row first: a file without a row is removed by the next start.
async fn tidy(desk: &Desk, now_ms: i64) -> Result<(), StorageError> {
    for extract in surplus(desk.stores.local.extracts().await?, now_ms) {
        desk.stores.local.forget_extract(extract.id).await?;
        if let ExtractState::Made(made) = extract.state {
            for file in [made.file].into_iter().chain(made.still) {
                upload::remove(&file).await?;
            }
        }
    }
    Ok(())
}

/// Those that may go, of all, the one that was used longest ago first.
fn surplus(all: Vec<Extract>, now_ms: i64) -> Vec<Extract> {
    let size = |extract: &Extract| match &extract.state {
        ExtractState::Made(made) => made.size,
        ExtractState::Wanted | ExtractState::Failed(_) => 0,
    };
    let mut bytes: u64 = all.iter().map(size).sum();
    let is_surplus = |extract: &Extract| {
        let rest_ms = now_ms - extract.used_ms;
        let goes = extract.state != ExtractState::Wanted
            && (rest_ms > KEPT_MS || rest_ms > JUST_USED_MS && bytes > KEPT_BYTES);
        if goes {
            bytes -= size(extract);
        }
        goes
    };
    all.into_iter().filter(is_surplus).collect()
}
