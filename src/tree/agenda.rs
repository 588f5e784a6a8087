//! The one list of what is still to be compared with the disk, or to be ended, and when.
//!
//! An entry is due at a position of the stream. Where that position is not known yet it is *fresh*:
//! the next [`seal`](Agenda::seal) gives it the end of the queue. Of what is due at one position,
//! the kinds come in the order of [`Phase`], and those of a kind in the order in which they were
//! added.
//!
//! Invariant: a name has one check at most, and each check stands in `due` once.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::event::TreeKind;
use super::nodes::NodeRef;

/// A directory, and a name in it.
pub(super) type Place = (NodeRef, Box<[u8]>);

/// What a look at a name has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    File,
    /// A directory of the tree.
    Known(NodeRef),
    /// A directory that is not in the tree.
    Unknown,
}

/// What an event of a name did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastEvent {
    Left,
    Came,
    /// This directory came: it said so itself, by `MOVE_SELF`.
    Moved(NodeRef),
}

/// A promise to compare a name with the disk.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// What a look has shown, which holds unless an event of that name comes before the check is due.
    pub seen: Option<Seen>,
    /// A file of that name may not have been reported.
    pub owes_file: bool,
    /// A file of that name was reported.
    pub told_file: bool,
    /// What the last event of that name did.
    pub last_event: Option<LastEvent>,
    /// A look has added the directory, and the event by which it came may still follow.
    pub ahead: bool,
    /// Where the file is now that left this name last, and which is another one if there is still a
    /// file here: the two were exchanged.
    pub exchanged: Option<Place>,
    /// Events were lost, so what is beneath has to be compared as well.
    pub deep: bool,
    /// Nothing was found where a watched directory was: waits until others are looked at, since it
    /// may be found at another name.
    pub last: bool,
    /// Where the directory that was seen is known to be, and whether it was seen there as well.
    pub elsewhere: Option<(Place, bool)>,
    /// Only to find out why the directory was not reached: nothing says that it is not there.
    pub unreached: bool,
    /// How many looks failed because something changed meanwhile.
    pub tries: u32,
}

impl Check {
    /// A check of a name at which there may be a file that was not reported.
    pub fn owing() -> Self {
        Self { owes_file: true, ..Self::default() }
    }

    /// A check of a directory that a look has added.
    pub fn added(node: NodeRef) -> Self {
        Self { seen: Some(Seen::Known(node)), ahead: true, ..Self::default() }
    }

    /// A look has shown a directory.
    const fn shows_dir(&self) -> bool {
        matches!(self.seen, Some(Seen::Known(_) | Seen::Unknown))
    }

    /// A known directory was found, and will be moved here once that is sure.
    const fn is_moving(&self) -> bool {
        self.elsewhere.is_some() && !self.last
    }
}

#[derive(Debug)]
struct Entry {
    check: Check,
    /// `None` where it waits until the directory can be listed.
    due: Option<Due>,
}

/// What is to be done at a position.
#[derive(Debug)]
pub(super) enum Task {
    /// No more events of a rename come.
    Close(u32),
    /// All events that a listing was ahead of have come.
    Window(NodeRef),
    /// A name is to be compared.
    Check(Place, Check),
    /// A directory was listed again, and the names in it that could not be looked at have been.
    Listed(NodeRef),
    /// A directory is to be listed and compared, with all beneath it.
    Compare(NodeRef),
    /// All that the set-up, or the loss of events, left to be found has been reported.
    Complete(TreeKind),
}

/// The order at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Close,
    Window,
    Name,
    Listed,
    Compare,
    Last,
    Complete,
}

type Due = (u64, Phase, u64);

/// Due at the end of the queue, wherever that will be found to be.
const FRESH: u64 = u64::MAX - 1;
/// The same, but not before the queue has been found empty.
const IDLE: u64 = u64::MAX;

#[derive(Debug)]
enum Item {
    Close(u32),
    Window(NodeRef),
    Name(Place),
    Listed(NodeRef),
    Compare(NodeRef),
    Complete(TreeKind),
}

