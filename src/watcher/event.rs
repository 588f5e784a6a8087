//! Events of a watcher: an event of the kernel, with the watch and the path that it belongs to.

use std::ffi::OsStr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::id::WatchId;
use super::path::{EventPath, OwnedPath};
use super::subscription::{Subscription, WatchKind};
use crate::event::{Escaped, Event, EventKind, Wd};
use crate::flags::EventMask;
use crate::follow::NameChange;
use crate::sys::Errno;
use crate::tree::{TreeEvent, TreeKind, UnwatchedReason};

/// What happened in a tree, beyond what a mask says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeChange<'a> {
    /// The kernel reported it. `MOVED_TO` came from outside of what is watched, and may have replaced a
    /// file; `MOVED_FROM` went outside, with everything beneath it. `MOVED_FROM` is reported once it is known
    /// that the other half is not in the tree, which may be after later events.
    Reported,
    /// The tree discovered it on the disk; the kernel reported no event.
    ///
    /// - `CREATE`: it exists and was not reported before. If something else was reported at this path,
    ///   that is gone.
    /// - `DELETE`: it is gone, with everything beneath it.
    /// - `MODIFY`: it may have changed.
    ///
    /// It is delivered to watches whose mask has an event that may have caused it. An existing file
    /// is also delivered to watches with `MODIFY` or `CLOSE_WRITE`; it may still be open for writing.
    Discovered,
    /// It was renamed within the tree, with everything beneath it. What was at the new path is replaced. The
    /// cookie is 0 if the tree discovered the rename.
    Renamed {
        /// The old path.
        from: &'a Path,
    },
    /// Two directories changed places, each with everything beneath it (`RENAME_EXCHANGE` of renameat2(2)).
    Exchanged {
        /// The other path.
        with: &'a Path,
    },
    /// The directory can't be watched. What happens in it is not reported.
    Unwatched(UnwatchedReason),
    /// The directory is watched, but can't be listed: what happened in it while events were lost is
    /// not known. It is compared with the disk as soon as that is possible.
    Unlisted(Errno),
    /// A directory that was `Unwatched` or `Unlisted` is watched and has been listed. Its unknown
    /// entries are reported next.
    Watched,
    /// The set-up is complete: every directory is watched, and every existing entry has been reported if
    /// [`report_existing`](super::TreeOptions::report_existing) is set. Later events have happened
    /// since. Reported once. If events are lost during the set-up, `Resynced` comes first.
    Established,
    /// Events were lost, and every change that was lost has been reported.
    Resynced,
    /// The root's path no longer leads to it: it was renamed, or a directory above it was, which makes
    /// no event and is noticed when the tree next accesses the disk. Reported with every mask, and beside
    /// `MOVE_SELF` if the mask has that.
    ///
    /// Its known directories go on to report, with the old path. New ones are `Unwatched` until
    /// [`Watches::set_path`](super::Watches::set_path) sets the new path, or the old one leads to the
    /// root again. With [`TreeOptions::hold_root`](super::TreeOptions::hold_root) they are watched.
    RootMoved,
    /// The root is gone. The watch ends with the next event.
    RootRemoved,
    /// The root's file system was unmounted. The watch ends with the next event.
    RootUnmounted,
}

/// One event, borrowed from its watcher until the next one is asked for.
///
/// Nothing is allocated for it. [`to_buf`](Self::to_buf) makes a [`WatchEventBuf`], which can be
/// kept.
#[derive(Clone, Copy)]
pub struct WatchEvent<'a> {
    event: Event<'a>,
    subscription: Option<&'a Arc<Subscription>>,
    path: EventPath<'a>,
    /// `None` for an event of the kernel.
    detail: Option<&'a Detail>,
}

/// What an event says beyond what the kernel says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Detail {
    /// Of a name that is followed.
    Name(NameChange),
    /// Of a tree, and the other path of a rename or an exchange, which is taken out of the kind.
    Tree(TreeKind, PathBuf),
}

impl<'a> WatchEvent<'a> {
    #[inline]
    pub(super) const fn new(
        event: Event<'a>,
        subscription: Option<&'a Arc<Subscription>>,
        path: EventPath<'a>,
        detail: Option<&'a Detail>,
    ) -> Self {
        Self { event, subscription, path, detail }
    }

    /// Returns the watch that this is an event of; `None` for an overflow, which belongs to all.
    #[must_use]
    pub fn watch(&self) -> Option<WatchId> {
        Some(self.subscription?.id).filter(|&id| id != WatchId::NONE)
    }

