//! Which of the parts that Oxbow leans on are away, for pages and /readyz. Who asks them is `storage::Health`.

use storage::{Health, StoreStatus};

use crate::app::now_ms;
use crate::view::AwayPart;

/// Parts that do not work. With `or_unknown`, also those that have not answered for the first time.
pub fn away(health: &Health, or_unknown: bool) -> Vec<AwayPart> {
    let parts = [("storage", health.objects()), ("database", health.database())];
    parts.into_iter().filter_map(|(part, status)| of(part, status, or_unknown)).collect()
}

fn of(part: &str, status: StoreStatus, or_unknown: bool) -> Option<AwayPart> {
    let (since, error) = match status {
        StoreStatus::Here { .. } => return None,
        StoreStatus::Unknown if !or_unknown => return None,
        StoreStatus::Unknown => (now_ms(), "it has not answered yet".to_owned()),
        StoreStatus::Away { since_ms, error } => (since_ms as i64, error.to_string()),
    };
    Some(AwayPart { part: part.to_owned(), since, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_has_not_answered_is_not_ready_but_not_away() {
        assert!(of("storage", StoreStatus::Unknown, false).is_none());
        assert!(of("storage", StoreStatus::Unknown, true).is_some());
        assert!(of("storage", StoreStatus::Here { since_ms: 1 }, true).is_none());
        let away = StoreStatus::Away { since_ms: 5, error: storage::StorageError::Away("refused".into()) };
        assert_eq!(of("storage", away, false).map(|part| part.since), Some(5));
    }
}
