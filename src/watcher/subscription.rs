//! One watch as it is now, and the recipients of its events.
//!
//! A subscription never changes: a change makes another one in its place. So an event keeps what was
//! true for it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::WatchError;
use super::id::WatchId;
use super::options::WatchOptions;
use super::path::SharedPath;
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::inotify::Error;

/// The events that the kernel reports whatever the mask.
pub(super) const LIFE: EventMask = EventMask::UNMOUNT.union(EventMask::IGNORED);

/// The events that report the end of a watch, or a loss.
pub(super) const TURNS: EventMask = LIFE.union(EventMask::Q_OVERFLOW);

/// What a watch is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchKind {
    /// One file or directory: [`Watches::watch`](super::Watches::watch).
    Inode,
    /// A name, whatever file it leads to: [`Watches::watch_name`](super::Watches::watch_name).
    Name,
    /// A directory and everything beneath it: [`Watches::watch_tree`](super::Watches::watch_tree).
    Tree,
}

/// One watch as it is now.
#[derive(Clone)]
pub(super) struct Subscription {
    pub id: WatchId,
    pub kind: WatchKind,
    pub path: SharedPath,
    /// The mask, as it was given.
    pub asked: WatchMask,
    pub options: WatchOptions,
    /// The kernel's descriptor; `NONE` for a name or a tree.
    pub wd: Wd,
    /// Position in the stream at which its events begin.
    pub since: u64,
}

impl Subscription {
    pub fn info(&self) -> WatchInfo {
        WatchInfo {
            watch: self.id,
            kind: self.kind,
            path: self.path.as_path().to_owned(),
            alias: self.options.get_alias().map(ToOwned::to_owned),
            token: self.options.get_token(),
            mask: self.asked,
            wd: (self.kind == WatchKind::Inode).then_some(self.wd),
        }
    }

    /// Runs the user's filter.
    pub fn accepts(&self, event: &Event<'_>) -> bool {
        self.options.accepts(event)
    }

    pub const fn is_one_shot(&self) -> bool {
        self.asked.contains(WatchMask::ONESHOT)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).field("path", &self.path).finish()
    }
}

/// A watch that is being added: everything but its key and its descriptor.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub path: &'a Path,
    pub mask: WatchMask,
    pub options: &'a WatchOptions,
}

impl Wanted<'_> {
    pub fn subscription(&self, id: WatchId, kind: WatchKind, wd: Wd, since: u64) -> Subscription {
        Subscription {
            id,
            kind,
            path: SharedPath::new(self.path),
            asked: self.mask,
            options: self.options.clone(),
            wd,
            since,
        }
    }

    /// # Errors
    ///
    /// [`WatchError::Path`] if the mask is invalid.
    pub fn check_mask(&self) -> Result<(), WatchError> {
        self.mask.check().map(drop).map_err(|error| WatchError::at(self.path, Error::Mask(error)))
    }
}

/// An active watch, from [`Watches::list`](super::Watches::list).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchInfo {
    /// The key of the watch.
    pub watch: WatchId,
    /// What it is of.
    pub kind: WatchKind,
    /// Its path, as it was given.
    pub path: PathBuf,
    /// Its alias.
    pub alias: Option<OsString>,
    /// Its token.
    pub token: Option<u64>,
    /// Its mask.
    pub mask: WatchMask,
    /// The kernel's descriptor, which several watches of one inode share. `None` for a name or a tree.
    pub wd: Option<Wd>,
}

/// One directory of a tree, from [`Watches::tree_directories`](super::Watches::tree_directories).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeDirectory {
    /// The path of the tree, and the path beneath it.
    pub path: PathBuf,
    /// The kernel's descriptor. `None` if the directory is known and not watched: it is excluded,
    /// or was reported as [`Unwatched`](super::TreeChange::Unwatched).
    pub wd: Option<Wd>,
}

/// One recipient of the events of a descriptor.
#[derive(Clone, Debug)]
pub(super) struct Recipient {
    pub subscription: Arc<Subscription>,
    /// The events that are of interest.
    pub mask: EventMask,
    /// Of these, the events that can't be lent as they come.
    pub slow: EventMask,
    /// Position in the stream at which events begin.
    pub since: u64,
    pub way: Way,
}

/// The way that an event goes to a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To a watch of the file itself.
    Inode,
    /// To the follower of a name, for an entry of a directory on the way to it.
    Step(Arc<[u8]>),
    /// To the follower of a name, as the file that the name leads to.
    Target,
    /// To a tree. Its engine has to see these events before anyone else does.
    Tree(EventMask),
}

impl Recipient {
    /// Returns the recipient of what happens to the watch itself.
    pub fn new(subscription: &Arc<Subscription>) -> Self {
        let is_plain = !subscription.options.has_filter() && !subscription.is_one_shot();
        Self {
            mask: subscription.asked.events() | LIFE,
            slow: if is_plain { TURNS } else { EventMask::all() },
            since: subscription.since,
            way: Way::Inode,
            subscription: Arc::clone(subscription),
        }
    }

    /// Returns `true` if both are the same recipient, perhaps before and after a change.
    pub fn is_same(&self, other: &Self) -> bool {
        self.subscription.id == other.subscription.id
            && match (&self.way, &other.way) {
                (Way::Tree(_), Way::Tree(_)) => true,
                (one, other) => one == other,
            }
    }
}
