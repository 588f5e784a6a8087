//! The rules: the effect of one step on the pending groups.

use std::path::{Path, PathBuf};

use super::WatchedPath;
use super::entry::{After, Before, Entry, Id, Origin};
use super::pending::Pending;
use super::step::{Batch, Level, Step};
use super::subtree::{Moving, Totals, forget_target, merge_beneath};
use crate::keys::KeySet;
use crate::watcher::WatchId;

/// Applies a step that concerns one path.
pub(super) fn local(pending: &mut Pending, mut batch: Batch, step: &Step) {
    if merge_without_effect(pending, &batch, step) {
        return;
    }
    let mut after = pending.above(batch.watch, &batch.path);
    let mut pinned = KeySet::new();
    if step.is_structural() {
        merge_beneath(pending, batch.watch, &batch.path, &mut pinned).add_to(&mut batch);
        after.extend(pinned.keys());
    }
    let Some(id) = pending.at(batch.watch, &batch.path) else {
        return add(pending, batch, step, Before::of(step), &after);
    };
    let Some(entry) = pending.get(id) else { return };
    let is_local = entry.is_local_at(&batch.path);
    let is_renamed = entry.renamed_to(&batch.path).is_some();
    if is_renamed && step.is_structural() && pinned.is_empty() {
        return replace_renamed(pending, id, batch, step, after);
    }
    let merges = is_local || (is_renamed && !step.is_structural());
    if merges && pending.join(id, &after, &KeySet::new()) {
        return pending.change(id, |entry| {
            entry.apply(step, batch.is_dir);
            entry.add(batch);
        });
    }
    after.add(id);
    add(pending, batch, step, Before::of(step), &after);
}

/// Merges an event without a net effect into the group that already includes its effect. Returns `false`
/// if no group does.
fn merge_without_effect(pending: &mut Pending, batch: &Batch, step: &Step) -> bool {
    let is_change = matches!(step, Step::Change(level) if *level < Level::Modified);
    // The rename itself changes metadata, and its event has the old path but comes after the rename.
    let left = pending
        .at(batch.watch, &batch.path)
        .filter(|&id| is_change && pending.get(id).is_some_and(|entry| entry.left(&batch.path)));
    // The path is beneath a removed directory.
    let gone = batch.path.ancestors().skip(1).find_map(|above| {
        let id = pending.at(batch.watch, above)?;
        let entry = pending.get(id)?;
        (entry.is_local_at(above) && entry.after == After::Gone).then_some(id)
    });
    let gone = gone.filter(|_| is_change || *step == Step::Remove);
    let Some(id) = left.or(gone) else { return false };
    pending.change(id, |entry| entry.add(batch.clone()));
    true
}

/// Adds a new group.
fn add(pending: &mut Pending, batch: Batch, step: &Step, before: Before, after: &KeySet<Id>) {
    let is_dir = batch.is_dir;
    let mut entry = Entry::new(batch, Origin::Local, before, After::Same(Level::Nothing));
    entry.apply(step, is_dir);
    pending.insert(entry, after);
}

/// Applies a step that removes or replaces the file that was renamed to this path.
fn replace_renamed(
    pending: &mut Pending,
    id: Id,
    batch: Batch,
    step: &Step,
    mut after: KeySet<Id>,
) {
    let first = pending.get(id).map_or(batch.first, |entry| entry.first);
    let before = forget_target(pending, id).unwrap_or(Before::Maybe);
    pending.change(id, |entry| entry.add(batch.clone()));
    if before == Before::No && *step == Step::Remove {
        return;
    }
    after.add(id);
    let batch = Batch { first: batch.first.min(first), ..batch };
    add(pending, batch, step, before, &after);
}

