//! The hashes of the indexes of nodes.

/// Hashes a watch descriptor. The kernel assigns them in sequence; Fibonacci hashing spreads them.
pub(super) const fn hash_wd(wd: i32) -> u32 {
    (wd as u32).wrapping_mul(0x9E37_79B1)
}

/// Hashes the name of a directory. The seed keeps an attacker from choosing names that collide.
pub(super) fn hash_name(seed: u64, parent: u32, name: &[u8]) -> u32 {
    let mut hash = mix(seed, u64::from(parent));
    let mut rest = name;
    while let Some((chunk, after)) = rest.split_first_chunk() {
        hash = mix(hash, u64::from_le_bytes(*chunk));
        rest = after;
    }
    let last = rest.iter().fold(rest.len() as u64, |word, &byte| word << 8 | u64::from(byte));
    (mix(hash, last) >> 32) as u32
}

/// Combines both halves of the product.
fn mix(a: u64, b: u64) -> u64 {
    let product =
        u128::from(a ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(u128::from(b ^ 0xC2B2_AE3D_27D4_EB4F));
    (product >> 64) as u64 ^ product as u64
}
