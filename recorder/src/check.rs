//! `oxbow check`: compares journals, spool, job table, store and database, and names each disagreement. Changes nothing. Silent
//! when everything is whole; what is still on its way is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use journal::{Index, Tail};
use media::id::TrackId;
use storage::local::LocalClip;
use storage::object::SMALL_BYTES;
use storage::{
    BroadcastQuery, Clip, ClipCause, ClipKind, ClipQuery, ClipState, Database, Id, Local, ObjectStore, Sidecar,
    StorageError, Tombstone,
};

use crate::chain::{self, Member};
use crate::house;

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub journals: usize,
    pub rows: usize,
    pub clips: usize,
    pub objects: usize,
    /// Access units in the journals that are still kept.
    pub units: u64,
    pub problems: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Report {
    pub fn is_silent(&self) -> bool {
        self.problems.is_empty()
    }

    fn wrong(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }
}

/// Looks at everything of a node. `data_dir` as in [`crate::RecorderConfig`].
///
/// # Errors
/// When the job table, the store or the database cannot be asked. A disagreement is no error.
pub async fn check(
    data_dir: &Path,
    objects: &ObjectStore,
    database: &Database,
    local: &Local,
) -> Result<Report, StorageError> {
    let mut report = Report::default();
    let mut rows = BTreeMap::new();
    loop {
        let page = local.local_clips(rows.keys().next_back().cloned()).await?;
        if page.is_empty() {
            break;
        }
        rows.extend(page.into_iter().map(|row| (row.id.clone(), row)));
    }
    report.rows = rows.len();
    check_journals(&mut report, data_dir, &rows).await;
    for row in rows.values().filter(|row| !row.deleted) {
        check_row(&mut report, row, database).await?;
    }
    let clips = all_clips(database).await?;
    report.clips = clips.len();
    for clip in &clips {
        let pictures = rows.get(&clip.id).is_none_or(|row| row.inspection.is_none());
        check_clip(&mut report, clip, pictures, objects).await?;
        if rows.get(&clip.id).is_none_or(|row| row.state == ClipState::Stored) {
            check_sidecar(&mut report, Sidecar::Clip(Box::new(clip.clone())), &clip.id, objects, local).await?;
        }
    }
    let tombstones = database.tombstones().await?;
    check_chains(&mut report, &clips, &tombstones, &rows, database).await?;
    check_broadcasts(&mut report, database, local).await?;
    check_descriptions(&mut report, objects, database, local).await?;
    check_objects(&mut report, objects, local, &rows, &clips, &tombstones).await?;
    Ok(report)
}

async fn check_journals(report: &mut Report, data_dir: &Path, rows: &BTreeMap<Id, LocalClip>) {
    let root = data_dir.join("journal");
    // a part that recovery closed may have a torn tail, and one that still grows looks as if it had
    let may_be_torn = |row: &LocalClip| row.state == ClipState::Recording || row.cause == Some(ClipCause::Recovered);
    let known: BTreeMap<PathBuf, bool> = rows.values().map(|row| (row.journal.clone(), may_be_torn(row))).collect();
    let read = tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        let mut before: Option<Index> = None;
        for path in house::journals_in(&root) {
            report.journals += 1;
            let may_be_torn = known.get(&path);
            if may_be_torn.is_none() {
                report.wrong(format!("journal without a row: {}", path.display()));
            }
            match Index::build(&path) {
                Ok(index) => {
                    report.units += index.entries.len() as u64;
                    check_order(&mut report, &index, may_be_torn == Some(&true));
                    if let Some(before) = &before {
                        check_border(&mut report, before, &index);
                    }
                    before = Some(index);
                }
                Err(error) => report.wrong(format!("journal cannot be read: {error}")),
            }
        }
        report
    });
    match read.await {
        Ok(read) => {
            (report.journals, report.units) = (read.journals, read.units);
            report.problems.extend(read.problems);
        }
        Err(error) => report.wrong(format!("the journals could not be read: {error}")),
    }
}

/// Damage in a part that was closed in order, and units out of order. Behind its cut a part may be torn: a crash between the
/// cut and the end of the lingering.
fn check_order(report: &mut Report, index: &Index, may_be_torn: bool) {
    let clip = index.header.clip;
    if let Tail::Torn { at, bytes } = index.tail
        && !may_be_torn
        && index.cut_ns.is_none()
    {
        report.wrong(format!("journal of clip {clip}: {bytes} damaged bytes from {at} on"));
    }
    for damage in &index.damage {
        report.wrong(format!("journal of clip {clip}: {} damaged bytes from {} on", damage.bytes, damage.at));
    }
    for track in index.tracks() {
        let units = || index.entries.iter().filter(|e| e.track == track);
        for (one, next) in units().zip(units().skip(1)) {
            if next.pts_ns <= one.pts_ns || next.first_seq <= one.last_seq && next.last_seq > 0 {
                report.wrong(format!(
                    "journal of clip {clip}: track {} does not move forward at {} ns",
                    track.0, next.pts_ns
                ));
                break;
            }
        }
    }
}

