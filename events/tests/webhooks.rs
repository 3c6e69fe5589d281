//! Webhooks against receivers as they are: well, broken, slow, gone. Signatures are judged by another implementation than ours.

mod receiver;

use std::collections::BTreeMap;
use std::time::Duration;

use events::{EventsConfig, Timing};
use receiver::{Receiver, Reply, Request};
use storage::local::{DeliveryState, EventKeep, Replay, Webhook, WebhookEdit, WebhookState};
use storage::{Broadcast, Database, EventType, Id, Local, Secret};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_SECRET: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
/// On a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(60);

/// A node without a recorder: its job table, and what delivers.
struct House {
    folder: TempDir,
    local: Local,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(folder.path().join("local.db")).unwrap();
        Self { folder, local, stop: CancellationToken::new(), running: None }
    }

    fn run(&mut self) {
        self.stop = CancellationToken::new();
        let timing = Timing {
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(40),
            attempt: Duration::from_millis(500),
        };
        let keep = EventKeep { days: 30, rows: 10_000 };
        let config = EventsConfig { keep, timing, version: "0.0.0" };
        let database = Database::sqlite(self.folder.path().join("oxbow.db"));
        let (local, stop) = (self.local.clone(), self.stop.clone());
        self.running = Some(tokio::spawn(async move { events::run(config, local, database, stop).await.unwrap() }));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
    }

    async fn hook(&self, number: u64, url: &str) -> Id {
        let webhook = Webhook {
            id: id(1000 + number),
            url: url.to_owned(),
            description: String::new(),
            kinds: Vec::new(),
            channels: Vec::new(),
            state: WebhookState::Active,
            created_ms: 0,
            secret: Secret::new(SECRET),
            old_secret: None,
        };
        self.local.add_webhook(webhook.clone()).await.unwrap();
        webhook.id
    }

    /// A broadcast with so many events.
    async fn broadcast(&self, number: u64, events: u64) -> Id {
        let id = id(number);
        let broadcast = Broadcast {
            id: id.clone(),
            channel: format!("channel-{number}"),
            title: "main".into(),
            started_at_ms: 1000,
            ended_at_ms: None,
            clips: 0,
            duration_ms: 0,
            recorded: true,
            end_reason: None,
        };
        self.local.open_broadcast(broadcast).await.unwrap();
        for event in 1..events {
            let noted = if event % 2 == 1 {
                self.local.note_interrupted(id.clone()).await
            } else {
                self.local.note_resumed(id.clone()).await
            };
            assert!(noted.unwrap());
        }
        id
    }

    /// Waits for rows that the deliverer writes.
    async fn until(&self, what: &str, is_so: impl AsyncFn(&Local) -> bool) {
        let mut changed = self.local.changed();
        let wait = async {
            while !is_so(&self.local).await {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("not so: {what}"));
    }

    async fn nothing_waits(&self) {
        self.until("nothing waits", async |local| local.waiting_deliveries().await.unwrap().is_empty()).await;
    }
}

fn id(number: u64) -> Id {
    Id::new(1_700_000_000_000 + number, u128::from(number))
}

/// Judges a request by its headers and body.
fn verified(request: &Request, secret: &str) -> bool {
    standardwebhooks::Webhook::new(secret).unwrap().verify(request.body.as_bytes(), &request.headers).is_ok()
}

