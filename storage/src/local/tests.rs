use super::*;
use crate::{Broadcast, Clip, ClipCause, ClipEdit, ClipFacts, ClipHealth, Reason, Tombstone, Visibility};

pub(super) fn open() -> (tempfile::TempDir, Local) {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(folder.path().join("data/local.sqlite")).unwrap();
    (folder, local)
}

pub(super) fn id(at: u64) -> Id {
    Id::new(1_700_000_000_000 + at, u128::from(at))
}

pub(super) fn part(at: u64) -> NewPart {
    NewPart {
        clip: id(at),
        broadcast: id(0),
        channel: "main".into(),
        part: at as u32,
        journal: format!("/j/{at}").into(),
        created_ms: at as i64,
    }
}

pub(super) fn broadcast() -> Broadcast {
    Broadcast {
        id: id(0),
        channel: "main".into(),
        title: "main".into(),
        started_at_ms: 1000,
        ended_at_ms: None,
        clips: 0,
        duration_ms: 0,
        recorded: true,
        end_reason: None,
    }
}

pub(super) async fn export(local: &Local, at: u64) -> Clip {
    local.open_part(part(at)).await.unwrap();
    local.close_part(id(at), ClipCause::Length, None, 0).await.unwrap();
    let mut clip = local.pending_clip(id(at)).await.unwrap().unwrap().clip;
    clip.object = format!("main/{}/{at:06}-{}.mp4", id(0), id(at));
    clip.to_ns = at * 1_000_000_000;
    assert!(local.exported(clip.clone(), "/s/file.mp4".into(), None).await.unwrap());
    clip
}

