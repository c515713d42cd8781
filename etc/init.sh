# shellcheck shell=sh
# What the init scripts of the tnv daemons share; each of them sets SERVICE and sources this.
#
# An instance is a configuration: /etc/tnv/storage.toml is the instance `storage`,
# /etc/tnv/storage.d/disk2.toml the instance `disk2`. Without a name an action is done to all of
# them, one after another.
#
# A daemon runs when its pid file is locked: the kernel takes the lock away with the process. The
# lock is tried last, and only when the file names a living process, so that few daemons that start
# at this moment find it taken; they try again.
#
# The folder of the pid files belongs to the daemons' user, and what is done here is done as root: a
# process gets signals only if it belongs to that user, or to the owner of the pid file.

DAEMON=/usr/sbin/tnv-$SERVICE
CONFIG_DIR=/etc/tnv
RUN_DIR=/run/tnv
RUN_USER=tnv
DAEMON_OPTS=
KILL_AFTER=15

if [ -r "/etc/default/tnv-$SERVICE" ]; then
    # Exported, as systemd does with the same file.
    set -a
    # shellcheck disable=SC1090
    . "/etc/default/tnv-$SERVICE"
    set +a
fi

say() {
    echo "tnv-$label: $*"
}

fail() {
    say "$*" >&2
}

# Sets what the functions below work with, for the instance $1.
choose() {
    if [ "$1" = "$SERVICE" ]; then
        label=$SERVICE
        config=$CONFIG_DIR/$SERVICE.toml
        pid_file=$RUN_DIR/$SERVICE.pid
    else
        label=$SERVICE@$1
        config=$CONFIG_DIR/$SERVICE.d/$1.toml
        pid_file=$RUN_DIR/$SERVICE-$1.pid
    fi
}

# Whether $1 can be the name of an instance.
is_name() {
    case $1 in
        '' | *[!A-Za-z0-9_-]*) return 1 ;;
    esac
}

