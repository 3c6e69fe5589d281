//! A room whose viewers are on several shards: on its home nobody can tell, and what goes wrong between shards heals.

use std::time::Duration;

use media::limit;
use media::message::{Codec, Command, EndReason};

use crate::publisher::Publisher;
use crate::viewer::{Stream, Viewer};
use crate::world::{GOOD, Link, World};

const MS: Duration = Duration::from_millis(1);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// On air for `lead` on the first of three shards.
fn on_air(seed: u64, publisher: Publisher, lead: Duration) -> (World, usize) {
    let mut world = World::sharded(seed, 3);
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(secs(2), |world| world.count("started") == 1);
    world.run(lead);
    (world, streamer)
}

/// So many viewers, one shard after the other.
fn audience(world: &mut World, count: usize, link: Link) -> Vec<usize> {
    let join = |at| {
        world.shard = at % 3;
        world.watch(Viewer::new(), link).unwrap()
    };
    (0..count).map(join).collect()
}

fn video(world: &World, viewer: usize) -> &Stream {
    &world.clients[viewer].viewer().video
}

/// Numbers of the pictures that a viewer has since the `from`-th.
fn numbers(world: &World, viewer: usize, from: usize) -> Vec<u32> {
    video(world, viewer).pictures()[from..].iter().map(|picture| picture.0).collect()
}

fn assert_whole(numbers: &[u32]) {
    for pair in numbers.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "a picture is missing");
    }
}

#[test]
fn everybody_sees_every_picture_wherever_he_is() {
    let (mut world, streamer) = on_air(1, Publisher::default(), secs(3));
    let asked = world.clients[streamer].publisher().plis.len();
    let joined = world.now.mono;
    let viewers = audience(&mut world, 9, GOOD);
    world.run(50 * MS);
    assert_eq!(world.clients[streamer].publisher().plis.len(), asked, "the ring has what they begin with");
    world.run(secs(5));
    let sent = world.clients[streamer].publisher().frame;
    for viewer in viewers {
        let video = video(&world, viewer);
        let first = video.first().unwrap() - joined;
        assert!(first < 100 * MS, "a picture with the end of the handshake: {first:?}");
        assert!(video.pictures()[0].1 && video.holes() == 0);
        assert_whole(&numbers(&world, viewer, 0));
        assert!(*numbers(&world, viewer, 0).last().unwrap() + 3 > sent);
        let live = video.live_pictures();
        assert!(live.windows(2).all(|pair| pair[1].2.wrapping_sub(pair[0].2) == 3000), "the sender's spacing");
        let sound = &world.clients[viewer].viewer().audio;
        assert_eq!((sound.holes(), sound.reports.len(), video.reports.len()), (0, 4, 4), "with the clocks of both");
    }
    assert_eq!(world.count("viewers 9"), 1, "home and mirrors are told of as one");
    assert_eq!(world.stats().rooms.len(), 1);
    assert_eq!(world.stats().rooms[0].viewers, 9);
}

#[test]
fn what_was_sent_once_is_known_on_a_new_mirror() {
    let publisher = Publisher { codec: Codec::H264, sets_once: true, ..Publisher::default() };
    let (mut world, _) = on_air(2, publisher, secs(5));
    world.records = false;
    let viewers = audience(&mut world, 3, GOOD);
    world.run(secs(2));
    let begin = |viewer: &usize| world.clients[*viewer].viewer().video.packets.values().next().unwrap().payload.clone();
    let begins: Vec<Vec<u8>> = viewers.iter().map(begin).collect();
    assert!(!begins[0].is_empty() && begins.iter().all(|other| *other == begins[0]), "parameter sets, on each shard");
}

#[test]
fn viewers_of_all_shards_are_one_request_to_the_streamer() {
    let publisher = Publisher { obeys_pli: false, obeys_fir: false, packets: (15, 40), ..Publisher::default() };
    let (mut world, streamer) = on_air(3, publisher, secs(2));
    audience(&mut world, 30, GOOD);
    world.run(secs(4));
    let publisher = world.clients[streamer].publisher();
    let mut asked = [&publisher.plis[..], &publisher.firs].concat();
    asked.sort();
    assert!(asked.len() >= 3);
    for pair in asked.windows(2) {
        assert!(pair[1] - pair[0] >= 990 * MS, "{:?}", pair[1] - pair[0]);
    }
}

#[test]
fn a_viewer_of_a_mirror_wants_a_keyframe_and_gets_one() {
    let (mut world, streamer) = on_air(4, Publisher::default(), secs(3));
    world.shard = 1;
    let viewer = world.watch(Viewer { asks_at_once: true, ..Viewer::new() }, GOOD).unwrap();
    world.run_until(secs(1), |world| world.clients[viewer].connected);
    let keys = world.clients[streamer].publisher().keys.len();
    world.run(600 * MS);
    assert!(world.clients[streamer].publisher().keys.len() > keys, "it did not wait for the next one that is due");
    let asked = world.clients[streamer].publisher().plis.len();
    world.run(secs(1));
    assert!(world.clients[streamer].publisher().plis.len() <= asked + 1, "answered is answered");
}

