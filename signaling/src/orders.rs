//! What is made of recordings on request: which pieces somebody asks for, whether that somebody may, and the order that follows.
//!
//! An order is a row that the recorder takes up. Routes are in `http/clip.rs`, `http/channel.rs` and `http/broadcast.rs`.

use std::net::IpAddr;
use std::time::Duration;

use media::id::ChannelName;
use serde::Deserialize;
use storage::local::{Extract, ExtractState, MadeFile, Order, Requester};
use storage::model::check_title;
use storage::{Broadcast, ClipKind, Format, Id, Piece, Precision, Recipe, StorageError, Visibility};
use ts_rs::TS;
use utoipa::{IntoParams, ToSchema};

use crate::access::{self, LINK_SECONDS};
use crate::app::{App, new_id, now_ms};
use crate::auth::Actor;
use crate::clips;
use crate::error::{Code, Error};
use crate::socket::event::ClipWanted;
use crate::view::{Clip, Requested};

const MS: u64 = 1_000_000;
/// What a clip of the last moments may ask for, in seconds.
const LAST_SECONDS: std::ops::RangeInclusive<u32> = 5..=180;
/// The longest that strangers may ask for.
const STRANGER_NS: u64 = 180_000 * MS;
/// How far ahead of this server's clock a range may end: what ends later is a mistake.
const AHEAD_NS: u64 = 2_000 * MS;
/// For an extract to be made: what the workers take for a job, and its turn.
const EXTRACT_TIME: Duration = Duration::from_secs(180);

/// A clip made of pieces of recordings.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
pub struct NewClip {
    #[ts(optional)]
    pub title: Option<String>,
    #[ts(optional, type = "\"hidden\" | \"link\" | \"published\"")]
    #[schema(value_type = Option<String>, example = "hidden")]
    pub visibility: Option<Visibility>,
    /// In the order in which they are shown; 1 to 64.
    pub pieces: Vec<NewPiece>,
    #[ts(optional, type = "\"fast\" | \"exact\"")]
    #[schema(value_type = Option<String>, example = "fast")]
    pub precision: Option<Precision>,
    #[ts(optional, type = "\"original\" | \"compatible\" | \"audio\"")]
    #[schema(value_type = Option<String>, example = "original")]
    pub format: Option<Format>,
}

/// A range of a broadcast's time or of a clip's own. Without an end, all there is.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewPiece {
    /// This or `clip`.
    #[ts(optional)]
    pub broadcast: Option<String>,
    #[ts(optional)]
    pub clip: Option<String>,
    #[ts(optional)]
    pub from_ms: Option<u64>,
    #[ts(optional)]
    pub to_ms: Option<u64>,
}

/// Asks for a clip of what a channel shows: of a range, or a cut at the next keyframe.
///
/// # Errors
/// As [`of_channel`] and [`clips::request`].
pub async fn request(
    app: &App,
    channel: &ChannelName,
    by: Actor,
    caller: IpAddr,
    wanted: ClipWanted,
) -> Result<Requested, Error> {
    if wanted.last.is_none() && wanted.from.is_none() && wanted.to.is_none() {
        let requested = clips::request(app, channel, by, caller, wanted.title).await?;
        return Ok(Requested { requested: requested.to_string(), clip: None, address: None });
    }
    let clip = of_channel(app, channel, by, caller, wanted).await?;
    let to_viewer = clip.id.parse().ok().filter(|_| by == Actor::Stranger);
    let address = to_viewer.map(|id| app.links().address(&id, LINK_SECONDS));
    Ok(Requested { requested: clip.id.clone(), clip: Some(clip), address })
}

