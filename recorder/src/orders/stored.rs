//! Parts of a broadcast whose journals are gone: what is stored of them brings a journal back, for as long as an order needs it.

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
    let range = journal::Range { from_ns: piece.from_ns, to_ns: piece.to_ns };
    let _turn = desk.rebuilding.acquire().await.map_err(Trouble::passing)?;
    let rebuilt = rebuild(&desk.stores.objects, &desk.config.spool(), clip, range).await;
    let rebuilt = rebuilt.map_err(|error| match error {
        StorageError::NotFound => Trouble::lasting(format!("the file of part {} is gone from the store", clip.part)),
        StorageError::Corrupt(why) => Trouble::lasting(format!("part {} cannot be read: {why}", clip.part)),
        error => Trouble::passing(error),
    })?;
    let fetched = rebuilt.fetched_bytes();
    tracing::info!(clip = %clip.id, fetched, of = clip.size, "a journal was brought back from the store");
    Ok(rebuilt)
}
