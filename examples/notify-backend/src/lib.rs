//! The Linux backend of [`notify`], on the public API of tinotify.
//!
//! Each watched path is one watch of a [`tinotify::Watcher`]: of an inode, or of a tree. A thread reads
//! the events, translates them and calls the handler. The calls of [`notify::Watcher`] go through
//! [`Watches`] and never wait for that thread.
//!
//! Several watches may cover one directory. The oldest of them reports what happens in it: each event is
//! delivered once, and ending one of the watches loses nothing.

mod reader;
mod state;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::{env, fs, thread};

#[cfg(feature = "notify-9")]
use notify::WatchPathConfig;
use notify::event::EventKindMask;
use notify::{Config, Error, EventHandler, RecursiveMode, Result, Watcher, WatcherKind};
use tinotify::{StopHandle, TreeOptions, WatchError, WatchMask, WatchOptions, Watches};

use reader::to_error;
use state::{Root, State};

/// A [`notify::Watcher`] that reads inotify through tinotify.
#[derive(Debug)]
pub struct INotifyWatcher {
    watches: Watches,
    stop: StopHandle,
    state: Arc<Mutex<State>>,
}

impl INotifyWatcher {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn add(&self, path: &Path, recursive: bool, is_link: bool) -> Result<()> {
        let status = if is_link { fs::symlink_metadata(path) } else { fs::metadata(path) };
        let status = status.map_err(|error| Error::io_watch(error).add_path(path.into()))?;
        let absolute = absolute(path)?;
        let mut state = self.state();
        let links = state.roots.values().filter(|root| root.is_link);
        let root = Root {
            id: None,
            shown: if cfg!(feature = "notify-9") { path.into() } else { absolute.clone() },
            real: absolute.canonicalize().unwrap_or_else(|_| absolute.clone()),
            inode: (status.dev(), status.ino()),
            is_dir: status.is_dir(),
            is_tree: recursive && status.is_dir(),
            is_link,
            excluded: links.map(|link| link.absolute.clone()).collect(),
            has_moved: false,
            absolute,
        };
        let previous = state.tokens.get(&root.absolute).copied();
        if previous.is_some_and(|previous| root.is_same(&state.roots[&previous])) {
            return Ok(());
        }
        let token = state.insert(root.clone());
        let (mask, follow_links) = (mask(state.kinds, is_link), state.follow_links);
        drop(state);

        let Root { shown, absolute, is_tree, excluded, .. } = root;
        let (options, top) = (WatchOptions::new().token(token), absolute.clone());
        let watched = if is_tree {
            let tree = TreeOptions::new().track_files(true).follow_links(follow_links);
            let tree = tree.exclude(move |beneath| excluded.contains(&top.join(beneath)));
            self.watches.watch_tree(&shown, mask, tree.watch(options))
        } else {
            self.watches.watch_with(&shown, mask, options)
        };
        let previous = match watched {
            Ok(id) => self.state().replace(previous, token, id),
            Err(error) => {
                self.state().remove(token);
                return Err(to_error(error, shown));
            }
        };
        if let Some(id) = previous {
            // The previous watch may have ended before.
            let _ = self.watches.unwatch(id);
        }
        if is_link {
            self.exclude(&absolute);
        }
        Ok(())
    }

    /// Excludes a directory from the trees that watch it. Returns `false` if no tree watches it.
    fn exclude(&self, absolute: &Path) -> bool {
        let roots = self.state().roots.clone();
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
                if let Some(root) = self.state().roots.get_mut(token) {
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
        let (watches, stop) = (watcher.watches(), watcher.stop_handle());
        let state = Arc::new(Mutex::new(State::new(kinds(&config), config.follow_symlinks())));
        let shared = Arc::clone(&state);
        let thread = thread::Builder::new().name("notify inotify".into());
        thread.spawn(move || reader::run(watcher, &shared, handler))?;
        Ok(Self { watches, stop, state })
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> Result<()> {
        self.add(path, mode == RecursiveMode::Recursive, false)
    }

    fn unwatch(&mut self, path: &Path) -> Result<()> {
        let absolute = absolute(path)?;
        let token = self.state().tokens.get(&absolute).copied();
        let root = token.and_then(|token| self.state().remove(token));
        let is_removed = match root.and_then(|root| root.id) {
            Some(id) => self.watches.unwatch(id).is_ok(),
            None => self.exclude(&absolute),
        };
        if is_removed { Ok(()) } else { Err(Error::watch_not_found().add_path(path.into())) }
    }

    /// Changes the kinds of events. Returns `false` if `follow_symlinks` differs, which can't be changed.
    fn configure(&mut self, config: Config) -> Result<bool> {
        let mut state = self.state();
        if config.follow_symlinks() != state.follow_links {
            return Ok(false);
        }
        state.kinds = kinds(&config);
        let roots = state.roots.clone();
        drop(state);
        for root in roots.into_values() {
            let Some(id) = root.id else { continue };
            match self.watches.set_mask(id, mask(kinds(&config), root.is_link)) {
                // The watch has ended, or its path leads to another file.
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
        let state = self.state();
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

/// notify 8 has no such option.
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
