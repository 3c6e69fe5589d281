//! `oxbow reindex`: the database rebuilt from the sidecars in the store. A server may run meanwhile.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use storage::reindex::Reindexed;

use crate::config::Config;
use crate::serve::{database, objects};

/// On a terminal the progress is told this often, elsewhere more seldom.
const TELL: Duration = Duration::from_millis(500);
const TELL_LOG: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct Reindex {
    /// Begin here: a channel, or `<channel>/<broadcast>` as an earlier run named it.
    #[arg(long)]
    from: Option<String>,
}

/// Successful when everything that lies in the store is in the database; status 1 when something was passed over, each named in a
/// line; 2 when the work could not be done.
pub async fn reindex(config: Config, asked: Reindex) -> ExitCode {
    // Not the lock of the folder: the stores can be shared, and the journals are not touched.
    let folder = config.data_dir.clone();
    let objects = match objects(&config, &folder) {
        Ok(objects) => objects,
        Err(error) => {
            eprintln!("Oxbow cannot reindex: {error}");
            return ExitCode::from(2);
        }
    };
    let mut progress = Progress::new();
    let mut walk = std::pin::pin!(storage::reindex::reindex(objects, database(&config, &folder), asked.from));
    while let Some(done) = walk.next().await {
        match done {
            Ok(done) => progress.add(done),
            Err(error) => {
                progress.tell();
                let go_on = if progress.place.is_empty() { "".into() } else { format!(" --from {}", progress.place) };
                eprintln!("\nOxbow cannot go on: {error}\nWhen it can: oxbow reindex{go_on}");
                return ExitCode::from(2);
            }
        }
    }
    progress.tell();
    eprintln!();
    if progress.losses == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Progress {
    /// The last broadcast that is done.
    place: String,
    broadcasts: u64,
    sum: Reindexed,
    losses: u64,
    is_terminal: bool,
    told: Instant,
}

impl Progress {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let (place, sum) = (String::new(), Reindexed::default());
        Self { place, broadcasts: 0, sum, losses: 0, is_terminal, told: Instant::now() }
    }

    fn add(&mut self, done: Reindexed) {
        for finding in &done.findings {
            println!("{finding}");
            self.losses += u64::from(finding.is_loss());
        }
        self.place = done.place;
        self.broadcasts += 1;
        self.sum.added += done.added;
        self.sum.updated += done.updated;
        self.sum.kept += done.kept;
        self.sum.buried += done.buried;
        if self.told.elapsed() > if self.is_terminal { TELL } else { TELL_LOG } {
            self.tell();
            if !self.is_terminal {
                eprintln!();
            }
            self.told = Instant::now();
        }
    }

    fn tell(&self) {
        let Reindexed { added, updated, kept, buried, .. } = &self.sum;
        let line = format!(
            "broadcasts: {}; clips: {added} added, {updated} updated, {kept} kept, {buried} deleted before; {} passed over",
            self.broadcasts, self.losses
        );
        let (again, end) = if self.is_terminal { ("\r", "\x1b[K") } else { ("", "") };
        eprint!("{again}{line}{end}");
        let _ = std::io::stderr().flush();
    }
}
