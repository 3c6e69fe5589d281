//! Request → [`Actor`]. Until accounts exist the holder of the key is the owner: every write needs the key or its cookie.
//!
//! The key is compared as SHA-256 in constant time and never leaves this file. The cookie carries `v1.<expiry>.<nonce>.<mac>`,
//! made with a key derived from the stream key: it survives a restart, and a new stream key ends all sessions.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};
use ring::hmac;
use sha2::{Digest, Sha256};
use storage::Secret;
use subtle::ConstantTimeEq;
use url::Url;

use crate::app::App;
use crate::error::{Code, Error};

pub const COOKIE: &str = "oxbow_session";
const COOKIE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Holds the key.
    Streamer,
    Stranger,
}

/// What the stream key is kept as.
pub struct Keys {
    digest: [u8; 32],
    cookie: hmac::Key,
}

impl Keys {
    pub fn new(key: &Secret) -> Self {
        let digest = Sha256::digest(key.expose().as_bytes()).into();
        let derive = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
        let cookie = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&derive, b"oxbow session cookie v1").as_ref());
        Self { digest, cookie }
    }

    pub fn is_key(&self, text: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        given.ct_eq(&self.digest).into()
    }

    /// A cookie's value.
    pub fn issue(&self) -> String {
        let expiry = now_s() + COOKIE_LIFE.as_secs();
        let head = format!("v1.{expiry}.{}", hex::encode(rand::random::<[u8; 12]>()));
        let mac = hmac::sign(&self.cookie, head.as_bytes());
        format!("{head}.{}", hex::encode(mac.as_ref()))
    }

    pub fn accepts(&self, cookie: &str) -> bool {
        let Some((head, mac)) = cookie.rsplit_once('.') else { return false };
        let Ok(mac) = hex::decode(mac) else { return false };
        if hmac::verify(&self.cookie, head.as_bytes(), &mac).is_err() {
            return false;
        }
        let expiry =
            head.strip_prefix("v1.").and_then(|rest| rest.split('.').next()).and_then(|e| e.parse::<u64>().ok());
        expiry.is_some_and(|expiry| expiry > now_s())
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The `Set-Cookie` of a new session, or of its end when `value` is empty.
pub fn set_cookie(value: &str, public_url: Option<&Url>) -> String {
    let life = if value.is_empty() { 0 } else { COOKIE_LIFE.as_secs() };
    let secure = if public_url.is_some_and(|url| url.scheme() == "https") { "; Secure" } else { "" };
    format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={life}{secure}")
}

/// Who asks, by the `Authorization` header or the cookie. A wrong key is an error, not a stranger.
///
/// # Errors
/// `bad_key`, `rate_limited`, and `forbidden` for a write by cookie from another site.
pub fn actor(app: &App, method: &http::Method, headers: &HeaderMap, caller: IpAddr) -> Result<Actor, Error> {
    if let Some(key) = bearer(headers) {
        return with_key(app, key, caller).map(|()| Actor::Streamer);
    }
    if !has_session(app, headers) {
        return Ok(Actor::Stranger);
    }
    if !method.is_safe() && !same_site(headers, app.settings().public_url.as_ref()) {
        return Err(Error::new(Code::Forbidden, "a request from another site cannot use this session"));
    }
    Ok(Actor::Streamer)
}

/// Checks a key that was given.
///
/// # Errors
/// `bad_key`, and `rate_limited` after too many of them.
pub fn with_key(app: &App, key: &str, caller: IpAddr) -> Result<(), Error> {
    app.wrong_keys().may_try(caller)?;
    if app.keys().is_key(key) {
        return Ok(());
    }
    app.wrong_keys().count(caller);
    Err(Error::bad_key())
}

pub fn has_session(app: &App, headers: &HeaderMap) -> bool {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(name, value)| name == COOKIE && app.keys().accepts(value))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a browser says that the request comes from our own pages. What is no browser says nothing and is believed: it
/// has no cookies of somebody else.
pub fn same_site(headers: &HeaderMap, public_url: Option<&Url>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let Ok(origin) = Url::parse(origin) else { return false };
    if public_url.is_some_and(|public| public.origin() == origin.origin()) {
        return true;
    }
    let authority = match origin.port() {
        Some(port) => format!("{}:{port}", origin.host_str().unwrap_or_default()),
        None => origin.host_str().unwrap_or_default().to_owned(),
    };
    let default = match origin.scheme() {
        "https" => ":443",
        _ => ":80",
    };
    text("host").is_some_and(|host| host.strip_suffix(default).unwrap_or(host).eq_ignore_ascii_case(&authority))
}

/// The client's address, put into the request by the outermost layer.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Caller>().copied().ok_or_else(|| Error::internal("no client address", "missing layer"))
    }
}

/// In a handler's arguments: the request needs the key.
pub struct Streamer;

impl FromRequestParts<App> for Streamer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Caller(caller) = Caller::from_request_parts(parts, app).await?;
        match actor(app, &parts.method, &parts.headers, caller)? {
            Actor::Streamer => Ok(Streamer),
            Actor::Stranger => Err(Error::key_required()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    #[test]
    fn a_cookie_is_made_from_the_key_and_does_not_show_it() {
        let keys = Keys::new(&Secret::new("river-key"));
        let cookie = keys.issue();
        assert!(keys.accepts(&cookie) && !cookie.contains("river-key"));
        assert!(Keys::new(&Secret::new("river-key")).accepts(&cookie), "it survives a restart");
        assert!(!Keys::new(&Secret::new("other-key")).accepts(&cookie), "a new key ends the session");
        for forged in ["", "v1", "v1.99999999999.00.00", &cookie[..cookie.len() - 2], &cookie.replace("v1.", "v1.9")] {
            assert!(!keys.accepts(forged), "{forged}");
        }
    }

    #[test]
    fn only_the_key_is_the_key() {
        let keys = Keys::new(&Secret::new("river-key"));
        assert!(keys.is_key("river-key"));
        for wrong in ["", "river-ke", "river-key ", "River-key"] {
            assert!(!keys.is_key(wrong), "{wrong}");
        }
    }

    #[test]
    fn cookies_are_strict_and_secure_behind_https() {
        let https = Url::parse("https://live.example").unwrap();
        let cookie = set_cookie("x", Some(&https));
        for flag in ["HttpOnly", "SameSite=Strict", "Path=/", "Secure"] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert!(!set_cookie("x", None).contains("Secure"));
        assert!(set_cookie("", None).contains("Max-Age=0"));
    }

    #[test]
    fn other_sites_are_told_apart() {
        let public = Url::parse("https://live.example").unwrap();
        for (pairs, own) in [
            (&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")][..], true),
            (&[("host", "live.example"), ("origin", "https://live.example")], true),
            (&[("host", "live.example:443"), ("origin", "https://live.example")], true),
            (&[("host", "inner:8080"), ("origin", "https://live.example")], true),
            (&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9090")], false),
            (&[("host", "127.0.0.1:8080"), ("origin", "null")], false),
            (&[("host", "127.0.0.1:8080"), ("origin", "https://evil.example")], false),
            (&[("host", "live.example"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "live.example"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "live.example"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "live.example")], true),
        ] {
            assert_eq!(same_site(&headers(pairs), Some(&public)), own, "{pairs:?}");
        }
    }
}
