//! Scans of the disk: opens and watches directories, and adds those that are not known.

use super::agenda::{Check, Seen};
use super::edits::{DIR_CREATED, DIR_DELETED, Failure, failure};
use super::event::{TreeKind, UnwatchedReason};
use super::kernel::Kernel;
use super::nodes::{Listing, NodeRef, State};
use super::{LISTING_EVENTS, Stage, Tree};
use crate::event::Wd;
use crate::flags::{EventMask, WatchMask};
use crate::sys::Errno;

/// The purpose of a listing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    /// Whether its entries are reported.
    pub report: bool,
    /// Whether the directory is new, so that its files are reported too.
    pub new: bool,
    /// Whether known directories are compared, with everything beneath.
    pub deep: bool,
    /// Whether links are postponed until all real directories have been scanned.
    pub links_last: bool,
    /// Whether a directory is opened at once, since it will probably be listed.
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

/// What a scan found at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// The directory that is known by this name.
    Agrees(NodeRef),
    /// A directory that was not known, and is known now.
    Added(NodeRef),
    /// A directory that is known at another name.
    Elsewhere(NodeRef),
    /// An unknown directory, where another one is known.
    Unknown,
    /// An excluded directory.
    Excluded,
    /// A link to a directory, which is postponed.
    Link,
    /// No directory.
    Nothing,
    /// Something was moved during the scan.
    Moved,
    Failed(Errno),
}

/// A directory that a scan has watched, and perhaps opened.
struct Looked<D> {
    wd: Wd,
    opened: Option<D>,
    is_leaf: bool,
}

impl<D> Tree<D> {
    /// Returns the mask of a directory for now.
    pub(super) fn mask(&self, node: NodeRef) -> WatchMask {
        if self.nodes.is_narrowed(node) {
            self.watched_events.difference(LISTING_EVENTS)
        } else {
            self.watched_events
        }
    }

    /// Watches an open directory. At the limit of watches, first ends all that are no longer needed.
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
        // Without /proc, the call names the directory by a path, which may lead nowhere now.
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

    /// Opens a watched directory by its path, and verifies that it is that directory.
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

