//! What WHIP (RFC 9725) and WHEP share: the 201, the addresses of sessions, and the headers that let other sites' players in.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use media::id::{BroadcastId, SessionId, ShardId};
use ring::hmac;

use super::extract::{body, media_type};
use crate::app::App;
use crate::error::{Code, Error};

/// What a PATCH carries (RFC 8840 §9).
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

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

/// A change of a session's ICE, and which state of it the client knows.
pub struct IcePatch {
    fragment: String,
    /// Entity tags of `If-Match`; `None` for `*`.
    expects: Option<Vec<String>>,
}

impl<S: Send + Sync> FromRequest<S> for IcePatch {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        if media_type(request.headers()).is_none_or(|kind| kind != FRAGMENT) {
            return Err(Error::new(Code::UnsupportedMediaType, format!("a change of ICE must be {FRAGMENT}")));
        }
        let given = request.headers().get(header::IF_MATCH);
        let given =
            given.ok_or_else(|| Error::new(Code::PreconditionRequired, "If-Match: the ETag, or * to restart"))?;
        let given = given.to_str().map_err(|_| Error::invalid("If-Match is not text"))?.trim();
        let tags = || given.split(',').map(|tag| tag.trim().trim_matches('"').to_owned()).collect();
        let expects = (given != "*").then(tags);
        let fragment = String::from_utf8(body(request).await?.to_vec());
        Ok(Self { fragment: fragment.map_err(|_| Error::invalid("the fragment is not UTF-8"))?, expects })
    }
}

impl IcePatch {
    /// 204 for candidates; 200 with our new credentials after a restart (RFC 9725 §4.3).
    ///
    /// # Errors
    /// `conflict` when the session's ICE has been restarted since the `ETag`, `invalid`, `not_found`.
    pub async fn apply(self, app: &App, token: &str) -> Result<Response, Error> {
        let session = Token::read(app, token)?.session;
        let Some(fragment) = app.plane().ice(session, self.fragment, self.expects).await? else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        let etag = etag(&fragment);
        let mut response = fragment.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(etag.map(|etag| (header::ETAG, etag)));
        Ok(response)
    }
}

/// The state of a session's ICE: it changes with its user fragment (RFC 9725 §4.3.1).
fn etag(sdp: &str) -> Option<HeaderValue> {
    let ufrag = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"))?;
    HeaderValue::from_str(&format!("\"{}\"", ufrag.trim_end())).ok()
}

/// 201 with the answer, the address of the session, and the TURN servers that may be used.
pub fn created(app: &App, location: &str, answer: String) -> Response {
    let etag = etag(&answer);
    let mut response = (StatusCode::CREATED, answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/sdp"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(HeaderValue::from_str(location).ok().map(|location| (header::LOCATION, location)));
    headers.extend(etag.map(|etag| (header::ETAG, etag)));
    for link in app.settings().turn.iter().flat_map(|turn| turn.server().links().collect::<Vec<_>>()) {
        headers.append(header::LINK, link);
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
    let methods = if is_session { "PATCH, DELETE, OPTIONS" } else { "POST, OPTIONS" };
    headers.insert(HeaderName::from_static("accept-patch"), HeaderValue::from_static(FRAGMENT));
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
        HeaderValue::from_static("location, etag, link, retry-after, accept-post, accept-patch"),
    );
    response
}
