//! kill -9 while an order is on its way: just noted, its media read back from a stored clip, its file made, put, indexed. After the next start there is the
//! one clip that was ordered, whole, stored once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use media::message::{Codec, EndReason};
use storage::{ClipKind, ClipState, Id, Local};

use crate::node::*;
use crate::orders::{order, piece, wanted};

/// Across a border of parts.
const FROM_NS: u64 = 1500 * 1_000_000;
const TO_NS: u64 = 5300 * 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Noted,
    ReadBack,
    Made,
    Put,
    Indexed,
}

const PHASES: [Phase; 5] = [Phase::Noted, Phase::ReadBack, Phase::Made, Phase::Put, Phase::Indexed];

/// Kills of each phase.
fn count() -> u64 {
    if std::env::var_os("OXBOW_SOAK").is_some() { 12 } else { 1 }
}

fn limits(kept: bool) -> Limits {
    if kept { every_seconds(2) } else { Limits { keep: Duration::ZERO, ..every_seconds(2) } }
}

/// The victim: orders a range and says the name of its clip.
pub fn victim(arguments: &[String]) -> ExitCode {
    let [data, broadcast, kept] = arguments else { return ExitCode::FAILURE };
    let broadcast: Id = broadcast.parse().expect("an id");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let node = Node::start(Path::new(data), limits(kept == "kept")).await;
        let clip = order(&node, vec![piece(&broadcast, FROM_NS, TO_NS)]).await;
        println!("ordered {clip}");
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

/// Starts the victim; the clip that it ordered.
fn start(data: &Path, broadcast: &Id, kept: bool) -> (Child, Id) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg("order").arg(data).args([broadcast.as_str(), if kept { "kept" } else { "gone" }]);
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the victim starts");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let mut lines = output.lines().map_while(Result::ok);
    let ordered = lines.find_map(|line| line.strip_prefix("ordered ").map(str::to_owned)).expect("it orders");
    // what it says later is read as well, lest it wait for that
    std::thread::spawn(move || lines.for_each(drop));
    (child, ordered.parse().expect("an id"))
}

async fn has_come(phase: Phase, data: &Path, local: &Local, clip: &Id) -> bool {
    let in_spool = |wanted: &dyn Fn(&str) -> bool| files(&data.join("spool")).iter().any(|name| wanted(name));
    match phase {
        Phase::Noted => true,
        Phase::ReadBack => in_spool(&|name| !name.starts_with(clip.as_str()) && name.contains(".tmp.")),
        Phase::Made => in_spool(&|name| name.starts_with(clip.as_str()) && name.contains(".tmp")),
        Phase::Put => state_of(local, clip).await == ClipState::Uploading,
        Phase::Indexed => matches!(state_of(local, clip).await, ClipState::Verified | ClipState::Stored),
    }
}

/// Up to some milliseconds, the same in every run.
fn seeded(seed: u64) -> Duration {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Duration::from_micros((x ^ (x >> 31)) % 6_000)
}

/// Orders, and kills at the phase or when the clip is stored. The clip, and how far its row had come.
async fn kill(data: &Path, broadcast: &Id, kept: bool, phase: Phase, seed: u64) -> (Id, ClipState) {
    let place = (data.to_owned(), broadcast.clone());
    let started = tokio::task::spawn_blocking(move || start(&place.0, &place.1, kept));
    let (mut child, clip) = started.await.expect("the start");
    let local = Local::open(data.join("local.sqlite")).expect("the job table");
    let end = Instant::now() + Duration::from_secs(60);
    while !has_come(phase, data, &local, &clip).await {
        let state = state_of(&local, &clip).await;
        if state == ClipState::Stored {
            break; // it was too quick to be met there
        }
        assert!(Instant::now() < end, "{phase:?} did not come: {state}");
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    tokio::time::sleep(seeded(seed)).await;
    assert!(child.try_wait().expect("its state").is_none(), "the victim died by itself");
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    let state = state_of(&local, &clip).await;
    (clip, state)
}

/// An order is a row from the start, and none any more when nothing is left to be done for a clip that is stored.
async fn state_of(local: &Local, clip: &Id) -> ClipState {
    local.local_clip(clip.clone()).await.expect("the job table").map_or(ClipState::Stored, |row| row.state)
}

/// A broadcast of seven seconds in four stored parts, with its journals or without.
async fn recorded(data: &Path, kept: bool) -> Id {
    let node = Node::start(data, every_seconds(2)).await;
    let broadcast = node.begin();
    play(&node, broadcast, Live::new(Codec::H264).up_to(7 * SECOND));
    node.end(broadcast, EndReason::Stopped);
    node.settle(4).await;
    node.settle_all().await;
    node.stop().await;
    if !kept {
        let node = Node::start(data, limits(false)).await;
        let root = data.join("journal");
        let left = || files(&root).iter().map(|name| files(&root.join(name)).len()).sum::<usize>();
        until(20, || async { if left() == 0 { Ok(()) } else { Err("journals are still there".into()) } }).await;
        node.stop().await;
    }
    id(broadcast)
}

async fn killed_orders_are_made_once(kept: bool) {
    let folder = tempfile::tempdir().unwrap();
    let broadcast = recorded(folder.path(), kept).await;
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    let mut made = Vec::new();
    for seed in 0..count() {
        for phase in PHASES.into_iter().filter(|phase| !kept || *phase != Phase::ReadBack) {
            let (clip, state) = kill(folder.path(), &broadcast, kept, phase, seed * 10 + phase as u64).await;
            *states.entry(format!("{state}")).or_default() += 1;
            made.push(clip);
            let node = Node::start(folder.path(), limits(kept)).await;
            let clips = until(60, || async {
                let clips = node.clips().await;
                let is_there = clips.iter().any(|clip| Some(&clip.id) == made.last());
                if is_there { Ok(clips) } else { Err(format!("{phase:?}: what was ordered is not there")) }
            })
            .await;
            for clip in clips.iter().filter(|clip| clip.kind == ClipKind::Made) {
                let shown = numbers(&node, std::slice::from_ref(clip));
                assert_eq!(shown, wanted(FROM_NS, TO_NS), "after {phase:?}");
            }
            node.settle_all().await;
            let clips = node.clips().await;
            let mut of_orders: Vec<&Id> = clips.iter().filter(|c| c.kind == ClipKind::Made).map(|c| &c.id).collect();
            of_orders.sort();
            assert_eq!(of_orders, made.iter().collect::<Vec<_>>(), "each order once, after {phase:?}");
            let known: Vec<&String> = clips.iter().flat_map(|clip| clip.objects()).collect();
            for entry in node.objects.list("").await.unwrap() {
                let is_told = entry.key.ends_with(".json") || known.contains(&&entry.key);
                assert!(is_told, "{} belongs to no clip, after {phase:?}", entry.key);
            }
            node.check_is_silent().await;
            node.stop().await;
        }
    }
    println!("     {} kills, then the rows were {states:?}", made.len());
    assert!(states.contains_key("exporting"), "some were killed before there was a file: {states:?}");
}

pub async fn an_order_that_a_kill_overtakes_is_made_once() {
    killed_orders_are_made_once(true).await;
}

pub async fn an_order_of_stored_clips_that_a_kill_overtakes_is_made_once() {
    killed_orders_are_made_once(false).await;
}
