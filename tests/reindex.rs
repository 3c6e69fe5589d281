//! `oxbow reindex` as a person runs it: beside a server that holds the folder, with statuses that a script can use.

use std::path::Path;
use std::process::{Command, Output};

use storage::{Broadcast, BroadcastQuery, Database, Id, ObjectStore, Sidecar, key, sidecar};

fn reindex(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxbow"));
    command.arg("reindex").args(arguments).current_dir(data).env_clear().env("DATA_DIR", data);
    command.output().expect("the program runs")
}

fn broadcast(at: u64) -> Broadcast {
    Broadcast {
        id: Id::new(1_700_000_000_000 + at, u128::from(at)),
        channel: "main".into(),
        title: "The final".into(),
        started_at_ms: 1_700_000_000_000,
        ended_at_ms: Some(1_700_000_060_000),
        clips: 0,
        duration_ms: 60_000,
        recorded: false,
        end_reason: Some("stopped".into()),
    }
}

#[tokio::test]
async fn what_lies_in_the_store_is_in_the_database_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    // as a running server does
    let lock = std::fs::File::create(data.join("lock")).unwrap();
    lock.lock().unwrap();
    let store = ObjectStore::folder(data.join("clips"));
    for at in 0..3 {
        let sidecar = Sidecar::Broadcast(Box::new(broadcast(at)));
        store.put_bytes(&sidecar.key(), sidecar.json().unwrap(), sidecar::MIME).await.unwrap();
    }
    let done = reindex(data, &[]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && done.stdout.is_empty(), "{done:?}");
    assert!(told.contains("broadcasts: 3;") && told.contains("0 passed over"), "{told}");
    let rows = Database::sqlite(data.join("oxbow.db")).broadcasts(&BroadcastQuery::default()).await.unwrap().items;
    assert_eq!(rows, [broadcast(2), broadcast(1), broadcast(0)]);

    // what is damaged is named, and the rest is done all the same
    let damaged = key::broadcast("main", &broadcast(1).id);
    store.put_bytes(&damaged, "{".into(), sidecar::MIME).await.unwrap();
    std::fs::remove_file(data.join("oxbow.db")).unwrap();
    let done = reindex(data, &[]);
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(told.contains(&damaged) && told.lines().count() == 1, "{told}");
    let rows = Database::sqlite(data.join("oxbow.db")).broadcasts(&BroadcastQuery::default()).await.unwrap().items;
    assert_eq!(rows, [broadcast(2), broadcast(0)]);

    let rest = reindex(data, &["--from", &format!("main/{}", broadcast(2).id)]);
    assert!(rest.status.success() && String::from_utf8_lossy(&rest.stderr).contains("broadcasts: 1;"), "{rest:?}");
    let wrong = Command::new(env!("CARGO_BIN_EXE_oxbow")).arg("reindex").env_clear().env("PORT", "x").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
