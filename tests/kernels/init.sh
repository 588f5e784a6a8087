#!/bin/busybox sh
# The first process of a machine that tests/kernels.sh boots: runs each program of /tests, one after another,
# says on the console how it ended, and switches the machine off.
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
exec </dev/null >/dev/console 2>&1

seconds=$(sed -n 's/.*tinotify.seconds=\([0-9]*\).*/\1/p' /proc/cmdline)
uname -sr
for program in /tests/*; do
    suite=${program##*/}
    echo "=== $suite"
    # Relative roots of trees are beneath the working directory.
    mkdir -p "/tmp/$suite"
    cd "/tmp/$suite"
    begin=$(cut -d. -f1 /proc/uptime)
    timeout "$seconds" "$program"
    ended=$?
    echo "=== $suite: exit $ended after $(($(cut -d. -f1 /proc/uptime) - begin)) s"
    cd /
    rm -rf "/tmp/$suite"
done
echo "=== all ended"
poweroff -f
