//! A reference as a key of a map.

use super::NodeRef;
use crate::keys::Key;

impl Key for NodeRef {
    fn to_bits(self) -> u128 {
        u128::from(self.id) << 32 | u128::from(self.generation)
    }

    fn from_bits(bits: u128) -> Self {
        Self { id: (bits >> 32) as u32, generation: bits as u32 }
    }
}
