//! Looking at what is there: where something new came, where events were lost, and where the world
//! moved while it was looked at.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::files::Known;
use super::kernel::Kernel;
use super::nodes::{NodeId, ROOT};
use super::{Barred, LOUD, Stage, Tree, TreeKind};
use crate::event::Wd;
use crate::flags::EventMask;
use crate::sys::Errno;

/// One directory whose listing is being gone through.
#[derive(Debug)]
pub(super) struct Frame<D> {
    pub id: NodeId,
    /// Closed where too many are open.
    dir: Option<D>,
    /// One entry behind the other: whether it is a directory, its name, and a NUL.
    entries: Vec<u8>,
    next: usize,
    /// Whether files are among them.
    files: bool,
    /// Whether the directory is new, and so are they.
    telling: bool,
}

/// So many directories are open at once, of a listing in a listing.
const OPEN: usize = 24;

// What is noted of a node; the bits above are the pass in which it was last seen.
/// It was said to have no subdirectories, and never listed.
pub(super) const UNLISTED: u32 = 1;
/// It is not told of yet.
pub(super) const HIDDEN: u32 = 2;
/// It can't be watched, and that is told.
pub(super) const FAILED: u32 = 4;
/// It is not to be watched.
const BARRED: u32 = 8;
/// It is watched at another place.
const TWICE: u32 = 16;
/// What is in it is not told of yet.
const UNTOLD: u32 = 32;
/// It is sure that the events of its moves are queued.
const SETTLED: u32 = 64;
/// It may be somewhere else, without an event to tell.
pub(super) const STRAY: u32 = 128;
/// Its watch has ended, and what is there now was not looked at.
pub(super) const ENDED: u32 = 256;
/// It tells no loud events, while all is looked at.
const HUSHED: u32 = 512;
const NOTES: u32 = 10;

/// What a look at a name found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A directory, which is in its place now.
    Dir,
    /// No directory, or it is not sure: events will tell.
    Moved,
    /// A directory that is known at another place.
    Elsewhere,
}

/// Whether an error says that the world has moved.
pub(super) fn is_moved(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE)
}

/// Whether an error is of the moment, and says nothing of the directory.
pub(super) fn is_scarce(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOSPC)
}

/// Whether a name in an open directory leads to a directory.
fn is_dir<K: Kernel>(kernel: &mut K, dir: &K::Dir, name: &[u8]) -> Result<bool, Errno> {
    match kernel.stat_child(dir, name) {
        Err(errno) if is_moved(errno) => Ok(false),
        stat => Ok(stat?.is_dir),
    }
}

const DIR_CREATED: EventMask = EventMask::CREATE.union(EventMask::ISDIR);
pub(super) const DIR_DELETED: EventMask = EventMask::DELETE.union(EventMask::ISDIR);

impl<D> Tree<D> {
    pub(super) fn has(&self, id: NodeId, note: u32) -> bool {
        self.nodes.note(id) & note != 0
    }

    pub(super) fn set(&mut self, id: NodeId, note: u32, on: bool) {
        let notes = self.nodes.note(id);
        self.nodes.set_note(id, if on { notes | note } else { notes & !note });
    }

    /// Notes that a directory is there in this pass.
    pub(super) fn see(&mut self, id: NodeId) {
        let notes = self.nodes.note(id) & ((1 << NOTES) - 1);
        self.nodes.set_note(id, notes | self.pass << NOTES);
    }

    fn is_seen(&self, id: NodeId) -> bool {
        self.nodes.note(id) >> NOTES == self.pass << NOTES >> NOTES
    }

