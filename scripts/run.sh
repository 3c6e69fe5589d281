#!/usr/bin/env bash
# Starts Oxbow on the embedded defaults. With DEMO=1 a test pattern is published through the real WHIP path as well.
. "$(dirname "$0")/lib.sh"
oxbow="$CARGO_TARGET_DIR/debug/oxbow"

if [ "${DEMO:-}" = 1 ]; then
  # Clips within seconds, unless a length was chosen.
  grep -qs '^CLIP_LENGTH=' .env || export CLIP_LENGTH="${CLIP_LENGTH:-10}"
  # Everybody who looks at the demonstration sees its clips.
  grep -qs '^CLIP_VISIBILITY=' .env || export CLIP_VISIBILITY="${CLIP_VISIBILITY:-published}"
  # The publisher waits for the server by itself and ends with it.
  "$oxbow" publish --demo &
  publisher=$!
  trap 'kill "$publisher" 2>/dev/null || true' EXIT
  "$oxbow" serve
else
  exec "$oxbow" serve
fi
