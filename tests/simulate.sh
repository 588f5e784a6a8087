#!/bin/sh
# Runs schedules of the tree engine on the simulated kernel, over all distributions and on all processors; then all
# words of a few operations, the scripted worlds, and the growth of cost. Fails with an error, a seed and a trace if one
# of them is wrong. Default: ten million schedules.
#
#     tests/simulate.sh [COUNT [FIRST_SEED]]
#
# TINOTIFY_DISTRIBUTION=NAME   one distribution alone: mixed, concurrent, renames, overflows, failing, bursts, prompt,
#                              permissions, mounts, shared. Default: they take turns. links (followed links to
#                              directories) runs only if it is named
# TINOTIFY_SEED=N              one seed alone (with its distribution: seed % 10 is its index in that list)
# TINOTIFY_SURVEY=1            goes on after a failure, and counts the kinds of failures of each distribution
# TINOTIFY_WITHOUT=WORDS       leaves out: exchanges, faults, users, an errno (eacces, enoent...); or the checks
#                              unwatched, masks, one_rename, rests, budget
# TINOTIFY_WORDS=N             all words of N operations. Default: 3; 5 takes some minutes
# TINOTIFY_GROWTH_TIME=1       compares processor time as well as calls
set -eu
cd "$(dirname "$0")/.."
run() {
    cargo test --release --no-default-features --features alloc --test tree_simulation "$1" -- --nocapture
}
failed=
TINOTIFY_SCHEDULES=${1:-10000000} TINOTIFY_FIRST_SEED=${2:-0} \
    run no_schedule_makes_a_tree_lose_track || failed=1
# A single seed runs alone.
if [ -z "${TINOTIFY_SEED:-}" ]; then
    run all_short_words_are_right || failed=1
    run scripted_worlds_are_right || failed=1
    run cost_grows_linearly_with_the_changes || failed=1
fi
[ -z "$failed" ]
