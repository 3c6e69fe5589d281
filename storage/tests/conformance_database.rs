//! What every database must do, over every back end: SQLite, and MongoDB over its wire protocol.

mod support;

use std::time::{Duration, Instant};

use storage::model::{PAGE_ROWS, TITLE_CHARS};
use storage::{
    Broadcast, BroadcastQuery, ChannelUsage, Clip, ClipCause, ClipEdit, ClipKind, ClipQuery, Database, Format,
    MongoConfig, Page, Piece, Precision, Recipe, StorageError, Tombstone, Visibility,
};
use support::MongoServer;
use support::place::{Place, channel, connect, id, mongo, sqlite, titled};

over_every_database!(
    what_was_inserted_comes_back,
    a_second_insert_changes_nothing,
    a_deleted_clip_never_comes_back,
    a_deleted_clip_leaves_its_place_in_the_chain,
    pages_are_complete_while_clips_are_inserted,
    queries_filter_by_channel_broadcast_and_text,
    text_is_taken_literally,
    text_finds_upper_and_lower_case_in_every_script,
    what_makes_no_sense_is_invalid,
    a_broadcast_ends_once,
    pages_of_broadcasts,
    what_the_clips_of_a_channel_take_is_summed,
    many_writers_at_once,
);

async fn what_was_inserted_comes_back(place: Place) {
    place.database.ping().await.unwrap();
    let full = place.insert(1_700_000_000_123, "日本語 🎥 \"quoted\" 'single' $set.x {y}").await;
    assert_eq!(place.database.clip(&full.id).await.unwrap(), Some(full.clone()));
    let bare = Clip {
        video: None,
        audio: None,
        poster: None,
        title: String::new(),
        cause: ClipCause::Recovered,
        started_at_ms: -5,
        size: i64::MAX as u64,
        from_ns: 0,
        width: 0,
        height: u16::MAX,
        part: u32::MAX,
        revision: u32::MAX - 1,
        ..place.clip(0, "")
    };
    let piece = |from_ns| Piece::new(full.broadcast.clone(), from_ns, Piece::END);
    let bare = Clip {
        kind: ClipKind::Made,
        recipe: Some(Recipe {
            pieces: vec![piece(0), piece(5)],
            precision: Precision::Exact,
            format: Format::Compatible,
        }),
        ..bare
    };
    place.database.insert_clip(&bare).await.unwrap();
    assert_eq!(place.database.clip(&bare.id).await.unwrap(), Some(bare.clone()));
    assert_eq!(place.database.clip(&id()).await.unwrap(), None);
    assert_eq!(place.page(&place.query()).await, Page { items: vec![full, bare], next: None });
}

async fn a_second_insert_changes_nothing(place: Place) {
    let clip = place.insert(10, "first").await;
    let again = Clip { title: "second".into(), size: 1, ..clip.clone() };
    place.database.insert_clip(&again).await.unwrap();
    assert_eq!(place.database.clip(&clip.id).await.unwrap(), Some(clip.clone()));
    place.database.edit_clip(&clip.id, &titled("renamed"), None).await.unwrap();
    place.database.insert_clip(&clip).await.unwrap();
    assert_eq!(place.database.clip(&clip.id).await.unwrap().unwrap().title, "renamed");
    assert_eq!(place.page(&place.query()).await.items.len(), 1);
}

async fn a_deleted_clip_never_comes_back(place: Place) {
    let clip = place.insert(10, "doomed").await;
    let other = place.insert(11, "other").await;
    assert_eq!(place.database.delete_clip(&clip.id).await.unwrap(), Some(clip.clone()));
    assert_eq!(place.database.delete_clip(&clip.id).await.unwrap(), None);
    place.database.insert_clip(&clip).await.unwrap();
    assert_eq!(place.database.clip(&clip.id).await.unwrap(), None);
    assert_eq!(place.database.edit_clip(&clip.id, &titled("x"), None).await, Err(StorageError::NotFound));
    assert_eq!(place.database.edit_clip(&clip.id, &titled("x"), Some(0)).await, Err(StorageError::NotFound));
    assert_eq!(place.page(&place.query()).await.items, [other]);
    assert!(place.search("doomed").await.is_empty());
    assert_eq!(place.database.delete_clip(&id()).await.unwrap(), None);
}

