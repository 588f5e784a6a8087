//! Renames that are not complete yet: two events that belong together, of which either may not come.
//!
//! The kernel queues `MOVED_FROM`, `MOVED_TO` and the `MOVE_SELF` of a directory while it holds the
//! locks of both directories, so no other event of a name in either of them can come between
//! (`fsnotify_move` in `vfs_rename`, Linux 6.18). The next one therefore ends what is pending there.
//!
//! A rename onto a watched directory is a *swap* until it is known whether that was replaced or has
//! changed places (`RENAME_EXCHANGE` of renameat2(2)): the kernel queues an exchange as two renames. It has
//! changed places if it was not empty, or if something happens in it later. If something happens beneath
//! it, a look at the old name decides. Until that is known, nothing is reported of what is beneath it.
//!
//! Invariant: `by_dir` has an entry for each directory that a pending rename or a swap touches.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::agenda::{Check, LastEvent, Place};
use super::nodes::NodeRef;

/// An old name whose new one has not come yet; or both, where the directory has not said yet that it
/// is the one.
#[derive(Debug)]
pub(super) struct Pending {
    pub cookie: u32,
    pub from: Place,
    pub is_dir: bool,
    /// The directory that has the old name, as far as is known.
    pub node: Option<NodeRef>,
    /// Whether the old name was ever reported.
    pub known: bool,
    /// The new name.
    pub to: Option<Place>,
    /// Something was renamed to the old name just before, or may have been: an exchange looks the
    /// same.
    pub suspect: bool,
    /// The watch of the directory that was replaced at the old name just before. If that says that it
    /// was moved, this is its rename.
    pub replaced: Option<i32>,
    /// Whether its end is on the agenda.
    fenced: bool,
}

impl Pending {
    pub fn new(cookie: u32, from: Place, is_dir: bool) -> Self {
        Self {
            cookie,
            from,
            is_dir,
            node: None,
            known: false,
            to: None,
            suspect: false,
            replaced: None,
            fenced: false,
        }
    }
}

impl Pending {
    /// Returns `true` if a file that was reported has the old name, and no link to a directory.
    pub fn is_known_file(&self) -> bool {
        self.known && !self.is_dir && self.node.is_none()
    }

    /// A check of the old name. If there is still a file, it was not reported, unless a directory left.
    pub fn check(&self) -> Check {
        let last_event = Some(LastEvent::Left);
        Check { owes_file: !self.is_dir, last_event, ..Check::default() }
    }
}

/// A directory was renamed onto another one, which has the old name until more is known.
#[derive(Debug)]
pub(super) struct Swap {
    pub cookie: u32,
    pub from: Place,
    pub to: Place,
    pub moved: NodeRef,
    pub victim: NodeRef,
    /// The cookie of a rename that led away from the new name.
    pub second: Option<u32>,
    /// Whether that one led to the old name.
    pub back: bool,
    /// Whether the other directory is still there: it is not empty, something happened in it since, or
    /// its watch has ended.
    pub alive: Option<bool>,
    fenced: bool,
}

impl Swap {
    pub const fn new(cookie: u32, moved: NodeRef, victim: NodeRef, from: Place, to: Place) -> Self {
        Self {
            cookie,
            from,
            to,
            moved,
            victim,
            second: None,
            back: false,
            alive: None,
            fenced: false,
        }
    }
}

/// What no more events come of.
#[derive(Debug)]
pub(super) enum Ended {
    Rename(Pending),
    Swap(Swap),
}

/// More renames than these do not wait for their other half.
const MANY: usize = 64;

/// So many names to which something was renamed are remembered.
const RECENT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Renames {
    pending: BTreeMap<u32, Pending>,
    swaps: BTreeMap<u32, Swap>,
    by_dir: BTreeSet<(NodeRef, u32)>,
    by_node: BTreeMap<NodeRef, u32>,
    /// By the cookie of the second rename.
    by_second: BTreeMap<u32, u32>,
    /// Names to which something was renamed, where no other name in the directory has changed since.
    recent: VecDeque<Recent>,
    /// By the watch of the directory that they may be of.
    by_replaced: BTreeMap<i32, u32>,
}

/// A name to which something was renamed.
#[derive(Debug)]
struct Recent {
    place: Place,
    /// The watch of the directory that was there. If it changed places with something outside, its
    /// own rename comes next.
    replaced: Option<i32>,
}

