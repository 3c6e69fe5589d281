//! [`MediaPlane`]: the handle, its requests and its start. The loop itself is in `shard.rs`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use media::diagnostics::Diagnosis;
use media::id::{BroadcastId, ChannelName, SessionId, ShardId};
use media::message::{Codec, Command, EndReason, Event, Publish, Quality, Refusal, Reply, ShardStats, Watch};
use media::session::Certificate;
use tokio::sync::{broadcast, watch};

use crate::inbox::{Outside, inbox};
use crate::sdp::{Sdp, SdpLog};
use crate::shard::Lines;
use crate::socket::Socket;
use crate::supervise;
use crate::taps::{Taps, queue};
use crate::tcp::Acceptor;

/// Events that a receiver may lag behind. More: it gets `Lagged` with the number it missed and must count it.
const EVENTS: usize = 4096;

/// How to start a media plane.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Address of all media, UDP and TCP. Port 0: any free one, see [`MediaPlane::local_addr`].
    pub bind: SocketAddr,
    /// ICE host candidates of every answer, each for UDP and for TCP. Port 0: the bound one.
    pub announce: Vec<SocketAddr>,
    /// Threads; this version has exactly one.
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
    #[error("{0} shards were asked for; this version runs exactly one")]
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
    outside: Arc<Outside>,
    local: SocketAddr,
    sessions: AtomicU64,
    sdp: SdpLog,
    events: broadcast::Sender<Event>,
    state: watch::Receiver<PlaneState>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _acceptor: Acceptor,
}

/// Ports tried when any free one will do: one that is free for UDP may be taken for TCP.
const FREE_PORTS: usize = 32;

/// Both sockets of the media port.
fn open(bind: SocketAddr) -> Result<(Socket, TcpListener), StartError> {
    let refused = |transport, address| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortTaken { transport, address },
            _ => StartError::Bind { transport, address, source },
        }
    };
    let mut tried = 0;
    loop {
        tried += 1;
        let socket = Socket::bind(bind).map_err(refused("UDP", bind))?;
        match TcpListener::bind(socket.local_addr()).map_err(refused("TCP", socket.local_addr())) {
            Ok(listener) => return Ok((socket, listener)),
            Err(StartError::PortTaken { .. }) if bind.port() == 0 && tried < FREE_PORTS => {}
            Err(error) => return Err(error),
        }
    }
}

impl MediaPlane {
    /// Opens the sockets and starts the threads.
    ///
    /// # Errors
    /// [`StartError`]; a port that another process holds is [`StartError::PortTaken`].
    pub fn start(config: MediaConfig) -> Result<(MediaPlane, Taps), StartError> {
        if config.shards != 1 {
            return Err(StartError::Shards(config.shards));
        }
        if config.announce.is_empty() {
            return Err(StartError::NothingToAnnounce);
        }
        let (mut socket, listener) = open(config.bind)?;
        socket.take_runs();
        let certificate = Certificate::generate().map_err(|error| StartError::Certificate(error.to_string()))?;
        let local = socket.local_addr();
        let announced = |mut address: SocketAddr| {
            if address.port() == 0 {
                address.set_port(local.port());
            }
            address
        };
        let announce = config.announce.into_iter().map(announced).collect();

        let (outside, inbox) = inbox().map_err(StartError::Thread)?;
        let outside = Arc::new(outside);
        let (taps_in, taps) = queue(config.tap_items);
        let (events, _) = broadcast::channel(EVENTS);
        let (state_in, state) = watch::channel(PlaneState::Running);
        let lines = Lines::new(ShardId(0), announce, certificate, socket, inbox, events.clone(), taps_in);
        // The acceptor alone keeps no plane alive.
        let to_shard = Arc::downgrade(&outside);
        let hand_over = move |handed| to_shard.upgrade().is_some_and(|outside| outside.hand_over(handed));
        let acceptor = Acceptor::start(listener, lines.refused(), hand_over).map_err(StartError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("oxbow-shard-0".into())
            .spawn(move || supervise::run(lines, &state_in))
            .map_err(StartError::Thread)?;

        let (sessions, thread) = (AtomicU64::new(1), Mutex::new(Some(thread)));
        let inner =
            Inner { outside, local, sessions, sdp: SdpLog::default(), events, state, thread, _acceptor: acceptor };
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
        let session = self.next_session();
        let utc_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let publish = Publish {
            session,
            channel: request.channel,
            broadcast: BroadcastId::new(utc_ms, rand::random()),
            offer: request.offer.clone(),
            record: request.record,
            prefer_video: request.prefer_video,
        };
        match self.inner.outside.command(Command::Publish(publish)).await? {
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
        let session = self.next_session();
        let watch = Watch { session, channel: request.channel, offer: request.offer.clone() };
        match self.inner.outside.command(Command::Watch(watch)).await? {
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
        self.inner.outside.command(Command::Prefer { session, quality }).await.map(drop)
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
        match self.inner.outside.command(Command::Ice { session, fragment, expects }).await? {
            Reply::Ice { fragment } => Ok(fragment),
            _ => unreachable!("a fragment is answered by Ice or a refusal"),
        }
    }

    /// Closes one session. A streamer's broadcast is then held for [`media::limit::RESUME_WINDOW`].
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such session any more.
    pub async fn close(&self, session: SessionId) -> Result<(), Refusal> {
        self.inner.outside.command(Command::Close { session }).await.map(drop)
    }

    /// Ends a broadcast at once.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such broadcast any more.
    pub async fn end(&self, broadcast: BroadcastId, reason: EndReason) -> Result<(), Refusal> {
        self.inner.outside.command(Command::End { broadcast, reason }).await.map(drop)
    }

    /// Asks the streamer for a keyframe soon; requests are coalesced.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when there is no such broadcast any more.
    pub async fn keyframe(&self, broadcast: BroadcastId) -> Result<(), Refusal> {
        self.inner.outside.command(Command::Keyframe { broadcast }).await.map(drop)
    }

    /// Figures of every shard that answers; none after the end.
    pub async fn stats(&self) -> Vec<ShardStats> {
        match self.inner.outside.command(Command::Stats).await {
            Ok(Reply::Stats(stats)) => vec![*stats],
            _ => Vec::new(),
        }
    }

    /// All that is known of one session, open or closed a while ago.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] when it is not known any more.
    pub async fn diagnose(&self, session: SessionId) -> Result<Diagnosis, Refusal> {
        match self.inner.outside.command(Command::Diagnose { session }).await? {
            Reply::Diagnosis(diagnosis) => Ok(*diagnosis),
            _ => unreachable!("a diagnosis is answered by one or a refusal"),
        }
    }

    /// Offer and answer of one of the newest sessions, without their secrets.
    pub fn sdp(&self, session: SessionId) -> Option<Sdp> {
        self.inner.sdp.of(session)
    }

    /// The newest sessions, without their flight records; none after the end.
    pub async fn diagnose_all(&self) -> Vec<Diagnosis> {
        match self.inner.outside.command(Command::DiagnoseAll).await {
            Ok(Reply::Diagnoses(all)) => all,
            _ => Vec::new(),
        }
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
        self.inner.outside.shutdown().await;
        let mut state = self.inner.state.clone();
        // An error means that the thread is gone, which is what we wait for.
        let _ = state.wait_for(|state| *state != PlaneState::Running).await;
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The state is the last thing that the thread sets.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn next_session(&self) -> SessionId {
        SessionId::new(ShardId(0), self.inner.sessions.fetch_add(1, Ordering::Relaxed))
    }
}
