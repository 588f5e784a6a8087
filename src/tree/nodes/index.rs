//! An index of nodes by hash.

use alloc::vec::Vec;

use super::NONE;

/// Hashes a watch descriptor. The kernel assigns them in sequence; Fibonacci hashing spreads them.
pub(super) const fn hash_wd(wd: i32) -> u32 {
    (wd as u32).wrapping_mul(0x9E37_79B1)
}

/// A hash table of node numbers: open addressing, linear probing, no tombstones.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    /// Returns the slot in which a hash is placed if that is free.
    fn home(&self, hash: u32) -> usize {
        ((hash as u64).wrapping_mul(self.slots.len() as u64) >> 32) as usize
    }

    const fn next(&self, slot: usize) -> usize {
        let next = slot.wrapping_add(1);
        if next < self.slots.len() { next } else { 0 }
    }

    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut slot = self.home(hash);
        loop {
            match self.slots.get(slot) {
                None | Some(&NONE) => return None,
                Some(&id) if is_it(id) => return Some(id),
                Some(_) => slot = self.next(slot),
            }
        }
    }

    pub fn insert(&mut self, id: u32, hash: impl Fn(u32) -> u32) {
        // At most seven eighths full; grows by a half.
        if self.len.saturating_mul(8) >= self.slots.len().saturating_mul(7) {
            let more = (self.slots.len() / 2).max(8);
            let slots = self.slots.len().saturating_add(more);
            let old = core::mem::replace(&mut self.slots, alloc::vec![NONE; slots]);
            for id in old.into_iter().filter(|&id| id != NONE) {
                self.place(id, hash(id));
            }
        }
        self.place(id, hash(id));
        self.len = self.len.saturating_add(1);
    }

    fn place(&mut self, id: u32, hash: u32) {
        let mut slot = self.home(hash);
        while self.slots.get(slot).is_some_and(|&other| other != NONE) {
            slot = self.next(slot);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = id;
        }
    }

    pub fn remove(&mut self, hash_of_it: u32, id: u32, hash: impl Fn(u32) -> u32) {
        let mut hole = self.home(hash_of_it);
        loop {
            match self.slots.get(hole) {
                None | Some(&NONE) => return,
                Some(&other) if other == id => break,
                Some(_) => hole = self.next(hole),
            }
        }
        self.len = self.len.saturating_sub(1);
        // Move the following entries up, but none to before its home slot.
        let mut slot = self.next(hole);
        while let Some(&other) = self.slots.get(slot).filter(|&&other| other != NONE) {
            let home = self.home(hash(other));
            let stays = if hole <= slot {
                hole < home && home <= slot
            } else {
                hole < home || home <= slot
            };
            if !stays {
                if let Some(place) = self.slots.get_mut(hole) {
                    *place = other;
                }
                hole = slot;
            }
            slot = self.next(slot);
        }
        if let Some(place) = self.slots.get_mut(hole) {
            *place = NONE;
        }
    }
}
