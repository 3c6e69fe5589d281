//! The index is disposable: what the sidecars say is what the database said, over both stores and both databases.

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use storage::reindex::{Finding, Reindexed, reindex};
use storage::{
    Broadcast, BroadcastQuery, ChecksumMode, Clip, ClipCause, ClipEdit, ClipHealth, ClipKind, ClipQuery, Continuity,
    Database, Format, Id, Link, MongoConfig, ObjectStore, Piece, Precision, Recipe, Restored, S3Config, Secret,
    Sidecar, StorageError, Tombstone, Visibility, WebLink, key, sidecar,
};
use support::{MongoServer, S3Server};
use tempfile::TempDir;

/// A store and as many databases as are asked for.
struct Place {
    objects: ObjectStore,
    mongo: Option<MongoServer>,
    directory: TempDir,
    _s3: Option<S3Server>,
}

fn place(s3: bool, mongo: bool) -> Option<Place> {
    let directory = tempfile::tempdir().unwrap();
    let mongo = if mongo { Some(MongoServer::start(&directory.path().join("mongo"))?) } else { None };
    let server = s3.then(|| S3Server::start(&directory.path().join("s3")));
    let objects = match &server {
        None => ObjectStore::folder(directory.path().join("objects")),
        Some(server) => ObjectStore::s3(S3Config {
            endpoint: server.endpoint(),
            region: S3Server::REGION.into(),
            bucket: S3Server::BUCKET.into(),
            access_key: S3Server::ACCESS_KEY.into(),
            secret_key: Secret::new(S3Server::SECRET_KEY),
            checksum: ChecksumMode::WhenSupported,
            part_bytes: storage::object::PART_BYTES,
        })
        .unwrap(),
    };
    Some(Place { objects, mongo, directory, _s3: server })
}

macro_rules! over_all {
    ($($case:ident),* $(,)?) => {
        over_all!(@ folder_and_sqlite, false, false, $($case),*);
        over_all!(@ folder_and_mongo, false, true, $($case),*);
        over_all!(@ s3_and_sqlite, true, false, $($case),*);
        over_all!(@ s3_and_mongo, true, true, $($case),*);
    };
    (@ $name:ident, $s3:literal, $mongo:literal, $($case:ident),*) => {
        mod $name {
            $(#[tokio::test] async fn $case() {
                let Some(place) = super::place($s3, $mongo) else { return };
                super::$case(place).await
            })*
        }
    };
}

over_all!(
    a_dropped_database_comes_back_row_by_row,
    newer_rows_stay_and_older_ones_follow,
    a_damaged_store_is_told_piece_by_piece
);

impl Place {
    /// An empty one.
    fn database(&self) -> Database {
        let name = format!("oxbow_{:016x}", rand::random::<u64>());
        match &self.mongo {
            None => Database::sqlite(self.directory.path().join(name).with_extension("db")),
            Some(server) => {
                let host = server.host().to_owned();
                Database::mongo(MongoConfig { host, user: None, password: None, database: name })
            }
        }
    }

    async fn put(&self, sidecar: &Sidecar) {
        self.objects.put_bytes(&sidecar.key(), sidecar.json().unwrap(), sidecar::MIME).await.unwrap();
    }

    async fn put_text(&self, key: &str, text: &'static str) {
        self.objects.put_bytes(key, Bytes::from_static(text.as_bytes()), "text/plain").await.unwrap();
    }

    async fn reindex(&self, database: &Database, from: Option<String>) -> Vec<Reindexed> {
        reindex(self.objects.clone(), database.clone(), from).try_collect().await.unwrap()
    }
}

fn id() -> Id {
    Id::new(1_700_000_000_000 + rand::random::<u64>() % 1_000_000_000, rand::random())
}

fn broadcast(channel: &str, clips: u32) -> Broadcast {
    let id = id();
    Broadcast {
        started_at_ms: id.utc_ms() as i64,
        ended_at_ms: clips.is_multiple_of(2).then_some(id.utc_ms() as i64 + i64::from(clips) * 5000),
        id,
        channel: channel.into(),
        title: format!("Live of {channel} ü"),
        clips,
        duration_ms: u64::from(clips) * 5000,
        recorded: clips > 0,
        end_reason: clips.is_multiple_of(2).then(|| "stopped".into()),
    }
}

