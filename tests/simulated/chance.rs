//! Random changes, as the rules allow them.

use super::changes::Op;
use super::inode::Ino;
use super::names::{ELSEWHERE, INTO, Name, ROOT};
use super::rules::{Rules, is_left_out};
use super::world::{TOP, World};

impl World {
    /// Returns an existing directory, in the tree or not; mostly a deep one.
    pub fn some_dir(&mut self) -> Ino {
        let alive: Vec<Ino> = (1..self.nodes.len())
            .filter(|ino| self.is_dir(*ino) && !self.nodes[*ino].dead)
            .collect();
        self.choices.pick(&alive).unwrap_or(TOP)
    }

    pub fn some_name(&mut self) -> Name {
        let name = 1 + self.choices.below(u32::from(self.rules.names)) as Name;
        if self.rules.exclude && name == self.rules.names { super::names::EXCLUDED } else { name }
    }

    fn some_entry(&mut self) -> Option<(Ino, Name)> {
        for _ in 0..4 {
            let dir = self.some_dir();
            let names: Vec<Name> = self.nodes[dir].entries.iter().map(|entry| entry.0).collect();
            if let Some(name) = self.choices.pick(&names) {
                return Some((dir, name));
            }
        }
        None
    }

    fn some_directory_entry(&mut self) -> Option<(Ino, Name)> {
        for _ in 0..4 {
            let dir = self.some_dir();
            if let Some(place) = self.nodes[dir].parent.filter(|place| place.0 != TOP) {
                return Some(place);
            }
        }
        None
    }

    /// Returns a directory and a name in it, whether the name exists or not.
    fn some_place(&mut self) -> (Ino, Name) {
        (self.some_dir(), self.some_name())
    }

    /// Makes a change, if there are changes left to make.
    pub fn change(&mut self) {
        if self.ops == 0 {
            return;
        }
        self.ops -= 1;
        if self.pending.is_some() && self.choices.chance(1, 4) {
            self.finish_rename();
            self.record_line("finish".into());
            return;
        }
        if !self.plan.is_empty() && self.choices.chance(3, 4) {
            if let Some(op) = self.plan.pop_front() {
                self.apply(op);
            }
            return;
        }
        if let Some(op) = self.some_op() {
            self.apply(op);
        }
    }

    fn some_op(&mut self) -> Option<Op> {
        let rules = self.rules;
        if rules.links && self.choices.chance(5, 16) {
            return self.some_link_op();
        }
        if self.choices.chance(rules.moves, 16) {
            return self.some_move();
        }
        if self.choices.chance(rules.chmods, 16) {
            return self.some_chmod();
        }
        if self.choices.chance(rules.remounts, 16) {
            return self.some_mount();
        }
        if self.choices.chance(rules.whiteouts, 16) {
            let (from, to) = (self.some_entry()?, self.some_target());
            return Some(Op::Whiteout { from, to });
        }
        self.common_op(rules)
    }

    /// Returns a change of a link.
    fn some_link_op(&mut self) -> Option<Op> {
        match self.choices.below(8) {
            0..=2 => {
                let (dir, name) = self.some_place();
                Some(Op::Symlink(dir, name))
            }
            3..=4 => Some(Op::Rename { from: self.some_link()?, to: self.some_target() }),
            5 => Some(Op::Rename { from: self.some_link()?, to: self.some_link()? }),
            6 => self.some_link().map(|(dir, name)| Op::Remove(dir, name)),
            _ => Some(Op::Exchange { one: self.some_link()?, other: self.some_entry()? }),
        }
    }

    /// Returns a rename or an exchange, mostly of directories.
    fn some_move(&mut self) -> Option<Op> {
        let from = self.some_directory_entry()?;
        match self.choices.below(8) {
            4..=6 if is_left_out("exchanges") => None,
            0..=3 => Some(Op::Rename { from, to: self.some_target() }),
            4..=5 => Some(Op::Exchange { one: from, other: self.some_directory_entry()? }),
            6 => Some(Op::Exchange { one: from, other: self.some_entry()? }),
            _ => Some(Op::Rename { from: self.some_entry()?, to: self.some_target() }),
        }
    }

    /// Returns new permissions of a directory, or of the root. Half of the time both are granted.
    fn some_chmod(&mut self) -> Option<Op> {
        let root = (TOP, ROOT);
        let at = if self.choices.chance(1, 8) { root } else { self.some_directory_entry()? };
        let mode = self.choices.below(8);
        Some(Op::Chmod { at, read: mode > 3 || mode & 1 == 1, search: mode > 3 || mode & 2 == 2 })
    }

