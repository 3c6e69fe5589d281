//! Seeded rollovers with real files: by size, by time and by request, in four codecs, with late sound, pauses of it and pictures that change
//! their size. Everything that was given is in exactly one clip, and `check` is silent from the database alone. The same without muxing, with far
//! more turns: `src/stream_tests.rs`.

use media::message::{Codec, EndReason, TapFact};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::{Clip, ClipRequest, Database, Id, Local, ObjectStore, Requester};

use crate::node::*;

const MS: u64 = 1_000_000;

/// Seconds of each codec: a rollover in less than two.
fn seconds() -> u64 {
    if std::env::var_os("OXBOW_SOAK").is_some() { 80 } else { 10 }
}

/// A beep that sound is missing of cannot be laid beside its picture.
fn between_beeps(at_ns: u64) -> u64 {
    if at_ns % SECOND < 200 * MS { at_ns / SECOND * SECOND + 200 * MS } else { at_ns }
}

/// How many packets of sound were given; pictures all were.
async fn play_seeded(node: &Node, live: &mut Live, seed: u64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let broadcast = node.begin();
    let (late_ns, mut silent_until) = (between_beeps(rng.random_range(0..2000) * MS), 0);
    let (mut packets, mut large) = (0, false);
    let mut request_at = rng.random_range(1000..4000) * MS;
    let mut at = 0;
    while at < seconds() * SECOND {
        at += 100 * MS;
        for mut fact in live.up_to(at) {
            let mut wanted = true;
            if let TapFact::Unit(unit) = &mut fact
                && unit.track == SOUND
            {
                wanted = unit.pts_ns >= late_ns && unit.pts_ns >= silent_until;
                // a source that is muted counts no packets
                (unit.first_seq, unit.last_seq) = (packets, packets);
                packets += u64::from(wanted);
            }
            if wanted {
                node.give(broadcast, fact);
            }
        }
        if rng.random_bool(0.05) {
            large = !large;
            let (width, height) = if large { (512, 288) } else { (384, 216) };
            live.resize(width, height);
        }
        // one that begins in a beep leaves its rest in the decoder
        if rng.random_bool(0.03) && between_beeps(at) == at {
            silent_until = between_beeps(at + rng.random_range(200..2500) * MS);
        }
        if at >= request_at {
            request_at = at + rng.random_range(1000..4000) * MS;
            let request = ClipRequest {
                id: Id::new(at / MS, rand::random()),
                channel: "main".into(),
                broadcast: Some(id(broadcast)),
                by: Requester::Viewer,
                title: None,
                at_ms: (now_us() / 1000) as i64,
            };
            node.local.request_clip(request).await.unwrap();
        }
    }
    node.end(broadcast, EndReason::Stopped);
    until(60, || async {
        let ended = node.local.open_broadcasts().await.unwrap().is_empty();
        let begun = node.local.local_broadcast(id(broadcast)).await.unwrap().is_some();
        if begun && ended { Ok(()) } else { Err("not ended".to_string()) }
    })
    .await;
    node.settle_all().await;
    packets
}

fn track(clip: &Clip, track: u8) -> Option<&storage::TrackContinuity> {
    clip.continuity.as_ref().expect("a record").tracks.iter().find(|t| t.track == track)
}

pub async fn random_rollovers_join_in_four_codecs() {
    let mut rollovers = 0;
    for (seed, codec) in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1].into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(folder.path(), Limits { bytes: 110_000, ..every_seconds(3) }).await;
        let mut live = Live::new(codec);
        let packets = play_seeded(&node, &mut live, seed as u64).await;

        let clips = node.clips().await;
        rollovers += clips.len() - 1;
        assert_consecutive(&numbers(&node, &clips), live.pictures);
        assert_eq!(clips.iter().map(|c| c.packets).sum::<u64>(), packets, "{codec:?}");
        for (clip, next) in clips.iter().zip(&clips[1..]) {
            let before = next.continuity.as_ref().and_then(|record| record.before.as_ref()).expect("a link");
            assert_eq!((&before.clip, before.part, &before.sha256), (&clip.id, clip.part, &clip.sha256));
            let (one, other) = (track(clip, VIDEO.0).unwrap(), track(next, VIDEO.0).unwrap());
            assert_eq!((one.last_unit + 1, one.to_ns), (other.first_unit, other.from_ns), "{codec:?}");
        }
        let shown: u64 = clips.iter().filter_map(|c| track(c, VIDEO.0)).map(|t| t.to_ns - t.from_ns).sum();
        let wall = live.pictures * SECOND / u64::from(FPS);
        assert!(shown.abs_diff(wall) <= SECOND / u64::from(FPS), "{codec:?}: {shown} ns of {wall}");
        let lasting: u64 = clips.iter().map(|c| c.duration_ms).sum();
        // a sound that begins before the border ends after it
        assert!(lasting >= wall / MS && lasting <= wall / MS + 34 + 21 * clips.len() as u64, "{codec:?}: {lasting} ms");
        node.check_is_silent().await;
        node.stop().await;
    }
    println!("     {rollovers} rollovers");
    assert!(rollovers >= 12, "{rollovers}");
}

/// `check` on the database and the objects alone, as after the loss of this node's disk.
async fn problems(node: &Node) -> Vec<String> {
    let empty = tempfile::tempdir().unwrap();
    let local = Local::open(empty.path().join("local.sqlite")).unwrap();
    let database = Database::sqlite(node.data.join("db/oxbow.sqlite"));
    let objects = ObjectStore::folder(node.data.join("objects"));
    recorder::check::check(empty.path(), &objects, &database, &local).await.unwrap().problems
}

pub async fn the_chain_is_checked_without_journals() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(1)).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(5 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(5).await;
    assert_eq!(problems(&node).await, Vec::<String>::new());

    // as the server deletes
    let clips = node.clips().await;
    node.local.remove_clip(clips[1].clone()).await.unwrap();
    node.database.delete_clip(&clips[1].id).await.unwrap().expect("it was there");
    let sidecar = storage::key::sidecar("main", &clips[1].broadcast, 1, &clips[1].id);
    until(20, || async {
        let left = std::fs::read_to_string(node.object(&sidecar)).unwrap();
        if left.contains(r#""deleted":true"#) { Ok(()) } else { Err(left) }
    })
    .await;
    // its tombstone is known; its objects go one after the other
    until(20, || async {
        let found = problems(&node).await;
        if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let double = Clip { id: Id::new(5, 5), ..clips[3].clone() };
    node.database.insert_clip(&double).await.unwrap();
    let found = problems(&node).await;
    assert!(
        found.iter().any(|p| p.contains("are both part 3")) && found.iter().any(|p| p.contains("are in both")),
        "{found:?}"
    );
    node.stop().await;
}
