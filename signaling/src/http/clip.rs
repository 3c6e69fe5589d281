//! Clips: list, read, edit, delete, try again. Their files are in `file.rs`.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use storage::model::tidy_tags;
use storage::{ClipQuery, Id};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Asked, IdOf, Json, channel_name};
use crate::access::{self, Visitor};
use crate::app::App;
use crate::auth::Streamer;
use crate::clips;
use crate::error::Error;
use crate::openapi::Problems;
use crate::view::{Clip, ClipAddress, ClipEdit, ClipState, Page};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Query {
    channel: Option<String>,
    broadcast: Option<String>,
    text: Option<String>,
    kind: Option<String>,
    visibility: Option<String>,
    tag: Option<String>,
    pinned: Option<bool>,
    from: Option<i64>,
    to: Option<i64>,
    trouble: Option<String>,
    score: Option<u8>,
    #[param(inline)]
    state: Option<Progress>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// Those that are not at rest.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Progress {
    /// Not stored yet.
    Waiting,
    Failed,
}

/// Longest text to search for, in characters.
const TEXT_CHARS: usize = 200;

impl Query {
    fn check(self) -> Result<ClipQuery, Error> {
        if let Some(channel) = &self.channel {
            channel_name(channel)?;
        }
        let broadcast = self.broadcast.as_deref().map(str::parse::<Id>).transpose();
        let text = self.text.filter(|text| !text.is_empty());
        if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS) {
            return Err(Error::invalid(format!("text has at most {TEXT_CHARS} characters")));
        }
        Ok(ClipQuery {
            channel: self.channel,
            broadcast: broadcast.map_err(|error| Error::invalid(error.to_string()))?,
            text,
            kind: self.kind.as_deref().map(str::parse).transpose()?,
            visibility: self.visibility.as_deref().map(str::parse).transpose()?,
            tag: self.tag.map(|tag| tidy_tags(&[tag]).pop().unwrap_or_default()),
            pinned: self.pinned,
            from_ms: self.from,
            to_ms: self.to,
            trouble: self.trouble.as_deref().map(str::parse).transpose()?,
            max_score: self.score,
            cursor: self.cursor,
            limit: clips::limit(self.limit)?,
        })
    }
}

#[utoipa::path(
    get,
    path = "/api/clips",
    summary = "Clips",
    params(Query),
    responses((status = 200, description = "Newest first", body = Page<Clip>), Problems),
)]
pub async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Asked(query): Asked<Query>,
) -> Result<Answer<Page<Clip>>, Error> {
    let state = query.state;
    let query = visitor.narrow(query.check()?)?;
    Ok(Answer(match state {
        None => clips::page(&app, query).await?,
        Some(state) => {
            let of_that_state = |now: ClipState| match state {
                Progress::Waiting => !matches!(now, ClipState::Stored | ClipState::Failed),
                Progress::Failed => now == ClipState::Failed,
            };
            clips::unfinished(&app, &query, of_that_state).await?
        }
    }))
}

#[utoipa::path(
    get,
    path = "/api/clips/{id}",
    summary = "One clip",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("link" = Option<String>, Query, description = "Of a clip that is link only")),
    responses((status = 200, description = "The clip", body = Clip), Problems),
)]
pub async fn read(State(app): State<App>, visitor: Visitor, IdOf(id): IdOf) -> Result<Response, Error> {
    let found = clips::seen(&app, &visitor, &id).await?;
    let link = visitor.link_to(&found.clip).map(str::to_owned);
    let clip = Clip::from(found);
    Ok(tagged(match link {
        Some(link) => clip.with_link(&link),
        None => clip,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkWanted {
    /// How long it is good.
    seconds: Option<u64>,
}

/// The longest that a link is good: a year.
const LONGEST_LINK: u64 = 366 * 24 * 3600;

#[utoipa::path(
    post,
    path = "/api/clips/{id}/link",
    summary = "Addresses that open a clip",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    request_body = LinkWanted,
    responses((status = 200, description = "Addresses that end by themselves", body = ClipAddress), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn link(
    State(app): State<App>,
    _: Streamer,
    IdOf(id): IdOf,
    Json(LinkWanted { seconds }): Json<LinkWanted>,
) -> Result<Answer<ClipAddress>, Error> {
    let seconds = seconds.unwrap_or(access::LINK_SECONDS);
    if !(1..=LONGEST_LINK).contains(&seconds) {
        return Err(Error::invalid(format!("seconds is 1 to {LONGEST_LINK}")));
    }
    if clips::locate(&app, &id).await?.clip.visibility == storage::Visibility::Hidden {
        return Err(Error::invalid("a hidden clip has no links; make its visibility \"link\" first"));
    }
    Ok(Answer(app.links().address(&id, seconds)))
}

#[utoipa::path(
    patch,
    path = "/api/clips/{id}",
    summary = "Change what is said of a clip",
    params(("id" = String, Path, description = "26 characters of Crockford base 32"), ("If-Match" = Option<String>, Header, description = "The ETag that was edited")),
    request_body = ClipEdit,
    responses((status = 200, description = "The clip as it is now", body = Clip), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn edit(
    State(app): State<App>,
    _: Streamer,
    IdOf(id): IdOf,
    headers: HeaderMap,
    Json(edit): Json<ClipEdit>,
) -> Result<Response, Error> {
    let clip = clips::edit(&app, &id, edit, if_match(&headers)?).await?;
    Ok(tagged(clip))
}

#[utoipa::path(
    delete,
    path = "/api/clips/{id}",
    summary = "Delete a clip",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 204, description = "It is gone"), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn delete(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<StatusCode, Error> {
    clips::delete(&app, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post,
    path = "/api/clips/{id}/retry",
    summary = "Try now what failed",
    params(("id" = String, Path, description = "26 characters of Crockford base 32")),
    responses((status = 200, description = "The clip", body = Clip), Problems),
    security(("key" = []), ("session" = []))
)]
pub async fn retry(State(app): State<App>, _: Streamer, IdOf(id): IdOf) -> Result<Response, Error> {
    Ok(tagged(clips::retry(&app, &id).await?))
}

/// The revision that `If-Match` names.
fn if_match(headers: &HeaderMap) -> Result<Option<u32>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let revision =
        text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|digits| digits.parse().ok());
    revision.map(Some).ok_or_else(|| Error::invalid("If-Match is the ETag of the clip, such as \"3\""))
}

pub(super) fn tagged(clip: Clip) -> Response {
    let etag = format!("\"{}\"", clip.revision);
    let mut response = Answer(clip).into_response();
    if let Ok(value) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
