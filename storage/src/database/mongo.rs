//! MongoDB; the only file that names the driver.
//!
//! Every write touches one document, so nothing depends on transactions, and the unique `_id` makes inserts idempotent. A
//! deleted clip leaves a document with its id and its tombstone, marked as deleted. Only plain operators are used: whatever speaks
//! the wire protocol will do. Calls end within seconds whatever the server does.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, deserialize_from_document, doc, serialize_to_document};
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{Acknowledgment, ClientOptions, Credential, WriteConcern};
use mongodb::{Client, Collection, IndexModel};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, OnceCell};

use super::cursor::Cursor;
use super::fold;
use crate::error::redact;
use crate::usage::Sums;
use crate::{
    Broadcast, BroadcastQuery, ChannelUsage, Clip, ClipCause, ClipKind, ClipQuery, Id, Secret, StorageError, Tombstone,
    Trouble, Visibility,
};

/// How long to look for a server that can take a call.
const SELECTION: Duration = Duration::from_millis(2500);
const CONNECT: Duration = Duration::from_secs(2);
/// Longest time of one call, all in all.
const CALL: Duration = Duration::from_secs(8);
const CONNECTIONS: u32 = 16;
const DUPLICATE_KEY: i32 = 11000;
/// Counts the changes of a document, also those that no revision counts.
const VERSION: &str = "version";
/// A change that others keep preventing is given up after this many.
const ATTEMPTS: u32 = 16;

/// How to reach the server.
#[derive(Clone)]
pub struct MongoConfig {
    /// `host`, `host:port`, or a full `mongodb://` or `mongodb+srv://` address.
    pub host: String,
    /// Instead of the ones in the address.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// Unless the address names one (other than `admin`).
    pub database: String,
}

impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        let host = self.host.rsplit_once('@').map_or(self.host.as_str(), |(_, host)| host);
        f.debug_struct("MongoConfig").field("host", &host).field("database", &self.database).finish_non_exhaustive()
    }
}

pub(super) struct Mongo {
    config: MongoConfig,
    connected: OnceCell<Connected>,
    indexed: AtomicBool,
    /// Held by what reads and writes one document. MongoDB does that atomically; FerretDB 1 does not, so that at least the
    /// writers of one node take turns.
    turn: Mutex<()>,
}

struct Connected {
    database: mongodb::Database,
    clips: Collection<Document>,
    broadcasts: Collection<Document>,
}

impl fmt::Debug for Mongo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl Mongo {
    pub fn new(config: MongoConfig) -> Self {
        Self { config, connected: OnceCell::new(), indexed: AtomicBool::new(false), turn: Mutex::new(()) }
    }

