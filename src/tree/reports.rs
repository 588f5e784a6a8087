//! The events for the caller, in order.
//!
//! Invariants: an event behind an undecided rename is not returned before the rename is decided. No event is
//! of an entry in a directory that is too deep to be watched.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::event::{TreeEvent, TreeKind};
use crate::flags::{EventMask, WatchMask};
use crate::keys::KeyMap;

#[derive(Debug)]
enum Report {
    Event(TreeEvent),
    /// A rename, or an exchange; not known yet.
    Undecided(TreeEvent),
}

#[derive(Debug)]
pub(super) struct Reports {
    /// The events to report.
    reported_events: WatchMask,
    /// The number of names in the longest path that is reported.
    max_names: usize,
    queue: VecDeque<Report>,
    /// The decisions about undecided renames, by cookie: `true` for an exchange.
    decided: KeyMap<u32, bool>,
}

impl Reports {
    /// `max_depth`: the depth of the deepest watched directory.
    pub fn new(reported_events: WatchMask, max_depth: Option<u32>) -> Self {
        let max_names = max_depth.map_or(usize::MAX, |depth| (depth as usize).saturating_add(1));
        Self { reported_events, max_names, queue: VecDeque::new(), decided: KeyMap::new() }
    }

    /// Replaces the events to report.
    pub const fn set_events(&mut self, reported_events: WatchMask) {
        self.reported_events = reported_events;
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Queues an event, if it is to be reported.
    pub fn report(&mut self, kind: TreeKind, mask: EventMask, cookie: u32, path: Vec<u8>) {
        if self.is_reported(&kind, mask) && !self.is_too_deep(&kind, &path) {
            self.queue.push_back(Report::Event(TreeEvent { kind, mask, cookie, path }));
        }
    }

    /// Queues the rename of a directory onto another one.
    pub fn report_undecided(&mut self, from: Vec<u8>, cookie: u32, path: Vec<u8>) {
        let (kind, mask) = (TreeKind::Renamed { from }, EventMask::MOVED_TO | EventMask::ISDIR);
        if self.is_reported(&kind, mask) {
            self.queue.push_back(Report::Undecided(TreeEvent { kind, mask, cookie, path }));
        }
    }

    /// Decides whether the rename with this cookie was one half of an exchange.
    pub fn decide(&mut self, cookie: u32, exchanged: bool) {
        if self.reported_events.events().intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO) {
            self.decided.insert(cookie, exchanged);
        }
    }

    fn is_reported(&self, kind: &TreeKind, mask: EventMask) -> bool {
        let reported_events = self.reported_events.events();
        match kind {
            TreeKind::Reported => mask.intersects(reported_events.union(EventMask::UNMOUNT)),
            TreeKind::Discovered => reported_events.intersects(causes(mask)),
            TreeKind::Renamed { .. } | TreeKind::Exchanged { .. } => {
                reported_events.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO)
            }
            _ => true,
        }
    }

    /// Returns `true` if an entry is too deep: an exchange took its directory there a moment ago.
    fn is_too_deep(&self, kind: &TreeKind, path: &[u8]) -> bool {
        self.max_names != usize::MAX
            && matches!(kind, TreeKind::Reported | TreeKind::Discovered)
            && path.split(|&byte| byte == b'/').count() > self.max_names
    }

    /// Takes the next event, unless it is undecided.
    pub fn pop(&mut self) -> Option<TreeEvent> {
        if let Some(Report::Undecided(event)) = self.queue.front() {
            let exchanged = self.decided.remove(event.cookie)?;
            let Some(Report::Undecided(mut event)) = self.queue.pop_front() else { return None };
            if let (true, TreeKind::Renamed { from }) = (exchanged, &mut event.kind) {
                event.kind = TreeKind::Exchanged { with: core::mem::take(from) };
            }
            return Some(event);
        }
        match self.queue.pop_front()? {
            Report::Event(event) | Report::Undecided(event) => Some(event),
        }
    }
}

/// Returns the events that may have caused a discovery.
const fn causes(found: EventMask) -> EventMask {
    if found.contains(EventMask::DELETE) {
        EventMask::DELETE.union(EventMask::MOVED_FROM)
    } else if found.contains(EventMask::MODIFY) {
        EventMask::MODIFY.union(EventMask::CLOSE_WRITE).union(EventMask::ATTRIB)
    } else if found.contains(EventMask::ISDIR) {
        EventMask::CREATE.union(EventMask::MOVED_TO)
    } else {
        EventMask::CREATE
            .union(EventMask::MOVED_TO)
            .union(EventMask::MODIFY)
            .union(EventMask::CLOSE_WRITE)
    }
}
