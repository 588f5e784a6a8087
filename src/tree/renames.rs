//! Renames: two events that belong together, of which either may not come.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::files::Known;
use super::kernel::Kernel;
use super::look::{DIR_DELETED, HIDDEN, STRAY, UNLISTED, is_moved, is_scarce};
use super::nodes::{NodeId, ROOT};
use super::{Tree, TreeKind};
use crate::event::Event;
use crate::flags::EventMask;
use crate::sys::Errno;

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

/// More than these wait only where other events of a directory do not tell that none comes.
const HALVES: usize = 64;

fn with_kind(mask: EventMask, is_dir: bool) -> EventMask {
    if is_dir { mask | EventMask::ISDIR } else { mask }
}

impl<D> Tree<D> {
    pub(super) fn moved_from<K: Kernel<Dir = D>>(
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

    pub(super) fn moved_to<K: Kernel<Dir = D>>(
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
                if half.back {
                    self.doubt((half.dir, half.name), None);
                }
                self.remove(kernel, id);
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

    /// The half of a directory's rename, which is taken out.
    pub(super) fn half_of(&mut self, id: NodeId) -> Option<Half> {
        let index = self.halves.iter().position(|half| half.node == Some(id))?;
        Some(self.halves.remove(index))
    }

    /// A directory says itself that it was moved, after both halves of it.
    pub(super) fn moved_self<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId) {
        match self.half_of(id) {
            Some(half) if half.to.is_some() => {
                self.set(id, STRAY, false);
                self.renamed(kernel, half);
            }
            Some(half) => self.moved_out(kernel, &half),
            // It was somewhere else, indeed.
            None if self.has(id, STRAY) => self.gone(kernel, id, TreeKind::Found, DIR_DELETED),
            None => {}
        }
    }

    /// Nothing more comes of any rename.
    pub(super) fn give_up_all<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        while let Some(half) = self.halves.pop() {
            self.give_up(kernel, half);
        }
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
    pub(super) fn give_up<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, mut half: Half) {
        let to = half.to.take();
        let (is_dir, cookie) = (half.is_dir, half.cookie);
        // A watched directory that was moved tells so itself. It was another one of that name.
        let stays = match half.node {
            Some(id) if self.nodes.wd(id).is_some() => self.stays(kernel, id, to.is_some()),
            _ => false,
        };
        if !stays {
            self.moved_out(kernel, &half);
        } else if half.back && half.node.is_some_and(|id| self.has(id, STRAY)) {
            // A file that has its name now may not be told.
            self.doubt((half.dir, half.name), None);
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
        // First, since what is removed may take the directory with it.
        if half.back && (half.told || half.node.is_some()) {
            self.doubt((half.dir, half.name.clone()), None);
        }
        if let Some(id) = half.node {
            self.remove(kernel, id);
        }
    }

    /// An event changes names in a directory, so halves in it that are older will stay alone.
    pub(super) fn hasten<K: Kernel<Dir = D>>(
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
        if known {
            return;
        }
        match self.nodes.child(dir, name) {
            Some(id) if self.has(id, STRAY) && !is_dir => {
                self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
            }
            Some(_) => return,
            None => {}
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
            // If that fails, nothing better is known.
            let _ = self.settle(kernel, dir);
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
            let _ = self.settle(kernel, dir);
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
    pub(super) fn settle<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeId,
    ) -> Result<(), Errno> {
        let mut dir = self.open(kernel, dir)?;
        kernel.settle(&mut dir)
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

    /// What is left of the renames that lead into a directory or out of it, which is no longer told of.
    pub(super) fn cut_halves(&mut self, top: NodeId) -> Vec<Half> {
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

    pub(super) fn forget_doubts(&mut self, id: NodeId) {
        self.lately.retain(|(dir, _)| *dir != id);
        self.doubts.retain(|doubt| doubt.dir != id);
        for doubt in &mut self.doubts {
            doubt.to.take_if(|(dir, _)| *dir == id);
        }
    }

    /// The world is known better now, so what was not in its place may be.
    pub(super) fn again_later(&mut self) {
        self.again.append(&mut self.later);
        for doubt in self.doubts.iter_mut().filter(|doubt| doubt.seen == Seen::Moved) {
            doubt.seen = Seen::No;
        }
    }
}
