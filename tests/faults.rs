//! Makes each system call of the watcher fail once, with each error that its manual page names. The
//! watcher must report the error with the path and the remedy, or handle it. Nothing may leak or hang, and
//! the watcher must continue.
//!
//! Needs strace, and prints SKIPPED if it is missing or may not trace. strace runs this program again as a
//! single thread that goes through a scenario. A first run shows which calls the watcher makes.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tinotify::{WatchError, WatchEventBuf, WatchMask, Watcher};

mod traced;

const SCENARIO: &str = "TINOTIFY_FAULTS";
/// A directory on the path of a followed name can't be watched, and no later change causes another
/// attempt. So changes of the name may be missed, as documented.
const LOSSY: &str = "lossy";
/// A failed close(2) closes the descriptor, but strace does not make the injected call.
const UNCLOSED: &str = "unclosed";
/// The mark of strace for an injected error.
const INJECTED: &str = "(INJECTED)";

fn main() -> ExitCode {
    if let Ok(mode) = std::env::var(SCENARIO) {
        scenario(&mode);
        return ExitCode::SUCCESS;
    }
    if !traced::works() {
        eprintln!("SKIPPED: fault injection: {}", traced::MISSING);
        println!("0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    }
    let failed = inject_all();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Uses each feature of the watcher once. Prints the error of a step that fails, and repeats the step.
fn scenario(mode: &str) {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    {
        let dir = tempfile::Builder::new().prefix("faults").tempdir().unwrap();
        let path = dir.path();
        let mut watcher = step("new", Watcher::new);
        let mask = WatchMask::CREATE | WatchMask::CLOSE_WRITE;
        let watch = step("watch", || watcher.watch(path, mask));
        let again = step("watch again", || watcher.watch(path, mask));
        let name = step("follow", || watcher.watch_name(path.join("name"), mask));
        fs::write(path.join("name"), "text").unwrap();

        // All events are queued: CREATE and CLOSE_WRITE for two watches, and the name that appeared.
        let mut next = || Ok(watcher.recv_timeout(Duration::ZERO)?.map(|event| event.to_buf()));
        let events: Vec<_> = std::iter::from_fn(|| step("read", &mut next)).collect();
        let watched = events.iter().filter(|event| event.name_change().is_none()).count();
        let followed = events.len() - watched;
        assert_eq!(watched, 4, "{events:?}");
        assert!(followed == 1 || (followed == 0 && mode == LOSSY), "{events:?}");
        let nothing = step("wait", || {
            Ok(watcher.recv_timeout(Duration::from_millis(1))?.map(|event| event.to_buf()))
        });
        // Any event in a directory on the path starts another walk for the name.
        let late = |event: &WatchEventBuf| mode == LOSSY && event.name_change().is_some();
        assert!(nothing.as_ref().is_none_or(late), "{nothing:?}");

        if let Err(error) = watcher.unwatch(again) {
            println!("unwatch: {error}");
        }
        assert_eq!(watcher.watches().list().len(), 2);
        fs::create_dir(path.join("dir")).unwrap();
        let event = loop {
            let event = step("read on", || Ok(watcher.recv()?.to_buf()));
            if !late(&event) {
                break event;
            }
        };
        assert_eq!(event.watch(), Some(watch));
        for watch in [name, watch] {
            if let Err(error) = watcher.unwatch(watch) {
                println!("unwatch: {error}");
            }
        }
        assert!(watcher.watches().is_empty());
        watcher.stop_handle().stop();
        assert!(watcher.recv().is_err());
    }
    assert_eq!(open(), before + usize::from(mode == UNCLOSED), "descriptors leaked");
    println!("done");
}

fn step<T>(name: &str, mut step: impl FnMut() -> Result<T, WatchError>) -> T {
    match step() {
        Ok(value) => value,
        Err(error) => {
            println!("{name}: {error}");
            step().unwrap_or_else(|error| panic!("{name}, second attempt: {error}"))
        }
    }
}

/// The expected effect of an injected error.
#[derive(Clone, Copy)]
enum Expect {
    /// The watcher handles it.
    Handled,
    /// The watcher returns an error whose message has these words and the name of the error.
    Reported(&'static [&'static str]),
    /// Either of the two, depending on the purpose of the call.
    Either,
}

use Expect::{Either, Handled, Reported};

/// The errors of the manual pages (inotify_init1(2), eventfd(2), inotify_add_watch(2),
/// inotify_rm_watch(2), read(2), poll(2), ioctl(2), write(2), close(2)), and those of kernels without
/// the call and of seccomp filters.
const FAULTS: &[(&str, &[(&str, Expect)])] = &[
    (
        "inotify_init1",
        &[
            ("EINVAL", Reported(&["new: "])),
            ("EMFILE", Reported(&["new: ", "fs.inotify.max_user_instances", "ulimit -n"])),
            ("ENFILE", Reported(&["new: ", "fs.file-max"])),
            ("ENOMEM", Reported(&["new: "])),
            ("ENOSYS", Reported(&["new: ", "no inotify"])),
            ("EPERM", Reported(&["new: ", "seccomp"])),
        ],
    ),
    (
        "eventfd2",
        &[
            ("EMFILE", Reported(&["new: ", "ulimit -n"])),
            ("ENFILE", Reported(&["new: ", "fs.file-max"])),
            ("ENODEV", Reported(&["new: ", "eventfd2"])),
            ("ENOMEM", Reported(&["new: ", "eventfd2"])),
        ],
    ),
    (
        "epoll_create1",
        &[
            ("EMFILE", Reported(&["new: ", "ulimit -n"])),
            ("ENFILE", Reported(&["new: ", "fs.file-max"])),
            ("ENOMEM", Reported(&["new: ", "epoll_create1"])),
            // Only `as_fd` needs epoll.
            ("EPERM", Handled),
            ("ENOSYS", Handled),
        ],
    ),
    ("epoll_ctl", &[("ENOMEM", Reported(&["new: "])), ("ENOSPC", Reported(&["new: "]))]),
    (
        "inotify_add_watch",
        &[
            // A directory on the path of a name may be unreadable or missing.
            ("EACCES", Either),
            ("ENOENT", Either),
            ("ENOTDIR", Either),
            ("ELOOP", Either),
            ("ENAMETOOLONG", Either),
            // A watch that is only a fence may fail.
            ("EBADF", Either),
            ("EEXIST", Either),
            ("EFAULT", Either),
            ("EINVAL", Either),
            ("ENOMEM", Either),
            ("ENOSPC", Either),
        ],
    ),
    ("inotify_rm_watch", &[("EINVAL", Handled), ("EBADF", Either)]),
    (
        "read",
        &[
            ("EINTR", Handled),
            ("EAGAIN", Handled),
            ("EBADF", Reported(&["cannot read events"])),
            ("EFAULT", Reported(&["cannot read events"])),
            ("EINVAL", Reported(&["cannot read events", "is an inotify instance"])),
            ("EIO", Reported(&["cannot read events"])),
        ],
    ),
    (
        "ppoll",
        &[
            ("EINTR", Handled),
            ("EFAULT", Reported(&["cannot wait for events"])),
            ("EINVAL", Reported(&["cannot wait for events"])),
            ("ENOMEM", Reported(&["cannot wait for events"])),
        ],
    ),
    ("ioctl", &[("EBADF", Handled), ("EFAULT", Handled), ("EINVAL", Handled), ("ENOTTY", Handled)]),
    ("write", &[("EAGAIN", Handled), ("EBADF", Handled), ("EINTR", Handled), ("EIO", Handled)]),
    ("close", &[("EBADF", Handled), ("EINTR", Handled), ("EIO", Handled)]),
];

/// Runs the scenario under strace. Returns the log of strace, the output, and whether it succeeded.
fn run(mode: &str, args: &[&str]) -> (String, String, bool) {
    let mut log = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new("strace")
        .args(["-qq", "-y", "-o"])
        .arg(log.path())
        .args(args)
        .arg(std::env::current_exe().unwrap())
        .env(SCENARIO, mode)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.success(),
            // The deadline is only for a hang; normally the process ends soon.
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            None => {
                child.kill().unwrap();
                break false;
            }
        }
    };
    let output = child.wait_with_output().unwrap();
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let output =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (text, output.concat(), status)
}

