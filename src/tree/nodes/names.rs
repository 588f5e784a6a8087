//! The names of nodes. A heap spends 32 bytes on the smallest block, so a name has its own block only if it
//! does not fit in the node.

use alloc::boxed::Box;

use super::NONE;
use super::pieces::Pieces;

/// The longest name that is stored in the node.
const SHORT: usize = 15;
/// Stored in place of the length of a longer name, which is in a slot.
const LONG: u8 = u8::MAX;

/// A name of up to [`SHORT`] bytes, at the end of `bytes`; or, in the first four bytes, the number of a slot of [`Names`]. No other
/// name has this slot, so a name can't be copied.
#[derive(Debug)]
pub(super) struct Name {
    len: u8,
    bytes: [u8; SHORT],
}

impl Name {
    pub const EMPTY: Self = Self { len: 0, bytes: [0; SHORT] };

    const fn of_slot(slot: u32) -> Self {
        let [a, b, c, d] = slot.to_ne_bytes();
        Self { len: LONG, bytes: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }
    }

    const fn slot(&self) -> Option<u32> {
        let [a, b, c, d, ..] = self.bytes;
        if self.len == LONG { Some(u32::from_ne_bytes([a, b, c, d])) } else { None }
    }
}

#[derive(Debug)]
enum Slot {
    Taken(Box<[u8]>),
    /// The number of the next vacant slot.
    Vacant(u32),
}

const _: () = assert!(size_of::<Slot>() == size_of::<Box<[u8]>>());

/// Stores the long names.
#[derive(Debug)]
pub(super) struct Names {
    slots: Pieces<Slot>,
    vacant: u32,
}

impl Names {
    pub const fn new() -> Self {
        Self { slots: Pieces::new(), vacant: NONE }
    }

    /// Adds a name, which has to be removed with [`remove`](Self::remove).
    pub fn add(&mut self, name: &[u8]) -> Name {
        let mut bytes = [0; SHORT];
        let begin = SHORT.checked_sub(name.len());
        if let Some(place) = begin.and_then(|begin| bytes.get_mut(begin..)) {
            place.copy_from_slice(name);
            return Name { len: name.len() as u8, bytes };
        }
        let taken = Slot::Taken(name.into());
        let vacant = self.vacant;
        match self.slots.get_mut(vacant) {
            Some(slot) => {
                if let Slot::Vacant(next) = core::mem::replace(slot, taken) {
                    self.vacant = next;
                }
                Name::of_slot(vacant)
            }
            None => Name::of_slot(self.slots.push(taken)),
        }
    }

    pub fn remove(&mut self, name: Name) {
        let Some(id) = name.slot() else { return };
        if let Some(slot) = self.slots.get_mut(id) {
            *slot = Slot::Vacant(self.vacant);
            self.vacant = id;
        }
    }

    pub fn get<'a>(&'a self, name: &'a Name) -> &'a [u8] {
        let Some(slot) = name.slot() else {
            let begin = SHORT.saturating_sub(usize::from(name.len));
            return name.bytes.get(begin..).unwrap_or_default();
        };
        match self.slots.get(slot) {
            Some(Slot::Taken(name)) => name,
            _ => &[],
        }
    }

    pub fn len(&self, name: &Name) -> usize {
        if name.len == LONG { self.get(name).len() } else { usize::from(name.len) }
    }

    /// Writes a name at the end of `path`, and returns the bytes in front of it. They may be overwritten, since
    /// bytes of a fixed number are copied faster than a name.
    pub fn write<'p>(&self, name: &Name, path: &'p mut [u8]) -> &'p mut [u8] {
        let len = self.len(name);
        match path.last_chunk_mut() {
            Some(place) if name.len != LONG => *place = name.bytes,
            _ => {
                let place = path.iter_mut().rev().zip(self.get(name).iter().rev());
                place.for_each(|(to, from)| *to = *from);
            }
        }
        path.split_at_mut_checked(path.len().saturating_sub(len))
            .map_or(&mut [], |(before, _)| before)
    }

    /// Returns the number of slots, taken and vacant.
    #[cfg(test)]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }
}
