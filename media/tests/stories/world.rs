//! The emulated world: one router or several that share their rooms, its clients, a network that loses, delays and reorders.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use media::across::Across;
use media::arena::SendArena;
use media::id::{BroadcastId, ChannelName, SessionId, ShardId};
use media::message::{
    Command, Event, Input, Now, Output, Publish, Refusal, Reply, RequestId, ShardStats, TapFact, TapItem, Watch,
};
use media::router::{Flushed, Router, RouterConfig};
use media::rtp::packet::Header;
use media::rtp::seq::SequenceUnwrapper;
use media::session::Certificate;
use media::stun_user;

use crate::peer::{BROWSER_PROFILES, Heard, Identity, Peer};
use crate::publisher::Publisher;
use crate::viewer::Viewer;

/// What the network does to datagrams, each way.
#[derive(Clone, Copy)]
pub struct Link {
    /// Of 1.
    pub loss: f64,
    pub delay: Duration,
    /// Added at random, so that datagrams overtake each other.
    pub jitter: Duration,
}

pub const GOOD: Link = Link { loss: 0.0, delay: Duration::from_millis(5), jitter: Duration::ZERO };

/// Longest wait in the queue of a slow link; what comes then is lost.
const QUEUE: Duration = Duration::from_millis(300);

pub enum Kind {
    Publisher(Box<Publisher>),
    Viewer(Box<Viewer>),
}

pub struct Client {
    pub id: SessionId,
    pub peer: Peer,
    pub address: SocketAddr,
    /// The router that its datagrams come to.
    pub shard: usize,
    pub kind: Kind,
    pub up: Link,
    pub down: Link,
    /// Bits per second that reach it, behind a queue of [`QUEUE`].
    pub down_rate: Option<u64>,
    /// When the queue is empty.
    drained: Instant,
    /// Datagrams that found it full.
    pub overflowed: u64,
    pub connected: bool,
    pub closed: bool,
    /// It fell silent without a word.
    pub dead: bool,
    next_check: Instant,
    dtls_started: bool,
}

impl Client {
    pub fn publisher(&mut self) -> &mut Publisher {
        let Kind::Publisher(publisher) = &mut self.kind else { panic!("no publisher") };
        publisher
    }

    pub fn viewer(&self) -> &Viewer {
        let Kind::Viewer(viewer) = &self.kind else { panic!("no viewer") };
        viewer
    }
}

/// See [`World::step_of`].
pub enum Arrival {
    /// RTP or RTCP of a client, or a check as it is.
    Packet(usize, Vec<u8>),
    /// Whatever is under way.
    Handshake,
}

type Flight = Reverse<(Instant, u64, usize, bool)>;

pub struct World {
    pub now: Now,
    /// Time that passes in one go: a millisecond, or more in stories of hours.
    pub stride: Duration,
    /// The first one is the home of all rooms.
    pub routers: Vec<Router>,
    /// The router that the datagrams of clients come to who join from now on.
    pub shard: usize,
    /// So many of 1 messages between routers are lost.
    pub mesh_loss: f64,
    /// Messages between routers so far.
    pub told_across: u64,
    arena: SendArena,
    rng: StdRng,
    identity: Identity,
    pub clients: Vec<Client>,
    /// So many of 1 datagrams come twice.
    pub doubled: f64,
    flights: BinaryHeap<Flight>,
    freight: HashMap<u64, Vec<u8>>,
    sent: u64,
    pub events: Vec<Event>,
    pub items: Vec<TapItem>,
    /// Datagrams that the router sent, whoever is there to get them.
    pub datagrams_out: u64,
    replies: HashMap<u64, Result<Reply, Refusal>>,
    next_session: u64,
    /// Broadcasts from now on are recorded.
    pub records: bool,
    /// Per destination and SSRC: what was sealed.
    sealed: HashMap<(SocketAddr, u32), (SequenceUnwrapper, HashSet<u64>)>,
    /// The first addresses of clients who moved, by their later ones.
    moved: HashMap<SocketAddr, SocketAddr>,
}

