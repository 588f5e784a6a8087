//! The handle that adds and removes watches, from any thread, while another one reads.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::WatchError;
use super::table::{self, Draft, Filter, Role, Sub, Table, Watch, WatchInfo};
use super::tree::TreeDirectory;
use super::tree_options::TreeOptions;
use crate::event::Event;
use crate::flags::WatchMask;
use crate::inotify::{Error, Inotify};
use crate::sys::Fd;

/// What a watcher and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub inotify: Inotify,
    pub stop: Fd,
    pub stopped: AtomicBool,
    /// Counts the changes of the table, so that a reader knows when to look again.
    pub version: AtomicU64,
    table: Mutex<Table>,
}

impl Shared {
    pub fn new(inotify: Inotify, stop: Fd, table: Table) -> Self {
        Self {
            inotify,
            stop,
            stopped: AtomicBool::new(false),
            version: AtomicU64::new(0),
            table: Mutex::new(table),
        }
    }

    /// The table, to look at.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        // Whoever panicked did so in a user's code, which the table does not run.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the table. Readers know by the time this returns.
    pub fn change<R>(&self, change: impl FnOnce(&mut Table, &Inotify) -> R) -> R {
        let mut table = self.table();
        let result = change(&mut table, &self.inotify);
        self.version.fetch_add(1, Ordering::Release);
        result
    }

    /// Wakes the reader if there is something to tell that no event of the kernel tells of.
    fn wake(&self) {
        // Under the lock, so that the reader takes back as many signals as there are.
        let mut table = self.table();
        if !table.woken && (table.has_news() || !table.trees_rest()) {
            table.woken = self.stop.signal().is_ok();
        }
    }

    /// Takes back the signal that woke the reader, but not one that stops it.
    pub fn awake(&self, table: &mut Table) {
        if std::mem::take(&mut table.woken) {
            // Nothing to read is what this is for.
            let _ = self.stop.read(&mut [0; 8]);
            if self.stopped.load(Ordering::Acquire) {
                let _ = self.stop.signal();
            }
        }
    }
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
    pub(super) shared: Arc<Shared>,
}