/// Sequences of what was taken, by broadcast, in the order in which it was taken.
fn sequences(taken: &[Request]) -> BTreeMap<String, Vec<u64>> {
    let mut by_broadcast: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for request in taken {
        let event = request.json();
        by_broadcast.entry(event["broadcast"].to_string()).or_default().push(event["sequence"].as_u64().unwrap());
    }
    by_broadcast
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_signed_and_in_order() {
    let mut house = House::new();
    let receiver = Receiver::start(|_, _| Reply::Status(204)).await;
    house.hook(1, &receiver.url("/oxbow?token=x")).await;
    house.run();
    for number in 1..=3 {
        house.broadcast(number, 9).await;
    }
    house.nothing_waits().await;
    let taken = receiver.requests();
    assert_eq!(taken.len(), 27);
    for request in &taken {
        assert!(verified(request, SECRET) && !verified(request, OTHER_SECRET));
        let event = request.json();
        assert_eq!(request.header("webhook-id"), event["id"].as_str().unwrap());
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("user-agent"), "Oxbow/0.0.0");
        assert_eq!(request.line, "POST /oxbow?token=x HTTP/1.1");
        let altered = Request { body: request.body.replacen("main", "Main", 1), ..request.clone() };
        assert!(!verified(&altered, SECRET));
    }
    for (broadcast, sequence) in sequences(&taken) {
        assert_eq!(sequence, (1..=9).collect::<Vec<_>>(), "{broadcast}");
    }
    let first = taken[0].json();
    assert_eq!(first["type"], "broadcast.started");
    assert_eq!(first["data"]["broadcast"]["channel"], first["channel"]);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_receiver_does_each_event_comes_in_its_turn() {
    let elsewhere = Receiver::start(|_, _| Reply::Status(200)).await;
    let away = elsewhere.url("/");
    // By the number of attempts that an event has had: every fault there is, then peace.
    let receiver = Receiver::start(move |_, attempt| match attempt {
        0 => Reply::Status(500),
        1 => Reply::Reset,
        2 => Reply::Redirect(away.clone()),
        3 => Reply::Silence,
        4 => Reply::Endless(503),
        5 => Reply::Status(429),
        6 => Reply::Garbage,
        _ => Reply::Endless(200),
    })
    .await;
    let mut house = House::new();
    let hook = house.hook(1, &receiver.url("/")).await;
    house.run();
    for number in 1..=2 {
        house.broadcast(number, 3).await;
    }
    house.nothing_waits().await;
    assert!(elsewhere.requests().is_empty(), "redirects are not followed");
    let taken: Vec<_> = receiver.requests();
    assert_eq!(taken.len(), 2 * 3 * 8);
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for request in &taken {
        assert!(verified(request, SECRET), "each attempt is signed for its own time");
        let body = bodies.entry(request.header("webhook-id").to_owned()).or_insert_with(|| request.body.clone());
        assert_eq!(*body, request.body, "an event is the same however often it is told");
    }
    for sequence in sequences(&taken).values() {
        let eight_each: Vec<u64> = (1..=3).flat_map(|number| [number; 8]).collect();
        assert_eq!(*sequence, eight_each, "none is told before the one before it was taken");
    }
    let deliveries = house.local.deliveries(hook, 50).await.unwrap();
    assert!(deliveries.iter().all(|d| d.state == DeliveryState::Delivered && d.attempts == 8), "{deliveries:?}");
    assert_eq!(deliveries[0].last.as_ref().unwrap().status, Some(200));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_holds_up_nobody_and_its_failures_have_names() {
    let silent = Receiver::start(|_, _| Reply::Silence).await;
    let well = Receiver::start(|_, _| Reply::Status(200)).await;
    let mut house = House::new();
    let dead = house.hook(1, &silent.url("/")).await;
    let refusing = house.hook(2, "http://127.0.0.1:9/").await;
    let alive = house.hook(3, &well.url("/")).await;
    house.run();
    for number in 1..=10 {
        house.broadcast(number, 5).await;
    }
    let of_the_living = async |local: &Local| {
        let waiting = local.waiting_deliveries().await.unwrap();
        waiting.iter().all(|(id, _)| *id != alive) && local.deliveries(dead.clone(), 1).await.unwrap().len() == 1
    };
    house.until("the living has all", of_the_living).await;
    assert_eq!(well.requests().len(), 50);
    assert!(well.most_at_once() <= 4, "some at a time");
    assert_eq!(well.most_of_one_line(), 1);
    assert!(silent.requests().len() < 50, "none is told before the one before it was taken");
    let reason =
        async |hook: Id| house.local.deliveries(hook, 1).await.unwrap()[0].last.clone().unwrap().reason.unwrap();
    assert_eq!(reason(dead.clone()).await, "it did not answer in time");
    assert_eq!(reason(refusing).await, "it cannot be reached");
    let waiting = house.local.waiting_deliveries().await.unwrap();
    assert!(waiting.iter().any(|(id, waiting)| *id == dead && waiting.deliveries == 50), "{waiting:?}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_says_gone_is_left_alone() {
    let receiver = Receiver::start(|_, _| Reply::Status(410)).await;
    let mut house = House::new();
    let hook = house.hook(1, &receiver.url("/")).await;
    house.broadcast(1, 5).await;
    house.run();
    house
        .until("it is disabled", async |local| {
            local.webhook(hook.clone()).await.unwrap().unwrap().state == WebhookState::Disabled
        })
        .await;
    house.broadcast(2, 5).await;
    assert_eq!(receiver.requests().len(), 1);
    assert!(house.local.waiting_deliveries().await.unwrap().is_empty());
    let deliveries = house.local.deliveries(hook, 50).await.unwrap();
    assert_eq!(deliveries.len(), 5);
    assert!(deliveries.iter().all(|d| d.state == DeliveryState::Failed));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_signs_beside_the_old_one_until_that_ends() {
    let receiver = Receiver::start(|_, _| Reply::Status(200)).await;
    let mut house = House::new();
    let hook = house.hook(1, &receiver.url("/")).await;
    house.run();
    let tried = async |until_ms: i64| {
        house.local.rotate_webhook(hook.clone(), Secret::new(OTHER_SECRET), until_ms).await.unwrap();
        house.local.ping_webhook(hook.clone(), 0).await.unwrap();
        house.nothing_waits().await;
        receiver.requests().pop().unwrap()
    };
    let both = tried(i64::MAX).await;
    assert!(verified(&both, SECRET) && verified(&both, OTHER_SECRET));
    let alone = tried(1).await;
    assert!(!verified(&alone, SECRET) && verified(&alone, OTHER_SECRET));
    assert_eq!(alone.json()["type"], "webhook.ping");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_hears_all_of_it_also_after_a_restart() {
    let receiver = Receiver::start(|_, _| Reply::Status(200)).await;
    let mut house = House::new();
    let hook = house.hook(1, &receiver.url("/")).await;
    house.run();
    house.broadcast(1, 4).await;
    house.nothing_waits().await;
    let address = receiver.stop().await;
    house.broadcast(2, 6).await;
    let failed = async |local: &Local| {
        let last = local.deliveries(hook.clone(), 1).await.unwrap().remove(0);
        last.state == DeliveryState::Waiting && last.attempts > 1
    };
    house.until("it was tried in vain", failed).await;
    house.stop().await;
    house.broadcast(3, 2).await;
    house.local = Local::open(house.folder.path().join("local.db")).unwrap();
    let back = Receiver::start_at(address, |_, _| Reply::Status(200)).await;
    house.run();
    house.nothing_waits().await;
    let heard = sequences(&back.requests());
    assert_eq!(
        heard.into_values().collect::<Vec<_>>(),
        [vec![1, 2, 3, 4, 5, 6], vec![1, 2]],
        "what it had is not told again"
    );

    // Somebody wants it all again, and in a pause nothing is told.
    let paused = WebhookEdit { state: Some(WebhookState::Paused), ..WebhookEdit::default() };
    house.local.edit_webhook(hook.clone(), paused, 0).await.unwrap();
    assert_eq!(house.local.replay(hook.clone(), Replay::Since(0), i64::MAX / 2).await.unwrap().events, 12);
    assert_eq!(house.local.waiting_deliveries().await.unwrap()[0].1.deliveries, 12);
    let active = WebhookEdit {
        state: Some(WebhookState::Active),
        kinds: Some(vec![EventType::BroadcastStarted]),
        ..WebhookEdit::default()
    };
    house.local.edit_webhook(hook.clone(), active, i64::MAX / 2).await.unwrap();
    house.nothing_waits().await;
    assert_eq!(back.requests().len(), 8 + 12);
    assert_eq!(house.local.replay(hook, Replay::Since(0), i64::MAX / 2).await.unwrap().events, 3, "by its filters");
    house.nothing_waits().await;
    house.stop().await;
}
