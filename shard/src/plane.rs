//! [`MediaPlane`]: the handle, its requests and its start. The loop itself is in `shard.rs`.

use std::cmp::Reverse;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use media::diagnostics::Diagnosis;
use media::id::{BroadcastId, ChannelName, SessionId, ShardId};
use media::message::{Codec, Command, EndReason, Event, Publish, Quality, Refusal, Reply, ShardStats, Watch};
use media::session::Certificate;
use tokio::sync::{broadcast, watch};

use crate::inbox::{Bell, Outside, inbox};
use crate::mesh::{Mesh, mesh};
use crate::place::{self, Directory};
use crate::sdp::{Sdp, SdpLog};
use crate::shard::{Ends, Lines};
use crate::socket::Socket;
use crate::supervise::{self, Outcome};
use crate::taps::{Taps, queue};
use crate::tcp::{Acceptor, Handed};

/// Events that a receiver may lag behind. More: it gets `Lagged` with the number it missed and must count it.
const EVENTS: usize = 4096;

/// Most threads of one media plane.
pub const SHARDS: usize = 64;

/// How to start a media plane.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Address of all media, UDP and TCP. Port 0: any free one, see [`MediaPlane::local_addr`].
    pub bind: SocketAddr,
    /// ICE host candidates of every answer, each for UDP and for TCP. Port 0: the bound one.
    pub announce: Vec<SocketAddr>,
    /// Threads with a socket each, 1 to [`SHARDS`].
    pub shards: usize,
    /// Items that the recorder may be behind before media is dropped (with a gap record), at least 1.
    pub tap_items: usize,
}

/// Why a media plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{transport} port {} of {} is in use by another process", .address.port(), .address.ip())]
    PortTaken { transport: &'static str, address: SocketAddr },
    #[error("cannot open {transport} {address}: {source}")]
    Bind { transport: &'static str, address: SocketAddr, source: io::Error },
    #[error("{0} shards were asked for; it must be 1 to {SHARDS}")]
    Shards(usize),
    #[error("no address to announce: viewers could not reach the server")]
    NothingToAnnounce,
    #[error("cannot make the DTLS certificate: {0}")]
    Certificate(String),
    #[error("cannot start the media thread: {0}")]
    Thread(io::Error),
}

#[derive(Clone, Debug)]
pub struct PublishRequest {
    pub channel: ChannelName,
    /// SDP offer, at most [`media::limit::OFFER_BYTES`].
    pub offer: String,
    pub record: bool,
    /// Put first in the answer when the offer has it.
    pub prefer_video: Option<Codec>,
}

#[derive(Clone, Debug)]
pub struct Published {
    pub session: SessionId,
    pub broadcast: BroadcastId,
    /// SDP answer with complete candidates.
    pub answer: String,
    /// True when this continues a broadcast that had lost its connection.
    pub resumed: bool,
}

#[derive(Clone, Debug)]
pub struct WatchRequest {
    pub channel: ChannelName,
    /// SDP offer, at most [`media::limit::OFFER_BYTES`].
    pub offer: String,
}

#[derive(Clone, Debug)]
pub struct Watching {
    pub session: SessionId,
    pub broadcast: BroadcastId,
    /// SDP answer with complete candidates.
    pub answer: String,
}

/// Whether the media plane runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaneState {
    Running,
    /// After [`MediaPlane::shutdown`].
    Stopped,
    /// The shard failed again and again, or its socket did. The process should end; the text is the cause.
    Failed(String),
}

/// A cheap handle on the running media plane. When the last one is dropped the plane shuts down.
#[derive(Clone)]
pub struct MediaPlane {
    inner: Arc<Inner>,
}

struct Inner {
    /// One for each shard.
    outsides: Vec<Arc<Outside>>,
    directory: Arc<Directory>,
    local: SocketAddr,
    sessions: AtomicU64,
    sdp: SdpLog,
    events: broadcast::Sender<Event>,
    state: watch::Receiver<PlaneState>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _acceptor: Acceptor,
}

/// Ports tried when any free one will do: one that is free for UDP may be taken for TCP.
const FREE_PORTS: usize = 32;

