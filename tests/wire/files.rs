//! Clips and their files: ranges, validators, downloads, renaming, deleting. The rows and objects are put there through the
//! doors of `storage` while the server runs, as a recorder of another node would.

use reqwest::Method;
use serde_json::{Value, json};
use storage::{Broadcast, Clip, ClipCause, Database, Id, ObjectStore, Visibility};

use crate::harness::{Server, header, problem};

pub const BODY: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const POSTER: &[u8] = b"\xff\xd8\xff poster";

/// The row of a clip of 2023.
pub fn clip(number: u32, title: &str) -> Clip {
    let broadcast = Id::new(1_700_000_000_000, 7);
    let id = Id::new(1_700_000_000_000 + u64::from(number), u128::from(number));
    Clip {
        object: storage::key::clip("main", &broadcast, number, &id, "mp4"),
        poster: Some(storage::key::poster("main", &broadcast, number, &id)),
        title: title.into(),
        cause: ClipCause::Length,
        started_at_ms: 1_700_000_000_000 + i64::from(number) * 1000,
        duration_ms: 1000,
        from_ns: 0,
        to_ns: 1_000_000_000,
        mime: "video/mp4".into(),
        video: Some("h264".into()),
        audio: Some("opus".into()),
        width: 640,
        height: 360,
        frames: 30,
        packets: 50,
        size: BODY.len() as u64,
        sha256: "74e7e5bb9d22d6db26bf76946d40fff3ea9f0346b884fd0694920fccfad15e33".into(),
        created_at_ms: 1_700_000_000_000,
        visibility: Visibility::Published,
        published_at_ms: Some(1_700_000_000_000),
        ..Clip::at(id, broadcast, "main", number)
    }
}

/// A server with rows and objects that are put there.
pub struct Shelf {
    pub server: Server,
    pub database: Database,
    objects: ObjectStore,
}

impl Shelf {
    pub fn open() -> Self {
        let server = Server::start(&[]);
        let database = Database::sqlite(server.data().join("oxbow.db"));
        let objects = ObjectStore::folder(server.data().join("clips"));
        Self { server, database, objects }
    }

    /// A stored clip, and its id.
    pub async fn put(&self, number: u32, title: &str) -> Id {
        let clip = clip(number, title);
        let (id, broadcast) = (clip.id.clone(), clip.broadcast.clone());
        self.objects.put_bytes(&clip.object, BODY.into(), "video/mp4").await.unwrap();
        self.objects.put_bytes(clip.poster.as_ref().unwrap(), POSTER.into(), "image/jpeg").await.unwrap();
        self.database.insert_clip(&clip).await.unwrap();
        let ended = Broadcast {
            id: broadcast,
            channel: "main".into(),
            title: "Morning".into(),
            started_at_ms: 1_700_000_000_000,
            ended_at_ms: Some(1_700_000_100_000),
            clips: number + 1,
            duration_ms: 100_000,
            recorded: true,
            end_reason: Some("stopped".into()),
        };
        self.database.upsert_broadcast(&ended).await.unwrap();
        id
    }
}

#[tokio::test]
async fn ranges_are_served_as_players_ask_for_them() {
    let shelf = Shelf::open();
    let id = shelf.put(0, "Opening").await;
    let path = format!("/api/clips/{id}/media");
    let whole = shelf.server.get(&path).await;
    let etag = header(&whole, "etag").to_owned();
    assert_eq!((whole.status().as_u16(), header(&whole, "accept-ranges")), (200, "bytes"));
    assert_eq!((header(&whole, "content-type"), header(&whole, "content-length")), ("video/mp4", "36"));
    assert_eq!(whole.bytes().await.unwrap(), BODY);

    let total = BODY.len();
    for (range, if_range, status, content_range, body) in [
        ("bytes=0-9", "", 206, "bytes 0-9/36", &BODY[..10]),
        ("bytes=0-0", "", 206, "bytes 0-0/36", &BODY[..1]),
        ("bytes=30-", "", 206, "bytes 30-35/36", &BODY[30..]),
        ("bytes=30-900", "", 206, "bytes 30-35/36", &BODY[30..]),
        ("bytes=-6", "", 206, "bytes 30-35/36", &BODY[30..]),
        ("bytes=-900", "", 206, "bytes 0-35/36", BODY),
        ("bytes=0-", "", 206, "bytes 0-35/36", BODY),
        ("bytes=36-", "", 416, "bytes */36", b""),
        ("bytes=-0", "", 416, "bytes */36", b""),
        ("bytes=9-3", "", 200, "", BODY),
        ("bytes=0-1,5-6", "", 200, "", BODY),
        ("rubbish", "", 200, "", BODY),
        ("bytes=0-9", etag.as_str(), 206, "bytes 0-9/36", &BODY[..10]),
        ("bytes=0-9", "\"another\"", 200, "", BODY),
        ("bytes=0-9", "Wed, 21 Oct 2026 07:28:00 GMT", 200, "", BODY),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let mut ask = shelf.server.request(method.clone(), &path).header("range", range);
            if !if_range.is_empty() {
                ask = ask.header("if-range", if_range);
            }
            let answer = ask.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{method} {range} {if_range}");
            assert_eq!(header(&answer, "content-range"), content_range, "{method} {range}");
            if status == 416 {
                continue;
            }
            assert_eq!(header(&answer, "content-length"), body.len().to_string(), "{method} {range} of {total}");
            assert_eq!(header(&answer, "etag"), etag);
            let got = answer.bytes().await.unwrap();
            assert_eq!(got, if method == Method::HEAD { &[] } else { body }, "{method} {range}");
        }
    }
    let same = shelf.server.request(Method::GET, &path).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((same.status().as_u16(), same.bytes().await.unwrap().len()), (304, 0));
}

