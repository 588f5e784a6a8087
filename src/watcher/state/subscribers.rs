//! Who has asked for the events of a descriptor.
//!
//! One descriptor has several subscribers, since the kernel watches inodes and users watch paths. A
//! descriptor is known as long as it has a subscriber. Trees know their own descriptors.

use std::collections::HashMap;

use super::super::id::WatchId;
use super::super::subscription::{Recipient, Way};
use crate::event::Wd;
use crate::keys::KeySet;

#[derive(Debug, Default)]
pub(super) struct Subscribers {
    /// The oldest first.
    of: HashMap<Wd, Vec<Recipient>>,
    /// Descriptors that lost their last subscriber while a tree was at work, which may need them.
    unclear: KeySet<Wd>,
}

impl Subscribers {
    /// Returns the subscribers of a descriptor, the oldest first.
    pub fn of(&self, wd: Wd) -> &[Recipient] {
        self.of.get(&wd).map_or(&[], Vec::as_slice)
    }

    pub fn contains(&self, wd: Wd) -> bool {
        self.of.contains_key(&wd)
    }

    /// Returns `true` if a user watches the inode itself.
    pub fn has_inode(&self, wd: Wd) -> bool {
        self.of(wd).iter().any(|recipient| recipient.way == Way::Inode)
    }

    pub fn add(&mut self, wd: Wd, recipient: Recipient) {
        let recipients = self.of.entry(wd).or_default();
        if recipients.is_empty() {
            // Most have one.
            recipients.reserve_exact(1);
        }
        recipients.push(recipient);
    }

    /// Removes a watch from the subscribers of a descriptor.
    pub fn remove(&mut self, wd: Wd, id: WatchId) {
        let Some(recipients) = self.of.get_mut(&wd) else { return };
        recipients.retain(|recipient| recipient.subscription.id != id);
        if recipients.is_empty() {
            self.of.remove(&wd);
        }
    }

    /// Replaces the recipient of the same watch.
    pub fn replace(&mut self, wd: Wd, new: &Recipient) {
        let recipients = self.of.get_mut(&wd).into_iter().flatten();
        for old in recipients.filter(|old| old.is_same(new)) {
            *old = new.clone();
        }
    }

    /// Removes and returns all subscribers of a descriptor that the kernel has ended.
    pub fn end(&mut self, wd: Wd) -> Vec<Recipient> {
        self.unclear.remove(wd);
        self.of.remove(&wd).unwrap_or_default()
    }

    /// Returns all descriptors that have subscribers.
    pub fn wds(&self) -> impl Iterator<Item = Wd> {
        self.of.keys().copied()
    }

    /// Notes that it is not known whether a tree needs a descriptor.
    pub fn set_unclear(&mut self, wd: Wd) {
        self.unclear.add(wd);
    }

    /// Returns `true` if it is not known of some descriptor whether a tree needs it.
    pub fn has_unclear(&self) -> bool {
        !self.unclear.is_empty()
    }

    /// Takes all descriptors of which it was not known whether a tree needs them.
    pub fn take_unclear(&mut self) -> KeySet<Wd> {
        std::mem::take(&mut self.unclear)
    }
}
