//! Asks at start that this host may reach the database, where the operator has a service for that.
//!
//! `POST WHITELIST_URL`, `Authorization: Bearer WHITELIST_KEY`, body `{"service":"oxbow","addresses":[…]}`; any 2xx is a yes. The
//! service may as well take the address that the call comes from. A refusal or time-out is named, tried again with growing
//! pauses, and stops nothing.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use serde_json::json;

use crate::config::Whitelist;

const TIME_OUT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// Asks until the answer is yes.
pub async fn ask(whitelist: Whitelist, addresses: Vec<IpAddr>) {
    ask_with(whitelist, addresses, FIRST_PAUSE, TIME_OUT).await;
}

async fn ask_with(whitelist: Whitelist, addresses: Vec<IpAddr>, first: Duration, time_out: Duration) {
    // The key must not follow a redirect to another host.
    let client = reqwest::Client::builder().redirect(Policy::none()).timeout(time_out).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "the whitelist call cannot be made");
            return;
        }
    };
    let mut pause = first;
    loop {
        match once(&client, &whitelist, &addresses).await {
            Ok(()) => {
                tracing::info!("the whitelist service let this host in");
                return;
            }
            Err(refusal) => {
                metrics::counter!("oxbow_whitelist_failures_total").increment(1);
                tracing::warn!(refusal, again_in_s = pause.as_secs(), "the whitelist service did not let this host in");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// An error names no address and no key: both may hold secrets.
async fn once(client: &reqwest::Client, whitelist: &Whitelist, addresses: &[IpAddr]) -> Result<(), String> {
    let asked = client
        .post(whitelist.url.expose())
        .bearer_auth(whitelist.key.expose())
        .json(&json!({ "service": "oxbow", "addresses": addresses }))
        .send();
    match asked.await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("it refused with {}", answer.status())),
        Err(error) if error.is_timeout() => Err("it did not answer in time".to_owned()),
        Err(error) if error.is_connect() => Err("it cannot be reached".to_owned()),
        Err(error) => Err(error.without_url().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Secret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Reads one request whole: its head and its body.
    async fn request(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            text.extend_from_slice(&buffer[..read]);
            let so_far = String::from_utf8_lossy(&text).into_owned();
            let whole = so_far.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length =
                    head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                body.len() >= length.unwrap_or(0)
            });
            if whole || read == 0 {
                return so_far;
            }
        }
    }

    /// A service that refuses, hangs up, does not answer, and then agrees; every request is recorded.
    #[tokio::test]
    async fn it_is_asked_until_it_agrees() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/allow?token=canary-url", listener.local_addr().unwrap());
        let service = tokio::spawn(async move {
            let mut requests = Vec::new();
            let mut silent = Vec::new();
            for answer in
                ["403 Forbidden", "302 Found\r\nlocation: http://127.0.0.1:9/", "", "silence", "204 No Content"]
            {
                let (mut stream, _) = listener.accept().await.unwrap();
                requests.push(request(&mut stream).await);
                match answer {
                    "" => drop(stream),
                    "silence" => silent.push(stream),
                    status => {
                        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                        stream.write_all(text.as_bytes()).await.unwrap();
                    }
                }
            }
            requests
        });
        let whitelist = Whitelist { url: Secret::new(url), key: Secret::new("canary-key") };
        let pause = Duration::from_millis(5);
        ask_with(whitelist, vec!["192.0.2.7".parse().unwrap()], pause, Duration::from_millis(300)).await;
        let requests = service.await.unwrap();
        assert_eq!(requests.len(), 5);
        for request in requests {
            assert!(request.starts_with("POST /allow?token=canary-url HTTP/1.1\r\n"), "{request}");
            assert!(request.to_lowercase().contains("authorization: bearer canary-key\r\n"), "{request}");
            assert!(request.contains(r#"{"addresses":["192.0.2.7"],"service":"oxbow"}"#), "{request}");
        }
    }

    #[tokio::test]
    async fn a_failure_names_no_secret() {
        let client = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
        // A port that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let url = Secret::new(format!("http://{free}/canary"));
        let refusal = once(&client, &Whitelist { url, key: Secret::new("canary") }, &[]).await.unwrap_err();
        assert!(!refusal.contains("canary"), "{refusal}");
    }
}
