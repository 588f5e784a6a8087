//! One pending group: its net effect so far, and the groups that must be emitted before it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::group::{Group, Kind};
use super::step::{Batch, Level, Step};
use crate::flags::EventMask;
use crate::keys::KeySet;
use crate::watcher::{WatchEventBuf, WatchId};

/// The key of an entry. Never reused.
pub(super) type Id = u64;

/// Whether the path existed before the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    No,
    Maybe,
    Yes,
}

/// The state of the path after the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Gone,
    /// The same file as before, or the renamed one.
    Same(Level),
    /// A new file.
    New,
}

/// The origin of the file at the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was not renamed: it existed at this path, or is new.
    Local,
    /// It was renamed from another path, which another watch may have reported.
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
    /// Whether the path existed. For a rename: the new path.
    pub before: Before,
    pub after: After,
    pub is_dir: bool,
    pub mask: EventMask,
    pub events: u64,
    pub first: Instant,
    pub last: Instant,
    pub event: WatchEventBuf,
    /// Greater than the order of each entry in `depends_on`.
    pub order: u64,
    /// `true` if another entry at the same path must be emitted before it.
    pub follows: bool,
    pub depends_on: KeySet<Id>,
    pub dependents: KeySet<Id>,
    /// Its key in the queue of deadlines.
    pub deadline: Option<Instant>,
}

impl Entry {
    pub fn new(batch: Batch, origin: Origin, before: Before, after: After) -> Self {
        Self {
            watch: batch.watch,
            path: batch.path,
            origin,
            before,
            after,
            is_dir: batch.is_dir,
            mask: batch.mask,
            events: batch.events,
            first: batch.first,
            last: batch.last,
            event: batch.event,
            order: 0,
            follows: false,
            depends_on: KeySet::new(),
            dependents: KeySet::new(),
            deadline: None,
        }
    }

    /// Returns `true` if it concerns this path and no other.
    pub fn is_local_at(&self, path: &Path) -> bool {
        self.origin == Origin::Local && self.path == path
    }

    /// Returns the old path if it is a rename to this path.
    pub fn renamed_to(&self, path: &Path) -> Option<&Path> {
        match &self.origin {
            Origin::Renamed { from, .. } if self.path == path => Some(from),
            _ => None,
        }
    }

    /// Returns `true` if it is a rename from this path to another one.
    pub fn left(&self, path: &Path) -> bool {
        matches!(&self.origin, Origin::Renamed { from, .. } if from == path && self.path != path)
    }

    /// Returns `true` if this is one of its paths.
    pub fn concerns(&self, watch: Option<WatchId>, path: &Path) -> bool {
        (self.watch == watch && self.path == path)
            || match &self.origin {
                Origin::Local => false,
                Origin::Renamed { watch: other, from } => *other == watch && from == path,
                Origin::Exchanged { with } => self.watch == watch && with == path,
            }
    }

    /// Returns `true` if it must be emitted before entries beneath its path.
    pub const fn is_structural(&self) -> bool {
        self.follows || !matches!((&self.origin, self.after), (Origin::Local, After::Same(_)))
    }

    /// Returns `true` if the content at the path may be new.
    pub const fn has_content(&self) -> bool {
        matches!(self.after, After::New | After::Same(Level::Modified))
    }

    /// Adds the counts and times of events.
    pub fn add(&mut self, batch: Batch) {
        self.events = self.events.saturating_add(batch.events);
        self.mask |= batch.mask;
        self.first = self.first.min(batch.first);
        self.last = self.last.max(batch.last);
        self.event = batch.event;
    }

    /// Applies a step at its own path.
    pub fn apply(&mut self, step: &Step, is_dir: bool) {
        self.after = match (step, self.after) {
            (Step::Create | Step::Arrive | Step::Replace, _) => {
                self.is_dir = is_dir;
                After::New
            }
            (Step::Change(level), After::Same(before)) => After::Same(before.max(*level)),
            // It was created, but no event reported that.
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

    /// Returns the group; `None` if the events have no net effect.
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

impl Before {
    /// Returns whether the path existed before its first event.
    pub const fn of(step: &Step) -> Self {
        match step {
            Step::Create => Self::No,
            Step::Arrive => Self::Maybe,
            _ => Self::Yes,
        }
    }
}
