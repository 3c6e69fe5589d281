//! The housekeeper: watches the journal thread and the disk, drops journals that were kept long enough, counts what there is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use journal::OpenError;
use storage::local::LocalClip;
use storage::{Disk, NodeStatus, StorageError, retention};
use tokio::time::Instant;

use crate::desk::{Desk, RecorderStatus};
use crate::guard::Guard;
use crate::{Stores, clock, upload};

const LOOK: Duration = Duration::from_secs(1);
const COUNT: Duration = Duration::from_secs(5);
const TIDY: Duration = Duration::from_secs(60);
/// The journal thread turns every 100 ms; silent for this long, it hangs in the disk and nothing is written.
const SILENCE_MS: u64 = 3_000;
/// Answered requests are remembered for an hour.
const REQUESTS_KEPT_MS: i64 = 3_600_000;
/// Journals removed in one round.
const ROUND: u32 = 100;

pub(crate) async fn run(desk: Arc<Desk>) {
    let (mut count_at, mut tidy_at) = (Instant::now(), Instant::now());
    let mut guard = Guard::new(desk.config.watermarks);
    let mut stuck = false;
    loop {
        let now = Instant::now();
        watch(&desk, &mut stuck);
        if let Err(error) = guard.look(&desk).await {
            tracing::warn!(%error, "no space can be made on the disk");
        }
        if now >= tidy_at {
            tidy_at = now + TIDY;
            if let Err(error) = tidy(&desk).await {
                tracing::warn!(%error, "old journals stay for now");
            }
        }
        if now >= count_at {
            count_at = now + COUNT;
            match count(&desk, guard.disk()).await {
                Ok(status) => desk.publish(status),
                Err(error) => tracing::warn!(%error, "the recorder's figures cannot be read"),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One alarm per silence.
fn watch(desk: &Desk, stuck: &mut bool) {
    let Some(figures) = desk.figures() else { return };
    let alive = figures.alive_ms.load(Relaxed);
    let silent = alive > 0 && (clock::utc_ms() as u64).saturating_sub(alive) > SILENCE_MS;
    let open = figures.open.load(Relaxed) > 0;
    if silent && open && !*stuck {
        desk.alarm("", "nothing was recorded for 3 s: the disk does not answer");
    }
    *stuck = silent;
}

async fn tidy(desk: &Desk) -> Result<(), StorageError> {
    let local = &desk.stores.local;
    let before = clock::utc_ms() - desk.config.journal_keep.as_millis() as i64;
    for row in local.expired(before, ROUND).await? {
        drop_journal(desk, &row).await?;
    }
    retain(desk).await?;
    local.forget_broadcasts().await?;
    local.forget_requests(clock::utc_ms() - REQUESTS_KEPT_MS).await?;
    Ok(())
}

/// Deletes the stored clips that are beyond what is to be kept.
async fn retain(desk: &Desk) -> Result<(), StorageError> {
    let (policy, Stores { database, local, .. }) = (&desk.config.retention, &desk.stores);
    if policy.keeps_all() {
        return Ok(());
    }
    let plan = match retention::plan(policy, database, local, clock::utc_ms()).await {
        // away for now: what is old does not grow younger
        Err(error @ (StorageError::Away(_) | StorageError::Refused(_))) => {
            tracing::debug!(%error, "what may go is not known now");
            return Ok(());
        }
        plan => plan?,
    };
    let gone = retention::carry_out(plan, database, local).await?;
    if gone.clips > 0 {
        metrics::counter!("oxbow_retention_deleted_clips_total").increment(gone.clips);
        metrics::counter!("oxbow_retention_deleted_bytes_total").increment(gone.bytes);
        tracing::info!(clips = gone.clips, bytes = gone.bytes, "clips beyond what is to be kept were deleted");
    }
    Ok(())
}

/// Of a clip that is stored. Its row goes last.
pub(crate) async fn drop_journal(desk: &Desk, row: &LocalClip) -> Result<(), StorageError> {
    upload::remove_spool(row).await?;
    upload::remove(&row.journal).await?;
    if let Some(folder) = row.journal.parent() {
        let _ = tokio::fs::remove_dir(folder).await; // only when it is empty
    }
    desk.stores.local.forget(row.id.clone()).await
}

async fn count(desk: &Desk, disk: Disk) -> Result<RecorderStatus, StorageError> {
    let clips = desk.stores.local.counts_by_state().await?;
    let outbox = desk.stores.local.outbox().await?;
    let waiting = desk.stores.local.waiting_by_reason().await?;
    let (journals, spool) = (desk.config.journals(), desk.config.spool());
    let sizes = tokio::task::spawn_blocking(move || (size_of(&journals_in(&journals)), size_of(&list(&spool)))).await;
    let (journal_bytes, spool_bytes) = sizes.unwrap_or_default();
    Ok(RecorderStatus {
        outbox: outbox.depth,
        waiting,
        outbox_age_ms: outbox.oldest_ms.map_or(0, |at| (clock::utc_ms() - at).max(0) as u64),
        node: NodeStatus { disk: Disk { journal_bytes, spool_bytes, ..disk }, ..NodeStatus::default() },
        clips,
        ..RecorderStatus::default()
    })
}

fn size_of(files: &[PathBuf]) -> u64 {
    files.iter().filter_map(|path| path.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}

fn list(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|found| found.flatten().map(|e| e.path()).collect()).unwrap_or_default()
}

/// Begun files below `root` become parts where the one before them, which may still have its journal, ends with a cut or an end; else they go. It
/// was in that order that they were written: without the cut, what is in such a file may be in the other as well.
pub(crate) fn settle_begun(root: &Path) -> std::io::Result<()> {
    for folder in list(root) {
        let mut begun: Vec<_> =
            list(&folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == journal::BEGUN)).collect();
        begun.sort();
        let mut broken = false;
        for path in begun {
            let part = path.with_extension("");
            broken |= !follows_a_cut(&part);
            if broken || part.exists() {
                tracing::warn!(file = %path.display(), "a file that had not become a part is removed");
                std::fs::remove_file(&path)?;
            } else {
                let file = std::fs::File::open(&path)?;
                journal::establish(&file, &part).map_err(std::io::Error::other)?;
            }
        }
    }
    Ok(())
}

fn follows_a_cut(part: &Path) -> bool {
    let number = |path: &Path| path.file_name()?.to_str()?.split('-').next()?.parse::<u32>().ok();
    let Some(before) = number(part).and_then(|part| part.checked_sub(1)) else { return true };
    let siblings = part.parent().map(journals_of).unwrap_or_default();
    let Some(before) = siblings.into_iter().find(|path| number(path) == Some(before)) else { return true };
    match journal::Index::build(&before) {
        Ok(index) => index.cut_ns.is_some() || index.closed,
        // nothing of it becomes a clip
        Err(error) => matches!(error, OpenError::Header { .. }),
    }
}

/// Every journal below `root` and every file that may become one, sorted. What is left of headers that were being restored is removed.
pub(crate) fn written_in(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in list(root).iter().flat_map(|folder| list(folder)) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(journal::restore::RESTORED) => std::fs::remove_file(&path)?,
            Some(journal::EXTENSION | journal::BEGUN) => found.push(path),
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// Every journal below `root`, sorted: by broadcast, then part.
pub(crate) fn journals_in(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = list(root).iter().flat_map(|folder| journals_of(folder)).collect();
    found.sort();
    found
}

fn journals_of(folder: &Path) -> Vec<PathBuf> {
    list(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == journal::EXTENSION)).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use journal::{Appender, Cause, ClipId, Header, Record};
    use media::id::{BroadcastId, TrackId};
    use media::message::AccessUnit;

    use super::*;

    fn header(part: u32) -> Header {
        let clip = ClipId(u128::from(part) + 1);
        let channel = "main".parse().expect("a channel");
        Header { broadcast: BroadcastId(1), part, clip, channel, media_zero_utc_us: 0, opened_utc_us: 0 }
    }

    /// A begun file with one unit, and what ends it.
    fn begin(root: &Path, part: u32, cut: bool) -> PathBuf {
        let header = header(part);
        let path = journal::part_path(root, header.broadcast, part, header.clip);
        let mut appender = Appender::begin(&path, &header).expect("begun");
        let (track, data) = (TrackId(0), Bytes::from_static(b"x"));
        let unit = AccessUnit { track, key: true, pts_ns: 5, dts_ns: 5, utc_us: 0, first_seq: 0, last_seq: 0, data };
        appender.append(&Record::Unit(unit)).expect("taken");
        if cut {
            appender.append(&Record::Cut { at_ns: 9, cause: Cause::Size }).expect("taken");
        }
        appender.flush().expect("written");
        path
    }

    #[test]
    fn what_was_begun_becomes_a_part_behind_a_cut_and_goes_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let parts: Vec<_> = [true, true, false, true, true].into_iter().zip(3..).collect();
        let paths: Vec<_> = parts.iter().map(|(cut, part)| begin(folder.path(), *part, *cut)).collect();
        std::fs::write(folder.path().join("a file beside"), "").expect("written");
        settle_begun(folder.path()).expect("settled");
        // the one before the first is gone long ago; behind the third nothing is sure
        assert_eq!(journals_in(folder.path()), paths[..3]);
        assert!(paths.iter().all(|path| !journal::begun_path(path).exists()));
        settle_begun(folder.path()).expect("nothing to do");
        assert_eq!(journals_in(folder.path()), paths[..3]);
    }
}
