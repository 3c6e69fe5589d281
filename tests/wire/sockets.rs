//! socket.io with the official JavaScript client (tests/socket/story.mjs), over polling and over websocket.

use std::path::Path;
use std::process::Command;

use crate::harness::{KEY, Server};

fn story(transport: &str) {
    let mut server = Server::start(&[]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        root.join("web/node_modules/socket.io-client").is_dir(),
        "the official client is missing: run `npm --prefix web ci`"
    );
    let output = Command::new("node")
        .arg(root.join("tests/socket/story.mjs"))
        .args([&server.base, transport, KEY])
        .arg(env!("CARGO_BIN_EXE_oxbow"))
        .arg(root.join("media/tests/offers"))
        .arg(server.pid().to_string())
        .output()
        .expect("node runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "over {transport}:\n{told}\nthe server printed:\n{}", server.printed.text());
    assert!(told.contains("all told"), "{told}");
    assert!(server.ended().success(), "the story's SIGTERM ends it well:\n{}", server.printed.text());
}

#[test]
fn the_official_client_works_over_websocket() {
    story("websocket");
}

#[test]
fn the_official_client_works_over_polling() {
    story("polling");
}
