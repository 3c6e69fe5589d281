//! Any picture of a clip as its cover: the moment that somebody stopped at becomes one of the pictures to choose from, and is chosen.
//!
//! The picture is taken of a short exact piece that begins with it, which the recorder makes as it makes any range that is asked for, from the journal or
//! from what is stored. Routes are in `http/pictures.rs`.

use serde::Deserialize;
use storage::local::MadeFile;
use storage::model::POSTERS;
use storage::{Clip as Row, ClipFacts, Format, Id, PosterChoice, Precision, Recipe};
use tokio::sync::Mutex;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::app::App;
use crate::clips;
use crate::error::Error;
use crate::orders;
use crate::view::{Clip, ClipEdit, ClipState};

/// The longest JPEG that is taken.
const PICTURE_BYTES: u64 = 4 << 20;
/// How much of the clip is looked at: the picture of a moment may be late, and the one before may stay for so long.
const LOOK_MS: u64 = Recipe::MOMENT_NS / 1_000_000;

/// One at a time: each adds to the list of a clip's pictures.
#[derive(Default)]
pub struct Covers {
    turn: Mutex<()>,
}

/// A place in a clip.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Moment {
    /// Milliseconds of the clip's own time; the first picture at or after it is meant.
    pub at_ms: u64,
}

/// Makes the picture of a moment the clip's poster.
///
/// # Errors
/// `invalid` for a moment that the clip does not have, or while it is not stored and looked at; `not_found`, also when nothing is left to take the picture of;
/// `full`, `away`.
pub async fn choose_moment(app: &App, id: &Id, moment: &Moment) -> Result<Clip, Error> {
    let clip = ready(app, id).await?;
    let at = moment.at_ms;
    if at >= clip.duration_ms {
        return Err(Error::invalid(format!("the clip ends at {} ms", clip.duration_ms)));
    }
    let mut pieces = orders::within_clip(&clip, at, Some(at + LOOK_MS))?;
    pieces.truncate(1);
    let begins_ns = pieces[0].from_ns;
    let recipe = Recipe { pieces, precision: Precision::Exact, format: Format::Original };
    let made = orders::file_of(app, recipe).await?;
    let picture = read(&made).await?;

    let _turn = app.covers().turn.lock().await;
    let clip = ready(app, id).await?;
    let choice = PosterChoice {
        object: clip.key(&format!("cover-{at}.jpg")),
        at_ms: at + made.from_ns.saturating_sub(begins_ns) / 1_000_000,
    };
    let number = keep(app, clip, choice, picture).await?;
    clips::edit(app, id, ClipEdit { poster: Some(number), ..ClipEdit::default() }, None).await
}

/// A clip whose pictures are there: what is noted of one that is still looked at would be written over.
async fn ready(app: &App, id: &Id) -> Result<Row, Error> {
    let found = clips::locate(app, id).await?;
    if found.clip.video.is_none() && !found.clip.sha256.is_empty() {
        return Err(Error::invalid("this clip has sound only"));
    }
    let looked_at = app.local().local_clip(id.clone()).await?.is_none_or(|row| row.inspection.is_none());
    if found.state != ClipState::Stored || !looked_at {
        return Err(Error::invalid(
            "the clip is not stored yet, or its pictures are still made; try again in a moment",
        ));
    }
    Ok(found.clip)
}

async fn read(made: &MadeFile) -> Result<Vec<u8>, Error> {
    let nothing = || Error::invalid("there is no picture at this moment that can be shown");
    let still = made.still.as_ref().ok_or_else(nothing)?;
    let size = tokio::fs::metadata(still).await.map_err(|_| nothing())?.len();
    if size > PICTURE_BYTES {
        return Err(nothing());
    }
    tokio::fs::read(still).await.map_err(|error| Error::internal("a still cannot be read", error))
}

/// Stores the picture, then notes it; its place in the list.
async fn keep(app: &App, clip: Row, choice: PosterChoice, picture: Vec<u8>) -> Result<u32, Error> {
    let mut pictures = clip.pictures.clone().unwrap_or_default();
    let known = pictures.posters.iter().position(|one| one.object == choice.object);
    let number = match known {
        Some(number) => number,
        None if pictures.posters.len() >= POSTERS => {
            return Err(Error::invalid(format!("a clip has at most {POSTERS} pictures to choose from")));
        }
        None => {
            app.objects().put_bytes(&choice.object, picture.into(), "image/jpeg").await?;
            pictures.posters.push(choice);
            let facts = ClipFacts { pictures: Some(pictures.clone()), ..ClipFacts::default() };
            app.local().note_stored(app.database(), &clip.id, &facts).await?;
            pictures.posters.len() - 1
        }
    };
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}
