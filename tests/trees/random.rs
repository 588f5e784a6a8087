//! Pseudo-random numbers.

/// xorshift64: the same seed gives the same numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero, and neighbouring seeds would begin alike.
        Self((seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD120_0000_0000_7F4B | 1) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}
