#!/usr/bin/env bash
# Builds the packages of the tool: a static tarball, and a Debian package with the same program. They are written
# to target/packages, or to the directory in the first argument. Needs cargo, rustup, git, tar and gzip. Installs the
# target of musl and cargo-deb, and prints SKIPPED for a package whose tools can't be installed.
#
# The same sources, compiler and Cargo.lock give the same packages: all times are SOURCE_DATE_EPOCH, by default
# that of the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(uname -m)-unknown-linux-musl
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
packages=$(realpath -m "${1:-$target_dir/packages}")
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH CARGO_TARGET_DIR=$target_dir

if ! rustup target add "$target" >/dev/null 2>&1; then
    echo "SKIPPED: packages: cannot install the target $target" >&2
    exit 0
fi

# Reads the command for the small static build from the README, but builds the whole tool. Panic messages have no paths
# of this machine.
command=$(sed -n 's/^\(RUSTFLAGS=.* cargo build .*\)$/\1/p' README.md | head -n 1)
[ -n "$command" ]
command=${command/ cargo build/ cargo build --quiet}
command=${command/--features cli-core/--features cli}
command=${command/RUSTFLAGS=\'/RUSTFLAGS=\'"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$PWD=. "}
eval "${command%--target *}--target $target"

# cargo-deb reads these files from the directory of the build.
built=$target_dir/$target/small
tool=$built/tinotify
mkdir -p "$built/packaging" "$packages"
"$tool" --generate man >"$built/packaging/tinotify.1"
gzip -n9 <"$built/packaging/tinotify.1" >"$built/packaging/tinotify.1.gz"
"$tool" --generate bash >"$built/packaging/tinotify.bash"
"$tool" --generate zsh >"$built/packaging/_tinotify"
"$tool" --generate fish >"$built/packaging/tinotify.fish"

name=tinotify-$version-$target
stage=$(mktemp -d)
trap 'rm -r "$stage"' EXIT
mkdir -p "$stage/$name/completions"
install -m 755 "$tool" "$stage/$name/tinotify"
install -m 644 LICENSE-APACHE LICENSE-MIT docs/tool.md "$built/packaging/tinotify.1" "$stage/$name"
install -m 644 "$built"/packaging/{tinotify.bash,_tinotify,tinotify.fish} "$stage/$name/completions"
tar -C "$stage" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX \
    -cf - "$name" | gzip -n9 >"$packages/$name.tar.gz"
echo "$packages/$name.tar.gz"

if ! { cargo deb --version || cargo install --quiet --locked cargo-deb; } >/dev/null 2>&1; then
    echo 'SKIPPED: Debian package: cannot install cargo-deb' >&2
    exit 0
fi
cargo deb --quiet --no-build --no-strip --profile small --target "$target" --output "$packages"
