//! The effect of a directory's change on the pending groups beneath it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::entry::{After, Before, Entry, Id, Origin};
use super::pending::Pending;
use super::step::{Batch, Level};
use crate::flags::EventMask;
use crate::keys::KeySet;
use crate::watcher::WatchId;

/// The counts and times of groups that were merged into another one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    events: u64,
    mask: EventMask,
    first: Option<Instant>,
}

impl Totals {
    pub fn add(&mut self, entry: &Entry) {
        self.events = self.events.saturating_add(entry.events);
        self.mask |= entry.mask;
        self.first = self.first.into_iter().chain([entry.first]).min();
    }

    pub fn add_to(self, batch: &mut Batch) {
        if let Some(first) = self.first {
            batch.add(self.events, self.mask, first);
        }
    }
}

/// Merges the groups beneath a directory whose old entries are gone. Adds the groups that can't be merged
/// to `after`, because they must be emitted first.
pub(super) fn merge_beneath(
    pending: &mut Pending,
    watch: Option<WatchId>,
    path: &Path,
    after: &mut KeySet<Id>,
) -> Totals {
    let mut totals = Totals::default();
    let beneath = pending.beneath(watch, path);
    for id in last_first(pending, &beneath) {
        let Some(entry) = pending.get(id) else { continue };
        let is_free = entry.dependents.is_empty();
        let is_beneath = entry.watch == watch && entry.path.starts_with(path);
        let (is_within, is_renamed) = match &entry.origin {
            Origin::Local => (is_beneath, false),
            Origin::Renamed { watch: other, from } => {
                (is_beneath && *other == watch && from.starts_with(path), is_beneath)
            }
            Origin::Exchanged { with } => (is_beneath && with.starts_with(path), false),
        };
        if is_free && is_within {
            if let Some(entry) = pending.remove(id) {
                totals.add(&entry);
                after.extend(entry.depends_on.keys());
            }
        } else if is_free && is_renamed {
            // The file was renamed to a path beneath, so only its removal is left.
            forget_target(pending, id);
        } else {
            after.add(id);
        }
    }
    *after = after.keys().filter(|&id| pending.get(id).is_some()).collect();
    for (path, id) in &beneath {
        pending.clear_at(watch, path, *id);
    }
    totals
}

/// Returns the entries in reverse order, so that each comes before those that it depends on.
fn last_first(pending: &Pending, beneath: &[(PathBuf, Id)]) -> Vec<Id> {
    let ids: KeySet<Id> = beneath.iter().map(|&(_, id)| id).collect();
    let mut ids: Vec<Id> = ids.keys().collect();
    ids.sort_by_cached_key(|&id| std::cmp::Reverse(pending.get(id).map(|entry| entry.order)));
    ids
}

/// Turns a rename from `a` to `b`, where the file was removed afterwards, into the removal of `a`. Returns
/// whether `b` existed before.
pub(super) fn forget_target(pending: &mut Pending, id: Id) -> Option<Before> {
    let entry = pending.get(id)?;
    let Origin::Renamed { watch, from } = entry.origin.clone() else { return None };
    let before = entry.before;
    let latest = pending.at(watch, &from);
    pending.change(id, |entry| {
        entry.origin = Origin::Local;
        entry.before = Before::Yes;
        entry.after = After::Gone;
    });
    pending.relocate(id, watch, from.clone());
    if latest != Some(id) {
        pending.clear_at(watch, &from, id);
    }
    if let Some(latest) = latest.filter(|&latest| latest != id) {
        pending.set_at(watch, from.clone(), latest);
        merge_removal(pending, id, latest, &from);
    }
    Some(before)
}

/// Merges the removal of a path into the next group of that path, if nothing else depends on the removal.
fn merge_removal(pending: &mut Pending, removed: Id, next: Id, path: &Path) {
    let is_next = pending.get(next).is_some_and(|next| {
        next.is_local_at(path) && next.before != Before::Yes && next.depends_on.contains(removed)
    });
    let is_free = |removed: &Entry| removed.dependents.keys().all(|id| id == next);
    if !is_next || !pending.get(removed).is_some_and(is_free) {
        return;
    }
    if let Some(removed) = pending.remove(removed) {
        pending.depend(next, &removed.depends_on);
        pending.change(next, |next| {
            next.before = Before::Yes;
            next.events = next.events.saturating_add(removed.events);
            next.mask |= removed.mask;
            next.first = next.first.min(removed.first);
        });
    }
}