#[tokio::test]
async fn a_clip_goes_forward_once_whatever_is_repeated() {
    let (_folder, local) = open();
    local.open_broadcast(broadcast()).await.unwrap();
    let changes = local.changed();
    local.open_part(part(1)).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert!(local.pending_clips().await.unwrap().is_empty(), "a growing part is no clip");
    assert!(local.close_part(id(1), ClipCause::Request, Some("nice".into()), 7).await.unwrap());
    assert!(!local.close_part(id(1), ClipCause::End, None, 0).await.unwrap());
    local.open_part(part(1)).await.unwrap();
    let pending = local.pending_clip(id(1)).await.unwrap().unwrap();
    assert_eq!((pending.state, pending.clip.title.as_str()), (ClipState::Exporting, "nice"));
    assert_eq!((pending.clip.cause, pending.clip.lost_ms), (ClipCause::Request, 7));

    for first in [true, false] {
        assert_eq!(local.exported(pending.clip.clone(), "/s/a.mp4".into(), None).await.unwrap(), first);
    }
    assert_eq!(local.local_broadcast(id(0)).await.unwrap().unwrap().clips, 1, "counted once");
    for (from, to) in [(ClipState::Queued, ClipState::Uploading), (ClipState::Uploading, ClipState::Verified)] {
        assert!(local.advance(id(1), from, to).await.unwrap());
        assert!(!local.advance(id(1), from, to).await.unwrap());
    }
    assert!(matches!(
        local.advance(id(1), ClipState::Verified, ClipState::Queued).await,
        Err(StorageError::Invalid(_))
    ));
    assert!(local.stored(id(1), Sent { revision: 0, noted: 0 }, 99).await.unwrap());
    assert!(local.pending_clip(id(1)).await.unwrap().is_none());
    assert_eq!(local.counts_by_state().await.unwrap(), [(ClipState::Stored, 1)].into());
    assert_eq!(local.expired(99, 10).await.unwrap().len(), 0, "it is still to be looked at");
    local.end_inspection(id(1)).await.unwrap();
    assert_eq!(local.expired(98, 10).await.unwrap().len(), 0);
    assert_eq!(local.expired(99, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let (folder, local) = open();
    export(&local, 1).await;
    local.retry_clip(id(1), Reason::Away, "away".into(), 500).await.unwrap();
    drop(local);
    let local = Local::open(folder.path().join("data/local.sqlite")).unwrap();
    let states = [ClipState::Queued, ClipState::Uploading, ClipState::Verified];
    assert!(local.due_clips(&states, 499, 10).await.unwrap().is_empty());
    assert_eq!(local.next_clip_due(&states).await.unwrap(), Some(500));
    let due = local.due_clips(&states, 500, 10).await.unwrap();
    assert_eq!((due.len(), due[0].attempts, due[0].error.as_deref()), (1, 1, Some("away")));
    assert_eq!(local.outbox().await.unwrap(), Outbox { depth: 1, oldest_ms: Some(1) });
}

#[tokio::test]
async fn an_edit_on_the_way_is_not_lost() {
    let (_folder, local) = open();
    export(&local, 1).await;
    let title = |text: &str| ClipEdit { title: Some(text.into()), ..ClipEdit::default() };
    assert!(matches!(local.edit_pending(id(1), title("x"), Some(3)).await, Err(StorageError::Conflict)));
    assert!(matches!(local.edit_pending(id(1), title(" "), None).await, Err(StorageError::Invalid(_))));
    let edit = ClipEdit { visibility: Some(Visibility::Published), ..title("new") };
    let edited = local.edit_pending(id(1), edit, Some(0)).await.unwrap().unwrap();
    assert_eq!((edited.title.as_str(), edited.revision, edited.visibility), ("new", 1, Visibility::Published));
    assert!(edited.published_at_ms.is_some());
    local.advance(id(1), ClipState::Queued, ClipState::Verified).await.unwrap();
    assert!(!local.stored(id(1), Sent { revision: 0, noted: 0 }, 1).await.unwrap(), "the old title was sent");
    let health = ClipHealth { score: 80, ..ClipHealth::default() };
    let facts = ClipFacts { health: Some(health.clone()), ..ClipFacts::default() };
    let noted = local.note_facts(id(1), facts.clone()).await.unwrap().unwrap();
    assert_eq!(noted.clip.and_then(|clip| clip.health), Some(health));
    assert!(!local.stored(id(1), Sent { revision: 1, noted: 0 }, 1).await.unwrap(), "what was measured was not sent");
    assert!(local.stored(id(1), Sent { revision: 1, noted: 1 }, 1).await.unwrap());
    assert!(local.edit_pending(id(1), title("late"), None).await.unwrap().is_none());
    assert!(local.note_facts(id(2), facts).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_said_of_a_clip_before_it_has_a_file_stays_with_it() {
    let (_folder, local) = open();
    local.open_part(part(1)).await.unwrap();
    local.close_part(id(1), ClipCause::Length, None, 0).await.unwrap();
    let edit = ClipEdit { tags: Some(vec!["goal".into()]), ..ClipEdit::default() };
    local.edit_pending(id(1), edit, None).await.unwrap().unwrap();
    let edit = ClipEdit { title: Some("Final".into()), pinned: Some(true), ..ClipEdit::default() };
    let announced = local.edit_pending(id(1), edit, Some(0)).await.unwrap().unwrap();
    assert_eq!((announced.revision, announced.tags.as_slice()), (0, &["goal".to_owned()][..]));
    let bare = local.local_clip(id(1)).await.unwrap().unwrap();
    let clip =
        Clip { object: "main/a.mp4".into(), ..Clip { title: "Clip 2".into(), tags: vec![], ..bare.pending().clip } };
    local.exported(clip, "/s/1.mp4".into(), None).await.unwrap();
    let made = local.local_clip(id(1)).await.unwrap().unwrap().clip.unwrap();
    assert_eq!((made.title.as_str(), made.pinned, made.tags.len()), ("Final", true, 1));
}

#[tokio::test]
async fn a_deleted_clip_goes_no_further_and_its_objects_are_listed() {
    let (_folder, local) = open();
    let clip = export(&local, 1).await;
    assert_eq!(local.delete_pending(id(1)).await.unwrap().map(|c| c.id), Some(id(1)));
    assert!(local.delete_pending(id(1)).await.unwrap().is_none());
    assert!(!local.advance(id(1), ClipState::Queued, ClipState::Uploading).await.unwrap());
    assert!(local.pending_clips().await.unwrap().is_empty());
    let due = local.due_clips(&[ClipState::Queued], 0, 10).await.unwrap();
    assert!(due[0].deleted);
    let tombstone = Tombstone::from(&clip);
    local.forget_deleted(tombstone.clone()).await.unwrap();
    local.forget_deleted(tombstone).await.unwrap();
    let due = local.due_removals(0, 10).await.unwrap();
    let keys: Vec<_> = due.iter().map(|r| r.key.clone()).collect();
    assert_eq!(keys, [clip.object.replace(".mp4", ".json"), clip.object.clone()]);
    assert!(due[0].tombstone.as_ref().is_some_and(|left| left.id == clip.id) && due[1].tombstone.is_none());
    local.retry_removal(clip.object.clone(), "away".into(), 50).await.unwrap();
    assert_eq!(local.due_removals(49, 10).await.unwrap().len(), 1);
    assert_eq!(local.next_removal_due().await.unwrap(), Some(0));
    local.removed(clip.object).await.unwrap();
    let elsewhere = Clip { object: "../x".into(), ..clip };
    assert!(matches!(local.remove_clip(elsewhere).await, Err(StorageError::Invalid(_))));
}

#[tokio::test]
async fn a_broadcast_ends_once_and_every_change_is_sent() {
    let (_folder, local) = open();
    local.open_broadcast(broadcast()).await.unwrap();
    let first = local.due_broadcasts(0, 10).await.unwrap().remove(0);
    let ended = local.end_broadcast(id(0), 4000, "stopped".into()).await.unwrap().unwrap();
    assert_eq!((ended.ended_at_ms, ended.duration_ms), (Some(4000), 3000));
    assert!(local.end_broadcast(id(0), 9000, "dropped".into()).await.unwrap().is_none());
    local.broadcast_sent(id(0), first.revision).await.unwrap();
    let second = local.due_broadcasts(0, 10).await.unwrap().remove(0);
    assert_eq!(second.broadcast, ended);
    local.retry_broadcast(id(0), "away".into(), 70).await.unwrap();
    assert_eq!(local.next_broadcast_due().await.unwrap(), Some(70));
    assert_eq!(local.forget_broadcasts().await.unwrap(), 0);
    local.broadcast_sent(id(0), second.revision).await.unwrap();
    assert_eq!(local.next_broadcast_due().await.unwrap(), None);
    assert!(local.open_broadcasts().await.unwrap().is_empty());
    assert_eq!(local.forget_broadcasts().await.unwrap(), 1);
}

#[tokio::test]
async fn requests_are_bounded_and_answered_once() {
    let (_folder, local) = open();
    let request = |at: u64| ClipRequest {
        id: id(at),
        channel: "main".into(),
        broadcast: None,
        by: Requester::Viewer,
        title: None,
        at_ms: at as i64,
    };
    for at in 0..u64::from(OPEN_REQUESTS) {
        local.request_clip(request(at)).await.unwrap();
    }
    assert!(matches!(local.request_clip(request(9999)).await, Err(StorageError::Refused(_))));
    let open = local.open_requests().await.unwrap();
    assert_eq!((open.len(), open[0].id.clone(), open[0].by), (OPEN_REQUESTS as usize, id(0), Requester::Viewer));
    local.answer_requests(vec![id(0), id(1)], Some(id(7))).await.unwrap();
    local.answer_requests(vec![id(2)], None).await.unwrap();
    assert_eq!(local.open_requests().await.unwrap().len(), OPEN_REQUESTS as usize - 3);
    local.request_clip(request(0)).await.unwrap();
    assert_eq!(local.open_requests().await.unwrap().len(), OPEN_REQUESTS as usize - 3, "asked and answered");
    assert_eq!(local.forget_requests(2).await.unwrap(), 2);
}

#[tokio::test]
async fn a_newer_or_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sqlite");
    std::fs::write(&path, "this is no database, but it is long enough to look at".repeat(100)).unwrap();
    assert!(matches!(Local::open(&path), Err(StorageError::Corrupt(_))));
    let newer = folder.path().join("newer.sqlite");
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Local::open(&newer), Err(StorageError::Refused(_))));
}

#[tokio::test]
async fn uploads_go_on_as_long_as_a_clip_waits_for_them() {
    let (_folder, local) = open();
    let sent = |hash: &str| SentPart { etag: None, sha256: hash.into() };
    local.begin_upload("a", "first", 8, "x").await.unwrap();
    local.part_sent("a".into(), "first".into(), 1, sent("old")).await.unwrap();
    local.begin_upload("a", "second", 8, "x").await.unwrap();
    local.part_sent("a".into(), "first".into(), 2, sent("late")).await.unwrap();
    local.part_sent("a".into(), "second".into(), 3, sent("new")).await.unwrap();
    let upload = local.open_upload("a").await.unwrap().unwrap();
    assert_eq!((upload.id.as_str(), upload.parts), ("second", [(3, sent("new"))].into()), "nothing of the first");
    assert!(local.open_uploads().await.unwrap().is_empty(), "no clip has this key");
    assert_eq!(local.open_upload("a").await, Ok(None));
}

#[tokio::test]
async fn what_waits_is_counted_by_reason_and_can_be_tried_now() {
    let (_folder, local) = open();
    export(&local, 1).await;
    local.retry_clip(id(1), Reason::NoBucket, "there is no bucket".into(), i64::MAX).await.unwrap();
    assert_eq!(local.waiting_by_reason().await.unwrap(), [(Reason::NoBucket, 1)].into());
    let now = local.retry_now(id(1)).await.unwrap().unwrap();
    assert_eq!((now.state, now.next_try_ms, now.error.as_deref()), (ClipState::Queued, 0, Some("there is no bucket")));
    assert!(local.fail(id(1), "no worker can".into()).await.unwrap());
    assert!(local.waiting_by_reason().await.unwrap().is_empty(), "it is failed, it does not wait");
    assert_eq!(local.retry_now(id(1)).await.unwrap().unwrap().state, ClipState::Exporting);
    local.delete_pending(id(1)).await.unwrap();
    assert!(local.retry_now(id(1)).await.unwrap().is_none());
    assert!(local.retry_now(id(9)).await.unwrap().is_none());
}
