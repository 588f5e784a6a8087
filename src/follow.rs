//! Follows a name, whatever file it leads to. A state machine without I/O.
//!
//! Most programs want `Watches::watch_name`, which runs this engine. Use it directly with an event loop
//! or a kernel of your own.
//!
//! The kernel watches inodes, but a program that reads a configuration file needs a *name*. An atomic
//! save replaces the file. Links on the path are retargeted. Directories are removed and created again.
//! So a [`Follower`] watches
//!
//! - each directory on the path, for its one entry that is on the path,
//! - the targets of symbolic links, step by step, and
//! - the file itself.
//!
//! ```text
//!  name /etc/app.conf, where /etc/app.conf is a link to app/v2.conf
//!
//!    /  ──"etc"──▶  /etc  ──"app.conf", a link──▶  /etc  ──"app"──▶  /etc/app  ──"v2.conf"──▶  file
//!  watch           watch                          (the same)         watch                    watch
//! ```
//!
//! The follower calls a [`Kernel`] to add watches and to read entries, and the caller feeds it the
//! events. The caller repeats these steps:
//!
//! 1. while [`is_pending`](Follower::is_pending): [`walk`](Follower::walk);
//! 2. read events and [`feed`](Follower::feed) each of them.
//!
//! # Guarantees
//!
//! 1. **Watch first, stat second.** A change after the stat causes an event, and the event another walk.
//!    So when the queue is empty and no walk is pending, the last reported change is current.
//! 2. **A walk is all or nothing.** It adds new watches before it removes old ones, so a watch that both
//!    walks need never ends. A walk that fails removes the watches that it has added, and stays pending.
//! 3. **The watch descriptor is the identity.** A descriptor means one inode until its watch ends. Inode
//!    numbers are reused, so they are compared only for files that can't be watched.
//! 4. **An ended watch is forgotten.** After `IGNORED`, a descriptor equals no other and is not removed.
//!
//! Invariant: the follower has the watches of the path, and no others. A walk is pending unless the last
//! one succeeded and no event has concerned the path since.
//!
//! # Limits
//!
//! - A directory without read permission can't be watched. The walk goes through it. A change in it is
//!   detected only if a watched file or directory in it reports it.
//! - A mount over a directory on the path causes no event. An unmount does.
//! - When the read permission of the file changes, its watch is added or removed as soon as its directory
//!   reports the change. The directory does not report it if the permission was changed by another name
//!   of the file, or at the root of a mount. A file that is watched for [`ATTRIB`](WatchMask::ATTRIB)
//!   reports it itself.
//! - A file that leaves its name and returns before the next walk is the same file: nothing is reported.
//! - A path of more than 4,095 bytes after its links are resolved counts as missing.
//!
//! # Example
//!
//! A kernel with one file, which always exists:
//!
//! ```
//! use tinotify::follow::{Entry, Follower, Kernel, NameChange};
//! use tinotify::{Errno, Event, EventMask, WatchMask, Wd};
//!
//! struct OneFile;
//!
//! impl Kernel for OneFile {
//!     fn watch(&mut self, path: &[u8], _: WatchMask) -> Result<Wd, Errno> {
//!         match path {
//!             b"/" => Ok(Wd::from_raw(1)),
//!             b"/file" => Ok(Wd::from_raw(2)),
//!             _ => Err(Errno::ENOENT),
//!         }
//!     }
//!
//!     fn unwatch(&mut self, _: Wd) {}
//!
//!     fn stat(&mut self, path: &[u8]) -> Result<Entry, Errno> {
//!         if path == b"/file" { Ok(Entry::File { dev: 1, ino: 7 }) } else { Err(Errno::ENOENT) }
//!     }
//! }
//!
//! let mut follower = Follower::new(b"/file", WatchMask::CLOSE_WRITE);
//! assert!(follower.is_pending());
//! assert_eq!(follower.walk(&mut OneFile), Ok(Some(NameChange::Appeared)));
//!
//! let saved = Event::new(Wd::from_raw(2), EventMask::CLOSE_WRITE, 0, None);
//! assert_eq!(follower.feed(&saved), Some(NameChange::Changed));
//!
//! let replaced = Event::new(Wd::from_raw(1), EventMask::MOVED_TO, 0, Some(c"file"));
//! assert_eq!(follower.feed(&replaced), None);
//! assert!(follower.is_pending());
//! // The walk finds the same file.
//! assert_eq!(follower.walk(&mut OneFile), Ok(None));
//! ```

