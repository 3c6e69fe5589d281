//! A node that starts on what another run left behind.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::format::Salt;
use journal::{Appender, Cause, ClipId, Header, Index, Record};
use media::id::BroadcastId;
use media::message::{Codec, EndReason, TapFact};
use storage::{ClipCause, ClipRequest, ClipState, Id, Local, Requester};

use crate::node::*;

fn write_part(data: &Path, part: u32, facts: &[TapFact]) -> (Header, PathBuf) {
    let now = now_us();
    let header = Header {
        broadcast: BroadcastId::new(now / 1000, 77),
        part,
        clip: ClipId(BroadcastId::new(now / 1000, rand::random()).0),
        channel: "main".parse().unwrap(),
        media_zero_utc_us: now,
        opened_utc_us: now,
    };
    let path = journal::part_path(&data.join("journal"), header.broadcast, part, header.clip);
    let mut appender = Appender::create(&path, &header).unwrap();
    for fact in facts {
        let record = match fact.clone() {
            TapFact::Config { track, config } => Record::Config { track, config },
            TapFact::Unit(unit) => Record::Unit(unit),
            other => panic!("{other:?}"),
        };
        appender.append(&record).unwrap();
    }
    appender.sync().unwrap();
    (header, path)
}

pub async fn a_torn_journal_becomes_a_clip() {
    let folder = tempfile::tempdir().unwrap();
    let mut live = Live::new(Codec::H264);
    let facts = live.up_to(3 * SECOND);
    let (header, path) = write_part(folder.path(), 0, &facts);
    // the last record loses its end, as in a power failure
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length - 9).unwrap();
    // the last time that the process wrote was 700 ms after the last unit that is whole
    let end_us = Index::build(&path).unwrap().entries.iter().map(|entry| entry.utc_us).max().unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_micros(end_us + 700_000)).unwrap();
    drop(file);
    tokio::time::sleep(
        (UNIX_EPOCH + Duration::from_micros(end_us + 900_000)).duration_since(SystemTime::now()).unwrap_or_default(),
    )
    .await;
    let local = Local::open(folder.path().join("local.sqlite")).unwrap();
    let request = ClipRequest {
        id: Id::new(1, 1),
        channel: "main".into(),
        broadcast: None,
        by: Requester::Streamer,
        title: Some("before the crash".into()),
        at_ms: 5,
    };
    local.request_clip(request).await.unwrap();
    drop(local);

    for round in 0..2 {
        let node = Node::start(folder.path(), NEVER).await;
        node.settle(1).await;
        let clips = node.clips().await;
        assert_eq!(clips.len(), 1, "start {round}");
        assert_eq!((clips[0].cause, clips[0].title.as_str()), (ClipCause::Recovered, "before the crash"));
        assert_eq!(clips[0].id.as_str(), header.clip.to_string());
        assert_eq!(clips[0].lost_ms, 800, "\"recovered, 0.8 s lost\"");
        assert_consecutive(&numbers(&node, &clips), clips[0].frames);
        assert!(live.pictures - clips[0].frames <= 1);
        let broadcast = node.database.broadcast(&id(header.broadcast)).await.unwrap().expect("the broadcast");
        assert_eq!(broadcast.end_reason.as_deref(), Some("interrupted"));
        assert!(node.local.open_requests().await.unwrap().is_empty());
        node.check_is_silent().await;
        node.stop().await;
    }
}

pub async fn what_nobody_knows_is_adopted_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let journals = folder.path().join("journal/01aaaaaaaaaaaaaaaaaaaaaaaa");
    std::fs::create_dir_all(&spool).unwrap();
    std::fs::create_dir_all(&journals).unwrap();
    std::fs::write(spool.join("01aaaaaaaaaaaaaaaaaaaaaaaa.tmp.webm"), "half a file").unwrap();
    std::fs::write(spool.join("01aaaaaaaaaaaaaaaaaaaaaaaa.webm"), "a file of no clip").unwrap();
    std::fs::write(journals.join("000000-01aaaaaaaaaaaaaaaaaaaaaaaa.oxj"), "OXBOWJ1\n and no more").unwrap();
    let mut live = Live::new(Codec::Vp8);
    let facts = live.up_to(SECOND);
    write_part(folder.path(), 4, &facts[..2]); // a part that never got a unit
    let (_, path) = write_part(folder.path(), 5, &facts);
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(
        &journal::format::encode(&Record::Cut { at_ns: 50 * SECOND, cause: Cause::Size }, Salt::default()).head,
    )
    .unwrap();

    let node = Node::start(folder.path(), NEVER).await;
    node.settle(1).await;
    let clips = node.clips().await;
    assert_eq!((clips[0].part, clips[0].frames, clips[0].cause), (5, live.pictures, ClipCause::Recovered));
    node.check_is_silent().await;
    assert_eq!(node.check().await.journals, 1);
    node.stop().await;
}

pub async fn check_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(1)).await;
    let broadcast = node.begin();
    play(&node, broadcast, Live::new(Codec::Vp8).up_to(3 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(3).await;
    node.check_is_silent().await;

    let clips = node.clips().await;
    std::fs::remove_file(node.object(&clips[0].object)).unwrap();
    let shorter = std::fs::read(node.object(&clips[1].object)).unwrap();
    std::fs::write(node.object(&clips[1].object), &shorter[..shorter.len() / 2]).unwrap();
    std::fs::write(node.object(&clips[2].object.replace(".webm", ".bak")), "not of a clip, but named like one")
        .unwrap();
    let journal = node.local.local_clip(clips[0].id.clone()).await.unwrap().unwrap().journal;
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&journal, bytes).unwrap();

    let problems = node.check().await.problems;
    for wanted in ["is missing", "bytes instead of", "object without a clip", "damaged bytes"] {
        assert!(problems.iter().any(|p| p.contains(wanted)), "{wanted}: {problems:#?}");
    }
    std::fs::remove_dir_all(folder.path().join("db")).unwrap();
    node.database.ping().await.unwrap();
    let problems = node.check().await.problems;
    let unknown = problems.iter().filter(|p| p.contains("stored but not in the database")).count();
    assert_eq!(unknown, 3, "the database was lost: {problems:#?}");
    assert_eq!(node.count(ClipState::Stored).await, 3, "check changes nothing");
    node.stop().await;
}
