//! What the tap of a recorded broadcast delivers.

use std::time::Duration;

use media::id::TrackId;
use media::message::{AccessUnit, Codec, Command, EndReason, GapReason, TapFact};

use crate::publisher::{Publisher, h264_key_unit, h264_slice, vp8_frame};
use crate::world::{GOOD, Link, World};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn on_air(seed: u64, publisher: Publisher, link: Link) -> (World, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, link).unwrap();
    world.run_until(secs(3), |world| world.count("started") == 1);
    (world, streamer)
}

fn end(world: &mut World) {
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
}

const AUDIO: TrackId = TrackId(0);
const VIDEO: TrackId = TrackId(1);

fn units(world: &World, track: TrackId) -> Vec<AccessUnit> {
    world.facts(|fact| match fact {
        TapFact::Unit(unit) if unit.track == track => Some(unit.clone()),
        _ => None,
    })
}

fn gaps(world: &World) -> Vec<(Option<TrackId>, u64, u64, GapReason)> {
    world.facts(|fact| match fact {
        TapFact::Gap { track, from_ns, to_ns, reason } => Some((*track, *from_ns, *to_ns, *reason)),
        _ => None,
    })
}

fn number(unit: &AccessUnit) -> u32 {
    let at = if unit.key { 10 } else { 3 };
    u32::from_be_bytes(unit.data[at..at + 4].try_into().unwrap())
}

fn sound_number(unit: &AccessUnit) -> u32 {
    u32::from_be_bytes(unit.data[1..5].try_into().unwrap())
}

/// Order, wholeness and configuration, whatever the network did.
fn check_vp8(world: &World, packets: (usize, usize)) {
    let facts: Vec<&TapFact> = world.items.iter().map(|item| &item.fact).collect();
    assert!(matches!(facts[0], TapFact::Opened { .. }));
    assert!(matches!(facts[facts.len() - 1], TapFact::Closed { .. }));
    let mut configured = Vec::new();
    for fact in &facts {
        match fact {
            TapFact::Config { track, .. } => configured.push(*track),
            TapFact::Unit(unit) => assert!(configured.contains(&unit.track), "a unit before its configuration"),
            _ => {}
        }
    }
    let video = units(world, VIDEO);
    assert!(video[0].key);
    for unit in &video {
        assert_eq!(unit.data, vp8_frame(number(unit), unit.key, packets), "each unit is whole");
        let count = if unit.key { packets.1 } else { packets.0 };
        assert_eq!(unit.last_seq - unit.first_seq + 1, count as u64);
    }
    for track in [AUDIO, VIDEO] {
        let units = units(world, track);
        assert!(units.windows(2).all(|pair| pair[0].pts_ns < pair[1].pts_ns && pair[0].last_seq < pair[1].first_seq));
    }
}

#[test]
fn a_clean_broadcast_is_complete_and_keeps_the_senders_spacing() {
    let (mut world, streamer) = on_air(1, Publisher::default(), GOOD);
    world.run(secs(60));
    end(&mut world);
    check_vp8(&world, (3, 8));
    let sent = world.clients[streamer].publisher().frame;
    let video = units(&world, VIDEO);
    assert_eq!((number(&video[0]), video[0].pts_ns), (0, 0), "media zero is the first keyframe");
    for (at, unit) in video.iter().enumerate() {
        assert_eq!((number(unit), unit.pts_ns), (at as u32, at as u64 * 1_000_000_000 / 30));
    }
    assert!(sent - (video.len() as u32) < 3, "{sent} sent, {} recorded", video.len());
    let audio = units(&world, AUDIO);
    assert!(audio.windows(2).all(|pair| pair[1].pts_ns - pair[0].pts_ns == 20_000_000));
    assert!(audio.windows(2).all(|pair| sound_number(&pair[1]) == sound_number(&pair[0]) + 1));
    let zero_utc = world.facts(|fact| match fact {
        TapFact::Opened { media_zero_utc_us, .. } => Some(*media_zero_utc_us),
        _ => None,
    })[0];
    assert!(video.iter().chain(&audio).all(|unit| unit.utc_us == zero_utc + unit.pts_ns / 1000));
    assert_eq!(gaps(&world), []);
    let clocks = world.facts(|fact| matches!(fact, TapFact::Clock { .. }).then_some(()));
    assert!(clocks.len() > 100);
}

