//! Changes of what is known, and their reports. Nothing here looks at the disk, but for the ends of
//! watches.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Bound;

use super::agenda::{Check, Place, When};
use super::event::{TreeKind, UnwatchedReason};
use super::kernel::Kernel;
use super::nodes::{Listing, NodeRef, ROOT, State};
use super::renames::Ended;
use super::{Tree, UNKNOWN};
use crate::event::Wd;
use crate::flags::EventMask;
use crate::sys::Errno;

pub(super) const DIR_CREATED: EventMask = EventMask::CREATE.union(EventMask::ISDIR);
pub(super) const DIR_DELETED: EventMask = EventMask::DELETE.union(EventMask::ISDIR);

/// How many watches are ended between two reads, at most: each end queues an event.
const ENDED_AT_ONCE: usize = 32;

/// Directories that could not be watched or listed. They are tried again in turn, now and then: what
/// was scarce may be free, and not every reason that passes makes an event.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    nodes: BTreeSet<NodeRef>,
    /// The last one that was tried.
    last: Option<NodeRef>,
    /// Idle moments until some are tried again.
    left: u32,
    /// The distance between the last two tries.
    distance: u32,
}

/// How many are tried at a time. The others wait for their turn.
const TRIED_AT_ONCE: usize = 8;

/// The greatest distance between two tries, in idle moments.
const FAR: u32 = 32;

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn add(&mut self, node: NodeRef) {
        self.nodes.insert(node);
    }

    /// At an idle moment when nothing is tried, takes those that are to be tried again.
    fn due(&mut self) -> Vec<NodeRef> {
        if self.nodes.is_empty() {
            (self.left, self.distance) = (0, 0);
            return Vec::new();
        }
        if self.left > 0 {
            self.left = self.left.saturating_sub(1);
            return Vec::new();
        }
        self.distance = self.distance.saturating_mul(2).saturating_add(1).min(FAR);
        self.left = self.distance;
        let after = |last: NodeRef| (Bound::Excluded(last), Bound::Unbounded);
        let mut due: Vec<NodeRef> = match self.last {
            Some(last) => self.nodes.range(after(last)).take(TRIED_AT_ONCE).copied().collect(),
            None => Vec::new(),
        };
        if due.is_empty() {
            due = self.nodes.iter().take(TRIED_AT_ONCE).copied().collect();
        }
        self.last = due.last().copied();
        for node in &due {
            self.nodes.remove(node);
        }
        due
    }
}

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// What the call names was removed, moved or replaced.
    Moved,
    /// Something scarce is exhausted, which says nothing of the directory.
    Scarce,
    /// It is not permitted, or does not work at all.
    Denied,
}

pub(super) const fn failure(errno: Errno) -> Failure {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ESTALE => Failure::Moved,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOSPC => Failure::Scarce,
        _ => Failure::Denied,
    }
}

impl<D> Tree<D> {
    /// The path of a name in a directory.
    pub(super) fn path(&self, dir: NodeRef, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::new();
        self.nodes.path(dir, name, &mut path);
        path
    }

    pub(super) fn tell(&mut self, kind: TreeKind, mask: EventMask, path: Vec<u8>) {
        self.reports.tell(kind, mask, 0, path);
    }

    /// The name of a directory, for when it is to change.
    pub(super) fn name(&self, node: NodeRef) -> Box<[u8]> {
        self.nodes.name(node).into()
    }

    /// Has a name checked.
    pub(super) fn check(&mut self, dir: NodeRef, name: &[u8], mut check: Check) {
        check.owes_file &= !self.files.has(dir, name);
        self.agenda.check(dir, name, check, When::End);
    }

    /// Has the name of a directory checked.
    pub(super) fn check_place(&mut self, node: NodeRef, when: When) {
        if let Some(parent) = self.nodes.parent(node) {
            let name = self.name(node);
            if !self.agenda.is_scheduled(parent, &name) {
                self.agenda.check(parent, &name, Check::default(), when);
            }
        }
    }

    /// Reports that a directory is gone, with all beneath it, and forgets it.
    pub(super) fn gone(&mut self, node: NodeRef, kind: TreeKind, mask: EventMask, cookie: u32) {
        self.report_departures(node);
        let path = self.path(node, &[]);
        self.reports.tell(kind, mask, cookie, path);
        if mask.contains(EventMask::MOVED_FROM) {
            self.links.disturb();
        }
        self.remove(node);
    }

    /// Forgets a directory and all beneath it, whose watches will be ended.
    pub(super) fn remove(&mut self, top: NodeRef) {
        if top == ROOT || !self.nodes.exists(top) {
            return;
        }
        self.report_departures(top);
        let mut ended = self.remove_beneath(top);
        self.forget(top, &mut ended);
        self.conclude_all(ended);
    }

