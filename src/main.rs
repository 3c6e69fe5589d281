//! The program `oxbow`: what it can be asked to do. How the server is built is in `serve.rs`.

mod assets;
mod check;
mod config;
mod figures;
mod folder;
mod key;
mod publish;
mod reach;
mod reindex;
mod serve;
mod shutdown;
mod telemetry;
mod whitelist;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// A live-streaming server: WebRTC in and out, recorded as clips.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Run the server (the default). Settings come from the environment and .env; see .env.example.
    Serve,
    /// Publish a test pattern over WHIP, with a number in every frame.
    Publish(publish::Publish),
    /// Compare the local job table, the journals, the file store and the database; nothing is changed.
    Check,
    /// Rebuild the database from the descriptions in the file store. A server may run meanwhile.
    Reindex(reindex::Reindex),
    /// Print all settings with their defaults, as .env.example has them.
    Settings,
    /// Make clips from journals; started by the server, jobs come on stdin.
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    match Arguments::parse().what.unwrap_or(What::Serve) {
        What::Worker => pipeline::worker_main(),
        What::Settings => {
            print!("{}", config::example());
            ExitCode::SUCCESS
        }
        What::Serve => configured(serve::serve),
        What::Publish(asked) => run(publish::publish(asked)),
        What::Check => configured(check::check),
        What::Reindex(asked) => configured(|config| reindex::reindex(config, asked)),
    }
}

/// Reads the settings, then runs `work` with them.
fn configured<F: Future<Output = ExitCode>>(work: impl FnOnce(Config) -> F) -> ExitCode {
    match Config::load() {
        Ok(config) => run(work(config)),
        Err(error) => {
            eprintln!("Oxbow cannot start, its settings are not right:\n{error}");
            ExitCode::from(2)
        }
    }
}

fn run(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            eprintln!("Oxbow cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
