//! Turns what the journal thread says into rows, and rows of requests into cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journal::{Cause, Header};
use media::id::BroadcastId;
use media::message::{EndReason, Event};
use shard::MediaPlane;
use storage::local::NewPart;
use storage::{Broadcast, ClipCause, Id, StorageError};
use tokio::sync::{broadcast, mpsc};

use crate::clock;
use crate::desk::Desk;
use crate::writer::{Command, Fact};

/// A request for a channel that does not record is given up after this long: the live may just be starting.
const REQUEST_WAITS_MS: i64 = 15_000;
/// Requests are looked at this often at least.
const LOOK: Duration = Duration::from_secs(2);

/// Takes facts until the journal thread is gone. A row that cannot be written now is tried until it can: facts come in
/// order, and a later one makes no sense without the earlier.
pub(crate) async fn keep(desk: Arc<Desk>, mut facts: mpsc::Receiver<Fact>) {
    while let Some(fact) = facts.recv().await {
        let mut attempts = 0;
        while let Err(error) = note(&desk, &fact).await {
            if attempts == 0 {
                desk.alarm("", format!("the job table cannot be written: {error}"));
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1 << attempts.min(4))) => attempts += 1,
                () = desk.stopping.cancelled() => return, // recovery finds the journal
            }
        }
    }
}

async fn note(desk: &Desk, fact: &Fact) -> Result<(), StorageError> {
    let local = &desk.stores.local;
    match fact {
        Fact::Opened { broadcast, channel, media_zero_utc_us } => {
            local.open_broadcast(new_broadcast(*broadcast, channel, *media_zero_utc_us, true)?).await
        }
        Fact::PartOpened { header, path } => local.open_part(new_part(header, path.clone())?).await,
        Fact::PartClosed { header, path, cause, requests } => {
            let clip = clip_id(header)?;
            local.open_part(new_part(header, path.clone())?).await?; // it may have been created only while it was closed
            let open = local.open_requests().await?;
            let title = open.into_iter().filter(|r| requests.contains(&r.id)).find_map(|r| r.title);
            local.close_part(clip.clone(), clip_cause(*cause), title, 0).await?;
            answer(desk, requests, Some(clip)).await
        }
        Fact::PartLost { header, requests } => {
            desk.alarm(header.channel.as_str(), "a part of the recording was lost: the disk took none of it");
            answer(desk, requests, None).await
        }
        Fact::Closed { broadcast, utc_us, reason, unanswered } => {
            local.end_broadcast(id(*broadcast)?, (*utc_us / 1000) as i64, reason_name(*reason).into()).await?;
            answer(desk, unanswered, None).await
        }
        Fact::Alarm { channel, text } => {
            desk.alarm(channel, text.clone());
            Ok(())
        }
    }
}

async fn answer(desk: &Desk, requests: &[Id], clip: Option<Id>) -> Result<(), StorageError> {
    if requests.is_empty() { Ok(()) } else { desk.stores.local.answer_requests(requests.to_vec(), clip).await }
}

