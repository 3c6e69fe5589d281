//! The loop of one shard: one plain thread, the only clock of the media plane.
//!
//! A turn: requests → datagrams and ICE-TCP frames in batches, each stamped once → the router and its timers → fan-out → the send arena to the
//! socket → replies, events and tap items. Every part of a turn is bounded. What a datagram means does not belong here.

mod crossing;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media::arena::SendArena;
use media::id::{SessionId, ShardId};
use media::limit::TCP_SWEEP;
use media::message::{
    CloseReason, Command, DriveStats, EndReason, Event, Input, Now, Output, Refusal, Reply, RequestId, TcpStats,
};
use media::path;
use media::router::{Flushed, Router, RouterConfig};
use media::session::Certificate;
use tokio::sync::broadcast;

use crate::inbox::{Inbox, Next, ReplySender, Request};
use crate::ledger::Ledger;
use crate::mesh::Mesh;
use crate::socket::{Arrival, BATCH, Receiver, Sender, Socket};
use crate::sources::is_check;
use crate::taps::{Offered, TapSender};
use crate::tcp::{Connections, Frames, Handed, LONGEST, READ_BYTES, Refusals};

/// After datagrams came, the next are left to gather for so long: one wake-up for all of them instead of one for each. It is what a packet may
/// wait that comes just after another one, and bounds the turns to two thousand a second.
const GATHER: Duration = Duration::from_micros(500);
/// The same while a frame is not whole: its viewers wait, and a streamer sends the rest of it within a few of these.
const GATHER_FRAME: Duration = Duration::from_micros(150);
/// Batches read in one turn. More datagrams wait for the next turn, after what is due was sent.
const BATCHES_PER_TURN: usize = 8;
/// Requests taken in one turn. A join costs about 0.3 ms, for which everybody's media waits.
const REQUESTS_PER_TURN: usize = 8;
/// While the recorder's queue owes facts, look for room this often.
const SETTLE_EVERY: Duration = Duration::from_millis(50);
const LONGEST_SPAN: Duration = Duration::from_secs(10);
/// At shutdown the recorder gets this long to make room for the last facts.
const SETTLE_AT_END: Duration = Duration::from_secs(2);

/// What a shard holds for longer than one router lives: it survives a failure of the loop.
pub struct Lines {
    shard: ShardId,
    announce: Vec<SocketAddr>,
    certificate: Certificate,
    socket: Socket,
    inbox: Inbox,
    events: broadcast::Sender<Event>,
    taps: TapSender,
    /// `None` where there is one shard alone.
    mesh: Option<Mesh>,
    /// Counted by the thread that accepts ICE-TCP connections for this shard.
    refused: Arc<Refusals>,
    ledger: Ledger,
    figures: DriveStats,
    longest: Longest,
    /// Shutdown was asked for; a failure on the way there starts nothing anew.
    stopping: bool,
}

/// What a shard's thread reads and writes.
pub struct Ends {
    pub socket: Socket,
    pub inbox: Inbox,
    pub taps: TapSender,
    /// `None` where there is one shard alone.
    pub mesh: Option<Mesh>,
}

impl Lines {
    pub fn new(
        shard: ShardId,
        announce: Vec<SocketAddr>,
        certificate: Certificate,
        events: broadcast::Sender<Event>,
        ends: Ends,
    ) -> Self {
        let (ledger, figures, longest) = (Ledger::default(), DriveStats::default(), Longest::default());
        let (refused, stopping) = (Arc::default(), false);
        let Ends { socket, inbox, taps, mesh } = ends;
        Lines {
            shard,
            announce,
            certificate,
            socket,
            inbox,
            events,
            taps,
            mesh,
            refused,
            ledger,
            figures,
            longest,
            stopping,
        }
    }

    /// For who hands ICE-TCP connections to this shard.
    pub fn refused(&self) -> Arc<Refusals> {
        self.refused.clone()
    }

