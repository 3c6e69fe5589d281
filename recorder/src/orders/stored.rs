//! Recordings whose journals are gone: what is stored of them, or was made of them and is stored, brings a journal back, for as long as an
//! order needs it.

use storage::{Clip, ClipKind, ClipQuery, Id, Piece, StorageError};

use super::Trouble;
use crate::desk::Desk;
use crate::rebuild::{Rebuilt, rebuild};

/// The parts of a broadcast that a journal can be brought back of.
pub(super) async fn parts(desk: &Desk, broadcast: &Id) -> Result<Vec<Clip>, StorageError> {
    let mut query =
        ClipQuery { broadcast: Some(broadcast.clone()), kind: Some(ClipKind::Part), ..ClipQuery::default() };
    let mut clips = Vec::new();
    loop {
        let page = desk.stores.database.clips(&query).await?;
        clips.extend(page.items.into_iter().filter(|clip| clip.units.is_some()));
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(clips);
        }
    }
}

/// The journal of a part, as far as the piece needs it.
pub(super) async fn bring_back(desk: &Desk, clip: &Clip, piece: &Piece) -> Result<Rebuilt, Trouble> {
    read(desk, clip, piece).await.map_err(|error| trouble(error, format!("part {}", clip.part)))
}

/// The journal of what a made clip shows of a broadcast that is `gone` itself.
pub(super) async fn bring_back_made(desk: &Desk, id: &Id, piece: &Piece, gone: Trouble) -> Result<Rebuilt, Trouble> {
    let Some(clip) = desk.stores.database.clip(id).await? else {
        let is_coming = desk.stores.local.local_clip(id.clone()).await?.is_some_and(|row| !row.deleted);
        return Err(if is_coming { Trouble::passing(format!("clip {id} is not stored yet")) } else { gone });
    };
    read(desk, &clip, piece).await.map_err(|error| trouble(error, format!("clip {id}")))
}

async fn read(desk: &Desk, clip: &Clip, piece: &Piece) -> Result<Rebuilt, StorageError> {
    let range = journal::Range { from_ns: piece.from_ns, to_ns: piece.to_ns };
    let turn = desk.rebuilding.acquire().await;
    let _turn = turn.map_err(|error| StorageError::Away(error.to_string()))?;
    let rebuilt = rebuild(&desk.stores.objects, &desk.config.spool(), clip, &piece.broadcast, range).await?;
    let fetched = rebuilt.fetched_bytes();
    tracing::info!(clip = %clip.id, fetched, of = clip.size, "a journal was brought back from the store");
    Ok(rebuilt)
}

fn trouble(error: StorageError, of: String) -> Trouble {
    match error {
        StorageError::NotFound => Trouble::lasting(format!("the file of {of} is gone from the store")),
        StorageError::Corrupt(why) => Trouble::lasting(format!("{of} cannot be read: {why}")),
        error => Trouble::passing(error),
    }
}
