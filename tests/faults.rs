//! Every system call of the watcher fails once, with every error that its manual page names: each is
//! told with the path and what helps, or rightly passed over; nothing leaks or hangs, and the watcher
//! goes on.
//!
//! Needs strace, and says SKIPPED where it is missing or may not trace. It runs this program again, as
//! a single thread that goes through a scenario; a first run tells which calls are the watcher's.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tinotify::{WatchError, WatchEventBuf, WatchMask, Watcher};

mod traced;

const SCENARIO: &str = "TINOTIFY_FAULTS";
/// A step on the way to a followed name can't be watched, and no change follows that would have it
/// tried again: so the name may be lost sight of, as is promised.
const LOSSY: &str = "lossy";
/// The injected error stands for a close that was done all the same, but strace leaves it undone.
const UNCLOSED: &str = "unclosed";
/// By which strace marks a call that it made fail.
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

/// Uses the watcher in each way once. A step that fails is told, and tried again.
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

        // All is queued: twice created and closed, and then the name has appeared.
        let mut next = || Ok(watcher.recv_timeout(Duration::ZERO)?.map(|event| event.to_buf()));
        let events: Vec<_> = std::iter::from_fn(|| step("read", &mut next)).collect();
        let watched = events.iter().filter(|event| event.name_change().is_none()).count();
        let followed = events.len() - watched;
        assert_eq!(watched, 4, "{events:?}");
        assert!(followed == 1 || (followed == 0 && mode == LOSSY), "{events:?}");
        let nothing = step("wait", || {
            Ok(watcher.recv_timeout(Duration::from_millis(1))?.map(|event| event.to_buf()))
        });
        // Anything that happens in a directory on the way has a lost name looked for again.
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
            step().unwrap_or_else(|error| panic!("{name}, the second time: {error}"))
        }
    }
}

/// What an injected error should lead to.
#[derive(Clone, Copy)]
enum Expect {
    /// The user does not hear of it.
    Nothing,
    /// The user is told, in a line that holds these words and the error's name.
    Told(&'static [&'static str]),
    /// Either, as the call serves one purpose or another.
    Either,
}

use Expect::{Either, Nothing, Told};

/// The errors of the manual pages (inotify_init1(2), eventfd(2), inotify_add_watch(2),
/// inotify_rm_watch(2), read(2), poll(2), ioctl(2), write(2), close(2)), and those of kernels without
/// the call and of seccomp filters.
const FAULTS: &[(&str, &[(&str, Expect)])] = &[
    (
        "inotify_init1",
        &[
            ("EINVAL", Told(&["new: "])),
            ("EMFILE", Told(&["new: ", "fs.inotify.max_user_instances", "ulimit -n"])),
            ("ENFILE", Told(&["new: ", "fs.file-max"])),
            ("ENOMEM", Told(&["new: "])),
            ("ENOSYS", Told(&["new: ", "no inotify"])),
            ("EPERM", Told(&["new: ", "seccomp"])),
        ],
    ),
    (
        "eventfd2",
        &[
            ("EMFILE", Told(&["new: ", "ulimit -n"])),
            ("ENFILE", Told(&["new: ", "fs.file-max"])),
            ("ENODEV", Told(&["new: ", "eventfd2"])),
            ("ENOMEM", Told(&["new: ", "eventfd2"])),
        ],
    ),
    (
        "epoll_create1",
        &[
            ("EMFILE", Told(&["new: ", "ulimit -n"])),
            ("ENFILE", Told(&["new: ", "fs.file-max"])),
            ("ENOMEM", Told(&["new: ", "epoll_create1"])),
            // Only poll(2) on the watcher needs it.
            ("EPERM", Nothing),
            ("ENOSYS", Nothing),
        ],
    ),
    ("epoll_ctl", &[("ENOMEM", Told(&["new: "])), ("ENOSPC", Told(&["new: "]))]),
    (
        "inotify_add_watch",
        &[
            // A directory on the way to a name may be passed unwatched, or be gone.
            ("EACCES", Either),
            ("ENOENT", Either),
            ("ENOTDIR", Either),
            ("ELOOP", Either),
            ("ENAMETOOLONG", Either),
            // A watch that is only a fence may fail unheard.
            ("EBADF", Either),
            ("EEXIST", Either),
            ("EFAULT", Either),
            ("EINVAL", Either),
            ("ENOMEM", Either),
            ("ENOSPC", Either),
        ],
    ),
    ("inotify_rm_watch", &[("EINVAL", Nothing), ("EBADF", Either)]),
    (
        "read",
        &[
            ("EINTR", Nothing),
            ("EAGAIN", Nothing),
            ("EBADF", Told(&["cannot read events"])),
            ("EFAULT", Told(&["cannot read events"])),
            ("EINVAL", Told(&["cannot read events", "is an inotify instance"])),
            ("EIO", Told(&["cannot read events"])),
        ],
    ),
    (
        "ppoll",
        &[
            ("EINTR", Nothing),
            ("EFAULT", Told(&["cannot wait for events"])),
            ("EINVAL", Told(&["cannot wait for events"])),
            ("ENOMEM", Told(&["cannot wait for events"])),
        ],
    ),
    ("ioctl", &[("EBADF", Nothing), ("EFAULT", Nothing), ("EINVAL", Nothing), ("ENOTTY", Nothing)]),
    ("write", &[("EAGAIN", Nothing), ("EBADF", Nothing), ("EINTR", Nothing), ("EIO", Nothing)]),
    ("close", &[("EBADF", Nothing), ("EINTR", Nothing), ("EIO", Nothing)]),
];