    pub async fn ping(&self) -> Result<(), StorageError> {
        self.run(async |db| db.database.run_command(doc! { "ping": 1 }).await).await?;
        if !self.indexed.load(Ordering::Relaxed) {
            self.run(async |db| {
                let by = |keys| IndexModel::builder().keys(keys).build();
                let start = || by(doc! { "started_at_ms": -1, "_id": -1 });
                let channel = || by(doc! { "channel": 1, "started_at_ms": -1, "_id": -1 });
                let broadcast = by(doc! { "broadcast": 1, "started_at_ms": -1, "_id": -1 });
                let visibility = by(doc! { "visibility": 1, "started_at_ms": -1, "_id": -1 });
                db.clips.create_indexes([start(), channel(), broadcast, visibility]).await?;
                bring_up_to_date(&db.clips).await?;
                db.broadcasts.create_indexes([start(), channel()]).await
            })
            .await?;
            self.indexed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub async fn insert_clip(&self, clip: &Clip) -> Result<(), StorageError> {
        let document = of_clip(clip)?;
        self.run(async |db| db.clips.insert_one(&document).await.map(Some).or_else(is_there)).await.map(drop)
    }

    pub async fn clip(&self, id: &Id) -> Result<Option<Clip>, StorageError> {
        let found = self.run(async |db| db.clips.find_one(live(id)).await).await?;
        found.map(from_document).transpose()
    }

    pub async fn clips(&self, query: &ClipQuery, after: Option<Cursor>) -> Result<Vec<Clip>, StorageError> {
        let mut filter = filter_of_clips(query);
        insert_after(&mut filter, after);
        self.find(|db| &db.clips, filter, query.limit).await
    }

    /// What `change` makes of the clip. The whole document is replaced if it is still the one that was changed; whoever was quicker
    /// makes this one begin anew.
    pub async fn change_clip(
        &self,
        id: &Id,
        if_revision: Option<u32>,
        change: impl Fn(&mut Clip) -> Result<(), StorageError> + Send + 'static,
    ) -> Result<Clip, StorageError> {
        for _ in 0..ATTEMPTS {
            let found = self.run(async |db| db.clips.find_one(live(id)).await).await?.ok_or(StorageError::NotFound)?;
            let version = found.get(VERSION).and_then(Bson::as_i64);
            let mut clip: Clip = from_document(found)?;
            if if_revision.is_some_and(|wanted| wanted != clip.revision) {
                return Err(StorageError::Conflict);
            }
            change(&mut clip)?;
            let mut unchanged = live(id);
            unchanged.insert(VERSION, version);
            let mut document = of_clip(&clip)?;
            document.insert(VERSION, version.unwrap_or_default() + 1);
            let replaced = self
                .run(async |db| {
                    let _turn = self.turn.lock().await;
                    db.clips.find_one_and_replace(unchanged.clone(), &document).await
                })
                .await?;
            if replaced.is_some() {
                return Ok(clip);
            }
        }
        Err(StorageError::Away(format!("others changed the clip {ATTEMPTS} times meanwhile")))
    }

    pub async fn delete_clip(&self, id: &Id) -> Result<Option<Clip>, StorageError> {
        let Some(clip) = self.clip(id).await? else { return Ok(None) };
        // What people can edit is not in it, so it does not matter who changes the clip in between.
        let left = remains(&Tombstone::from(&clip))?;
        let was = self
            .run(async |db| {
                let _turn = self.turn.lock().await;
                db.clips.find_one_and_replace(live(id), &left).await
            })
            .await?;
        was.map(from_document).transpose()
    }

    pub async fn bury(&self, tombstone: &Tombstone) -> Result<(), StorageError> {
        if self.delete_clip(&tombstone.id).await?.is_some() {
            return Ok(());
        }
        let left = remains(tombstone)?;
        self.run(async |db| db.clips.insert_one(&left).await.map(Some).or_else(is_there)).await.map(drop)
    }

    pub async fn tombstones(&self) -> Result<Vec<Tombstone>, StorageError> {
        let filter = doc! { "deleted": true, "tombstone": { "$exists": true } };
        let found: Vec<Document> =
            self.run(async |db| db.clips.find(filter.clone()).await?.try_collect().await).await?;
        found.into_iter().map(read_tombstone).collect()
    }

    pub async fn tombstone(&self, id: &Id) -> Result<Option<Tombstone>, StorageError> {
        let filter = doc! { "_id": id.as_str(), "deleted": true, "tombstone": { "$exists": true } };
        let found = self.run(async |db| db.clips.find_one(filter.clone()).await).await?;
        found.map(read_tombstone).transpose()
    }

    /// Summed here: not every server that speaks the protocol sums large numbers.
    pub async fn usage(&self) -> Result<Vec<ChannelUsage>, StorageError> {
        let fields = doc! { "_id": 0, "channel": 1, "size": 1, "kind": 1, "visibility": 1, "pinned": 1 };
        let rows = self.run(async |db| {
            let mut found = db.clips.find(doc! { "deleted": false }).projection(fields.clone()).await?;
            let mut sums = Sums::default();
            while let Some(row) = found.try_next().await? {
                sums.add(&deserialize_from_document(row)?);
            }
            Ok(sums)
        });
        Ok(rows.await?.into_usage())
    }

    pub async fn upsert_broadcast(&self, broadcast: &Broadcast) -> Result<(), StorageError> {
        let mut set = to_document(broadcast)?;
        set.remove("_id");
        let counts: Document = ["clips", "duration_ms"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), set.remove(name)?)))
            .collect();
        let update = doc! { "$set": set, "$max": counts.clone() };
        let any = doc! { "_id": broadcast.id.as_str() };
        let open = doc! { "_id": broadcast.id.as_str(), "ended_at_ms": null };
        let target = if broadcast.ended_at_ms.is_some() { &any } else { &open };
        self.run(async |db| {
            let _turn = self.turn.lock().await;
            // An ended one does not match `open`, so the upsert runs into its id.
            if db
                .broadcasts
                .update_one(target.clone(), update.clone())
                .upsert(true)
                .await
                .map(Some)
                .or_else(is_there)?
                .is_some()
            {
                return Ok(());
            }
            // It is there: ended, or inserted by somebody else just now.
            if db.broadcasts.update_one(target.clone(), update.clone()).await?.matched_count == 0 {
                db.broadcasts.update_one(any.clone(), doc! { "$max": counts.clone() }).await?;
            }
            Ok(())
        })
        .await
    }

    pub async fn broadcast(&self, id: &Id) -> Result<Option<Broadcast>, StorageError> {
        let found = self.run(async |db| db.broadcasts.find_one(doc! { "_id": id.as_str() }).await).await?;
        found.map(from_document).transpose()
    }

    pub async fn broadcasts(
        &self,
        query: &BroadcastQuery,
        after: Option<Cursor>,
    ) -> Result<Vec<Broadcast>, StorageError> {
        let mut filter = Document::new();
        insert_some(&mut filter, "channel", query.channel.as_deref());
        insert_after(&mut filter, after);
        self.find(|db| &db.broadcasts, filter, query.limit).await
    }

    /// Newest first, one more than `limit`.
    async fn find<T: DeserializeOwned>(
        &self,
        collection: impl Fn(&Connected) -> &Collection<Document>,
        filter: Document,
        limit: u32,
    ) -> Result<Vec<T>, StorageError> {
        let found: Vec<Document> = self
            .run(async |db| {
                let find = collection(db).find(filter.clone()).sort(doc! { "started_at_ms": -1, "_id": -1 });
                find.limit(i64::from(limit) + 1).await?.try_collect().await
            })
            .await?;
        found.into_iter().map(from_document).collect()
    }
}

