//! The oracle for worlds in which links are followed.
//!
//! A link names an inode, so its target changes only when that is removed. A directory has one real path and
//! any number of paths through links, and the tree chooses the one by which it is watched.

use std::collections::BTreeMap;

use tinotify::EventMask;
use tinotify::tree::{TreeEvent, TreeKind};

use super::driver::Driver;
use super::inode::{Ino, Kind};
use super::names::{bytes, number};
use super::world::World;

type Path = Vec<u8>;

impl World {
    /// Resolves an inode: a link to a directory, if links are followed, to that directory.
    pub fn led(&self, ino: Ino) -> Ino {
        let target = self.nodes[ino].target.filter(|target| !self.nodes[*target].dead);
        target.filter(|_| self.rules.links).unwrap_or(ino)
    }

    pub fn leads_to_dir(&self, ino: Ino) -> bool {
        self.is_dir(self.led(ino))
    }

    /// Returns a name of a link.
    pub fn some_link(&mut self) -> Option<(Ino, super::names::Name)> {
        let all = self.nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::Dir);
        let entries = all.flat_map(|(dir, node)| node.entries.iter().map(move |e| (dir, *e)));
        let links: Vec<_> = entries
            .filter(|(_, (_, ino))| self.nodes[*ino].kind == Kind::Link)
            .map(|(dir, (name, _))| (dir, name))
            .collect();
        self.choices.pick(&links)
    }

    /// Returns the inode at a path beneath the root, and whether a link is on the way.
    fn reached(&self, path: &[u8]) -> Option<(Ino, bool)> {
        let (mut at, mut by_link) = (self.root, false);
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let entry = self.entry(at, number(name)?)?;
            at = self.led(entry);
            by_link |= at != entry;
        }
        Some((at, by_link))
    }

    fn is_beneath_root(&self, dir: Ino) -> bool {
        let up = |at: &Ino| self.nodes[*at].parent.map(|(parent, _)| parent);
        std::iter::successors(Some(dir), up).any(|at| at == self.root)
    }
}

/// The state of a program that knows only the reported events.
pub struct LinkMirror {
    /// The known paths, and whether each is a directory.
    entries: BTreeMap<Path, bool>,
    tolerant: bool,
    knows_files: bool,
}

impl Default for LinkMirror {
    fn default() -> Self {
        let entries = BTreeMap::from([(Path::new(), true)]);
        Self { entries, tolerant: false, knows_files: true }
    }
}

