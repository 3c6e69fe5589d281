//! The browser's session: the key is given once and becomes a cookie that no script can read.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::extract::Json;
use crate::app::App;
use crate::auth::{self, Caller};
use crate::error::{Code, Error};
use crate::openapi::Problems;
use crate::view::Session;

#[derive(Deserialize, ToSchema)]
pub struct Key {
    key: String,
}

#[utoipa::path(
    get,
    path = "/api/session",
    summary = "Who the browser is",
    responses((status = 200, description = "Who the browser is", body = Session), Problems),
)]
pub async fn read(State(app): State<App>, headers: HeaderMap) -> Response {
    let session = Session { streamer: auth::has_session(&app, &headers) };
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(session)).into_response()
}

#[utoipa::path(
    post,
    path = "/api/session",
    summary = "Give the key once and get a cookie",
    request_body = Key,
    responses((status = 204, description = "The cookie is set"), Problems),
)]
pub async fn open(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    Json(Key { key }): Json<Key>,
) -> Result<Response, Error> {
    own_page(&app, &headers)?;
    auth::with_key(&app, &key, caller)?;
    Ok(answered(&app, &app.keys().issue()))
}

#[utoipa::path(
    delete,
    path = "/api/session",
    summary = "End the session",
    responses((status = 204, description = "The cookie is gone"), Problems),
)]
pub async fn close(State(app): State<App>, headers: HeaderMap) -> Result<Response, Error> {
    own_page(&app, &headers)?;
    Ok(answered(&app, ""))
}

fn own_page(app: &App, headers: &HeaderMap) -> Result<(), Error> {
    if auth::same_site(headers, app.settings().public_url.as_ref()) {
        return Ok(());
    }
    Err(Error::new(Code::Forbidden, "a request from another site cannot open or close a session"))
}

fn answered(app: &App, cookie: &str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&auth::set_cookie(cookie, app.settings().public_url.as_ref())) {
        headers.insert(header::SET_COOKIE, value);
    }
    response
}
