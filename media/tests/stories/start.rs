//! A viewer who joins between two keyframes sees the picture at once, in step with the sound, and the streamer is left alone.

use std::time::{Duration, Instant};

use media::message::Codec;

use crate::publisher::Publisher;
use crate::viewer::{Stream, Viewer};
use crate::world::{GOOD, Link, World};

const MS: Duration = Duration::from_millis(1);

/// On air for `lead`.
fn on_air(seed: u64, publisher: Publisher, lead: Duration) -> (World, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    world.run(lead);
    (world, streamer)
}

/// A viewer who is connected, and when that was.
fn joined(world: &mut World, viewer: Viewer, link: Link) -> (usize, Instant) {
    let viewer = world.watch(viewer, link).unwrap();
    world.run_until(Duration::from_secs(1), |world| world.clients[viewer].connected);
    (viewer, world.now.mono)
}

fn video(world: &World, viewer: usize) -> &Stream {
    &world.clients[viewer].viewer().video
}

#[test]
fn the_newest_keyframe_is_there_at_once() {
    // The keyframe of the start is followed by one every two seconds, since it is recorded.
    for (seed, phase) in [(1, 100), (2, 700), (3, 1500), (4, 1900)] {
        let (mut world, streamer) = on_air(seed, Publisher::default(), Duration::from_secs(3));
        let newest = |world: &mut World| *world.clients[streamer].publisher().keys.last().unwrap();
        let key = newest(&mut world);
        world.run_until(Duration::from_secs(3), |world| newest(world) != key);
        world.run(phase * MS);
        let key = newest(&mut world);
        let asked = world.clients[streamer].publisher().plis.len();
        let (viewer, connected) = joined(&mut world, Viewer::new(), GOOD);
        world.run(45 * MS);
        if newest(&mut world) == key {
            assert_eq!(world.clients[streamer].publisher().plis.len(), asked, "nobody asked the streamer");
        }
        let first = video(&world, viewer).first().expect("a picture");
        assert!(first <= connected + 10 * MS, "{:?}", first - connected);
        world.run(Duration::from_secs(1));
        let pictures = video(&world, viewer).pictures();
        assert_eq!((pictures[0].0, pictures[0].1), (key, true));
        for pair in pictures.windows(2) {
            assert_eq!(pair[1].0, pair[0].0 + 1, "every picture, once");
            let apart = pair[1].2.wrapping_sub(pair[0].2);
            assert!((1..=100).contains(&apart) || apart == 3000, "{apart}");
        }
        assert_eq!(video(&world, viewer).holes(), 0);
    }
}

#[test]
fn replayed_pictures_are_many_and_live_ones_keep_time() {
    let (mut world, _) = on_air(5, Publisher::default(), Duration::from_millis(3900));
    let (viewer, connected) = joined(&mut world, Viewer::new(), GOOD);
    world.run(Duration::from_secs(3));
    let video = video(&world, viewer);
    let stamps: Vec<u32> = video.live_pictures().iter().map(|picture| picture.2).collect();
    assert!(video.pictures().len() - stamps.len() > 20);
    assert!(stamps.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 3000));
    // All reports are of the live mapping: they agree to a tick of the wall clock with each other and with the pictures. (The first come before it is
    // known how far the streamer is.)
    let live = video.packets.values().find(|got| got.timestamp == stamps[stamps.len() - 10]).unwrap();
    let reports = &video.reports[1..];
    for (utc, rtp) in reports {
        let (utc0, rtp0) = reports[0];
        assert!((rtp.wrapping_sub(rtp0) as i32 - ((utc - utc0) * 9 / 100) as i32).abs() <= 2);
        let later = *utc as i64 - world_utc(&world, live.at) as i64;
        let behind = rtp.wrapping_sub(live.timestamp) as i32 - (later * 9 / 100) as i32;
        // Two hops of 5 ms lie between a picture and its arrival.
        assert!((850..=950).contains(&behind), "{behind}");
    }
    assert!(!reports.is_empty() && connected < live.at);
}

fn world_utc(world: &World, at: Instant) -> u64 {
    world.now.utc_us - (world.now.mono - at).as_micros() as u64
}

#[test]
fn h264_begins_with_its_parameter_sets() {
    let publisher = Publisher { codec: Codec::H264, ..Publisher::default() };
    let (mut world, _) = on_air(6, publisher, Duration::from_millis(3500));
    let (viewer, connected) = joined(&mut world, Viewer::new(), GOOD);
    world.run(Duration::from_millis(500));
    let video = video(&world, viewer);
    assert!(video.first().unwrap() <= connected + 10 * MS);
    let first = video.packets.values().next().unwrap();
    assert_eq!(first.payload[..4], [0x78, 0, 14, 0x67], "SPS and PPS, then the picture");
    assert_eq!(video.packets.values().nth(1).unwrap().timestamp, first.timestamp);
    assert_eq!(video.holes(), 0);
}

#[test]
fn what_a_replay_loses_is_repaired_with_the_same_timestamps() {
    let (mut world, _) = on_air(7, Publisher::default(), Duration::from_millis(3900));
    let (viewer, _) = joined(&mut world, Viewer::new(), GOOD);
    world.clients[viewer].down.loss = 0.1;
    world.run(Duration::from_secs(2));
    world.clients[viewer].down.loss = 0.0;
    world.run(Duration::from_secs(1));
    let video = video(&world, viewer);
    assert!(video.packets.values().filter(|got| got.repaired).count() > 10);
    let pictures = video.pictures();
    for pair in pictures.windows(2) {
        let apart = pair[1].2.wrapping_sub(pair[0].2);
        assert!((1..=100).contains(&apart) || apart.is_multiple_of(3000), "{apart}");
    }
    assert!(pictures.len() > 80);
}

