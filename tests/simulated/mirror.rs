//! The state of a program that knows only the reported events. At rest, it must equal the world.

use std::collections::HashSet;

use tinotify::EventMask;
use tinotify::tree::{TreeEvent, TreeKind};

use super::excuses::{Excuse, Excuses, check_reason};
use super::inode::Ino;
use super::names::{EXCLUDED, Path};
use super::rules::Rules;
use super::truth::Entry;
use super::world::World;

/// An entry that was reported.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub path: Path,
    pub is_dir: bool,
    /// The inode, if it was there at the last rest.
    pub id: Option<Ino>,
    /// The number of its reported renames since.
    pub renames: u32,
}

pub struct Mirror {
    pub entries: Vec<Known>,
    /// The directories whose content is not known.
    pub excused: Excuses,
    /// Whether events were lost: until the next rest, a known entry may be reported again.
    pub tolerant: bool,
    /// Whether files are still known too.
    pub knows_files: bool,
    /// Whether nothing is known yet: the first rest shows what existed at set-up.
    pub learning: bool,
    /// The files with an event since the last rest.
    touched: HashSet<Path>,
    /// The files at the last rest.
    versions: Vec<(Path, Ino, u64)>,
    /// The rules, which give the reasons why a directory may be unwatched.
    pub rules: Rules,
    /// The root of the tree.
    root: Ino,
    pub overflows: u32,
    pub resyncs: u32,
    /// Whether events were lost, and `Resynced` has not been reported since.
    pub is_resyncing: bool,
    /// How often `Established` was reported.
    pub established: u32,
    /// Whether the tree has no check open.
    pub is_sure: bool,
    /// The reported paths that never existed, while a check was open.
    pub guesses: u64,
    /// The numbers of discovered entries and of reported renames.
    pub found: u64,
    pub renamed: u64,
    /// Whether an entry came from a directory with unknown content since the last rest.
    pub unclear: bool,
}

impl Mirror {
    pub fn new(rules: Rules, root: Ino) -> Self {
        Self {
            entries: vec![Known { path: Path::ROOT, is_dir: true, id: None, renames: 0 }],
            excused: Excuses::default(),
            tolerant: false,
            knows_files: true,
            learning: !rules.report_existing,
            touched: HashSet::new(),
            versions: Vec::new(),
            rules,
            root,
            overflows: 0,
            resyncs: 0,
            is_resyncing: false,
            established: 0,
            is_sure: true,
            guesses: 0,
            found: 0,
            renamed: 0,
            unclear: false,
        }
    }

    fn get(&self, path: Path) -> Option<bool> {
        self.entries.iter().find(|entry| entry.path == path).map(|entry| entry.is_dir)
    }

    fn add(&mut self, path: Path, is_dir: bool) {
        self.entries.push(Known { path, is_dir, id: None, renames: 0 });
    }

    fn remove(&mut self, path: Path) {
        self.entries.retain(|entry| !entry.path.is_in(path));
        self.excused.remove(path);
    }

    /// Forgets the entries beneath a path, but not the path itself.
    pub fn empty(&mut self, path: Path) {
        self.entries.retain(|entry| entry.path == path || !entry.path.is_in(path));
    }

    pub fn is_excused(&self, path: Path) -> bool {
        self.excused.cover(path)
    }

    /// Returns `true` if a file may come or go without an event.
    fn may_be_silent(&self, is_dir: bool) -> bool {
        !is_dir && self.rules.whiteouts > 0
    }

    /// Returns `true` if a change without an event may have happened, so that a scan shows more than the
    /// events.
    fn is_lenient(&self, world: &World, path: Path) -> bool {
        self.tolerant || self.learning || self.is_excused(path) || !world.silent.is_empty()
    }

