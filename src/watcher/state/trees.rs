//! The trees of a watcher, at home or at work.
//!
//! A tree is *at home* in its slot, or *at work* in one thread, which has its driver, with the lock open.
//! What comes for a tree at work waits in its slot: changes that others ask for, and records that are
//! read meanwhile. An ended slot goes when its driver has come home to be stopped.

use std::sync::Arc;

use super::super::id::WatchId;
use super::super::route::Route;
use super::super::subscription::{Recipient, Subscription, TURNS, Way};
use super::registry::Registry;
use super::tree::{TreeChangeRequest, TreeDriver};
use crate::event::{Event, Wd};
use crate::flags::EventMask;
use crate::keys::Table;
use crate::sys::Fd;

/// The records that wait for a tree at work take at most this much memory, in bytes.
const MOST_KEPT: usize = 16 * 1024 * 1024;

/// What a record that waits takes beside its name, in bytes.
const KEPT_SIZE: usize = 48;

#[derive(Debug, Default)]
pub(in crate::watcher) struct Trees {
    slots: Table<WatchId, Slot>,
}

#[derive(Debug)]
struct Slot {
    id: WatchId,
    /// `None` while the tree is at work.
    driver: Option<Box<TreeDriver>>,
    is_ended: bool,
    requests: Vec<TreeChangeRequest>,
    kept: Vec<KeptRecord>,
    kept_size: usize,
    /// The directory that a relative root begins at.
    home: Option<Arc<Fd>>,
    /// Position in the stream at which the tree's events begin.
    since: u64,
}

/// A record that was read while its tree was at work.
#[derive(Debug)]
pub(in crate::watcher) struct KeptRecord {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    name_and_nul: Box<[u8]>,
    pub position: u64,
}

impl KeptRecord {
    fn new(event: Event<'_>, position: u64) -> Self {
        let name_and_nul = event.name_and_nul().into();
        Self { wd: event.wd(), mask: event.mask(), cookie: event.cookie(), name_and_nul, position }
    }

    fn overflow(position: u64) -> Self {
        Self::new(Event::from_parts(Wd::NONE, EventMask::Q_OVERFLOW, 0, &[]), position)
    }

    pub fn event(&self) -> Event<'_> {
        Event::from_parts(self.wd, self.mask, self.cookie, &self.name_and_nul)
    }
}

/// A tree that was taken to work on it, and what has come for it.
#[derive(Debug)]
pub(in crate::watcher) struct TakenTree {
    pub driver: Box<TreeDriver>,
    pub requests: Vec<TreeChangeRequest>,
    pub kept: Vec<KeptRecord>,
}

impl Trees {
    /// Adds a tree that is at work: it is being set up.
    pub fn add(&mut self, id: WatchId, home: Option<Arc<Fd>>, since: u64) {
        let slot = Slot {
            id,
            driver: None,
            is_ended: false,
            requests: Vec::new(),
            kept: Vec::new(),
            kept_size: 0,
            home,
            since,
        };
        self.slots.insert(id, slot);
    }

    /// Takes a tree to work on it. Returns `None` if it is at work already, or if there is no such tree.
    pub fn take(&mut self, id: WatchId) -> Option<TakenTree> {
        self.slots.get_mut(id)?.take()
    }

    /// Takes a tree to feed it a record, or keeps the record until it comes home. Also returns `true` if kept
    /// records were lost, once for each loss.
    pub fn take_or_keep(
        &mut self,
        id: WatchId,
        event: Event<'_>,
        position: u64,
    ) -> (Option<TakenTree>, bool) {
        let Some(slot) = self.slots.get_mut(id) else { return (None, false) };
        match slot.take() {
            Some(taken) => (Some(taken), false),
            None => (None, slot.keep(event, position)),
        }
    }

