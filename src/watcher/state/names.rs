//! The names that are followed, and those of them that have to be walked again.
//!
//! A name is pending from the event that may have changed its way until its next walk. One whose walk
//! failed waits until something was read again.

use std::collections::HashMap;

use super::super::id::WatchId;
use crate::event::{Event, Wd};
use crate::follow::{Follower, NameChange};
use crate::keys::KeySet;

#[derive(Debug, Default)]
pub(super) struct Names {
    followers: HashMap<WatchId, Follower>,
    pending: KeySet<WatchId>,
    failed: KeySet<WatchId>,
}

impl Names {
    pub fn add(&mut self, id: WatchId, follower: Follower) {
        self.followers.insert(id, follower);
    }

    /// Removes a name. Returns the descriptors that it needed.
    pub fn remove(&mut self, id: WatchId) -> KeySet<Wd> {
        let wds = self.wds(id);
        self.pending.remove(id);
        self.failed.remove(id);
        self.followers.remove(&id);
        wds
    }

    /// Returns the descriptors that a name needs.
    pub fn wds(&self, id: WatchId) -> KeySet<Wd> {
        self.get(id).into_iter().flat_map(|name| name.watches().map(|(wd, ..)| wd)).collect()
    }

    pub fn get(&self, id: WatchId) -> Option<&Follower> {
        self.followers.get(&id)
    }

    pub fn get_mut(&mut self, id: WatchId) -> Option<&mut Follower> {
        self.followers.get_mut(&id)
    }

    /// Has a follower take an event of one of its watches.
    pub fn feed(&mut self, id: WatchId, event: &Event<'_>) -> Option<NameChange> {
        let follower = self.followers.get_mut(&id)?;
        let change = follower.feed(event);
        if follower.is_pending() {
            self.pending.add(id);
        }
        change
    }

    /// Events were lost, so anything may have happened to every name.
    pub fn lost(&mut self) {
        for (id, follower) in &mut self.followers {
            follower.lost();
            self.pending.add(*id);
        }
    }

    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub fn take_pending(&mut self) -> KeySet<WatchId> {
        std::mem::take(&mut self.pending)
    }

    /// Notes that a walk failed.
    pub fn set_failed(&mut self, id: WatchId) {
        self.failed.add(id);
    }

    /// Something was read, so what failed may work now.
    pub fn retry(&mut self) {
        if !self.failed.is_empty() {
            self.pending.append(&mut self.failed);
        }
    }
}