    /// Verifies that an open directory is this known one.
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
                self.end_unused(wd);
                Err(Errno::ESTALE)
            }
            // A directory that is watched already needs no further watch, so this is another one.
            Err(errno) if errno == Errno::ENOSPC || failure(errno) == Failure::Moved => {
                Err(Errno::ESTALE)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Waits until the events of all renames in progress in a directory are queued. Returns `false` if the
    /// directory was not found.
    pub(super) fn barrier<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, dir: NodeRef) -> bool {
        let path = self.path(dir, &[]);
        let verified = kernel.open(&path).and_then(|mut opened| {
            // If that fails, the directory is gone, and no name in it changes any more. A directory that may
            // not be read can't be verified.
            let _ = kernel.barrier(&mut opened);
            self.verify(kernel, &opened, dir)
        });
        verified.err().is_none_or(|errno| failure(errno) != Failure::Moved)
    }

    /// Returns `true` if a watched directory is at its path now.
    pub(super) fn is_there<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) -> bool {
        let Some(parent) = self.nodes.parent(node) else { return true };
        let Ok(mut dir) = self.open(kernel, parent) else { return false };
        let (name, mask) = (self.name(node), self.mask(node));
        let Ok(wd) = self.watch_child(kernel, &dir, &name, mask) else { return false };
        self.end_unused(wd);
        let there = self.nodes.wd(node) == Some(wd);
        if there {
            // It may have come just now: wait until the events of that are queued.
            let _ = kernel.barrier(&mut dir);
        }
        there
    }

    /// Opens a subdirectory. If it is `to_be_listed`, and the tree is not watched for the events of that, in
    /// the way that saves a call.
    fn open_child<K: Kernel<Dir = D>>(
        &self,
        kernel: &mut K,
        dir: &D,
        name: &[u8],
        to_be_listed: bool,
    ) -> Result<D, Errno> {
        if to_be_listed && !self.watched_events.intersects(LISTING_EVENTS) {
            kernel.open_to_list(dir, name)
        } else {
            kernel.open_child(dir, name)
        }
    }

    /// Watches a subdirectory, which is known as `child`. Returns `None` if it is on an excluded file system.
    fn look<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        (name, child): (&[u8], Option<NodeRef>),
        purpose: Purpose,
    ) -> Result<Option<Looked<D>>, Errno> {
        let mask = child.map_or(self.watched_events, |child| self.mask(child));
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
                self.end_unused(wd);
                Err(other.err().unwrap_or(Errno::ENOTDIR))
            }
        }
    }

    /// Scans one name in an open directory. Watches and adds a directory that is not known, and reports it as
    /// `event`, or as discovered.
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
            return self.add_excluded(parent, name, purpose, event);
        }
        let looked = match self.look(kernel, dir, (name, child), purpose) {
            Ok(Some(looked)) => looked,
            Ok(None) => return self.add_excluded(parent, name, purpose, event),
            Err(Errno::ESTALE) => return Visit::Moved,
            Err(errno) if failure(errno) == Failure::Moved => return Visit::Nothing,
            Err(errno) => return Visit::Failed(errno),
        };
        let watched = child.filter(|child| self.nodes.wd(*child).is_some());
        match (self.nodes.by_wd(looked.wd), watched) {
            (Some(owner), _) if child == Some(owner) => {
                // The link count of a leaf may have been another directory's.
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
                self.end_unused(looked.wd);
                Visit::Unknown
            }
            (None, None) => {
                let node = match child {
                    Some(_) => {
                        let node = self.get_or_add(parent, name, purpose, event);
                        self.clear(node);
                        node
                    }
                    None => self.add_new(parent, name, purpose, event),
                };
                self.add(kernel, dir, node, looked, purpose)
            }
        }
    }

    pub(super) fn has_content(&self, node: NodeRef) -> bool {
        self.nodes.first_child(node).is_some() || self.files.knows(node)
    }

    /// Returns `true` if the node has the entries of a directory whose watch has ended.
    pub(super) fn has_ended(&self, node: NodeRef) -> bool {
        self.nodes.wd(node).is_none() && self.has_content(node)
    }

    /// Adds an excluded directory, or excludes a known one.
    fn add_excluded(
        &mut self,
        parent: NodeRef,
        name: &[u8],
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> Visit {
        let child = self.nodes.child(parent, name);
        if let Some(child) = child.filter(|child| self.nodes.wd(*child).is_some()) {
            // A file system is mounted there now.
            self.report_gone(child, TreeKind::Discovered, DIR_DELETED, 0);
        }
        let node = self.get_or_add(parent, name, purpose, event);
        self.exclude(node);
        Visit::Excluded
    }

    /// Returns the node of a name. Adds and reports it first if it is new. If it still has the entries of a
    /// directory whose watch has ended, that directory is reported as gone: this is another one.
    pub(super) fn get_or_add(
        &mut self,
        parent: NodeRef,
        name: &[u8],
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> NodeRef {
        match self.nodes.child(parent, name) {
            Some(node) if !self.has_ended(node) => return node,
            Some(ended) => self.report_gone(ended, TreeKind::Discovered, DIR_DELETED, 0),
            None => {}
        }
        self.add_new(parent, name, purpose, event)
    }

    /// Adds and reports a node for a name that has none.
    fn add_new(
        &mut self,
        parent: NodeRef,
        name: &[u8],
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> NodeRef {
        self.file_has_left(parent, name);
        // A pending check may remember that a file was reported. In the set-up, none is pending.
        let was_reported = self.agenda.has_checks() && self.agenda.take_reported_file(parent, name);
        self.file_gone(parent, name, was_reported);
        let node = self.nodes.add(parent, name);
        if event.is_some() || purpose.report {
            let (kind, (mask, cookie)) = match event {
                Some(event) => (TreeKind::Reported, event),
                None => (TreeKind::Discovered, (DIR_CREATED, 0)),
            };
            self.reports.report(kind, mask, cookie, self.path(node, &[]));
        }
        node
    }

    /// Sets an unknown directory to watched, which was watched by the scan.
    fn add<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        node: NodeRef,
        looked: Looked<D>,
        purpose: Purpose,
    ) -> Visit {
        let before = self.nodes.state(node);
        let wd = looked.wd;
        self.nodes.set_state(node, State::Watched(wd));
        let purpose = Purpose { new: purpose.new || purpose.deep, ..purpose };
        // It is either watched and listed, or neither.
        if let Err(errno) = self.enter(kernel, dir, node, looked, purpose) {
            self.unwatch(node, before);
            let moved = failure(errno) == Failure::Moved;
            return if moved { Visit::Moved } else { Visit::Failed(errno) };
        }
        if matches!(before, State::Unwatched | State::Alias) {
            self.report_watched(node);
        }
        Visit::Added(node)
    }

    /// Notes a watch that a scan has added. If its directory is not known, and the watch is not new (it was
    /// to be ended, or is shared), then its queued events are older than the scan.
    pub(super) fn note_watch<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, wd: Wd) {
        if self.nodes.by_wd(wd).is_some() {
            return;
        }
        let raw = wd.as_raw();
        if self.ending.remove(raw).is_some() || raw <= self.highest_wd || kernel.is_shared(wd) {
            self.stale.insert(wd, kernel.end());
        }
        self.highest_wd = self.highest_wd.max(raw);
    }

    /// Lists a watched directory, if its listing may show something.
    fn enter<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        node: NodeRef,
        looked: Looked<D>,
        purpose: Purpose,
    ) -> Result<(), Errno> {
        // A directory without subdirectories may have links to directories. And one that could not be listed
        // is reported as watched once it was listed.
        let all = purpose.new
            || self.options.track_files
            || self.options.follow_links
            || self.nodes.listing(node) == Listing::Failed;
        // The link count may be another directory's by then. In that case this one was renamed, and is listed
        // at its `MOVE_SELF`. So only a scan of the whole tree relies on it.
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
                    self.end_unused(wd);
                    return Err(Errno::ESTALE);
                }
                opened
            }
        };
        self.list(kernel, node, opened, purpose)
    }

    /// Handles a directory that can't be watched.
    pub(super) fn failed(
        &mut self,
        dir: NodeRef,
        name: &[u8],
        errno: Errno,
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) {
        let node = self.get_or_add(dir, name, purpose, event);
        if self.nodes.wd(node).is_none() {
            self.report_unwatched(node, UnwatchedReason::Failed(errno));
        } else if errno == Errno::ENOSPC {
            // A directory that is watched already needs no further watch, so this is another one.
            let seen = Some(Seen::Unknown);
            self.check(dir, name, Check { seen, ..Check::default() });
        } else {
            self.report_unlisted(node, errno);
        }
    }
}
