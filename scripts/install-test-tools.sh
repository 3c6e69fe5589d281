#!/usr/bin/env bash
# The servers that the tests start: an S3 server (s3s-fs) and one that speaks MongoDB's wire protocol (FerretDB 1 on SQLite).
# Both are built from source into $OXBOW_TOOLS; a second call finds the right versions there and needs no network.
. "$(dirname "$0")/lib.sh"
s3s_version=0.14.1
ferretdb_version=v1.24.2

# `is_there <name> <version>`: of that version, and it runs.
is_there() {
  [ "$(cat "$OXBOW_TOOLS/.$1.version" 2>/dev/null)" = "$2" ] && "$OXBOW_TOOLS/$1" --help >/dev/null 2>&1
}
# `put_there <file> <name> <version>`: atomically, so that an interrupted run leaves no half a program.
put_there() {
  cp "$1" "$OXBOW_TOOLS/.$2.new"
  mv "$OXBOW_TOOLS/.$2.new" "$OXBOW_TOOLS/$2"
  printf '%s' "$3" >"$OXBOW_TOOLS/.$2.version"
}

if ! is_there s3s-fs "$s3s_version"; then
  need cargo "install Rust 1.95 or newer (https://rustup.rs)"
  step "Building s3s-fs $s3s_version (S3 server for the tests)"
  work="$OXBOW_CACHE/build/s3s-fs"
  mkdir -p "$work"
  CARGO_TARGET_DIR="$work/target" cargo install --quiet s3s-fs --version "$s3s_version" --features binary --locked --force --root "$work/root"
  put_there "$work/root/bin/s3s-fs" s3s-fs "$s3s_version"
fi

# A real MongoDB is preferred where there is one. (One at $MONGO_TEST_URL cannot be stopped and started by the tests that need that.)
if command -v mongod >/dev/null 2>&1; then
  exit 0
fi
if ! is_there ferretdb "$ferretdb_version"; then
  if ! command -v go >/dev/null 2>&1; then
    [ "${CI:-}" = true ] && fail "go is missing: install Go 1.23 or newer, or a mongod"
    printf '\noxbow: go is missing, so the tests will leave MongoDB out. Install Go 1.23 or newer, or a mongod.\n\n' >&2
    exit 0
  fi
  step "Building FerretDB $ferretdb_version (MongoDB's wire protocol for the tests)"
  work="$OXBOW_CACHE/build/ferretdb"
  mkdir -p "$work"
  # Not `go install …@version`: that asks the proxy for more than every mirror answers, and the program refuses to start without
  # a version file that its repository generates.
  rm -rf "$work/source"
  cat >"$work/go.mod" <<MODULE
module oxbow.test/tools

go 1.23

require github.com/FerretDB/FerretDB $ferretdb_version
MODULE
  (
    cd "$work"
    GOFLAGS=-mod=mod go mod download github.com/FerretDB/FerretDB
    cp -r "$(GOFLAGS=-mod=mod go list -m -f '{{.Dir}}' github.com/FerretDB/FerretDB)" source
    chmod -R u+w source
    cd source
    printf '%s\n' "$ferretdb_version" >build/version/version.txt
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -o ../ferretdb.new ./cmd/ferretdb
  ) || fail "FerretDB could not be built in $work"
  put_there "$work/ferretdb.new" ferretdb "$ferretdb_version"
  rm -rf "$work/ferretdb.new" "$work/source"
fi
is_there ferretdb "$ferretdb_version" || fail "$OXBOW_TOOLS/ferretdb does not run"
