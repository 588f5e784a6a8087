//! Random changes.

use super::changes::Op;
use super::inode::{A, B, C, DATA, Dentry, F, Ino, Kind, Name, SPARE, SPARE_LINK, VERSION};
use super::world::{ROOT, World};

const TEXTS: [&str; 22] = [
    "a", "b", "f", "c", "../a", "../b", "../f", "/a", "/b", "/a/b", "/f", ".", "..", "/", "a/b",
    "b/f", "b/", "./f", "../a/f", "/c/../a", "..data/f", "/a/f/.",
];

impl World {
    /// Chooses a reachable directory, usually one on the followed path.
    fn some_dir(&mut self) -> Ino {
        if self.choices.chance(1, 4) {
            let dirs: Vec<Ino> =
                (0..self.nodes.len()).filter(|ino| self.is_reachable(*ino)).collect();
            return self.choices.pick(&dirs).unwrap_or(ROOT);
        }
        let hops = self.now.hops.len() as u32;
        if hops == 0 {
            return ROOT;
        }
        self.now.hops[self.choices.below(hops) as usize].dir
    }

    fn is_reachable(&self, dir: Ino) -> bool {
        let node = &self.nodes[dir];
        node.is_dir()
            && !node.is_dead
            && node.links > 0
            && node.mounted.is_none()
            && self.path_of(dir).is_some_and(|path| {
                dir == ROOT
                    || self.dentry(&path).is_ok_and(|(at, name)| {
                        self.child(at, name).map(|ino| self.topmost(ino)) == Some(dir)
                    })
            })
    }

    fn some_name(&mut self) -> Name {
        let hops = self.now.hops.len() as u32;
        if hops > 0 && self.choices.chance(1, 2) {
            return self.now.hops[self.choices.below(hops) as usize].name;
        }
        [F, A, B, C][self.choices.below(4) as usize]
    }

    /// Chooses a directory and a name, usually on the followed path. The name may not exist.
    fn some_dentry(&mut self) -> Dentry {
        let hops = self.now.hops.len() as u32;
        if hops > 0 && !self.choices.chance(1, 3) {
            let hop = self.now.hops[self.choices.below(hops) as usize];
            return (hop.dir, hop.name);
        }
        (self.some_dir(), self.some_name())
    }

    /// Chooses a directory and a name, usually of an existing entry.
    fn existing_dentry(&mut self) -> Dentry {
        if self.choices.chance(1, 2) {
            return self.some_dentry();
        }
        let dir = self.some_dir();
        let names: Vec<Name> = self.nodes[dir].entries().iter().map(|entry| entry.0).collect();
        (dir, self.choices.pick(&names).unwrap_or(F))
    }

    /// Returns the last name on the followed path.
    fn last_dentry(&self) -> Dentry {
        self.now.hops.last().map_or((ROOT, F), |hop| (hop.dir, hop.name))
    }

    /// Makes one of the remaining changes.
    pub fn change(&mut self) {
        if self.ops == 0 {
            return;
        }
        self.ops -= 1;
        if !self.plan.is_empty() && self.choices.chance(3, 4) {
            if let Some(op) = self.plan.pop_front() {
                self.apply(op);
            }
            return;
        }
        for _ in 0..4 {
            let op = self.some_op();
            if self.apply(op) {
                break;
            }
        }
    }

    fn some_op(&mut self) -> Op {
        let w = self.rules.weights;
        let weights = [
            w.write,
            w.file,
            w.dir,
            w.link,
            w.hard,
            w.remove,
            w.rename,
            w.exchange,
            w.chmod,
            w.hold,
            w.mount,
            w.user,
            w.remove_all,
            w.save,
            w.volume,
            w.recreate,
        ];
        let mut at = self.choices.below(weights.iter().sum());
        let kind = weights.iter().position(|weight| {
            let is_chosen = at < *weight;
            at = at.saturating_sub(*weight);
            is_chosen
        });
        match kind.unwrap_or(0) {
            0 if self.choices.chance(1, 4) => Op::Write(self.existing_dentry()),
            0 => self.write_target(),
            1 => Op::File(self.some_dentry()),
            2 => Op::Dir(self.some_dentry()),
            3 => {
                let text = TEXTS[self.choices.below(TEXTS.len() as u32) as usize];
                Op::Link(self.some_dentry(), text.into())
            }
            4 => Op::Hard(self.existing_dentry(), self.some_dentry()),
            5 => Op::Remove(self.existing_dentry()),
            6 => Op::Rename(self.existing_dentry(), self.some_dentry()),
            7 => Op::Exchange(self.existing_dentry(), self.existing_dentry()),
            8 => {
                let mode = [5, 0, 1, 4][self.choices.below(4) as usize];
                Op::Chmod(self.existing_dentry(), mode)
            }
            9 => self.some_holding(),
            10 if self.choices.chance(1, 2) => Op::Umount(self.existing_dentry()),
            10 => Op::Mount(self.existing_dentry()),
            11 if self.choices.chance(1, 3) => Op::NoUser(self.existing_dentry()),
            11 => Op::User(self.existing_dentry()),
            12 => Op::RemoveAll(self.existing_dentry()),
            13 => self.save(),
            14 => self.swap_volume(),
            _ => self.recreate(),
        }
    }

