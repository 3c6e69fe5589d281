//! Finished clips are looked at, and what comes of it is kept as long as they are.

use std::collections::BTreeSet;

use media::message::{Codec, EndReason, TapFact};
use storage::{Clip, ClipQuery, Finding, FindingKind, Sidecar, Trouble};

use crate::node::*;

/// A broadcast of eight seconds with sound where `heard` says so; its one clip, the node's `number`th.
async fn recorded(node: &Node, codec: Codec, number: u64, heard: fn(u64) -> bool) -> Clip {
    let broadcast = node.begin();
    let mut live = Live::new(codec);
    let keep = |fact: &TapFact| match fact {
        TapFact::Unit(unit) => unit.track != SOUND || heard(unit.pts_ns / SECOND),
        _ => true,
    };
    play(node, broadcast, live.up_to(8 * SECOND).into_iter().filter(keep).collect());
    node.end(broadcast, EndReason::Stopped);
    node.settle(number).await;
    let mut clips = node.clips().await;
    clips.retain(|clip| clip.broadcast == id(broadcast));
    assert_eq!(clips.len(), 1);
    clips.remove(0)
}

async fn keys(node: &Node) -> BTreeSet<String> {
    node.objects.list("").await.unwrap().into_iter().map(|entry| entry.key).collect()
}

pub async fn a_clip_gets_pictures_and_health_and_leaves_nothing_of_them() {
    for codec in [Codec::Vp8, Codec::H264] {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(folder.path(), NEVER).await;
        let clip = recorded(&node, codec, 1, |_| true).await;
        let health = clip.health.clone().expect("it was looked at");
        assert_eq!((health.score, health.silent_ms, health.frozen_ms, health.black_ms), (100, 0, 0, 0), "{codec:?}");
        let pictures = clip.pictures.clone().expect("it has pictures");
        let board = pictures.storyboard.clone().expect("it has a storyboard");
        assert!(pictures.posters.len() >= 2 && pictures.waveform.is_some());
        assert_eq!((board.sheets.len(), board.width, board.height), (1, 160, 90));
        assert_eq!(clip.poster, Some(pictures.posters[0].object.clone()), "the best is shown");
        assert!(pictures.posters.iter().any(|choice| choice.object == clip.key("jpg")), "the first stays a choice");

        let told = [clip.key("json"), storage::key::broadcast(&clip.channel, &clip.broadcast)];
        let wanted: BTreeSet<String> = clip.objects().cloned().chain(told.clone()).collect();
        assert_eq!(keys(&node).await, wanted);
        let sidecar = std::fs::read(node.object(&clip.key("json"))).unwrap();
        let said = Sidecar::read(&clip.key("json"), &sidecar).unwrap();
        assert_eq!(said, Sidecar::Clip(Box::new(clip.clone())), "the sidecar says what the database says");
        node.check_is_silent().await;

        node.local.remove_clip(clip.clone()).await.unwrap();
        node.database.delete_clip(&clip.id).await.unwrap();
        until(20, || async {
            let row = node.local.local_clip(clip.id.clone()).await.unwrap();
            let left = keys(&node).await;
            (row.is_none() && left == told.clone().into()).then_some(()).ok_or(format!("{left:?} {row:?}"))
        })
        .await;
        node.check_is_silent().await;
        node.stop().await;
    }
}

pub async fn a_clip_that_is_silent_is_found_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), NEVER).await;
    recorded(&node, Codec::Vp8, 1, |_| true).await;
    let silent = recorded(&node, Codec::Vp8, 2, |second| second < 3).await;
    let health = silent.health.clone().expect("it was looked at");
    // a beep on each second, the last one at two, for a tenth of a second
    assert!(health.silent_ms.abs_diff(5_900) <= 200, "{health:?}");
    let [Finding { kind: FindingKind::Silent, from_ms, to_ms }] = health.findings[..] else { panic!("{health:?}") };
    assert_eq!(to_ms - from_ms, health.silent_ms);
    let sidecar = std::fs::read(node.object(&silent.key("json"))).unwrap();
    let said = Sidecar::read(&silent.key("json"), &sidecar).unwrap();
    assert_eq!(said, Sidecar::Clip(Box::new(silent.clone())), "and so does the sidecar");
    assert_eq!(health.score, 100 - (40 * health.silent_ms).div_ceil(silent.duration_ms) as u8);
    for query in [
        ClipQuery { trouble: Some(Trouble::Silent), ..ClipQuery::default() },
        ClipQuery { max_score: Some(99), ..ClipQuery::default() },
    ] {
        let found = node.database.clips(&query).await.unwrap().items;
        assert_eq!(found.iter().map(|clip| &clip.id).collect::<Vec<_>>(), [&silent.id]);
    }
    let none = ClipQuery { trouble: Some(Trouble::Black), ..ClipQuery::default() };
    assert!(node.database.clips(&none).await.unwrap().items.is_empty());
    node.check_is_silent().await;
    node.stop().await;
}

/// What a crash leaves between looking and noting: files that nobody knows, and a clip that is due.
pub async fn a_crash_between_looking_and_storing_loses_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let refused = folder.path().join("objects");
    std::fs::write(&refused, "a file where a folder should be").unwrap();
    let node = Node::start(folder.path(), NEVER).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(4 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    // the store is away: the clip is looked at and neither it nor its pictures can leave
    let row = until(60, || async {
        let rows = node.local.local_clips(None).await.unwrap();
        let looked = rows.into_iter().find(|row| row.noted > 0);
        looked.ok_or_else(|| "not looked at".to_owned())
    })
    .await;
    let pictures = row.pictures();
    assert!(pictures.len() > 3 && pictures.iter().all(|(file, _)| file.exists()));
    assert!(row.clip.as_ref().is_some_and(|clip| clip.health.is_some()), "seen before it is stored");
    node.stop().await;
    std::fs::write(folder.path().join("spool").join(format!("{}.storyboard-9.jpg", row.id)), "of nobody").unwrap();
    std::fs::remove_file(&refused).unwrap();

    let node = Node::start(folder.path(), NEVER).await;
    node.settle(1).await;
    let clip = node.clips().await.remove(0);
    let told = [clip.key("json"), storage::key::broadcast(&clip.channel, &clip.broadcast)];
    let wanted: BTreeSet<String> = clip.objects().cloned().chain(told).collect();
    assert_eq!(keys(&node).await, wanted);
    node.check_is_silent().await;
    node.stop().await;
}
