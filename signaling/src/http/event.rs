//! The events as a stream that a program or page follows.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use serde::Deserialize;
use storage::Id;
use utoipa::IntoParams;

use super::extract::{Asked, channel_name};
use crate::app::App;
use crate::auth::Streamer;
use crate::error::Error;
use crate::events::{self, Filter};
use crate::limits::EVENT_STALL;
use crate::listen::Line;
use crate::openapi::Problems;
use crate::webhooks;

/// What is to be heard.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsWanted {
    /// The id of the last event that is known already, or `start` for all that the log still has. Without it: what happens from now on.
    /// The header `Last-Event-ID` counts before it.
    after: Option<String>,
    /// Only events of this channel.
    channel: Option<String>,
    /// Types separated by commas, such as `clip.ready,clip.stored`.
    types: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/events",
    summary = "Follow what happens (server-sent events)",
    description = "Each message is one event as JSON, as webhooks carry it. A message of the type `gap` says that events are forgotten that would have come here. The answer does not end.",
    params(EventsWanted),
    responses((status = 200, description = "Events as they happen", body = String, content_type = "text/event-stream"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn follow(
    State(app): State<App>,
    _: Streamer,
    Extension(line): Extension<Line>,
    Asked(wanted): Asked<EventsWanted>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let filter = Filter {
        kinds: wanted.types.as_deref().map(listed).transpose()?.unwrap_or_default(),
        channel: wanted.channel.as_deref().map(channel_name).transpose()?.map(|channel| channel.to_string()),
    };
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
    let place = place(&app, last.or(wanted.after).as_deref()).await?;
    let seat = app.seats().take()?;
    let body = Body::from_stream(events::follow(app.local().clone(), filter, place, seat, line, EVENT_STALL));
    // Proxies that gather answers would hold every event back.
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, body).into_response())
}

fn listed(types: &str) -> Result<Vec<storage::EventType>, Error> {
    let names: Vec<String> = types.split(',').map(|name| name.trim().to_owned()).collect();
    webhooks::kinds(&names)
}

async fn place(app: &App, after: Option<&str>) -> Result<Id, Error> {
    match after {
        None => Ok(app.local().end_of_events().await?),
        Some("start") => Ok(app.local().start_of_events().await?),
        Some(id) => id.parse().map_err(|_| Error::invalid("after is the id of an event, or start")),
    }
}
