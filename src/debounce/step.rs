//! The effect of one event on names, which is the input of the rules.

use std::path::PathBuf;
use std::time::Instant;

use crate::event::EventKind;
use crate::flags::EventMask;
use crate::follow::NameChange;
use crate::watcher::{TreeChange, WatchEventBuf, WatchId};

/// How much of a file has changed, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Nothing,
    /// Metadata, or it was opened or read.
    Other,
    Modified,
}

/// The effect of one event on its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The path exists now, and did not before.
    Create,
    /// The path has a new file. It may have existed before.
    Arrive,
    /// The path existed, and has another file now.
    Replace,
    /// The path has the same file, which changed this much.
    Change(Level),
    /// The path is gone, with everything beneath it.
    Remove,
    /// The first event of a rename.
    MovedFrom,
    /// The second event of a rename.
    MovedTo,
    /// A whole rename.
    Rename { from: PathBuf },
    /// Two directories were exchanged.
    Exchange { with: PathBuf },
    /// The event does not concern one path. Everything pending of its watch is emitted before it.
    Barrier,
}

impl Step {
    pub fn of(event: &WatchEventBuf) -> Self {
        let kind = event.kind();
        match kind {
            EventKind::Overflow | EventKind::Ignored | EventKind::Unmount => return Self::Barrier,
            // The watched file itself was moved, so its path is not valid any more.
            EventKind::MoveSelf if event.name().is_none() => return Self::Barrier,
            _ => {}
        }
        if let Some(change) = event.name_change() {
            return match change {
                NameChange::Appeared => Self::Create,
                NameChange::Replaced => Self::Replace,
                NameChange::Vanished => Self::Remove,
                _ => Self::Change(Level::Modified),
            };
        }
        let (in_tree, discovered) = match event.tree_change() {
            None => (false, false),
            Some(TreeChange::Reported) => (true, false),
            Some(TreeChange::Discovered) => (true, true),
            Some(TreeChange::Renamed { from }) => return Self::Rename { from: from.to_owned() },
            Some(TreeChange::Exchanged { with }) => {
                return Self::Exchange { with: with.to_owned() };
            }
            Some(_) => return Self::Barrier,
        };
        match kind {
            EventKind::Create if discovered => Self::Arrive,
            EventKind::Create => Self::Create,
            EventKind::Delete | EventKind::DeleteSelf => Self::Remove,
            EventKind::Modify | EventKind::CloseWrite => Self::Change(Level::Modified),
            // A tree has paired the renames, so this event has no partner.
            EventKind::MovedFrom if in_tree || event.cookie() == 0 => Self::Remove,
            EventKind::MovedTo if in_tree || event.cookie() == 0 => Self::Arrive,
            EventKind::MovedFrom => Self::MovedFrom,
            EventKind::MovedTo => Self::MovedTo,
            _ => Self::Change(Level::Other),
        }
    }

    /// Returns `true` if the path has another file, or none, after this step.
    pub const fn is_structural(&self) -> bool {
        matches!(self, Self::Create | Self::Arrive | Self::Replace | Self::Remove)
    }
}

/// One or more events of a path that are applied as one step.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub watch: Option<WatchId>,
    pub path: PathBuf,
    pub is_dir: bool,
    pub mask: EventMask,
    pub events: u64,
    pub first: Instant,
    pub last: Instant,
    /// The last event.
    pub event: WatchEventBuf,
}

impl Batch {
    pub fn new(event: WatchEventBuf, now: Instant) -> Self {
        Self {
            watch: event.watch(),
            path: event.path().to_owned(),
            is_dir: event.is_dir(),
            mask: event.mask(),
            events: 1,
            first: now,
            last: now,
            event,
        }
    }

    /// Adds earlier events.
    pub fn add(&mut self, events: u64, mask: EventMask, first: Instant) {
        self.events = self.events.saturating_add(events);
        self.mask |= mask;
        self.first = self.first.min(first);
    }
}