async fn a_deleted_clip_leaves_its_place_in_the_chain(place: Place) {
    let (stored, never) = (place.insert(10, "stored").await, place.clip(11, "deleted on its way"));
    place.insert(12, "another").await;
    let of_stored = Tombstone::from(&stored);
    let of_never = Tombstone { sha256: String::new(), continuity: None, ..Tombstone::from(&never) };
    place.database.delete_clip(&stored.id).await.unwrap();
    for tombstone in [&of_never, &of_never, &of_stored] {
        place.database.bury(tombstone).await.unwrap();
    }
    let mut found = place.database.tombstones().await.unwrap();
    found.retain(|tombstone| tombstone.channel == place.channel);
    found.sort_by_key(|tombstone| tombstone.sha256.len());
    assert_eq!(found, [of_never, of_stored]);
    place.database.insert_clip(&never).await.unwrap();
    assert_eq!(place.database.clip(&never.id).await.unwrap(), None, "it was deleted before it came");
    assert_eq!(place.page(&place.query()).await.items.len(), 1);
}

/// 250 clips with few different times; more arrive between the pages, some of them at times that were passed already.
async fn pages_are_complete_while_clips_are_inserted(place: Place) {
    let mut expected = Vec::new();
    for n in 0..250 {
        expected.push(place.insert(1000 + n / 60, &format!("clip {n}")).await);
    }
    expected.sort_by(|a, b| (b.started_at_ms, &b.id).cmp(&(a.started_at_ms, &a.id)));
    let (mut found, mut cursor, mut late) = (Vec::new(), None, Vec::new());
    loop {
        let page = place.page(&ClipQuery { limit: 37, cursor: cursor.clone(), ..place.query() }).await;
        assert!(page.items.len() == 37 || page.next.is_none());
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        late.push(place.insert(2000, "newer than all").await.id);
    }
    found.retain(|clip| !late.contains(&clip.id));
    assert!(found == expected, "{} of {} in the right order", found.len(), expected.len());

    let whole = place.page(&ClipQuery { limit: PAGE_ROWS, ..place.query() }).await;
    assert_eq!(whole.items.len(), PAGE_ROWS as usize);
    assert!(whole.items[..late.len()].iter().all(|clip| late.contains(&clip.id)), "the newest come first");
}

async fn queries_filter_by_channel_broadcast_and_text(place: Place) {
    let one = place.insert(1, "Goal by Ann").await;
    let two = Clip { broadcast: one.broadcast.clone(), ..place.clip(2, "Goal by Bob") };
    let three = Clip { channel: channel(), ..place.clip(3, "Goal elsewhere") };
    for clip in [&two, &three] {
        place.database.insert_clip(clip).await.unwrap();
    }
    let four = place.insert(4, "Interview").await;
    let titles = |page: Page<Clip>| page.items.into_iter().map(|clip| clip.title).collect::<Vec<_>>();

    assert_eq!(titles(place.page(&place.query()).await), ["Interview", "Goal by Bob", "Goal by Ann"]);
    let of_one = ClipQuery { broadcast: Some(one.broadcast.clone()), ..ClipQuery::default() };
    assert_eq!(titles(place.page(&of_one).await), ["Goal by Bob", "Goal by Ann"]);
    let all = ClipQuery { broadcast: Some(one.broadcast), text: Some("ann".into()), ..place.query() };
    assert_eq!(titles(place.page(&all).await), ["Goal by Ann"]);
    let none = ClipQuery { broadcast: Some(four.broadcast), text: Some("goal".into()), ..place.query() };
    assert_eq!(place.page(&none).await, Page { items: vec![], next: None });
    assert_eq!(place.search("").await.len(), 3);
    let elsewhere = ClipQuery { channel: Some(three.channel.clone()), ..ClipQuery::default() };
    assert_eq!(place.page(&elsewhere).await.items, [three]);
}

