#!/usr/bin/env bash
# Debian packages that Oxbow needs. `install-packages.sh` for building and running, `install-packages.sh test` for the tests
# as well. Installs only what is missing, so that a second call needs neither root nor network.
. "$(dirname "$0")/lib.sh"

packages=(
  build-essential cmake pkg-config
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  gstreamer1.0-libav gstreamer1.0-x
)
if [ "${1:-}" = test ]; then
  packages+=(ffmpeg chromium coturn firefox-esr fonts-dejavu-core gstreamer1.0-tools curl procps iproute2 util-linux)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

step "Installing ${missing[*]}"
as_root=()
[ "$(id -u)" -eq 0 ] || { need sudo "run as root, or install: ${missing[*]}"; as_root=(sudo); }
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$OXBOW_CACHE/apt.log" 2>&1 ||
  fail "apt-get could not install them; see $OXBOW_CACHE/apt.log"
