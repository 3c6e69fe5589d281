//! Who may see what was recorded of a broadcast: while it goes on, just after its end, and long after it, at every address that shows it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{KEY, Server, command, header, problem};

const NOBODY: &str = "0000000000000000000000000a";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    KeyHolder,
    Stranger,
}

/// What is asked for: all of it, a range within its first part, and one across a border of parts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    All,
    FirstPart,
    TwoParts,
}

struct Story {
    server: Server,
    broadcast: String,
    /// Where its second part begins.
    border_ms: u64,
}

impl Story {
    async fn ask(&self, who: Who, broadcast: &str, method: Method, path: &str, body: Option<Value>) -> Response {
        let path = path.replace("{id}", broadcast);
        let request = match who {
            Who::KeyHolder => self.server.with_key(method, &path),
            Who::Stranger => self.server.request(method, &path),
        };
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.expect("an answer")
    }

    fn range(&self, of: Of) -> (u64, u64) {
        match of {
            Of::All => (0, self.border_ms * 2),
            Of::FirstPart => (500, self.border_ms - 500),
            Of::TwoParts => (self.border_ms - 500, self.border_ms + 500),
        }
    }

    /// Every address that shows it, and what it shows.
    async fn addresses(&self) -> Vec<(String, Of)> {
        let interface: Value = self.server.get("/api/openapi.json").await.json().await.unwrap();
        let playlist =
            self.ask(Who::KeyHolder, &self.broadcast, Method::GET, "/api/broadcasts/{id}/hls/index.m3u8", None);
        let playlist = playlist.await.text().await.unwrap();
        let init = playlist.split_once("#EXT-X-MAP:URI=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
        let mut addresses = Vec::new();
        for path in
            interface["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/api/broadcasts/{id}/"))
        {
            match path.as_str() {
                "/api/broadcasts/{id}/stop" => {}
                "/api/broadcasts/{id}/hls/{name}" => addresses.extend(
                    ["index.m3u8", init, "0-0.m4s", "1-0.m4s"].map(|name| (path.replace("{name}", name), Of::All)),
                ),
                "/api/broadcasts/{id}/media" => addresses.extend([Of::FirstPart, Of::TwoParts].map(|of| {
                    let (from, to) = self.range(of);
                    (format!("{path}?from={from}&to={to}"), of)
                })),
                other => panic!("a row of this story for {other}"),
            }
        }
        assert_eq!(addresses.len(), 6, "{interface}");
        addresses
    }

    /// Everybody is told at every address what they should be: that it is there, or that there is no such thing.
    async fn everybody_is_told(&self, moment: &str, strangers_see: &[Of]) {
        for (path, of) in self.addresses().await {
            for who in [Who::KeyHolder, Who::Stranger] {
                let may = who == Who::KeyHolder || strangers_see.contains(&of);
                let answer = self.ask(who, &self.broadcast, Method::GET, &path, None).await;
                let said = format!("{moment}: {who:?} {path}");
                assert_eq!(answer.status().as_u16(), if may { 200 } else { 404 }, "{said}");
                assert!(!header(&answer, "cache-control").contains("public"), "{said}");
                if !may {
                    let nothing = self.ask(who, NOBODY, Method::GET, &path, None).await.text().await.unwrap();
                    assert_eq!(answer.text().await.unwrap(), nothing, "{said}: as if there were none");
                }
            }
        }
    }

    /// A viewer who asks for a clip of a range is told the same.
    async fn a_viewer_keeps(&self, moment: &str, of: Of, status: u16) {
        let (from, to) = self.range(of);
        let wanted = json!({"broadcast": self.broadcast, "from": from, "to": to});
        let answer = self.ask(Who::Stranger, "", Method::POST, "/api/channels/main/clip", Some(wanted)).await;
        assert_eq!(answer.status().as_u16(), status, "{moment}: {of:?} {}", answer.text().await.unwrap());
    }

