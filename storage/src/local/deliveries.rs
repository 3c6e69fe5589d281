//! What each webhook is still to be told, and what became of what it was told.
//!
//! A delivery is one event for one webhook. Those of one broadcast form a line: the oldest is tried until it is delivered or given up,
//! the others wait behind it, so their receiver hears them in order; a line that fails holds up no other line. A delivery is tried for
//! a day.

use rusqlite::{Connection, Row, params};

use super::webhooks::{self, WebhookState};
use super::{Local, column, events, execute, id_column, row, rows};
use crate::event::{Event, EventType, NewEvent};
use crate::{Id, StorageError};

/// How long a delivery is tried, from the event, or from the moment at which somebody asked for it again. Milliseconds.
pub const DELIVERY_MS: i64 = 24 * 3_600_000;
/// Deliveries of one webhook that came to an end are remembered up to this number.
pub const ENDED: u32 = 200;
/// Events that one call gives again.
pub const REPLAY: u32 = 10_000;

/// The oldest delivery of a line.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub event: Event,
    /// Names the line among those of its webhook.
    pub line: String,
    /// Failures of the line since something of it was delivered.
    pub failures: u32,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Of the answer; none when there was none.
    pub status: Option<u16>,
    pub took_ms: u64,
    /// UTC milliseconds at which it ended.
    pub at_ms: i64,
    /// Why it was no delivery.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    Waiting,
    Delivered,
    Failed,
}

impl DeliveryState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self, StorageError> {
        let found = [Self::Waiting, Self::Delivered, Self::Failed].into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| StorageError::Corrupt(format!("the local job table: '{text}' is no state of a delivery")))
    }
}

/// A delivery, for those who look after a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub event: Id,
    pub kind: EventType,
    pub channel: Option<String>,
    pub broadcast: Option<Id>,
    pub sequence: u64,
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u32,
    /// The last one; its reason is also that of a delivery that was given up without one.
    pub last: Option<Attempt>,
    /// UTC milliseconds of the next attempt of its line.
    pub next_try_ms: Option<i64>,
}

/// What waits for one webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    pub deliveries: u64,
    /// UTC milliseconds of the oldest event that waits.
    pub oldest_ms: Option<i64>,
}

/// Which events are told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// This one, whatever the webhook's filters say.
    Event(Id),
    /// This one and all that came after it.
    From(Id),
    /// All since this moment, UTC milliseconds.
    Since(i64),
    Broadcast(Id),
}

/// What [`Local::replay`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub events: u64,
    /// Where to go on when there were more than [`REPLAY`].
    pub next: Option<Id>,
}

impl Local {
    /// The heads of the lines of a webhook whose time has come, the one that waited longest first.
    pub async fn due_deliveries(&self, webhook: Id, now_ms: i64, limit: u32) -> Result<Vec<DueDelivery>, StorageError> {
        let sql =
            "SELECT events.*, line.stream AS line, line.failures FROM delivery_lines AS line JOIN events ON events.id =
                     (SELECT event FROM deliveries WHERE webhook = ?1 AND stream = line.stream AND state = 'waiting'
                      ORDER BY event LIMIT 1)
                   WHERE line.webhook = ?1 AND line.next_try_ms <= ?2
                     AND EXISTS (SELECT 1 FROM webhooks WHERE id = ?1 AND state = 'active')
                   ORDER BY line.next_try_ms, line.stream LIMIT ?3";
        self.read(move |c| {
            rows(c, sql, params![webhook.as_str(), now_ms, limit.min(100)], |r| {
                Ok(DueDelivery { event: events::event(r)?, line: column(r, "line")?, failures: column(r, "failures")? })
            })
        })
        .await
    }

    /// When the next line of an active webhook is due, after `now_ms`, UTC milliseconds.
    pub async fn next_delivery_due(&self, now_ms: i64) -> Result<Option<i64>, StorageError> {
        let sql = "SELECT min(line.next_try_ms) AS due FROM webhooks JOIN delivery_lines AS line ON line.webhook = webhooks.id
                   WHERE webhooks.state = 'active' AND line.next_try_ms > ?1";
        self.read(move |c| Ok(row(c, sql, [now_ms], |r| column(r, "due"))?.flatten())).await
    }

