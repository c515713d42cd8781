#!/bin/sh
# keyless_version.sh DEB KEYLESS: an earlier version of the package, which made no keys and whose
# configurations name none.
set -eu

deb=$1
keyless=$2
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT

dpkg-deb --raw-extract "$deb" "$unpacked"
sed -i 's/^Version: .*/&~keyless/' "$unpacked/DEBIAN/control"
sed -i '/^    make_keys$/d' "$unpacked/DEBIAN/postinst"
sed -i 's/^\(cluster_\)\?key_file = /#&/' "$unpacked"/etc/tnv/*.toml
dpkg-deb --root-owner-group -Znone --build "$unpacked" "$keyless" >/dev/null
