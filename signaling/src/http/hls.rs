//! Replays as HTTP Live Streaming: while a broadcast goes on, and afterwards as long as its journals are kept.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use storage::Id;

use crate::access::{self, Visitor};
use crate::app::App;
use crate::assets::matches_etag;
use crate::error::Error;
use crate::openapi::Problems;
use crate::replay::{self, Name};

/// A name never means other bytes. Who may have them changes.
const FOREVER: &str = "private, max-age=86400, immutable";
const ASK_AGAIN: &str = "no-cache";

#[utoipa::path(
    get,
    path = "/api/broadcasts/{id}/hls/{name}",
    summary = "The replay of a broadcast: playlist and segments of HTTP Live Streaming",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("name" = String, Path, description = "index.m3u8, and what that names")),
    responses(
        (status = 200, description = "The playlist, an initialisation segment or a segment", content((String = "application/vnd.apple.mpegurl"), (String = "video/mp4"), (String = "video/iso.segment"))),
        (status = 304, description = "As you have it"),
        Problems,
    ),
)]
pub async fn file(
    State(app): State<App>,
    visitor: Visitor,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let id: Id = id.parse().map_err(|_| Error::not_found())?;
    let name = Name::parse(&name).ok_or_else(Error::not_found)?;
    if !visitor.holds_key() && !access::is_open_to_all(&app, &id, None).await? {
        return Err(Error::not_found());
    }
    let body = replay::file(&app, &id, &name).await?;
    let (mime, cache) = match name {
        Name::Playlist => ("application/vnd.apple.mpegurl", ASK_AGAIN),
        Name::Init(_) => ("video/mp4", FOREVER),
        Name::Segment { .. } => ("video/iso.segment", FOREVER),
    };
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..8]));
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if asked.is_some_and(|list| matches_etag(list, &etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}
