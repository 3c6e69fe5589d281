//! "Cut here, now": a request is a row, so that it survives a restart and needs no call into the recorder.

use rusqlite::{Row, params};

use super::{Local, column, execute, id_column, row, rows};
use crate::model::check_title;
use crate::{Id, StorageError};

/// Requests that may wait at a time. More are refused.
pub const OPEN_REQUESTS: u32 = 256;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    Streamer,
    Viewer,
}

impl Requester {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Streamer => "streamer",
            Self::Viewer => "viewer",
        }
    }
}

#[derive(Clone, Debug)]
pub struct ClipRequest {
    pub id: Id,
    pub channel: String,
    /// None: whatever the channel's live is.
    pub broadcast: Option<Id>,
    pub by: Requester,
    pub title: Option<String>,
    pub at_ms: i64,
}

impl Local {
    /// Asks for a cut at the next keyframe. A second call with the same id changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a title that breaks a rule, [`StorageError::Refused`] when [`OPEN_REQUESTS`] wait.
    pub async fn request_clip(&self, request: ClipRequest) -> Result<(), StorageError> {
        if let Some(title) = &request.title {
            check_title(title)?;
        }
        self.write(move |t| {
            let open = "SELECT count(*) AS number FROM requests WHERE clip IS NULL";
            let open: Option<u32> = row(t, open, [], |r| column(r, "number"))?;
            if open.unwrap_or_default() >= OPEN_REQUESTS {
                return Err(StorageError::Refused("too many clips were asked for at once".into()));
            }
            execute(
                t,
                "INSERT INTO requests (id, channel, broadcast, requester, title, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO NOTHING",
                params![
                    request.id.as_str(),
                    request.channel,
                    request.broadcast.as_ref().map(Id::as_str),
                    request.by.as_str(),
                    request.title,
                    request.at_ms
                ],
            )
            .map(drop)
        })
        .await
    }

    /// Requests that no clip has answered, oldest first.
    pub async fn open_requests(&self) -> Result<Vec<ClipRequest>, StorageError> {
        let sql = "SELECT * FROM requests WHERE clip IS NULL ORDER BY at_ms, id LIMIT ?1";
        self.read(move |c| rows(c, sql, [OPEN_REQUESTS], request)).await
    }

    /// The clip that answers some requests. Empty `clip`: nothing was there to cut.
    pub async fn answer_requests(&self, ids: Vec<Id>, clip: Option<Id>) -> Result<(), StorageError> {
        self.write(move |t| {
            let clip = clip.as_ref().map_or("", Id::as_str);
            for id in &ids {
                execute(t, "UPDATE requests SET clip = ?2 WHERE id = ?1 AND clip IS NULL", params![id.as_str(), clip])?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets answered requests older than `before_ms`. How many.
    pub async fn forget_requests(&self, before_ms: i64) -> Result<usize, StorageError> {
        self.write(move |t| execute(t, "DELETE FROM requests WHERE clip IS NOT NULL AND at_ms < ?1", [before_ms])).await
    }
}

fn request(row: &Row<'_>) -> Result<ClipRequest, StorageError> {
    let broadcast: Option<String> = column(row, "broadcast")?;
    let by = match column::<String>(row, "requester")?.as_str() {
        "streamer" => Requester::Streamer,
        _ => Requester::Viewer,
    };
    Ok(ClipRequest {
        id: id_column(row, "id")?,
        channel: column(row, "channel")?,
        broadcast: broadcast.and_then(|text| text.parse().ok()),
        by,
        title: column(row, "title")?,
        at_ms: column(row, "at_ms")?,
    })
}