    /// Applies a reported event.
    pub fn observe(&mut self, world: &World, event: &TreeEvent) -> Result<(), String> {
        let parse =
            |bytes: &[u8]| Path::parse(bytes).ok_or_else(|| format!("unknown path: {event}"));
        let path = parse(&event.path)?;
        let is_dir = event.mask.contains(EventMask::ISDIR);
        match &event.kind {
            TreeKind::Overflow => return self.observe_overflow(world),
            TreeKind::Established => {
                self.established += 1;
                let fits = self.established == 1;
                return fits.then_some(()).ok_or("the set-up is reported as complete twice".into());
            }
            TreeKind::Resynced => {
                self.resyncs += 1;
                self.is_resyncing = false;
                let fits = self.resyncs <= self.overflows;
                return fits.then_some(()).ok_or("resynced, but nothing was lost".into());
            }
            TreeKind::Unwatched(reason) => {
                let why = format!("{reason:?}");
                check_reason(&self.rules, &why)?;
                self.empty(path);
                self.excused.remove(path);
                self.excused.add(path, Excuse::Reported(why));
                return Ok(());
            }
            TreeKind::Unlisted(_) => {
                self.excused.add(path, Excuse::Unlisted);
                return Ok(());
            }
            TreeKind::Watched => {
                self.excused.remove_reported(path);
                return Ok(());
            }
            TreeKind::Exchanged { with } => {
                let with = parse(with)?;
                self.renamed += 2;
                self.existed(world, with, false)?;
                self.existed(world, path, false)?;
                return self.exchange(path, with);
            }
            TreeKind::Renamed { from } => {
                let from = parse(from)?;
                self.renamed += 1;
                self.existed(world, from, false)?;
                self.existed(world, path, false)?;
                return self.rename(world, from, path, is_dir);
            }
            TreeKind::Reported => self.existed(world, path, true)?,
            TreeKind::Discovered => {
                self.found += 1;
                self.existed(world, path, false)?;
            }
            _ => return Ok(()),
        }
        self.observe_entry(world, event, path, is_dir)
    }

    /// Applies an overflow. It may only be reported if the queue has lost events since the last one.
    fn observe_overflow(&mut self, world: &World) -> Result<(), String> {
        self.overflows += 1;
        self.is_resyncing = true;
        self.tolerant = true;
        if !self.rules.track_files {
            self.knows_files = false;
            self.entries.retain(|entry| entry.is_dir);
        }
        let fits = u64::from(self.overflows) <= world.queue.overflows_read;
        fits.then_some(()).ok_or("an overflow is reported, but the queue lost nothing".into())
    }

    fn observe_entry(
        &mut self,
        world: &World,
        event: &TreeEvent,
        path: Path,
        is_dir: bool,
    ) -> Result<(), String> {
        let has = |bits| event.mask.intersects(bits);
        let lenient = self.is_lenient(world, path);
        if has(EventMask::CREATE | EventMask::MOVED_TO) {
            self.touched.insert(path);
            let parent = self.get(path.parent());
            if parent != Some(true) && !lenient {
                return Err("its parent was not reported before".into());
            }
            let known = self.get(path);
            // A tree that does not track files may find a directory in the place of a file.
            let found = event.kind == TreeKind::Discovered && is_dir && !self.rules.track_files;
            let replaces = has(EventMask::MOVED_TO) && (known == Some(false) || is_dir)
                || found && known == Some(false);
            if known.is_some() && !replaces && !lenient && !self.may_be_silent(known == Some(true))
            {
                return Err("reported again".into());
            }
            self.remove(path);
            if is_dir || self.knows_files {
                self.add(path, is_dir);
            }
        } else if has(EventMask::DELETE | EventMask::MOVED_FROM) {
            let known = self.get(path);
            let matters = (is_dir || self.knows_files) && !self.may_be_silent(is_dir);
            if known != Some(is_dir) && matters && !lenient {
                return Err("gone, but never reported before".into());
            }
            self.was_empty(event, path, lenient)?;
            self.remove(path);
        } else if has(EventMask::UNMOUNT) {
            self.empty(path);
            self.excused.remove_beneath(path);
        } else if has(EventMask::MODIFY) {
            self.touched.insert(path);
        }
        Ok(())
    }

