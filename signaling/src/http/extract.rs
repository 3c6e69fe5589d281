//! What handlers take out of a request, with our own refusals instead of the framework's texts.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use media::id::ChannelName;
use serde::de::DeserializeOwned;
use storage::Id;

use crate::error::{Code, Error};
use crate::limits::{BODY_BYTES, BODY_TIME};

/// The `{id}` of the path.
pub struct IdOf(pub Id);

impl<S: Send + Sync> FromRequestParts<S> for IdOf {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Error::not_found())?;
        // What is no id names nothing.
        text.parse().map(Self).map_err(|_| Error::not_found())
    }
}

/// The `{id}` and the `{n}` of the path: which of a clip's pictures, with or without `.jpg`.
pub struct PictureOf(pub Id, pub usize);

impl<S: Send + Sync> FromRequestParts<S> for PictureOf {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, number)) = path.map_err(|_| Error::not_found())?;
        let id = id.parse().map_err(|_| Error::not_found())?;
        let number = number_of(&number).ok_or_else(Error::not_found)?;
        Ok(Self(id, number))
    }
}

fn number_of(text: &str) -> Option<usize> {
    let digits = text.strip_suffix(".jpg").unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The name of a channel, or why it is none.
///
/// # Errors
/// `invalid`.
pub fn channel_name(text: &str) -> Result<ChannelName, Error> {
    text.parse().map_err(|error: media::id::IdError| Error::invalid(error.to_string()))
}

/// The `{channel}` of a path whose only parameter it is.
pub struct ChannelOf(pub ChannelName);

impl<S: Send + Sync> FromRequestParts<S> for ChannelOf {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Error::not_found())?;
        channel_name(&text).map(Self)
    }
}

/// The query string as `T`; unknown parameters are ignored.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(query) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::invalid(format!("the query is not understood: {}", error.body_text())))?;
        Ok(Self(query))
    }
}

/// A JSON body. An empty one is taken as `{}`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let is_json = media_type(request.headers()).is_some_and(|kind| kind == "application/json");
        let body = body(request).await?;
        if body.is_empty() {
            return serde_json::from_slice(b"{}").map(Self).map_err(|error| Error::invalid(error.to_string()));
        }
        if !is_json {
            return Err(Error::new(Code::UnsupportedMediaType, "the body must be application/json"));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            // The text of the error names a field or a place, and could quote a value that is a key.
            Error::invalid(format!("the body is not as expected, at line {} column {}", error.line(), error.column()))
        })
    }
}

/// An SDP offer.
pub struct Offer(pub String);

impl<S: Send + Sync> FromRequest<S> for Offer {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        if media_type(request.headers()).is_none_or(|kind| kind != "application/sdp") {
            return Err(Error::new(Code::UnsupportedMediaType, "the offer must be application/sdp"));
        }
        let body = body(request).await?;
        let text = String::from_utf8(body.into());
        text.map(Self).map_err(|_| Error::new(Code::MalformedOffer, "the offer is not UTF-8 text"))
    }
}

/// `type/subtype` in lower case, without parameters.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

/// The whole body, within its bounds.
///
/// # Errors
/// `too_large`, `invalid`.
pub async fn body(request: Request) -> Result<Bytes, Error> {
    let whole = Limited::new(request.into_body(), BODY_BYTES).collect();
    let Ok(whole) = tokio::time::timeout(BODY_TIME, whole).await else {
        return Err(Error::invalid("the body did not arrive in time"));
    };
    match whole {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::new(Code::TooLarge, format!("the body is larger than {BODY_BYTES} bytes")))
        }
        Err(_) => Err(Error::invalid("the body did not arrive whole")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_pictures_may_end_as_pictures_do() {
        assert_eq!((number_of("0"), number_of("12.jpg")), (Some(0), Some(12)));
        for text in ["", ".jpg", "-1", "+1", "1.png", "0x1", "../1.jpg", "99999999999999999999999"] {
            assert_eq!(number_of(text), None, "{text}");
        }
    }

    #[test]
    fn media_types_are_read_in_every_spelling() {
        for (value, is_sdp) in [
            ("application/sdp", true),
            ("Application/SDP", true),
            ("application/sdp; charset=utf-8", true),
            ("application/sdp;charset=UTF-8", true),
            (" application/sdp ", true),
            ("application/sdpx", false),
            ("text/plain", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(media_type(&headers).is_some_and(|kind| kind == "application/sdp"), is_sdp, "{value:?}");
        }
    }
}
