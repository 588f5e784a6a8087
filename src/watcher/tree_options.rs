//! Options of trees.

use std::fmt;
use std::path::Path;

#[cfg(feature = "glob")]
use super::error::WatchError;
use super::handle::WatchOptions;

/// What a tree can have beside its path and mask.
///
/// ```
/// use std::path::Path;
/// use tinotify::{AtLimit, TreeOptions, WatchOptions};
///
/// let options = TreeOptions::new()
///     .prune(|path: &Path| path.ends_with(".git") || path.ends_with("target"))
///     .depth(20)
///     .at_limit(AtLimit::Partial)
///     .watch(WatchOptions::new().alias("sources"));
/// # let _ = options;
/// ```
#[derive(Default)]
pub struct TreeOptions {
    pub(super) depth: Option<u32>,
    pub(super) prune: Option<Prune>,
    pub(super) same_file_system: bool,
    pub(super) follow_links: bool,
    pub(super) snapshot: bool,
    pub(super) existing: bool,
    pub(super) at_limit: AtLimit,
    pub(super) hold_root: bool,
    pub(super) watch: WatchOptions,
}

pub(super) type Prune = Box<dyn Fn(&Path) -> bool + Send + Sync>;

/// What is done where the limit of watches is reached while a tree is set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AtLimit {
    /// The tree can't be had: the error names the limit, and nothing stays watched.
    #[default]
    Fail,
    /// The tree is watched as far as it goes, and [`TreeChange::Unwatched`](super::TreeChange::Unwatched) tells where it ends.
    Partial,
}

impl TreeOptions {
    /// All beneath the root, and nothing special.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches directories only so many steps beneath the root; 0 is the root alone. What is deeper is
    /// told as far as it lies in a watched directory.
    #[must_use]
    pub fn depth(mut self, steps: u32) -> Self {
        self.depth = Some(steps);
        self
    }

    /// Leaves directories unwatched for which the condition holds, and all beneath them. It is given
    /// the path beneath the root, and must not call the watcher; of several, any will do. If it
    /// panics, so does the call that needed it: [`Watches::watch_tree`](super::Watches::watch_tree),
    /// which leaves nothing watched, or the one that reads, after which the tree goes on and the
    /// directory in question is watched.
    #[must_use]
    pub fn prune(mut self, prune: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.prune = Some(match self.prune.take() {
            Some(first) => Box::new(move |path: &Path| first(path) || prune(path)),
            None => Box::new(prune),
        });
        self
    }

    /// Leaves directories unwatched whose name, or path beneath the root, matches a pattern such as
    /// `.git` or `**/build-*`: that of the `globset` crate.
    ///
    /// # Errors
    ///
    /// [`WatchError::Glob`] where the pattern makes no sense.
    #[cfg(feature = "glob")]
    pub fn prune_glob(self, pattern: &str) -> Result<Self, WatchError> {
        let glob = globset::Glob::new(pattern);
        let matcher = glob.map_err(|error| WatchError::Glob(error.to_string()))?.compile_matcher();
        Ok(self.prune(move |path| {
            matcher.is_match(path) || path.file_name().is_some_and(|name| matcher.is_match(name))
        }))
    }

    /// Does not watch directories on another file system than the root's, nor anything beneath them.
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
    /// or removed, is noticed; a link that leads nowhere is a file. [`depth`](Self::depth) and
    /// [`prune`](Self::prune) apply to the path through the link, and
    /// [`same_file_system`](Self::same_file_system) to the target.
    ///
    /// A directory is watched once, whatever leads to it, so loops end. A real path within the tree wins
    /// over links, and of several links the first that is found. The others are reported as
    /// [`Unwatched`](super::TreeChange::Unwatched) with [`Barred::Twice`](crate::Barred::Twice), and take
    /// over when the first is gone.
    ///
    /// Not noticed until the next overflow, since inotify reports nothing of it:
    ///
    /// - a target that is made after the link to it;
    /// - what happens outside of the tree on the way to a target: a directory above the target that
    ///   is renamed, or another link there that is replaced.
    ///
    /// Each new file costs a look at what it is, and each rename of a directory or of a link costs a look
    /// at all links to directories, once the queue is empty.
    #[must_use]
    pub fn follow_links(mut self, follow: bool) -> Self {
        self.follow_links = follow;
        self
    }

    /// Keeps the names of files too. After lost events, the tree then reports which files were created,
    /// which were removed, and which may have changed: their inode, size or time differs, or an event
    /// named them since the last look. Costs memory for each name, and a look at each file.
    /// Default: `false`.
    #[must_use]
    pub fn snapshot(mut self, keep: bool) -> Self {
        self.snapshot = keep;
        self
    }

    /// Reports each entry that is there at the beginning as [`TreeChange::Found`](super::TreeChange::Found),
    /// parents first. Default: `false`.
    #[must_use]
    pub fn existing(mut self, tell: bool) -> Self {
        self.existing = tell;
        self
    }

    /// What is done where the limit of watches is reached; [`AtLimit::Fail`] if not set. Later, when
    /// there is nobody to fail, it is always told.
    #[must_use]
    pub fn at_limit(mut self, at_limit: AtLimit) -> Self {
        self.at_limit = at_limit;
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

    /// An alias or a filter, as for other watches. The filter sees what happened in the tree, but
    /// decides nothing of how it is kept track of.
    #[must_use]
    pub fn watch(mut self, options: WatchOptions) -> Self {
        self.watch = options;
        self
    }
}

impl fmt::Debug for TreeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeOptions")
            .field("depth", &self.depth)
            .field("prune", &self.prune.is_some())
            .field("same_file_system", &self.same_file_system)
            .field("follow_links", &self.follow_links)
            .field("snapshot", &self.snapshot)
            .field("existing", &self.existing)
            .field("at_limit", &self.at_limit)
            .field("hold_root", &self.hold_root)
            .field("watch", &self.watch)
            .finish()
    }
}
