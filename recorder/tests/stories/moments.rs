//! kill -9 in each phase of a clip's way, seen from outside, one after the other on the same data folder: while pictures are written, at a
//! rollover, in an export, an upload, between upload and index, in recovery, and with the database away. Which phase each kill really hit is
//! read from what it left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use journal::Index;
use media::message::{Codec, TapFact};
use storage::{Clip, ClipCause, ClipState, Local};

use crate::faults::store;
use crate::node::*;
use crate::support::S3Server;

/// Kills in all.
fn count() -> usize {
    if std::env::var_os("OXBOW_SOAK").is_some() { 50 } else { PHASES.len() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Writing,
    Rollover,
    Export,
    Upload,
    IndexWrite,
    Recovery,
    DatabaseAway,
}

const PHASES: [Phase; 7] = [
    Phase::Writing,
    Phase::Rollover,
    Phase::Export,
    Phase::Upload,
    Phase::IndexWrite,
    Phase::Recovery,
    Phase::DatabaseAway,
];

/// A kill that misses its phase is a kill all the same, and the next one aims again.
const TRIES: u64 = 6;

/// The victim: recovers, then records a live in real time if it is told to, and says what it does.
pub fn victim(arguments: &[String]) -> ExitCode {
    let [data, endpoint, mode] = arguments else { return ExitCode::FAILURE };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        println!("recovering");
        let node = Node::start_with(Path::new(data), every_seconds(1), store(endpoint.clone())).await;
        println!("started");
        if mode == "recover" {
            std::future::pending::<()>().await;
        }
        let broadcast = node.begin();
        println!("broadcast {broadcast}");
        let mut live = Live::new(Codec::Vp8);
        for fact in std::mem::take(&mut live.facts) {
            node.give(broadcast, fact);
        }
        let (mut next, mut given) = (live.unit(), 0);
        let (start, start_us) = (Instant::now(), now_us());
        loop {
            let fact = std::mem::replace(&mut next, live.unit());
            let TapFact::Unit(mut unit) = fact else { continue };
            unit.utc_us = start_us + unit.pts_ns / 1000;
            let due = start + Duration::from_nanos(unit.pts_ns);
            tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
            let picture = unit.track == VIDEO;
            node.give(broadcast, TapFact::Unit(unit));
            if picture {
                given += 1;
                println!("given {given}\nlate {}", start.elapsed().saturating_sub(due - start).as_millis());
            }
        }
    })
}

/// What a victim said so far.
#[derive(Clone, Debug, Default)]
struct Said {
    recovering: bool,
    started: bool,
    broadcast: Option<String>,
    given: u64,
    /// Milliseconds by which this machine was behind with the newest picture.
    late_ms: u64,
}

struct Victim {
    child: Child,
    said: Arc<Mutex<Said>>,
}

impl Victim {
    fn start(place: &Place, mode: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("moment").arg(&place.data).args([&place.server.address().to_string(), mode]);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the victim starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let said = Arc::new(Mutex::new(Said::default()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let mut said = heard.lock().expect("no panic");
                match line.split_once(' ').unwrap_or((&line, "")) {
                    ("recovering", _) => said.recovering = true,
                    ("started", _) => said.started = true,
                    ("broadcast", id) => said.broadcast = Some(id.to_owned()),
                    ("given", number) => said.given = number.parse().expect("a number"),
                    ("late", ms) => said.late_ms = ms.parse().expect("a number"),
                    _ => {}
                }
            }
        });
        Self { child, said }
    }

    fn said(&self) -> Said {
        self.said.lock().expect("no panic").clone()
    }

    fn kill(mut self) -> Said {
        let said = self.said();
        assert!(self.child.try_wait().expect("its state").is_none(), "the victim died by itself: {said:?}");
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("its end");
        said
    }
}

