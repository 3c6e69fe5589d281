//! Traced viewers: what a viewer said of its network and what its streamer sent, both played again to a router that knows nothing of them, lead to the
//! same decisions about that viewer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use media::diagnostics::{Diagnosis, Note, Stream, What};
use media::limit;
use media::message::{Codec, Command, Quality, Refusal};

use crate::flight::{NAMES, diagnosis, since_connected};
use crate::publisher::Publisher;
use crate::rungs::Rungs;
use crate::viewer::Viewer;
use crate::world::{Arrival, GOOD, Kind, Link, World};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const BAD: Link = Link { loss: 0.05, delay: Duration::from_millis(20), jitter: Duration::from_millis(25) };
const AT_ONCE: Link = Link { delay: Duration::ZERO, ..GOOD };

/// Microseconds since the Unix epoch.
fn connected_utc(told: &Diagnosis) -> u64 {
    told.opened_utc_us + told.milestones.connected.expect("it connected").as_micros() as u64
}

fn trace(world: &mut World, client: usize, on: bool) -> Result<(), Refusal> {
    let session = world.clients[client].id;
    world.command(Command::Trace { session, on }).map(drop)
}

/// A streamer who sends nothing by itself, connected.
fn silent(seed: u64, utc_us: u64, codec: Codec, layers: bool) -> (World, usize) {
    let mut world = World::new(seed);
    world.now.utc_us = utc_us;
    let rungs = layers.then(|| {
        let mut rungs = Rungs::three_of(codec);
        rungs.0.iter_mut().for_each(|rung| rung.alive = false);
        rungs
    });
    let publisher = Publisher { codec, rungs, video_muted: true, audio_muted: true, ..Publisher::default() };
    let streamer = world.publish(publisher, GOOD).unwrap();
    world.run_until(2 * SECOND, |world| world.clients[streamer].connected);
    (world, streamer)
}

fn streams(flight: &[Note]) -> Vec<Stream> {
    let stream = |note: &Note| match note.what {
        What::Stream(stream) => Some(stream),
        _ => None,
    };
    flight.iter().filter_map(stream).collect()
}

/// A compound that names streams by other numbers: SSRCs, and in NACKs (RFC 4585 §6.2.1) sequence numbers.
fn renamed(compound: &[u8], from: &[Stream], to: &[Stream]) -> Vec<u8> {
    let mut out = compound.to_vec();
    let mut at = 0;
    while at + 4 <= out.len() {
        let len = 4 * (1 + usize::from(u16::from_be_bytes([out[at + 2], out[at + 3]])));
        let packet = &mut out[at..at + len];
        let (count, kind) = (packet[0] & 31, packet[1]);
        let ssrcs: Vec<usize> = match kind {
            201 => (0..usize::from(count)).map(|block| 8 + 24 * block).collect(),
            205 | 206 => vec![8],
            _ => Vec::new(),
        };
        for place in ssrcs {
            let ssrc = u32::from_be_bytes(packet[place..place + 4].try_into().unwrap());
            let Some(of) = from.iter().position(|stream| stream.ssrc == ssrc) else { continue };
            packet[place..place + 4].copy_from_slice(&to[of].ssrc.to_be_bytes());
            if (kind, count) == (205, 1) {
                for lost in packet[12..].chunks_exact_mut(4) {
                    let sequence = u16::from_be_bytes([lost[0], lost[1]]);
                    let renamed = sequence.wrapping_sub(from[of].first).wrapping_add(to[of].first);
                    lost[..2].copy_from_slice(&renamed.to_be_bytes());
                }
            }
        }
        at += len;
    }
    out
}

/// What a viewer's record says apart from the numbers that were drawn for it.
fn decisions(told: &Diagnosis) -> Vec<Note> {
    let mut notes = since_connected(&told.flight);
    for note in &mut notes {
        if let What::Feedback(compound) = &mut note.what {
            *compound = vec![0; compound.len()].into();
        }
    }
    notes
}

