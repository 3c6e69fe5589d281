#!/usr/bin/env bash
# Builds the web app and the server binary. `build.sh` is quick to build; `build.sh --release` embeds the web app and is quick to run.
# The Dockerfile calls this same script.
. "$(dirname "$0")/lib.sh"
need cargo "install Rust 1.95 or newer (https://rustup.rs)"
need npm "install Node.js 20 or newer"

step "Web app"
stamp="$OXBOW_CACHE/npm-$(sha256sum web/package-lock.json | cut -c1-16)-$(pwd | sha256sum | cut -c1-8)"
if [ ! -d web/node_modules ] || [ ! -e "$stamp" ]; then
  npm --prefix web ci --no-audit --no-fund --loglevel=error
  touch "$stamp"
fi
npm --prefix web run --silent build

step "Server"
cargo build --locked --bin oxbow "$@"
