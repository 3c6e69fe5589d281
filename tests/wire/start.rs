//! Starting and stopping: what a person is told, and what two servers do to each other.

use std::process::Output;
use std::sync::Arc;

use crate::harness::{KEY, Server, command};

fn fails(folder: &std::path::Path, settings: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = command(folder, settings).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

#[test]
fn a_wrong_setting_and_an_unknown_key_of_the_file_stop_the_start_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "CLIP_LENGHT=5\nMONGO_PASSWORD=canary\n").unwrap();
    let (code, text) = fails(folder.path(), &[("CLIP_SIZE", "big")], &[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("CLIP_LENGHT: no such setting in .env; did you mean CLIP_LENGTH?"), "{text}");
    assert!(text.contains("CLIP_SIZE is whole megabytes, 1 to 100000, not 'big'"), "{text}");
    assert!(text.contains("MONGO_PASSWORD is set, but MONGO_HOST is not"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert!(!folder.path().join("data").exists(), "nothing was touched");
}

#[tokio::test]
async fn two_servers_share_neither_folder_nor_port() {
    let first = Server::start(&[]);
    let (code, text) = fails(first.folder.path(), &[], &["serve"]);
    assert_eq!(code, 1);
    assert!(text.contains("in use by another Oxbow server"), "{text}");
    let port = first.base.rsplit(':').next().unwrap();
    let (code, text) = fails(first.folder.path(), &[("DATA_DIR", "other"), ("PORT", port)], &[]);
    assert_eq!(code, 1);
    assert!(text.contains("PORT: cannot listen on"), "{text}");
    assert_eq!(first.get("/healthz").await.status(), 200, "the first goes on");
}

#[tokio::test]
async fn a_key_is_made_once_shown_once_and_outlives_a_restart() {
    let settings = [("STREAM_KEY", ""), ("ENVIRONMENT", "production")];
    let mut first = Server::start(&settings);
    let link = first.printed.after("Studio ").unwrap();
    let key = link.split_once("/studio#key=").expect("a studio link with its key").1.to_owned();
    assert_eq!(key.len(), 32);
    assert!(first.stop().success());
    let folder = Arc::clone(&first.folder);
    let second = Server::start_in(folder, &settings);
    assert!(!second.printed.text().contains(&key), "shown again");
    let answer = second.request(reqwest::Method::POST, "/api/session").json(&serde_json::json!({ "key": key }));
    assert_eq!(answer.send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_signal_stops_it_in_order() {
    let mut server = Server::start(&[]);
    assert_eq!(server.get("/readyz").await.headers()["content-type"], "application/json");
    assert!(server.stop().success(), "{}", server.printed.text());
    assert!(server.printed.text().contains("stopped"), "{}", server.printed.text());
}

#[tokio::test]
async fn it_becomes_ready_and_counts() {
    let server = Server::start(&[]);
    let mut ready = server.get("/readyz").await;
    for _ in 0..100 {
        if ready.status() == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        ready = server.get("/readyz").await;
    }
    assert_eq!(ready.text().await.unwrap(), r#"{"ready":true,"away":[]}"#);
    // The figures are fetched every two seconds.
    let mut text = String::new();
    for _ in 0..100 {
        text = server.get("/metrics").await.text().await.unwrap();
        if text.contains("oxbow_disk_free_bytes") && text.contains("oxbow_packets_in_total") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for name in [
        "oxbow_packets_in_total",
        "oxbow_packets_out_total",
        "oxbow_sessions",
        "oxbow_broadcasts",
        "oxbow_viewers",
        "oxbow_clips{state=\"stored\"}",
        "oxbow_outbox_depth",
        "oxbow_outbox_age_seconds",
        "oxbow_disk_free_bytes",
        "oxbow_part_up{part=\"database\"}",
        "oxbow_http_requests_total",
    ] {
        assert!(text.contains(name), "{name} is missing:\n{text}");
    }
}

#[tokio::test]
async fn figures_can_have_a_listener_of_their_own() {
    // Any port that is free now; the server says so when somebody was quicker.
    let bind = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Server::start(&[("METRICS_BIND", &bind)]);
    assert_eq!(server.get("/metrics").await.status(), 404);
    let own = crate::harness::client().get(format!("http://{bind}/metrics")).send().await.unwrap();
    assert_eq!(own.status(), 200);
    let page = crate::harness::client().get(format!("http://{bind}/api/server")).send().await.unwrap();
    assert_eq!(page.status(), 404, "nothing else is served there");
}

#[tokio::test]
async fn https_is_spoken_when_a_certificate_is_given() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Server::start_in(Arc::clone(&folder), &[("TLS_CERT", "cert.pem"), ("TLS_KEY", "key.pem")]);
    assert!(server.base.starts_with("https://"), "{}", server.base);
    // A connection that never says anything holds up nobody.
    let _silent = std::net::TcpStream::connect(server.base.trim_start_matches("https://")).unwrap();
    let root = reqwest::Certificate::from_pem(&std::fs::read(folder.path().join("cert.pem")).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
    assert_eq!(client.get(format!("{}/healthz", server.base)).send().await.unwrap().text().await.unwrap(), "ok");

    let (code, text) =
        fails(folder.path(), &[("DATA_DIR", "o"), ("TLS_CERT", "key.pem"), ("TLS_KEY", "cert.pem")], &[]);
    assert_eq!(code, 1);
    assert!(text.contains("TLS_CERT"), "{text}");
    assert!(!text.contains(KEY) && !text.contains("PRIVATE"), "{text}");
}
