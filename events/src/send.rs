//! One attempt: a signed POST to an address that somebody named, and what its answer means.
//!
//! The address is the operator's choice, the answer is a stranger's: redirects are not followed, nothing of an answer but its status and
//! its `Retry-After` is used, and names that lead to forbidden addresses ([`is_forbidden`]) are not connected to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, header};
use storage::Event;
use storage::local::{Attempt, Webhook, check_url, is_forbidden};

use crate::sign::Signer;
use crate::{EventsConfig, EventsError, utc_ms};

/// Read of an answer's body, so that its connection can be used again. Of a longer one the connection is closed.
const ANSWER_BYTES: usize = 4096;

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum Outcome {
    Delivered(Attempt),
    /// To be tried again, not before the pause that the receiver asked for.
    Failed {
        attempt: Attempt,
        pause: Option<Duration>,
    },
    /// The receiver wants no more.
    Gone(Attempt),
}

/// A cheap handle.
#[derive(Clone)]
pub(crate) struct Sender {
    client: Client,
}

impl Sender {
    pub(crate) fn new(config: &EventsConfig) -> Result<Self, EventsError> {
        let client = Client::builder()
            .redirect(Policy::none())
            // what is looked up here has to be what is connected to
            .no_proxy()
            .dns_resolver(Arc::new(Allowed))
            .timeout(config.timing.attempt)
            .user_agent(format!("Oxbow/{}", config.version))
            .pool_max_idle_per_host(2)
            .build();
        Ok(Self { client: client.map_err(|error| EventsError::Client(error.to_string()))? })
    }

    /// Sends and waits for the answer. Never fails: that is an outcome.
    pub(crate) async fn attempt(&self, webhook: &Webhook, event: &Event) -> Outcome {
        let began = Instant::now();
        let answer = self.send(webhook, event).await;
        let took_ms = began.elapsed().as_millis() as u64;
        let note = |status, reason| Attempt { status, took_ms, at_ms: utc_ms(), reason };
        match answer {
            Ok(answer) if answer.status.is_success() => Outcome::Delivered(note(Some(answer.status.as_u16()), None)),
            Ok(answer) if answer.status == StatusCode::GONE => {
                let reason = "it answered 410 Gone, so the webhook is disabled".to_owned();
                Outcome::Gone(note(Some(410), Some(reason)))
            }
            Ok(answer) => {
                let reason = Some(refusal(answer.status));
                Outcome::Failed { attempt: note(Some(answer.status.as_u16()), reason), pause: answer.pause }
            }
            Err(reason) => Outcome::Failed { attempt: note(None, Some(reason)), pause: None },
        }
    }

    /// An error names no address: it may hold a secret.
    async fn send(&self, webhook: &Webhook, event: &Event) -> Result<Answer, String> {
        check_url(&webhook.url).map_err(|error| error.to_string())?;
        let now_ms = utc_ms();
        let signer = Signer::new(webhook, now_ms).map_err(|error| error.to_string())?;
        let body = serde_json::to_vec(event).map_err(|error| error.to_string())?;
        let (id, timestamp) = (event.id.as_str(), now_ms / 1000);
        let sent = self
            .client
            .post(&webhook.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signer.sign(id, timestamp, &body))
            .body(body)
            .send();
        match sent.await {
            Ok(response) => Ok(Answer::read(response).await),
            Err(error) if error.is_timeout() => Err("it did not answer in time".to_owned()),
            Err(error) => Err(cause(&error)),
        }
    }
}

fn cause(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<Forbidden>() {
            return inner.to_string();
        }
        source = inner.source();
    }
    if error.is_connect() { "it cannot be reached".to_owned() } else { "it broke the connection off".to_owned() }
}

fn refusal(status: StatusCode) -> String {
    let name = status.canonical_reason().map(|name| format!(" {name}")).unwrap_or_default();
    let code = status.as_u16();
    if status.is_redirection() {
        format!("it answered {code}{name}; redirects are not followed")
    } else {
        format!("it answered {code}{name}")
    }
}

struct Answer {
    status: StatusCode,
    /// `Retry-After` in seconds.
    pause: Option<Duration>,
}

impl Answer {
    async fn read(mut response: Response) -> Self {
        let pause = response.headers().get(header::RETRY_AFTER);
        let pause = pause.and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
        let status = response.status();
        let mut left = ANSWER_BYTES;
        // The status has been said: however the body ends, that stands.
        while let Ok(Some(bytes)) = response.chunk().await {
            match left.checked_sub(bytes.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        Self { status, pause }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("its name leads to no address that may be sent to")]
struct Forbidden;

/// Looks names up, without the addresses that are forbidden.
struct Allowed;

impl Resolve for Allowed {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| !is_forbidden(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Forbidden.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_only_connected_to_where_events_may_be_sent() {
        let look_up = async |name: &str| Allowed.resolve(name.parse().expect("a name")).await;
        for forbidden in ["169.254.169.254", "0.0.0.0", "fe80::1", "::ffff:169.254.169.254", "224.0.0.1"] {
            let Err(refusal) = look_up(forbidden).await else { panic!("{forbidden} is connected to") };
            assert!(refusal.is::<Forbidden>(), "{forbidden}: {refusal}");
        }
        let found = look_up("localhost").await.expect("this machine has a name");
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
    }
}
