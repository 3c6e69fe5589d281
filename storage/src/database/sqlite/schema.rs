//! The tables, and how an older file gets them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::kind;
use crate::StorageError;

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// The version that this program knows.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Each entry leads from the version of its index to the next one. Entries are never changed, only added.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE clips (
        id TEXT PRIMARY KEY, broadcast TEXT NOT NULL, channel TEXT NOT NULL, part INTEGER NOT NULL, title TEXT NOT NULL,
        title_folded TEXT NOT NULL, cause TEXT NOT NULL, started_at_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
        from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL, mime TEXT NOT NULL, video TEXT, audio TEXT,
        width INTEGER NOT NULL, height INTEGER NOT NULL, frames INTEGER NOT NULL, packets INTEGER NOT NULL,
        size INTEGER NOT NULL, sha256 TEXT NOT NULL, object TEXT NOT NULL, poster TEXT, lost_ms INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL, revision INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX clips_by_start ON clips (started_at_ms, id);
    CREATE INDEX clips_by_channel ON clips (channel, started_at_ms, id);
    CREATE INDEX clips_by_broadcast ON clips (broadcast, started_at_ms, id);
    CREATE TABLE deleted_clips (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE broadcasts (
        id TEXT PRIMARY KEY, channel TEXT NOT NULL, title TEXT NOT NULL, started_at_ms INTEGER NOT NULL,
        ended_at_ms INTEGER, clips INTEGER NOT NULL, duration_ms INTEGER NOT NULL, recorded INTEGER NOT NULL, end_reason TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX broadcasts_by_start ON broadcasts (started_at_ms, id);
    CREATE INDEX broadcasts_by_channel ON broadcasts (channel, started_at_ms, id);
", "
    ALTER TABLE clips ADD COLUMN continuity TEXT;
    ALTER TABLE deleted_clips ADD COLUMN tombstone TEXT;
", "
    ALTER TABLE clips RENAME COLUMN title_folded TO searchable;
    ALTER TABLE clips ADD COLUMN kind TEXT NOT NULL DEFAULT 'part';
    ALTER TABLE clips ADD COLUMN description TEXT NOT NULL DEFAULT '';
    ALTER TABLE clips ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE clips ADD COLUMN links TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE clips ADD COLUMN visibility TEXT NOT NULL DEFAULT 'hidden';
    ALTER TABLE clips ADD COLUMN published_at_ms INTEGER;
    ALTER TABLE clips ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE clips ADD COLUMN recipe TEXT;
    ALTER TABLE clips ADD COLUMN health TEXT;
    ALTER TABLE clips ADD COLUMN pictures TEXT;
    ALTER TABLE clips ADD COLUMN units TEXT;
    CREATE INDEX clips_by_visibility ON clips (visibility, started_at_ms, id);
"];

/// Opens the file, created with its folders where missing, and brings its tables up to date.
///
/// # Errors
/// Away; Refused for a file of a newer Oxbow; Corrupt for one that is no database.
pub(super) fn open(path: &Path) -> Result<Connection, StorageError> {
    if let Some(folder) = path.parent() {
        let created = std::fs::create_dir_all(folder);
        created.map_err(|e| StorageError::Away(format!("{}: {e}", folder.display())))?;
    }
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open(path)?;
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        Ok(db)
    };
    let mut db = open().map_err(|error| kind(&error))?;
    let version = migrate(&mut db).map_err(|error| kind(&error))?;
    if version > KNOWN {
        return Err(StorageError::Refused(format!(
            "{} was written by a newer Oxbow (schema {version}, this one knows {})",
            path.display(),
            KNOWN
        )));
    }
    Ok(db)
}

/// Returns the version that the file has then.
fn migrate(db: &mut Connection) -> rusqlite::Result<u32> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT")?;
    let found: Option<u32> = tx.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).optional()?;
    let version = found.unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(version as usize) {
        tx.execute_batch(migration)?;
    }
    let reached = version.max(KNOWN);
    match found {
        Some(_) => tx.execute("UPDATE schema_version SET version = ?1", [reached])?,
        None => tx.execute("INSERT INTO schema_version VALUES (?1)", [reached])?,
    };
    tx.commit()?;
    Ok(reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_again_and_a_newer_or_foreign_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/down/oxbow.db");
        drop(open(&path).unwrap());
        let db = open(&path).unwrap();
        let version: u32 = db.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, KNOWN);
        db.execute("UPDATE schema_version SET version = 99", []).unwrap();
        drop(db);
        assert!(matches!(open(&path), Err(StorageError::Refused(text)) if text.contains("99")));

        let foreign = directory.path().join("foreign.db");
        std::fs::write(&foreign, vec![7; 10_000]).unwrap();
        assert!(matches!(open(&foreign), Err(StorageError::Corrupt(_))));
        assert!(matches!(open(directory.path()), Err(StorageError::Away(_))));
    }
}
