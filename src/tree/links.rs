//! Links to directories, if links are followed, and directories with several paths.
//!
//! A link to a directory is a node like any other, with three differences. The kernel's events call it a
//! file. A rename of the link queues no `MOVE_SELF` of the directory; that only reports that the target was
//! moved. And the link can lead elsewhere without an event of its name: when another link on the way is
//! replaced, or a directory on the way is renamed. So all links are checked once the queue is empty after
//! that.
//!
//! A directory is watched under one path. Its real path is preferred to a link, so links in a listing are
//! scanned last. Of several links, the first that was found is used. The other names of the directory are
//! *aliases*.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Tree;
use super::agenda::{Check, Place, Seen, When};
use super::check::TRIES;
use super::edits::{DIR_DELETED, Failure, failure};
use super::event::TreeKind;
use super::feed::Change;
use super::kernel::Kernel;
use super::look::{Purpose, Visit};
use super::nodes::{NodeRef, Nodes};
use crate::event::Wd;
use crate::flags::EventMask;
use crate::keys::{KeyMap, KeySet};

/// A link that is scanned after all real directories of a listing.
pub(super) type Postponed = (NodeRef, Box<[u8]>, Purpose);

#[derive(Debug, Default)]
pub(super) struct Links {
    /// The nodes whose name is a link. They are few, so this is not part of a node.
    nodes: KeySet<NodeRef>,
    postponed: VecDeque<Postponed>,
    /// Whether links may lead elsewhere now.
    is_due: bool,
}

impl Links {
    /// Returns `true` if the node's name is a link.
    pub fn has(&self, node: NodeRef) -> bool {
        self.nodes.contains(node)
    }

    /// Returns `true` if the directory's own `MOVE_SELF` reports its renames.
    pub fn reports_moves(&self, nodes: &Nodes, node: NodeRef) -> bool {
        nodes.wd(node).is_some() && !self.has(node)
    }

    /// Sets whether the node's name is a link. Returns `true` if it was not a link before, and is one now.
    fn mark(&mut self, node: NodeRef, is_link: bool) -> bool {
        if !is_link {
            self.nodes.remove(node);
        }
        is_link && self.nodes.add(node)
    }

    pub fn forget(&mut self, node: NodeRef) {
        if self.nodes.remove(node).is_some() {
            self.mark_due();
        }
    }

    /// Notes that a directory or a link on the way to a target may be another one now.
    pub fn mark_due(&mut self) {
        self.is_due = !self.nodes.is_empty();
    }

    pub const fn is_due(&self) -> bool {
        self.is_due
    }

    pub fn take_postponed(&mut self) -> Option<Postponed> {
        self.postponed.pop_front()
    }
}

/// Further names of directories that are watched under another path, by their watch.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    by_wd: KeySet<(i32, NodeRef)>,
    wds: KeyMap<NodeRef, i32>,
}

impl Aliases {
    pub fn insert(&mut self, node: NodeRef, wd: Wd) {
        self.remove(node);
        self.by_wd.add((wd.as_raw(), node));
        self.wds.insert(node, wd.as_raw());
    }

    pub fn remove(&mut self, node: NodeRef) {
        if let Some(wd) = self.wds.remove(node) {
            self.by_wd.remove((wd, node));
        }
    }

    /// Returns the aliases of a directory.
    fn of(&self, wd: Wd) -> Vec<NodeRef> {
        let wd = wd.as_raw();
        let of_wd = self.by_wd.keys_from((wd, NodeRef::FIRST)).take_while(|(of, _)| *of == wd);
        of_wd.map(|(_, node)| node).collect()
    }

    /// Removes and returns the aliases of a directory whose watch ends.
    pub fn take(&mut self, wd: Wd) -> Vec<NodeRef> {
        let taken = self.of(wd);
        for node in &taken {
            self.remove(*node);
        }
        taken
    }
}

