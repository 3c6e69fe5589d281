//! The house rules as tests: arrows between rooms, names confined to their rooms, bounds and bans.
//!
//! The text rules read the sources as text, so they hold for code that no build configuration reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A room and the rooms it may name, from ARCHITECTURE.md. Everything else is forbidden.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "oxbow",
        &["events", "hls", "journal", "media", "pipeline", "publisher", "recorder", "shard", "signaling", "storage"],
    ),
    ("signaling", &["hls", "journal", "media", "shard", "storage"]),
    ("recorder", &["journal", "media", "pipeline", "shard", "storage"]),
    ("events", &["storage"]),
    ("publisher", &["media", "pipeline"]),
    ("pipeline", &["journal", "media", "mp4"]),
    ("shard", &["media"]),
    ("journal", &["media"]),
    ("media", &[]),
    ("storage", &[]),
    ("hls", &["mp4"]),
    ("mp4", &[]),
    ("fuzz", &["hls", "journal", "media"]),
    ("bench", &["hls", "journal", "media", "pipeline", "publisher", "recorder", "shard", "signaling", "storage"]),
];

/// A name, where it may stand (path prefixes), and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("gstreamer", &["pipeline/"], "a muxer crash must not end a live"),
    ("axum", &["signaling/"], "one room speaks HTTP"),
    ("socketioxide", &["signaling/"], "one room speaks socket.io"),
    ("mongodb::", &["storage/src/database/mongo"], "a database is behind the door"),
    ("aws_sdk_s3", &["storage/src/object/s3"], "a store is behind the door"),
    (
        "rtc_",
        &["media/src/session/", "media/src/rtp/", "media/tests/", "shard/tests/", "bench/", "fuzz/"],
        "the transport is composed in one place",
    ),
    (
        "env::var",
        &[
            "src/config.rs",
            "tests/",
            "media/tests/",
            "storage/tests/",
            "signaling/tests/",
            "recorder/tests/",
            "fuzz/tests/",
        ],
        "one reader of the environment",
    ),
    ("dotenvy", &["src/config.rs"], "one reader of the environment"),
];

/// A text that stands nowhere, and why. Split so that this file does not find itself.
const BANNED: &[(&str, &str, &str)] = &[
    ("todo", "!(", "a placeholder"),
    ("unimplemented", "!(", "a placeholder"),
    ("#[ig", "nore", "an ignored test"),
    ("unbounded", "_channel(", "an unbounded channel"),
    ("UnboundedSender", "", "an unbounded channel"),
    ("mpsc::chan", "nel()", "an unbounded channel"),
    ("dbg", "!(", "a left-over"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every tracked or untracked, not ignored file below the root with one of these endings, as (relative path, text).
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files of the checkout");
    assert!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    let found: Vec<_> = String::from_utf8(listed.stdout)
        .expect("paths are UTF-8")
        .lines()
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)))
        .filter_map(|path| fs::read_to_string(root().join(path)).ok().map(|text| (path.to_owned(), text)))
        .collect();
    assert!(!found.is_empty(), "no {endings:?} found: the listing is broken");
    found
}

/// Lines of code: without whole-line comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(n, line)| (n + 1, line))
}

