//! One row per part of a broadcast that this node recorded, from its first byte until its journal may go.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, params};

use super::inspections::Inspection;
use super::removals::DeletedBy;
use super::{
    Local, broadcasts, chain, column, events, execute, id_column, json_of, of_json, orders, removals, row, rows,
};
use crate::event::{EventType, NewEvent};
use crate::{Clip, ClipCause, ClipEdit, ClipKind, Id, Reason, Recipe, StorageError, Tombstone, Visibility};

/// Most rows that one call gives.
const ROWS: u32 = 1000;

/// How far a clip has come. Only ever forward, except that an export may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClipState {
    /// Its journal grows.
    Recording,
    /// Its journal is closed, a worker makes the file.
    Exporting,
    /// The file is there and can be played.
    Queued,
    Uploading,
    /// The stored object was compared with the file.
    Verified,
    /// Stored and in the database. The local file may go.
    Stored,
    /// No file could be made; [`PendingClip::error`] says why. The journal is kept.
    Failed,
}

impl ClipState {
    pub const ALL: [Self; 7] =
        [Self::Recording, Self::Exporting, Self::Queued, Self::Uploading, Self::Verified, Self::Stored, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Exporting => "exporting",
            Self::Queued => "queued",
            Self::Uploading => "uploading",
            Self::Verified => "verified",
            Self::Stored => "stored",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self, StorageError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StorageError::Corrupt(format!("the local job table: '{text}' is no state")))
    }
}

impl fmt::Display for ClipState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part that was just opened.
#[derive(Clone, Debug)]
pub struct NewPart {
    pub clip: Id,
    pub broadcast: Id,
    pub channel: String,
    pub part: u32,
    pub journal: PathBuf,
    pub created_ms: i64,
}

/// A row as it is.
#[derive(Clone, Debug)]
pub struct LocalClip {
    pub id: Id,
    pub broadcast: Id,
    pub channel: String,
    pub part: u32,
    pub state: ClipState,
    pub journal: PathBuf,
    pub cause: Option<ClipCause>,
    /// Asked for by whoever requested the clip.
    pub title: Option<String>,
    /// None until the file is there.
    pub clip: Option<Clip>,
    pub file: Option<PathBuf>,
    pub poster: Option<PathBuf>,
    /// Media that recovery knows to be missing at the end.
    pub lost_ms: u64,
    pub attempts: u32,
    pub next_try_ms: i64,
    pub error: Option<String>,
    /// Somebody deleted it; the outbox removes what exists of it.
    pub deleted: bool,
    pub created_ms: i64,
    pub stored_ms: Option<i64>,
    /// What people have changed so far.
    pub edit: ClipEdit,
    /// How often something measured was noted.
    pub noted: i64,
    /// What it is to be made from; none for a part, which has its journal.
    pub recipe: Option<Recipe>,
    /// None when there is nothing to look at, or no more.
    pub inspection: Option<Inspection>,
    pub inspection_tries: u32,
}

/// The state of a clip that was sent to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub revision: u32,
    /// [`LocalClip::noted`].
    pub noted: i64,
}

/// A clip that the database does not know yet, for the library.
#[derive(Clone, Debug)]
pub struct PendingClip {
    /// Sizes, times and hash are zero or empty until the file is there.
    pub clip: Clip,
    pub state: ClipState,
    pub attempts: u32,
    /// UTC milliseconds; 0 when nothing failed.
    pub next_try_ms: i64,
    pub error: Option<String>,
    /// Empty until the file is there.
    pub file: PathBuf,
    pub poster: Option<PathBuf>,
}

/// What waits to leave this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    pub depth: u64,
    /// UTC milliseconds at which the oldest waiting clip was made.
    pub oldest_ms: Option<i64>,
}

