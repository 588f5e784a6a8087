//! The system calls that the engine needs.

use crate::event::Wd;
use crate::flags::WatchMask;
use crate::sys::Errno;

/// The system calls of a [`Tree`](super::Tree): the real kernel's, or those of a simulated one.
///
/// Each call sees the present state of the file system, which is ahead of the events that were fed. An open
/// [`Dir`](Self::Dir) stays the same directory, wherever it is moved, until it is dropped.
pub trait Kernel {
    /// An open directory.
    type Dir;

    /// Opens the directory at a path beneath the root, with `/` between its names. Empty for the root itself.
    /// Like all calls here, it follows symbolic links beneath the root only if
    /// [`Options::follow_links`](super::Options::follow_links) is set.
    ///
    /// # Errors
    ///
    /// Those of openat2(2); `ENOTDIR` or `ELOOP` if the path leads to something else than a directory.
    fn open(&mut self, path: &[u8]) -> Result<Self::Dir, Errno>;

    /// Opens a subdirectory.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    fn open_child(&mut self, dir: &Self::Dir, name: &[u8]) -> Result<Self::Dir, Errno>;

    /// Opens a subdirectory that will be listed. That may save [`list`](Self::list) a call, and cause the
    /// `OPEN` event of a listing early.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    fn open_to_list(&mut self, dir: &Self::Dir, name: &[u8]) -> Result<Self::Dir, Errno> {
        self.open_child(dir, name)
    }

    /// Watches a directory, for `mask` besides what it is watched for already.
    ///
    /// The same directory returns the same watch descriptor. The engine uses this to find out which directory
    /// was opened.
    ///
    /// # Errors
    ///
    /// Those of inotify_add_watch(2). `ESTALE` if the path led to something else meanwhile. `ENOSPC` only if
    /// the directory was not watched before.
    fn watch(&mut self, dir: &Self::Dir, mask: WatchMask) -> Result<Wd, Errno>;

    /// Watches a subdirectory.
    ///
    /// # Errors
    ///
    /// Those of [`watch`](Self::watch).
    fn watch_child(&mut self, dir: &Self::Dir, name: &[u8], mask: WatchMask) -> Result<Wd, Errno>;

    /// Narrows the mask of a directory's watch to `mask`, until it is watched for more. Does nothing if
    /// another subscriber needs the watch, or if the watch may be another directory's.
    fn narrow_mask(&mut self, dir: &Self::Dir, wd: Wd, mask: WatchMask);

    /// Ends a watch, unless it has ended by itself.
    fn unwatch(&mut self, wd: Wd);

    /// Returns `true` if another subscriber needs the watch as well.
    fn is_shared(&self, wd: Wd) -> bool;

    /// Returns whether a watch has not ended, or `None` if the kernel does not report that. It may be slow.
    fn is_watching(&mut self, wd: Wd) -> Option<bool>;

    /// Returns the status of a directory.
    ///
    /// # Errors
    ///
    /// Those of statx(2).
    fn stat(&mut self, dir: &Self::Dir) -> Result<Stat, Errno>;

    /// Returns the status of an entry of a directory. If links are followed, a link to a directory has the
    /// status of that directory; any other link has its own.
    ///
    /// # Errors
    ///
    /// Those of statx(2).
    fn stat_child(&mut self, dir: &Self::Dir, name: &[u8]) -> Result<Stat, Errno>;

    /// Calls `each` with the name of each entry other than `.` and `..`, and whether it is a directory. If
    /// links are followed, a link to a directory counts as one.
    ///
    /// As with readdir(3), an entry that is created, renamed or removed meanwhile may be listed or not.
    ///
    /// # Errors
    ///
    /// Those of getdents(2); `ENOENT` if the directory was removed.
    fn list(&mut self, dir: &mut Self::Dir, each: &mut dyn FnMut(&[u8], bool))
    -> Result<(), Errno>;

    /// Waits for the renames in progress in this directory. When it returns, both halves of each rename that
    /// has begun are queued.
    ///
    /// The kernel queues both while it holds the locks of both directories, and listing a directory
    /// takes its lock (`iterate_dir`, `lock_rename`; Linux 6.18).
    ///
    /// # Errors
    ///
    /// Those of getdents(2).
    fn barrier(&mut self, dir: &mut Self::Dir) -> Result<(), Errno>;

    /// Returns the position of the first event that is queued and was not read.
    fn front(&self) -> u64;

    /// Returns the position of the end of the queue: the bytes that were ever read from it, and those that
    /// are queued now (`FIONREAD`). Changes before this call are reported by events before that position.
    fn end(&mut self) -> u64;
}

/// The status of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a directory that has no subdirectories for certain: its link count says so, on a file
    /// system that counts them there.
    pub is_leaf: bool,
    /// Whether it is a symbolic link, or the target of a link that was followed.
    pub is_link: bool,
    /// The device number.
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
    /// The size in bytes.
    pub size: u64,
    /// The time of the last modification: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
}
