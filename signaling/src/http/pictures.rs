//! What was made to look at a clip by: the storyboard, its sheets, the peaks of the sound, posters to choose from. From the spool while
//! they are not stored, then from the object store.

use std::path::PathBuf;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde::Deserialize;

use super::clip::tagged;
use super::extract::{Asked, IdOf, Json, PictureOf};
use super::file::{File, send};
use crate::access::Visitor;
use crate::app::App;
use crate::auth::Streamer;
use crate::clips::{self, Found};
use crate::covers::{self, Moment};
use crate::error::Error;
use crate::openapi::Problems;
use crate::view::{Clip, PosterChoice};

/// Longest index of a storyboard, bytes; 400 pictures take 35 kB.
const INDEX_BYTES: usize = 256 * 1024;

#[derive(Deserialize)]
pub struct Held {
    link: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/storyboard.vtt",
    summary = "The storyboard of a clip: which part of which sheet shows which time",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, description = "WebVTT, whose texts are addresses relative to this one with a media fragment (#xywh=)", content_type = "text/vtt"), Problems),
)]
pub async fn storyboard(
    State(app): State<App>,
    visitor: Visitor,
    IdOf(id): IdOf,
    Asked(held): Asked<Held>,
) -> Result<Response, Error> {
    let found = clips::seen(&app, &visitor, &id).await?;
    let board = found.clip.pictures.as_ref().and_then(|pictures| pictures.storyboard.as_ref());
    let key = board.ok_or_else(Error::not_found)?.index.clone();
    let bytes = read(&app, &found, &key).await?;
    let mut text =
        String::from_utf8(bytes.into()).map_err(|error| Error::internal("a storyboard is no text", error))?;
    if let Some(link) = held.link {
        // a sheet has no other way to know what opened its index
        let link: String = url::form_urlencoded::byte_serialize(link.as_bytes()).collect();
        text = text.replace(".jpg#", &format!(".jpg?link={link}#"));
    }
    let headers = [(header::CONTENT_TYPE, "text/vtt"), (header::CACHE_CONTROL, "private, max-age=3600")];
    Ok((headers, text).into_response())
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/storyboard/{n}",
    summary = "One sheet of a storyboard",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("n" = String, Path, description = "Counted from 0, with or without .jpg"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, description = "The sheet", content_type = "image/jpeg"), (status = 206, description = "A part of it", content_type = "image/jpeg"), (status = 304, description = "As you have it"), Problems),
)]
pub async fn sheet(
    State(app): State<App>,
    visitor: Visitor,
    PictureOf(id, number): PictureOf,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let found = clips::seen(&app, &visitor, &id).await?;
    let board = found.clip.pictures.as_ref().and_then(|pictures| pictures.storyboard.as_ref());
    let key = board.and_then(|board| board.sheets.get(number)).ok_or_else(Error::not_found)?.clone();
    picture(&app, &found, key, "image/jpeg", &method, &headers).await
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/waveform",
    summary = "The peaks of a clip's sound",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, description = "JSON of the audiowaveform format, version 2, in 8 bits", content_type = "application/json"), (status = 206, description = "A part of it", content_type = "application/json"), (status = 304, description = "As you have it"), Problems),
)]
pub async fn waveform(
    State(app): State<App>,
    visitor: Visitor,
    IdOf(id): IdOf,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let found = clips::seen(&app, &visitor, &id).await?;
    let key = found.clip.pictures.as_ref().and_then(|pictures| pictures.waveform.clone());
    picture(&app, &found, key.ok_or_else(Error::not_found)?, "application/json", &method, &headers).await
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/posters",
    summary = "Posters to choose from, the best first",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, body = Vec<PosterChoice>), Problems),
)]
pub async fn posters(
    State(app): State<App>,
    visitor: Visitor,
    IdOf(id): IdOf,
) -> Result<Answer<Vec<PosterChoice>>, Error> {
    let found = clips::seen(&app, &visitor, &id).await?;
    let link = visitor.link_to(&found.clip).map(str::to_owned);
    let clip = Clip::from(found);
    Ok(Answer(link.into_iter().fold(clip, |clip, link| clip.with_link(&link)).posters))
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/posters/{n}",
    summary = "A poster to choose from",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("n" = String, Path, description = "Counted from 0, with or without .jpg"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, description = "The picture", content_type = "image/jpeg"), (status = 206, description = "A part of it", content_type = "image/jpeg"), (status = 304, description = "As you have it"), Problems),
)]
pub async fn poster(
    State(app): State<App>,
    visitor: Visitor,
    PictureOf(id, number): PictureOf,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let found = clips::seen(&app, &visitor, &id).await?;
    let choices = found.clip.pictures.as_ref().map_or(&[][..], |pictures| &pictures.posters);
    let key = choices.get(number).ok_or_else(Error::not_found)?.object.clone();
    picture(&app, &found, key, "image/jpeg", &method, &headers).await
}

#[utoipa::path(
    post,
    path = "/api/clips/{id}/posters",
    summary = "Make the picture of a moment the clip's poster",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    request_body = Moment,
    responses((status = 200, description = "The clip as it is now", body = Clip), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn choose(
    State(app): State<App>,
    _: Streamer,
    IdOf(id): IdOf,
    Json(moment): Json<Moment>,
) -> Result<Response, Error> {
    Ok(tagged(covers::choose_moment(&app, &id, &moment).await?))
}

/// Sends one of a clip's pictures, or what is kept like one.
pub(super) async fn picture(
    app: &App,
    found: &Found,
    key: String,
    mime: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let local = here(app, found, &key).await?;
    let size = match &local {
        Some(path) => tokio::fs::metadata(path).await.map_err(|_| Error::not_found())?.len(),
        None => app.objects().head(&key).await?.ok_or_else(Error::not_found)?.size,
    };
    // the same name may get another picture when the clip is looked at again
    let etag = format!("\"{}-{size}\"", key.rsplit('/').next().unwrap_or_default());
    send(app, File { local, key, mime: mime.into(), size, etag, name: None }, method, headers).await
}

async fn read(app: &App, found: &Found, key: &str) -> Result<Bytes, Error> {
    if let Some(path) = here(app, found, key).await?
        && let Ok(bytes) = tokio::fs::read(path).await
    {
        return Ok(bytes.into());
    }
    Ok(app.objects().get(key, None).await?.bytes(INDEX_BYTES).await?)
}

/// The file in the spool. A clip that is stored may have pictures that are not, for a moment.
async fn here(app: &App, found: &Found, key: &str) -> Result<Option<PathBuf>, Error> {
    let file = match &found.file {
        Some(file) => Some(file.clone()),
        None => app.local().local_clip(found.clip.id.clone()).await?.and_then(|row| row.file),
    };
    let Some(path) = file.and_then(|file| found.clip.beside(&file, key)) else { return Ok(None) };
    Ok(tokio::fs::try_exists(&path).await.unwrap_or(false).then_some(path))
}
