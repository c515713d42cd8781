#!/bin/sh
# Sees to it that the programs are there which tests and clusters run for real: MariaDB with Galera,
# GlusterFS, nginx with njs, HAProxy, and Chromium with two players from npm; or, with the word bench,
# those that tnv is measured beside.
# As root it installs the Debian packages that are missing and says which; otherwise it names them.
# Those servers run on free ports and in folders of their own. Of Prometheus only promtool is taken
# out of its package: installing the package would start a server.
set -eu
cd "$(dirname "$0")/.."

PATH=$PATH:/usr/sbin:/sbin
missing=
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
# Where the tests look for it first.
tools=${CARGO_TARGET_DIR:-target}/tools
promtool=
fetch_promtool() {
    work=$(mktemp -d)
    (cd "$work" && apt-get download -q prometheus)
    dpkg-deb --extract "$work"/prometheus_*.deb "$work/root"
    mkdir -p "$tools"
    mv "$work/root/usr/bin/promtool" "$tools/"
    rm -rf "$work"
}
# The players, in the versions and with the checksums of package-lock.json.
players=$tools/players
has_players() {
    [ -e "$players/node_modules/hls.js/dist/hls.min.js" ] &&
        [ -e "$players/node_modules/dashjs/dist/modern/umd/dash.all.min.js" ] &&
        cmp -s test-cluster/players/package-lock.json "$players/package-lock.json"
}
fetch_players() {
    echo "installing hls.js and dash.js from npm"
    mkdir -p "$players"
    cp test-cluster/players/package.json test-cluster/players/package-lock.json "$players/"
    npm ci --prefix "$players" --ignore-scripts --no-audit --no-fund --loglevel=error
}
need mariadbd mariadb-server
need nginx nginx-light
need ip iproute2
if [ "${1:-}" = bench ]; then
    need redis-server redis-server
else
    [ -e /usr/lib/nginx/modules/ngx_http_js_module.so ] || missing="$missing libnginx-mod-http-js"
    need haproxy haproxy
    need curl curl
    need openssl openssl
    need python3 python3
    need rsync rsync
    need chromium chromium
    need npm npm
    need glusterd glusterfs-server
    [ -e /usr/lib/galera/libgalera_smm.so ] || missing="$missing galera-4"
    [ -x "$tools/promtool" ] || command -v promtool >/dev/null 2>&1 || promtool=prometheus
fi

if [ -n "$missing$promtool" ] && [ "$(id -u)" -ne 0 ]; then
    echo "missing Debian packages, to be installed first:$missing $promtool" >&2
    [ "${1:-}" = bench ] ||
        echo "or do what needs none: make test-embedded, or leave out ENGINE=full" >&2
    exit 1
fi
[ -z "$missing$promtool" ] || apt-get update -q
if [ -n "$missing" ]; then
    echo "installing the Debian packages$missing"
    # Unquoted on purpose: a list of names.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
fi
if [ -n "$promtool" ]; then
    echo "taking promtool out of the Debian package prometheus"
    fetch_promtool
fi
if [ "${1:-}" != bench ] && ! has_players; then
    fetch_players
fi