/// The pending groups beneath a renamed directory.
#[derive(Debug, Default)]
pub(super) struct Moving {
    watch: Option<WatchId>,
    /// The old and the new path of each renamed directory.
    paths: Vec<(PathBuf, PathBuf)>,
    keys: Vec<(PathBuf, Id)>,
    /// The groups that are emitted after the rename, with the new path.
    pub moved: KeySet<Id>,
    /// The groups that are emitted before the rename, with the old path.
    pub pinned: KeySet<Id>,
}

impl Moving {
    /// Finds the groups beneath renamed directories of a watch, given by their old and new `paths`. Groups
    /// in `waits_for` come before the rename.
    pub fn plan(
        pending: &Pending,
        watch: Option<WatchId>,
        paths: Vec<(PathBuf, PathBuf)>,
        leaves_watch: bool,
        waits_for: &KeySet<Id>,
    ) -> Self {
        let mut moving = Self { watch, paths, ..Self::default() };
        for (from, _) in &moving.paths {
            moving.keys.extend(pending.beneath(watch, from));
        }
        for id in last_first(pending, &moving.keys) {
            let Some(entry) = pending.get(id) else { continue };
            let is_beneath = entry.watch == watch && moving.destination(&entry.path).is_some();
            let is_free = entry.dependents.is_subset(&moving.moved) && !waits_for.contains(id);
            if is_beneath && is_free && !leaves_watch {
                moving.moved.add(id);
            } else {
                moving.pinned.add(id);
            }
        }
        moving
    }

    /// Returns the new path of a path beneath a renamed directory.
    fn destination(&self, path: &Path) -> Option<PathBuf> {
        self.paths.iter().find_map(|(from, to)| {
            let beneath = path.strip_prefix(from).ok()?;
            (!beneath.as_os_str().is_empty()).then(|| to.join(beneath))
        })
    }

    /// Makes the groups in `moved` depend on the rename, and changes their paths.
    pub fn apply(self, pending: &mut Pending, renames: Id) {
        for (path, id) in &self.keys {
            pending.clear_at(self.watch, path, *id);
        }
        let after = KeySet::from_iter([renames]);
        let keys: Vec<(PathBuf, Id)> = self.keys.iter().map(|(p, id)| (p.clone(), *id)).collect();
        let mut ordered = last_first(pending, &keys);
        ordered.reverse();
        for id in ordered {
            if self.moved.contains(id) {
                pending.reorder(id);
                self.relocate(pending, id);
                pending.depend(id, &after);
                // Updates its deadline, because it waits now.
                pending.change(id, |_| {});
            } else {
                self.repeat(pending, id, &after);
            }
        }
        for (path, id) in self.keys.iter().filter(|(_, id)| self.moved.contains(*id)) {
            if let Some(path) = self.destination(path) {
                pending.set_at(self.watch, path, *id);
            }
        }
    }

    fn relocate(&self, pending: &mut Pending, id: Id) {
        let Some(entry) = pending.get(id) else { return };
        if let Some(path) = self.destination(&entry.path) {
            pending.relocate(id, self.watch, path.clone());
            // `apply` sets the keys at the end.
            pending.clear_at(self.watch, &path, id);
        }
        pending.change(id, |entry| match &mut entry.origin {
            Origin::Local => {}
            Origin::Renamed { watch, from: other } if *watch == self.watch => {
                if let Some(path) = self.destination(other) {
                    *other = path;
                }
            }
            Origin::Renamed { .. } => {}
            Origin::Exchanged { with } => {
                if let Some(path) = self.destination(with) {
                    *with = path;
                }
            }
        });
    }

    /// Adds a group with the new path for content that another group reports with the old path.
    fn repeat(&self, pending: &mut Pending, id: Id, after: &KeySet<Id>) {
        let Some(entry) = pending.get(id).filter(|entry| entry.has_content()) else { return };
        if entry.watch != self.watch {
            return;
        }
        let Some(path) = self.destination(&entry.path) else { return };
        let mut repeated = entry.clone();
        repeated.depends_on = KeySet::default();
        repeated.dependents = KeySet::default();
        repeated.deadline = None;
        repeated.origin = Origin::Local;
        repeated.before = Before::Yes;
        repeated.after = After::Same(Level::Modified);
        repeated.path = path;
        pending.insert(repeated, after);
    }
}
