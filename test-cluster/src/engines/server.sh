# The first process of its namespaces: what is started within ends with it. $1 is the folder of a
# node. The account that the server runs under need not be able to walk there: it is mounted where
# everybody can.
# Mounts that were copied would live on here after they were unmounted outside.
umount -a -l -t fuse.glusterfs
mount --bind "$1" /mnt && cd /mnt || exit
shift
"$@" &
wait $!
