//! The watches that users know, by key and by alias.
//!
//! A slot is free or has a subscription. Every key of an earlier use of the slot is refused. An alias
//! belongs to one slot in use.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::super::error::WatchError;
use super::super::id::WatchId;
use super::super::subscription::{Subscription, WatchKind};

#[derive(Debug)]
pub(in crate::watcher) struct Registry {
    watcher: u32,
    slots: Vec<Slot>,
    free: Vec<u32>,
    aliases: HashMap<OsString, WatchId>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    subscription: Option<Arc<Subscription>>,
}

impl Registry {
    /// Returns the registry of the watcher with this number.
    pub fn new(watcher: u32) -> Self {
        Self { watcher, slots: Vec::new(), free: Vec::new(), aliases: HashMap::new() }
    }

    /// # Errors
    ///
    /// [`WatchError::AliasTaken`].
    pub fn check_alias(&self, alias: Option<&OsStr>) -> Result<(), WatchError> {
        match alias.filter(|alias| self.aliases.contains_key(*alias)) {
            Some(alias) => Err(WatchError::AliasTaken(alias.to_owned())),
            None => Ok(()),
        }
    }

    /// Adds the subscription that `make` returns for a new key. Its alias is free.
    pub fn add(&mut self, make: impl FnOnce(WatchId) -> Subscription) -> Arc<Subscription> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, subscription: None });
            // Memory ends long before four thousand million slots.
            (self.slots.len() as u32).wrapping_sub(1)
        });
        let slot = self.slots.get_mut(index as usize);
        let generation = slot.as_ref().map_or(0, |slot| slot.generation);
        let id = WatchId::new(self.watcher, index, generation);
        let subscription = Arc::new(make(id));
        if let Some(slot) = slot {
            slot.subscription = Some(Arc::clone(&subscription));
        }
        if let Some(alias) = subscription.options.get_alias() {
            self.aliases.insert(alias.to_owned(), id);
        }
        subscription
    }

    /// Replaces the subscription with the same key, and returns the old one.
    pub fn replace(&mut self, new: Arc<Subscription>) -> Option<Arc<Subscription>> {
        self.get(new.id).ok()?;
        self.slots.get_mut(new.id.index())?.subscription.replace(new)
    }

    /// Removes a subscription, and frees its key and its alias.
    pub fn remove(&mut self, id: WatchId) -> Option<Arc<Subscription>> {
        self.get(id).ok()?;
        let slot = self.slots.get_mut(id.index())?;
        let subscription = slot.subscription.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        // A slot whose generations are used up is never used again.
        if slot.generation != u32::MAX {
            self.free.push(id.index() as u32);
        }
        if let Some(alias) = subscription.options.get_alias() {
            self.aliases.remove(alias);
        }
        Some(subscription)
    }

    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`].
    pub fn get(&self, id: WatchId) -> Result<&Arc<Subscription>, WatchError> {
        let slot = self
            .slots
            .get(id.index())
            .filter(|slot| id.is_of(self.watcher) && id.generation() == slot.generation);
        slot.and_then(|slot| slot.subscription.as_ref()).ok_or(WatchError::NoSuchWatch(id))
    }

    /// Returns the subscription of a tree.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`], also for a watch that is no tree.
    pub fn get_tree(&self, id: WatchId) -> Result<&Arc<Subscription>, WatchError> {
        let subscription = self.get(id)?;
        let is_tree = subscription.kind == WatchKind::Tree;
        if is_tree { Ok(subscription) } else { Err(WatchError::NoSuchWatch(id)) }
    }

    /// # Errors
    ///
    /// [`WatchError::NoSuchAlias`].
    pub fn with_alias(&self, alias: &OsStr) -> Result<WatchId, WatchError> {
        let id = self.aliases.get(alias).copied();
        id.ok_or_else(|| WatchError::NoSuchAlias(alias.to_owned()))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.slots.iter().filter_map(|slot| slot.subscription.as_ref())
    }
}
