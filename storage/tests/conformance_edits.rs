//! What every database must do with what people say and what is measured of clips, over every back end.

mod support;

use storage::{
    Clip, ClipCause, ClipEdit, ClipFacts, ClipHealth, ClipKind, ClipQuery, Finding, FindingKind, Pictures,
    PosterChoice, StorageError, Storyboard, Trouble, Visibility, WebLink,
};
use support::place::{Place, id, titled};

over_every_database!(
    edits_count_revisions,
    of_two_edits_with_one_revision_one_wins,
    everything_that_people_say_can_be_edited,
    a_poster_is_one_of_those_that_there_are,
    facts_are_noted_without_a_revision,
    a_newer_state_replaces_an_older_one,
    queries_filter_by_what_people_say_and_what_is_measured,
);

fn facts(clip: &Clip) -> ClipFacts {
    let choice = |name: &str| PosterChoice { object: clip.key(&format!("{name}.jpg")), at_ms: i64::MAX as u64 };
    let storyboard = Storyboard {
        sheets: vec![clip.key("sheet-0.jpg"), clip.key("sheet-1.jpg")],
        columns: 10,
        rows: 10,
        width: 160,
        height: 90,
        index: clip.key("vtt"),
    };
    let health = ClipHealth {
        score: 60,
        black_ms: 0,
        frozen_ms: 1500,
        silent_ms: i64::MAX as u64,
        flashing_ms: 800,
        spoilt_ms: 0,
        loudness: Some(-231),
        av_offset_ms: Some(-12),
        findings: vec![
            Finding { kind: FindingKind::Frozen, from_ms: 500, to_ms: 2000 },
            Finding { kind: FindingKind::Flashing, from_ms: 7000, to_ms: i64::MAX as u64 },
        ],
    };
    let pictures = Pictures {
        posters: vec![choice("poster-0"), choice("poster-1")],
        storyboard: Some(storyboard),
        waveform: Some(clip.key("peaks.json")),
    };
    ClipFacts { health: Some(health), pictures: Some(pictures), units: Some(clip.key("units")) }
}

async fn edits_count_revisions(place: Place) {
    let clip = place.insert(10, "before").await;
    let once = place.database.edit_clip(&clip.id, &titled("After 日本"), Some(0)).await.unwrap();
    assert_eq!(once, Clip { title: "After 日本".into(), revision: 1, ..clip.clone() });
    assert_eq!(place.database.edit_clip(&clip.id, &titled("late"), Some(0)).await, Err(StorageError::Conflict));
    let twice = place.database.edit_clip(&clip.id, &titled("whoever"), None).await.unwrap();
    assert_eq!((twice.title.as_str(), twice.revision), ("whoever", 2));
    assert_eq!(place.database.clip(&clip.id).await.unwrap(), Some(twice));
    assert_eq!(place.database.edit_clip(&id(), &titled("x"), None).await, Err(StorageError::NotFound));
    assert!(place.search("before").await.is_empty(), "the old title is not found any more");
    assert_eq!(place.search("WHO").await, ["whoever"]);
}

async fn of_two_edits_with_one_revision_one_wins(place: Place) {
    let clip = place.insert(10, "start").await;
    for revision in 0..10 {
        let (left, right) = (titled("left"), titled("right"));
        let (left, right) = tokio::join!(
            place.database.edit_clip(&clip.id, &left, Some(revision)),
            place.database.edit_clip(&clip.id, &right, Some(revision)),
        );
        let (winner, loser) = if left.is_ok() { (left, right) } else { (right, left) };
        assert_eq!(winner.unwrap().revision, revision + 1);
        assert_eq!(loser, Err(StorageError::Conflict));
    }
}

