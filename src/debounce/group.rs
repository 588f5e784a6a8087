//! The groups that a debouncer emits.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::event::Escaped;
use crate::flags::EventMask;
use crate::watcher::{WatchEventBuf, WatchId};

/// The net effect of the events of a [`Group`].
///
/// Applied in the order in which the groups are emitted, the changes lead from the names before the
/// events to the names after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<'a> {
    /// The path has a new file or directory. If the path existed before, its old file or directory, with
    /// everything beneath it, is gone: inotify does not report whether a rename replaced a file.
    Created,
    /// The path existed, and its content may have changed.
    Modified,
    /// The path existed, and has another file or directory now: it was removed and created again, or
    /// replaced by a rename. Everything that was beneath it is gone.
    Replaced,
    /// The path existed and is gone, with everything beneath it.
    Removed,
    /// The path does not exist, and may not have existed before: a file was renamed to it, perhaps over
    /// another file, and then renamed or removed. A program that keeps a list of names handles this as
    /// `Removed`. Others can ignore it.
    Absent,
    /// The file or directory was renamed, with everything beneath it. It replaced anything at the new
    /// path. [`is_modified`](Group::is_modified) returns whether its content may have changed as well.
    Renamed {
        /// The old path.
        from: &'a Path,
    },
    /// Two directories were exchanged, each with everything beneath it.
    Exchanged {
        /// The other path.
        with: &'a Path,
    },
    /// Neither the name nor the content changed: the metadata changed, or the file was opened or read.
    /// [`mask`](Group::mask) returns which.
    Other,
    /// One event that does not concern the content or the name of one file, such as an overflow, the end
    /// of a watch, or a change of a tree: see [`last_event`](Group::last_event).
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

/// One or more events, merged into one change.
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
    /// Makes a group of one event, without merging.
    pub(super) fn of_event(event: WatchEventBuf, now: Instant) -> Self {
        Self {
            kind: Kind::Event,
            path: event.path().to_owned(),
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

    /// Returns the path that changed. For a rename this is the new path, and for an overflow it is empty.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the old path of a rename, and `None` for other changes.
    #[must_use]
    pub fn renamed_from(&self) -> Option<&Path> {
        (self.kind == Kind::Renamed).then_some(self.other.as_path())
    }

    /// Returns the watch that reported the path, or `None` for an overflow. For a rename from one watched
    /// directory to another, this is the watch of the new path.
    #[must_use]
    pub const fn watch(&self) -> Option<WatchId> {
        self.watch
    }

    /// Returns `true` if the path is, or was, a directory.
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

    /// Returns the number of merged events, at least 1.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Returns the time at which the first event was pushed.
    #[must_use]
    pub const fn first_at(&self) -> Instant {
        self.first
    }

    /// Returns the time at which the last event was pushed.
    #[must_use]
    pub const fn last_at(&self) -> Instant {
        self.last
    }

    /// Returns the last event. Its path may differ from that of the group. For example, if a file was
    /// renamed and then removed, the event has the new path and the group the old one.
    #[must_use]
    pub const fn last_event(&self) -> &WatchEventBuf {
        &self.event
    }

    /// Returns the last event, and drops the group.
    #[must_use]
    pub fn into_last_event(self) -> WatchEventBuf {
        self.event
    }
}

/// Prints one line, such as `Created "/tmp/new"`. Safe for a terminal.
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
