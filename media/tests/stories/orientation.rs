//! How a picture lies (3GPP TS 26.114 §7.4.5) comes to viewers and into the recording. The streamers here say it as seldom as they may: with keyframes, and
//! where it changes. Browsers take a picture whose last packet says nothing as upright.

use std::time::Duration;

use media::message::{Command, EndReason, Quality, TapFact};

use crate::publisher::Publisher;
use crate::rungs::Rungs;
use crate::viewer::{Got, Viewer};
use crate::world::{GOOD, Link, World};

const LOSSY: Link = Link { loss: 0.05, delay: Duration::from_millis(30), jitter: Duration::from_millis(5) };

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn on_air(seed: u64, publisher: Publisher, link: Link) -> (World, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, link).unwrap();
    world.run_until(secs(3), |world| world.count("started") == 1);
    (world, streamer)
}

/// As browsers see it, of the pictures whose end came after `skip` packets: quarter turns.
fn seen(world: &mut World, viewer: usize, skip: usize) -> Vec<u8> {
    let packets = world.clients[viewer].viewer().video.packets.values();
    packets.skip(skip).filter(|got| got.marker).map(|got| got.orientation.unwrap_or(0) & 3).collect()
}

fn packets(world: &mut World, viewer: usize) -> usize {
    world.clients[viewer].viewer().video.packets.len()
}

#[test]
fn viewers_see_each_picture_as_it_lies() {
    let turned = Publisher { orientation: Some(1), ..Publisher::default() };
    let (mut world, streamer) = on_air(1, turned, GOOD);
    world.run(secs(1));
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    let other = world.watch(Viewer { knows_no_orientation: true, ..Viewer::new() }, GOOD).unwrap();
    world.run(secs(2));
    let quarters = seen(&mut world, viewer, 0);
    assert!(quarters.len() > 60 && quarters.iter().all(|turned| *turned == 1), "{quarters:?}");
    let says = |got: &&Got| got.orientation.is_some();
    let video = &world.clients[viewer].viewer().video;
    assert!(video.packets.values().filter(says).all(|got| got.marker), "once a picture is enough");

    let before = packets(&mut world, viewer);
    let Publisher { orientation, .. } = world.clients[streamer].publisher();
    *orientation = Some(0x0f);
    world.run(secs(1));
    let quarters = seen(&mut world, viewer, before);
    let changes = quarters.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 1 && quarters.ends_with(&[3; 20]), "{quarters:?}");
    let newest = world.clients[viewer].viewer().video.packets.values().rev().find_map(|got| got.orientation);
    assert_eq!(newest, Some(0x0f), "camera and flip are carried too");

    let late = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(1));
    let quarters = seen(&mut world, late, 0);
    assert!(quarters.len() > 20 && quarters.ends_with(&[3; 20]), "{quarters:?}");

    let before = packets(&mut world, viewer);
    let Publisher { orientation, .. } = world.clients[streamer].publisher();
    *orientation = Some(0);
    world.run(secs(1));
    assert!(seen(&mut world, viewer, before).ends_with(&[0; 20]));
    let video = &world.clients[viewer].viewer().video;
    let said = video.packets.values().rev().take(60).filter(says).count();
    assert!(said <= 1, "upright pictures need no word: {said}");
    let video = &world.clients[other].viewer().video;
    assert!(video.packets.len() > 100 && !video.packets.values().any(|got| got.orientation.is_some()));
}

#[test]
fn loss_and_repairs_turn_no_picture() {
    let turned = Publisher { orientation: Some(2), ..Publisher::default() };
    let (mut world, _) = on_air(2, turned, LOSSY);
    let viewer = world.watch(Viewer::new(), LOSSY).unwrap();
    world.run(secs(6));
    // What is said with a packet that was lost comes with its repair, or is known from the one before; the very first may lack it.
    let quarters = seen(&mut world, viewer, 0);
    let wrong = quarters.iter().filter(|turned| **turned != 2).count();
    assert!(quarters.len() > 150 && wrong <= 1, "{wrong} of {}", quarters.len());
    assert!(world.stats().retransmitted > 0);
}

#[test]
fn each_layer_says_it() {
    let mut rungs = Rungs::three();
    rungs.0.iter_mut().for_each(|rung| rung.orientation = Some(1));
    let (mut world, _) = on_air(3, Publisher { rungs: Some(rungs), ..Publisher::default() }, GOOD);
    world.run(secs(2));
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    let session = world.clients[viewer].id;
    for height in [180, 720, 360] {
        world.command(Command::Prefer { session, quality: Quality::AtMost(height) }).unwrap();
        world.run(secs(3));
    }
    let quarters = seen(&mut world, viewer, 0);
    assert!(quarters.len() > 200 && quarters.iter().all(|turned| *turned == 1), "{quarters:?}");
}

#[test]
fn a_recording_knows_it() {
    let (mut world, streamer) = on_air(4, Publisher { orientation: Some(1), ..Publisher::default() }, GOOD);
    world.run(secs(3));
    world.clients[streamer].publisher().orientation = Some(0);
    world.run(secs(3));
    let now = world.now.mono;
    world.clients[streamer].peer.close(now);
    world.run_until(secs(1), |world| world.count("interrupted") == 1);
    // Another camera, which lies too, and then one that says nothing of it.
    let second = world.publish(Publisher { orientation: Some(3), ..Publisher::default() }, GOOD).unwrap();
    world.run(secs(3));
    let now = world.now.mono;
    world.clients[second].peer.close(now);
    world.run_until(secs(1), |world| world.count("interrupted") == 2);
    world.publish(Publisher::default(), GOOD).unwrap();
    world.run(secs(3));
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
    let facts: Vec<TapFact> = world.facts(|fact| Some(fact.clone()));
    let mut turns = Vec::new();
    for (at, fact) in facts.iter().enumerate() {
        if let TapFact::Orientation { track, from_ns, orientation } = fact {
            let next = &facts[at + 1];
            let first = matches!(next, TapFact::Unit(unit) if unit.track == *track && unit.pts_ns == *from_ns);
            assert!(first, "before the picture that it is about: {next:?}");
            turns.push(orientation.quarters());
        }
    }
    assert_eq!(turns, [1, 0, 3, 0]);
}
