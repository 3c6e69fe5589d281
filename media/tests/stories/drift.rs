//! Sound and pictures stay together for hours, and with our wall clock, while the clocks of a streamer drift apart, are set, say something
//! wrong or nothing at all. Two simulated hours of each in `make soak`.

use std::time::Duration;

use media::id::TrackId;
use media::message::{AccessUnit, Command, EndReason, GapReason, TapFact};

use crate::publisher::{Clocks, Publisher, slow};
use crate::world::{Link, World};

const AUDIO: TrackId = TrackId(0);
const VIDEO: TrackId = TrackId(1);
const FRAME_US: i64 = 33_334;
/// A connection over land, with losses.
const FAR: Link = Link { loss: 0.002, delay: Duration::from_millis(40), jitter: Duration::from_millis(8) };
/// Until then tracks are laid against each other.
const LAID_NS: u64 = 10_000_000_000;

/// Simulated minutes of each live.
fn minutes() -> u64 {
    if std::env::var_os("OXBOW_SOAK").is_some() { 120 } else { 4 }
}

/// What became of a long live.
#[derive(Debug, Default)]
struct Seen {
    /// Largest distance of a sound from the picture of the same moment, in µs, once they were laid.
    apart_us: i64,
    /// Largest distance of pictures from our wall clock, in µs, against the one at which tracks were laid.
    wall_us: i64,
    /// By how much the spacing of units departs from their own length at most, in parts per million.
    slewed_ppm: i64,
}

#[derive(Clone, Copy)]
struct Newest {
    number: u64,
    pts_ns: u64,
    late_us: i64,
}

fn number(unit: &AccessUnit) -> u64 {
    let at = match (unit.track, unit.key) {
        (AUDIO, _) => 1,
        (_, true) => 10,
        (_, false) => 3,
    };
    u64::from(u32::from_be_bytes(unit.data[at..at + 4].try_into().unwrap()))
}

impl Seen {
    fn unit(&mut self, unit: &AccessUnit, newest: &mut [Option<Newest>; 2], wall: &mut Option<i64>, clocks: Clocks) {
        let (at, length_us, ppm) = match unit.track {
            AUDIO => (0, 20_000, clocks.audio_ppm),
            _ => (1, 0, clocks.video_ppm),
        };
        let slot_us = if at == 0 { number(unit) * length_us } else { number(unit) * 1_000_000 / 30 };
        let late_us = (unit.pts_ns / 1000) as i64 - slow(slot_us, ppm) as i64;
        let before = newest[at].replace(Newest { number: number(unit), pts_ns: unit.pts_ns, late_us });
        let Some(before) = before else { return };
        assert!(unit.pts_ns > before.pts_ns, "time never stands nor goes back");
        if unit.pts_ns < LAID_NS {
            return;
        }
        let units = number(unit) - before.number;
        let own_ns = if at == 0 { units * 20_000_000 } else { units * 1_000_000_000 / 30 } as i64;
        let departs_ns = ((unit.pts_ns - before.pts_ns) as i64 - own_ns).abs() - 2; // rounding
        self.slewed_ppm = self.slewed_ppm.max(departs_ns * 1_000_000 / own_ns);
        if let [Some(sound), Some(picture)] = newest {
            self.apart_us = self.apart_us.max((sound.late_us - picture.late_us).abs());
        }
        if at == 1 {
            self.wall_us = self.wall_us.max((late_us - *wall.get_or_insert(late_us)).abs());
        }
    }
}

/// Runs a live and looks at each unit that the tap delivers.
fn long_live(name: &str, clocks: Clocks, says_capture: bool) -> Seen {
    let mut world = World::new(9);
    let packets = (1, 2);
    let publisher = Publisher { clocks, says_capture, packets, clock_ahead_us: 5_000_000_000, ..Publisher::default() };
    world.publish(publisher, FAR).unwrap();
    world.run_until(Duration::from_secs(3), |world| world.count("started") == 1);
    world.stride = Duration::from_millis(5);
    let (mut seen, mut newest, mut wall) = (Seen::default(), [None, None], None);
    for _ in 0..minutes() * 60 {
        world.run(Duration::from_secs(1));
        for item in std::mem::take(&mut world.items) {
            if let TapFact::Unit(unit) = &item.fact {
                seen.unit(unit, &mut newest, &mut wall, clocks);
            }
        }
    }
    println!("{name}: {seen:?}");
    seen
}

/// Sound within 20 ms of its picture, pictures within a frame of the wall clock, and no correction faster than a millisecond a second.
fn stays_together(name: &str, clocks: Clocks, says_capture: bool) {
    let seen = long_live(name, clocks, says_capture);
    assert!(seen.apart_us <= 20_000, "{name}: {seen:?}");
    assert!(seen.wall_us <= FRAME_US, "{name}: {seen:?}");
    assert!(seen.slewed_ppm <= 1_010, "{name}: {seen:?}");
}

