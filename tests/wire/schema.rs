//! The interface against its own description: schemathesis asks whatever `/api/openapi.json` allows, and much that it does not,
//! and compares the answers. None may be a failure of the server.

use std::path::Path;
use std::process::Stdio;

use storage::Id;
use tempfile::TempDir;

use crate::files::Shelf;
use crate::harness::KEY;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// One run; `more` are further arguments.
async fn ask(shelf: &Shelf, folder: &Path, config: &str, more: &[&str]) {
    let config_file = folder.join("schemathesis.toml");
    std::fs::write(&config_file, config).unwrap();
    let home = std::env::var("HOME").expect("HOME");
    let cache = std::env::var("OXBOW_CACHE").unwrap_or_else(|_| format!("{home}/.cache/oxbow"));
    let examples = if std::env::var("OXBOW_SOAK").is_ok() { "400" } else { "25" };
    let output = tokio::process::Command::new(format!("{cache}/schemathesis/bin/schemathesis"))
        .arg("--config-file")
        .arg(&config_file)
        .args(["run", &format!("{}/api/openapi.json", shelf.server.base), "--checks", CHECKS])
        .args(["--phases", "coverage,fuzzing", "--seed", "1", "--max-examples", examples, "--continue-on-failure"])
        // an answer that does not end
        .args(["--exclude-path", "/api/events"])
        .args(["--no-color", "--warnings", "off", "--generation-database", "none"])
        .args(more)
        .env("SCHEMATHESIS_HOOKS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/schemathesis_hooks.py"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("scripts/install-schemathesis.sh has made the environment");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Fuzzing") && said.contains(" passed"), "it asked something:\n{said}");
    let printed = shelf.server.printed.text();
    assert!(!printed.contains("panicked"), "{printed}");
}

fn with_ids(clip: &Id) -> String {
    format!("[parameters]\n\"path.id\" = \"{clip}\"\n\"path.channel\" = \"main\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_answers_as_it_says_it_does() {
    let shelf = Shelf::open();
    let clip = shelf.put(0, "Opening").await;
    let folder = TempDir::new().unwrap();
    let key = format!("Authorization: Bearer {KEY}");
    let operator = ["--header", &key];
    ask(&shelf, folder.path(), &with_ids(&clip), &[&operator[..], &["--exclude-method", "DELETE"]].concat()).await;
    ask(&shelf, folder.path(), "", &operator).await;
    ask(&shelf, folder.path(), &with_ids(&clip), &["--exclude-method", "DELETE"]).await;
}
