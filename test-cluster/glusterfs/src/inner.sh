# Runs in a mount namespace of its own; $1 is the folder. The paths below are built into GlusterFS.
# Mounts of others would live on here after they were unmounted outside.
umount -a -l -t fuse.glusterfs
mkdir -p /var/log/glusterfs /var/run/gluster
mount --bind "$1/log" /var/log/glusterfs && mount --bind "$1/run" /var/run/gluster || exit
# The shell is the first process of its namespace: all others die with it. While it waits it reaps
# what dies before; glusterd takes a brick that nobody has reaped for one that runs.
exec unshare --pid --fork --kill-child --mount-proc sh -c '
    exec 3<&0
    glusterd -N -f "$1/glusterd.vol" -p "$1/glusterd.pid" -l "$1/log/glusterd.log" </dev/null 3<&- &
    (read -r end) <&3 &
    wait $!
' glusterd "$1"
