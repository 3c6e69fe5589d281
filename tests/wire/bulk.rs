//! Many clips in one request: each has its own success or problem.

use reqwest::Method;
use serde_json::{Value, json};

use crate::files::Shelf;
use crate::harness::problem;

const NO_CLIP: &str = "0000000000000000000000000a";

async fn bulk(shelf: &Shelf, body: Value) -> Vec<Value> {
    let answer = shelf.server.with_key(Method::POST, "/api/clips/bulk").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{body}");
    answer.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn one_change_to_many_clips_tells_of_each_what_became_of_it() {
    let shelf = Shelf::open();
    let first = shelf.put(0, "First").await.to_string();
    let second = shelf.put(1, "Second").await.to_string();
    let changed = bulk(
        &shelf,
        json!({
            "ids": [first, NO_CLIP, second, "../../etc/passwd", first],
            "edit": {"visibility": "link", "pinned": true},
        }),
    )
    .await;
    assert_eq!(changed.len(), 4, "one that is named twice counts once");
    let problems: Vec<&Value> = changed.iter().map(|one| &one["problem"]["code"]).collect();
    assert_eq!(problems, [&Value::Null, &json!("not_found"), &Value::Null, &json!("not_found")]);
    for one in [&changed[0], &changed[2]] {
        assert_eq!((&one["clip"]["visibility"], &one["clip"]["pinned"]), (&json!("link"), &json!(true)));
        assert_eq!(one["clip"]["revision"], 1);
        assert_eq!(one["id"], one["clip"]["id"]);
    }

    bulk(&shelf, json!({"ids": [first], "edit": {"tags": ["Drums", "evening"]}})).await;
    let tagged = bulk(&shelf, json!({"ids": [first, second], "addTags": [" Modular "], "removeTags": ["DRUMS"]})).await;
    assert_eq!(tagged[0]["clip"]["tags"], json!(["evening", "modular"]));
    assert_eq!(tagged[1]["clip"]["tags"], json!(["modular"]));

    let refused = bulk(&shelf, json!({"ids": [first, second], "addTags": ["x".repeat(41)]})).await;
    for one in &refused {
        assert_eq!((&one["problem"]["code"], &one["clip"]), (&json!("invalid"), &Value::Null));
    }
    let found = shelf.server.with_key(Method::GET, "/api/clips?tag=modular").send().await.unwrap();
    assert_eq!(found.json::<Value>().await.unwrap()["items"].as_array().unwrap().len(), 2);

    let deleted = bulk(&shelf, json!({"ids": [first, NO_CLIP], "delete": true})).await;
    assert_eq!((&deleted[0]["problem"], &deleted[1]["problem"]["code"]), (&Value::Null, &json!("not_found")));
    let gone = shelf.server.with_key(Method::GET, &format!("/api/clips/{first}")).send().await.unwrap();
    assert_eq!(gone.status(), 404);
    let there = shelf.server.with_key(Method::GET, &format!("/api/clips/{second}")).send().await.unwrap();
    assert_eq!(there.status(), 200);
}

#[tokio::test]
async fn what_cannot_be_meant_changes_nothing() {
    let shelf = Shelf::open();
    let id = shelf.put(0, "Opening").await.to_string();
    for body in [
        json!({}),
        json!({"ids": []}),
        json!({"ids": [id]}),
        json!({"ids": [id], "delete": false}),
        json!({"ids": [id], "addTags": [], "removeTags": [" "]}),
        json!({"ids": [id], "edit": {}}),
        json!({"ids": [id], "delete": true, "edit": {"pinned": true}}),
        json!({"ids": [id], "delete": true, "addTags": ["x"]}),
        json!({"ids": [id], "edit": {"tags": ["a"]}, "addTags": ["b"]}),
        json!({"ids": [id], "edit": {"visibility": "secret"}}),
        json!({"ids": [id], "edit": {"owner": "me"}}),
        json!({"ids": [id], "remove": true}),
        json!({"ids": vec![id.clone(); 101], "edit": {"pinned": true}}),
        json!({"ids": id, "edit": {"pinned": true}}),
    ] {
        let answer = shelf.server.with_key(Method::POST, "/api/clips/bulk").json(&body).send().await.unwrap();
        if answer.status() == 200 {
            // An edit of nothing is each clip's own problem.
            let items: Value = answer.json().await.unwrap();
            assert_eq!(items["items"][0]["problem"]["code"], "invalid", "{body}");
        } else {
            assert_eq!(answer.status(), 400, "{body}");
            assert_eq!(problem(answer).await, "invalid", "{body}");
        }
    }
    let body = json!({"ids": [id], "delete": true});
    let stranger = shelf.server.request(Method::POST, "/api/clips/bulk").json(&body).send().await.unwrap();
    assert_eq!(problem(stranger).await, "key_required");
    let clip = shelf.server.with_key(Method::GET, &format!("/api/clips/{id}")).send().await.unwrap();
    assert_eq!(clip.json::<Value>().await.unwrap()["revision"], 0);
}

#[tokio::test]
async fn the_list_can_be_asked_for_what_is_not_stored_yet() {
    let shelf = Shelf::open();
    shelf.put(0, "Opening").await;
    for state in ["waiting", "failed"] {
        let path = format!("/api/clips?state={state}");
        let list: Value = shelf.server.with_key(Method::GET, &path).send().await.unwrap().json().await.unwrap();
        assert_eq!(list["items"], json!([]), "everything here is stored");
    }
    let other = shelf.server.with_key(Method::GET, "/api/clips?state=stored").send().await.unwrap();
    assert_eq!(problem(other).await, "invalid");
}
