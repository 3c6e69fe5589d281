//! Keeps the log within its bounds, says what became of edits that a crash or an outage left open, and counts.

use std::time::Duration;

use storage::local::EventKeep;
use storage::{Database, Local, StorageError};
use tokio::time::Instant;

use crate::utc_ms;

const COUNT: Duration = Duration::from_secs(5);
const TIDY: Duration = Duration::from_secs(60);
/// An edit that was begun so long ago is no longer under way: the database answers or fails within seconds.
const OPEN_EDIT_MS: i64 = 60_000;

/// For ever.
pub(crate) async fn run(local: &Local, database: &Database, keep: EventKeep) {
    // What an earlier run left open is of nobody who still works on it.
    let mut open_before_ms = utc_ms();
    let mut tidy_at = Instant::now();
    loop {
        if Instant::now() >= tidy_at {
            tidy_at = Instant::now() + TIDY;
            match local.settle_edits(database, open_before_ms).await {
                Ok(_) => {}
                // Changed or not, it is said when the database is back.
                Err(error) => tracing::debug!(%error, "edits stay open for now"),
            }
            open_before_ms = open_before_ms.max(utc_ms() - OPEN_EDIT_MS);
            if let Err(error) = prune(local, keep).await {
                tracing::warn!(%error, "old events stay for now");
            }
        }
        if let Err(error) = figures(local).await {
            tracing::warn!(%error, "the figures of the webhooks cannot be read");
        }
        tokio::time::sleep(COUNT).await;
    }
}

async fn prune(local: &Local, keep: EventKeep) -> Result<(), StorageError> {
    loop {
        let gone = local.prune_events(keep, utc_ms()).await?;
        if gone.deliveries > 0 {
            metrics::counter!("oxbow_webhook_deliveries_total", "result" => "forgotten").increment(gone.deliveries);
            let deliveries = gone.deliveries;
            tracing::error!(
                deliveries,
                "events were forgotten that webhooks still waited for: EVENT_KEEP_ROWS is too small"
            );
        }
        if !gone.more {
            return Ok(());
        }
    }
}

async fn figures(local: &Local) -> Result<(), StorageError> {
    let waiting = local.waiting_deliveries().await?;
    let oldest = waiting.iter().filter_map(|(_, waiting)| waiting.oldest_ms).min();
    let age_ms = oldest.map_or(0, |oldest| (utc_ms() - oldest).max(0));
    metrics::gauge!("oxbow_webhook_waiting")
        .set(waiting.iter().map(|(_, waiting)| waiting.deliveries).sum::<u64>() as f64);
    metrics::gauge!("oxbow_webhook_oldest_seconds").set(age_ms as f64 / 1000.0);
    Ok(())
}
