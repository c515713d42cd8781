#!/bin/sh
# deb.sh BUILT VERSION: makes BUILT/deb/tnv_VERSION_ARCH.deb of the programs in the folder BUILT.
#
# By hand and not with debhelper: one binary package of a few dozen files, which needs nothing but
# dpkg-dev and binutils. What `make install` does is what the package holds.
set -eu
cd "$(dirname "$0")/.."

built=$1
version=$2
arch=$(dpkg --print-architecture)
work=$built/deb
root=$work/root
doc=$root/usr/share/doc/tnv
control=$root/DEBIAN
deb=$work/tnv_${version}_$arch.deb

rm -rf "$root"
mkdir -p "$control" "$doc" "$work/debian"
chmod 755 "$work" "$root" "$control"
umask 022

# As dpkg wants it, the same programs give the same package.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH

make -s install DESTDIR="$(realpath "$root")" BUILT="$built" PREFIX=/usr UNITDIR=/lib/systemd/system \
    ZSHDIR=/usr/share/zsh/vendor-completions WITH_KEYS=yes

# Those that are no scripts.
programs=
for program in "$root"/usr/bin/* "$root"/usr/sbin/*; do
    [ "$(head -c 4 "$program" | tail -c 3)" = ELF ] || continue
    strip --strip-unneeded --remove-section=.comment "$program"
    programs="$programs ${program#"$work/"}"
done
find "$root/usr/share/man" -type f -exec gzip -9n {} +

sed -e "s/@VERSION@/$version/" \
    -e "s/@DATE@/$(LC_ALL=C date -uRd "@$SOURCE_DATE_EPOCH")/" package/debian/changelog |
    gzip -9nc >"$doc/changelog.gz"
# README.md links to the other documents.
cp -r package/debian/copyright README.md README.zh-CN.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md docs "$doc"
cp package/debian/README.Debian "$doc"
ln -s CHANGELOG.md "$doc/NEWS"
mkdir -p "$root/usr/share/lintian/overrides"
cp package/debian/lintian-overrides "$root/usr/share/lintian/overrides/tnv"

# dpkg-shlibdeps asks for a source package around it.
printf 'Source: tnv\n\nPackage: tnv\nArchitecture: any\n' >"$work/debian/control"
# Unquoted on purpose: a list of names.
# shellcheck disable=SC2086
depends=$(cd "$work" && dpkg-shlibdeps -O $programs | sed 's/^shlibs:Depends=//')
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@DEPENDS@/$depends/" \
    -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" package/debian/control >"$control/control"
(cd "$root" && find etc -type f | sort | sed 's,^,/,') >"$control/conffiles"
(cd "$root" && find usr lib -type f | sort | xargs md5sum) >"$control/md5sums"
for script in postinst prerm postrm; do
    install -m 755 "package/debian/$script" "$control/$script"
done

dpkg-deb --root-owner-group --build "$root" "$deb" >/dev/null
echo "$deb"
