//! kill -9 at a seeded moment, then a start. Every clip and everything up to a second before the kill must be there, once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use media::message::{Codec, TapFact};

use crate::node::*;

/// Rolls over every two seconds.
const LIMITS: u64 = 2;

/// The victim: records a live in real time into the folder and prints the number of each picture that it has given away.
pub fn live(arguments: &[String]) -> ExitCode {
    let Some(data) = arguments.first().map(PathBuf::from) else { return ExitCode::FAILURE };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let node = Node::start(&data, every_seconds(LIMITS)).await;
        println!("started");
        if arguments.len() > 1 {
            std::future::pending::<()>().await; // recovers and records nothing
        }
        let broadcast = node.begin();
        let mut live = Live::new(Codec::Vp8);
        for fact in std::mem::take(&mut live.facts) {
            node.give(broadcast, fact);
        }
        let start = Instant::now();
        loop {
            let fact = live.unit();
            let TapFact::Unit(unit) = &fact else { continue };
            let due = start + Duration::from_nanos(unit.pts_ns);
            tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
            let picture = unit.track == VIDEO;
            node.give(broadcast, fact);
            if picture {
                println!("{}", live.pictures);
            }
        }
    });
    ExitCode::SUCCESS
}

pub struct Victim {
    child: Child,
    pub given: Arc<AtomicU64>,
    started: Arc<AtomicU64>,
}

impl Victim {
    pub fn start(data: &Path, only_recover: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("live").arg(data).stdout(Stdio::piped()).stdin(Stdio::null());
        if only_recover {
            command.arg("recover");
        }
        let mut child = command.spawn().expect("the victim starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (given, started) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (count, up) = (Arc::clone(&given), Arc::clone(&started));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                match line.parse() {
                    Ok(number) => count.store(number, Ordering::Relaxed),
                    Err(_) => up.store(1, Ordering::Relaxed),
                }
            }
        });
        Self { child, given, started }
    }

    /// Waits for a moment to come, then for a while, then kills. How many pictures had been given by then.
    pub fn kill_when(mut self, moment: impl Fn(&Self) -> bool, then: Duration) -> u64 {
        let end = Instant::now() + Duration::from_secs(60);
        while !moment(&self) {
            assert!(Instant::now() < end, "the moment did not come");
            assert!(self.child.try_wait().expect("its state").is_none(), "the victim died by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(then);
        let given = self.given.load(Ordering::Relaxed);
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("its end");
        given
    }
}

/// Starts again on the folder and looks at everything.
async fn afterwards(data: &Path, given: u64) {
    let node = Node::start(data, every_seconds(LIMITS)).await;
    node.settle_all().await;
    let clips = node.clips().await;
    let shown = numbers(&node, &clips);
    assert_consecutive(&shown, shown.len() as u64);
    let least = given.saturating_sub(u64::from(FPS));
    assert!(shown.len() as u64 >= least, "{} pictures of {given} are left", shown.len());
    println!("     {} of {given} pictures in {} clips", shown.len(), clips.len());
    let parts: Vec<u32> = clips.iter().map(|c| c.part).collect();
    assert_eq!(parts, (0..clips.len() as u32).collect::<Vec<_>>(), "each part once");
    for clip in &clips {
        let known = node.database.broadcast(&clip.broadcast).await.unwrap().expect("its broadcast");
        assert!(known.ended_at_ms.is_some());
    }
    let objects = node.objects.list("").await.unwrap().len();
    let wanted: usize = clips.iter().map(|clip| clip.objects().collect::<BTreeSet<_>>().len() + 1).sum();
    assert_eq!(objects, wanted + 1, "all of each, once, and that of the broadcast");
    node.check_is_silent().await;
    node.stop().await;
}

fn journals(data: &Path) -> usize {
    let root = data.join("journal");
    files(&root).iter().map(|broadcast| files(&root.join(broadcast)).len()).sum()
}

fn spool_holds(data: &Path, part: &str) -> bool {
    files(&data.join("spool")).iter().any(|name| name.contains(part))
}

/// Some milliseconds, the same in every run.
pub fn seeded(seed: u64, below: u64) -> Duration {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Duration::from_millis((x ^ (x >> 31)) % below)
}

pub async fn kill(data: &Path, moment: impl Fn(&Victim) -> bool + Send + 'static, then: Duration) -> u64 {
    let victim = Victim::start(data, false);
    tokio::task::spawn_blocking(move || victim.kill_when(moment, then)).await.expect("the kill")
}

pub async fn in_the_middle_of_a_group_of_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let given = kill(folder.path(), |v| v.given.load(Ordering::Relaxed) > 40, seeded(1, 700)).await;
    afterwards(folder.path(), given).await;
}

pub async fn at_a_rollover() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_owned();
    let given = kill(folder.path(), move |_| journals(&data) >= 2, seeded(2, 20)).await;
    assert!(given >= 50);
    afterwards(folder.path(), given).await;
}

pub async fn during_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_owned();
    let given = kill(folder.path(), move |_| spool_holds(&data, ".tmp"), seeded(3, 5)).await;
    afterwards(folder.path(), given).await;
}

pub async fn during_an_upload() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let given = kill(folder.path(), move |_| !files(&objects).is_empty(), seeded(4, 8)).await;
    afterwards(folder.path(), given).await;
}

pub async fn during_recovery() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_owned();
    let given = kill(folder.path(), move |_| journals(&data) >= 2, seeded(5, 900)).await;
    for seed in 6..9 {
        let victim = Victim::start(folder.path(), true);
        // before it is up, just after, and while the first clip is made again
        let moment = move |v: &Victim| seed == 6 || v.started.load(Ordering::Relaxed) == 1;
        let then = seeded(seed, 120);
        tokio::task::spawn_blocking(move || victim.kill_when(moment, then)).await.expect("the kill");
    }
    afterwards(folder.path(), given).await;
}
