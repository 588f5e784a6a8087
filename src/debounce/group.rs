//! What the debouncer emits.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::event::Escaped;
use crate::flags::EventMask;
use crate::watcher::{WatchEventBuf, WatchId};

/// The net effect of the events of a [`Group`].
///
/// Applied in the order in which the groups are emitted, they lead from the names before the events to
/// the names after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<'a> {
    /// It is new at this path. If something else was there, that is gone, with everything beneath it:
    /// inotify does not say whether a rename replaced a file.
    Created,
    /// It was there, and its content may have changed.
    Modified,
    /// Something else is there now: it was removed and created again, or replaced by a rename. What was
    /// beneath it is gone.
    Replaced,
    /// It was there and is gone, with everything beneath it.
    Removed,
    /// Nothing is there now, and perhaps nothing was: something passed through this path, by a rename
    /// that may have replaced a file. A program that keeps a list of names handles it as `Removed`.
    /// Others can ignore it.
    Absent,
    /// It was renamed, with everything beneath it. What was at the new path is replaced.
    /// [`is_modified`](Group::is_modified) says whether its content may have changed as well.
    Renamed {
        /// The old path.
        from: &'a Path,
    },
    /// Two directories changed places, each with everything beneath it.
    Exchanged {
        /// The other path.
        with: &'a Path,
    },
    /// Neither its name nor its content changed: its metadata did, or it was opened or read.
    /// [`mask`](Group::mask) says which.
    Other,
    /// One event that is not about the content or the name of one file, such as an overflow, the end of
    /// a watch, or a report about a tree: see [`last_event`](Group::last_event).
    Event,
}

/// The kind of a change, without its other path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Modified,
    Replaced,
    Removed,
    Absent,
    Renamed,
    Exchanged,
    Other,
    Event,
}

/// Events that belong together, as one change.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    /// The other path of a rename or an exchange.
    pub(super) other: PathBuf,
    pub(super) watch: Option<WatchId>,
    pub(super) is_dir: bool,
    pub(super) is_modified: bool,
    pub(super) mask: EventMask,
    pub(super) events: u64,
    pub(super) first: Instant,
    pub(super) last: Instant,
    pub(super) event: WatchEventBuf,
}

impl Group {
    /// Returns the group of one event that passes through.
    pub(super) fn of_event(event: WatchEventBuf, now: Instant) -> Self {
        Self {
            kind: Kind::Event,
            path: event.path(),
            other: PathBuf::new(),
            watch: event.watch(),
            is_dir: event.is_dir(),
            is_modified: false,
            mask: event.mask(),
            events: 1,
            first: now,
            last: now,
            event,
        }
    }

    /// Returns the net effect.
    #[must_use]
    pub fn change(&self) -> Change<'_> {
        match self.kind {
            Kind::Created => Change::Created,
            Kind::Modified => Change::Modified,
            Kind::Replaced => Change::Replaced,
            Kind::Removed => Change::Removed,
            Kind::Absent => Change::Absent,
            Kind::Renamed => Change::Renamed { from: &self.other },
            Kind::Exchanged => Change::Exchanged { with: &self.other },
            Kind::Other => Change::Other,
            Kind::Event => Change::Event,
        }
    }

    /// Returns the path that changed; of a rename, the new one. Empty for an overflow.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the old path of what was renamed.
    #[must_use]
    pub fn renamed_from(&self) -> Option<&Path> {
        (self.kind == Kind::Renamed).then_some(self.other.as_path())
    }

    /// Returns the watch that reported the path; `None` for an overflow. Of a rename from one watched
    /// directory to another, the watch of the new path.
    #[must_use]
    pub const fn watch(&self) -> Option<WatchId> {
        self.watch
    }

    /// Returns `true` if it is, or was, a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.is_dir
    }

    /// Returns `true` if the content at the path may be new: created, replaced, modified, or renamed and
    /// modified.
    #[must_use]
    pub const fn is_modified(&self) -> bool {
        self.is_modified
    }

    /// Returns `true` if events were lost.
    #[must_use]
    pub const fn is_overflow(&self) -> bool {
        self.mask.contains(EventMask::Q_OVERFLOW)
    }

    /// Returns all bits of the merged events.
    #[must_use]
    pub const fn mask(&self) -> EventMask {
        self.mask
    }

    /// Returns how many events were merged, at least 1.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Returns when the first of the merged events was pushed.
    #[must_use]
    pub const fn first_at(&self) -> Instant {
        self.first
    }

    /// Returns when the last of the merged events was pushed.
    #[must_use]
    pub const fn last_at(&self) -> Instant {
        self.last
    }

    /// Returns the last of the merged events. Its path may be another one than that of the group: the
    /// new path of what was renamed and then removed, for example.
    #[must_use]
    pub const fn last_event(&self) -> &WatchEventBuf {
        &self.event
    }

    /// Returns the last of the merged events, and drops the rest.
    #[must_use]
    pub fn into_last_event(self) -> WatchEventBuf {
        self.event
    }
}

/// One line such as `Created "/tmp/new"`: safe to print on a terminal.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |path: &Path, f: &mut fmt::Formatter<'_>| {
            write!(f, " \"{}\"", Escaped(path.as_os_str().as_bytes()))
        };
        if self.kind == Kind::Event {
            return self.event.fmt(f);
        }
        write!(f, "{:?}", self.kind)?;
        if matches!(self.kind, Kind::Renamed | Kind::Exchanged) {
            escaped(&self.other, f)?;
        }
        escaped(&self.path, f)
    }
}
