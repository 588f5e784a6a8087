//! A simulated file system, and the events of its changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quickcheck::{Arbitrary, Gen};
use tinotify::{EventMask, TreeChange, WatchEventBuf};

use super::{plain, tree};

/// A file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub is_dir: bool,
    /// A new number after each write. Always 0 for a directory.
    pub content: u32,
    /// Whether it was created or written since the last `settle`.
    pub touched: bool,
}

pub type Nodes = BTreeMap<PathBuf, Node>;

/// The index of a path.
pub type At = u8;

#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Writes a file, and creates it if necessary.
    Write(At),
    Touch(At),
    MakeDir(At),
    /// Removes a file, or a directory with everything beneath it.
    Remove(At),
    Rename(At, At),
    Exchange(At, At),
    /// Moves in a file, or a directory with one file, from an unwatched directory.
    MoveIn(At, bool),
    MoveOut(At),
}

fn below(g: &mut Gen, end: usize) -> usize {
    usize::arbitrary(g) % end
}

impl Arbitrary for Act {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut at = || {
            let end = if bool::arbitrary(g) { NAMES } else { PATHS };
            below(g, end) as u8
        };
        let (a, b) = (at(), at());
        match below(g, 24) {
            0..6 => Self::Write(a),
            6 => Self::Touch(a),
            7..10 => Self::MakeDir(a),
            10..13 => Self::Remove(a),
            13..20 => Self::Rename(a, b),
            20 => Self::Exchange(a, b),
            21 | 22 => Self::MoveIn(a, bool::arbitrary(g)),
            _ => Self::MoveOut(a),
        }
    }
}

const NAMES: usize = 3;
const PATHS: usize = NAMES + NAMES * NAMES + NAMES * NAMES * NAMES;

/// Returns a path of up to three levels. One name is a prefix of another, so that other paths sort between
/// a directory and its entries.
fn path(at: At) -> PathBuf {
    let mut at = usize::from(at) % PATHS;
    let mut path = PathBuf::from("/r");
    let mut levels = 1;
    for count in [NAMES, NAMES * NAMES] {
        if at < count {
            break;
        }
        at -= count;
        levels += 1;
    }
    for _ in 0..levels {
        path.push(["a", "a-", "b"][at % NAMES]);
        at /= NAMES;
    }
    path
}

#[derive(Clone, Debug)]
pub struct World {
    pub nodes: Nodes,
    written: u32,
    cookie: u32,
    /// `true` if a rename is one event, as in a tree, `false` if it is two.
    in_tree: bool,
}

impl World {
    pub fn new(in_tree: bool) -> Self {
        Self { nodes: Nodes::new(), written: 0, cookie: 0, in_tree }
    }

    /// Resets `touched` of all nodes.
    pub fn settle(&mut self) {
        self.nodes.values_mut().for_each(|node| node.touched = false);
    }

    /// Returns the path with this index. A plain watch covers only one level.
    pub fn path(&self, at: At) -> PathBuf {
        path(if self.in_tree { at } else { at % NAMES as u8 })
    }

    fn parent_is_dir(&self, path: &Path) -> bool {
        let parent = path.parent().unwrap();
        parent == Path::new("/r") || self.nodes.get(parent).is_some_and(|node| node.is_dir)
    }

    fn beneath(&self, path: &Path) -> Vec<PathBuf> {
        let beneath = self.nodes.keys().filter(|other| other.starts_with(path) && *other != path);
        beneath.cloned().collect()
    }

    fn take(&mut self, path: &Path) -> Nodes {
        let paths = self.nodes.keys().filter(|other| other.starts_with(path)).cloned();
        let paths: Vec<PathBuf> = paths.collect();
        paths.into_iter().map(|path| (path.clone(), self.nodes.remove(&path).unwrap())).collect()
    }

    fn event(
        &self,
        mask: EventMask,
        path: &Path,
        is_dir: bool,
        change: TreeChange<'_>,
    ) -> WatchEventBuf {
        let mask = if is_dir { mask | EventMask::ISDIR } else { mask };
        if self.in_tree { tree(mask, path, change) } else { plain(mask, path, 0) }
    }

    fn reported(&self, mask: EventMask, path: &Path, is_dir: bool) -> WatchEventBuf {
        self.event(mask, path, is_dir, TreeChange::Reported)
    }