impl Mongo {
    /// One call: connects where nothing has yet, ends in time, and speaks of failures in our words.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&Connected) -> Result<T, mongodb::error::Error>,
    ) -> Result<T, StorageError> {
        let call = async {
            let connected = self.connected.get_or_try_init(|| self.connect()).await?;
            work(connected).await
        };
        match tokio::time::timeout(CALL, call).await {
            Ok(result) => result.map_err(|error| self.kind(&error)),
            Err(_) => Err(StorageError::Away(format!("no answer within {} s", CALL.as_secs()))),
        }
    }

    /// Looks up the names of a `mongodb+srv://` address; the driver's own connections follow behind.
    async fn connect(&self) -> Result<Connected, mongodb::error::Error> {
        let host = self.config.host.trim();
        let address = if host.contains("://") { host.to_owned() } else { format!("mongodb://{host}") };
        let mut options = ClientOptions::parse(address).await?;
        options.app_name.get_or_insert_with(|| "oxbow".into());
        options.server_selection_timeout = Some(SELECTION);
        options.connect_timeout = Some(CONNECT);
        options.max_pool_size.get_or_insert(CONNECTIONS);
        // A row that was reported as written survives the loss of one server.
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        if self.config.user.is_some() || self.config.password.is_some() {
            let mut credential = options.credential.take().unwrap_or_else(|| Credential::builder().build());
            credential.username = self.config.user.clone().or(credential.username);
            credential.password = self.config.password.as_ref().map(|p| p.expose().to_owned()).or(credential.password);
            options.credential = Some(credential);
        }
        let named = options.default_database.clone().filter(|name| name != "admin");
        let database = Client::with_options(options)?.database(named.as_ref().unwrap_or(&self.config.database));
        let (clips, broadcasts) = (database.collection("clips"), database.collection("broadcasts"));
        Ok(Connected { database, clips, broadcasts })
    }

    fn kind(&self, error: &mongodb::error::Error) -> StorageError {
        let mut text = error.kind.to_string();
        if let Some(password) = &self.config.password {
            text = redact(&text, password.expose());
        }
        if let Some((_, user_info)) = self.config.host.rsplit_once('@').and_then(|(head, _)| head.split_once("://")) {
            text = redact(&text, user_info.split_once(':').map_or(user_info, |(_, password)| password));
        }
        kind(&error.kind, text)
    }
}

