//! Logs and figures: set up once, before anything else. JSON in production, text in development, on stderr.
//!
//! Nothing logs a query string or a secret; in case a library does, every line passes through [`Scrub`], which knows the secrets.

use std::io::{self, Write};
use std::sync::Arc;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use storage::Secret;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Environment;

/// Seconds: answers from memory, from a database, from a store far away.
const HTTP_SECONDS: &[f64] = &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
const LATENCY_SECONDS: &[f64] = &[0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0];

/// Counts before what is asked for, so that RUST_LOG may still name it: the DTLS library warns of every extension that browsers
/// send and it does not know, several lines a viewer.
const QUIET: &str = "rtc_dtls=error";

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("RUST_LOG is not a level or a list of module=level: {0}")]
    Filter(String),
    #[error("the figures cannot be set up: {0}")]
    Figures(String),
}

/// # Errors
/// See [`TelemetryError`].
pub fn start(environment: Environment, filter: &str, secrets: &[Secret]) -> Result<PrometheusHandle, TelemetryError> {
    let filter =
        EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|error| TelemetryError::Filter(error.to_string()))?;
    let writer = Scrubbing { secrets: secrets.iter().cloned().collect() };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match environment {
        Environment::Production => log.json().flatten_event(true).init(),
        Environment::Dev => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
    }
    let named = |name: &str| Matcher::Full(name.to_owned());
    let spans = media::stats::Spans::BOUNDS_US.map(|us| us as f64 / 1e6);
    PrometheusBuilder::new()
        .set_buckets_for_metric(named("oxbow_http_seconds"), HTTP_SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(named("oxbow_latency_seconds"), LATENCY_SECONDS))
        .and_then(|builder| builder.set_buckets_for_metric(named("oxbow_join_seconds"), &spans))
        .and_then(|builder| builder.set_buckets_for_metric(named("oxbow_first_picture_seconds"), &spans))
        .and_then(|builder| builder.set_buckets_for_metric(named("oxbow_forward_seconds"), &spans))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| TelemetryError::Figures(error.to_string()))
}

/// Makes a [`Scrub`] for every line.
struct Scrubbing {
    secrets: Arc<[Secret]>,
}

impl<'a> MakeWriter<'a> for Scrubbing {
    type Writer = Scrub;

    fn make_writer(&'a self) -> Scrub {
        Scrub { secrets: self.secrets.clone(), line: Vec::new() }
    }
}

/// One line on its way out.
struct Scrub {
    secrets: Arc<[Secret]>,
    line: Vec<u8>,
}

impl Write for Scrub {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        let line = scrub(&String::from_utf8_lossy(&self.line), &self.secrets);
        // Nobody is left to tell when stderr is gone.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

fn scrub(line: &str, secrets: &[Secret]) -> String {
    let mut line = line.to_owned();
    for secret in secrets {
        if line.contains(secret.expose()) {
            line = line.replace(secret.expose(), "***");
        }
    }
    // What a client sent as its key, right or wrong, in whatever line it may stand.
    const KEY: &str = "streamKey=";
    let mut clean = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(at) = rest.find(KEY) {
        let (before, after) = rest.split_at(at + KEY.len());
        let end = after.find(|c: char| c == '&' || c == '"' || c.is_whitespace()).unwrap_or(after.len());
        clean.push_str(before);
        clean.push_str("***");
        rest = &after[end..];
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_keys_in_queries_are_scrubbed() {
        let secrets = [Secret::new("canary")];
        for (line, clean) in [
            ("nothing here", "nothing here"),
            ("key canary, canary", "key ***, ***"),
            ("GET /socket.io/?EIO=4&streamKey=guess&t=1", "GET /socket.io/?EIO=4&streamKey=***&t=1"),
            ("{\"uri\":\"/?streamKey=guess\"} streamKey=", "{\"uri\":\"/?streamKey=***\"} streamKey=***"),
        ] {
            assert_eq!(scrub(line, &secrets), clean);
        }
    }
}
