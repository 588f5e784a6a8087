//! The one list of checks and other tasks that wait for a position of the stream.
//!
//! An entry is due at a position. While that is not known yet, the entry is *fresh*: the next
//! [`seal`](Agenda::seal) sets it to the end of the queue. The entries that are due at one position run in
//! the order of [`Phase`], and within a phase in the order in which they were added.
//!
//! Invariant: a name has at most one check, and each check is in `due` once.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::event::TreeKind;
use super::nodes::NodeRef;
use crate::keys::{KeySet, Table};

/// A directory and a name in it.
pub(super) type Place = (NodeRef, Box<[u8]>);

/// What a scan has shown at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    File,
    /// This known directory.
    Known(NodeRef),
    /// A directory that is not known.
    Unknown,
}

/// The effect of the last event of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastEvent {
    Left,
    Came,
    /// This directory came, by its own `MOVE_SELF`.
    Moved(NodeRef),
}

/// A pending comparison of a name with the disk.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// What a scan has shown. It holds unless an event of the name comes before the check is due.
    pub seen: Option<Seen>,
    /// `true` if a file of this name may exist that was not reported.
    pub unreported_file: bool,
    /// `true` if a file of this name was reported.
    pub reported_file: bool,
    /// The effect of the last event of the name.
    pub last_event: Option<LastEvent>,
    /// `true` if a scan has added the directory, and the event by which it came may still follow.
    pub ahead: bool,
    /// The place of the file that left this name last. If a file is still here, it is another one: both were
    /// exchanged.
    pub exchanged: Option<Place>,
    /// `true` if events were lost, so that everything beneath has to be compared as well.
    pub deep: bool,
    /// `true` if a watched directory was not found. The check then runs after the others, since the directory
    /// may be found at another name.
    pub last: bool,
    /// The place where the directory that was seen is known, and whether it was seen there as well.
    pub elsewhere: Option<(Place, bool)>,
    /// `true` if the check only finds out why the directory was not reached: it probably exists.
    pub unreached: bool,
    /// The number of scans that failed because of a change meanwhile.
    pub tries: u32,
}

impl Check {
    /// Returns a check of a name at which a file may exist that was not reported.
    pub fn unreported_file() -> Self {
        Self { unreported_file: true, ..Self::default() }
    }

    /// Returns a check of a directory that a scan has added.
    pub fn added(node: NodeRef) -> Self {
        Self { seen: Some(Seen::Known(node)), ahead: true, ..Self::default() }
    }

    /// Returns `true` if a scan has shown a directory.
    const fn shows_dir(&self) -> bool {
        matches!(self.seen, Some(Seen::Known(_) | Seen::Unknown))
    }

    /// Returns `true` if a known directory was found here, and will be moved here once that is certain.
    const fn is_moving(&self) -> bool {
        self.elsewhere.is_some() && !self.last
    }
}

#[derive(Debug)]
struct Entry {
    check: Check,
    /// `None` while it is parked until the directory can be listed.
    due: Option<Due>,
}

/// A task that is due.
#[derive(Debug)]
pub(super) enum Task {
    /// End the rename with this cookie: no more events belong to it.
    Close(u32),
    /// Close the window of a listing.
    Window(NodeRef),
    /// Check a name.
    Check(Place, Check),
    /// Finish a repeated listing: the names in it that could not be examined have been.
    Listed(NodeRef),
    /// List a directory and compare it, with everything beneath it.
    Compare(NodeRef),
    /// Report the end of the set-up, or of the comparison after an overflow.
    Complete(TreeKind),
}

/// The order of tasks at one position.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Close,
    Window,
    Name,
    Listed,
    Compare,
    Last,
    Complete,
}

/// The position, and the order there: the phase in the upper eight bits, and the number of the task.
type Due = (u64, u64);

const PHASE_SHIFT: u32 = 56;

/// Due at the end of the queue, which is not known yet.
const FRESH: u64 = u64::MAX - 1;
/// As `FRESH`, but not before a read has found the queue empty.
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

/// When to run a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At this position.
    At(u64),
    /// At the end of the queue.
    End,
    /// Once a read has found the queue empty: the queued events probably make it unnecessary.
    Idle,
}

