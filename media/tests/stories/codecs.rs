//! VP9 and AV1 from the streamer's packets to units and viewers. What holds for every codec is told with VP8 and H.264 elsewhere.

use std::time::Duration;

use media::id::TrackId;
use media::message::{AccessUnit, Codec, Command, EndReason, GapReason, TapFact};
use media::rtp::codec::inspect;

use crate::publisher::{Publisher, av1_frame, payload_type, vp9_frame};
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World};

const VIDEO: TrackId = TrackId(1);
const CODECS: [Codec; 2] = [Codec::Vp9, Codec::Av1];
const PACKETS: (usize, usize) = (3, 8);
/// Main profile, 8 bits, 640 × 360, level 2.1, with its size field.
const AV1_SEQUENCE: [u8; 14] = [0x0a, 12, 0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0xe0, 0x6d, 0x7c, 0x80, 0x20];

fn on_air(seed: u64, publisher: Publisher, link: Link) -> World {
    let mut world = World::new(seed);
    world.publish(publisher, link).unwrap();
    world.run_until(Duration::from_secs(3), |world| world.count("started") == 1);
    world
}

fn end(world: &mut World) {
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
}

fn units(world: &World) -> Vec<AccessUnit> {
    world.facts(|fact| match fact {
        TapFact::Unit(unit) if unit.track == VIDEO => Some(unit.clone()),
        _ => None,
    })
}

/// The picture that a unit holds, which must be as the streamer made it.
fn number(codec: Codec, unit: &AccessUnit) -> u32 {
    let front = match (codec, unit.key) {
        (Codec::Vp9, true) => 9,
        (Codec::Vp9, false) => 3,
        (_, true) => AV1_SEQUENCE.len() + 4,
        (_, false) => 4,
    };
    let number = u32::from_be_bytes(unit.data[front..front + 4].try_into().unwrap());
    let expected = if codec == Codec::Vp9 {
        vp9_frame(number, unit.key, PACKETS)
    } else {
        let frame = av1_frame(number, unit.key, PACKETS);
        let size = [0x32, frame.len() as u8 | 0x80, (frame.len() >> 7) as u8];
        [if unit.key { &AV1_SEQUENCE[..] } else { &[] }, &size, &frame].concat()
    };
    assert_eq!(unit.data, expected, "picture {number}");
    number
}

#[test]
fn every_picture_becomes_a_unit_through_loss_and_jitter() {
    let link = Link { loss: 0.02, delay: Duration::from_millis(10), jitter: Duration::from_millis(5) };
    for (seed, codec) in (0..).zip(CODECS) {
        let mut world = on_air(900 + seed, Publisher { codec, ..Publisher::default() }, link);
        world.run(Duration::from_secs(10));
        end(&mut world);
        let video = units(&world);
        let numbers: Vec<u32> = video.iter().map(|unit| number(codec, unit)).collect();
        assert!(numbers.len() > 280 && video[0].key, "{codec:?}");
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{codec:?}: {numbers:?}");
        let configs = world.facts(|fact| match fact {
            TapFact::Config { track, config } if *track == VIDEO => Some(config.clone()),
            _ => None,
        });
        assert_eq!(configs.len(), 1);
        assert_eq!((configs[0].codec, configs[0].width, configs[0].height), (codec, 640, 360));
        let sets: &[u8] = if codec == Codec::Av1 { &AV1_SEQUENCE } else { &[] };
        assert_eq!(configs[0].parameter_sets, sets);
    }
}

#[test]
fn what_was_lost_for_good_is_a_gap_up_to_a_keyframe() {
    let link = Link { loss: 0.03, ..GOOD };
    for (seed, codec) in (0..).zip(CODECS) {
        let mut world = on_air(910 + seed, Publisher { codec, repairs: false, ..Publisher::default() }, link);
        world.run(Duration::from_secs(15));
        end(&mut world);
        let video = units(&world);
        let numbers: Vec<u32> = video.iter().map(|unit| number(codec, unit)).collect();
        let jumps = numbers.windows(2).enumerate().filter(|(_, pair)| pair[0] + 1 != pair[1]);
        let behind: Vec<bool> = jumps.map(|(at, _)| video[at + 1].key).collect();
        assert!(behind.len() > 3 && behind.iter().all(|key| *key), "{codec:?}: {numbers:?}");
        let gaps = world.facts(|fact| match fact {
            TapFact::Gap { track: Some(VIDEO), reason: GapReason::Loss, .. } => Some(()),
            _ => None,
        });
        assert!(gaps.len() >= behind.len(), "{} gaps for {} jumps", gaps.len(), behind.len());
    }
}

#[test]
fn viewers_begin_at_a_keyframe_and_those_without_the_codec_get_the_sound() {
    for (seed, codec) in (0..).zip(CODECS) {
        let mut world = on_air(920 + seed, Publisher { codec, ..Publisher::default() }, GOOD);
        world.run(Duration::from_millis(1700));
        let viewer = world.watch(Viewer::new(), GOOD).unwrap();
        let other = world.watch(Viewer { vp8_only: true, ..Viewer::new() }, GOOD).unwrap();
        world.run(Duration::from_secs(4));
        let video = &world.clients[viewer].viewer().video;
        assert!(video.packets.len() > 250 && video.holes() == 0, "{codec:?}: {}", video.packets.len());
        assert!(video.packets.values().all(|got| got.payload_type == payload_type(codec)));
        let first = video.packets.values().next().unwrap();
        assert!(inspect(codec, &first.payload).is_some_and(|seen| seen.key), "{codec:?}");
        assert!(world.clients[other].viewer().video.packets.is_empty());
        assert!(world.clients[other].viewer().audio.packets.len() > 100);
    }
}
