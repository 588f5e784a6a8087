//! Changes of what is known, and their reports. Nothing here examines the disk; only watches are ended.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::agenda::{Check, Place, When};
use super::event::{TreeKind, UnwatchedReason};
use super::kernel::Kernel;
use super::nodes::{Listing, NodeRef, ROOT, State};
use super::renames::Ended;
use super::{Tree, UNKNOWN};
use crate::event::Wd;
use crate::flags::EventMask;
use crate::keys::KeySet;
use crate::sys::Errno;

pub(super) const DIR_CREATED: EventMask = EventMask::CREATE.union(EventMask::ISDIR);
pub(super) const DIR_DELETED: EventMask = EventMask::DELETE.union(EventMask::ISDIR);

/// The most watches that are ended between two reads, since each end queues an event.
const ENDED_AT_ONCE: usize = 32;

/// Directories that could not be watched or listed. They are retried in turn, at growing intervals: a
/// resource may be free again, and not every cause that passes queues an event.
#[derive(Debug, Default)]
pub(super) struct Retries {
    nodes: KeySet<NodeRef>,
    /// The last one that was retried.
    last: Option<NodeRef>,
    /// The idle calls until the next retry.
    left: u32,
    /// The idle calls between the last two retries.
    interval: u32,
}

/// The number of directories that are retried at once.
const RETRIED_AT_ONCE: usize = 8;

/// The most idle calls between two retries.
const MAX_INTERVAL: u32 = 32;

impl Retries {
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn add(&mut self, node: NodeRef) {
        self.nodes.add(node);
    }

    /// Takes the directories to retry at this idle call.
    fn due(&mut self) -> Vec<NodeRef> {
        if self.nodes.is_empty() {
            (self.left, self.interval) = (0, 0);
            return Vec::new();
        }
        if self.left > 0 {
            self.left = self.left.saturating_sub(1);
            return Vec::new();
        }
        self.interval = self.interval.saturating_mul(2).saturating_add(1).min(MAX_INTERVAL);
        self.left = self.interval;
        let mut due: Vec<NodeRef> = match self.last {
            Some(last) => self.nodes.keys_after(last).take(RETRIED_AT_ONCE).collect(),
            None => Vec::new(),
        };
        if due.is_empty() {
            due = self.nodes.keys().take(RETRIED_AT_ONCE).collect();
        }
        self.last = due.last().copied();
        for node in &due {
            self.nodes.remove(*node);
        }
        due
    }
}

/// What an error means for the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The path was removed, moved or replaced.
    Moved,
    /// A resource is exhausted, which says nothing about the directory.
    Exhausted,
    /// The call is not permitted, or fails for another reason.
    Denied,
}

pub(super) const fn failure(errno: Errno) -> Failure {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE => Failure::Moved,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOSPC => Failure::Exhausted,
        _ => Failure::Denied,
    }
}

impl<D> Tree<D> {
    /// Returns the path of a name in a directory.
    pub(super) fn path(&self, dir: NodeRef, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::new();
        self.nodes.path(dir, name, &mut path);
        path
    }

    pub(super) fn report(&mut self, kind: TreeKind, mask: EventMask, path: Vec<u8>) {
        self.reports.report(kind, mask, 0, path);
    }

    /// Returns a copy of a directory's name.
    pub(super) fn name(&self, node: NodeRef) -> Box<[u8]> {
        self.nodes.name(node).into()
    }

    /// Adds a check of a name.
    pub(super) fn check(&mut self, dir: NodeRef, name: &[u8], mut check: Check) {
        check.unreported_file &= !self.files.has(dir, name);
        self.agenda.check(dir, name, check, When::End);
    }

    /// Adds a check of a directory's name.
    pub(super) fn check_place(&mut self, node: NodeRef, when: When) {
        if let Some(parent) = self.nodes.parent(node) {
            let name = self.name(node);
            if !self.agenda.is_scheduled(parent, &name) {
                self.agenda.check(parent, &name, Check::default(), when);
            }
        }
    }

