//! `examples/init` works as its README says, in a root that has nothing else, and with only the system calls
//! in `docs/syscalls.md`.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod caged;
mod support;
mod traced;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use caged::{Cage, Running, aarch64, strace};
use rustix::process::{Pid, Signal, kill_process};
use support::{scratch, skipped, until};
use traced::{calls, documented};

#[test]
fn init_makes_each_documented_system_call_and_no_other() {
    let (cage, dir) = (Cage::new(false), scratch());
    let log = dir.path().join("log");
    if !cage.is_permitted("the calls of init") {
        return;
    }
    let Some(mut strace) = strace(&log) else { return };
    strace.arg("unshare");
    cage.put("etc/services/a", "/probe a\n");
    let mut init = cage.run_by(strace, &["/init"], None);
    init.wait_for_line("a is here");
    cage.make_dir("etc/new");
    cage.put("etc/new/b", "/probe b\n");
    fs::rename(cage.path("etc/services"), cage.path("etc/old")).unwrap();
    fs::rename(cage.path("etc/new"), cage.path("etc/services")).unwrap();
    init.wait_for_line("b is here");
    cage.put("run/init-poweroff", "");
    init.wait_for_line("b is asked to end");
    assert!(!init.status().success());

    let log = fs::read_to_string(log).unwrap();
    // The first process is unshare(1).
    let (unshare, _) = log.split_once(' ').unwrap();
    let begin = log.find("execve(\"/init\"").unwrap();
    let begin = begin + log[begin..].find('\n').unwrap() + 1;
    let made = calls(&log[begin..]).filter(|(pid, _)| *pid != unshare);
    let made: BTreeSet<_> = made.map(|(_, call)| call.to_owned()).collect();
    assert_eq!(made, documented("init"));
}

/// Runs a scenario with init as the first process, as root and as a plain user. Permits only its documented
/// calls.
fn as_first(test: &str, scenario: impl Fn(&Cage, &mut dyn FnMut() -> Running)) {
    for plain_user in [false, true] {
        let cage = Cage::new(plain_user);
        if cage.is_permitted(test) {
            let calls = documented("init");
            scenario(&cage, &mut || cage.run(&["/init"], Some(&calls)));
        }
    }
}

#[test]
fn init_starts_and_restarts_and_ends_services_in_order() {
    as_first("services in order", |cage, start| {
        cage.put("etc/services/30-c", "/probe c\n");
        cage.put("etc/services/10-a", "/probe a\nthe rest is for people\n");
        cage.put("etc/services/20-b", "/probe \t b  \n");
        cage.put("etc/services/.hidden", "/probe hidden\n");
        cage.put("etc/services/old~", "/probe old\n");
        cage.put("run/init-exit", "from before\n");
        let mut init = start();
        // In the order of their names.
        for name in ["10-a", "20-b", "30-c"] {
            init.wait_for_line("init: ");
            let line = init.seen.last().unwrap();
            assert!(line.starts_with(&format!("init: {name}: started as ")), "{:#?}", init.seen);
        }
        for name in ["a", "b", "c"] {
            until("all are here", || {
                init.seen.extend(init.lines.try_iter());
                init.seen.contains(&format!("{name} is here"))
            });
        }
        assert!(!init.seen.iter().any(|line| line.contains("hidden") || line.contains("old")));

        // A new service, one that is replaced and then changed in place, and one that is removed.
        cage.put("etc/services/25-d", "/probe d\n");
        init.wait_for_line("d is here");
        cage.put("etc/services/10-a", "/probe again\n");
        init.wait_for_line("a is asked to end");
        init.wait_for_line("init: 10-a: ended with 0");
        init.wait_for_line("again is here");
        fs::write(cage.path("etc/services/10-a"), "/probe a\n").unwrap();
        init.wait_for_line("again is asked to end");
        init.wait_for_line("a is here");
        fs::remove_file(cage.path("etc/services/20-b")).unwrap();
        init.wait_for_line("b is asked to end");
        init.wait_for_line("init: 20-b: ended with 0");

        // The same command is no change, so the next line is about the request.
        cage.put("etc/services/10-a", "/probe a\n");
        cage.put("run/init-restart-30-c", "");
        init.wait_for_line("c is asked to end");
        init.wait_for_line("c is here");
        assert!(!cage.path("run/init-restart-30-c").exists());
        let last = init.seen.len();
        cage.put("run/init-restart-nothing", "");
        init.wait_for_line("init: nothing: no such service");
        assert!(!init.seen[last..].iter().any(|line| line.starts_with("a ")), "{:#?}", init.seen);

        let last = init.seen.len();
        let first = init.first("init");
        kill_process(first, Signal::TERM).unwrap();
        assert_eq!(init.status().code(), Some(0));
        let rest = init.rest();
        let asked: Vec<_> = init.seen[last..].iter().chain(&rest).collect();
        assert_eq!(
            asked,
            [
                "c is asked to end",
                "init: 30-c: ended with 0",
                "d is asked to end",
                "init: 25-d: ended with 0",
                "a is asked to end",
                "init: 10-a: ended with 0",
            ]
        );
    });
}

