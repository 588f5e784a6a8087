//! The handle that adds and removes watches, from any thread, while another one reads.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::error::{WatchError, errno_of};
use super::id::WatchId;
use super::options::{TreeOptions, WatchOptions};
use super::root_path::{c_path, path_beneath};
use super::shared::Shared;
use super::state::tree::{TreeChangeRequest, TreeDriver};
use super::subscription::{TreeDirectory, Wanted, WatchInfo, WatchKind};
use crate::flags::WatchMask;
use crate::inotify::Error;
use crate::sys::Errno;
use crate::tree::linux::Root;

/// Adds, changes, removes and lists the watches of a [`Watcher`](super::Watcher), from any thread, also while
/// another one waits for events. Clones are the same handle.
///
/// A handle does not keep its watcher alive: once that is dropped, calls return [`WatchError::Closed`].
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{WatchMask, Watcher};
///
/// # let dir = tempfile::tempdir()?;
/// let mut watcher = Watcher::new()?;
/// let watches = watcher.watches();
/// # let path = dir.path().to_owned();
/// let adder = std::thread::spawn(move || {
///     watches.watch(&path, WatchMask::CREATE)?;
///     std::fs::create_dir(path.join("new"))
/// });
/// assert_eq!(watcher.recv()?.name().unwrap(), "new");
/// adder.join().unwrap()?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Watches {
    shared: Weak<Shared>,
}