    /// Returns the alias of the watch.
    #[must_use]
    pub fn alias(&self) -> Option<&'a OsStr> {
        self.subscription?.options.get_alias()
    }

    /// Returns the token of the watch.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.subscription?.options.get_token()
    }

    /// Returns the path of the watch, as it was given.
    #[must_use]
    pub fn watched_path(&self) -> Option<&'a Path> {
        Some(self.subscription?.path.as_path())
    }

    /// Returns the path of the directory that the event happened in, or of the watched file itself if
    /// the event has no name. For a watch of a directory, that is the path of the watch.
    #[must_use]
    pub fn directory(&self) -> Option<&'a Path> {
        self.subscription.map(|_| self.path.directory())
    }

    /// Returns the event of the kernel: with its descriptor, and for [`RenamePairer`](crate::RenamePairer).
    #[must_use]
    pub const fn event(&self) -> Event<'a> {
        self.event
    }

    /// Returns what happened, as all bits of the mask.
    #[must_use]
    pub const fn mask(&self) -> EventMask {
        self.event.mask()
    }

    /// Returns what happened, as one word.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.event.kind()
    }

    /// Returns what happened to the name that the watch follows
    /// ([`Watches::watch_name`](super::Watches::watch_name)); `None` for other watches.
    #[must_use]
    pub const fn name_change(&self) -> Option<NameChange> {
        match self.detail {
            Some(Detail::Name(change)) => Some(*change),
            _ => None,
        }
    }

    /// Returns what happened in a tree ([`Watches::watch_tree`](super::Watches::watch_tree)); `None` for
    /// other watches.
    #[must_use]
    pub fn tree_change(&self) -> Option<TreeChange<'a>> {
        if self.subscription?.kind != WatchKind::Tree {
            return None;
        }
        let Some(Detail::Tree(kind, other)) = self.detail else {
            return Some(TreeChange::Reported);
        };
        Some(match kind {
            TreeKind::Discovered => TreeChange::Discovered,
            TreeKind::Renamed { .. } => TreeChange::Renamed { from: other },
            TreeKind::Exchanged { .. } => TreeChange::Exchanged { with: other },
            TreeKind::Unlisted(errno) => TreeChange::Unlisted(*errno),
            TreeKind::Watched => TreeChange::Watched,
            TreeKind::Established => TreeChange::Established,
            TreeKind::Unwatched(why) => TreeChange::Unwatched(*why),
            TreeKind::Resynced => TreeChange::Resynced,
            TreeKind::RootMoved => TreeChange::RootMoved,
            TreeKind::RootRemoved => TreeChange::RootRemoved,
            TreeKind::RootUnmounted => TreeChange::RootUnmounted,
            TreeKind::Reported | TreeKind::Overflow => TreeChange::Reported,
        })
    }

    /// Returns the old path of what was renamed within a tree.
    #[must_use]
    pub fn renamed_from(&self) -> Option<&'a Path> {
        match self.tree_change() {
            Some(TreeChange::Renamed { from }) => Some(from),
            _ => None,
        }
    }

    /// Returns the number that joins the two halves of a rename, else 0.
    #[must_use]
    pub const fn cookie(&self) -> u32 {
        self.event.cookie()
    }

    /// Returns the name in the watched directory; `None` if the event is about the watched file itself.
    #[must_use]
    pub fn name(&self) -> Option<&'a OsStr> {
        self.event.name_os()
    }

    /// Returns `true` if the event is about a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.event.is_dir()
    }

    /// Returns `true` if events were lost.
    #[must_use]
    pub const fn is_overflow(&self) -> bool {
        self.event.is_overflow()
    }

    /// Returns `true` if this is the last event of its watch.
    #[must_use]
    pub const fn is_ignored(&self) -> bool {
        self.event.is_ignored()
    }

    /// Returns the path of the file that the event is about. Empty for an overflow.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &'a Path {
        self.path.path()
    }

    /// Returns the event with a name and a path of its own, for queues and other threads. Allocates.
    #[must_use]
    pub fn to_buf(&self) -> WatchEventBuf {
        WatchEventBuf {
            subscription: self.subscription.cloned(),
            wd: self.event.wd(),
            mask: self.mask(),
            cookie: self.cookie(),
            path: OwnedPath::of(self.path, self.event.name().map_or(0, <[u8]>::len)),
            detail: self.detail.cloned().map(Box::new),
        }
    }
}