#[test]
fn init_restarts_services_that_end_with_a_growing_delay() {
    as_first("services that end", |cage, start| {
        // Ends with 1 at once, because it has no arguments.
        cage.put("etc/services/bad", "/wait-for-file\n");
        cage.put("etc/services/missing", "/missing\n");
        cage.put("etc/services/nonsense", "no path\n");
        cage.put("etc/services/once", "/probe once parent\n");
        let begin = Instant::now();
        let mut init = start();
        for _ in 0..5 {
            init.wait_for_line("init: bad: ended with 1");
        }
        // 0.1, 0.2, 0.4 and 0.8 seconds between them.
        assert!(begin.elapsed() >= Duration::from_millis(1500), "{:?}", begin.elapsed());
        let count = |line: &str| init.seen.iter().filter(|seen| *seen == line).count();
        assert!((3..=5).contains(&count("init: missing: ended with 127")), "{:#?}", init.seen);
        assert_eq!(count("init: nonsense: no line with the path of a program"), 1);
        assert_eq!(count("init: once: ended with 0"), 1);
        assert_eq!(count("once is here"), 1);

        // A corrected service is started at once.
        cage.put("etc/services/bad", "/probe good\n");
        init.wait_for_line("good is here");

        // It left a child, which is no service. init must reap it when it ends.
        let first = init.first("init");
        let children = || {
            let first = first.as_raw_nonzero();
            let list = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
            list.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()).collect::<Vec<_>>()
        };
        let is_orphan = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"/probe\0child\0")
        };
        let orphan = children().into_iter().find(is_orphan).unwrap();
        kill_process(Pid::from_raw(orphan).unwrap(), Signal::KILL).unwrap();
        until("the orphan is reaped", || !children().contains(&orphan));

        // A service that is killed is started again.
        let is_good = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"/probe\0good\0")
        };
        let good = children().into_iter().find(is_good).unwrap();
        kill_process(Pid::from_raw(good).unwrap(), Signal::KILL).unwrap();
        init.wait_for_line("init: bad: ended by signal 9");
        init.wait_for_line("good is here");
    });
}

#[test]
fn init_kills_a_service_that_does_not_end() {
    as_first("a service that does not end", |cage, start| {
        cage.put("etc/services/stubborn", "/probe s stubborn\n");
        let mut init = start();
        init.wait_for_line("s is here");
        cage.put("run/init-exit", "");
        init.wait_for_line("s is asked to end");
        let begin = Instant::now();
        init.wait_for_line("init: stubborn: killed, for it did not end");
        assert!(begin.elapsed() >= Duration::from_secs(4), "{:?}", begin.elapsed());
        init.wait_for_line("init: stubborn: ended by signal 9");
        assert_eq!(init.status().code(), Some(0));
    });
}