#![forbid(unsafe_code)]

mod resolved;

use alloc::vec::Vec;
use core::mem;

use crate::event::{Event, Wd};
use crate::flags::WatchMask;
use crate::sys::Errno;

use resolved::{ResolvedPath, Target};

/// The system calls that a [`Follower`] needs, of the real kernel or of a simulated one.
///
/// Paths are absolute. They have no symbolic links, except for links that were created since the walk
/// checked that part of the path. A path may end with `/` or `/.`, and then means a directory, as in each
/// system call.
pub trait Kernel {
    /// Watches the file or directory at a path. If it is already watched, the mask is added to that
    /// watch, as with [`MASK_ADD`](WatchMask::MASK_ADD), which `mask` does not have. A link at the end of
    /// the path is not followed: `mask` always has [`DONT_FOLLOW`](WatchMask::DONT_FOLLOW).
    ///
    /// While an inode is watched, each call for it returns the same descriptor.
    ///
    /// # Errors
    ///
    /// Those of inotify_add_watch(2).
    fn watch(&mut self, path: &[u8], mask: WatchMask) -> Result<Wd, Errno>;

    /// Releases a watch that the follower no longer needs. Remove it unless other code needs it. The
    /// follower calls this once per descriptor, even if `watch` returned it several times, and never
    /// after it was fed the `IGNORED` of the descriptor.
    fn unwatch(&mut self, wd: Wd);

    /// Returns the entry at a path. A link at the end of the path is not followed.
    ///
    /// # Errors
    ///
    /// Those of lstat(2) and readlink(2).
    fn stat(&mut self, path: &[u8]) -> Result<Entry, Errno>;
}

/// A directory entry, as [`Kernel::stat`] returns it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A symbolic link, with the path that it contains.
    Link(Vec<u8>),
    /// Any other entry, including a directory.
    File {
        /// The number of its device.
        dev: u64,
        /// The inode number.
        ino: u64,
    },
}

/// What happened to a followed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameChange {
    /// The name leads to a file now, and did not before.
    Appeared,
    /// The file that the name leads to was changed in place. After lost events, it may have been.
    Changed,
    /// The name leads to another file now. Also reported when the file becomes readable or unreadable,
    /// because it can be watched only while it is readable.
    Replaced,
    /// The name does not lead to a file any more.
    Vanished,
}

/// The engine that follows one name.
#[derive(Debug)]
pub struct Follower {
    path: Vec<u8>,
    /// The mask of the file that the name leads to.
    mask: WatchMask,
    resolved: ResolvedPath,
    is_pending: bool,
    /// `true` if events were lost since the last walk.
    is_lost: bool,
}

impl Follower {
    /// Returns a follower of an absolute path. It adds no watch before the first [`walk`](Self::walk).
    /// An event of `mask` in the file is reported as [`NameChange::Changed`].
    ///
    /// The options `ONLYDIR` and `EXCL_UNLINK` of `mask` are used, and others are ignored. Links are
    /// always followed. A path without a leading `/` starts at the root too.
    #[must_use]
    pub fn new(path: &[u8], mask: WatchMask) -> Self {
        let mask = resolved::mask_of_target(mask);
        let resolved = ResolvedPath::default();
        Self { path: path.to_vec(), mask, resolved, is_pending: true, is_lost: false }
    }

