# Sourced by every check: goes to the root of the tree, prints the check's name, and its time when it ends.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."
check=ci/$(basename "$0")
printf '\n== %s\n' "$check"

say_end() {
    local status=$?
    if ((status)); then
        printf '== %s FAILED after %d s\n' "$check" "$SECONDS" >&2
    else
        printf '== %s passed in %d s\n' "$check" "$SECONDS"
    fi
}
trap say_end EXIT
trap "exit 130" INT TERM HUP
