//! The rules: what one step does to the pending groups.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Place;
use super::entry::{After, Before, Entry, Id, Origin};
use super::pending::Pending;
use super::step::{Level, Seen, Step};
use super::subtree::{Moving, Tally, absorb, forget_target};
use crate::watcher::WatchId;

/// Applies a step that concerns one path.
pub(super) fn local(pending: &mut Pending, mut seen: Seen, step: &Step) {
    if is_swallowed(pending, &seen, step) {
        return;
    }
    let mut after = pending.above(seen.watch, &seen.path);
    let mut pinned = BTreeSet::new();
    if step.is_structural() {
        absorb(pending, seen.watch, &seen.path, &mut pinned).add_to(&mut seen);
        after.extend(&pinned);
    }
    let Some(id) = pending.at(seen.watch, &seen.path) else {
        return add(pending, seen, step, Before::of(step), &after);
    };
    let Some(entry) = pending.get(id) else { return };
    let is_local = entry.is_local_at(&seen.path);
    let is_renamed = entry.renamed_to(&seen.path).is_some();
    if is_renamed && step.is_structural() && pinned.is_empty() {
        return replace_renamed(pending, id, seen, step, after);
    }
    let merges = is_local || (is_renamed && !step.is_structural());
    if merges && pending.join(id, &after, &BTreeSet::new()) {
        return pending.change(id, |entry| {
            entry.apply(step, seen.is_dir);
            entry.add(seen);
        });
    }
    after.insert(id);
    add(pending, seen, step, Before::of(step), &after);
}

/// Merges an event that has nothing to say into the group that says it already.
fn is_swallowed(pending: &mut Pending, seen: &Seen, step: &Step) -> bool {
    let is_change = matches!(step, Step::Change(level) if *level < Level::Modified);
    // Metadata of what has left, for which the events come after both halves of the rename.
    let left = pending
        .at(seen.watch, &seen.path)
        .filter(|&id| is_change && pending.get(id).is_some_and(|entry| entry.left(&seen.path)));
    // Beneath what is gone.
    let gone = seen.path.ancestors().skip(1).find_map(|above| {
        let id = pending.at(seen.watch, above)?;
        let entry = pending.get(id)?;
        (entry.is_local_at(above) && entry.after == After::Gone).then_some(id)
    });
    let gone = gone.filter(|_| is_change || *step == Step::Remove);
    let Some(id) = left.or(gone) else { return false };
    pending.change(id, |entry| entry.add(seen.clone()));
    true
}

/// Adds a new group.
fn add(pending: &mut Pending, seen: Seen, step: &Step, before: Before, after: &BTreeSet<Id>) {
    let is_dir = seen.is_dir;
    let mut entry = Entry::new(seen, Origin::Local, before, After::Same(Level::Nothing));
    entry.apply(step, is_dir);
    pending.insert(entry, after);
}

/// Applies a step that ends what was renamed to this path.
fn replace_renamed(
    pending: &mut Pending,
    id: Id,
    seen: Seen,
    step: &Step,
    mut after: BTreeSet<Id>,
) {
    let first = pending.get(id).map_or(seen.first, |entry| entry.first);
    let before = forget_target(pending, id).unwrap_or(Before::Maybe);
    pending.change(id, |entry| entry.add(seen.clone()));
    if before == Before::No && *step == Step::Remove {
        return;
    }
    after.insert(id);
    let seen = Seen { first: seen.first.min(first), ..seen };
    add(pending, seen, step, before, &after);
}

