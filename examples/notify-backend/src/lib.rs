//! The Linux backend of [`notify`], on the public API of tinotify.
//!
//! Each watched path is one watch of a [`tinotify::Watcher`]: of an inode, or of a tree. A thread reads
//! the events, translates them and calls the handler. The calls of [`notify::Watcher`] go through
//! [`Watches`] and never wait for that thread.
//!
//! Several watches may cover one directory. The oldest of them reports what happens in it: each event is
//! delivered once, and ending one of the watches loses nothing.

mod reader;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{env, fs, thread};

#[cfg(feature = "notify-9")]
use notify::WatchPathConfig;
use notify::event::EventKindMask;
use notify::{Config, Error, ErrorKind, EventHandler, RecursiveMode, Result, Watcher, WatcherKind};
use tinotify::{
    Errno, StopHandle, TreeOptions, WatchError, WatchId, WatchMask, WatchOptions, Watches,
};

use reader::Reader;

/// A [`notify::Watcher`] that reads inotify through tinotify.
#[derive(Debug)]
pub struct INotifyWatcher {
    watches: Watches,
    stop: StopHandle,
    state: Arc<Mutex<State>>,
}

/// What the calls and the reading thread share. No call to tinotify is made under the lock.
#[derive(Debug)]
struct State {
    /// All watches by their tokens. A watch has a smaller token than each younger one.
    roots: BTreeMap<u64, Root>,
    /// The token of each absolute path.
    tokens: HashMap<PathBuf, u64>,
    last_token: u64,
    kinds: EventKindMask,
    follow_links: bool,
}

/// A watched path.
#[derive(Clone, Debug)]
struct Root {
    /// `None` during the set-up.
    id: Option<WatchId>,
    /// How events show the path.
    shown: PathBuf,
    absolute: PathBuf,
    /// The path without symbolic links.
    real: PathBuf,
    inode: (u64, u64),
    is_dir: bool,
    is_tree: bool,
    /// A link is watched itself.
    is_link: bool,
    /// What a tree does not watch, as absolute paths.
    excluded: HashSet<PathBuf>,
    /// Another directory may be at the path now.
    has_moved: bool,
}

impl State {
    /// Returns `true` if an older watch than `token` reports what happens in the directory of `path`.
    fn is_reported_by_older(&self, token: u64, path: &Path) -> bool {
        let (root, dir) = (&self.roots[&token], path.parent().filter(|_| self.roots.len() > 1));
        let Some(Ok(beneath)) = dir.map(|dir| dir.strip_prefix(&root.shown)) else { return false };
        let (dir, real) = (root.absolute.join(beneath), root.real.join(beneath));
        let reports = |older: &Root| {
            let beneath = dir.strip_prefix(&older.absolute).unwrap_or(&dir);
            let is_root = beneath.as_os_str().is_empty() && !older.is_link;
            let is_followed = self.follow_links || real == older.real.join(beneath);
            let is_excluded = dir.ancestors().any(|dir| older.excluded.contains(dir));
            !older.has_moved && !is_excluded && (is_root || older.is_tree && is_followed)
        };
        let mut tokens = dir.ancestors().filter_map(|path| self.tokens.get(path));
        tokens.any(|older| *older < token && reports(&self.roots[older]))
    }

    fn remove(&mut self, token: u64) -> Option<Root> {
        let root = self.roots.remove(&token)?;
        if self.tokens.get(&root.absolute) == Some(&token) {
            self.tokens.remove(&root.absolute);
        }
        Some(root)
    }
}

