//! The changes of the simulated world, and the events that Linux 6.18 queues for each, in its order.

use tinotify::{EventMask, WatchMask};

use super::inode::{Dentry, Ino, Kind};
use super::resolve::{Hop, Trace};
use super::world::{Notice, ROOT, World};

#[derive(Clone, Debug)]
pub enum Op {
    File(Dentry),
    Dir(Dentry),
    Link(Dentry, Vec<u8>),
    /// Adds a second name (hard link) to a file.
    Hard(Dentry, Dentry),
    Remove(Dentry),
    Rename(Dentry, Dentry),
    Exchange(Dentry, Dentry),
    Write(Dentry),
    /// Sets the permissions: 4 is read, 1 is search.
    Chmod(Dentry, u32),
    /// Another process opens a file.
    Hold(Dentry),
    /// That process writes to the file and closes it, whatever its name is now.
    Release(Ino),
    Mount(Dentry),
    Umount(Dentry),
    /// Another subscriber watches the entry.
    User(Dentry),
    /// The other subscriber ends its watch.
    NoUser(Dentry),
    /// Removes a directory and everything in it, step by step.
    RemoveAll(Dentry),
}

impl Op {
    /// Returns the entries that the change concerns.
    fn dentries(&self) -> [Option<Dentry>; 2] {
        match *self {
            Self::Hard(a, b) | Self::Rename(a, b) | Self::Exchange(a, b) => [Some(a), Some(b)],
            Self::File(at)
            | Self::Dir(at)
            | Self::Link(at, _)
            | Self::Remove(at)
            | Self::Write(at)
            | Self::Chmod(at, _)
            | Self::Hold(at)
            | Self::Mount(at)
            | Self::Umount(at)
            | Self::User(at)
            | Self::NoUser(at)
            | Self::RemoveAll(at) => [Some(at), None],
            Self::Release(_) => [None, None],
        }
    }
}

/// The mask of the other subscriber.
pub const USER: WatchMask = WatchMask::OPEN.union(WatchMask::MODIFY).union(WatchMask::DELETE);

impl World {
    fn dir_mask(&self, ino: Ino) -> EventMask {
        if self.nodes[ino].is_dir() { EventMask::ISDIR } else { EventMask::empty() }
    }

    /// Queues an event of an entry for its directory.
    fn notify_entry(&mut self, dentry: Dentry, mask: EventMask, subject: Ino) {
        let mask = mask | self.dir_mask(subject);
        self.notify(Notice::Event(dentry.0, mask, Some(dentry.1)));
    }

    /// Queues an event of a file for its directory and for itself.
    fn notify_both(&mut self, dentry: Dentry, mask: EventMask, ino: Ino) {
        self.notify_entry(dentry, mask, ino);
        let mask = mask | self.dir_mask(ino);
        self.notify(Notice::Event(ino, mask, None));
    }

    fn add_entry(&mut self, dentry: Dentry, ino: Ino) {
        if let Kind::Dir { entries, .. } = &mut self.nodes[dentry.0].kind {
            entries.push((dentry.1, ino));
        }
        if let Kind::Dir { parent, .. } = &mut self.nodes[ino].kind {
            *parent = dentry;
        }
    }

    fn remove_entry(&mut self, dentry: Dentry) {
        if let Kind::Dir { entries, .. } = &mut self.nodes[dentry.0].kind {
            entries.retain(|entry| entry.0 != dentry.1);
        }
    }

    fn is_open_dir(&self, dir: Ino) -> bool {
        self.nodes[dir].is_dir() && self.nodes[dir].links > 0
    }

    /// Returns `true` if an entry can be created there.
    fn is_free(&self, dentry: Dentry) -> bool {
        self.is_open_dir(dentry.0) && self.child(dentry.0, dentry.1).is_none()
    }

    fn create(&mut self, dentry: Dentry, kind: Kind) -> bool {
        if !self.is_free(dentry) {
            return false;
        }
        let ino = self.add_inode(kind, self.nodes[dentry.0].dev);
        self.add_entry(dentry, ino);
        self.notify_entry(dentry, EventMask::CREATE, ino);
        true
    }

    /// Removes one link of an inode.
    fn drop_link(&mut self, ino: Ino) {
        self.nodes[ino].links -= 1;
        let mask = EventMask::ATTRIB | self.dir_mask(ino);
        self.notify(Notice::Event(ino, mask, None));
    }

