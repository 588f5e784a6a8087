//! Options of watches and of trees.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "glob")]
use super::error::WatchError;
use crate::event::Event;

/// A condition on events.
type Filter = Arc<dyn Fn(&Event<'_>) -> bool + Send + Sync>;

/// Options of one watch: an alias, a token, a filter.
///
/// ```
/// use tinotify::{Event, WatchOptions};
///
/// let options = WatchOptions::new().alias("logs").filter(|event: &Event| !event.is_dir());
/// # let _ = options;
/// ```
#[derive(Clone, Default)]
pub struct WatchOptions {
    alias: Option<OsString>,
    token: Option<u64>,
    filter: Option<Filter>,
}

impl WatchOptions {
    /// Returns options without an alias, a token or a filter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a name by which the watch can be found, and which its events carry. Two active watches of a
    /// watcher can't have the same alias.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<OsString>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets a number of the caller's own, which the events of the watch carry. Several watches may have
    /// the same. Default: `None`.
    #[must_use]
    pub fn token(mut self, token: u64) -> Self {
        self.token = Some(token);
        self
    }

    /// Delivers only events that meet a condition. With several filters, an event must meet all of them.
    /// The end of the watch, an unmount and an overflow are always delivered.
    ///
    /// The reader calls it for each event, without a lock: it may use the handles of its watcher.
    /// If it panics, so does the call that reads, and this event is not delivered to this watch.
    #[must_use]
    pub fn filter(mut self, filter: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> Self {
        let filter: Filter = match self.filter.take() {
            Some(first) => Arc::new(move |event: &Event<'_>| first(event) && filter(event)),
            None => Arc::new(filter),
        };
        self.filter = Some(filter);
        self
    }

    /// Delivers only events whose name matches a pattern, such as `*.conf` or `{a,b}?`, in the syntax of
    /// the `globset` crate. Events without a name, which are about the watched file itself, do not match.
    ///
    /// # Errors
    ///
    /// [`WatchError::Glob`] if the pattern is invalid.
    #[cfg(feature = "glob")]
    pub fn glob(self, pattern: &str) -> Result<Self, WatchError> {
        let glob = globset::Glob::new(pattern);
        let matcher = glob.map_err(|error| WatchError::Glob(error.to_string()))?.compile_matcher();
        Ok(self.filter(move |event| event.name_os().is_some_and(|name| matcher.is_match(name))))
    }

    pub(super) fn get_alias(&self) -> Option<&OsStr> {
        self.alias.as_deref()
    }

    pub(super) const fn get_token(&self) -> Option<u64> {
        self.token
    }

    pub(super) const fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Runs the filter, which is the user's code.
    pub(super) fn accepts(&self, event: &Event<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(event))
    }
}

impl fmt::Debug for WatchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchOptions")
            .field("alias", &self.alias)
            .field("token", &self.token)
            .field("filter", &self.filter.is_some())
            .finish()
    }
}

/// Options of one tree.
///
/// ```
/// use std::path::Path;
/// use tinotify::{OnWatchLimit, TreeOptions, WatchOptions};
///
/// let options = TreeOptions::new()
///     .exclude(|path: &Path| path.ends_with(".git") || path.ends_with("target"))
///     .max_depth(20)
///     .on_watch_limit(OnWatchLimit::Partial)
///     .watch(WatchOptions::new().alias("sources"));
/// # let _ = options;
/// ```
#[derive(Clone, Default)]
pub struct TreeOptions {
    pub(super) max_depth: Option<u32>,
    pub(super) exclude: Option<Exclude>,
    pub(super) same_file_system: bool,
    pub(super) follow_links: bool,
    pub(super) track_files: bool,
    pub(super) report_existing: bool,
    pub(super) on_watch_limit: OnWatchLimit,
    pub(super) hold_root: bool,
    pub(super) watch: WatchOptions,
}

/// A condition on the path of a directory beneath the root.
pub(super) type Exclude = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// What [`Watches::watch_tree`](super::Watches::watch_tree) does at the limit of watches
/// (`fs.inotify.max_user_watches`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnWatchLimit {
    /// Returns an error that names the limit, and watches nothing.
    #[default]
    Fail,
    /// Watches what it can. [`TreeChange::Unwatched`](super::TreeChange::Unwatched) reports each
    /// directory that is not watched.
    Partial,
}

impl TreeOptions {
    /// Returns the defaults: everything beneath the root is watched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches directories at most this many levels beneath the root; 0 is the root alone. Entries of
    /// the deepest watched directories are reported. Default: no limit.
    #[must_use]
    pub fn max_depth(mut self, levels: u32) -> Self {
        self.max_depth = Some(levels);
        self
    }

    /// Excludes directories for which the condition returns `true`, and everything beneath them. Its
    /// argument is the path beneath the root. With several conditions, one is enough. Default: none.
    ///
    /// It runs without a lock, in the thread that needs the answer or in one of the watcher's own, and
    /// may use the handles of its watcher; [`Watches::tree_directories`](super::Watches::tree_directories)
    /// fails there with [`InExclude`](super::WatchError::InExclude). Calls that change this tree
    /// take effect when the work that it is a part of is done.
    ///
    /// If it panics, so does the call that needed the answer.
    /// [`Watches::watch_tree`](super::Watches::watch_tree) then leaves nothing watched. After any other
    /// call the tree goes on, and the directory in question is watched.
    #[must_use]
    pub fn exclude(mut self, exclude: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.exclude = Some(match self.exclude.take() {
            Some(first) => Arc::new(move |path: &Path| first(path) || exclude(path)),
            None => Arc::new(exclude),
        });
        self
    }

