//! Aborts multipart uploads that nobody will complete: at start, then daily.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::desk::Desk;

/// No upload takes as long as this. Another node may use the same bucket: what is younger may be one of its own.
const AGE: Duration = Duration::from_secs(24 * 3600);
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// After a failure: the store is away, or somebody has to change a policy.
const AGAIN: Duration = Duration::from_secs(600);

pub(crate) async fn run(desk: Arc<Desk>) {
    loop {
        let wait = match desk.stores.objects.abort_orphans(AGE, &BTreeSet::new()).await {
            Ok(0) => EVERY,
            Ok(aborted) => {
                tracing::info!(aborted, "multipart uploads that nobody would complete were aborted");
                metrics::counter!("oxbow_orphaned_uploads_total").increment(aborted);
                EVERY
            }
            Err(error) => {
                tracing::debug!(%error, "unfinished multipart uploads cannot be cleared away now");
                AGAIN
            }
        };
        tokio::time::sleep(wait).await;
    }
}
