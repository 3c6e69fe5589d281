//! The log of events: what programs outside are told, in the order in which it happened. An event is written in the transaction that
//! makes it true, so that none is lost and none is noted twice; where that is a row of the database, which is another file or machine,
//! the intention is noted before and cleared with the event ([`Local::edit_stored`]).
//!
//! The log is bounded by age and number. What it no longer has, it says: who asks for what came after a forgotten event hears of
//! the gap.

use std::cmp::max;

use rusqlite::{Connection, Row, params};
use tokio::sync::watch;

use super::{Local, broadcasts, column, deliveries, execute, id_column, json_of, of_json, row, rows};
use crate::clock::utc_ms;
use crate::event::{Event, EventType, NewEvent};
use crate::{Clip, ClipEdit, Database, Described, Disk, Id, StorageError, Visibility};

/// Most events that one call gives.
const ROWS: u32 = 1000;
/// Events that are forgotten in one transaction, so that nothing waits for it.
const ROUND: u32 = 5000;
const DAY_MS: i64 = 24 * 3_600_000;

/// How long events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKeep {
    pub days: u32,
    /// The oldest go when there are more.
    pub rows: u64,
}

/// Events after a place in the log, oldest first.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    pub events: Vec<Event>,
    /// Events between the place and the first of these are forgotten, or the place is not of this log.
    pub gap: bool,
}

/// What a run of [`Local::prune_events`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub events: u64,
    /// Deliveries that still waited for one of them.
    pub deliveries: u64,
    /// There is more to forget.
    pub more: bool,
}

impl Local {
    /// The id of the newest event; changes after it was committed.
    #[must_use]
    pub fn newest_event(&self) -> watch::Receiver<Option<Id>> {
        self.inner.newest.subscribe()
    }

    /// A place in the log after which there is nothing yet.
    pub async fn end_of_events(&self) -> Result<Id, StorageError> {
        self.read(end).await
    }

    /// The place before the oldest event that is kept.
    pub async fn start_of_events(&self) -> Result<Id, StorageError> {
        self.read(forgotten).await
    }

    /// What came after `after`, an event's id or a place of this log.
    pub async fn events_after(&self, after: Id, limit: u32) -> Result<EventPage, StorageError> {
        self.read(move |c| {
            let start = forgotten(c)?;
            let gap = after < start || after > end(c)?;
            let from = if gap { start } else { after };
            let sql = "SELECT * FROM events WHERE id > ?1 ORDER BY id LIMIT ?2";
            Ok(EventPage { events: rows(c, sql, params![from.as_str(), limit.min(ROWS)], event)?, gap })
        })
        .await
    }

    /// A streamer dropped. False when the broadcast is not known, is over, or this was noted already.
    pub async fn note_interrupted(&self, broadcast: Id) -> Result<bool, StorageError> {
        self.note_held(broadcast, true).await
    }

    /// A streamer is back. False when nothing was interrupted.
    pub async fn note_resumed(&self, broadcast: Id) -> Result<bool, StorageError> {
        self.note_held(broadcast, false).await
    }

    async fn note_held(&self, broadcast: Id, held: bool) -> Result<bool, StorageError> {
        let kind = if held { EventType::BroadcastInterrupted } else { EventType::BroadcastResumed };
        let sql = "UPDATE broadcasts SET held = ?2 WHERE id = ?1 AND ended = 0 AND held <> ?2";
        self.write(move |t| {
            if execute(t, sql, params![broadcast.as_str(), held])? == 0 {
                return Ok(false);
            }
            let now = broadcasts::find(t, &broadcast)?.ok_or(StorageError::NotFound)?;
            emit(t, NewEvent::of_broadcast(kind, &now)).map(|_| true)
        })
        .await
    }

    /// Something that needs a person; `channel` is empty when it concerns the node.
    pub async fn note_alarm(&self, channel: String, text: String) -> Result<(), StorageError> {
        self.write(move |t| emit(t, NewEvent::alarm(&channel, &text)).map(drop)).await
    }

    /// The disk came into another state.
    pub async fn note_disk(&self, disk: Disk) -> Result<(), StorageError> {
        self.write(move |t| emit(t, NewEvent::of_disk(&disk)).map(drop)).await
    }

