//! Starting again: every journal, file and row of this node is brought into exactly one state, steps 16 to 19 of
//! `docs/journal.md`. Runs before anything else does; may itself be interrupted anywhere and repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use journal::format::HeaderError;
use journal::{Index, OpenError, Tail};
use storage::local::{ClipRequest, Inspection, LocalClip};
use storage::{ClipCause, ClipState, Id, StorageError};

use crate::desk::Desk;
use crate::{RecorderError, clock, house, ledger, restore, upload};

/// The journal thread writes so often: a process that lived would have written once more within this time, in milliseconds.
const WRITES_EVERY_MS: u64 = 100;

pub(crate) async fn reconcile(desk: &Desk) -> Result<(), RecorderError> {
    desk.stores.local.forget_extracts().await?;
    let mut rows = all_rows(desk).await?;
    let restored = restore::headers(desk, &rows).await?;
    adopt_journals(desk, &mut rows).await?;
    let requests = desk.stores.local.open_requests().await?;
    let mut ends: BTreeMap<Id, i64> = BTreeMap::new();
    let mut recovered = Vec::new();
    for row in rows.values() {
        match row.state {
            ClipState::Recording => {
                let last = !rows.values().any(|other| other.broadcast == row.broadcast && other.part > row.part);
                if let Some(end_ms) = close(desk, row, last, &restored, &requests).await? {
                    let end = ends.entry(row.broadcast.clone()).or_insert(end_ms);
                    *end = end_ms.max(*end);
                    recovered.push(row);
                }
            }
            ClipState::Queued | ClipState::Uploading => check_file(desk, row).await?,
            ClipState::Stored if row.inspection.is_none() => upload::remove_spool(row).await?,
            ClipState::Stored | ClipState::Exporting | ClipState::Verified | ClipState::Failed => {}
        }
    }
    tidy_spool(desk, &rows).await?;
    answer_requests(desk, &requests, &recovered).await?;
    end_broadcasts(desk, &rows, &ends).await?;
    desk.stores.local.release_sidecars().await?;
    let again = desk.stores.local.retry_failed().await?;
    if !recovered.is_empty() || again > 0 {
        tracing::info!(recovered = recovered.len(), again, "recordings of the last run are continued");
    }
    Ok(())
}

async fn all_rows(desk: &Desk) -> Result<BTreeMap<Id, LocalClip>, StorageError> {
    let mut rows = BTreeMap::new();
    loop {
        let after = rows.keys().next_back().cloned();
        let page = desk.stores.local.local_clips(after).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page.into_iter().map(|row| (row.id.clone(), row)));
    }
}

/// Journals without a row get one. Those that never got a header go.
async fn adopt_journals(desk: &Desk, rows: &mut BTreeMap<Id, LocalClip>) -> Result<(), RecorderError> {
    let root = desk.config.journals();
    let settled = blocking(move || house::settle_begun(&root).map(|()| house::journals_in(&root))).await;
    let found = settled.map_err(|source| RecorderError::Folder { path: desk.config.journals(), source })?;
    let known: BTreeSet<PathBuf> = rows.values().map(|row| row.journal.clone()).collect();
    for path in found.into_iter().filter(|path| !known.contains(path)) {
        let opened = path.clone();
        let header = match blocking(move || journal::Reader::open(&opened).map(|r| r.header().clone())).await {
            Ok(header) => header,
            Err(OpenError::Header { source: HeaderError::Damaged | HeaderError::NotAJournal, .. })
                if is_stub(&path) =>
            {
                upload::remove(&path).await?;
                continue;
            }
            Err(error) => {
                desk.alarm("", format!("a journal is left as it is: {error}"));
                continue;
            }
        };
        let clip = ledger::clip_id(&header)?;
        let broadcast =
            ledger::new_broadcast(header.broadcast, header.channel.as_str(), header.media_zero_utc_us, true)?;
        desk.stores.local.open_broadcast(broadcast).await?;
        desk.stores.local.open_part(ledger::new_part(&header, path)?).await?;
        if let Some(row) = desk.stores.local.local_clip(clip.clone()).await? {
            rows.insert(clip, row);
        }
    }
    Ok(())
}

/// Too short to hold a header: a crash while it was created.
fn is_stub(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.len() < journal::format::HEADER_BYTES as u64)
}

