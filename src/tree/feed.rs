//! What the events do to the tree.

use alloc::vec::Vec;

use super::agenda::{Check, Place, Seen, When};
use super::edits::{DIR_DELETED, Failure, failure};
use super::event::{Barred, TreeKind};
use super::kernel::Kernel;
use super::look::{Purpose, Visit};
use super::nodes::{NodeRef, ROOT, State};
use super::renames::{Ended, Pending, Swap, Told, place};
use super::{Stage, Tree};
use crate::event::Event;
use crate::flags::EventMask;

/// The event that was fed last.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    event: Option<Fed>,
    /// Reused.
    name: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Fed {
    wd: crate::event::Wd,
    mask: EventMask,
    cookie: u32,
    is_named: bool,
}

impl Inbox {
    pub const fn is_empty(&self) -> bool {
        self.event.is_none()
    }
}

/// Changes of names, which are queued under the lock of the directory.
const NAMES: EventMask = EventMask::CREATE
    .union(EventMask::DELETE)
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO);

/// A change of a name in a directory.
#[derive(Clone, Copy)]
struct Change<'a> {
    dir: NodeRef,
    name: &'a [u8],
    mask: EventMask,
    cookie: u32,
}

impl Change<'_> {
    const fn is_dir(&self) -> bool {
        self.mask.contains(EventMask::ISDIR)
    }
}

impl<D> Tree<D> {
    /// Takes an event, whose record begins at byte `at` of all that was ever read from the queue.
    ///
    /// Only after [`next`](Self::next) gave `None`. Events of other watches, and those of a watch that
    /// has ended, change nothing.
    pub fn feed<K: Kernel<Dir = D>>(&mut self, _kernel: &mut K, event: Event<'_>, at: u64) {
        self.come_to(at);
        if matches!(self.stage, Stage::New | Stage::Over) {
            return;
        }
        let (wd, mask, cookie) = (event.wd(), event.mask(), event.cookie());
        let name = event.name();
        self.inbox.name.clear();
        self.inbox.name.extend_from_slice(name.unwrap_or_default());
        self.inbox.event = Some(Fed { wd, mask, cookie, is_named: name.is_some() });
    }

