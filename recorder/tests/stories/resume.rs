//! kill -9 in the middle of a long upload: what the store has taken by then does not cross the line again.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use storage::Local;
use storage::object::PART_BYTES;

use crate::faults::store;
use crate::node::until;
use crate::support::S3Server;
use crate::support::proxy::Proxy;

/// Six parts and a bit.
const LENGTH: u32 = 52_000_000;
const PARTS: u64 = 7;

/// The victim: puts a file.
pub fn upload(arguments: &[String]) -> ExitCode {
    let [endpoint, key, path, sha256, table] = arguments else { return ExitCode::FAILURE };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let done = runtime.block_on(async {
        let local = Local::open(table)?;
        store(endpoint.clone()).put_file_resumable(key, Path::new(path), "video/mp4", sha256, &local).await
    });
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn file(folder: &Path, seed: u32) -> (PathBuf, Vec<u8>, String) {
    let bytes: Vec<u8> = (0..LENGTH).map(|n| ((n ^ seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let path = folder.join(format!("clip-{seed}"));
    std::fs::write(&path, &bytes).unwrap();
    let hash = hex(&Sha256::digest(&bytes));
    (path, bytes, hash)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Kills an upload once the store has confirmed at least two of its parts. How many they were.
async fn killed_upload(proxy: &Proxy, key: &str, path: &Path, hash: &str, table: &Path) -> u64 {
    let local = Local::open(table).unwrap();
    proxy.set_rate(6_000_000);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["upload", &proxy.address().to_string(), key]).arg(path).arg(hash).arg(table).stdin(Stdio::null());
    let mut victim = command.spawn().expect("the victim starts");
    until(60, || async {
        let parts = local.open_upload(key).await.unwrap().map_or(0, |upload| upload.parts.len());
        if parts >= 2 { Ok(()) } else { Err(format!("{parts} parts")) }
    })
    .await;
    victim.kill().expect("SIGKILL");
    assert!(!victim.wait().expect("its end").success(), "it was done before it was killed");
    proxy.recover();
    // What was on its way in the proxy arrives, or not; it is counted on neither side.
    let mut before = proxy.sent_up();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = proxy.sent_up();
        if std::mem::replace(&mut before, now) == now {
            break;
        }
    }
    local.open_upload(key).await.unwrap().expect("it is still open").parts.len() as u64
}

pub async fn a_killed_upload_goes_on_with_the_next_part() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(&folder.path().join("s3"));
    let proxy = Proxy::start(server.address());
    let (path, bytes, hash) = file(folder.path(), 1);
    let table = folder.path().join("local.sqlite");
    let key = "main/long.mp4";
    let finished = killed_upload(&proxy, key, &path, &hash, &table).await;
    assert!((2..PARTS).contains(&finished), "{finished}");

    let before = proxy.sent_up();
    let local = Local::open(&table).unwrap();
    let store = store(proxy.address().to_string());
    store.put_file_resumable(key, &path, "video/mp4", &hash, &local).await.unwrap();
    let sent = proxy.sent_up() - before;
    let rest = u64::from(LENGTH) - finished * PART_BYTES;
    println!("     {finished} of {PARTS} parts were there, {sent} bytes sent of a rest of {rest}");
    assert!((rest..rest + 100_000).contains(&sent), "{sent} bytes were sent, the rest is {rest}");
    assert!(std::fs::read(server.file_of(key)).unwrap() == bytes, "other bytes");
    assert_eq!(local.open_upload(key).await.unwrap(), None);
    assert_eq!(server.unfinished_parts(), 0);
}

pub async fn a_file_that_changed_is_not_mixed_with_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(&folder.path().join("s3"));
    let proxy = Proxy::start(server.address());
    let (path, _, hash) = file(folder.path(), 1);
    let table = folder.path().join("local.sqlite");
    let key = "main/long.mp4";
    killed_upload(&proxy, key, &path, &hash, &table).await;

    let local = Local::open(&table).unwrap();
    let store = store(proxy.address().to_string());
    let (path, bytes, hash) = file(folder.path(), 2);
    store.put_file_resumable(key, &path, "video/mp4", &hash, &local).await.unwrap();
    assert!(std::fs::read(server.file_of(key)).unwrap() == bytes, "other bytes");
    assert_eq!(local.open_upload(key).await.unwrap(), None);
}