async fn text_is_taken_literally(place: Place) {
    let titles = [
        "100% real",
        "100 percent",
        "a.b",
        "axb",
        "under_score",
        "underXscore",
        "(round) [square] {curly}",
        "back\\slash",
        "^start$",
        "a|b",
        "what?",
        "star*",
        "plus+",
        "$where",
        "dash-ed #1/2",
        "it's",
        "\"quoted\"",
    ];
    for (n, title) in titles.iter().enumerate() {
        place.insert(n as i64, title).await;
    }
    for (text, expected) in [
        ("%", vec!["100% real"]),
        ("a.b", vec!["a.b"]),
        ("_", vec!["under_score"]),
        ("(round) [square] {curly}", vec!["(round) [square] {curly}"]),
        ("\\", vec!["back\\slash"]),
        ("^", vec!["^start$"]),
        ("$", vec!["$where", "^start$"]),
        ("a|b", vec!["a|b"]),
        ("?", vec!["what?"]),
        ("*", vec!["star*"]),
        (".*", vec![]),
        ("+", vec!["plus+"]),
        ("d #1/", vec!["dash-ed #1/2"]),
        ("-", vec!["dash-ed #1/2"]),
        ("'", vec!["it's"]),
        ("\"quoted\"", vec!["\"quoted\""]),
        ("' OR 1=1 --", vec![]),
        ("[a-z]", vec![]),
        ("\\w", vec![]),
        ("(?i)", vec![]),
    ] {
        assert_eq!(place.search(text).await, expected, "{text}");
    }
}

async fn text_finds_upper_and_lower_case_in_every_script(place: Place) {
    for (n, title) in ["ÜBER alles", "Привет МИР", "日本の夜", "Ελλάδα", "emoji 🎥 here"].into_iter().enumerate()
    {
        place.insert(n as i64, title).await;
    }
    for (text, expected) in [
        ("über", "ÜBER alles"),
        ("мир", "Привет МИР"),
        ("本の", "日本の夜"),
        ("ΕΛΛ", "Ελλάδα"),
        ("🎥", "emoji 🎥 here"),
    ] {
        assert_eq!(place.search(text).await, [expected], "{text}");
    }
    assert!(place.search("uber").await.is_empty());
}

async fn what_makes_no_sense_is_invalid(place: Place) {
    let database = &place.database;
    let clip = place.insert(1, "fine").await;
    let long = "x".repeat(TITLE_CHARS + 1);
    for title in ["", " ", "a\0b", "two\nlines", long.as_str()] {
        let refused = database.edit_clip(&clip.id, &titled(title), None).await;
        assert!(matches!(refused, Err(StorageError::Invalid(_))), "{title:?}");
    }
    for bad in [
        Clip { title: "a\0b".into(), ..place.clip(1, "") },
        Clip { title: "x".repeat(1_000_000), ..place.clip(1, "") },
        Clip { object: "../x".into(), ..place.clip(1, "") },
        Clip { poster: Some("/etc/passwd".into()), ..place.clip(1, "") },
        Clip { size: u64::MAX, ..place.clip(1, "") },
        Clip { mime: "x".repeat(1000), ..place.clip(1, "") },
        Clip { channel: "\0".into(), ..place.clip(1, "") },
    ] {
        assert!(matches!(database.insert_clip(&bad).await, Err(StorageError::Invalid(_))), "{bad:?}");
        assert_eq!(database.clip(&bad.id).await.unwrap(), None);
    }
    for query in [
        ClipQuery { limit: 0, ..place.query() },
        ClipQuery { limit: PAGE_ROWS + 1, ..place.query() },
        ClipQuery { text: Some(long.clone()), ..place.query() },
        ClipQuery { text: Some("a\0b".into()), ..place.query() },
        ClipQuery { channel: Some(long.clone()), ..place.query() },
        ClipQuery { cursor: Some(String::new()), ..place.query() },
        ClipQuery { cursor: Some("x".repeat(100_000)), ..place.query() },
        ClipQuery { cursor: Some(format!("1.{}'", id())), ..place.query() },
    ] {
        assert!(matches!(database.clips(&query).await, Err(StorageError::Invalid(_))), "{query:?}");
    }
    let query = BroadcastQuery { cursor: Some("{\"$gt\":\"\"}".into()), ..BroadcastQuery::default() };
    assert!(matches!(database.broadcasts(&query).await, Err(StorageError::Invalid(_))));
    let bad = Broadcast { duration_ms: u64::MAX, ..place.broadcast(1) };
    assert!(matches!(database.upsert_broadcast(&bad).await, Err(StorageError::Invalid(_))));
    assert_eq!(place.page(&place.query()).await.items, [clip]);
}

