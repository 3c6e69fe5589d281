//! Files of one and of several parts, put through a line and a store that fail in every way; `Ok` means that they are there.

mod support;

use std::time::Duration;

use sha2::{Digest, Sha256};
use storage::object::PART_BYTES;
use storage::{ChecksumMode, Local, ObjectStore, S3Config, Secret, StorageError};
use support::S3Server;
use support::faults::{FAULTS, FaultProxy};

fn rounds() -> usize {
    if std::env::var_os("OXBOW_SOAK").is_some() { 60 } else { 8 }
}

#[tokio::test]
async fn what_is_called_stored_is_stored_whatever_the_line_does() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3Server::start(&directory.path().join("s3"));
    let proxy = FaultProxy::start(server.address(), 4, 30);
    let config = S3Config {
        endpoint: proxy.address().to_string(),
        region: S3Server::REGION.into(),
        bucket: S3Server::BUCKET.into(),
        access_key: S3Server::ACCESS_KEY.into(),
        secret_key: Secret::new(S3Server::SECRET_KEY),
        checksum: ChecksumMode::WhenSupported,
        part_bytes: PART_BYTES,
    };
    let store = ObjectStore::s3(config).unwrap();
    let memory = Local::open(directory.path().join("local.sqlite")).unwrap();
    let path = directory.path().join("local");
    for round in 0..rounds() {
        let length = if round % 4 == 3 { 9_000_000 } else { 1000 + round * 30_000 };
        let bytes: Vec<u8> = (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let hash = hex::encode(Sha256::digest(&bytes));
        let key = format!("main/{round}.mp4");
        let mut tries = 0;
        loop {
            let put = match round % 8 {
                3 => store.put_file_resumable(&key, &path, "video/mp4", &hash, &memory).await,
                _ => store.put_file(&key, &path, "video/mp4", &hash).await,
            };
            let Err(error) = put else { break };
            let of_the_store = matches!(error, StorageError::Away(_) | StorageError::Refused(_));
            assert!(of_the_store, "{key}: the file is whole, and whoever is told otherwise makes it again: {error}");
            tries += 1;
            assert!(tries < 40, "{key}: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let kept = std::fs::read(server.file_of(&key)).unwrap();
        assert!(kept == bytes, "{key}: other bytes after {tries} failures");
    }
    let done = proxy.done();
    println!("{done:?}");
    assert!(done.len() > FAULTS.len() / 2, "{done:?}");
    proxy.calm();
    // The client believes the clock of the last answer, which may have been a wrong one.
    drop(store.head("main/0.mp4").await);
    assert_eq!(store.list("").await.unwrap().len(), rounds());
}
