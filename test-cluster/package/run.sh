#!/bin/sh
# run.sh BUILT: shows the Debian package of the programs in the folder BUILT working.
#
# It checks what is installed (shellcheck, systemd-analyze, lintian), makes a Debian root in a
# temporary folder, and there lives the life of the package: see steps.sh. All of it runs in
# namespaces of its own, the root lies in memory: whatever happens, it is gone when this ends.
set -eu
cd "$(dirname "$0")/../.."

built=$1
PATH=$PATH:/usr/sbin:/sbin

if [ "$(id -u)" -ne 0 ]; then
    echo "the test of the package makes a Debian root and needs to be root itself" >&2
    exit 1
fi

missing=
need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need debootstrap debootstrap
need dpkg-shlibdeps dpkg-dev
need strip binutils
need ip iproute2
need lintian lintian
need man man-db
need shellcheck shellcheck
need systemd-analyze systemd
if [ -n "$missing" ]; then
    echo "installing the Debian packages$missing"
    apt-get update -q
    # Unquoted on purpose: a list of names.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
fi

folder=$(mktemp -d)
trap 'rm -rf --one-file-system "$folder"' EXIT

echo "== make install"
test-cluster/package/install.sh "$built"
echo "== make the package"
deb=$(make -s deb BUILT="$built")
ls -l "$deb"
test-cluster/package/check.sh "$deb"
test-cluster/package/version.sh "$deb" second "$folder/second.deb"
test-cluster/package/version.sh "$deb" keyless "$folder/keyless.deb"
cp "$deb" "$folder/first.deb"

# Its first process takes all others with it when it ends.
unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    test-cluster/package/root.sh "$folder" &
test=$!
trap 'kill -KILL "$test"; exit 1' INT TERM HUP
wait "$test"
