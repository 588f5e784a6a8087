//! The watchers that are compared: this crate, the naive loop of system calls, notify and inotifywait.

use std::ffi::CStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode};
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::fs::{CWD, FileType, Mode as Access, OFlags, RawDir, openat};
use tinotify::{TreeOptions, WatchMask, Watcher};

/// The time after which an event counts as lost.
pub const LOST: Duration = Duration::from_secs(1);

pub const MASK: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MODIFY)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO);

pub fn tinotify_tree(root: &Path, mask: WatchMask) -> Watcher {
    let watcher = Watcher::new().unwrap();
    watcher.watch_tree(root, mask, TreeOptions::new()).unwrap();
    watcher
}

pub type NotifyEvents = Receiver<notify::Result<notify::Event>>;

pub fn notify_tree(root: &Path) -> (RecommendedWatcher, NotifyEvents) {
    let (sender, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).unwrap();
    notify::Watcher::watch(&mut watcher, root, RecursiveMode::Recursive).unwrap();
    (watcher, events)
}

/// Waits until notify's thread has ended, which closes its instance.
pub fn end_notify(watcher: RecommendedWatcher) {
    drop(watcher);
    while threads() > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Appends the names of the subdirectories of an open directory, each with its NUL.
pub fn push_subdirectories(dir: &OwnedFd, buffer: &mut [MaybeUninit<u8>], names: &mut Vec<u8>) {
    let mut entries = RawDir::new(dir, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.extend_from_slice(name.to_bytes_with_nul());
        }
    }
}

/// The obvious loop. It uses one path and one buffer for everything, so it is fast.
pub struct Naive {
    inotify: OwnedFd,
    flags: WatchFlags,
    path: Vec<u8>,
    buffer: Vec<MaybeUninit<u8>>,
    /// The names of subdirectories that are not entered yet, each with its NUL.
    names: Vec<u8>,
    pub watches: usize,
}

impl Naive {
    pub fn of(root: &Path) -> Self {
        let mut naive = Self {
            inotify: rustix::fs::inotify::init(CreateFlags::CLOEXEC).unwrap(),
            flags: WatchFlags::from_bits_retain(MASK.bits()) | WatchFlags::ONLYDIR,
            path: [root.as_os_str().as_bytes(), b"\0"].concat(),
            buffer: vec![MaybeUninit::uninit(); 32 * 1024],
            names: Vec::new(),
            watches: 0,
        };
        naive.enter();
        naive
    }

    /// Watches the directory at the current path, and everything beneath it.
    fn enter(&mut self) {
        let path = CStr::from_bytes_with_nul(&self.path).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, path, flags, Access::empty()).unwrap();
        rustix::fs::inotify::add_watch(&self.inotify, path, self.flags).unwrap();
        self.watches += 1;

        let mine = self.names.len();
        push_subdirectories(&dir, &mut self.buffer, &mut self.names);
        drop(dir);

        let len = self.path.len() - 1;
        let mut next = mine;
        while next < self.names.len() {
            let end = next + self.names[next..].iter().position(|&byte| byte == 0).unwrap() + 1;
            self.path.truncate(len);
            self.path.push(b'/');
            self.path.extend_from_slice(&self.names[next..end]);
            self.enter();
            next = end;
        }
        self.path.truncate(len);
        self.path.push(0);
        self.names.truncate(mine);
    }
}

/// Starts the tool, and waits until it watches.
pub fn inotifywait(root: &Path) -> Child {
    let mut child = Command::new("inotifywait")
        .args(["-m", "-r", "-e", "create,delete,modify,move"])
        .arg(root)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.any(|line| line.unwrap().contains("Watches established"));
    assert!(ready, "inotifywait ended without watches");
    child
}

pub fn has_inotifywait() -> bool {
    let found = Command::new("inotifywait").arg("--help").output().is_ok();
    if !found {
        println!("SKIPPED: inotifywait -r: it is not installed (inotify-tools)");
    }
    found
}
