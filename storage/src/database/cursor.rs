//! The place after which a page goes on. Opaque to everybody else: `<start, ms>.<id>`, checked when it comes back.

use std::fmt;
use std::str::FromStr;

use crate::{Id, StorageError};

/// The last row of the page before. Rows sort by start, then id, newest first; both never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub started_at_ms: i64,
    pub id: Id,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started_at_ms, self.id)
    }
}

impl FromStr for Cursor {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        let parse = || {
            let (started_at_ms, id) = text.split_once('.')?;
            Some(Self { started_at_ms: started_at_ms.parse().ok()?, id: id.parse().ok()? })
        };
        parse()
            .filter(|cursor: &Self| cursor.to_string() == text)
            .ok_or_else(|| StorageError::Invalid("the cursor is not one that was handed out".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_handed_out_is_taken() {
        for started_at_ms in [0, -1, i64::MAX, i64::MIN] {
            let cursor = Cursor { started_at_ms, id: Id::new(5, 7) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let id = Id::new(5, 7);
        for bad in [
            "",
            ".",
            "1",
            "1.",
            &format!("+1.{id}"),
            &format!("01.{id}"),
            &format!("1.{id}x"),
            &format!(" 1.{id}"),
            "1.\0",
        ] {
            assert!(matches!(bad.parse::<Cursor>(), Err(StorageError::Invalid(_))), "{bad:?}");
        }
    }
}
