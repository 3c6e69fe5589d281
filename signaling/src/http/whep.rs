//! WHEP: a viewer without our page. POST an offer, PATCH its ICE, DELETE the session. No key.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use shard::WatchRequest;

use super::extract::{ChannelOf, Offer, channel_name};
use super::negotiate::{IcePatch, Token, created, still_open};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::openapi::Problems;

#[utoipa::path(
    post,
    path = "/whep/{channel}",
    summary = "WHEP: watch",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -")),
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, description = "The answer; Location is the session", body = String, content_type = "application/sdp"), Problems),
)]
pub async fn watch(
    State(app): State<App>,
    Caller(caller): Caller,
    ChannelOf(channel): ChannelOf,
    Offer(offer): Offer,
) -> Result<Response, Error> {
    still_open(&app)?;
    app.join_rate().check(caller)?;
    let watching = app.plane().watch(WatchRequest { channel: channel.clone(), offer }).await?;
    let token = Token { session: watching.session, broadcast: watching.broadcast };
    Ok(created(&app, &format!("/whep/{channel}/{}", token.sign(&app)), watching.answer))
}

/// Trickled candidates, or an ICE restart, as for WHIP.
#[utoipa::path(
    patch,
    path = "/whep/{channel}/{token}",
    summary = "WHEP: candidates, or an ICE restart",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -"), ("token" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses((status = 200, description = "The new ICE of a restart", body = String, content_type = "application/trickle-ice-sdpfrag"), (status = 204, description = "Candidates taken"), Problems),
)]
pub async fn ice(
    State(app): State<App>,
    Path((channel, token)): Path<(String, String)>,
    patch: IcePatch,
) -> Result<Response, Error> {
    channel_name(&channel)?;
    patch.apply(&app, &token).await
}

/// Whoever has the address has the session: it cannot be guessed.
#[utoipa::path(
    delete,
    path = "/whep/{channel}/{token}",
    summary = "WHEP: end",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -"), ("token" = String, Path)),
    responses((status = 200, description = "It is over"), Problems),
)]
pub async fn stop(State(app): State<App>, Path((channel, token)): Path<(String, String)>) -> Result<StatusCode, Error> {
    channel_name(&channel)?;
    let token = Token::read(&app, &token)?;
    app.plane().close(token.session).await?;
    Ok(StatusCode::OK)
}