impl INotifyWatcher {
    fn add(&self, path: &Path, recursive: bool, is_link: bool) -> Result<()> {
        let status = if is_link { fs::symlink_metadata(path) } else { fs::metadata(path) };
        let status = status.map_err(|error| Error::io_watch(error).add_path(path.into()))?;
        let absolute = absolute(path)?;
        let mut state = self.state.lock().unwrap();
        let links = state.roots.values().filter(|root| root.is_link).map(|link| &link.absolute);
        let root = Root {
            id: None,
            shown: if cfg!(feature = "notify-9") { path.into() } else { absolute.clone() },
            real: absolute.canonicalize().unwrap_or_else(|_| absolute.clone()),
            inode: (status.dev(), status.ino()),
            is_dir: status.is_dir(),
            is_tree: recursive && status.is_dir(),
            is_link,
            excluded: links.cloned().collect(),
            has_moved: false,
            absolute,
        };
        let previous = state.tokens.get(&root.absolute).copied();
        let key = |root: &Root| (root.inode, root.is_tree, root.is_link, root.shown.clone());
        if previous.is_some_and(|previous| key(&root) == key(&state.roots[&previous])) {
            return Ok(());
        }
        state.last_token += 1;
        let (token, kinds, follow_links) = (state.last_token, state.kinds, state.follow_links);
        state.roots.insert(token, root.clone());
        drop(state);

        let Root { shown, absolute, is_tree, excluded, .. } = root;
        let (mask, options) = (mask(kinds, is_link), WatchOptions::new().token(token));
        let watched = if is_tree {
            let top = absolute.clone();
            let options =
                TreeOptions::new().track_files(true).follow_links(follow_links).watch(options);
            let options = options.exclude(move |beneath| excluded.contains(&top.join(beneath)));
            self.watches.watch_tree(&shown, mask, options)
        } else {
            self.watches.watch_with(&shown, mask, options)
        };

        let mut state = self.state.lock().unwrap();
        let id = watched.map_err(|error| {
            state.remove(token);
            to_error(error, shown)
        })?;
        if let Some(root) = state.roots.get_mut(&token) {
            root.id = Some(id);
            state.tokens.insert(absolute.clone(), token);
        }
        let previous = previous.and_then(|previous| state.remove(previous));
        drop(state);
        // The previous watch may have ended before.
        let _ = previous.and_then(|root| root.id).map(|id| self.watches.unwatch(id));
        if is_link {
            self.exclude(&absolute);
        }
        Ok(())
    }

    /// Excludes a directory from the trees that watch it. Returns `false` if no tree watches it.
    fn exclude(&self, absolute: &Path) -> bool {
        let roots = self.state.lock().unwrap().roots.clone();
        let mut is_excluded = false;
        for (token, root) in roots.iter().filter(|(_, root)| root.is_tree) {
            let (Some(id), Ok(beneath)) = (root.id, absolute.strip_prefix(&root.absolute)) else {
                continue;
            };
            let shown = root.shown.join(beneath);
            let directories = self.watches.tree_directories(id).unwrap_or_default();
            let is_watched = directories.iter().any(|dir| dir.wd.is_some() && dir.path == shown);
            if is_watched && self.watches.exclude(id, &shown).is_ok() {
                is_excluded = true;
                if let Some(root) = self.state.lock().unwrap().roots.get_mut(token) {
                    root.excluded.insert(absolute.into());
                }
            }
        }
        is_excluded
    }
}

