//! REST: problems, sessions and their cookie, other sites, pages.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{KEY, Server, header, problem};

const NO_CLIP: &str = "/api/clips/0000000000000000000000000a";

#[tokio::test]
async fn refusals_are_problems_with_their_code() {
    let server = Server::start(&[]);
    let long = format!("/api/clips?text={}", "x".repeat(201));
    for (method, path, status, code) in [
        (Method::GET, "/api/nothing", 404, "not_found"),
        (Method::GET, NO_CLIP, 404, "not_found"),
        (Method::GET, "/api/clips/0000000000000000000000000a/media", 404, "not_found"),
        (Method::GET, "/api/clips/0000000000000000000000000a/poster", 404, "not_found"),
        (Method::GET, "/api/clips/UPPERCASE0000000000000000a", 404, "not_found"),
        (Method::GET, "/api/clips/..%2f..%2f..%2fetc%2fpasswd", 404, "not_found"),
        (Method::GET, "/api/clips/..%2f..%2f..%2fetc%2fpasswd/media", 404, "not_found"),
        (Method::GET, "/api/broadcasts/%2e%2e", 404, "not_found"),
        (Method::GET, "/api/broadcasts/0000000000000000000000000a", 404, "not_found"),
        (Method::GET, "/api/channels/Main", 400, "invalid"),
        (Method::GET, "/api/channels/..%2fmain", 400, "invalid"),
        (Method::GET, "/api/clips?limit=0", 400, "invalid"),
        (Method::GET, "/api/clips?limit=101", 400, "invalid"),
        (Method::GET, "/api/clips?limit=many", 400, "invalid"),
        (Method::GET, "/api/clips?cursor=made-up", 400, "invalid"),
        (Method::GET, "/api/clips?broadcast=x", 400, "invalid"),
        (Method::GET, "/api/clips?channel=a/b", 400, "invalid"),
        (Method::GET, &long, 400, "invalid"),
        (Method::GET, "/api/broadcasts?cursor=1", 400, "invalid"),
        (Method::PUT, NO_CLIP, 405, "method_not_allowed"),
        (Method::POST, "/", 405, "method_not_allowed"),
        (Method::PATCH, NO_CLIP, 401, "key_required"),
        (Method::DELETE, NO_CLIP, 401, "key_required"),
        (Method::POST, "/api/clips/0000000000000000000000000a/retry", 401, "key_required"),
        (Method::POST, "/api/broadcasts/0000000000000000000000000a/stop", 401, "key_required"),
        (Method::GET, "/api/channels/main/stats", 401, "key_required"),
        (Method::GET, "/api/connections", 401, "key_required"),
        (Method::POST, "/api/channels/main/clip", 404, "not_live"),
    ] {
        let answer = server.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(problem(answer).await, code, "{method} {path}");
    }
}

#[tokio::test]
async fn with_the_key_other_things_are_wrong() {
    let server = Server::start(&[]);
    for (method, path, body, status, code) in [
        (Method::PATCH, NO_CLIP, json!({"title": "x"}), 404, "not_found"),
        (Method::PATCH, NO_CLIP, json!({"title": ""}), 400, "invalid"),
        (Method::PATCH, NO_CLIP, json!({"title": 5}), 400, "invalid"),
        (Method::PATCH, NO_CLIP, json!({}), 400, "invalid"),
        (Method::PATCH, NO_CLIP, json!({"title": "x".repeat(70_000)}), 413, "too_large"),
        (Method::DELETE, NO_CLIP, json!({}), 404, "not_found"),
        (Method::POST, "/api/broadcasts/0000000000000000000000000a/stop", json!({}), 404, "not_found"),
    ] {
        let answer = server.with_key(method.clone(), path).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(problem(answer).await, code, "{method} {path}");
    }
    let form = server.with_key(Method::PATCH, NO_CLIP).header("content-type", "text/plain").body("title=x");
    assert_eq!(problem(form.send().await.unwrap()).await, "unsupported_media_type");
    let stale = server.with_key(Method::PATCH, NO_CLIP).header("if-match", "three").json(&json!({"title": "x"}));
    assert_eq!(problem(stale.send().await.unwrap()).await, "invalid");
}

