//! Makes events by hand, for tests of programs that handle them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::event::{Detail, TreeChange, WatchEventBuf};
use super::id::WatchId;
use super::options::WatchOptions;
use super::path::{OwnedPath, SharedPath};
use super::subscription::{Subscription, WatchKind};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::follow::NameChange;
use crate::tree::TreeKind;

/// Builds a [`WatchEventBuf`] without a watcher.
///
/// ```
/// use tinotify::{EventMask, TreeChange, WatchEventBuf};
/// use std::path::Path;
///
/// let event = WatchEventBuf::builder(EventMask::MOVED_TO)
///     .directory("/srv/site")
///     .name("index.html")
///     .tree_change(TreeChange::Renamed { from: Path::new("/srv/site/index.tmp") })
///     .build();
/// assert_eq!(event.path(), Path::new("/srv/site/index.html"));
/// assert_eq!(event.renamed_from(), Some(Path::new("/srv/site/index.tmp")));
/// assert_eq!(event, event.clone());
/// ```
#[derive(Clone, Debug)]
pub struct WatchEventBuilder {
    mask: EventMask,
    watch: WatchId,
    kind: WatchKind,
    options: WatchOptions,
    watched_path: Option<PathBuf>,
    directory: PathBuf,
    name: OsString,
    cookie: u32,
    wd: Wd,
    detail: Option<Detail>,
}

impl WatchEventBuf {
    /// Returns a builder of an event with this mask, for tests of programs that handle events.
    #[must_use]
    pub fn builder(mask: EventMask) -> WatchEventBuilder {
        WatchEventBuilder {
            mask,
            watch: WatchId::NONE,
            kind: WatchKind::Inode,
            options: WatchOptions::new(),
            watched_path: None,
            directory: PathBuf::new(),
            name: OsString::new(),
            cookie: 0,
            wd: Wd::NONE,
            detail: None,
        }
    }

    /// Returns an event as it was recorded, with the path of its directory.
    pub(super) fn from_record(event: &Event<'_>, directory: PathBuf) -> Self {
        Self::builder(event.mask())
            .directory(directory)
            .name(OsStr::from_bytes(event.name().unwrap_or_default()))
            .cookie(event.cookie())
            .wd(event.wd())
            .build()
    }
}

impl WatchEventBuilder {
    /// Sets the watch. Default: `None`.
    #[must_use]
    pub fn watch(mut self, watch: WatchId) -> Self {
        self.watch = watch;
        self
    }

    /// Sets the alias of the watch. Default: `None`.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<OsString>) -> Self {
        self.options = self.options.alias(alias);
        self
    }

    /// Sets the token of the watch. Default: `None`.
    #[must_use]
    pub fn token(mut self, token: u64) -> Self {
        self.options = self.options.token(token);
        self
    }

    /// Sets the path of the watch. Default: that of the directory.
    #[must_use]
    pub fn watched_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.watched_path = Some(path.into());
        self
    }

    /// Sets the directory that the event happened in, or the watched file itself if there is no
    /// [`name`](Self::name). Default: an empty path.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = path.into();
        self
    }

    /// Sets the name in the directory. An empty name means no name. Default: no name.
    #[must_use]
    pub fn name(mut self, name: impl Into<OsString>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the number that joins the halves of a rename. Default: 0.
    #[must_use]
    pub fn cookie(mut self, cookie: u32) -> Self {
        self.cookie = cookie;
        self
    }

    /// Sets the kernel's descriptor. Default: [`Wd::NONE`].
    #[must_use]
    pub fn wd(mut self, wd: Wd) -> Self {
        self.wd = wd;
        self
    }

    /// Makes it an event of a followed name.
    #[must_use]
    pub fn name_change(mut self, change: NameChange) -> Self {
        self.kind = WatchKind::Name;
        self.detail = Some(Detail::Name(change));
        self
    }

    /// Makes it an event of a tree.
    #[must_use]
    pub fn tree_change(mut self, change: TreeChange<'_>) -> Self {
        self.kind = WatchKind::Tree;
        self.detail = detail(change);
        self
    }

    /// Returns the event. Allocates. An overflow (`Q_OVERFLOW`) is of no watch and has no path, whatever
    /// was set here.
    #[must_use]
    pub fn build(self) -> WatchEventBuf {
        if self.mask.contains(EventMask::Q_OVERFLOW) {
            return WatchEventBuf::overflow(self.mask);
        }
        let subscription = Subscription {
            id: self.watch,
            kind: self.kind,
            path: SharedPath::new(self.watched_path.as_deref().unwrap_or(&self.directory)),
            asked: WatchMask::empty(),
            options: self.options,
            wd: self.wd,
            since: 0,
        };
        let path = OwnedPath::new(&self.directory, self.name.as_bytes());
        let subscription = Arc::new(subscription);
        WatchEventBuf::made(&subscription, self.mask, self.cookie, path, self.detail)
    }
}

/// What an event says of a tree beyond its mask. An event of the kernel says nothing.
fn detail(change: TreeChange<'_>) -> Option<Detail> {
    let mut other = Path::new("");
    // The other path stands beside.
    let beneath = Vec::new();
    let kind = match change {
        TreeChange::Reported => return None,
        TreeChange::Discovered => TreeKind::Discovered,
        TreeChange::Renamed { from } => {
            other = from;
            TreeKind::Renamed { from: beneath }
        }
        TreeChange::Exchanged { with } => {
            other = with;
            TreeKind::Exchanged { with: beneath }
        }
        TreeChange::Unwatched(why) => TreeKind::Unwatched(why),
        TreeChange::Unlisted(errno) => TreeKind::Unlisted(errno),
        TreeChange::Watched => TreeKind::Watched,
        TreeChange::Established => TreeKind::Established,
        TreeChange::Resynced => TreeKind::Resynced,
        TreeChange::RootMoved => TreeKind::RootMoved,
        TreeChange::RootRemoved => TreeKind::RootRemoved,
        TreeChange::RootUnmounted => TreeKind::RootUnmounted,
    };
    Some(Detail::Tree(kind, other.to_owned()))
}
