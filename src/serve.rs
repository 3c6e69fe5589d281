//! The server: built in order, watched while it runs, stopped in reverse.
//!
//! Only this machine's own parts can stop a start: the data folder, the ports, the settings. Stores, database and whitelist are
//! connected to behind it and may be away.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use events::{EventsConfig, Timing};
use metrics_exporter_prometheus::PrometheusHandle;
use pipeline::{Workers, WorkersConfig};
use recorder::{Recorder, RecorderConfig, RecorderEvent};
use shard::{MediaConfig, MediaPlane, PlaneState, SHARDS};
use signaling::view::{DatabaseKind, StorageKind};
use signaling::{Announcer, App, Listener, Metrics, Parts, Settings, Site, Tls};
use storage::local::EventKeep;
use storage::{Database, Health, Local, ObjectStore};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Environment, Files, Rows};
use crate::folder::DataDir;
use crate::key::StreamKey;
use crate::reach::{self, Reach};
use crate::shutdown::Signals;
use crate::{assets, figures, key, telemetry, whitelist};

/// For closing journals and storing what is finished. With the rest it fits the ten seconds that container runtimes wait.
const RECORDER_DEADLINE: Duration = Duration::from_secs(7);
/// For requests under way.
const HTTP_DEADLINE: Duration = Duration::from_secs(1);
/// Items between the media plane and the journals: four seconds of fifty recordings.
const TAP_ITEMS: usize = 16 * 1024;