    /// As if it had been on the air earlier. No address of the server can do that.
    fn ended_before(&self, before: Duration) {
        let change = |file: &str, statement: &str| {
            let rows = rusqlite::Connection::open(self.server.data().join(file)).unwrap();
            rows.busy_timeout(Duration::from_secs(10)).unwrap();
            rows.execute(statement, (before.as_millis() as i64, &self.broadcast)).unwrap()
        };
        let broadcasts = change(
            "local.db",
            "UPDATE broadcasts SET broadcast = json_set(broadcast,
             '$.ended_at_ms', json_extract(broadcast, '$.ended_at_ms') - ?1,
             '$.started_at_ms', json_extract(broadcast, '$.started_at_ms') - ?1) WHERE id = ?2",
        );
        let clips = change(
            "oxbow.db",
            "UPDATE clips SET started_at_ms = started_at_ms - ?1 WHERE broadcast = ?2 AND kind = 'part'",
        );
        assert!(broadcasts == 1 && clips > 1, "{broadcasts} broadcasts, {clips} clips");
    }

    async fn parts(&self) -> Vec<Value> {
        let path = format!("/api/clips?broadcast={}&kind=part", self.broadcast);
        let page: Value = self.ask(Who::KeyHolder, "", Method::GET, &path, None).await.json().await.unwrap();
        let mut parts = page["items"].as_array().unwrap().clone();
        parts.sort_by_key(|part| part["part"].as_u64());
        parts
    }

    async fn show(&self, part: &Value, visibility: &str) {
        let path = format!("/api/clips/{}", part["id"].as_str().unwrap());
        let body = Some(json!({ "visibility": visibility }));
        let answer = self.ask(Who::KeyHolder, "", Method::PATCH, &path, body).await;
        assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
    }
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_recording_is_seen_by_those_it_is_for() {
    let server = Server::start(&[("CLIP_LENGTH", "5"), ("CLIP_VISIBILITY", "hidden")]);
    let whip = format!("{}/whip/main", server.base);
    let mut publisher = command(server.folder.path(), &[])
        .args(["publish", "--url", &whip, "--key", KEY, "--codec", "h264", "--seconds", "16"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let broadcast = until("a live", async || {
        let page: Value = server.get("/api/broadcasts").await.json().await.unwrap();
        page["items"][0]["id"].as_str().map(str::to_owned)
    });
    let mut story = Story { broadcast: broadcast.await, server, border_ms: 0 };
    let second = until("a second part that can be rewound", async || {
        let playlist =
            story.ask(Who::Stranger, &story.broadcast, Method::GET, "/api/broadcasts/{id}/hls/1-0.m4s", None);
        let first = story.parts().await.into_iter().find(|part| part["part"] == 0 && part["state"] == "stored")?;
        (playlist.await.status().as_u16() == 200).then_some(first)
    });
    story.border_ms = second.await["toMs"].as_f64().unwrap() as u64;
    story.everybody_is_told("on air", &[Of::All, Of::FirstPart, Of::TwoParts]).await;
    story.a_viewer_keeps("on air", Of::TwoParts, 202).await;
    tokio::task::spawn_blocking(move || assert!(publisher.wait().unwrap().success())).await.unwrap();

    let parts = until("all parts stored", async || {
        let parts = story.parts().await;
        let ended = parts.last().is_some_and(|part| part["cause"] == "end");
        (ended && parts.iter().all(|part| part["state"] == "stored")).then_some(parts)
    })
    .await;
    story.ended_before(Duration::from_secs(540));
    story.everybody_is_told("nine minutes after its end", &[Of::All, Of::FirstPart, Of::TwoParts]).await;
    story.a_viewer_keeps("nine minutes after its end", Of::TwoParts, 202).await;

    story.ended_before(Duration::from_secs(60));
    story.everybody_is_told("ten minutes after its end", &[]).await;
    story.a_viewer_keeps("ten minutes after its end", Of::FirstPart, 404).await;
    let path = format!("/api/broadcasts/{}/hls/index.m3u8", story.broadcast);
    let wrong = story.server.request(Method::GET, &path).bearer_auth("wrong-key").send().await.unwrap();
    assert_eq!(problem(wrong).await, "bad_key", "a wrong key is no stranger");

    story.show(&parts[0], "link").await;
    story.everybody_is_told("one part for who has a link", &[]).await;
    story.show(&parts[0], "published").await;
    story.everybody_is_told("one part published", &[Of::FirstPart]).await;
    story.a_viewer_keeps("one part published", Of::TwoParts, 404).await;
    for part in &parts[1..] {
        story.show(part, "published").await;
    }
    story.everybody_is_told("all parts published", &[Of::All, Of::FirstPart, Of::TwoParts]).await;
    story.a_viewer_keeps("all parts published", Of::TwoParts, 202).await;
    story.show(&parts[1], "hidden").await;
    story.everybody_is_told("one part hidden again", &[Of::FirstPart]).await;
}
