//! Webhooks over REST: what is refused, and by which name; who may look.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{Server, header, problem};

async fn ask(server: &Server, method: Method, path: &str, body: Value) -> Response {
    server.with_key(method, path).json(&body).send().await.unwrap()
}

async fn detail(response: Response) -> (String, String) {
    let body: Value = response.json().await.unwrap();
    (body["code"].as_str().unwrap().to_owned(), body["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name_and_changes_nothing() {
    let server = Server::start(&[]);
    let post = async |path: &str, body: Value| detail(ask(&server, Method::POST, path, body).await).await;
    for (body, word) in [
        (json!({}), "body"),
        (json!({ "url": "https://example.org", "secret": "mine" }), "body"),
        (json!({ "url": "example.org" }), "https://example.org/oxbow"),
        (json!({ "url": "ftp://example.org" }), "http:// or https://"),
        (json!({ "url": "https://me:canary-password@example.org" }), "password"),
        (json!({ "url": "http://169.254.169.254/latest/meta-data" }), "link-local"),
        (json!({ "url": "http://[::ffff:169.254.169.254]/" }), "link-local"),
        (json!({ "url": "https://example.org", "types": ["clip.read"] }), "'clip.read' is no type of event"),
        (json!({ "url": "https://example.org", "types": ["webhook.ping"] }), "webhook.ping"),
        (json!({ "url": "https://example.org", "channels": ["Main Hall"] }), "channel"),
        (json!({ "url": "https://example.org", "description": "x".repeat(201) }), "200 characters"),
    ] {
        let (code, detail) = post("/api/webhooks", body.clone()).await;
        assert_eq!(code, "invalid", "{body}");
        assert!(detail.contains(word) && !detail.contains("canary"), "{body}: {detail}");
    }
    let list: Value = server.with_key(Method::GET, "/api/webhooks").send().await.unwrap().json().await.unwrap();
    assert_eq!(list, json!({ "items": [] }));

    let made = ask(&server, Method::POST, "/api/webhooks", json!({ "url": "http://127.0.0.1:9/x?token=t" })).await;
    assert_eq!(made.status(), 201);
    assert_eq!(header(&made, "cache-control"), "no-store");
    let location = header(&made, "location").to_owned();
    let made: Value = made.json().await.unwrap();
    assert_eq!(location, format!("/api/webhooks/{}", made["webhook"]["id"].as_str().unwrap()));
    let one: Value = server.with_key(Method::GET, &location).send().await.unwrap().json().await.unwrap();
    assert_eq!(one, made["webhook"]);

    let edit = async |body: Value| detail(ask(&server, Method::PATCH, &location, body).await).await.0;
    assert_eq!(edit(json!({ "state": "disabled" })).await, "invalid", "that is its receiver's to say");
    assert_eq!(edit(json!({ "state": "asleep" })).await, "invalid");
    assert_eq!(edit(json!({ "url": "http://0.0.0.0/" })).await, "invalid");
    for body in [
        json!({}),
        json!({ "since": 0, "event": "0000000000000000000000000a" }),
        json!({ "since": "yesterday" }),
        json!({ "until": 5 }),
    ] {
        assert_eq!(post(&format!("{location}/replay"), body.clone()).await.0, "invalid", "{body}");
    }
    let unknown = json!({ "event": "0000000000000000000000000a" });
    assert_eq!(post(&format!("{location}/replay"), unknown).await.0, "not_found");
    assert_eq!(post(&format!("{location}/secret"), json!({ "keepHours": 169 })).await.0, "invalid");
    let again: Value = server.with_key(Method::GET, &location).send().await.unwrap().json().await.unwrap();
    assert_eq!(again, one, "nothing of that changed it");

    let nobody = "/api/webhooks/0000000000000000000000000a";
    for (method, rest) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::GET, "/deliveries"),
        (Method::POST, "/test"),
        (Method::POST, "/secret"),
    ] {
        let answer = ask(&server, method.clone(), &format!("{nobody}{rest}"), json!({})).await;
        assert_eq!(problem(answer).await, "not_found", "{method} {rest}");
    }
}

#[tokio::test]
async fn only_who_holds_the_key_sees_them_and_nobody_sees_a_secret_twice() {
    let server = Server::start(&[]);
    let made = ask(&server, Method::POST, "/api/webhooks", json!({ "url": "http://127.0.0.1:9/" })).await;
    let made: Value = made.json().await.unwrap();
    let (path, secret) = (format!("/api/webhooks/{}", made["webhook"]["id"].as_str().unwrap()), &made["secret"]);
    let secret = secret.as_str().unwrap().to_owned();
    for address in ["/api/webhooks", &path, &format!("{path}/deliveries"), "/api/events"] {
        assert_eq!(problem(server.get(address).await).await, "key_required", "{address}");
    }
    ask(&server, Method::POST, &format!("{path}/test"), json!({})).await;
    for address in ["/api/webhooks", &path, &format!("{path}/deliveries")] {
        let text = server.with_key(Method::GET, address).send().await.unwrap().text().await.unwrap();
        assert!(!text.contains(&secret), "{address}: {text}");
    }
    assert!(!server.printed.text().contains(&secret));
    for address in ["/api/events?after=x", "/api/events?types=clip.read", "/api/events?channel=Main%20Hall"] {
        let answer = server.with_key(Method::GET, address).send().await.unwrap();
        assert_eq!(problem(answer).await, "invalid", "{address}");
    }
    let removed = server.with_key(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(removed.status(), 204);
    let second = server.with_key(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(problem(second).await, "not_found");
}

#[tokio::test]
async fn webhooks_and_followers_are_bounded() {
    let server = Server::start(&[]);
    for number in 0..32 {
        let made =
            ask(&server, Method::POST, "/api/webhooks", json!({ "url": format!("http://127.0.0.1:9/{number}") }));
        assert_eq!(made.await.status(), 201);
    }
    let more = ask(&server, Method::POST, "/api/webhooks", json!({ "url": "http://127.0.0.1:9/" })).await;
    assert_eq!(problem(more).await, "full");
    let mut followers = Vec::new();
    for _ in 0..64 {
        let follower = server.with_key(Method::GET, "/api/events").send().await.unwrap();
        assert_eq!(follower.status(), 200);
        followers.push(follower);
    }
    let more = server.with_key(Method::GET, "/api/events").send().await.unwrap();
    assert_eq!(problem(more).await, "full");
    drop(followers);
    // The server learns of it when it next looks at the connection.
    loop {
        let again = server.with_key(Method::GET, "/api/events").send().await.unwrap();
        if again.status() == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
