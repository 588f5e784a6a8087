//! The events that a tree reports.

use alloc::vec::Vec;
use core::fmt;

use crate::event::Escaped;
use crate::flags::EventMask;
use crate::sys::Errno;

/// A change in a tree.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeEvent {
    /// How the change became known, and what a mask can't express.
    pub kind: TreeKind,
    /// The change as inotify flags. A discovered change has `CREATE`, `DELETE` or `MODIFY`, and a rename
    /// `MOVED_TO`, though the kernel did not report exactly that.
    pub mask: EventMask,
    /// The cookie that joins the two halves of a rename, else 0.
    pub cookie: u32,
    /// The path beneath the root. Empty for the root itself.
    pub path: Vec<u8>,
}

/// How a [`TreeEvent`] became known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TreeKind {
    /// The kernel reported it.
    ///
    /// - `MOVED_TO`: an entry came from outside of the watched directories. It may have replaced a file or an empty
    ///   directory.
    /// - `MOVED_FROM`: an entry left to outside of the watched directories.
    /// - `UNMOUNT`: nothing that was beneath the path is there any more.
    Reported,
    /// It was discovered by a scan. Reported if the mask asks for an event that may have caused it.
    ///
    /// - `CREATE`: the entry is there and was not reported before. An entry that was reported at this path before is
    ///   gone.
    /// - `DELETE`: the entry is gone, with everything beneath it.
    /// - `MODIFY`: the file may have changed.
    Discovered,
    /// An entry was renamed within the tree, with everything beneath it. An entry that was at the new path
    /// before is gone.
    Renamed {
        /// The old path beneath the root.
        from: Vec<u8>,
    },
    /// Two directories were exchanged, each with everything beneath it (`RENAME_EXCHANGE`).
    Exchanged {
        /// The other path beneath the root.
        with: Vec<u8>,
    },
    /// The directory can't be watched, for this reason. Changes in it are not reported.
    Unwatched(UnwatchedReason),
    /// The directory is watched, but can't be listed, for this reason. Changes in it that were lost in an
    /// overflow are not known. It is listed as soon as possible.
    Unlisted(Errno),
    /// An `Unwatched` directory is watched now, or an `Unlisted` one was listed. Its entries that are not
    /// known yet are reported next.
    Watched,
    /// Events were lost. The tree is compared with the disk, each difference is reported, and then
    /// `Resynced`.
    Overflow,
    /// The comparison after an `Overflow` is complete: all differences have been reported.
    Resynced,
    /// The set-up is complete: all directories are watched. Existing entries have been reported, if
    /// [`Options::report_existing`](super::Options::report_existing) is set. Reported once, after `Resynced` if
    /// events were lost during the set-up.
    Established,
    /// The root's path no longer leads to the root. The known directories stay watched, but new ones can't be
    /// watched.
    RootMoved,
    /// The root was removed, or its watch was removed by other code. The tree is over.
    RootRemoved,
    /// The root's file system was unmounted. The tree is over.
    RootUnmounted,
}

/// Why a directory can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnwatchedReason {
    /// A system call failed: `EACCES` without permission, `ENOSPC` at the limit of watches, `EMFILE` without
    /// a free descriptor.
    Failed(Errno),
    /// The same directory is watched under another path of the tree, with which its events are reported: it
    /// is a bind mount, or a link leads to it.
    WatchedElsewhere,
    /// The root's path no longer leads to the root, so a path beneath it can't be opened.
    RootMoved,
}

/// Writes one line such as `Discovered CREATE,ISDIR "a/b"`, safe to print on a terminal.
impl fmt::Display for TreeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TreeKind::Renamed { from } => write!(f, "Renamed from \"{}\"", Escaped(from))?,
            TreeKind::Exchanged { with } => write!(f, "Exchanged with \"{}\"", Escaped(with))?,
            kind => write!(f, "{kind:?}")?,
        }
        if !self.mask.is_empty() {
            write!(f, " {}", self.mask)?;
        }
        write!(f, " \"{}\"", Escaped(&self.path))
    }
}

impl fmt::Debug for TreeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeEvent {{ {self} }}")
    }
}
