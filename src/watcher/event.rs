//! Events as a watcher gives them: with the watch and the path they belong to.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::table::{Role, Sub, Watch};
use crate::event::{Escaped, Event, EventKind, Wd};
use crate::flags::EventMask;
use crate::sys::Errno;
use crate::tree::{Barred, TreeKind};

/// What happened to a name that is followed ([`Watches::watch_name`](super::Watches::watch_name)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// The name leads to a file now, and did not before.
    Appeared,
    /// The file that the name leads to was changed in place.
    Changed,
    /// The name leads to another file now.
    Replaced,
    /// The name leads nowhere any more.
    Vanished,
}

/// How something that happened in a tree is known, and what a mask can't say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeChange<'a> {
    /// The kernel told it so. `MOVED_TO` came from outside of what is watched, and may have replaced a
    /// file; `MOVED_FROM` went outside, with all beneath it.
    Told,
    /// It was found by looking, and no event tells it: `CREATE`, it is there and was not told before, and
    /// if something else was told to be there, that is gone; `DELETE`, it is gone, with all beneath it;
    /// `MODIFY`, it may have changed. It is told to those who asked for what may have made it so: a file
    /// that is there also to those who asked for `MODIFY` or `CLOSE_WRITE`, and it may be written yet.
    Found,
    /// It was renamed within the tree, with all beneath it. What was at the new path is replaced.
    Renamed {
        /// The old path.
        from: &'a Path,
    },
    /// Two directories changed places, each with all beneath it (`RENAME_EXCHANGE` of renameat2(2)).
    Exchanged {
        /// The other path.
        with: &'a Path,
    },
    /// The directory can't be watched, and nothing is reported of what happens in it.
    Unwatched(Barred),
    /// The directory is watched, but can't be listed: what happened in it while events were lost is
    /// not known. It is compared with the disk as soon as it can be.
    Unlisted(Errno),
    /// A directory that was `Unwatched` or `Unlisted` is watched and has been listed. What is in it is
    /// reported next, as far as that is not known.
    Watched,
    /// The tree is set up: every directory is watched, and what was there has been reported if
    /// [`existing`](super::TreeOptions::existing) asked for it. What is reported from now on has
    /// happened since.
    Established,
    /// Events were lost, and all that was found to have changed meanwhile is told by now.
    Resynced,
    /// The root's path no longer leads to it: it was renamed, or a directory above it was, which makes
    /// no event and is noticed at the next look at the disk. Reported whatever the mask.
    ///
    /// Its known directories go on to report, with the old path. New ones are `Unwatched` until
    /// [`Watches::set_path`](super::Watches::set_path) gives the new path, or the old one leads to the
    /// root again. With [`TreeOptions::hold_root`](super::TreeOptions::hold_root) they are watched.
    RootMoved,
    /// The root is not there any more. The watch ends with the next event.
    RootRemoved,
    /// The root's file system was unmounted. The watch ends with the next event.
    RootUnmounted,
}

/// One event, borrowed from its watcher until the next one is asked for.
///
/// Nothing is copied or allocated to give it; keep it beyond that as a [`WatchEventBuf`].
#[derive(Clone, Copy)]
pub struct WatchEvent<'a> {
    pub(super) event: Event<'a>,
    pub(super) sub: Option<&'a Arc<Sub>>,
    /// `None` for what the kernel told so.
    pub(super) extra: Option<&'a Extra>,
}

/// What an event says beyond what the kernel says.
#[derive(Clone, Debug)]
pub(super) enum Extra {
    /// Of a name that is followed.
    Name(Change),
    /// Of a tree; and the old path of what was renamed.
    Tree(TreeKind, PathBuf),
}

impl<'a> WatchEvent<'a> {
    /// The watch that this is an event of; `None` for an overflow, which belongs to all.
    #[must_use]
    pub fn watch(&self) -> Option<Watch> {
        Some(self.sub?.watch)
    }

