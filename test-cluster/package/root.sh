#!/bin/sh
# root.sh FOLDER: makes a Debian root in the folder and runs steps.sh in it, with sysvinit as its first
# process. To be run in mount and process namespaces of its own.
#
# The mirror and proxy are those that apt has here.
set -eu

folder=$1
root=$folder/root
# Of the releases there are the one that runs here, whose libraries the programs are linked to.
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
# The names in brackets are apt's.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    sed -n "s/^$release //p" | head -n 1)
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy="${http_proxy-}" https_proxy="${https_proxy-}"

start=$(date +%s)
step() {
    echo "== $* ($(($(date +%s) - start)) s)"
}

step "a Debian root of $release"
mkdir "$root"
mount -t tmpfs -o size=6G,mode=755 root "$root"
debootstrap --variant=minbase --include=adduser,logrotate,sysvinit-core,wget \
    "$release" "$root" "$mirror" >"$folder/debootstrap.log" 2>&1 ||
    { tail -n 20 "$folder/debootstrap.log"; exit 1; }
# The way of Debian's boot that touches no clock, disk or kernel: those are not the root's own.
cat >"$root/etc/inittab" <<'END'
id:2:initdefault:
l2:2:wait:/etc/init.d/rc 2
ok:2:wait:/usr/bin/touch /run/booted
END
mkdir "$root/test"
cp "$folder"/*.deb "$(dirname "$0")"/*.sh "$root/test/"

# Starts the root's first process and waits until it has started what is enabled.
boot() {
    # shellcheck disable=SC2016
    unshare --mount --propagation private --pid --fork --kill-child --net --ipc --uts sh -c '
        ip link set lo up
        hostname tnv-test
        mount -t proc proc "$1/proc"
        mount -t tmpfs -o mode=755 run "$1/run"
        exec chroot "$1" /sbin/init
    ' boot "$root" </dev/null >"$folder/boot.log" 2>&1 &
    unshare=$!
    tenths=1200
    init=
    until [ -n "$init" ] && [ -e "/proc/$init/root/run/booted" ]; do
        tenths=$((tenths - 1))
        [ "$tenths" -gt 0 ] || { cat "$folder/boot.log"; exit 1; }
        sleep 0.1
        init=$(tr -d ' ' <"/proc/$unshare/task/$unshare/children")
    done
}

# As a power cut does: everything in the root dies at once.
cut_power() {
    kill -KILL "$init"
    wait "$unshare" || true
}

inside() {
    nsenter -t "$init" -a -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh "/test/$1"
}

# Ends with CODE when it asks the tracker of the root for the groups, from outside of it: from another host.
ask_from_another_host() {
    wanted=$1
    shift
    said=$(chroot "$root" env -i TNV_USER=alice "$@" tnv --config /test/no-key.toml \
        --trackers 198.51.100.2:21000 groups 2>&1) && got=0 || got=$?
    echo "  $* tnv groups -> $got: $said" | head -n 4
    [ "$got" -eq "$wanted" ] || { echo "FAILED: the tracker answers another host with $got" >&2; exit 1; }
}

from_another_host() {
    ip link add tnv-test type veth peer name far netns "$init"
    ip address add 198.51.100.1/30 dev tnv-test
    ip link set tnv-test up
    nsenter -t "$init" -n ip address add 198.51.100.2/30 dev far
    nsenter -t "$init" -n ip link set far up
    ask_from_another_host 9
    case $said in
        *cluster_key_file*legacy_hosts*) ;;
        *) echo "FAILED: the refusal names no settings" >&2; exit 1 ;;
    esac
    grep -q '198.51.100.1:.* is refused: ' "$root/var/log/tnv/tracker.log" ||
        { echo "FAILED: the refusal is not logged" >&2; exit 1; }
    ask_from_another_host 0 TNV_KEY_FILE=/etc/tnv/client-key
}

boot
step "install, drive, upgrade"
inside steps.sh
step "from another host"
from_another_host
step "a power cut"
cut_power
boot
inside steps_after_boot.sh
step "done"
