#!/usr/bin/env bash
# Runs the tests as root on other Linux kernels: boots each kernel in QEMU, with the static test programs in
# an initramfs, and prints a table of the results. Then boots it again with examples/init as PID 1.
# Ends with 1 if a test fails, and with 77 if no kernel could be run.
#
#     tests/kernels.sh [VERSION...]
#
# VERSION is the beginning of a kernel's version ("6.1", "6.12.90"), or "newest". The script uses the newest
# kernel of Debian that matches. Default: 5.10 6.1 newest.
#
# Needs x86-64, cargo and the target x86_64-unknown-linux-musl; does not use KVM.
# Downloads the kernels and busybox from Debian's archive, from the mirror of this machine's apt, for any
# release of the machine. Keeps apt's lists, kernels and logs in target/kernels/. Downloads a list again after
# a day.
#
# TINOTIFY_SUITES="NAME..."      test programs to run; shell patterns. Default: those below
# TINOTIFY_DEBIAN_MIRROR=URL     a mirror of Debian. Default: that of this machine's apt
# TINOTIFY_CPUS=N                processors of the machine. Default: 1. With 2, Linux 6.12 panics in QEMU 7.2
# TINOTIFY_SECONDS=N             time limit of one test program. Default: 300
#
# The output of the machines is in target/kernels/logs/: RELEASE.log for the tests, RELEASE-init.log for PID 1.
set -euo pipefail
cd "$(dirname "$0")/.."
# The user nobody also runs programs of the initramfs.
umask 022

versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(5.10 6.1 newest)
read -ra suites <<<"${TINOTIFY_SUITES:-kernel_* tree_boundaries tree_changes tree_kernels tree_neighbours \
    tree_options tree_overflows tree_overlap tree_permissions tree_exclude tree_renames tree_roots \
    watch_name watcher_* stream tool tool_own tool_output tool_terminal init}"
cpus=${TINOTIFY_CPUS:-1}
seconds=${TINOTIFY_SECONDS:-300}

target=x86_64-unknown-linux-musl
releases=(bullseye bookworm bookworm-backports trixie trixie-backports)
sources=$PWD/tests/kernels
# Cargo's target directory. All paths from here on are absolute.
build=$(realpath -m "${CARGO_TARGET_DIR:-target}")
place=$build/kernels
mkdir -p "$place/logs"

skip() {
    printf 'SKIPPED: %s\n' "$*" >&2
}

# Succeeds if a test program is selected.
is_wanted() {
    local pattern
    for pattern in "${suites[@]}"; do
        # shellcheck disable=SC2053 # It is a pattern.
        [[ $1 == $pattern ]] && return
    done
    return 1
}

# --- Packages

# Runs a program of apt with its own sources, and otherwise the machine's configuration. Needs no privilege,
# installs nothing.
apt() {
    local program=$1
    shift
    "$program" -o Dir::Etc::SourceList="$place/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$place/apt/lists" -o Dir::Cache="$place/apt/cache" \
        -o APT::Architecture=amd64 -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::Check-Valid-Until=false "$@"
}

# Downloads the lists of packages, unless they are less than a day old.
fetch_lists() {
    local mirror=${TINOTIFY_DEBIAN_MIRROR:-} keys=/usr/share/keyrings/debian-archive-keyring.gpg release
    command -v apt-get >/dev/null || return
    if [ -z "$mirror" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
            'Label: Debian' | head -n 1)
    fi
    [ -n "$mirror" ] || return
    mkdir -p "$place/apt/"{lists,cache/archives}/partial
    for release in "${releases[@]}"; do
        echo "deb $([ -e "$keys" ] && echo "[signed-by=$keys]") $mirror $release main"
    done >"$place/apt/sources.new"
    if cmp -s "$place/apt/sources.new" "$place/apt/sources.list" &&
        [ -n "$(find "$place/apt/fetched" -mtime -1 2>/dev/null)" ]; then
        return
    fi
    mv "$place/apt/sources.new" "$place/apt/sources.list"
    rm -f "$place/apt/fetched"
    # Some releases may be missing: their kernels are skipped later.
    if apt apt-get update -q >"$place/logs/apt.log" 2>&1; then
        touch "$place/apt/fetched"
    fi
}

