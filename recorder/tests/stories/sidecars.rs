//! The index is disposable: what the store says of clips and broadcasts follows what the database says, whatever dies, and the
//! database can be rebuilt from it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use futures::TryStreamExt;
use media::message::{Codec, EndReason};
use storage::{Clip, ClipEdit, ClipFacts, ClipHealth, ClipQuery, Database, Local, ObjectStore, Sidecar, StorageError};

use crate::node::*;
use crate::support::S3Server;

const CLIPS: u64 = 3;

fn kills() -> u64 {
    if std::env::var_os("OXBOW_SOAK").is_some() { 50 } else { 6 }
}

/// Three clips of a second each, stored.
async fn record(node: &Node) -> Vec<Clip> {
    let broadcast = node.begin();
    play(node, broadcast, Live::new(Codec::Vp8).up_to(CLIPS * SECOND));
    node.end(broadcast, EndReason::Stopped);
    let of_it = async || {
        let of_it = |clip: &Clip| clip.broadcast == id(broadcast);
        node.clips().await.into_iter().filter(of_it).collect::<Vec<_>>()
    };
    until(60, async || {
        let clips = of_it().await.len() as u64;
        if clips == CLIPS { Ok(()) } else { Err(format!("{clips} clips")) }
    })
    .await;
    node.settle_all().await;
    of_it().await
}

fn titled(title: &str) -> ClipEdit {
    ClipEdit { title: Some(title.into()), ..ClipEdit::default() }
}

/// As the server does it.
async fn rename(local: &Local, database: &Database, clip: &Clip, title: &str) -> Result<Clip, StorageError> {
    local.edit_stored(database, &clip.id, &titled(title), None).await
}

/// As the server does it: first note down what is to go, then the row.
async fn delete(local: &Local, database: &Database, clip: &Clip) -> Result<(), StorageError> {
    local.remove_clip(clip.clone()).await?;
    database.delete_clip(&clip.id).await.map(drop)
}

/// The victim: renames the clips of the folder again and again, each as soon as the one before is done.
pub fn edit(arguments: &[String]) -> ExitCode {
    let Some(data) = arguments.first().map(PathBuf::from) else { return ExitCode::FAILURE };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let node = Node::start(&data, NEVER).await;
        let clips = node.clips().await;
        for round in 0_u64.. {
            let clip = &clips[(round % CLIPS) as usize];
            let title = format!("round {round} {:x}", rand::random::<u64>());
            rename(&node.local, &node.database, clip, &title).await.expect("a rename");
            println!("{round}");
        }
    });
    ExitCode::SUCCESS
}

pub async fn edits_that_a_kill_overtakes_reach_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_owned();
    let node = Node::start(&data, every_seconds(1)).await;
    record(&node).await;
    node.stop().await;
    for seed in 0..kills() {
        let path = data.clone();
        let done = tokio::task::spawn_blocking(move || kill_an_editor(&path, seed)).await.expect("the kill");
        let node = Node::start(&data, every_seconds(1)).await;
        node.settle_all().await;
        let clips = node.clips().await;
        assert!(clips.iter().map(|clip| u64::from(clip.revision)).sum::<u64>() > done, "what was told is there");
        for clip in &clips {
            assert_eq!(said(&node.objects, clip).await, Sidecar::Clip(Box::new(clip.clone())), "seed {seed}");
        }
        node.check_is_silent().await;
        node.stop().await;
    }
}

/// Kills it a few milliseconds after one of its first edits. Which edit that was.
fn kill_an_editor(data: &Path, seed: u64) -> u64 {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let mut child =
        command.arg("edit").arg(data).stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the victim");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let until = seed * 7 % 20;
    let mut done = 0;
    while done < until || seed == 0 {
        done = lines.next().expect("a line").expect("text").parse().expect("a number");
        if seed == 0 {
            break;
        }
    }
    std::thread::sleep(Duration::from_micros(seed * 1_777 % 9_000));
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    done
}

async fn said(objects: &ObjectStore, clip: &Clip) -> Sidecar {
    let key = Sidecar::Clip(Box::new(clip.clone())).key();
    let bytes = objects.get(&key, None).await.expect("a sidecar").bytes(1 << 20).await.expect("its bytes");
    Sidecar::read(&key, &bytes).expect("a sound sidecar")
}

