//! Whether the stores can be reached: asked behind everything else, again and again, so that others need not find out by waiting.
//!
//! While a store works it is asked every half minute or so; while it does not, after 1, 2, 4 … 30 s. Nothing depends on the
//! answer: every call finds out for itself. It is for /readyz, and to wake those who wait for a store to come back.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::utc_ms;
use crate::{Database, ObjectStore, StorageError};

/// Between two questions to a store that works.
const DATABASE: Duration = Duration::from_secs(30);
/// A canary costs three paid requests.
const OBJECTS: Duration = Duration::from_secs(60);
/// Between the first two questions to one that does not; doubles up to the last.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(30);

/// What is known of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// Not yet answered for the first time.
    Unknown,
    /// Works; `since_ms` is UTC.
    Here { since_ms: u64 },
    /// Does not work; `since_ms` is UTC. The error holds no secrets.
    Away { since_ms: u64, error: StorageError },
}

impl StoreStatus {
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here { .. })
    }
}

/// The latest status of both stores. Clones see the same.
#[derive(Clone, Debug)]
pub struct Health {
    objects: watch::Receiver<StoreStatus>,
    database: watch::Receiver<StoreStatus>,
}

impl Health {
    /// Begins to ask. The second value is the work itself: it runs where the caller runs it (usually a task of its own) and ends
    /// when `stop` is cancelled.
    pub fn watch(
        objects: ObjectStore,
        database: Database,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tell_objects, objects_status) = watch::channel(StoreStatus::Unknown);
        let (tell_database, database_status) = watch::channel(StoreStatus::Unknown);
        let work = async move {
            let asking = async {
                tokio::join!(
                    ask("file store", tell_objects, OBJECTS, || objects.canary()),
                    ask("database", tell_database, DATABASE, || database.ping()),
                )
            };
            stop.run_until_cancelled(asking).await;
        };
        (Self { objects: objects_status, database: database_status }, work)
    }

    pub fn objects(&self) -> StoreStatus {
        self.objects.borrow().clone()
    }

    pub fn database(&self) -> StoreStatus {
        self.database.borrow().clone()
    }

    /// Waits until one of the two changes between here and away. Never returns after the work has ended.
    pub async fn changed(&mut self) {
        let changed = tokio::select! {
            changed = self.objects.changed() => changed,
            changed = self.database.changed() => changed,
        };
        if changed.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn ask<F: Future<Output = Result<(), StorageError>>>(
    name: &str,
    tell: watch::Sender<StoreStatus>,
    every: Duration,
    question: impl Fn() -> F,
) {
    let mut pause = FIRST;
    loop {
        let answer = question().await;
        note(name, &tell, answer);
        let next = if tell.borrow().is_here() {
            pause = FIRST;
            every
        } else {
            let this = pause;
            pause = (pause * 2).min(LAST);
            this
        };
        // Spread, so that many nodes do not ask a store that comes back all at once.
        tokio::time::sleep(next.mul_f64(rand::random_range(0.8..1.2))).await;
    }
}

/// Receivers wake only when the store went or came back; a changed error text replaces the old one quietly.
fn note(name: &str, tell: &watch::Sender<StoreStatus>, answer: Result<(), StorageError>) {
    tell.send_if_modified(|status| match (&mut *status, answer) {
        (StoreStatus::Here { .. }, Ok(())) => false,
        (StoreStatus::Away { error, .. }, Err(now)) => {
            *error = now;
            false
        }
        (_, Ok(())) => {
            tracing::info!("the {name} is here");
            *status = StoreStatus::Here { since_ms: utc_ms() };
            true
        }
        (_, Err(error)) => {
            tracing::warn!(%error, "the {name} is away");
            *status = StoreStatus::Away { since_ms: utc_ms(), error };
            true
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_going_and_coming_wakes() {
        let (tell, mut status) = watch::channel(StoreStatus::Unknown);
        let away = |text: &str| Err(StorageError::Away(text.into()));
        for (answer, wakes) in
            [(Ok(()), true), (Ok(()), false), (away("refused"), true), (away("timed out"), false), (Ok(()), true)]
        {
            note("store", &tell, answer);
            assert_eq!(status.has_changed().unwrap(), wakes);
            status.mark_unchanged();
        }
        note("store", &tell, away("first"));
        note("store", &tell, away("second"));
        let StoreStatus::Away { error, .. } = tell.borrow().clone() else { panic!("not away") };
        assert_eq!(error, StorageError::Away("second".into()));
    }

    #[tokio::test]
    async fn both_stores_are_asked_and_the_work_ends() {
        let directory = tempfile::tempdir().unwrap();
        let blocked = directory.path().join("file");
        std::fs::write(&blocked, b"in the way").unwrap();
        let stop = CancellationToken::new();
        let database = Database::sqlite(directory.path().join("oxbow.db"));
        let (mut health, work) = Health::watch(ObjectStore::folder(blocked.join("objects")), database, stop.clone());
        assert_eq!(health.objects(), StoreStatus::Unknown);
        let work = tokio::spawn(work);
        while health.objects() == StoreStatus::Unknown || health.database() == StoreStatus::Unknown {
            health.changed().await;
        }
        assert!(health.database().is_here());
        assert!(matches!(health.objects(), StoreStatus::Away { .. }));
        stop.cancel();
        work.await.unwrap();
    }
}
