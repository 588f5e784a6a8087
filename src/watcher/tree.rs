//! Trees: what drives the engine, with the kernel that this program runs on.

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::error::WatchError;
use super::event::Extra;
use super::table::{LIFE, Role, Sub, TURNS, Table, Watch, at};
use super::tree_options::{AtLimit, Prune, TreeOptions};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::inotify::{Error, Inotify};
use crate::sys::Errno;
use crate::tree::linux::{Dir, Linux, Root, State};
use crate::tree::{Barred, Options, Tree, TreeEvent, TreeKind};

/// One directory of a tree, from [`Watches::tree_directories`](super::Watches::tree_directories).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeDirectory {
    /// The path of the tree, and the path beneath it.
    pub path: PathBuf,
    /// The kernel's descriptor. `None` where the directory is known and not watched: it is excluded,
    /// or was reported as [`Unwatched`](super::TreeChange::Unwatched).
    pub wd: Option<Wd>,
}

/// A tree, and what it needs beside the engine.
pub(super) struct WatchedTree {
    /// The watch that the user has.
    pub sub: Arc<Sub>,
    tree: Tree<Dir>,
    state: State,
    root: Root,
    /// What the engine has to see.
    engine: EventMask,
    /// What was found out and is not yet reported.
    early: VecDeque<TreeEvent>,
    /// The events that the kernel was asked for.
    widest: WatchMask,
    /// Whether a root that is held was reported to have moved.
    has_moved: bool,
    /// The user's condition.
    prune: Option<Arc<Prune>>,
    excluded: Excluded,
    panicked: Panicked,
    /// Where in the stream its events begin.
    since: u64,
}

/// What a user's condition panicked with. The engine does not see the panic, so it finishes its work. The
/// caller resumes the panic afterwards.
type Panicked = Arc<Mutex<Option<Box<dyn Any + Send>>>>;

/// The directories that [`Watches::exclude`](super::Watches::exclude) excluded, by their paths beneath
/// the root.
type Excluded = Arc<RwLock<BTreeSet<PathBuf>>>;

/// The condition for the engine: what was excluded by path, and what the user's condition excludes.
/// Returns `None` if there is neither: the engine asks a condition at each rename, which costs time.
fn engine_prune(
    prune: Option<&Arc<Prune>>,
    excluded: &Excluded,
    panicked: &Panicked,
) -> Option<crate::tree::Prune> {
    if prune.is_none() && excluded.read().is_ok_and(|excluded| excluded.is_empty()) {
        return None;
    }
    let prune = prune.map(Arc::clone);
    let (excluded, panicked) = (Arc::clone(excluded), Arc::clone(panicked));
    Some(Box::new(move |path| {
        let path = Path::new(OsStr::from_bytes(path));
        if excluded.read().unwrap_or_else(PoisonError::into_inner).contains(path) {
            return true;
        }
        let Some(prune) = &prune else { return false };
        panic::catch_unwind(AssertUnwindSafe(|| prune(path))).unwrap_or_else(|payload| {
            *panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
            false
        })
    }))
}

impl fmt::Debug for WatchedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedTree").field("sub", &self.sub).finish_non_exhaustive()
    }
}

/// What a tree has to tell, as an event is made of it.
pub(super) struct TreeTold {
    /// The directory that it happened in.
    pub sub: Arc<Sub>,
    pub mask: EventMask,
    pub cookie: u32,
    /// With a NUL; empty for the root itself.
    pub name: Vec<u8>,
    pub extra: Extra,
    /// Whether the tree has come to its end.
    pub last: bool,
}

impl WatchedTree {
    pub fn contains(&self, wd: Wd) -> bool {
        self.tree.contains(wd)
    }

    /// Takes over what was changed of its watch.
    pub fn replace(&mut self, sub: &Arc<Sub>) -> Result<(), WatchError> {
        if sub.path != self.sub.path {
            let set = self.root.set_path(c_path(&sub.path)?);
            set.map_err(|errno| at(&sub.path, Error::AddWatch(errno)))?;
            self.tree.root_found();
            self.has_moved &= self.root.has_moved();
        }
        self.sub = Arc::clone(sub);
        self.tree.tell_of(sub.asked);
        Ok(())
    }

    /// The directory of a descriptor, as a subscriber.
    pub fn dir(&self, wd: Wd) -> Option<Arc<Sub>> {
        let mut path = Vec::new();
        if !self.tree.path_of(wd, &mut path) {
            return None;
        }
        let sub = self.beneath(OsStr::from_bytes(&path));
        let (mask, engine) = if self.tree.is_plain(wd) {
            (sub.asked.events() | self.engine, self.engine)
        } else {
            (EventMask::all(), EventMask::all())
        };
        let (plain, turns) = (sub.filter.is_none(), engine | TURNS);
        Some(Arc::new(Sub { wd, mask, plain, engine, turns, since: self.since, ..sub }))
    }