# Unpacks the files of a package that match a pattern into a directory.
unpack() {
    local package=$1 pattern=$2 into=$3 dir=$place/package
    rm -rf "$dir" "$into"
    mkdir -p "$dir" "$into"
    (cd "$dir" && apt apt-get download -q "$package") >>"$place/logs/apt.log" 2>&1 &&
        dpkg-deb --fsys-tarfile "$dir"/*.deb | tar -x -C "$into" --wildcards "$pattern"
    local ended=$?
    rm -r "$dir"
    return "$ended"
}

# Prints the release of the newest kernel of a version, as in "6.1.0-50-cloud-amd64".
newest_kernel() {
    local version=$1
    [ "$version" != newest ] || version=
    # The cloud kernels have everything that the tests need, and are smaller.
    apt apt-cache pkgnames linux- | sed -n 's/^linux-\(image\|binary\)-\([0-9].*-cloud-amd64\)$/\2/p' |
        awk -v version="$version" 'version == "" || index($0, version) == 1 &&
            substr($0, length(version) + 1) ~ /^[^0-9]/' |
        sort -V | tail -n 1
}

# Downloads a kernel to `$place/RELEASE`.
fetch_kernel() {
    local release=$1 dir=$place/unpacked kind
    [ ! -e "$place/$release" ] || return 0
    # Newer releases have the kernel itself in a separate package.
    for kind in binary image; do
        if unpack "linux-$kind-$release" '*/vmlinuz*' "$dir"; then
            find "$dir" -name 'vmlinuz*' -type f -exec mv {} "$place/$release" \;
            break
        fi
    done
    rm -rf "$dir"
    [ -e "$place/$release" ]
}

fetch_busybox() {
    [ ! -e "$place/busybox" ] || return 0
    unpack busybox-static '*/bin/busybox' "$place/unpacked" &&
        find "$place/unpacked" -name busybox -type f -exec mv {} "$place/busybox" \;
    rm -rf "$place/unpacked"
    [ -e "$place/busybox" ]
}

has_qemu() {
    command -v qemu-system-x86_64 >/dev/null && return
    local sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo -n'
    { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends qemu-system-x86; } \
        >/dev/null 2>&1
    command -v qemu-system-x86_64 >/dev/null
}

# --- Programs