impl Local {
    /// Step 3. A second call changes nothing.
    pub async fn open_part(&self, part: NewPart) -> Result<(), StorageError> {
        self.write(move |t| {
            execute(
                t,
                "INSERT INTO clips (id, broadcast, channel, part, state, journal, created_ms)
                 VALUES (?1, ?2, ?3, ?4, 'recording', ?5, ?6) ON CONFLICT (id) DO NOTHING",
                params![
                    part.clip.as_str(),
                    part.broadcast.as_str(),
                    part.channel,
                    part.part,
                    text(&part.journal)?,
                    part.created_ms
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Step 9: `recording` becomes `exporting`. False when it was not recording (any more).
    pub async fn close_part(
        &self,
        id: Id,
        cause: ClipCause,
        title: Option<String>,
        lost_ms: u64,
    ) -> Result<bool, StorageError> {
        let sql = "UPDATE clips SET state = 'exporting', cause = ?2, title = coalesce(title, ?3), lost_ms = ?4
                   WHERE id = ?1 AND state = 'recording'";
        self.write(move |t| {
            let closed = execute(t, sql, params![id.as_str(), cause.as_str(), title, lost_ms as i64])? > 0;
            if closed {
                tell(t, &id, EventType::ClipCreated, |event| event)?;
            }
            Ok(closed)
        })
        .await
    }

    /// Step 11: `exporting` becomes `queued`, and the broadcast of a part counts one clip more. False when it was not exporting or was deleted.
    pub async fn exported(&self, mut clip: Clip, file: PathBuf, poster: Option<PathBuf>) -> Result<bool, StorageError> {
        self.write(move |t| {
            let poster = poster.as_deref().map(text).transpose()?;
            let row = find(t, &clip.id)?;
            let first = row.as_ref().is_some_and(|row| row.clip.is_none());
            // said while the worker was busy
            row.iter().for_each(|row| row.edited(&mut clip));
            let done = execute(
                t,
                "UPDATE clips SET state = 'queued', clip = ?2, file = ?3, poster = ?4, attempts = 0, next_try_ms = 0,
                 error = NULL, reason = NULL, inspection = 'due', inspection_tries = 0, inspection_next_ms = 0
                 WHERE id = ?1 AND state = 'exporting' AND deleted = 0",
                params![clip.id.as_str(), json_of(&clip)?, text(&file)?, poster],
            )? > 0;
            let is_part = row.is_some_and(|row| row.recipe.is_none());
            if done && is_part {
                chain::add(t, &clip)?;
            }
            if done && is_part && first {
                broadcasts::count_clip(t, &clip)?;
            }
            if done {
                events::emit(t, NewEvent::of_clip(EventType::ClipReady, &clip))?;
            }
            if done && first && clip.visibility == Visibility::Published {
                events::emit(t, NewEvent::of_clip(EventType::ClipPublished, &clip))?;
            }
            Ok(done)
        })
        .await
    }

    /// The finished file is gone or damaged and not stored yet: back to `exporting`. False when the clip is further already.
    pub async fn export_again(&self, id: Id, next_try_ms: i64) -> Result<bool, StorageError> {
        let sql = "UPDATE clips SET state = 'exporting', attempts = attempts + 1, next_try_ms = ?2
                   WHERE id = ?1 AND state IN ('queued', 'uploading')";
        self.write(move |t| Ok(execute(t, sql, params![id.as_str(), next_try_ms])? > 0)).await
    }

    /// A clip that is not stored becomes `failed`: no second try helps.
    pub async fn fail(&self, id: Id, reason: String) -> Result<bool, StorageError> {
        let sql = "UPDATE clips SET state = 'failed', error = ?2, attempts = attempts + 1
                   WHERE id = ?1 AND state IN ('exporting', 'queued', 'uploading')";
        self.write(move |t| {
            let failed = execute(t, sql, params![id.as_str(), reason])? > 0;
            if failed {
                tell(t, &id, EventType::ClipFailed, |event| event.because(&reason))?;
            }
            Ok(failed)
        })
        .await
    }

    /// `failed` becomes `exporting` again, for every failed clip: a newer program may manage. How many.
    pub async fn retry_failed(&self) -> Result<usize, StorageError> {
        self.write(|t| execute(t, "UPDATE clips SET state = 'exporting', next_try_ms = 0 WHERE state = 'failed'", []))
            .await
    }

    /// Moves a clip one step on: `queued`, `uploading`, `verified`. False when it was not in `from` or was deleted meanwhile.
    pub async fn advance(&self, id: Id, from: ClipState, to: ClipState) -> Result<bool, StorageError> {
        if from >= to {
            return Err(StorageError::Invalid(format!("a clip does not go from {from} to {to}")));
        }
        let sql = "UPDATE clips SET state = ?3 WHERE id = ?1 AND state = ?2 AND deleted = 0";
        self.write(move |t| Ok(execute(t, sql, params![id.as_str(), from.as_str(), to.as_str()])? > 0)).await
    }

    /// Step 14 is done: `verified` becomes `stored`, unless the clip was edited or measured since this was sent; then false.
    pub async fn stored(&self, id: Id, sent: Sent, now_ms: i64) -> Result<bool, StorageError> {
        let sql = "UPDATE clips SET state = 'stored', stored_ms = ?3, attempts = 0, next_try_ms = 0, error = NULL,
                   reason = NULL WHERE id = ?1 AND state = 'verified' AND deleted = 0 AND json_extract(clip, '$.revision') = ?2
                   AND noted = ?4";
        let Sent { revision, noted } = sent;
        self.write(move |t| {
            let stored = execute(t, sql, params![id.as_str(), revision, now_ms, noted])? > 0;
            if stored {
                tell(t, &id, EventType::ClipStored, |event| event)?;
            }
            Ok(stored)
        })
        .await
    }

    /// Remembers why a step failed and when to try again.
    pub async fn retry_clip(
        &self,
        id: Id,
        reason: Reason,
        error: String,
        next_try_ms: i64,
    ) -> Result<(), StorageError> {
        let sql = "UPDATE clips SET attempts = attempts + 1, error = ?2, next_try_ms = ?3, reason = ?4 WHERE id = ?1";
        self.write(move |t| {
            let before = find(t, &id)?;
            execute(t, sql, params![id.as_str(), error, next_try_ms, reason.as_str()])?;
            // The first time only: what is away for a day would be told of for a day.
            if before.is_some_and(|before| before.attempts == 0 && !before.deleted) {
                tell(t, &id, EventType::ClipDelayed, |event| event.because(&error).for_reason(reason))?;
            }
            Ok(())
        })
        .await
    }

    /// Somebody wants it tried now: what waits is due, what failed begins anew. None: no such pending clip.
    pub async fn retry_now(&self, id: Id) -> Result<Option<PendingClip>, StorageError> {
        let sql = "UPDATE clips SET next_try_ms = 0, state = iif(state = 'failed', 'exporting', state)
                   WHERE id = ?1 AND deleted = 0 AND state NOT IN ('recording', 'stored')";
        self.write(move |t| {
            let found = execute(t, sql, [id.as_str()])? > 0;
            Ok(if found { find(t, &id)?.map(|clip| clip.pending()) } else { None })
        })
        .await
    }

    /// How many clips wait after a failure, by its reason.
    pub async fn waiting_by_reason(&self) -> Result<BTreeMap<Reason, u64>, StorageError> {
        self.read(|c| {
            let sql = "SELECT reason, count(*) AS number FROM clips WHERE reason IS NOT NULL AND deleted = 0
                       AND state IN ('exporting', 'queued', 'uploading', 'verified') GROUP BY reason";
            let found = rows(c, sql, [], |r| {
                let name: String = column(r, "reason")?;
                let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Reason::Other);
                Ok((reason, column::<i64>(r, "number")? as u64))
            })?;
            Ok(found.into_iter().collect())
        })
        .await
    }

    /// Puts a step off that waits for another clip; not a failure.
    pub async fn put_off(&self, id: Id, next_try_ms: i64) -> Result<(), StorageError> {
        let sql = "UPDATE clips SET next_try_ms = ?2 WHERE id = ?1";
        self.write(move |t| execute(t, sql, params![id.as_str(), next_try_ms]).map(drop)).await
    }

    /// The journal or the local file turned out to be gone or empty: there is nothing to make a clip from.
    pub async fn forget(&self, id: Id) -> Result<(), StorageError> {
        self.write(move |t| {
            if let Some(row) = find(t, &id)?.filter(|row| row.state == ClipState::Exporting && !row.deleted) {
                let event = NewEvent::of_clip(EventType::ClipDeleted, &row.pending().clip);
                events::emit(t, event.with("by", DeletedBy::Emptiness.as_str()))?;
            }
            execute(t, "DELETE FROM clips WHERE id = ?1", [id.as_str()]).map(drop)
        })
        .await
    }

    /// Clips in one of these states whose time has come, oldest first; deleted ones come whatever their state. Orders that are not
    /// made yet are not among them: [`Local::due_orders`].
    pub async fn due_clips(
        &self,
        states: &[ClipState],
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<LocalClip>, StorageError> {
        let states = json_of(&states.iter().map(|s| s.as_str()).collect::<Vec<_>>())?;
        let sql = "SELECT * FROM clips WHERE (deleted = 1 AND state <> 'recording' OR state IN (SELECT value FROM json_each(?1))
                   AND (recipe IS NULL OR state <> 'exporting')) AND next_try_ms <= ?2 ORDER BY id LIMIT ?3";
        self.read(move |c| rows(c, sql, params![states, now_ms, limit.min(ROWS)], local_clip)).await
    }

    /// When the next of [`Local::due_clips`] is due, UTC milliseconds.
    pub async fn next_clip_due(&self, states: &[ClipState]) -> Result<Option<i64>, StorageError> {
        let states = json_of(&states.iter().map(|s| s.as_str()).collect::<Vec<_>>())?;
        let sql = "SELECT min(next_try_ms) AS due FROM clips WHERE state IN (SELECT value FROM json_each(?1))
                   AND (recipe IS NULL OR state <> 'exporting')";
        self.read(move |c| Ok(row(c, sql, [states], |r| column(r, "due"))?.flatten())).await
    }

    /// Stored clips whose journal has been kept long enough and that wait for nothing and are needed for no order, oldest first.
    pub async fn expired(&self, stored_before_ms: i64, limit: u32) -> Result<Vec<LocalClip>, StorageError> {
        let sql = format!(
            "SELECT * FROM clips WHERE state = 'stored' AND deleted = 0 AND inspection IS NULL AND stored_ms <= ?1
             AND broadcast NOT IN ({}) ORDER BY id LIMIT ?2",
            orders::NEEDED
        );
        self.read(move |c| rows(c, &sql, params![stored_before_ms, limit.min(ROWS)], local_clip)).await
    }

    pub async fn local_clip(&self, id: Id) -> Result<Option<LocalClip>, StorageError> {
        self.read(move |c| find(c, &id)).await
    }

    /// All rows after `after`, in the order of their ids. At most 1000; call again with the last id.
    pub async fn local_clips(&self, after: Option<Id>) -> Result<Vec<LocalClip>, StorageError> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        self.read(move |c| {
            rows(c, "SELECT * FROM clips WHERE id > ?1 ORDER BY id LIMIT ?2", params![after, ROWS], local_clip)
        })
        .await
    }

    /// Clips that are recorded but not in the database yet, newest first; at most 1000. Parts that still grow are not among them.
    pub async fn pending_clips(&self) -> Result<Vec<PendingClip>, StorageError> {
        let sql =
            "SELECT * FROM clips WHERE state NOT IN ('recording', 'stored') AND deleted = 0 ORDER BY id DESC LIMIT ?1";
        self.read(move |c| rows(c, sql, [ROWS], |r| Ok(local_clip(r)?.pending()))).await
    }

    /// One of [`Local::pending_clips`].
    pub async fn pending_clip(&self, id: Id) -> Result<Option<PendingClip>, StorageError> {
        let found = self.local_clip(id).await?;
        let pending = |c: &LocalClip| !c.deleted && !matches!(c.state, ClipState::Recording | ClipState::Stored);
        Ok(found.filter(pending).map(|c| c.pending()))
    }

    /// Marks a clip that is not in the database yet as deleted; the outbox removes what exists of it. None: no such pending clip.
    pub async fn delete_pending(&self, id: Id) -> Result<Option<Clip>, StorageError> {
        self.write(move |t| {
            let pending = |c: &LocalClip| !c.deleted && !matches!(c.state, ClipState::Recording | ClipState::Stored);
            let Some(found) = find(t, &id)?.filter(pending) else { return Ok(None) };
            execute(t, "UPDATE clips SET deleted = 1, next_try_ms = 0 WHERE id = ?1", [id.as_str()])?;
            let clip = found.pending().clip;
            let event = NewEvent::of_clip(EventType::ClipDeleted, &clip);
            events::emit(t, event.with("by", DeletedBy::Person.as_str()))?;
            Ok(Some(clip))
        })
        .await
    }

    /// The clip was deleted and nothing of it is left here: its objects are listed for removal and the row goes.
    pub async fn forget_deleted(&self, tombstone: Tombstone) -> Result<(), StorageError> {
        self.write(move |t| {
            let id = &tombstone.id;
            let Some(found) = find(t, id)?.filter(|c| c.deleted) else { return Ok(()) };
            let _listed_before = removals::bury(t, &tombstone, found.clip.as_ref())?;
            execute(t, "DELETE FROM clips WHERE id = ?1", [id.as_str()]).map(drop)
        })
        .await
    }

    pub async fn counts_by_state(&self) -> Result<BTreeMap<ClipState, u64>, StorageError> {
        self.read(|c| {
            let found = rows(c, "SELECT state, count(*) AS number FROM clips GROUP BY state", [], |r| {
                Ok((ClipState::parse(&column::<String>(r, "state")?)?, column::<i64>(r, "number")? as u64))
            })?;
            Ok(found.into_iter().collect())
        })
        .await
    }

    /// What waits to leave this node.
    pub async fn outbox(&self) -> Result<Outbox, StorageError> {
        let sql = "SELECT count(*) AS depth, min(json_extract(clip, '$.created_at_ms')) AS oldest FROM clips WHERE state IN ('queued', 'uploading', 'verified')";
        let found = self
            .read(move |c| {
                row(c, sql, [], |r| {
                    Ok(Outbox { depth: column::<i64>(r, "depth")? as u64, oldest_ms: column(r, "oldest")? })
                })
            })
            .await?;
        Ok(found.unwrap_or_default())
    }
}

impl LocalClip {
    /// Whether its file was made and is not made again just now.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !matches!(self.state, ClipState::Recording | ClipState::Exporting | ClipState::Failed)
    }

    /// As the library shows it.
    #[must_use]
    pub fn pending(&self) -> PendingClip {
        PendingClip {
            clip: self.clip.clone().unwrap_or_else(|| self.announced()),
            state: self.state,
            attempts: self.attempts,
            next_try_ms: self.next_try_ms,
            error: self.error.clone(),
            file: self.file.clone().unwrap_or_default(),
            poster: self.poster.clone(),
        }
    }

    /// What is known before there is a file.
    fn announced(&self) -> Clip {
        let mut clip = Clip {
            title: self.title.clone().unwrap_or_else(|| default_title(self.part)),
            cause: self.cause.unwrap_or(ClipCause::Recovered),
            started_at_ms: self.created_ms,
            lost_ms: self.lost_ms,
            created_at_ms: self.created_ms,
            kind: if self.recipe.is_some() { ClipKind::Made } else { ClipKind::Part },
            recipe: self.recipe.clone(),
            ..Clip::at(self.id.clone(), self.broadcast.clone(), &self.channel, self.part)
        };
        self.edited(&mut clip);
        clip
    }

    /// Says of a clip what people have said of it before it had a file, or this one.
    pub fn edited(&self, clip: &mut Clip) {
        // A poster is chosen among pictures of a file, and stays with it.
        let edit = ClipEdit { poster: None, ..self.edit.clone() };
        if let Err(error) = edit.apply(clip, self.created_ms) {
            tracing::error!(%error, clip = %self.id, "what was said of a clip is lost");
        }
    }

    /// The title it gets unless somebody gave it one.
    #[must_use]
    pub fn title(&self) -> String {
        self.edit.title.clone().or_else(|| self.title.clone()).unwrap_or_else(|| default_title(self.part))
    }
}

/// Notes an event about a clip of this node as its row says it is now.
fn tell(
    connection: &Connection,
    id: &Id,
    kind: EventType,
    more: impl FnOnce(NewEvent) -> NewEvent,
) -> Result<(), StorageError> {
    let Some(row) = find(connection, id)? else { return Ok(()) };
    events::emit(connection, more(NewEvent::of_clip(kind, &row.pending().clip))).map(drop)
}

fn default_title(part: u32) -> String {
    format!("Clip {}", u64::from(part) + 1)
}

pub(super) fn find(connection: &Connection, id: &Id) -> Result<Option<LocalClip>, StorageError> {
    row(connection, "SELECT * FROM clips WHERE id = ?1", [id.as_str()], local_clip)
}

pub(super) fn local_clip(row: &Row<'_>) -> Result<LocalClip, StorageError> {
    let path = |name| Ok::<_, StorageError>(column::<Option<String>>(row, name)?.map(PathBuf::from));
    Ok(LocalClip {
        id: id_column(row, "id")?,
        broadcast: id_column(row, "broadcast")?,
        channel: column(row, "channel")?,
        part: column(row, "part")?,
        state: ClipState::parse(&column::<String>(row, "state")?)?,
        journal: path("journal")?.unwrap_or_default(),
        cause: column::<Option<String>>(row, "cause")?.map(|text| text.parse()).transpose()?,
        title: column(row, "title")?,
        clip: column::<Option<String>>(row, "clip")?.map(|json| of_json(&json)).transpose()?,
        file: path("file")?,
        poster: path("poster")?,
        lost_ms: column::<i64>(row, "lost_ms")?.max(0) as u64,
        attempts: column(row, "attempts")?,
        next_try_ms: column(row, "next_try_ms")?,
        error: column(row, "error")?,
        deleted: column(row, "deleted")?,
        created_ms: column(row, "created_ms")?,
        stored_ms: column(row, "stored_ms")?,
        edit: column::<Option<String>>(row, "edit")?.map(|json| of_json(&json)).transpose()?.unwrap_or_default(),
        noted: column(row, "noted")?,
        recipe: column::<Option<String>>(row, "recipe")?.map(|json| of_json(&json)).transpose()?,
        inspection: Inspection::parse(column::<Option<String>>(row, "inspection")?.as_deref())?,
        inspection_tries: column(row, "inspection_tries")?,
    })
}

fn text(path: &Path) -> Result<String, StorageError> {
    path.to_str().map(str::to_owned).ok_or_else(|| StorageError::Invalid(format!("{} is not UTF-8", path.display())))
}
