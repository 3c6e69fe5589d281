//! WHIP (RFC 9725): a streamer without a browser. POST an offer, PATCH its ICE, DELETE the session. Bearer = the stream key.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use media::message::EndReason;
use shard::PublishRequest;

use super::extract::{Offer, channel_name};
use super::negotiate::{IcePatch, Token, created, still_open};
use crate::app::App;
use crate::auth::Streamer;
use crate::error::Error;
use crate::openapi::Problems;

#[utoipa::path(
    post,
    path = "/whip",
    summary = "WHIP: go live on the channel main",
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, description = "The answer; Location is the session", body = String, content_type = "application/sdp"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn publish_main(state: State<App>, streamer: Streamer, offer: Offer) -> Result<Response, Error> {
    publish(state, streamer, Path("main".to_owned()), offer).await
}

#[utoipa::path(
    post,
    path = "/whip/{channel}",
    summary = "WHIP: go live",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -")),
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, description = "The answer; Location is the session", body = String, content_type = "application/sdp"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn publish(
    State(app): State<App>,
    _: Streamer,
    Path(channel): Path<String>,
    Offer(offer): Offer,
) -> Result<Response, Error> {
    still_open(&app)?;
    let channel = channel_name(&channel)?;
    let record = app.settings().record_streams;
    let prefer_video = crate::socket::media::preferred(None, record);
    let request = PublishRequest { channel: channel.clone(), offer, record, prefer_video };
    let published = app.plane().publish(request).await?;
    let token = Token { session: published.session, broadcast: published.broadcast };
    tracing::info!(%channel, broadcast = %published.broadcast, resumed = published.resumed, "streamer accepted by WHIP");
    Ok(created(&app, &format!("/whip/{channel}/{}", token.sign(&app)), published.answer))
}

/// Trickled candidates, or an ICE restart (RFC 9725 §4.3).
#[utoipa::path(
    patch,
    path = "/whip/{channel}/{token}",
    summary = "WHIP: candidates, or an ICE restart",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -"), ("token" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses((status = 200, description = "The new ICE of a restart", body = String, content_type = "application/trickle-ice-sdpfrag"), (status = 204, description = "Candidates taken"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn ice(
    State(app): State<App>,
    _: Streamer,
    Path((channel, token)): Path<(String, String)>,
    patch: IcePatch,
) -> Result<Response, Error> {
    channel_name(&channel)?;
    patch.apply(&app, &token).await
}

#[utoipa::path(
    delete,
    path = "/whip/{channel}/{token}",
    summary = "WHIP: end",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -"), ("token" = String, Path)),
    responses((status = 200, description = "It is over"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn stop(
    State(app): State<App>,
    _: Streamer,
    Path((channel, token)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    channel_name(&channel)?;
    let token = Token::read(&app, &token)?;
    // Only the connection that is the streamer now may end the broadcast: another may have taken it over.
    let is_streamer = app.lives().streaming(token.broadcast).is_some_and(|s| s.session == token.session);
    if is_streamer {
        app.plane().end(token.broadcast, EndReason::Stopped).await?;
    } else {
        app.plane().close(token.session).await?;
    }
    Ok(StatusCode::OK)
}
