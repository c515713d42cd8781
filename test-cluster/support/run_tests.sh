#!/bin/bash
# Runs the tests of the workspace and adds up their results. A test that was left out counts as a
# failure, unless TNV_TEST_ENGINES=embedded asks for it.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log"
status=$?

ignored=$(grep -c '^test .* \.\.\. ignored' "$log")
if ((ignored)); then
    echo "left out:"
    sed -nE 's/^test (.*) \.\.\. ignored/  \1/p' "$log"
fi
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$log"
if ((ignored)) && [[ ${TNV_TEST_ENGINES-} != embedded ]]; then
    echo "a test was left out: only make test-embedded may do so" >&2
    exit 1
fi
exit "$status"