    /// Walks the path: watches each directory on it, and the file that it leads to. Returns what happened
    /// to the name since the last walk. The first walk returns [`NameChange::Appeared`] or `None`.
    ///
    /// Makes two calls for each component of the path and of the links on it, and at most two for the
    /// file, then releases the watches that are no longer needed. Call it also while no walk is pending,
    /// if something may have changed that causes no event, such as a mount.
    ///
    /// The walk goes through directories without read permission. A name counts as missing if the kernel
    /// returns `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP` or `ENAMETOOLONG` for it, or if it leads through
    /// more than 40 links.
    ///
    /// # Errors
    ///
    /// Any other error of the kernel, such as `ENOSPC`, `ENOMEM` or `EMFILE`. The follower then keeps its
    /// state and its watches, and the walk stays [pending](Self::is_pending).
    pub fn walk<K: Kernel>(&mut self, kernel: &mut K) -> Result<Option<NameChange>, Errno> {
        self.is_pending = true;
        let mut resolved = ResolvedPath::default();
        if let Err(errno) = resolved.walk(kernel, &self.path, self.mask) {
            // The walk is incomplete, and the old watches may report the next change.
            resolved.release(kernel, &self.resolved);
            return Err(errno);
        }
        let before = mem::replace(&mut self.resolved, resolved);
        before.release(kernel, &self.resolved);
        self.is_pending = false;
        let was_lost = mem::take(&mut self.is_lost);
        Ok(match (before.target, self.resolved.target) {
            (None, Some(_)) => Some(NameChange::Appeared),
            (Some(_), None) => Some(NameChange::Vanished),
            (Some(before), Some(now)) if !before.is_same(now) => Some(NameChange::Replaced),
            (Some(_), Some(_)) if was_lost => Some(NameChange::Changed),
            _ => None,
        })
    }

    /// Stops following: releases all watches.
    pub fn end<K: Kernel>(self, kernel: &mut K) {
        self.resolved.release(kernel, &ResolvedPath::default());
    }

    /// Takes an event. Returns [`NameChange::Changed`] if the event reports that the file was changed in
    /// place. If the name may lead to another file after the event, a walk is
    /// [pending](Self::is_pending).
    ///
    /// Feed any event of the inotify instance; events of other watches have no effect. An overflow has
    /// the effect of [`lost`](Self::lost).
    pub fn feed(&mut self, event: &Event<'_>) -> Option<NameChange> {
        if event.is_overflow() {
            self.lost();
            return None;
        }
        let requested = self.resolved.mask_of(event.wd()).intersection(self.mask);
        let is_changed = event.mask().intersects(requested.events());
        self.is_pending |= self.resolved.needs_walk_after(event);
        if event.is_ignored() {
            self.resolved.forget(event.wd());
        }
        is_changed.then_some(NameChange::Changed)
    }

    /// Notes that events were lost, which makes a walk pending. That walk returns
    /// [`NameChange::Changed`] if the name leads to the same file as before.
    pub fn lost(&mut self) {
        self.is_lost = true;
        self.is_pending = true;
    }

    /// Returns `true` if a [`walk`](Self::walk) is needed: before the first one, after an event that
    /// concerns the path, after lost events, after a new mask, and after a walk that failed.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Returns `true` if the name led to a file at the last walk.
    #[must_use]
    pub const fn is_found(&self) -> bool {
        self.resolved.target.is_some()
    }

    /// Changes the events of the file that are reported, from the next walk on. Makes a walk pending.
    ///
    /// Queued events of the old mask only are no longer reported.
    pub fn set_mask(&mut self, mask: WatchMask) {
        self.mask = resolved::mask_of_target(mask);
        self.is_pending = true;
    }

    /// Returns each watch: its descriptor, the events that the follower needs, and an entry. For a
    /// directory on the path, that is the name of its entry that is next on the path. For the file that
    /// the path leads to, it is `None`. If the path has a dot, or a slash at its end, that is the entry,
    /// and only events of the directory itself are needed.
    ///
    /// A descriptor is returned more than once if the path goes through its directory twice, or ends at a
    /// directory that it went through. The follower also needs `IGNORED` and `UNMOUNT` of each watch. An
    /// event without a name is needed for any entry.
    pub fn watches(&self) -> impl Iterator<Item = (Wd, WatchMask, Option<&[u8]>)> {
        let steps = self.resolved.steps().map(|(wd, entry)| (wd, resolved::STEP, Some(entry)));
        let target = match self.resolved.target {
            Some(Target::Watched { wd, mask }) => Some((wd, mask, None)),
            _ => None,
        };
        steps.chain(target)
    }
}
