//! A viewer changes layers at random, a thousand times in `make soak`, on a network that loses and reorders: no decoder stands still for longer than a GOP.

use std::time::Duration;

use media::message::{Codec, Quality};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::publisher::Publisher;
use crate::rungs::{GOP, Rungs};
use crate::simulcast::{decoded, longest_stall, prefer};
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World};

/// Changes of layer that a viewer saw.
fn changes() -> u64 {
    if std::env::var_os("OXBOW_SOAK").is_some() { 1000 } else { 60 }
}

fn random_changes(seed: u64, codec: Codec) {
    let mut world = World::new(seed);
    let publisher = Publisher { rungs: Some(Rungs::three_of(codec)), ..Publisher::default() };
    world.publish(publisher, Link { loss: 0.01, jitter: Duration::from_millis(8), ..GOOD }).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    let viewer = world.watch(Viewer::new(), Link { loss: 0.01, ..GOOD }).unwrap();
    world.run(Duration::from_secs(1));
    let (wanted, mut wishes) = (changes(), 0);
    let mut rng = StdRng::seed_from_u64(seed);
    // Some are over before a picture came whole.
    while world.stats().layer_switches < wanted + wanted / 20 {
        let height = [180, 360, 720][rng.random_range(0..3)];
        prefer(&mut world, viewer, Quality::AtMost(height));
        world.run(Duration::from_millis(rng.random_range(50..2000)));
        // What is recorded meanwhile is another story.
        world.items.clear();
        wishes += 1;
        assert!(wishes < 5 * wanted, "{codec:?}: {} changes for {wishes} wishes", world.stats().layer_switches);
    }
    world.run(Duration::from_secs(1));
    let pictures = world.clients[viewer].viewer().video.whole();
    let seen = pictures.windows(2).filter(|pair| pair[0].rung != pair[1].rung).count() as u64;
    assert!(seen >= wanted, "{codec:?}: {seen} changes were seen");
    let shown = decoded(&pictures);
    let stall = longest_stall(&shown);
    assert!(stall < GOP, "{codec:?}: {stall:?}");
    assert!(shown.len() * 100 >= pictures.len() * 97, "{codec:?}: {} of {} shown", shown.len(), pictures.len());
    println!("{codec:?}: {seen} changes, {wishes} wishes, {} pictures, longest stall {stall:?}", shown.len());
}

#[test]
fn random_changes_of_vp8_layers_leave_no_stall() {
    random_changes(6, Codec::Vp8);
}

#[test]
fn random_changes_of_h264_layers_leave_no_stall() {
    random_changes(7, Codec::H264);
}
