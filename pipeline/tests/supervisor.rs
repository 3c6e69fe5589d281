//! Workers die, hang, leak and are stopped; each costs at most the job it did. The worker here is a shell script that does what
//! the job's name says, except where the real one is needed.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pipeline::{Container, ExportError, ExportJob, Exported, Lane, Workers, WorkersConfig};
use support::{A_WHILE, job, worker};

/// Answers with its process id as the checksum.
fn script(folder: &Path) -> WorkersConfig {
    let exported = Exported {
        file: folder.join("clip.mp4"),
        container: Container::Mp4,
        mime: "video/mp4".into(),
        size: 1,
        sha256: "PID".into(),
        duration_ms: 1,
        from_ns: 0,
        to_ns: 1,
        pieces: Vec::new(),
        width: 0,
        height: 0,
        tracks: Vec::new(),
        omitted: Vec::new(),
        poster: None,
        units: None,
        torn_bytes: 0,
        undecoded: None,
    };
    let reply = serde_json::json!({ "exported": exported }).to_string();
    let folder_text = folder.display();
    let text = format!(
        r#"#!/bin/sh
[ "$1" = worker ] || exit 9
read -r setup
while read -r job; do
    echo '"started"'
    case "$job" in
    *'"poster":true'*|*'"stem":"crash"'*) : > '{folder_text}/crash.tmp.mp4'; echo 'out of luck' >&2; kill -SEGV $$ ;;
    *'"stem":"hang"'*) echo $$ > '{folder_text}/pid'; exec sleep 600 ;;
    *'"stem":"noise"'*) echo 'a library greets you' ;;
    esac
    echo '{reply}' | sed "s/PID/$$/"
done
"#
    );
    let program = folder.join("worker.sh");
    // Written by another process: one that is forked here while the file is open would make it busy.
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(&program)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install runs");
    install.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    assert!(install.wait().expect("it ends").success());
    WorkersConfig { count: 1, ..WorkersConfig::new(program) }
}

fn named(folder: &Path, stem: &str) -> ExportJob {
    ExportJob { stem: stem.into(), ..job(folder, Vec::new()) }
}