#[test]
fn init_checks_everything_after_an_overflow() {
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let queue: u32 = queue.trim().parse().unwrap();
    if queue > 100_000 {
        return skipped("lost events", format_args!("the queue is of {queue} events"));
    }
    as_first("init after an overflow", |cage, start| {
        cage.put("etc/services/gone", "/probe gone\n");
        let mut init = start();
        init.wait_for_line("gone is here");
        let first = init.first("init");
        kill_process(first, Signal::STOP).unwrap();
        let name = [cage.path("run/one"), cage.path("run/other")];
        fs::write(&name[0], "").unwrap();
        for number in 0..=queue as usize {
            fs::rename(&name[number % 2], &name[(number + 1) % 2]).unwrap();
        }
        fs::remove_file(cage.path("etc/services/gone")).unwrap();
        cage.put("etc/services/new", "/probe new\n");
        cage.put("run/init-restart-lost", "");
        kill_process(first, Signal::CONT).unwrap();
        init.wait_for_line("init: events were lost");
        init.wait_for_line("init: lost: no such service");
        init.wait_for_line("new is here");
        until("the other is asked to end", || {
            init.seen.extend(init.lines.try_iter());
            init.seen.iter().any(|line| line == "gone is asked to end")
        });
    });
}

#[test]
fn init_finds_directories_that_are_created_late_or_replaced() {
    as_first("directories of init", |cage, start| {
        fs::remove_dir(cage.path("etc/services")).unwrap();
        fs::remove_dir(cage.path("run")).unwrap();
        let mut init = start();
        init.wait_for_line("init: /run: cannot watch: ENOENT");
        init.wait_for_line("init: /etc/services: cannot watch: ENOENT");
        fs::create_dir(cage.path("etc/new")).unwrap();
        cage.put("etc/new/a", "/probe a\n");
        fs::rename(cage.path("etc/new"), cage.path("etc/services")).unwrap();
        init.wait_for_line("a is here");

        // Another directory replaces it.
        fs::create_dir(cage.path("etc/new")).unwrap();
        cage.put("etc/new/b", "/probe b\n");
        fs::rename(cage.path("etc/services"), cage.path("etc/old")).unwrap();
        fs::rename(cage.path("etc/new"), cage.path("etc/services")).unwrap();
        init.wait_for_line("b is here");
        cage.put("etc/services/c", "/probe c\n");
        init.wait_for_line("c is here");
        until("the one that is not in there ends", || {
            init.seen.extend(init.lines.try_iter());
            init.seen.iter().any(|line| line == "init: a: ended with 0")
        });
        cage.make_dir("run");
        // Requests are taken as soon as it has found the directory.
        until("the request is taken", || {
            init.seen.extend(init.lines.try_iter());
            let asked = init.seen.iter().any(|line| line == "c is asked to end");
            if !asked && !cage.path("run/init-restart-c").exists() {
                fs::write(cage.path("run/init-restart-c"), "").unwrap();
            }
            asked
        });
    });
}

#[test]
fn init_does_not_switch_off_the_machine_in_a_namespace() {
    as_first("init and reboot(2)", |cage, start| {
        cage.put("etc/services/a", "/probe a\n");
        for request in ["poweroff", "reboot"] {
            let mut init = start();
            init.wait_for_line("a is here");
            cage.put(&format!("run/init-{request}"), "");
            init.wait_for_line("a is asked to end");
            // In a PID namespace, reboot(2) ends the first process.
            let status = init.status();
            println!("{request}: {status}");
            assert!(!status.success());
        }
    });
}

#[test]
fn init_works_as_the_first_process_on_aarch64() {
    let Some((dir, qemu)) = aarch64("init on aarch64") else { return };
    let cage = Cage::new(false);
    if !cage.is_permitted("init on aarch64") {
        return;
    }
    fs::copy(&qemu, cage.path("qemu")).unwrap();
    fs::copy(dir.join("init"), cage.path("arm-init")).unwrap();
    // A service can be of any architecture that the machine runs.
    cage.put("etc/services/a", "/probe a\n");
    let mut init = cage.run(&["/qemu", "/arm-init"], None);
    init.wait_for_line("a is here");
    cage.put("etc/services/b", "/probe b\n");
    init.wait_for_line("b is here");
    cage.put("run/init-restart-a", "");
    init.wait_for_line("a is asked to end");
    init.wait_for_line("a is here");
    cage.put("run/init-exit", "");
    init.wait_for_line("b is asked to end");
    init.wait_for_line("a is asked to end");
    assert_eq!(init.status().code(), Some(0));
}
