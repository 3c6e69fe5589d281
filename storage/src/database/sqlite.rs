//! The embedded database: one SQLite file in WAL mode. Every commit is on the disk before a call returns.
//!
//! One connection, opened by the first call and opened anew after an I/O error, used on the blocking pool only.

mod clip_row;
mod schema;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{Type, Value};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, named_params, params_from_iter};

use super::cursor::Cursor;
use super::fold;
use crate::blocking::blocking;
use crate::{
    Broadcast, BroadcastQuery, ChannelUsage, Clip, ClipCause, ClipKind, ClipQuery, Id, StorageError, Tombstone,
    Trouble, Visibility,
};

#[derive(Debug)]
pub(super) struct Sqlite {
    path: Arc<Path>,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Sqlite {
    pub fn new(path: PathBuf) -> Self {
        Self { path: path.into(), connection: Arc::default() }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (path, shared) = (self.path.clone(), self.connection.clone());
        blocking(move || {
            // After a panic inside the connection is whole: an unfinished transaction was rolled back when it was dropped.
            let mut slot = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let mut connection = match slot.take() {
                Some(connection) => connection,
                None => schema::open(&path)?,
            };
            let result = work(&mut connection).map_err(|error| kind(&error));
            if !matches!(result, Err(StorageError::Away(_) | StorageError::Corrupt(_))) {
                *slot = Some(connection);
            }
            result
        })
        .await
    }

    pub async fn ping(&self) -> Result<(), StorageError> {
        // The file may have been removed under the open connection, which would go on writing into nothing.
        if !self.path.exists() {
            let shared = self.connection.clone();
            blocking(move || {
                shared.lock().unwrap_or_else(PoisonError::into_inner).take();
                Ok(())
            })
            .await?;
        }
        self.with(|db| db.query_row("SELECT count(*) FROM schema_version", [], |_| Ok(()))).await
    }

    pub async fn insert_clip(&self, clip: &Clip) -> Result<(), StorageError> {
        let clip = clip.clone();
        self.with(move |db| clip_row::insert(db, &clip)).await
    }

    pub async fn clip(&self, id: &Id) -> Result<Option<Clip>, StorageError> {
        let id = id.clone();
        self.with(move |db| find_clip(db, &id)).await
    }

    pub async fn clips(&self, query: &ClipQuery, after: Option<Cursor>) -> Result<Vec<Clip>, StorageError> {
        let mut filter = Filter::of_clips(query);
        filter.after(after);
        self.rows("clips", filter, query.limit, clip_row::read).await
    }

    /// What `change` makes of the clip, with the next revision.
    pub async fn change_clip(
        &self,
        id: &Id,
        if_revision: Option<u32>,
        change: impl Fn(&mut Clip) -> Result<(), StorageError> + Send + 'static,
    ) -> Result<Clip, StorageError> {
        let id = id.clone();
        self.with(move |db| {
            let tx = db.transaction()?;
            let Some(mut clip) = find_clip(&tx, &id)? else { return Ok(Err(StorageError::NotFound)) };
            if if_revision.is_some_and(|wanted| wanted != clip.revision) {
                return Ok(Err(StorageError::Conflict));
            }
            if let Err(refused) = change(&mut clip) {
                return Ok(Err(refused));
            }
            clip_row::update(&tx, &clip)?;
            tx.commit()?;
            Ok(Ok(clip))
        })
        .await?
    }

    pub async fn delete_clip(&self, id: &Id) -> Result<Option<Clip>, StorageError> {
        let id = id.clone();
        self.with(move |db| {
            let tx = db.transaction()?;
            let clip = find_clip(&tx, &id)?;
            if let Some(clip) = &clip {
                bury(&tx, &Tombstone::from(clip))?;
            }
            tx.commit()?;
            Ok(clip)
        })
        .await
    }

    pub async fn bury(&self, tombstone: &Tombstone) -> Result<(), StorageError> {
        let tombstone = tombstone.clone();
        self.with(move |db| {
            let tx = db.transaction()?;
            bury(&tx, &tombstone)?;
            tx.commit()
        })
        .await
    }

    pub async fn tombstones(&self) -> Result<Vec<Tombstone>, StorageError> {
        self.with(|db| {
            let mut found = db.prepare_cached("SELECT tombstone FROM deleted_clips WHERE tombstone IS NOT NULL")?;
            found.query_map([], |row| json(row, "tombstone"))?.collect()
        })
        .await
    }

    pub async fn usage(&self) -> Result<Vec<ChannelUsage>, StorageError> {
        self.with(|db| {
            let sql = "SELECT channel, count(*) AS clips, sum(size) AS bytes, sum(kept) AS kept_clips, sum(kept * size) AS kept_bytes
                       FROM (SELECT channel, size, pinned = 1 OR visibility = 'published' OR kind = 'made' AS kept FROM clips)
                       GROUP BY channel";
            let read = |row: &Row<'_>| {
                Ok(ChannelUsage {
                    channel: row.get("channel")?,
                    clips: unsigned(row, "clips")?,
                    bytes: unsigned(row, "bytes")?,
                    kept_clips: unsigned(row, "kept_clips")?,
                    kept_bytes: unsigned(row, "kept_bytes")?,
                })
            };
            db.prepare_cached(sql)?.query_map([], read)?.collect()
        })
        .await
    }