/// When an entry is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At this position.
    At(u64),
    /// At the end of the queue.
    End,
    /// Once the queue has been found empty: events that are queued will probably do without it.
    Idle,
}

#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeMap<Due, Item>,
    checks: BTreeMap<NodeRef, BTreeMap<Box<[u8]>, Entry>>,
    /// The directories that are to be compared.
    compares: BTreeSet<NodeRef>,
    sequence: u64,
    /// The number of checks that a loss of events has left.
    deep: usize,
    /// The number of checks that have found a known directory at another name.
    moving: usize,
}

impl Agenda {
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn put(&mut self, when: When, phase: Phase, item: Item) -> Due {
        let at = match when {
            When::At(at) => at,
            When::End => FRESH,
            When::Idle => IDLE,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let due = (at, phase, self.sequence);
        self.due.insert(due, item);
        due
    }

    pub fn close(&mut self, cookie: u32, at: u64) {
        self.put(When::At(at), Phase::Close, Item::Close(cookie));
    }

    pub fn window(&mut self, dir: NodeRef, when: When) {
        self.put(when, Phase::Window, Item::Window(dir));
    }

    pub fn compare(&mut self, dir: NodeRef, when: When) {
        if self.compares.insert(dir) {
            self.put(when, Phase::Compare, Item::Compare(dir));
        }
    }

    fn entry(&self, dir: NodeRef, name: &[u8]) -> Option<&Entry> {
        self.checks.get(&dir)?.get(name)
    }

    fn entry_mut(&mut self, dir: NodeRef, name: &[u8]) -> Option<&mut Entry> {
        self.checks.get_mut(&dir)?.get_mut(name)
    }

    /// Returns `true` if something is to be compared.
    pub fn has_checks(&self) -> bool {
        !self.checks.is_empty() || !self.compares.is_empty()
    }

    /// Returns `true` if some directory is to be compared with all beneath it.
    pub fn has_deep(&self) -> bool {
        self.deep > 0 || !self.compares.is_empty()
    }

    /// Returns `true` if the directory at a name is to be compared with all beneath it.
    pub fn is_deep(&self, node: NodeRef, dir: NodeRef, name: &[u8]) -> bool {
        let entry = self.entry(dir, name);
        self.compares.contains(&node) || entry.is_some_and(|entry| entry.check.deep)
    }

    /// Has `kind` reported once all that was to be compared has been.
    pub fn complete(&mut self, kind: TreeKind, when: When) {
        self.put(when, Phase::Complete, Item::Complete(kind));
    }

    /// Adds a check of a name, or merges it with the one there is. An earlier look no longer counts.
    pub fn check(&mut self, dir: NodeRef, name: &[u8], mut check: Check, when: When) {
        if let Some(old) = self.take(dir, name) {
            if old.owes_file && check.seen == Some(Seen::Nothing) {
                // No directory, which says nothing of files.
                check.seen = None;
            }
            check.owes_file |= old.owes_file;
            check.told_file |= old.told_file;
            check.last_event = check.last_event.or(old.last_event);
            check.ahead |= old.ahead;
            check.deep |= old.deep;
            check.unreached &= old.unreached;
            check.tries = check.tries.max(old.tries);
            check.exchanged = check.exchanged.or(old.exchanged);
        }
        // What was in the way is looked at first.
        let phase = if check.last || check.tries > 0 { Phase::Last } else { Phase::Name };
        let due = self.put(when, phase, Item::Name((dir, name.into())));
        self.deep = self.deep.saturating_add(usize::from(check.deep));
        self.moving = self.moving.saturating_add(usize::from(check.is_moving()));
        self.checks.entry(dir).or_default().insert(name.into(), Entry { check, due: Some(due) });
    }

    /// Returns `true` if the name is to be checked, and the check is not put aside.
    pub fn is_scheduled(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.due.is_some())
    }

