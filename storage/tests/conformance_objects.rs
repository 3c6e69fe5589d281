//! What every object store must do, over every back end: a folder, a real S3 server, and the same one with checksums off.
//! What only a networked store can do, or suffer, is in `s3.rs`.

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use storage::object::{PART_BYTES, SMALL_BYTES};
use storage::{ChecksumMode, Id, ObjectStore, S3Config, Secret, StorageError, key};
use support::S3Server;
use tempfile::TempDir;

/// A store of its own for each test.
struct Place {
    store: ObjectStore,
    s3: Option<S3Server>,
    directory: TempDir,
}

fn folder() -> Place {
    let directory = tempfile::tempdir().unwrap();
    Place { store: ObjectStore::folder(directory.path().join("objects")), s3: None, directory }
}

fn s3(checksum: ChecksumMode) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let server = S3Server::start(&directory.path().join("s3"));
    let config = S3Config {
        endpoint: server.endpoint(),
        region: S3Server::REGION.into(),
        bucket: S3Server::BUCKET.into(),
        access_key: S3Server::ACCESS_KEY.into(),
        secret_key: Secret::new(S3Server::SECRET_KEY),
        checksum,
        part_bytes: PART_BYTES,
    };
    Place { store: ObjectStore::s3(config).unwrap(), s3: Some(server), directory }
}