fn new_router(seed: u64, shard: usize) -> Router {
    thread_local!(static CERTIFICATE: Certificate = Certificate::generate().unwrap());
    let mut bytes = [shard as u8; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let announce = vec![SocketAddr::from(([127, 0, 0, 1], 8189))];
    let config = RouterConfig { shard: ShardId(shard as u16), announce, seed: bytes };
    Router::new(config, CERTIFICATE.with(Clone::clone))
}

pub fn channel() -> ChannelName {
    "main".parse().unwrap()
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a story needs some instant to start from")]
    pub fn new(seed: u64) -> Self {
        thread_local!(static IDENTITY: Identity = Identity::new(&BROWSER_PROFILES));
        Self {
            now: Now { mono: Instant::now(), utc_us: 1_700_000_000_000_000 },
            stride: Duration::from_millis(1),
            routers: vec![new_router(seed, 0)],
            shard: 0,
            mesh_loss: 0.0,
            told_across: 0,
            arena: SendArena::new(),
            rng: StdRng::seed_from_u64(seed),
            identity: IDENTITY.with(Clone::clone),
            clients: Vec::new(),
            doubled: 0.0,
            flights: BinaryHeap::new(),
            freight: HashMap::new(),
            sent: 0,
            events: Vec::new(),
            items: Vec::new(),
            datagrams_out: 0,
            replies: HashMap::new(),
            next_session: 0,
            records: true,
            sealed: HashMap::new(),
            moved: HashMap::new(),
        }
    }

    /// Several routers, the first of which is the home of all rooms.
    pub fn sharded(seed: u64, shards: usize) -> Self {
        let routers = (0..shards).map(|shard| new_router(seed, shard)).collect();
        Self { routers, ..Self::new(seed) }
    }

    /// A router forgets all, as after a failure.
    pub fn fail(&mut self, shard: usize) {
        self.routers[shard] = new_router(self.sent, shard);
    }

    pub fn command(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.next_session += 1;
        let request = RequestId(self.next_session);
        let of_session = match &command {
            Command::Prefer { session, .. } | Command::Close { session } | Command::Ice { session, .. } => {
                Some(session)
            }
            Command::Diagnose { session } | Command::Trace { session, .. } => Some(session),
            _ => None,
        };
        let shard = of_session.and_then(|session| self.routers.iter().position(|router| router.has(*session)));
        let router = &mut self.routers[shard.unwrap_or(0)];
        router.handle(self.now, Input::Command { request, command }, &mut self.arena);
        self.drain();
        self.replies.remove(&request.0).expect("each command is answered")
    }

    /// A streamer; its client number.
    pub fn publish(&mut self, publisher: Publisher, link: Link) -> Result<usize, Refusal> {
        let mut peer = Peer::new(self.identity.clone());
        let offer = publisher.offer(&peer);
        let session = self.session();
        let publish = Publish {
            session,
            channel: channel(),
            broadcast: BroadcastId::new(self.now.utc_us / 1000, u128::from(self.next_session)),
            offer,
            record: self.records,
            prefer_video: None,
        };
        let Reply::Published { answer, .. } = self.command(Command::Publish(publish))? else { panic!("published") };
        peer.answered(&answer);
        Ok(self.join(session, peer, Kind::Publisher(Box::new(publisher)), link))
    }

    pub fn watch(&mut self, viewer: Viewer, link: Link) -> Result<usize, Refusal> {
        let mut peer = Peer::new(self.identity.clone());
        let offer = viewer.offer(&peer);
        let session = self.session();
        let Reply::Watching { answer, .. } =
            self.command(Command::Watch(Watch { session, channel: channel(), offer }))?
        else {
            panic!("watching")
        };
        peer.answered(&answer);
        let viewer = viewer.answered(&answer);
        Ok(self.join(session, peer, Kind::Viewer(Box::new(viewer)), link))
    }

    /// From now on a client's datagrams come from this address.
    pub fn move_to(&mut self, client: usize, address: SocketAddr) {
        let before = std::mem::replace(&mut self.clients[client].address, address);
        let first = self.moved.get(&before).copied().unwrap_or(before);
        self.moved.insert(address, first);
    }

    /// Of the home.
    pub fn stats(&mut self) -> ShardStats {
        let Ok(Reply::Stats(stats)) = self.command(Command::Stats) else { panic!("stats") };
        *stats
    }

    pub fn dropped(&mut self, reason: &str) -> u64 {
        self.stats().dropped.iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| *count)
    }

    fn session(&mut self) -> SessionId {
        self.next_session += 1;
        SessionId::new(ShardId(0), self.next_session)
    }

    fn join(&mut self, id: SessionId, peer: Peer, kind: Kind, link: Link) -> usize {
        let address = SocketAddr::from(([10, 0, (self.clients.len() >> 8) as u8, self.clients.len() as u8], 5000));
        self.clients.push(Client {
            id,
            peer,
            address,
            shard: self.shard,
            kind,
            up: link,
            down: link,
            down_rate: None,
            drained: self.now.mono,
            overflowed: 0,
            connected: false,
            closed: false,
            dead: false,
            next_check: self.now.mono,
            dtls_started: false,
        });
        self.clients.len() - 1
    }

    /// A datagram out of nowhere.
    pub fn datagram(&mut self, from: SocketAddr, data: &mut [u8]) {
        self.routers[0].handle(self.now, Input::Datagram { from, data }, &mut self.arena);
        self.drain();
    }

    /// What a client sent has come, and goes to the router that has the session.
    fn arrive(&mut self, client: usize, data: &mut [u8]) {
        let Client { shard, address: from, .. } = self.clients[client];
        let user = stun_user(data);
        let is_here = |router: &Router| user.map_or(router.knows_path(from), |user| router.expects(user));
        let mut at = shard;
        if shard > 0 && !is_here(&self.routers[shard]) {
            match self.routers[0].give_away(data) {
                Some(moving) => {
                    let message = Across::Session(moving);
                    self.routers[shard].handle(self.now, Input::Across { from: ShardId(0), message }, &mut self.arena);
                }
                None => at = self.routers.iter().position(is_here).unwrap_or(shard),
            }
        }
        self.routers[at].handle(self.now, Input::Datagram { from, data }, &mut self.arena);
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while self.now.mono < until {
            self.step();
        }
    }

    /// Runs until something is so; fails after `limit`.
    pub fn run_until(&mut self, limit: Duration, mut is_so: impl FnMut(&mut Self) -> bool) {
        let until = self.now.mono + limit;
        while !is_so(self) {
            assert!(self.now.mono < until, "it did not come to that");
            self.step();
        }
    }

    /// One stride.
    fn step(&mut self) {
        self.now = self.now.after(self.stride);
        self.land();
        for at in 0..self.clients.len() {
            self.act(at);
        }
        self.tick();
        self.drain();
    }

    fn land(&mut self) {
        while let Some(Reverse((at, ..))) = self.flights.peek() {
            if *at > self.now.mono {
                break;
            }
            let Some(Reverse((_, number, client, upwards))) = self.flights.pop() else { break };
            let mut data = self.freight.remove(&number).unwrap();
            if upwards {
                self.arrive_with_room(client, &mut data);
            } else {
                self.hear(client, &data);
            }
        }
    }

    fn arrive_with_room(&mut self, client: usize, data: &mut [u8]) {
        self.arrive(client, data);
        if self.arena.room() < 100_000 {
            self.send();
        }
    }

    /// One millisecond in which exactly these packets of a client arrive.
    pub fn step_with(&mut self, client: usize, packets: Vec<Vec<u8>>) {
        self.step_of(packets.into_iter().map(|packet| Arrival::Packet(client, packet)).collect());
    }

    /// One millisecond in which of each client who is connected exactly this arrives, in this order. Others go on with their handshakes.
    pub fn step_of(&mut self, arrivals: Vec<Arrival>) {
        self.now = self.now.after(Duration::from_millis(1));
        for arrival in arrivals {
            let Arrival::Packet(client, mut packet) = arrival else {
                self.land();
                continue;
            };
            let peer = &mut self.clients[client].peer;
            let mut data = match packet[..2] {
                [0..=3, _] => std::mem::take(&mut packet),
                [_, 192..=223] => peer.seal_rtcp(&packet),
                _ => peer.seal_rtp(&packet),
            };
            self.arrive_with_room(client, &mut data);
        }
        self.land();
        for at in 0..self.clients.len() {
            if !self.clients[at].connected {
                self.act(at);
            }
        }
        self.tick();
        self.drain();
    }

    fn act(&mut self, at: usize) {
        let now = self.now;
        let client = &mut self.clients[at];
        if client.dead || client.closed {
            return;
        }
        let mut out = Vec::new();
        if now.mono >= client.next_check {
            let pause = if client.connected { 2500 } else { 50 };
            client.next_check = now.mono + Duration::from_millis(pause);
            out.push(client.peer.check(true));
        }
        if client.dtls_started && !client.connected {
            client.peer.tick(now.mono);
        }
        while let Some(datagram) = client.peer.poll() {
            out.push(datagram);
        }
        if client.connected {
            let peer = &mut client.peer;
            match &mut client.kind {
                Kind::Publisher(publisher) => publisher.act(now, |packet, rtcp| {
                    out.push(if rtcp { peer.seal_rtcp(packet) } else { peer.seal_rtp(packet) });
                }),
                Kind::Viewer(viewer) => viewer.act(now, |compound| out.push(peer.seal_rtcp(compound))),
            }
        }
        for datagram in out {
            self.fly(at, datagram, true);
        }
    }

    fn fly(&mut self, client: usize, datagram: Vec<u8>, upwards: bool) {
        let link = if upwards { self.clients[client].up } else { self.clients[client].down };
        if link.loss > 0.0 && self.rng.random_bool(link.loss) {
            return;
        }
        if self.doubled > 0.0 && self.rng.random_bool(self.doubled) {
            self.take_off(client, datagram.clone(), upwards, link);
        }
        self.take_off(client, datagram, upwards, link);
    }

    fn take_off(&mut self, client: usize, datagram: Vec<u8>, upwards: bool, link: Link) {
        let jitter = link.jitter.as_micros() as u64;
        let late = Duration::from_micros(if jitter == 0 { 0 } else { self.rng.random_range(0..jitter) });
        let mut departs = self.now.mono;
        let to = &mut self.clients[client];
        if let Some(rate) = to.down_rate.filter(|_| !upwards) {
            departs = to.drained.max(departs) + Duration::from_micros(datagram.len() as u64 * 8_000_000 / rate);
            if departs > self.now.mono + QUEUE {
                to.overflowed += 1;
                return;
            }
            to.drained = departs;
        }
        self.sent += 1;
        self.freight.insert(self.sent, datagram);
        self.flights.push(Reverse((departs + link.delay + late, self.sent, client, upwards)));
    }

    fn hear(&mut self, at: usize, data: &[u8]) {
        let client = &mut self.clients[at];
        if client.dead {
            return;
        }
        match client.peer.receive(self.now.mono, data) {
            Heard::StunSuccess if !client.dtls_started => {
                client.dtls_started = true;
                client.peer.start_dtls(self.now.mono);
            }
            Heard::Connected(_) => client.connected = true,
            Heard::Closed => client.closed = true,
            Heard::Rtp(packet) => match &mut client.kind {
                Kind::Viewer(viewer) => viewer.rtp(self.now, &packet),
                Kind::Publisher(_) => panic!("media to a publisher"),
            },
            Heard::Rtcp(compound) => match &mut client.kind {
                Kind::Viewer(viewer) => viewer.rtcp(self.now, &compound),
                Kind::Publisher(publisher) => publisher.rtcp(self.now, &compound),
            },
            Heard::Undecryptable => panic!("sealed with other keys, or twice with the same number"),
            Heard::StunSuccess | Heard::Handshake => {}
            Heard::StunError(code) => panic!("a check was refused: {code}"),
        }
    }

    fn tick(&mut self) {
        for router in &mut self.routers {
            if router.next_deadline().is_some_and(|due| due <= self.now.mono) {
                router.handle(self.now, Input::Tick, &mut self.arena);
            }
        }
    }

    fn drain(&mut self) {
        while self.drain_once() {}
    }

    /// True when routers told each other something.
    fn drain_once(&mut self) -> bool {
        let mut told = Vec::new();
        for at in 0..self.routers.len() {
            loop {
                let flushed = self.routers[at].flush(self.now, &mut self.arena);
                self.send();
                if flushed == Flushed::Done {
                    break;
                }
            }
            while let Some(output) = self.routers[at].poll() {
                match output {
                    Output::Reply { request, reply } => drop(self.replies.insert(request.0, reply)),
                    Output::Event(event) => self.events.push(event),
                    Output::Tap(item) => self.items.push(item),
                    Output::Across { to, message } => told.push((at, to, message)),
                    Output::Named { .. } => {}
                }
            }
        }
        let any = !told.is_empty();
        self.told_across += told.len() as u64;
        for (from, to, message) in told {
            if self.mesh_loss > 0.0 && self.rng.random_bool(self.mesh_loss) {
                self.routers[from].undelivered(&message);
                continue;
            }
            let input = Input::Across { from: ShardId(from as u16), message };
            self.routers[usize::from(to.0)].handle(self.now, input, &mut self.arena);
        }
        any
    }

    fn send(&mut self) {
        let datagrams: Vec<_> = self.arena.datagrams().map(|(to, data)| (to, data.to_vec())).collect();
        self.arena.clear();
        self.datagrams_out += datagrams.len() as u64;
        for (to, data) in datagrams {
            self.check_nonce(to, &data);
            // An address may have had several sessions; the newest has it.
            if let Some(client) = self.clients.iter().rposition(|client| client.address == to) {
                self.fly(client, data, false);
            }
        }
    }

    /// Headers travel in clear: each (SSRC, rollover, sequence number) may be seen once.
    fn check_nonce(&mut self, to: SocketAddr, data: &[u8]) {
        if !(128..192).contains(&data[0]) || (192..=223).contains(&data[1]) {
            return;
        }
        // The size of the padding is encrypted.
        let mut clear = data.to_vec();
        clear[0] &= !0x20;
        let header = Header::parse(&clear).expect("what we send is RTP");
        let first = self.moved.get(&to).copied().unwrap_or(to);
        let (unwrapper, seen) = self.sealed.entry((first, header.ssrc)).or_default();
        if seen.is_empty() {
            assert!(header.sequence < 1 << 15, "a stream starts below 2^15");
        }
        let number = unwrapper.unwrap(u64::from(header.sequence));
        assert!(seen.insert(number), "{} was sealed twice for {to}", header.sequence);
    }

    /// Short names of all events so far.
    pub fn told(&self) -> Vec<String> {
        let name = |event: &Event| match event {
            Event::BroadcastStarted { .. } => "started".to_owned(),
            Event::BroadcastInterrupted { .. } => "interrupted".to_owned(),
            Event::BroadcastResumed { .. } => "resumed".to_owned(),
            Event::BroadcastEnded { reason, .. } => format!("ended {reason:?}"),
            Event::Viewers { count, .. } => format!("viewers {count}"),
            Event::Layers { heights, .. } => format!("layers {heights:?}"),
            Event::Pictures { paused, .. } => if *paused { "paused" } else { "back" }.to_owned(),
            Event::SessionConnected { role, .. } => format!("{role:?} connected"),
            Event::SessionClosed { role, reason, .. } => format!("{role:?} closed {reason:?}"),
        };
        self.events.iter().map(name).collect()
    }

    /// The heights that viewers were told last.
    pub fn heights(&self) -> Vec<u16> {
        let told = |event: &Event| match event {
            Event::Layers { heights, .. } => Some(heights.clone()),
            _ => None,
        };
        self.events.iter().rev().find_map(told).unwrap_or_default()
    }

    pub fn count(&self, event: &str) -> usize {
        self.told().iter().filter(|told| *told == event).count()
    }

    pub fn broadcast(&self) -> BroadcastId {
        let started = |event: &Event| match event {
            Event::BroadcastStarted { broadcast, .. } => Some(*broadcast),
            _ => None,
        };
        self.events.iter().rev().find_map(started).expect("a broadcast started")
    }

    /// Facts of the tap that this story asks for.
    pub fn facts<'a, T>(&'a self, wanted: impl Fn(&'a TapFact) -> Option<T> + 'a) -> Vec<T> {
        self.items.iter().filter_map(|item| wanted(&item.fact)).collect()
    }
}
