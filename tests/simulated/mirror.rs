//! What somebody knows who only hears the events: it must be the truth whenever all is quiet.

use std::collections::HashSet;

use tinotify::EventMask;
use tinotify::tree::{TreeEvent, TreeKind};

use super::names::{DEEPEST, PRUNED, Path};
use super::rules::Rules;
use super::world::{Ino, World};

/// An entry of the tree as it is.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub path: Path,
    pub is_dir: bool,
    pub ino: Ino,
    /// Whether it is a directory that is to be watched.
    pub entered: bool,
}

/// All that is in the tree, parents first; of what is not entered only the entry.
pub fn truth(world: &World) -> Vec<Entry> {
    let rules = &world.rules;
    let root = Entry { path: Path::ROOT, is_dir: true, ino: world.root, entered: true };
    let mut entries = vec![root];
    let mut next = 0;
    while let Some(&dir) = entries.get(next) {
        next += 1;
        if !dir.entered || dir.path.depth() > DEEPEST {
            continue;
        }
        for (name, ino) in &world.nodes[dir.ino].entries {
            let (path, ino) = (dir.path.join(*name), world.over(*ino));
            let entered = world.is_dir(ino)
                && rules.depth.is_none_or(|depth| path.depth() <= depth)
                && !(rules.prune && *name == PRUNED)
                && !(rules.same_fs && world.nodes[ino].dev != world.nodes[world.root].dev);
            entries.push(Entry { path, is_dir: world.is_dir(ino), ino, entered });
        }
    }
    entries
}

pub struct Mirror {
    entries: Vec<(Path, bool)>,
    /// Directories that were said to be unwatched: nothing is known of what is in them.
    excused: Vec<Path>,
    /// Directories that could not be compared: what is in them may differ.
    unlisted: Vec<Path>,
    /// Events were lost, and what is told meanwhile may be known already.
    pub tolerant: bool,
    /// Whether it still knows of files, too.
    pub knows_files: bool,
    /// Nothing is known yet: the first quiet shows what there was at the beginning.
    pub learning: bool,
    /// Files of which something was told since the last quiet.
    touched: HashSet<Path>,
    /// The files that were there at the last quiet.
    versions: Vec<(Path, Ino, u64)>,
    /// Why a directory may be said to be unwatched.
    rules: Rules,
    pub overflows: u32,
}

impl Mirror {
    pub fn new(rules: Rules) -> Self {
        Self {
            entries: vec![(Path::ROOT, true)],
            excused: Vec::new(),
            unlisted: Vec::new(),
            tolerant: false,
            knows_files: true,
            learning: !rules.existing,
            touched: HashSet::new(),
            versions: Vec::new(),
            rules,
            overflows: 0,
        }
    }

    fn get(&self, path: Path) -> Option<bool> {
        self.entries.iter().find(|entry| entry.0 == path).map(|entry| entry.1)
    }

    fn remove(&mut self, path: Path) {
        self.entries.retain(|entry| !entry.0.is_in(path));
        self.excused.retain(|excused| !excused.is_in(path));
        self.unlisted.retain(|unlisted| !unlisted.is_in(path));
    }

    fn is_excused(&self, path: Path) -> bool {
        self.excused.iter().any(|excused| path != *excused && path.is_in(*excused))
    }

    fn is_unlisted(&self, path: Path) -> bool {
        self.unlisted.iter().any(|unlisted| path.is_in(*unlisted))
    }

