//! Looks at the disk: opens, watches and lists directories, and adds what is not known.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::agenda::{Check, Seen, When};
use super::edits::{DIR_CREATED, DIR_DELETED, Failure, failure};
use super::event::{Barred, TreeKind};
use super::files::Compared;
use super::kernel::Kernel;
use super::nodes::{Listing, NodeRef, ROOT, State};
use super::{LOUD, Stage, Tree};
use crate::event::Wd;
use crate::flags::{EventMask, WatchMask};
use crate::sys::Errno;

/// What a listing is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    /// Whether what is in it is reported.
    report: bool,
    /// Whether it is of a directory that is new, so that its files are reported.
    new: bool,
    /// Whether what is known has to be compared, with all beneath.
    deep: bool,
}

impl Purpose {
    pub const NEW: Self = Self { report: true, new: true, deep: false };
    pub const COMPARE: Self = Self { report: true, new: false, deep: true };

    pub const fn setup(existing: bool) -> Self {
        Self { report: existing, new: existing, deep: false }
    }
}

/// One directory whose listing is being gone through.
#[derive(Debug)]
pub(super) struct Frame<D> {
    node: NodeRef,
    /// Closed where too many are open.
    dir: Option<D>,
    /// One entry behind the other: whether it is a directory, its name, and a NUL.
    entries: Vec<u8>,
    next: usize,
    purpose: Purpose,
}

/// So many directories are open at once, of a listing in a listing.
const OPEN: usize = 24;

/// What a look at a name found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// The directory that is known by that name.
    Agrees(NodeRef),
    /// A directory that was not known; it is now.
    Added(NodeRef),
    /// A directory that is known at another place.
    Elsewhere(NodeRef),
    /// A directory that is not known, where another one is known to be.
    Unknown,
    /// A directory that is not to be watched.
    Excluded,
    /// No directory.
    Nothing,
    /// The world moved under the look.
    Moved,
    Failed(Errno),
}

/// What was opened or watched by a look.
struct Looked<D> {
    wd: Wd,
    opened: Option<D>,
    is_leaf: bool,
}

impl<D> Tree<D> {
    /// What a directory is to be watched for now.
    fn mask(&self, node: NodeRef) -> WatchMask {
        if self.nodes.is_quiet(node) { self.asked.difference(LOUD) } else { self.asked }
    }

