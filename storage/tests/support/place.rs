//! A database for a test, and the list of tests over each of them.

use storage::model::Id;
use storage::{
    Broadcast, Clip, ClipCause, ClipEdit, ClipQuery, Continuity, Database, Link, MongoConfig, Page, TrackContinuity,
    key,
};
use tempfile::TempDir;

use super::MongoServer;

/// A database of its own for each test. `channel` is nobody else's even where the server is shared.
pub struct Place {
    pub database: Database,
    pub channel: String,
    pub server: Option<MongoServer>,
    pub directory: TempDir,
}

pub fn sqlite() -> Option<Place> {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::sqlite(directory.path().join("data/oxbow.db"));
    Some(Place { database, channel: channel(), server: None, directory })
}

pub fn mongo(start: fn(&std::path::Path) -> Option<MongoServer>) -> Option<Place> {
    let directory = tempfile::tempdir().unwrap();
    let server = start(&directory.path().join("mongo"))?;
    Some(Place { database: connect(&server), channel: channel(), server: Some(server), directory })
}

pub fn connect(server: &MongoServer) -> Database {
    let host = server.host().to_owned();
    Database::mongo(MongoConfig { host, user: None, password: None, database: "oxbow_test".into() })
}

pub fn channel() -> String {
    format!("test-{:016x}", rand::random::<u64>())
}

#[macro_export]
macro_rules! over_every_database {
    ($($case:ident),* $(,)?) => {
        mod over_sqlite {
            $(#[tokio::test] async fn $case() {
                let Some(place) = $crate::support::place::sqlite() else { return };
                super::$case(place).await
            })*
        }
        mod over_mongo {
            $(#[tokio::test] async fn $case() {
                let Some(place) = $crate::support::place::mongo($crate::support::MongoServer::start) else { return };
                super::$case(place).await
            })*
        }
    };
}

/// With the largest numbers that there are.
pub fn continuity() -> Continuity {
    let most = i64::MAX as u64;
    let track = TrackContinuity {
        track: 255,
        codec: "h264".into(),
        first_unit: 100,
        last_unit: most,
        units: 150,
        unshown: 1,
        given_up: 2,
        given_up_before: true,
        first_seq: 1 << 40,
        last_seq: most,
        first_utc_us: 1_700_000_000_000_000,
        last_utc_us: most,
        from_ns: 15_000_000_000,
        last_ns: 19_966_000_000,
        to_ns: 20_000_000_000,
        media_ms: 5000,
        longest_gap_ms: 33,
    };
    let before = Some(Link { clip: id(), part: 1, sha256: "0b".repeat(32) });
    Continuity { tracks: vec![track], before, passed: 1, replaced: vec!["0c".repeat(32)] }
}

impl Place {
    pub fn clip(&self, started_at_ms: i64, title: &str) -> Clip {
        let (id, broadcast) = (id(), id());
        Clip {
            object: key::clip(&self.channel, &broadcast, 3, &id, "mp4"),
            poster: Some(key::poster(&self.channel, &broadcast, 3, &id)),
            title: title.into(),
            cause: ClipCause::Length,
            started_at_ms,
            duration_ms: 5000,
            from_ns: 15_000_000_000,
            to_ns: 20_000_000_000,
            mime: "video/mp4".into(),
            video: Some("h264".into()),
            audio: Some("opus".into()),
            width: 1280,
            height: 720,
            frames: 150,
            packets: 250,
            size: 3_000_000_000,
            sha256: "0a".repeat(32),
            continuity: Some(continuity()),
            created_at_ms: started_at_ms + 6000,
            ..Clip::at(id, broadcast, &self.channel, 3)
        }
    }

    pub async fn insert(&self, started_at_ms: i64, title: &str) -> Clip {
        let clip = self.clip(started_at_ms, title);
        self.database.insert_clip(&clip).await.unwrap();
        clip
    }

    pub fn broadcast(&self, started_at_ms: i64) -> Broadcast {
        Broadcast {
            id: id(),
            channel: self.channel.clone(),
            title: "Live".into(),
            started_at_ms,
            ended_at_ms: None,
            clips: 0,
            duration_ms: 0,
            recorded: true,
            end_reason: None,
        }
    }

    pub fn query(&self) -> ClipQuery {
        ClipQuery { channel: Some(self.channel.clone()), ..ClipQuery::default() }
    }

    pub async fn search(&self, text: &str) -> Vec<String> {
        let query = ClipQuery { text: Some(text.into()), ..self.query() };
        let mut titles: Vec<_> = self.page(&query).await.items.into_iter().map(|clip| clip.title).collect();
        titles.sort();
        titles
    }

    pub async fn page(&self, query: &ClipQuery) -> Page<Clip> {
        self.database.clips(query).await.unwrap()
    }
}

pub fn titled(text: &str) -> ClipEdit {
    ClipEdit { title: Some(text.into()), ..ClipEdit::default() }
}

pub fn id() -> Id {
    Id::new(1_700_000_000_000, rand::random())
}