/// Sends each request once to the journal thread.
pub(crate) async fn requests(desk: Arc<Desk>) {
    let mut changed = desk.stores.local.changed();
    let mut sent = BTreeSet::new();
    loop {
        changed.borrow_and_update();
        if let Err(error) = hand_over(&desk, &mut sent).await {
            tracing::warn!(%error, "requests for clips cannot be read");
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn hand_over(desk: &Desk, sent: &mut BTreeSet<Id>) -> Result<(), StorageError> {
    let open = desk.stores.local.open_requests().await?;
    sent.retain(|id| open.iter().any(|r| r.id == *id));
    let fresh: Vec<_> = open.into_iter().filter(|r| !sent.contains(&r.id)).collect();
    if fresh.is_empty() {
        return Ok(());
    }
    let lives = desk.stores.local.open_broadcasts().await?;
    let mut cuts: BTreeMap<BroadcastId, Vec<Id>> = BTreeMap::new();
    for request in fresh {
        let wanted = |b: &&Broadcast| {
            b.recorded && request.broadcast.as_ref().map_or(b.channel == request.channel, |id| *id == b.id)
        };
        // ids sort by start: the newest live of the channel
        match lives.iter().filter(wanted).max_by(|a, b| a.id.cmp(&b.id)).and_then(|b| b.id.as_str().parse().ok()) {
            Some(broadcast) => cuts.entry(broadcast).or_default().push(request.id),
            None if clock::utc_ms() - request.at_ms < REQUEST_WAITS_MS => {}
            None => desk.stores.local.answer_requests(vec![request.id], None).await?,
        }
    }
    for (broadcast, requests) in cuts {
        if desk.command(Command::Cut { broadcast, requests: requests.clone() }) {
            sent.extend(requests);
        }
    }
    Ok(())
}

/// What only the media plane knows: broadcasts that are not recorded, which people look up all the same, and streamers that drop and
/// come back.
pub(crate) async fn follow(desk: Arc<Desk>, plane: MediaPlane, mut events: broadcast::Receiver<Event>) {
    loop {
        let noted = match events.recv().await {
            Ok(event) => note_event(&desk, event).await,
            Err(broadcast::error::RecvError::Lagged(events)) => {
                tracing::warn!(events, "events of the media plane were missed");
                catch_up(&desk, &plane).await
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if let Err(error) = noted {
            desk.alarm("", format!("a broadcast could not be noted: {error}"));
        }
    }
}

async fn note_event(desk: &Desk, event: Event) -> Result<(), StorageError> {
    let local = &desk.stores.local;
    match event {
        Event::BroadcastStarted { channel, broadcast, utc_us, record: false, .. } => {
            local.open_broadcast(new_broadcast(broadcast, channel.as_str(), utc_us, false)?).await
        }
        Event::BroadcastInterrupted { broadcast, .. } => local.note_interrupted(id(broadcast)?).await.map(drop),
        Event::BroadcastResumed { broadcast, .. } => local.note_resumed(id(broadcast)?).await.map(drop),
        Event::BroadcastEnded { broadcast, utc_us, reason, .. } => {
            end_unrecorded(desk, broadcast, utc_us, reason).await
        }
        _ => Ok(()),
    }
}

/// Notes what must have happened, from how it is now.
async fn catch_up(desk: &Desk, plane: &MediaPlane) -> Result<(), StorageError> {
    let local = &desk.stores.local;
    let mut on_air = BTreeSet::new();
    for room in plane.stats().await.into_iter().flat_map(|shard| shard.rooms) {
        let broadcast = id(room.broadcast)?;
        on_air.insert(broadcast.clone());
        if !room.record {
            let row = new_broadcast(room.broadcast, room.channel.as_str(), room.started_utc_us, false)?;
            local.open_broadcast(row).await?;
        }
        if room.connected {
            local.note_resumed(broadcast).await?;
        } else {
            local.note_interrupted(broadcast).await?;
        }
    }
    for over in local.open_broadcasts().await?.into_iter().filter(|b| !b.recorded && !on_air.contains(&b.id)) {
        local.end_broadcast(over.id, clock::utc_ms(), "interrupted".into()).await?;
    }
    Ok(())
}

/// A recorded broadcast ends with its last part, not here.
async fn end_unrecorded(
    desk: &Desk,
    broadcast: BroadcastId,
    utc_us: u64,
    reason: EndReason,
) -> Result<(), StorageError> {
    let id = id(broadcast)?;
    if desk.stores.local.local_broadcast(id.clone()).await?.is_some_and(|b| !b.recorded) {
        desk.stores.local.end_broadcast(id, (utc_us / 1000) as i64, reason_name(reason).into()).await?;
    }
    Ok(())
}

pub(crate) fn new_broadcast(
    broadcast: BroadcastId,
    channel: &str,
    utc_us: u64,
    recorded: bool,
) -> Result<Broadcast, StorageError> {
    Ok(Broadcast {
        id: id(broadcast)?,
        channel: channel.to_owned(),
        title: channel.to_owned(),
        started_at_ms: (utc_us / 1000) as i64,
        ended_at_ms: None,
        clips: 0,
        duration_ms: 0,
        recorded,
        end_reason: None,
    })
}

pub(crate) fn new_part(header: &Header, journal: PathBuf) -> Result<NewPart, StorageError> {
    Ok(NewPart {
        clip: clip_id(header)?,
        broadcast: id(header.broadcast)?,
        channel: header.channel.to_string(),
        part: header.part,
        journal,
        created_ms: (header.opened_utc_us / 1000) as i64,
    })
}

pub(crate) fn id(broadcast: BroadcastId) -> Result<Id, StorageError> {
    broadcast.to_string().parse().map_err(|e| StorageError::Invalid(format!("{broadcast}: {e}")))
}

pub(crate) fn clip_id(header: &Header) -> Result<Id, StorageError> {
    header.clip.to_string().parse().map_err(|e| StorageError::Invalid(format!("{}: {e}", header.clip)))
}

pub(crate) fn clip_cause(cause: Cause) -> ClipCause {
    match cause {
        Cause::Size => ClipCause::Size,
        Cause::Length => ClipCause::Length,
        Cause::Request => ClipCause::Request,
        Cause::End => ClipCause::End,
        Cause::Format | Cause::Interrupted => ClipCause::Interrupted,
    }
}

fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Stopped => "stopped",
        EndReason::Dropped => "dropped",
        EndReason::Shutdown => "shutdown",
    }
}
