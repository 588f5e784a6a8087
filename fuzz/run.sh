#!/bin/sh
# Runs the fuzz targets, all or those that are named, for so many seconds each, and says how many
# inputs each has tried. Ends with an error where one of them found something: the input is in
# fuzz/artifacts then.
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
    # No record is longer than 4,112 bytes: room for one, and for what comes before it.
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