    /// As [`Database::edit_clip`]; sidecar and event follow, also when this process dies in between.
    ///
    /// # Errors
    /// Those of [`Database::edit_clip`] and of [`Self::with_sidecar`].
    pub async fn edit_stored(
        &self,
        database: &Database,
        id: &Id,
        edit: &ClipEdit,
        if_revision: Option<u32>,
    ) -> Result<Clip, StorageError> {
        let before = database.clip(id).await?.ok_or(StorageError::NotFound)?;
        let intent = self.intend(&before, edit).await?;
        let edited = self.with_sidecar(Described::Clip(id.clone()), database.edit_clip(id, edit, if_revision)).await;
        match &edited {
            Ok(clip) => self.fulfil(intent, Some(clip.clone())).await?,
            Err(StorageError::NotFound | StorageError::Conflict | StorageError::Invalid(_)) => {
                self.fulfil(intent, None).await?;
            }
            // That a call was not answered does not say that nothing was changed: looked at again later.
            Err(_) => {}
        }
        edited
    }

    pub(super) async fn intend(&self, before: &Clip, edit: &ClipEdit) -> Result<i64, StorageError> {
        let (id, published) = (before.id.clone(), before.visibility == Visibility::Published);
        let (revision, changed) = (before.revision, json_of(&edit.names())?);
        let sql = "INSERT INTO intents (clip, revision, published, changed, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                   RETURNING number";
        self.write(move |t| {
            let at_ms = utc_ms() as i64;
            row(t, sql, params![id.as_str(), revision, published, changed, at_ms], |r| column(r, "number"))?
                .ok_or(StorageError::NotFound)
        })
        .await
    }

    /// The clip as it is after the edit; none: nothing was changed.
    async fn fulfil(&self, intent: i64, clip: Option<Clip>) -> Result<(), StorageError> {
        self.write(move |t| {
            let gone = "DELETE FROM intents WHERE number = ?1 RETURNING published, changed";
            let found = row(t, gone, [intent], |r| {
                Ok((column::<bool>(r, "published")?, of_json::<Vec<String>>(&column::<String>(r, "changed")?)?))
            })?;
            let (Some((was_published, changed)), Some(clip)) = (found, clip) else { return Ok(()) };
            edited(t, &clip, was_published, &changed)
        })
        .await
    }

    /// Looks at edits begun before a moment (UTC milliseconds) of which it is not known whether they were made, since the process died or the database did not answer: those
    /// that were are noted now. How many were looked at.
    ///
    /// # Errors
    /// Away, Refused or Corrupt; the others wait for the next call.
    pub async fn settle_edits(&self, database: &Database, begun_before_ms: i64) -> Result<u64, StorageError> {
        let sql = "SELECT number, clip, revision FROM intents WHERE at_ms <= ?1 ORDER BY number LIMIT ?2";
        let open = self
            .read(move |c| {
                rows(c, sql, params![begun_before_ms, ROWS], |r| {
                    Ok((column::<i64>(r, "number")?, id_column(r, "clip")?, column::<u32>(r, "revision")?))
                })
            })
            .await?;
        let mut settled = 0;
        for (number, clip, revision) in open {
            let now = database.clip(&clip).await?.filter(|now| now.revision > revision);
            self.fulfil(number, now).await?;
            settled += 1;
        }
        Ok(settled)
    }

    /// Forgets what is beyond what is to be kept, so much at a time.
    pub async fn prune_events(&self, keep: EventKeep, now_ms: i64) -> Result<Forgotten, StorageError> {
        let oldest = Id::new((now_ms - i64::from(keep.days) * DAY_MS).max(0) as u64, 0);
        self.write(move |t| {
            let by_number = "SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?1";
            let beyond = row(t, by_number, [keep.rows as i64], |r| id_column(r, "id"))?;
            let last = "SELECT max(id) AS id FROM
                        (SELECT id FROM events WHERE id <= ?1 ORDER BY id LIMIT ?2)";
            let up_to = beyond.map_or(oldest.clone(), |beyond| max(beyond, oldest));
            let found = row(t, last, params![up_to.as_str(), ROUND], |r| column::<Option<String>>(r, "id"))?.flatten();
            let Some(last) = found else { return Ok(Forgotten::default()) };
            let deliveries = deliveries::forget(t, &last)?;
            let events = execute(t, "DELETE FROM events WHERE id <= ?1", [&last])? as u64;
            execute(t, "UPDATE event_log SET forgotten = ?1", [&last])?;
            Ok(Forgotten { events, deliveries, more: events == u64::from(ROUND) })
        })
        .await
    }
}

