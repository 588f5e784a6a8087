//! Watches, their events, and locks that wait for the rest of a rename.

use tinotify::{Errno, EventMask, WatchMask};

use super::changes::Step;
use super::inode::Ino;
use super::names::Name;
use super::queue::Record;
use super::world::{World, trace};

impl World {
    /// Adds a watch (inotify_add_watch(2)).
    pub fn add_watch(&mut self, ino: Ino, mask: WatchMask) -> Result<i32, Errno> {
        let events = mask & WatchMask::ALL_EVENTS;
        let node = &mut self.nodes[ino];
        if node.wd != 0 {
            if mask.contains(WatchMask::MASK_CREATE) {
                return Err(Errno::EEXIST);
            }
            node.mask =
                if mask.contains(WatchMask::MASK_ADD) { node.mask | events } else { events };
            return Ok(node.wd);
        }
        if self.watched >= self.rules.watch_limit {
            return Err(Errno::ENOSPC);
        }
        let wd = self.free_wd().ok_or(Errno::ENOSPC)?;
        self.last_wd = wd;
        self.watched += 1;
        let node = &mut self.nodes[ino];
        (node.wd, node.mask) = (wd, events);
        Ok(wd)
    }

    /// Returns the next unused watch descriptor, cyclically.
    fn free_wd(&self) -> Option<i32> {
        let max = self.rules.last_wd;
        (self.last_wd + 1..=max).chain(1..=self.last_wd).find(|wd| {
            !self.nodes.iter().any(|node| node.wd == *wd)
                && (self.rules.reuse_wds_early || !self.unread_ends.contains(wd))
        })
    }

    /// Removes a watch (inotify_rm_watch(2)).
    pub fn remove_watch(&mut self, wd: i32) -> Result<(), Errno> {
        let ino = self.watch_of(wd).ok_or(Errno::EINVAL)?;
        self.end_watch(ino);
        Ok(())
    }

    pub fn watch_of(&self, wd: i32) -> Option<Ino> {
        self.nodes.iter().position(|node| wd > 0 && node.wd == wd)
    }

    pub fn end_watch(&mut self, ino: Ino) {
        let wd = std::mem::take(&mut self.nodes[ino].wd);
        self.watched -= 1;
        self.unread_ends.push(wd);
        let record = Record { wd, mask: EventMask::IGNORED, cookie: 0, name: 0 };
        trace!(self, "        queued: {record:?}");
        self.queue_up(record);
    }

    fn queue_up(&mut self, record: Record) {
        let is_move = record.mask.intersects(EventMask::MOVE);
        self.moves.merged += u64::from(self.queue.push(record) && is_move);
    }

    pub fn queue_event(&mut self, ino: Ino, mask: EventMask, cookie: u32, name: Name) {
        let node = &self.nodes[ino];
        let wanted = node.mask.bits() | EventMask::UNMOUNT.bits();
        if node.wd == 0 || mask.bits() & wanted == 0 {
            return;
        }
        // `DELETE_SELF` and `MOVE_SELF` of a directory have no `ISDIR`.
        let own = EventMask::DELETE_SELF | EventMask::MOVE_SELF;
        let mask = if mask.intersects(own) { mask - EventMask::ISDIR } else { mask };
        let record = Record { wd: node.wd, mask, cookie, name };
        trace!(self, "        queued: {record:?}");
        self.queue_up(record);
    }

    pub fn step(&mut self, step: Step) {
        match step {
            Step::Half(dir, mask, cookie, name, moved) => {
                self.half(dir, mask, moved);
                self.queue_event(dir, mask, cookie, name);
            }
            Step::Queue(ino, mask, cookie, name) => self.queue_event(ino, mask, cookie, name),
            Step::Drop(ino) => {
                if !self.nodes[ino].is_gone() {
                    return;
                }
                if self.nodes[ino].wd != 0 {
                    self.queue_event(ino, EventMask::DELETE_SELF, 0, 0);
                    self.end_watch(ino);
                }
                if let Some(parent) = self.nodes[ino].pinned.take() {
                    self.nodes[parent].pins -= 1;
                    self.step(Step::Drop(parent));
                }
            }
        }
    }

    /// Drops the directories that only closed descriptors kept.
    pub fn close_dropped(&mut self) {
        loop {
            let Some(ino) = self.closed.borrow_mut().pop() else { return };
            self.nodes[ino].open -= 1;
            self.step(Step::Drop(ino));
        }
    }

    /// Queues the rest of the rename in progress.
    pub fn finish_rename(&mut self) {
        if let Some(pending) = self.pending.take() {
            trace!(self, "    the second half of the rename is queued");
            for step in pending.steps {
                self.step(step);
            }
        }
    }

    pub fn is_renaming(&self) -> bool {
        self.pending.is_some()
    }

    /// Waits for the lock of a directory.
    pub fn lock(&mut self, dir: Ino) {
        if self.is_locked(dir) {
            self.finish_rename();
        }
    }

    pub fn is_locked(&self, ino: Ino) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.locked.contains(&ino))
    }
}
