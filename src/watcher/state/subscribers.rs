//! Who has asked for the events of a descriptor.
//!
//! One descriptor has several subscribers, since the kernel watches inodes and users watch paths. A
//! descriptor is known as long as it has a subscriber. Trees know their own descriptors.

use std::collections::HashMap;

use super::super::id::WatchId;
use super::super::subscription::{Recipient, Route, Way};
use crate::event::Wd;
use crate::keys::KeySet;

#[derive(Debug, Default)]
pub(super) struct Subscribers {
    /// A route is never changed, since readers hold it.
    routes: HashMap<Wd, Route>,
    /// Descriptors that lost their last subscriber while a tree was at work, which may need them.
    unclear: KeySet<Wd>,
}

impl Subscribers {
    /// Returns the subscribers of a descriptor, the oldest first.
    pub fn of(&self, wd: Wd) -> Option<&Route> {
        self.routes.get(&wd)
    }

    pub fn contains(&self, wd: Wd) -> bool {
        self.routes.contains_key(&wd)
    }

    /// Returns `true` if a user watches the inode itself.
    pub fn has_inode(&self, wd: Wd) -> bool {
        self.of(wd).is_some_and(|route| route.iter().any(|recipient| recipient.way == Way::Inode))
    }

    pub fn add(&mut self, wd: Wd, recipient: Recipient) {
        let route = self.routes.entry(wd).or_default();
        *route = route.iter().cloned().chain([recipient]).collect();
    }

    /// Removes a watch from the subscribers of a descriptor.
    pub fn remove(&mut self, wd: Wd, id: WatchId) {
        let Some(route) = self.routes.get_mut(&wd) else { return };
        *route =
            route.iter().filter(|recipient| recipient.subscription.id != id).cloned().collect();
        if route.is_empty() {
            self.routes.remove(&wd);
        }
    }

    /// Replaces the recipient of the same watch.
    pub fn replace(&mut self, wd: Wd, new: &Recipient) {
        if let Some(route) = self.routes.get_mut(&wd) {
            let update = |old: &Recipient| if old.is_same(new) { new } else { old }.clone();
            *route = route.iter().map(update).collect();
        }
    }

    /// Removes and returns all subscribers of a descriptor that the kernel has ended.
    pub fn end(&mut self, wd: Wd) -> Route {
        self.unclear.remove(wd);
        self.routes.remove(&wd).unwrap_or_default()
    }

    /// Returns all descriptors that have subscribers.
    pub fn wds(&self) -> impl Iterator<Item = Wd> {
        self.routes.keys().copied()
    }

    /// Notes that it is not known whether a tree needs a descriptor.
    pub fn set_unclear(&mut self, wd: Wd) {
        self.unclear.add(wd);
    }

    /// Takes all descriptors of which it was not known whether a tree needs them.
    pub fn take_unclear(&mut self) -> KeySet<Wd> {
        std::mem::take(&mut self.unclear)
    }
}
