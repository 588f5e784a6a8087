//! What one event means for names: the input of the rules.

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

/// What one event does to its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is there, and was not before.
    Create,
    /// It is there. Something else may have been there before.
    Arrive,
    /// Something else is there instead.
    Replace,
    /// It stays, and has changed this much.
    Change(Level),
    /// It is gone, with everything beneath it.
    Remove,
    /// The first half of a rename.
    MovedFrom,
    /// The second half of a rename.
    MovedTo,
    /// Both halves.
    Rename { from: PathBuf },
    /// Two directories changed places.
    Exchange { with: PathBuf },
    /// It says nothing about one path. Everything of its watch that is pending comes before it.
    Barrier,
}

impl Step {
    pub fn of(event: &WatchEventBuf) -> Self {
        let kind = event.kind();
        match kind {
            EventKind::Overflow | EventKind::Ignored | EventKind::Unmount => return Self::Barrier,
            // The watched file itself: its path is no longer true.
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
            // A tree has joined the halves already.
            EventKind::MovedFrom if in_tree || event.cookie() == 0 => Self::Remove,
            EventKind::MovedTo if in_tree || event.cookie() == 0 => Self::Arrive,
            EventKind::MovedFrom => Self::MovedFrom,
            EventKind::MovedTo => Self::MovedTo,
            _ => Self::Change(Level::Other),
        }
    }

    /// Returns `true` if the thing at the path is another one after this step.
    pub const fn is_structural(&self) -> bool {
        matches!(self, Self::Create | Self::Arrive | Self::Replace | Self::Remove)
    }
}

/// One or more events that are applied as one step.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub watch: Option<WatchId>,
    pub path: PathBuf,
    pub is_dir: bool,
    pub mask: EventMask,
    pub events: u64,
    pub first: Instant,
    pub last: Instant,
    /// The last one.
    pub event: WatchEventBuf,
}

impl Seen {
    pub fn new(event: WatchEventBuf, now: Instant) -> Self {
        Self {
            watch: event.watch(),
            path: event.path(),
            is_dir: event.is_dir(),
            mask: event.mask(),
            events: 1,
            first: now,
            last: now,
            event,
        }
    }

    /// Takes in earlier events.
    pub fn add(&mut self, events: u64, mask: EventMask, first: Instant) {
        self.events = self.events.saturating_add(events);
        self.mask |= mask;
        self.first = self.first.min(first);
    }
}
