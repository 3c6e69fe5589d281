//! Clips: list, read, rename, delete, try again. Their files are in `file.rs`.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use storage::{ClipQuery, Id};

use super::extract::{Asked, IdOf, Json, channel_name};
use crate::app::App;
use crate::auth::Streamer;
use crate::clips;
use crate::error::Error;
use crate::view::{Clip, Page};

#[derive(Deserialize)]
pub struct Query {
    channel: Option<String>,
    broadcast: Option<String>,
    text: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Longest text to search for, in characters.
const TEXT_CHARS: usize = 200;

pub async fn list(State(app): State<App>, Asked(query): Asked<Query>) -> Result<Answer<Page<Clip>>, Error> {
    if let Some(channel) = &query.channel {
        channel_name(channel)?;
    }
    let broadcast = query.broadcast.as_deref().map(str::parse::<Id>).transpose();
    let broadcast = broadcast.map_err(|error| Error::invalid(error.to_string()))?;
    let text = query.text.filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS) {
        return Err(Error::invalid(format!("text has at most {TEXT_CHARS} characters")));
    }
    let limit = clips::limit(query.limit)?;
    let page = clips::page(&app, ClipQuery { channel: query.channel, broadcast, text, cursor: query.cursor, limit });
    Ok(Answer(page.await?))
}

pub async fn read(State(app): State<App>, IdOf(id): IdOf) -> Result<Response, Error> {
    Ok(tagged(clips::find(&app, &id).await?))
}

#[derive(Deserialize)]
pub struct Edit {
    title: String,
}

pub async fn rename(
    State(app): State<App>,
    _: Streamer,
    IdOf(id): IdOf,
    headers: HeaderMap,
    Json(Edit { title }): Json<Edit>,
) -> Result<Response, Error> {
    let clip = clips::rename(&app, &id, title, if_match(&headers)?).await?;
    Ok(tagged(clip))
}

pub async fn delete(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<StatusCode, Error> {
    clips::delete(&app, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn retry(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<Response, Error> {
    Ok(tagged(clips::retry(&app, &id).await?))
}

/// The revision that `If-Match` names.
fn if_match(headers: &HeaderMap) -> Result<Option<u32>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let revision =
        text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|digits| digits.parse().ok());
    revision.map(Some).ok_or_else(|| Error::invalid("If-Match is the ETag of the clip, such as \"3\""))
}

fn tagged(clip: Clip) -> Response {
    let etag = format!("\"{}\"", clip.revision);
    let mut response = Answer(clip).into_response();
    if let Ok(value) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
