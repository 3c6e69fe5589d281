//! Clips of what was already shown: ranges across the borders of parts, of the part that is still open, of broadcasts that are over. The
//! numbers in their pictures are read, so that each has exactly the pictures that were asked for.

use media::message::{Codec, EndReason};
use storage::local::Order;
use storage::{Clip, ClipKind, ClipState, Id, Piece, Recipe, Requester, Visibility};

use crate::node::*;

const MS: u64 = 1_000_000;

pub async fn order(node: &Node, pieces: Vec<Piece>) -> Id {
    let clip = Id::new(now_us() / 1000, rand::random());
    let order = Order {
        clip: clip.clone(),
        channel: "main".into(),
        recipe: Recipe { pieces, ..Recipe::of(Piece::whole(clip.clone())) },
        by: Requester::Viewer,
        title: Some("the goal".into()),
        visibility: Visibility::Link,
        at_ms: (now_us() / 1000) as i64,
    };
    let announced = node.local.order_clip(order.clone()).await.expect("an order").clip;
    assert_eq!((announced.kind, announced.title.as_str()), (ClipKind::Made, "the goal"));
    node.local.order_clip(order).await.expect("again is the same");
    clip
}

pub async fn stored(node: &Node, id: &Id) -> Clip {
    until(60, || async {
        let row = node.local.local_clip(id.clone()).await.unwrap().expect("its row");
        let error = format!("{} {:?}", row.state, row.error);
        row.clip.filter(|_| row.state == ClipState::Stored).ok_or(error)
    })
    .await
}

/// Why an order was refused.
pub async fn refused(node: &Node, id: &Id) -> String {
    until(60, || async {
        let row = node.local.local_clip(id.clone()).await.unwrap().expect("its row");
        row.error.filter(|_| row.state == ClipState::Failed).ok_or(row.state.to_string())
    })
    .await
}

/// The numbers of the pictures at or after the keyframe before `from_ns` and before `to_ns`; there is a keyframe each second.
pub fn wanted(from_ns: u64, to_ns: u64) -> Vec<u32> {
    let shown = |number: &u32| {
        let at = u64::from(*number) * SECOND / u64::from(FPS);
        at >= from_ns / SECOND * SECOND && at < to_ns
    };
    (0..100_000).filter(shown).collect()
}

pub fn piece(broadcast: &Id, from_ns: u64, to_ns: u64) -> Piece {
    Piece::new(broadcast.clone(), from_ns, to_ns)
}

async fn assert_shows(node: &Node, id: &Id, from_ns: u64, to_ns: u64) {
    let clip = stored(node, id).await;
    let expected = wanted(from_ns, to_ns);
    let shown = numbers(node, std::slice::from_ref(&clip));
    assert_eq!(shown, expected, "{from_ns} to {to_ns} ns");
    assert_eq!(clip.from_ns / MS, from_ns / SECOND * 1000, "its start is told as it is");
    assert!(clip.to_ns.abs_diff(to_ns) <= SECOND / u64::from(FPS), "{} for {to_ns}", clip.to_ns);
    assert_eq!((clip.kind, clip.visibility, clip.continuity.is_none()), (ClipKind::Made, Visibility::Link, true));
    assert!(clip.object.contains("/made-") && clip.poster.is_some(), "{clip:?}");
}

/// Every kind of offset: on a border of parts, a picture before and after it, within one, across several.
const RANGES: [(u64, u64); 8] =
    [(0, 1500), (1999, 2001), (1966, 4034), (2000, 4000), (2033, 3967), (3100, 3900), (500, 6500), (5700, 6100)];