    /// Makes a change if it is possible. Returns its events.
    pub fn act(&mut self, act: Act) -> Vec<WatchEventBuf> {
        match act {
            Act::Write(at) => self.write(&self.path(at)),
            Act::Touch(at) => {
                let path = self.path(at);
                let node = self.nodes.get(&path);
                node.map(|node| self.reported(EventMask::ATTRIB, &path, node.is_dir))
                    .into_iter()
                    .collect()
            }
            Act::MakeDir(at) => {
                let path = self.path(at);
                if self.nodes.contains_key(&path) || !self.parent_is_dir(&path) {
                    return Vec::new();
                }
                self.nodes.insert(path.clone(), Node { is_dir: true, content: 0, touched: true });
                vec![self.reported(EventMask::CREATE, &path, true)]
            }
            Act::Remove(at) => {
                let path = self.path(at);
                let gone = self.take(&path);
                let gone = gone.iter().rev();
                gone.map(|(path, node)| self.reported(EventMask::DELETE, path, node.is_dir))
                    .collect()
            }
            Act::Rename(from, to) => self.rename(&self.path(from), &self.path(to)),
            Act::Exchange(a, b) => self.exchange(&self.path(a), &self.path(b)),
            Act::MoveIn(at, is_dir) => self.move_in(&self.path(at), is_dir),
            Act::MoveOut(at) => {
                let path = self.path(at);
                let gone = self.take(&path);
                let first = gone.first_key_value();
                let event = first
                    .map(|(path, node)| self.reported(EventMask::MOVED_FROM, path, node.is_dir));
                event.into_iter().collect()
            }
        }
    }

    fn content(&mut self) -> u32 {
        self.written += 1;
        self.written
    }

    fn write(&mut self, path: &Path) -> Vec<WatchEventBuf> {
        let is_new = match self.nodes.get(path) {
            Some(node) if node.is_dir => return Vec::new(),
            Some(_) => false,
            None if !self.parent_is_dir(path) => return Vec::new(),
            None => true,
        };
        let node = Node { is_dir: false, content: self.content(), touched: true };
        self.nodes.insert(path.to_owned(), node);
        let masks = [EventMask::CREATE, EventMask::MODIFY, EventMask::CLOSE_WRITE];
        let masks = masks.into_iter().skip(usize::from(!is_new));
        masks.map(|mask| self.reported(mask, path, false)).collect()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Vec<WatchEventBuf> {
        let Some(&node) = self.nodes.get(from) else { return Vec::new() };
        let fits = self.nodes.get(to).is_none_or(|old| old.is_dir == node.is_dir);
        let is_empty = self.beneath(to).is_empty();
        if !fits || !is_empty || to.starts_with(from) || !self.parent_is_dir(to) {
            return Vec::new();
        }
        self.nodes.remove(to);
        for (path, node) in self.take(from) {
            let beneath = path.strip_prefix(from).unwrap();
            let path =
                if beneath.as_os_str().is_empty() { to.to_owned() } else { to.join(beneath) };
            self.nodes.insert(path, node);
        }
        if self.in_tree {
            let change = TreeChange::Renamed { from };
            return vec![self.event(EventMask::MOVED_TO, to, node.is_dir, change)];
        }
        self.cookie += 1;
        let dir = if node.is_dir { EventMask::ISDIR } else { EventMask::empty() };
        vec![
            plain(EventMask::MOVED_FROM | dir, from, self.cookie),
            plain(EventMask::MOVED_TO | dir, to, self.cookie),
        ]
    }

    fn exchange(&mut self, a: &Path, b: &Path) -> Vec<WatchEventBuf> {
        let is_dir = |path| self.nodes.get(path).is_some_and(|node: &Node| node.is_dir);
        if !self.in_tree || !is_dir(a) || !is_dir(b) || a.starts_with(b) || b.starts_with(a) {
            return Vec::new();
        }
        exchange(&mut self.nodes, a, b);
        vec![self.event(EventMask::MOVED_TO, a, true, TreeChange::Exchanged { with: b })]
    }

    fn move_in(&mut self, path: &Path, is_dir: bool) -> Vec<WatchEventBuf> {
        let fits = self.nodes.get(path).is_none_or(|old| old.is_dir == is_dir);
        if !fits || !self.beneath(path).is_empty() || !self.parent_is_dir(path) {
            return Vec::new();
        }
        let content = if is_dir { 0 } else { self.content() };
        self.nodes.insert(path.to_owned(), Node { is_dir, content, touched: true });
        let mut events = vec![self.reported(EventMask::MOVED_TO, path, is_dir)];
        if is_dir && self.in_tree && path.components().count() < 5 {
            let file = path.join("b");
            let node = Node { is_dir: false, content: self.content(), touched: true };
            self.nodes.insert(file.clone(), node);
            events.push(self.event(EventMask::CREATE, &file, false, TreeChange::Discovered));
        }
        events
    }
}

/// Exchanges two directories.
pub fn exchange(nodes: &mut Nodes, a: &Path, b: &Path) {
    let old = std::mem::take(nodes);
    for (path, node) in old {
        let path = match (path.strip_prefix(a), path.strip_prefix(b)) {
            (Ok(beneath), _) => b.join(beneath),
            (_, Ok(beneath)) => a.join(beneath),
            _ => path,
        };
        // `components` removes a slash at the end.
        nodes.insert(path.components().collect(), node);
    }
}
