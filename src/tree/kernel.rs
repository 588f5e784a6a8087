//! What the engine asks of a kernel.

use crate::event::Wd;
use crate::flags::WatchMask;
use crate::sys::Errno;

/// The calls that a [`Tree`](super::Tree) is built on: the real kernel's, or those of a simulated one.
///
/// All of them look at the world as it is now, which is ahead of what the events told so far. An open
/// [`Dir`](Self::Dir) is one directory, wherever it is moved, until it is dropped.
pub trait Kernel {
    /// An open directory.
    type Dir;

    /// Opens the directory at a path beneath the root, with `/` between its names; empty for the root
    /// itself. Symbolic links on the way beneath the root are followed only if
    /// [`Options::follow_links`](super::Options::follow_links) is set, as for all calls here.
    ///
    /// # Errors
    ///
    /// As of openat2(2); `ENOTDIR` or `ELOOP` where there is no directory.
    fn open(&mut self, path: &[u8]) -> Result<Self::Dir, Errno>;

    /// Opens a subdirectory.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    fn open_child(&mut self, dir: &Self::Dir, name: &[u8]) -> Result<Self::Dir, Errno>;

    /// Opens a subdirectory that will be listed. That may spare [`list`](Self::list) a call, and make
    /// the events of an open directory before it is called.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    fn open_to_list(&mut self, dir: &Self::Dir, name: &[u8]) -> Result<Self::Dir, Errno> {
        self.open_child(dir, name)
    }

    /// Watches a directory; what it was watched for already stays.
    ///
    /// The same directory gives the same descriptor, so this is also how it is told which one was
    /// opened.
    ///
    /// # Errors
    ///
    /// As of inotify_add_watch(2); `ESTALE` where something else was watched for a moment, because the
    /// world moved. `ENOSPC` only if the directory was not watched before.
    fn watch(&mut self, dir: &Self::Dir, mask: WatchMask) -> Result<Wd, Errno>;

    /// Watches a subdirectory.
    ///
    /// # Errors
    ///
    /// As for [`watch`](Self::watch).
    fn watch_child(&mut self, dir: &Self::Dir, name: &[u8], mask: WatchMask) -> Result<Wd, Errno>;

    /// Has a directory of which that is the watch tell these events alone, until it is watched for more.
    /// Changes nothing where somebody else needs them, or where another directory could be meant.
    fn narrow_mask(&mut self, dir: &Self::Dir, wd: Wd, mask: WatchMask);

    /// Ends a watch, if it has not ended by itself.
    fn unwatch(&mut self, wd: Wd);

    /// Returns `true` if somebody else needs the watch, too.
    fn is_shared(&self, wd: Wd) -> bool;

    /// Returns `true` if a watch has not ended. `None` where the kernel does not say; it may take long.
    fn is_watching(&mut self, wd: Wd) -> Option<bool>;

    /// What a directory is.
    ///
    /// # Errors
    ///
    /// As of statx(2).
    fn stat(&mut self, dir: &Self::Dir) -> Result<Stat, Errno>;

    /// What an entry of a directory is. A link is followed, if at all, where it leads to a directory;
    /// any other is described itself.
    ///
    /// # Errors
    ///
    /// As of statx(2).
    fn stat_child(&mut self, dir: &Self::Dir, name: &[u8]) -> Result<Stat, Errno>;

    /// Gives each entry of a directory but `.` and `..`, and whether it is a directory (a link to one
    /// is, where links are followed).
    ///
    /// As with readdir(3), what is made, renamed or removed meanwhile may be among them or not.
    ///
    /// # Errors
    ///
    /// As of getdents(2); `ENOENT` where the directory was removed.
    fn list(&mut self, dir: &mut Self::Dir, each: &mut dyn FnMut(&[u8], bool))
    -> Result<(), Errno>;

    /// Waits until who is changing names in the directory is through. By then both halves of a rename
    /// that has begun are in the queue.
    ///
    /// The kernel queues both while it holds the locks of both directories, and listing a directory
    /// takes its lock (`iterate_dir`, `lock_rename`; Linux 6.18).
    ///
    /// # Errors
    ///
    /// As of getdents(2).
    fn barrier(&mut self, dir: &mut Self::Dir) -> Result<(), Errno>;

    /// Position of the first event that is queued and was not read.
    fn front(&self) -> u64;

    /// Position of the end of the queue: the bytes that were ever read from it, and those that are
    /// queued now (`FIONREAD`). What happened before this call is reported by events before that position.
    fn end(&mut self) -> u64;
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a directory that surely has no subdirectories: where the file system counts them
    /// in its link count.
    pub is_leaf: bool,
    /// Whether it is a symbolic link, or what one leads to.
    pub is_link: bool,
    /// The device that it is on.
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
    /// The size, in bytes.
    pub size: u64,
    /// The time of the last change of its content: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
}
