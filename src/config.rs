//! The settings: text → raw → [`Config`]. The only reader of the environment.
//!
//! A setting comes from the environment or, when it is not there, from `.env` in the working directory; an empty value counts as
//! unset. All that is wrong is told at once, each with the name of the setting and the form that is expected, never with the
//! value of a secret. What the settings mean is in [`SETTINGS`], from which `.env.example` is written.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use media::id::ChannelName;
use signaling::Turn;
use signaling::address::Network;
use storage::local::EventKeep;
use storage::object::PART_BYTES;
use storage::{ChecksumMode, Keep, Mark, MongoConfig, Retention, S3Config, Secret, Visibility, Watermarks};
use url::Url;

use crate::reach::PeerHost;

/// One setting, as `.env.example` shows it.
pub struct Setting {
    pub name: &'static str,
    /// As written in `.env.example`; empty where the default is not a value.
    pub default: &'static str,
    pub meaning: &'static str,
    pub secret: bool,
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, meaning, secret: false }
}

const fn secret(name: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default: "", meaning, secret: true }
}

/// All there are.
pub const SETTINGS: &[Setting] = &[
    plain(
        "ENVIRONMENT",
        "dev",
        "\"dev\" or \"production\". Production writes its log as JSON and announces no loopback addresses.",
    ),
    plain(
        "DATA_DIR",
        "./data",
        "Folder of the journals, the spool, the local job table, the stream key, and the embedded stores. One server per folder.",
    ),
    plain("RUST_LOG", "info", "What is logged: a level, or levels per module (\"info,signaling=debug\")."),
    plain("PORT", "8080", "TCP port of pages, API and socket.io. 0 takes a free one."),
    plain(
        "PUBLIC_URL",
        "",
        "Address that people use, such as https://live.example. https makes the session cookie Secure. Unset: whatever they came by.",
    ),
    plain(
        "TLS_CERT",
        "",
        "PEM file with the certificate chain. With TLS_KEY the server speaks https itself. Unset: http, for a proxy in front.",
    ),
    plain("TLS_KEY", "", "PEM file with the private key of TLS_CERT."),
    plain(
        "TRUSTED_PROXIES",
        "",
        "Addresses or networks of proxies whose X-Forwarded-For counts, separated by commas (127.0.0.1,10.0.0.0/8). Unset: none.",
    ),
    plain("METRICS_BIND", "", "Address and port where /metrics listens (127.0.0.1:9090). Unset: on PORT."),
    secret(
        "STREAM_KEY",
        "Key that a streamer gives. At least 8 characters. Unset: made at the first start, kept in DATA_DIR/stream-key.",
    ),
    plain(
        "PEER_HOST",
        "",
        "Addresses or names at which browsers reach the media port, separated by commas; with a port (203.0.113.7:443) where a router maps another one to it. Unset: the addresses of this machine.",
    ),
    plain("PEER_PORT", "8189", "UDP and TCP port of all media. 0 takes a free one."),
    plain(
        "SHARDS",
        "",
        "Threads for media, 1 to 64, with a socket each. Unset: one less than there are processors, at least 1.",
    ),
    plain(
        "TURN_URLS",
        "",
        "TURN servers that browsers and encoders may use, separated by commas (turn:turn.example:3478?transport=udp,turns:turn.example:5349). Unset: none.",
    ),
    secret(
        "TURN_SECRET",
        "Secret shared with the TURN servers (coturn: static-auth-secret), from which credentials of twelve hours are made. Needed with TURN_URLS.",
    ),
    plain("RECORD_STREAMS", "true", "\"true\" or \"false\": whether broadcasts are recorded."),
    plain("CLIP_SIZE", "100", "Megabytes (1,000,000 bytes) at which a clip ends and the next begins, 1 to 100000."),
    plain("CLIP_LENGTH", "300", "Seconds after which a clip ends and the next begins, 2 to 86400."),
    plain(
        "CLIP_VISIBILITY",
        "hidden",
        "Who may see what is recorded before an editor decides: \"hidden\", \"link\" or \"published\".",
    ),
    plain("JOURNAL_KEEP", "24", "Hours for which a journal is kept after its clip is stored, 0 to 8760."),
    plain(
        "DISK_SOFT",
        "10%,5000",
        "What should stay free on the disk of DATA_DIR: a share (5%), megabytes (2000), or the smaller of both. Below it journals of stored clips go before JOURNAL_KEEP is over. 0: never.",
    ),
    plain(
        "DISK_HARD",
        "2%,1000",
        "What must stay free there, in the same form. Below it nothing is recorded, with an alarm, until there is space again; lives and uploads go on. 0: recorded until the disk refuses.",
    ),
    plain(
        "KEEP_DAYS",
        "",
        "Days after which stored clips are deleted, but for those that are kept for good, published, or made by somebody. Unset: never.",
    ),
    plain(
        "KEEP_GB",
        "",
        "Gigabytes (1,000,000,000 bytes) of such clips to keep of each channel; the oldest go first. Unset: all.",
    ),
    plain(
        "KEEP_CHANNELS",
        "",
        "What holds for single channels instead, separated by commas (main:30d/50GB,side:7d,third:500MB,archive:all).",
    ),
    plain(
        "KEEP_IN_S3",
        "false",
        "\"true\": with FILE_HOST, whether that is deleted from the store as well. Needed there with any KEEP_ setting.",
    ),
    plain(
        "EVENT_KEEP_DAYS",
        "30",
        "Days for which the log of events is kept, for replay and Last-Event-ID. At least 2.",
    ),
    plain("EVENT_KEEP_ROWS", "100000", "Events that are kept at most; the oldest go first. About 1 KB each."),
    plain(
        "FILE_HOST",
        "",
        "Address of the S3-compatible store, such as https://gateway.storjshare.io. Unset: a folder under DATA_DIR.",
    ),
    plain("REGION", "us-east-1", "Region of the bucket."),
    plain("S3_BUCKET", "", "Name of the bucket. Needed with FILE_HOST."),
    plain("STORJ_SECRET_ACCESS_ID", "", "Access key id of the store. Needed with FILE_HOST."),
    secret("STORJ_SECRET_ACCESS_KEY", "Secret access key of the store. Needed with FILE_HOST."),
    plain(
        "S3_PRESIGN",
        "false",
        "\"true\": players fetch clips from the store itself, by addresses that expire. \"false\": through this server.",
    ),
    plain(
        "S3_CHECKSUM",
        "sha256",
        "\"sha256\": the store checks what it receives. \"none\": for stores that refuse checksums; every object is read back instead.",
    ),
    secret(
        "MONGO_HOST",
        "MongoDB: host, host:port, or a full mongodb:// or mongodb+srv:// address. Unset: SQLite under DATA_DIR.",
    ),
    plain("MONGO_USER", "", "User, unless the address names one."),
    secret("MONGO_PASSWORD", "Password of MONGO_USER."),
    secret(
        "WHITELIST_URL",
        "Address to ask at start that this host may reach the database. Skipped when ENVIRONMENT=dev. Unset: skipped.",
    ),
    secret("WHITELIST_KEY", "Key that is sent to WHITELIST_URL."),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Dev,
    Production,
}

