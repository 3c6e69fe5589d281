//! What surrounds every route: the client's address, one log line without secrets, figures, and the security headers.
//!
//! Query strings and the tokens of session addresses are never logged: the line carries the route's pattern, not the address.

use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::address;
use crate::app::App;
use crate::auth::Caller;
use crate::listen::Peer;

/// Wraps the routes.
pub fn around(routes: Router<App>, app: App) -> Router<App> {
    // Media is compressed already, and a compressed range would be no range.
    let texts = SizeAbove::new(1024)
        .and(NotForContentType::new("video/"))
        .and(NotForContentType::new("audio/"))
        .and(NotForContentType::new("image/"))
        .and(NotForContentType::new("font/"))
        .and(NotForContentType::new("application/sdp"))
        // Each event has to leave at once.
        .and(NotForContentType::new("text/event-stream"));
    routes.layer(CompressionLayer::new().compress_when(texts)).layer(from_fn_with_state(app, observe))
}

/// Puts [`Caller`] into the request. Outermost, so that the socket sees it as well.
pub async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or_else(unknown, |Peer(peer)| *peer);
    let client = address::client(peer, request.headers(), &app.settings().trusted_proxies);
    request.extensions_mut().insert(Caller(client));
    next.run(request).await
}

fn unknown() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other", |path| path.as_str()).to_owned();
    let method = request.method().clone();
    let caller = request.extensions().get::<Caller>().map(|Caller(address)| *address);
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let took = begun.elapsed();
    let labels = [("route", route.clone()), ("method", known(&method).to_owned()), ("status", status.to_string())];
    metrics::counter!("oxbow_http_requests_total", &labels).increment(1);
    metrics::histogram!("oxbow_http_seconds", "route" => route.clone()).record(took.as_secs_f64());
    if route != "other" && route != "/healthz" && route != "/metrics" {
        tracing::debug!(%method, route, status, ?caller, took_ms = took.as_millis() as u64, "http");
    }
    secure(response.headers_mut(), app.settings().media_origin.as_deref());
    response
}

/// A method as a label: strangers can make up any number of others.
fn known(method: &Method) -> &'static str {
    let all = [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::PUT, Method::DELETE, Method::OPTIONS];
    let names = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"];
    all.iter().position(|known| known == method).map_or("other", |at| names[at])
}

fn secure(headers: &mut HeaderMap, media_origin: Option<&str>) {
    let media = media_origin.unwrap_or_default();
    let policy = format!(
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: {media}; \
         media-src 'self' blob: {media}; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.entry(name).or_insert(value);
        }
    };
    set(header::CONTENT_SECURITY_POLICY, &policy);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    // The studio link carries the key behind a '#', which browsers never send; paths stay private all the same.
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    );
}
