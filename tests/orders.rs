//! Clips of what was already shown, against the real server: a viewer keeps the last seconds, the holder of the key makes clips of
//! pieces, anybody plays a range. While it is live, and when it is over.

mod support;

use std::time::Duration;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use support::orders::{answer, ask, made, shown_when};
use support::{House, KEY, Publisher, Server, show};

const FPS: u32 = 30;

fn milliseconds(clip: &Value) -> u64 {
    clip["durationMs"].as_u64().expect("a duration")
}

/// The numbers in the pictures of a file.
async fn numbers(server: &Server, address: &str) -> Vec<u32> {
    let answer = server.http.get(server.url(address)).bearer_auth(KEY).send().await.expect("an answer");
    let status = answer.status();
    let body = answer.bytes().await.expect("the whole file");
    assert_eq!(status, 200, "{address}: {}", String::from_utf8_lossy(&body));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, &body).expect("written");
    let seen = tokio::task::spawn_blocking(move || pipeline::inspect::clip(&file)).await.expect("no panic");
    let numbers = seen.expect("it decodes").numbers().expect("every number can be read");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{address}: {numbers:?}");
    numbers
}

/// Ranges that end and begin just before, at and after each of the pictures around a border: they have what they should and no more.
async fn assert_exact(server: &Server, broadcast: &str, pictures: &[(u32, f64)], border: u32) {
    let at = pictures.iter().position(|(number, _)| *number == border).expect("the border is among them");
    let media = format!("/api/broadcasts/{broadcast}/media");
    let from = pictures[at - 20].1 as u64;
    for (number, ms) in &pictures[at - 2..at + 3] {
        for (to, last) in [(ms - 5.0, number - 1), (ms.floor(), number - 1), (ms + 5.0, *number)] {
            let shown = numbers(server, &format!("{media}?from={from}&to={}", to as u64)).await;
            assert_eq!(shown.last(), Some(&last), "up to {to} ms, where {number} is shown at {ms} ms");
            assert!(shown[0] <= pictures[at - 20].0, "from the keyframe before {from} ms: {shown:?}");
        }
    }
    // It is a keyframe: what is asked for from there on begins with it, and what is asked for from just before it does not.
    let ms = pictures[at].1;
    let to = pictures[at + 10].1 as u64;
    let shown = numbers(server, &format!("{media}?from={}&to={to}", ms as u64 + 5)).await;
    assert_eq!(shown.first(), Some(&border), "from just after {ms} ms");
    let shown = numbers(server, &format!("{media}?from={}&to={to}", ms as u64 - 5)).await;
    assert!(shown[0] < border, "from just before {ms} ms: {shown:?}");
}

fn first_ms(part: &Value) -> f64 {
    part["continuity"]["tracks"]
        .as_array()
        .expect("tracks")
        .iter()
        .find_map(|t| (t["codec"] != "opus").then(|| t["fromMs"].as_f64()).flatten())
        .expect("pictures")
}