    /// Reports that a directory is gone, with everything beneath it, and removes it.
    pub(super) fn report_gone(
        &mut self,
        node: NodeRef,
        kind: TreeKind,
        mask: EventMask,
        cookie: u32,
    ) {
        self.report_departures(node);
        let path = self.path(node, &[]);
        self.reports.report(kind, mask, cookie, path);
        if mask.contains(EventMask::MOVED_FROM) {
            self.links.mark_due();
        }
        if let Some(parent) = self.nodes.parent(node).filter(|_| self.links.has(node)) {
            // A link that leads nowhere is a file, which was not reported.
            self.agenda.set_unreported_file(parent, self.nodes.name(node), true);
        }
        self.remove(node);
    }

    /// Removes a directory and everything beneath it. Their watches will be ended.
    pub(super) fn remove(&mut self, top: NodeRef) {
        if top == ROOT || !self.nodes.exists(top) {
            return;
        }
        self.report_departures(top);
        let mut ended = self.remove_beneath(top);
        self.forget(top, &mut ended);
        self.conclude_all(ended);
    }

    /// Removes everything beneath a directory, but not the directory.
    pub(super) fn clear(&mut self, top: NodeRef) {
        self.report_departures(top);
        let ended = self.remove_beneath(top);
        self.conclude_all(ended);
        while let Some(ended) = self.renames.take_touching(top) {
            self.abandon(ended);
        }
        // Last, since the end of a rename may add a check here.
        self.files.forget(top);
        self.agenda.forget(top);
    }

    /// Reports the entries that left a directory, or one beneath it, by a rename whose other half has not
    /// come. Their old paths are valid only until that directory is removed or renamed. A watched directory
    /// that was renamed is not reported here: its own event follows.
    pub(super) fn report_departures(&mut self, top: NodeRef) {
        while let Some(ended) = self.renames.take_one(|pending| {
            let waits =
                pending.node.is_some_and(|node| self.links.reports_moves(&self.nodes, node));
            !waits && self.nodes.is_within(pending.from.0, top)
        }) {
            self.abandon(ended);
        }
    }

