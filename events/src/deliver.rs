//! The deliverer: takes the heads of lines that are due, at most some of each webhook at a time, and notes what became of them. A
//! receiver that is slow or dead fills its own places and no other's.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use storage::local::{DueDelivery, Webhook, WebhookState};
use storage::{Id, Local, StorageError};
use tokio::task::{self, JoinSet};

use crate::send::{Outcome, Sender};
use crate::{Timing, utc_ms};

/// Attempts at a time for one webhook, each of another line.
const AT_ONCE: usize = 4;
/// Looked at this often at least.
const LOOK: Duration = Duration::from_secs(5);

/// Delivers whatever is due, for ever.
pub(crate) async fn run(local: &Local, sender: &Sender, timing: Timing) {
    let mut changed = local.changed();
    let mut under_way = UnderWay::default();
    loop {
        changed.borrow_and_update();
        if let Err(error) = begin(local, sender, timing, &mut under_way).await {
            tracing::warn!(%error, "what is due for webhooks cannot be read");
        }
        let now_ms = utc_ms();
        let next = local.next_delivery_due(now_ms).await.ok().flatten();
        let wait = next.map_or(LOOK, |at| Duration::from_millis((at - now_ms).max(1) as u64).min(LOOK));
        tokio::select! {
            _ = changed.changed() => {}
            () = under_way.ended(), if !under_way.is_empty() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Starts what is due and has a place.
async fn begin(local: &Local, sender: &Sender, timing: Timing, under_way: &mut UnderWay) -> Result<(), StorageError> {
    for webhook in local.webhooks().await?.into_iter().filter(|webhook| webhook.state == WebhookState::Active) {
        let free = AT_ONCE.saturating_sub(under_way.of(&webhook.id));
        if free == 0 {
            continue;
        }
        // those under way are still due, as far as the rows know
        let due = local.due_deliveries(webhook.id.clone(), utc_ms(), 2 * AT_ONCE as u32).await?;
        for due in due.into_iter().filter(|due| !under_way.has(&webhook.id, &due.line)).take(free).collect::<Vec<_>>() {
            let (local, sender, webhook) = (local.clone(), sender.clone(), webhook.clone());
            under_way.start(webhook.id.clone(), due.line.clone(), async move {
                deliver(&local, &sender, timing, &webhook, due).await;
            });
        }
    }
    Ok(())
}

async fn deliver(local: &Local, sender: &Sender, timing: Timing, webhook: &Webhook, due: DueDelivery) {
    let outcome = sender.attempt(webhook, &due.event).await;
    if let Err(error) = note(local, timing, webhook, &due, outcome).await {
        tracing::error!(%error, webhook = %webhook.id, "what became of a delivery cannot be noted; it is sent again");
        // the row still says that it is due
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn note(
    local: &Local,
    timing: Timing,
    webhook: &Webhook,
    due: &DueDelivery,
    outcome: Outcome,
) -> Result<(), StorageError> {
    let (id, event) = (webhook.id.clone(), due.event.id.clone());
    match outcome {
        Outcome::Delivered(attempt) => {
            count("delivered", 1);
            metrics::histogram!("oxbow_webhook_seconds").record(attempt.took_ms as f64 / 1000.0);
            local.delivered(id, event, attempt).await
        }
        Outcome::Failed { attempt, pause } => {
            count("failed", 1);
            if due.failures == 0 {
                let reason = attempt.reason.as_deref();
                tracing::warn!(webhook = %webhook.id, reason, "a webhook could not be told; it is tried for a day");
            }
            let next = attempt.at_ms + wait(timing, due.failures, pause).as_millis() as i64;
            let given_up = local.undelivered(id, event, attempt, next).await?;
            if given_up > 0 {
                count("given_up", given_up);
                tracing::error!(webhook = %webhook.id, events = given_up, "a webhook could not be told for a day: given up");
            }
            Ok(())
        }
        Outcome::Gone(attempt) => {
            count("failed", 1);
            tracing::warn!(webhook = %webhook.id, "the receiver of a webhook wants no more (410): it is disabled");
            let given_up = local.receiver_gone(id, event, attempt).await?;
            count("given_up", given_up);
            Ok(())
        }
    }
}

fn count(result: &'static str, number: u64) {
    metrics::counter!("oxbow_webhook_deliveries_total", "result" => result).increment(number);
}

/// Until the next attempt after so many failures before this one: doubled each time, the second half by chance, so that what failed
/// together does not come back together. What the receiver asks for counts when it is longer, up to the longest pause.
fn wait(timing: Timing, failures: u32, asked: Option<Duration>) -> Duration {
    let whole = timing.first_pause.saturating_mul(1 << failures.min(20)).min(timing.longest_pause);
    let half = whole / 2;
    let by_chance = half + half.mul_f64(rand::random::<f64>());
    by_chance.max(asked.unwrap_or_default().min(timing.longest_pause))
}

/// Attempts that have not ended.
#[derive(Default)]
struct UnderWay {
    running: JoinSet<()>,
    lines: HashMap<task::Id, (Id, String)>,
    busy: HashSet<(Id, String)>,
}

impl UnderWay {
    fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    fn of(&self, webhook: &Id) -> usize {
        self.busy.iter().filter(|(id, _)| id == webhook).count()
    }

    fn has(&self, webhook: &Id, line: &str) -> bool {
        self.busy.contains(&(webhook.clone(), line.to_owned()))
    }

    fn start(&mut self, webhook: Id, line: String, attempt: impl Future<Output = ()> + Send + 'static) {
        self.busy.insert((webhook.clone(), line.clone()));
        let task = self.running.spawn(attempt);
        self.lines.insert(task.id(), (webhook, line));
    }

    /// When one of them has ended. One that died is due again, as its row says.
    async fn ended(&mut self) {
        let Some(ended) = self.running.join_next_with_id().await else { return };
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => {
                tracing::error!(%error, "a delivery died");
                error.id()
            }
        };
        if let Some(line) = self.lines.remove(&task) {
            self.busy.remove(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_heed_the_receiver() {
        let timing = Timing::default();
        for (failures, whole) in [(0, 5), (1, 10), (5, 160), (10, 3600), (u32::MAX, 3600)] {
            for _ in 0..50 {
                let wait = wait(timing, failures, None).as_secs_f64();
                assert!((f64::from(whole) / 2.0..=f64::from(whole)).contains(&wait), "{failures}: {wait}");
            }
        }
        assert_eq!(wait(timing, 0, Some(Duration::from_secs(120))), Duration::from_secs(120));
        assert_eq!(wait(timing, 0, Some(Duration::from_secs(1_000_000))), timing.longest_pause);
    }

    #[test]
    fn a_day_has_enough_attempts() {
        let (mut spent, mut attempts) = (Duration::ZERO, 0);
        while spent < Duration::from_millis(storage::local::DELIVERY_MS as u64) {
            spent += wait(Timing::default(), attempts, None);
            attempts += 1;
        }
        assert!((30..=60).contains(&attempts), "{attempts}");
    }
}
