//! Broadcasts begin, are watched, drop, come back, are taken over and end.

use std::time::Duration;

use media::limit;
use media::message::{Codec, Command, EndReason, Refusal, TapFact};

use crate::publisher::Publisher;
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World, channel};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A streamer on air for a second.
fn on_air(seed: u64, publisher: Publisher, link: Link) -> (World, usize) {
    let mut world = World::new(seed);
    let streamer = world.publish(publisher, link).unwrap();
    world.run_until(secs(2), |world| world.count("started") == 1);
    world.run(secs(1));
    (world, streamer)
}

#[test]
fn a_viewer_joins_late_and_sees_every_picture_from_a_keyframe_on() {
    let (mut world, streamer) = on_air(1, Publisher::default(), GOOD);
    world.run(secs(5));
    let joined = world.now.mono;
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(5));
    let sent = world.clients[streamer].publisher().frame;
    let seen = &world.clients[viewer].viewer().video;
    let pictures = seen.pictures();
    assert!(pictures[0].1, "it starts at a keyframe");
    let first = seen.packets.values().next().unwrap().at;
    assert!(
        first - joined < secs(1),
        "within a second of joining, though keyframes come every two: {:?}",
        first - joined
    );
    for pair in pictures.windows(2) {
        assert_eq!(pair[1].0, pair[0].0 + 1, "no picture is missing");
    }
    let live = seen.live_pictures();
    assert!(live.windows(2).all(|pair| pair[1].2.wrapping_sub(pair[0].2) == 3000), "the sender's spacing");
    assert!(pictures.last().unwrap().0 + 3 > sent && seen.holes() == 0);
    let sound = &world.clients[viewer].viewer().audio;
    assert!(sound.first().unwrap() - joined < Duration::from_millis(200), "sound at once");
    assert_eq!(sound.holes(), 0);
    assert_eq!(world.count("viewers 1"), 1);
}

#[test]
fn sender_reports_lay_both_tracks_on_one_clock() {
    let publisher = Publisher { clock_ahead_us: 86_400_000_000, ..Publisher::default() };
    let (mut world, _) = on_air(2, publisher, GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(10));
    let viewer = world.clients[viewer].viewer();
    // A picture and a sound of the same moment: the streamer counts both from its start.
    let at = |stream: &crate::viewer::Stream, rate: i64| {
        let (utc, rtp) = *stream.reports.last().unwrap();
        let (number, got) = stream.packets.iter().next_back().map(|(number, got)| (*number, got.clone())).unwrap();
        let behind = i64::from(got.timestamp.wrapping_sub(rtp) as i32);
        (number, utc as i64 + behind * 1_000_000 / rate, got)
    };
    let (_, picture_utc, _) = at(&viewer.video, 90_000);
    let (_, sound_utc, sound) = at(&viewer.audio, 48_000);
    let pictures = viewer.video.pictures();
    let picture = i64::from(pictures.last().unwrap().0) * 1_000_000 / 30;
    let sound = i64::from(u32::from_be_bytes(sound.payload[1..5].try_into().unwrap())) * 20_000;
    let apart = (picture_utc - picture) - (sound_utc - sound);
    assert!(apart.abs() < 2000, "{apart} µs apart");
    assert!(viewer.video.reports.len() >= 5 && viewer.audio.reports.len() >= 5);
}

#[test]
fn a_viewer_on_a_bad_network_is_repaired() {
    for (seed, loss) in [(3, 0.01), (4, 0.05), (5, 0.2)] {
        let (mut world, _) = on_air(seed, Publisher::default(), GOOD);
        let viewer = world.watch(Viewer::new(), GOOD).unwrap();
        world.clients[viewer].down = Link { loss, delay: Duration::from_millis(20), jitter: Duration::from_millis(8) };
        world.run(secs(10));
        world.clients[viewer].down = GOOD;
        world.run(secs(1));
        let video = &world.clients[viewer].viewer().video;
        assert!(video.packets.values().any(|got| got.repaired));
        assert_eq!(video.holes(), 0, "at {loss}");
        assert!(video.pictures().windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "at {loss}");
        let stats = world.stats();
        assert!(stats.retransmitted <= stats.nacks_in);
    }
}