#[derive(Clone, Debug)]
pub enum Files {
    Folder,
    S3(S3Config),
}

#[derive(Clone, Debug)]
pub enum Rows {
    Sqlite,
    Mongo(MongoConfig),
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificates: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Whitelist {
    pub url: Secret,
    pub key: Secret,
}

/// The settings, usable.
#[derive(Clone, Debug)]
pub struct Config {
    pub environment: Environment,
    pub data_dir: PathBuf,
    pub log: String,
    pub port: u16,
    pub public_url: Option<Url>,
    pub tls: Option<TlsFiles>,
    pub trusted_proxies: Vec<Network>,
    pub metrics_bind: Option<SocketAddr>,
    /// Unset: from `DATA_DIR`.
    pub stream_key: Option<Secret>,
    /// Addresses or names; empty: detected.
    pub peer_hosts: Vec<PeerHost>,
    pub peer_port: u16,
    /// Unset: by the processors of this machine.
    pub shards: Option<usize>,
    pub turn: Option<Turn>,
    pub record_streams: bool,
    pub clip_size_bytes: u64,
    pub clip_length: Duration,
    pub clip_visibility: Visibility,
    pub journal_keep: Duration,
    pub watermarks: Watermarks,
    pub retention: Retention,
    pub events: EventKeep,
    pub files: Files,
    pub presign: bool,
    pub rows: Rows,
    pub whitelist: Option<Whitelist>,
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// From the environment and `.env`.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn load() -> Result<Self, ConfigError> {
        let file = read_file(Path::new(".env"))?;
        Self::from_texts(|name| std::env::var(name).ok(), file)
    }

