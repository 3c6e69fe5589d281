//! `bench <case>`: runs one case and prints its figures as one JSON line.

use std::process::ExitCode;

use bench::case::fanout;
use bench::relay;
use clap::{Parser, Subcommand};
use serde::Serialize;

#[derive(Parser)]
#[command(about = "Load and figures, against Oxbow or any WHIP/WHEP server")]
struct Arguments {
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand)]
enum Case {
    /// One publisher, many viewers: CPU per forwarded packet.
    Fanout(fanout::Options),
    /// A bad network in front of a server: prints where it listens, relays until standard input ends.
    Relay(relay::run::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let figures = match Arguments::parse().case {
        Case::Fanout(options) => fanout::run(options).await.and_then(line),
        Case::Relay(options) => relay::run::run(options).await.and_then(line),
    };
    match figures {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn line(figures: impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&figures)?)
}
