//! Lives that go well.

use std::collections::BTreeSet;

use media::message::{Codec, EndReason, GapReason, TapFact};
use recorder::RecorderEvent;
use storage::{ClipCause, ClipRequest, ClipState, Id, Requester};

use crate::node::*;

async fn five_rollovers(codec: Codec, mime: &str) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(2)).await;
    let broadcast = node.begin();
    let mut live = Live::new(codec);
    play(&node, broadcast, live.up_to(12 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(6).await;

    let clips = node.clips().await;
    assert_eq!(clips.iter().map(|c| c.part).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_consecutive(&numbers(&node, &clips), live.pictures);
    assert_eq!(clips.iter().map(|c| c.frames).sum::<u64>(), live.pictures);
    assert_eq!(clips.iter().map(|c| c.packets).sum::<u64>(), live.packets);
    for (clip, next) in clips.iter().zip(&clips[1..]) {
        assert_eq!((clip.cause, clip.mime.as_str()), (ClipCause::Length, mime));
        assert!(clip.to_ns.abs_diff(next.from_ns) < 20_000_000, "{} and {}", clip.to_ns, next.from_ns);
        assert!(next.started_at_ms > clip.started_at_ms);
    }
    let total: u64 = clips.iter().map(|c| c.duration_ms).sum();
    assert!(total.abs_diff(12_000) < 60, "durations add up to {total}");
    assert_eq!(clips.last().map(|c| c.cause), Some(ClipCause::End));
    assert!(clips.iter().all(|c| c.lost_ms == 0 && c.poster.is_some()));

    let known = node.database.broadcast(&id(broadcast)).await.unwrap().expect("the broadcast is in the database");
    assert_eq!((known.clips, known.end_reason.as_deref(), known.recorded), (6, Some("stopped"), true));
    node.check_is_silent().await;
    let report = node.check().await;
    let objects: usize = clips.iter().map(|clip| clip.objects().collect::<BTreeSet<_>>().len() + 1).sum();
    assert_eq!((report.journals, report.clips, report.objects), (6, 6, objects + 1));
    assert!(report.units >= live.pictures + live.packets);
    node.stop().await;
}

pub async fn five_rollovers_of_vp8_show_every_picture_once() {
    five_rollovers(Codec::Vp8, "video/webm").await;
}

pub async fn five_rollovers_of_h264_show_every_picture_once() {
    five_rollovers(Codec::H264, "video/mp4").await;
}

pub async fn a_request_cuts_at_the_next_keyframe() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(folder.path(), NEVER).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(1_500_000_000));
    until(10, || async {
        let open = node.local.open_broadcasts().await.unwrap();
        if open.is_empty() { Err("no broadcast".into()) } else { Ok(()) }
    })
    .await;
    let request = Id::new(1, rand::random());
    for title in [Some("the goal".to_owned()), None] {
        let request = ClipRequest {
            id: if title.is_some() { request.clone() } else { Id::new(2, rand::random()) },
            channel: "main".into(),
            broadcast: None,
            by: Requester::Viewer,
            title,
            at_ms: (now_us() / 1000) as i64,
        };
        node.local.request_clip(request).await.unwrap();
    }
    assert_eq!(node.asked.recv().await, Some(broadcast), "a keyframe is asked for at once");
    // both requests are with the journal thread before the keyframe comes
    until(10, || async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        Ok(())
    })
    .await;
    play(&node, broadcast, live.up_to(3 * SECOND));
    let (clip, state) = loop {
        match node.events.recv().await.expect("events") {
            RecorderEvent::Clip { clip, state } => break (clip, state),
            RecorderEvent::Alarm { text, .. } => panic!("{text}"),
            RecorderEvent::BroadcastSaved(_) => {}
        }
    };
    assert_eq!((state, clip.cause, clip.title.as_str()), (ClipState::Queued, ClipCause::Request, "the goal"));
    assert_eq!(clip.to_ns, 2 * SECOND, "the keyframe after the request");
    node.end(broadcast, EndReason::Stopped);
    node.settle(2).await;
    let clips = node.clips().await;
    assert_consecutive(&numbers(&node, &clips), live.pictures);
    assert_eq!(clips[1].title, "Clip 2");
    assert!(node.local.open_requests().await.unwrap().is_empty());
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn a_clip_rolls_over_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), Limits { bytes: 150_000, ..NEVER }).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::H264);
    play(&node, broadcast, live.up_to(10 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    until(60, || async {
        let ended = node.local.open_broadcasts().await.unwrap().is_empty();
        if ended { Ok(()) } else { Err("not ended".into()) }
    })
    .await;
    node.settle_all().await;
    let clips = node.clips().await;
    assert!(clips.len() >= 3, "{} clips", clips.len());
    assert!(clips[..clips.len() - 1].iter().all(|c| c.cause == ClipCause::Size && c.size < 200_000));
    assert_consecutive(&numbers(&node, &clips), live.pictures);
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn sound_alone_is_recorded_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(2)).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    let sound = |fact: &TapFact| match fact {
        TapFact::Config { track, .. } => *track == SOUND,
        TapFact::Unit(unit) => unit.track == SOUND,
        _ => false,
    };
    play(&node, broadcast, live.up_to(7 * SECOND).into_iter().filter(sound).collect());
    node.end(broadcast, EndReason::Dropped);
    node.settle(4).await;
    let clips = node.clips().await;
    assert_eq!(clips.iter().map(|c| c.packets).sum::<u64>(), live.packets);
    assert!(clips.iter().all(|c| c.mime == "audio/mp4" && c.video.is_none() && c.poster.is_none()));
    assert_eq!(clips[3].cause, ClipCause::Interrupted);
    for clip in &clips {
        let seen = pipeline::inspect::clip(&node.object(&clip.object)).expect("it decodes");
        assert!(seen.pictures.is_empty() && !seen.sounds.is_empty());
    }
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn a_deleted_clip_leaves_nothing_but_its_tombstone() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(1)).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(3 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(3).await;
    // as the server does it: first note down what is to go, then the row
    let mut clips = node.clips().await;
    let clip = clips.remove(1);
    let wanted: usize = 2 + clips.iter().map(|clip| clip.objects().collect::<BTreeSet<_>>().len() + 1).sum::<usize>();
    node.local.remove_clip(clip.clone()).await.unwrap();
    // the outbox may be quicker: it carries out what was noted
    node.database.delete_clip(&clip.id).await.unwrap();
    until(20, || async {
        let left = node.objects.list("").await.unwrap().len();
        let row = node.local.local_clip(clip.id.clone()).await.unwrap();
        if left == wanted && row.is_none() { Ok(()) } else { Err(format!("{left} objects, {row:?}")) }
    })
    .await;
    assert_eq!(node.clips().await.len(), 2);
    node.check_is_silent().await;
    assert_eq!(node.check().await.journals, 2, "what was deleted is gone from the journal too");
    node.stop().await;
}

