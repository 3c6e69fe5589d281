//! How full the disk is, what stored clips take, what waits to be stored, and what would be deleted.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use storage::StorageError;
use storage::local::ClipState as Local;

use crate::app::{App, now_ms};
use crate::auth::Streamer;
use crate::clips;
use crate::error::Error;
use crate::openapi::Problems;
use crate::report::{OutboxReport, OutboxState, RetentionReport, StorageReport};

const WAITING: [Local; 5] = [Local::Exporting, Local::Queued, Local::Uploading, Local::Verified, Local::Failed];

#[utoipa::path(
    get,
    path = "/api/storage",
    summary = "Disk, stored clips and outbox",
    responses((status = 200, description = "How full the disk is and of what", body = StorageReport), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn read(State(app): State<App>, _: Streamer) -> Result<Response, Error> {
    let counts = app.local().counts_by_state().await?;
    let of =
        |state: &Local| OutboxState { state: clips::shown(*state), clips: counts.get(state).copied().unwrap_or(0) };
    let outbox =
        OutboxReport { states: WAITING.iter().map(of).collect(), oldest_at: app.local().outbox().await?.oldest_ms };
    let channels = match app.database().usage().await {
        Ok(channels) => Some(channels),
        // The disk is worth knowing about all the more while the database is away.
        Err(StorageError::Away(_) | StorageError::Refused(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let report = StorageReport::new(app.node(), channels, outbox);
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(report)).into_response())
}

#[utoipa::path(
    get,
    path = "/api/retention",
    summary = "What is kept, and what would be deleted now",
    responses((status = 200, description = "Exactly what the next run deletes", body = RetentionReport), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn retention(State(app): State<App>, _: Streamer) -> Result<Response, Error> {
    let policy = &app.settings().retention;
    let plan = storage::retention::plan(policy, app.database(), app.local(), now_ms()).await?;
    let report = RetentionReport::new(policy, plan);
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(report)).into_response())
}
