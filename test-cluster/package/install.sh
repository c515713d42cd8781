#!/bin/sh
# install.sh BUILT: `make install` keeps what an administrator has changed, and `make uninstall` leaves
# nothing but that.
set -eu

built=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
die() {
    echo "FAILED: $*" >&2
    exit 1
}

make -s install BUILT="$built" DESTDIR="$root" LOCALSTATEDIR=/srv
"$root/usr/local/bin/tnv" --version
for name in tracker idserver storage httpd; do
    "$root/usr/local/sbin/tnv-$name" --config "$root/etc/tnv/$name.toml" --check-config >"$root/effective"
    grep -q '^user = "tnv"' "$root/effective" || die "$name would not become its user"
    grep -q "^file = \"/srv/log/tnv/$name.log\"" "$root/effective" || die "$name has another log"
    ! grep /var/ "$root/effective" || die "$name goes to folders that were not chosen"
    grep -q "^DAEMON=/usr/local/sbin/" "$root/usr/local/share/tnv/init.sh" || die "init.sh starts others"
done
rm "$root/effective"

echo "# Of the administrator." >>"$root/etc/tnv/storage.toml"
make -s install BUILT="$built" DESTDIR="$root" LOCALSTATEDIR=/srv
grep -q "Of the administrator" "$root/etc/tnv/storage.toml" || die "a configuration was overwritten"

make -s uninstall DESTDIR="$root" LOCALSTATEDIR=/srv
left=$(cd "$root" && find . ! -type d | sort)
for file in $left; do
    case $file in
        ./etc/tnv/*.toml | ./etc/default/tnv-* | ./etc/logrotate.d/tnv) ;;
        *) die "$file is left" ;;
    esac
done
echo "installed twice and uninstalled, $(echo "$left" | wc -l) configurations are left"
