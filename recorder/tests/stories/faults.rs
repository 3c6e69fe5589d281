//! An S3 server behind a proxy that spoils exchanges: whatever it does, bucket, index and disk tell the same story in the end.

use std::collections::BTreeSet;

use media::message::{Codec, EndReason};
use storage::object::PART_BYTES;
use storage::{ChecksumMode, ClipState, ObjectStore, Reason, S3Config, Secret};

use crate::node::*;
use crate::support::S3Server;
use crate::support::faults::{FAULTS, FaultProxy};

/// Clips of one second each.
fn count() -> u64 {
    if std::env::var_os("OXBOW_SOAK").is_some() { 300 } else { 40 }
}

pub fn store(endpoint: String) -> ObjectStore {
    ObjectStore::s3(S3Config {
        endpoint,
        region: S3Server::REGION.into(),
        bucket: S3Server::BUCKET.into(),
        access_key: S3Server::ACCESS_KEY.into(),
        secret_key: Secret::new(S3Server::SECRET_KEY),
        checksum: ChecksumMode::WhenSupported,
        part_bytes: PART_BYTES,
    })
    .expect("settings that can work")
}

pub async fn clips_through_a_faulty_store_are_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(&folder.path().join("s3"));
    let proxy = FaultProxy::start(server.address(), 4, 20);
    let data = folder.path().join("data");
    let node = Node::start_with(&data, every_seconds(1), store(proxy.address().to_string())).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    for second in 1..=count() {
        play(&node, broadcast, live.up_to(second * SECOND));
    }
    node.end(broadcast, EndReason::Stopped);
    node.settle_within(120 + count() * 4, count()).await;
    println!("     {:?}", proxy.done());
    assert!(proxy.done().len() > FAULTS.len() / 2);
    proxy.calm();
    // The client believes the clock of the last answer, which may have been a wrong one.
    drop(node.objects.head("calm").await);

    let clips = node.clips().await;
    let named: BTreeSet<String> = clips.iter().map(|clip| clip.object.clone()).collect();
    assert_eq!(named.len() as u64, count(), "the index names each once");
    assert_eq!(clips.iter().map(|clip| clip.frames).sum::<u64>(), live.pictures, "no picture is lost");
    for clip in &clips {
        let kept = std::fs::read(server.file_of(&clip.object)).unwrap();
        assert_eq!(kept.len() as u64, clip.size);
        let info = node.objects.head(&clip.object).await.unwrap().expect("it is in the bucket");
        assert_eq!(info.sha256.as_ref(), Some(&clip.sha256));
    }
    let bucket = store(server.address().to_string()).list("").await.unwrap();
    let of_clips = bucket.iter().filter(|entry| named.contains(&entry.key)).count();
    let wanted: usize = clips.iter().map(|clip| clip.objects().collect::<BTreeSet<_>>().len() + 1).sum();
    assert_eq!(
        (of_clips as u64, bucket.len()),
        (count(), wanted + 1),
        "all of each, once, and the broadcast's sidecar"
    );
    let history: BTreeSet<String> = files(&data.join("journal"))
        .iter()
        .flat_map(|folder| files(&data.join("journal").join(folder)))
        .map(|name| name.trim_end_matches(".oxj").to_owned())
        .collect();
    let stems: BTreeSet<String> = clips.iter().map(|clip| format!("{:06}-{}", clip.part, clip.id)).collect();
    assert_eq!(history, stems, "each journal became a clip, each clip has one");
    assert_eq!(node.count(ClipState::Stored).await, count());
    assert_eq!(server.unfinished_parts(), 0);
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn a_bucket_that_is_not_there_is_named_and_tried_again_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(&folder.path().join("s3"));
    let proxy = FaultProxy::start(server.address(), 4, 0);
    proxy.refuse(Some(("404 Not Found", "NoSuchBucket")));
    let data = folder.path().join("data");
    let node = Node::start_with(&data, NEVER, store(proxy.address().to_string())).await;
    let broadcast = node.begin();
    play(&node, broadcast, Live::new(Codec::Vp8).up_to(SECOND));
    node.end(broadcast, EndReason::Stopped);
    let held_up = until(60, || async {
        let pending = node.local.pending_clips().await.unwrap().into_iter().find(|clip| clip.attempts >= 3);
        pending.ok_or_else(|| "not tried three times".into())
    })
    .await;
    let said = held_up.error.expect("a reason");
    assert!(said.contains("there is no bucket"), "{said}");
    assert_eq!(node.local.waiting_by_reason().await.unwrap(), [(Reason::NoBucket, 1)].into());

    proxy.refuse(None);
    // far longer than this story waits
    let id = held_up.clip.id;
    node.local.put_off(id.clone(), (now_us() / 1000) as i64 + 3_600_000).await.unwrap();
    assert!(node.local.retry_now(id).await.unwrap().is_some());
    node.settle(1).await;
    assert!(node.local.waiting_by_reason().await.unwrap().is_empty());
    node.check_is_silent().await;
    node.stop().await;
}
