//! One tree: its engine, and what that needs of the kernel.
//!
//! All of this runs with the watcher's lock open, since it runs the user's exclude condition.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::super::options::{Exclude, OnWatchLimit, TreeOptions};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::inotify::Inotify;
use crate::sys::Errno;
use crate::tree::linux::{Dir, Host, Linux, Root, State};
use crate::tree::{Options, Tree, TreeEvent, TreeKind, UnwatchedReason};

/// The events that the engine has to see: all about directories, and renames.
const ENGINE: EventMask = EventMask::ISDIR
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO)
    .union(EventMask::MOVE_SELF)
    .union(EventMask::DELETE_SELF)
    .union(EventMask::UNMOUNT)
    .union(EventMask::IGNORED);

/// The same, where links are followed: the kernel's events call a link to a directory a file.
const ENTRIES: EventMask = EventMask::CREATE.union(EventMask::DELETE);

/// The number of reports that are made at once.
const MANY: usize = 1024;

thread_local! {
    /// Whether this thread runs an exclude condition.
    static EXCLUDING: Cell<bool> = const { Cell::new(false) };
}

/// Returns `true` if this thread runs an exclude condition.
pub(in crate::watcher) fn is_excluding() -> bool {
    EXCLUDING.get()
}

/// A tree that is at work, with its engine.
pub(in crate::watcher) struct TreeDriver {
    tree: Tree<Dir>,
    state: State,
    root: Root,
    /// The events that the engine has to see.
    engine: EventMask,
    /// The events that the kernel was asked for.
    widest: WatchMask,
    /// Whether a root that is held is reported to have moved.
    has_moved: bool,
    excludes: Excludes,
}

/// A change of a tree, which waits while the tree is at work.
#[derive(Debug)]
pub(in crate::watcher) enum TreeChangeRequest {
    /// Reports other events.
    Mask(WatchMask),
    /// The root is at another path.
    Root(Root),
    /// Excludes a directory beneath the root, or includes it again.
    Exclude(PathBuf, bool),
}

/// What excludes directories, and what it panicked with. The engine does not see the panic, so it
/// finishes its work. The caller resumes the panic afterwards.
#[derive(Clone, Default)]
struct Excludes {
    condition: Option<Exclude>,
    paths: Arc<RwLock<HashSet<PathBuf>>>,
    panicked: Arc<Mutex<Option<Box<dyn Any + Send>>>>,
}

impl Excludes {
    /// Returns the condition for the engine. `None` if nothing is excluded: the engine asks a condition at
    /// each rename, which costs time.
    fn for_engine(&self) -> Option<crate::tree::Exclude> {
        let is_empty = self.paths.read().is_ok_and(|paths| paths.is_empty());
        if self.condition.is_none() && is_empty {
            return None;
        }
        let this = self.clone();
        Some(Box::new(move |path| this.excludes(Path::new(OsStr::from_bytes(path)))))
    }

    fn excludes(&self, path: &Path) -> bool {
        if self.paths.read().unwrap_or_else(PoisonError::into_inner).contains(path) {
            return true;
        }
        let Some(condition) = &self.condition else { return false };
        let before = EXCLUDING.replace(true);
        let excluded = panic::catch_unwind(AssertUnwindSafe(|| condition(path)));
        EXCLUDING.set(before);
        excluded.unwrap_or_else(|payload| {
            *self.panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
            false
        })
    }

