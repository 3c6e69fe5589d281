#!/usr/bin/env bash
# Fuzzes parsers by libFuzzer with coverage: `fuzz.sh [seconds per target] [target…]`, 60 s and all targets by default.
# Stable Rust will do: the instrumentation is a pass of LLVM, and without a sanitizer nothing needs a nightly compiler.
# What it learns lies in the cache; findings are left in fuzz/artifacts/. `fuzz.sh keep [target…]` adds to the corpus what covers more.
. "$(dirname "$0")/lib.sh"
need cargo "install Rust 1.95 or newer (https://rustup.rs)"
need c++ "install a C++ compiler (Debian: build-essential)"

mode=run seconds=60
case "${1:-}" in
  keep) mode=keep; shift ;;
  [0-9]*) seconds=$1; shift ;;
esac
host=$(rustc -vV | sed -n 's/^host: //p')

step "Build with coverage"
# The flags that cargo-fuzz passes, but for the sanitizer. A named target keeps them off build scripts and procedural macros.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
  CARGO_TARGET_DIR="$CARGO_TARGET_DIR/fuzz" \
  cargo build --locked --quiet -p fuzz --features libfuzzer --bin fuzz --target "$host"
fuzz="$CARGO_TARGET_DIR/fuzz/$host/debug/fuzz"

names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(ls fuzz/corpus)
mkdir -p fuzz/artifacts
for name in "${names[@]}"; do
  learned="$OXBOW_CACHE/fuzz/$name"
  mkdir -p "$learned" "fuzz/corpus/$name"
  seeds=("fuzz/corpus/$name")
  [ "$name" = offer ] && seeds+=(media/tests/offers)
  case $name in dtls) len=6000 ;; offer) len=16384 ;; journal | framing) len=8000 ;; live) len=4000 ;; *) len=1500 ;; esac
  if [ "$mode" = keep ]; then
    step "Keep what covers more: $name"
    "$fuzz" "--target=$name" -merge=1 -max_len="$len" "${seeds[@]}" "$learned" 2>&1 | tail -n 1
  else
    step "Fuzz $name for $seconds s"
    "$fuzz" "--target=$name" -max_total_time="$seconds" -max_len="$len" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="fuzz/artifacts/$name-" "$learned" "${seeds[@]}" 2>&1 |
      tee "$OXBOW_CACHE/fuzz/$name.log" | grep -E 'SUMMARY|panicked|stat::number_of_executed_units|Test unit written|ERROR' ||
      fail "$name did not run; see $OXBOW_CACHE/fuzz/$name.log"
    ! ls "fuzz/artifacts/$name-"* >/dev/null 2>&1 || fail "findings: $(ls "fuzz/artifacts/$name-"*)"
  fi
done