impl Renames {
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.swaps.is_empty()
    }

    pub fn open(&mut self, pending: Pending) {
        self.by_dir.insert((pending.from.0, pending.cookie));
        if let Some((to, _)) = &pending.to {
            self.by_dir.insert((*to, pending.cookie));
        }
        if let Some(node) = pending.node {
            self.by_node.insert(node, pending.cookie);
        }
        if let Some(wd) = pending.replaced {
            self.by_replaced.insert(wd, pending.cookie);
        }
        self.pending.insert(pending.cookie, pending);
    }

    pub fn open_swap(&mut self, swap: Swap) {
        for dir in [swap.from.0, swap.to.0] {
            self.by_dir.insert((dir, swap.cookie));
        }
        for node in [swap.moved, swap.victim] {
            self.by_node.insert(node, swap.cookie);
        }
        self.swaps.insert(swap.cookie, swap);
    }

    /// Takes the rename whose old name has come and whose new one comes now.
    pub fn take_half(&mut self, cookie: u32, is_dir: bool) -> Option<Pending> {
        let pending = self.pending.get(&cookie)?;
        (pending.is_dir == is_dir && pending.to.is_none()).then(|| self.take(cookie))?
    }

    fn take(&mut self, cookie: u32) -> Option<Pending> {
        let pending = self.pending.remove(&cookie)?;
        self.by_dir.remove(&(pending.from.0, cookie));
        if let Some((to, _)) = &pending.to {
            self.by_dir.remove(&(*to, cookie));
        }
        if let Some(node) = pending.node {
            self.by_node.remove(&node);
        }
        if let Some(wd) = pending.replaced {
            self.by_replaced.remove(&wd);
        }
        Some(pending)
    }

    fn take_swap(&mut self, cookie: u32) -> Option<Swap> {
        let swap = self.swaps.remove(&cookie)?;
        for dir in [swap.from.0, swap.to.0] {
            self.by_dir.remove(&(dir, cookie));
        }
        for node in [swap.moved, swap.victim] {
            self.by_node.remove(&node);
        }
        if let Some(second) = swap.second {
            self.by_second.remove(&second);
        }
        Some(swap)
    }

    fn end(&mut self, cookie: u32) -> Option<Ended> {
        match self.take(cookie) {
            Some(pending) => Some(Ended::Rename(pending)),
            None => self.take_swap(cookie).map(Ended::Swap),
        }
    }

    /// Takes what is pending of a directory that was moved, or has come to its end.
    pub fn take_of(&mut self, node: NodeRef) -> Option<Ended> {
        let cookie = *self.by_node.get(&node)?;
        self.end(cookie)
    }

    /// Takes what a rename or a swap with this cookie has left, if it is still pending.
    pub fn close(&mut self, cookie: u32) -> Option<Ended> {
        self.end(cookie)
    }

    /// Takes a rename that `is_it`.
    pub fn take_one(&mut self, is_it: impl Fn(&Pending) -> bool) -> Option<Ended> {
        let cookie = self.pending.values().find(|pending| is_it(pending))?.cookie;
        self.end(cookie)
    }

    /// Takes the oldest rename, if too many are pending.
    pub fn take_excess(&mut self) -> Option<Ended> {
        let (cookie, _) = self.pending.first_key_value().filter(|_| self.pending.len() > MANY)?;
        self.end(*cookie)
    }

    /// Takes something that touches a directory.
    pub fn take_touching(&mut self, dir: NodeRef) -> Option<Ended> {
        let cookie = self.by_dir.range((dir, 0)..=(dir, u32::MAX)).next()?.1;
        self.end(cookie)
    }

    /// Takes the event of a directory's name for one half of what may be an exchange. `false` if it is
    /// none.
    pub fn take_swap_half(&mut self, dir: NodeRef, name: &[u8], cookie: u32, from: bool) -> bool {
        let is_it = |place: &Place| place.0 == dir && *place.1 == *name;
        if !from {
            let first = self.by_second.get(&cookie).copied();
            let swap = first.and_then(|first| self.swaps.get_mut(&first));
            let swap = swap.filter(|swap| !swap.back && is_it(&swap.from));
            return swap.map(|swap| swap.back = true).is_some();
        }
        let mut touching = self.by_dir.range((dir, 0)..=(dir, u32::MAX)).map(|(_, first)| *first);
        let first = touching.find(|first| {
            let swap = self.swaps.get(first);
            swap.is_some_and(|swap| swap.second.is_none() && is_it(&swap.to))
        });
        let swap = first.and_then(|first| self.swaps.get_mut(&first));
        let Some((first, swap)) = first.zip(swap) else { return false };
        swap.second = Some(cookie);
        self.by_second.insert(cookie, first);
        true
    }

    /// Takes what the event of a name in a directory ends, other than the rename that it is of.
    pub fn take_late(&mut self, dir: NodeRef, cookie: u32) -> Option<Ended> {
        if let Some(first) = self.by_second.get(&cookie).copied() {
            return self.end(first);
        }
        let mut touching = self.by_dir.range((dir, 0)..=(dir, u32::MAX));
        let late = touching.find(|(_, other)| cookie == 0 || *other != cookie)?.1;
        self.end(late)
    }

    /// Has something been renamed to this name, and no name in the directory changed since? Asked
    /// with each event of a name. If so, returns the watch of the directory that was replaced.
    pub fn take_recent(&mut self, dir: NodeRef, name: &[u8]) -> Option<Option<i32>> {
        let recent =
            self.recent.iter().find(|recent| recent.place.0 == dir && *recent.place.1 == *name);
        let replaced = recent.map(|recent| recent.replaced);
        self.recent.retain(|recent| recent.place.0 != dir);
        replaced
    }

    /// Something was renamed to this name.
    pub fn note(&mut self, dir: NodeRef, name: &[u8]) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { place: (dir, name.into()), replaced: None });
    }

    /// The last thing that was renamed has replaced a directory with this watch.
    pub fn note_replaced(&mut self, wd: i32) {
        if let Some(recent) = self.recent.back_mut() {
            recent.replaced = Some(wd);
        }
    }

    /// Returns `true` if a pending rename may be that of a directory with this watch.
    pub fn has_replaced(&self, wd: i32) -> bool {
        self.by_replaced.contains_key(&wd)
    }

    /// A directory that seemed to be replaced says that it was moved: takes its rename.
    pub fn take_replaced(&mut self, wd: i32) -> Option<Pending> {
        let cookie = self.by_replaced.get(&wd).copied()?;
        self.take(cookie)
    }

    /// What the fence is still to be taken of, and the directory whose lock tells.
    pub fn unfenced(&self) -> Vec<(u32, NodeRef)> {
        let pending = self.pending.values().filter(|pending| !pending.fenced);
        let swaps = self.swaps.values().filter(|swap| !swap.fenced);
        let pending = pending.map(|pending| (pending.cookie, pending.from.0));
        pending.chain(swaps.map(|swap| (swap.cookie, swap.to.0))).collect()
    }

    /// The end of a rename is on the agenda.
    pub fn fence(&mut self, cookie: u32) {
        if let Some(pending) = self.pending.get_mut(&cookie) {
            pending.fenced = true;
        } else if let Some(swap) = self.swaps.get_mut(&cookie) {
            swap.fenced = true;
        }
    }

    /// Takes everything: events were lost, or the tree is over.
    pub fn take_all(&mut self) -> Vec<Ended> {
        let old = core::mem::take(self);
        let pending = old.pending.into_values().map(Ended::Rename);
        pending.chain(old.swaps.into_values().map(Ended::Swap)).collect()
    }

    /// Forgets a directory that was removed.
    pub fn forget(&mut self, dir: NodeRef) {
        self.recent.retain(|recent| recent.place.0 != dir);
    }

    /// An event of a name came from a directory.
    pub fn mark_alive(&mut self, dir: NodeRef) {
        let cookie = self.by_node.get(&dir).copied();
        let swap = cookie.and_then(|cookie| self.swaps.get_mut(&cookie));
        if let Some(swap) = swap.filter(|swap| swap.victim == dir) {
            swap.alive = Some(true);
        }
    }

    /// The directory that may have been replaced, and the cookie of that swap.
    pub fn swap_above(&self, mut dirs: impl Iterator<Item = NodeRef>) -> Option<(NodeRef, u32)> {
        if self.swaps.is_empty() {
            return None;
        }
        dirs.find_map(|dir| {
            let swap = self.swaps.get(self.by_node.get(&dir)?)?;
            (swap.victim == dir && swap.alive != Some(true)).then_some((dir, swap.cookie))
        })
    }

    /// Takes the swap by which the directory may have been replaced.
    pub fn take_swap_of(&mut self, victim: NodeRef) -> Option<Swap> {
        let cookie = *self.by_node.get(&victim)?;
        self.swaps.get(&cookie).filter(|swap| swap.victim == victim)?;
        self.take_swap(cookie)
    }

    /// Returns `true` if a rename of the directory is pending, as far as is known.
    pub fn has_of(&self, node: NodeRef) -> bool {
        self.by_node.contains_key(&node)
    }

    /// Returns `true` if a rename that is pending leads from or to this name.
    pub fn has(&self, dir: NodeRef, name: &[u8]) -> bool {
        let is_it = |place: &Place| place.0 == dir && *place.1 == *name;
        self.by_dir.range((dir, 0)..=(dir, u32::MAX)).any(|(_, cookie)| {
            let pending = self.pending.get(cookie);
            let swap = self.swaps.get(cookie);
            pending.is_some_and(|p| is_it(&p.from) || p.to.as_ref().is_some_and(is_it))
                || swap.is_some_and(|swap| is_it(&swap.from) || is_it(&swap.to))
        })
    }
}

/// A place of a directory and a name.
pub(super) fn place(dir: NodeRef, name: &[u8]) -> Place {
    (dir, Box::from(name))
}
