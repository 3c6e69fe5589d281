//! Who may see a clip: who holds the key, everybody once it is published, and who holds a link to it that is still good while it is
//! "link only". To all others a clip does not exist.
//!
//! A link is `v1.<expiry>.<mac>` in the query (`?link=`), made with a key derived from the stream key: it survives a restart, a new
//! stream key ends all of them, and hiding the clip ends those to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use ring::hmac;
use serde::Deserialize;
use storage::{Clip, ClipQuery, Id, Secret, Visibility};

use crate::app::App;
use crate::auth::{Actor, Caller, actor};
use crate::error::{Code, Error};
use crate::view::ClipAddress;

/// How long a link is good unless asked otherwise: a week.
pub const LINK_SECONDS: u64 = 7 * 24 * 3600;
/// Longest text that is looked at as a link.
const LINK_BYTES: usize = 128;

/// Makes and checks links.
pub struct Links {
    key: hmac::Key,
}

impl Links {
    pub fn new(key: &Secret) -> Self {
        let derive = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&derive, b"oxbow clip link v1").as_ref()) }
    }

    /// A link that is good until `expiry` (UTC seconds).
    pub fn issue(&self, clip: &Id, expiry: u64) -> String {
        let mac = hmac::sign(&self.key, &signed(clip, expiry));
        format!("v1.{expiry}.{}", hex::encode(mac.as_ref()))
    }

    /// Addresses that open the clip for so long.
    pub fn address(&self, clip: &Id, seconds: u64) -> ClipAddress {
        let expiry = now_s() + seconds;
        let link = self.issue(clip, expiry);
        ClipAddress {
            page: format!("/c/{clip}?link={link}"),
            media: format!("/api/clips/{clip}/media?link={link}"),
            expires_at: expiry as i64 * 1000,
            link,
        }
    }

    /// How long the link to this clip is still good; none when it was not made here, or for another clip.
    fn left(&self, link: &str, clip: &Id, now_s: u64) -> Option<Duration> {
        if link.len() > LINK_BYTES {
            return None;
        }
        let (expiry, mac) = link.strip_prefix("v1.")?.split_once('.')?;
        let canonical = !expiry.starts_with(['+', '0']);
        let expiry: u64 = expiry.parse().ok().filter(|_| canonical)?;
        hmac::verify(&self.key, &signed(clip, expiry), &hex::decode(mac).ok()?).ok()?;
        Some(Duration::from_secs(expiry.saturating_sub(now_s)))
    }
}

fn signed(clip: &Id, expiry: u64) -> Vec<u8> {
    format!("{clip}.{expiry}").into_bytes()
}

pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// In a handler's arguments: whoever asks, with the link they hold. A wrong key is an error, not a stranger.
#[derive(Clone, Debug)]
pub struct Visitor {
    actor: Actor,
    link: Option<String>,
}

#[derive(Deserialize)]
struct Held {
    link: Option<String>,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Caller(caller) = Caller::from_request_parts(parts, app).await?;
        let actor = actor(app, &parts.method, &parts.headers, caller)?;
        let held = Query::<Held>::try_from_uri(&parts.uri).ok();
        Ok(Self { actor, link: held.and_then(|Query(held)| held.link) })
    }
}

impl Visitor {
    /// The link by which they see it, for those who need one: its other addresses have to carry it.
    pub fn link_to(&self, clip: &Clip) -> Option<&str> {
        let needed = !self.holds_key() && clip.visibility != Visibility::Published;
        self.link.as_deref().filter(|_| needed)
    }

    pub fn holds_key(&self) -> bool {
        self.actor == Actor::Streamer
    }

    /// How long they may see the clip; none: as long as it stays as it is.
    ///
    /// # Errors
    /// `not_found` for a clip that they may not see, `gone` when their link has ended.
    pub fn may_see(&self, app: &App, clip: &Clip) -> Result<Option<Duration>, Error> {
        if self.holds_key() || clip.visibility == Visibility::Published {
            return Ok(None);
        }
        let link = self.link.as_deref().filter(|_| clip.visibility == Visibility::Link);
        match link.and_then(|link| app.links().left(link, &clip.id, now_s())) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            Some(_) => Err(Error::new(Code::Gone, "this link has ended")),
            None => Err(Error::not_found()),
        }
    }

    /// What a list may hold for them.
    ///
    /// # Errors
    /// `key_required` when they ask for what they may not see.
    pub fn narrow(&self, mut query: ClipQuery) -> Result<ClipQuery, Error> {
        if !self.holds_key() {
            if query.visibility.is_some_and(|wanted| wanted != Visibility::Published) {
                return Err(Error::key_required());
            }
            query.visibility = Some(Visibility::Published);
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_one_clip_until_it_ends() {
        let links = Links::new(&Secret::new("river-key"));
        let (clip, other) = (Id::new(1, 1), Id::new(1, 2));
        let link = links.issue(&clip, 1000);
        assert_eq!(links.left(&link, &clip, 400), Some(Duration::from_secs(600)));
        assert_eq!(links.left(&link, &clip, 2000), Some(Duration::ZERO), "true, but over");
        assert_eq!(links.left(&link, &other, 400), None);
        assert_eq!(Links::new(&Secret::new("another-key")).left(&link, &clip, 400), None);
        assert!(!link.contains("river-key"));
        let mac = link.rsplit_once('.').unwrap().1;
        for forged in [
            String::new(),
            "v1".into(),
            format!("v1.9999.{mac}"),
            format!("v1.+1000.{mac}"),
            format!("v1.01000.{mac}"),
            format!("v1.1000.{}", &mac[2..]),
            format!("v2.1000.{mac}"),
            "v1.1000.".repeat(1000),
        ] {
            assert_eq!(links.left(&forged, &clip, 400), None, "{forged}");
        }
    }
}
