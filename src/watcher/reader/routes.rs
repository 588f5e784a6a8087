//! The recipients of the current record, and the path that is lent with it.
//!
//! Routes are kept with the version of the state that they are of, so that the lock is seldom needed. They
//! are in slots, found by descriptor: 64 at first, and up to 4,096 where records come from more directories.
//! A slot takes about 150 bytes, and the path of its directory once it was used. Where records come
//! from many more directories, most routes are used once. Then they are made in the last slot, which stays in
//! the processor's cache, and only a few are kept. Slots are used again, so a record of another directory
//! allocates nothing.

use std::sync::Arc;

use super::super::path::{BLOCK, EventPath, PathBuffer};
use super::super::route::Route;
use super::super::shared::Shared;
use super::super::subscription::{Recipient, Subscription};
use crate::event::Wd;
use crate::flags::EventMask;

/// Powers of two.
const FEWEST: usize = 64;
const MOST: usize = 4096;

/// A route whose slot belongs to another descriptor replaces that one's route in one of this many cases.
const KEPT: usize = 8;

/// What no route is of: no state has this version.
const OF_NONE: (Wd, u64) = (Wd::NONE, u64::MAX);

/// The index of a recipient that no route has.
const NOBODY: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct Routes {
    slots: Vec<Slot>,
    current: Current,
    /// The index of the next recipient of the current record.
    next: usize,
    /// The recipient whose directory `path` begins with.
    composed: usize,
    path: PathBuffer,
    /// How often a slot was needed for another descriptor since the number of slots was last changed.
    conflicts: usize,
}

/// The slot of the current record, and copies of what most records need of it.
#[derive(Clone, Copy, Debug)]
struct Current {
    slot: usize,
    of: (Wd, u64),
    len: usize,
    /// Of the recipient, if it is the only one: the events that it receives, those that can't be lent to it as
    /// they come, and where they begin.
    plain: EventMask,
    slow: EventMask,
    since: u64,
}

impl Current {
    const NONE: Self = Self {
        slot: 0,
        of: OF_NONE,
        len: 0,
        plain: EventMask::empty(),
        slow: EventMask::empty(),
        since: 0,
    };

    fn new(slot: usize, of: (Wd, u64), route: &Route) -> Self {
        let len = route.len();
        let current = Self { slot, of, len, ..Self::NONE };
        match route.get(0).filter(|_| len == 1) {
            Some(&Recipient { mask, slow, since, .. }) => {
                Self { plain: mask, slow, since, ..current }
            }
            None => current,
        }
    }
}

/// The recipients of a descriptor as of a version.
#[derive(Debug)]
struct Slot {
    of: (Wd, u64),
    route: Route,
}

impl Routes {
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            current: Current::NONE,
            next: 0,
            composed: NOBODY,
            path: PathBuffer::default(),
            conflicts: 0,
        }
    }

    /// Goes to the recipients of a descriptor.
    #[inline(always)]
    pub fn go_to(&mut self, wd: Wd, shared: &Shared) {
        let of = (wd, shared.version());
        if self.current.of != of {
            self.look_up(of, shared);
        }
        self.next = 0;
    }

    #[inline(never)]
    fn look_up(&mut self, of: (Wd, u64), shared: &Shared) {
        self.composed = NOBODY;
        let index = self.slot(of);
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.of != of {
            // With the lock open, since it may hold users' values.
            slot.route.clear();
            shared.look(|state| state.route(of.0, &mut slot.route));
            slot.of = of;
        }
        self.current = Current::new(index, of, &slot.route);
    }

    /// Returns the slot that has the route, or that gets it.
    fn slot(&mut self, of: (Wd, u64)) -> usize {
        // The kernel counts descriptors upwards, so those of one tree are spread.
        let last = self.slots.len().saturating_sub(1);
        let slot = of.0.as_raw() as usize & last.wrapping_sub(1);
        let is_taken =
            self.slots.get(slot).is_some_and(|slot| slot.of.0 != of.0 && slot.of.1 == of.1);
        if last > 0 && !is_taken {
            return slot;
        }
        self.conflicts = self.conflicts.wrapping_add(1);
        if last < MOST && self.conflicts > last {
            self.grow(last.saturating_mul(8).clamp(FEWEST, MOST));
            return self.slot(of);
        }
        if self.conflicts.is_multiple_of(KEPT) { slot } else { last }
    }

    #[cold]
    fn grow(&mut self, slots: usize) {
        let empty = || Slot { of: OF_NONE, route: Route::default() };
        self.slots = std::iter::repeat_with(empty).take(slots.saturating_add(1)).collect();
        self.conflicts = 0;
    }

    /// Goes past all recipients of a record. Returns `true` if there is one, who is lent the record as it is: no
    /// filter, no tree.
    #[inline(always)]
    pub fn pass(&mut self, mask: EventMask, position: u64) -> bool {
        let current = &self.current;
        self.next = current.len;
        mask.intersects(current.plain)
            && !mask.intersects(current.slow)
            && position >= current.since
    }

    #[inline(always)]
    fn route(&self) -> Option<&Route> {
        self.slots.get(self.current.slot).map(|slot| &slot.route)
    }

    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&Recipient> {
        self.route()?.get(index)
    }

    #[inline(always)]
    pub fn subscription(&self, index: usize) -> Option<&Arc<Subscription>> {
        self.get(index).map(|recipient| &recipient.subscription)
    }

    /// Composes the path of a name in the directory of a recipient, or of the directory if there is no name.
    #[inline(always)]
    pub fn compose(&mut self, index: usize, name: &[u8], block: Option<&[u8; BLOCK]>) {
        if self.composed != index {
            self.compose_directory(index);
        }
        self.path.set_name(name, block);
    }

    #[inline(never)]
    fn compose_directory(&mut self, index: usize) {
        let slot = self.slots.get(self.current.slot);
        if let Some((path, len)) = slot.and_then(|slot| slot.route.path(index)) {
            self.path.set_directory(path, len);
            self.composed = index;
        }
    }

    /// Returns the path that was composed last.
    #[inline(always)]
    pub fn path(&self) -> EventPath<'_> {
        self.path.get()
    }

    #[inline(always)]
    pub fn is_over(&self) -> bool {
        self.next >= self.current.len
    }

    pub fn is_empty(&self) -> bool {
        self.current.len == 0
    }

    /// Goes on to the next recipient, as it was when the record was taken. Returns `None` after the last one.
    pub fn next(&mut self) -> Option<usize> {
        if self.is_over() {
            return None;
        }
        let index = self.next;
        self.next = index.saturating_add(1);
        Some(index)
    }

    /// Goes on to the next recipient. Its watch may have changed since the record was taken, so it is brought up to
    /// date first. Skips recipients whose watch has ended.
    pub fn next_now(&mut self, shared: &Shared) -> Option<usize> {
        loop {
            let index = self.next()?;
            if self.current.of.1 == shared.version() || self.renew(index, shared) {
                return Some(index);
            }
        }
    }

    /// Brings a recipient up to date. Returns `false` if it gets no events of the descriptor any more.
    fn renew(&mut self, index: usize, shared: &Shared) -> bool {
        self.composed = NOBODY;
        let Some(Slot { route, .. }) = self.slots.get_mut(self.current.slot) else { return false };
        let Some(old) = route.get(index) else { return false };
        let wd = self.current.of.0;
        let mut now = Route::default();
        shared.look(|state| state.route_again(wd, old, &mut now));
        route.replace(index, now)
    }

    /// Skips the remaining recipients.
    pub fn finish(&mut self) {
        self.next = self.current.len;
    }
}