#[test]
fn a_streamer_that_comes_back_continues_its_broadcast() {
    let (mut world, streamer) = on_air(6, Publisher::default(), GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(3));
    let broadcast = world.broadcast();
    let (id, now) = (world.clients[streamer].id, world.now.mono);
    world.clients[streamer].peer.close(now);
    world.run_until(secs(1), |world| world.count("interrupted") == 1);
    assert_eq!(world.count("Publisher closed PeerClosed"), 1);
    assert_eq!(world.command(Command::Close { session: id }).unwrap_err(), Refusal::Unknown);
    world.run(secs(20));
    let again = Publisher { first_sequence: 60_000, first_timestamp: u32::MAX - 50_000, ..Publisher::default() };
    world.publish(again, GOOD).unwrap();
    world.run(secs(5));
    assert_eq!((world.count("resumed"), world.broadcast()), (1, broadcast));
    assert!(!world.told().iter().any(|told| told.starts_with("ended")));
    let video = &world.clients[viewer].viewer().video;
    assert_eq!(video.holes(), 0, "one continuous sequence across both connections");
    let pictures = video.pictures();
    let turn = pictures.windows(2).position(|pair| pair[1].0 < pair[0].0).expect("the second connection counts anew");
    assert!(pictures[turn + 1].1, "it begins with a keyframe");
    let jump = pictures[turn + 1].2.wrapping_sub(pictures[turn].2) as f64 / 90_000.0;
    assert!((19.0..22.0).contains(&jump), "timestamps follow the wall clock: {jump} s");
    assert!(pictures.len() as u32 > 150 && world.clients[viewer].viewer().audio.holes() == 0);
}

#[test]
fn a_streamer_that_falls_silent_is_waited_for_at_once() {
    let (mut world, streamer) = on_air(15, Publisher::default(), GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(2));
    world.clients[streamer].dead = true;
    world.run(limit::STREAMER_SILENCE - Duration::from_millis(50));
    assert_eq!((world.count("interrupted"), world.stats().rooms[0].connected), (0, true));
    world.run(Duration::from_millis(100));
    assert_eq!((world.count("interrupted"), world.stats().rooms[0].connected), (1, false));
    world.run(secs(5));
    world.clients[streamer].dead = false;
    world.run(Duration::from_millis(200));
    assert_eq!((world.count("resumed"), world.stats().rooms[0].connected), (1, true), "the same connection goes on");
    world.run(secs(3));
    let seen = world.clients[viewer].viewer().video.packets.len();
    world.run(secs(1));
    assert!(world.clients[viewer].viewer().video.packets.len() > seen + 20, "the viewer sees it again");
    assert_eq!((world.count("interrupted"), world.count("resumed")), (1, 1));
}

#[test]
fn a_silent_streamer_is_told_of_once_before_its_broadcast_ends() {
    let (mut world, streamer) = on_air(16, Publisher::default(), GOOD);
    world.clients[streamer].dead = true;
    world.run_until(limit::CONSENT + secs(1), |world| world.count("Publisher closed ConsentLost") == 1);
    assert_eq!(world.count("interrupted"), 1);
    world.run(limit::RESUME_WINDOW - secs(1));
    assert_eq!(world.count("ended Dropped"), 0);
    world.run(secs(2));
    assert_eq!((world.count("ended Dropped"), world.count("interrupted"), world.count("resumed")), (1, 1, 0));
}

#[test]
fn a_streamer_that_stays_away_ends_its_broadcast() {
    let (mut world, streamer) = on_air(7, Publisher::default(), GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(1));
    let now = world.now.mono;
    world.clients[streamer].peer.close(now);
    world.run_until(secs(1), |world| world.count("interrupted") == 1);
    world.run(limit::RESUME_WINDOW - Duration::from_millis(100));
    assert_eq!(world.count("ended Dropped"), 0);
    world.run(Duration::from_millis(200));
    assert_eq!(world.count("ended Dropped"), 1);
    assert_eq!(world.count("Viewer closed Requested"), 1);
    world.run(secs(1));
    assert!(world.clients[viewer].closed, "the viewer was told");
    assert_eq!(world.watch(Viewer::new(), GOOD).unwrap_err(), Refusal::NotLive(channel()));
    world.publish(Publisher::default(), GOOD).unwrap();
    world.run(secs(1));
    assert_eq!(world.count("started"), 2, "a new broadcast");
}

#[test]
fn a_busy_channel_refuses_and_a_silent_one_is_taken_over() {
    let (mut world, streamer) = on_air(8, Publisher::default(), GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(1));
    let broadcast = world.broadcast();
    assert_eq!(world.publish(Publisher::default(), GOOD).unwrap_err(), Refusal::ChannelBusy(channel()));
    world.run(secs(1));
    assert_eq!(world.count("interrupted"), 0, "nothing was disturbed");
    world.clients[streamer].dead = true;
    world.run(limit::STREAMER_SILENCE - Duration::from_millis(100));
    assert_eq!(world.publish(Publisher::default(), GOOD).unwrap_err(), Refusal::ChannelBusy(channel()));
    world.run(Duration::from_millis(150));
    world.publish(Publisher::default(), GOOD).unwrap();
    assert_eq!(world.count("Publisher closed TakenOver"), 1);
    world.run(secs(3));
    assert_eq!((world.count("resumed"), world.broadcast()), (1, broadcast));
    let video = &world.clients[viewer].viewer().video;
    assert_eq!(video.holes(), 0);
    assert!(video.pictures().last().unwrap().0 > 60, "the viewer goes on with the new one");
    world.run(limit::RESUME_WINDOW + secs(1));
    assert!(!world.told().iter().any(|told| told.starts_with("ended")));
}

