//! Messages say what is not reported, and what to do about it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use support::tool::Tool;
use support::{Ended, Program, skip};

#[path = "tool/mod.rs"]
mod support;

/// Returns a command that runs the tool as a user without rights.
fn as_plain_user(dir: &Path, args: &[&str]) -> Command {
    if !rustix::process::geteuid().is_root() {
        return support::tool(dir, args);
    }
    // That user may have no access to the directory of the program.
    fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
    let program = dir.join("tinotify");
    fs::copy(env!("CARGO_BIN_EXE_tinotify"), &program).unwrap();
    let mut command = support::program(program.as_os_str(), dir, args);
    command.uid(65534).gid(65534);
    command
}

/// Makes directories in `d` that a plain user cannot read.
fn closed_directories(dir: &Path, count: usize) {
    for number in 0..count {
        let closed = dir.join(format!("d/{number}"));
        fs::create_dir_all(&closed).unwrap();
        fs::set_permissions(closed, Permissions::from_mode(0o000)).unwrap();
    }
}

fn open_directories(dir: &Path) {
    for entry in fs::read_dir(dir.join("d")).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o700)).unwrap();
    }
}

/// Runs the tool on a tree with directories that it cannot watch. Returns its messages.
fn with_closed_directories(options: &[&str], count: usize) -> String {
    let dir = tempfile::tempdir().unwrap();
    closed_directories(dir.path(), count);
    let args = [options, &["-m", "-r", "-e", "create", "d"]].concat();
    let mut program = Program::watching(&mut as_plain_user(dir.path(), &args), 1);
    // An event comes after all messages about the set-up. An entry from before its end has no event.
    let mut number = 0;
    support::tool::wait_for("an event", || {
        number += 1;
        fs::create_dir(dir.path().join(format!("d/end-{number}"))).unwrap();
        options.contains(&"-qq") || !program.events.so_far().is_empty()
    });
    program.signal(rustix::process::Signal::TERM);
    let messages = program.end().messages;
    open_directories(dir.path());
    messages
}

#[test]
fn with_quiet_a_directory_that_cannot_be_watched_is_still_reported() {
    let messages = with_closed_directories(&["-q"], 1);
    assert!(messages.starts_with("tinotify: cannot watch: d/0"), "{messages}");
    assert!(messages.contains(": EACCES"), "{messages}");
}

#[test]
fn with_quiet_twice_nothing_is_reported() {
    let messages = with_closed_directories(&["-qq"], 1);
    assert_eq!(messages, "");
    let ended = Program::start(&mut support::tool(Path::new("."), &["-qq", "no/such/path"])).end();
    let expected = Ended { code: Some(1), events: Vec::new(), messages: String::new() };
    assert_eq!(ended, expected);
}

#[test]
fn many_directories_that_cannot_be_watched_are_a_few_lines() {
    let messages = with_closed_directories(&[], 300);
    let lines: Vec<&str> =
        messages.lines().filter(|line| line.starts_with("tinotify: cannot watch: ")).collect();
    assert_eq!(lines.len(), 6, "{messages}");
    assert!(lines[5].contains(" 295 more directories: the last one: EACCES"), "{messages}");
}

#[test]
fn with_quiet_the_end_of_a_watch_is_still_reported() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let args = ["-q", "-m", "-e", "create", "d"];
    let mut program = Program::watching(&mut support::tool(dir.path(), &args), 1);
    fs::remove_dir(dir.path().join("d")).unwrap();
    let expected = "tinotify: watch ended: d/: it was removed, or its file system was unmounted\n";
    assert_eq!(program.end().messages, expected);
}

/// Runs the tool in a user namespace in which a sysctl has a low value. Returns `None` if that is not allowed.
fn with_limit(name: &str, value: u32) -> Option<Ended> {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..5 {
        fs::create_dir_all(dir.path().join(format!("d/{number}"))).unwrap();
    }
    let script = format!("echo {value} > /proc/sys/user/{name} && shift && exec \"$@\"");
    let args = [
        "-Ur",
        "sh",
        "-c",
        &script,
        "sh",
        "-",
        env!("CARGO_BIN_EXE_tinotify"),
        "-mr",
        "-t",
        "1",
        "d",
    ];
    let mut command = support::program("unshare".as_ref(), dir.path(), &args);
    command.stdin(std::process::Stdio::null());
    if support::output(Command::new("unshare").args([
        "-Ur",
        "sh",
        "-c",
        &format!("echo {value} > /proc/sys/user/{name}"),
    ]))
    .is_ok_and(|output| output.status.success())
    {
        return Some(Program::start(&mut command).end());
    }
    skip("limits of inotify: unshare(1) cannot make a user namespace");
    None
}

#[test]
fn the_limit_of_watches_is_named_with_its_value_and_the_command_that_raises_it() {
    let Some(ended) = with_limit("max_inotify_watches", 3) else { return };
    assert_eq!(ended.code, Some(1));
    let expected = "tinotify: cannot watch: d/0: a limit of this user is reached: user.max_inotify_watches is 3; to \
                    raise it, run: sysctl -w user.max_inotify_watches=128\n";
    assert!(ended.messages.ends_with(expected), "{}", ended.messages);
}

#[test]
fn the_limit_of_instances_is_named_with_its_value_and_the_command_that_raises_it() {
    let Some(ended) = with_limit("max_inotify_instances", 0) else { return };
    assert_eq!(ended.code, Some(1));
    let expected = "tinotify: cannot watch: a limit of this user is reached: user.max_inotify_instances is 0; to \
                    raise it, run: sysctl -w user.max_inotify_instances=128\n";
    assert!(ended.messages.ends_with(expected), "{}", ended.messages);
}

#[test]
fn a_limit_that_is_reached_later_is_named_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let script = "echo 2 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let tool = env!("CARGO_BIN_EXE_tinotify");
    let args = ["-Ur", "sh", "-c", script, "sh", tool, "-mr", "-e", "create", "d"];
    let allowed = Command::new("unshare")
        .args(&args[..3])
        .arg("echo 2 > /proc/sys/user/max_inotify_watches")
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        skip("limits of inotify: unshare(1) cannot make a user namespace");
        return;
    }
    let program =
        Program::established(&mut support::program("unshare".as_ref(), dir.path(), &args));
    fs::create_dir_all(dir.path().join("d/a/b/c")).unwrap();
    let expected =
        "ENOSPC: no watch is left: user.max_inotify_watches is 2; to raise it, run: sysctl -w";
    program.messages.until(expected);
}

#[test]
fn an_overflow_names_the_sysctl_and_its_value() {
    let tool = Tool::start(&["-m", "-e", "create", "d"]);
    tool.program.signal(rustix::process::Signal::STOP);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: u32 = limit.trim().parse().unwrap();
    if limit > 20_000 {
        skip("an overflow: the queue of the kernel is bigger than by default");
        return;
    }
    for number in 0..limit + 100 {
        fs::create_dir(tool.path(format!("d/{number}"))).unwrap();
    }
    tool.program.signal(rustix::process::Signal::CONT);
    tool.program.messages.until(format!(
        "tinotify: events were lost: the kernel's queue was full: fs.inotify.max_queued_events is {limit}; \
         to raise it, run: sysctl -w fs.inotify.max_queued_events={}",
        2 * limit
    ));
}
