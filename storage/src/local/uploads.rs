//! Multipart uploads that are under way, so that a process that was killed goes on where it was. What is noted here is a hint: the
//! store is asked which parts it has.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use super::{Local, column, execute, row, rows};
use crate::StorageError;

/// More than a multipart upload can have.
const PARTS: u32 = 10_001;

/// An upload that was begun and neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// As the store named it.
    pub id: String,
    /// Length of each part but the last, bytes.
    pub part_bytes: u64,
    /// Of the whole file, 64 lower-case hex characters.
    pub sha256: String,
    /// By number, from 1: those that the store has confirmed.
    pub parts: BTreeMap<i32, SentPart>,
}

/// A part that the store has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPart {
    pub etag: Option<String>,
    /// 64 lower-case hex characters.
    pub sha256: String,
}

impl Local {
    /// Takes the place of an earlier upload to the same key.
    pub(crate) async fn begin_upload(
        &self,
        key: &str,
        id: &str,
        part_bytes: u64,
        sha256: &str,
    ) -> Result<(), StorageError> {
        let (key, id, sha256) = (key.to_owned(), id.to_owned(), sha256.to_owned());
        self.write(move |t| {
            execute(t, "DELETE FROM upload_parts WHERE key = ?1", [&key])?;
            let sql = "INSERT OR REPLACE INTO uploads (key, upload, part_bytes, sha256) VALUES (?1, ?2, ?3, ?4)";
            execute(t, sql, params![key, id, part_bytes as i64, sha256]).map(drop)
        })
        .await
    }

    /// Does nothing when the upload is not the one that is noted (any more).
    pub(crate) async fn part_sent(
        &self,
        key: String,
        id: String,
        number: i32,
        part: SentPart,
    ) -> Result<(), StorageError> {
        let sql = "INSERT OR REPLACE INTO upload_parts (key, number, etag, sha256)
                   SELECT key, ?3, ?4, ?5 FROM uploads WHERE key = ?1 AND upload = ?2";
        self.write(move |t| execute(t, sql, params![key, id, number, part.etag, part.sha256]).map(drop)).await
    }

    /// The upload to this key that may go on.
    pub async fn open_upload(&self, key: &str) -> Result<Option<OpenUpload>, StorageError> {
        let key = key.to_owned();
        self.read(move |c| {
            let found = row(c, "SELECT * FROM uploads WHERE key = ?1", [&key], |r| {
                Ok(OpenUpload {
                    id: column(r, "upload")?,
                    part_bytes: column::<i64>(r, "part_bytes")?.max(0) as u64,
                    sha256: column(r, "sha256")?,
                    parts: BTreeMap::new(),
                })
            })?;
            let Some(mut upload) = found else { return Ok(None) };
            let sql = "SELECT * FROM upload_parts WHERE key = ?1 ORDER BY number LIMIT ?2";
            let parts = rows(c, sql, params![key, PARTS], |r| {
                Ok((column(r, "number")?, SentPart { etag: column(r, "etag")?, sha256: column(r, "sha256")? }))
            })?;
            upload.parts.extend(parts);
            Ok(Some(upload))
        })
        .await
    }

    /// Completed, aborted, or unknown to the store.
    pub(crate) async fn end_upload(&self, key: &str) -> Result<(), StorageError> {
        let key = key.to_owned();
        self.write(move |t| {
            execute(t, "DELETE FROM upload_parts WHERE key = ?1", [&key])?;
            execute(t, "DELETE FROM uploads WHERE key = ?1", [&key]).map(drop)
        })
        .await
    }

    /// The ids of all uploads that may go on; those to keys of which no clip waits any more are forgotten.
    pub async fn open_uploads(&self) -> Result<BTreeSet<String>, StorageError> {
        self.write(|t| {
            let waiting = "SELECT json_extract(clip, '$.object') FROM clips
                           WHERE deleted = 0 AND clip IS NOT NULL AND state IN ('queued', 'uploading')";
            execute(t, &format!("DELETE FROM uploads WHERE key NOT IN ({waiting})"), [])?;
            execute(t, "DELETE FROM upload_parts WHERE key NOT IN (SELECT key FROM uploads)", [])?;
            Ok(rows(t, "SELECT upload FROM uploads LIMIT 100000", [], |r| column(r, "upload"))?.into_iter().collect())
        })
        .await
    }
}
