//! The one error of this crate: a closed kind for the caller to act on, a cause for the log.
//!
//! No cause holds a secret: texts that come from a driver are passed through [`redact`] where a password could be in them.

/// Why a store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Unreachable, too slow, overloaded or restarting. Trying again later is right.
    #[error("the store is away: {0}")]
    Away(String),
    /// Reached, and it said no: wrong credentials, no such bucket, disk full, a newer schema. Trying again helps only
    /// after somebody changed something, so a person should see the cause.
    #[error("the store refused: {0}")]
    Refused(String),
    /// No such clip, broadcast or object.
    #[error("not found")]
    NotFound,
    /// The row has changed since the revision that the caller saw.
    #[error("changed by somebody else in the meantime")]
    Conflict,
    /// The request makes no sense: a malformed key, cursor, title or limit.
    #[error("invalid: {0}")]
    Invalid(String),
    /// A byte range that begins past the end of an object of `size` bytes (HTTP 416).
    #[error("the range begins past the end of {size} bytes")]
    Range { size: u64 },
    /// What is stored (or was about to be stored) is not what it should be: a hash or size differs, a row cannot be read.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// The local file that was to be stored cannot be read.
    #[error("local file: {0}")]
    Local(String),
}

/// How the texts of some refusals begin, by which [`StorageError::reason`] knows them.
pub(crate) const NO_BUCKET: &str = "there is no bucket";
pub(crate) const NO_ACCESS: &str = "no access to bucket";
pub(crate) const CLOCK: &str = "this machine's clock and the store's differ";
pub(crate) const DISK_FULL: &str = "the disk is full";

/// Why something waits to be stored, as one word for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No file could be made yet.
    Export,
    Away,
    NoBucket,
    /// Wrong or missing keys, or keys that may not do this.
    NoAccess,
    /// The clocks of this machine and the store differ.
    Clock,
    DiskFull,
    /// The store or the database said no for another reason.
    Refused,
    /// The local file is damaged or gone.
    File,
    Other,
}

impl Reason {
    pub const ALL: [Self; 9] = [
        Self::Export,
        Self::Away,
        Self::NoBucket,
        Self::NoAccess,
        Self::Clock,
        Self::DiskFull,
        Self::Refused,
        Self::File,
        Self::Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Away => "away",
            Self::NoBucket => "no_bucket",
            Self::NoAccess => "no_access",
            Self::Clock => "clock",
            Self::DiskFull => "disk_full",
            Self::Refused => "refused",
            Self::File => "file",
            Self::Other => "other",
        }
    }
}

impl StorageError {
    /// The kind of cause, for counting.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Away(_) => Reason::Away,
            Self::Refused(text) if text.starts_with(NO_BUCKET) => Reason::NoBucket,
            Self::Refused(text) if text.starts_with(NO_ACCESS) => Reason::NoAccess,
            Self::Refused(text) if text.starts_with(CLOCK) => Reason::Clock,
            Self::Refused(text) if text.starts_with(DISK_FULL) => Reason::DiskFull,
            Self::Refused(_) => Reason::Refused,
            Self::Corrupt(_) | Self::Local(_) => Reason::File,
            Self::NotFound | Self::Conflict | Self::Invalid(_) | Self::Range { .. } => Reason::Other,
        }
    }

    /// Whether the same call can succeed later without a change of its arguments.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Refused(_))
    }
}

/// An error and its sources in one line: outer text first, no source repeated that its parent already prints.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !part.is_empty() && !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = source.source();
    }
    text
}

/// `text` with every occurrence of `secret` struck out.
pub(crate) fn redact(text: &str, secret: &str) -> String {
    if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_out() {
        assert_eq!(redact("mongodb://me:hunter2@host: hunter2", "hunter2"), "mongodb://me:***@host: ***");
        assert_eq!(redact("plain", ""), "plain");
    }

    #[test]
    fn a_chain_names_each_cause_once() {
        let inner = std::io::Error::other("connection refused");
        let outer = std::io::Error::other(inner);
        assert_eq!(chain(&outer), "connection refused");
    }

    #[test]
    fn only_the_store_itself_is_worth_a_second_try() {
        assert!(StorageError::Away(String::new()).is_worth_retrying());
        assert!(StorageError::Refused(String::new()).is_worth_retrying());
        assert!(!StorageError::Corrupt(String::new()).is_worth_retrying());
        assert!(!StorageError::NotFound.is_worth_retrying());
    }
}
