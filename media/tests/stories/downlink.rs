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

/// Times that the viewer was told that its pictures pause, and that they come back.
fn pauses(world: &World) -> (usize, usize) {
    (world.count("paused"), world.count("back"))
}

/// How long after `since` the sound was late or missing for longer than this, at most.
fn longest_silence(world: &World, viewer: usize, since: Instant) -> Duration {
    let packets = world.clients[viewer].viewer().audio.packets.values();
    let mut arrivals: Vec<Instant> = packets.map(|got| got.at).filter(|at| *at > since).collect();
    arrivals.sort();
    arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().expect("sound")
}

#[test]
fn where_only_the_sound_fits_pictures_pause_and_come_back() {
    for (seed, layers) in [(6, true), (7, true), (8, false)] {
        let rungs = layers.then(Rungs::three);
        let mut world = World::new(seed);
        world.publish(Publisher { rungs, packets: (3, 12), ..Publisher::default() }, GOOD).unwrap();
        world.run_until(2 * SECOND, |world| world.count("started") == 1);
        world.run(3 * SECOND);
        let viewer = world.watch(Viewer::new(), GOOD).unwrap();
        world.run(3 * SECOND);
        assert_eq!(pauses(&world), (0, 0));
        world.clients[viewer].down_rate = Some(130_000);
        world.run(8 * SECOND);
        assert_eq!(pauses(&world), (1, 0), "seed {seed}");
        let (quiet, pictures) = (world.now.mono, world.clients[viewer].viewer().video.whole().len());
        world.run(60 * SECOND);
        assert_eq!(pauses(&world), (1, 0), "it stays so");
        let seen = world.clients[viewer].viewer();
        assert_eq!(seen.video.whole().len(), pictures);
        let silence = longest_silence(&world, viewer, quiet);
        assert!(silence < Duration::from_millis(200), "{silence:?}");
        assert!((1..60 * 50).contains(&seen.padding), "probes are few: {}", seen.padding);
        assert!(diagnosis(&mut world, viewer).estimate.is_some_and(|estimate| estimate < 130_000));

        world.clients[viewer].down_rate = Some(5_000_000);
        // A probe is made every 48 s at last.
        world.run_until(50 * SECOND, |world| world.count("back") == 1);
        let back = world.now.mono;
        world.run(15 * SECOND);
        assert_eq!(pauses(&world), (1, 1));
        let last = world.now.mono - SECOND;
        let seen = world.clients[viewer].viewer();
        assert!(seen.video.whole().iter().filter(|picture| picture.at > last).count() >= 29);
        assert!(!layers || shown(&world, viewer, last) == [2], "seed {seed}");
        let first = seen.video.whole().into_iter().find(|picture| picture.at > back).expect("pictures");
        assert!(first.key && first.at - back < SECOND, "{:?}", first.at - back);
        // What was never sent is not missed: numbers go on where they stopped.
        assert!(seen.video.holes() < 250, "{}", seen.video.holes());
        assert_eq!(world.stats().picture_pauses, 1);
    }
}

/// 5 Mbit/s, 300 kbit/s, 100 kbit/s, 5 Mbit/s, and that twice.
#[test]
fn steps_of_bandwidth_are_followed_without_oscillation() {
    for (seed, rounds) in [(10, 2), (11, 1)] {
        let mut world = on_air(seed);
        let link = Link { jitter: Duration::from_millis(seed % 3 * 4), ..GOOD };
        let viewer = world.watch(Viewer::new(), link).unwrap();
        world.clients[viewer].down_rate = Some(5_000_000);
        let joined = world.now.mono;
        world.run(8 * SECOND);
        for round in 1..=rounds {
            let mut at = |rate: u64, seconds: u32| {
                world.clients[viewer].down_rate = Some(rate);
                let since = world.now.mono;
                world.run(seconds * SECOND);
                (pauses(&world), shown(&world, viewer, since + seconds * SECOND / 2))
            };
            assert_eq!(at(300_000, 12), ((round - 1, round - 1), vec![0]), "seed {seed}, round {round}");
            assert_eq!(at(100_000, 10), ((round, round - 1), vec![]), "seed {seed}, round {round}");
            let (told, after) = at(5_000_000, 40);
            assert_eq!((told, after.last()), ((round, round), Some(&2)), "seed {seed}, round {round}");
        }
        let changes = shown(&world, viewer, joined).len() - 1;
        assert!(changes <= 6 * rounds, "seed {seed}: {:?}", shown(&world, viewer, joined));
        let mut arrivals: Vec<_> =
            world.clients[viewer].viewer().video.whole().iter().map(|picture| picture.at - joined).collect();
        arrivals.sort();
        let frozen = arrivals.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
        let long: Vec<_> = frozen.filter(|(_, frozen)| *frozen > 2 * SECOND).collect();
        assert_eq!(long.len(), rounds, "but for the pauses it freezes for 2 s at most: {long:?}");
    }
}

#[test]
fn a_viewer_that_tells_its_own_estimate_gets_what_fits() {
    for seed in [20, 21] {
        let mut world = on_air(seed);
        let viewer = world.watch(Viewer::estimating(), GOOD).unwrap();
        let mut at = |rate: u64, seconds: u32| {
            world.clients[viewer].down_rate = Some(rate);
            world.run(seconds * SECOND);
            shown(&world, viewer, world.now.mono - 3 * SECOND)
        };
        assert_eq!(at(5_000_000, 8), [2], "seed {seed}");
        assert_eq!(at(650_000, 20), [1], "seed {seed}");
        assert_eq!(at(100_000, 12), [], "seed {seed}");
        assert_eq!(at(5_000_000, 90), [2], "seed {seed}");
        assert_eq!(pauses(&world), (1, 1));
        assert_eq!(world.clients[viewer].viewer().numbered, 0, "no transport-wide numbers");
    }
}