# The names of all instances, and of those that run although their configuration is gone; fails when
# a configuration has to be left out for its name.
instances() {
    left_out=0
    names=
    for file in "$CONFIG_DIR/$SERVICE.toml" "$RUN_DIR/$SERVICE.pid"; do
        [ ! -e "$file" ] || names=$SERVICE
    done
    for file in "$CONFIG_DIR/$SERVICE.d"/*.toml "$RUN_DIR/$SERVICE"-*.pid; do
        [ -e "$file" ] || continue
        name=${file#"$RUN_DIR/$SERVICE-"}
        name=$(basename "${name%.pid}" .toml)
        if is_name "$name" && [ "$name" != "$SERVICE" ]; then
            names="$names $name"
        else
            echo "tnv-$SERVICE: left out: $file: a name is of letters, digits, - and _" >&2
            left_out=1
        fi
    done
    # Unquoted on purpose: a list of names.
    # shellcheck disable=SC2086
    [ -z "$names" ] || printf '%s\n' $names | awk '!seen[$0]++'
    return $left_out
}

# The state of the chosen instance, in the numbers of LSB's status: 0 it runs, as process $pid;
# 1 it died and left its pid file; 3 it does not run; 4 nobody knows, for the reason $why.
state() {
    [ -f "$pid_file" ] && [ -s "$pid_file" ] || return 3
    why="$pid_file cannot be read"
    read -r pid <"$pid_file" || return 4
    why="$pid_file does not hold the number of a process"
    case $pid in
        '' | *[!0-9]*) return 4 ;;
    esac
    alive || return 1
    flock --shared --nonblock --conflict-exit-code 9 "$pid_file" true
    [ $? -eq 9 ] || return 1
    why="process $pid of $pid_file does not belong to $RUN_USER"
    is_ours || return 4
}

# Whether the process $pid is one that the writer of the pid file could have started.
is_ours() {
    owner=$(stat -c %U "/proc/$pid") || return 1
    [ "$owner" = "$RUN_USER" ] || [ "$owner" = "$(stat -c %U "$pid_file")" ]
}

# A process that is dead but was not waited for yet is gone, too: its files are closed.
alive() {
    [ -d "/proc/$pid" ] && ! grep -qs '^State:[[:blank:]]*Z' "/proc/$pid/status"
}

# Waits up to $1 seconds until the process $pid is gone.
gone_within() {
    tenths=$(($1 * 10))
    while alive; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

# Says what is wrong with the configuration, if something is.
check_config() {
    if [ ! -r "$config" ]; then
        fail "there is no $config"
        return 6
    fi
    "$DAEMON" --config "$config" --check-config >/dev/null || return 6
}

# The configuration's stop_timeout in whole seconds.
stop_timeout() {
    value=$("$DAEMON" --config "$config" --check-config 2>/dev/null |
        sed -n 's/^stop_timeout = "\(.*\)"$/\1/p')
    case $value in
        *ms) echo $(((${value%ms} + 999) / 1000)) ;;
        *s) echo "${value%s}" ;;
        *m) echo $((${value%m} * 60)) ;;
        *h) echo $((${value%h} * 3600)) ;;
        *d) echo $((${value%d} * 86400)) ;;
        # The daemon's default, for a configuration that was broken after the start.
        *) echo 30 ;;
    esac
}

do_start() {
    if state; then
        say "runs already as process $pid"
        return 0
    fi
    if [ ! -r "$config" ]; then
        fail "there is no $config"
        return 6
    fi
    # Unquoted on purpose: a list of arguments.
    # shellcheck disable=SC2086
    "$DAEMON" --daemon --config "$config" --pid-file "$pid_file" $DAEMON_OPTS
    case $? in
        0) say "started" ;;
        # Somebody else started it meanwhile, if it is not only the lock that is taken.
        3)
            if ! state; then
                fail "not started: $pid_file is locked, but not by a daemon"
                return 1
            fi
            say "runs already as process $pid"
            ;;
        2)
            fail "not started: wrong arguments or configuration"
            return 6
            ;;
        *)
            fail "not started"
            return 1
            ;;
    esac
}

do_stop() {
    state
    case $? in
        0) ;;
        4)
            fail "not stopped: $why"
            return 1
            ;;
        *)
            say "does not run"
            return 0
            ;;
    esac
    seconds=$(($(stop_timeout) + KILL_AFTER))
    kill -TERM "$pid" || return 1
    if gone_within "$seconds"; then
        say "stopped"
        return 0
    fi
    fail "process $pid did not stop within $seconds seconds and is killed"
    kill -KILL "$pid"
    if ! gone_within 10; then
        fail "process $pid cannot be killed; it may wait for a disk"
        return 1
    fi
}

# A daemon goes on running when the configuration it would be started with cannot be used.
do_restart() {
    check_config || return
    do_stop && do_start
}

do_try_restart() {
    state
    case $? in
        # Of one that nobody knows the stop says why.
        0 | 4) do_restart ;;
        *) say "does not run" ;;
    esac
}

do_reload() {
    state
    case $? in
        0) ;;
        4)
            fail "not reloaded: $why"
            return 1
            ;;
        *)
            fail "does not run"
            return 7
            ;;
    esac
    check_config || return
    kill -HUP "$pid" || return 1
    say "told to read its configuration"
}

do_status() {
    state
    code=$?
    case $code in
        0) say "runs as process $pid" ;;
        1) say "is dead, its pid file is left: $pid_file" ;;
        3) say "does not run" ;;
        *) say "unknown: $why" ;;
    esac
    return $code
}

# Does $1 to the instance $2, or to all. The code is that of the first that failed; of a status it
# is 1 before all others, so that a dead daemon does not hide behind a stopped one.
act() {
    result=0
    if [ -n "${2-}" ]; then
        names=$2
    else
        names=$(instances) || result=6
    fi
    for name in ${names:-$SERVICE}; do
        choose "$name"
        "$1"
        code=$?
        if [ "$result" -eq 0 ] || [ "$1$code" = do_status1 ]; then
            result=$code
        fi
    done
    return "$result"
}

need_root() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "tnv-$SERVICE: only root may do this" >&2
        exit 4
    fi
}

# Does the action $1 to the instance $2, or to all, and ends with its code.
main() {
    if [ -n "${2-}" ] && ! is_name "$2"; then
        echo "tnv-$SERVICE: $2 is not the name of an instance" >&2
        exit 2
    fi
    case $1 in
        start | stop | restart | reload) action=do_$1 ;;
        try-restart) action=do_try_restart ;;
        force-reload) action=do_reload ;;
        status)
            act do_status "${2-}"
            exit
            ;;
    esac
    need_root
    if [ ! -x "$DAEMON" ]; then
        echo "tnv-$SERVICE: there is no $DAEMON" >&2
        exit 5
    fi
    install -d -o "$RUN_USER" -g "$RUN_USER" -m 755 "$RUN_DIR" || exit 1
    act "$action" "${2-}"
    exit
}
