//! The changes of the world, and the events that each change queues.

use std::collections::VecDeque;

use tinotify::EventMask;

use super::inode::{Ino, Kind};
use super::names::{DEEPEST, Name, bytes};
use super::world::{World, trace};

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Mkdir(Ino, Name),
    Create(Ino, Name),
    Symlink(Ino, Name),
    Link {
        from: (Ino, Name),
        to: (Ino, Name),
    },
    Write(Ino, Name),
    Chmod {
        at: (Ino, Name),
        read: bool,
        search: bool,
    },
    Remove(Ino, Name),
    Rename {
        from: (Ino, Name),
        to: (Ino, Name),
    },
    /// A rename that leaves a whiteout at the old name (`RENAME_WHITEOUT`).
    Whiteout {
        from: (Ino, Name),
        to: (Ino, Name),
    },
    Exchange {
        one: (Ino, Name),
        other: (Ino, Name),
    },
    Hold(Ino),
    Release(Ino),
    /// Unmounts a file system, which ends its watches.
    Unmount(Ino),
    /// Mounts a new file system, or binds a directory, over a directory. No event reports it.
    Cover {
        dir: Ino,
        with: Option<Ino>,
    },
    /// Removes a mount whose file system is still mounted elsewhere. No event reports it.
    Uncover(Ino),
}

/// The part of a rename in progress that is not queued yet.
pub struct Pending {
    /// The directories whose locks the rename holds.
    pub locked: [Ino; 2],
    pub steps: VecDeque<Step>,
}

#[derive(Clone, Copy)]
pub enum Step {
    /// One half of the rename of the inode in the last field.
    Half(Ino, EventMask, u32, Name, Ino),
    Queue(Ino, EventMask, u32, Name),
    /// The last reference to a removed directory is dropped.
    Drop(Ino),
}

impl Step {
    /// Returns the inode of the rename that this is a half of.
    fn moved(&self) -> Option<Ino> {
        match self {
            Self::Half(.., moved) => Some(*moved),
            _ => None,
        }
    }
}

impl World {
    /// Makes a change. Returns `false` if it is not possible.
    pub fn apply(&mut self, op: Op) -> bool {
        self.close_dropped();
        let is_kept = self.logging || self.recorder.is_some();
        let paths = if is_kept { self.paths_of(op) } else { Vec::new() };
        let line = self.trace.as_ref().map(|trace| trace.len());
        if line.is_some() {
            let paths: Vec<String> =
                self.paths_of(op).iter().map(|names| self.readable(names)).collect();
            trace!(self, "    {op:?} {}", paths.join(" "));
        }
        let done = self.try_apply(op).is_some();
        if let (Some(trace), Some(line), false) = (&mut self.trace, line, done) {
            trace.truncate(line);
        }
        if done {
            self.record_change(op, &paths);
            for tree in 0..self.roots.len() {
                self.was_away[tree] |= self.nodes.len() > 2 && !self.is_in_place(tree);
            }
        }
        if self.logging {
            self.log.push((op, paths, done));
        }
        if done {
            match op {
                Op::Write(..) | Op::Chmod { .. } | Op::Remove(..) => {}
                Op::Hold(_) | Op::Release(_) => {}
                _ => self.remember(),
            }
        }
        done
    }

    fn readable(&self, names: &[Name]) -> String {
        let names: Vec<String> =
            names.iter().map(|name| bytes(*name).escape_ascii().to_string()).collect();
        names.join("/")
    }

