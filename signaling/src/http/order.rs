//! What is made of recordings on request: clips of pieces, extracts that are only played, and the timeline that one cuts on.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::extract::{Asked, IdOf, Json};
use super::file::{self, File};
use crate::access::Visitor;
use crate::app::App;
use crate::auth::{Caller, Streamer, actor};
use crate::error::Error;
use crate::openapi::Problems;
use crate::orders::{self, ExtractWanted, Extracted, NewClip};
use crate::timeline::{self, ClipTimeline};
use crate::view::Clip;

#[utoipa::path(
    post,
    path = "/api/clips",
    summary = "Make a clip of pieces of recordings",
    request_body = NewClip,
    responses((status = 202, description = "It is being made", body = Clip), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn create(State(app): State<App>, _: Streamer, Json(wanted): Json<NewClip>) -> Result<Response, Error> {
    let clip = orders::of_pieces(&app, wanted).await?;
    Ok((StatusCode::ACCEPTED, Answer(clip)).into_response())
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/timeline",
    summary = "Where a clip lies in its broadcast",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, description = "Its place, and how much is kept around it", body = ClipTimeline), Problems),
)]
pub async fn timeline(State(app): State<App>, visitor: Visitor, IdOf(id): IdOf) -> Result<Answer<ClipTimeline>, Error> {
    Ok(Answer(timeline::of_clip(&app, &visitor, &id).await?))
}

#[utoipa::path(
    get,
    path = "/api/broadcasts/{id}/media",
    summary = "A range of a broadcast as a file",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ExtractWanted),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "video/mp4"),
        (status = 206, description = "The part that `Range` names", body = Vec<u8>, content_type = "video/mp4"),
        (status = 304, description = "As the `If-None-Match` that was sent"),
        (status = 307, description = "The broadcast goes on: where it ends now"),
        Problems,
    ),
)]
pub async fn media(
    State(app): State<App>,
    Caller(caller): Caller,
    IdOf(id): IdOf,
    Asked(wanted): Asked<ExtractWanted>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let by = actor(&app, &method, &headers, caller)?;
    let made = match orders::extract(&app, &id, by, caller, wanted.clone()).await? {
        Extracted::File(made) => made,
        Extracted::UpTo { ms } => return Ok(up_to(&id, &wanted, ms)),
    };
    let file = File {
        local: Some(made.file),
        key: String::new(),
        mime: made.mime,
        size: made.size,
        etag: format!("\"{}\"", made.sha256),
        name: None,
    };
    file::send(&app, file, &method, &headers).await
}

/// A broadcast that goes on has no end that stays: the address with the present one is a file like any other.
fn up_to(id: &storage::Id, wanted: &ExtractWanted, ms: u64) -> Response {
    let mut location = format!("/api/broadcasts/{id}/media?from={}&to={ms}", wanted.from.unwrap_or(0));
    if let Some(precision) = wanted.precision {
        location += &format!("&precision={precision}");
    }
    if let Some(format) = wanted.format {
        location += &format!("&format={format}");
    }
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