/// The sockets of the media port: UDP ones for so many shards, and one for TCP.
fn open(bind: SocketAddr, shards: usize) -> Result<(Vec<Socket>, TcpListener), StartError> {
    let refused = |transport, address| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortTaken { transport, address },
            _ => StartError::Bind { transport, address, source },
        }
    };
    let mut tried = 0;
    loop {
        tried += 1;
        let sockets = match shards {
            1 => Socket::bind(bind).map(|socket| vec![socket]),
            _ => Socket::bind_several(bind, shards),
        };
        let opened = sockets.map_err(refused("UDP", bind)).and_then(|sockets| {
            let local = sockets.first().map_or(bind, Socket::local_addr);
            let listener = TcpListener::bind(local).map_err(refused("TCP", local))?;
            Ok((sockets, listener))
        });
        match opened {
            Err(StartError::PortTaken { .. }) if bind.port() == 0 && tried < FREE_PORTS => {}
            opened => return opened,
        }
    }
}

/// Takes ICE-TCP connections to the shard of their session; those of nobody are refused by the first. The acceptor alone keeps no plane alive.
fn hand_over(outsides: &[Arc<Outside>], directory: &Arc<Directory>) -> impl Fn(Handed) -> bool + Send + 'static {
    let shards: Vec<Weak<Outside>> = outsides.iter().map(Arc::downgrade).collect();
    let directory = directory.clone();
    move |mut handed| {
        let owner = handed.user().and_then(|user| directory.of_name(&user)).unwrap_or_default();
        let shard = shards.get(usize::from(owner.0)).and_then(Weak::upgrade);
        shard.is_some_and(|shard| shard.hand_over(handed))
    }
}

impl MediaPlane {
    /// Opens the sockets and starts the threads.
    ///
    /// # Errors
    /// [`StartError`]; a port that another process holds is [`StartError::PortTaken`].
    pub fn start(config: MediaConfig) -> Result<(MediaPlane, Taps), StartError> {
        if !(1..=SHARDS).contains(&config.shards) {
            return Err(StartError::Shards(config.shards));
        }
        if config.announce.is_empty() {
            return Err(StartError::NothingToAnnounce);
        }
        let (mut sockets, listener) = open(config.bind, config.shards)?;
        sockets.iter_mut().for_each(Socket::take_runs);
        let certificate = Certificate::generate().map_err(|error| StartError::Certificate(error.to_string()))?;
        let local = sockets.first().map_or(config.bind, Socket::local_addr);
        let announced = |mut address: SocketAddr| {
            if address.port() == 0 {
                address.set_port(local.port());
            }
            address
        };
        let announce: Vec<SocketAddr> = config.announce.into_iter().map(announced).collect();

        let ends: Vec<_> = sockets.iter().map(|_| inbox()).collect::<Result<_, _>>().map_err(StartError::Thread)?;
        let (outsides, inboxes): (Vec<_>, Vec<_>) = ends.into_iter().map(|(out, inn)| (Arc::new(out), inn)).unzip();
        let directory = Arc::new(Directory::default());
        let bells: Vec<Bell> = outsides.iter().map(|outside| outside.bell()).collect();
        let meshes: Vec<Option<Mesh>> = match sockets.len() {
            1 => vec![None],
            _ => mesh(&bells, &directory).into_iter().map(Some).collect(),
        };
        drop(bells);
        let (taps_in, taps) = queue(config.tap_items);
        let (events, _) = broadcast::channel(EVENTS);
        let (state_in, state) = watch::channel(PlaneState::Running);
        let outcome = Arc::new(Outcome::of(sockets.len(), state_in));
        let all = sockets.into_iter().zip(inboxes).zip(meshes).enumerate();
        let lines = all.map(|(at, ((socket, inbox), mesh))| {
            let shard = ShardId(at as u16);
            let ends = Ends { socket, inbox, taps: taps_in.another(), mesh };
            Lines::new(shard, announce.clone(), certificate.clone(), events.clone(), ends)
        });
        let lines: Vec<Lines> = lines.collect();
        drop(taps_in);
        let refused = lines.first().map(Lines::refused).unwrap_or_default();
        let acceptor =
            Acceptor::start(listener, refused, hand_over(&outsides, &directory)).map_err(StartError::Thread)?;
        let mut threads = Vec::with_capacity(lines.len());
        for (at, lines) in lines.into_iter().enumerate() {
            let outcome = outcome.clone();
            let thread = std::thread::Builder::new().name(format!("oxbow-shard-{at}"));
            threads.push(thread.spawn(move || supervise::run(lines, &outcome)).map_err(StartError::Thread)?);
        }

        let (sessions, threads) = (AtomicU64::new(1), Mutex::new(threads));
        let sdp = SdpLog::default();
        let inner = Inner { outsides, directory, local, sessions, sdp, events, state, threads, _acceptor: acceptor };
        Ok((MediaPlane { inner: Arc::new(inner) }, taps))
    }