#[test]
fn losses_are_healed_or_named() {
    for (seed, loss) in [(2, 0.01), (3, 0.05), (4, 0.2)] {
        let link = Link { loss, delay: Duration::from_millis(20), jitter: Duration::from_millis(10) };
        let (mut world, streamer) = on_air(seed, Publisher::default(), link);
        world.run(secs(30));
        world.clients[streamer].up.loss = 0.0;
        world.run(secs(3));
        end(&mut world);
        check_vp8(&world, (3, 8));
        let video = units(&world, VIDEO);
        let gaps: Vec<_> = gaps(&world).into_iter().filter(|gap| gap.0 == Some(VIDEO)).collect();
        for pair in video.windows(2) {
            let missing = number(&pair[1]) - number(&pair[0]) - 1;
            let named = gaps.iter().any(|gap| gap.2 == pair[1].pts_ns && gap.1 > pair[0].pts_ns);
            assert_eq!(missing > 0, named, "{missing} pictures missing before {} at {loss}", number(&pair[1]));
            assert!(missing == 0 || pair[1].key, "it goes on at a keyframe");
        }
        let share = video.len() as f64 / f64::from(world.clients[streamer].publisher().frame);
        let least = if loss < 0.1 { 0.99 } else { 0.8 };
        assert!(share >= least, "{share} of the pictures at {loss}");
        if loss < 0.04 {
            assert_eq!(gaps, [], "all was repaired at {loss}");
        }
    }
}

#[test]
fn without_repairs_a_lost_picture_costs_up_to_the_next_keyframe() {
    let link = Link { loss: 0.005, ..GOOD };
    let (mut world, _) = on_air(5, Publisher { repairs: false, ..Publisher::default() }, link);
    world.run(secs(30));
    end(&mut world);
    check_vp8(&world, (3, 8));
    let lost = gaps(&world).into_iter().filter(|gap| gap.0 == Some(VIDEO)).collect::<Vec<_>>();
    assert!(!lost.is_empty());
    assert!(lost.iter().all(|gap| gap.3 == GapReason::Loss && gap.2 - gap.1 < 3_000_000_000), "{lost:?}");
    assert!(world.dropped("tap_loss") > 0);
}

#[test]
fn a_reconnect_is_one_broadcast_with_a_named_gap() {
    let (mut world, streamer) = on_air(6, Publisher::default(), GOOD);
    world.run(secs(5));
    let now = world.now.mono;
    world.clients[streamer].peer.close(now);
    world.run(secs(10));
    let again = Publisher {
        codec: Codec::H264,
        first_sequence: 3,
        first_timestamp: 99,
        clock_ahead_us: 777,
        ..Publisher::default()
    };
    world.publish(again, GOOD).unwrap();
    world.run(secs(5));
    end(&mut world);
    let opened = world.facts(|fact| matches!(fact, TapFact::Opened { .. }).then_some(()));
    assert_eq!(opened.len(), 1);
    let away: Vec<_> = gaps(&world).into_iter().filter(|gap| gap.3 == GapReason::Disconnected).collect();
    assert_eq!(away.len(), 1);
    let (track, from, to, _) = away[0];
    assert!(
        track.is_none() && (9_500_000_000..11_000_000_000).contains(&(to - from)),
        "{} ms",
        (to - from) / 1_000_000
    );
    let codecs: Vec<Codec> = world.facts(|fact| match fact {
        TapFact::Config { track, config } if *track == VIDEO => Some(config.codec),
        _ => None,
    });
    assert_eq!(codecs, [Codec::Vp8, Codec::H264]);
    let video = units(&world, VIDEO);
    assert!(video.windows(2).all(|pair| pair[0].pts_ns < pair[1].pts_ns));
    let length = video.last().unwrap().pts_ns / 1_000_000;
    assert!((19_500..20_500).contains(&length), "the timeline is the wall clock's: {length} ms");
    let after = video.iter().find(|unit| unit.pts_ns >= to).unwrap();
    assert!(after.key);
}

