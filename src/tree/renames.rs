//! Pending renames: two events that belong together, of which either may not come.
//!
//! The kernel queues `MOVED_FROM`, `MOVED_TO` and the `MOVE_SELF` of a directory while it holds the locks of
//! both directories, so no other event of a name in either of them can come between (`fsnotify_move` in
//! `vfs_rename`, Linux 6.18). The next such event therefore ends a pending rename there.
//!
//! A rename onto a watched directory, the *victim*, is a *swap* until it is known whether it replaced the
//! victim or exchanged both (`RENAME_EXCHANGE` of renameat2(2)): the kernel queues an exchange as two
//! renames. It was an exchange if the victim was not empty, or if an event of the victim comes afterwards. If
//! an event comes from beneath the victim, the old name is examined. Until the swap is decided, nothing
//! beneath it is reported.
//!
//! Invariant: `by_dir` has an entry for each directory of the names of a pending rename or a swap.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::agenda::{Check, LastEvent, Place};
use super::nodes::NodeRef;
use crate::keys::{KeyMap, KeySet, Table};

/// A rename whose new name has not come yet, or whose directory has not reported its own move yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub cookie: u32,
    pub from: Place,
    pub is_dir: bool,
    /// The directory that is known at the old name.
    pub node: Option<NodeRef>,
    /// Whether an entry was reported at the old name.
    pub known: bool,
    /// The new name.
    pub to: Option<Place>,
    /// An entry was renamed to the old name just before, or may have been. An exchange looks the same.
    pub may_be_exchange: bool,
    /// The watch of the directory that seemed to be replaced at the old name just before. If that directory
    /// reports that it was moved, this is its rename.
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
            may_be_exchange: false,
            replaced: None,
            fenced: false,
        }
    }
}

impl Pending {
    /// Returns `true` if a reported file left the old name, and not a link to a directory.
    pub fn is_known_file(&self) -> bool {
        self.known && !self.is_dir && self.node.is_none()
    }

    /// Returns a check of the old name. A file that is still there was not reported, unless a directory left.
    pub fn check(&self) -> Check {
        let last_event = Some(LastEvent::Left);
        Check { unreported_file: !self.is_dir, last_event, ..Check::default() }
    }
}

/// A rename of a directory onto another one, which counts as exchanged until more is known.
#[derive(Debug)]
pub(super) struct Swap {
    pub cookie: u32,
    pub from: Place,
    pub to: Place,
    pub moved: NodeRef,
    pub victim: NodeRef,
    /// The cookie of a second rename, from the new name.
    pub second: Option<u32>,
    /// Whether the second rename led to the old name.
    pub back: bool,
    /// Whether the victim still exists, if that is known: it is not empty, an event of it has come since, or
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

/// A rename or swap that no more events belong to.
#[derive(Debug)]
pub(super) enum Ended {
    Rename(Pending),
    Swap(Swap),
}

/// The most pending renames. Beyond this number the oldest ends.
const MAX_PENDING: usize = 64;

/// The most recent names that are remembered.
const MAX_RECENT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Renames {
    pending: Table<u32, Pending>,
    swaps: Table<u32, Swap>,
    by_dir: KeySet<(NodeRef, u32)>,
    by_node: KeyMap<NodeRef, u32>,
    /// By the cookie of the second rename.
    by_second: KeyMap<u32, u32>,
    /// New names of recent renames, until another name in the directory changes.
    recent: VecDeque<Recent>,
    /// By the watch of the directory that they may belong to.
    by_replaced: KeyMap<i32, u32>,
}

/// The new name of a recent rename.
#[derive(Debug)]
struct Recent {
    place: Place,
    /// The watch of the directory that was at the name. If that was exchanged with an entry outside, its own
    /// rename comes next.
    replaced: Option<i32>,
}

impl Renames {
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.swaps.is_empty()
    }

    pub fn open(&mut self, pending: Pending) {
        self.by_dir.add((pending.from.0, pending.cookie));
        if let Some((to, _)) = &pending.to {
            self.by_dir.add((*to, pending.cookie));
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
            self.by_dir.add((dir, swap.cookie));
        }
        for node in [swap.moved, swap.victim] {
            self.by_node.insert(node, swap.cookie);
        }
        self.swaps.insert(swap.cookie, swap);
    }

    /// Takes the rename whose `MOVED_FROM` has come and whose `MOVED_TO` comes now.
    pub fn take_half(&mut self, cookie: u32, is_dir: bool) -> Option<Pending> {
        let pending = self.pending.get(cookie)?;
        (pending.is_dir == is_dir && pending.to.is_none()).then(|| self.take(cookie))?
    }

