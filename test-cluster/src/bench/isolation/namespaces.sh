# The first process of its namespaces: all that is started within ends with it. $1 is the congestion control.
ip link set lo up && echo "$1" >/proc/sys/net/ipv4/tcp_congestion_control || exit
shift
"$@" &
wait $!