    /// The alias of the watch, if it was given one.
    #[must_use]
    pub fn alias(&self) -> Option<&'a OsStr> {
        self.sub?.alias.as_deref()
    }

    /// The path of the watch, as it was given.
    #[must_use]
    pub fn watched_path(&self) -> Option<&'a Path> {
        let sub = self.sub?;
        Some(&sub.root.as_ref().unwrap_or(sub).path)
    }

    /// The event as the kernel gave it: with its descriptor, and for [`Moves`](crate::Moves).
    #[must_use]
    pub const fn event(&self) -> Event<'a> {
        self.event
    }

    /// What happened, all bits as they came.
    #[must_use]
    pub const fn mask(&self) -> EventMask {
        self.event.mask()
    }

    /// What happened, as one word.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.event.kind()
    }

    /// What happened to the name that the watch follows; `None` for other watches.
    #[must_use]
    pub const fn change(&self) -> Option<Change> {
        match self.extra {
            Some(Extra::Name(change)) => Some(*change),
            _ => None,
        }
    }

    /// How what happened in a tree ([`Watches::watch_tree`](super::Watches::watch_tree)) is known;
    /// `None` for other watches.
    #[must_use]
    pub fn tree(&self) -> Option<TreeChange<'a>> {
        if self.sub?.role != Role::Tree {
            return None;
        }
        Some(match self.extra {
            Some(Extra::Tree(kind, from)) => match kind {
                TreeKind::Found => TreeChange::Found,
                TreeKind::Renamed { .. } => TreeChange::Renamed { from },
                TreeKind::Exchanged { .. } => TreeChange::Exchanged { with: from },
                TreeKind::Unlisted(errno) => TreeChange::Unlisted(*errno),
                TreeKind::Watched => TreeChange::Watched,
                TreeKind::Established => TreeChange::Established,
                TreeKind::Unwatched(why) => TreeChange::Unwatched(*why),
                TreeKind::Resynced => TreeChange::Resynced,
                TreeKind::RootMoved => TreeChange::RootMoved,
                TreeKind::RootRemoved => TreeChange::RootRemoved,
                TreeKind::RootUnmounted => TreeChange::RootUnmounted,
                TreeKind::Told | TreeKind::Overflow => TreeChange::Told,
            },
            _ => TreeChange::Told,
        })
    }

    /// The number that joins the two halves of a rename, else 0.
    #[must_use]
    pub const fn cookie(&self) -> u32 {
        self.event.cookie()
    }

    /// The name in the watched directory; `None` where the event is about the watched thing itself.
    #[must_use]
    pub fn name(&self) -> Option<&'a OsStr> {
        self.event.name_os()
    }

    /// Whether the event says that its subject is a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.event.is_dir()
    }

    /// Whether events were lost.
    #[must_use]
    pub const fn is_overflow(&self) -> bool {
        self.event.is_overflow()
    }

    /// Whether this is the last event of its watch.
    #[must_use]
    pub const fn is_ignored(&self) -> bool {
        self.event.is_ignored()
    }

    /// The path of the subject: the path of the watch, and the name in it. Empty for an overflow.
    ///
    /// Allocates; [`path_into`](Self::path_into) does not.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let mut path = PathBuf::new();
        self.path_into(&mut path);
        path
    }

    /// Puts the path of the subject in place of what `path` holds. Allocates only where `path` has
    /// never been long enough.
    pub fn path_into(&self, path: &mut PathBuf) {
        let path = path.as_mut_os_string();
        path.clear();
        let Some(sub) = self.sub else { return };
        match self.name() {
            Some(name) => {
                path.push(&sub.prefix);
                path.push(name);
            }
            None => path.push(&sub.path),
        }
    }

    /// The event with a name and a path of its own, for queues and other threads. Allocates.
    #[must_use]
    pub fn to_buf(&self) -> WatchEventBuf {
        WatchEventBuf {
            sub: self.sub.cloned(),
            wd: self.event.wd(),
            mask: self.mask(),
            cookie: self.cookie(),
            name_and_nul: self.event.name_and_nul().into(),
            extra: self.extra.cloned().map(Box::new),
        }
    }
}

/// One line such as `CREATE,ISDIR "/tmp/new"`: safe to print on a terminal.
impl fmt::Display for WatchEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(change) = self.change() {
            write!(f, "{change:?}: ")?;
        }
        match self.tree() {
            None | Some(TreeChange::Told) => {}
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
        if self.sub.is_some() {
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

/// One event that owns its name, and shares its watch, as it was then.
#[derive(Clone)]
pub struct WatchEventBuf {
    sub: Option<Arc<Sub>>,
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    name_and_nul: Box<[u8]>,
    extra: Option<Box<Extra>>,
}

impl WatchEventBuf {
    /// The event, borrowed from here.
    #[must_use]
    pub fn as_event(&self) -> WatchEvent<'_> {
        WatchEvent {
            event: Event::from_parts(self.wd, self.mask, self.cookie, &self.name_and_nul),
            sub: self.sub.as_ref(),
            extra: self.extra.as_deref(),
        }
    }
}

macro_rules! as_borrowed {
    ($($name:ident: $gives:ty,)*) => {
        impl WatchEventBuf {
            $(
                #[doc = concat!("As [`WatchEvent::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(&self) -> $gives {
                    self.as_event().$name()
                }
            )*
        }
    };
}

as_borrowed! {
    watch: Option<Watch>,
    event: Event<'_>,
    alias: Option<&OsStr>,
    watched_path: Option<&Path>,
    mask: EventMask,
    kind: EventKind,
    change: Option<Change>,
    tree: Option<TreeChange<'_>>,
    cookie: u32,
    name: Option<&OsStr>,
    is_dir: bool,
    is_overflow: bool,
    is_ignored: bool,
    path: PathBuf,
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

impl From<WatchEvent<'_>> for WatchEventBuf {
    fn from(event: WatchEvent<'_>) -> Self {
        event.to_buf()
    }
}