/// Orders a clip of what a channel showed.
///
/// # Errors
/// `invalid` naming what is wrong, `not_live` when there is no recording of the channel, `rate_limited` for strangers, `full`.
async fn of_channel(
    app: &App,
    channel: &ChannelName,
    by: Actor,
    caller: IpAddr,
    wanted: ClipWanted,
) -> Result<Clip, Error> {
    let title = tidy(wanted.title)?;
    let (broadcast, now_ns) = shown_by(app, channel, wanted.broadcast.as_deref()).await?;
    let (from_ns, to_ns) = match (wanted.last, wanted.from, wanted.to) {
        (Some(last), None, None) => {
            if !LAST_SECONDS.contains(&last) {
                return Err(Error::invalid("last is 5 to 180 seconds"));
            }
            (now_ns.saturating_sub(u64::from(last) * 1000 * MS), now_ns)
        }
        (None, Some(from), to) => range(from, to, now_ns)?,
        (Some(_), ..) => return Err(Error::invalid("last and a range exclude each other")),
        (None, None, _) => return Err(Error::invalid("a range begins somewhere: from is missing")),
    };
    if by == Actor::Stranger {
        if to_ns - from_ns > STRANGER_NS {
            return Err(Error::invalid("a clip of a viewer has at most 180 seconds"));
        }
        open_to_all(app, &broadcast, from_ns, to_ns).await?;
        app.clip_rate().check(caller)?;
    }
    let recipe = Recipe::of(Piece::new(broadcast.id, from_ns, to_ns));
    // Whoever made it has to see it; who else does is the streamer's to say.
    let visibility = if by == Actor::Streamer { Visibility::Hidden } else { Visibility::Link };
    place(app, channel.to_string(), recipe, by, title, visibility).await
}

/// Orders a clip made of pieces. For the holder of the key.
///
/// # Errors
/// `invalid` naming what is wrong and with which piece, `not_found`, `away`, `full`.
pub async fn of_pieces(app: &App, wanted: NewClip) -> Result<Clip, Error> {
    let title = tidy(wanted.title)?;
    if wanted.pieces.is_empty() || wanted.pieces.len() > storage::model::PIECES {
        return Err(Error::invalid(format!("a clip is made of 1 to {} pieces", storage::model::PIECES)));
    }
    let mut pieces = Vec::new();
    let mut channel = None;
    for (at, piece) in wanted.pieces.iter().enumerate() {
        let (of, found) = self::piece(app, piece).await.map_err(|error| within(error, at, wanted.pieces.len()))?;
        channel.get_or_insert(of);
        pieces.extend(found);
    }
    let (precision, format) = (wanted.precision.unwrap_or_default(), wanted.format.unwrap_or_default());
    let recipe = Recipe { pieces, precision, format };
    recipe.check()?;
    let visibility = wanted.visibility.unwrap_or_default();
    place(app, channel.unwrap_or_default(), recipe, Actor::Streamer, title, visibility).await
}

fn within(error: Error, at: usize, of: usize) -> Error {
    if of == 1 {
        return error;
    }
    Error { detail: format!("piece {}: {}", at + 1, error.detail), ..error }
}

async fn place(
    app: &App,
    channel: String,
    recipe: Recipe,
    by: Actor,
    title: Option<String>,
    visibility: Visibility,
) -> Result<Clip, Error> {
    let from_ns = recipe.pieces.first().map_or(0, |piece| piece.from_ns);
    let order = Order {
        clip: new_id(),
        channel,
        recipe,
        by: if by == Actor::Streamer { Requester::Streamer } else { Requester::Viewer },
        title: Some(title.unwrap_or_else(|| format!("Clip at {}", clock(from_ns)))),
        visibility,
        at_ms: now_ms(),
    };
    app.local().order_clip(order).await.map(clips::of_pending).map_err(full)
}

