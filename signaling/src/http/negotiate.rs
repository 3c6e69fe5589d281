//! What WHIP (RFC 9725) and WHEP share: the 201, the addresses of sessions, and the headers that let other sites' players in.

use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use media::id::{BroadcastId, SessionId, ShardId};
use ring::hmac;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::error::{Code, Error};

/// The last segment of a session's address: `<session>.<broadcast>.<mac>`. Nobody can guess another's.
pub struct Token {
    pub session: SessionId,
    pub broadcast: BroadcastId,
}

impl Token {
    pub fn sign(&self, app: &App) -> String {
        let head = format!("{}.{}", self.session, self.broadcast);
        let mac = hmac::sign(app.resource_key(), head.as_bytes());
        format!("{head}.{}", hex::encode(&mac.as_ref()[..16]))
    }

    /// # Errors
    /// `not_found` for anything that [`Token::sign`] of this process did not make.
    pub fn read(app: &App, text: &str) -> Result<Self, Error> {
        let token = Self::parse(text).ok_or_else(Error::not_found)?;
        let same: bool = subtle::ConstantTimeEq::ct_eq(token.sign(app).as_bytes(), text.as_bytes()).into();
        if same { Ok(token) } else { Err(Error::not_found()) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (shard, counter) = parts.next()?.strip_prefix('s')?.split_once('-')?;
        let session = SessionId::new(ShardId(shard.parse().ok()?), counter.parse().ok()?);
        let broadcast = parts.next()?.parse().ok()?;
        Some(Self { session, broadcast })
    }
}

/// 201 with the answer and the address of the session.
pub fn created(location: &str, answer: String) -> Response {
    let etag = format!("\"{}\"", &hex::encode(Sha256::digest(answer.as_bytes()))[..16]);
    let mut response = (StatusCode::CREATED, answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/sdp"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [(header::LOCATION, location), (header::ETAG, &etag)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Refuses while the server stops.
///
/// # Errors
/// `shutting_down`.
pub fn still_open(app: &App) -> Result<(), Error> {
    if app.is_stopping() {
        return Err(Error::new(Code::ShuttingDown, "the server is shutting down").retry_after(Duration::from_secs(5)));
    }
    Ok(())
}

pub async fn preflight(request: Request) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("accept-post"), HeaderValue::from_static("application/sdp"));
    let is_session = request.uri().path().matches('/').count() > 2;
    let methods = if is_session { "DELETE, OPTIONS" } else { "POST, OPTIONS" };
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type, if-match"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Players and encoders on other sites may use WHIP and WHEP; credentials of this site are never sent along.
pub async fn open_to_all_sites(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("location, etag, link, retry-after, accept-post"),
    );
    response
}