fn kind(kind: &ErrorKind, text: String) -> StorageError {
    match kind {
        ErrorKind::Authentication { .. } => StorageError::Refused(format!("wrong user or password: {text}")),
        ErrorKind::InvalidArgument { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::IncompatibleServer { .. } => StorageError::Refused(text),
        ErrorKind::Command(command) if is_passing(command.code) => StorageError::Away(text),
        ErrorKind::Command(_) | ErrorKind::Write(WriteFailure::WriteError(_)) => StorageError::Refused(text),
        ErrorKind::Bson(_) | ErrorKind::InvalidResponse { .. } => StorageError::Corrupt(text),
        _ => StorageError::Away(text),
    }
}

/// Error codes of a server that is stopping, starting, electing or overloaded.
fn is_passing(code: i32) -> bool {
    matches!(code, 6 | 7 | 50 | 64 | 89 | 91 | 112 | 189 | 262 | 9001 | 10107 | 11600 | 11602 | 13435 | 13436)
}

/// The insert of a document whose id is taken: nothing to do.
fn is_there<T>(error: mongodb::error::Error) -> Result<Option<T>, mongodb::error::Error> {
    let code = match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code,
        ErrorKind::Command(command) => command.code,
        _ => 0,
    };
    if code == DUPLICATE_KEY { Ok(None) } else { Err(error) }
}

/// Documents of an older Oxbow get what is filtered by.
async fn bring_up_to_date(clips: &Collection<Document>) -> Result<(), mongodb::error::Error> {
    let old = doc! { "deleted": false, "searchable": { "$exists": false } };
    let new = doc! { "kind": ClipKind::Part.as_str(), "visibility": Visibility::Hidden.as_str(), "pinned": false };
    let update = doc! { "$set": new, "$rename": { "title_folded": "searchable" } };
    clips.update_many(old, update).await.map(drop)
}

/// The document of a deleted clip.
fn remains(tombstone: &Tombstone) -> Result<Document, StorageError> {
    let kept = serialize_to_document(tombstone).map_err(|error| StorageError::Invalid(error.to_string()))?;
    Ok(doc! { "_id": tombstone.id.as_str(), "deleted": true, "tombstone": kept })
}

fn read_tombstone(mut document: Document) -> Result<Tombstone, StorageError> {
    match document.remove("tombstone") {
        Some(Bson::Document(tombstone)) => {
            deserialize_from_document(tombstone).map_err(|error| StorageError::Corrupt(error.to_string()))
        }
        _ => Err(StorageError::Corrupt("a deleted clip left something else than a tombstone".into())),
    }
}

fn live(id: &Id) -> Document {
    doc! { "_id": id.as_str(), "deleted": false }
}

fn of_clip(clip: &Clip) -> Result<Document, StorageError> {
    let mut document = to_document(clip)?;
    document.insert("searchable", clip.searchable());
    document.insert("deleted", false);
    Ok(document)
}

