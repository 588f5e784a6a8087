//! All pending groups, by path, by dependency, and by deadline.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::entry::{Entry, Id, Origin};
use super::group::Group;
use crate::keys::{KeySet, Table};
use crate::watcher::WatchId;

/// The times after which a group is emitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub quiet: Duration,
    pub max_delay: Option<Duration>,
    pub per_watch: bool,
}

impl Timing {
    pub fn cap(&self, first: Instant) -> Option<Instant> {
        first.checked_add(self.max_delay?)
    }

    /// Returns the deadline of a group with a first and a last event at these times; `None` if it has no
    /// deadline.
    pub fn end(&self, first: Instant, last: Instant) -> Option<Instant> {
        let quiet = last.checked_add(self.quiet);
        let cap = self.cap(first);
        quiet.into_iter().chain(cap).min()
    }
}

/// The owner of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Entry(Id),
    Watch(Option<WatchId>),
}

/// The pending entries of one watch.
#[derive(Debug, Default)]
struct Scope {
    /// For each path, the last entry that concerns it. No later entry concerns a directory above the path.
    paths: BTreeMap<PathBuf, Id>,
    members: KeySet<Id>,
    /// The times of the first and the last event. Used with `per_watch`.
    times: Option<(Instant, Instant)>,
    deadline: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub timing: Timing,
    entries: HashMap<Id, Entry>,
    scopes: Table<Option<WatchId>, Scope>,
    deadlines: BTreeSet<(Instant, Target)>,
    next_id: Id,
    next_order: u64,
}

impl Pending {
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            entries: HashMap::new(),
            scopes: Table::new(),
            deadlines: BTreeSet::new(),
            next_id: 0,
            next_order: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn get(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Changes an entry, and updates its deadline.
    pub fn change(&mut self, id: Id, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(&id) {
            change(entry);
            self.schedule(id);
        }
    }

    /// Returns the last entry that concerns a path.
    pub fn at(&self, watch: Option<WatchId>, path: &Path) -> Option<Id> {
        self.scopes.get(watch)?.paths.get(path).copied()
    }

    pub fn set_at(&mut self, watch: Option<WatchId>, path: PathBuf, id: Id) {
        self.scopes.change(watch, |scope| {
            scope.paths.insert(path, id);
        });
    }

    /// Removes the path from the index if this entry is the last one that concerns it.
    pub fn clear_at(&mut self, watch: Option<WatchId>, path: &Path, id: Id) {
        if let Some(scope) = self.scopes.get_mut(watch) {
            if scope.paths.get(path) == Some(&id) {
                scope.paths.remove(path);
            }
        }
    }

    /// Returns the entries of directories above a path that must be emitted before entries at the path.
    pub fn above(&self, watch: Option<WatchId>, path: &Path) -> KeySet<Id> {
        let Some(scope) = self.scopes.get(watch) else { return KeySet::new() };
        let above = path.ancestors().skip(1).filter_map(|path| scope.paths.get(path).copied());
        above.filter(|&id| self.get(id).is_some_and(Entry::is_structural)).collect()
    }

    /// Returns the paths beneath a directory, each with the last entry that concerns it.
    pub fn beneath(&self, watch: Option<WatchId>, path: &Path) -> Vec<(PathBuf, Id)> {
        let Some(scope) = self.scopes.get(watch) else { return Vec::new() };
        let after = (Bound::Excluded(path), Bound::Unbounded);
        let beneath = scope.paths.range::<Path, _>(after);
        let beneath = beneath.take_while(|(beneath, _)| beneath.starts_with(path));
        beneath.map(|(path, &id)| (path.clone(), id)).collect()
    }

    /// Adds an entry after all others. It depends on the previous entries of its paths, and on those in
    /// `after`.
    pub fn insert(&mut self, mut entry: Entry, after: &KeySet<Id>) -> Id {
        let id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        entry.order = self.new_order();
        let other = match &entry.origin {
            Origin::Local => None,
            Origin::Renamed { watch, from: other } => Some((*watch, other.clone())),
            Origin::Exchanged { with } => Some((entry.watch, with.clone())),
        };
        let mut after = after.clone();
        after.extend(self.at(entry.watch, &entry.path));
        entry.follows = self.at(entry.watch, &entry.path).is_some();
        if let Some((watch, other)) = other {
            after.extend(self.at(watch, &other));
            self.set_at(watch, other, id);
        }
        self.set_at(entry.watch, entry.path.clone(), id);
        if let Some(scope) = self.scopes.get_mut(entry.watch) {
            scope.members.add(id);
        }
        self.entries.insert(id, entry);
        self.depend(id, &after);
        self.schedule(id);
        id
    }

    fn new_order(&mut self) -> u64 {
        self.next_order = self.next_order.saturating_add(1);
        self.next_order
    }

    /// Moves an entry after all others in the order.
    pub fn reorder(&mut self, id: Id) {
        let order = self.new_order();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.order = order;
        }
    }