    /// Returns `true` if something says that what is known of a name may not be so.
    pub fn is_uncertain(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| !entry.check.unreached)
    }

    /// Returns `true` if the directory at a name may not have come yet.
    pub fn is_ahead(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.check.ahead)
    }

    /// Returns `true` if a directory is perhaps not at a name: no look has shown it there.
    pub fn doubts(&self, dir: NodeRef, name: &[u8], node: NodeRef) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.check.seen != Some(Seen::Known(node)))
    }

    /// Returns `true` if a look has shown a directory at a name, and no event of it has come since.
    pub fn shows_dir(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.check.shows_dir())
    }

    /// Has what is at a name compared with all beneath it, once the name has been checked.
    pub fn deepen(&mut self, dir: NodeRef, name: &[u8]) {
        let entry = self.entry_mut(dir, name);
        match entry.filter(|entry| entry.due.is_some()) {
            Some(entry) => {
                // An earlier look did not include what is beneath.
                entry.check.seen = None;
                let before = core::mem::replace(&mut entry.check.deep, true);
                self.deep = self.deep.saturating_add(usize::from(!before));
            }
            None => {
                let check = Check { deep: true, unreached: true, ..Check::default() };
                self.check(dir, name, check, When::End);
            }
        }
    }

    /// If the name is to be checked, changes whether there may be a file that was not reported.
    pub fn set_owes_file(&mut self, dir: NodeRef, name: &[u8], owes_file: bool) {
        if let Some(entry) = self.entry_mut(dir, name) {
            entry.check.owes_file = owes_file;
        }
    }

    /// If the name is to be checked, notes what an event of it did.
    pub fn set_last_event(&mut self, dir: NodeRef, name: &[u8], event: LastEvent) {
        if let Some(entry) = self.entry_mut(dir, name) {
            entry.check.last_event = Some(event);
        }
    }

    /// What the last event of a name did, if that has been noted.
    pub fn last_event(&self, dir: NodeRef, name: &[u8]) -> Option<LastEvent> {
        self.entry(dir, name)?.check.last_event
    }

    /// Call it when an event of that name has come: what a look has shown may be out of date. But not that a
    /// directory is there, if only a file has left: it did so before.
    pub fn disturb(&mut self, dir: NodeRef, name: &[u8], file_left: bool) {
        if let Some(entry) = self.entry_mut(dir, name) {
            let stays = file_left && entry.check.shows_dir();
            entry.check.seen.take_if(|_| !stays);
        }
    }

    /// Returns `true` if the check says that a file of that name was reported. Then it no longer does.
    pub fn take_told_file(&mut self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry_mut(dir, name).is_some_and(|entry| core::mem::take(&mut entry.check.told_file))
    }

    /// An event of that name was of the directory that was there before `node`: if a look has shown `node`
    /// there, it still is.
    pub fn confirm(&mut self, dir: NodeRef, name: &[u8], node: NodeRef) {
        let entry = self.entry_mut(dir, name);
        if let Some(entry) = entry.filter(|entry| !entry.check.deep) {
            entry.check.seen = Some(Seen::Known(node));
        }
    }

    /// Takes a check back.
    pub fn take(&mut self, dir: NodeRef, name: &[u8]) -> Option<Check> {
        let names = self.checks.get_mut(&dir)?;
        let Entry { check, due } = names.remove(name)?;
        if names.is_empty() {
            self.checks.remove(&dir);
        }
        if let Some(due) = due {
            self.due.remove(&due);
        }
        self.uncount(&check);
        Some(check)
    }

    fn uncount(&mut self, check: &Check) {
        self.deep = self.deep.saturating_sub(usize::from(check.deep));
        self.moving = self.moving.saturating_sub(usize::from(check.is_moving()));
    }

    /// Takes back all checks of the names in a directory that is gone.
    pub fn forget(&mut self, dir: NodeRef) {
        for Entry { check, due } in self.checks.remove(&dir).unwrap_or_default().into_values() {
            if let Some(due) = due {
                self.due.remove(&due);
            }
            self.uncount(&check);
        }
    }

    /// Puts a check aside until the directory can be listed, and is compared then.
    pub fn park(&mut self, dir: NodeRef, name: &[u8], check: Check) {
        let old = self.take(dir, name);
        let owes_file = check.owes_file || old.is_some_and(|old| old.owes_file);
        let check = Check { owes_file, exchanged: check.exchanged, ..Check::default() };
        self.checks.entry(dir).or_default().insert(name.into(), Entry { check, due: None });
    }

    /// Returns `true` if a check of a name in the directory was put aside.
    pub fn has_parked(&self, dir: NodeRef) -> bool {
        self.checks.get(&dir).into_iter().flatten().any(|(_, entry)| entry.due.is_none())
    }

    /// The directory has been listed: what was put aside is fresh.
    pub fn unpark(&mut self, dir: NodeRef) {
        let names = self.checks.get(&dir).into_iter().flatten();
        let parked = names.filter(|(_, entry)| entry.due.is_none()).map(|(name, _)| name.clone());
        for name in parked.collect::<Vec<_>>() {
            self.check(dir, &name, Check::default(), When::End);
        }
    }

    /// Has [`Task::Listed`] follow the checks that are fresh now.
    pub fn listed(&mut self, dir: NodeRef) {
        self.put(When::End, Phase::Listed, Item::Listed(dir));
    }

    /// Takes what is due first, once the stream has come to `at`.
    pub fn next(&mut self, at: u64) -> Option<Task> {
        loop {
            let entry = self.due.first_entry().filter(|entry| entry.key().0 <= at)?;
            let is_last = entry.key().1 == Phase::Last;
            match entry.remove() {
                Item::Name((dir, name)) if is_last && self.moving > 0 => {
                    // It may be the one that was found elsewhere.
                    let check = self.take(dir, &name)?;
                    if check.elsewhere.is_some() {
                        return Some(Task::Check((dir, name), check));
                    }
                    self.check(dir, &name, check, When::End);
                }
                Item::Close(cookie) => return Some(Task::Close(cookie)),
                Item::Window(dir) => return Some(Task::Window(dir)),
                Item::Listed(dir) => return Some(Task::Listed(dir)),
                Item::Compare(dir) => {
                    self.compares.remove(&dir);
                    return Some(Task::Compare(dir));
                }
                Item::Complete(kind) if self.has_deep() => self.complete(kind, When::Idle),
                Item::Complete(kind) => return Some(Task::Complete(kind)),
                Item::Name((dir, name)) => {
                    if let Some(check) = self.take(dir, &name) {
                        return Some(Task::Check((dir, name), check));
                    }
                }
            }
        }
    }

    /// Returns `true` if something is due.
    pub fn is_due(&self, at: u64) -> bool {
        self.due.first_key_value().is_some_and(|(due, _)| due.0 <= at)
    }

    /// Returns `true` if entries wait for [`seal`](Self::seal).
    pub fn is_fresh(&self) -> bool {
        self.due.range((FRESH, Phase::Close, 0)..(IDLE, Phase::Close, 0)).next().is_some()
    }

    /// Returns `true` if entries wait for the queue to be empty.
    pub fn is_idle(&self) -> bool {
        self.due.last_key_value().is_some_and(|(due, _)| due.0 == IDLE)
    }

    /// The queue ends at `end` now: fresh entries are due there.
    pub fn seal(&mut self, end: u64, idle: bool) {
        let mut fresh = self.due.split_off(&(FRESH, Phase::Close, 0));
        if !idle {
            self.due.append(&mut fresh.split_off(&(IDLE, Phase::Close, 0)));
        }
        for ((_, phase, sequence), item) in fresh {
            let due = (end, phase, sequence);
            if let Item::Name((dir, name)) = &item {
                let names = self.checks.get_mut(dir);
                if let Some(entry) = names.and_then(|names| names.get_mut(name)) {
                    entry.due = Some(due);
                }
            }
            self.due.insert(due, item);
        }
    }
}
