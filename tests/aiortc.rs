//! An independent WebRTC stack (aiortc) publishes by WHIP and watches by WHEP.

mod support;

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::{House, KEY, show};

/// Runs the peer; its exit status and the JSON line it printed.
async fn peer(arguments: Vec<String>) -> (bool, Value) {
    let home = std::env::var("HOME").expect("HOME");
    let cache = std::env::var("OXBOW_CACHE").unwrap_or_else(|_| format!("{home}/.cache/oxbow"));
    let output = tokio::process::Command::new(format!("{cache}/python/bin/python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/aiortc_peer.py"))
        .args(&arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("scripts/install-python.sh has made the environment");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().last().unwrap_or_default();
    let value = serde_json::from_str(line)
        .unwrap_or_else(|_| panic!("{arguments:?}: {text}\n{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), value)
}

#[tokio::test]
async fn aiortc_publishes_and_watches() {
    let house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    let (whip, whep) = (server.url("/whip/main"), server.url("/whep/main"));
    let publishing = tokio::spawn(peer(vec!["publish".into(), whip.clone(), KEY.into(), "14".into()]));
    server
        .until(Duration::from_secs(10), "the channel is on air", async |server| {
            (server.get("/api/channels/main").await["state"] == "live").then_some(())
        })
        .await;
    let (watched, seen) = peer(vec!["watch".into(), whep, "7".into()]).await;
    assert!(watched, "{seen}");
    let numbers: Vec<u64> = seen["numbers"].as_array().expect("numbers").iter().filter_map(Value::as_u64).collect();
    assert!(numbers.len() > 100, "7 s of pictures: {seen}");
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "numbers rise: {numbers:?}");
    assert!(seen["audio"].as_u64() > Some(48_000 * 3), "sound came: {seen}");
    assert!(seen["first_frame_ms"].as_u64() < Some(3_000), "{seen}");

    let (published, sent) = publishing.await.expect("no panic");
    assert!(published, "{sent}");
    assert_eq!(sent["deleted"], 200);
    let clips = server.ended(Duration::from_secs(20)).await;
    let shown = show(&server, &clips, 30).await;
    assert!(shown.numbers.len() > 250 && shown.duplicate == 0, "{shown:?}");

    // DELETE ended it at once: nobody is held waiting for the streamer.
    assert_eq!(server.get("/api/channels/main").await["state"], "offline");
    let (again, refusal) = peer(vec!["publish".into(), whip, "not-the-key".into(), "1".into()]).await;
    assert!(!again && refusal["status"] == 401, "{refusal}");
}