    /// After a failure: whoever believes in a session or broadcast of this shard is told its end.
    pub fn write_off(&mut self) {
        self.figures.restarts += 1;
        if let Some(mesh) = &self.mesh {
            mesh.directory().forget(self.shard);
        }
        let utc_us = now().utc_us;
        for event in self.ledger.write_off(utc_us, CloseReason::Fault, EndReason::Dropped) {
            self.tell(event);
        }
        for broadcast in self.taps.open_broadcasts() {
            self.taps.close(broadcast, utc_us, EndReason::Dropped);
        }
    }

    fn name(&self, session: SessionId, ufrag: Box<str>, held: bool) {
        match &self.mesh {
            Some(mesh) if held => mesh.directory().hold(self.shard, session, ufrag),
            Some(mesh) => mesh.directory().release(self.shard, session, &ufrag),
            None => {}
        }
    }

    fn tell(&mut self, event: Event) {
        self.ledger.note(&event);
        if let Event::SessionClosed { session, channel, role, reason: CloseReason::Fault } = &event {
            tracing::error!(%session, %channel, ?role, "a session failed on a broken invariant and was closed; all others go on");
        }
        // Without a receiver nobody wants to know.
        let _ = self.events.send(event);
    }
}

/// The buffers of the thread: too large to allocate per turn, and not to be moved between threads.
pub struct Gear {
    receiver: Receiver,
    sender: Sender,
    arena: SendArena,
    tcp: Connections,
    /// What was read from one connection.
    inbound: Box<[u8]>,
}

impl Default for Gear {
    fn default() -> Self {
        Gear {
            receiver: Receiver::of_runs(),
            sender: Sender::default(),
            arena: SendArena::default(),
            tcp: Connections::default(),
            inbound: vec![0; LONGEST + READ_BYTES].into_boxed_slice(),
        }
    }
}

impl Gear {
    /// Forgets what was about to be sent, and the connections: their sessions are gone.
    pub fn forget(&mut self) {
        self.arena.clear();
        self.tcp.clear();
    }

    fn send(&mut self, socket: &mut Socket) {
        send_out(&mut self.sender, &mut self.tcp, &mut self.arena, socket);
    }
}

/// Empties the arena: datagrams to the socket, frames to their connections.
fn send_out(sender: &mut Sender, tcp: &mut Connections, arena: &mut SendArena, socket: &mut Socket) {
    let (mut runs, bytes) = (arena.runs(), arena.bytes());
    while !runs.is_empty() {
        let datagrams = runs.iter().take_while(|run| path::tcp_connection(run.to).is_none()).count();
        sender.send(socket, &runs[..datagrams], bytes);
        runs = &runs[datagrams..];
        while let Some((run, connection)) = runs.first().and_then(|run| Some((run, path::tcp_connection(run.to)?))) {
            tcp.send(connection, &bytes[run.start..run.start + run.len], run.segment);
            runs = &runs[1..];
        }
    }
    arena.clear();
}

/// Runs a fresh router until shutdown is asked for or all handles are gone.
///
/// # Errors
/// When the socket can no longer be read or waited for.
pub fn run(lines: &mut Lines, gear: &mut Gear) -> io::Result<()> {
    if lines.stopping {
        return Ok(());
    }
    let config = RouterConfig { shard: lines.shard, announce: lines.announce.clone(), seed: rand::random() };
    let router = Router::new(config, lines.certificate.clone());
    let waiting = HashMap::new();
    let mut shard =
        Shard { lines, gear, router, waiting, requests: 0, gather_from: None, sweep_at: None, backlog: false };
    while !shard.lines.stopping {
        shard.wait()?;
        let start = Instant::now();
        shard.turn()?;
        shard.account(start);
    }
    shard.end();
    Ok(())
}

struct Shard<'a> {
    lines: &'a mut Lines,
    gear: &'a mut Gear,
    router: Router,
    waiting: HashMap<RequestId, Waiting>,
    requests: u64,
    /// When datagrams came, see [`GATHER`].
    gather_from: Option<Instant>,
    /// When to look for ICE-TCP connections that no session uses any more.
    sweep_at: Option<Instant>,
    /// The last turn left requests or datagrams behind.
    backlog: bool,
}

