//! The browser's session: the key is given once and becomes a cookie that no script can read.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::extract::Json;
use crate::app::App;
use crate::auth::{self, Caller};
use crate::error::{Code, Error};
use crate::view::Session;

#[derive(Deserialize)]
pub struct Key {
    key: String,
}

pub async fn read(State(app): State<App>, headers: HeaderMap) -> Response {
    let session = Session { streamer: auth::has_session(&app, &headers) };
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(session)).into_response()
}

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
