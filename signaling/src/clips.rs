//! Clips as people see them: those of the database and those that are still on this node's disk, in one order.
//!
//! A clip that is not stored yet is shown from the local job table, with its state; once it is in the database that row counts
//! and the local one only adds the state. Routes are in `http/clip.rs`, files in `http/file.rs`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use media::id::ChannelName;
use storage::local::{ClipRequest, ClipState as Local, DeletedBy, PendingClip, Requester};
use storage::model::check_title;
use storage::{ClipQuery, Id, StorageError, retention};

use crate::access::Visitor;
use crate::app::{App, new_id, now_ms};
use crate::auth::Actor;
use crate::error::{Code, Error};
use crate::view::{Clip, ClipEdit, ClipState, Page};

/// Rows of a page unless asked otherwise.
const LIMIT: u32 = 30;
/// Parts that may grow at a time: one per recording.
const GROWING: u32 = 1000;

/// How many rows were asked for.
///
/// # Errors
/// `invalid` outside 1 to 100.
pub fn limit(asked: Option<u32>) -> Result<u32, Error> {
    let limit = asked.unwrap_or(LIMIT);
    if (1..=storage::model::PAGE_ROWS).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::invalid(format!("limit is 1 to {}", storage::model::PAGE_ROWS)))
}

/// Asks for a cut at the next keyframe of the channel. The answer is the id of the request.
///
/// # Errors
/// `not_live`, `invalid` for a title or when nothing is recorded, `rate_limited` for strangers.
pub async fn request(
    app: &App,
    channel: &ChannelName,
    by: Actor,
    caller: IpAddr,
    title: Option<String>,
) -> Result<Id, Error> {
    let title = title.map(|title| title.trim().to_owned()).filter(|title| !title.is_empty());
    if let Some(title) = &title {
        check_title(title)?;
    }
    let live = app.lives().of(channel).await.ok_or_else(|| Error::not_live(channel))?;
    if !live.recording {
        return Err(Error::invalid("this broadcast is not recorded, so nothing can be cut from it"));
    }
    if by == Actor::Stranger {
        app.clip_rate().check(caller)?;
    }
    let id = new_id();
    let request = ClipRequest {
        id: id.clone(),
        channel: channel.to_string(),
        broadcast: live.broadcast.parse().ok(),
        by: if by == Actor::Streamer { Requester::Streamer } else { Requester::Viewer },
        title,
        at_ms: now_ms(),
    };
    match app.local().request_clip(request).await {
        Ok(()) => Ok(id),
        Err(StorageError::Refused(detail)) => Err(Error::new(Code::Full, detail)),
        Err(error) => Err(error.into()),
    }
}

/// One page, newest first.
///
/// # Errors
/// `invalid` for a cursor or limit; `away` for a further page while the database is away.
pub async fn page(app: &App, query: ClipQuery) -> Result<Page<Clip>, Error> {
    let wanted = query.limit as usize;
    let here = app.local().pending_clips().await?;
    let states: HashMap<Id, ClipState> = here.iter().map(|p| (p.clip.id.clone(), shown(p.state))).collect();
    let (rows, partial) = match app.database().clips(&query).await {
        Ok(page) => (page, false),
        // What is on this disk can still be shown, also while the database refuses us.
        Err(StorageError::Away(cause) | StorageError::Refused(cause)) if query.cursor.is_none() => {
            tracing::debug!(cause, "listing the clips of this node only");
            (storage::Page { items: Vec::new(), next: None }, true)
        }
        Err(error) => return Err(error.into()),
    };
    let more = rows.next.is_some();
    let after = query.cursor.as_deref().map(place).transpose()?;
    let stored = rows.items.into_iter().map(|clip| {
        let state = states.get(&clip.id).copied().unwrap_or(ClipState::Stored);
        (key(&clip), Clip::of(clip, state, None))
    });
    let mut all: Vec<(Place, Clip)> = stored.collect();
    for pending in here.into_iter().filter(|p| query.matches(&p.clip)) {
        let at = key(&pending.clip);
        let is_new = all.iter().all(|(_, clip)| clip.id != pending.clip.id.as_str());
        if is_new && after.as_ref().is_none_or(|after| at < *after) {
            let state = shown(pending.state);
            all.push((at, Clip::of(pending.clip, state, pending.error)));
        }
    }
    all.sort_by(|(a, _), (b, _)| b.cmp(a));
    let cut = all.len() > wanted;
    all.truncate(wanted);
    // Of a partial page there is no next: its cursor would lead to the database.
    let next = all.last().filter(|_| (cut || more) && !partial).map(|((started, id), _)| format!("{started}.{id}"));
    Ok(Page { items: all.into_iter().map(|(_, clip)| clip).collect(), next, partial })
}

/// Of one page, those of this node that are in a state in which no database knows them.
///
/// # Errors
/// `invalid` for a cursor.
pub async fn unfinished(
    app: &App,
    query: &ClipQuery,
    of_that_state: impl Fn(ClipState) -> bool,
) -> Result<Page<Clip>, Error> {
    let after = query.cursor.as_deref().map(place).transpose()?;
    let here = app.local().pending_clips().await?.into_iter();
    let mut all: Vec<(Place, Clip)> = here
        .filter(|pending| of_that_state(shown(pending.state)) && query.matches(&pending.clip))
        .map(|pending| (key(&pending.clip), of_pending(pending)))
        .filter(|(at, _)| after.as_ref().is_none_or(|after| at < after))
        .collect();
    all.sort_by(|(a, _), (b, _)| b.cmp(a));
    let more = all.len() > query.limit as usize;
    all.truncate(query.limit as usize);
    let next = all.last().filter(|_| more).map(|((started, id), _)| format!("{started}.{id}"));
    Ok(Page { items: all.into_iter().map(|(_, clip)| clip).collect(), next, partial: false })
}

