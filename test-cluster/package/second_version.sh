#!/bin/sh
# second_version.sh DEB SECOND: a later version of the package, in which a configuration has changed,
# too.
set -eu

deb=$1
second=$2
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT

dpkg-deb --raw-extract "$deb" "$unpacked"
sed -i 's/^Version: .*/&+second/' "$unpacked/DEBIAN/control"
echo "# Of the second version." | tee -a "$unpacked/etc/tnv/tracker.toml" \
    >>"$unpacked/etc/tnv/httpd.toml"
dpkg-deb --root-owner-group -Znone --build "$unpacked" "$second" >/dev/null