/// Neighbouring parts: no unit twice, and none missing where the source counts without holes.
fn check_border(report: &mut Report, before: &Index, index: &Index) {
    let neighbours = before.header.broadcast == index.header.broadcast && before.header.part + 1 == index.header.part;
    if !neighbours {
        return;
    }
    for track in index.tracks() {
        let last = before.entries.iter().rev().find(|e| e.track == track);
        let first = index.entries.iter().find(|e| e.track == track);
        let (Some(last), Some(first)) = (last, first) else { continue };
        let border = format!("between clips {} and {}, track {}", before.header.clip, index.header.clip, track.0);
        if first.pts_ns <= last.pts_ns || (first.first_seq <= last.last_seq && first.last_seq > 0) {
            report.wrong(format!("{border}: a unit is in both"));
        } else if first.first_seq > last.last_seq + 1 && counts_on(before, track) && counts_on(index, track) {
            report.wrong(format!("{border}: packets {} to {} are missing", last.last_seq + 1, first.first_seq - 1));
        }
    }
}

/// Whether packet numbers have no holes within the part; sources that send padding leave some.
fn counts_on(index: &Index, track: TrackId) -> bool {
    let units = || index.entries.iter().filter(|e| e.track == track);
    index.gaps.is_empty() && units().zip(units().skip(1)).all(|(one, next)| next.first_seq == one.last_seq + 1)
}

async fn check_row(report: &mut Report, row: &LocalClip, database: &Database) -> Result<(), StorageError> {
    let id = &row.id;
    match row.state {
        ClipState::Recording | ClipState::Exporting if row.recipe.is_none() && !row.journal.exists() => {
            report.wrong(format!("clip {id} is {} but its journal is gone", row.state));
        }
        ClipState::Queued | ClipState::Uploading => {
            let size = row.file.as_ref().and_then(|file| file.metadata().ok()).map(|m| m.len());
            if size.is_none() || size != row.clip.as_ref().map(|clip| clip.size) {
                report.wrong(format!("clip {id} is {} but its file is gone or has another size", row.state));
            }
        }
        ClipState::Stored => {
            // another node may have deleted it
            if database.clip(id).await?.is_none() && database.tombstone(id).await?.is_none() {
                report.wrong(format!("clip {id} is stored but not in the database"));
            }
            if row.inspection.is_none() && row.file.as_ref().is_some_and(|file| file.exists()) {
                report.wrong(format!("clip {id} is stored but its local file is still there"));
            }
        }
        ClipState::Failed => {
            report.wrong(format!("clip {id} failed: {}", row.error.as_deref().unwrap_or("no reason was noted")));
        }
        ClipState::Recording | ClipState::Exporting | ClipState::Verified => {}
    }
    Ok(())
}

async fn all_clips(database: &Database) -> Result<Vec<Clip>, StorageError> {
    let mut query = ClipQuery::default();
    let mut clips = Vec::new();
    loop {
        let page = database.clips(&query).await?;
        clips.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(clips);
        }
    }
}

/// `pictures`: they are not on their way any more.
async fn check_clip(
    report: &mut Report,
    clip: &Clip,
    pictures: bool,
    objects: &ObjectStore,
) -> Result<(), StorageError> {
    match objects.head(&clip.object).await? {
        None => report.wrong(format!("clip {} is in the database, its object {} is missing", clip.id, clip.object)),
        Some(info) if info.size != clip.size => {
            report.wrong(format!("clip {}: its object has {} bytes instead of {}", clip.id, info.size, clip.size));
        }
        Some(info) if info.sha256.as_ref().is_some_and(|hash| *hash != clip.sha256) => {
            report.wrong(format!("clip {}: its object has another hash", clip.id));
        }
        Some(_) => {}
    }
    if let Some(key) = &clip.units
        && objects.head(key).await?.is_none()
    {
        report.wrong(format!("clip {}: its table of units {key} is missing", clip.id));
    }
    let others: BTreeSet<&String> =
        clip.poster.iter().chain(clip.pictures.iter().flat_map(|pictures| pictures.objects())).collect();
    for picture in others.into_iter().filter(|_| pictures) {
        if objects.head(picture).await?.is_none() {
            report.wrong(format!("clip {}: its picture {picture} is missing", clip.id));
        }
    }
    Ok(())
}

