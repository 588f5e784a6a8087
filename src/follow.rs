//! Names that are followed, whatever file they lead to: a state machine without I/O of its own.
//!
//! The kernel watches inodes, and a program that reads a configuration file cares about a *name*:
//! the file behind it is replaced by each atomic save, links on the way are turned, directories are
//! removed and made again. So a [`Follower`] watches each directory on the way for the one entry that
//! matters in it, follows symbolic links step by step, and watches the file at the end itself.
//!
//! It asks a [`Kernel`] to watch and to look, and is fed the events that inotify gives. The caller
//! repeats these steps:
//!
//! 1. while [`is_pending`](Follower::is_pending): [`walk`](Follower::walk);
//! 2. read events and [`feed`](Follower::feed) each of them.
//!
//! # How it keeps track
//!
//! 1. **Watch first, look second.** What changes after a look comes as an event, and leads to another
//!    walk. So when the queue is empty and no walk is pending, what was announced last is what is there.
//! 2. **A walk is all or nothing.** New watches are added before old ones are ended, so a watch that
//!    both ways need never ends. A walk that fails ends what it has added and stays pending.
//! 3. **Identity is the descriptor.** A descriptor stands for one inode as long as it is held. Inode
//!    numbers, which are used again, are compared only where a file can't be watched.
//! 4. **An ended watch is forgotten.** After `IGNORED` a descriptor equals nothing and is not ended again.
//!
//! Invariant: the watches of the way, and no others, are held; a walk is pending unless the last one
//! succeeded and no event has touched the way since.
//!
//! # Limits
//!
//! - A directory that may not be read can't be watched. The way passes it, and what changes in it is
//!   noticed only if a watched file or directory in it says so itself.
//! - A mount over a directory on the way makes no event; an unmount does.
//! - A file that may be read again (or no longer) is watched again (or no longer) once its directory
//!   reports that. It does not where the permissions were changed by another name of the file, or at the
//!   root of a mount; where it is watched for [`ATTRIB`](WatchMask::ATTRIB) it reports that itself.
//! - A file that leaves its name and is back before the next walk is the same file: nothing is reported.
//! - A path that is longer than 4,095 bytes once its links are resolved counts as not there.
//!
//! # Example
//!
//! A kernel with one file, which is always there:
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
//!     fn look(&mut self, path: &[u8]) -> Result<Entry, Errno> {
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
//! // The same file again.
//! assert_eq!(follower.walk(&mut OneFile), Ok(None));
//! ```

#![forbid(unsafe_code)]

mod way;

use alloc::vec::Vec;
use core::mem;

use crate::event::{Event, Wd};
use crate::flags::WatchMask;
use crate::sys::Errno;

use way::{End, Way};

/// The calls that a [`Follower`] is built on: the real kernel's, or those of a simulated one.
///
/// Paths are absolute and hold no symbolic links, except for those that were put there a moment ago.
/// A path may end with `/` or `/.`: then only a directory is meant, as for each system call.
pub trait Kernel {
    /// Watches what is at a path. The events that it is watched for already stay, as with
    /// [`MASK_ADD`](WatchMask::MASK_ADD), which the mask does not hold. A link at the end of the path is
    /// not followed: the mask always holds [`DONT_FOLLOW`](WatchMask::DONT_FOLLOW).
    ///
    /// The same inode gives the same descriptor for as long as it is watched.
    ///
    /// # Errors
    ///
    /// As of inotify_add_watch(2).
    fn watch(&mut self, path: &[u8], mask: WatchMask) -> Result<Wd, Errno>;

    /// Takes back a watch that the follower no longer needs. It is called once for a descriptor,
    /// however often that was given, and not after the follower was fed its `IGNORED`. A watch that
    /// others need has to stay.
    fn unwatch(&mut self, wd: Wd);

    /// Returns what is at a path. A link at its end is not followed.
    ///
    /// # Errors
    ///
    /// As of lstat(2) and readlink(2).
    fn look(&mut self, path: &[u8]) -> Result<Entry, Errno>;
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A symbolic link, with its text.
    Link(Vec<u8>),
    /// Anything else, directories too.
    File {
        /// The device that it is on.
        dev: u64,
        /// The inode number.
        ino: u64,
    },
}

/// What happened to a name that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameChange {
    /// The name leads to a file now, and did not before.
    Appeared,
    /// The file that the name leads to was changed in place. After lost events: may have been.
    Changed,
    /// The name leads to another file now. Also where the file may be read, and so be watched, only now
    /// or no longer.
    Replaced,
    /// The name leads nowhere any more.
    Vanished,
}

/// One name that is followed, and the way to it.
#[derive(Debug)]
pub struct Follower {
    path: Vec<u8>,
    /// What the file at the end is watched for.
    mask: WatchMask,
    way: Way,
    is_pending: bool,
    /// Events were lost since the last walk.
    is_lost: bool,
}