    /// Its receiver has it; the next of its line is due.
    pub async fn delivered(&self, webhook: Id, event: Id, attempt: Attempt) -> Result<(), StorageError> {
        self.write(move |t| {
            let Some(line) = note(t, &webhook, &event, DeliveryState::Delivered, &attempt)? else { return Ok(()) };
            let sql = "UPDATE delivery_lines SET failures = 0, next_try_ms = 0 WHERE webhook = ?1 AND stream = ?2";
            execute(t, sql, params![webhook.as_str(), line])?;
            close_line(t, &webhook, &line)?;
            forget_ended(t, &webhook)
        })
        .await
    }

    /// It did not work. What has been tried for a day is given up, and so is what waited behind it for as long. How many were.
    pub async fn undelivered(
        &self,
        webhook: Id,
        event: Id,
        attempt: Attempt,
        next_try_ms: i64,
    ) -> Result<u64, StorageError> {
        self.write(move |t| {
            let Some(line) = note(t, &webhook, &event, DeliveryState::Waiting, &attempt)? else { return Ok(0) };
            let sql = "UPDATE delivery_lines SET failures = failures + 1, next_try_ms = ?3 WHERE webhook = ?1 AND stream = ?2";
            execute(t, sql, params![webhook.as_str(), line, next_try_ms])?;
            let behind = "those before it could not be delivered for a day";
            let sql = "UPDATE deliveries SET state = 'failed', reason = coalesce(reason, ?4), tried_ms = coalesce(tried_ms, ?3)
                       WHERE webhook = ?1 AND stream = ?2 AND state = 'waiting' AND until_ms <= ?3";
            let given_up = execute(t, sql, params![webhook.as_str(), line, attempt.at_ms, behind])? as u64;
            close_line(t, &webhook, &line)?;
            forget_ended(t, &webhook)?;
            Ok(given_up)
        })
        .await
    }

    /// The receiver wants no more: the webhook is disabled, what waited for it is given up. How many were.
    pub async fn receiver_gone(&self, webhook: Id, event: Id, attempt: Attempt) -> Result<u64, StorageError> {
        self.write(move |t| {
            if note(t, &webhook, &event, DeliveryState::Failed, &attempt)?.is_none() {
                return Ok(0);
            }
            let sql = "UPDATE webhooks SET state = 'disabled' WHERE id = ?1";
            execute(t, sql, [webhook.as_str()])?;
            let sql = "UPDATE deliveries SET state = 'failed', reason = ?2, tried_ms = coalesce(tried_ms, ?3)
                       WHERE webhook = ?1 AND state = 'waiting'";
            let given_up = execute(t, sql, params![webhook.as_str(), attempt.reason, attempt.at_ms])? as u64;
            execute(t, "DELETE FROM delivery_lines WHERE webhook = ?1", [webhook.as_str()])?;
            forget_ended(t, &webhook)?;
            Ok(given_up + 1)
        })
        .await
    }

    /// Those that were tried, the last one first.
    pub async fn deliveries(&self, webhook: Id, limit: u32) -> Result<Vec<Delivery>, StorageError> {
        let sql = "SELECT d.*, e.type, e.channel, e.broadcast, e.sequence, line.next_try_ms FROM deliveries AS d
                   JOIN events AS e ON e.id = d.event
                   LEFT JOIN delivery_lines AS line
                     ON d.state = 'waiting' AND line.webhook = d.webhook AND line.stream = d.stream
                   WHERE d.webhook = ?1 AND d.tried_ms IS NOT NULL ORDER BY d.tried_ms DESC, d.event DESC LIMIT ?2";
        self.read(move |c| rows(c, sql, params![webhook.as_str(), limit.min(ENDED)], delivery)).await
    }

    /// What waits for each webhook that has something waiting.
    pub async fn waiting_deliveries(&self) -> Result<Vec<(Id, Waiting)>, StorageError> {
        let sql = "SELECT webhook, count(*) AS number, min(event) AS oldest FROM deliveries WHERE state = 'waiting'
                   GROUP BY webhook";
        self.read(move |c| {
            rows(c, sql, [], |r| {
                let oldest = id_column(r, "oldest")?.utc_ms() as i64;
                let waiting =
                    Waiting { deliveries: column::<i64>(r, "number")?.max(0) as u64, oldest_ms: Some(oldest) };
                Ok((id_column(r, "webhook")?, waiting))
            })
        })
        .await
    }

