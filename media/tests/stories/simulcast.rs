//! A streamer sends several layers; viewers and tap get the right one, whole.

use std::time::Duration;

use crate::flight::diagnosis;
use crate::publisher::Publisher;
use crate::rungs::{GOP, Rungs};
use crate::viewer::{Picture, Viewer};
use crate::world::{GOOD, Link, World};
use media::message::{Command, Quality, Refusal, TapFact};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn on_air(seed: u64, link: Link) -> (World, usize) {
    let mut world = World::new(seed);
    let publisher = Publisher { rungs: Some(Rungs::three()), ..Publisher::default() };
    let streamer = world.publish(publisher, link).unwrap();
    world.run_until(secs(2), |world| world.count("started") == 1);
    world.run(secs(1));
    (world, streamer)
}

fn rungs(world: &mut World, streamer: usize) -> &mut Rungs {
    world.clients[streamer].publisher().rungs.as_mut().unwrap()
}

pub fn prefer(world: &mut World, viewer: usize, quality: Quality) {
    let session = world.clients[viewer].id;
    world.command(Command::Prefer { session, quality }).unwrap();
}

/// What a decoder shows: each picture but a keyframe needs the one before it of its layer. Fails where numbers or timestamps do not continue.
pub fn decoded(pictures: &[Picture]) -> Vec<Picture> {
    let mut shown: Vec<Picture> = Vec::new();
    let mut before: Option<Picture> = None;
    for picture in pictures {
        if let Some(before) = before {
            let ahead = picture.timestamp.wrapping_sub(before.timestamp) as i32;
            assert!(ahead > 0, "timestamps grow: {before:?} {picture:?}");
            // H.264 has none.
            if let Some((from, to)) = before.id.zip(picture.id) {
                let step = to.wrapping_sub(from) & 0x7fff;
                assert!((1..1000).contains(&step), "picture ids continue: {before:?} {picture:?}");
            }
        }
        let follows = before.is_some_and(|before| before.rung == picture.rung && before.number + 1 == picture.number);
        if picture.key || follows && shown.last().is_some_and(|last| last.number + 1 == picture.number) {
            shown.push(*picture);
        }
        before = Some(*picture);
    }
    shown
}

pub fn longest_stall(shown: &[Picture]) -> Duration {
    shown.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap()
}

#[test]
fn all_layers_flow_and_the_best_reaches_viewer_and_tap() {
    let (mut world, streamer) = on_air(1, GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(5));
    let stats = world.stats();
    let video = stats.rooms[0].tracks.iter().find(|track| track.config.width > 0).unwrap();
    let heights: Vec<u16> = video.layers.iter().map(|layer| layer.config.height).collect();
    assert_eq!(heights, [180, 360, 720]);
    assert!(video.layers.iter().all(|layer| layer.bitrate > 50_000 && layer.frames > 120));
    assert_eq!((video.config.width, video.config.height), (1280, 720));
    let pictures = world.clients[viewer].viewer().video.whole();
    assert!(pictures.len() > 120 && pictures.iter().all(|picture| picture.rung == 2), "{}", pictures.len());
    assert_eq!(decoded(&pictures).len(), pictures.len());
    let sizes = world.facts(|fact| match fact {
        TapFact::Config { config, .. } if config.width > 0 => Some((config.width, config.height)),
        _ => None,
    });
    assert_eq!(sizes, [(1280, 720)], "the recording begins with the best layer");
    for rung in &rungs(&mut world, streamer).0[..2] {
        assert!(rung.plis.len() <= 1, "nobody needs keyframes of {}", rung.rid);
    }
    assert_eq!(world.dropped("unknown_stream"), 0);
}

#[test]
fn loss_heals_on_every_layer() {
    let (mut world, streamer) = on_air(2, Link { loss: 0.05, ..GOOD });
    world.run(secs(20));
    for rung in &rungs(&mut world, streamer).0 {
        assert!(rung.nacked > 10 && rung.repaired > 10, "{}: {} asked", rung.rid, rung.nacked);
    }
    assert_eq!(world.dropped("unknown_stream"), 0, "repairs find their layer");
    let sources = diagnosis(&mut world, streamer).sources;
    let told: Vec<_> = sources.iter().map(|source| (source.rid.as_deref(), source.height)).collect();
    assert_eq!(told, [(None, 0), (Some("q"), 180), (Some("h"), 360), (Some("f"), 720)]);
    for (source, least) in sources[1..].iter().zip([50_000, 150_000, 400_000]) {
        assert!(source.recovered > 10 && source.lost >= source.recovered && source.bitrate > least, "{source:?}");
    }
    let units = world.facts(|fact| match fact {
        TapFact::Unit(unit) if unit.data.len() > 500 => Some(unit.data.len()),
        _ => None,
    });
    let video = world.facts(|fact| match fact {
        TapFact::Config { track, config } if config.width > 0 => Some(*track),
        _ => None,
    })[0];
    // Sound has no repairs.
    let gaps = world.facts(|fact| matches!(fact, TapFact::Gap { track, .. } if *track == Some(video)).then_some(()));
    assert!(units.len() > 550 && gaps.is_empty(), "{} units, {} gaps", units.len(), gaps.len());
}

