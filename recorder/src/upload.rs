//! The outbox: finished clips, changed broadcasts and deleted objects on their way out, steps 12 to 15 of `docs/journal.md`. Claim,
//! send, verify, mark, only then delete; for ever if need be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use storage::local::{LocalClip, Sent};
use storage::{Clip, ClipKind, ClipState, Described, Id, Sidecar, StorageError, Tombstone, sidecar};
use tokio::task::JoinSet;

use crate::desk::{Desk, RecorderEvent};
use crate::{clip, clock, continuity};

/// Uploads at a time.
const AT_ONCE: usize = 3;
/// Looked at this often at least.
const LOOK: Duration = Duration::from_secs(5);
/// A clip waits for the one before it to be a file before it goes to the database; asked for this often.
const LINK_AGAIN_MS: i64 = 250;
const STATES: [ClipState; 3] = [ClipState::Queued, ClipState::Uploading, ClipState::Verified];

/// Brings out whatever is due, for ever.
pub(crate) async fn run(desk: Arc<Desk>) {
    let local = &desk.stores.local;
    let mut changed = local.changed();
    let mut running: JoinSet<Id> = JoinSet::new();
    let mut busy: BTreeSet<Id> = BTreeSet::new();
    loop {
        changed.borrow_and_update();
        broadcasts(&desk).await;
        removals(&desk).await;
        match local.due_clips(&STATES, clock::utc_ms(), (AT_ONCE * 2) as u32).await {
            Ok(due) => {
                for row in due {
                    if running.len() < AT_ONCE && busy.insert(row.id.clone()) {
                        let desk = Arc::clone(&desk);
                        running.spawn(async move {
                            let id = row.id.clone();
                            bring_out(&desk, row).await;
                            id
                        });
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the job table cannot be read"),
        }
        let wait = until_next(&desk).await;
        tokio::select! {
            _ = changed.changed() => {}
            Some(done) = running.join_next() => match done {
                Ok(id) => drop(busy.remove(&id)),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn until_next(desk: &Desk) -> Duration {
    let local = &desk.stores.local;
    let due = [local.next_clip_due(&STATES).await, local.next_broadcast_due().await, local.next_removal_due().await];
    let next = due.into_iter().filter_map(|at| at.ok().flatten()).min();
    next.map_or(LOOK, |at| Duration::from_millis((at - clock::utc_ms()).max(50) as u64).min(LOOK))
}

async fn bring_out(desk: &Desk, row: LocalClip) {
    let result = if row.deleted { delete(desk, &row).await } else { step_by_step(desk, &row).await };
    let Err(error) = result else { return };
    metrics::counter!("oxbow_outbox_failures_total", "reason" => error.reason().as_str()).increment(1);
    if row.attempts == 0 {
        tracing::warn!(clip = %row.id, %error, "a clip cannot be stored now; it is tried until it is");
    }
    let next = clock::next_try_ms(row.attempts);
    let noted = desk.stores.local.retry_clip(row.id.clone(), error.reason(), error.to_string(), next).await;
    if let Err(error) = noted {
        desk.alarm(&row.channel, format!("the job table cannot be written: {error}"));
        tokio::time::sleep(Duration::from_secs(1)).await; // the row still says that it is due
    }
    if let Ok(Some(now)) = desk.stores.local.local_clip(row.id).await
        && let Some(clip) = &now.clip
    {
        desk.emit_clip(clip, now.state);
    }
}

async fn step_by_step(desk: &Desk, row: &LocalClip) -> Result<(), StorageError> {
    let local = &desk.stores.local;
    let (Some(clip), Some(file)) = (&row.clip, &row.file) else {
        return Err(StorageError::Corrupt("a finished clip without a file".into()));
    };
    let mut state = row.state;
    if state == ClipState::Queued {
        if !local.advance(row.id.clone(), state, ClipState::Uploading).await? {
            return Ok(());
        }
        state = ClipState::Uploading;
        desk.emit_clip(clip, state);
    }
    if state == ClipState::Uploading {
        match put(desk, row, clip, file).await {
            Ok(()) => {}
            Err(StorageError::Local(text) | StorageError::Corrupt(text)) if can_be_made_again(row) => {
                // the file is not what was exported: make it again, what it was made from is still there
                desk.alarm(&row.channel, format!("the file of a clip is damaged and is made again: {text}"));
                local.export_again(row.id.clone(), clock::next_try_ms(row.attempts)).await?;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if !local.advance(row.id.clone(), state, ClipState::Verified).await? {
            return Ok(());
        }
        desk.emit_clip(clip, ClipState::Verified);
    }
    if index(desk, row).await? { tidy_spool(desk, row).await } else { Ok(()) }
}

/// Returns when the store has confirmed size and checksum of everything.
async fn put(desk: &Desk, row: &LocalClip, clip: &Clip, file: &Path) -> Result<(), StorageError> {
    let objects = &desk.stores.objects;
    let memory = &desk.stores.local;
    let stored = objects.put_file_resumable(&clip.object, file, &clip.mime, &clip.sha256, memory).await?;
    if stored.size != clip.size {
        return Err(StorageError::Corrupt(format!("{} bytes were stored of {}", stored.size, clip.size)));
    }
    if let Some(poster) = &row.poster {
        match tokio::fs::read(poster).await {
            Ok(bytes) => drop(objects.put_bytes(&clip.key("jpg"), bytes.into(), "image/jpeg").await?),
            // The row promises a poster: it is made again while that is possible.
            Err(error) if can_be_made_again(row) => return Err(StorageError::Local(format!("its poster: {error}"))),
            Err(error) => tracing::warn!(clip = %clip.id, %error, "a clip goes without its poster"),
        }
    }
    if let Some(name) = &clip.units {
        match hash(units_file(file)).await {
            Ok((table, sha256)) => {
                objects.put_file(name, &table, "application/octet-stream", &sha256).await?;
            }
            Err(error) if can_be_made_again(row) => return Err(StorageError::Local(format!("its units: {error}"))),
            Err(error) => tracing::warn!(clip = %clip.id, %error, "a clip goes without its table of units"),
        }
    }
    Ok(())
}

/// Where the table of units lies, beside the file of a clip in the spool.
pub(crate) fn units_file(file: &Path) -> PathBuf {
    file.with_extension(journal::units::EXTENSION)
}

/// The file, and its SHA-256 in hex.
async fn hash(path: PathBuf) -> std::io::Result<(PathBuf, String)> {
    let hashed = tokio::task::spawn_blocking(move || {
        let hash = Sha256::digest(std::fs::read(&path)?);
        Ok((path, hash.iter().map(|byte| format!("{byte:02x}")).collect()))
    });
    hashed.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

/// From its journal; an ordered one finds out when it is tried.
fn can_be_made_again(row: &LocalClip) -> bool {
    row.recipe.is_some() || row.journal.exists()
}

/// The row in the database, with the newest title and the clip before it. False when that one is not a file yet.
async fn index(desk: &Desk, row: &LocalClip) -> Result<bool, StorageError> {
    let local = &desk.stores.local;
    let mut before = None;
    loop {
        let Some(now) = local.local_clip(row.id.clone()).await? else { return Ok(true) };
        if now.clip.is_none() || now.deleted || now.state != ClipState::Verified {
            return Ok(true);
        }
        let Some(clip) = local.link_clip(row.id.clone()).await? else {
            local.put_off(row.id.clone(), clock::utc_ms() + LINK_AGAIN_MS).await?;
            return Ok(false);
        };
        let sidecar = Sidecar::Clip(Box::new(clip.clone()));
        desk.stores.objects.put_bytes(&sidecar.key(), sidecar.json()?, sidecar::MIME).await?;
        let sent = Sent { revision: clip.revision, noted: now.noted };
        match before {
            None => desk.stores.database.insert_clip(&clip).await?,
            // edited or measured while it was sent
            Some(before) if before != sent => drop(desk.stores.database.revise_clip(&clip).await?),
            Some(_) => return Ok(true),
        }
        before = Some(sent);
        // It was there already when the last run died here, and somebody has changed or deleted it since.
        if desk.stores.database.clip(&clip.id).await?.as_ref() != Some(&clip) {
            local.note_sidecar(Described::Clip(clip.id.clone()), 0).await?;
        }
        if local.stored(row.id.clone(), sent, clock::utc_ms()).await? {
            tracing::info!(clip = %clip.id, "a clip is stored and indexed");
            desk.emit_clip(&clip, ClipState::Stored);
            return Ok(true);
        }
    }
}

/// Everything of a clip that was deleted before it was stored. Its row goes last.
async fn delete(desk: &Desk, row: &LocalClip) -> Result<(), StorageError> {
    if desk.brings(&row.id) {
        // an object that is put while it is removed would stay
        return desk.stores.local.put_off(row.id.clone(), clock::utc_ms() + LINK_AGAIN_MS).await;
    }
    let tombstone = tombstone(row).await;
    desk.stores.database.bury(&tombstone).await?;
    remove_spool(row).await?;
    remove(&row.journal).await?;
    desk.stores.local.forget_deleted(tombstone).await
}

/// Of a clip that never had a file only the journal knows what it would have held.
async fn tombstone(row: &LocalClip) -> Tombstone {
    let known = row.clip.as_ref().map(Tombstone::from);
    if let Some(tombstone) = known {
        return tombstone;
    }
    let index = clip::read_index(row.journal.clone()).await.ok().flatten();
    Tombstone {
        id: row.id.clone(),
        broadcast: row.broadcast.clone(),
        channel: row.channel.clone(),
        part: row.part,
        sha256: String::new(),
        continuity: index.and_then(|index| continuity::of(&index, &[])),
        deleted: true,
        kind: if row.recipe.is_some() { ClipKind::Made } else { ClipKind::Part },
    }
}

/// Step 15: the local files of a clip go when it is stored and nobody has to look at it, or to bring out its pictures, any more. Called by
/// whoever finishes one of the two, after it was noted, so that the later of them sees both.
pub(crate) async fn tidy_spool(desk: &Desk, row: &LocalClip) -> Result<(), StorageError> {
    match desk.stores.local.local_clip(row.id.clone()).await? {
        Some(now) if now.state == ClipState::Stored && now.inspection.is_none() => remove_spool(&now).await,
        Some(_) => Ok(()),
        None => remove_spool(row).await,
    }
}

pub(crate) async fn remove_spool(row: &LocalClip) -> Result<(), StorageError> {
    let mut files: Vec<PathBuf> = row.file.iter().chain(&row.poster).cloned().collect();
    files.extend(row.file.as_deref().map(units_file));
    files.extend(row.pictures().into_iter().map(|(path, _)| path));
    for path in files {
        remove(&path).await?;
    }
    Ok(())
}

pub(crate) async fn remove(path: &Path) -> Result<(), StorageError> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::Local(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

async fn broadcasts(desk: &Desk) {
    let local = &desk.stores.local;
    for due in local.due_broadcasts(clock::utc_ms(), 16).await.unwrap_or_default() {
        let id = due.broadcast.id.clone();
        let noted = match desk.stores.database.upsert_broadcast(&due.broadcast).await {
            Ok(()) => {
                desk.emit(RecorderEvent::BroadcastSaved(due.broadcast));
                local.broadcast_sent(id, due.revision).await
            }
            Err(error) => {
                // the others would only wait for the same thing, and the clips behind them too
                let noted = local.retry_broadcast(id, error.to_string(), clock::next_try_ms(due.attempts)).await;
                return noted.unwrap_or_else(|error| tracing::warn!(%error, "the job table cannot be written"));
            }
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "the job table cannot be written");
        }
    }
}

/// First in the database: from then on nobody writes the clip's own sidecar any more.
async fn bury(desk: &Desk, key: &str, tombstone: Box<Tombstone>) -> Result<(), StorageError> {
    desk.stores.database.bury(&tombstone).await?;
    let json = Sidecar::Tombstone(tombstone).json()?;
    desk.stores.objects.put_bytes(key, json, sidecar::MIME).await.map(drop)
}

async fn removals(desk: &Desk) {
    let local = &desk.stores.local;
    for due in local.due_removals(clock::utc_ms(), 16).await.unwrap_or_default() {
        let done = match due.tombstone {
            Some(tombstone) => bury(desk, &due.key, tombstone).await,
            None => desk.stores.objects.delete(&due.key).await,
        };
        let noted = match done {
            Ok(()) => local.removed(due.key).await,
            Err(error) => {
                let noted = local.retry_removal(due.key, error.to_string(), clock::next_try_ms(due.attempts)).await;
                return noted.unwrap_or_else(|error| tracing::warn!(%error, "the job table cannot be written"));
            }
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "the job table cannot be written");
        }
    }
}
