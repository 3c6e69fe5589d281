//! Viewers get part of a scalable stream: fewer pictures a second, or smaller ones.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use media::message::{Codec, Command, Quality};

use crate::publisher::Publisher;
use crate::scalable::{Frame, HEIGHTS, SMALL_HEIGHTS, Scalable, frames};
use crate::viewer::Viewer;
use crate::world::{GOOD, Kind, Link, World};

const SECOND: Duration = Duration::from_secs(1);

fn on_air(seed: u64, scalable: Scalable, up: Link) -> World {
    let mut world = World::new(seed);
    world.records = false;
    let publisher = Publisher { codec: scalable.codec, scalable: Some(scalable), ..Publisher::default() };
    world.publish(publisher, up).unwrap();
    world.run_until(2 * SECOND, |world| world.count("started") == 1);
    world.run(3 * SECOND);
    world
}

fn seen(world: &World, viewer: usize, since: Instant) -> Vec<Frame> {
    let Kind::Publisher(publisher) = &world.clients[0].kind else { panic!("the streamer is first") };
    let codec = publisher.codec;
    frames(codec, &world.clients[viewer].viewer().video).into_iter().filter(|frame| frame.at >= since).collect()
}

/// Frames that a decoder could not have decoded, since something that they need did not come. The first keyframe begins.
fn undecodable(frames: &[Frame]) -> Vec<(u32, u8)> {
    let mut had = HashSet::new();
    let mut missed = Vec::new();
    for frame in frames {
        let below = frame.spatial == 0 || had.contains(&(frame.number, frame.spatial - 1));
        if below && (frame.key || frame.needs.iter().all(|needed| had.contains(&(*needed, frame.spatial)))) {
            had.insert((frame.number, frame.spatial));
        } else {
            missed.push((frame.number, frame.spatial));
        }
    }
    missed
}

/// Highest temporal and spatial layer.
fn tops(frames: &[Frame]) -> (u8, u8) {
    let top = |of: fn(&Frame) -> u8| frames.iter().map(of).max().unwrap();
    (top(|frame| frame.spatial), top(|frame| frame.temporal))
}

