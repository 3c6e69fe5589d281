//! From the SDK's errors to ours: away (try again), refused (somebody must change something), or not there.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::StorageError;
use crate::error::{CLOCK, NO_ACCESS, NO_BUCKET, chain, redact};

/// What is asked of an error of any operation, so that one function can judge them all.
pub(super) trait Failure {
    /// HTTP status, when the store answered.
    fn status(&self) -> Option<u16>;
    /// S3's error code, for instance `NoSuchKey`.
    fn code(&self) -> Option<&str>;
    fn message(&self) -> Option<&str>;
    fn text(&self) -> String;
}

impl<E> Failure for SdkError<E>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn status(&self) -> Option<u16> {
        self.raw_response().map(|response| response.status().as_u16())
    }

    fn code(&self) -> Option<&str> {
        ProvideErrorMetadata::code(self)
    }

    fn message(&self) -> Option<&str> {
        ProvideErrorMetadata::message(self)
    }

    fn text(&self) -> String {
        chain(self)
    }
}

pub(super) fn classify(error: &impl Failure, bucket: &str, secret: &str) -> StorageError {
    let (status, code) = (error.status(), error.code().unwrap_or_default());
    let said = || {
        let message = error.message().unwrap_or_default();
        let status = status.map_or(String::new(), |status| format!("HTTP {status} "));
        redact(format!("{status}{code}: {message}").trim_end_matches([':', ' ']), secret)
    };
    match (status, code) {
        (_, "NoSuchBucket") => StorageError::Refused(format!("{NO_BUCKET} '{bucket}' (NoSuchBucket)")),
        (_, "NoSuchKey" | "NotFound") | (Some(404), "") => StorageError::NotFound,
        (_, "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" | "OperationAborted") => {
            StorageError::Away(said())
        }
        (_, "BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest") => {
            StorageError::Away(format!("bytes were damaged on the way: {}", said()))
        }
        (_, "RequestTimeTooSkewed") => StorageError::Refused(format!("{CLOCK} too much: {}", said())),
        (Some(408 | 429 | 500 | 502 | 503 | 504), _) => StorageError::Away(said()),
        (Some(401 | 403), _) => StorageError::Refused(format!("{NO_ACCESS} '{bucket}' with these keys: {}", said())),
        (Some(300..), _) => StorageError::Refused(said()),
        _ => StorageError::Away(redact(&error.text(), secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    struct Answer(Option<u16>, &'static str);

    impl Failure for Answer {
        fn status(&self) -> Option<u16> {
            self.0
        }

        fn code(&self) -> Option<&str> {
            Some(self.1).filter(|code| !code.is_empty())
        }

        fn message(&self) -> Option<&str> {
            Some("key hunter2 is bad")
        }

        fn text(&self) -> String {
            "dispatch failure: hunter2: connection refused".into()
        }
    }

    #[test]
    fn what_somebody_must_change_is_named() {
        for (status, code, expected) in [
            (404, "NoSuchBucket", Reason::NoBucket),
            (403, "AccessDenied", Reason::NoAccess),
            (403, "SignatureDoesNotMatch", Reason::NoAccess),
            (403, "RequestTimeTooSkewed", Reason::Clock),
            (507, "XMinioStorageFull", Reason::Refused),
            (503, "SlowDown", Reason::Away),
        ] {
            assert_eq!(classify(&Answer(Some(status), code), "clips", "x").reason(), expected, "{code}");
        }
    }

    #[test]
    fn away_refused_and_missing_are_told_apart() {
        for (status, code, expected) in [
            (None, "", "away"),
            (Some(503), "SlowDown", "away"),
            (Some(500), "", "away"),
            (Some(400), "RequestTimeout", "away"),
            (Some(403), "AccessDenied", "refused"),
            (Some(403), "", "refused"),
            (Some(301), "PermanentRedirect", "refused"),
            (Some(400), "AuthorizationHeaderMalformed", "refused"),
            (Some(404), "NoSuchBucket", "refused"),
            (Some(501), "NotImplemented", "refused"),
            (Some(507), "XMinioStorageFull", "refused"),
            (Some(404), "NoSuchKey", "missing"),
            (Some(404), "", "missing"),
        ] {
            let found = classify(&Answer(status, code), "clips", "hunter2");
            let kind = match &found {
                StorageError::Away(_) => "away",
                StorageError::Refused(_) => "refused",
                StorageError::NotFound => "missing",
                other => panic!("{other}"),
            };
            assert_eq!(kind, expected, "{status:?} {code}");
            assert!(!found.to_string().contains("hunter2"));
        }
        assert!(classify(&Answer(Some(403), ""), "clips", "x").to_string().contains("'clips'"));
    }
}