#[tokio::test]
async fn a_download_has_a_safe_name_and_a_poster_can_be_kept() {
    let shelf = Shelf::open();
    let id = shelf.put(0, "../über\"; filename=x.exe").await;
    let answer = shelf.server.get(&format!("/api/clips/{id}/media?download=1")).await;
    let disposition = header(&answer, "content-disposition");
    assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
    assert!(!disposition.contains("..") && disposition.matches("filename=\"").count() == 1, "{disposition}");
    assert!(header(&shelf.server.get(&format!("/api/clips/{id}/media")).await, "content-disposition").is_empty());
    let poster = shelf.server.get(&format!("/api/clips/{id}/poster")).await;
    assert_eq!(header(&poster, "content-type"), "image/jpeg");
    assert!(header(&poster, "cache-control").contains("max-age"));
    assert_eq!(poster.bytes().await.unwrap(), POSTER);
}

#[tokio::test]
async fn clips_are_listed_in_pages_without_gaps_or_repeats() {
    let shelf = Shelf::open();
    for number in 0..5 {
        shelf.put(number, &format!("Part {number}")).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/clips?limit=2".to_owned();
    loop {
        let page: Value = shelf.server.get(&path).await.json().await.unwrap();
        seen.extend(page["items"].as_array().unwrap().iter().map(|clip| clip["title"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/clips?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["Part 4", "Part 3", "Part 2", "Part 1", "Part 0"]);
    let found: Value = shelf.server.get("/api/clips?text=pART%203&channel=main").await.json().await.unwrap();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let clip = &found["items"][0];
    assert_eq!((&clip["state"], &clip["mime"], &clip["part"]), (&json!("stored"), &json!("video/mp4"), &json!(3)));
    assert_eq!(clip["watch"], json!(format!("/c/{}", clip["id"].as_str().unwrap())));
    let none: Value = shelf.server.get("/api/clips?channel=other").await.json().await.unwrap();
    assert_eq!(none, json!({"items": [], "next": null}));
    let broadcasts: Value = shelf.server.get("/api/broadcasts?channel=main").await.json().await.unwrap();
    assert_eq!(broadcasts["items"][0]["endReason"], "stopped");
    let state: Value = shelf.server.get("/api/channels/main").await.json().await.unwrap();
    assert_eq!(state["lastBroadcast"]["title"], "Morning");
}

#[tokio::test]
async fn a_clip_is_renamed_against_its_revision_and_deleted_with_its_files() {
    let shelf = Shelf::open();
    let id = shelf.put(0, "Opening").await;
    let path = format!("/api/clips/{id}");
    let etag = header(&shelf.server.get(&path).await, "etag").to_owned();
    assert_eq!(etag, "\"0\"");
    let rename = |title: &str, revision: &str| {
        shelf.server.with_key(Method::PATCH, &path).header("if-match", revision).json(&json!({ "title": title })).send()
    };
    let renamed = rename("Better", &etag).await.unwrap();
    assert_eq!((renamed.status().as_u16(), header(&renamed, "etag")), (200, "\"1\""));
    assert_eq!(renamed.json::<Value>().await.unwrap()["title"], "Better");
    let late = rename("Worse", &etag).await.unwrap();
    assert_eq!(late.status(), 412);
    assert_eq!(problem(late).await, "conflict");

    let retry = |path: &str| shelf.server.with_key(Method::POST, &format!("{path}/retry")).send();
    let stored = retry(&path).await.unwrap();
    assert_eq!(stored.status(), 200);
    assert_eq!(stored.json::<Value>().await.unwrap()["state"], "stored", "there is nothing to try");
    assert_eq!(problem(retry("/api/clips/0000000000000000000000000a").await.unwrap()).await, "not_found");

    assert_eq!(shelf.server.with_key(Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(problem(shelf.server.get(&path).await).await, "not_found");
    assert_eq!(problem(shelf.server.with_key(Method::DELETE, &path).send().await.unwrap()).await, "not_found");
    // The outbox removes the objects behind the answer and leaves the tombstone in place of the sidecar.
    for _ in 0..200 {
        let left = shelf.objects.list("main/").await.unwrap();
        if left.len() == 1 && left[0].key.ends_with(".json") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("left in the store: {:?}", shelf.objects.list("main/").await.unwrap());
}