/// As people write times: `1:02:03`, `4:05`.
fn clock(ns: u64) -> String {
    let seconds = ns / (1000 * MS);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

fn full(error: StorageError) -> Error {
    match error {
        StorageError::Refused(detail) => Error::new(Code::Full, detail).retry_after(Duration::from_secs(2)),
        error => error.into(),
    }
}

fn tidy(title: Option<String>) -> Result<Option<String>, Error> {
    let title = title.map(|title| title.trim().to_owned()).filter(|title| !title.is_empty());
    if let Some(title) = &title {
        check_title(title)?;
    }
    Ok(title)
}

/// The broadcast that a clip of the channel is of, and where it has come to.
async fn shown_by(app: &App, channel: &ChannelName, broadcast: Option<&str>) -> Result<(Broadcast, u64), Error> {
    let live = app.lives().of(channel).await;
    let asked = broadcast.map(str::parse::<Id>).transpose().map_err(|error| Error::invalid(error.to_string()))?;
    let id = match (asked, &live) {
        (Some(asked), _) => Some(asked),
        (None, Some(live)) => live.broadcast.parse().ok(),
        (None, None) => app.local().newest_broadcast(channel.to_string()).await?.map(|broadcast| broadcast.id),
    };
    let id = id.ok_or_else(|| Error::not_live(channel))?;
    let broadcast = recorded(app, &id).await?;
    if broadcast.channel != channel.as_str() {
        return Err(Error::not_found());
    }
    let end_ns = end_ns(&broadcast);
    Ok((broadcast, end_ns))
}

/// A broadcast of which there is a recording.
async fn recorded(app: &App, id: &Id) -> Result<Broadcast, Error> {
    let broadcast = match app.local().local_broadcast(id.clone()).await? {
        Some(broadcast) => broadcast,
        None => app.database().broadcast(id).await?.ok_or_else(Error::not_found)?,
    };
    if !broadcast.recorded {
        return Err(Error::invalid("this broadcast is not recorded, so nothing can be cut from it"));
    }
    Ok(broadcast)
}

/// # Errors
/// `not_found` when a stranger may not see the range.
async fn open_to_all(app: &App, broadcast: &Broadcast, from_ns: u64, to_ns: u64) -> Result<(), Error> {
    let open = access::is_open_to_all(app, &broadcast.id, Some(from_ns..to_ns)).await?;
    if open { Ok(()) } else { Err(Error::not_found()) }
}

/// Where it has come to, on its own timeline.
fn end_ns(broadcast: &Broadcast) -> u64 {
    let end_ms = broadcast.ended_at_ms.unwrap_or_else(now_ms);
    (end_ms - broadcast.started_at_ms).max(0) as u64 * MS
}

/// Milliseconds as asked, checked against what there can be by now.
fn range(from_ms: u64, to_ms: Option<u64>, now_ns: u64) -> Result<(u64, u64), Error> {
    let ns = |ms: u64| ms.checked_mul(MS).filter(|ns| *ns < Piece::END);
    let (Some(from_ns), Some(to_ns)) = (ns(from_ms), to_ms.map_or(Some(now_ns), ns)) else {
        return Err(Error::invalid("a time is larger than any recording is long"));
    };
    if from_ns >= to_ns {
        return Err(Error::invalid("the range ends where it begins, or before"));
    }
    if from_ns >= now_ns {
        let seconds = now_ns as f64 / 1e9;
        return Err(Error::invalid(format!("the range begins after the end of the broadcast, at {seconds:.3} s")));
    }
    Ok((from_ns, to_ns.min(now_ns.saturating_add(AHEAD_NS))))
}

/// The channel of a piece, and the ranges of broadcasts that it is: those of a clip made of several are several.
async fn piece(app: &App, wanted: &NewPiece) -> Result<(String, Vec<Piece>), Error> {
    let id = |text: &str| text.parse::<Id>().map_err(|error| Error::invalid(error.to_string()));
    match (&wanted.broadcast, &wanted.clip) {
        (Some(broadcast), None) => {
            let broadcast = recorded(app, &id(broadcast)?).await?;
            let (from_ns, to_ns) = match (wanted.from_ms, wanted.to_ms, broadcast.ended_at_ms) {
                (None | Some(0), None, Some(_)) => (0, Piece::END),
                (from, to, _) => range(from.unwrap_or(0), to, end_ns(&broadcast))?,
            };
            Ok((broadcast.channel, vec![Piece::new(broadcast.id, from_ns, to_ns)]))
        }
        (None, Some(clip)) => {
            let clip = clips::locate(app, &id(clip)?).await?.clip;
            let pieces = within_clip(&clip, wanted.from_ms.unwrap_or(0), wanted.to_ms)?;
            Ok((clip.channel, pieces))
        }
        _ => Err(Error::invalid("a piece names either a broadcast or a clip")),
    }
}

/// What a clip shows of its broadcasts, in order.
pub fn pieces_of(clip: &storage::Clip) -> Vec<Piece> {
    if let Some(recipe) = &clip.recipe {
        return recipe.pieces.clone();
    }
    let tracks = clip.continuity.iter().flat_map(|record| &record.tracks);
    // Sound that began before a border ends after it; the next clip begins at the picture.
    let pictures = tracks.filter(|track| track.codec != "opus").map(|track| track.to_ns).max();
    let to_ns = pictures.unwrap_or(clip.to_ns).max(clip.from_ns + 1);
    vec![Piece::new(clip.broadcast.clone(), clip.from_ns, to_ns)]
}

/// The range of a clip's own time.
pub fn within_clip(clip: &storage::Clip, from_ms: u64, to_ms: Option<u64>) -> Result<Vec<Piece>, Error> {
    if clip.kind == ClipKind::Part && clip.sha256.is_empty() {
        return Err(Error::invalid("the clip is still being prepared"));
    }
    let (from, to) = (from_ms.saturating_mul(MS), to_ms.map_or(u64::MAX, |ms| ms.saturating_mul(MS)));
    if from >= to {
        return Err(Error::invalid("the range ends where it begins, or before"));
    }
    // Of a part nothing is left to fall back on when it is gone: its own table of units is where the recording is looked for anyway.
    let itself = Some(&clip.id).filter(|_| clip.kind == ClipKind::Made && clip.units.is_some());
    let mut end = 0;
    let mut pieces = Vec::new();
    for piece in pieces_of(clip) {
        let begins = piece.at_ns.unwrap_or(end);
        end = begins + (piece.to_ns - piece.from_ns);
        if from < end && to > begins {
            let from_ns = piece.from_ns + from.saturating_sub(begins);
            let to_ns = piece.to_ns - end.saturating_sub(to);
            pieces.push(Piece { clip: itself.cloned(), ..Piece::new(piece.broadcast, from_ns, to_ns) });
        }
    }
    if pieces.is_empty() {
        let seconds = end as f64 / 1e9;
        return Err(Error::invalid(format!("the range begins after the end of the clip, at {seconds:.3} s")));
    }
    Ok(pieces)
}

/// A range of a broadcast that somebody plays just now.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExtractWanted {
    /// Milliseconds since the broadcast's media began.
    pub from: Option<u64>,
    pub to: Option<u64>,
    /// "fast", the default, or "exact".
    #[param(value_type = Option<String>)]
    pub precision: Option<Precision>,
    /// "original", the default, "compatible" or "audio".
    #[param(value_type = Option<String>)]
    pub format: Option<Format>,
}

