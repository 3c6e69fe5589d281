//! What a viewer is told of time: when a picture was taken, by the server's clock, across distances and reconnects.

use std::time::Duration;

use media::rtp::extension::CaptureTime;
use media::session::feedback::utc_of_ntp;

use crate::publisher::Publisher;
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World};

const MS: Duration = Duration::from_millis(1);

/// Microseconds by which the newest reports place the newest picture, and the newest sound, after the moment they were taken. `streamer` is the number
/// of the streamer's client.
fn error_us(world: &mut World, streamer: usize, viewer: usize) -> (i64, i64) {
    let started = world.clients[streamer].publisher().started.expect("on air").utc_us as i64;
    let viewer = world.clients[viewer].viewer();
    let picture = viewer.video.pictures().last().copied().expect("a picture");
    let sound = viewer.audio.packets.values().next_back().expect("sound");
    let at = |(utc, rtp): (u64, u32), timestamp: u32, rate: i64| {
        utc as i64 + i64::from(timestamp.wrapping_sub(rtp) as i32) * 1_000_000 / rate
    };
    let number = i64::from(u32::from_be_bytes(sound.payload[1..5].try_into().unwrap()));
    let shown = at(*viewer.video.reports.last().expect("a report"), picture.2, 90_000);
    let heard = at(*viewer.audio.reports.last().expect("a report"), sound.timestamp, 48_000);
    (shown - (started + i64::from(picture.0) * 1_000_000 / 30), heard - (started + number * 20_000))
}

fn distant(delay: Duration) -> Link {
    Link { loss: 0.0, delay, jitter: Duration::ZERO }
}

#[test]
fn reports_say_when_a_picture_was_taken_however_far_the_streamer_is() {
    for (seed, delay) in [(1, 5 * MS), (2, 60 * MS), (3, 200 * MS)] {
        let mut world = World::new(seed);
        let publisher = Publisher { clock_ahead_us: 7_000_000_000, ..Publisher::default() };
        let streamer = world.publish(publisher, distant(delay)).unwrap();
        world.run_until(Duration::from_secs(5), |world| world.count("started") == 1);
        world.run(Duration::from_secs(4));
        let viewer = world.watch(Viewer::new(), distant(30 * MS)).unwrap();
        world.run(Duration::from_secs(5));
        let (picture, sound) = error_us(&mut world, streamer, viewer);
        assert!(picture.abs() <= 5_500, "{delay:?}: {picture} µs");
        assert!((picture - sound).abs() < 1_000, "{delay:?}: {} µs apart", picture - sound);
    }
}

#[test]
fn reports_stay_right_when_the_streamer_comes_back_from_elsewhere() {
    let mut world = World::new(4);
    let first = world.publish(Publisher::default(), distant(20 * MS)).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    world.run(Duration::from_secs(3));
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(Duration::from_secs(4));
    let (picture, _) = error_us(&mut world, first, viewer);
    assert!(picture.abs() <= 5_500, "{picture} µs");
    let now = world.now.mono;
    world.clients[first].peer.close(now);
    world.run_until(Duration::from_secs(1), |world| world.count("interrupted") == 1);
    world.run(Duration::from_secs(10));
    let again = Publisher {
        first_sequence: 60_000,
        first_timestamp: u32::MAX - 50_000,
        clock_ahead_us: 3_600_000_000,
        ..Publisher::default()
    };
    let second = world.publish(again, distant(120 * MS)).unwrap();
    world.run(Duration::from_secs(6));
    assert_eq!(world.count("resumed"), 1);
    let (picture, sound) = error_us(&mut world, second, viewer);
    assert!(picture.abs() <= 5_500, "{picture} µs");
    assert!((picture - sound).abs() < 1_000, "{} µs apart", picture - sound);
}

#[test]
fn capture_times_are_carried_to_our_clock() {
    let mut world = World::new(5);
    let publisher = Publisher { says_capture: true, clock_ahead_us: 7_000_000_000, ..Publisher::default() };
    let streamer = world.publish(publisher, distant(80 * MS)).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    world.run(Duration::from_secs(4));
    let viewer = world.watch(Viewer::new(), distant(30 * MS)).unwrap();
    world.run(Duration::from_secs(2));
    let started = world.clients[streamer].publisher().started.unwrap().utc_us;
    let video = &world.clients[viewer].viewer().video;
    let timed: Vec<(u32, CaptureTime)> =
        video.packets.values().filter_map(|got| Some((got.timestamp, got.capture?))).collect();
    let pictures = video.pictures();
    assert!(timed.len() + 2 >= pictures.len(), "{} of {}", timed.len(), pictures.len());
    for (number, _, timestamp) in &pictures[pictures.len() - 30..] {
        let (_, capture) = timed.iter().find(|(of, _)| of == timestamp).unwrap();
        let taken = started + u64::from(*number) * 1_000_000 / 30;
        assert!(utc_of_ntp(capture.ntp).unwrap().abs_diff(taken + 7_000_000_000) <= 1, "the streamer's own words");
        let ours = utc_of_ntp(capture.ntp.wrapping_add_signed(capture.offset)).unwrap();
        assert!(ours.abs_diff(taken) <= 5_500, "{} µs", ours.abs_diff(taken));
    }
}

#[test]
fn a_streamer_says_how_long_pictures_are_held_back_and_who_comes_later_hears_it_too() {
    let heard = |world: &mut World, viewer: usize| -> Vec<(u32, u32)> {
        let packets = world.clients[viewer].viewer().video.packets.values();
        packets.filter_map(|got| got.playout_delay).map(|delay| (delay.least_ms(), delay.most_ms())).collect()
    };
    let mut world = World::new(6);
    let publisher = Publisher { playout_delay: Some([0, 0, 40]), ..Publisher::default() };
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    let first = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(Duration::from_secs(5));
    let said = heard(&mut world, first);
    assert!(said.iter().all(|delay| *delay == (0, 400)), "{said:?}");
    let packets = world.clients[first].viewer().video.packets.len();
    assert!((1..packets / 20).contains(&said.len()), "with keyframes alone: {} of {packets}", said.len());

    world.clients[streamer].publisher().playout_delay = Some([0x00, 0xa0, 0x14]);
    world.run(Duration::from_secs(1));
    assert_eq!(heard(&mut world, first).last(), Some(&(100, 200)));
    world.run(Duration::from_secs(3));
    let late = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(Duration::from_secs(1));
    assert_eq!(heard(&mut world, late).first(), Some(&(100, 200)));

    // Another sender who says nothing: what the first one wanted is over, and nobody is told anything.
    let now = world.now.mono;
    world.clients[streamer].peer.close(now);
    world.run_until(Duration::from_secs(1), |world| world.count("interrupted") == 1);
    let before = heard(&mut world, first).len();
    world.publish(Publisher::default(), GOOD).unwrap();
    world.run(Duration::from_secs(5));
    assert_eq!(heard(&mut world, first).len(), before);
}
