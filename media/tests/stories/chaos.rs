//! Everything at once, by seed: loss, jitter, doubled packets, steps of bandwidth, layers that die, choices, streamers that start anew. Whatever happened, what a
//! viewer gets is in order, and soon after it ended the best picture is there.

use std::time::Duration;

use media::message::{Codec, Quality};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::publisher::Publisher;
use crate::rungs::Rungs;
use crate::simulcast::{decoded, prefer};
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World};

const SECOND: Duration = Duration::from_secs(1);
/// After the last trouble until the best picture is there for good: a viewer's estimate grows by probes, which are rarer after each that failed.
const RECOVERY: u32 = 60;

struct Chaos {
    world: World,
    rng: StdRng,
    codec: Codec,
    streamer: usize,
    viewer: usize,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let codec = if seed.is_multiple_of(2) { Codec::Vp8 } else { Codec::H264 };
        let mut world = World::new(seed);
        let streamer = world.publish(streamer(codec), GOOD).unwrap();
        world.run_until(2 * SECOND, |world| world.count("started") == 1);
        let viewer = world.watch(Viewer::new(), GOOD).unwrap();
        world.run(SECOND);
        Self { world, rng: StdRng::seed_from_u64(seed), codec, streamer, viewer }
    }

    fn link(&mut self) -> Link {
        let loss = *[0.0, 0.01, 0.05, 0.2].choose(&mut self.rng).unwrap();
        let jitter = *[0, 10, 30].choose(&mut self.rng).unwrap();
        let delay = *[5, 20, 60].choose(&mut self.rng).unwrap();
        Link { loss, delay: Duration::from_millis(delay), jitter: Duration::from_millis(jitter) }
    }

    fn trouble(&mut self) {
        match self.rng.random_range(0..7) {
            0 => self.world.clients[self.streamer].up = self.link(),
            1 => self.world.clients[self.viewer].down = self.link(),
            2 => self.world.doubled = if self.rng.random_bool(0.5) { 0.05 } else { 0.0 },
            3 => {
                let rates = [None, Some(5_000_000), Some(800_000), Some(400_000)];
                self.world.clients[self.viewer].down_rate = *rates.choose(&mut self.rng).unwrap();
            }
            4 => {
                // The smallest always flows.
                let alive = [(); 2].map(|()| self.rng.random_bool(0.7));
                self.alive([true, alive[0], alive[1]]);
            }
            5 => {
                let heights = [Quality::Auto, Quality::AtMost(720), Quality::AtMost(360), Quality::AtMost(180)];
                prefer(&mut self.world, self.viewer, *heights.choose(&mut self.rng).unwrap());
            }
            _ => self.restart(),
        }
        self.world.run(Duration::from_millis(self.rng.random_range(200..2500)));
        self.world.items.clear();
    }

    fn alive(&mut self, alive: [bool; 3]) {
        let rungs = self.world.clients[self.streamer].publisher().rungs.as_mut().unwrap();
        for (rung, alive) in rungs.0.iter_mut().zip(alive) {
            rung.key_wanted |= alive && !rung.alive;
            rung.alive = alive;
        }
    }

    /// The streamer falls silent without a word, comes back, and counts anew.
    fn restart(&mut self) {
        let up = self.world.clients[self.streamer].up;
        self.world.clients[self.streamer].dead = true;
        self.world.run(Duration::from_millis(self.rng.random_range(3_200..8_000)));
        self.streamer = self.world.publish(streamer(self.codec), up).unwrap();
        let streamer = self.streamer;
        self.world.run_until(10 * SECOND, |world| world.clients[streamer].connected);
    }

    fn calm(&mut self) {
        self.world.doubled = 0.0;
        self.world.clients[self.streamer].up = GOOD;
        self.world.clients[self.viewer].down = GOOD;
        self.world.clients[self.viewer].down_rate = None;
        self.alive([true; 3]);
        prefer(&mut self.world, self.viewer, Quality::Auto);
        for _ in 0..RECOVERY {
            self.world.run(SECOND);
            self.world.items.clear();
        }
    }
}

fn streamer(codec: Codec) -> Publisher {
    Publisher { codec, rungs: Some(Rungs::three_of(codec)), ..Publisher::default() }
}

fn story(seed: u64) {
    let mut chaos = Chaos::new(seed);
    (0..20).for_each(|_| chaos.trouble());
    chaos.calm();
    let Chaos { mut world, viewer, .. } = chaos;
    assert_eq!(world.dropped("fault"), 0, "seed {seed}");
    assert_eq!(world.count("Viewer closed ConsentLost"), 0, "seed {seed}");
    let pictures = world.clients[viewer].viewer().video.whole();
    // Fails where numbers or timestamps do not go on.
    let shown = decoded(&pictures);
    let since = world.now.mono - 3 * SECOND;
    let last: Vec<_> = shown.iter().filter(|picture| picture.at >= since).collect();
    let best = last.iter().filter(|picture| picture.rung == 2).count();
    assert!(best >= 80, "seed {seed}: {best} of {} pictures of the last three seconds are the best", last.len());
}

#[test]
fn order_and_the_best_picture_come_out_of_chaos() {
    let seeds = if std::env::var_os("OXBOW_SOAK").is_some() { 100 } else { 2 };
    for seed in 0..seeds {
        println!("seed {seed}");
        story(seed);
    }
}
