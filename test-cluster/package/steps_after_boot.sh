#!/bin/sh
# The rest of the package's life, after the machine lost its power: started by init, removed, purged.
set -eu
# shellcheck source=test-cluster/package/lib.sh
. /test/lib.sh
export TNV_USER=alice

booted() {
    step "started by init"
    for service in $services; do
        expect 0 service "$service" status
    done
    within 60 tnv stat "$(cat /test/id)"
    wget -q -O /test/streamed "http://127.0.0.1:8080/files/tnvideo/$TNV_USER/$(cat /test/id)"
    cmp /test/film /test/streamed || die "the stream differs"
}

remove() {
    step "removed: configuration and data stay"
    expect 0 dpkg -r tnv
    [ -z "$(pidof tnv-tracker tnv-idserver tnv-storage tnv-httpd)" ] || die "something runs"
    for file in /etc/tnv/tracker.toml /etc/init.d/tnv-storage /var/lib/tnv/storage.db /var/lib/tnv/data; do
        [ -e "$file" ] || die "$file is gone"
    done
    expect 0 /etc/init.d/tnv-storage start

    step "installed again: the file is there"
    expect 0 dpkg -i --force-confold /test/second.deb
    for service in $services; do
        expect 0 service "$service" start
    done
    within 60 tnv stat "$(cat /test/id)"
    tnv download "$(cat /test/id)" --force -o /test/downloaded
    cmp /test/film /test/downloaded || die "the download differs"
}

purge() {
    step "purged: the media stay"
    before=$(find /var/lib/tnv/data | sort)
    expect 0 dpkg -P tnv
    expect_said "databases and media are kept in /var/lib/tnv"
    [ "$(find /var/lib/tnv/data | sort)" = "$before" ] || die "media are gone"
    for name in tracker ids storage; do
        [ -s "/var/lib/tnv/$name.db" ] || die "$name.db is gone"
    done
    [ "$(stat -c %U /var/lib/tnv/data)" = tnv ] || die "the data belongs to nobody"
    [ ! -e /etc/tnv ] || die "the configuration is still there"

    step "installed over what was kept: the file is there"
    expect 0 dpkg -i /test/second.deb
    for service in $services; do
        expect 0 service "$service" start
    done
    within 60 tnv stat "$(cat /test/id)"
    expect 0 dpkg -r tnv
}

purge_with_data() {
    step "purged with its data: no trace, but what is mounted"
    mkdir /var/lib/tnv/volume
    mount -t tmpfs volume /var/lib/tnv/volume
    echo "of the whole group" >/var/lib/tnv/volume/file
    expect 0 env TNV_PURGE_DATA=yes dpkg -P tnv
    expect_said "holds mounted volumes"
    [ "$(cat /var/lib/tnv/volume/file)" = "of the whole group" ] || die "a volume was emptied"
    umount /var/lib/tnv/volume
    rmdir /var/lib/tnv/volume /var/lib/tnv
    trace >/test/after
    diff -u /test/before /test/after || die "there are traces"
    ! getent passwd tnv || die "the user is still there"
    wc -l /test/before /test/after
}

# Configurations without a key: the new version makes keys, and what runs goes on until an administrator
# has set them.
upgrade_to_keys() {
    step "an upgrade from a version without keys"
    expect 0 dpkg -i /test/keyless.deb
    ls /etc/tnv/*-key 2>/dev/null && die "this version makes keys"
    echo "# Of the administrator." >>/etc/tnv/storage.toml
    for service in $services; do
        expect 0 service "$service" start
    done
    within 60 tnv groups
    tnv upload /test/film >/test/id || die "the upload failed"
    for name in tracker idserver storage httpd; do
        eval "old_$name=$(pid_of $name)"
    done
    expect 0 dpkg -i --force-confold /test/first.deb
    expect_said "Upgrade to keys"
    has_keys
    for name in tracker idserver storage httpd; do
        eval "is_same $name \$old_$name"
    done
    wget -q -O /test/streamed "http://127.0.0.1:8080/files/tnvideo/$TNV_USER/$(cat /test/id)"
    cmp /test/film /test/streamed || die "the stream differs"
    ! grep -q ^cluster_key_file /etc/tnv/storage.toml || die "a configuration was overwritten"

    sed -i '1i cluster_key_file = "/etc/tnv/cluster-key"' /etc/tnv/storage.toml
    for service in $services; do
        expect 0 service "$service" restart
    done
    within 60 tnv stat "$(cat /test/id)"
    wget -q -O /test/streamed "http://127.0.0.1:8080/files/tnvideo/$TNV_USER/$(cat /test/id)"
    cmp /test/film /test/streamed || die "the stream differs"
    expect 0 env TNV_PURGE_DATA=yes dpkg -P tnv
}

booted
remove
purge
purge_with_data
upgrade_to_keys