fn clip(live: &Broadcast, part: u32) -> Clip {
    let id = id();
    let from_ns = u64::from(part) * 5_000_000_000;
    let before = (part > 0).then(|| Link { clip: self::id(), part: part - 1, sha256: "0b".repeat(32) });
    Clip {
        object: key::clip(&live.channel, &live.id, part, &id, "mp4"),
        poster: Some(key::poster(&live.channel, &live.id, part, &id)),
        title: format!("Clip {part} – \"日本\""),
        cause: [ClipCause::Length, ClipCause::Request, ClipCause::End][part as usize % 3],
        started_at_ms: live.started_at_ms + i64::from(part) * 5000,
        duration_ms: 5000,
        from_ns,
        to_ns: from_ns + 5_000_000_000,
        mime: "video/mp4".into(),
        video: Some("h264".into()),
        width: 1280,
        height: 720,
        frames: 150,
        size: i64::MAX as u64,
        sha256: "0a".repeat(32),
        lost_ms: 3,
        continuity: Some(Continuity {
            tracks: vec![],
            before,
            passed: 0,
            replaced: vec!["0c".repeat(32); part as usize % 3],
        }),
        created_at_ms: live.started_at_ms + 6000,
        description: "what it is\nin two lines".into(),
        tags: vec!["goal".into(), "日本".into()],
        links: vec![WebLink { title: "site".into(), url: "https://site.example/".into() }],
        visibility: Visibility::Published,
        published_at_ms: Some(live.started_at_ms + 7000),
        pinned: part == 1,
        health: (part == 2).then(|| ClipHealth { score: 80, loudness: Some(-230), ..ClipHealth::default() }),
        ..Clip::at(id, live.id.clone(), &live.channel, part)
    }
}

/// One that somebody had made.
fn made(clip: Clip) -> Clip {
    let piece = Piece::new(clip.broadcast.clone(), clip.from_ns, clip.to_ns);
    let object = key::made(&clip.channel, &clip.broadcast, &clip.id, "mp4");
    let recipe = Recipe { pieces: vec![piece], precision: Precision::Exact, format: Format::Compatible };
    Clip { kind: ClipKind::Made, object, poster: None, recipe: Some(recipe), ..clip }
}

async fn edit(database: &Database, clip: &Clip, title: &str) -> Result<Clip, StorageError> {
    let edit = ClipEdit { title: Some(title.into()), tags: Some(vec!["edited".into()]), ..ClipEdit::default() };
    database.edit_clip(&clip.id, &edit, None).await
}