    /// Has a webhook told again of what the log still has and its filters let through, in order, for a day from `now_ms` on. What waits
    /// already goes on waiting. At most [`REPLAY`] events.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] without such a webhook or event, [`StorageError::Invalid`] when it is disabled.
    pub async fn replay(&self, webhook: Id, what: Replay, now_ms: i64) -> Result<Replayed, StorageError> {
        self.write(move |t| {
            let found = webhooks::find(t, &webhook)?.ok_or(StorageError::NotFound)?;
            if found.state == WebhookState::Disabled {
                return Err(StorageError::Invalid("the webhook is disabled: make it active first".into()));
            }
            if let Replay::Event(id) | Replay::From(id) = &what {
                let known = row(t, "SELECT 1 AS found FROM events WHERE id = ?1", [id.as_str()], |r| {
                    column::<i64>(r, "found")
                })?;
                known.ok_or(StorageError::NotFound)?;
            }
            let (from, broadcast, filtered) = match &what {
                Replay::Event(id) => (id.to_string(), None, false),
                Replay::From(id) => (id.to_string(), None, true),
                Replay::Since(ms) => (Id::new((*ms).max(0) as u64, 0).to_string(), None, true),
                Replay::Broadcast(id) => (String::new(), Some(id.to_string()), true),
            };
            let most = if filtered { REPLAY } else { 1 };
            let sql = format!(
                "SELECT events.id, events.stream FROM events, webhooks WHERE webhooks.id = ?1 AND events.id >= ?2
                 AND (?3 IS NULL OR events.stream = ?3) AND (NOT ?4 OR events.type <> 'webhook.ping' AND {WANTED})
                 ORDER BY events.id LIMIT ?5"
            );
            let mut chosen = rows(t, &sql, params![webhook.as_str(), from, broadcast, filtered, most + 1], |r| {
                Ok((id_column(r, "id")?, column::<String>(r, "stream")?))
            })?;
            let next = if chosen.len() > most as usize { chosen.pop().map(|(id, _)| id) } else { None };
            let next = next.filter(|_| filtered);
            for (event, stream) in &chosen {
                queue(t, &webhook, event, stream, now_ms)?;
            }
            Ok(Replayed { events: chosen.len() as u64, next })
        })
        .await
    }

    /// Tells one webhook that somebody tries it, whatever its filters say. The id of the event.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] without such a webhook, [`StorageError::Invalid`] when it is disabled.
    pub async fn ping_webhook(&self, webhook: Id, now_ms: i64) -> Result<Id, StorageError> {
        self.write(move |t| {
            let found = webhooks::find(t, &webhook)?.ok_or(StorageError::NotFound)?;
            if found.state == WebhookState::Disabled {
                return Err(StorageError::Invalid("the webhook is disabled: make it active first".into()));
            }
            // a sequence of its own, so that nobody else misses a number
            let event = events::append(t, NewEvent::ping(&webhook), webhook.as_str())?;
            queue(t, &webhook, &event.id, webhook.as_str(), now_ms)?;
            Ok(event.id)
        })
        .await
    }
}

/// Whether a row of `webhooks` wants a row of `events`.
const WANTED: &str = "(webhooks.types = '[]' OR events.type IN (SELECT value FROM json_each(webhooks.types)))
    AND (webhooks.channels = '[]' OR events.channel IN (SELECT value FROM json_each(webhooks.channels)))";

/// An event was noted: whoever wants it is to be told.
pub(super) fn fan_out(connection: &Connection, event: &Event, stream: &str) -> Result<(), StorageError> {
    let sql = format!(
        "SELECT webhooks.id FROM webhooks, events WHERE events.id = ?1 AND webhooks.state <> 'disabled' AND {WANTED}"
    );
    for webhook in rows(connection, &sql, [event.id.as_str()], |r| id_column(r, "id"))? {
        queue(connection, &webhook, &event.id, stream, event.at_ms)?;
    }
    Ok(())
}

fn queue(connection: &Connection, webhook: &Id, event: &Id, stream: &str, now_ms: i64) -> Result<(), StorageError> {
    let sql = "INSERT INTO deliveries (webhook, event, stream, state, until_ms) VALUES (?1, ?2, ?3, 'waiting', ?4)
               ON CONFLICT (webhook, event) DO UPDATE SET state = 'waiting', until_ms = excluded.until_ms,
                 attempts = 0, tried_ms = NULL, status = NULL, took_ms = NULL, reason = NULL
               WHERE state <> 'waiting'";
    execute(connection, sql, params![webhook.as_str(), event.as_str(), stream, now_ms + DELIVERY_MS])?;
    let sql = "INSERT INTO delivery_lines (webhook, stream) VALUES (?1, ?2) ON CONFLICT (webhook, stream) DO NOTHING";
    execute(connection, sql, params![webhook.as_str(), stream]).map(drop)
}