impl<D> Tree<D> {
    /// Scans one name in an open directory as [`visit_dir`](Self::visit_dir) does, and finds out whether it
    /// is a link.
    pub(super) fn visit<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        (parent, name): (NodeRef, &[u8]),
        purpose: Purpose,
        event: Option<(EventMask, u32)>,
    ) -> Visit {
        if !self.options.follow_links {
            return self.visit_dir(kernel, dir, (parent, name), purpose, event);
        }
        let stat = kernel.stat_child(dir, name).ok().filter(|stat| stat.is_dir);
        let is_link = stat.is_some_and(|stat| stat.is_link);
        if is_link && purpose.links_last {
            return Visit::Link;
        }
        let mut visit = self.visit_dir(kernel, dir, (parent, name), purpose, event);
        if let Visit::Elsewhere(link) = visit {
            let child = self.nodes.child(parent, name);
            let is_free = child.is_none_or(|child| self.nodes.wd(child).is_none());
            if is_free && !is_link && self.is_behind(link, parent) {
                self.remove_link(link);
                if !self.nodes.exists(parent) {
                    // The end of a pending rename has removed it.
                    return Visit::Excluded;
                }
                visit = self.visit_dir(kernel, dir, (parent, name), purpose, event);
            }
        }
        if let Some(node) = self.nodes.child(parent, name).filter(|_| stat.is_some()) {
            let is_it = visit == Visit::Agrees(node) || visit == Visit::Added(node);
            if is_it || self.nodes.wd(node).is_none() {
                self.mark_link(node, is_link);
            }
        }
        visit
    }

    /// Sets whether the node's name is a link. If a link has replaced the directory that it leads to, that has
    /// another real path now, which may be known as an alias.
    fn mark_link(&mut self, node: NodeRef, is_link: bool) {
        if !self.links.mark(node, is_link) {
            return;
        }
        for alias in self.nodes.wd(node).map_or(Vec::new(), |wd| self.aliases.of(wd)) {
            self.check_place(alias, When::End);
        }
    }

    /// Returns `true` if a directory that is known by a link has its real path in `parent`.
    fn is_behind(&self, link: NodeRef, parent: NodeRef) -> bool {
        self.links.has(link) && !self.nodes.ancestors(parent).any(|node| self.links.has(node))
    }

    /// Removes a link, since its directory was found by its real path. The name of the link is checked.
    fn remove_link(&mut self, link: NodeRef) {
        let Some(parent) = self.nodes.parent(link) else { return };
        let name = self.name(link);
        self.report_gone(link, TreeKind::Discovered, DIR_DELETED, 0);
        self.check(parent, &name, Check::unreported_file());
    }

    /// Postpones the scan of a link until all real directories have been scanned.
    pub(super) fn postpone_link(&mut self, dir: NodeRef, name: &[u8], purpose: Purpose) {
        let purpose = Purpose { links_last: false, ..purpose };
        self.links.postponed.push_back((dir, name.into(), purpose));
    }

    /// Scans a postponed link.
    pub(super) fn visit_link<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        (dir, name, purpose): Postponed,
    ) {
        if !self.nodes.exists(dir) {
            return;
        }
        match self.open(kernel, dir) {
            Ok(opened) => {
                let visit = self.visit(kernel, &opened, (dir, &name), purpose, None);
                self.entry_visited(kernel, &opened, (dir, &name), visit, purpose);
                self.mark_unwatched(dir, &name);
            }
            // A check finds out the reason.
            Err(_) => {
                let unreported_file = self.lists_files(purpose) && purpose.report;
                let check = Check { unreported_file, deep: purpose.deep, ..Check::default() };
                self.check(dir, &name, check);
            }
        }
    }

    /// Does what follows from the scan of a listed directory, which may have been a link.
    pub(super) fn entry_visited<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        opened: &D,
        (dir, name): (NodeRef, &[u8]),
        visit: Visit,
        purpose: Purpose,
    ) {
        if !self.nodes.exists(dir) {
            return;
        }
        self.visited(dir, name, visit, purpose);
        if !self.options.follow_links || !self.lists_files(purpose) {
            return;
        }
        if visit == Visit::Nothing && self.nodes.child(dir, name).is_none() {
            if kernel.stat_child(opened, name).is_ok_and(|stat| !stat.is_dir) {
                // A link that leads nowhere any more, which no event reports.
                self.file(kernel, opened, dir, name, purpose);
            } else if purpose.report {
                // It was not reported, so its removal is not reported either.
                self.check(dir, name, Check::unreported_file());
            }
        } else if purpose.report {
            self.agenda.set_unreported_file(dir, name, true);
        }
    }

    const fn lists_files(&self, purpose: Purpose) -> bool {
        purpose.new || self.options.track_files
    }

    /// Marks the node of a link, unless it is watched, and so has been marked by its scan.
    fn mark_unwatched(&mut self, dir: NodeRef, name: &[u8]) {
        let child = self.nodes.child(dir, name);
        if let Some(node) = child.filter(|node| self.nodes.wd(*node).is_none()) {
            self.links.mark(node, true);
        }
    }

    /// Adds and reports an entry that came and is no directory: renamed `from` another path of the tree, or
    /// new. It may be a link to a directory.
    pub(super) fn entry_came<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        change: Change<'_>,
        from: Option<Vec<u8>>,
    ) {
        if !self.options.follow_links || self.root_moved {
            return self.file_came(change, from);
        }
        let Change { dir, name, mask, cookie } = change;
        let stat = match self.open(kernel, dir) {
            Ok(opened) => kernel.stat_child(&opened, name),
            // It is reported as a file; the check may find more.
            Err(errno) if failure(errno) == Failure::Moved => {
                self.file_came(change, from);
                return self.check(dir, name, Check::default());
            }
            Err(errno) => Err(errno),
        };
        match stat {
            Ok(stat) if stat.is_dir && stat.is_link => {
                if let Some(from) = from {
                    self.reports.report(TreeKind::Reported, EventMask::MOVED_FROM, cookie, from);
                }
                self.dir_came(kernel, Change { mask: mask | EventMask::ISDIR, ..change });
                self.mark_unwatched(dir, name);
                if !self.files.has(dir, name) {
                    // The link may lead nowhere by the time it is checked.
                    self.agenda.set_unreported_file(dir, name, true);
                }
            }
            Err(errno) if failure(errno) != Failure::Moved => {
                self.file_came(change, from);
                self.agenda.compare(dir, When::End);
            }
            // If it has changed since, an event reports that.
            _ => self.file_came(change, from),
        }
    }

    /// Returns the node of a name, if it is a link to a directory.
    pub(super) fn link(&self, dir: NodeRef, name: &[u8]) -> Option<NodeRef> {
        self.nodes.child(dir, name).filter(|child| self.links.has(*child))
    }

    /// Returns whether the directory at a name now is reached by a link. Returns `None` if no directory is
    /// there, or links are not followed.
    pub(super) fn is_link_at<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: NodeRef,
        name: &[u8],
    ) -> Option<bool> {
        if !self.options.follow_links {
            return None;
        }
        let opened = self.open(kernel, dir).ok()?;
        let stat = kernel.stat_child(&opened, name).ok()?;
        stat.is_dir.then_some(stat.is_link)
    }

    /// Adds a further name of a directory that was also found under the path by which it is watched.
    pub(super) fn found_twice<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        place: &Place,
        check: Check,
        node: NodeRef,
    ) {
        let (dir, name) = (place.0, &*place.1);
        let child = self.nodes.child(dir, name);
        let mut check = Check { seen: Some(Seen::Known(node)), ..check };
        let is_other = |child| self.nodes.wd(child).is_some() || self.has_ended(child);
        if child.is_some_and(is_other) {
            match self.free_name(place, check) {
                Some(freed) => check = freed,
                None => return,
            }
        }
        let is_link = self.is_link_at(kernel, dir, name);
        let is_here = match is_link {
            Some(is_link) => is_link || !self.is_behind(node, dir),
            None => !self.options.follow_links,
        };
        match self.nodes.wd(node).filter(|_| is_here) {
            Some(wd) => {
                let alias = self.alias(dir, name, wd);
                self.links.mark(alias, is_link == Some(true));
            }
            // It was beneath the directory that was removed; or this is its real path; or this no longer
            // leads to it.
            None => self.check_again(place, check),
        }
    }

    /// Finds out whether a directory was renamed that was found at a name, and no longer at the name where it
    /// is known. Returns the check if it was; not if one of the names is a link.
    pub(super) fn found_by_link<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        place: &Place,
        check: Check,
        node: NodeRef,
    ) -> Option<Check> {
        let (dir, name) = (place.0, &*place.1);
        let child = self.nodes.child(dir, name);
        if child.is_some_and(|child| self.nodes.is_within(node, child)) {
            return Some(check);
        }
        if self.links.has(node) {
            self.remove_link(node);
            self.check_again(place, check);
            return None;
        }
        match self.is_link_at(kernel, dir, name) {
            Some(true) => {}
            None if self.options.follow_links => {
                self.check_again(place, check);
                return None;
            }
            _ => return Some(check),
        }
        let tries = check.tries.saturating_add(1);
        let check = Check { seen: None, elsewhere: None, tries, ..check };
        if tries > TRIES {
            self.found_twice(kernel, place, check, node);
        } else {
            // The target of the link is found first.
            self.check_place(node, When::End);
            self.agenda.check(dir, name, check, When::Idle);
        }
        None
    }

    /// Adds checks of all links and aliases, if some may lead elsewhere now.
    pub(super) fn check_links(&mut self) -> bool {
        if !core::mem::take(&mut self.links.is_due) || self.lost.is_some() {
            return false;
        }
        let aliases = self.aliases.wds.keys();
        let nodes: KeySet<NodeRef> = self.links.nodes.keys().chain(aliases).collect();
        for node in nodes.keys() {
            if let Some(parent) = self.nodes.parent(node) {
                let name = self.name(node);
                self.check(parent, &name, Check::default());
            }
        }
        true
    }
}