    /// Returns the paths of a change from [`TOP`].
    pub fn paths_of(&self, op: Op) -> Vec<Vec<Name>> {
        let path = |(dir, name): (Ino, Name)| {
            let mut names = self.names_to(dir);
            names.push(name);
            names
        };
        match op {
            Op::Mkdir(dir, name) | Op::Create(dir, name) | Op::Symlink(dir, name) => {
                vec![path((dir, name))]
            }
            Op::Write(dir, name) | Op::Remove(dir, name) => vec![path((dir, name))],
            Op::Chmod { at, .. } => vec![path(at)],
            Op::Link { from, to } | Op::Rename { from, to } | Op::Whiteout { from, to } => {
                vec![path(from), path(to)]
            }
            Op::Exchange { one, other } => vec![path(one), path(other)],
            Op::Hold(dir) | Op::Release(dir) | Op::Unmount(dir) | Op::Uncover(dir) => {
                vec![self.names_to(dir)]
            }
            Op::Cover { dir, with } => {
                [dir].into_iter().chain(with).map(|dir| self.names_to(dir)).collect()
            }
        }
    }

    /// Returns `Some` if the name can be created now.
    fn is_free(&self, dir: Ino, name: Name) -> Option<()> {
        self.is_open_for_names(dir)?;
        (self.entry(dir, name).is_none() && self.level(dir) + 2 < DEEPEST).then_some(())
    }

    fn is_open_for_names(&self, dir: Ino) -> Option<()> {
        (self.is_dir(dir) && !self.nodes[dir].dead && !self.is_locked(dir)).then_some(())
    }

    fn try_apply(&mut self, op: Op) -> Option<()> {
        match op {
            Op::Mkdir(dir, name) => self.make(dir, name, Kind::Dir),
            Op::Create(dir, name) => self.make(dir, name, Kind::File),
            Op::Symlink(dir, name) => self.make(dir, name, Kind::Link),
            Op::Link { from, to } => self.link(from, to),
            Op::Write(dir, name) => self.write(dir, name),
            Op::Chmod { at, read, search } => self.chmod(at, read, search),
            Op::Remove(dir, name) => self.remove(dir, name),
            Op::Rename { from, to } => self.rename(from, to, false),
            Op::Whiteout { from, to } => self.rename(from, to, true),
            Op::Exchange { one, other } => self.exchange(one, other),
            Op::Hold(ino) => {
                let node = &mut self.nodes[ino];
                (!node.held && !node.dead).then(|| node.held = true)
            }
            Op::Release(ino) => {
                let was_held = std::mem::take(&mut self.nodes[ino].held);
                was_held.then(|| self.step(Step::Drop(ino)))
            }
            Op::Unmount(root) => self.unmount(root),
            Op::Cover { dir, with } => self.cover(dir, with),
            Op::Uncover(root) => self.uncover(root),
        }
    }

    fn make(&mut self, dir: Ino, name: Name, kind: Kind) -> Option<()> {
        self.is_free(dir, name)?;
        let ino = self.inode(kind, self.nodes[dir].dev);
        if self.rules.links && kind == Kind::Link && !self.choices.chance(1, 8) {
            let target = self.some_dir();
            trace!(self, "        to inode {target}");
            self.nodes[ino].target = Some(target);
        }
        self.enter(dir, name, ino);
        let is_dir = if kind == Kind::Dir { EventMask::ISDIR } else { EventMask::empty() };
        self.queue_event(dir, EventMask::CREATE | is_dir, 0, name);
        if kind == Kind::File {
            self.queue_event(dir, EventMask::CLOSE_WRITE, 0, name);
        }
        Some(())
    }

    fn link(&mut self, from: (Ino, Name), to: (Ino, Name)) -> Option<()> {
        self.is_free(to.0, to.1)?;
        let ino = self.entry(from.0, from.1)?;
        let file = &mut self.nodes[ino];
        if file.kind != Kind::File || file.whiteout || file.dev != self.nodes[to.0].dev {
            return None;
        }
        self.nodes[ino].links += 1;
        self.nodes[ino].was_linked = true;
        self.enter(to.0, to.1, ino);
        self.queue_event(to.0, EventMask::CREATE, 0, to.1);
        Some(())
    }

    fn write(&mut self, dir: Ino, name: Name) -> Option<()> {
        let ino = self.entry(dir, name)?;
        if self.nodes[ino].kind != Kind::File || self.nodes[ino].whiteout {
            return None;
        }
        self.nodes[ino].version += 1;
        self.queue_event(dir, EventMask::MODIFY, 0, name);
        self.queue_event(dir, EventMask::CLOSE_WRITE, 0, name);
        Some(())
    }