    /// Watches what was opened. At the limit, ends the watches that are to be ended.
    fn watch<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        mask: WatchMask,
    ) -> Result<Wd, Errno> {
        let mut watched = kernel.watch(dir, mask);
        if watched == Err(Errno::ENOSPC) && !self.ending.is_empty() {
            while !self.end_some(kernel) {}
            watched = kernel.watch(dir, mask);
        }
        // Where a path is all there is to name it by, that may lead nowhere now.
        watched
            .map_err(|errno| if failure(errno) == Failure::Moved { Errno::ESTALE } else { errno })
    }

    fn watch_child<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        name: &[u8],
        mask: WatchMask,
    ) -> Result<Wd, Errno> {
        match kernel.watch_child(dir, name, mask) {
            Err(Errno::ENOSPC) if !self.ending.is_empty() => {
                while !self.end_some(kernel) {}
                kernel.watch_child(dir, name, mask)
            }
            watched => watched,
        }
    }

    /// Opens a watched directory by its path, and makes sure that it is the one.
    pub(super) fn open<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        node: NodeRef,
    ) -> Result<D, Errno> {
        let known = self.nodes.wd(node).ok_or(Errno::ESTALE)?;
        let path = self.path(node, &[]);
        let dir = kernel.open(&path)?;
        let mask = self.mask(node);
        let wd = self.watch(kernel, &dir, mask)?;
        if wd == known {
            return Ok(dir);
        }
        self.let_go(wd);
        Err(Errno::ESTALE)
    }

    /// Waits until all events are queued of what was done to the names in a directory. Returns `false`
    /// where it was not found.
    pub(super) fn barrier<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, dir: NodeRef) -> bool {
        match self.open(kernel, dir) {
            Ok(mut dir) => {
                // If that fails, the directory is gone, and no name in it changes any more.
                let _ = kernel.settle(&mut dir);
                true
            }
            Err(errno) => failure(errno) != Failure::Moved,
        }
    }

    /// Returns `true` if a watched directory is in its place now.
    pub(super) fn is_there<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) -> bool {
        let Some(parent) = self.nodes.parent(node) else { return true };
        let Ok(dir) = self.open(kernel, parent) else { return false };
        let (name, mask) = (self.name(node), self.mask(node));
        let Ok(wd) = self.watch_child(kernel, &dir, &name, mask) else { return false };
        self.let_go(wd);
        self.nodes.wd(node) == Some(wd)
    }

    /// Watches the subdirectory of that name, `inside` by opening it. `None` if it is on a file system
    /// that is left out.
    fn look<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        name: &[u8],
        inside: bool,
        mask: WatchMask,
    ) -> Result<Option<Looked<D>>, Errno> {
        if inside {
            let opened = kernel.open_child(dir, name)?;
            if self.options.same_file_system && kernel.stat(&opened)?.dev != self.device {
                return Ok(None);
            }
            let wd = self.watch(kernel, &opened, mask)?;
            self.begin(kernel, wd);
            return Ok(Some(Looked { wd, opened: Some(opened), is_leaf: false }));
        }
        if self.options.same_file_system && kernel.stat_child(dir, name)?.dev != self.device {
            return Ok(None);
        }
        let wd = self.watch_child(kernel, dir, name, mask)?;
        self.begin(kernel, wd);
        match kernel.stat_child(dir, name) {
            Ok(stat) if stat.is_dir => Ok(Some(Looked { wd, opened: None, is_leaf: stat.is_leaf })),
            other => {
                self.let_go(wd);
                Err(other.err().unwrap_or(Errno::ENOTDIR))
            }
        }
    }

    /// Looks at one name in an open directory. Adds what is not known and watches it; reports it, as
    /// what `event` said or as discovered.
    pub(super) fn visit<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        (parent, name): (NodeRef, &[u8]),
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> Visit {
        let child = self.nodes.child(parent, name);
        if self.is_excluded(parent, name) {
            return self.leave_out(parent, name, purpose, event);
        }
        let mask = child.map_or(self.asked, |child| self.mask(child));
        let inside = purpose.new || self.options.snapshot;
        let looked = match self.look(kernel, dir, name, inside, mask) {
            Ok(Some(looked)) => looked,
            Ok(None) => return self.leave_out(parent, name, purpose, event),
            Err(Errno::ESTALE) => return Visit::Moved,
            Err(errno) if failure(errno) == Failure::Moved => return Visit::Nothing,
            Err(errno) => return Visit::Failed(errno),
        };
        let watched = child.filter(|child| self.nodes.wd(*child).is_some());
        match (self.nodes.by_wd(looked.wd), watched) {
            (Some(owner), _) if child == Some(owner) => {
                // What was said to be a leaf may have been another directory.
                let is_leaf = self.nodes.listing(owner) == Listing::Leaf;
                if purpose.deep || is_leaf {
                    let purpose = Purpose { new: false, deep: true, ..purpose };
                    match self.enter(kernel, dir, owner, looked, purpose) {
                        Ok(()) => {}
                        Err(errno) if failure(errno) == Failure::Moved => return Visit::Moved,
                        Err(errno) => return Visit::Failed(errno),
                    }
                }
                Visit::Agrees(owner)
            }
            (Some(owner), _) => Visit::Elsewhere(owner),
            (None, Some(_)) => {
                self.let_go(looked.wd);
                Visit::Unknown
            }
            (None, None) => {
                if let Some(child) = child.filter(|child| self.has_content(*child)) {
                    // Of another directory, whose watch has ended.
                    self.gone(child, TreeKind::Found, DIR_DELETED, 0);
                }
                self.add(kernel, dir, (parent, name), looked, purpose, event)
            }
        }
    }

    pub(super) fn has_content(&self, node: NodeRef) -> bool {
        self.nodes.first_child(node).is_some() || self.files.knows(node)
    }

    /// Sees that a directory is known and not watched.
    fn leave_out(
        &mut self,
        parent: NodeRef,
        name: &[u8],
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> Visit {
        let child = self.nodes.child(parent, name);
        if let Some(child) = child.filter(|child| self.nodes.wd(*child).is_some()) {
            // Something is mounted there now.
            self.gone(child, TreeKind::Found, DIR_DELETED, 0);
        }
        let node = self.know(parent, name, purpose, event);
        self.exclude(node);
        Visit::Excluded
    }

    /// The node of a name, which is added and reported if there is none.
    pub(super) fn know(
        &mut self,
        parent: NodeRef,
        name: &[u8],
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> NodeRef {
        if let Some(node) = self.nodes.child(parent, name) {
            return node;
        }
        // The file that left this name did so before.
        while let Some(ended) = self.renames.take_one(|pending| {
            pending.node.is_none() && pending.from.0 == parent && *pending.from.1 == *name
        }) {
            self.cut(ended);
        }
        self.file_gone(parent, name);
        let node = self.nodes.add(parent, name);
        let path = self.path(node, &[]);
        match event {
            Some((mask, cookie)) => self.reports.tell(TreeKind::Told, mask, cookie, path),
            None if purpose.report => self.tell(TreeKind::Found, DIR_CREATED, path),
            None => {}
        }
        node
    }

    /// Adds a directory that is not known and is watched already.
    fn add<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        (parent, name): (NodeRef, &[u8]),
        looked: Looked<D>,
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> Visit {
        let node = self.know(parent, name, purpose, event);
        let before = self.nodes.state(node);
        let wd = looked.wd;
        self.nodes.set_state(node, State::Watched(wd));
        let purpose = Purpose { new: purpose.new || purpose.deep, ..purpose };
        // Watched and listed, or neither.
        if let Err(errno) = self.enter(kernel, dir, node, looked, purpose) {
            self.unwatch(node, before);
            let moved = failure(errno) == Failure::Moved;
            return if moved { Visit::Moved } else { Visit::Failed(errno) };
        }
        if matches!(before, State::Blind | State::Alias) {
            self.covered(node);
        }
        Visit::Added(node)
    }

    /// A directory is watched. If it is not known, and the watch is not new, that was to be ended, or is
    /// also somebody else's: what is queued of it happened before the directory is looked at.
    pub(super) fn begin<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, wd: Wd) {
        if self.nodes.by_wd(wd).is_some() {
            return;
        }
        let wd = wd.as_raw();
        if self.ending.remove(&wd) || wd <= self.newest {
            self.stale.insert(wd, kernel.end());
        }
        self.newest = self.newest.max(wd);
    }

    /// Lists a watched directory, if there is anything to be found in it.
    fn enter<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        node: NodeRef,
        looked: Looked<D>,
        purpose: Purpose,
    ) -> Result<(), Errno> {
        let files = purpose.new || self.options.snapshot;
        if looked.is_leaf && !files && self.nodes.first_child(node).is_none() {
            if self.nodes.listing(node) == Listing::Done {
                self.nodes.set_listing(node, Listing::Leaf);
            }
            return Ok(());
        }
        let opened = match looked.opened {
            Some(opened) => opened,
            None => {
                let name = self.name(node);
                let opened = kernel.open_child(dir, &name)?;
                let mask = self.mask(node);
                let wd = self.watch(kernel, &opened, mask)?;
                if wd != looked.wd {
                    self.let_go(wd);
                    return Err(Errno::ESTALE);
                }
                opened
            }
        };
        self.list(kernel, node, opened, purpose)
    }

    /// Lists an open directory that is watched, to be gone through step by step.
    pub(super) fn list<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        node: NodeRef,
        mut dir: D,
        purpose: Purpose,
    ) -> Result<(), Errno> {
        let files = purpose.new || self.options.snapshot;
        if self.asked.intersects(LOUD) && self.stage != Stage::Steady && !self.nodes.is_quiet(node)
        {
            if let Some(wd) = self.nodes.wd(node) {
                kernel.hush(&dir, wd, self.asked.difference(LOUD));
                self.nodes.set_quiet(node, true);
                self.quiet.push(node);
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
        match listed {
            // It was removed, so nothing is in it, and nothing will be.
            Err(errno) if failure(errno) == Failure::Moved => entries.clear(),
            listed => listed?,
        }
        if self.nodes.listing(node) != Listing::Owed {
            self.nodes.set_listing(node, Listing::Done);
        } else if !self.agenda.has_parked(node) {
            self.nodes.set_listing(node, Listing::Done);
            self.covered(node);
        }
        if files {
            self.files.open(node, purpose.deep);
            self.agenda.window(node);
        }
        if purpose.deep {
            self.miss(node, &entries);
        }
        self.frames.push(Frame { node, dir: Some(dir), entries, next: 0, purpose });
        Ok(())
    }

    /// Has those names checked that are known and were not listed.
    fn miss(&mut self, node: NodeRef, entries: &[u8]) {
        let mut listed: Vec<&[u8]> = Vec::new();
        for entry in entries.split(|&byte| byte == 0) {
            if let Some((&1, name)) = entry.split_first() {
                listed.push(name);
            }
        }
        listed.sort_unstable();
        let mut child = self.nodes.first_child(node);
        while let Some(node) = child {
            if listed.binary_search(&self.nodes.name(node)).is_err() {
                let (parent, name) = (self.nodes.parent(node).unwrap_or(ROOT), self.name(node));
                // A listing takes the lock of the directory, so what it shows needs no further look.
                let seen = Some(Seen::Nothing);
                let check = Check { seen, deep: true, last: true, ..Check::default() };
                self.agenda.check(parent, &name, check, When::End);
            }
            child = self.nodes.sibling(node);
        }
    }

    /// Goes one entry further in the innermost listing.
    pub(super) fn step<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let Some(mut frame) = self.frames.pop() else { return };
        if !self.nodes.exists(frame.node) {
            return;
        }
        let rest = frame.entries.get(frame.next..).unwrap_or_default();
        let Some((&is_dir, rest)) = rest.split_first() else {
            if let Some(dir) = &frame.dir {
                self.raise_open(kernel, frame.node, dir);
            }
            return;
        };
        let name: Box<[u8]> = rest.split(|&byte| byte == 0).next().unwrap_or_default().into();
        frame.next = frame.next.saturating_add(name.len()).saturating_add(2);
        let dir = match frame.dir.take().map_or_else(|| self.open(kernel, frame.node), Ok) {
            Ok(dir) => dir,
            Err(errno) => return self.put_off(&frame, errno),
        };
        let outer = self.frames.len();
        if is_dir != 0 {
            let visit = self.visit(kernel, &dir, (frame.node, &name), frame.purpose, None);
            self.visited(frame.node, &name, visit, frame.purpose);
        } else {
            self.file(kernel, &dir, frame.node, &name, frame.purpose);
        }
        frame.dir = Some(dir);
        // What the visit went into comes first.
        self.frames.insert(outer.min(self.frames.len()), frame);
        if let Some(frame) =
            self.frames.len().checked_sub(OPEN).and_then(|index| self.frames.get_mut(index))
        {
            frame.dir = None;
        }
    }

    /// The rest of a listing can't be gone through now, so it is compared later.
    fn put_off(&mut self, frame: &Frame<D>, errno: Errno) {
        match failure(errno) {
            Failure::Moved => self.agenda.compare(frame.node, When::End),
            _ => self.owe(frame.node, errno),
        }
    }

    /// What a look at an entry of a listing leaves to be done.
    fn visited(&mut self, dir: NodeRef, name: &[u8], visit: Visit, purpose: Purpose) {
        let deep = purpose.deep;
        match visit {
            Visit::Agrees(_) | Visit::Added(_) | Visit::Excluded => {}
            Visit::Failed(errno) => self.failed(dir, name, errno, purpose, None),
            // The name was listed, so events of it are queued; but not if it is known.
            Visit::Nothing if self.nodes.child(dir, name).is_none() => {}
            _ => self.check(dir, name, Check { deep, ..Check::default() }),
        }
    }

    /// A directory can't be watched.
    pub(super) fn failed(
        &mut self,
        dir: NodeRef,
        name: &[u8],
        errno: Errno,
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) {
        let node = self.know(dir, name, purpose, event);
        if self.nodes.wd(node).is_none() {
            self.blind(node, Barred::Errno(errno));
        } else if errno == Errno::ENOSPC {
            // The limit is nothing to what is watched already, so this is another directory.
            let seen = Some(Seen::Unknown);
            self.check(dir, name, Check { seen, ..Check::default() });
        } else {
            self.owe(node, errno);
        }
    }

    /// Compares a file that is there with what is known of it.
    fn file<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        parent: NodeRef,
        name: &[u8],
        purpose: Purpose,
    ) {
        let mut stat = None;
        if self.options.snapshot {
            match kernel.stat_child(dir, name) {
                Ok(found) if !found.is_dir => stat = Some(found),
                Err(errno) if failure(errno) != Failure::Moved => {}
                // It is gone again, which events will tell.
                _ => return,
            }
        }
        if self.nodes.child(parent, name).is_some() {
            let seen = Some(Seen::File);
            return self.check(parent, name, Check { seen, ..Check::owing() });
        }
        let mask = match self.files.compare(parent, name, stat) {
            Compared::New => EventMask::CREATE,
            Compared::Changed if self.options.snapshot => EventMask::MODIFY,
            Compared::Changed | Compared::Same => return,
        };
        if purpose.report {
            let path = self.path(parent, name);
            self.tell(TreeKind::Found, mask, path);
        }
    }

    /// Has a directory that was listed quietly report all events again, while it is open.
    fn raise_open<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef, dir: &D) {
        if !self.nodes.is_quiet(node) {
            return;
        }
        if let Ok(wd) = self.watch(kernel, dir, self.asked) {
            self.nodes.set_quiet(node, self.nodes.wd(node) != Some(wd));
            self.let_go(wd);
        }
    }

    /// The same for one that was closed meanwhile.
    pub(super) fn raise<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) {
        if !self.nodes.is_quiet(node) {
            return;
        }
        self.nodes.set_quiet(node, false);
        match self.open(kernel, node) {
            Ok(_) => {}
            Err(errno) if failure(errno) == Failure::Moved => {
                self.agenda.compare(node, When::End);
            }
            Err(errno) => self.owe(node, errno),
        }
    }
}
