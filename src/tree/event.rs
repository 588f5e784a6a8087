//! What a tree reports.

use alloc::vec::Vec;
use core::fmt;

use crate::event::Escaped;
use crate::flags::EventMask;
use crate::sys::Errno;

/// What happened in a tree.
#[derive(Clone, PartialEq, Eq)]
pub struct TreeEvent {
    /// How it is known, and what is beyond a mask.
    pub kind: TreeKind,
    /// The kernel's words for it, also where it did not say them: `CREATE`, `DELETE`, `MODIFY` for
    /// what was discovered, `MOVED_TO` for a rename.
    pub mask: EventMask,
    /// The number that joins the halves of a rename, else 0.
    pub cookie: u32,
    /// The path beneath the root; empty for the root itself.
    pub path: Vec<u8>,
}

/// How a [`TreeEvent`] is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TreeKind {
    /// The kernel reported it. `MOVED_TO` is something that came from outside of what is watched, and
    /// may have replaced a file or an empty directory; `MOVED_FROM` is something that went outside;
    /// after `UNMOUNT` nothing that was beneath the path is there.
    Reported,
    /// It was discovered. `CREATE`: it is there and was not reported before, and if something else was
    /// reported to be there, that is gone. `DELETE`: it is gone, with all beneath it. `MODIFY`: it may
    /// have changed. Reported if an event that may have caused it was asked for.
    Discovered,
    /// Something was renamed within the tree, with all beneath it; what was at the new path is
    /// replaced.
    Renamed {
        /// Its old path beneath the root.
        from: Vec<u8>,
    },
    /// Two directories have changed places, each with all beneath it (`RENAME_EXCHANGE`).
    Exchanged {
        /// The other path beneath the root.
        with: Vec<u8>,
    },
    /// The directory can't be watched, and nothing is reported of what happens in it; why.
    Unwatched(UnwatchedReason),
    /// The directory is watched, but can't be listed or compared with the disk: what happened in it
    /// while events were lost is not known. It is compared as soon as that is possible.
    Unlisted(Errno),
    /// A directory that was `Unwatched` is watched, or one that was `Unlisted` has been listed. What
    /// is in it is reported next, as far as that is not known.
    Watched,
    /// Events were lost. What changed meanwhile is looked for and reported, and then `Resynced`.
    Overflow,
    /// All that was missed has been reported.
    Resynced,
    /// The set-up is complete: all directories are watched, and what was there has been reported if
    /// that was asked for.
    Established,
    /// The root's path no longer leads to it. Its known directories go on to report, but new ones
    /// can't be watched.
    RootMoved,
    /// The root was removed, or its watch ended by force; the tree is over.
    RootRemoved,
    /// The root's file system was unmounted; the tree is over.
    RootUnmounted,
}

/// Why a directory can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnwatchedReason {
    /// The kernel refused: no permission, the limit of watches, no descriptor left.
    Failed(Errno),
    /// It is watched at another place of the tree, to which its events belong: a bind mount, or a
    /// link to it.
    WatchedElsewhere,
    /// The root's path no longer leads to the root.
    RootMoved,
}

/// One line such as `Discovered CREATE,ISDIR "a/b"`: safe to print on a terminal.
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