    fn chmod(&mut self, (dir, name): (Ino, Name), read: bool, search: bool) -> Option<()> {
        let ino = self.entry(dir, name)?;
        let node = &mut self.nodes[ino];
        // chmod(2) follows links and mounts.
        if node.kind == Kind::Link || node.whiteout || node.mounted.is_some() {
            return None;
        }
        (node.read, node.search) = (read, search);
        if node.kind == Kind::Dir {
            self.moves.chmods += 1;
            self.queue_event(dir, EventMask::ATTRIB | EventMask::ISDIR, 0, name);
            self.queue_event(ino, EventMask::ATTRIB | EventMask::ISDIR, 0, 0);
        } else {
            self.queue_event(dir, EventMask::ATTRIB, 0, name);
        }
        Some(())
    }

    fn remove(&mut self, dir: Ino, name: Name) -> Option<()> {
        self.is_open_for_names(dir)?;
        let ino = self.entry(dir, name)?;
        if !self.is_dir(ino) {
            self.leave(dir, name);
            self.nodes[ino].links -= 1;
            self.queue_event(dir, EventMask::DELETE, 0, name);
            return Some(());
        }
        let node = &self.nodes[ino];
        if node.mounted.is_some() || !node.entries.is_empty() || self.is_locked(ino) {
            return None;
        }
        self.leave(dir, name);
        self.die(ino, dir);
        self.step(Step::Drop(ino));
        self.queue_event(dir, EventMask::DELETE | EventMask::ISDIR, 0, name);
        Some(())
    }

    fn die(&mut self, dir: Ino, parent: Ino) {
        let node = &mut self.nodes[dir];
        node.dead = true;
        node.parent = None;
        if node.is_kept() {
            node.pinned = Some(parent);
            self.nodes[parent].pins += 1;
        }
    }

    fn rename(&mut self, from: (Ino, Name), to: (Ino, Name), whiteout: bool) -> Option<()> {
        let ino = self.entry(from.0, from.1)?;
        let victim = self.entry(to.0, to.1);
        if victim == Some(ino) {
            // Both names are links to the same file: nothing happens, without an error.
            return (from.0 == to.0 || self.is_dir(to.0)).then_some(());
        }
        self.may_move(ino, from.0, to.0)?;
        if let Some(victim) = victim {
            let node = &self.nodes[victim];
            let fits = self.is_dir(victim) == self.is_dir(ino)
                && node.mounted.is_none()
                && node.entries.is_empty()
                && !self.is_locked(victim);
            fits.then_some(())?;
        }
        // Only one rename between directories at a time holds the file system's own lock.
        self.leave(from.0, from.1);
        if let Some(victim) = victim {
            self.leave(to.0, to.1);
            match self.nodes[victim].kind {
                Kind::Dir => self.die(victim, to.0),
                _ => self.nodes[victim].links -= 1,
            }
        }
        self.enter(to.0, to.1, ino);
        if whiteout {
            let left = self.inode(Kind::File, self.nodes[from.0].dev);
            self.nodes[left].whiteout = true;
            self.enter(from.0, from.1, left);
        }
        self.cookie += 1;
        *self.moves.done.entry(ino).or_default() += 1;
        let mut steps = self.halves(ino, from, to, self.cookie, victim);
        steps.extend(victim.map(Step::Drop));
        self.queue_rename([from.0, to.0], steps);
        Some(())
    }

