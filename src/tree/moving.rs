//! Renames: what the halves of one, and the directory's own event, do to the tree.

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
        // Otherwise, the directory that came just now has changed places with this file. Of a watched
        // directory, its own event tells.
        let child = self.nodes.child(dir, name);
        let tells = child.is_some_and(|child| self.links.tells(&self.nodes, child));
        let is_other = link.is_some() && change.is_dir();
        // What could not be looked at may be another directory.
        let owed = pending.node.is_some_and(|node| self.nodes.listing(node) == Listing::Owed);
        pending.suspect = recent.is_some() && !tells
            || self.in_window(dir)
            || is_other
            || owed
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
            return self.come(kernel, change);
        };
        match pending.node.filter(|node| self.nodes.exists(*node)) {
            Some(node) if self.links.tells(&self.nodes, node) => {
                // Its own event says whether it is the one.
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
                    None => self.come(kernel, change),
                }
                if pending.suspect {
                    let exchanged = (!change.is_dir()).then(|| place(dir, name));
                    let check = Check { exchanged, ..pending.check() };
                    self.check(pending.from.0, &pending.from.1, check);
                }
            }
        }
    }

    /// A directory says that it was moved, after both halves of the rename.
    pub(super) fn moved_self<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) {
        if self.links.has(node) {
            // Not the link, but its target was moved.
            return self.check_place(node, When::End);
        }
        match self.renames.take_of(node) {
            Some(Ended::Rename(mut pending)) => match pending.to.take() {
                Some(to) => self.renamed(node, pending, &to),
                None => {
                    let (dir, name) = &pending.from;
                    let unsure = pending.suspect || self.is_unsure(*dir, name);
                    let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
                    self.gone(node, TreeKind::Reported, mask, pending.cookie);
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
        let victim = self.nodes.child(dir, name).filter(|victim| *victim != node);
        let unsure = self.is_unsure(*from_dir, from_name);
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
            // It was reached through a link, with which it has gone.
            return;
        }
        if !self.nodes.exists(dir) {
            // With all that was in it.
            let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
            return self.gone(node, TreeKind::Reported, mask, pending.cookie);
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
                self.reports.tell(TreeKind::Renamed { from }, mask, pending.cookie, path);
            }
        }
        self.after_rename(node);
        if unsure || self.links.has(node) {
            // A link may lead elsewhere from its new place.
            let last_event = Some(LastEvent::Moved(node));
            self.check(dir, name, Check { last_event, ..Check::default() });
        } else if self.nodes.wd(node).is_some() {
            self.agenda.take(dir, name);
        }
        if unsure || pending.suspect {
            self.check(*from_dir, from_name, pending.check());
        }
    }

    /// A directory was renamed to where it can't be, as far as is known: into itself, or onto one that it
    /// is in. So that is not known truly.
    fn renamed_impossibly(
        &mut self,
        node: NodeRef,
        pending: &Pending,
        to: &Place,
        victim: Option<NodeRef>,
    ) {
        let above = victim.filter(|victim| self.nodes.is_within(node, *victim));
        // A link has changed places with a directory that was reached through it, or that it is in. Or what
        // was here left unseen, and a file may have come since.
        let is_link = |node| self.links.has(node);
        let owes_file = above.is_some() || is_link(node) || victim.is_some_and(is_link);
        if let Some(victim) = above {
            self.gone(victim, TreeKind::Discovered, DIR_DELETED, 0);
        } else {
            self.check_place(to.0, When::End);
            let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
            self.gone(node, TreeKind::Reported, mask, pending.cookie);
        }
        for (dir, name) in [to, &pending.from] {
            self.check(*dir, name, Check { owes_file, ..Check::default() });
        }
    }

    /// Returns `true` if a directory surely is at the name where it is known: no look was ahead of the
    /// events, and no event of the name said otherwise.
    fn is_at(&self, node: NodeRef, (dir, name): &Place) -> bool {
        let last = self.agenda.last_event(*dir, name);
        !self.in_window(*dir)
            && !self.agenda.is_ahead(*dir, name)
            && last.is_none_or(|event| event == LastEvent::Moved(node))
    }

    /// Returns `true` if a directory would still be known after an exchange.
    fn may_swap(&self, node: NodeRef, victim: NodeRef, (dir, name): &Place) -> bool {
        let tells = |node| self.links.tells(&self.nodes, node);
        tells(victim) && !self.links.has(node) && !self.is_excluded(*dir, name)
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
        // No directory is replaced that is not empty.
        let alive = self.has_sure_child(victim).then_some(true);
        self.exchange(node, victim);
        self.reports.tell_undecided(from, pending.cookie, path);
        let from = pending.from.clone();
        let mut swap = Swap::new(pending.cookie, node, victim, from, to.clone());
        swap.alive = alive;
        self.renames.open_swap(swap);
    }

    /// No more events come of the rename with this cookie.
    pub(super) fn close<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, cookie: u32) {
        if let Some(ended) = self.renames.close(cookie) {
            self.conclude(kernel, ended);
        }
    }

    /// No more events come of a rename.
    pub(super) fn conclude<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, mut ended: Ended) {
        let mut came = None;
        if let Ended::Rename(pending) = &mut ended {
            came = pending.to.take().map(|to| (to, pending.cookie));
        }
        self.abandon(ended);
        if let Some((to, cookie)) = came {
            self.come_to_place(kernel, &to, cookie);
        }
    }

    /// A directory that seemed to be replaced was renamed instead. What has its old name now stays.
    pub(super) fn replaced_moved<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, pending: Pending) {
        let (dir, name) = &pending.from;
        if let Some(node) = pending.node.filter(|node| self.nodes.exists(*node)) {
            if self.nodes.wd(node).is_some() {
                self.agenda.confirm(*dir, name, node);
            } else {
                // It may be the same one, which could not be watched again.
                self.check(*dir, name, Check::default());
            }
        }
        if let Some(to) = &pending.to {
            self.come_to_place(kernel, to, pending.cookie);
        }
    }

    /// A directory that is not known was renamed to a place.
    pub(super) fn come_to_place<K: Kernel<Dir = D>>(
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
            self.come(kernel, Change { dir: *dir, name, mask, cookie });
        }
    }

    /// The same, where the new name can't be looked at now.
    pub(super) fn abandon(&mut self, ended: Ended) {
        match ended {
            Ended::Rename(pending) => self.abandon_rename(pending),
            Ended::Swap(swap) => {
                // Had they changed places, the other one would have said so.
                let alive = swap.alive == Some(true);
                self.reports.decide(swap.cookie, alive);
                if alive {
                    self.after_rename(swap.victim);
                    return self.check_place(swap.victim, When::End);
                }
                self.remove(swap.victim);
                let Some(second) = swap.second.filter(|_| self.nodes.exists(swap.moved)) else {
                    if swap.back && self.nodes.exists(swap.from.0) {
                        // Something is there, that was reached through a link which is gone.
                        self.check(swap.from.0, &swap.from.1, Check::default());
                    }
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

    /// Something new is at a name: the file that left it did so before.
    pub(super) fn file_has_left(&mut self, dir: NodeRef, name: &[u8]) {
        while let Some(ended) = self.renames.take_one(|pending| {
            pending.node.is_none() && pending.from.0 == dir && *pending.from.1 == *name
        }) {
            self.abandon(ended);
        }
    }

    /// Returns `true` if a directory surely is not empty. What a look has shown in it is enough, since in a
    /// directory that was removed there is nothing to be seen.
    fn has_sure_child(&self, dir: NodeRef) -> bool {
        let first = self.nodes.first_child(dir);
        core::iter::successors(first, |child| self.nodes.sibling(*child)).any(|child| {
            let name = self.nodes.name(child);
            !self.agenda.doubts(dir, name, child) && !self.renames.has_of(child)
        })
    }

    fn abandon_rename(&mut self, pending: Pending) {
        let (dir, name) = &pending.from;
        if let Some((dir, name)) = &pending.to {
            self.check(*dir, name, Check::default());
        }
        let mut suspect = pending.suspect;
        match pending.node.filter(|node| self.nodes.exists(*node)) {
            // A watched directory that was moved says so. It was another one of that name.
            Some(node) if self.links.tells(&self.nodes, node) => suspect = true,
            Some(node) => {
                let mask = EventMask::MOVED_FROM | EventMask::ISDIR;
                self.gone(node, TreeKind::Reported, mask, pending.cookie);
            }
            None if pending.is_known_file() && self.nodes.exists(*dir) => {
                let path = self.path(*dir, name);
                self.reports.tell(TreeKind::Reported, EventMask::MOVED_FROM, pending.cookie, path);
            }
            None => {}
        }
        // If a look has shown a directory since, there is no other file.
        suspect &= pending.is_dir || !self.agenda.shows_dir(*dir, name);
        if suspect && self.nodes.exists(*dir) {
            self.check(*dir, name, pending.check());
        }
    }
}
