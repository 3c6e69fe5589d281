//! Networks that lose, double, delay and reorder, on either side, with seeds: what is repaired, and what is done where nothing is.

use std::time::Duration;

use crate::publisher::Publisher;
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World};

const MS: Duration = Duration::from_millis(1);

fn on_air(seed: u64, publisher: Publisher) -> (World, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    world.run(Duration::from_secs(1));
    (world, streamer)
}

fn watching(world: &mut World, viewer: Viewer) -> usize {
    let viewer = world.watch(viewer, GOOD).unwrap();
    world.run_until(Duration::from_secs(1), |world| world.clients[viewer].connected);
    viewer
}

/// Pictures that a decoder can show: nothing is missing between them and a keyframe before them.
fn decodable(world: &World, viewer: usize) -> Vec<u32> {
    let mut last = None;
    let pictures = world.clients[viewer].viewer().video.pictures().into_iter();
    let shown = pictures.filter(|(number, key, _)| {
        let shown = *key || last.is_some_and(|last| last + 1 == *number);
        last = shown.then_some(*number);
        shown
    });
    shown.map(|(number, ..)| number).collect()
}

#[test]
fn a_viewers_losses_are_repaired() {
    for (seed, loss) in [(1, 0.01), (2, 0.05), (3, 0.2)] {
        let (mut world, _) = on_air(seed, Publisher::default());
        world.doubled = 0.05;
        let viewer = watching(&mut world, Viewer::new());
        world.clients[viewer].down = Link { loss, delay: 30 * MS, jitter: 15 * MS };
        world.run(Duration::from_secs(8));
        world.clients[viewer].down = GOOD;
        world.run(Duration::from_secs(1));
        let video = &world.clients[viewer].viewer().video;
        assert_eq!(video.holes(), 0, "at {loss}");
        let shown = decodable(&world, viewer);
        assert!(shown.windows(2).all(|pair| pair[1] == pair[0] + 1), "at {loss}");
    }
}

#[test]
fn a_streamers_losses_are_repaired_before_anybody_sees_them() {
    for (seed, loss) in [(4, 0.01), (5, 0.05), (6, 0.2)] {
        let (mut world, streamer) = on_air(seed, Publisher::default());
        world.doubled = 0.05;
        let viewer = watching(&mut world, Viewer::new());
        world.clients[streamer].up = Link { loss, delay: 30 * MS, jitter: 15 * MS };
        world.run(Duration::from_secs(8));
        world.clients[streamer].up = GOOD;
        world.run(Duration::from_secs(1));
        let sent = world.clients[streamer].publisher().frame as usize;
        let shown = decodable(&world, viewer);
        assert!(shown.len() * 100 >= sent * 80, "at {loss}: {} of {sent} pictures", shown.len());
        assert!(*shown.last().unwrap() as usize + 5 > sent, "at {loss}: it goes on");
        let plis = world.clients[streamer].publisher().plis.clone();
        assert!(plis.windows(3).all(|three| three[2] - three[0] >= 990 * MS), "at {loss}: at most one a second");
    }
}

#[test]
fn a_fifth_of_a_second_without_a_packet_is_made_up_for() {
    let (mut world, _) = on_air(7, Publisher::default());
    let viewer = watching(&mut world, Viewer::new());
    world.run(Duration::from_secs(1));
    world.clients[viewer].down.loss = 1.0;
    world.run(200 * MS);
    world.clients[viewer].down.loss = 0.0;
    world.run(Duration::from_secs(1));
    let video = &world.clients[viewer].viewer().video;
    assert!(video.packets.values().filter(|got| got.repaired).count() >= 15);
    assert_eq!(video.holes(), 0);
    assert_eq!(world.dropped("repair_refused"), 0);
}

#[test]
fn a_distant_viewer_is_sent_each_repair_once_a_round_trip() {
    let (mut world, _) = on_air(8, Publisher::default());
    let viewer = watching(&mut world, Viewer::new());
    world.clients[viewer].down = Link { loss: 0.0, delay: 110 * MS, jitter: Duration::ZERO };
    world.clients[viewer].up = world.clients[viewer].down;
    // Long enough for reports to tell the round trip of 220 ms. It asks every 80 ms for what it misses.
    world.run(Duration::from_secs(12));
    let before = world.clients[viewer].viewer().video.duplicates;
    world.clients[viewer].down.loss = 0.05;
    world.run(Duration::from_secs(5));
    world.clients[viewer].down.loss = 0.0;
    world.run(Duration::from_secs(2));
    let video = &world.clients[viewer].viewer().video;
    let repaired = video.packets.values().filter(|got| got.repaired).count() as u64;
    assert!(repaired > 10 && video.holes() == 0);
    let in_vain = video.duplicates - before;
    assert!(in_vain * 4 <= repaired, "{in_vain} repairs came to those who had {repaired} already");
}

#[test]
fn a_streamer_that_repairs_nothing_is_asked_for_keyframes_instead() {
    let (mut world, streamer) = on_air(9, Publisher { repairs: false, ..Publisher::default() });
    let viewer = watching(&mut world, Viewer::new());
    world.clients[streamer].up.loss = 0.01;
    world.run(Duration::from_secs(20));
    world.clients[streamer].up.loss = 0.0;
    world.run(Duration::from_secs(2));
    let publisher = world.clients[streamer].publisher();
    let (sent, plis) = (publisher.frame as usize, publisher.plis.len());
    let shown = decodable(&world, viewer);
    // Half a second of waiting at each loss would leave 70 %.
    assert!(shown.len() * 100 >= sent * 74, "{} of {sent} pictures, {plis} requests", shown.len());
    assert!(plis <= 30, "{plis}");
    assert!(*shown.last().unwrap() as usize + 3 > sent);
}

#[test]
fn a_viewer_who_asks_for_everything_again_gets_what_the_budget_allows() {
    let (mut world, _) = on_air(10, Publisher::default());
    let viewer = watching(&mut world, Viewer { deaf: true, ..Viewer::new() });
    world.run(Duration::from_secs(10));
    let stats = world.stats();
    let media: u64 = world.clients[viewer].viewer().video.packets.len() as u64;
    assert!(stats.retransmitted > 100, "{}", stats.retransmitted);
    assert!(stats.retransmitted < media, "{} repairs of {media} packets", stats.retransmitted);
    assert!(world.dropped("repair_refused") > 0);
}
