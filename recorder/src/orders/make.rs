//! From a recipe to a file in the spool, and to the clip that it is.

use std::path::PathBuf;

use journal::Index;
use journal::units::EXTENSION as UNITS;
use pipeline::{Border, ExportError, ExportJob, Exported, Lane};
use storage::local::LocalClip;
use storage::{Clip, ClipCause, ClipKind, Format, Id, Piece, Precision, Recipe, key};

use super::{Trouble, resolve};
use crate::clock;
use crate::desk::Desk;

/// For files up to this length somebody waits.
const SHORT_NS: u64 = 180_000_000_000;

/// A file, and what the worker does not know of it.
pub(super) struct Made {
    pub(super) exported: Exported,
    /// UTC microseconds of the media zero of its first piece.
    media_zero_utc_us: u64,
    /// Media that is missing inside, milliseconds.
    lost_ms: u64,
}

/// What lies beside the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside {
    /// What a clip has: poster and table of units.
    ClipFiles,
    /// The picture that it begins with.
    Still,
    Nothing,
}

/// Waits for what was asked for at `asked_ms` and has it made, under this name.
pub(super) async fn make(
    desk: &Desk,
    recipe: &Recipe,
    stem: &Id,
    asked_ms: i64,
    beside: Beside,
) -> Result<Made, Trouble> {
    let mut pieces = Vec::with_capacity(recipe.pieces.len());
    let mut with_gaps = Vec::new();
    let mut rebuilt = Vec::new();
    let mut media_zero_utc_us = None;
    for piece in &recipe.pieces {
        let found = resolve::resolve(desk, piece, asked_ms).await?;
        media_zero_utc_us.get_or_insert(found.media_zero_utc_us);
        rebuilt.extend(found.rebuilt);
        with_gaps.extend(found.with_gaps.into_iter().map(|journal| (journal, piece.clone())));
        pieces.push(pipeline::Piece {
            journals: found.journals,
            from_ns: Some(piece.from_ns).filter(|from| *from > 0),
            to_ns: Some(piece.to_ns).filter(|to| *to < Piece::END),
        });
    }
    let job = ExportJob {
        pieces,
        border: Border::Asked,
        precision: match recipe.precision {
            Precision::Fast => pipeline::Precision::Fast,
            Precision::Exact => pipeline::Precision::Exact,
        },
        format: match recipe.format {
            Format::Original => pipeline::Format::Original,
            Format::Compatible => pipeline::Format::Compatible,
            Format::Audio => pipeline::Format::Audio,
        },
        directory: desk.config.spool(),
        stem: stem.to_string(),
        poster: !matches!(beside, Beside::Nothing) && recipe.format != Format::Audio,
        units: matches!(beside, Beside::ClipFiles),
    };
    let exporting = desk.stores.workers.export(job, lane(recipe));
    // what is missing is counted while the worker is busy
    let counting = tokio::task::spawn_blocking(move || lost_ms(&with_gaps));
    let exported = exporting.await.map_err(trouble)?;
    let lost_ms = counting.await.map_err(Trouble::passing)?;
    drop(rebuilt);
    Ok(Made { exported, media_zero_utc_us: media_zero_utc_us.unwrap_or_default(), lost_ms })
}

fn lane(recipe: &Recipe) -> Lane {
    let length: u64 = recipe.pieces.iter().map(|piece| piece.to_ns - piece.from_ns).fold(0, u64::saturating_add);
    if length <= SHORT_NS && recipe.format != Format::Compatible { Lane::ClipNow } else { Lane::Rest }
}

fn trouble(error: ExportError) -> Trouble {
    match error {
        ExportError::Refused(why) => Trouble::lasting(why),
        error => Trouble::passing(error),
    }
}

/// What the journals' gap records name within their pieces.
fn lost_ms(journals: &[(PathBuf, Piece)]) -> u64 {
    let lost = journals.iter().map(|(journal, piece)| {
        let Ok(mut index) = Index::build(journal) else { return 0 };
        for gap in &mut index.gaps {
            gap.from_ns = gap.from_ns.clamp(piece.from_ns, piece.to_ns);
            gap.to_ns = gap.to_ns.clamp(gap.from_ns, piece.to_ns);
        }
        index.lost_ms()
    });
    lost.sum()
}

/// The clip as it is from now on.
pub(super) fn describe(row: &LocalClip, recipe: &Recipe, made: &Made) -> Clip {
    let exported = &made.exported;
    let track = |audio: bool| exported.tracks.iter().find(|t| matches!(t.codec.as_str(), "opus" | "aac") == audio);
    let (video, audio) = (track(false), track(true));
    let key = |extension| key::made(&row.channel, &row.broadcast, &row.id, extension);
    let mut clip = Clip {
        kind: ClipKind::Made,
        cause: ClipCause::Request,
        started_at_ms: ((made.media_zero_utc_us + exported.from_ns / 1000) / 1000) as i64,
        duration_ms: exported.duration_ms,
        from_ns: exported.from_ns,
        to_ns: exported.to_ns,
        mime: exported.mime.clone(),
        video: video.map(|t| t.codec.clone()),
        audio: audio.map(|t| t.codec.clone()),
        width: exported.width,
        height: exported.height,
        frames: video.map_or(0, |t| t.units),
        packets: audio.map_or(0, |t| t.units),
        size: exported.size,
        sha256: exported.sha256.clone(),
        object: key(exported.container.extension()),
        poster: exported.poster.as_ref().map(|_| key("jpg")),
        units: exported.units.as_ref().map(|_| key(UNITS)),
        lost_ms: made.lost_ms,
        created_at_ms: clock::utc_ms(),
        revision: row.clip.as_ref().map_or(0, |clip| clip.revision),
        recipe: Some(shown(recipe, exported)),
        ..row.pending().clip
    };
    row.edited(&mut clip);
    clip
}

/// What the file really shows of each piece: made again from this it is the same.
fn shown(recipe: &Recipe, exported: &Exported) -> Recipe {
    let mut recipe = recipe.clone();
    for (piece, shown) in recipe.pieces.iter_mut().zip(&exported.pieces) {
        piece.from_ns = shown.from_ns;
        piece.to_ns = shown.to_ns.min(piece.to_ns).max(shown.from_ns + 1);
        (piece.at_ns, piece.clip) = (Some(shown.offset_ns), None);
    }
    recipe
}
