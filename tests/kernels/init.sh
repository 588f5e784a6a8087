#!/bin/busybox sh
# The first process of a machine that tests/kernels.sh boots: runs each program of /tests in turn, prints its
# exit status on the console, and switches off the machine.
export PATH=/bin TMPDIR=/tmp HOME=/tmp RUST_BACKTRACE=1
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/shm /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip link set lo up
mkdir /etc
echo 'nobody:*:65534:65534::/tmp:/bin/sh' >/etc/passwd
echo 'nogroup:*:65534:' >/etc/group
exec </dev/null >/dev/console 2>&1

# Some tests have trees of 75,000 directories. The default limit depends on the memory, and was 8,192 before
# Linux 5.11.
echo 200000 >/proc/sys/fs/inotify/max_user_watches

seconds=$(sed -n 's/.*tinotify.seconds=\([0-9]*\).*/\1/p' /proc/cmdline)
uname -sr
# The tests expect the tool at the path where cargo built it.
if [ -e /tool ]; then
    mkdir -p "$(dirname "$(cat /tool.path)")"
    cp /tool "$(cat /tool.path)"
fi
# Runs a command as the suite NAME: run NAME COMMAND...
run() {
    local suite=$1 begin ended
    shift
    echo "=== $suite"
    # Cargo runs tests in a directory that has `src`.
    mkdir -m 777 "/tmp/$suite"
    mkdir "/tmp/$suite/src"
    cd "/tmp/$suite" || return
    begin=$(cut -d. -f1 /proc/uptime)
    timeout "$seconds" "$@"
    ended=$?
    echo "=== $suite: exit $ended after $(($(cut -d. -f1 /proc/uptime) - begin)) s"
    cd /
    rm -rf "/tmp/$suite"
}

for program in /tests/*; do
    run "${program##*/}" "$program"
    if [ "$program" = /tests/tree_permissions ]; then
        # Again in a process that never was root. In the first run, threads of the tests drop root.
        run tree_permissions_of_nobody su -s "$program" nobody
    fi
done
echo "=== all ended"
poweroff -f
