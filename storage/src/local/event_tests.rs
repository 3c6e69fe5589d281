use super::tests::{broadcast, export, id, open, part};
use super::*;
use crate::event::{Event, EventType};
use crate::{ClipCause, ClipEdit, Database, Visibility};

const DAY_MS: i64 = 24 * 3_600_000;

async fn all(local: &Local) -> Vec<Event> {
    let start = local.start_of_events().await.unwrap();
    let page = local.events_after(start, 1000).await.unwrap();
    assert!(!page.gap);
    page.events
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn hook(at: u64) -> Webhook {
    Webhook {
        id: id(at),
        url: "https://example.org/".into(),
        description: String::new(),
        kinds: Vec::new(),
        channels: Vec::new(),
        state: WebhookState::Active,
        created_ms: 0,
        secret: crate::Secret::new("whsec_AAAA"),
        old_secret: None,
    }
}

fn attempt(status: u16, at_ms: i64) -> Attempt {
    let reason = (status >= 300).then(|| format!("it answered {status}"));
    Attempt { status: Some(status), took_ms: 3, at_ms, reason }
}

#[tokio::test]
async fn each_step_is_said_once_in_order_and_without_a_hole() {
    let (_folder, local) = open();
    for _ in 0..2 {
        local.open_broadcast(broadcast()).await.unwrap();
    }
    assert!(!local.note_resumed(id(0)).await.unwrap(), "nothing was interrupted");
    assert!(local.note_interrupted(id(0)).await.unwrap());
    assert!(!local.note_interrupted(id(0)).await.unwrap(), "said already");
    assert!(local.note_resumed(id(0)).await.unwrap());
    assert!(!local.note_interrupted(id(9)).await.unwrap(), "nobody knows it");
    export(&local, 1).await;
    local.end_broadcast(id(0), 5000, "stopped".into()).await.unwrap();
    local.end_broadcast(id(0), 6000, "stopped".into()).await.unwrap();
    let edit = ClipEdit { title: Some("goal".into()), visibility: Some(Visibility::Published), ..ClipEdit::default() };
    local.edit_pending(id(1), edit, None).await.unwrap().unwrap();
    for (from, to) in [(ClipState::Queued, ClipState::Uploading), (ClipState::Uploading, ClipState::Verified)] {
        local.advance(id(1), from, to).await.unwrap();
    }
    for _ in 0..2 {
        local.stored(id(1), Sent { revision: 1, noted: 0 }, 99).await.unwrap();
    }
    let clip = local.local_clip(id(1)).await.unwrap().unwrap().clip.unwrap();
    for _ in 0..2 {
        local.remove_clip(clip.clone()).await.unwrap();
    }
    local.note_alarm(String::new(), "look".into()).await.unwrap();

    let events = all(&local).await;
    assert_eq!(
        kinds(&events),
        [
            "broadcast.started",
            "broadcast.interrupted",
            "broadcast.resumed",
            "clip.created",
            "clip.ready",
            "broadcast.ended",
            "clip.edited",
            "clip.published",
            "clip.stored",
            "clip.deleted",
            "alarm.raised"
        ]
    );
    assert!(events.is_sorted_by(|a, b| a.id < b.id));
    let of_broadcast: Vec<u64> = events.iter().filter(|e| e.broadcast == Some(id(0))).map(|e| e.sequence).collect();
    assert_eq!(of_broadcast, (1..=10).collect::<Vec<_>>());
    assert_eq!((events[10].sequence, &events[10].channel), (1, &None));
    assert_eq!(events[6].data["changed"], serde_json::json!(["title", "visibility"]));
    assert_eq!(events[9].data["clip"]["title"], "goal");
    assert_eq!(events[9].data["by"], "person");
    assert_eq!(local.newest_event().borrow().clone(), Some(events[10].id.clone()));
}

#[tokio::test]
async fn ids_ascend_also_over_a_restart_and_when_the_clock_was_set_back() {
    let (folder, local) = open();
    local.note_alarm("main".into(), "1".into()).await.unwrap();
    let future = Id::new(crate::clock::utc_ms() + 3_600_000, 7);
    let moved = future.clone();
    local.write(move |t| execute(t, "UPDATE events SET id = ?1", [moved.as_str()]).map(drop)).await.unwrap();
    drop(local);
    let local = Local::open(folder.path().join("data/local.sqlite")).unwrap();
    local.note_alarm("main".into(), "2".into()).await.unwrap();
    let events = all(&local).await;
    assert_eq!(events[0].id, future);
    assert_eq!((events[1].id.clone(), events[1].sequence), (future.successor(), 2));
}

#[tokio::test]
async fn a_clip_that_turns_out_to_be_nothing_is_taken_back() {
    let (_folder, local) = open();
    local.open_part(part(1)).await.unwrap();
    local.forget(id(1)).await.unwrap();
    assert!(all(&local).await.is_empty(), "nobody had heard of it");
    local.open_part(part(2)).await.unwrap();
    local.close_part(id(2), ClipCause::End, None, 0).await.unwrap();
    local.forget(id(2)).await.unwrap();
    let events = all(&local).await;
    assert_eq!(kinds(&events), ["clip.created", "clip.deleted"]);
    assert_eq!(events[1].data["by"], "emptiness");
}

#[tokio::test]
async fn what_failed_is_said_the_first_time() {
    let (_folder, local) = open();
    export(&local, 1).await;
    for _ in 0..3 {
        local.retry_clip(id(1), crate::Reason::Away, "it is away".into(), 5).await.unwrap();
    }
    assert!(local.fail(id(1), "no".into()).await.unwrap());
    let events = all(&local).await;
    assert_eq!(kinds(&events[2..]), ["clip.delayed", "clip.failed"]);
    assert_eq!((&events[2].data["reason"], &events[2].data["error"]), (&"away".into(), &"it is away".into()));
}

#[tokio::test]
async fn the_log_is_bounded_and_says_what_it_no_longer_has() {
    let (_folder, local) = open();
    let stranger = Id::new(1, 1);
    assert!(local.events_after(stranger, 10).await.unwrap().gap, "a place of another log");
    for number in 0..10 {
        local.note_alarm("main".into(), number.to_string()).await.unwrap();
    }
    let before = all(&local).await;
    let now_ms = crate::clock::utc_ms() as i64;
    let keep = EventKeep { days: 30, rows: 4 };
    let gone = local.prune_events(keep, now_ms).await.unwrap();
    assert_eq!(gone, Forgotten { events: 6, deliveries: 0, more: false });
    assert_eq!(local.prune_events(keep, now_ms).await.unwrap(), Forgotten::default());
    let page = local.events_after(before[3].id.clone(), 10).await.unwrap();
    assert!(page.gap && page.events == before[6..]);
    let page = local.events_after(before[5].id.clone(), 10).await.unwrap();
    assert!(!page.gap && page.events == before[6..], "the last that went is no gap");
    assert_eq!(local.prune_events(keep, now_ms + 31 * DAY_MS).await.unwrap().events, 4);
    assert_eq!(local.end_of_events().await.unwrap(), before[9].id);
    local.note_alarm("main".into(), "10".into()).await.unwrap();
    assert_eq!(all(&local).await[0].sequence, 11, "numbers go on");
    assert!(local.events_after(Id::new(u64::MAX, 0), 10).await.unwrap().gap, "a place that is not yet");
}

#[tokio::test]
async fn an_edit_in_the_database_is_said_also_when_the_process_died_behind_it() {
    let (folder, local) = open();
    let database = Database::sqlite(folder.path().join("oxbow.db"));
    let clip = export(&local, 1).await;
    database.insert_clip(&clip).await.unwrap();
    let edit = |title: &str| ClipEdit { title: Some(title.into()), ..ClipEdit::default() };
    local.edit_stored(&database, &clip.id, &edit("one"), None).await.unwrap();
    let refused = local.edit_stored(&database, &clip.id, &edit("two"), Some(9)).await;
    assert!(matches!(refused, Err(StorageError::Conflict)));
    assert_eq!(local.settle_edits(&database, i64::MAX).await.unwrap(), 0, "nothing is open");
    assert_eq!(kinds(&all(&local).await[2..]), ["clip.edited"]);

    // What a process leaves that dies before, and one that dies behind the change.
    let before = database.clip(&clip.id).await.unwrap().unwrap();
    local.intend(&before, &edit("never")).await.unwrap();
    assert_eq!(local.settle_edits(&database, 0).await.unwrap(), 0, "it may be under way");
    assert_eq!(local.settle_edits(&database, i64::MAX).await.unwrap(), 1);
    assert_eq!(all(&local).await.len(), 3);
    local.intend(&before, &edit("three")).await.unwrap();
    database.edit_clip(&clip.id, &edit("three"), None).await.unwrap();
    assert_eq!(local.settle_edits(&database, i64::MAX).await.unwrap(), 1);
    let events = all(&local).await;
    assert_eq!(kinds(&events[3..]), ["clip.edited"]);
    assert_eq!(events[3].data["clip"]["title"], "three");
}

#[tokio::test]
async fn each_webhook_has_what_it_asked_for_in_lines() {
    let (_folder, local) = open();
    local.add_webhook(hook(100)).await.unwrap();
    let ready = Webhook { kinds: vec![EventType::ClipReady], channels: vec!["main".into()], ..hook(101) };
    local.add_webhook(ready).await.unwrap();
    local.add_webhook(Webhook { channels: vec!["side".into()], ..hook(102) }).await.unwrap();
    local.open_broadcast(broadcast()).await.unwrap();
    export(&local, 1).await;
    local.note_alarm(String::new(), "look".into()).await.unwrap();
    let waiting = local.waiting_deliveries().await.unwrap();
    let counts: Vec<_> = waiting.iter().map(|(id, waiting)| (id.clone(), waiting.deliveries)).collect();
    assert_eq!(counts, [(id(100), 4), (id(101), 1)]);

    let heads = local.due_deliveries(id(100), 0, 10).await.unwrap();
    let heads: Vec<_> = heads.iter().map(|due| due.event.kind.as_str()).collect();
    assert_eq!(heads, ["alarm.raised", "broadcast.started"], "one of each line");
    let started = local.due_deliveries(id(100), 0, 10).await.unwrap().remove(1).event.id;
    assert_eq!(local.undelivered(id(100), started.clone(), attempt(500, 10), 1000).await.unwrap(), 0);
    assert_eq!(local.due_deliveries(id(100), 999, 10).await.unwrap().len(), 1, "what is behind it waits");
    assert_eq!(local.next_delivery_due(999).await.unwrap(), Some(1000));
    local.delivered(id(100), started.clone(), attempt(200, 20)).await.unwrap();
    local.delivered(id(100), started, attempt(200, 21)).await.unwrap();
    let next = local.due_deliveries(id(100), 0, 10).await.unwrap();
    assert!(next.iter().any(|due| due.event.kind == EventType::ClipCreated && due.failures == 0));
    let tried = local.deliveries(id(100), 50).await.unwrap();
    assert_eq!((tried.len(), tried[0].attempts, tried[0].state), (1, 2, DeliveryState::Delivered));
    assert!(local.delete_webhook(id(100)).await.unwrap());
    assert!(!local.delete_webhook(id(100)).await.unwrap());
    assert_eq!(local.waiting_deliveries().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_day_of_failures_is_the_end_and_can_be_told_again() {
    let (_folder, local) = open();
    local.add_webhook(hook(100)).await.unwrap();
    for number in 0..3 {
        local.note_alarm("main".into(), number.to_string()).await.unwrap();
    }
    let events = all(&local).await;
    let head =
        |local: Local| async move { local.due_deliveries(id(100), i64::MAX, 10).await.unwrap().remove(0).event.id };
    assert_eq!(head(local.clone()).await, events[0].id);
    let day_later = events[2].at_ms + DELIVERY_MS;
    let early = attempt(503, events[0].at_ms + DELIVERY_MS - 1);
    assert_eq!(local.undelivered(id(100), events[0].id.clone(), early, 0).await.unwrap(), 0);
    assert_eq!(local.undelivered(id(100), events[0].id.clone(), attempt(503, day_later), 0).await.unwrap(), 3);
    assert!(local.due_deliveries(id(100), i64::MAX, 10).await.unwrap().is_empty());
    let given_up = local.deliveries(id(100), 50).await.unwrap();
    let reasons: Vec<_> = given_up.iter().map(|d| d.last.as_ref().and_then(|last| last.reason.clone())).collect();
    assert!(given_up.iter().all(|d| d.state == DeliveryState::Failed) && reasons.iter().all(Option::is_some));
    assert_eq!(given_up.iter().map(|d| d.attempts).sum::<u32>(), 2);

    let replay = |what| local.replay(id(100), what, day_later);
    assert_eq!(replay(Replay::Event(events[1].id.clone())).await.unwrap(), Replayed { events: 1, next: None });
    assert_eq!(replay(Replay::From(events[1].id.clone())).await.unwrap().events, 2);
    assert_eq!(head(local.clone()).await, events[1].id, "in order, however they came");
    assert_eq!(replay(Replay::Since(0)).await.unwrap().events, 3);
    assert_eq!(replay(Replay::Broadcast(id(0))).await.unwrap().events, 0);
    assert!(matches!(replay(Replay::Event(id(5))).await, Err(StorageError::NotFound)));
    let waiting = local.waiting_deliveries().await.unwrap();
    assert_eq!((waiting[0].1.deliveries, waiting[0].1.oldest_ms), (3, Some(events[0].id.utc_ms() as i64)));
    let keep = EventKeep { days: 30, rows: 1 };
    assert_eq!(local.prune_events(keep, events[2].at_ms).await.unwrap().deliveries, 2, "forgotten while they waited");
    assert_eq!(head(local.clone()).await, events[2].id);
}

#[tokio::test]
async fn a_receiver_that_wants_no_more_gets_no_more() {
    let (_folder, local) = open();
    local.add_webhook(hook(100)).await.unwrap();
    for number in 0..2 {
        local.note_alarm("main".into(), number.to_string()).await.unwrap();
    }
    let events = all(&local).await;
    assert_eq!(local.receiver_gone(id(100), events[0].id.clone(), attempt(410, 9)).await.unwrap(), 2);
    local.note_alarm("main".into(), "later".into()).await.unwrap();
    assert!(local.waiting_deliveries().await.unwrap().is_empty());
    assert!(matches!(local.ping_webhook(id(100), 0).await, Err(StorageError::Invalid(_))));
    let active = WebhookEdit { state: Some(WebhookState::Active), ..WebhookEdit::default() };
    local.edit_webhook(id(100), active.clone(), 0).await.unwrap();
    let ping = local.ping_webhook(id(100), 0).await.unwrap();
    let due = local.due_deliveries(id(100), 0, 10).await.unwrap();
    assert_eq!((due.len(), &due[0].event.id, due[0].event.sequence), (1, &ping, 1));

    // What happens in a pause waits, and has a day from its end.
    let paused = WebhookEdit { state: Some(WebhookState::Paused), ..WebhookEdit::default() };
    local.edit_webhook(id(100), paused, 0).await.unwrap();
    local.note_alarm("main".into(), "in a pause".into()).await.unwrap();
    assert_eq!(local.next_delivery_due(-1).await.unwrap(), None);
    let later = crate::clock::utc_ms() as i64 + 3 * DAY_MS;
    local.edit_webhook(id(100), active, later).await.unwrap();
    let due = local.due_deliveries(id(100), later, 10).await.unwrap();
    assert_eq!(due.len(), 2);
    let last = due.iter().find(|due| due.event.kind == EventType::AlarmRaised).unwrap().event.id.clone();
    assert_eq!(local.undelivered(id(100), last, attempt(500, later + 1), 0).await.unwrap(), 0);
}

#[tokio::test]
async fn ended_deliveries_and_webhooks_are_bounded() {
    let (_folder, local) = open();
    local.add_webhook(hook(100)).await.unwrap();
    for number in 0..ENDED + 5 {
        local.note_alarm("main".into(), number.to_string()).await.unwrap();
    }
    for event in all(&local).await {
        local.delivered(id(100), event.id.clone(), attempt(200, event.at_ms)).await.unwrap();
    }
    assert_eq!(local.deliveries(id(100), 10_000).await.unwrap().len(), ENDED as usize);
    for at in 1..WEBHOOKS {
        local.add_webhook(hook(100 + u64::from(at))).await.unwrap();
    }
    assert!(matches!(local.add_webhook(hook(99)).await, Err(StorageError::Refused(_))));
    let wrong = Webhook { url: "ftp://example.org".into(), ..hook(98) };
    assert!(matches!(local.add_webhook(wrong).await, Err(StorageError::Invalid(_))));
}

#[tokio::test]
async fn secrets_rotate_and_are_never_printed() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, local) = open();
    local.add_webhook(hook(100)).await.unwrap();
    for name in ["local.sqlite", "local.sqlite-wal", "local.sqlite-shm"] {
        let mode = std::fs::metadata(folder.path().join("data").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    let rotated = local.rotate_webhook(id(100), crate::Secret::new("whsec_BBBB"), 500).await.unwrap();
    assert_eq!(rotated.secret.expose(), "whsec_BBBB");
    let found = local.webhook(id(100)).await.unwrap().unwrap();
    let (old, until_ms) = found.old_secret.clone().unwrap();
    assert_eq!((old.expose(), until_ms), ("whsec_AAAA", 500));
    assert!(!format!("{found:?}").contains("whsec_"));
}
