//! `bench <case>`: runs one case and prints its figures as one JSON line.

use std::process::ExitCode;

use bench::case::fanout;
use clap::{Parser, Subcommand};

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
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let figures = match Arguments::parse().case {
        Case::Fanout(options) => fanout::run(options).await,
    };
    match figures.and_then(|figures| Ok(serde_json::to_string(&figures)?)) {
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
