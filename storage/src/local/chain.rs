//! Which clip comes before which, so that each can name the one before it.

use rusqlite::{Connection, params};

use super::{Local, clips, column, execute, id_column, json_of, row};
use crate::{Clip, Id, Link, StorageError};

/// An export that failed this often is not waited for.
const PATIENCE: u32 = 5;

impl Local {
    /// Gives a finished clip its link, once, and returns the clip. None while a part before it is still becoming a file: ask again
    /// soon. Parts that failed, were deleted or fail again and again are passed over.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when there is no such clip (any more).
    pub async fn link_clip(&self, id: Id) -> Result<Option<Clip>, StorageError> {
        self.write(move |t| {
            let found = clips::find(t, &id)?.ok_or(StorageError::NotFound)?;
            let mut clip = found.clip.ok_or(StorageError::NotFound)?;
            let Some(record) = clip.continuity.as_mut() else { return Ok(Some(clip)) };
            if clip.part == 0 || record.before.is_some() || record.passed > 0 {
                return Ok(Some(clip));
            }
            let before = before(t, &clip.broadcast, clip.part)?;
            let from = before.as_ref().map_or(0, |link| link.part + 1);
            if is_coming(t, &clip.broadcast, from, clip.part)? {
                return Ok(None);
            }
            (record.before, record.passed) = (before, clip.part - from);
            execute(t, "UPDATE clips SET clip = ?2 WHERE id = ?1", params![id.as_str(), json_of(&clip)?])?;
            Ok(Some(clip))
        })
        .await
    }
}

/// A clip has a file with this hash.
pub(super) fn add(connection: &Connection, clip: &Clip) -> Result<(), StorageError> {
    let sql = "INSERT OR REPLACE INTO chain (broadcast, part, clip, sha256) VALUES (?1, ?2, ?3, ?4)";
    execute(connection, sql, params![clip.broadcast.as_str(), clip.part, clip.id.as_str(), clip.sha256]).map(drop)
}

/// Nothing is left here of the broadcasts that the others belong to.
pub(super) fn forget(connection: &Connection) -> Result<(), StorageError> {
    let sql = "DELETE FROM chain WHERE NOT EXISTS (SELECT 1 FROM broadcasts WHERE broadcasts.id = chain.broadcast)";
    execute(connection, sql, []).map(drop)
}

/// The newest clip before a part, deleted ones among them.
fn before(connection: &Connection, broadcast: &Id, part: u32) -> Result<Option<Link>, StorageError> {
    let sql = "SELECT * FROM chain WHERE broadcast = ?1 AND part < ?2 ORDER BY part DESC LIMIT 1";
    row(connection, sql, params![broadcast.as_str(), part], |r| {
        Ok(Link { clip: id_column(r, "clip")?, part: column(r, "part")?, sha256: column(r, "sha256")? })
    })
}

/// Whether one of these parts is still becoming a file.
fn is_coming(connection: &Connection, broadcast: &Id, from: u32, to: u32) -> Result<bool, StorageError> {
    let sql = "SELECT count(*) AS number FROM clips WHERE broadcast = ?1 AND recipe IS NULL AND part >= ?2 AND part < ?3 AND deleted = 0
               AND (state = 'recording' OR state = 'exporting' AND attempts < ?4)";
    let found: Option<i64> =
        row(connection, sql, params![broadcast.as_str(), from, to, PATIENCE], |r| column(r, "number"))?;
    Ok(found.unwrap_or_default() > 0)
}
