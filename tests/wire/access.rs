//! Who may see what: everybody who could ask, for clips of every visibility, at every address of a clip. To those who may not
//! see it, a clip answers as one that does not exist.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use storage::{ClipEdit, Id, Visibility};

use crate::files::{BODY, Shelf};
use crate::harness::{Server, header, problem};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    KeyHolder,
    /// With a link to the clip.
    Linked,
    /// With a link that has ended.
    Late,
    /// With a link to another clip.
    Elsewhere,
    /// With a text that is no link.
    Forger,
    Stranger,
}

const EVERYBODY: [Who; 6] = [Who::KeyHolder, Who::Linked, Who::Late, Who::Elsewhere, Who::Forger, Who::Stranger];

/// What they are told: found, no longer, or that there is nothing.
fn expected(who: Who, visibility: Visibility) -> u16 {
    match (who, visibility) {
        (Who::KeyHolder, _) | (_, Visibility::Published) | (Who::Linked, Visibility::Link) => 200,
        (Who::Late, Visibility::Link) => 410,
        _ => 404,
    }
}

/// Everything that can be asked of a clip, as the server describes itself: what is read, and what is written.
struct Addresses {
    /// What follows the clip's own address.
    reading: Vec<String>,
    writing: Vec<(Method, String)>,
}

impl Addresses {
    async fn of(shelf: &Shelf) -> Self {
        let interface: Value = shelf.server.get("/api/openapi.json").await.json().await.unwrap();
        let (mut reading, mut writing) = (Vec::new(), Vec::new());
        for (path, methods) in interface["paths"].as_object().unwrap() {
            let Some(suffix) = path.strip_prefix("/api/clips/{id}") else { continue };
            let suffix = suffix.replace("{n}", "0").replace("{number}", "0");
            assert!(!suffix.contains('{'), "a story for {path}");
            for method in methods.as_object().unwrap().keys() {
                match method.as_str() {
                    "get" => reading.push(suffix.clone()),
                    other => writing.push((other.to_uppercase().parse().unwrap(), suffix.clone())),
                }
            }
        }
        assert!(["", "/media", "/poster"].iter().all(|known| reading.iter().any(|suffix| suffix == known)));
        assert!(writing.len() > 3, "{writing:?}");
        Self { reading, writing }
    }
}

struct Links {
    own: String,
    late: String,
    elsewhere: String,
}

fn ask(shelf: &Shelf, who: Who, links: &Links, method: Method, path: &str) -> RequestBuilder {
    let with = |link: &str| shelf.server.request(method.clone(), &format!("{path}?link={link}"));
    match who {
        Who::KeyHolder => shelf.server.with_key(method, path),
        Who::Linked => with(&links.own),
        Who::Late => with(&links.late),
        Who::Elsewhere => with(&links.elsewhere),
        Who::Forger => with("v1.99999999999.00"),
        Who::Stranger => shelf.server.request(method, path),
    }
}

/// What strangers may do to the server: begin a session, ask for a clip of what is on air, watch.
const OPEN_TO_ALL: [(&str, &str); 6] = [
    ("post", "/api/session"),
    ("delete", "/api/session"),
    ("post", "/api/channels/{channel}/clip"),
    ("post", "/whep/{channel}"),
    ("patch", "/whep/{channel}/{token}"),
    ("delete", "/whep/{channel}/{token}"),
];

