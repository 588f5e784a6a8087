//! What the events do to the tree.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::files::Known;
use super::kernel::Kernel;
use super::look::{
    DIR_DELETED, ENDED, FAILED, Found, HIDDEN, STRAY, UNLISTED, is_moved, is_scarce,
};
use super::nodes::{NodeId, ROOT};
use super::{Stage, Tree, TreeKind};
use crate::event::{Event, Wd};
use crate::flags::EventMask;

/// An old name whose new one has not come yet; or both, where it is not yet sure whose.
///
/// The kernel queues `MOVED_FROM`, `MOVED_TO` and the `MOVE_SELF` of a directory while it holds the
/// locks of both directories, so nothing else that changes their names can come between
/// (`fsnotify_move` in `vfs_rename`, Linux 6.18).
#[derive(Debug)]
pub(super) struct Half {
    cookie: u32,
    dir: NodeId,
    name: Box<[u8]>,
    is_dir: bool,
    /// The directory that has that name, as far as is known.
    node: Option<NodeId>,
    /// Whether the old name was ever told.
    told: bool,
    /// The new name.
    to: Option<(NodeId, Box<[u8]>)>,
    /// Whether it is sure that all of it is queued.
    settled: bool,
    /// Whether something was renamed to the old name just before, or may have been.
    back: bool,
}

/// A name from which something was renamed just after something was renamed to it. Those are one and
/// the same; or two things have changed places (`RENAME_EXCHANGE` of renameat2(2)), and the other one is
/// still there: the kernel tells both alike. What is told next of the name decides, or a look when
/// nothing more is told.
#[derive(Debug)]
pub(super) struct Doubt {
    dir: NodeId,
    name: Box<[u8]>,
    /// Whether it is told already that something is there.
    known: bool,
    /// The file that was renamed, which may be the other one.
    to: Option<(NodeId, Box<[u8]>)>,
    seen: Seen,
}

/// What a look at a name has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It was not looked at.
    No,
    /// The directory was not in its place; events will tell.
    Moved,
    /// Whether it is there, and whether that is a directory.
    Name(Option<bool>),
}

/// An event that comes when what was found before it is told.
#[derive(Debug)]
pub(super) struct Held {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    name: Box<[u8]>,
}

/// More than these wait only where other events of a directory do not tell that none comes.
const HALVES: usize = 64;

/// Changes of names, under the lock of the directory.
const NAMES: EventMask = EventMask::CREATE
    .union(EventMask::DELETE)
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO);

