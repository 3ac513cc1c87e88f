#!/usr/bin/env bash
# run.sh FOLDER PROGRAM: installs the clients into FOLDER (about a gigabyte, from npm, once) and runs the tests of them, in a
# network namespace that has nothing but loopback: these clients call home where they can.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
cd "$1"
cp "$here"/package.json "$here"/*.mjs "$here"/../sdk/server.mjs .
# Two of them fetch their programs after they were installed: allowScripts in package.json lets them, where npm asks.
npm install --no-package-lock --no-audit --no-fund
export ENGRAM_PROGRAM=$2
unshare=(unshare --net)
[ "$(id -u)" = 0 ] || unshare=(unshare --user --map-root-user --net)
loopback_up='import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh22x", b"lo", 0x41))'
exec "${unshare[@]}" sh -c 'python3 -c "$1" && exec node --test --test-reporter=spec clients.test.mjs' sh "$loopback_up"
