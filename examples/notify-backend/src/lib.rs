//! The Linux backend of [`notify`], on the public API of tinotify.
//!
//! Each watched path is one watch of a [`tinotify::Watcher`]: of an inode, or of a tree. A thread reads
//! the events, translates them and calls the handler. The calls of [`notify::Watcher`] go through
//! [`Watches`], so they never wait for that thread or for the handler.
//!
//! Several watches may cover one directory. The oldest of them reports what happens in it, so each
//! event is delivered once, and removing one of the watches loses nothing.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{env, fs, io, thread};

use notify::event::{
    AccessKind, AccessMode, CreateKind, DataChange, Flag, MetadataKind, ModifyKind, RemoveKind,
    RenameMode,
};
use notify::{
    Config, Error, ErrorKind, Event, EventHandler, EventKind, RecursiveMode, Result, Watcher,
    WatcherKind,
};
#[cfg(feature = "notify-9")]
use notify::{EventKindMask, WatchPathConfig};
use tinotify::{
    Barred, Errno, StopHandle, TreeChange, TreeOptions, WatchError, WatchEvent, WatchId, WatchMask,
    WatchOptions, Watches,
};

/// A [`notify::Watcher`] that reads inotify through tinotify.
#[derive(Debug)]
pub struct INotifyWatcher {
    watches: Watches,
    stop: StopHandle,
    state: Arc<Mutex<State>>,
    follow_links: bool,
}

/// What the reading thread and the calls share. No call to tinotify is made with the lock held.
#[derive(Debug)]
struct State {
    /// Every watch by its token. Tokens count up, so older watches come first.
    roots: BTreeMap<u64, Root>,
    /// The token of each watched path.
    tokens: HashMap<PathBuf, u64>,
    next_token: u64,
    kinds: Kinds,
}

/// One watched path.
#[derive(Debug)]
struct Root {
    /// `None` during the set-up.
    id: Option<WatchId>,
    /// The path that events start with.
    shown: PathBuf,
    absolute: PathBuf,
    /// The path without symbolic links.
    real: PathBuf,
    /// Device and inode number.
    inode: (u64, u64),
    is_dir: bool,
    is_tree: bool,
    follows_root: bool,
    follows_links: bool,
    /// Directories of the tree that are not watched, as absolute paths.
    excluded: HashSet<PathBuf>,
    /// The path no longer leads to what is watched.
    has_moved: bool,
}

impl Root {
    fn is_same(&self, other: &Self) -> bool {
        (self.inode, self.is_tree, self.follows_root, &self.shown)
            == (other.inode, other.is_tree, other.follows_root, &other.shown)
    }

    /// Returns `true` if this watch reports what happens in `dir`, whose path without symbolic links is
    /// `real`.
    fn covers(&self, dir: &Path, real: &Path) -> bool {
        let Ok(beneath) = dir.strip_prefix(&self.absolute) else { return false };
        let is_watched = if beneath.as_os_str().is_empty() {
            self.follows_root
        } else {
            self.is_tree && (self.follows_links || real == self.real.join(beneath))
        };
        is_watched && !self.has_moved && !dir.ancestors().any(|dir| self.excluded.contains(dir))
    }
}

impl State {
    /// Returns `true` if an older watch reports what happens in `dir`, a directory of the watch `token`.
    fn is_reported_by_older(&self, token: u64, root: &Root, dir: &Path) -> bool {
        let beneath = dir.strip_prefix(&root.shown).unwrap_or(Path::new(""));
        let (dir, real) = (root.absolute.join(beneath), root.real.join(beneath));
        let at = |path: &Path| self.tokens.get(path).filter(|older| **older < token);
        self.roots.len() > 1
            && dir.ancestors().filter_map(at).any(|older| self.roots[older].covers(&dir, &real))
    }

