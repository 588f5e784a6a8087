//! What is still to be given to the caller, in order.
//!
//! Invariant: nothing that was reported after an undecided rename is given before that is decided.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::event::{TreeEvent, TreeKind};
use crate::flags::{EventMask, WatchMask};

#[derive(Debug)]
enum Report {
    Event(TreeEvent),
    /// A rename, or one half of an exchange.
    Undecided(TreeEvent),
}

#[derive(Debug)]
pub(super) struct Reports {
    /// The events that were asked for.
    asked: WatchMask,
    queue: VecDeque<Report>,
    /// Of undecided renames, by their cookies: whether it was an exchange.
    decided: BTreeMap<u32, bool>,
}

impl Reports {
    pub const fn new(asked: WatchMask) -> Self {
        Self { asked, queue: VecDeque::new(), decided: BTreeMap::new() }
    }

    /// Replaces the events that were asked for.
    pub const fn ask(&mut self, asked: WatchMask) {
        self.asked = asked;
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Reports something, if it was asked for.
    pub fn tell(&mut self, kind: TreeKind, mask: EventMask, cookie: u32, path: Vec<u8>) {
        if self.is_asked(&kind, mask) {
            self.queue.push_back(Report::Event(TreeEvent { kind, mask, cookie, path }));
        }
    }

    /// Reports the rename of a directory onto another one.
    pub fn tell_undecided(&mut self, from: Vec<u8>, cookie: u32, path: Vec<u8>) {
        let (kind, mask) = (TreeKind::Renamed { from }, EventMask::MOVED_TO | EventMask::ISDIR);
        if self.is_asked(&kind, mask) {
            self.queue.push_back(Report::Undecided(TreeEvent { kind, mask, cookie, path }));
        }
    }

    /// It is known now whether the rename with this cookie was one half of an exchange.
    pub fn decide(&mut self, cookie: u32, exchanged: bool) {
        if self.asked.events().intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO) {
            self.decided.insert(cookie, exchanged);
        }
    }

    fn is_asked(&self, kind: &TreeKind, mask: EventMask) -> bool {
        let asked = self.asked.events();
        match kind {
            TreeKind::Reported => mask.intersects(asked.union(EventMask::UNMOUNT)),
            TreeKind::Discovered => asked.intersects(causes(mask)),
            TreeKind::Renamed { .. } | TreeKind::Exchanged { .. } => {
                asked.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO)
            }
            _ => true,
        }
    }

    /// Takes what comes next.
    pub fn pop(&mut self) -> Option<TreeEvent> {
        if let Some(Report::Undecided(event)) = self.queue.front() {
            let exchanged = self.decided.remove(&event.cookie)?;
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

/// What may have happened where the mask was discovered.
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