    /// The address, UDP and TCP, that media goes to.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local
    }

    /// Answers a streamer's offer. The broadcast starts when the handshake is complete ([`Event::BroadcastStarted`]).
    ///
    /// # Errors
    /// Any [`Refusal`]; [`Refusal::ChannelBusy`] while another connection of the channel is alive.
    pub async fn publish(&self, request: PublishRequest) -> Result<Published, Refusal> {
        let session = self.next_session(&request.channel);
        let utc_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let publish = Publish {
            session,
            channel: request.channel,
            broadcast: BroadcastId::new(utc_ms, rand::random()),
            offer: request.offer.clone(),
            record: request.record,
            prefer_video: request.prefer_video,
        };
        match self.tell(session, Command::Publish(publish)).await? {
            Reply::Published { broadcast, answer, resumed } => {
                self.inner.sdp.keep(session, &request.offer, &answer);
                Ok(Published { session, broadcast, answer, resumed })
            }
            _ => unreachable!("a publish is answered by Published or a refusal"),
        }
    }

    /// Answers a viewer's offer.
    ///
    /// # Errors
    /// Any [`Refusal`]; [`Refusal::NotLive`] when the channel is not on air.
    pub async fn watch(&self, request: WatchRequest) -> Result<Watching, Refusal> {
        let session = self.next_session(&request.channel);
        let watch = Watch { session, channel: request.channel, offer: request.offer.clone() };
        match self.tell(session, Command::Watch(watch)).await? {
            Reply::Watching { broadcast, answer } => {
                self.inner.sdp.keep(session, &request.offer, &answer);
                Ok(Watching { session, broadcast, answer })
            }
            _ => unreachable!("a watch is answered by Watching or a refusal"),
        }
    }

    /// What a viewer wants to see, from its next keyframe on.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such session any more.
    pub async fn prefer(&self, session: SessionId, quality: Quality) -> Result<(), Refusal> {
        self.tell(session, Command::Prefer { session, quality }).await.map(drop)
    }

    /// Takes what a peer says of its ICE after the offer (RFC 8840 §9). Gives our own fragment when that restarts ICE, `None` when it was about candidates
    /// alone. `expects`: user fragments of ours of which one must be current, `None` for any.
    ///
    /// # Errors
    /// [`Refusal::MalformedFragment`], [`Refusal::Outdated`], [`Refusal::Unknown`] when there is no such session any more.
    pub async fn ice(
        &self,
        session: SessionId,
        fragment: String,
        expects: Option<Vec<String>>,
    ) -> Result<Option<String>, Refusal> {
        match self.tell(session, Command::Ice { session, fragment, expects }).await? {
            Reply::Ice { fragment } => Ok(fragment),
            _ => unreachable!("a fragment is answered by Ice or a refusal"),
        }
    }

    /// Closes one session. A streamer's broadcast is then held for [`media::limit::RESUME_WINDOW`].
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such session any more.
    pub async fn close(&self, session: SessionId) -> Result<(), Refusal> {
        self.tell(session, Command::Close { session }).await.map(drop)
    }

    /// Ends a broadcast at once.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such broadcast any more.
    pub async fn end(&self, broadcast: BroadcastId, reason: EndReason) -> Result<(), Refusal> {
        self.tell_any(Command::End { broadcast, reason }).await.map(drop)
    }

    /// Asks the streamer for a keyframe soon; requests are coalesced.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such broadcast any more.
    pub async fn keyframe(&self, broadcast: BroadcastId) -> Result<(), Refusal> {
        self.tell_any(Command::Keyframe { broadcast }).await.map(drop)
    }

    /// Figures of every shard that answers; none after the end.
    pub async fn stats(&self) -> Vec<ShardStats> {
        let mut all = Vec::with_capacity(self.inner.outsides.len());
        for outside in &self.inner.outsides {
            if let Ok(Reply::Stats(stats)) = outside.command(Command::Stats).await {
                all.push(*stats);
            }
        }
        all
    }

    /// All that is known of one session, open or closed a while ago.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when it is not known any more.
    pub async fn diagnose(&self, session: SessionId) -> Result<Diagnosis, Refusal> {
        match self.tell_any(Command::Diagnose { session }).await? {
            Reply::Diagnosis(diagnosis) => Ok(*diagnosis),
            _ => unreachable!("a diagnosis is answered by one or a refusal"),
        }
    }

    /// Keeps what comes from a viewer and what is decided about it in its flight record, or no longer. Of a streamer: of the viewers who join from now on.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such session any more, [`Refusal::Full`] when [`media::limit::TRACES`] viewers are traced.
    pub async fn trace(&self, session: SessionId, on: bool) -> Result<(), Refusal> {
        self.tell_any(Command::Trace { session, on }).await.map(drop)
    }

    /// Offer and answer of one of the newest sessions, without their secrets.
    pub fn sdp(&self, session: SessionId) -> Option<Sdp> {
        self.inner.sdp.of(session)
    }

    /// The newest sessions, without their flight records; none after the end.
    pub async fn diagnose_all(&self) -> Vec<Diagnosis> {
        let mut all = Vec::new();
        for outside in &self.inner.outsides {
            if let Ok(Reply::Diagnoses(some)) = outside.command(Command::DiagnoseAll).await {
                all.extend(some);
            }
        }
        if self.inner.outsides.len() > 1 {
            // Each shard tells the open ones first; among all they are told by age.
            all.sort_by_key(|diagnosis| (diagnosis.closed.is_some(), Reverse(diagnosis.opened_utc_us)));
            all.truncate(media::limit::LISTED_SESSIONS);
        }
        all
    }

    /// Events from now on. A receiver that falls 4096 events behind gets `Lagged` with the number it missed.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Whether the plane runs. A process that serves must watch it and end when it is [`PlaneState::Failed`].
    pub fn state(&self) -> watch::Receiver<PlaneState> {
        self.inner.state.clone()
    }

    /// Ends all broadcasts ([`EndReason::Shutdown`]) and sessions (DTLS close_notify), closes the taps and joins the thread.
    /// A second call waits for the same end.
    pub async fn shutdown(&self) {
        for outside in &self.inner.outsides {
            outside.shutdown().await;
        }
        let mut state = self.inner.state.clone();
        // An error means that the thread is gone, which is what we wait for.
        let _ = state.wait_for(|state| *state != PlaneState::Running).await;
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The state is the last thing that the last thread sets.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    #[cfg(test)]
    pub(crate) async fn panic(&self, shard: ShardId) {
        self.inner.outsides[usize::from(shard.0)].panic().await;
    }

    /// The home of the channel answers; the session may go on elsewhere.
    fn next_session(&self, channel: &ChannelName) -> SessionId {
        let home = place::home(channel, self.inner.outsides.len());
        SessionId::new(home, self.inner.sessions.fetch_add(1, Ordering::Relaxed))
    }

    /// For the shard that has the session, or had it first.
    async fn tell(&self, session: SessionId, command: Command) -> Result<Reply, Refusal> {
        let shard = self.inner.directory.of_session(session).unwrap_or(session.shard());
        let outside = self.inner.outsides.get(usize::from(shard.0)).ok_or(Refusal::Unknown)?;
        outside.command(command).await
    }

    /// For whichever shard knows what it is about.
    async fn tell_any(&self, command: Command) -> Result<Reply, Refusal> {
        for outside in &self.inner.outsides {
            match outside.command(command.clone()).await {
                Err(Refusal::Unknown) => {}
                told => return told,
            }
        }
        Err(Refusal::Unknown)
    }
}
