//! S3 and MongoDB: the same exact clips with both configured, and nothing missing after both were away.

#[path = "../storage/tests/support/mod.rs"]
mod stores;
mod support;

use std::time::Duration;

use stores::{MongoServer, S3Server};
use support::{House, KEY, Publisher, Server, show};

const FPS: u32 = 30;

struct Stores {
    s3: S3Server,
    mongo: MongoServer,
    folder: tempfile::TempDir,
}

impl Stores {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mongo = MongoServer::start_own(&folder.path().join("mongo"))?;
        let s3 = S3Server::start(&folder.path().join("s3"));
        Some(Self { s3, mongo, folder })
    }

    fn house(&self) -> House {
        House::new(&[
            ("CLIP_LENGTH", "5"),
            ("FILE_HOST", &self.s3.endpoint()),
            ("REGION", S3Server::REGION),
            ("S3_BUCKET", S3Server::BUCKET),
            ("STORJ_SECRET_ACCESS_ID", S3Server::ACCESS_KEY),
            ("STORJ_SECRET_ACCESS_KEY", S3Server::SECRET_KEY),
            ("MONGO_HOST", self.mongo.host()),
        ])
    }

    /// Media objects in the bucket.
    fn objects(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
            entries
                .flatten()
                .map(|entry| {
                    let path = entry.path();
                    let media = path.extension().is_some_and(|e| e == "webm" || e == "mp4");
                    if path.is_dir() { count(&path) } else { usize::from(media) }
                })
                .sum()
        }
        count(&self.folder.path().join("s3").join(S3Server::BUCKET))
    }
}

async fn ready(server: &Server) -> bool {
    server.http.get(server.url("/readyz")).send().await.expect("the server answers").status() == 200
}

#[tokio::test]
async fn exact_clips_reach_s3_and_mongodb() {
    let Some(stores) = Stores::start() else { return };
    let house = stores.house();
    let server = house.start();
    server.until(Duration::from_secs(20), "both stores are there", async |s| ready(s).await.then_some(())).await;
    Publisher::start(&server, "main", &["--codec", "vp8", "--seconds", "22"]).finish();
    let clips = server.ended(Duration::from_secs(30)).await;
    assert!(clips.len() >= 4, "{clips:#?}");
    let shown = show(&server, &clips, FPS).await;
    assert_eq!((shown.missing, shown.duplicate), (0, 0), "{:?}", shown.numbers);
    assert!(shown.sound_offsets_ms.iter().all(|offset| offset.abs() <= 20.0), "{:?}", shown.sound_offsets_ms);
    assert_eq!(stores.objects(), clips.len(), "one object a clip");
    let info = server.get("/api/server").await;
    assert_eq!((info["storage"].as_str(), info["database"].as_str()), (Some("s3"), Some("mongo")));
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn nothing_is_missing_after_both_stores_were_away() {
    let Some(mut stores) = Stores::start() else { return };
    let house = stores.house();
    let server = house.start();
    server.until(Duration::from_secs(20), "both stores are there", async |s| ready(s).await.then_some(())).await;
    let away = Duration::from_secs(60);

    let mut publisher = Publisher::start(&server, "main", &["--codec", "vp8"]);
    server.all_stored(1, Duration::from_secs(30)).await;
    stores.s3.stop();
    stores.mongo.stop();
    let gone = std::time::Instant::now();
    // What was stored before cannot be listed without its index.
    let before = server.clips_on_disk().await;

    // Three rollovers and a requested clip while both are away: playable from this disk at once.
    server
        .until(away, "three rollovers without stores", async |s| (s.clips_on_disk().await >= before + 3).then_some(()))
        .await;
    let asked = server.http.post(server.url("/api/channels/main/clip")).json(&serde_json::json!({})).send().await;
    assert_eq!(asked.expect("an answer").status(), 202);
    server
        .until(Duration::from_secs(10), "the requested clip", async |s| {
            (s.clips_on_disk().await >= before + 4).then_some(())
        })
        .await;
    server.until(Duration::from_secs(10), "readyz names what is away", async |s| (!ready(s).await).then_some(())).await;

    // A restart while both are still away.
    publisher.kill();
    assert!(server.stop().success());
    let server = house.start();
    let still_here = server.clips_on_disk().await;
    assert!(still_here >= before + 4, "{still_here} clips after the restart, {before} before the outage");
    tokio::time::sleep(away.saturating_sub(gone.elapsed())).await;

    stores.s3.resume();
    stores.mongo.resume();
    let clips = server.all_stored(still_here + 1, Duration::from_secs(120)).await;
    let shown = show(&server, &clips, FPS).await;
    assert_eq!((shown.missing, shown.duplicate), (0, 0), "{:?}", shown.numbers);
    assert_eq!(stores.objects(), clips.len(), "one object a clip");
    assert_eq!(clips.iter().filter(|clip| clip["cause"] == "request").count(), 1, "{clips:#?}");
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
    let printed = server_output(&house);
    assert!(!printed.is_empty() && !printed.contains(KEY), "the key stands only in the studio link");
    assert!(!printed.contains(S3Server::SECRET_KEY), "the store's secret is never printed");
}

/// All that servers of this house printed, without the studio links.
fn server_output(house: &House) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(house.folder.path()).expect("the house's folder").flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            text += &std::fs::read_to_string(entry.path()).unwrap_or_default();
        }
    }
    text.lines().filter(|line| !line.contains("/studio#key=")).map(|line| format!("{line}\n")).collect()
}
