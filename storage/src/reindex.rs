//! Rebuilds what people look up from what lies in the store: every sidecar is read, every clip, tombstone and broadcast put back.
//!
//! It may be repeated, broken off and gone on with, and may run beside a server: a row that is there and as new is left alone, what
//! was deleted stays deleted. Walked broadcast by broadcast, so memory does not grow with the store.
//!
//! What does not belong here: telling people about it (the binary), and what is on its way on some node's disk (its outbox).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::database::Restored;
use crate::object::SMALL_BYTES;
use crate::{Broadcast, Clip, ClipCause, ClipKind, Database, Id, ObjectStore, Sidecar, StorageError, clock, key};

/// Broadcasts at a time, and sidecars of each.
const BROADCASTS: usize = 4;
const SIDECARS: usize = 8;
/// How often a broadcast is begun anew while a store is away, with a pause that doubles.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);
/// A clip of a live can be this old before the next one of it is there, milliseconds.
const LIVE_MS: i64 = 2 * 24 * 3600 * 1000;

/// What became of one broadcast's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// `<channel>/<broadcast>`. Those before it, in the order of the alphabet, are done.
    pub place: String,
    /// Clips that were not in the database.
    pub added: u64,
    /// Clips of which the database had an older revision.
    pub updated: u64,
    /// Clips of which it had the same revision or a newer one.
    pub kept: u64,
    /// Deleted clips.
    pub buried: u64,
    pub findings: Vec<Finding>,
}

/// Something that could not be put back, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// This sidecar was passed over.
    Damaged { key: String, why: String },
    /// A clip's file without a sidecar. Its name tells what is known of it.
    Orphan { key: String, size: u64 },
    /// A broadcast without a sidecar: its row was made from this many clips. A title it had is lost, and why it ended.
    Undescribed { place: String, clips: usize },
}

