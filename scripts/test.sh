#!/usr/bin/env bash
# Everything: format, lints, unit tests, stories, conformance suites, browsers. Long tests run a sample here; `soak.sh` runs them in full.
. "$(dirname "$0")/lib.sh"
need cargo "install Rust 1.95 or newer (https://rustup.rs)"
need npm "install Node.js 20 or newer"
need python3 "install Python 3.11 or newer"

scripts/install-packages.sh test

step "Format"
cargo fmt --all --check

step "Web app: install, lint, types, units, build, size"
npm --prefix web ci --no-audit --no-fund --loglevel=error
npm --prefix web run --silent lint
npm --prefix web run --silent test
npm --prefix web run --silent build
npm --prefix web run --silent size

step "Test tools: S3 server, database server, aiortc, schemathesis, socket.io client"
scripts/install-test-tools.sh
scripts/install-python.sh
scripts/install-schemathesis.sh

step "Lints"
cargo clippy --locked --workspace --all-targets -- -D warnings

step "Unit tests, stories, conformance"
cargo test --locked --workspace --no-fail-fast

step "Browsers"
# The same selection as the tests: another one has other features, and builds the stores' clients anew.
cargo build --locked --workspace --all-targets
OXBOW_BIN="$CARGO_TARGET_DIR/debug/oxbow" BENCH_BIN="$CARGO_TARGET_DIR/debug/bench" npm --prefix web run --silent e2e