/// A part that was open when the process died, the `last` of its broadcast or not; of some the header was `restored`. The time of its last unit, UTC milliseconds; none when
/// there is no unit in it.
async fn close(
    desk: &Desk,
    row: &LocalClip,
    last: bool,
    restored: &BTreeSet<PathBuf>,
    requests: &[ClipRequest],
) -> Result<Option<i64>, RecorderError> {
    let path = row.journal.clone();
    let index = match blocking(move || Index::build(path)).await {
        Ok(index) => Some(index),
        Err(OpenError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        Err(OpenError::Header { .. }) if is_stub(&row.journal) => None,
        Err(error) => {
            desk.alarm(&row.channel, format!("a part cannot be recovered: {error}"));
            desk.stores.local.close_part(row.id.clone(), ClipCause::Recovered, None, 0).await?;
            desk.stores.local.fail(row.id.clone(), error.to_string()).await?;
            return Ok(None);
        }
    };
    if let Some(index) = index.as_ref().filter(|index| index.entries.is_empty() && !index.damage.is_empty()) {
        let bytes: u64 = index.damage.iter().map(|damage| damage.bytes).sum();
        desk.alarm(
            &row.channel,
            format!("of part {} nothing is left that can be shown: {bytes} bytes are damaged", row.part),
        );
    }
    let Some((index, end_us)) = index.and_then(|i| i.entries.iter().map(|e| e.utc_us).max().map(|end| (i, end))) else {
        upload::remove(&row.journal).await?;
        desk.stores.local.forget(row.id.clone()).await?;
        return Ok(None);
    };
    if let Tail::Torn { at, bytes } = index.tail {
        tracing::warn!(clip = %row.id, at, bytes, "the end of a journal is torn; everything before it is kept");
    }
    let cause = index.cause.filter(|_| !restored.contains(&row.journal));
    let cause = cause.map_or(ClipCause::Recovered, ledger::clip_cause);
    // what came after a cut is in the next part, if that was written at all
    let ended = index.closed && index.cut_ns.is_none();
    let lost_ms = if ended || !last { 0 } else { lost_ms(&row.journal, end_us).await };
    let title = requests.iter().filter(|r| is_about(r, row)).find_map(|r| r.title.clone());
    desk.stores.local.close_part(row.id.clone(), cause, title, lost_ms).await?;
    Ok(Some((end_us / 1000) as i64))
}

/// Milliseconds from the last unit to the crash. A journal is written while its process lives, so that process died soon after the last
/// time; what came in between never reached the file.
async fn lost_ms(journal: &Path, end_us: u64) -> u64 {
    let written = tokio::fs::metadata(journal).await.and_then(|metadata| metadata.modified()).ok();
    let since_end = |at: SystemTime| {
        let at_us = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        at_us.saturating_sub(end_us) / 1000
    };
    let lost = written.map_or(0, since_end) + WRITES_EVERY_MS;
    lost.min(since_end(SystemTime::now()).max(WRITES_EVERY_MS))
}

/// A finished clip without its file is made again.
async fn check_file(desk: &Desk, row: &LocalClip) -> Result<(), StorageError> {
    let (Some(file), Some(clip)) = (&row.file, &row.clip) else { return Ok(()) };
    if row.deleted || file.metadata().is_ok_and(|m| m.len() == clip.size) {
        return Ok(());
    }
    if row.recipe.is_some() || row.journal.exists() {
        desk.alarm(&row.channel, format!("the file of clip {} was gone and is made again", row.id));
        desk.stores.local.export_again(row.id.clone(), 0).await.map(drop)
    } else {
        desk.alarm(&row.channel, format!("file and journal of clip {} are gone", row.id));
        desk.stores.local.fail(row.id.clone(), "file and journal are gone".into()).await.map(drop)
    }
}

/// Removes temporary files and those that belong to no clip on its way.
async fn tidy_spool(desk: &Desk, rows: &BTreeMap<Id, LocalClip>) -> Result<(), RecorderError> {
    let spool = desk.config.spool();
    let folder = |source| RecorderError::Folder { path: spool.clone(), source };
    let mut found = tokio::fs::read_dir(&spool).await.map_err(folder)?;
    while let Some(entry) = found.next_entry().await.map_err(folder)? {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.split('.').next().unwrap_or_default();
        let temporary = name.contains(".tmp");
        let wanted = stem.parse::<Id>().is_ok_and(|id| {
            let is_ours = |row: &LocalClip| {
                let made = row.inspection == Some(Inspection::Made);
                let pictures = row.pictures().into_iter().filter(|_| made).map(|(picture, _)| picture);
                let units = row.file.as_deref().map(upload::units_file);
                row.file.iter().chain(&row.poster).chain(&units).cloned().chain(pictures).any(|file| file == path)
            };
            rows.get(&id).is_some_and(is_ours)
        });
        if (temporary || !wanted) && path.is_file() {
            tracing::info!(file = %path.display(), "a file of no clip is removed");
            upload::remove(&path).await?;
        }
    }
    Ok(())
}

fn is_about(request: &ClipRequest, row: &LocalClip) -> bool {
    request.broadcast.as_ref().map_or(request.channel == row.channel, |id| *id == row.broadcast)
}

/// A request that a crash overtook is answered by the clip that it would have cut.
async fn answer_requests(desk: &Desk, requests: &[ClipRequest], recovered: &[&LocalClip]) -> Result<(), StorageError> {
    for request in requests {
        let clip = recovered.iter().filter(|row| is_about(request, row)).map(|row| row.id.clone()).max();
        desk.stores.local.answer_requests(vec![request.id.clone()], clip).await?;
    }
    Ok(())
}

/// Nothing is live at a start.
async fn end_broadcasts(
    desk: &Desk,
    rows: &BTreeMap<Id, LocalClip>,
    ends: &BTreeMap<Id, i64>,
) -> Result<(), StorageError> {
    for broadcast in desk.stores.local.open_broadcasts().await? {
        let of_clips = rows.values().filter(|row| row.broadcast == broadcast.id).filter_map(|row| {
            let clip = row.clip.as_ref()?;
            Some(clip.started_at_ms + clip.duration_ms as i64)
        });
        let end = ends.get(&broadcast.id).copied().into_iter().chain(of_clips).max();
        // of one that was not recorded only this is known: it is over now
        let end = end.unwrap_or(if broadcast.recorded { broadcast.started_at_ms } else { clock::utc_ms() });
        desk.stores.local.end_broadcast(broadcast.id, end, "interrupted".into()).await?;
    }
    Ok(())
}

/// Reading journals blocks; a panic in it is a bug and travels on.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