#[test]
fn a_hole_that_nobody_filled_is_not_replayed() {
    let stubborn = Publisher { repairs: false, obeys_pli: false, obeys_fir: false, ..Publisher::default() };
    let (mut world, streamer) = on_air(8, stubborn, Duration::from_millis(100));
    world.clients[streamer].up.loss = 0.2;
    world.run(Duration::from_millis(600));
    world.clients[streamer].up.loss = 0.0;
    world.run(Duration::from_millis(600));
    let (viewer, _) = joined(&mut world, Viewer::new(), GOOD);
    world.run(Duration::from_millis(100));
    assert!(video(&world, viewer).packets.is_empty());
    world.clients[streamer].publisher().obeys_pli = true;
    world.clients[streamer].publisher().obeys_fir = true;
    world.run(Duration::from_secs(3));
    let pictures = video(&world, viewer).pictures();
    assert!(pictures[0].1 && pictures.len() > 30);
    for pair in pictures.windows(2) {
        assert_eq!((pair[1].0, pair[1].2.wrapping_sub(pair[0].2)), (pair[0].0 + 1, 3000), "live from the first");
    }
}

#[test]
fn a_thousand_packets_are_not_sent_at_one_stroke() {
    let publisher = Publisher { packets: (5, 20), ..Publisher::default() };
    let (mut world, _) = on_air(9, publisher, Duration::from_millis(3900));
    let (viewer, _) = joined(&mut world, Viewer::new(), GOOD);
    world.run(Duration::from_secs(1));
    let video = video(&world, viewer);
    assert_eq!(video.holes(), 0);
    let mut arrivals: Vec<Instant> = video.packets.values().map(|got| got.at).collect();
    arrivals.sort();
    let most = arrivals.chunk_by(|a, b| *b < *a + MS).map(<[Instant]>::len).max().unwrap();
    assert!((10..=40).contains(&most), "{most} packets in a millisecond");
}

#[test]
fn joiners_do_not_disturb_the_streamer() {
    let (mut world, streamer) = on_air(10, Publisher::default(), Duration::from_millis(3200));
    let asked = world.clients[streamer].publisher().plis.len();
    let viewers: Vec<usize> = (0..30).map(|_| world.watch(Viewer::new(), GOOD).unwrap()).collect();
    world.run(Duration::from_secs(4));
    // Two more for the recording's sake.
    assert!(world.clients[streamer].publisher().plis.len() <= asked + 2);
    assert!(viewers.iter().all(|viewer| video(&world, *viewer).pictures().len() > 120));
}

#[test]
fn parameter_sets_that_were_sent_once_reach_every_viewer() {
    for (seed, obeys_pli) in [(11, true), (12, false)] {
        let publisher = Publisher { codec: Codec::H264, sets_once: true, ..Publisher::default() };
        let (mut world, streamer) = on_air(seed, publisher, Duration::from_millis(6500));
        world.clients[streamer].publisher().obeys_pli = obeys_pli;
        let (viewer, _) = joined(&mut world, Viewer::new(), GOOD);
        // The very first packet, which carries them, is lost: it is repaired like any other.
        world.clients[viewer].down.loss = 1.0;
        world.run(6 * MS);
        world.clients[viewer].down.loss = 0.0;
        world.run(Duration::from_secs(1));
        let video = video(&world, viewer);
        let first = video.packets.values().next().unwrap();
        assert_eq!(first.payload[..4], [0x78, 0, 14, 0x67]);
        assert!(!first.marker);
        let next = video.packets.values().nth(1).unwrap();
        assert_eq!((next.timestamp, next.payload[0] & 0x1f), (first.timestamp, 28), "then the picture");
        let sets = video.packets.values().filter(|got| got.payload[0] == 0x78).count();
        assert_eq!((sets, video.holes()), (1, 0));
    }
}

#[test]
fn a_streamer_that_ignores_requests_is_replayed_however_much_it_is() {
    // 13 kB a picture: after two seconds far more than is replayed where the streamer can be asked.
    for (seed, lead) in [(13, 1700), (14, 3500)] {
        let publisher = Publisher { obeys_pli: false, obeys_fir: false, packets: (15, 40), ..Publisher::default() };
        let (mut world, _) = on_air(seed, publisher, lead * MS);
        let (viewer, connected) = joined(&mut world, Viewer::new(), GOOD);
        world.run(Duration::from_secs(3));
        let video = video(&world, viewer);
        let first = video.first().expect("a picture") - connected;
        assert!(first <= 150 * MS, "{first:?}");
        let pictures = video.pictures();
        assert_eq!((pictures[0].0, pictures[0].1), (0, true));
        assert!(pictures.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1) && video.holes() == 0);
    }
}

#[test]
fn a_storm_at_a_large_group_of_pictures_is_served_side_by_side() {
    // More than the send arena holds at a time is owed to all of them together.
    let publisher = Publisher { obeys_pli: false, obeys_fir: false, packets: (15, 30), ..Publisher::default() };
    let (mut world, _) = on_air(15, publisher, 3000 * MS);
    let viewers: Vec<usize> = (0..60).map(|_| world.watch(Viewer::new(), GOOD).unwrap()).collect();
    world.run_until(Duration::from_secs(1), |world| viewers.iter().all(|viewer| world.clients[*viewer].connected));
    let connected = world.now.mono;
    world.run(Duration::from_secs(2));
    for viewer in viewers {
        let video = video(&world, viewer);
        let pictures = video.whole();
        let first = pictures.first().expect("a picture");
        assert!(first.key && first.at <= connected + 160 * MS, "{:?}", first.at - connected);
        assert_eq!(video.holes(), 0);
    }
    assert_eq!(world.dropped("arena_full"), 0);
}