/// Applies a rename within what is watched. `level` is what is unreported of its content, apart from
/// pending groups.
pub(super) fn rename(
    pending: &mut Pending,
    mut seen: Seen,
    (from_watch, from): Place,
    level: Level,
) {
    let (watch, to) = (seen.watch, seen.path.clone());
    if (watch, &to) == (from_watch, &from) {
        return local(pending, seen, &Step::Change(Level::Other));
    }
    let mut after = pending.above(from_watch, &from);
    after.extend(pending.above(watch, &to));
    let mut tally = absorb(pending, watch, &to, &mut after);
    let before = overwrite(pending, &seen, (from_watch, &from), &mut after, &mut tally);
    tally.add_to(&mut seen);
    let places = vec![(from.clone(), to)];
    let moving = Moving::plan(pending, from_watch, places, watch != from_watch, &after);
    after.extend(&moving.pinned);
    let rename = Rename { from_watch, from, before, after, level };
    let id = rename.apply(pending, seen, &moving.moved);
    moving.apply(pending, id);
}

/// Makes room at the new path of a rename. Returns whether something was there before.
fn overwrite(
    pending: &mut Pending,
    seen: &Seen,
    from: (Option<WatchId>, &Path),
    after: &mut BTreeSet<Id>,
    tally: &mut Tally,
) -> Before {
    let to = &seen.path;
    let Some(id) = pending.at(seen.watch, to) else { return Before::Maybe };
    let Some(entry) = pending.get(id) else { return Before::Maybe };
    if pending.at(from.0, from.1) == Some(id) && entry.left(to) {
        // It comes back.
        return Before::No;
    }
    let (before, is_gone) = (entry.before, entry.after == After::Gone);
    let is_free = entry.dependents.is_empty();
    if entry.is_local_at(to) {
        if let Some(entry) = is_free.then(|| pending.remove(id)).flatten() {
            tally.add(&entry);
            after.extend(&entry.depends_on);
            return before;
        }
        after.insert(id);
        return if is_gone { Before::No } else { Before::Yes };
    }
    if entry.renamed_to(to).is_some() && is_free {
        after.extend(&entry.depends_on);
        return forget_target(pending, id).unwrap_or(Before::Maybe);
    }
    after.insert(id);
    if entry.left(to) { Before::No } else { Before::Yes }
}

struct Rename {
    from_watch: Option<WatchId>,
    from: PathBuf,
    /// Whether something was at the new path.
    before: Before,
    after: BTreeSet<Id>,
    /// How much of it has changed, if no group at the old path says so.
    level: Level,
}

impl Rename {
    /// Returns the group that has the thing at its new path.
    fn apply(mut self, pending: &mut Pending, seen: Seen, moved: &BTreeSet<Id>) -> Id {
        let id = pending.at(self.from_watch, &self.from);
        let Some((id, entry)) = id.and_then(|id| Some((id, pending.get(id)?))) else {
            let level = self.level;
            return self.add(pending, seen, level);
        };
        let is_free = entry.dependents.is_subset(moved);
        if entry.is_local_at(&self.from) {
            return match (entry.before, entry.after) {
                (_, After::Gone) => self.arrive(pending, seen, id),
                (Before::No, After::New) if pending.join(id, &self.after, moved) => {
                    self.carry(pending, seen, id)
                }
                (_, After::Same(_)) if pending.join(id, &self.after, moved) => {
                    self.carry_renamed(pending, seen, id)
                }
                (Before::Maybe | Before::Yes, After::New) if is_free => {
                    self.split(pending, seen, id)
                }
                _ => self.follow(pending, seen, id),
            };
        }
        if entry.left(&self.from) {
            return self.arrive(pending, seen, id);
        }
        // Something can't replace the directory that it was in.
        let fits = entry
            .renamed_to(&self.from)
            .is_some_and(|from| from == seen.path || !from.starts_with(&seen.path));
        if fits && pending.join(id, &self.after, moved) {
            return self.extend(pending, seen, id);
        }
        self.follow(pending, seen, id)
    }

    /// Adds the rename as a group of its own.
    fn add(self, pending: &mut Pending, seen: Seen, level: Level) -> Id {
        let origin = Origin::Renamed { watch: self.from_watch, from: self.from };
        let entry = Entry::new(seen, origin, self.before, After::Same(level));
        pending.insert(entry, &self.after)
    }

