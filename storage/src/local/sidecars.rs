//! Rows of the database whose sidecars are to be written, until the store confirms. What goes into a sidecar is read from the
//! database when it is sent, so the newest wins however many changes wait.

use std::future::Future;

use rusqlite::{Connection, params};

use super::{Local, column, execute, id_column, row, rows};
use crate::{Clip, ClipFacts, Database, Id, StorageError, clock};

/// A change of the database that takes longer than this has failed: its calls end earlier.
const CHANGE_MS: u64 = 30_000;
/// Most rows that one call gives.
const ROWS: u32 = 1000;

/// The row that a sidecar describes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Described {
    Clip(Id),
    Broadcast(Id),
}

impl Described {
    pub fn id(&self) -> &Id {
        match self {
            Self::Clip(id) | Self::Broadcast(id) => id,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Clip(_) => "clip",
            Self::Broadcast(_) => "broadcast",
        }
    }
}

/// A sidecar to write.
#[derive(Clone, Debug)]
pub struct DueSidecar {
    pub of: Described,
    /// Of the row; give it back to [`Local::sidecar_written`].
    pub revision: i64,
    pub attempts: u32,
}

impl Local {
    /// Changes a row of the database so that its sidecar follows, also when this process dies in between: that the sidecar is to be
    /// written is noted before, and once more when the change is done.
    ///
    /// # Errors
    /// Those of `change`, and those of the job table; nothing is changed then.
    pub async fn with_sidecar<T>(
        &self,
        of: Described,
        change: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let reserved = clock::utc_ms() + CHANGE_MS;
        self.note_sidecar(of.clone(), reserved as i64).await?;
        let done = change.await;
        // After an error too: that a call was not answered does not say that nothing was changed.
        if let Err(error) = self.note_sidecar(of, 0).await {
            tracing::warn!(%error, "a sidecar is written later than it could be");
        }
        done
    }

    /// As [`Database::note_facts`]; the sidecar follows.
    ///
    /// # Errors
    /// Those of [`Database::note_facts`] and of [`Self::with_sidecar`].
    pub async fn note_stored(&self, database: &Database, id: &Id, facts: &ClipFacts) -> Result<Clip, StorageError> {
        self.with_sidecar(Described::Clip(id.clone()), database.note_facts(id, facts)).await
    }

    /// The sidecar of this row is to be written, not before `not_before_ms`.
    pub async fn note_sidecar(&self, of: Described, not_before_ms: i64) -> Result<(), StorageError> {
        self.write(move |t| note(t, &of, not_before_ms)).await
    }

    /// The sidecars of all these rows are to be written now.
    pub async fn note_sidecars(&self, of: Vec<Described>) -> Result<(), StorageError> {
        self.write(move |t| of.iter().try_for_each(|of| note(t, of, 0))).await
    }

    /// Sidecars whose time has come, oldest row first.
    pub async fn due_sidecars(&self, now_ms: i64, limit: u32) -> Result<Vec<DueSidecar>, StorageError> {
        let sql = "SELECT * FROM sidecars WHERE next_try_ms <= ?1 ORDER BY next_try_ms, id LIMIT ?2";
        self.read(move |c| {
            rows(c, sql, params![now_ms, limit.min(ROWS)], |r| {
                let id = id_column(r, "id")?;
                let of = match column::<String>(r, "kind")?.as_str() {
                    "broadcast" => Described::Broadcast(id),
                    _ => Described::Clip(id),
                };
                Ok(DueSidecar { of, revision: column(r, "revision")?, attempts: column(r, "attempts")? })
            })
        })
        .await
    }

    /// When the next sidecar is due, UTC milliseconds.
    pub async fn next_sidecar_due(&self) -> Result<Option<i64>, StorageError> {
        let sql = "SELECT min(next_try_ms) AS due FROM sidecars";
        self.read(move |c| Ok(row(c, sql, [], |r| column(r, "due"))?.flatten())).await
    }

    /// Whether the sidecar of this row is still to be written.
    pub async fn awaits_sidecar(&self, id: Id) -> Result<bool, StorageError> {
        let sql = "SELECT 1 AS found FROM sidecars WHERE id = ?1";
        self.read(move |c| Ok(row(c, sql, [id.as_str()], |r| column::<i64>(r, "found"))?.is_some())).await
    }

    /// The store has the sidecar as the database was after `due` was given; what was noted since stays noted.
    pub async fn sidecar_written(&self, due: DueSidecar) -> Result<(), StorageError> {
        let sql = "DELETE FROM sidecars WHERE id = ?1 AND revision = ?2";
        self.write(move |t| execute(t, sql, params![due.of.id().as_str(), due.revision]).map(drop)).await
    }

    pub async fn retry_sidecar(&self, id: Id, error: String, next_try_ms: i64) -> Result<(), StorageError> {
        let sql = "UPDATE sidecars SET attempts = attempts + 1, error = ?2, next_try_ms = ?3 WHERE id = ?1";
        self.write(move |t| execute(t, sql, params![id.as_str(), error, next_try_ms]).map(drop)).await
    }

    /// How many are to be written.
    pub async fn waiting_sidecars(&self) -> Result<u64, StorageError> {
        let sql = "SELECT count(*) AS number FROM sidecars";
        self.read(move |c| Ok(row(c, sql, [], |r| column::<i64>(r, "number"))?.unwrap_or_default() as u64)).await
    }

    /// Whether something that is done once in the life of this file was done.
    pub async fn is_done(&self, what: &'static str) -> Result<bool, StorageError> {
        let sql = "SELECT 1 AS found FROM done WHERE what = ?1";
        self.read(move |c| Ok(row(c, sql, [what], |r| column::<i64>(r, "found"))?.is_some())).await
    }

    pub async fn done(&self, what: &'static str) -> Result<(), StorageError> {
        self.write(move |t| execute(t, "INSERT OR IGNORE INTO done (what) VALUES (?1)", [what]).map(drop)).await
    }

    /// At a start: whatever the last run was changing, it changes no more.
    pub async fn release_sidecars(&self) -> Result<usize, StorageError> {
        self.write(|t| execute(t, "UPDATE sidecars SET next_try_ms = 0 WHERE next_try_ms > 0", [])).await
    }
}

/// Within a transaction; a second note of one row makes it newer, not double.
pub(super) fn note(connection: &Connection, of: &Described, not_before_ms: i64) -> Result<(), StorageError> {
    let sql = "INSERT INTO sidecars (id, kind, revision, next_try_ms) VALUES (?1, ?2, 1, ?3)
               ON CONFLICT (id) DO UPDATE SET revision = revision + 1, next_try_ms = excluded.next_try_ms";
    execute(connection, sql, params![of.id().as_str(), of.kind(), not_before_ms]).map(drop)
}