/// A paused webhook goes on.
pub(super) fn resume(connection: &Connection, webhook: &Id, now_ms: i64) -> Result<(), StorageError> {
    let sql = "UPDATE deliveries SET until_ms = ?2 WHERE webhook = ?1 AND state = 'waiting'";
    execute(connection, sql, params![webhook.as_str(), now_ms + DELIVERY_MS])?;
    let sql = "UPDATE delivery_lines SET failures = 0, next_try_ms = 0 WHERE webhook = ?1";
    execute(connection, sql, [webhook.as_str()]).map(drop)
}

/// The log forgets the events up to `last`. How many deliveries waited for one of them.
pub(super) fn forget(connection: &Connection, last: &str) -> Result<u64, StorageError> {
    let count = "SELECT count(*) AS number FROM deliveries WHERE event <= ?1 AND state = 'waiting'";
    let waiting: Option<i64> = row(connection, count, [last], |r| column(r, "number"))?;
    execute(connection, "DELETE FROM deliveries WHERE event <= ?1", [last])?;
    let empty = "DELETE FROM delivery_lines WHERE NOT EXISTS (SELECT 1 FROM deliveries AS d
                 WHERE d.webhook = delivery_lines.webhook AND d.stream = delivery_lines.stream AND d.state = 'waiting')";
    execute(connection, empty, [])?;
    Ok(waiting.unwrap_or_default().max(0) as u64)
}

/// Notes an attempt of a delivery that waits. The line it stands in; none when it does not wait (any more).
fn note(
    connection: &Connection,
    webhook: &Id,
    event: &Id,
    state: DeliveryState,
    attempt: &Attempt,
) -> Result<Option<String>, StorageError> {
    let sql = "UPDATE deliveries SET state = ?3, attempts = attempts + 1, tried_ms = ?4, status = ?5, took_ms = ?6,
               reason = ?7 WHERE webhook = ?1 AND event = ?2 AND state = 'waiting' RETURNING stream";
    let parameters = params![
        webhook.as_str(),
        event.as_str(),
        state.as_str(),
        attempt.at_ms,
        attempt.status,
        attempt.took_ms as i64,
        attempt.reason
    ];
    row(connection, sql, parameters, |r| column(r, "stream"))
}

/// A line in which nothing waits is none.
fn close_line(connection: &Connection, webhook: &Id, line: &str) -> Result<(), StorageError> {
    let sql = "DELETE FROM delivery_lines WHERE webhook = ?1 AND stream = ?2 AND NOT EXISTS
               (SELECT 1 FROM deliveries WHERE webhook = ?1 AND stream = ?2 AND state = 'waiting')";
    execute(connection, sql, params![webhook.as_str(), line]).map(drop)
}

fn forget_ended(connection: &Connection, webhook: &Id) -> Result<(), StorageError> {
    let sql = "DELETE FROM deliveries WHERE webhook = ?1 AND state <> 'waiting' AND (tried_ms, event) <=
               (SELECT tried_ms, event FROM deliveries WHERE webhook = ?1 AND state <> 'waiting'
                ORDER BY tried_ms DESC, event DESC LIMIT 1 OFFSET ?2)";
    execute(connection, sql, params![webhook.as_str(), ENDED]).map(drop)
}

fn delivery(row: &Row<'_>) -> Result<Delivery, StorageError> {
    let broadcast = column::<Option<String>>(row, "broadcast")?.map(|id| id.parse()).transpose();
    let last = match column::<Option<i64>>(row, "tried_ms")? {
        Some(at_ms) => Some(Attempt {
            status: column(row, "status")?,
            took_ms: column::<Option<i64>>(row, "took_ms")?.unwrap_or_default().max(0) as u64,
            at_ms,
            reason: column(row, "reason")?,
        }),
        None => None,
    };
    Ok(Delivery {
        event: id_column(row, "event")?,
        kind: column::<String>(row, "type")?.parse()?,
        channel: column(row, "channel")?,
        broadcast: broadcast.map_err(|e| StorageError::Corrupt(format!("the local job table: broadcast: {e}")))?,
        sequence: column::<i64>(row, "sequence")?.max(0) as u64,
        state: DeliveryState::parse(&column::<String>(row, "state")?)?,
        attempts: column(row, "attempts")?,
        last,
        next_try_ms: column(row, "next_try_ms")?,
    })
}
