//! The one map from what can go wrong to what outside is told: HTTP status, RFC 9457 problem, socket ack.
//!
//! The text of an [`Error`] is for people and may cross the wire; causes that might name inner addresses are logged here and not sent.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use media::message::Refusal;
use serde::Serialize;
use storage::StorageError;
use ts_rs::TS;
use utoipa::ToSchema;

use crate::socket::event::{Ack, AckError};
use crate::view::Problem;

/// The closed list of what can be wrong, as programs read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    BadKey,
    KeyRequired,
    MalformedOffer,
    NoCommonCodec,
    ChannelBusy,
    NotLive,
    NotFound,
    Gone,
    Invalid,
    TooLarge,
    UnsupportedMediaType,
    MethodNotAllowed,
    RangeNotSatisfiable,
    RateLimited,
    Conflict,
    PreconditionRequired,
    Away,
    Full,
    ShuttingDown,
    Forbidden,
    Internal,
}

impl Code {
    pub const ALL: [Code; 21] = [
        Code::BadKey,
        Code::KeyRequired,
        Code::MalformedOffer,
        Code::NoCommonCodec,
        Code::ChannelBusy,
        Code::NotLive,
        Code::NotFound,
        Code::Gone,
        Code::Invalid,
        Code::TooLarge,
        Code::UnsupportedMediaType,
        Code::MethodNotAllowed,
        Code::RangeNotSatisfiable,
        Code::RateLimited,
        Code::Conflict,
        Code::PreconditionRequired,
        Code::Away,
        Code::Full,
        Code::ShuttingDown,
        Code::Forbidden,
        Code::Internal,
    ];

    /// (name on the wire, HTTP status, title)
    fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Code::BadKey => ("bad_key", StatusCode::UNAUTHORIZED, "Wrong stream key"),
            Code::KeyRequired => ("key_required", StatusCode::UNAUTHORIZED, "Stream key required"),
            Code::MalformedOffer => ("malformed_offer", StatusCode::BAD_REQUEST, "Malformed SDP offer"),
            Code::NoCommonCodec => ("no_common_codec", StatusCode::NOT_ACCEPTABLE, "No codec in common"),
            Code::ChannelBusy => ("channel_busy", StatusCode::CONFLICT, "Channel is on air"),
            Code::NotLive => ("not_live", StatusCode::NOT_FOUND, "Channel is not on air"),
            Code::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found"),
            Code::Gone => ("gone", StatusCode::GONE, "No longer here"),
            Code::Invalid => ("invalid", StatusCode::BAD_REQUEST, "Invalid request"),
            Code::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
            Code::UnsupportedMediaType => {
                ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Code::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Code::RangeNotSatisfiable => {
                ("range_not_satisfiable", StatusCode::RANGE_NOT_SATISFIABLE, "Range not satisfiable")
            }
            Code::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Code::Conflict => ("conflict", StatusCode::PRECONDITION_FAILED, "Changed meanwhile"),
            Code::PreconditionRequired => {
                ("precondition_required", StatusCode::PRECONDITION_REQUIRED, "If-Match is required")
            }
            Code::Away => ("away", StatusCode::SERVICE_UNAVAILABLE, "A part of the server is away"),
            Code::Full => ("full", StatusCode::SERVICE_UNAVAILABLE, "The server is full"),
            Code::ShuttingDown => ("shutting_down", StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down"),
            Code::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "Forbidden"),
            Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }

    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub fn status(self) -> StatusCode {
        self.row().1
    }

    pub fn title(self) -> &'static str {
        self.row().2
    }
}

/// A refusal on its way out.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    pub code: Code,
    pub detail: String,
    /// When to try again, for `rate_limited`, `not_live`, `away` and `full`.
    pub retry_after: Option<Duration>,
}

