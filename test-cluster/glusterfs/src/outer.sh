# Runs in a network namespace of its own; $1 is the folder, $2 the script for the namespaces within,
# $3 the congestion control of its connections.
# Ends when its input does, and then takes everything with it.
ip link set lo up && ip address add 192.0.2.1/32 dev lo || exit
# Without it the connections have that of the host, also below another network namespace.
echo "$3" >/proc/sys/net/ipv4/tcp_congestion_control
unshare --mount sh -c "$2" inner "$1"
# All bricks are dead now, and mounts of theirs of no more use.
grep ' fuse.glusterfs ' /proc/self/mounts | cut -d' ' -f2 | grep -F "$1/" | xargs -r -n1 umount -l