pub async fn ranges_across_rollovers_in_four_codecs() {
    for codec in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(folder.path(), every_seconds(2)).await;
        let broadcast = node.begin();
        let mut live = Live::new(codec);
        play(&node, broadcast, live.up_to(7 * SECOND));
        let mut orders = Vec::new();
        for (from_ms, to_ms) in RANGES {
            orders.push((order(&node, vec![piece(&id(broadcast), from_ms * MS, to_ms * MS)]).await, from_ms, to_ms));
        }
        for (clip, from_ms, to_ms) in orders {
            assert_shows(&node, &clip, from_ms * MS, to_ms * MS).await;
        }
        let made = node.clips().await.iter().filter(|clip| clip.kind == ClipKind::Made).count();
        assert_eq!(made, RANGES.len(), "each order is one clip");

        node.end(broadcast, EndReason::Stopped);
        let parts = 4;
        node.settle((RANGES.len() + parts) as u64).await;
        let after = order(&node, vec![piece(&id(broadcast), 1500 * MS, 6999 * MS)]).await;
        assert_shows(&node, &after, 1500 * MS, 6999 * MS).await;
        let known = node.database.broadcast(&id(broadcast)).await.unwrap().expect("the broadcast");
        assert_eq!(known.clips, parts as u32, "made clips are no parts of it");
        let clips = node.clips().await;
        let parts: Vec<Clip> = clips.into_iter().filter(|clip| clip.kind == ClipKind::Part).collect();
        assert_consecutive(&numbers(&node, &parts), live.pictures);
        node.settle_all().await;
        node.check_is_silent().await;
        node.stop().await;
    }
}

pub async fn the_open_part_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), NEVER).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(4 * SECOND));
    let clip = order(&node, vec![piece(&id(broadcast), 2500 * MS, 4500 * MS)]).await;
    let early = order(&node, vec![piece(&id(broadcast), 1000 * MS, 2000 * MS)]).await;
    assert_shows(&node, &early, 1000 * MS, 2000 * MS).await;
    let row = node.local.local_clip(clip.clone()).await.unwrap().unwrap();
    assert_eq!(row.state, ClipState::Exporting, "half a second of it has not come yet");
    play(&node, broadcast, live.up_to(6 * SECOND));
    assert_shows(&node, &clip, 2500 * MS, 4500 * MS).await;

    // A streamer that is gone: what there is, is taken.
    let short = order(&node, vec![piece(&id(broadcast), 5000 * MS, 9000 * MS)]).await;
    let clip = stored(&node, &short).await;
    assert_eq!(numbers(&node, &[clip]), wanted(5 * SECOND, 6 * SECOND));
    node.end(broadcast, EndReason::Dropped);
    node.settle(4).await;
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn pieces_of_two_broadcasts_become_one_clip() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(2)).await;
    let mut pieces = Vec::new();
    for _ in 0..2 {
        let broadcast = node.begin();
        play(&node, broadcast, Live::new(Codec::H264).up_to(5 * SECOND));
        node.end(broadcast, EndReason::Stopped);
        pieces.push(piece(&id(broadcast), SECOND, 3 * SECOND));
    }
    node.settle(6).await;
    pieces.push(Piece { to_ns: Piece::END, ..piece(&pieces[0].broadcast, 4 * SECOND, 5 * SECOND) });
    let clip = stored(&node, &order(&node, pieces.clone()).await).await;
    let shown = pipeline::inspect::clip(&node.object(&clip.object)).expect("it decodes").numbers().expect("numbers");
    let expected: Vec<u32> =
        [wanted(SECOND, 3 * SECOND), wanted(SECOND, 3 * SECOND), wanted(4 * SECOND, 5 * SECOND)].concat();
    assert_eq!(shown, expected);
    let recipe = clip.recipe.expect("what it was made from");
    let mut at = 0;
    for (made, asked) in recipe.pieces.iter().zip(&pieces[..2]) {
        assert_eq!((&made.broadcast, made.from_ns, made.to_ns), (&asked.broadcast, asked.from_ns, asked.to_ns));
        assert_eq!((made.at_ns, &made.clip), (Some(at), &None), "where it begins in the file");
        at += made.to_ns - made.from_ns;
    }
    assert!(recipe.pieces[2].to_ns.abs_diff(5 * SECOND) < 40 * MS, "{:?}", recipe.pieces[2]);
    node.settle_all().await;
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn what_cannot_be_had_is_refused_and_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(2)).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(7 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(4).await;
    let whose = id(broadcast);
    let behind = order(&node, vec![piece(&whose, 60 * SECOND, 61 * SECOND)]).await;
    assert!(refused(&node, &behind).await.contains("the recording ends at"), "{}", refused(&node, &behind).await);
    let nowhere = order(&node, vec![piece(&Id::new(1, 1), 0, SECOND)]).await;
    assert!(refused(&node, &nowhere).await.contains("nothing of this broadcast is here"));

    // part 1 has been deleted, and its journal with it
    let second = node.clips().await.into_iter().find(|clip| clip.part == 1).expect("part 1");
    node.local.remove_clip(second.clone()).await.unwrap();
    node.database.delete_clip(&second.id).await.unwrap();
    until(20, || async {
        let gone = node.local.local_clip(second.id.clone()).await.unwrap().is_none();
        if gone { Ok(()) } else { Err("it is still there".into()) }
    })
    .await;
    let hole = order(&node, vec![piece(&whose, SECOND, 5 * SECOND)]).await;
    let why = refused(&node, &hole).await;
    assert!(why.contains("this part of the recording is no longer here: 2.0"), "{why}");
    let beside = order(&node, vec![piece(&whose, 4 * SECOND, 6 * SECOND)]).await;
    assert_shows(&node, &beside, 4 * SECOND, 6 * SECOND).await;
    node.stop().await;
}

