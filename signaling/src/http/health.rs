//! What operators and load balancers ask, and what the pages may know of the server.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::app::App;
use crate::error::Error;
use crate::health::away;
use crate::openapi::Problems;
use crate::view::{Readiness, ServerInfo};

#[utoipa::path(
    get,
    path = "/healthz",
    summary = "Whether the process answers",
    responses((status = 200, description = "The process answers", body = String, content_type = "text/plain"), Problems),
)]
pub async fn alive() -> &'static str {
    "ok"
}

#[utoipa::path(
    get,
    path = "/readyz",
    summary = "Whether everything answers",
    responses((status = 200, description = "Everything answers", body = Readiness), (status = 503, description = "What is away", body = Readiness), Problems),
)]
pub async fn ready(State(app): State<App>) -> Response {
    let away = away(app.health(), true);
    let ready = away.is_empty() && !app.is_stopping();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(Readiness { ready, away })).into_response()
}

#[utoipa::path(
    get,
    path = "/metrics",
    summary = "Figures",
    responses((status = 200, description = "Figures in the text format of Prometheus", body = String, content_type = "text/plain"), Problems),
)]
pub async fn metrics(State(app): State<App>) -> Result<Response, Error> {
    let text = app.settings().metrics.as_ref().ok_or_else(Error::not_found)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text()).into_response())
}

#[utoipa::path(
    get,
    path = "/api/server",
    summary = "The server",
    responses((status = 200, description = "The server as a visitor may know it", body = ServerInfo), Problems),
)]
pub async fn server(State(app): State<App>) -> Json<ServerInfo> {
    let settings = app.settings();
    Json(ServerInfo {
        version: settings.version.to_owned(),
        record_streams: settings.record_streams,
        clip_length_ms: settings.clip_length.as_millis() as u64,
        clip_size_bytes: settings.clip_size_bytes,
        storage: settings.storage,
        database: settings.database,
        away: away(app.health(), false).into_iter().map(|away| away.part).collect(),
    })
}