/// Applies a rename between two watched paths. `level` is the change of its content that no pending group
/// includes.
pub(super) fn rename(
    pending: &mut Pending,
    mut batch: Batch,
    (from_watch, from): WatchedPath,
    level: Level,
) {
    let (watch, to) = (batch.watch, batch.path.clone());
    if (watch, &to) == (from_watch, &from) {
        return local(pending, batch, &Step::Change(Level::Other));
    }
    let mut after = pending.above(from_watch, &from);
    after.extend(pending.above(watch, &to).keys());
    let mut totals = merge_beneath(pending, watch, &to, &mut after);
    let before = overwrite(pending, &batch, (from_watch, &from), &mut after, &mut totals);
    totals.add_to(&mut batch);
    let paths = vec![(from.clone(), to)];
    let moving = Moving::plan(pending, from_watch, paths, watch != from_watch, &after);
    after.extend(moving.pinned.keys());
    let rename = Rename { from_watch, from, before, after, level };
    let id = rename.apply(pending, batch, &moving.moved);
    moving.apply(pending, id);
}

/// Merges the pending group at the new path of a rename if possible. Returns whether that path existed.
fn overwrite(
    pending: &mut Pending,
    batch: &Batch,
    from: (Option<WatchId>, &Path),
    after: &mut KeySet<Id>,
    totals: &mut Totals,
) -> Before {
    let to = &batch.path;
    let Some(id) = pending.at(batch.watch, to) else { return Before::Maybe };
    let Some(entry) = pending.get(id) else { return Before::Maybe };
    if pending.at(from.0, from.1) == Some(id) && entry.left(to) {
        // The file returns to its old path.
        return Before::No;
    }
    let (before, is_gone) = (entry.before, entry.after == After::Gone);
    let is_free = entry.dependents.is_empty();
    if entry.is_local_at(to) {
        if let Some(entry) = is_free.then(|| pending.remove(id)).flatten() {
            totals.add(&entry);
            after.extend(entry.depends_on.keys());
            return before;
        }
        after.add(id);
        return if is_gone { Before::No } else { Before::Yes };
    }
    if entry.renamed_to(to).is_some() && is_free {
        after.extend(entry.depends_on.keys());
        return forget_target(pending, id).unwrap_or(Before::Maybe);
    }
    after.add(id);
    if entry.left(to) { Before::No } else { Before::Yes }
}

struct Rename {
    from_watch: Option<WatchId>,
    from: PathBuf,
    /// Whether the new path existed.
    before: Before,
    after: KeySet<Id>,
    /// The change of the content, if no group at the old path includes it.
    level: Level,
}

impl Rename {
    /// Applies the rename. Returns the group at the new path.
    fn apply(mut self, pending: &mut Pending, batch: Batch, moved: &KeySet<Id>) -> Id {
        let id = pending.at(self.from_watch, &self.from);
        let Some((id, entry)) = id.and_then(|id| Some((id, pending.get(id)?))) else {
            let level = self.level;
            return self.add(pending, batch, level);
        };
        let is_free = entry.dependents.is_subset(moved);
        if entry.is_local_at(&self.from) {
            return match (entry.before, entry.after) {
                (_, After::Gone) => self.arrive(pending, batch, id),
                (Before::No, After::New) if pending.join(id, &self.after, moved) => {
                    self.move_new(pending, batch, id)
                }
                (_, After::Same(_)) if pending.join(id, &self.after, moved) => {
                    self.move_existing(pending, batch, id)
                }
                (Before::Maybe | Before::Yes, After::New) if is_free => {
                    self.split(pending, batch, id)
                }
                _ => self.follow(pending, batch, id),
            };
        }
        if entry.left(&self.from) {
            return self.arrive(pending, batch, id);
        }
        // A chain can't be folded if the file replaces the directory that it came from.
        let fits = entry
            .renamed_to(&self.from)
            .is_some_and(|from| from == batch.path || !from.starts_with(&batch.path));
        if fits && pending.join(id, &self.after, moved) {
            return self.extend(pending, batch, id);
        }
        self.follow(pending, batch, id)
    }

    /// Adds the rename as a new group.
    fn add(self, pending: &mut Pending, batch: Batch, level: Level) -> Id {
        let origin = Origin::Renamed { watch: self.from_watch, from: self.from };
        let entry = Entry::new(batch, origin, self.before, After::Same(level));
        pending.insert(entry, &self.after)
    }