    fn delete_if_unused(&mut self, ino: Ino) {
        if self.nodes[ino].links == 0 && !self.nodes[ino].is_open {
            self.notify(Notice::Deleted(ino));
        }
    }

    /// Returns `true` if the inode can be unlinked or replaced by a rename.
    fn is_removable(&self, ino: Ino) -> bool {
        self.nodes[ino].entries().is_empty() && self.nodes[ino].mounted.is_none()
    }

    fn remove(&mut self, dentry: Dentry) -> bool {
        let Some(ino) = self.child(dentry.0, dentry.1) else { return false };
        if !self.is_removable(ino) {
            return false;
        }
        self.remove_entry(dentry);
        if self.nodes[ino].is_dir() {
            self.nodes[ino].links = 0;
        } else {
            self.drop_link(ino);
        }
        self.notify_entry(dentry, EventMask::DELETE, ino);
        self.delete_if_unused(ino);
        true
    }

    fn is_beneath(&self, mut dir: Ino, top: Ino) -> bool {
        loop {
            if dir == top {
                return true;
            }
            let Kind::Dir { parent, .. } = self.nodes[dir].kind else { return false };
            if parent.0 == dir {
                return false;
            }
            dir = parent.0;
        }
    }

    /// Returns `true` if an inode can be moved to that directory.
    fn may_move(&self, ino: Ino, to: Dentry) -> bool {
        self.is_open_dir(to.0)
            && self.nodes[ino].dev == self.nodes[to.0].dev
            && self.nodes[ino].mounted.is_none()
            && !(self.nodes[ino].is_dir() && self.is_beneath(to.0, ino))
    }

    fn notify_rename(&mut self, from: Dentry, to: Dentry, ino: Ino) {
        self.notify_entry(from, EventMask::MOVED_FROM, ino);
        self.notify_entry(to, EventMask::MOVED_TO, ino);
    }

    fn notify_move_self(&mut self, ino: Ino) {
        let mask = EventMask::MOVE_SELF | self.dir_mask(ino);
        self.notify(Notice::Event(ino, mask, None));
    }

    fn rename(&mut self, from: Dentry, to: Dentry) -> bool {
        let Some(ino) = self.child(from.0, from.1) else { return false };
        let victim = self.child(to.0, to.1);
        if from == to || victim == Some(ino) || !self.may_move(ino, to) {
            return false;
        }
        if let Some(victim) = victim {
            let alike = self.nodes[victim].is_dir() == self.nodes[ino].is_dir();
            if !alike || !self.is_removable(victim) {
                return false;
            }
            self.remove_entry(to);
        }
        self.remove_entry(from);
        self.add_entry(to, ino);
        self.notify_rename(from, to, ino);
        if let Some(victim) = victim {
            if self.nodes[victim].is_dir() {
                self.nodes[victim].links = 1;
            }
            self.drop_link(victim);
        }
        self.notify_move_self(ino);
        if let Some(victim) = victim {
            self.delete_if_unused(victim);
        }
        true
    }

    fn exchange(&mut self, a: Dentry, b: Dentry) -> bool {
        let (Some(first), Some(second)) = (self.child(a.0, a.1), self.child(b.0, b.1)) else {
            return false;
        };
        if first == second || !self.may_move(first, b) || !self.may_move(second, a) {
            return false;
        }
        self.remove_entry(a);
        self.remove_entry(b);
        self.add_entry(b, first);
        self.add_entry(a, second);
        self.notify_rename(a, b, first);
        self.notify_move_self(first);
        self.notify_rename(b, a, second);
        self.notify_move_self(second);
        true
    }

    fn write(&mut self, dentry: Dentry) -> bool {
        let Some(ino) = self.child(dentry.0, dentry.1).filter(|ino| self.nodes[*ino].is_file())
        else {
            return false;
        };
        self.nodes[ino].version += 1;
        for mask in [EventMask::OPEN, EventMask::MODIFY, EventMask::CLOSE_WRITE] {
            self.notify_both(dentry, mask, ino);
        }
        true
    }

    fn release(&mut self, ino: Ino) -> bool {
        if !self.nodes[ino].is_open {
            return false;
        }
        self.nodes[ino].is_open = false;
        self.nodes[ino].version += 1;
        // The follower does not use the name by which the file was opened.
        self.notify(Notice::Event(ino, EventMask::MODIFY, None));
        self.notify(Notice::Event(ino, EventMask::CLOSE_WRITE, None));
        self.delete_if_unused(ino);
        true
    }

