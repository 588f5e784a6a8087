//! The key of a watch.

use crate::keys::Key;

/// A watch of one [`Watcher`](super::Watcher): a small key that can be copied.
///
/// The key of a watch that has ended, or that belongs to another watcher, is refused by every call,
/// however old it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId {
    watcher: u32,
    index: u32,
    generation: u32,
}

impl Key for WatchId {
    fn to_bits(self) -> u128 {
        (u128::from(self.watcher) << 64)
            | (u128::from(self.index) << 32)
            | u128::from(self.generation)
    }

    fn from_bits(bits: u128) -> Self {
        Self::new((bits >> 64) as u32, (bits >> 32) as u32, bits as u32)
    }
}

impl WatchId {
    /// The key of no watch: that of an event which was made by hand.
    pub(super) const NONE: Self = Self::new(u32::MAX, u32::MAX, u32::MAX);

    pub(super) const fn new(watcher: u32, index: u32, generation: u32) -> Self {
        Self { watcher, index, generation }
    }

    /// Returns `true` if the key belongs to this watcher.
    pub(super) const fn is_of(self, watcher: u32) -> bool {
        self.watcher == watcher
    }

    /// Returns the place in the watcher's registry.
    pub(super) const fn index(self) -> usize {
        self.index as usize
    }

    /// Returns how often the place was used before.
    pub(super) const fn generation(self) -> u32 {
        self.generation
    }
}