    /// Adds the rename behind the group at the old path. What that one reports can't be read at its path.
    fn follow(mut self, pending: &mut Pending, seen: Seen, id: Id) -> Id {
        let has_content = pending.get(id).is_some_and(Entry::has_content);
        self.after.insert(id);
        self.add(pending, seen, if has_content { Level::Modified } else { Level::Nothing })
    }

    /// Adds something at the new path of which the old path knows nothing.
    fn arrive(&mut self, pending: &mut Pending, seen: Seen, id: Id) -> Id {
        self.after.insert(id);
        let entry = Entry::new(seen, Origin::Local, self.before, After::New);
        pending.insert(entry, &self.after)
    }

    /// Moves what is new to its new path.
    fn carry(self, pending: &mut Pending, seen: Seen, id: Id) -> Id {
        pending.relocate(id, seen.watch, seen.path.clone());
        pending.change(id, |entry| {
            entry.before = self.before;
            entry.add(seen);
        });
        id
    }

    /// Makes the group of a known file its rename.
    fn carry_renamed(self, pending: &mut Pending, seen: Seen, id: Id) -> Id {
        pending.relocate(id, seen.watch, seen.path.clone());
        pending.set_at(self.from_watch, self.from.clone(), id);
        pending.change(id, |entry| {
            entry.before = self.before;
            entry.origin = Origin::Renamed { watch: self.from_watch, from: self.from };
            entry.add(seen);
        });
        id
    }

    /// The thing at the old path was new there, and something else was there before: that is gone, and
    /// the new one is at the new path.
    fn split(self, pending: &mut Pending, seen: Seen, id: Id) -> Id {
        let first = pending.get(id).map_or(seen.first, |entry| entry.first);
        pending.change(id, |entry| {
            entry.after = After::Gone;
            entry.add(seen.clone());
        });
        let seen = Seen { first: seen.first.min(first), ..seen };
        let entry = Entry::new(seen, Origin::Local, self.before, After::New);
        pending.insert(entry, &self.after)
    }

    /// Extends a chain of renames, or ends it where it began.
    fn extend(self, pending: &mut Pending, seen: Seen, id: Id) -> Id {
        let Some(entry) = pending.get(id) else { return self.add(pending, seen, Level::Nothing) };
        let (passed, first) = (entry.before, entry.first);
        let is_back = match &entry.origin {
            Origin::Renamed { watch, from } => (*watch, from) == (seen.watch, &seen.path),
            _ => false,
        };
        pending.relocate(id, seen.watch, seen.path.clone());
        pending.change(id, |entry| {
            entry.before = self.before;
            if is_back {
                entry.before = Before::Yes;
                entry.origin = Origin::Local;
            }
            entry.add(seen.clone());
        });
        if passed != Before::No {
            let (watch, path) = (self.from_watch, self.from);
            let mut after = pending.above(watch, &path);
            after.insert(id);
            let seen = Seen { watch, path, first: seen.first.min(first), ..seen };
            let gone = Entry::new(seen, Origin::Local, passed, After::Gone);
            pending.insert(gone, &after);
        }
        id
    }
}

/// Applies an exchange of two directories.
pub(super) fn exchange(pending: &mut Pending, seen: Seen, with: PathBuf) {
    let (watch, path) = (seen.watch, seen.path.clone());
    let mut after = pending.above(watch, &path);
    after.extend(pending.above(watch, &with));
    after.extend(pending.at(watch, &path));
    after.extend(pending.at(watch, &with));
    let places = vec![(path.clone(), with.clone()), (with.clone(), path)];
    let moving = Moving::plan(pending, watch, places, false, &after);
    after.extend(&moving.pinned);
    let origin = Origin::Exchanged { with };
    let entry = Entry::new(seen, origin, Before::Yes, After::Same(Level::Nothing));
    let id = pending.insert(entry, &after);
    moving.apply(pending, id);
}
