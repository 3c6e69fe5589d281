//! Broadcasts of this node, and which of their changes the database has not seen.

use rusqlite::{Connection, Row, params};

use super::sidecars::{self, Described};
use super::{Local, chain, column, events, execute, json_of, of_json, row, rows};
use crate::event::{EventType, NewEvent};
use crate::{Broadcast, Clip, Id, StorageError};

/// A broadcast that the database has to learn of.
#[derive(Clone, Debug)]
pub struct DueBroadcast {
    pub broadcast: Broadcast,
    /// Of the row; give it back to [`Local::broadcast_sent`].
    pub revision: i64,
    pub attempts: u32,
}

impl Local {
    /// A broadcast began. A second call changes nothing.
    pub async fn open_broadcast(&self, broadcast: Broadcast) -> Result<(), StorageError> {
        self.write(move |t| {
            let sql = "INSERT INTO broadcasts (id, broadcast, ended, revision, sent) VALUES (?1, ?2, ?3, 1, 0)
                       ON CONFLICT (id) DO NOTHING";
            let ended = broadcast.ended_at_ms.is_some();
            if execute(t, sql, params![broadcast.id.as_str(), json_of(&broadcast)?, ended])? > 0 {
                events::emit(t, NewEvent::of_broadcast(EventType::BroadcastStarted, &broadcast))?;
            }
            Ok(())
        })
        .await
    }

    /// A broadcast ended. The broadcast as it is now; None when it is unknown or had ended before.
    pub async fn end_broadcast(
        &self,
        id: Id,
        ended_at_ms: i64,
        reason: String,
    ) -> Result<Option<Broadcast>, StorageError> {
        self.write(move |t| {
            let Some(mut broadcast) = find(t, &id)?.filter(|b| b.ended_at_ms.is_none()) else { return Ok(None) };
            broadcast.ended_at_ms = Some(ended_at_ms.max(broadcast.started_at_ms));
            broadcast.duration_ms = (ended_at_ms - broadcast.started_at_ms).max(0) as u64;
            broadcast.end_reason = Some(reason);
            save(t, &broadcast)?;
            events::emit(t, NewEvent::of_broadcast(EventType::BroadcastEnded, &broadcast))?;
            Ok(Some(broadcast))
        })
        .await
    }

    pub async fn local_broadcast(&self, id: Id) -> Result<Option<Broadcast>, StorageError> {
        self.read(move |c| find(c, &id)).await
    }

    /// Every broadcast that this node remembers, and whether the database has its latest state.
    pub async fn local_broadcasts(&self) -> Result<Vec<(Broadcast, bool)>, StorageError> {
        let sql = "SELECT broadcast, sent >= revision AS sent FROM broadcasts ORDER BY id LIMIT 100000";
        self.read(move |c| rows(c, sql, [], |r| Ok((broadcast(r)?, column(r, "sent")?)))).await
    }

    /// Broadcasts that have not ended; after a crash, those that it interrupted.
    pub async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StorageError> {
        self.read(|c| {
            rows(c, "SELECT broadcast FROM broadcasts WHERE ended = 0 ORDER BY id LIMIT 10000", [], broadcast)
        })
        .await
    }

    /// Broadcasts whose latest state the database has not seen, oldest first.
    pub async fn due_broadcasts(&self, now_ms: i64, limit: u32) -> Result<Vec<DueBroadcast>, StorageError> {
        let sql = "SELECT * FROM broadcasts WHERE sent < revision AND next_try_ms <= ?1 ORDER BY id LIMIT ?2";
        self.read(move |c| {
            rows(c, sql, params![now_ms, limit.min(1000)], |r| {
                Ok(DueBroadcast {
                    broadcast: broadcast(r)?,
                    revision: column(r, "revision")?,
                    attempts: column(r, "attempts")?,
                })
            })
        })
        .await
    }

    /// When the next broadcast is due, UTC milliseconds.
    pub async fn next_broadcast_due(&self) -> Result<Option<i64>, StorageError> {
        let sql = "SELECT min(next_try_ms) AS due FROM broadcasts WHERE sent < revision";
        self.read(move |c| Ok(row(c, sql, [], |r| column(r, "due"))?.flatten())).await
    }

    /// The database has this revision; its sidecar follows.
    pub async fn broadcast_sent(&self, id: Id, revision: i64) -> Result<(), StorageError> {
        let sql =
            "UPDATE broadcasts SET sent = max(sent, ?2), attempts = 0, next_try_ms = 0, error = NULL WHERE id = ?1";
        self.write(move |t| {
            execute(t, sql, params![id.as_str(), revision])?;
            sidecars::note(t, &Described::Broadcast(id), 0)
        })
        .await
    }

    pub async fn retry_broadcast(&self, id: Id, error: String, next_try_ms: i64) -> Result<(), StorageError> {
        let sql = "UPDATE broadcasts SET attempts = attempts + 1, error = ?2, next_try_ms = ?3 WHERE id = ?1";
        self.write(move |t| execute(t, sql, params![id.as_str(), error, next_try_ms]).map(drop)).await
    }

    /// Drops ended broadcasts that the database knows and that no clip here belongs to. How many.
    pub async fn forget_broadcasts(&self) -> Result<usize, StorageError> {
        let sql = "DELETE FROM broadcasts WHERE ended = 1 AND sent = revision
                   AND NOT EXISTS (SELECT 1 FROM clips WHERE clips.broadcast = broadcasts.id)";
        self.write(move |t| {
            let gone = execute(t, sql, [])?;
            chain::forget(t)?;
            Ok(gone)
        })
        .await
    }
}

/// One clip more; called once per clip, within the step that makes it playable.
pub(super) fn count_clip(connection: &Connection, clip: &Clip) -> Result<(), StorageError> {
    let Some(mut broadcast) = find(connection, &clip.broadcast)? else { return Ok(()) };
    broadcast.clips += 1;
    if broadcast.ended_at_ms.is_none() {
        broadcast.duration_ms = broadcast.duration_ms.max(clip.to_ns / 1_000_000);
    }
    save(connection, &broadcast)
}

fn save(connection: &Connection, broadcast: &Broadcast) -> Result<(), StorageError> {
    let sql =
        "UPDATE broadcasts SET broadcast = ?2, ended = ?3, revision = revision + 1, next_try_ms = 0 WHERE id = ?1";
    execute(connection, sql, params![broadcast.id.as_str(), json_of(broadcast)?, broadcast.ended_at_ms.is_some()])
        .map(drop)
}

pub(super) fn find(connection: &Connection, id: &Id) -> Result<Option<Broadcast>, StorageError> {
    row(connection, "SELECT broadcast FROM broadcasts WHERE id = ?1", [id.as_str()], broadcast)
}

fn broadcast(row: &Row<'_>) -> Result<Broadcast, StorageError> {
    of_json(&column::<String>(row, "broadcast")?)
}