async fn a_broadcast_ends_once(place: Place) {
    let database = &place.database;
    let live = place.broadcast(100);
    assert_eq!(database.broadcast(&live.id).await.unwrap(), None);
    database.upsert_broadcast(&live).await.unwrap();
    let growing = Broadcast { clips: 2, duration_ms: 9000, title: "Better title".into(), ..live.clone() };
    database.upsert_broadcast(&growing).await.unwrap();
    assert_eq!(database.broadcast(&live.id).await.unwrap(), Some(growing.clone()));
    let stale = Broadcast { clips: 1, duration_ms: 5000, ..growing.clone() };
    database.upsert_broadcast(&stale).await.unwrap();
    assert_eq!(database.broadcast(&live.id).await.unwrap(), Some(growing.clone()), "counts never shrink");

    let ended =
        Broadcast { ended_at_ms: Some(10_000), end_reason: Some("stopped".into()), clips: 3, ..growing.clone() };
    for _ in 0..2 {
        database.upsert_broadcast(&ended).await.unwrap();
        assert_eq!(database.broadcast(&live.id).await.unwrap(), Some(ended.clone()));
    }
    let late = Broadcast { title: "An old title".into(), clips: 4, recorded: false, ..live.clone() };
    database.upsert_broadcast(&late).await.unwrap();
    let counted = Broadcast { clips: 4, ..ended.clone() };
    assert_eq!(database.broadcast(&live.id).await.unwrap(), Some(counted), "it never un-ends");
    let corrected = Broadcast { ended_at_ms: Some(11_000), clips: 4, duration_ms: 11_000, ..ended };
    database.upsert_broadcast(&corrected).await.unwrap();
    assert_eq!(database.broadcast(&live.id).await.unwrap(), Some(corrected));

    let short = Broadcast { ended_at_ms: Some(2), title: String::new(), ..place.broadcast(1) };
    database.upsert_broadcast(&short).await.unwrap();
    assert_eq!(database.broadcast(&short.id).await.unwrap(), Some(short), "one whose end arrives first");
}

