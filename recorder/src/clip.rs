//! A closed part becomes a file that can be played: steps 10 and 11 of `docs/journal.md`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::units::EXTENSION as UNITS;
use journal::{Index, OpenError};
use pipeline::{Border, ExportError, ExportJob, Exported, Format, Lane, Piece, Precision};
use storage::local::LocalClip;
use storage::{Clip, ClipCause, ClipState, Id, Reason, StorageError, Visibility, key};
use tokio::task::JoinSet;

use crate::desk::Desk;
use crate::{clock, continuity, upload};

/// Exports at a time; the workers have fewer places, the rest keeps them busy.
const AT_ONCE: usize = 4;
/// A worker that crashes on a part is not fed with it for ever.
const ATTEMPTS: u32 = 5;
/// Looked at this often at least.
const LOOK: Duration = Duration::from_secs(5);

/// Exports whatever is due, for ever.
pub(crate) async fn run(desk: Arc<Desk>) {
    let local = &desk.stores.local;
    let mut changed = local.changed();
    let mut running: JoinSet<Id> = JoinSet::new();
    let mut busy: BTreeSet<Id> = BTreeSet::new();
    loop {
        changed.borrow_and_update();
        let due = local.due_clips(&[ClipState::Exporting], clock::utc_ms(), (AT_ONCE * 2) as u32).await;
        match due {
            Ok(due) => {
                for row in due {
                    let fresh = row.state == ClipState::Exporting && !row.deleted && !busy.contains(&row.id);
                    if fresh && running.len() < AT_ONCE {
                        busy.insert(row.id.clone());
                        let desk = Arc::clone(&desk);
                        running.spawn(async move {
                            let id = row.id.clone();
                            export(&desk, row).await;
                            id
                        });
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the job table cannot be read"),
        }
        let next = local.next_clip_due(&[ClipState::Exporting]).await.ok().flatten();
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

async fn export(desk: &Desk, row: LocalClip) {
    let started = std::time::Instant::now();
    match make(desk, &row).await {
        Ok(Some(clip)) => {
            metrics::histogram!("oxbow_clip_export_seconds").record(started.elapsed().as_secs_f64());
            tracing::info!(clip = %clip.id, channel = clip.channel, cause = %clip.cause, ms = clip.duration_ms, "a clip can be played");
            desk.emit_clip(&clip, ClipState::Queued);
        }
        Ok(None) => {}
        Err(trouble) => note_trouble(desk, &row, trouble).await,
    }
}

/// Why there is no file, and whether another try may help.
pub(crate) struct Trouble {
    pub(crate) text: String,
    pub(crate) final_: bool,
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        Self { text: error.to_string(), final_: false }
    }
}

/// The clip, or none when there was nothing to make one from.
async fn make(desk: &Desk, row: &LocalClip) -> Result<Option<Clip>, Trouble> {
    let index = read_index(row.journal.clone()).await?;
    let Some(index) = index else {
        let text = format!("the journal {} is gone or not readable", row.journal.display());
        return Err(Trouble { text, final_: true });
    };
    if index.entries.is_empty() {
        tracing::info!(clip = %row.id, "a part without a single unit is no clip");
        upload::remove(&row.journal).await?;
        desk.stores.local.forget(row.id.clone()).await?;
        return Ok(None);
    }
    if !index.damage.is_empty() {
        let (bytes, ms) = (index.damage.iter().map(|damage| damage.bytes).sum::<u64>(), index.lost_ms());
        let part = row.part;
        desk.alarm(
            &row.channel,
            format!("the journal of part {part} is damaged: {bytes} bytes are passed over, the clip lacks {ms} ms"),
        );
    }
    let job = ExportJob {
        pieces: vec![Piece { to_ns: index.cut_ns, ..Piece::whole(vec![row.journal.clone()]) }],
        border: Border::Rollover,
        precision: Precision::Fast,
        format: Format::Original,
        directory: desk.config.spool(),
        stem: row.id.to_string(),
        poster: true,
        units: true,
    };
    let lane = if row.cause == Some(ClipCause::Request) { Lane::ClipNow } else { Lane::Rollover };
    let exported = desk.stores.workers.export(job, lane).await.map_err(|error| Trouble {
        final_: match error {
            ExportError::Refused(_) => true,
            ExportError::Crashed(_) | ExportError::TimedOut | ExportError::Unfaithful(_) => {
                row.attempts + 1 >= ATTEMPTS
            }
            ExportError::Io(_) | ExportError::Busy | ExportError::Stopped => false,
        },
        text: error.to_string(),
    })?;
    note_undecoded(desk, row, &exported);
    // a title may have been given while the worker was busy
    if let Some(row) = desk.stores.local.local_clip(row.id.clone()).await? {
        let clip = describe(desk, &row, &index, &exported);
        if desk.stores.local.exported(clip.clone(), exported.file.clone(), exported.poster.clone()).await? {
            return Ok(Some(clip));
        }
    }
    // it was deleted meanwhile
    for path in [Some(exported.file), exported.poster, exported.units].into_iter().flatten() {
        upload::remove(&path).await?;
    }
    Ok(None)
}

/// The clip is what was received all the same, and its health says more.
pub(crate) fn note_undecoded(desk: &Desk, row: &LocalClip, exported: &Exported) {
    if let Some(why) = &exported.undecoded {
        desk.alarm(&row.channel, format!("clip {} is kept as it was received: {why}", row.id));
    }
}

fn describe(desk: &Desk, row: &LocalClip, index: &Index, exported: &Exported) -> Clip {
    let (visibility, now_ms) = (desk.config.visibility, clock::utc_ms());
    let track = |audio: bool| exported.tracks.iter().find(|t| matches!(t.codec.as_str(), "opus" | "aac") == audio);
    let (video, audio) = (track(false), track(true));
    let frames = video.map_or(0, |t| t.units);
    // pictures before the first keyframe are in the journal, but nobody can show them
    let undecodable_ms = match video {
        Some(t) if t.undecodable > 0 => {
            let from = index.entries.iter().filter(|e| e.track.0 == t.track).map(|e| e.pts_ns).min();
            from.map_or(0, |from| t.first_pts_ns.saturating_sub(from) / 1_000_000)
        }
        _ => 0,
    };
    let mut continuity = continuity::of(index, &exported.tracks);
    // a damaged file is made again; its link stays, and the clip after it may have named the old one
    if let (Some(now), Some(before)) = (&mut continuity, &row.clip)
        && let Some(record) = before.continuity.clone()
    {
        (now.before, now.passed) = (record.before, record.passed);
        now.replaces(record.replaced, &before.sha256);
    }
    let mut clip = Clip {
        title: row.title(),
        cause: row.cause.unwrap_or(ClipCause::Recovered),
        started_at_ms: ((index.header.media_zero_utc_us + exported.from_ns / 1000) / 1000) as i64,
        duration_ms: exported.duration_ms,
        from_ns: exported.from_ns,
        to_ns: exported.to_ns,
        mime: exported.mime.clone(),
        video: video.map(|t| t.codec.clone()),
        audio: audio.map(|t| t.codec.clone()),
        width: exported.width,
        height: exported.height,
        frames,
        packets: audio.map_or(0, |t| t.units),
        size: exported.size,
        sha256: exported.sha256.clone(),
        object: key::clip(&row.channel, &row.broadcast, row.part, &row.id, exported.container.extension()),
        poster: exported.poster.as_ref().map(|_| key::poster(&row.channel, &row.broadcast, row.part, &row.id)),
        lost_ms: index.lost_ms() + row.lost_ms + undecodable_ms,
        continuity,
        created_at_ms: now_ms,
        revision: row.clip.as_ref().map_or(0, |clip| clip.revision),
        visibility,
        published_at_ms: (visibility == Visibility::Published).then_some(now_ms),
        units: exported.units.as_ref().map(|_| key::clip(&row.channel, &row.broadcast, row.part, &row.id, UNITS)),
        ..Clip::at(row.id.clone(), row.broadcast.clone(), &row.channel, row.part)
    };
    row.edited(&mut clip);
    clip
}

async fn note_trouble(desk: &Desk, row: &LocalClip, trouble: Trouble) {
    let Trouble { text, final_ } = trouble;
    let local = &desk.stores.local;
    let noted = if final_ {
        desk.alarm(&row.channel, format!("no clip could be made of part {}: {text}", row.part));
        let failed = local.fail(row.id.clone(), text).await.map(drop);
        if let Ok(Some(now)) = local.local_clip(row.id.clone()).await {
            desk.emit_clip(&now.pending().clip, ClipState::Failed);
        }
        failed
    } else {
        tracing::warn!(clip = %row.id, attempts = row.attempts, error = text, "an export is put off");
        if row.attempts + 1 == ATTEMPTS {
            let part = row.part;
            desk.alarm(
                &row.channel,
                format!("part {part} is still no clip after {ATTEMPTS} tries, which go on: {text}"),
            );
        }
        local.retry_clip(row.id.clone(), Reason::Export, text, clock::next_try_ms(row.attempts)).await
    };
    if let Err(error) = noted {
        desk.alarm(&row.channel, format!("the job table cannot be written: {error}"));
        tokio::time::sleep(Duration::from_secs(1)).await; // the row still says that it is due
    }
}

/// None when there is no such file, or not even a header in it.
pub(crate) async fn read_index(path: PathBuf) -> Result<Option<Index>, Trouble> {
    let read = tokio::task::spawn_blocking(move || match Index::build(&path) {
        Ok(index) => Ok(Some(index)),
        Err(OpenError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(OpenError::Header { .. }) => Ok(None),
        Err(error) => Err(Trouble { text: error.to_string(), final_: false }),
    });
    read.await.unwrap_or_else(|error| Err(Trouble { text: error.to_string(), final_: false }))
}