/// Who waits for a reply, and the session that it would be about.
struct Waiting {
    reply: ReplySender,
    opens: Option<SessionId>,
}

impl Shard<'_> {
    fn wait(&mut self) -> io::Result<()> {
        let Lines { socket, inbox, taps, .. } = &mut *self.lines;
        let streams = self.gear.tcp.bell();
        if self.backlog {
            return socket.wait(inbox, streams, true, Some(Duration::ZERO)).map(drop);
        }
        let now = Instant::now();
        let settle = taps.owes().then(|| now + SETTLE_EVERY);
        let due = [self.router.next_deadline(), self.sweep_at, settle].into_iter().flatten().min();
        let until = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(Instant::now()));
        let span = if self.router.awaits_rest() { GATHER_FRAME } else { GATHER };
        if let Some(gathered) = self.gather_from.take().map(|from| from + span).filter(|gathered| *gathered > now)
            && (socket.wait(inbox, None, false, until(Some(due.map_or(gathered, |due| due.min(gathered)))))?
                || due.is_some_and(|due| due <= gathered))
        {
            return Ok(());
        }
        socket.wait(inbox, streams, true, until(due)).map(drop)
    }

    fn turn(&mut self) -> io::Result<()> {
        self.lines.inbox.silence();
        self.backlog = false;
        self.take_parcels();
        self.take_requests();
        self.receive()?;
        self.take_missed();
        self.receive_streams()?;

        let now = now();
        self.sweep(now);
        if self.router.next_deadline().is_some_and(|at| at <= now.mono) {
            self.handle(now, Input::Tick);
        }
        self.fan_out(now);
        self.gear.send(&mut self.lines.socket);
        if let Some(since) = self.router.fanned_out() {
            self.lines.figures.forward.note(since.elapsed());
        }
        self.deliver(now);
        self.ring();
        self.lines.taps.settle();
        Ok(())
    }

    fn take_requests(&mut self) {
        for taken in 1..=REQUESTS_PER_TURN {
            match self.lines.inbox.next() {
                Next::Request(Request::Command { command, reply }) => self.carry_out(command, reply),
                Next::Request(Request::Connection(handed)) => self.adopt(handed),
                Next::Request(Request::Shutdown) | Next::Abandoned => {
                    self.lines.stopping = true;
                    return;
                }
                #[cfg(test)]
                Next::Request(Request::Panic) => panic!("a broken invariant, as a test wants it"),
                Next::Empty => return,
            }
            self.backlog |= taken == REQUESTS_PER_TURN;
        }
    }

    fn carry_out(&mut self, command: Command, reply: ReplySender) {
        if let Some((command, reply)) = self.redirect(command, reply) {
            self.execute(command, reply);
        }
    }

    fn execute(&mut self, command: Command, reply: ReplySender) {
        let opens = match &command {
            Command::Publish(publish) => Some(publish.session),
            Command::Watch(watch) => Some(watch.session),
            _ => None,
        };
        let now = now();
        let request = self.next_request();
        self.waiting.insert(request, Waiting { reply, opens });
        self.handle(now, Input::Command { request, command });
        self.deliver(now);
    }

    fn receive(&mut self) -> io::Result<()> {
        for _ in 0..BATCHES_PER_TURN {
            let count = self.gear.receiver.receive(&self.lines.socket)?;
            if count == 0 {
                return Ok(());
            }
            let now = now();
            let Gear { receiver, sender, arena, tcp, .. } = &mut *self.gear;
            for arrival in receiver.arrivals() {
                match arrival {
                    Arrival::Datagram { from, local, data } => {
                        if let Some(local) = local.filter(|_| is_check(data)) {
                            sender.learn(from, local);
                        }
                        match &mut self.lines.mesh {
                            Some(mesh) => mesh.meet(&mut self.router, now, (from, local), data, arena),
                            None => self.router.handle(now, Input::Datagram { from, data }, arena),
                        }
                    }
                    Arrival::Unusable => self.lines.figures.unusable_in += 1,
                }
                if arena.is_full() {
                    send_out(sender, tcp, arena, &mut self.lines.socket);
                }
            }
            self.gather_from = Some(now.mono);
            self.deliver(now);
            if count < BATCH {
                return Ok(());
            }
        }
        self.backlog = true;
        Ok(())
    }

    /// What came by ICE-TCP.
    fn receive_streams(&mut self) -> io::Result<()> {
        for number in self.gear.tcp.ready()? {
            let mut buffer = std::mem::take(&mut self.gear.inbound);
            if let Some((path, len)) = self.gear.tcp.read(number, &mut buffer) {
                self.take_frames(number, path, &mut buffer[..len]);
            }
            self.gear.inbound = buffer;
        }
        Ok(())
    }

    fn take_frames(&mut self, number: u32, path: SocketAddr, bytes: &mut [u8]) {
        let now = now();
        let mut frames = Frames::of(bytes);
        while let Some(data) = frames.next_packet() {
            self.handle(now, Input::Datagram { from: path, data });
        }
        self.gear.tcp.keep(number, frames.rest());
        self.gather_from = Some(now.mono);
        self.deliver(now);
    }

    /// A new connection stays if its first check was of a session.
    fn adopt(&mut self, handed: Handed) {
        let Some(Handed { stream, peer, mut bytes }) = self.hand_on(handed) else { return };
        let Some((number, path)) = self.gear.tcp.adopt(stream, peer) else { return };
        self.take_frames(number, path, &mut bytes);
        if !self.router.knows_path(path) {
            self.gear.send(&mut self.lines.socket);
            return self.gear.tcp.turn_away(number);
        }
        self.sweep_at.get_or_insert(Instant::now() + TCP_SWEEP);
    }

    fn sweep(&mut self, now: Now) {
        if self.sweep_at.is_some_and(|at| at <= now.mono) {
            self.gear.tcp.retain(|path| self.router.knows_path(path));
            self.sweep_at = (!self.gear.tcp.is_empty()).then(|| now.mono + TCP_SWEEP);
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) {
        self.router.handle(now, input, &mut self.gear.arena);
        if self.gear.arena.is_full() {
            self.gear.send(&mut self.lines.socket);
        }
    }

    /// The router stops when the arena is full and goes on where it stopped.
    fn fan_out(&mut self, now: Now) {
        if self.lines.mesh.is_some() {
            // Other shards need not wait until the viewers of this one are served.
            self.router.gather(now);
            self.deliver(now);
            self.ring();
        }
        while self.router.flush(now, &mut self.gear.arena) == Flushed::More {
            self.gear.send(&mut self.lines.socket);
        }
    }

    fn ring(&mut self) {
        self.lines.mesh.iter_mut().for_each(Mesh::ring);
    }

    /// Hands out what the router has to say.
    fn deliver(&mut self, now: Now) {
        while let Some(output) = self.router.poll() {
            match output {
                Output::Reply { request, reply } => self.answer(now, request, reply),
                Output::Event(event) => self.lines.tell(event),
                Output::Across { to, message } => self.give_across(to, message),
                Output::Named { session, ufrag, held } => self.lines.name(session, ufrag, held),
                Output::Tap(item) => {
                    if let Offered::WantsKeyframe(broadcast) = self.lines.taps.offer(item) {
                        let request = self.next_request();
                        self.handle(now, Input::Command { request, command: Command::Keyframe { broadcast } });
                    }
                }
            }
        }
    }

    /// Requests of the loop itself have nobody waiting.
    fn answer(&mut self, now: Now, request: RequestId, mut reply: Result<Reply, Refusal>) {
        let Some(waiting) = self.waiting.remove(&request) else { return };
        if let Ok(Reply::Stats(stats)) = &mut reply {
            stats.drive = self.figures();
            stats.dropped.extend(stats.drive.drops().into_iter().filter(|(_, count)| *count > 0));
        }
        let accepted = reply.is_ok();
        if waiting.reply.send(reply).is_err() && accepted {
            // The caller gave up meanwhile: nobody will ever use or close what was opened for it.
            if let Some(session) = waiting.opens {
                let request = self.next_request();
                self.handle(now, Input::Command { request, command: Command::Close { session } });
            }
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn account(&mut self, start: Instant) {
        let end = Instant::now();
        let micros = end.saturating_duration_since(start).as_micros() as u64;
        self.lines.figures.turns += 1;
        self.lines.figures.busy_us += micros;
        self.lines.longest.note(end, micros);
    }

    fn figures(&self) -> DriveStats {
        let (sent, taps) = (self.gear.sender.figures(), self.lines.taps.figures());
        let mesh = self.lines.mesh.as_ref().map(Mesh::figures).unwrap_or_default();
        DriveStats {
            datagrams_out: sent.datagrams,
            messages_out: sent.messages,
            longest_turn_us: self.lines.longest.micros(),
            gso: self.lines.socket.gso(),
            gso_fallbacks: sent.gso_fallbacks,
            send_would_block: sent.would_block,
            send_failed: sent.failed,
            tap_items: taps.items,
            tap_dropped_units: taps.dropped_units,
            tap_overruns: taps.overruns,
            tcp: self.tcp_figures(),
            relayed: mesh.relayed,
            mesh_full: mesh.full,
            ..self.lines.figures
        }
    }

    fn tcp_figures(&self) -> TcpStats {
        let (tcp, refused) = (self.gear.tcp.figures(), &self.lines.refused);
        TcpStats {
            open: self.gear.tcp.len() as u64,
            accepted: tcp.adopted,
            frames_out: tcp.frames_out,
            congested: tcp.congested,
            gone: tcp.gone,
            malformed: tcp.malformed + refused.malformed.load(Ordering::Relaxed),
            late: refused.late.load(Ordering::Relaxed),
            strangers: tcp.strangers,
            refused: tcp.full + refused.refused.load(Ordering::Relaxed),
        }
    }

    /// Ends all broadcasts, then the sessions that are left, then waits a little for the recorder.
    fn end(mut self) {
        let now = now();
        self.fan_out(now);
        for broadcast in self.lines.ledger.broadcasts() {
            let request = self.next_request();
            self.handle(
                now,
                Input::Command { request, command: Command::End { broadcast, reason: EndReason::Shutdown } },
            );
            self.deliver(now);
        }
        for session in self.lines.ledger.sessions() {
            let request = self.next_request();
            self.handle(now, Input::Command { request, command: Command::Close { session } });
            self.deliver(now);
        }
        self.gear.send(&mut self.lines.socket);
        self.ring();
        // What never became a broadcast or was refused meanwhile still has a recorder or a caller that waits.
        for event in self.lines.ledger.write_off(now.utc_us, CloseReason::Shutdown, EndReason::Shutdown) {
            self.lines.tell(event);
        }
        for broadcast in self.lines.taps.open_broadcasts() {
            self.lines.taps.close(broadcast, now.utc_us, EndReason::Shutdown);
        }
        let deadline = Instant::now() + SETTLE_AT_END;
        while self.lines.taps.owes() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
            self.lines.taps.settle();
        }
    }
}

/// The longest turn of this span and the one before: a reader sees at least the last [`LONGEST_SPAN`], however many readers there are.
#[derive(Default)]
struct Longest {
    since: Option<Instant>,
    now: u64,
    before: u64,
}

impl Longest {
    fn note(&mut self, at: Instant, micros: u64) {
        let since = *self.since.get_or_insert(at);
        if at.saturating_duration_since(since) >= LONGEST_SPAN {
            self.since = Some(at);
            self.before = std::mem::take(&mut self.now);
        }
        self.now = self.now.max(micros);
    }

    fn micros(&self) -> u64 {
        self.now.max(self.before)
    }
}

/// Both clocks at once.
fn now() -> Now {
    let utc_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    Now { mono: Instant::now(), utc_us }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_is_remembered_for_a_span_and_forgotten_after_two() {
        let mut longest = Longest::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (seconds, micros, expected) in [(0, 50, 50), (5, 900, 900), (11, 30, 900), (20, 40, 900), (22, 10, 40)] {
            longest.note(at(seconds), micros);
            assert_eq!(longest.micros(), expected, "after {seconds} s");
        }
    }
}