/// The file, or the end that the range has to be given before there can be one: that of a broadcast that goes on.
pub enum Extracted {
    File(MadeFile),
    UpTo { ms: u64 },
}

/// A file of a range, made if it is not there.
///
/// # Errors
/// `invalid`, `not_found` with the reason when it cannot be made, `rate_limited` for strangers, `full`, `away`.
pub async fn extract(
    app: &App,
    broadcast: &Id,
    by: Actor,
    caller: IpAddr,
    wanted: ExtractWanted,
) -> Result<Extracted, Error> {
    let broadcast = recorded(app, broadcast).await?;
    let end_ns = end_ns(&broadcast);
    if wanted.to.is_none() && broadcast.ended_at_ms.is_none() {
        return Ok(Extracted::UpTo { ms: end_ns / MS });
    }
    let (from_ns, to_ns) = match (wanted.from, wanted.to) {
        (None | Some(0), None) => (0, Piece::END),
        (from, to) => range(from.unwrap_or(0), to, end_ns)?,
    };
    let (precision, format) = (wanted.precision.unwrap_or_default(), wanted.format.unwrap_or_default());
    let recipe = Recipe { pieces: vec![Piece::new(broadcast.id.clone(), from_ns, to_ns)], precision, format };
    if by == Actor::Stranger {
        if to_ns.min(end_ns) - from_ns > STRANGER_NS {
            return Err(Error::invalid("without the stream key a range has at most 180 seconds"));
        }
        open_to_all(app, &broadcast, from_ns, to_ns).await?;
        if app.local().extract_of(&recipe).await?.is_none() {
            app.clip_rate().check(caller)?;
        }
    }
    file_of(app, recipe).await.map(Extracted::File)
}

/// The file of a recipe, made if it is not there.
///
/// # Errors
/// `not_found` with the reason when it cannot be made, `full`, `away`.
pub async fn file_of(app: &App, recipe: Recipe) -> Result<MadeFile, Error> {
    let mut changed = app.local().changed();
    let extract = app.local().want_extract(new_id(), recipe, now_ms()).await.map_err(full)?;
    match tokio::time::timeout(EXTRACT_TIME, done(app, &mut changed, extract)).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(Code::Away, "the range is still being made").retry_after(Duration::from_secs(5))),
    }
}

async fn done(
    app: &App,
    changed: &mut tokio::sync::watch::Receiver<u64>,
    mut extract: Extract,
) -> Result<MadeFile, Error> {
    loop {
        match extract.state {
            ExtractState::Made(made) => return Ok(made),
            ExtractState::Failed(why) => return Err(Error::new(Code::NotFound, why)),
            ExtractState::Wanted => {}
        }
        if changed.changed().await.is_err() {
            return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
        }
        extract = app.local().extract(extract.id).await?.ok_or_else(Error::not_found)?;
    }
}
