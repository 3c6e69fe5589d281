#!/usr/bin/env bash
# Runs a command in a network of its own: loopback, and one end of a veth pair at 10.77.0.1. Firefox gathers no loopback candidates, so
# what it talks to needs an address; here it has one on every machine, and nothing outside is reached.
# As root, or as anybody where the kernel lets users have namespaces.
set -euo pipefail
if [ "${OXBOW_NETWORK:-}" != 1 ]; then
  own=(unshare --net)
  [ "$(id -u)" -eq 0 ] || own=(unshare --user --map-root-user --net)
  OXBOW_NETWORK=1 exec "${own[@]}" "$0" "$@"
fi
ip link set lo up
ip link add oxbow0 type veth peer name oxbow1
ip addr add 10.77.0.1/24 dev oxbow0
ip link set oxbow0 up
ip link set oxbow1 up
# Browsers ask for the route to the world before they gather.
ip route add default via 10.77.0.254 dev oxbow0
exec "$@"