    fn remove(&mut self, token: u64) -> Option<Root> {
        let root = self.roots.remove(&token)?;
        if self.tokens.get(&root.absolute) == Some(&token) {
            self.tokens.remove(&root.absolute);
        }
        Some(root)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The events that the caller asked for. notify 8 has no choice.
#[derive(Clone, Copy, Debug)]
struct Kinds(#[cfg(feature = "notify-9")] EventKindMask);

#[cfg(not(feature = "notify-9"))]
impl Kinds {
    const fn new(_: &Config) -> Self {
        Self()
    }

    const fn mask(self) -> WatchMask {
        tinotify::Watcher::CHANGES.union(WatchMask::OPEN)
    }

    const fn contains(self, _: &EventKind) -> bool {
        true
    }
}

#[cfg(feature = "notify-9")]
impl Kinds {
    fn new(config: &Config) -> Self {
        Self(config.event_kinds())
    }

    fn mask(self) -> WatchMask {
        let masks = [
            (EventKindMask::CREATE, WatchMask::CREATE | WatchMask::MOVED_TO),
            (EventKindMask::REMOVE, WatchMask::DELETE | WatchMask::MOVED_FROM),
            (EventKindMask::MODIFY_DATA, WatchMask::MODIFY),
            (EventKindMask::MODIFY_META, WatchMask::ATTRIB),
            (EventKindMask::MODIFY_NAME, WatchMask::MOVE | WatchMask::MOVE_SELF),
            (EventKindMask::ACCESS_OPEN, WatchMask::OPEN),
            (EventKindMask::ACCESS_CLOSE, WatchMask::CLOSE_WRITE),
            (EventKindMask::ACCESS_CLOSE_NOWRITE, WatchMask::CLOSE_NOWRITE),
        ];
        let asked = masks.into_iter().filter(|(kind, _)| self.0.intersects(*kind));
        // The kernel refuses an empty mask.
        asked.fold(WatchMask::DELETE_SELF, |mask, (_, events)| mask | events)
    }

    fn contains(self, kind: &EventKind) -> bool {
        self.0.matches(kind)
    }
}

impl INotifyWatcher {
    fn add(&self, path: &Path, recursive: bool, follows_root: bool) -> Result<()> {
        let absolute = absolute(path)?;
        let shown = if cfg!(feature = "notify-9") { path } else { &absolute }.to_owned();
        let status = if follows_root { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let status = status.map_err(|error| Error::io_watch(error).add_path(path.to_owned()))?;
        let mut root = Root {
            id: None,
            real: absolute.canonicalize().unwrap_or_else(|_| absolute.clone()),
            inode: (status.dev(), status.ino()),
            is_dir: status.is_dir(),
            is_tree: recursive && status.is_dir(),
            follows_root,
            follows_links: self.follow_links,
            excluded: HashSet::new(),
            has_moved: false,
            shown,
            absolute,
        };

        let mut state = lock(&self.state);
        let previous = state.tokens.get(&root.absolute).copied();
        if previous.is_some_and(|previous| root.is_same(&state.roots[&previous])) {
            return Ok(());
        }
        let is_link = |root: &&Root| !root.follows_root;
        root.excluded = state.roots.values().filter(is_link).map(|r| r.absolute.clone()).collect();
        let token = state.next_token;
        state.next_token += 1;
        let (mask, is_tree, excluded) = (state.kinds.mask(), root.is_tree, root.excluded.clone());
        let (shown, absolute) = (root.shown.clone(), root.absolute.clone());
        state.roots.insert(token, root);
        drop(state);

        let options = WatchOptions::new().token(token);
        let watched = if is_tree {
            let top = absolute.clone();
            let options = TreeOptions::new()
                .follow_links(self.follow_links)
                .track_files(true)
                .exclude(move |beneath| excluded.contains(&top.join(beneath)))
                .watch(options);
            self.watches.watch_tree(&shown, mask, options)
        } else {
            let link = if follows_root { WatchMask::empty() } else { WatchMask::DONT_FOLLOW };
            self.watches.watch_with(&shown, mask | link, options)
        };

        let mut state = lock(&self.state);
        let id = watched.map_err(|error| {
            state.remove(token);
            to_error(&error, shown)
        })?;
        if let Some(root) = state.roots.get_mut(&token) {
            root.id = Some(id);
            state.tokens.insert(absolute.clone(), token);
        }
        let previous = previous.and_then(|previous| state.remove(previous));
        drop(state);
        if let Some(id) = previous.and_then(|root| root.id) {
            // It may have ended before.
            let _ = self.watches.unwatch(id);
        }
        if !follows_root {
            self.exclude(&absolute);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let absolute = absolute(path)?;
        let mut state = lock(&self.state);
        let root = state.tokens.get(&absolute).copied().and_then(|token| state.remove(token));
        drop(state);
        let is_removed = match root.and_then(|root| root.id) {
            Some(id) => self.watches.unwatch(id).is_ok(),
            None => self.exclude(&absolute),
        };
        let missing = || Error::watch_not_found().add_path(path.to_owned());
        if is_removed { Ok(()) } else { Err(missing()) }
    }

    /// Excludes a directory, which is no watched path itself, from the trees that watch it. Returns `false`
    /// if there is none.
    fn exclude(&self, absolute: &Path) -> bool {
        let at = |(token, root): (&u64, &Root)| {
            let beneath = absolute.strip_prefix(&root.absolute).ok().filter(|_| root.is_tree)?;
            Some((*token, root.id?, root.shown.join(beneath)))
        };
        let trees: Vec<_> = lock(&self.state).roots.iter().filter_map(at).collect();
        let mut is_excluded = false;
        for (token, id, shown) in trees {
            let directories = self.watches.tree_directories(id).unwrap_or_default();
            let is_watched = directories.iter().any(|dir| dir.wd.is_some() && dir.path == shown);
            if is_watched && self.watches.exclude(id, &shown).is_ok() {
                is_excluded = true;
                if let Some(root) = lock(&self.state).roots.get_mut(&token) {
                    root.excluded.insert(absolute.to_owned());
                }
            }
        }
        is_excluded
    }
}

impl Watcher for INotifyWatcher {
    fn new<F: EventHandler>(handler: F, config: Config) -> Result<Self> {
        let watcher = tinotify::Watcher::new().map_err(|error| to_error(&error, PathBuf::new()))?;
        let (roots, tokens) = (BTreeMap::new(), HashMap::new());
        let state = State { roots, tokens, next_token: 0, kinds: Kinds::new(&config) };
        let state = Arc::new(Mutex::new(state));
        let (watches, stop) = (watcher.watches(), watcher.stop_handle());
        let translator = Translator { state: Arc::clone(&state), halves: VecDeque::new() };
        let thread = thread::Builder::new().name("notify-rs inotify loop".into());
        thread.spawn(move || read(watcher, translator, handler))?;
        Ok(Self { watches, stop, state, follow_links: config.follow_symlinks() })
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> Result<()> {
        self.add(path, mode == RecursiveMode::Recursive, true)
    }

    fn unwatch(&mut self, path: &Path) -> Result<()> {
        self.remove(path)
    }

    /// Returns `false` if the configuration follows links and the watcher does not, or the reverse.
    fn configure(&mut self, config: Config) -> Result<bool> {
        if config.follow_symlinks() != self.follow_links {
            return Ok(false);
        }
        let mut state = lock(&self.state);
        state.kinds = Kinds::new(&config);
        let mask = state.kinds.mask();
        let roots: Vec<_> =
            state.roots.values().filter_map(|r| Some((r.id?, r.follows_root))).collect();
        drop(state);
        for (id, follows_root) in roots {
            let link = if follows_root { WatchMask::empty() } else { WatchMask::DONT_FOLLOW };
            match self.watches.set_mask(id, mask | link) {
                // The watch ended, or its path leads to another file now.
                Ok(()) | Err(WatchError::NoSuchWatch(_) | WatchError::Moved(_)) => {}
                Err(error) => return Err(to_error(&error, PathBuf::new())),
            }
        }
        Ok(true)
    }

    #[cfg(feature = "notify-9")]
    fn watch_with(&mut self, path: &Path, config: WatchPathConfig) -> Result<()> {
        let recursive = config.recursive_mode() == RecursiveMode::Recursive;
        self.add(path, recursive, recursive || config.dereference_symlinks())
    }

    #[cfg(feature = "notify-9")]
    fn watched_paths(&self) -> Result<Vec<(PathBuf, RecursiveMode)>> {
        let mode =
            |is_tree| if is_tree { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        let state = lock(&self.state);
        let roots = state.tokens.values().map(|token| &state.roots[token]);
        Ok(roots.map(|root| (root.shown.clone(), mode(root.is_tree))).collect())
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

/// Delivers events until the watcher is stopped.
fn read(
    mut watcher: tinotify::Watcher,
    mut translator: Translator,
    mut handler: impl EventHandler,
) {
    loop {
        let (events, is_over) = match watcher.recv() {
            Ok(event) => (translator.translate(&event), false),
            Err(WatchError::Stopped(_)) => return,
            Err(error) => {
                let is_over = matches!(error, WatchError::Inotify(_) | WatchError::Decode(_));
                (vec![Err(to_error(&error, PathBuf::new()))], is_over)
            }
        };
        events.into_iter().for_each(|event| handler.handle_event(event));
        if is_over {
            return;
        }
    }
}

/// Makes events of notify out of those of tinotify.
struct Translator {
    state: Arc<Mutex<State>>,
    /// Halves of renames whose other half may follow: tracker, side and path.
    halves: VecDeque<(usize, RenameMode, PathBuf)>,
}

impl Translator {
    fn translate(&mut self, event: &WatchEvent<'_>) -> Vec<Result<Event>> {
        use TreeChange::{Exchanged, Renamed, RootMoved, Unlisted, Unwatched};
        if event.is_overflow() {
            return vec![Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))];
        }
        let state = Arc::clone(&self.state);
        let mut state = lock(&state);
        let Some(token) = event.token() else { return Vec::new() };
        if event.is_ignored() {
            state.remove(token);
        }
        let Some(root) = state.roots.get_mut(&token) else { return Vec::new() };
        let change = event.tree_change();
        root.has_moved |=
            event.kind() == tinotify::EventKind::MoveSelf || change == Some(RootMoved);

        let (root, kinds, path) = (&state.roots[&token], state.kinds, event.path());
        let is_ours = |path: &Path| {
            !path.parent().is_some_and(|dir| state.is_reported_by_older(token, root, dir))
        };
        let mut events = Vec::new();
        let mut rename = |tracker, side, path: &Path| {
            if is_ours(path) {
                self.rename(tracker, side, path, &mut events);
            }
        };
        let tracker = event.cookie() as usize;
        match (change, event.kind()) {
            (Some(Unwatched(Barred::Errno(errno)) | Unlisted(errno)), _) => {
                return vec![Err(errno_error(errno, path))];
            }
            (Some(Renamed { from }), _) => {
                rename(tracker, RenameMode::From, from);
                rename(tracker, RenameMode::To, &path);
            }
            (Some(Exchanged { with }), _) => {
                rename(tracker, RenameMode::From, with);
                rename(tracker, RenameMode::To, &path);
                rename(!tracker, RenameMode::From, &path);
                rename(!tracker, RenameMode::To, with);
            }
            (_, tinotify::EventKind::MovedFrom) => rename(tracker, RenameMode::From, &path),
            (_, tinotify::EventKind::MovedTo) => rename(tracker, RenameMode::To, &path),
            _ if event.name().is_some() && !is_ours(&path) => {}
            _ => {
                let kind =
                    kinds_of(event, root.is_dir).into_iter().flatten().find(|k| kinds.contains(k));
                let is_unmounted = kind == Some(EventKind::Remove(RemoveKind::Other));
                let event = kind.map(|kind| Event::new(kind).add_path(path));
                let event = event.map(|e| if is_unmounted { e.set_info("unmount") } else { e });
                events.extend(event);
            }
        }
        events.into_iter().filter(|event| kinds.contains(&event.kind)).map(Ok).collect()
    }

    /// Appends one half of a rename, and then the rename if this is its second half.
    fn rename(&mut self, tracker: usize, side: RenameMode, path: &Path, events: &mut Vec<Event>) {
        let named =
            |side| Event::new(EventKind::Modify(ModifyKind::Name(side))).set_tracker(tracker);
        events.push(named(side).add_path(path.to_owned()));
        let is_other = |half: &(usize, RenameMode, _)| half.0 == tracker && half.1 != side;
        match self.halves.iter().position(is_other).and_then(|other| self.halves.remove(other)) {
            Some((_, _, other)) => {
                let is_to = side == RenameMode::To;
                let (from, to) = if is_to { (other, path.into()) } else { (path.into(), other) };
                events.push(named(RenameMode::Both).add_path(from).add_path(to));
            }
            None => {
                self.halves.truncate(15);
                self.halves.push_front((tracker, side, path.to_owned()));
            }
        }
    }
}

/// Returns what an event other than a rename is for notify. The first kind that was asked for counts.
fn kinds_of(event: &WatchEvent<'_>, root_is_dir: bool) -> [Option<EventKind>; 3] {
    use TreeChange::{Discovered, Reported, RootMoved, RootRemoved, RootUnmounted};
    use tinotify::EventKind as Kind;
    let is_dir = event.is_dir() || event.name().is_none() && root_is_dir;
    let create = if is_dir { CreateKind::Folder } else { CreateKind::File };
    let remove = if is_dir { RemoveKind::Folder } else { RemoveKind::File };
    let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let kind = match (event.tree_change(), event.kind()) {
        (Some(RootMoved), _) => EventKind::Modify(ModifyKind::Name(RenameMode::From)),
        (Some(RootRemoved), _) => EventKind::Remove(remove),
        (Some(RootUnmounted), _) => EventKind::Remove(RemoveKind::Other),
        // What was in a new file is found with it.
        (Some(Discovered), Kind::Create) if !is_dir => {
            return [Some(EventKind::Create(create)), Some(data), Some(written)];
        }
        (Some(Discovered), Kind::Modify) => EventKind::Modify(ModifyKind::Any),
        (Some(change), _) if !matches!(change, Discovered | Reported) => return [None; 3],
        (_, Kind::Create) => EventKind::Create(create),
        (_, Kind::Delete | Kind::DeleteSelf) => EventKind::Remove(remove),
        (_, Kind::MoveSelf) => EventKind::Modify(ModifyKind::Name(RenameMode::From)),
        (_, Kind::Unmount) => EventKind::Remove(RemoveKind::Other),
        (_, Kind::Modify) => data,
        (_, Kind::Attrib) => EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        (_, Kind::Open) => EventKind::Access(AccessKind::Open(AccessMode::Any)),
        (_, Kind::CloseWrite) => written,
        (_, Kind::CloseNoWrite) => EventKind::Access(AccessKind::Close(AccessMode::Read)),
        _ => return [None; 3],
    };
    [Some(kind), None, None]
}

fn absolute(path: &Path) -> Result<PathBuf> {
    if path.is_absolute() { Ok(path.to_owned()) } else { Ok(env::current_dir()?.join(path)) }
}

fn errno_error(errno: Errno, path: PathBuf) -> Error {
    // The limit of watches, which reads as a full disk otherwise.
    let is_limit = errno == Errno::ENOSPC;
    let error =
        if is_limit { Error::new(ErrorKind::MaxFilesWatch) } else { Error::io_watch(errno.into()) };
    error.add_path(path)
}

fn to_error(error: &WatchError, path: PathBuf) -> Error {
    match error {
        WatchError::Path { path, error } if error.errno().is_some() => {
            errno_error(error.errno().unwrap(), path.clone())
        }
        _ => Error::io(io::Error::from(error.clone())).add_path(path),
    }
}
