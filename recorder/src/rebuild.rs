//! A journal that is gone, written anew from byte ranges of the clip that was made of it: the clip's table of units says which. What
//! comes back lies in the spool for as long as somebody needs it.
//!
//! Not here: which clip holds a range (orders), and how a journal becomes a file (pipeline).

use std::cmp::Reverse;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use journal::{Units, UnitsPiece, units};
use media::id::BroadcastId;
use storage::{Clip, Id, ObjectStore, StorageError};

use crate::guard;

/// Holes between units up to this length are read along: about what a request costs.
const HOLE_BYTES: u64 = 64 * 1024;
/// More ranges than this are not worth their requests: one is read, from the first to the last.
const SPANS: usize = 64;
/// Requests at a time.
const AT_ONCE: usize = 4;
/// The longest table that is read: six hours of 60 pictures a second, which take 200 MB of memory.
const TABLE_BYTES: usize = 32 * 1024 * 1024;
/// What stays free on the disk for the recordings that run.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// A journal that is removed when this is dropped. (The next start removes those of a crash.)
#[derive(Debug)]
pub struct Rebuilt {
    path: PathBuf,
    fetched_bytes: u64,
}

impl Rebuilt {
    /// How much was read from the store, without the table.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Rebuilt {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The journal of a stored clip, as far as a range of a broadcast's timeline needs it, in this folder. Of a clip that shows the broadcast more than once
/// it is the piece that holds most of the range.
///
/// # Errors
/// NotFound when the clip has no table of units or an object is gone; Corrupt when table and file do not fit; Refused when the disk has
/// no room for it; Away.
pub async fn rebuild(
    objects: &ObjectStore,
    spool: &Path,
    clip: &Clip,
    broadcast: &Id,
    range: journal::Range,
) -> Result<Rebuilt, StorageError> {
    let table = read_table(objects, clip).await?;
    let piece = piece_of(table, broadcast, range)?;
    let spans = worth_their_requests(units::spans(piece.select(range), HOLE_BYTES));
    let fetched_bytes = spans.iter().map(|span| span.end - span.start).sum();
    check_room(spool, fetched_bytes)?;
    let name = format!("{}.tmp.{:016x}", clip.id, rand::random::<u64>());
    let bytes = Fetched::fetch(objects, clip, spans, spool.join(format!("{name}.bytes"))).await?;
    let rebuilt = Rebuilt { path: spool.join(format!("{name}.{}", journal::EXTENSION)), fetched_bytes };
    let written = tokio::task::spawn_blocking(move || {
        let fetch = |unit: &units::Unit| bytes.read(unit.offset, unit.size as usize);
        let written = piece.rebuild(range, &rebuilt.path, fetch);
        written.map(|_| rebuilt).map_err(|error| StorageError::Corrupt(format!("clip {}: {error}", bytes.object)))
    });
    written.await.unwrap_or_else(|error| Err(StorageError::Corrupt(error.to_string())))
}

async fn read_table(objects: &ObjectStore, clip: &Clip) -> Result<Units, StorageError> {
    let key = clip.units.as_ref().ok_or(StorageError::NotFound)?;
    let bytes = objects.get(key, None).await?.bytes(TABLE_BYTES).await?;
    let size = clip.size;
    let read = tokio::task::spawn_blocking(move || Units::decode(&bytes).map_err(|error| error.to_string()));
    match read.await.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(table) if table.file_bytes == size => Ok(table),
        Ok(table) => {
            let other = table.file_bytes;
            Err(StorageError::Corrupt(format!("{key} speaks of a file of {other} bytes, the clip has {size}")))
        }
        Err(error) => Err(StorageError::Corrupt(format!("{key}: {error}"))),
    }
}

fn piece_of(table: Units, broadcast: &Id, range: journal::Range) -> Result<UnitsPiece, StorageError> {
    let broadcast: BroadcastId = broadcast.as_str().parse().map_err(|_| StorageError::NotFound)?;
    let shown = |piece: &UnitsPiece| piece.to_ns.min(range.to_ns).saturating_sub(piece.from_ns.max(range.from_ns));
    // Where two hold as much, what was received is better than what was made of it.
    let made = |piece: &UnitsPiece| piece.select(range).filter(|unit| unit.made).count();
    let of = table.pieces.into_iter().filter(|piece| piece.header.broadcast == broadcast);
    let best = of.max_by_key(|piece| (shown(piece), Reverse(made(piece))));
    best.ok_or_else(|| StorageError::Corrupt("its table of units does not name the broadcast".into()))
}

/// Many small ranges become one.
fn worth_their_requests(mut spans: Vec<Range<u64>>) -> Vec<Range<u64>> {
    if spans.len() > SPANS {
        let end = spans.last().map_or(0, |last| last.end);
        spans.truncate(1);
        spans[0].end = end;
    }
    spans
}

/// The bytes, and a journal that is as long.
fn check_room(spool: &Path, bytes: u64) -> Result<(), StorageError> {
    let needed = bytes.saturating_mul(2).saturating_add(RESERVE_BYTES);
    if guard::free_bytes(spool).is_some_and(|free| free < needed) {
        return Err(StorageError::Refused(format!("the disk is too full to bring {bytes} bytes of a clip back to it")));
    }
    Ok(())
}

/// Parts of an object, at their own places in a file with holes. Removed when it is dropped.
struct Fetched {
    object: String,
    file: File,
    path: PathBuf,
}

impl Fetched {
    async fn fetch(
        objects: &ObjectStore,
        clip: &Clip,
        spans: Vec<Range<u64>>,
        path: PathBuf,
    ) -> Result<Self, StorageError> {
        let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(|e| local(&e))?;
        let fetched = Self { object: clip.object.clone(), file, path };
        let reads =
            stream::iter(spans.into_iter().map(|span| Ok::<_, StorageError>(fetched.read_span(objects, clip, span))));
        reads.try_buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(fetched)
    }

    async fn read_span(&self, objects: &ObjectStore, clip: &Clip, span: Range<u64>) -> Result<(), StorageError> {
        let mut body = objects.get(&clip.object, Some((span.start, span.end - 1))).await?;
        if body.size != clip.size || body.range != span {
            return Err(StorageError::Corrupt(format!(
                "{} has {} bytes, the clip {}",
                clip.object, body.size, clip.size
            )));
        }
        let mut at = span.start;
        while let Some(chunk) = body.stream.next().await {
            let chunk = chunk?;
            let length = chunk.len() as u64;
            let file = self.file.try_clone().map_err(|e| local(&e))?;
            let written = tokio::task::spawn_blocking(move || file.write_all_at(&chunk, at));
            written.await.map_err(|e| StorageError::Local(e.to_string()))?.map_err(|e| local(&e))?;
            at += length;
        }
        Ok(())
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes.into())
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn local(error: &io::Error) -> StorageError {
    StorageError::Local(format!("the spool: {error}"))
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), %error, "a file that was brought back stays until the next start");
        }
        _ => {}
    }
}
