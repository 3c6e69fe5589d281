//! Where the time of `fanout` goes: `perf record` of the server where perf is installed and allowed, and in any case the counters of the kernel and the server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::json;
use tokio::process::Command;

use super::{Line, fanout};

/// Symbols that are listed.
const SYMBOLS: usize = 40;
const FREQUENCY: &str = "1999";

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    fanout: fanout::Options,
}

/// A function and its share of the samples.
#[derive(Debug, PartialEq, Serialize)]
struct Symbol {
    percent: f64,
    symbol: String,
}

/// # Errors
/// As [`fanout::run`].
pub async fn run(options: Options) -> Result<Line> {
    let file = std::env::temp_dir().join(format!("oxbow-bench-perf-{}", std::process::id()));
    let (mut switches, mut missed) = (BTreeMap::new(), None);
    let figures = fanout::measure(options.fanout, async |pid, time| {
        let before = context_switches(pid)?;
        missed = record(pid, time, &file).await.err().map(|error| format!("{error:#}"));
        let after = context_switches(pid)?;
        let before = |name: &str| before.get(name).copied().unwrap_or(0);
        switches = after.into_iter().map(|(name, count)| (name.clone(), count.saturating_sub(before(&name)))).collect();
        Ok(())
    })
    .await?;
    let symbols = if missed.is_none() { report(&file).await? } else { Vec::new() };
    // Without perf there is no such file.
    let _ = fs::remove_file(&file);
    Ok(
        json!({ "case": "profile", "fanout": figures, "context_switches": switches, "without_perf": missed, "symbols": symbols }),
    )
}

async fn record(pid: u32, time: Duration, file: &Path) -> Result<()> {
    let output = Command::new("perf")
        .args(["record", "--quiet", "--freq", FREQUENCY, "--pid", &pid.to_string(), "--output"])
        .arg(file)
        .args(["--", "sleep", &time.as_secs().to_string()])
        .output()
        .await
        .context("perf")?;
    if !output.status.success() {
        bail!("perf: {}", String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("failed"));
    }
    Ok(())
}

async fn report(file: &Path) -> Result<Vec<Symbol>> {
    let output = Command::new("perf")
        .args([
            "report",
            "--stdio",
            "--no-children",
            "--percent-limit",
            "0.3",
            "--fields",
            "overhead,symbol",
            "--input",
        ])
        .arg(file)
        .output()
        .await
        .context("perf")?;
    Ok(symbols(&String::from_utf8_lossy(&output.stdout)))
}

/// Lines such as `    12.34%  [k] copy_user_generic`.
fn symbols(report: &str) -> Vec<Symbol> {
    let lines = report.lines().filter_map(|line| {
        let (percent, symbol) = line.trim().split_once('%')?;
        Some(Symbol { percent: percent.parse().ok()?, symbol: symbol.trim().to_owned() })
    });
    lines.take(SYMBOLS).collect()
}

/// Of all threads, by the thread's name and by whether it waited.
fn context_switches(pid: u32) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while it is looked at.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let name = field("Name:").unwrap_or("?");
        for (kind, label) in [("voluntary_ctxt_switches:", "waits"), ("nonvoluntary_ctxt_switches:", "preempted")] {
            let count: u64 = field(kind).and_then(|count| count.parse().ok()).unwrap_or(0);
            *all.entry(format!("{name} {label}")).or_default() += count;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let report = "# Overhead  Symbol\n# ...\n#\n    12.34%  [k] copy_user\n     0.50%  [.] media::seal<T>  \n\n";
        let expected = [(12.34, "[k] copy_user"), (0.5, "[.] media::seal<T>")];
        let expected: Vec<Symbol> =
            expected.map(|(percent, symbol)| Symbol { percent, symbol: symbol.to_owned() }).into();
        assert_eq!(symbols(report), expected);
    }

    #[test]
    fn this_process_waits_and_is_preempted() {
        let switches = context_switches(std::process::id()).unwrap();
        assert!(switches.keys().any(|name| name.ends_with(" waits")), "{switches:?}");
    }
}
