//! Stores that no test server can be talked into being: ones that say 200 and keep something else (whoever deletes the local
//! file on their word has lost a recording), and one in which a killed process has left half an upload.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use storage::object::PART_BYTES;
use storage::{ChecksumMode, Id, ObjectStore, S3Config, Secret, StorageError};
use support::http::{Request, Response, serve};

fn store(endpoint: String) -> ObjectStore {
    let config = S3Config {
        endpoint,
        region: "us-east-1".into(),
        bucket: "liar".into(),
        access_key: "id".into(),
        secret_key: Secret::new("secret"),
        checksum: ChecksumMode::WhenSupported,
        part_bytes: PART_BYTES,
    };
    ObjectStore::s3(config).unwrap()
}

/// What is done to an object before it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    KeepsNothing,
    LosesTheEnd,
    TurnsABit,
    /// And repeats the hash that we sent along as metadata.
    TurnsABitAndRepeatsOurHash,
}

fn liar(lie: Lie) -> ObjectStore {
    let (mut kept, mut hash): (Option<Vec<u8>>, Option<String>) = (None, None);
    store(serve(move |request| {
        if request.method == "PUT" {
            let mut body = request.body;
            match lie {
                Lie::None => {}
                Lie::KeepsNothing => return Response::new("200 OK", ""),
                Lie::LosesTheEnd => drop(body.pop()),
                Lie::TurnsABit | Lie::TurnsABitAndRepeatsOurHash => body[0] ^= 1,
            }
            kept = Some(body);
            hash = request.headers.get("x-amz-meta-sha256").cloned();
            return Response::new("200 OK", "");
        }
        let Some(kept) = &kept else { return Response::new("404 Not Found", "") };
        let mut response = Response::new("200 OK", kept.clone());
        if lie == Lie::TurnsABitAndRepeatsOurHash {
            response.headers.extend(hash.clone().map(|hash| ("x-amz-meta-sha256", hash)));
        }
        response
    }))
}

#[tokio::test]
async fn only_what_was_really_kept_counts_as_stored() {
    let sent = Bytes::from_static(b"a recording that exists only once");
    for lie in [Lie::KeepsNothing, Lie::LosesTheEnd, Lie::TurnsABit, Lie::TurnsABitAndRepeatsOurHash] {
        let error = liar(lie).put_bytes("clip", sent.clone(), "video/mp4").await.unwrap_err();
        assert!(matches!(error, StorageError::Refused(_)), "{lie:?}: {error}");
    }
    let honest = liar(Lie::None);
    assert_eq!(honest.put_bytes("clip", sent.clone(), "video/mp4").await.unwrap().size, sent.len() as u64);
}

/// Keeps parts and checksums, as AWS does, and remembers which uploads were aborted.
fn multipart(aborted: Arc<Mutex<Vec<String>>>) -> ObjectStore {
    let (mut parts, mut kept) = (Vec::<(Vec<u8>, String)>::new(), Vec::new());
    store(serve(move |request: Request| {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if request.method == "GET" && query.contains("uploads") {
            let of = |key: &str, id: &str| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
            let all = [of("main/a.mp4", "left"), of("main/a.mp4", "mine"), of("main/a.mp4.x", "other")].concat();
            return Response::new("200 OK", format!("<ListMultipartUploadsResult>{all}</ListMultipartUploadsResult>"));
        }
        assert_eq!(path, "/liar/main/a.mp4");
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        match request.method.as_str() {
            "POST" if query.starts_with("uploads") => {
                assert_eq!(header("x-amz-checksum-algorithm"), "SHA256");
                Response::new(
                    "200 OK",
                    "<InitiateMultipartUploadResult><UploadId>mine</UploadId></InitiateMultipartUploadResult>",
                )
            }
            "DELETE" => {
                let id = query.split('&').find_map(|pair| pair.strip_prefix("uploadId=")).unwrap();
                aborted.lock().unwrap().push(id.to_owned());
                Response::new("204 No Content", "")
            }
            "PUT" => {
                assert!(query.contains("uploadId=mine"), "{query}");
                parts.push((request.body.clone(), header("x-amz-checksum-sha256")));
                parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(bytes.len()));
                let mut response = Response::new("200 OK", "");
                response.headers.push(("ETag", "\"part\"".into()));
                response
            }
            "POST" => {
                let order = String::from_utf8(request.body.clone()).unwrap();
                assert!(parts.iter().all(|(_, checksum)| order.contains(checksum)), "{order}");
                kept = parts.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
                Response::new("200 OK", "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
            }
            "HEAD" => {
                let mut response = Response::new("200 OK", kept.clone());
                let hashes: Vec<u8> = parts.iter().flat_map(|(bytes, _)| Sha256::digest(bytes).to_vec()).collect();
                let whole = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, Sha256::digest(hashes));
                response.headers.push(("x-amz-checksum-sha256", format!("{whole}-{}", parts.len())));
                response
            }
            other => panic!("{other} {query}: what the store reports is enough, nothing is read back"),
        }
    }))
}

