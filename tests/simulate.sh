#!/bin/sh
# Runs schedules of the simulated kernel and the tree engine, ten million unless told otherwise, on all
# processors. Ends with an error, a seed and a trace where one of them went wrong.
#
#     tests/simulate.sh [COUNT [FIRST_SEED]]
#
# TINOTIFY_SEED=N runs one seed alone; TINOTIFY_SURVEY=1 goes on after a failure and counts the kinds.
set -eu
cd "$(dirname "$0")/.."
TINOTIFY_SCHEDULES=${1:-10000000} TINOTIFY_FIRST_SEED=${2:-0} \
    exec cargo test --release --no-default-features --features alloc --test tree_simulation \
    no_schedule_makes_a_tree_lose_track -- --nocapture
