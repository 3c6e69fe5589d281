//! A viewer's network carries less than the best layer takes, or less than before, or more again.

use std::time::{Duration, Instant};

use media::message::{Command, Quality};

use crate::flight::diagnosis;
use crate::publisher::Publisher;
use crate::rungs::Rungs;
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World};

/// The layers take about 220, 440 and 870 kbit/s.
const SECOND: Duration = Duration::from_secs(1);

fn on_air(seed: u64) -> World {
    let mut world = World::new(seed);
    let publisher = Publisher { rungs: Some(Rungs::three()), ..Publisher::default() };
    world.publish(publisher, GOOD).unwrap();
    world.run_until(2 * SECOND, |world| world.count("started") == 1);
    world.run(3 * SECOND);
    world
}

/// Layers that the viewer was shown from then on, each change once.
fn shown(world: &World, viewer: usize, since: Instant) -> Vec<usize> {
    let pictures = world.clients[viewer].viewer().video.whole();
    let mut rungs: Vec<usize> =
        pictures.iter().filter(|picture| picture.at >= since).map(|picture| picture.rung).collect();
    rungs.dedup();
    rungs
}

/// The share of the time in which this layer was shown, from then on.
fn share(world: &World, viewer: usize, since: Instant, rung: usize) -> f64 {
    let pictures = world.clients[viewer].viewer().video.whole();
    let later: Vec<_> = pictures.iter().filter(|picture| picture.at >= since).collect();
    later.iter().filter(|picture| picture.rung == rung).count() as f64 / later.len() as f64
}

#[test]
fn a_network_that_carries_everything_gets_the_best() {
    let mut world = on_air(1);
    let viewer = world.watch(Viewer::new(), Link { jitter: Duration::from_millis(20), loss: 0.02, ..GOOD }).unwrap();
    world.clients[viewer].down_rate = Some(5_000_000);
    let joined = world.now.mono;
    world.run(20 * SECOND);
    assert_eq!(shown(&world, viewer, joined), [2], "neither jitter nor a little loss costs quality");
    let seen = world.clients[viewer].viewer();
    assert!(seen.numbered > 1000 && seen.video.holes() < 20);
}

#[test]
fn a_slow_viewer_gets_less_and_costs_nobody_anything() {
    let mut world = on_air(2);
    let joined = world.now.mono;
    let slow = world.watch(Viewer::new(), GOOD).unwrap();
    let other = world.watch(Viewer::new(), GOOD).unwrap();
    world.clients[slow].down_rate = Some(650_000);
    world.run(30 * SECOND);
    let settled = joined + 5 * SECOND;
    assert!(share(&world, slow, settled, 1) > 0.9, "{:?}", shown(&world, slow, settled));
    assert_eq!(shown(&world, other, joined), [2]);
    let pictures = world.clients[slow].viewer().video.whole();
    let late: Vec<_> = pictures.windows(2).filter(|pair| pair[1].at - pair[0].at > SECOND).collect();
    assert!(late.is_empty(), "{late:?}");
    let estimate = diagnosis(&mut world, slow).estimate;
    assert!(matches!(estimate, Some(400_000..=900_000)), "operators are told: {estimate:?}");
}

#[test]
fn bandwidth_goes_down_and_comes_back() {
    let mut world = on_air(3);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(3 * SECOND);
    let at = |world: &mut World, rate: u64, seconds: u32| {
        world.clients[viewer].down_rate = Some(rate);
        let since = world.now.mono;
        world.run(seconds * SECOND);
        (shown(world, viewer, since + seconds * SECOND * 3 / 4), since)
    };
    assert_eq!(at(&mut world, 5_000_000, 5).0, [2]);
    assert_eq!(at(&mut world, 650_000, 12).0, [1]);
    assert_eq!(at(&mut world, 320_000, 12).0, [0]);
    let (last, since) = at(&mut world, 5_000_000, 40);
    assert_eq!(last, [2], "up again");
    assert_eq!(shown(&world, viewer, since).last(), Some(&2));
}

#[test]
fn a_network_between_two_layers_does_not_oscillate() {
    let mut world = on_air(4);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.clients[viewer].down_rate = Some(800_000);
    let joined = world.now.mono;
    world.run(120 * SECOND);
    let changes = shown(&world, viewer, joined).len() - 1;
    assert!(changes <= 6, "{:?}", shown(&world, viewer, joined));
}

#[test]
fn a_chosen_size_is_not_probed_beyond() {
    let mut world = on_air(5);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run_until(SECOND, |world| world.clients[viewer].connected);
    let session = world.clients[viewer].id;
    world.clients[viewer].down_rate = Some(320_000);
    world.run(8 * SECOND);
    world.command(Command::Prefer { session, quality: Quality::AtMost(180) }).unwrap();
    world.clients[viewer].down_rate = None;
    world.run(SECOND);
    let before = world.stats().packets_out;
    let since = world.now.mono;
    world.run(20 * SECOND);
    assert_eq!(shown(&world, viewer, since), [0]);
    // Thirty pictures of a packet or two and fifty packets of sound a second, repairs and reports not counted.
    assert!((world.stats().packets_out - before) / 20 < 110);
    world.command(Command::Prefer { session, quality: Quality::Auto }).unwrap();
    world.run(30 * SECOND);
    assert_eq!(shown(&world, viewer, world.now.mono - SECOND), [2]);
}