    /// Checks that a directory was empty before it is reported as removed by the kernel: each entry from the last
    /// rest has been reported as gone. Entries that came since, also with a renamed directory, are not checked: a
    /// scan may have found them ahead of the events, in a later directory of the same name. Subdirectories only while
    /// no check is open.
    fn was_empty(&self, event: &TreeEvent, path: Path, lenient: bool) -> Result<(), String> {
        let is_rmdir = event.kind == TreeKind::Reported
            && event.mask.contains(EventMask::DELETE | EventMask::ISDIR);
        if !is_rmdir || lenient {
            return Ok(());
        }
        let is_beneath = |entry: &&Known| entry.path != path && entry.path.is_in(path);
        let renamed = self.entries.iter().filter(is_beneath).filter(|entry| entry.renames > 0);
        let came: Vec<Path> = renamed.map(|entry| entry.path).collect();
        let is_kept = |entry: &&Known| {
            let is_certain = if entry.is_dir {
                self.is_sure
            } else {
                self.knows_files && !self.may_be_silent(false)
            };
            entry.id.is_some()
                && !came.iter().any(|came| entry.path.is_in(*came))
                && !self.is_excused(entry.path)
                && is_certain
        };
        match self.entries.iter().filter(is_beneath).find(is_kept) {
            Some(kept) => {
                Err(format!("removed, and this was not reported as gone before: {}", kept.path))
            }
            None => Ok(()),
        }
    }

    fn rename(&mut self, world: &World, from: Path, to: Path, is_dir: bool) -> Result<(), String> {
        if to.is_in(from) {
            return Err("renamed into itself".into());
        }
        if self.excused.hide(from) || self.excused.hide(to) {
            self.rename_unknown(from, to, is_dir);
            return Ok(());
        }
        let strict = !self.is_lenient(world, from)
            && (is_dir || self.knows_files)
            && !self.may_be_silent(is_dir);
        if strict && self.get(from) != Some(is_dir) {
            return Err("renamed, but never reported before".into());
        }
        if strict && self.get(to.parent()) != Some(true) {
            return Err("renamed to where no directory was reported".into());
        }
        self.remove(to);
        for entry in &mut self.entries {
            if entry.path.is_in(from) {
                entry.renames += u32::from(entry.path == from);
                entry.path = entry.path.moved(from, to);
            }
        }
        self.excused
            .change_paths(|path| if path.is_in(from) { path.moved(from, to) } else { path });
        let moved = self.touched.iter().filter(|path| path.is_in(from));
        let moved: Vec<Path> = moved.map(|path| path.moved(from, to)).collect();
        self.touched.extend(moved);
        self.touched.insert(to);
        if self.get(to).is_none() && (is_dir || self.knows_files) {
            self.add(to, is_dir);
        }
        if is_dir && !world.silent.is_empty() {
            // It may come from beneath a mount.
            self.excused.add(to, Excuse::Moved);
        }
        self.remove_excluded(to, is_dir);
        Ok(())
    }

    /// Applies a rename out of a directory with unknown content, or into one.
    fn rename_unknown(&mut self, from: Path, to: Path, is_dir: bool) {
        self.unclear = true;
        let moved = self.excused.moved(from, to);
        self.remove(from);
        self.remove(to);
        self.add(to, is_dir);
        if is_dir {
            // Its entries may never have been reported.
            self.excused.add(to, Excuse::Moved);
        }
        self.excused.extend(moved);
    }

    /// Forgets the entries that are excluded at the new path.
    fn remove_excluded(&mut self, to: Path, is_dir: bool) {
        if is_dir && self.is_excluded(to) {
            self.empty(to);
        }
        if let Some(depth) = self.rules.max_depth {
            self.entries.retain(|entry| entry.path.depth() <= depth + 1);
        }
    }

    /// Applies an exchange of two entries, each with everything beneath it.
    fn exchange(&mut self, one: Path, other: Path) -> Result<(), String> {
        if one.is_in(other) || other.is_in(one) {
            return Err("exchanged with an entry beneath it".into());
        }
        if !self.tolerant && !self.learning {
            for path in [one, other] {
                if self.get(path).is_none() && !self.is_excused(path) {
                    return Err(format!("exchanged, but never reported before: {path}"));
                }
            }
        }
        let swapped = |path: Path| {
            if path.is_in(one) {
                path.moved(one, other)
            } else if path.is_in(other) {
                path.moved(other, one)
            } else {
                path
            }
        };
        for entry in &mut self.entries {
            entry.renames += u32::from(entry.path == one || entry.path == other);
            entry.path = swapped(entry.path);
        }
        self.excused.change_paths(swapped);
        let touched: Vec<Path> = self.touched.iter().map(|path| swapped(*path)).collect();
        self.touched.extend(touched);
        for path in [one, other] {
            self.touched.insert(path);
            let is_dir = self.get(path) == Some(true);
            self.remove_excluded(path, is_dir);
        }
        Ok(())
    }

