//! Objects that are to be deleted from the store, until it confirms.

use rusqlite::{Connection, params};

use super::{Local, column, events, execute, json_of, of_json, row, rows};
use crate::event::{EventType, NewEvent};
use crate::{Clip, StorageError, Tombstone, key};

/// Who deleted a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletedBy {
    Person,
    /// It was beyond what is to be kept.
    Retention,
    /// Nothing was recorded in it, so there is nothing to make a file of.
    Emptiness,
}

impl DeletedBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Retention => "retention",
            Self::Emptiness => "emptiness",
        }
    }
}

/// An object to delete.
#[derive(Clone, Debug)]
pub struct DueRemoval {
    pub key: String,
    /// What takes the place of a sidecar; none: nothing takes its place.
    pub tombstone: Option<Box<Tombstone>>,
    pub attempts: u32,
}

impl Local {
    /// Lists the objects of a clip for deletion; its sidecar becomes a tombstone. When this node has stored it, its journal goes too.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] when one of them is no key; none is listed then.
    pub async fn remove_clip(&self, clip: Clip) -> Result<(), StorageError> {
        self.remove_clip_by(clip, DeletedBy::Person).await
    }

    /// As [`Self::remove_clip`], and for whom it is.
    ///
    /// # Errors
    /// Those of [`Self::remove_clip`].
    pub async fn remove_clip_by(&self, clip: Clip, by: DeletedBy) -> Result<(), StorageError> {
        clip.objects().try_for_each(|key| key::check(key))?;
        self.write(move |t| {
            execute(t, "UPDATE clips SET deleted = 1 WHERE state = 'stored' AND id = ?1", [clip.id.as_str()])?;
            if bury(t, &Tombstone::from(&clip), Some(&clip))? {
                // From here on it is removed, whatever happens.
                events::emit(t, NewEvent::of_clip(EventType::ClipDeleted, &clip).with("by", by.as_str()))?;
            }
            Ok(())
        })
        .await
    }

    /// Tombstones come first: a clip is gone from the database before its objects are gone from the store.
    pub async fn due_removals(&self, now_ms: i64, limit: u32) -> Result<Vec<DueRemoval>, StorageError> {
        let sql = "SELECT * FROM removals WHERE next_try_ms <= ?1 ORDER BY body IS NULL, key LIMIT ?2";
        self.read(move |c| {
            rows(c, sql, params![now_ms, limit.min(1000)], |r| {
                let tombstone = column::<Option<String>>(r, "body")?.map(|json| of_json(&json)).transpose()?;
                Ok(DueRemoval { key: column(r, "key")?, tombstone, attempts: column(r, "attempts")? })
            })
        })
        .await
    }

    /// Every key that is listed.
    pub async fn removals(&self) -> Result<Vec<String>, StorageError> {
        self.read(|c| rows(c, "SELECT key FROM removals ORDER BY key LIMIT 100000", [], |r| column(r, "key"))).await
    }

    /// When the next removal is due, UTC milliseconds.
    pub async fn next_removal_due(&self) -> Result<Option<i64>, StorageError> {
        let sql = "SELECT min(next_try_ms) AS due FROM removals";
        self.read(move |c| Ok(row(c, sql, [], |r| column(r, "due"))?.flatten())).await
    }

    pub async fn removed(&self, key: String) -> Result<(), StorageError> {
        self.write(move |t| execute(t, "DELETE FROM removals WHERE key = ?1", [key]).map(drop)).await
    }

    pub async fn retry_removal(&self, key: String, error: String, next_try_ms: i64) -> Result<(), StorageError> {
        let sql = "UPDATE removals SET attempts = attempts + 1, error = ?2, next_try_ms = ?3 WHERE key = ?1";
        self.write(move |t| execute(t, sql, params![key, error, next_try_ms]).map(drop)).await
    }
}

/// Lists what there is of a clip, if there is anything. False when that was done before.
pub(super) fn bury(connection: &Connection, tombstone: &Tombstone, clip: Option<&Clip>) -> Result<bool, StorageError> {
    let add = "INSERT INTO removals (key, body) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING";
    let objects = clip.iter().flat_map(|clip| clip.objects());
    for object in objects {
        execute(connection, add, params![object, None::<String>])?;
    }
    Ok(execute(connection, add, params![tombstone.sidecar(), json_of(tombstone)?])? > 0)
}