#[tokio::test]
async fn whatever_changes_something_needs_the_key() {
    let server = Server::start(&[]);
    let interface: Value = server.get("/api/openapi.json").await.json().await.unwrap();
    let mut asked = 0;
    for (path, methods) in interface["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
            if OPEN_TO_ALL.contains(&(method.as_str(), path.as_str())) {
                continue;
            }
            let filled = path.replace("{channel}", "main").replace("{id}", "0000000000000000000000000a");
            let filled =
                filled.split('/').map(|part| if part.starts_with('{') { "0" } else { part }).collect::<Vec<_>>();
            let request = server.request(method.to_uppercase().parse().unwrap(), &filled.join("/"));
            let answer = request.header("content-type", "application/json").body("{}").send().await.unwrap();
            assert_eq!(problem(answer).await, "key_required", "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked > 10, "{asked} addresses");
}

async fn show(shelf: &Shelf, clip: &Id, visibility: Visibility) {
    let edit = ClipEdit { visibility: Some(visibility), ..ClipEdit::default() };
    shelf.database.edit_clip(clip, &edit, None).await.unwrap();
}

async fn link_to(shelf: &Shelf, clip: &Id, seconds: u64) -> String {
    let ask = shelf.server.with_key(Method::POST, &format!("/api/clips/{clip}/link"));
    let answer: Value = ask.json(&json!({ "seconds": seconds })).send().await.unwrap().json().await.unwrap();
    assert!(answer["media"].as_str().unwrap().starts_with(&format!("/api/clips/{clip}/media?link=v1.")), "{answer}");
    answer["link"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn everybody_sees_what_is_for_them_at_every_address() {
    let shelf = Shelf::open();
    let (clip, other) = (shelf.put(0, "Opening").await, shelf.put(1, "Another").await);
    for id in [&clip, &other] {
        show(&shelf, id, Visibility::Link).await;
    }
    let late = link_to(&shelf, &clip, 1).await;
    let links = Links { own: link_to(&shelf, &clip, 600).await, late, elsewhere: link_to(&shelf, &other, 600).await };
    let media = format!("/api/clips/{clip}/media");
    let addresses = Addresses::of(&shelf).await;
    // The link of a second is over when the server says so, and not before.
    while ask(&shelf, Who::Late, &links, Method::HEAD, &media).send().await.unwrap().status().as_u16() == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for visibility in [Visibility::Hidden, Visibility::Link, Visibility::Published] {
        show(&shelf, &clip, visibility).await;
        for who in EVERYBODY {
            for suffix in &addresses.reading {
                let path = format!("/api/clips/{clip}{suffix}");
                for method in [Method::GET, Method::HEAD] {
                    let answer = ask(&shelf, who, &links, method.clone(), &path).send().await.unwrap();
                    // Who may see the clip is told what who holds the key is told: it may have no such thing.
                    let status = match expected(who, visibility) {
                        200 => ask(&shelf, Who::KeyHolder, &links, method.clone(), &path)
                            .send()
                            .await
                            .unwrap()
                            .status()
                            .as_u16(),
                        refused => refused,
                    };
                    assert_eq!(answer.status().as_u16(), status, "{who:?} {visibility} {method} {suffix}");
                    let cache = header(&answer, "cache-control").to_owned();
                    assert!(!cache.contains("public"), "{who:?} {visibility} {suffix}: {cache}");
                    if expected(who, visibility) == 404 && method == Method::GET {
                        let nothing = path.replace(clip.as_str(), "0000000000000000000000000a");
                        let nothing = shelf.server.get(&nothing).await.text().await.unwrap();
                        assert_eq!(answer.text().await.unwrap(), nothing, "as if there were none");
                    }
                }
            }
            let part = ask(&shelf, who, &links, Method::GET, &media).header("range", "bytes=2-5").send().await.unwrap();
            if expected(who, visibility) == 200 {
                assert_eq!((part.status().as_u16(), &part.bytes().await.unwrap()[..]), (206, &BODY[2..6]));
            } else {
                assert_eq!(part.status().as_u16(), expected(who, visibility), "{who:?} {visibility}, a part of it");
            }
            for (method, suffix) in addresses.writing.iter().filter(|_| who != Who::KeyHolder) {
                let path = format!("/api/clips/{clip}{suffix}");
                let answer = ask(&shelf, who, &links, method.clone(), &path).json(&json!({})).send().await.unwrap();
                assert_eq!(problem(answer).await, "key_required", "{who:?} {visibility} {method} {suffix}");
            }
            let list = ask(&shelf, who, &links, Method::GET, "/api/clips").send().await.unwrap();
            let list: Value = list.json().await.unwrap();
            let listed = list["items"].as_array().unwrap().iter().any(|item| item["id"] == clip.as_str());
            let may = who == Who::KeyHolder || visibility == Visibility::Published;
            assert_eq!(listed, may, "{who:?} {visibility}: a link opens no list");
        }
    }
}

#[tokio::test]
async fn lists_of_what_is_not_for_all_need_the_key() {
    let shelf = Shelf::open();
    shelf.put(0, "Opening").await;
    for visibility in ["hidden", "link"] {
        let path = format!("/api/clips?visibility={visibility}");
        assert_eq!(problem(shelf.server.get(&path).await).await, "key_required");
        assert_eq!(shelf.server.with_key(Method::GET, &path).send().await.unwrap().status().as_u16(), 200);
    }
    let wrong = shelf.server.request(Method::GET, "/api/clips").bearer_auth("wrong-key").send().await.unwrap();
    assert_eq!(problem(wrong).await, "bad_key", "a wrong key is no stranger");
}

#[tokio::test]
async fn links_are_refused_where_they_make_no_sense() {
    let shelf = Shelf::open();
    let clip = shelf.put(0, "Opening").await;
    let wanted =
        |body: Value| shelf.server.with_key(Method::POST, &format!("/api/clips/{clip}/link")).json(&body).send();
    for body in
        [json!({ "seconds": 0 }), json!({ "seconds": 40_000_000 }), json!({ "seconds": -1 }), json!({ "days": 1 })]
    {
        assert_eq!(problem(wanted(body.clone()).await.unwrap()).await, "invalid", "{body}");
    }
    show(&shelf, &clip, Visibility::Link).await;
    let link = link_to(&shelf, &clip, 600).await;
    let path = format!("/api/clips/{clip}/media?link={link}");
    assert_eq!(shelf.server.get(&path).await.status().as_u16(), 200);
    let seen: Value = shelf.server.get(&format!("/api/clips/{clip}?link={link}")).await.json().await.unwrap();
    for address in ["media", "poster"] {
        let address = seen[address].as_str().expect("an address");
        assert_eq!(shelf.server.get(address).await.status().as_u16(), 200, "{address} opens by itself");
    }
    assert_eq!(seen["watch"], format!("/c/{clip}?link={link}"));
    show(&shelf, &clip, Visibility::Hidden).await;
    assert_eq!(shelf.server.get(&path).await.status().as_u16(), 404, "hiding ends all links");
    assert_eq!(
        problem(wanted(json!({})).await.unwrap()).await,
        "invalid",
        "nobody can be given a link to what is hidden"
    );
    let nothing = shelf.server.with_key(Method::POST, "/api/clips/0000000000000000000000000a/link");
    assert_eq!(problem(nothing.send().await.unwrap()).await, "not_found");
}