    /// Forgets what is in a directory, and all beneath.
    pub(super) fn clear(&mut self, top: NodeRef) {
        self.report_departures(top);
        let ended = self.remove_beneath(top);
        self.conclude_all(ended);
        while let Some(ended) = self.renames.take_touching(top) {
            self.abandon(ended);
        }
        // Last, since what is left of a rename may be a check here.
        self.files.forget(top);
        self.agenda.forget(top);
    }

    /// Reports what left a directory, or one beneath it, by a rename whose other half has not come. Its old path
    /// holds only until that directory is removed or renamed. A watched directory that was renamed is not
    /// reported here: its own event follows.
    pub(super) fn report_departures(&mut self, top: NodeRef) {
        while let Some(ended) = self.renames.take_one(|pending| {
            let waits = pending.node.is_some_and(|node| self.links.tells(&self.nodes, node));
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
            // Each once, the innermost first, and no list of them.
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
        self.waiting.nodes.remove(&node);
        self.aliases.remove(node);
        self.links.forget(node);
        self.nodes.remove(node);
    }

    /// What is left of renames when a directory that they touch is gone.
    fn conclude_all(&mut self, ended: Vec<Ended>) {
        for pending in ended {
            self.abandon(pending);
        }
    }

    /// Ends the watch of a directory, which has another state from now on.
    pub(super) fn unwatch(&mut self, node: NodeRef, state: State) {
        if let Some(wd) = self.nodes.wd(node) {
            self.ending.insert(wd.as_raw());
            // What is the same directory elsewhere can be watched there.
            for alias in self.aliases.take(wd) {
                self.check_place(alias, When::End);
            }
        }
        self.nodes.set_state(node, state);
    }

    /// Ends a watch that came about by looking, if no directory has it.
    pub(super) fn let_go(&mut self, wd: Wd) {
        if self.nodes.by_wd(wd).is_none() {
            self.ending.insert(wd.as_raw());
        }
    }

    /// Ends some of the watches that are to be ended; `true` if none was left.
    pub(super) fn end_some<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> bool {
        for _ in 0..ENDED_AT_ONCE {
            match self.ending.pop_first() {
                Some(wd) => kernel.unwatch(Wd::from_raw(wd)),
                None => return true,
            }
        }
        false
    }

    /// Reports that a directory can't be watched, and has it tried again later.
    pub(super) fn blind(&mut self, node: NodeRef, why: UnwatchedReason) {
        if self.nodes.state(node) != State::Blind {
            self.clear(node);
            let path = self.path(node, &[]);
            self.tell(TreeKind::Unwatched(why), EventMask::ISDIR, path);
        }
        self.unwatch(node, State::Blind);
        self.wait(node);
    }

    /// A check of a name can't be done now.
    pub(super) fn park(&mut self, (dir, name): &Place, check: Check, errno: Errno) {
        self.agenda.park(*dir, name, check);
        if self.nodes.listing(*dir) != Listing::Owed {
            // Its listing may show what the look could not.
            self.agenda.compare(*dir, When::End);
        }
        self.owe(*dir, errno);
    }

    /// Reports that a watched directory can't be compared, and has it tried again later.
    pub(super) fn owe(&mut self, node: NodeRef, errno: Errno) {
        if self.nodes.listing(node) != Listing::Owed {
            self.nodes.set_listing(node, Listing::Owed);
            let path = self.path(node, &[]);
            self.tell(TreeKind::Unlisted(errno), EventMask::ISDIR, path);
        }
        self.wait(node);
    }

    /// Reports that a directory is watched and listed. It waits no longer.
    pub(super) fn report_watched(&mut self, node: NodeRef) {
        self.stop_waiting(node);
        let path = self.path(node, &[]);
        self.tell(TreeKind::Watched, EventMask::ISDIR, path);
    }

    /// Has a directory tried again later, and when a permission changes there or above.
    pub(super) fn wait(&mut self, node: NodeRef) {
        self.waiting.add(node);
        self.nodes.mark_retry(node);
    }

    /// A directory is being tried, so it need not be tried again.
    pub(super) fn stop_waiting(&mut self, node: NodeRef) {
        self.waiting.nodes.remove(&node);
    }

    /// Returns `true` if a directory is to be tried again.
    pub(super) fn waits(&self, node: NodeRef) -> bool {
        self.waiting.nodes.contains(&node)
    }

    /// Tries some of those again that wait.
    pub(super) fn retry_some<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        if !self.agenda.is_empty() {
            return;
        }
        for node in self.waiting.due() {
            let wd = self.nodes.wd(node).filter(|_| self.nodes.listing(node) == Listing::Owed);
            if wd.is_some_and(|wd| kernel.is_watching(wd) == Some(false)) {
                self.lost_watch(node);
            } else {
                self.retry(node);
            }
        }
    }

    /// A directory that can't be looked at is gone, since its watch has ended; the event of that was
    /// lost.
    fn lost_watch(&mut self, node: NodeRef) {
        let Some(parent) = self.nodes.parent(node) else { return };
        let name = self.name(node);
        self.gone(node, TreeKind::Discovered, DIR_DELETED, 0);
        self.check(parent, &name, Check::default());
    }

    fn retry(&mut self, node: NodeRef) {
        match self.nodes.state(node) {
            State::Watched(_) if self.is_owed(node) => self.agenda.compare(node, When::End),
            State::Blind => self.reach(node),
            _ => {}
        }
    }

    /// Adds a check of a directory that was not reached, though it is probably there.
    pub(super) fn reach(&mut self, node: NodeRef) {
        let Some(parent) = self.nodes.parent(node) else { return };
        let name = self.name(node);
        if !self.agenda.is_scheduled(parent, &name) {
            self.check(parent, &name, Check { unreached: true, ..Check::default() });
        }
    }

    fn is_owed(&self, node: NodeRef) -> bool {
        self.nodes.listing(node) == Listing::Owed || node == ROOT && self.root_moved
    }

    /// A permission may have changed at a directory: tries again what failed there and beneath it.
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

    /// A directory is not to be watched, and nothing beneath it is to be known.
    pub(super) fn exclude(&mut self, node: NodeRef) {
        self.clear(node);
        self.unwatch(node, State::Excluded);
        self.nodes.set_listing(node, Listing::Done);
    }

    /// Returns `true` if a directory is not to be watched, by its depth or its path.
    pub(super) fn is_excluded(&self, parent: NodeRef, name: &[u8]) -> bool {
        self.options.max_depth.is_some_and(|depth| self.nodes.depth(parent) >= depth)
            || self
                .options
                .exclude
                .as_ref()
                .is_some_and(|exclude| exclude(&self.path(parent, name)))
    }

    /// After a rename, other directories may be those that are excluded.
    pub(super) fn exclude_anew(&mut self, top: NodeRef) {
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

    /// A directory has another place from now on, which is free.
    pub(super) fn relink(&mut self, node: NodeRef, dir: NodeRef, name: &[u8]) {
        self.leave_place(node);
        self.nodes.relink(node, dir, name);
        self.enter_place(node);
    }

    /// Two directories change places.
    pub(super) fn exchange(&mut self, one: NodeRef, other: NodeRef) {
        self.leave_place(one);
        self.leave_place(other);
        self.nodes.exchange(one, other);
        self.enter_place(one);
        self.enter_place(other);
    }

    /// If a directory was to be compared with all beneath, it still is, wherever it goes.
    fn leave_place(&mut self, node: NodeRef) {
        if self.is_uncompared(node) {
            self.agenda.compare(node, When::End);
        }
        if let Some(parent) = self.nodes.parent(node) {
            let name = self.name(node);
            self.agenda.disturb(parent, &name, false);
        }
    }

    /// Returns `true` if the directory, or one that it is in, is to be compared with all beneath it.
    fn is_uncompared(&self, node: NodeRef) -> bool {
        let is_deep = |node: NodeRef| {
            let parent = self.nodes.parent(node).unwrap_or(ROOT);
            self.nodes.listing(node) == Listing::Owed
                || self.agenda.is_deep(node, parent, self.nodes.name(node))
        };
        (self.agenda.has_deep() || !self.waiting.is_empty())
            && self.nodes.ancestors(node).any(is_deep)
    }

    fn enter_place(&mut self, node: NodeRef) {
        if let Some(parent) = self.nodes.parent(node).filter(|_| self.nodes.has_retry(node)) {
            self.nodes.mark_retry(parent);
        }
    }

    /// What a rename of a directory makes possible: looks that failed, and exclusions.
    pub(super) fn after_rename(&mut self, node: NodeRef) {
        self.links.disturb();
        if self.nodes.listing(node) == Listing::Leaf {
            // The link count may have been that of another directory.
            self.agenda.compare(node, When::Idle);
        }
        match self.nodes.state(node) {
            State::Watched(_) => {}
            // Where something is mounted, nothing can be renamed: it is not mounted any more.
            State::Excluded if !self.options.same_file_system => {}
            _ => self.check_place(node, When::End),
        }
        if self.options.max_depth.is_some() || self.options.exclude.is_some() {
            self.exclude_anew(node);
        }
        self.retry_beneath(node);
    }

    /// Reports that a file is gone, if one is known, or was `told` of where files are not known.
    pub(super) fn file_gone(&mut self, dir: NodeRef, name: &[u8], told: bool) {
        let told = told && !self.files.knows(dir);
        if self.files.remove(dir, name) || told {
            let path = self.path(dir, name);
            self.tell(TreeKind::Discovered, EventMask::DELETE, path);
        }
    }

    /// Has the whole tree compared, behind all that is queued.
    pub(super) fn compare_all(&mut self) {
        self.agenda.compare(ROOT, When::End);
        self.ahead = Some(UNKNOWN);
    }
}
