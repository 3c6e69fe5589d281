//! Which finished clips are still to be looked at, and whose pictures are still to be stored. This goes beside the way of a clip's file
//! and never holds it up.

use std::path::PathBuf;

use rusqlite::params;

use super::clips::{LocalClip, find, local_clip};
use super::edits::save;
use super::{Local, column, events, execute, row, rows};
use crate::event::{EventType, NewEvent};
use crate::{Clip, ClipFacts, Id, StorageError};

/// How far the looking has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// The file is there and was not looked at.
    Due,
    /// What was found is noted; its pictures lie beside the file and not in the store.
    Made,
}

impl Inspection {
    pub(super) fn parse(text: Option<&str>) -> Result<Option<Self>, StorageError> {
        match text {
            None => Ok(None),
            Some("due") => Ok(Some(Self::Due)),
            Some("made") => Ok(Some(Self::Made)),
            Some(other) => Err(StorageError::Corrupt(format!("the local job table: '{other}' is no inspection"))),
        }
    }
}

/// Pictures leave once their clip is stored, since its row in the database has to be there.
fn ready(stage: Inspection) -> &'static str {
    match stage {
        Inspection::Due => {
            "deleted = 0 AND inspection = 'due' AND state IN ('queued', 'uploading', 'verified', 'stored')"
        }
        Inspection::Made => "deleted = 0 AND inspection = 'made' AND state = 'stored'",
    }
}

impl Local {
    /// Clips that are to be looked at, or whose pictures are to be stored, and whose time has come, oldest first.
    pub async fn due_inspections(
        &self,
        stage: Inspection,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<LocalClip>, StorageError> {
        let ready = ready(stage);
        let sql = format!("SELECT * FROM clips WHERE inspection_next_ms <= ?1 AND {ready} ORDER BY id LIMIT ?2");
        self.read(move |c| rows(c, &sql, params![now_ms, limit.min(1000)], local_clip)).await
    }

    /// When the next one is due, UTC milliseconds.
    pub async fn next_inspection_due(&self, stage: Inspection) -> Result<Option<i64>, StorageError> {
        let sql = format!("SELECT min(inspection_next_ms) AS due FROM clips WHERE {}", ready(stage));
        self.read(move |c| Ok(row(c, &sql, [], |r| column(r, "due"))?.flatten())).await
    }

    /// Notes what was found; its pictures are to be stored now. None: the clip was deleted or is made again, and nothing was noted.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for what [`ClipFacts::check`] refuses.
    pub async fn inspected(&self, id: Id, facts: ClipFacts) -> Result<Option<LocalClip>, StorageError> {
        facts.check()?;
        self.write(move |t| {
            let ready = |row: &LocalClip| !row.deleted && row.inspection == Some(Inspection::Due) && row.is_finished();
            let Some(found) = find(t, &id)?.filter(ready) else { return Ok(None) };
            let Some(mut clip) = found.clip else { return Ok(None) };
            clip.note(facts);
            save(t, &clip)?;
            let sql =
                "UPDATE clips SET noted = noted + 1, inspection = 'made', inspection_tries = 0, inspection_next_ms = 0
                       WHERE id = ?1";
            execute(t, sql, [id.as_str()])?;
            events::emit(t, NewEvent::of_clip(EventType::ClipInspected, &clip))?;
            find(t, &id)
        })
        .await
    }

    /// It did not work; when to try again, UTC milliseconds.
    pub async fn retry_inspection(&self, id: Id, next_ms: i64) -> Result<(), StorageError> {
        let sql = "UPDATE clips SET inspection_tries = inspection_tries + 1, inspection_next_ms = ?2 WHERE id = ?1";
        self.write(move |t| execute(t, sql, params![id.as_str(), next_ms]).map(drop)).await
    }

    /// Its pictures are gone before they were stored: it is looked at once more.
    pub async fn inspect_again(&self, id: Id) -> Result<(), StorageError> {
        let sql = "UPDATE clips SET inspection = 'due', inspection_tries = inspection_tries + 1 WHERE id = ?1 AND inspection = 'made'";
        self.write(move |t| execute(t, sql, [id.as_str()]).map(drop)).await
    }

    /// Its pictures are stored, or it cannot be looked at: nothing is to be done any more.
    pub async fn end_inspection(&self, id: Id) -> Result<(), StorageError> {
        let sql = "UPDATE clips SET inspection = NULL WHERE id = ?1";
        self.write(move |t| execute(t, sql, [id.as_str()]).map(drop)).await
    }
}

impl LocalClip {
    /// Its pictures beside its file, with their keys; whether they are there is not looked up.
    #[must_use]
    pub fn pictures(&self) -> Vec<(PathBuf, String)> {
        let (Some(clip), Some(file)) = (&self.clip, &self.file) else { return Vec::new() };
        let pictures = clip.pictures.iter().flat_map(|pictures| pictures.objects());
        pictures.filter_map(|key| Some((clip.beside(file, key)?, key.clone()))).collect()
    }
}

impl Clip {
    /// Where one of its objects lies as long as its file is here, at `file`. The two share the end of their name, from the clip's id on.
    #[must_use]
    pub fn beside(&self, file: &std::path::Path, key: &str) -> Option<PathBuf> {
        let at = key.rfind(self.id.as_str())?;
        Some(file.parent()?.join(&key[at..]))
    }
}
