//! Applies the events to the tree.

use alloc::vec::Vec;

use super::agenda::{Check, LastEvent, When};
use super::edits::{DIR_DELETED, Failure, failure};
use super::event::{TreeKind, UnwatchedReason};
use super::kernel::Kernel;
use super::look::{Purpose, Visit};
use super::nodes::{NodeRef, ROOT, State};
use super::renames::Ended;
use super::{Stage, Tree};
use crate::event::Event;
use crate::flags::EventMask;

/// The event that was fed last.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    event: Option<Fed>,
    /// Reused for each event.
    name: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Fed {
    wd: crate::event::Wd,
    mask: EventMask,
    cookie: u32,
    at: u64,
    is_named: bool,
}

impl Inbox {
    pub const fn is_empty(&self) -> bool {
        self.event.is_none()
    }
}

/// The changes of names. The kernel queues them under the lock of the directory.
const NAMES: EventMask = EventMask::CREATE
    .union(EventMask::DELETE)
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO);

/// A change of a name in a directory.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub dir: NodeRef,
    pub name: &'a [u8],
    pub mask: EventMask,
    pub cookie: u32,
}

impl Change<'_> {
    pub const fn is_dir(&self) -> bool {
        self.mask.contains(EventMask::ISDIR)
    }

    fn last_event(&self) -> LastEvent {
        let came = self.mask.intersects(EventMask::CREATE | EventMask::MOVED_TO);
        if came { LastEvent::Came } else { LastEvent::Left }
    }

    const fn is_move(&self) -> bool {
        self.mask.contains(EventMask::MOVED_TO)
    }
}

impl<D> Tree<D> {
    /// Takes an event, whose record begins at byte `at` of everything that was ever read from the queue.
    ///
    /// Call it only after [`next`](Self::next) returned `None`. Events of other watches, and of watches that
    /// have ended, change nothing.
    pub fn feed<K: Kernel<Dir = D>>(&mut self, _kernel: &mut K, event: Event<'_>, at: u64) {
        self.advance_to(at.max(self.position));
        if matches!(self.stage, Stage::New | Stage::Over) {
            return;
        }
        let (wd, mask, cookie) = (event.wd(), event.mask(), event.cookie());
        let name = event.name();
        self.inbox.name.clear();
        self.inbox.name.extend_from_slice(name.unwrap_or_default());
        self.inbox.event = Some(Fed { wd, mask, cookie, at, is_named: name.is_some() });
    }

