//! Shared by the tests of the watcher: the kernel's side of it, and waiting for states.

#![allow(dead_code)] // Each test binary uses some of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::Pid;
use tempfile::TempDir;
use tinotify::{EventKind, WatchEventBuf, WatchId, WatchMask, Watcher};

/// The time after which a test counts as hanging.
pub const LONG: Duration = Duration::from_secs(120);

/// Writes a line to stderr, also in tests that pass, of which the harness hides the output of `eprintln!`.
pub fn say(what: impl Display) {
    let line = format!("{what}\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A directory for one test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates an empty file.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, "").unwrap();
        path
    }

    pub fn dir(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.at(name);
        fs::create_dir(&path).unwrap();
        path
    }
}

/// Causes one `ATTRIB` event and no other.
pub fn touch(path: impl AsRef<Path>) {
    let permissions = fs::metadata(path.as_ref()).unwrap().permissions();
    fs::set_permissions(path, permissions).unwrap();
}

/// Returns a watcher of a directory, for `CREATE`.
pub fn watcher_of(place: &Place) -> Watcher {
    let watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), WatchMask::CREATE).unwrap();
    watcher
}

/// Reads all present events.
pub fn drained(watcher: &mut Watcher) -> Vec<WatchEventBuf> {
    watcher.try_iter().map(Result::unwrap).collect()
}

/// Returns the kinds of the events of one watch, in their order.
pub fn kinds(events: &[WatchEventBuf], watch: WatchId) -> Vec<EventKind> {
    events.iter().filter(|e| e.watch() == Some(watch)).map(WatchEventBuf::kind).collect()
}

/// Returns the names in the events of one watch, in their order.
pub fn names(events: &[WatchEventBuf], watch: WatchId) -> Vec<String> {
    let events = events.iter().filter(|e| e.watch() == Some(watch));
    events.map(|e| e.name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Returns the number of bytes in the kernel's queue.
pub fn unread(watcher: &Watcher) -> u64 {
    unread_of(watcher.inotify_fd())
}

/// Returns the number of bytes in the queue of an inotify descriptor.
pub fn unread_of(inotify: impl AsFd) -> u64 {
    rustix::io::ioctl_fionread(inotify).unwrap()
}

/// A watch in the kernel's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelWatch {
    pub ino: u64,
    pub mask: u32,
}

/// Returns the kernel's watches of a watcher, by descriptor.
pub fn kernel_watches(watcher: &Watcher) -> BTreeMap<i32, KernelWatch> {
    // Before Linux 5.14 only the owner of the first thread may read /proc/self/fdinfo.
    let path = format!("/proc/thread-self/fdinfo/{}", watcher.inotify_fd().as_raw_fd());
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("inotify "));
    lines
        .map(|line| {
            let field = |name: &str| {
                let field = line.split(' ').find_map(|field| field.strip_prefix(name));
                u64::from_str_radix(field.unwrap(), 16).unwrap()
            };
            let watch = KernelWatch { ino: field("ino:"), mask: field("mask:") as u32 };
            (field("wd:") as i32, watch)
        })
        .collect()
}

/// Makes the queue of a watcher overflow, by `ATTRIB` events of two files in a directory that it watches.
/// Returns `false`, with a message, if that would take too many.
pub fn overflow(noise: &Path) -> bool {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: u32 = limit.trim().parse().unwrap();
    if limit > 500_000 {
        say(format_args!("SKIPPED: overflow: fs.inotify.max_queued_events is {limit}"));
        return false;
    }
    let (a, b) = (noise.join("a"), noise.join("b"));
    for path in [&a, &b] {
        if !path.exists() {
            fs::write(path, "").unwrap();
        }
    }
    for i in 0..=limit {
        // Alternating files, since identical events merge.
        touch(if i % 2 == 0 { &a } else { &b });
    }
    true
}

/// Ends the process, so that a hanging test fails. Stopped when dropped.
pub struct Watchdog(#[allow(dead_code)] Sender<()>);

impl Watchdog {
    pub fn new() -> Self {
        let (alive, dead) = mpsc::channel::<()>();
        let test = thread::current().name().unwrap_or("a test").to_owned();
        thread::spawn(move || {
            if dead.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                say(format_args!("{test} hangs"));
                std::process::abort();
            }
        });
        Self(alive)
    }
}

/// Waits for a condition that no event reports.
pub fn until(mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !what() {
        assert!(Instant::now() < deadline, "the condition never held");
        thread::yield_now();
    }
}

/// Waits until a thread of this process sleeps in the kernel, or has ended.
pub fn until_asleep(thread: Pid) {
    let path = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    until(|| {
        let Ok(stat) = fs::read_to_string(&path) else { return true };
        stat.rsplit(") ").next().unwrap().starts_with('S')
    });
}

/// Runs a function with a watcher in another thread, and waits until it sleeps there.
pub fn asleep<T: Send + 'static>(
    mut watcher: Watcher,
    wait: impl FnOnce(&mut Watcher) -> T + Send + 'static,
) -> thread::JoinHandle<(T, Watcher)> {
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        sender.send(rustix::thread::gettid()).unwrap();
        (wait(&mut watcher), watcher)
    });
    until_asleep(receiver.recv().unwrap());
    reader
}