fn filter_of_clips(query: &ClipQuery) -> Document {
    let mut filter = doc! { "deleted": false };
    insert_some(&mut filter, "channel", query.channel.as_deref());
    insert_some(&mut filter, "broadcast", query.broadcast.as_ref().map(Id::as_str));
    insert_some(&mut filter, "kind", query.kind.map(ClipKind::as_str));
    insert_some(&mut filter, "visibility", query.visibility.map(Visibility::as_str));
    insert_some(&mut filter, "tags", query.tag.as_deref());
    if let Some(text) = &query.text {
        filter.insert("searchable", doc! { "$regex": escape_regex(&fold(text)) });
    }
    if let Some(pinned) = query.pinned {
        filter.insert("pinned", pinned);
    }
    let mut started = Document::new();
    started.extend(query.from_ms.map(|from| ("$gte".into(), Bson::from(from))));
    started.extend(query.to_ms.map(|to| ("$lt".into(), Bson::from(to))));
    if !started.is_empty() {
        filter.insert("started_at_ms", started);
    }
    if let Some(most) = query.max_score {
        filter.insert("health.score", doc! { "$lte": i64::from(most) });
    }
    let some = || doc! { "$gt": 0_i64 };
    match query.trouble {
        None => {}
        Some(Trouble::Silent) => drop(filter.insert("health.silent_ms", some())),
        Some(Trouble::Black) => drop(filter.insert("health.black_ms", some())),
        Some(Trouble::Frozen) => drop(filter.insert("health.frozen_ms", some())),
        Some(Trouble::Gaps) => drop(filter.insert("lost_ms", some())),
        Some(Trouble::Recovered) => insert_some(&mut filter, "cause", Some(ClipCause::Recovered.as_str())),
    }
    filter
}

fn insert_some(filter: &mut Document, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        filter.insert(name, value);
    }
}

fn insert_after(filter: &mut Document, after: Option<Cursor>) {
    if let Some(Cursor { started_at_ms: at, id }) = after {
        let same = doc! { "started_at_ms": at, "_id": { "$lt": id.as_str() } };
        filter.insert("$or", vec![doc! { "started_at_ms": { "$lt": at } }, same]);
    }
}

/// The value with its id as `_id`.
fn to_document(value: &impl serde::Serialize) -> Result<Document, StorageError> {
    let mut document = serialize_to_document(value).map_err(|error| StorageError::Invalid(error.to_string()))?;
    let id = document.remove("id").unwrap_or(Bson::Null);
    document.insert("_id", id);
    Ok(document)
}

fn from_document<T: DeserializeOwned>(mut document: Document) -> Result<T, StorageError> {
    let id = document.remove("_id").unwrap_or(Bson::Null);
    document.insert("id", id);
    deserialize_from_document(document).map_err(|error| StorageError::Corrupt(error.to_string()))
}

/// `text` as a pattern that matches itself.
fn escape_regex(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$#/-".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str) -> MongoConfig {
        MongoConfig {
            host: host.into(),
            user: Some("me".into()),
            password: Some(Secret::new("hunter2")),
            database: "oxbow".into(),
        }
    }

    #[test]
    fn no_password_is_printed() {
        for host in ["db.example:27017", "mongodb://me:hunter2@db.example/x", "mongodb+srv://me:hunter2@db.example"] {
            let (config, mongo) = (config(host), Mongo::new(config(host)));
            let printed = format!("{config:?} {mongo:?}");
            assert!(!printed.contains("hunter2") && printed.contains("db.example"), "{printed}");
            let error = mongodb::error::Error::custom("x");
            assert!(!mongo.kind(&error).to_string().contains("hunter2"));
        }
    }

    #[tokio::test]
    async fn an_address_that_makes_no_sense_is_refused_without_its_password() {
        for host in ["mongodb://me:hunter2@", "mongodb://me:hunter2@host:port", "postgres://me:hunter2@host", ""] {
            let error = Mongo::new(config(host)).ping().await.unwrap_err();
            assert!(matches!(error, StorageError::Refused(_)), "{host}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn patterns_match_themselves_only() {
        assert_eq!(escape_regex("a.b*(c)[d]{2}^$|\\+?"), "a\\.b\\*\\(c\\)\\[d\\]\\{2\\}\\^\\$\\|\\\\\\+\\?");
        assert_eq!(escape_regex("日本 ü_x"), "日本 ü_x");
    }
}
