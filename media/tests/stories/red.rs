//! Sound that a streamer sends twice (RFC 2198): to viewers who take it as it came, to others plain, and on record with what was lost on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use media::id::TrackId;
use media::message::{AccessUnit, Command, EndReason, GapReason, TapFact};
use media::rtp::codec::{opus, red};

use crate::publisher::{AUDIO_SSRC, Publisher, rtp};
use crate::viewer::{Got, Viewer};
use crate::world::{GOOD, Link, World};

const AUDIO: TrackId = TrackId(0);
const LOSSY: f64 = 0.05;
const UNIT_NS: u64 = 20_000_000;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// On two shards, with a viewer who takes plain Opus and one on each shard who takes what came.
fn on_air(seed: u64, red: usize) -> (World, usize, [usize; 3]) {
    let mut world = World::sharded(seed, 2);
    let streamer = world.publish(Publisher { red, ..Publisher::default() }, GOOD).unwrap();
    world.run_until(secs(2), |world| world.count("started") == 1);
    let plain = world.watch(Viewer::new(), GOOD).unwrap();
    let taking = || Viewer { takes_red: true, ..Viewer::new() };
    let home = world.watch(taking(), GOOD).unwrap();
    world.shard = 1;
    let mirrored = world.watch(taking(), GOOD).unwrap();
    world.run_until(secs(2), |world| {
        [plain, home, mirrored].iter().all(|viewer| world.clients[*viewer].viewer().audio.packets.len() > 5)
    });
    (world, streamer, [plain, home, mirrored])
}

/// Sound packets of a viewer in their order.
fn heard(world: &World, viewer: usize) -> Vec<&Got> {
    world.clients[viewer].viewer().audio.packets.values().collect()
}

/// The number in a sound packet of the streamer's.
fn number(sound: &[u8]) -> u32 {
    assert_eq!((opus::samples(sound), sound.len()), (Some(960), 60), "one whole packet of Opus");
    u32::from_be_bytes(sound[1..5].try_into().unwrap())
}

/// Numbers of a packet with redundant sound: those repeated, and its own.
fn numbers(payload: &[u8], opus_payload_type: u8) -> (Vec<u32>, u32) {
    let inspected = red::inspect(payload, opus_payload_type).expect("redundant sound");
    let own = number(&payload[usize::from(inspected.primary)..]);
    let earlier = red::redundant(payload).map(|one| {
        let number = number(one.data);
        assert_eq!(u32::from(one.before), (own - number) * 960);
        number
    });
    (earlier.collect(), own)
}

fn recorded(world: &World) -> Vec<AccessUnit> {
    world.facts(|fact| match fact {
        TapFact::Unit(unit) if unit.track == AUDIO => Some(unit.clone()),
        _ => None,
    })
}

fn end(world: &mut World) {
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
}

