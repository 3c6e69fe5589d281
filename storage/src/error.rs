//! The one error of this crate: a closed kind for the caller to act on, a cause for the log.
//!
//! No cause holds a secret.

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

impl StorageError {
    /// Whether the same call can succeed later without a change of its arguments.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Refused(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_store_itself_is_worth_a_second_try() {
        assert!(StorageError::Away(String::new()).is_worth_retrying());
        assert!(StorageError::Refused(String::new()).is_worth_retrying());
        assert!(!StorageError::Corrupt(String::new()).is_worth_retrying());
        assert!(!StorageError::NotFound.is_worth_retrying());
    }
}
