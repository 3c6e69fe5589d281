//! Tables of the local job file, one step per version. A step, once released, is never edited.

use rusqlite::Connection;

use super::{events, refused};
use crate::StorageError;

const STEPS: &[&str] = &[
    "
    CREATE TABLE clips (
        id TEXT PRIMARY KEY,
        broadcast TEXT NOT NULL,
        channel TEXT NOT NULL,
        part INTEGER NOT NULL,
        state TEXT NOT NULL,
        journal TEXT NOT NULL,
        cause TEXT,
        title TEXT,
        clip TEXT,
        file TEXT,
        poster TEXT,
        lost_ms INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_try_ms INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        deleted INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL,
        stored_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX clips_by_state ON clips (state, next_try_ms);
    CREATE INDEX clips_by_broadcast ON clips (broadcast, part);

    CREATE TABLE broadcasts (
        id TEXT PRIMARY KEY,
        broadcast TEXT NOT NULL,
        ended INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        sent INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_try_ms INTEGER NOT NULL DEFAULT 0,
        error TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX broadcasts_unsent ON broadcasts (next_try_ms) WHERE sent < revision;

    CREATE TABLE requests (
        id TEXT PRIMARY KEY,
        channel TEXT NOT NULL,
        broadcast TEXT,
        requester TEXT NOT NULL,
        title TEXT,
        at_ms INTEGER NOT NULL,
        clip TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX requests_open ON requests (at_ms) WHERE clip IS NULL;

    CREATE TABLE removals (
        key TEXT PRIMARY KEY,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_try_ms INTEGER NOT NULL DEFAULT 0,
        error TEXT
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE chain (
        broadcast TEXT NOT NULL,
        part INTEGER NOT NULL,
        clip TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (broadcast, part)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE removals ADD COLUMN body TEXT;
",
    "
    CREATE TABLE uploads (
        key TEXT PRIMARY KEY,
        upload TEXT NOT NULL,
        part_bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE upload_parts (
        key TEXT NOT NULL,
        number INTEGER NOT NULL,
        etag TEXT,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (key, number)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE clips ADD COLUMN reason TEXT;
",
    "
    ALTER TABLE clips ADD COLUMN edit TEXT;
    ALTER TABLE clips ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
",
    "
    CREATE TABLE sidecars (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        revision INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_try_ms INTEGER NOT NULL DEFAULT 0,
        error TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sidecars_by_time ON sidecars (next_try_ms);
    CREATE TABLE done (what TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE clips ADD COLUMN recipe TEXT;
    ALTER TABLE clips ADD COLUMN requester TEXT;
    CREATE INDEX clips_ordered ON clips (state, next_try_ms) WHERE recipe IS NOT NULL;
    CREATE TABLE extracts (
        id TEXT PRIMARY KEY,
        recipe TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        made TEXT,
        error TEXT,
        used_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE clips ADD COLUMN inspection TEXT;
    ALTER TABLE clips ADD COLUMN inspection_tries INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE clips ADD COLUMN inspection_next_ms INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX clips_to_inspect ON clips (inspection_next_ms) WHERE inspection IS NOT NULL;
",
    "
    ALTER TABLE broadcasts ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        type TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        channel TEXT,
        broadcast TEXT,
        stream TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        data TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX events_by_stream ON events (stream, sequence);
    CREATE TABLE sequences (stream TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE event_log (one INTEGER PRIMARY KEY, forgotten TEXT NOT NULL) STRICT;
    CREATE TABLE intents (
        number INTEGER PRIMARY KEY,
        clip TEXT NOT NULL,
        revision INTEGER NOT NULL,
        published INTEGER NOT NULL,
        changed TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE webhooks (
        id TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        description TEXT NOT NULL,
        types TEXT NOT NULL,
        channels TEXT NOT NULL,
        state TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        secret TEXT NOT NULL,
        old_secret TEXT,
        old_until_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE deliveries (
        webhook TEXT NOT NULL,
        event TEXT NOT NULL,
        stream TEXT NOT NULL,
        state TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        tried_ms INTEGER,
        status INTEGER,
        took_ms INTEGER,
        reason TEXT,
        PRIMARY KEY (webhook, event)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deliveries_waiting ON deliveries (webhook, stream, event) WHERE state = 'waiting';
    CREATE INDEX deliveries_tried ON deliveries (webhook, tried_ms, event) WHERE tried_ms IS NOT NULL;
    CREATE INDEX deliveries_by_event ON deliveries (event);
    CREATE TABLE delivery_lines (
        webhook TEXT NOT NULL,
        stream TEXT NOT NULL,
        failures INTEGER NOT NULL DEFAULT 0,
        next_try_ms INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (webhook, stream)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX delivery_lines_by_time ON delivery_lines (webhook, next_try_ms, stream);
",
];

/// Sets the file up and runs the steps that it lacks.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), StorageError> {
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(refused)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(refused)?;
    // a step that was reported done stays done after a power failure
    connection.pragma_update(None, "synchronous", "FULL").map_err(refused)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refused)?;
    let done = usize::try_from(version).ok().filter(|done| *done <= STEPS.len()).ok_or_else(|| {
        StorageError::Refused(format!("the local job table has version {version}, this program knows {}", STEPS.len()))
    })?;
    for (at, step) in STEPS.iter().enumerate().skip(done) {
        let transaction = connection.transaction().map_err(refused)?;
        transaction.execute_batch(step).map_err(refused)?;
        transaction.pragma_update(None, "user_version", at as i64 + 1).map_err(refused)?;
        transaction.commit().map_err(refused)?;
    }
    events::prepare(connection)
}
