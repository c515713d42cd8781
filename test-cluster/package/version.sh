#!/bin/sh
# version.sh DEB NAME OTHER: makes another version of a package. NAME tells which: second is a later version in which
# a configuration has changed, too; keyless is an earlier one, which makes no keys and whose configurations name none.
set -eu

deb=$1
name=$2
other=$3
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT

dpkg-deb --raw-extract "$deb" "$unpacked"
case $name in
second)
    sed -i 's/^Version: .*/&+second/' "$unpacked/DEBIAN/control"
    echo "# Of the second version." | tee -a "$unpacked/etc/tnv/tracker.toml" >>"$unpacked/etc/tnv/httpd.toml"
    ;;
keyless)
    sed -i 's/^Version: .*/&~keyless/' "$unpacked/DEBIAN/control"
    sed -i '/^    make_keys$/d' "$unpacked/DEBIAN/postinst"
    sed -i 's/^\(cluster_\)\?key_file = /#&/' "$unpacked"/etc/tnv/*.toml
    ;;
*)
    echo "version.sh: no version is called $name" >&2
    exit 2
    ;;
esac
dpkg-deb --root-owner-group -Znone --build "$unpacked" "$other" >/dev/null