async fn everything_that_people_say_can_be_edited(place: Place) {
    let clip = place.insert(10, "before").await;
    let edit = ClipEdit {
        title: Some("After".into()),
        description: Some("Two\nlines: 日本 %_'\"$".into()),
        tags: Some(vec!["grand final".into(), "日本".into()]),
        links: Some(vec![WebLink { title: "More".into(), url: "https://oxbow.example/?a=1".into() }]),
        visibility: Some(Visibility::Published),
        pinned: Some(true),
        poster: None,
    };
    let edited = place.database.edit_clip(&clip.id, &edit, Some(0)).await.unwrap();
    let published = edited.published_at_ms.expect("the time of its publication");
    let expected = Clip {
        title: "After".into(),
        description: edit.description.clone().unwrap(),
        tags: edit.tags.clone().unwrap(),
        links: edit.links.clone().unwrap(),
        visibility: Visibility::Published,
        published_at_ms: Some(published),
        pinned: true,
        revision: 1,
        ..clip.clone()
    };
    assert_eq!(edited, expected);
    assert_eq!(place.database.clip(&clip.id).await.unwrap(), Some(expected.clone()));
    let again = ClipEdit { visibility: Some(Visibility::Published), ..ClipEdit::default() };
    let again = place.database.edit_clip(&clip.id, &again, None).await.unwrap();
    assert_eq!(again, Clip { revision: 2, ..expected.clone() }, "it was published already");
    let hide = ClipEdit { visibility: Some(Visibility::Hidden), ..ClipEdit::default() };
    let hidden = place.database.edit_clip(&clip.id, &hide, None).await.unwrap();
    let expected = Clip { visibility: Visibility::Hidden, published_at_ms: None, revision: 3, ..expected };
    assert_eq!(hidden, expected);
    for bad in [
        ClipEdit { description: Some("a\0b".into()), ..ClipEdit::default() },
        ClipEdit { tags: Some(vec!["Upper".into()]), ..ClipEdit::default() },
        ClipEdit {
            links: Some(vec![WebLink { title: "x".into(), url: "javascript:1".into() }]),
            ..ClipEdit::default()
        },
        ClipEdit { poster: Some(0), ..titled("fine") },
    ] {
        let refused = place.database.edit_clip(&clip.id, &bad, None).await;
        assert!(matches!(refused, Err(StorageError::Invalid(_))), "{bad:?}");
    }
    assert_eq!(place.database.clip(&clip.id).await.unwrap(), Some(expected), "nothing of them was taken");
}

async fn a_poster_is_one_of_those_that_there_are(place: Place) {
    let clip = place.insert(10, "clip").await;
    place.database.note_facts(&clip.id, &facts(&clip)).await.unwrap();
    let second = ClipEdit { poster: Some(1), ..ClipEdit::default() };
    let chosen = place.database.edit_clip(&clip.id, &second, Some(0)).await.unwrap();
    assert_eq!(chosen.poster, Some(clip.key("poster-1.jpg")));
    let none = ClipEdit { poster: Some(2), ..ClipEdit::default() };
    assert!(matches!(place.database.edit_clip(&clip.id, &none, None).await, Err(StorageError::Invalid(_))));
}

async fn facts_are_noted_without_a_revision(place: Place) {
    let clip = place.insert(10, "clip").await;
    let all = facts(&clip);
    let units = ClipFacts { units: all.units.clone(), ..ClipFacts::default() };
    let first = place.database.note_facts(&clip.id, &units).await.unwrap();
    assert_eq!(first, Clip { units: all.units.clone(), ..clip.clone() });
    let rest = ClipFacts { units: None, ..all.clone() };
    let noted = place.database.note_facts(&clip.id, &rest).await.unwrap();
    // The best of the posters takes the place of the export's own.
    let poster = Some(clip.key("poster-0.jpg"));
    let expected = Clip { health: all.health, pictures: all.pictures, units: all.units, poster, ..clip.clone() };
    assert_eq!(noted, expected);
    assert_eq!(place.database.clip(&clip.id).await.unwrap(), Some(expected));
    assert_eq!(place.database.note_facts(&id(), &units).await, Err(StorageError::NotFound));
    let bad = ClipFacts { units: Some("../x".into()), ..ClipFacts::default() };
    assert!(matches!(place.database.note_facts(&clip.id, &bad).await, Err(StorageError::Invalid(_))));
    // Who measures and who edits do not undo each other.
    for round in 0..10 {
        let title = titled(&format!("title {round}"));
        let health = ClipHealth { score: round, ..ClipHealth::default() };
        let health = ClipFacts { health: Some(health), ..ClipFacts::default() };
        let (edited, noted) = tokio::join!(
            place.database.edit_clip(&clip.id, &title, None),
            place.database.note_facts(&clip.id, &health)
        );
        edited.and(noted).unwrap();
        let now = place.database.clip(&clip.id).await.unwrap().unwrap();
        assert_eq!((now.title, now.health.unwrap().score), (format!("title {round}"), round));
    }
}

