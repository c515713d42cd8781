#!/bin/sh
# check.sh DEB: what can be found wrong with a package without installing it.
set -eu

deb=$1
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
dpkg-deb --raw-extract "$deb" "$unpacked"

echo "== shellcheck"
shellcheck --version | sed -n 2p
make -s lint-shell

echo "== systemd-analyze verify"
# The root has the programs and the user that units name, and the system's own units.
for folder in /usr/lib/systemd /lib/systemd; do
    if [ -d "$folder" ] && [ ! -e "$unpacked$folder/system/basic.target" ]; then
        mkdir -p "$unpacked$folder"
        cp -a "$folder/system" "$unpacked$folder/"
    fi
done
mkdir -p "$unpacked/usr/bin"
cp /bin/kill "$unpacked/usr/bin/"
units=$(cd "$unpacked/lib/systemd/system" && printf '%s\n' tnv-*.service | sed 's/@/@1/')
# Unquoted on purpose: a list of names.
# shellcheck disable=SC2086
complaints=$(systemd-analyze verify --man=no --root="$unpacked" $units 2>&1 || echo "it failed")
if [ -n "$complaints" ]; then
    echo "$complaints"
    exit 1
fi
# shellcheck disable=SC2086
echo verified $units

echo "== man"
for page in "$unpacked"/usr/share/man/man*/*; do
    MANROFFSEQ='' MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null |
        grep . && exit 1
done
find "$unpacked/usr/share/man" -type f | wc -l

echo "== lintian"
lintian --version
lintian --allow-root --tag-display-limit 0 --fail-on error,warning "$deb"
