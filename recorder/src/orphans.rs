//! Aborts multipart uploads that nobody will complete: at start, then daily.

use std::sync::Arc;
use std::time::Duration;

use storage::StorageError;

use crate::desk::Desk;

/// Another node may use the same bucket: what is younger may be one of its own.
const AGE: Duration = Duration::from_secs(24 * 3600);
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// After a failure: the store is away, or somebody has to change a policy.
const AGAIN: Duration = Duration::from_secs(600);

pub(crate) async fn run(desk: Arc<Desk>) {
    loop {
        let wait = match sweep(&desk).await {
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

async fn sweep(desk: &Desk) -> Result<u64, StorageError> {
    let keep = desk.stores.local.open_uploads().await?;
    desk.stores.objects.abort_orphans(AGE, &keep).await
}