    /// Makes an entry depend on others.
    pub fn depend(&mut self, id: Id, after: &KeySet<Id>) {
        for other in after.keys().filter(|&other| other != id) {
            if let Some(first) = self.entries.get_mut(&other) {
                first.dependents.add(id);
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.depends_on.add(other);
                }
            }
        }
    }

    /// Makes an entry depend on the entries `after`, so that new events can be merged into it. Moves it
    /// after all others if necessary.
    ///
    /// Returns `false`, without an effect, if an entry that is not in `moved` depends on it and the move
    /// would be necessary.
    pub fn join(&mut self, id: Id, after: &KeySet<Id>, moved: &KeySet<Id>) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let order = entry.order;
        let is_before = |other: Id| self.get(other).is_none_or(|other| other.order < order);
        if !after.keys().all(|other| other == id || is_before(other)) {
            if !entry.dependents.is_subset(moved) {
                return false;
            }
            self.reorder(id);
        }
        self.depend(id, after);
        true
    }

    /// Removes an entry. Others no longer depend on it.
    pub fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, Target::Entry(id)));
        }
        self.clear_at(entry.watch, &entry.path, id);
        match &entry.origin {
            Origin::Local => {}
            Origin::Renamed { watch, from } => self.clear_at(*watch, from, id),
            Origin::Exchanged { with } => self.clear_at(entry.watch, with, id),
        }
        for other in entry.depends_on.keys() {
            if let Some(other) = self.entries.get_mut(&other) {
                other.dependents.remove(id);
            }
        }
        for other in entry.dependents.keys() {
            self.change(other, |other| {
                other.depends_on.remove(id);
            });
        }
        self.leave(entry.watch, id);
        if let Origin::Renamed { watch, .. } = &entry.origin {
            self.remove_if_empty(*watch);
        }
        Some(entry)
    }

    /// Removes an entry from the members of a watch.
    fn leave(&mut self, watch: Option<WatchId>, id: Id) {
        let Some(scope) = self.scopes.get_mut(watch) else { return };
        scope.members.remove(id);
        if scope.members.is_empty() {
            scope.times = None;
            if let Some(deadline) = scope.deadline.take() {
                self.deadlines.remove(&(deadline, Target::Watch(watch)));
            }
        }
        self.remove_if_empty(watch);
    }

    /// Removes the scope of a watch if nothing of it is pending.
    fn remove_if_empty(&mut self, watch: Option<WatchId>) {
        let is_empty = |scope: &Scope| scope.members.is_empty() && scope.paths.is_empty();
        if self.scopes.get(watch).is_some_and(is_empty) {
            self.scopes.remove(watch);
        }
    }

    /// Moves an entry to another path.
    pub fn relocate(&mut self, id: Id, watch: Option<WatchId>, path: PathBuf) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let old_watch = std::mem::replace(&mut entry.watch, watch);
        let old_path = std::mem::replace(&mut entry.path, path.clone());
        if self.at(old_watch, &old_path) == Some(id) {
            self.clear_at(old_watch, &old_path, id);
            if let Some(previous) = self.previous(id, old_watch, &old_path) {
                self.set_at(old_watch, old_path, previous);
            }
        }
        self.set_at(watch, path, id);
        if let Some(scope) = self.scopes.get_mut(watch) {
            scope.members.add(id);
        }
        if old_watch != watch {
            self.leave(old_watch, id);
        }
    }

    /// Returns the last entry before this one that concerns a path.
    fn previous(&self, id: Id, watch: Option<WatchId>, path: &Path) -> Option<Id> {
        let depends_on = &self.get(id)?.depends_on;
        let entries = depends_on.keys().filter_map(|id| Some((id, self.get(id)?)));
        let concerned = entries.filter(|(_, entry)| entry.concerns(watch, path));
        concerned.max_by_key(|(_, entry)| entry.order).map(|(id, _)| id)
    }

    /// Updates the deadline of an entry.
    fn schedule(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if self.timing.per_watch {
            let (watch, first, last) = (entry.watch, entry.first, entry.last);
            return self.extend(watch, first, last);
        }
        let deadline = if entry.depends_on.is_empty() {
            self.timing.end(entry.first, entry.last)
        } else {
            // It waits for other entries, so only its maximum delay counts.
            self.timing.cap(entry.first)
        };
        if deadline != entry.deadline {
            if let Some(old) = entry.deadline {
                self.deadlines.remove(&(old, Target::Entry(id)));
            }
            entry.deadline = deadline;
            if let Some(new) = deadline {
                self.deadlines.insert((new, Target::Entry(id)));
            }
        }
    }

    /// Adds an event to the times of a watch. Has an effect only with `per_watch`, if the watch has
    /// entries.
    pub fn extend(&mut self, watch: Option<WatchId>, first: Instant, last: Instant) {
        let Some(scope) = self.scopes.get_mut(watch) else { return };
        if !self.timing.per_watch || scope.members.is_empty() {
            return;
        }
        let (old_first, old_last) = scope.times.unwrap_or((first, last));
        let (first, last) = (old_first.min(first), old_last.max(last));
        scope.times = Some((first, last));
        let deadline = self.timing.end(first, last);
        if deadline != scope.deadline {
            if let Some(old) = scope.deadline {
                self.deadlines.remove(&(old, Target::Watch(watch)));
            }
            scope.deadline = deadline;
            if let Some(new) = deadline {
                self.deadlines.insert((new, Target::Watch(watch)));
            }
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Returns the entries that are due.
    pub fn due(&self, now: Instant) -> Vec<Id> {
        let due = self.deadlines.iter().take_while(|&&(deadline, _)| deadline <= now);
        let mut ids = Vec::new();
        for &(_, target) in due {
            match target {
                Target::Entry(id) => ids.push(id),
                Target::Watch(watch) => ids.extend(self.of(watch)),
            }
        }
        ids
    }

    /// Returns the entries of a watch.
    pub fn of(&self, watch: Option<WatchId>) -> impl Iterator<Item = Id> {
        self.scopes.get(watch).into_iter().flat_map(|scope| scope.members.keys())
    }

    pub fn all(&self) -> impl Iterator<Item = Id> {
        self.entries.keys().copied()
    }

    /// Removes entries, and before each those that it depends on, and appends their groups. Otherwise the
    /// order is that of their first events.
    pub fn take(&mut self, mut ids: Vec<Id>, groups: &mut impl Extend<Group>) {
        ids.sort_by_cached_key(|&id| self.get(id).map(|entry| (entry.first, entry.order)));
        for id in ids {
            let mut stack = vec![id];
            while let Some(&top) = stack.last() {
                let first = self.get(top).and_then(|entry| entry.depends_on.keys().next());
                if let Some(first) = first {
                    stack.push(first);
                } else {
                    stack.pop();
                    groups.extend(self.remove(top).and_then(Entry::into_group));
                }
            }
        }
    }
}