impl Error {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::Invalid, detail)
    }

    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing at this address")
    }

    pub fn key_required() -> Self {
        Self::new(Code::KeyRequired, "this needs the stream key")
    }

    pub fn bad_key() -> Self {
        Self::new(Code::BadKey, "wrong stream key")
    }

    pub fn not_live(channel: impl std::fmt::Display) -> Self {
        Self::new(Code::NotLive, format!("channel {channel} is not on air")).retry_after(Duration::from_secs(2))
    }

    pub fn internal(what: &str, cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "{what}");
        Self::new(Code::Internal, format!("{what}; the cause is in the server's log"))
    }

    pub fn problem(&self) -> Problem {
        let (name, status, title) = self.code.row();
        Problem {
            kind: format!("/problems/{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: self.code,
        }
    }

    pub fn ack<T>(self) -> Ack<T> {
        Ack::Refused(AckError { code: self.code, detail: self.detail })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::MalformedOffer(_) => Self::new(Code::MalformedOffer, detail),
            Refusal::MalformedFragment(_) => Self::invalid(detail),
            Refusal::Outdated => Self::new(Code::Conflict, detail),
            Refusal::NoCommonCodec(_) => Self::new(Code::NoCommonCodec, detail),
            Refusal::ChannelBusy(_) => Self::new(Code::ChannelBusy, detail),
            Refusal::NotLive(channel) => Self::not_live(channel),
            Refusal::Unknown => Self::new(Code::NotFound, detail),
            Refusal::Full(_) => Self::new(Code::Full, detail).retry_after(Duration::from_secs(10)),
            Refusal::ShuttingDown => Self::new(Code::ShuttingDown, detail).retry_after(Duration::from_secs(5)),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Away(cause) | StorageError::Refused(cause) => {
                tracing::warn!(cause, "a store did not do what a request needs");
                Self::new(Code::Away, "the database or the file store is away; nothing is lost, try again soon")
                    .retry_after(Duration::from_secs(5))
            }
            StorageError::NotFound => Self::not_found(),
            StorageError::Conflict => Self::new(Code::Conflict, "it was changed by somebody else in the meantime"),
            StorageError::Invalid(detail) => Self::invalid(detail),
            StorageError::Range { size } => Self::new(Code::RangeNotSatisfiable, format!("the file has {size} bytes")),
            StorageError::Corrupt(cause) => Self::internal("what is stored is damaged", cause),
            StorageError::Local(cause) => Self::internal("a local file cannot be read", cause),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.code.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if matches!(self.code, Code::BadKey | Code::KeyRequired) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"oxbow\""));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_a_status_and_a_problem() {
        for code in Code::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            let response = Error::new(code, "why").into_response();
            assert_eq!(response.status(), code.status());
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            let problem = serde_json::to_value(Error::new(code, "why").problem()).unwrap();
            assert_eq!(problem["type"], format!("/problems/{}", code.name()));
        }
    }

    #[test]
    fn refusals_of_the_media_plane_have_their_codes() {
        let main: media::id::ChannelName = "main".parse().unwrap();
        for (refusal, code) in [
            (Refusal::MalformedOffer("x".into()), Code::MalformedOffer),
            (Refusal::NoCommonCodec("av1".into()), Code::NoCommonCodec),
            (Refusal::ChannelBusy(main.clone()), Code::ChannelBusy),
            (Refusal::NotLive(main), Code::NotLive),
            (Refusal::Unknown, Code::NotFound),
            (Refusal::MalformedFragment("x".into()), Code::Invalid),
            (Refusal::Outdated, Code::Conflict),
            (Refusal::Full("sessions"), Code::Full),
            (Refusal::ShuttingDown, Code::ShuttingDown),
        ] {
            assert_eq!(Error::from(refusal).code, code);
        }
    }

    #[test]
    fn the_cause_of_a_store_stays_inside() {
        let error = Error::from(StorageError::Away("mongodb://oxbow@10.0.0.7".into()));
        assert!(!error.problem().detail.contains("10.0.0.7"));
        assert!(error.retry_after.is_some());
    }
}
