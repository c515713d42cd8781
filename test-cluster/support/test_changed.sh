#!/bin/bash
# Runs the unit tests of the crates that changed since origin/main (without it: since HEAD), without
# MariaDB and GlusterFS.
set -euo pipefail
cd "$(dirname "$0")/../.." || exit

base=$(git merge-base origin/main HEAD 2>/dev/null || git rev-parse HEAD)

# The crate that a file belongs to. A file outside of the crates counts for `manual`, whose tests
# read documents and samples; the files that every crate uses count for all.
owners() {
    local name folder
    case $1 in
    Cargo.toml | Cargo.lock | clippy.toml)
        cut -d ' ' -f 1 <<<"$crates"
        return
        ;;
    esac
    while read -r name folder; do
        if [[ $1 == "$folder"/* ]]; then
            echo "$name"
            return
        fi
    done <<<"$crates"
    echo manual
}

# `NAME FOLDER` of each crate. In reverse order, so that a folder comes before the one around it.
crates=$(cargo tree --locked --workspace --depth 0 --prefix none |
    sed -nE "s|^([^ ]+) v[^ ]+ \($PWD/([^)]+)\).*|\1 \2|p" | sort -r -k 2)
files=$(git diff --name-only "$base" && git ls-files --others --exclude-standard)
if [[ -z $files ]]; then
    echo "nothing has changed since ${base:0:12}"
    exit
fi
mapfile -t changed < <(while read -r file; do owners "$file"; done <<<"$files" | sort -u)
echo "unit tests of ${changed[*]}"
libs=() bins=()
for name in "${changed[@]}"; do
    folder=$(sed -n "s/^$name //p" <<<"$crates")
    if [[ -f $folder/src/lib.rs ]]; then
        libs+=("--package=$name")
    else
        bins+=("--package=$name")
    fi
done
export TNV_TEST_ENGINES=${TNV_TEST_ENGINES-embedded}
if ((${#libs[@]})); then
    cargo test --locked --quiet --lib "${libs[@]}"
fi
if ((${#bins[@]})); then
    cargo test --locked --quiet --bins "${bins[@]}"
fi
