//! WHIP and WHEP at the level of HTTP. That media flows is shown by the stories with real peers.

use reqwest::Method;

use crate::harness::{Server, header, offer, problem};

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

#[tokio::test]
async fn ice_is_changed_by_patch_as_the_rfc_wants() {
    let server = Server::start(&[]);
    let post = server.with_key(Method::POST, "/whip/main").header("content-type", "application/sdp");
    let answer = post.body(offer("chromium-publish")).send().await.unwrap();
    let (location, etag) = (header(&answer, "location").to_owned(), header(&answer, "etag").to_owned());
    let patch = |kind: &str, expects: &str, body: &str| {
        let mut patch = server.with_key(Method::PATCH, &location).body(body.to_owned());
        for (name, value) in
            [("content-type", kind), ("if-match", expects)].iter().filter(|(_, value)| !value.is_empty())
        {
            patch = patch.header(*name, *value);
        }
        async { patch.send().await.unwrap() }
    };
    let candidate = "a=candidate:1 1 udp 2122260223 3f6c1d2e.local 61764 typ host\r\na=end-of-candidates\r\n";
    let trickled = patch(FRAGMENT, &etag, candidate).await;
    assert_eq!((trickled.status().as_u16(), header(&trickled, "access-control-allow-origin")), (204, "*"));

    let restart = "a=ice-ufrag:next\r\na=ice-pwd:anotherpasswordanother00\r\n";
    let restarted = patch("Application/Trickle-ICE-SDPFrag; charset=utf-8", "*", restart).await;
    assert_eq!((restarted.status().as_u16(), header(&restarted, "content-type")), (200, FRAGMENT));
    let next = header(&restarted, "etag").to_owned();
    assert!(next.starts_with('"') && next != etag, "{next}");
    let fragment = restarted.text().await.unwrap();
    for line in ["a=ice-lite", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates"] {
        assert!(fragment.contains(line), "{line} in {fragment}");
    }

    for (kind, expects, body, status, code) in [
        (FRAGMENT, "", candidate, 428, "precondition_required"),
        (FRAGMENT, etag.as_str(), candidate, 412, "conflict"),
        (FRAGMENT, next.as_str(), "rubbish", 400, "invalid"),
        ("application/sdp", next.as_str(), candidate, 415, "unsupported_media_type"),
    ] {
        let refused = patch(kind, expects, body).await;
        assert_eq!(refused.status().as_u16(), status, "{code}");
        assert_eq!(problem(refused).await, code);
    }
    assert_eq!(patch(FRAGMENT, &format!("\"x\", {next}"), candidate).await.status(), 204, "one of several");
    let stranger = server.request(Method::PATCH, &location).header("content-type", FRAGMENT).header("if-match", "*");
    assert_eq!(problem(stranger.body(restart).send().await.unwrap()).await, "key_required");
    let forged = server.with_key(Method::PATCH, "/whip/main/token").header("content-type", FRAGMENT);
    assert_eq!(problem(forged.header("if-match", "*").body(restart).send().await.unwrap()).await, "not_found");
    assert_eq!(server.with_key(Method::DELETE, &location).send().await.unwrap().status(), 200);
    assert_eq!(problem(patch(FRAGMENT, "*", restart).await).await, "not_found");
}