/// Why the server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Folder(#[from] crate::folder::FolderError),
    #[error(transparent)]
    Key(#[from] key::KeyError),
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    #[error("{what} {path}: {cause}")]
    File { what: &'static str, path: PathBuf, cause: String },
    #[error("{setting}: cannot listen on {address}: {source}")]
    Listen { setting: &'static str, address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Reach(String),
    #[error("PEER_PORT: {0}")]
    Media(#[from] shard::StartError),
    #[error("the settings of the stores cannot work: {0}")]
    Storage(#[from] storage::StorageError),
    #[error(transparent)]
    Recorder(#[from] recorder::RecorderError),
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    #[error("{0} ended by itself")]
    PartEnded(&'static str),
    #[error("the media plane failed: {0}")]
    PlaneFailed(String),
}

/// Runs until a signal or a failure.
pub async fn serve(config: Config) -> ExitCode {
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Oxbow: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), ServeError> {
    let mut signals = Signals::listen()?;
    let folder = DataDir::open(&config.data_dir)?;
    let key = key::load_or_make(config.stream_key.clone(), folder.path())?;
    let mut secrets = config.secrets();
    secrets.push(key.key.clone());
    let prometheus = telemetry::start(config.environment, &config.log, &secrets)?;

    let (running, address) = build(&config, folder.path(), &key, prometheus).await?;
    print_addresses(&config, &key, address, &running);
    let ended = running.watch(&mut signals).await;
    running.stop(&mut signals).await;
    drop(folder);
    ended
}

/// Everything that runs.
struct Running {
    app: App,
    site: Arc<Site>,
    announcer: Announcer,
    plane: MediaPlane,
    recorder: Recorder,
    workers: Workers,
    reach: Reach,
    /// Parts that must go on as long as the server does; each gives its name when it ends.
    parts: tokio::sync::Mutex<JoinSet<&'static str>>,
    stop_http: CancellationToken,
    stop_health: CancellationToken,
}

async fn build(
    config: &Config,
    folder: &Path,
    key: &StreamKey,
    prometheus: PrometheusHandle,
) -> Result<(Running, SocketAddr), ServeError> {
    // Ports first: a second server should say so before it has touched anything.
    let listener = listen(config).await?;
    let address = listener.address()?;
    let metrics: Metrics = Arc::new(move || prometheus.render());
    let reach = reach::find(config).await.map_err(ServeError::Reach)?;
    for warning in &reach.warnings {
        tracing::warn!("{warning}");
    }
    let (stop_http, stop_health) = (CancellationToken::new(), CancellationToken::new());
    let mut parts = JoinSet::new();
    if let Some(bind) = config.metrics_bind {
        let source = |source| ServeError::Listen { setting: "METRICS_BIND", address: bind, source };
        let listener = Listener::bind(bind, None).await.map_err(source)?;
        let (text, stop) = (metrics.clone(), stop_http.clone());
        parts.spawn(async move {
            signaling::serve_metrics(listener, text, stop.cancelled_owned()).await;
            "the listener of /metrics"
        });
    }

    let objects = objects(config, folder)?;
    let database = database(config, folder);
    let local = Local::open(folder.join("local.db"))?;
    if let (Some(asked), Environment::Production) = (&config.whitelist, config.environment) {
        let addresses = reach.addresses.iter().map(SocketAddr::ip).collect();
        // It ends when the answer was yes, and the server goes on.
        tokio::spawn(whitelist::ask(asked.clone(), addresses));
    }
    let (health, asking) = Health::watch(objects.clone(), database.clone(), stop_health.clone());
    parts.spawn(async move {
        asking.await;
        "the watch over the stores"
    });

    let any_v6 = reach.addresses.iter().any(SocketAddr::is_ipv6);
    let all: IpAddr = if any_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let media = MediaConfig {
        bind: SocketAddr::new(all, config.peer_port),
        announce: reach.addresses.clone(),
        shards: config.shards.unwrap_or_else(default_shards),
        tap_items: TAP_ITEMS,
    };
    let (plane, taps) = MediaPlane::start(media)?;
    let program = std::env::current_exe()?;
    let workers = Workers::start(WorkersConfig::new(program));
    let recorder_config = RecorderConfig {
        data_dir: folder.to_owned(),
        clip_size_bytes: config.clip_size_bytes,
        clip_length: config.clip_length,
        visibility: config.clip_visibility,
        journal_keep: config.journal_keep,
        watermarks: config.watermarks,
        retention: config.retention.clone(),
    };
    let (recorder, recorded) = Recorder::start(
        recorder_config,
        taps,
        plane.clone(),
        workers.clone(),
        objects.clone(),
        database.clone(),
        local.clone(),
    )
    .await?;

    parts.spawn(tell(config.events, local.clone(), database.clone(), stop_http.clone()));
    let told = local.clone();
    let own_metrics = config.metrics_bind.is_none().then_some(metrics);
    let app = App::new(
        settings(config, key, own_metrics),
        Parts { plane: plane.clone(), database, objects, local, health: health.clone(), node: recorder.node() },
    );
    let site = Arc::new(Site::new(app.clone()));
    let announcer = site.announcer.clone();
    let events = plane.events();
    parts.spawn({
        let announcer = announcer.clone();
        async move {
            announcer.run(events).await;
            "the announcer"
        }
    });
    parts.spawn(forward(recorded, announcer.clone(), told));
    let (collected, status) = (plane.clone(), recorder.watch());
    parts.spawn(async move {
        figures::collect(collected, status, health).await;
        "the figures"
    });
    let (serving, stop) = (site.clone(), stop_http.clone());
    parts.spawn(async move {
        serving.serve(listener, stop.cancelled_owned()).await;
        "the HTTP listener"
    });
    let parts = tokio::sync::Mutex::new(parts);
    let running = Running { app, site, announcer, plane, recorder, workers, reach, parts, stop_http, stop_health };
    Ok((running, address))
}

impl Running {
    /// Until a signal, or until a part that everything needs is gone.
    async fn watch(&self, signals: &mut Signals) -> Result<(), ServeError> {
        let mut plane = self.plane.state();
        let mut parts = self.parts.lock().await;
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping");
                Ok(())
            }
            state = plane.wait_for(|state| *state != PlaneState::Running) => match state.as_deref() {
                Ok(PlaneState::Failed(cause)) => Err(ServeError::PlaneFailed(cause.clone())),
                _ => Err(ServeError::PartEnded("the media plane")),
            },
            Some(ended) = parts.join_next() => Err(ServeError::PartEnded(ended.unwrap_or("a part"))),
        }
    }

    /// The reverse of `build`. A second signal ends the process at once.
    async fn stop(self, signals: &mut Signals) {
        tokio::select! {
            () = self.stop_in_order() => tracing::info!("stopped"),
            name = signals.next() => tracing::warn!(signal = name, "told twice: what is not finished is left to the next start"),
        }
    }

    async fn stop_in_order(self) {
        // Nothing new begins, and everybody is told before anything ends.
        self.app.stop();
        self.announcer.stopping().await;
        self.plane.shutdown().await;
        self.recorder.shutdown(RECORDER_DEADLINE).await;
        self.workers.shutdown().await;
        self.site.close().await;
        self.stop_http.cancel();
        self.stop_health.cancel();
        let mut parts = self.parts.into_inner();
        let finished = async {
            // The figures go on for ever; all others end by themselves now.
            while parts.len() > 1 && parts.join_next().await.is_some() {}
        };
        if tokio::time::timeout(HTTP_DEADLINE, finished).await.is_err() {
            tracing::debug!("some requests were not finished");
        }
        parts.shutdown().await;
    }
}

/// The file store of these settings. Nothing is connected yet.
///
/// # Errors
/// When the settings can never work.
pub fn objects(config: &Config, folder: &Path) -> Result<ObjectStore, storage::StorageError> {
    match &config.files {
        Files::Folder => Ok(ObjectStore::folder(folder.join("clips"))),
        Files::S3(s3) => ObjectStore::s3(s3.clone()),
    }
}

/// The database of these settings. Nothing is connected yet.
pub fn database(config: &Config, folder: &Path) -> Database {
    match &config.rows {
        Rows::Sqlite => Database::sqlite(folder.join("oxbow.db")),
        Rows::Mongo(mongo) => Database::mongo(mongo.clone()),
    }
}

async fn listen(config: &Config) -> Result<Listener, ServeError> {
    let tls = match &config.tls {
        Some(files) => {
            let read = |what, path: &PathBuf| {
                std::fs::read(path).map_err(|e| ServeError::File { what, path: path.clone(), cause: e.to_string() })
            };
            let (certificates, key) = (read("TLS_CERT", &files.certificates)?, read("TLS_KEY", &files.key)?);
            let tls = Tls::from_pem(&certificates, &key);
            let wrong = |e: signaling::TlsError| ServeError::File {
                what: "TLS_CERT and TLS_KEY",
                path: files.certificates.clone(),
                cause: e.to_string(),
            };
            Some(tls.map_err(wrong)?)
        }
        None => None,
    };
    let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), config.port);
    match Listener::bind(both, tls.clone()).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(ServeError::Listen { setting: "PORT", address: both, source: error })
        }
        Err(_) => {
            // A machine without IPv6.
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), config.port);
            let source = |source| ServeError::Listen { setting: "PORT", address, source };
            Listener::bind(address, tls).await.map_err(source)
        }
    }
}

