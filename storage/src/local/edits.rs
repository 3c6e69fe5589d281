//! What people say and what is measured of clips that the database does not know yet.

use rusqlite::{Connection, params};

use super::clips::{ClipState, LocalClip, find};
use super::{Local, events, execute, json_of};
use crate::clock::utc_ms;
use crate::{Clip, ClipEdit, ClipFacts, Id, StorageError, Visibility};

impl Local {
    /// Changes a clip that is not in the database yet, where the change goes with it. None: no such pending clip.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for what [`ClipEdit::check`] refuses, [`StorageError::Conflict`] when the revision is not `if_revision`.
    pub async fn edit_pending(
        &self,
        id: Id,
        edit: ClipEdit,
        if_revision: Option<u32>,
    ) -> Result<Option<Clip>, StorageError> {
        edit.check()?;
        self.write(move |t| {
            let pending = |c: &LocalClip| !c.deleted && !matches!(c.state, ClipState::Recording | ClipState::Stored);
            let Some(found) = find(t, &id)?.filter(pending) else { return Ok(None) };
            let mut clip = found.pending().clip;
            let was_published = clip.visibility == Visibility::Published;
            if if_revision.is_some_and(|wanted| wanted != clip.revision) {
                return Err(StorageError::Conflict);
            }
            edit.apply(&mut clip, utc_ms() as i64)?;
            if found.clip.is_some() {
                clip.revision += 1;
                save(t, &clip)?;
            }
            let changed: Vec<String> = edit.names().into_iter().map(str::to_owned).collect();
            // The file may have to be made again: what people said of it stays.
            let edit = edit.after(found.edit);
            execute(t, "UPDATE clips SET edit = ?2 WHERE id = ?1", params![id.as_str(), json_of(&edit)?])?;
            events::edited(t, &clip, was_published, &changed)?;
            Ok(Some(clip))
        })
        .await
    }

    /// Notes what was measured of a finished clip, in whatever state. None: this node has no such clip (any more).
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for what [`ClipFacts::check`] refuses.
    pub async fn note_facts(&self, id: Id, facts: ClipFacts) -> Result<Option<LocalClip>, StorageError> {
        facts.check()?;
        self.write(move |t| {
            let Some(found) = find(t, &id)?.filter(|row| !row.deleted) else { return Ok(None) };
            let Some(mut clip) = found.clip else { return Ok(None) };
            clip.note(facts);
            save(t, &clip)?;
            execute(t, "UPDATE clips SET noted = noted + 1 WHERE id = ?1", [id.as_str()])?;
            find(t, &id)
        })
        .await
    }
}

pub(super) fn save(connection: &Connection, clip: &Clip) -> Result<(), StorageError> {
    let sql = "UPDATE clips SET clip = ?2 WHERE id = ?1";
    execute(connection, sql, params![clip.id.as_str(), json_of(clip)?]).map(drop)
}