/// Every row, by id.
async fn rows(database: &Database) -> (BTreeMap<Id, Clip>, BTreeMap<Id, Tombstone>, BTreeMap<Id, Broadcast>) {
    let (mut clips, mut query) = (BTreeMap::new(), ClipQuery::default());
    loop {
        let page = database.clips(&query).await.unwrap();
        clips.extend(page.items.into_iter().map(|clip| (clip.id.clone(), clip)));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let (mut broadcasts, mut query) = (BTreeMap::new(), BroadcastQuery::default());
    loop {
        let page = database.broadcasts(&query).await.unwrap();
        broadcasts.extend(page.items.into_iter().map(|broadcast| (broadcast.id.clone(), broadcast)));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let tombstones = database.tombstones().await.unwrap().into_iter().map(|left| (left.id.clone(), left)).collect();
    (clips, tombstones, broadcasts)
}

/// Rows as a server writes them, with edits and deletions, and the sidecars that follow them.
async fn fill(place: &Place, database: &Database) {
    for (at, channel) in ["main", "main", "main", "side-stage", "empty"].into_iter().enumerate() {
        let live = broadcast(channel, if channel == "empty" { 0 } else { at as u32 * 5 + 3 });
        database.upsert_broadcast(&live).await.unwrap();
        place.put(&Sidecar::Broadcast(Box::new(live.clone()))).await;
        for part in 0..live.clips {
            let mut clip = clip(&live, part);
            if part % 7 == 6 {
                clip = made(clip);
            }
            database.insert_clip(&clip).await.unwrap();
            place.put_text(&clip.object, "the file").await;
            if part % 4 == 1 {
                clip = edit(database, &clip, &format!("renamed {part}")).await.unwrap();
            }
            if part % 5 == 2 {
                database.delete_clip(&clip.id).await.unwrap().unwrap();
                place.objects.delete(&clip.object).await.unwrap();
                place.put(&Sidecar::Tombstone(Box::new(Tombstone::from(&clip)))).await;
            } else {
                place.put(&Sidecar::Clip(Box::new(clip))).await;
            }
        }
    }
    // other people's things in the same bucket
    place.put_text("photos/2024/a.jpg", "a picture").await;
    place.put_text("readme.txt", "hello").await;
    place.put_text(&format!("backup/{}/notes.json", id()), "{}").await;
}

async fn a_dropped_database_comes_back_row_by_row(place: Place) {
    let database = place.database();
    fill(&place, &database).await;
    let before = rows(&database).await;
    assert!(before.0.len() > 30 && before.1.len() > 6 && before.2.len() == 5);

    let rebuilt = place.database();
    let done = place.reindex(&rebuilt, None).await;
    assert!(done.iter().all(|done| done.findings.is_empty()), "{done:?}");
    assert_eq!(done.iter().map(|done| done.added as usize).sum::<usize>(), before.0.len());
    assert_eq!(rows(&rebuilt).await, before);

    // again changes nothing, and one that broke off goes on where it was
    let again = place.reindex(&rebuilt, None).await;
    assert_eq!(again.iter().map(|done| done.kept as usize).sum::<usize>(), before.0.len());
    assert_eq!(rows(&rebuilt).await, before);
    let places: Vec<_> = done.iter().map(|done| done.place.clone()).collect();
    assert!(places.is_sorted());
    let third = place.database();
    for from in places.iter().rev() {
        let rest = place.reindex(&third, Some(from.clone())).await;
        assert_eq!(&rest[0].place, from);
    }
    assert_eq!(rows(&third).await, before);
}

async fn newer_rows_stay_and_older_ones_follow(place: Place) {
    let (database, old) = (place.database(), place.database());
    let live = broadcast("main", 4);
    let [edited, stale, deleted, gone, measured] = [0, 1, 2, 3, 4].map(|part| clip(&live, part));
    for clip in [&edited, &stale, &deleted, &gone, &measured] {
        database.insert_clip(clip).await.unwrap();
        old.insert_clip(clip).await.unwrap();
        place.put(&Sidecar::Clip(Box::new(clip.clone()))).await;
    }
    place.put(&Sidecar::Broadcast(Box::new(live.clone()))).await;
    // somebody edits and deletes while the store still has the old descriptions
    let edited = edit(&database, &edited, "newer than its sidecar").await.unwrap();
    database.delete_clip(&deleted.id).await.unwrap().unwrap();
    // and this one's description is newer than its row, and that one's says that it is deleted
    let stale = Clip { title: "newer than its row".into(), revision: 7, ..stale };
    place.put(&Sidecar::Clip(Box::new(stale.clone()))).await;
    place.put(&Sidecar::Tombstone(Box::new(Tombstone::from(&gone)))).await;
    // and what was measured of this one got lost with the newest rows
    let measured = Clip { health: Some(ClipHealth { score: 7, ..ClipHealth::default() }), ..measured };
    place.put(&Sidecar::Clip(Box::new(measured.clone()))).await;

    let done = place.reindex(&database, None).await.remove(0);
    assert_eq!((done.added, done.updated, done.kept, done.buried, done.findings.len()), (0, 2, 1, 1, 0));
    assert_eq!(database.clip(&edited.id).await.unwrap(), Some(edited.clone()));
    assert_eq!(database.clip(&stale.id).await.unwrap(), Some(stale.clone()));
    assert_eq!(database.clip(&measured.id).await.unwrap(), Some(measured.clone()));
    assert_eq!(database.clip(&deleted.id).await.unwrap(), None);
    assert_eq!(database.clip(&gone.id).await.unwrap(), None);
    assert_eq!(database.tombstone(&gone.id).await.unwrap(), Some(Tombstone::from(&gone)));
    assert_eq!(database.restore_clip(&deleted).await.unwrap(), Restored::Buried);
    assert_eq!(database.restore_clip(&stale).await.unwrap(), Restored::Kept);
    assert_eq!(database.tombstone(&edited.id).await.unwrap(), None);
    assert_eq!(database.broadcast(&live.id).await.unwrap(), Some(live));
}

async fn a_damaged_store_is_told_piece_by_piece(place: Place) {
    let live = broadcast("main", 6);
    let clips = [0, 1, 2, 3, 4, 5].map(|part| clip(&live, part));
    for clip in &clips {
        place.put_text(&clip.object, "the file").await;
        place.put(&Sidecar::Clip(Box::new(clip.clone()))).await;
    }
    let name = |part: usize| Sidecar::Clip(Box::new(clips[part].clone())).key();
    place.put_text(&name(1), "{\"version\":1,").await;
    place.put_text(&name(2), "{\"version\":999}").await;
    place.objects.delete(&name(3)).await.unwrap();
    let impossible = Clip { title: "a\nb".into(), ..clips[4].clone() };
    place.put(&Sidecar::Clip(Box::new(impossible))).await;

    let database = place.database();
    let done = place.reindex(&database, None).await.remove(0);
    assert_eq!((done.added, done.place.as_str()), (2, format!("main/{}", live.id).as_str()));
    let losses: Vec<_> = done.findings.iter().filter(|finding| finding.is_loss()).collect();
    let orphan = Finding::Orphan { key: clips[3].object.clone(), size: 8 };
    let damaged = |key: &str, part: &str| {
        losses.iter().any(|loss| matches!(loss, Finding::Damaged { key: k, why } if k == key && why.contains(part)))
    };
    assert!(losses.contains(&&orphan), "{losses:?}");
    assert!(
        damaged(&name(1), "no JSON") && damaged(&name(2), "version 999") && damaged(&name(4), "title"),
        "{losses:?}"
    );
    assert_eq!(losses.len(), 4);

    // nothing described the broadcast, so it is as its clips tell
    assert!(done.findings.iter().any(|finding| matches!(finding, Finding::Undescribed { clips: 3, .. })));
    let made = database.broadcast(&live.id).await.unwrap().unwrap();
    assert_eq!((made.clips, made.started_at_ms, made.duration_ms), (6, live.started_at_ms, 30_000));
    assert_eq!((made.ended_at_ms, made.end_reason), (live.ended_at_ms, None));

    // a mended store is taken from where it stands
    place.put(&Sidecar::Clip(Box::new(clips[1].clone()))).await;
    place.put(&Sidecar::Broadcast(Box::new(live.clone()))).await;
    assert_eq!(place.reindex(&database, Some("main".into())).await[0].added, 1);
    assert_eq!(database.broadcast(&live.id).await.unwrap(), Some(live));
    assert!(place.reindex(&database, Some("z".into())).await.is_empty());
}

#[tokio::test]
async fn a_store_that_refuses_is_an_error_and_not_an_empty_library() {
    let Some(place) = place(true, false) else { return };
    let wrong = ObjectStore::s3(S3Config {
        endpoint: "http://127.0.0.1:1".into(),
        region: S3Server::REGION.into(),
        bucket: S3Server::BUCKET.into(),
        access_key: "x".into(),
        secret_key: Secret::new("wrong"),
        checksum: ChecksumMode::Off,
        part_bytes: storage::object::PART_BYTES,
    })
    .unwrap();
    let walk = reindex(wrong, place.database(), None).try_collect::<Vec<_>>();
    assert!(matches!(walk.await, Err(StorageError::Away(_) | StorageError::Refused(_))));
}
