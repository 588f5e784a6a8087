//! Applies renames: both halves, and the directory's own event.

use alloc::vec::Vec;

use super::Tree;
use super::agenda::{Check, LastEvent, Place, When};
use super::edits::DIR_DELETED;
use super::event::TreeKind;
use super::feed::Change;
use super::kernel::Kernel;
use super::nodes::{Listing, NodeRef};
use super::renames::{Ended, Pending, Swap, place};
use crate::flags::EventMask;

impl<D> Tree<D> {
    pub(super) fn moved_from(&mut self, change: Change<'_>, recent: Option<Option<i32>>) {
        let Change { dir, name, cookie, .. } = change;
        let mut pending = Pending::new(cookie, place(dir, name), change.is_dir());
        let is_uncertain = self.agenda.is_uncertain(dir, name);
        let link = self.link(dir, name);
        if link.is_some() {
            pending.node = link.filter(|_| !change.is_dir());
            pending.known = pending.node.is_some();
        } else if change.is_dir() {
            pending.node = self.nodes.child(dir, name);
            pending.known = pending.node.is_some();
        } else if recent.is_none() || self.nodes.child(dir, name).is_none() {
            pending.known = self.file_left(dir, name);
        }
        // Otherwise the directory that came just now was exchanged with this file. A watched directory
        // reports that by its own event.
        let child = self.nodes.child(dir, name);
        let reports_moves = child.is_some_and(|child| self.links.reports_moves(&self.nodes, child));
        let is_other = link.is_some() && change.is_dir();
        // A directory that could not be listed may be another one.
        let is_unlisted =
            pending.node.is_some_and(|node| self.nodes.listing(node) == Listing::Failed);
        pending.may_be_exchange = recent.is_some() && !reports_moves
            || self.in_window(dir)
            || is_other
            || is_unlisted
            || is_uncertain && !change.is_dir();
        pending.replaced = recent.flatten().filter(|_| change.is_dir());
        self.renames.open(pending);
        if let Some(ended) = self.renames.take_excess() {
            self.abandon(ended);
        }
    }