impl Finding {
    /// Whether something is missing in the database now.
    pub fn is_loss(&self) -> bool {
        !matches!(self, Self::Undescribed { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { key, why } => write!(f, "{key} is damaged and was passed over: {why}"),
            Self::Orphan { key, size } => write!(f, "{key} ({size} bytes) has no sidecar, so nothing describes it"),
            Self::Undescribed { place, clips } => {
                write!(f, "{place} has no broadcast.json; its row was made from its {clips} clips")
            }
        }
    }
}

/// Walks the store from `from` on (a place, or a channel; none: all of it), in the order of the alphabet. Nothing happens before
/// the stream is asked.
///
/// # Errors
/// Each item may be the last, an error: the store or the database refuses, or was away for longer than a minute.
pub fn reindex(
    objects: ObjectStore,
    database: Database,
    from: Option<String>,
) -> impl Stream<Item = Result<Reindexed, StorageError>> {
    let from = from.unwrap_or_default();
    let channel = from.split('/').next().unwrap_or_default().to_owned();
    let store = objects.clone();
    let ready = {
        let (objects, database) = (objects.clone(), database.clone());
        async move {
            // makes the indexes of an empty database
            patiently(|| database.ping()).await?;
            patiently(|| objects.folders("")).await
        }
    };
    stream::once(ready)
        .map_ok(|channels| stream::iter(channels.into_iter().map(Ok)))
        .try_flatten()
        .try_filter(move |name| std::future::ready(*name >= channel))
        .and_then(move |name| {
            let objects = objects.clone();
            async move { patiently(|| objects.folders(&name)).await }
        })
        .map_ok(|places| stream::iter(places.into_iter().map(Ok)))
        .try_flatten()
        .try_filter(move |place| std::future::ready(*place >= from && is_of_a_broadcast(place)))
        .map_ok(move |place| {
            let (objects, database) = (store.clone(), database.clone());
            async move { patiently(|| rebuild(&objects, &database, &place)).await }
        })
        .try_buffered(BROADCASTS)
}

fn is_of_a_broadcast(place: &str) -> bool {
    place.split_once('/').is_some_and(|(_, broadcast)| broadcast.parse::<Id>().is_ok())
}

/// Again and again while the store or the database is away.
async fn patiently<T, F>(work: impl Fn() -> F) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let mut attempt = 0;
    loop {
        match work().await {
            Err(StorageError::Away(_)) if attempt + 1 < ATTEMPTS => {
                tokio::time::sleep(PAUSE * (1 << attempt)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// What a folder of a broadcast holds.
#[derive(Default)]
struct Folder {
    broadcast: Option<Broadcast>,
    clips: Vec<Clip>,
    /// Highest part of a deleted clip, plus one.
    buried_parts: u32,
}

async fn rebuild(objects: &ObjectStore, database: &Database, place: &str) -> Result<Reindexed, StorageError> {
    let mut done = Reindexed { place: place.to_owned(), ..Reindexed::default() };
    let listed = objects.list(&format!("{place}/")).await?;
    let sidecars: Vec<_> = listed.iter().map(|entry| entry.key.clone()).filter(|key| is_sidecar(key)).collect();
    done.findings = orphans(listed.iter().map(|entry| (entry.key.as_str(), entry.size)));

    let mut folder = Folder::default();
    let mut read = stream::iter(sidecars).map(|key| read(objects, key)).buffered(SIDECARS);
    while let Some(sidecar) = read.next().await {
        match sidecar? {
            Read::Sound(Sidecar::Clip(clip)) => folder.clips.push(*clip),
            Read::Sound(Sidecar::Broadcast(broadcast)) => folder.broadcast = Some(*broadcast),
            Read::Sound(Sidecar::Tombstone(left)) => {
                folder.buried_parts = folder.buried_parts.max(left.part + 1);
                database.bury(&left).await?;
                done.buried += 1;
            }
            Read::Damaged(finding) => done.findings.push(finding),
            Read::Gone => {}
        }
    }
    restore_broadcast(database, &folder, &mut done).await?;
    let clips = std::mem::take(&mut folder.clips);
    let restored = stream::iter(clips).map(|clip| restore(database, clip)).buffered(SIDECARS);
    for outcome in restored.try_collect::<Vec<_>>().await? {
        match outcome {
            Ok(Restored::Added) => done.added += 1,
            Ok(Restored::Updated) => done.updated += 1,
            Ok(Restored::Kept) => done.kept += 1,
            Ok(Restored::Buried) => {}
            Err(finding) => done.findings.push(finding),
        }
    }
    Ok(done)
}

enum Read {
    Sound(Sidecar),
    Damaged(Finding),
    /// Between the listing and now.
    Gone,
}

async fn read(objects: &ObjectStore, key: String) -> Result<Read, StorageError> {
    let bytes = match objects.get(&key, None).await {
        Ok(body) => body.bytes(SMALL_BYTES).await,
        Err(StorageError::NotFound) => return Ok(Read::Gone),
        Err(error) => return Err(error),
    };
    let damaged = |why: String| Ok(Read::Damaged(Finding::Damaged { key: key.clone(), why }));
    match bytes.and_then(|bytes| Sidecar::read(&key, &bytes)) {
        Ok(sidecar) => Ok(Read::Sound(sidecar)),
        Err(StorageError::Corrupt(why) | StorageError::Invalid(why)) => damaged(why),
        Err(error) => Err(error),
    }
}

/// Err(finding): the sidecar says what no row can.
async fn restore(database: &Database, clip: Clip) -> Result<Result<Restored, Finding>, StorageError> {
    match database.restore_clip(&clip).await {
        Err(StorageError::Invalid(why)) => {
            let key = Sidecar::Clip(Box::new(clip)).key();
            Ok(Err(Finding::Damaged { key, why }))
        }
        done => done.map(Ok),
    }
}

async fn restore_broadcast(database: &Database, folder: &Folder, done: &mut Reindexed) -> Result<(), StorageError> {
    let described = folder.broadcast.clone().or_else(|| {
        let made = made_from_clips(folder)?;
        done.findings.push(Finding::Undescribed { place: done.place.clone(), clips: folder.clips.len() });
        Some(made)
    });
    let Some(broadcast) = described else { return Ok(()) };
    match database.upsert_broadcast(&broadcast).await {
        Err(StorageError::Invalid(why)) => {
            let key = key::broadcast(&broadcast.channel, &broadcast.id);
            done.findings.push(Finding::Damaged { key, why });
            Ok(())
        }
        other => other,
    }
}

/// As much of a broadcast as its clips tell.
fn made_from_clips(folder: &Folder) -> Option<Broadcast> {
    let parts = || folder.clips.iter().filter(|clip| clip.kind == ClipKind::Part);
    let last = parts().max_by_key(|clip| clip.part)?;
    let begin_ms = |clip: &Clip| clip.started_at_ms - (clip.from_ns / 1_000_000) as i64;
    let started_at_ms = parts().map(begin_ms).min()?;
    let end_ms = last.started_at_ms + last.duration_ms as i64;
    // one that may still be live must not end here: it would never begin again
    let is_over = matches!(last.cause, ClipCause::End | ClipCause::Recovered)
        || end_ms + LIVE_MS < i64::try_from(clock::utc_ms()).unwrap_or(i64::MAX);
    Some(Broadcast {
        id: last.broadcast.clone(),
        channel: last.channel.clone(),
        title: last.channel.clone(),
        started_at_ms,
        ended_at_ms: is_over.then_some(end_ms),
        clips: (last.part + 1).max(folder.buried_parts),
        duration_ms: (end_ms - started_at_ms).max(0) as u64,
        recorded: true,
        end_reason: None,
    })
}

fn is_sidecar(key: &str) -> bool {
    key.ends_with(".json") && (key::is_of_a_clip(key) || key.ends_with("/broadcast.json"))
}

/// Files of clips that no sidecar stands beside.
fn orphans<'a>(listed: impl Iterator<Item = (&'a str, u64)>) -> Vec<Finding> {
    let mut stems: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    let mut described = BTreeSet::new();
    for (key, size) in listed.filter(|(key, _)| key::is_of_a_clip(key)) {
        let name = key.rfind('/').map_or(0, |at| at + 1);
        let stem = key[name..].find('.').map_or(key, |dot| &key[..name + dot]);
        if key[stem.len()..] == *".json" {
            described.insert(stem);
        } else {
            stems.entry(stem).or_default().push((key, size));
        }
    }
    let alone = stems.into_iter().filter(|(stem, _)| !described.contains(stem)).flat_map(|(_, found)| found);
    alone.map(|(key, size)| Finding::Orphan { key: key.to_owned(), size }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_sidecar_are_named_and_others_left_alone() {
        let (live, one, two) = (Id::new(1, 1), Id::new(2, 2), Id::new(3, 3));
        let keys = [
            key::clip("main", &live, 0, &one, "mp4"),
            key::sidecar("main", &live, 0, &one),
            key::clip("main", &live, 1, &two, "webm"),
            key::poster("main", &live, 1, &two),
            key::broadcast("main", &live),
            format!("main/{live}/notes.txt"),
        ];
        let found = orphans(keys.iter().map(|key| (key.as_str(), 7)));
        let expected = [&keys[2], &keys[3]].map(|key| Finding::Orphan { key: key.clone(), size: 7 });
        assert_eq!(found, expected);
    }
}
