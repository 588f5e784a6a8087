//! The recipients of the current record.
//!
//! Routes are kept with the version of the state that they are of, so that the lock is seldom needed.

use crate::event::Wd;

use super::super::shared::Shared;
use super::super::subscription::{Recipient, Route};
use super::buffer::Record;

/// A power of two.
const SLOTS: usize = 64;

#[derive(Debug)]
pub(super) struct Routes {
    /// The recipients of the current record, and the index of the next one.
    current: Route,
    next: usize,
    /// The descriptor and the version that `current` is of.
    of: (Wd, u64),
    slots: [Slot; SLOTS],
}

#[derive(Clone, Debug)]
struct Slot {
    of: (Wd, u64),
    route: Route,
}

impl Routes {
    pub fn new() -> Self {
        Self {
            current: Route::default(),
            next: 0,
            of: (Wd::NONE, 0),
            slots: std::array::from_fn(|_| Slot { of: (Wd::NONE, 0), route: Route::default() }),
        }
    }

    /// Goes to the recipients of a descriptor.
    #[inline(always)]
    pub fn go_to(&mut self, wd: Wd, shared: &Shared) {
        let of = (wd, shared.version());
        if self.of != of {
            self.look_up(of, shared);
        }
        self.next = 0;
    }

    #[inline(never)]
    fn look_up(&mut self, of: (Wd, u64), shared: &Shared) {
        let index = of.0.as_raw() as usize % SLOTS;
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.of != of {
            let route = shared.look(|state| state.route(of.0));
            // The old route is dropped with the lock open, since it may hold users' values.
            *slot = Slot { of, route };
        }
        self.current = slot.route.clone();
        self.of = of;
    }

    /// Goes past the first recipient, if it is lent the record as it is: no filter, no tree. Returns `true`
    /// then.
    #[inline(always)]
    pub fn take_first(&mut self, record: &Record) -> bool {
        let is_plain = self.first().is_some_and(|first| {
            first.mask.intersects(record.mask)
                && !record.mask.intersects(first.slow)
                && record.position >= first.since
        });
        self.next = usize::from(is_plain);
        is_plain
    }

    #[inline(always)]
    pub fn first(&self) -> Option<&Recipient> {
        self.current.first()
    }

    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&Recipient> {
        self.current.get(index)
    }

    #[inline(always)]
    pub fn is_over(&self) -> bool {
        self.next >= self.current.len()
    }

    pub fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// Goes on to the next recipient. Returns `None` after the last one.
    pub fn next(&mut self) -> Option<usize> {
        if self.is_over() {
            return None;
        }
        let index = self.next;
        self.next = index.saturating_add(1);
        Some(index)
    }

    /// Skips the remaining recipients.
    pub fn finish(&mut self) {
        self.next = self.current.len();
    }

    /// Updates the recipients that have not had the record yet. An earlier recipient may have changed or
    /// ended their watches.
    pub fn update(&mut self, wd: Wd, shared: &Shared) {
        let version = shared.version();
        if self.next == 0 || self.is_over() || self.of.1 == version {
            return;
        }
        let now = shared.look(|state| state.route(wd));
        let rest = self.current.get(self.next..).unwrap_or_default();
        let is_left = |new: &&Recipient| rest.iter().any(|old| old.is_same(new));
        let left = now.iter().filter(is_left).cloned().collect();
        self.current = left;
        // Never used for another record.
        self.of = (Wd::NONE, version);
        self.next = 0;
    }
}
