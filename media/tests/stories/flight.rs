//! Flight records: what a streamer's network did to us, played again to a router that knows nothing of it, leads to the same decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use media::diagnostics::{Diagnosis, NameIds, Note, What};
use media::message::{Codec, Command, Reply};

use crate::publisher::Publisher;
use crate::rungs::Rungs;
use crate::viewer::Viewer;
use crate::world::{GOOD, Link, World};

const BAD: Link = Link { loss: 0.05, delay: Duration::from_millis(20), jitter: Duration::from_millis(25) };

pub fn diagnosis(world: &mut World, client: usize) -> Diagnosis {
    let session = world.clients[client].id;
    match world.command(Command::Diagnose { session }) {
        Ok(Reply::Diagnosis(diagnosis)) => *diagnosis,
        other => panic!("known: {other:?}"),
    }
}

/// Notes from the end of the handshake on, with times since then and without what their shard worked on besides.
pub fn since_connected(flight: &[Note]) -> Vec<Note> {
    let begin = flight.iter().position(|note| note.what == What::Connected).expect("it connected");
    let zero = flight[begin].at;
    flight[begin..].iter().map(|note| Note { at: note.at - zero, work: 0, what: note.what.clone() }).collect()
}

/// As the offers of these stories number them.
pub const NAMES: NameIds = NameIds { rid: Some(5), repaired_rid: Some(6) };

/// Sends the heads of a flight record to a router of its own at the recorded times, and nothing else.
fn replayed(seed: u64, codec: Codec, rungs: Option<Rungs>, record: &[Note]) -> Vec<Note> {
    let mut world = World::new(seed);
    let silent = Publisher { codec, rungs, video_muted: true, audio_muted: true, ..Publisher::default() };
    let streamer = world.publish(silent, GOOD).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.clients[streamer].connected);
    let connected = diagnosis(&mut world, streamer).milestones.connected.expect("it is on air");
    let mut arrivals: BTreeMap<Duration, Vec<Vec<u8>>> = BTreeMap::new();
    for note in record {
        if let What::Packet { head, .. } = &note.what {
            arrivals.entry(note.at).or_default().push(head.packet(NAMES));
        }
    }
    let end = record.last().map_or(Duration::ZERO, |note| note.at);
    let mut at = diagnosis_age(&mut world, streamer) - connected;
    assert!(arrivals.keys().next().is_none_or(|first| at < *first), "there is time before the first packet");
    while at < end {
        at += Duration::from_millis(1);
        world.step_with(streamer, arrivals.remove(&at).unwrap_or_default());
    }
    since_connected(&diagnosis(&mut world, streamer).flight)
}

/// How long ago the session of a client was opened.
fn diagnosis_age(world: &mut World, client: usize) -> Duration {
    let opened = diagnosis(world, client).opened_utc_us;
    Duration::from_micros(world.now.utc_us - opened)
}

#[test]
fn a_flight_record_replays_to_the_same_decisions() {
    for (seed, codec) in [(1, Codec::Vp8), (2, Codec::H264), (3, Codec::Vp8)] {
        let mut world = World::new(seed);
        let streamer = world.publish(Publisher { codec, ..Publisher::default() }, BAD).unwrap();
        world.run_until(Duration::from_secs(10), |world| world.count("started") == 1);
        world.run(Duration::from_secs(5));
        let told = diagnosis(&mut world, streamer);
        assert_eq!(told.notes_lost, 0);
        let record = since_connected(&told.flight);
        let seen = |what: fn(&What) -> bool| record.iter().any(|note| what(&note.what));
        assert!(seen(|what| matches!(what, What::AskedForPackets(_))), "losses were noticed");
        assert!(seen(|what| matches!(what, What::AskedForKeyframes(_))), "keyframes were asked for");
        assert!(seen(|what| matches!(what, What::Packet { dropped: None, .. })));
        assert_eq!(replayed(100 + seed, codec, None, &record), record, "{codec:?} with seed {seed}");
    }
}

#[test]
fn a_flight_record_of_layers_replays_to_the_same_decisions() {
    for (seed, codec) in [(11, Codec::Vp8), (12, Codec::H264), (13, Codec::H264)] {
        let mut world = World::new(seed);
        let publisher = Publisher { codec, rungs: Some(Rungs::three_of(codec)), ..Publisher::default() };
        let streamer = world.publish(publisher, BAD).unwrap();
        world.run_until(Duration::from_secs(10), |world| world.count("started") == 1);
        world.run(Duration::from_secs(5));
        let told = diagnosis(&mut world, streamer);
        assert_eq!(told.notes_lost, 0);
        let record = since_connected(&told.flight);
        let repairs = record.iter().filter(|note| {
            matches!(&note.what, What::Packet { head, dropped: None } if head.name.is_some_and(|name| name.repair))
        });
        assert!(repairs.count() > 10, "layers were repaired");
        let mut silent = Rungs::three_of(codec);
        silent.0.iter_mut().for_each(|rung| rung.alive = false);
        assert_eq!(replayed(100 + seed, codec, Some(silent), &record), record, "{codec:?} with seed {seed}");
    }
}

#[test]
fn a_diagnosis_says_how_far_a_session_came() {
    let mut world = World::new(5);
    let streamer = world.publish(Publisher::default(), GOOD).unwrap();
    world.run_until(Duration::from_secs(2), |world| world.count("started") == 1);
    let viewer = world.watch(Viewer::new(), GOOD).unwrap();
    let new = diagnosis(&mut world, viewer);
    assert!(new.milestones.path.is_none() && new.milestones.connected.is_none() && new.address.is_none());
    world.run(Duration::from_secs(2));
    for client in [streamer, viewer] {
        let told = diagnosis(&mut world, client);
        let milestones = told.milestones;
        let order = [milestones.path, milestones.connected, milestones.first_packet, milestones.first_keyframe];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{milestones:?}");
        assert_eq!(told.address, Some(world.clients[client].address));
        let packets = if client == streamer { told.packets_in } else { told.packets_out };
        assert!(packets > 50 && told.closed.is_none());
    }
    let stats = world.stats();
    assert_eq!(stats.join.classes.iter().sum::<u64>(), 2, "two sessions joined");
    assert_eq!(stats.first_picture.classes.iter().sum::<u64>(), 1, "one viewer saw a picture");
    let session = world.clients[viewer].id;
    world.command(Command::Close { session }).unwrap();
    world.run(Duration::from_secs(5));
    assert!(diagnosis(&mut world, viewer).closed.is_some(), "closed sessions are remembered");
    let Ok(Reply::Diagnoses(all)) = world.command(Command::DiagnoseAll) else { panic!("a list") };
    assert_eq!(all.iter().map(|told| told.session).collect::<Vec<_>>(), [world.clients[streamer].id, session]);
    assert!(all.iter().all(|told| told.flight.is_empty()));
}
