#!/usr/bin/env bash
# schemathesis, which asks the server whatever its own description allows, in an environment of its own.
. "$(dirname "$0")/lib.sh"
venv="$OXBOW_CACHE/schemathesis"
wanted="schemathesis==4.32.5"
[ -x "$venv/bin/schemathesis" ] && [ "$(cat "$venv/.wanted" 2>/dev/null)" = "$wanted" ] && exit 0
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted"
printf '%s' "$wanted" >"$venv/.wanted"