    pub async fn tombstone(&self, id: &Id) -> Result<Option<Tombstone>, StorageError> {
        let id = id.clone();
        self.with(move |db| {
            let sql = "SELECT tombstone FROM deleted_clips WHERE id = ?1 AND tombstone IS NOT NULL";
            db.prepare_cached(sql)?.query_row([id.as_str()], |row| json(row, "tombstone")).optional()
        })
        .await
    }

    pub async fn upsert_broadcast(&self, broadcast: &Broadcast) -> Result<(), StorageError> {
        let broadcast = broadcast.clone();
        self.with(move |db| {
            db.prepare_cached(&format!(
                "INSERT INTO broadcasts VALUES (:id, :channel, :title, :started_at_ms, :ended_at_ms, :clips, :duration_ms, :recorded,
                 :end_reason)
                 ON CONFLICT (id) DO UPDATE SET
                 channel = iif({STALE}, channel, excluded.channel),
                 title = iif({STALE}, title, excluded.title),
                 started_at_ms = iif({STALE}, started_at_ms, excluded.started_at_ms),
                 recorded = iif({STALE}, recorded, excluded.recorded),
                 end_reason = iif({STALE}, end_reason, excluded.end_reason),
                 ended_at_ms = coalesce(excluded.ended_at_ms, ended_at_ms),
                 clips = max(clips, excluded.clips),
                 duration_ms = max(duration_ms, excluded.duration_ms)"
            ))?
            .execute(named_params! {
                ":id": broadcast.id.as_str(), ":channel": broadcast.channel, ":title": broadcast.title,
                ":started_at_ms": broadcast.started_at_ms, ":ended_at_ms": broadcast.ended_at_ms, ":clips": broadcast.clips,
                ":duration_ms": broadcast.duration_ms as i64, ":recorded": broadcast.recorded,
                ":end_reason": broadcast.end_reason,
            })?;
            Ok(())
        })
        .await
    }

    pub async fn broadcast(&self, id: &Id) -> Result<Option<Broadcast>, StorageError> {
        let id = id.clone();
        self.with(move |db| {
            db.prepare_cached("SELECT * FROM broadcasts WHERE id = ?1")?
                .query_row([id.as_str()], read_broadcast)
                .optional()
        })
        .await
    }

    pub async fn broadcasts(
        &self,
        query: &BroadcastQuery,
        after: Option<Cursor>,
    ) -> Result<Vec<Broadcast>, StorageError> {
        let mut filter = Filter::default();
        filter.equal("channel", query.channel.as_deref());
        filter.after(after);
        self.rows("broadcasts", filter, query.limit, read_broadcast).await
    }

    /// Newest first, one more than `limit`.
    async fn rows<T: Send + 'static>(
        &self,
        table: &'static str,
        filter: Filter,
        limit: u32,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StorageError> {
        self.with(move |db| {
            let condition = if filter.conditions.is_empty() { "1".into() } else { filter.conditions.join(" AND ") };
            let limit = u64::from(limit) + 1;
            let sql =
                format!("SELECT * FROM {table} WHERE {condition} ORDER BY started_at_ms DESC, id DESC LIMIT {limit}");
            db.prepare_cached(&sql)?.query_map(params_from_iter(filter.values), read)?.collect()
        })
        .await
    }
}

/// Inside an upsert of a broadcast: an open one that arrives after its end.
const STALE: &str = "(broadcasts.ended_at_ms IS NOT NULL AND excluded.ended_at_ms IS NULL)";