/// A file that is lost before it is stored is made again from the recipe, by the next start.
pub async fn a_made_clip_without_its_file_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(2)).await;
    let broadcast = node.begin();
    play(&node, broadcast, Live::new(Codec::Vp8).up_to(5 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(3).await;
    let objects = folder.path().join("objects");
    let away = folder.path().join("away");
    std::fs::rename(&objects, &away).unwrap();
    std::fs::write(&objects, "a file where a folder should be").unwrap();
    let clip = order(&node, vec![piece(&id(broadcast), SECOND, 3 * SECOND)]).await;
    let file = until(30, || async {
        let row = node.local.local_clip(clip.clone()).await.unwrap().expect("its row");
        row.file.filter(|_| row.state != ClipState::Exporting).ok_or(row.state.to_string())
    })
    .await;
    node.stop().await;
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&objects).unwrap();
    std::fs::rename(&away, &objects).unwrap();
    let node = Node::start(folder.path(), every_seconds(2)).await;
    assert_shows(&node, &clip, SECOND, 3 * SECOND).await;
    node.settle(4).await;
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn journals_stay_while_an_order_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(2)).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(5 * SECOND));
    let first = until(30, || async {
        let clips = node.clips().await;
        clips.into_iter().find(|clip| clip.part == 0).ok_or("part 0 is not stored".to_owned())
    })
    .await;
    // it waits for what has not been recorded yet
    let clip = order(&node, vec![piece(&id(broadcast), SECOND, 5500 * MS)]).await;
    assert!(node.local.expired(i64::MAX, 100).await.unwrap().is_empty(), "nothing of it may go");
    play(&node, broadcast, live.up_to(7 * SECOND));
    assert_shows(&node, &clip, SECOND, 5500 * MS).await;
    // now it may, as soon as it was looked at
    until(30, || async {
        let may_go = node.local.expired(i64::MAX, 100).await.unwrap();
        if may_go.iter().any(|row| row.id == first.id) { Ok(()) } else { Err("its journal is kept".to_owned()) }
    })
    .await;

    // what somebody deletes is gone for orders as well
    let late = order(&node, vec![piece(&id(broadcast), SECOND, 7500 * MS)]).await;
    node.local.remove_clip(first.clone()).await.unwrap();
    play(&node, broadcast, live.up_to(9 * SECOND));
    assert!(refused(&node, &late).await.contains("no longer here"));
    node.stop().await;
}
