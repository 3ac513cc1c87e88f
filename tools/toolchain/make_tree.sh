#!/usr/bin/env bash
# make_tree.sh TREE LIST: makes the tree with the packages that the file LIST names, or waits until another process has made it.
#
# The tree grows in TREE.partial and gets its name when it is whole. Downloaded packages are kept beside it until then, so that
# after an interruption only what is missing is fetched. Everything runs in a mount and process namespace of its own: when this
# script dies, by whatever signal, the work under it dies too and leaves no mount behind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$1 list=$2
partial=$tree.partial archives=$tree.archives log=$tree.log
read -r fetch_mb needed_mb < <(sed -nE 's/^# fetch ([0-9]+) MB, needs ([0-9]+) MB$/\1 \2/p' "$list")
. "$here/recipe.sh"

fail() {  # one sentence: what is wrong and what to do
    say ''
    printf 'dev: %s\n' "$*" >&2
    exit 1
}
if [ -t 2 ]; then
    say() { printf '\r\033[K%s' "$*" >&2; }
else
    say() { :; }
fi
step() {
    say ''
    printf 'toolchain: %s\n' "$*" >&2
}

trap 'say ""; echo "dev: interrupted; the same command goes on where this one stopped." >&2; exit 130' INT TERM HUP

# --- may we? -------------------------------------------------------------------------------------------------------------

command -v apt-get >/dev/null && command -v unshare >/dev/null && command -v flock >/dev/null || fail \
    "this host lacks a C++23 compiler, CMake 3.28, Ninja or libllama 0.7 with its headers, and has no apt to make a private" \
    "toolchain with: install what tools/toolchain/toolchain.txt lists through your system's package manager."

if [ "$(id -u)" = 0 ]; then
    isolate=(unshare --mount --pid --fork --kill-child --mount-proc)
    unshare --mount true 2>/dev/null || fail "this container may not make mount namespaces:" \
        "start it with CAP_SYS_ADMIN (docker run --privileged), or use a Debian $engram_suite image, where no tree is needed."
else
    isolate=(unshare --user --map-root-user --map-auto --mount --pid --fork --kill-child --mount-proc)
    unshare --user --map-root-user --mount true 2>/dev/null || fail "user namespaces are switched off for you:" \
        "ask for kernel.unprivileged_userns_clone=1 (or, on Ubuntu, kernel.apparmor_restrict_unprivileged_userns=0), or run this as root."
fi
mkdir -p "${tree%/*}" 2>/dev/null && [ -w "${tree%/*}" ] || fail "the folder ${tree%/*} can't be written:" \
    "set XDG_CACHE_HOME to one that can."

exec 9>"$tree.lock"
if ! flock --nonblock 9; then
    step "another checkout is making this toolchain; waiting for it"
    flock 9
fi
[ ! -d "$tree" ] || exit 0

remove_partial() { [ ! -e "$partial" ] || "${isolate[@]}" rm -rf --one-file-system "$partial"; }

# --- the tool that makes the tree ----------------------------------------------------------------------------------------

install_on_host() {  # install_on_host PACKAGE…: with apt, as root or through a sudo that asks nothing
    local as=()
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || fail "$* must be installed first, and only root can: run 'sudo apt-get install $*'."
        as=(sudo -n)
    fi
    step "installing $* on this system"
    {
        "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@" ||
            { "${as[@]}" apt-get update &&
                "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@"; }
    } >"$log" 2>&1 9>&- </dev/null || fail "apt-get could not install $* ($(reason)); the details are in $log."
}
missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
[ -n "$(ls /usr/share/keyrings/debian-archive-*keyring.gpg 2>/dev/null)" ] || missing+=(debian-archive-keyring)
if [ "$(id -u)" != 0 ] && ! command -v newuidmap >/dev/null; then missing+=(uidmap); fi