    /// Changes the excluded paths; `false` if that changes nothing.
    fn set(&self, path: PathBuf, exclude: bool) -> bool {
        let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        if exclude { paths.insert(path) } else { paths.remove(&path) }
    }

    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panicked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl TreeDriver {
    /// Returns a tree that is not set up yet.
    pub fn new(root: Root, mask: WatchMask, options: &TreeOptions) -> Self {
        let excludes = Excludes { condition: options.exclude.clone(), ..Excludes::default() };
        let engine_options = Options {
            max_depth: options.max_depth,
            same_file_system: options.same_file_system,
            follow_links: options.follow_links,
            track_files: options.track_files,
            report_existing: options.report_existing,
            exclude: excludes.for_engine(),
            seed: RandomState::new().hash_one(()),
            ..Options::new(mask)
        };
        Self {
            tree: Tree::new(engine_options),
            state: State::new(options.follow_links),
            root,
            engine: if options.follow_links { ENGINE.union(ENTRIES) } else { ENGINE },
            widest: mask,
            has_moved: false,
            excludes,
        }
    }

    /// Watches the whole tree. Returns what there is to report.
    ///
    /// # Errors
    ///
    /// The error of the root, or `ENOSPC` and the path beneath the root where the limit was reached.
    pub fn set_up(
        &mut self,
        inotify: &Inotify,
        host: &dyn Host,
        on_watch_limit: OnWatchLimit,
    ) -> Result<Vec<TreeEvent>, (Errno, Vec<u8>)> {
        self.work(inotify, host, |tree, kernel| {
            kernel.on_own_thread(|kernel| {
                tree.start(kernel).map_err(|errno| (errno, Vec::new()))?;
                let mut reports = Vec::new();
                while let Some(event) = tree.next(kernel) {
                    let full = TreeKind::Unwatched(UnwatchedReason::Failed(Errno::ENOSPC));
                    if event.kind == full && on_watch_limit == OnWatchLimit::Fail {
                        return Err((Errno::ENOSPC, event.path));
                    }
                    reports.push(event);
                }
                Ok(reports)
            })
        })
    }

    /// Takes an event of one of its directories, or of a loss.
    pub fn feed(&mut self, inotify: &Inotify, host: &dyn Host, event: Event<'_>, position: u64) {
        self.work(inotify, host, |tree, kernel| tree.feed(kernel, event, position));
    }

    /// Does the work that needs an empty queue. Returns `true` if there is more.
    pub fn idle(&mut self, inotify: &Inotify, host: &dyn Host, consumed: u64) -> bool {
        self.work(inotify, host, |tree, kernel| tree.idle(kernel, consumed))
    }

    /// Makes changes. Their reports come by [`report`](Self::report).
    pub fn change(&mut self, inotify: &Inotify, host: &dyn Host, requests: Vec<TreeChangeRequest>) {
        let mut excludes_anew = false;
        for request in requests {
            match request {
                TreeChangeRequest::Mask(mask) => {
                    self.tree.set_reported_events(mask);
                    if !self.widest.contains(mask) {
                        self.widest |= mask;
                        self.work(inotify, host, |tree, _| tree.add_watched_events(mask));
                    }
                }
                TreeChangeRequest::Root(root) => {
                    self.root.move_to(root);
                    self.tree.root_found();
                    self.has_moved &= self.root.has_moved();
                }
                TreeChangeRequest::Exclude(path, exclude) => {
                    excludes_anew |= self.excludes.set(path, exclude);
                }
            }
        }
        // Once for all, since it asks the condition for every directory.
        if excludes_anew {
            self.tree.set_exclude(self.excludes.for_engine());
        }
    }

    /// Returns what the tree has to report now: at most [`MANY`] events, and whether there may be more.
    pub fn report(&mut self, inotify: &Inotify, host: &dyn Host) -> (Vec<TreeEvent>, bool) {
        let mut reports = Vec::from_iter(self.root_moved());
        self.work(inotify, host, |tree, kernel| {
            let is_scanning = tree.is_scanning();
            let mut next = |kernel: &mut Linux<'_>| {
                std::iter::from_fn(|| tree.next(kernel)).take(MANY).collect::<Vec<_>>()
            };
            reports.extend(if is_scanning { kernel.on_own_thread(next) } else { next(kernel) });
        });
        let more = reports.len() >= MANY;
        reports.extend(self.root_moved());
        (reports, more)
    }

    /// Returns a report if a root that is held was found to have moved.
    fn root_moved(&mut self) -> Option<TreeEvent> {
        let (before, now) = (self.has_moved, self.root.has_moved());
        self.has_moved = now;
        let (kind, mask) = (TreeKind::RootMoved, EventMask::empty());
        (now && !before).then_some(TreeEvent { kind, mask, cookie: 0, path: Vec::new() })
    }

    /// Ends all watches at once. Each queues an event.
    pub fn stop(&mut self, inotify: &Inotify, host: &dyn Host) {
        self.work(inotify, host, |tree, kernel| tree.stop(kernel));
    }

    fn work<R>(
        &mut self,
        inotify: &Inotify,
        host: &dyn Host,
        work: impl FnOnce(&mut Tree<Dir>, &mut Linux<'_>) -> R,
    ) -> R {
        let mut kernel = Linux::new(inotify, &mut self.root, host, &mut self.state);
        work(&mut self.tree, &mut kernel)
    }

    /// Takes what the user's condition panicked with.
    pub fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.excludes.take_panic()
    }

    /// Returns `true` if no work needs an empty queue.
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        self.tree.is_at_rest()
    }

    pub fn contains(&self, wd: Wd) -> bool {
        self.tree.contains(wd)
    }

    /// Appends to `path` the path beneath the root of the directory that a descriptor is of, if that is known.
    /// Returns the events of it that the engine has to see, `None` if it is not of this tree.
    pub fn directory(&self, wd: Wd, path: &mut Vec<u8>) -> Option<EventMask> {
        if self.tree.path_of(wd, path) && self.tree.is_plain(wd) {
            Some(self.engine)
        } else {
            self.tree.contains(wd).then(EventMask::all)
        }
    }

    /// Returns all directories, parents first: the path beneath the root, and the watch.
    pub fn directories(&self) -> impl Iterator<Item = (Vec<u8>, Option<Wd>)> {
        self.tree.directories()
    }
}

impl fmt::Debug for TreeDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeDriver").field("directories", &self.tree.len()).finish_non_exhaustive()
    }
}