    /// Applies the event that was fed last, or first ends a pending rename that this event shows to be over.
    pub(super) fn take_event<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let Some(event) = self.inbox.event.take() else { return };
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return self.overflow(kernel);
        }
        let Some(dir) = self.nodes.by_wd(event.wd) else {
            if event.mask.contains(EventMask::IGNORED) {
                self.ending.remove(event.wd.as_raw());
            } else if event.mask.contains(EventMask::MOVE_SELF) {
                if let Some(pending) = self.renames.take_replaced(event.wd.as_raw()) {
                    self.replaced_moved(kernel, pending);
                }
            }
            return;
        };
        let name = core::mem::take(&mut self.inbox.name);
        let change = Change { dir, name: &name, mask: event.mask, cookie: event.cookie };
        let begin = self.stale.begin(event.wd).unwrap_or(self.start);
        // A directory is opened before it is watched, and may be renamed between.
        let ends_rename = event.mask.contains(EventMask::MOVE_SELF) && self.renames.has_of(dir);
        if event.at < begin && !ends_rename {
            self.take_stale(change, event.at, begin);
        } else if let Some((victim, swap)) =
            self.renames.swap_above(self.nodes.ancestors(dir).skip(1))
        {
            if self.is_there(kernel, victim) {
                // It is at the old name, so it was not replaced.
                self.renames.mark_alive(victim);
            } else {
                self.close(kernel, swap);
            }
            self.inbox.event = Some(event);
        } else if !event.is_named {
            self.own_event(kernel, dir, event.mask);
        } else if self.lost.is_some() {
            // Earlier events may be lost, so this one may be wrong by now.
        } else if !event.mask.intersects(NAMES) {
            self.renames.mark_alive(dir);
            self.other_event(change);
        } else if !self.is_half_of_swap(change) {
            match self.renames.take_ended_by(dir, event.cookie) {
                Some(ended) => {
                    // First its end, and then this event.
                    self.conclude(kernel, ended);
                    self.inbox.event = Some(event);
                }
                None => self.change(kernel, change),
            }
        }
        self.inbox.name = name;
    }

    /// Handles an event that is older than the first scan of its directory: the scan has shown its result.
    /// But the kernel merges identical events, so the last record before the scan may also stand for a later
    /// change.
    fn take_stale(&mut self, change: Change<'_>, at: u64, begin: u64) {
        let len = change.name.len() as u64;
        let cells = if len > 0 { (len / 16).saturating_add(2) } else { 1 };
        let end = at.saturating_add(cells.saturating_mul(16));
        if end < begin || self.lost.is_some() {
            return;
        }
        if change.mask.intersects(NAMES) {
            let reported_file = self.files.has(change.dir, change.name);
            let check = Check {
                reported_file,
                unreported_file: !change.is_dir(),
                last_event: Some(change.last_event()),
                ..Check::default()
            };
            self.check(change.dir, change.name, check);
            if change.is_move() {
                self.renames.note(change.dir, change.name);
            }
        } else if len > 0 {
            self.other_event(change);
        } else if change.mask.contains(EventMask::ATTRIB) {
            self.retry_beneath(change.dir);
        }
    }

    fn is_half_of_swap(&mut self, change: Change<'_>) -> bool {
        let Change { dir, name, mask, cookie } = change;
        let from = mask.contains(EventMask::MOVED_FROM);
        change.is_dir()
            && mask.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO)
            && self.renames.take_swap_half(dir, name, cookie, from)
    }

    /// Handles an overflow: skips the queued events, after which the whole tree is compared.
    fn overflow<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        self.report(TreeKind::Overflow, EventMask::Q_OVERFLOW, Vec::new());
        while !self.renames.is_empty() {
            for ended in self.renames.take_all() {
                self.abandon(ended);
            }
        }
        self.agenda.clear();
        self.files.close_all();
        self.ahead = None;
        self.lost = Some(kernel.end());
    }

    /// Applies a change of a name.
    fn change<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        self.renames.mark_alive(change.dir);
        let recent = self.renames.take_recent(change.dir, change.name);
        let file_left =
            !change.is_dir() && change.mask.intersects(EventMask::MOVED_FROM | EventMask::DELETE);
        self.agenda.invalidate(change.dir, change.name, file_left);
        self.reported_file_left(change, file_left);
        if !change.mask.contains(EventMask::DELETE) {
            self.forget_ended(change);
        }
        if change.mask.contains(EventMask::CREATE) {
            self.came(kernel, change);
        } else if change.mask.contains(EventMask::MOVED_TO) {
            self.moved_to(kernel, change);
        } else if change.mask.contains(EventMask::MOVED_FROM) {
            self.moved_from(change, recent);
        } else if change.is_dir() {
            self.dir_deleted(change);
        } else {
            self.file_deleted(change);
        }
        let event = change.last_event();
        // Until a rename is complete, it is judged by the event before it at its new name.
        if event == LastEvent::Left || !self.renames.has(change.dir, change.name) {
            self.agenda.set_last_event(change.dir, change.name, event);
        }
    }

    /// Reports a file as gone that has left by an event which the kernel merged with an older one. The next
    /// event of the name shows that.
    fn reported_file_left(&mut self, change: Change<'_>, file_left: bool) {
        let is_ahead = self.in_window(change.dir);
        if is_ahead && change.is_dir() {
            // The file may have come after this directory left.
            return;
        }
        let is_same = file_left || is_ahead || change.is_move() && !change.is_dir();
        if self.agenda.take_reported_file(change.dir, change.name) && !is_same {
            self.file_gone(change.dir, change.name, true);
        }
    }

    /// Reports a directory as gone whose watch has ended, at the next event of its name, if directories are
    /// still known in it. It was removed, so it was empty: they left without an event.
    fn forget_ended(&mut self, change: Change<'_>) {
        let child = self.nodes.child(change.dir, change.name);
        let ended = |node: &NodeRef| {
            self.nodes.state(*node) == State::Named && self.nodes.first_child(*node).is_some()
        };
        if let Some(child) = child.filter(ended) {
            self.report_gone(child, TreeKind::Discovered, DIR_DELETED, 0);
        }
    }

    /// Returns `true` if an event of a name may be older than what is known of the name.
    pub(super) fn may_be_outdated(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.in_window(dir) || self.agenda.is_uncertain(dir, name)
    }

    /// Applies an event without another half, by which an entry came.
    pub(super) fn came<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        if change.is_dir() {
            self.dir_came(kernel, change);
        } else {
            self.entry_came(kernel, change, None);
        }
    }

    pub(super) fn dir_came<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        let Change { dir, name, mask, cookie } = change;
        if let Some(child) = self.nodes.child(dir, name) {
            let watched = self.nodes.wd(child).is_some();
            if self.may_be_outdated(dir, name) || watched && self.is_there(kernel, child) {
                // It repeats what a scan has shown, or another directory was there before.
                return self.check(dir, name, Check::default());
            }
            if mask.contains(EventMask::MOVED_TO) {
                if let Some(wd) = self.nodes.wd(child).filter(|_| !self.links.has(child)) {
                    self.renames.note_replaced(wd.as_raw());
                }
                self.remove(child);
            } else {
                self.report_gone(child, TreeKind::Discovered, DIR_DELETED, 0);
            }
        }
        if self.files.has(dir, name) {
            if self.in_window(dir) {
                return self.check(dir, name, Check { reported_file: true, ..Check::default() });
            }
            self.file_gone(dir, name, false);
        }
        let event = Some((mask, cookie));
        if self.root_moved {
            let node = self.get_or_add(dir, name, Purpose::NEW, event);
            return self.report_unwatched(node, UnwatchedReason::RootMoved);
        }
        let opened = match self.open(kernel, dir) {
            Ok(opened) => opened,
            Err(errno) if failure(errno) == Failure::Moved => {
                self.get_or_add(dir, name, Purpose::NEW, event);
                return self.check(dir, name, Check::default());
            }
            Err(errno) => return self.failed(dir, name, errno, Purpose::NEW, event),
        };
        match self.visit(kernel, &opened, (dir, name), Purpose::NEW, event) {
            Visit::Added(node) => self.check(dir, name, Check::added(node)),
            Visit::Excluded => {}
            Visit::Failed(errno) => self.failed(dir, name, errno, Purpose::NEW, event),
            _ => {
                self.get_or_add(dir, name, Purpose::NEW, event);
                self.check(dir, name, Check::default());
            }
        }
    }

    /// Adds and reports a file that came: renamed `from` another path of the tree, or new.
    pub(super) fn file_came(&mut self, change: Change<'_>, from: Option<Vec<u8>>) {
        let Change { dir, name, mask, cookie } = change;
        let ahead = self.in_window(dir) || self.agenda.is_uncertain(dir, name);
        if let Some(link) = self.link(dir, name).filter(|_| !ahead && change.is_move()) {
            // A file replaces a link, though not a directory.
            self.remove(link);
        }
        let child = self.nodes.child(dir, name);
        let comes_out = |child| {
            let beneath = [&self.path(child, &[])[..], b"/"].concat();
            from.as_ref().is_none_or(|from| from.starts_with(&beneath))
        };
        if let Some(child) = child.filter(|child| ahead && !comes_out(*child)) {
            // The scan was ahead: the directory that it found is not there yet.
            self.report_gone(child, TreeKind::Discovered, DIR_DELETED, 0);
        } else if child.is_some() {
            // A file does not replace a directory: they were exchanged, or the scan was ahead.
            if let Some(from) = from {
                self.reports.report(TreeKind::Reported, EventMask::MOVED_FROM, cookie, from);
            }
            return self.check(dir, name, Check::unreported_file());
        }
        self.agenda.take(dir, name);
        let new = self.files.insert(dir, name);
        let path = self.path(dir, name);
        match from {
            Some(from) => self.reports.report(TreeKind::Renamed { from }, mask, cookie, path),
            None if new || mask.contains(EventMask::MOVED_TO) && !self.in_window(dir) => {
                self.reports.report(TreeKind::Reported, mask, cookie, path);
            }
            None => {}
        }
    }

    fn dir_deleted(&mut self, change: Change<'_>) {
        let Change { dir, name, mask, .. } = change;
        if let Some(child) = self.nodes.child(dir, name) {
            self.report_gone(child, TreeKind::Reported, mask, 0);
            self.agenda.take(dir, name);
        } else if self.files.has(dir, name) {
            self.check(dir, name, Check::unreported_file());
        }
    }

    fn file_deleted(&mut self, change: Change<'_>) {
        let Change { dir, name, mask, .. } = change;
        if let Some(link) = self.link(dir, name) {
            self.report_gone(link, TreeKind::Reported, mask | EventMask::ISDIR, 0);
            self.agenda.take(dir, name);
        } else if self.file_left(dir, name) {
            let path = self.path(dir, name);
            self.report(TreeKind::Reported, mask, path);
        }
    }

    /// Removes a file from its name. Returns `true` if it was reported to be there.
    pub(super) fn file_left(&mut self, dir: NodeRef, name: &[u8]) -> bool {
        if self.nodes.child(dir, name).is_some() {
            self.check(dir, name, Check::default());
            return false;
        }
        let check = self.agenda.take(dir, name);
        let unreported = check.as_ref().is_some_and(|check| check.unreported_file);
        if check.is_some_and(|check| check.deep) {
            // An overflow has left this check, and it may be of a directory that was exchanged with the file.
            self.check(dir, name, Check { deep: true, ..Check::default() });
        }
        if self.files.knows(dir) { self.files.remove(dir, name) } else { !unreported }
    }

    /// Applies an event of a watched directory itself. The directory's parent reports it too, except for the
    /// root.
    fn own_event<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef, mask: EventMask) {
        if node == ROOT {
            return self.own_root_event(kernel, mask);
        }
        if mask.contains(EventMask::UNMOUNT) {
            self.clear(node);
            let path = self.path(node, &[]);
            self.report(TreeKind::Reported, mask, path);
        } else if mask.contains(EventMask::IGNORED) {
            let aliases = self.nodes.wd(node).map_or(Vec::new(), |wd| self.aliases.take(wd));
            self.nodes.set_state(node, State::Named);
            if !self.has_content(node) {
                self.clear(node);
            }
            if self.lost.is_none() {
                // An event of its parent says whether it was removed. If not, the name is checked.
                let name = self.name(node);
                let parent = self.nodes.parent(node).unwrap_or(ROOT);
                self.agenda.check(parent, &name, Check::default(), When::Idle);
                for alias in aliases {
                    self.check_place(alias, When::Idle);
                }
                if let Some(mut swap) = self.renames.take_swap_of(node) {
                    swap.alive = Some(false);
                    self.abandon(Ended::Swap(swap));
                }
            }
        } else if self.lost.is_some() {
            // Earlier events may be lost, so this one may be wrong by now.
        } else if mask.contains(EventMask::MOVE_SELF) {
            self.moved_self(kernel, node);
        } else if mask.contains(EventMask::ATTRIB) {
            self.retry_beneath(node);
        }
    }

    fn own_root_event<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, mask: EventMask) {
        let kind = match mask {
            mask if mask.contains(EventMask::UNMOUNT) => TreeKind::RootUnmounted,
            mask if mask.contains(EventMask::IGNORED) => TreeKind::RootRemoved,
            _ => TreeKind::Reported,
        };
        if kind != TreeKind::Reported {
            // Entries that left before the end are reported as having left.
            for ended in self.renames.take_all() {
                self.abandon(ended);
            }
            self.report(kind, mask, Vec::new());
            return self.stop(kernel);
        }
        self.report(kind, mask, Vec::new());
        if mask.contains(EventMask::MOVE_SELF) {
            self.find_root(kernel);
        } else if mask.contains(EventMask::ATTRIB) {
            self.retry_beneath(ROOT);
        }
    }

    /// Reports an event that changes no name.
    fn other_event(&mut self, change: Change<'_>) {
        let Change { dir, name, mask, cookie } = change;
        if !change.is_dir() {
            self.files.touch(dir, name);
        } else if mask.contains(EventMask::ATTRIB) {
            if let Some(child) = self.nodes.child(dir, name) {
                self.retry_beneath(child);
            }
        }
        let path = self.path(dir, name);
        self.reports.report(TreeKind::Reported, mask, cookie, path);
    }
}