/// A data folder and its store.
struct Place {
    _folder: tempfile::TempDir,
    data: PathBuf,
    server: S3Server,
    /// Broadcasts that were recorded here, and what had been said when the process died.
    lives: Vec<(String, Said)>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, server) = (folder.path().join("data"), S3Server::start(&folder.path().join("s3")));
        std::fs::create_dir_all(&data).unwrap();
        let bucket = server.file_of("x").parent().expect("its folder").to_owned();
        std::os::unix::fs::symlink(bucket, data.join("objects")).unwrap();
        Self { _folder: folder, data, server, lives: Vec::new() }
    }

    fn journals(&self, broadcast: &str) -> Vec<PathBuf> {
        let folder = self.data.join("journal").join(broadcast);
        files(&folder).into_iter().map(|name| folder.join(name)).collect()
    }

    fn is_exporting(&self) -> bool {
        files(&self.data.join("spool")).iter().any(|name| name.contains(".tmp"))
    }

    /// Starts a victim, waits for the phase and kills. The phases that were really hit.
    async fn kill(&mut self, phase: Phase, seed: u64) -> Vec<Phase> {
        let mode = if matches!(phase, Phase::Recovery | Phase::DatabaseAway) { "recover" } else { "live" };
        let away = (phase == Phase::DatabaseAway).then(|| Away::begin(&self.data));
        let victim = Victim::start(self, mode);
        let mut local = None; // two that make its tables at one time would be in each other's way
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let said = victim.said();
            let broadcast = said.broadcast.as_deref().unwrap_or("none");
            if said.started && local.is_none() {
                local = Some(Local::open(self.data.join("local.sqlite")).expect("the job table"));
            }
            let come = match phase {
                Phase::Writing => said.given > 20,
                Phase::Rollover => said.given > 20 && self.journals(broadcast).len() >= 2,
                Phase::Export => said.given > 20 && self.is_exporting(),
                Phase::Upload => said.given > 20 && has(local.as_ref(), ClipState::Uploading).await,
                Phase::IndexWrite => said.given > 20 && has(local.as_ref(), ClipState::Verified).await,
                Phase::Recovery => said.recovering,
                Phase::DatabaseAway => said.started,
            };
            if come {
                break;
            }
            assert!(Instant::now() < end, "{phase:?} did not come: {said:?}");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        tokio::time::sleep(wait(phase, seed)).await;
        let said = victim.kill();
        drop(local);
        let hit = self.post_mortem(&said, away.is_some()).await;
        if let Some(broadcast) = said.broadcast.clone() {
            self.lives.push((broadcast, said));
        }
        hit
    }

    async fn post_mortem(&self, said: &Said, database_away: bool) -> Vec<Phase> {
        let mut hit = Vec::new();
        let table = self.data.join("local.sqlite");
        let local = said.started.then(|| Local::open(table).expect("the job table"));
        let parts = said.broadcast.iter().flat_map(|broadcast| self.journals(broadcast));
        let indexes: Vec<Index> = parts.filter_map(|path| Index::build(path).ok()).collect();
        let mut note = |phase, is_so: bool| hit.extend(is_so.then_some(phase));
        note(Phase::Writing, indexes.iter().any(|index| !index.closed && index.cut_ns.is_none()));
        note(Phase::Rollover, indexes.iter().max_by_key(|index| index.header.part).is_some_and(is_rolling_over));
        note(Phase::Export, self.is_exporting());
        note(Phase::Upload, has(local.as_ref(), ClipState::Uploading).await);
        note(Phase::IndexWrite, has(local.as_ref(), ClipState::Verified).await);
        note(Phase::Recovery, said.recovering && !said.started);
        note(Phase::DatabaseAway, database_away);
        hit
    }

    /// Starts again for good and looks at everything.
    async fn settle(&self) {
        let store = store(self.server.address().to_string());
        let node = Node::start_with(&self.data, every_seconds(1), store).await;
        node.settle_all().await;
        let clips = node.clips().await;
        for (broadcast, Said { given, late_ms, .. }) in &self.lives {
            let of: Vec<Clip> = clips.iter().filter(|clip| clip.broadcast.as_str() == broadcast).cloned().collect();
            let shown = numbers(&node, &of);
            assert_consecutive(&shown, shown.len() as u64);
            let missing = given.saturating_sub(shown.len() as u64);
            assert!(missing <= u64::from(FPS), "{} pictures of {given} are left", shown.len());
            let parts: Vec<u32> = of.iter().map(|clip| clip.part).collect();
            assert_eq!(parts, (0..of.len() as u32).collect::<Vec<_>>(), "each part once");
            let Some(last) = of.last() else { continue };
            // one that was cut and on its way says nothing of the next, of which nothing was written yet: a tenth of a second
            let unsaid = if last.cause == ClipCause::Length { 200 } else { 50 };
            let least = if last.cause == ClipCause::Length { 0 } else { 100 };
            assert!(
                (least..=1_000 + late_ms).contains(&last.lost_ms),
                "{missing} pictures missing, {} ms said",
                last.lost_ms
            );
            let missing_ms = missing * 1000 / u64::from(FPS);
            assert!(last.lost_ms + unsaid >= missing_ms, "{missing_ms} ms missing, {} said: {last:?}", last.lost_ms);
            assert_eq!(of.iter().rev().skip(1).map(|clip| clip.lost_ms).sum::<u64>(), 0, "{of:#?}");
            let causes = [ClipCause::Recovered, ClipCause::Length];
            assert!(causes.contains(&last.cause), "{last:?}");
            let known = node.database.broadcast(&last.broadcast).await.unwrap().expect("its broadcast");
            assert!(known.ended_at_ms.is_some());
        }
        assert!(clips.iter().all(|clip| self.lives.iter().any(|(id, _)| clip.broadcast.as_str() == id)));
        // bucket == index == what this node recorded, each once
        let objects = node.objects.list("").await.unwrap();
        let wanted: usize = clips.iter().map(|clip| clip.objects().collect::<BTreeSet<_>>().len() + 1).sum();
        let of_clips = objects.iter().filter(|entry| !entry.key.ends_with("/broadcast.json")).count();
        assert_eq!(of_clips, wanted, "file, pictures and description of each: {objects:#?}");
        for clip in &clips {
            let info = node.objects.head(&clip.object).await.unwrap().expect("its object");
            assert_eq!(info.size, clip.size);
        }
        assert_eq!(node.count(ClipState::Stored).await, clips.len() as u64);
        assert_eq!(self.server.unfinished_parts(), 0);
        node.check_is_silent().await;
        node.stop().await;
    }
}