# Builds the test programs, and prints their paths, one per line.
build_tests() {
    local wanted=() file name
    for file in tests/*.rs; do
        name=$(basename "$file" .rs)
        if is_wanted "$name"; then
            wanted+=(--test "$name")
        fi
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    # Slightly optimised, because the machine is slow, and some tests have trees of 75,000 directories. Uses
    # the linker of Rust, so that no C compiler for this target is needed.
    CARGO_PROFILE_DEV_OPT_LEVEL=${CARGO_PROFILE_DEV_OPT_LEVEL:-1} \
        CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=${CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER:-rust-lld} \
        cargo test --no-run --all-features --target "$target" "${wanted[@]}" \
        --message-format=json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

# Copies a program without its debug information.
copy_program() {
    strip -o "$2" "$1" 2>/dev/null || cp "$1" "$2"
}

# Packs a directory as an initramfs. Uses busybox, because cpio(1) is missing on many machines.
pack() {
    (cd "$1" && find . | "$place/busybox" cpio -o -H newc 2>/dev/null) >"$2"
}

# Packs the initramfs of the machine that runs the tests, which are in /tests.
pack_tests() {
    local root=$place/root path name
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,proc,sys,tests,tmp}
    cp "$place/busybox" "$root/bin/busybox"
    cp "$sources/init.sh" "$root/init"
    chmod +x "$root/init"
    while read -r path; do
        name=$(basename "$path")
        if [ "$name" = tinotify ]; then
            # Its tests contain its path, which may be covered by a mount.
            copy_program "$path" "$root/tool"
            echo "$path" >"$root/tool.path"
        else
            # Removes cargo's hash from the name.
            copy_program "$path" "$root/tests/${name%-*}"
        fi
    done <<<"$1"
    pack "$root" "$place/tests.cpio"
    rm -r "$root"
}

# Packs the initramfs of the machine whose PID 1 is examples/init.
pack_init() {
    local root=$place/root built=$build/kernels/init/x86_64-unknown-linux-gnu/release
    CARGO_TARGET_DIR=$build/kernels/init cargo build --release --quiet --bins --examples \
        --manifest-path examples/init/Cargo.toml --target x86_64-unknown-linux-gnu || return
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc/services,proc,run}
    cp "$place/busybox" "$root/bin/busybox"
    cp "$built/init" "$built/examples/probe" "$root"
    cp "$sources/service.sh" "$root"
    echo '/probe steady' >"$root/etc/services/10-steady"
    echo '/probe parent parent' >"$root/etc/services/20-parent"
    echo '/bin/busybox sh /service.sh' >"$root/etc/services/90-script"
    pack "$root" "$place/init.cpio"
    rm -r "$root"
}

# --- Machines

# Boots a kernel with an initramfs until it switches itself off, and prints its output.
boot() {
    local kernel=$1 initramfs=$2
    # Without KVM, because on a virtual machine it may be present, but unable to run a kernel.
    # The timeout is only for kernels that hang.
    timeout --foreground "$((seconds * 6))" qemu-system-x86_64 -accel tcg -smp "$cpus" -m 2048 -nic none \
        -display none -monitor none -serial stdio -no-reboot -kernel "$kernel" -initrd "$initramfs" \
        -append "console=ttyS0 quiet panic=-1 tinotify.seconds=$seconds" </dev/null 2>&1 |
        sed -u 's/\r//g'
}

declare -A cells
rows=() columns=() failed=()

# Stores the result of one test program on one kernel.
note() {
    local version=$1 suite=$2 cell=$3
    cells[$version/$suite]=$cell
    [[ " ${rows[*]-} " == *" $suite "* ]] || rows+=("$suite")
    case $cell in
        */0/*) ;;
        *) failed+=("$suite on $version") ;;
    esac
}

# Reads results from a log of tests/kernels/init.sh.
read_log() {
    local version=$1 log=$2 suite=
    # Test programs that have started and not ended.
    while read -r suite; do
        note "$version" "$suite" 'no end'
    done < <(sed -n 's/^=== \([a-z_]*\)$/\1/p' "$log" | while read -r suite; do
        grep -q "^=== $suite: " "$log" || echo "$suite"
    done)
    while read -r suite cell; do
        note "$version" "$suite" "$cell"
    done < <(awk '
        /^=== [a-z_]+$/ { passed = failed = skipped = 0 }
        /^test result: / { passed += $4; failed += $6; skipped += $8 }
        # After the name of its test, or on a separate line.
        /SKIPPED: / { skipped++ }
        /^=== [a-z_]+: exit / {
            sub(":", "", $2)
            # Programs without the test runner print no sums.
            if (passed + failed == 0) { if ($4 == 0) passed = 1; else failed = 1 }
            if ($4 != 0 && failed == 0) failed = 1
            print $2, passed "/" failed "/" skipped
        }' "$log")
}

# --- Main

# Ends because no kernel can be run.
give_up() {
    skip "other kernels: $*"
    exit 77
}
[ "$(uname -m)" = x86_64 ] || give_up 'this machine is not x86-64'
rustup target add "$target" >/dev/null 2>&1 || give_up "no standard library for $target"
has_qemu || give_up 'cannot install qemu-system-x86_64'
fetch_lists || give_up 'no apt, or no mirror of Debian: set TINOTIFY_DEBIAN_MIRROR'
fetch_busybox || give_up "cannot download busybox-static: see $place/logs/apt.log"

programs=$(build_tests)
if [ -n "$programs" ]; then
    pack_tests "$programs"
fi
if is_wanted init; then
    pack_init
fi

for version in "${versions[@]}"; do
    release=$(newest_kernel "$version")
    if [ -z "$release" ] || ! fetch_kernel "$release"; then
        skip "Linux $version: cannot download a package of Debian: see $place/logs/apt.log"
        continue
    fi
    short=${release%-cloud-amd64} begin=$SECONDS
    columns+=("$short")
    printf '\n--- Linux %s\n' "$short"
    if [ -n "$programs" ]; then
        log=$place/logs/$short.log
        boot "$place/$release" "$place/tests.cpio" | tee "$log" | grep --line-buffered '^=== .*: ' || true
        read_log "$short" "$log"
        grep -q '^=== all ended$' "$log" || failed+=("the machine with $short did not reach the end")
    fi
    if is_wanted init; then
        log=$place/logs/$short-init.log
        boot "$place/$release" "$place/init.cpio" >"$log" || true
        grep '^service: ' "$log" || true
        passed=$(grep -c '^service: .*: ok$' "$log") || true
        # The script has reached its end, and init has switched off the machine.
        if grep -q '^service: done$' "$log" && grep -q 'reboot: Power down' "$log"; then
            note "$short" init "$passed/0/0"
        else
            note "$short" init "$passed/1/0"
        fi
    fi
    printf -- '--- Linux %s: %s s\n' "$short" "$((SECONDS - begin))"
done
if [ ${#columns[@]} = 0 ]; then
    give_up 'none could be run'
fi

# Prints the failed tests of each kernel, and the skipped ones once for all kernels.
for version in "${columns[@]}"; do
    [ -n "$programs" ] || break
    awk -v version="$version" '
        /^=== / { suite = $2; list = 0 }
        /^failures:$/ { list = 1 }
        /^test result: / { list = 0 }
        list && /^    [^ ]+$/ { print "FAILED on " version ": " suite ": " $1 }' "$place/logs/$version.log"
done
for version in "${columns[@]}"; do
    [ -n "$programs" ] || break
    sed -n 's/.*SKIPPED: //p' "$place/logs/$version.log"
done | sort | uniq -c | sort -rn | sed 's/^ *\([0-9]*\) /SKIPPED (\1 times): /'

printf '\nTests: passed/failed/messages about skipped tests. A skipped test counts as passed too.\n\n'
printf '%-28s' ''
printf ' %14s' "${columns[@]}"
printf '\n'
for suite in "${rows[@]}"; do
    printf '%-28s' "$suite"
    for version in "${columns[@]}"; do
        printf ' %14s' "${cells[$version/$suite]:--}"
    done
    printf '\n'
done

if [ ${#failed[@]} -gt 0 ]; then
    printf '\n' >&2
    printf 'Failed: %s\n' "${failed[@]}" >&2
    echo "The logs are in $place/logs." >&2
    exit 1
fi
