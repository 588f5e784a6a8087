//! A waiting watcher does not wake up, and needs no thread besides the one that waits. The test reads the
//! state of a child process in /proc. It has no test harness, which would have threads of its own.
//!
//! The test takes two seconds; `TINOTIFY_IDLE_SECONDS=60` makes it take a minute.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tinotify::{WatchMask, Watcher};

const CHILD: &str = "TINOTIFY_IDLE_CHILD";
const NAME: &str = "a_waiting_watcher_does_not_wake_and_has_one_thread";

fn main() {
    if let Some(dir) = env::var_os(CHILD) {
        return wait_in(Path::new(&dir));
    }
    // Supports `--list` and name filters as the test harness does, since other programs use them.
    let args: Vec<String> = env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        println!("{NAME}: test");
        return;
    }
    let mut wanted = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|arg| NAME.contains(arg.as_str())) {
        return;
    }
    if env::var_os("TINOTIFY_QEMU").is_some() {
        eprintln!("SKIPPED: {NAME}: the emulator has threads of its own");
        return;
    }
    check_idle();
    println!("test {NAME} ... ok");
}

/// Watches `dir`, prints that it is ready, and prints the first event. It does not follow a name, since
/// that watches parent directories, where other processes cause events.
fn wait_in(dir: &Path) {
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(dir, WatchMask::CREATE).unwrap();
    watcher.watch(dir, WatchMask::DELETE).unwrap();
    println!("ready");
    std::io::stdout().flush().unwrap();
    let event = watcher.recv().unwrap();
    println!("{event}");
}

/// Returns whether the only thread of a process sleeps, and how often it was switched out.
fn thread_state(pid: u32) -> (bool, [u64; 2]) {
    let tasks: Vec<_> =
        fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap()).collect();
    assert_eq!(tasks.len(), 1, "more than one thread");
    let status = fs::read_to_string(tasks[0].path().join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim()
    };
    let switches = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
    let is_asleep = field("State:").starts_with('S');
    (is_asleep, switches.map(|name| field(name).parse().unwrap()))
}

fn check_idle() {
    let seconds = env::var("TINOTIFY_IDLE_SECONDS").ok().map(|text| text.parse().unwrap());
    let time = Duration::from_secs(seconds.unwrap_or(2));
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .env(CHILD, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    while !thread_state(pid).0 {
        thread::yield_now();
    }
    let before = thread_state(pid);
    thread::sleep(time);
    let after = thread_state(pid);
    eprintln!("context switches before {:?} and after {time:?} {:?}", before.1, after.1);
    assert_eq!(before, after, "the thread woke up");
    assert!(after.0);

    // It was waiting for events.
    fs::write(dir.path().join("new"), "").unwrap();
    let shown = format!("CREATE \"{}\"", dir.path().join("new").display());
    assert_eq!(lines.next().unwrap().unwrap(), shown);
    assert!(child.wait().unwrap().success());
}
