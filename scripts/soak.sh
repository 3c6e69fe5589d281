#!/usr/bin/env bash
# The long tests with full counts, one after the other, and a table at the end; `make test` runs a sample of each, and all others. `soak.sh kill`
# runs those whose file has `kill` in its name.
. "$(dirname "$0")/lib.sh"
need cargo "install Rust 1.95 or newer (https://rustup.rs)"
need npm "install Node.js 20 or newer"
need python3 "install Python 3.11 or newer"

# Each file that reads OXBOW_SOAK (tests/tidy.rs compares), and how much of it that is.
LONG="
media/tests/stories/drift.rs      14 lives of 2 h with clocks that drift or are set
media/tests/stories/switches.rs   1050 changes of layer in each of 2 codecs
media/tests/stories/chaos.rs      100 seeds of everything at once
fuzz/tests/seeded.rs              100 times the mutations of 19 parsers
storage/tests/retention.rs        300 libraries
storage/tests/faults.rs           60 files through a line that fails
recorder/tests/stories/rollovers.rs  184 rollovers in 4 codecs, with files
recorder/tests/stories/damage.rs     1000 damaged journals in each of 4 codecs
recorder/tests/stories/headers.rs    333 spoilt headers in each of 4 codecs, 40 kills -9
recorder/tests/stories/faults.rs     300 clips through a store that fails
recorder/tests/stories/sidecars.rs   50 kills -9 of an editor
recorder/tests/stories/made.rs       108 kills -9 of orders
recorder/tests/stories/moments.rs    50 kills -9 in each phase of a clip
tests/exact_clips.rs              4 minutes live in each of 4 codecs, 200 rollovers
tests/hls.rs                      90 s live, replayed
tests/kill.rs                     20 kills -9 of a server that records
tests/events.rs                   20 kills -9 of a server that tells
tests/wire/schema.rs              400 requests to each operation
"
wanted="${1:-}"
logs="$OXBOW_CACHE/soak"
mkdir -p "$logs"

scripts/install-packages.sh test

step "Web app"
npm --prefix web ci --no-audit --no-fund --loglevel=error
npm --prefix web run --silent build

step "Test tools"
scripts/install-test-tools.sh
scripts/install-python.sh
scripts/install-schemathesis.sh

# What needs neither stores nor a server is built once more, optimised: hours of simulated live take minutes then.
step "Build"
built() { python3 -c '
import json, pathlib, sys
for line in sys.stdin:
    said = json.loads(line)
    if said.get("executable") and said["profile"]["test"]:
        room = pathlib.Path(said["manifest_path"]).parent
        print(room.name if room != pathlib.Path.cwd() else ".", said["target"]["kind"][0], said["target"]["name"], said["executable"])
'; }
cargo test --locked --profile soak -p media -p fuzz --test stories --test seeded --no-run --message-format=json | built >"$logs/optimised"
cargo test --locked --workspace --tests --no-run --message-format=json | built >"$logs/programs"

export OXBOW_SOAK=1
table=""
failed=0
while read -r file count; do
  [ -n "$file" ] && [[ "$file" == *"$wanted"* ]] || continue
  room="${file%%/*}" inside="${file#*tests/}" programs="$logs/programs" filter=""
  [ "$room" != tests ] || room=.
  case "$room" in media | fuzz) programs="$logs/optimised" ;; esac
  target="${inside%%/*}"
  target="${target%.rs}"
  [ "$target.rs" = "$inside" ] || filter="$(basename "$file" .rs)::"
  program="$(awk -v room="$room" -v target="$target" '$1 == room && $2 == "test" && $3 == target { print $4 }' "$programs")"
  [ -n "$program" ] || fail "no test program of $file"
  step "$file: $count"
  log="$logs/$(echo "${file%.rs}" | tr / -).log" began=$SECONDS verdict=passed
  # a filter that finds nothing would pass
  (cd "$room" && "$program" $filter --nocapture) >"$log" 2>&1 && grep -q "^running [1-9]" "$log" ||
    { verdict="FAILED, see $log" failed=1 && tail -n 40 "$log"; }
  table+="$(printf '%-36s %-58s %5d s  %s' "$file" "$count" $((SECONDS - began)) "$verdict")"$'\n'
done <<<"$LONG"

step "All long tests"
printf '%s' "$table"
exit "$failed"
