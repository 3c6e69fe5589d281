//! Where a clip lies in its broadcast, and how far the recording around it can still be cut: what an editor's timeline shows.
//!
//! The places of keyframes are read from this node's journals, and where those are gone from the tables of units of what is stored. Nothing is cut here.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use journal::{Index, Record, Units};
use moka::sync::Cache;
use serde::Serialize;
use storage::local::{ClipState, LocalClip};
use storage::{Clip, ClipKind, ClipQuery, Id, Piece};
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
/// Stored parts that are looked through for those around a clip, in pages: a day of parts of five minutes, thrice.
const PAGES: usize = 10;
/// Tables of units that are read for one timeline, and whose keyframes are remembered.
const TABLES: usize = 12;
const REMEMBERED: u64 = 512;
/// The longest table that is read.
const TABLE_BYTES: usize = 32 * 1024 * 1024;

/// Keyframes of stored files, which do not change, in nanoseconds of the file's own time.
pub struct Timelines {
    tables: Cache<Id, Arc<[u64]>>,
}

impl Default for Timelines {
    fn default() -> Self {
        Self { tables: Cache::new(REMEMBERED) }
    }
}

/// Milliseconds since the media of the clip's broadcast began, with fractions. A clip that was made of several pieces has a time of its own, from 0 on.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClipTimeline {
    /// None: the times are the clip's own.
    pub broadcast: Option<String>,
    pub from_ms: f64,
    pub to_ms: f64,
    /// How far the recording can be cut on either side; at least the clip itself.
    pub kept_from_ms: f64,
    pub kept_to_ms: f64,
    /// Where a fast cut can begin, up to three minutes around the clip; empty when nothing of its recording is left that tells.
    pub keyframes_ms: Vec<f64>,
}

/// # Errors
/// `not_found`, `gone`, `away`, `invalid` for a clip that was made of several pieces and has no table of units.
pub async fn of_clip(app: &App, visitor: &Visitor, id: &Id) -> Result<ClipTimeline, Error> {
    let clip = clips::seen(app, visitor, id).await?.clip;
    let mut pieces = pieces_of(&clip);
    let (Some(piece), true) = (pieces.pop(), pieces.is_empty()) else {
        return of_several(app, &clip).await;
    };
    let rows = app.local().parts_of(piece.broadcast.clone()).await?;
    let end_ns = app.local().local_broadcast(piece.broadcast.clone()).await?.map_or(piece.to_ns, |broadcast| {
        let end_ms = broadcast.ended_at_ms.unwrap_or_else(now_ms);
        (end_ms - broadcast.started_at_ms).max(0) as u64 * 1_000_000
    });
    let mut parts: Vec<Part> =
        rows.iter().filter(|row| row.journal.exists()).map(|row| Part::here(row, end_ns)).collect();
    let wanted = window(&piece);
    if !run(&parts, &piece).is_some_and(|(from, to)| covers(&parts[from..=to], &wanted, end_ns)) {
        add_stored(&mut parts, stored(app, &piece, &wanted).await);
    }
    let has_its_own = clip.kind == ClipKind::Made && clip.units.is_some();
    let kept = if has_its_own && !holds(&parts, &piece) {
        let keyframes = of_table(app, &clip).await.iter().map(|at| at + clip.from_ns).collect();
        Kept { from_ns: piece.from_ns, to_ns: piece.to_ns, keyframes, piece }
    } else {
        kept(app, parts, piece).await?
    };
    Ok(ClipTimeline {
        broadcast: Some(kept.piece.broadcast.to_string()),
        from_ms: kept.piece.from_ns as f64 / NS_PER_MS,
        to_ms: kept.piece.to_ns as f64 / NS_PER_MS,
        kept_from_ms: kept.from_ns as f64 / NS_PER_MS,
        kept_to_ms: kept.to_ns as f64 / NS_PER_MS,
        keyframes_ms: kept.keyframes.iter().map(|ns| *ns as f64 / NS_PER_MS).collect(),
    })
}