/// One processor is left to all that is not media.
fn default_shards() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors.saturating_sub(1).clamp(1, SHARDS)
}

fn settings(config: &Config, key: &StreamKey, metrics: Option<Metrics>) -> Settings {
    let media_origin = match &config.files {
        Files::S3(s3) if config.presign => storage_origin(&s3.endpoint),
        _ => None,
    };
    Settings {
        version: env!("CARGO_PKG_VERSION"),
        key: key.key.clone(),
        public_url: config.public_url.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        record_streams: config.record_streams,
        turn: config.turn.clone(),
        retention: config.retention.clone(),
        clip_length: config.clip_length,
        clip_size_bytes: config.clip_size_bytes,
        presign: config.presign,
        media_origin,
        storage: if matches!(config.files, Files::S3(_)) { StorageKind::S3 } else { StorageKind::Folder },
        database: if matches!(config.rows, Rows::Mongo(_)) { DatabaseKind::Mongo } else { DatabaseKind::Sqlite },
        assets: assets::find,
        metrics,
    }
}

/// Scheme, host and port of the store, for the content security policy.
fn storage_origin(endpoint: &str) -> Option<String> {
    let whole = if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
    let origin = url::Url::parse(&whole).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// What the recorder says, to those who are connected; alarms also into the log of events.
async fn forward(mut recorded: mpsc::Receiver<RecorderEvent>, announcer: Announcer, local: Local) -> &'static str {
    while let Some(event) = recorded.recv().await {
        match event {
            RecorderEvent::Clip { clip, state } => announcer.clip(*clip, state).await,
            RecorderEvent::Alarm { channel, text } => {
                if let Err(error) = local.note_alarm(channel.clone(), text.clone()).await {
                    tracing::warn!(%error, "an alarm is told to nobody outside");
                }
                announcer.alarm(&channel, text).await;
            }
            RecorderEvent::BroadcastSaved(broadcast) => {
                tracing::info!(broadcast = %broadcast.id, channel = broadcast.channel, clips = broadcast.clips, "broadcast saved");
            }
        }
    }
    "the recorder"
}

/// What happened, to webhooks.
async fn tell(keep: EventKeep, local: Local, database: Database, stop: CancellationToken) -> &'static str {
    let config = EventsConfig { keep, timing: Timing::default(), version: env!("CARGO_PKG_VERSION") };
    if let Err(error) = events::run(config, local, database, stop).await {
        tracing::error!(%error, "webhooks are not told");
    }
    "the webhooks"
}

/// On stdout, for the person who started it. The key is shown when it was made, and in development; never in a log.
fn print_addresses(config: &Config, key: &StreamKey, address: SocketAddr, running: &Running) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let base = match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("{scheme}://localhost:{}", address.port()),
    };
    let show_key = key.is_new || config.environment == Environment::Dev;
    let studio = if show_key { format!("{base}/studio#key={}", key.key.expose()) } else { format!("{base}/studio") };
    let media: Vec<String> = running.reach.addresses.iter().map(|at| at.ip().to_string()).collect();
    println!("Oxbow {} is running.", env!("CARGO_PKG_VERSION"));
    println!("  Watch    {base}/");
    println!("  Studio   {studio}");
    println!("  Library  {base}/library");
    println!("  WHIP     {base}/whip/main");
    println!("  Media    UDP and TCP {} at {}", running.plane.local_addr().port(), media.join(", "));
    if scheme == "http" && config.public_url.is_none() {
        println!("  Browsers give cameras only to https and to localhost.");
    }
}
