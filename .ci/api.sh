#!/usr/bin/env bash
# Compares the public API with docs/public-api.txt; `.ci/api.sh --write` writes it anew. Ends with 77 where
# there is no nightly whose description of the API can be read.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
rustdoc() {
    cargo +nightly rustdoc --all-features --lib --target-dir "$target/api" -- \
        -Z unstable-options --output-format json
}
rustdoc || exit 77
cargo build --quiet --manifest-path .ci/api/Cargo.toml --target-dir "$target/api" || exit 77
ended=0
"$target/api/debug/api" "$target/api/doc/tinotify.json" docs/public-api.txt "$@" || ended=$?
if [ "$ended" != 0 ] && [ "$ended" != 77 ]; then
    echo 'The public API is not as listed. If that is wanted: .ci/api.sh --write' >&2
fi
exit "$ended"
