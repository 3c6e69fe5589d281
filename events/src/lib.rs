//! What happened leaves the house: webhooks are told of the events in the log, and the log is kept within its bounds.
//!
//! [`run`] is three tasks: the deliverer ([`deliver`]), which takes what is due from the job table, sends it signed and notes what
//! became of it; the upkeep ([`upkeep`]), which forgets old events and counts; and both only ever read and write rows, so that nothing
//! here can hold up a live, a recording, or a receiver that is well.
//!
//! Not here: what is an event and who wants it (storage, in the transaction that makes it true), who may ask (signaling). What receivers
//! may rely on: `docs/events.md`.

mod deliver;
mod send;
mod sign;
mod upkeep;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use storage::local::EventKeep;
use storage::{Database, Local, StorageError};
use tokio_util::sync::CancellationToken;

pub use sign::{Signer, SignerError};

/// How long things may take. The default is what `docs/events.md` promises.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// For one attempt, from the connection to the end of the answer.
    pub attempt: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(3600),
            attempt: Duration::from_secs(15),
        }
    }
}

#[derive(Clone, Debug)]
pub struct EventsConfig {
    pub keep: EventKeep,
    pub timing: Timing,
    /// Of the program, for the receivers' logs.
    pub version: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    #[error("the client of the webhooks cannot be made: {0}")]
    Client(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Delivers and keeps until `stop`. What is under way then is sent again by the next start.
///
/// # Errors
/// When it cannot begin. What goes wrong later is logged and tried again.
pub async fn run(
    config: EventsConfig,
    local: Local,
    database: Database,
    stop: CancellationToken,
) -> Result<(), EventsError> {
    let sender = send::Sender::new(&config)?;
    tokio::select! {
        () = deliver::run(&local, &sender, config.timing) => {}
        () = upkeep::run(&local, &database, config.keep) => {}
        () = stop.cancelled() => {}
    }
    Ok(())
}

/// UTC milliseconds since 1970.
fn utc_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