#[test]
fn the_death_of_a_layer_is_no_longer_than_a_gop() {
    let (mut world, streamer) = on_air(3, GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(3));
    rungs(&mut world, streamer).0[2].alive = false;
    world.run(secs(5));
    rungs(&mut world, streamer).0[2].alive = true;
    rungs(&mut world, streamer).0[2].key_wanted = true;
    world.run(secs(5));
    let video = &world.clients[viewer].viewer().video;
    let pictures = video.whole();
    let shown = decoded(&pictures);
    assert_eq!(shown.len(), pictures.len(), "each is decoded");
    assert!(longest_stall(&shown) < GOP, "{:?}", longest_stall(&shown));
    let mut rungs: Vec<usize> = shown.iter().map(|picture| picture.rung).collect();
    rungs.dedup();
    assert_eq!(rungs, [2, 1, 2], "down to the next best, and up again");
    assert_eq!(video.holes(), 0);
    // The recording goes the same way, each change at a keyframe.
    let units = world.facts(|fact| match fact {
        TapFact::Unit(unit) if unit.data.len() > 500 => Some((unit.key, unit.data.len(), unit.pts_ns)),
        _ => None,
    });
    let rung = |(key, len, _): &(bool, usize, u64)| match (key, len) {
        (false, 900) | (true, 2700) => 0,
        (false, 1800) | (true, 5400) => 1,
        _ => 2,
    };
    let mut recorded: Vec<usize> = units.iter().map(rung).collect();
    recorded.dedup();
    assert_eq!(recorded, [2, 1, 2]);
    for pair in units.windows(2) {
        assert!(rung(&pair[0]) == rung(&pair[1]) || pair[1].0, "a change of layer is at a keyframe");
        assert!(pair[1].2 - pair[0].2 < 1_500_000_000, "{:?}", pair);
    }
}

#[test]
fn timestamps_go_on_by_the_streamers_clock_across_a_change_of_layer() {
    let (mut world, streamer) = on_air(4, GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(4));
    rungs(&mut world, streamer).0[2].alive = false;
    world.run(secs(4));
    let video = &world.clients[viewer].viewer().video;
    // The first ones are a replay of what the viewer came too late for.
    let pictures = video.whole().split_off(70);
    for pair in pictures.windows(2) {
        let numbers = pair[1].number - pair[0].number;
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(ticks.abs_diff(numbers * 3000) <= 180, "{numbers} pictures, {ticks} ticks");
    }
    // What the sender reports say of the first and of the last picture is as far apart as they are. The first reports come before it is known how far
    // the streamer is.
    let wall = |picture: &Picture, report: (u64, u32)| {
        report.0 as i64 + i64::from(picture.timestamp.wrapping_sub(report.1) as i32) * 1000 / 90
    };
    let (first, last) = (pictures[0], pictures[pictures.len() - 1]);
    let apart = wall(&last, *video.reports.last().unwrap()) - wall(&first, video.reports[2]);
    let expected = i64::from(last.number - first.number) * 1_000_000 / 30;
    assert!((apart - expected).abs() < 4000, "{apart} instead of {expected} µs");
}

#[test]
fn a_viewer_chooses_a_size() {
    let (mut world, streamer) = on_air(5, GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    let other = world.watch(Viewer::new(), GOOD).unwrap();
    for quality in [Quality::AtMost(360), Quality::AtMost(359), Quality::AtMost(1), Quality::Auto] {
        world.run(secs(2));
        prefer(&mut world, viewer, quality);
    }
    world.run(secs(2));
    let pictures = world.clients[viewer].viewer().video.whole();
    assert_eq!(decoded(&pictures).len(), pictures.len());
    let mut seen: Vec<usize> = pictures.iter().map(|picture| picture.rung).collect();
    seen.dedup();
    assert_eq!(seen, [2, 1, 0, 2]);
    assert_eq!(world.stats().layer_switches, 3);
    let pictures = world.clients[other].viewer().video.whole();
    assert!(pictures.iter().all(|picture| picture.rung == 2), "it is nobody else's choice");
    assert_eq!(world.count("layers [720, 360, 180]"), 1);
    let publisher = world.clients[streamer].id;
    let refused = world.command(Command::Prefer { session: publisher, quality: Quality::Auto });
    assert_eq!(refused.unwrap_err(), Refusal::Unknown, "a streamer watches nothing");
}