    pub(super) fn moved_to<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, change: Change<'_>) {
        let Change { dir, name, cookie, .. } = change;
        self.renames.note(dir, name);
        let Some(mut pending) = self.renames.take_half(cookie, change.is_dir()) else {
            return self.came(kernel, change);
        };
        match pending.node.filter(|node| self.nodes.exists(*node)) {
            Some(node) if self.links.reports_moves(&self.nodes, node) => {
                // Its own event shows whether it was this directory.
                pending.to = Some(place(dir, name));
                self.renames.open(pending);
            }
            Some(node) => self.renamed(node, pending, &place(dir, name)),
            None => {
                let (from_dir, from_name) = &pending.from;
                let from = (pending.is_known_file() && self.nodes.exists(*from_dir))
                    .then(|| self.path(*from_dir, from_name));
                match from {
                    Some(from) => self.entry_came(kernel, change, Some(from)),
                    None => self.came(kernel, change),
                }
                if pending.may_be_exchange {
                    let exchanged = (!change.is_dir()).then(|| place(dir, name));
                    let check = Check { exchanged, ..pending.check() };
                    self.check(pending.from.0, &pending.from.1, check);
                }
            }
        }
    }

    /// Applies the `MOVE_SELF` of a directory, which follows both halves of its rename.
    pub(super) fn moved_self<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) {
        if self.links.has(node) {
            // Not the link was moved, but its target.
            return self.check_place(node, When::End);
        }
        match self.renames.take_of(node) {
            Some(Ended::Rename(mut pending)) => match pending.to.take() {
                Some(to) => self.renamed(node, pending, &to),
                None => {
                    let (dir, name) = &pending.from;
                    let unsure = pending.may_be_exchange || self.may_be_outdated(*dir, name);
                    let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
                    self.report_gone(node, TreeKind::Reported, mask, pending.cookie);
                    if unsure {
                        self.check(*dir, name, pending.check());
                    }
                }
            },
            Some(Ended::Swap(swap)) if swap.victim == node && swap.back => {
                self.reports.decide(swap.cookie, true);
                let event = LastEvent::Moved(node);
                self.agenda.set_last_event(swap.from.0, &swap.from.1, event);
                self.after_rename(node);
            }
            Some(Ended::Swap(swap)) => {
                let (again, places) = (swap.moved == node, [swap.from.clone(), swap.to.clone()]);
                self.conclude(kernel, Ended::Swap(swap));
                if again {
                    // It replaced the victim, and was moved once more.
                    return self.moved_self(kernel, node);
                }
                for (dir, name) in places {
                    self.check(dir, &name, Check::default());
                }
            }
            None => self.check_place(node, When::End),
        }
    }

    /// Applies the rename of a directory.
    fn renamed(&mut self, node: NodeRef, pending: Pending, to: &Place) {
        let (dir, name) = (to.0, &*to.1);
        let (from_dir, from_name) = &pending.from;
        let victim = self.nodes.child(dir, name).filter(|victim| *victim != node);
        let unsure = self.may_be_outdated(*from_dir, from_name);
        if self.nodes.is_within(dir, node)
            || victim.is_some_and(|top| self.nodes.is_within(node, top))
        {
            return self.renamed_impossibly(node, &pending, to, victim);
        }
        self.report_departures(node);
        if let Some(victim) = victim {
            self.report_departures(victim);
        }
        if !self.nodes.exists(node) {
            // It was reached through a link, and was removed with it.
            return;
        }
        if !self.nodes.exists(dir) {
            // The directory that it was moved into left, with everything in it.
            let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
            return self.report_gone(node, TreeKind::Reported, mask, pending.cookie);
        }
        let from = self.path(node, &[]);
        self.files.remove(dir, name);
        match victim {
            Some(victim)
                if self.may_swap(node, victim, &pending.from) && self.is_at(victim, to) =>
            {
                self.swap(node, victim, &pending, to, from);
            }
            _ => {
                if let Some(victim) = victim {
                    self.remove(victim);
                }
                self.relink(node, dir, name);
                let path = self.path(node, &[]);
                let mask = EventMask::MOVED_TO | EventMask::ISDIR;
                self.reports.report(TreeKind::Renamed { from }, mask, pending.cookie, path);
            }
        }
        self.after_rename(node);
        if unsure || self.links.has(node) {
            // At its new path, a relative link may lead elsewhere.
            let last_event = Some(LastEvent::Moved(node));
            self.check(dir, name, Check { last_event, ..Check::default() });
        } else if self.nodes.wd(node).is_some() {
            self.agenda.take(dir, name);
        }
        if unsure || pending.may_be_exchange {
            self.check(*from_dir, from_name, pending.check());
        }
    }

    /// Handles a rename of a directory into itself, or onto one that it is in. That is impossible, so what is
    /// known is wrong.
    fn renamed_impossibly(
        &mut self,
        node: NodeRef,
        pending: &Pending,
        to: &Place,
        victim: Option<NodeRef>,
    ) {
        let above = victim.filter(|victim| self.nodes.is_within(node, *victim));
        // A link was exchanged with a directory that was reached through it, or that it is in. Or the
        // directory here left without an event, and a file may have come since.
        let is_link = |node| self.links.has(node);
        let unreported_file = above.is_some() || is_link(node) || victim.is_some_and(is_link);
        if let Some(victim) = above {
            self.report_gone(victim, TreeKind::Discovered, DIR_DELETED, 0);
        } else {
            self.check_place(to.0, When::End);
            let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
            self.report_gone(node, TreeKind::Reported, mask, pending.cookie);
        }
        for (dir, name) in [to, &pending.from] {
            self.check(*dir, name, Check { unreported_file, ..Check::default() });
        }
    }

    /// Returns `true` if a directory is certainly at the name where it is known: no scan was ahead of the
    /// events, and no event of the name said otherwise.
    fn is_at(&self, node: NodeRef, (dir, name): &Place) -> bool {
        let last = self.agenda.last_event(*dir, name);
        !self.in_window(*dir)
            && !self.agenda.is_ahead(*dir, name)
            && last.is_none_or(|event| event == LastEvent::Moved(node))
    }

    /// Returns `true` if the victim would still be a known directory after an exchange.
    fn may_swap(&self, node: NodeRef, victim: NodeRef, (dir, name): &Place) -> bool {
        let reports_moves = |node| self.links.reports_moves(&self.nodes, node);
        reports_moves(victim) && !self.links.has(node) && !self.is_excluded(*dir, name)
    }

    /// Exchanges the directory with the victim that it was renamed onto, until it is known whether it
    /// replaced that.
    fn swap(
        &mut self,
        node: NodeRef,
        victim: NodeRef,
        pending: &Pending,
        to: &Place,
        from: Vec<u8>,
    ) {
        let path = self.path(victim, &[]);
        // rename(2) replaces only an empty directory.
        let alive = self.has_confirmed_child(victim).then_some(true);
        self.exchange(node, victim);
        self.reports.report_undecided(from, pending.cookie, path);
        let from = pending.from.clone();
        let mut swap = Swap::new(pending.cookie, node, victim, from, to.clone());
        swap.alive = alive;
        self.renames.open_swap(swap);
    }

    /// Ends the rename with this cookie: no more events belong to it.
    pub(super) fn close<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, cookie: u32) {
        if let Some(ended) = self.renames.close(cookie) {
            self.conclude(kernel, ended);
        }
    }

    /// Ends a rename that no more events belong to. If its directory came to a new name, that is scanned.
    pub(super) fn conclude<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, mut ended: Ended) {
        let mut came = None;
        if let Ended::Rename(pending) = &mut ended {
            came = pending.to.take().map(|to| (to, pending.cookie));
        }
        self.abandon(ended);
        if let Some((to, cookie)) = came {
            self.came_to(kernel, &to, cookie);
        }
    }

    /// Ends the rename of a directory that seemed to be replaced, but was renamed. The one that is known at
    /// its old name stays.
    pub(super) fn replaced_moved<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, pending: Pending) {
        let (dir, name) = &pending.from;
        if let Some(node) = pending.node.filter(|node| self.nodes.exists(*node)) {
            if self.nodes.wd(node).is_some() {
                self.agenda.confirm(*dir, name, node);
            } else {
                // It may be the same directory, which could not be watched again.
                self.check(*dir, name, Check::default());
            }
        }
        if let Some(to) = &pending.to {
            self.came_to(kernel, to, pending.cookie);
        }
    }

    /// Adds an unknown directory that was renamed to this place.
    pub(super) fn came_to<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        (dir, name): &Place,
        cookie: u32,
    ) {
        while let Some((_, swap)) = self.renames.swap_above(self.nodes.ancestors(*dir)) {
            // The place may be in a directory that was replaced.
            self.close(kernel, swap);
        }
        if self.nodes.exists(*dir) {
            let mask = EventMask::MOVED_TO | EventMask::ISDIR;
            self.came(kernel, Change { dir: *dir, name, mask, cookie });
        }
    }

    /// Ends a rename without a scan of its new name.
    pub(super) fn abandon(&mut self, ended: Ended) {
        match ended {
            Ended::Rename(pending) => self.abandon_rename(pending),
            Ended::Swap(swap) => {
                // After an exchange, the victim would have reported its move.
                let alive = swap.alive == Some(true);
                self.reports.decide(swap.cookie, alive);
                if alive {
                    self.after_rename(swap.victim);
                    return self.check_place(swap.victim, When::End);
                }
                self.remove(swap.victim);
                let Some(second) = swap.second.filter(|_| self.nodes.exists(swap.moved)) else {
                    if swap.back && self.nodes.exists(swap.from.0) {
                        // The entry there was reached through a link that is gone.
                        self.check(swap.from.0, &swap.from.1, Check::default());
                    }
                    return;
                };
                let mut pending = Pending::new(second, swap.to, true);
                pending.node = Some(swap.moved);
                pending.may_be_exchange = true;
                if swap.back && self.nodes.wd(swap.moved).is_none() {
                    return self.renamed(swap.moved, pending, &swap.from);
                }
                pending.to = swap.back.then_some(swap.from);
                self.renames.open(pending);
            }
        }
    }

    /// Ends the rename of a file from this name: a new entry is there, so the file left before.
    pub(super) fn file_has_left(&mut self, dir: NodeRef, name: &[u8]) {
        while let Some(ended) = self.renames.take_one(|pending| {
            pending.node.is_none() && pending.from.0 == dir && *pending.from.1 == *name
        }) {
            self.abandon(ended);
        }
    }

    /// Returns `true` if a directory is certainly not empty. An entry that a scan has shown is enough: a
    /// removed directory shows none.
    fn has_confirmed_child(&self, dir: NodeRef) -> bool {
        let first = self.nodes.first_child(dir);
        core::iter::successors(first, |child| self.nodes.sibling(*child)).any(|child| {
            let name = self.nodes.name(child);
            !self.agenda.is_unconfirmed(dir, name, child) && !self.renames.has_of(child)
        })
    }

    fn abandon_rename(&mut self, pending: Pending) {
        let (dir, name) = &pending.from;
        if let Some((dir, name)) = &pending.to {
            self.check(*dir, name, Check::default());
        }
        let mut may_be_exchange = pending.may_be_exchange;
        match pending.node.filter(|node| self.nodes.exists(*node)) {
            // A watched directory that is moved reports it. So another directory of that name was moved.
            Some(node) if self.links.reports_moves(&self.nodes, node) => may_be_exchange = true,
            Some(node) => {
                let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
                self.report_gone(node, TreeKind::Reported, mask, pending.cookie);
            }
            None if pending.is_known_file() && self.nodes.exists(*dir) => {
                let path = self.path(*dir, name);
                self.reports.report(
                    TreeKind::Reported,
                    EventMask::MOVED_FROM,
                    pending.cookie,
                    path,
                );
            }
            None => {}
        }
        // If a scan has shown a directory since, there is no other file.
        may_be_exchange &= pending.is_dir || !self.agenda.shows_dir(*dir, name);
        if may_be_exchange && self.nodes.exists(*dir) {
            self.check(*dir, name, pending.check());
        }
    }
}