#[test]
fn a_stopped_broadcast_ends_at_once() {
    let (mut world, streamer) = on_air(9, Publisher::default(), GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(2));
    let broadcast = world.broadcast();
    world.command(Command::End { broadcast, reason: EndReason::Stopped }).unwrap();
    assert_eq!(world.count("ended Stopped"), 1);
    assert_eq!((world.count("Viewer closed Requested"), world.count("Publisher closed Requested")), (1, 1));
    assert!(matches!(world.items.last().unwrap().fact, TapFact::Closed { reason: EndReason::Stopped, .. }));
    world.run(secs(10));
    assert!(world.clients[viewer].closed && world.clients[streamer].closed);
    assert_eq!(world.stats().sessions, 0, "nothing is left");
    let unknown = world.command(Command::End { broadcast, reason: EndReason::Stopped });
    assert_eq!(unknown.unwrap_err(), Refusal::Unknown);
}

#[test]
fn sequences_and_timestamps_wrap_unnoticed() {
    let publisher = Publisher { first_sequence: 65_500, first_timestamp: u32::MAX - 200_000, ..Publisher::default() };
    let (mut world, _) = on_air(10, publisher, GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(8));
    let video = &world.clients[viewer].viewer().video;
    let pictures = video.pictures();
    assert!(pictures.len() > 220 && video.holes() == 0);
    assert!(video.live_pictures().windows(2).all(|pair| pair[1].2.wrapping_sub(pair[0].2) == 3000));
}

#[test]
fn sound_that_starts_late_and_pictures_that_pause_reach_the_viewer() {
    let (mut world, streamer) = on_air(11, Publisher { audio_muted: true, ..Publisher::default() }, GOOD);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(3));
    assert!(world.clients[viewer].viewer().audio.packets.is_empty());
    world.clients[streamer].publisher().audio_muted = false;
    world.clients[streamer].publisher().video_muted = true;
    world.run(secs(10));
    assert!(world.clients[viewer].viewer().audio.packets.len() > 490, "late sound");
    let paused = world.clients[viewer].viewer().video.packets.len();
    let asked = world.clients[streamer].publisher().plis.len();
    world.run(secs(10));
    assert_eq!(world.clients[viewer].viewer().video.packets.len(), paused);
    assert_eq!(world.clients[streamer].publisher().plis.len(), asked, "a muted track is not asked for keyframes");
    world.clients[streamer].publisher().video_muted = false;
    world.run(secs(3));
    let video = &world.clients[viewer].viewer().video;
    assert!(video.packets.len() > paused + 200 && video.holes() == 0, "it goes on");
}

#[test]
fn a_viewer_without_the_codec_gets_the_sound() {
    let publisher = Publisher { codec: Codec::H264, ..Publisher::default() };
    let (mut world, _) = on_air(12, publisher, GOOD);
    let viewer = world.watch(Viewer { vp8_only: true, ..Viewer::new() }, GOOD).unwrap();
    let other = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(secs(3));
    assert!(world.clients[viewer].viewer().video.packets.is_empty());
    assert!(world.clients[viewer].viewer().audio.packets.len() > 100);
    let video = &world.clients[other].viewer().video;
    assert!(video.packets.len() > 100 && video.packets.values().all(|got| got.payload_type == 102));
    assert!(world.dropped("codec_not_negotiated") > 100, "counted by its name");
    assert_eq!(world.told().iter().filter(|told| told.contains("Fault")).count(), 0);
}

#[test]
fn the_streamer_gets_its_feedback() {
    let (mut world, streamer) = on_air(13, Publisher::default(), GOOD);
    world.run(secs(9));
    let publisher = world.clients[streamer].publisher();
    assert!(publisher.twcc >= 90, "arrival times every 100 ms: {}", publisher.twcc);
    assert!((16..=20).contains(&publisher.receiver_reports), "two blocks a second: {}", publisher.receiver_reports);
    assert_eq!(publisher.nacked, 0);
    let stats = world.stats();
    let room = &stats.rooms[0];
    assert_eq!((room.viewers, room.connected, room.record, room.tracks.len()), (0, true, true, 2));
    let video = room.tracks.iter().find(|track| track.config.codec == Codec::Vp8).unwrap();
    assert_eq!((video.config.width, video.config.height, video.lost), (640, 360, 0));
    assert!(video.frames > 290 && (4..=7).contains(&video.keyframes), "{} keyframes", video.keyframes);
    assert!((600_000..800_000).contains(&video.bitrate), "{} bit/s", video.bitrate);
}

#[test]
fn nothing_of_a_handshake_that_never_completes_remains() {
    let mut world = World::new(14);
    let streamer = world.publish(Publisher::default(), GOOD).unwrap();
    world.clients[streamer].dead = true;
    assert_eq!(world.watch(Viewer::new(), GOOD).unwrap_err(), Refusal::NotLive(channel()));
    world.run(limit::HANDSHAKE + secs(1));
    assert_eq!(world.told(), ["Publisher closed HandshakeTimeout"]);
    let stats = world.stats();
    assert_eq!((stats.sessions, stats.rooms.len()), (0, 0));
}