macro_rules! over_every_store {
    ($($case:ident),* $(,)?) => {
        mod over_a_folder {
            $(#[tokio::test] async fn $case() { super::$case(super::folder()).await })*
        }
        mod over_s3 {
            $(#[tokio::test] async fn $case() { super::$case(super::s3(storage::ChecksumMode::WhenSupported)).await })*
        }
        mod over_s3_without_checksums {
            $(#[tokio::test] async fn $case() { super::$case(super::s3(storage::ChecksumMode::Off)).await })*
        }
    };
}

over_every_store!(
    what_was_put_comes_back,
    keys_that_are_no_keys_are_refused,
    a_long_file_arrives_whole,
    a_file_of_exactly_one_and_of_exactly_two_parts,
    ranges_reach_from_the_first_to_the_last_byte,
    a_second_put_replaces_the_first,
    deleting_twice_is_fine,
    lists_are_by_prefix_and_sorted,
    a_file_with_another_hash_is_not_stored,
    a_file_of_no_bytes_is_a_file,
    small_things_need_no_file,
    the_canary_leaves_nothing,
    what_is_not_there_is_not_there,
    many_at_once,
);

impl Place {
    /// A local file of `length` bytes that look random, and its hash.
    fn file(&self, length: usize, seed: u64) -> (PathBuf, Vec<u8>, String) {
        let bytes = noise(length, seed);
        let path = self.directory.path().join(format!("local-{length}-{seed}"));
        std::fs::write(&path, &bytes).unwrap();
        let hash = hex::encode(Sha256::digest(&bytes));
        (path, bytes, hash)
    }

    async fn put(&self, key: &str, length: usize, seed: u64) -> Vec<u8> {
        let (path, bytes, hash) = self.file(length, seed);
        let stored = self.store.put_file(key, &path, "video/mp4", &hash).await.unwrap();
        assert_eq!(stored.size, length as u64);
        bytes
    }

    async fn read(&self, key: &str, range: Option<(u64, u64)>) -> Bytes {
        self.store.get(key, range).await.unwrap().bytes(usize::MAX).await.unwrap()
    }

    async fn names(&self, prefix: &str) -> Vec<String> {
        self.store.list(prefix).await.unwrap().into_iter().map(|entry| entry.key).collect()
    }
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

async fn what_was_put_comes_back(place: Place) {
    let (path, bytes, hash) = place.file(100_000, 1);
    let key = key::clip("main", &Id::new(1, 1), 3, &Id::new(2, 2), "webm");
    let stored = place.store.put_file(&key, &path, "video/webm", &hash).await.unwrap();
    assert_eq!(stored.size, 100_000);

    let info = place.store.head(&key).await.unwrap().unwrap();
    assert_eq!((info.size, info.content_type.as_str()), (100_000, "video/webm"));
    assert_eq!(info.sha256, Some(hash));
    let body = place.store.get(&key, None).await.unwrap();
    assert_eq!((body.size, body.range.clone(), body.content_type.as_str()), (100_000, 0..100_000, "video/webm"));
    assert_eq!(body.bytes(100_000).await.unwrap(), bytes);
    assert!(path.exists(), "the local file is the caller's to delete");
    let too_much = place.store.get(&key, None).await.unwrap().bytes(99_999).await;
    assert!(matches!(too_much, Err(StorageError::Invalid(_))));
}

async fn keys_that_are_no_keys_are_refused(place: Place) {
    let (path, _, hash) = place.file(10, 1);
    let outside = place.directory.path().join("secret");
    std::fs::write(&outside, b"secret").unwrap();
    let absolute = outside.to_str().unwrap();
    for key in
        ["", "/", "..", "../secret", "a/../../secret", absolute, "a//b", "a/", ".tmp/x", ".x", "A", "a\0b", "ü", "a\\b"]
    {
        let store = &place.store;
        let refused = |result: Result<(), StorageError>| match result {
            Err(StorageError::Invalid(_)) => {}
            other => panic!("{key:?}: {other:?}"),
        };
        refused(store.put_file(key, &path, "video/mp4", &hash).await.map(drop));
        refused(store.put_bytes(key, Bytes::from_static(b"x"), "text/plain").await.map(drop));
        refused(store.head(key).await.map(drop));
        refused(store.get(key, None).await.map(drop));
        refused(store.delete(key).await);
        refused(store.presign(key, std::time::Duration::from_secs(60), None).await.map(drop));
    }
    assert_eq!(std::fs::read(&outside).unwrap(), b"secret");
    for prefix in ["..", "../", "/", ".tmp", absolute] {
        assert!(matches!(place.store.list(prefix).await, Err(StorageError::Invalid(_))), "{prefix}");
    }
    assert!(place.names("").await.is_empty());
}

async fn a_long_file_arrives_whole(place: Place) {
    let bytes = place.put("main/long.mp4", 20_000_000, 2).await;
    let info = place.store.head("main/long.mp4").await.unwrap().unwrap();
    assert_eq!((info.size, info.content_type.as_str()), (20_000_000, "video/mp4"));
    assert!(place.read("main/long.mp4", None).await == bytes, "other bytes");
    // Across the border of two parts.
    let border = PART_BYTES;
    let across = place.read("main/long.mp4", Some((border - 5, border + 4))).await;
    assert_eq!(across, bytes[border as usize - 5..border as usize + 5]);
    if let Some(s3) = &place.s3 {
        assert_eq!(s3.unfinished_parts(), 0);
    }
}

async fn a_file_of_exactly_one_and_of_exactly_two_parts(place: Place) {
    for parts in [1, 2] {
        let key = format!("exactly/{parts}");
        let bytes = place.put(&key, PART_BYTES as usize * parts, 3).await;
        assert!(place.read(&key, None).await == bytes, "{parts}: other bytes");
    }
}

async fn ranges_reach_from_the_first_to_the_last_byte(place: Place) {
    let bytes = place.put("r", 1000, 4).await;
    for (asked, expected) in [
        ((0, 0), 0..1),
        ((0, 999), 0..1000),
        ((999, 999), 999..1000),
        ((10, 19), 10..20),
        ((990, 5000), 990..1000),
        ((0, u64::MAX >> 1), 0..1000),
    ] {
        let body = place.store.get("r", Some(asked)).await.unwrap();
        assert_eq!((body.size, body.range.clone()), (1000, expected.clone()), "{asked:?}");
        assert_eq!(body.bytes(1000).await.unwrap(), bytes[expected.start as usize..expected.end as usize]);
    }
    for asked in [(1000, 1000), (1000, 2000), (u64::MAX >> 1, u64::MAX >> 1)] {
        let error = place.store.get("r", Some(asked)).await.unwrap_err();
        assert_eq!(error, StorageError::Range { size: 1000 }, "{asked:?}");
    }
    assert!(matches!(place.store.get("r", Some((2, 1))).await, Err(StorageError::Invalid(_))));
    assert!(matches!(place.store.get("missing", Some((0, 1))).await, Err(StorageError::NotFound)));
}

async fn a_second_put_replaces_the_first(place: Place) {
    place.put("same", 9_000_000, 5).await;
    let second = place.put("same", 500, 6).await;
    assert_eq!(place.read("same", None).await, second);
    let third = place.put("same", 9_500_000, 7).await;
    assert!(place.read("same", None).await == third, "other bytes");
    let info = place.store.head("same").await.unwrap().unwrap();
    assert_eq!(info.sha256, Some(hex::encode(Sha256::digest(&third))));
    assert_eq!(place.names("").await, ["same"]);
}

async fn deleting_twice_is_fine(place: Place) {
    place.put("main/live/a", 10, 8).await;
    place.put("main/live/b", 10, 9).await;
    for _ in 0..2 {
        place.store.delete("main/live/a").await.unwrap();
        assert_eq!(place.store.head("main/live/a").await.unwrap(), None);
    }
    place.store.delete("never/was/there").await.unwrap();
    assert_eq!(place.names("").await, ["main/live/b"]);
    place.put("main/live/a", 11, 10).await;
    assert_eq!(place.names("main/").await.len(), 2);
}

async fn lists_are_by_prefix_and_sorted(place: Place) {
    for key in ["b/2", "a/1/x", "a/10/x", "a/1/y", "a-1", "c"] {
        place.store.put_bytes(key, Bytes::from_static(b"12345"), "text/plain").await.unwrap();
    }
    assert_eq!(place.names("").await, ["a-1", "a/1/x", "a/1/y", "a/10/x", "b/2", "c"]);
    assert_eq!(place.names("a/").await, ["a/1/x", "a/1/y", "a/10/x"]);
    assert_eq!(place.names("a/1").await, ["a/1/x", "a/1/y", "a/10/x"]);
    assert_eq!(place.names("a/1/").await, ["a/1/x", "a/1/y"]);
    assert_eq!(place.names("a/1/y").await, ["a/1/y"]);
    assert_eq!(place.names("nothing/here").await, [""; 0]);
    assert!(place.store.list("b").await.unwrap().iter().all(|entry| entry.size == 5));
}

async fn a_file_with_another_hash_is_not_stored(place: Place) {
    let wrong = "00".repeat(32);
    for (key, length) in [("short", 1000), ("long", 20_000_000), ("empty", 0)] {
        let (path, _, _) = place.file(length, 11);
        let error = place.store.put_file(key, &path, "video/mp4", &wrong).await.unwrap_err();
        assert!(matches!(error, StorageError::Corrupt(_)), "{error}");
        assert_eq!(place.store.head(key).await.unwrap(), None, "{key}");
    }
    let (path, _, hash) = place.file(10, 12);
    for bad in ["", "zz", &hash.to_uppercase(), &hash[1..]] {
        let error = place.store.put_file("x", &path, "video/mp4", bad).await.unwrap_err();
        assert!(matches!(error, StorageError::Invalid(_)), "{error}");
    }
    let error = place.store.put_file("x", Path::new("/nowhere/at/all"), "video/mp4", &hash).await.unwrap_err();
    assert!(matches!(error, StorageError::Local(_)), "{error}");
    assert!(place.names("").await.is_empty());
}

async fn a_file_of_no_bytes_is_a_file(place: Place) {
    place.put("nothing", 0, 13).await;
    assert_eq!(place.store.head("nothing").await.unwrap().unwrap().size, 0);
    let body = place.store.get("nothing", None).await.unwrap();
    assert_eq!((body.size, body.range.clone()), (0, 0..0));
    assert!(body.bytes(0).await.unwrap().is_empty());
    assert_eq!(place.store.get("nothing", Some((0, 0))).await.unwrap_err(), StorageError::Range { size: 0 });
}

async fn small_things_need_no_file(place: Place) {
    let json = Bytes::from_static("{\"title\":\"日本 🎥\"}".as_bytes());
    place.store.put_bytes("a/b.json", json.clone(), "application/json").await.unwrap();
    assert_eq!(place.read("a/b.json", None).await, json);
    assert_eq!(place.store.head("a/b.json").await.unwrap().unwrap().content_type, "application/json");
    let much = Bytes::from(vec![0; SMALL_BYTES + 1]);
    assert!(matches!(place.store.put_bytes("much", much, "text/plain").await, Err(StorageError::Invalid(_))));
    for content_type in ["", "a\r\nX-Evil: 1", "ü"] {
        let refused = place.store.put_bytes("x", Bytes::new(), content_type).await;
        assert!(matches!(refused, Err(StorageError::Invalid(_))), "{content_type:?}");
    }
}

async fn the_canary_leaves_nothing(place: Place) {
    for _ in 0..3 {
        place.store.canary().await.unwrap();
    }
    assert!(place.names("").await.is_empty());
    // One that another node is singing right now is not listed either.
    place.store.put_bytes("oxbow-canary/x", Bytes::from_static(b"x"), "text/plain").await.unwrap();
    assert!(place.names("").await.is_empty());
}

async fn what_is_not_there_is_not_there(place: Place) {
    assert_eq!(place.store.head("main/none").await.unwrap(), None);
    assert!(matches!(place.store.get("main/none", None).await, Err(StorageError::NotFound)));
    assert!(place.names("").await.is_empty());
    place.put("main/some", 10, 14).await;
    if place.s3.is_none() {
        assert_eq!(place.store.head("main").await.unwrap(), None, "a folder is not an object");
    }
}

async fn many_at_once(place: Place) {
    let files: Vec<_> = (0..12).map(|n| (format!("many/{n}"), place.file(300_000 + n as usize, n))).collect();
    let puts = files.iter().map(|(key, (path, _, hash))| place.store.put_file(key, path, "video/mp4", hash));
    for stored in futures::future::join_all(puts).await {
        stored.unwrap();
    }
    for (key, (_, bytes, _)) in &files {
        assert!(place.read(key, None).await == *bytes, "{key}: other bytes");
    }
    assert_eq!(place.names("many/").await.len(), 12);
}