/// Rows sort by start, then id; a cursor is the last of them.
type Place = (i64, Id);

fn key(clip: &storage::Clip) -> Place {
    (clip.started_at_ms, clip.id.clone())
}

fn place(cursor: &str) -> Result<Place, Error> {
    let read = || {
        let (started, id) = cursor.split_once('.')?;
        Some((started.parse().ok()?, id.parse().ok()?))
    };
    read().ok_or_else(|| Error::invalid("the cursor is not one that was handed out"))
}

/// A clip, and how far it has come.
pub struct Found {
    pub clip: storage::Clip,
    pub state: ClipState,
    /// In the spool, while it is not in the store; empty until there is one.
    pub file: Option<PathBuf>,
    pub error: Option<String>,
}

impl From<Found> for Clip {
    fn from(found: Found) -> Self {
        Clip::of(found.clip, found.state, found.error)
    }
}

/// One clip, wherever it is, for those who may see everything.
///
/// # Errors
/// `not_found`, `away`.
pub async fn locate(app: &App, id: &Id) -> Result<Found, Error> {
    match app.local().pending_clip(id.clone()).await? {
        Some(pending) => Ok(Found {
            state: shown(pending.state),
            clip: pending.clip,
            file: Some(pending.file),
            error: pending.error,
        }),
        None => {
            let clip = app.database().clip(id).await?.ok_or_else(Error::not_found)?;
            Ok(Found { clip, state: ClipState::Stored, file: None, error: None })
        }
    }
}

/// One clip, wherever it is, if the visitor may see it.
///
/// # Errors
/// `not_found`, `gone`, `away`.
pub async fn seen(app: &App, visitor: &Visitor, id: &Id) -> Result<Found, Error> {
    let found = locate(app, id).await?;
    visitor.may_see(app, &found.clip)?;
    Ok(found)
}

/// # Errors
/// `not_found`, `invalid`, `conflict`, `away`.
pub async fn edit(app: &App, id: &Id, edit: ClipEdit, if_revision: Option<u32>) -> Result<Clip, Error> {
    let edit = storage::ClipEdit::from(edit);
    if edit == storage::ClipEdit::default() {
        return Err(Error::invalid(
            "an edit names what it changes: title, description, tags, links, visibility, pinned or poster",
        ));
    }
    if let Some(clip) = app.local().edit_pending(id.clone(), edit.clone(), if_revision).await? {
        let state = app.local().pending_clip(id.clone()).await?.map_or(ClipState::Stored, |p| shown(p.state));
        return Ok(Clip::of(clip, state, None));
    }
    let clip = app.local().edit_stored(app.database(), id, &edit, if_revision).await?;
    Ok(Clip::of(clip, ClipState::Stored, None))
}

/// The row goes at once; the objects go by the outbox, which tries until the store confirms.
///
/// # Errors
/// `not_found`, `away`.
pub async fn delete(app: &App, id: &Id) -> Result<(), Error> {
    let found = retention::delete_clip(app.database(), app.local(), id, DeletedBy::Person).await?;
    if found { Ok(()) } else { Err(Error::not_found()) }
}

/// Has a clip that waits, or that failed, tried now. One that is stored is left as it is.
///
/// # Errors
/// `not_found`, `away`.
pub async fn retry(app: &App, id: &Id) -> Result<Clip, Error> {
    match app.local().retry_now(id.clone()).await? {
        Some(pending) => Ok(of_pending(pending)),
        None => Ok(locate(app, id).await?.into()),
    }
}

/// What is recorded of a broadcast by now.
pub struct Recorded {
    pub saved: u32,
    pub current_ms: Option<u64>,
}

/// # Errors
/// `internal` when the local job table cannot be read.
pub async fn of_broadcast(app: &App, broadcast: &str) -> Result<Recorded, Error> {
    let Ok(broadcast) = broadcast.parse::<Id>() else { return Ok(Recorded { saved: 0, current_ms: None }) };
    let saved = app.local().local_broadcast(broadcast.clone()).await?.map_or(0, |b| b.clips);
    let growing = app.local().due_clips(&[Local::Recording], now_ms(), GROWING).await?;
    let current = growing.into_iter().filter(|part| part.broadcast == broadcast).max_by_key(|part| part.part);
    Ok(Recorded { saved, current_ms: current.map(|part| (now_ms() - part.created_ms).max(0) as u64) })
}

pub fn of_pending(pending: PendingClip) -> Clip {
    let state = shown(pending.state);
    Clip::of(pending.clip, state, pending.error)
}

/// The local state as people see it.
pub fn shown(state: Local) -> ClipState {
    match state {
        Local::Recording | Local::Exporting => ClipState::Exporting,
        Local::Queued => ClipState::Queued,
        Local::Uploading => ClipState::Uploading,
        Local::Verified => ClipState::Verified,
        Local::Stored => ClipState::Stored,
        Local::Failed => ClipState::Failed,
    }
}