/// Broadcasts have sidecars too.
async fn check_descriptions(
    report: &mut Report,
    objects: &ObjectStore,
    database: &Database,
    local: &Local,
) -> Result<(), StorageError> {
    let here = local.local_broadcasts().await?;
    let unsent: BTreeSet<Id> = here.into_iter().filter(|(_, sent)| !sent).map(|(broadcast, _)| broadcast.id).collect();
    let mut query = BroadcastQuery::default();
    loop {
        let page = database.broadcasts(&query).await?;
        for broadcast in page.items {
            let id = broadcast.id.clone();
            if !unsent.contains(&id) {
                check_sidecar(report, Sidecar::Broadcast(Box::new(broadcast)), &id, objects, local).await?;
            }
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}

/// What the store says of a row is what the database says, unless it is still to be written.
async fn check_sidecar(
    report: &mut Report,
    row: Sidecar,
    id: &Id,
    objects: &ObjectStore,
    local: &Local,
) -> Result<(), StorageError> {
    if local.awaits_sidecar(id.clone()).await? {
        return Ok(());
    }
    let key = row.key();
    let read = match objects.get(&key, None).await {
        Ok(body) => body.bytes(SMALL_BYTES).await.and_then(|bytes| Sidecar::read(&key, &bytes)),
        Err(error) => Err(error),
    };
    match read {
        Ok(said) if said == row => {}
        Ok(_) => report.wrong(format!("sidecar {key} says something else than the database")),
        Err(StorageError::NotFound) => report.wrong(format!("sidecar {key} is missing")),
        Err(StorageError::Corrupt(why) | StorageError::Invalid(why)) => {
            report.wrong(format!("sidecar {key} is damaged: {why}"));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The parts of each broadcast join: no journal is needed for this. What is on its way is known from its row, and clips that were made
/// of them have no place among them.
async fn check_chains(
    report: &mut Report,
    clips: &[Clip],
    tombstones: &[Tombstone],
    rows: &BTreeMap<Id, LocalClip>,
    database: &Database,
) -> Result<(), StorageError> {
    let mut broadcasts: BTreeMap<&Id, Vec<Member>> = BTreeMap::new();
    for clip in clips.iter().filter(|clip| clip.kind == ClipKind::Part) {
        broadcasts.entry(&clip.broadcast).or_default().push(clip.into());
    }
    for tombstone in tombstones.iter().filter(|tombstone| tombstone.kind == ClipKind::Part) {
        broadcasts.entry(&tombstone.broadcast).or_default().push(tombstone.into());
    }
    let is_coming = |row: &LocalClip| !matches!(row.state, ClipState::Stored | ClipState::Failed);
    for row in rows.values().filter(|row| row.recipe.is_none() && is_coming(row)) {
        let members = broadcasts.entry(&row.broadcast).or_default();
        if members.iter().all(|member| member.id != row.id) {
            members.push(row.into());
        }
    }
    for (id, members) in &mut broadcasts {
        report.problems.extend(chain::walk(members));
        let told = database.broadcast(id).await?.map_or(0, |broadcast| broadcast.clips);
        if let Some(made) = chain::made(members).filter(|made| *made < told) {
            report.wrong(format!("broadcast {id}: {told} clips were made of it, {made} are known"));
        }
    }
    Ok(())
}

/// What the database was told and what it says.
async fn check_broadcasts(report: &mut Report, database: &Database, local: &Local) -> Result<(), StorageError> {
    for (broadcast, sent) in local.local_broadcasts().await? {
        let known = if sent { database.broadcast(&broadcast.id).await? } else { continue };
        match known {
            None => report.wrong(format!("broadcast {} is not in the database", broadcast.id)),
            Some(known) if known.ended_at_ms.is_some() != broadcast.ended_at_ms.is_some() => {
                report.wrong(format!("broadcast {}: the database does not know that it ended", broadcast.id));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Objects with a name of ours that nobody knows.
async fn check_objects(
    report: &mut Report,
    objects: &ObjectStore,
    local: &Local,
    rows: &BTreeMap<Id, LocalClip>,
    clips: &[Clip],
    tombstones: &[Tombstone],
) -> Result<(), StorageError> {
    let mut known: BTreeSet<String> = local.removals().await?.into_iter().collect();
    for clip in clips.iter().chain(rows.values().filter_map(|row| row.clip.as_ref())) {
        known.extend(clip.objects().cloned());
        known.insert(clip.key("json"));
    }
    known.extend(tombstones.iter().map(Tombstone::sidecar));
    for entry in objects.list("").await? {
        report.objects += 1;
        if is_of_a_clip(&entry.key) && !known.contains(&entry.key) {
            report.wrong(format!("object without a clip: {}", entry.key));
        }
    }
    Ok(())
}

/// `<channel>/<broadcast>/<part>-<clip>.<extension>`; a bucket may hold other things as well.
fn is_of_a_clip(key: &str) -> bool {
    let mut segments = key.split('/').skip(1);
    let (Some(broadcast), Some(name), None) = (segments.next(), segments.next(), segments.next()) else { return false };
    let clip = name.split('.').next().and_then(|stem| stem.split_once('-')).map(|(_, clip)| clip);
    broadcast.parse::<Id>().is_ok() && clip.is_some_and(|clip| clip.parse::<Id>().is_ok())
}
