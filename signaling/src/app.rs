//! What every handler may reach: the settings, the media plane, the stores, the limits. No behaviour of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shard::MediaPlane;
use storage::local::Local;
use storage::{Database, Health, Id, NodeStatus, ObjectStore, Retention, Secret};
use tokio::sync::watch;
use url::Url;

use crate::access::Links;
use crate::address::Network;
use crate::assets::Assets;
use crate::auth::Keys;
use crate::covers::Covers;
use crate::events::Seats;
use crate::limits::{PerAddress, WrongKeys};
use crate::lives::Lives;
use crate::replay::Replays;
use crate::timeline::Timelines;
use crate::turn::Turn;
use crate::view::{DatabaseKind, StorageKind};
use crate::viewings::Viewings;

/// How the wire is to behave. Read from the environment by the server, never here.
pub struct Settings {
    pub version: &'static str,
    /// Opens every channel.
    pub key: Secret,
    /// The address people use, when it is known; `https` makes cookies `Secure`.
    pub public_url: Option<Url>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
    pub record_streams: bool,
    pub clip_length: Duration,
    pub clip_size_bytes: u64,
    /// Send players to the object store itself.
    pub presign: bool,
    /// Where players may be sent, for the content security policy.
    pub media_origin: Option<String>,
    pub storage: StorageKind,
    pub database: DatabaseKind,
    /// TURN servers that pages and encoders are told of.
    pub turn: Option<Turn>,
    /// Which stored clips go by themselves.
    pub retention: Retention,
    /// The web app.
    pub assets: Assets,
    /// Text of /metrics; absent when it has a listener of its own.
    pub metrics: Option<Metrics>,
}

/// Gives the text of /metrics.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the handlers act on.
pub struct Parts {
    pub plane: MediaPlane,
    pub database: Database,
    pub objects: ObjectStore,
    pub local: Local,
    pub health: Health,
    /// What the recorder says of this node.
    pub node: watch::Receiver<NodeStatus>,
}

/// A cheap handle on all of it.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    parts: Parts,
    keys: Keys,
    links: Links,
    resources: ring::hmac::Key,
    wrong_keys: WrongKeys,
    clips: PerAddress,
    joins: PerAddress,
    lives: Lives,
    viewings: Viewings,
    replays: Replays,
    seats: Seats,
    timelines: Timelines,
    covers: Covers,
    stopping: watch::Sender<bool>,
}

impl App {
    pub fn new(settings: Settings, parts: Parts) -> Self {
        let keys = Keys::new(&settings.key);
        let links = Links::new(&settings.key);
        let lives = Lives::new(parts.plane.clone());
        let inner = Inner {
            keys,
            links,
            // Addresses of WHIP and WHEP sessions end with the process, as the sessions do.
            resources: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()),
            wrong_keys: WrongKeys::default(),
            clips: PerAddress::new("clips", 3, Duration::from_secs(10)),
            joins: PerAddress::new("connections", 500, Duration::from_millis(10)),
            lives,
            viewings: Viewings::default(),
            replays: Replays::default(),
            seats: Seats::default(),
            timelines: Timelines::default(),
            covers: Covers::default(),
            stopping: watch::Sender::new(false),
            settings,
            parts,
        };
        Self { inner: Arc::new(inner) }
    }

    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub fn plane(&self) -> &MediaPlane {
        &self.inner.parts.plane
    }

    pub fn database(&self) -> &Database {
        &self.inner.parts.database
    }

    pub fn objects(&self) -> &ObjectStore {
        &self.inner.parts.objects
    }

    pub fn local(&self) -> &Local {
        &self.inner.parts.local
    }

    pub fn health(&self) -> &Health {
        &self.inner.parts.health
    }

    /// Disk and alarms, a few seconds old.
    pub fn node(&self) -> NodeStatus {
        self.inner.parts.node.borrow().clone()
    }

    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub fn links(&self) -> &Links {
        &self.inner.links
    }

    /// Signs the addresses of WHIP and WHEP sessions.
    pub fn resource_key(&self) -> &ring::hmac::Key {
        &self.inner.resources
    }

    pub fn wrong_keys(&self) -> &WrongKeys {
        &self.inner.wrong_keys
    }

    /// Clips that strangers ask for.
    pub fn clip_rate(&self) -> &PerAddress {
        &self.inner.clips
    }

    /// Media sessions that strangers open.
    pub fn join_rate(&self) -> &PerAddress {
        &self.inner.joins
    }

    pub fn lives(&self) -> &Lives {
        &self.inner.lives
    }

    /// Which socket each viewing session belongs to.
    pub fn viewings(&self) -> &Viewings {
        &self.inner.viewings
    }

    /// What was recorded, cut into segments.
    pub fn replays(&self) -> &Replays {
        &self.inner.replays
    }

    /// Of those who follow the events.
    pub fn seats(&self) -> &Seats {
        &self.inner.seats
    }

    /// What was read of stored recordings for editors.
    pub fn timelines(&self) -> &Timelines {
        &self.inner.timelines
    }

    pub fn covers(&self) -> &Covers {
        &self.inner.covers
    }

    /// From now on nothing new begins.
    pub fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    pub fn is_stopping(&self) -> bool {
        *self.inner.stopping.borrow()
    }
}

/// UTC milliseconds.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

pub fn new_id() -> Id {
    Id::new(now_ms() as u64, rand::random())
}
