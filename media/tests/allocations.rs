//! Once it runs, the media path allocates nothing: not for a packet, not for a viewer, not for feedback, not for a repair. Every allocation of this
//! process is counted, so that this is the only test of its target. And what a viewer takes is bounded.

#[path = "support/peer.rs"]
#[allow(dead_code, reason = "shared with other test targets")]
mod peer;
#[path = "stories/publisher.rs"]
#[allow(dead_code, reason = "shared with other test targets")]
mod publisher;
#[path = "stories/rungs.rs"]
#[allow(dead_code, reason = "shared with other test targets")]
mod rungs;
#[path = "stories/scalable.rs"]
#[allow(dead_code, reason = "shared with other test targets")]
mod scalable;
#[path = "stories/viewer.rs"]
#[allow(dead_code, reason = "shared with other test targets")]
mod viewer;
#[path = "stories/world.rs"]
#[allow(dead_code, reason = "shared with other test targets")]
mod world;

use std::net::SocketAddr;
use std::time::Duration;

use media::arena::SendArena;
use media::id::ShardId;
use media::message::{Codec, Command, Input, Now, Quality};
use media::router::{Flushed, Router, RouterConfig};
use media::session::Certificate;
use media::session::feedback::{Compound, ReportBlock, TwccRecorder};

use publisher::Publisher;
use scalable::Scalable;
use viewer::Viewer;
use world::{GOOD, Kind, World};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const VIEWERS: usize = 40;
/// The rings reuse their buffers once they are full; sound takes longest.
const FULL: Duration = Duration::from_secs(45);
const WARM_UP: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(1);
const STEPS: u32 = 300;
/// What a session with picture and sound takes of the heap once it has given reports: keys, numbers, what is on its way, its place in the tables.
const VIEWER_BYTES: usize = 12 * 1024;

type Datagram = (Now, SocketAddr, Vec<u8>);

/// Allocations while `datagrams` are handled and answered. Timers run too, but their work is per session and second, not per packet.
fn allocations(world: &mut World, datagrams: Vec<Datagram>) -> u64 {
    let (mut arena, mut counted) = (SendArena::new(), 0);
    for (now, from, mut data) in datagrams {
        let before = dhat::HeapStats::get().total_blocks;
        world.routers[0].handle(now, Input::Datagram { from, data: &mut data }, &mut arena);
        while world.routers[0].flush(now, &mut arena) == Flushed::More {
            arena.clear();
        }
        arena.clear();
        counted += dhat::HeapStats::get().total_blocks - before;
        if world.routers[0].next_deadline().is_some_and(|due| due <= now.mono) {
            world.routers[0].handle(now, Input::Tick, &mut arena);
        }
        while world.routers[0].poll().is_some() {}
        world.now = now;
    }
    counted
}

/// Bytes that the router holds with so many viewers.
fn held(viewers: usize) -> usize {
    let mut world = World::new(2);
    world.records = false;
    world.publish(Publisher::default(), GOOD).expect("published");
    world.run(WARM_UP);
    for _ in 0..viewers {
        world.watch(Viewer::new(), GOOD).expect("watching");
    }
    world.run(WARM_UP);
    let config = RouterConfig { shard: ShardId(0), announce: Vec::new(), seed: [0; 32] };
    let other = Router::new(config, Certificate::generate().expect("a certificate"));
    let router = std::mem::replace(&mut world.routers[0], other);
    let before = dhat::HeapStats::get().curr_bytes;
    drop(router);
    before - dhat::HeapStats::get().curr_bytes
}

/// What the streamer sends in the next moments, sealed.
fn media(world: &mut World) -> Vec<Datagram> {
    let (mut now, client) = (world.now, &mut world.clients[0]);
    let (peer, address) = (&mut client.peer, client.address);
    let Kind::Publisher(publisher) = &mut client.kind else { panic!("the first client publishes") };
    let mut all = Vec::new();
    for _ in 0..STEPS {
        now = now.after(STEP);
        publisher.act(now, |packet, rtcp| {
            if !rtcp {
                all.push((now, address, peer.seal_rtp(packet)));
            }
        });
    }
    all
}

/// What the viewers say next: a report, arrival times, and that the newest packet of the picture is missing.
fn feedback(world: &mut World) -> Vec<Datagram> {
    let now = world.now.after(STEP);
    let clients = world.clients.iter_mut().skip(1);
    let compounds = clients.map(|client| {
        let stream = &client.viewer().video;
        let (ssrc, newest) = (stream.ssrc, *stream.packets.keys().next_back().expect("media came"));
        let mut compound = Compound::new();
        compound.receiver_report(1, &[ReportBlock { ssrc, highest: newest as u32, ..ReportBlock::default() }]);
        let mut arrivals = TwccRecorder::new();
        (0..26).for_each(|at| arrivals.received(now.mono, at));
        assert!(arrivals.poll(now.mono + Duration::from_secs(1), 1, ssrc, &mut compound));
        compound.nack(1, ssrc, &[newest as u16]);
        (now, client.address, client.peer.seal_rtcp(compound.as_bytes()))
    });
    compounds.collect()
}

#[test]
fn packets_viewers_feedback_and_repairs_allocate_nothing() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut world = World::new(1);
    world.records = false;
    let scalable = Some(Scalable::new(Codec::Vp9, 3, 3));
    world.publish(Publisher { codec: Codec::Vp9, scalable, red: 1, ..Publisher::default() }, GOOD).expect("published");
    world.run(FULL);
    for viewer in 0..VIEWERS {
        // Some get sound as it comes, with what it repeats, others the packet's own.
        let takes_red = viewer % 4 < 2;
        world.watch(Viewer { takes_red, ..Viewer::new() }, GOOD).expect("watching");
    }
    world.run(WARM_UP);
    // Every other viewer gets two of three spatial layers.
    for viewer in (1..=VIEWERS).step_by(2) {
        let session = world.clients[viewer].id;
        world.command(Command::Prefer { session, quality: Quality::AtMost(360) }).expect("a viewer");
    }
    // Some are traced, and what came from them fills their traces.
    for viewer in 1..=media::limit::TRACES {
        let session = world.clients[viewer].id;
        world.command(Command::Trace { session, on: true }).expect("a viewer");
    }
    world.run(WARM_UP);

    let before = world.stats();
    // The list of recent repairs is made with the first one; a viewer's notes reuse their room once there are as many as are kept, two a round.
    let rounds = media::limit::VIEWER_NOTES / 2 + 1;
    for _ in 0..rounds {
        let inputs = feedback(&mut world);
        assert_eq!(inputs.len(), VIEWERS);
        allocations(&mut world, inputs);
        world.run(Duration::from_millis(300));
    }
    let inputs = feedback(&mut world);
    assert_eq!(allocations(&mut world, inputs), 0, "feedback of {VIEWERS} viewers");
    let after = world.stats();
    assert_eq!(after.retransmitted - before.retransmitted, ((rounds + 1) * VIEWERS) as u64, "{after:?}");

    let inputs = media(&mut world);
    let packets = inputs.len() as u64;
    assert_eq!(allocations(&mut world, inputs), 0, "{packets} packets to {VIEWERS} viewers");
    let sent = world.stats().packets_out - after.packets_out;
    let left_out = world.dropped("layer");
    assert!(packets > 30 && sent >= packets * VIEWERS as u64 * 3 / 4, "{packets} in, {sent} out");
    assert!(left_out > 500, "{left_out} were left out");

    let each = (held(VIEWERS) - held(0)) / VIEWERS;
    assert!((VIEWER_BYTES / 4..=VIEWER_BYTES).contains(&each), "{each} bytes a viewer");
}