# The log, boiled down to the cause that a user can do something about.
reason() {
    local cause
    if grep -qsE 'No space left on device|not enough free space' "$log"; then
        echo "the disk under ${tree%/*} is full: free $needed_mb MB"
    elif grep -qsE 'Could not (resolve|connect)|Temporary failure resolving|Unable to connect|Network is unreachable|onnection timed out|onnection refused' "$log"; then
        echo "the package mirror can't be reached: check the network and the proxy settings of apt, then run the same command again"
    elif grep -qsE 'does not have a Release file|404 +Not Found' "$log"; then
        echo "the package mirror has no complete Debian $engram_suite: set ENGRAM_DEBIAN_MIRROR to one that has, or try again later"
    elif grep -qsE 'NO_PUBKEY|not signed|EXPKEYSIG' "$log"; then
        echo "the mirror's signature can't be checked: install a current debian-archive-keyring"
    else
        cause=$(grep -E '^E:' "$log" | head -n 1)
        cause=${cause:-$(tail -n 1 "$log" 2>/dev/null)}
        echo "${cause:0:160}"
    fi
}
[ ${#missing[@]} -eq 0 ] || install_on_host "${missing[@]}"
if [ "$(id -u)" != 0 ]; then
    "${isolate[@]}" true 2>/dev/null || fail "no range of subordinate user ids is set aside for $(id -un):" \
        "run 'sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)'."
fi

# --- where from ----------------------------------------------------------------------------------------------------------

# The host's own Debian archive, whatever its apt calls it: the address in front of /dists/ of a suite that isn't security's.
find_mirror() {
    apt-get --print-uris update 2>/dev/null |
        sed -nE "s|^'([^']+)/dists/[a-z]+(-updates)?/(InRelease\|Release)'.*|\1|p" | grep -vi security | sort | uniq -c |
        sort -rn | while read -r _ address; do
        case $address in */debian | */debian/) echo "$address" && break ;; esac
    done
}
# apt's options that say how to reach a mirror and what to think of its dates.
host_apt_options() {
    apt-config dump 2>/dev/null |
        grep -E '^Acquire::(http|https|ftp|socks|Retries|ForceIPv4|ForceIPv6|Check-Valid-Until|Check-Date|Max-ValidTime|Min-ValidTime)\b' |
        grep -vE ' "";$' | grep -vE ':: "' || true
}
mirror=${ENGRAM_DEBIAN_MIRROR:-$(find_mirror)}
[ -n "$mirror" ] || fail "apt on this host knows no Debian archive: set ENGRAM_DEBIAN_MIRROR to the address of one."

remove_partial
free_mb=$(df --output=avail -BM "${tree%/*}" | tail -n 1 | tr -dc 0-9)
[ "$free_mb" -ge "$needed_mb" ] || fail "the toolchain needs $needed_mb MB in ${tree%/*} and there are $free_mb:" \
    "free some, or set XDG_CACHE_HOME to a folder on another disk."

# --- make it -------------------------------------------------------------------------------------------------------------

packages=$(sed -e 's/#.*//' "$list" | tr -s ' \n' ',,' | sed -e 's/^,//' -e 's/,$//')
options=()
while read -r option; do [ -z "$option" ] || options+=(--aptopt="$option"); done < <(host_apt_options)

mkdir -p "$archives/partial"
step "making it in ${tree%/*} (once; about $fetch_mb MB to fetch, some minutes)"

report_progress() {  # reads mmdebstrap's messages, keeps them in the log, tells the user one line for each phase
    local line started=$SECONDS
    while true; do
        if IFS= read -r -t 1 line; then
            printf '%s\n' "$line" >>"$log"
            case $line in
                *'running apt-get update'*) step "reading the package lists" ;;
                *'downloading packages with apt'*) step "fetching the base system" ;;
                *'extracting archives'*) step "unpacking the base system" ;;
                *'installing remaining packages'*) step "fetching and installing what is needed" ;;
                'I: cleaning'*) step "tidying up" ;;
            esac
        elif [ $? -le 128 ]; then
            break
        fi
        say "  $((SECONDS - started)) s, $(du -sm "$archives" 2>/dev/null | cut -f1) MB fetched"
    done
    say ''
}
: >"$log"
# 9>&-: the lock must not outlive this script in a stray child.
setpriv --pdeathsig KILL "${isolate[@]}" mmdebstrap --mode=root --format=directory "${engram_tree_options[@]}" \
    --include="$packages" "${options[@]}" --keyring=/usr/share/keyrings \
    --skip=download/empty,essential/unlink,cleanup/apt/cache,check/empty \
    --setup-hook="mkdir -p \"\$1\"/var/cache/apt/archives && mount --bind '$archives' \"\$1\"/var/cache/apt/archives" \
    --customize-hook="umount \"\$1\"/var/cache/apt/archives" \
    --customize-hook="echo 'tree ${tree##*-}' >\"\$1\"/usr/share/engram-toolchain" \
    "$engram_suite" "$partial" "$mirror" 2>&1 9>&- </dev/null | report_progress 9>&- ||
    fail "the toolchain could not be made: $(reason); the details are in $log."

[ -e "$partial/usr/share/engram-toolchain" ] ||
    fail "the toolchain came out incomplete: run the same command again; the details are in $log."
mv "$partial" "$tree"
"${isolate[@]}" rm -rf "$archives"
step "ready ($(du -sxm "$tree" 2>/dev/null | cut -f1) MB in $tree)"
