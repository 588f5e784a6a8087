//! `examples/wait-for-file` works as its README says, in a root that has nothing else, and with only the
//! system calls in `docs/syscalls.md`.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod caged;
mod support;
mod traced;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use caged::{Cage, Running, aarch64, is_waiting, native, strace};
use rustix::process::Pid;
use support::{DEADLINE, as_plain_user, scratch, until};
use traced::{calls, documented};

#[test]
fn wait_for_file_makes_each_documented_system_call_and_no_other() {
    let root = scratch();
    let log = root.path().join("log");
    let run = |args: &[&str]| {
        let mut strace = strace(&log)?;
        strace.arg(native("wait-for-file")).args(args).current_dir(root.path());
        Some(Running::new(strace))
    };
    let read_log = || fs::read_to_string(&log).unwrap_or_default();
    let Some(mut wait) = run(&[]) else { return };
    assert_eq!(wait.status().code(), Some(1));
    let mut logs = read_log();
    let mut wait = run(&["there", "60"]).unwrap();
    while wait.child.try_wait().unwrap().is_none() {
        // Other names first, until it has read an event of one.
        let name = if read_log().contains(" read(") { "there" } else { "here" };
        fs::write(root.path().join(name), "").unwrap();
        let _ = fs::remove_file(root.path().join("here"));
    }
    assert_eq!(wait.status().code(), Some(0));
    logs.push_str(&read_log());
    let mut made: BTreeSet<_> = calls(&logs).map(|(_, call)| call.to_owned()).collect();
    // strace starts the program with this call.
    assert!(made.remove("execve"));
    assert_eq!(made, documented("wait-for-file"));
}

/// Runs wait-for-file in the directory `root`. `wrapper` is the start of a command line that runs the rest.
fn wait_for_file(root: &Path, wrapper: &[&str], args: &[&str]) -> Running {
    let program = native("wait-for-file").display().to_string();
    let line: Vec<_> =
        wrapper.iter().copied().chain([&program[..]]).chain(args.iter().copied()).collect();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(root);
    Running::new(command)
}

/// Waits until the program sleeps and has a watch.
fn until_waiting(running: &Running) {
    let pid = Pid::from_child(&running.child);
    until("wait-for-file waits", || {
        let info = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
        let watches = |file| fs::read_to_string(file).unwrap_or_default().contains("inotify wd:");
        info.flatten().any(|file| watches(file.path())) && is_waiting(pid)
    });
}

#[test]
fn wait_for_file_returns_a_status_for_each_outcome() {
    let root = scratch();
    fs::write(root.path().join("there"), "").unwrap();
    let code = |args: &[&str]| {
        let mut running = wait_for_file(root.path(), &[], args);
        let code = running.status().code().unwrap();
        (code, running.rest().join(" "))
    };
    for path in ["there", "./there", "/", ".", "../.", "//proc/self/stat"] {
        assert_eq!(code(&[path]), (0, String::new()), "{path}");
    }
    for path in ["away", "away/deeper", "there/", "there/below", "//away//deeper/"] {
        for seconds in ["0", "0.05", "00.050000000"] {
            assert_eq!(code(&[path, seconds]), (2, String::new()), "{path} {seconds}");
        }
    }
    let wrong: [&[&str]; 10] = [
        &[],
        &["a", "1", "b"],
        &["a", ""],
        &["a", "."],
        &["a", "1."],
        &["a", ".5"],
        &["a", "-1"],
        &["a", "+1"],
        &["a", "0.0000000001"],
        &["a", "99999999999999999999"],
    ];
    for args in wrong {
        let (status, output) = code(args);
        assert_eq!(status, 1, "{args:?}");
        assert!(output.starts_with("usage: wait-for-file PATH [SECONDS]"), "{output}");
    }
    let begin = Instant::now();
    assert_eq!(code(&["away", "1.25"]).0, 2);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1250) && took < DEADLINE, "{took:?}");
}

#[test]
fn wait_for_file_prints_the_path_and_the_remedy_if_it_can_not_wait() {
    let root = scratch();
    symlink("loop", root.path().join("loop")).unwrap();
    fs::create_dir(root.path().join("shut")).unwrap();
    fs::set_permissions(root.path().join("shut"), PermissionsExt::from_mode(0o300)).unwrap();
    let long = "n".repeat(256);
    let check = |wrapper: &[&str], path: &str, words: [&str; 2]| {
        let mut running = wait_for_file(root.path(), wrapper, &[path, "60"]);
        assert_eq!(running.status().code(), Some(1), "{path}");
        let output = running.rest().join("\n");
        assert!(output.starts_with("wait-for-file: ") && !output.contains('\n'), "{output}");
        assert!(words.iter().all(|word| output.contains(word)), "{output}");
    };
    check(&[], "loop/a", ["loop/a: ", "symbolic links"]);
    check(&[], &long, [&long, "too long"]);
    check(&[], "loop/\u{1b}", ["loop/\\x1b: ", "symbolic links"]);
    let few = ["sh", "-c", "ulimit -n 3; exec \"$@\"", "sh"];
    check(&few, "away", ["away: ", "raise its limit (ulimit -n)"]);
    // Permissions do not apply to root.
    as_plain_user(|| check(&[], "shut/a", ["shut/a: ", "permission to read"]));
}

