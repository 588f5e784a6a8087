//! The handle that adds and removes watches, from any thread, while another one reads.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Weak};

use super::error::WatchError;
use super::id::WatchId;
use super::options::{TreeOptions, WatchOptions};
use super::shared::Shared;
use super::state::tree::{TreeChangeRequest, TreeDriver};
use super::subscription::{Wanted, WatchInfo, WatchKind};
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::inotify::Error;
use crate::sys::Errno;
use crate::tree::linux::Root;

/// One directory of a tree, from [`Watches::tree_directories`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeDirectory {
    /// The path of the tree, and the path beneath it.
    pub path: PathBuf,
    /// The kernel's descriptor. `None` if the directory is known and not watched: it is excluded,
    /// or was reported as [`Unwatched`](super::TreeChange::Unwatched).
    pub wd: Option<Wd>,
}

/// A handle on the watches of a [`Watcher`](super::Watcher): adds, changes, removes and lists them,
/// from any thread, also while another one waits for events. Clones are the same handle.
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
/// assert_eq!(watcher.next()?.name().unwrap(), "new");
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

    /// Watches what `path` leads to. The path is kept, to compose the paths of events.
    ///
    /// Watching an inode again, by whatever path, gives a watch of its own with a mask, a path and
    /// events of its own. Should that be an error: [`WatchMask::MASK_CREATE`]. A relative path
    /// stays relative.
    ///
    /// [`WatchMask::ONESHOT`] ends this watch after its first event, with
    /// [`EventKind::Ignored`](crate::EventKind::Ignored).
    /// [`WatchMask::EXCL_UNLINK`] holds for an inode once one of its watches has asked for it.
    ///
    /// # Errors
    ///
    /// [`WatchError::Path`] with the reasons of [`Inotify::add_watch`](crate::Inotify::add_watch), and [`WatchError::Nul`].
    pub fn watch(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<WatchId, WatchError> {
        self.watch_with(path, mask, WatchOptions::new())
    }

    /// As [`watch`](Self::watch), with an alias or a filter.
    ///
    /// # Errors
    ///
    /// As for [`watch`](Self::watch), and [`WatchError::AliasTaken`].
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
    /// The file may be replaced by a rename, as editors save, be deleted and made again, be reached
    /// through symbolic links that are swapped, as Kubernetes does, or not exist yet, its parent
    /// directories neither. Events tell by [`WatchEvent::change`](super::WatchEvent::change) what
    /// happened; those of `mask` are [`Change::Changed`](super::Change::Changed). When all is quiet,
    /// what the last event told is what is there: read the file then, and nothing is missed. Changes
    /// that follow each other faster than they are read may be told as one.
    ///
    /// Links are followed whatever the mask says of them, and `ONESHOT` changes nothing here.
    ///
    /// Each directory on the way is watched too, out of sight. A directory that may not be read
    /// (`EACCES`) is passed unwatched, and a change of its entry is not seen.
    ///
    /// # Errors
    ///
    /// As for [`watch`](Self::watch), but a path that does not exist is none.
    pub fn watch_name(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
    ) -> Result<WatchId, WatchError> {
        self.watch_name_with(path, mask, WatchOptions::new())
    }

    /// As [`watch_name`](Self::watch_name), with an alias or a filter (which sees what happens in
    /// the file, not what happens to the name).
    ///
    /// # Errors
    ///
    /// As for [`watch_name`](Self::watch_name), and [`WatchError::AliasTaken`].
    pub fn watch_name_with(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: WatchOptions,
    ) -> Result<WatchId, WatchError> {
        let shared = self.shared()?;
        let path = path.as_ref();
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(WatchError::Nul(path.to_owned()));
        }
        let absolute = std::path::absolute(path).map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::ENOENT, Errno::from_raw);
            WatchError::at(path, Error::AddWatch(errno))
        })?;
        let wanted = Wanted { path, mask, options: &options };
        shared.change(|state, inotify| state.add_name(inotify, wanted, &absolute))
    }

    /// Watches a directory and all directories beneath it, now and later.
    ///
    /// Events tell paths that are true when they are told, also after a directory was renamed;
    /// [`WatchEvent::tree`](super::WatchEvent::tree) says how each is known. Directories that appear
    /// are watched and listed, and what is in them is told, each once, parents first. Where events
    /// were lost, all is looked at again, and what changed is told, and then
    /// [`TreeChange::Resynced`](super::TreeChange::Resynced). Links to directories are followed
    /// only with [`TreeOptions::follow_links`](super::TreeOptions::follow_links); a link may lead to the
    /// root, unless the mask says [`DONT_FOLLOW`](WatchMask::DONT_FOLLOW). Ask for [`CREATE`](WatchMask::CREATE) and
    /// [`DELETE`](WatchMask::DELETE) to be told all that is found by looking, and for
    /// [`MOVE`](WatchMask::MOVE) for renames; they are followed in any case.
    ///
    /// What happens to a directory itself is told once, as its parent tells it. What a mount covers
    /// or uncovers makes no event, and is not seen. A directory that a bind mount shows twice is
    /// watched where it was found first.
    ///
    /// A relative path begins at the working directory of this call, also when that is moved or the
    /// program changes to another one: a descriptor of it stays open. Where an absolute path no longer leads to the root,
    /// [`TreeChange::RootMoved`](super::TreeChange::RootMoved) says so.
    ///
    /// Set-up takes a thread of its own, if one is to be had, and blocks until all is watched. Each
    /// directory takes about 54 bytes, and its name if that has more than 15; the kernel takes about 1 KiB for each watch. What
    /// is told of the set-up wakes a thread that waits, but not poll(2) on the descriptor: see
    /// [`Watcher::has_buffered`](super::Watcher::has_buffered).
    ///
    /// # Errors
    ///
    /// As for [`watch_with`](Self::watch_with), for the root; and for others
    /// [`Errno::ENOSPC`](crate::Errno::ENOSPC), as [`TreeOptions`] say. That a directory beneath can't
    /// be watched for another reason is told as an event.
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
            root.hold().map_err(fail)?;
        }
        if mask.contains(WatchMask::DONT_FOLLOW) && path.is_symlink() {
            return Err(fail(Errno::ENOTDIR));
        }
        let wanted = Wanted { path, mask, options: &options.watch };
        let home = root.home();
        let watch = shared.change(|state, inotify| state.add_tree(inotify, wanted, home))?;
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

    /// Ends a watch. Never waits; no event of it is given once this has returned, not even one that
    /// was queued, nor `IGNORED`.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`] if it has ended before, or is another watcher's. That the kernel
    /// was faster is none.
    pub fn unwatch(&self, watch: WatchId) -> Result<(), WatchError> {
        let shared = self.shared()?;
        let stopped = shared.change(|state, inotify| state.remove(inotify, watch))?;
        if let Some(driver) = stopped {
            shared.stop_tree(watch, driver);
        }
        Ok(())
    }

    /// Changes the mask of a watch, also for events that are queued already.
    ///
    /// The kernel goes on to report what was ever asked of the inode, as long as it is watched. The
    /// watcher discards what is no longer asked for.
    ///
    /// For a tree, events that it did not report before are asked of all its directories. This call
    /// blocks until that is done, which takes about as long as the set-up did. A directory that can't be
    /// opened at this time reports them once it can be opened again.
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
            let worked = shared.change_tree(watch, TreeChangeRequest::Mask(mask));
            worked.resume_panic();
        } else {
            shared.wake_reader();
        }
        Ok(())
    }

    /// Changes the path that events of a watch are given, for those who know better: after the
    /// directory was renamed, say. What is watched stays the same.
    ///
    /// A tree whose root had moved goes on at the new path: what changed meanwhile where it could not
    /// look is reported, and directories that were
    /// [`Unwatched`](super::TreeChange::Unwatched) for that reason are watched. A relative path
    /// begins at the working directory of now.
    ///
    /// # Errors
    ///
    /// As for [`unwatch`](Self::unwatch), and for a tree [`WatchError::Nul`].
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
        shared.change(|state, _| state.set_path(watch, path, root.home()))?;
        shared.change_tree(watch, TreeChangeRequest::Root(root)).resume_panic();
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
    /// # while watcher.try_next()?.is_some() {}
    /// std::fs::write(root.join("target/object"), "")?;
    /// std::fs::write(root.join("source"), "")?;
    /// assert_eq!(watcher.next()?.path(), root.join("source"));
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
    /// If the condition of [`TreeOptions::prune`] panics. The path is excluded all the same.
    pub fn exclude(&self, watch: WatchId, path: impl AsRef<Path>) -> Result<(), WatchError> {
        self.set_excluded(watch, path.as_ref(), true)
    }

    /// Watches a directory again that [`exclude`](Self::exclude) excluded, and everything beneath it.
    ///
    /// What is in it is reported as [`TreeChange::Found`](super::TreeChange::Found), parents first, as
    /// for a new directory. What [`TreeOptions::prune`] excludes stays excluded, and so do other paths
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
    /// # while watcher.try_next()?.is_some() {}
    /// std::fs::write(root.join("target/object"), "")?;
    /// watcher.watches().include(tree, root.join("target"))?;
    /// let event = watcher.next()?;
    /// assert_eq!(event.tree(), Some(TreeChange::Found));
    /// assert_eq!(event.path(), root.join("target/object"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`exclude`](Self::exclude): [`WatchError::NoSuchWatch`] and [`WatchError::NotBeneath`].
    ///
    /// # Panics
    ///
    /// If the condition of [`TreeOptions::prune`] panics. The path is included all the same.
    pub fn include(&self, watch: WatchId, path: impl AsRef<Path>) -> Result<(), WatchError> {
        self.set_excluded(watch, path.as_ref(), false)
    }

    fn set_excluded(&self, watch: WatchId, path: &Path, exclude: bool) -> Result<(), WatchError> {
        let shared = self.shared()?;
        let root = shared.look(|state| {
            let root = state.registry().get(watch)?.path.as_path().to_owned();
            let is_tree = state.trees().ids().any(|tree| tree == watch);
            if is_tree {
                Ok((root, state.trees().home(watch)))
            } else {
                Err(WatchError::NoSuchWatch(watch))
            }
        })?;
        let (root, home) = root;
        let shown = path.strip_prefix(&root).ok().map(Path::to_owned);
        let beneath = shown.or_else(|| {
            // A relative root begins at a directory that may have been moved.
            let home = home.filter(|_| path.is_absolute())?;
            let home = std::fs::read_link(format!("/proc/self/fd/{}", home.as_raw())).ok()?;
            path.strip_prefix(home.join(&root).canonicalize().ok()?).ok().map(Path::to_owned)
        });
        let Some(beneath) = beneath.and_then(|beneath| names_only(&beneath)) else {
            return Err(WatchError::NotBeneath { path: path.to_owned(), root });
        };
        let worked = shared.change_tree(watch, TreeChangeRequest::Exclude(beneath, exclude));
        worked.resume_panic();
        Ok(())
    }

    /// The directories of a tree that are known now, parents first, with the root. Allocates the list.
    ///
    /// Events that are queued may be of changes that are not in it yet.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`], also for a watch that is no tree.
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

    /// The watch that has this alias.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchAlias`].
    pub fn with_alias(&self, alias: impl AsRef<OsStr>) -> Result<WatchId, WatchError> {
        let alias = alias.as_ref();
        self.shared()?.look(|state| state.registry().with_alias(alias))
    }

    /// The watches that have this path, as it was given. Allocates the list.
    #[must_use]
    pub fn with_path(&self, path: impl AsRef<Path>) -> Vec<WatchId> {
        let path = path.as_ref();
        let has_path = |info: &WatchInfo| info.path == path;
        self.list().into_iter().filter(has_path).map(|info| info.watch).collect()
    }

    /// All active watches. Allocates the list.
    #[must_use]
    pub fn list(&self) -> Vec<WatchInfo> {
        let Ok(shared) = self.shared() else { return Vec::new() };
        shared.look(|state| state.registry().iter().map(|watch| watch.info()).collect())
    }

    /// What there is to know of one watch.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`].
    pub fn info(&self, watch: WatchId) -> Result<WatchInfo, WatchError> {
        self.shared()?.look(|state| Ok(state.registry().get(watch)?.info()))
    }

    /// Whether no watch is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_empty =
            |shared: Arc<Shared>| shared.look(|state| state.registry().iter().next().is_none());
        self.shared().map_or(true, is_empty)
    }
}

/// Returns a path as the kernel takes it.
fn c_path(path: &Path) -> Result<CString, WatchError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| WatchError::Nul(path.to_owned()))
}

/// Returns a path beneath a root. `None` if it is the root, or leads out of it.
fn names_only(beneath: &Path) -> Option<PathBuf> {
    let names = beneath.components().map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let beneath: PathBuf = names.collect::<Option<_>>()?;
    (!beneath.as_os_str().is_empty()).then_some(beneath)
}
