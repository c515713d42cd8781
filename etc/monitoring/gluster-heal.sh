#!/bin/sh
# Writes what GlusterFS volumes have yet to heal as metrics, for the textfile collector of the
# Prometheus node exporter. Run it as root once a minute: gluster answers only root.
#
#     gluster-heal.sh FILE [VOLUME]...      By default it asks for all volumes.
set -eu
file=$1
shift
# shellcheck disable=SC2046 # names of volumes have no spaces
[ $# -gt 0 ] || set -- $(gluster volume list)
temporary=$(mktemp "$file.XXXXXX")
trap 'rm -f "$temporary"' EXIT
for volume; do
    echo "Volume $volume"
    # Without glusterd there is no answer, and while a brick hangs it never comes.
    timeout -k 5 50 gluster volume heal "$volume" info summary || true
done | awk '
    function add(name, labels, value) {
        samples[name] = samples[name] name "{" labels "} " value "\n"
    }
    # A brick that is not connected has dashes for numbers.
    function of_brick(name, value) {
        if (value != "-") add(name, "volume=\"" volume "\",brick=\"" brick "\"", value)
    }
    /^Volume / { volume = $2; up[volume] = 0 }
    /^Brick / { brick = $2; up[volume] = 1 }
    /^Status: / { of_brick("tnv_gluster_brick_connected", $0 == "Status: Connected" ? 1 : 0) }
    /^Number of entries in heal pending: / { of_brick("tnv_gluster_heal_pending_entries", $NF) }
    /^Number of entries in split-brain: / { of_brick("tnv_gluster_split_brain_entries", $NF) }
    END {
        for (name in up) add("tnv_gluster_heal_info_up", "volume=\"" name "\"", up[name])
        for (name in samples) printf "# TYPE %s gauge\n%s", name, samples[name]
    }' >"$temporary"
chmod 644 "$temporary"
mv "$temporary" "$file"