#[test]
fn wait_for_file_ends_at_once_when_the_path_appears() {
    type Step = fn(&Path);
    let cases: [(&str, Step); 8] = [
        ("file", |root| fs::write(root.join("file"), "").unwrap()),
        ("a/b/c/file", |root| {
            fs::create_dir_all(root.join("a/b/c")).unwrap();
            fs::write(root.join("a/b/c/file"), "").unwrap();
        }),
        ("a/b/c/", |root| {
            fs::create_dir_all(root.join("new/b/c")).unwrap();
            fs::rename(root.join("new"), root.join("a")).unwrap();
        }),
        ("link", |root| symlink(".", root.join("link")).unwrap()),
        ("hard", |root| {
            fs::write(root.join("soft"), "").unwrap();
            fs::hard_link(root.join("soft"), root.join("hard")).unwrap();
        }),
        // First a file where the path needs a directory.
        ("a/file", |root| {
            fs::write(root.join("a"), "").unwrap();
            fs::remove_file(root.join("a")).unwrap();
            fs::create_dir(root.join("a")).unwrap();
            fs::write(root.join("a/file"), "").unwrap();
        }),
        // A directory on the path is moved away, and another is created.
        ("dir/a/file", |root| {
            fs::create_dir_all(root.join("dir/a")).unwrap();
            fs::rename(root.join("dir"), root.join("away")).unwrap();
            fs::create_dir_all(root.join("dir/a")).unwrap();
            fs::write(root.join("dir/a/file"), "").unwrap();
        }),
        ("file", |root| {
            for number in 0..100 {
                fs::write(root.join(format!("other{number}")), "").unwrap();
            }
            fs::write(root.join("file"), "").unwrap();
        }),
    ];
    let mut late = Vec::new();
    for round in 0..6 {
        for (number, (path, make)) in cases.iter().enumerate() {
            let root = scratch();
            let absolute = root.path().join(path).display().to_string();
            let path = if round % 2 == 0 { path } else { &absolute[..] };
            let mut running = wait_for_file(root.path(), &[], &[path, "60"]);
            // In some rounds it waits before the change, in others it may still be starting.
            if round < 3 {
                until_waiting(&running);
            }
            make(root.path());
            let begin = Instant::now();
            assert_eq!(running.status().code(), Some(0), "{path}");
            if begin.elapsed() >= Duration::from_millis(500) {
                late.push(number);
            }
        }
    }
    // The program checks the path every second, so it would find a missed change late. A busy machine may
    // cause some delays too.
    assert!(late.len() <= 3, "late at {late:?}");
}

#[test]
fn wait_for_file_finds_a_change_without_an_event_within_about_a_second() {
    let (root, elsewhere) = (scratch(), scratch());
    let target = elsewhere.path().join("target");
    symlink(&target, root.path().join("link")).unwrap();
    let mut running = wait_for_file(root.path(), &[], &["link", "60"]);
    until_waiting(&running);
    fs::write(&target, "").unwrap();
    assert_eq!(running.status().code(), Some(0));
}

#[test]
fn wait_for_file_uses_at_most_40_kb_of_memory() {
    for plain_user in [false, true] {
        let cage = Cage::new(plain_user);
        if !cage.is_permitted("wait-for-file in an empty root") {
            continue;
        }
        let calls = documented("wait-for-file");
        let mut running = cage.run(&["/wait-for-file", "/run/a/b", "60"], Some(&calls));
        let first = running.first("wait-for-file");
        until("wait-for-file waits", || is_waiting(first));
        cage.put("run/other", "");
        fs::create_dir(cage.path("run/a")).unwrap();
        until("wait-for-file waits again", || is_waiting(first));
        // This counts each page, also shared ones. The kernel's fast counters can be out of date.
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", first.as_raw_nonzero()));
        let line =
            rollup.unwrap().lines().find(|line| line.starts_with("Rss:")).unwrap().to_owned();
        let kb: u32 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        println!("wait-for-file: {kb} KB resident");
        assert!(kb <= 40, "{kb} KB");
        cage.put("run/a/b", "");
        assert_eq!(running.status().code(), Some(0));

        let output = |running: &mut Running| (running.status().code(), running.rest());
        let mut running = cage.run(&["/wait-for-file", "/run/never", "0.1"], Some(&calls));
        assert_eq!(output(&mut running), (Some(2), vec![]));
        let mut running = cage.run(&["/wait-for-file"], Some(&calls));
        assert_eq!(output(&mut running).0, Some(1));
    }
}

#[test]
fn wait_for_file_waits_on_aarch64() {
    let Some((dir, qemu)) = aarch64("wait-for-file on aarch64") else { return };
    let root = scratch();
    let run = |args: &[&str]| {
        let mut command = Command::new(&qemu);
        command.arg(dir.join("wait-for-file")).args(args).current_dir(root.path());
        Running::new(command)
    };
    assert_eq!(run(&[]).status().code(), Some(1));
    assert_eq!(run(&["."]).status().code(), Some(0));
    assert_eq!(run(&["a/b", "0.2"]).status().code(), Some(2));
    let mut running = run(&["a/b", "60"]);
    until_waiting(&running);
    fs::create_dir(root.path().join("a")).unwrap();
    fs::write(root.path().join("a/b"), "").unwrap();
    assert_eq!(running.status().code(), Some(0));
}
