//! Finished files are looked at, and what comes of it is stored: poster candidates, storyboard, waveform and health. Beside the way of
//! the file itself and never in it: a clip is played, stored and indexed whether or not this works.
//!
//! Two steps, each of which may be repeated: a worker looks at the file in the spool, which stays there until then, and its results
//! are noted; once the clip is stored they go to the store, the database and the sidecar. Order and guarantees: `docs/journal.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipeline::{Container, ExportError, InspectJob, Inspected, Lane};
use storage::local::{Inspection, LocalClip};
use storage::{Clip, ClipFacts, Id, Pictures, PosterChoice, StorageError, Storyboard};

use crate::desk::Desk;
use crate::{clock, health, upload};

/// A worker that crashes on a file is not fed with it for ever.
const TRIES: u32 = 3;
/// Looked at this often at least.
const LOOK: Duration = Duration::from_secs(5);

/// Looks at whatever is due and stores what was found, for ever. One file at a time, so that workers are free for those who wait.
pub(crate) async fn run(desk: Arc<Desk>) {
    tokio::join!(each(&desk, Inspection::Due), each(&desk, Inspection::Made));
}

async fn each(desk: &Desk, stage: Inspection) {
    let local = &desk.stores.local;
    let mut changed = local.changed();
    loop {
        changed.borrow_and_update();
        match local.due_inspections(stage, clock::utc_ms(), 1).await.map(|mut due| due.pop()) {
            Ok(Some(row)) => {
                one(desk, stage, row).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the job table cannot be read"),
        }
        let next = local.next_inspection_due(stage).await.ok().flatten();
        let wait = next.map_or(LOOK, |at| Duration::from_millis((at - clock::utc_ms()).max(50) as u64).min(LOOK));
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn one(desk: &Desk, stage: Inspection, row: LocalClip) {
    let (id, tries) = (row.id.clone(), row.inspection_tries);
    let done = match stage {
        Inspection::Due => inspect(desk, row).await,
        Inspection::Made => {
            desk.bring(Some(id.clone()));
            let done = bring_out(desk, &id).await;
            desk.bring(None);
            done
        }
    };
    let Err(error) = done else { return };
    if tries == 0 {
        tracing::warn!(clip = %id, %error, "the pictures of a clip cannot be stored now; it is tried until they are");
    }
    if let Err(error) = desk.stores.local.retry_inspection(id, clock::next_try_ms(tries)).await {
        desk.alarm("", format!("the job table cannot be written: {error}"));
        tokio::time::sleep(Duration::from_secs(1)).await; // the row still says that it is due
    }
}

async fn inspect(desk: &Desk, row: LocalClip) -> Result<(), StorageError> {
    let local = &desk.stores.local;
    let (Some(clip), Some(file)) = (&row.clip, &row.file) else { return local.end_inspection(row.id).await };
    let started = std::time::Instant::now();
    let job = InspectJob {
        file: file.clone(),
        container: if clip.mime == "video/webm" { Container::Webm } else { Container::Mp4 },
        directory: desk.config.spool(),
        stem: row.id.to_string(),
    };
    let inspected = match desk.stores.workers.inspect(job, Lane::Poster).await {
        Ok(inspected) => inspected,
        Err(ExportError::Busy | ExportError::Stopped) => {
            return local.retry_inspection(row.id, clock::next_try_ms(0)).await;
        }
        Err(error) if row.inspection_tries + 1 < TRIES => return Err(StorageError::Local(error.to_string())),
        Err(error) => {
            tracing::warn!(clip = %row.id, %error, "a clip goes without pictures and health");
            local.end_inspection(row.id.clone()).await?;
            return upload::tidy_spool(desk, &row).await;
        }
    };
    metrics::histogram!("oxbow_clip_inspection_seconds").record(started.elapsed().as_secs_f64());
    match local.inspected(row.id.clone(), facts(clip, row.poster.is_some(), &inspected)).await? {
        Some(now) => {
            if let Some(clip) = &now.clip {
                desk.emit_clip(clip, now.state);
            }
            Ok(())
        }
        // deleted, or made again, meanwhile
        None => remove(&inspected).await,
    }
}

async fn remove(inspected: &Inspected) -> Result<(), StorageError> {
    let sheets = inspected.storyboard.iter().flat_map(|board| board.sheets.iter().chain([&board.index]));
    let files = inspected.posters.iter().map(|poster| &poster.file).chain(sheets).chain(&inspected.waveform);
    let files: Vec<PathBuf> = files.cloned().collect();
    for file in files {
        upload::remove(&file).await?;
    }
    Ok(())
}

/// `own_poster`: the export made one.
fn facts(clip: &Clip, own_poster: bool, inspected: &Inspected) -> ClipFacts {
    // what the file is called behind the clip's id is what its object is called
    let key = |file: &Path| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        clip.key(name.split_once('.').map_or(name, |(_, ending)| ending))
    };
    let mut posters: Vec<PosterChoice> = inspected
        .posters
        .iter()
        .map(|poster| PosterChoice { object: key(&poster.file), at_ms: poster.at_ms })
        .collect();
    // the export's own stays a choice, so that it is known as long as the clip is
    posters.extend(own_poster.then(|| PosterChoice { object: clip.key("jpg"), at_ms: 0 }));
    let storyboard = inspected.storyboard.as_ref().map(|board| Storyboard {
        sheets: board.sheets.iter().map(|sheet| key(sheet)).collect(),
        columns: board.columns,
        rows: board.rows,
        width: board.width,
        height: board.height,
        index: key(&board.index),
    });
    let waveform = inspected.waveform.as_deref().map(key);
    ClipFacts {
        health: Some(health::of(clip, inspected)),
        pictures: Some(Pictures { posters, storyboard, waveform }),
        units: None,
    }
}

/// The pictures of a stored clip go to the store, then their names to the database, which the sidecar follows, then the files go.
async fn bring_out(desk: &Desk, id: &Id) -> Result<(), StorageError> {
    let (local, objects) = (&desk.stores.local, &desk.stores.objects);
    // read again: who deletes a clip waits for us from here on
    let Some(row) = local.local_clip(id.clone()).await? else { return Ok(()) };
    let Some(clip) = row.clip.as_ref().filter(|_| !row.deleted && row.inspection == Some(Inspection::Made)) else {
        return Ok(());
    };
    let own = clip.key("jpg");
    for (file, key) in row.pictures().into_iter().filter(|(_, key)| *key != own) {
        match tokio::fs::read(&file).await {
            Ok(bytes) => drop(objects.put_bytes(&key, bytes.into(), mime_of(&key)).await?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!(clip = %id, file = %file.display(), "a picture is gone; the clip is looked at again");
                return local.inspect_again(id.clone()).await;
            }
            Err(error) => return Err(StorageError::Local(format!("{}: {error}", file.display()))),
        }
    }
    match local.note_stored(&desk.stores.database, id, &clip.facts()).await {
        Ok(clip) => desk.emit_clip(&clip, row.state),
        // deleted in this moment; who does that removes what was put
        Err(StorageError::NotFound) => {}
        Err(error) => return Err(error),
    }
    local.end_inspection(id.clone()).await?;
    upload::tidy_spool(desk, &row).await
}

fn mime_of(key: &str) -> &'static str {
    match key.rsplit_once('.').map(|(_, ending)| ending) {
        Some("jpg") => "image/jpeg",
        Some("vtt") => "text/vtt",
        _ => "application/json",
    }
}