#[tokio::test]
async fn what_a_killed_process_left_is_aborted_and_a_reported_checksum_is_enough() {
    let aborted = Arc::default();
    let store = multipart(Arc::clone(&aborted));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clip");
    let bytes = vec![7; 9_000_000];
    std::fs::write(&path, &bytes).unwrap();
    let hash = hex::encode(Sha256::digest(&bytes));
    let stored = store.put_file("main/a.mp4", &path, "video/mp4", &hash).await.unwrap();
    assert_eq!(stored.size, 9_000_000);
    assert_eq!(*aborted.lock().unwrap(), ["left"], "neither its own nor that of another key");
}

/// Answers two pages of uploads.
fn with_orphans(
    aborted: Arc<Mutex<Vec<String>>>,
    uploads: [Vec<(String, &'static str, &'static str)>; 2],
) -> ObjectStore {
    store(serve(move |request: Request| {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        if request.method == "DELETE" {
            let id = query.split('&').find_map(|pair| pair.strip_prefix("uploadId=")).unwrap();
            aborted.lock().unwrap().push(id.to_owned());
            let gone = id == "gone";
            return Response::new(if gone { "404 Not Found" } else { "204 No Content" }, "");
        }
        assert!(request.method == "GET" && query.contains("uploads"), "{} {query}", request.method);
        let second = query.contains("key-marker=next");
        let listed: String = uploads[usize::from(second)]
            .iter()
            .map(|(key, id, begun)| {
                format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{begun}</Initiated></Upload>")
            })
            .collect();
        let more = if second { "" } else { "<IsTruncated>true</IsTruncated><NextKeyMarker>next</NextKeyMarker>" };
        Response::new("200 OK", format!("<ListMultipartUploadsResult>{listed}{more}</ListMultipartUploadsResult>"))
    }))
}

#[tokio::test]
async fn only_old_uploads_of_clips_that_nobody_goes_on_with_are_aborted() {
    const OLD: &str = "2020-01-01T00:00:00.000Z";
    const COMING: &str = "2999-01-01T00:00:00.000Z";
    let clip = |number| storage::key::clip("main", &Id::new(1, 1), number, &Id::new(2, 2), "mp4");
    let uploads = [
        vec![
            (clip(0), "old", OLD),
            (clip(0), "gone", OLD),
            (clip(1), "new", COMING),
            ("somebody/elses.zip".to_owned(), "foreign", OLD),
        ],
        vec![(clip(2), "remembered", OLD), (clip(3), "second-page", OLD)],
    ];
    let aborted = Arc::default();
    let store = with_orphans(Arc::clone(&aborted), uploads);
    let keep = BTreeSet::from(["remembered".to_owned()]);
    assert_eq!(store.abort_orphans(Duration::from_secs(24 * 3600), &keep).await, Ok(3));
    assert_eq!(*aborted.lock().unwrap(), ["old", "gone", "second-page"]);

    let cannot_list = store_that_says("501 Not Implemented");
    assert_eq!(cannot_list.abort_orphans(Duration::ZERO, &keep).await, Ok(0));
    let refuses = store_that_says("403 Forbidden").abort_orphans(Duration::ZERO, &keep).await;
    assert!(matches!(refuses, Err(StorageError::Refused(_))), "{refuses:?}");
}

fn store_that_says(status: &'static str) -> ObjectStore {
    store(serve(move |_| Response::new(status, "")))
}
