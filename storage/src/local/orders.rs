//! Orders: clips that people ask for of what is recorded. An order is a row of the clips from the first moment on, with a recipe
//! where a part has its journal, so that whatever is done with a clip can be done with it: rename, publish, delete, try again.

use rusqlite::params;

use super::clips::{LocalClip, find, local_clip};
use super::{Local, PendingClip, Requester, column, events, execute, id_column, json_of, of_json, row, rows};
use crate::event::{EventType, NewEvent};
use crate::model::check_title;
use crate::{Broadcast, ClipCause, ClipEdit, Id, Recipe, StorageError, Visibility};

/// Orders that may wait at a time. More are refused.
pub const OPEN_ORDERS: u32 = 256;
/// Most parts of one broadcast that are looked at: a day of clips of ten seconds.
const PARTS: u32 = 10_000;

/// Orders that are not made yet, as a table: with what they need.
pub(super) const NEEDED: &str = "
    SELECT json_extract(piece.value, '$.broadcast') AS broadcast
    FROM clips AS wanted, json_each(wanted.recipe, '$.pieces') AS piece
    WHERE wanted.recipe IS NOT NULL AND wanted.state = 'exporting' AND wanted.deleted = 0
    UNION SELECT json_extract(piece.value, '$.broadcast')
    FROM extracts AS wanted, json_each(wanted.recipe, '$.pieces') AS piece WHERE wanted.state = 'wanted'";

/// A clip that is to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// That the clip will have.
    pub clip: Id,
    /// Of its first piece.
    pub channel: String,
    pub recipe: Recipe,
    pub by: Requester,
    pub title: Option<String>,
    pub visibility: Visibility,
    pub at_ms: i64,
}

impl Local {
    /// Orders a clip; it is made as soon as everything that was asked for is on disk. A second call with the same id changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a title or a recipe that breaks a rule, [`StorageError::Refused`] when [`OPEN_ORDERS`] wait.
    pub async fn order_clip(&self, order: Order) -> Result<PendingClip, StorageError> {
        order.recipe.check()?;
        if let Some(title) = &order.title {
            check_title(title)?;
        }
        self.write(move |t| {
            let open = "SELECT count(*) AS number FROM clips WHERE recipe IS NOT NULL AND state = 'exporting'";
            let open: Option<u32> = row(t, open, [], |r| column(r, "number"))?;
            if open.unwrap_or_default() >= OPEN_ORDERS && find(t, &order.clip)?.is_none() {
                return Err(StorageError::Refused("too many clips were ordered at once".into()));
            }
            let said = ClipEdit { visibility: Some(order.visibility), ..ClipEdit::default() };
            let broadcast = &order.recipe.pieces.first().ok_or(StorageError::NotFound)?.broadcast;
            let is_new = execute(
                t,
                "INSERT INTO clips (id, broadcast, channel, part, state, journal, cause, title, created_ms, edit, recipe, requester)
                 VALUES (?1, ?2, ?3, 0, 'exporting', '', ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
                params![
                    order.clip.as_str(),
                    broadcast.as_str(),
                    order.channel,
                    ClipCause::Request.as_str(),
                    order.title,
                    order.at_ms,
                    json_of(&said)?,
                    json_of(&order.recipe)?,
                    order.by.as_str()
                ],
            )? > 0;
            let pending = find(t, &order.clip)?.ok_or(StorageError::NotFound)?.pending();
            if is_new {
                events::emit(t, NewEvent::of_clip(EventType::ClipCreated, &pending.clip))?;
            }
            Ok(pending)
        })
        .await
    }

    /// Orders whose time has come, oldest first.
    pub async fn due_orders(&self, now_ms: i64, limit: u32) -> Result<Vec<LocalClip>, StorageError> {
        let sql = "SELECT * FROM clips WHERE recipe IS NOT NULL AND state = 'exporting' AND deleted = 0
                   AND next_try_ms <= ?1 ORDER BY id LIMIT ?2";
        self.read(move |c| rows(c, sql, params![now_ms, limit.min(OPEN_ORDERS)], local_clip)).await
    }

    /// When the next order is due, UTC milliseconds.
    pub async fn next_order_due(&self) -> Result<Option<i64>, StorageError> {
        let sql = "SELECT min(next_try_ms) AS due FROM clips WHERE recipe IS NOT NULL AND state = 'exporting' AND deleted = 0";
        self.read(move |c| Ok(row(c, sql, [], |r| column(r, "due"))?.flatten())).await
    }

    /// The parts of a broadcast that this node remembers, in order; those that somebody deleted are not among them.
    pub async fn parts_of(&self, broadcast: Id) -> Result<Vec<LocalClip>, StorageError> {
        let sql = "SELECT * FROM clips WHERE broadcast = ?1 AND recipe IS NULL AND deleted = 0 ORDER BY part LIMIT ?2";
        self.read(move |c| rows(c, sql, params![broadcast.as_str(), PARTS], local_clip)).await
    }

    /// Broadcasts whose journals an order needs that is not made yet; they must stay meanwhile.
    pub async fn needed_broadcasts(&self) -> Result<Vec<Id>, StorageError> {
        self.read(|c| rows(c, NEEDED, [], |r| id_column(r, "broadcast"))).await
    }

    /// The newest recorded broadcast of a channel that this node remembers.
    pub async fn newest_broadcast(&self, channel: String) -> Result<Option<Broadcast>, StorageError> {
        let sql = "SELECT broadcast FROM broadcasts WHERE json_extract(broadcast, '$.channel') = ?1
                   AND json_extract(broadcast, '$.recorded') ORDER BY id DESC LIMIT 1";
        self.read(move |c| row(c, sql, [&channel], |r| of_json(&column::<String>(r, "broadcast")?))).await
    }
}