    fn take(&mut self, cookie: u32) -> Option<Pending> {
        let pending = self.pending.remove(cookie)?;
        self.by_dir.remove((pending.from.0, cookie));
        if let Some((to, _)) = &pending.to {
            self.by_dir.remove((*to, cookie));
        }
        if let Some(node) = pending.node {
            self.by_node.remove(node);
        }
        if let Some(wd) = pending.replaced {
            self.by_replaced.remove(wd);
        }
        Some(pending)
    }

    fn take_swap(&mut self, cookie: u32) -> Option<Swap> {
        let swap = self.swaps.remove(cookie)?;
        for dir in [swap.from.0, swap.to.0] {
            self.by_dir.remove((dir, cookie));
        }
        for node in [swap.moved, swap.victim] {
            self.by_node.remove(node);
        }
        if let Some(second) = swap.second {
            self.by_second.remove(second);
        }
        Some(swap)
    }

    fn end(&mut self, cookie: u32) -> Option<Ended> {
        match self.take(cookie) {
            Some(pending) => Some(Ended::Rename(pending)),
            None => self.take_swap(cookie).map(Ended::Swap),
        }
    }

    /// Takes the pending rename of a directory.
    pub fn take_of(&mut self, node: NodeRef) -> Option<Ended> {
        let cookie = self.by_node.get(node)?;
        self.end(cookie)
    }

    /// Takes the rename or swap with this cookie, if it is still pending.
    pub fn close(&mut self, cookie: u32) -> Option<Ended> {
        self.end(cookie)
    }

    /// Takes the first pending rename for which `is_it` returns `true`.
    pub fn take_one(&mut self, is_it: impl Fn(&Pending) -> bool) -> Option<Ended> {
        let cookie = self.pending.values().find(|pending| is_it(pending))?.cookie;
        self.end(cookie)
    }

    /// Takes the oldest rename, if too many are pending.
    pub fn take_excess(&mut self) -> Option<Ended> {
        let cookie = self.pending.keys().next().filter(|_| self.pending.len() > MAX_PENDING)?;
        self.end(cookie)
    }

    /// Returns the cookies of the renames and swaps with a name in the directory.
    fn cookies_in(&self, dir: NodeRef) -> impl Iterator<Item = u32> {
        let from = self.by_dir.keys_from((dir, 0));
        from.take_while(move |(of, _)| *of == dir).map(|(_, cookie)| cookie)
    }

    /// Takes a rename or swap with a name in the directory.
    pub fn take_touching(&mut self, dir: NodeRef) -> Option<Ended> {
        let cookie = self.cookies_in(dir).next()?;
        self.end(cookie)
    }

    /// Uses the event of a directory's name as the second rename of an exchange. Returns `false` if it is not
    /// part of one.
    pub fn take_swap_half(&mut self, dir: NodeRef, name: &[u8], cookie: u32, from: bool) -> bool {
        let is_it = |place: &Place| place.0 == dir && *place.1 == *name;
        if !from {
            let first = self.by_second.get(cookie);
            let swap = first.and_then(|first| self.swaps.get_mut(first));
            let swap = swap.filter(|swap| !swap.back && is_it(&swap.from));
            return swap.map(|swap| swap.back = true).is_some();
        }
        let first = self.cookies_in(dir).find(|first| {
            let swap = self.swaps.get(*first);
            swap.is_some_and(|swap| swap.second.is_none() && is_it(&swap.to))
        });
        let swap = first.and_then(|first| self.swaps.get_mut(first));
        let Some((first, swap)) = first.zip(swap) else { return false };
        swap.second = Some(cookie);
        self.by_second.insert(cookie, first);
        true
    }

    /// Takes a rename that is over because of an event of a name in the directory, other than the event's own
    /// rename.
    pub fn take_ended_by(&mut self, dir: NodeRef, cookie: u32) -> Option<Ended> {
        if let Some(first) = self.by_second.get(cookie) {
            return self.end(first);
        }
        let late = self.cookies_in(dir).find(|&other| cookie == 0 || other != cookie)?;
        self.end(late)
    }

    /// Returns `Some` if an entry was just renamed to this name, and no name in the directory has changed
    /// since: the watch of the directory that was replaced there, if any. Call it with each event of a name.
    pub fn take_recent(&mut self, dir: NodeRef, name: &[u8]) -> Option<Option<i32>> {
        let recent =
            self.recent.iter().find(|recent| recent.place.0 == dir && *recent.place.1 == *name);
        let replaced = recent.map(|recent| recent.replaced);
        self.recent.retain(|recent| recent.place.0 != dir);
        replaced
    }

