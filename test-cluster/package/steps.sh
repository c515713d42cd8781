#!/bin/sh
# The life of the package inside the root: installed, driven, upgraded. What comes after a restart of
# the machine is in steps_after_boot.sh.
set -eu
# shellcheck source=test-cluster/package/lib.sh
. /test/lib.sh
export TNV_USER=alice

install_it() {
    step "installed, nothing runs"
    trace >/test/before
    expect 0 dpkg -i /test/first.deb
    for service in $services; do
        expect 3 service "$service" status
        ! ls /etc/rc[2345].d/S*"$service" 2>/dev/null || die "$service is enabled"
        # shellcheck disable=SC2144
        [ -e /etc/rc2.d/K*"$service" ] || die "$service is no service"
    done
    ls -ld /etc/tnv /var/lib/tnv /var/log/tnv
    [ "$(stat -c %U:%G:%a /var/lib/tnv /var/log/tnv | xargs)" = "tnv:tnv:750 tnv:adm:2750" ] ||
        die "the folders are not the user's"
    [ -z "$(pidof tnv-tracker tnv-idserver tnv-storage tnv-httpd)" ] || die "something runs"
    has_keys
    md5sum /etc/tnv/*-key >/test/keys
    ls -l /etc/tnv
}

# The exit codes of LSB, on the tracker.
lsb_codes() {
    step "exit codes: stopped"
    expect 0 service tnv-tracker stop
    expect 0 service tnv-tracker try-restart
    expect 3 service tnv-tracker status
    expect 7 service tnv-tracker reload
    expect 7 service tnv-tracker force-reload
    expect 2 service tnv-tracker
    expect 2 service tnv-tracker dance
    expect 2 service tnv-tracker start ../passwd
    expect 6 service tnv-tracker start unknown
    expect 4 setpriv --reuid=nobody --clear-groups /etc/init.d/tnv-tracker start

    step "exit codes: running"
    expect 0 service tnv-tracker start
    # Start has come back: it serves.
    expect 0 tnv groups
    pid=$(pid_of tracker)
    [ "$(stat -c %U "/proc/$pid")" = tnv ] || die "the tracker is not the user tnv"
    expect 0 service tnv-tracker start
    is_same tracker "$pid"
    expect 0 service tnv-tracker status
    expect 0 setpriv --reuid=nobody --clear-groups /etc/init.d/tnv-tracker status
    expect 0 service tnv-tracker reload
    expect 0 service tnv-tracker force-reload
    is_same tracker "$pid"
    expect 0 service tnv-tracker try-restart
    is_new tracker "$pid"
    pid=$(pid_of tracker)
    expect 0 service tnv-tracker restart
    is_new tracker "$pid"
}

failures() {
    step "exit codes: failures"
    pid=$(pid_of tracker)
    cp /etc/tnv/tracker.toml /test/tracker.toml
    sed -i '1i no_such_key = 1' /etc/tnv/tracker.toml
    expect 6 service tnv-tracker restart
    expect_said no_such_key
    expect 6 service tnv-tracker reload
    is_same tracker "$pid"
    expect 0 service tnv-tracker stop
    expect 6 service tnv-tracker start
    expect_said no_such_key
    cp /test/tracker.toml /etc/tnv/tracker.toml

    # Root may read it, the user of the daemon may not.
    echo 0123456789abcdef >/test/key
    chmod 600 /test/key
    sed -i '1i admin_key_file = "/test/key"' /etc/tnv/tracker.toml
    expect 6 service tnv-tracker start
    expect_said "admin_key_file: /test/key: "
    chown tnv /test/key
    expect 0 service tnv-tracker start
    expect 0 service tnv-tracker stop
    cp /test/tracker.toml /etc/tnv/tracker.toml

    # Another one has the port.
    expect 0 service tnv-tracker start
    sed 's/\.log"/-2.log"/' /test/tracker.toml >/etc/tnv/tracker.d/second.toml
    expect 1 service tnv-tracker start
    expect_said "tracker@second: not started"
    expect_said "in use"
    expect 3 service tnv-tracker status
    expect 3 service tnv-tracker status second
    expect 0 service tnv-tracker status tracker
    rm /etc/tnv/tracker.d/second.toml

    kill -KILL "$(pid_of tracker)"
    within 10 ends_with 1 service tnv-tracker status
    expect 0 service tnv-tracker start
    expect 0 service tnv-tracker status
}

as_tnv() {
    setpriv --reuid=tnv --regid=tnv --clear-groups "$@"
}

# Whatever the daemons' user writes into its pid files, root signals nobody else.
strangers() {
    step "pid files that name strangers"
    expect 0 service tnv-tracker stop
    sleep 1000 &
    stranger=$!
    as_tnv sh -c "echo $stranger >/run/tnv/tracker.pid"
    # Locked as by a daemon.
    setpriv --reuid=tnv --regid=tnv --clear-groups flock --no-fork /run/tnv/tracker.pid sleep 1000 &
    holder=$!
    within 10 ends_with 1 flock --nonblock /run/tnv/tracker.pid true
    expect 4 service tnv-tracker status
    expect_said "does not belong to tnv"
    expect 1 service tnv-tracker stop
    expect 1 service tnv-tracker restart
    expect 1 service tnv-tracker reload
    expect 1 service tnv-tracker start
    expect_said "is locked, but not by a daemon"
    logrotate --force /etc/logrotate.d/tnv
    as_tnv sh -c "echo all >/run/tnv/tracker.pid"
    expect 4 service tnv-tracker status
    expect 1 service tnv-tracker stop
    kill -0 "$stranger" || die "a stranger was signalled"
    kill "$stranger" "$holder"
    wait "$holder" || true
    rm /run/tnv/tracker.pid
    expect 0 service tnv-tracker start
}

# One that does not react is killed, and that is said.
hung() {
    step "a daemon that hangs"
    echo KILL_AFTER=1 >>/etc/default/tnv-tracker
    sed -i 's/^#stop_timeout = .*/stop_timeout = "1500ms"/' /etc/tnv/tracker.toml
    kill -STOP "$(pid_of tracker)"
    expect 0 service tnv-tracker stop
    expect_said "did not stop within 3 seconds and is killed"
    expect 1 service tnv-tracker status
    cp /test/tracker.toml /etc/tnv/tracker.toml
}

