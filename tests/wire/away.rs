//! Store and database away: clips are made, listed, played, renamed and deleted all the same, and a signal still ends it well.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{KEY, Server, header, problem};

struct Publisher(Child);

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn publish(server: &Server) -> Publisher {
    let url = format!("{}/whip/main", server.base);
    let child = Command::new(env!("CARGO_BIN_EXE_oxbow"))
        .args(["publish", "--url", &url, "--key", KEY, "--size", "384x216", "--fps", "15"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Publisher(child)
}

async fn clips(server: &Server, query: &str) -> Value {
    server.get(&format!("/api/clips{query}")).await.json().await.unwrap()
}

/// Waits until so many clips can be played.
async fn playable(server: &Server, wanted: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let page = clips(server, "?limit=100").await;
        let items: Vec<Value> =
            page["items"].as_array().unwrap_or(&Vec::new()).iter().filter(|clip| clip["size"] != 0).cloned().collect();
        if items.len() >= wanted {
            return items;
        }
        assert!(Instant::now() < until, "{} of {wanted} clips: {}", items.len(), server.printed.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn clips_live_on_this_disk_while_the_stores_are_away() {
    let away = [
        ("CLIP_LENGTH", "2"),
        ("MONGO_HOST", "127.0.0.1:9"),
        ("FILE_HOST", "http://127.0.0.1:9"),
        ("S3_BUCKET", "clips"),
        ("STORJ_SECRET_ACCESS_ID", "id"),
        ("STORJ_SECRET_ACCESS_KEY", "store-key"),
    ];
    let mut server = Server::start(&away);
    let publisher = publish(&server);
    let items = playable(&server, 3).await;

    let ready = server.get("/readyz").await;
    assert_eq!(ready.status(), 503);
    let info: Value = server.get("/api/server").await.json().await.unwrap();
    assert_eq!(info["storage"], "s3");
    let newest = &items[0];
    let path = format!("/api/clips/{}", newest["id"].as_str().unwrap());
    assert!(["queued", "uploading"].contains(&newest["state"].as_str().unwrap()), "{newest}");
    let size = newest["size"].as_u64().unwrap();
    let whole = server.get(&format!("{path}/media")).await;
    assert_eq!(header(&whole, "etag"), format!("\"{}\"", newest["sha256"].as_str().unwrap()));
    assert_eq!(whole.bytes().await.unwrap().len() as u64, size);
    let part = server.request(Method::GET, &format!("{path}/media")).header("range", "bytes=-10").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().len()), (206, 10));
    let poster = server.get(&format!("{path}/poster")).await;
    assert_eq!(&poster.bytes().await.unwrap()[..2], b"\xff\xd8", "a JPEG");

    let renamed = server.with_key(Method::PATCH, &path).json(&json!({"title": "Kept on disk"})).send().await.unwrap();
    assert_eq!(renamed.json::<Value>().await.unwrap()["title"], "Kept on disk");
    let found = clips(&server, "?text=KEPT").await;
    assert_eq!((&found["items"][0]["id"], &found["partial"]), (&newest["id"], &json!(true)));
    let further = server.get(&format!("/api/clips?cursor=1700000000000.{}", newest["id"].as_str().unwrap())).await;
    assert_eq!(problem(further).await, "away");
    let oldest = format!("/api/clips/{}", items.last().unwrap()["id"].as_str().unwrap());
    assert_eq!(server.with_key(Method::DELETE, &oldest).send().await.unwrap().status(), 204);
    assert!(server.get(&oldest).await.status().as_u16() >= 400);
    assert_eq!(problem(server.get("/api/broadcasts/0000000000000000000000000a").await).await, "away");

    // A signal in the middle of the live: it ends, and what was cut is kept for the next start.
    assert!(server.stop().success(), "{}", server.printed.text());
    drop(publisher);
    let again = Server::start_in(std::sync::Arc::clone(&server.folder), &[("CLIP_LENGTH", "2")]);
    let stored = playable(&again, items.len()).await;
    let titles: Vec<&str> = stored.iter().map(|clip| clip["title"].as_str().unwrap()).collect();
    assert!(titles.contains(&"Kept on disk"), "{titles:?}");
    assert!(stored.iter().any(|clip| clip["cause"] == "end" || clip["cause"] == "recovered"), "{stored:?}");
    let deleted = items.last().unwrap()["id"].as_str().unwrap();
    assert!(stored.iter().all(|clip| clip["id"] != deleted), "deleted stays deleted");
}

#[tokio::test]
async fn clips_of_the_disk_and_of_the_database_are_one_list() {
    let settings = [
        ("CLIP_LENGTH", "2"),
        ("FILE_HOST", "http://127.0.0.1:9"),
        ("S3_BUCKET", "clips"),
        ("STORJ_SECRET_ACCESS_ID", "id"),
        ("STORJ_SECRET_ACCESS_KEY", "store-key"),
    ];
    let server = Server::start(&settings);
    let publisher = publish(&server);
    playable(&server, 3).await;
    let live = server.get("/api/channels/main").await.json::<Value>().await.unwrap()["live"]["broadcast"].clone();
    let stop = server.with_key(Method::POST, &format!("/api/broadcasts/{}/stop", live.as_str().unwrap()));
    assert_eq!(stop.send().await.unwrap().status(), 204);
    drop(publisher);
    let database = storage::Database::sqlite(server.data().join("oxbow.db"));
    for number in 0..3 {
        database.insert_clip(&crate::files::clip(number, &format!("Old {number}"))).await.unwrap();
    }
    // The last clip of the live is cut behind the answer.
    let until = Instant::now() + Duration::from_secs(60);
    let whole = loop {
        let page = clips(&server, "?limit=100").await;
        if page["items"].as_array().unwrap().iter().any(|clip| clip["cause"] == "end" && clip["size"] != 0) {
            break page;
        }
        assert!(Instant::now() < until, "{page}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|clip| clip["id"].as_str().unwrap().to_owned()).collect()
    };
    assert!(whole["items"].as_array().unwrap().iter().any(|clip| clip["state"] != "stored"), "{whole}");
    assert_eq!(whole["items"].as_array().unwrap().iter().filter(|clip| clip["state"] == "stored").count(), 3);
    for limit in [1, 2, 3] {
        let mut walked = Vec::new();
        let mut path = format!("?limit={limit}");
        loop {
            let page = clips(&server, &path).await;
            walked.extend(ids(&page));
            match page["next"].as_str() {
                Some(next) => path = format!("?limit={limit}&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(walked, ids(&whole), "in pages of {limit}");
    }
}