/// Plays both records, which were read at `end_utc`, to a router of its own. What it tells of streamer and viewer.
fn replayed(seed: u64, codec: Codec, layers: bool, records: &[Diagnosis; 2], end_utc: u64) -> [Diagnosis; 2] {
    let [streamer_told, viewer_told] = records;
    let zero = connected_utc(streamer_told);
    // A rehearsal shows how long handshakes take.
    let begin = zero - SECOND.as_micros() as u64;
    let (mut world, streamer) = silent(seed, begin, codec, layers);
    let begin = begin + zero - connected_utc(&diagnosis(&mut world, streamer));
    let viewer = world.watch(Viewer::new(), AT_ONCE).unwrap();
    let opened = world.now.utc_us;
    world.run_until(SECOND, |world| diagnosis(world, viewer).milestones.connected.is_some());
    let joins = connected_utc(viewer_told) - (world.now.utc_us - opened);

    let (mut world, streamer) = silent(seed, begin, codec, layers);
    assert_eq!(connected_utc(&diagnosis(&mut world, streamer)), zero);
    let mut script: BTreeMap<(u64, u32), Vec<(usize, What)>> = BTreeMap::new();
    for (client, told) in records.iter().enumerate() {
        for note in &told.flight {
            let at = told.opened_utc_us + note.at.as_micros() as u64;
            if at > connected_utc(told) || (client == viewer && note.what == What::Connected) {
                script.entry((at, note.work)).or_default().push((client, note.what.clone()));
            }
        }
    }
    assert!(joins >= world.now.utc_us && script.keys().next().is_none_or(|first| first.0 > world.now.utc_us));
    let from = streams(&viewer_told.flight);
    let mut to = Vec::new();
    while world.now.utc_us < end_utc {
        if world.now.utc_us == joins {
            assert_eq!(world.watch(Viewer::new(), AT_ONCE).unwrap(), viewer);
            trace(&mut world, viewer, true).unwrap();
            to = streams(&diagnosis(&mut world, viewer).flight);
        }
        let next = world.now.utc_us + MS.as_micros() as u64;
        let (mut packets, mut preferred) = (Vec::new(), None);
        let later = script.split_off(&(next + 1, 0));
        for (client, what) in std::mem::replace(&mut script, later).into_values().flatten() {
            match what {
                What::Connected => packets.push(Arrival::Handshake),
                What::Packet { head, .. } => packets.push(Arrival::Packet(client, head.packet(NAMES))),
                What::Feedback(compound) => packets.push(Arrival::Packet(client, renamed(&compound, &from, &to))),
                What::Moved(address) => {
                    world.move_to(client, address);
                    packets.push(Arrival::Packet(client, world.clients[client].peer.check(true)));
                }
                What::Preferred(quality) => preferred = Some(quality),
                _ => {}
            }
        }
        world.step_of(packets);
        // Stories give commands at the end of a millisecond.
        if let Some(quality) = preferred {
            let session = world.clients[viewer].id;
            world.command(Command::Prefer { session, quality }).unwrap();
        }
    }
    [streamer, viewer].map(|client| diagnosis(&mut world, client))
}

fn seen(told: &Diagnosis, what: impl Fn(&What) -> bool) -> usize {
    told.flight.iter().filter(|note| what(&note.what)).count()
}

fn assert_same(records: &[Diagnosis; 2], again: &[Diagnosis; 2]) {
    assert!(records.iter().all(|told| told.notes_lost == 0));
    assert_eq!(decisions(&again[1]), decisions(&records[1]));
    assert_eq!(since_connected(&again[0].flight), since_connected(&records[0].flight));
    assert_eq!((again[1].packets_out, &again[1].drops), (records[1].packets_out, &records[1].drops));
}

#[test]
fn a_viewer_with_losses_is_treated_the_same_again() {
    for (seed, codec) in [(1, Codec::Vp8), (2, Codec::H264), (3, Codec::Vp8)] {
        let mut world = World::new(seed);
        let streamer = world.publish(Publisher { codec, ..Publisher::default() }, BAD).unwrap();
        world.run_until(10 * SECOND, |world| world.count("started") == 1);
        world.run(2 * SECOND);
        let viewer = world.watch(Viewer::new(), BAD).unwrap();
        trace(&mut world, viewer, true).unwrap();
        world.run(3 * SECOND);
        let Kind::Viewer(asking) = &mut world.clients[viewer].kind else { panic!("it watches") };
        asking.asks_at_once = true;
        // Its network is another one from here on.
        let elsewhere = SocketAddr::from(([10, 1, 0, 1], 5000));
        world.move_to(viewer, elsewhere);
        world.run(4 * SECOND);
        let records = [streamer, viewer].map(|client| diagnosis(&mut world, client));
        let told = &records[1];
        assert!(seen(told, |what| matches!(what, What::Repaired(_))) > 5, "losses were repaired");
        assert_eq!(seen(told, |what| *what == What::Moved(elsewhere)), 1);
        let again = replayed(100 + seed, codec, false, &records, world.now.utc_us);
        assert_same(&records, &again);
    }
}

