//! Orders over the wire, and when which picture of a broadcast is shown.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{KEY, Server};

pub fn ask(server: &Server, path: &str, body: &Value) -> RequestBuilder {
    server.http.post(server.url(path)).json(body)
}

pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.expect("the server answers");
    let status = answer.status();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// The clip that an order announced, once it can be played.
pub async fn made(server: &Server, announced: &Value) -> Value {
    assert_eq!((&announced["state"], &announced["kind"]), (&json!("exporting"), &json!("made")), "{announced}");
    let path = format!("/api/clips/{}", announced["id"].as_str().expect("an id"));
    server
        .until(Duration::from_secs(60), "an ordered clip", async |server| {
            let answer = server.http.get(server.url(&path)).bearer_auth(KEY).send().await.expect("an answer");
            let clip: Value = answer.json().await.expect("a clip");
            assert_ne!(clip["state"], "failed", "{clip}");
            (clip["state"] != "exporting").then_some(clip)
        })
        .await
}

/// Which picture is shown when, in milliseconds of the broadcast, as its parts show them.
pub async fn shown_when(server: &Server, parts: &[Value]) -> Vec<(u32, f64)> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pictures = Vec::new();
    for part in parts {
        let from_ms = part["fromMs"].as_f64().expect("its start");
        let file = server.download(part, folder.path()).await;
        let seen = tokio::task::spawn_blocking(move || pipeline::inspect::clip(&file)).await.expect("no panic");
        let seen = seen.expect("it decodes").pictures;
        pictures.extend(seen.iter().map(|p| (p.number.expect("a number"), from_ms + p.pts_ns as f64 / 1e6)));
    }
    assert!(pictures.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{pictures:?}");
    pictures
}
