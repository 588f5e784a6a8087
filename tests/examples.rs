//! Runs each example, and compares its output. An example must leave no files.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Much longer than any example runs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the path of an example, which cargo puts beside the directory of this test.
///
/// Only `cargo test` without a choice of targets, and `cargo build --examples`, build the examples.
/// `cargo test --test examples` would run old ones. So this compares the times of the program and of its
/// sources, which cargo lists in a file.
fn built(example: &str) -> PathBuf {
    const REMEDY: &str =
        "run `cargo build --examples` with the same features, or all of `cargo test`";
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(example);
    assert!(path.exists(), "missing example: {}: {REMEDY}", path.display());

    let modified = |path: &str| fs::metadata(path).and_then(|file| file.modified());
    let age = modified(path.to_str().unwrap()).unwrap();
    let note = fs::read_to_string(path.with_extension("d")).unwrap();
    let (_, sources) = note.trim_end().split_once(": ").unwrap();
    // Cargo writes a space in a path with a backslash.
    for source in sources.replace("\\ ", "\0").split(' ') {
        let source = source.replace('\0', " ");
        let fresh = modified(&source).is_ok_and(|changed| changed <= age);
        assert!(fresh, "old example: {}: {source} is newer: {REMEDY}", path.display());
    }
    path
}

/// Returns `true` if the feature that an example needs is on. Prints a message otherwise.
fn can_run(example: &str, feature: &str, on: bool) -> bool {
    if !on {
        // Not captured by the test runner, and one write, so that other tests do not mix with it.
        let line = format!("SKIPPED: example {example}: the feature {feature} is off\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    on
}

/// Returns a command that runs an example, with the emulator of this test if there is one.
fn command(example: &str) -> Command {
    match std::env::var_os("TINOTIFY_QEMU").filter(|program| !program.is_empty()) {
        None => Command::new(built(example)),
        Some(qemu) => {
            let mut command = Command::new(qemu);
            command.arg(built(example));
            command
        }
    }
}

/// Runs an example with a new directory for temporary files. Returns its output, in which `DIR` replaces
/// the path of its temporary directory.
fn output_of(example: &str) -> String {
    let temp = tempfile::tempdir().unwrap();
    let child = command(example)
        .env("TMPDIR", temp.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let (sender, output) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = output.recv_timeout(DEADLINE) else {
        let _ = kill_process(pid, Signal::KILL);
        panic!("{example} does not end");
    };
    let output = output.unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{example}: standard error");
    assert_eq!(output.status.code(), Some(0), "{example}");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "{example} leaves files behind");

    let printed = String::from_utf8(output.stdout).unwrap();
    let own = format!("{}/", temp.path().display());
    let mut parts = printed.split(&own);
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        shown.push_str("DIR");
        shown.push_str(part.trim_start_matches(|c| c != '/' && c != '"'));
    }
    shown
}

#[test]
fn inotify_simple_prints_seven_events_with_their_flags() {
    let expected = "\
Event(wd=1, mask=1073742080, cookie=0, name='foo')
    CREATE
    ISDIR
Event(wd=1, mask=256, cookie=0, name='test.txt')
    CREATE
Event(wd=1, mask=2, cookie=0, name='test.txt')
    MODIFY
Event(wd=1, mask=512, cookie=0, name='test.txt')
    DELETE
Event(wd=1, mask=1073742336, cookie=0, name='foo')
    DELETE
    ISDIR
Event(wd=1, mask=1024, cookie=0, name='')
    DELETE_SELF
Event(wd=1, mask=32768, cookie=0, name='')
    IGNORED
";
    assert_eq!(output_of("inotify_simple"), expected);
}

#[test]
fn stoppable_thread_shows_what_happens_until_it_is_stopped() {
    if !can_run("stoppable_thread", "std", cfg!(feature = "std")) {
        return;
    }
    let expected = "\
CREATE \"DIR/file\"
OPEN \"DIR/file\"
MODIFY \"DIR/file\"
CLOSE_WRITE \"DIR/file\"
stopped
";
    assert_eq!(output_of("stoppable_thread"), expected);
}

#[test]
fn asyncinotify_prints_everything_with_full_paths() {
    if !can_run("asyncinotify", "tokio", cfg!(feature = "tokio")) {
        return;
    }
    let expected = "\
CREATE \"DIR/watched/old\"
OPEN \"DIR/watched/old\"
MODIFY \"DIR/watched/old\"
CLOSE_WRITE \"DIR/watched/old\"
OPEN \"DIR/watched/old\"
ACCESS \"DIR/watched/old\"
CLOSE_NOWRITE \"DIR/watched/old\"
ATTRIB \"DIR/watched/old\"
MOVED_FROM \"DIR/watched/old\"
MOVED_TO \"DIR/watched/new\"
DELETE \"DIR/watched/new\"
IGNORED \"DIR/watched\"
";
    assert_eq!(output_of("asyncinotify"), expected);
}

#[test]
fn aionotify_prints_one_event_with_its_alias() {
    if !can_run("aionotify", "tokio", cfg!(feature = "tokio")) {
        return;
    }
    let expected = "Event(flags=MODIFY, cookie=0, name=\"service.log\", alias=\"logs\")\n";
    assert_eq!(output_of("aionotify"), expected);
}

#[test]
fn asyncwatch_prints_what_both_tasks_see() {
    if !can_run("asyncwatch", "tokio", cfg!(feature = "tokio")) {
        return;
    }
    let expected = "\
Received event of type CREATE for filename newfile
Modified newfile
Closed: newfile
Closed: done
Done watching
";
    assert_eq!(output_of("asyncwatch"), expected);
}

#[test]
fn pyinotify_logs_each_event_with_its_header_and_names() {
    if !can_run("pyinotify", "std", cfg!(feature = "std")) {
        return;
    }
    let expected = "\
WD=(1) MASK=(256) COOKIE=(0) LEN=(16) MASK->NAMES=[\"CREATE\"] FILENAME=[aa]
WD=(1) MASK=(32) COOKIE=(0) LEN=(16) MASK->NAMES=[\"OPEN\"] FILENAME=[aa]
WD=(1) MASK=(4) COOKIE=(0) LEN=(16) MASK->NAMES=[\"ATTRIB\"] FILENAME=[aa]
WD=(1) MASK=(8) COOKIE=(0) LEN=(16) MASK->NAMES=[\"CLOSE_WRITE\"] FILENAME=[aa]
WD=(1) MASK=(512) COOKIE=(0) LEN=(16) MASK->NAMES=[\"DELETE\"] FILENAME=[aa]
WD=(1) MASK=(1073742080) COOKIE=(0) LEN=(16) MASK->NAMES=[\"CREATE\", \"ISDIR\"] FILENAME=[dir1]
WD=(1) MASK=(1073742336) COOKIE=(0) LEN=(16) MASK->NAMES=[\"DELETE\", \"ISDIR\"] FILENAME=[dir1]
";
    assert_eq!(output_of("pyinotify"), expected);
}
