//! The HTTP side of WHIP and WHEP (RFC 9725): offer in, answer out.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Url};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WhipError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("{url} answered {status}: {body}")]
    Refused { url: Url, status: u16, body: String },
}

/// An accepted offer.
#[derive(Debug)]
pub struct Accepted {
    pub answer: String,
    /// To be deleted at the end.
    pub resource: Option<Url>,
}

/// Posts an offer; `key` is the Bearer token, if any.
///
/// # Errors
/// When the server is not there or answers anything but 201.
pub async fn post(client: &Client, url: &Url, key: Option<&str>, offer: String) -> Result<Accepted, WhipError> {
    let mut request = client.post(url.clone()).header(CONTENT_TYPE, "application/sdp").body(offer);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let resource = location.and_then(|location| url.join(location).ok());
    let body = response.text().await?;
    match status {
        201 => Ok(Accepted { answer: body, resource }),
        _ => Err(WhipError::Refused { url: url.clone(), status, body: body.chars().take(300).collect() }),
    }
}

/// Ends what was accepted.
///
/// # Errors
/// When the server is not there.
pub async fn delete(client: &Client, resource: &Url, key: Option<&str>) -> Result<(), WhipError> {
    let mut request = client.delete(resource.clone());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    request.send().await?;
    Ok(())
}