    /// Remembers that an entry was renamed to this name.
    pub fn note(&mut self, dir: NodeRef, name: &[u8]) {
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { place: (dir, name.into()), replaced: None });
    }

    /// Notes that the last rename has replaced the directory with this watch.
    pub fn note_replaced(&mut self, wd: i32) {
        if let Some(recent) = self.recent.back_mut() {
            recent.replaced = Some(wd);
        }
    }

    /// Returns `true` if a pending rename may belong to the directory with this watch.
    pub fn has_replaced(&self, wd: i32) -> bool {
        self.by_replaced.contains(wd)
    }

    /// Takes the rename of a directory that seemed to be replaced, but has reported its own move.
    pub fn take_replaced(&mut self, wd: i32) -> Option<Pending> {
        let cookie = self.by_replaced.get(wd)?;
        self.take(cookie)
    }

    /// Returns the cookies of the renames without a fence, each with the directory for the barrier.
    pub fn unfenced(&self) -> Vec<(u32, NodeRef)> {
        let pending = self.pending.values().filter(|pending| !pending.fenced);
        let swaps = self.swaps.values().filter(|swap| !swap.fenced);
        let pending = pending.map(|pending| (pending.cookie, pending.from.0));
        pending.chain(swaps.map(|swap| (swap.cookie, swap.to.0))).collect()
    }

    /// Marks a rename whose end is on the agenda.
    pub fn fence(&mut self, cookie: u32) {
        if let Some(pending) = self.pending.get_mut(cookie) {
            pending.fenced = true;
        } else if let Some(swap) = self.swaps.get_mut(cookie) {
            swap.fenced = true;
        }
    }

    /// Takes all renames and swaps.
    pub fn take_all(&mut self) -> Vec<Ended> {
        let old = core::mem::take(self);
        let pending = old.pending.into_values().map(Ended::Rename);
        pending.chain(old.swaps.into_values().map(Ended::Swap)).collect()
    }

    /// Forgets the recent names in a removed directory.
    pub fn forget(&mut self, dir: NodeRef) {
        self.recent.retain(|recent| recent.place.0 != dir);
    }

    /// Notes that an event of a name came from the directory: if it is the victim of a swap, it still exists.
    pub fn mark_alive(&mut self, dir: NodeRef) {
        let cookie = self.by_node.get(dir);
        let swap = cookie.and_then(|cookie| self.swaps.get_mut(cookie));
        if let Some(swap) = swap.filter(|swap| swap.victim == dir) {
            swap.alive = Some(true);
        }
    }

    /// Returns the first of the directories that may have been replaced, and the cookie of that swap.
    pub fn swap_above(&self, mut dirs: impl Iterator<Item = NodeRef>) -> Option<(NodeRef, u32)> {
        if self.swaps.is_empty() {
            return None;
        }
        dirs.find_map(|dir| {
            let swap = self.swaps.get(self.by_node.get(dir)?)?;
            (swap.victim == dir && swap.alive != Some(true)).then_some((dir, swap.cookie))
        })
    }

    /// Takes the swap of which the directory is the victim.
    pub fn take_swap_of(&mut self, victim: NodeRef) -> Option<Swap> {
        let cookie = self.by_node.get(victim)?;
        self.swaps.get(cookie).filter(|swap| swap.victim == victim)?;
        self.take_swap(cookie)
    }

    /// Returns `true` if a rename of the directory is pending.
    pub fn has_of(&self, node: NodeRef) -> bool {
        self.by_node.contains(node)
    }

    /// Returns `true` if a pending rename leads from or to this name.
    pub fn has(&self, dir: NodeRef, name: &[u8]) -> bool {
        let is_it = |place: &Place| place.0 == dir && *place.1 == *name;
        self.cookies_in(dir).any(|cookie| {
            let pending = self.pending.get(cookie);
            let swap = self.swaps.get(cookie);
            pending.is_some_and(|p| is_it(&p.from) || p.to.as_ref().is_some_and(is_it))
                || swap.is_some_and(|swap| is_it(&swap.from) || is_it(&swap.to))
        })
    }
}

/// Returns the place of a name in a directory.
pub(super) fn place(dir: NodeRef, name: &[u8]) -> Place {
    (dir, Box::from(name))
}
