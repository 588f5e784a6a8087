//! Watches that are older than the knowledge of their directory: what is queued of them from before is
//! passed over.
//!
//! Invariant: entries are added with positions that never go down, so the last one outlasts all others.

use alloc::collections::BTreeMap;

use crate::event::Wd;

#[derive(Debug, Default)]
pub(super) struct Stale {
    /// Where the events begin that are not older.
    begins: BTreeMap<i32, u64>,
    last: u64,
}

impl Stale {
    /// What is queued of the watch before `begin` is older.
    pub fn insert(&mut self, wd: Wd, begin: u64) {
        self.begins.insert(wd.as_raw(), begin);
        self.last = begin;
    }

    pub fn begin(&self, wd: Wd) -> Option<u64> {
        self.begins.get(&wd.as_raw()).copied()
    }

    /// The stream has come to `at`. Forgets all at once, since to look for some takes as long as there
    /// are many.
    pub fn come_to(&mut self, at: u64) {
        if self.last <= at {
            self.begins = BTreeMap::new();
        }
    }
}