url() {
    echo "http://127.0.0.1:8080/files/tnvideo/$TNV_USER/$(cat /test/id)"
}

# What HTTP and the command line say of the file is what was stored.
compare() {
    wget -q -O /test/streamed "$(url)"
    cmp /test/film /test/streamed || die "the stream differs"
    tnv download "$(cat /test/id)" --force -o /test/downloaded
    cmp /test/film /test/downloaded || die "the download differs"
}

cluster() {
    step "a cluster"
    for service in $services; do
        expect 0 update-rc.d "$service" enable
        expect 0 service "$service" start
    done
    head -c 20000000 /dev/urandom >/test/film
    within 60 tnv groups
    tnv upload /test/film >/test/id || die "the upload failed"
    compare
    # httpd and the storage run as the same user, with the same key.
    within 5 grep -q ' local$' /var/log/tnv/httpd-access.log
    echo "  uploaded $(cat /test/id), streamed and downloaded: the same $(stat -c %s /test/film) bytes"
}

# Not even this machine is served without the key.
without_a_key() {
    step "without a key"
    : >/test/no-key.toml
    expect 9 tnv --config /test/no-key.toml stat "$(cat /test/id)"
    expect_said "a key is needed here"
    grep -q "is refused: a key is needed here" /var/log/tnv/tracker.log || die "the refusal is not logged"
    # Of another cluster.
    echo 0123456789abcdef0123456789abcdef >/test/other-key
    chmod 600 /test/other-key
    expect 9 tnv --client-key-file /test/other-key stat "$(cat /test/id)"
    expect 2 setpriv --reuid=nobody --clear-groups tnv stat "$(cat /test/id)"
    expect_said "/etc/tnv/client-key"
}

has_both() {
    [ "$(tnv --json groups | grep -o '230[01]0' | sort -u | wc -l)" -eq 2 ]
}

