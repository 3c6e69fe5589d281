//! What only a store at the other end of a network can do or suffer: presigned addresses, wrong credentials, a server that
//! dies in the middle of an upload, a line that is slow or dead.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use storage::object::PART_BYTES;
use storage::{ChecksumMode, ObjectStore, S3Config, Secret, StorageError};
use support::S3Server;
use support::proxy::Proxy;
use tempfile::TempDir;

fn config(address: SocketAddr) -> S3Config {
    S3Config {
        endpoint: address.to_string(),
        region: S3Server::REGION.into(),
        bucket: S3Server::BUCKET.into(),
        access_key: S3Server::ACCESS_KEY.into(),
        secret_key: Secret::new(S3Server::SECRET_KEY),
        checksum: ChecksumMode::WhenSupported,
        part_bytes: PART_BYTES,
    }
}

fn store(address: SocketAddr) -> ObjectStore {
    ObjectStore::s3(config(address)).unwrap()
}

fn server() -> (TempDir, S3Server) {
    let directory = tempfile::tempdir().unwrap();
    let server = S3Server::start(&directory.path().join("s3"));
    (directory, server)
}

fn file(directory: &TempDir, length: usize) -> (PathBuf, Vec<u8>, String) {
    let bytes: Vec<u8> = (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let path = directory.path().join(format!("local-{length}"));
    std::fs::write(&path, &bytes).unwrap();
    let hash = hex::encode(Sha256::digest(&bytes));
    (path, bytes, hash)
}

/// A GET as any client would send it: status, head, body.
fn http_get(url: &url::Url, range: Option<&str>) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
    let target = &url[url::Position::BeforePath..];
    let range = range.map_or(String::new(), |range| format!("Range: {range}\r\n"));
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\n{range}Connection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), answer[end + 4..].to_vec())
}

#[tokio::test]
async fn a_presigned_address_works_for_anybody_until_it_is_changed() {
    let (directory, server) = server();
    let store = store(server.address());
    let (path, bytes, hash) = file(&directory, 5000);
    store.put_file("main/a.mp4", &path, "video/mp4", &hash).await.unwrap();
    let hour = Duration::from_secs(3600);

    let url = store.presign("main/a.mp4", hour, None).await.unwrap().unwrap();
    assert!(!url.as_str().contains(S3Server::SECRET_KEY));
    let (whole, part) = tokio::task::spawn_blocking({
        let url = url.clone();
        move || (http_get(&url, None), http_get(&url, Some("bytes=100-199")))
    })
    .await
    .unwrap();
    assert_eq!((whole.0, whole.2), (200, bytes.clone()));
    assert!(whole.1.contains("content-type: video/mp4"), "{}", whole.1);
    assert_eq!((part.0, part.2.as_slice()), (206, &bytes[100..200]));
    assert!(part.1.contains("content-range: bytes 100-199/5000"), "{}", part.1);

    let mut forged = url.clone();
    forged.set_path(&url.path().replace("a.mp4", "b.mp4"));
    let (status, ..) = tokio::task::spawn_blocking(move || http_get(&forged, None)).await.unwrap();
    assert_eq!(status, 403);

    let named = store.presign("main/a.mp4", hour, Some("Ü \"x\"\r\n.mp4")).await.unwrap().unwrap();
    let disposition =
        named.query_pairs().find(|(name, _)| name == "response-content-disposition").unwrap().1.into_owned();
    assert_eq!(disposition, storage::content_disposition("Ü \"x\"\r\n.mp4"));
    let (status, ..) = tokio::task::spawn_blocking(move || http_get(&named, None)).await.unwrap();
    assert_eq!(status, 200);

    for expires in [Duration::ZERO, Duration::from_secs(8 * 24 * 3600)] {
        assert!(matches!(store.presign("main/a.mp4", expires, None).await, Err(StorageError::Invalid(_))));
    }
}

#[tokio::test]
async fn wrong_keys_and_a_missing_bucket_are_named() {
    let (_directory, server) = server();
    for config in [
        S3Config { secret_key: Secret::new("wrong-secret"), ..config(server.address()) },
        S3Config { access_key: "NOBODY".into(), ..config(server.address()) },
    ] {
        let error = ObjectStore::s3(config).unwrap().canary().await.unwrap_err();
        let StorageError::Refused(text) = &error else { panic!("{error}") };
        assert!(text.contains(S3Server::BUCKET) && text.contains("403"), "{text}");
        assert!(!text.contains("wrong-secret"), "{text}");
    }
    let config = S3Config { bucket: "not-there".into(), ..config(server.address()) };
    let error = ObjectStore::s3(config).unwrap().list("").await.unwrap_err();
    assert!(matches!(&error, StorageError::Refused(text) if text.contains("'not-there'")), "{error}");
}