impl Watcher for INotifyWatcher {
    fn new<F: EventHandler>(handler: F, config: Config) -> Result<Self> {
        let watcher = tinotify::Watcher::new().map_err(|error| to_error(error, PathBuf::new()))?;
        let state = Arc::new(Mutex::new(State {
            roots: BTreeMap::new(),
            tokens: HashMap::new(),
            last_token: 0,
            kinds: kinds(&config),
            follow_links: config.follow_symlinks(),
        }));
        let (watches, stop) = (watcher.watches(), watcher.stop_handle());
        let reader = Reader::new(Arc::clone(&state), handler);
        let thread = thread::Builder::new().name("notify inotify".into());
        thread.spawn(move || reader.run(watcher))?;
        Ok(Self { watches, stop, state })
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> Result<()> {
        self.add(path, mode == RecursiveMode::Recursive, false)
    }

    fn unwatch(&mut self, path: &Path) -> Result<()> {
        let absolute = absolute(path)?;
        let mut state = self.state.lock().unwrap();
        let root = state.tokens.get(&absolute).copied().and_then(|token| state.remove(token));
        drop(state);
        let is_removed = match root.and_then(|root| root.id) {
            Some(id) => self.watches.unwatch(id).is_ok(),
            None => self.exclude(&absolute),
        };
        if is_removed { Ok(()) } else { Err(Error::watch_not_found().add_path(path.into())) }
    }

    /// Changes the kinds of events. Returns `false` if links are to be followed and are not, or the reverse.
    fn configure(&mut self, config: Config) -> Result<bool> {
        let mut state = self.state.lock().unwrap();
        if config.follow_symlinks() != state.follow_links {
            return Ok(false);
        }
        state.kinds = kinds(&config);
        let roots = state.roots.clone();
        drop(state);
        for root in roots.into_values() {
            let Some(id) = root.id else { continue };
            match self.watches.set_mask(id, mask(kinds(&config), root.is_link)) {
                // It ended, or its path leads to another file.
                Ok(()) | Err(WatchError::NoSuchWatch(_) | WatchError::Moved(_)) => {}
                Err(error) => return Err(to_error(error, root.shown)),
            }
        }
        Ok(true)
    }

    #[cfg(feature = "notify-9")]
    fn watch_with(&mut self, path: &Path, config: WatchPathConfig) -> Result<()> {
        let recursive = config.recursive_mode() == RecursiveMode::Recursive;
        self.add(path, recursive, !recursive && !config.dereference_symlinks())
    }

    #[cfg(feature = "notify-9")]
    fn watched_paths(&self) -> Result<Vec<(PathBuf, RecursiveMode)>> {
        let state = self.state.lock().unwrap();
        let modes = [RecursiveMode::NonRecursive, RecursiveMode::Recursive];
        let roots = state.tokens.values().map(|token| &state.roots[token]);
        Ok(roots.map(|root| (root.shown.clone(), modes[usize::from(root.is_tree)])).collect())
    }

    fn kind() -> WatcherKind {
        WatcherKind::Inotify
    }
}

impl Drop for INotifyWatcher {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

#[cfg(feature = "notify-9")]
fn kinds(config: &Config) -> EventKindMask {
    config.event_kinds()
}

/// notify 8 leaves no choice.
#[cfg(not(feature = "notify-9"))]
fn kinds(_: &Config) -> EventKindMask {
    EventKindMask::ALL.difference(EventKindMask::ACCESS_CLOSE_NOWRITE)
}

fn mask(kinds: EventKindMask, is_link: bool) -> WatchMask {
    let masks = [
        (EventKindMask::CREATE, WatchMask::CREATE),
        (EventKindMask::REMOVE, WatchMask::DELETE),
        (EventKindMask::MODIFY_DATA, WatchMask::MODIFY),
        (EventKindMask::MODIFY_META, WatchMask::ATTRIB),
        (EventKindMask::MODIFY_NAME, WatchMask::MOVE),
        (EventKindMask::ACCESS_OPEN, WatchMask::OPEN),
        (EventKindMask::ACCESS_CLOSE, WatchMask::CLOSE_WRITE),
        (EventKindMask::ACCESS_CLOSE_NOWRITE, WatchMask::CLOSE_NOWRITE),
    ];
    let link = if is_link { WatchMask::DONT_FOLLOW } else { WatchMask::empty() };
    let asked = masks.into_iter().filter(|(kind, _)| kinds.intersects(*kind));
    let always = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF | link;
    asked.fold(always, |mask, (_, events)| mask | events)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    if path.is_absolute() { Ok(path.into()) } else { Ok(env::current_dir()?.join(path)) }
}

fn errno_error(errno: Errno, path: PathBuf) -> Error {
    // For other calls ENOSPC says that the disk is full.
    let limit = (errno == Errno::ENOSPC).then(|| Error::new(ErrorKind::MaxFilesWatch));
    limit.unwrap_or_else(|| Error::io_watch(errno.into())).add_path(path)
}

fn to_error(error: WatchError, path: PathBuf) -> Error {
    match error.errno() {
        Some(errno) => errno_error(errno, path),
        None => Error::io(error.into()).add_path(path),
    }
}
