//! The canary: a key that must never be seen again, right or wrong, in anything that the server prints or answers.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Server, offer};

const CANARY: &str = "canary-7f3e9a51-right";
const GUESS: &str = "canary-7f3e9a51-wrong";

#[tokio::test]
async fn no_key_is_ever_printed_or_answered() {
    let mut server = Server::start(&[
        ("STREAM_KEY", CANARY),
        ("ENVIRONMENT", "production"),
        ("RUST_LOG", "trace"),
        ("MONGO_HOST", "127.0.0.1:9"),
        ("MONGO_USER", "oxbow"),
        ("MONGO_PASSWORD", "canary-7f3e9a51-mongo"),
        ("FILE_HOST", "http://127.0.0.1:9"),
        ("S3_BUCKET", "clips"),
        ("STORJ_SECRET_ACCESS_ID", "id"),
        ("STORJ_SECRET_ACCESS_KEY", "canary-7f3e9a51-store"),
        ("WHITELIST_URL", "http://127.0.0.1:9/canary-7f3e9a51-url"),
        ("WHITELIST_KEY", "canary-7f3e9a51-white"),
    ]);
    let mut seen = String::new();
    for key in [CANARY, GUESS] {
        let requests = [
            server.request(Method::POST, "/api/session").json(&json!({ "key": key })),
            server.request(Method::POST, "/api/session").json(&json!({ "key": key, "more": [key] })),
            server
                .request(Method::POST, "/api/session")
                .header("content-type", "application/json")
                .body(format!("{{\"key\":{key}")),
            server.request(Method::POST, &format!("/api/session?key={key}")).json(&json!({ "key": 1 })),
            server.request(Method::GET, "/api/session").bearer_auth(key),
            server.request(Method::DELETE, "/api/clips/0000000000000000000000000a").bearer_auth(key),
            server
                .request(Method::PATCH, "/api/clips/0000000000000000000000000a")
                .bearer_auth(key)
                .json(&json!({"title": 1})),
            server
                .request(Method::POST, "/whip/main")
                .bearer_auth(key)
                .header("content-type", "application/sdp")
                .body("x"),
            server
                .request(Method::POST, "/whip/main")
                .bearer_auth(key)
                .header("content-type", "application/sdp")
                .body(offer("chromium-publish")),
            server.request(Method::GET, &format!("/socket.io/?EIO=4&transport=polling&streamKey={key}")),
            server.request(Method::GET, &format!("/socket.io/?EIO=3&transport=rubbish&streamKey={key}")),
            server.request(Method::GET, &format!("/api/clips?streamKey={key}&limit={key}")),
            server.request(Method::GET, "/metrics"),
            server.request(Method::GET, "/readyz"),
            server.request(Method::GET, "/api/server"),
            server.request(Method::GET, "/api/channels/main/stats").bearer_auth(key),
        ];
        for request in requests {
            let answer = request.send().await.unwrap();
            seen.push_str(&format!("{:?} {:?}\n", answer.status(), answer.headers()));
            seen.push_str(&answer.text().await.unwrap());
        }
    }
    // A whole handshake over polling, with the key in the query and in auth.
    for (query, auth) in
        [(CANARY, "{}".to_owned()), (GUESS, "{}".to_owned()), ("", json!({ "streamKey": GUESS }).to_string())]
    {
        let path = format!("/socket.io/?EIO=4&transport=polling&streamKey={query}");
        let opened = server.get(&path).await.text().await.unwrap();
        let sid =
            opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session").to_owned();
        let path = format!("{path}&sid={sid}");
        let sent = server.request(Method::POST, &path).body(format!("40{auth}")).send().await.unwrap();
        seen.push_str(&sent.text().await.unwrap());
        seen.push_str(&server.get(&path).await.text().await.unwrap());
        seen.push_str(&opened);
    }
    assert!(seen.contains("wrong stream key"), "the handshakes were refused:\n{seen}");
    server.stop();
    let printed = server.printed.text();
    assert!(
        printed.contains("\"level\":\"TRACE\"") || printed.contains("\"level\":\"DEBUG\""),
        "the log is on:\n{printed}"
    );
    for (place, text) in [("answered", &seen), ("printed", &printed)] {
        if let Some(at) = text.find("canary-7f3e9a51") {
            let from = at.saturating_sub(300);
            panic!("{place}: …{}", &text[from..(at + 60).min(text.len())]);
        }
    }
}