    /// Writes to the file that the followed name leads to, by any of its names.
    fn write_target(&mut self) -> Op {
        let Some(end) = self.now.end else { return Op::Write(self.last_dentry()) };
        for dir in 0..self.nodes.len() {
            let found = self.nodes[dir].entries().iter().find(|entry| entry.1 == end);
            if let Some((name, _)) = found {
                return Op::Write((dir, *name));
            }
        }
        Op::Write(self.last_dentry())
    }

    fn some_holding(&mut self) -> Op {
        let open: Vec<Ino> = (0..self.nodes.len()).filter(|ino| self.nodes[*ino].is_open).collect();
        match self.choices.pick(&open) {
            Some(ino) if self.choices.chance(1, 2) => Op::Release(ino),
            _ => Op::Hold(self.existing_dentry()),
        }
    }

    /// Saves the file atomically.
    fn save(&mut self) -> Op {
        let dentry = self.last_dentry();
        let spare = (dentry.0, SPARE);
        self.plan.extend([Op::Write(spare), Op::Rename(spare, dentry)]);
        Op::File(spare)
    }

    /// Replaces a volume with a new version, as the kubelet does.
    fn swap_volume(&mut self) -> Op {
        let dir = self.now.hops.iter().find(|hop| hop.name == DATA || hop.name == F);
        let dir = dir.map_or(ROOT, |hop| hop.dir);
        let old = self.child(dir, VERSION[0]).is_some();
        let (new, old) = if old { (VERSION[1], VERSION[0]) } else { (VERSION[0], VERSION[1]) };
        let text = super::inode::text_of(new).as_bytes().to_vec();
        // The new directory gets the next inode.
        let new_dir = self.nodes.len();
        self.plan.extend([
            Op::File((new_dir, F)),
            Op::Link((dir, SPARE_LINK), text),
            Op::Rename((dir, SPARE_LINK), (dir, DATA)),
            Op::RemoveAll((dir, old)),
        ]);
        if self.child(dir, F).is_none() {
            self.plan.push_front(Op::Link((dir, F), b"..data/f".to_vec()));
        }
        Op::Dir((dir, new))
    }

    /// Renames a directory on the followed path, and creates a new one in its place.
    fn recreate(&mut self) -> Op {
        let dentry = self.some_dentry();
        let aside = (self.some_dir(), self.some_name());
        let new_dir = self.nodes.len();
        let name = self.some_name();
        self.plan.extend([Op::Dir(dentry), Op::File((new_dir, name))]);
        if self.choices.chance(1, 2) {
            self.plan.push_back(Op::RemoveAll(aside));
        }
        Op::Rename(dentry, aside)
    }

    /// Creates the files that exist before the first walk.
    pub fn create_initial_files(&mut self) {
        let mut dir = ROOT;
        let path = String::from_utf8_lossy(&self.path).into_owned();
        let names = path.split('/').filter(|name| !name.is_empty() && !name.starts_with('.'));
        let names: Vec<Name> =
            names.filter_map(|name| super::inode::name_of(name.as_bytes())).collect();
        for (at, name) in names.iter().enumerate() {
            if self.choices.chance(1, 8) {
                break;
            }
            let is_last = at + 1 == names.len() && !path.ends_with(['/', '.']);
            let new = self.nodes.len();
            self.apply(if is_last { Op::File((dir, *name)) } else { Op::Dir((dir, *name)) });
            if !matches!(self.nodes.get(new).map(|node| &node.kind), Some(Kind::Dir { .. })) {
                break;
            }
            dir = new;
        }
        self.ops = self.choices.below(6);
        while self.ops > 0 {
            self.change();
        }
    }
}