impl Follower {
    /// Follows an absolute path, from the first [`walk`](Self::walk) on. Events of `mask` in the file
    /// are [`NameChange::Changed`].
    ///
    /// Of the options of `mask`, `ONLYDIR` and `EXCL_UNLINK` count; the others mean nothing here. Links
    /// are always followed. A path without `/` in front begins at the root, too.
    #[must_use]
    pub fn new(path: &[u8], mask: WatchMask) -> Self {
        let mask = way::mask_of_target(mask);
        Self { path: path.to_vec(), mask, way: Way::default(), is_pending: true, is_lost: false }
    }

    /// Walks the path: watches each directory on the way, and the file at its end. Returns what became
    /// of the name since the last walk; the first one returns [`NameChange::Appeared`] or `None`.
    ///
    /// Makes two calls for each component of the path and of the links on it, at most two for the file,
    /// and ends the watches that are no longer needed. May also be called while nothing is pending, where something
    /// may have changed that makes no event.
    ///
    /// A directory that may not be read is passed. A name that can't be looked up (`ENOENT`, `ENOTDIR`,
    /// `EACCES`, `ELOOP`, also for more than 40 links, `ENAMETOOLONG`) is not there.
    ///
    /// # Errors
    ///
    /// Any other error of the kernel, such as `ENOSPC`, `ENOMEM`, `EMFILE`. The follower is as it was
    /// before, with the same watches, and the walk stays [pending](Self::is_pending).
    pub fn walk<K: Kernel>(&mut self, kernel: &mut K) -> Result<Option<NameChange>, Errno> {
        self.is_pending = true;
        let mut way = Way::default();
        if let Err(errno) = way.walk(kernel, &self.path, self.mask) {
            // Half a way leads nowhere, and the old one may report the next change.
            way.release(kernel, &self.way);
            return Err(errno);
        }
        let before = mem::replace(&mut self.way, way);
        before.release(kernel, &self.way);
        self.is_pending = false;
        let was_lost = mem::take(&mut self.is_lost);
        Ok(match (before.end, self.way.end) {
            (None, Some(_)) => Some(NameChange::Appeared),
            (Some(_), None) => Some(NameChange::Vanished),
            (Some(before), Some(now)) if !before.is_same(now) => Some(NameChange::Replaced),
            (Some(_), Some(_)) if was_lost => Some(NameChange::Changed),
            _ => None,
        })
    }

    /// Stops following: ends all watches that are held.
    pub fn end<K: Kernel>(self, kernel: &mut K) {
        self.way.release(kernel, &Way::default());
    }

    /// Takes an event. Returns [`NameChange::Changed`] if it says that the file was changed in place.
    /// If it may change where the name leads to, a walk is [pending](Self::is_pending) afterwards.
    ///
    /// Any event of the inotify instance may be fed; those of other watches change nothing. An
    /// overflow is the same as [`lost`](Self::lost).
    pub fn feed(&mut self, event: &Event<'_>) -> Option<NameChange> {
        if event.is_overflow() {
            self.lost();
            return None;
        }
        let asked = self.way.mask_of(event.wd()).intersection(self.mask);
        let is_changed = event.mask().intersects(asked.events());
        self.is_pending |= self.way.is_touched(event);
        if event.is_ignored() {
            self.way.forget(event.wd());
        }
        is_changed.then_some(NameChange::Changed)
    }

    /// Notes that events were lost: a walk is pending, and returns [`NameChange::Changed`] if the name
    /// leads to the same file as before.
    pub fn lost(&mut self) {
        self.is_lost = true;
        self.is_pending = true;
    }

    /// Returns `true` if a [`walk`](Self::walk) is needed: before the first one, after an event of the
    /// way, after lost events, after a new mask and after a walk that failed.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Returns `true` if the name led to a file at the last walk.
    #[must_use]
    pub const fn is_found(&self) -> bool {
        self.way.end.is_some()
    }

    /// Reports other events of the file from the next walk on, which is pending now.
    ///
    /// Events of the old mask that are queued are no longer reported.
    pub fn set_mask(&mut self, mask: WatchMask) {
        self.mask = way::mask_of_target(mask);
        self.is_pending = true;
    }

    /// Returns the watches that are held: the descriptor, the events of interest, and the name of the
    /// entry that matters in a directory on the way; `None` for the file at the end. Where the path has
    /// a dot or a slash at its end, that is the entry, and only the directory itself matters.
    ///
    /// A descriptor may come more than once: where a way leads through one directory twice, or ends
    /// at a directory that it came through. The events without a name, `IGNORED` and `UNMOUNT` are
    /// always of interest.
    pub fn watches(&self) -> impl Iterator<Item = (Wd, WatchMask, Option<&[u8]>)> {
        let steps = self.way.steps().map(|(wd, entry)| (wd, way::STEP, Some(entry)));
        let target = match self.way.end {
            Some(End::Watched { wd, mask }) => Some((wd, mask, None)),
            _ => None,
        };
        steps.chain(target)
    }
}
