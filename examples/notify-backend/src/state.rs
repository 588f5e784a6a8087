//! The watched paths, which the calls and the reading thread share, and which watch reports a directory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use notify::event::EventKindMask;
use tinotify::WatchId;

/// The shared state. No call to tinotify is made under its lock.
#[derive(Debug)]
pub struct State {
    /// All watches by their tokens. Older watches have smaller tokens.
    pub roots: BTreeMap<u64, Root>,
    /// The token of each absolute path.
    pub tokens: HashMap<PathBuf, u64>,
    pub last_token: u64,
    pub kinds: EventKindMask,
    pub follow_links: bool,
}

/// A watched path.
#[derive(Clone, Debug)]
pub struct Root {
    /// `None` during the set-up.
    pub id: Option<WatchId>,
    /// The path in events.
    pub shown: PathBuf,
    pub absolute: PathBuf,
    /// The path without symbolic links.
    pub real: PathBuf,
    pub inode: (u64, u64),
    pub is_dir: bool,
    pub is_tree: bool,
    /// `true` if the symbolic link itself is watched.
    pub is_link: bool,
    /// The absolute paths of the directories that a tree does not watch.
    pub excluded: HashSet<PathBuf>,
    /// `true` if another directory may be at the path now.
    pub has_moved: bool,
}

impl Root {
    /// Returns `true` if both are the same watch of the same file.
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |root: &Self| (root.inode, root.is_tree, root.is_link);
        key(self) == key(other) && self.shown == other.shown
    }
}

impl State {
    pub fn new(kinds: EventKindMask, follow_links: bool) -> Self {
        let (roots, tokens) = (BTreeMap::new(), HashMap::new());
        Self { roots, tokens, last_token: 0, kinds, follow_links }
    }

    /// Adds a watch during its set-up, and returns its token.
    pub fn insert(&mut self, root: Root) -> u64 {
        self.last_token += 1;
        self.roots.insert(self.last_token, root);
        self.last_token
    }

    /// Ends the set-up of a watch that replaces a previous one, if any. Returns the previous one.
    pub fn replace(&mut self, previous: Option<u64>, token: u64, id: WatchId) -> Option<WatchId> {
        if let Some(root) = self.roots.get_mut(&token) {
            root.id = Some(id);
            self.tokens.insert(root.absolute.clone(), token);
        }
        self.remove(previous?)?.id
    }

    pub fn remove(&mut self, token: u64) -> Option<Root> {
        let root = self.roots.remove(&token)?;
        if self.tokens.get(&root.absolute) == Some(&token) {
            self.tokens.remove(&root.absolute);
        }
        Some(root)
    }

    /// Marks the watched paths beneath `old` as moved. `old` is a path in an event of the watch `token`.
    pub fn move_away(&mut self, token: u64, old: &Path) {
        let root = &self.roots[&token];
        let Ok(beneath) = old.strip_prefix(&root.shown) else { return };
        let old = root.absolute.join(beneath);
        let moved = self.roots.values_mut().filter(|root| root.absolute.starts_with(&old));
        moved.for_each(|root| root.has_moved = true);
    }

    /// Returns `true` if an older watch than `token` reports what happens in the directory of `path`.
    pub fn is_reported_by_older(&self, token: u64, path: &Path) -> bool {
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
}