async fn a_newer_state_replaces_an_older_one(place: Place) {
    let clip = place.insert(10, "clip").await;
    place.database.note_facts(&clip.id, &facts(&clip)).await.unwrap();
    let newer = Clip { title: "newer".into(), revision: 3, ..clip.clone() };
    let revised = place.database.revise_clip(&newer).await.unwrap();
    assert_eq!((revised.title.as_str(), revised.revision, revised.units), ("newer", 3, Some(clip.key("units"))));
    let older = place.database.revise_clip(&Clip { title: "older".into(), revision: 2, ..clip.clone() }).await.unwrap();
    assert_eq!((older.title.as_str(), older.revision), ("newer", 3));
    assert_eq!(place.database.revise_clip(&place.clip(1, "unknown")).await, Err(StorageError::NotFound));
}

async fn queries_filter_by_what_people_say_and_what_is_measured(place: Place) {
    let mut clips = Vec::new();
    for n in 0..6 {
        clips.push(Clip {
            kind: if n % 2 == 0 { ClipKind::Part } else { ClipKind::Made },
            cause: if n == 4 { ClipCause::Recovered } else { ClipCause::Length },
            lost_ms: u64::from(n == 3) * 800,
            ..place.clip(1000 + n, &format!("clip {n}"))
        });
        place.database.insert_clip(&clips[n as usize]).await.unwrap();
    }
    let tags = Some(vec!["goal".into(), "final".into()]);
    for (n, edit) in [
        ClipEdit { tags, description: Some("By Ann".into()), ..ClipEdit::default() },
        ClipEdit { tags: Some(vec!["goals".into()]), pinned: Some(true), ..ClipEdit::default() },
        ClipEdit { visibility: Some(Visibility::Published), ..ClipEdit::default() },
    ]
    .into_iter()
    .enumerate()
    {
        place.database.edit_clip(&clips[n].id, &edit, None).await.unwrap();
    }
    for (n, health) in [
        (3, ClipHealth { score: 100, ..ClipHealth::default() }),
        (4, ClipHealth { score: 40, black_ms: 1, ..ClipHealth::default() }),
        (5, ClipHealth { score: 70, silent_ms: 5, frozen_ms: 9, ..ClipHealth::default() }),
    ] {
        let facts = ClipFacts { health: Some(health), ..ClipFacts::default() };
        place.database.note_facts(&clips[n].id, &facts).await.unwrap();
    }
    let any = place.query();
    for (query, expected) in [
        (ClipQuery { kind: Some(ClipKind::Made), ..any.clone() }, vec![5, 3, 1]),
        (ClipQuery { visibility: Some(Visibility::Published), ..any.clone() }, vec![2]),
        (ClipQuery { visibility: Some(Visibility::Link), ..any.clone() }, vec![]),
        (ClipQuery { tag: Some("goal".into()), ..any.clone() }, vec![0]),
        (ClipQuery { text: Some("GOAL".into()), ..any.clone() }, vec![1, 0]),
        (ClipQuery { text: Some("ann".into()), ..any.clone() }, vec![0]),
        (ClipQuery { pinned: Some(true), ..any.clone() }, vec![1]),
        (ClipQuery { pinned: Some(false), kind: Some(ClipKind::Made), ..any.clone() }, vec![5, 3]),
        (ClipQuery { from_ms: Some(1002), to_ms: Some(1004), ..any.clone() }, vec![3, 2]),
        (ClipQuery { max_score: Some(70), ..any.clone() }, vec![5, 4]),
        (ClipQuery { trouble: Some(Trouble::Silent), ..any.clone() }, vec![5]),
        (ClipQuery { trouble: Some(Trouble::Frozen), ..any.clone() }, vec![5]),
        (ClipQuery { trouble: Some(Trouble::Black), ..any.clone() }, vec![4]),
        (ClipQuery { trouble: Some(Trouble::Gaps), ..any.clone() }, vec![3]),
        (ClipQuery { trouble: Some(Trouble::Recovered), ..any.clone() }, vec![4]),
    ] {
        let found = place.page(&query).await.items;
        let numbers: Vec<_> = found.iter().map(|clip| clip.started_at_ms - 1000).collect();
        assert_eq!(numbers, expected, "{query:?}");
        assert!(found.iter().all(|clip| query.matches(clip)));
    }
    // With a cursor, which is a condition on the same field.
    let page = place.page(&ClipQuery { from_ms: Some(1001), limit: 3, ..any.clone() }).await;
    let rest = place.page(&ClipQuery { from_ms: Some(1001), cursor: page.next, ..any }).await;
    let numbers: Vec<_> = page.items.iter().chain(&rest.items).map(|clip| clip.started_at_ms - 1000).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
}
