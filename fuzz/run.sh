#!/bin/sh
# Runs all fuzz targets, or the named ones, for SECONDS each, and prints the number of inputs of each. Ends
# with an error if a target fails. The failing input is then in fuzz/artifacts.
#
#     fuzz/run.sh SECONDS [TARGET...]
#
# Needs a nightly toolchain and cargo-fuzz.
set -eu

usage="usage: $0 SECONDS [TARGET...]"
seconds=${1:?$usage}
shift
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- decode decode_vs_oracle ring rename flags_parse tree

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for target; do
    # A record has at most 4,112 bytes: room for one, and for some records before it.
    if cargo +nightly fuzz run "$target" -- \
        -max_total_time="$seconds" -max_len=4400 -timeout=10 -print_final_stats=1 >"$log" 2>&1
    then result=clean
    else result=FAILED failed=1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    [ "$result" = clean ] || tail -n 60 "$log" >&2
    echo "$target: $result, ${runs:-no} executions in $seconds s"
done
exit "$failed"