#[tokio::test]
async fn what_was_shown_can_be_kept() {
    let house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    let publisher = Publisher::start(&server, "main", &["--codec", "h264", "--seconds", "30"]);
    let parts = server
        .until(Duration::from_secs(40), "two parts", async |server| {
            let clips = server.clips().await;
            (clips.len() >= 2).then_some(clips)
        })
        .await;
    let broadcast = parts[0]["broadcast"].as_str().expect("its broadcast").to_owned();

    // A viewer, of what is on the air: across the border of the parts and into the one that is still open.
    let (status, asked) =
        answer(ask(&server, "/api/channels/main/clip", &json!({"last": 8, "title": " The goal "}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{asked}");
    let clip = made(&server, &asked["clip"]).await;
    assert_eq!((&clip["title"], &clip["visibility"]), (&json!("The goal"), &json!("link")));
    assert!((8_000..=10_100).contains(&milliseconds(&clip)), "from the keyframe before: {clip}");
    let shown = show(&server, std::slice::from_ref(&clip), FPS).await;
    assert_eq!((shown.missing, shown.duplicate), (0, 0), "{:?}", shown.numbers);
    assert!(shown.numbers.len() as u64 * 1000 / u64::from(FPS) >= 7_900, "{} pictures", shown.numbers.len());
    let zero = parts[0]["startedAt"].as_i64().unwrap()
        - parts[0]["continuity"]["tracks"][0]["fromMs"].as_f64().unwrap() as i64;
    let link = asked["address"]["link"].as_str().expect("what opens it to the viewer");
    let timeline = server.get(&format!("/api/clips/{}/timeline?link={link}", clip["id"].as_str().unwrap())).await;
    let from_ms = timeline["fromMs"].as_f64().expect("its start");
    assert!((clip["startedAt"].as_i64().unwrap() - zero - from_ms as i64).abs() <= 30, "{clip} {timeline}");
    let keys: Vec<f64> = timeline["keyframesMs"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(keys.iter().any(|key| (key - from_ms).abs() < 25.0), "it begins at one of {keys:?}");
    assert!(
        timeline["keptFromMs"].as_f64() <= Some(from_ms) && timeline["keptToMs"].as_f64() >= timeline["toMs"].as_f64()
    );

    // Without an end a range of what goes on is told where it ends now.
    let open = format!("/api/broadcasts/{broadcast}/media?from=1000");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let told = client.get(server.url(&open)).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::TEMPORARY_REDIRECT);
    assert!(told.headers()[header::LOCATION].to_str().unwrap().contains("&to="), "{told:?}");
    let border = shown.numbers[0];
    let clip_and_on = numbers(
        &server,
        &format!("/api/broadcasts/{broadcast}/media?from={}&to={}", from_ms as u64 + 2, from_ms as u64 + 900),
    )
    .await;
    assert_eq!(clip_and_on[0], border, "the clip begins at a keyframe");

    publisher.finish();
    server
        .until(Duration::from_secs(40), "the last part", async |server| {
            let clips = server.clips().await;
            let ended = clips.iter().any(|clip| clip["cause"] == "end");
            (ended && clips.iter().all(|clip| clip["state"] == "stored")).then_some(())
        })
        .await;
    let parts: Vec<Value> = server.clips().await.into_iter().filter(|clip| clip["kind"] == "part").collect();
    let pictures = shown_when(&server, &parts).await;
    let all: Vec<u32> = pictures.iter().map(|(number, _)| *number).collect();
    let within = |from: f64, to: f64| {
        all.iter().zip(&pictures).filter(move |(_, (_, at))| *at >= from - 2.0 && *at < to).count()
    };
    let expected = within(from_ms, timeline["toMs"].as_f64().unwrap());
    assert_eq!(shown.numbers.len(), expected, "{} to {} of {pictures:?}", shown.numbers[0], timeline["toMs"]);

    // The holder of the key, when it is over: the whole of it, and pieces of it.
    let (status, refusal) = answer(ask(&server, "/api/clips", &json!({"pieces": [{"broadcast": broadcast}]}))).await;
    assert_eq!((status, &refusal["code"]), (StatusCode::UNAUTHORIZED, &json!("key_required")));
    let pieces = json!({"title": "All", "visibility": "published", "pieces": [{"broadcast": broadcast}]});
    let (status, whole) = answer(ask(&server, "/api/clips", &pieces).bearer_auth(KEY)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{whole}");
    let whole = made(&server, &whole).await;
    assert_eq!(show(&server, std::slice::from_ref(&whole), FPS).await.numbers, all);
    assert_eq!(whole["visibility"], "published");
    let twice = json!({"pieces": [{"clip": parts[1]["id"]}, {"clip": parts[0]["id"]}]});
    let (_, twice) = answer(ask(&server, "/api/clips", &twice).bearer_auth(KEY)).await;
    let twice = made(&server, &twice).await;
    let apart =
        [show(&server, &parts[1..2], FPS).await.numbers, show(&server, &parts[..1], FPS).await.numbers].concat();
    assert_eq!(show(&server, &[twice], FPS).await.numbers, apart, "no picture of a neighbour");
    for part in &parts[1..3] {
        let begins = first_ms(part);
        let border = pictures.iter().find(|(_, at)| *at >= begins - 2.0).expect("its first picture").0;
        assert_exact(&server, &broadcast, &pictures, border).await;
    }

    // The last seconds of a broadcast that has just ended.
    let (status, late) = answer(ask(&server, "/api/channels/main/clip", &json!({"last": 5}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{late}");
    let late = show(&server, &[made(&server, &late["clip"]).await], FPS).await.numbers;
    assert_eq!(late.last(), all.last());

    server.all_stored(parts.len() + 1, Duration::from_secs(30)).await;
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn a_range_is_a_file_like_any_other() {
    let house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    Publisher::start(&server, "main", &["--codec", "vp8", "--seconds", "8"]).finish();
    let clips = server.ended(Duration::from_secs(30)).await;
    let media = format!("/api/broadcasts/{}/media", clips[0]["broadcast"].as_str().unwrap());
    let url = server.url(&format!("{media}?from=1000&to=3000"));
    let whole = server.http.get(&url).send().await.unwrap();
    assert!(whole.status().is_success(), "{}", whole.text().await.unwrap());
    assert_eq!(
        (whole.status(), &whole.headers()[header::CONTENT_TYPE]),
        (StatusCode::OK, &"video/webm".parse().unwrap())
    );
    let etag = whole.headers()[header::ETAG].clone();
    let size = whole.content_length().expect("a length");
    let body = whole.bytes().await.unwrap();
    assert_eq!(body.len() as u64, size);

    let head = server.http.head(&url).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()[header::ETAG]), (StatusCode::OK, &etag));
    assert_eq!(head.headers()[header::CONTENT_LENGTH], size.to_string());
    let part = server.http.get(&url).header(header::RANGE, "bytes=100-199").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()[header::CONTENT_RANGE], format!("bytes 100-199/{size}"));
    assert_eq!(part.bytes().await.unwrap(), body[100..200]);
    let beyond = server.http.get(&url).header(header::RANGE, format!("bytes={size}-")).send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let same = server.http.get(&url).header(header::IF_NONE_MATCH, &etag).send().await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    // clips that are still looked at lie there as well
    let in_spool = || {
        let spool = std::fs::read_dir(house.data().join("spool")).unwrap().flatten();
        spool.filter(|entry| entry.metadata().is_ok_and(|of| of.len() == size)).count()
    };
    assert_eq!(in_spool(), 1, "made once");
    let sound = server.http.get(server.url(&format!("{media}?from=1000&to=3000&format=audio"))).send().await.unwrap();
    assert_eq!(
        (sound.status(), &sound.headers()[header::CONTENT_TYPE]),
        (StatusCode::OK, &"audio/mp4".parse().unwrap())
    );

    for (query, code) in [
        ("?from=3000&to=3000", "invalid"),
        ("?from=9000000", "invalid"),
        ("?from=99999999999999999", "invalid"),
        ("?from=-1", "invalid"),
        ("?from=0&to=1000&precision=roughly", "invalid"),
        ("?from=0&to=1000&format=gif", "invalid"),
    ] {
        let (status, refusal) = answer(server.http.get(server.url(&format!("{media}{query}")))).await;
        assert_eq!((status, &refusal["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{query}: {refusal}");
    }
    let nowhere = "/api/broadcasts/00000000000000000000000000/media";
    assert_eq!(answer(server.http.get(server.url(nowhere))).await.0, StatusCode::NOT_FOUND);

    // What lies in the spool does not outlive the server.
    assert!(server.stop().success());
    let server = house.start();
    assert_eq!(in_spool(), 0);
    let again = server.http.get(server.url(&format!("{media}?from=1000&to=3000"))).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
    assert!(server.stop().success());
    let (status, report) = house.check();
    assert!(status.success(), "{report}");
}

#[tokio::test]
async fn wishes_that_cannot_be_met_are_refused() {
    let house = House::new(&[("CLIP_LENGTH", "5")]);
    let server = house.start();
    let clip = "/api/channels/main/clip";
    let (status, refusal) = answer(ask(&server, clip, &json!({"last": 30}))).await;
    assert_eq!((status, &refusal["code"]), (StatusCode::NOT_FOUND, &json!("not_live")), "{refusal}");
    Publisher::start(&server, "main", &["--codec", "vp8", "--seconds", "7"]).finish();
    let clips = server.ended(Duration::from_secs(30)).await;
    let broadcast = &clips[0]["broadcast"];
    for body in [
        json!({"last": 4}),
        json!({"last": 181}),
        json!({"last": 30, "from": 0}),
        json!({"to": 5000}),
        json!({"from": 5000, "to": 5000}),
        json!({"from": 500_000_000}),
        json!({"last": 30, "title": "x".repeat(201)}),
        json!({"last": 30, "broadcast": "../etc"}),
    ] {
        let (status, refusal) = answer(ask(&server, clip, &body)).await;
        assert_eq!((status, &refusal["code"]), (StatusCode::BAD_REQUEST, &json!("invalid")), "{body}: {refusal}");
    }
    let other = answer(ask(&server, "/api/channels/other/clip", &json!({"last": 30, "broadcast": broadcast}))).await;
    assert_eq!(other.0, StatusCode::NOT_FOUND, "it is not that channel's");
    for body in [
        json!({"pieces": []}),
        json!({"pieces": vec![json!({"broadcast": broadcast}); 65]}),
        json!({"pieces": [{}]}),
        json!({"pieces": [{"broadcast": broadcast, "clip": clips[0]["id"]}]}),
        json!({"pieces": [{"broadcast": broadcast, "fromMs": 2000, "toMs": 1000}]}),
        json!({"pieces": [{"clip": clips[0]["id"], "fromMs": 60_000}]}),
        json!({"pieces": [{"broadcast": broadcast}], "title": "\u{1}"}),
        json!({"pieces": [{"broadcast": broadcast}], "format": "gif"}),
        json!({"title": "nothing"}),
    ] {
        let (status, refusal) = answer(ask(&server, "/api/clips", &body).bearer_auth(KEY)).await;
        assert_eq!((status, &refusal["code"]), (StatusCode::BAD_REQUEST, &json!("invalid")), "{body}: {refusal}");
    }
    let second = json!({"pieces": [{"broadcast": broadcast}, {"clip": "00000000000000000000000000"}]});
    let (status, refusal) = answer(ask(&server, "/api/clips", &second).bearer_auth(KEY)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(refusal["detail"].as_str().unwrap().starts_with("piece 2: "), "{refusal}");

    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(answer(ask(&server, clip, &json!({"last": 5}))).await.0);
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    let (status, _) = answer(ask(&server, clip, &json!({"last": 5})).bearer_auth(KEY)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "the streamer is not counted");
    assert!(server.stop().success());
}