    /// From texts: `environment` first, then `file`.
    fn from_texts(
        environment: impl Fn(&str) -> Option<String>,
        file: BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let unknown = file.keys().filter(|key| SETTINGS.iter().all(|setting| setting.name != key.as_str()));
        let mut raw = Raw { texts: BTreeMap::new(), wrong: unknown.map(|key| unknown_key(key)).collect() };
        for setting in SETTINGS {
            let text = environment(setting.name).or_else(|| file.get(setting.name).cloned());
            if let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
                raw.texts.insert(setting.name, text);
            }
        }
        let config = raw.config();
        if raw.wrong.is_empty() { Ok(config) } else { Err(ConfigError(raw.wrong)) }
    }

    /// Texts that must never be printed.
    pub fn secrets(&self) -> Vec<Secret> {
        let s3 = if let Files::S3(s3) = &self.files { Some(s3.secret_key.clone()) } else { None };
        let (host, password) = match &self.rows {
            Rows::Mongo(mongo) => (mongo.host.contains('@').then(|| Secret::new(&*mongo.host)), mongo.password.clone()),
            Rows::Sqlite => (None, None),
        };
        let whitelist = self.whitelist.iter().flat_map(|w| [w.url.clone(), w.key.clone()]);
        let turn = self.turn.as_ref().map(|turn| turn.secret().clone());
        [self.stream_key.clone(), s3, host, password, turn].into_iter().flatten().chain(whitelist).collect()
    }
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(error) if error.not_found() => return Ok(BTreeMap::new()),
        Err(_) => return Err(ConfigError(vec![format!("{} cannot be read", path.display())])),
    };
    // An error of a line would quote it, and it may hold a secret.
    lines
        .collect::<Result<_, _>>()
        .map_err(|_| ConfigError(vec![format!("{}: a line is not of the form NAME=value", path.display())]))
}

fn unknown_key(key: &str) -> String {
    let near = SETTINGS.iter().map(|setting| (distance(key, setting.name), setting.name)).min();
    match near {
        Some((steps, name)) if steps <= 3 => format!("{key}: no such setting in .env; did you mean {name}?"),
        _ => format!("{key}: no such setting in .env; .env.example lists them all"),
    }
}

/// Single-letter edits between two names (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let cost = (diagonal + usize::from(from != *to)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

/// The texts that were given, and what was found wrong with them.
struct Raw {
    texts: BTreeMap<&'static str, String>,
    wrong: Vec<String>,
}

impl Raw {
    fn config(&mut self) -> Config {
        let environment = match self.text("ENVIRONMENT").as_str() {
            "production" => Environment::Production,
            "dev" => Environment::Dev,
            _ => self.no("ENVIRONMENT", "is \"dev\" or \"production\"", Environment::Dev),
        };
        Config {
            environment,
            data_dir: PathBuf::from(self.text("DATA_DIR")),
            log: self.text("RUST_LOG"),
            port: self.number("PORT", 0..=65535, "a TCP port, 0 to 65535") as u16,
            public_url: self.public_url(),
            tls: self.tls(),
            trusted_proxies: self
                .list("TRUSTED_PROXIES", "addresses or networks separated by commas, such as 10.0.0.0/8"),
            metrics_bind: self.parsed("METRICS_BIND", "an address and a port, such as 127.0.0.1:9090"),
            stream_key: self.stream_key(),
            peer_hosts: self.peer_hosts(),
            peer_port: self.number("PEER_PORT", 0..=65535, "a port, 0 to 65535") as u16,
            shards: self
                .given("SHARDS")
                .map(|_| self.number("SHARDS", 1..=64, "a number of threads, 1 to 64") as usize),
            turn: self.turn(),
            record_streams: self.flag("RECORD_STREAMS"),
            clip_size_bytes: self.number("CLIP_SIZE", 1..=100_000, "whole megabytes, 1 to 100000") * 1_000_000,
            clip_length: Duration::from_secs(self.number("CLIP_LENGTH", 2..=86_400, "whole seconds, 2 to 86400")),
            clip_visibility: self.visibility(),
            journal_keep: Duration::from_secs(self.number("JOURNAL_KEEP", 0..=8760, "whole hours, 0 to 8760") * 3600),
            watermarks: Watermarks { soft: self.mark("DISK_SOFT"), hard: self.mark("DISK_HARD") },
            retention: self.retention(),
            events: EventKeep {
                days: self.number("EVENT_KEEP_DAYS", 2..=3650, "whole days, 2 to 3650") as u32,
                rows: self.number("EVENT_KEEP_ROWS", 1000..=10_000_000, "a number of events, 1000 to 10000000"),
            },
            presign: self.flag("S3_PRESIGN"),
            files: self.files(),
            rows: self.rows(),
            whitelist: self.whitelist(),
        }
    }