    /// The path beneath the root, of a directory that is given by an absolute path or as events show it.
    fn path_beneath(&self, path: &Path) -> Option<PathBuf> {
        let shown = path.strip_prefix(&self.sub.path).ok().map(Path::to_owned);
        let beneath = shown.or_else(|| {
            // A relative root begins at a directory that may have been moved.
            let home = self.root.home().filter(|_| path.is_absolute())?;
            let home = std::fs::read_link(format!("/proc/self/fd/{}", home.as_raw())).ok()?;
            let root = home.join(&self.sub.path).canonicalize().ok()?;
            path.strip_prefix(root).ok().map(Path::to_owned)
        })?;
        let names = beneath.components().map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let beneath: PathBuf = names.collect::<Option<_>>()?;
        (!beneath.as_os_str().is_empty()).then_some(beneath)
    }

    /// A subscriber at a path beneath the root.
    fn beneath(&self, path: &OsStr) -> Sub {
        let root = Arc::clone(&self.sub);
        let full = if path.is_empty() { root.path.clone() } else { root.path.join(path) };
        let prefix = super::table::prefix(&full);
        Sub { path: full, prefix, root: Some(root), ..Sub::clone(&self.sub) }
    }

    fn told(&self, event: TreeEvent) -> TreeTold {
        let TreeEvent { kind, mask, cookie, path } = event;
        let (dir, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (path.get(..slash), path.get(slash.saturating_add(1)..)),
            None => (Some(&[][..]), Some(&path[..])),
        };
        let mut name = name.unwrap_or_default().to_vec();
        if !name.is_empty() {
            name.push(0);
        }
        let from = match &kind {
            TreeKind::Renamed { from: other } | TreeKind::Exchanged { with: other } => {
                self.sub.path.join(OsStr::from_bytes(other))
            }
            _ => PathBuf::new(),
        };
        let last = matches!(kind, TreeKind::RootRemoved | TreeKind::RootUnmounted);
        let sub = Arc::new(self.beneath(OsStr::from_bytes(dir.unwrap_or_default())));
        TreeTold { sub, mask, cookie, name, extra: Extra::Tree(kind, from), last }
    }
}

/// What the engine has to see: all about directories, and renames.
const ENGINE: EventMask = EventMask::ISDIR
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO)
    .union(EventMask::MOVE_SELF)
    .union(EventMask::DELETE_SELF)
    .union(LIFE);

/// The same, where links are followed: the kernel's events call a link to a directory a file.
const ENTRIES: EventMask = EventMask::CREATE.union(EventMask::DELETE);

/// The root's path, as the kernel wants it.
fn c_path(path: &Path) -> Result<CString, WatchError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| WatchError::Nul(path.to_owned()))
}

/// So many events are made in one thread.
const MUCH: usize = 1024;

/// What a tree has to tell, up to so many events; an overflow is told to all at once.
fn news(tree: &mut Tree<Dir>, kernel: &mut Linux<'_>, limit: usize) -> VecDeque<TreeEvent> {
    let next = std::iter::from_fn(|| tree.next(kernel));
    next.filter(|event| event.kind != TreeKind::Overflow).take(limit).collect()
}