    /// Asks for a change of a tree, which [`take`](Self::take) hands over.
    pub fn request(&mut self, id: WatchId, request: TreeChangeRequest) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.requests.push(request);
        }
    }

    /// Brings a tree home. Returns the driver of one that was ended; the caller stops it.
    pub fn come_home(
        &mut self,
        id: WatchId,
        driver: Box<TreeDriver>,
    ) -> Result<(), Box<TreeDriver>> {
        match self.slots.get_mut(id).filter(|slot| !slot.is_ended) {
            Some(slot) => {
                slot.driver = Some(driver);
                Ok(())
            }
            None => Err(driver),
        }
    }

    /// Takes a tree if changes of it are asked for.
    pub fn take_requested(&mut self, id: WatchId) -> Option<TakenTree> {
        self.slots.get_mut(id).filter(|slot| !slot.requests.is_empty())?.take()
    }

    /// Ends a tree. Returns the driver if it is at home; the caller stops it.
    pub fn end(&mut self, id: WatchId) -> Option<Box<TreeDriver>> {
        let slot = self.slots.get_mut(id)?;
        slot.is_ended = true;
        slot.driver.take()
    }

    /// Removes a tree that was stopped.
    pub fn remove(&mut self, id: WatchId) {
        self.slots.remove(id);
    }

    /// Returns `true` if a tree other than `id` is at work.
    pub fn is_other_at_work(&self, id: Option<WatchId>) -> bool {
        self.slots.values_unordered().any(|slot| slot.driver.is_none() && Some(slot.id) != id)
    }

    /// Returns `true` if a tree at home, other than `id`, has a watch.
    pub fn is_in_other(&self, id: Option<WatchId>, wd: Wd) -> bool {
        self.drivers().any(|(other, driver)| Some(other) != id && driver.contains(wd))
    }

    /// Adds the trees that receive the events of a descriptor to a route. `is_reported`: no report waits.
    pub fn route(&self, wd: Wd, registry: &Registry, is_reported: bool, route: &mut Route) {
        for slot in self.slots.values_unordered() {
            slot.route(wd, registry, is_reported, route);
        }
    }

    /// Adds one tree to a route, if it receives the events of the descriptor.
    pub fn route_one(
        &self,
        id: WatchId,
        wd: Wd,
        registry: &Registry,
        is_reported: bool,
        route: &mut Route,
    ) {
        if let Some(slot) = self.slots.get(id) {
            slot.route(wd, registry, is_reported, route);
        }
    }

    fn drivers(&self) -> impl Iterator<Item = (WatchId, &TreeDriver)> {
        let slots = self.slots.values_unordered();
        slots.filter_map(|slot| Some((slot.id, &**slot.driver.as_ref()?)))
    }

    pub fn ids(&self) -> impl Iterator<Item = WatchId> {
        self.slots.keys()
    }

    /// Returns the trees at home that have something to do when the queue is empty.
    pub fn restless(&self) -> impl Iterator<Item = WatchId> {
        self.drivers().filter(|(_, driver)| !driver.is_at_rest()).map(|(id, _)| id)
    }

    /// Returns the trees at home for which something waits.
    pub fn with_work(&self) -> impl Iterator<Item = WatchId> {
        let slots = self.slots.values_unordered();
        slots.filter(|slot| slot.driver.is_some() && slot.has_work()).map(|slot| slot.id)
    }

    /// Returns the driver of a tree. `None` while it is at work.
    pub fn driver(&self, id: WatchId) -> Option<&TreeDriver> {
        self.slots.get(id)?.driver.as_deref()
    }

    /// Returns the directory that the relative root of a tree begins at.
    pub fn home(&self, id: WatchId) -> Option<Arc<Fd>> {
        self.slots.get(id)?.home.clone()
    }

    /// Replaces the directory that the root of a tree begins at.
    pub fn set_home(&mut self, id: WatchId, home: Option<Arc<Fd>>) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.home = home;
        }
    }
}

impl Slot {
    /// Adds the tree to a route, if it receives the events of the descriptor. A tree at work may need any. A
    /// record may overtake nothing that waits for the tree, nor a report, so its engine has to see the record then.
    fn route(&self, wd: Wd, registry: &Registry, is_reported: bool, route: &mut Route) {
        if self.is_ended {
            return;
        }
        let Ok(subscription) = registry.get(self.id) else { return };
        route.push_beneath(&subscription.path, |path| {
            let engine = match &self.driver {
                Some(driver) => {
                    let engine = driver.directory(wd, path)?;
                    let may_overtake = is_reported && !self.has_work();
                    if may_overtake { engine } else { EventMask::all() }
                }
                None => EventMask::all(),
            };
            Some(self.recipient(subscription, engine))
        });
    }

    /// Returns the tree as a recipient whose engine has to see the events `engine`.
    fn recipient(&self, subscription: &Arc<Subscription>, engine: EventMask) -> Recipient {
        let is_plain = !subscription.options.has_filter();
        Recipient {
            mask: subscription.asked.events() | engine,
            slow: if is_plain { engine | TURNS } else { EventMask::all() },
            since: self.since,
            way: Way::Tree(engine),
            subscription: Arc::clone(subscription),
        }
    }

    /// Returns `true` if records or changes wait for the tree.
    const fn has_work(&self) -> bool {
        !self.kept.is_empty() || !self.requests.is_empty()
    }

    fn take(&mut self) -> Option<TakenTree> {
        let driver = self.driver.take()?;
        self.kept_size = 0;
        Some(TakenTree {
            driver,
            requests: std::mem::take(&mut self.requests),
            kept: std::mem::take(&mut self.kept),
        })
    }

    /// Keeps a record. When too many wait, they become one overflow. Returns `true` then, once.
    fn keep(&mut self, event: Event<'_>, position: u64) -> bool {
        if position < self.since || self.is_ended {
            return false;
        }
        let was_full = self.kept_size > MOST_KEPT;
        let size = KEPT_SIZE.saturating_add(event.name_and_nul().len());
        self.kept_size = self.kept_size.saturating_add(size);
        let is_full = self.kept_size > MOST_KEPT;
        if is_full {
            self.kept.clear();
            self.kept.push(KeptRecord::overflow(position));
        } else {
            self.kept.push(KeptRecord::new(event, position));
        }
        is_full && !was_full
    }
}
