#!/usr/bin/env bash
# probe.sh CACHE_FOLDER: succeeds when this host can build and run Engram by itself.
#
# Looking costs a compilation, so the answer is kept in CACHE_FOLDER with the time stamps of everything it depends on: the tools,
# and what changes when a package is installed.
set -eu
cache=$1
file=$cache/host-toolchain
here=${BASH_SOURCE[0]%/*}
compiler=${CXX:-c++}

stamps=$(ls -ldL "$(command -v "$compiler")" "$(command -v cmake)" "$(command -v ninja)" "$here/probe.sh" \
    /var/lib/dpkg/status /opt/homebrew/Cellar /usr/local/Cellar /usr/local/include /usr/local/lib /usr/include 2>/dev/null || true)
if [ -r "$file" ]; then
    known=$(<"$file")
    if [ "$known" = "yes $stamps" ]; then exit 0; fi
    if [ "$known" = "no $stamps" ]; then exit 1; fi
fi

at_least() {  # at_least WANTED FOUND: compares major.minor
    local want_major=${1%%.*} want_minor=${1#*.} major=${2%%.*} minor=${2#*.}
    minor=${minor%%.*}
    [ "$major" -gt "$want_major" ] || { [ "$major" -eq "$want_major" ] && [ "$minor" -ge "${want_minor%%.*}" ]; }
}

host_has_everything() {
    local version folder
    for tool in "$compiler" cmake ninja node npm openssl pkg-config python3; do
        command -v "$tool" >/dev/null || return 1
    done
    version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
    at_least 3.28 "$version" || return 1
    pkg-config --atleast-version=0.7 llama && pkg-config --exists libblake3 libcurl libxxhash openssl prometheus-cpp-core sqlite3 gtest gmock isocline 'yaml-cpp >= 0.7' || return 1
    python3 -c 'import numpy, safetensors' || return 1
    folder=$(mktemp -d) || return 1
    cat >"$folder/probe.cc" <<'END'
#include <expected>
#include <print>
#if !__has_include(<CLI/CLI.hpp>) || !__has_include(<toml++/toml.hpp>) || !__has_include(<minja/minja.hpp>)
#error "a library is missing"
#endif
#if !__has_include(<nlohmann/json.hpp>) || !__has_include(<spdlog/spdlog.h>) || !__has_include(<boost/beast/http.hpp>) || !__has_include(<boost/process/v2/process.hpp>)
#error "a library is missing"
#endif
#include <llama.h>
int main() { std::println("{}", std::expected<int, int>(llama_max_devices() > 0 ? 1 : 0).value()); }
END
    # shellcheck disable=SC2046
    "$compiler" -std=c++23 $(pkg-config --cflags llama) "$folder/probe.cc" -o "$folder/probe" $(pkg-config --libs llama)
    version=$?
    rm -rf "$folder"
    return $version
}

if host_has_everything >/dev/null 2>&1; then answer=yes; else answer=no; fi
mkdir -p "$cache" 2>/dev/null && printf '%s' "$answer $stamps" 2>/dev/null >"$file" || true  # a cache only: without it, look again
[ "$answer" = yes ]