/// Two nodes on one store and one database edit and delete the same clips at once.
pub async fn a_deleted_clip_is_not_brought_back_by_an_edit() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("one"), every_seconds(1)).await;
    let other = Node::start_beside(&folder.path().join("two"), &node).await;
    for _ in 0..if kills() > 6 { 20 } else { 4 } {
        let clips = record(&node).await;
        let mut work = tokio::task::JoinSet::new();
        for clip in &clips {
            for (local, database) in [&node, &other].map(|node| (node.local.clone(), node.database.clone())) {
                let clip = clip.clone();
                work.spawn(async move {
                    for round in 0..10 {
                        match rename(&local, &database, &clip, &format!("{round}")).await {
                            Ok(_) | Err(StorageError::NotFound) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        }
        for clip in &clips[..2] {
            let (local, database, clip) = (other.local.clone(), node.database.clone(), clip.clone());
            work.spawn(async move {
                tokio::time::sleep(Duration::from_millis(rand::random::<u64>() % 40)).await;
                delete(&local, &database, &clip).await.expect("a deletion");
            });
        }
        work.join_all().await;
        for node in [&node, &other] {
            node.settle_removals().await;
        }
        for clip in &clips[..2] {
            assert!(matches!(said(&node.objects, clip).await, Sidecar::Tombstone(left) if left.id == clip.id));
            assert_eq!(node.objects.head(&clip.object).await.unwrap(), None);
        }
        let kept = node.database.clip(&clips[2].id).await.unwrap().expect("it was not deleted");
        assert_eq!((said(&node.objects, &kept).await, kept.revision), (Sidecar::Clip(Box::new(kept.clone())), 20));
    }
    node.check_is_silent().await;
    node.stop().await;
    other.stop().await;
}

pub async fn a_deletion_that_was_only_noted_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(1)).await;
    let clips = record(&node).await;
    // the process dies between the note and the row
    node.local.remove_clip(clips[1].clone()).await.unwrap();
    node.settle_removals().await;
    assert_eq!(node.database.clip(&clips[1].id).await.unwrap(), None);
    assert!(matches!(said(&node.objects, &clips[1]).await, Sidecar::Tombstone(_)));
    assert_eq!(rename(&node.local, &node.database, &clips[1], "again").await, Err(StorageError::NotFound));
    node.settle_removals().await;
    node.check_is_silent().await;
    node.stop().await;
}

pub async fn what_an_older_oxbow_left_out_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), every_seconds(1)).await;
    let clips = record(&node).await;
    let broadcast = node.database.broadcast(&clips[0].broadcast).await.unwrap().unwrap();
    // no sidecar of the broadcast, a title that the store never heard of, and a job table that knows of neither
    node.objects.delete(&Sidecar::Broadcast(Box::new(broadcast)).key()).await.unwrap();
    node.database.edit_clip(&clips[0].id, &titled("unheard of"), None).await.unwrap();
    let report = node.check().await;
    assert_eq!(report.problems.len(), 2, "{report}");
    assert!(report.problems.iter().all(|problem| problem.starts_with("sidecar main/")), "{report}");
    node.stop().await;
    for name in files(folder.path()).iter().filter(|name| name.starts_with("local.sqlite")) {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
    let node = Node::start(folder.path(), every_seconds(1)).await;
    until(20, || async {
        let done = node.local.is_done("sidecars").await.unwrap() && node.local.waiting_sidecars().await.unwrap() == 0;
        if done { Ok(()) } else { Err("not caught up".into()) }
    })
    .await;
    node.check_is_silent().await;
    node.stop().await;
}

/// Clips with edits, deletions and facts of two lives, a database dropped while the server runs, and one rebuilt.
pub async fn a_dropped_database_is_rebuilt_from_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(&folder.path().join("s3"));
    let data = folder.path().join("data");
    let objects = crate::faults::store(server.address().to_string());
    let node = Node::start_with(&data, every_seconds(1), objects.clone()).await;
    let first = record(&node).await;
    record(&node).await;
    rename(&node.local, &node.database, &first[0], "the goal").await.unwrap();
    delete(&node.local, &node.database, &first[1]).await.unwrap();
    let health = ClipHealth { score: 80, ..ClipHealth::default() };
    let facts = ClipFacts { health: Some(health), ..ClipFacts::default() };
    node.local.note_stored(&node.database, &first[2].id, &facts).await.unwrap();
    node.settle_removals().await;
    let (clips, broadcasts) = (node.clips().await, node.broadcasts().await);
    let tombstones = node.database.tombstones().await.unwrap();
    assert_eq!((clips.len(), broadcasts.len(), tombstones.len()), (5, 2, 1));
    node.check_is_silent().await;
    node.stop().await;

    std::fs::remove_dir_all(data.join("db")).unwrap();
    let node = Node::start_with(&data, every_seconds(1), objects.clone()).await;
    assert!(node.clips().await.is_empty());
    let done: Vec<_> =
        storage::reindex::reindex(objects, node.database.clone(), None).try_collect().await.expect("it goes through");
    assert!(done.iter().all(|done| done.findings.is_empty()), "{done:?}");
    assert_eq!(node.clips().await, clips);
    assert_eq!(node.broadcasts().await, broadcasts);
    assert_eq!(node.database.tombstones().await.unwrap(), tombstones);
    node.check_is_silent().await;
    // and it goes on from there
    record(&node).await;
    let query = ClipQuery { text: Some("the goal".into()), ..ClipQuery::default() };
    assert_eq!(node.database.clips(&query).await.unwrap().items.len(), 1);
    assert_eq!(node.clips().await.len(), 8);
    node.check_is_silent().await;
    node.stop().await;
}