    /// Has a directory that was listed quietly tell of all again, while it is open, and all in it is
    /// looked at.
    fn raise_open<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId, dir: &D) {
        if !self.has(id, HUSHED) {
            return;
        }
        if let Ok(wd) = kernel.watch(dir, self.asked) {
            self.set(id, HUSHED, self.nodes.wd(id) != Some(wd));
            self.let_go(kernel, wd);
        }
    }

    /// The same for one that was closed meanwhile.
    pub(super) fn raise<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let Some(id) = self.hushed.pop() else { return };
        // The number may be another directory's by now.
        if self.has(id, HUSHED) {
            self.set(id, HUSHED, false);
            if self.open(kernel, id).is_err() {
                self.later.push(id);
            }
        }
    }

    /// Whether what is found is told.
    fn is_telling(&self) -> bool {
        self.stage != Stage::Setup || self.options.existing
    }

    /// Opens a watched directory by its path, and makes sure that it is the one.
    pub(super) fn open<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        id: NodeId,
    ) -> Result<D, Errno> {
        let known = self.nodes.wd(id).ok_or(Errno::ESTALE)?;
        let path = self.path(id, &[]);
        let dir = kernel.open(&path)?;
        let wd = kernel.watch(&dir, self.asked)?;
        if wd == known {
            return Ok(dir);
        }
        self.let_go(kernel, wd);
        Err(Errno::ESTALE)
    }

    /// Ends a watch that came about by looking at the wrong thing.
    fn let_go<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, wd: Wd) {
        if self.nodes.by_wd(wd).is_none() {
            kernel.unwatch(wd);
        }
    }

    /// Whether a watched directory is in its place now.
    pub(super) fn is_there<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId) -> bool {
        let Some(parent) = self.nodes.parent(id) else { return false };
        let Ok(dir) = self.open(kernel, parent) else { return false };
        let Ok(wd) = kernel.watch_child(&dir, self.nodes.name(id), self.asked) else {
            return false;
        };
        self.let_go(kernel, wd);
        self.nodes.wd(id) == Some(wd)
    }

    /// Looks at one directory again, all events of before having come; or for the first time.
    pub(super) fn look_again<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId) -> Found {
        let Some(parent) = self.nodes.parent(id) else {
            if self.has(ROOT, UNLISTED) {
                self.list_root(kernel);
            }
            return Found::Dir;
        };
        let barred = self.has(id, BARRED);
        if barred && !self.has(id, STRAY) {
            return Found::Dir;
        }
        let dir = match self.open(kernel, parent) {
            Ok(dir) => dir,
            Err(errno) if is_moved(errno) => {
                self.later.push(id);
                return Found::Moved;
            }
            Err(_) if self.has(id, STRAY) => {
                // Only a look could have told that it is still there.
                self.doubt_all(kernel);
                return Found::Dir;
            }
            Err(errno) => {
                self.fail(kernel, id, errno);
                return Found::Dir;
            }
        };
        let name: Box<[u8]> = self.nodes.name(id).into();
        let hidden = self.has(id, HIDDEN);
        let new = self.nodes.wd(id).is_none();
        if !barred {
            let found = self.visit(kernel, &dir, parent, &name, new);
            if found != Found::Moved {
                return found;
            }
        }
        let is_unsure = barred || hidden || self.at_end && self.has(id, STRAY);
        match is_unsure.then(|| is_dir(kernel, &dir, &name)) {
            Some(Ok(true)) if barred => {
                self.set(id, STRAY, false);
                self.unhide(id);
                return Found::Dir;
            }
            Some(Ok(false)) if hidden || self.at_end => {
                self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
            }
            Some(Err(_)) => self.doubt_all(kernel),
            // What was looked at by its path may be there, if the path led elsewhere for a moment.
            _ => self.later.push(id),
        }
        Found::Moved
    }

    /// Compares one name in an open directory with what is known of it. `listed`, files are told, so
    /// what is new is listed in any case.
    fn visit<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        parent: NodeId,
        name: &[u8],
        listed: bool,
    ) -> Found {
        let child = self.nodes.child(parent, name);
        if self.is_barred(parent, name) {
            self.bar(kernel, parent, name, child);
            return Found::Dir;
        }
        let looked = if listed {
            self.look_inside(kernel, dir, name)
        } else {
            self.look_from_outside(kernel, dir, name)
        };
        let (wd, opened, is_leaf) = match looked {
            Ok(Some(looked)) => looked,
            Ok(None) => {
                self.bar(kernel, parent, name, child);
                return Found::Dir;
            }
            Err(errno) if is_moved(errno) => return Found::Moved,
            Err(_errno)
                if self.stage == Stage::Steady && child.is_some_and(|id| self.has(id, STRAY)) =>
            {
                self.doubt_all(kernel);
                return Found::Dir;
            }
            Err(errno) => {
                // The limit is nothing to what is watched already; after a loss nobody knows.
                let other = |&id: &NodeId| {
                    self.nodes.wd(id).is_some()
                        && (errno == Errno::ENOSPC || self.stage == Stage::Resync)
                };
                let child = match child.filter(other) {
                    Some(id) => {
                        self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
                        None
                    }
                    None => child,
                };
                let id = child.unwrap_or_else(|| self.find(parent, name));
                self.fail(kernel, id, errno);
                return Found::Dir;
            }
        };
        let (id, new) = match (self.nodes.by_wd(wd), child) {
            (Some(owner), Some(child)) if owner == child => (child, false),
            (Some(owner), _)
                if self.stage == Stage::Resync
                    && !self.is_seen(owner)
                    && !self.nodes.is_within(parent, owner) =>
            {
                // Renamed while events were lost.
                if let Some(child) = child {
                    let inside = self.nodes.is_within(owner, child);
                    self.gone(kernel, child, TreeKind::Found, DIR_DELETED);
                    if inside {
                        return self.visit(kernel, dir, parent, name, listed);
                    }
                }
                self.file_gone(parent, name);
                let from = self.path(owner, &[]);
                self.nodes.relink(owner, parent, name);
                let path = self.path(owner, &[]);
                let mask = EventMask::MOVED_TO | EventMask::ISDIR;
                self.tell(TreeKind::Renamed { from }, mask, 0, path);
                self.bar_anew(kernel, owner);
                (owner, false)
            }
            (Some(owner), mut child) => {
                // After a loss there may be no event to tell that another one was here.
                let stale = |&id: &NodeId| self.nodes.wd(id).is_some() && !self.is_seen(id);
                if let Some(id) = child.filter(stale).filter(|_| self.stage == Stage::Resync) {
                    self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
                    child = None;
                }
                self.elsewhere(kernel, parent, name, child, owner);
                return Found::Elsewhere;
            }
            (None, child) => {
                let known = child.filter(|&child| self.nodes.wd(child).is_none());
                if let (Some(child), None) = (child, known) {
                    self.gone(kernel, child, TreeKind::Found, DIR_DELETED);
                }
                let id = known.unwrap_or_else(|| self.find(parent, name));
                self.unhide(id);
                self.forget_doubts(id);
                self.nodes.set_wd(id, Some(wd));
                (id, true)
            }
        };
        let unlisted = self.has(id, UNLISTED);
        let telling = (new || self.has(id, UNTOLD)) && self.is_telling();
        self.set(id, FAILED | TWICE | UNLISTED | UNTOLD | SETTLED | STRAY | ENDED | BARRED, false);
        self.see(id);
        if !(new || unlisted || self.is_looking()) {
            return Found::Dir;
        }
        if !(listed || telling || !is_leaf || self.nodes.first_child(id).is_some()) {
            self.set(id, UNLISTED, true);
            return Found::Dir;
        }
        let opened = match opened {
            Some(opened) => Ok(opened),
            None => kernel.open_child(dir, name).and_then(|opened| {
                match kernel.watch(&opened, self.asked)? {
                    again if again == wd => Ok(opened),
                    other => {
                        self.let_go(kernel, other);
                        Err(Errno::ESTALE)
                    }
                }
            }),
        };
        match opened.and_then(|opened| self.list(kernel, id, opened, telling)) {
            Ok(()) => {}
            Err(errno) if is_moved(errno) => self.put_off(id, telling),
            Err(errno) => self.fail(kernel, id, errno),
        }
        Found::Dir
    }

    /// A directory is to be listed when more events have come.
    fn put_off(&mut self, id: NodeId, telling: bool) {
        self.set(id, UNLISTED, true);
        if telling {
            self.set(id, UNTOLD, true);
            self.files.wait(id);
        }
        self.later.push(id);
    }

    /// Watches a subdirectory and opens it; `None` if it is on another file system.
    fn look_inside<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        name: &[u8],
    ) -> Result<Option<(Wd, Option<D>, bool)>, Errno> {
        let opened = kernel.open_child(dir, name)?;
        if self.options.same_file_system && kernel.stat(&opened)?.dev != self.device {
            return Ok(None);
        }
        let wd = kernel.watch(&opened, self.asked)?;
        Ok(Some((wd, Some(opened), false)))
    }

    /// Watches a subdirectory and asks whether it is a leaf; `None` if it is on another file system.
    fn look_from_outside<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        name: &[u8],
    ) -> Result<Option<(Wd, Option<D>, bool)>, Errno> {
        if self.options.same_file_system && kernel.stat_child(dir, name)?.dev != self.device {
            return Ok(None);
        }
        let wd = kernel.watch_child(dir, name, self.asked)?;
        let stat = match kernel.stat_child(dir, name) {
            Ok(stat) if stat.is_dir => stat,
            other => {
                self.let_go(kernel, wd);
                return Err(other.err().unwrap_or(Errno::ENOTDIR));
            }
        };
        Ok(Some((wd, None, stat.is_leaf)))
    }

    /// Adds a directory that was found, and tells of it.
    pub(super) fn find(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        self.file_gone(parent, name);
        let id = self.nodes.add(parent, name);
        self.see(id);
        if self.is_telling() {
            let path = self.path(id, &[]);
            self.tell(TreeKind::Found, DIR_CREATED, 0, path);
        }
        id
    }

    /// Tells of a directory that was found, if that was put off.
    fn unhide(&mut self, id: NodeId) {
        if self.has(id, HIDDEN) {
            self.set(id, HIDDEN, false);
            let path = self.path(id, &[]);
            self.tell(TreeKind::Found, DIR_CREATED, 0, path);
        }
    }

    /// A name leads to a directory that is known at another place: it was moved, and events will tell;
    /// or it is there twice, and none will.
    fn elsewhere<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        parent: NodeId,
        name: &[u8],
        child: Option<NodeId>,
        owner: NodeId,
    ) {
        let Some(id) = child else {
            let id = self.nodes.add(parent, name);
            self.see(id);
            // What was there at the beginning is not told, and so has nothing to hide.
            self.set(id, HIDDEN, self.is_telling());
            return self.again.push(id);
        };
        if self.nodes.wd(id).is_some() {
            return self.later.push(id);
        }
        self.see(id);
        if !self.at_end || !self.has(id, SETTLED) {
            if self.at_end {
                if let Err(errno) = self.settle(kernel, parent) {
                    if !is_moved(errno) {
                        self.twice.push(id);
                        return self.fail(kernel, id, errno);
                    }
                }
                self.set(id, SETTLED, true);
            }
            return self.again.push(id);
        }
        if self.has(owner, STRAY) {
            return self.later.push(id);
        }
        self.unhide(id);
        if !self.has(id, TWICE) {
            self.set(id, TWICE, true);
            let path = self.path(id, &[]);
            let kind = TreeKind::Unwatched(Barred::Twice);
            self.tell(kind, EventMask::ISDIR, 0, path);
        }
        self.twice.push(id);
    }

    /// Notes and tells that a directory can't be watched.
    fn fail<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId, errno: Errno) {
        self.see(id);
        self.unhide(id);
        if self.nodes.wd(id).is_none() {
            // What was in another one of that name.
            self.clear(kernel, id);
        }
        if !self.has(id, FAILED) {
            self.set(id, FAILED, true);
            let path = self.path(id, &[]);
            let kind = TreeKind::Unwatched(Barred::Errno(errno));
            self.tell(kind, EventMask::ISDIR, 0, path);
        }
    }

    /// Whether a directory is not to be watched.
    fn is_barred(&self, parent: NodeId, name: &[u8]) -> bool {
        self.options.depth.is_some_and(|depth| self.nodes.depth(parent) >= depth)
            || self.options.prune.as_ref().is_some_and(|prune| prune(&self.path(parent, name)))
    }

    /// Sees to it that a directory is known and not watched.
    fn bar<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        parent: NodeId,
        name: &[u8],
        child: Option<NodeId>,
    ) {
        let id = child.unwrap_or_else(|| self.find(parent, name));
        self.see(id);
        self.set(id, STRAY, false);
        self.unhide(id);
        self.shut(kernel, id);
    }

    /// Ends the watch of a directory and of all beneath it, which are known no longer.
    fn shut<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, id: NodeId) {
        self.set(id, BARRED, true);
        self.clear(kernel, id);
        if let Some(wd) = self.nodes.wd(id) {
            self.nodes.set_wd(id, None);
            kernel.unwatch(wd);
        }
    }

    /// After a rename, other directories may be those not to be watched.
    pub(super) fn bar_anew<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, top: NodeId) {
        if self.options.depth.is_none() && self.options.prune.is_none() {
            return;
        }
        let mut next = Some(top);
        while let Some(id) = next {
            let Some(parent) = self.nodes.parent(id) else { return };
            let name: Box<[u8]> = self.nodes.name(id).into();
            let barred = self.is_barred(parent, &name);
            if barred {
                if self.stage != Stage::Resync && self.has(id, HIDDEN) {
                    // It is not sure that it was there, and its watch will not tell.
                    self.set(id, STRAY, true);
                }
                self.shut(kernel, id);
            } else if self.has(id, BARRED) {
                self.set(id, BARRED, false);
                if self.stage != Stage::Resync {
                    self.look_again(kernel, id);
                }
            }
            next = self.nodes.after(top, id);
        }
    }

    /// Lists an open directory that is watched, to be gone through step by step. What is `new` has its
    /// files told.
    pub(super) fn list<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        id: NodeId,
        mut dir: D,
        new: bool,
    ) -> Result<(), Errno> {
        let new = new || self.stage == Stage::Setup && self.options.existing;
        let files = new || self.options.snapshot;
        if files {
            self.files.open(id);
        }
        if self.asked.intersects(LOUD) && self.stage != Stage::Steady {
            if let Some(wd) = self.nodes.wd(id) {
                kernel.hush(&dir, wd, self.asked.difference(LOUD));
                self.set(id, HUSHED, true);
                self.hushed.push(id);
            }
        }
        let mut entries = Vec::new();
        let listed = kernel.list(&mut dir, &mut |name, is_dir| {
            if is_dir || files {
                entries.push(u8::from(is_dir));
                entries.extend_from_slice(name);
                entries.push(0);
            }
        });
        if entries.is_empty() && !files {
            self.raise_open(kernel, id, &dir);
        } else {
            self.frames.push(Frame { id, dir: Some(dir), entries, next: 0, files, telling: new });
        }
        listed
    }

    /// Goes one entry further in the innermost listing.
    pub(super) fn step<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let Some(mut frame) = self.frames.pop() else { return };
        let rest = frame.entries.get(frame.next..).unwrap_or_default();
        let Some((&is_dir, rest)) = rest.split_first() else {
            self.end_listing(&frame);
            if let Some(dir) = &frame.dir {
                self.raise_open(kernel, frame.id, dir);
            }
            return;
        };
        let name: Box<[u8]> = rest.split(|&byte| byte == 0).next().unwrap_or_default().into();
        frame.next = frame.next.saturating_add(name.len()).saturating_add(2);
        let dir = match frame.dir.take() {
            Some(dir) => dir,
            None => match self.open(kernel, frame.id) {
                Ok(dir) => dir,
                Err(errno) if is_moved(errno) => return self.put_off(frame.id, frame.telling),
                Err(errno) => return self.fail(kernel, frame.id, errno),
            },
        };
        let outer = self.frames.len();
        if is_dir != 0 {
            if self.visit(kernel, &dir, frame.id, &name, frame.files) == Found::Moved {
                // The name is gone; or the path to it, and then the name may still be there.
                match self.open(kernel, frame.id) {
                    Ok(dir) => {
                        self.visit(kernel, &dir, frame.id, &name, frame.files);
                    }
                    Err(_) => return self.put_off(frame.id, frame.telling),
                }
            }
        } else {
            self.file(kernel, &dir, frame.id, &name);
        }
        frame.dir = Some(dir);
        // What the visit went into comes first.
        self.frames.insert(outer.min(self.frames.len()), frame);
        if let Some(frame) =
            self.frames.len().checked_sub(OPEN).and_then(|i| self.frames.get_mut(i))
        {
            frame.dir = None;
        }
    }

    /// Compares a file that is there with what is known of it.
    fn file<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, dir: &D, parent: NodeId, name: &[u8]) {
        let stat = if self.options.snapshot {
            match kernel.stat_child(dir, name) {
                Ok(stat) if !stat.is_dir => Some(stat),
                Err(errno) if !is_moved(errno) => None,
                // Gone again, and events will tell.
                _ => return,
            }
        } else {
            None
        };
        if let Some(child) = self.nodes.child(parent, name) {
            if self.stage != Stage::Resync {
                // Events will tell what became of the directory, and then of this.
                return;
            }
            self.gone(kernel, child, TreeKind::Found, DIR_DELETED);
        }
        let pass = self.pass;
        let Some(window) = self.files.get_mut(parent) else { return };
        let mask = match window.files.get_mut(name) {
            Some(known) => {
                known.pass = pass;
                let before = core::mem::replace(&mut known.stat, stat);
                (before.is_none() || before != stat).then_some(EventMask::MODIFY)
            }
            None => {
                window.files.insert(name.into(), Known { stat, pass });
                Some(EventMask::CREATE)
            }
        };
        if let Some(mask) = mask.filter(|_| self.is_telling()) {
            let path = self.path(parent, name);
            self.tell(TreeKind::Found, mask, 0, path);
        }
    }

    /// Tells that a file is gone, if one is known.
    pub(super) fn file_gone(&mut self, parent: NodeId, name: &[u8]) {
        let window = self.files.get_mut(parent);
        if window.is_some_and(|window| window.files.remove(name).is_some()) {
            let path = self.path(parent, name);
            self.tell(TreeKind::Found, EventMask::DELETE, 0, path);
        }
    }

    /// All entries were seen, so files that are known from before a loss, and were not seen, are gone.
    fn end_listing(&mut self, frame: &Frame<D>) {
        if !frame.files {
            return;
        }
        let pass = self.pass;
        let Some(window) = self.files.get_mut(frame.id) else { return };
        let files = core::mem::take(&mut window.files);
        let (seen, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            files.into_iter().partition(|(_, known)| known.pass == pass);
        window.files = seen;
        for name in gone.keys() {
            let path = self.path(frame.id, name);
            self.tell(TreeKind::Found, EventMask::DELETE, 0, path);
        }
    }

    /// Looks at all of the tree again.
    pub(super) fn resync<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        self.pass = self.pass.wrapping_add(1);
        self.stage = Stage::Resync;
        self.unsure = Some(u64::MAX);
        self.lost = None;
        self.frames.clear();
        self.drop_halves();
        self.again.clear();
        self.later.clear();
        self.twice.clear();
        self.files.forget_all();
        self.see(ROOT);
        let opened = self.open(kernel, ROOT);
        match opened.and_then(|dir| self.list(kernel, ROOT, dir, false)) {
            Ok(()) => self.set(ROOT, UNTOLD | UNLISTED, false),
            Err(errno) if is_moved(errno) => {
                self.tell(TreeKind::RootRemoved, EventMask::IGNORED, 0, Vec::new());
                self.stop(kernel);
            }
            Err(errno) => {
                // Nothing is known to be gone; it is tried again.
                self.frames.clear();
                self.stage = Stage::Steady;
                self.lost = Some(self.at);
                self.fail(kernel, ROOT, errno);
            }
        }
    }

    /// Lists the root, where that was put off.
    fn list_root<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let untold = self.has(ROOT, UNTOLD);
        let opened = self.open(kernel, ROOT);
        match opened.and_then(|dir| self.list(kernel, ROOT, dir, untold)) {
            Ok(()) => self.set(ROOT, UNTOLD | UNLISTED | FAILED, false),
            Err(errno) => {
                if !is_moved(errno) {
                    self.fail(kernel, ROOT, errno);
                }
                self.later.push(ROOT);
            }
        }
    }

    /// What was not seen is gone.
    pub(super) fn end_resync<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let mut next = Some(ROOT);
        while let Some(id) = next {
            if self.is_seen(id) {
                next = self.nodes.after(ROOT, id);
            } else {
                next = self.nodes.past(ROOT, id);
                self.gone(kernel, id, TreeKind::Found, DIR_DELETED);
            }
        }
        self.stage = Stage::Steady;
        self.set(ROOT, FAILED, false);
        self.tell(TreeKind::Resynced, EventMask::empty(), 0, Vec::new());
    }
}