/// One line such as `CREATE,ISDIR "/tmp/new"`: safe to print on a terminal.
impl fmt::Display for WatchEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(change) = self.name_change() {
            write!(f, "{change:?}: ")?;
        }
        match self.tree_change() {
            None | Some(TreeChange::Reported) => {}
            Some(TreeChange::Renamed { from }) => {
                write!(f, "Renamed from \"{}\": ", Escaped(from.as_os_str().as_bytes()))?;
            }
            Some(TreeChange::Exchanged { with }) => {
                write!(f, "Exchanged with \"{}\": ", Escaped(with.as_os_str().as_bytes()))?;
            }
            Some(change) => write!(f, "{change:?}: ")?,
        }
        write!(f, "{}", self.mask())?;
        if self.cookie() != 0 {
            write!(f, " cookie {}", self.cookie())?;
        }
        if self.subscription.is_some() {
            write!(f, " \"{}\"", Escaped(self.path().as_os_str().as_bytes()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for WatchEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WatchEvent {{ {self} }}")
    }
}

/// One event that owns its path, and shares its watch as it was then.
#[derive(Clone)]
pub struct WatchEventBuf {
    subscription: Option<Arc<Subscription>>,
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    path: OwnedPath,
    detail: Option<Box<Detail>>,
}

impl WatchEventBuf {
    /// Returns the last event of a watch.
    pub(super) fn last(subscription: &Arc<Subscription>) -> Self {
        let path = OwnedPath::new(subscription.path.as_path(), &[]);
        Self::made(subscription, EventMask::IGNORED, 0, path, None)
    }

    /// Returns the event of a change of a followed name.
    pub(super) fn of_name(subscription: &Arc<Subscription>, change: NameChange) -> Self {
        let mask = match change {
            NameChange::Appeared => EventMask::CREATE,
            NameChange::Vanished => EventMask::DELETE,
            NameChange::Replaced => EventMask::MOVED_TO,
            _ => EventMask::MODIFY,
        };
        let path = OwnedPath::new(subscription.path.as_path(), &[]);
        Self::made(subscription, mask, 0, path, Some(Detail::Name(change)))
    }

    /// Returns the event of a report of a tree.
    pub(super) fn of_tree(subscription: &Arc<Subscription>, event: TreeEvent) -> Self {
        let TreeEvent { mut kind, mask, cookie, path } = event;
        let root = &subscription.path;
        let other = match &mut kind {
            TreeKind::Renamed { from: other } | TreeKind::Exchanged { with: other } => {
                root.as_path().join(OsStr::from_bytes(&std::mem::take(other)))
            }
            _ => PathBuf::new(),
        };
        let path = OwnedPath::beneath(root, &path);
        Self::made(subscription, mask, cookie, path, Some(Detail::Tree(kind, other)))
    }

    /// Returns an overflow, which is of no watch.
    pub(super) fn overflow(mask: EventMask) -> Self {
        Self {
            subscription: None,
            wd: Wd::NONE,
            mask,
            cookie: 0,
            path: OwnedPath::default(),
            detail: None,
        }
    }

    /// Returns an event that is not of the kernel.
    pub(super) fn made(
        subscription: &Arc<Subscription>,
        mask: EventMask,
        cookie: u32,
        path: OwnedPath,
        detail: Option<Detail>,
    ) -> Self {
        Self {
            wd: subscription.wd,
            subscription: Some(Arc::clone(subscription)),
            mask,
            cookie,
            path,
            detail: detail.map(Box::new),
        }
    }

    /// Returns `true` if the user's filter accepts the event. Filters apply to changes in a tree, and not to
    /// reports on the tree itself, such as `Unwatched`.
    pub(super) fn is_accepted(&self) -> bool {
        use TreeKind::{Discovered, Exchanged, Renamed, Reported};
        let Some(subscription) = &self.subscription else { return true };
        match self.detail.as_deref() {
            Some(Detail::Tree(Reported | Discovered | Renamed { .. } | Exchanged { .. }, _)) => {
                subscription.accepts(&self.as_event().event())
            }
            _ => true,
        }
    }

    /// Returns the event, borrowed from here.
    #[must_use]
    pub fn as_event(&self) -> WatchEvent<'_> {
        let name_and_nul = self.path.name_and_nul();
        let event = Event::from_parts(self.wd, self.mask, self.cookie, name_and_nul);
        let detail = self.detail.as_deref();
        WatchEvent::new(event, self.subscription.as_ref(), self.path.get(), detail)
    }

    /// Returns the [path](WatchEvent::path) without a copy.
    #[must_use]
    pub fn into_path(self) -> PathBuf {
        self.path.into_path()
    }
}

macro_rules! as_borrowed {
    ($($name:ident: $gives:ty,)*) => {
        impl WatchEventBuf {
            $(
                #[doc = concat!("See [`WatchEvent::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(&self) -> $gives {
                    self.as_event().$name()
                }
            )*
        }
    };
}

as_borrowed! {
    watch: Option<WatchId>,
    token: Option<u64>,
    directory: Option<&Path>,
    renamed_from: Option<&Path>,
    event: Event<'_>,
    alias: Option<&OsStr>,
    watched_path: Option<&Path>,
    mask: EventMask,
    kind: EventKind,
    name_change: Option<NameChange>,
    tree_change: Option<TreeChange<'_>>,
    cookie: u32,
    name: Option<&OsStr>,
    is_dir: bool,
    is_overflow: bool,
    is_ignored: bool,
    path: &Path,
}

impl fmt::Display for WatchEventBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_event().fmt(f)
    }
}

impl fmt::Debug for WatchEventBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_event(), f)
    }
}

/// Everything that an event says, for comparison.
impl WatchEventBuf {
    fn parts(&self) -> impl Eq + Hash {
        let event = self.as_event();
        let watch = (event.watch(), event.alias(), event.token(), event.watched_path());
        let detail = self.detail.as_deref();
        let kind = self.subscription.as_ref().map(|subscription| subscription.kind);
        (
            watch,
            kind,
            event.directory(),
            self.wd,
            self.mask,
            self.cookie,
            self.path.name_and_nul(),
            detail,
        )
    }
}

/// Two events are equal if every method returns the same for both.
impl PartialEq for WatchEventBuf {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for WatchEventBuf {}

impl Hash for WatchEventBuf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl From<WatchEvent<'_>> for WatchEventBuf {
    fn from(event: WatchEvent<'_>) -> Self {
        event.to_buf()
    }
}
