//! Watches that are older than what is known of their directories. Their older events are skipped.
//!
//! Invariant: entries are added with positions that never decrease, so the last one outlasts all others.

use crate::event::Wd;
use crate::keys::KeyMap;

#[derive(Debug, Default)]
pub(super) struct Stale {
    /// The position of the first event that is not skipped.
    begins: KeyMap<i32, u64>,
    last: u64,
}

impl Stale {
    /// Skips the events of the watch before `begin`.
    pub fn insert(&mut self, wd: Wd, begin: u64) {
        self.begins.insert(wd.as_raw(), begin);
        self.last = begin;
    }

    pub fn begin(&self, wd: Wd) -> Option<u64> {
        self.begins.get(wd.as_raw())
    }

    /// Forgets all entries at once when the stream has passed the last one: a search for the outdated ones
    /// would take time for each.
    pub fn advance_to(&mut self, at: u64) {
        if self.last <= at {
            self.begins = KeyMap::new();
        }
    }
}