    /// Excludes directories whose name, or path beneath the root, matches a pattern such as `.git` or
    /// `**/build-*`, in the syntax of the `globset` crate.
    ///
    /// # Errors
    ///
    /// [`WatchError::Glob`] if the pattern is invalid.
    #[cfg(feature = "glob")]
    pub fn exclude_glob(self, pattern: &str) -> Result<Self, WatchError> {
        let glob = globset::Glob::new(pattern);
        let matcher = glob.map_err(|error| WatchError::Glob(error.to_string()))?.compile_matcher();
        Ok(self.exclude(move |path| {
            matcher.is_match(path) || path.file_name().is_some_and(|name| matcher.is_match(name))
        }))
    }

    /// Does not watch directories on other file systems than the root's, nor anything beneath them.
    /// Default: `false`.
    #[must_use]
    pub fn same_file_system(mut self, same: bool) -> Self {
        self.same_file_system = same;
        self
    }

    /// Watches the directories that symbolic links in the tree lead to, and all beneath them, also outside
    /// of the root. Default: `false`.
    ///
    /// A link to a directory is reported as a directory is, with `ISDIR`, and events beneath it carry the
    /// path through the link. A link that is replaced, renamed or removed, and a target that is moved
    /// or removed, is noticed; a link that leads nowhere is a file. [`max_depth`](Self::max_depth) and
    /// [`exclude`](Self::exclude) apply to the path through the link, and
    /// [`same_file_system`](Self::same_file_system) to the target.
    ///
    /// A directory is watched once, whatever leads to it, so loops end. A real path within the tree wins
    /// over links, and of several links the first that is found. The others are reported as
    /// [`Unwatched`](super::TreeChange::Unwatched) with [`UnwatchedReason::WatchedElsewhere`](crate::UnwatchedReason::WatchedElsewhere), and take
    /// over when the first is gone.
    ///
    /// inotify(7) makes no event for two changes, which are not noticed before the next overflow:
    ///
    /// - The target of a link is created after the link.
    /// - The way to a target changes outside of the tree: a directory above the target is renamed, or another
    ///   link on the way is replaced.
    ///
    /// Each new file costs one statx(2), and each rename of a directory or of a link costs a check
    /// of all links to directories, once the queue is empty.
    #[must_use]
    pub fn follow_links(mut self, follow: bool) -> Self {
        self.follow_links = follow;
        self
    }

    /// Tracks files as well as directories, so that changes lost in an overflow are reported for files
    /// too: created, removed, or possibly changed (inode, size or modification time differs, or an event
    /// named the file since it was last compared). Costs memory per file name, and one `statx` per file
    /// at set-up and after an overflow. Default: `false`.
    #[must_use]
    pub fn track_files(mut self, track: bool) -> Self {
        self.track_files = track;
        self
    }

    /// Reports each entry that exists at set-up as [`TreeChange::Discovered`](super::TreeChange::Discovered),
    /// parents first. Default: `false`.
    #[must_use]
    pub fn report_existing(mut self, report: bool) -> Self {
        self.report_existing = report;
        self
    }

    /// Sets what [`Watches::watch_tree`](super::Watches::watch_tree) does at the limit of watches. Later,
    /// a directory that can't be watched is always reported. Default: [`OnWatchLimit::Fail`].
    #[must_use]
    pub fn on_watch_limit(mut self, on_watch_limit: OnWatchLimit) -> Self {
        self.on_watch_limit = on_watch_limit;
        self
    }

    /// Follows the root wherever it is moved, by a descriptor that is kept open. Default: `false`.
    ///
    /// The root's new directories are then watched as before, and
    /// [`TreeChange::RootMoved`](super::TreeChange::RootMoved) only says that the reported paths are
    /// still the old ones. Correct them with [`Watches::set_path`](super::Watches::set_path).
    ///
    /// The file system of the root can't be unmounted while the tree is watched: umount(2) fails with
    /// `EBUSY`. A watch alone does not prevent that.
    #[must_use]
    pub fn hold_root(mut self, hold: bool) -> Self {
        self.hold_root = hold;
        self
    }

    /// Sets the options that every watch has. The filter decides what is delivered. It does not change how
    /// the tree is tracked.
    #[must_use]
    pub fn watch(mut self, options: WatchOptions) -> Self {
        self.watch = options;
        self
    }
}

impl fmt::Debug for TreeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeOptions")
            .field("max_depth", &self.max_depth)
            .field("exclude", &self.exclude.is_some())
            .field("same_file_system", &self.same_file_system)
            .field("follow_links", &self.follow_links)
            .field("track_files", &self.track_files)
            .field("report_existing", &self.report_existing)
            .field("on_watch_limit", &self.on_watch_limit)
            .field("hold_root", &self.hold_root)
            .field("watch", &self.watch)
            .finish()
    }
}
