//! All paths and names that ever existed, to check reported paths.

use tinotify::EventMask;

use super::inode::{Ino, Kind};
use super::names::{DEEPEST, Name, Path};
use super::world::World;

impl World {
    /// Records the present paths.
    pub fn remember(&mut self) {
        for tree in 0..self.roots.len() {
            self.remember_beneath(self.roots[tree].1);
        }
    }

    fn remember_beneath(&mut self, root: Ino) {
        let mut stack = vec![(Path::ROOT, root)];
        self.paths.insert((root, 0));
        while let Some((path, dir)) = stack.pop() {
            let dir = self.over(dir);
            for (name, ino) in &self.nodes[dir].entries {
                let path = path.join(*name);
                self.paths.insert((root, path.0));
                if self.nodes[*ino].kind == Kind::Dir && path.depth() < DEEPEST {
                    stack.push((path, *ino));
                }
            }
        }
    }

    /// Returns `true` if this path ever existed.
    pub fn ever_was(&self, root: Ino, path: Path) -> bool {
        self.paths.contains(&(root, path.0))
    }

    /// Returns `true` if each name of the path was ever in a directory with the name before it. That is also
    /// true for a path that a scan composes while a directory further up is renamed.
    pub fn ever_fitted(&self, root: Ino, path: Path) -> bool {
        let mut at = vec![root];
        for name in path.names() {
            let mut next = Vec::new();
            for dir in at {
                for ino in self.named.get(&(dir, name)).into_iter().flatten() {
                    self.with_mounts(*ino, &mut next);
                }
            }
            at = next;
        }
        !at.is_empty()
    }

    pub fn enter(&mut self, dir: Ino, name: Name, ino: Ino) {
        self.nodes[dir].entries.push((name, ino));
        if self.is_dir(ino) {
            self.nodes[ino].parent = Some((dir, name));
        }
        let named = self.named.entry((dir, name)).or_default();
        if !named.contains(&ino) {
            named.push(ino);
        }
    }

    pub fn leave(&mut self, dir: Ino, name: Name) -> Option<Ino> {
        let entries = &mut self.nodes[dir].entries;
        let at = entries.iter().position(|entry| entry.0 == name)?;
        Some(entries.remove(at).1)
    }

    /// Adds a directory and everything that was ever mounted on it.
    fn with_mounts(&self, ino: Ino, found: &mut Vec<Ino>) {
        if !found.contains(&ino) {
            found.push(ino);
            for mounted in &self.nodes[ino].was_mounted {
                self.with_mounts(*mounted, found);
            }
        }
    }

    /// Notes a half of the rename of an inode. If no watch reports it, the engine can't know that it is the
    /// same inode.
    pub fn half(&mut self, dir: Ino, mask: EventMask, moved: Ino) {
        let is_reported = self.nodes[dir].wd != 0 && mask.bits() & self.nodes[dir].mask.bits() != 0;
        if !is_reported || !self.is_clear(dir) {
            self.make_unclear(moved);
        }
    }

    /// Returns `true` if each directory from here up is watched, and was never renamed without an event.
    fn is_clear(&self, dir: Ino) -> bool {
        let is_slow = self.rules.changes_before_calls == 0 && self.rules.split_renames == 0;
        let mut at = dir;
        loop {
            let node = &self.nodes[at];
            // The path of a new directory is certain only if no scan is ahead of the events.
            let is_sure = at < self.moves.first_new || is_slow;
            if node.wd == 0 || !is_sure || self.moves.unclear.contains(&at) {
                return false;
            }
            match node.parent {
                _ if at == self.root => return true,
                Some((parent, _)) => at = parent,
                None => return false,
            }
        }
    }

    pub fn make_unclear(&mut self, ino: Ino) {
        if self.moves.unclear.insert(ino) {
            for (_, beneath) in self.nodes[ino].entries.clone() {
                self.make_unclear(beneath);
            }
        }
    }
}
