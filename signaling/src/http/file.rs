//! The files of clips: media with ranges, posters. From the spool while a clip is not stored, then from the object store.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use storage::content_disposition;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::extract::{Asked, IdOf};
use super::pictures::picture;
use crate::access::Visitor;
use crate::app::App;
use crate::assets::matches_etag;
use crate::clips::{self, Found};
use crate::error::{Code, Error};
use crate::openapi::Problems;
use crate::range::{Wanted, wanted};

/// How long a presigned address works: a viewing with pauses.
const PRESIGNED: Duration = Duration::from_secs(6 * 3600);
/// Bytes read from disk at a time.
const CHUNK: usize = 64 * 1024;

#[derive(Deserialize)]
pub struct Options {
    download: Option<String>,
}

/// One file to send.
pub struct File {
    /// In the spool; otherwise in the object store.
    pub local: Option<PathBuf>,
    /// Empty for one that is nowhere else.
    pub key: String,
    pub mime: String,
    pub size: u64,
    pub etag: String,
    /// Save it under this name.
    pub name: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/media",
    summary = "The file of a clip",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("link" = Option<String>, Query, description = "Of a clip that is link only"), ("download" = Option<String>, Query), ("Range" = Option<String>, Header)),
    responses((status = 200, description = "The whole file", content_type = "video/mp4"), (status = 206, description = "The range asked for", content_type = "video/mp4"), (status = 302, description = "At an address of the store"), (status = 304, description = "As you have it"), Problems),
)]
pub async fn media(
    State(app): State<App>,
    visitor: Visitor,
    IdOf(id): IdOf,
    Asked(options): Asked<Options>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let download = options.download.is_some_and(|value| value != "0" && value != "false");
    let Found { clip, file, error, .. } = clips::locate(&app, &id).await?;
    let left = visitor.may_see(&app, &clip)?;
    if file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
        let detail = error.unwrap_or_else(|| "the clip is still being prepared".into());
        return Err(Error::new(Code::NotFound, detail).retry_after(Duration::from_secs(1)));
    }
    let local = here(file).await;
    let name = download.then(|| file_name(&clip.title, &clip.mime));
    let presigned = left.map_or(PRESIGNED, |left| left.min(PRESIGNED));
    if local.is_none()
        && app.settings().presign
        && let Some(url) = app.objects().presign(&clip.object, presigned, name.as_deref()).await?
    {
        let mut response = StatusCode::FOUND.into_response();
        let location = HeaderValue::from_str(url.as_str()).map_err(|e| Error::internal("the store's address", e))?;
        response.headers_mut().insert(header::LOCATION, location);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return Ok(response);
    }
    let etag = format!("\"{}\"", clip.sha256);
    let file = File { local, key: clip.object, mime: clip.mime, size: clip.size, etag, name };
    send(&app, file, &method, &headers).await
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}/poster",
    summary = "The poster of a clip",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, description = "The picture", content_type = "image/jpeg"), (status = 206, description = "A part of it", content_type = "image/jpeg"), (status = 304, description = "As you have it"), Problems),
)]
pub async fn poster(
    State(app): State<App>,
    visitor: Visitor,
    IdOf(id): IdOf,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let found = clips::seen(&app, &visitor, &id).await?;
    let key = found.clip.poster.clone().ok_or_else(Error::not_found)?;
    picture(&app, &found, key, "image/jpeg", &method, &headers).await
}

/// The file in the spool, unless it was stored and cleaned up a moment ago: the object is there then.
async fn here(file: Option<PathBuf>) -> Option<PathBuf> {
    let file = file?;
    tokio::fs::try_exists(&file).await.unwrap_or(false).then_some(file)
}

pub async fn send(app: &App, file: File, method: &Method, headers: &HeaderMap) -> Result<Response, Error> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|list| matches_etag(list, &file.etag)) {
        return Ok(with_headers(StatusCode::NOT_MODIFIED.into_response(), &file));
    }
    // RFC 9110 §13.1.5: a range of another version is no use; a date is never ours.
    let same = text(header::IF_RANGE).is_none_or(|tag| tag.trim() == file.etag);
    let asked = text(header::RANGE).filter(|_| same && (*method == Method::GET || *method == Method::HEAD));
    let (status, first, last) = match wanted(asked, file.size) {
        Wanted::Whole => (StatusCode::OK, 0, file.size.saturating_sub(1)),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last),
        Wanted::Nothing => {
            let refusal = Error::new(Code::RangeNotSatisfiable, format!("the file has {} bytes", file.size));
            let mut response = refusal.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", file.size));
            return Ok(response);
        }
    };
    let length = if file.size == 0 { 0 } else { last - first + 1 };
    let body =
        if *method == Method::HEAD || length == 0 { Body::empty() } else { body(app, &file, first, length).await? };
    let mut response = with_headers((status, body).into_response(), &file);
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {first}-{last}/{}", file.size));
    }
    Ok(response)
}

async fn body(app: &App, file: &File, first: u64, length: u64) -> Result<Body, Error> {
    if let Some(path) = &file.local {
        match tokio::fs::File::open(path).await {
            Ok(mut open) => {
                open.seek(SeekFrom::Start(first)).await.map_err(|e| Error::internal("a clip cannot be read", e))?;
                return Ok(Body::from_stream(ReaderStream::with_capacity(open.take(length), CHUNK)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.key.is_empty() => {
                return Err(Error::new(Code::Away, "the file was just removed").retry_after(Duration::from_secs(1)));
            }
            // Stored and cleaned up since we looked.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::internal("a clip cannot be read", error)),
        }
    }
    let object = app.objects().get(&file.key, Some((first, first + length - 1))).await?;
    if object.size != file.size && file.local.is_none() {
        return Err(Error::internal("a stored clip has another size than its row", object.size));
    }
    Ok(Body::from_stream(object.stream))
}

fn with_headers(mut response: Response, file: &File) -> Response {
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CONTENT_TYPE, &file.mime);
    set(&mut response, header::ETAG, &file.etag);
    // The bytes under an id never change, but a clip can be deleted.
    set(&mut response, header::CACHE_CONTROL, "private, max-age=3600");
    if let Some(name) = &file.name {
        set(&mut response, header::CONTENT_DISPOSITION, &content_disposition(name));
    }
    response
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The title with the ending of its kind. What a file system cannot take is replaced by `content_disposition`.
fn file_name(title: &str, mime: &str) -> String {
    let kind = mime.split(';').next().unwrap_or_default().trim();
    let extension = match kind {
        "video/webm" | "audio/webm" => "webm",
        "audio/mp4" => "m4a",
        _ => "mp4",
    };
    format!("{title}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_download_ends_as_its_kind_does() {
        for (mime, name) in
            [("video/mp4", "Opening.mp4"), ("video/webm; codecs=vp8", "Opening.webm"), ("audio/mp4", "Opening.m4a")]
        {
            assert_eq!(file_name("Opening", mime), name);
        }
    }
}
