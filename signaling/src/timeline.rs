//! Where a clip lies in its broadcast, and how far the recording around it is still here: what an editor's timeline shows.
//!
//! The places of keyframes are read from this node's journals. Nothing is cut here.

use std::path::PathBuf;

use journal::Index;
use serde::Serialize;
use storage::local::{ClipState, LocalClip};
use storage::{Id, Piece};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::access::Visitor;
use crate::app::{App, now_ms};
use crate::clips;
use crate::error::Error;
use crate::orders::pieces_of;

const NS_PER_MS: f64 = 1e6;
/// Keyframes are told this far around the clip: what a timeline shows at a time.
const AROUND_NS: u64 = 180_000_000_000;
/// More keyframes than anybody can tell apart: those behind are left out.
const KEYFRAMES: usize = 20_000;

/// Milliseconds since the media of the clip's broadcast began, with fractions.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClipTimeline {
    pub broadcast: String,
    pub from_ms: f64,
    pub to_ms: f64,
    /// How far the recording is kept on either side; at least the clip itself.
    pub kept_from_ms: f64,
    pub kept_to_ms: f64,
    /// Where a fast cut can begin, up to three minutes around the clip; empty when its recording is not here any more.
    pub keyframes_ms: Vec<f64>,
}

/// # Errors
/// `not_found`, `gone`, `away`, `invalid` for a clip that was made of several pieces: it has no one timeline.
pub async fn of_clip(app: &App, visitor: &Visitor, id: &Id) -> Result<ClipTimeline, Error> {
    let clip = clips::seen(app, visitor, id).await?.clip;
    let mut pieces = pieces_of(&clip);
    let (Some(piece), true) = (pieces.pop(), pieces.is_empty()) else {
        return Err(Error::invalid("this clip is made of several pieces and has no timeline of its own"));
    };
    let rows = app.local().parts_of(piece.broadcast.clone()).await?;
    let end_ns = app.local().local_broadcast(piece.broadcast.clone()).await?.map_or(piece.to_ns, |broadcast| {
        let end_ms = broadcast.ended_at_ms.unwrap_or_else(now_ms);
        (end_ms - broadcast.started_at_ms).max(0) as u64 * 1_000_000
    });
    let read = tokio::task::spawn_blocking(move || around(&rows, &piece, end_ns));
    let kept = read.await.map_err(|error| Error::internal("a recording cannot be read", error))?;
    Ok(ClipTimeline {
        broadcast: kept.piece.broadcast.to_string(),
        from_ms: kept.piece.from_ns as f64 / NS_PER_MS,
        to_ms: kept.piece.to_ns as f64 / NS_PER_MS,
        kept_from_ms: kept.from_ns as f64 / NS_PER_MS,
        kept_to_ms: kept.to_ns as f64 / NS_PER_MS,
        keyframes_ms: kept.keyframes.iter().map(|ns| *ns as f64 / NS_PER_MS).collect(),
    })
}

struct Kept {
    piece: Piece,
    from_ns: u64,
    to_ns: u64,
    keyframes: Vec<u64>,
}

/// The run of parts without a hole that the piece lies in.
fn around(rows: &[LocalClip], piece: &Piece, end_ns: u64) -> Kept {
    let here: Vec<&LocalClip> = rows.iter().filter(|row| row.journal.exists()).collect();
    let from = |row: &LocalClip| match (&row.clip, row.part) {
        (Some(clip), _) => Some(clip.from_ns),
        (None, 0) => Some(0),
        (None, _) => None,
    };
    let mut kept = Kept { piece: piece.clone(), from_ns: piece.from_ns, to_ns: piece.to_ns, keyframes: Vec::new() };
    let Some(at) = here.iter().rposition(|row| from(row).is_some_and(|from| from <= piece.from_ns)) else {
        return kept;
    };
    let joins = |pair: &[&LocalClip]| pair[0].part + 1 == pair[1].part;
    let first = at - here[..=at].windows(2).rev().take_while(|pair| joins(pair)).count();
    let last = at + here[at..].windows(2).take_while(|pair| joins(pair)).count();
    kept.from_ns = from(here[first]).unwrap_or(piece.from_ns).min(piece.from_ns);
    let ends = match (&here[last].clip, here[last].state) {
        (Some(clip), _) => clip.to_ns,
        (None, ClipState::Recording | ClipState::Exporting) => end_ns,
        (None, _) => piece.to_ns,
    };
    kept.to_ns = ends.max(piece.to_ns);
    let window = piece.from_ns.saturating_sub(AROUND_NS)..piece.to_ns.saturating_add(AROUND_NS);
    let shows = |row: &LocalClip| row.clip.as_ref().is_none_or(|c| c.from_ns < window.end && c.to_ns > window.start);
    let journals: Vec<PathBuf> =
        here[first..=last].iter().filter(|row| shows(row)).map(|r| r.journal.clone()).collect();
    for journal in journals {
        let Ok(index) = Index::build(journal) else { continue };
        let Some(video) = index.video() else { continue };
        let keys = index.entries.iter().filter(|entry| entry.track == video && entry.key).map(|entry| entry.pts_ns);
        kept.keyframes.extend(keys.filter(|at| window.contains(at)));
        if kept.keyframes.len() >= KEYFRAMES {
            kept.keyframes.truncate(KEYFRAMES);
            break;
        }
    }
    kept
}