#[tokio::test]
async fn a_server_that_is_gone_answers_away_soon_and_works_when_it_is_back() {
    let (directory, mut server) = server();
    let store = store(server.address());
    store.put_bytes("a", Bytes::from_static(b"before"), "text/plain").await.unwrap();
    server.stop();
    let (path, _, hash) = file(&directory, 20_000_000);
    let started = Instant::now();
    for result in [
        store.canary().await,
        store.head("a").await.map(drop),
        store.get("a", None).await.map(drop),
        store.list("").await.map(drop),
        store.delete("a").await,
        store.put_file("b", &path, "video/mp4", &hash).await.map(drop),
    ] {
        assert!(matches!(result, Err(StorageError::Away(_))), "{result:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    server.resume();
    store.canary().await.unwrap();
    assert_eq!(store.get("a", None).await.unwrap().bytes(10).await.unwrap(), "before");
    store.put_file("b", &path, "video/mp4", &hash).await.unwrap();
}

#[tokio::test]
async fn a_line_that_breaks_in_the_middle_of_an_upload_leaves_no_object() {
    let (directory, server) = server();
    let proxy = Proxy::start(server.address());
    let store = store(proxy.address());
    let (path, bytes, hash) = file(&directory, 30_000_000);
    proxy.hang_up_after(12_000_000);
    let error = store.put_file("broken", &path, "video/mp4", &hash).await.unwrap_err();
    assert!(matches!(error, StorageError::Away(_)), "{error}");
    proxy.recover();
    assert_eq!(store.head("broken").await.unwrap(), None);

    store.put_file("broken", &path, "video/mp4", &hash).await.unwrap();
    assert!(store.get("broken", None).await.unwrap().bytes(bytes.len()).await.unwrap() == bytes, "other bytes");
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_aborted() {
    let (directory, server) = server();
    let proxy = Proxy::start(server.address());
    let (path, _, hash) = file(&directory, 30_000_000);
    let store = store(proxy.address());
    proxy.set_rate(20_000_000);
    {
        let mut upload = Box::pin(store.put_file("given/up", &path, "video/mp4", &hash));
        while server.unfinished_parts() == 0 {
            // Polls the upload until its first part has arrived.
            let waited = tokio::time::timeout(Duration::from_millis(10), &mut upload).await;
            assert!(waited.is_err(), "done before it could be given up: {waited:?}");
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.unfinished_parts() > 0 {
        assert!(Instant::now() < deadline, "the parts are still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.head("given/up").await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_swallows_everything_does_not_hang_anybody() {
    let (directory, server) = server();
    let proxy = Proxy::start(server.address());
    let store = store(proxy.address());
    let (path, _, hash) = file(&directory, 10_000);
    store.canary().await.unwrap();
    proxy.set_mute(true);
    let started = Instant::now();
    let (put, head, list) =
        tokio::join!(store.put_file("mute", &path, "video/mp4", &hash), store.head("mute"), store.list(""),);
    for result in [put.map(drop), head.map(drop), list.map(drop)] {
        assert!(matches!(result, Err(StorageError::Away(_))), "{result:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(45), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_slow_line_is_slow_but_gets_there() {
    let (directory, server) = server();
    let proxy = Proxy::start(server.address());
    let store = store(proxy.address());
    let (path, bytes, hash) = file(&directory, 10_000_000);
    proxy.set_rate(1_000_000);
    store.put_file("slow", &path, "video/mp4", &hash).await.unwrap();
    proxy.recover();
    assert!(store.get("slow", None).await.unwrap().bytes(bytes.len()).await.unwrap() == bytes, "other bytes");
}

#[tokio::test]
async fn a_download_that_breaks_off_ends_with_an_error_not_with_fewer_bytes() {
    let (directory, mut server) = server();
    let proxy = Proxy::start(server.address());
    let store = store(proxy.address());
    let (path, _, hash) = file(&directory, 8_000_000);
    store.put_file("down", &path, "video/mp4", &hash).await.unwrap();
    proxy.set_rate(2_000_000);
    let mut body = store.get("down", None).await.unwrap();
    body.stream.next().await.unwrap().unwrap();
    server.stop();
    drop(proxy);
    let mut last = Ok(());
    while let Some(chunk) = body.stream.next().await {
        last = chunk.map(drop);
    }
    assert!(matches!(last, Err(StorageError::Away(_))), "{last:?}");
}

#[tokio::test]
async fn an_object_that_was_damaged_in_the_store_is_noticed_by_who_reads_its_hash() {
    let (directory, server) = server();
    let store = store(server.address());
    let (path, mut bytes, hash) = file(&directory, 9_000_000);
    store.put_file("rot", &path, "video/mp4", &hash).await.unwrap();
    bytes[4_500_000] ^= 1;
    std::fs::write(server.file_of("rot"), &bytes).unwrap();
    let info = store.head("rot").await.unwrap().unwrap();
    let read = store.get("rot", None).await.unwrap().bytes(bytes.len()).await.unwrap();
    assert_eq!(info.sha256, Some(hash));
    assert_ne!(info.sha256, Some(hex::encode(Sha256::digest(&read))));
}