    fn given(&self, name: &str) -> Option<String> {
        debug_assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name} is not in the table");
        self.texts.get(name).cloned()
    }

    /// As given, or the default of the table.
    fn text(&self, name: &str) -> String {
        let default = || SETTINGS.iter().find(|s| s.name == name).map_or("", |s| s.default).to_owned();
        self.given(name).unwrap_or_else(default)
    }

    /// Notes what is wrong with a setting and goes on with `instead`, to find the rest.
    fn no<T>(&mut self, name: &str, expected: impl Display, instead: T) -> T {
        let secret = SETTINGS.iter().any(|setting| setting.name == name && setting.secret);
        let mut line = format!("{name} {expected}");
        if let Some(text) = self.given(name).filter(|_| !secret) {
            let _ = write!(line, ", not '{text}'");
        }
        self.wrong.push(line);
        instead
    }

    fn number(&mut self, name: &str, range: std::ops::RangeInclusive<u64>, form: &str) -> u64 {
        match self.text(name).parse::<u64>() {
            Ok(number) if range.contains(&number) => number,
            _ => self.no(name, format!("is {form}"), *range.start()),
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_str() {
            "true" => true,
            "false" => false,
            _ => self.no(name, "is \"true\" or \"false\"", false),
        }
    }

    fn visibility(&mut self) -> Visibility {
        self.text("CLIP_VISIBILITY").parse().unwrap_or_else(|_| {
            self.no("CLIP_VISIBILITY", "is \"hidden\", \"link\" or \"published\"", Visibility::Hidden)
        })
    }

    fn retention(&mut self) -> Retention {
        let mut whole = |name: &str, range, form| self.given(name).map(|_| self.number(name, range, form));
        let days = whole("KEEP_DAYS", 1..=36_500, "whole days, 1 to 36500").map(|days| days as u32);
        let bytes = whole("KEEP_GB", 1..=1_000_000, "whole gigabytes, 1 to 1000000").map(|gb| gb * 1_000_000_000);
        let rules = self.given("KEEP_CHANNELS").unwrap_or_default();
        let rule = |rule: &str| {
            let (channel, keep) = rule.trim().split_once(':')?;
            let channel: ChannelName = channel.parse().ok()?;
            Some((channel.to_string(), keep.parse().ok()?))
        };
        let read = rules.split(',').filter(|part| !part.trim().is_empty()).map(rule).collect::<Option<_>>();
        let channels = read.unwrap_or_else(|| {
            self.no("KEEP_CHANNELS", "is rules such as main:30d/50GB,side:7d,archive:all", Default::default())
        });
        let retention = Retention { all: Keep { days, bytes }, channels };
        if self.given("FILE_HOST").is_some() && !self.flag("KEEP_IN_S3") && !retention.keeps_all() {
            self.wrong
                .push("KEEP_IN_S3 is needed with FILE_HOST and a KEEP_ setting: is the store meant as well?".into());
        }
        retention
    }

    fn mark(&mut self, name: &str) -> Mark {
        let mark = self.text(name).parse();
        mark.unwrap_or_else(|_| self.no(name, "is a share (5%), megabytes (2000), or both (5%,2000)", Mark::NOTHING))
    }

    fn parsed<T: FromStr>(&mut self, name: &str, form: &str) -> Option<T> {
        let text = self.given(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(_) => self.no(name, format!("is {form}"), None),
        }
    }

    fn list<T: FromStr>(&mut self, name: &str, form: &str) -> Vec<T> {
        let text = self.given(name).unwrap_or_default();
        let read: Result<Vec<T>, T::Err> =
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect();
        match read {
            Ok(values) => values,
            Err(_) => self.no(name, format!("is {form}"), Vec::new()),
        }
    }

    fn public_url(&mut self) -> Option<Url> {
        let url: Url = self.parsed("PUBLIC_URL", "an address such as https://live.example")?;
        let fits = matches!(url.scheme(), "http" | "https") && url.has_host() && matches!(url.path(), "" | "/");
        if fits { Some(url) } else { self.no("PUBLIC_URL", "is http:// or https:// and a host, without a path", None) }
    }

    fn tls(&mut self) -> Option<TlsFiles> {
        match (self.given("TLS_CERT"), self.given("TLS_KEY")) {
            (Some(certificates), Some(key)) => Some(TlsFiles { certificates: certificates.into(), key: key.into() }),
            (None, None) => None,
            (Some(_), None) => self.no("TLS_KEY", "is needed with TLS_CERT", None),
            (None, Some(_)) => self.no("TLS_CERT", "is needed with TLS_KEY", None),
        }
    }

    fn stream_key(&mut self) -> Option<Secret> {
        let key = self.given("STREAM_KEY")?;
        let fits = (8..=256).contains(&key.len()) && key.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        if fits {
            Some(Secret::new(key))
        } else {
            self.no("STREAM_KEY", "is 8 to 256 visible ASCII characters without spaces", None)
        }
    }

    fn peer_hosts(&mut self) -> Vec<PeerHost> {
        let hosts: Vec<String> = self.list("PEER_HOST", "");
        hosts.iter().map(|text| PeerHost::parse(text)).collect::<Option<_>>().unwrap_or_else(|| {
            self.no("PEER_HOST", "is addresses or names separated by commas, each with or without a port", Vec::new())
        })
    }

    fn turn(&mut self) -> Option<Turn> {
        match (self.given("TURN_URLS"), self.given("TURN_SECRET").map(Secret::new)) {
            (Some(urls), Some(secret)) => {
                let urls = urls.split(',').map(|url| url.trim().to_owned()).collect();
                let turn = Turn::new(urls, secret);
                turn.or_else(|| self.no("TURN_URLS", "is addresses such as turn:turn.example:3478?transport=udp", None))
            }
            (None, None) => None,
            (Some(_), None) => self.no("TURN_SECRET", "is needed with TURN_URLS", None),
            (None, Some(_)) => self.no("TURN_URLS", "is needed with TURN_SECRET", None),
        }
    }

    fn files(&mut self) -> Files {
        let Some(endpoint) = self.given("FILE_HOST") else {
            for name in ["S3_BUCKET", "STORJ_SECRET_ACCESS_ID", "STORJ_SECRET_ACCESS_KEY"] {
                if self.texts.contains_key(name) {
                    self.wrong.push(format!("{name} is set, but FILE_HOST is not: which store is meant?"));
                }
            }
            return Files::Folder;
        };
        let mut needed = |name: &str| match self.given(name) {
            Some(text) => text,
            None => self.no(name, "is needed with FILE_HOST", String::new()),
        };
        let (bucket, access_key) = (needed("S3_BUCKET"), needed("STORJ_SECRET_ACCESS_ID"));
        let secret_key = Secret::new(needed("STORJ_SECRET_ACCESS_KEY"));
        let checksum = match self.text("S3_CHECKSUM").as_str() {
            "sha256" => ChecksumMode::WhenSupported,
            "none" => ChecksumMode::Off,
            _ => self.no("S3_CHECKSUM", "is \"sha256\" or \"none\"", ChecksumMode::WhenSupported),
        };
        let region = self.text("REGION");
        Files::S3(S3Config { endpoint, region, bucket, access_key, secret_key, checksum, part_bytes: PART_BYTES })
    }

    fn rows(&mut self) -> Rows {
        let Some(host) = self.given("MONGO_HOST") else {
            for name in ["MONGO_USER", "MONGO_PASSWORD"] {
                if self.texts.contains_key(name) {
                    self.wrong.push(format!("{name} is set, but MONGO_HOST is not: which database is meant?"));
                }
            }
            return Rows::Sqlite;
        };
        let (user, password) = (self.given("MONGO_USER"), self.given("MONGO_PASSWORD").map(Secret::new));
        if user.is_some() != password.is_some() {
            self.wrong.push("MONGO_USER and MONGO_PASSWORD are needed together".to_owned());
        }
        Rows::Mongo(MongoConfig { host, user, password, database: "oxbow".to_owned() })
    }

    fn whitelist(&mut self) -> Option<Whitelist> {
        match (self.given("WHITELIST_URL"), self.given("WHITELIST_KEY")) {
            (Some(url), Some(key)) => {
                let web = url.parse::<Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
                let secrets = Whitelist { url: Secret::new(url), key: Secret::new(key) };
                if web { Some(secrets) } else { self.no("WHITELIST_URL", "is an http:// or https:// address", None) }
            }
            (None, None) => None,
            (Some(_), None) => self.no("WHITELIST_KEY", "is needed with WHITELIST_URL", None),
            (None, Some(_)) => self.no("WHITELIST_URL", "is needed with WHITELIST_KEY", None),
        }
    }
}

/// The text of `.env.example`, which `oxbow settings` prints.
pub fn example() -> String {
    let mut out = String::from(
        "# Settings of Oxbow. Copy to .env, uncomment what you change; the environment counts before the file.\n\
         # Nothing is needed to start. Shown is the default; nothing after '=' means unset.\n",
    );
    for setting in SETTINGS {
        let _ = write!(out, "\n# {}\n#{}={}\n", setting.meaning, setting.name, setting.default);
    }
    out
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