/// Of the newest part: it was cut and the next is not there yet, or it has just begun.
fn is_rolling_over(newest: &Index) -> bool {
    let times = || newest.entries.iter().map(|entry| entry.pts_ns);
    let lasts = times().max().unwrap_or(0) - times().min().unwrap_or(0);
    newest.cut_ns.is_some() || newest.header.part > 0 && lasts <= 200_000_000
}

async fn has(local: Option<&Local>, state: ClipState) -> bool {
    let Some(local) = local else { return false };
    local.counts_by_state().await.is_ok_and(|counts| counts.get(&state).is_some_and(|count| *count > 0))
}

/// A file where the folder of the database should be.
struct Away(PathBuf);

impl Away {
    fn begin(data: &Path) -> Self {
        let (db, kept) = (data.join("db"), data.join("db.kept"));
        if db.exists() {
            std::fs::rename(&db, kept).unwrap();
        }
        std::fs::write(&db, "in the way").unwrap();
        Self(db)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        let kept = self.0.with_extension("kept");
        std::fs::remove_file(&self.0).expect("it is in the way");
        if kept.exists() {
            std::fs::rename(kept, &self.0).expect("back again");
        }
    }
}

/// From the sign of a phase to the kill, the same in every run.
fn wait(phase: Phase, seed: u64) -> Duration {
    let below_ms = match phase {
        Phase::Writing => 900,
        Phase::Rollover => 30,
        Phase::Recovery => 60,
        Phase::DatabaseAway => 400,
        Phase::Export | Phase::Upload | Phase::IndexWrite => 4,
    };
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Duration::from_micros((x ^ (x >> 31)) % (below_ms * 1000))
}

pub async fn whenever_the_process_dies_all_but_the_last_second_is_stored_once() {
    let mut hits: BTreeMap<Phase, usize> = BTreeMap::new();
    let (mut kills, mut seed) = (0, 0);
    while kills < count() {
        let mut place = Place::new();
        for phase in PHASES {
            for _ in 0..TRIES {
                seed += 1;
                kills += 1;
                let hit = place.kill(phase, seed).await;
                hit.iter().for_each(|phase| *hits.entry(*phase).or_default() += 1);
                if hit.contains(&phase) {
                    break;
                }
            }
        }
        place.settle().await;
    }
    println!("     {kills} kills hit {hits:?}");
    for phase in PHASES {
        assert!(hits.contains_key(&phase), "{phase:?} was never hit: {hits:?}");
    }
}