async fn gone(pid: &str) {
    let process = Path::new("/proc").join(pid.trim());
    let deadline = Instant::now() + Duration::from_secs(10);
    while process.exists() {
        assert!(Instant::now() < deadline, "process {pid} still runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The process that hangs, once it does.
async fn hanging(folder: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match std::fs::read_to_string(folder.join("pid")) {
            Ok(pid) if pid.ends_with('\n') => return pid,
            _ => assert!(Instant::now() < deadline, "no worker took the job"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_crash_costs_its_own_job_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(script(folder.path()));
    assert!(workers.export(named(folder.path(), "one"), Lane::Rollover).await.is_ok());
    let crash = workers.export(named(folder.path(), "crash"), Lane::Rollover).await;
    assert!(matches!(&crash, Err(ExportError::Crashed(why)) if why.contains("signal: 11")), "{crash:?}");
    assert_eq!(support::leftovers(folder.path()), [""; 0]);
    assert!(workers.export(named(folder.path(), "noise"), Lane::Rollover).await.is_ok());
    workers.shutdown().await;
}

#[tokio::test]
async fn a_poster_that_crashes_the_worker_is_given_up_and_the_clip_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(script(folder.path()));
    let with_poster = ExportJob { poster: true, ..named(folder.path(), "clip") };
    assert_eq!(workers.export(with_poster, Lane::ClipNow).await.unwrap().poster, None);
    workers.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_hangs_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(WorkersConfig { job_timeout: Duration::from_millis(500), ..script(folder.path()) });
    assert_eq!(workers.export(named(folder.path(), "hang"), Lane::ClipNow).await, Err(ExportError::TimedOut));
    gone(&std::fs::read_to_string(folder.path().join("pid")).unwrap()).await;
    assert!(workers.export(named(folder.path(), "next"), Lane::ClipNow).await.is_ok());
    workers.shutdown().await;
}

#[tokio::test]
async fn workers_are_replaced_after_their_number_of_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(WorkersConfig { recycle_after: 2, ..script(folder.path()) });
    let mut processes = Vec::new();
    for _ in 0..5 {
        processes.push(workers.export(named(folder.path(), "x"), Lane::Rest).await.unwrap().sha256);
    }
    assert_eq!(processes[0], processes[1]);
    assert_eq!(processes[2], processes[3]);
    let [a, b, c] = [&processes[0], &processes[2], &processes[4]];
    assert!(a != b && b != c && a != c, "{processes:?}");
    workers.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_died_while_it_was_idle_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(script(folder.path()));
    let pid = workers.export(named(folder.path(), "x"), Lane::Rest).await.unwrap().sha256;
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let again = workers.export(named(folder.path(), "x"), Lane::Rest).await.unwrap().sha256;
    assert_ne!(pid, again);
    workers.shutdown().await;
}

#[tokio::test]
async fn a_signal_to_the_servers_group_leaves_workers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(script(folder.path()));
    let pid = workers.export(named(folder.path(), "x"), Lane::Rest).await.unwrap().sha256;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name in parentheses: state, parent, group (proc_pid_stat(5)).
    let group = stat.rsplit(')').next().unwrap().split_whitespace().nth(2).unwrap();
    assert_eq!(group, pid);
    workers.shutdown().await;
}

#[tokio::test]
async fn a_stop_ends_running_and_waiting_jobs_and_all_processes() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(script(folder.path()));
    let start = |stem: &str| {
        let (workers, job) = (workers.clone(), named(folder.path(), stem));
        tokio::spawn(async move { workers.export(job, Lane::Rest).await })
    };
    let running = start("hang");
    let pid = hanging(folder.path()).await;
    let waiting = start("waits");
    tokio::task::yield_now().await;
    workers.shutdown().await;
    assert_eq!(running.await.unwrap(), Err(ExportError::Stopped));
    assert_eq!(waiting.await.unwrap(), Err(ExportError::Stopped));
    assert_eq!(workers.export(named(folder.path(), "late"), Lane::ClipNow).await, Err(ExportError::Stopped));
    gone(&pid).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = WorkersConfig { count: 1, ..WorkersConfig::new(folder.path().join("absent")) };
    let workers = Workers::start(config);
    let answer = workers.export(named(folder.path(), "x"), Lane::Rest).await;
    assert!(matches!(&answer, Err(ExportError::Io(why)) if why.contains("absent")), "{answer:?}");
    workers.shutdown().await;
}

#[tokio::test]
async fn the_memory_limit_holds() {
    let folder = tempfile::tempdir().unwrap();
    let workers = Workers::start(WorkersConfig { count: 1, memory_bytes: 4 << 20, ..WorkersConfig::new(worker()) });
    let records = support::media(&support::pattern(media::message::Codec::Vp8), 1);
    let part = support::write_part(folder.path(), 0, &records, journal::Cause::End);
    let answer = workers.export(job(folder.path(), vec![part]), Lane::Rest).await;
    assert!(matches!(answer, Err(ExportError::Crashed(_))), "{answer:?}");
    workers.shutdown().await;
}

#[tokio::test]
async fn a_worker_ends_with_its_parent_even_in_the_middle_of_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("never.oxj");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut process = Command::new(worker()).arg("worker").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    writeln!(stdin, r#"{{"memory_bytes":1000000000,"pipeline_timeout_ms":60000}}"#).unwrap();
    writeln!(stdin, "{}", serde_json::to_string(&job(folder.path(), vec![fifo])).unwrap()).unwrap();
    drop(stdin);
    let ended = tokio::task::spawn_blocking(move || process.wait());
    assert!(tokio::time::timeout(A_WHILE, ended).await.unwrap().unwrap().unwrap().success());
}