#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: Table<Due, Item>,
    checks: Table<NodeRef, BTreeMap<Box<[u8]>, Entry>>,
    /// The directories with a pending comparison.
    compares: KeySet<NodeRef>,
    sequence: u64,
    /// The number of checks that an overflow has left.
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
        // 2^56 tasks are never added.
        self.sequence = self.sequence.wrapping_add(1);
        let due = (at, (phase as u64) << PHASE_SHIFT | self.sequence);
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
        if self.compares.add(dir) {
            self.put(when, Phase::Compare, Item::Compare(dir));
        }
    }

    fn entry(&self, dir: NodeRef, name: &[u8]) -> Option<&Entry> {
        self.checks.get(dir)?.get(name)
    }

    fn entry_mut(&mut self, dir: NodeRef, name: &[u8]) -> Option<&mut Entry> {
        self.checks.get_mut(dir)?.get_mut(name)
    }

    /// Returns `true` if a check or comparison is pending.
    pub fn has_checks(&self) -> bool {
        !self.checks.is_empty() || !self.compares.is_empty()
    }

    /// Returns `true` if a comparison of a directory with everything beneath it is pending.
    pub fn has_deep(&self) -> bool {
        self.deep > 0 || !self.compares.is_empty()
    }

    /// Returns `true` if a comparison of this directory, at this name, with everything beneath it is pending.
    pub fn is_deep(&self, node: NodeRef, dir: NodeRef, name: &[u8]) -> bool {
        let entry = self.entry(dir, name);
        self.compares.contains(node) || entry.is_some_and(|entry| entry.check.deep)
    }

    /// Reports `kind` once all pending comparisons are done.
    pub fn complete(&mut self, kind: TreeKind, when: When) {
        self.put(when, Phase::Complete, Item::Complete(kind));
    }

    /// Adds a check of a name, or merges it with the pending one. An earlier scan no longer counts.
    pub fn check(&mut self, dir: NodeRef, name: &[u8], mut check: Check, when: When) {
        if let Some(old) = self.take(dir, name) {
            if old.unreported_file && check.seen == Some(Seen::Nothing) {
                // It has shown no directory, which says nothing about files.
                check.seen = None;
            }
            check.unreported_file |= old.unreported_file;
            check.reported_file |= old.reported_file;
            check.last_event = check.last_event.or(old.last_event);
            check.ahead |= old.ahead;
            check.deep |= old.deep;
            check.unreached &= old.unreached;
            check.tries = check.tries.max(old.tries);
            check.exchanged = check.exchanged.or(old.exchanged);
        }
        // The checks of names that may be in the way run first.
        let phase = if check.last || check.tries > 0 { Phase::Last } else { Phase::Name };
        let due = self.put(when, phase, Item::Name((dir, name.into())));
        self.deep = self.deep.saturating_add(usize::from(check.deep));
        self.moving = self.moving.saturating_add(usize::from(check.is_moving()));
        self.set(dir, name, Entry { check, due: Some(due) });
    }

    fn set(&mut self, dir: NodeRef, name: &[u8], entry: Entry) {
        self.checks.change(dir, |names| {
            names.insert(name.into(), entry);
        });
    }

    /// Returns `true` if a check of the name is pending and not parked.
    pub fn is_scheduled(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.due.is_some())
    }

    /// Returns `true` if a pending check may find that what is known of a name is wrong.
    pub fn is_uncertain(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| !entry.check.unreached)
    }

    /// Returns `true` if the event of the directory at a name may not have come yet.
    pub fn is_ahead(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.check.ahead)
    }

    /// Returns `true` if a check of the name is pending, and no scan has shown the directory there.
    pub fn is_unconfirmed(&self, dir: NodeRef, name: &[u8], node: NodeRef) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.check.seen != Some(Seen::Known(node)))
    }

    /// Returns `true` if a scan has shown a directory at a name, and no event of the name has come since.
    pub fn shows_dir(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry(dir, name).is_some_and(|entry| entry.check.shows_dir())
    }

    /// Schedules a comparison of what is at a name, with everything beneath it, after the check of the name.
    pub fn deepen(&mut self, dir: NodeRef, name: &[u8]) {
        let entry = self.entry_mut(dir, name);
        match entry.filter(|entry| entry.due.is_some()) {
            Some(entry) => {
                // An earlier scan did not go deeper.
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

    /// Sets whether a file of the name may exist that was not reported, if a check of the name is pending.
    pub fn set_unreported_file(&mut self, dir: NodeRef, name: &[u8], unreported_file: bool) {
        if let Some(entry) = self.entry_mut(dir, name) {
            entry.check.unreported_file = unreported_file;
        }
    }

    /// Sets the effect of the last event of the name, if a check of the name is pending.
    pub fn set_last_event(&mut self, dir: NodeRef, name: &[u8], event: LastEvent) {
        if let Some(entry) = self.entry_mut(dir, name) {
            entry.check.last_event = Some(event);
        }
    }

    /// Returns the effect of the last event of a name, if a check of it is pending.
    pub fn last_event(&self, dir: NodeRef, name: &[u8]) -> Option<LastEvent> {
        self.entry(dir, name)?.check.last_event
    }

    /// Drops what a scan has shown at a name, since an event of the name has come. A directory that was shown
    /// stays if only a file has left: it left before.
    pub fn invalidate(&mut self, dir: NodeRef, name: &[u8], file_left: bool) {
        if let Some(entry) = self.entry_mut(dir, name) {
            let stays = file_left && entry.check.shows_dir();
            entry.check.seen.take_if(|_| !stays);
        }
    }

    /// Returns `true` if a file of this name was reported, and clears that.
    pub fn take_reported_file(&mut self, dir: NodeRef, name: &[u8]) -> bool {
        self.entry_mut(dir, name)
            .is_some_and(|entry| core::mem::take(&mut entry.check.reported_file))
    }

    /// Restores that a scan has shown `node` at a name: the event that ended this was of the directory before
    /// it.
    pub fn confirm(&mut self, dir: NodeRef, name: &[u8], node: NodeRef) {
        let entry = self.entry_mut(dir, name);
        if let Some(entry) = entry.filter(|entry| !entry.check.deep) {
            entry.check.seen = Some(Seen::Known(node));
        }
    }

    /// Removes a check and returns it.
    pub fn take(&mut self, dir: NodeRef, name: &[u8]) -> Option<Check> {
        let names = self.checks.get_mut(dir)?;
        let Entry { check, due } = names.remove(name)?;
        if names.is_empty() {
            self.checks.remove(dir);
        }
        if let Some(due) = due {
            self.due.remove(due);
        }
        self.uncount(&check);
        Some(check)
    }

    fn uncount(&mut self, check: &Check) {
        self.deep = self.deep.saturating_sub(usize::from(check.deep));
        self.moving = self.moving.saturating_sub(usize::from(check.is_moving()));
    }

    /// Removes all checks of names in a directory that is gone.
    pub fn forget(&mut self, dir: NodeRef) {
        for Entry { check, due } in self.checks.remove(dir).unwrap_or_default().into_values() {
            if let Some(due) = due {
                self.due.remove(due);
            }
            self.uncount(&check);
        }
    }

    /// Parks a check until the directory can be listed.
    pub fn park(&mut self, dir: NodeRef, name: &[u8], check: Check) {
        let old = self.take(dir, name);
        let unreported_file = check.unreported_file || old.is_some_and(|old| old.unreported_file);
        let check = Check { unreported_file, exchanged: check.exchanged, ..Check::default() };
        self.set(dir, name, Entry { check, due: None });
    }

    /// Returns `true` if a check of a name in the directory is parked.
    pub fn has_parked(&self, dir: NodeRef) -> bool {
        self.checks.get(dir).into_iter().flatten().any(|(_, entry)| entry.due.is_none())
    }

    /// Makes the parked checks of a directory fresh, since it was listed.
    pub fn unpark(&mut self, dir: NodeRef) {
        let names = self.checks.get(dir).into_iter().flatten();
        let parked = names.filter(|(_, entry)| entry.due.is_none()).map(|(name, _)| name.clone());
        for name in parked.collect::<Vec<_>>() {
            self.check(dir, &name, Check::default(), When::End);
        }
    }

    /// Adds a [`Task::Listed`] behind the checks that are fresh now.
    pub fn listed(&mut self, dir: NodeRef) {
        self.put(When::End, Phase::Listed, Item::Listed(dir));
    }

    /// Takes the first task that is due at position `at`.
    pub fn next(&mut self, at: u64) -> Option<Task> {
        loop {
            let due = self.due.keys().next().filter(|due| due.0 <= at)?;
            let is_last = due.1 >> PHASE_SHIFT == Phase::Last as u64;
            match self.due.remove(due)? {
                Item::Name((dir, name)) if is_last && self.moving > 0 => {
                    // It may be the directory that was found elsewhere.
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
                    self.compares.remove(dir);
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

    /// Returns `true` if a task is due.
    pub fn is_due(&self, at: u64) -> bool {
        self.due.keys().next().is_some_and(|due| due.0 <= at)
    }

    /// Returns `true` if tasks wait for [`seal`](Self::seal).
    pub fn is_fresh(&self) -> bool {
        self.due.keys_from((FRESH, 0)).next().is_some_and(|due| due.0 == FRESH)
    }

    /// Returns `true` if tasks wait for the queue to be empty.
    pub fn is_idle(&self) -> bool {
        self.due.last_key().is_some_and(|due| due.0 == IDLE)
    }

    /// Sets fresh tasks to be due at `end`, where the queue ends now. If the queue is empty (`idle`), also
    /// the tasks that wait for that.
    pub fn seal(&mut self, end: u64, idle: bool) {
        let fresh = self.due.keys_from((FRESH, 0)).take_while(|due| idle || due.0 == FRESH);
        for due in fresh.collect::<Vec<_>>() {
            let sealed = (end, due.1);
            let Some(item) = self.due.remove(due) else { continue };
            if let Item::Name((dir, name)) = &item {
                if let Some(entry) = self.entry_mut(*dir, name) {
                    entry.due = Some(sealed);
                }
            }
            self.due.insert(sealed, item);
        }
    }
}
