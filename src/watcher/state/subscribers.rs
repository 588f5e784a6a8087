//! Who has asked for the events of a descriptor.
//!
//! One descriptor has several subscribers, since the kernel watches inodes and users watch paths. A
//! descriptor is known as long as it has a subscriber. Trees know their own descriptors.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::super::id::WatchId;
use super::super::subscription::Subscription;
use crate::event::Wd;
use crate::flags::EventMask;

/// One who has asked for the events of a descriptor.
#[derive(Clone, Debug)]
pub(super) enum Subscriber {
    /// A watch of the inode itself.
    Inode(Arc<Subscription>),
    /// A followed name: the events that matter to it, and the entry if the descriptor is a directory on
    /// the way.
    Name { id: WatchId, mask: EventMask, entry: Option<Box<[u8]>> },
}

impl Subscriber {
    fn id(&self) -> WatchId {
        match self {
            Self::Inode(subscription) => subscription.id,
            Self::Name { id, .. } => *id,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Subscribers {
    by_wd: HashMap<Wd, Vec<Subscriber>>,
    /// Descriptors that lost their last subscriber while a tree was at work, which may need them.
    unclear: BTreeSet<Wd>,
}

impl Subscribers {
    /// Returns the subscribers of a descriptor, the oldest first.
    pub fn of(&self, wd: Wd) -> &[Subscriber] {
        self.by_wd.get(&wd).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn contains(&self, wd: Wd) -> bool {
        self.by_wd.contains_key(&wd)
    }

    /// Returns `true` if a user watches the inode itself.
    pub fn has_inode(&self, wd: Wd) -> bool {
        self.of(wd).iter().any(|subscriber| matches!(subscriber, Subscriber::Inode(_)))
    }

    pub fn add(&mut self, wd: Wd, subscriber: Subscriber) {
        self.by_wd.entry(wd).or_default().push(subscriber);
    }

    /// Removes a watch from the subscribers of a descriptor.
    pub fn remove(&mut self, wd: Wd, id: WatchId) {
        let Some(subscribers) = self.by_wd.get_mut(&wd) else { return };
        subscribers.retain(|subscriber| subscriber.id() != id);
        if subscribers.is_empty() {
            self.by_wd.remove(&wd);
        }
    }

    /// Puts another subscription in the place of the one with its key.
    pub fn replace(&mut self, new: &Arc<Subscription>) {
        for subscriber in self.by_wd.get_mut(&new.wd).into_iter().flatten() {
            if let Subscriber::Inode(old) = subscriber {
                if old.id == new.id {
                    *old = Arc::clone(new);
                }
            }
        }
    }

    /// Removes and returns all subscribers of a descriptor that the kernel has ended.
    pub fn end(&mut self, wd: Wd) -> Vec<Subscriber> {
        self.unclear.remove(&wd);
        self.by_wd.remove(&wd).unwrap_or_default()
    }

    /// Returns all descriptors that have subscribers.
    pub fn wds(&self) -> impl Iterator<Item = Wd> {
        self.by_wd.keys().copied()
    }

    /// Notes that it is not known whether a tree needs a descriptor.
    pub fn set_unclear(&mut self, wd: Wd) {
        self.unclear.insert(wd);
    }

    /// Takes all descriptors of which it was not known whether a tree needs them.
    pub fn take_unclear(&mut self) -> BTreeSet<Wd> {
        std::mem::take(&mut self.unclear)
    }
}