    fn some_mount(&mut self) -> Option<Op> {
        let mounts: Vec<Ino> = self.nodes.iter().filter_map(|node| node.mounted).collect();
        match self.choices.below(4) {
            0 => Some(Op::Cover { dir: self.some_dir(), with: None }),
            1 => Some(Op::Cover { dir: self.some_dir(), with: Some(self.some_dir()) }),
            2 => self.choices.pick(&mounts).map(Op::Uncover),
            _ => self.choices.pick(&mounts).map(Op::Unmount),
        }
    }

    fn common_op(&mut self, rules: Rules) -> Option<Op> {
        match self.choices.below(32) {
            0 => None,
            1..=3 => {
                let (dir, name) = self.some_place();
                Some(Op::Create(dir, name))
            }
            4..=8 => {
                let (dir, name) = self.some_place();
                Some(Op::Mkdir(dir, name))
            }
            9..=10 => {
                // mkdir -p, and a file at the end.
                let (mut dir, _) = self.some_place();
                for _ in 0..1 + self.choices.below(3) {
                    let name = self.some_name();
                    self.apply(Op::Mkdir(dir, name));
                    dir = self.entry(dir, name).filter(|ino| self.is_dir(*ino))?;
                }
                let name = self.some_name();
                Some(Op::Create(dir, name))
            }
            11..=12 => self.some_entry().map(|(dir, name)| Op::Write(dir, name)),
            13..=15 => self.some_entry().map(|(dir, name)| Op::Remove(dir, name)),
            16..=17 => {
                let (dir, name) = self.some_directory_entry()?;
                let top = self.entry(dir, name)?;
                self.plan_removal(dir, name, top);
                self.plan.pop_front()
            }
            18..=22 => {
                let from = self.some_directory_entry()?;
                let to = self.some_target();
                Some(Op::Rename { from, to })
            }
            23..=24 => {
                let from = self.some_entry()?;
                let to = self.some_target();
                Some(Op::Rename { from, to })
            }
            25 => {
                let (from, to) = (self.some_entry()?, self.some_place());
                Some(Op::Link { from, to })
            }
            26 => {
                let (dir, name) = self.some_place();
                Some(Op::Symlink(dir, name))
            }
            kind @ 27..=31 => self.special_op(rules, kind),
            _ => None,
        }
    }

    /// Returns a change that only some worlds have.
    fn special_op(&mut self, rules: Rules, kind: u32) -> Option<Op> {
        match kind {
            27 if rules.exchanges => {
                let (one, other) = (self.some_entry()?, self.some_entry()?);
                Some(Op::Exchange { one, other })
            }
            28 if rules.unreadable || rules.superuser => {
                let at = self.some_entry()?;
                let ino = self.entry(at.0, at.1)?;
                let node = &self.nodes[ino];
                Some(Op::Chmod { at, read: !node.read, search: node.search })
            }
            29 if rules.open_dirs => {
                let dir = self.some_dir();
                Some(if self.nodes[dir].held { Op::Release(dir) } else { Op::Hold(dir) })
            }
            30 if rules.open_dirs => {
                let held = self.nodes.iter().position(|node| node.held && node.dead)?;
                Some(Op::Release(held))
            }
            31 if rules.mounts => {
                let mounts: Vec<Ino> = self.nodes.iter().filter_map(|node| node.mounted).collect();
                self.choices.pick(&mounts).map(Op::Unmount)
            }
            31 if rules.root_moves => Some(if self.root_in_place() {
                Op::Rename { from: (TOP, ROOT), to: (TOP, ELSEWHERE) }
            } else {
                Op::Rename { from: (TOP, ELSEWHERE), to: (TOP, ROOT) }
            }),
            31 if rules.root_dies => {
                self.plan_removal(TOP, ROOT, self.root);
                self.plan.pop_front()
            }
            _ => {
                // A symbolic link in the place of a directory.
                let (dir, name) = self.some_directory_entry()?;
                self.plan.push_back(Op::Symlink(dir, name));
                let to = if self.choices.chance(1, 2) { self.some_target() } else { (2, INTO) };
                Some(Op::Rename { from: (dir, name), to })
            }
        }
    }

    /// Returns any place, or that of a directory, so that renames replace directories.
    fn some_target(&mut self) -> (Ino, Name) {
        let taken = if self.choices.chance(1, 4) { self.some_directory_entry() } else { None };
        taken.unwrap_or_else(|| self.some_place())
    }

    fn plan_removal(&mut self, dir: Ino, name: Name, ino: Ino) {
        if self.nodes[ino].mounted.is_none() {
            for (name, below) in self.nodes[ino].entries.clone() {
                self.plan_removal(ino, name, below);
            }
        }
        self.plan.push_back(Op::Remove(dir, name));
    }
}