#[test]
fn a_streamer_whose_clocks_all_run_fast_or_slow_keeps_our_time() {
    stays_together("fast", Clocks { video_ppm: 100, audio_ppm: 100, wall_ppm: 100, ..Clocks::default() }, false);
    stays_together("slow", Clocks { video_ppm: -300, audio_ppm: -300, wall_ppm: -300, ..Clocks::default() }, false);
}

#[test]
fn a_camera_and_a_sound_card_that_drift_apart_are_held_together() {
    stays_together("200 ppm", Clocks { video_ppm: 100, audio_ppm: -100, ..Clocks::default() }, false);
    let late = Clocks { video_ppm: -300, audio_ppm: 300, wall_ppm: 50, reports_late_us: 20_000, ..Clocks::default() };
    stays_together("600 ppm, late reports", late, false);
}

#[test]
fn a_first_report_that_is_wrong_is_outvoted() {
    for first_report_us in [-600_000, 90_000, 7_200_000_000] {
        let clocks = Clocks { audio_ppm: 100, first_report_us, ..Clocks::default() };
        stays_together(&format!("first report off by {first_report_us} us"), clocks, false);
    }
}

#[test]
fn a_wall_clock_that_is_set_in_the_middle_moves_nothing() {
    for by in [3_600_000_000, -400_000, 120_000] {
        let clocks = Clocks { audio_ppm: 100, set: Some((Duration::from_secs(50), by)), ..Clocks::default() };
        let seen = long_live(&format!("set by {by} us"), clocks, false);
        assert!(seen.apart_us <= 20_000 && seen.slewed_ppm <= 1_010, "{seen:?}");
        // less than a quarter of a second may be the network; it is followed slowly, there and back
        assert!(seen.wall_us <= FRAME_US + if by == 120_000 { by } else { 0 }, "{seen:?}");
    }
}

#[test]
fn a_streamer_that_reports_nothing_is_followed_by_what_arrives() {
    stays_together("silent", Clocks { audio_ppm: 100, silent: true, ..Clocks::default() }, false);
    stays_together(
        "silent, slow",
        Clocks { video_ppm: -300, audio_ppm: -200, silent: true, ..Clocks::default() },
        false,
    );
}

#[test]
fn capture_times_are_believed_before_reports_and_without_them() {
    let clocks = Clocks { audio_ppm: 300, sound_says_capture: true, ..Clocks::default() };
    stays_together("capture times, bad reports", Clocks { reports_late_us: 80_000, ..clocks }, true);
    stays_together("capture times alone", Clocks { silent: true, ..clocks }, true);
}

/// From the first to the end of the last unit of a track, in µs.
fn length_us(world: &World, track: TrackId) -> i64 {
    let times = world.facts(|fact| match fact {
        TapFact::Unit(unit) if unit.track == track => Some(unit.pts_ns),
        _ => None,
    });
    ((times[times.len() - 1] - times[0]) / 1000) as i64
}

#[test]
fn what_is_muted_or_lost_takes_its_time_in_the_recording() {
    let mut world = World::new(11);
    let clocks = Clocks { video_ppm: 50, audio_ppm: 50, wall_ppm: 50, ..Clocks::default() };
    let publisher = Publisher { clocks, packets: (1, 2), repairs: false, ..Publisher::default() };
    let streamer = world.publish(publisher, FAR).unwrap();
    world.run_until(Duration::from_secs(3), |world| world.count("started") == 1);
    let began = world.now.utc_us;
    world.stride = Duration::from_millis(5);
    let mute = |world: &mut World, video: bool, audio: bool, seconds: u64| {
        let publisher = world.clients[streamer].publisher();
        (publisher.video_muted, publisher.audio_muted) = (video, audio);
        world.run(Duration::from_secs(seconds));
    };
    for (video, audio, seconds) in [
        (false, false, 8),
        (true, false, 25),
        (false, false, 6),
        (false, true, 33),
        (true, true, 20),
        (false, false, 8),
    ] {
        mute(&mut world, video, audio, seconds);
    }
    // nothing arrives for a while, though it was sent
    world.clients[streamer].up.loss = 1.0;
    world.run(Duration::from_secs(3));
    world.clients[streamer].up.loss = 0.0;
    world.run(Duration::from_secs(6));
    let wall_us = (world.now.utc_us - began) as i64;
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
    for track in [AUDIO, VIDEO] {
        // the newest units are still on their way: 48 ms of network, and what is repaired or waits for its turn
        let shorter = wall_us - length_us(&world, track);
        println!("track {}: {shorter} us shorter than {wall_us} us", track.0);
        assert!((-FRAME_US..=100_000 + FRAME_US).contains(&shorter), "track {}: {shorter} us shorter", track.0);
    }
    let lost = world.facts(|fact| match fact {
        TapFact::Gap { track, from_ns, to_ns, reason: GapReason::Loss } => {
            Some((*track, (to_ns - from_ns) / 1_000_000))
        }
        _ => None,
    });
    for track in [AUDIO, VIDEO] {
        let ms: u64 = lost.iter().filter(|(of, _)| *of == Some(track)).map(|(_, ms)| ms).sum();
        assert!((2_900..=9_000).contains(&ms), "three seconds were lost of track {}: {lost:?}", track.0);
    }
}
