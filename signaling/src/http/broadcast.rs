//! Broadcasts, past and going on.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use media::message::EndReason;
use serde::Deserialize;
use storage::{BroadcastQuery, Id};
use utoipa::IntoParams;

use super::extract::{Asked, IdOf, channel_name};
use crate::app::{App, now_ms};
use crate::auth::Streamer;
use crate::clips::limit;
use crate::error::Error;
use crate::openapi::Problems;
use crate::view::{Broadcast, Live, Page};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Query {
    channel: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

#[utoipa::path(
    get,
    path = "/api/broadcasts",
    summary = "Broadcasts, past and going on",
    params(Query),
    responses((status = 200, description = "Newest first", body = Page<Broadcast>), Problems),
)]
pub async fn list(State(app): State<App>, Asked(query): Asked<Query>) -> Result<Json<Page<Broadcast>>, Error> {
    if let Some(channel) = &query.channel {
        channel_name(channel)?;
    }
    let first = query.cursor.is_none();
    let asked = BroadcastQuery { channel: query.channel.clone(), cursor: query.cursor, limit: limit(query.limit)? };
    let page = app.database().broadcasts(&asked).await?;
    let lives = app.lives().all().await;
    let is_live = |id: &Id| lives.iter().any(|live| live.broadcast == id.as_str());
    let mut items: Vec<Broadcast> = page
        .items
        .into_iter()
        .map(|b| {
            let live = is_live(&b.id);
            view(b, live)
        })
        .collect();
    if first {
        // A live that is not recorded is in no database, one that has just begun not yet.
        let missing = lives.iter().filter(|live| query.channel.as_ref().is_none_or(|c| *c == live.channel));
        for live in missing.filter(|live| items.iter().all(|b| b.id != live.broadcast)).collect::<Vec<_>>() {
            items.insert(0, of_live(live));
        }
    }
    Ok(Json(Page { items, next: page.next, partial: false }))
}

#[utoipa::path(
    get,
    path = "/api/broadcasts/{id}",
    summary = "One broadcast",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 200, description = "The broadcast", body = Broadcast), Problems),
)]
pub async fn read(State(app): State<App>, IdOf(id): IdOf) -> Result<Json<Broadcast>, Error> {
    let lives = app.lives().all().await;
    let live = lives.iter().find(|live| live.broadcast == id.as_str());
    match (app.database().broadcast(&id).await, live) {
        (Ok(Some(found)), live) => Ok(Json(view(found, live.is_some()))),
        (_, Some(live)) => Ok(Json(of_live(live))),
        (Ok(None), None) => Err(Error::not_found()),
        (Err(error), None) => Err(error.into()),
    }
}

#[utoipa::path(
    post,
    path = "/api/broadcasts/{id}/stop",
    summary = "End a broadcast",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 204, description = "It is over"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn stop(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<StatusCode, Error> {
    let broadcast = id.as_str().parse().map_err(|_| Error::not_found())?;
    app.plane().end(broadcast, EndReason::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub fn view(broadcast: storage::Broadcast, live: bool) -> Broadcast {
    let going_on = (now_ms() - broadcast.started_at_ms).max(0) as u64;
    Broadcast {
        id: broadcast.id.to_string(),
        channel: broadcast.channel,
        title: broadcast.title,
        started_at: broadcast.started_at_ms,
        ended_at: broadcast.ended_at_ms,
        duration_ms: if live { going_on } else { broadcast.duration_ms },
        end_reason: broadcast.end_reason,
        live,
    }
}

fn of_live(live: &Live) -> Broadcast {
    Broadcast {
        id: live.broadcast.clone(),
        channel: live.channel.clone(),
        title: live.channel.clone(),
        started_at: live.started_at,
        ended_at: None,
        duration_ms: (now_ms() - live.started_at).max(0) as u64,
        end_reason: None,
        live: true,
    }
}