second_storage() {
    step "a second storage"
    # The first listen is the storage's, the second its status port's.
    sed -e '0,/^#listen = /s/^#listen = .*/listen = "0.0.0.0:23010"/' -e 's/^#listen = .*/listen = "127.0.0.1:23011"/' \
        -e 's|^#state_file = .*|state_file = "/var/lib/tnv/storage-disk2.state"|' -e 's/storage\.log/storage-disk2.log/' \
        -e 's/storage-access\.log/storage-disk2-access.log/' /etc/tnv/storage.toml >/etc/tnv/storage.d/disk2.toml
    first=$(pid_of storage)
    expect 3 service tnv-storage status
    expect 0 service tnv-storage start
    is_same storage "$first"
    expect 0 service tnv-storage status
    within 60 has_both
    expect 0 service tnv-storage stop storage
    expect 3 service tnv-storage status storage
    expect 0 service tnv-storage status disk2
    expect 3 service tnv-storage status
    compare
    expect 0 service tnv-storage start
    second=$(pid_of storage-disk2)
    expect 0 service tnv-storage restart disk2
    is_new storage-disk2 "$second"
    kill -KILL "$(pid_of storage-disk2)"
    within 10 ends_with 1 service tnv-storage status
    expect 0 service tnv-storage start disk2
    compare
}

rotation() {
    step "logrotate"
    compare
    logrotate --force /etc/logrotate.d/tnv
    for name in tracker idserver storage storage-disk2 httpd httpd-access; do
        [ -s "/var/log/tnv/$name.log.1" ] || die "$name.log was not rotated"
        [ "$(stat -c %U:%G:%a "/var/log/tnv/$name.log")" = tnv:adm:640 ] || die "$name.log is not ours"
    done
    old=$(stat -c %s /var/log/tnv/httpd-access.log.1)
    for name in storage storage-disk2 tracker idserver httpd; do
        within 20 sh -c "ls -l /proc/$(pid_of $name)/fd | grep -q ' /var/log/tnv/$name.log$'"
    done
    compare
    within 20 test -s /var/log/tnv/httpd-access.log
    [ "$(stat -c %s /var/log/tnv/httpd-access.log.1)" = "$old" ] || die "the old log still grows"
    ls -l /var/log/tnv
}

# The daemons are restarted, each of them drains; a stream that goes on meanwhile is whole.
upgrade() {
    step "an upgrade under a stream"
    echo "# Of the administrator." >>/etc/tnv/tracker.toml
    expect 0 service tnv-storage stop disk2
    for name in tracker idserver storage httpd; do
        eval "old_$name=$(pid_of $name)"
    done
    wget -q --limit-rate=4m -O /test/slow "$(url)" &
    stream=$!
    within 20 test -s /test/slow
    expect 0 dpkg -i --force-confold /test/second.deb
    wait "$stream" || die "the stream broke"
    cmp /test/film /test/slow || die "the stream differs"
    for name in tracker idserver storage httpd; do
        eval "is_new $name \$old_$name"
        [ "$(readlink "/proc/$(pid_of $name)/exe")" = "/usr/sbin/tnv-$name" ] || die "$name is old"
    done
    expect 3 service tnv-storage status disk2
    grep -q "Of the administrator" /etc/tnv/tracker.toml || die "a configuration was overwritten"
    grep -q "Of the second version" /etc/tnv/tracker.toml.dpkg-dist || die "the new one is not there"
    grep -q "Of the second version" /etc/tnv/httpd.toml || die "an unchanged configuration stays old"
    md5sum --quiet -c /test/keys || die "the keys were changed"
    dpkg-query -W tnv
    within 60 tnv stat "$(cat /test/id)"
    compare
    expect 0 service tnv-storage start disk2
}

# A daemon that cannot be restarted keeps no other from it.
upgrade_of_a_broken_one() {
    step "an upgrade beside a broken configuration"
    cp /etc/tnv/tracker.toml /test/tracker.toml
    sed -i '1i no_such_key = 1' /etc/tnv/tracker.toml
    old_tracker=$(pid_of tracker)
    old_storage=$(pid_of storage)
    expect 0 dpkg -i --force-confold /test/second.deb
    expect_said "these were not restarted, see above and their logs: tnv-tracker"
    [ "$(dpkg-query -W -f '${Status}' tnv)" = "install ok installed" ] || die "the package is half installed"
    is_same tracker "$old_tracker"
    is_new storage "$old_storage"
    cp /test/tracker.toml /etc/tnv/tracker.toml
}

install_it
lsb_codes
failures
strangers
hung
cluster
without_a_key
second_storage
rotation
upgrade
upgrade_of_a_broken_one