    /// Takes what was told.
    pub fn hear(&mut self, world: &World, event: &TreeEvent) -> Result<(), String> {
        let parse = |bytes: &[u8]| {
            Path::parse(bytes).ok_or_else(|| format!("no path of this world: {event}"))
        };
        let path = parse(&event.path)?;
        let is_dir = event.mask.contains(EventMask::ISDIR);
        let told = |bits| event.mask.intersects(bits);
        match &event.kind {
            TreeKind::Overflow => {
                self.overflows += 1;
                self.tolerant = true;
                if !self.rules.snapshot {
                    self.knows_files = false;
                    self.entries.retain(|entry| entry.1);
                }
                return Ok(());
            }
            TreeKind::Unwatched(barred) => {
                self.may_be_unwatched(&format!("{barred:?}"))?;
                self.entries.retain(|entry| entry.0 == path || !entry.0.is_in(path));
                self.excused.push(path);
                return Ok(());
            }
            TreeKind::Renamed { from } => {
                let from = parse(from)?;
                self.existed(world, from, false)?;
                self.existed(world, path, false)?;
                return self.rename(from, path, is_dir);
            }
            TreeKind::Exchanged { with } => {
                let with = parse(with)?;
                self.existed(world, with, false)?;
                self.existed(world, path, false)?;
                for entry in &mut self.entries {
                    if entry.0.is_in(with) {
                        entry.0 = entry.0.moved(with, path);
                    } else if entry.0.is_in(path) {
                        entry.0 = entry.0.moved(path, with);
                    }
                }
                for excused in self.excused.iter_mut().chain(&mut self.unlisted) {
                    if excused.is_in(with) {
                        *excused = excused.moved(with, path);
                    } else if excused.is_in(path) {
                        *excused = excused.moved(path, with);
                    }
                }
                for (one, other) in [(with, path), (path, with)] {
                    let moved: Vec<Path> = self.touched.iter().filter(|p| p.is_in(one)).map(|p| p.moved(one, other)).collect();
                    self.touched.extend(moved);
                    self.forget_excluded(one);
                }
                return Ok(());
            }
            TreeKind::Unlisted(_) => { self.unlisted.push(path); return Ok(()); }
            TreeKind::Watched => { self.excused.retain(|excused| *excused != path); self.unlisted.retain(|p| *p != path); return Ok(()); }
            TreeKind::Told => self.existed(world, path, true)?,
            TreeKind::Found => self.existed(world, path, false)?,
            _ => return Ok(()),
        }
        if self.is_excused(path) {
            return Ok(());
        }
        if told(EventMask::CREATE | EventMask::MOVED_TO) {
            self.touched.insert(path);
            let parent = self.get(path.parent());
            if parent != Some(true) && !self.learning {
                return Err("its parent was not told before".into());
            }
            let known = self.get(path);
            // Who keeps no file names may find a directory in the place of a file.
            let found = event.kind == TreeKind::Found && is_dir && !self.rules.snapshot;
            let replaces = found && known == Some(false)
                || told(EventMask::MOVED_TO) && (known == Some(false) || known == Some(is_dir));
            if known.is_some() && !replaces && !self.tolerant && !self.learning && !self.is_unlisted(path) {
                return Err("told again".into());
            }
            self.remove(path);
            if is_dir || self.knows_files {
                self.entries.push((path, is_dir));
            }
        } else if told(EventMask::DELETE | EventMask::MOVED_FROM) {
            let known = self.get(path);
            let matters = is_dir || self.knows_files;
            if known != Some(is_dir) && matters && !self.tolerant && !self.learning && !self.is_unlisted(path) {
                return Err("gone, but never told to be there".into());
            }
            self.remove(path);
        } else if told(EventMask::UNMOUNT) {
            self.entries.retain(|entry| entry.0 == path || !entry.0.is_in(path));
            self.excused.retain(|excused| *excused == path || !excused.is_in(path));
        } else if told(EventMask::MODIFY) {
            self.touched.insert(path);
        }
        Ok(())
    }

    fn rename(&mut self, from: Path, to: Path, is_dir: bool) -> Result<(), String> {
        if to.is_in(from) {
            return Err("renamed into itself".into());
        }
        if self.is_excused(from) || self.is_excused(to) {
            // It comes out of the unknown, or goes there.
            self.remove(from);
            self.remove(to);
            if !self.is_excused(to) {
                self.entries.push((to, is_dir));
                // What is in it was perhaps never told.
                if is_dir {
                    self.excused.push(to);
                }
            }
            return Ok(());
        }
        let strict = !self.tolerant && !self.learning && !self.is_unlisted(from) && (is_dir || self.knows_files);
        if strict && self.get(from) != Some(is_dir) {
            return Err("renamed, but never told to be there".into());
        }
        if strict && self.get(to.parent()) != Some(true) {
            return Err("renamed to where no directory was told".into());
        }
        self.remove(to);
        for entry in &mut self.entries {
            if entry.0.is_in(from) {
                entry.0 = entry.0.moved(from, to);
            }
        }
        for excused in self.excused.iter_mut().chain(&mut self.unlisted) {
            if excused.is_in(from) {
                *excused = excused.moved(from, to);
            }
        }
        let moved = self.touched.iter().filter(|path| path.is_in(from));
        let moved: Vec<Path> = moved.map(|path| path.moved(from, to)).collect();
        self.touched.extend(moved);
        self.touched.insert(to);
        if self.get(to).is_none() && (is_dir || self.knows_files) {
            self.entries.push((to, is_dir));
        }
        if is_dir {
            self.forget_excluded(to);
        }
        Ok(())
    }

