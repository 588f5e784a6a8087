//! What the events do to the tree.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::files::Known;
use super::kernel::Kernel;
use super::look::{DIR_DELETED, ENDED, FAILED, Found, HIDDEN, STRAY};
use super::nodes::{NodeId, ROOT};
use super::{LOUD, Stage, Tree, TreeKind};
use crate::event::{Event, Wd};
use crate::flags::EventMask;

/// An event that comes when what was found before it is told.
#[derive(Debug)]
pub(super) struct Held {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    name: Box<[u8]>,
}

/// Changes of names, under the lock of the directory.
const NAMES: EventMask = EventMask::CREATE
    .union(EventMask::DELETE)
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO);

impl<D> Tree<D> {
    /// Takes an event, whose record begins at byte `at` of all that was ever read from the queue.
    ///
    /// Only after [`next`](Self::next) gave `None`. Events of other watches, and those of a watch that
    /// has ended, change nothing.
    pub fn feed<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, event: Event<'_>, at: u64) {
        self.come_to(at);
        if matches!(self.stage, Stage::New | Stage::Over) {
            return;
        }
        if event.is_overflow() {
            self.tell(TreeKind::Overflow, event.mask(), 0, Vec::new());
            self.drop_halves();
            self.lost = Some(u64::MAX);
            return;
        }
        let wd = event.wd();
        // Neither for the end of a watch that only a look has brought about, nor for what a look makes
        // happen: that would never end.
        let Some(dir) = self.nodes.by_wd(wd) else { return };
        if !event.mask().intersects(LOUD.events()) {
            self.again_later();
        }
        let Some(name) = event.name() else { return self.feed_own(kernel, dir, &event) };
        if self.lost.is_some() {
            return;
        }
        if !event.mask().intersects(NAMES) {
            return self.feed_other(kernel, dir, name, &event);
        }
        self.hasten(kernel, dir, name, &event);
        if self.frames.is_empty() {
            self.feed_name(kernel, dir, name, &event);
        } else {
            // What that found comes first.
            self.held = Some(Held {
                wd,
                mask: event.mask(),
                cookie: event.cookie(),
                name: event.name_and_nul().into(),
            });
        }
    }

    /// Takes the event that had to wait.
    pub(super) fn feed_held<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, held: &Held) {
        let event = Event::from_parts(held.wd, held.mask, held.cookie, &held.name);
        if let (Some(dir), Some(name)) = (self.nodes.by_wd(held.wd), event.name()) {
            self.feed_name(kernel, dir, name, &event);
        }
    }

    /// Takes an event that changes a name in a watched directory.
    fn feed_name<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeId,
        name: &[u8],
        event: &Event<'_>,
    ) {
        // What was settled just now may have ended this very watch.
        if self.nodes.by_wd(event.wd()) != Some(dir) {
            return;
        }
        let is_dir = event.is_dir();
        if event.mask().contains(EventMask::CREATE) {
            self.created(kernel, dir, name, event.mask(), 0);
        } else if event.mask().contains(EventMask::MOVED_TO) {
            self.moved_to(kernel, dir, name, event);
        } else if event.mask().contains(EventMask::MOVED_FROM) {
            self.moved_from(kernel, dir, name, event);
        } else if is_dir {
            if let Some(id) = self.nodes.child(dir, name) {
                self.gone(kernel, id, TreeKind::Told, event.mask());
            }
        } else {
            let at = self.at;
            let in_doubt = self.files.is_in_doubt(dir, at);
            let window = self.files.get_mut(dir);
            let known = window.is_none_or(|window| window.files.remove(name).is_some());
            let later = self.nodes.child(dir, name).is_some();
            if !later && (known || !in_doubt) {
                let path = self.path(dir, name);
                self.tell(TreeKind::Told, event.mask(), 0, path);
            }
        }
    }

    /// What happens to a watched directory itself. But for the root, its parent tells it too.
    fn feed_own<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId, event: &Event<'_>) {
        let mask = event.mask();
        if id == ROOT {
            if mask.intersects(EventMask::UNMOUNT | EventMask::IGNORED) {
                // What went out of it before the end, did so.
                self.give_up_all(kernel);
            }
            if mask.contains(EventMask::MOVE_SELF) {
                self.tell(TreeKind::RootMoved, mask, 0, Vec::new());
            } else if mask.contains(EventMask::UNMOUNT) {
                self.tell(TreeKind::RootUnmounted, mask, 0, Vec::new());
                self.stop(kernel);
            } else if mask.contains(EventMask::IGNORED) {
                self.tell(TreeKind::RootRemoved, mask, 0, Vec::new());
                self.stop(kernel);
            } else {
                self.tell(TreeKind::Told, mask, 0, Vec::new());
            }
        } else if mask.contains(EventMask::MOVE_SELF) {
            self.moved_self(kernel, id);
        } else if mask.contains(EventMask::IGNORED) && self.has(id, STRAY) {
            self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
        } else if mask.contains(EventMask::UNMOUNT) {
            let path = self.path(id, &[]);
            self.tell(TreeKind::Told, mask, 0, path);
            self.clear(kernel, id);
        } else if mask.contains(EventMask::IGNORED) {
            // Its parent tells if it was removed; if not, what is there now is looked for.
            self.nodes.set_wd(id, None);
            self.set(id, ENDED, true);
            self.again.push(id);
            self.again.append(&mut self.twice);
        }
    }

    /// What changes no name.
    fn feed_other<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeId,
        name: &[u8],
        event: &Event<'_>,
    ) {
        if event.is_dir() {
            if event.mask().contains(EventMask::ATTRIB) {
                // Perhaps it may be read now.
                let child = self.nodes.child(dir, name);
                if let Some(id) = child.filter(|&id| self.has(id, FAILED)) {
                    self.look_again(kernel, id);
                }
            }
        } else if let Some(known) =
            self.files.get_mut(dir).and_then(|window| window.files.get_mut(name))
        {
            known.stat = None;
        }
        let path = self.path(dir, name);
        self.tell(TreeKind::Told, event.mask(), 0, path);
    }

    /// Something is there that was not, by an event without another half.
    pub(super) fn created<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeId,
        name: &[u8],
        mask: EventMask,
        cookie: u32,
    ) {
        let in_doubt = self.files.is_in_doubt(dir, self.at);
        if let Some(id) = self.nodes.child(dir, name).filter(|&id| self.has(id, STRAY)) {
            // The name was free, so it is not there.
            self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
        }
        let child = self.nodes.child(dir, name);
        let window = self.files.get_mut(dir);
        let file = window.as_ref().is_some_and(|window| window.files.contains_key(name));
        if in_doubt && (file || child.is_some() && !mask.contains(EventMask::ISDIR)) {
            return;
        }
        if !mask.contains(EventMask::ISDIR) {
            if let Some(window) = window {
                window.files.insert(name.into(), Known { stat: None, pass: self.pass });
            }
            if let Some(id) = child {
                self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
            }
        } else if let Some(id) = child {
            // Known already by looking, or another one since.
            let moved = mask.contains(EventMask::MOVED_TO);
            let ended = moved && self.has(id, ENDED);
            let replaced = moved && self.nodes.wd(id).is_some();
            if !ended && (self.look_again(kernel, id) == Found::Dir || !replaced) {
                return;
            }
            self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
        } else {
            self.file_gone(dir, name);
        }
        if !self.nodes.is_within(dir, ROOT) {
            // It went with what was settled just now.
            return;
        }
        let path = self.path(dir, name);
        self.tell(TreeKind::Told, mask, cookie, path);
        if mask.contains(EventMask::ISDIR) {
            let id = self.nodes.add(dir, name);
            self.see(id);
            self.look_again(kernel, id);
        }
    }

    /// Tells that a directory is gone, and forgets it with all beneath.
    pub(super) fn gone<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        id: NodeId,
        kind: TreeKind,
        mask: EventMask,
    ) {
        if !self.has(id, HIDDEN) {
            let path = self.path(id, &[]);
            self.tell(kind, mask, 0, path);
        }
        self.remove(kernel, id);
    }

    /// Forgets a directory and all beneath it, and ends their watches.
    pub(super) fn remove<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, top: NodeId) {
        while self.half_of(top).is_some() {}
        let left = self.cut_halves(top);
        self.remove_beneath(kernel, top);
        self.forget(kernel, top);
        for half in left {
            self.give_up(kernel, half);
        }
    }

    /// Forgets what is in a directory, and ends the watches of all beneath.
    pub(super) fn clear<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, top: NodeId) {
        let left = self.cut_halves(top);
        self.remove_beneath(kernel, top);
        self.files.forget(top);
        self.forget_doubts(top);
        for half in left {
            self.give_up(kernel, half);
        }
    }

    fn remove_beneath<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, top: NodeId) {
        while let Some(mut id) = self.nodes.first_child(top) {
            while let Some(child) = self.nodes.first_child(id) {
                id = child;
            }
            // Each once, the innermost first, and no list of them.
            self.forget(kernel, id);
        }
    }

    fn forget<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId) {
        if let Some(wd) = self.nodes.wd(id) {
            kernel.unwatch(wd);
            self.again.append(&mut self.twice);
        }
        self.files.forget(id);
        self.frames.retain(|frame| frame.id != id);
        for list in [&mut self.again, &mut self.later, &mut self.twice] {
            list.retain(|&other| other != id);
        }
        self.forget_doubts(id);
        self.nodes.remove(id);
    }
}
