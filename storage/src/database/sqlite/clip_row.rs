//! A clip as a row and back. What is searched or filtered by has a column of its own, what is only carried is JSON.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, named_params};
use serde::Serialize;

use super::{json, json_of, parsed, unsigned};
use crate::Clip;

const COLUMNS: [&str; 37] = [
    "id",
    "broadcast",
    "channel",
    "part",
    "title",
    "searchable",
    "cause",
    "started_at_ms",
    "duration_ms",
    "from_ns",
    "to_ns",
    "mime",
    "video",
    "audio",
    "width",
    "height",
    "frames",
    "packets",
    "size",
    "sha256",
    "object",
    "poster",
    "lost_ms",
    "created_at_ms",
    "revision",
    "continuity",
    "kind",
    "description",
    "tags",
    "links",
    "visibility",
    "published_at_ms",
    "pinned",
    "recipe",
    "health",
    "pictures",
    "units",
];

/// Nothing happens when its id is there already or was deleted.
pub(super) fn insert(db: &Connection, clip: &Clip) -> rusqlite::Result<()> {
    let (names, values) = (COLUMNS.join(", "), COLUMNS.map(|name| format!(":{name}")).join(", "));
    let sql = format!(
        "INSERT OR IGNORE INTO clips ({names}) SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM deleted_clips WHERE id = :id)"
    );
    execute(db, &sql, clip).map(drop)
}

/// Brings the row of a clip up to date.
pub(super) fn update(db: &Connection, clip: &Clip) -> rusqlite::Result<()> {
    let set = COLUMNS.map(|name| format!("{name} = :{name}")).join(", ");
    execute(db, &format!("UPDATE clips SET {set} WHERE id = :id"), clip).map(drop)
}

fn execute(db: &Connection, sql: &str, clip: &Clip) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(named_params! {
        ":id": clip.id.as_str(), ":broadcast": clip.broadcast.as_str(), ":channel": clip.channel, ":part": clip.part,
        ":title": clip.title, ":searchable": clip.searchable(), ":cause": clip.cause.as_str(),
        ":started_at_ms": clip.started_at_ms, ":duration_ms": clip.duration_ms as i64,
        ":from_ns": clip.from_ns as i64, ":to_ns": clip.to_ns as i64, ":mime": clip.mime, ":video": clip.video,
        ":audio": clip.audio, ":width": clip.width, ":height": clip.height, ":frames": clip.frames as i64,
        ":packets": clip.packets as i64, ":size": clip.size as i64, ":sha256": clip.sha256, ":object": clip.object,
        ":poster": clip.poster, ":lost_ms": clip.lost_ms as i64, ":created_at_ms": clip.created_at_ms,
        ":revision": clip.revision, ":continuity": optional(clip.continuity.as_ref())?, ":kind": clip.kind.as_str(),
        ":description": clip.description, ":tags": text(&clip.tags)?, ":links": text(&clip.links)?,
        ":visibility": clip.visibility.as_str(), ":published_at_ms": clip.published_at_ms, ":pinned": clip.pinned,
        ":recipe": optional(clip.recipe.as_ref())?, ":health": optional(clip.health.as_ref())?,
        ":pictures": optional(clip.pictures.as_ref())?, ":units": clip.units,
    })
}

fn optional(value: Option<&impl Serialize>) -> rusqlite::Result<Option<String>> {
    value.map(text).transpose()
}

fn text(value: &impl Serialize) -> rusqlite::Result<String> {
    json_of(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Clip> {
    Ok(Clip {
        id: parsed(row, "id")?,
        broadcast: parsed(row, "broadcast")?,
        channel: row.get("channel")?,
        part: row.get("part")?,
        title: row.get("title")?,
        cause: parsed(row, "cause")?,
        started_at_ms: row.get("started_at_ms")?,
        duration_ms: unsigned(row, "duration_ms")?,
        from_ns: unsigned(row, "from_ns")?,
        to_ns: unsigned(row, "to_ns")?,
        mime: row.get("mime")?,
        video: row.get("video")?,
        audio: row.get("audio")?,
        width: row.get("width")?,
        height: row.get("height")?,
        frames: unsigned(row, "frames")?,
        packets: unsigned(row, "packets")?,
        size: unsigned(row, "size")?,
        sha256: row.get("sha256")?,
        object: row.get("object")?,
        poster: row.get("poster")?,
        lost_ms: unsigned(row, "lost_ms")?,
        continuity: maybe(row, "continuity")?,
        created_at_ms: row.get("created_at_ms")?,
        revision: row.get("revision")?,
        kind: parsed(row, "kind")?,
        description: row.get("description")?,
        tags: json(row, "tags")?,
        links: json(row, "links")?,
        visibility: parsed(row, "visibility")?,
        published_at_ms: row.get("published_at_ms")?,
        pinned: row.get("pinned")?,
        recipe: maybe(row, "recipe")?,
        health: maybe(row, "health")?,
        pictures: maybe(row, "pictures")?,
        units: row.get("units")?,
    })
}

fn maybe<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => json(row, column).map(Some),
    }
}
