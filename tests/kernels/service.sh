# The last service of a machine whose PID 1 is examples/init. Checks that init starts, restarts, reaps and ends
# other services, then makes it switch off the machine. tests/kernels.sh reads its output.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc

# Waits until a command succeeds.
await() {
    local what=$1 tries=0
    shift
    until "$@"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 600 ]; then
            echo "service: $what: FAILED"
            touch /run/init-poweroff
            exit 1
        fi
        sleep 0.05
    done
    echo "service: $what: ok"
}

# Prints the process of a probe.
pid_of() {
    ps -o pid,args | awk -v name="$1" '$2 == "/probe" && $3 == name { print $1; found = 1 } END { exit !found }'
}
is_another() {
    local pid
    pid=$(pid_of "$1") && [ "$pid" != "$2" ]
}
is_gone() {
    ! pid_of "$1" >/dev/null
}
is_child_of_init() {
    grep -qs '^PPid:[[:space:]]*1$' "/proc/$1/status"
}

[ "$(tr '\0' ' ' </proc/1/cmdline)" = '/init ' ] && echo 'service: init is PID 1: ok'
await 'a service is started' pid_of steady
steady=$(pid_of steady)
kill -9 "$steady"
await 'a service that was killed is started again' is_another steady "$steady"

steady=$(pid_of steady)
touch /run/init-restart-10-steady
await 'a request restarts a service' is_another steady "$steady"
await 'a request is removed' [ ! -e /run/init-restart-10-steady ]

echo '/probe late' >/etc/services/.late
mv /etc/services/.late /etc/services/30-late
await 'a new file starts its service' pid_of late
late=$(pid_of late)
echo '/probe later' >/etc/services/30-late
await 'a changed file restarts its service' is_another later "$late"
rm /etc/services/30-late
await 'a removed file ends its service' is_gone late

# The shell that starts it ends at once.
orphan=$(setsid sleep 2 >/dev/null & echo $!)
await 'an orphan becomes a child of init' is_child_of_init "$orphan"
await 'an orphan is reaped' [ ! -e "/proc/$orphan" ]

echo 'service: done'
touch /run/init-poweroff
# init ends this service too.
sleep 60