#[test]
fn a_viewer_whose_network_is_slow_is_given_the_same_layers_again() {
    for (seed, codec) in [(11, Codec::Vp8), (12, Codec::H264)] {
        let mut world = World::new(seed);
        let publisher = Publisher { codec, rungs: Some(Rungs::three_of(codec)), ..Publisher::default() };
        let streamer = world.publish(publisher, GOOD).unwrap();
        world.run_until(10 * SECOND, |world| world.count("started") == 1);
        world.run(SECOND);
        let viewer = world.watch(Viewer::new(), Link { loss: 0.01, ..GOOD }).unwrap();
        trace(&mut world, viewer, true).unwrap();
        world.run(SECOND);
        world.clients[viewer].down_rate = Some(650_000);
        world.run(6 * SECOND);
        let session = world.clients[viewer].id;
        world.command(Command::Prefer { session, quality: Quality::AtMost(180) }).unwrap();
        world.run(SECOND);
        world.clients[viewer].down_rate = Some(120_000);
        world.run(4 * SECOND);
        let records = [streamer, viewer].map(|client| diagnosis(&mut world, client));
        let told = &records[1];
        for layer in 0..3 {
            let given = seen(told, |what| matches!(what, What::Stands(standing) if standing.layer == Some(layer)));
            assert!(given > 0, "layer {layer} was given");
        }
        assert!(seen(told, |what| matches!(what, What::Stands(standing) if standing.paused)) > 0);
        assert!(seen(told, |what| matches!(what, What::Carries(carries) if carries.congested)) > 0);
        let again = replayed(100 + seed, codec, true, &records, world.now.utc_us);
        assert_same(&records, &again);

        let mut without = records.clone();
        without[1].flight.retain(|note| !matches!(note.what, What::Feedback(_)));
        let other = replayed(100 + seed, codec, true, &without, world.now.utc_us);
        assert_eq!(seen(&other[1], |what| matches!(what, What::Stands(standing) if standing.paused)), 0);
    }
}

#[test]
fn so_many_viewers_are_traced_at_a_time_and_no_more() {
    let mut world = World::new(21);
    let streamer = world.publish(Publisher::default(), GOOD).unwrap();
    world.run_until(2 * SECOND, |world| world.count("started") == 1);
    let early = world.watch(Viewer::new(), GOOD).unwrap();
    trace(&mut world, streamer, true).unwrap();
    let joined: Vec<usize> = (0..limit::TRACES + 1).map(|_| world.watch(Viewer::new(), GOOD).unwrap()).collect();
    world.run(2 * SECOND);
    let is_traced =
        |world: &mut World, viewer| seen(&diagnosis(world, viewer), |what| matches!(what, What::Feedback(_))) > 0;
    assert!(!is_traced(&mut world, early), "it was there before");
    let traced = joined.iter().filter(|viewer| is_traced(&mut world, **viewer)).count();
    assert_eq!(traced, limit::TRACES);
    assert!(matches!(trace(&mut world, early, true), Err(Refusal::Full(_))));

    trace(&mut world, joined[0], false).unwrap();
    let told = diagnosis(&mut world, joined[0]);
    assert!(told.flight.len() <= limit::VIEWER_NOTES && told.notes_lost > 0);
    assert!(!is_traced(&mut world, joined[0]));
    trace(&mut world, early, true).unwrap();
    trace(&mut world, streamer, false).unwrap();
    trace(&mut world, joined[1], false).unwrap();
    let late = world.watch(Viewer::new(), GOOD).unwrap();
    world.run(SECOND);
    assert!(is_traced(&mut world, early) && !is_traced(&mut world, late));
}
