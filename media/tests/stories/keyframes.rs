//! Who is asked for keyframes, how often, and what happens when they are lost.

use std::time::Duration;

use crate::publisher::Publisher;
use crate::viewer::Viewer;
use crate::world::{GOOD, World};

fn on_air(seed: u64, publisher: Publisher) -> (World, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    (world, streamer)
}

#[test]
fn a_hundred_joiners_are_one_request_a_second() {
    let (mut world, streamer) = on_air(1, Publisher { obeys_pli: false, obeys_fir: false, ..Publisher::default() });
    world.run(Duration::from_secs(1));
    let viewers: Vec<usize> =
        (0..100).map(|_| world.watch(Viewer { asks_at_once: true, ..Viewer::new() }, GOOD).unwrap()).collect();
    world.run(Duration::from_secs(2));
    assert_eq!(world.count("Viewer connected"), 100);
    let publisher = world.clients[streamer].publisher();
    let mut asked = [&publisher.plis[..], &publisher.firs].concat();
    asked.sort();
    assert!(asked.len() >= 2);
    for pair in asked.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(990), "{:?}", pair[1] - pair[0]);
    }
    publisher.obeys_fir = true;
    publisher.obeys_pli = true;
    world.run(Duration::from_secs(2));
    for viewer in viewers {
        assert!(world.clients[viewer].viewer().video.pictures()[0].1, "all start at that keyframe");
    }
    assert_eq!(world.count("viewers 100"), 1);
    assert!(world.stats().plis_in >= 100);
}

#[test]
fn a_streamer_that_obeys_only_fir_is_asked_by_fir() {
    let (mut world, streamer) = on_air(2, Publisher { obeys_pli: false, ..Publisher::default() });
    world.run(Duration::from_secs(10));
    let publisher = world.clients[streamer].publisher();
    assert!(publisher.plis.len() >= 3 && !publisher.firs.is_empty());
    assert!(publisher.keys.len() >= 2, "FIR was obeyed");
}

#[test]
fn a_lost_keyframe_is_asked_for_again() {
    let (mut world, streamer) = on_air(3, Publisher { repairs: false, ..Publisher::default() });
    world.run(Duration::from_secs(1));
    let viewer = world.watch(Viewer { nacks: false, ..Viewer::new() }, GOOD).unwrap();
    world.run_until(Duration::from_secs(1), |world| world.clients[viewer].connected);
    // All that the streamer sends for a while is lost, with the keyframe that the viewer needs.
    world.clients[streamer].up.loss = 1.0;
    world.run(Duration::from_millis(1200));
    world.clients[streamer].up.loss = 0.0;
    world.run(Duration::from_secs(3));
    let pictures = world.clients[viewer].viewer().video.pictures();
    let key = pictures.iter().position(|(_, key, _)| *key).expect("a keyframe came");
    assert!(pictures[key..].len() > 30);
}

#[test]
fn keyframes_of_a_recorded_track_are_at_most_two_seconds_old() {
    let (mut world, streamer) = on_air(4, Publisher::default());
    world.run(Duration::from_secs(20));
    let keys = &world.clients[streamer].publisher().keys;
    for pair in keys.windows(2) {
        assert!((58..=66).contains(&(pair[1] - pair[0])), "{} frames apart", pair[1] - pair[0]);
    }
    assert!(keys.len() >= 9);
}

#[test]
fn a_keyframe_whose_first_packet_comes_late_still_opens() {
    let (mut world, streamer) = on_air(5, Publisher::default());
    world.run(Duration::from_secs(1));
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    // A third of the packets come as repairs only.
    world.clients[streamer].up.loss = 0.3;
    world.run(Duration::from_secs(6));
    world.clients[streamer].up.loss = 0.0;
    world.run(Duration::from_secs(2));
    let video = &world.clients[viewer].viewer().video;
    assert!(video.pictures()[0].1);
    assert!(video.pictures().len() > 150);
}
