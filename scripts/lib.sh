# Sourced by the other scripts: where things live, and how to say what happens.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OXBOW_CACHE="${OXBOW_CACHE:-$HOME/.cache/oxbow}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$OXBOW_CACHE/target}"
export OXBOW_TOOLS="${OXBOW_TOOLS:-$OXBOW_CACHE/bin}"
mkdir -p "$OXBOW_CACHE" "$OXBOW_TOOLS"

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'oxbow: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"; }