#[test]
fn arrows_equal_the_dependencies_that_cargo_sees() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let rooms: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let listed: BTreeSet<&str> = allowed.keys().copied().collect();
    assert_eq!(rooms, listed, "the rooms of the workspace and of this table differ");
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = dependency["name"].as_str().expect("a name");
            // Tests may look across walls: they stand outside the house.
            let for_tests = dependency["kind"] == "dev";
            if rooms.contains(to) && !for_tests && !allowed[name].contains(&to) {
                wrong.push(format!("{name} → {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden arrows: {wrong:?}");
}

#[test]
fn media_knows_no_clock_socket_runtime_or_lock() {
    let manifest = fs::read_to_string(root().join("media/Cargo.toml")).expect("media's manifest");
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    for name in ["tokio", "serde", "async", "parking_lot", "socket2", "libc"] {
        assert!(!dependencies.contains(name), "media must not depend on {name}");
    }
    let banned = [
        "Instant::now",
        "SystemTime::now",
        "UdpSocket",
        "TcpStream",
        "thread::spawn",
        "thread::sleep",
        "Mutex",
        "RwLock",
        "async fn",
    ];
    let mut wrong = Vec::new();
    for (path, text) in files(&[".rs"]).iter().filter(|(path, _)| path.starts_with("media/src/")) {
        // Unit tests at the bottom of a file may stamp a virtual clock's start.
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (line, code) in code_lines(production) {
            wrong.extend(banned.iter().filter(|b| code.contains(**b)).map(|b| format!("{path}:{line} {b}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (path, text) in files(&[".rs"]).iter().filter(|(path, _)| path != "tests/tidy.rs") {
        for (name, rooms, why) in CONFINED {
            if rooms.iter().any(|room| path.starts_with(room)) {
                continue;
            }
            for (line, code) in code_lines(text) {
                if names(code, name) {
                    wrong.push(format!("{path}:{line} names {name}: {why}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether `code` holds `name` as a path or a prefix of one, not as the tail of a longer word.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"' || c == '-' || c == '.' || c == '/')
            && code[at..].contains("::")
    })
}

#[test]
fn placeholders_ignored_tests_and_unbounded_channels_stand_nowhere() {
    let mut wrong = Vec::new();
    for (path, text) in &files(&[".rs"]) {
        for (line, code) in code_lines(text) {
            for (head, tail, why) in BANNED {
                if code.contains(&format!("{head}{tail}")) && path != "tests/tidy.rs" {
                    wrong.push(format!("{path}:{line} {head}{tail}: {why}"));
                }
            }
        }
    }
    for (path, text) in files(&[".ts", ".tsx"]) {
        for (line, code) in code_lines(&text) {
            for banned in [".only(", ".skip(", "@ts-ignore", "console.log("] {
                if code.contains(banned) {
                    wrong.push(format!("{path}:{line} {banned}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_stands_only_at_the_socket() {
    let word = ["un", "safe"].concat();
    let wrong: Vec<_> = files(&[".rs"])
        .iter()
        .filter(|(path, _)| path != "shard/src/socket.rs" && !path.starts_with("shard/src/socket/"))
        .flat_map(|(path, text)| {
            code_lines(text)
                .filter(|(_, code)| {
                    [format!("{word} {{"), format!("{word} fn"), format!("{word} impl"), format!("{word}_code)")]
                        .iter()
                        .any(|form| code.contains(form.as_str()))
                })
                .map(|(line, _)| format!("{path}:{line}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{word} outside shard/src/socket.rs: {wrong:#?}");
}

#[test]
fn the_webrtc_family_is_pinned_exactly() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace manifest");
    let mut pinned = 0;
    let family = |line: &&str| (line.starts_with("rtc") || line.starts_with("webrtc")) && !line.contains(".workspace");
    for line in manifest.lines().filter(family) {
        assert!(line.contains("\"="), "not pinned: {line}");
        pinned += 1;
    }
    assert!(pinned >= 7, "the rtc-* crates are listed in the workspace manifest");
}

#[test]
fn each_test_that_is_longer_in_a_soak_is_run_by_it() {
    let reads = |text: &str| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.into_iter().any(|line| line.contains("OXBOW_SOAK") || line.contains("soak()"))
    };
    let known = ["tests/support/mod.rs", "tests/tidy.rs"];
    let longer: BTreeSet<String> = files(&[".rs"])
        .into_iter()
        .filter(|(path, text)| reads(text) && !known.contains(&path.as_str()))
        .map(|(path, _)| path)
        .collect();
    let script = fs::read_to_string(root().join("scripts/soak.sh")).expect("scripts/soak.sh");
    let run: BTreeSet<String> = script
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.ends_with(".rs"))
        .map(str::to_owned)
        .collect();
    assert_eq!(run, longer, "left: run by scripts/soak.sh, right: reads OXBOW_SOAK");
}

#[test]
fn files_stay_small_enough_to_read() {
    let wrong: Vec<_> = files(&[".rs", ".ts", ".tsx"])
        .into_iter()
        .filter(|(path, _)| !path.contains("/generated/"))
        .map(|(path, text)| (text.lines().count(), path))
        .filter(|(lines, _)| *lines > 600)
        .collect();
    assert!(wrong.is_empty(), "over 600 lines: {wrong:#?}");
}

#[test]
fn every_room_is_in_the_architecture_and_prescribed_files_exist() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for (room, _) in ARROWS.iter().filter(|(room, _)| *room != "oxbow") {
        assert!(architecture.contains(&format!("`{room}/`")), "ARCHITECTURE.md does not name {room}/");
    }
    for path in [
        "src",
        "signaling",
        "recorder",
        "web",
        ".env.example",
        "Dockerfile",
        "README.md",
        "compose.yaml",
        "docs/protocol.md",
        "docs/operate.md",
        "docs/journal.md",
        "docs/glossary.md",
    ] {
        assert!(Path::new(&root()).join(path).exists(), "{path} is missing");
    }
    assert!(!root().join("rust-toolchain.toml").exists(), "a toolchain file would download a toolchain");
}