#[tokio::test]
async fn an_offer_is_answered_with_a_session_that_can_be_deleted() {
    let server = Server::start(&[]);
    for (name, kind) in [
        ("chromium-publish", "application/sdp"),
        ("firefox-publish", "Application/SDP; charset=utf-8"),
        ("obs-publish", "application/sdp;charset=UTF-8"),
    ] {
        let post = server.with_key(Method::POST, "/whip/main").header("content-type", kind).body(offer(name));
        let answer = post.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{name}");
        assert_eq!(header(&answer, "content-type"), "application/sdp");
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        assert!(header(&answer, "etag").starts_with('"'));
        let location = header(&answer, "location").to_owned();
        assert!(location.starts_with("/whip/main/"), "{location}");
        let sdp = answer.text().await.unwrap();
        assert!(sdp.starts_with("v=0") && sdp.contains("a=ice-lite") && sdp.contains("a=candidate:"), "{sdp}");

        let forged = format!("{}0", &location[..location.len() - 1]);
        if forged != location {
            let delete = server.with_key(Method::DELETE, &forged).send().await.unwrap();
            assert_eq!(problem(delete).await, "not_found", "a made-up session");
        }
        let stranger = server.request(Method::DELETE, &location).send().await.unwrap();
        assert_eq!(problem(stranger).await, "key_required");
        assert_eq!(server.with_key(Method::DELETE, &location).send().await.unwrap().status(), 200);
        let twice = server.with_key(Method::DELETE, &location).send().await.unwrap();
        assert_eq!(problem(twice).await, "not_found");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_offer_is_told() {
    let server = Server::start(&[]);
    let sdp = "application/sdp";
    let large = "a".repeat(70_000);
    for (path, key, kind, body, status, code) in [
        ("/whip/main", "", sdp, "v=0", 401, "key_required"),
        ("/whip/main", "wrong-key", sdp, "v=0", 401, "bad_key"),
        ("/whip/Main", "right", sdp, "v=0", 400, "invalid"),
        ("/whip/main", "right", "text/plain", "v=0", 415, "unsupported_media_type"),
        ("/whip/main", "right", "", "v=0", 415, "unsupported_media_type"),
        ("/whip/main", "right", sdp, "rubbish", 400, "malformed_offer"),
        ("/whip/main", "right", sdp, "", 400, "malformed_offer"),
        ("/whip", "right", sdp, "rubbish", 400, "malformed_offer"),
        ("/whip/main", "right", sdp, large.as_str(), 413, "too_large"),
        ("/whep/main", "", sdp, "v=0", 404, "not_live"),
        ("/whep/..%2f", "", sdp, "v=0", 400, "invalid"),
        ("/whep/main", "", "text/plain", "v=0", 415, "unsupported_media_type"),
    ] {
        let mut post = server.request(Method::POST, path).body(body.to_owned());
        if !kind.is_empty() {
            post = post.header("content-type", kind);
        }
        post = match key {
            "" => post,
            "right" => post.bearer_auth(crate::harness::KEY),
            other => post.bearer_auth(other),
        };
        let answer = post.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path} {kind}");
        if code == "not_live" {
            assert!(header(&answer, "retry-after").parse::<u64>().is_ok());
        }
        assert_eq!(problem(answer).await, code, "{path} {kind}");
    }
}

#[tokio::test]
async fn options_and_wrong_methods_answer_as_the_rfc_wants() {
    let server = Server::start(&[]);
    for (path, methods) in [
        ("/whip/main", "POST, OPTIONS"),
        ("/whep/main", "POST, OPTIONS"),
        ("/whip/main/token", "PATCH, DELETE, OPTIONS"),
    ] {
        let answer = server.request(Method::OPTIONS, path).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{path}");
        assert_eq!(header(&answer, "accept-post"), "application/sdp");
        assert_eq!(header(&answer, "accept-patch"), FRAGMENT);
        assert_eq!(header(&answer, "access-control-allow-methods"), methods, "{path}");
        assert!(header(&answer, "access-control-allow-headers").contains("authorization"));
    }
    let patch = server.with_key(Method::PATCH, "/whip/main").send().await.unwrap();
    assert_eq!(patch.status(), 405);
    assert_eq!(problem(patch).await, "method_not_allowed");
    let post = server.with_key(Method::POST, "/whip/main/token").send().await.unwrap();
    assert_eq!(post.status(), 405);
}

#[tokio::test]
async fn turn_servers_are_named_with_credentials_that_end() {
    let urls = "turn:turn.example:3478?transport=udp, turns:turn.example:5349";
    let server = Server::start(&[("TURN_URLS", urls), ("TURN_SECRET", "wire-turn-secret")]);
    let post = server.with_key(Method::POST, "/whip/main").header("content-type", "application/sdp");
    let answer = post.body(offer("obs-publish")).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let links: Vec<&str> = answer.headers().get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    let [udp, tls] = links[..] else { panic!("{links:?}") };
    assert!(udp.starts_with("<turn:turn.example:3478?transport=udp>; rel=\"ice-server\"; username=\""), "{udp}");
    assert!(tls.starts_with("<turns:turn.example:5349>; rel=\"ice-server\"; username=\""), "{tls}");
    let end: u64 = udp.split_once("username=\"").and_then(|(_, rest)| rest.split(':').next()?.parse().ok()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((now + 60..now + 13 * 3600).contains(&end), "{end}");
    assert!(header(&answer, "access-control-expose-headers").contains("link"));
    assert!(!server.printed.text().contains("wire-turn-secret"));
    assert_eq!(server.with_key(Method::DELETE, header(&answer, "location")).send().await.unwrap().status(), 200);
}
