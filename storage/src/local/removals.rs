//! Objects that are to be deleted from the store, until it confirms.

use rusqlite::{Connection, params};

use super::{Local, column, execute, row, rows};
use crate::{StorageError, key};

/// An object to delete.
#[derive(Clone, Debug)]
pub struct DueRemoval {
    pub key: String,
    pub attempts: u32,
}

impl Local {
    /// Lists objects for deletion. Keys that are listed already stay as they are. When one is the file of a clip that this node
    /// has stored, its journal goes too.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] when one of them is no key; none is listed then.
    pub async fn remove_objects(&self, keys: Vec<String>) -> Result<(), StorageError> {
        for key in &keys {
            key::check(key)?;
        }
        let stored = "UPDATE clips SET deleted = 1 WHERE state = 'stored' AND json_extract(clip, '$.object') = ?1";
        self.write(move |t| {
            for key in &keys {
                execute(t, stored, [key])?;
            }
            add(t, keys.into_iter())
        })
        .await
    }

    pub async fn due_removals(&self, now_ms: i64, limit: u32) -> Result<Vec<DueRemoval>, StorageError> {
        let sql = "SELECT * FROM removals WHERE next_try_ms <= ?1 ORDER BY key LIMIT ?2";
        self.read(move |c| {
            rows(c, sql, params![now_ms, limit.min(1000)], |r| {
                Ok(DueRemoval { key: column(r, "key")?, attempts: column(r, "attempts")? })
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

pub(super) fn add(connection: &Connection, keys: impl Iterator<Item = String>) -> Result<(), StorageError> {
    for key in keys {
        execute(connection, "INSERT INTO removals (key) VALUES (?1) ON CONFLICT (key) DO NOTHING", [key])?;
    }
    Ok(())
}