impl Watches {
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
    pub fn watch(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<Watch, WatchError> {
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
    ) -> Result<Watch, WatchError> {
        let draft = options.draft(path.as_ref(), mask, Role::File);
        self.shared.change(|table, inotify| Ok(table.add(inotify, draft)?.watch))
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
    pub fn watch_name(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<Watch, WatchError> {
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
    ) -> Result<Watch, WatchError> {
        let draft = options.draft(path.as_ref(), mask, Role::Name);
        self.shared.change(|table, inotify| {
            let watch = table.add(inotify, draft)?.watch;
            if let Err(error) = table.follow(inotify, watch) {
                table.remove(inotify, watch)?;
                return Err(error);
            }
            Ok(watch)
        })
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
    ) -> Result<Watch, WatchError> {
        let add = |table: &mut Table, inotify: &_| {
            table.watch_tree(inotify, path.as_ref(), mask, options)
        };
        let watch = self.shared.change(add)?;
        self.shared.wake();
        Ok(watch)
    }

    /// Ends a watch. Never waits; no event of it is given once this has returned, not even one that
    /// was queued, nor `IGNORED`.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`] if it has ended before, or is another watcher's. That the kernel
    /// was faster is none.
    pub fn unwatch(&self, watch: Watch) -> Result<(), WatchError> {
        self.shared.change(|table, inotify| table.remove(inotify, watch))
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
    pub fn set_mask(&self, watch: Watch, mask: WatchMask) -> Result<(), WatchError> {
        self.shared.change(|table, inotify| {
            let mut sub = Sub::clone(table.get(watch)?);
            mask.check().map_err(|error| table::at(&sub.path, Error::Mask(error)))?;
            if sub.role == Role::File {
                // The others of this inode, this one too, keep what they have.
                let asked = mask.difference(WatchMask::MASK_CREATE);
                let wd = table::kernel_watch(inotify, &sub.path, asked)?;
                if wd != sub.wd {
                    table.release(inotify, wd);
                    return Err(WatchError::Moved(sub.path));
                }
            }
            sub.asked = mask;
            table.replace(sub)?;
            table.widen(inotify, watch, mask);
            table.ask_of_target(inotify, watch, mask)
        })?;
        self.shared.wake();
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
    pub fn set_path(&self, watch: Watch, path: impl AsRef<Path>) -> Result<(), WatchError> {
        self.shared.change(|table, _| {
            let sub = Sub::clone(table.get(watch)?);
            table.replace(Sub { path: path.as_ref().to_owned(), ..sub })
        })?;
        self.shared.wake();
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
    pub fn exclude(&self, watch: Watch, path: impl AsRef<Path>) -> Result<(), WatchError> {
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
    pub fn include(&self, watch: Watch, path: impl AsRef<Path>) -> Result<(), WatchError> {
        self.set_excluded(watch, path.as_ref(), false)
    }

    fn set_excluded(&self, watch: Watch, path: &Path, exclude: bool) -> Result<(), WatchError> {
        self.shared.change(|table, _| table.set_excluded(watch, path, exclude))?;
        self.shared.wake();
        self.shared.table().resume_panic(watch);
        Ok(())
    }

    /// The directories of a tree that are known now, parents first, with the root. Allocates the list.
    ///
    /// Events that are queued may be of changes that are not in it yet.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`], also for a watch that is no tree.
    pub fn tree_directories(&self, watch: Watch) -> Result<Vec<TreeDirectory>, WatchError> {
        self.shared.table().tree_directories(watch).ok_or(WatchError::NoSuchWatch(watch))
    }

    /// The watch that has this alias.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchAlias`].
    pub fn with_alias(&self, alias: impl AsRef<OsStr>) -> Result<Watch, WatchError> {
        self.shared.table().with_alias(alias.as_ref())
    }

    /// The watches that have this path, as it was given. Allocates the list.
    #[must_use]
    pub fn with_path(&self, path: impl AsRef<Path>) -> Vec<Watch> {
        let table = self.shared.table();
        table.users().filter(|sub| sub.path == path.as_ref()).map(|sub| sub.watch).collect()
    }

    /// All active watches. Allocates the list.
    #[must_use]
    pub fn list(&self) -> Vec<WatchInfo> {
        self.shared.table().users().map(|sub| sub.info()).collect()
    }

    /// What there is to know of one watch.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`].
    pub fn info(&self, watch: Watch) -> Result<WatchInfo, WatchError> {
        Ok(self.shared.table().get(watch)?.info())
    }

    /// Whether no watch is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.table().users().next().is_none()
    }
}

/// What a watch can have beside its path and mask.
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
    filter: Option<Filter>,
}

impl WatchOptions {
    /// Nothing special.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A name by which the watch is found, and which its events carry. No two active watches of a
    /// watcher have the same.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<OsString>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// A condition that events must meet to be given, beside the others that were set. The end of the
    /// watch, an unmount and an overflow are given whatever it says.
    #[must_use]
    pub fn filter(mut self, filter: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> Self {
        let filter: Filter = match self.filter.take() {
            Some(first) => Arc::new(move |event: &Event<'_>| first(event) && filter(event)),
            None => Arc::new(filter),
        };
        self.filter = Some(filter);
        self
    }

    /// A pattern that names must match, such as `*.conf` or `{a,b}?`: that of the `globset` crate.
    /// Events without a name, which are about the watched thing itself, do not match.
    ///
    /// # Errors
    ///
    /// [`WatchError::Glob`] where the pattern makes no sense.
    #[cfg(feature = "glob")]
    pub fn glob(self, pattern: &str) -> Result<Self, WatchError> {
        let glob = globset::Glob::new(pattern);
        let matcher = glob.map_err(|error| WatchError::Glob(error.to_string()))?.compile_matcher();
        Ok(self.filter(move |event| event.name_os().is_some_and(|name| matcher.is_match(name))))
    }

    pub(super) fn draft(self, path: &Path, asked: WatchMask, role: Role) -> Draft<'_> {
        Draft { path, asked, alias: self.alias, filter: self.filter, role }
    }
}

impl std::fmt::Debug for WatchOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchOptions").field("alias", &self.alias).finish_non_exhaustive()
    }
}

/// Makes whoever waits for events of a watcher return at once, in whatever thread, and ever after.
/// Clones stop the same watcher.
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{End, WatchError, Watcher};
///
/// let mut watcher = Watcher::new()?;
/// let stopper = watcher.stopper();
/// let reader = std::thread::spawn(move || watcher.next().map(|event| event.to_buf()));
/// stopper.stop();
/// assert!(matches!(reader.join().unwrap(), Err(WatchError::Ended(End::Stopped))));
/// # }
/// # Ok::<(), tinotify::WatchError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stopper {
    pub(super) shared: Arc<Shared>,
}

impl Stopper {
    /// Stops the watcher. Never waits; stopping again changes nothing.
    pub fn stop(&self) {
        if !self.shared.stopped.swap(true, Ordering::AcqRel) {
            // Fails only at a count that one signal does not reach.
            let _ = self.shared.stop.signal();
        }
    }

    /// Whether the watcher was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }
}
