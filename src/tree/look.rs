//! Looks at the disk: opens and watches directories, and adds what is not known.

use super::agenda::{Check, Seen};
use super::edits::{DIR_CREATED, DIR_DELETED, Failure, failure};
use super::event::{TreeKind, UnwatchedReason};
use super::kernel::Kernel;
use super::nodes::{Listing, NodeRef, State};
use super::{LOUD, Stage, Tree};
use crate::event::Wd;
use crate::flags::{EventMask, WatchMask};
use crate::sys::Errno;

/// What a listing is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    /// Whether what is in it is reported.
    pub report: bool,
    /// Whether it is of a directory that is new, so that its files are reported.
    pub new: bool,
    /// Whether what is known has to be compared, with all beneath.
    pub deep: bool,
    /// Whether links are only named, to be looked at later.
    pub links_last: bool,
    /// Whether it is opened at once, since it will probably be listed.
    pub open_first: bool,
}

impl Purpose {
    const NONE: Self =
        Self { report: false, new: false, deep: false, links_last: false, open_first: false };
    pub const NEW: Self = Self { report: true, new: true, ..Self::NONE };
    pub const COMPARE: Self = Self { report: true, deep: true, ..Self::NONE };

    pub const fn setup(existing: bool) -> Self {
        Self { report: existing, new: existing, ..Self::NONE }
    }
}

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
    /// A link to a directory, where links are looked at later.
    Link,
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
    pub(super) fn mask(&self, node: NodeRef) -> WatchMask {
        if self.nodes.is_quiet(node) { self.asked.difference(LOUD) } else { self.asked }
    }

    /// Watches what was opened. At the limit, ends the watches that are to be ended.
    pub(super) fn watch<K: Kernel<Dir = D>>(
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
        let path = self.path(node, &[]);
        let dir = kernel.open(&path)?;
        self.verify(kernel, &dir, node)?;
        Ok(dir)
    }

    /// Makes sure that what was opened is a directory that is known.
    fn verify<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        node: NodeRef,
    ) -> Result<(), Errno> {
        let known = self.nodes.wd(node).ok_or(Errno::ESTALE)?;
        match kernel.watch(dir, self.mask(node)) {
            Ok(wd) if wd == known => Ok(()),
            Ok(wd) => {
                self.let_go(wd);
                Err(Errno::ESTALE)
            }
            // The limit is nothing to what is watched already, so this is another directory.
            Err(errno) if errno == Errno::ENOSPC || failure(errno) == Failure::Moved => {
                Err(Errno::ESTALE)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Waits until all events are queued of what was done to the names in a directory. Returns `false`
    /// where it was not found.
    pub(super) fn barrier<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, dir: NodeRef) -> bool {
        let path = self.path(dir, &[]);
        let verified = kernel.open(&path).and_then(|mut opened| {
            // If that fails, the directory is gone, and no name in it changes any more. Whether it is
            // the one can't be said of a directory that may not be read.
            let _ = kernel.barrier(&mut opened);
            self.verify(kernel, &opened, dir)
        });
        verified.err().is_none_or(|errno| failure(errno) != Failure::Moved)
    }

    /// Returns `true` if a watched directory is in its place now.
    pub(super) fn is_there<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) -> bool {
        let Some(parent) = self.nodes.parent(node) else { return true };
        let Ok(mut dir) = self.open(kernel, parent) else { return false };
        let (name, mask) = (self.name(node), self.mask(node));
        let Ok(wd) = self.watch_child(kernel, &dir, &name, mask) else { return false };
        self.let_go(wd);
        let there = self.nodes.wd(node) == Some(wd);
        if there {
            // It may have come just now: so that the events of that are queued.
            let _ = kernel.barrier(&mut dir);
        }
        there
    }

    /// Opens the subdirectory of that name. If it is `to_be_listed`, and its events of that are of no
    /// interest, in a way that spares a call.
    fn open_child<K: Kernel<Dir = D>>(
        &self,
        kernel: &mut K,
        dir: &D,
        name: &[u8],
        to_be_listed: bool,
    ) -> Result<D, Errno> {
        if to_be_listed && !self.asked.intersects(LOUD) {
            kernel.open_to_list(dir, name)
        } else {
            kernel.open_child(dir, name)
        }
    }

    /// Watches the subdirectory of that name, which is known as `child`. `None` if it is on a file
    /// system that is left out.
    fn look<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        (name, child): (&[u8], Option<NodeRef>),
        purpose: Purpose,
    ) -> Result<Option<Looked<D>>, Errno> {
        let mask = child.map_or(self.asked, |child| self.mask(child));
        if purpose.new || purpose.open_first || self.options.track_files {
            let is_watched = child.is_some_and(|child| self.nodes.wd(child).is_some());
            let opened = self.open_child(kernel, dir, name, purpose.deep || !is_watched)?;
            if self.options.same_file_system && kernel.stat(&opened)?.dev != self.device {
                return Ok(None);
            }
            let wd = self.watch(kernel, &opened, mask)?;
            self.note_watch(kernel, wd);
            return Ok(Some(Looked { wd, opened: Some(opened), is_leaf: false }));
        }
        if self.options.same_file_system && kernel.stat_child(dir, name)?.dev != self.device {
            return Ok(None);
        }
        let wd = self.watch_child(kernel, dir, name, mask)?;
        self.note_watch(kernel, wd);
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
    pub(super) fn visit_dir<K: Kernel<Dir = D>>(
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
        let looked = match self.look(kernel, dir, (name, child), purpose) {
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
                if purpose.deep || self.nodes.listing(owner) != Listing::Done {
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
                // What is left is of another directory, whose watch has ended.
                match child {
                    Some(child) if self.has_content(child) => {
                        self.gone(child, TreeKind::Discovered, DIR_DELETED, 0);
                    }
                    Some(child) => self.clear(child),
                    None => {}
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
            self.gone(child, TreeKind::Discovered, DIR_DELETED, 0);
        }
        let node = self.know(parent, name, purpose, event);
        self.exclude(node);
        Visit::Excluded
    }

    /// Returns the node of a name; adds and reports it first if it is new.
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
        self.file_has_left(parent, name);
        self.file_gone(parent, name, false);
        let node = self.nodes.add(parent, name);
        let path = self.path(node, &[]);
        match event {
            Some((mask, cookie)) => self.reports.tell(TreeKind::Reported, mask, cookie, path),
            None if purpose.report => self.tell(TreeKind::Discovered, DIR_CREATED, path),
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
            self.report_watched(node);
        }
        Visit::Added(node)
    }

    /// A directory is watched. If it is not known, and the watch is not new, that was to be ended, or is
    /// also somebody else's: what is queued of it happened before the directory is looked at.
    pub(super) fn note_watch<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, wd: Wd) {
        if self.nodes.by_wd(wd).is_some() {
            return;
        }
        let raw = wd.as_raw();
        if self.ending.remove(&raw) || raw <= self.newest || kernel.is_shared(wd) {
            self.stale.insert(wd, kernel.end());
        }
        self.newest = self.newest.max(raw);
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
        // What has no subdirectories may have links to directories. And what could not be listed is reported
        // as watched once it has been.
        let all = purpose.new
            || self.options.track_files
            || self.options.follow_links
            || self.nodes.listing(node) == Listing::Owed;
        // The link count may be that of another directory by then. If so this one was renamed, and is listed
        // when it says so. Only a look at the whole tree trusts it.
        let is_leaf = looked.is_leaf && self.stage != Stage::Steady;
        if is_leaf && !all && self.nodes.first_child(node).is_none() {
            if self.nodes.listing(node) == Listing::Done {
                self.nodes.set_listing(node, Listing::Leaf);
            }
            return Ok(());
        }
        let opened = match looked.opened {
            Some(opened) => opened,
            None => {
                let name = self.name(node);
                let opened = self.open_child(kernel, dir, &name, true)?;
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
            self.blind(node, UnwatchedReason::Failed(errno));
        } else if errno == Errno::ENOSPC {
            // The limit is nothing to what is watched already, so this is another directory.
            let seen = Some(Seen::Unknown);
            self.check(dir, name, Check { seen, ..Check::default() });
        } else {
            self.owe(node, errno);
        }
    }
}
