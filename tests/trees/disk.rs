//! Steps and comparisons that many tests of trees share.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with};
use tinotify::Watcher;

use crate::watching::kernel_watches;

pub fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

pub fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

pub fn watched_inodes(watcher: &Watcher) -> Vec<u64> {
    let mut inodes: Vec<u64> = kernel_watches(watcher).values().map(|watch| watch.ino).collect();
    inodes.sort_unstable();
    inodes
}

pub fn inodes(paths: &[&Path]) -> Vec<u64> {
    let mut inodes: Vec<u64> =
        paths.iter().map(|path| fs::symlink_metadata(path).unwrap().ino()).collect();
    inodes.sort_unstable();
    inodes
}

pub fn exchange(one: impl AsRef<Path>, other: impl AsRef<Path>) {
    renameat_with(CWD, one.as_ref(), CWD, other.as_ref(), RenameFlags::EXCHANGE).unwrap();
}

pub fn open_dir(path: &Path) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).unwrap()
}
