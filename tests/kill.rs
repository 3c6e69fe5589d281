//! kill -9 of the whole server at seeded moments: everything up to a second before it is playable, indexed and stored once.

mod support;

use std::time::{Duration, Instant};

use support::{House, Publisher, show, signal, soak};

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

#[tokio::test]
async fn what_was_received_survives_kill_9() {
    for moment in moments() {
        let house = House::new(&[("CLIP_LENGTH", "2")]);
        let server = house.start();
        let mut publisher = Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360"]);
        server.all_stored(1, Duration::from_secs(30)).await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let live = server.get("/api/channels/main").await;
        let on_air = live["live"]["startedAt"].as_i64().expect("a live");
        let killed_at = utc_ms();
        server.kill();
        publisher.kill();

        // The first recovery is killed as well, while it works.
        let recovering = house.start();
        tokio::time::sleep(Duration::from_millis(moment % 300)).await;
        recovering.kill();

        let server = house.start();
        // A server answers once its recovery has put every part into a state. Killed just after a cut, none was left without an end.
        let clips = server.all_stored(1, Duration::from_secs(60)).await;
        let shown = show(&server, &clips, FPS).await;
        assert_eq!((shown.missing, shown.duplicate), (0, 0), "killed {moment} ms in: {:?}", shown.numbers);
        let last = clips.last().expect("clips");
        let end = last["startedAt"].as_i64().expect("a start") + last["durationMs"].as_i64().expect("a length");
        let lost = killed_at - end;
        println!("killed {moment} ms in: {} clips of {} ms, {lost} ms lost", clips.len(), killed_at - on_air);
        assert!(lost <= 1_000, "{lost} ms before the kill are lost");
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

fn utc_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64
}