impl Table {
    /// Watches a tree, all of it.
    pub fn watch_tree(
        &mut self,
        inotify: &Inotify,
        path: &Path,
        mask: WatchMask,
        options: TreeOptions,
    ) -> Result<Watch, WatchError> {
        let TreeOptions {
            depth,
            prune,
            same_file_system,
            follow_links,
            snapshot,
            existing,
            at_limit,
            hold_root,
            watch,
        } = options;
        let fail = |errno| at(path, Error::AddWatch(errno));
        let mut root = Root::new(c_path(path)?).map_err(fail)?;
        if hold_root {
            root.hold().map_err(fail)?;
        }
        if mask.contains(WatchMask::DONT_FOLLOW) && path.is_symlink() {
            return Err(fail(Errno::ENOTDIR));
        }
        let sub = self.add(inotify, watch.draft(path, mask, Role::Tree))?;
        let (excluded, panicked) = (Excluded::default(), Panicked::default());
        let prune = prune.map(Arc::new);
        let options = Options {
            depth,
            same_file_system,
            follow_links,
            snapshot,
            existing,
            prune: engine_prune(prune.as_ref(), &excluded, &panicked),
            seed: RandomState::new().hash_one(()),
            ..Options::new(mask)
        };
        let since = self.queue.end(inotify);
        let watch = sub.watch;
        self.trees.push(WatchedTree {
            sub,
            tree: Tree::new(options),
            state: State::new(follow_links),
            engine: if follow_links { ENGINE.union(ENTRIES) } else { ENGINE },
            root,
            early: VecDeque::new(),
            widest: mask,
            has_moved: false,
            prune,
            excluded,
            panicked: Arc::clone(&panicked),
            since,
        });
        let index = self.trees.len().saturating_sub(1);
        let set_up = self.with_tree(inotify, index, |tree, kernel| {
            kernel.on_own_thread(|kernel| {
                tree.start(kernel)?;
                let mut early = VecDeque::new();
                while let Some(event) = tree.next(kernel) {
                    let full = TreeKind::Unwatched(Barred::Errno(Errno::ENOSPC));
                    if event.kind == full && at_limit == AtLimit::Fail {
                        return Ok((early, Some(event.path)));
                    }
                    early.push_back(event);
                }
                Ok((early, None))
            })
        });
        let payload = panicked.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = payload {
            self.remove(inotify, watch)?;
            panic::resume_unwind(payload);
        }
        let error = match set_up {
            Some(Ok((early, None))) => {
                if let Some(tree) = self.trees.get_mut(index) {
                    tree.early = early;
                }
                return Ok(watch);
            }
            Some(Ok((_, Some(full)))) => {
                at(&path.join(OsStr::from_bytes(&full)), Error::AddWatch(Errno::ENOSPC))
            }
            Some(Err(errno)) => fail(errno),
            None => WatchError::NoSuchWatch(watch),
        };
        self.remove(inotify, watch)?;
        Err(error)
    }

