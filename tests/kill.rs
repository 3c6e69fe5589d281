//! kill -9 of the whole server at seeded moments: everything up to a second before it is playable, indexed and stored once.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{House, Publisher, Server, show, signal, soak};

const FPS: u32 = 30;

/// Milliseconds after the first clip was stored. With clips of 2 s they fall into a GOP, a rollover, an export, an upload.
fn moments() -> Vec<u64> {
    let count = if soak() { 20 } else { 4 };
    // A linear congruential generator with a fixed seed: the same moments in each run.
    let mut state: u64 = 0x0b0e;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 4_000
        })
        .collect()
}

/// Packets of the picture that the server has received so far.
async fn picture_packets(server: &Server) -> u64 {
    let connections = server.get_with_key("/api/connections").await;
    let all = connections["items"].as_array().expect("a list").iter();
    let sources =
        all.filter(|one| one["role"] == "publisher").flat_map(|one| one["sources"].as_array().expect("a list"));
    let picture = sources.filter(|source| source["height"] != 0).filter_map(|source| source["packets"].as_u64());
    picture.max().filter(|packets| *packets > 0).unwrap_or_else(|| panic!("no picture: {connections}"))
}

/// A number of the picture's packets in a clip.
fn sequence(clip: Option<&Value>, name: &str) -> u64 {
    let tracks = clip.expect("a clip")["continuity"]["tracks"].as_array().expect("tracks");
    let picture = tracks.iter().find(|track| track["codec"] == "vp8").expect("a picture");
    picture[name].as_u64().expect("a number")
}

#[tokio::test]
async fn what_was_received_survives_kill_9() {
    for moment in moments() {
        let house = House::new(&[("CLIP_LENGTH", "2")]);
        let server = house.start();
        let mut publisher = Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360"]);
        server.all_stored(1, Duration::from_secs(30)).await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let received = picture_packets(&server).await;
        server.kill();
        publisher.kill();

        // The first recovery is killed as well, while it works.
        let recovering = house.start();
        tokio::time::sleep(Duration::from_millis(moment % 300)).await;
        recovering.kill();

        let server = house.start();
        // A server answers once its recovery has put every part into a state. Killed just after a cut, none was left without an end.
        let clips = server.nothing_on_its_way(Duration::from_secs(60)).await;
        let shown = show(&server, &clips, FPS).await;
        assert_eq!((shown.missing, shown.duplicate), (0, 0), "killed {moment} ms in: {:?}", shown.numbers);
        // Counted in what the server received, which on a busy machine is behind the clock.
        let recorded = sequence(clips.last(), "lastSeq") + 1 - sequence(clips.first(), "firstSeq");
        let pictures = shown.numbers.len() as u64;
        let lost_ms = received.saturating_sub(recorded) * pictures * 1_000 / u64::from(FPS) / recorded;
        println!("killed {moment} ms in: {pictures} pictures in {} clips, {lost_ms} ms lost", clips.len());
        assert!(lost_ms <= 1_000, "{lost_ms} ms before the kill are lost: {recorded} of {received} packets are there");
        let mut ids: Vec<_> = clips.iter().map(|clip| clip["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), clips.len(), "indexed once");
        assert!(server.stop().success());
        let (status, report) = house.check();
        assert!(status.success(), "{report}");
    }
}

#[tokio::test]
async fn sigterm_in_a_live_ends_in_order_and_leaves_nothing_behind() {
    let house = House::new(&[("CLIP_LENGTH", "300")]);
    let server = house.start();
    let mut publisher = Publisher::start(&server, "main", &["--codec", "h264"]);
    server
        .until(Duration::from_secs(15), "on air", async |s| {
            (s.get("/api/channels/main").await["state"] == "live").then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let began = Instant::now();
    assert!(server.stop().success());
    println!("stopped in {:?}", began.elapsed());
    publisher.kill();
    let server = house.start();
    let clips = server.all_stored(1, Duration::from_secs(20)).await;
    assert_eq!(clips.len(), 1);
    assert!(clips[0]["durationMs"].as_u64() > Some(2_500), "{clips:?}");
    assert_eq!(clips[0]["cause"], "end");
}

#[tokio::test]
async fn a_frozen_publisher_is_held_and_continues_the_same_broadcast() {
    let house = House::new(&[("CLIP_LENGTH", "300")]);
    let server = house.start();
    let publisher = Publisher::start(&server, "main", &["--codec", "vp8"]);
    let broadcast = server
        .until(Duration::from_secs(15), "on air", async |s| {
            let state = s.get("/api/channels/main").await;
            (state["state"] == "live").then(|| state["live"]["broadcast"].clone())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // A second one is refused while the first is heard, and takes over once it has been silent for three seconds.
    signal(publisher.pid(), "STOP");
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    Publisher::start(&server, "main", &["--codec", "vp8", "--seconds", "4"]).finish();
    let clips = server.ended(Duration::from_secs(20)).await;
    assert!(clips.iter().all(|clip| clip["broadcast"] == broadcast), "one broadcast: {clips:#?}");
    let lost: u64 = clips.iter().filter_map(|clip| clip["lostMs"].as_u64()).sum();
    assert!((2_000..=8_000).contains(&lost), "the gap is a record: {lost} ms");
}