    /// Does what the event that was fed last says, or what it ends before.
    pub(super) fn take_event<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let Some(event) = self.inbox.event.take() else { return };
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return self.overflow(kernel);
        }
        let Some(dir) = self.nodes.by_wd(event.wd) else {
            if event.mask.contains(EventMask::IGNORED) {
                self.ending.remove(&event.wd.as_raw());
            } else if event.mask.contains(EventMask::MOVE_SELF) {
                self.renames.take_ghost(event.wd.as_raw());
            }
            return;
        };
        let name = core::mem::take(&mut self.inbox.name);
        let change = Change { dir, name: &name, mask: event.mask, cookie: event.cookie };
        if let Some(begin) = self.stale.get(&event.wd.as_raw()) {
            self.take_stale(change, *begin);
        } else if !event.is_named {
            self.own(kernel, dir, event.mask);
        } else if self.lost.is_some() {
            // It is not known what was lost before.
        } else if !event.mask.intersects(NAMES) {
            self.renames.see_alive(dir);
            self.other(change);
        } else if !self.is_half_of_swap(change) {
            match self.renames.take_late(dir, event.cookie) {
                Some(ended) => {
                    // What that finds comes first, and then this event.
                    self.conclude(kernel, ended);
                    self.inbox.event = Some(event);
                }
                None => self.change(kernel, change),
            }
        }
        self.inbox.name = name;
    }

    /// An event is of before the directory was looked at for the first time. But the last one before may
    /// have taken in a later one: identical events are merged.
    fn take_stale(&mut self, change: Change<'_>, begin: u64) {
        let len = change.name.len() as u64;
        let cells = if len > 0 { (len / 16).saturating_add(2) } else { 1 };
        let end = self.at.saturating_add(cells.saturating_mul(16));
        if end >= begin && change.mask.intersects(NAMES) {
            self.check(change.dir, change.name, Check::owing());
        }
    }

    fn is_half_of_swap(&mut self, change: Change<'_>) -> bool {
        let Change { dir, name, mask, cookie } = change;
        let from = mask.contains(EventMask::MOVED_FROM);
        change.is_dir()
            && mask.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO)
            && matches!(self.renames.tell_swap(dir, name, cookie, from), Told::Half)
    }

    /// Events were lost: what is queued is of no use, and then all is compared.
    fn overflow<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        self.tell(TreeKind::Overflow, EventMask::Q_OVERFLOW, Vec::new());
        while !self.renames.is_empty() {
            for ended in self.renames.take_all() {
                self.cut(ended);
            }
        }
        self.agenda.clear();
        self.files.lose();
        self.ahead = None;
        self.lost = Some(kernel.end());
    }

    /// A name was changed.
    fn change<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        self.renames.see_alive(change.dir);
        let recent = self.renames.take_recent(change.dir, change.name);
        self.agenda.disturb(change.dir, change.name);
        if change.mask.contains(EventMask::CREATE) {
            self.come(kernel, change);
        } else if change.mask.contains(EventMask::MOVED_TO) {
            self.moved_to(kernel, change);
        } else if change.mask.contains(EventMask::MOVED_FROM) {
            self.moved_from(change, recent);
        } else if change.is_dir() {
            self.dir_deleted(change);
        } else {
            self.file_deleted(change);
        }
    }

    /// Returns `true` if an event of a name may be older than what is known of it.
    fn is_unsure(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.in_window(dir) || self.agenda.has(dir, name)
    }

    /// Something is there that was not, by an event without another half.
    fn come<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        if change.is_dir() {
            self.dir_came(kernel, change);
        } else {
            self.file_came(change, None);
        }
    }

    fn dir_came<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        let Change { dir, name, mask, cookie } = change;
        if let Some(child) = self.nodes.child(dir, name) {
            let watched = self.nodes.wd(child).is_some();
            if self.is_unsure(dir, name) || watched && self.is_there(kernel, child) {
                // It repeats what a look has shown, or another one was there before.
                return self.check(dir, name, Check::default());
            }
            if mask.contains(EventMask::MOVED_TO) {
                if let Some(wd) = self.nodes.wd(child) {
                    self.renames.note_ghost(wd.as_raw());
                }
                self.remove(child);
            } else {
                self.gone(child, TreeKind::Found, DIR_DELETED, 0);
            }
        }
        if self.files.has(dir, name) {
            if self.in_window(dir) {
                return self.check(dir, name, Check::default());
            }
            self.file_gone(dir, name);
        }
        let event = Some((mask, cookie));
        if self.strayed {
            let node = self.know(dir, name, Purpose::NEW, event);
            return self.blind(node, Barred::RootMoved);
        }
        let opened = match self.open(kernel, dir) {
            Ok(opened) => opened,
            Err(errno) if failure(errno) == Failure::Moved => {
                self.know(dir, name, Purpose::NEW, event);
                return self.check(dir, name, Check::default());
            }
            Err(errno) => return self.failed(dir, name, errno, Purpose::NEW, event),
        };
        match self.visit(kernel, &opened, (dir, name), Purpose::NEW, event) {
            Visit::Added(node) => {
                let seen = Some(Seen::Known(node));
                self.check(dir, name, Check { seen, ..Check::default() });
            }
            Visit::Excluded => {}
            Visit::Failed(errno) => self.failed(dir, name, errno, Purpose::NEW, event),
            _ => {
                self.know(dir, name, Purpose::NEW, event);
                self.check(dir, name, Check::default());
            }
        }
    }

    /// A file came, `from` another path of the tree or from nowhere.
    fn file_came(&mut self, change: Change<'_>, from: Option<Vec<u8>>) {
        let Change { dir, name, mask, cookie } = change;
        if self.nodes.child(dir, name).is_some() {
            // A file does not replace a directory: they were exchanged, or the look was ahead.
            if let Some(from) = from {
                self.reports.tell(TreeKind::Told, EventMask::MOVED_FROM, cookie, from);
            }
            return self.check(dir, name, Check::owing());
        }
        self.agenda.take(dir, name);
        let new = self.files.insert(dir, name);
        let path = self.path(dir, name);
        match from {
            Some(from) => self.reports.tell(TreeKind::Renamed { from }, mask, cookie, path),
            None if new || mask.contains(EventMask::MOVED_TO) && !self.in_window(dir) => {
                self.reports.tell(TreeKind::Told, mask, cookie, path);
            }
            None => {}
        }
    }

    fn dir_deleted(&mut self, change: Change<'_>) {
        let Change { dir, name, mask, .. } = change;
        if let Some(child) = self.nodes.child(dir, name) {
            self.gone(child, TreeKind::Told, mask, 0);
            self.agenda.take(dir, name);
        } else if self.files.has(dir, name) {
            self.check(dir, name, Check::owing());
        }
    }

    fn file_deleted(&mut self, change: Change<'_>) {
        let Change { dir, name, mask, .. } = change;
        if self.file_left(dir, name) {
            let path = self.path(dir, name);
            self.tell(TreeKind::Told, mask, path);
        }
    }

    /// A file has left its name. Returns `true` if it was reported to be there.
    fn file_left(&mut self, dir: NodeRef, name: &[u8]) -> bool {
        if self.nodes.child(dir, name).is_some() {
            self.check(dir, name, Check::default());
            return false;
        }
        let owed = self.agenda.take(dir, name).is_some_and(|check| check.owes_file);
        if self.files.knows(dir) { self.files.remove(dir, name) } else { !owed }
    }

    fn moved_from(&mut self, change: Change<'_>, recent: Option<Option<i32>>) {
        let Change { dir, name, cookie, .. } = change;
        let mut pending = Pending::new(cookie, place(dir, name), change.is_dir());
        pending.owes_file = !change.is_dir();
        if change.is_dir() {
            pending.node = self.nodes.child(dir, name);
            pending.known = pending.node.is_some();
        } else if recent.is_none() || self.nodes.child(dir, name).is_none() {
            pending.known = self.file_left(dir, name);
        }
        // Otherwise, the directory that came just now has changed places with this file. Of a watched
        // directory, its own event tells.
        let child = self.nodes.child(dir, name);
        let tells = child.is_some_and(|child| self.nodes.wd(child).is_some());
        pending.suspect = recent.is_some() && !tells || self.in_window(dir);
        pending.ghost = recent.flatten().filter(|_| change.is_dir());
        self.renames.open(pending);
        if let Some(ended) = self.renames.take_excess() {
            self.cut(ended);
        }
    }

    fn moved_to<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        let Change { dir, name, cookie, .. } = change;
        self.renames.note(dir, name);
        let Some(mut pending) = self.renames.take_half(cookie, change.is_dir()) else {
            return self.come(kernel, change);
        };
        match pending.node.filter(|node| self.nodes.exists(*node)) {
            Some(node) if self.nodes.wd(node).is_some() => {
                // Its own event says whether it is the one.
                pending.to = Some(place(dir, name));
                self.renames.open(pending);
            }
            Some(node) => self.renamed(node, pending, &place(dir, name)),
            None => {
                let (from_dir, from_name) = &pending.from;
                let from = (pending.known && !change.is_dir() && self.nodes.exists(*from_dir))
                    .then(|| self.path(*from_dir, from_name));
                match from {
                    Some(from) => self.file_came(change, Some(from)),
                    None => self.come(kernel, change),
                }
                if pending.suspect {
                    let exchanged = (!change.is_dir()).then(|| place(dir, name));
                    let owes_file = pending.owes_file;
                    let check = Check { owes_file, exchanged, ..Check::default() };
                    self.check(pending.from.0, &pending.from.1, check);
                }
            }
        }
    }

    /// A directory says that it was moved, after both halves of the rename.
    fn moved_self<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) {
        match self.renames.take_of(node) {
            Some(Ended::Rename(mut pending)) => match pending.to.take() {
                Some(to) => self.renamed(node, pending, &to),
                None => {
                    let (dir, name) = &pending.from;
                    let unsure = pending.suspect || self.is_unsure(*dir, name);
                    let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
                    self.gone(node, TreeKind::Told, mask, pending.cookie);
                    if unsure {
                        let owes_file = pending.owes_file;
                        self.check(*dir, name, Check { owes_file, ..Check::default() });
                    }
                }
            },
            Some(Ended::Swap(swap)) if swap.victim == node && swap.back => {
                self.reports.decide(swap.cookie, true);
                self.moved(node);
            }
            Some(Ended::Swap(swap)) => {
                let (again, places) = (swap.moved == node, [swap.from.clone(), swap.to.clone()]);
                self.conclude(kernel, Ended::Swap(swap));
                if again {
                    // It replaced the other one, and was moved once more.
                    return self.moved_self(kernel, node);
                }
                for (dir, name) in places {
                    self.check(dir, &name, Check::default());
                }
            }
            None => self.check_place(node, When::End),
        }
    }

    /// A directory was renamed.
    fn renamed(&mut self, node: NodeRef, pending: Pending, to: &Place) {
        let (dir, name) = (to.0, &*to.1);
        let (from_dir, from_name) = &pending.from;
        // Of a directory whose place was sure, the new one is. What was there may be ahead.
        let ahead = self.in_window(dir) || self.agenda.is_doubtful(dir, name);
        let unsure = self.is_unsure(*from_dir, from_name);
        let victim = self.nodes.child(dir, name).filter(|victim| *victim != node);
        if self.nodes.is_within(dir, node)
            || victim.is_some_and(|top| self.nodes.is_within(node, top))
        {
            return self.renamed_absurdly(node, &pending, to, victim);
        }
        // What left it before has left it by its old path.
        while let Some(ended) = self.renames.take_one(|pending| {
            let waits = pending.node.is_some_and(|node| self.nodes.wd(node).is_some());
            let of = |top| self.nodes.is_within(pending.from.0, top);
            !waits && (of(node) || victim.is_some_and(of))
        }) {
            self.cut(ended);
        }
        let from = self.path(node, &[]);
        self.files.remove(dir, name);
        match victim {
            Some(victim) if self.may_swap(victim, &pending.from) && !ahead => {
                self.swap(node, victim, &pending, to, from);
            }
            _ => {
                if let Some(victim) = victim {
                    self.remove(victim);
                }
                self.relink(node, dir, name);
                let path = self.path(node, &[]);
                let mask = EventMask::MOVED_TO | EventMask::ISDIR;
                self.reports.tell(TreeKind::Renamed { from }, mask, pending.cookie, path);
            }
        }
        self.moved(node);
        if unsure {
            self.check(dir, name, Check::default());
        } else if self.nodes.wd(node).is_some() {
            self.agenda.take(dir, name);
        }
        if unsure || pending.suspect {
            let owes_file = pending.owes_file;
            self.check(*from_dir, from_name, Check { owes_file, ..Check::default() });
        }
    }

    /// A directory was renamed to where it can't be, as far as is known: into itself, or onto one that it
    /// is in. So that is not known truly.
    fn renamed_absurdly(
        &mut self,
        node: NodeRef,
        pending: &Pending,
        to: &Place,
        victim: Option<NodeRef>,
    ) {
        if let Some(victim) = victim.filter(|victim| self.nodes.is_within(node, *victim)) {
            self.gone(victim, TreeKind::Found, DIR_DELETED, 0);
        } else {
            self.check_place(to.0, When::End);
            let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
            self.gone(node, TreeKind::Told, mask, pending.cookie);
        }
        for (dir, name) in [to, &pending.from] {
            self.check(*dir, name, Check::default());
        }
    }

    /// Returns `true` if a directory would still be known after an exchange.
    fn may_swap(&self, victim: NodeRef, (dir, name): &Place) -> bool {
        self.nodes.wd(victim).is_some() && !self.is_excluded(*dir, name)
    }

    /// A directory was renamed onto another one, which was replaced, or has the old name now.
    fn swap(
        &mut self,
        node: NodeRef,
        victim: NodeRef,
        pending: &Pending,
        to: &Place,
        from: Vec<u8>,
    ) {
        let path = self.path(victim, &[]);
        self.exchange(node, victim);
        self.reports.tell_undecided(from, pending.cookie, path);
        let from = pending.from.clone();
        self.renames.open_swap(Swap::new(pending.cookie, node, victim, from, to.clone()));
    }

    /// No more events come of a rename.
    pub(super) fn conclude<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, mut ended: Ended) {
        let mut came = None;
        if let Ended::Rename(pending) = &mut ended {
            came = pending.to.take().map(|to| (to, pending.cookie));
        }
        self.cut(ended);
        if let Some(((dir, name), cookie)) = came.filter(|((dir, _), _)| self.nodes.exists(*dir)) {
            let mask = EventMask::MOVED_TO | EventMask::ISDIR;
            self.come(kernel, Change { dir, name: &name, mask, cookie });
        }
    }

    /// The same, where the new name can't be looked at now.
    pub(super) fn cut(&mut self, ended: Ended) {
        match ended {
            Ended::Rename(pending) => self.cut_rename(pending),
            Ended::Swap(swap) => {
                // Had they changed places, the other one would have said so; but for a loss, before which
                // it is known only that no directory is replaced that is not empty.
                let alive = self.nodes.wd(swap.victim).is_some()
                    && (swap.alive || self.has_sure_child(swap.victim));
                self.reports.decide(swap.cookie, alive);
                if alive {
                    return self.check_place(swap.victim, When::End);
                }
                self.remove(swap.victim);
                let Some(second) = swap.second.filter(|_| self.nodes.exists(swap.moved)) else {
                    return;
                };
                let mut pending = Pending::new(second, swap.to, true);
                pending.node = Some(swap.moved);
                pending.suspect = true;
                if swap.back && self.nodes.wd(swap.moved).is_none() {
                    return self.renamed(swap.moved, pending, &swap.from);
                }
                pending.to = swap.back.then_some(swap.from);
                self.renames.open(pending);
            }
        }
    }

    /// Returns `true` if a directory surely is not empty.
    fn has_sure_child(&self, dir: NodeRef) -> bool {
        let first = self.nodes.first_child(dir);
        core::iter::successors(first, |child| self.nodes.sibling(*child))
            .any(|child| {
                let name = self.nodes.name(child);
                !self.is_unsure(dir, name) && !self.renames.has(dir, name)
            })
    }

    fn cut_rename(&mut self, pending: Pending) {
        let (dir, name) = &pending.from;
        if let Some((dir, name)) = &pending.to {
            self.check(*dir, name, Check::default());
        }
        let mut suspect = pending.suspect;
        match pending.node.filter(|node| self.nodes.exists(*node)) {
            // A watched directory that was moved says so. It was another one of that name.
            Some(node) if self.nodes.wd(node).is_some() => suspect = true,
            Some(node) => {
                let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
                self.gone(node, TreeKind::Told, mask, pending.cookie);
            }
            None if pending.known && !pending.is_dir && self.nodes.exists(*dir) => {
                let path = self.path(*dir, name);
                self.reports.tell(TreeKind::Told, EventMask::MOVED_FROM, pending.cookie, path);
            }
            None => {}
        }
        if suspect && self.nodes.exists(*dir) {
            let owes_file = pending.owes_file;
            self.check(*dir, name, Check { owes_file, ..Check::default() });
        }
    }

    /// What happens to a watched directory itself. But for the root, its parent reports it too.
    fn own<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef, mask: EventMask) {
        if node == ROOT {
            return self.own_root(kernel, mask);
        }
        if mask.contains(EventMask::UNMOUNT) {
            self.clear(node);
            let path = self.path(node, &[]);
            self.tell(TreeKind::Told, mask, path);
        } else if mask.contains(EventMask::IGNORED) {
            self.nodes.set_state(node, State::Named);
            if !self.has_content(node) {
                self.clear(node);
            }
            if self.lost.is_none() {
                // Its parent says if it was removed; if not, what is there now is looked at.
                self.check_place(node, When::Idle);
                for alias in core::mem::take(&mut self.aliases) {
                    self.check_place(alias, When::Idle);
                }
                if self.renames.is_victim(node) {
                    if let Some(ended) = self.renames.take_of(node) {
                        self.conclude(kernel, ended);
                    }
                }
            }
        } else if self.lost.is_some() {
            // It is not known what was lost before.
        } else if mask.contains(EventMask::MOVE_SELF) {
            self.moved_self(kernel, node);
        } else if mask.contains(EventMask::ATTRIB) {
            self.retry_beneath(node);
        }
    }

    fn own_root<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, mask: EventMask) {
        let kind = match mask {
            mask if mask.contains(EventMask::UNMOUNT) => TreeKind::RootUnmounted,
            mask if mask.contains(EventMask::IGNORED) => TreeKind::RootRemoved,
            _ => TreeKind::Told,
        };
        if kind != TreeKind::Told {
            // What went out of it before the end, did so.
            for ended in self.renames.take_all() {
                self.cut(ended);
            }
            self.tell(kind, mask, Vec::new());
            return self.stop(kernel);
        }
        self.tell(kind, mask, Vec::new());
        if mask.contains(EventMask::MOVE_SELF) {
            self.find_root(kernel);
        } else if mask.contains(EventMask::ATTRIB) {
            self.retry_beneath(ROOT);
        }
    }

    /// What changes no name.
    fn other(&mut self, change: Change<'_>) {
        let Change { dir, name, mask, cookie } = change;
        if !change.is_dir() {
            self.files.touch(dir, name);
        } else if mask.contains(EventMask::ATTRIB) {
            if let Some(child) = self.nodes.child(dir, name) {
                self.retry_beneath(child);
            }
        }
        let path = self.path(dir, name);
        self.reports.tell(TreeKind::Told, mask, cookie, path);
    }
}