    fn chmod(&mut self, dentry: Dentry, mode: u32) -> bool {
        let Some(ino) = self.child(dentry.0, dentry.1) else { return false };
        let ino = self.topmost(ino);
        if matches!(self.nodes[ino].kind, Kind::Link(_)) {
            return false;
        }
        self.nodes[ino].read = mode & 4 != 0;
        self.nodes[ino].search = mode & 1 != 0;
        if self.nodes[ino].covers.is_some() {
            // The root of a mount has no entry in a directory.
            let mask = EventMask::ATTRIB | EventMask::ISDIR;
            self.notify(Notice::Event(ino, mask, None));
        } else {
            self.notify_both(dentry, EventMask::ATTRIB, ino);
        }
        true
    }

    fn mount(&mut self, dentry: Dentry) -> bool {
        let Some(ino) = self.child(dentry.0, dentry.1).map(|ino| self.topmost(ino)) else {
            return false;
        };
        if !self.nodes[ino].is_dir() || self.mounts >= 4 {
            return false;
        }
        self.mounts += 1;
        let dev = u64::from(self.mounts) + 1;
        let over = self.add_inode(Kind::Dir { entries: Vec::new(), parent: (ROOT, 0) }, dev);
        let Kind::Dir { parent, .. } = &mut self.nodes[over].kind else { return false };
        *parent = (over, 0);
        self.nodes[over].covers = Some(ino);
        self.nodes[ino].mounted = Some(over);
        // The mounted file system may have a file from the start.
        if self.choices.chance(1, 2) {
            let file = self.add_inode(Kind::File, dev);
            self.add_entry((over, super::inode::F), file);
        }
        true
    }

    fn umount(&mut self, dentry: Dentry) -> bool {
        let Some(root) = self.child(dentry.0, dentry.1).map(|ino| self.topmost(ino)) else {
            return false;
        };
        let Some(covered) = self.nodes[root].covers else { return false };
        let dev = self.nodes[root].dev;
        let is_on_mount = |node: &super::inode::Inode| node.dev == dev;
        // Busy: another mount is on it, or a file is open.
        if self
            .nodes
            .iter()
            .any(|node| is_on_mount(node) && (node.is_open || node.mounted.is_some()))
        {
            return false;
        }
        self.nodes[covered].mounted = None;
        self.nodes[root].covers = None;
        self.flush(false);
        for ino in 0..self.nodes.len() {
            if is_on_mount(&self.nodes[ino]) {
                self.nodes[ino].links = 0;
                self.nodes[ino].is_dead = true;
                if self.nodes[ino].wd != 0 {
                    let record = super::queue::Record {
                        wd: self.nodes[ino].wd,
                        mask: EventMask::UNMOUNT,
                        name: None,
                    };
                    self.queue.push(record);
                    self.end_watch(ino);
                }
            }
        }
        true
    }

    fn user(&mut self, dentry: Dentry) -> bool {
        let Some(ino) = self.child(dentry.0, dentry.1).filter(|ino| !self.nodes[*ino].is_dead)
        else {
            return false;
        };
        self.nodes[ino].other = USER;
        self.add_watch(ino, USER);
        true
    }

    fn no_user(&mut self, dentry: Dentry) -> bool {
        let Some(ino) = self.child(dentry.0, dentry.1) else { return false };
        self.nodes[ino].other = WatchMask::empty();
        if !self.follower_wds.contains(&self.nodes[ino].wd) {
            self.end_watch(ino);
        }
        true
    }

    fn remove_all(&mut self, dentry: Dentry) -> bool {
        let Some(ino) = self.child(dentry.0, dentry.1) else { return false };
        self.plan.push_front(Op::Remove(dentry));
        for (name, _) in self.nodes[ino].entries().to_vec() {
            self.plan.push_front(Op::RemoveAll((ino, name)));
        }
        self.plan.len() < 100
    }

