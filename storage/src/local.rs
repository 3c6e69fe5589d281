//! This node's own memory: which parts are recorded, which clips wait for what, what people asked for. One SQLite file under
//! `DATA_DIR`, whatever the database is, because the journals it speaks of are local too.
//!
//! Every step is one transaction, may be repeated, and moves a row forward only. What people look up belongs to
//! [`crate::Database`]; the order of the steps is the recorder's (`docs/journal.md`).

mod broadcasts;
mod chain;
mod clips;
mod deliveries;
mod edits;
mod events;
mod extracts;
mod inspections;
mod orders;
mod parts;
mod removals;
mod requests;
mod schema;
mod sidecars;
mod uploads;
mod webhooks;

pub use broadcasts::DueBroadcast;
pub use clips::{ClipState, LocalClip, NewPart, Outbox, PendingClip, Sent};
pub use deliveries::{
    Attempt, DELIVERY_MS, Delivery, DeliveryState, DueDelivery, ENDED, REPLAY, Replay, Replayed, Waiting,
};
pub use events::{EventKeep, EventPage, Forgotten};
pub use extracts::{Extract, ExtractState, MadeFile, OPEN_EXTRACTS};
pub use inspections::Inspection;
pub use orders::{OPEN_ORDERS, Order};
pub use parts::KeptPart;
pub use removals::{DeletedBy, DueRemoval};
pub use requests::{ClipRequest, OPEN_REQUESTS, Requester};
pub use sidecars::{Described, DueSidecar};
pub use uploads::{OpenUpload, SentPart};
pub use webhooks::{CHANNELS, WEBHOOKS, Webhook, WebhookEdit, WebhookState, check_url, is_forbidden};

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction};
use tokio::sync::watch;

use crate::{Id, StorageError};

/// A cheap handle. Calls run on tokio's blocking threads, one at a time.
#[derive(Clone, Debug)]
pub struct Local {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    connection: Mutex<Connection>,
    changes: watch::Sender<u64>,
    newest: watch::Sender<Option<Id>>,
}

impl Local {
    /// Opens or creates the file and brings its schema up to date.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when the file cannot be written or is of a newer program, [`StorageError::Corrupt`]
    /// when it is no database.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        let path = path.as_ref().to_owned();
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|e| StorageError::Refused(format!("cannot create {}: {e}", folder.display())))?;
        }
        keep_to_owner(&path)?;
        let mut connection = Connection::open(&path).map_err(refused)?;
        schema::prepare(&mut connection)?;
        let newest = watch::Sender::new(events::newest(&connection)?);
        let inner = Inner { path, connection: Mutex::new(connection), changes: watch::Sender::new(0), newest };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Changes its value after every write; wait with [`watch::Receiver::changed`].
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Reads on a blocking thread.
    async fn read<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner.connection.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// Runs one transaction on a blocking thread and tells those who wait for changes.
    async fn write<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StorageError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let mut connection = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction().map_err(refused)?;
            let answer = work(&transaction)?;
            transaction.commit().map_err(refused)?;
            let newest = events::newest(&connection)?;
            inner.newest.send_if_modified(|before| {
                *before != newest && {
                    *before = newest;
                    true
                }
            });
            drop(connection);
            inner.changes.send_modify(|count| *count += 1);
            Ok(answer)
        })
        .await
    }
}

/// It holds the secrets of webhooks. SQLite gives the files beside it the same permissions.
fn keep_to_owner(path: &Path) -> Result<(), StorageError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let kept = file.and_then(|file| {
        let mut permissions = file.metadata()?.permissions();
        permissions.set_mode(permissions.mode() & 0o700);
        file.set_permissions(permissions)
    });
    kept.map_err(|e| StorageError::Refused(format!("{} cannot be kept to its owner: {e}", path.display())))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StorageError::Away("the server is stopping".into())),
        },
    }
}

fn refused(error: rusqlite::Error) -> StorageError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StorageError::Corrupt(format!("the local job table: {error}"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StorageError::Away(format!("the local job table: {error}"))
        }
        _ => StorageError::Refused(format!("the local job table: {error}")),
    }
}

/// All rows of a statement. The query bounds them.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StorageError>,
) -> Result<Vec<T>, StorageError> {
    let mut statement = connection.prepare_cached(sql).map_err(refused)?;
    let mut found = statement.query(parameters).map_err(refused)?;
    let mut out = Vec::new();
    while let Some(row) = found.next().map_err(refused)? {
        out.push(read(row)?);
    }
    Ok(out)
}

fn row<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    let mut statement = connection.prepare_cached(sql).map_err(refused)?;
    statement.query_row(parameters, |row| Ok(read(row))).optional().map_err(refused)?.transpose()
}

/// How many rows a statement changed.
fn execute(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StorageError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(parameters)).map_err(refused)
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, name: &str) -> Result<T, StorageError> {
    row.get(name).map_err(|e| StorageError::Corrupt(format!("the local job table: {name}: {e}")))
}

fn id_column(row: &Row<'_>, name: &str) -> Result<Id, StorageError> {
    column::<String>(row, name)?.parse().map_err(|e| StorageError::Corrupt(format!("the local job table: {name}: {e}")))
}

fn json_of<T: serde::Serialize>(value: &T) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|e| StorageError::Invalid(e.to_string()))
}

fn of_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StorageError> {
    serde_json::from_str(text).map_err(|e| StorageError::Corrupt(format!("the local job table: {e}")))
}

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod tests;
