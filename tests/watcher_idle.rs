//! A watcher that waits does nothing at all, and needs no thread but the one that waits: seen from
//! outside, in /proc, on a process of its own. Without the test harness, which has threads itself.
//!
//! Looks for two seconds; `TINOTIFY_IDLE_SECONDS=60` for a minute.

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
    // What the harness would understand, as far as it matters to others.
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
    look();
    println!("test {NAME} ... ok");
}

/// Watches, says so, and says what came. No followed name: its way leads through directories where
/// others are at work.
fn wait_in(dir: &Path) {
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(dir, WatchMask::CREATE).unwrap();
    watcher.watch(dir, WatchMask::DELETE).unwrap();
    println!("ready");
    std::io::stdout().flush().unwrap();
    let event = watcher.recv().unwrap();
    println!("{event}");
}

/// One thread of a process: whether it sleeps, and how often it went to sleep or was put off.
fn look_at(pid: u32) -> (bool, [u64; 2]) {
    let tasks: Vec<_> =
        fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap()).collect();
    assert_eq!(tasks.len(), 1, "one thread");
    let status = fs::read_to_string(tasks[0].path().join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim()
    };
    let switches = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
    let sleeps = field("State:").starts_with('S');
    (sleeps, switches.map(|name| field(name).parse().unwrap()))
}

fn look() {
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
    while !look_at(pid).0 {
        thread::yield_now();
    }
    let before = look_at(pid);
    thread::sleep(time);
    let after = look_at(pid);
    eprintln!("context switches before {:?} and after {time:?} {:?}", before.1, after.1);
    assert_eq!(before, after, "it woke up");
    assert!(after.0);

    // It was waiting indeed.
    fs::write(dir.path().join("new"), "").unwrap();
    let shown = format!("CREATE \"{}\"", dir.path().join("new").display());
    assert_eq!(lines.next().unwrap().unwrap(), shown);
    assert!(child.wait().unwrap().success());
}
