//! `bench <case>`: runs one case and prints its figures, one JSON line each.

use std::process::ExitCode;

use anyhow::Result;
use bench::case::{Line, clip, fanout, join, latency, look, loss, memory, profile, publish, record};
use bench::relay;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Load and figures, against Oxbow or any WHIP/WHEP server")]
struct Arguments {
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand)]
enum Case {
    /// Files from journals: how fast they are made, whole and trimmed.
    Clip(clip::Options),
    /// One publisher, many viewers: CPU per forwarded packet.
    Fanout(fanout::Options),
    /// A storm of joins: CPU and memory of one, time to the first packet and the first keyframe.
    Join(join::Options),
    /// How long packets stay in the server, at shares of its saturation.
    Latency(latency::Options),
    /// What it costs to look at finished clips.
    Look(look::Options),
    /// Viewers come and go, and nothing of them remains.
    Memory(memory::Options),
    /// Many small broadcasts.
    Publish(publish::Options),
    /// What recording costs, against the same broadcasts that are not recorded.
    Record(record::Options),
    /// Lines that lose packets: how much is repaired.
    Loss(loss::Options),
    /// Where the time of `fanout` goes.
    Profile(profile::Options),
    /// A bad network in front of a server: prints where it listens, relays until standard input ends.
    Relay(relay::run::Options),
}

fn main() -> ExitCode {
    // The cases `clip` and `look` start this program again as the process that works on files.
    match std::env::args().nth(1).as_deref() {
        Some("worker") => pipeline::worker_main(),
        _ => measure(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn measure() -> ExitCode {
    match run(Arguments::parse().case).await {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(case: Case) -> Result<Vec<Line>> {
    Ok(match case {
        Case::Clip(options) => vec![clip::run(options).await?],
        Case::Fanout(options) => vec![fanout::run(options).await?],
        Case::Join(options) => vec![join::run(options).await?],
        Case::Latency(options) => latency::run(options).await?,
        Case::Memory(options) => vec![memory::run(options).await?],
        Case::Publish(options) => vec![publish::run(options).await?],
        Case::Record(options) => vec![record::run(options).await?],
        Case::Look(options) => vec![look::run(options).await?],
        Case::Loss(options) => vec![loss::run(options).await?],
        Case::Profile(options) => vec![profile::run(options).await?],
        Case::Relay(options) => vec![serde_json::to_value(relay::run::run(options).await?)?],
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn no_two_options_have_one_name() {
        Arguments::command().debug_assert();
    }
}
