#!/bin/sh
# Sees to it that the servers are there which tests and clusters run for real: MariaDB with Galera,
# and GlusterFS; or, with the word bench, those that tnv is measured beside. As root it installs the
# Debian packages that are missing and says which; otherwise it names them. Those servers run on
# free ports and in folders of their own.
set -eu

PATH=$PATH:/usr/sbin:/sbin
missing=
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need mariadbd mariadb-server
if [ "${1:-}" = bench ]; then
    need nginx nginx-light
    need redis-server redis-server
else
    need rsync rsync
    need glusterd glusterfs-server
    need ip iproute2
    [ -e /usr/lib/galera/libgalera_smm.so ] || missing="$missing galera-4"
fi

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "missing Debian packages, to be installed first:$missing" >&2
    [ "${1:-}" = bench ] ||
        echo "or do what needs none: make test-embedded, or leave out ENGINE=full" >&2
    exit 1
fi
echo "installing the Debian packages$missing"
apt-get update -q
# Unquoted on purpose: a list of names.
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
