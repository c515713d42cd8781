#!/bin/sh
# Sees to it that the servers are there which tests and clusters run for real: MariaDB with Galera,
# and GlusterFS. As root it installs the Debian packages that are missing and says which; otherwise
# it names them. Those servers run on free ports and in folders of their own.
set -eu

PATH=$PATH:/usr/sbin:/sbin
missing=
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need mariadbd mariadb-server
need rsync rsync
need glusterd glusterfs-server
need ip iproute2
[ -e /usr/lib/galera/libgalera_smm.so ] || missing="$missing galera-4"

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "missing Debian packages:$missing" >&2
    echo "install them, or do what needs none: make test-embedded, or leave out ENGINE=full" >&2
    exit 1
fi
echo "installing the Debian packages$missing"
apt-get update -q
# Unquoted on purpose: a list of names.
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