/// Runs the scenario under strace. Its log, its output, and whether it ended well.
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
            // Only so that a hang is not for ever; what is waited for is the process.
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
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (text, said.concat(), status)
}

/// The places of the watcher's own calls among all calls of that name, counted from 1.
fn own_calls(call: &str) -> Vec<usize> {
    let (log, said, well) = run("", &["-e", &format!("trace={call}")]);
    assert!(well, "without faults: {said}");
    let calls = log.lines().filter(|line| line.starts_with(&format!("{call}(")));
    let own = |line: &str| {
        call.starts_with("inotify_")
            || ["eventfd2", "epoll_create1", "epoll_ctl"].contains(&call)
            || line.contains("anon_inode:inotify")
            || line.contains("inotify]")
            || line.contains("eventfd]")
    };
    calls.zip(1..).filter(|(line, _)| own(line)).map(|(_, place)| place).collect()
}

fn inject_all() -> usize {
    let (mut passed, mut failed) = (0, 0);
    for (call, errors) in FAULTS {
        let places = own_calls(call);
        assert!(!places.is_empty(), "the scenario never calls {call}");
        for (place, (error, expect)) in
            places.iter().flat_map(|p| errors.iter().map(move |e| (p, e)))
        {
            let inject = format!("inject={call}:error={error}:when={place}");
            // The first two are those of plain watches.
            let mode = match *call {
                "inotify_add_watch" if *place > 2 => LOSSY,
                "close" => UNCLOSED,
                _ => "",
            };
            let args = ["-e", &format!("trace={call}"), "-e", &inject];
            // Others change names in /tmp, which is on the way to the followed name, so there may
            // have been more calls before.
            let (log, said, well) = (0..5)
                .map(|_| run(mode, &args))
                .find(|(log, _, well)| !well || log.contains(INJECTED))
                .unwrap_or_default();
            let told = said.lines().find(|line| line.contains(error));
            let fits = match expect {
                Nothing => told.is_none(),
                Told(words) => {
                    told.is_some_and(|line| words.iter().all(|word| line.contains(word)))
                }
                Either => told.is_none_or(|line| names_the_path(call, line)),
            };
            let injected = log.contains(INJECTED);
            if well && said.ends_with("done\n") && fits && injected {
                passed += 1;
            } else {
                failed += 1;
                println!("FAILED: {call} number {place} with {error}: {said}");
            }
        }
        println!("{call}: {} of its calls, {} errors each", places.len(), errors.len());
    }
    println!("{passed} passed, {failed} failed");
    failed
}

/// Whether a line about a path names one, and for the limit of watches also what helps.
fn names_the_path(call: &str, line: &str) -> bool {
    let root = line.split(": ").nth(1).is_some_and(|path| Path::new(path).has_root());
    let limit = !line.contains("ENOSPC") || line.contains("fs.inotify.max_user_watches");
    call != "inotify_add_watch" || (root && limit)
}
