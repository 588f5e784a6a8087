//! An index of nodes by hash.

use alloc::vec::Vec;

use super::NONE;

/// A hash table of node numbers: open addressing, linear probing, no tombstones.
///
/// An entry is a number, and in the bits above it a part of the hash, so that a search seldom has to look at
/// a node that is not the one.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<u32>,
    len: usize,
    /// The bits of a number.
    bits: u32,
}

impl Index {
    /// Returns the slot in which a hash is placed if that is free.
    fn home(&self, hash: u32) -> usize {
        ((hash as u64).wrapping_mul(self.entries.len() as u64) >> 32) as usize
    }

    const fn next(&self, slot: usize) -> usize {
        let next = slot.wrapping_add(1);
        if next < self.entries.len() { next } else { 0 }
    }

    /// Returns the number in an entry.
    fn id(&self, entry: u32) -> u32 {
        entry & !u32::MAX.checked_shl(self.bits).unwrap_or(0)
    }

    /// Returns the part of the hash in an entry. The upper bits of the hash choose the slot, so these are the
    /// lower ones.
    fn tag(&self, hash: u32) -> u32 {
        hash.checked_shl(self.bits).unwrap_or(0)
    }

    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut slot, tag) = (self.home(hash), self.tag(hash));
        loop {
            match self.entries.get(slot) {
                None | Some(&NONE) => return None,
                Some(&entry) => {
                    let id = self.id(entry);
                    if id | tag == entry && is_it(id) {
                        return Some(id);
                    }
                }
            }
            slot = self.next(slot);
        }
    }

    pub fn insert(&mut self, id: u32, hash: impl Fn(u32) -> u32) {
        // At most seven eighths full; grows by a half.
        let is_full = self.len.saturating_mul(8) >= self.entries.len().saturating_mul(7);
        // All bits set would be no entry.
        if is_full || id >= self.id(NONE) {
            let more = if is_full { (self.entries.len() / 2).max(8) } else { 0 };
            self.rebuild(self.entries.len().saturating_add(more), id, &hash);
        }
        self.place(id, hash(id));
        self.len = self.len.saturating_add(1);
    }

    /// Changes the number of slots, and makes room for numbers up to `id`, and for as many as fit in the slots.
    fn rebuild(&mut self, slots: usize, id: u32, hash: impl Fn(u32) -> u32) {
        let most = id.max(slots as u32).saturating_add(1);
        let bits = u32::BITS.wrapping_sub(most.leading_zeros());
        let mut new = Self { entries: alloc::vec![NONE; slots], len: self.len, bits };
        for &entry in self.entries.iter().filter(|&&entry| entry != NONE) {
            let id = self.id(entry);
            new.place(id, hash(id));
        }
        *self = new;
    }

    fn place(&mut self, id: u32, hash: u32) {
        let mut slot = self.home(hash);
        while self.entries.get(slot).is_some_and(|&other| other != NONE) {
            slot = self.next(slot);
        }
        let entry = id | self.tag(hash);
        if let Some(place) = self.entries.get_mut(slot) {
            *place = entry;
        }
    }

    pub fn remove(&mut self, hash_of_it: u32, id: u32, hash: impl Fn(u32) -> u32) {
        let mut hole = self.home(hash_of_it);
        loop {
            match self.entries.get(hole) {
                None | Some(&NONE) => return,
                Some(&entry) if self.id(entry) == id => break,
                Some(_) => hole = self.next(hole),
            }
        }
        self.len = self.len.saturating_sub(1);
        // Move the following entries up, but none to before its home slot.
        let mut slot = self.next(hole);
        while let Some(&entry) = self.entries.get(slot).filter(|&&entry| entry != NONE) {
            let home = self.home(hash(self.id(entry)));
            let stays = if hole <= slot {
                hole < home && home <= slot
            } else {
                hole < home || home <= slot
            };
            if !stays {
                if let Some(place) = self.entries.get_mut(hole) {
                    *place = entry;
                }
                hole = slot;
            }
            slot = self.next(slot);
        }
        if let Some(place) = self.entries.get_mut(hole) {
            *place = NONE;
        }
    }
}
