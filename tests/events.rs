//! Events of the whole house: kill -9 between what happens and who is told of it, and a stream that goes on where it was.

#[allow(dead_code, reason = "the stories of the room need more of it")]
#[path = "../events/tests/receiver/mod.rs"]
mod receiver;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use receiver::{Receiver, Reply, Request};
use serde_json::{Value, json};
use support::follower::{Follower, has};
use support::{House, KEY, Publisher, Server, signal, soak};

const WITHIN: Duration = Duration::from_secs(60);

/// Milliseconds after the first clip can be played.
fn moments() -> Vec<u64> {
    let count = if soak() { 20 } else { 3 };
    let mut state: u64 = 0xe7e7;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 3_000
        })
        .collect()
}

async fn make_webhook(server: &Server, wanted: Value) -> (String, String) {
    let answer = server.http.post(server.url("/api/webhooks")).bearer_auth(KEY).json(&wanted).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let made: Value = answer.json().await.unwrap();
    (made["webhook"]["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

async fn keyed(server: &Server, path: &str) -> Value {
    let answer = server.http.get(server.url(path)).bearer_auth(KEY).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap()
}

/// Without a hole, by broadcast; the ids ascend.
fn whole(events: &[Value]) {
    let mut by_broadcast: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in events {
        by_broadcast.entry(event["broadcast"].to_string()).or_default().push(event["sequence"].as_u64().unwrap());
    }
    for (broadcast, sequence) in by_broadcast {
        assert_eq!(sequence, (1..=sequence.len() as u64).collect::<Vec<_>>(), "{broadcast}: {events:#?}");
    }
    assert!(events.windows(2).all(|pair| pair[0]["id"].as_str() < pair[1]["id"].as_str()));
}

/// What was told, each event once, after looking at those that were told again.
fn told(requests: &[Request], secret: &str) -> Vec<Value> {
    let judge = standardwebhooks::Webhook::new(secret).unwrap();
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    let mut first = Vec::new();
    for request in requests {
        judge.verify(request.body.as_bytes(), &request.headers).expect("it is signed");
        let id = request.header("webhook-id").to_owned();
        match bodies.get(&id) {
            Some(body) => assert_eq!(*body, request.body, "told again, it is the same"),
            None => {
                first.push(request.json());
                bodies.insert(id, request.body.clone());
            }
        }
    }
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_arrives_whenever_the_server_is_killed() {
    for (round, moment) in moments().into_iter().enumerate() {
        let house = House::new(&[("CLIP_LENGTH", "2")]);
        let server = house.start();
        // In each second round nobody answers until the kill, so that everything is between event and delivery.
        let answers = Arc::new(AtomicBool::new(round % 2 == 0));
        let answering = Arc::clone(&answers);
        let receiver =
            Receiver::start(move |_, _| if answering.load(Relaxed) { Reply::Status(204) } else { Reply::Silence })
                .await;
        let (hook, secret) = make_webhook(&server, json!({ "url": receiver.url("/") })).await;
        let mut publisher = Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360"]);
        let mut follower = Follower::after(&server, "start", "").await;
        assert!(follower.until(has("clip.ready")).await);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        signal(server.pid(), "KILL");
        assert!(!follower.until(|_| false).await, "the connection ends with the server");
        server.kill();
        publisher.kill();
        answers.store(true, Relaxed);

        let server = house.start();
        let mut again = Follower::after(&server, &follower.last, "").await;
        server.all_stored(1, WITHIN).await;
        server
            .until(WITHIN, "the log is told", async |server| {
                let waiting = keyed(server, &format!("/api/webhooks/{hook}")).await["waiting"].as_u64().unwrap();
                let clips = keyed(server, "/api/clips?limit=100").await;
                let inspected = clips["items"].as_array().unwrap().iter().all(|clip| !clip["health"].is_null());
                (waiting == 0 && inspected).then_some(())
            })
            .await;
        let mut log = Follower::after(&server, "start", "").await;
        let all = told(&receiver.requests(), &secret);
        let last = all.iter().map(|event| event["id"].as_str().unwrap().to_owned()).max().unwrap();
        let up_to_last = |heard: &[Value]| heard.last().is_some_and(|event| event["id"] == *last);
        assert!(log.until(up_to_last).await && again.until(up_to_last).await);
        whole(&log.heard);
        let both: Vec<_> = follower.heard.iter().chain(&again.heard).cloned().collect();
        assert_eq!(both, log.heard, "the stream went on where it was");
        assert_eq!((follower.gaps, again.gaps, log.gaps), (0, 0, 0));
        let mut sorted = all.clone();
        sorted.sort_by_key(|event| event["id"].as_str().unwrap().to_owned());
        assert_eq!(sorted, log.heard, "killed {moment} ms in: each event was told");
        // With one line for the broadcast, and one for what belongs to none, also in that order.
        let of_broadcast: Vec<_> = all.iter().filter(|event| !event["broadcast"].is_null()).cloned().collect();
        whole(&of_broadcast);
        let kinds: Vec<_> = of_broadcast.iter().map(|event| event["type"].as_str().unwrap()).collect();
        println!("killed {moment} ms in, {} requests: {kinds:?}", receiver.requests().len());
        assert_eq!(
            (kinds[0], &of_broadcast[0]["data"]["broadcast"]["id"]),
            ("broadcast.started", &of_broadcast[0]["broadcast"])
        );
        let ended = of_broadcast.iter().find(|event| event["type"] == "broadcast.ended").expect("it ended");
        assert_eq!(ended["data"]["broadcast"]["reason"], "interrupted");
        for clip in server.clips().await {
            for kind in ["clip.created", "clip.ready", "clip.stored", "clip.inspected"] {
                let of_clip = |event: &&Value| event["type"] == kind && event["data"]["clip"]["id"] == clip["id"];
                assert_eq!(of_broadcast.iter().filter(of_clip).count(), 1, "{kind} of {}", clip["id"]);
            }
        }
        assert!(server.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_with_clips_is_told_too() {
    let house = House::new(&[("CLIP_LENGTH", "2"), ("CLIP_VISIBILITY", "hidden")]);
    let server = house.start();
    let receiver = Receiver::start(|_, _| Reply::Status(200)).await;
    let wanted = json!({ "url": receiver.url("/"), "types": ["clip.edited", "clip.published", "clip.deleted"], "channels": ["main"] });
    let (hook, secret) = make_webhook(&server, wanted).await;
    let mut follower = Follower::after(
        &server,
        "start",
        "?channel=main&types=clip.stored,clip.deleted,broadcast.interrupted,broadcast.resumed",
    )
    .await;
    let publisher = Publisher::start(&server, "main", &["--codec", "vp8", "--size", "640x360"]);
    assert!(follower.until(has("clip.stored")).await);
    // Frozen, it is missed after three seconds.
    signal(publisher.pid(), "STOP");
    assert!(follower.until(has("broadcast.interrupted")).await);
    signal(publisher.pid(), "CONT");
    assert!(follower.until(has("broadcast.resumed")).await);
    drop(publisher);
    let clip = follower.heard[0]["data"]["clip"]["id"].as_str().unwrap().to_owned();
    let address = server.url(&format!("/api/clips/{clip}"));
    let edit = json!({ "title": "Goal", "visibility": "published" });
    let edited = server.http.patch(&address).bearer_auth(KEY).header("if-match", "*").json(&edit).send().await.unwrap();
    assert!(edited.status().is_success(), "{}", edited.text().await.unwrap());
    assert_eq!(server.http.delete(&address).bearer_auth(KEY).send().await.unwrap().status(), 204);
    assert!(follower.until(has("clip.deleted")).await);
    server
        .until(WITHIN, "the webhook was told", async |server| {
            (keyed(server, &format!("/api/webhooks/{hook}")).await["waiting"] == 0).then_some(())
        })
        .await;
    let heard = told(&receiver.requests(), &secret);
    let kinds: Vec<_> = heard.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["clip.edited", "clip.published", "clip.deleted"]);
    assert!(heard.iter().all(|event| event["data"]["clip"]["id"] == *clip && event["data"]["clip"]["title"] == "Goal"));
    assert_eq!(heard[0]["data"]["changed"], json!(["title", "visibility"]));
    assert!(!server.printed().contains("whsec_"), "no secret is printed");
    let seen = keyed(&server, "/api/webhooks").await.to_string();
    assert!(!seen.contains("whsec_") && seen.contains(&hook), "{seen}");
    let metrics = server.metrics().await;
    assert!(metrics.contains("oxbow_webhook_deliveries_total{result=\"delivered\"} 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_from_another_log_hears_of_the_gap() {
    let house = House::new(&[]);
    let server = house.start();
    let (hook, _) = make_webhook(&server, json!({ "url": "http://127.0.0.1:9/" })).await;
    let ping =
        server.http.post(server.url(&format!("/api/webhooks/{hook}/test"))).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(ping.status(), 202);
    let mut follower = Follower::after(&server, "01890000000000000000000000", "").await;
    assert!(follower.until(has("webhook.ping")).await);
    assert_eq!(follower.gaps, 1);
    let ended = follower.until(|_| false);
    let (stopped, ended) = tokio::join!(tokio::task::spawn_blocking(|| server.stop()), ended);
    assert!(stopped.unwrap().success());
    assert!(!ended, "a server that stops ends the stream");
}