fn with_kind(mask: EventMask, is_dir: bool) -> EventMask {
    if is_dir { mask | EventMask::ISDIR } else { mask }
}

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
        // Not for the end of a watch that only a look has brought about: that would never end.
        let Some(dir) = self.nodes.by_wd(wd) else { return };
        self.again_later();
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

    /// The world is known better now, so what was not in its place may be.
    fn again_later(&mut self) {
        self.again.append(&mut self.later);
        for doubt in self.doubts.iter_mut().filter(|doubt| doubt.seen == Seen::Moved) {
            doubt.seen = Seen::No;
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
                while let Some(half) = self.halves.pop() {
                    self.give_up(kernel, half);
                }
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
            let index = self.halves.iter().position(|half| half.node == Some(id));
            match index.map(|index| self.halves.remove(index)) {
                Some(half) if half.to.is_some() => {
                    self.set(id, STRAY, false);
                    self.renamed(kernel, half);
                }
                Some(half) => self.moved_out(kernel, &half),
                // It was somewhere else, indeed.
                None if self.has(id, STRAY) => self.gone(kernel, id, TreeKind::Found, DIR_DELETED),
                None => {}
            }
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
    fn created<K: Kernel<Dir = D>>(
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
        let path = self.path(dir, name);
        self.tell(TreeKind::Told, mask, cookie, path);
        if mask.contains(EventMask::ISDIR) {
            let id = self.nodes.add(dir, name);
            self.see(id);
            self.look_again(kernel, id);
        }
    }

    fn moved_from<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeId,
        name: &[u8],
        event: &Event<'_>,
    ) {
        let child = self.nodes.child(dir, name);
        let (node, told) = if event.is_dir() {
            (child, child.is_some_and(|id| !self.has(id, HIDDEN)))
        } else {
            let window = self.files.get_mut(dir);
            (None, window.map_or(child.is_none(), |window| window.files.remove(name).is_some()))
        };
        let lately = self.lately.iter().position(|(at, known)| *at == dir && **known == *name);
        self.halves.push(Half {
            cookie: event.cookie(),
            dir,
            name: name.into(),
            is_dir: event.is_dir(),
            node,
            told,
            to: None,
            settled: false,
            back: lately.map(|index| self.lately.remove(index)).is_some()
                // The directory was not watched yet.
                || self.unsure.is_some()
                || self.files.is_in_doubt(dir, self.at),
        });
        if self.halves.len() > HALVES {
            let oldest = self.halves.remove(0);
            self.give_up(kernel, oldest);
        }
    }

    fn moved_to<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeId,
        name: &[u8],
        event: &Event<'_>,
    ) {
        if self.lately.len() >= HALVES {
            self.lately.remove(0);
        }
        self.lately.push((dir, name.into()));
        let is_half = |half: &Half| {
            half.cookie == event.cookie() && half.is_dir == event.is_dir() && half.to.is_none()
        };
        let Some(index) = self.halves.iter().position(is_half) else {
            return self.created(kernel, dir, name, event.mask(), event.cookie());
        };
        let mut half = self.halves.remove(index);
        match half.node {
            Some(id) if !half.told => {
                self.remove(kernel, id);
                if half.back {
                    self.doubt((half.dir, half.name), None);
                }
                self.created(kernel, dir, name, event.mask(), event.cookie());
            }
            Some(id) => {
                half.to = Some((dir, name.into()));
                if self.nodes.wd(id).is_some() {
                    // Its own event tells whether it is the one.
                    half.settled = false;
                    self.halves.push(half);
                } else {
                    self.renamed(kernel, half);
                }
            }
            None if half.told => {
                let from = self.path(half.dir, &half.name);
                if let Some(id) = self.nodes.child(dir, name) {
                    self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
                }
                if let Some(window) = self.files.get_mut(dir) {
                    window.files.insert(name.into(), Known { stat: None, pass: self.pass });
                }
                let path = self.path(dir, name);
                // What was beneath a directory that is gone is told to be gone.
                let kind = if self.nodes.is_within(half.dir, ROOT) {
                    TreeKind::Renamed { from }
                } else {
                    TreeKind::Told
                };
                self.tell(kind, event.mask(), event.cookie(), path);
                if half.back {
                    self.doubt((half.dir, half.name), Some((dir, name.into())));
                }
            }
            None => self.created(kernel, dir, name, event.mask(), event.cookie()),
        }
    }

    /// A rename may have been the second half of an exchange.
    fn doubt(&mut self, (dir, name): (NodeId, Box<[u8]>), to: Option<(NodeId, Box<[u8]>)>) {
        let window = self.files.get_mut(dir);
        let known = window.is_some_and(|window| window.files.contains_key(&name));
        self.doubts.push(Doubt { dir, name, known, to, seen: Seen::No });
    }

    /// A directory has its new place.
    fn renamed<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, half: Half) {
        let (Some(id), Some((dir, name))) = (half.node, half.to) else { return };
        if self.nodes.is_within(dir, id) {
            // No file system does that: what is known is wrong.
            return self.doubt_all(kernel);
        }
        // What went out of it before did so by its old path.
        while let Some(index) =
            self.halves.iter().position(|half| self.nodes.is_within(half.dir, id))
        {
            let half = self.halves.remove(index);
            self.give_up(kernel, half);
        }
        let from = self.path(half.dir, &half.name);
        if let Some(victim) = self.nodes.child(dir, &name).filter(|&victim| victim != id) {
            if self.nodes.is_within(id, victim) {
                return self.doubt_all(kernel);
            }
            self.remove(kernel, victim);
        }
        if let Some(window) = self.files.get_mut(dir) {
            window.files.remove(&name);
        }
        self.nodes.relink(id, dir, &name);
        self.again_later();
        let path = self.path(dir, &name);
        let mask = EventMask::MOVED_TO | EventMask::ISDIR;
        self.tell(TreeKind::Renamed { from }, mask, half.cookie, path);
        if self.nodes.wd(id).is_none() {
            self.look_again(kernel, id);
        } else if self.has(id, UNLISTED) {
            self.again.push(id);
        }
        self.bar_anew(kernel, id);
        if half.back {
            self.doubt((half.dir, half.name), None);
        }
    }

    /// Looks at all of it again, as after a loss.
    pub(super) fn doubt_all<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        self.tell(TreeKind::Overflow, EventMask::Q_OVERFLOW, 0, Vec::new());
        self.resync(kernel);
    }

    /// An old name whose new one does not come, or is not that of the directory it was thought to be.
    fn give_up<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, mut half: Half) {
        let to = half.to.take();
        let (is_dir, cookie) = (half.is_dir, half.cookie);
        // A watched directory that was moved tells so itself. It was another one of that name.
        let stays = match half.node {
            Some(id) if self.nodes.wd(id).is_some() => self.stays(kernel, id, to.is_some()),
            _ => false,
        };
        if !stays {
            self.moved_out(kernel, &half);
        }
        // It may have been within what is gone.
        if let Some((dir, name)) = to.filter(|(dir, _)| self.nodes.is_within(*dir, ROOT)) {
            self.created(kernel, dir, &name, with_kind(EventMask::MOVED_TO, is_dir), cookie);
        }
    }

    /// Whether a directory whose name was moved, and which was not, is still where it was. If that can't
    /// be seen now, but is likely, it is looked for later.
    fn stays<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId, likely: bool) -> bool {
        let Some(parent) = self.nodes.parent(id) else { return true };
        // If it is there again, events are still to come of what had its name meanwhile.
        self.unsure = Some(u64::MAX);
        match self.open(kernel, parent) {
            Ok(_) => self.is_there(kernel, id),
            Err(errno) if likely && is_moved(errno) || is_scarce(errno) => {
                self.set(id, STRAY, true);
                self.again.push(id);
                true
            }
            Err(_) => false,
        }
    }

    /// Something was moved to where nothing is watched.
    fn moved_out<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, half: &Half) {
        if half.told {
            let path = self.path(half.dir, &half.name);
            let mask = with_kind(EventMask::MOVED_FROM, half.is_dir);
            self.tell(TreeKind::Told, mask, half.cookie, path);
        }
        if let Some(id) = half.node {
            self.remove(kernel, id);
        }
        if half.back && (half.told || half.node.is_some()) {
            self.doubt((half.dir, half.name.clone()), None);
        }
    }

    /// An event changes names in a directory, so halves in it that are older will stay alone.
    fn hasten<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeId,
        name: &[u8],
        event: &Event<'_>,
    ) {
        let mask = event.mask();
        let is_late = |half: &Half| {
            half.cookie != event.cookie()
                && (half.dir == dir || half.to.as_ref().is_some_and(|(to, _)| *to == dir))
        };
        while let Some(index) = self.halves.iter().position(is_late) {
            let half = self.halves.remove(index);
            let same = half.to.is_none() && *half.name == *name;
            if same && mask.contains(EventMask::CREATE) {
                // The name was free, so what had it is gone.
                self.moved_out(kernel, &half);
            } else {
                self.give_up(kernel, half);
            }
        }
        let is_it = |(at, known): &(NodeId, Box<[u8]>)| *at == dir && **known == *name;
        let leaves = mask.contains(EventMask::MOVED_FROM);
        self.lately.retain(|lately| lately.0 != dir || leaves && is_it(lately));
        let to_it = |doubt: &Doubt| doubt.to.as_ref().is_some_and(is_it);
        if let Some(index) = self.doubts.iter().position(to_it) {
            self.changed(index);
        }
        let of_it = |doubt: &Doubt| doubt.dir == dir && *doubt.name == *name;
        if let Some(index) = self.doubts.iter().position(of_it) {
            if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
                self.changed(index);
            }
            let doubt = self.doubts.remove(index);
            if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
                self.exchanged(kernel, &doubt, event.is_dir());
            }
        }
    }

    /// A file that was renamed may be another one.
    fn changed(&mut self, doubt: usize) {
        let to = self.doubts.get_mut(doubt).and_then(|doubt| doubt.to.take());
        if let Some((dir, name)) = to {
            let path = self.path(dir, &name);
            self.tell(TreeKind::Found, EventMask::MODIFY, 0, path);
        }
    }

    /// It was an exchange, which has left something at the old name.
    fn exchanged<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, doubt: &Doubt, is_dir: bool) {
        let Doubt { dir, ref name, known, .. } = *doubt;
        if known || self.nodes.child(dir, name).is_some() {
            return;
        }
        if is_dir {
            let id = self.find(dir, name);
            self.look_again(kernel, id);
            return;
        }
        let pass = self.pass;
        let window = self.files.get_mut(dir);
        let new = window.is_none_or(|window| {
            window.files.insert(name.clone(), Known { stat: None, pass }).is_none()
        });
        if new {
            let path = self.path(dir, name);
            self.tell(TreeKind::Found, EventMask::CREATE, 0, path);
        }
    }

    /// The queue is empty: makes sure that halves are not alone because somebody is at it right now;
    /// those for which that is sure will stay alone, and what was seen is so. Whether it did anything.
    pub(super) fn settle_halves<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> bool {
        if self.halves.is_empty() && self.doubts.is_empty() {
            return false;
        }
        let mut sure = true;
        for index in 0..self.halves.len() {
            let Some(half) = self.halves.get_mut(index).filter(|half| !half.settled) else {
                continue;
            };
            half.settled = true;
            let dir = half.dir;
            self.settle(kernel, dir);
            sure = false;
        }
        for index in 0..self.doubts.len() {
            let Some(doubt) = self.doubts.get(index).filter(|doubt| doubt.seen == Seen::No) else {
                continue;
            };
            let (dir, name) = (doubt.dir, doubt.name.clone());
            let opened = self.open(kernel, dir);
            let moved = opened.as_ref().is_err_and(|&errno| is_moved(errno));
            let seen = match opened.and_then(|dir| kernel.stat_child(&dir, &name)) {
                Ok(stat) => Seen::Name(Some(stat.is_dir)),
                Err(_) if moved => Seen::Moved,
                Err(errno) if is_moved(errno) => Seen::Name(None),
                Err(_) => {
                    self.doubt_all(kernel);
                    return true;
                }
            };
            if let Some(doubt) = self.doubts.get_mut(index) {
                doubt.seen = seen;
            }
            if moved {
                continue;
            }
            // So that events of what was seen are queued.
            self.settle(kernel, dir);
            sure = false;
        }
        let mut worked = !sure;
        while sure && !self.halves.is_empty() {
            worked = true;
            let half = self.halves.remove(0);
            self.give_up(kernel, half);
        }
        let seen = |doubt: &Doubt| match doubt.seen {
            Seen::Name(kind) if sure => Some(kind),
            _ => None,
        };
        while let Some((index, kind)) =
            self.doubts.iter().enumerate().find_map(|(index, doubt)| Some((index, seen(doubt)?)))
        {
            worked = true;
            if kind.is_some() {
                self.changed(index);
            }
            let doubt = self.doubts.remove(index);
            if let Some(is_dir) = kind {
                self.exchanged(kernel, &doubt, is_dir);
            }
        }
        worked
    }

    /// Sees to it that all is queued of what was done to the names in a directory.
    pub(super) fn settle<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, dir: NodeId) {
        if let Ok(mut dir) = self.open(kernel, dir) {
            // If that fails, nothing better is known.
            let _ = kernel.settle(&mut dir);
        }
    }

    /// Events were lost, so whatever waits for its other half waits in vain.
    pub(super) fn drop_halves(&mut self) {
        self.lately.clear();
        self.doubts.clear();
        for half in core::mem::take(&mut self.halves) {
            // Directories are looked for where they are now.
            if half.told && half.node.is_none() {
                let path = self.path(half.dir, &half.name);
                self.tell(TreeKind::Told, EventMask::MOVED_FROM, half.cookie, path);
            }
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
        self.halves.retain(|half| half.node != Some(top));
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

    /// What is left of the renames that lead into a directory or out of it, which is no longer told of.
    fn cut_halves(&mut self, top: NodeId) -> Vec<Half> {
        let within = |id: NodeId| self.nodes.is_within(id, top);
        let to_within = |half: &Half| half.to.as_ref().is_some_and(|(to, _)| within(*to));
        let halves = core::mem::take(&mut self.halves).into_iter();
        let (touched, others): (Vec<Half>, Vec<Half>) =
            halves.partition(|half| within(half.dir) || to_within(half));
        let left = touched.into_iter().filter_map(|mut half| {
            if to_within(&half) {
                half.to = None;
            }
            if within(half.dir) {
                half.node = None;
                half.told = false;
            }
            (half.node.is_some() || half.to.is_some()).then_some(half)
        });
        let left = left.collect();
        self.halves = others;
        left
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

    fn forget_doubts(&mut self, id: NodeId) {
        self.lately.retain(|(dir, _)| *dir != id);
        self.doubts.retain(|doubt| doubt.dir != id);
        for doubt in &mut self.doubts {
            doubt.to.take_if(|(dir, _)| *dir == id);
        }
    }
}