    fn is_excluded(&self, path: Path) -> bool {
        self.rules.exclude && path.name() == EXCLUDED
            || self.rules.max_depth.is_some_and(|depth| path.depth() > depth)
    }

    /// Checks that a reported path has existed, unless a check is open. Only a path that a scan found, or
    /// that was watched during a rename, may be composed of parts that existed at different times.
    fn existed(&mut self, world: &World, path: Path, reported: bool) -> Result<(), String> {
        // A directory beneath a mount still reports by its old path. A directory that others watched may
        // report events from before it came into the tree.
        let rules = &self.rules;
        let is_shared = rules.second_tree || rules.users > 0;
        let is_seen = rules.remounts == 0 && !is_shared;
        let still =
            self.rules.split_renames == 0 && self.rules.changes_before_calls == 0 && is_seen;
        if self.excused.include(path) {
            return Ok(());
        }
        let strict = reported && still && !self.tolerant && !self.learning;
        let existed = if strict {
            world.ever_was(self.root, path)
        } else {
            world.ever_fitted(self.root, path)
        };
        // A directory beneath a mount that was removed is known until a scan.
        let is_sure = self.is_sure && self.rules.remounts == 0;
        self.guesses += u64::from(!existed && !is_sure);
        if existed || !is_sure { Ok(()) } else { Err("such a path never existed".into()) }
    }

    /// Compares the known entries with the world, at rest.
    pub fn compare(&mut self, world: &World, truth: &[Entry]) -> Result<(), String> {
        if self.learning && self.excused.has_unlisted() {
            // Not all entries from the beginning are known yet.
            return Ok(());
        }
        if self.learning {
            self.learning = false;
            self.entries.clear();
            for entry in truth {
                if !self.is_excused(entry.path) {
                    self.add(entry.path, entry.is_dir);
                }
            }
        }
        self.tolerant = false;
        let may_be_silent = |entry: &Entry| entry.silent || self.is_excused(entry.path);
        for entry in truth {
            if may_be_silent(entry) || !(entry.is_dir || self.knows_files) {
                continue;
            }
            if self.get(entry.path) != Some(entry.is_dir) {
                return Err(format!("never reported: {} (inode {})", entry.path, entry.ino));
            }
        }
        let silent: Vec<Path> = truth.iter().filter(|e| e.silent).map(|e| e.path).collect();
        for Known { path, is_dir, .. } in &self.entries {
            let may_be_silent = silent.iter().any(|silent| path.is_in(*silent));
            if may_be_silent || self.is_excused(*path) || !(*is_dir || self.knows_files) {
                continue;
            }
            if !truth.iter().any(|entry| (entry.path, entry.is_dir) == (*path, *is_dir)) {
                return Err(format!("reported, but it does not exist: {path}"));
            }
        }
        self.compare_content(world, truth)
    }

    /// Checks that each change of a tracked file was reported.
    fn compare_content(&mut self, world: &World, truth: &[Entry]) -> Result<(), String> {
        use tinotify::WatchMask as W;
        if !self.rules.track_files || !self.rules.mask.contains(W::MODIFY) {
            return Ok(());
        }
        for (path, ino, version) in &self.versions {
            let now = truth.iter().find(|entry| (entry.path, entry.ino) == (*path, *ino));
            let node = &world.nodes[*ino];
            // A file that is seen through a mount may have been changed through another path.
            if now.is_some_and(|now| !now.silent)
                && node.version != *version
                && !node.was_linked
                && !self.touched.contains(path)
                && !self.is_excused(*path)
            {
                return Err(format!("changed, and not reported: {path}"));
            }
        }
        self.touched.clear();
        self.versions = truth
            .iter()
            .filter(|entry| !entry.is_dir && !entry.silent && !self.is_excused(entry.path))
            .map(|entry| (entry.path, entry.ino, world.nodes[entry.ino].version))
            .collect();
        Ok(())
    }
}
