#!/usr/bin/env bash
# Counts instructions and system calls, and compares them with docs/counts.txt. Fails if one has grown:
# instructions by more than 3 %, system calls by half a call. `.ci/counts.sh --write` writes the table anew.
# Needs valgrind and strace. See benches/counts/src/main.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

table=docs/counts.txt
host=$(rustc -vV | sed -n 's/^host: //p')
# The libc of this target comes with the toolchain, so the libc of the machine does not change the counts.
target=${host/-gnu/-musl}
mode=compare toolchain=
if [ "${1-}" = --write ]; then
    mode='write'
else
    # Another compiler has other counts. So this uses the compiler of the table, if it can be installed.
    version=$(sed -n 's/^# toolchain: rustc \([^ ]*\) .*/\1/p' "$table")
    if [ "$(rustc -V | cut -d ' ' -f 2)" != "$version" ] &&
        rustup toolchain install "$version" --profile minimal >/dev/null 2>&1; then
        toolchain=+$version
    fi
fi
# shellcheck disable=SC2086 # One word, or none.
rust() { local program=$1; shift; "$program" $toolchain "$@"; }

if ! rustup target add ${toolchain:+--toolchain "${toolchain#+}"} "$target" >/dev/null 2>&1; then
    echo "SKIPPED: counts for $target: cannot install its standard library" >&2
    target=$host
fi
target_dir=${CARGO_TARGET_DIR:-$PWD/target}/counts
# The build uses only the settings in Cargo.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS "${!CARGO_PROFILE_RELEASE_@}"
rust cargo build --release --quiet --manifest-path benches/counts/Cargo.toml \
    --target "$target" --target-dir "$target_dir"
"$target_dir/$target/release/counts" "$mode" "$table" "$(rust rustc -V), $target"