    /// Returns the events of a rename (`fsnotify_move`).
    fn halves(
        &self,
        ino: Ino,
        from: (Ino, Name),
        to: (Ino, Name),
        cookie: u32,
        victim: Option<Ino>,
    ) -> VecDeque<Step> {
        let is_dir = if self.is_dir(ino) { EventMask::ISDIR } else { EventMask::empty() };
        let mut steps = VecDeque::with_capacity(5);
        steps.push_back(Step::Half(from.0, EventMask::MOVED_FROM | is_dir, cookie, from.1, ino));
        steps.push_back(Step::Half(to.0, EventMask::MOVED_TO | is_dir, cookie, to.1, ino));
        // The victim lost a link.
        if let Some(victim) = victim {
            if self.is_dir(victim) {
                let mask = EventMask::ATTRIB | EventMask::ISDIR;
                steps.push_back(Step::Queue(victim, mask, 0, 0));
            }
        }
        if self.is_dir(ino) {
            steps.push_back(Step::Half(ino, EventMask::MOVE_SELF | is_dir, 0, 0, ino));
        }
        steps
    }

    fn queue_rename(&mut self, locked: [Ino; 2], mut steps: VecDeque<Step>) {
        // A rename in progress is reported as one event only if its directories stay at their paths between
        // its halves: paths are true when they are reported.
        let halves = self.pending.iter().flat_map(|pending| &pending.steps);
        let moving: Vec<Ino> = halves.filter_map(|step| step.moved()).collect();
        for ino in moving {
            self.make_unclear(ino);
        }
        let mut now = steps.len() as u32;
        if self.pending.is_none() && self.choices.chance(self.rules.split_renames, 16) {
            // All of it may come later.
            let least = u32::from(!self.rules.late_renames);
            now = least + self.choices.below(now - least + 1);
        }
        if let Some(split) = self.split.take().filter(|_| self.pending.is_none()) {
            now = split;
        }
        for _ in 0..now.min(steps.len() as u32) {
            if let Some(step) = steps.pop_front() {
                self.step(step);
            }
        }
        if !steps.is_empty() {
            trace!(self, "        (the rest comes later)");
            self.record_split(now);
            self.pending = Some(Pending { locked, steps });
        }
    }

    fn may_move(&self, ino: Ino, from: Ino, to: Ino) -> Option<()> {
        self.is_open_for_names(from)?;
        self.is_open_for_names(to)?;
        let node = &self.nodes[ino];
        let across = from != to;
        let may = node.mounted.is_none()
            && self.nodes[from].dev == self.nodes[to].dev
            && !self.reaches(ino, to)
            && self.level(to) + 2 + self.height(ino) < DEEPEST
            && !(across && self.is_locked(ino))
            // Only one rename between directories at a time holds the file system's own lock.
            && !(across && self.pending.as_ref().is_some_and(|p| p.locked[0] != p.locked[1]));
        may.then_some(())
    }

    fn exchange(&mut self, one: (Ino, Name), other: (Ino, Name)) -> Option<()> {
        let (first, second) = (self.entry(one.0, one.1)?, self.entry(other.0, other.1)?);
        if first == second {
            return Some(());
        }
        self.may_move(first, one.0, other.0)?;
        self.may_move(second, other.0, one.0)?;
        self.leave(one.0, one.1);
        self.leave(other.0, other.1);
        self.enter(one.0, one.1, second);
        self.enter(other.0, other.1, first);
        self.cookie += 2;
        // A half says nothing about a directory that was not watched at its rename: the one that was
        // exchanged with it may as well have been replaced.
        let is_known = |ino: Ino| {
            let node = &self.nodes[ino];
            ino < self.moves.first_new && node.wd != 0 && !self.moves.unclear.contains(&ino)
        };
        if !is_known(first) || !is_known(second) {
            self.make_unclear(first);
            self.make_unclear(second);
        }
        for ino in [first, second] {
            *self.moves.done.entry(ino).or_default() += 1;
            // The same events are queued if one file replaces the other and is renamed back. Only a scan
            // shows the difference.
            if !self.is_dir(ino) {
                self.make_unclear(ino);
            }
        }
        let mut steps = self.halves(first, one, other, self.cookie - 1, None);
        steps.extend(self.halves(second, other, one, self.cookie, None));
        self.queue_rename([one.0, other.0], steps);
        Some(())
    }
}
