//! A large keyframe and a slow network; a viewer who falls behind; what that costs the others.

use std::time::{Duration, Instant};

use crate::publisher::Publisher;
use crate::rungs::Rungs;
use crate::viewer::{Stream, Viewer};
use crate::world::{GOOD, World};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// On air for three seconds.
fn on_air(seed: u64, publisher: Publisher) -> (World, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(2 * SECOND, |world| world.count("started") == 1);
    world.run(3 * SECOND);
    (world, streamer)
}

/// Longest time between two packets of a stream that follow each other, since then.
fn longest_gap(stream: &Stream, since: Instant) -> Duration {
    let mut arrivals: Vec<Instant> = stream.packets.values().map(|got| got.at).filter(|at| *at > since).collect();
    arrivals.sort();
    arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several packets")
}

/// 180 kB at 4 Mbit/s: at one stroke it is more than the network's queue holds, and sound would wait behind it.
#[test]
fn a_large_keyframe_is_smoothed_for_a_slow_network() {
    for seed in [1, 2, 3] {
        let (mut world, streamer) = on_air(seed, Publisher { packets: (2, 200), ..Publisher::default() });
        let viewer = world.watch(Viewer::new(), GOOD).unwrap();
        world.clients[viewer].down_rate = Some(4_000_000);
        // The first keyframes show what the network carries.
        world.run(6 * SECOND);
        let (settled, lost) = (world.now.mono, world.clients[viewer].overflowed);
        let before = world.clients[streamer].publisher().keys.len();
        world.run(20 * SECOND);
        let keyframes = world.clients[streamer].publisher().keys.len() - before;
        assert!(keyframes >= 8, "{keyframes}");
        assert_eq!(world.clients[viewer].overflowed, lost, "nothing finds the queue full");
        let seen = world.clients[viewer].viewer();
        assert!(longest_gap(&seen.audio, settled) < 200 * MS, "{:?}", longest_gap(&seen.audio, settled));
        let pictures: Vec<_> = seen.video.whole().into_iter().filter(|picture| picture.at > settled).collect();
        assert!(pictures.len() > 590 && pictures.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
        assert!(longest_gap(&seen.video, settled) < 60 * MS, "packets keep coming");
        // Between keyframes pictures come as they are sent; a fifth of the time one is on its way.
        let at_once = pictures.windows(2).filter(|pair| (33..=34).contains(&(pair[1].at - pair[0].at).as_millis()));
        assert!(at_once.count() * 4 > pictures.len() * 3);
    }
}

#[test]
fn a_fast_network_gets_a_frame_at_once() {
    let (mut world, _) = on_air(4, Publisher { packets: (30, 120), ..Publisher::default() });
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(SECOND);
    let joined = world.now.mono;
    world.run(9 * SECOND);
    let seen = world.clients[viewer].viewer();
    let span = |number: u32| {
        let all = seen.video.whole();
        let picture = all.iter().find(|picture| picture.number == number).expect("every picture comes");
        let packets = seen.video.packets.values().filter(|got| got.timestamp == picture.timestamp);
        let (first, last) =
            (packets.clone().map(|got| got.at).min().unwrap(), packets.map(|got| got.at).max().unwrap());
        (picture.key, last - first)
    };
    let pictures = seen.video.whole().into_iter().filter(|picture| picture.at > joined);
    let spans: Vec<_> = pictures.step_by(5).map(|picture| span(picture.number)).collect();
    assert!(spans.iter().filter(|(key, _)| !key).all(|(_, span)| span.is_zero()), "{spans:?}");
    let keyframes = seen.video.whole().into_iter().filter(|picture| picture.key && picture.at > joined);
    for picture in keyframes {
        // 110 kB: 40 at once, the rest in two steps of about 5 ms.
        let span = span(picture.number).1;
        assert!((8 * MS..=12 * MS).contains(&span), "{span:?}");
    }
}

/// What is too late is not sent any more: the pictures are never far behind the streamer's.
#[test]
fn a_viewer_who_cannot_keep_up_is_not_left_ever_further_behind() {
    for seed in [5, 6, 7] {
        let (mut world, _) = on_air(seed, Publisher { packets: (5, 30), ..Publisher::default() });
        let viewer = world.watch(Viewer::new(), GOOD).unwrap();
        world.run(2 * SECOND);
        world.clients[viewer].down_rate = Some(400_000);
        let slow = world.now.mono;
        world.run(8 * SECOND);
        world.clients[viewer].down_rate = Some(10_000_000);
        let fast = world.now.mono;
        assert!(world.dropped("fell_behind") > 100);
        world.run(20 * SECOND);
        let seen = world.clients[viewer].viewer();
        assert!(longest_gap(&seen.audio, slow) < 400 * MS, "{:?}", longest_gap(&seen.audio, slow));
        let pictures = seen.video.whole();
        let start = pictures[0];
        for picture in pictures.iter().filter(|picture| picture.at > slow) {
            let taken = picture.number.saturating_sub(start.number) * 1000 / 30;
            let behind = (picture.at - start.at).saturating_sub(MS * taken);
            assert!(behind < 3 * SECOND, "{behind:?}");
        }
        let live = pictures.iter().filter(|picture| picture.at > fast + 10 * SECOND);
        assert!(live.count() > 250, "all is well again");
    }
}

/// The others see the very same pictures at the very same moments, whether it is there or not.
#[test]
fn a_viewer_at_100_kbits_costs_nobody_a_millisecond() {
    for seed in [8, 9] {
        let others = |slow: bool| {
            let (mut world, _) = on_air(seed, Publisher { rungs: Some(Rungs::three()), ..Publisher::default() });
            let start = world.now.mono;
            let others: Vec<usize> = (0..3).map(|_| world.watch(Viewer::new(), GOOD).unwrap()).collect();
            if slow {
                let slow = world.watch(Viewer::new(), GOOD).unwrap();
                world.clients[slow].down_rate = Some(100_000);
            }
            world.run(30 * SECOND);
            others.into_iter().map(|other| arrivals(&world, other, start)).collect::<Vec<_>>()
        };
        assert_eq!(others(false), others(true));
    }
}

/// When each packet came, how large it was, and that none is missing.
fn arrivals(world: &World, viewer: usize, start: Instant) -> Vec<(Duration, usize)> {
    let seen = world.clients[viewer].viewer();
    assert_eq!((seen.audio.holes(), seen.video.holes()), (0, 0));
    let packets = seen.audio.packets.values().chain(seen.video.packets.values());
    packets.map(|got| (got.at - start, got.payload.len())).collect()
}
