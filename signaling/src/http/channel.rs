//! Channels: who is on air, and the clip that anybody may ask for.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use media::id::ChannelName;
use storage::BroadcastQuery;

use super::broadcast;
use super::extract::{ChannelOf, Json};
use crate::app::App;
use crate::auth::{Caller, Streamer, actor};
use crate::clips;
use crate::error::Error;
use crate::lives;
use crate::openapi::Problems;
use crate::orders;
use crate::socket::event::ClipWanted;
use crate::view::{AirState, ChannelState, ChannelStats, List, Live, Requested, TrackFigures, TrackKind};

#[utoipa::path(
    get,
    path = "/api/channels",
    summary = "Who is on air",
    responses((status = 200, description = "Who is on air", body = List<Live>), Problems),
)]
pub async fn list(State(app): State<App>) -> Answer<List<Live>> {
    Answer(List { items: app.lives().all().await })
}

#[utoipa::path(
    get,
    path = "/api/channels/{channel}",
    summary = "One channel",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -")),
    responses((status = 200, description = "Its state", body = ChannelState), Problems),
)]
pub async fn read(State(app): State<App>, ChannelOf(channel): ChannelOf) -> Answer<ChannelState> {
    let live = app.lives().of(&channel).await;
    let last = last_broadcast(&app, &channel, live.as_ref()).await;
    let state = live.as_ref().map_or(AirState::Offline, |live| live.state.into());
    Answer(ChannelState { channel: channel.to_string(), state, live, last_broadcast: last })
}

/// The newest one that is over. None while the database is away: the page of a channel works without it.
async fn last_broadcast(app: &App, channel: &ChannelName, live: Option<&Live>) -> Option<crate::view::Broadcast> {
    let query = BroadcastQuery { channel: Some(channel.to_string()), cursor: None, limit: 2 };
    let page = app.database().broadcasts(&query).await.ok()?;
    let over = page.items.into_iter().find(|b| live.is_none_or(|live| live.broadcast != b.id.as_str()))?;
    Some(broadcast::view(over, false))
}

#[utoipa::path(
    post,
    path = "/api/channels/{channel}/clip",
    summary = "Clip what is on air, or was a moment ago",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -")),
    request_body = ClipWanted,
    responses((status = 202, description = "It is on its way", body = Requested), Problems),
)]
pub async fn clip(
    State(app): State<App>,
    Caller(caller): Caller,
    method: Method,
    headers: HeaderMap,
    ChannelOf(channel): ChannelOf,
    Json(wanted): Json<ClipWanted>,
) -> Result<Response, Error> {
    let by = actor(&app, &method, &headers, caller)?;
    let requested = orders::request(&app, &channel, by, caller, wanted).await?;
    Ok((StatusCode::ACCEPTED, Answer(requested)).into_response())
}

#[utoipa::path(
    get,
    path = "/api/channels/{channel}/stats",
    summary = "What the server receives from a streamer",
    params(("channel" = String, Path, description = "1 to 32 of a-z, 0-9 and -")),
    responses((status = 200, description = "What the server receives", body = ChannelStats), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn stats(
    State(app): State<App>,
    _: Streamer,
    ChannelOf(channel): ChannelOf,
) -> Result<Answer<ChannelStats>, Error> {
    let rooms = app.lives().rooms().await;
    let room = rooms.iter().find(|room| room.channel == channel).ok_or_else(|| Error::not_live(&channel))?;
    let live = lives::live(room);
    let tracks = room.tracks.iter().map(|track| TrackFigures {
        track: track.track.0,
        kind: if track.config.codec.is_video() { TrackKind::Video } else { TrackKind::Audio },
        codec: lives::codec_name(track.config.codec).to_owned(),
        width: track.config.width,
        height: track.config.height,
        channels: track.config.channels,
        bitrate: track.bitrate,
        packets: track.packets,
        lost: track.lost,
        frames: track.frames,
        keyframes: track.keyframes,
        jitter_ms: f64::from(track.jitter_us) / 1000.0,
    });
    let recorded = clips::of_broadcast(&app, &live.broadcast).await?;
    Ok(Answer(ChannelStats {
        tracks: tracks.collect(),
        clips_saved: recorded.saved,
        current_clip_ms: recorded.current_ms,
        channel: live.channel,
        broadcast: live.broadcast,
        state: live.state,
        started_at: live.started_at,
        viewers: live.viewers,
        recording: live.recording,
    }))
}
