//! Who may see a clip: who holds the key, everybody once it is published, and who holds a link to it that is still good while it is
//! "link only". To all others a clip does not exist.
//!
//! Of a broadcast whoever could see the live may see the recording too, while it goes on and for [`AFTERWARDS`] after its end; from then on everybody has
//! of it what is published, and who holds the key has all.
//!
//! A link is `v1.<expiry>.<mac>` in the query (`?link=`), made with a key derived from the stream key: it survives a restart, a new
//! stream key ends all of them, and hiding the clip ends those to it.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use ring::hmac;
use serde::Deserialize;
use storage::{Clip, ClipKind, ClipQuery, Id, Secret, Visibility};

use crate::app::{App, now_ms};
use crate::auth::{Actor, Caller, actor};
use crate::clips;
use crate::error::{Code, Error};
use crate::view::{self, ClipAddress};

/// How long a link is good unless asked otherwise: a week.
pub const LINK_SECONDS: u64 = 7 * 24 * 3600;
/// The recording of a broadcast stays open to all for so long after its end, so that somebody who is behind comes to the end of it.
pub const AFTERWARDS: Duration = Duration::from_secs(600);
/// How far the wall clock of a part may be from where it lies on its broadcast's timeline.
const CLOCKS_MS: i64 = 60_000;
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

/// Whether everybody may see what was recorded of a broadcast: replayed, as a file, or as a clip made of it. `range`: of its timeline, nanoseconds;
/// none for all that is kept.
///
/// # Errors
/// `away` when it depends on what is published and the database does not answer.
pub async fn is_open_to_all(app: &App, broadcast: &Id, range: Option<Range<u64>>) -> Result<bool, Error> {
    if app.lives().rooms().await.iter().any(|room| room.broadcast.to_string() == broadcast.as_str()) {
        return Ok(true);
    }
    let known = match app.local().local_broadcast(broadcast.clone()).await? {
        Some(known) => Some(known),
        None => app.database().broadcast(broadcast).await?,
    };
    let Some(known) = known else { return Ok(false) };
    if just_ended(known.ended_at_ms, now_ms()) {
        return Ok(true);
    }
    if all_parts_are_published(app, broadcast).await? {
        return Ok(true);
    }
    match range {
        Some(range) => lies_in_published_parts(app, &known, range).await,
        None => Ok(false),
    }
}

/// A broadcast that is not live and has not ended either is about to do one of both.
fn just_ended(ended_at_ms: Option<i64>, now_ms: i64) -> bool {
    ended_at_ms.is_none_or(|at| now_ms - at < AFTERWARDS.as_millis() as i64)
}

async fn all_parts_are_published(app: &App, broadcast: &Id) -> Result<bool, Error> {
    for (visibility, some) in [(Visibility::Hidden, false), (Visibility::Link, false), (Visibility::Published, true)] {
        let query = ClipQuery { visibility: Some(visibility), limit: 1, ..parts_of(broadcast) };
        if parts(app, query).await?.is_empty() == some {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Without a hole, and without one that was deleted in between.
async fn lies_in_published_parts(app: &App, broadcast: &storage::Broadcast, range: Range<u64>) -> Result<bool, Error> {
    let ms = |ns: u64| ns as f64 / 1e6;
    let to_ms = i64::try_from(range.end / 1_000_000).ok().and_then(|ms| ms.checked_add(CLOCKS_MS));
    let to_ms = to_ms.and_then(|ms| broadcast.started_at_ms.checked_add(ms));
    let newest_first = parts(app, ClipQuery { to_ms, ..parts_of(&broadcast.id) }).await?;
    let mut later: Option<u32> = None;
    for part in newest_first.into_iter().filter(|part| part.from_ms < ms(range.end)) {
        if part.visibility != view::Visibility::Published || later.is_some_and(|later| part.part + 1 != later) {
            return Ok(false);
        }
        if part.from_ms <= ms(range.start) || part.part == 0 {
            return Ok(true);
        }
        later = Some(part.part);
    }
    Ok(false)
}

fn parts_of(broadcast: &Id) -> ClipQuery {
    ClipQuery { broadcast: Some(broadcast.clone()), kind: Some(ClipKind::Part), ..ClipQuery::default() }
}

async fn parts(app: &App, query: ClipQuery) -> Result<Vec<view::Clip>, Error> {
    let page = clips::page(app, query).await?;
    if page.partial {
        return Err(Error::new(Code::Away, "the database does not answer, so nobody knows what is published"));
    }
    Ok(page.items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_open_to_all_for_ten_minutes_after_the_end() {
        let now = 1_700_000_000_000;
        for (ended, seen) in
            [(None, true), (Some(now), true), (Some(now - 599_000), true), (Some(now - 600_000), false)]
        {
            assert_eq!(just_ended(ended, now), seen, "{ended:?}");
        }
    }

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