#[tokio::test]
async fn the_key_becomes_a_cookie_that_writes_from_our_pages_only() {
    let mut server = Server::start(&[]);
    let open = |key: &str| server.request(Method::POST, "/api/session").json(&json!({ "key": key })).send();
    let wrong = open("wrong-stream-key").await.unwrap();
    assert!(header(&wrong, "www-authenticate").starts_with("Bearer"));
    assert_eq!(problem(wrong).await, "bad_key");

    let right = open(KEY).await.unwrap();
    assert_eq!(right.status(), StatusCode::NO_CONTENT);
    let set = header(&right, "set-cookie").to_owned();
    for part in ["oxbow_session=", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(KEY) && !set.contains("Secure"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let who =
        |server: &Server, cookie: &str| server.request(Method::GET, "/api/session").header("cookie", cookie).send();
    assert_eq!(who(&server, &cookie).await.unwrap().text().await.unwrap(), r#"{"streamer":true}"#);
    for forged in ["oxbow_session=", "oxbow_session=v1.9999999999.00.00", "other=1"] {
        assert_eq!(who(&server, forged).await.unwrap().text().await.unwrap(), r#"{"streamer":false}"#, "{forged}");
    }

    let own = server.base.clone();
    for (name, value, code) in [
        ("origin", own.as_str(), "not_found"),
        ("sec-fetch-site", "same-origin", "not_found"),
        ("origin", "https://evil.example", "forbidden"),
        ("origin", "null", "forbidden"),
        ("sec-fetch-site", "cross-site", "forbidden"),
        ("sec-fetch-site", "same-site", "forbidden"),
    ] {
        let delete = server.request(Method::DELETE, NO_CLIP).header("cookie", &cookie).header(name, value);
        assert_eq!(problem(delete.send().await.unwrap()).await, code, "{name}: {value}");
    }
    let foreign = server.request(Method::POST, "/api/session").header("origin", "https://evil.example");
    assert_eq!(problem(foreign.json(&json!({ "key": KEY })).send().await.unwrap()).await, "forbidden");

    let gone = server.request(Method::DELETE, "/api/session").send().await.unwrap();
    assert!(header(&gone, "set-cookie").contains("Max-Age=0"));
    assert!(server.stop().success());
    let again = Server::start_in(Arc::clone(&server.folder), &[]);
    assert_eq!(who(&again, &cookie).await.unwrap().text().await.unwrap(), r#"{"streamer":true}"#, "after a restart");
    let other = Server::start_in(Arc::new(tempfile::tempdir().unwrap()), &[("STREAM_KEY", "another-key")]);
    assert_eq!(who(&other, &cookie).await.unwrap().text().await.unwrap(), r#"{"streamer":false}"#, "with another key");
}

#[tokio::test]
async fn wrong_keys_are_limited_by_the_address_behind_trusted_proxies() {
    let server = Server::start(&[("TRUSTED_PROXIES", "127.0.0.1")]);
    let attempt = |client: &'static str, key: &'static str| {
        server.request(Method::DELETE, NO_CLIP).bearer_auth(key).header("x-forwarded-for", client).send()
    };
    let mut codes = Vec::new();
    for _ in 0..25 {
        codes.push(problem(attempt("192.0.2.1", "guess-guess").await.unwrap()).await);
    }
    assert_eq!(codes[0], "bad_key");
    assert_eq!(codes[24], "rate_limited");
    let refused = attempt("192.0.2.1", KEY).await.unwrap();
    assert!(header(&refused, "retry-after").parse::<u64>().is_ok_and(|s| s >= 1));
    assert_eq!(problem(refused).await, "rate_limited", "not even the right key is tried");
    assert_eq!(problem(attempt("192.0.2.2", KEY).await.unwrap()).await, "not_found", "others are not disturbed");
}

#[tokio::test]
async fn lists_and_infos_are_as_the_protocol_says() {
    let server = Server::start(&[("CLIP_LENGTH", "5"), ("CLIP_SIZE", "1")]);
    for (path, body) in [
        ("/api/channels", json!({"items": []})),
        ("/api/clips", json!({"items": [], "next": null})),
        ("/api/broadcasts", json!({"items": [], "next": null})),
        ("/api/channels/main", json!({"channel": "main", "state": "offline", "live": null, "lastBroadcast": null})),
    ] {
        let answer: serde_json::Value = server.get(path).await.json().await.unwrap();
        assert_eq!(answer, body, "{path}");
    }
    let info: serde_json::Value = server.get("/api/server").await.json().await.unwrap();
    assert_eq!((&info["clipLengthMs"], &info["clipSizeBytes"]), (&json!(5000), &json!(1_000_000)));
    assert_eq!((&info["storage"], &info["database"]), (&json!("folder"), &json!("sqlite")));
    assert_eq!(info["recordStreams"], true);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = Server::start(&[]);
    for path in ["/", "/api/clips", "/api/nothing", "/healthz", "/@main"] {
        let answer = server.request(Method::GET, path).header("accept", "text/html").send().await.unwrap();
        let policy = header(&answer, "content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self';"), "{path}: {policy}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&answer, "referrer-policy"), "same-origin", "{path}");
    }
}