/// Nothing but the clip itself tells of what lies between its pieces.
async fn of_several(app: &App, clip: &Clip) -> Result<ClipTimeline, Error> {
    if clip.units.is_none() {
        return Err(Error::invalid("this clip is made of several pieces and has no timeline of its own"));
    }
    let to_ms = clip.duration_ms as f64;
    let keyframes_ms = of_table(app, clip).await.iter().take(KEYFRAMES).map(|ns| *ns as f64 / NS_PER_MS).collect();
    Ok(ClipTimeline { broadcast: None, from_ms: 0.0, to_ms, kept_from_ms: 0.0, kept_to_ms: to_ms, keyframes_ms })
}

struct Kept {
    piece: Piece,
    from_ns: u64,
    to_ns: u64,
    keyframes: Vec<u64>,
}

/// A part of the recording that can be cut.
struct Part {
    number: u32,
    /// None while nobody knows: it is still written, or its file is not made.
    from_ns: Option<u64>,
    to_ns: Option<u64>,
    source: Source,
}

enum Source {
    Journal(PathBuf),
    Stored(Box<Clip>),
}

impl Part {
    fn here(row: &LocalClip, end_ns: u64) -> Self {
        let (from_ns, to_ns) = match (&row.clip, row.state) {
            (Some(clip), _) => (Some(clip.from_ns), Some(clip.to_ns)),
            (None, ClipState::Recording | ClipState::Exporting) => (None, Some(end_ns)),
            (None, _) => (None, None),
        };
        let from_ns = from_ns.or(if row.part == 0 { Some(0) } else { None });
        Self { number: row.part, from_ns, to_ns, source: Source::Journal(row.journal.clone()) }
    }

    fn shows(&self, window: &Range<u64>) -> bool {
        self.from_ns.is_none_or(|from| from < window.end) && self.to_ns.is_none_or(|to| to > window.start)
    }
}

fn window(piece: &Piece) -> Range<u64> {
    piece.from_ns.saturating_sub(AROUND_NS)..piece.to_ns.saturating_add(AROUND_NS)
}

/// The first and the last of the parts without a hole between them that the piece lies in.
fn run(parts: &[Part], piece: &Piece) -> Option<(usize, usize)> {
    let at = parts.iter().rposition(|part| part.from_ns.is_some_and(|from| from <= piece.from_ns))?;
    let joins = |pair: &[Part]| pair[0].number + 1 == pair[1].number;
    let first = at - parts[..=at].windows(2).rev().take_while(|pair| joins(pair)).count();
    let last = at + parts[at..].windows(2).take_while(|pair| joins(pair)).count();
    Some((first, last))
}

/// Whether the whole piece can be had of them.
fn holds(parts: &[Part], piece: &Piece) -> bool {
    run(parts, piece).is_some_and(|(_, last)| parts[last].to_ns.is_none_or(|to| to + PICTURE_NS >= piece.to_ns))
}

/// About what the ends of sound and picture differ by.
const PICTURE_NS: u64 = 100_000_000;

/// Whether these reach as far as anybody looks, or as far as there is anything.
fn covers(parts: &[Part], window: &Range<u64>, end_ns: u64) -> bool {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    let begins = first.number == 0 || first.from_ns.is_some_and(|from| from <= window.start);
    let reached = last.to_ns.is_none_or(|to| to >= window.end.min(end_ns.saturating_sub(BORDER_NS)));
    begins && reached
}

/// A recording may end this long before its broadcast does.
const BORDER_NS: u64 = 1_000_000_000;

/// Parts around the piece that a journal can be brought back of. None while the database is away: what is here can be shown all the same.
async fn stored(app: &App, piece: &Piece, window: &Range<u64>) -> Vec<Clip> {
    let mut query =
        ClipQuery { broadcast: Some(piece.broadcast.clone()), kind: Some(ClipKind::Part), ..ClipQuery::default() };
    let mut found: Vec<Clip> = Vec::new();
    for _ in 0..PAGES {
        let page = match app.database().clips(&query).await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "a timeline shows what is on this disk");
                break;
            }
        };
        let is_past = page.items.last().is_some_and(|oldest| oldest.from_ns <= window.start);
        found.extend(page.items.into_iter().filter(|clip| clip.units.is_some()));
        query.cursor = page.next.filter(|_| !is_past);
        if query.cursor.is_none() {
            break;
        }
    }
    found
}

