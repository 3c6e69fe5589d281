//! Stores, databases and disks that are away for a while.

use std::fs;
use std::time::Duration;

use media::message::{Codec, EndReason};
use recorder::RecorderEvent;
use storage::ClipState;

use crate::node::*;

/// A file where a folder should be: whoever needs the folder is refused, also when he runs as root.
fn block(path: &std::path::Path) {
    fs::write(path, "in the way").unwrap();
}

pub async fn stores_away_across_a_restart_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, database) = (folder.path().join("objects"), folder.path().join("db"));
    block(&objects);
    block(&database);
    let mut live = Live::new(Codec::Vp8);
    let mut node = Node::start(folder.path(), every_seconds(1)).await;
    let broadcast = node.begin();
    play(&node, broadcast, live.up_to(4 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    let mut playable = 0;
    while playable < 4 {
        if let RecorderEvent::Clip { state: ClipState::Queued, clip } = node.events.recv().await.expect("events") {
            let pending = node.local.pending_clip(clip.id).await.unwrap().expect("it is pending");
            assert_eq!(
                fs::metadata(&pending.file).unwrap().len(),
                pending.clip.size,
                "it can be played from the spool"
            );
            playable += 1;
        }
    }
    until(20, || async {
        let pending = node.local.pending_clips().await.unwrap();
        let tried = pending.len() == 4 && pending.iter().all(|p| p.attempts > 0 && p.error.is_some());
        if tried { Ok(()) } else { Err(format!("{pending:?}")) }
    })
    .await;
    let status = until(20, || async {
        let outbox = node.local.outbox().await.unwrap();
        if outbox.depth == 4 { Ok(outbox) } else { Err(format!("{outbox:?}")) }
    })
    .await;
    assert!(status.oldest_ms.is_some());
    // dropped, not shut down: the outbox would wait for stores that do not come
    drop(node);

    let node = Node::start(folder.path(), every_seconds(1)).await;
    assert_eq!(node.local.pending_clips().await.unwrap().len(), 4);
    fs::remove_file(&objects).unwrap();
    fs::remove_file(&database).unwrap();
    node.settle(4).await;
    let clips = node.clips().await;
    assert_consecutive(&numbers(&node, &clips), live.pictures);
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn a_folder_that_refuses_new_files_for_a_while_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(1)).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(SECOND / 2));
    let (journals, aside) = (folder.path().join("journal"), folder.path().join("aside"));
    until(10, || async { if files(&journals).is_empty() { Err("no part yet".into()) } else { Ok(()) } }).await;
    fs::rename(&journals, &aside).unwrap();
    block(&journals);
    play(&node, broadcast, live.up_to(3 * SECOND));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    fs::remove_file(&journals).unwrap();
    fs::rename(&aside, &journals).unwrap();
    play(&node, broadcast, live.up_to(4 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(4).await;
    let clips = node.clips().await;
    assert_consecutive(&numbers(&node, &clips), live.pictures);
    assert!(clips.iter().all(|c| c.lost_ms == 0));
    node.check_is_silent().await;
    node.stop().await;
}