    /// Of what is not watched any more, nothing is known.
    fn forget_excluded(&mut self, to: Path) {
        if self.is_barred(to) {
            self.entries.retain(|entry| entry.0 == to || !entry.0.is_in(to));
        }
        if let Some(depth) = self.rules.depth {
            self.entries.retain(|entry| entry.0.depth() <= depth + 1);
        }
    }

    fn is_barred(&self, path: Path) -> bool {
        self.rules.prune && path.name() == PRUNED
            || self.rules.depth.is_some_and(|depth| path.depth() > depth)
    }

    fn may_be_unwatched(&self, why: &str) -> Result<(), String> {
        let rules = &self.rules;
        let may = if why.contains("Twice") {
            rules.binds
        } else if why.contains("ENOSPC") {
            rules.watch_limit < u32::MAX || rules.last_wd < i32::MAX || rules.faults > 0
        } else if why.contains("EACCES") {
            rules.unreadable || rules.faults > 0
        } else {
            rules.faults > 0
                && ["EMFILE", "ENFILE", "ENOMEM"].iter().any(|errno| why.contains(errno))
        };
        if may { Ok(()) } else { Err(format!("nothing here gives {why}")) }
    }

    /// No path is told that never was. Only where something was found by looking, or was watched
    /// while a rename was on its way, may a path be made of parts of which each was.
    fn existed(&self, world: &World, path: Path, told: bool) -> Result<(), String> {
        let still = self.rules.split_renames == 0 && self.rules.heat == 0;
        if self.is_unlisted(path) {
            return Ok(());
        }
        let strict = told && still && !self.tolerant && !self.learning;
        let existed = if strict { world.ever_was(path) } else { world.ever_fitted(path) };
        if existed { Ok(()) } else { Err("such a path never existed".into()) }
    }

    /// Compares what is known with what is, when all is quiet.
    pub fn compare(&mut self, world: &World, truth: &[Entry]) -> Result<(), String> {
        if self.learning {
            self.learning = false;
            let known = truth.iter().filter(|entry| !self.is_excused(entry.path));
            self.entries = known.map(|entry| (entry.path, entry.is_dir)).collect();
        }
        self.tolerant = false;
        for entry in truth {
            if self.is_excused(entry.path) || self.is_unlisted(entry.path) || !(entry.is_dir || self.knows_files) {
                continue;
            }
            if self.get(entry.path) != Some(entry.is_dir) {
                return Err(format!("never told: {} (inode {})", entry.path, entry.ino));
            }
        }
        let entries = self.entries.clone();
        for (path, is_dir) in entries {
            if self.is_excused(path) || self.is_unlisted(path) || !(is_dir || self.knows_files) {
                continue;
            }
            if !truth.iter().any(|entry| (entry.path, entry.is_dir) == (path, is_dir)) {
                return Err(format!("told, but it is not there: {path}"));
            }
        }
        self.compare_content(world, truth)
    }

    /// In a snapshot, each change of a file is told, or that it may have changed.
    fn compare_content(&mut self, world: &World, truth: &[Entry]) -> Result<(), String> {
        use tinotify::WatchMask as W;
        if !self.rules.snapshot || !self.rules.mask.contains(W::MODIFY) {
            return Ok(());
        }
        for (path, ino, version) in &self.versions {
            let now = truth.iter().find(|entry| (entry.path, entry.ino) == (*path, *ino));
            let node = &world.nodes[*ino];
            if now.is_some()
                && node.version != *version
                && !node.was_linked
                && !self.touched.contains(path)
                && !self.is_excused(*path)
                && !self.is_unlisted(*path)
            {
                return Err(format!("changed, and not told: {path}"));
            }
        }
        self.touched.clear();
        self.versions = truth
            .iter()
            .filter(|entry| !entry.is_dir)
            .map(|entry| (entry.path, entry.ino, world.nodes[entry.ino].version))
            .collect();
        Ok(())
    }

    /// Whether a directory may be unwatched.
    pub fn may_be_blind(&self, path: Path) -> bool {
        self.excused.iter().any(|excused| path.is_in(*excused)) || self.is_unlisted(path)
    }
}
