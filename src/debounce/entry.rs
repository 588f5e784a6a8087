//! One pending group: its net effect so far, and what must be emitted before it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::group::{Group, Kind};
use super::step::{Level, Seen, Step};
use crate::flags::EventMask;
use crate::watcher::{WatchEventBuf, WatchId};

/// The key of an entry. Never used twice.
pub(super) type Id = u64;

/// Whether something was at the path before the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    No,
    Maybe,
    Yes,
}

/// What is at the path after the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Gone,
    /// What was there before, or what was renamed to it.
    Same(Level),
    /// Something new.
    New,
}

/// Where the thing at the path came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It has always been at this path, or is new.
    Local,
    /// It was renamed from a path, which another watch may have reported.
    Renamed {
        watch: Option<WatchId>,
        from: PathBuf,
    },
    Exchanged {
        with: PathBuf,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub watch: Option<WatchId>,
    pub path: PathBuf,
    pub origin: Origin,
    /// Of the path; for a rename, the new one.
    pub before: Before,
    pub after: After,
    pub is_dir: bool,
    pub mask: EventMask,
    pub events: u64,
    pub first: Instant,
    pub last: Instant,
    pub event: WatchEventBuf,
    /// Each entry comes after those it depends on: their order is less.
    pub order: u64,
    /// An entry at the same path comes before it.
    pub follows: bool,
    pub depends_on: BTreeSet<Id>,
    pub dependents: BTreeSet<Id>,
    /// Where it is in the queue of deadlines.
    pub deadline: Option<Instant>,
}

impl Entry {
    pub fn new(seen: Seen, origin: Origin, before: Before, after: After) -> Self {
        Self {
            watch: seen.watch,
            path: seen.path,
            origin,
            before,
            after,
            is_dir: seen.is_dir,
            mask: seen.mask,
            events: seen.events,
            first: seen.first,
            last: seen.last,
            event: seen.event,
            order: 0,
            follows: false,
            depends_on: BTreeSet::new(),
            dependents: BTreeSet::new(),
            deadline: None,
        }
    }

    /// Returns `true` if it describes what is at this path, and nothing of another path.
    pub fn is_local_at(&self, path: &Path) -> bool {
        self.origin == Origin::Local && self.path == path
    }

    /// Returns the old path if something was renamed to this path.
    pub fn renamed_to(&self, path: &Path) -> Option<&Path> {
        match &self.origin {
            Origin::Renamed { from, .. } if self.path == path => Some(from),
            _ => None,
        }
    }

    /// Returns `true` if what was at this path was renamed to another one.
    pub fn left(&self, path: &Path) -> bool {
        matches!(&self.origin, Origin::Renamed { from, .. } if from == path && self.path != path)
    }

    /// Returns `true` if the path is one of its paths.
    pub fn concerns(&self, watch: Option<WatchId>, path: &Path) -> bool {
        (self.watch == watch && self.path == path)
            || match &self.origin {
                Origin::Local => false,
                Origin::Renamed { watch: other, from } => *other == watch && from == path,
                Origin::Exchanged { with } => self.watch == watch && with == path,
            }
    }

    /// Returns `true` if entries beneath its path have to wait for it.
    pub const fn is_structural(&self) -> bool {
        self.follows || !matches!((&self.origin, self.after), (Origin::Local, After::Same(_)))
    }

    /// Returns `true` if the content at the path has not been reported yet.
    pub const fn has_content(&self) -> bool {
        matches!(self.after, After::New | After::Same(Level::Modified))
    }

    /// Takes in events.
    pub fn add(&mut self, seen: Seen) {
        self.events = self.events.saturating_add(seen.events);
        self.mask |= seen.mask;
        self.first = self.first.min(seen.first);
        self.last = self.last.max(seen.last);
        self.event = seen.event;
    }

    /// Applies a step at its own path.
    pub fn apply(&mut self, step: &Step, is_dir: bool) {
        self.after = match (step, self.after) {
            (Step::Create | Step::Arrive | Step::Replace, _) => {
                self.is_dir = is_dir;
                After::New
            }
            (Step::Change(level), After::Same(before)) => After::Same(before.max(*level)),
            // It was created, and no event said so.
            (Step::Change(Level::Modified), After::Gone) => {
                self.is_dir = is_dir;
                After::New
            }
            (Step::Change(_), after) => after,
            (_, _) => After::Gone,
        };
    }

    fn kind(&self) -> Option<Kind> {
        Some(match (&self.origin, self.before, self.after) {
            (Origin::Renamed { .. }, _, _) => Kind::Renamed,
            (Origin::Exchanged { .. }, _, _) => Kind::Exchanged,
            (Origin::Local, Before::No, After::Gone) => return None,
            (Origin::Local, Before::Maybe, After::Gone) => Kind::Absent,
            (Origin::Local, Before::Yes, After::Gone) => Kind::Removed,
            (Origin::Local, Before::Yes, After::New) => Kind::Replaced,
            (Origin::Local, _, After::New) => Kind::Created,
            (Origin::Local, _, After::Same(Level::Nothing)) => return None,
            (Origin::Local, _, After::Same(Level::Other)) => Kind::Other,
            (Origin::Local, _, After::Same(Level::Modified)) => Kind::Modified,
        })
    }

    /// Returns the group; `None` if the events came to nothing.
    pub fn into_group(self) -> Option<Group> {
        Some(Group {
            kind: self.kind()?,
            is_modified: self.has_content(),
            path: self.path,
            other: match self.origin {
                Origin::Local => PathBuf::new(),
                Origin::Renamed { from: other, .. } | Origin::Exchanged { with: other } => other,
            },
            watch: self.watch,
            is_dir: self.is_dir,
            mask: self.mask,
            events: self.events,
            first: self.first,
            last: self.last,
            event: self.event,
        })
    }
}

/// What a new event finds at a path, before it is applied.
impl Before {
    pub const fn of(step: &Step) -> Self {
        match step {
            Step::Create => Self::No,
            Step::Arrive => Self::Maybe,
            _ => Self::Yes,
        }
    }
}
