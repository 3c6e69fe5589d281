//! The routes, in one list. What each does is in the file it names; what is common to all (address, log line, headers) is
//! in `layer.rs`.

pub mod broadcast;
pub mod bulk;
pub mod channel;
pub mod clip;
pub mod connection;
pub mod event;
mod extract;
pub mod file;
pub mod health;
pub mod hls;
mod layer;
pub mod negotiate;
pub mod order;
pub mod pictures;
pub mod session;
pub mod storage;
pub mod webhook;
pub mod whep;
pub mod whip;

pub use layer::identify;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use http::{HeaderMap, Method, Uri};

use crate::app::App;
use crate::assets;
use crate::error::{Code, Error};
use crate::openapi;

/// Everything but the socket, whose layer the caller adds.
pub fn routes(app: App) -> Router<App> {
    let api = Router::new()
        .route("/api/session", get(session::read).post(session::open).delete(session::close))
        .route("/api/server", get(health::server))
        .route("/api/openapi.json", get(openapi::serve))
        .route("/api/storage", get(storage::read))
        .route("/api/retention", get(storage::retention))
        .route("/api/events", get(event::follow))
        .route("/api/webhooks", get(webhook::list).post(webhook::create))
        .route("/api/webhooks/{id}", get(webhook::read).patch(webhook::edit).delete(webhook::delete))
        .route("/api/webhooks/{id}/secret", post(webhook::rotate))
        .route("/api/webhooks/{id}/deliveries", get(webhook::deliveries))
        .route("/api/webhooks/{id}/replay", post(webhook::replay))
        .route("/api/webhooks/{id}/test", post(webhook::test))
        .route("/api/connections", get(connection::list))
        .route("/api/connections/{session}", get(connection::read))
        .route("/api/connections/{session}/trace", post(connection::trace).delete(connection::untrace))
        .route("/api/channels", get(channel::list))
        .route("/api/channels/{channel}", get(channel::read))
        .route("/api/channels/{channel}/clip", post(channel::clip))
        .route("/api/channels/{channel}/stats", get(channel::stats))
        .route("/api/broadcasts", get(broadcast::list))
        .route("/api/broadcasts/{id}", get(broadcast::read))
        .route("/api/broadcasts/{id}/media", get(order::media))
        .route("/api/broadcasts/{id}/stop", post(broadcast::stop))
        .route("/api/broadcasts/{id}/hls/{name}", get(hls::file))
        .route("/api/clips", get(clip::list).post(order::create))
        .route("/api/clips/bulk", post(bulk::change))
        .route("/api/clips/{id}", patch(clip::edit).get(clip::read).delete(clip::delete))
        .route("/api/clips/{id}/retry", post(clip::retry))
        .route("/api/clips/{id}/link", post(clip::link))
        .route("/api/clips/{id}/timeline", get(order::timeline))
        .route("/api/clips/{id}/media", get(file::media))
        .route("/api/clips/{id}/poster", get(file::poster))
        .route("/api/clips/{id}/posters", get(pictures::posters).post(pictures::choose))
        .route("/api/clips/{id}/posters/{n}", get(pictures::poster))
        .route("/api/clips/{id}/storyboard.vtt", get(pictures::storyboard))
        .route("/api/clips/{id}/storyboard/{n}", get(pictures::sheet))
        .route("/api/clips/{id}/waveform", get(pictures::waveform));
    let media = Router::new()
        .route("/whip", post(whip::publish_main).options(negotiate::preflight))
        .route("/whip/{channel}", post(whip::publish).options(negotiate::preflight))
        .route("/whip/{channel}/{token}", patch(whip::ice).delete(whip::stop).options(negotiate::preflight))
        .route("/whep/{channel}", post(whep::watch).options(negotiate::preflight))
        .route("/whep/{channel}/{token}", patch(whep::ice).delete(whep::stop).options(negotiate::preflight))
        .layer(axum::middleware::map_response(negotiate::open_to_all_sites));
    let operate = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics));
    let all = api.merge(media).merge(operate).method_not_allowed_fallback(wrong_method).fallback(anything_else);
    layer::around(all, app)
}

async fn wrong_method(method: Method) -> Error {
    Error::new(Code::MethodNotAllowed, format!("{method} does nothing here"))
}

async fn anything_else(State(app): State<App>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    assets::answer(app.settings().assets, &method, &uri, &headers).into_response()
}