#[test]
fn h264_is_delivered_in_annex_b_with_its_parameter_sets() {
    let link = Link { loss: 0.02, delay: Duration::from_millis(10), jitter: Duration::from_millis(5) };
    let (mut world, _) = on_air(7, Publisher { codec: Codec::H264, ..Publisher::default() }, link);
    world.run(secs(10));
    end(&mut world);
    let packets = (3, 8);
    let video = units(&world, VIDEO);
    assert!(video.len() > 280 && video[0].key);
    for unit in &video {
        let digits = &unit.data[if unit.key { 14 + 4 + 4 + 4 + 4 + 2 } else { 6 }..][..8];
        let number = digits.iter().fold(0u32, |number, nibble| number << 4 | u32::from(nibble & 0x0f));
        if unit.key {
            assert_eq!(unit.data, h264_key_unit(number, packets));
        } else {
            assert_eq!(unit.data, [&[0, 0, 0, 1][..], &h264_slice(number, false, packets)].concat());
        }
    }
    let sizes = world.facts(|fact| match fact {
        TapFact::Config { config, .. } if config.codec == Codec::H264 => Some((config.width, config.height)),
        _ => None,
    });
    assert_eq!(sizes, [(640, 480)]);
}

#[test]
fn sound_alone_begins_at_once_and_muted_pictures_are_waited_for() {
    let (mut world, _) = on_air(8, Publisher { with_video: false, ..Publisher::default() }, GOOD);
    world.run(secs(3));
    let audio = units(&world, AUDIO);
    assert_eq!((sound_number(&audio[0]), audio[0].pts_ns), (0, 0));
    assert!(audio.len() > 140);

    let (mut world, streamer) = on_air(9, Publisher { video_muted: true, ..Publisher::default() }, GOOD);
    world.run(Duration::from_millis(1900));
    assert!(world.items.is_empty(), "a keyframe may still come");
    world.run(secs(2));
    let audio = units(&world, AUDIO);
    assert_eq!((sound_number(&audio[0]), audio[0].pts_ns), (0, 0), "no sound is lost by the waiting");
    world.clients[streamer].publisher().video_muted = false;
    world.run(secs(3));
    let video = units(&world, VIDEO);
    assert!(video[0].key && (3_500_000_000..4_500_000_000).contains(&video[0].pts_ns), "{}", video[0].pts_ns);
}

#[test]
fn sound_and_pictures_lie_where_the_sender_reports_say() {
    // Pictures reach us 70 ms later than sound of the same moment: only reports can tell.
    let publisher =
        Publisher { picture_delay_us: 70_000, report_after: Duration::from_millis(2500), ..Publisher::default() };
    let (mut world, _) = on_air(10, publisher, GOOD);
    world.run(secs(20));
    end(&mut world);
    check_vp8(&world, (3, 8));
    // How much later than in the streamer's room a sound lies behind a picture.
    let apart = |from_ns: u64| {
        let video = units(&world, VIDEO).into_iter().find(|unit| unit.pts_ns >= from_ns).unwrap();
        let audio = units(&world, AUDIO).into_iter().find(|unit| unit.pts_ns >= from_ns).unwrap();
        let picture = video.pts_ns as i64 - i64::from(number(&video)) * 1_000_000_000 / 30;
        (audio.pts_ns as i64 - i64::from(sound_number(&audio)) * 20_000_000 - picture) / 1_000_000
    };
    assert!((-75..=-65).contains(&apart(1_000_000_000)), "by arrival {} ms", apart(1_000_000_000));
    assert!(apart(6_000_000_000).abs() <= 5, "by reports {} ms", apart(6_000_000_000));
    assert_eq!(apart(6_000_000_000), apart(15_000_000_000), "and it stays");
    assert_eq!(gaps(&world), [], "an alignment is no loss");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let told = |seed| {
        let link = Link { loss: 0.05, delay: Duration::from_millis(20), jitter: Duration::from_millis(10) };
        let (mut world, _) = on_air(seed, Publisher::default(), link);
        world.run(secs(5));
        units(&world, VIDEO).iter().map(|unit| (number(unit), unit.pts_ns)).collect::<Vec<_>>()
    };
    assert_eq!(told(11), told(11));
}