    /// Adds the rename after the group at the old path. The content of that group can be read only at the
    /// new path.
    fn follow(mut self, pending: &mut Pending, batch: Batch, id: Id) -> Id {
        let has_content = pending.get(id).is_some_and(Entry::has_content);
        self.after.add(id);
        self.add(pending, batch, if has_content { Level::Modified } else { Level::Nothing })
    }

    /// Adds a new file at the new path, because the group at the old path does not include it.
    fn arrive(&mut self, pending: &mut Pending, batch: Batch, id: Id) -> Id {
        self.after.add(id);
        let entry = Entry::new(batch, Origin::Local, self.before, After::New);
        pending.insert(entry, &self.after)
    }

    /// Moves the group of a new file to the new path.
    fn move_new(self, pending: &mut Pending, batch: Batch, id: Id) -> Id {
        pending.relocate(id, batch.watch, batch.path.clone());
        pending.change(id, |entry| {
            entry.before = self.before;
            entry.add(batch);
        });
        id
    }

    /// Turns the group of an existing file into its rename.
    fn move_existing(self, pending: &mut Pending, batch: Batch, id: Id) -> Id {
        pending.relocate(id, batch.watch, batch.path.clone());
        pending.set_at(self.from_watch, self.from.clone(), id);
        pending.change(id, |entry| {
            entry.before = self.before;
            entry.origin = Origin::Renamed { watch: self.from_watch, from: self.from };
            entry.add(batch);
        });
        id
    }

    /// Splits the group of a file that replaced another one at the old path: the other file is removed
    /// there, and the new one is created at the new path.
    fn split(self, pending: &mut Pending, batch: Batch, id: Id) -> Id {
        let first = pending.get(id).map_or(batch.first, |entry| entry.first);
        pending.change(id, |entry| {
            entry.after = After::Gone;
            entry.add(batch.clone());
        });
        let batch = Batch { first: batch.first.min(first), ..batch };
        let entry = Entry::new(batch, Origin::Local, self.before, After::New);
        pending.insert(entry, &self.after)
    }

    /// Extends a chain of renames. If it returns to its first path, it is no rename any more.
    fn extend(self, pending: &mut Pending, batch: Batch, id: Id) -> Id {
        let Some(entry) = pending.get(id) else { return self.add(pending, batch, Level::Nothing) };
        let (passed, first) = (entry.before, entry.first);
        let is_back = match &entry.origin {
            Origin::Renamed { watch, from } => (*watch, from) == (batch.watch, &batch.path),
            _ => false,
        };
        pending.relocate(id, batch.watch, batch.path.clone());
        pending.change(id, |entry| {
            entry.before = self.before;
            if is_back {
                entry.before = Before::Yes;
                entry.origin = Origin::Local;
            }
            entry.add(batch.clone());
        });
        if passed != Before::No {
            let (watch, path) = (self.from_watch, self.from);
            let mut after = pending.above(watch, &path);
            after.add(id);
            let batch = Batch { watch, path, first: batch.first.min(first), ..batch };
            let gone = Entry::new(batch, Origin::Local, passed, After::Gone);
            pending.insert(gone, &after);
        }
        id
    }
}

/// Applies an exchange of two directories.
pub(super) fn exchange(pending: &mut Pending, batch: Batch, with: PathBuf) {
    let (watch, path) = (batch.watch, batch.path.clone());
    let mut after = pending.above(watch, &path);
    after.extend(pending.above(watch, &with).keys());
    after.extend(pending.at(watch, &path));
    after.extend(pending.at(watch, &with));
    let paths = vec![(path.clone(), with.clone()), (with.clone(), path)];
    let moving = Moving::plan(pending, watch, paths, false, &after);
    after.extend(moving.pinned.keys());
    let origin = Origin::Exchanged { with };
    let entry = Entry::new(batch, origin, Before::Yes, After::Same(Level::Nothing));
    let id = pending.insert(entry, &after);
    moving.apply(pending, id);
}
