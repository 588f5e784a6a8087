//! Runs checks: compares uncertain names with the disk.

use super::agenda::{Check, Place, Seen, Task, When};
use super::edits::{DIR_DELETED, Failure, failure};
use super::event::{TreeKind, UnwatchedReason};
use super::kernel::Kernel;
use super::look::{Purpose, Visit};
use super::nodes::{Listing, NodeRef, ROOT, State};
use super::{Stage, Tree, UNKNOWN};
use crate::event::Wd;
use crate::flags::EventMask;
use crate::sys::Errno;

/// How often a directory may be missing at its path, with an empty queue, before its check is parked.
pub(super) const TRIES: u32 = 8;

impl<D> Tree<D> {
    /// Runs a task that is due.
    pub(super) fn run<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, task: Task) {
        match task {
            Task::Close(cookie) => self.close(kernel, cookie),
            Task::Window(dir) if self.is_perhaps_replaced(dir) => {
                self.agenda.window(dir, When::Idle);
            }
            Task::Window(dir) => {
                for name in self.files.close(dir) {
                    let path = self.path(dir, &name);
                    self.report(TreeKind::Discovered, EventMask::DELETE, path);
                }
            }
            Task::Listed(dir) => self.listed(dir),
            Task::Compare(node) if self.is_perhaps_replaced(node) => {
                self.agenda.compare(node, When::Idle);
            }
            Task::Compare(node) => self.compare(kernel, node),
            Task::Check(place, check) => self.run_check(kernel, place, check),
            Task::Complete(kind) => {
                self.established |= kind == TreeKind::Established;
                self.report(kind, EventMask::empty(), Default::default());
            }
        }
    }

    /// Compares the whole tree after an overflow: all events that were queued by then were skipped.
    pub(super) fn resync<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        self.lost = None;
        self.stage = Stage::Resync;
        self.ahead = Some(UNKNOWN);
        self.compare(kernel, ROOT);
    }

    /// Lists a watched directory and compares it, with everything beneath.
    fn compare<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) {
        if self.nodes.wd(node).is_none() {
            return;
        }
        let opened = self.open(kernel, node);
        match opened.and_then(|dir| self.list(kernel, node, dir, Purpose::COMPARE)) {
            Ok(()) => self.root_moved &= node != ROOT,
            Err(errno) if failure(errno) != Failure::Moved => self.report_unlisted(node, errno),
            Err(_) if node == ROOT => self.report_root_moved(),
            Err(_) => {
                if let Some(parent) = self.nodes.parent(node) {
                    let name = self.name(node);
                    self.agenda.deepen(parent, &name);
                }
            }
        }
    }

    /// Reports that the root's path does not lead to the root.
    fn report_root_moved(&mut self) {
        if !self.root_moved {
            self.root_moved = true;
            self.report(TreeKind::RootMoved, EventMask::empty(), Default::default());
        }
        self.schedule_retry(ROOT);
    }

    /// Finds out whether the root's path leads to the root, since the root was moved or has a new path.
    pub(super) fn find_root<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        match self.open(kernel, ROOT) {
            Err(errno) if failure(errno) == Failure::Moved => self.report_root_moved(),
            _ if self.root_moved => self.agenda.compare(ROOT, When::End),
            _ => {}
        }
    }

    /// Repeats `check` later, since the directory was not found by its path.
    fn retry_later<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, place: &Place, mut check: Check) {
        let (dir, name) = place;
        check.seen = None;
        if kernel.end() <= self.position {
            if !self.renames.is_empty() {
                // A pending rename may be the reason.
                return self.agenda.check(*dir, name, check, When::Idle);
            }
            // No event will show the reason.
            check.tries = check.tries.saturating_add(1);
            let is_unlisted = |node| self.nodes.listing(node) == Listing::Failed;
            if check.tries > TRIES || self.nodes.ancestors(*dir).skip(1).any(is_unlisted) {
                // A directory above it can't be listed either.
                return self.park(place, check, Errno::ENOENT);
            }
            match self.open(kernel, ROOT) {
                Err(errno) if failure(errno) == Failure::Moved => {
                    self.report_root_moved();
                    let child = self.nodes.child(*dir, name);
                    if let Some(child) = child.filter(|child| self.nodes.wd(*child).is_none()) {
                        self.report_unwatched(child, UnwatchedReason::RootMoved);
                    }
                    return;
                }
                _ => self.check_unreached(*dir),
            }
        }
        self.check(*dir, name, check);
    }

    fn run_check<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, place: Place, check: Check) {
        let (dir, name) = (place.0, &*place.1);
        if self.nodes.wd(dir).is_none() {
            return;
        }
        if self.renames.has(dir, name) || self.is_perhaps_replaced(dir) {
            // The pending rename is decided first.
            let check = Check { seen: None, elsewhere: None, ..check };
            return self.agenda.check(dir, name, check, When::Idle);
        }
        if let Some(seen) = check.seen {
            return self.decide(kernel, &place, check, seen);
        }
        let mut opened = match self.open(kernel, dir) {
            Ok(opened) => opened,
            Err(errno) if failure(errno) == Failure::Moved => {
                return self.retry_later(kernel, &place, check);
            }
            Err(errno) => return self.park(&place, check, errno),
        };
        let child = self.nodes.child(dir, name);
        let was_watched = child.is_some_and(|child| self.nodes.wd(child).is_some());
        let seen = self.examine(kernel, &opened, &place, check.deep, check.unreached);
        match seen {
            Ok(Some(seen)) => {
                // Wait until the events of what was seen are queued.
                let _ = kernel.barrier(&mut opened);
                // A directory that was watched only now may be ahead of the events.
                let unreached = check.unreached && was_watched;
                let is_known = matches!(seen, Seen::Known(_));
                let reported_file = check.reported_file && !is_known;
                let ahead = check.ahead || is_known && !was_watched;
                let seen = Some(seen);
                let check =
                    Check { seen, elsewhere: None, unreached, reported_file, ahead, ..check };
                self.check(dir, name, check);
            }
            Ok(None) => {}
            Err(Errno::ESTALE) => self.retry_later(kernel, &place, check),
            Err(errno) => self.park(&place, check, errno),
        }
    }

    /// Reports a directory as watched that could not be listed before, once all names in it were examined.
    pub(super) fn listed(&mut self, dir: NodeRef) {
        if self.nodes.exists(dir)
            && self.nodes.listing(dir) == Listing::Failed
            && !self.agenda.has_parked(dir)
            && !self.has_scheduled_retry(dir)
        {
            self.nodes.set_listing(dir, Listing::Done);
            self.report_watched(dir);
        }
    }

    /// Returns `true` if the directory, or one above it, is the victim of an undecided swap. Until that is
    /// decided, nothing in it is reported.
    fn is_perhaps_replaced(&self, dir: NodeRef) -> bool {
        self.renames.swap_above(self.nodes.ancestors(dir)).is_some()
    }

    /// Examines a name. Returns `None` if there is nothing to decide.
    fn examine<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        opened: &D,
        (dir, name): &Place,
        deep: bool,
        retries: bool,
    ) -> Result<Option<Seen>, Errno> {
        let purpose = if deep { Purpose::COMPARE } else { Purpose::NEW };
        let excluded = self.is_excluded(*dir, name);
        let mut failed = None;
        if !excluded {
            match self.visit(kernel, opened, (*dir, name), purpose, None) {
                Visit::Agrees(node) | Visit::Added(node) | Visit::Elsewhere(node) => {
                    return Ok(Some(Seen::Known(node)));
                }
                Visit::Unknown => return Ok(Some(Seen::Unknown)),
                Visit::Excluded | Visit::Link => return Ok(None),
                Visit::Moved => return Err(Errno::ESTALE),
                // Perhaps nothing is there.
                Visit::Failed(errno) => failed = Some(errno),
                Visit::Nothing => {}
            }
        }
        match kernel.stat_child(opened, name) {
            Ok(stat) if !stat.is_dir => Ok(Some(Seen::File)),
            Ok(_) if excluded => {
                self.visit(kernel, opened, (*dir, name), purpose, None);
                Ok(None)
            }
            Ok(_) if failed.is_some() => {
                self.failed(*dir, name, failed.unwrap_or(Errno::ENOENT), purpose, None);
                Ok(None)
            }
            // It came just now.
            Ok(_) => Err(Errno::ESTALE),
            Err(errno) if failure(errno) == Failure::Moved => Ok(Some(Seen::Nothing)),
            Err(errno) => match self.nodes.child(*dir, name) {
                Some(child) if retries && self.nodes.state(child) == State::Unwatched => {
                    self.schedule_retry(child);
                    Ok(None)
                }
                _ => Err(errno),
            },
        }
    }

    /// Applies what a scan has shown: it holds, since no event of the name has come meanwhile.
    fn decide<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        place: &Place,
        check: Check,
        seen: Seen,
    ) {
        let (dir, name) = (place.0, &*place.1);
        let child = self.nodes.child(dir, name);
        match seen {
            Seen::Known(node) if child == Some(node) && self.nodes.wd(node).is_some() => {}
            Seen::Known(node) if self.nodes.wd(node).is_some() => {
                self.found(kernel, place, check, node);
            }
            Seen::Known(_) => self.check_again(place, check),
            Seen::Unknown => {
                if let Some(check) = self.free_name(place, check) {
                    self.check_again(place, check);
                }
            }
            Seen::Nothing => {
                let was_reported = check.reported_file;
                if self.free_name(place, check).is_some() {
                    self.file_gone(dir, name, was_reported);
                }
            }
            Seen::File => {
                if let Some(check) = self.free_name(place, check) {
                    self.find_file(place, check);
                }
            }
        }
    }

    pub(super) fn check_again(&mut self, (dir, name): &Place, check: Check) {
        let check = Check { seen: None, last: false, ..check };
        self.agenda.check(*dir, name, check, When::At(self.position));
    }

    /// Reports that the directory that is known by a name is gone. But first all other checks that are due
    /// run: the directory may be found at another name. Returns `None` in that case.
    pub(super) fn free_name(&mut self, (dir, name): &Place, check: Check) -> Option<Check> {
        let Some(child) = self.nodes.child(*dir, name) else { return Some(check) };
        if self.nodes.wd(child).is_some() && !check.last {
            self.check(*dir, name, Check { last: true, ..check });
            return None;
        }
        // A link that leads nowhere is a file, which was not reported.
        let unreported_file = check.unreported_file || self.links.has(child);
        self.report_gone(child, TreeKind::Discovered, DIR_DELETED, 0);
        Some(Check { unreported_file, ..check })
    }

    /// Reports a file, at a name by which no directory is known.
    fn find_file(&mut self, (dir, name): &Place, check: Check) {
        let new = self.files.insert(*dir, name);
        if new && (check.unreported_file || self.files.knows(*dir)) {
            let path = self.path(*dir, name);
            self.report(TreeKind::Discovered, EventMask::CREATE, path);
        }
        if let Some((dir, name)) = check.exchanged.filter(|(dir, _)| self.nodes.exists(*dir)) {
            let path = self.path(dir, &name);
            self.report(TreeKind::Discovered, EventMask::MODIFY, path);
        }
    }

    /// Handles a directory that was found at a name and is known at another one: it was moved, or it is there
    /// twice.
    fn found<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        place: &Place,
        check: Check,
        node: NodeRef,
    ) {
        let (dir, name) = (place.0, &*place.1);
        let seen = Some(Seen::Known(node));
        let Some(parent) = self.nodes.parent(node) else {
            return self.found_twice(kernel, place, check, node);
        };
        let known = (parent, self.name(node));
        if self.renames.has(known.0, &known.1) || self.is_perhaps_replaced(parent) {
            // The pending rename is decided first.
            return self.agenda.check(
                dir,
                name,
                Check { seen: None, elsewhere: None, ..check },
                When::Idle,
            );
        }
        let elsewhere = Some((known.clone(), self.is_there(kernel, node)));
        if check.elsewhere != elsewhere {
            // It may have been moved since it was seen here.
            return self.check(dir, name, Check { seen, elsewhere, ..check });
        }
        if elsewhere.is_some_and(|(_, there)| there) {
            return self.found_twice(kernel, place, check, node);
        }
        let Some(check) = self.found_by_link(kernel, place, check, node) else { return };
        if self.nodes.is_within(dir, node) {
            // That is impossible, so what is known is wrong.
            self.report_gone(node, TreeKind::Discovered, DIR_DELETED, 0);
            return self.compare_all();
        }
        let Some(check) = self.free_name_for(place, check, node) else { return };
        if self.nodes.wd(node).is_none() {
            // It was beneath the directory that was removed.
            return self.check_again(place, check);
        }
        self.files.remove(dir, name);
        let from = self.path(node, &[]);
        self.relink(node, dir, name);
        let path = self.path(node, &[]);
        let mask = EventMask::MOVED_TO | EventMask::ISDIR;
        self.report(TreeKind::Renamed { from }, mask, path);
        self.after_rename(node);
        self.check(known.0, &known.1, Check::default());
        if check.deep {
            self.agenda.compare(node, When::End);
        }
    }

    /// Frees a name for a directory that was found there. Returns `None` if that has to wait.
    fn free_name_for(&mut self, place: &Place, check: Check, node: NodeRef) -> Option<Check> {
        match self.nodes.child(place.0, &place.1) {
            Some(child) if self.nodes.wd(child).is_some() => {
                let check = Check { seen: Some(Seen::Known(node)), ..check };
                self.free_name(place, check)
            }
            Some(child) => {
                if self.nodes.is_within(node, child) {
                    self.report_gone(child, TreeKind::Discovered, DIR_DELETED, 0);
                } else {
                    self.remove(child);
                }
                Some(check)
            }
            None => Some(check),
        }
    }

    /// Adds a name of a directory that is watched under another path, by this watch.
    pub(super) fn alias(&mut self, dir: NodeRef, name: &[u8], wd: Wd) -> NodeRef {
        let node = self.get_or_add(dir, name, Purpose::NEW, None);
        if self.nodes.state(node) != State::Alias {
            self.clear(node);
            let path = self.path(node, &[]);
            self.report(
                TreeKind::Unwatched(UnwatchedReason::WatchedElsewhere),
                EventMask::ISDIR,
                path,
            );
            self.nodes.set_state(node, State::Alias);
        }
        self.aliases.insert(node, wd);
        node
    }
}