impl Watches {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared) }
    }

    fn shared(&self) -> Result<Arc<Shared>, WatchError> {
        self.shared.upgrade().ok_or(WatchError::Closed)
    }

    /// Watches the file or directory that `path` leads to. Events carry the path as given here; a
    /// relative path stays relative.
    ///
    /// Several watches of one inode, by whatever paths, each have their own mask, path and events. To
    /// make that an error, add [`WatchMask::MASK_CREATE`] to the mask.
    ///
    /// [`WatchMask::ONESHOT`] ends this watch after its first event, with
    /// [`EventKind::Ignored`](crate::EventKind::Ignored). [`WatchMask::EXCL_UNLINK`] holds for an inode once
    /// one of its watches has asked for it.
    ///
    /// # Errors
    ///
    /// - [`WatchError::Path`] with an error of [`Inotify::add_watch`](crate::Inotify::add_watch).
    /// - [`WatchError::Nul`] if the path contains a NUL byte.
    /// - [`WatchError::Closed`] if the watcher was dropped.
    pub fn watch(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<WatchId, WatchError> {
        self.watch_with(path, mask, WatchOptions::new())
    }

    /// Watches as [`watch`](Self::watch) does, with an alias, a token or a filter.
    ///
    /// # Errors
    ///
    /// Those of [`watch`](Self::watch), and [`WatchError::AliasTaken`].
    pub fn watch_with(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: WatchOptions,
    ) -> Result<WatchId, WatchError> {
        let shared = self.shared()?;
        let wanted = Wanted { path: path.as_ref(), mask, options: &options };
        let watch = shared.change(|state, inotify| state.add_inode(inotify, wanted))?;
        shared.wake_reader();
        Ok(watch)
    }

    /// Follows a *name*: whatever file `path` leads to, now and later.
    ///
    /// The file may be replaced by a rename, as editors save. It may be deleted and made again, or be reached
    /// through symbolic links that are retargeted, as Kubernetes does. It need not exist yet, nor need
    /// its parent directories: see [`name_exists`](Self::name_exists).
    ///
    /// [`WatchEvent::name_change`](super::WatchEvent::name_change) says what happened. Events of `mask` in the
    /// file are [`NameChange::Changed`](super::NameChange::Changed). Once no more events come, the last
    /// event is true: read the file after each event, and no change is missed. Changes that follow each
    /// other faster than they are read may be reported as one.
    ///
    /// Links are followed whatever the mask says, and `ONESHOT` has no effect. Each directory on the way is
    /// watched too, without events of its own. A directory that may not be read (`EACCES`) is passed
    /// unwatched, and a change of its entry is not noticed.
    ///
    /// # Errors
    ///
    /// Those of [`watch`](Self::watch). A path that does not exist is no error.
    pub fn watch_name(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
    ) -> Result<WatchId, WatchError> {
        self.watch_name_with(path, mask, WatchOptions::new())
    }

    /// Follows a name as [`watch_name`](Self::watch_name) does, with an alias, a token or a filter. The filter
    /// decides about events in the file, not about what happens to the name.
    ///
    /// # Errors
    ///
    /// Those of [`watch_name`](Self::watch_name), and [`WatchError::AliasTaken`].
    pub fn watch_name_with(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: WatchOptions,
    ) -> Result<WatchId, WatchError> {
        let shared = self.shared()?;
        let path = path.as_ref();
        c_path(path)?;
        let absolute = std::path::absolute(path)
            .map_err(|error| WatchError::at(path, Error::AddWatch(errno_of(&error))))?;
        let wanted = Wanted { path, mask, options: &options };
        shared.change(|state, inotify| state.add_name(inotify, wanted, &absolute))
    }

    /// Returns `true` if a followed name leads to a file. Changes since then come as events.
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use tinotify::{NameChange, WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("config");
    /// let mut watcher = Watcher::new()?;
    /// let config = watcher.watch_name(&path, WatchMask::CLOSE_WRITE)?;
    /// if !watcher.watches().name_exists(config)? {
    ///     println!("{} is not there yet", path.display());
    /// }
    /// # std::fs::write(&path, "")?;
    /// assert_eq!(watcher.recv()?.name_change(), Some(NameChange::Appeared));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`] if the watch has ended, or follows no name; [`WatchError::Closed`].
    pub fn name_exists(&self, watch: WatchId) -> Result<bool, WatchError> {
        let exists = self.shared()?.look(|state| state.name_exists(watch));
        exists.ok_or(WatchError::NoSuchWatch(watch))
    }

    /// Watches a directory and all directories beneath it, now and later.
    ///
    /// - The paths of events are true, also after a directory was renamed.
    ///   [`WatchEvent::tree_change`](super::WatchEvent::tree_change) says how each change is known.
    /// - A directory that appears is watched and listed. What is in it is reported, each entry once,
    ///   parents first.
    /// - After lost events the whole tree is compared with the disk. What has changed is reported, and then
    ///   [`TreeChange::Resynced`](super::TreeChange::Resynced).
    /// - A directory that can't be watched is reported, and does not stop the others.
    ///
    /// To get everything that is discovered, ask for [`CREATE`](WatchMask::CREATE) and
    /// [`DELETE`](WatchMask::DELETE). To get renames, ask for [`MOVE`](WatchMask::MOVE). The tree follows
    /// them in any case.
    ///
    /// What happens to a directory itself is reported once, by its parent. Links to directories are followed
    /// only with [`TreeOptions::follow_links`](super::TreeOptions::follow_links). A link may lead to the
    /// root, unless the mask has [`DONT_FOLLOW`](WatchMask::DONT_FOLLOW).
    ///
    /// Not noticed: what a mount covers or uncovers, which makes no event. A directory that a bind mount
    /// shows twice is watched at the first place where it was found.
    ///
    /// A relative path begins at the working directory of this call, also when that is moved or the
    /// program changes to another one: a descriptor of it stays open. When an absolute path no longer leads
    /// to the root, [`TreeChange::RootMoved`](super::TreeChange::RootMoved) is reported.
    ///
    /// Blocks until everything is watched, in a thread of its own where possible. A reader goes on
    /// meanwhile. Each directory takes about 54 bytes, and its name if that is longer than 15 bytes; the
    /// kernel takes about 1 KiB for each watch.
    ///
    /// # Errors
    ///
    /// - Those of [`watch_with`](Self::watch_with), for the root.
    /// - [`WatchError::Path`] with [`Errno::ENOSPC`](crate::Errno::ENOSPC) at the limit of watches, unless
    ///   [`on_watch_limit`](TreeOptions::on_watch_limit) says otherwise.
    /// - [`WatchError::NoSuchWatch`] if another thread ended the watch meanwhile.
    ///
    /// # Panics
    ///
    /// If the condition of [`TreeOptions::exclude`] panics. Nothing is watched then.
    pub fn watch_tree(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: TreeOptions,
    ) -> Result<WatchId, WatchError> {
        let shared = self.shared()?;
        let path = path.as_ref();
        let fail = |errno| WatchError::at(path, Error::AddWatch(errno));
        let mut root = Root::new(c_path(path)?).map_err(fail)?;
        if options.hold_root {
            root.follow().map_err(fail)?;
        }
        if mask.contains(WatchMask::DONT_FOLLOW) && path.is_symlink() {
            return Err(fail(Errno::ENOTDIR));
        }
        let wanted = Wanted { path, mask, options: &options.watch };
        let base = root.base();
        let watch = shared.change(|state, inotify| state.add_tree(inotify, wanted, base))?;
        let driver = TreeDriver::new(root, mask, &options);
        match shared.set_up_tree(watch, driver, options.on_watch_limit) {
            Ok(true) => Ok(watch),
            Ok(false) => Err(WatchError::NoSuchWatch(watch)),
            Err((errno, beneath)) if beneath.is_empty() => Err(fail(errno)),
            Err((errno, beneath)) => {
                let path = path.join(OsStr::from_bytes(&beneath));
                Err(WatchError::at(&path, Error::AddWatch(errno)))
            }
        }
    }

    /// Ends a watch. None of its events is delivered once this has returned, not even queued ones, nor
    /// `IGNORED`. Never waits for the reader.
    ///
    /// # Errors
    ///
    /// - [`WatchError::NoSuchWatch`] if the watch has ended, or is another watcher's.
    /// - [`WatchError::Inotify`] if inotify_rm_watch(2) fails. That the kernel has already ended the watch is
    ///   no error.
    /// - [`WatchError::Closed`] if the watcher was dropped.
    pub fn unwatch(&self, watch: WatchId) -> Result<(), WatchError> {
        let shared = self.shared()?;
        let stopped = shared.change(|state, inotify| state.remove(inotify, watch))?;
        if let Some(driver) = stopped {
            shared.stop_tree(watch, driver);
        }
        Ok(())
    }

    /// Changes the mask of a watch, also for events that are queued already. What a tree has found by then is still
    /// reported.
    ///
    /// The kernel goes on to report every event that was ever asked of the inode, as long as it is watched.
    /// The watcher discards the others.
    ///
    /// A tree asks new events of all its directories, which takes about as long as the set-up. This call
    /// blocks until that is done, unless another thread is working on the tree, which does it then. A
    /// directory that can't be opened at this time reports them once it can be opened again.
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use tinotify::{TreeOptions, WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let root = dir.path();
    /// let mut watcher = Watcher::new()?;
    /// let tree = watcher.watch_tree(root, WatchMask::CREATE, TreeOptions::new())?;
    /// watcher.watches().set_mask(tree, WatchMask::CREATE | WatchMask::CLOSE_WRITE)?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`WatchError::NoSuchWatch`] if the watch has ended, or is another watcher's.
    /// - [`WatchError::Path`] if the mask is invalid or the kernel refuses it, with the reasons of
    ///   [`Inotify::add_watch`](crate::Inotify::add_watch).
    /// - [`WatchError::Moved`] if the path now leads to another file. The watch stays as it was.
    pub fn set_mask(&self, watch: WatchId, mask: WatchMask) -> Result<(), WatchError> {
        let shared = self.shared()?;
        let kind = shared.change(|state, inotify| state.set_mask(inotify, watch, mask))?;
        if kind == WatchKind::Tree {
            shared.change_tree(watch, TreeChangeRequest::Mask(mask));
        } else {
            shared.wake_reader();
        }
        Ok(())
    }

    /// Changes the path that events of a watch carry, for example after the directory was renamed. The same file
    /// or directory stays watched.
    ///
    /// A tree whose root was moved continues at the new path. Changes that it could not see meanwhile are
    /// reported, and directories that were [`Unwatched`](super::TreeChange::Unwatched) for that reason are
    /// watched. A relative path begins at the current working directory.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`] and [`WatchError::Closed`]; for a tree [`WatchError::Nul`], and
    /// [`WatchError::Path`] if the working directory can't be opened.
    pub fn set_path(&self, watch: WatchId, path: impl AsRef<Path>) -> Result<(), WatchError> {
        let shared = self.shared()?;
        let path = path.as_ref();
        let info = shared.look(|state| Ok::<_, WatchError>(state.registry().get(watch)?.info()))?;
        if info.path == path {
            return Ok(());
        }
        if info.kind != WatchKind::Tree {
            return shared.change(|state, _| state.set_path(watch, path, None));
        }
        let fail = |errno| WatchError::at(path, Error::AddWatch(errno));
        let root = Root::new(c_path(path)?).map_err(fail)?;
        shared.change(|state, _| state.set_path(watch, path, root.base()))?;
        shared.change_tree(watch, TreeChangeRequest::Root(root));
        Ok(())
    }

    /// Stops watching a directory beneath the root of a tree, and everything beneath it.
    ///
    /// The directory itself is still reported by its parent: that it is renamed or removed, say. Its
    /// watches end when the reader next finds the queue empty. Events from beneath that are queued
    /// are discarded.
    ///
    /// The *path* is excluded. The directory need not exist: one that appears there later is not
    /// watched. A directory that is renamed to another path is watched there.
    ///
    /// A change of what is excluded also asks the condition of [`TreeOptions::exclude`] again, for each known
    /// directory.
    ///
    /// `path` is absolute, or as the events of the tree show it. For a tree with a relative root, an
    /// absolute path must be free of symbolic links and needs /proc.
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use tinotify::{TreeOptions, WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let root = dir.path();
    /// # std::fs::create_dir(root.join("target"))?;
    /// let mut watcher = Watcher::new()?;
    /// let tree = watcher.watch_tree(root, WatchMask::CREATE, TreeOptions::new())?;
    /// watcher.watches().exclude(tree, root.join("target"))?;
    /// # while watcher.try_recv()?.is_some() {}
    /// std::fs::write(root.join("target/object"), "")?;
    /// std::fs::write(root.join("source"), "")?;
    /// assert_eq!(watcher.recv()?.path(), root.join("source"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`WatchError::NoSuchWatch`] if the watch has ended, is another watcher's, or is no tree.
    /// - [`WatchError::NotBeneath`] if the path is not beneath the root, is the root, or has a `..`
    ///   beneath the root.
    ///
    /// # Panics
    ///
    /// If the condition of [`TreeOptions::exclude`] panics. The path is excluded all the same.
    pub fn exclude(&self, watch: WatchId, path: impl AsRef<Path>) -> Result<(), WatchError> {
        self.set_excluded(watch, path.as_ref(), true)
    }

    /// Watches a directory again that [`exclude`](Self::exclude) excluded, and everything beneath it.
    ///
    /// What is in it is reported as [`TreeChange::Discovered`](super::TreeChange::Discovered), parents first, as
    /// for a new directory. What [`TreeOptions::exclude`] excludes stays excluded, and so do other paths
    /// that were excluded. If the path is not excluded, nothing changes.
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use tinotify::{TreeChange, TreeOptions, WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let root = dir.path();
    /// # std::fs::create_dir(root.join("target"))?;
    /// let mut watcher = Watcher::new()?;
    /// let tree = watcher.watch_tree(root, WatchMask::CREATE, TreeOptions::new())?;
    /// watcher.watches().exclude(tree, root.join("target"))?;
    /// # while watcher.try_recv()?.is_some() {}
    /// std::fs::write(root.join("target/object"), "")?;
    /// watcher.watches().include(tree, root.join("target"))?;
    /// let event = watcher.recv()?;
    /// assert_eq!(event.tree_change(), Some(TreeChange::Discovered));
    /// assert_eq!(event.path(), root.join("target/object"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`exclude`](Self::exclude).
    ///
    /// # Panics
    ///
    /// If the condition of [`TreeOptions::exclude`] panics. The path is included all the same.
    pub fn include(&self, watch: WatchId, path: impl AsRef<Path>) -> Result<(), WatchError> {
        self.set_excluded(watch, path.as_ref(), false)
    }

    fn set_excluded(&self, watch: WatchId, path: &Path, exclude: bool) -> Result<(), WatchError> {
        let shared = self.shared()?;
        let (root, home) = shared.look(|state| {
            let tree = state.registry().get_tree(watch)?;
            Ok::<_, WatchError>((tree.path.as_path().to_owned(), state.trees().home(watch)))
        })?;
        let Some(beneath) = path_beneath(path, &root, home.as_deref()) else {
            return Err(WatchError::NotBeneath { path: path.to_owned(), root });
        };
        shared.change_tree(watch, TreeChangeRequest::Exclude(beneath, exclude));
        Ok(())
    }

    /// Returns the known directories of a tree, with the root, parents first. Allocates the list.
    ///
    /// Queued events may report changes that are not in it yet. If another thread is working on the
    /// tree, this waits until it is done.
    ///
    /// # Errors
    ///
    /// - [`WatchError::NoSuchWatch`] if the watch has ended, is another watcher's, or is no tree.
    /// - [`WatchError::InExclude`] if the tree's own [`exclude`](TreeOptions::exclude) condition asks.
    /// - [`WatchError::Closed`] if the watcher was dropped.
    pub fn tree_directories(&self, watch: WatchId) -> Result<Vec<TreeDirectory>, WatchError> {
        self.shared()?.look_at_tree(watch, |state, driver| {
            let root = state.registry().get(watch)?.path.as_path();
            let directories = driver.directories().map(|(beneath, wd)| {
                let beneath = PathBuf::from(std::ffi::OsString::from_vec(beneath));
                let is_root = beneath.as_os_str().is_empty();
                TreeDirectory {
                    path: if is_root { root.to_owned() } else { root.join(beneath) },
                    wd,
                }
            });
            Ok(directories.collect())
        })?
    }

    /// Returns the watch that has this alias.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchAlias`] and [`WatchError::Closed`].
    pub fn with_alias(&self, alias: impl AsRef<OsStr>) -> Result<WatchId, WatchError> {
        let alias = alias.as_ref();
        self.shared()?.look(|state| state.registry().with_alias(alias))
    }

    /// Returns the watches that have this path, as it was given. Allocates the list.
    #[must_use]
    pub fn with_path(&self, path: impl AsRef<Path>) -> Vec<WatchId> {
        let path = path.as_ref();
        let has_path = |info: &WatchInfo| info.path == path;
        self.list().into_iter().filter(has_path).map(|info| info.watch).collect()
    }

    /// Returns all active watches. Allocates the list.
    #[must_use]
    pub fn list(&self) -> Vec<WatchInfo> {
        let Ok(shared) = self.shared() else { return Vec::new() };
        shared.look(|state| state.registry().iter().map(|watch| watch.info()).collect())
    }

    /// Returns the path, the mask and the options of a watch.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`] and [`WatchError::Closed`].
    pub fn info(&self, watch: WatchId) -> Result<WatchInfo, WatchError> {
        self.shared()?.look(|state| Ok(state.registry().get(watch)?.info()))
    }

    /// Returns `true` if no watch is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_empty =
            |shared: Arc<Shared>| shared.look(|state| state.registry().iter().next().is_none());
        self.shared().map_or(true, is_empty)
    }
}