#[test]
fn everybody_gets_the_sound_in_the_form_that_he_takes() {
    let (mut world, streamer, [plain, home, mirrored]) = on_air(1, 1);
    world.run(secs(2));
    // As when an encoder's silence leaves nothing to repeat: the payload type changes from packet to packet.
    world.clients[streamer].publisher().red = 0;
    world.run(secs(1));
    world.clients[streamer].publisher().red = 2;
    world.run(secs(1));
    let own: Vec<u32> = heard(&world, plain).iter().map(|got| number(&got.payload)).collect();
    assert!(own.len() > 200 && own.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(heard(&world, plain).iter().all(|got| got.payload_type == 111));
    for viewer in [home, mirrored] {
        let (mut own, mut counts) = (Vec::new(), BTreeSet::new());
        for got in heard(&world, viewer) {
            let (earlier, number) = if got.payload_type == 45 {
                numbers(&got.payload, 109)
            } else {
                assert_eq!(got.payload_type, 109);
                (Vec::new(), number(&got.payload))
            };
            let count = earlier.len() as u32;
            assert_eq!(earlier, (number - count..number).collect::<Vec<_>>());
            counts.insert(count);
            own.push(number);
        }
        assert!(own.len() > 150 && own.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(counts, BTreeSet::from([0, 1, 2]));
    }
    end(&mut world);
    let units = recorded(&world);
    assert!(units.windows(2).all(|pair| number(&pair[1].data) == number(&pair[0].data) + 1));
    assert_eq!(world.dropped("bad_rtp"), 0);
}

#[test]
fn what_the_next_packet_repeats_is_recorded() {
    for (seed, red) in [(2, 1), (3, 1), (4, 2)] {
        let (mut world, streamer, [plain, home, _]) = on_air(seed, red);
        world.doubled = 0.05;
        world.clients[streamer].up = Link { loss: LOSSY, delay: secs(0), jitter: Duration::from_millis(25) };
        world.run(secs(40));
        world.clients[streamer].up = GOOD;
        world.run(secs(2));
        end(&mut world);
        let came: BTreeSet<u32> = heard(&world, plain).iter().map(|got| number(&got.payload)).collect();
        let with_red: BTreeSet<u32> = heard(&world, home).iter().map(|got| numbers(&got.payload, 109).1).collect();
        let from = *came.first().unwrap().max(with_red.first().unwrap());
        assert!(came.range(from..).eq(with_red.range(from..)), "a viewer gets what came, in either form");
        let to = *came.last().unwrap();
        let expected: Vec<u32> =
            (from..=to).filter(|number| (0..=red as u32).any(|behind| came.contains(&(number + behind)))).collect();
        let lost = (to - from + 1) as usize - came.range(from..).count();
        let missing = (to - from + 1) as usize - expected.len();
        assert!(lost > 60, "{lost}");
        assert!(missing < lost / 5, "{missing} of {lost} are missing");

        let units: Vec<AccessUnit> =
            recorded(&world).into_iter().filter(|unit| (from..=to).contains(&number(&unit.data))).collect();
        let on_record: Vec<u32> = units.iter().map(|unit| number(&unit.data)).collect();
        assert_eq!(on_record, expected, "all but what nothing repeats, once, in order");
        for unit in &units {
            let since = u64::from(number(&unit.data) - on_record[0]);
            assert_eq!(unit.pts_ns - units[0].pts_ns, since * UNIT_NS);
            assert_eq!((unit.first_seq - units[0].first_seq, unit.first_seq), (since, unit.last_seq));
        }
        let gaps = world.facts(|fact| match fact {
            TapFact::Gap { track, to_ns, reason: GapReason::Loss, .. } if *track == Some(AUDIO) => Some(*to_ns),
            _ => None,
        });
        let after_holes = units.windows(2).filter(|pair| pair[1].first_seq > pair[0].first_seq + 1);
        let named: Vec<u64> = after_holes.map(|pair| pair[1].pts_ns).collect();
        assert_eq!(gaps.iter().filter(|to| **to > units[0].pts_ns).copied().collect::<Vec<_>>(), named);
    }
}

#[test]
fn a_repair_of_sound_is_the_sound_itself() {
    let (mut world, ..) = on_air(5, 1);
    world.shard = 0;
    let repaired = |takes_red| Viewer { takes_red, repairs_sound: true, ..Viewer::new() };
    let viewers = [true, false].map(|takes_red| world.watch(repaired(takes_red), GOOD).unwrap());
    world.run(secs(1));
    viewers.iter().for_each(|viewer| world.clients[*viewer].down.loss = LOSSY);
    world.run(secs(10));
    viewers.iter().for_each(|viewer| world.clients[*viewer].down.loss = 0.0);
    world.run(secs(1));
    for viewer in viewers {
        let takes_red = world.clients[viewer].viewer().takes_red;
        let (mut all, mut repairs) = (Vec::new(), 0);
        for got in heard(&world, viewer) {
            repairs += usize::from(got.repaired);
            let is_red = takes_red && !got.repaired;
            all.push(if is_red { numbers(&got.payload, 109).1 } else { number(&got.payload) });
        }
        assert!(repairs > 10 && all.len() > 400, "{repairs} of {}", all.len());
        assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1), "none is missing");
    }
}

#[test]
fn what_is_no_redundant_sound_is_dropped() {
    let (mut world, streamer, [plain, ..]) = on_air(6, 1);
    world.clients[streamer].publisher().audio_muted = true;
    world.run(secs(1));
    let before = heard(&world, plain).len();
    let sequence = world.clients[streamer].publisher().audio_sequence;
    let payloads: [&[u8]; 4] = [&[111], &[0xef, 0, 0, 9, 111, 1], &[0x80, 0, 0, 0, 111, 1], &[96, 1]];
    let packets =
        payloads.iter().zip(sequence..).map(|(payload, sequence)| rtp(63, true, sequence, 1, AUDIO_SSRC, payload));
    let packets = packets.collect();
    world.step_with(streamer, packets);
    world.run(secs(1));
    assert_eq!(world.dropped("bad_rtp"), 4);
    assert_eq!(heard(&world, plain).len(), before);
}