/// Notes an event, within the transaction that makes it true. Its id.
pub(super) fn emit(connection: &Connection, new: NewEvent) -> Result<Id, StorageError> {
    let stream = new.broadcast.as_ref().map_or_else(String::new, Id::to_string);
    let event = append(connection, new, &stream)?;
    deliveries::fan_out(connection, &event, &stream)?;
    Ok(event.id)
}

/// The event stands in the log and nobody is told of it yet.
pub(super) fn append(connection: &Connection, new: NewEvent, stream: &str) -> Result<Event, StorageError> {
    let NewEvent { kind, channel, broadcast, data } = new;
    let at_ms = utc_ms() as i64;
    // also when the clock was set back
    let id = max(Id::new(at_ms as u64, rand::random()), end(connection)?.successor());
    let next = "INSERT INTO sequences (stream, last) VALUES (?1, 1) ON CONFLICT (stream) DO UPDATE SET last = last + 1
                RETURNING last";
    let sequence: i64 = row(connection, next, [stream], |r| column(r, "last"))?.ok_or(StorageError::NotFound)?;
    execute(
        connection,
        "INSERT INTO events (id, type, at_ms, channel, broadcast, stream, sequence, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            id.as_str(),
            kind.as_str(),
            at_ms,
            channel,
            broadcast.as_ref().map(Id::as_str),
            stream,
            sequence,
            json_of(&data)?
        ],
    )?;
    Ok(Event { id, kind, at_ms, channel, broadcast, sequence: sequence.max(0) as u64, data })
}

/// Somebody changed what is said of a clip.
pub(super) fn edited(
    connection: &Connection,
    clip: &Clip,
    was_published: bool,
    changed: &[String],
) -> Result<(), StorageError> {
    emit(connection, NewEvent::of_clip(EventType::ClipEdited, clip).with("changed", changed))?;
    match (was_published, clip.visibility == Visibility::Published) {
        (false, true) => emit(connection, NewEvent::of_clip(EventType::ClipPublished, clip)).map(drop),
        (true, false) => emit(connection, NewEvent::of_clip(EventType::ClipUnpublished, clip)).map(drop),
        _ => Ok(()),
    }
}

/// A log begins where it was made: places before it belong to another one.
pub(super) fn prepare(connection: &Connection) -> Result<(), StorageError> {
    let begin = "INSERT INTO event_log (one, forgotten) VALUES (1, ?1) ON CONFLICT (one) DO NOTHING";
    execute(connection, begin, [Id::new(utc_ms(), 0).as_str()]).map(drop)
}

pub(super) fn newest(connection: &Connection) -> Result<Option<Id>, StorageError> {
    row(connection, "SELECT id FROM events ORDER BY id DESC LIMIT 1", [], |r| id_column(r, "id"))
}

fn end(connection: &Connection) -> Result<Id, StorageError> {
    let forgotten = forgotten(connection)?;
    Ok(newest(connection)?.map_or(forgotten.clone(), |newest| max(newest, forgotten)))
}

fn forgotten(connection: &Connection) -> Result<Id, StorageError> {
    let found = row(connection, "SELECT forgotten FROM event_log", [], |r| id_column(r, "forgotten"))?;
    found.ok_or_else(|| StorageError::Corrupt("the local job table: the log of events has no beginning".into()))
}

pub(super) fn event(row: &Row<'_>) -> Result<Event, StorageError> {
    let broadcast = column::<Option<String>>(row, "broadcast")?.map(|id| id.parse()).transpose();
    Ok(Event {
        id: id_column(row, "id")?,
        kind: column::<String>(row, "type")?.parse()?,
        at_ms: column(row, "at_ms")?,
        channel: column(row, "channel")?,
        broadcast: broadcast.map_err(|e| StorageError::Corrupt(format!("the local job table: broadcast: {e}")))?,
        sequence: column::<i64>(row, "sequence")?.max(0) as u64,
        data: of_json(&column::<String>(row, "data")?)?,
    })
}
