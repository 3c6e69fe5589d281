//! Garbage from strangers and from peers, large pictures, many viewers: nothing falls over, everything is counted.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::publisher::Publisher;
use crate::viewer::Viewer;
use crate::world::{GOOD, World};

fn on_air(seed: u64, publisher: Publisher) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(Duration::from_secs(2));
    (world, streamer, viewer)
}

#[test]
fn garbage_is_counted_and_disturbs_nobody() {
    let (mut world, streamer, viewer) = on_air(1, Publisher::default());
    let mut rng = StdRng::seed_from_u64(1);
    let stranger = SocketAddr::from(([192, 0, 2, 1], 9));
    let from = [world.clients[streamer].address, world.clients[viewer].address, stranger];
    for round in 0..6000 {
        let len = rng.random_range(0..300);
        let mut data: Vec<u8> = (0..len).map(|_| rng.random()).collect();
        if let Some(first) = data.first_mut() {
            *first = [0, 1, 22, 23, 0x80, 0x90, 0xb0, 200][round % 8];
        }
        world.datagram(from[round % 3], &mut data);
    }
    let whole = world.clients[streamer].peer.check(true);
    for bit in 0..whole.len() * 8 {
        let mut data = whole.clone();
        data[bit / 8] ^= 1 << (bit % 8);
        world.datagram(stranger, &mut data);
    }
    world.datagram(stranger, &mut vec![0x80; 3000]);
    world.run(Duration::from_secs(2));
    for name in ["unknown_address", "not_ours", "bad_tag", "bad_stun", "oversized"] {
        assert!(world.dropped(name) > 0, "{name} of {:?}", world.stats().dropped);
    }
    assert_eq!(world.dropped("fault"), 0);
    assert!(!world.told().iter().any(|told| told.contains("closed")), "{:?}", world.told());
    let video = &world.clients[viewer].viewer().video;
    assert!(video.holes() == 0 && video.pictures().len() > 90);
}

#[test]
fn authenticated_garbage_is_counted_too() {
    let (mut world, streamer, viewer) = on_air(2, Publisher::default());
    let mut rng = StdRng::seed_from_u64(2);
    for round in 0..3000u32 {
        let len = rng.random_range(0..200);
        let rest: Vec<u8> = (0..len).map(|_| rng.random()).collect();
        let at = if round % 2 == 0 { streamer } else { viewer };
        let mut data = if round % 3 == 0 {
            let kind = [200, 201, 205, 206][round as usize % 4];
            let words = rest.len() / 4 + 1;
            let mut compound = vec![0x80 | rng.random_range(0..32), kind, 0, words as u8, 0, 0, 0, 1];
            compound.extend(&rest[..(words - 1) * 4]);
            world.clients[at].peer.seal_rtcp(&compound)
        } else {
            let ssrc: u32 = [2001, 2002, 1001, 9][round as usize % 4];
            let sequence = (round as u16).to_be_bytes();
            let mut packet =
                vec![0x80, [96, 97, 111, 102, 50][round as usize % 5], sequence[0], sequence[1], 0, 0, 0, 1];
            packet.extend((ssrc ^ (u32::from(round % 3 == 1) * 0x5000_0000)).to_be_bytes());
            packet.extend(rest);
            world.clients[at].peer.seal_rtp(&packet)
        };
        let from = world.clients[at].address;
        world.datagram(from, &mut data);
    }
    world.run(Duration::from_secs(1));
    assert_eq!(world.dropped("fault"), 0);
    for name in ["unknown_stream", "unexpected_rtp", "bad_rtcp"] {
        assert!(world.dropped(name) > 0, "{name} of {:?}", world.stats().dropped);
    }
    assert_eq!(world.stats().sessions, 2);
}

#[test]
fn pictures_larger_than_the_arena_reach_every_viewer() {
    // 60 packets a picture and 40 viewers are twice what the arena holds.
    let (mut world, _, _) = on_air(3, Publisher { packets: (60, 60), ..Publisher::default() });
    let viewers: Vec<usize> = (0..40).map(|_| world.watch(Viewer::new(), GOOD).unwrap()).collect();
    world.run(Duration::from_secs(3));
    for viewer in viewers {
        let video = &world.clients[viewer].viewer().video;
        assert!(video.holes() == 0 && video.pictures().len() > 30);
    }
    assert_eq!((world.dropped("arena_full"), world.dropped("fell_behind")), (0, 0));
}