fn is_in(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn parent(path: &[u8]) -> Path {
    path.iter().rposition(|byte| *byte == b'/').map_or(Path::new(), |slash| path[..slash].to_vec())
}

impl LinkMirror {
    fn take(&mut self, top: &[u8]) -> Vec<(Path, bool)> {
        let taken = self.entries.iter().filter(|(path, _)| is_in(path, top));
        let taken: Vec<_> =
            taken.map(|(path, is_dir)| (path[top.len()..].to_vec(), *is_dir)).collect();
        self.entries.retain(|path, _| !is_in(path, top));
        taken
    }

    fn put(&mut self, top: &[u8], entries: Vec<(Path, bool)>) {
        for (rest, is_dir) in entries {
            self.entries.insert([top, &rest].concat(), is_dir);
        }
    }

    pub fn observe(&mut self, world: &World, event: &TreeEvent) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{event}: {why}"));
        let (path, is_dir) = (&event.path, event.mask.contains(EventMask::ISDIR));
        let matters = !self.tolerant && (is_dir || self.knows_files);
        let known = self.entries.get(path).copied();
        let has = |bits| event.mask.intersects(bits);
        match &event.kind {
            TreeKind::Overflow => {
                self.tolerant = true;
                if !world.rules.track_files {
                    self.knows_files = false;
                    self.entries.retain(|_, is_dir| *is_dir);
                }
            }
            TreeKind::Renamed { from } => {
                if matters && self.entries.get(from) != Some(&is_dir) {
                    return wrong("renamed, but never reported before");
                }
                let moved = self.take(from);
                self.take(path);
                self.put(path, moved);
                if is_dir || self.knows_files {
                    self.entries.insert(path.clone(), is_dir);
                }
            }
            TreeKind::Exchanged { with } => {
                let (one, other) = (self.take(with), self.take(path));
                self.put(path, one);
                self.put(with, other);
            }
            TreeKind::Reported | TreeKind::Discovered
                if has(EventMask::CREATE | EventMask::MOVED_TO) =>
            {
                if self.entries.get(&parent(path)) != Some(&true) && !self.tolerant {
                    return wrong("its parent was not reported before");
                }
                // A link that was reported as a file may later lead to a directory.
                let may = has(EventMask::MOVED_TO) || is_dir && known == Some(false);
                if matters && known.is_some() && !may {
                    return wrong("reported again");
                }
                self.take(path);
                if is_dir || self.knows_files {
                    self.entries.insert(path.clone(), is_dir);
                }
            }
            TreeKind::Reported | TreeKind::Discovered
                if has(EventMask::DELETE | EventMask::MOVED_FROM) =>
            {
                if matters && known != Some(is_dir) {
                    return wrong("gone, but never reported before");
                }
                self.take(path);
            }
            _ => {}
        }
        Ok(())
    }

    pub fn compare_at_rest(
        &mut self,
        world: &World,
        driver: &Driver,
        index: usize,
    ) -> Result<(), String> {
        let known: BTreeMap<Path, i32> = driver.directories(index).into_iter().collect();
        let mut truth = BTreeMap::from([(Path::new(), true)]);
        let mut times: BTreeMap<Ino, u32> = BTreeMap::new();
        for (path, &wd) in &known {
            let shown = path.escape_ascii();
            let Some((ino, by_link)) = world.reached(path).filter(|(ino, _)| world.is_dir(*ino))
            else {
                return Err(format!("known, but it does not exist: {shown} with wd {wd}"));
            };
            let is = world.nodes[ino].wd;
            if is == 0 || wd != 0 && wd != is {
                return Err(format!("{shown} (inode {ino}) has wd {is}, known is {wd}"));
            }
            if wd == 0 {
                continue;
            }
            if by_link && world.is_beneath_root(ino) {
                return Err(format!("watched through a link, but it has a real path: {shown}"));
            }
            *times.entry(ino).or_default() += 1;
            for (name, entry) in &world.nodes[ino].entries {
                let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let path = [path, slash, bytes(*name)].concat();
                let is_dir = world.leads_to_dir(*entry);
                if is_dir != known.contains_key(&path) {
                    let shown = path.escape_ascii();
                    return Err(format!("{shown}: is a directory: {is_dir}, known: {}", !is_dir));
                }
                truth.insert(path, is_dir);
            }
        }
        let watched = world.nodes.iter().enumerate().filter(|(_, node)| node.wd != 0);
        for (ino, node) in watched {
            if times.get(&ino) != Some(&1) {
                return Err(format!("watched, but not known once: inode {ino}, wd {}", node.wd));
            }
        }
        if !driver.rests(index) {
            return Err("at rest, it keeps more than its nodes".into());
        }
        for (path, is_dir) in truth.iter().filter(|entry| *entry.1 || self.knows_files) {
            if self.entries.get(path) != Some(is_dir) {
                let shown = path.escape_ascii();
                return Err(format!(
                    "exists, but was not reported: {shown}, a directory: {is_dir}"
                ));
            }
        }
        if let Some(path) = self.entries.keys().find(|path| !truth.contains_key(*path)) {
            return Err(format!("reported, but it does not exist: {}", path.escape_ascii()));
        }
        (self.entries, self.tolerant, self.knows_files) = (truth, false, true);
        Ok(())
    }
}