/// A viewer's rate falls and rises again: it gets what fits, decodes all of it, and is missing no number.
fn rates_follow_the_network(seed: u64, codec: Codec) {
    let mut world = on_air(seed, Scalable::new(codec, 1, 3), GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    let other = world.watch(Viewer::new(), GOOD).unwrap();
    let joined = world.now.mono;
    world.run(4 * SECOND);
    assert_eq!(tops(&seen(&world, viewer, joined)), (0, 2));
    // All of it takes 500 kbit/s with sound.
    world.clients[viewer].down_rate = Some(390_000);
    world.run(12 * SECOND);
    let slow = seen(&world, viewer, world.now.mono - 3 * SECOND);
    assert_eq!(tops(&slow), (0, 1));
    assert!((44..=46).contains(&slow.len()), "half the pictures: {}", slow.len());
    world.clients[viewer].down_rate = None;
    world.run(40 * SECOND);
    assert_eq!(tops(&seen(&world, viewer, world.now.mono - SECOND)), (0, 2), "up again");
    let pliant = world.clients[0].publisher().plis.len();
    assert!(pliant <= 4, "switching points need no keyframe: {pliant} were asked for");

    let all = seen(&world, viewer, joined);
    assert_eq!(undecodable(&all), []);
    let stall = all.windows(2).map(|pair| pair[1].at.saturating_duration_since(pair[0].at)).max().unwrap();
    assert!(stall < Duration::from_millis(700), "{stall:?}");
    if codec == Codec::Vp8 {
        // Numbers of pictures have no hole but where packets were lost in the queue.
        let steps = slow.windows(2).map(|pair| pair[1].id.wrapping_sub(pair[0].id) & 0x7fff);
        assert!(steps.clone().all(|step| step == 1), "{:?}", steps.collect::<Vec<_>>());
    }
    assert_eq!(tops(&seen(&world, other, joined)), (0, 2));
    assert!(seen(&world, other, joined).len() >= 1670, "nobody else is touched");
}

#[test]
fn a_viewer_of_vp8_gets_as_many_pictures_as_fit() {
    rates_follow_the_network(1, Codec::Vp8);
}

#[test]
fn a_viewer_of_vp9_gets_as_many_pictures_as_fit() {
    rates_follow_the_network(2, Codec::Vp9);
}

#[test]
fn a_chosen_height_takes_the_lower_spatial_layers() {
    let mut world = on_air(3, Scalable::new(Codec::Vp9, 3, 1), GOOD);
    assert_eq!(world.heights(), HEIGHTS.iter().rev().copied().collect::<Vec<_>>());
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run_until(SECOND, |world| world.clients[viewer].connected);
    let (session, joined) = (world.clients[viewer].id, world.now.mono);
    let mut tops_at = |height: Option<u16>| {
        let quality = height.map_or(Quality::Auto, Quality::AtMost);
        world.command(Command::Prefer { session, quality }).unwrap();
        world.run(3 * SECOND);
        let frames = seen(&world, viewer, world.now.mono - SECOND);
        let (spatial, _) = tops(&frames);
        let wrong = frames.iter().filter(|frame| frame.marker != (frame.spatial == spatial)).count();
        assert_eq!(wrong, 0, "the highest layer that is sent ends the picture");
        spatial
    };
    assert_eq!([None, Some(360), Some(180), Some(360), Some(720), None].map(&mut tops_at), [2, 1, 0, 1, 2, 2]);
    let all = seen(&world, viewer, joined);
    assert_eq!(undecodable(&all), []);
    assert_eq!(world.clients[viewer].viewer().video.holes(), 0, "no number is missing");
}

#[test]
fn descriptors_reach_viewers_who_want_them() {
    let mut world = on_air(5, Scalable::new(Codec::Av1, 3, 1), GOOD);
    assert_eq!(world.heights(), SMALL_HEIGHTS.iter().rev().copied().collect::<Vec<_>>());
    let viewer = world.watch(Viewer { descriptors: true, ..Viewer::new() }, GOOD).unwrap();
    let other = world.watch(Viewer::new(), GOOD).unwrap();
    world.run_until(SECOND, |world| world.clients[viewer].connected);
    let (session, joined) = (world.clients[viewer].id, world.now.mono);
    for (height, highest) in [(360, 2), (180, 1), (90, 0), (180, 1), (360, 2)] {
        world.command(Command::Prefer { session, quality: Quality::AtMost(height) }).unwrap();
        world.run(3 * SECOND);
        let frames = seen(&world, viewer, world.now.mono - SECOND);
        assert_eq!(tops(&frames).0, highest);
        assert!(frames.iter().all(|frame| frame.marker == (frame.spatial == highest)));
    }
    // Another sender, whose frames are numbered from elsewhere and whose templates are its own.
    let scalable = Scalable::new(Codec::Av1, 3, 1);
    let again = Publisher { codec: Codec::Av1, scalable: Some(scalable), frame: 20_000, ..Publisher::default() };
    world.clients[0].dead = true;
    world.run(5 * SECOND);
    world.publish(again, GOOD).unwrap();
    world.run(5 * SECOND);
    let frames = seen(&world, viewer, joined);
    assert!(frames.last().is_some_and(|last| last.number > 20_100), "it goes on");
    assert_eq!(undecodable(&frames), []);
    let steps: Vec<u16> = frames.windows(2).map(|pair| pair[1].id.wrapping_sub(pair[0].id)).collect();
    assert!(steps.iter().all(|step| (1..=3).contains(step)), "frame numbers grow, also beyond a reconnect: {steps:?}");
    assert_eq!(world.clients[viewer].viewer().video.holes(), 0);
    assert!(world.clients[other].viewer().video.packets.values().all(|got| got.descriptor.is_none()));
}

/// Loss, reordering and duplicates on both ways while the level goes up and down.
#[test]
fn repairs_are_right_around_what_was_left_out() {
    for seed in 0..4 {
        let rough = Link { loss: 0.03, delay: Duration::from_millis(15), jitter: Duration::from_millis(12) };
        let mut world = on_air(10 + seed, Scalable::new(Codec::Vp9, 3, 3), rough);
        world.doubled = 0.02;
        let viewer = world.watch(Viewer::new(), rough).unwrap();
        world.run_until(3 * SECOND, |world| world.clients[viewer].connected);
        let session = world.clients[viewer].id;
        for height in [360, 720, 180, 720, 360, 180] {
            world.command(Command::Prefer { session, quality: Quality::AtMost(height) }).unwrap();
            world.run(3 * SECOND);
        }
        world.run(SECOND);
        let frames = seen(&world, viewer, world.now.mono - 20 * SECOND);
        let missed = undecodable(&frames).len();
        assert!(missed * 50 < frames.len(), "{missed} of {} in seed {seed}", frames.len());
        let numbers: Vec<u32> = frames.iter().map(|frame| frame.number).collect();
        assert!(numbers.is_sorted(), "in the order of the streamer");
        let last = seen(&world, viewer, world.now.mono - SECOND);
        assert_eq!(tops(&last).0, 0);
        assert!(world.stats().retransmitted > 20, "there was something to repair");
    }
}
