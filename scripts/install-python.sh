#!/usr/bin/env bash
# aiortc, an independent WebRTC stack for the interoperability stories, in an environment of its own.
. "$(dirname "$0")/lib.sh"
venv="$OXBOW_CACHE/python"
wanted="aiortc==1.16.0 aiohttp==3.14.5"
[ -x "$venv/bin/python" ] && [ "$(cat "$venv/.wanted" 2>/dev/null)" = "$wanted" ] && exit 0
rm -rf "$venv"
python3 -m venv "$venv"
# shellcheck disable=SC2086 # two requirements
"$venv/bin/pip" install --quiet --disable-pip-version-check $wanted
printf '%s' "$wanted" >"$venv/.wanted"
