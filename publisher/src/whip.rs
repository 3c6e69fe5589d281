//! WHIP over HTTP (RFC 9725): an offer is posted, the answer and the address of the session come back; DELETE ends it.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use crate::{PublishError, StreamKey};

const CONTENT: &str = "application/sdp";
const REQUEST: Duration = Duration::from_secs(10);
/// Larger answers are refused.
const ANSWER_BYTES: usize = 256 * 1024;
/// Of an error's text that is shown.
const DETAIL_BYTES: usize = 300;

pub(crate) struct Whip {
    client: Client,
    url: Url,
    key: StreamKey,
}

pub(crate) struct Answer {
    pub sdp: String,
    /// Where the session is ended; a server without it ends it by its own means.
    pub session: Option<Url>,
}

/// How an offer failed.
#[derive(Debug)]
pub(crate) enum OfferError {
    /// Trying again later may help.
    Later(String),
    /// 409: somebody is on air. After a reconnect that may be our own last connection, which the server has not missed yet.
    Busy,
    Never(PublishError),
}

impl Whip {
    pub(crate) fn new(url: Url, key: StreamKey) -> Result<Self, PublishError> {
        let client = Client::builder()
            .timeout(REQUEST)
            .build()
            .map_err(|error| PublishError::Peer(format!("no HTTP client: {error}")))?;
        Ok(Self { client, url, key })
    }

    pub(crate) async fn offer(&self, sdp: String) -> Result<Answer, OfferError> {
        let request = self
            .client
            .post(self.url.clone())
            .bearer_auth(self.key.expose())
            .header(CONTENT_TYPE, CONTENT)
            .header(ACCEPT, CONTENT)
            .body(sdp);
        let response = request.send().await.map_err(|error| OfferError::Later(chain(&error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(status, response).await);
        }
        let session = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let session = session.and_then(|location| response.url().join(location).ok());
        let body = body(response, ANSWER_BYTES).await.map_err(OfferError::Later)?;
        let sdp = String::from_utf8(body).map_err(|_| OfferError::Later("the answer is no text".into()))?;
        Ok(Answer { sdp, session })
    }

    /// Ends a session. The media stops anyway, so a failure is only told.
    pub(crate) async fn delete(&self, session: &Url) {
        match self.client.delete(session.clone()).bearer_auth(self.key.expose()).send().await {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => tracing::warn!(status = %response.status(), "the session was not ended"),
            Err(error) => tracing::warn!(error = chain(&error), "the session was not ended"),
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

async fn refusal(status: StatusCode, response: Response) -> OfferError {
    let detail = match body(response, ANSWER_BYTES).await {
        Ok(text) => detail(&text),
        Err(error) => error,
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => OfferError::Never(PublishError::WrongKey),
        StatusCode::CONFLICT => OfferError::Busy,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => OfferError::Later(format!("{status}: {detail}")),
        status if status.is_server_error() => OfferError::Later(format!("{status}: {detail}")),
        status => OfferError::Never(PublishError::Refused { status: status.as_u16(), detail }),
    }
}

/// The `detail` of a problem document (RFC 9457), else the text itself, in one line.
fn detail(text: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    let detail = detail.map_or_else(|| String::from_utf8_lossy(text).into_owned(), str::to_owned);
    let line: String = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(DETAIL_BYTES).collect()
}

async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > most {
            return Err("the answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with its causes: reqwest's own text leaves out what went wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_one_line() {
        assert_eq!(detail(br#"{"status":406,"detail":"no codec in common: H264"}"#), "no codec in common: H264");
        assert_eq!(detail(b"<h1>Not\n here</h1>"), "<h1>Not here</h1>");
        assert_eq!(detail(b""), "");
        assert_eq!(detail("é".repeat(1000).as_bytes()).chars().count(), DETAIL_BYTES);
    }
}
