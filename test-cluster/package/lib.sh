# shellcheck shell=sh
# What the steps have in common: checks that say what they checked.

# shellcheck disable=SC2034
services="tnv-idserver tnv-tracker tnv-storage tnv-httpd"

step() {
    echo "== $* ($(cut -d. -f1 /proc/uptime) s of uptime)"
}

die() {
    echo "FAILED: $*" >&2
    tail -n 5 /var/log/tnv/*.log >&2 || true
    exit 1
}

# expect CODE COMMAND...: runs it, shows what it says, and dies when it ends with another code.
expect() {
    wanted=$1
    shift
    said=$("$@" 2>&1) && got=0 || got=$?
    echo "  $* -> $got: $said" | head -n 4
    [ "$got" -eq "$wanted" ] || die "$* ended with $got, not $wanted: $said"
}

# expect_said TEXT: the last command of expect said so.
expect_said() {
    case $said in
        *"$1"*) ;;
        *) die "this does not say '$1': $said" ;;
    esac
}

# ends_with CODE COMMAND...: whether it does; for `within`, which `expect` would end.
ends_with() {
    wanted=$1
    shift
    "$@" && got=0 || got=$?
    [ "$got" -eq "$wanted" ]
}

# within SECONDS COMMAND...: waits until it succeeds.
within() {
    left=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || die "it never came true: $*"
        sleep 0.1
    done
}

pid_of() {
    cat "/run/tnv/$1.pid"
}

# The daemon of pid file $1 got another process since it was $2.
is_new() {
    [ "$(pid_of "$1")" != "$2" ] || die "$1 is still process $2"
}

is_same() {
    [ "$(pid_of "$1")" = "$2" ] || die "$1 is not process $2 any more"
}

# The files of keys that the package makes.
has_keys() {
    [ "$(stat -c %U:%G:%a /etc/tnv/cluster-key /etc/tnv/client-key | xargs)" = "tnv:tnv:600 root:root:600" ] ||
        die "the keys are not their users'"
    nodes=$(sed -n 1p /etc/tnv/cluster-key)
    app=$(sed -n 2p /etc/tnv/cluster-key)
    echo "$nodes" | grep -qxE '[0-9a-f]{64}' || die "the key of the nodes is no key"
    echo "$app" | grep -qxE 'tnvideo [0-9a-f]{64}' || die "the key of the application is no key"
    [ "tnvideo $nodes" != "$app" ] || die "the application has the key of the nodes"
    [ "$(cat /etc/tnv/client-key)" = "$app" ] || die "client-key has another key"
}

# Everything there is in the file system, with what the accounts and enabled services are; without
# what Debian's own tools write to remember that they ran.
trace() {
    find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /test -o -path /var/cache \
        -o -path /var/lib/dpkg -o -path /dev \) -prune -o -print |
        grep -vxE '/etc/(passwd|group|shadow|gshadow|subuid|subgid)-|/etc/\.pwd\.lock|/var/log/((dpkg|alternatives)\.log|wtmp|btmp|lastlog|faillog|dmesg.*)|/var/lib/logrotate/status' |
        sort
    cat /etc/passwd /etc/group /etc/shadow /etc/gshadow
    dpkg-query -W
}