/// Conditions and their values, in order. Values never become SQL.
#[derive(Default)]
struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    fn equal(&mut self, column: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(&format!("{column} = ?"), [value.to_owned().into()]);
        }
    }

    fn of_clips(query: &ClipQuery) -> Self {
        let mut filter = Self::default();
        filter.equal("channel", query.channel.as_deref());
        filter.equal("broadcast", query.broadcast.as_ref().map(Id::as_str));
        filter.equal("kind", query.kind.map(ClipKind::as_str));
        filter.equal("visibility", query.visibility.map(Visibility::as_str));
        if let Some(text) = &query.text {
            filter.add("searchable LIKE ? ESCAPE '\\'", [format!("%{}%", escape_like(&fold(text))).into()]);
        }
        if let Some(tag) = &query.tag {
            filter.add("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", [tag.clone().into()]);
        }
        if let Some(pinned) = query.pinned {
            filter.add("pinned = ?", [i64::from(pinned).into()]);
        }
        if let Some(from) = query.from_ms {
            filter.add("started_at_ms >= ?", [from.into()]);
        }
        if let Some(to) = query.to_ms {
            filter.add("started_at_ms < ?", [to.into()]);
        }
        if let Some(most) = query.max_score {
            filter.add("json_extract(health, '$.score') <= ?", [i64::from(most).into()]);
        }
        match query.trouble {
            None => {}
            Some(Trouble::Silent) => filter.add("json_extract(health, '$.silent_ms') > 0", []),
            Some(Trouble::Black) => filter.add("json_extract(health, '$.black_ms') > 0", []),
            Some(Trouble::Frozen) => filter.add("json_extract(health, '$.frozen_ms') > 0", []),
            Some(Trouble::Gaps) => filter.add("lost_ms > 0", []),
            Some(Trouble::Recovered) => filter.equal("cause", Some(ClipCause::Recovered.as_str())),
        }
        filter
    }

    fn after(&mut self, cursor: Option<Cursor>) {
        if let Some(cursor) = cursor {
            self.add("(started_at_ms, id) < (?, ?)", [cursor.started_at_ms.into(), cursor.id.to_string().into()]);
        }
    }
}

fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn find_clip(db: &Connection, id: &Id) -> rusqlite::Result<Option<Clip>> {
    db.prepare_cached("SELECT * FROM clips WHERE id = ?1")?.query_row([id.as_str()], clip_row::read).optional()
}

fn bury(db: &Connection, tombstone: &Tombstone) -> rusqlite::Result<()> {
    let text = json_of(tombstone).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.execute("INSERT OR IGNORE INTO deleted_clips (id, tombstone) VALUES (?1, ?2)", (tombstone.id.as_str(), text))?;
    db.execute("DELETE FROM clips WHERE id = ?1", [tombstone.id.as_str()])?;
    Ok(())
}

fn json_of(value: &impl serde::Serialize) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::Invalid(error.to_string()))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        let at = row.as_ref().column_index(column).unwrap_or_default();
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))
    })
}

fn read_broadcast(row: &Row<'_>) -> rusqlite::Result<Broadcast> {
    Ok(Broadcast {
        id: parsed(row, "id")?,
        channel: row.get("channel")?,
        title: row.get("title")?,
        started_at_ms: row.get("started_at_ms")?,
        ended_at_ms: row.get("ended_at_ms")?,
        clips: row.get("clips")?,
        duration_ms: unsigned(row, "duration_ms")?,
        recorded: row.get("recorded")?,
        end_reason: row.get("end_reason")?,
    })
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    let at = row.as_ref().column_index(column).unwrap_or_default();
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, number))
}

fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        let at = row.as_ref().column_index(column).unwrap_or_default();
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))
    })
}

/// What an error of SQLite means to the caller.
fn kind(error: &rusqlite::Error) -> StorageError {
    use rusqlite::Error as Sql;
    match error {
        Sql::FromSqlConversionFailure(..) | Sql::InvalidColumnType(..) | Sql::IntegralValueOutOfRange(..) => {
            StorageError::Corrupt(error.to_string())
        }
        Sql::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StorageError::Corrupt(error.to_string()),
            ErrorCode::DiskFull => StorageError::Refused(format!("the disk is full: {error}")),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StorageError::Refused(error.to_string()),
            _ => StorageError::Away(error.to_string()),
        },
        _ => StorageError::Away(error.to_string()),
    }
}