pub async fn a_single_picture_is_a_clip() {
    for codec in [Codec::H264, Codec::Vp8] {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(folder.path(), every_seconds(1)).await;
        let broadcast = node.begin();
        let mut live = Live::new(codec);
        play(&node, broadcast, live.up_to(SECOND));
        play(&node, broadcast, live.up_to(SECOND + SECOND / FPS as u64)); // the keyframe that cuts, and no more
        node.end(broadcast, EndReason::Stopped);
        node.settle(2).await;
        let clips = node.clips().await;
        assert_eq!(clips[1].frames, 1, "{codec:?}");
        assert_consecutive(&numbers(&node, &clips), live.pictures);
        node.check_is_silent().await;
        node.stop().await;
    }
}

pub async fn a_dropped_streamer_continues_the_part() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(60)).await;
    let broadcast = node.begin();
    let mut live = Live::new(Codec::Vp8);
    play(&node, broadcast, live.up_to(2 * SECOND));
    let away = 10 * SECOND;
    let gap =
        TapFact::Gap { track: None, from_ns: 2 * SECOND, to_ns: 2 * SECOND + away, reason: GapReason::Disconnected };
    node.give(broadcast, gap);
    for mut fact in live.up_to(4 * SECOND) {
        if let TapFact::Unit(unit) = &mut fact {
            unit.pts_ns += away;
            unit.dts_ns += away;
        }
        node.give(broadcast, fact);
    }
    node.end(broadcast, EndReason::Dropped);
    node.settle(1).await;
    let clip = node.clips().await.remove(0);
    assert_eq!((clip.frames, clip.lost_ms, clip.cause), (live.pictures, 10_000, ClipCause::Interrupted));
    assert!(clip.duration_ms.abs_diff(14_000) < 60, "{}", clip.duration_ms);
    node.check_is_silent().await;
    node.stop().await;
}
