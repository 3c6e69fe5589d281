//! Somebody who follows the events of a house.

use std::time::Duration;

use serde_json::Value;

use super::{KEY, Server};

const WITHIN: Duration = Duration::from_secs(60);

/// Reads `/api/events` for as long as it is asked to.
pub struct Follower {
    answer: reqwest::Response,
    text: String,
    pub last: String,
    pub heard: Vec<Value>,
    pub gaps: u32,
}

impl Follower {
    pub async fn after(server: &Server, place: &str, query: &str) -> Self {
        let ask = server.http.get(server.url(&format!("/api/events{query}"))).bearer_auth(KEY);
        let answer = ask.header("last-event-id", place).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new(), last: place.to_owned(), heard: Vec::new(), gaps: 0 }
    }

    /// Listens until this is so, or until the connection ends; then false.
    pub async fn until(&mut self, is_so: impl Fn(&[Value]) -> bool) -> bool {
        let listen = async {
            while !is_so(&self.heard) {
                match self.answer.chunk().await {
                    Ok(Some(bytes)) => self.text += std::str::from_utf8(&bytes).unwrap(),
                    Ok(None) | Err(_) => return false,
                }
                while let Some((message, rest)) = self.text.split_once("\n\n") {
                    let message = message.to_owned();
                    self.text = rest.to_owned();
                    self.take(&message);
                }
            }
            true
        };
        tokio::time::timeout(WITHIN, listen).await.expect("what was waited for is heard")
    }

    fn take(&mut self, message: &str) {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
        self.gaps += u32::from(field("event: ") == Some("gap"));
        if let Some(id) = field("id: ") {
            self.last = id.to_owned();
        }
        if let Some(data) = field("data: ").filter(|_| field("event: ").is_none()) {
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(event["id"], self.last);
            self.heard.push(event);
        }
    }
}

/// Whether an event of this type was heard.
pub fn has(kind: &'static str) -> impl Fn(&[Value]) -> bool {
    move |heard| heard.iter().any(|event| event["type"] == kind)
}
