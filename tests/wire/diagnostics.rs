//! What operators may ask of a media session, and that nobody else may.

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Server, header, offer, problem};

#[tokio::test]
async fn a_session_can_be_diagnosed_while_it_is_open_and_after() {
    let server = Server::start(&[]);
    let offer = offer("chromium-publish");
    let post =
        server.with_key(Method::POST, "/whip/main").header("content-type", "application/sdp").body(offer.clone());
    let published = post.send().await.unwrap();
    let location = header(&published, "location").to_owned();
    let answer = published.text().await.unwrap();

    for path in ["/api/connections", "/api/connections/s0-1"] {
        assert_eq!(problem(server.get(path).await).await, "key_required", "{path}");
    }
    let get = async |path: &str| server.with_key(Method::GET, path).send().await.unwrap();
    let list: Value = get("/api/connections").await.json().await.unwrap();
    let [listed] = &list["items"].as_array().unwrap()[..] else { panic!("one session: {list}") };
    assert_eq!((listed["role"].as_str(), listed["state"].as_str()), (Some("publisher"), Some("new")));
    assert_eq!(
        (&listed["channel"], &listed["connectedMs"], &listed["address"]),
        (&"main".into(), &Value::Null, &Value::Null)
    );

    let path = format!("/api/connections/{}", listed["session"].as_str().unwrap());
    let file = get(&format!("{path}?download=1")).await;
    assert!(header(&file, "content-disposition").starts_with("attachment; filename=\"oxbow-connection-s0-"));
    assert_eq!(header(&file, "cache-control"), "no-store");
    let text = file.text().await.unwrap();
    let password = |sdp: &str| sdp.lines().find_map(|line| line.strip_prefix("a=ice-pwd:")).unwrap().to_owned();
    for secret in [password(&offer), password(&answer)] {
        assert!(!text.contains(&secret), "a password is told");
    }
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["offer"].as_str().unwrap().lines().count(), offer.lines().count());
    assert!(report["answer"].as_str().unwrap().contains("a=ice-pwd:(redacted)"));
    assert_eq!((&report["session"], &report["flight"]), (&listed["session"], &Value::Array(Vec::new())));

    // Who joins from now on is traced; whoever has no key asks in vain.
    let trace = format!("{path}/trace");
    assert_eq!(problem(server.request(Method::POST, &trace).send().await.unwrap()).await, "key_required");
    for method in [Method::POST, Method::POST, Method::DELETE, Method::DELETE] {
        assert_eq!(server.with_key(method, &trace).send().await.unwrap().status(), 204);
    }
    let nobody = server.with_key(Method::POST, "/api/connections/s0-999/trace").send().await.unwrap();
    assert_eq!(problem(nobody).await, "not_found");

    assert_eq!(server.with_key(Method::DELETE, &location).send().await.unwrap().status(), 200);
    let closed: Value = get(&path).await.json().await.unwrap();
    assert_eq!((closed["state"].as_str(), closed["closeReason"].as_str()), (Some("closed"), Some("requested")));
    assert_eq!(closed["flight"][0]["what"], "closed");

    for unknown in ["s0-999", "s1-1", "x", "s0-1%20"] {
        assert_eq!(problem(get(&format!("/api/connections/{unknown}")).await).await, "not_found", "{unknown}");
    }
}