async fn pages_of_broadcasts(place: Place) {
    let mut expected = Vec::new();
    for n in 0..25 {
        expected.push(place.broadcast(n / 10));
        place.database.upsert_broadcast(&expected[n as usize]).await.unwrap();
    }
    place.database.upsert_broadcast(&Broadcast { channel: channel(), ..place.broadcast(1) }).await.unwrap();
    expected.sort_by(|a, b| (b.started_at_ms, &b.id).cmp(&(a.started_at_ms, &a.id)));
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = BroadcastQuery { channel: Some(place.channel.clone()), limit: 10, cursor };
        let page = place.database.broadcasts(&query).await.unwrap();
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

async fn many_writers_at_once(place: Place) {
    let live = place.broadcast(1);
    let clips: Vec<_> = (0..20).map(|n| place.clip(n, "from many")).collect();
    let writers = clips.iter().enumerate().map(|(n, clip)| {
        let ended = (n % 3 == 0).then_some(50);
        let broadcast = Broadcast { clips: n as u32, ended_at_ms: ended, ..live.clone() };
        let database = place.database.clone();
        async move {
            database.upsert_broadcast(&broadcast).await.unwrap();
            database.insert_clip(clip).await.unwrap();
            database.insert_clip(clip).await.unwrap();
        }
    });
    futures::future::join_all(writers).await;
    assert_eq!(place.page(&place.query()).await.items.len(), 20);
    let found = place.database.broadcast(&live.id).await.unwrap().unwrap();
    assert_eq!((found.clips, found.ended_at_ms), (19, Some(50)));
}

#[tokio::test]
async fn sqlite_keeps_its_rows_and_its_deletions_when_it_is_opened_again() {
    let place = sqlite().unwrap();
    let (kept, gone) = (place.insert(1, "kept").await, place.insert(2, "gone").await);
    place.database.delete_clip(&gone.id).await.unwrap();
    let again = Database::sqlite(place.directory.path().join("data/oxbow.db"));
    assert_eq!(again.clip(&kept.id).await.unwrap(), Some(kept));
    again.insert_clip(&gone).await.unwrap();
    assert_eq!(again.clip(&gone.id).await.unwrap(), None);
}

async fn what_the_clips_of_a_channel_take_is_summed(place: Place) {
    let usage = async || place.database.usage().await.unwrap().into_iter().find(|u| u.channel == place.channel);
    assert_eq!(usage().await, None);
    let gone = place.insert(1, "gone").await;
    place.insert(2, "kept").await;
    place.database.delete_clip(&gone.id).await.unwrap();
    place.database.insert_clip(&Clip { size: 5, ..place.clip(3, "small") }).await.unwrap();
    let made = Clip { kind: ClipKind::Made, size: 11, ..place.clip(4, "made") };
    place.database.insert_clip(&made).await.unwrap();
    for (at, edit) in [
        (5, ClipEdit { pinned: Some(true), ..ClipEdit::default() }),
        (6, ClipEdit { visibility: Some(Visibility::Published), ..ClipEdit::default() }),
        (7, ClipEdit { visibility: Some(Visibility::Link), ..ClipEdit::default() }),
    ] {
        let clip = Clip { size: 100, ..place.clip(at, "edited") };
        place.database.insert_clip(&clip).await.unwrap();
        place.database.edit_clip(&clip.id, &edit, None).await.unwrap();
    }
    let channel = place.channel.clone();
    let (bytes, kept_bytes) = (3_000_000_316, 211);
    assert_eq!(usage().await, Some(ChannelUsage { channel, clips: 6, bytes, kept_clips: 3, kept_bytes }));
}

#[tokio::test]
async fn sqlite_recovers_when_its_folder_comes_back() {
    let place = sqlite().unwrap();
    place.insert(1, "before").await;
    let folder = place.directory.path().join("data");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, b"in the way").unwrap();
    assert!(matches!(place.database.ping().await, Err(StorageError::Away(_))));
    std::fs::remove_file(&folder).unwrap();
    place.database.ping().await.unwrap();
    let after = place.insert(2, "after").await;
    assert_eq!(place.page(&place.query()).await.items, [after]);
}

#[tokio::test]
async fn a_server_that_is_gone_answers_away_soon_and_works_when_it_is_back() {
    let Some(mut place) = mongo(MongoServer::start_own) else { return };
    let kept = place.insert(1, "kept").await;
    place.server.as_mut().unwrap().stop();
    let clip = place.clip(2, "meanwhile");
    for attempt in 0..3 {
        let started = Instant::now();
        let error = place.database.insert_clip(&clip).await.unwrap_err();
        assert!(matches!(error, StorageError::Away(_)), "{error}");
        assert!(started.elapsed() < Duration::from_secs(6), "attempt {attempt}: {:?}", started.elapsed());
    }
    assert!(matches!(place.database.ping().await, Err(StorageError::Away(_))));
    assert!(matches!(place.database.clips(&place.query()).await, Err(StorageError::Away(_))));
    place.server.as_mut().unwrap().resume();
    place.database.insert_clip(&clip).await.unwrap();
    assert_eq!(place.page(&place.query()).await.items, [clip, kept]);
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_found_later() {
    let Some(mut place) = mongo(MongoServer::start_own) else { return };
    let server = place.server.as_mut().unwrap();
    server.stop();
    let database = connect(server);
    assert!(matches!(database.ping().await, Err(StorageError::Away(_))));
    server.resume();
    database.ping().await.unwrap();
    assert_eq!(database.clip(&id()).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_swallows_everything_does_not_hang_anybody() {
    let Some(place) = mongo(MongoServer::start_own) else { return };
    let address = place.server.as_ref().unwrap().host().strip_prefix("mongodb://").unwrap().parse().unwrap();
    let proxy = support::proxy::Proxy::start(address);
    let host = proxy.address().to_string();
    let database = Database::mongo(MongoConfig { host, user: None, password: None, database: "oxbow_test".into() });
    database.ping().await.unwrap();
    proxy.set_mute(true);
    let started = Instant::now();
    assert!(matches!(database.clip(&id()).await, Err(StorageError::Away(_))));
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
}