    /// Makes a change. Returns `false` if it is impossible.
    fn perform(&mut self, op: &Op) -> bool {
        match *op {
            Op::File(at) => self.create(at, Kind::File),
            Op::Dir(at) => self.create(at, Kind::Dir { entries: Vec::new(), parent: at }),
            Op::Link(at, ref text) => self.create(at, Kind::Link(text.as_slice().into())),
            Op::Hard(of, at) => {
                let ino = self.child(of.0, of.1).filter(|ino| self.nodes[*ino].is_file());
                let Some(ino) = ino.filter(|ino| self.nodes[*ino].dev == self.nodes[at.0].dev)
                else {
                    return false;
                };
                if !self.is_free(at) {
                    return false;
                }
                self.nodes[ino].links += 1;
                self.add_entry(at, ino);
                self.notify(Notice::Event(ino, EventMask::ATTRIB, None));
                self.notify_entry(at, EventMask::CREATE, ino);
                true
            }
            Op::Remove(at) => self.remove(at),
            Op::Rename(from, to) => self.rename(from, to),
            Op::Exchange(a, b) => self.exchange(a, b),
            Op::Write(at) => self.write(at),
            Op::Chmod(at, mode) => self.chmod(at, mode),
            Op::Hold(at) => {
                let ino = self.child(at.0, at.1).filter(|ino| self.nodes[*ino].is_file());
                ino.is_some_and(|ino| {
                    self.nodes[ino].is_open = true;
                    true
                })
            }
            Op::Release(ino) => self.release(ino),
            Op::Mount(at) => self.mount(at),
            Op::Umount(at) => self.umount(at),
            Op::User(at) => self.user(at),
            Op::NoUser(at) => self.no_user(at),
            Op::RemoveAll(at) => self.remove_all(at),
        }
    }

    /// Makes a change and records it. Returns `false` if it is impossible.
    pub fn apply(&mut self, op: Op) -> bool {
        // A plan may need a directory that was not created, or that was removed.
        let is_gone = |dir: Ino| self.nodes.get(dir).is_none_or(|node| node.is_dead);
        if op.dentries().into_iter().flatten().any(|dentry| is_gone(dentry.0)) {
            return false;
        }
        let text = self.script.as_ref().map(|_| self.op_text(&op));
        // Events stay in order.
        self.flush(false);
        let unmounts = matches!(op, Op::Umount(_)) && !self.holds_mount(&op);
        if !self.perform(&op) {
            return false;
        }
        if let Some(text) = text.filter(|_| !matches!(op, Op::RemoveAll(_))) {
            let line = |_: &Self| text;
            self.record(line);
        }
        let after = self.trace();
        let before = std::mem::replace(&mut self.now, after);
        if before != self.now {
            self.relevant_changes += 1;
            self.recent_targets.extend(self.now.end);
            if unmounts || !self.is_detectable(&op, &before) {
                self.is_silent = true;
            }
        }
        if !(self.rules.late && self.choices.chance(1, 3)) {
            self.flush(false);
        }
        true
    }

    /// Returns `true` if the root of the mount that ends is watched, and so reports the unmount.
    fn holds_mount(&self, op: &Op) -> bool {
        let Op::Umount(dentry) = op else { return false };
        let root = self.child(dentry.0, dentry.1).map(|ino| self.topmost(ino));
        root.is_some_and(|ino| self.follower_wds.contains(&self.nodes[ino].wd)) && !self.is_walking
    }

    /// Returns `true` if a correct follower can detect this change of the path.
    fn is_detectable(&self, op: &Op, before: &Trace) -> bool {
        let hops = before.hops.iter().zip(&self.now.hops);
        let Some((old, new)) = hops.clone().find(|(old, new)| old != new) else { return true };
        match op {
            Op::Mount(_) => return false,
            // The caller checks this before the change.
            Op::Umount(_) => return true,
            _ => {}
        }
        // Returns `true` if the follower watches the old entry itself with this mask.
        let reports = |hop: &Hop, mask: WatchMask| {
            hop.child.is_some_and(|ino| {
                let wd = self.nodes[ino].wd;
                let asks = |of: &(i32, WatchMask)| of.0 == wd && of.1.contains(mask);
                !self.is_walking && self.interest.iter().any(asks)
            })
        };
        if old.child != new.child {
            // If the directory is not watched, only the entry itself can report the change.
            return self.nodes[old.dir].read || reports(old, WatchMask::empty());
        }
        let by_name = match *op {
            Op::Chmod(dentry, _) => {
                dentry == (old.dir, old.name)
                    && self.nodes[old.dir].read
                    && old.child.is_some_and(|ino| self.nodes[ino].covers.is_none())
            }
            _ => true,
        };
        by_name || reports(old, WatchMask::ATTRIB)
    }
}