    fn remove_beneath(&mut self, top: NodeRef) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some(mut node) = self.nodes.first_child(top) {
            while let Some(child) = self.nodes.first_child(node) {
                node = child;
            }
            // Each directory once, the innermost first, without a list of them.
            self.forget(node, &mut ended);
        }
        ended
    }

    fn forget(&mut self, node: NodeRef, ended: &mut Vec<Ended>) {
        while let Some(pending) = self.renames.take_touching(node) {
            ended.push(pending);
        }
        ended.extend(self.renames.take_of(node));
        self.unwatch(node, State::Named);
        self.files.forget(node);
        self.agenda.forget(node);
        self.renames.forget(node);
        self.retries.nodes.remove(node);
        self.aliases.remove(node);
        self.links.forget(node);
        self.nodes.remove(node);
    }

    /// Ends the renames of a directory that is gone.
    fn conclude_all(&mut self, ended: Vec<Ended>) {
        for pending in ended {
            self.abandon(pending);
        }
    }

    /// Ends the watch of a directory, and sets its new state.
    pub(super) fn unwatch(&mut self, node: NodeRef, state: State) {
        if let Some(wd) = self.nodes.wd(node) {
            self.ending.add(wd.as_raw());
            // The same directory can be watched under its other paths now.
            for alias in self.aliases.take(wd) {
                self.check_place(alias, When::End);
            }
        }
        self.nodes.set_state(node, state);
    }

    /// Ends a watch that only a scan has added, if no known directory has it.
    pub(super) fn end_unused(&mut self, wd: Wd) {
        if self.nodes.by_wd(wd).is_none() {
            self.ending.add(wd.as_raw());
        }
    }

    /// Ends some of the watches that are no longer needed. Returns `true` if none was left.
    pub(super) fn end_some<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> bool {
        for _ in 0..ENDED_AT_ONCE {
            match self.ending.pop_first() {
                Some(wd) => kernel.unwatch(Wd::from_raw(wd)),
                None => return true,
            }
        }
        false
    }

    /// Reports that a directory can't be watched, and schedules a retry.
    pub(super) fn report_unwatched(&mut self, node: NodeRef, why: UnwatchedReason) {
        if self.nodes.state(node) != State::Unwatched {
            self.clear(node);
            let path = self.path(node, &[]);
            self.report(TreeKind::Unwatched(why), EventMask::ISDIR, path);
        }
        self.unwatch(node, State::Unwatched);
        self.schedule_retry(node);
    }

    /// Parks a check of a name that can't be done now.
    pub(super) fn park(&mut self, (dir, name): &Place, check: Check, errno: Errno) {
        self.agenda.park(*dir, name, check);
        if self.nodes.listing(*dir) != Listing::Failed {
            // A listing of the directory may still show what the `stat` could not.
            self.agenda.compare(*dir, When::End);
        }
        self.report_unlisted(*dir, errno);
    }

    /// Reports that a watched directory can't be listed, and schedules a retry.
    pub(super) fn report_unlisted(&mut self, node: NodeRef, errno: Errno) {
        if self.nodes.listing(node) != Listing::Failed {
            self.nodes.set_listing(node, Listing::Failed);
            let path = self.path(node, &[]);
            self.report(TreeKind::Unlisted(errno), EventMask::ISDIR, path);
        }
        self.schedule_retry(node);
    }

    /// Reports that a directory is watched and listed. Its retry is cancelled.
    pub(super) fn report_watched(&mut self, node: NodeRef) {
        self.cancel_retry(node);
        let path = self.path(node, &[]);
        self.report(TreeKind::Watched, EventMask::ISDIR, path);
    }

    /// Schedules a retry of a directory: after some idle calls, and when a permission changes at or above it.
    pub(super) fn schedule_retry(&mut self, node: NodeRef) {
        self.retries.add(node);
        self.nodes.mark_retry(node);
    }

    /// Cancels the retry of a directory.
    pub(super) fn cancel_retry(&mut self, node: NodeRef) {
        self.retries.nodes.remove(node);
    }

    /// Returns `true` if a directory will be retried.
    pub(super) fn has_scheduled_retry(&self, node: NodeRef) -> bool {
        self.retries.nodes.contains(node)
    }

    /// Retries some of the directories that failed.
    pub(super) fn retry_some<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        if !self.agenda.is_empty() {
            return;
        }
        for node in self.retries.due() {
            let wd = self.nodes.wd(node).filter(|_| self.nodes.listing(node) == Listing::Failed);
            if wd.is_some_and(|wd| kernel.is_watching(wd) == Some(false)) {
                self.lost_watch(node);
            } else {
                self.retry(node);
            }
        }
    }

    /// Reports a directory as gone that can't be examined: its watch has ended, and the event of that was
    /// lost.
    fn lost_watch(&mut self, node: NodeRef) {
        let Some(parent) = self.nodes.parent(node) else { return };
        let name = self.name(node);
        self.report_gone(node, TreeKind::Discovered, DIR_DELETED, 0);
        self.check(parent, &name, Check::default());
    }

    fn retry(&mut self, node: NodeRef) {
        match self.nodes.state(node) {
            State::Watched(_) if self.is_unlisted(node) => self.agenda.compare(node, When::End),
            State::Unwatched => self.check_unreached(node),
            _ => {}
        }
    }

    /// Adds a check of a directory that was not reached, though it probably exists.
    pub(super) fn check_unreached(&mut self, node: NodeRef) {
        let Some(parent) = self.nodes.parent(node) else { return };
        let name = self.name(node);
        if !self.agenda.is_scheduled(parent, &name) {
            self.check(parent, &name, Check { unreached: true, ..Check::default() });
        }
    }

    fn is_unlisted(&self, node: NodeRef) -> bool {
        self.nodes.listing(node) == Listing::Failed || node == ROOT && self.root_moved
    }

    /// Retries what failed at a directory and beneath it, since a permission may have changed there.
    pub(super) fn retry_beneath(&mut self, top: NodeRef) {
        let mut next = Some(top).filter(|top| self.nodes.has_retry(*top));
        while let Some(node) = next {
            if self.nodes.has_retry(node) {
                self.nodes.clear_retry(node);
                self.retry(node);
                next = self.nodes.after(top, node);
            } else {
                next = self.nodes.past(top, node);
            }
        }
    }

    /// Excludes a directory: ends its watch, and forgets everything beneath it.
    pub(super) fn exclude(&mut self, node: NodeRef) {
        self.clear(node);
        self.unwatch(node, State::Excluded);
        self.nodes.set_listing(node, Listing::Done);
    }

    /// Returns `true` if a directory is excluded, by its depth or its path.
    pub(super) fn is_excluded(&self, parent: NodeRef, name: &[u8]) -> bool {
        self.options.max_depth.is_some_and(|depth| self.nodes.depth(parent) >= depth)
            || self
                .options
                .exclude
                .as_ref()
                .is_some_and(|exclude| exclude(&self.path(parent, name)))
    }

    /// Re-evaluates which directories are excluded, since a rename changes paths and depths.
    pub(super) fn update_excludes(&mut self, top: NodeRef) {
        let mut next = Some(top);
        while let Some(node) = next {
            let Some(parent) = self.nodes.parent(node) else {
                next = self.nodes.after(top, node);
                continue;
            };
            let name = self.name(node);
            let excluded = self.nodes.state(node) == State::Excluded;
            match (self.is_excluded(parent, &name), excluded) {
                (true, false) => self.exclude(node),
                (false, true) => {
                    self.nodes.set_state(node, State::Named);
                    self.check(parent, &name, Check::default());
                }
                _ => {}
            }
            next = self.nodes.after(top, node);
        }
    }

    /// Moves a directory to another path, which is free.
    pub(super) fn relink(&mut self, node: NodeRef, dir: NodeRef, name: &[u8]) {
        self.before_move(node);
        self.nodes.relink(node, dir, name);
        self.after_move(node);
    }

    /// Exchanges two directories.
    pub(super) fn exchange(&mut self, one: NodeRef, other: NodeRef) {
        self.before_move(one);
        self.before_move(other);
        self.nodes.exchange(one, other);
        self.after_move(one);
        self.after_move(other);
    }

    /// Keeps a pending comparison of the directory, wherever the directory goes.
    fn before_move(&mut self, node: NodeRef) {
        if self.is_uncompared(node) {
            self.agenda.compare(node, When::End);
        }
        if let Some(parent) = self.nodes.parent(node) {
            let name = self.name(node);
            self.agenda.invalidate(parent, &name, false);
        }
    }

    /// Returns `true` if a comparison of the directory, or of one above it, is pending.
    fn is_uncompared(&self, node: NodeRef) -> bool {
        let is_deep = |node: NodeRef| {
            let parent = self.nodes.parent(node).unwrap_or(ROOT);
            self.nodes.listing(node) == Listing::Failed
                || self.agenda.is_deep(node, parent, self.nodes.name(node))
        };
        (self.agenda.has_deep() || !self.retries.is_empty())
            && self.nodes.ancestors(node).any(is_deep)
    }

    fn after_move(&mut self, node: NodeRef) {
        if let Some(parent) = self.nodes.parent(node).filter(|_| self.nodes.has_retry(node)) {
            self.nodes.mark_retry(parent);
        }
    }

    /// Does what a rename of a directory makes possible: retries, and changed exclusions.
    pub(super) fn after_rename(&mut self, node: NodeRef) {
        self.links.mark_due();
        if self.nodes.listing(node) == Listing::Leaf {
            // The link count may have been another directory's.
            self.agenda.compare(node, When::Idle);
        }
        match self.nodes.state(node) {
            State::Watched(_) => {}
            // A mount point can't be renamed, so nothing is mounted there any more.
            State::Excluded if !self.options.same_file_system => {}
            _ => self.check_place(node, When::End),
        }
        if self.options.max_depth.is_some() || self.options.exclude.is_some() {
            self.update_excludes(node);
        }
        self.retry_beneath(node);
    }

    /// Reports that a file is gone if it is known. Where files are not known, if it `was_reported`.
    pub(super) fn file_gone(&mut self, dir: NodeRef, name: &[u8], was_reported: bool) {
        let was_reported = was_reported && !self.files.knows(dir);
        if self.files.remove(dir, name) || was_reported {
            let path = self.path(dir, name);
            self.report(TreeKind::Discovered, EventMask::DELETE, path);
        }
    }

    /// Schedules a comparison of the whole tree, at the end of the queue.
    pub(super) fn compare_all(&mut self) {
        self.agenda.compare(ROOT, When::End);
        self.ahead = Some(UNKNOWN);
    }
}
