//! Tests against the kernel of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::Vec;

use rustix::fs::{CWD, RenameFlags, mkdirat, renameat_with};
use tempfile::TempDir;

use super::paths::split_path;
use super::*;
use crate::flags::EventMask;

#[path = "../../../tests/support/mod.rs"]
mod support;
use support::{
    as_plain_user, c, drain, in_child, in_namespace, instance, is_root, is_silent, scratch, skipped,
};

const MASK: WatchMask = WatchMask::CREATE.union(WatchMask::DELETE).union(WatchMask::MOVE);

/// How a directory is named to inotify_add_watch(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    OwnThread,
    Proc,
    ThreadForEach,
    Child,
}

const METHODS: [Method; 4] =
    [Method::OwnThread, Method::Proc, Method::ThreadForEach, Method::Child];

impl Method {
    /// Returns a state in which only this method is used.
    fn state(self) -> State {
        let mut state = State::default();
        state.watching.proc_path.works = (self != Self::Proc).then_some(false);
        state.watching.is_unshare_refused = self != Self::ThreadForEach;
        state
    }

    fn run<T: Send>(
        self,
        linux: &mut Linux<'_>,
        mut work: impl FnMut(&mut Linux<'_>) -> T + Send,
    ) -> T {
        if self == Self::OwnThread {
            linux.on_own_thread(|linux| {
                assert!(linux.working.is_some());
                work(linux)
            })
        } else {
            work(linux)
        }
    }
}

/// Runs `work` for the tree at `root`, by that method.
fn with<T: Send>(
    method: Method,
    inotify: &Inotify,
    root: &Path,
    work: impl FnMut(&mut Linux<'_>) -> T + Send,
) -> T {
    let mut state = method.state();
    with_state(method, inotify, root, &mut state, work)
}

fn with_state<T: Send>(
    method: Method,
    inotify: &Inotify,
    root: &Path,
    state: &mut State,
    work: impl FnMut(&mut Linux<'_>) -> T + Send,
) -> T {
    let (mut root, host) = (Root::new(c(root)).unwrap(), OneTree::new(inotify));
    let mut linux = Linux::new(inotify, &mut root, &host, state);
    method.run(&mut linux, work)
}

/// A host with one tree.
struct OneTree<'a> {
    inotify: &'a Inotify,
    queue: Mutex<Queue>,
    /// The watches that other subscribers need.
    shared: Mutex<BTreeSet<Wd>>,
}

impl<'a> OneTree<'a> {
    fn new(inotify: &'a Inotify) -> Self {
        Self { inotify, queue: Mutex::default(), shared: Mutex::default() }
    }
}

impl Host for OneTree<'_> {
    fn is_shared(&self, wd: Wd) -> bool {
        self.shared.lock().unwrap().contains(&wd)
    }

    fn unless_shared(&self, wd: Wd, change: &mut dyn FnMut()) {
        if !self.is_shared(wd) {
            change();
        }
    }

    fn unwatch(&self, wd: Wd) {
        if !self.is_shared(wd) {
            let _ = self.inotify.rm_watch(wd);
            self.read_ahead(1);
        }
    }

    fn front(&self) -> u64 {
        self.queue.lock().unwrap().front()
    }

    fn end(&self) -> u64 {
        self.queue.lock().unwrap().end(self.inotify)
    }

    fn read_ahead(&self, events: u32) {
        self.queue.lock().unwrap().read_ahead(self.inotify, events);
    }
}

/// Reads each watch and its inode from the /proc at this path.
fn watches_in(proc: &Path, inotify: &Inotify) -> BTreeMap<Wd, u64> {
    let path = proc.join("self/fdinfo").join(inotify.as_raw().to_string());
    let text = fs::read_to_string(path).unwrap();
    let field = |line: &str, name: &str, radix| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap();
        u64::from_str_radix(value, radix).unwrap()
    };
    text.lines()
        .filter(|line| line.starts_with("inotify "))
        .map(|line| {
            // Decimal only before Linux 3.17.
            let wd = i32::try_from(field(line, "wd:", 16)).unwrap();
            (Wd::from_raw(wd), field(line, "ino:", 16))
        })
        .collect()
}

fn watches(inotify: &Inotify) -> BTreeMap<Wd, u64> {
    watches_in(Path::new("/proc"), inotify)
}

fn ino(path: impl AsRef<Path>) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// Creates a tree with a link, and a directory outside that the link leads to.
fn tree() -> TempDir {
    let dir = scratch();
    fs::create_dir_all(dir.path().join("root/a/b/c")).unwrap();
    fs::create_dir_all(dir.path().join("outside/b/c")).unwrap();
    fs::write(dir.path().join("root/a/file"), "text").unwrap();
    symlink("../../outside", dir.path().join("root/a/link")).unwrap();
    dir
}

fn listed(linux: &mut Linux<'_>, dir: &mut Dir) -> BTreeMap<Vec<u8>, bool> {
    let mut all = BTreeMap::new();
    let each = &mut |name: &[u8], is_dir| {
        assert_eq!(all.insert(name.to_vec(), is_dir), None, "listed once");
    };
    linux.list(dir, each).unwrap();
    all
}

/// Returns directories for tests, on different file systems.
fn places() -> Vec<TempDir> {
    let shm = tempfile::tempdir_in("/dev/shm");
    if let Err(error) = &shm {
        skipped("on /dev/shm", error);
    }
    [Some(scratch()), shm.ok()].into_iter().flatten().collect()
}

mod barriers;
mod children;
mod methods;
mod queueing;
mod races;
mod scanning;
mod threads;
