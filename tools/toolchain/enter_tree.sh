#!/usr/bin/env bash
# enter_tree.sh TREE CHECKOUT CMD…: becomes CMD, with the tree's /usr in place of the host's.
#
# The tree is laid over the host in a mount namespace of CMD's own: /usr, the folders of the top level that are not links into it,
# and from /etc what names things in /usr. Nothing else changes, so every path of the host keeps its meaning, and no other process
# sees any of it. Without root the same is done in a user namespace, and a second one inside gives CMD the user's own id back, so
# that file permissions mean what they mean outside.
set -eu
tree=$1 root=$2
shift 2
export ENGRAM_TREE=$tree ENGRAM_CHECKOUT=$root ENGRAM_PWD=$PWD ENGRAM_IDS="$(id -u) $(id -g)"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
# What points into the host's libraries is wrong in the tree.
unset LD_LIBRARY_PATH LD_PRELOAD PYTHONHOME PYTHONPATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH CPATH LIBRARY_PATH

overlay='
set -eu
tree=$ENGRAM_TREE
for path in "$ENGRAM_CHECKOUT" "$ENGRAM_PWD" "$HOME" ${ENGRAM_HOME:+"$ENGRAM_HOME"}; do
    case $path/ in
        /usr/*) [ ! -d "$path" ] || { mkdir -p "$tree$path" && mount --rbind "$path" "$tree$path"; } ;;
    esac
done
for dir in bin sbin lib lib32 lib64 libx32; do
    if [ -d /$dir ] && [ ! -L /$dir ] && [ -d "$tree/usr/$dir" ]; then mount --bind "$tree/usr/$dir" /$dir; fi
done
[ ! -d /etc/alternatives ] || mount --bind "$tree/etc/alternatives" /etc/alternatives
[ ! -e /etc/ld.so.cache ] || mount --bind "$tree/etc/ld.so.cache" /etc/ld.so.cache
mount --rbind "$tree/usr" /usr
cd "$ENGRAM_PWD"
uid=${ENGRAM_IDS% *} gid=${ENGRAM_IDS#* }
unset ENGRAM_TREE ENGRAM_CHECKOUT ENGRAM_PWD ENGRAM_IDS
'
if [ "$(id -u)" = 0 ]; then
    exec unshare --mount -- /bin/sh -c "$overlay"'exec "$@"' sh "$@"
fi
exec unshare --user --map-root-user --mount -- \
    /bin/sh -c "$overlay"'exec unshare --user --map-user="$uid" --map-group="$gid" -- "$@"' sh "$@"