#[test]
fn losses_between_shards_are_counted_and_heal() {
    for seed in 5..9 {
        let (mut world, streamer) = on_air(seed, Publisher::default(), secs(1));
        let viewers = audience(&mut world, 6, Link { loss: 0.01, ..GOOD });
        world.run(secs(1));
        world.mesh_loss = 0.05;
        world.run(secs(10));
        world.mesh_loss = 0.0;
        world.run(secs(3));
        let sent = world.clients[streamer].publisher().frame;
        for viewer in viewers {
            let pictures = video(&world, viewer).pictures();
            assert!(pictures.last().unwrap().0 + 5 > sent, "seed {seed}: viewer {viewer} stopped");
            let after = pictures.iter().rposition(|picture| picture.0 + 30 < sent).unwrap();
            assert_whole(&numbers(&world, viewer, after));
        }
        assert_eq!(world.stats().rooms[0].viewers, 6, "seed {seed}");
    }
}

#[test]
fn a_streamer_that_comes_back_is_seen_on_all_shards() {
    let (mut world, streamer) = on_air(9, Publisher::default(), secs(1));
    let viewers = audience(&mut world, 6, GOOD);
    world.run(secs(2));
    world.clients[streamer].dead = true;
    world.run(limit::STREAMER_SILENCE + secs(2));
    assert_eq!(world.count("interrupted"), 1);
    world.shard = 2;
    let again = world.publish(Publisher::default(), GOOD).unwrap();
    let seen: Vec<usize> = viewers.iter().map(|viewer| video(&world, *viewer).pictures().len()).collect();
    world.run(secs(3));
    assert_eq!((world.count("resumed"), world.count("Viewer closed Requested")), (1, 0));
    let sent = world.clients[again].publisher().frame;
    for (viewer, seen) in viewers.into_iter().zip(seen) {
        let pictures = numbers(&world, viewer, seen);
        assert!(pictures.len() + 5 > sent as usize, "{} of {sent}", pictures.len());
        assert_whole(&pictures);
    }
}

#[test]
fn the_end_is_everybodys_and_told_once() {
    let (mut world, _) = on_air(10, Publisher::default(), secs(1));
    let viewers = audience(&mut world, 6, GOOD);
    world.run(secs(1));
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
    world.run(secs(3));
    assert!(viewers.iter().all(|viewer| world.clients[*viewer].closed));
    assert_eq!((world.count("ended Stopped"), world.count("Viewer closed Requested")), (1, 6));
    assert_eq!(world.count("viewers 0"), 0, "nobody counts the viewers of what is over");
}

#[test]
fn an_end_that_a_mirror_does_not_hear_of_is_found_out() {
    let (mut world, _) = on_air(11, Publisher::default(), secs(1));
    let viewers = audience(&mut world, 6, GOOD);
    world.run(secs(1));
    world.mesh_loss = 1.0;
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
    world.run(secs(1));
    assert_eq!(world.count("Viewer closed Requested"), 2, "those at home");
    world.mesh_loss = 0.0;
    world.run(2 * limit::MIRROR_BEAT);
    assert_eq!(world.count("Viewer closed Requested"), 6);
    assert!(viewers.iter().all(|viewer| world.clients[*viewer].closed));
}

#[test]
fn mirrors_of_a_home_that_failed_end() {
    let (mut world, _) = on_air(12, Publisher::default(), secs(1));
    audience(&mut world, 6, GOOD);
    world.run(secs(1));
    world.fail(0);
    world.run(2 * limit::MIRROR_BEAT);
    assert_eq!(world.count("Viewer closed Requested"), 4, "those on mirrors; the others are gone with their shard");
}

#[test]
fn a_mirror_that_failed_is_forgotten_and_comes_again() {
    let (mut world, _) = on_air(13, Publisher::default(), secs(1));
    let viewers = audience(&mut world, 6, GOOD);
    world.run(secs(1));
    world.fail(2);
    world.run(limit::MIRROR_SILENCE + secs(1));
    assert_eq!(world.stats().rooms[0].viewers, 4);
    assert_eq!(world.count("viewers 4"), 1);
    for viewer in viewers.into_iter().filter(|viewer| world.clients[*viewer].shard < 2) {
        assert_whole(&numbers(&world, viewer, 0));
    }
    world.shard = 2;
    let late = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(2));
    assert!(numbers(&world, late, 0).len() > 40);
    assert_whole(&numbers(&world, late, 0));
    assert_eq!(world.stats().rooms[0].viewers, 5);
}

#[test]
fn a_mirror_goes_with_its_last_viewer() {
    let (mut world, _) = on_air(14, Publisher::default(), secs(1));
    let viewers = audience(&mut world, 3, GOOD);
    world.run(secs(1));
    for viewer in viewers {
        let session = world.clients[viewer].id;
        world.command(Command::Close { session }).unwrap();
    }
    world.run(3 * limit::MIRROR_BEAT);
    assert_eq!(world.count("viewers 0"), 1);
    let told = world.told_across;
    world.run(secs(3));
    assert_eq!(world.told_across, told, "nothing goes where nobody watches");
    world.shard = 1;
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(2));
    assert!(numbers(&world, viewer, 0).len() > 40);
}

#[test]
fn a_stranger_moves_no_session() {
    let (mut world, _) = on_air(15, Publisher::default(), secs(1));
    world.shard = 1;
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    let mut forged = world.clients[viewer].peer.check(true);
    // Its password is another one: the sum over the message is not right.
    let end = forged.len();
    forged[end - 12] ^= 1;
    let session = world.clients[viewer].id;
    assert!(world.routers[0].give_away(&forged).is_none() && world.routers[0].has(session));
    world.run(secs(1));
    assert!(world.routers[1].has(session) && !world.routers[0].has(session), "the true one does");
    let check = world.clients[viewer].peer.check(true);
    assert!(world.routers[1].give_away(&check).is_none(), "once it has a path it stays");
}
