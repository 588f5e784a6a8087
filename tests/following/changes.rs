//! Changes of the world, and the events that Linux 6.18 queues for each, in its order.

use tinotify::{EventMask, WatchMask};

use super::inode::{Ino, Kind, Place};
use super::truth::{Hop, Trace};
use super::world::{Notice, ROOT, World};

#[derive(Clone, Debug)]
pub enum Op {
    File(Place),
    Dir(Place),
    Link(Place, Vec<u8>),
    /// A second name for a file.
    Hard(Place, Place),
    Remove(Place),
    Rename(Place, Place),
    Exchange(Place, Place),
    Write(Place),
    /// Read and search, as 4 and 1.
    Chmod(Place, u32),
    /// Somebody opens a file.
    Hold(Place),
    /// And writes to it and closes it, wherever it is now.
    Release(Ino),
    Mount(Place),
    Umount(Place),
    /// Another subscriber.
    User(Place),
    NoUser(Place),
    /// A directory with all that is in it, step by step.
    RemoveAll(Place),
}

impl Op {
    /// Where it changes something.
    fn places(&self) -> [Option<Place>; 2] {
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

/// What another subscriber asks for.
pub const USER: WatchMask = WatchMask::OPEN.union(WatchMask::MODIFY).union(WatchMask::DELETE);

impl World {
    fn dir_mask(&self, ino: Ino) -> EventMask {
        if self.nodes[ino].is_dir() { EventMask::ISDIR } else { EventMask::empty() }
    }

    /// An event of an entry, for its directory.
    fn tell_entry(&mut self, place: Place, mask: EventMask, subject: Ino) {
        let mask = mask | self.dir_mask(subject);
        self.tell(Notice::Event(place.0, mask, Some(place.1)));
    }

    /// An event of a file, for its directory and itself.
    fn tell_both(&mut self, place: Place, mask: EventMask, ino: Ino) {
        self.tell_entry(place, mask, ino);
        let mask = mask | self.dir_mask(ino);
        self.tell(Notice::Event(ino, mask, None));
    }

    fn enter(&mut self, place: Place, ino: Ino) {
        if let Kind::Dir { entries, .. } = &mut self.nodes[place.0].kind {
            entries.push((place.1, ino));
        }
        if let Kind::Dir { parent, .. } = &mut self.nodes[ino].kind {
            *parent = place;
        }
    }

    fn leave(&mut self, place: Place) {
        if let Kind::Dir { entries, .. } = &mut self.nodes[place.0].kind {
            entries.retain(|entry| entry.0 != place.1);
        }
    }

    fn is_open_dir(&self, dir: Ino) -> bool {
        self.nodes[dir].is_dir() && self.nodes[dir].links > 0
    }

    /// Returns `true` if an entry may be made there.
    fn is_free(&self, place: Place) -> bool {
        self.is_open_dir(place.0) && self.child(place.0, place.1).is_none()
    }

    fn create(&mut self, place: Place, kind: Kind) -> bool {
        if !self.is_free(place) {
            return false;
        }
        let ino = self.add_inode(kind, self.nodes[place.0].dev);
        self.enter(place, ino);
        self.tell_entry(place, EventMask::CREATE, ino);
        true
    }

    /// Drops one name of an inode.
    fn drop_link(&mut self, ino: Ino) {
        self.nodes[ino].links -= 1;
        let mask = EventMask::ATTRIB | self.dir_mask(ino);
        self.tell(Notice::Event(ino, mask, None));
    }

    fn bury(&mut self, ino: Ino) {
        if self.nodes[ino].links == 0 && !self.nodes[ino].held {
            self.tell(Notice::Death(ino));
        }
    }

    /// Something that can be unlinked or renamed over.
    fn is_removable(&self, ino: Ino) -> bool {
        self.nodes[ino].entries().is_empty() && self.nodes[ino].mounted.is_none()
    }

    fn remove(&mut self, place: Place) -> bool {
        let Some(ino) = self.child(place.0, place.1) else { return false };
        if !self.is_removable(ino) {
            return false;
        }
        self.leave(place);
        if self.nodes[ino].is_dir() {
            self.nodes[ino].links = 0;
        } else {
            self.drop_link(ino);
        }
        self.tell_entry(place, EventMask::DELETE, ino);
        self.bury(ino);
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

    /// Returns `true` if an inode may be put in that directory.
    fn may_move(&self, ino: Ino, to: Place) -> bool {
        self.is_open_dir(to.0)
            && self.nodes[ino].dev == self.nodes[to.0].dev
            && self.nodes[ino].mounted.is_none()
            && !(self.nodes[ino].is_dir() && self.is_beneath(to.0, ino))
    }

    fn tell_move(&mut self, from: Place, to: Place, ino: Ino) {
        self.tell_entry(from, EventMask::MOVED_FROM, ino);
        self.tell_entry(to, EventMask::MOVED_TO, ino);
    }

    fn tell_moved(&mut self, ino: Ino) {
        let mask = EventMask::MOVE_SELF | self.dir_mask(ino);
        self.tell(Notice::Event(ino, mask, None));
    }

    fn rename(&mut self, from: Place, to: Place) -> bool {
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
            self.leave(to);
        }
        self.leave(from);
        self.enter(to, ino);
        self.tell_move(from, to, ino);
        if let Some(victim) = victim {
            if self.nodes[victim].is_dir() {
                self.nodes[victim].links = 1;
            }
            self.drop_link(victim);
        }
        self.tell_moved(ino);
        if let Some(victim) = victim {
            self.bury(victim);
        }
        true
    }

    fn exchange(&mut self, a: Place, b: Place) -> bool {
        let (Some(first), Some(second)) = (self.child(a.0, a.1), self.child(b.0, b.1)) else {
            return false;
        };
        if first == second || !self.may_move(first, b) || !self.may_move(second, a) {
            return false;
        }
        self.leave(a);
        self.leave(b);
        self.enter(b, first);
        self.enter(a, second);
        self.tell_move(a, b, first);
        self.tell_moved(first);
        self.tell_move(b, a, second);
        self.tell_moved(second);
        true
    }

    fn write(&mut self, place: Place) -> bool {
        let Some(ino) = self.child(place.0, place.1).filter(|ino| self.nodes[*ino].is_file())
        else {
            return false;
        };
        self.nodes[ino].version += 1;
        for mask in [EventMask::OPEN, EventMask::MODIFY, EventMask::CLOSE_WRITE] {
            self.tell_both(place, mask, ino);
        }
        true
    }

    fn release(&mut self, ino: Ino) -> bool {
        if !self.nodes[ino].held {
            return false;
        }
        self.nodes[ino].held = false;
        self.nodes[ino].version += 1;
        // The name by which it was opened does not matter to the follower.
        self.tell(Notice::Event(ino, EventMask::MODIFY, None));
        self.tell(Notice::Event(ino, EventMask::CLOSE_WRITE, None));
        self.bury(ino);
        true
    }

    fn chmod(&mut self, place: Place, mode: u32) -> bool {
        let Some(ino) = self.child(place.0, place.1) else { return false };
        let ino = self.topmost(ino);
        if matches!(self.nodes[ino].kind, Kind::Link(_)) {
            return false;
        }
        self.nodes[ino].read = mode & 4 != 0;
        self.nodes[ino].search = mode & 1 != 0;
        if self.nodes[ino].covers.is_some() {
            // The root of a mount has no entry in a directory.
            let mask = EventMask::ATTRIB | EventMask::ISDIR;
            self.tell(Notice::Event(ino, mask, None));
        } else {
            self.tell_both(place, EventMask::ATTRIB, ino);
        }
        true
    }

    fn mount(&mut self, place: Place) -> bool {
        let Some(ino) = self.child(place.0, place.1).map(|ino| self.topmost(ino)) else {
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
        // What is there from the beginning is on the mount.
        if self.choices.chance(1, 2) {
            let file = self.add_inode(Kind::File, dev);
            self.enter((over, super::inode::F), file);
        }
        true
    }

    fn umount(&mut self, place: Place) -> bool {
        let Some(root) = self.child(place.0, place.1).map(|ino| self.topmost(ino)) else {
            return false;
        };
        let Some(covered) = self.nodes[root].covers else { return false };
        let dev = self.nodes[root].dev;
        let of_it = |node: &super::inode::Inode| node.dev == dev;
        // Busy with another mount in it, or an open file.
        if self.nodes.iter().any(|node| of_it(node) && (node.held || node.mounted.is_some())) {
            return false;
        }
        self.nodes[covered].mounted = None;
        self.nodes[root].covers = None;
        self.flush(false);
        for ino in 0..self.nodes.len() {
            if of_it(&self.nodes[ino]) {
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

    fn user(&mut self, place: Place) -> bool {
        let Some(ino) = self.child(place.0, place.1).filter(|ino| !self.nodes[*ino].is_dead) else {
            return false;
        };
        self.nodes[ino].other = USER;
        self.add_watch(ino, USER);
        true
    }

    fn no_user(&mut self, place: Place) -> bool {
        let Some(ino) = self.child(place.0, place.1) else { return false };
        self.nodes[ino].other = WatchMask::empty();
        if !self.held.contains(&self.nodes[ino].wd) {
            self.end_watch(ino);
        }
        true
    }

    fn remove_all(&mut self, place: Place) -> bool {
        let Some(ino) = self.child(place.0, place.1) else { return false };
        self.plan.push_front(Op::Remove(place));
        for (name, _) in self.nodes[ino].entries().to_vec() {
            self.plan.push_front(Op::RemoveAll((ino, name)));
        }
        self.plan.len() < 100
    }

    /// Returns `true` if it could be done.
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
                self.enter(at, ino);
                self.tell(Notice::Event(ino, EventMask::ATTRIB, None));
                self.tell_entry(at, EventMask::CREATE, ino);
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
                    self.nodes[ino].held = true;
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

    /// Returns `true` if it could be done.
    pub fn apply(&mut self, op: Op) -> bool {
        // A plan may count on a directory that was not made, or is gone.
        let is_gone = |dir: Ino| self.nodes.get(dir).is_none_or(|node| node.is_dead);
        if op.places().into_iter().flatten().any(|place| is_gone(place.0)) {
            return false;
        }
        let text = self.script.as_ref().map(|_| self.op_text(&op));
        // Events keep their order.
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
            self.touched += 1;
            self.ends.extend(self.now.end);
            if unmounts || !self.is_heard(&op, &before) {
                self.is_silent = true;
            }
        }
        if !(self.rules.late && self.choices.chance(1, 3)) {
            self.flush(false);
        }
        true
    }

    /// Returns `true` if the root of the mount that ends is watched, and so will say so.
    fn holds_mount(&self, op: &Op) -> bool {
        let Op::Umount(place) = op else { return false };
        let root = self.child(place.0, place.1).map(|ino| self.topmost(ino));
        root.is_some_and(|ino| self.held.contains(&self.nodes[ino].wd)) && !self.is_walking
    }

    /// Returns `true` if a follower that keeps to its promises hears of this change of the way.
    fn is_heard(&self, op: &Op, before: &Trace) -> bool {
        let hops = before.hops.iter().zip(&self.now.hops);
        let Some((old, new)) = hops.clone().find(|(old, new)| old != new) else { return true };
        match op {
            Op::Mount(_) => return false,
            // The caller has asked before.
            Op::Umount(_) => return true,
            _ => {}
        }
        // That what was there can say so itself.
        let says = |hop: &Hop, mask: WatchMask| {
            hop.child.is_some_and(|ino| {
                let wd = self.nodes[ino].wd;
                let asks = |of: &(i32, WatchMask)| of.0 == wd && of.1.contains(mask);
                !self.is_walking && self.interest.iter().any(asks)
            })
        };
        if old.child != new.child {
            // What is watched in a directory that is not has to be asked about itself.
            return self.nodes[old.dir].read || says(old, WatchMask::empty());
        }
        let by_name = match *op {
            Op::Chmod(place, _) => {
                place == (old.dir, old.name)
                    && self.nodes[old.dir].read
                    && old.child.is_some_and(|ino| self.nodes[ino].covers.is_none())
            }
            _ => true,
        };
        by_name || says(old, WatchMask::ATTRIB)
    }
}