fn add_stored(parts: &mut Vec<Part>, clips: Vec<Clip>) {
    let gone = clips.into_iter().filter(|clip| parts.iter().all(|part| part.number != clip.part));
    let gone: Vec<Part> = gone
        .map(|clip| Part {
            number: clip.part,
            from_ns: Some(clip.from_ns),
            to_ns: Some(clip.to_ns),
            source: Source::Stored(Box::new(clip)),
        })
        .collect();
    parts.extend(gone);
    parts.sort_by_key(|part| part.number);
}

async fn kept(app: &App, mut parts: Vec<Part>, piece: Piece) -> Result<Kept, Error> {
    let mut kept = Kept { from_ns: piece.from_ns, to_ns: piece.to_ns, keyframes: Vec::new(), piece };
    let Some((first, last)) = run(&parts, &kept.piece) else { return Ok(kept) };
    kept.from_ns = parts[first].from_ns.unwrap_or(kept.from_ns).min(kept.from_ns);
    kept.to_ns = parts[last].to_ns.unwrap_or(kept.to_ns).max(kept.to_ns);
    let window = window(&kept.piece);
    let mut tables = 0;
    for part in parts.drain(first..=last).filter(|part| part.shows(&window)) {
        let keys = match part.source {
            Source::Journal(journal) => {
                let read = tokio::task::spawn_blocking(move || of_journal(journal));
                read.await.map_err(|error| Error::internal("a recording cannot be read", error))?
            }
            Source::Stored(clip) if tables < TABLES => {
                tables += 1;
                of_table(app, &clip).await.iter().map(|at| at + clip.from_ns).collect()
            }
            Source::Stored(_) => continue,
        };
        kept.keyframes.extend(keys.into_iter().filter(|at| window.contains(at)));
        if kept.keyframes.len() >= KEYFRAMES {
            kept.keyframes.truncate(KEYFRAMES);
            break;
        }
    }
    Ok(kept)
}

fn of_journal(journal: PathBuf) -> Vec<u64> {
    let Ok(index) = Index::build(journal) else { return Vec::new() };
    let Some(video) = index.video() else { return Vec::new() };
    index.entries.iter().filter(|entry| entry.track == video && entry.key).map(|entry| entry.pts_ns).collect()
}

/// Without a table that can be read there are none to show; whoever cuts is told why.
async fn of_table(app: &App, clip: &Clip) -> Arc<[u64]> {
    if let Some(known) = app.timelines().tables.get(&clip.id) {
        return known;
    }
    match read_table(app, clip).await {
        Ok(keys) => {
            let keys: Arc<[u64]> = keys.into();
            app.timelines().tables.insert(clip.id.clone(), Arc::clone(&keys));
            keys
        }
        Err(error) => {
            tracing::debug!(clip = %clip.id, detail = error.detail, "a table of units cannot be read");
            Arc::default()
        }
    }
}

async fn read_table(app: &App, clip: &Clip) -> Result<Vec<u64>, Error> {
    let key = clip.units.as_deref().ok_or_else(Error::not_found)?;
    let bytes = app.objects().get(key, None).await?.bytes(TABLE_BYTES).await?;
    let read = tokio::task::spawn_blocking(move || Units::decode(&bytes).map(|table| keyframes(&table)));
    let read = read.await.map_err(|error| Error::internal("a table of units cannot be read", error))?;
    read.map_err(|error| Error::internal("a table of units is damaged", error))
}

/// In the file's own time. One that was made for the file is as good a start of a cut as any.
fn keyframes(table: &Units) -> Vec<u64> {
    let of_piece = |piece: &journal::UnitsPiece| {
        let videos: Vec<_> = piece
            .records
            .iter()
            .filter_map(|(_, record)| match record {
                Record::Config { track, config } if config.codec.is_video() => Some(*track),
                _ => None,
            })
            .collect();
        let keys = piece.units.iter().filter(|unit| unit.key && videos.contains(&unit.track));
        keys.map(|unit| unit.pts_ns.saturating_sub(piece.from_ns) + piece.offset_ns).collect::<Vec<u64>>()
    };
    table.pieces.iter().flat_map(of_piece).collect()
}