/// Returns the numbers of the watcher's calls among all calls of this name, counted from 1.
fn own_calls(call: &str) -> Vec<usize> {
    let (log, output, succeeded) = run("", &["-e", &format!("trace={call}")]);
    assert!(succeeded, "without injected errors: {output}");
    let calls = log.lines().filter(|line| line.starts_with(&format!("{call}(")));
    let own = |line: &str| {
        call.starts_with("inotify_")
            || ["eventfd2", "epoll_create1", "epoll_ctl"].contains(&call)
            || line.contains("anon_inode:inotify")
            || line.contains("inotify]")
            || line.contains("eventfd]")
    };
    calls.zip(1..).filter(|(line, _)| own(line)).map(|(_, number)| number).collect()
}

fn inject_all() -> usize {
    let (mut passed, mut failed) = (0, 0);
    for (call, errors) in FAULTS {
        let numbers = own_calls(call);
        assert!(!numbers.is_empty(), "the scenario never calls {call}");
        for (number, (error, expect)) in
            numbers.iter().flat_map(|p| errors.iter().map(move |e| (p, e)))
        {
            let inject = format!("inject={call}:error={error}:when={number}");
            // The first two calls add plain watches.
            let mode = match *call {
                "inotify_add_watch" if *number > 2 => LOSSY,
                "close" => UNCLOSED,
                _ => "",
            };
            let args = ["-e", &format!("trace={call}"), "-e", &inject];
            // Repeats a run without an injected error: other programs change entries of /tmp, which is on
            // the path of the followed name, and that changes the number of calls.
            let (log, output, succeeded) = (0..5)
                .map(|_| run(mode, &args))
                .find(|(log, _, succeeded)| !succeeded || log.contains(INJECTED))
                .unwrap_or_default();
            let reported = output.lines().find(|line| line.contains(error));
            let is_expected = match expect {
                Handled => reported.is_none(),
                Reported(words) => {
                    reported.is_some_and(|line| words.iter().all(|word| line.contains(word)))
                }
                Either => reported.is_none_or(|line| names_the_path(call, line)),
            };
            let injected = log.contains(INJECTED);
            if succeeded && output.ends_with("done\n") && is_expected && injected {
                passed += 1;
            } else {
                failed += 1;
                println!("FAILED: {call} number {number} with {error}: {output}");
            }
        }
        println!("{call}: {} calls, {} errors each", numbers.len(), errors.len());
    }
    println!("{passed} passed, {failed} failed");
    failed
}

/// Returns `true` if an error of `inotify_add_watch` names the path, and for the limit of watches also the
/// sysctl.
fn names_the_path(call: &str, line: &str) -> bool {
    let root = line.split(": ").any(|part| Path::new(part).has_root());
    let limit = !line.contains("ENOSPC") || line.contains("fs.inotify.max_user_watches");
    call != "inotify_add_watch" || (root && limit)
}