    /// Has a tree do something with the kernel, which keeps what others need watched.
    fn with_tree<R>(
        &mut self,
        inotify: &Inotify,
        index: usize,
        work: impl FnOnce(&mut Tree<Dir>, &mut Linux<'_>) -> R,
    ) -> Option<R> {
        let (before, rest) = self.trees.split_at_mut_checked(index)?;
        let (tree, after) = rest.split_first_mut()?;
        let (wds, before, after) = (&self.wds, &*before, &*after);
        let shared = |wd: Wd| {
            wds.get(&wd).is_some_and(|entry| !entry.subs.is_empty())
                || before.iter().chain(after).any(|tree| tree.contains(wd))
        };
        let mut kernel =
            Linux::new(inotify, &mut tree.root, &shared, &mut tree.state, &mut self.queue);
        let done = work(&mut tree.tree, &mut kernel);
        let has_moved = tree.root.has_moved();
        if !std::mem::replace(&mut tree.has_moved, has_moved) && has_moved {
            tree.early.push_back(TreeEvent {
                kind: TreeKind::RootMoved,
                mask: EventMask::empty(),
                cookie: 0,
                path: Vec::new(),
            });
        }
        Some(done)
    }

    fn tree_of(&self, watch: Watch) -> Option<usize> {
        self.trees.iter().position(|tree| tree.sub.watch == watch)
    }

    /// Has a tree take an event of one of its directories, or of a loss.
    pub fn feed_tree(&mut self, inotify: &Inotify, watch: Watch, event: Event<'_>, offset: u64) {
        if let Some(index) = self.tree_of(watch) {
            self.with_tree(inotify, index, |tree, kernel| tree.feed(kernel, event, offset));
        }
    }

    /// Goes on with a panic of a user's condition.
    fn go_on_to_panic(&self, index: usize) {
        let payload = self
            .trees
            .get(index)
            .and_then(|tree| tree.panicked.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(payload) = payload {
            panic::resume_unwind(payload);
        }
    }

    /// What a tree tells next; looks at no more of it than that takes, or at some more where all of it
    /// is looked at.
    pub fn tree_next(&mut self, inotify: &Inotify, watch: Watch) -> Option<TreeTold> {
        let index = self.tree_of(watch)?;
        if self.trees.get(index)?.early.is_empty() {
            let news = self.with_tree(inotify, index, |tree, kernel| {
                if tree.is_looking() {
                    kernel.on_own_thread(|kernel| news(tree, kernel, MUCH))
                } else {
                    news(tree, kernel, 1)
                }
            });
            let tree = self.trees.get_mut(index)?;
            let mut news = news?;
            news.append(&mut tree.early);
            tree.early = news;
            self.go_on_to_panic(index);
        }
        let tree = self.trees.get_mut(index)?;
        let event = tree.early.pop_front()?;
        Some(tree.told(event))
    }

    /// Whether nothing is to be done when the queue is empty.
    #[inline(always)]
    pub fn trees_rest(&self) -> bool {
        self.trees.iter().all(|tree| tree.tree.rests())
    }

    /// The trees whose set-up has told what is not yet given, the first one last.
    pub fn trees_with_news(&self, news: &mut Vec<Watch>) {
        let trees = self.trees.iter().rev().filter(|tree| !tree.early.is_empty());
        news.extend(trees.map(|tree| tree.sub.watch));
    }

    /// Returns `true` if there is something to report that poll(2) does not show.
    pub fn has_news(&self) -> bool {
        !self.queue.is_empty() || self.trees.iter().any(|tree| !tree.early.is_empty())
    }

    /// The queue is empty: the trees that have something to do then.
    pub fn trees_caught_up(&mut self, inotify: &Inotify, busy: &mut Vec<Watch>) {
        let consumed = self.queue.consumed();
        for index in 0..self.trees.len() {
            let worked = self.with_tree(inotify, index, |tree, kernel| tree.idle(kernel, consumed));
            let news = self.trees.get(index).is_some_and(|tree| !tree.early.is_empty());
            if worked == Some(true) || news {
                busy.extend(self.trees.get(index).map(|tree| tree.sub.watch));
            }
        }
    }

    /// Has the kernel report more events of all directories of a tree, if the watch is one and the mask
    /// is wider than before.
    pub fn widen(&mut self, inotify: &Inotify, watch: Watch, mask: WatchMask) {
        let Some(index) = self.tree_of(watch) else { return };
        let Some(tree) = self.trees.get_mut(index) else { return };
        if tree.widest.contains(mask) {
            return;
        }
        tree.widest |= mask;
        let news = self.with_tree(inotify, index, |tree, kernel| {
            tree.ask(mask);
            kernel.on_own_thread(|kernel| {
                let mut all = VecDeque::new();
                while tree.is_looking() {
                    let mut some = news(tree, kernel, MUCH);
                    if some.is_empty() {
                        break;
                    }
                    all.append(&mut some);
                }
                all
            })
        });
        if let Some(tree) = self.trees.get_mut(index) {
            tree.early.extend(news.into_iter().flatten());
        }
    }

    /// Excludes a directory of a tree, or includes it again.
    pub fn set_excluded(
        &mut self,
        watch: Watch,
        path: &Path,
        exclude: bool,
    ) -> Result<(), WatchError> {
        self.get(watch)?;
        let tree = self.tree_of(watch).and_then(|index| self.trees.get_mut(index));
        let tree = tree.ok_or(WatchError::NoSuchWatch(watch))?;
        let Some(beneath) = tree.path_beneath(path) else {
            let root = tree.sub.path.clone();
            return Err(WatchError::NotBeneath { path: path.to_owned(), root });
        };
        let mut excluded = tree.excluded.write().unwrap_or_else(PoisonError::into_inner);
        let changed = if exclude { excluded.insert(beneath) } else { excluded.remove(&beneath) };
        drop(excluded);
        if changed {
            let prune = engine_prune(tree.prune.as_ref(), &tree.excluded, &tree.panicked);
            tree.tree.set_prune(prune);
        }
        Ok(())
    }

    /// Goes on with a panic of the condition of a tree.
    pub fn resume_panic(&self, watch: Watch) {
        if let Some(index) = self.tree_of(watch) {
            self.go_on_to_panic(index);
        }
    }

    /// The directories of a tree; `None` if `watch` is not a tree.
    pub fn tree_directories(&self, watch: Watch) -> Option<Vec<TreeDirectory>> {
        let tree = self.trees.get(self.tree_of(watch)?)?;
        let root = &tree.sub.path;
        let directories = tree.tree.directories().map(|(path, wd)| {
            let beneath = OsString::from_vec(path);
            let path =
                if beneath.is_empty() { root.clone() } else { root.join(Path::new(&beneath)) };
            TreeDirectory { path, wd }
        });
        Some(directories.collect())
    }

    /// The trees that a descriptor is of.
    pub fn trees_of(&self, wd: Wd) -> impl Iterator<Item = Watch> {
        let trees = self.trees.iter().filter(move |tree| tree.contains(wd));
        trees.map(|tree| tree.sub.watch)
    }

    /// Ends a tree, if the watch is one.
    pub fn end_tree(&mut self, inotify: &Inotify, watch: Watch) {
        if let Some(index) = self.tree_of(watch) {
            self.with_tree(inotify, index, |tree, kernel| tree.stop(kernel));
            self.trees.remove(index);
        }
    }
}
